// Compares the database after the steps with what the plan promised.
#include "run/verify.hpp"

#include "backend/guard.hpp"
#include "backend/locks.hpp"
#include "manifest/links.hpp"
#include "readiness/checks.hpp"

#include <algorithm>
#include <tuple>

extern "C" {
#include "access/xact.h"
}

namespace gallery {

namespace {

constexpr std::array<const char *, 3> change_names = {"inserted", "updated", "deleted"};

void compare_objects(const Survey &after, const Plan &done, std::vector<std::string> &differences) {
  for (const auto &object : done.objects)
    if (after.find(*object.fact))
      differences.push_back("left over: " + std::string(manifest::name_of(object.fact->kind)) + " \"" +
                            std::string(object.fact->name) + '"');
  for (const auto &table : done.ledgers)
    if (after.has_table(table))
      differences.push_back("left over: table \"" + table + '"');
}

void compare_ledger(const Survey &after, std::size_t migrations, std::vector<std::string> &differences) {
  auto const names = manifest::immich_migrations().first(migrations);
  auto const order = executed_order(after.ledger.rows);
  for (std::size_t i = 0; i < order.size(); ++i)
    if (i >= names.size() || order[i] != names[i])
      differences.push_back("ledger: \"" + order[i] + "\" in place " + std::to_string(i + 1) + ", expected " +
                            (i < names.size() ? '"' + std::string(names[i]) + '"' : std::string("nothing")));
  for (auto name : names)
    if (std::find(order.begin(), order.end(), name) == order.end())
      differences.push_back("ledger: \"" + std::string(name) + "\" is missing");
  if (!in_name_order(after.ledger.rows))
    differences.emplace_back("ledger: rows are out of order");
}

/// The ledger of a Gallery that stays one is as it was.
void compare_rows_of_ledger(const Survey &after, const std::vector<LedgerRow> &before,
                            std::vector<std::string> &differences) {
  auto const text = [](const LedgerRow &row) { return row.name + ' ' + row.timestamp; };
  std::multiset<std::string> rows;
  for (const auto &row : after.ledger.rows)
    rows.insert(text(row));
  for (const auto &row : before)
    if (auto const found = rows.find(text(row)); found != rows.end())
      rows.erase(found);
    else
      differences.push_back("ledger: \"" + row.name + "\" is not as it was");
  for (const auto &row : rows)
    differences.push_back("ledger: \"" + row + "\" is new");
}

std::int64_t changed_rows(const RowCounters &before, const RowCounters &now, const std::string &table,
                          std::size_t change) {
  auto count = [&](const RowCounters &counters) {
    auto const found = counters.find(table);
    return found == counters.end() ? 0 : found->second.at(change);
  };
  return count(now) - count(before);
}

/// How many rows more than the steps' own a cascade or a trigger may change of a table in one way.
struct Allowance {
  bool unlimited = false;
  std::int64_t fixed = 0;
  std::set<std::pair<std::string, std::size_t>> one_for_each; // of other rows that are changed: each kind counts once
};

void allow(const SideEffect &effect, Allowance &allowance) {
  allowance.unlimited = allowance.unlimited || (!effect.one_for_each && !effect.at_most);
  allowance.fixed += effect.at_most.value_or(0);
  if (effect.one_for_each)
    allowance.one_for_each.emplace(effect.one_for_each->table, static_cast<std::size_t>(effect.one_for_each->change));
}

/// A table of the user's: in another schema, or of a name that is neither Immich's nor Gallery's.
bool is_users(const std::string &table) {
  static const std::set<std::string_view> natives = [] {
    std::set<std::string_view> names;
    for (const auto &fact : manifest::native_catalog())
      if (fact.kind == manifest::Kind::Table)
        names.insert(fact.table);
    return names;
  }();
  return table.find('.') != std::string::npos || (!natives.contains(table) && !manifest::is_gallery_table(table));
}

/// Rows changed must be the steps' own counts, plus what a step says a cascade or a trigger may do.
void compare_rows(const RowCounters &before, const RowCounters &now, const Plan &done,
                  std::vector<std::string> &differences) {
  RowCounters expected;
  std::map<std::pair<std::string, std::size_t>, Allowance> allowances;
  for (const auto &step : done.steps) {
    if (step.table.empty() || !step.rows)
      continue;
    expected[step.table][static_cast<std::size_t>(step.change)] += *step.rows;
    for (const auto &effect : step.side_effects)
      allow(effect, allowances[{std::string(effect.table), static_cast<std::size_t>(effect.change)}]);
  }
  for (const auto &[table, counts] : now)
    for (std::size_t i = 0; i < counts.size(); ++i) {
      // What others note in tables of their own takes nothing away.
      bool const elsewhere = is_users(table);
      if (elsewhere && i == static_cast<std::size_t>(Change::insert) && !expected.contains(table))
        continue;
      auto const changed = changed_rows(before, now, table, i);
      auto const promised = expected[table][i];
      auto const found = allowances.find({table, i});
      bool const more_allowed = found != allowances.end();
      auto most = promised;
      if (more_allowed) {
        most += found->second.fixed;
        for (const auto &[other, change] : found->second.one_for_each)
          most += changed_rows(before, now, other, change);
      }
      if (changed == promised || (changed > promised && more_allowed && (found->second.unlimited || changed <= most)))
        continue;
      differences.push_back(
          "table \"" + table + "\": " + std::to_string(changed) + " rows " + change_names.at(i) + ", expected " +
          (changed > promised && more_allowed ? "at most " : "") +
          std::to_string(changed > promised ? most : promised) +
          (elsewhere ? "; it is not Immich's: a key or a trigger of yours changes it with Immich's rows" : ""));
    }
}

/// Tables that stay must be where they were. What others do to tables of the user's meanwhile leaves no such lock of
/// ours.
void compare_files(const backend::Spi &spi, const Survey &after, const Before &before, const Plan &done,
                   std::vector<std::string> &differences) {
  auto const going = tables_that_go(done);
  auto const now = read_files(spi, after.schema());
  for (const auto &[oid, file] : before.files) {
    auto const found = now.find(oid);
    bool const gone = found == now.end();
    if ((gone && going.contains(file.first)) || (!gone && found->second.second == file.second))
      continue;
    if (spi.query("SELECT EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND"
                  " l.relation = " +
                  oid + "::oid AND l.mode = 'AccessExclusiveLock')")
            .at(0)[0] == "t")
      differences.push_back("table \"" + file.first + "\": " + (gone ? "dropped" : "emptied or rewritten") +
                            (is_users(file.first) ? "; it is not Immich's: a trigger of yours does it" : ""));
  }
}

/// What has gone or was overwritten is in the archive, where one was asked for: of each table at least as many rows
/// were written down as went.
void compare_archive(const RowCounters &before, const RowCounters &now, const Plan &done,
                     std::vector<std::string> &differences) {
  std::map<std::pair<std::string, Change>, std::int64_t> saved;
  std::map<std::string, std::int64_t> overwritten;
  bool archived = false;
  for (const auto &step : done.steps) {
    archived = archived || step.phase == "archive";
    if (!step.saved_table.empty())
      saved[{step.saved_table, step.saved_for}] += step.rows.value_or(0);
    if (step.change == Change::update && step.overwrites && !step.table.empty())
      overwritten[step.table] += step.rows.value_or(0);
  }
  if (!archived)
    return;
  auto const compare = [&](const std::string &table, Change change, std::int64_t count) {
    if (auto const kept = saved[{table, change}]; kept < count)
      differences.push_back("archive: " + std::to_string(kept) + " of " + std::to_string(count) + " rows of table \"" +
                            table + "\" that were " + change_names.at(static_cast<std::size_t>(change)));
  };
  for (const auto &entry : now)
    compare(entry.first, Change::remove,
            changed_rows(before, now, entry.first, static_cast<std::size_t>(Change::remove)));
  for (const auto &[table, count] : overwritten)
    compare(table, Change::update, count);
}

/// Whether another transaction made what has appeared. That needs no lock of ours for a table, a sequence, an enum or a
/// function; everything else is part of a table that is locked.
bool is_others(const backend::Spi &spi, const Survey &after, const Drift &drift) {
  using manifest::Kind;
  if (drift.what != Drift::What::extra)
    return false;
  auto const named = [&](const char *catalog, const char *prefix, const std::string &name) {
    auto const column = [&](const char *suffix) { return std::string(prefix) + suffix; };
    return "SELECT o.xmin FROM pg_catalog." + std::string(catalog) + " o WHERE o." + column("name") +
           "::text = " + backend::literal(name) + " AND o." + column("namespace") +
           " = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname::text = " +
           backend::literal(after.schema()) + ')';
  };
  std::string question;
  if (drift.kind == Kind::Table || drift.kind == Kind::Sequence)
    question = named("pg_class", "rel", drift.kind == Kind::Table ? drift.table : drift.name);
  else if (drift.kind == Kind::Enum)
    question = named("pg_type", "typ", drift.name);
  else if (drift.kind == Kind::Function)
    question = named("pg_proc", "pro", drift.name.substr(0, drift.name.find('(')));
  else
    return false;
  auto const rows = spi.query(question);
  // Looks at the session's own transactions, cannot raise.
  return !rows.empty() && std::none_of(rows.begin(), rows.end(), [](const backend::Row &row) {
    return TransactionIdIsCurrentTransactionId(static_cast<TransactionId>(std::stoul(row[0].value_or("0"))));
  });
}

/// The catalog must not differ from Immich's in any way in which it did not differ before; what other sessions made
/// meanwhile goes to `others`.
void compare_natives(const backend::Spi &spi, const Survey &after, const Before &before,
                     std::vector<std::string> &differences, std::vector<std::string> &others) {
  for (const auto &drift : compare_catalog(read_catalog(spi, after), before.migrations).drift)
    if (std::find(before.drift.begin(), before.drift.end(), drift) == before.drift.end()) {
      if (is_others(spi, after, drift))
        others.push_back(drift.text().substr(std::strlen("extra: ")));
      else
        differences.push_back(drift.text());
    }
}

} // namespace

void verify(const backend::Spi &spi, const Survey &after, const Plan &done, const Before &before) {
  std::vector<std::string> differences;
  std::vector<std::string> others;
  compare_objects(after, done, differences);
  if (before.gallery_ledger)
    compare_rows_of_ledger(after, *before.gallery_ledger, differences);
  else
    compare_ledger(after, static_cast<std::size_t>(before.migrations), differences);
  compare_natives(spi, after, before, differences, others);
  compare_files(spi, after, before, done, differences);
  // Without statistics there are no counters; the steps' own counts then stand alone.
  auto const counters = spi.query("SELECT current_setting('track_counts')").at(0)[0] == "on"
                            ? std::optional(read_counters(spi, after.schema()))
                            : std::nullopt;
  if (counters)
    compare_rows(before.counters, *counters, done, differences);
  compare_archive(before.counters, counters.value_or(before.counters), done, differences);
  if (differences.empty()) {
    if (!others.empty())
      backend::report(NOTICE, "another session made something in the schema during the run", list_lines(others),
                      "It stays as it is.");
    return;
  }
  throw backend::Refusal(
      ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
      before.gallery_ledger ? "the result would not be what the plan says, so nothing is changed"
                            : "the result would not be a stock Immich, so nothing is changed",
      list_lines(differences),
      "This is a gap in gallery_revert or a change of your own to the database. Keep this message and report it " +
          manifest::reports() + "; the database is as it was.");
}

Proven execute_proven(const backend::Spi &spi, const Survey &survey, Plan &plan, const std::vector<BrokenKey> &broken,
                      const Before &before, const Call &call) {
  Proven result;
  auto orphans = execute(spi, survey, plan, broken, call);
  auto const executed = backend::clock_milliseconds();
  Ledger ledger;
  enforce(check_ledger(spi, ledger));
  result.after = read_survey(spi, std::move(ledger));
  refuse_new_orphans(spi, result.after, orphans, call);
  verify(spi, result.after, plan, before);
  result.keys = std::move(orphans.keys);
  result.proof_milliseconds = backend::clock_milliseconds() - executed;
  return result;
}

} // namespace gallery
