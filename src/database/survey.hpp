// What a database holds, as far as a revert cares: its ledgers, and the objects of Immich's schema that a table of
// facts speaks of. Reading only; nothing is judged here.
#pragma once

#include "backend/spi.hpp"
#include "database/archive.hpp"
#include "database/ledger.hpp"
#include "manifest/manifest.hpp"

#include <map>
#include <set>

namespace gallery {

struct Ledger {
  Oid oid = InvalidOid;
  std::string schema;
  Oid schema_oid = InvalidOid;
  std::string table;
  std::string owner;
  Oid owner_oid = InvalidOid;
  std::vector<LedgerRow> rows;
};

/// A table or other relation of Immich's schema.
struct Relation {
  Oid oid = InvalidOid;
  char kind = 0; // as in pg_class.relkind
  std::string owner;
  std::string extension;  // that it belongs to, or empty
  std::string table;      // of an index: its table
  std::string constraint; // of an index: the constraint it stands for, or empty
  bool operator==(const Relation &other) const = default;
};

struct Function {
  Oid oid = InvalidOid;
  std::string owner;
  std::string extension;
  bool operator==(const Function &other) const = default;
};

/// A known object of Gallery's that is in the database.
struct FoundObject {
  const manifest::GalleryObject *fact = nullptr;
  Oid class_oid = InvalidOid; // the catalog it is in
  Oid oid = InvalidOid;
  int column = 0; // attribute number of a column, else 0
  std::string extension;
  std::string owner; // of a table or a function
};

struct VersionRow {
  std::string id;
  std::string version;
  std::string started; // timestamp as text
  std::string date;    // of the day, UTC, as YYYY-MM-DD
};

using TableName = std::pair<std::string, std::string>; // table, name of a thing of that table

struct Survey {
  Ledger ledger;
  std::optional<Ledger> fork_ledger; // gallery_migrations, where it is to be believed
  std::string strange_fork_ledger;   // why a table of that name is not, where it may be Gallery's all the same
  std::map<std::string, std::string> untrusted; // tables that are never touched, and why: see trust.hpp
  std::vector<std::string> shadows;             // see trust.hpp
  std::optional<Archive> archive;               // what an earlier revert left
  std::map<std::string, Relation> relations;
  std::map<TableName, std::string> columns; // type by table and column
  std::map<TableName, int> column_numbers;
  std::map<TableName, Oid> constraints;
  std::map<TableName, Oid> triggers;
  std::map<std::string, Function> functions; // by name with argument types
  std::set<std::string> overrides;
  bool deferrable = false;              // some constraint or trigger of the database may wait for the commit
  std::vector<VersionRow> versions;     // newest first
  std::vector<std::string> search_path; // that Immich's functions need: its schema and those of its extensions
  std::set<std::string> ambiguous;      // names of functions and types in these schemas that pg_catalog has too

  /// The same objects under the same OIDs: no DDL came between the two surveys that shows in them.
  [[nodiscard]] bool same_objects(const Survey &other) const;
  [[nodiscard]] const std::string &schema() const { return ledger.schema; }
  /// A definition in the manifest's form: without the schemas of search_path, unless a name means another thing then.
  [[nodiscard]] std::string unqualified(std::string definition) const;
  /// search_path as a setting's value, with pg_temp last.
  [[nodiscard]] std::string path_setting() const;
  /// A table that may be read.
  [[nodiscard]] bool has_table(const std::string &table) const;
  [[nodiscard]] bool has_column(const std::string &table, const std::string &column) const;
  /// The object if it is there under that name, of whatever origin.
  [[nodiscard]] std::optional<FoundObject> find(const manifest::GalleryObject &fact) const;
};

/// The ledgers, found in the catalog by name and columns, in any schema.
std::vector<Ledger> find_ledgers(const backend::Spi &spi, const std::string &table);
/// The same as a question: OID, schema, its OID, owner, its OID.
std::string ledgers_sql(const std::string &table);

/// Reads ledgers and version_history; `ledger` is the one from find_ledgers(). Mostly enough to identify a database.
/// Throws 42501 where the ledger itself is not to be touched.
Survey read_ledgers(const backend::Spi &spi, Ledger ledger);

/// Reads the objects of the ledger's schema as well.
void read_objects(const backend::Spi &spi, Survey &survey);

/// Reads everything.
Survey read_survey(const backend::Spi &spi, Ledger ledger);

} // namespace gallery
