// What rules share: steps for rows, questions of what is there, and words of SQL.
#include "rules/rule.hpp"

#include <algorithm>

namespace gallery {

using backend::literal;
using manifest::Kind;

namespace {

Step change_rows(const std::string &table, Change change, const std::string &statement, const std::string &matching,
                 const std::string &row, const std::string &reason) {
  Step step;
  step.kind = "rows";
  step.object = table;
  step.reason = reason;
  step.table = table;
  step.change = change;
  step.matching = matching;
  step.row = row;
  step.statement = statement;
  return step;
}

} // namespace

bool Context::has(const std::string &table, std::initializer_list<const char *> columns) const {
  return std::all_of(columns.begin(), columns.end(),
                     [&](const char *column) { return survey.has_column(table, column); });
}

bool Context::has_gallery(std::string_view table, std::initializer_list<const char *> columns) const {
  auto is_found = [&](Kind kind, std::string_view name) {
    return std::any_of(objects_.begin(), objects_.end(), [&](const FoundObject &object) {
      return object.fact->kind == kind && object.fact->table == table && object.fact->name == name;
    });
  };
  if (is_found(Kind::Table, table))
    return has(std::string(table), columns);
  return std::all_of(columns.begin(), columns.end(),
                     [&](const char *column) { return is_found(Kind::Column, column); });
}

Step remove(const Context &db, const std::string &table, const std::string &alias, const std::string &condition,
            const std::string &reason) {
  auto const matching = "FROM " + db.t(table) + ' ' + alias + " WHERE " + condition;
  return change_rows(table, Change::remove, "DELETE " + matching, matching, alias, reason);
}

Step update(const Context &db, const std::string &table, const std::string &alias, const std::string &assignments,
            const std::string &others, const std::string &condition, const std::string &reason) {
  auto const where = " WHERE " + condition;
  auto const target = db.t(table) + ' ' + alias;
  auto step =
      change_rows(table, Change::update,
                  "UPDATE " + target + " SET " + assignments + (others.empty() ? "" : " FROM " + others) + where,
                  "FROM " + target + (others.empty() ? "" : ", " + others) + where, alias, reason);
  step.unsettled = step.matching;
  return step;
}

void require_type(const Context &db, const std::string &table, const std::string &column, std::string_view type) {
  auto const &found = db.survey.columns.at({table, column});
  if (found != type)
    throw not_as_made("column \"" + column + "\" of table \"" + table + "\" is \"" + found + "\", Immich makes it \"" +
                      std::string(type) + '"');
}

Step insert(const Context &db, const std::string &table, const std::string &columns, const std::string &query,
            const std::string &reason) {
  return change_rows(table, Change::insert, "INSERT INTO " + db.t(table) + " (" + columns + ") " + query,
                     "FROM (" + query + ") r", "r", reason);
}

KnownEffect at_most(const Context &db, std::string_view table, Change change, const std::string &condition) {
  auto const bound = "FROM " + db.t(table) + " x WHERE " + condition;
  auto const count = db.spi.query("SELECT pg_catalog.count(*) " + bound).at(0)[0].value_or("0");
  return {SideEffect{table, change, {}, std::stoll(count)}, bound};
}

std::string user_name(const std::string &alias) {
  return "coalesce(nullif(" + alias + ".name::text, ''::text), " + alias + ".email::text)";
}

std::string list_by_user(const Context &db, const std::string &table, const char *column,
                         const std::string &condition) {
  return "SELECT " + user_name("u") +
         " || ': ' || x.number::text AS name, x.number, 0::bigint AS part FROM (SELECT r." +
         backend::identifier(column) + " AS id, pg_catalog.count(*) AS number FROM " + db.t(table) + " r WHERE " +
         condition + " GROUP BY 1) x LEFT JOIN " + db.t("user") + " u ON u.id = x.id";
}

std::string_view form_of(const Noun &noun, std::int64_t count) {
  return count == 1 ? noun.one : noun.many;
}

std::string counted(std::int64_t count, const Noun &noun) {
  return std::to_string(count) + ' ' + std::string(form_of(noun, count));
}

std::string counted_sql(const std::string &count, const Noun &noun) {
  return count + "::text || CASE WHEN " + count + " = 1::bigint THEN ' " + std::string(noun.one) + "' ELSE ' " +
         std::string(noun.many) + "' END";
}

std::string is_one_of(const std::string &column, const std::string &keys) {
  return column + " = ANY (ARRAY(" + keys + "))";
}

std::string array_of(std::span<const std::string_view> names) {
  return backend::array_literal({names.begin(), names.end()});
}

std::string path_text(manifest::JsonPath path, char separator) {
  std::string result;
  for (auto key : path) {
    if (!result.empty())
      result += separator;
    result += key;
  }
  return result;
}

std::string path_literal(manifest::JsonPath path) {
  return literal('{' + path_text(path, ',') + '}') + "::text[]";
}

backend::Refusal not_as_made(const std::string &what) {
  return {ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "Immich's own tables are not as Immich makes them", what,
          "Put back what was changed or dropped, from a dump or with the help of immich-admin schema-check, then run "
          "gallery_revert() again."};
}

} // namespace gallery
