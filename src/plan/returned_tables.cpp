// Reads the archive itself: which tables, which columns, and whether their values are of the types that are there now.
#include "plan/returned_tables.hpp"

#include "backend/guard.hpp"
#include "backend/subtransaction.hpp"
#include "database/archive.hpp"
#include "database/evidence.hpp"

#include <algorithm>

namespace gallery {

using backend::literal;

namespace {

/// Of so many rows of a table that do not fit, each is named; of more, the table.
constexpr std::size_t most_unfit = 100;

/// Immich's, or Gallery's by evidence.
bool is_known(const Survey &survey, const Evidence &found, const std::string &table) {
  return survey.has_table(table) &&
         (manifest::native_tables().contains(table) ||
          std::any_of(found.objects.begin(), found.objects.end(), [&](const FoundObject &object) {
            return object.fact->kind == manifest::Kind::Table && object.fact->name == table;
          }));
}

} // namespace

const ArchivedTable *ReturnedTables::find(std::string_view name) const {
  auto const found =
      std::find_if(tables_.begin(), tables_.end(), [&](const ArchivedTable &table) { return table.name == name; });
  return found == tables_.end() ? nullptr : &*found;
}

ReturnedTables::ReturnedTables(const Returning &archive, const Evidence &found) : archive_(archive) {
  const auto &spi = archive.db.spi;
  const auto &survey = archive.db.survey;
  std::set<std::string> names;
  for (const auto &row : spi.query("SELECT d.table_name, bool_or(d.change IN ('table', 'delete')), bool_or(d.change "
                                   "= 'column'), bool_or(d.change = 'update') FROM " +
                                   std::string(archived_rows) + " d WHERE d.run = " + std::to_string(archive.run) +
                                   " GROUP BY d.table_name ORDER BY d.table_name COLLATE \"C\"")) {
    ArchivedTable table;
    table.name = row[0].value_or("");
    table.whole = row[1] == "t";
    table.columns = row[2] == "t";
    table.updates = row[3] == "t";
    if (is_own(survey, table.name))
      continue;
    if (is_known(survey, found, table.name))
      names.insert(table.name);
    else
      table.missing = survey.has_table(table.name) ? "table \"" + table.name + "\" is not as Gallery makes it"
                                                   : "Gallery has no table \"" + table.name + "\" now";
    tables_.push_back(std::move(table));
  }
  shapes_ = read_shapes(spi, survey.ledger.schema_oid, names);
  for (auto &table : tables_) {
    for (const auto &row :
         spi.query("SELECT DISTINCT ON (d.change = 'column') d.change = 'column', (SELECT string_agg(k, chr(10)) "
                   "FROM jsonb_object_keys(d.content) k), (SELECT string_agg(k, chr(10)) FROM"
                   " jsonb_object_keys(d.key) k) " +
                   archive_.archived(table.name) + " ORDER BY 1")) {
      (row[0] == "t" ? table.columns_content : table.content) = lines_of(row[1]);
      table.key = lines_of(row[2]);
    }
    if (!table.missing.empty())
      continue;
    table.shape = &shapes_[table.name];
    find_unfit(table);
  }
}

/// Rows whose values are none of the table's types now. The server's own input functions decide: all rows at once,
/// and where that fails, half by half.
void ReturnedTables::find_unfit(ArchivedTable &table) const {
  if (fits(table, ""))
    return;
  auto const pages = std::stoll(archive_.db.spi
                                    .query("SELECT pg_relation_size(" + literal(archived_rows) +
                                           "::regclass) / current_setting('block_size')::bigint")
                                    .at(0)[0]
                                    .value_or("0"));
  find_unfit(table, 0, pages);
}

void ReturnedTables::find_unfit(ArchivedTable &table, std::int64_t from, std::int64_t to) const {
  auto const range =
      " AND d.ctid >= '(" + std::to_string(from) + ",0)'::tid AND d.ctid < '(" + std::to_string(to) + ",0)'::tid";
  if (table.unfit.size() > most_unfit || from >= to || fits(table, range))
    return;
  if (to - from > 1) {
    find_unfit(table, from, from + (to - from) / 2);
    find_unfit(table, from + (to - from) / 2, to);
    return;
  }
  for (const auto &row : archive_.db.spi.query("SELECT d.ctid " + archive_.archived(table.name) + range))
    if (!fits(table, " AND d.ctid = '" + row[0].value_or("") + "'::tid", &table.unfit_reason))
      table.unfit.push_back(row[0].value_or(""));
  if (table.unfit.size() > most_unfit) {
    table.missing = "its values do not fit table \"" + table.name + "\" as it is now: " + table.unfit_reason;
    table.unfit.clear();
  }
}

bool ReturnedTables::fits(const ArchivedTable &table, const std::string &condition, std::string *why) const {
  try {
    backend::Subtransaction const undone;
    (void)archive_.db.spi.query(
        "SELECT pg_catalog.count(x.r::text) FROM (SELECT pg_catalog.jsonb_populate_record(NULL::" +
        archive_.db.t(table.name) + ", d.content || coalesce(d.key, '{}'::jsonb)) AS r " +
        archive_.archived(table.name) + condition + ") x");
    return true;
  } catch (const backend::ServerError &error) {
    auto const category = ERRCODE_TO_CATEGORY(error.data->sqlerrcode);
    if (category != ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) &&
        category != ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION))
      throw;
    if (why != nullptr)
      *why = error.what();
  }
  return false;
}

std::vector<const ArchivedTable *> ReturnedTables::sorted() const {
  std::vector<const ArchivedTable *> waiting;
  for (const auto &table : tables_)
    if (table.whole && table.missing.empty())
      waiting.push_back(&table);
  std::vector<const ArchivedTable *> order;
  while (!waiting.empty()) {
    auto const ready = [&](bool all) {
      return std::find_if(waiting.begin(), waiting.end(), [&](const ArchivedTable *table) {
        return std::none_of(table->shape->keys.begin(), table->shape->keys.end(), [&](const ShapeKey &key) {
          return key.parent != table->name && (all || !key.empties) &&
                 std::any_of(waiting.begin(), waiting.end(),
                             [&](const ArchivedTable *other) { return other->name == key.parent; });
        });
      });
    };
    auto next = ready(true);
    if (next == waiting.end())
      next = ready(false);
    if (next == waiting.end())
      next = waiting.begin();
    order.push_back(*next);
    waiting.erase(next);
  }
  return order;
}

} // namespace gallery
