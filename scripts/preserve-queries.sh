# shellcheck shell=bash
# What preserve-state.sh asks the database, and how it counts the answers: read by that script. Runs in PostgreSQL 14 and
# later, on every Immich generation, with or without the extension gallery_revert.
#
# It is run by superusers on databases in which others may create, so no code of anybody else may run. Which table is
# whose the catalog tells; rows are read by COPY of a table and counted here. COPY of a table plans nothing, so it runs no
# function of an index, a statistics object, a view, a rule, a policy, a cast or an operator: a query might run all those.

# A value for psql's \set.
psql_quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"; }

# First of all in every session, whatever the database, the role or PGOPTIONS set: only the server's own functions are
# found by a name alone, policies are an error and no filter, and texts look the same everywhere. Where rows or more than
# names are read it comes after BEGIN, so that a pooler cannot hand the next statement to another connection.
settings_sql()
{
    cat <<'SQL'
SET search_path = pg_catalog, pg_temp;
SET row_security = off;
SET jit = off;
SET standard_conforming_strings = on;
SET DateStyle = 'ISO';
SET TimeZone = 'UTC';
SET statement_timeout = 0;
SQL
}

# Immich's ledgers, one for a schema: kysely_migrations; before v1.132.0 it was a table migrations. Whoever may create
# tables can make one of that name, so its owner has to own Immich's users and assets as well.
ledger_sql()
{
    cat <<'SQL'
SELECT DISTINCT ON (s.oid) c.oid, s.nspname::text AS schema, c.relowner AS owner
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
    WHERE c.relkind = 'r'
      AND c.relname::text IN ('kysely_migrations', 'migrations')
      AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname::text = 'name'
          AND a.atttypid IN ('pg_catalog.text'::pg_catalog.regtype::oid, 'pg_catalog.varchar'::pg_catalog.regtype::oid))
      AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname::text = 'timestamp'
          AND (a.atttypid = 'pg_catalog.int8'::pg_catalog.regtype::oid) = (c.relname::text = 'migrations')
          AND a.atttypid IN ('pg_catalog.text'::pg_catalog.regtype::oid, 'pg_catalog.varchar'::pg_catalog.regtype::oid,
              'pg_catalog.int8'::pg_catalog.regtype::oid))
      AND 2 = (SELECT pg_catalog.count(DISTINCT pg_catalog.rtrim(i.relname::text, 's')) FROM pg_catalog.pg_class i
          WHERE i.relnamespace = s.oid AND i.relkind = 'r' AND i.relowner = c.relowner
            AND i.relname::text IN ('user', 'users', 'asset', 'assets'))
    ORDER BY s.oid, c.relname::text
SQL
}

# Which database this is.
facts_sql()
{
    echo 'BEGIN READ ONLY;'
    settings_sql
    cat <<SQL
WITH ledger AS ($(ledger_sql))
SELECT pg_catalog.current_database(), pg_catalog.current_setting('server_version_num')::integer / 10000,
    pg_catalog.pg_database_size(pg_catalog.current_database()) / 1024,
    (SELECT pg_catalog.count(*) FROM ledger), (SELECT pg_catalog.min(l.schema) FROM ledger l),
    (SELECT pg_catalog.format('SELECT pg_catalog.set_config(''search_path'', %L, false);',
        'pg_catalog, ' || pg_catalog.quote_ident(pg_catalog.min(l.schema))) FROM ledger l),
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datname::text = pg_catalog.current_database()::text
        AND a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()),
    (SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'data_directory'),
    pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_wal_size')) / 1024,
    (SELECT pg_catalog.format('ENCODING %L LC_COLLATE %L LC_CTYPE %L', pg_catalog.pg_encoding_to_char(d.encoding),
        d.datcollate, d.datctype) FROM pg_catalog.pg_database d WHERE d.datname::text = pg_catalog.current_database()::text);
SQL
}

# Sets the variables ledger and owner (as numbers), and tells of each table that is counted below which columns are copied.
# Before v1.136 the names were plural. A table of such a name that is somebody else's is none of Immich's.
tables_sql()
{
    local mark=$1 schema=$2
    cat <<SQL
\\set mark $(psql_quoted "$mark")
\\set schema $(psql_quoted "$schema")
SELECT l.oid AS ledger, l.owner AS owner FROM ($(ledger_sql)) AS l WHERE l.schema = :'schema' \\gset
SQL
}

# What is counted, the same with and without the extension, so that any two runs compare: count_rows knows what of which
# table. A table without columns of those names is counted by its first one.
inventory_sql()
{
    cat <<'SQL'
SELECT pg_catalog.format('SELECT %L', pg_catalog.concat_ws(E'\t', :'mark', 'table', item.kind, cols.names)),
    pg_catalog.format('COPY %I.%I (%s) TO STDOUT', :'schema', found.relname, cols.list)
FROM (VALUES
  (1, 'user', 'user users', 'deletedAt'), (2, 'asset', 'asset assets', 'type visibility isArchived status isFavorite createdAt'),
  (3, 'exif', 'asset_exif exif', 'fileSizeInByte'), (4, 'file', 'asset_file asset_files', 'type'),
  (5, 'albums', 'album albums', ''), (6, 'album_assets', 'album_asset albums_assets_assets', ''),
  (7, 'memories', 'memory memories', ''), (8, 'people', 'person', ''), (9, 'faces', 'asset_face asset_faces', ''),
  (10, 'tags', 'tag tags', ''), (11, 'stacks', 'stack asset_stack', ''), (12, 'shared_links', 'shared_link shared_links', ''),
  (13, 'libraries', 'library libraries', ''), (14, 'partners', 'partner partners', ''), (15, 'api_keys', 'api_key api_keys', ''),
  (16, 'sessions', 'session sessions', '')) AS item (place, kind, names, wanted)
CROSS JOIN LATERAL (
    SELECT c.oid, c.relname::text AS relname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
    WHERE s.nspname::text = :'schema' AND c.relkind = 'r' AND c.relowner = (:'owner')::oid
      AND c.relname::text = ANY (pg_catalog.string_to_array(item.names, ' '))
    ORDER BY pg_catalog.array_position(pg_catalog.string_to_array(item.names, ' '), c.relname::text) LIMIT 1) AS found
CROSS JOIN LATERAL (
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname::text), ', ' ORDER BY a.attnum) AS list,
        pg_catalog.string_agg(a.attname::text, E'\t' ORDER BY a.attnum) AS names
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = found.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
      AND (a.attname::text = ANY (pg_catalog.string_to_array(item.wanted, ' '))
        OR a.attnum = (SELECT pg_catalog.min(f.attnum) FROM pg_catalog.pg_attribute f WHERE f.attrelid = found.oid AND f.attnum > 0
            AND NOT f.attisdropped AND f.attgenerated = ''))) AS cols
WHERE cols.list IS NOT NULL
ORDER BY item.place \gexec
SQL
}

# Whose code a restore would run with the rights of this session: whoever owns something here, and is neither this role
# nor a superuser. Large objects, default privileges and user mappings are no code.
strangers_sql()
{
    cat <<'SQL'
SELECT COALESCE(pg_catalog.string_agg(DISTINCT pg_catalog.format('"%s"', r.rolname), ' '), '') AS strangers
FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass::oid AND d.deptype = 'o' AND NOT r.rolsuper
  AND d.dbid = (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname::text = pg_catalog.current_database()::text)
  AND r.rolname::text <> session_user::text
  AND d.classid NOT IN ('pg_catalog.pg_largeobject'::pg_catalog.regclass::oid,
      'pg_catalog.pg_largeobject_metadata'::pg_catalog.regclass::oid,
      'pg_catalog.pg_default_acl'::pg_catalog.regclass::oid, 'pg_catalog.pg_user_mapping'::pg_catalog.regclass::oid)
SQL
}

# Everything that is read, section by section, in the one snapshot that pg_dump gets too. A line that begins with the mark
# says what follows.
session_sql()
{
    local mark=$1 schema=$2
    echo 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;'
    settings_sql
    echo 'SET idle_in_transaction_session_timeout = 0;'
    tables_sql "$mark" "$schema"
    cat <<'SQL'
SELECT pg_catalog.format('SELECT %L', pg_catalog.concat_ws(E'\t', :'mark', 'ledger', c.relname)),
    pg_catalog.format('COPY %I.%I ("timestamp", name) TO STDOUT', :'schema', c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
WHERE s.nspname::text = :'schema' AND c.relkind = 'r' AND c.relowner = (:'owner')::oid
  AND c.relname::text IN ('kysely_migrations', 'gallery_migrations', 'migrations')
  AND 2 = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated = ''
      AND a.attname::text IN ('name', 'timestamp'))
ORDER BY c.relname::text \gexec
SELECT pg_catalog.format('SELECT %L', pg_catalog.concat_ws(E'\t', :'mark', 'versions')),
    pg_catalog.format('COPY %I.version_history ("createdAt", version) TO STDOUT', :'schema')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
WHERE s.nspname::text = :'schema' AND c.relkind = 'r' AND c.relowner = (:'owner')::oid AND c.relname::text = 'version_history'
  AND 2 = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated = ''
      AND a.attname::text IN ('createdAt', 'version')) \gexec
SELECT pg_catalog.concat_ws(E'\t', :'mark', 'file', 'about.txt');
SELECT 'database', pg_catalog.current_database();
SELECT 'schema', :'schema';
SELECT 'taken', pg_catalog.now();
SELECT 'server', pg_catalog.current_setting('server_version');
SELECT 'size', pg_catalog.pg_database_size(pg_catalog.current_database());
SELECT 'extension ' || e.extname::text, e.extversion FROM pg_catalog.pg_extension e ORDER BY e.extname::text;
SELECT 'setting of ' || CASE WHEN s.setrole = 0 THEN 'the database' ELSE s.setrole::pg_catalog.regrole::text END,
    pg_catalog.unnest(s.setconfig)
FROM pg_catalog.pg_db_role_setting s
WHERE s.setdatabase = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname::text = pg_catalog.current_database()::text)
ORDER BY 1, 2;
SELECT 'not read, belongs to another role', c.oid::pg_catalog.regclass || ' of ' || pg_catalog.pg_get_userbyid(c.relowner)::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
WHERE s.nspname::text = :'schema' AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND c.relowner <> (:'owner')::oid
  AND c.relname::text IN ('kysely_migrations', 'gallery_migrations', 'migrations', 'version_history', 'user', 'users', 'asset', 'assets',
      'asset_exif', 'exif', 'asset_file', 'asset_files', 'album', 'albums', 'album_asset', 'albums_assets_assets', 'memory', 'memories',
      'person', 'asset_face', 'asset_faces', 'tag', 'tags', 'stack', 'asset_stack', 'shared_link', 'shared_links', 'library', 'libraries',
      'partner', 'partners', 'api_key', 'api_keys', 'session', 'sessions')
ORDER BY c.relname::text;
SQL
    strangers_sql
    echo '\gset'
    inventory_sql
    cat <<'SQL'
SELECT pg_catalog.concat_ws(E'\t', :'mark', 'file', 'immich_inventory.tsv');
-- The extension's own function only: another of that name may be anybody's.
SELECT COALESCE(pg_catalog.max(pg_catalog.format('%I.immich_inventory()', s.nspname)), 'none') AS inventory
FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass::oid AND d.refobjid = e.oid AND d.deptype = 'e'
  AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass::oid
JOIN pg_catalog.pg_proc p ON p.oid = d.objid AND p.proname::text = 'immich_inventory' AND p.pronargs = 0
JOIN pg_catalog.pg_namespace s ON s.oid = p.pronamespace
WHERE e.extname::text = 'gallery_revert' \gset
SELECT :'inventory' <> 'none' AS installed \gset
\if :installed
-- An error of the extension must not cost the dump.
SAVEPOINT before_inventory;
\set ON_ERROR_STOP off
SELECT item, count FROM :inventory;
\if :ERROR
ROLLBACK TO before_inventory;
\endif
RELEASE before_inventory;
\set ON_ERROR_STOP on
\endif
SELECT pg_catalog.pg_export_snapshot() AS snapshot \gset
-- Not among the rows: what counts those may read far ahead before it looks. A line comes word by word, so another one says
-- that they are whole.
\warn :mark strangers :strangers
\warn :mark snapshot :snapshot
\warn :mark ready
SQL
}

# count_rows MARK FOLDER INVENTORY: reads what such a session prints. Writes the counts to the file INVENTORY, the other
# sections to files in the folder.
count_rows()
{
    MARK=$1 FOLDER=$2 INVENTORY=$3 LC_ALL=C awk -F '\t' '
    # Seconds of a timestamp in UTC as ISO writes it; days by the number of days before each month.
    function epoch(text,    year, month, day)
    {
        year = substr(text, 1, 4) + 0; month = substr(text, 6, 2) + 0; day = substr(text, 9, 2) + 0
        if (month < 3) { year--; month += 12 }
        day += 365 * year + int(year / 4) - int(year / 100) + int(year / 400) + int((153 * (month - 3) + 2) / 5) - 719469
        return ((day * 24 + substr(text, 12, 2)) * 60 + substr(text, 15, 2)) * 60 + substr(text, 18, 2)
    }
    function tally(item, number) { printf "%s\t%.0f\n", item, number >inventory }
    # The values of a column with their numbers, in order.
    function each(kind, column, prefix,    key, part, n, i, k, names)
    {
        for (key in value) {
            split(key, part, SUBSEP)
            if (part[1] == kind && part[2] == column) names[++n] = part[3]
        }
        for (i = 2; i <= n; i++)
            for (k = i; k > 1 && names[k - 1] "" > names[k] ""; k--) { key = names[k]; names[k] = names[k - 1]; names[k - 1] = key }
        for (i = 1; i <= n; i++) {
            key = names[i] == "\\N" ? "null" : names[i]
            tally(prefix (kind == "asset" && column == "type" ? tolower(key) : key), value[kind, column, names[i]])
        }
    }
    BEGIN { mark = ENVIRON["MARK"]; folder = ENVIRON["FOLDER"]; inventory = ENVIRON["INVENTORY"]; printf "" >inventory }
    $1 == mark {
        section = $2
        if (section == "table") {
            kind = $3; there[kind] = 1; columns = NF - 3
            for (i = 1; i <= columns; i++) { name[i] = $(3 + i); has[kind, name[i]] = 1 }
            next
        }
        if (section == "file") { file = folder "/" $3; next }
        if (section == "ledger") ledger = $3
        next
    }
    section == "table" {
        rows[kind]++
        if (kind ~ /^(user|asset|file|exif)$/)
            for (i = 1; i <= columns; i++) {
                if (name[i] == "deletedAt") deleted += $i != "\\N"
                else if (name[i] == "createdAt") { if ($i ~ /^[0-9][0-9][0-9][0-9]-/ && $i !~ /BC$/ && $i > newest) newest = $i }
                else if (name[i] == "fileSizeInByte") bytes += $i
                else if (name[i] ~ /^(type|visibility|isArchived|status|isFavorite)$/) value[kind, name[i], $i]++
            }
        next
    }
    section == "ledger" { print ledger "\t" $0 | "LC_ALL=C sort >\"$FOLDER/ledger.tsv\""; next }
    section == "versions" { print $0 | "LC_ALL=C sort >\"$FOLDER/versions.tsv\""; next }
    section == "file" { print $0 >file; next }
    END {
        if (there["user"]) { tally("users_active", rows["user"] - deleted); tally("users_deleted", deleted) }
        if (there["asset"]) {
            tally("assets", rows["asset"])
            each("asset", "type", "assets_type_")
            each("asset", "visibility", "assets_visibility_")
            if (("asset", "isArchived") in has) tally("assets_archived", value["asset", "isArchived", "t"])
            each("asset", "status", "assets_status_")
            if (("asset", "isFavorite") in has) tally("assets_favorite", value["asset", "isFavorite", "t"])
            if (("asset", "createdAt") in has) tally("newest_upload_epoch", newest == "" ? 0 : epoch(newest))
        }
        if (("exif", "fileSizeInByte") in has) tally("bytes_originals", bytes)
        each("file", "type", "files_")
        count = split("albums album_assets memories people faces tags stacks shared_links libraries partners api_keys sessions", list, " ")
        for (i = 1; i <= count; i++) if (there[list[i]]) tally(list[i], rows[list[i]])
    }'
}

# What a restored copy needs, for scripts that have a function pg PROGRAM ARGUMENT..., which runs it where the server is.

# Kilobytes free at a path; $1 says where df runs.
free_kb()
{
    "$1" df -Pk "$2" </dev/null 2>/dev/null | awk 'match($0, / [0-9]+ +[0-9]+ +-?[0-9]+ +[0-9]+% /) {
        split(substr($0, RSTART + 1, RLENGTH), field, / +/); print field[3] }'
}
# no_room_for_copy DATA_DIRECTORY SIZE WAL, in kilobytes: prints what is missing, or nothing. A full disk would stop the server itself. So
# there must be room for the copy, for the log of writing it, for the dump, which may be on the same disk, and 256 MB for others.
no_room_for_copy()
{
    local log=$(($3 < 2 * $2 ? $3 : 2 * $2))
    less_than "$1" $((2 * $2 + log + 262144))
    # A link to another disk.
    ! pg test -L "$1/pg_wal" </dev/null 2>/dev/null || less_than "$1/pg_wal/." $((log + 262144))
}
less_than()
{
    local free
    free=$(free_kb pg "$1")
    [ -z "$free" ] || [ "$free" -ge "$2" ] || printf '%d MB free in %s, %d MB wanted\n' $((free / 1024)) "$1" $(($2 / 1024))
}

# restored_sql PATH [tried]: what pg_restore prints, with Immich's functions' schema on the search path (PATH sets it), which pg_dump
# empties. For a copy on which something is only tried, Immich's indexes of vectors are left out: all of their contents is in the tables,
# Immich starts without them and makes them anew, and with many photos they take longer than everything else.
restored_sql()
{
    WANTED=$1 TRIED=${2:-} LC_ALL=C awk '
    BEGIN { empty = "SELECT pg_catalog.set_config(\047search_path\047, \047\047, false);" }
    rows { print; if ($0 == "\\.") rows = 0; next }
    /^COPY .* FROM.stdin;$/ { rows = 1 }
    $0 == empty { $0 = ENVIRON["WANTED"] }
    ENVIRON["TRIED"] != "" && /^-- Name: (INDEX )?(clip_index|face_index); Type: (INDEX|COMMENT);/ { left_out = 1 }
    left_out { if ($0 ~ /;$/ && $0 !~ /^--/) left_out = 0; next }
    { print }'
}
