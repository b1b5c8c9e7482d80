# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2317 # the files beside this one share their variables
# The servers' containers. See command.sh, stack.sh and files.sh.
#
#   old_containers            those of this installation that run an image of Gallery, by service
#   pull_images                  wanted_images of files.sh, before anything is changed
#   remove_containers SERVICE... stopped and removed: only stopped they would come back with the machine
#   start_all SERVICE            docker compose up, and waits until that service's log says that it listens; ends with diagnose.sh's words
#   listening SERVICE            whether it does

readonly start_limit=${GALLERY_REVERT_START_LIMIT:-300}

old_containers()
{
    local service name
    for service in $server $learning $others; do
        name=$(container_of "$service")
        [ -z "$name" ] || case $(kind_of "$(inspected "$name" image)") in gallery-*) echo "$service" ;; esac
    done
}
containers_of() { local service; for service in "$@"; do [ -z "$(container_of "$service")" ] || echo "$service"; done; }

pull_images()
{
    local image
    while IFS= read -r image; do
        docker image inspect "$image" >/dev/null 2>&1 || logged docker pull -q "$image" ||
            fail "the image $image cannot be had" "Is there a network? Is the name right? docker pull $image"
    done < <(cut -f 2 <<<"$wanted_images" | grep . | sort -u)
}

remove_containers()
{
    local left
    logged compose rm -sf "$@" || fail "the containers of $* cannot be removed" "docker compose rm -sf $*"
    left=$(containers_of "$@")
    [ -z "$left" ] || fail "containers are still there: $left" "docker compose rm -sf $left"
}

listening() { compose logs --no-color "$1" 2>/dev/null | grep -qE 'Immich Server is listening'; }

# What its own log and the others' say, in the words of diagnose.sh.
server_log()
{
    compose logs --no-color >"$tmp/server.log" 2>&1
    say_log "$(tail -n 200 "$tmp/server.log")"
    "$guided/../diagnose.sh" --kept "$tmp/server.log" 2>&1 | sed 's/^/   /' | shown
}
start_all()
{
    local end=$((SECONDS + start_limit)) name
    quiet compose up -d --wait || {
        # With a first start that takes long the wait may end before the server listens.
        name=$(container_of "$1")
        [ "$(inspected "$name" running)" = true ] || { last_words "$tmp/said"; server_log
            fail "the server did not start" "What its log says is above; docs/recovery.md has more." \
                "When that is solved, run this again."; }
    }
    until listening "$1"; do
        [ "$SECONDS" -lt "$end" ] && [ "$(inspected "$(container_of "$1")" running)" = true ] || { server_log
            fail "the server does not listen" "What its log says is above; docs/recovery.md has more." \
                "When that is solved, run this again."; }
        sleep 1
    done
}
