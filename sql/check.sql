-- gallery_revert_check(): every row, on Gallery, on the reverted database, on Immich, where there is none, and with each thing that
-- blocks or is worth a warning. Changes nothing, needs no token.
CREATE DATABASE regress_check TEMPLATE template_gallery;
\c regress_check
CREATE EXTENSION gallery_revert;
\set before `test/lib/dump-hash regress_check`
\x

-- Gallery, ready but for the token; then with it.
SELECT * FROM gallery_revert_check();
SET gallery.revert_token = 'i_accept_data_loss';
SELECT name, status, detail FROM gallery_revert_check() WHERE status <> 'ok';

-- What blocks: each by the name, the words and the hint that gallery_revert() refuses with.
BEGIN READ ONLY;
SELECT name, status, detail, hint FROM gallery_revert_check() WHERE status = 'blocked';
ROLLBACK;
BEGIN;
INSERT INTO kysely_migrations VALUES ('1899000000000-FromTheFuture', '2026-11-01T00:00:00.000Z');
SELECT name, status, detail, hint FROM gallery_revert_check();
ROLLBACK;
BEGIN;
DELETE FROM kysely_migrations WHERE name = '1773242919341-EncodedVideoAssetFiles';
SELECT name, status, detail, hint FROM gallery_revert_check() WHERE status = 'blocked';
ROLLBACK;
BEGIN;
SET LOCAL gallery.revert_target = 'v2.6.3';
SELECT name, status, detail, hint FROM gallery_revert_check() WHERE status = 'blocked';
ROLLBACK;
BEGIN;
UPDATE asset SET "originalPath" = 'upload/library/1.jpg' WHERE id = (SELECT id FROM asset ORDER BY id LIMIT 1);
SELECT name, status, hint FROM gallery_revert_check() WHERE status = 'blocked';
ROLLBACK;
BEGIN;
CREATE VIEW my_spaces AS SELECT name FROM shared_space;
SELECT name, status, detail, hint FROM gallery_revert_check() WHERE status = 'blocked';
ROLLBACK;

-- Several at once are all told.
BEGIN;
RESET gallery.revert_token;
SET LOCAL gallery.revert_target = 'v9.0.0';
UPDATE kysely_migrations SET timestamp = '2025-01-01T00:00:00.000Z' WHERE name = '1773242919341-EncodedVideoAssetFiles';
SELECT name, status, detail, hint FROM gallery_revert_check() WHERE status <> 'ok';
ROLLBACK;

-- Warnings: the order of the ledger, a namesake, drift, what the user added.
BEGIN;
UPDATE kysely_migrations SET timestamp = '2025-01-01T00:00:00.000Z' WHERE name = '1773242919341-EncodedVideoAssetFiles';
CREATE TABLE game_challenge (id int);
CREATE INDEX my_index ON album ("albumName");
ALTER TABLE album ALTER COLUMN description DROP NOT NULL;
DROP INDEX "asset_checksum_idx";
SELECT name, status, detail, hint FROM gallery_revert_check() WHERE status = 'warning' AND name <> 'function bodies';
ROLLBACK;

-- Nothing is locked beyond reading.
BEGIN;
SELECT count(*) > 10 AS checks FROM gallery_revert_check();
SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation';
ROLLBACK;
\set after `test/lib/dump-hash regress_check`
SELECT :'before' = :'after' AS unchanged, length(:'before') = 64 AS dumped;

-- After the revert, and what is left of warnings then.
SET client_min_messages = warning;
SELECT gallery_revert();
RESET client_min_messages;
SELECT name, status, detail, hint FROM gallery_revert_check() WHERE name <> 'function bodies';
\c contrib_regression
DROP DATABASE regress_check;

-- Immich, with a fault in its ledger too.
CREATE DATABASE regress_check TEMPLATE template_immich;
\c regress_check
CREATE EXTENSION gallery_revert;
SELECT name, status, detail FROM gallery_revert_check() WHERE name <> 'function bodies';
BEGIN;
UPDATE kysely_migrations SET timestamp = '2025-01-01T00:00:00.000Z' WHERE name = '1773242919341-EncodedVideoAssetFiles';
SELECT name, status, detail, hint FROM gallery_revert_check() WHERE name = 'ledger order';
DELETE FROM kysely_migrations WHERE name = '1772609167000-UpdateOpusCodecName';
DELETE FROM kysely_migrations WHERE name = '1773242919341-EncodedVideoAssetFiles';
SELECT name, status, detail, hint FROM gallery_revert_check() WHERE status = 'blocked';
ROLLBACK;

-- Older than what is known of the schema.
BEGIN;
DELETE FROM kysely_migrations WHERE name > (SELECT name FROM kysely_migrations ORDER BY name OFFSET 40 LIMIT 1);
SELECT name, status, detail, hint FROM gallery_revert_check() WHERE name = 'schema';
ROLLBACK;
\c contrib_regression
DROP DATABASE regress_check;

-- No Immich at all, and two of them.
CREATE DATABASE regress_check;
\c regress_check
CREATE EXTENSION gallery_revert;
SELECT * FROM gallery_revert_check();
CREATE TABLE kysely_migrations (name varchar(255) PRIMARY KEY, timestamp varchar(255) NOT NULL);
SELECT name, status, detail FROM gallery_revert_check() WHERE name IN ('ledger', 'ledger order', 'schema', 'clean');
CREATE SCHEMA other;
CREATE TABLE other.kysely_migrations (name varchar(255) PRIMARY KEY, timestamp varchar(255) NOT NULL);
SELECT * FROM gallery_revert_check();
\c contrib_regression
DROP DATABASE regress_check;
