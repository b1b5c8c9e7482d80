#!/bin/sh
# Reads an Immich server log and names the cause of a failed start and the next command.
#
#   docker compose logs immich-server database | gallery_revert/scripts/diagnose.sh
#   gallery_revert/scripts/diagnose.sh saved.log
#
# It only reads text: no database, no container, nothing is changed. One file, POSIX sh and awk, so that it can be
# copied to any machine. The same causes are in docs/recovery.md; the test holds both together.
# Exit status: 0 a known cause was found, 1 none was found, 2 the log could not be read.
set -u

usage()
{
    cat <<'USAGE'
usage: diagnose.sh [FILE...]
Reads an Immich server log (FILE, or standard input) and prints what went wrong and which command comes next.

  docker compose logs immich-server database | gallery_revert/scripts/diagnose.sh
  gallery_revert/scripts/diagnose.sh saved.log

Exit status: 0 a known cause was found, 1 none was found, 2 the log could not be read.
USAGE
}

for arg in "$@"; do
    case $arg in
        -h | --help) usage; exit 0 ;;
        -) ;;
        -*) echo "diagnose.sh: unknown option: $arg (see --help)" >&2; exit 2 ;;
        *) if [ ! -r "$arg" ] || [ -d "$arg" ]; then
               echo "diagnose.sh: cannot read the file: $arg" >&2
               exit 2
           fi ;;
    esac
done
if [ $# -eq 0 ] && [ -t 0 ]; then
    usage >&2
    exit 2
fi

# Byte semantics: a log may hold anything, and some awks stop at text that is no valid UTF-8.
LC_ALL=C
export LC_ALL

# shellcheck disable=SC2016 # the $ signs below are awk's
cat -- "$@" | awk '
# A cause. The order of the calls is the order of the report: what must be fixed first comes first, and a line belongs
# to the first cause it matches. past=1: a later successful start of the server shows that this is over.
# preserve=1: the way out may touch the database, so it is preserved first.
function cause(id, past, preserve, title, regex, unless, why, next_commands)
{
    n++
    ids[n] = id; pasts[n] = past; preserves[n] = preserve; titles[n] = title
    any = any (n > 1 ? "|" : "") "(" regex ")"
    regexes[n] = regex; exceptions[n] = unless; whys[n] = why; commands[n] = next_commands
}

# What is printed comes from a file that anyone may have written to: no escape sequences, no passwords, one short line.
function printable(text)
{
    gsub(/[\001-\037\177]/, " ", text)
    gsub(/:\/\/[^ "]*@/, "://***@", text)
    # A value in quotes ends at the same quote, another one at a blank.
    gsub(/[Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd]\\*["\047]?[=:] *\\*"([^"\\]|\\.)*("|$)/, "password=***", text)
    gsub(/[Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd]\\*["\047]?[=:] *\047([^\047\\]|\\.)*(\047|$)/, "password=***", text)
    gsub(/[Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd]\\*["\047]?[=:] *[^ *"\047][^ ]*/, "password=***", text)
    sub(/^ +/, "", text)
    return length(text) > 300 ? substr(text, 1, 300) " ..." : text
}

# 1: each service that had the cause has started after it. 2: the server started, but the cause is of another service.
# 0: there was no start after it.
function is_over(i,    key, parts, unknown)
{
    for (key in last) {
        split(key, parts, SUBSEP)
        if (parts[1] != i) continue
        if (!(parts[2] in start_of)) unknown = 1
        else if (start_of[parts[2]] < last[key]) return 0
    }
    return started ? 1 + unknown : 0
}

function quoted(text, before,    start)
{
    start = index(text, before)
    if (!start) return ""
    text = substr(text, start + length(before))
    sub(/[^A-Za-z0-9._-].*/, "", text)
    return text
}

function wrap(text, width, indent,    words, count, i, line)
{
    count = split(text, words, " ")
    line = ""
    for (i = 1; i <= count; i++) {
        if (line != "" && length(line) + 1 + length(words[i]) > width) {
            print indent line
            line = words[i]
        } else
            line = line == "" ? words[i] : line " " words[i]
    }
    print indent line
}

BEGIN {
    # Where something is changed, a failure before it must stop it, also when all lines are pasted at once: they end in &&.
    # Without -i, which would take away the lines that are pasted after a command.
    psql = "docker exec immich_postgres psql -X -P pager=off -U postgres -d immich"
    advice = psql " -x -c \"SELECT * FROM immich_recovery_advice(@TAG@)\""
    # COPY runs no code that somebody left with the table; a query of it might.
    versions = psql " -c \047COPY public.version_history (\"createdAt\", version) TO STDOUT\047 | sort | tail -n 5"
    logs = "docker compose logs --tail 200 database"
    # Words that Gallery uses in its migration names and Immich does not; the test compares them with all known names.
    gallery_words = "SharedSpace|SharedLinkSpaceId|Space(Person|People|Asset|Daily)|StorageMigrationLog|PetDetection|PetsEnabled|PetSearch"
    gallery_words = gallery_words "|UserGroup|DuplicateChecksum|Classification|Library(Audit|Sync|User)"
    gallery_words = gallery_words "|Face(Identit|Repair|Person|Suggestion|Review|CreatedBy)"
    gallery_words = gallery_words "|PersonFaceSuggestion|PersonFks|Agent[A-Z]|UserHasAlbumPath"
    gallery_words = gallery_words "|DescriptionTrigram|DisablePostgresJit|Favorite(Tables|Column)"
    gallery_words = gallery_words "|LivePhotoVideoVisibility|PhysicalUsage|PhotoGuessing"
    gallery_words = gallery_words "|GameChallenge|FamilyRelationships|LocalDateTimeIndex|QualityScoring|DerivedFile|CleanupTables"

    cause("disk-full", 0, 0, "A disk is full",
        "No space left on device|ENOSPC|could not extend file", "",
        "The database or the server could not write. Migrations run in one transaction, so a failed update left no half " \
            "state. Make room first: more restarts only fill the disk with logs.",
        "df -h\ndocker compose stop immich-server\ndocker system df")
    cause("data-directory", 0, 0, "The database image has another PostgreSQL version than its data",
        "database files are incompatible with server|data directory was initialized by PostgreSQL version", "",
        "The tag of the database image was changed to another major version. PostgreSQL does not touch such data: put the " \
            "previous image tag of the service database back into docker-compose.yml. Moving to another major version needs " \
            "a dump and a restore.",
        "docker compose up -d database\ndocker compose logs --tail 20 database")
    cause("data-permission", 1, 0, "The database may not use its own folder",
        "data directory \"[^\"]*\" has (invalid permissions|wrong ownership)|" \
            "could not (open|read|write|stat|create) [^:]*: Permission denied", "",
        "DB_DATA_LOCATION belongs to another user than the one PostgreSQL runs as, mostly after a chown or a copy, or on a " \
            "network share or Windows disk that keeps no owners. Give the folder back to the user of the database container; " \
            "nothing in it needs to change.",
        "docker compose stop database\ndocker compose run --rm --no-deps --entrypoint id database postgres\n" \
            "ls -ldn \"$(sed -n \"s/^DB_DATA_LOCATION=//p\" .env | tr -d \"\\\"\047\\r\")\"")
    cause("postgres-version", 1, 0, "Immich does not support this PostgreSQL version",
        "Invalid PostgreSQL version|nsupported PostgreSQL version", "",
        "This server image needs a newer (or another) PostgreSQL than the one that answers. Nothing was changed in the " \
            "database. Go back to the previous server tag, then move the database by dump and restore.",
        psql " -c \"SHOW server_version\"\ndocker compose config --images")
    cause("password", 1, 0, "The database refuses the password",
        "password authentication failed|SASL: SCRAM|no password supplied", "",
        "DB_PASSWORD in .env is not the password that the database knows. The database keeps the password of its first " \
            "start; a later change of .env does not reach it. Put the old password back, or set the one from .env as shown " \
            "(it asks for it, nothing is put on the command line).",
        "docker exec -it immich_postgres psql -U postgres -d immich -c \"\\password postgres\" &&\ndocker compose up -d")
    cause("connection", 1, 0, "The database does not answer",
        "(ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH)[^,]*5432|" \
            "getaddrinfo (ENOTFOUND|EAI_AGAIN) (database|immich_postgres|postgres)([^.A-Za-z0-9_-]|$)|" \
            "CONNECT_TIMEOUT|CONNECTION_(CLOSED|ENDED|DESTROYED)|port 5432 failed: Connection refused|" \
            "the database system is (starting up|shutting down|in recovery|not yet accepting)", "",
        "The database container is stopped, still starting, or restarting; after a crash it may replay for minutes. The " \
            "reason is in its own log, not in the server log.",
        "docker compose ps database\n" logs)
    cause("redis", 1, 0, "Redis does not answer",
        "(ECONNREFUSED|ETIMEDOUT|EHOSTUNREACH)[^,]*6379|" \
            "getaddrinfo (ENOTFOUND|EAI_AGAIN) (redis|immich_redis|valkey)([^.A-Za-z0-9_-]|$)", "",
        "The server waits for its job queue. The database is not involved.",
        "docker compose up -d redis\ndocker compose logs --tail 50 redis")
    cause("redis-password", 1, 0, "Redis refuses the password",
        "NOAUTH|WRONGPASS", "",
        "REDIS_PASSWORD in .env (or the one in REDIS_URL) is not the one that Redis was started with. The database is not involved.",
        "docker compose up -d redis\ndocker compose logs --tail 50 redis")
    cause("unknown-host", 1, 0, "A host name leads nowhere",
        "(worker error:|WebsocketRepository|ioredis).*getaddrinfo (ENOTFOUND|EAI_AGAIN) ", "",
        "DB_HOSTNAME, DB_URL, REDIS_HOSTNAME or REDIS_URL in .env may name a host that the server cannot find. In the stock " \
            "compose file the names are database and redis; a container finds another one only by the name of a service in " \
            "the same network.",
        "grep -E \"^(DB|REDIS)_HOSTNAME=\" .env\ndocker compose ps -a")
    cause("no-database", 1, 0, "The database or the role does not exist",
        "(FATAL|PostgresError|error): *(database|role) \"[^\"]*\" does not exist", "(role|database) \"root\"",
        "The server asks for a name that this database server does not have: DB_DATABASE_NAME or DB_USERNAME was changed, " \
            "DB_DATA_LOCATION points to a new, empty folder, or a restore stopped after the old database was renamed. The " \
            "command lists what is there.",
        "docker exec immich_postgres psql -X -P pager=off -U postgres -d postgres -c \"\\l+\"")
    cause("missing-migration", 1, 1, "The database is newer than the server image, or another product made it",
        "corrupted migrations: previously executed migration .* is missing", "",
        "The database has a migration that this image does not ship: the image was downgraded, a moving tag was pinned to " \
            "something older, or a fork ran here. Do not delete the row from the ledger: its changes stay. Start the newest " \
            "version that ran here (the last row of the second command), or restore the dump from before.",
        advice "\n" versions)
    cause("order-fault", 1, 1, "The ledger of migrations is out of order",
        "corrupted migrations: expected previously executed migration", "",
        "All rows may be there, but their times do not ascend with their names, and the server accepts nothing else. The " \
            "first command says whether the order is all that is wrong; if so, the second repairs the times (it needs the " \
            "token, so read the advice first).",
        advice " &&\n" psql " -v ON_ERROR_STOP=1 -c \"SET gallery.revert_token = \047i_accept_data_loss\047\"" \
            " -c \"SELECT immich_repair_migration_order()\"")
    cause("upgrade-path", 1, 1, "The database is too old for this image",
        "Invalid upgrade path", "",
        "A database from before v1.132.0 must be started once by a release from v1.132.0 to v1.136.0 (v1.132.3 is the usual " \
            "one). Nothing was changed. Set IMMICH_VERSION=v1.132.3 in .env, start, wait until the server answers, and only " \
            "then set the tag you want.",
        advice " &&\ndocker compose up -d &&\ndocker compose logs -f immich-server")
    cause("extension", 1, 0, "The database server lacks an extension",
        "extension \"[^\"]*\" is not available|could not open extension control file|" \
            "could not access file \"[^\"]*(vchord|vectors|vector|gallery_revert)|extension is not (available|installed)|" \
            "extension version is [^,]*, but Immich only supports|activated, but the Postgres instance only has|" \
            "Failed to activate .* extension", "",
        "The database image does not hold an extension that this Immich, or the dump that is restored, asks for: use the " \
            "database image of the release notes, or (for gallery_revert) take the dump after DROP EXTENSION gallery_revert. " \
            "After GALLERY_REVERT_BASE_IMAGE was set: it must be the image that you had.",
        psql " -c \"SELECT name, default_version, installed_version FROM pg_catalog.pg_available_extensions ORDER BY 1\"")
    cause("permission", 1, 1, "The database role may not do this",
        "permission denied (for|to) |must be owner of|must be superuser", "EACCES",
        "Some tables belong to another role than the one the server uses, mostly after a restore by another user or with " \
            "another DB_USERNAME. The query lists the owners; use the role that owns them as DB_USERNAME, or give the " \
            "objects to the role of the server.",
        psql " -c \"SELECT tableowner, count(*) FROM pg_catalog.pg_tables WHERE schemaname = \047public\047 GROUP BY 1\"")
    cause("file-permission", 1, 0, "The server may not use its folder",
        "EACCES: permission denied|Failed to (read|write|create):? .*[.]immich|ENOENT.*[.]immich", "",
        "UPLOAD_LOCATION is not mounted, is another folder than before, or belongs to another user. The database is not " \
            "involved. Do not create empty marker files to get past this: an unmounted disk would then look like lost photos.",
        "docker compose config | grep -A 8 volumes\nls -ln \"$(sed -n \"s/^UPLOAD_LOCATION=//p\" .env | tr -d \"\\\"\047\\r\")\"")
    cause("already-exists", 1, 1, "The update meets objects that are already there",
        "(relation|type|constraint|column|trigger) \"[^\"]*\"[^,]* already exists", "relation \"kysely_migrations(_lock)?\" already",
        "A dump was restored over a database in use, or rows of the ledger were removed by hand: the migration was done " \
            "before, the ledger does not say so. The failed update was undone as a whole. Restore into an empty database.",
        advice "\n" versions)
    # In the database log stands what anyone asked for, so only the server counts.
    cause("missing-relation", 1, 1, "A table or column that the server needs is not there",
        "(relation|column|table) [^,]* does not exist",
        "[0-9]:[0-9.]+ [A-Z]+ \\[[0-9]+\\] (ERROR|FATAL|LOG|STATEMENT|DETAIL|HINT|WARNING): |" \
            "relation \"(kysely_migrations|kysely_migrations_lock|migrations|typeorm_metadata|version_history)\" does not exist",
        "Database and image do not belong together (a dump restored into another release, DB_SKIP_MIGRATIONS left on), a " \
            "restore stopped half way, or the server looks into the wrong database. The first command tells which release " \
            "this database is.",
        advice "\n" versions "\ndocker compose config | grep -E \"DB_|IMMICH_VERSION\" | grep -v PASSWORD")
    cause("half-update", 1, 1, "The update failed and was undone",
        "Migration \"[^\"]*\" failed|igrations failed:", "",
        "Immich runs all pending migrations in one transaction: half an update is no update, the database is as it was " \
            "before. The line after this one in the log has the reason. If the advice is roll_back, the previous tag starts " \
            "as before.",
        advice "\n" versions)
    cause("gallery-plugin", 0, 1, "A plugin of Noodle Gallery is left in the database",
        "([Hh]ost function|cannot resolve import|LinkError|extism).*gallery|gallery-core", "gallery-core (is up to date|loaded)",
        "The row of the plugin gallery-core asks for a host function that only Gallery has, and stops the microservices " \
            "worker. This database was not (wholly) taken back to Immich: revert it, the plan shows what is left.",
        advice "\n" psql " -c \"SELECT * FROM gallery_revert_check()\"\n" psql " -c \"SELECT * FROM gallery_revert_plan()\"")
    cause("schema-drift", 0, 1, "The schema differs from what Immich expects",
        "Detected schema drift", "",
        "A warning: the server goes on. The lines below it in the log name each difference. Do not paste the SQL of " \
            "schema-check into psql: psql goes on after an error and can make it worse. The checks tell leftovers of Gallery " \
            "from changes of your own.",
        psql " -c \"SELECT * FROM gallery_revert_check()\"\ndocker exec immich_server immich-admin schema-check")
}

{
    gsub(/\033\[[0-9;?]*[A-Za-z]/, "")
    sub(/\r$/, "")
}

/Initializing Immich / {
    tag = quoted($0, "Initializing Immich ")
    if (tag != image) {
        image = tag
        history[++images] = tag " (line " NR ")"
    }
}

# Of several services docker does not write the lines in the order of time, so a start is after those lines only that
# are of the same service.
{ service = match($0, /^[A-Za-z0-9_.-]+ +[|]/) ? substr($0, 1, RLENGTH) : "" }

/Immich Server is listening|Immich Microservices is running/ { started = NR; start_of[service] = NR }

$0 ~ any {
    for (i = 1; i <= n; i++) {
        if ($0 !~ regexes[i] || (exceptions[i] != "" && $0 ~ exceptions[i])) continue
        if (!seen[i]++) { first[i] = NR; sample[i] = $0 }
        last[i, service] = NR
        if (ids[i] == "missing-migration") {
            name = quoted($0, "previously executed migration ")
            if (name != "" && !(name in names)) { names[name] = 1; missing[++missings] = name }
        }
        break
    }
}

END {
    if (NR == 0) {
        print "The log is empty. Is the server running at all?"
        print "    docker compose ps -a"
        exit 1
    }
    for (i = 1; i <= images; i++)
        if (i == 1) line = "Server image in this log: " history[1]
        else if (i > images - 3) line = line ", then " history[i]
        else if (i == 2) line = line ", then " images - 4 " others"
    if (images) print line "."
    if (images > 1)
        wrap("The image changed within this log. If that was not your doing, IMMICH_VERSION is a moving tag (release, " \
            "latest, v3): pin the exact one.", 98, "")
    for (i = 1; i <= n; i++) if (seen[i]) {
        found++
        over = pasts[i] ? is_over(i) : 0
        print ""
        print found ". " titles[i] (over == 1 ? "  [over: the server started at line " started "]" : "")
        print "   log, line " first[i] (seen[i] > 1 ? " (" seen[i] " times)" : "") ":"
        print "     " printable(sample[i])
        wrap(whys[i], 92, "   ")
        if (ids[i] == "missing-migration")
            for (k = 1; k <= missings; k++)
                if (missing[k] ~ "^[0-9]+-.*(" gallery_words ")")
                    wrap("The name " missing[k] " looks like one of Noodle Gallery: " \
                        "if Gallery ran here, see docs/switching-back.md.", 92, "   ")
        if (over == 1) continue
        if (over == 2)
            wrap("The server did start (line " started "). " \
                "docker does not sort the lines of two services by time: is this line older than the start, it is over.", 92, "   ")
        if (preserves[i]) careful = 1
        print "   next:"
        gsub(/@TAG@/, image ~ /^v[0-9]+[.][0-9]+[.][0-9]+$/ ? "\047" image "\047" : "NULL::text", commands[i])
        count = split(commands[i], list, "\n")
        for (k = 1; k <= count; k++) print "     " list[k]
        if (commands[i] ~ /immich_re|gallery_revert_/) print "   (needs the extension: docs/recovery.md, step 4)"
    }
    if (!found) {
        print "No known cause in these " NR " lines" (started ? "; the server started at line " started "." : ".")
        print "The database has a log of its own, and older lines may have been left out:"
        print "    docker compose logs --no-color immich-server database > immich.log"
        exit 1
    }
    print ""
    if (careful) {
        print "Before you change the database, stop the server and preserve what is there:"
        print "    docker compose stop immich-server &&"
        print "    gallery_revert/scripts/preserve-state.sh --docker immich_postgres --install ."
    }
    print "Your photos are files outside the database; none of these messages says that one was lost."
    print "More on each cause: docs/recovery.md"
}'
