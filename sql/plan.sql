-- The dry run in full, on Gallery v4.57 and on the newest layout; it needs no token and changes nothing.
CREATE DATABASE regress_plan TEMPLATE template_gallery;
\c regress_plan
CREATE EXTENSION gallery_revert;
\set before `test/lib/dump-hash regress_plan`
SELECT * FROM gallery_revert_status();
SELECT step, phase, kind, rows, reason FROM gallery_revert_plan();
-- A digest of each step and all before it.
SELECT step, digest, kind, object FROM gallery_revert_plan() WHERE step IN (1, 2, 20, 21);
\a \x
SELECT step, object, statement FROM gallery_revert_plan();
\a \x
-- The rows that go with the tables, counted by another way: each table that the statement names.
CREATE FUNCTION pg_temp.count_of(name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM ' || name INTO n; RETURN n; END $$;
SELECT p.rows = sum(pg_temp.count_of(t[1])) AS counted
FROM gallery_revert_plan() p, regexp_matches(p.statement, '(public\.\w+)', 'g') t
WHERE p.statement LIKE 'DROP TABLE%' GROUP BY p.step, p.rows;
-- The functions read; a read-only transaction and an older snapshot are good enough.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) FROM gallery_revert_plan();
SELECT product, immich_last FROM gallery_revert_status();
COMMIT;
\set after `test/lib/dump-hash regress_plan`
SELECT :'before' = :'after' AS unchanged, length(:'before') = 64 AS dumped;
\c contrib_regression
DROP DATABASE regress_plan;

CREATE DATABASE regress_plan TEMPLATE template_newest;
\c regress_plan
CREATE EXTENSION gallery_revert;
SELECT product, gallery_release, immich_first, immich_last, native_migrations, fork_migrations, unknown_migrations
FROM gallery_revert_status();
SELECT step, phase, kind, rows, reason FROM gallery_revert_plan();
\c contrib_regression
DROP DATABASE regress_plan;

-- A plain Immich has nothing to revert.
CREATE DATABASE regress_plan TEMPLATE template_immich;
\c regress_plan
CREATE EXTENSION gallery_revert;
SELECT product, gallery_release, immich_first, immich_last, native_migrations, fork_migrations, unknown_migrations
FROM gallery_revert_status();
SELECT * FROM gallery_revert_plan();
\c contrib_regression
DROP DATABASE regress_plan;
