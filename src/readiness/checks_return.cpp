// The check of the way back: is there something to put back, and something to put it into?
#include "readiness/checks.hpp"

namespace gallery {

namespace {

constexpr const char *name = "return";
const std::string from_facts = std::string("FROM ") + archived_facts + " f WHERE f.run = ";

std::string release_of(const backend::Spi &spi, int run) {
  auto const rows = spi.query("SELECT f.value #>> '{}' " + from_facts + std::to_string(run) +
                              " AND f.kind = 'run' AND f.name = 'gallery'");
  auto const release = rows.empty() ? std::string() : rows[0][0].value_or("");
  return release.empty() ? "the Gallery that was there" : "Gallery " + release;
}

/// Rows of the archive that no step writes. They tell nothing, and would be in the way of the others.
constexpr const char *is_strange =
    "table_name IS NULL OR change IS NULL OR change NOT IN ('table', 'column', 'delete', 'update') OR "
    "jsonb_typeof(content) IS DISTINCT FROM 'object' OR jsonb_typeof(key) <> 'object'";

std::string strange_rows_of(const backend::Spi &spi, int run) {
  return spi
      .query("SELECT count(*) FROM " + std::string(archived_rows) + " WHERE run = " + std::to_string(run) + " AND (" +
             is_strange + ")")
      .at(0)[0]
      .value_or("0");
}

/// Immich's migrations ran once in each installation, at a time of its own. How many of those that both ledgers have
/// ran at the same time, and how many at another?
std::pair<std::int64_t, std::int64_t> same_migrations(const backend::Spi &spi, const Survey &survey, int run) {
  std::vector<std::string> rows;
  std::vector<std::string> names;
  for (const auto &row : survey.ledger.rows)
    if (!manifest::find_gallery_migration(row.name)) {
      names.push_back(row.name);
      rows.push_back(row.name + ' ' + row.timestamp);
    }
  auto const counts =
      spi.query("SELECT count(*) FILTER (WHERE f.name || ' ' || (f.value ->> 'timestamp') = ANY (" +
                backend::array_literal(rows) + ")), count(*) FROM (SELECT v.value ->> 'name' AS name, v.value " +
                from_facts.substr(0, from_facts.find(" f WHERE")) + " v WHERE v.run = " + std::to_string(run) +
                " AND v.kind = " + backend::literal(survey.ledger.table) + ") f WHERE f.name = ANY (" +
                backend::array_literal(names) + ")")
          .at(0);
  auto const same = std::stoll(counts[0].value_or("0"));
  return {same, std::stoll(counts[1].value_or("0")) - same};
}

} // namespace

Finding check_return(const backend::Spi &spi, const Survey &survey, const Identity &identity, int &run) {
  auto const schema = quoted(archive_schema);
  if (!survey.archive)
    return blocked(
        name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "this database has no schema " + schema,
        "There is nothing to put back: no revert of this database wrote down what it took away.",
        "If a backup has the schema, restore that schema from it (pg_restore --schema=gallery_archive), then "
        "run gallery_return_plan().");
  auto const strange = survey.archive->owner_oid != survey.ledger.owner_oid
                           ? "it belongs to " + quoted(survey.archive->owner)
                           : survey.archive->strange;
  if (!strange.empty())
    return blocked(name, ERRCODE_DUPLICATE_SCHEMA, "schema " + schema + " is not one that gallery_revert() made",
                   strange, "Look at what is in it and who owns it. Nothing is taken from it as it is.");
  auto const latest = spi.query("SELECT max(f.run) FROM " + std::string(archived_facts) + " f WHERE f.kind = 'run'");
  if (!latest.at(0)[0])
    return blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "schema " + schema + " holds no revert",
                   "Its table \"facts\" has no row of the kind \"run\".",
                   "If a backup has the schema with its rows, restore that schema from it "
                   "(pg_restore --schema=gallery_archive), then run gallery_return_plan().");
  run = std::stoi(*latest[0][0]);
  auto const release = release_of(spi, run);
  if (auto const [same, other] = same_migrations(spi, survey, run); same <= other)
    return blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   "the archive is of another installation than this database",
                   "Of Immich's migrations that both record, " + std::to_string(same) + " ran at the same time, " +
                       std::to_string(other) + " at another.",
                   "Its rows belong to other photos and users. Connect to the database that was reverted, or restore a "
                   "backup of that.");
  if (auto const strange_rows = strange_rows_of(spi, run); strange_rows != "0")
    return blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   "schema " + schema + " has rows that gallery_revert() did not write",
                   "Of run " + std::to_string(run) + ", " + strange_rows +
                       " have no table, no such change, or no row as jsonb.",
                   "Look at them, and delete what you have added: SELECT * FROM gallery_archive.rows WHERE " +
                       std::string(is_strange) + ';');
  if (!identity.is_gallery)
    return blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   "this is an Immich database: it has no tables of Gallery's to put rows into", "",
                   "Start " + release +
                       " (or a later one) on it once, which makes them, and stop it; then run gallery_return() again.");
  return ok(name, "run " + std::to_string(run) + " of the archive, of " + release);
}

std::string was_returned(const backend::Spi &spi, int run) {
  auto const rows = spi.query("SELECT left(max(f.value #>> '{}'), 10) " + from_facts + std::to_string(run) +
                              " AND f.kind = 'returned'");
  return rows.at(0)[0].value_or("");
}

} // namespace gallery
