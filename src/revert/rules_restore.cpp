// The rules for values to put back: favourites, and what Gallery's edits changed on assets.
#include "revert/rules.hpp"

namespace gallery {

namespace {

constexpr const char *favourite_tables = "1794000000000-AddAssetFavoriteTables";

/// Edits that Immich knows; every other action is Gallery's.
constexpr const char *native_actions = "('crop', 'rotate', 'mirror')";

/// Originals longer than this many seconds are taken for broken values: an integer column of milliseconds ends there.
constexpr const char *longest_video = "2147483";

} // namespace

void Rules::restore() {
  auto const first = plan_.steps.size();
  favourites();
  edits();
  without_bookkeeping(first);
}

/// Puts the steps from `first` on between two that turn the trigger off and on again which gives a changed asset a new
/// "updateId", and asks for a sync reset of all sessions after them. Favourites that were taken away in Gallery since
/// the column went leave no row to change here, so phones would keep them: only a reset tells phones everything. And a
/// row version without a new "updateId" changes no indexed column, so it can stay on its page without new entries in
/// twenty indexes.
void Rules::without_bookkeeping(std::size_t first) {
  if (plan_.steps.size() == first || !has("session", {"isPendingSyncReset"}))
    return;
  auto const trigger = survey_.triggers.find({"asset", "asset_updatedAt"});
  if (trigger == survey_.triggers.end() ||
      spi_.query("SELECT tgenabled = 'O' FROM pg_trigger WHERE oid = " + std::to_string(trigger->second)).at(0)[0] !=
          "t")
    return;
  Step step;
  step.phase = "restore";
  step.kind = "trigger";
  step.object = "asset_updatedAt on asset";
  step.auxiliary = true;
  step.reason = "off meanwhile; sessions get a sync reset instead";
  step.statement = "ALTER TABLE " + t("asset") + " DISABLE TRIGGER \"asset_updatedAt\"";
  plan_.steps.insert(plan_.steps.begin() + static_cast<std::ptrdiff_t>(first), step);
  step.reason = "on again";
  step.statement = "ALTER TABLE " + t("asset") + " ENABLE TRIGGER \"asset_updatedAt\"";
  plan_.steps.push_back(std::move(step));
  update("restore", "session", "s", "\"isPendingSyncReset\" = true", "", "NOT s.\"isPendingSyncReset\"",
         "sync reset, so that phones see what was restored");
  plan_.steps.back().auxiliary = !identity_.recorded(favourite_tables);
}

void Rules::favourites() {
  if (!identity_.recorded(favourite_tables) || !survey_.has_table("asset"))
    return;
  bool const column = has("asset", {"isFavorite"});
  if (!column) {
    Step step;
    step.phase = "restore";
    step.kind = "column";
    step.object = "asset.isFavorite";
    step.reason = "Gallery dropped this column of Immich's";
    step.statement = "ALTER TABLE " + t("asset") + " ADD COLUMN \"isFavorite\" boolean NOT NULL DEFAULT false";
    plan_.steps.push_back(std::move(step));
    plan_.restored.emplace("asset", "isFavorite");
  }
  if (!has("asset_favorite", {"assetId", "userId"})) {
    plan_.remarks.push_back(
        {"table \"asset_favorite\" is missing, so there are no favourites to put back",
         column ? "Gallery keeps favourites in that table; without it they stay as the column \"isFavorite\" has them."
                : "Gallery keeps favourites in that table; without it every asset is restored as no favourite."});
    return;
  }
  std::string const by_owner = "f.\"assetId\" = a.id AND f.\"userId\" = a.\"ownerId\"";
  auto const favourite = t("asset_favorite") + " f";
  // A hash join: one pass over the favourites and one over the assets' key index, or as many key look-ups as
  // favourites.
  update("restore", "asset", "a", "\"isFavorite\" = true", favourite,
         by_owner + (column ? " AND NOT a.\"isFavorite\"" : ""), "favourites, from \"asset_favorite\"");
  if (column)
    update("restore", "asset", "a", "\"isFavorite\" = false", "",
           "a.\"isFavorite\" AND NOT EXISTS (SELECT FROM " + favourite + " WHERE " + by_owner + ")",
           "no favourites any more by \"asset_favorite\"");
}

void Rules::edits() {
  if (!has("asset_edit", {"assetId", "action", "parameters"}) || !has("asset", {"duration", "thumbhash", "isEdited"}))
    return;
  auto const &type = survey_.columns.at({"asset", "duration"});
  bool const milliseconds = type == "integer";
  if (!milliseconds && type != "character varying")
    throw not_as_made("column \"duration\" of table \"asset\" has the type " + type);
  std::string const number = "CASE WHEN e.action::text = 'trim' AND"
                             " pg_catalog.jsonb_typeof(e.parameters -> 'originalDuration'::text) = 'number'"
                             " THEN (e.parameters ->> 'originalDuration'::text)::numeric END";
  std::string const usable = "CASE WHEN " + number + " > 0::numeric AND " + number + " <= " + longest_video +
                             "::numeric THEN " + number + " END";
  std::string const original =
      milliseconds
          ? "pg_catalog.round(o.seconds * 1000::numeric)::integer"
          : "pg_catalog.to_char(pg_catalog.make_interval(secs => o.seconds::double precision), 'HH24:MI:SS.MS'::text)";
  std::string const foreign = std::string("e.action::text NOT IN ") + native_actions;

  // One pass over the edits, then key look-ups of their assets: as many as there are edited assets. "isEdited" is
  // cleared here as well, so that Immich's own trigger on the edits finds nothing left to do.
  std::string const with_foreign =
      "SELECT d.\"assetId\" FROM " + t("asset_edit") + " d WHERE d.action::text NOT IN " + native_actions;
  std::string const edited = "(SELECT e.\"assetId\", pg_catalog.max(" + usable +
                             ") AS seconds, pg_catalog.bool_or(NOT (" + foreign + ")) AS kept FROM " + t("asset_edit") +
                             " e GROUP BY e.\"assetId\") o";
  update(
      "restore", "asset", "a",
      "duration = coalesce(" + original +
          ", a.duration), thumbhash = CASE WHEN o.kept THEN a.thumbhash END, \"isEdited\" = a.\"isEdited\" AND o.kept",
      edited,
      is_one_of("a.id", with_foreign) + " AND o.\"assetId\" = a.id AND (o.seconds IS NOT NULL AND " + original +
          " IS DISTINCT FROM a.duration" + (milliseconds ? "" : "::text") +
          " OR NOT o.kept AND (a.thumbhash IS NOT NULL OR a.\"isEdited\"))",
      "what Gallery's edits changed: duration, thumbnail hash");
  if (has("asset_file", {"assetId", "isEdited"}))
    remove("restore", "asset_file", "f",
           "f.\"isEdited\" AND " +
               is_one_of("f.\"assetId\"", "SELECT e.\"assetId\" FROM " + t("asset_edit") +
                                              " e GROUP BY e.\"assetId\" HAVING pg_catalog.bool_and(" + foreign + ")"),
           "files that Gallery's edits made", {{"integrity_report", Change::remove}});
  remove("restore", "asset_edit", "e", foreign, "edits that Immich does not know",
         {{"asset", Change::update}, {"asset_edit_audit", Change::insert}});

  auto const unknown = spi_.query("SELECT count(*), min(e.\"assetId\"::text) FROM " + t("asset_edit") +
                                  " e WHERE e.action::text = 'trim' AND (" + usable + ") IS NULL");
  if (unknown[0][0] != "0")
    plan_.remarks.push_back({*unknown[0][0] + " trimmed videos do not say how long they were",
                             "Their duration stays as trimmed until Immich extracts their metadata again; the files "
                             "are whole. One is asset " +
                                 unknown[0][1].value_or("") + "."});
}

} // namespace gallery
