-- Every refusal: SQLSTATE, message, detail, hint; and each leaves the database byte for byte as it was.
CREATE DATABASE regress_refusals TEMPLATE template_gallery;
\c regress_refusals
CREATE EXTENSION gallery_revert;
SET gallery.revert_token = 'i_accept_data_loss';

-- Runs the function and shows all of the error, in a block that undoes everything.
CREATE FUNCTION pg_temp.refusal() RETURNS TABLE (code text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM public.gallery_revert();
  message := 'was not refused';
  RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN NEXT;
END $$;
\x
\set before `test/lib/dump-hash regress_refusals`

-- The transaction.
BEGIN READ ONLY;
SELECT * FROM pg_temp.refusal();
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM pg_temp.refusal();
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM pg_temp.refusal();
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- Unknown migrations: all of them named, whichever ledger they are in.
BEGIN;
INSERT INTO kysely_migrations VALUES
  ('1899000000000-FromTheFuture', '2026-11-01T00:00:00.000Z'), ('2100000000010-AnotherFork', '2026-11-01T00:00:00.000Z');
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- A native migration missing in the middle.
BEGIN;
DELETE FROM kysely_migrations WHERE name = '1773242919341-EncodedVideoAssetFiles';
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- Targets that do not fit.
BEGIN;
SET LOCAL gallery.revert_target = 'v2.6.3';
SELECT * FROM pg_temp.refusal();
SET LOCAL gallery.revert_target = 'v2.7.4';
SELECT * FROM pg_temp.refusal();
SET LOCAL gallery.revert_target = 'v9.0.0';
SELECT * FROM pg_temp.refusal();
SET LOCAL gallery.revert_target = 'release';
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- Another plan than the one that was looked at.
BEGIN;
SET LOCAL gallery.revert_plan = '0123456789ab';
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- Foreign dependents: a view on a fork table, on a fork column of a native table, a foreign key, a function on a row type, a
-- column of a row type, an index over a fork column.
BEGIN;
CREATE VIEW my_spaces AS SELECT name FROM shared_space;
CREATE VIEW my_pets AS SELECT name, species FROM person WHERE type = 'pet';
CREATE TABLE my_notes (space uuid REFERENCES shared_space (id), note text);
CREATE FUNCTION space_label(shared_space) RETURNS text LANGUAGE sql AS 'SELECT ($1).name';
CREATE TABLE my_history (was user_group);
CREATE INDEX my_index ON person (type);
CREATE MATERIALIZED VIEW my_members AS SELECT "userId" FROM shared_space_member;
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- Not the owner of everything; nothing granted, and the right role named.
BEGIN;
CREATE ROLE regress_gallery_guest;
CREATE ROLE regress_gallery_other;
ALTER TABLE shared_space OWNER TO regress_gallery_other;
GRANT EXECUTE ON FUNCTION gallery_revert() TO regress_gallery_guest;
DO $$
DECLARE r record;
BEGIN
  FOR r IN SELECT oid::regclass AS t FROM pg_class
      WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'shared_space' LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO regress_gallery_guest', r.t);
  END LOOP;
  FOR r IN SELECT p.oid::regprocedure AS f FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS
      (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e') LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO regress_gallery_guest', r.f);
  END LOOP;
END $$;
GRANT SELECT ON shared_space TO regress_gallery_guest;
SET LOCAL SESSION AUTHORIZATION regress_gallery_guest;
SELECT code, message, detail FROM pg_temp.refusal();
ROLLBACK;

-- One role has to own all of it; what belongs to others is looked at before it is given away.
BEGIN;
CREATE ROLE regress_gallery_other;
ALTER TABLE shared_space OWNER TO regress_gallery_other;
ALTER TABLE album OWNER TO regress_gallery_other;
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- What rules read is not as Gallery makes it.
BEGIN;
ALTER TABLE person ALTER species TYPE varchar(20);
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- Functions and operators that Immich's own code could run by mistake.
BEGIN;
CREATE ROLE regress_gallery_other;
CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql AS 'SELECT pg_catalog.now()';
ALTER FUNCTION public.now() OWNER TO regress_gallery_other;
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- Foreign keys that deletes rely on.
BEGIN;
ALTER TABLE asset_face DROP CONSTRAINT "asset_face_assetId_fkey";
ALTER TABLE person DISABLE TRIGGER ALL;
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- A publication without keys.
BEGIN;
SET LOCAL client_min_messages = error;
ALTER TABLE person REPLICA IDENTITY NOTHING;
CREATE PUBLICATION mine FOR TABLE person;
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- Tables that change with Immich's: a child, and a column of the type of rows.
BEGIN;
CREATE TABLE mine (was person) INHERITS (asset_face);
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- A body of Immich's own function that keeps values as they were.
BEGIN;
CREATE OR REPLACE FUNCTION updated_at() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- Gallery's ledger without its rows.
BEGIN;
DELETE FROM kysely_migrations WHERE name IN (SELECT migration FROM gallery_revert_manifest());
SELECT code, message, split_part(detail, E'\n', 1) AS detail, hint FROM pg_temp.refusal();
ROLLBACK;

-- Files in S3, and a relative media location.
BEGIN;
UPDATE asset SET "originalPath" = 'upload/0a0a0a0a-0000-4000-8000-000000000001/ab/cd/' || id || '.jpg'
WHERE id IN (SELECT id FROM asset ORDER BY id LIMIT 5);
SELECT * FROM pg_temp.refusal();
ROLLBACK;
BEGIN;
UPDATE "user" SET "profileImagePath" = 'upload/profile/' || left("profileImagePath", 0) || 'me.jpg' WHERE "isAdmin";
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- Two Immich schemas in one database.
BEGIN;
CREATE SCHEMA other;
CREATE TABLE other.kysely_migrations (name varchar(255) PRIMARY KEY, timestamp varchar(255) NOT NULL);
SELECT * FROM pg_temp.refusal();
ROLLBACK;

-- No ledger.
BEGIN;
ALTER TABLE kysely_migrations RENAME TO elsewhere;
SELECT * FROM pg_temp.refusal();
ROLLBACK;

\set after `test/lib/dump-hash regress_refusals`
SELECT :'before' = :'after' AS unchanged, length(:'before') = 64 AS dumped;
\x

-- Tables of Gallery's names that no recorded migration made are somebody's own: left alone, with a warning.
CREATE TABLE game_challenge (id int);
CREATE TABLE face_repair_scan (mine text);
INSERT INTO face_repair_scan VALUES ('mine');
\set VERBOSITY default
BEGIN;
\set VERBOSITY terse
SELECT gallery_revert();
\set VERBOSITY default
SELECT * FROM face_repair_scan;
ROLLBACK;

-- The same for a whole database whose ledger never ran the migration.
DELETE FROM kysely_migrations WHERE name = '1774300000000-CreateUserGroupTables';
\set VERBOSITY terse
SELECT gallery_revert();
SELECT count(*) > 0 AS user_group_kept FROM user_group;
\c contrib_regression
DROP DATABASE regress_refusals;

\set VERBOSITY default
-- On a plain Immich only the ledger is repaired, so nothing is looked at that has to do with Gallery: a relative media location, a
-- table of Gallery's name. What is looked at names the function that was called.
CREATE DATABASE regress_refusals TEMPLATE template_immich;
\c regress_refusals
CREATE EXTENSION gallery_revert;
SET gallery.revert_token = 'i_accept_data_loss';
UPDATE kysely_migrations SET timestamp = '2025-01-01T00:00:00.000Z' WHERE name = '1773242919341-EncodedVideoAssetFiles';
BEGIN;
UPDATE "user" SET "profileImagePath" = 'upload/profile/me.jpg' WHERE "isAdmin";
CREATE TABLE game_challenge (id int);
CREATE TABLE shared_space (id int);
CREATE VIEW my_spaces AS SELECT id FROM shared_space;
SELECT immich_repair_migration_order();
ROLLBACK;
-- Nor does a revert that has nothing to revert look at them.
BEGIN;
UPDATE "user" SET "profileImagePath" = 'upload/profile/me.jpg' WHERE "isAdmin";
SELECT gallery_revert();
ROLLBACK;
BEGIN;
CREATE RULE mine AS ON UPDATE TO kysely_migrations WHERE old.name LIKE '%Encoded%' DO INSTEAD NOTHING;
SELECT immich_repair_migration_order();
ROLLBACK;
\c contrib_regression
DROP DATABASE regress_refusals;

-- A Gallery is no plain Immich, whatever else may be wrong with it.
CREATE DATABASE regress_refusals TEMPLATE template_gallery;
\c regress_refusals
CREATE EXTENSION gallery_revert;
SET gallery.revert_token = 'i_accept_data_loss';
UPDATE "user" SET "profileImagePath" = 'upload/profile/me.jpg' WHERE "isAdmin";
SELECT immich_repair_migration_order();
\c contrib_regression
DROP DATABASE regress_refusals;
