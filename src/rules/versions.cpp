// Starts of Gallery in version_history, with which Immich would compare its own version.
#include "rules/rule.hpp"

namespace gallery {

namespace {

void work(const Context &db, Outcome &phase) {
  if (db.has("version_history", {"id", "version"}))
    phase.premises.push_back(
        {"starts of the server", "SELECT pg_catalog.string_agg(v.id::text || ' ' || v.version::text,"
                                 " ', '::text ORDER BY v.id::text COLLATE pg_catalog.\"C\") FROM " +
                                     db.t("version_history") + " v"});
  std::vector<std::string> ids;
  std::set<Version> versions;
  for (const auto &row : db.survey.versions) {
    auto const version = parse_version(row.version);
    if (version && is_gallery_version(*version, row.date, db.identity)) {
      ids.push_back(row.id);
      versions.insert(*version);
    }
  }
  if (ids.empty())
    return;
  std::string const range =
      versions.size() == 1 ? versions.begin()->tag() : versions.begin()->tag() + " to " + versions.rbegin()->tag();
  phase.steps.push_back(remove(db, "version_history", "v", "v.id::text = ANY (" + backend::array_literal(ids) + ")",
                               "starts of Gallery " + range));
  // Which rows they are differs from copy to copy, which releases does not.
  auto &essence = phase.steps.back().essence;
  essence = "DELETE FROM " + db.t("version_history") + " v: starts of Gallery";
  for (const auto &version : versions)
    essence += ' ' + version.tag();
}

} // namespace

constinit const Rule rules::versions = {.work = work};

} // namespace gallery
