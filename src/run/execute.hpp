// Runs a plan and counts what it did.
#pragma once

#include "backend/guard.hpp"
#include "readiness/call.hpp"
#include "readiness/integrity.hpp"

namespace gallery {

/// Row counters of tables in this transaction: inserted, updated, deleted. Tables of other schemas than Immich's have
/// their schema before their name: a key may cascade to there as well.
using RowCounters = std::map<std::string, std::array<std::int64_t, 3>>;

/// Runs the steps in order; sets each step's `rows` to how many it changed. Triggers find what they need
/// (survey.search_path). Throws 55P03 where another session gets in the way of a step, 55000 where something that is
/// not Immich's keeps rows, or where rows would point to nothing that did not before: looked for in tables where
/// something meddles, and behind the `broken` keys.
void execute(const backend::Spi &spi, const Survey &survey, Plan &plan, const std::vector<BrokenKey> &broken,
             const Call &call);

/// What this transaction has changed so far, from the server's own statistics.
RowCounters read_counters(const backend::Spi &spi, const std::string &schema);

} // namespace gallery
