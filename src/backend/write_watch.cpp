// Counts transaction ids. Every change of a row or of the catalog needs one.
#include "backend/write_watch.hpp"

#include "backend/guard.hpp"

extern "C" {
#include "access/transam.h"
#include "access/xact.h"
#include "utils/snapmgr.h"
}

namespace backend {

namespace {

std::uint64_t next_id() {
  return U64FromFullTransactionId(ReadNextFullTransactionId()); // reads shared memory, cannot raise
}

/// Has the transaction an id of its own? Outside of savepoints it takes one at most, when it first needs it.
bool has_id() {
  return TransactionIdIsValid(GetTopTransactionIdIfAny()); // reads the session's own state, cannot raise
}

} // namespace

WriteWatch::WriteWatch() : next_(next_id()), had_id_(has_id()), calm_(false) {
  calm_ = GetCurrentTransactionNestLevel() == 1 && guard([]() noexcept {
            Snapshot const now = GetLatestSnapshot();
            return now->xcnt == 0 && now->subxcnt == 0 && !now->suboverflowed;
          });
}

bool WriteWatch::nobody_wrote() const {
  auto const ours = !had_id_ && has_id() ? 1U : 0U;
  return calm_ && next_id() == next_ + ours;
}

} // namespace backend
