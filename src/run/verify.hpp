// The proof before commit: what is left is a stock Immich, and nothing else was changed.
#pragma once

#include "database/native.hpp"
#include "run/execute.hpp"

namespace gallery {

/// What to compare the result with: the state before the steps.
struct Before {
  int migrations = 0; // of Immich's in the ledger, which must be as many afterwards
  RowCounters counters;
  TableFiles files;
  std::vector<Drift> drift; // how the database already differed from Immich's schema, Gallery's own doing aside
  /// Of a Gallery that stays one, its ledger, in which nothing may change; `drift` is then with Gallery's own doing.
  std::optional<std::vector<LedgerRow>> gallery_ledger = {};
};

/// Throws 55000 with every difference: Gallery objects left over, ledger not the first names in order, a catalog that
/// differs from Immich's otherwise than before by this transaction's doing, rows of Immich's tables changed otherwise
/// than the steps say, a table that this transaction emptied, rewrote or dropped beside them. `done` is the plan that
/// ran.
void verify(const backend::Spi &spi, const Survey &after, const Plan &done, const Before &before);

/// What is there after a plan was run and proven.
struct Proven {
  Survey after;
  std::vector<ForeignKey> keys; // by which rows might have come to point to nothing
  std::int64_t proof_milliseconds = 0;
};

/// Runs the steps and verifies the result: execute(), refuse_new_orphans(), verify().
Proven execute_proven(const backend::Spi &spi, const Survey &survey, Plan &plan, const std::vector<BrokenKey> &broken,
                      const Before &before, const Call &call);

} // namespace gallery
