// The shape of one table, as far as it decides which rows it can take: columns, keys, unique indexes, checks, triggers.
#pragma once

#include "backend/spi.hpp"

#include <map>
#include <set>

namespace gallery {

/// The lines of a text that the catalog or a row gave; an empty one has none.
std::vector<std::string> lines_of(const backend::Field &field);

struct ShapeColumn {
  std::string name;
  std::string type;    // as SQL writes it
  std::string initial; // its default as SQL; empty: none
  bool required = false;
  bool generated = false;
  /// What a default calls gives another value each time: such a column says when, or numbers, and nothing else.
  [[nodiscard]] bool is_clock() const { return initial.find('(') != std::string::npos; }
  /// Has the column in this row the value that a new row gets? As SQL.
  [[nodiscard]] std::string is_initial(const std::string &row) const;
};

/// A foreign key of the table to another of the same schema.
struct ShapeKey {
  std::vector<std::string> columns;
  std::string parent;
  std::vector<std::string> parent_columns;
  bool empties = false; // its columns are emptied where what they refer to goes
};

/// A unique index: what it compares, and for which rows; both as SQL over the table's own columns.
struct ShapeIndex {
  std::string name;
  std::vector<std::string> expressions;
  std::string predicate;
  std::set<std::string> columns; // that are named in either
  bool nulls_equal = false;      // are two empty values the same to it?
};

struct Shape {
  std::vector<ShapeColumn> columns;
  std::vector<std::string> primary;
  std::vector<ShapeKey> keys;
  std::vector<ShapeIndex> unique; // the primary key aside
  std::vector<std::string> checks;
  std::vector<std::string> triggers; // that are on, the server's own aside
  [[nodiscard]] const ShapeColumn *find(const std::string &column) const;
};

/// The shapes of these tables of the schema. Asks the catalog only.
std::map<std::string, Shape> read_shapes(const backend::Spi &spi, Oid schema, const std::set<std::string> &tables);

} // namespace gallery
