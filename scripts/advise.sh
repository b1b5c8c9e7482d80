#!/usr/bin/env bash
# What to do after a failed update: asks the database which release starts on it, and prints the answer with the commands to paste.
#
#   gallery_revert/scripts/advise.sh --docker immich_postgres v3.0.3
#
# The answer is that of the function immich_recovery_advice(), without the extension: advise.sql, which lies beside this script, is
# plain SQL for any Immich database. It runs in one transaction that only reads, and runs nobody's code with more rights than he has.
set -u -o pipefail

container='' user='' database='' tag='' show=text backups=''
usage()
{
    cat <<'USAGE'
usage: advise.sh [OPTION...] [TAG]

Says which Immich release starts on a database, why, and what to do. TAG is the release that would not start, such as v3.0.3; without
one the answer is for the newest version that the database names. Nothing is changed. Without --docker it uses psql of this machine and
the usual environment variables (PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSFILE or PGPASSWORD).

  -c, --docker NAME       run psql in this container or compose service (Immich's own: immich_postgres)
  -d, --database NAME     the database (default: PGDATABASE or the container's own, else immich)
  -U, --username NAME     the role (default: PGUSER or the container's own, else postgres)
  -b, --backups DIR       also compare with the newest dump in this folder (Immich's: UPLOAD_LOCATION/backups)
      --answer            only two words: the advice and the tag to pin
      --steps             only the commands
  -h, --help              this text

Exit status: 0 answered, 1 there is no answer, and a message says why, 2 wrong usage.
USAGE
}
say() { printf '%s\n' "$*" >&2; }
wrong() { say "advise.sh: $*"; say "Try --help."; exit 2; }
fail() { say "FAILED: $1"; shift; for line in "$@"; do say "  $line"; done; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        -c | --docker | -d | --database | -U | --username | -b | --backups)
            { [ $# -ge 2 ] && [ -n "$2" ]; } || wrong "option $1 needs a value" ;;
    esac
    case $1 in
        -c | --docker) container=$2; shift ;;
        -d | --database)
            # The value is not repeated: it may hold a password.
            case $2 in *://* | *=*) wrong "--database takes a name; use PGHOST, PGPORT, PGUSER and a password file for the rest" ;; esac
            database=$2; shift ;;
        -U | --username) user=$2; shift ;;
        -b | --backups) backups=$2; [ -d "$backups" ] || wrong "there is no folder $backups"; shift ;;
        --answer) show=answer ;;
        --steps) show=steps ;;
        -h | --help) usage; exit 0 ;;
        -*) wrong "unknown option: $1" ;;
        *) [ -z "$tag" ] || wrong "one tag only"; tag=$1 ;;
    esac
    shift
done

here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd) || exit 1
# A checkout of the sources has no such file, but what makes it.
if [ -r "$here/advise.sql" ]; then advise_sql() { cat -- "$here/advise.sql"; }
elif [ -x "$here/../tools/advise-sql" ]; then advise_sql() { "$here/../tools/advise-sql"; }
else fail "advise.sql must lie beside this script"; fi

# A whole connection string, so that neither a service file nor an odd name can lead to another database.
conninfo() { printf "dbname='%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"; }
pg()
{
    if [ -n "$container" ]; then docker exec -i "${docker_env[@]}" "$container" "$@"; else "$@"; fi
}
if [ -n "$container" ]; then
    command -v docker >/dev/null || fail "docker is not on this machine's PATH"
    # A service of the compose file in this folder is a name as well.
    docker inspect --format '{{.Name}}' "$container" >/dev/null 2>&1 || {
        service=$(docker compose ps -q "$container" 2>/dev/null | head -n 1)
        container=${service:-$container}
    }
    # shellcheck disable=SC2016 # expanded in the container
    known=$(docker exec "$container" sh -c \
        'printf "%s\037%s\037" "${POSTGRES_USER:-${DB_USERNAME:-postgres}}" "${POSTGRES_DB:-${DB_DATABASE_NAME:-immich}}"') ||
        fail "the container \"$container\" does not answer" "Start the database alone with: docker compose up -d database" \
            "Containers that run: docker ps"
    IFS=$'\037' read -r known_user known_database <<<"$known"
    docker_env=(-e PGAPPNAME=advise -e PGCLIENTENCODING=UTF8 -e "PGUSER=${user:-$known_user}")
    [ -z "${PGPASSWORD:-}" ] || docker_env+=(-e PGPASSWORD)
    first=$(conninfo "${database:-$known_database}")
else
    command -v psql >/dev/null || fail "psql is not on this machine's PATH" \
        "Install PostgreSQL's client programs, or use those in the container: --docker immich_postgres"
    export PGAPPNAME=advise PGCLIENTENCODING=UTF8 PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-15}
    [ -z "$user" ] || export PGUSER=$user
    if [ -n "$database" ]; then first=$(conninfo "$database")
    elif [ -n "${PGDATABASE:-}" ]; then first=$(conninfo "$PGDATABASE")
    elif [ -n "${PGSERVICE:-}" ]; then first="service='$PGSERVICE'"
    else first=$(conninfo immich); fi
fi

# The answer stays in a setting of the session, from which it is taken in pieces; a line begins with the word that says what it is.
ask()
{
    cat <<SQL
\\set SHOW_CONTEXT never
SET search_path = pg_catalog, pg_temp;
SET standard_conforming_strings = on;
SET immich_advice.target = '$(printf '%s' "$tag" | sed "s/'/''/g")';
\\o /dev/null
SQL
    advise_sql || return
    cat <<'SQL'
\o
SELECT x.word || ' ' || pg_catalog.translate(x.line, E'\n\r', '  ')
FROM (SELECT pg_catalog.current_setting('immich_advice.answer')::pg_catalog.jsonb) AS a (answer)
CROSS JOIN LATERAL (
    SELECT 1, 'advice', a.answer ->> 'advice' UNION ALL SELECT 2, 'pin', a.answer ->> 'pin'
    UNION ALL SELECT 3, 'reason', a.answer ->> 'reason'
    UNION ALL SELECT 4 + f.place, 'found', f.line
        FROM pg_catalog.jsonb_array_elements_text(a.answer -> 'findings') WITH ORDINALITY AS f (line, place)
    UNION ALL SELECT 1000 + s.place, 'step', s.line
        FROM pg_catalog.jsonb_array_elements_text(a.answer -> 'steps') WITH ORDINALITY AS s (line, place)) AS x (place, word, line)
WHERE x.line IS NOT NULL ORDER BY x.place;
SQL
    [ -z "$backups" ] || times_sql
}
# COPY of a table plans nothing, so it runs nobody's code; only tables of the ledger's owner are Immich's.
times_sql()
{
    cat <<'SQL'
SET DateStyle = 'ISO';
SET TimeZone = 'UTC';
SET row_security = off;
SET jit = off;
SELECT pg_catalog.format('SELECT %L', '@ ' || c.relname::text),
    pg_catalog.format('COPY %I.%I ("createdAt") TO STDOUT', n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class l ON l.relnamespace = n.oid AND l.relowner = c.relowner AND l.relkind IN ('r', 'p')
  AND l.relname::text IN ('kysely_migrations', 'migrations')
WHERE c.relkind = 'r' AND c.relname::text IN ('asset', 'assets', 'version_history')
  AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname::text = 'createdAt'
    AND a.atttypid = 'pg_catalog.timestamptz'::pg_catalog.regtype::oid)
ORDER BY c.relname::text \gexec
SQL
}
# The newest value of each table takes the place of all of them.
newest()
{
    LC_ALL=C awk '/^@ / { table = $2; next }
        table == "" { print; next }
        /^[0-9][0-9][0-9][0-9]-/ && !/BC$/ && substr($0, 1, 19) > at[table] { at[table] = substr($0, 1, 19) }
        END { for (table in at) print (table == "version_history" ? "start " : "asset ") at[table] }'
}
# The dump that is newest by the day of its file: what a server of Immich's or preserve-state.sh wrote.
newest_backup()
{
    find "$backups" -type f \( -name '*.sql.gz' -o -name '*.sql' -o -name immich.dump \) -exec ls -td {} + 2>/dev/null | head -n 1
}
compared_with_backup()
{
    local file when asset
    asset=$(part asset)
    [ -z "$asset" ] || echo "newest photo or video in the database: $asset UTC"
    [ -z "$(part start)" ] || echo "newest release recorded in the database: $(part start) UTC"
    file=$(newest_backup)
    [ -n "$file" ] || { echo "no dump is in $backups"; return; }
    when=$(TZ=UTC date -r "$file" '+%Y-%m-%d %H:%M:%S') || return
    echo "newest dump: $when UTC, $file"
    if [[ $asset > $when ]]; then
        echo "photos or videos came in after that dump: whoever restores it has to upload them again (their files stay)"
    fi
}
answer=$(ask | pg psql -X -w -q -A -t -P pager=off -v ON_ERROR_STOP=1 --dbname="$first" -f - | newest) || {
    say ""
    fail "the database gave no answer" "The message above says why. A password belongs into PGPASSWORD or a password file (~/.pgpass)."
}
# Names come from the database: what a terminal would take for commands goes.
part() { printf '%s\n' "$answer" | LC_ALL=C sed -n "s/^$1 //p" | LC_ALL=C tr '\001-\010\013-\037\177' '?'; }
case $show in
    answer) printf '%s %s\n' "$(part advice)" "$(part pin)" ;;
    steps) part step ;;
    text)
        printf 'advice: %s\npin:    %s\nreason: %s\n\n' "$(part advice)" "$(part pin)" "$(part reason)"
        { part found; [ -z "$backups" ] || compared_with_backup; } | sed 's/^/found:  /'
        [ -z "$(part found)$backups" ] || echo
        echo "The steps, one list of commands, in which a failure ends what comes after it. Read them before you paste them:"
        echo
        part step ;;
esac
