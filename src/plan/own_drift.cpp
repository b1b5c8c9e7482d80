// The whole comparison, less what the plan is about.
#include "plan/own_drift.hpp"

#include <tuple>

namespace gallery {

Comparison own_drift(const backend::Spi &spi, const Survey &survey, const Identity &identity, const Plan &plan) {
  using manifest::Kind;
  auto comparison = compare_catalog(read_catalog(spi, survey), identity.native_migrations);
  auto plain = [](Kind kind, std::string_view name) {
    return std::string(kind == Kind::Function ? name.substr(0, name.find('(')) : name);
  };
  // Indexes and triggers of Gallery's tables, and whatever else is theirs, go with them.
  std::set<std::tuple<Kind, std::string, std::string>> going;
  auto const tables = tables_that_go(plan);
  std::set<std::string> overrides;
  for (const auto &object : plan.objects)
    going.emplace(object.fact->kind, object.fact->table, plain(object.fact->kind, object.fact->name));
  for (const auto &fact : manifest::gallery_objects())
    if (identity.recorded(fact.migration))
      overrides.insert(manifest::override_name(fact.kind, fact.name));
  for (const auto &row : identity.renamed)
    for (const auto *index : row.ahead) {
      going.emplace(index->kind, index->table, index->name);
      overrides.insert(manifest::override_name(index->kind, index->name));
    }
  std::erase_if(comparison.drift, [&](const Drift &drift) {
    if (drift.what != Drift::What::extra)
      return drift.kind == Kind::Column && plan.restored.contains({drift.table, drift.name});
    return tables.contains(drift.table) || going.contains({drift.kind, drift.table, plain(drift.kind, drift.name)}) ||
           (drift.kind == Kind::Override && overrides.contains(drift.name));
  });
  return comparison;
}

} // namespace gallery
