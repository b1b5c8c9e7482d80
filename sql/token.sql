-- The token: missing, wrong, in every standing place (refused), and in every place of the session (accepted).
CREATE DATABASE regress_token TEMPLATE template_gallery;
\c regress_token
CREATE EXTENSION gallery_revert;
\set before `test/lib/dump-hash regress_token`
SELECT gallery_revert();
SET gallery.revert_token = 'yes';
SELECT gallery_revert();
SET gallery.revert_token = 'I_ACCEPT_DATA_LOSS';
SELECT gallery_revert();
SET gallery.revert_token = '';
SELECT gallery_revert();

-- The database's, the role's, the role's in this database, and the configuration file's are refused.
ALTER DATABASE regress_token SET gallery.revert_token = 'i_accept_data_loss';
\c
SELECT gallery_revert();
ALTER DATABASE regress_token RESET gallery.revert_token;
ALTER ROLE CURRENT_USER SET gallery.revert_token = 'i_accept_data_loss';
\c
SELECT gallery_revert();
ALTER ROLE CURRENT_USER RESET gallery.revert_token;
ALTER ROLE CURRENT_USER IN DATABASE regress_token SET gallery.revert_token = 'i_accept_data_loss';
\c
SELECT gallery_revert();
ALTER ROLE CURRENT_USER IN DATABASE regress_token RESET gallery.revert_token;
ALTER SYSTEM SET gallery.revert_token = 'i_accept_data_loss';
SELECT pg_reload_conf();
\c
SELECT pg_sleep(0.2);
\c
SHOW gallery.revert_token;
SELECT gallery_revert();
ALTER SYSTEM RESET gallery.revert_token;
SELECT pg_reload_conf();
\c
SELECT pg_sleep(0.2);
\c

-- A rolled back SET is no token any more.
BEGIN;
SET gallery.revert_token = 'i_accept_data_loss';
ROLLBACK;
SELECT gallery_revert();
\set after `test/lib/dump-hash regress_token`
SELECT :'before' = :'after' AS unchanged, length(:'before') = 64 AS dumped;

-- Accepted: SET, SET LOCAL, set_config, the client's options.
\set VERBOSITY terse
BEGIN;
SET gallery.revert_token = 'i_accept_data_loss';
SELECT gallery_revert();
ROLLBACK;
BEGIN;
SET LOCAL gallery.revert_token = 'i_accept_data_loss';
SELECT gallery_revert();
ROLLBACK;
BEGIN;
SELECT set_config('gallery.revert_token', 'i_accept_data_loss', true);
SELECT gallery_revert();
ROLLBACK;
\c "dbname=regress_token options='-c gallery.revert_token=i_accept_data_loss'"
BEGIN;
SELECT gallery_revert();
ROLLBACK;
\c contrib_regression
DROP DATABASE regress_token;
