// gallery_revert_check(): every check as a row. Before a revert: is it ready; after one, or on any Immich: is it clean.
#include "backend/guard.hpp"
#include "revert/checks.hpp"
#include "revert/show.hpp"
#include "revert/situation.hpp"
#include "revert/verify.hpp"

namespace gallery {

namespace {

void add(backend::ResultSet &result, const Finding &finding) {
  static constexpr const char *names[] = {"ok", "warning", "blocked"};
  result.add({finding.name, names[static_cast<std::size_t>(finding.status)],
              finding.detail.empty() ? finding.message : finding.message + ":\n" + finding.detail,
              finding.hint.empty() ? backend::Field() : backend::Field(finding.hint)});
}

Finding warning_if(const std::vector<std::string> &lines, std::string name, std::string good, std::string bad,
                   std::string hint) {
  Finding finding;
  finding.name = std::move(name);
  if (lines.empty()) {
    finding.message = std::move(good);
    return finding;
  }
  finding.status = Status::warning;
  finding.message = std::move(bad);
  finding.detail = list_lines(lines);
  finding.hint = std::move(hint);
  return finding;
}

void add_drift(const backend::Spi &spi, backend::ResultSet &result, const Situation &now) {
  auto const comparison = own_drift(spi, now.survey, now.identity, now.plan);
  if (!comparison.covered) {
    add(result, warning_if({std::to_string(now.identity.native_migrations) + " migrations"}, "schema", "",
                           "Immich's schema at this migration count is not known to gallery_revert",
                           "It knows v2.5.2 and newer."));
    return;
  }
  std::vector<std::string> drift;
  std::vector<std::string> added;
  for (const auto &difference : comparison.drift)
    (difference.reported_by_immich() ? drift : added).push_back(difference.text());
  auto const name = "Immich " + range_of(now.identity);
  add(result, warning_if(drift, "schema", "the schema is that of " + name, "the schema differs from that of " + name,
                         "Immich starts all the same and reports drift. Look at it with: immich-admin schema-check"));
  add(result,
      warning_if(added, "additions", "nothing was added to Immich's schema", "something was added to Immich's schema",
                 "Immich ignores these. Nothing has to be done about what is yours."));
  add(result,
      warning_if(
          comparison.bodies, "function bodies", "Immich's functions are unchanged",
          "some of Immich's functions have other bodies",
          "Immich reports drift for these. If you did not change them, restore them with: immich-admin schema-check"));
}

/// Whether Gallery's objects and rows are gone, and whether the extension is still there, which matters for Immich's
/// backups.
void add_clean(backend::ResultSet &result, const Situation &now) {
  Finding clean;
  clean.name = "clean";
  Finding extension;
  extension.name = "extension";
  if (now.identity.is_gallery) {
    clean.status = Status::warning;
    clean.message = "this is a Gallery database (" +
                    (now.identity.gallery_release.empty() ? "release not known" : now.identity.gallery_release) +
                    "): " + std::to_string(now.plan.steps.size()) + " steps take it back to Immich " +
                    std::string(now.target->tag);
    clean.hint = "Look at them: SELECT * FROM gallery_revert_plan();";
    extension.message = "gallery_revert is installed";
  } else {
    clean.message = "nothing of Gallery's is recorded in this database";
    extension.status = Status::warning;
    extension.message = "gallery_revert is still installed: Immich's backups would ask for it, and could then only be "
                        "restored on a server "
                        "that has it";
    extension.hint = "Run: DROP EXTENSION gallery_revert;";
  }
  add(result, clean);
  add(result, extension);
}

} // namespace

void show_check(backend::ResultSet &result) {
  backend::Spi const spi;
  Ledger ledger;
  auto const found = check_ledger(spi, ledger);
  if (found.status != Status::ok) {
    add(result, found);
    return;
  }
  Situation now;
  now.survey = read_survey(spi, std::move(ledger));
  now.identity = identify(now.survey);
  if (now.identity.is_gallery) {
    add(result, check_transaction());
    add(result, check_token(revert_consequence));
  }
  add(result, found);
  auto const migrations = check_migrations(now.identity);
  add(result, migrations);
  auto const prefix = check_prefix(now.identity);
  add(result, prefix);
  if (migrations.status == Status::blocked)
    return; // what nobody knows cannot be planned for
  if (now.identity.is_gallery) {
    auto const target = check_target(now.identity, now.target);
    add(result, target);
    if (target.status == Status::blocked || prefix.status == Status::blocked)
      return;
    now.plan = make_plan(spi, now.survey, now.identity, Rows::any);
    add(result, check_ownership(spi, now.survey, now.plan));
    add(result, check_paths(spi, now.survey));
    add(result, check_sessions(spi));
    add(result, check_dependents(spi, now.survey, now.plan));
    for (const auto &remark : now.plan.remarks)
      add(result, {"data", Status::warning, 0, remark.message, remark.detail, ""});
  } else {
    find_objects(now.survey, now.identity, now.plan);
  }
  add(result, check_strangers(now.survey, now.plan));
  add_drift(spi, result, now);
  add_clean(result, now);
}

} // namespace gallery
