-- immich_inventory(): counts on Gallery, before and after a revert, and on databases that are older, other or none.
CREATE DATABASE regress_inventory TEMPLATE template_gallery;
\c regress_inventory
CREATE EXTENSION gallery_revert;
SELECT * FROM immich_inventory() WHERE item <> 'assets_newest_upload_epoch';

-- Two lines compare: keep it, and look again.
SELECT json_object_agg(item, count) AS before FROM immich_inventory() \gset
SELECT item, (:'before'::json ->> item)::bigint AS before, count AS after FROM immich_inventory()
WHERE count IS DISTINCT FROM (:'before'::json ->> item)::bigint;

-- What a revert takes away: faces and people that are pets, rule memories. All else is as it was.
SET gallery.revert_token = 'i_accept_data_loss';
SET client_min_messages = warning;
SELECT gallery_revert();
SELECT item, (:'before'::json ->> item)::bigint AS before, count AS after FROM immich_inventory()
WHERE count IS DISTINCT FROM (:'before'::json ->> item)::bigint;
SELECT json_object_agg(item, count) AS before FROM immich_inventory() \gset
DROP EXTENSION gallery_revert;
CREATE EXTENSION gallery_revert;
SELECT count(*) AS differences FROM immich_inventory() WHERE count IS DISTINCT FROM (:'before'::json ->> item)::bigint;

-- A row lost shows. One number into a variable.
BEGIN;
DELETE FROM tag WHERE id = (SELECT id FROM tag ORDER BY id LIMIT 1);
UPDATE "user" SET "deletedAt" = now() WHERE NOT "isAdmin";
SELECT item, (:'before'::json ->> item)::bigint AS before, count AS after FROM immich_inventory()
WHERE count IS DISTINCT FROM (:'before'::json ->> item)::bigint;
ROLLBACK;
SELECT count AS assets FROM immich_inventory() WHERE item = 'assets' \gset
\echo :assets
SELECT to_timestamp(count) = (SELECT date_trunc('second', max("createdAt")) FROM asset) AS newest
FROM immich_inventory() WHERE item = 'assets_newest_upload_epoch';
\c contrib_regression
DROP DATABASE regress_inventory;

-- The newest layout has no favourites of Immich's; the revert brings them back.
CREATE DATABASE regress_inventory TEMPLATE template_newest;
\c regress_inventory
CREATE EXTENSION gallery_revert;
SET gallery.revert_token = 'i_accept_data_loss';
SET client_min_messages = warning;
SELECT json_object_agg(item, count) AS before FROM immich_inventory() \gset
SELECT gallery_revert();
SELECT item, (:'before'::json ->> item)::bigint AS before, count AS after FROM immich_inventory()
WHERE count IS DISTINCT FROM (:'before'::json ->> item)::bigint;
\c contrib_regression
DROP DATABASE regress_inventory;

-- The names that tables had until v1.135; what does not exist is left out.
CREATE DATABASE regress_inventory;
\c regress_inventory
CREATE EXTENSION gallery_revert;
SELECT * FROM immich_inventory();
CREATE TABLE kysely_migrations (name varchar(255) PRIMARY KEY, timestamp varchar(255) NOT NULL);
INSERT INTO kysely_migrations VALUES ('1744910873969-InitialMigration', '2025-04-25T00:00:00.000Z');
CREATE TABLE users (id int, "deletedAt" timestamptz);
INSERT INTO users VALUES (1, NULL), (2, NULL), (3, '2025-04-01 00:00+00');
CREATE TABLE assets (id int, type varchar, status text, "isFavorite" boolean, "createdAt" timestamptz);
INSERT INTO assets VALUES (1, 'IMAGE', 'active', true, '2025-04-01 00:00+00'),
  (2, 'IMAGE', 'trashed', false, '2025-04-02 00:00+00'), (3, 'VIDEO', 'active', true, NULL);
CREATE TABLE exif ("fileSizeInByte" bigint);
INSERT INTO exif VALUES (5000000000), (5000000000), (NULL);
CREATE TABLE asset_files (type varchar);
INSERT INTO asset_files VALUES ('preview'), ('thumbnail'), ('thumbnail'), (NULL);
CREATE TABLE albums_assets_assets (id int);
CREATE TABLE shared_link__asset (id int);
SELECT * FROM immich_inventory();
\c contrib_regression
DROP DATABASE regress_inventory;
