// The steps are pasted into a terminal, maybe all at once: chain() makes one command of them, which the shell reads to
// its end before it runs any of it, and a failure ends it. None waits for input, but the last shows the log until it is
// interrupted. Nothing that was there is overwritten: what is edited is copied to a new name first.
//
// The commands themselves are in advice_steps.inc, which scripts/advise.sql is made from as well.
#include "answers/advice_steps.hpp"

#include <string_view>

namespace gallery {

namespace {

struct Command {
  std::string_view list;
  std::string_view text;
};

/// "stop": the containers go. One that is only stopped comes back with the daemon or the machine ("restart: always"),
/// and the old server would change the database again. All that they know is in volumes.
/// "pin": the tag is set whether or not .env has a line for it; .env is written anew from its copy and keeps its owner.
/// "reverted": redis-cli succeeds whatever Redis answers.
constexpr Command commands[] = {
#include "answers/advice_steps.inc"
};

Steps list(std::string_view name, std::string_view placeholder = {}, std::string_view value = {}) {
  Steps steps;
  for (const auto &command : commands) {
    if (command.list != name)
      continue;
    std::string text(command.text);
    if (auto const at = placeholder.empty() ? std::string::npos : text.find(placeholder); at != std::string::npos)
      text.replace(at, placeholder.size(), value);
    steps.push_back(std::move(text));
  }
  return steps;
}

Steps call_with_token(const std::string &function) {
  return list("call", "@FUNCTION@", function);
}

} // namespace

Steps operator+(Steps steps, const Steps &more) {
  steps.insert(steps.end(), more.begin(), more.end());
  return steps;
}

Steps stop_server() {
  return list("stop");
}

Steps stop_and_preserve() {
  return list("stop") + list("preserve");
}

Steps pin_and_start(const std::string &tag) {
  return list("pin", "@TAG@", tag) + list("start");
}

Steps run_migrations_again() {
  return list("migrate");
}

/// The restore itself is a page, not a line: it differs with the kind of dump, and it keeps the old database. What
/// comes after it must not run before it.
Steps restore_and_start(const std::string &tag) {
  if (tag.empty())
    return stop_and_preserve() + list("restore_only");
  return stop_and_preserve() + list("restore") + pin_and_start(tag);
}

Steps run_with_token(const std::string &function) {
  return stop_and_preserve() + call_with_token(function);
}

/// Immich's images come first: whatever starts the services in between, it is not Gallery, and Immich refuses a
/// database that is not yet its own.
Steps revert_and_start(const std::string &tag) {
  return stop_and_preserve() + list("images") + list("pin", "@TAG@", tag) + call_with_token("gallery_revert") +
         list("reverted") + list("start");
}

Steps let_gallery_finish() {
  return list("finish");
}

Steps chain(Steps steps) {
  for (std::size_t i = 0; i + 1 < steps.size(); ++i)
    steps[i] += " &&";
  return steps;
}

} // namespace gallery
