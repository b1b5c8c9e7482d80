// Which Gallery and which Immich a database is, worked out from its ledgers alone, and which Immich release to switch
// to.
#pragma once

#include "database/survey.hpp"
#include "database/version.hpp"

namespace gallery {

/// A change of the ledger that takes a row of an unreleased build to what releases know.
struct RenamedRow {
  const manifest::RenamedMigration *fact = nullptr;
  enum class Action {
    remove,          // the released name is there as well, or the migration never became one
    rename,          // what it made is there: it stands for the released name
    remove_unmade,   // what it would have made is not there: a placeholder; Immich will run the released one
    remove_and_drop, // it made an index ahead of its turn: drop that, Immich will make it again
  } action = Action::remove;
  std::vector<const manifest::NativeObject *> ahead; // the indexes of remove_and_drop
};

struct Identity {
  bool is_gallery = false;
  std::vector<std::string> unknown;   // ledger names that no table of facts has
  std::vector<std::string> repeated;  // Immich's names in more than one row, which a ledger without its key may have
  std::set<std::string_view> ran;     // Gallery migrations recorded, under today's names
  std::set<std::string_view> ran_as;  // the same as recorded, old names included
  std::vector<std::string> fork_rows; // Gallery's names as recorded in kysely_migrations
  std::vector<RenamedRow> renamed;    // rows of unreleased builds and what becomes of them
  int native_migrations = 0;          // Immich migrations recorded, after the renames
  int fork_migrations = 0;            // rows of both ledgers that no release of Immich has: they go
  std::vector<std::string> missing;   // Immich migrations left out in the middle: no release accepts that
  std::vector<LedgerRow> native_rows; // the ledger's rows as they will be, by name, timestamps as recorded
  std::string gallery_release;        // "v4.57.0", or a range in words where only that is known
  Version immich_base;                // at least the base of the newest Gallery that ran (0.0.0: not known)

  [[nodiscard]] bool recorded(std::string_view migration) const { return ran.contains(migration); }
};

/// Reads all off a survey. Where needs_objects() says so the survey must have the objects too.
Identity identify(const Survey &survey);

/// True where the ledgers alone do not tell: a row of an unreleased build whose released name is not recorded.
bool needs_objects(const Survey &survey);

/// True where the version is one that Gallery records, and not Immich: where both have such a number the ledger
/// decides, if it has rows of Gallery's and too few of Immich's for that Immich; else the day (YYYY-MM-DD). Rows of
/// Immich's alone tell nothing: migrations can be skipped, and older dumps restored.
bool is_gallery_version(const Version &version, std::string_view date, const Identity &identity);

/// The releases with exactly the first `migrations` names: first and last tag, or null where no release has that set.
std::pair<const manifest::ImmichRelease *, const manifest::ImmichRelease *> releases_with(int migrations);

/// The target: the newest patch of the earliest minor line that has all `migrations` and is not older than `base`.
/// Never null for a count that the manifest knows.
const manifest::ImmichRelease *choose_target(int migrations, const Version &base);

/// The earliest release that has all `migrations` and is not older than `base`.
const manifest::ImmichRelease *choose_first(int migrations, const Version &base = {});

/// The release with that tag ("v2.7.5" or "2.7.5"), or null.
const manifest::ImmichRelease *find_release(std::string_view tag);

} // namespace gallery
