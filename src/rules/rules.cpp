// The list of all rules, and how it is gone through: phase by phase, each rule whose needs are met.
#include "rules/rules.hpp"

#include <algorithm>
#include <iterator>

namespace gallery {

namespace {

struct Entry {
  std::string_view phase;
  const Rule *rule;
};

#define RULE(phase, name) {#phase, &rules::name},
constexpr Entry all_rules[] = {
#include "rules/rules.inc"
};
#undef RULE

bool is_met(const Context &db, const Need &need) {
  return need.column.empty() ? db.survey.has_table(std::string(need.table))
                             : db.survey.has_column(std::string(need.table), std::string(need.column));
}

bool is_wanted(const Rule &rule) {
  return rule.wanted == nullptr || rule.wanted();
}

bool applies(const Context &db, const Rule &rule) {
  return is_wanted(rule) && (rule.migration.empty() || db.identity.recorded(rule.migration)) &&
         std::all_of(rule.needs.begin(), rule.needs.end(), [&](const Need &need) { return is_met(db, need); });
}

/// What the rule left to this place: its steps' phase, and those side effects that exist in this database.
void complete(const Context &db, const Entry &entry, Outcome &phase) {
  for (auto &step : phase.steps)
    if (step.phase.empty()) {
      step.phase = entry.phase;
      step.told = entry.rule->loss != nullptr;
      if (!step.table.empty())
        std::copy_if(entry.rule->side_effects.begin(), entry.rule->side_effects.end(),
                     std::back_inserter(step.side_effects),
                     [&](const SideEffect &effect) { return db.survey.has_table(std::string(effect.table)); });
    }
}

void append(Outcome &all, Outcome &&phase) {
  std::move(phase.steps.begin(), phase.steps.end(), std::back_inserter(all.steps));
  std::move(phase.remarks.begin(), phase.remarks.end(), std::back_inserter(all.remarks));
  std::move(phase.premises.begin(), phase.premises.end(), std::back_inserter(all.premises));
  all.restored.merge(phase.restored);
}

} // namespace

Outcome apply_rules(const Context &db) {
  Outcome all;
  Outcome phase;
  for (const auto *entry = std::begin(all_rules); entry != std::end(all_rules); ++entry) {
    if (entry->rule->work != nullptr && applies(db, *entry->rule)) {
      entry->rule->work(db, phase);
      complete(db, *entry, phase);
    }
    if (auto const *next = entry + 1; next == std::end(all_rules) || next->phase != entry->phase) {
      append(all, std::move(phase));
      phase = Outcome();
    }
  }
  return all;
}

std::vector<const Loss *> losses_of_rules(const Context &db) {
  std::vector<const Loss *> losses;
  for (const auto &entry : all_rules)
    if (entry.rule->loss != nullptr && applies(db, *entry.rule) &&
        std::find(losses.begin(), losses.end(), entry.rule->loss) == losses.end())
      losses.push_back(entry.rule->loss);
  return losses;
}

bool is_read_by_rules(const manifest::GalleryObject &object) {
  return std::any_of(std::begin(all_rules), std::end(all_rules), [&](const Entry &entry) {
    return is_wanted(*entry.rule) &&
           std::any_of(entry.rule->reads.begin(), entry.rule->reads.end(), [&](const Need &need) {
             return need.table == object.table &&
                    (need.column.empty() ? object.kind == manifest::Kind::Table
                                         : object.kind == manifest::Kind::Column && need.column == object.name);
           });
  });
}

} // namespace gallery
