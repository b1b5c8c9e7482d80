// The result of a set-returning SQL function, row by row, in the server's memory.
#pragma once

#include "backend/spi.hpp"

namespace backend {

/// A set of rows being returned by the function that is called; fields are texts, converted to the result's column
/// types.
class ResultSet {
public:
  /// Starts the result of the function; raises 0A000 where the caller cannot take a set.
  explicit ResultSet(FunctionCallInfo fcinfo);
  /// Adds a row; it has as many fields as the function has result columns.
  void add(const Row &row);
  /// What the SQL-callable function returns.
  [[nodiscard]] static Datum done() { return 0; }

private:
  void *store_;
  void *columns_;
};

} // namespace backend
