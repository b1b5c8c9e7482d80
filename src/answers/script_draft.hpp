// What a script is made of, and the writing of it.
#pragma once

#include "answers/script_parts.hpp"
#include "run/rehearsal.hpp"

namespace gallery {

/// What the copy told.
struct Draft {
  Situation now; // with every step, whether the copy has rows for it or not
  std::string digest;
  std::vector<FoundLoss> losses;
  std::vector<backend::Field> answers; // to the plan's premises
  Rehearsal rehearsal;
};

/// Lines of a comment, whatever names are in them.
std::string comment(const std::string &text, const std::string &indent = "");

/// The steps as statements of the script's procedure, each with its reason; in dollar quotes, which nothing in a step
/// ends.
std::string write_steps(const Draft &draft, const std::string &quote);

/// What goes into the places of the script's parts.
Places places_of(const backend::Spi &spi, const Draft &draft);

} // namespace gallery
