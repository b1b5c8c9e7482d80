// After a failed update: what happened to the database, and the safe way out.
#pragma once

#include "database/identity.hpp"

namespace gallery {

struct Advice {
  std::string advice;             // none, roll_back, fix_forward, restore_backup, revert_gallery
  std::string reason;             // one sentence, with the names that decided it
  std::string pin;                // the tag for IMMICH_VERSION, or empty
  std::vector<std::string> steps; // commands, in order
};

/// Advice for a database with a ledger. `wanted` is the release the user wants to start; without one, it is the newest
/// version in version_history. Throws Refusal where the ledger holds names that nobody knows, or the wanted release is
/// not known.
Advice advise(const Survey &survey, const Identity &identity, const std::optional<std::string> &wanted);

/// Advice for a database of the time before Immich kept this ledger (v1.131 and older).
Advice advise_typeorm();

} // namespace gallery
