// The archived rows of one table, as the statements of the way back see them, and the conditions under which they fit.
#pragma once

#include "plan/returned_tables.hpp"

namespace gallery {

/// What the queries below call the row of the archive, beside the table's own columns.
inline constexpr const char *archived_key = "\"gallery_archive.key\"";
inline constexpr const char *archived_content = "\"gallery_archive.content\"";

/// A condition that a row has to meet, and what is said of one that does not.
struct Fit {
  std::string condition;
  std::string reason;
  bool of_parent = false; // asks for a row of the same table
};

class ReturnedRows {
public:
  ReturnedRows(const Returning &archive, const ArchivedTable &table) : archive_(archive), table_(table) {}

  /// The rows that went, as q: with the table's columns, and archived_key and archived_content. Columns are empty where
  /// they would be emptied with what they refer to.
  [[nodiscard]] std::string whole() const { return rows("'table', 'delete'", true, false); }
  /// Those that went or were overwritten, as they were.
  [[nodiscard]] std::string as_they_were() const { return rows("'table', 'delete', 'update'", false, false); }
  /// Overwritten rows; rows of which columns went.
  [[nodiscard]] std::string updates() const { return rows("'update'", false, true); }
  [[nodiscard]] std::string columns() const { return rows("'column'", false, true); }

  /// Is row t the row q? By the key that the table has now, or that it had then; by the latter where the row has not
  /// all columns of the former.
  [[nodiscard]] std::string same_row() const;
  [[nodiscard]] std::string same_row_by_old_key() const { return same(table_.key); }
  /// Can rows be told by the key that the table had?
  [[nodiscard]] bool has_old_key() const;

  /// The columns of a whole row that can be written.
  [[nodiscard]] std::vector<std::string> writable() const;
  /// All that a whole row q must meet, in the order in which the reasons are told.
  [[nodiscard]] std::vector<Fit> fits() const;
  /// Of the rows `base`, FROM ... WHERE ..., those that go beside each other: of two with a value that the table lets
  /// be only once now, the first by key. FROM ..., as q.
  [[nodiscard]] std::string without_twins(std::string base) const;
  /// Of the rows `base`, those that belong to rows of the same table that are there or come with them: FROM ..., as q.
  [[nodiscard]] std::string with_parents(const std::string &base) const;
  /// Why a whole row q is not there as row t as it was, as SQL; NULL where it is.
  [[nodiscard]] std::string why_not() const;

  /// Are all of the table's checks and unique indexes that look at any of these columns content with row t once it has
  /// the values that `assigned` gives by column?
  [[nodiscard]] std::string allows(const std::map<std::string, std::string> &assigned) const;
  /// Does what the column of row `row` refers to exist? Empty where it refers to nothing.
  [[nodiscard]] std::string exists(const ShapeKey &key, const std::string &row) const;
  /// The key of that one column, if there is one.
  [[nodiscard]] const ShapeKey *key_of(const std::string &column) const;
  [[nodiscard]] static std::string refers_to_nothing(const ShapeKey &key);
  /// Can a row be given back what it refers to by this key and lost with it? `parent` is what the archive has of that.
  [[nodiscard]] bool can_refer_again(const ShapeKey &key, const ArchivedTable *parent) const;
  /// Did what row q refers to go in the same revert? As SQL.
  [[nodiscard]] std::string went_with(const ShapeKey &key) const;

private:
  [[nodiscard]] std::string rows(const std::string &changes, bool empties, bool changed_only) const;
  [[nodiscard]] std::string same(const std::vector<std::string> &columns) const;
  [[nodiscard]] bool is_written(const std::vector<std::string> &columns) const;
  [[nodiscard]] bool is_to_itself(const ShapeKey &key) const;
  [[nodiscard]] std::string refers(const ShapeKey &key, const std::string &parent, const std::string &row) const;
  [[nodiscard]] std::string conflict(const ShapeIndex &index, const std::string &row, const std::string &others) const;

  const Returning &archive_;
  const ArchivedTable &table_;
};

/// Can values of the table's overwritten rows be set again?
bool can_set(const Returning &archive, const ArchivedTable *table);

} // namespace gallery
