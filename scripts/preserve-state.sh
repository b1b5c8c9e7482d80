#!/usr/bin/env bash
# Saves the state of an Immich database before anything is touched: a dump that was read back, counts to compare with
# later, the ledger of migrations, the versions, and copies of the configuration, in a new dated folder.
#
#   gallery_revert/scripts/preserve-state.sh --docker immich_postgres --install . --test-restore
#
# All of it is one snapshot: counts and ledger are read in the transaction whose snapshot pg_dump uses, so they agree
# with the dump even while the server runs. Nothing is written to the database; --test-restore makes and drops a
# database of its own. The folder is called NAME.partial until its last file, MANIFEST, is written.
# The SQL is in preserve-queries.sh, which has to lie beside this script. No code that others left in the database is run,
# neither by looking nor by the test restore.
set -u -o pipefail
umask 077
# A client that dies early is an error to report, not a reason to die silently.
trap '' PIPE

out=${HOME:+$HOME/immich-preserved} container='' user='' database='' install='' test_restore='' space_check=1
files=() children=' ' partial='' tmp='' scratch='' session='' complete='' keep_as=''

here=$(dirname -- "$(readlink -f -- "$0")")
# shellcheck source=scripts/preserve-queries.sh
. "$here/preserve-queries.sh" || { echo "preserve-state.sh: preserve-queries.sh must lie beside it" >&2; exit 1; }

usage()
{
    cat <<'USAGE'
usage: preserve-state.sh [OPTION...]

Dumps an Immich database, reads the dump back, and saves counts, ledger, versions and configuration beside it in a
new dated folder. Without --docker it uses psql, pg_dump and pg_restore of this machine and the usual environment
variables (PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSFILE or PGPASSWORD).

  -o, --output DIR        where the dated folder is made (default: ~/immich-preserved)
  -c, --docker CONTAINER  run the programs in this container (Immich's own: immich_postgres)
  -d, --database NAME     the database (default: PGDATABASE or the container's own, else immich)
  -U, --username NAME     the role (default: PGUSER or the container's own, else postgres)
  -i, --install DIR       also copy .env and the compose files of this folder
  -f, --file FILE         also copy this file (may be repeated)
  -t, --test-restore      restore the dump into a scratch database, compare the counts, drop it
      --no-space-check    go on although the disk has less room than the database has bytes
  -h, --help              this text

Prints the folder's name on standard output, all else on standard error.
Exit status: 0 all done, 1 failed (nothing that looks complete is left), 2 wrong usage, 129/130/143 interrupted.
USAGE
}

say() { printf '%s\n' "$*" >&2; }
wrong() { say "preserve-state.sh: $*"; say "Try --help."; exit 2; }
fail() { say ""; say "FAILED: $1"; shift; for line in "$@"; do say "  $line"; done; exit 1; }
show_log() { grep -v "^$mark " -- "$1" | tail -n 15 | sed 's/^/    /' >&2; }

while [ $# -gt 0 ]; do
    case $1 in
        -o | --output | -c | --docker | -d | --database | -U | --username | -i | --install | -f | --file)
            { [ $# -ge 2 ] && [ -n "$2" ]; } || wrong "option $1 needs a value" ;;
    esac
    case $1 in
        -o | --output) out=$2; shift ;;
        -c | --docker) container=$2; shift ;;
        -d | --database)
            # The value is not repeated: it may hold a password.
            case $2 in *://* | *=*) wrong "--database takes a name; use PGHOST, PGPORT, PGUSER and a password file for the rest" ;; esac
            database=$2; shift ;;
        -U | --username) user=$2; shift ;;
        -i | --install) install=$2; shift ;;
        -f | --file) files+=("$2"); shift ;;
        -t | --test-restore) test_restore=1 ;;
        --no-space-check) space_check='' ;;
        -h | --help) usage; exit 0 ;;
        *) wrong "unknown option: $1" ;;
    esac
    shift
done
[ -n "$out" ] || wrong "HOME is not set: say where with --output"

# Clients. pg PROGRAM ARGUMENT... runs one here or in the container; passwords travel in the environment only.
random=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
tag=preserve_state_$random
# Not the tag, which anyone may read who sees the sessions: no row can begin with it.
mark=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
pg()
{
    if [ -n "$container" ]; then
        docker exec -i "${docker_env[@]}" "$container" "$@"
    else
        "$@"
    fi
}
# A whole connection string, so that neither a service file nor an odd name can lead to another database.
conninfo() { printf "dbname='%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"; }
# Every session begins with settings_sql. client CONNINFO OPTION... reads a script that does, sql puts it before one.
client() { pg psql -X -w -q -A -t -P pager=off -v ON_ERROR_STOP=1 --dbname="$1" "${@:2}" -f -; }
sql() { { settings_sql; cat; } | client "$1" -F $'\037'; }

# Long steps run in process groups of their own, so that a signal is taken at once and stops all of the step.
start() { set -m; "$@" 3>&- & child=$!; set +m; children="$children$child "; }
stop() { kill -TERM -- "-$1" 2>/dev/null; wait "$1" 2>/dev/null; forget "$1"; }
# A finished number may be given to a stranger's process.
forget() { children=${children/ $1 / }; }
progress()
{
    while sleep 15 && kill -0 $$ 2>/dev/null; do
        say "    still working, $(date +%H:%M:%S)${1:+, $(($(wc -c <"$1") / 1048576)) MB written}"
    done
}
await()
{
    local step=$child status
    start progress "${1:-}"
    wait "$step"
    status=$?
    forget "$step"
    stop "$child"
    return "$status"
}

drop_scratch()
{
    local end=$((SECONDS + 60)) waiting=''
    say "    dropping the scratch database"
    while :; do
        sql "$conn" >/dev/null 2>"$tmp/drop.log" <<<"DROP DATABASE IF EXISTS \"$scratch\" WITH (FORCE);" && scratch='' && return
        # A server that a full disk brought down comes back, without the copy that filled it.
        grep -qE 'onnection|not connect|starting up|shutting down|recovery|not running|restarting' "$tmp/drop.log" || break
        [ "$SECONDS" -lt "$end" ] || break
        [ -n "$waiting" ] || say "    the server does not answer, waiting for it for a minute"
        waiting=1
        sleep 3
    done
    say "  The scratch database could not be dropped. It is a copy only; when the server answers again, run"
    say "    DROP DATABASE \"$scratch\" WITH (FORCE);"
    return 1
}

cleanup()
{
    local status=$?
    trap - EXIT
    trap '' HUP INT TERM
    exec 3>&-
    for child in $children; do stop "$child"; done
    if [ -n "$session" ] && [ -z "$complete" ]; then
        # Killing a docker client leaves its program running in the container: end what carries this run's tag.
        sql "$conn" >/dev/null 2>&1 <<<"SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
            WHERE application_name::text = '$tag' AND pid <> pg_catalog.pg_backend_pid();"
    fi
    [ -z "$scratch" ] || drop_scratch
    if [ -n "$partial" ] && [ -z "$complete" ]; then
        [ -z "$keep_as" ] || cp -- "$tmp/restore.log" "$partial/" 2>/dev/null
        if [ -n "$keep_as" ] && mv -- "$partial" "$keep_as"; then
            say "  The dump itself was written and read back; it is kept, with restore.log, in"
            say "    $keep_as"
        else
            rm -rf -- "$partial"
            say "  Nothing was kept. The database was not changed."
        fi
    fi
    [ -z "$tmp" ] || rm -rf -- "$tmp"
    exit "$status"
}
interrupted() { say ""; say "Interrupted ($1)."; keep_as=''; exit "$2"; }
trap cleanup EXIT
trap 'interrupted HUP 129' HUP
trap 'interrupted INT 130' INT
trap 'interrupted TERM 143' TERM

sha256()
{
    if command -v sha256sum >/dev/null; then sha256sum -- "$@"; else shasum -a 256 -- "$@"; fi
}

# Step 1: the right database, reached the right way.
if [ -n "$container" ]; then
    command -v docker >/dev/null || fail "docker is not on this machine's PATH"
    # The container knows the role and the database that it was made with.
    # shellcheck disable=SC2016 # expanded in the container
    known=$(docker exec "$container" sh -c \
        'printf "%s\037%s\037" "${POSTGRES_USER:-${DB_USERNAME:-postgres}}" "${POSTGRES_DB:-${DB_DATABASE_NAME:-immich}}"') ||
        fail "the container \"$container\" does not answer" \
            "Start the database alone with: docker compose up -d database" "Containers that run: docker ps" \
            "\"permission denied\" above? Then run it as: sudo --preserve-env=HOME COMMAND"
    IFS=$'\037' read -r known_user known_database <<<"$known"
    docker_env=(-e "PGAPPNAME=$tag" -e PGCLIENTENCODING=UTF8 -e "PGUSER=${user:-$known_user}")
    [ -z "${PGPASSWORD:-}" ] || docker_env+=(-e PGPASSWORD)
    first=$(conninfo "${database:-$known_database}")
else
    for program in psql pg_dump pg_restore; do
        command -v "$program" >/dev/null || fail "$program is not on this machine's PATH" \
            "Install PostgreSQL's client programs, or use those in the container: --docker immich_postgres"
    done
    export PGAPPNAME=$tag PGCLIENTENCODING=UTF8 PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-15}
    [ -z "$user" ] || export PGUSER=$user
    if [ -n "$database" ]; then first=$(conninfo "$database")
    elif [ -n "${PGDATABASE:-}" ]; then first=$(conninfo "$PGDATABASE")
    elif [ -n "${PGSERVICE:-}" ]; then first="service='$PGSERVICE'"
    else first=$(conninfo immich); fi
fi
tmp=$(mktemp -d) || fail "no temporary folder can be made in ${TMPDIR:-/tmp}"

say "1. Looking at the database"
facts_sql | client "$first" -F $'\037' >"$tmp/facts" 2>"$tmp/facts.log" || { show_log "$tmp/facts.log"
    fail "the database cannot be read" "A password belongs into PGPASSWORD or a password file (~/.pgpass)." \
        "docs/recovery.md explains the message above."; }
IFS=$'\037' read -r name major size_kb ledgers schema search_path sessions data_directory wal_kb locale <"$tmp/facts"
conn=$(conninfo "$name")
case $ledgers in
    0) fail "the database \"$name\" holds no Immich: it has no table kysely_migrations beside users and assets of the same owner" \
        "Choose another with --database. All databases: psql -l" ;;
    1) ;;
    *) fail "the database \"$name\" holds an Immich in $ledgers schemas" \
        "It is not clear which one is meant; Immich itself does not start on such a database." ;;
esac
client=$(pg pg_dump --version </dev/null | awk '{ print int($3) }')
[ "${client:-0}" -ge "$major" ] || fail "pg_dump $client cannot dump from PostgreSQL $major" \
    "Install the client programs of PostgreSQL $major, or use those in the container: --docker immich_postgres"
say "    database \"$name\", schema \"$schema\", PostgreSQL $major, $((size_kb / 1024)) MB"
[ "$sessions" -eq 0 ] || say "    $sessions other sessions are connected: the dump is consistent, but what comes after it is not in it." \
    "(docker compose rm -sf immich-server)"

# Step 2: a place for it.
say "2. Making the folder"
if [ -n "$install" ]; then
    install=$(cd -- "$install" 2>/dev/null && pwd -P) || fail "cannot enter the folder of --install"
    for file in .env docker-compose.yml docker-compose.yaml compose.yml compose.yaml docker-compose.override.yml compose.override.yml; do
        [ ! -e "$install/$file" ] || files+=("$install/$file")
    done
    [ ${#files[@]} -gt 0 ] || fail "no compose file and no .env in $install"
fi
for file in ${files[@]+"${files[@]}"}; do
    [ -f "$file" ] && [ -r "$file" ] || fail "cannot read the file: $file"
    printf '%s\n' "${file##*/}"
done | sort | uniq -d >"$tmp/twice" || exit 1
[ ! -s "$tmp/twice" ] || fail "two files are called $(head -n 1 "$tmp/twice")" "Only one can be copied: rename one, or leave one out."
mkdir -p -- "$out" 2>"$tmp/mkdir.log" ||
    { show_log "$tmp/mkdir.log"; fail "the folder $out cannot be made" "Choose another with --output."; }
out=$(cd -- "$out" && pwd -P) || fail "cannot enter the folder $out"
if [ -n "$install" ]; then
    case $out/ in "$install"/*) fail "$out is inside the install folder" \
        "What harms the install would take the copy along: choose a folder outside with --output." ;; esac
fi
final=$out/immich-$(date -u +%Y%m%dT%H%M%SZ)
for existing in "$final" "$final.partial" "$final.restore-failed"; do
    [ ! -e "$existing" ] || fail "$existing is already there" "Nothing is ever overwritten; run this again."
done
mkdir -- "$final.partial" 2>"$tmp/mkdir.log" ||
    { show_log "$tmp/mkdir.log"; fail "cannot write into the folder $out" "Choose another with --output."; }
partial=$final.partial
if [ -n "$space_check" ]; then
    need=$((size_kb + 16384))
    free=$(free_kb env "$out")
    [ -z "$free" ] || [ "$free" -ge "$need" ] || fail "not enough room: $((free / 1024)) MB free in $out, $((need / 1024)) MB wanted" \
        "Choose another disk with --output. A dump is mostly smaller than its database:" \
        "--no-space-check tries all the same, and a full disk then ends the run."
    if [ -n "$test_restore" ] && [ -n "$data_directory" ] &&
        { [ -n "$container" ] || case ${PGHOST:-/} in /*) true ;; *) false ;; esac; }; then
        missing=$(no_room_for_copy "$data_directory" "$size_kb" "$wal_kb" | head -n 1)
        [ -z "$missing" ] || fail "not enough room for --test-restore: $missing" \
            "Run it without --test-restore, and restore the dump on another machine to be sure of it."
    fi
fi

# Step 3: one snapshot for the counts and the dump. psql reads its commands from a pipe and keeps the transaction open.
say "3. Counting, and dumping the database"
mkfifo "$tmp/commands" || fail "no pipe can be made in $tmp"
session=1
# Opened in a function: opening the pipe waits for its other end, which this shell opens next.
read_session()
{
    client "$conn" -F $'\t' <"$tmp/commands" | count_rows "$mark" "$partial" "$partial/inventory.tsv"
}
start read_session 2>"$tmp/session.log"
reader=$child
exec 3>"$tmp/commands"
session_sql "$mark" "$schema" >&3
while ! grep -q "^$mark ready" "$tmp/session.log"; do
    kill -0 "$reader" 2>/dev/null || { show_log "$tmp/session.log"; fail "the database could not be read"; }
    sleep 0.2
done
snapshot=$(sed -n "s/^$mark snapshot //p" "$tmp/session.log")
if [ -n "$test_restore" ]; then
    # To restore is to run what the dump holds: functions of indexes and conditions, with the rights of whoever restores.
    strangers=$(sed -n "s/^$mark strangers //p" "$tmp/session.log")
    [ -z "$strangers" ] || fail "roles that are no superusers own objects in this database: $strangers" \
        "A test restore would run their code with the rights of the role that restores, so there is none." \
        "Run it without --test-restore, and restore the dump in a PostgreSQL of its own, which holds nothing else;" \
        "or run it as the role that owns everything (--username), if that may create databases."
fi
# Packing harder takes several times as long for a tenth of the size (bench/downtime), and a server may be waiting.
start pg pg_dump --format=custom --compress=1 --no-password --lock-wait-timeout=60000 --snapshot="$snapshot" --dbname="$conn" \
    </dev/null >"$partial/immich.dump" 2>"$tmp/dump.log"
await "$partial/immich.dump" ||
    { show_log "$tmp/dump.log"; fail "pg_dump did not finish" "The message above says why: a full disk, a lock, a lost connection."; }
echo '\q' >&3
exec 3>&-
wait "$reader"
status=$?
forget "$reader"
[ $status -eq 0 ] || { show_log "$tmp/session.log"; fail "the session that held the snapshot ended early"; }
! grep '^not read' "$partial/about.txt" >"$tmp/not-read" ||
    { say "    tables that look like Immich's but belong to another role are not counted:"; show_log "$tmp/not-read"; }
printf 'pg_dump\t%s\n' "$(pg pg_dump --version </dev/null)" >>"$partial/about.txt"
{ [ -s "$partial/inventory.tsv" ] && [ -s "$partial/ledger.tsv" ]; } || fail "the counts could not be written"

# Step 4: a dump that cannot be read is none. --list reads the table of contents only, so all data is read as well.
say "4. Reading the dump back"
pg pg_restore --list <"$partial/immich.dump" >"$partial/contents.txt" 2>"$tmp/list.log" ||
    { show_log "$tmp/list.log"; fail "the dump cannot be read"; }
grep -q ' TABLE DATA .* kysely_migrations \| TABLE DATA .* migrations ' "$partial/contents.txt" ||
    fail "the dump does not hold the ledger of migrations"
start pg pg_restore --file=/dev/null <"$partial/immich.dump" 2>"$tmp/list.log"
await || { show_log "$tmp/list.log"; fail "the dump cannot be read to its end"; }

# Step 5: the proof. Immich's functions expect their schema on the search path, which pg_restore empties. Nobody else may
# connect to the copy and leave something in it meanwhile.
restore()
{
    pg pg_restore --file=- --no-owner --no-privileges --no-comments --no-publications --no-subscriptions <"$partial/immich.dump" |
        restored_sql "$search_path" tried |
        { settings_sql; cat; } | client "$(conninfo "$scratch")" -1 >/dev/null
}
if [ -n "$test_restore" ]; then
    trial=preserve_test_$random
    say "5. Restoring it into a scratch database ($trial)"
    there=$(sql "$conn" <<<"SELECT pg_catalog.count(*) FROM pg_catalog.pg_database WHERE datname::text = '$trial';") ||
        fail "the database does not answer any more"
    [ "$there" = 0 ] || fail "a database called \"$trial\" exists already" "It is not of this run and is left alone; run this again."
    scratch=$trial
    sql "$conn" >/dev/null 2>"$tmp/create.log" <<<"CREATE DATABASE \"$scratch\" TEMPLATE template0 $locale ALLOW_CONNECTIONS false;
        REVOKE ALL ON DATABASE \"$scratch\" FROM PUBLIC; ALTER DATABASE \"$scratch\" ALLOW_CONNECTIONS true;" ||
        { ! grep -q 'already exists' "$tmp/create.log" || scratch=''
          show_log "$tmp/create.log"
          fail "the scratch database cannot be made" "The role needs CREATEDB; or run this without --test-restore."; }
    keep_as=$final.restore-failed
    start restore 2>"$tmp/restore.log"
    await || { show_log "$tmp/restore.log"; fail "the dump could not be restored"; }
    { settings_sql; tables_sql "$mark" "$schema"; inventory_sql; } | client "$(conninfo "$scratch")" -F $'\t' 2>>"$tmp/restore.log" |
        count_rows "$mark" "$tmp" "$partial/inventory-restored.tsv" ||
        { show_log "$tmp/restore.log"; fail "the restored copy could not be counted"; }
    diff <(sort "$partial/inventory.tsv") <(sort "$partial/inventory-restored.tsv") >>"$tmp/restore.log" ||
        { show_log "$tmp/restore.log"; fail "the restored copy differs from the database (< database, > copy)"; }
    keep_as=''
    drop_scratch
    say "    all $(wc -l <"$partial/inventory.tsv" | tr -d ' ') counts agree"
else
    say "5. No test restore (--test-restore was not given)"
fi

# Step 6: configuration, instructions, manifest; the rename comes last of all.
say "6. Finishing"
if [ ${#files[@]} -gt 0 ]; then
    mkdir -- "$partial/config"
    cp -- "${files[@]}" "$partial/config/" || fail "the configuration could not be copied"
fi
# A restore needs neither this project nor the network: the script and the names of the images lie in the folder.
cp -- "$here/restore.sh" "$partial/restore.sh" || fail "restore.sh could not be copied"
if [ -n "$container" ]; then
    project=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.project"}}' "$container" 2>/dev/null)
    docker ps -a --no-trunc --filter "label=com.docker.compose.project=${project:-none}" --format '{{.Names}}\t{{.Image}}' \
        >"$partial/images.tsv" 2>/dev/null
    [ -s "$partial/images.tsv" ] || rm -f -- "$partial/images.tsv"
fi
cat >"$partial/README.txt" <<TEXT || fail "README.txt could not be written"
State of the Immich database "$name", saved $(date -u '+%Y-%m-%d %H:%M UTC') by preserve-state.sh.

immich.dump      pg_dump in custom format$([ -n "$test_restore" ] && printf '; restored once for a test, all counts agreed')
inventory.tsv    what was in it: compare after a restore (immich_inventory.tsv: the same by the extension)
ledger.tsv       the migrations that ran        versions.tsv  the versions that ran
about.txt        server, extensions, settings   contents.txt  the dump's table of contents
config/          copies of compose file and .env, when asked for (.env holds a password)
MANIFEST         checksums: cd into this folder and run  sha256sum -c MANIFEST

The photos are not in here: they are the files in UPLOAD_LOCATION.
How to restore: bash restore.sh --docker CONTAINER, in this folder (--help says more); it keeps the database that is there.
images.tsv       the containers and their images when this was saved, where docker told them
TEXT
# Listed before the manifest is made, so that it does not list itself.
(cd -- "$partial" && names=$(find . -type f | LC_ALL=C sort) &&
    while IFS= read -r file; do sha256 "${file#./}" || exit 1; done <<<"$names" >MANIFEST) ||
    fail "the checksums could not be written"
find "$partial" -type f -exec chmod 400 {} + 2>/dev/null
sync
{ [ ! -e "$final" ] && mv -- "$partial" "$final"; } || fail "the folder could not be given its name $final"
complete=1

say ""
say "Done. The state of the database is in"
say "    $final"
[ ${#files[@]} -eq 0 ] || say "It holds copies of your configuration, with the database password: keep it private."
case $(ls -ld -- "$final") in d???------*) ;; *) say "WARNING: this file system keeps no permissions; others may read the folder." ;; esac
say "The photos themselves are files in UPLOAD_LOCATION and are not in it."
query='SELECT * FROM immich_recovery_advice(NULL::text)'
if ! grep -q '^extension gallery_revert	' "$final/about.txt"; then
    say "Copy the folder to another machine. Next: docs/recovery.md, step 4, or docs/switching-back.md, step 3."
else
    say "Copy the folder to another machine, then ask for the next step:"
    if [ -n "$container" ]; then say "    docker exec $container psql -X -P pager=off -U ${user:-$known_user} -d $name -x -c \"$query\""
    else say "    psql -X -P pager=off -d $name -x -c \"$query\""; fi
fi
printf '%s\n' "$final"
