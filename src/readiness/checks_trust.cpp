// The checks of whose things are, and of what they are.
#include "readiness/checks.hpp"

namespace gallery {

using backend::identifier;

namespace {

/// 'index "a" of table "b" is ..., Gallery makes ...'
std::string line_of(const Stranger &stranger) {
  const auto &fact = *stranger.object.fact;
  bool const part = fact.kind != manifest::Kind::Table && fact.kind != manifest::Kind::Function;
  return std::string(manifest::name_of(fact.kind)) + ' ' + quoted(fact.name) +
         (part ? " of table " + quoted(fact.table) : std::string()) + (stranger.recorded ? " " : ": ") + stranger.why;
}

} // namespace

Finding check_ownership(const Survey &survey, const Evidence &evidence, const std::vector<std::string> &also) {
  constexpr const char *name = "ownership";
  std::set<std::string> foreign;
  std::vector<std::string> statements;
  auto const to_owner = " OWNER TO " + identifier(survey.ledger.owner) + ';';
  auto take_table = [&](std::string_view view) {
    std::string const table(view);
    auto const reason = survey.untrusted.find(table);
    if (reason == survey.untrusted.end() || !foreign.insert("table " + quoted(table) + ' ' + reason->second).second)
      return;
    if (survey.relations.contains(table) && survey.relations.at(table).owner != survey.ledger.owner)
      statements.push_back("ALTER TABLE " + backend::qualified(survey.schema(), table) + to_owner);
  };
  for (const auto &table : manifest::native_tables())
    take_table(table);
  for (const auto &table : also)
    take_table(table);
  for (const auto &stranger : evidence.strangers) {
    const auto &fact = *stranger.object.fact;
    if (stranger.recorded && fact.kind == manifest::Kind::Table) {
      take_table(fact.name);
    } else if (stranger.recorded && fact.kind == manifest::Kind::Function &&
               stranger.object.owner != survey.ledger.owner) {
      foreign.insert("function " + quoted(fact.name) + " belongs to " + quoted(stranger.object.owner));
      auto const arguments = fact.name.find('(');
      statements.push_back("ALTER FUNCTION " +
                           backend::qualified(survey.schema(), std::string(fact.name.substr(0, arguments))) +
                           std::string(fact.name.substr(arguments)) + to_owner);
    }
  }
  if (foreign.empty())
    return ok(name, "one role owns all that has to be changed");
  std::string hint = "One role has to own all of it, and no code of others may hang on it. Look first at what each of "
                     "these holds, who "
                     "its owner is and what hangs on it: who gives a stranger's table to Immich's role takes his rows "
                     "and his code for "
                     "Immich's. What is not Immich's or Gallery's: drop it, or give it another name.";
  if (!statements.empty())
    hint += " Only for what is, as a superuser:\n" + list_lines(statements);
  return blocked(name, ERRCODE_INSUFFICIENT_PRIVILEGE,
                 "role " + quoted(survey.ledger.owner) + " does not own what has to be changed",
                 list_lines({foreign.begin(), foreign.end()}), hint);
}

Finding check_evidence(const Survey &survey, const Evidence &evidence) {
  constexpr const char *name = "evidence";
  std::vector<std::string> lost;
  for (const auto &stranger : evidence.strangers)
    if (stranger.lost)
      lost.push_back(line_of(stranger));
  constexpr const char *message = "the ledger does not record all that Gallery made";
  if (!lost.empty() && !evidence.any_ledger)
    return blocked(
        name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message, list_lines(lost),
        "These tables are Gallery's, but its ledger is not there: table \"gallery_migrations\", or its rows in "
        "table \"kysely_migrations\". If it was renamed, rename it back; otherwise put it back from the backup "
        "that the rest of the database is from. Then run: SELECT * FROM gallery_revert_check();");
  if (!lost.empty())
    return blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message, list_lines(lost),
                   "Rows of Gallery's migrations are missing in table \"" +
                       std::string(survey.fork_ledger ? "gallery_migrations" : "kysely_migrations") +
                       "\", so what they did cannot be undone. Put them back from the backup that the rest of the "
                       "database is from.");
  std::vector<std::string> lines;
  if (!survey.strange_fork_ledger.empty())
    lines.push_back("table \"gallery_migrations\" " + survey.strange_fork_ledger);
  for (const auto &stranger : evidence.strangers)
    if (stranger.recorded && stranger.read)
      lines.push_back(line_of(stranger));
  std::string back;
  for (const auto &renamed : evidence.renamed) {
    lines.push_back("table " + quoted(renamed.table) + " is missing, and table " + quoted(renamed.now) +
                    " has all of its columns");
    back += " Look at the rows of table " + quoted(renamed.now) +
            ": if they are Gallery's, give it its name back: ALTER TABLE " +
            backend::qualified(survey.schema(), renamed.now) + " RENAME TO " + identifier(renamed.table) +
            "; if they are not, drop it or move it to another schema.";
  }
  if (lines.empty())
    return ok(name, "what is read of Gallery's is as Gallery makes it");
  return blocked(
      name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
      "what Gallery keeps for Immich's photos is not as Gallery makes it", list_lines(lines),
      "Favourites, pets and links could not be put right. Give these the shape and the owner that Gallery gave "
      "them, or, if they are not Gallery's, another name." +
          back);
}

Finding check_shadows(const Survey &survey) {
  constexpr const char *name = "search path";
  if (survey.shadows.empty())
    return ok(name, "nothing of another role stands in the way of Immich's functions");
  return blocked(
      name, ERRCODE_INSUFFICIENT_PRIVILEGE,
      "functions or operators of other roles could run in place of the server's or Immich's",
      list_lines(survey.shadows),
      "Immich's own functions look in the schema where these are, and event triggers run with the rights of whoever "
      "changes the schema. Drop them, or move them: ALTER FUNCTION ... SET SCHEMA ...;");
}

Finding check_strangers(const Survey &survey, const std::vector<Stranger> &strangers) {
  std::vector<std::string> lines;
  for (const char *table : {"gallery_migrations", "gallery_migrations_lock"})
    if (auto const reason = survey.untrusted.find(table); reason != survey.untrusted.end())
      lines.push_back("table " + quoted(table) + ' ' + reason->second);
  for (const auto &stranger : strangers)
    lines.push_back(line_of(stranger));
  if (lines.empty())
    return ok("namesakes", "nothing has a name of Gallery's without being Gallery's");
  return warning("namesakes", "some objects are called as Gallery's are, but are not Gallery's", list_lines(lines),
                 "They are left alone. If they are not yours, look at them in schema " + quoted(survey.schema()) +
                     " before you drop them.");
}

} // namespace gallery
