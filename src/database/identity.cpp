// Sorts the ledger's names into Immich's, Gallery's, renamed and unknown ones, and reads releases off them.
#include "database/identity.hpp"

#include <algorithm>

namespace gallery {

using manifest::Kind;
using manifest::Origin;

namespace {

constexpr int unknown_position = -1;

/// Is the fact's object in the database (by name; a column also by type)?
bool is_there(const Survey &survey, const manifest::NativeObject &fact) {
  TableName const name(std::string(fact.table), std::string(fact.name));
  switch (fact.kind) {
  case Kind::Table:
    return survey.has_table(name.first);
  case Kind::Column: {
    auto column = survey.columns.find(name);
    return column != survey.columns.end() && fact.definition.starts_with(column->second);
  }
  case Kind::Index: {
    auto index = survey.relations.find(name.second);
    return index != survey.relations.end() && index->second.table == name.first;
  }
  case Kind::Trigger:
    return survey.triggers.contains(name);
  default:
    return true;
  }
}

/// Decides what becomes of a row of an unreleased build whose released name is not recorded. `present` tells which
/// Immich migrations are recorded, by position.
RenamedRow decide_renamed(const Survey &survey, const manifest::RenamedMigration &fact,
                          const std::vector<bool> &present) {
  RenamedRow row;
  row.fact = &fact;
  int const position = fact.released_as.empty() ? unknown_position : manifest::find_immich_migration(fact.released_as);
  if (position == unknown_position || present[static_cast<std::size_t>(position)])
    return row;

  // What the released migration makes is what the manifest has from its count on.
  std::vector<const manifest::NativeObject *> made;
  for (const auto &object : manifest::native_catalog())
    if (object.first == position + 1 && object.first > manifest::first_native_count && object.kind != Kind::Override)
      made.push_back(&object);
  bool const there =
      std::all_of(made.begin(), made.end(), [&](const auto *object) { return is_there(survey, *object); });
  bool const in_turn = std::all_of(present.begin(), present.begin() + position, [](bool b) { return b; });
  bool const last = std::none_of(present.begin() + position, present.end(), [](bool b) { return b; });
  bool const only_indexes = !made.empty() && std::all_of(made.begin(), made.end(), [](const auto *object) {
    return object->kind == Kind::Index;
  });
  // A missing index is mere drift; anything else that is not there was not made, whatever ran after it: then a hole in
  // the ledger has to be seen.
  if (!there && (last || !only_indexes))
    row.action = RenamedRow::Action::remove_unmade;
  else if (there && only_indexes && !in_turn && last) {
    row.action = RenamedRow::Action::remove_and_drop;
    row.ahead = std::move(made);
  } else
    row.action = RenamedRow::Action::rename;
  return row;
}

void sort_ledger(const Survey &survey, Identity &identity) {
  std::vector<bool> present(manifest::immich_migrations().size(), false);
  std::vector<const manifest::RenamedMigration *> renamed;
  std::map<std::string, std::string> timestamps;
  auto sort_row = [&](const LedgerRow &row, bool split) {
    if (const auto *fork = manifest::find_gallery_migration(row.name)) {
      identity.ran.insert(fork->canonical());
      identity.ran_as.insert(fork->name);
      ++identity.fork_migrations;
      if (!split)
        identity.fork_rows.push_back(row.name);
    } else if (const auto *old = manifest::find_renamed_migration(row.name)) {
      if (!split)
        renamed.push_back(old);
      else
        ++identity.fork_migrations;
    } else if (int position = manifest::find_immich_migration(row.name); position >= 0 && !split) {
      present[static_cast<std::size_t>(position)] = true;
    } else {
      identity.unknown.push_back(row.name);
    }
    if (!split)
      timestamps[row.name] = row.timestamp;
  };
  const LedgerRow *last_row = nullptr;
  for (const auto &row : survey.ledger.rows) { // by name
    if (last_row != nullptr && last_row->name == row.name && manifest::find_gallery_migration(row.name) == nullptr &&
        (identity.repeated.empty() || identity.repeated.back() != row.name))
      identity.repeated.push_back(row.name);
    last_row = &row;
    sort_row(row, false);
  }
  if (survey.fork_ledger)
    for (const auto &row : survey.fork_ledger->rows)
      sort_row(row, true);
  identity.is_gallery = survey.fork_ledger.has_value() || !identity.ran.empty();

  for (const auto *fact : renamed) {
    auto row = decide_renamed(survey, *fact, present);
    if (row.action == RenamedRow::Action::rename) {
      present[static_cast<std::size_t>(manifest::find_immich_migration(fact->released_as))] = true;
      timestamps[std::string(fact->released_as)] = timestamps[std::string(fact->name)];
    } else {
      ++identity.fork_migrations;
    }
    identity.renamed.push_back(std::move(row));
  }

  auto const names = manifest::immich_migrations();
  std::size_t last = 0;
  for (std::size_t i = 0; i < present.size(); ++i)
    if (present[i])
      last = i + 1;
  for (std::size_t i = 0; i < last; ++i) {
    if (present[i])
      identity.native_rows.push_back({std::string(names[i]), timestamps[std::string(names[i])]});
    else
      identity.missing.emplace_back(names[i]);
  }
  identity.native_migrations = static_cast<int>(identity.native_rows.size());
}

/// The Immich release that a Gallery version is based on, as far as known: that of the newest known Gallery not newer.
Version base_of(const Version &gallery) {
  Version base;
  for (const auto &release : manifest::gallery_releases())
    if (parse_version(release.tag) <= gallery)
      base = std::max(base, parse_version(release.immich).value_or(Version()));
  return base;
}

/// Reads the Gallery release off the ledger (a range) and version_history (which one in the range).
void read_release(const Survey &survey, Identity &identity) {
  std::optional<Version> started; // the newest by version_history
  std::optional<Version> from;    // by the ledger
  std::optional<Version> before;
  for (const auto &migration : manifest::gallery_migrations()) {
    if (migration.origin != Origin::released)
      continue;
    if (identity.ran_as.contains(migration.name)) {
      if (auto earliest = parse_version(migration.earliest); earliest && (!from || *from < *earliest))
        from = earliest;
    } else if (auto surely = parse_version(migration.surely);
               surely && !identity.recorded(migration.canonical()) && (!before || *surely < *before)) {
      before = surely;
    }
  }
  for (const auto &row : survey.versions) {
    auto version = parse_version(row.version);
    if (version && is_gallery_version(*version, row.date, identity)) {
      identity.immich_base = std::max(identity.immich_base, base_of(*version));
      if (!started)
        started = version;
    }
  }
  if (from)
    identity.immich_base = std::max(identity.immich_base, base_of(*from));
  // A start whose migrations ran leaves no row in version_history if it fails after them: the ledger may know better.
  if (started && (!from || *from <= *started))
    identity.gallery_release = started->tag();
  else if (from)
    identity.gallery_release =
        before && *from < *before ? from->tag() + " or later, before " + before->tag() : from->tag() + " or later";
}

} // namespace

bool is_gallery_version(const Version &version, std::string_view date, const Identity &identity) {
  Version const first = parse_version(manifest::gallery_releases().front().tag).value_or(Version());
  if (version < first)
    return false;
  // Gallery's numbers from 4.0.0 on are its own; 3.0.0 is its too.
  if (version.major == first.major && version != first)
    return false;
  const auto *immich = find_release(version.tag());
  return immich == nullptr || (identity.is_gallery && identity.native_migrations < immich->migrations) ||
         (!date.empty() && date < immich->date);
}

std::pair<const manifest::ImmichRelease *, const manifest::ImmichRelease *> releases_with(int migrations) {
  std::pair<const manifest::ImmichRelease *, const manifest::ImmichRelease *> range{nullptr, nullptr};
  for (const auto &release : manifest::immich_releases())
    if (release.migrations == migrations) {
      range.first = range.first == nullptr ? &release : range.first;
      range.second = &release;
    }
  return range;
}

const manifest::ImmichRelease *choose_target(int migrations, const Version &base) {
  const manifest::ImmichRelease *target = nullptr;
  for (const auto &release : manifest::immich_releases()) {
    auto const version = parse_version(release.tag).value_or(Version());
    if (release.migrations < migrations || version < base)
      continue;
    if (target != nullptr && !parse_version(target->tag)->same_line(version))
      break;
    target = &release;
  }
  return target;
}

const manifest::ImmichRelease *choose_first(int migrations, const Version &base) {
  for (const auto &release : manifest::immich_releases())
    if (release.migrations >= migrations && parse_version(release.tag) >= base)
      return &release;
  return nullptr;
}

const manifest::ImmichRelease *find_release(std::string_view tag) {
  auto const wanted = parse_version(tag);
  for (const auto &release : manifest::immich_releases())
    if (wanted && parse_version(release.tag) == wanted)
      return &release;
  return nullptr;
}

bool needs_objects(const Survey &survey) {
  const auto &rows = survey.ledger.rows;
  return std::any_of(rows.begin(), rows.end(), [&](const LedgerRow &row) {
    const auto *old = manifest::find_renamed_migration(row.name);
    return old != nullptr && !old->released_as.empty() &&
           std::none_of(rows.begin(), rows.end(),
                        [&](const LedgerRow &other) { return other.name == old->released_as; });
  });
}

Identity identify(const Survey &survey) {
  Identity identity;
  sort_ledger(survey, identity);
  if (identity.is_gallery)
    read_release(survey, identity);
  return identity;
}

} // namespace gallery
