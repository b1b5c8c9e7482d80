// The decision after a failed update, from the ledger, version_history and the manifest.
#include "answers/advice.hpp"

#include "answers/advice_steps.hpp"
#include "backend/guard.hpp"
#include "readiness/checks.hpp"

#include <algorithm>

namespace gallery {

namespace {

/// The release that ran TypeORM's migrations and then this ledger's, and that Immich recommends.
constexpr const char *typeorm_bridge = "v1.132.3";

std::string plural(int count, const char *what) {
  return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
}

std::string name_at(int position) {
  return '"' + std::string(manifest::immich_migrations()[static_cast<std::size_t>(position)]) + '"';
}

/// The release that version_history says ran last, if it is one of Immich's that the manifest knows.
const manifest::ImmichRelease *last_started(const Survey &survey, const Identity &identity) {
  for (const auto &row : survey.versions) {
    auto const version = parse_version(row.version);
    if (version && is_gallery_version(*version, row.date, identity))
      continue;
    return find_release(row.version);
  }
  return nullptr;
}

std::string older_than(const manifest::ImmichRelease &wanted) {
  return "; Immich " + std::string(wanted.tag) +
         " is older than the database, and only a dump from before goes back to it";
}

Advice advise_revert(const Identity &identity, const manifest::ImmichRelease *wanted) {
  const auto *target = choose_target(identity.native_migrations, identity.immich_base);
  Advice advice;
  advice.advice = "revert_gallery";
  advice.reason = "this is a Gallery database (" +
                  (identity.gallery_release.empty() ? "release not known" : identity.gallery_release) + ", " +
                  plural(identity.fork_migrations, "migration") + " of Gallery recorded), on which Immich does not run";
  advice.pin = target == nullptr ? "" : std::string(target->tag);
  if (!identity.missing.empty()) {
    // The revert refuses a hole; only Gallery fills it.
    advice.reason += "; first Gallery has to run what it left out: " +
                     plural(static_cast<int>(identity.missing.size()), "migration") + " of Immich, from \"" +
                     identity.missing.front() + "\" on";
    advice.steps = let_gallery_finish();
    return advice;
  }
  if (wanted != nullptr && target != nullptr && parse_version(wanted->tag) < parse_version(target->tag))
    advice.reason += older_than(*wanted);
  advice.steps = revert_and_start(advice.pin);
  return advice;
}

/// Ledger rows that no release accepts although the set of migrations is right.
std::optional<Advice> advise_repair(const Identity &identity, const manifest::ImmichRelease &fits,
                                    const manifest::ImmichRelease *wanted) {
  auto const changes = repair_order(identity.native_rows);
  if (changes.empty() && identity.renamed.empty())
    return std::nullopt;
  Advice advice;
  advice.advice = "fix_forward";
  if (!identity.renamed.empty())
    advice.reason = "the ledger records \"" + std::string(identity.renamed.front().fact->name) +
                    "\", which only unreleased builds of Immich did, and every release refuses it";
  else
    advice.reason = "the ledger records \"" + changes.front().name + "\" out of order (" +
                    plural(static_cast<int>(changes.size()), "row") +
                    "), which every release refuses; the migrations themselves are all there";
  if (wanted != nullptr && wanted->migrations < identity.native_migrations)
    advice.reason += older_than(*wanted);
  advice.pin = fits.tag;
  advice.steps = run_with_token("immich_repair_migration_order") + pin_and_start(advice.pin);
  return advice;
}

/// The database has run fewer migrations than the wanted release ships.
Advice advise_older_database(const Identity &identity, const manifest::ImmichRelease &wanted,
                             const manifest::ImmichRelease *last, const manifest::ImmichRelease &fits) {
  Advice advice;
  int const pending = wanted.migrations - identity.native_migrations;
  auto const none_ran = "none of the " + plural(pending, "migration") + " that " + std::string(wanted.tag) +
                        " adds ran (the first would be " + name_at(identity.native_migrations) + ")";
  if (last != nullptr && last->tag == wanted.tag) {
    // The server recorded its start, which it does after its migrations: they were skipped.
    advice.advice = "fix_forward";
    advice.reason = std::string(wanted.tag) + " was started here, yet " + none_ran +
                    ": it ran with DB_SKIP_MIGRATIONS, or an older dump came after it";
    advice.pin = wanted.tag;
    advice.steps = stop_server() + run_migrations_again() + pin_and_start(advice.pin);
    return advice;
  }
  bool const known = last != nullptr && last->migrations == identity.native_migrations;
  if (!known && wanted.tag == fits.tag) {
    // No start of a release with this ledger is recorded, and the wanted one is what a revert to it returns.
    advice.advice = "fix_forward";
    advice.reason = none_ran + "; nothing says that an update failed here, and " + std::string(wanted.tag) +
                    ", the tag that a revert from Gallery returns for such a database, runs them when it starts";
    advice.pin = wanted.tag;
    advice.steps = stop_server() + pin_and_start(advice.pin);
    return advice;
  }
  if (!known && releases_with(identity.native_migrations).first == nullptr) {
    // What ran here was a build between releases: there is no release to go back to.
    advice.advice = "fix_forward";
    advice.pin = fits.tag;
    advice.reason = none_ran + "; no release has exactly the " + plural(identity.native_migrations, "migration") +
                    " that ran here, and " + advice.pin + " is the oldest that goes on from them";
    advice.steps = stop_server() + pin_and_start(advice.pin);
    return advice;
  }
  advice.advice = "roll_back";
  advice.pin = known ? last->tag : releases_with(identity.native_migrations).second->tag;
  advice.reason = none_ran + "; Immich runs them all in one transaction, so the failed update changed nothing and " +
                  advice.pin + " may be started again";
  advice.steps = stop_server() + pin_and_start(advice.pin);
  return advice;
}

Advice typeorm() {
  Advice advice;
  advice.advice = "fix_forward";
  advice.reason = std::string("the database is of Immich v1.131 or older, whose migrations are in the table "
                              "\"migrations\"; only v1.132.0 to "
                              "v1.136.0 can take it further, and ") +
                  typeorm_bridge + " is the one to use, before any newer release";
  advice.pin = typeorm_bridge;
  advice.steps = stop_and_preserve() + pin_and_start(typeorm_bridge);
  return advice;
}

/// A ledger on which no release starts and which no repair mends; `tag` is the one that the dump may be of.
std::optional<Advice> advise_broken(const Survey &survey, const Identity &identity, const std::string &tag) {
  bool const empty = identity.native_migrations == 0;
  // A release that is too new was started: it made its ledger and went no further.
  if (empty && survey.has_table("migrations") && survey.has_table("assets"))
    return typeorm();
  bool const emptied = empty && (survey.has_table("asset") || survey.has_table("assets") || survey.has_table("user"));
  if (!emptied && identity.missing.empty())
    return std::nullopt;
  Advice advice;
  advice.advice = "restore_backup";
  if (emptied)
    advice.reason = "the ledger is empty although Immich's tables are there, so every release begins with the first "
                    "migration and fails";
  else
    advice.reason = "migration \"" + identity.missing.front() + "\" is not recorded although later ones are (" +
                    plural(static_cast<int>(identity.missing.size()), "migration") +
                    " missing), so no release starts on this database";
  advice.pin = tag;
  advice.steps = restore_and_start(tag);
  return advice;
}

Advice decide(const Survey &survey, const Identity &identity, const std::optional<std::string> &wanted) {
  enforce(check_migrations(identity));
  // Whatever release is wanted, and be it one of Gallery's own.
  if (identity.is_gallery)
    return advise_revert(identity, wanted ? find_release(*wanted) : nullptr);
  const manifest::ImmichRelease *target = nullptr;
  if (wanted) {
    target = find_release(*wanted);
    if (target == nullptr)
      throw backend::Refusal(ERRCODE_INVALID_PARAMETER_VALUE,
                             "\"" + *wanted + "\" is not an Immich release that gallery_revert knows",
                             "It knows " + std::string(manifest::immich_releases().front().tag) + " to " +
                                 std::string(manifest::immich_releases().back().tag) + ".",
                             "Give a tag such as v2.7.5, or none: SELECT * FROM immich_recovery_advice();");
  }
  const auto *last = last_started(survey, identity);
  const auto *started = target != nullptr ? target : last;
  if (auto broken = advise_broken(survey, identity, started == nullptr ? "" : std::string(started->tag)))
    return *broken;
  const auto *fits = choose_target(identity.native_migrations, Version());
  if (auto repair = advise_repair(identity, *fits, target))
    return *repair;

  Advice advice;
  bool const asked = target != nullptr;
  if (!asked)
    target = last;
  auto const fitting = "the database has run " + plural(identity.native_migrations, "migration") +
                       " and starts with Immich " + std::string(choose_first(identity.native_migrations)->tag) +
                       " or later";
  if (target == nullptr) {
    advice.advice = "fix_forward";
    advice.reason = "version_history does not say which known release ran last; " + fitting;
    advice.pin = fits->tag;
    advice.steps = stop_server() + pin_and_start(advice.pin);
  } else if (target->migrations == identity.native_migrations) {
    advice.advice = "none";
    advice.reason = "the database is what Immich " + std::string(target->tag) +
                    " expects: " + plural(identity.native_migrations, "migration") + ", in order";
    advice.pin = target->tag;
    // The cause may still be another tag in .env.
    advice.steps = stop_server() + pin_and_start(advice.pin);
  } else if (target->migrations > identity.native_migrations) {
    advice = advise_older_database(identity, *target, last, *fits);
  } else {
    auto const ran = "migration " + name_at(target->migrations) + " ran here, which " + std::string(target->tag) +
                     " does not ship; ";
    advice.advice = asked ? "restore_backup" : "fix_forward";
    advice.pin = asked ? target->tag : fits->tag;
    advice.reason = ran + fitting + (asked ? ": without a dump from before, go on with " + std::string(fits->tag) : "");
    advice.steps = asked ? restore_and_start(advice.pin) : stop_server() + pin_and_start(advice.pin);
  }
  return advice;
}

Advice pasted(Advice advice) {
  advice.steps = chain(std::move(advice.steps));
  return advice;
}

} // namespace

Advice advise(const Survey &survey, const Identity &identity, const std::optional<std::string> &wanted) {
  return pasted(decide(survey, identity, wanted));
}

Advice advise_typeorm() {
  return pasted(typeorm());
}

} // namespace gallery
