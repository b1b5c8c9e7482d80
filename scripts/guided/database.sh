# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2317 # the files beside this one share their variables
# The database: asked, copied, put back. Every session begins with settings_sql of preserve-queries.sh and runs no code that others left
# in the database, but for the extension's. See command.sh.
#
#   reach_database            -> the container db_container (with --no-docker the programs of this machine), and waits until it answers
#   wait_for_database            a minute at most, while it starts; afterwards starting says whether it still does, absent whether nobody is
#                                there to answer
#   ask DATABASE < SQL           what psql prints, columns apart by a tab; a failure's message is in $tmp/sql.log
#   read_facts                -> major, size_kb, schema, locale, data_directory, of db_name; ends if it is no Immich
#   product                      prints gallery or immich; nothing if the database cannot be read
#   other_sessions               those who are connected, but for our own and the server's: process, name, role, address, state
#   end_own_sessions             of an earlier call, whose programs go on in the container when docker's client is killed
#   copy_of_dump FOLDER NAME TRIED [OPTION...]   a new database NAME, equal to the dump in FOLDER of preserve-state.sh; TRIED: without what
#                                a trial does not need (restored_sql); drop_database NAME
#   swap_databases NEW OLD       NEW becomes db_name, which becomes OLD, with the settings, rights and comment it has; in one transaction
#   counts_of NAME FILE          what preserve-state.sh counts, of database NAME, into FILE
#   counts_agree FOLDER NAME     whether NAME has the counts of the dump in FOLDER; what differs is in $tmp/said
#   compare_with FOLDER          shows which counts of db_name are others than those of the dump in FOLDER; all, as lines ITEM BEFORE AFTER,
#                                are in $tmp/compared.tsv
#   room_for_copy WHAT LINE      ends the command, with these words, if the server's disk has no room for a second database of that size
#   no_strangers                 ends it if restoring would run the code of somebody else

# shellcheck source=scripts/preserve-queries.sh
. "$guided/../preserve-queries.sh"
db_container='' major='' size_kb='' wal_kb='' schema='' locale='' data_directory=''
# Recorded by every Gallery release as its first migration, and by no Immich.
readonly first_gallery_migration=1772230000000-CreateStorageMigrationLogTable

pg()
{
    if [ -n "$no_docker" ]; then PGAPPNAME=$(session_name) "$@"
    else docker exec -i -e "PGAPPNAME=$(session_name)" -e PGCLIENTENCODING=UTF8 -e "PGUSER=$db_user" "$db_container" "$@"; fi
}
session_name() { printf '%s' "${program//-/_}_$run"; }
conninfo() { printf "dbname='%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"; }
client() { pg psql -X -w -q -A -t -P pager=off -v ON_ERROR_STOP=1 --dbname="$(conninfo "$1")" "${@:2}" -f -; }
ask() { { settings_sql; cat; } | client "$1" -F $'\t' 2>"$tmp/sql.log"; }
literal() { printf "'%s'" "${1//\'/\'\'}"; }
identifier() { printf '"%s"' "${1//\"/\"\"}"; }

wait_for_database()
{
    local end=$((SECONDS + 60)) told=''
    until ask postgres >/dev/null <<<'SELECT 1;'; do
        [ "$SECONDS" -lt "$end" ] && { starting || absent; } || return 1
        [ -n "$told" ] || note "the database does not answer yet, waiting for it for a minute"
        told=1
        sleep 1
    done
}
starting() { grep -qE 'starting up|shutting down|recovery' "$tmp/sql.log"; }
# What psql and docker say where no server is; nothing at all where the container ends meanwhile.
absent()
{
    [ ! -s "$tmp/sql.log" ] ||
        grep -qE 'refused|No such file|not running|restarting|OCI runtime|stopped|closed the connection|reset by peer' "$tmp/sql.log"
}

reach_database()
{
    if [ -z "$no_docker" ]; then
        db_container=$(container_of "$database")
        [ -n "$db_container" ] || fail "the database has no container: the service $database was never started here, or was removed" \
            "Start it alone: docker compose up -d $database" "Another project name? --project-name NAME; docker compose ls shows them."
        # After a power cut it may be down; a database that was stopped by its owner is not ours to start before he was asked.
        if [ "$(inspected "$db_container" running)" != true ]; then
            [ -n "$(recall changed)" ] ||
                fail "the database's container $db_container does not run" "Start it: docker compose up -d $database"
            logged docker start "$db_container" || fail "the database's container $db_container does not start" "docker logs $db_container"
        fi
    fi
    wait_for_database || { last_words "$tmp/sql.log"
        fail "the database does not answer as role $db_user" "The message above says why; docs/recovery.md explains it."; }
}

read_facts()
{
    local name ledgers rights
    facts_sql | client "$db_name" -F $'\037' >"$tmp/facts" 2>"$tmp/sql.log" || { last_words "$tmp/sql.log"
        fail "the database \"$db_name\" cannot be read as role $db_user" "The message above says why; docs/recovery.md explains it."; }
    IFS=$'\037' read -r name major size_kb ledgers schema _ _ data_directory wal_kb locale <"$tmp/facts"
    [ "$ledgers" = 1 ] || fail "the database \"$name\" holds $ledgers times an Immich" \
        "Is it another database? DB_DATABASE_NAME in .env says which one the server uses."
    rights=$(ask "$db_name" <<<"SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname::text = current_user::text;")
    [ "$rights" = t ] || fail "the role $db_user is no superuser, and only one may install the extension" \
        "Immich's own set-up has one in DB_USERNAME. Without one: gallery_revert_script(), see docs/reference.md."
}

product()
{
    local names
    names=$({ echo 'BEGIN READ ONLY;'; settings_sql; cat <<SQL
SELECT pg_catalog.format('COPY %I.%I (name) TO STDOUT', l.schema, c.relname)
FROM ($(ledger_sql)) AS l JOIN pg_catalog.pg_namespace n ON n.nspname::text = l.schema
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relowner = l.owner AND c.relkind = 'r'
  AND c.relname::text IN ('kysely_migrations', 'gallery_migrations') \gexec
SQL
    } | client "$db_name" 2>"$tmp/sql.log") || return
    [ -n "$names" ] || return
    if grep -qx "$first_gallery_migration" <<<"$names"; then echo gallery; else echo immich; fi
}

# The server's own sessions come from the addresses of its containers.
other_sessions()
{
    local service mine=''
    [ -n "$no_docker" ] || for service in $server $learning $others; do
        mine="$mine $(inspected "$(container_of "$service")" addresses)"
    done
    ask "$db_name" <<<"SELECT COALESCE(pg_catalog.host(a.client_addr), 'local'), a.pid, a.application_name, a.usename, a.state
        FROM pg_catalog.pg_stat_activity a
        WHERE a.datname::text = pg_catalog.current_database()::text AND a.backend_type = 'client backend'
          AND a.pid <> pg_catalog.pg_backend_pid() AND a.application_name <> $(literal "$(session_name)");" |
        MINE=" $mine " awk -F '\t' 'index(ENVIRON["MINE"], " " $1 " ") == 0 {
            printf "process %s, \"%s\", role %s, from %s, %s\n", $2, $3, $4, $1, $5 }'
}

end_own_sessions()
{
    ask postgres >/dev/null <<<"SELECT pg_catalog.pg_terminate_backend(a.pid, 60000) FROM pg_catalog.pg_stat_activity a
        WHERE a.application_name = $(literal "$(session_name)") AND a.pid <> pg_catalog.pg_backend_pid();" ||
        { last_words "$tmp/sql.log"; fail "what an earlier call left at work in the database cannot be ended"; }
}

drop_database()
{
    ask postgres >/dev/null <<<"DROP DATABASE IF EXISTS $(identifier "$1") WITH (FORCE);" || { last_words "$tmp/sql.log"; return 1; }
}

# With owners, rights and comments. Immich's functions expect their schema on the search path, which pg_dump empties. Nobody else may
# connect to the copy meanwhile.
copy_of_dump()
{
    local dump=$1/immich.dump name path made
    name=$(identifier "$2")
    drop_database "$2" || return
    path=$(ask "$db_name" <<<"SELECT pg_catalog.format('SELECT pg_catalog.set_config(''search_path'', %L, false);',
        'pg_catalog, ' || pg_catalog.quote_ident($(literal "$(sed -n 's/^schema\t//p' "$1/about.txt")")));") || return
    # As it was made, but for its name.
    made=$(pg pg_restore --create --schema-only --file=- <"$dump" 2>"$tmp/sql.log" | NAME=$name LC_ALL=C awk '
        /^CREATE DATABASE .* WITH TEMPLATE = template0/ && !done { sub(/^CREATE DATABASE .* WITH TEMPLATE = template0/, "")
            print "CREATE DATABASE " ENVIRON["NAME"] " WITH ALLOW_CONNECTIONS = false TEMPLATE = template0" $0; done = 1 }')
    [ -n "$made" ] || return
    ask postgres >/dev/null <<<"$made
        REVOKE ALL ON DATABASE $name FROM PUBLIC; ALTER DATABASE $name ALLOW_CONNECTIONS true;" || return
    pg pg_restore --file=- "${@:4}" <"$dump" 2>"$tmp/restore.log" |
        restored_sql "$path" "$3" |
        { settings_sql; cat; } | client "$2" -1 >/dev/null 2>"$tmp/sql.log"
}

counts_of()
{
    local mark
    mark=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    { echo 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;'; settings_sql; tables_sql "$mark" "$schema"; inventory_sql; } |
        client "$1" -F $'\t' 2>"$tmp/sql.log" | count_rows "$mark" "$tmp" "$tmp/counts" && LC_ALL=C sort "$tmp/counts" >"$2"
}

counts_agree()
{
    counts_of "$2" "$tmp/restored.tsv" || { cp -- "$tmp/sql.log" "$tmp/said"; return 1; }
    LC_ALL=C sort "$1/inventory.tsv" | diff - "$tmp/restored.tsv" >"$tmp/said"
}

compare_with()
{
    counts_of "$db_name" "$tmp/after.tsv" || { last_words "$tmp/sql.log"; fail "the database cannot be counted"; }
    awk -F '\t' -v OFS='\t' 'NR == FNR { before[$1] = $2; after[$1] = 0; next } { after[$1] = $2 }
        END { for (item in after) print item, (item in before ? before[item] : 0), after[item] }' "$1/inventory.tsv" "$tmp/after.tsv" |
        LC_ALL=C sort >"$tmp/compared.tsv"
    awk -F '\t' '$2 != $3 { printf "   %-28s %10s -> %s\n", $1, $2, $3 }' "$tmp/compared.tsv" | shown
}

room_for_copy()
{
    local missing
    # Of a server on another machine the disk cannot be seen.
    [ -z "$no_docker" ] || case $PGHOST in /* | localhost | 127.* | ::1) ;; *) return 0 ;; esac
    missing=$(no_room_for_copy "$data_directory" "$size_kb" "$wal_kb" | head -n 1)
    [ -z "$missing" ] || fail "not enough room $1: $missing" "$2"
}
no_strangers()
{
    local strangers
    strangers=$({ strangers_sql; echo ';'; } | ask "$db_name") || { last_words "$tmp/sql.log"; fail "the owners cannot be read"; }
    [ -z "$strangers" ] || fail "roles that are no superusers own objects in this database: $strangers" \
        "To restore a copy of it would run their code with the rights of $db_user, so it is not tried." \
        "DROP what is theirs, or go the way by hand (docs/switching-back.md)."
}

# A list of names is kept as it was written, quoted already; any other value is one text.
swap_databases()
{
    local new=$1 old=$2 lines
    lines=$(ask postgres <<SQL
SELECT pg_catalog.format('ALTER DATABASE %I OWNER TO %I;', d.datname, pg_catalog.pg_get_userbyid(d.datdba))
FROM pg_catalog.pg_database d WHERE d.datname::text = $(literal "$db_name")
UNION ALL SELECT pg_catalog.format('ALTER DATABASE %I CONNECTION LIMIT %s;', d.datname, d.datconnlimit)
FROM pg_catalog.pg_database d WHERE d.datname::text = $(literal "$db_name")
UNION ALL SELECT pg_catalog.format('ALTER %s SET %I TO %s;',
    CASE WHEN s.setrole = 0::pg_catalog.oid THEN pg_catalog.format('DATABASE %I', d.datname)
      ELSE pg_catalog.format('ROLE %I IN DATABASE %I', pg_catalog.pg_get_userbyid(s.setrole), d.datname) END,
    pg_catalog.split_part(c.line, '=', 1),
    CASE WHEN pg_catalog.split_part(c.line, '=', 1) = ANY (ARRAY['search_path', 'local_preload_libraries', 'session_preload_libraries',
        'temp_tablespaces']) AND pg_catalog.strpos(c.line, '=') < pg_catalog.length(c.line)
      THEN pg_catalog.substr(c.line, pg_catalog.strpos(c.line, '=') + 1)
      ELSE pg_catalog.quote_literal(pg_catalog.substr(c.line, pg_catalog.strpos(c.line, '=') + 1)) END)
FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c (line) WHERE d.datname::text = $(literal "$db_name")
UNION ALL SELECT pg_catalog.format('COMMENT ON DATABASE %I IS %L;', d.datname, pg_catalog.shobj_description(d.oid, 'pg_database'))
FROM pg_catalog.pg_database d WHERE d.datname::text = $(literal "$db_name");
SELECT CASE WHEN d.datacl IS NULL THEN pg_catalog.format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO PUBLIC;', d.datname) END
FROM pg_catalog.pg_database d WHERE d.datname::text = $(literal "$db_name") AND d.datacl IS NULL;
SELECT pg_catalog.format('GRANT %s ON DATABASE %I TO %s%s;', a.privilege_type, d.datname,
    CASE WHEN a.grantee = 0::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)::text) END,
    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM pg_catalog.pg_database d CROSS JOIN LATERAL pg_catalog.aclexplode(d.datacl) AS a WHERE d.datname::text = $(literal "$db_name");
SQL
    ) || { last_words "$tmp/sql.log"; return 1; }
    say_log "$lines"
    ask postgres >/dev/null <<<"BEGIN;
        ALTER DATABASE $(identifier "$db_name") RENAME TO $(identifier "$old");
        ALTER DATABASE $(identifier "$new") RENAME TO $(identifier "$db_name");
        $lines
        COMMIT;" || { last_words "$tmp/sql.log"; return 1; }
}
