// Runs a plan and counts what it did.
#pragma once

#include "backend/guard.hpp"
#include "readiness/call.hpp"
#include "readiness/integrity.hpp"

namespace gallery {

/// Row counters of tables in this transaction: inserted, updated, deleted. Tables of other schemas than Immich's have
/// their schema before their name: a key may cascade to there as well.
using RowCounters = std::map<std::string, std::array<std::int64_t, 3>>;

/// Where the server keeps each table, by OID: its name, as above (a partition's is that of the whole), and its file.
/// Emptying a table, which no counter counts, gives it another one.
using TableFiles = std::map<std::string, std::pair<std::string, std::string>>;
/// What is said last where everything is done.
inline constexpr const char *completion =
    "revert-to-immich: cleanup finished. Switch your image to ghcr.io/immich-app/immich-server and start the stack.";

/// Keys, and how many rows point to nothing by each that has such, by "table.key".
struct Orphans {
  std::vector<ForeignKey> keys;
  std::map<std::string, std::int64_t> rows;
};

/// The tables where a step could change fewer rows than it names without an error, because something that is not
/// Immich's decides row by row: a rule, a trigger that runs before, a child table with its own. Everywhere else the
/// server changes every row that matches or fails, so nothing needs to be looked up again.
std::set<std::string> meddled_with(const backend::Spi &spi, const Survey &survey);

/// Runs the steps in order, but those that are done; sets each step's `rows` to how many it changed. Triggers find what
/// they need (survey.search_path). Throws 55P03 where another session gets in the way of a step, 55000 where something
/// that is not Immich's keeps rows. Returns the rows that pointed to nothing before: looked for in tables where
/// something meddles, and behind the `broken` keys.
Orphans execute(const backend::Spi &spi, const Survey &survey, Plan &plan, const std::vector<BrokenKey> &broken,
                const Call &call);

/// Runs the steps that write the archive, which execute() then leaves out. What they read must not change any more.
void write_archive(const backend::Spi &spi, const Survey &survey, Plan &plan, const Call &call);

/// Throws 55000 where rows point to nothing now, in a database as `survey` has it, that did not before.
void refuse_new_orphans(const backend::Spi &spi, const Survey &survey, const Orphans &before, const Call &call);

/// What this transaction has changed so far, from the server's own statistics.
RowCounters read_counters(const backend::Spi &spi, const std::string &schema);
/// The same as a question: name, inserted, updated, deleted.
std::string counters_sql(const std::string &schema);

/// The files of all tables but temporary ones.
TableFiles read_files(const backend::Spi &spi, const std::string &schema);

} // namespace gallery
