// SQL from C++: a connection to SPI as an object, results as C++ values, and the server's own quoting. Every call here
// may throw ServerError.
#pragma once

#include "backend/postgres.hpp"

namespace backend {

/// A field of a result: its text, or nothing for NULL.
using Field = std::optional<std::string>;
using Row = std::vector<Field>;

/// An SPI connection for as long as the object lives. Statements see the changes of those before them, and take a new
/// snapshot each (in READ COMMITTED: what has been committed by then). No setting that code behind a statement has
/// changed outlives the statement: the next one may run with other rights.
class Spi {
public:
  Spi();
  ~Spi();
  Spi(const Spi &) = delete;
  Spi &operator=(const Spi &) = delete;

  /// The rows of a query, all fields as text.
  [[nodiscard]] std::vector<Row> query(const std::string &sql) const;

  /// Runs a statement; returns how many rows it changed (0 for DDL).
  std::uint64_t
  execute(const std::string &sql) const; // NOLINT(modernize-use-nodiscard): the count is not always needed

private:
  int uncaught_;
};

/// A name as an SQL identifier, quoted where needed.
std::string identifier(const std::string &name);

/// schema.name, each quoted where needed.
std::string qualified(const std::string &schema, const std::string &name);

/// A text as an SQL literal.
std::string literal(const std::string &text);

/// ARRAY of texts, as an SQL literal: '{...}'::pg_catalog.text[].
std::string array_literal(const std::vector<std::string> &texts);

} // namespace backend
