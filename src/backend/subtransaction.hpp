// A subtransaction that is always rolled back: for reading that must leave no lock behind.
#pragma once

#include "backend/postgres.hpp"

namespace backend {

/// Everything done while the object lives is undone when it goes, also when an error passes through it; locks taken are
/// let go.
class Subtransaction {
public:
  Subtransaction();
  ~Subtransaction();
  Subtransaction(const Subtransaction &) = delete;
  Subtransaction &operator=(const Subtransaction &) = delete;

private:
  void *owner_;
};

/// A subtransaction of which everything stays if it is kept, as if done without it; otherwise it is undone as above.
class Savepoint {
public:
  Savepoint();
  ~Savepoint();
  Savepoint(const Savepoint &) = delete;
  Savepoint &operator=(const Savepoint &) = delete;
  void keep();

private:
  void *owner_;
  bool open_ = true;
};

} // namespace backend
