// Builds the plan: the steps in their order, row counts and locks.
#include "plan/plan.hpp"

#include "plan/archive_steps.hpp"
#include "plan/digest.hpp"
#include "plan/drops.hpp"
#include "plan/ledger_steps.hpp"
#include "rules/rules.hpp"
#include "settings.hpp"

namespace gallery {

using backend::qualified;
using manifest::Kind;

namespace {

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
void look_at_rows(const backend::Spi &spi, const Survey &survey, std::vector<Step> &steps, Rows rows) {
  std::string questions;
  std::vector<Step *> asked;
  for (auto &step : steps)
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
  for (const auto &step : steps)
    if (!step.matching.empty() && !step.auxiliary && !idle.contains(&step))
      busy.insert(step.phase);
  std::vector<Step> left;
  for (auto &step : steps)
    if (!idle.contains(&step) && (!step.auxiliary || busy.contains(step.phase)))
      left.push_back(std::move(step));
  steps = std::move(left);
}

} // namespace

/// A key or a trigger of the user's own that waits for the commit leaves its table with events that are not done, and
/// such a table cannot be altered.
void put_checks_first(const Survey &survey, Plan &plan) {
  if (!survey.deferrable || plan.steps.empty())
    return;
  Step step;
  step.phase = "triggers";
  step.kind = "setting";
  step.object = "deferred constraints";
  step.reason = "checks that wait for the commit would be in the way";
  step.statement = "SET CONSTRAINTS ALL IMMEDIATE";
  plan.steps.insert(plan.steps.begin(), std::move(step));
}

Plan make_plan(const backend::Spi &spi, const Survey &survey, const Identity &identity, Evidence found, Rows rows) {
  Plan plan;
  plan.objects = std::move(found.objects);
  plan.ledgers = std::move(found.ledgers);
  plan.strangers = std::move(found.strangers);
  drop_first(survey, identity, plan);
  if (identity.is_gallery) {
    auto wanted = apply_rules(Context(spi, survey, identity, plan.objects));
    std::move(wanted.steps.begin(), wanted.steps.end(), std::back_inserter(plan.steps));
    plan.remarks = std::move(wanted.remarks);
    plan.premises = std::move(wanted.premises);
    plan.restored = std::move(wanted.restored);
  }
  drop_last(survey, plan);
  clean_ledgers(survey, identity, plan);
  if (rows != Rows::unasked)
    look_at_rows(spi, survey, plan.steps, rows);
  put_checks_first(survey, plan);
  if (settings::archives() && identity.is_gallery && !plan.steps.empty()) {
    auto archive = archive_steps(spi, survey, identity, plan);
    look_at_rows(spi, survey, archive, rows);
    archive_first(plan, std::move(archive));
  }
  add_digests(spi, plan.steps);
  return plan;
}

std::set<std::string> tables_that_go(const Plan &plan) {
  std::set<std::string> tables(plan.ledgers.begin(), plan.ledgers.end());
  for (const auto &object : plan.objects)
    if (object.fact->kind == Kind::Table)
      tables.emplace(object.fact->name);
  return tables;
}

std::vector<Oid> relations_to_lock(const Survey &survey, const Plan &plan) {
  std::set<Oid> oids;
  auto take = [&](const std::string &table) {
    auto relation = survey.relations.find(table);
    if (relation != survey.relations.end() && survey.has_table(table))
      oids.insert(relation->second.oid);
  };
  for (const auto &table : manifest::native_tables())
    take(table);
  for (const auto &object : plan.objects)
    if (object.fact->kind == Kind::Table)
      oids.insert(object.oid);
  oids.insert(survey.ledger.oid);
  for (const auto &table : plan.ledgers)
    take(table);
  for (const auto &step : plan.steps)
    take(step.table);
  return {oids.begin(), oids.end()};
}

} // namespace gallery
