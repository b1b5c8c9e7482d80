-- Makes the databases that the other tests copy. Quiet where all is well; cleanup.sql removes them.
\! test/fixtures/templates
SELECT datname FROM pg_database WHERE shobj_description(oid, 'pg_database') = 'fixture of gallery_revert' ORDER BY 1;
