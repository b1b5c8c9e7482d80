# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2317 # the files beside this one share their variables
# Without docker: the same functions as in stack.sh, server.sh and extension.sh, for a server that systemd runs and a PostgreSQL that is
# reached as the server reaches it, by the settings in its file (--env-file, else /opt/immich/.env, /etc/immich/immich.env or .env here).
# Read after them.
#
# The program on the machine is Gallery's until its owner has put Immich's in its place: so it is stopped and disabled, and not started.

# The last one counts, as systemd reads it: quotes around a value are no part of it, and blanks at its end are none.
setting_of()
{
    sed -n "s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$1=//p" "$env_file" | tail -n 1 | sed '
        s/[[:space:]]*$//
        /^\(\x27\).*\1$/ s/^.\(.*\).$/\1/
        /^".*"$/ { s/^.\(.*\).$/\1/; s/\\\([\\"$`]\)/\1/g; }'
}
config_of() { case $2 in environment.*) setting_of "${2#environment.}" ;; esac; }
unit_names()
{
    systemctl list-unit-files --no-legend --no-pager 'immich*.service' 2>/dev/null | awk '{ sub(/\.service$/, "", $1); print $1 }'
}

find_stack()
{
    local file i names
    for ((i = 0; i < ${#compose_args[@]}; i++)); do
        [ "${compose_args[i]}" != --env-file ] || env_file=${compose_args[i + 1]}
    done
    for file in /opt/immich/.env /etc/immich/immich.env "$PWD/.env"; do [ -n "$env_file" ] || [ ! -e "$file" ] || env_file=$file; done
    { [ -n "$env_file" ] && [ -r "$env_file" ]; } ||
        fail "the file with the server's settings cannot be read${env_file:+: $env_file}" \
            "Name it with --env-file FILE, and run it with sudo."
    install=$(dirname -- "$env_file") stack=host
    secret "$(setting_of DB_PASSWORD)"
    secret "$(setting_of REDIS_PASSWORD)"
    [ -z "$(setting_of DB_URL)" ] || fail "DB_URL in $env_file is not read" "Go the way by hand: docs/switching-back.md."
    db_user=$(setting_of DB_USERNAME) db_name=$(setting_of DB_DATABASE_NAME)
    db_user=${db_user:-postgres} db_name=${db_name:-immich}
    PGHOST=$(setting_of DB_HOSTNAME) PGPORT=$(setting_of DB_PORT) PGUSER=$db_user PGPASSWORD=$(setting_of DB_PASSWORD)
    export PGHOST=${PGHOST:-localhost} PGPORT=${PGPORT:-5432} PGUSER PGPASSWORD PGCLIENTENCODING=UTF8
    unset PGDATABASE PGSERVICE PGOPTIONS
    names=${units:-$(unit_names)}
    server=$(grep -xE 'immich-web|immich-server|immich' <<<"${names// /$'\n'}" | head -n 1)
    [ -n "$server" ] || fail "no service of systemd is called immich-web or immich-server" "Name them: --services 'immich-web immich-ml'"
    # shellcheck disable=SC2086 # words
    learning='' others=$(printf '%s\n' $names | grep -vxF "$server" | tr '\n' ' ')
    database=host
}
read_stack() { :; }
server_line() { printf 'service %s of systemd, settings in\n  %s' "$server $others" "$env_file"; }
container_of() { printf '%s' "$1"; }
inspected() { case $2 in running) echo true ;; image) echo gallery-server ;; esac; }
# Gallery's server runs on this machine, and has a name of its own for no session.
other_sessions()
{
    [ "$(systemctl is-active "$server")" = active ] && return
    ask "$db_name" <<<"SELECT pg_catalog.format('process %s, \"%s\", role %s, %s', a.pid, a.application_name, a.usename, a.state)
        FROM pg_catalog.pg_stat_activity a
        WHERE a.datname::text = pg_catalog.current_database()::text AND a.backend_type = 'client backend'
          AND a.pid <> pg_catalog.pg_backend_pid() AND a.application_name <> $(literal "$(session_name)");"
}

containers_of()
{
    local service
    for service in "$@"; do
        case $(systemctl is-active "$service") in active | activating | reloading) echo "$service"; continue ;; esac
        case $(systemctl is-enabled "$service" 2>/dev/null) in enabled*) echo "$service" ;; esac
    done
}
# shellcheck disable=SC2086 # names of services
old_containers() { [ -n "$(recall stops)" ] && [ "$(recall started)" = yes ] || containers_of $server $others; }
remove_containers() { logged systemctl disable --now "$@" || fail "the services $* cannot be stopped" "systemctl disable --now $*"; }
pull_images() { :; }
images_agree() { :; }
files_switched() { [ -n "$file_plan" ] && each_file is_switched; }
is_switched() { cmp -s -- "$files_place/$1.new" "$2"; }
start_all()
{
    if [ "$stage" = undo ]; then
        # shellcheck disable=SC2086 # names of services
        logged systemctl enable --now $server $others || fail "the services do not start" "journalctl -u $server"
        return
    fi
    note "The program on this machine is still Gallery's. Put Immich $(recall tag) in its place, as you once installed it; only then:" \
        "  systemctl enable --now $server $others"
}
install_extension()
{
    local name archive
    name=$(archive_name)
    archive=$(archive_of "$name") || fail "there is no $name" \
        "Put it beside gallery_revert, or install the package postgresql-$major-gallery-revert."
    note "from $name"
    logged tar -xzf "$archive" -C / --no-same-owner --no-overwrite-dir || fail "the files cannot be put in place" "Run it with sudo."
    extension_ready || { last_words "$tmp/sql.log"; fail "the server cannot load the extension" "The message is above."; }
}
redis_command()
{
    local host port
    host=$(setting_of REDIS_HOSTNAME) port=$(setting_of REDIS_PORT)
    redis-cli -h "${host:-localhost}" -p "${port:-6379}" "$@"
}
