// What is lost by a plan, in the words of who owns the photos.
#pragma once

#include "plan/plan.hpp"
#include "rules/loss.hpp"

namespace gallery {

/// Each loss that the rules state and that is there, then all other rows of Gallery's in one. To be asked before the
/// plan has run.
std::vector<FoundLoss> find_losses(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                                   const Plan &plan);

} // namespace gallery
