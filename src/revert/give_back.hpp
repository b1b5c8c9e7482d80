// gallery_return() and gallery_return_plan(), without their SQL clothes.
#pragma once

#include "backend/result_set.hpp"

#include <string>

namespace gallery {

/// Puts back what the archive has and what still fits; returns what was done in a sentence. Throws Refusal where a
/// check blocks.
std::string give_back();

/// The steps of that, with how many rows each changes: run, counted and undone.
void show_return_plan(backend::ResultSet &result);

} // namespace gallery
