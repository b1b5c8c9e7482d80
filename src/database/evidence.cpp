// Compares what is there with how Gallery makes it.
#include "database/evidence.hpp"

#include "database/definition.hpp"

#include <algorithm>

namespace gallery {

using manifest::GalleryShape;
using manifest::Kind;

namespace {

/// Of what the recorded migrations made of a table, one in so many parts has to be there.
constexpr std::size_t least_share = 4;

/// A revert leaves a table or two alone that are not recorded, and so do scripts. So many whole ones in a database
/// where nothing of Gallery's is recorded say that its ledger is lost.
constexpr std::ptrdiff_t least_lost = 3;

/// The type in a column's definition. The length of a vector follows the model that the user has chosen.
std::string_view type_of(std::string_view definition) {
  for (std::string_view end : {" not null", " default ", " generated ", " identity "})
    definition = definition.substr(0, definition.find(end));
  return definition.starts_with("vector(") ? definition.substr(0, 6) : definition;
}

/// What of a definition is evidence. Where a key is not valid, deferrable or of another delete action it is still that
/// key; how an index is kept and what a function does are not looked at.
std::string essence(Kind kind, std::string_view definition) {
  switch (kind) {
  case Kind::Column:
    return std::string(type_of(definition));
  case Kind::Constraint: {
    for (std::string_view end : {" ON UPDATE ", " ON DELETE ", " DEFERRABLE", " NOT VALID"})
      definition = definition.substr(0, definition.find(end));
    return without_double_parentheses(definition);
  }
  case Kind::Index:
    return without_double_parentheses(definition.substr(std::min(definition.find('('), definition.size())));
  case Kind::Trigger: {
    constexpr std::string_view mark = "EXECUTE FUNCTION ";
    auto const at = definition.find(mark);
    return std::string(at == std::string_view::npos ? definition : definition.substr(at + mark.size()));
  }
  case Kind::Function: {
    auto head = split_digest(definition).first;
    head.remove_suffix(std::min<std::size_t>(2, head.size())); // the volatility
    return std::string(head);
  }
  default:
    return std::string(definition);
  }
}

std::string key_of(const manifest::GalleryObject &fact) {
  return std::string(manifest::name_of(fact.kind)) + '\n' + std::string(fact.table) + '\n' + std::string(fact.name);
}

/// Definitions of keys, indexes, triggers and functions, by catalog and OID, names unqualified.
using Definitions = std::map<std::pair<Oid, Oid>, std::string>;

Definitions read_definitions(const backend::Spi &spi, const Survey &survey, const std::vector<FoundObject> &objects) {
  static const std::map<Kind, const char *> queries = {
      {Kind::Constraint, "SELECT o.oid, pg_get_constraintdef(o.oid) FROM pg_constraint o WHERE o.oid = ANY "},
      {Kind::Index, "SELECT o.oid, pg_get_indexdef(o.oid) FROM pg_class o WHERE o.oid = ANY "},
      {Kind::Trigger, "SELECT o.oid, pg_get_triggerdef(o.oid) FROM pg_trigger o WHERE o.oid = ANY "},
      {Kind::Function,
       "SELECT o.oid, pg_get_function_result(o.oid) || ' ' || l.lanname::text || ' v' FROM pg_proc o JOIN"
       " pg_language l ON l.oid = o.prolang WHERE o.oid = ANY "}};
  Definitions definitions;
  for (const auto &[kind, sql] : queries) {
    std::string list;
    Oid catalog = InvalidOid;
    for (const auto &object : objects)
      if (object.fact->kind == kind) {
        list += (list.empty() ? "" : ",") + std::to_string(object.oid);
        catalog = object.class_oid;
      }
    if (list.empty())
      continue;
    for (auto &row : spi.query(sql + ("('{" + list + "}'::oid[])"))) {
      auto const oid = static_cast<Oid>(std::stoul(row[0].value_or("0")));
      definitions[{catalog, oid}] = survey.unqualified(row[1].value_or(""));
    }
  }
  return definitions;
}

class Judge {
public:
  Judge(const Survey &survey, const Identity &identity, Definitions definitions)
      : survey_(survey), identity_(identity), definitions_(std::move(definitions)) {}

  /// Why the object is not what the recorded migrations made; empty where it is. A `whole` table lacks no column.
  [[nodiscard]] std::string objection(const FoundObject &found, bool whole) const {
    const auto &fact = *found.fact;
    if (fact.kind == Kind::Table)
      return table_objection(fact, whole);
    if (fact.kind == Kind::Function && found.owner != survey_.ledger.owner)
      return "belongs to \"" + found.owner + '"';
    auto const shapes = manifest::shapes_of(fact.kind, fact.table, fact.name);
    if (shapes.empty())
      return {};
    auto const there = essence(fact.kind, definition_of(found));
    if (std::any_of(shapes.begin(), shapes.end(),
                    [&](const GalleryShape &shape) { return essence(fact.kind, shape.definition) == there; }))
      return {};
    return "is \"" + there + "\", Gallery makes \"" + essence(fact.kind, shapes.back().definition) + '"';
  }

  /// A table that has all columns which its migration gave it, though that is not recorded: no user makes such a table.
  /// One or the other may be left alone, but not one that is `read`, nor all of them where nothing is recorded.
  [[nodiscard]] bool is_lost(const FoundObject &found, bool read) const {
    const auto &fact = *found.fact;
    if (!(read || identity_.ran.empty()) || fact.kind != Kind::Table || identity_.recorded(fact.migration) ||
        !table_objection(fact, false).empty())
      return false;
    auto const known = manifest::shapes_of(Kind::Column, fact.name);
    return !known.empty() && std::all_of(known.begin(), known.end(), [&](const GalleryShape &shape) {
      return shape.migration != fact.migration || !shape.removed_by.empty() || is_there(shape);
    });
  }

  /// Tables of other names with just the columns that the recorded migrations gave this one, which is missing.
  [[nodiscard]] std::vector<Renamed> renamed(const std::string &missing) const {
    std::map<std::string, std::string> made;
    for (const auto &shape : manifest::shapes_of(Kind::Column, missing))
      if (is_made(shape))
        made.emplace(shape.name, type_of(shape.definition));
    std::map<std::string, std::map<std::string, std::string>> tables;
    for (const auto &[name, type] : survey_.columns)
      tables[name.first].emplace(name.second, type_of(type));
    std::vector<Renamed> found;
    for (const auto &[table, columns] : tables)
      if (!made.empty() && columns == made && !manifest::is_gallery_table(table))
        found.push_back({missing, table});
    return found;
  }

private:
  [[nodiscard]] std::string definition_of(const FoundObject &found) const {
    if (found.fact->kind == Kind::Column)
      return survey_.columns.at({std::string(found.fact->table), std::string(found.fact->name)});
    auto const definition = definitions_.find({found.class_oid, found.oid});
    return definition == definitions_.end() ? std::string() : definition->second;
  }

  [[nodiscard]] bool is_made(const GalleryShape &shape) const {
    return identity_.recorded(shape.migration) && (shape.removed_by.empty() || !identity_.recorded(shape.removed_by));
  }

  [[nodiscard]] bool is_there(const GalleryShape &shape) const {
    TableName const name(std::string(shape.table), std::string(shape.name));
    switch (shape.kind) {
    case Kind::Column:
      return survey_.columns.contains(name);
    case Kind::Index: {
      auto const index = survey_.relations.find(name.second);
      return index != survey_.relations.end() && index->second.table == name.first;
    }
    case Kind::Constraint:
      return survey_.constraints.contains(name);
    default:
      return survey_.triggers.contains(name);
    }
  }

  [[nodiscard]] std::string table_objection(const manifest::GalleryObject &fact, bool whole) const {
    std::string const table(fact.name);
    if (auto const reason = survey_.untrusted.find(table); reason != survey_.untrusted.end())
      return reason->second;
    // A view or a sequence of a table's name is not what Gallery made.
    if (!survey_.has_table(table))
      return "is no table";
    auto const known = manifest::shapes_of(Kind::Column, table);
    if (known.empty())
      return {};
    std::size_t columns = 0;
    for (auto column = survey_.columns.lower_bound({table, ""});
         column != survey_.columns.end() && column->first.first == table; ++column, ++columns) {
      auto const &name = column->first.second;
      auto const shapes = manifest::shapes_of(Kind::Column, table, name);
      if (shapes.empty())
        return "has the column \"" + name + "\", which Gallery does not make";
      if (std::none_of(shapes.begin(), shapes.end(),
                       [&](const GalleryShape &shape) { return type_of(shape.definition) == type_of(column->second); }))
        return "has the column \"" + name + "\" of type " + column->second + ", Gallery makes it " +
               std::string(type_of(shapes.back().definition));
    }
    if (whole)
      for (const auto &shape : known)
        if (is_made(shape) && !is_there(shape))
          return "lacks the column \"" + std::string(shape.name) + '"';
    return columns == 0 ? std::string() : share_objection(table);
  }

  /// Primary keys do not count: any table may have one of that name.
  [[nodiscard]] std::string share_objection(const std::string &table) const {
    std::size_t made = 0;
    std::size_t there = 0;
    for (auto kind : {Kind::Column, Kind::Index, Kind::Constraint, Kind::Trigger})
      for (const auto &shape : manifest::shapes_of(kind, table))
        if (is_made(shape) && !shape.name.ends_with("_pkey")) {
          ++made;
          there += is_there(shape) ? 1 : 0;
        }
    if (there * least_share >= made)
      return {};
    return "has " + std::to_string(there) + " of the " + std::to_string(made) + " parts that Gallery makes";
  }

  const Survey &survey_;
  const Identity &identity_;
  Definitions definitions_;
};

} // namespace

Evidence find_objects(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                      bool (*is_read)(const manifest::GalleryObject &)) {
  Evidence evidence;
  // Without Gallery's ledger a table of the lock's name is somebody's own.
  for (const char *name : {"gallery_migrations", "gallery_migrations_lock"})
    if (survey.fork_ledger && survey.has_table(name))
      evidence.ledgers.emplace_back(name);
  std::vector<FoundObject> named;
  for (const auto &fact : manifest::gallery_objects())
    if (auto found = survey.find(fact))
      named.push_back(std::move(*found));
  Judge const judge(survey, identity, read_definitions(spi, survey, named));

  for (const auto &fact : manifest::gallery_objects())
    if (fact.kind == Kind::Table && is_read(fact) && identity.recorded(fact.migration) &&
        (fact.removed_by.empty() || !identity.recorded(fact.removed_by)) &&
        !survey.relations.contains(std::string(fact.name)))
      for (auto &renamed : judge.renamed(std::string(fact.name)))
        evidence.renamed.push_back(std::move(renamed));

  // Several migrations may make an object of one name: any of them that is recorded will do.
  std::set<std::string> taken;
  std::set<std::string_view> tables; // Gallery's own, which are sorted before their parts
  std::vector<Stranger> strangers;
  for (auto &found : named) {
    const auto &fact = *found.fact;
    Stranger stranger{found, false, is_read(fact), judge.is_lost(found, is_read(fact)),
                      "no recorded migration makes it"};
    stranger.recorded =
        identity.recorded(fact.migration) && (fact.removed_by.empty() || !identity.recorded(fact.removed_by));
    bool const part = fact.kind != Kind::Table && manifest::is_gallery_table(fact.table); // it goes with its table
    if (stranger.recorded)
      stranger.why = part ? std::string() : judge.objection(found, stranger.read);
    if (stranger.recorded && stranger.why.empty() && (!part || tables.contains(fact.table))) {
      if (taken.insert(key_of(fact)).second)
        evidence.objects.push_back(std::move(found));
      if (fact.kind == Kind::Table)
        tables.insert(fact.name);
    } else if (!part) {
      strangers.push_back(std::move(stranger));
    }
  }
  evidence.any_ledger = identity.is_gallery;
  if (!identity.is_gallery && std::count_if(strangers.begin(), strangers.end(),
                                            [](const Stranger &stranger) { return stranger.lost; }) < least_lost)
    for (auto &stranger : strangers)
      stranger.lost = false;
  // A recorded one says more than one that is not.
  std::stable_partition(strangers.begin(), strangers.end(), [](const Stranger &stranger) { return stranger.recorded; });
  for (auto &stranger : strangers)
    if (taken.insert(key_of(*stranger.object.fact)).second)
      evidence.strangers.push_back(std::move(stranger));
  return evidence;
}

} // namespace gallery
