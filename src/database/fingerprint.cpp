// One statement: a line for each part of each thing, then a digest of the lines.
#include "database/fingerprint.hpp"

#include "database/native.hpp"

#include <set>

namespace gallery {

using manifest::Kind;

namespace {

// Restoring a dump may print an expression again with other parentheses and casts between the types of text: what these
// would tell is left out.
constexpr const char *question = R"sql(
WITH home AS MATERIALIZED (SELECT n.oid FROM pg_namespace n WHERE n.nspname = @schema@::name),
t AS MATERIALIZED (SELECT c.*, 'table "' || c.relname::text || '"' AS thing FROM pg_class c
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relnamespace = (SELECT h.oid FROM home h)
    AND c.relname = ANY (@tables@::name[])),
line (thing, text) AS (
  SELECT t.thing, concat_ws(' ', 'table', t.relkind, t.relpersistence, t.relrowsecurity, t.relforcerowsecurity, t.relreplident)
  FROM t
UNION ALL
  SELECT t.thing, concat_ws(' ', 'column', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
    a.attgenerated, nullif(a.attcollation, y.typcollation)::regcollation, pg_get_expr(d.adbin, d.adrelid))
  FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type y ON y.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
UNION ALL
  SELECT t.thing, concat_ws(' ', 'index', c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready, i.indisreplident)
  FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname <> ALL (@indexes@::name[])
UNION ALL
  SELECT t.thing, concat_ws(' ', 'constraint', k.conname, pg_get_constraintdef(k.oid), (SELECT string_agg(DISTINCT g.tgenabled::text, ''
    ORDER BY g.tgenabled::text) FROM pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgisinternal))
  FROM t JOIN pg_constraint k ON k.conrelid = t.oid WHERE k.contype <> 'n'
UNION ALL
  SELECT t.thing, concat_ws(' ', 'referred to by', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
  FROM t JOIN pg_constraint k ON k.confrelid = t.oid WHERE k.conrelid NOT IN (SELECT s.oid FROM t s)
UNION ALL
  SELECT t.thing, concat_ws(' ', 'trigger', g.tgname, pg_get_triggerdef(g.oid), g.tgenabled)
  FROM t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal
UNION ALL
  SELECT t.thing, concat_ws(' ', 'rule', r.rulename, pg_get_ruledef(r.oid), r.ev_enabled) FROM t JOIN pg_rewrite r ON r.ev_class = t.oid
UNION ALL
  SELECT t.thing, concat_ws(' ', 'policy', p.polname, p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
    pg_get_expr(p.polwithcheck, p.polrelid))
  FROM t JOIN pg_policy p ON p.polrelid = t.oid
UNION ALL
  SELECT t.thing, concat_ws(' ', 'child', i.inhrelid::regclass) FROM t JOIN pg_inherits i ON i.inhparent = t.oid
UNION ALL
  SELECT 'function ' || p.oid::regprocedure::text, pg_get_functiondef(p.oid)
  FROM pg_proc p WHERE p.prokind IN ('f', 'p') AND p.pronamespace = (SELECT h.oid FROM home h) AND p.proname = ANY (@functions@::name[])
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
  SELECT 'type "' || y.typname::text || '"', string_agg(e.enumlabel::text, ',' ORDER BY e.enumsortorder)
  FROM pg_type y JOIN pg_enum e ON e.enumtypid = y.oid
  WHERE y.typnamespace = (SELECT h.oid FROM home h) AND y.typname = ANY (@types@::name[]) GROUP BY y.typname)
SELECT s.thing, left(encode(sha256(convert_to(string_agg(s.text, chr(10) ORDER BY s.text COLLATE "C"),
  getdatabaseencoding())), 'hex'), 12) AS digest
FROM (SELECT l.thing, regexp_replace(l.text, '[()]|::(text|character varying)(\[\])?', '', 'g') AS text FROM line l) s
GROUP BY s.thing ORDER BY s.thing COLLATE "C")sql";

struct Names {
  std::set<std::string> tables{"kysely_migrations", "gallery_migrations", "gallery_migrations_lock"};
  std::set<std::string> functions;
  std::set<std::string> types;
  std::set<std::string> indexes; // that are left out

  void take(Kind kind, std::string_view table, std::string_view name) {
    if (kind == Kind::Table && !is_variable(kind, table, ""))
      tables.emplace(table);
    else if (kind == Kind::Function)
      functions.emplace(name.substr(0, name.find('(')));
    else if (kind == Kind::Enum)
      types.emplace(name);
    else if (kind == Kind::Index && is_variable(kind, table, name))
      indexes.emplace(name);
  }
};

std::string array_of(const std::set<std::string> &names) {
  return backend::array_literal({names.begin(), names.end()});
}

void put(std::string &text, std::string_view place, const std::string &value) {
  text.replace(text.find(place), place.size(), value);
}

} // namespace

std::string fingerprints_sql(const std::string &schema) {
  Names names;
  for (const auto &fact : manifest::native_catalog())
    names.take(fact.kind, fact.table, fact.name);
  for (const auto &fact : manifest::gallery_objects())
    names.take(fact.kind, fact.table, fact.name);
  std::string sql = question;
  // The schema's name last: it may hold anything.
  put(sql, "@tables@", array_of(names.tables));
  put(sql, "@indexes@", array_of(names.indexes));
  put(sql, "@functions@", array_of(names.functions));
  put(sql, "@types@", array_of(names.types));
  put(sql, "@schema@", backend::literal(schema));
  return sql;
}

std::span<const std::pair<const char *, const char *>> catalog_settings() {
  static constexpr std::pair<const char *, const char *> settings[] = {{"search_path", "pg_catalog, pg_temp"},
                                                                       {"quote_all_identifiers", "off"},
                                                                       {"DateStyle", "ISO, MDY"},
                                                                       {"IntervalStyle", "postgres"},
                                                                       {"TimeZone", "UTC"},
                                                                       {"bytea_output", "hex"},
                                                                       {"extra_float_digits", "1"}};
  return settings;
}

} // namespace gallery
