// The proof against Immich's own schema: reads the catalog of the schema as definitions, and compares it with what the
// manifest says Immich's schema is at a migration count.
#pragma once

#include "database/survey.hpp"

namespace gallery {

/// One object of the schema as the catalog has it now, in the manifest's form (names unqualified).
struct CatalogFact {
  manifest::Kind kind;
  std::string table;
  std::string name;
  std::string definition;
};

/// A difference between what is there and what Immich's schema has.
struct Drift {
  enum class What { missing, extra, different } what;
  manifest::Kind kind;
  std::string table;
  std::string name;
  std::string expected;
  std::string found;

  /// True for everything but tables, columns, indexes, triggers and the like that were added, which Immich ignores.
  /// Immich reports it when it starts, all but the state of tables and of keys' triggers.
  [[nodiscard]] bool reported_by_immich() const;
  /// One line for a detail.
  [[nodiscard]] std::string text() const;
  bool operator==(const Drift &other) const = default;
};

struct Comparison {
  std::vector<Drift> drift;        // by kind, table, name
  std::vector<std::string> bodies; // functions whose body is another than Immich's: told, never blocking
  bool covered = true; // false where the manifest does not cover that migration count; then the rest is empty
};

/// What is no drift whether it is there or not, and however it is made: the server makes or replaces it at run time, or
/// left it behind long ago.
bool is_variable(manifest::Kind kind, std::string_view table, std::string_view name);

/// Everything in the schema that Immich's schema could have: one statement for each kind.
std::vector<CatalogFact> read_catalog(const backend::Spi &spi, const Survey &survey);

/// Compares a catalog with Immich's schema after the first `migrations` migrations. What the server makes or replaces
/// at run time (vector indexes, geodata tables), leftovers of Immich's own past and what belongs to extensions is no
/// drift.
Comparison compare_catalog(const std::vector<CatalogFact> &catalog, int migrations);

} // namespace gallery
