#!/bin/sh
# build.sh SOURCE TARGET: the steps of the Dockerfile beside it. Installs the compiler and the server's headers from the
# apt sources that are set up, builds the extension in SOURCE and leaves its three files under TARGET, in the places
# where PostgreSQL looks for them. Runs as root in a build stage that is thrown away.
#
# PG_MAJOR is the PostgreSQL to build for (the postgres image sets it); APT_SOURCE one more line for apt's sources; BASE_IMAGE the name of
# the image that this runs in, for messages.

set -eu

[ $# = 2 ] || { echo "usage: PG_MAJOR=14 build.sh SOURCE TARGET" >&2; exit 2; }
source=$1 target=$2
pg_config=/usr/lib/postgresql/${PG_MAJOR:?is not set}/bin/pg_config

fail() { printf 'build.sh: %s\n' "$@" >&2; exit 1; }

[ ! -e "/usr/share/postgresql/$PG_MAJOR/extension/gallery_revert.control" ] ||
    fail "the image ${BASE_IMAGE:-it builds on} has gallery_revert already: it was built by this file" \
        "build on the one that it was made from, which it names:" \
        "docker image inspect --format '{{index .Config.Labels \"gallery_revert.base\"}}' ${BASE_IMAGE:-IMAGE}"

export DEBIAN_FRONTEND=noninteractive
if [ -n "${APT_SOURCE-}" ]; then
    echo "$APT_SOURCE" >/etc/apt/sources.list.d/gallery_revert.list
fi
# A source that is gone, one of the image's own or the one added, is no reason to stop as long as another has the packages.
apt-get -q update || echo "build.sh: a source of packages failed, see above; trying what the others have" >&2
case ${APT_SOURCE-} in
    *https://*)
        # It could not be asked yet: the image has no certificates.
        if [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then
            apt-get -q -y --no-install-recommends install ca-certificates || fail "no source of this image has ca-certificates, which" \
                "a source behind https:// needs; name one that begins with http://, whose packages are signed as well"
            apt-get -q update || true
        fi
        ;;
esac
apt-get -q -y --no-install-recommends install g++ make "postgresql-server-dev-$PG_MAJOR" ||
    fail "the packages to build with cannot be had from this image's sources of packages; nothing was changed" \
        "if they have no postgresql-server-dev-$PG_MAJOR any more, name one that has it in GALLERY_REVERT_APT_SOURCE" \
        "(docker/compose.gallery-revert.yml has an example), or copy the ready-made files: docs/switching-back.md, step 3"

# Objects of another PostgreSQL or compiler may have come along.
make -C "$source" PG_CONFIG="$pg_config" clean
make -C "$source" PG_CONFIG="$pg_config" -j "$(nproc)"
mkdir -p "$target"
make -C "$source" PG_CONFIG="$pg_config" install DESTDIR="$target"
strip --strip-unneeded "$target/usr/lib/postgresql/$PG_MAJOR/lib/gallery_revert.so"

count=$(find "$target" -type f | wc -l)
if [ "$count" -ne 3 ]; then
    echo "build.sh: expected three files, found $count:" >&2
    find "$target" -type f >&2
    exit 1
fi
