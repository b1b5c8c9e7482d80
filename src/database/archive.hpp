// The archive: a schema of two plain tables in which a revert writes down what it removes and overwrites. Nothing of it
// needs Immich's schema or an extension's types, so it outlives both.
#pragma once

#include "backend/spi.hpp"

namespace gallery {

inline constexpr const char *archive_schema = "gallery_archive";
/// The rows that went or were overwritten.
inline constexpr const char *archived_rows = "gallery_archive.rows";
/// What else was there: versions, settings, ledgers, definitions, and in words what the rows are.
inline constexpr const char *archived_facts = "gallery_archive.facts";

/// A table of the archive; `columns` are as CREATE TABLE takes them and as the catalog shows them.
struct ArchiveTable {
  const char *name;
  const char *columns;
  const char *comment;
};

inline constexpr std::array<ArchiveTable, 2> archive_tables = {{
    {"rows", "run integer, step integer, table_name text, change text, key jsonb, content jsonb, why text",
     "Each row that gallery_revert() removed or overwrote: in which run and by which step of its plan, of which table, "
     "what was done (table: dropped with it, column: only these columns were dropped, delete, update), its primary "
     "key, "
     "its content as it was, and why."},
    {"facts", "run integer, kind text, name text, value jsonb",
     "What else was there before a run of gallery_revert(): run (when, versions, settings), the rows of the ledgers "
     "and "
     "of version_history, definitions of what was dropped, and thing: what the rows were in words."},
}};

/// A schema of the archive's name.
struct Archive {
  Oid owner_oid = InvalidOid;
  std::string owner;
  std::string strange; // why it is not to be taken for an archive of ours; empty where it is one
};

/// Looks in the catalog only.
std::optional<Archive> find_archive(const backend::Spi &spi);

} // namespace gallery
