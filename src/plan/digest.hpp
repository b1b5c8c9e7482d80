// Digests of a plan: what tells one plan from another, whatever database each was made on.
#pragma once

#include "plan/plan.hpp"

namespace gallery {

/// Sets each step's digest: of what is done in all steps up to it, in order. Row counts, reasons, times and generated
/// ids are no part of it: a plan has the same digests on a copy of the database as on the database itself.
void add_digests(const backend::Spi &spi, std::vector<Step> &steps);

} // namespace gallery
