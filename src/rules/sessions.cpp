// What clients may do and have seen: permissions of API keys and checkpoints of the sync that only Gallery knows.
#include "rules/rule.hpp"

namespace gallery {

namespace {

constexpr Need needs_of_permissions[] = {{"api_key", "permissions"}};
constexpr Need needs_of_checkpoints[] = {{"session_sync_checkpoint", "type"}};

void clean_permissions(const Context &db, Outcome &phase) {
  std::string const known = array_of(manifest::gallery_permissions());
  std::string const all = "pg_catalog.unnest(k.permissions::text[]) WITH ORDINALITY AS p(name, place) WHERE p.name ";
  phase.steps.push_back(update(
      db, "api_key", "k", "permissions = ARRAY(SELECT p.name FROM " + all + "<> ALL (" + known + ") ORDER BY p.place)",
      "", "EXISTS (SELECT FROM " + all + "= ANY (" + known + "))", "permissions that Immich does not know"));
}

void remove_checkpoints(const Context &db, Outcome &phase) {
  phase.steps.push_back(remove(db, "session_sync_checkpoint", "c",
                               "c.type::text = ANY (" + array_of(manifest::gallery_checkpoint_types()) + ")",
                               "sync checkpoints of Gallery's types"));
}

std::string list_lost(const Context &db) {
  if (!db.has("api_key", {"name"}))
    return "";
  return "SELECT x.name || ': ' || x.number::text AS name, x.number, 0::bigint AS part FROM (SELECT k.name::text, "
         "(SELECT"
         " pg_catalog.count(*) FROM pg_catalog.unnest(k.permissions::text[]) AS p(name) WHERE p.name = ANY (" +
         array_of(manifest::gallery_permissions()) + ")) AS number FROM " + db.t("api_key") +
         " k) x WHERE x.number > 0::bigint";
}

constexpr Loss lost = {
    .what = {"permission of an API key that only Gallery knows", "permissions of API keys that only Gallery knows"},
    .instead = "the keys stay, with all other permissions",
    .list = list_lost};

} // namespace

constinit const Rule rules::permissions = {.needs = needs_of_permissions, .work = clean_permissions, .loss = &lost};
constinit const Rule rules::checkpoints = {.needs = needs_of_checkpoints, .work = remove_checkpoints};

} // namespace gallery
