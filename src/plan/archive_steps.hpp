// The steps that write down what the plan removes and overwrites, before anything of it runs.
#pragma once

#include "plan/plan.hpp"

namespace gallery {

/// The steps that make the archive where it is not there, write what was there into it, then the rows: derived from the
/// steps of the plan alone, so that no rule and no table needs to say anything. To be put in place by archive_first(),
/// which tells them the numbers of the steps.
std::vector<Step> archive_steps(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                                const Plan &plan);

/// Puts the steps before all others but one that has checks run at once; sets their statements.
void archive_first(Plan &plan, std::vector<Step> steps);

} // namespace gallery
