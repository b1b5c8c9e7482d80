// The loop over the steps, what keeps rows from them, and the server's row counters.
#include "run/execute.hpp"

#include "backend/guard.hpp"
#include "backend/local_settings.hpp"
#include "backend/locks.hpp"
#include "readiness/checks.hpp"
#include "settings.hpp"

#include <algorithm>

extern "C" {
#include "catalog/pg_trigger.h"
}

namespace gallery {

namespace {

std::string meddler_hint(const Call &call) {
  return "A rule, a trigger or a child table that is not Immich's keeps them, or Immich's function updated_at() has "
         "another body than Immich gives it: gallery_revert_check() names it. Drop it, or put the body back, " +
         call.again() + '.';
}

/// How often, in milliseconds, a long run says where it is, so that nobody thinks that it hangs.
constexpr std::int64_t report_every = 5000;

} // namespace

std::set<std::string> meddled_with(const backend::Spi &spi, const Survey &survey) {
  std::vector<std::string> triggers;
  for (const auto &fact : manifest::native_catalog())
    if (fact.kind == manifest::Kind::Trigger)
      triggers.emplace_back(fact.name);
  // All of Immich's that run before a row call this one, which lets every row pass: as long as its body is Immich's.
  constexpr const char *harmless = "updated_at";
  constexpr std::size_t digest_length = 32;
  std::vector<std::string> digests;
  for (const auto &fact : manifest::native_catalog())
    if (fact.kind == manifest::Kind::Function && fact.name == std::string(harmless) + "()")
      digests.emplace_back(fact.definition.substr(fact.definition.size() - digest_length));
  std::set<std::string> tables;
  for (auto &row : spi.query(
           "SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace ="
           " (SELECT oid FROM pg_namespace WHERE nspname = " +
           backend::literal(survey.schema()) +
           ") AND (c.relhasrules OR c.relhassubclass OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid"
           " AND NOT g.tgisinternal AND g.tgenabled <> 'D' AND (g.tgtype & " +
           std::to_string(TRIGGER_TYPE_BEFORE) + ") <> 0 AND NOT (g.tgname = ANY (" + backend::array_literal(triggers) +
           "::name[]) AND EXISTS (SELECT FROM pg_proc p WHERE p.oid = g.tgfoid AND p.pronamespace = c.relnamespace"
           " AND p.proname = " +
           backend::literal(harmless) + " AND md5(p.prosrc) = ANY (" + backend::array_literal(digests) + ")))))"))
    tables.insert(row[0].value_or(""));
  return tables;
}

namespace {

/// `rows` is FROM ... [WHERE ...].
std::string count_of(const backend::Spi &spi, const std::string &rows) {
  return spi.query("SELECT pg_catalog.count(*) " + rows).at(0)[0].value_or("");
}

/// Is the error one that another session causes, which changes the catalog without a lock on a table?
bool is_interference(const ErrorData &error) {
  constexpr std::string_view concurrently = "tuple concurrently";
  return error.sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || error.sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
         (error.sqlerrcode == ERRCODE_INTERNAL_ERROR && error.message != nullptr &&
          std::string_view(error.message).starts_with(concurrently));
}

/// Is the error one of what the statement met in the database, such as a user's constraint or trigger? Others are of
/// the server's own state, or a wish to stop.
bool is_of_database(const ErrorData &error) {
  for (int category :
       {ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION), ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES),
        ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK), ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR),
        ERRCODE_TO_CATEGORY(ERRCODE_INTERNAL_ERROR), ERRCODE_TO_CATEGORY(ERRCODE_CONFIG_FILE_ERROR)})
    if (ERRCODE_TO_CATEGORY(error.sqlerrcode) == category)
      return false;
  return true;
}

/// The error, with the step that met it. Of its context only what ran within the step's statement is kept.
backend::Refusal in_the_way(const ErrorData &error, const Step &step, const Call &call) {
  auto const text = [](const char *field) { return std::string(field == nullptr ? "" : field); };
  auto detail = text(error.detail);
  auto context = text(error.context);
  context.resize(std::min(context.find(step.statement), context.size()));
  context.resize(context.find_last_of('\n') == std::string::npos ? 0 : context.find_last_of('\n'));
  for (const auto &line : {context, "Step: " + step.phase + ", " + step.object + '.'})
    if (!line.empty())
      detail += (detail.empty() ? "" : "\n") + line;
  auto hint = text(error.hint);
  // Cursors and trigger events of this very session.
  if (error.sqlerrcode == ERRCODE_OBJECT_IN_USE)
    return {error.sqlerrcode, text(error.message), detail,
            "Nothing has changed. Something that this session began is not done with the table: close its cursors "
            "(CLOSE ALL;), commit, or start a new session, " +
                call.again() + '.'};
  hint += (hint.empty() ? "" : " ") +
          ("Nothing has changed. Something in this database that is not Immich's is in the way: a constraint or a "
           "trigger, for example. Look for it with gallery_revert_check(), take it away, " +
           call.again() + '.');
  return {error.sqlerrcode, text(error.message), detail, hint};
}

/// Of a row that is to be archived, jsonb does not take a value: a \u0000 of type json, or a text that is too long.
bool is_no_jsonb(const ErrorData &error, const Step &step) {
  return step.phase == "archive" &&
         (error.sqlerrcode == ERRCODE_UNTRANSLATABLE_CHARACTER || error.sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED);
}

backend::Refusal not_written_down(const ErrorData &error, const Step &step, const Survey &survey, const Call &call) {
  auto const text = [](const char *field) { return std::string(field == nullptr ? "" : field); };
  std::string columns;
  for (const auto &[name, type] : survey.columns)
    if (type == "json")
      columns += (columns.empty() ? "" : ", ") + (name.first + '.' + name.second);
  return {ERRCODE_PROGRAM_LIMIT_EXCEEDED,
          "a value of \"" + step.object + "\" cannot be written into schema \"gallery_archive\"",
          "The server says: " + text(error.message) + (error.detail == nullptr ? "" : ". " + text(error.detail)) +
              (columns.empty() ? "" : "\nColumns of type json: " + columns),
          "Nothing has changed. jsonb takes no \\u0000, and no text of more than 256 MB: look for one, change it, " +
              call.again() + ". Or do without an archive: RESET gallery.revert_archive;"};
}

std::uint64_t run_step(const backend::Spi &spi, const Survey &survey, const Step &step, const Call &call) {
  std::string why;
  try {
    return spi.execute(step.statement);
  } catch (const backend::ServerError &error) {
    if (!is_interference(*error.data)) {
      if (!is_of_database(*error.data))
        throw;
      if (is_no_jsonb(*error.data, step))
        throw not_written_down(*error.data, step, survey, call);
      throw in_the_way(*error.data, step, call);
    }
    why = error.what();
  }
  throw backend::Refusal(ERRCODE_LOCK_NOT_AVAILABLE, "another session got in the way of a step",
                         "Step: " + step.phase + ", " + step.object + ". The server says: " + why + '.',
                         "Nothing has changed. Find that session with: SELECT pid, application_name, query FROM "
                         "pg_stat_activity; end it or wait, " +
                             call.again() + '.');
}

/// A cascade, too, changes fewer rows than it should where something meddles, and leaves rows that point to nothing.
/// Those that did so before are not the steps' doing.
void run_steps(const backend::Spi &spi, const Survey &survey, Plan &plan, const std::set<std::string> &doubtful,
               const Call &call, bool (*is_wanted)(const Step &)) {
  backend::LocalSettings local;
  local.set("search_path", survey.path_setting());
  auto const started = backend::clock_milliseconds();
  auto next_report = started + report_every;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    auto &step = plan.steps[i];
    if (step.done || !is_wanted(step))
      continue;
    backend::check_for_interrupts();
    if (auto const now = backend::clock_milliseconds(); now >= next_report) {
      backend::report(NOTICE, "step " + std::to_string(i + 1) + " of " + std::to_string(plan.steps.size()) + " (" +
                                  step.phase + ": " + step.object + "), " + std::to_string((now - started) / 1000) +
                                  " s so far");
      next_report = now + report_every;
    }
    auto const expected = doubtful.contains(step.table) ? count_of(spi, step.matching) : std::string();
    auto const changed = std::to_string(run_step(spi, survey, step, call));
    step.done = true;
    if (!step.table.empty())
      step.rows = std::stoll(changed);
    if (expected.empty())
      continue;
    // Rows can count as changed and yet be as they were: a trigger decides what is written.
    auto const unsettled = step.unsettled.empty() ? 0 : std::stoll(count_of(spi, step.unsettled));
    auto const settled = changed == expected ? std::stoll(expected) - unsettled : std::stoll(changed);
    if (std::to_string(settled) != expected)
      throw backend::Refusal(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                             "of " + expected + " rows of table \"" + step.table + "\" only " +
                                 std::to_string(settled) + " could be " +
                                 (step.change == Change::remove   ? "deleted"
                                  : step.change == Change::insert ? "added"
                                                                  : "changed"),
                             "The step is: " + step.reason + '.', meddler_hint(call));
  }
}

} // namespace

void write_archive(const backend::Spi &spi, const Survey &survey, Plan &plan, const Call &call) {
  run_steps(spi, survey, plan, {}, call, [](const Step &step) {
    return step.phase == "archive" || step.kind == "setting"; // which has checks run that may change rows
  });
}

Orphans execute(const backend::Spi &spi, const Survey &survey, Plan &plan, const std::vector<BrokenKey> &broken,
                const Call &call) {
  auto const doubtful = meddled_with(spi, survey);
  // Rows can only come to point to nothing where some go.
  std::set<std::string_view> losing;
  for (const auto &step : plan.steps) {
    if (step.change == Change::remove)
      losing.insert(step.table);
    for (const auto &effect : step.side_effects)
      if (effect.change == Change::remove)
        losing.insert(effect.table);
  }
  auto keys = keys_of(spi, survey, doubtful);
  std::erase_if(keys, [&](const ForeignKey &key) { return !losing.contains(key.parent); });
  for (const auto &entry : broken)
    keys.push_back(entry.key);
  std::set<std::pair<std::string_view, std::string_view>> going;
  for (const auto &object : plan.objects)
    if (object.fact->kind == manifest::Kind::Constraint)
      going.emplace(object.fact->table, object.fact->name);
  std::erase_if(keys, [&](const ForeignKey &key) {
    return manifest::is_gallery_table(key.table) || manifest::is_gallery_table(key.parent) || // goes with the table
           going.contains({key.table, key.name});
  });
  auto before = count_orphans(spi, survey, keys);
  run_steps(spi, survey, plan, doubtful, call, [](const Step &) { return true; });
  return {std::move(keys), std::move(before)};
}

void refuse_new_orphans(const backend::Spi &spi, const Survey &survey, const Orphans &before, const Call &call) {
  for (const auto &[key, count] : count_orphans(spi, survey, before.keys)) {
    auto const start = before.rows.find(key);
    if (count <= (start == before.rows.end() ? 0 : start->second))
      continue;
    auto const dot = key.find('.');
    throw backend::Refusal(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                           std::to_string(count) + " rows of table \"" + key.substr(0, dot) +
                               "\" would point to nothing",
                           "Their key is \"" + key.substr(dot + 1) + "\".", meddler_hint(call));
  }
}

namespace {

/// The columns for every table c that lasts, after the name of table r, which is c or what it is a partition of: with
/// the schema before it where that is another than Immich's.
std::string tables_sql(const std::string &schema, const std::string &named, const std::string &columns) {
  return "SELECT CASE WHEN n.nspname = " + backend::literal(schema) +
         "::name THEN r.relname::text ELSE n.nspname::text || '.' || r.relname::text END AS name, " + columns +
         " FROM pg_class c JOIN pg_class r ON r.oid = " + named +
         " JOIN pg_namespace n ON n.oid = r.relnamespace WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND"
         " n.nspname NOT IN ('pg_catalog', 'information_schema')";
}

} // namespace

std::string counters_sql(const std::string &schema) {
  return tables_sql(schema, "c.oid",
                    "pg_stat_get_xact_tuples_inserted(c.oid) AS inserted, pg_stat_get_xact_tuples_updated(c.oid) AS"
                    " updated, pg_stat_get_xact_tuples_deleted(c.oid) AS deleted");
}

RowCounters read_counters(const backend::Spi &spi, const std::string &schema) {
  RowCounters counters;
  for (const auto &row : spi.query(counters_sql(schema)))
    counters[row[0].value_or("")] = {std::stoll(row[1].value_or("0")), std::stoll(row[2].value_or("0")),
                                     std::stoll(row[3].value_or("0"))};
  return counters;
}

TableFiles read_files(const backend::Spi &spi, const std::string &schema) {
  TableFiles files;
  for (const auto &row :
       spi.query(tables_sql(schema, "coalesce(pg_partition_root(c.oid)::oid, c.oid)", "c.oid, c.relfilenode")))
    files[row[1].value_or("")] = {row[0].value_or(""), row[2].value_or("")};
  return files;
}

} // namespace gallery
