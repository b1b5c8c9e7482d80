// An internal subtransaction of the server as an object.
#include "backend/subtransaction.hpp"

#include "backend/guard.hpp"

extern "C" {
#include "access/xact.h"
#include "utils/resowner.h"
}

namespace backend {

namespace {

void begin() {
  // Results, and errors on their way out, must outlive the subtransaction: guard() keeps to the caller's memory
  // context.
  guard([]() noexcept { BeginInternalSubTransaction(nullptr); });
}

/// For destructors: raises nothing.
void roll_back(void *owner) {
  auto body = [owner]() noexcept {
    RollbackAndReleaseCurrentSubTransaction();
    CurrentResourceOwner = static_cast<ResourceOwner>(owner);
  };
  if (ErrorData *error = run_guarded([](void *arg) { (*static_cast<decltype(body) *>(arg))(); }, &body))
    elog(WARNING, "could not roll back a subtransaction: %s", error->message);
}

} // namespace

Subtransaction::Subtransaction() : owner_(CurrentResourceOwner) {
  begin();
}

Subtransaction::~Subtransaction() {
  roll_back(owner_);
}

Savepoint::Savepoint() : owner_(CurrentResourceOwner) {
  begin();
}

Savepoint::~Savepoint() {
  if (open_)
    roll_back(owner_);
}

void Savepoint::keep() {
  guard([this]() noexcept {
    ReleaseCurrentSubTransaction();
    CurrentResourceOwner = static_cast<ResourceOwner>(owner_);
  });
  open_ = false;
}

} // namespace backend
