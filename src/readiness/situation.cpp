// Looks at a database, in the order of the checks.
#include "readiness/situation.hpp"

#include "backend/guard.hpp"
#include "readiness/checks.hpp"
#include "rules/rule.hpp"
#include "rules/rules.hpp"
#include "settings.hpp"

namespace gallery {

namespace {

/// Runs questions of the rules to tables.
template <typename Ask>
auto ask_tables(Ask ask) {
  std::string why;
  try {
    return ask();
  } catch (const backend::ServerError &error) {
    // A table or a column that is not there, or of another type: of class 42, but for missing privileges. A value that
    // an enum has no more: 22P02.
    if (error.data->sqlerrcode != ERRCODE_INVALID_TEXT_REPRESENTATION &&
        (ERRCODE_TO_CATEGORY(error.data->sqlerrcode) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION ||
         error.data->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE))
      throw;
    why = error.what();
  }
  throw not_as_made(why);
}

} // namespace

Plan plan_for(const backend::Spi &spi, const Survey &survey, const Identity &identity, Evidence found, Rows rows) {
  return ask_tables([&] { return make_plan(spi, survey, identity, std::move(found), rows); });
}

std::vector<FoundLoss> losses_of(const backend::Spi &spi, const Situation &now) {
  return ask_tables([&] { return find_losses(spi, now.survey, now.identity, now.plan); });
}

Evidence look_around(const backend::Spi &spi, Situation &now) {
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
  // Before the first look at a row beyond the ledgers.
  auto found = find_objects(spi, now.survey, now.identity, is_read_by_rules);
  enforce(check_ownership(now.survey, found));
  enforce(check_evidence(now.survey, found));
  return found;
}

Situation look(const backend::Spi &spi, Rows rows) {
  Situation now;
  auto found = look_around(spi, now);
  if (now.identity.is_gallery && settings::archives())
    enforce_blocked(check_archive(spi, now.survey));
  now.plan = plan_for(spi, now.survey, now.identity, std::move(found), rows);
  return now;
}

std::string range_of(const Identity &identity) {
  auto const [first, last] = releases_with(identity.native_migrations);
  if (first == nullptr)
    return "between releases (" + std::to_string(identity.native_migrations) + " migrations)";
  return first == last ? std::string(first->tag) : std::string(first->tag) + " to " + std::string(last->tag);
}

} // namespace gallery
