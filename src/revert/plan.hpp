// The plan: the ordered steps from a survey to a stock Immich. A step is data (what, on which object, why, how many
// rows, which statement), never a code path: the dry run shows the steps, the revert runs their statements.
#pragma once

#include "backend/guard.hpp"
#include "revert/evidence.hpp"

#include <cstdint>

namespace gallery {

/// How rows change: the three row counters that the server keeps for each table.
enum class Change { insert, update, remove };

/// Rows of a table that a statement may change beside those it names: by a cascade or a trigger.
struct SideEffect {
  std::string table;
  Change change;
};

struct Step {
  std::string phase;  // triggers, drop, restore, clean, settings, columns, ledger
  std::string kind;   // what the object is: rows, table, column, index, ...
  std::string object; // as a user would name it
  std::string reason;
  std::string statement;

  bool auxiliary = false; // only there for the row steps of its phase: left out with them

  // Of a step that changes rows:
  std::string table; // whose rows, or empty
  Change change = Change::update;
  std::string matching; // FROM ... [WHERE ...] of the rows it will change
  std::vector<SideEffect> side_effects;

  std::vector<std::string> dropped; // tables that go with all of their rows
  // How many rows: announced in a dry run, counted in a run. A run does not count what goes with a table.
  std::optional<std::int64_t> rows;
};

/// What a reader must know though nothing is done about it.
struct Remark {
  std::string message;
  std::string detail;
};

struct Plan {
  std::vector<Step> steps;
  std::vector<Remark> remarks;
  std::vector<FoundObject> objects;   // Gallery's objects that go
  std::vector<std::string> ledgers;   // Gallery's own ledger and its lock table, where they are
  std::set<TableName> restored;       // columns of Immich's that a step puts back
  std::vector<Stranger> strangers;    // objects of a name of Gallery's that are not Gallery's
  const manifest::ImmichRelease *target = nullptr;
};

/// What is to be known of the rows of a step: whether there are any, or how many.
enum class Rows { any, counted };

/// The steps. Those that would change no row are left out.
Plan make_plan(const backend::Spi &spi, const Survey &survey, const Identity &identity, Evidence found, Rows rows);

/// The refusal 55000 of a database whose native tables the rules cannot read.
backend::Refusal not_as_made(const std::string &what);

/// The tables to lock: every table of the schema that Immich or Gallery makes, by OID, without repeats.
std::vector<Oid> relations_to_lock(const Survey &survey, const Plan &plan);

} // namespace gallery
