// What the archive of a run has, table by table, and whether the tables that are there now can take it.
#pragma once

#include "database/evidence.hpp"
#include "database/shape.hpp"
#include "rules/returned.hpp"

namespace gallery {

/// What an archive has of one table.
struct ArchivedTable {
  std::string name;
  bool whole = false;                       // rows that went
  bool columns = false;                     // values of columns that went
  bool updates = false;                     // rows that were overwritten
  std::vector<std::string> content;         // what a whole row has
  std::vector<std::string> columns_content; // which columns went
  std::vector<std::string> key;             // its primary key then
  std::vector<std::string> unfit;           // where rows are (ctid) whose values are none of the table's types now
  std::string unfit_reason;
  std::string missing; // why the table takes no row at all; empty where it does
  const Shape *shape = nullptr;
};

/// The tables of an archive, but for those that Gallery keeps by itself.
class ReturnedTables {
public:
  ReturnedTables(const Returning &archive, const Evidence &found);
  ReturnedTables(const ReturnedTables &) = delete;
  ReturnedTables &operator=(const ReturnedTables &) = delete;

  [[nodiscard]] const std::vector<ArchivedTable> &all() const { return tables_; }
  [[nodiscard]] const ArchivedTable *find(std::string_view name) const;
  /// Tables with rows to put back, each after those that its rows refer to. Where tables refer to each other, those go
  /// first whose references can be empty.
  [[nodiscard]] std::vector<const ArchivedTable *> sorted() const;

private:
  void find_unfit(ArchivedTable &table) const;
  void find_unfit(ArchivedTable &table, std::int64_t from, std::int64_t to) const;
  bool fits(const ArchivedTable &table, const std::string &condition, std::string *why = nullptr) const;

  const Returning &archive_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
  std::vector<ArchivedTable> tables_;
  std::map<std::string, Shape> shapes_;
};

} // namespace gallery
