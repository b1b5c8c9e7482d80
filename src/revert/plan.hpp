// The plan: the ordered steps from a survey to a stock Immich.
#pragma once

#include "revert/identity.hpp"
#include "rules/step.hpp"

namespace gallery {

struct Plan {
  std::vector<Step> steps;
  std::vector<Remark> remarks;
  std::vector<FoundObject> objects;   // Gallery's objects that go
  std::vector<std::string> ledgers;   // Gallery's own ledger and its lock table, where they are
  std::set<TableName> restored;       // columns of Immich's that a step puts back
  std::vector<FoundObject> strangers; // objects of a name of Gallery's that no recorded migration made
  const manifest::ImmichRelease *target = nullptr;
};

/// Gallery's objects by the evidence rule: known to the manifest, made by a recorded migration, not removed by a later
/// one. Objects of the same name without that evidence become strangers.
void find_objects(const Survey &survey, const Identity &identity, Plan &plan);

/// What is to be known of the rows of a step: whether there are any, or how many.
enum class Rows { any, counted };

/// The steps. Those that would change no row are left out.
Plan make_plan(const backend::Spi &spi, const Survey &survey, const Identity &identity, Rows rows);

/// The tables to lock: every table of the schema that Immich or Gallery makes, by OID, without repeats.
std::vector<Oid> relations_to_lock(const Survey &survey, const Plan &plan);

} // namespace gallery
