// Looks, checks and rehearses in the copy, then fills in the parts of the script.
#include "answers/script.hpp"

#include "answers/script_draft.hpp"
#include "answers/script_parts.hpp"
#include "backend/guard.hpp"
#include "database/session.hpp"
#include "plan/own_drift.hpp"
#include "readiness/checks.hpp"
#include "run/rehearsal.hpp"
#include "run/table_locks.hpp"
#include "settings.hpp"

#include <algorithm>

namespace gallery {

namespace {

std::vector<backend::Field> ask(const backend::Spi &spi, const Plan &plan) {
  std::vector<backend::Field> answers;
  for (const auto &premise : plan.premises)
    answers.push_back(spi.query("SELECT (" + premise.query + ")::pg_catalog.text").at(0)[0]);
  return answers;
}

Draft make_draft(const backend::Spi &spi) {
  auto const reviewed = look(spi);
  const auto &survey = reviewed.survey;
  if (!reviewed.identity.is_gallery)
    throw backend::Refusal(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                           "nothing to revert: this is an Immich database, as of Immich " + range_of(reviewed.identity),
                           "", "Restore a dump of the Gallery database, and call the function there.");
  if (settings::archives())
    throw backend::Refusal(ERRCODE_FEATURE_NOT_SUPPORTED, "a script writes no archive",
                           "gallery.revert_archive is on, and a script could not prove that the archive is whole.",
                           "Run RESET gallery.revert_archive; and call the function again: the dump holds all of it.");
  enforce(check_strangers(survey, reviewed.plan.strangers));
  enforce(check_plan(reviewed.plan));
  enforce(check_shadows(survey));
  enforce(check_paths(spi, survey));
  enforce(check_dependents(spi, survey, reviewed.plan));
  enforce(check_publications(spi, survey, reviewed.plan));
  Draft draft;
  draft.digest = reviewed.plan.steps.back().digest;
  draft.losses = losses_of(spi, reviewed);
  draft.now = look(spi, Rows::unasked);
  // Roles are the cluster's: the script looks for itself.
  std::erase_if(draft.now.plan.steps, [](const Step &step) { return step.kind == "role"; });
  auto const drift = own_drift(spi, survey, draft.now.identity, draft.now.plan).drift;
  enforce_blocked(check_unrecorded(draft.now.identity, drift));
  enforce(check_keys(spi, survey, broken_keys(survey, draft.now.plan, drift)));
  if (survey.has_column("migration_overrides", "name"))
    draft.now.plan.premises.push_back(
        {"rows of migration_overrides",
         "SELECT string_agg(o.name::text, ' ' ORDER BY o.name::text COLLATE \"C\") FROM " +
             backend::qualified(survey.schema(), "migration_overrides") + " o"});
  draft.answers = ask(spi, draft.now.plan);
  draft.rehearsal = rehearse(spi, draft.now, drift, script_call);
  return draft;
}

/// The text with its further lines moved to the right as well.
std::string indented(std::string text) {
  for (auto at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1))
    text.insert(at + 1, "    ");
  return text;
}

std::string heading(const Draft &draft) {
  const auto &now = draft.now;
  std::string losses;
  for (const auto &loss : draft.losses)
    losses += "\n  " + std::to_string(loss.count) + ' ' + loss.what + ": " + loss.instead;
  std::string remarks;
  for (const auto &remark : now.plan.remarks)
    remarks += "\n  " + remark.message + ".\n    " + indented(remark.detail);
  return comment(
      "Takes a Gallery database (" +
      (now.identity.gallery_release.empty() ? std::string("release not known") : now.identity.gallery_release) +
      ") back to Immich " + std::string(now.target->tag) + ", by psql alone.\n\n" +
      "Made by gallery_revert_script() of gallery_revert " GALLERY_REVERT_VERSION " on a copy of that database,"
      " where all of it was run and\nproven. Stop Gallery, make a dump, then run this as the role that Immich "
      "uses:\n\n  psql -X -d immich -c \"SET gallery.revert_token = 'i_accept_data_loss'\" -f revert.sql\n\n"
      "It is one transaction: where something is not as it was on the copy, it stops and nothing has changed."
      " Digest of the plan\nthere: " +
      draft.digest + ".\n\nLost or changed, by the rows of the copy:" + (losses.empty() ? " nothing" : losses) +
      (remarks.empty() ? "" : "\n\nNot done, or to look at:" + remarks));
}

/// The beginning of dollar quotes that nothing in the script can end.
std::string quote_word(const Draft &draft, const Places &places) {
  std::string word = "$gallery_revert_";
  auto const has_it = [&](const std::string &text) { return text.find(word) != std::string::npos; };
  while (std::any_of(places.begin(), places.end(), [&](const auto &place) { return has_it(place.second); }) ||
         std::any_of(draft.now.plan.steps.begin(), draft.now.plan.steps.end(), [&](const Step &step) {
           return has_it(step.statement) || has_it(step.matching) || has_it(step.unsettled) || has_it(step.reason);
         }))
    word += 'x';
  return word;
}

/// Each block with quotes of its own: then whoever pastes a script from the middle of a block on gets errors for the
/// rest of it, and the end of the block begins a text that never ends. With one quote for all, everything that stands
/// between blocks would be text, and the steps within them statements.
std::string number_quotes(std::string script, const std::string &quote, const std::string &word) {
  int count = 0;
  for (auto at = script.find(quote); at != std::string::npos; at = script.find(quote, at + 1), ++count)
    script.replace(at, quote.size(), word + std::to_string(count / 2 + 1) + '$');
  return script;
}

} // namespace

std::string write_script() {
  enforce(check_transaction(script_call));
  backend::Spi const spi;
  Locks(script_call).wait_to_read(spi);
  Careful const careful(spi);
  auto const draft = make_draft(spi);
  auto places = places_of(spi, draft);
  auto const word = quote_word(draft, places);
  auto const quote = word + "block$";
  places.emplace_back("@quote@", quote);
  std::string script = heading(draft);
  for (const char *part : {script_parts::opening, script_parts::functions, script_parts::locking, script_parts::rows})
    script += fill(part, places);
  script += write_steps(draft, word + "step$");
  for (const char *part : {script_parts::proof, script_parts::closing})
    script += fill(part, places);
  return number_quotes(std::move(script), quote, word);
}

} // namespace gallery
