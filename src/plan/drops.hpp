// The steps that drop what only Gallery made. Always RESTRICT: a surprise is an error, never a cascade.
#pragma once

#include "plan/plan.hpp"

namespace gallery {

/// What goes before the rules: triggers that write to Gallery's tables; Gallery's indexes, which would only slow row
/// changes down; keys from Immich's tables to Gallery's; Gallery's tables but those that rules read.
void drop_first(const Survey &survey, const Identity &identity, Plan &plan);

/// What goes after the rules: the tables and columns that they read, and functions.
void drop_last(const Survey &survey, Plan &plan);

} // namespace gallery
