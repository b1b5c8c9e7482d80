// Compares each archived row with what is there in the end. A row is listed once, with the first of its reasons.
#include "plan/return_list.hpp"

#include "database/archive.hpp"
#include "plan/return_steps.hpp"

#include <algorithm>

namespace gallery {

using backend::identifier;
using backend::literal;

namespace {

constexpr const char *row_is_gone = "'its row is no longer there'";

class Lister {
public:
  Lister(const Returning &archive, const ReturnedTables &tables, const ArchivedTable &table)
      : archive_(archive), tables_(tables), table_(table), rows_(archive, table) {}

  /// Each query gives key and reason of rows that are not there as they were.
  std::vector<std::string> queries(const std::vector<SetByRevert> &values) {
    if (!table_.missing.empty()) {
      add_all(table_.missing, "");
      return std::move(queries_);
    }
    if (!table_.unfit.empty())
      add_all("a value does not fit the table as it is now: " + table_.unfit_reason,
              " AND d.ctid = ANY (" + backend::array_literal(table_.unfit) + "::tid[])");
    if (table_.whole)
      add(rows_.whole(), rows_.same_row(), rows_.why_not());
    if (table_.columns)
      list_columns();
    if (table_.updates && rows_.has_old_key())
      list_references();
    for (const auto &entry : values)
      if (entry.table == table_.name && can_set(archive_, &table_))
        add(rows_.updates(), rows_.same_row_by_old_key(),
            "CASE WHEN (" + entry.wanted + ") IS NOT TRUE THEN NULL WHEN t.tableoid IS NULL THEN " + row_is_gone +
                " WHEN " + entry.is_not_back() + " THEN " + literal("not again: " + entry.reason) + " END");
    return std::move(queries_);
  }

private:
  void add_all(const std::string &reason, const std::string &condition) {
    queries_.push_back("SELECT coalesce(d.key, d.content) AS key, " + literal(reason) + "::text AS reason, " +
                       std::to_string(queries_.size()) + " AS place " + archive_.archived(table_.name) + condition);
  }

  void add(const std::string &from, const std::string &same, const std::string &why) {
    queries_.push_back("SELECT coalesce(q." + std::string(archived_key) + ", q." + archived_content + ") AS key, " +
                       why + " AS reason, " + std::to_string(queries_.size()) + " AS place FROM " + from +
                       " LEFT JOIN " + archive_.db.t(table_.name) + " t ON " + same);
  }

  void list_columns() {
    if (!rows_.has_old_key()) {
      add(rows_.columns(), "false", "'the table had no key to tell its rows by'");
      return;
    }
    std::string reasons;
    for (const auto &name : table_.columns_content) {
      const auto *column = table_.shape->find(name);
      if (column == nullptr) {
        reasons += " WHEN q." + std::string(archived_content) + " ->> " + literal(name) + "::text IS NOT NULL THEN " +
                   literal("there is no column \"" + name + "\" now");
        continue;
      }
      // When a row was made known to phones is Gallery's own to say.
      if (column->is_clock())
        continue;
      auto const quoted_name = identifier(name);
      auto const other = "q." + quoted_name + "::text IS DISTINCT FROM t." + quoted_name + "::text AND NOT (" +
                         column->is_initial("q") + ")";
      if (const auto *key = rows_.key_of(name))
        reasons += " WHEN " + other + " AND NOT " + rows_.exists(*key, "q") + " THEN " +
                   literal(ReturnedRows::refers_to_nothing(*key));
      reasons += " WHEN " + other + " THEN " + literal("column \"" + name + "\" has another value now");
    }
    if (!reasons.empty())
      add(rows_.columns(), rows_.same_row_by_old_key(),
          "CASE WHEN t.tableoid IS NULL THEN " + std::string(row_is_gone) + reasons + " END");
  }

  /// What rows that stayed referred to, and lost with it.
  void list_references() {
    for (const auto &key : table_.shape->keys) {
      if (!rows_.can_refer_again(key, tables_.find(key.parent)))
        continue;
      auto const name = identifier(key.columns.front());
      add(rows_.updates(), rows_.same_row_by_old_key(),
          "CASE WHEN q." + name + " IS NULL OR NOT " + rows_.went_with(key) +
              " THEN NULL WHEN t.tableoid IS NULL THEN " + row_is_gone + " WHEN t." + name + " IS NULL THEN " +
              literal(ReturnedRows::refers_to_nothing(key)) + " WHEN t." + name + "::text IS DISTINCT FROM q." + name +
              "::text THEN " + literal("column \"" + key.columns.front() + "\" has another value now") + " END");
    }
  }

  const Returning &archive_;     // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
  const ReturnedTables &tables_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
  const ArchivedTable &table_;   // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
  ReturnedRows rows_;
  std::vector<std::string> queries_ = {};
};

} // namespace

std::vector<Step> list_steps(const Returning &archive, const ReturnedTables &tables,
                             const std::vector<SetByRevert> &values) {
  std::vector<Step> steps;
  for (const auto &table : tables.all()) {
    std::string all;
    for (const auto &query : Lister(archive, tables, table).queries(values))
      all += (all.empty() ? "" : " UNION ALL ") + query;
    if (all.empty())
      continue;
    auto const query = "SELECT " + std::to_string(archive.run) + ", " + literal(not_returned) + "::text, " +
                       literal(table.name) +
                       "::text, pg_catalog.jsonb_build_object('key'::text, x.key, "
                       "'reason'::text, x.reason) FROM (SELECT DISTINCT ON (y.key) y.key, y.reason FROM (" +
                       all + ") y WHERE y.reason IS NOT NULL ORDER BY y.key, y.place) x";
    Step step;
    step.phase = "list";
    step.kind = "facts";
    step.object = table.name;
    step.reason = "what could not come back, and why";
    step.statement = "INSERT INTO " + std::string(archived_facts) + " (run, kind, name, value) " + query;
    step.table = archived_facts;
    step.change = Change::insert;
    step.matching = "FROM (" + query + ") x";
    step.row = "x";
    steps.push_back(std::move(step));
  }
  return steps;
}

} // namespace gallery
