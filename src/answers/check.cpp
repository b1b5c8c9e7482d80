// gallery_revert_check(): every check as a row. Before a revert: is it ready; after one, or on any Immich: is it clean.
#include "answers/show.hpp"
#include "backend/guard.hpp"
#include "database/session.hpp"
#include "plan/own_drift.hpp"
#include "readiness/checks.hpp"
#include "readiness/situation.hpp"
#include "rules/rules.hpp"
#include "run/table_locks.hpp"
#include "settings.hpp"

namespace gallery {

namespace {

using Findings = std::vector<Finding>;

Finding warning_if(const std::vector<std::string> &lines, std::string name, std::string good, std::string bad,
                   std::string hint) {
  return lines.empty() ? ok(std::move(name), std::move(good))
                       : warning(std::move(name), std::move(bad), list_lines(lines), std::move(hint));
}

void add_drift(const backend::Spi &spi, Findings &findings, const Situation &now) {
  auto const comparison = own_drift(spi, now.survey, now.identity, now.plan);
  if (!comparison.covered) {
    findings.push_back(warning_if({std::to_string(now.identity.native_migrations) + " migrations"}, "schema", "",
                                  "Immich's schema at this migration count is not known to gallery_revert",
                                  "It knows v2.5.2 and newer."));
    return;
  }
  // Keys of other migrations than those recorded are not to be mended.
  if (auto const newer = check_unrecorded(now.identity, comparison.drift); newer.status == Status::blocked)
    findings.push_back(newer);
  else {
    findings.push_back(check_keys(spi, now.survey, broken_keys(now.survey, now.plan, comparison.drift)));
    if (now.identity.is_gallery)
      findings.push_back(check_obstacles(spi, now.survey, now.plan, comparison.drift));
  }
  std::vector<std::string> drift;
  std::vector<std::string> added;
  for (const auto &difference : comparison.drift)
    (difference.reported_by_immich() ? drift : added).push_back(difference.text());
  auto const name = "Immich " + range_of(now.identity);
  findings.push_back(
      warning_if(drift, "schema", "the schema is that of " + name, "the schema differs from that of " + name,
                 "Immich starts all the same and reports drift. Look at it with: immich-admin schema-check"));
  findings.push_back(warning_if(added, "additions", "nothing was added to Immich's schema",
                                "something was added to Immich's schema",
                                "Immich ignores these. Nothing has to be done about what is yours."));
  findings.push_back(
      warning_if(comparison.bodies, "function bodies", "Immich's functions are unchanged",
                 "some of Immich's functions have other bodies",
                 "Immich starts all the same and reports drift. Look at them with: immich-admin schema-check"));
}

/// Whether Gallery's objects and rows are gone, and whether the extension is still there, which matters for Immich's
/// backups.
void add_clean(Findings &findings, const Situation &now) {
  if (now.identity.is_gallery) {
    findings.push_back(warning(
        "clean",
        "this is a Gallery database (" +
            (now.identity.gallery_release.empty() ? "release not known" : now.identity.gallery_release) + "): " +
            std::to_string(now.plan.steps.size()) + " steps take it back to Immich " + std::string(now.target->tag),
        "", "Look at them: SELECT * FROM gallery_revert_plan();"));
    findings.push_back(ok("extension", "gallery_revert is installed"));
    return;
  }
  findings.push_back(ok("clean", "nothing of Gallery's is recorded in this database"));
  findings.push_back(warning("extension",
                             "gallery_revert is still installed: Immich's backups would ask for it, and could then "
                             "only be restored on a server that has it",
                             "", "Run: DROP EXTENSION gallery_revert;"));
}

/// What a fork's own script may have left: at this row Immich stops at its start, whatever the ledger says.
void add_plugin(const backend::Spi &spi, Findings &findings, const Survey &survey) {
  if (!survey.has_column("plugin", "name"))
    return;
  auto const from = "FROM " + backend::qualified(survey.schema(), "plugin") + " WHERE name::text = 'gallery-core'";
  if (spi.query("SELECT EXISTS (SELECT " + from + ")").at(0)[0] != "t")
    return;
  Finding finding;
  finding.name = "plugin";
  finding.status = Status::blocked;
  finding.message = "Gallery's plugin \"gallery-core\" is still there, at which Immich stops at start";
  finding.hint = "Connected as " + quoted(survey.ledger.owner) + " (SET ROLE is not enough), run: DELETE " + from + ";";
  findings.push_back(finding);
}

/// Where there is an archive, or one is asked for.
void add_archive(Findings &findings, Finding archive) {
  if (archive.status == Status::ok && archive.message.empty())
    return;
  if (archive.status == Status::ok)
    archive.hint = "Look into it with gallery_archive_list(). Nothing needs it: DROP SCHEMA gallery_archive CASCADE;";
  findings.push_back(std::move(archive));
}

/// Sets `for_revert` where it is known whether a revert is what these findings are for.
void examine(const backend::Spi &spi, Findings &findings, bool &for_revert) {
  Ledger ledger;
  auto const found = check_ledger(spi, ledger);
  findings.push_back(found);
  if (found.status != Status::ok) {
    for_revert = false;
    return;
  }
  Careful const careful(spi); // from here on tables are touched
  Situation now;
  now.survey = read_survey(spi, std::move(ledger));
  now.identity = identify(now.survey);
  for_revert = now.identity.is_gallery;
  auto const migrations = check_migrations(now.identity);
  findings.push_back(migrations);
  auto const prefix = check_prefix(now.identity);
  findings.push_back(prefix);
  if (migrations.status == Status::blocked)
    return; // what nobody knows cannot be planned for
  if (now.identity.is_gallery) {
    auto const target = check_target(now.identity, now.target);
    findings.push_back(target);
    if (target.status == Status::blocked || prefix.status == Status::blocked)
      return;
    auto found_objects = find_objects(spi, now.survey, now.identity, is_read_by_rules);
    auto const ownership = check_ownership(now.survey, found_objects);
    auto const evidence = check_evidence(now.survey, found_objects);
    findings.push_back(ownership);
    findings.push_back(evidence);
    findings.push_back(check_shadows(now.survey));
    if (ownership.status == Status::blocked || evidence.status == Status::blocked) {
      findings.push_back(check_strangers(now.survey, found_objects.strangers));
      return; // nothing of it is looked at
    }
    auto const archive = check_archive(spi, now.survey);
    add_archive(findings, archive);
    if (archive.status == Status::blocked)
      return;
    now.plan = plan_for(spi, now.survey, now.identity, std::move(found_objects), Rows::any);
    if (auto plan = check_plan(now.plan); !settings::plan().empty())
      findings.push_back(std::move(plan));
    findings.push_back(check_lock_table(spi, now.survey, now.plan));
    findings.push_back(check_paths(spi, now.survey));
    findings.push_back(check_dependents(spi, now.survey, now.plan));
    findings.push_back(check_publications(spi, now.survey, now.plan));
    for (const auto &remark : now.plan.remarks)
      findings.push_back({"data", Status::warning, 0, remark.message, remark.detail, ""});
  } else {
    add_plugin(spi, findings, now.survey);
    add_archive(findings, check_archive(spi, now.survey));
    findings.push_back(check_leftovers(now.survey, now.identity));
    auto found_objects = find_objects(spi, now.survey, now.identity, is_read_by_rules);
    if (auto const evidence = check_evidence(now.survey, found_objects); evidence.status == Status::blocked)
      findings.push_back(evidence);
    now.plan.strangers = std::move(found_objects.strangers);
  }
  findings.push_back(check_strangers(now.survey, now.plan.strangers));
  add_drift(spi, findings, now);
  add_clean(findings, now);
}

/// What keeps from looking any further is a finding as well: the same error would end gallery_revert().
Finding cannot_look(std::string message, std::string detail, std::string hint) {
  Finding finding;
  finding.name = "look";
  finding.status = Status::blocked;
  finding.message = std::move(message);
  finding.detail = std::move(detail);
  finding.hint = std::move(hint);
  return finding;
}

} // namespace

void show_check(backend::ResultSet &result) {
  // What needs no table comes first, so that it is there whatever keeps from looking any further.
  Findings findings{check_transaction(revert_call), check_token(revert_consequence), [] {
                      backend::Spi const spi;
                      return check_sessions(spi, revert_call);
                    }()};
  auto const session = static_cast<Findings::difference_type>(findings.size());
  bool for_revert = true;
  try {
    without_locks(check_call, [&] {
      backend::Spi const spi;
      examine(spi, findings, for_revert);
    });
  } catch (const backend::Refusal &refusal) {
    findings.push_back(cannot_look(refusal.message, refusal.detail, refusal.hint));
  } catch (const backend::ServerError &error) {
    if (error.data->sqlerrcode == ERRCODE_QUERY_CANCELED || error.data->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
      throw;
    const char *const hint = backend::guard([&]() noexcept { return backend::cure_of(*error.data); });
    findings.push_back(cannot_look("this database cannot be looked at", error.what(), hint == nullptr ? "" : hint));
  }
  if (!for_revert)
    findings.erase(findings.begin(), findings.begin() + session);
  static constexpr const char *names[] = {"ok", "warning", "blocked"};
  for (const auto &finding : findings)
    result.add({finding.name, names[static_cast<std::size_t>(finding.status)],
                finding.detail.empty() ? finding.message : finding.message + ":\n" + finding.detail,
                finding.hint.empty() ? backend::Field() : backend::Field(finding.hint)});
}

} // namespace gallery
