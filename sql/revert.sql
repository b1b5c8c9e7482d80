-- The main job: the run with its notices, in the caller's transaction, and what a second run says.
CREATE DATABASE regress_revert TEMPLATE template_gallery;
\c regress_revert
CREATE EXTENSION gallery_revert;
\set before `test/lib/dump-hash regress_revert`
SET gallery.revert_token = 'i_accept_data_loss';
\set VERBOSITY terse

-- The caller's rollback leaves everything as it was, a savepoint's too.
BEGIN;
SELECT gallery_revert();
SELECT product FROM gallery_revert_status();
ROLLBACK;
\set after `test/lib/dump-hash regress_revert`
SELECT :'before' = :'after' AS unchanged, length(:'before') = 64 AS dumped;
BEGIN;
SAVEPOINT s;
SELECT gallery_revert();
ROLLBACK TO s;
SELECT product FROM gallery_revert_status();
COMMIT;
\set after `test/lib/dump-hash regress_revert`
SELECT :'before' = :'after' AS unchanged;

-- And for good.
SELECT gallery_revert();
SELECT product, gallery_release, immich_first, immich_last, native_migrations, fork_migrations, unknown_migrations
FROM gallery_revert_status();
SELECT count(*) FROM gallery_revert_plan();

-- Once more: nothing to do.
SELECT gallery_revert();

-- The detail of the summary tells how long the locks were held.
\set VERBOSITY default
\c contrib_regression
DROP DATABASE regress_revert;

-- A plain Immich.
CREATE DATABASE regress_revert TEMPLATE template_immich;
\c regress_revert
CREATE EXTENSION gallery_revert;
\set before `test/lib/dump-hash regress_revert`
SET gallery.revert_token = 'i_accept_data_loss';
SELECT gallery_revert();
\set after `test/lib/dump-hash regress_revert`
SELECT :'before' = :'after' AS unchanged;
\c contrib_regression
DROP DATABASE regress_revert;

-- The newest layout, with its ledger of its own; the function called from PL/pgSQL.
CREATE DATABASE regress_revert TEMPLATE template_newest;
\c regress_revert
-- Only there with pgvector; the numbers below are those without it.
SET client_min_messages = warning;
DROP INDEX IF EXISTS pet_index;
RESET client_min_messages;
CREATE EXTENSION gallery_revert;
SET gallery.revert_token = 'i_accept_data_loss';
\set VERBOSITY terse
DO $$ BEGIN RAISE NOTICE 'returned %', gallery_revert(); END $$;
SELECT to_regclass('gallery_migrations'), to_regclass('shared_space');
\c contrib_regression
DROP DATABASE regress_revert;
