// The main job, in the order of the checks: survey, checks, locks, survey again, steps, proof, report.
#include "revert/revert.hpp"

#include "backend/guard.hpp"
#include "backend/locks.hpp"
#include "backend/subtransaction.hpp"
#include "backend/write_watch.hpp"
#include "database/session.hpp"
#include "plan/own_drift.hpp"
#include "readiness/checks.hpp"
#include "readiness/situation.hpp"
#include "run/table_locks.hpp"
#include "run/verify.hpp"

#include <algorithm>

namespace gallery {

namespace {

struct FirstLook {
  backend::WriteWatch watch; // made first: what is read after it holds as long as nobody writes
  Situation now;
  std::vector<Drift> drift;
  std::vector<FoundLoss> losses;
};

backend::Refusal refuse_gallery() {
  return {ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "this is a Gallery database", "",
          "gallery_revert() repairs the order as well. Run: SELECT gallery_revert();"};
}

/// The longest part of the work, with no lock left behind: looks, checks, compares.
void look_unlocked(FirstLook &first, Locks &locks, const Call &call) {
  backend::Spi const spi;
  locks.wait_to_read(spi);
  Careful const careful(spi);
  first.now = look(spi);
  bool const is_gallery = first.now.identity.is_gallery;
  if (is_gallery && !call.reverts)
    throw refuse_gallery();
  if (call.reverts)
    enforce(check_strangers(first.now.survey, first.now.plan.strangers));
  // Of a plain Immich only the ledger is ever changed, by a repair: what has to do with Gallery is not looked at.
  if (first.now.plan.steps.empty() || is_gallery != call.reverts)
    return;
  enforce(check_plan(first.now.plan));
  enforce(check_shadows(first.now.survey));
  if (is_gallery)
    enforce(check_paths(spi, first.now.survey));
  {
    auto const as_caller = careful.as_caller();
    enforce(check_sessions(spi, call));
  }
  if (is_gallery) {
    enforce(check_dependents(spi, first.now.survey, first.now.plan));
    enforce(check_publications(spi, first.now.survey, first.now.plan));
    first.losses = losses_of(spi, first.now);
  }
  first.drift = own_drift(spi, first.now.survey, first.now.identity, first.now.plan).drift;
  enforce_blocked(check_unrecorded(first.now.identity, first.drift));
  enforce_blocked(check_keys(spi, first.now.survey, broken_keys(first.now.survey, first.now.plan, first.drift)));
}

FirstLook look_first(Locks &locks, const Call &call) {
  FirstLook first; // not in the subtransaction, where its watch could tell nothing
  without_locks(call, [&] { look_unlocked(first, locks, call); });
  return first;
}

struct Outcome {
  Situation done; // with the rows that each step changed; without steps where others had done it all in the meantime
  std::vector<Drift> drift;
  std::vector<FoundLoss> losses;
  std::int64_t locked_milliseconds = 0;
  std::int64_t proof_milliseconds = 0; // part of the above
};

/// Looks again, under the locks: what others committed before the locks were had counts. Tables that they made are
/// locked as well, and then looked at once more.
Situation look_again(const backend::Spi &spi, Locks &locks, const FirstLook &first) {
  Situation now;
  do {
    Careful const careful(spi);
    now = look(spi);
  } while (locks.take(spi, now.survey, now.plan));
  if (now.identity.is_gallery && !first.now.identity.is_gallery)
    throw refuse_gallery();
  if (!now.identity.is_gallery && first.now.identity.is_gallery)
    now.plan.steps.clear(); // somebody else has reverted it; its ledger is not this call's to repair
  return now;
}

/// Writes the archive before the locks, which takes longer than all that comes after: whoever uses the database then is
/// not kept waiting. It counts if nobody has written anything from the first look until the locks are had; otherwise it
/// is undone with the savepoint, and its steps run with the others.
void archive_early(const backend::Spi &spi, FirstLook &first, std::optional<backend::Savepoint> &savepoint,
                   const Call &call) {
  auto &plan = first.now.plan;
  if (!std::any_of(plan.steps.begin(), plan.steps.end(), [](const Step &step) { return step.phase == "archive"; }) ||
      !first.watch.nobody_wrote())
    return;
  // Of two reverts, the second would wait for the first one's schema and hold what the first one wants.
  if (spi.query("SELECT pg_try_advisory_xact_lock(hashtext('" + std::string(archive_schema) + "'))").at(0)[0] != "t")
    return;
  savepoint.emplace();
  Careful const careful(spi);
  write_archive(spi, first.now.survey, plan, call);
}

/// From the locks to the proof: looks again under the locks unless nobody wrote anything meanwhile, runs the steps,
/// verifies. Throws where anything is not as it must be.
Outcome carry_out(FirstLook first, Locks &locks, const Call &call) {
  backend::Spi const spi;
  Outcome outcome;
  Before before;
  before.counters = read_counters(spi, first.now.survey.schema());
  std::optional<backend::Savepoint> archive;
  archive_early(spi, first, archive, call);
  locks.take(spi, first.now.survey, first.now.plan);
  auto locked_since = backend::clock_milliseconds();
  bool const unchanged = first.watch.nobody_wrote();
  if (archive && unchanged) {
    archive->keep();
  } else if (archive) {
    archive.reset();
    locks.forget();
    locks.take(spi, first.now.survey, first.now.plan);
    locked_since = backend::clock_milliseconds();
    before.counters = read_counters(spi, first.now.survey.schema());
  }
  outcome.done = unchanged ? std::move(first.now) : look_again(spi, locks, first);
  auto &now = outcome.done;
  if (now.plan.steps.empty())
    return outcome;
  Careful const careful(spi);
  enforce_blocked(check_prefix(now.identity));
  if (!unchanged) {
    enforce(check_plan(now.plan));
    enforce(check_shadows(now.survey));
    if (now.identity.is_gallery) {
      enforce(check_paths(spi, now.survey));
      enforce(check_dependents(spi, now.survey, now.plan));
      enforce(check_publications(spi, now.survey, now.plan));
    }
  }
  before.drift = unchanged || now.survey.same_objects(first.now.survey)
                     ? std::move(first.drift)
                     : own_drift(spi, now.survey, now.identity, now.plan).drift;
  enforce_blocked(check_unrecorded(now.identity, before.drift));
  auto const broken = broken_keys(now.survey, now.plan, before.drift);
  enforce_blocked(check_keys(spi, now.survey, broken));
  outcome.losses = unchanged || !now.identity.is_gallery ? std::move(first.losses) : losses_of(spi, now);
  before.migrations = now.identity.native_migrations;
  before.files = read_files(spi, now.survey.schema());
  outcome.proof_milliseconds = execute_proven(spi, now.survey, now.plan, broken, before, call).proof_milliseconds;
  outcome.drift = std::move(before.drift);
  outcome.locked_milliseconds = backend::clock_milliseconds() - locked_since;
  return outcome;
}

std::string report_nothing(const Identity &identity) {
  const auto *target = choose_target(identity.native_migrations, Version());
  backend::report(NOTICE, "nothing to revert: this is an Immich database, as of Immich " + range_of(identity));
  if (!identity.missing.empty() || !identity.renamed.empty() || !repair_order(identity.native_rows).empty())
    backend::report(WARNING, "Immich will not start on this database as its ledger is", "",
                    "Run: SELECT * FROM immich_recovery_advice();");
  return target == nullptr ? std::string() : std::string(target->tag);
}

/// What Immich will report as drift, as it did before: not for gallery_revert() to change.
void report_drift(const std::vector<Drift> &drift) {
  std::vector<std::string> lines;
  for (const auto &difference : drift)
    if (difference.reported_by_immich())
      lines.push_back(difference.text());
  if (!lines.empty())
    backend::report(WARNING, "this database differed from a stock Immich before the revert, and still does",
                    list_lines(lines),
                    "Immich starts all the same and reports drift. Look at it with: immich-admin schema-check");
}

std::string seconds_text(std::int64_t milliseconds) {
  auto text = std::to_string(milliseconds / 1000) + '.' + std::to_string(1000 + milliseconds % 1000).substr(1);
  return text + " s";
}

/// What was done and what went with it, the tag to pin, and the completion notice, which is always the last.
void report_done(const Outcome &outcome) {
  const auto &now = outcome.done;
  std::size_t tables = now.plan.ledgers.size();
  for (const auto &object : now.plan.objects)
    tables += object.fact->kind == manifest::Kind::Table ? 1 : 0;
  std::int64_t restored = 0;
  std::int64_t added = 0;
  std::int64_t archived = 0;
  for (const auto &step : now.plan.steps)
    if (step.saves)
      archived += step.rows.value_or(0);
    else if (step.phase == "restore" && !step.auxiliary)
      restored += step.rows.value_or(0);
    else if (step.phase == "keep")
      added += step.rows.value_or(0);
  std::string detail;
  for (const auto &loss : outcome.losses)
    detail += (detail.empty() ? "Lost or changed:\n" : "\n") + std::to_string(loss.count) + ' ' + loss.what;
  backend::report(
      NOTICE,
      "Gallery " + (now.identity.gallery_release.empty() ? "(release not known)" : now.identity.gallery_release) +
          " is gone: " + std::to_string(now.plan.objects.size() + now.plan.ledgers.size()) + " objects, " +
          std::to_string(tables) + " tables among them; " + std::to_string(restored) +
          (restored == 1 ? " row was put back or mended" : " rows were put back or mended") +
          (added == 0
               ? ""
               : ", " + std::to_string(added) + (added == 1 ? " row was added" : " rows were added") + " for albums"),
      detail + (detail.empty() ? "" : "\n") + "The locks were held for " + seconds_text(outcome.locked_milliseconds) +
          ", the proof took " + seconds_text(outcome.proof_milliseconds) +
          " of it. Digest of the plan: " + now.plan.steps.back().digest + '.');
  if (archived > 0)
    backend::report(NOTICE,
                    "schema \"" + std::string(archive_schema) + "\" has what was removed or overwritten: " +
                        std::to_string(archived) + (archived == 1 ? " row" : " rows"),
                    "", "SELECT * FROM gallery_archive_list(); Nothing needs it: DROP SCHEMA gallery_archive CASCADE;");
  for (const auto &remark : now.plan.remarks)
    backend::report(WARNING, remark.message, remark.detail);
  backend::report(NOTICE, "pin the image tag: IMMICH_VERSION=" + std::string(now.target->tag));
  backend::report(NOTICE, completion);
}

} // namespace

std::string revert() {
  enforce(check_transaction(revert_call));
  enforce(check_token(revert_consequence));
  Locks locks(revert_call);
  auto first = look_first(locks, revert_call);
  if (!first.now.identity.is_gallery)
    return report_nothing(first.now.identity);
  auto const outcome = carry_out(std::move(first), locks, revert_call);
  if (!outcome.done.identity.is_gallery)
    return report_nothing(outcome.done.identity);
  report_drift(outcome.drift);
  if (auto const left = check_leftovers(outcome.done.survey, outcome.done.identity); left.status == Status::blocked)
    backend::report(WARNING, left.message, left.detail, left.hint);
  report_done(outcome);
  return std::string(outcome.done.target->tag);
}

std::string repair_ledger() {
  enforce(check_transaction(repair_call));
  enforce(check_token("A repair changes rows of the ledger that Immich reads at its start."));
  Locks locks(repair_call);
  auto first = look_first(locks, repair_call);
  enforce_blocked(check_prefix(first.now.identity));
  std::string tag(choose_target(first.now.identity.native_migrations, Version())->tag);
  auto const outcome = first.now.plan.steps.empty() ? Outcome{std::move(first.now), {}, {}}
                                                    : carry_out(std::move(first), locks, repair_call);
  std::vector<std::string> lines;
  for (const auto &step : outcome.done.plan.steps)
    lines.push_back(step.statement);
  if (lines.empty()) {
    backend::report(NOTICE,
                    "nothing to repair: the ledger is what Immich " + range_of(outcome.done.identity) + " expects");
  } else {
    backend::report(
        NOTICE, "repaired the ledger: " + std::to_string(lines.size()) + (lines.size() == 1 ? " change" : " changes"),
        list_lines(lines));
    backend::report(NOTICE, "pin the image tag: IMMICH_VERSION=" + tag);
  }
  return tag;
}

} // namespace gallery
