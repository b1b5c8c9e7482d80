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

/// What tells a row of the archive from all others.
std::string id_of(const std::string &row) {
  return "coalesce(" + row + '.' + archived_key + ", " + row + '.' + archived_content + ")";
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

std::string ReturnedRows::same_row() const {
  return same(!is_written(table_.shape->primary) && has_old_key() ? table_.key : table_.shape->primary);
}

bool ReturnedRows::is_written(const std::vector<std::string> &columns) const {
  return std::all_of(columns.begin(), columns.end(),
                     [&](const std::string &column) { return contains(table_.content, column); });
}

std::string ReturnedRows::same(const std::vector<std::string> &columns) const {
  if (columns.empty())
    return "pg_catalog.to_jsonb(t.*) = q." + std::string(archived_content);
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

std::string ReturnedRows::refers(const ShapeKey &key, const std::string &parent, const std::string &row) const {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < key.columns.size(); ++i)
    parts.push_back(equal(parent + '.' + identifier(key.parent_columns.at(i)), row + '.' + identifier(key.columns[i]),
                          is_uuid(*table_.shape, key.columns[i])));
  return join(parts, " AND ");
}

std::string ReturnedRows::exists(const ShapeKey &key, const std::string &row) const {
  return "EXISTS (SELECT FROM " + archive_.db.t(key.parent) + " x WHERE " + refers(key, "x", row) + ")";
}

std::string ReturnedRows::refers_to_nothing(const ShapeKey &key) {
  return "what \"" + join(key.columns, "\", \"") + "\" refers to is not in table \"" + key.parent + "\" any more";
}

std::string ReturnedRows::rows(const std::string &changes, bool empties, bool changed_only) const {
  std::string columns;
  for (const auto &column : table_.shape->columns) {
    auto const name = identifier(column.name);
    const auto *key = empties ? key_of(column.name) : nullptr;
    columns += ", ";
    if (key != nullptr && key->empties)
      columns += "CASE WHEN " + exists(*key, "p") + " THEN p." + name + " END AS " + name;
    else if (column.required && column.type == "jsonb") // what is empty there was a JSON null
      columns += "coalesce(p." + name + ", r.content -> " + literal(column.name) + "::text) AS " + name;
    else
      columns += "p." + name;
  }
  auto const from = archive_.archived(table_.name) + " AND d.change IN (" + changes + ")" +
                    (table_.unfit.empty() ? std::string()
                                          : " AND d.ctid <> ALL (" + backend::array_literal(table_.unfit) + "::tid[])");
  // The same row may have been written down for several steps; one that went as a whole comes back as a whole.
  return "(SELECT r.key AS " + std::string(archived_key) + ", r.content AS " + archived_content + columns +
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

bool ReturnedRows::is_to_itself(const ShapeKey &key) const {
  return key.parent == table_.name && is_written(key.columns) && !(key.empties && key.columns.size() == 1);
}

std::string ReturnedRows::without_twins(std::string base) const {
  auto indexes = table_.shape->unique;
  if (const auto &primary = table_.shape->primary; is_written(primary) && primary != table_.key) {
    indexes.emplace_back();
    for (const auto &column : primary)
      indexes.back().expressions.push_back(identifier(column));
  }
  int number = 0;
  for (const auto &index : indexes) {
    auto const place = identifier("gallery_archive.place" + std::to_string(++number));
    auto const looks = index.predicate.empty() ? std::string("true") : "(" + index.predicate + ") IS TRUE";
    std::string keys = looks;
    std::string counts = looks;
    for (const auto &expression : index.expressions) {
      keys += ", (" + expression + ")::text";
      counts += index.nulls_equal ? "" : " AND (" + expression + ") IS NOT NULL";
    }
    base = "FROM (SELECT q.*, pg_catalog.row_number() OVER (PARTITION BY " + keys + " ORDER BY " + id_of("q") +
           ") AS " + place + ' ' + base + ") q WHERE (q." + place + " = 1::bigint OR NOT (" + counts + "))";
  }
  return base;
}

std::string ReturnedRows::with_parents(const std::string &base) const {
  std::string alone;
  std::string child;
  for (const auto &key : table_.shape->keys) {
    if (!is_to_itself(key))
      continue;
    std::string given;
    for (const auto &column : key.columns)
      given += "b." + identifier(column) + " IS NOT NULL AND ";
    alone += (alone.empty() ? "(" : " OR (") + given + "NOT " + exists(key, "b") +
             " AND NOT EXISTS (SELECT FROM base x WHERE " + refers(key, "x", "b") + "))";
    child += (child.empty() ? "(" : " OR (") + refers(key, "p", "b") + ")";
  }
  if (alone.empty())
    return base;
  // From those whose parents are nowhere on to all that belong to them; rows may belong to each other, or to
  // themselves.
  return "FROM (WITH RECURSIVE base AS (SELECT q.* " + base + "), lost AS (SELECT " + id_of("b") +
         " AS id FROM base b WHERE " + alone + " UNION SELECT " + id_of("b") + " FROM lost l JOIN base p ON " +
         id_of("p") + " = l.id JOIN base b ON " + child +
         ") SELECT b.* FROM base b WHERE NOT EXISTS (SELECT FROM lost l WHERE l.id = " + id_of("b") + ")) q";
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
    same += (i == 0 ? "" : " AND ") + ("o." + name + (index.nulls_equal ? " IS NOT DISTINCT FROM n." : " = n.") + name);
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
      all.push_back({"coalesce(q." + std::string(archived_content) + " -> " + literal(name) +
                         "::text, 'null'::jsonb) = 'null'::jsonb",
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
    if (!is_written(key.columns) || (key.empties && key.columns.size() == 1))
      continue;
    std::string empty;
    for (const auto &column : key.columns)
      empty += "q." + identifier(column) + " IS NULL OR ";
    all.push_back({"(" + empty + exists(key, "q") + ")", refers_to_nothing(key), is_to_itself(key)});
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
      without += " WHEN t." + name + " IS NULL AND q." + archived_content + " ->> " + literal(column.name) +
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
