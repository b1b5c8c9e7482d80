// One statement for all objects of a kind, or for all parts of a table.
#include "plan/drops.hpp"

#include "rules/rules.hpp"

#include <algorithm>

namespace gallery {

using backend::identifier;
using backend::qualified;
using manifest::Kind;

namespace {

std::string join(const std::vector<std::string> &parts, const char *separator = ", ") {
  std::string result;
  for (const auto &part : parts)
    result += (result.empty() ? "" : separator) + part;
  return result;
}

/// The one name, or how many there are; the statement names them all.
std::string counted(const std::vector<std::string> &names, const char *plural) {
  return names.size() == 1 ? names.front() : std::to_string(names.size()) + ' ' + plural;
}

void add(Plan &plan, std::string phase, Kind kind, std::string object, std::string reason, std::string statement) {
  Step step;
  step.phase = std::move(phase);
  step.kind = manifest::name_of(kind);
  step.object = std::move(object);
  step.reason = std::move(reason);
  step.statement = std::move(statement);
  plan.steps.push_back(std::move(step));
}

/// One DROP for all objects of a kind: a single list, so that keys between them are no obstacle.
void drop_list(const Survey &survey, Plan &plan, const char *phase, Kind kind, const std::vector<std::string> &names,
               const char *plural, const char *reason) {
  std::vector<std::string> list;
  list.reserve(names.size());
  for (const auto &name : names) {
    auto const arguments = std::min(name.find('('), name.size());
    list.push_back(qualified(survey.schema(), name.substr(0, arguments)) + name.substr(arguments));
  }
  static const std::map<Kind, std::string> commands = {
      {Kind::Table, "DROP TABLE "}, {Kind::Index, "DROP INDEX "}, {Kind::Function, "DROP FUNCTION "}};
  if (list.empty())
    return;
  add(plan, phase, kind, counted(names, plural), reason, commands.at(kind) + join(list) + " RESTRICT");
  if (kind == Kind::Table)
    plan.steps.back().dropped = names;
}

/// One ALTER TABLE for each table with all that is dropped from it.
void alter_tables(const Survey &survey, Plan &plan, const char *phase, Kind kind,
                  const std::map<std::string, std::vector<std::string>> &parts, const char *reason) {
  for (const auto &[table, names] : parts) {
    std::vector<std::string> actions;
    actions.reserve(names.size());
    for (const auto &name : names)
      actions.push_back((kind == Kind::Column ? "DROP COLUMN " : "DROP CONSTRAINT ") + identifier(name) + " RESTRICT");
    add(plan, phase, kind, table, reason, "ALTER TABLE " + qualified(survey.schema(), table) + ' ' + join(actions));
    if (kind == Kind::Column)
      plan.steps.back().columns = names;
  }
}

bool is_native(const FoundObject &object, const std::set<std::string_view> &fork_tables) {
  return !fork_tables.contains(object.fact->table);
}

void drop_triggers(const Survey &survey, Plan &plan, const std::set<std::string_view> &fork_tables) {
  for (const auto &object : plan.objects)
    if (object.fact->kind == Kind::Trigger && is_native(object, fork_tables)) {
      std::string const table(object.fact->table);
      std::string const name(object.fact->name);
      add(plan, "triggers", Kind::Trigger, name + " on " + table, "writes to Gallery's tables",
          "DROP TRIGGER " + identifier(name) + " ON " + qualified(survey.schema(), table) + " RESTRICT");
    }
}

} // namespace

void drop_first(const Survey &survey, const Identity &identity, Plan &plan) {
  std::set<std::string_view> fork_tables;
  for (const auto &object : plan.objects)
    if (object.fact->kind == Kind::Table)
      fork_tables.insert(object.fact->name);
  drop_triggers(survey, plan, fork_tables);
  std::vector<std::string> indexes;
  std::map<std::string, std::vector<std::string>> constraints; // by native table
  std::vector<std::string> tables;
  for (const auto &object : plan.objects) {
    std::string const table(object.fact->table);
    std::string const name(object.fact->name);
    bool const native = is_native(object, fork_tables);
    if (object.fact->kind == Kind::Table && !is_read_by_rules(*object.fact))
      tables.push_back(name);
    else if (object.fact->kind == Kind::Constraint && native)
      constraints[table].push_back(name);
    else if (object.fact->kind == Kind::Index && native && !survey.relations.at(name).constraint.empty())
      constraints[table].push_back(survey.relations.at(name).constraint);
    else if (object.fact->kind == Kind::Index && native)
      indexes.push_back(name);
  }
  for (const auto &row : identity.renamed)
    for (const auto *index : row.ahead)
      indexes.emplace_back(index->name);
  tables.insert(tables.end(), plan.ledgers.begin(), plan.ledgers.end());
  drop_list(survey, plan, "drop", Kind::Index, indexes, "indexes", "Gallery's indexes on Immich's tables");
  alter_tables(survey, plan, "drop", Kind::Constraint, constraints, "Gallery's keys on Immich's table");
  drop_list(survey, plan, "drop", Kind::Table, tables, "tables", "Gallery's tables, with their rows");
}

void drop_last(const Survey &survey, Plan &plan) {
  std::map<std::string, std::vector<std::string>> columns; // by native table
  std::vector<std::string> tables;
  std::vector<std::string> functions;
  for (const auto &object : plan.objects) {
    std::string const name(object.fact->name);
    if (object.fact->kind == Kind::Table && is_read_by_rules(*object.fact))
      tables.push_back(name);
    else if (object.fact->kind == Kind::Column)
      columns[std::string(object.fact->table)].push_back(name);
    else if (object.fact->kind == Kind::Function)
      functions.push_back(name);
  }
  alter_tables(survey, plan, "columns", Kind::Column, columns, "Gallery's columns on Immich's table");
  drop_list(survey, plan, "columns", Kind::Table, tables, "tables", "Gallery's tables that were read until here");
  drop_list(survey, plan, "columns", Kind::Function, functions, "functions", "Gallery's functions");
}

} // namespace gallery
