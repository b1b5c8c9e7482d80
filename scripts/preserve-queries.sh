# shellcheck shell=bash
# What preserve-state.sh asks the database: the SQL only, read by that script. Runs in PostgreSQL 14 and later, on every
# Immich generation, with or without the extension gallery_revert.

# A value for psql's \set.
psql_quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"; }

# Which database this is. The ledger is kysely_migrations; before v1.132.0 it was a table migrations.
facts_sql()
{
    cat <<'SQL'
WITH ledger AS (
    SELECT DISTINCT s.nspname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p')
      AND 2 = (SELECT count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('name', 'timestamp'))
      AND (c.relname = 'kysely_migrations' OR c.relname = 'migrations' AND EXISTS (
          SELECT FROM pg_catalog.pg_class u WHERE u.relnamespace = s.oid AND u.relname = 'assets')))
SELECT current_database(), current_setting('server_version_num')::int / 10000, pg_catalog.pg_database_size(current_database()) / 1024,
    (SELECT count(*) FROM ledger), (SELECT min(nspname) FROM ledger),
    (SELECT format('SELECT pg_catalog.set_config(''search_path'', %L, false);', quote_ident(min(nspname)) || ', pg_catalog') FROM ledger),
    (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()),
    (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'), pg_catalog.pg_size_bytes(current_setting('max_wal_size')) / 1024,
    (SELECT format('ENCODING %L LC_COLLATE %L LC_CTYPE %L', pg_encoding_to_char(encoding), datcollate, datctype) FROM pg_catalog.pg_database WHERE datname = current_database());
SQL
}

# What is counted, the same with and without the extension, so that any two runs compare. An item is left out where its
# table or column does not exist; before v1.136 the names were plural.
inventory_sql()
{
    cat <<'SQL'
SELECT format(item.query, found.relation)
FROM (VALUES
  (1, 'user users', '', $$SELECT 'users_active', count(*) FILTER (WHERE "deletedAt" IS NULL) FROM %1$s
      UNION ALL SELECT 'users_deleted', count(*) FILTER (WHERE "deletedAt" IS NOT NULL) FROM %1$s$$),
  (2, 'asset assets', '', $$SELECT 'assets', count(*) FROM %s$$),
  (3, 'asset assets', '', $$SELECT 'assets_type_' || lower(type::text), count(*) FROM %s GROUP BY 1 ORDER BY 1$$),
  (4, 'asset assets', 'visibility', $$SELECT 'assets_visibility_' || visibility::text, count(*) FROM %s GROUP BY 1 ORDER BY 1$$),
  (5, 'asset assets', 'isArchived', $$SELECT 'assets_archived', count(*) FILTER (WHERE "isArchived") FROM %s$$),
  (6, 'asset assets', 'status', $$SELECT 'assets_status_' || status::text, count(*) FROM %s GROUP BY 1 ORDER BY 1$$),
  (7, 'asset assets', 'isFavorite', $$SELECT 'assets_favorite', count(*) FILTER (WHERE "isFavorite") FROM %s$$),
  (8, 'asset assets', 'createdAt', $$SELECT 'newest_upload_epoch', coalesce(extract(epoch FROM max("createdAt")), 0)::bigint FROM %s$$),
  (9, 'asset_exif exif', 'fileSizeInByte', $$SELECT 'bytes_originals', coalesce(sum("fileSizeInByte"), 0)::bigint FROM %s$$),
  (10, 'asset_file asset_files', '', $$SELECT 'files_' || type::text, count(*) FROM %s GROUP BY 1 ORDER BY 1$$),
  (11, 'album albums', '', $$SELECT 'albums', count(*) FROM %s$$),
  (12, 'album_asset albums_assets_assets', '', $$SELECT 'album_assets', count(*) FROM %s$$),
  (13, 'memory memories', '', $$SELECT 'memories', count(*) FROM %s$$),
  (14, 'person', '', $$SELECT 'people', count(*) FROM %s$$),
  (15, 'asset_face asset_faces', '', $$SELECT 'faces', count(*) FROM %s$$),
  (16, 'tag tags', '', $$SELECT 'tags', count(*) FROM %s$$),
  (17, 'stack asset_stack', '', $$SELECT 'stacks', count(*) FROM %s$$),
  (18, 'shared_link shared_links', '', $$SELECT 'shared_links', count(*) FROM %s$$),
  (19, 'library libraries', '', $$SELECT 'libraries', count(*) FROM %s$$),
  (20, 'partner partners', '', $$SELECT 'partners', count(*) FROM %s$$),
  (21, 'api_key api_keys', '', $$SELECT 'api_keys', count(*) FROM %s$$),
  (22, 'session sessions', '', $$SELECT 'sessions', count(*) FROM %s$$)
) AS item (place, names, needs, query)
CROSS JOIN LATERAL (
    SELECT c.oid, c.oid::regclass AS relation
    FROM unnest(string_to_array(item.names, ' ')) WITH ORDINALITY AS n (name, preference)
    JOIN pg_class c ON c.relname = n.name AND c.relkind IN ('r', 'p')
    JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = :'schema'
    ORDER BY n.preference LIMIT 1) AS found
WHERE item.needs = '' OR EXISTS (SELECT FROM pg_attribute a
    WHERE a.attrelid = found.oid AND a.attname = item.needs AND NOT a.attisdropped)
ORDER BY item.place \gexec
SQL
}


# Everything that is read, section by section, in the one snapshot that pg_dump gets too.
session_sql()
{
    local tag=$1 schema=$2
    cat <<SQL
\\set schema $(psql_quoted "$schema")
SET search_path = pg_catalog, :"schema";
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
\\echo $tag ledger.tsv
SELECT format('COPY (SELECT %L, "timestamp", name FROM %s ORDER BY "timestamp", name) TO STDOUT', c.relname, c.oid::regclass)
FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE s.nspname = :'schema' AND c.relkind IN ('r', 'p') AND c.relname IN ('kysely_migrations', 'gallery_migrations', 'migrations')
ORDER BY c.relname \\gexec
\\echo $tag versions.tsv
SELECT format('COPY (SELECT "createdAt", version FROM %s ORDER BY 1, 2) TO STDOUT', c.oid::regclass)
FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE s.nspname = :'schema' AND c.relname = 'version_history' \\gexec
\\echo $tag about.txt
SELECT 'database', current_database();
SELECT 'schema', :'schema';
SELECT 'taken', now();
SELECT 'server', current_setting('server_version');
SELECT 'size', pg_database_size(current_database());
SELECT 'extension ' || extname, extversion FROM pg_extension ORDER BY 1;
SELECT 'setting of ' || CASE WHEN setrole = 0 THEN 'the database' ELSE setrole::regrole::text END, unnest(setconfig)
FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1, 2;
\\echo $tag inventory.tsv
SQL
    inventory_sql
    cat <<SQL
\\echo $tag immich_inventory.tsv
SELECT coalesce(max(format('%I.immich_inventory()', s.nspname)), 'none') AS inventory
FROM pg_extension e JOIN pg_namespace s ON s.oid = e.extnamespace WHERE e.extname = 'gallery_revert' \\gset
SELECT :'inventory' <> 'none' AS installed \\gset
\\if :installed
-- An error of the extension must not cost the dump.
SAVEPOINT before_inventory;
\\set ON_ERROR_STOP off
SELECT item, count FROM :inventory;
\\if :ERROR
ROLLBACK TO before_inventory;
\\endif
RELEASE before_inventory;
\\set ON_ERROR_STOP on
\\endif
SELECT '$tag snapshot', pg_export_snapshot();
SQL
}
