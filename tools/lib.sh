# Shell functions that the tools share: what is installed, who we are, where clusters find the extension.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Nothing of the caller's own databases may leak into the suites.
unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGOPTIONS PGSERVICE PGSERVICEFILE

say() { printf '%s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# The newest server major that is installed, or the one asked for by PG_MAJOR; "15" where there is none yet.
pg_major() {
    if [ -n "${PG_MAJOR:-}" ]; then
        say "$PG_MAJOR"
        return
    fi
    local newest
    newest=$(find /usr/lib/postgresql -maxdepth 1 -mindepth 1 -name '[0-9]*' -printf '%f\n' 2>/dev/null | sort -n | tail -n 1)
    # Before anything is installed: what the distribution's own "postgresql" would bring.
    [ -n "$newest" ] || newest=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/^ *Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
    say "${newest:-15}"
}

# Installs the Debian packages that are missing, and says which; without the right to do so, says what to install.
need_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || die "missing packages; as root, run: apt-get install ${missing[*]}"
        as_root=(sudo -n)
    fi
    local log
    log=$(mktemp)
    # No cluster of the machine's own is wanted: the suites make theirs and remove them.
    "${as_root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
    printf 'create_main_cluster = false\n' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.d/gallery_revert.conf >/dev/null
    if ! "${as_root[@]}" apt-get update >"$log" 2>&1 ||
        ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        die "apt-get failed; its whole output is in $log"
    fi
    "${as_root[@]}" rm -f /etc/postgresql-common/createcluster.d/gallery_revert.conf
    rm -f "$log"
}

# What building and the suites need.
need_build_packages() {
    command -v apt-get >/dev/null || return 0
    if [ ! -e "/usr/lib/postgresql/${PG_MAJOR:-none}" ] && ! dpkg-query -W postgresql-common >/dev/null 2>&1; then
        [ "$(id -u)" -ne 0 ] || apt-get update >/dev/null 2>&1 || true
    fi
    local major
    major=$(pg_major)
    need_packages make g++ perl git postgresql-common "postgresql-$major" "postgresql-client-$major" \
        "postgresql-server-dev-$major" libipc-run-perl libgtest-dev busybox
}

# As root: copies the working tree to a place of the user postgres and goes on there as that user, because PostgreSQL
# refuses to run as root. Otherwise goes on. Call as: become_user "$0" "$@"
become_user() {
    [ "$(id -u)" -eq 0 ] || return 0
    local script copy status=0
    script=$(readlink -f "$1")
    shift
    copy=$(mktemp -d /tmp/gallery_revert.XXXXXX)
    (cd "$root" && { git ls-files -co --exclude-standard 2>/dev/null || find . -type f -printf '%P\n'; } |
        tar -cf - -T - --ignore-failed-read 2>/dev/null) |
        tar -xf - -C "$copy"
    chown -R postgres: "$copy"
    (cd "$copy" && runuser -u postgres -- env HOME="$copy" "$(basename "${script%/*}")/${script##*/}" "$@") || status=$?
    if [ -n "${KEEP:-}" ]; then
        say "kept: $copy"
    else
        rm -rf "$copy"
    fi
    exit "$status"
}

# Builds the extension and installs it below build/install, where the clusters of the suites look for it.
build_extension() {
    local major log
    major=$(pg_major)
    export PG_CONFIG=/usr/lib/postgresql/$major/bin/pg_config
    mkdir -p "$root/build"
    log=$root/build/make.log
    make -C "$root" -s -j"$(nproc)" >"$log" 2>&1 || { cat "$log" >&2; die "the build failed"; }
    make -C "$root" -s install DESTDIR="$root/build/install" >>"$log" 2>&1 || { cat "$log" >&2; die "the installation failed"; }
}

# The server options that make a cluster find what build_extension installed, one name=value a line.
cluster_options() {
    local major install
    major=$(pg_major)
    install=${GALLERY_REVERT_INSTALL:-$root/build/install}
    if [ "$major" -ge 18 ]; then
        # The server's own way from 18 on.
        say "extension_control_path=$install/usr/share/postgresql/$major:\$system"
    else
        # Debian's servers have this option for testing packages before they are installed.
        say "extension_destdir=$install"
    fi
    say "dynamic_library_path=$install/usr/lib/postgresql/$major/lib:\$libdir"
}

# Runs a command with a throw-away cluster (libpq's environment set) that finds the extension.
with_cluster() {
    local options=() line
    while IFS= read -r line; do
        options+=(-o "$line")
    done < <(cluster_options)
    pg_virtualenv -t -v "$(pg_major)" -c '--locale=C.UTF-8' "${options[@]}" \
        -o fsync=off -o max_connections=50 -o max_prepared_transactions=5 \
        -o log_min_messages=warning "$@"
}
