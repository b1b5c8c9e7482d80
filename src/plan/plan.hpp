// The plan: the ordered steps from a survey to a stock Immich.
#pragma once

#include "database/evidence.hpp"
#include "rules/step.hpp"

namespace gallery {

struct Plan {
  std::vector<Step> steps;
  std::vector<Remark> remarks;
  std::vector<Premise> premises;
  std::vector<FoundObject> objects; // Gallery's objects that go
  std::vector<std::string> ledgers; // Gallery's own ledger and its lock table, where they are
  std::set<TableName> restored;     // columns of Immich's that a step puts back
  std::vector<Stranger> strangers;  // objects of a name of Gallery's that are not Gallery's
  const manifest::ImmichRelease *target = nullptr;
};

/// What is to be known of the rows of a step: whether there are any, or how many; nothing, for another database, whose
/// rows are not these.
enum class Rows { any, counted, unasked };

/// The steps. Those that would change no row are left out where rows are asked for.
Plan make_plan(const backend::Spi &spi, const Survey &survey, const Identity &identity, Evidence found, Rows rows);

/// Checks that wait for the commit are run before all other steps, where the database has any.
void put_checks_first(const Survey &survey, Plan &plan);

/// The tables that a plan drops, the ledgers of Gallery's among them.
std::set<std::string> tables_that_go(const Plan &plan);

/// The tables to lock: every table of the schema that Immich makes, that Gallery made or that a step changes, by OID,
/// without repeats.
std::vector<Oid> relations_to_lock(const Survey &survey, const Plan &plan);

} // namespace gallery
