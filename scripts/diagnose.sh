#!/bin/sh
# Reads the logs of an Immich stack and names the cause of a failed start, restore or move, and the next command.
#
#   docker compose logs | gallery_revert/scripts/diagnose.sh
#   gallery_revert/scripts/diagnose.sh saved.log
#
# It only reads text: no database, no container, nothing is changed. POSIX sh and any awk. What it knows stands in
# causes.tsv beside it, one line for a cause; copy both to where they are needed. This file reads a log: which service
# wrote a line, what of it is a message, and which of several causes comes first.
# Exit status: 0 a known cause was found, 1 none was found, 2 the log could not be read.
set -u

usage()
{
    cat <<'USAGE'
usage: diagnose.sh [--kept] [FILE...]
Reads the logs of an Immich stack (FILE, or standard input) and prints what went wrong and which command comes next.

  docker compose logs | gallery_revert/scripts/diagnose.sh
  gallery_revert/scripts/diagnose.sh saved.log

With --kept it does not say how to preserve what is there: that was done.

Exit status: 0 a known cause was found, 1 none was found, 2 the log could not be read.
USAGE
}

kept=''
if [ "${1:-}" = --kept ]; then
    kept=1
    shift
fi
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
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd) || exit 2
if [ ! -r "$here/causes.tsv" ]; then
    echo "diagnose.sh: cannot read the file: $here/causes.tsv (it belongs beside this script)" >&2
    exit 2
fi

# Byte semantics: a log may hold anything, and some awks stop at text that is no valid UTF-8.
LC_ALL=C
export LC_ALL

# Patterns are put into the program as they stand here: some awks, of small machines, compile one that is in a variable anew
# for each line.
# What a photo or video may be called at its end. Not ts, which migrations are called as well.
photo='[.](3fr|3gpp?|ari|arw|avi|avif|bmp|cap|cin|cr[23w]|dcr|dng|erf|fff|flv|gif|hei[cf]|hif|iiq|insp|insv|jp[2eg]|jpeg'
photo="$photo|jxl|k25|kdc|m2ts|m4v|mkv|mov|mp4|mpeg|mpg|mpe|mrw|mts|mxf|nef|nrw|or[fi]|pef|png|psd|raf|raw|rw[2l]"
photo="$photo|sr[2fw]|svg|tiff?|vob|webm|webp|wmv|x3f|xmp)([^a-z0-9]|\$)"
journal='^([A-Z][a-z][a-z] [ 0-9][0-9] [0-9:]+|20[0-9-]+T[0-9:.]+[+-][0-9:]+) [^ ]+ [A-Za-z0-9_.@-]+(\[[0-9]+\])?: '
# What a message begins with: the name of an error, a program, a job.
lead='(api|microservices) worker error|[Mm]igrations failed|Kysely migrations failed|Migration "[^"]*" failed, error'
lead="$lead|Query failed|[A-Za-z]*Error|[Ee]rror|ERROR|FATAL|PANIC|WARNING|fatal|message|detail|Unable to run job[^:]*"
lead="$lead|Unhandled [^:]*|Database (Backup|Restore) Failure|initdb|psql|psql:[^ ]*:[0-9]+|pg_restore|pg_dump|pg_dumpall|gzip"
lead="^ *($lead|connection to server [^:]*failed)( :|:)+ *[\\047\"]?"
level='(^|[] ])(LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG[1-5]?|DETAIL|HINT|STATEMENT|CONTEXT|QUERY|LOCATION):  '

# The facts as a part of the program: find() returns the number of the first cause that a message belongs to, or 0.
# shellcheck disable=SC2016 # the $ signs below are awk's
facts=$(awk -F '\t' '
# Without gsub: awks differ in what a backslash means there.
function swap(text, from, to,    at, out)
{
    while ((at = index(text, from)) > 0) { out = out substr(text, 1, at - 1) to; text = substr(text, at + length(from)) }
    return out text
}
function quote(text) { return "\"" swap(swap(text, "\\", "\\\\"), "\"", "\\\"") "\"" }
!/^#/ && NF >= 15 {
    n++
    regex = swap($6, "/", "\\/")
    # In parts: an awk may have a limit on the length of one.
    if (length(any[parts]) + length(regex) > 2000 || !parts) parts++
    any[parts] = any[parts] (any[parts] == "" ? "" : "|") regex
    if ($4 != "loud") any_quiet = any_quiet (any_quiet == "" ? "" : "|") regex
    limit = $4 == "loud" ? "!quiet && " : $4 == "all" ? "quiet < 2 && " : ""
    tests = tests "    if (" limit "text ~ /" regex "/ && fits(" n ")) return " n "\n"
    print "function fact" n "() { class[" n "] = " quote($1) "; ids[" n "] = " quote($2) "; froms[" n "] = " quote("," $3 ",")
    print "    pasts[" n "] = " ($5 == "over") "; exceptions[" n "] = " quote($7 == "-" ? "" : $7)
    print "    follows[" n "] = " quote($8 == "-" ? "" : " " $8 " ") "; sures[" n "] = " quote($9) "; dangers[" n "] = " quote($10)
    print "    titles[" n "] = " quote($11) "; whys[" n "] = " quote($13) "; commands[" n "] = " quote($14 == "-" ? "" : $14) " }"
    all = all "fact" n "(); "
}
END {
    print "BEGIN { n = " n "; " all "}"
    print "function find(text, quiet)\n{"
    for (part = 1; part <= parts; part++) loud = loud (part > 1 ? " && " : "") "text !~ /" any[part] "/"
    print "    if (quiet ? (text !~ /" any_quiet "/) : (" loud ")) return 0"
    print tests "    return 0\n}"
}' "$here/causes.tsv")

# A log that PowerShell saved is UTF-16: without its zero bytes it is text. Some awks end a line at them.
# shellcheck disable=SC2016
cat -- "$@" | tr -d '\000' | KEPT=$kept awk "$facts"'
BEGIN {
    FS = "\n"
    # Where something is changed, a failure before it must stop it, also when all lines are pasted at once: they end in &&.
    # Without -i, which would take away the lines that are pasted after a command.
    psql = "docker exec immich_postgres psql -X -P pager=off -U postgres -d immich"
    snippet["psql"] = psql
    snippet["advice"] = psql " -x -c \"SELECT * FROM immich_recovery_advice(@TAG@)\""
    # COPY runs no code that somebody left with the table; a query of it might.
    snippet["versions"] = psql " -c \047COPY public.version_history (\"createdAt\", version) TO STDOUT\047 | sort | tail -n 5"
    snippet["dblog"] = "docker compose logs --tail 200 database"
    snippet["mounts"] = "docker inspect -f \047{{.Name}}{{range .Mounts}} {{.Source}}{{end}}\047 immich_postgres immich_server"
    # Each database folder of the machine has one such file, written at its last use.
    snippet["folders"] = \
        "sudo find / -path /proc -prune -o -path \047*/global/pg_control\047 -exec ls -l {} + 2>/dev/null"

    # Words that Gallery uses in its migration names and Immich does not; the test compares them with all known names.
    gallery_words = "SharedSpace|SharedLinkSpaceId|Space(Person|People|Asset|Daily)|StorageMigrationLog"
    gallery_words = gallery_words "|PetDetection|PetsEnabled|PetSearch"
    gallery_words = gallery_words "|UserGroup|DuplicateChecksum|Classification|Library(Audit|Sync|User)"
    gallery_words = gallery_words "|Face(Identit|Repair|Person|Suggestion|Review|CreatedBy)"
    gallery_words = gallery_words "|PersonFaceSuggestion|PersonFks|Agent[A-Z]|UserHasAlbumPath"
    gallery_words = gallery_words "|DescriptionTrigram|DisablePostgresJit|Favorite(Tables|Column)"
    gallery_words = gallery_words "|LivePhotoVideoVisibility|PhysicalUsage|PhotoGuessing"
    gallery_words = gallery_words "|GameChallenge|FamilyRelationships|LocalDateTimeIndex|QualityScoring|DerivedFile|CleanupTables"

    kind_name["server"] = "the Immich server"; kind_name["database"] = "the database"; kind_name["redis"] = "Redis"
    kind_name["ml"] = "machine learning"; kind_name["proxy"] = "a proxy"; kind_name["docker"] = "docker"
    kind_name["client"] = "psql, pg_dump or pg_restore"; kind_name["?"] = "an unknown program"
    kinds = split("server database ml redis proxy docker client ?", kind_order, " ")
}

# What is printed comes from a file that anyone may have written to: no escape sequences, no passwords, one short line.
function printable(text)
{
    gsub(/[\001-\037\177]/, " ", text)
    # The same in UTF-8, and what turns the direction of writing.
    gsub(/\302[\200-\237]|\342\200[\216\217\252-\256]|\342\201[\246-\251]/, "?", text)
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

# The kind of log by the name of its container or unit.
function kind_of_name(name)
{
    name = tolower(name)
    if (name ~ /postgres|database|pgvecto|(^|[-_])(db|pg|sql)([-_0-9]|$)/) return "database"
    if (name ~ /machine.?learning|(^|[-_])ml([-_0-9]|$)/) return "ml"
    if (name ~ /redis|valkey/) return "redis"
    if (name ~ /nginx|traefik|caddy|swag|proxy|npm|haproxy/) return "proxy"
    if (name ~ /dockerd|containerd|systemd|kernel/) return "docker"
    if (name ~ /immich|gallery/) return "server"
    return ""
}

# The kind by the shape of a line, where no name says it.
function kind_of_shape(text)
{
    if (text ~ /^(20[0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9:.]+ [^ ]+ )?(\[[0-9-]+\][^:]*)?(LOG|ERROR|FATAL|PANIC|WARNING|DETAIL|HINT):  /)
        return text ~ /^[A-Z]/ ? "client" : "database"
    if (text ~ /^\[Nest\] |^(Initializing Immich|Detected CPU Cores|Starting (api|microservices)|(api|microservices) worker )/ ||
        text ~ /^(Killing (api|microservices)|Query failed : |PostgresError: )/)
        return "server"
    if (text ~ /^[0-9]+:[MCSX] [0-9]+ [A-Z][a-z][a-z] 20/) return "redis"
    if (text ~ /^20[0-9][0-9]\/[0-9][0-9]\/[0-9][0-9] [0-9:]+ \[(error|warn|emerg|crit|notice)\] |^[{]"level":"[a-z]+","ts":/ ||
        text ~ /^[0-9a-f.:]+ - [^ ]+ \[|(while connecting to|while reading response header from) upstream/)
        return "proxy"
    if (text ~ /^(psql|pg_restore|pg_dump|pg_dumpall|gzip|gunzip)(:| exited)/) return "client"
    if (text ~ /^(Error response from daemon|dockerd|time="20[0-9-]+T[^"]*" level=|Error: (image|container|initializing source))/)
        return "docker"
    if (text ~ /^\[[0-9\/]+,? [0-9:]+\] (INFO|ERROR|WARNING|CRITICAL) |^\[20[0-9-]+ [0-9:]+ [+-][0-9]+\] \[[0-9]+\] \[/)
        return "ml"
    return ""
}

# How many days before the time of its own line a time in it is.
function day_number(text,    y, m, d)
{
    y = substr(text, 1, 4) + 0; m = substr(text, 6, 2) + 0; d = substr(text, 9, 2) + 0
    if (m < 3) { m += 12; y-- }
    return 365 * y + int(y / 4) - int(y / 100) + int(y / 400) + int((153 * m + 8) / 5) + d
}

# Whether this kind of log may say cause i, and nothing says that it is something else.
function fits(i)
{
    if (kind != "?" && froms[i] != ",any," && !index(froms[i], "," kind ",")) return 0
    return exceptions[i] == "" || (line !~ exceptions[i] && context !~ exceptions[i])
}

FNR == 1 { sub(/^(\357\273\277|\377\376|\376\377)/, "") }

{
    lines = FNR
    line = $0
    if (index(line, "\033")) gsub(/\033\[[0-9;?]*[A-Za-z]|\033\][^\007\033]*(\007|\033\\)?/, "", line)
    sub(/\r$/, "", line)
    full = line
    if (length(line) > 4000) line = substr(line, 1, 4000)
}

# Whose line is it? docker compose, kubectl and journald write a name before it, docker a time.
{
    service = ""; kind = ""
    if (match(line, /^[A-Za-z0-9_.-]+ +[|]/)) {
        service = substr(line, 1, RLENGTH)
        line = substr(line, RLENGTH + 1); sub(/^ /, "", line)
    } else if (match(line, /^\[pod\/[^] ]*\] /)) {
        service = substr(line, 1, RLENGTH); line = substr(line, RLENGTH + 1)
    } else if (match(line, /'"$journal"'/)) {
        service = substr(line, 1, RLENGTH); line = substr(line, RLENGTH + 1)
        sub(/: $/, "", service); sub(/\[[0-9]+\]$/, "", service); sub(/.* /, "", service)
    }
    sub(/^(undefined)?20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9:.]+(Z|[+-][0-9][0-9]:?[0-9][0-9]) /, "", line)
    if (service != "") {
        if (!(service in named)) named[service] = kind_of_name(service)
        kind = named[service]
    }
    if (kind == "" && (shape = kind_of_shape(line)) != "") kind = shape
    else if (kind == "" && service in last_kind) kind = last_kind[service]
    if (kind == "") kind = "?"
    last_kind[service] = kind
    count_of[kind]++
}

line ~ /^Initializing Immich / {
    tag = quoted(line, "Initializing Immich ")
    if (tag != "" && tag != image) {
        image = tag
        history[++images] = tag " (line " FNR ")"
    }
}

# Of several services docker does not write the lines in the order of time, so a start is after those lines only that
# are of the same service. Only the server itself says so, not the name of a photo in one of its lines.
line ~ /^(\[Nest\] [^[]* LOG \[[A-Za-z0-9:~]+\] |[{]"level":"log".*"message":")Immich (Server is listening|Microservices is running)/ {
    started = FNR
    start_of[service] = FNR
}

# The message, and whether it only informs (2: in the words of the server, which names files and albums there). Statements,
# and what belongs to them, are what anyone asked for: no messages.
{
    quiet = 0; loud = 0; context = ""
    if (line ~ /^\[Nest\] /) {
        if (match(line, / (LOG|WARN|ERROR|FATAL|DEBUG|VERBOSE) /)) {
            level = substr(line, RSTART + 1, RLENGTH - 2)
            line = substr(line, RSTART + RLENGTH)
            quiet = level ~ /^(LOG|DEBUG|VERBOSE)$/ ? 2 : 0
            loud = level == "ERROR" || level == "FATAL"
        }
        if (match(line, /^\[[^]]*\] /)) { context = substr(line, 1, RLENGTH); line = substr(line, RLENGTH + 1) }
    } else if (line ~ /^[{]"level":"/) {
        quiet = line ~ /^[{]"level":"(log|debug|verbose|info)"/ ? 2 : 0
        loud = line ~ /^[{]"level":"(error|fatal)"/
        if (match(line, /"(message|msg)":"/)) line = substr(line, RSTART + RLENGTH)
    } else if (match(line, /'"$level"'/)) {
        level = substr(line, RSTART, RLENGTH); gsub(/[^A-Z]/, "", level)
        stamp = line
        line = substr(line, RSTART + RLENGTH)
        quiet = level == "LOG" || level == "INFO" || level == "NOTICE" || level ~ /^DEBUG/
        loud = level == "ERROR" || level == "FATAL" || level == "PANIC"
        statement[service] = level ~ /^(STATEMENT|CONTEXT|QUERY|LOCATION)$/
        if (statement[service]) next
        if (level == "LOG" && match(line, / at 20[0-9-]+ [0-9:]+ [^ ]+$/) && stamp ~ /^20[0-9][0-9]-/) {
            days = day_number(stamp) - day_number(substr(line, RSTART + 4))
            if (days >= 14) line = line " [" days " days earlier]"
        }
    } else if (line ~ /^\t/ && statement[service])
        next
    else if (line ~ /^[0-9a-f.:]+ - [^ ]+ \[/)
        next
    else {
        quiet = line ~ /^\[[0-9\/]+,? [0-9:]+\] (INFO|DEBUG) |^\[20[0-9-]+ [0-9:]+ [+-][0-9]+\] \[[0-9]+\] \[(INFO|DEBUG)\]/
        loud = line ~ /^([A-Za-z]*Error|FATAL ERROR|fatal|Error response from daemon|(api|microservices) worker error|([a-z_]+: )?error): /
    }
    if (line == "") next

    # Names of photos, and values of keys, are the words of users, never those of a program.
    small = tolower(line)
    if (small ~ /'"$photo"'/) {
        end = 0; rest = small
        while (match(rest, /'"$photo"'/)) { end += RSTART + RLENGTH - 1; rest = substr(small, end + 1) }
        # A name may hold quotes itself; what an error says before it is told from it only behind the name of the error.
        start = line ~ /'"$lead"'/ && match(line, /["\047\/`]/) ? RSTART : 1
        if (start > end) start = 1
        line = substr(line, 1, start - 1) " ... " substr(line, end)
    }
    if (line ~ /[)]=[(]/) sub(/[(].*[)]=[(].*[)]/, "(...)", line)
    if (line ~ /^[^"]*(input syntax|malformed|value too long|out of range|invalid input value)[^"]*"/) sub(/".*/, "", line)

    core = line
    while (sub(/'"$lead"'/, "", core)) { }
}

loud && !(line in told) { told[line] = 1; recent[++recents] = FNR; recent_text[recents] = full; recent_kind[recents] = kind }

# An unlike beginning does not hide what a phrase without ^ looks for.
(i = find(core == line ? line : core "\002" line, quiet)) {
    if (!seen[i]++) { first[i] = FNR; sample[i] = full; found_in[i] = kind }
    last[i, service] = FNR
    if (ids[i] == "missing-migration") {
        name = quoted(line, "previously executed migration ")
        if (name != "" && !(name in names)) { names[name] = 1; missing[++missings] = name }
    }
}
# The number of the cause of which i is a consequence, 0 if there is none.
function cause_of(i,    k)
{
    if (follows[i] == "") return 0
    for (k = 1; k < i; k++)
        if (number[k] && !over[k] && !consequence[k] &&
            (index(follows[i], " " ids[k] " ") || index(follows[i], " @" class[k] " ")))
            return number[k]
    return 0
}

function fill(text,    name)
{
    for (name in snippet) gsub("@" name "@", snippet[name], text)
    name = image ~ /^v[0-9]+[.][0-9]+[.][0-9]+$/ ? "\047" image "\047" : "NULL::text"
    gsub("@TAG@", name, text)
    return text
}

END {
    if (!lines) {
        print "The log is empty. Is the server running at all?"
        print "    docker compose ps -a"
        exit 1
    }
    for (i = 1; i <= images; i++)
        if (i == 1) text = "Server image in this log: " history[1]
        else if (i > images - 3) text = text ", then " history[i]
        else if (i == 2) text = text ", then " images - 4 " others"
    if (images) print text "."
    if (images > 1)
        wrap("The image changed within this log. If that was not your doing, IMMICH_VERSION is a moving tag (release, " \
            "latest, v3): pin the exact one.", 98, "")
    for (i = 1; i <= n; i++) if (seen[i]) {
        number[i] = ++found
        over[i] = pasts[i] ? is_over(i) : 0
        if (over[i] == 2) { maybe_over[i] = 1; over[i] = 0 }
    }
    for (i = 1; i <= n; i++) if (seen[i] && !over[i]) {
        consequence[i] = cause_of(i)
        if (consequence[i]) continue
        if (dangers[i] == "cold") cold = 1
        if (dangers[i] == "preserve") careful = 1
    }
    if (cold) {
        print ""
        print "Before anything else, as root: stop all, and copy the folder of the database"
        print "as it is, better to another disk:"
        print "    docker compose stop &&"
        print "    data=$(sed -n \"s/^DB_DATA_LOCATION=//p\" .env | tr -d \"\\\"\047\\r\") && [ -d \"$data\" ] &&"
        print "    cp -a \"$data\" \"$data.copy-$(date +%Y%m%dT%H%M%S)\""
    } else if (careful && ENVIRON["KEPT"] == "") {
        print ""
        print "Before you change the database, keep the log, remove the server\047s container"
        print "(one that is only stopped comes back with the machine), and preserve what is"
        print "there:"
        print "    docker compose logs --no-color >> immich.log &&"
        print "    docker compose rm -sf immich-server &&"
        print "    gallery_revert/scripts/preserve-state.sh --docker immich_postgres --install ."
    }
    for (i = 1; i <= n; i++) if (seen[i]) {
        print ""
        print number[i] ". " titles[i] (over[i] ? "  [over: the server started at line " started "]" : "")
        print "   log of " kind_name[found_in[i]] ", line " first[i] (seen[i] > 1 ? " (" seen[i] " times)" : "") ":"
        print "     " printable(sample[i])
        if (consequence[i]) {
            print "   This follows from " consequence[i] "."
            continue
        }
        wrap((sures[i] == "certain" ? "" : sures[i] == "likely" ? "Likely: " : "Perhaps: ") whys[i], 74, "   ")
        if (ids[i] == "missing-migration")
            for (k = 1; k <= missings; k++)
                if (missing[k] ~ "^[0-9]+-.*(" gallery_words ")")
                    wrap("The name " missing[k] " looks like one of Noodle Gallery: " \
                        "if Gallery ran here, see docs/switching-back.md.", 74, "   ")
        if (over[i]) continue
        if (maybe_over[i])
            wrap("The server did start (line " started "). " \
                "docker does not sort the lines of two services by time: is this line older than the start, it is over.", 74, "   ")
        if (commands[i] == "") continue
        print "   next" (dangers[i] == "none" ? "" : " (after the copy above)") ":"
        count = split(fill(commands[i]), list, /\\n/)
        for (k = 1; k <= count; k++) print "     " list[k]
        if (commands[i] ~ /@advice@|immich_re|gallery_revert_/) print "   (needs the extension: docs/recovery.md, step 4)"
    }
    if (!found) {
        text = started ? "; the server started at line " started "." : "."
        print "No known cause in " (lines == 1 ? "this line" : "these " lines " lines") text
        for (k = 1; k <= kinds; k++) if (count_of[kind_order[k]]) {
            text = text2 == "" ? kind_name[kind_order[k]] : ", " kind_name[kind_order[k]]
            text2 = text2 text " (" count_of[kind_order[k]] ")"
        }
        print "They are of: " text2 "."
        if (recents) print "The last errors in it:"
        for (k = recents > 5 ? recents - 4 : 1; k <= recents; k++)
            print "    line " recent[k] ", " kind_name[recent_kind[k]] ": " printable(recent_text[k])
        if (!recents && started)
            wrap("The server runs and reports no error. If the library is empty or old, the database is another one than before: " \
                "docs/recovery.md, \"It starts, and the library is empty or old\".", 98, "")
        print "Each service has a log of its own, and older lines may have been left out:"
        print "    docker compose logs --no-color > immich.log"
        print "Where to ask, with these lines, the tag and the compose file (without passwords):"
        if (count_of["server"] + count_of["ml"] + count_of["database"] + count_of["redis"] + count_of["?"] + count_of["client"])
            print "    https://github.com/immich-app/immich/discussions (Gallery: where you got it)"
        if (count_of["proxy"]) print "    the proxy only passes on what the server says: open http://ADDRESS:2283 without it"
        if (count_of["docker"]) print "    https://docs.docker.com/engine/daemon/troubleshoot/"
        exit 1
    }
    print ""
    print "Your photos are files outside the database; none of these messages says that"
    print "one was lost."
    print "More on each cause: docs/recovery.md"
}'
