// Reads keys off definitions, and looks for rows that point to nothing.
#include "readiness/integrity.hpp"

#include <algorithm>

extern "C" {
#include "catalog/pg_trigger.h"
}

namespace gallery {

using backend::identifier;
using backend::qualified;
using manifest::Kind;

namespace {

constexpr std::string_view not_enforced = " (not enforced)";
constexpr std::string_view not_valid = " NOT VALID";

bool take(std::string_view &text, std::string_view start) {
  if (!text.starts_with(start))
    return false;
  text.remove_prefix(start.size());
  return true;
}

/// An identifier, quoted or not, at the start of the text, which is consumed; nothing where there is none.
std::optional<std::string> take_name(std::string_view &text) {
  std::string name;
  if (!take(text, "\"")) {
    auto const end = std::min(text.find_first_of(",() "), text.size());
    name = text.substr(0, end);
    text.remove_prefix(end);
    return name.empty() ? std::nullopt : std::optional(name);
  }
  while (!text.empty()) {
    if (take(text, "\"\"")) {
      name += '"';
    } else if (take(text, "\"")) {
      return name;
    } else {
      name += text.front();
      text.remove_prefix(1);
    }
  }
  return std::nullopt;
}

/// "(a, b)", consumed.
std::vector<std::string> take_names(std::string_view &text) {
  std::vector<std::string> names;
  if (!take(text, "("))
    return names;
  do {
    auto name = take_name(text);
    if (!name)
      return {};
    names.push_back(std::move(*name));
  } while (take(text, ", "));
  return take(text, ")") ? names : std::vector<std::string>();
}

/// The statements that make the key what Immich makes it.
std::string mending(const Survey &survey, const Drift &drift, const ForeignKey &key, bool same) {
  auto const alter = "ALTER TABLE " + qualified(survey.schema(), key.table);
  if (drift.found.ends_with(not_enforced) && same)
    return alter + " ENABLE TRIGGER ALL; ALTER TABLE " + qualified(survey.schema(), key.parent) +
           " ENABLE TRIGGER ALL;";
  if (drift.found.ends_with(not_valid) && same)
    return alter + " VALIDATE CONSTRAINT " + identifier(key.name) + ';';
  // The definition names the table it refers to without its schema.
  std::string definition = drift.expected;
  constexpr std::string_view references = "REFERENCES ";
  if (auto const at = definition.find(references); at != std::string::npos)
    definition.insert(at + references.size(), identifier(survey.schema()) + '.');
  auto const drop = drift.what == Drift::What::missing ? " " : " DROP CONSTRAINT " + identifier(key.name) + ", ";
  return alter + drop + "ADD CONSTRAINT " + identifier(key.name) + ' ' + definition + ';';
}

} // namespace

std::optional<ForeignKey> parse_foreign_key(std::string_view definition) {
  ForeignKey key;
  if (!take(definition, "FOREIGN KEY "))
    return std::nullopt;
  key.columns = take_names(definition);
  if (key.columns.empty() || !take(definition, " REFERENCES "))
    return std::nullopt;
  auto parent = take_name(definition);
  if (!parent)
    return std::nullopt;
  key.parent = std::move(*parent);
  key.parent_columns = take_names(definition);
  return key.parent_columns.size() == key.columns.size() ? std::optional(key) : std::nullopt;
}

std::vector<BrokenKey> broken_keys(const Survey &survey, const Plan &plan, const std::vector<Drift> &drift) {
  std::set<std::string> changed;
  std::set<std::string> removed; // only that makes a difference to the tables that refer to it
  auto take = [&](std::string_view table, Change change) {
    changed.emplace(table);
    if (change == Change::remove)
      removed.emplace(table);
  };
  for (const auto &step : plan.steps)
    if (!step.table.empty()) {
      take(step.table, step.change);
      for (const auto &effect : step.side_effects)
        take(effect.table, effect.change);
    }
  std::vector<BrokenKey> broken;
  for (const auto &difference : drift) {
    if (difference.kind != Kind::Constraint || difference.what == Drift::What::extra)
      continue;
    auto key = parse_foreign_key(difference.expected);
    if (!key)
      continue;
    key->table = difference.table;
    key->name = difference.name;
    std::string_view found = difference.found;
    for (auto state : {not_enforced, not_valid})
      if (found.ends_with(state))
        found.remove_suffix(state.size());
    bool const same = found == difference.expected;
    BrokenKey entry;
    entry.what = difference.what == Drift::What::missing ? "is missing"
                 : !same                                 ? "is " + difference.found
                 : difference.found.ends_with(not_valid) ? "is not valid"
                                                         : "is not enforced: its triggers are off";
    entry.mend = mending(survey, difference, *key, same);
    entry.in_the_way = changed.contains(key->table) || removed.contains(key->parent);
    entry.key = std::move(*key);
    broken.push_back(std::move(entry));
  }
  return broken;
}

std::string orphans_sql(const Survey &survey, const ForeignKey &key) {
  std::string set;
  std::string equal;
  bool there = survey.has_table(key.table) && survey.has_table(key.parent);
  for (std::size_t i = 0; i < key.columns.size(); ++i) {
    auto const child = survey.columns.find({key.table, key.columns[i]});
    auto const parent = survey.columns.find({key.parent, key.parent_columns[i]});
    there = there && child != survey.columns.end() && parent != survey.columns.end() && child->second == parent->second;
    set += (i == 0 ? "" : " AND ") + ("x." + identifier(key.columns[i]) + " IS NOT NULL");
    equal += (i == 0 ? "" : " AND ") +
             ("p." + identifier(key.parent_columns[i]) + " OPERATOR(pg_catalog.=) x." + identifier(key.columns[i]));
  }
  return there
             ? "SELECT pg_catalog.count(*) FROM " + qualified(survey.schema(), key.table) + " x WHERE " + set +
                   " AND NOT EXISTS (SELECT FROM " + qualified(survey.schema(), key.parent) + " p WHERE " + equal + ')'
             : std::string();
}

std::map<std::string, std::int64_t> count_orphans(const backend::Spi &spi, const Survey &survey,
                                                  const std::vector<ForeignKey> &keys) {
  std::map<std::string, std::int64_t> orphans;
  for (const auto &key : keys)
    if (auto const question = orphans_sql(survey, key); !question.empty())
      if (auto const count = std::stoll(spi.query(question).at(0)[0].value_or("0")); count > 0)
        orphans[key.table + '.' + key.name] = count;
  return orphans;
}

std::vector<ForeignKey> keys_of(const backend::Spi &spi, const Survey &survey, const std::set<std::string> &tables) {
  std::vector<ForeignKey> keys;
  if (tables.empty())
    return keys;
  for (auto &row : spi.query(
           "SELECT c.relname, k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class c"
           " ON c.oid = k.conrelid WHERE k.contype = 'f' AND c.relnamespace = " +
           std::to_string(survey.ledger.schema_oid) + "::oid AND c.relname = ANY (" +
           backend::array_literal({tables.begin(), tables.end()}) +
           "::name[]) AND (c.relhasrules OR c.relhassubclass OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid ="
           " c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D' AND (g.tgtype & " +
           std::to_string(TRIGGER_TYPE_BEFORE) + ") <> 0 AND (g.tgtype & CASE k.confdeltype WHEN 'c' THEN " +
           std::to_string(TRIGGER_TYPE_DELETE) + " ELSE " + std::to_string(TRIGGER_TYPE_UPDATE) +
           " END) <> 0)) ORDER BY 1, 2"))
    if (auto key = parse_foreign_key(survey.unqualified(row[2].value_or("")))) {
      key->table = row[0].value_or("");
      key->name = row[1].value_or("");
      keys.push_back(std::move(*key));
    }
  return keys;
}

} // namespace gallery
