// What the rules share, and those for rows that go: pets, memories, links, permissions, checkpoints, plugin.
#include "revert/rules.hpp"

#include <algorithm>

namespace gallery {

using backend::array_literal;

namespace {

std::vector<std::string> strings(std::span<const std::string_view> views) {
  return {views.begin(), views.end()};
}

constexpr const char *pet_tables = "1772782339000-AddPetDetectionColumns";

} // namespace

bool is_read_by_rules(std::string_view table) {
  return table == "asset_favorite" || table == "pet_search";
}

bool Rules::has(const std::string &table, std::initializer_list<const char *> columns) const {
  return std::all_of(columns.begin(), columns.end(),
                     [&](const char *column) { return survey_.has_column(table, column); });
}

std::vector<SideEffect> Rules::existing(std::vector<SideEffect> effects) const {
  std::erase_if(effects, [&](const SideEffect &effect) { return !survey_.has_table(effect.table); });
  return effects;
}

void Rules::change_rows(const std::string &phase, const std::string &table, Change change, const std::string &statement,
                        const std::string &matching, const std::string &reason, std::vector<SideEffect> side_effects) {
  Step step;
  step.phase = phase;
  step.kind = "rows";
  step.object = table;
  step.reason = reason;
  step.table = table;
  step.change = change;
  step.matching = matching;
  step.statement = statement;
  step.side_effects = existing(std::move(side_effects));
  plan_.steps.push_back(std::move(step));
}

void Rules::remove(const std::string &phase, const std::string &table, const std::string &alias,
                   const std::string &condition, const std::string &reason, std::vector<SideEffect> side_effects) {
  auto const matching = "FROM " + t(table) + ' ' + alias + " WHERE " + condition;
  change_rows(phase, table, Change::remove, "DELETE " + matching, matching, reason, std::move(side_effects));
}

void Rules::update(const std::string &phase, const std::string &table, const std::string &alias,
                   const std::string &assignments, const std::string &others, const std::string &condition,
                   const std::string &reason, std::vector<SideEffect> side_effects) {
  auto const where = " WHERE " + condition;
  auto const target = t(table) + ' ' + alias;
  change_rows(phase, table, Change::update,
              "UPDATE " + target + " SET " + assignments + (others.empty() ? "" : " FROM " + others) + where,
              "FROM " + target + (others.empty() ? "" : ", " + others) + where, reason, std::move(side_effects));
}

void Rules::clean() {
  pets();
  memories();
  space_links();
  permissions();
  checkpoints();
  plugin();
  preferences();
}

std::string is_one_of(const std::string &column, const std::string &keys) {
  return column + " = ANY (ARRAY(" + keys + "))";
}

std::vector<SideEffect> person_side_effects() {
  return {{"face_search", Change::remove},
          {"asset_face_audit", Change::insert},
          {"asset_face", Change::update},
          {"person", Change::update},
          {"person", Change::remove},
          {"person_audit", Change::insert},
          {"person_group_audit", Change::insert},
          {"person_user", Change::remove}};
}

void Rules::pets() {
  bool const typed = has("person", {"type"});
  bool const told = typed || has("person", {"species"}); // only pets have a species
  bool const listed = has("pet_search", {"faceId"});
  if (!identity_.recorded(pet_tables) || !survey_.has_table("asset_face"))
    return;
  if (!told)
    plan_.remarks.push_back({"columns \"type\" and \"species\" of table \"person\" are missing",
                             "Pets that Gallery keeps as people cannot be told from people, and stay among them."});
  if (!told && !listed)
    return;
  bool const groups = has("asset_face", {"personGroupId"}) && has("person", {"personGroupId"});
  std::string const key = groups ? "\"personGroupId\"" : "\"personId\"";
  std::string const is_pet = typed ? "p.type::text = 'pet'" : "p.species IS NOT NULL";
  std::string const pets =
      "SELECT p." + std::string(groups ? "\"personGroupId\"" : "id") + " FROM " + t("person") + " p WHERE " + is_pet;
  std::string const humans = "SELECT p.\"personGroupId\" FROM " + t("person") + " p WHERE " +
                             (typed ? "p.type::text IS DISTINCT FROM 'pet'" : "p.species IS NULL");

  auto const of_pets = [&](const std::string &face) {
    return is_one_of(face + '.' + key, pets) + (groups ? " AND " + face + '.' + key + " NOT IN (" + humans + ")" : "");
  };
  std::string faces = of_pets("f");
  if (listed)
    faces = is_one_of("f.id", "SELECT s.\"faceId\" FROM " + t("pet_search") + " s" +
                                  (told ? " UNION ALL SELECT b.id FROM " + t("asset_face") + " b WHERE " + of_pets("b")
                                        : std::string()));
  remove("clean", "asset_face", "f", faces, "faces of pets, which Immich would show as people", person_side_effects());
  if (!told)
    return;
  if (groups)
    remove("clean", "person_group", "g", "g.id IN (" + pets + ") AND g.id NOT IN (" + humans + ")",
           "groups of people that hold only pets", person_side_effects());
  // Their groups are gone with the step before; what is left are pets that share a group with a human.
  remove("clean", "person", "p", is_pet + (groups ? " AND p.\"personGroupId\" IN (" + humans + ")" : std::string()),
         groups ? "pets that share a group with people" : "pets that Gallery keeps as people", person_side_effects());
}

void Rules::memories() {
  if (has("memory", {"type"}))
    remove(
        "clean", "memory", "m", "m.type::text = 'rule'", "a type of memory that Immich does not know",
        {{"memory_asset", Change::remove}, {"memory_audit", Change::insert}, {"memory_asset_audit", Change::insert}});
}

void Rules::space_links() {
  if (!has("shared_link", {"id", "userId", "type"}) || !survey_.has_table("shared_link_asset"))
    return;
  bool const marked = identity_.recorded("1792123120451-AddSharedLinkSpaceId") && has("shared_link", {"spaceId"});
  std::string const partner = "EXISTS (SELECT FROM " + t("partner") +
                              " p WHERE p.\"sharedById\" = a.\"ownerId\" AND p.\"sharedWithId\" = l.\"userId\""
                              " AND a.\"deletedAt\" IS NULL AND a.visibility::text IN ('timeline', 'hidden'))";
  std::string const of_others = " l.type::text = 'INDIVIDUAL' AND a.\"ownerId\" <> l.\"userId\" AND NOT " + partner;
  std::string const joined = " WHERE l.id = s.\"sharedLinkId\" AND a.id = s.\"assetId\" AND";

  // A link of a space that was deleted, or of a Gallery that did not write spaces down, looks like any other.
  auto const unclear = spi_.query("SELECT count(DISTINCT l.id), min(l.id::text) FROM " + t("shared_link") + " l, " +
                                  t("shared_link_asset") + " s, " + t("asset") + " a" + joined +
                                  (marked ? " l.\"spaceId\" IS NULL AND" : "") + of_others);
  if (unclear[0][0] != "0")
    plan_.remarks.push_back(
        {*unclear[0][0] + (unclear[0][0] == "1" ? " share link lists" : " share links list") +
             " photos of others that may not be shared in Immich",
         "Left as they are: they may be of a deleted space or a former partner.\nLook at them in Immich, under shared "
         "links. One is " +
             unclear[0][1].value_or("") + "."});
  if (!marked)
    return;
  remove("clean", "shared_link_asset", "s",
         "EXISTS (SELECT FROM " + t("shared_link") + " l, " + t("asset") + " a" + joined +
             " l.\"spaceId\" IS NOT NULL AND" + of_others + ")",
         "links made from a space: photos their owner may not share");
  std::string owns =
      "EXISTS (SELECT FROM " + t("album_user") +
      " u WHERE u.\"albumId\" = l.\"albumId\" AND u.\"userId\" = l.\"userId\" AND u.role::text IN ('editor'" +
      (has("album", {"ownerId"}) ? "" : ", 'owner'") + "))";
  if (has("album", {"ownerId"}))
    owns += " OR EXISTS (SELECT FROM " + t("album") + " b WHERE b.id = l.\"albumId\" AND b.\"ownerId\" = l.\"userId\")";
  remove("clean", "shared_link", "l", "l.\"spaceId\" IS NOT NULL AND l.type::text = 'ALBUM' AND NOT (" + owns + ")",
         "links made from a space: albums their owner may not share", {{"shared_link_asset", Change::remove}});
}

void Rules::permissions() {
  if (!has("api_key", {"permissions"}))
    return;
  std::string const known = array_literal(strings(manifest::gallery_permissions()));
  std::string const all = "pg_catalog.unnest(k.permissions::text[]) WITH ORDINALITY AS p(name, place) WHERE p.name ";
  update("clean", "api_key", "k",
         "permissions = ARRAY(SELECT p.name FROM " + all + "<> ALL (" + known + ") ORDER BY p.place)", "",
         "EXISTS (SELECT FROM " + all + "= ANY (" + known + "))", "permissions that Immich does not know");
}

void Rules::checkpoints() {
  if (has("session_sync_checkpoint", {"type"}))
    remove("clean", "session_sync_checkpoint", "c",
           "c.type::text = ANY (" + array_literal(strings(manifest::gallery_checkpoint_types())) + ")",
           "sync checkpoints of Gallery's types");
}

void Rules::plugin() {
  if (!has("plugin", {"id", "name"}))
    return;
  std::string const ours = "x.name::text = 'gallery-core'";
  if (has("workflow_step", {"workflowId", "pluginMethodId"}) && has("plugin_method", {"pluginId"})) {
    auto step_of = [&](const std::string &condition) {
      return "EXISTS (SELECT FROM " + t("workflow_step") + " s JOIN " + t("plugin_method") +
             " m ON m.id = s.\"pluginMethodId\" JOIN " + t("plugin") +
             " x ON x.id = m.\"pluginId\" WHERE s.\"workflowId\" = w.id AND " + condition + ")";
    };
    std::string const condition =
        "w.enabled AND " + step_of(ours) + " AND NOT " + step_of("x.name::text <> 'gallery-core'");
    std::string names;
    for (const auto &row : spi_.query("SELECT coalesce(nullif(w.name, ''), w.id::text) FROM " + t("workflow") +
                                      " w WHERE " + condition + " ORDER BY 1 LIMIT 100"))
      names += (names.empty() ? ": " : ", ") + row[0].value_or("");
    update("clean", "workflow", "w", "enabled = false", "", condition,
           "turned off, as they lose all of their steps" + names);
  }
  remove("clean", "plugin", "x", ours, "Gallery's plugin, at which Immich stops at start",
         {{"plugin_method", Change::remove},
          {"workflow_step", Change::remove},
          {"workflow_log", Change::remove},
          {"workflow_log", Change::update},
          {"plugin_action", Change::remove},
          {"plugin_filter", Change::remove},
          {"workflow_action", Change::remove},
          {"workflow_filter", Change::remove}});
}

void Rules::preferences() {
  if (!has("user_metadata", {"key", "value"}))
    return;
  for (auto path : manifest::gallery_preference_paths())
    update("clean", "user_metadata", "u", "value = u.value #- " + path_literal(path), "",
           "u.key::text = 'preferences' AND u.value #> " + path_literal(path) + " IS NOT NULL",
           "the preference " + path_text(path, '.') + ", which only Gallery knows");
}

} // namespace gallery
