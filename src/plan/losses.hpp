// What is lost by a plan, in the words of who owns the photos.
#pragma once

#include "plan/plan.hpp"
#include "rules/loss.hpp"

namespace gallery {

/// Each loss that the rules state and that is there, then all other rows of Gallery's in one. To be asked before the
/// plan has run.
std::vector<FoundLoss> find_losses(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                                   const Plan &plan);

/// A query for each loss that the rules state, to be asked by a step: what (text, the noun that fits), count (numeric)
/// and names (text[], all of them).
std::vector<std::string> loss_queries(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                                      const Plan &plan);

} // namespace gallery
