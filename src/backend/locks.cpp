// Polling for table locks.
#include "backend/locks.hpp"

#include "backend/guard.hpp"

#include <algorithm>

extern "C" {
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

namespace backend {

namespace {

constexpr long poll_milliseconds = 20;

/// Sleeps for a moment, or until a cancel or terminate request, which it lets through.
void sleep_a_moment(long milliseconds) {
  guard([=]() noexcept {
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  });
}

} // namespace

std::int64_t clock_milliseconds() {
  return GetCurrentTimestamp() / 1000; // reads the clock, cannot raise
}

Oid lock_all(const std::vector<Oid> &tables, LockMode mode, int timeout) {
  LOCKMODE const level = mode == LockMode::access_share ? AccessShareLock : AccessExclusiveLock;
  auto const deadline = clock_milliseconds() + timeout;
  for (;;) {
    std::size_t taken = 0;
    while (taken < tables.size() && guard([&]() noexcept { return ConditionalLockRelationOid(tables[taken], level); }))
      ++taken;
    if (taken == tables.size())
      return InvalidOid;
    Oid const missed = tables[taken];
    while (taken > 0) {
      --taken;
      guard([&]() noexcept { UnlockRelationOid(tables[taken], level); });
    }
    auto const left = deadline - clock_milliseconds();
    if (left <= 0)
      return missed;
    sleep_a_moment(std::min<long>(poll_milliseconds, static_cast<long>(left)));
  }
}

} // namespace backend
