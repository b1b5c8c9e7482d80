# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2317 # the files beside this one share their variables
# What switch-back does with the revert itself: tried on a copy, shown, run. See command.sh, database.sh and files.sh.
#
#   look_only                 what would be done, in a transaction that is rolled back    -> tag, plan remembered, losses.tsv
#   rehearse_on_copy FOLDER      the whole revert on a copy of the dump in FOLDER            -> the same
#   revert_for_good              on the database, if its plan is the one that was rehearsed
#   tag_without_extension        with --check, by plain SQL that only reads: -> tag; ends if the database is not one to switch back
#   show_losses                  in the owner's words
#   show_time                    how long the server will be down
#   compare_counts               with the last copy
#   clear_queue                  of jobs

# revert_sql look|run [PLAN]: one transaction that leaves nothing of the extension's behind. What it prints are lines that begin with a
# word which says what they are.
revert_sql()
{
    echo 'BEGIN;'
    settings_sql
    cat <<'SQL'
\set SHOW_CONTEXT never
SELECT COALESCE(pg_catalog.max(n.nspname::text), '') AS ext FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname::text = 'gallery_revert' \gset
SELECT :'ext'::pg_catalog.text = ''::pg_catalog.text AS fresh \gset
\if :fresh
\set ext gallery_revert_run
CREATE SCHEMA gallery_revert_run;
CREATE EXTENSION gallery_revert SCHEMA gallery_revert_run;
\endif
SQL
    case $(recall keep) in *albums*) echo "SET gallery.revert_spaces = 'albums';" ;; esac
    case $(recall keep) in *people*) echo "SET gallery.revert_pets = 'people';" ;; esac
    case $(recall keep) in *archive*) echo "SET gallery.revert_archive = on;" ;; esac
    cat <<'SQL'
SELECT 'pin', a.pin FROM :"ext".immich_recovery_advice(NULL::pg_catalog.text) AS a WHERE a.advice = 'revert_gallery'::pg_catalog.text;
SELECT 'plan', pg_catalog.string_agg(p.digest, ' ' ORDER BY p.step) FROM :"ext".gallery_revert_plan() AS p;
SELECT 'step', p.step, p.kind, p.object, p.rows, p.reason FROM :"ext".gallery_revert_plan() AS p ORDER BY p.step;
SELECT 'loss', l.count, pg_catalog.replace(l.what, E'\n', ' '), pg_catalog.replace(pg_catalog.array_to_string(l.names, ', '), E'\n', ' '),
    pg_catalog.replace(l.instead, E'\n', ' ') FROM :"ext".gallery_revert_losses() AS l;
SQL
    if [ "$1" = look ]; then
        cat <<'SQL'
SELECT 'blocked', c.name, c.detail, c.hint FROM :"ext".gallery_revert_check() AS c
WHERE c.status = 'blocked'::pg_catalog.text AND c.name <> ALL (ARRAY['token', 'sessions', 'other clients']);
ROLLBACK;
SQL
        return
    fi
    cat <<SQL
SET gallery.revert_token = 'i_accept_data_loss';
SET gallery.revert_plan = $(literal "${2:-}");
SELECT 'tag', :"ext".gallery_revert();
SELECT pg_catalog.count(*) > 0 AS blocked, pg_catalog.string_agg(c.name || ': ' || c.detail, '; ') AS why
FROM :"ext".gallery_revert_check() AS c WHERE c.status = 'blocked'::pg_catalog.text \\gset
\\if :blocked
\\warn 'ERROR:  the database is not clean after the revert' :why
ROLLBACK;
\\endif
DROP EXTENSION gallery_revert;
\\if :fresh
DROP SCHEMA gallery_revert_run;
\\endif
SELECT 'finished';
COMMIT;
SELECT 'committed';
SQL
}

# Runs it in a database; what it printed is in $tmp/revert.out, what it said in $tmp/revert.err.
run_revert()
{
    local database=$1 status
    shift
    revert_sql "$@" | client "$database" -F $'\t' >"$tmp/revert.out" 2>"$tmp/revert.err.raw"
    status=$?
    sed 's/^psql:<stdin>:[0-9]*: //' "$tmp/revert.err.raw" >"$tmp/revert.err"
    say_log "$(<"$tmp/revert.err")"
    [ "$status" -eq 0 ] && ! grep -q '^ERROR:' "$tmp/revert.err"
}
# The words of a refusal, without those of notices before it.
refusal() { sed -n '/^\(ERROR\|FATAL\|connection\)/,$p' "$tmp/revert.err" | sed 's/^/   | /' | shown; }
locks_held() { sed -n 's/.*The locks were held for \([0-9.]* s\).*/\1/p' "$tmp/revert.err" | head -n 1; }
printed() { awk -F '\t' -v w="$1" '$1 == w { sub(/^[^\t]*\t/, ""); print }' "$tmp/revert.out"; }

keep_findings()
{
    printed step >"$files_place/plan.tsv"
    printed loss >"$files_place/losses.tsv" || fail "cannot write into $files_place"
    remember plan "$(printed plan)"
}

look_only()
{
    run_revert "$db_name" look || { refusal; fail "this database cannot be reverted" "The message above says why and what to do."; }
    if grep -q '^blocked' "$tmp/revert.out"; then
        printed blocked | awk -F '\t' '{ print "   | " $1 ": " $2; print "   |   " $3 }' | shown
        fail "the database is not ready" "What is in the way stands above, with what to do."
    fi
    keep_findings
    remember tag "$(printed pin)"
}

rehearse_on_copy()
{
    local copy=gallery_revert_rehearsal_$run began=$SECONDS tag dump
    dump=$(recall dump_seconds)
    note "takes about $((dump * dump_speed / trial_speed / 60 + 1)) min, and says nothing meanwhile"
    intact "$1" || { last_words "$tmp/said"; fail "the copy in $1 is damaged" "Remove that folder, and run this again."; }
    copy_of_dump "$1" "$copy" tried --no-subscriptions || { last_words "$tmp/sql.log"; drop_database "$copy"
        fail "the dump could not be restored for the rehearsal" \
            "No room? It needs as much as the database has; what there was of it is dropped."; }
    counts_agree "$1" "$copy" || { last_words "$tmp/said"; drop_database "$copy"
        fail "the restored copy differs from what was saved" "Remove the folder $1, and run this again."; }
    remember restore_seconds $((SECONDS - began))
    began=$SECONDS
    run_revert "$copy" run || { refusal; drop_database "$copy"
        fail "the rehearsal on a copy was refused: this database cannot be reverted as it is" \
            "The message above says why and what to do; docs/reference.md has each of them."; }
    remember revert_seconds $((SECONDS - began))
    keep_findings
    tag=$(printed tag)
    drop_database "$copy" || fail "the copy \"$copy\" could not be dropped" "Run this again."
    cp -- "$tmp/revert.err" "$files_place/rehearsal.txt"
    remember tag "$tag"
    remember rehearsed "$1"
    note "restored in $(recall restore_seconds) s, all $(wc -l <"$1/inventory.tsv") counts agree" \
        "reverted and proved on that copy in $(recall revert_seconds) s, locks held for $(locks_held); the copy is dropped" \
        "digest of the plan: $(plan_digest)"
}

tag_without_extension()
{
    local where=() advice pin
    [ -n "$no_docker" ] || where=(--docker "$db_container")
    where+=(--username "$db_user" --database "$db_name")
    read -r advice pin < <("$guided/../advise.sh" "${where[@]}" --answer 2>"$tmp/said")
    [ "$advice" = revert_gallery ] || { last_words "$tmp/said"
        fail "this database is not one to switch back${advice:+: the advice for it is $advice $pin}" \
            "scripts/advise.sh says more; docs/recovery.md explains it."; }
    remember tag "$pin"
}

show_losses()
{
    local count what names instead inventory
    inventory=$(preserved)/inventory.tsv
    if [ ! -e "$files_place/losses.tsv" ]; then
        note "" "The database becomes Immich $(recall tag)." "" \
            "What would be lost is counted by the extension, whose files are not in the container yet. Run this without --check:" \
            "it names and counts everything, and asks; answer \"no\", and nothing of yours has changed." \
            "Lost is what only Gallery has: spaces, groups, pets, others' favourites, classification, its edits (docs/keeping.md)."
        result_of tag "$(recall tag)"
        return
    fi
    note "" "The database becomes Immich $(recall tag). Lost or changed:" ""
    while IFS=$'\037' read -r count what names instead; do
        # Whoever has more of them finds all in the file.
        [ "${#names}" -le 300 ] || names="${names:0:300} ... (all: $files_place/losses.tsv)"
        note "- $count $what" "    $instead" ${names:+"    $names"}
    done < <(tr '\t' '\037' <"$files_place/losses.tsv")
    [ -s "$files_place/losses.tsv" ] || note "  nothing"
    case $(recall keep) in *albums*) ;; *) ! grep -q $'\tspaces\{0,1\} with' "$files_place/losses.tsv" ||
        note "" "Spaces can become albums, with their members and photos: --spaces-as-albums." ;; esac
    case $(recall keep) in *people*) ;; *) ! grep -q $'\tpets\{0,1\} ' "$files_place/losses.tsv" ||
        note "Pets can stay, among people: --pets-as-people." ;; esac
    case $(recall keep) in *archive*) note "" "What goes is written into the schema gallery_archive of the database first." ;;
        *) note "What goes can be written down in the database first: --archive." ;; esac
    note "" "What stays: all photos and videos, albums, people and their faces, tags, the owners' favourites, \
share links, accounts and keys."
    [ ! -r "$inventory" ] || note "$(awk -F '\t' '{ n[$1] = $2 } END { printf "(%d photos and videos, %d albums, %d tags, %d users)",
        n["assets"], n["albums"], n["tags"], n["users_active"] }' "$inventory")"
    result_of tag "$(recall tag)"
    result_of plan "$(plan_digest)"
}

# So many MB of database in a second: half of what bench/downtime printed (bench/results), for slower disks.
readonly dump_speed=30 trial_speed=12
show_time()
{
    local dump seconds
    dump=$(recall dump_seconds)
    if [ -n "$(recall revert_seconds)" ]; then
        seconds=$((dump + $(recall revert_seconds) + 30))
        note "" "The server goes on until you have answered twice. Then it is down for about $((seconds / 60 + 1)) min: once more a dump \
($dump s), the revert ($(recall revert_seconds) s), the start of Immich."
    else
        seconds=$((size_kb / 1024 / dump_speed))
        note "" "How long, by the size of the database: about $((size_kb / 1024 / trial_speed / 60 + 1)) min until you are asked, \
in which the server goes on, and then about $((seconds / 60 + 2)) min without it. A machine may well take half or twice of that; \
you are told before you are asked."
    fi
}
plan_digest() { local plan; plan=$(recall plan); printf '%s' "${plan##* }"; }

revert_for_good()
{
    local plan
    plan=$(recall plan)
    changing "the database"
    if run_revert "$db_name" run "$plan"; then
        note "Immich $(printed tag), locks held for $(locks_held)"
        return
    fi
    is_gallery=$(product)
    # The connection may have been lost when the server had committed already.
    [ "$is_gallery" != immich ] || return 0
    [ "$is_gallery" != gallery ] || unchanged "the database"
    refusal
    if grep -q 'the plan is not the one of gallery.revert_plan' "$tmp/revert.err"; then
        remember rehearsed ''
        remember confirmed ''
        fail "Gallery has changed what is to be done since the rehearsal; the database is as it was" \
            "Run this again: it rehearses on the last copy, and shows it anew."
    fi
    fail "the revert was refused; the database is as it was" "The message above says why and what to do."
}

compare_counts()
{
    local fewer
    compare_with "$(preserved "stopped $(stops)")"
    fewer=$(awk -F '\t' '$1 ~ /^(users_.*|assets|albums|album_assets|tags|libraries)$/ && $3 + 0 < $2 + 0 { print $1 }' "$tmp/compared.tsv")
    # shellcheck disable=SC2086 # words
    [ -z "$fewer" ] || fail "fewer than before, and none of it was Gallery's:" $fewer \
        "Go back with --undo, and tell it where you got gallery_revert."
    note "users, photos, albums and tags are as many as before"
    cp -- "$tmp/compared.tsv" "$files_place/compared.tsv" || fail "cannot write into $files_place"
}

redis_command() { docker exec ${given[@]+"${given[@]}"} "$name" redis-cli "$@"; }
# Number 0 unless the server's settings say otherwise; others may use the other numbers.
clear_queue()
{
    local index answer name password given=()
    index=$(config_of "$server" environment.REDIS_DBINDEX)
    name=$([ -z "$redis" ] || container_of "$redis")
    if [ -z "$name" ] && [ -z "$no_docker" ]; then
        note "Redis is not a service of this installation: clear Immich's database $index there by hand (redis-cli -n ${index:-0} FLUSHDB)"
        remember queue "by hand"
        return
    fi
    password=$(config_of "$server" environment.REDIS_PASSWORD)
    # By its name: a value would stand in the list of processes.
    [ -z "$password" ] || { given=(-e REDISCLI_AUTH); export REDISCLI_AUTH=$password; }
    [ -n "$no_docker" ] || logged compose up -d --no-deps "$redis" || fail "Redis does not start"
    answer=$(redis_command -n "${index:-0}" FLUSHDB 2>&1)
    unset REDISCLI_AUTH
    say_log "redis: $answer"
    [ "$answer" = OK ] || { note "| $answer"
        fail "Redis did not clear the queue" "docker logs $name; for a password: REDIS_PASSWORD in .env."; }
    remember queue cleared
}

remains()
{
    local copy
    copy=$(preserved "stopped $(stops)")
    note "- Sign in, look at the timeline, search for a person, upload a photo (docs/recovery.md, step 7)."
    # What the revert itself left to be looked at: links, trimmed videos whose metadata has to be extracted again.
    awk '/^WARNING/ { on = 1 } /^NOTICE/ { on = 0 }
        on { if (!sub(/^WARNING: +/, "   - ")) { sub(/^DETAIL: +/, ""); $0 = "     " $0 } print }' \
        "$files_place/rehearsal.txt" | wrapped | shown
    note "- Phones: Immich's own app takes the place of Gallery's; it may sync once from the start." \
        "- Thumbnails and edited copies that Gallery made stay on disk; they cost room and nothing else." \
        "- The last dump is in" "    $copy" "  Copy it to another machine; keep it until you are sure." \
        "- Back to Gallery: the same command with --undo. What Immich adds until then is not in it."
    result_of dump "$copy"
    [ "$(recall queue)" != "by hand" ] || note "- Clear the queue of jobs in your Redis before you upload."
}

# The end of --check.
ready()
{
    stage=''
    say "" "Nothing was changed. Ready: run it without --check, it asks before the first change."
    finish "ready"
}
