// The rules for settings: system_metadata's rows and JSON, version_history, role settings.
#include "revert/rules.hpp"

namespace gallery {

using backend::array_literal;
using backend::identifier;
using backend::literal;

namespace {

constexpr const char *jit_migration = "1783628194057-DisablePostgresJit";

} // namespace

std::string path_text(manifest::JsonPath path, char separator) {
  std::string result;
  for (auto key : path) {
    if (!result.empty())
      result += separator;
    result += key;
  }
  return result;
}

std::string path_literal(manifest::JsonPath path) {
  return literal('{' + path_text(path, ',') + '}') + "::text[]";
}

void Rules::settings() {
  system_config();
  versions();
}

void Rules::system_config() {
  if (!has("system_metadata", {"key", "value"}))
    return;
  auto const keys = manifest::gallery_metadata_keys();
  remove("settings", "system_metadata", "m", "m.key::text = ANY (" + array_literal({keys.begin(), keys.end()}) + ")",
         "Gallery's own notes of what it did");

  // Only paths that are there: '#-' raises an error on an array or a scalar in its way, '#>' just finds nothing.
  std::string columns;
  for (auto path : manifest::gallery_config_paths())
    columns += (columns.empty() ? "" : ", ") + ("value #> " + path_literal(path) + " IS NOT NULL");
  std::string expression = "value";
  int settings = 0;
  for (const auto &row :
       spi_.query("SELECT " + columns + " FROM " + t("system_metadata") + " WHERE key::text = 'system-config'"))
    for (std::size_t i = 0; i < row.size(); ++i)
      if (row[i] == "t") {
        expression += " #- " + path_literal(manifest::gallery_config_paths()[i]);
        ++settings;
      }
  if (settings > 0)
    update("settings", "system_metadata", "m", "value = " + expression, "", "m.key::text = 'system-config'",
           std::to_string(settings) +
               (settings == 1 ? " setting that only Gallery knows" : " settings that only Gallery knows"));

  for (const auto &row : spi_.query("SELECT value ->> 'releaseVersion' FROM " + t("system_metadata") +
                                    " WHERE key::text = 'version-check-state'")) {
    auto const version = parse_version(row[0].value_or(""));
    if (version && is_gallery_version(*version, "9999-12-31"))
      remove("settings", "system_metadata", "m",
             "m.key::text = 'version-check-state' AND m.value ->> 'releaseVersion'::text = " + literal(*row[0]),
             "a Gallery release that Immich would offer as an update");
  }
}

void Rules::versions() {
  std::vector<std::string> ids;
  std::set<Version> versions;
  for (const auto &row : survey_.versions) {
    auto const version = parse_version(row.version);
    if (version && is_gallery_version(*version, row.date)) {
      ids.push_back(row.id);
      versions.insert(*version);
    }
  }
  if (ids.empty())
    return;
  std::string const range =
      versions.size() == 1 ? versions.begin()->tag() : versions.begin()->tag() + " to " + versions.rbegin()->tag();
  remove("settings", "version_history", "v", "v.id::text = ANY (" + array_literal(ids) + ")",
         "starts of Gallery " + range);
}

void Rules::roles() {
  if (!identity_.recorded(jit_migration))
    return;
  // The fork set it on the role that ran its migrations, which owns what they made.
  for (const auto &row : spi_.query("SELECT r.rolname FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole "
                                    "JOIN pg_class c ON c.relowner = r.oid"
                                    " WHERE s.setdatabase = 0 AND 'jit=off' = ANY (s.setconfig) AND c.oid = " +
                                    std::to_string(survey_.ledger.oid))) {
    Step step;
    step.phase = "settings";
    step.kind = "role";
    step.object = row[0].value_or("");
    step.reason = "Gallery turned jit off for this role";
    step.statement = "ALTER ROLE " + identifier(step.object) + " RESET jit";
    plan_.steps.push_back(std::move(step));
  }
}

} // namespace gallery
