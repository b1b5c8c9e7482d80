// Memories of a type that Immich does not know.
#include "rules/rule.hpp"

namespace gallery {

namespace {

constexpr Need needs[] = {{"memory", "type"}};
/// Photos of the memory and what is remembered of photos taken out of it go with it.
constexpr SideEffect side_effects[] = {{"memory_asset", Change::remove},
                                       {"memory_asset_audit", Change::remove},
                                       {"memory_audit", Change::insert, Changed{"memory", Change::remove}},
                                       {"memory_asset_audit", Change::insert, Changed{"memory_asset", Change::remove}}};

void work(const Context &db, Outcome &phase) {
  phase.steps.push_back(
      remove(db, "memory", "m", "m.type::text = 'rule'", "a type of memory that Immich does not know"));
}

} // namespace

constinit const Rule rules::memories = {.needs = needs, .side_effects = side_effects, .work = work};

} // namespace gallery
