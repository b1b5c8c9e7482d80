-- immich_recovery_advice() in full, one state of each kind, and immich_repair_migration_order() with its refusals.
-- The whole table of decisions is test/t/026_advice.pl.
CREATE DATABASE regress_advice TEMPLATE template_immich;
\c regress_advice
CREATE EXTENSION gallery_revert;
\x
SELECT version FROM version_history ORDER BY "createdAt";
SELECT advice, reason, pin, steps FROM immich_recovery_advice();
SELECT advice, reason, pin, steps FROM immich_recovery_advice('v3.0.3');
SELECT advice, reason, pin, steps FROM immich_recovery_advice('v2.6.3');
SELECT advice, reason, pin, steps FROM immich_recovery_advice('2.7.0');

-- A newer release ran and left no start.
BEGIN;
DELETE FROM version_history;
INSERT INTO version_history (version) VALUES ('2.6.3');
SELECT advice, reason, pin, steps FROM immich_recovery_advice();
-- Migrations skipped.
UPDATE version_history SET version = '3.1.0';
SELECT advice, reason, pin, steps FROM immich_recovery_advice();
ROLLBACK;

-- Not a release; unknown names.
SELECT advice, reason, pin, steps FROM immich_recovery_advice('latest');
SELECT advice, reason, pin, steps FROM immich_recovery_advice('v2.9.0');
BEGIN;
INSERT INTO kysely_migrations VALUES
  ('2100000000010-AnotherFork', '2026-11-01T00:00:00.000Z'), ('1899000000000-FromTheFuture', '2026-11-01T00:00:00.000Z');
SELECT advice, reason, pin, steps FROM immich_recovery_advice();
ROLLBACK;

-- A hole.
BEGIN;
DELETE FROM kysely_migrations WHERE name = '1773242919341-EncodedVideoAssetFiles';
SELECT advice, reason, pin, steps FROM immich_recovery_advice();
ROLLBACK;

-- An emptied ledger beside Immich's tables, with a dump of a known release and without.
BEGIN;
DELETE FROM kysely_migrations;
SELECT advice, reason, pin, steps FROM immich_recovery_advice();
DELETE FROM version_history;
SELECT advice, pin, steps FROM immich_recovery_advice();
ROLLBACK;

-- Rows out of order: the advice, the plan, the repair, and nothing left to repair.
UPDATE kysely_migrations SET timestamp = '2025-01-01T00:00:00.000Z'
WHERE name IN ('1773242919341-EncodedVideoAssetFiles', '1772609167000-UpdateOpusCodecName');
SELECT advice, reason, pin, steps FROM immich_recovery_advice();
SELECT phase, kind, object, reason, rows, statement FROM gallery_revert_plan();
\set before `test/lib/dump-hash regress_advice`
-- The dump's session may take a moment to end.
DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend') LOOP
  PERFORM pg_sleep(0.01), pg_stat_clear_snapshot(); END LOOP; END $$;
SELECT immich_repair_migration_order();
SET gallery.revert_token = 'yes';
SELECT immich_repair_migration_order();
SET gallery.revert_token = 'i_accept_data_loss';
BEGIN READ ONLY;
SELECT immich_repair_migration_order();
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT immich_repair_migration_order();
ROLLBACK;
BEGIN;
DELETE FROM kysely_migrations WHERE name = '1772609167000-UpdateOpusCodecName';
SELECT immich_repair_migration_order();
ROLLBACK;
BEGIN;
INSERT INTO kysely_migrations VALUES ('1899000000000-FromTheFuture', '2026-11-01T00:00:00.000Z');
SELECT immich_repair_migration_order();
ROLLBACK;
-- gallery_revert() does not do it by the way.
SELECT gallery_revert();
BEGIN;
SELECT immich_repair_migration_order();
SELECT advice, pin, reason FROM immich_recovery_advice();
ROLLBACK;
\set after `test/lib/dump-hash regress_advice`
SELECT :'before' = :'after' AS unchanged, length(:'before') = 64 AS dumped;
SELECT immich_repair_migration_order();
SELECT immich_repair_migration_order();
SELECT advice, pin, reason FROM immich_recovery_advice();

-- A name of an unreleased build.
INSERT INTO kysely_migrations VALUES ('1773175313374-Test', '2026-11-01T00:00:00.000Z');
SELECT advice, pin, reason FROM immich_recovery_advice();
SELECT immich_repair_migration_order();
\c contrib_regression
DROP DATABASE regress_advice;

-- Gallery: the revert is the way, and the repair says so.
CREATE DATABASE regress_advice TEMPLATE template_gallery;
\c regress_advice
CREATE EXTENSION gallery_revert;
SELECT advice, reason, pin, steps FROM immich_recovery_advice();
SET gallery.revert_token = 'i_accept_data_loss';
SELECT immich_repair_migration_order();
\c contrib_regression
DROP DATABASE regress_advice;

-- The time before this ledger, and no Immich.
CREATE DATABASE regress_advice;
\c regress_advice
CREATE EXTENSION gallery_revert;
SELECT advice, reason, pin, steps FROM immich_recovery_advice();
CREATE TABLE migrations (id serial PRIMARY KEY, "timestamp" bigint NOT NULL, name varchar NOT NULL);
SELECT advice, reason, pin, steps FROM immich_recovery_advice();
CREATE TABLE assets (id uuid);
SELECT advice, reason, pin, steps FROM immich_recovery_advice();
\c contrib_regression
DROP DATABASE regress_advice;
