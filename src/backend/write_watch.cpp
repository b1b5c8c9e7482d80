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
  // A snapshot lists running transactions only below its xmax, which is the newest ended id + 1: one that holds the
  // newest id of all, open or prepared, is not in the list. It shows in that xmax is not the next id then.
  auto const next = static_cast<TransactionId>(next_);
  calm_ = GetCurrentTransactionNestLevel() == 1 && guard([next]() noexcept {
            Snapshot const now = GetLatestSnapshot();
            return now->xmax == next && now->xcnt == 0 && now->subxcnt == 0 && !now->suboverflowed;
          });
}

bool WriteWatch::nobody_wrote() const {
  auto ours = !had_id_ && has_id() ? 1U : 0U;
  // A subtransaction begun since then takes another one. These calls read the session's own state, and cannot raise.
  if (GetCurrentTransactionNestLevel() == 2 && TransactionIdIsValid(GetCurrentTransactionIdIfAny()))
    ++ours;
  return calm_ && next_id() == next_ + ours;
}

} // namespace backend
