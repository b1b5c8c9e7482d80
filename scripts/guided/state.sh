# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2317 # the files beside this one share their variables
# The state of a guided command, beside the dumps, and the loop over its stages. See command.sh.
#
#   open_folder KEY        $out/$program-KEY, made if need be; another call that is at work there ends this one, status 5
#                          -> folder, files_place (a folder for more than words), run
#   remember KEY VALUE     recall KEY            forget_all: what is there gets another name, the next call begins anew
#   run_stages STAGE...
#
# With --check nothing is written: what is there is read, and what is remembered lasts as long as the call.

declare -A memory=()
files_place=''

open_folder()
{
    folder=$out/$program-$1
    if [ -n "$check" ]; then
        [ ! -r "$folder/state" ] || read_state
        run=${memory[run]:-check$$}
        folder='' files_place=$tmp/files
        mkdir -- "$files_place"
        return
    fi
    mkdir -p -- "$folder/files" 2>"$tmp/mkdir" || { last_words "$tmp/mkdir"; folder=''
        fail "the folder $out/$program-$1 cannot be made" "Choose another with --output."; }
    lock_folder
    cat "$log" >>"$folder/log" 2>/dev/null || fail "cannot write into $folder"
    log=$folder/log files_place=$folder/files
    read_state
    run=${memory[run]:-}
    if [ -z "$run" ]; then
        run=$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
        remember run "$run"
    fi
}

# One call at a time. The lock goes with the processes that hold it: a command that was killed may have left one at work.
lock_folder()
{
    exec 4>>"$folder/lock" || fail "cannot write into $folder"
    if command -v flock >/dev/null; then
        flock -w 5 4 || busy
    else
        local other
        other=$(<"$folder/lock")
        [ -z "$other" ] || ! kill -0 "$other" 2>/dev/null || busy
        printf '%s\n' "$$" >"$folder/lock"
    fi
}
busy()
{
    say "" "STOPPED: another call of $program is at work on this installation, or what an earlier one started has not ended yet."
    note "Wait for it, and run this again."
    event result busy "another call is at work" "$status_busy"
    exit "$status_busy"
}

read_state()
{
    local key value
    memory=()
    [ -r "${folder:-$out}/state" ] || return 0
    while IFS='=' read -r key value; do
        case $key in '' | *[!a-z_]*) ;; *) memory[$key]=$value ;; esac
    done <"$folder/state"
}
recall() { printf '%s' "${memory[$1]:-}"; }
# Whole or not at all, whatever happens to the machine: another file that takes the place of the first.
remember()
{
    local key
    memory[$1]=${2//$'\n'/ }
    [ -n "$folder" ] || return 0
    for key in "${!memory[@]}"; do printf '%s=%s\n' "$key" "${memory[$key]}"; done | LC_ALL=C sort >"$folder/state.new" &&
        { sync -- "$folder/state.new" 2>/dev/null || sync; } && mv -f -- "$folder/state.new" "$folder/state" || {
        # The step that wanted to be remembered has not begun.
        note "the file $folder/state cannot be written: is the disk full?"
        memory[changed]=${memory[changed]:-}
        fail "what was done cannot be written down" "Make room on that disk, and run this again."
    }
}
forget_all()
{
    local name
    name=$1-$(date -u +%Y%m%dT%H%M%SZ)
    mkdir -- "$folder/$name" && mv -- "$folder/files" "$folder/$name/" && mv -- "$folder/state" "$folder/$name/" ||
        fail "cannot write into $folder"
    memory=()
}

run_stages()
{
    local number=0 about began
    for stage in "$@"; do
        number=$((number + 1))
        about=about_$stage
        say_log "stage $stage"
        if "${stage}_done"; then
            say "$(printf '%2d. %-13s done already' "$number" "${stage//_/ }")"
            event stage already "${!about}"
            continue
        fi
        say "$(printf '%2d. %-13s %s' "$number" "${stage//_/ }" "${!about}")"
        event stage begins "${!about}"
        began=$SECONDS
        "${stage}_run"
        [ -n "$check" ] || "${stage}_done" || fail "it did not come to its end" "This should not happen; the log says more."
        say_log "stage $stage took $((SECONDS - began)) s"
        event stage "done" "$((SECONDS - began)) s"
    done
    stage=''
}
