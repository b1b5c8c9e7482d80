// Memories of a type that Immich does not know.
#include "rules/rule.hpp"

namespace gallery {

namespace {

constexpr Need needs[] = {{"memory", "type"}};
constexpr SideEffect side_effects[] = {{"memory_audit", Change::insert, Changed{"memory", Change::remove}},
                                       {"memory_asset_audit", Change::insert, Changed{"memory_asset", Change::remove}}};

void work(const Context &db, Outcome &phase) {
  phase.steps.push_back(
      remove(db, "memory", "m", "m.type::text = 'rule'", "a type of memory that Immich does not know"));
  // Photos of the memory and what is remembered of photos taken out of it go with it.
  auto const of_rules = " IN (SELECT m.id FROM " + db.t("memory") + " m WHERE m.type::text = 'rule')";
  auto &effects = phase.steps.back().side_effects;
  if (db.has("memory_asset", {"memoriesId"}))
    effects.push_back(at_most(db, "memory_asset", Change::remove, "x.\"memoriesId\"" + of_rules));
  if (db.has("memory_asset_audit", {"memoryId"}))
    effects.push_back(at_most(db, "memory_asset_audit", Change::remove, "x.\"memoryId\"" + of_rules));
}

std::string list_lost(const Context &db) {
  if (!db.has("memory", {"ownerId"}) || !db.has("user", {"id", "name", "email"}))
    return "";
  return list_by_user(db, "memory", "ownerId", "r.type::text = 'rule'");
}

constexpr Loss lost = {.what = {"memory made by a rule", "memories made by rules"},
                       .instead = "gone; their photos stay, and so do Immich's own memories",
                       .list = list_lost};

} // namespace

constinit const Rule rules::memories = {.needs = needs, .side_effects = side_effects, .work = work, .loss = &lost};

} // namespace gallery
