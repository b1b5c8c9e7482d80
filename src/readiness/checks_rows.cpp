// The checks of what else decides about rows that steps change: publications, constraints and triggers of the user's.
#include "readiness/checks.hpp"

namespace gallery {

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
  for (const auto &row : spi.query(
           "SELECT c.relname, string_agg(p.pubname::text, ', ' ORDER BY p.pubname) FROM pg_class c JOIN pg_namespace n"
           " ON n.oid = c.relnamespace JOIN pg_publication_tables t ON t.schemaname = n.nspname AND t.tablename ="
           " c.relname JOIN pg_publication p ON p.pubname = t.pubname WHERE c.relkind = 'r' AND c.relnamespace = " +
           std::to_string(survey.ledger.schema_oid) + "::oid AND (p.pubupdate AND c.relname = ANY (" +
           backend::array_literal(updated) + "::name[]) OR p.pubdelete AND c.relname = ANY (" +
           backend::array_literal(removed) +
           "::name[])) AND c.relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND"
           " (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident))"
           " GROUP BY c.relname ORDER BY 1")) {
    auto const table = row[0].value_or("");
    lines.push_back("table " + quoted(table) + " has no replica identity (publication " + row[1].value_or("") + ')');
    statements += " ALTER TABLE " + backend::qualified(survey.schema(), table) + " REPLICA IDENTITY FULL;";
  }
  if (lines.empty())
    return ok(name, "no publication keeps rows from being changed");
  return blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "a publication keeps rows from being changed",
                 list_lines(lines),
                 "The server changes no row of a table that is published and has no replica identity. Drop the "
                 "publication, or run:" +
                     statements);
}

Finding check_obstacles(const Plan &plan, const std::vector<Drift> &drift) {
  constexpr const char *name = "obstacles";
  std::set<std::string_view> changed;
  for (const auto &step : plan.steps)
    if (!step.table.empty()) {
      changed.insert(step.table);
      for (const auto &effect : step.side_effects)
        changed.insert(effect.table);
    }
  std::vector<std::string> lines;
  for (const auto &difference : drift)
    if (difference.what == Drift::What::extra && changed.contains(difference.table) &&
        (difference.kind == manifest::Kind::Trigger ||
         (difference.kind == manifest::Kind::Constraint && difference.found.starts_with("CHECK "))))
      lines.push_back(difference.text().substr(std::strlen("extra: ")));
  if (lines.empty())
    return ok(name, "nothing was added that could refuse a change");
  return warning(name, "what was added to tables that a revert changes may refuse a change", list_lines(lines),
                 "Nobody can tell before it runs. If it refuses, the revert stops with its error and nothing has "
                 "changed. If you do not need it, drop it first.");
}

} // namespace gallery
