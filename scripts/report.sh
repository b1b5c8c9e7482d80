#!/usr/bin/env bash
# Writes what a bug report needs into one text file that its owner can read before anybody else does: versions, the ledger's
# names, and what gallery_revert's status, check and plan say of the database.
#
#   gallery_revert/scripts/report.sh --docker immich_postgres
#
# Nothing is changed, in the database or elsewhere. No row of a user's table is read but those of the ledgers and of
# version_history. Everything passes redact.awk, which takes out paths, addresses, secrets and values; that and
# preserve-queries.sh have to lie beside this script. No code that others left in the database is run.
set -u -o pipefail
umask 077

container='' user='' database='' output='' status=0

here=$(dirname -- "$(readlink -f -- "$0")")
# shellcheck source=scripts/preserve-queries.sh
. "$here/preserve-queries.sh" || { echo "report.sh: preserve-queries.sh must lie beside it" >&2; exit 1; }
[ -r "$here/redact.awk" ] || { echo "report.sh: redact.awk must lie beside it" >&2; exit 1; }

usage()
{
    cat <<'USAGE'
usage: report.sh [OPTION...]

Writes versions, the names in the ledger of migrations, and gallery_revert's status, check and plan of an Immich or
Gallery database into a text file, without paths, addresses, secrets or values of rows. Read it, then send it with your
report. Without --docker it uses psql of this machine and the usual environment variables (PGHOST, PGPORT, PGUSER,
PGDATABASE, PGPASSFILE or PGPASSWORD).

  -o, --output FILE       the file to write (default: gallery_revert-report-TIME.txt, here)
  -c, --docker CONTAINER  run psql in this container (Immich's own: immich_postgres)
  -d, --database NAME     the database (default: PGDATABASE or the container's own, else immich)
  -U, --username NAME     the role (default: PGUSER or the container's own, else postgres)
  -h, --help              this text

Prints the file's name on standard output, all else on standard error.
Exit status: 0 all is in it, 1 no file was written, 2 wrong usage, 3 written, but some of it could not be had.
USAGE
}

say() { printf '%s\n' "$*" >&2; }
wrong() { say "report.sh: $*"; say "Try --help."; exit 2; }
fail() { say "FAILED: $1"; shift; for line in "$@"; do say "  $line"; done; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        -o | --output | -c | --docker | -d | --database | -U | --username)
            { [ $# -ge 2 ] && [ -n "$2" ]; } || wrong "option $1 needs a value" ;;
    esac
    case $1 in
        -o | --output) output=$2; shift ;;
        -c | --docker) container=$2; shift ;;
        -d | --database)
            # The value is not repeated: it may hold a password.
            case $2 in *://* | *=*) wrong "--database takes a name; use PGHOST, PGPORT, PGUSER and a password file for the rest" ;; esac
            database=$2; shift ;;
        -U | --username) user=$2; shift ;;
        -h | --help) usage; exit 0 ;;
        # It may hold anything that was typed.
        *) wrong "unknown option, or a word too many" ;;
    esac
    shift
done

tmp=$(mktemp -d) || fail "no temporary folder can be made in ${TMPDIR:-/tmp}"
trap 'rm -rf -- "$tmp"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# pg PROGRAM ARGUMENT... runs one here or in the container; passwords travel in the environment only.
pg()
{
    if [ -n "$container" ]; then
        docker exec -i "${docker_env[@]}" "$container" "$@"
    else
        "$@"
    fi
}
conninfo() { printf "dbname='%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"; }
redact() { LC_ALL=C awk -f "$here/redact.awk" -v mode="$1"; }
[ "$(redact text <<<"of /a b")" = "of <path>" ] || fail "the awk of this machine cannot read redact.awk" "Install gawk or mawk."
section() { printf '\n== %s\n' "$1"; }

# ask MODE SQL: runs it in one transaction and shows in MODE what it says; what goes wrong is shown too.
ask()
{
    local mode=$1 sql=$2 failed
    { echo 'BEGIN;'; settings_sql; printf '%s\n' "SET statement_timeout = '5min'; SET lock_timeout = '10s';" "$sql"; } |
        pg psql -X -w -q -A -t -P pager=off -v ON_ERROR_STOP=1 -F $'\037' -R $'\036' --dbname="$conn" -f - \
            >"$tmp/answer" 2>"$tmp/messages"
    failed=$?
    redact "$mode" <"$tmp/answer"
    redact error <"$tmp/messages"
    [ $failed -ne 0 ] || return 0
    [ -s "$tmp/messages" ] || echo "    psql ended with status $failed and said nothing"
    return 1
}
missing() { say "    not to be had: $1"; status=3; }

# What the server is, and how many Immichs are in the database.
server_sql()
{
    cat <<SQL
SELECT 'server', pg_catalog.current_setting('server_version');
SELECT 'database is called immich', pg_catalog.current_database()::text = 'immich';
SELECT 'encoding, collation, type', pg_catalog.concat_ws(', ', pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype)
    FROM pg_catalog.pg_database d WHERE d.datname::text = pg_catalog.current_database()::text;
SELECT 'megabytes', pg_catalog.pg_database_size(pg_catalog.current_database()) / 1048576;
SELECT 'standby', pg_catalog.pg_is_in_recovery();
SELECT 'this role is a superuser', r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname::text = session_user::text;
SELECT 'loaded libraries', pg_catalog.current_setting('shared_preload_libraries', true);
SELECT 'extension ' || e.extname::text, e.extversion FROM pg_catalog.pg_extension e ORDER BY e.extname::text;
SELECT 'extension to be had, ' || a.name::text, a.default_version FROM pg_catalog.pg_available_extensions a
    WHERE a.name::text IN ('gallery_revert', 'vector', 'vectors', 'vchord') ORDER BY a.name::text;
SELECT 'setting of ' || CASE WHEN s.setrole = 0 THEN 'the database' ELSE 'a role' END, pg_catalog.split_part(c.line, '=', 1)
    FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c(line)
    WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname::text = pg_catalog.current_database()::text))
    ORDER BY 1, 2;
SELECT 'Immich in schemas', pg_catalog.count(*) FROM ($(ledger_sql)) AS l;
SELECT 'schema is called public', l.schema = 'public' FROM ($(ledger_sql)) AS l;
SELECT 'owner of the ledger',
    CASE WHEN l.owner = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname::text = session_user::text) THEN 'this role'
        ELSE 'another role' END || CASE WHEN o.rolsuper THEN ', a superuser' ELSE ', no superuser' END
    FROM ($(ledger_sql)) AS l JOIN pg_catalog.pg_roles o ON o.oid = l.owner;
SQL
}

# copies_sql TABLES COLUMN...: the tables of these names in the schema of each ledger that belong to its owner, row for row.
# COPY of a table runs no code that somebody left with it; a query of it might.
copies_sql()
{
    cat <<SQL
SELECT pg_catalog.format('COPY %I.%I (%I, %I) TO STDOUT', l.schema, c.relname, '$2', '$3')
    FROM ($(ledger_sql)) AS l JOIN pg_catalog.pg_namespace s ON s.nspname::text = l.schema
    JOIN pg_catalog.pg_class c ON c.relnamespace = s.oid AND c.relkind = 'r' AND c.relowner = l.owner
    WHERE c.relname::text IN ($1) AND 2 = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attgenerated = '' AND a.attname::text IN ('$2', '$3'))
    ORDER BY l.schema, c.relname::text \\gexec
SQL
}

# function_sql NAME COLUMNS: the rows of the extension's own function; another of that name may be anybody's. Where it is not
# installed there is no row.
function_sql()
{
    cat <<SQL
SELECT pg_catalog.format('SELECT $2 FROM %I.%I() AS f', s.nspname, p.proname)
    FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass::oid AND d.refobjid = e.oid
      AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass::oid
    JOIN pg_catalog.pg_proc p ON p.oid = d.objid AND p.proname::text = '$1' AND p.pronargs = 0
    JOIN pg_catalog.pg_namespace s ON s.oid = p.pronamespace
    WHERE e.extname::text = 'gallery_revert' \\gexec
SQL
}

# columns NAME...: these of a function's row, as an argument of format(). No value can pass for a separator.
columns()
{
    local list='' name
    for name in "$@"; do
        list="$list${list:+, }pg_catalog.translate($name, E''\\x1e\\x1f'', ''  '')"
    done
    printf '%s' "$list"
}

versions()
{
    local image
    [ ! -r "$here/../META.json" ] || sed -n 's/^   "version": "\([0-9.]*\)",$/gallery_revert files: \1/p' "$here/../META.json"
    printf 'machine: %s\n' "$(uname -sm)"
    [ -n "$container" ] || { printf 'client: %s\n' "$(psql -V 2>/dev/null)"; return; }
    image=$(docker inspect --format '{{.Config.Image}}' "$container" 2>/dev/null)
    # Another registry's name may be an address.
    case $image in
        ghcr.io/immich-app/*) printf 'image: of immich-app, %s\n' "${image##*/}" ;;
        tensorchord/* | docker.io/tensorchord/* | pgvector/* | docker.io/pgvector/*)
            printf 'image: of pgvecto.rs or pgvector, %s\n' "${image##*/}" ;;
        postgres:*) printf 'image: PostgreSQL, %s\n' "${image##*/}" ;;
        '') echo 'image: not known' ;;
        *) echo 'image: another one' ;;
    esac
}

body()
{
    local columns
    cat <<'TEXT'
This is what gallery_revert/scripts/report.sh found, for a bug report. Paths, addresses, secrets and values of rows were taken
out ("left out", "path", "address", '...'). Names of tables and of other objects are in it, yours too: read it before you send it.
TEXT
    section "Versions"
    say "Versions"
    versions | redact text
    if [ -n "$refused" ]; then
        missing "the database"
        section "Database"
        printf '%s\n' "The database could not be asked."
        redact error <<<"$refused"
        return
    fi
    section "Database"
    say "Database"
    ask facts "$(server_sql)" || { missing "the database"; return; }
    section "Ledgers: time, migration"
    say "Ledger"
    ask ledger "$(copies_sql "'kysely_migrations', 'gallery_migrations', 'migrations'" timestamp name)" || missing "the ledger"
    section "Servers that started: time, release"
    ask versions "$(copies_sql "'version_history'" createdAt version)" || missing "the releases that ran"
    if ! grep -q '^extension gallery_revert:' "$tmp/report"; then
        missing "status, check and plan: the extension gallery_revert is not installed in this database"
        section "Status, check and plan"
        echo "gallery_revert is not installed in this database."
        return
    fi
    section "gallery_revert_status()"
    say "Status"
    columns=$(columns f.product f.gallery_release f.immich_first f.immich_last f.native_migrations::text f.fork_migrations::text \
        "pg_catalog.array_to_string(f.unknown_migrations, E''\\x1d'')" f.last_started)
    ask status "$(function_sql gallery_revert_status "$columns")" || missing "the status"
    section "gallery_revert_check()"
    say "Check"
    ask check "$(function_sql gallery_revert_check "$(columns f.name f.status f.detail f.hint)")" || missing "the check"
    section "gallery_revert_plan()"
    say "Plan"
    columns=$(columns f.step::text f.phase f.kind f.object f.reason f.rows::text f.statement)
    ask plan "$(function_sql gallery_revert_plan "$columns")" || missing "the plan"
}

refused='' conn=''
if [ -n "$container" ]; then
    docker_env=(-e "PGAPPNAME=gallery_revert report" -e PGCLIENTENCODING=UTF8)
    if ! command -v docker >/dev/null; then refused='Error: docker is not on the PATH of this machine'
    else
        # The container knows the role and the database that it was made with.
        # shellcheck disable=SC2016 # expanded in the container
        known=$(docker exec "$container" sh -c \
            'printf "%s\037%s\037" "${POSTGRES_USER:-${DB_USERNAME:-postgres}}" "${POSTGRES_DB:-${DB_DATABASE_NAME:-immich}}"' \
            2>"$tmp/messages") || refused="Error: the container does not answer"$'\n'"$(cat "$tmp/messages")"
        IFS=$'\037' read -r known_user known_database <<<"$known"
        docker_env+=(-e "PGUSER=${user:-$known_user}")
        [ -z "${PGPASSWORD:-}" ] || docker_env+=(-e PGPASSWORD)
        conn=$(conninfo "${database:-$known_database}")
    fi
else
    export PGAPPNAME="gallery_revert report" PGCLIENTENCODING=UTF8 PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-15}
    [ -z "$user" ] || export PGUSER=$user
    command -v psql >/dev/null ||
        refused='Error: psql is not on the PATH of this machine; the one in the container: --docker immich_postgres'
    if [ -n "$database" ]; then conn=$(conninfo "$database")
    elif [ -n "${PGDATABASE:-}" ]; then conn=$(conninfo "$PGDATABASE")
    elif [ -n "${PGSERVICE:-}" ]; then conn="service='$PGSERVICE'"
    else conn=$(conninfo immich); fi
fi

[ -n "$output" ] || output=gallery_revert-report-$(date -u +%Y%m%dT%H%M%SZ).txt
body >"$tmp/report" || fail "the report could not be written"
# Nothing is ever overwritten.
(set -o noclobber && cat -- "$tmp/report" >"$output") 2>/dev/null ||
    fail "the file cannot be made: $output" "Is it there already? Choose another with --output."
say ""
say "Read it before you send it:"
printf '%s\n' "$output"
exit $status
