// Locks, steps and proof, with a look at the catalog on either side.
#include "run/rehearsal.hpp"

#include "backend/local_settings.hpp"
#include "database/fingerprint.hpp"
#include "readiness/checks.hpp"
#include "run/table_locks.hpp"
#include "run/verify.hpp"

namespace gallery {

namespace {

Fingerprints read_fingerprints(const backend::Spi &spi, const std::string &schema) {
  backend::LocalSettings settings;
  for (const auto &[name, value] : catalog_settings())
    settings.set(name, value);
  Fingerprints things;
  for (const auto &row : spi.query(fingerprints_sql(schema)))
    things.emplace_back(row[0].value_or(""), row[1].value_or(""));
  return things;
}

} // namespace

Rehearsal rehearse(const backend::Spi &spi, Situation &now, const std::vector<Drift> &drift, const Call &call) {
  Locks(call).take(spi, now.survey, now.plan);
  Rehearsal result;
  result.before = read_fingerprints(spi, now.survey.schema());
  result.doubtful = meddled_with(spi, now.survey);
  Before before;
  before.migrations = now.identity.native_migrations;
  before.drift = drift;
  before.counters = read_counters(spi, now.survey.schema());
  before.files = read_files(spi, now.survey.schema());
  auto const broken = broken_keys(now.survey, now.plan, drift);
  auto done = execute_proven(spi, now.survey, now.plan, broken, before, call);
  result.after = read_fingerprints(spi, done.after.schema());
  result.ledger = done.after.ledger.rows;
  result.keys = std::move(done.keys);
  return result;
}

} // namespace gallery
