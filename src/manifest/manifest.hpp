// What is known of Gallery and Immich, as tables of facts. The facts themselves are the lines of the .inc files beside
// this one; a new release is new lines there. Nothing of the server is included here.
#pragma once

#include <array>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace manifest {

/// Kinds of catalog objects, in the order the tables of facts are sorted by.
enum class Kind { Enum, Extension, Sequence, Table, Column, Index, Constraint, Trigger, Function, Override };

/// The kind's name as users see it: "table", "column", ...
std::string_view name_of(Kind kind);

/// A released Immich version. Its migrations are the first `migrations` names of immich_migrations().
struct ImmichRelease {
  std::string_view tag;  // v2.7.5
  std::string_view date; // of the release, or empty
  int migrations;
};

/// What releases want of the database server: its own major version, or that of a vector extension.
struct ServerRange {
  std::string_view what;   // PostgreSQL, or an extension
  std::string_view first;  // release
  std::string_view last;   // release, or empty: the newest known
  std::string_view from;   // a version
  std::string_view before; // a version
};

/// A name that only unreleased Immich builds recorded, and the released name it became (empty: none).
struct RenamedMigration {
  std::string_view name;
  std::string_view released_as;
};

/// Where a Gallery migration was seen: in releases; in release candidates only; on branches only.
enum class Origin { released, candidate, branch };

struct GalleryMigration {
  std::string_view name;
  Origin origin;
  std::string_view earliest;   // the first release that can have recorded it
  std::string_view surely;     // the first release that surely records it
  std::string_view renamed_to; // today's name of the same migration, or empty
  [[nodiscard]] constexpr std::string_view canonical() const { return renamed_to.empty() ? name : renamed_to; }
};

/// A Gallery release known by name and the Immich release it is based on.
struct GalleryRelease {
  std::string_view tag;
  std::string_view immich;
};

/// A catalog object that a Gallery migration makes.
struct GalleryObject {
  Kind kind;
  std::string_view table; // of a table itself: its name; of a function: empty
  std::string_view name;  // of a function: with its argument types
  std::string_view migration;
  std::string_view removed_by; // a later Gallery migration, or empty
};

/// What a fork's own script may leave behind though it is not Immich's (any more), and Immich fails at.
struct Leftover {
  Kind kind; // trigger or function
  std::string_view table;
  std::string_view name;
  std::string_view why;
};

/// How a Gallery migration makes an object, or a part of one of Gallery's own tables.
struct GalleryShape {
  Kind kind;
  std::string_view table;
  std::string_view name;       // of a function: with its argument types
  std::string_view definition; // as in NativeObject
  std::string_view migration;
  std::string_view removed_by; // the later migration that changes or removes it, or empty
};

/// A fact of Immich's schema, valid from migration count `first` to `last`.
struct NativeObject {
  Kind kind;
  std::string_view table;
  std::string_view name;
  std::string_view definition; // as PostgreSQL 15 prints it, names unqualified
  int first;
  int last;
};

/// A place in a JSON value, as keys from the top.
using JsonPath = std::span<const std::string_view>;

std::span<const std::string_view> immich_migrations();
std::span<const ImmichRelease> immich_releases();
std::span<const ServerRange> immich_servers();
std::span<const RenamedMigration> renamed_migrations();
std::span<const GalleryMigration> gallery_migrations();
std::span<const GalleryRelease> gallery_releases();
std::span<const GalleryObject> gallery_objects();
std::span<const GalleryShape> gallery_shapes();
std::span<const Leftover> leftovers();
std::span<const NativeObject> native_catalog();
/// What only Gallery writes in system_metadata's 'system-config', and in user_metadata's 'preferences'.
std::span<const JsonPath> gallery_config_paths();
std::span<const JsonPath> gallery_preference_paths();
std::span<const std::string_view> gallery_metadata_keys();
std::span<const std::string_view> gallery_permissions();
std::span<const std::string_view> gallery_checkpoint_types();

/// The row that migration_overrides holds for an object (function, trigger or index; empty for other kinds):
/// kind_name, the name without argument types.
std::string override_name(Kind kind, std::string_view name);

/// The first and the last migration count that native_catalog() covers.
inline constexpr int first_native_count = 55;
inline constexpr int last_native_count = 100;

const GalleryMigration *find_gallery_migration(std::string_view name);
const RenamedMigration *find_renamed_migration(std::string_view name);
/// Does Immich's schema have such an object after so many migrations?
bool is_native(Kind kind, std::string_view table, std::string_view name, int migrations);
/// The names of all tables that Immich, or Gallery, ever had.
std::set<std::string> native_tables();
std::set<std::string> gallery_tables();
/// Is it the name of one of Gallery's own tables?
bool is_gallery_table(std::string_view table);
/// The rows of gallery_shapes() for an object, one for each migration that changed it; for a table with an empty name
/// all of its parts of that kind.
std::span<const GalleryShape> shapes_of(Kind kind, std::string_view table, std::string_view name = {});
/// Position in immich_migrations(), or -1.
int find_immich_migration(std::string_view name);

} // namespace manifest
