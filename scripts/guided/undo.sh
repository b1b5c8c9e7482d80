# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2317 # the files beside this one share their variables
# The way back: database, files and images as they were. See command.sh and the files beside it.
#
#   run_undo QUESTION         asks, then does what of it is to be done. The caller has found the stack and opened the folder
#
# The database is restored beside the one that is there, from the last copy, compared with its counts, and then takes its name in one
# transaction; the other one stays under another name. A database that was not changed is left alone.

run_undo()
{
    local copy='' kept was
    stage=undo
    if [ -z "$(recall changed)" ]; then
        # Who wanted it back is asked again before anything is changed.
        remember confirmed ''
        say "There is nothing to undo: nothing of yours was changed."
        finish "nothing to undo"
    fi
    file_plan=$([ ! -r "$folder/files/plan" ] || cat "$folder/files/plan")
    was=$(product)
    [ -n "$was" ] || { last_words "$tmp/sql.log"; fail "the database \"$db_name\" cannot be read"; }
    if [ "$was" != gallery ]; then
        copy=$(preserved "stopped $(stops)")
        [ -n "$copy" ] || fail "the copy of the database that was made before the revert is not in $out any more" \
            "Put the folder back there, or name its place with --output."
    fi
    say "To be undone: $(recall changed)."
    [ -z "$copy" ] || note "The database \"$db_name\" will be as it is in" "  $copy" \
        "What Immich has added to it since then will not be in it; the database of now stays, as \"$(kept_name)\"."
    files_back || note "These files will be as they were:" "$(cut -f 2 <<<"$file_plan" | sed 's/^/  /')"
    ask_yes "Undo it?"
    changing "undo"
    # Whatever uses the database, or would.
    # shellcheck disable=SC2086 # names of services
    [ -z "$(containers_of $server $learning $others)" ] || { [ "$was" = gallery ] && [ -z "$(recall stops)" ]; } ||
        remove_containers $server $learning $others
    if [ -n "$copy" ]; then restore_copy "$copy"; fi
    put_files_back || fail "a file could not be put back" "The old ones are in $folder/files, with their places in the file plan there."
    read_stack
    if [ -n "$(recall stops)" ]; then
        note "starting what ran before"
        start_all "$server"
    fi
    kept=$(recall undo_kept)
    [ -z "$kept" ] || note "The reverted database is kept as \"$kept\"; when all is well:" \
        "  DROP DATABASE \"$kept\";"
    result_of kept "$kept"
    forget_all undone
    say "" "Done: database, files and images are as they were. Nothing of the copies was removed ($out)."
    finish "undone"
}

kept_name() { printf '%s_reverted_%s' "${db_name:0:40}" "$run"; }

restore_copy()
{
    local copy=$1 new
    new=${db_name:0:40}_undo_$run
    # What an earlier call left of it takes the room.
    drop_database "$new" || fail "the database \"$new\", which an earlier call left, cannot be dropped"
    room_for_copy "to restore the copy beside the database" \
        "Make room on the database's disk, and run this again: the database of now is kept until all is well."
    note "restoring the copy"
    intact "$copy" || { last_words "$tmp/said"; fail "the copy in $copy is damaged" "Nothing was restored from it."; }
    copy_of_dump "$copy" "$new" '' || { last_words "$tmp/sql.log"; drop_database "$new"; fail "the copy in $copy cannot be restored"; }
    counts_agree "$copy" "$new" ||
        { last_words "$tmp/said"; drop_database "$new"; fail "the restored copy differs from what was saved"; }
    local connected
    connected=$(other_sessions)
    [ -z "$connected" ] || { shown <<<"$connected"; fail "others are connected to the database" "Close them, and run this again."; }
    remember undo_kept "$(kept_name)"
    swap_databases "$new" "$(kept_name)" || fail "the restored copy could not take the place of \"$db_name\""
}
