#!/bin/sh
# build.sh SOURCE TARGET: the steps of the Dockerfile beside it. Installs the compiler and the server's headers from the
# apt sources that are set up, builds the extension in SOURCE and leaves its three files under TARGET, in the places
# where PostgreSQL looks for them. Runs as root in a build stage that is thrown away.
#
# PG_MAJOR is the PostgreSQL to build for (the postgres image sets it); APT_SOURCE one more line for apt's sources.

set -eu

[ $# = 2 ] || { echo "usage: PG_MAJOR=14 build.sh SOURCE TARGET" >&2; exit 2; }
source=$1 target=$2
pg_config=/usr/lib/postgresql/${PG_MAJOR:?is not set}/bin/pg_config

export DEBIAN_FRONTEND=noninteractive
apt-get -q update
if [ -n "${APT_SOURCE-}" ]; then
    # The archive of PostgreSQL's packages is reached by https, for which the image has no certificates.
    apt-get -q -y --no-install-recommends install ca-certificates
    echo "$APT_SOURCE" >/etc/apt/sources.list.d/gallery_revert.list
    apt-get -q update
fi
apt-get -q -y --no-install-recommends install g++ make "postgresql-server-dev-$PG_MAJOR"

# Objects of another PostgreSQL or compiler may have come along.
make -C "$source" PG_CONFIG="$pg_config" clean
make -C "$source" PG_CONFIG="$pg_config" -j "$(nproc)"
mkdir -p "$target"
make -C "$source" PG_CONFIG="$pg_config" install DESTDIR="$target"

count=$(find "$target" -type f | wc -l)
if [ "$count" -ne 3 ]; then
    echo "build.sh: expected three files, found $count:" >&2
    find "$target" -type f >&2
    exit 1
fi
