# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2317 # the files beside this one share their variables
# The state of a guided command, beside the dumps, and the loop over its stages. See command.sh.
#
#   open_folder KEY        $out/$program-KEY, made if need be; another call that is at work there ends this one, status 5
#                          -> folder, files_place (a folder for more than words), run
#   remember KEY VALUE     recall KEY            forget_all WORD: what is there is put aside, the next call begins anew
#   has_changed               prints what is different from before the first call, nothing if nothing is; known: whether that is sure
#   begin_anew WORD           the same, for this call
#   run_stages STAGE...
#
# The file of the state begins with its format and ends with a line that says so: half of one, or another release's, is never taken for
# one in which nothing has happened yet.
#
# With --check nothing is written: what is there is read, and what is remembered lasts as long as the call.

declare -A memory=()
files_place='' known=''
readonly state_begins='# gallery_revert state 1' state_ends='# end'

open_folder()
{
    local text
    folder=$out/$program-$1
    if [ -n "$check" ]; then
        [ ! -r "$folder/state" ] || read_state
        known=1
        run=${memory[run]:-check$$}
        memory[begun]=${memory[begun]:-$(date +%s)}
        folder='' files_place=$tmp/files
        mkdir -- "$files_place"
        return
    fi
    [ -z "$undo" ] || [ -e "$folder" ] || { text=$folder folder=''
        fail "no earlier call of $program is known here: there is no folder $text" \
            "Was it run with sudo, by another user, or with --output or --project-name? Run --undo in the same way." \
            "The copies are in immich-preserved in the home of that user."; }
    mkdir -p -- "$folder/files" 2>"$tmp/mkdir" || { last_words "$tmp/mkdir"; folder=''
        fail "the folder $out/$program-$1 cannot be made" "Choose another with --output."; }
    # Known before anything can fail: whether something has changed is what a failure says first.
    read_state
    known=1
    lock_folder
    read_state
    cat "$log" 2>/dev/null >>"$folder/log" || no_room
    log=$folder/log files_place=$folder/files
    run=${memory[run]:-}
    [ -n "$run" ] || name_run
}
name_run()
{
    run=$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
    remember begun "$(date +%s)"
    remember run "$run"
}
# What was found and answered on another day, or before the last time that all was done, holds no more.
begin_anew()
{
    note "what an earlier call found is put aside: this begins anew"
    [ -n "$folder" ] || { memory=(); return; }
    forget_all "$1"
    mkdir -- "$folder/files" || no_room
    name_run
}

# One call at a time. The lock goes with the processes that hold it: a command that was killed may have left one at work.
lock_folder()
{
    { exec 4>>"$folder/lock"; } 2>/dev/null || no_room
    if command -v flock >/dev/null; then
        flock -w 5 4 || busy
    else
        local other
        other=$(<"$folder/lock")
        [ -z "$other" ] || ! kill -0 "$other" 2>/dev/null || busy
        printf '%s\n' "$$" >"$folder/lock"
    fi
}
no_room() { fail "cannot write into $folder" "Is its disk full, or mounted read-only? Make room there, and run this again."; }
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
    if [ ! -e "$folder/state" ]; then
        # What was edited or kept is written down before anything else.
        [ ! -e "$folder/files/plan" ] || no_state "is gone, though an earlier call was at work here"
        return
    fi
    [ -r "$folder/state" ] || no_state "cannot be read: run it as the user who ran it before, or with sudo"
    [ "$(tail -n 1 -- "$folder/state" | tr -d '\0')" = "$state_ends" ] || no_state "is damaged: its end is missing"
    [ "$(head -n 1 -- "$folder/state")" = "$state_begins" ] || no_state "is of another release of gallery_revert: go on with that one"
    while IFS='=' read -r key value; do
        case $key in '' | *[!a-z_]*) ;; *) memory[$key]=$value ;; esac
    done <"$folder/state"
}
# What has changed is not known then, and nothing may say that it is nothing.
no_state()
{
    memory[changed]='not known' known=1
    say "" "STOPPED: the file $folder/state $1."
    note "This call has changed nothing. What earlier calls did is in" "  $folder/log" "and the files as they were are in" \
        "  $folder/files (1.old, 2.old ...; the file plan there names their places)." \
        "To go back by hand: put these files back, and restore the last dump (docs/recovery.md, step 6b)." \
        "To begin anew from what is there now: mv $folder $folder.old" "and run this again."
    event result stopped "the state file $1" "$status_changed"
    exit "$status_changed"
}
# What is different from before the first call. As long as the folder is not opened: what the states there say that have not come to their
# end.
has_changed()
{
    local state
    [ -z "$known" ] || { recall changed; return; }
    for state in "$out/$program-"*/state; do
        [ ! -r "$state" ] || grep -q '^finished=yes' "$state" || sed -n 's/^changed=//p' "$state"
    done | grep . | head -n 1
}
recall() { printf '%s' "${memory[$1]:-}"; }
# Whole or not at all, whatever happens to the machine: another file that takes the place of the first.
remember()
{
    local key text before=${memory[$1]:-}
    memory[$1]=${2//$'\n'/ }
    [ -n "$folder" ] || return 0
    text=$(for key in "${!memory[@]}"; do printf '%s=%s\n' "$key" "${memory[$key]}"; done | LC_ALL=C sort)
    { printf '%s\n' "$state_begins" "$text" "$state_ends" >"$folder/state.new"; } 2>/dev/null &&
        { sync -- "$folder/state.new" 2>/dev/null || sync; } && mv -f -- "$folder/state.new" "$folder/state" || {
        # The step that wanted to be remembered has not begun.
        memory[$1]=$before
        fail "what was done cannot be written down: is the disk full?" "Make room for $folder/state" "and run this again."
    }
}
forget_all()
{
    local name
    name=$1-$(date -u +%Y%m%dT%H%M%SZ)
    mkdir -- "$folder/$name" && mv -- "$folder/files" "$folder/$name/" && mv -- "$folder/state" "$folder/$name/" || no_room
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
