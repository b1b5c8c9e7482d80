// Follows foreign keys from parents to children, each time with a condition that asks for the parent's rows.
#include "plan/cascades.hpp"

#include <algorithm>

namespace gallery {

namespace {

/// The columns of a key, of the row `row`, as a list in parentheses.
std::string list_of(const std::vector<std::string> &columns, const std::string &row) {
  std::string list;
  for (const auto &column : columns)
    list += (list.empty() ? "" : ", ") + row + '.' + column;
  return columns.size() == 1 ? list : '(' + list + ')';
}

struct Way {
  const Survey &survey;
  const std::vector<ActingKey> &keys;
  const std::set<std::string> &without;
  std::vector<Reached> found = {};
  std::vector<std::string> tables = {}; // from the start to here

  void follow(const std::string &table, const std::string &row, const std::string &from) {
    tables.push_back(table);
    for (const auto &key : keys) {
      if (key.parent != table || without.contains(key.table) || !survey.has_table(key.table))
        continue;
      auto const child = "g" + std::to_string(tables.size());
      auto const selected = list_of(key.parent_columns, row);
      auto const keys_of_parents = key.parent_columns.size() == 1 ? selected : selected.substr(1, selected.size() - 2);
      auto const rows = "FROM " + backend::qualified(survey.schema(), key.table) + ' ' + child + " WHERE " +
                        list_of(key.columns, child) + " IN (SELECT " + keys_of_parents + ' ' + from + ')';
      found.push_back({key.table, child, rows, key.cascades});
      if (key.cascades && std::find(tables.begin(), tables.end(), key.table) == tables.end())
        follow(key.table, child, rows);
    }
    tables.pop_back();
  }
};

} // namespace

std::vector<ActingKey> acting_keys(const backend::Spi &spi, const Survey &survey) {
  // Operators have operands of exactly one type: what is no uuid is compared as text.
  auto const columns = [](const char *relation, const char *numbers) {
    return "(SELECT string_agg(quote_ident(a.attname) || CASE WHEN a.atttypid = 'uuid'::regtype THEN '' ELSE '::text' "
           "END, chr(10) ORDER BY x.place) FROM unnest(k." +
           std::string(numbers) +
           ") WITH ORDINALITY x(number, place) JOIN pg_attribute a ON a.attnum = x.number AND a.attrelid = k." +
           relation + ")";
  };
  auto const split = [](const std::string &text) {
    std::vector<std::string> parts;
    for (std::size_t start = 0; start <= text.size();) {
      auto const end = std::min(text.find('\n', start), text.size());
      parts.push_back(text.substr(start, end - start));
      start = end + 1;
    }
    return parts;
  };
  std::vector<ActingKey> keys;
  for (const auto &row :
       spi.query("SELECT c.relname, p.relname, k.confdeltype = 'c', " + columns("conrelid", "conkey") + ", " +
                 columns("confrelid", "confkey") +
                 " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid"
                 " WHERE k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd') AND k.connamespace = " +
                 std::to_string(survey.ledger.schema_oid) + "::oid ORDER BY 1, 2, k.conname"))
    keys.push_back({row[0].value_or(""), row[1].value_or(""), split(row[3].value_or("")), split(row[4].value_or("")),
                    row[2] == "t"});
  return keys;
}

std::vector<Reached> reached_by(const Survey &survey, const std::vector<ActingKey> &keys, const std::string &table,
                                const std::string &row, const std::string &from, const std::set<std::string> &without) {
  Way way{survey, keys, without};
  way.follow(table, row, from);
  return std::move(way.found);
}

} // namespace gallery
