// A plan that is run and proven, for what can be told of it only then.
#pragma once

#include "readiness/situation.hpp"
#include "run/execute.hpp"

namespace gallery {

/// The things of the schema, each with its digest: see database/fingerprint.hpp.
using Fingerprints = std::vector<std::pair<std::string, std::string>>;

struct Rehearsal {
  Fingerprints before;
  Fingerprints after;
  std::vector<LedgerRow> ledger;  // afterwards
  std::set<std::string> doubtful; // tables in which something that is not Immich's decides about rows
  std::vector<ForeignKey> keys;   // by which rows may come to point to nothing for it
};

/// Takes the locks of a plan, runs it and verifies its result, as gallery_revert() does. Whoever calls this undoes it:
/// it is for within without_locks(). Throws as gallery_revert() would; sets the steps' `rows`.
Rehearsal rehearse(const backend::Spi &spi, Situation &now, const std::vector<Drift> &drift, const Call &call);

} // namespace gallery
