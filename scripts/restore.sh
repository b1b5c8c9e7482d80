#!/usr/bin/env bash
# Restores the Immich database that preserve-state.sh saved in this folder. It needs nothing but this folder and the programs of the
# database server: no network, and nothing else of the project that made it.
#
#   bash restore.sh --docker immich_postgres
#
# What is there now is kept under another name; nothing is dropped but a restore that failed.
set -u -o pipefail

container='' user='' yes=''
usage()
{
    cat <<'USAGE'
usage: bash restore.sh [OPTION...]

Restores the database that is saved in the folder of this script, under the name that it had. A database of that name is renamed and
kept. Without --docker it uses psql and pg_restore of this machine (PGHOST, PGPORT, PGUSER, PGPASSFILE or PGPASSWORD).

  -c, --docker CONTAINER  run the programs in this container (Immich's own: immich_postgres)
  -U, --username NAME     the role (default: PGUSER or the container's own, else postgres); a superuser
  -y, --yes               do not ask
  -h, --help              this text

Exit status: 0 restored, 1 failed and all is as it was, 2 wrong usage, 3 the answer was no.
USAGE
}
say() { printf '%s\n' "$*" >&2; }
wrong() { say "restore.sh: $*"; say "Try --help."; exit 2; }
fail() { say ""; say "FAILED: $1"; shift; for line in "$@"; do say "  $line"; done; exit 1; }
while [ $# -gt 0 ]; do
    case $1 in
        -c | --docker | -U | --username) { [ $# -ge 2 ] && [ -n "$2" ]; } || wrong "option $1 needs a value" ;;
    esac
    case $1 in
        -c | --docker) container=$2; shift ;;
        -U | --username) user=$2; shift ;;
        -y | --yes) yes=1 ;;
        -h | --help) usage; exit 0 ;;
        *) wrong "unknown option: $1" ;;
    esac
    shift
done
folder=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd -P) || exit 1
[ -r "$folder/immich.dump" ] || fail "there is no immich.dump in $folder" "This script belongs into a folder that preserve-state.sh made."
if command -v sha256sum >/dev/null; then check=(sha256sum); else check=(shasum -a 256); fi
(cd -- "$folder" && "${check[@]}" -c MANIFEST) >/dev/null 2>&1 || fail "this copy is damaged: a checksum in MANIFEST does not hold" \
    "Take another copy of the folder. To see which file: cd $folder && ${check[*]} -c MANIFEST"
name=$(sed -n 's/^database\t//p' "$folder/about.txt")
schema=$(sed -n 's/^schema\t//p' "$folder/about.txt")
{ [ -n "$name" ] && [ -n "$schema" ]; } || fail "about.txt does not say which database it was"

docker_env=()
pg()
{
    if [ -n "$container" ]; then docker exec -i "${docker_env[@]}" "$container" "$@"; else PGAPPNAME=restore "$@"; fi
}
if [ -n "$container" ]; then
    # shellcheck disable=SC2016 # expanded in the container
    user=${user:-$(docker exec "$container" sh -c 'printf "%s" "${POSTGRES_USER:-${DB_USERNAME:-postgres}}"')} ||
        fail "the container \"$container\" does not answer" "Start the database alone with: docker compose up -d database"
    docker_env=(-e PGAPPNAME=restore -e PGCLIENTENCODING=UTF8 -e "PGUSER=$user")
    [ -z "${PGPASSWORD:-}" ] || docker_env+=(-e PGPASSWORD)
elif [ -n "$user" ]; then
    export PGUSER=$user
fi
literal() { printf "'%s'" "${1//\'/\'\'}"; }
identifier() { printf '"%s"' "${1//\"/\"\"}"; }
# Every session begins with the same settings: nobody else's functions are found by a name alone.
sql()
{
    { printf '%s\n' 'SET search_path = pg_catalog, pg_temp;' 'SET standard_conforming_strings = on;'; cat; } |
        pg psql -X -w -q -A -t -P pager=off -v ON_ERROR_STOP=1 --dbname=postgres -f -
}
there() { sql <<<"SELECT pg_catalog.count(*) FROM pg_catalog.pg_database d WHERE d.datname::text = $(literal "$1");"; }

is_there=$(there "$name") || fail "the database server does not answer" "The message above says why."
kept=${name:0:40}_before_$(date -u +%Y%m%d_%H%M%S)
if [ "$is_there" = 1 ]; then
    others=$(sql <<<"SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datname::text = $(literal "$name");") ||
        fail "the sessions cannot be counted"
    [ "$others" = 0 ] || fail "$others sessions are connected to \"$name\"" \
        "Remove the server's containers first: docker compose rm -sf immich-server immich-machine-learning"
    say "The database \"$name\" will be as it was on $(sed -n 's/^taken\t//p' "$folder/about.txt")."
    say "What it holds now stays, under the name \"$kept\"."
else
    say "There is no database \"$name\": it will be made, as it was on $(sed -n 's/^taken\t//p' "$folder/about.txt")."
fi
if [ -z "$yes" ]; then
    printf 'Restore it? [yes/no] ' >&2
    read -r answer
    case $answer in yes | YES | Yes | y) ;; *) say "Nothing was changed."; exit 3 ;; esac
fi

renamed='' begun='' finished=''
take_back()
{
    trap '' HUP INT TERM
    # shellcheck disable=SC2317 # called by the trap
    if [ -n "$begun" ] && [ -z "$finished" ]; then
        if [ -z "$renamed" ] && [ "$is_there" = 1 ]; then return; fi
        sql >/dev/null <<<"DROP DATABASE IF EXISTS $(identifier "$name") WITH (FORCE);" ||
            say "the half restored database could not be dropped"
        [ -z "$renamed" ] || sql >/dev/null <<<"ALTER DATABASE $(identifier "$kept") RENAME TO $(identifier "$name");" ||
            say "The database from before is called \"$kept\": rename it to \"$name\" when the server answers again."
    fi
}
trap take_back EXIT
trap 'exit 130' HUP INT TERM
begun=1
if [ "$is_there" = 1 ]; then
    sql >/dev/null <<<"ALTER DATABASE $(identifier "$name") RENAME TO $(identifier "$kept");" || fail "the database could not be renamed"
    renamed=1
fi
# Immich's functions expect their schema on the search path, which pg_dump empties.
path=$(sql <<<"SELECT pg_catalog.format('SELECT pg_catalog.set_config(''search_path'', %L, false);',
    'pg_catalog, ' || pg_catalog.quote_ident($(literal "$schema")));") || fail "the database server does not answer"
pg pg_restore --create --file=- <"$folder/immich.dump" |
    WANTED=$path LC_ALL=C awk 'BEGIN { empty = "SELECT pg_catalog.set_config(\047search_path\047, \047\047, false);" }
        $0 == empty { $0 = ENVIRON["WANTED"] } { print }' |
    sql >/dev/null || fail "the copy could not be restored; all is as it was" "The message above says why."
[ "$(there "$name")" = 1 ] || fail "the restored database is not there"
finished=1
say ""
say "Restored: \"$name\"."
[ -z "$renamed" ] || say "The one from before is \"$kept\"; drop it when all is well, and not before."
say "Start it with the release that it is of: the last line of versions.tsv, or ask scripts/advise.sh."
[ ! -s "$folder/images.tsv" ] || say "The images that ran when it was saved are in images.tsv."
