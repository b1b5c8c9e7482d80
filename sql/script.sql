-- The plan as a file for plain psql: written without changing anything, and not where there is nothing to revert. What it does where it
-- is run is test/t/046_script.pl's, what it refuses 045_script_refused.pl's.
CREATE DATABASE regress_script TEMPLATE template_gallery;
\c regress_script
CREATE EXTENSION gallery_revert;
\set before `test/lib/dump-hash regress_script`
SELECT gallery_revert_script() AS script \gset
\set after `test/lib/dump-hash regress_script`
SELECT :'before' = :'after' AS unchanged, length(:'before') = 64 AS dumped;
-- What stands at its top: what it is, how to run it, and what is lost by the rows of the copy.
SELECT regexp_replace(line, 'gallery_revert \d[\d.]*', 'gallery_revert VERSION') AS line
FROM regexp_split_to_table(:'script', '\n') WITH ORDINALITY AS l(line, number) WHERE line LIKE '--%' ORDER BY number LIMIT 26;
-- Each step with its reason.
SELECT line FROM regexp_split_to_table(:'script', '\n') WITH ORDINALITY AS l(line, number) WHERE line ~ '^  -- \d+\. ' ORDER BY number;
SET gallery.revert_archive = on;
SELECT gallery_revert_script();
RESET gallery.revert_archive;
BEGIN READ ONLY;
SELECT gallery_revert_script();
ROLLBACK;
\c contrib_regression
DROP DATABASE regress_script;

CREATE DATABASE regress_script TEMPLATE template_immich;
\c regress_script
CREATE EXTENSION gallery_revert;
SELECT gallery_revert_script();
\c contrib_regression
DROP DATABASE regress_script;
