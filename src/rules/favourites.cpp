// Favourites: Gallery keeps each user's own in a table, and drops Immich's column.
#include "rules/rule.hpp"

namespace gallery {

namespace {

/// Where it is recorded, Gallery's table is all there was of favourites, whoever has made the column since.
constexpr std::string_view drop_of_column = "1794100000000-DropAssetIsFavoriteColumn";

constexpr Need needs[] = {{"asset"}};
constexpr Need reads[] = {{"asset_favorite"}};

/// Somebody may have added the column by hand.
void check_column(const Context &db) {
  require_type(db, "asset", "isFavorite", "boolean");
  if (db.spi
          .query("SELECT attgenerated <> '' FROM pg_attribute WHERE attname = 'isFavorite' AND attrelid = " +
                 std::to_string(db.survey.relations.at("asset").oid) + "::oid")
          .at(0)[0] == "t")
    throw not_as_made("column \"isFavorite\" of table \"asset\" is generated, so no favourite can be put into it");
}

void work(const Context &db, Outcome &phase) {
  bool const column = db.has("asset", {"isFavorite"});
  if (column)
    check_column(db);
  else {
    Step step;
    step.kind = "column";
    step.object = "asset.isFavorite";
    step.reason = "Gallery dropped this column of Immich's";
    step.statement = "ALTER TABLE " + db.t("asset") + " ADD COLUMN \"isFavorite\" boolean NOT NULL DEFAULT false";
    phase.steps.push_back(std::move(step));
    phase.restored.emplace("asset", "isFavorite");
  }
  if (!db.has_gallery("asset_favorite", {"assetId", "userId"})) {
    phase.remarks.push_back(
        {"table \"asset_favorite\" is missing, so there are no favourites to put back",
         column ? "Gallery keeps favourites in that table; without it they stay as the column \"isFavorite\" has them."
                : "Gallery keeps favourites in that table; without it every asset is restored as no favourite."});
    return;
  }
  std::string const by_owner = "f.\"assetId\" = a.id AND f.\"userId\" = a.\"ownerId\"";
  std::string const unmarked = " AND a.\"isFavorite\" IS NOT TRUE";
  auto const favourite = db.t("asset_favorite") + " f";
  // A hash join: one pass over the favourites and one over the assets' key index, or as many key look-ups as
  // favourites. Each once, also where an interrupted restore left them without their key and doubled.
  auto const each = "(SELECT DISTINCT d.\"assetId\", d.\"userId\" FROM " + db.t("asset_favorite") + " d) f";
  phase.steps.push_back(update(db, "asset", "a", "\"isFavorite\" = true", each, by_owner + (column ? unmarked : ""),
                               "favourites, from \"asset_favorite\""));
  phase.steps.back().overwrites = column;
  if (!column) // the condition cannot name what is not there yet
    phase.steps.back().unsettled += unmarked;
  if (!column)
    return;
  if (db.identity.recorded(drop_of_column))
    phase.remarks.push_back(
        {"column \"isFavorite\" of table \"asset\" is there again, though Gallery dropped it",
         "Somebody added it since, and may have set favourites in Immich: these stay, and those of Gallery are added. "
         "What was unmarked in Immich since then may be a favourite again."});
  else
    phase.steps.push_back(
        update(db, "asset", "a", "\"isFavorite\" = false", "",
               "a.\"isFavorite\" AND NOT EXISTS (SELECT FROM " + favourite + " WHERE " + by_owner + ")",
               "no favourites any more by \"asset_favorite\""));
}

/// Of each user who has any; those of his own photos are no loss.
std::string list_lost(const Context &db) {
  if (!db.has_gallery("asset_favorite", {"assetId", "userId"}) || !db.has("user", {"id", "name", "email"}))
    return "";
  return "SELECT CASE WHEN x.number <> 0::bigint THEN " + user_name("u") +
         " || ': ' || x.number::text END AS name, x.number, 0::bigint AS part FROM (SELECT f.\"userId\","
         " pg_catalog.count(a.id) AS number FROM " +
         db.t("asset_favorite") + " f LEFT JOIN " + db.t("asset") +
         " a ON a.id = f.\"assetId\" AND a.\"ownerId\" <> f.\"userId\" GROUP BY 1) x LEFT JOIN " + db.t("user") +
         " u ON u.id = x.\"userId\"";
}

constexpr std::string_view tables[] = {"asset_favorite"};
constexpr Loss lost = {.what = {"favourite among photos of others", "favourites among photos of others"},
                       .instead = "gone; favourites among one's own photos come back",
                       .tables = tables,
                       .list = list_lost};

} // namespace

constinit const Rule rules::favourites = {
    .migration = favourite_tables, .needs = needs, .reads = reads, .work = work, .loss = &lost};

} // namespace gallery
