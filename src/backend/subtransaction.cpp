// An internal subtransaction of the server as an object.
#include "backend/subtransaction.hpp"

#include "backend/guard.hpp"

extern "C" {
#include "access/xact.h"
#include "utils/resowner.h"
}

namespace backend {

Subtransaction::Subtransaction() : owner_(CurrentResourceOwner) {
  // Results, and errors on their way out, must outlive the subtransaction: guard() keeps to the caller's memory
  // context.
  guard([]() noexcept { BeginInternalSubTransaction(nullptr); });
}

Subtransaction::~Subtransaction() {
  auto roll_back = [this]() noexcept {
    RollbackAndReleaseCurrentSubTransaction();
    CurrentResourceOwner = static_cast<ResourceOwner>(owner_);
  };
  if (ErrorData *error = run_guarded([](void *arg) { (*static_cast<decltype(roll_back) *>(arg))(); }, &roll_back))
    elog(WARNING, "could not roll back a subtransaction: %s", error->message);
}

} // namespace backend
