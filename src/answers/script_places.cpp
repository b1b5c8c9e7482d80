// The steps as SQL, and what goes into the places of a script.
#include "answers/script_draft.hpp"

#include "backend/guard.hpp"
#include "database/fingerprint.hpp"
#include "database/trust.hpp"
#include "manifest/links.hpp"
#include "readiness/checks.hpp"
#include "rules/rule.hpp"
#include "run/table_locks.hpp"
#include "settings.hpp"

#include <algorithm>

namespace gallery {

using backend::array_literal;
using backend::literal;
using backend::qualified;

namespace {

constexpr std::array<const char *, 3> change_names = {"inserted", "updated", "deleted"};

const char *name_of(Change change) {
  return change_names.at(static_cast<std::size_t>(change));
}

/// After a step on a table in which something that is not Immich's decides about rows: has it changed all that it
/// names? Rows can count as changed and yet be as they were.
std::string check_rows(const Step &step) {
  auto const text = step.unsettled.empty() ? "    gr_left := 0;\n"
                                           : "    gr_left := (SELECT pg_catalog.count(*) " + step.unsettled + ");\n";
  return text +
         "    IF gr_count <> gr_wanted OR gr_left <> 0::bigint THEN\n      RAISE EXCEPTION USING ERRCODE = '55000', "
         "MESSAGE = " +
         literal("not all rows of table \"" + step.table + "\" that the step names could be changed") +
         ",\n        DETAIL = " + literal("The step is: " + step.reason + '.') +
         ", HINT = 'Nothing has changed. A rule, a trigger or a child table that is not Immich''s keeps them.';\n    "
         "END IF;\n";
}

} // namespace

std::string comment(const std::string &text, const std::string &indent) {
  std::string result;
  for (std::size_t start = 0; start <= text.size();) {
    auto const end = std::min(text.find('\n', start), text.size());
    auto const line = list_lines({text.substr(start, end - start)});
    result += indent + "--" + (line.empty() ? "" : " ") + line + '\n';
    start = end + 1;
  }
  return result;
}

std::string write_steps(const Draft &draft, const std::string &quote) {
  const auto &steps = draft.now.plan.steps;
  std::string text;
  std::map<std::string, std::string> busy; // by phase: whether any of its row steps has rows
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (const auto &step = steps[i]; !step.matching.empty() && !step.auxiliary) {
      auto &condition = busy[step.phase];
      condition += (condition.empty() ? "" : " OR ") + ("gr_busy[" + std::to_string(i + 1) + ']');
    }
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto &step = steps[i];
    auto const place = '[' + std::to_string(i + 1) + ']';
    text += '\n' + comment(std::to_string(i + 1) + ". " + step.phase + ", " + step.kind + ' ' + step.object + ": " +
                               step.reason,
                           "  ");
    auto condition = step.matching.empty() ? std::string() : "gr_busy" + place;
    if (step.auxiliary)
      condition +=
          (condition.empty() ? "" : " AND ") + ('(' + (busy[step.phase].empty() ? "false" : busy[step.phase]) + ')');
    if (!condition.empty())
      text += "  IF " + condition + " THEN\n";
    bool const doubtful = draft.rehearsal.doubtful.contains(step.table);
    if (doubtful)
      text += "    gr_wanted := (SELECT pg_catalog.count(*) " + step.matching + ");\n";
    text += std::string(condition.empty() ? "  " : "    ") + "EXECUTE " + quote + step.statement + quote + ";\n";
    if (!step.table.empty())
      text += "    GET DIAGNOSTICS gr_count = ROW_COUNT;\n    gr_rows" + place + " := gr_count;\n";
    if (doubtful)
      text += check_rows(step);
    if (!condition.empty())
      text += "  END IF;\n";
  }
  return text;
}

namespace {

/// What a cascade or a trigger may change, as rows of VALUES; and the questions that bound it.
void write_effects(const std::vector<Step> &steps, std::string &effects, std::string &questions) {
  std::size_t asked = 0;
  for (std::size_t i = 0; i < steps.size(); ++i)
    for (const auto &effect : steps[i].side_effects) {
      std::string fixed = std::to_string(effect.at_most.value_or(0)) + "::bigint";
      if (!effect.bound.empty()) {
        questions += (asked == 0 ? "" : ", ") + ("(SELECT count(*) " + effect.bound + ')');
        fixed = "gr_most[" + std::to_string(++asked) + ']';
      }
      effects += ",\n      (" + std::to_string(i + 1) + ", " + literal(std::string(effect.table)) + ", '" +
                 name_of(effect.change) + "', " + (effect.one_for_each || effect.at_most ? "false" : "true") + ", " +
                 fixed + ", " + literal(effect.one_for_each ? std::string(effect.one_for_each->table) : "") + ", '" +
                 (effect.one_for_each ? name_of(effect.one_for_each->change) : "") + "')";
    }
}

/// Rows of a ledger as lines, here and as a question.
std::vector<std::string> lines_of(const std::vector<LedgerRow> &rows, const std::string &prefix) {
  std::vector<std::string> lines;
  for (const auto &row : rows)
    lines.push_back(prefix + row.name + ", " + row.timestamp);
  return lines;
}

std::string lines_sql(const Ledger &ledger, const std::string &prefix) {
  return "SELECT " + literal(prefix) + " || l.name::text || ', ' || coalesce(l.\"timestamp\"::text, '') FROM " +
         qualified(ledger.schema, ledger.table) + " l";
}

void place_ledgers(const Draft &draft, Places &places) {
  const auto &survey = draft.now.survey;
  auto before = lines_of(survey.ledger.rows, "");
  auto now = lines_sql(survey.ledger, "");
  places.emplace_back("@ledger_immich@", now);
  places.emplace_back("@ledger_after@", array_literal(lines_of(draft.rehearsal.ledger, "")));
  if (survey.fork_ledger) {
    auto const own = lines_of(survey.fork_ledger->rows, "gallery_migrations: ");
    before.insert(before.end(), own.begin(), own.end());
    now += " UNION ALL " + lines_sql(*survey.fork_ledger, "gallery_migrations: ");
  }
  places.emplace_back("@ledger_before@", array_literal(before));
  places.emplace_back("@ledger_now@", now);
}

void place_things(const Draft &draft, Places &places) {
  auto place = [&](const std::string &suffix, const Fingerprints &things) {
    std::vector<std::string> names;
    std::vector<std::string> digests;
    for (const auto &[name, digest] : things) {
      names.push_back(name);
      digests.push_back(digest);
    }
    places.emplace_back("@things" + suffix + '@', array_literal(names));
    places.emplace_back("@digests" + suffix + '@', array_literal(digests));
  };
  place("", draft.rehearsal.before);
  place("_after", draft.rehearsal.after);
  std::string of_function;
  std::string of_transaction;
  for (const auto &[name, value] : catalog_settings()) {
    of_function += (of_function.empty() ? "SET " : "\nSET ") + (std::string(name) + " = " + value);
    of_transaction += "SET LOCAL " + std::string(name) + " = " + value + ";\n";
  }
  places.emplace_back("@settings@", of_function);
  places.emplace_back("@set_local@", of_transaction);
  places.emplace_back("@fingerprints@", fingerprints_sql(draft.now.survey.schema()));
}

void place_tables(const Draft &draft, Places &places) {
  const auto &[survey, identity, target, plan] = draft.now;
  auto const natives = manifest::native_tables();
  auto ours = natives;
  ours.merge(manifest::gallery_tables());
  auto touched = natives;
  touched.insert(survey.ledger.table);
  touched.merge(tables_that_go(plan));
  std::vector<std::string> locked;
  auto const oids = relations_to_lock(survey, plan);
  for (const auto &[name, relation] : survey.relations)
    if (std::find(oids.begin(), oids.end(), relation.oid) != oids.end())
      locked.push_back(name);
  places.emplace_back("@tables@", array_literal({touched.begin(), touched.end()}));
  places.emplace_back("@ours@", array_literal({ours.begin(), ours.end()}));
  places.emplace_back("@locked@", array_literal(locked));
}

void place_questions(const Draft &draft, Places &places) {
  const auto &plan = draft.now.plan;
  std::string premises;
  for (std::size_t i = 0; i < plan.premises.size(); ++i) {
    const auto &premise = plan.premises[i];
    const auto &answer = draft.answers[i];
    premises +=
        "\n" + comment("Decided about the steps: " + premise.about + '.', "  ") + "  gr_answer := (" + premise.query +
        ");\n  IF gr_answer IS DISTINCT FROM " + (answer ? literal(*answer) : "NULL") +
        "::text THEN\n    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'rows that decide about the steps are not "
        "what they were on the copy',\n      DETAIL = " +
        literal("They are of: " + premise.about + '.') +
        ", HINT = 'Nothing has changed. Make a new copy of this database, and a new script on it.';\n  END IF;\n";
  }
  places.emplace_back("@premises@", premises);
  std::string paths = "SELECT ''::text, 0::bigint";
  for (const auto &[label, source] : off_disk(draft.now.survey))
    paths += " UNION ALL SELECT " + literal(label) + ", count(*) " + source;
  places.emplace_back("@paths@", paths);
  std::string orphans;
  std::vector<std::string> keys;
  for (const auto &key : draft.rehearsal.keys)
    if (auto const question = orphans_sql(draft.now.survey, key); !question.empty()) {
      orphans += (orphans.empty() ? "(" : ", (") + question + ')';
      keys.push_back(quoted(key.table) + " would point to nothing by their key " + quoted(key.name));
    }
  places.emplace_back("@orphans@", orphans);
  places.emplace_back("@keys@", array_literal(keys));
}

void place_steps(const Draft &draft, Places &places) {
  const auto &steps = draft.now.plan.steps;
  std::string busy;
  std::vector<std::string> tables;
  std::vector<std::string> changes;
  for (const auto &step : steps) {
    busy += (busy.empty() ? "" : ",\n    ") +
            (step.matching.empty() ? std::string("true") : "EXISTS (SELECT " + step.matching + ')');
    tables.push_back(step.table);
    changes.emplace_back(step.table.empty() ? "" : name_of(step.change));
  }
  std::string effects;
  std::string questions;
  write_effects(steps, effects, questions);
  places.emplace_back("@busy@", busy);
  places.emplace_back("@most@", questions);
  places.emplace_back("@effects@", effects);
  places.emplace_back("@steps@", std::to_string(steps.size()));
  places.emplace_back("@step_tables@", array_literal(tables));
  places.emplace_back("@step_changes@", array_literal(changes));
}

/// Whose things these are, who is connected, who holds locks: the questions that the extension asks itself.
void place_catalog_questions(const Draft &draft, Places &places) {
  auto const untrusted = untrusted_sql("gr_schema", "gr_owner");
  for (std::size_t i = 0; i < untrusted.size(); ++i)
    places.emplace_back("@untrusted_" + std::to_string(i + 1) + '@', untrusted.at(i));
  places.emplace_back("@shadows@", shadows_sql(draft.now.survey.search_path, "gr_owner"));
  places.emplace_back("@ledgers@", ledgers_sql(draft.now.survey.ledger.table));
  places.emplace_back("@clients@", other_clients_sql());
  places.emplace_back("@holders@", holders_sql("l.relation = gr_busy"));
  places.emplace_back("@counters@", counters_sql(draft.now.survey.schema()));
  places.emplace_back("@jit@", draft.now.identity.recorded(jit_setting) ? R"sql(
  -- Gallery turned jit off for the role.
  IF EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = 0::oid
      AND 'jit=off' = ANY (s.setconfig) AND r.rolname = current_user) THEN
    EXECUTE format('ALTER ROLE %I RESET jit', current_user);
  END IF;
)sql"
                                                                        : "");
}

/// What is said, and the small things.
void place_words(const backend::Spi &spi, const Draft &draft, Places &places) {
  const auto &[survey, identity, target, plan] = draft.now;
  auto const version = spi.query("SELECT pg_client_encoding(), current_setting('server_version_num')::integer / 10000");
  auto const tables = std::count_if(plan.objects.begin(), plan.objects.end(), [](const FoundObject &object) {
    return object.fact->kind == manifest::Kind::Table;
  });
  places.emplace_back("@encoding@", version.at(0)[0].value_or(""));
  places.emplace_back("@major@", version.at(0)[1].value_or(""));
  places.emplace_back("@schema@", literal(survey.schema()));
  places.emplace_back("@path@", literal(survey.path_setting()));
  places.emplace_back("@timeout@", std::to_string(settings::lock_timeout()));
  places.emplace_back("@digest@", draft.digest);
  places.emplace_back("@tag@", std::string(target->tag));
  places.emplace_back("@completion@", literal(completion));
  places.emplace_back(
      "@gone@",
      literal("Gallery " + (identity.gallery_release.empty() ? "(release not known)" : identity.gallery_release) +
              " is gone: " + std::to_string(plan.objects.size() + plan.ledgers.size()) + " objects, " +
              std::to_string(static_cast<std::size_t>(tables) + plan.ledgers.size()) + " tables among them"));
  places.emplace_back("@gap@",
                      literal("This is a gap in gallery_revert or a change of your own to the database. Keep this "
                              "message and report it " +
                              manifest::reports() + "; the database is as it was."));
}

} // namespace

Places places_of(const backend::Spi &spi, const Draft &draft) {
  Places places;
  place_ledgers(draft, places);
  place_things(draft, places);
  place_tables(draft, places);
  place_questions(draft, places);
  place_steps(draft, places);
  place_catalog_questions(draft, places);
  place_words(spi, draft, places);
  return places;
}

} // namespace gallery
