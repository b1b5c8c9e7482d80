// How a database differs from Immich's schema by itself, Gallery's doing aside.
#pragma once

#include "database/native.hpp"
#include "plan/plan.hpp"

namespace gallery {

/// How the database differs from Immich's schema at its migration count, leaving out what `plan` is about: Gallery's
/// objects, and what it puts back.
Comparison own_drift(const backend::Spi &spi, const Survey &survey, const Identity &identity, const Plan &plan);

} // namespace gallery
