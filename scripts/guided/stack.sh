# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2317 # the files beside this one share their variables
# Which installation it is: read from docker compose, which knows what its files mean, and from docker, which knows what runs. Nothing is
# guessed: what is not clear ends the command and names the option that makes it so. See command.sh.
#
#   find_stack                -> install (its folder), stack (the project's name), stack_files, env_file, and of the services:
#                                server, learning (names; learning may be empty), database, redis (empty: not in this project), others (more
#                                services that run one of the server's images); db_user, db_name
#   config_of SERVICE KEY        a value of docker compose config: image, container_name, environment.NAME
#   container_of SERVICE         its container's name, empty if there is none
#   inspected NAME FIELD         of a container: running image readonly files addresses started mounts (lines: place, type, source)
#   server_line                  says in words which server
#   compose ARGUMENT...          docker compose on this installation
#   kind_of IMAGE             -> gallery-server, gallery-ml, immich-server, immich-ml, or nothing

services=''
stack='' stack_files=() env_file='' server='' learning='' others='' database='' redis='' db_user='' db_name=''

compose() { (cd -- "$install" && docker compose ${compose_args[@]+"${compose_args[@]}"} "$@"); }

# By the last part of its name: mirrors have other first parts.
kind_of()
{
    local name=${1##*/}
    case ${name%%[:@]*} in
        gallery-server) echo gallery-server ;;
        gallery-ml | gallery-machine-learning) echo gallery-ml ;;
        immich-server) echo immich-server ;;
        immich-machine-learning) echo immich-ml ;;
    esac
}

# docker compose config writes each mapping on lines of its own, always indented by two. As lines SERVICE, KEY, VALUE.
parse_config()
{
    LC_ALL=C awk '
    function plain(text)
    {
        if (text ~ /^".*"$/) { text = substr(text, 2, length(text) - 2); gsub(/\\"/, "\"", text); gsub(/\\\\/, "\\", text) }
        else if (text ~ /^\047.*\047$/) { text = substr(text, 2, length(text) - 2); gsub(/\047\047/, "\047", text) }
        else if (text == "null") text = ""
        gsub(/[$][$]/, "$", text)
        return text
    }
    function value(line) { sub(/^[^:]*: */, "", line); return plain(line) }
    function key(line) { sub(/^ */, "", line); sub(/:.*/, "", line); return plain(line) }
    /^name: / { print "-\tname\t" value($0); next }
    /^[^ ]/ { inside = $0 == "services:"; next }
    !inside { next }
    /^  [^ ].*:$/ { service = key($0); section = ""; print service "\tservice\t"; next }
    /^    [^ -].*:$/ { section = key($0); next }
    /^    [^ -].*: / { section = ""; print service "\t" key($0) "\t" value($0); next }
    section == "environment" && /^      [^ -][^:]*: / { print service "\tenvironment." key($0) "\t" value($0) }
    section == "volumes" && /^      - type: / { type = value($0) }
    section == "volumes" && /^        source: / { source = value($0) }
    section == "volumes" && /^        target: / { if (type ~ /^(bind|volume)$/) print service "\tmount\t" value($0) "\t" type "\t" source }
    section == "build" && /^      [^ -]/ { print service "\tbuild\tyes" }'
}
config_of() { awk -F '\t' -v s="$1" -v k="$2" '$1 == s && $2 == k { sub(/^[^\t]*\t[^\t]*\t/, ""); print; exit }' <<<"$services"; }
service_names() { awk -F '\t' '$2 == "service" { print $1 }' <<<"$services"; }

# From the shell, else from the file of variables.
compose_setting()
{
    if [ -n "${!1:-}" ]; then printf '%s' "${!1}"
    elif [ -r "$env_file" ]; then sed -n "s/^$1=//p" "$env_file" | tail -n 1 | tr -d "\"'\r"; fi
}
# The files that docker compose reads where none is named, by its own rule.
files_by_rule()
{
    local list separator name
    list=$(compose_setting COMPOSE_FILE)
    separator=$(compose_setting COMPOSE_PATH_SEPARATOR)
    separator=${separator:-:}
    if [ -n "$list" ]; then
        tr "$separator" '\n' <<<"$list" | while IFS= read -r name; do (cd -- "$install" && absolute "$name"; echo); done
        return
    fi
    for name in compose.yaml compose.yml docker-compose.yml docker-compose.yaml; do
        [ -e "$install/$name" ] || continue
        printf '%s\n' "$install/$name"
        for list in compose.override.yml compose.override.yaml docker-compose.override.yml docker-compose.override.yaml; do
            [ ! -e "$install/$list" ] || { printf '%s\n' "$install/$list"; break; }
        done
        return
    done
}

stacks_here()
{
    note "The installations that docker knows here, with their folders:"
    local label=com.docker.compose.project
    docker ps -a --format "{{.Label \"$label\"}}{{\"\t\"}}{{.Label \"$label.working_dir\"}}{{\"\t\"}}{{.Image}}" 2>/dev/null |
        awk -F '\t' '$1 != "" && $3 ~ /immich|gallery/ && !seen[$1]++ { print "  " $1 "  " $2 }' | sed 's/^/   /' | shown
}

find_stack()
{
    command -v docker >/dev/null || fail "docker is not on this machine's PATH" \
        "Without docker: --no-docker, see docs/switching-back.md." "Docker as a snap or in another place: set PATH."
    quiet docker compose version || fail "docker compose v2 is needed, and \"docker compose version\" fails" \
        "The older docker-compose cannot do all that is needed. \"docker compose version\" has to answer with v2 or newer."
    # Only what asks the engine itself finds out whether it may be asked.
    quiet docker version --format '{{.Server.Arch}}' || { last_words "$tmp/said"
        fail "docker's engine does not answer" \
            "\"permission denied\" above? Then run the same command with sudo." \
            "Else the engine does not run: systemctl start docker; then docker ps must list your containers."; }
    choose_folder
    local file label read_files=()
    [ ${#compose_files[@]} -eq 0 ] || for file in "${compose_files[@]}"; do stack_files+=("$(absolute "$file")"); done
    env_file=$install/.env
    for ((i = 0; i < ${#compose_args[@]}; i++)); do [ "${compose_args[i]}" != --env-file ] || env_file=${compose_args[i + 1]}; done
    [ -z "${COMPOSE_ENV_FILES:-}" ] || [ "$env_file" != "$install/.env" ] || fail "COMPOSE_ENV_FILES names other files than .env" \
        "Name the one with IMMICH_VERSION: --env-file FILE (${COMPOSE_ENV_FILES//,/ })."
    [ ${#stack_files[@]} -gt 0 ] || while IFS= read -r file; do stack_files+=("$file"); done < <(files_by_rule)
    if [ ${#stack_files[@]} -eq 0 ]; then
        stacks_here
        fail "there is no compose file in $install" "Run it in the folder of docker-compose.yml, or name that with --install DIR." \
            "Portainer and other managers: save the stack's compose text and its variables as two files, and name them with" \
            "--file docker-compose.yml --env-file stack.env --project-name NAME. Afterwards put both texts back into the manager."
    fi
    for file in "${stack_files[@]}"; do read_files+=(-f "$file"); done
    [ ${#compose_files[@]} -eq 0 ] || compose_args+=("${read_files[@]}" --project-directory "$install")
    read_stack
    # What runs was perhaps started from other files: then another folder, or another set of mounts, would start afterwards. A manager
    # such as Portainer has them where nobody else can see them.
    label=$(inspected "$(container_of "$database")" files)
    label=$(tr ',' '\n' <<<"$label" | grep -v '/compose\.gallery-revert\.yml$')
    [ -z "$label" ] || [ ! -e "${label%%$'\n'*}" ] ||
        [ "$(real_names <<<"$label")" = "$(printf '%s\n' "${stack_files[@]}" | real_names)" ] ||
        fail "the installation that runs was started from other files than these: $(tr '\n' ' ' <<<"$label")" \
            "Read here were: ${stack_files[*]}" "Name all that it was started from with --file, one after the other."
    same_mounts "$server"
    same_mounts "$database"
}

# What is started from the files must find what the container of now has: with files of a manager's in another folder ./library is
# another one.
same_mounts()
{
    local name place type source running
    name=$(container_of "$1")
    running=$(inspected "$name" mounts)
    [ -n "$running" ] || return 0
    while IFS=$'\t' read -r _ _ place type source; do
        [ "$type" = bind ] && source=$(readlink -f -- "$source" || printf '%s' "$source") || source=''
        while IFS=$'\t' read -r _ have where; do
            [ "$have" = bind ] && where=$(readlink -f -- "${where#/host_mnt}" || printf '%s' "$where") || where=''
            [ "$type $source" = "$have $where" ] || fail "the container $name has other folders than these files say" \
                "$place is in it $have $where," "and would be $type $source" \
                "Files of a manager such as Portainer: write the folders into them as the container has them, not as ./NAME." \
                "Edited since the last start? Then start it once from them, look whether all is there, and run this again."
        done < <(awk -F '\t' -v p="$place" '$1 == p' <<<"$running")
    done < <(awk -F '\t' -v s="$1" '$1 == s && $2 == "mount"' <<<"$services")
}
real_names() { local name; while IFS= read -r name; do readlink -f -- "$name" || printf '%s\n' "$name"; done | LC_ALL=C sort; }

choose_folder()
{
    if [ -n "$install" ]; then :
    elif [ ${#compose_files[@]} -gt 0 ]; then install=$(dirname -- "${compose_files[0]}")
    elif [ -n "$(install=$PWD env_file=$PWD/.env files_by_rule)" ]; then install=$PWD
    # This project is unpacked beside the compose file.
    else install=$guided/../../..; fi
    install=$(cd -- "$install" 2>/dev/null && pwd -P) || fail "cannot enter the folder of --install"
}

read_stack()
{
    local service image kind text value
    text=$(compose config 2>"$tmp/config") || { last_words "$tmp/config"
        fail "docker compose cannot read these files: ${stack_files[*]}" "What it says is above. docker compose config shows the same."; }
    services=$(parse_config <<<"$text")
    server='' learning='' others='' database='' redis=''
    while IFS=$'\t' read -r _ service value; do
        case $service in environment.*PASS* | environment.*SECRET* | environment.*KEY* | environment.*TOKEN* | environment.*_URL)
            secret "$value" ;;
        esac
    done <<<"$services"
    stack=$(config_of - name)
    for service in $(service_names); do
        image=$(config_of "$service" image)
        kind=$(kind_of "$image")
        case $kind in
            *-server)
                if [ -z "$server" ] || [ "$service" = immich-server ]; then
                    others="$others $server"
                    server=$service
                else others="$others $service"; fi ;;
            *-ml) [ -z "$learning" ] || fail "two services run the machine learning: $learning and $service" "Which one is Gallery's?"
                learning=$service ;;
        esac
    done
    if [ -z "$server" ]; then
        stacks_here
        fail "no service of this installation runs Gallery or Immich ($(service_names | tr '\n' ' '))" \
            "Another folder? --install DIR. An image of your own? Then go the way by hand: docs/switching-back.md."
    fi
    find_database
}

# The server knows where its database is; a service of this project has that name, or it is somewhere else.
find_database()
{
    local url host service wanted name redis_at
    for name in DB_URL DB_HOSTNAME DB_USERNAME DB_DATABASE_NAME REDIS_PASSWORD; do
        [ -z "$(config_of "$server" "environment.${name}_FILE")" ] || [ -n "$(config_of "$server" "environment.$name")" ] ||
            fail "the service $server reads $name from a file (${name}_FILE), which is not read here" \
                "Set $name to the same value among its settings (environment, .env), and run this again; Immich goes on with the file."
    done
    url=$(config_of "$server" environment.DB_URL)
    host=$(config_of "$server" environment.DB_HOSTNAME)
    db_user=$(config_of "$server" environment.DB_USERNAME)
    db_name=$(config_of "$server" environment.DB_DATABASE_NAME)
    if [ -n "$url" ]; then
        [[ $url =~ ^postgres(ql)?://([^:@/]*)(:[^@]*)?@([^:/?]+)(:[0-9]+)?/([^?]+) ]] ||
            fail "DB_URL of the service $server cannot be read" "Go the way by hand: docs/switching-back.md."
        db_user=${BASH_REMATCH[2]} host=${BASH_REMATCH[4]} db_name=${BASH_REMATCH[6]}
        secret "${BASH_REMATCH[3]#:}"
        case $db_user$db_name in *%*)
            fail "DB_URL of the service $server holds % signs" "Go the way by hand: docs/switching-back.md." ;;
        esac
    fi
    db_user=${db_user:-postgres} db_name=${db_name:-immich}
    redis_at=$(redis_host)
    for service in $(service_names); do
        for wanted in "$service" "$(config_of "$service" container_name)" "$(config_of "$service" hostname)"; do
            [ -z "$wanted" ] || [ "$wanted" != "${host:-database}" ] || database=$service
            [ -z "$wanted" ] || [ "$wanted" != "$redis_at" ] || redis=$service
        done
    done
    [ -n "$database" ] || fail "the database (${host:-database}) is not a service of this installation" \
        "A container of another stack: by hand, with its name for immich_postgres (docs/switching-back.md)." \
        "A PostgreSQL of your own on this machine: --no-docker, see docs/switching-back.md." \
        "A managed one, where no extension can be installed: gallery_revert_script(), see docs/reference.md."
}
# By REDIS_URL and REDIS_SOCKET it may be anywhere: nothing is cleared that is not surely Immich's.
redis_host()
{
    local host
    [ -z "$(config_of "$server" environment.REDIS_URL)$(config_of "$server" environment.REDIS_SOCKET)" ] || return 0
    host=$(config_of "$server" environment.REDIS_HOSTNAME)
    printf '%s' "${host:-redis}"
}

server_line()
{
    local running
    running=$(inspected "$(container_of "$server")" image)
    printf 'server %s, image\n  %s' "$server" "${running:-$(config_of "$server" image)}"
}
container_of()
{
    local id
    id=$(compose ps -a -q "$1" 2>/dev/null | head -n 1)
    [ -z "$id" ] || { id=$(docker inspect --format '{{.Name}}' "$id" 2>/dev/null) && printf '%s' "${id#/}"; }
}
inspected()
{
    local format
    [ -n "$1" ] || return 0
    case $2 in
        running) format='{{.State.Running}}' ;;
        image) format='{{.Config.Image}}' ;;
        readonly) format='{{.HostConfig.ReadonlyRootfs}}' ;;
        files) format='{{index .Config.Labels "com.docker.compose.project.config_files"}}' ;;
        addresses) format='{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' ;;
        started) format='{{.State.StartedAt}}' ;;
        mounts) format='{{range .Mounts}}{{.Destination}}{{"\t"}}{{.Type}}{{"\t"}}{{.Source}}{{"\n"}}{{end}}' ;;
    esac
    docker inspect --format "$format" "$1" 2>/dev/null
}
