# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2317 # the files beside this one share their variables
# The copies that preserve-state.sh makes for a guided command: each holds a file with the words of the run, by which it is found again,
# whether or not the command came to know its name. See command.sh, stack.sh and database.sh.
#
#   preserve WORDS OPTION...  a new folder below $out, made with preserve-state.sh and its OPTIONs
#   preserved [WORDS]         the newest whole one of this run [with these words], or nothing
#   intact FOLDER             whether its checksums hold
#   room_for_dump                ends the command if preserve-state.sh would refuse for want of room; makes nothing
#   stops                        how often Gallery's containers were removed: the copy after that has the words "stopped NUMBER"

preserve()
{
    local words=$1 file names='' said trial line options=()
    shift
    printf 'run %s\n%s\n' "$run" "$words" >"$tmp/$program.txt" || fail "no room in ${TMPDIR:-/tmp}"
    options=(--output "$out" --database "$db_name" --file "$tmp/$program.txt")
    [ -n "$no_docker" ] || options+=(--docker "$db_container" --username "$db_user")
    # Of two files with one name only the first; each is kept beside the state as well.
    for file in ${stack_files[@]+"${stack_files[@]}"} "$env_file"; do
        case $'\n'$names in *$'\n'"${file##*/}"$'\n'*) continue ;; esac
        [ ! -e "$file" ] || { options+=(--file "$file"); names=$names${file##*/}$'\n'; }
    done
    # Of one that was killed in the middle of its test the database for that is left.
    said=$folder/preserve.txt
    trial=$([ ! -r "$said" ] || sed -n 's/^5\..*(\(preserve_test_[0-9a-f]*\))$/\1/p' "$said")
    [ -z "$trial" ] || drop_database "$trial" || fail "the database \"$trial\", which an earlier call left, cannot be dropped"
    "$guided/../preserve-state.sh" "${options[@]}" "$@" 2>&1 >"$tmp/made" | tee "$said" |
        while IFS= read -r line; do case $line in "    still"*) note "${line#    }" ;; esac; done
    say_log "$(<"$said")"
    [ -s "$tmp/made" ] || { sed -n '/^FAILED/,$p' "$said" | sed 's/^/   /' | shown; fail "no copy of the database could be made"; }
}

preserved()
{
    local place found=''
    for place in "$out"/immich-*Z; do
        { [ -e "$place/MANIFEST" ] && [ "$(head -n 1 "$place/config/$program.txt" 2>/dev/null)" = "run $run" ]; } || continue
        [ -z "${1:-}" ] || [ "$(sed -n 2p "$place/config/$program.txt")" = "$1" ] || continue
        found=$place
    done
    printf '%s' "$found"
}
room_for_dump()
{
    local place=$out free need=$((size_kb + 16384))
    while [ ! -e "$place" ] && [ "$place" != "${place%/*}" ]; do place=${place%/*}; done
    free=$(free_kb env "${place:-/}")
    [ -z "$free" ] || [ "$free" -ge "$need" ] || fail "not enough room: $((free / 1024)) MB free in $out, $((need / 1024)) MB wanted" \
        "Choose another disk with --output."
}
# How often containers of Gallery's were removed: a copy from before that is not the last one.
stops() { local number; number=$(recall stops); printf '%s' "${number:-0}"; }
intact() { (cd -- "$1" && sha256sum -c MANIFEST) >"$tmp/said" 2>&1; }
