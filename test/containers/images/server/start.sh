#!/bin/bash
# Immich's or Gallery's server, as far as the database sees one: Immich refuses a ledger with rows of Gallery's, Gallery writes to the
# database at each start; then either keeps a session.
printf 'Initializing Immich %s\n' "$IMMICH_SOURCE_REF"
export PGHOST=database PGUSER=${DB_USERNAME:-postgres} PGPASSWORD=${DB_PASSWORD:-postgres} PGDATABASE=${DB_DATABASE_NAME:-immich}
export PGAPPNAME=immich-server
until pg_isready -q; do sleep 0.2; done
if compgen -G '/usr/src/app/server/dist/schema/*/1772230000000-*' >/dev/null; then
    psql -X -q -c "INSERT INTO version_history (version) VALUES ('${IMMICH_SOURCE_REF#v}')"
else
    missing=$(psql -X -q -A -t -c "SELECT name FROM kysely_migrations WHERE name = '1772230000000-CreateStorageMigrationLogTable'")
    if [ -n "$missing" ]; then
        echo "corrupted migrations: previously executed migration $missing is missing" >&2
        exit 1
    fi
fi
touch /tmp/listening
echo 'Immich Server is listening'
# Idle, so that the database notices at once when this ends.
exec psql -X -q < <(exec sleep infinity)
