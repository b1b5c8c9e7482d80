// The checks of the ledger and of the target.
#include "readiness/checks.hpp"

#include "manifest/links.hpp"
#include "settings.hpp"

#include <algorithm>
#include <cstring>
#include <tuple>

namespace gallery {

using backend::literal;

Finding check_ledger(const backend::Spi &spi, Ledger &ledger) {
  constexpr const char *name = "ledger";
  auto ledgers = find_ledgers(spi, "kysely_migrations");
  if (ledgers.empty())
    return blocked(
        name, ERRCODE_UNDEFINED_TABLE, "this database holds no Immich",
        "There is no table \"kysely_migrations\" with text columns \"name\" and \"timestamp\" in any schema.",
        "Connect to the database that Immich uses; its default name is \"immich\" (psql: \\c immich).");
  if (ledgers.size() > 1) {
    std::vector<std::string> names;
    for (const auto &found : ledgers)
      names.push_back(quoted(found.schema) + '.' + quoted(found.table));
    return blocked(name, ERRCODE_INVALID_DATABASE_DEFINITION, "this database holds more than one Immich",
                   "Ledgers: " + list_lines(names),
                   "Immich itself looks for its ledger in every schema. Move one of them to a database of its own, or "
                   "drop the one that "
                   "is not in use.");
  }
  ledger = std::move(ledgers.front());
  return ok(name, "ledger " + quoted(ledger.schema) + '.' + quoted(ledger.table));
}

Finding check_migrations(const Identity &identity) {
  constexpr const char *name = "migrations";
  if (!identity.repeated.empty())
    return blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                   "the ledger records " + std::to_string(identity.repeated.size()) +
                       (identity.repeated.size() == 1 ? " migration" : " migrations") + " more than once",
                   list_lines(quoted_all(identity.repeated)),
                   "Immich would not start. It looks like a backup that was restored twice, without its keys; photos "
                   "may then be there twice as well. Restore it again, into an empty database. If only this table is "
                   "affected, connect as the role that owns it and run: DELETE FROM kysely_migrations a USING "
                   "kysely_migrations b WHERE a.name = b.name AND a.ctid > b.ctid;");
  if (!identity.unknown.empty())
    return blocked(name, ERRCODE_FEATURE_NOT_SUPPORTED,
                   "the ledger records " + std::to_string(identity.unknown.size()) +
                       (identity.unknown.size() == 1 ? " migration" : " migrations") +
                       " that this version of gallery_revert does not know",
                   list_lines(quoted_all(identity.unknown)),
                   "They come from a newer Gallery, a newer Immich or another fork. Install a newer version, from " +
                       manifest::home() + "; nothing is guessed.");
  return ok(name, "every recorded migration is known");
}

Finding check_prefix(const Identity &identity) {
  constexpr const char *name = "ledger order";
  if (identity.native_migrations == 0 && identity.missing.empty())
    return blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the ledger records no migration of Immich",
                   "Immich would run all of its migrations from the first one on, which fails where its tables are.",
                   "Restore a dump, or at least its table \"kysely_migrations\".");
  if (!identity.missing.empty())
    return blocked(
        name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "migrations of Immich are missing in the middle of the ledger",
        "Not recorded, though later ones are:\n" + list_lines(quoted_all(identity.missing)),
        identity.is_gallery ? "Immich would not start. Start the newest Gallery once, so that it runs them, then run "
                              "gallery_revert() again."
                            : "Immich does not start with this. Run: SELECT * FROM immich_recovery_advice();");
  if (auto const changes = repair_order(identity.native_rows); !changes.empty()) {
    std::vector<std::string> names;
    names.reserve(changes.size());
    for (const auto &change : changes)
      names.push_back(quoted(change.name) + " at " + change.from);
    return warning(name,
                   std::to_string(changes.size()) +
                       (changes.size() == 1 ? " row of the ledger is" : " rows of the ledger are") + " out of order",
                   list_lines(names),
                   identity.is_gallery
                       ? "gallery_revert() repairs the timestamps; Immich accepts only the order of the names."
                       : "Immich accepts only the order of the names. Run: SELECT immich_repair_migration_order();");
  }
  return ok(name, std::to_string(identity.native_migrations) + " migrations of Immich, in order");
}

Finding check_unrecorded(const Identity &identity, const std::vector<Drift> &drift) {
  constexpr const char *name = "unrecorded";
  // On an Immich its own schema-check tells; nothing of it is changed here.
  if (!identity.is_gallery || !identity.missing.empty())
    return ok(name, "");
  using manifest::Kind;
  using Key = std::tuple<Kind, std::string_view, std::string_view>;
  std::map<Key, int> first_of;
  for (const auto &fact : manifest::native_catalog()) {
    auto const [place, fresh] = first_of.try_emplace(Key(fact.kind, fact.table, fact.name), fact.first);
    if (!fresh)
      place->second = std::min(place->second, fact.first);
  }
  std::vector<std::string> lines;
  for (const auto &difference : drift) {
    // An index of such a name may be a user's own.
    if (difference.what != Drift::What::extra || difference.kind == Kind::Index)
      continue;
    auto const first = first_of.find(Key(difference.kind, difference.table, difference.name));
    if (first != first_of.end() && first->second > identity.native_migrations)
      lines.push_back(difference.text().substr(std::strlen("extra: ")) + " is of " +
                      quoted(manifest::immich_migrations()[static_cast<std::size_t>(first->second - 1)]));
  }
  if (lines.empty())
    return ok(name, "");
  return blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the schema is newer than the ledger says",
                 list_lines(lines),
                 "Rows are missing at the end of table \"kysely_migrations\". Immich would run these migrations again "
                 "and stop at its start. Put the table's rows back from the backup that the rest of the database is "
                 "from.");
}

Finding check_target(const Identity &identity, const manifest::ImmichRelease *&target) {
  constexpr const char *name = "target";
  const auto *automatic = choose_target(identity.native_migrations, identity.immich_base);
  if (automatic == nullptr)
    return blocked(name, ERRCODE_FEATURE_NOT_SUPPORTED, "no known Immich release fits this database", "",
                   "Install a newer version, from " + manifest::home() + ".");
  auto const wanted = settings::target();
  if (wanted.empty()) {
    target = automatic;
    return ok(name, "Immich " + std::string(target->tag) + " fits");
  }
  auto const version = parse_version(wanted);
  if (!version)
    return blocked(name, ERRCODE_INVALID_PARAMETER_VALUE,
                   "gallery.revert_target " + quoted(wanted) + " is not a release tag", "",
                   "Use a tag such as " + std::string(automatic->tag) + ", or none: RESET gallery.revert_target;");
  const auto *release = find_release(wanted);
  std::string const earliest =
      "The earliest that works: SET gallery.revert_target = " +
      literal(std::string(choose_first(identity.native_migrations, identity.immich_base)->tag)) +
      "; or let it be chosen: RESET gallery.revert_target;";
  if (release == nullptr)
    return blocked(name, ERRCODE_FEATURE_NOT_SUPPORTED,
                   "Immich " + version->tag() + " is not a release that gallery_revert knows",
                   "It knows " + std::string(manifest::immich_releases().front().tag) + " to " +
                       std::string(manifest::immich_releases().back().tag) + ".",
                   earliest);
  if (release->migrations < identity.native_migrations)
    return blocked(name, ERRCODE_FEATURE_NOT_SUPPORTED,
                   "Immich " + std::string(release->tag) + " is too old for this database",
                   "It ships " + std::to_string(release->migrations) + " migrations, the database has run " +
                       std::to_string(identity.native_migrations) + "; the first it does not ship is " +
                       quoted(manifest::immich_migrations()[static_cast<std::size_t>(release->migrations)]) +
                       ". Migrations of Immich are never undone.",
                   earliest);
  if (version < identity.immich_base)
    return blocked(name, ERRCODE_FEATURE_NOT_SUPPORTED,
                   "Immich " + std::string(release->tag) + " is too old for this database",
                   "Gallery ran here on the base of Immich " + identity.immich_base.tag() +
                       ", and its data is that of that release.",
                   earliest);
  target = release;
  return ok(name, "Immich " + std::string(target->tag) + ", as set");
}

} // namespace gallery
