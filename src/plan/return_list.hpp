// What could not come back is written down, with the reason.
#pragma once

#include "plan/returned_rows.hpp"

namespace gallery {

/// A step for each table of which anything may be missing in the end: for when all others have run.
std::vector<Step> list_steps(const Returning &archive, const ReturnedTables &tables,
                             const std::vector<SetByRevert> &values);

} // namespace gallery
