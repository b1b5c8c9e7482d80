// The tables of facts, and the proofs at compile time that they are sorted, free of duplicates and consistent.
#include "manifest/manifest.hpp"

#include <algorithm>
#include <tuple>

namespace manifest {

namespace {

constexpr auto immich_migrations_table = std::to_array<std::string_view>({
#include "manifest/immich_migrations.inc"
});

constexpr auto immich_servers_table = std::to_array<ServerRange>({
#include "manifest/immich_servers.inc"
});

constexpr auto immich_releases_table = std::to_array<ImmichRelease>({
#include "manifest/immich_releases.inc"
});

constexpr auto renamed_table = std::to_array<RenamedMigration>({
#include "manifest/immich_renamed.inc"
});

constexpr auto gallery_migrations_table = std::to_array<GalleryMigration>({
#include "manifest/gallery_migrations.inc"
});

constexpr auto gallery_releases_table = std::to_array<GalleryRelease>({
#include "manifest/gallery_releases.inc"
});

constexpr auto gallery_objects_table = std::to_array<GalleryObject>({
#include "manifest/gallery_objects.inc"
});

constexpr auto gallery_shapes_table = std::to_array<GalleryShape>({
#include "manifest/gallery_shapes.inc"
});

constexpr auto leftovers_table = std::to_array<Leftover>({
#include "manifest/leftovers.inc"
});

constexpr auto native_table = std::to_array<NativeObject>({
#include "manifest/native_catalog.inc"
});

constexpr auto permissions_table = std::to_array<std::string_view>({
#include "manifest/gallery_permissions.inc"
});

constexpr auto checkpoints_table = std::to_array<std::string_view>({
#include "manifest/gallery_checkpoints.inc"
});

constexpr auto metadata_keys_table = std::to_array<std::string_view>({
#include "manifest/gallery_metadata_keys.inc"
});

/// A path of at most four keys, as a value that can stand in a constexpr table.
struct PathRow {
  template <typename... Keys>
  explicit constexpr PathRow(Keys... keys) : keys{std::string_view(keys)...}, size(sizeof...(keys)) {}
  std::array<std::string_view, 4> keys;
  std::size_t size;
};

#define PATH(...) PathRow(__VA_ARGS__),
constexpr auto config_rows = std::to_array<PathRow>({
#include "manifest/gallery_config_paths.inc"
});
constexpr auto preference_rows = std::to_array<PathRow>({
#include "manifest/gallery_preference_paths.inc"
});
#undef PATH

template <std::size_t N>
constexpr std::array<JsonPath, N> paths_of(const std::array<PathRow, N> &rows) {
  std::array<JsonPath, N> paths;
  for (std::size_t i = 0; i < N; ++i)
    paths[i] = JsonPath(rows[i].keys).first(rows[i].size);
  return paths;
}

constexpr auto config_paths_table = paths_of(config_rows);
constexpr auto preference_paths_table = paths_of(preference_rows);

/// True where each row's key is less than the next one's: sorted, and no key twice.
template <typename Table, typename Key>
constexpr bool strictly_sorted(const Table &table, Key key) {
  return std::adjacent_find(table.begin(), table.end(),
                            [&](const auto &a, const auto &b) { return !(key(a) < key(b)); }) == table.end();
}

constexpr auto itself = [](std::string_view name) { return name; };
constexpr auto by_name = [](const auto &row) { return row.name; };

template <typename Table>
constexpr const auto *find_by_name(const Table &table, std::string_view name) {
  auto found =
      std::lower_bound(table.begin(), table.end(), name, [](const auto &row, auto key) { return row.name < key; });
  return found != table.end() && found->name == name ? &*found : nullptr;
}

constexpr int count_of(std::string_view tag) {
  auto found = std::find_if(immich_releases_table.begin(), immich_releases_table.end(),
                            [&](const auto &release) { return release.tag == tag; });
  return found == immich_releases_table.end() ? -1 : found->migrations;
}

static_assert(strictly_sorted(immich_migrations_table, itself));
static_assert(strictly_sorted(renamed_table, by_name));
static_assert(strictly_sorted(gallery_migrations_table, by_name));
static_assert(strictly_sorted(permissions_table, itself));
static_assert(strictly_sorted(checkpoints_table, itself));
static_assert(strictly_sorted(metadata_keys_table, itself));
static_assert(strictly_sorted(gallery_objects_table,
                              [](const auto &o) { return std::tuple(o.kind, o.table, o.name, o.migration); }));
static_assert(strictly_sorted(gallery_shapes_table,
                              [](const auto &s) { return std::tuple(s.kind, s.table, s.name, s.migration); }));
static_assert(strictly_sorted(native_table,
                              [](const auto &o) { return std::tuple(o.kind, o.table, o.name, o.first); }));

// Each release ships the first so many names, never fewer than the release before it, in the end all.
static_assert(std::is_sorted(immich_releases_table.begin(), immich_releases_table.end(),
                             [](const auto &a, const auto &b) { return a.migrations < b.migrations; }));
static_assert(immich_releases_table.back().migrations == static_cast<int>(immich_migrations_table.size()));
static_assert(last_native_count == static_cast<int>(immich_migrations_table.size()));

static_assert(std::all_of(gallery_releases_table.begin(), gallery_releases_table.end(),
                          [](const auto &release) { return count_of(release.immich) > 0; }));
static_assert(std::all_of(renamed_table.begin(), renamed_table.end(), [](const auto &row) {
  return row.released_as.empty() ||
         std::binary_search(immich_migrations_table.begin(), immich_migrations_table.end(), row.released_as);
}));
static_assert(std::none_of(gallery_migrations_table.begin(), gallery_migrations_table.end(), [](const auto &row) {
  return std::binary_search(immich_migrations_table.begin(), immich_migrations_table.end(), row.name);
}));
static_assert(std::all_of(gallery_migrations_table.begin(), gallery_migrations_table.end(), [](const auto &row) {
  return row.renamed_to.empty() || find_by_name(gallery_migrations_table, row.renamed_to) != nullptr;
}));
// Each object names known migrations under today's names, and nothing is both Gallery's and Immich's at the same count.
static_assert(std::all_of(gallery_objects_table.begin(), gallery_objects_table.end(), [](const auto &object) {
  const auto *maker = find_by_name(gallery_migrations_table, object.migration);
  return maker != nullptr && maker->renamed_to.empty() &&
         (object.removed_by.empty() || find_by_name(gallery_migrations_table, object.removed_by) != nullptr);
}));
static_assert(std::all_of(gallery_shapes_table.begin(), gallery_shapes_table.end(), [](const auto &shape) {
  const auto *maker = find_by_name(gallery_migrations_table, shape.migration);
  return maker != nullptr && maker->renamed_to.empty() &&
         (shape.removed_by.empty() || find_by_name(gallery_migrations_table, shape.removed_by) != nullptr);
}));
static_assert(std::none_of(gallery_objects_table.begin(), gallery_objects_table.end(), [](const auto &object) {
  auto found = std::lower_bound(native_table.begin(), native_table.end(), object, [](const auto &a, const auto &b) {
    return std::tuple(a.kind, a.table, a.name) < std::tuple(b.kind, b.table, b.name);
  });
  return found != native_table.end() && found->kind == object.kind && found->table == object.table &&
         found->name == object.name;
}));
static_assert(std::all_of(native_table.begin(), native_table.end(), [](const auto &fact) {
  return first_native_count <= fact.first && fact.first <= fact.last && fact.last <= last_native_count;
}));

} // namespace

std::string_view name_of(Kind kind) {
  static constexpr auto names = std::to_array<std::string_view>(
      {"enum", "extension", "sequence", "table", "column", "index", "constraint", "trigger", "function", "override"});
  return names.at(static_cast<std::size_t>(kind));
}

std::span<const std::string_view> immich_migrations() {
  return immich_migrations_table;
}
std::span<const ServerRange> immich_servers() {
  return immich_servers_table;
}

std::span<const ImmichRelease> immich_releases() {
  return immich_releases_table;
}
std::span<const RenamedMigration> renamed_migrations() {
  return renamed_table;
}
std::span<const GalleryMigration> gallery_migrations() {
  return gallery_migrations_table;
}
std::span<const GalleryRelease> gallery_releases() {
  return gallery_releases_table;
}
std::span<const GalleryObject> gallery_objects() {
  return gallery_objects_table;
}
std::span<const GalleryShape> gallery_shapes() {
  return gallery_shapes_table;
}
std::span<const Leftover> leftovers() {
  return leftovers_table;
}
std::span<const NativeObject> native_catalog() {
  return native_table;
}
std::span<const JsonPath> gallery_config_paths() {
  return config_paths_table;
}
std::span<const JsonPath> gallery_preference_paths() {
  return preference_paths_table;
}
std::span<const std::string_view> gallery_metadata_keys() {
  return metadata_keys_table;
}
std::span<const std::string_view> gallery_permissions() {
  return permissions_table;
}
std::span<const std::string_view> gallery_checkpoint_types() {
  return checkpoints_table;
}

std::string override_name(Kind kind, std::string_view name) {
  if (kind != Kind::Index && kind != Kind::Trigger && kind != Kind::Function)
    return {};
  return std::string(name_of(kind)).append("_").append(name.substr(0, name.find('(')));
}

const GalleryMigration *find_gallery_migration(std::string_view name) {
  return find_by_name(gallery_migrations_table, name);
}

const RenamedMigration *find_renamed_migration(std::string_view name) {
  return find_by_name(renamed_table, name);
}

bool is_native(Kind kind, std::string_view table, std::string_view name, int migrations) {
  return std::any_of(native_table.begin(), native_table.end(), [&](const auto &fact) {
    return fact.kind == kind && fact.table == table && fact.name == name && fact.first <= migrations &&
           migrations <= fact.last;
  });
}

std::set<std::string> native_tables() {
  std::set<std::string> names;
  for (const auto &fact : native_table)
    if (fact.kind == Kind::Table)
      names.emplace(fact.table);
  return names;
}

std::set<std::string> gallery_tables() {
  std::set<std::string> names;
  for (const auto &object : gallery_objects_table)
    if (object.kind == Kind::Table)
      names.emplace(object.name);
  return names;
}

bool is_gallery_table(std::string_view table) {
  auto key_of = [](const GalleryObject &object) { return std::tuple(object.kind, object.table); };
  auto const found =
      std::partition_point(gallery_objects_table.begin(), gallery_objects_table.end(),
                           [&](const auto &object) { return key_of(object) < std::tuple(Kind::Table, table); });
  return found != gallery_objects_table.end() && key_of(*found) == std::tuple(Kind::Table, table);
}

std::span<const GalleryShape> shapes_of(Kind kind, std::string_view table, std::string_view name) {
  auto key_of = [&](const GalleryShape &shape) {
    return std::tuple(shape.kind, shape.table, name.empty() ? std::string_view() : shape.name);
  };
  auto const wanted = std::tuple(kind, table, name);
  auto const first = std::partition_point(gallery_shapes_table.begin(), gallery_shapes_table.end(),
                                          [&](const auto &shape) { return key_of(shape) < wanted; });
  auto const last = std::partition_point(first, gallery_shapes_table.end(),
                                         [&](const auto &shape) { return !(wanted < key_of(shape)); });
  return {first, last};
}

int find_immich_migration(std::string_view name) {
  auto found = std::lower_bound(immich_migrations_table.begin(), immich_migrations_table.end(), name);
  if (found == immich_migrations_table.end() || *found != name)
    return -1;
  return static_cast<int>(found - immich_migrations_table.begin());
}

} // namespace manifest
