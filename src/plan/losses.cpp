// Asks for what the rules state, and counts what is left over.
#include "plan/losses.hpp"

#include "rules/rules.hpp"
#include "settings.hpp"

#include <algorithm>

namespace gallery {

namespace {

/// Fills a loss from a query as in Loss::list. Returns whether the query gave any row.
bool ask(const backend::Spi &spi, const Loss &loss, bool albums, const std::string &list, FoundLoss &found) {
  auto const rows = spi.query(
      "SELECT t.number, t.part, t.rows, CASE WHEN t.named > 100::bigint THEN t.names[1:100] || ('and ' || (t.named -"
      " 100::bigint)::text || ' more') ELSE coalesce(t.names, '{}'::text[]) END FROM (SELECT coalesce(sum(l.number), "
      "0::numeric) AS number,"
      " coalesce(sum(l.part), 0::numeric) AS part, count(*) AS rows, count(l.name) AS named, array_agg(left("
      "l.name, 200) ORDER BY l.name COLLATE pg_catalog.\"C\") FILTER (WHERE l.name IS NOT NULL) AS names FROM (" +
      list + ") l) t");
  const auto &row = rows.at(0);
  found.count = std::stoll(row[0].value_or("0"));
  found.what = form_of(loss.what, found.count);
  if (auto const part = std::stoll(row[1].value_or("0")); part > 0 && !loss.with.many.empty())
    found.what += " with " + counted(part, loss.with);
  found.names = row[3].value_or("{}");
  found.instead = albums && !loss.as_albums.empty() ? loss.as_albums : loss.instead;
  if (settings::archives())
    found.instead += "; the archive has it";
  return row[2] != "0";
}

/// A line of the rest: how many rows `from` has, under the table's name.
void add_rest(std::string &list, const std::string &table, const std::string &from) {
  list += (list.empty() ? "" : " UNION ALL ") + ("SELECT " + backend::literal(table) + "::text, count(*) " + from);
}

/// The noun for so many, as SQL; `count` is numeric.
std::string form_of_sql(const Noun &noun, const std::string &count) {
  return "CASE WHEN " + count + " = 1::numeric THEN " + backend::literal(std::string(noun.one)) + "::text ELSE " +
         backend::literal(std::string(noun.many)) + "::text END";
}

constexpr Loss rest = {.what = {"row of Gallery's own notes", "rows of Gallery's own notes"},
                       .instead = "gone; Immich has no use for them"};

} // namespace

std::vector<FoundLoss> find_losses(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                                   const Plan &plan) {
  std::vector<FoundLoss> all;
  if (!identity.is_gallery)
    return all;
  Context const db(spi, survey, identity, plan.objects);
  bool const albums = std::any_of(plan.steps.begin(), plan.steps.end(),
                                  [](const Step &step) { return step.phase == "keep" && step.table == "album"; });
  std::set<std::string_view> told;
  for (const auto *loss : losses_of_rules(db)) {
    auto const list = loss->list(db);
    FoundLoss found;
    if (list.empty() || !ask(spi, *loss, albums, list, found))
      continue;
    told.insert(loss->tables.begin(), loss->tables.end());
    if (found.count > 0)
      all.push_back(std::move(found));
  }
  std::string list;
  for (const auto &object : plan.objects)
    if (object.fact->kind == manifest::Kind::Table && !told.contains(object.fact->name))
      add_rest(list, std::string(object.fact->name), "FROM " + db.t(object.fact->name));
  for (const auto &table : plan.ledgers)
    add_rest(list, table, "FROM " + db.t(table));
  for (const auto &step : plan.steps)
    if (!step.told && !step.matching.empty() && (step.phase == "clean" || step.phase == "settings"))
      add_rest(list, step.table, step.matching);
  FoundLoss found;
  if (!list.empty() &&
      ask(spi, rest, albums,
          "SELECT r.name || ': ' || sum(r.number)::text AS name, sum(r.number)::bigint AS number, 0::bigint AS part "
          "FROM"
          " (" +
              list + ") AS r(name, number) GROUP BY r.name HAVING sum(r.number) > 0::numeric",
          found) &&
      found.count > 0)
    all.push_back(std::move(found));
  return all;
}

std::vector<std::string> loss_queries(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                                      const Plan &plan) {
  Context const db(spi, survey, identity, plan.objects);
  std::vector<std::string> queries;
  for (const auto *loss : losses_of_rules(db)) {
    auto const list = loss->list(db);
    if (list.empty())
      continue;
    auto what = form_of_sql(loss->what, "t.number");
    if (!loss->with.many.empty())
      what += " || CASE WHEN t.part > 0::numeric THEN ' with '::text || t.part::text || ' '::text || " +
              form_of_sql(loss->with, "t.part") + " ELSE ''::text END";
    queries.push_back(
        "SELECT " + what +
        " AS what, t.number AS count, coalesce(t.names, '{}'::text[]) AS names FROM (SELECT"
        " coalesce(pg_catalog.sum(l.number), 0::numeric) AS number, coalesce(pg_catalog.sum(l.part),"
        " 0::numeric) AS part, pg_catalog.array_agg(l.name ORDER BY l.name COLLATE pg_catalog.\"C\") FILTER"
        " (WHERE l.name IS NOT NULL) AS names FROM (" +
        list + ") l) t");
  }
  return queries;
}

} // namespace gallery
