// Gallery's edits: videos that it trimmed, pictures that it adjusted. They go, and what they changed on assets comes
// back.
#include "rules/rule.hpp"

namespace gallery {

namespace {

/// Edits that Immich knows; every other action is Gallery's.
constexpr const char *native_actions = "('crop', 'rotate', 'mirror')";

/// Originals of fewer or more seconds are taken for broken values: they must be a millisecond at least, and an integer
/// column of milliseconds ends at the other.
constexpr const char *shortest_video = "0.001";
constexpr const char *longest_video = "2147483";

constexpr Need needs[] = {{"asset_edit", "assetId"}, {"asset_edit", "action"}, {"asset_edit", "parameters"},
                          {"asset", "duration"},     {"asset", "thumbhash"},   {"asset", "isEdited"}};
constexpr Need needs_of_files[] = {{"asset_edit", "assetId"}, {"asset_edit", "action"},  {"asset_edit", "parameters"},
                                   {"asset", "duration"},     {"asset", "thumbhash"},    {"asset", "isEdited"},
                                   {"asset_file", "assetId"}, {"asset_file", "isEdited"}};
constexpr SideEffect effects_of_files[] = {{"integrity_report", Change::remove}};
constexpr SideEffect effects_of_edits[] = {{"asset", Change::update, Changed{"asset_edit", Change::remove}},
                                           {"asset_edit_audit", Change::insert, Changed{"asset_edit", Change::remove}}};

/// How long the original of edit `e` was, in seconds; NULL where the edit does not say.
std::string original_seconds() {
  std::string const number = "CASE WHEN e.action::text = 'trim' AND"
                             " pg_catalog.jsonb_typeof(e.parameters -> 'originalDuration'::text) = 'number'"
                             " THEN (e.parameters ->> 'originalDuration'::text)::numeric END";
  return "CASE WHEN " + number + " >= " + shortest_video + "::numeric AND " + number + " <= " + longest_video +
         "::numeric THEN " + number + " END";
}

std::string foreign() {
  return std::string("e.action::text NOT IN ") + native_actions;
}

void restore_assets(const Context &db, Outcome &phase) {
  auto const &type = db.survey.columns.at({"asset", "duration"});
  bool const milliseconds = type == "integer";
  if (!milliseconds && type != "character varying")
    throw not_as_made("column \"duration\" of table \"asset\" has the type " + type);
  std::string const original =
      milliseconds
          ? "pg_catalog.round(o.seconds * 1000::numeric)::integer"
          : "pg_catalog.to_char(pg_catalog.make_interval(secs => o.seconds::double precision), 'HH24:MI:SS.MS'::text)";

  // One pass over the edits, then key look-ups of their assets: as many as there are edited assets. "isEdited" is
  // cleared here as well, so that Immich's own trigger on the edits finds nothing left to do.
  std::string const with_foreign =
      "SELECT d.\"assetId\" FROM " + db.t("asset_edit") + " d WHERE d.action::text NOT IN " + native_actions;
  std::string const edited = "(SELECT e.\"assetId\", pg_catalog.max(" + original_seconds() +
                             ") AS seconds, pg_catalog.bool_or(NOT (" + foreign() + ")) AS kept FROM " +
                             db.t("asset_edit") + " e GROUP BY e.\"assetId\") o";
  phase.steps.push_back(update(
      db, "asset", "a",
      "duration = coalesce(" + original +
          ", a.duration), thumbhash = CASE WHEN o.kept THEN a.thumbhash END, \"isEdited\" = a.\"isEdited\" AND o.kept",
      edited,
      is_one_of("a.id", with_foreign) + " AND o.\"assetId\" = a.id AND (o.seconds IS NOT NULL AND " + original +
          " IS DISTINCT FROM a.duration" + (milliseconds ? "" : "::text") +
          " OR NOT o.kept AND (a.thumbhash IS NOT NULL OR a.\"isEdited\"))",
      "what Gallery's edits changed: duration, thumbnail hash"));

  auto const unknown = db.spi.query("SELECT count(*), min(e.\"assetId\"::text) FROM " + db.t("asset_edit") +
                                    " e WHERE e.action::text = 'trim' AND (" + original_seconds() + ") IS NULL");
  if (unknown[0][0] != "0")
    phase.remarks.push_back({*unknown[0][0] + " trimmed videos do not say how long they were",
                             "Their duration stays as trimmed until Immich extracts their metadata again; the files "
                             "are whole. One is asset " +
                                 unknown[0][1].value_or("") + "."});
}

void remove_files(const Context &db, Outcome &phase) {
  auto const assets = "SELECT e.\"assetId\" FROM " + db.t("asset_edit") + " e WHERE ";
  phase.steps.push_back(remove(db, "asset_file", "f",
                               "f.\"isEdited\" AND f.\"assetId\" IN (" + assets + foreign() + " EXCEPT " + assets +
                                   "NOT (" + foreign() + "))",
                               "files that Gallery's edits made"));
}

void remove_edits(const Context &db, Outcome &phase) {
  phase.steps.push_back(remove(db, "asset_edit", "e", foreign(), "edits that Immich does not know"));
}

std::string list_lost(const Context &db) {
  if (!db.has("asset", {"originalFileName"}))
    return "";
  return "SELECT e.action::text || ' of ' || a.\"originalFileName\"::text AS name, 1::bigint AS number, 0::bigint AS"
         " part FROM " +
         db.t("asset_edit") + " e LEFT JOIN " + db.t("asset") + " a ON a.id = e.\"assetId\" WHERE " + foreign();
}

constexpr Loss lost = {.what = {"edit that Immich does not know", "edits that Immich does not know"},
                       .instead =
                           "gone, with what they rendered; the photos and videos are whole, as they were uploaded",
                       .list = list_lost};

} // namespace

constinit const Rule rules::edited_assets = {.needs = needs, .work = restore_assets, .loss = &lost};
constinit const Rule rules::edited_files = {
    .needs = needs_of_files, .side_effects = effects_of_files, .work = remove_files, .loss = &lost};
constinit const Rule rules::edits = {
    .needs = needs, .side_effects = effects_of_edits, .work = remove_edits, .loss = &lost};

} // namespace gallery
