// The queries. As the rows' statements, they say nothing that differs between a database and its copy but in what they
// read, so that a plan has the same digests on both.
#include "plan/archive_facts.hpp"

#include "database/archive.hpp"
#include "plan/losses.hpp"
#include "settings.hpp"

namespace gallery {

using backend::array_literal;
using backend::literal;
using backend::qualified;
using manifest::Kind;

namespace {

std::string union_of(const std::vector<std::string> &queries) {
  std::string all;
  for (const auto &query : queries)
    all += (all.empty() ? "" : " UNION ALL ") + query;
  return all;
}

/// Versions, target and settings. The first facts of a run: they give it its number.
std::string run_query(const Survey &survey, const Identity &identity) {
  auto const target = settings::target();
  const auto *automatic = choose_target(identity.native_migrations, identity.immich_base);
  std::vector<std::pair<std::string, std::string>> const known = {
      {"gallery", identity.gallery_release},
      {"immich", !target.empty()        ? target
                 : automatic == nullptr ? ""
                                        : std::string(automatic->tag)},
      {"immich migrations", std::to_string(identity.native_migrations)},
      {"gallery_revert", GALLERY_REVERT_VERSION},
      {"schema", survey.schema()},
      {"gallery.revert_spaces", settings::spaces_become_albums() ? "albums" : "drop"},
      {"gallery.revert_pets", settings::pets_stay_people() ? "people" : "drop"},
  };
  std::string values = "('at'::text, pg_catalog.to_jsonb(pg_catalog.now()))";
  for (const auto &[name, value] : known)
    values += ", (" + literal(name) + "::text, pg_catalog.to_jsonb(" + literal(value) + "::text))";
  return "SELECT n.run, 'run'::text, v.name, v.value FROM (SELECT coalesce(pg_catalog.max(f.run), 0) + 1 AS run FROM " +
         std::string(archived_facts) + " f) n, (VALUES " + values + ") AS v (name, value)";
}

/// All rows of the ledgers and of version_history, those that stay as well.
std::string ledgers_query(const Survey &survey) {
  std::vector<std::string> queries;
  auto const add = [&](const std::string &table, const char *name) {
    queries.push_back("SELECT " + this_run() + ", " + literal(table) + "::text, t." + name +
                      "::text, pg_catalog.to_jsonb(t.*) FROM " + qualified(survey.schema(), table) + " t");
  };
  add(survey.ledger.table, "name");
  if (survey.fork_ledger)
    add(survey.fork_ledger->table, "name");
  if (survey.has_column("version_history", "id"))
    add("version_history", "id");
  return union_of(queries);
}

/// How what is dropped was made: tables with all that is theirs, parts of Immich's tables, functions.
std::string definitions_query(const Survey &survey, const Identity &identity, const Plan &plan) {
  std::vector<std::string> tables;
  std::map<Kind, std::vector<std::string>> parts; // of other tables, as table.name; indexes and functions by name
  for (const auto &step : plan.steps)
    tables.insert(tables.end(), step.dropped.begin(), step.dropped.end());
  for (const auto &object : plan.objects)
    if (auto const kind = object.fact->kind; kind == Kind::Function || kind == Kind::Index)
      parts[kind].emplace_back(object.fact->name);
    else if (kind != Kind::Table)
      parts[kind].push_back(std::string(object.fact->table) + '.' + std::string(object.fact->name));
  for (const auto &row : identity.renamed)
    for (const auto *index : row.ahead)
      parts[Kind::Index].emplace_back(index->name);
  std::string const schema = std::to_string(survey.ledger.schema_oid) + "::oid";
  auto const of_table = "c.relname::text = ANY (" + array_literal(tables) + ")";
  auto const part = [&](Kind kind, const std::string &name) {
    return " WHERE c.relnamespace = s.oid AND (" + of_table + " OR (c.relname::text || '.'::text || " + name +
           "::text) = ANY (" + array_literal(parts[kind]) + "))";
  };
  auto const select = [](Kind kind, const std::string &name, const std::string &definition) {
    return "SELECT " + literal(std::string(manifest::name_of(kind))) + "::text AS kind, " + name + " AS name, " +
           definition + " AS definition FROM pg_catalog.pg_class c JOIN s ON true";
  };
  std::string const column =
      "pg_catalog.quote_ident(a.attname::text) || ' '::text || pg_catalog.format_type(a.atttypid,"
      " a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL'::text ELSE ''::text END ||"
      " coalesce(' DEFAULT '::text || pg_catalog.pg_get_expr(d.adbin, d.adrelid), ''::text)";
  std::string const attributes =
      " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0::smallint AND NOT"
      " a.attisdropped LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum"
      " = a.attnum";
  auto const name_in_table = [](const char *name) {
    return "c.relname::text || '.'::text || " + std::string(name) + "::text";
  };
  std::vector<std::string> const queries = {
      select(
          Kind::Table, "c.relname::text",
          "'CREATE TABLE '::text || pg_catalog.quote_ident(c.relname::text) || ' ('::text || pg_catalog.string_agg(" +
              column + ", ', '::text ORDER BY a.attnum) || ')'::text") +
          attributes + " WHERE c.relnamespace = s.oid AND " + of_table + " GROUP BY c.relname",
      select(Kind::Column, name_in_table("a.attname"), column) + attributes +
          " WHERE c.relnamespace = s.oid AND (c.relname::text || '.'::text || a.attname::text) = ANY "
          "(" +
          array_literal(parts[Kind::Column]) + ")",
      select(Kind::Constraint, name_in_table("k.conname"), "pg_catalog.pg_get_constraintdef(k.oid)") +
          " JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid" + part(Kind::Constraint, "k.conname") +
          " AND k.contype <> 'n'::\"char\"",
      select(Kind::Trigger, name_in_table("g.tgname"), "pg_catalog.pg_get_triggerdef(g.oid)") +
          " JOIN pg_catalog.pg_trigger g ON g.tgrelid = c.oid AND NOT g.tgisinternal" + part(Kind::Trigger, "g.tgname"),
      select(Kind::Index, "i.relname::text", "pg_catalog.pg_get_indexdef(i.oid)") +
          " JOIN pg_catalog.pg_index x ON x.indrelid = c.oid JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid WHERE "
          "c.relnamespace = s.oid AND (" +
          of_table + " OR i.relname::text = ANY (" + array_literal(parts[Kind::Index]) + "))",
      "SELECT 'function'::text, p.proname::text || '('::text || pg_catalog.oidvectortypes(p.proargtypes) || ')'::text,"
      " pg_catalog.pg_get_functiondef(p.oid) FROM pg_catalog.pg_proc p JOIN s ON s.oid = p.pronamespace WHERE "
      "(p.proname"
      "::text || '('::text || pg_catalog.oidvectortypes(p.proargtypes) || ')'::text) = ANY (" +
          array_literal(parts[Kind::Function]) + ")"};
  return "WITH s AS (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname::text = " + literal(survey.schema()) +
         ") SELECT " + this_run() +
         ", 'definition of '::text || q.kind, q.name, pg_catalog.to_jsonb(q.definition) FROM (" + union_of(queries) +
         ") q (kind, name, definition)";
}

/// Settings of roles that a step takes back.
std::string roles_query(const Plan &plan) {
  std::vector<std::string> roles;
  for (const auto &step : plan.steps)
    if (step.kind == "role")
      roles.push_back(step.object);
  if (roles.empty())
    return "";
  return "SELECT " + this_run() +
         ", 'settings of role'::text, r.rolname::text, pg_catalog.to_jsonb(s.setconfig) FROM"
         " pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = "
         "0::oid AND"
         " r.rolname::text = ANY (" +
         array_literal(roles) + ")";
}

} // namespace

std::string this_run() {
  return "(SELECT pg_catalog.max(f.run) FROM " + std::string(archived_facts) + " f)";
}

std::vector<FactsQuery> archived_queries(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                                         const Plan &plan) {
  std::vector<FactsQuery> queries = {
      {"run", "when, versions, settings", run_query(survey, identity)},
      {"ledgers", "the ledgers and starts as they were", ledgers_query(survey)},
      {"definitions", "how what is dropped was made", definitions_query(survey, identity, plan)}};
  if (auto roles = roles_query(plan); !roles.empty())
    queries.push_back({"roles", "settings of the role as they were", std::move(roles)});
  std::vector<std::string> words;
  for (const auto &query : loss_queries(spi, survey, identity, plan))
    words.push_back("SELECT " + this_run() +
                    ", 'thing'::text, l.what, pg_catalog.jsonb_build_object('count'::text, l.count,"
                    " 'names'::text, l.names) FROM (" +
                    query + ") l WHERE l.count > 0::numeric");
  if (!words.empty())
    queries.push_back({"things", "what goes, in words", union_of(words)});
  return queries;
}

} // namespace gallery
