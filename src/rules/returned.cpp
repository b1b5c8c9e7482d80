// The few things to know about a Gallery's rows on their way back.
#include "rules/returned.hpp"

#include "database/archive.hpp"

#include <algorithm>

namespace gallery {

using backend::literal;

namespace {

constexpr std::string_view own_tables[] = {"gallery_migrations", "gallery_migrations_lock", "kysely_migrations_lock",
                                           "migration_overrides", "version_history"};

/// Gallery's own migration has made a favourite of each that Immich had, and of no other.
std::string is_of_owner(const Returning &archive) {
  return "EXISTS (SELECT FROM " + archive.db.t("asset") +
         " a WHERE a.id = q.\"assetId\" AND a.\"ownerId\" = q.\"userId\")";
}

constexpr KeptOut all_kept_out[] = {
    {"asset_favorite", is_of_owner, "it is no favourite of its owner in Immich any more"},
};

/// Is the row of the table there that the archive has as d?
std::string is_back(const Returning &archive, const char *table) {
  return "EXISTS (SELECT FROM " + archive.db.t(table) + " b WHERE b.id::text = d.content ->> 'id'::text)";
}

void edited_assets(const Returning &archive, std::vector<SetByRevert> &all) {
  if (!archive.db.has("asset", {"duration", "thumbhash", "isEdited"}) ||
      !archive.db.has("asset_edit", {"id", "assetId"}))
    return;
  auto const edits = archive.archived("asset_edit") + " AND d.content ->> 'assetId'::text = ";
  auto const wanted = "EXISTS (SELECT " + edits + "q.id::text)";
  auto const back = "NOT EXISTS (SELECT " + edits + "t.id::text AND NOT " + is_back(archive, "asset_edit") + ")";
  constexpr const char *reason = "what Gallery's edits made of the asset";
  all.push_back({"asset", {"duration", "isEdited"}, wanted, back, "", "", reason});
  all.push_back({"asset", {"thumbhash"}, wanted, back + " AND t.thumbhash IS NULL", "", "", reason});
}

void workflows(const Returning &archive, std::vector<SetByRevert> &all) {
  if (!archive.db.has("workflow", {"id", "enabled"}) || !archive.db.has("workflow_step", {"id", "workflowId"}))
    return;
  auto const steps = archive.archived("workflow_step") + " AND d.content ->> 'workflowId'::text = ";
  all.push_back({"workflow",
                 {"enabled"},
                 "q.enabled",
                 "NOT EXISTS (SELECT " + steps + "t.id::text AND NOT " + is_back(archive, "workflow_step") + ")",
                 "",
                 "",
                 "workflows that have their steps again"});
}

/// Gallery's permissions among those of the key, in their order.
std::string permissions_of(const char *row, const std::string &known) {
  return "ARRAY(SELECT p.name FROM pg_catalog.unnest(" + std::string(row) +
         ".permissions::text[]) WITH ORDINALITY AS p(name, place) WHERE p.name " + known + " ORDER BY p.place)";
}

void permissions(const Returning &archive, std::vector<SetByRevert> &all) {
  if (!archive.db.has("api_key", {"permissions"}))
    return;
  auto const names = "(" + array_of(manifest::gallery_permissions()) + ")";
  auto const natives = permissions_of("q", "<> ALL " + names);
  auto const theirs = permissions_of("q", "= ANY " + names);
  auto const missing = permissions_of("q", "= ANY " + names + " AND p.name <> ALL (t.permissions::text[])");
  auto const back = "t.permissions::text[] OPERATOR(pg_catalog.@>) " + theirs;
  all.push_back({"api_key",
                 {"permissions"},
                 "q.permissions::text[] OPERATOR(pg_catalog.&&) " + array_of(manifest::gallery_permissions()),
                 "NOT " + back,
                 back,
                 "CASE WHEN t.permissions::text[] OPERATOR(pg_catalog.=) " + natives +
                     " THEN q.permissions::text[] ELSE pg_catalog.array_cat(t.permissions::text[], " + missing +
                     ") END",
                 "permissions that only Gallery knows"});
}

/// The value of row t with the archived one of row q under this path, and with what the path needs to be there.
std::string with_path(manifest::JsonPath path) {
  std::string value = "CASE WHEN pg_catalog.jsonb_typeof(t.value) = 'object' THEN t.value END";
  std::string keys;
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    keys += (i == 0 ? "" : ",") + std::string(path[i]);
    auto const above = literal('{' + keys + '}') + "::text[]";
    value = "CASE WHEN (" + value + ") #> " + above + " IS NULL THEN pg_catalog.jsonb_set(" + value + ", " + above +
            ", '{}'::jsonb) ELSE " + value + " END";
  }
  auto const literal_path = path_literal(path);
  return "pg_catalog.jsonb_set(" + value + ", " + literal_path + ", q.value #> " + literal_path + ")";
}

/// Settings that only Gallery knows: each where it is missing.
void settings(const Returning &archive, const char *table, const std::string &key,
              std::span<const manifest::JsonPath> paths, const char *what, std::vector<SetByRevert> &all) {
  if (!archive.db.has(table, {"key", "value"}) || archive.db.survey.columns.at({table, "value"}) != "jsonb")
    return;
  std::string questions;
  for (auto path : paths)
    questions += (questions.empty() ? "" : ", ") +
                 ("coalesce(pg_catalog.bool_or(d.content #> " + literal("{value," + path_text(path, ',') + '}') +
                  "::text[] IS NOT NULL), false)");
  if (questions.empty())
    return;
  auto const there = archive.db.spi
                         .query("SELECT " + questions + ' ' + archive.archived(table) +
                                " AND d.content ->> 'key'::text = " + literal(key))
                         .at(0);
  for (std::size_t i = 0; i < paths.size(); ++i)
    if (there.at(i) == "t") {
      auto const path = path_literal(paths[i]);
      // A value of another kind on the way there would be in the way of it.
      all.push_back({table,
                     {"value"},
                     "q.key::text = " + literal(key) + " AND q.value #> " + path + " IS NOT NULL",
                     "t.value #> " + path + " IS NULL AND (" + with_path(paths[i]) + ") #> " + path + " IS NOT NULL",
                     "t.value #> " + path + " = q.value #> " + path,
                     with_path(paths[i]),
                     std::string(what) + ' ' + path_text(paths[i], '.') + ", which only Gallery knows"});
    }
}

} // namespace

std::string Returning::archived(std::string_view table) const {
  return "FROM " + std::string(archived_rows) + " d WHERE d.run = " + std::to_string(run) +
         " AND d.table_name = " + literal(std::string(table));
}

std::string SetByRevert::is_not_back() const {
  if (!back.empty())
    return "(" + back + ") IS NOT TRUE";
  std::string any;
  for (const auto &name : columns)
    any += (any.empty() ? "(t." : " OR t.") + backend::identifier(name) + "::text IS DISTINCT FROM q." +
           backend::identifier(name) + "::text";
  return any + ")";
}

bool is_own(const Survey &survey, std::string_view table) {
  return table == survey.ledger.table ||
         std::find(std::begin(own_tables), std::end(own_tables), table) != std::end(own_tables);
}

std::span<const KeptOut> kept_out() {
  return all_kept_out;
}

std::vector<SetByRevert> set_by_revert(const Returning &archive) {
  std::vector<SetByRevert> all;
  edited_assets(archive, all);
  workflows(archive, all);
  permissions(archive, all);
  settings(archive, "system_metadata", "system-config", manifest::gallery_config_paths(), "the setting", all);
  settings(archive, "user_metadata", "preferences", manifest::gallery_preference_paths(), "the preference", all);
  return all;
}

} // namespace gallery
