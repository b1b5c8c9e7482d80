// What a plan is made of: steps and remarks. A step is data (what, on which object, why, how many rows, which
// statement), never a code path: the dry run shows the steps, the revert runs their statements.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gallery {

/// How rows change: the three row counters that the server keeps for each table.
enum class Change { insert, update, remove };

/// The rows of a table that are changed in one way.
struct Changed {
  std::string_view table;
  Change change;
};

/// Rows of a table that a statement may change beside those it names: by a cascade or a trigger. Where it can be known
/// how many at most, a bound says so: one for each row of another kind that is changed, and so many besides.
struct SideEffect {
  std::string_view table;
  Change change;
  std::optional<Changed> one_for_each = {};
  std::optional<std::int64_t> at_most = {};
};

/// A side effect of one database: its bound was counted in it, and can be again in another.
struct KnownEffect : SideEffect {
  KnownEffect(const SideEffect &effect, std::string bound = {}) // NOLINT(google-explicit-constructor)
      : SideEffect(effect), bound(std::move(bound)) {}
  std::string bound; // of at_most: FROM ... WHERE ... of the rows that were counted; empty: any number
};

struct Step {
  std::string phase;  // archive, triggers, drop, restore, clean, keep, settings, columns, ledger
  std::string kind;   // what the object is: rows, table, column, index, ...
  std::string object; // as a user would name it
  std::string reason;
  std::string statement;
  std::string essence; // the statement without ids, times and the like, which differ between copies; empty: all of it
  std::string digest;  // of this step and all before it

  bool told = false;      // a loss says what its rows are to who owns them
  bool done = false;      // has run
  bool auxiliary = false; // only there for the row steps of its phase: left out with them

  // Of a step that changes rows:
  std::string table; // whose rows, or empty
  Change change = Change::update;
  std::string matching;   // FROM ... [WHERE ...] of the rows it will change
  std::string row;        // what `matching` calls such a row
  bool overwrites = true; // false of an update that only fills a column which a step before it adds
  std::string unsettled;  // of an update: FROM ... [WHERE ...] of rows that it leaves none of
  std::vector<KnownEffect> side_effects;

  std::vector<std::string> dropped; // tables that go with all of their rows
  std::vector<std::string> columns; // of table `object`, that go with their values
  // Of a step that writes rows down: whose, and what becomes of them.
  std::optional<std::size_t> saves; // which other step takes them away
  std::string saved_table;
  Change saved_for = Change::remove;
  // How many rows: announced in a dry run, counted in a run. A run does not count what goes with a table.
  std::optional<std::int64_t> rows;
};

/// Rows that decided about the statements of a plan, as one question: the plan is good for any database that answers it
/// in the same way.
struct Premise {
  std::string about;
  std::string query; // one text, or NULL
};

/// What a reader must know though nothing is done about it.
struct Remark {
  std::string message;
  std::string detail;
};

} // namespace gallery
