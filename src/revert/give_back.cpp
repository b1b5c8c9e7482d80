// The way back, in the order of a revert: survey, checks, locks, survey again, steps, proof, report.
#include "revert/give_back.hpp"

#include "backend/guard.hpp"
#include "backend/locks.hpp"
#include "backend/write_watch.hpp"
#include "database/session.hpp"
#include "plan/return_steps.hpp"
#include "readiness/checks.hpp"
#include "readiness/situation.hpp"
#include "run/table_locks.hpp"
#include "run/verify.hpp"

namespace gallery {

namespace {

struct Archived {
  Situation now;
  int run = 0;
  std::string earlier; // when it was put back already; empty: it was not
};

Archived look_at_archive(const backend::Spi &spi) {
  Archived archived;
  auto &now = archived.now;
  auto const found = look_around(spi, now);
  enforce(check_return(spi, now.survey, now.identity, archived.run));
  archived.earlier = was_returned(spi, archived.run);
  if (archived.earlier.empty())
    now.plan = make_return_plan(spi, now.survey, now.identity, found, archived.run);
  return archived;
}

std::vector<Drift> whole_drift(const backend::Spi &spi, const Situation &now) {
  return compare_catalog(read_catalog(spi, now.survey), now.identity.native_migrations).drift;
}

void check_steps(const backend::Spi &spi, const Situation &now, const std::vector<Drift> &drift) {
  enforce(check_plan(now.plan, return_plan_call));
  enforce(check_shadows(now.survey));
  enforce(check_publications(spi, now.survey, now.plan));
  enforce_blocked(check_keys(spi, now.survey, broken_keys(now.survey, now.plan, drift)));
}

std::string nothing_left(const Archived &archived) {
  auto text = "nothing to return: run " + std::to_string(archived.run) + " was put back on " + archived.earlier;
  backend::report(
      NOTICE, text, "",
      "What could not come back then is in gallery_archive.facts, of the kind \"not returned\". To try that "
      "again: DELETE FROM gallery_archive.facts WHERE kind = 'returned' AND run = " +
          std::to_string(archived.run) + "; what you have taken away since in Gallery would come back as well.");
  return text;
}

std::string rows_text(std::int64_t count) {
  return std::to_string(count) + (count == 1 ? " row" : " rows");
}

/// What did not come back, by table and reason.
std::string list_missing(const backend::Spi &spi, int run) {
  std::vector<std::string> lines;
  for (const auto &row : spi.query("SELECT f.name || ': ' || count(*) || ', ' || (f.value ->> 'reason') FROM " +
                                   std::string(archived_facts) + " f WHERE f.run = " + std::to_string(run) +
                                   " AND f.kind = " + backend::literal(not_returned) +
                                   " GROUP BY f.name, f.value ->> 'reason' ORDER BY 1"))
    lines.push_back(row[0].value_or(""));
  return list_lines(lines);
}

std::string report_back(const backend::Spi &spi, const Archived &archived, std::int64_t locked_milliseconds) {
  std::int64_t added = 0;
  std::int64_t set = 0;
  std::int64_t missing = 0;
  for (const auto &step : archived.now.plan.steps)
    if (step.phase == "return" && step.table != "session")
      (step.change == Change::insert ? added : set) += step.rows.value_or(0);
    else if (step.phase == "list" && step.object != returned && step.change == Change::insert)
      missing += step.rows.value_or(0);
  auto const run = std::to_string(archived.run);
  auto text = "run " + run + " is back: " + rows_text(added) + " put back, " + rows_text(set) + " set as they were, " +
              std::to_string(missing) + " could not come back";
  auto const list = list_missing(spi, archived.run);
  backend::report(NOTICE, text,
                  (list.empty() ? "" : "Not back:\n" + list + '\n') + "The locks were held for " +
                      std::to_string(locked_milliseconds) +
                      " ms. Digest of the plan: " + archived.now.plan.steps.back().digest + '.',
                  missing == 0 ? "Start Gallery."
                               : "Each by its key: SELECT name, value FROM gallery_archive.facts WHERE kind = 'not "
                                 "returned' AND run = " +
                                     run + "; then start Gallery.");
  return text;
}

} // namespace

std::string give_back() {
  const auto &call = return_call;
  enforce(check_transaction(call));
  enforce(check_return_token());
  Locks locks(call);
  backend::WriteWatch const watch;
  Archived first;
  std::vector<Drift> drift;
  without_locks(call, [&] {
    backend::Spi const spi;
    locks.wait_to_read(spi);
    Careful const careful(spi);
    first = look_at_archive(spi);
    if (first.now.plan.steps.empty())
      return;
    drift = whole_drift(spi, first.now);
    check_steps(spi, first.now, drift);
    auto const as_caller = careful.as_caller();
    enforce(check_sessions(spi, call));
  });
  if (first.now.plan.steps.empty())
    return nothing_left(first);
  backend::Spi const spi;
  Before before;
  before.counters = read_counters(spi, first.now.survey.schema());
  locks.take(spi, first.now.survey, first.now.plan);
  auto const locked_since = backend::clock_milliseconds();
  if (!watch.nobody_wrote()) {
    do {
      Careful const careful(spi);
      first = look_at_archive(spi);
    } while (locks.take(spi, first.now.survey, first.now.plan));
    if (first.now.plan.steps.empty())
      return nothing_left(first);
    Careful const careful(spi);
    drift = whole_drift(spi, first.now);
    check_steps(spi, first.now, drift);
  }
  auto &now = first.now;
  Careful const careful(spi);
  before.migrations = now.identity.native_migrations;
  before.files = read_files(spi, now.survey.schema());
  before.gallery_ledger = now.survey.ledger.rows;
  auto const broken = broken_keys(now.survey, now.plan, drift);
  before.drift = std::move(drift);
  execute_proven(spi, now.survey, now.plan, broken, before, call);
  return report_back(spi, first, backend::clock_milliseconds() - locked_since);
}

void show_return_plan(backend::ResultSet &result) {
  backend::Spi const spi;
  Careful const careful(spi);
  enforce(check_transaction(return_plan_call));
  auto archived = look_at_archive(spi);
  if (archived.now.plan.steps.empty()) {
    nothing_left(archived);
    return;
  }
  enforce(check_shadows(archived.now.survey));
  execute(spi, archived.now.survey, archived.now.plan, {}, return_plan_call);
  int number = 0;
  for (const auto &step : archived.now.plan.steps)
    result.add({std::to_string(++number), step.phase, step.kind, step.object, step.reason,
                step.rows ? backend::Field(std::to_string(*step.rows)) : backend::Field(), step.digest,
                step.statement});
}

} // namespace gallery
