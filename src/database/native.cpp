// Reads definitions from the catalog, brings them into the manifest's form, and finds the differences.
#include "database/native.hpp"

#include "database/definition.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace gallery {

using manifest::Kind;

namespace {

/// Tables that the server fills and swaps at run time, their names' beginnings and their indexes' and sequences' too.
constexpr std::string_view run_time_tables[] = {"geodata_places", "naturalearth_countries"};

/// Indexes whose method and parameters follow the vector extension, and which may be absent.
constexpr std::string_view vector_indexes[] = {"clip_index", "face_index"};

/// Tables that old versions of Immich or its tools left in databases, and that no version reads any more.
constexpr std::string_view leftovers[] = {"migrations", "typeorm_metadata", "system_config", "socket_io_attachments"};

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_run_time(std::string_view table, std::string_view name) {
  return std::any_of(std::begin(run_time_tables), std::end(run_time_tables),
                     [&](auto known) { return table.starts_with(known) || name.starts_with(known); });
}

} // namespace

bool is_variable(Kind kind, std::string_view table, std::string_view name) {
  if (is_run_time(table, name) || is_one_of(table, leftovers) || is_one_of(name, leftovers))
    return true;
  constexpr std::string_view own_sequence = "_id_seq";
  if (kind == Kind::Sequence && name.ends_with(own_sequence) &&
      is_one_of(name.substr(0, name.size() - own_sequence.size()), leftovers))
    return true;
  return (kind == Kind::Index && is_one_of(name, vector_indexes)) || (kind == Kind::Extension && name == "vector");
}

namespace {

struct Query {
  Kind kind;
  const char *sql; // table, name, definition; %s is the schema's OID
};

// Definitions are those of the manifest: a column's "type [not null] [default ...] [identity ...]", an index's and a
// trigger's without its name, a function's "result language volatility body md5 ...". State that makes an object idle
// is part of it. OFFSET 0 keeps the server from asking for the same definition twice.
constexpr Query queries[] = {
    {Kind::Enum, "SELECT '', t.typname, string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_type t"
                 " JOIN pg_enum e ON e.enumtypid = t.oid WHERE t.typnamespace = %s GROUP BY t.typname"},
    {Kind::Extension, "SELECT '', extname, '' FROM pg_extension WHERE %s > 0"},
    {Kind::Sequence, "SELECT '', c.relname, '' FROM pg_class c WHERE c.relkind = 'S' AND c.relnamespace = %s"},
    {Kind::Table,
     "SELECT c.relname, '', concat_ws(', ', CASE c.relkind WHEN 'p' THEN 'partitioned' END,"
     " CASE c.relpersistence WHEN 'u' THEN 'unlogged' END, CASE WHEN c.relrowsecurity THEN 'row security' END)"
     " FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = %s"},
    {Kind::Column, "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' "
                   "not null' ELSE '' END"
                   " || coalesce(CASE WHEN a.attgenerated = '' THEN ' default ' ELSE ' generated ' END || "
                   "pg_get_expr(d.adbin, d.adrelid), '')"
                   " || CASE WHEN a.attidentity = '' THEN '' ELSE ' identity ' || a.attidentity::text END"
                   " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
                   " LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum"
                   " WHERE c.relkind IN ('r', 'p') AND c.relnamespace = %s"},
    {Kind::Index, "SELECT t.relname, c.relname, CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END ||"
                  " substr(d.text, strpos(d.text, ' USING ') + 1) ||"
                  " CASE WHEN i.indisvalid AND i.indisready THEN '' ELSE ' (invalid)' END"
                  " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid"
                  " CROSS JOIN LATERAL (SELECT pg_get_indexdef(c.oid) AS text OFFSET 0) d"
                  " WHERE t.relkind IN ('r', 'p') AND t.relnamespace = %s"},
    {Kind::Constraint, "SELECT c.relname, k.conname, pg_get_constraintdef(k.oid) || CASE WHEN EXISTS (SELECT FROM"
                       " pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgisinternal AND g.tgenabled IN ('D', 'R'))"
                       " THEN ' (not enforced)' ELSE '' END FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
                       " WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND c.relnamespace = %s"},
    {Kind::Trigger, "SELECT c.relname, g.tgname, substr(d.text, strpos(d.text, quote_ident(g.tgname)) + "
                    "length(quote_ident(g.tgname)) + 1) || CASE g.tgenabled WHEN 'O' THEN '' ELSE ' (not enabled)' END"
                    " FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid"
                    " CROSS JOIN LATERAL (SELECT pg_get_triggerdef(g.oid) AS text OFFSET 0) d WHERE NOT g.tgisinternal "
                    "AND c.relnamespace = %s"},
    {Kind::Function,
     "SELECT '', p.proname::text || '(' || pg_get_function_identity_arguments(p.oid) || ')', "
     "pg_get_function_result(p.oid) "
     "|| ' '"
     " || l.lanname::text || ' ' || p.provolatile::text || ' body md5 ' || md5(p.prosrc)"
     " FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.prokind = 'f' AND NOT EXISTS"
     " (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')"
     " AND p.pronamespace = %s"},
};

auto key_of(const CatalogFact &fact) {
  return std::tuple<Kind, std::string_view, std::string_view>(fact.kind, fact.table, fact.name);
}
auto key_of(const manifest::NativeObject &fact) {
  return std::tuple(fact.kind, fact.table, fact.name);
}

void compare_one(const manifest::NativeObject &expected, const CatalogFact &found, Comparison &result) {
  auto const [wanted, wanted_digest] = split_digest(expected.definition);
  auto const [got, got_digest] = split_digest(found.definition);
  if (wanted != got && without_double_parentheses(wanted) != without_double_parentheses(got))
    result.drift.push_back(
        {Drift::What::different, found.kind, found.table, found.name, std::string(wanted), std::string(got)});
  else if (wanted_digest != got_digest)
    result.bodies.push_back(found.name);
}

} // namespace

bool Drift::reported_by_immich() const {
  return what != What::extra || kind == Kind::Constraint || kind == Kind::Function;
}

std::string Drift::text() const {
  auto text = std::string(what == What::missing ? "missing: "
                          : what == What::extra ? "extra: "
                                                : "different: ") +
              std::string(manifest::name_of(kind)) + " \"" + (kind == Kind::Table ? table : name) + '"';
  if (!table.empty() && kind != Kind::Table)
    text += " of table \"" + table + '"';
  if (what == What::different)
    text += ", expected \"" + expected + "\", found \"" + found + '"';
  else if (what == What::missing && !expected.empty())
    text += ", expected \"" + expected + '"';
  return text;
}

std::vector<CatalogFact> read_catalog(const backend::Spi &spi, const Survey &survey) {
  auto const schema = "(SELECT oid FROM pg_namespace WHERE nspname = " + backend::literal(survey.schema()) + ')';
  std::vector<CatalogFact> catalog;
  for (const auto &query : queries) {
    std::string sql = query.sql;
    sql.replace(sql.find("%s"), 2, schema);
    for (auto &row : spi.query(sql)) {
      CatalogFact fact{query.kind, row[0].value_or(""), row[1].value_or(""), survey.unqualified(row[2].value_or(""))};
      if (fact.kind == Kind::Function)
        fact.name = survey.unqualified(fact.name);
      catalog.push_back(std::move(fact));
    }
  }
  for (const auto &name : survey.overrides)
    catalog.push_back({Kind::Override, "", name, ""});
  std::sort(catalog.begin(), catalog.end(), [](const auto &a, const auto &b) { return key_of(a) < key_of(b); });
  return catalog;
}

Comparison compare_catalog(const std::vector<CatalogFact> &catalog, int migrations) {
  Comparison result;
  if (migrations < manifest::first_native_count || migrations > manifest::last_native_count) {
    result.covered = false;
    return result;
  }
  auto found = catalog.begin();
  std::set<std::string_view> extra_tables;
  auto take_extra = [&] {
    // Extensions may be anybody's, and what belongs to a table of the user's goes without saying, as with Immich.
    if (found->kind == Kind::Table)
      extra_tables.insert(found->table);
    if (found->kind != Kind::Extension && (found->kind == Kind::Table || !extra_tables.contains(found->table)) &&
        !is_variable(found->kind, found->table, found->name))
      result.drift.push_back({Drift::What::extra, found->kind, found->table, found->name, "", found->definition});
    ++found;
  };
  for (const auto &expected : manifest::native_catalog()) {
    if (migrations < expected.first || migrations > expected.last)
      continue;
    while (found != catalog.end() && key_of(*found) < key_of(expected))
      take_extra();
    bool const there = found != catalog.end() && key_of(*found) == key_of(expected);
    if (!is_variable(expected.kind, expected.table, expected.name)) {
      if (there)
        compare_one(expected, *found, result);
      else
        result.drift.push_back({Drift::What::missing, expected.kind, std::string(expected.table),
                                std::string(expected.name), std::string(split_digest(expected.definition).first), ""});
    }
    if (there)
      ++found;
  }
  while (found != catalog.end())
    take_extra();
  return result;
}

} // namespace gallery
