-- Removes what fixtures.sql made; nothing of the tests is left on the server but their empty database.
\! test/fixtures/templates --drop
SELECT datname FROM pg_database WHERE shobj_description(oid, 'pg_database') = 'fixture of gallery_revert' OR datname LIKE 'regress\_%';
SELECT rolname FROM pg_roles WHERE rolname LIKE 'regress\_%';
