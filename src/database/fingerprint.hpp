// What the things of a schema are, each as a short digest of all that the catalog says about it: the same in a database
// and in its restored copy, whatever server they are on, if it is of the same major. By the same SQL in both, and by
// nothing else: also where this extension is not.
#pragma once

#include "backend/spi.hpp"

#include <span>

namespace gallery {

/// A question to the catalog: rows of a thing ('table "asset"') and its digest, for the tables, functions and types of
/// the schema that are called as Immich's or Gallery's are. A table's digest covers its columns, keys, indexes,
/// triggers, rules, policies and children, and the keys of other tables that refer to it; nobody's rows, owner or
/// rights, and nothing that the server makes or replaces at run time. To be asked under catalog_settings().
std::string fingerprints_sql(const std::string &schema);

/// Settings that decide how the server prints a definition, with the values under which it is asked.
std::span<const std::pair<const char *, const char *>> catalog_settings();

} // namespace gallery
