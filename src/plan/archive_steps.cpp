// Which rows a step of the plan removes or overwrites, and the statement that writes them down. The statements run as
// those of rules do: names are qualified, operators have operands of exactly their types.
#include "plan/archive_steps.hpp"

#include "plan/archive_facts.hpp"
#include "plan/cascades.hpp"

#include <algorithm>

namespace gallery {

using backend::identifier;
using backend::literal;
using backend::qualified;

namespace {

Step new_step(const char *kind, std::string object, std::string reason, std::string statement) {
  Step step;
  step.phase = "archive";
  step.kind = kind;
  step.object = std::move(object);
  step.reason = std::move(reason);
  step.statement = std::move(statement);
  return step;
}

/// Who could read new tables of the owner's by his default privileges.
std::string readers_by_default(const backend::Spi &spi, const Survey &survey) {
  return spi
      .query(
          "SELECT string_agg(g.name, ', ' ORDER BY g.name) FROM (SELECT DISTINCT CASE x.grantee WHEN 0::oid THEN"
          " 'PUBLIC'::text ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS name FROM pg_default_acl d,"
          " aclexplode(d.defaclacl) x WHERE d.defaclnamespace = 0::oid AND d.defaclobjtype IN ('r', 'n') AND x.grantee"
          " <> d.defaclrole AND d.defaclrole = " +
          std::to_string(survey.ledger.owner_oid) + "::oid) g")
      .at(0)[0]
      .value_or("");
}

void make_schema(const backend::Spi &spi, const Survey &survey, std::vector<Step> &steps) {
  std::string tables;
  for (const auto &table : archive_tables)
    tables += " CREATE TABLE " + std::string(table.name) + " (" + table.columns + ')';
  steps.push_back(new_step("schema", archive_schema, "what is removed is written down here, for the owner alone",
                           "CREATE SCHEMA " + std::string(archive_schema) + tables));
  auto const comment = [&](const std::string &object, const std::string &text) {
    steps.push_back(new_step("comment", object, "says what it is", "COMMENT ON " + object + " IS " + literal(text)));
  };
  comment("SCHEMA " + std::string(archive_schema),
          "What gallery_revert() removed or overwrote. Nothing needs it: DROP SCHEMA gallery_archive CASCADE.");
  for (const auto &table : archive_tables)
    comment("TABLE " + std::string(archive_schema) + '.' + table.name, table.comment);
  if (auto const readers = readers_by_default(spi, survey); !readers.empty()) {
    constexpr const char *reason = "default privileges of the owner would let others read it";
    steps.push_back(new_step("privileges", archive_schema, reason,
                             "REVOKE ALL ON SCHEMA " + std::string(archive_schema) + " FROM " + readers));
    steps.push_back(
        new_step("privileges", archive_schema, reason,
                 "REVOKE ALL ON TABLE " + std::string(archived_rows) + ", " + archived_facts + " FROM " + readers));
  }
}

/// The names of each table's primary key's columns.
std::map<std::string, std::vector<std::string>> primary_keys(const backend::Spi &spi, const Survey &survey) {
  std::map<std::string, std::vector<std::string>> keys;
  for (const auto &row : spi.query(
           "SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid CROSS JOIN LATERAL"
           " unnest(i.indkey::int2[]) WITH ORDINALITY x(number, place) JOIN pg_attribute a ON a.attrelid = c.oid AND"
           " a.attnum = x.number WHERE i.indisprimary AND c.relnamespace = " +
           std::to_string(survey.ledger.schema_oid) + "::oid ORDER BY c.oid, x.place"))
    keys[row[0].value_or("")].push_back(row[1].value_or(""));
  return keys;
}

/// The rows of one table that are written down.
struct Source {
  std::string table;
  const char *change; // as the archive has it
  std::string row;
  std::string from;         // FROM ... [WHERE ...]
  std::string content = {}; // empty: the whole row
};

class Writer {
public:
  Writer(const backend::Spi &spi, const Survey &survey, const Plan &plan)
      : spi_(spi), survey_(survey), plan_(plan), primary_(primary_keys(spi, survey)), keys_(acting_keys(spi, survey)) {
    for (const auto &step : plan.steps)
      going_.insert(step.dropped.begin(), step.dropped.end());
  }

  /// Adds the steps that save what `step` takes away.
  void save(const Step &step, std::vector<Step> &steps) const {
    if (!step.dropped.empty()) {
      std::vector<Source> sources;
      for (const auto &table : step.dropped)
        sources.push_back({table, "table", "t", "FROM " + qualified(survey_.schema(), table) + " t"});
      steps.push_back(write(step, step.object, sources));
    }
    if (!step.columns.empty())
      steps.push_back(write(step, step.object, {columns_of(step)}));
    if (step.table.empty() || step.change == Change::insert || (step.change == Change::update && !step.overwrites))
      return;
    bool const removes = step.change == Change::remove;
    steps.push_back(write(step, step.table, {{step.table, removes ? "delete" : "update", step.row, step.matching}}));
    steps.back().saved_table = step.table;
    steps.back().saved_for = step.change;
    if (!removes)
      return;
    for (const auto &reached : reached_by(survey_, keys_, step.table, step.row, step.matching, going_)) {
      steps.push_back(write(step, reached.table,
                            {{reached.table, reached.deleted ? "delete" : "update", reached.row, reached.from}}));
      steps.back().reason =
          (reached.deleted ? "goes with " : "loses a reference with ") + step.table + ": " + step.reason;
      steps.back().saved_table = reached.table;
      steps.back().saved_for = reached.deleted ? Change::remove : Change::update;
    }
  }

private:
  [[nodiscard]] std::string key_of(const Source &source) const {
    auto const key = primary_.find(source.table);
    if (key == primary_.end())
      return "NULL::jsonb";
    std::string pairs;
    for (const auto &column : key->second)
      pairs += (pairs.empty() ? "" : ", ") + literal(column) + "::text, " + source.row + '.' + identifier(column);
    return "pg_catalog.jsonb_build_object(" + pairs + ')';
  }

  /// The statement is made when it is known which steps there are.
  [[nodiscard]] Step write(const Step &step, const std::string &object, const std::vector<Source> &sources) const {
    std::string query;
    for (const auto &source : sources)
      query += (query.empty() ? "SELECT " : " UNION ALL SELECT ") + literal(source.table) + "::text AS table_name, " +
               literal(source.change) + "::text AS change, " + key_of(source) + " AS key, " +
               (source.content.empty() ? "pg_catalog.to_jsonb(" + source.row + ".*)" : source.content) +
               " AS content " + source.from;
    auto result = new_step("rows", object, step.reason, "");
    result.table = archived_rows;
    result.change = Change::insert;
    result.matching = "FROM (" + query + ") r";
    result.saves = static_cast<std::size_t>(&step - plan_.steps.data());
    return result;
  }

  /// The rows in which a column that goes has another value than a new row gets. What a default calls would have to be
  /// called for that: there, all rows that have a value.
  [[nodiscard]] Source columns_of(const Step &step) const {
    auto const &table = step.object;
    std::string pairs;
    std::string condition;
    for (const auto &column : step.columns) {
      auto const name = "t." + identifier(column);
      auto const expression = spi_.query("SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = " +
                                         std::to_string(survey_.relations.at(table).oid) + "::oid AND d.adnum = " +
                                         std::to_string(survey_.column_numbers.at({table, column})));
      auto const initial = expression.empty() ? std::string() : expression[0][0].value_or("");
      pairs += (pairs.empty() ? "" : ", ") + literal(column) + "::text, " + name;
      condition += (condition.empty() ? "" : " OR ") + (initial.empty() || initial.find('(') != std::string::npos
                                                            ? name + " IS NOT NULL"
                                                            : name + "::text IS DISTINCT FROM (" + initial + ")::text");
    }
    return {table, "column", "t", "FROM " + qualified(survey_.schema(), table) + " t WHERE " + condition,
            "pg_catalog.jsonb_build_object(" + pairs + ')'};
  }

  const backend::Spi &spi_;
  const Survey &survey_;
  const Plan &plan_;
  std::map<std::string, std::vector<std::string>> primary_;
  std::vector<ActingKey> keys_;
  std::set<std::string> going_; // tables that go as a whole
};

} // namespace

std::vector<Step> archive_steps(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                                const Plan &plan) {
  std::vector<Step> steps;
  if (!survey.archive)
    make_schema(spi, survey, steps);
  for (auto &[object, reason, query] : archived_queries(spi, survey, identity, plan)) {
    steps.push_back(new_step("facts", object, reason,
                             "INSERT INTO " + std::string(archived_facts) + " (run, kind, name, value) " + query));
    steps.back().table = archived_facts;
    steps.back().change = Change::insert;
  }
  Writer const writer(spi, survey, plan);
  for (const auto &step : plan.steps)
    writer.save(step, steps);
  return steps;
}

void archive_first(Plan &plan, std::vector<Step> steps) {
  bool const checks_first = !plan.steps.empty() && plan.steps.front().kind == "setting";
  for (auto &step : steps)
    if (step.saves)
      step.statement = "INSERT INTO " + std::string(archived_rows) +
                       " (run, step, table_name, change, key, content, why) SELECT " + this_run() + ", " +
                       std::to_string(*step.saves + steps.size() + 1) + ", r.table_name, r.change, r.key, r.content, " +
                       literal(plan.steps.at(*step.saves).reason) + "::text " + step.matching;
  plan.steps.insert(plan.steps.begin() + (checks_first ? 1 : 0), std::make_move_iterator(steps.begin()),
                    std::make_move_iterator(steps.end()));
}

} // namespace gallery
