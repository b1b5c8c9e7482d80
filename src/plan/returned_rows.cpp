// Everything comes from the table's shape as it is now and from the archive: no table is named here.
#include "plan/returned_rows.hpp"

#include "database/archive.hpp"

#include <algorithm>

namespace gallery {

using backend::identifier;
using backend::literal;

namespace {

bool contains(const std::vector<std::string> &names, const std::string &name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string join(const std::vector<std::string> &parts, const char *separator) {
  std::string result;
  for (const auto &part : parts)
    result += (result.empty() ? "" : separator) + part;
  return result;
}

/// Two values of one type: what is no uuid is compared as text.
std::string equal(const std::string &left, const std::string &right, bool uuid) {
  return uuid ? left + " = " + right : left + "::text = " + right + "::text";
}

bool is_uuid(const Shape &shape, const std::string &column) {
  const auto *found = shape.find(column);
  return found != nullptr && found->type == "uuid";
}

} // namespace

bool ReturnedRows::has_old_key() const {
  return !table_.key.empty() && std::all_of(table_.key.begin(), table_.key.end(), [&](const std::string &column) {
    return table_.shape->find(column) != nullptr;
  });
}

std::string ReturnedRows::same(const std::vector<std::string> &columns) const {
  if (columns.empty())
    return "pg_catalog.to_jsonb(t.*) = q.archived";
  std::vector<std::string> parts;
  for (const auto &column : columns)
    parts.push_back(equal("t." + identifier(column), "q." + identifier(column), is_uuid(*table_.shape, column)));
  return join(parts, " AND ");
}

const ShapeKey *ReturnedRows::key_of(const std::string &column) const {
  for (const auto &key : table_.shape->keys)
    if (key.columns.size() == 1 && key.columns.front() == column)
      return &key;
  return nullptr;
}

std::string ReturnedRows::exists(const ShapeKey &key, const std::string &row) const {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < key.columns.size(); ++i)
    parts.push_back(equal("x." + identifier(key.parent_columns.at(i)), row + '.' + identifier(key.columns[i]),
                          is_uuid(*table_.shape, key.columns[i])));
  return "EXISTS (SELECT FROM " + archive_.db.t(key.parent) + " x WHERE " + join(parts, " AND ") + ")";
}

std::string ReturnedRows::refers_to_nothing(const ShapeKey &key) {
  return "what \"" + join(key.columns, "\", \"") + "\" refers to is not in table \"" + key.parent + "\" any more";
}

std::string ReturnedRows::rows(const std::string &changes, bool empties, bool changed_only) const {
  std::string columns;
  for (const auto &column : table_.shape->columns) {
    auto const name = identifier(column.name);
    const auto *key = empties ? key_of(column.name) : nullptr;
    columns += ", " + (key != nullptr && key->empties
                           ? "CASE WHEN " + exists(*key, "p") + " THEN p." + name + " END AS " + name
                           : "p." + name);
  }
  auto const from = archive_.archived(table_.name) + " AND d.change IN (" + changes + ")" +
                    (table_.unfit.empty() ? std::string()
                                          : " AND d.ctid <> ALL (" + backend::array_literal(table_.unfit) + "::tid[])");
  // The same row may have been written down for several steps; one that went as a whole comes back as a whole.
  return "(SELECT r.key AS archived_key, r.content AS archived" + columns +
         " FROM (SELECT DISTINCT ON (coalesce(d.key, d.content)) d.key, d.content " + from + ") r CROSS JOIN LATERAL" +
         " pg_catalog.jsonb_populate_record(NULL::" + archive_.db.t(table_.name) +
         ", r.content || coalesce(r.key, '{}'::jsonb)) p" +
         (changed_only && table_.whole ? " WHERE NOT EXISTS (SELECT " + archive_.archived(table_.name) +
                                             " AND d.change IN ('table', 'delete') AND d.key = r.key)"
                                       : std::string()) +
         ") q";
}

std::vector<std::string> ReturnedRows::writable() const {
  std::vector<std::string> names;
  for (const auto &column : table_.shape->columns)
    if (!column.generated && contains(table_.content, column.name))
      names.push_back(column.name);
  return names;
}

std::optional<std::pair<std::string, std::string>> ReturnedRows::parent_column() const {
  for (const auto &key : table_.shape->keys)
    if (key.parent == table_.name && !key.empties && key.columns.size() == 1)
      return std::pair(key.columns.front(), key.parent_columns.front());
  return std::nullopt;
}

std::string ReturnedRows::conflict(const ShapeIndex &index, const std::string &row, const std::string &others) const {
  std::string keys;
  std::string same;
  for (std::size_t i = 0; i < index.expressions.size(); ++i) {
    auto const name = "k" + std::to_string(i);
    bool const uuid = std::any_of(table_.shape->columns.begin(), table_.shape->columns.end(), [&](const auto &column) {
      return column.type == "uuid" && identifier(column.name) == index.expressions[i];
    });
    keys += (i == 0 ? "" : ", ") + ("(" + index.expressions[i] + (uuid ? ") AS " : ")::text AS ") + name);
    same += (i == 0 ? "" : " AND ") + ("o." + name + " = n." + name);
  }
  auto const where = index.predicate.empty() ? std::string() : " WHERE " + index.predicate;
  return "EXISTS (SELECT FROM (SELECT " + keys + " FROM " + others + " y" + where + ") o, (SELECT " + keys +
         " FROM (SELECT " + row + ") y" + where + ") n WHERE " + same + ")";
}

std::vector<Fit> ReturnedRows::fits() const {
  std::vector<Fit> all;
  const auto &shape = *table_.shape;
  for (const auto &name : table_.content)
    if (shape.find(name) == nullptr)
      all.push_back({"coalesce(q.archived -> " + literal(name) + "::text, 'null'::jsonb) = 'null'::jsonb",
                     "there is no column \"" + name + "\" now"});
  for (const auto &column : shape.columns)
    if (column.required && !column.generated) {
      if (contains(table_.content, column.name))
        all.push_back(
            {"q." + identifier(column.name) + " IS NOT NULL", "column \"" + column.name + "\" needs a value"});
      else if (column.initial.empty())
        all.push_back({"false", "column \"" + column.name + "\" needs a value"});
    }
  for (const auto &rule : kept_out())
    if (rule.table == table_.name)
      all.push_back({"NOT " + rule.condition(archive_), std::string(rule.reason)});
  for (const auto &key : shape.keys) {
    bool const written = std::all_of(key.columns.begin(), key.columns.end(),
                                     [&](const std::string &column) { return contains(table_.content, column); });
    if (!written || (key.empties && key.columns.size() == 1))
      continue;
    std::string empty;
    for (const auto &column : key.columns)
      empty += "q." + identifier(column) + " IS NULL OR ";
    auto const parent = parent_column();
    all.push_back({"(" + empty + exists(key, "q") + ")", refers_to_nothing(key),
                   parent && key.parent == table_.name && key.columns.front() == parent->first});
  }
  for (const auto &check : shape.checks)
    all.push_back({"(SELECT (" + check + ") FROM (SELECT q.*) y) IS NOT FALSE", "the table's checks refuse it now"});
  for (const auto &index : shape.unique)
    all.push_back({"NOT " + conflict(index, "q.*", archive_.db.t(table_.name)),
                   "there is another one now that \"" + index.name + "\" lets be only once"});
  return all;
}

std::string ReturnedRows::why_not() const {
  std::string gone;
  for (const auto &fit : fits())
    gone += " WHEN NOT " + fit.condition + " THEN " + literal(fit.reason);
  std::string there;
  std::string without;
  for (const auto &column : table_.shape->columns) {
    if (!contains(table_.content, column.name) || column.is_clock())
      continue;
    auto const name = identifier(column.name);
    if (const auto *key = key_of(column.name); key != nullptr && key->empties)
      without += " WHEN t." + name + " IS NULL AND q.archived ->> " + literal(column.name) +
                 "::text IS NOT NULL THEN " + literal("it is back, but " + refers_to_nothing(*key));
    there += (there.empty() ? "" : " OR ") + ("t." + name + "::text IS DISTINCT FROM q." + name + "::text");
  }
  return "CASE WHEN t.tableoid IS NULL THEN CASE" + gone + (gone.empty() ? " WHEN true THEN " : " ELSE ") +
         "'something in this database kept it out' END" +
         (there.empty() ? "" : " WHEN " + there + " THEN 'another row with its key is there now'") + without + " END";
}

std::string ReturnedRows::allows(const std::map<std::string, std::string> &assigned) const {
  std::string row;
  for (const auto &column : table_.shape->columns) {
    auto const value = assigned.find(column.name);
    row +=
        (row.empty() ? "" : ", ") + (value == assigned.end() ? "t." + identifier(column.name)
                                                             : "(" + value->second + ") AS " + identifier(column.name));
  }
  std::string conditions;
  for (const auto &check : table_.shape->checks)
    conditions += " AND (SELECT (" + check + ") FROM (SELECT " + row + ") y) IS NOT FALSE";
  for (const auto &index : table_.shape->unique)
    if (std::any_of(assigned.begin(), assigned.end(),
                    [&](const auto &entry) { return index.columns.contains(entry.first); }))
      conditions +=
          " AND NOT " +
          conflict(index, row, "(SELECT b.* FROM " + archive_.db.t(table_.name) + " b WHERE b.ctid <> t.ctid)");
  return conditions;
}

bool ReturnedRows::can_refer_again(const ShapeKey &key, const ArchivedTable *parent) const {
  return (table_.whole || table_.updates) && has_old_key() && key.empties && key.columns.size() == 1 &&
         parent != nullptr && parent->whole && contains(table_.content, key.columns.front());
}

std::string ReturnedRows::went_with(const ShapeKey &key) const {
  return "EXISTS (SELECT " + archive_.archived(key.parent) + " AND d.change IN ('table', 'delete') AND d.content ->> " +
         literal(key.parent_columns.front()) + "::text = q." + identifier(key.columns.front()) + "::text)";
}

bool can_set(const Returning &archive, const ArchivedTable *table) {
  return table != nullptr && table->missing.empty() && table->updates && ReturnedRows(archive, *table).has_old_key();
}

} // namespace gallery
