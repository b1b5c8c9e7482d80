#!/bin/bash
# Immich's or Gallery's server, as far as the database sees one: Immich takes the ledger as its migrator does, but that every update of it
# fails; Gallery writes to the database at each start; then either keeps a session.
printf 'Initializing Immich %s\n' "$IMMICH_SOURCE_REF"
export PGHOST=database PGUSER=${DB_USERNAME:-postgres} PGPASSWORD=${DB_PASSWORD:-postgres} PGDATABASE=${DB_DATABASE_NAME:-immich}
export PGAPPNAME=immich-server
until pg_isready -q; do sleep 0.2; done
if compgen -G '/usr/src/app/server/dist/schema/*/1772230000000-*' >/dev/null; then
    psql -X -q -c "INSERT INTO version_history (version) VALUES ('${IMMICH_SOURCE_REF#v}')"
else
    # Its migrator: what ran must be the beginning of what this release ships, in that order.
    mapfile -t shipped </usr/src/app/migrations
    mapfile -t ran < <(psql -X -q -A -t -c 'SELECT name FROM kysely_migrations ORDER BY timestamp, name')
    for name in "${ran[@]}"; do
        [[ " ${shipped[*]} " == *" $name "* ]] || {
            echo "Error: corrupted migrations: previously executed migration $name is missing" >&2
            exit 1
        }
    done
    for i in "${!ran[@]}"; do
        [ "${ran[i]}" = "${shipped[i]}" ] || {
            echo "Error: corrupted migrations: expected previously executed migration ${ran[i]} to be at index $i but ${shipped[i]}" \
                "was found in its place. New migrations must always have a name that comes alphabetically after the last executed" \
                "migration." >&2
            exit 1
        }
    done
    # An update comes to its first migration and fails, which leaves nothing of it.
    [ "${#ran[@]}" -eq "${#shipped[@]}" ] || {
        echo "Migration \"${shipped[${#ran[@]}]}\" failed" >&2
        echo 'Error: column "checksumAlgorithm" of relation "asset" already exists' >&2
        exit 1
    }
fi
touch /tmp/listening
echo 'Immich Server is listening'
# Idle, so that the database notices at once when this ends.
exec psql -X -q < <(exec sleep infinity)
