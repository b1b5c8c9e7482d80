// Rows of migration_overrides and of the ledger itself.
#include "plan/ledger_steps.hpp"

#include <algorithm>

namespace gallery {

using backend::array_literal;
using backend::identifier;
using backend::literal;
using backend::qualified;

namespace {

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
  step.row = identifier(table);
  step.matching = "FROM " + qualified(survey.schema(), table) + " WHERE " + condition;
  step.statement = change == Change::remove
                       ? "DELETE " + step.matching
                       : "UPDATE " + qualified(survey.schema(), table) + " SET " + set + " WHERE " + condition;
  plan.steps.push_back(std::move(step));
}

/// A step that gives a row of the ledger another time and, where `name` is there, another name.
void move_row(Plan &plan, const Survey &survey, const std::string &row, const std::string &name,
              const std::optional<std::string> &time, const std::string &reason) {
  auto const renaming = name.empty() ? "" : "name = " + literal(name);
  auto set = renaming;
  if (time)
    set += (set.empty() ? "" : ", ") + ("\"timestamp\" = " + literal(*time));
  row_step(plan, survey, survey.ledger.table, Change::update, reason, set, "name::text = " + literal(row));
  plan.steps.back().essence = "UPDATE, " + (time ? "a time, " : std::string()) + renaming + plan.steps.back().matching;
}

} // namespace

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
      std::string const released(row.fact->released_as);
      std::optional<std::string> time;
      std::erase_if(changes, [&](const TimestampChange &change) {
        bool const same = change.name == released;
        if (same)
          time = change.to;
        return same;
      });
      move_row(plan, survey, std::string(row.fact->name), released, time,
               "an unreleased name; Immich released it as the new one");
    }
  for (const auto &change : changes)
    move_row(plan, survey, change.name, "", change.to, "out of order: Immich wants the order of the names");
}

} // namespace gallery
