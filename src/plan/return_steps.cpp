// Parents before children; what can only be set when both are there after that; what could not come back at the end.
#include "plan/return_steps.hpp"

#include "plan/digest.hpp"
#include "plan/return_list.hpp"
#include "plan/returned_rows.hpp"

#include <algorithm>

namespace gallery {

using backend::identifier;
using backend::literal;

namespace {

Step new_step(const char *phase, const char *kind, std::string object, std::string reason, std::string statement) {
  Step step;
  step.phase = phase;
  step.kind = kind;
  step.object = std::move(object);
  step.reason = std::move(reason);
  step.statement = std::move(statement);
  return step;
}

/// The statement without what differs between a database and its copy: where rows of the archive are, and how the
/// catalog writes an expression, which has other parentheses and casts once it was dumped and restored.
std::string essence_of(std::string statement) {
  constexpr std::string_view place = " AND d.ctid ";
  constexpr std::string_view end = "::tid[])";
  for (auto at = statement.find(place); at != std::string::npos; at = statement.find(place))
    statement.erase(at, statement.find(end, at) + end.size() - at);
  for (std::string_view cast : {"::text[]", "::text", "::character varying", "(", ")"})
    for (auto at = statement.find(cast); at != std::string::npos; at = statement.find(cast, at))
      statement.erase(at, cast.size());
  return statement;
}

class Builder {
public:
  Builder(const backend::Spi &spi, const Survey &survey, const Identity &identity, const Evidence &found, int run)
      : spi_(spi), found_(found), db_(spi, survey, identity, found.objects), archive_{db_, run},
        run_(std::to_string(run)), tables_(archive_, found) {}

  void build(Plan &plan) {
    forget_last_list(plan.steps);
    auto const order = tables_.sorted();
    auto const quiet = triggers(order);
    switch_triggers(quiet, "DISABLE", "off meanwhile: the archive has what they would write", plan.steps);
    for (const auto *table : order)
      put_back(*table, plan.steps);
    for (const auto &table : tables_.all())
      if (table.missing.empty()) {
        refer_again(table, plan.steps);
        fill_columns(table, plan.steps);
      }
    auto const values = set_by_revert(archive_);
    for (const auto &entry : values)
      set_again(entry, plan.steps);
    switch_triggers(quiet, "ENABLE", "on again", plan.steps);
    if (db_.has("session", {"isPendingSyncReset"}))
      plan.steps.push_back(
          phased(update(db_, "session", "s", "\"isPendingSyncReset\" = true", "",
                        "s.\"isPendingSyncReset\" IS NOT TRUE", "sync reset, so that phones see what is back")));
    for (auto &step : list_steps(archive_, tables_, values))
      plan.steps.push_back(std::move(step));
    mark(plan.steps);
  }

private:
  static Step phased(Step step) {
    step.phase = "return";
    return step;
  }

  /// Gallery's triggers on its own tables that are filled: by table.
  [[nodiscard]] std::map<std::string, std::vector<std::string>>
  triggers(const std::vector<const ArchivedTable *> &order) const {
    std::map<std::string, std::vector<std::string>> quiet;
    for (const auto *table : order)
      for (const auto &name : table->shape->triggers)
        if (!manifest::native_tables().contains(table->name) &&
            std::any_of(found_.objects.begin(), found_.objects.end(), [&](const FoundObject &object) {
              return object.fact->kind == manifest::Kind::Trigger && object.fact->table == table->name &&
                     object.fact->name == name;
            }))
          quiet[table->name].push_back(name);
    return quiet;
  }

  void switch_triggers(const std::map<std::string, std::vector<std::string>> &quiet, const std::string &action,
                       const char *reason, std::vector<Step> &steps) const {
    for (const auto &[table, names] : quiet) {
      std::string actions;
      for (const auto &name : names)
        actions += (actions.empty() ? " " : ", ") + action + " TRIGGER " + identifier(name);
      steps.push_back(new_step("triggers", "trigger", table, reason, "ALTER TABLE " + db_.t(table) + actions));
    }
  }

  void put_back(const ArchivedTable &table, std::vector<Step> &steps) const {
    ReturnedRows const rows(archive_, table);
    std::string columns;
    std::string values;
    for (const auto &name : rows.writable()) {
      columns += (columns.empty() ? "" : ", ") + identifier(name);
      values += (values.empty() ? "q." : ", q.") + identifier(name);
    }
    if (columns.empty())
      return;
    std::string where = " WHERE NOT EXISTS (SELECT FROM " + db_.t(table.name) + " t WHERE " + rows.same_row() + ")";
    for (const auto &fit : rows.fits())
      if (!fit.of_parent)
        where += " AND " + fit.condition;
    auto const from = rows.with_parents(rows.without_twins("FROM " + rows.whole() + where));
    auto step = new_step("return", "rows", table.name, "rows that went, where they fit",
                         "INSERT INTO " + db_.t(table.name) + " (" + columns + ") OVERRIDING SYSTEM VALUE SELECT " +
                             values + ' ' + from);
    step.table = table.name;
    step.change = Change::insert;
    step.matching = from;
    step.row = "q";
    add_effects(table, step);
    steps.push_back(std::move(step));
  }

  /// What Immich's own triggers do to what new rows belong to: as when a user adds them.
  static void add_effects(const ArchivedTable &table, Step &step) {
    if (table.shape->triggers.empty() || !manifest::native_tables().contains(table.name))
      return;
    for (const auto &key : table.shape->keys)
      for (const auto &fact : manifest::native_catalog())
        if (fact.kind == manifest::Kind::Table && fact.table == key.parent && key.parent != table.name)
          step.side_effects.emplace_back(SideEffect{fact.table, Change::update});
  }

  /// References to rows that went and are back, where they are empty.
  void refer_again(const ArchivedTable &table, std::vector<Step> &steps) const {
    ReturnedRows const rows(archive_, table);
    for (const auto &key : table.shape->keys) {
      if (!rows.can_refer_again(key, tables_.find(key.parent)))
        continue;
      auto const name = identifier(key.columns.front());
      auto const condition = rows.same_row() + " AND t." + name + " IS NULL AND q." + name + " IS NOT NULL AND " +
                             rows.exists(key, "q") + " AND " + rows.went_with(key) +
                             rows.allows({{key.columns.front(), "q." + name}});
      steps.push_back(phased(update(db_, table.name, "t", name + " = q." + name, rows.as_they_were(), condition,
                                    "\"" + key.columns.front() + "\", which went with what it refers to")));
    }
  }

  /// Columns of Gallery's on rows that stayed.
  void fill_columns(const ArchivedTable &table, std::vector<Step> &steps) const {
    ReturnedRows const rows(archive_, table);
    if (!table.columns || !rows.has_old_key())
      return;
    std::string assignments;
    std::string any;
    std::map<std::string, std::string> assigned;
    for (const auto &name : table.columns_content) {
      const auto *column = table.shape->find(name);
      if (column == nullptr || column->generated)
        continue;
      auto const quoted_name = identifier(name);
      const auto *key = rows.key_of(name);
      auto const fits = column->is_initial("t") + " AND q." + quoted_name + "::text IS DISTINCT FROM t." + quoted_name +
                        "::text" + (column->required ? " AND q." + quoted_name + " IS NOT NULL" : "") +
                        (key == nullptr ? "" : " AND " + rows.exists(*key, "q"));
      auto const value = "CASE WHEN " + fits + " THEN q." + quoted_name + " ELSE t." + quoted_name + " END";
      assignments += (assignments.empty() ? "" : ", ") + quoted_name + " = " + value;
      any += (any.empty() ? "(" : " OR ") + fits;
      assigned[name] = value;
    }
    if (!assigned.empty())
      steps.push_back(phased(update(db_, table.name, "t", assignments, rows.columns(),
                                    rows.same_row_by_old_key() + " AND " + any + ")" + rows.allows(assigned),
                                    "Gallery's columns, where they are as in a new row")));
  }

  static std::string value_of(const SetByRevert &entry, const ShapeColumn &column) {
    return entry.value.empty() ? "q." + identifier(column.name) : "(" + entry.value + ")::" + column.type;
  }

  void set_again(const SetByRevert &entry, std::vector<Step> &steps) const {
    const auto *found = tables_.find(entry.table);
    if (!can_set(archive_, found))
      return;
    const auto &table = *found;
    ReturnedRows const rows(archive_, table);
    std::string assignments;
    for (const auto &name : entry.columns)
      assignments +=
          (assignments.empty() ? "" : ", ") + identifier(name) + " = " + value_of(entry, *table.shape->find(name));
    steps.push_back(phased(update(db_, table.name, "t", assignments, rows.updates(),
                                  rows.same_row_by_old_key() + " AND " + entry.wanted + " AND " + entry.fits + " AND " +
                                      entry.is_not_back(),
                                  entry.reason)));
  }

  /// A second try lists anew.
  void forget_last_list(std::vector<Step> &steps) const {
    auto const from =
        "FROM " + std::string(archived_facts) + " f WHERE f.run = " + run_ + " AND f.kind = " + literal(not_returned);
    if (spi_.query("SELECT EXISTS (SELECT " + from + ")").at(0)[0] != "t")
      return;
    auto step = new_step("list", "facts", "an earlier list", "made anew at the end", "DELETE " + from);
    step.table = archived_facts;
    step.change = Change::remove;
    step.matching = from;
    step.row = "f";
    steps.push_back(std::move(step));
  }

  void mark(std::vector<Step> &steps) const {
    auto const query =
        "SELECT " + run_ + ", " + literal(returned) + "::text, 'at'::text, pg_catalog.to_jsonb(pg_catalog.now())";
    auto step = new_step("list", "facts", "returned", "so that what you take away later stays away",
                         "INSERT INTO " + std::string(archived_facts) + " (run, kind, name, value) " + query);
    step.table = archived_facts;
    step.change = Change::insert;
    step.matching = "FROM (" + query + ") x";
    step.row = "x";
    steps.push_back(std::move(step));
  }

  const backend::Spi &spi_;
  const Evidence &found_;
  Context db_;
  Returning archive_;
  std::string run_;
  ReturnedTables tables_;
};

} // namespace

Plan make_return_plan(const backend::Spi &spi, const Survey &survey, const Identity &identity, const Evidence &found,
                      int run) {
  Plan plan;
  Builder(spi, survey, identity, found, run).build(plan);
  for (auto &step : plan.steps)
    step.essence = essence_of(step.statement);
  put_checks_first(survey, plan);
  add_digests(spi, plan.steps);
  return plan;
}

} // namespace gallery
