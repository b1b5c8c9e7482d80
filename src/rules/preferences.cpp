// Users' preferences that only Gallery knows.
#include "rules/rule.hpp"

namespace gallery {

namespace {

constexpr Need needs[] = {{"user_metadata", "key"}, {"user_metadata", "value"}};

void work(const Context &db, Outcome &phase) {
  require_type(db, "user_metadata", "value", "jsonb");
  for (auto path : manifest::gallery_preference_paths())
    phase.steps.push_back(update(db, "user_metadata", "u", "value = u.value #- " + path_literal(path), "",
                                 "u.key::text = 'preferences' AND u.value #> " + path_literal(path) + " IS NOT NULL",
                                 "the preference " + path_text(path, '.') + ", which only Gallery knows"));
}

} // namespace

constinit const Rule rules::preferences = {.needs = needs, .work = work};

} // namespace gallery
