// The plan of the way back: the steps that put the rows of an archive into the tables that Gallery has made again.
#pragma once

#include "plan/plan.hpp"

namespace gallery {

/// What a run's archived rows do not bring back is written down as facts of this kind, when all is done of that.
inline constexpr const char *not_returned = "not returned";
inline constexpr const char *returned = "returned";

/// The steps, in order, for the rows that `run` wrote down; each is for whatever rows fit when it runs. How many these
/// are can only be told by running them.
Plan make_return_plan(const backend::Spi &spi, const Survey &survey, const Identity &identity, const Evidence &found,
                      int run);

} // namespace gallery
