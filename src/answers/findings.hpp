// What else is known of a database on which a release is to start: see findings.sql.
#pragma once

#include "answers/advice.hpp"
#include "backend/spi.hpp"

namespace gallery {

/// One line for each finding: what the schema lacks or has too much, what the server and its vector extensions are and
/// whether the releases want them, collation versions, the media location. `wanted` is the release that was asked for.
/// Empty where the advice does not say that a tag starts on this database.
std::vector<std::string> findings_of(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                                     const Advice &advice, const std::optional<std::string> &wanted);

} // namespace gallery
