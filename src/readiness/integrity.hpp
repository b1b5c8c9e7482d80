// Foreign keys that do not hold what Immich's hold: missing, not valid, not enforced (triggers that an interrupted
// restore left off), or with another delete action. A step that deletes rows relies on them.
#pragma once

#include "database/native.hpp"
#include "plan/plan.hpp"

namespace gallery {

/// A foreign key, read off its definition.
struct ForeignKey {
  std::string table;
  std::string name;
  std::vector<std::string> columns;
  std::string parent;
  std::vector<std::string> parent_columns;
};

/// Reads `FOREIGN KEY (a, "b") REFERENCES c(d, e) ...`; nothing where the text is no such definition.
std::optional<ForeignKey> parse_foreign_key(std::string_view definition);

/// Immich's keys that are not as Immich makes them.
struct BrokenKey {
  ForeignKey key;
  std::string what;        // "is missing", "is not enforced", ...
  std::string mend;        // the statements that put it right
  bool in_the_way = false; // a step changes rows of its table, or deletes some that it refers to
};

std::vector<BrokenKey> broken_keys(const Survey &survey, const Plan &plan, const std::vector<Drift> &drift);

/// The rows that point to nothing, by key: "table.key"; keys without any are left out.
std::map<std::string, std::int64_t> count_orphans(const backend::Spi &spi, const Survey &survey,
                                                  const std::vector<ForeignKey> &keys);

/// How many rows point to nothing by a key, as a question; empty where its tables or columns are not there.
std::string orphans_sql(const Survey &survey, const ForeignKey &key);

/// The foreign keys of these tables whose action a rule, a child table or a trigger that runs before could undo.
std::vector<ForeignKey> keys_of(const backend::Spi &spi, const Survey &survey, const std::set<std::string> &tables);

} // namespace gallery
