// The checks of what else decides about rows that steps change: publications, constraints and triggers of the user's.
#include "backend/publications.hpp"
#include "readiness/checks.hpp"

#include <algorithm>

namespace gallery {

namespace {

bool contains(const std::vector<std::string> &names, const std::string &name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

} // namespace

Finding check_publications(const backend::Spi &spi, const Survey &survey, const Plan &plan) {
  constexpr const char *name = "publications";
  std::vector<std::string> updated;
  std::vector<std::string> removed;
  auto take = [&](std::string_view table, Change change) {
    if (change != Change::insert) // which needs no identity
      (change == Change::remove ? removed : updated).emplace_back(table);
  };
  for (const auto &step : plan.steps)
    if (!step.table.empty()) {
      take(step.table, step.change);
      // A key's own statement is refused as well, whether it finds rows or not.
      for (const auto &effect : step.side_effects)
        take(effect.table, effect.change);
    }
  std::vector<std::string> lines;
  std::string statements;
  // The server says which of them it refuses. A publication that lists columns goes on doing so with any identity.
  for (const auto &row : spi.query(
           "SELECT c.oid, c.relname, string_agg(p.pubname::text, ', ' ORDER BY p.pubname), string_agg(CASE WHEN"
           " r.listed THEN format(' ALTER PUBLICATION %I DROP TABLE %s;', p.pubname, c.oid::regclass) END, ''),"
           " bool_and(coalesce(r.listed, false)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN"
           " pg_publication_tables t ON t.schemaname = n.nspname AND t.tablename = c.relname JOIN pg_publication p ON"
           " p.pubname = t.pubname LEFT JOIN (SELECT x.prpubid, x.prrelid, to_jsonb(x) ->> 'prattrs' IS NOT NULL AS"
           " listed FROM pg_publication_rel x) r ON r.prpubid = p.oid AND r.prrelid = c.oid"
           " WHERE c.relkind = 'r' AND c.relnamespace = " +
           std::to_string(survey.ledger.schema_oid) + "::oid AND (p.pubupdate AND c.relname = ANY (" +
           backend::array_literal(updated) + "::name[]) OR p.pubdelete AND c.relname = ANY (" +
           backend::array_literal(removed) + "::name[])) GROUP BY c.oid, c.relname ORDER BY 2")) {
    auto const table = row[1].value_or("");
    auto const oid = static_cast<Oid>(std::stoul(row[0].value_or("0")));
    auto refusal = backend::PublicationRefusal::none;
    if (contains(updated, table))
      refusal = backend::refused_by_publication(oid, CMD_UPDATE);
    if (contains(removed, table) && refusal == backend::PublicationRefusal::none)
      refusal = backend::refused_by_publication(oid, CMD_DELETE);
    if (refusal == backend::PublicationRefusal::none)
      continue;
    lines.push_back("table " + quoted(table) +
                    (refusal == backend::PublicationRefusal::no_identity
                         ? " has no replica identity (publication "
                         : " has a replica identity without columns that decide what is published (publication ") +
                    row[2].value_or("") + ')');
    statements += row[3].value_or("");
    if (refusal == backend::PublicationRefusal::no_identity || row[4] != "t")
      statements += " ALTER TABLE " + backend::qualified(survey.schema(), table) + " REPLICA IDENTITY FULL;";
  }
  if (lines.empty())
    return ok(name, "no publication keeps rows from being changed");
  return blocked(
      name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "a publication keeps rows from being changed", list_lines(lines),
      "The server changes no row of a table that is published and whose replica identity does not say which row "
      "it is, or not all that the publication asks for. Drop the publication, or run:" +
          statements);
}

Finding check_obstacles(const backend::Spi &spi, const Survey &survey, const Plan &plan,
                        const std::vector<Drift> &drift) {
  constexpr const char *name = "obstacles";
  std::set<std::string, std::less<>> changed;
  std::set<std::string, std::less<>> written;
  std::set<std::string, std::less<>> emptied;
  auto take = [&](std::string_view table, Change change) {
    changed.emplace(table);
    (change == Change::remove ? emptied : written).emplace(table);
  };
  for (const auto &step : plan.steps)
    if (!step.table.empty()) {
      take(step.table, step.change);
      for (const auto &effect : step.side_effects)
        take(effect.table, effect.change);
    }
  auto may_refuse = [&](const Drift &added) {
    switch (added.kind) {
    case manifest::Kind::Trigger:
      return changed.contains(added.table);
    case manifest::Kind::Constraint:
      return changed.contains(added.table) &&
             (added.found.starts_with("CHECK ") || added.found.starts_with("EXCLUDE "));
    case manifest::Kind::Index:
      return written.contains(added.table) && added.found.starts_with("UNIQUE ");
    case manifest::Kind::Column:
      return written.contains(added.table) && added.found.ends_with(" not null"); // and nothing that fills it
    default:
      return false;
    }
  };
  std::vector<std::string> lines;
  for (const auto &difference : drift)
    if (difference.what == Drift::What::extra && may_refuse(difference))
      lines.push_back(difference.text().substr(std::strlen("extra: ")));
  // Keys of the user's tables, in whichever schema, to rows that go.
  auto const made = manifest::native_tables();
  for (const auto &row :
       spi.query("SELECT k.conname, k.conrelid::regclass, c.relname, r.relname, r.relnamespace ="
                 " c.relnamespace FROM pg_constraint k JOIN pg_class c ON c.oid = k.confrelid JOIN"
                 " pg_class r ON r.oid = k.conrelid WHERE k.contype = 'f' AND k.conparentid = 0::oid"
                 " AND c.relnamespace = " +
                 std::to_string(survey.ledger.schema_oid) + "::oid AND c.relname = ANY (" +
                 backend::array_literal({emptied.begin(), emptied.end()}) + "::name[]) ORDER BY 2, 1")) {
    auto const table = row[3].value_or("");
    if (row[4] != "t" || (!made.contains(table) && !manifest::is_gallery_table(table)))
      lines.push_back("key " + quoted(row[0].value_or("")) + " of table " + row[1].value_or("") + " to table " +
                      quoted(row[2].value_or("")));
  }
  // Immich makes no rules and no event triggers; those of extensions only write down what happens.
  for (const auto &row : spi.query(
           "SELECT r.rulename, c.relname FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE c.relkind ="
           " 'r' AND c.relnamespace = " +
           std::to_string(survey.ledger.schema_oid) + "::oid AND c.relname = ANY (" +
           backend::array_literal({changed.begin(), changed.end()}) + "::name[]) ORDER BY 2, 1"))
    lines.push_back("rule " + quoted(row[0].value_or("")) + " of table " + quoted(row[1].value_or("")));
  for (const auto &row :
       spi.query("SELECT e.evtname FROM pg_event_trigger e WHERE e.evtenabled IN ('O', 'A') AND NOT EXISTS (SELECT FROM"
                 " pg_depend d WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')"
                 " ORDER BY 1"))
    lines.push_back("event trigger " + quoted(row[0].value_or("")) + " of the database");
  if (lines.empty())
    return ok(name, "nothing was added that could refuse a change");
  return warning(name, "what was added to what a revert changes may refuse a change", list_lines(lines),
                 "Nobody can tell before it runs. If it refuses, the revert stops with its error and nothing has "
                 "changed. If you do not need it, drop it first.");
}

} // namespace gallery
