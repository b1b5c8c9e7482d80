// Whom the database is believed: which tables of a schema hold nothing but their owner's own code, so that they may be
// read and changed with that owner's rights. Asked of the catalog alone: planning a query already runs the code of a
// table's indexes, policies and statistics, so the question comes before the first query that names a table.
#pragma once

#include "backend/spi.hpp"

#include <array>
#include <map>

namespace gallery {

/// The tables of a schema that may not be touched with the rights of `owner`, by name, each with the reason: it belongs
/// to another role, a table that inherits from it does, or it runs a function or an operator of a role that is neither
/// the owner nor a superuser (in an index, a trigger, a default, a constraint, a policy, a rule, a domain, statistics):
/// itself, by its children, or by a table of the user's, in any schema, that a key to it changes.
std::map<std::string, std::string> untrusted_tables(const backend::Spi &spi, Oid schema, Oid owner);

/// Functions and operators in the schemas of a search path that belong to neither the owner nor a superuser and are
/// called as something of the server's, of an extension's or of the owner's: code that names those without a schema
/// could run them instead. Functions of theirs that event triggers run, as well. Each as a line for a detail.
std::vector<std::string> shadows(const backend::Spi &spi, const std::vector<std::string> &path, Oid owner);

/// The same as questions, of whatever database: `schema` and `owner` are expressions of type oid. Rows of a table and a
/// reason, of which the first counts; rows of one text.
std::array<std::string, 3> untrusted_sql(const std::string &schema, const std::string &owner);
std::string shadows_sql(const std::vector<std::string> &path, const std::string &owner);

} // namespace gallery
