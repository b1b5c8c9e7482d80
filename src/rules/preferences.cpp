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

std::string list_lost(const Context &db) {
  if (!db.has("user_metadata", {"userId"}) || !db.has("user", {"id", "name", "email"}))
    return "";
  std::string list;
  for (auto path : manifest::gallery_preference_paths())
    list += (list.empty() ? "" : " UNION ALL ") +
            ("SELECT '" + path_text(path, '.') + " of ' || " + user_name("u") +
             " AS name, 1::bigint AS number, 0::bigint AS part FROM " + db.t("user_metadata") + " x LEFT JOIN " +
             db.t("user") + " u ON u.id = x.\"userId\" WHERE x.key::text = 'preferences' AND x.value #> " +
             path_literal(path) + " IS NOT NULL");
  return list;
}

constexpr Loss lost = {
    .what = {"preference of a user that only Gallery knows", "preferences of users that only Gallery knows"},
    .instead = "gone; all other preferences stay",
    .list = list_lost};

} // namespace

constinit const Rule rules::preferences = {.needs = needs, .work = work, .loss = &lost};

} // namespace gallery
