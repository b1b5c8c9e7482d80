# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2317 # the files beside this one share their variables
# The machinery of the guided commands (switch-back, recover): stages that are named, checked and resumable, a state file, a log without
# secrets, questions, --json, exit codes. A command is a script that does, in this order,
#
#   program=NAME                   its name, for messages and for its folder
#   stages=(find ...)              its stages in order. For each stage X there are
#     about_X='what it does'         one line
#     X_done                         whether it is done, told by the world (database, containers, files) wherever that can be
#     X_run                          does it; ends the command with fail if it cannot. Then X_done must hold
#   usage() { ... }                --help
#   option() { ... }               options of its own, given "$@": sets used to the number of words taken, 0 if it knows none of them
#   . "$here/guided/command.sh"    and of the files beside it those that it needs (each begins with what it offers):
#                                  stack.sh database.sh files.sh extension.sh server.sh undo.sh
#   read_options "$@"              -> check, yes, json, undo, no_docker, install, out, compose_args, binaries
#   begin                          a private folder $tmp, signals, standard input kept for answers
#   open_folder KEY                -> $folder ($out/$program-KEY) with state and log; one call at a time; $run, a word of this run's own
#   run_stages X...                those that are not done
#   finish                         says the result, exit status 0
#
# Within a stage:
#   say LINE...  note LINE...      to the user and the log; the second indented
#   shown                          the same for what comes in by standard input; wrapped: into lines of 80 columns
#   logged COMMAND...              runs it; its output goes to the log, on failure the last lines to the user as well
#   quiet COMMAND...               the same, and the user sees nothing of it
#   changing WHAT                  before the first change to anything of the user's: from here a failure says what has changed;
#                                  unchanged WHAT takes that back
#   remember KEY VALUE, recall KEY the state file: one line for a key, replaced as a whole
#   secret VALUE                   never appears in what is said, logged or printed as JSON
#   ask_yes TEXT, ask_name TEXT NAME   questions; --yes answers them. Another answer ends the command, status 3
#   fail MESSAGE [LINE...]         ends it: status 1 if nothing has changed, 4 if something has. The lines say what to do
#   event KIND STAGE TEXT          one line of JSON, with --json; result_of KEY VALUE adds to the last one
#
# Exit status: 0 done (--check: ready), 1 stopped, and nothing has changed, 2 wrong usage, 3 the answer was no, 4 stopped after something
# had changed: the same command goes on, --undo goes back, 5 another call of it is at work, 129/130/143 interrupted by a signal.

[ "${BASH_VERSINFO[0]}" -ge 4 ] || { echo "$program: bash 4 or newer is needed, this is $BASH_VERSION" >&2; exit 1; }

check='' yes='' json='' undo='' no_docker='' install='' out=${HOME:+$HOME/immich-preserved} compose_args=() compose_files=() binaries=''
tmp='' folder='' log='' run='' stage='' secrets='' results=''
readonly status_stopped=1 status_usage=2 status_answer=3 status_changed=4 status_busy=5

wrong() { printf '%s\n' "$program: $*" "Try --help." >&2; exit "$status_usage"; }

read_options()
{
    local used
    while [ $# -gt 0 ]; do
        case $1 in
            -o | --output | -i | --install | -f | --file | --env-file | -p | --project-name | --binaries)
                { [ $# -ge 2 ] && [ -n "$2" ]; } || wrong "option $1 needs a value" ;;
        esac
        case $1 in
            --check) check=1 ;;
            --undo) undo=1 ;;
            -y | --yes) yes=1 ;;
            --json) json=1 ;;
            --no-docker) no_docker=1 ;;
            -o | --output) out=$2; shift ;;
            -i | --install) install=$2; shift ;;
            -f | --file) compose_files+=("$2"); shift ;;
            --env-file) compose_args+=(--env-file "$(absolute "$2")"); shift ;;
            -p | --project-name) compose_args+=(-p "$2"); shift ;;
            --binaries) binaries=$2; shift ;;
            -h | --help) usage; exit 0 ;;
            *)
                used=0
                option "$@"
                [ "$used" -gt 0 ] || wrong "unknown option: $1"
                shift $((used - 1)) ;;
        esac
        shift
    done
    [ -z "$check" ] || [ -z "$undo" ] || wrong "--check and --undo exclude each other"
    [ -n "$out" ] || wrong "HOME is not set: say where with --output"
    # The same place for a call from another folder.
    out=$(absolute "$out")
    # No question can be answered by a program that reads lines of JSON.
    [ -z "$json" ] || [ -n "$yes$check" ] || wrong "--json needs --yes or --check: it asks nothing"
}
absolute() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$PWD" "$1" ;; esac; }

begin()
{
    umask 077
    # A client that dies early is an error to report, not a reason to die silently.
    trap '' PIPE
    trap leave EXIT
    trap 'interrupted HUP 129' HUP
    trap 'interrupted INT 130' INT
    trap 'interrupted TERM 143' TERM
    tmp=$(mktemp -d) || { echo "$program: no temporary folder can be made in ${TMPDIR:-/tmp}" >&2; exit "$status_stopped"; }
    log=$tmp/log
    # Programs that are run would read the answers that wait there.
    exec 3<&0 </dev/null
    say_log "$program begins"
    # Half an answer of the database, from a file that could not be written, would mislead.
    [ -s "$log" ] || { echo "$program: there is no room in ${TMPDIR:-/tmp}: make some, and run this again" >&2; exit "$status_stopped"; }
}

leave()
{
    local status=$?
    trap - EXIT
    trap '' HUP INT TERM
    [ -z "$tmp" ] || rm -rf -- "$tmp"
    exit "$status"
}
interrupted()
{
    say "" "Interrupted ($1)."
    after_a_stop
    [ -n "$(has_changed)" ] || note "Run the same command again: it goes on from here."
    event result interrupted "$1" "$2"
    exit "$2"
}

# Takes secrets out, and what a terminal would take for commands: names come from a database into which anybody may have written.
clean()
{
    SECRETS=$secrets LC_ALL=C awk '
    BEGIN {
        n = split(ENVIRON["SECRETS"], secret, "\037")
        setting = "(PASS|PASSWORD|SECRET[A-Z_]*|[A-Z_]*KEY|TOKEN|DB_URL|REDIS_URL)\"?[=:] *"
    }
    {
        for (i = 1; i <= n; i++) {
            if (secret[i] == "") continue
            out = ""; rest = $0
            while ((at = index(rest, secret[i])) > 0) {
                out = out substr(rest, 1, at - 1) "***"
                rest = substr(rest, at + length(secret[i]))
            }
            $0 = out rest
        }
        gsub(/[\001-\010\013-\037\177]|\302[\200-\237]|\342\200[\216\217\252-\256]|\342\201[\246-\251]/, "?")
        # In a line of a file of settings, and in what shows one.
        if (match($0, setting)) $0 = substr($0, 1, RSTART + RLENGTH - 1) "***"
        print
    }'
}
# A word that stands in each installation is no secret, and its stars would hide every name that holds it.
secret()
{
    case $1 in postgres | immich | redis | '') return ;; esac
    [ "${#1}" -lt 4 ] || secrets=$secrets$1$'\037'
}

# Neither may need a disk: what there is to say most of all is that it is full.
say_log() { printf '%s\n' "$@" | clean | sed "s/^/$(date -u '+%Y-%m-%dT%H:%M:%SZ') /" >>"$log"; } 2>/dev/null
shown()
{
    local text
    text=$(clean; echo .)
    text=${text%.}
    [ -n "$json" ] || printf '%s' "$text"
    say_log "${text%$'\n'}"
}
say() { printf '%s\n' "$@" | wrapped | shown; }
note() { printf '%s\n' "$@" | sed 's/^/   /' | wrapped | shown; }
# Lines for a window of 80 columns; a long one goes on below its own beginning. What has no blank, such as a path, stays whole.
wrapped()
{
    LC_ALL=C awk '{
        if (length($0) <= 80) { print; next }
        match($0, /^ *(- )?/)
        indent = sprintf("%" RLENGTH "s", "")
        line = substr($0, 1, RLENGTH)
        n = split(substr($0, RLENGTH + 1), word, " ")
        full = ""
        for (i = 1; i <= n; i++) {
            if (full != "" && length(line) + 1 + length(word[i]) > 80) { print line; line = indent; full = "" }
            line = line (full == "" ? "" : " ") word[i]; full = "yes"
        }
        print line
    }'
}

# Commands whose output belongs into the log.
quiet()
{
    local status
    say_log "+ $*"
    "$@" >"$tmp/said" 2>&1
    status=$?
    [ ! -s "$tmp/said" ] || say_log "$(<"$tmp/said")"
    [ "$status" -eq 0 ] || say_log "exit status $status"
    return "$status"
}
logged() { quiet "$@" || { local status=$?; last_words "$tmp/said"; return "$status"; }; }
last_words() { tail -n 15 -- "$1" | sed 's/^/   | /' | shown; }

# What is no UTF-8 (a folder named by an old system) would make the whole line invalid.
json_text()
{
    printf '%s' "$1" | clean | { iconv -c -f UTF-8 -t UTF-8 2>/dev/null || cat; } | LC_ALL=C awk 'BEGIN { printf "\"" }
        { gsub(/\\/, "&&"); gsub(/"/, "\\\""); gsub(/\t/, "\\t"); gsub(/[\001-\037\177]/, "?"); printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }
        END { printf "\"" }'
}
result_of() { results=$results,$(json_text "$1"):$(json_text "$2"); }
event()
{
    [ -n "$json" ] || return 0
    printf '{"event":%s,"stage":%s,' "$(json_text "$1")" "$(json_text "$stage")"
    printf '"status":%s,"text":%s' "$(json_text "$2")" "$(json_text "$3")"
    [ "$1" != result ] || printf ',"exit":%d,"changed":%s%s' "$4" "$(json_text "$(has_changed)")" "$results"
    printf '}\n'
}

# What a failure has to tell: whether anything is different from before, and what comes next.
after_a_stop()
{
    local changed
    changed=$(has_changed)
    if [ -z "$changed" ]; then
        # Another user's call may have.
        note "$([ -n "$known" ] && echo "Nothing of yours has changed." || echo "This call has changed nothing.")"
    else
        note "Changed so far: $changed."
        note "Run the same command again to go on; with --undo it goes back."
    fi
    [ -z "$folder" ] || note "All that was done is in $folder/log"
}
fail()
{
    local message=$1 status=$status_stopped
    shift
    say "" "STOPPED${stage:+ in the stage \"${stage//_/ }\"}: $message"
    [ $# -eq 0 ] || note "$@"
    after_a_stop
    [ -z "$(has_changed)" ] || status=$status_changed
    event result stopped "$message" "$status"
    exit "$status"
}
changing()
{
    local before
    before=$(recall changed)
    case ", $before, " in *", $1, "*) ;; *) remember changed "${before:+$before, }$1" ;; esac
}

# It turned out not to have changed after all.
unchanged()
{
    local before
    before=", $(recall changed), "
    before=${before/", $1, "/, }
    before=${before#, }
    remember changed "${before%, }"
}

answer_of()
{
    local text=$1 answer=''
    [ -n "$json" ] || printf '%s ' "$text"
    IFS= read -r answer <&3
    # At a terminal the user's own Enter did that.
    [ -n "$json" ] || [ -t 3 ] || echo
    say_log "asked: $text" "answered: $answer"
    given=$answer
}
# Blanks around an answer are no part of it.
bare() { local text=$1; text=${text#"${text%%[![:space:]]*}"}; printf '%s' "${text%"${text##*[![:space:]]}"}"; }
no_answer()
{
    say "" "$2"
    after_a_stop
    [ -n "$(recall changed)" ] || note "Run the same command again when you like: what is done is not done again, and it asks again."
    event result refused "$1" "$status_answer"
    exit "$status_answer"
}
ask_yes()
{
    [ -z "$yes" ] || { say_log "asked: $1" "answered by --yes"; return 0; }
    answer_of "$1 [yes/no]"
    given=$(bare "$given")
    case ${given,,} in
        yes | y) ;;
        no | n | '') no_answer "$1" "Not done: stopped." ;;
        *) no_answer "$1" "The answer was neither yes nor no: stopped." ;;
    esac
}
ask_name()
{
    [ -z "$yes" ] || { say_log "asked: $1" "answered by --yes"; return 0; }
    answer_of "$1"
    [ "$(bare "$given")" = "$2" ] || no_answer "$1" "That is not its name, which is written $2: stopped."
}

finish()
{
    stage=''
    event result "done" "$1" 0
    say_log "$program ends: $1"
    exit 0
}

guided=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=scripts/guided/state.sh
. "$guided/state.sh"
