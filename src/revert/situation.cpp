// Looks at a database, in the order of the checks.
#include "revert/situation.hpp"

#include "backend/local_settings.hpp"
#include "revert/checks.hpp"

namespace gallery {

Situation look(const backend::Spi &spi, Rows rows) {
  // A policy that hides rows must be an error here: rows that are not seen would be left behind.
  backend::LocalSettings local;
  local.set("row_security", "off");
  Situation now;
  Ledger ledger;
  enforce(check_ledger(spi, ledger));
  now.survey = read_survey(spi, std::move(ledger));
  now.identity = identify(now.survey);
  enforce(check_migrations(now.identity));
  // An order fault is no refusal: the plan repairs it.
  if (now.identity.is_gallery) {
    enforce_blocked(check_prefix(now.identity));
    enforce(check_target(now.identity, now.target));
  }
  now.plan = make_plan(spi, now.survey, now.identity, rows);
  return now;
}

std::string range_of(const Identity &identity) {
  auto const [first, last] = releases_with(identity.native_migrations);
  if (first == nullptr)
    return "between releases (" + std::to_string(identity.native_migrations) + " migrations)";
  return first == last ? std::string(first->tag) : std::string(first->tag) + " to " + std::string(last->tag);
}

} // namespace gallery
