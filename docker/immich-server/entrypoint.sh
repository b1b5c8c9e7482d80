#!/bin/bash
# gallery-revert entrypoint: stands in front of the stock entrypoint of the immich-server image. It waits for the
# database, reverts it to Immich if it is a Gallery database and the token is given, and then becomes the stock
# command. On a plain Immich database it changes nothing, so it may stay in place.
#
#   entrypoint: ["tini", "--", "/bin/bash", "/usr/local/bin/gallery-revert-entrypoint"]
#   command: ["start.sh"]
#
# Reads what the stock start.sh reads: DB_URL, or DB_HOSTNAME, DB_PORT, DB_USERNAME, DB_PASSWORD, DB_DATABASE_NAME,
# their files (DB_PASSWORD_FILE and so on, or one of that name in $CREDENTIALS_DIRECTORY), and DB_SSL_MODE. Its own:
#   GALLERY_REVERT_TOKEN  must be i_accept_data_loss before a Gallery database is touched
#   GALLERY_REVERT_WAIT   how many seconds to wait for the database (default 60)
#   GALLERY_REVERT_LOG    a file that gets what is said of a Gallery database, too: a container's log goes with the container
# The revert goes to the image's own release, IMMICH_SOURCE_REF. In Gallery's image, and in one that is no release, nothing
# is reverted: what started next would change the database again.
#
# Exit codes, all with Immich not started and, but for 18 and 20, with the database as it was:
#   10  a setting is wrong or its file cannot be read, or the image is Gallery's or no release
#   11  the database did not answer in time
#   12  the database refused the connection (password, role or name)
#   13  it is a Gallery database, and the token is missing or wrong
#   14  the extension is not installed on the database server, or may not be created
#   15  another client is connected to the database
#   16  gallery_revert() refused for another reason, which it says
#   17  the migration table cannot be read, or there is more than one Immich
#   18  stopped by a signal (if the revert had already been committed, the message says so)
#   19  there is no psql in this image
#   20  the connection was lost during the revert (the server undoes it, unless it was just committed: the next start
#       looks again)
# Any other code is the stock command's own.

set -u

# Recorded by every Gallery release as its first migration, and by no Immich.
readonly first_gallery_migration=1772230000000-CreateStorageMigrationLogTable

stopped='' child='' answer='' product='' authorities='' log=''
db_host=localhost db_port=5432 db_user='' db_password='' db_name=''
db_sslmode='' db_sslrootcert='' db_sslcert='' db_sslkey=''

say() {
    printf 'gallery-revert: %s\n' "$@" >&2
    [ -z "$log" ] || printf 'gallery-revert: %s\n' "$@" >>"$log"
}

# From here on what is said is kept.
keep_log() {
    [ -n "${GALLERY_REVERT_LOG-}" ] || return 0
    if { date -u '+%Y-%m-%dT%H:%M:%SZ' >>"$GALLERY_REVERT_LOG"; } 2>/dev/null; then
        log=$GALLERY_REVERT_LOG
    else
        say "warning: cannot write \"$GALLERY_REVERT_LOG\"; what follows is in this container's log only, and goes with it"
    fi
}

# fail CODE LINE...
fail() {
    local code=$1
    shift
    say "$@"
    exit "$code"
}

on_signal() {
    stopped=$1
    # psql turns this into a cancel request, so that the server stops at once and not at the statement's end.
    [ -z "$child" ] || kill -INT "$child" 2>/dev/null
}

give_up_if_stopped() {
    [ -z "$stopped" ] || fail 18 "stopped by SIG$stopped; the database is unchanged and Immich was not started"
}

remove_authorities() {
    [ -z "$authorities" ] || rm -f "$authorities"
}

# setting NAME DEFAULT: the value that start.sh would use; a file wins over the variable.
setting() {
    local name=$1 value=${!1-} file_name=${1}_FILE file
    file=${!file_name-}
    # start.sh knows no file for the port.
    if [ "$name" != DB_PORT ] && [ "$name" != DB_SSL_MODE ]; then
        if [ -z "$file" ] && [ -e "${CREDENTIALS_DIRECTORY-}/$name" ]; then
            file=${CREDENTIALS_DIRECTORY-}/$name
        fi
        if [ -n "$file" ]; then
            { value=$(<"$file"); } 2>/dev/null || fail 10 "cannot read \"$file\" (for $name)"
        fi
    fi
    printf '%s' "${value:-$2}"
}

decode() {
    local text=${1//\\/\\\\}
    printf '%b' "${text//%/\\x}"
}

# The parts of DB_URL. The address itself is never passed on: it holds the password.
use_url() {
    local rest=${1#*://} authority path query="" user host pair value
    [[ $1 =~ ^postgres(ql)?:// ]] || fail 10 "DB_URL does not start with postgresql://"
    case $rest in
        *\?*) query=${rest#*\?} rest=${rest%%\?*} ;;
    esac
    case $rest in
        */*) authority=${rest%%/*} path=${rest#*/} ;;
        *) authority=$rest path="" ;;
    esac
    host=${authority##*@}
    if [ "$host" != "$authority" ]; then
        user=${authority%@*}
        db_user=$(decode "${user%%:*}")
        [ "${user#*:}" = "$user" ] || db_password=$(decode "${user#*:}")
    fi
    if [[ $host =~ ^(\[([^]]*)\]|([^:]*))(:([0-9]+))?$ ]]; then
        db_port=${BASH_REMATCH[5]:-5432}
        host=$(decode "${BASH_REMATCH[2]}${BASH_REMATCH[3]}")
        [ -z "$host" ] || db_host=$host
    else
        fail 10 "DB_URL has no valid host and port"
    fi
    [ -z "$path" ] || db_name=$(decode "$path")
    while [ -n "$query" ]; do
        pair=${query%%&*}
        query=${query#"$pair"}
        query=${query#&}
        value=$(decode "${pair#*=}")
        case $pair in
            host=*) db_host=$value ;;
            port=*) db_port=$value ;;
            user=*) db_user=$value ;;
            password=*) db_password=$value ;;
            dbname=*) db_name=$value ;;
            # Node's drivers know values here that libpq does not.
            ssl=true | ssl=1 | sslmode=no-verify) db_sslmode=require ;;
            sslmode=*) db_sslmode=$value ;;
            sslrootcert=*) db_sslrootcert=$value ;;
            sslcert=*) db_sslcert=$value ;;
            sslkey=*) db_sslkey=$value ;;
        esac
    done
}

read_settings() {
    local url program
    # A failed $(...) is a failed exit status, not an exit.
    url=$(setting DB_URL "") || exit
    if [ -n "$url" ]; then
        use_url "$url"
    else
        db_host=$(setting DB_HOSTNAME database) || exit
        db_port=$(setting DB_PORT 5432) || exit
        db_user=$(setting DB_USERNAME postgres) || exit
        db_password=$(setting DB_PASSWORD postgres) || exit
        db_name=$(setting DB_DATABASE_NAME immich) || exit
        db_sslmode=$(setting DB_SSL_MODE "") || exit
    fi
    [[ $db_port =~ ^[0-9]{1,5}$ ]] || fail 10 "the database's port \"$db_port\" is not a number"
    wait_limit=${GALLERY_REVERT_WAIT:-60}
    [[ $wait_limit =~ ^[0-9]{1,6}$ ]] || fail 10 "GALLERY_REVERT_WAIT \"$wait_limit\" is not a number of seconds"
    # 08 is no octal number.
    wait_limit=$((10#$wait_limit))
    for program in psql pg_isready; do
        command -v "$program" >/dev/null || fail 19 "there is no $program in this image; use an immich-server image"
    done
}

# Who may have signed the server's certificate. Immich asks Node, which has a list of its own; libpq would want a file in
# the home directory, which is not there, and the image has no list of the system's either.
trust_whom_node_trusts() {
    [[ $db_sslmode == verify-* && -z $db_sslrootcert ]] || return 0
    trap remove_authorities EXIT
    authorities=$(mktemp) || fail 10 "DB_SSL_MODE $db_sslmode needs a temporary file, and none can be written"
    {
        node -p 'require("tls").rootCertificates.join("\n")'
        # Node only warns of a file that it cannot read.
        [ -z "${NODE_EXTRA_CA_CERTS-}" ] || cat "$NODE_EXTRA_CA_CERTS"
    } >"$authorities"
    [ -s "$authorities" ] || fail 10 "DB_SSL_MODE $db_sslmode needs node, which says who may sign certificates"
    db_sslrootcert=$authorities
}

# Becomes a client program; for use in a subshell, because the stock command is to find its environment as it was.
connected() {
    local name
    # Immich does not read libpq's own variables: they may name another database.
    for name in "${!PG@}"; do
        unset "$name"
    done
    export PGCONNECT_TIMEOUT=10 PGAPPNAME=gallery-revert-entrypoint
    export PGHOST=$db_host PGPORT=$db_port
    [ -z "$db_user" ] || export PGUSER="$db_user"
    [ -z "$db_password" ] || export PGPASSWORD="$db_password"
    [ -z "$db_name" ] || export PGDATABASE="$db_name"
    [ -z "$db_sslmode" ] || export PGSSLMODE="$db_sslmode"
    [ -z "$db_sslrootcert" ] || export PGSSLROOTCERT="$db_sslrootcert"
    [ -z "$db_sslcert" ] || export PGSSLCERT="$db_sslcert"
    [ -z "$db_sslkey" ] || export PGSSLKEY="$db_sslkey"
    exec "$@"
}

warn_of_gallery_settings() {
    local name names=""
    for name in IMMICH_STORAGE_BACKEND "${!IMMICH_S3_@}"; do
        [ -z "${!name-}" ] || names="$names $name"
    done
    [ -z "$names" ] || say "warning: only Gallery knows these settings, remove them:$names"
}

wait_for_database() {
    local deadline=$((SECONDS + wait_limit))
    while :; do
        # A name lookup can hang for longer than any limit of pg_isready's own, and a server that refuses the SSL mode
        # or shows a certificate of somebody unknown is one that answers.
        (connected timeout 5 env -u PGSSLROOTCERT -u PGSSLCERT -u PGSSLKEY PGSSLMODE=prefer pg_isready -q -t 3) &
        child=$!
        wait "$child" && break
        kill "$child" 2>/dev/null
        child=
        give_up_if_stopped
        if [ "$SECONDS" -gt "$deadline" ]; then
            fail 11 "the database at $db_host port $db_port did not answer within $wait_limit seconds" \
                "start it, look at its log, or wait longer with GALLERY_REVERT_WAIT"
        fi
        sleep 0.5 &
        wait $!
        give_up_if_stopped
    done
    child=
}

# Runs an SQL script in one session; its output ends up in $answer, psql's exit status is returned.
talk() {
    local script=$1 pipe line status stopping=0 signal=INT known
    answer=
    # Not through another program: it might still have the last words when this one has ended, and the container with it.
    [ -z "$log" ] || known=$(wc -c <"$log")
    exec {pipe}< <([ -z "$log" ] || exec 2>>"$log"; connected psql -X -q -A -t -w -v ON_ERROR_STOP=0 < <(printf '%s\n' "$script"))
    child=$!
    while :; do
        IFS= read -r -t 0.2 -u "$pipe" line
        status=$?
        answer+=$line
        case $status in
            0) answer+=$'\n' ;;
            1) break ;;
        esac
        # A cancel request that arrives between two statements has no effect, so it is repeated.
        if [ -n "$stopped" ]; then
            stopping=$((stopping + 1))
            [ "$stopping" -lt 25 ] || signal=TERM
            kill "-$signal" "$child" 2>/dev/null
        fi
    done
    exec {pipe}<&-
    wait "$child"
    status=$?
    child=
    [ -z "$log" ] || tail -c "+$((known + 1))" "$log" >&2
    return "$status"
}

# step WHAT SQL: the statement, and the end of the session if it fails. Ending it undoes the open transaction.
step() {
    cat <<END
$2
\\if :ERROR
\\echo failed $1 :LAST_ERROR_SQLSTATE
\\quit
\\endif
END
}

# The first statements of every transaction. Whatever a database or a role sets: only the server's own functions and operators
# are found by a name alone, and a policy is an error and no filter.
readonly settings="
        SET search_path = pg_catalog, pg_temp;
        SET row_security = off;
        SET jit = off;
        SET standard_conforming_strings = on;"

# Immich's ledger, and whether Gallery has one beside it. Whoever may create tables can make some of these names, so the
# ledger's owner has to own Immich's users and assets as well. Read from the catalog alone.
readonly ledgers="
        SELECT s.nspname::text AS home, EXISTS (SELECT FROM pg_catalog.pg_class g
                WHERE g.relnamespace = s.oid AND g.relkind = 'r' AND g.relowner = c.relowner AND g.relname::text = 'gallery_migrations'
                  AND 2 = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = g.oid
                    AND a.attname::text IN ('name', 'timestamp')
                    AND a.atttypid IN ('pg_catalog.text'::pg_catalog.regtype::oid, 'pg_catalog.varchar'::pg_catalog.regtype::oid))) AS split
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
            WHERE c.relkind = 'r' AND c.relname::text = 'kysely_migrations'
              AND 2 = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid
                AND a.attname::text IN ('name', 'timestamp')
                AND a.atttypid IN ('pg_catalog.text'::pg_catalog.regtype::oid, 'pg_catalog.varchar'::pg_catalog.regtype::oid))
              AND 2 = (SELECT pg_catalog.count(DISTINCT pg_catalog.rtrim(i.relname::text, 's')) FROM pg_catalog.pg_class i
                WHERE i.relnamespace = s.oid AND i.relkind = 'r' AND i.relowner = c.relowner
                  AND i.relname::text IN ('user', 'users', 'asset', 'assets'))"

# Sets product to gallery or other. A database that is not Gallery's gets no extension, not even for a moment. The ledger's
# rows are copied and compared here: COPY of a table plans nothing, so it runs no code that somebody left with the table. A
# line that begins with a tab is ours, COPY writes it as two characters.
find_out_product() {
    local status
    # No limit at all is what 0 would mean to the server.
    talk "
        \\set ON_ERROR_STOP on
        BEGIN READ ONLY;
        $settings
        SET lock_timeout = '$((wait_limit > 0 ? wait_limit : 1))s';
        SELECT pg_catalog.count(*) = 1 AS one, pg_catalog.count(*) > 1 AS several, pg_catalog.min(l.home) AS home,
            COALESCE(pg_catalog.bool_or(l.split), false) AS split FROM ($ledgers) AS l \\gset
        \\if :several
        \\echo '\\tseveral'
        \\endif
        \\if :split
        \\echo '\\tgallery'
        \\endif
        \\if :one
        COPY :\"home\".kysely_migrations (name) TO STDOUT;
        \\endif
        \\echo '\\tfinished'"
    status=$?
    give_up_if_stopped
    if [ "$status" -eq 2 ]; then
        fail 12 "cannot use database \"$db_name\" as \"$db_user\" at $db_host port $db_port, see the error above" \
            "check DB_USERNAME, DB_PASSWORD, DB_DATABASE_NAME and DB_SSL_MODE, or DB_URL"
    fi
    answer=$'\n'$answer
    case $answer in
        *$'\n\tseveral\n'*)
            fail 17 "database \"$db_name\" holds more than one Immich, in several schemas; nothing was changed" \
                "move one of them to a database of its own, or drop the one that is not in use" ;;
        *$'\n\tfinished\n'*) ;;
        *)
            fail 17 "cannot read the migration table of database \"$db_name\", see the error above" \
                "give \"$db_user\" the right to read it, or end the session that locks it" ;;
    esac
    product=other
    case $answer in
        *$'\n\tgallery\n'* | *$'\n'"$first_gallery_migration"$'\n'*) product=gallery ;;
    esac
}

# What starts after the revert has to be a release of Immich: Gallery's image would put everything back, and the tag of one
# of its releases may be one of Immich's too.
require_immich_image() {
    local start home file
    # start.sh is in the folder bin of the server's own.
    start=$(command -v start.sh)
    for home in /usr/src/app/server "${start%/bin/*}"; do
        for file in "$home"/dist/schema/*/"$first_gallery_migration".js; do
            [ ! -e "$file" ] ||
                fail 10 "this image is Gallery's: it would undo the revert of this Gallery database; nothing was changed" \
                    "dump the database; then set both images to Immich's (ghcr.io/immich-app/immich-server and" \
                    "immich-machine-learning), and IMMICH_VERSION to the tag in docs/compatibility.md"
        done
    done
    [[ ${IMMICH_SOURCE_REF-} =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-rc\.[0-9]+)?$ ]] ||
        fail 10 "this is a Gallery database, and this image (\"${IMMICH_SOURCE_REF-}\") is no release of Immich" \
            "nothing was changed; set IMMICH_VERSION to the tag that docs/compatibility.md has for your Gallery"
}

require_token() {
    [ "${GALLERY_REVERT_TOKEN-}" != i_accept_data_loss ] || return
    [ -z "${GALLERY_REVERT_TOKEN-}" ] || say "GALLERY_REVERT_TOKEN is set, but not to the value that is asked for"
    fail 13 "this is a Gallery database; it was not changed, and Immich cannot run on it" \
        "reverting it deletes what only Gallery knows: spaces, groups, pets and so on; photos and albums stay" \
        "dump the database first, then set GALLERY_REVERT_TOKEN=i_accept_data_loss for this service and start again"
}

revert() {
    local target=$IMMICH_SOURCE_REF script status pin
    say "this is a Gallery database; reverting it to Immich $target"
    script=$(
        # Without this the server would go on for a client that was killed. Not every system has it: no step.
        echo "SET client_connection_check_interval = '1s';"
        step begin "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
        step begin "$settings"
        step create "SELECT l.home AS ledger FROM ($ledgers) AS l \\gset"
        step create "CREATE EXTENSION IF NOT EXISTS gallery_revert SCHEMA :\"ledger\";"
        # The extension's own function: another of that name may be anybody's.
        step create "SELECT n.nspname AS home, pg_catalog.pg_has_role(e.extowner, 'USAGE') AS mine
            FROM pg_catalog.pg_extension e
            JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass::oid
                AND d.refobjid = e.oid AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass::oid
            JOIN pg_catalog.pg_proc p ON p.oid = d.objid AND p.proname::text = 'gallery_revert' AND p.pronargs = 0
            JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            WHERE e.extname::text = 'gallery_revert' \\gset"
        step revert "SET LOCAL gallery.revert_token = 'i_accept_data_loss';"
        step revert "SET LOCAL gallery.revert_target = '$target';"
        step revert "SELECT COALESCE(:\"home\".gallery_revert(), '') AS pin \\gset"
        # Somebody else's extension was there before: theirs to drop.
        printf '%s\n' '\if :mine'
        step drop "DROP EXTENSION gallery_revert;"
        printf '%s\n' '\else' '\echo kept' '\endif'
        printf '%s\n' '\echo committing'
        step commit "COMMIT;"
        printf '%s\n' '\echo reverted :pin'
    )
    talk "$script"
    status=$?
    if [[ $answer =~ (^|$'\n')reverted\ ([^$'\n']*) ]]; then
        pin=${BASH_REMATCH[2]}
        [ -z "$stopped" ] || fail 18 "stopped by SIG$stopped when the revert was already committed; start again"
        [[ $answer != *kept* ]] || say "warning: the extension belongs to another role; let that role drop it"
        [ -z "$pin" ] || [ "$pin" = "$target" ] || say "warning: pin the image tag $pin; this image is $target"
        say "reverted; jobs that Gallery left in Immich's Redis are not touched, see docs/switching-back.md"
        return
    fi
    # Once COMMIT was sent, only its answer tells. 3 is the status of a psql whose statement was cancelled before that.
    if [ -n "$stopped" ] && [[ $status == [03] && $answer != *committing* ]]; then
        give_up_if_stopped
    fi
    [ -z "$stopped" ] ||
        fail 18 "stopped by SIG$stopped; the revert may have been committed, or is undone: start again, the next start looks"
    [ "$status" -eq 0 ] ||
        fail 20 "the connection was lost during the revert; it may have been committed, or is undone: start again, the next" \
            "start looks"
    case $answer in
        *"failed create"*)
            fail 14 "the database is unchanged; the extension gallery_revert could not be created, see the error above" \
                "use the postgres image with the extension (docker/postgres), and a superuser in DB_USERNAME" ;;
        *"failed revert 55006"*)
            fail 15 "the database is unchanged; stop everything else that uses it, then start again" ;;
        # The hints above are for psql; here other settings do what they ask for.
        *"failed revert 0A000"*)
            fail 16 "the database is unchanged; see the error above" \
                "if the hint above names a tag, set IMMICH_VERSION to it, and start again" ;;
        *"failed revert 42501"*)
            fail 16 "the database is unchanged; see the error above" \
                "\"$db_user\" has to own Immich's tables, and needs, from the role that created the extension:" \
                "GRANT EXECUTE ON FUNCTION gallery_revert() TO role;" \
                "or put a superuser into DB_USERNAME and DB_PASSWORD, for this one start" ;;
        *)
            fail 16 "the database is unchanged; see the error above, and docs/switching-back.md for what to do" ;;
    esac
}

trap 'on_signal TERM' TERM
trap 'on_signal INT' INT

[ $# -gt 0 ] || set -- start.sh
read_settings
trust_whom_node_trusts
warn_of_gallery_settings
wait_for_database
find_out_product
if [ "$product" = gallery ]; then
    keep_log
    require_immich_image
    require_token
    revert
fi
give_up_if_stopped
remove_authorities
# What the stock entrypoint does with the command.
exec /bin/bash -c "$@"
