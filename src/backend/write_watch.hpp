// Telling whether anybody wrote anything between two moments, by transaction ids: without reading a row.
#pragma once

#include "backend/postgres.hpp"

namespace backend {

/// Remembers the moment it is made. Everything read after that is still true at a later moment if nobody_wrote() says
/// so then.
class WriteWatch {
public:
  WriteWatch();

  /// True only if it is sure that no other transaction of the whole cluster, in whatever database, was writing then or
  /// has begun to write since. What its own transaction wrote, in a Savepoint that is still open as well, does not
  /// count. False where that cannot be told, as within a savepoint of the user's.
  [[nodiscard]] bool nobody_wrote() const;

private:
  std::uint64_t next_;
  bool had_id_;
  bool calm_;
};

} // namespace backend
