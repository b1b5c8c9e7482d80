// What goes or changes with rows that are deleted, by the foreign keys that are there.
#pragma once

#include "plan/plan.hpp"

namespace gallery {

/// A foreign key of Immich's schema with a delete action that changes rows.
struct ActingKey {
  std::string table;
  std::string parent;
  std::vector<std::string> columns;        // quoted, with a cast where they are compared as text
  std::vector<std::string> parent_columns; // the same of the parent's
  bool cascades = false;                   // otherwise the columns are emptied
};

/// Rows of a table that a key's action reaches: "FROM table row WHERE ...".
struct Reached {
  std::string table;
  std::string row;
  std::string from;
  bool deleted = false;
};

std::vector<ActingKey> acting_keys(const backend::Spi &spi, const Survey &survey);

/// All rows that are deleted or changed along with the rows `row` of `table` that `from` gives, but those of the tables
/// `without`. A key back to a table on the way is followed once.
std::vector<Reached> reached_by(const Survey &survey, const std::vector<ActingKey> &keys, const std::string &table,
                                const std::string &row, const std::string &from, const std::set<std::string> &without);

} // namespace gallery
