// Gallery's own plugin, at which Immich stops at start, and the workflows that live by it.
#include "rules/rule.hpp"

namespace gallery {

namespace {

constexpr const char *ours = "x.name::text = 'gallery-core'";

constexpr Need needs[] = {{"plugin", "id"}, {"plugin", "name"}};
constexpr Need needs_of_workflows[] = {{"plugin", "id"},
                                       {"plugin", "name"},
                                       {"workflow_step", "workflowId"},
                                       {"workflow_step", "pluginMethodId"},
                                       {"plugin_method", "pluginId"}};
constexpr SideEffect side_effects[] = {{"plugin_method", Change::remove},   {"workflow_step", Change::remove},
                                       {"workflow_log", Change::remove},    {"workflow_log", Change::update},
                                       {"plugin_action", Change::remove},   {"plugin_filter", Change::remove},
                                       {"workflow_action", Change::remove}, {"workflow_filter", Change::remove}};

constexpr const char *of_others = "x.name::text <> 'gallery-core'";

/// Has workflow w a step of such a plugin x?
std::string step_of(const Context &db, const std::string &condition) {
  return "EXISTS (SELECT FROM " + db.t("workflow_step") + " s JOIN " + db.t("plugin_method") +
         " m ON m.id = s.\"pluginMethodId\" JOIN " + db.t("plugin") +
         " x ON x.id = m.\"pluginId\" WHERE s.\"workflowId\" = w.id AND " + condition + ")";
}

void turn_workflows_off(const Context &db, Outcome &phase) {
  std::string const condition = "w.enabled AND " + step_of(db, ours) + " AND NOT " + step_of(db, of_others);
  std::string names;
  for (const auto &row : db.spi.query("SELECT coalesce(nullif(w.name, ''), w.id::text) FROM " + db.t("workflow") +
                                      " w WHERE " + condition + " ORDER BY 1 LIMIT 100"))
    names += (names.empty() ? ": " : ", ") + row[0].value_or("");
  phase.steps.push_back(update(db, "workflow", "w", "enabled = false", "", condition,
                               "turned off, as they lose all of their steps" + names));
}

void remove_plugin(const Context &db, Outcome &phase) {
  phase.steps.push_back(remove(db, "plugin", "x", ours, "Gallery's plugin, at which Immich stops at start"));
}

std::string list_lost(const Context &db) {
  return "SELECT coalesce(nullif(w.name::text, ''::text), w.id::text) || CASE WHEN " + step_of(db, of_others) +
         " THEN ''::text ELSE ': all of them' END AS name, 1::bigint AS number, 0::bigint AS part FROM " +
         db.t("workflow") + " w WHERE " + step_of(db, ours);
}

constexpr Loss lost = {
    .what = {"workflow that loses steps of Gallery's plugin", "workflows that lose steps of Gallery's plugin"},
    .instead = "they stay without these steps, turned off where none is left",
    .list = list_lost};

} // namespace

constinit const Rule rules::plugin_workflows = {.needs = needs_of_workflows, .work = turn_workflows_off, .loss = &lost};
constinit const Rule rules::plugin = {.needs = needs, .side_effects = side_effects, .work = remove_plugin};

} // namespace gallery
