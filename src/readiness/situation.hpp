// What is known of a database at one moment: survey, identity, target and plan, each from the one before.
#pragma once

#include "plan/losses.hpp"

namespace gallery {

struct Situation {
  Survey survey;
  Identity identity;
  const manifest::ImmichRelease *target = nullptr; // of a Gallery database
  Plan plan;                                       // on a plain Immich: repairs of the ledger only
};

/// make_plan(); throws not_as_made() where the rules' questions meet a table or a column that is not as Immich makes
/// it.
Plan plan_for(const backend::Spi &spi, const Survey &survey, const Identity &identity, Evidence found, Rows rows);

/// Surveys the database: all of a situation but the plan. Refuses what cannot be told for sure.
Evidence look_around(const backend::Spi &spi, Situation &now);

/// Surveys the database and works out what to do; refuses what cannot be told for sure.
Situation look(const backend::Spi &spi, Rows rows = Rows::any);

/// find_losses() of a plan that has not run; throws as plan_for().
std::vector<FoundLoss> losses_of(const backend::Spi &spi, const Situation &now);

/// "v2.7.0 to v2.7.5": the releases that fit the ledger, for a message.
std::string range_of(const Identity &identity);

} // namespace gallery
