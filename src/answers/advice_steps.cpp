// The steps are pasted into a terminal, maybe all at once: chain() makes one command of them, which the shell reads to
// its end before it runs any of it, and a failure ends it. None waits for input, but the last shows the log until it is
// interrupted. Nothing that was there is overwritten: what is edited is copied to a new name first.
#include "answers/advice_steps.hpp"

namespace gallery {

namespace {

/// The containers go: one that is only stopped comes back with the daemon or the machine ("restart: always"), and the
/// old server would change the database again. All that they know is in volumes.
constexpr const char *stop = "docker compose rm -sf immich-server immich-machine-learning";
constexpr const char *preserve = "gallery_revert/scripts/preserve-state.sh --docker immich_postgres --install .";
constexpr const char *psql =
    "docker exec immich_postgres psql -X -P pager=off -v ON_ERROR_STOP=1 -U postgres -d immich";

/// Writes a file anew from its copy "$old"; it keeps its owner. `command` reads the copy.
std::string edit(const std::string &file, const std::string &command) {
  return "old=$(mktemp \"" + file + ".before-$(date +%F)-XXXXXX\") && cp " + file + " \"$old\" && " + command + " > " +
         file + " && echo \"" + file + " was copied to $old\"";
}

/// The tag is set whether or not .env has a line for it.
Steps pin(const std::string &tag) {
  return {edit(".env", "{ grep -v '^IMMICH_VERSION=' \"$old\"; echo IMMICH_VERSION=" + tag + "; }"),
          "docker compose pull immich-server immich-machine-learning"};
}

Steps start() {
  return {"docker compose up -d", "docker compose logs --follow immich-server"};
}

Steps call_with_token(const std::string &function) {
  return {std::string(psql) + " -c 'SELECT * FROM gallery_revert_plan()'",
          std::string(psql) + " -c \"SET gallery.revert_token = 'i_accept_data_loss'\" -c 'SELECT " + function + "()'"};
}

} // namespace

Steps operator+(Steps steps, const Steps &more) {
  steps.insert(steps.end(), more.begin(), more.end());
  return steps;
}

Steps stop_server() {
  return {stop};
}

Steps stop_and_preserve() {
  return {stop, preserve};
}

Steps pin_and_start(const std::string &tag) {
  return pin(tag) + start();
}

Steps run_migrations_again() {
  return {edit(".env", "sed '/^DB_SKIP_MIGRATIONS=/d' \"$old\"")};
}

/// The restore itself is a page, not a line: it differs with the kind of dump, and it keeps the old database. What
/// comes after it must not run before it.
Steps restore_and_start(const std::string &tag) {
  std::string const page = "gallery_revert/docs/recovery.md, step 6b (renames the database, drops nothing)";
  if (tag.empty())
    return stop_and_preserve() +
           Steps{"echo 'now restore: " + page + "; then start with the tag of the dump: step 6a'"};
  return stop_and_preserve() +
         Steps{"{ echo 'now restore: " + page + "; then paste the lines after this one'; false; }"} +
         pin_and_start(tag);
}

Steps run_with_token(const std::string &function) {
  return stop_and_preserve() + call_with_token(function);
}

/// Immich's images come first: whatever starts the services in between, it is not Gallery, and Immich refuses a
/// database that is not yet its own. redis-cli succeeds whatever Redis answers.
Steps revert_and_start(const std::string &tag) {
  return stop_and_preserve() +
         Steps{edit("docker-compose.yml",
                    "sed -e 's#ghcr.io/open-noodle/gallery-server:#ghcr.io/immich-app/immich-server:#'"
                    " -e 's#ghcr.io/open-noodle/gallery-ml:#ghcr.io/immich-app/immich-machine-learning:#' \"$old\"")} +
         pin(tag) + call_with_token("gallery_revert") +
         Steps{std::string(psql) + " -c 'DROP EXTENSION gallery_revert'",
               "docker exec immich_redis redis-cli -n 0 FLUSHDB | tee /dev/stderr | grep -qx OK"} +
         start();
}

Steps let_gallery_finish() {
  return {"docker compose up -d", "docker compose logs immich-server"};
}

Steps chain(Steps steps) {
  for (std::size_t i = 0; i + 1 < steps.size(); ++i)
    steps[i] += " &&";
  return steps;
}

} // namespace gallery
