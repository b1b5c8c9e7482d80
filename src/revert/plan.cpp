// Builds the plan: Gallery's objects by evidence, the steps in their order, row counts and locks.
#include "revert/plan.hpp"

#include "rules/rules.hpp"

#include <algorithm>

extern "C" {
#include "catalog/pg_class.h"
}

namespace gallery {

using backend::array_literal;
using backend::identifier;
using backend::literal;
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

/// What goes before the rules: Gallery's indexes, which would only slow row changes down; keys from Immich's tables to
/// Gallery's; Gallery's tables but those that rules read.
void drop_first(const Survey &survey, const Identity &identity, Plan &plan,
                const std::set<std::string_view> &fork_tables) {
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

/// What goes after the rules: the tables and columns that they read, and functions.
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

/// Override rows of everything that Gallery's recorded migrations made, also of what is no longer there, and of what
/// goes with a row of an unreleased build.
std::vector<std::string> override_rows(const Survey &survey, const Identity &identity) {
  std::set<std::string> names;
  for (const auto &fact : manifest::gallery_objects())
    if (identity.recorded(fact.migration))
      names.insert(manifest::override_name(fact.kind, fact.name));
  for (const auto &row : identity.renamed)
    for (const auto *index : row.ahead)
      names.insert(manifest::override_name(index->kind, index->name));
  std::vector<std::string> present;
  std::set_intersection(names.begin(), names.end(), survey.overrides.begin(), survey.overrides.end(),
                        std::back_inserter(present));
  return present;
}

void row_step(Plan &plan, const Survey &survey, const std::string &table, Change change, const std::string &reason,
              const std::string &set, const std::string &condition) {
  Step step;
  step.phase = "ledger";
  step.kind = "rows";
  step.object = table;
  step.table = table;
  step.reason = reason;
  step.change = change;
  step.matching = "FROM " + qualified(survey.schema(), table) + " WHERE " + condition;
  step.statement = change == Change::remove
                       ? "DELETE " + step.matching
                       : "UPDATE " + qualified(survey.schema(), table) + " SET " + set + " WHERE " + condition;
  plan.steps.push_back(std::move(step));
}

void clean_ledgers(const Survey &survey, const Identity &identity, Plan &plan) {
  if (auto names = override_rows(survey, identity); !names.empty())
    row_step(plan, survey, "migration_overrides", Change::remove, "overrides of objects that are gone", "",
             "name::text = ANY (" + array_literal(names) + ")");
  std::vector<std::string> gone = identity.fork_rows;
  for (const auto &row : identity.renamed)
    if (row.action != RenamedRow::Action::rename)
      gone.emplace_back(row.fact->name);
  if (!gone.empty())
    row_step(plan, survey, survey.ledger.table, Change::remove, "migrations of Gallery, at which Immich stops at start",
             "", "name::text = ANY (" + array_literal(gone) + ")");
  // A row under a new name gets its new time in the same statement: to a plan, the new name is not there yet.
  auto changes = repair_order(identity.native_rows);
  for (const auto &row : identity.renamed)
    if (row.action == RenamedRow::Action::rename) {
      std::string set = "name = " + literal(std::string(row.fact->released_as));
      std::erase_if(changes, [&](const TimestampChange &change) {
        bool const same = change.name == row.fact->released_as;
        if (same)
          set += ", \"timestamp\" = " + literal(change.to);
        return same;
      });
      row_step(plan, survey, survey.ledger.table, Change::update,
               "an unreleased name; Immich released it as the new one", set,
               "name::text = " + literal(std::string(row.fact->name)));
    }
  for (const auto &change : changes)
    row_step(plan, survey, survey.ledger.table, Change::update, "out of order: Immich wants the order of the names",
             "\"timestamp\" = " + literal(change.to), "name::text = " + literal(change.name));
}

/// What to ask about the rows of a step, as an SQL expression; empty where there is nothing to ask.
std::string question_of(const Survey &survey, const Step &step, Rows rows) {
  if (!step.matching.empty())
    return rows == Rows::any ? "EXISTS (SELECT " + step.matching + ")" : "(SELECT count(*) " + step.matching + ")";
  std::string sum;
  if (rows == Rows::counted)
    for (const auto &table : step.dropped)
      sum += (sum.empty() ? "" : " + ") + ("(SELECT count(*) FROM " + qualified(survey.schema(), table) + ")");
  return sum;
}

/// Asks about the rows of all steps in one statement, and leaves out the steps that would change none.
void look_at_rows(const backend::Spi &spi, const Survey &survey, Plan &plan, Rows rows) {
  std::string questions;
  std::vector<Step *> asked;
  for (auto &step : plan.steps)
    if (auto const question = question_of(survey, step, rows); !question.empty()) {
      questions += (asked.empty() ? "SELECT " : ", ") + question;
      asked.push_back(&step);
    }
  if (asked.empty())
    return;
  auto const answer = spi.query(questions).at(0);
  std::set<const Step *> idle;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    auto const text = answer.at(i).value_or("0");
    if (rows == Rows::counted)
      asked[i]->rows = std::stoll(text);
    if (!asked[i]->matching.empty() && (text == "f" || text == "0"))
      idle.insert(asked[i]);
  }
  std::set<std::string> busy;
  for (const auto &step : plan.steps)
    if (!step.matching.empty() && !step.auxiliary && !idle.contains(&step))
      busy.insert(step.phase);
  std::vector<Step> left;
  for (auto &step : plan.steps)
    if (!idle.contains(&step) && (!step.auxiliary || busy.contains(step.phase)))
      left.push_back(std::move(step));
  plan.steps = std::move(left);
}

/// A key or a trigger of the user's own that waits for the commit leaves its table with events that are not done, and
/// such a table cannot be altered.
void put_checks_first(Plan &plan) {
  Step step;
  step.phase = "triggers";
  step.kind = "setting";
  step.object = "deferred constraints";
  step.reason = "checks that wait for the commit would be in the way";
  step.statement = "SET CONSTRAINTS ALL IMMEDIATE";
  plan.steps.insert(plan.steps.begin(), std::move(step));
}

} // namespace

Plan make_plan(const backend::Spi &spi, const Survey &survey, const Identity &identity, Evidence found, Rows rows) {
  Plan plan;
  plan.objects = std::move(found.objects);
  plan.ledgers = std::move(found.ledgers);
  plan.strangers = std::move(found.strangers);
  std::set<std::string_view> fork_tables;
  for (const auto &object : plan.objects)
    if (object.fact->kind == Kind::Table)
      fork_tables.insert(object.fact->name);

  drop_triggers(survey, plan, fork_tables);
  drop_first(survey, identity, plan, fork_tables);
  if (identity.is_gallery) {
    auto wanted = apply_rules(Context(spi, survey, identity, plan.objects));
    std::move(wanted.steps.begin(), wanted.steps.end(), std::back_inserter(plan.steps));
    plan.remarks = std::move(wanted.remarks);
    plan.restored = std::move(wanted.restored);
  }
  drop_last(survey, plan);
  clean_ledgers(survey, identity, plan);
  look_at_rows(spi, survey, plan, rows);
  if (survey.deferrable && !plan.steps.empty())
    put_checks_first(plan);
  return plan;
}

std::vector<Oid> relations_to_lock(const Survey &survey, const Plan &plan) {
  std::set<Oid> oids;
  auto take = [&](const std::string &table) {
    auto relation = survey.relations.find(table);
    if (relation != survey.relations.end() && survey.has_table(table))
      oids.insert(relation->second.oid);
  };
  for (const auto &fact : manifest::native_catalog())
    if (fact.kind == Kind::Table)
      take(std::string(fact.table));
  for (const auto &object : plan.objects)
    if (object.fact->kind == Kind::Table)
      oids.insert(object.oid);
  oids.insert(survey.ledger.oid);
  for (const auto &table : plan.ledgers)
    take(table);
  return {oids.begin(), oids.end()};
}

} // namespace gallery
