# shellcheck shell=bash disable=SC2015,SC2034,SC2154,SC2317 # the files beside this one share their variables
# The extension's three files in the database's container: nothing in a database is changed. See command.sh, stack.sh and database.sh.
#
#   extension_ready           whether the server has the extension, of this version, and can load it
#   archive_name, archive_of     what the archive for this server is called; where it is (--binaries, beside this project, or in it)
#   install_extension            from the archive; else built in a throw-away container of the database's own image

extension_version=$(sed -n "s/^default_version = '\(.*\)'$/\1/p" "$guided/../../gallery_revert.control")

# Tried and rolled back.
extension_ready()
{
    ask postgres >/dev/null <<<"BEGIN;
        DROP EXTENSION IF EXISTS gallery_revert;
        CREATE SCHEMA gallery_revert_run;
        CREATE EXTENSION gallery_revert SCHEMA gallery_revert_run VERSION $(literal "$extension_version");
        ROLLBACK;"
}

archive_name()
{
    local machine
    machine=$(pg uname -m) || return
    case $machine in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; esac
    printf 'gallery_revert-%s-pg%s-%s.tar.gz' "$extension_version" "$major" "$machine"
}
archive_of()
{
    local root=$guided/../.. place
    for place in ${binaries:+"$binaries"} "$root/binaries" "$root/build/binaries" "$root" "$install" "$root/.."; do
        [ ! -r "$place/$1" ] || { printf '%s' "$place/$1"; return; }
    done
    return 1
}

install_extension()
{
    local name archive
    name=$(archive_name) || fail "the container $db_container does not answer"
    if archive=$(archive_of "$name"); then
        note "from $name"
        if [ -r "${archive%/*}/SHA256SUMS" ]; then
            (cd -- "${archive%/*}" && grep -F "  $name" SHA256SUMS | sha256sum -c --status -) ||
                fail "$archive is not what SHA256SUMS beside it says" "Get it again."
        fi
        copy_archive() { gunzip -c -- "$archive" | docker cp - "$db_container:/"; }
        if quiet copy_archive; then
            extension_ready && return
            last_words "$tmp/sql.log"
            note "these files do not fit this server; they are built for it"
        else
            [ "$(inspected "$db_container" readonly)" != true ] || cannot_copy
            last_words "$tmp/said"
            cannot_copy
        fi
    else
        note "there is no $name; it is built in a throw-away container (downloads a compiler, 160 MB)"
    fi
    build_extension
    extension_ready || { last_words "$tmp/sql.log"; fail "the server cannot load the extension" "The message is above."; }
}

build_extension()
{
    local image base made
    base=$(docker inspect --format '{{or (index .Config.Labels "gallery_revert.base") .Config.Image}}' "$db_container") ||
        fail "the container $db_container does not answer"
    image=$program-build-$run
    logged docker build --target build -f "$guided/../../docker/postgres/Dockerfile" -t "$image" --build-arg "BASE_IMAGE=$base" \
        --build-arg "APT_SOURCE=${GALLERY_REVERT_APT_SOURCE:-}" "$guided/../.." || {
        docker image rm "$image" >/dev/null 2>&1
        fail "the extension cannot be built for $base" \
            "Without a network: put $(archive_name) beside gallery_revert, or say where it is with --binaries DIR." \
            "If apt has no postgresql-server-dev-$major: GALLERY_REVERT_APT_SOURCE, see docker/compose.gallery-revert.yml."; }
    made=$(docker create "$image" true) || fail "no container can be made of the built image"
    copy_built() { docker cp "$made:/out/." - | docker cp - "$db_container:/"; }
    quiet copy_built || { docker rm "$made" >/dev/null 2>&1; last_words "$tmp/said"; cannot_copy; }
    quiet docker rm "$made"
    quiet docker image rm "$image"
}

cannot_copy()
{
    fail "nothing can be copied into the container $db_container" \
        "A container that is read-only: mount the three files, or build them into the image (docs/switching-back.md, by hand, step 3)." \
        "Where that cannot be done either, gallery_revert_script() makes a file for plain psql on a restored copy (docs/reference.md)."
}
