# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2317 # the files beside this one share their variables
# The compose files and .env: new versions, made beside the state and tried with docker compose before anything is changed; the old ones
# kept and put back. See command.sh, and stack.sh.
#
#   plan_files TAG           -> new versions of stack_files and env_file in $files_place, file_plan (lines: number, path),
#                               wanted_images; ends if docker compose would not start Immich's images of that tag from them
#   files_diff                  prints what differs
#   files_switched              whether docker compose would start wanted_images
#   switch_files_now, put_files_back     each file as a whole; owner, rights and links stay. files_back: whether they are as they were

file_plan='' wanted_images=''

# Immich's images in the place of Gallery's, with the ending that a tag has (-cuda); a digest is of Gallery's image. Only on lines image:.
# Of a variable with the image as its default the default stays.
new_compose()
{
    TAG=$1 LC_ALL=C awk '
    /^[ \t]*image:/ && match($0, /[^ \t"\047]*\/gallery-(server|ml|machine-learning)([:@][^ \t\r"\047#]*)?/) {
        before = substr($0, 1, RSTART - 1); after = substr($0, RSTART + RLENGTH); image = substr($0, RSTART, RLENGTH)
        server = image ~ /\/gallery-server/
        outer = image
        sub(/\/gallery-.*/, "", outer)
        if (gsub(/[{]/, "", outer) > gsub(/[}]/, "", outer)) sub(/[}]$/, "", image)
        sub(/@.*$/, "", image)
        tag = ""
        if (match(image, /\/gallery-(server|ml|machine-learning):/)) tag = substr(image, RSTART + RLENGTH)
        ending = ""
        if (tag !~ /[$]/) {
            if (match(tag, /-(cuda|openvino|rocm|armnn|rknn)$/)) ending = substr(tag, RSTART)
            tag = ENVIRON["TAG"] ending
        }
        $0 = before "ghcr.io/immich-app/immich-" (server ? "server" : "machine-learning") ":" tag after
    }
    { print }' "$2"
}
# IMMICH_VERSION becomes the tag; what only Gallery knows stays as a comment.
new_env()
{
    TAG=$1 LC_ALL=C awk '
    { ending = sub(/\r$/, "") ? "\r" : "" }
    # What an editor of another system puts before the first line.
    NR == 1 && sub(/^\357\273\277/, "") { printf "\357\273\277" }
    /^[ \t]*(export[ \t]+)?IMMICH_VERSION[ \t]*=/ {
        if (seen++) $0 = "# " $0
        else { sub(/IMMICH_VERSION.*/, ""); $0 = $0 "IMMICH_VERSION=" ENVIRON["TAG"] }
        print $0 ending
        next
    }
    /^[ \t]*(export[ \t]+)?IMMICH_(STORAGE_BACKEND|S3_[A-Z0-9_]*)[ \t]*=/ { print "# only Gallery: " $0 ending; next }
    { print $0 ending }
    END { if (!seen) print "IMMICH_VERSION=" ENVIRON["TAG"] }' "$2"
}

plan_files()
{
    local tag=$1 place=$files_place number=0 file images args=() service kind ending edit
    # Made once: what is switched later is what was shown.
    if [ ! -e "$place/plan" ]; then
        file_plan=''
        for file in ${stack_files[@]+"${stack_files[@]}"} "$env_file"; do
            number=$((number + 1))
            file=$(readlink -f -- "$file") || fail "cannot find the file $file"
            { [ -f "$file" ] && [ -r "$file" ]; } || { [ "$file" = "$(readlink -f -- "$env_file")" ] && : >"$place/$number.none"; } ||
                fail "cannot read the file $file" "Run it with sudo."
            if [ -e "$place/$number.none" ]; then : >"$place/$number.old"; else cp -p -- "$file" "$place/$number.old"; fi ||
                fail "cannot copy $file"
            edit=new_compose
            [ "$number" -le "${#stack_files[@]}" ] || edit=new_env
            "$edit" "$tag" "$place/$number.old" >"$place/$number.new" || fail "cannot write into $place"
            file_plan="$file_plan$number"$'\t'"$file"$'\n'
        done
        printf '%s' "$file_plan" >"$place/plan.part" && mv -- "$place/plan.part" "$place/plan" || fail "cannot write into $place"
    fi
    file_plan=$(<"$place/plan")
    wanted_images=''
    for service in $server $learning $others; do
        kind=$(kind_of "$(config_of "$service" image)")
        ending=$(sed -n 's/^[^@]*\(-cuda\|-openvino\|-rocm\|-armnn\|-rknn\)\(@.*\)\{0,1\}$/\1/p' <<<"$(config_of "$service" image)")
        case $kind in *-server) images=ghcr.io/immich-app/immich-server ;; *) images=ghcr.io/immich-app/immich-machine-learning ;; esac
        wanted_images="$wanted_images$service"$'\t'"$images:$tag$ending"$'\n'
    done
    files_switched && return
    # With the new files in the places of the old ones, and everything else as it is.
    number=0
    for file in "${stack_files[@]}"; do number=$((number + 1)); args+=(-f "$place/$number.new"); done
    args+=(--env-file "$place/$((number + 1)).new" -p "$stack" --project-directory "$install")
    images=$(cd -- "$install" && docker compose "${args[@]}" config 2>"$tmp/config" | parse_config) || images=''
    images_agree "$images" || {
        last_words "$tmp/config"
        fail "the images cannot be switched by editing these files: ${stack_files[*]} $env_file" \
            "docker compose would not start $(tr '\t\n' '  ' <<<"$wanted_images")from them." \
            "Is a tag or an image set elsewhere, in the shell or by a manager? Set both images and IMMICH_VERSION=$tag by hand" \
            "(docs/switching-back.md, step 4), do not start anything, and run this again."
    }
}
images_agree()
{
    local services=$1 service image
    while IFS=$'\t' read -r service image; do
        [ -z "$service" ] || [ "$(config_of "$service" image)" = "$image" ] || return 1
    done <<<"$wanted_images"
}
files_switched() { [ -n "$wanted_images" ] && images_agree "$(compose config 2>/dev/null | parse_config)"; }

files_diff()
{
    local number file
    while IFS=$'\t' read -r number file; do
        [ -n "$number" ] || continue
        diff -U 0 "$files_place/$number.old" "$files_place/$number.new" | sed "1,2d; /^@@/d" >"$tmp/diff"
        [ ! -s "$tmp/diff" ] || { note "$file" ""; sed 's/^/      /' "$tmp/diff" | shown; }
    done <<<"$file_plan"
}

# A new file with the old one's owner and rights takes its place at once: a machine that stops in between leaves one or the other.
put_file()
{
    local from=$1 to=$2 like=$3 new
    new=$(dirname -- "$to")/.$(basename -- "$to").$program-new
    if [ -e "$like" ]; then cp -p -- "$like" "$new"; else : >"$new"; fi && cat -- "$from" >"$new" &&
        { [ "$from" != "$like" ] || touch -r "$from" -- "$new"; } && { sync -- "$new" 2>/dev/null || sync; } &&
        mv -f -- "$new" "$to" && return
    rm -f -- "$new"
    return 1
}
each_file()
{
    local number file
    while IFS=$'\t' read -r number file <&5; do [ -z "$number" ] || "$1" "$number" "$file" || return; done 5<<<"$file_plan"
}
switch_file()
{
    cmp -s -- "$files_place/$1.new" "$2" && return
    { [ -e "$files_place/$1.none" ] && [ ! -e "$2" ]; } || cmp -s -- "$files_place/$1.old" "$2" ||
        fail "$2 was changed since it was shown" "Compare it with $files_place/$1.old." \
            "Put that back, or remove the folder $files_place to be shown anew."
    changing "compose file and .env"
    put_file "$files_place/$1.new" "$2" "$2" || fail "cannot write $2"
}
switch_files_now() { each_file switch_file; }
put_file_back()
{
    is_back "$1" "$2" && return
    # Somebody edited it since: that is kept as well.
    [ ! -e "$2" ] || cmp -s -- "$files_place/$1.new" "$2" || cp -p -- "$2" "$files_place/$1.edited"
    if [ -e "$files_place/$1.none" ]; then rm -f -- "$2"; else put_file "$files_place/$1.old" "$2" "$files_place/$1.old"; fi
}
put_files_back() { each_file put_file_back; }
is_back()
{
    if [ -e "$files_place/$1.none" ]; then [ ! -e "$2" ]; else cmp -s -- "$files_place/$1.old" "$2"; fi
}
files_back() { each_file is_back; }
