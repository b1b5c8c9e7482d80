# Takes out of a text what nobody else should read: paths, addresses, secrets, values of rows. Read by report.sh.
#
# awk -f redact.awk -v mode=MODE; one byte is one character (LC_ALL=C). Modes are what comes in:
#   text      lines that this project wrote, or a name of something in them
#   error     messages of psql, the server and docker
#   ledger    COPY of a ledger: time, name            versions   COPY of version_history: time, version
#   facts     name, value          status, check, plan   rows of the functions of that name
# The last four come as records that end in octal 036, their fields in 037.
#
# What is kept is what has the form of something known: our words, names of objects, of migrations and of releases. A value in
# single quotes is never kept. Where it cannot be seen where a path or a secret ends, the rest of the line goes with it.

# The value as a whole, or nothing.
function is_version(text) { return text ~ /^v?[0-9]+[.][0-9]+([.][0-9]+)?(-[a-z]+[.]?[0-9]*)?$/ }
function is_time(text) { return text ~ /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]([T ][0-9][0-9]:[0-9][0-9][0-9:.Z+-]*( UTC)?)?$/ }
function digits(text) { return gsub(/[0-9]/, "", text) }
# Digits of milliseconds, then a name in camel case, in which there is hardly a digit.
function is_migration(text,    name)
{
    if (text !~ /^[0-9]+-[A-Z][A-Za-z0-9]*([.]ts)?$/ || length(text) > 100) return 0
    name = text
    sub(/^[0-9]*-/, "", name)
    return length(text) - length(name) <= 17 && digits(name) <= 3
}
# A name that Immich's first migrations made of a checksum.
function is_hashed(text) { return text ~ /^(PK|FK|UQ|IDX|REL|CHK)_[0-9a-f]+$/ && length(text) <= 31 }
function is_token(text,    letters)
{
    if (text !~ /^[A-Za-z0-9_+=.~-]+$/ || is_migration(text) || is_hashed(text) || is_version(text)) return 0
    letters = text
    gsub(/[^A-Za-z]/, "", letters)
    if (length(text) >= 16 && (digits(text) >= 3 && length(letters) >= 3 || text ~ /^[A-Z0-9]*[0-9][A-Z0-9]*$/)) return 1
    return length(text) >= 32 && text ~ /^[A-Za-z+=]+$/ && text ~ /[A-Z]/ && text ~ /[a-z]/
}
function is_host(text)
{
    sub(/:[0-9]+$/, "", text)
    if (text !~ /^[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+$/ || text !~ /[.][A-Za-z]+$/) return 0
    return text ~ /[.].*[.]/ || tolower(text) ~ /[.](com|net|org|edu|gov|dev|app|info|cloud|lan|local|home|internal|arpa|[a-z][a-z])$/
}
function is_file(text)
{
    text = tolower(text)
    if (text ~ /[.](jpe?g?|png|gif|bmp|webp|avif|hei[cf]|jxl|tiff?|svg|psd|dng|cr[23]|nef|arw|raf|orf|rw2|pef|srw|raw|insp|xmp|json)$/)
        return 1
    return text ~ /[.](insv|mp4|m4v|mov|avi|mkv|webm|3gp|mts|m2ts|mpe?g|wmv|zip|gz)$/
}
# A name as PostgreSQL's objects, Immich and Gallery have it; a function with its types.
function is_name(text)
{
    if (is_migration(text)) return 1
    if (length(text) > 130 || is_token(text) || is_host(text) || is_file(text)) return 0
    if (is_version(text) || text == "/" || text == "") return 1
    sub(/[(][]["a-z0-9_, .]*[)]$/, "", text)
    return text ~ /^[A-Za-z_][A-Za-z0-9_$]*([.][A-Za-z_][A-Za-z0-9_$]*)?$/
}
# Names in a row, as a plan has them: "trigger on table", "4 indexes".
function are_names(text,    word, count, i)
{
    count = split(text, word, " ")
    for (i = 1; i <= count; i++) if (word[i] !~ /^[0-9]+$/ && !is_name(word[i])) return 0
    return count <= 4
}
function form(text) { return "<a name of another form, " length(text) " bytes>" }
function is_secret(text)
{
    return tolower(text) ~ /(password|passwd|passphrase|pwd|secret|token|api[-_]?key|privatekey|authorization|bearer|cookie)["']?[=:]?$/
}

# One word without a blank or quote. Sets cut where nothing after it may be shown.
function word(text, kind,    before, after, value)
{
    before = after = ""
    if (match(text, /^[[({<,;|]+/)) { before = substr(text, 1, RLENGTH); text = substr(text, RLENGTH + 1) }
    if (match(text, /[])}>,;|.!?:]+$/)) { after = substr(text, RSTART); text = substr(text, 1, RSTART - 1) }
    if (text !~ /[A-Za-z0-9\200-\377]/) {
        if (text ~ /^[=:]/ && is_secret(last)) { cut = 1; return before text " <left out>" }
        return before text after
    }
    value = text
    if (is_secret(last) && last ~ /[=:]["']?$/) { cut = 1; return before "<left out>" }
    if (tolower(last) == "bearer") { cut = 1; return before "<left out>" }
    if (match(tolower(text), /(password|passwd|passphrase|pwd|secret|token|api[-_]?key|authorization|cookie|key)["']?[=:]/) &&
        substr(text, RSTART + RLENGTH) != "" && substr(text, RSTART + RLENGTH, 1) != ":") {
        cut = 1
        return before substr(text, 1, RSTART + RLENGTH - 1) "<left out>"
    }
    if (text ~ /[\200-\377]/) value = "<left out>"
    else if (before ~ /\[$/ && text ~ /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]/) value = "<address>"
    else if (text ~ /:\/\// || text ~ /[^@]@[A-Za-z0-9]/) value = "<address>"
    else if (is_file(text) && text != "META.json") { cut = 2; return "<left out: it names a file>" }
    else if (text ~ /^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+(:[0-9]+|\/[0-9]+)?$/) value = "<address>"
    else if (text ~ /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[a-z0-9]+)?(\/[0-9]+)?$/ &&
        text !~ /^[0-9][0-9]?:[0-9][0-9]:[0-9][0-9]([.+][0-9:]*)?$/) value = "<address>"
    else if (text ~ /[\/\\]/ && text !~ /^(gallery_revert\/)?(docs\/[a-z-]+[.]md|scripts\/[a-z-]+[.]sh)(#[a-z-]+)?$/ &&
        text !~ /^ghcr[.]io\/(immich-app|open-noodle)\/[a-z-]+(:v?[0-9.]+)?$/) { cut = 1; return before "<path>" }
    else if (text ~ /^[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+$/ && length(text) == 36) value = "<id>"
    else if (is_token(text)) value = "<left out>"
    else if (kind != "statement" && is_host(text) && !is_migration(text) && text !~ /^pg_catalog[.]/) value = "<address>"
    return before value after
}

# Where a quoted text that begins at start ends: the place of its last quote, 0 if there is none. Doubled quotes are part of it.
function closing(text, start, quote,    i)
{
    for (i = start + 1; i <= length(text); i++) {
        if (substr(text, i, 1) != quote) continue
        if (substr(text, i + 1, 1) != quote) return i
        i++
    }
    return 0
}

function clean(text, kind,    out, i, c, end, value, tag, before)
{
    gsub(/[\001-\037\177]/, " ", text)
    for (i = 1; i <= knowns; i++)
        while ((end = index(text, known[i])))
            text = substr(text, 1, end - 1) "<left out>" substr(text, end + length(known[i]))
    out = last = before = ""
    cut = 0
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "\"") {
            end = closing(text, i, c)
            if (!end) return out "<left out>"
            value = substr(text, i + 1, end - i - 1)
            # In a message of the server's, also a value of a row stands in such quotes.
            if (!is_name(value) || is_secret(last) || last ~ /^(at|host)$/ || (kind == "error" && last !~ names_follow))
                value = "<left out>"
            out = out "\"" value "\""
            i = end
            before = c
            continue
        }
        # Elsewhere it is an apostrophe.
        if (c == "'" && (before !~ /[]A-Za-z0-9_)"]/ || substr(text, 1, i - 1) ~ /(^|[^A-Za-z0-9_])[EeBbXxNn]$/)) {
            end = closing(text, i, c)
            if (before ~ /[Ee]/ || !end) return out "'...' <left out>"
            out = out "'...'"
            i = end
            before = c
            continue
        }
        if (c == "$" && match(substr(text, i), /^[$][A-Za-z0-9_]*[$]/)) {
            tag = substr(text, i, RLENGTH)
            end = index(substr(text, i + length(tag)), tag)
            if (!end) return out "<left out>"
            out = out "$$...$$"
            i += end + 2 * length(tag) - 2
            before = "$"
            continue
        }
        if (c == " ") { out = out c; before = c; continue }
        match(substr(text, i), /^[^ "'$]+/)
        if (RLENGTH < 1) RLENGTH = 1
        # An apostrophe of our own words belongs to the word.
        value = substr(text, i, RLENGTH)
        out = out word(value, kind)
        if (cut == 2) return "<left out: it names a file>"
        if (cut) return out
        last = value
        i += length(value) - 1
        before = substr(text, i, 1)
    }
    return out
}

function show(indent, text, kind,    lines, count, i)
{
    count = split(text, lines, "\n")
    for (i = 1; i <= count; i++) if (lines[i] != "") print indent clean(lines[i], kind)
}

function left_out(indent, count)
{
    if (count)
        print indent "(" count " more " (count == 1 ? "line is" : "lines are") " left out: they may name files, people or connections)"
}

# A row of gallery_revert_check(). Lists of some checks name objects and nothing else; of the others only the first line is shown.
function check(name, status, detail, hint,    lines, count, i)
{
    print clean(name, "text") ": " clean(status, "text")
    count = split(detail, lines, "\n")
    for (i = 1; i <= count; i++)
        if (i == 1 || name ~ lists_of_names) show(i == 1 ? "    " : "        ", lines[i], name == "look" ? "error" : "text")
    if (count > 1 && name !~ lists_of_names) left_out("        ", count - 1)
    show("    hint: ", hint, "text")
}

BEGIN {
    if (mode ~ /^(facts|status|check|plan)$/) { RS = "\036"; FS = "\037" } else FS = "\t"
    names_follow = "^(relation|table|column|function|procedure|schema|role|user|database|type|extension|index|constraint|trigger|" \
        "sequence|view|migration|parameter|migrations?|setting|collation|language|domain|operator|member|module)$"
    lists_of_names = "^(ledger|migrations|ledger order|unrecorded|target|ownership|evidence|namesakes|dependents|keys|leftovers|" \
        "schema|additions|function bodies|lock table|plugin|clean|extension)$"
    count = split("PGPASSWORD PGHOST PGHOSTADDR PGSERVICE HOME HOSTNAME", variable, " ")
    for (i = 1; i <= count; i++) if (length(ENVIRON[variable[i]]) > 2) known[++knowns] = ENVIRON[variable[i]]
    split("product gallery_release immich_first immich_last native_migrations fork_migrations unknown_migrations last_started",
        column, " ")
}

# psql ends its last record with a newline.
{ if (mode ~ /^(facts|status|check|plan)$/) { sub(/\n$/, ""); if ($0 == "") next } }

mode == "text" { print clean($0, "text") }
mode == "error" {
    sub(/^psql:<stdin>:[0-9]+: /, "")
    if ($0 ~ /^(psql: |Error|ERROR|FATAL|PANIC|WARNING|HINT|connection to server|could not|permission denied|Cannot connect)/)
        print "    " clean($0, "error")
    else if ($0 !~ /^ *$/) hidden++
}
mode == "ledger" { print "    " (is_time($1) ? $1 : "<no time>") "  " (is_migration($2) ? $2 : form($2)) (NF > 2 ? " <left out>" : "") }
mode == "versions" { print "    " (is_time($1) ? $1 : "<no time>") "  " (is_version($2) ? $2 : "<no version, " length($2) " bytes>") }
mode == "facts" {
    # Each statement ends its last record with a newline.
    count = split($0, line, "\n")
    for (i = 1; i <= count; i++) {
        split(line[i], part, "\037")
        print clean(part[1], "text") ": " clean(part[2], "text")
    }
}
mode == "status" {
    for (i = 1; i <= 8; i++) {
        if (i == 7) {
            count = $i == "" ? 0 : split($i, line, "\035")
            print "    " column[i] ": " count
            for (k = 1; k <= count; k++) print "        " (is_migration(line[k]) ? line[k] : form(line[k]))
        } else if (i == 8 && $i != "") {
            split($i, line, " at ")
            print "    " column[i] ": " (is_version(line[1]) && is_time(line[2]) ? $i : "<of another form>")
        } else print "    " column[i] ": " clean($i, "text")
    }
}
mode == "check" { check($1, $2, $3, $4) }
mode == "plan" {
    print clean($1 ". " $2 ", " $3, "text") " " (are_names($4) ? $4 : form($4)) ($6 == "" ? "" : ", rows: " clean($6, "text"))
    show("    why: ", $5, "text")
    gsub(/\n/, " ", $7)
    print "    " clean($7, "statement")
}
END { if (mode == "error") left_out("    ", hidden) }
