// The server's own rows: Gallery's notes, its settings among Immich's, and its releases as updates.
#include "rules/rule.hpp"

namespace gallery {

using backend::literal;

namespace {

constexpr Need needs[] = {{"system_metadata", "key"}, {"system_metadata", "value"}};

void remove_notes(const Context &db, Outcome &phase) {
  phase.steps.push_back(remove(db, "system_metadata", "m",
                               "m.key::text = ANY (" + array_of(manifest::gallery_metadata_keys()) + ")",
                               "Gallery's own notes of what it did"));
}

void clean_config(const Context &db, Outcome &phase) {
  std::string present;
  for (auto path : manifest::gallery_config_paths())
    present += " || CASE WHEN m.value #> " + path_literal(path) + " IS NOT NULL THEN " +
               literal(path_text(path, '.') + ' ') + " ELSE ''::text END";
  phase.premises.push_back(
      {"settings of the server that only Gallery knows",
       "SELECT ''::text" + present + " FROM " + db.t("system_metadata") + " m WHERE m.key::text = 'system-config'"});
  // Only paths that are there: '#-' raises an error on an array or a scalar in its way, '#>' just finds nothing.
  std::string columns;
  for (auto path : manifest::gallery_config_paths())
    columns += (columns.empty() ? "" : ", ") + ("value #> " + path_literal(path) + " IS NOT NULL");
  std::string expression = "value";
  std::string still_there;
  int settings = 0;
  for (const auto &row :
       db.spi.query("SELECT " + columns + " FROM " + db.t("system_metadata") + " WHERE key::text = 'system-config'"))
    for (std::size_t i = 0; i < row.size(); ++i)
      if (row[i] == "t") {
        auto const path = path_literal(manifest::gallery_config_paths()[i]);
        expression += " #- " + path;
        still_there += (settings == 0 ? "" : " OR ") + ("m.value #> " + path + " IS NOT NULL");
        ++settings;
      }
  if (settings > 0) {
    require_type(db, "system_metadata", "value", "jsonb");
    phase.steps.push_back(update(db, "system_metadata", "m", "value = " + expression, "",
                                 "m.key::text = 'system-config'",
                                 std::to_string(settings) + (settings == 1 ? " setting that only Gallery knows"
                                                                           : " settings that only Gallery knows")));
    phase.steps.back().unsettled += " AND (" + still_there + ')';
  }
}

void remove_update(const Context &db, Outcome &phase) {
  phase.premises.push_back({"the newest release that the server knows of",
                            "SELECT m.value ->> 'releaseVersion'::text FROM " + db.t("system_metadata") +
                                " m WHERE m.key::text = 'version-check-state'"});
  for (const auto &row : db.spi.query("SELECT value ->> 'releaseVersion' FROM " + db.t("system_metadata") +
                                      " WHERE key::text = 'version-check-state'")) {
    auto const version = parse_version(row[0].value_or(""));
    if (!version || !is_gallery_version(*version, "9999-12-31", db.identity))
      continue;
    phase.steps.push_back(
        remove(db, "system_metadata", "m",
               "m.key::text = 'version-check-state' AND m.value ->> 'releaseVersion'::text = " + literal(*row[0]),
               "a Gallery release that Immich would offer as an update"));
    phase.steps.back().essence = "DELETE FROM " + db.t("system_metadata") + " m: version-check-state, of Gallery";
  }
}

std::string list_settings(const Context &db) {
  std::vector<std::string> names;
  for (auto path : manifest::gallery_config_paths())
    names.push_back(path_text(path, '.'));
  return "SELECT p.name, 1::bigint AS number, 0::bigint AS part FROM pg_catalog.unnest(" +
         backend::array_literal(names) + ") AS p(name), " + db.t("system_metadata") +
         " m WHERE m.key::text = 'system-config' AND m.value #> pg_catalog.string_to_array(p.name, '.'::text) IS NOT"
         " NULL";
}

constexpr Loss lost_settings = {
    .what = {"setting of the server that only Gallery knows", "settings of the server that only Gallery knows"},
    .instead = "gone; all other settings stay",
    .list = list_settings};

} // namespace

constinit const Rule rules::metadata = {.needs = needs, .work = remove_notes};
constinit const Rule rules::system_config = {.needs = needs, .work = clean_config, .loss = &lost_settings};
constinit const Rule rules::version_check = {.needs = needs, .work = remove_update};

} // namespace gallery
