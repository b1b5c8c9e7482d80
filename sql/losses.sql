-- What would be lost, in an owner's words, on Gallery v4.57 and on the newest layout; it needs no token and changes nothing.
CREATE DATABASE regress_losses TEMPLATE template_gallery;
\c regress_losses
CREATE EXTENSION gallery_revert;
\set before `test/lib/dump-hash regress_losses`
\x
SELECT * FROM gallery_revert_losses();
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) FROM gallery_revert_losses();
COMMIT;
\set after `test/lib/dump-hash regress_losses`
SELECT :'before' = :'after' AS unchanged, length(:'before') = 64 AS dumped;
\c contrib_regression
DROP DATABASE regress_losses;

CREATE DATABASE regress_losses TEMPLATE template_newest;
\c regress_losses
CREATE EXTENSION gallery_revert;
SELECT * FROM gallery_revert_losses();
-- More names than anybody reads: the first hundred.
INSERT INTO user_group (name, "createdById") SELECT 'Choir ' || i, u.id FROM generate_series(1000, 1149) i,
  (SELECT id FROM "user" LIMIT 1) u;
SELECT what, count, cardinality(names), names[1], names[101] FROM gallery_revert_losses() WHERE what LIKE 'group%';
\c contrib_regression
DROP DATABASE regress_losses;

-- A plain Immich loses nothing.
CREATE DATABASE regress_losses TEMPLATE template_immich;
\c regress_losses
CREATE EXTENSION gallery_revert;
SELECT * FROM gallery_revert_losses();
\c contrib_regression
DROP DATABASE regress_losses;
