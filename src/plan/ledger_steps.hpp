// The steps that leave in the ledger what Immich's migrator accepts.
#pragma once

#include "plan/plan.hpp"

namespace gallery {

/// Rows of Gallery's objects in migration_overrides and of Gallery's migrations in the ledger go; rows of unreleased
/// builds get the released name; timestamps are put in the order of the names.
void clean_ledgers(const Survey &survey, const Identity &identity, Plan &plan);

} // namespace gallery
