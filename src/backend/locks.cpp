// Polling for table locks.
#include "backend/locks.hpp"

#include "backend/guard.hpp"

#include <algorithm>

extern "C" {
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
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

/// Would a lock be had at once? Only looks: locks that are taken and given back again stay on a standby until the end
/// of the transaction, because only their taking is in the write-ahead log.
bool is_free(Oid table, LOCKMODE level) {
  return guard([=]() noexcept {
    LOCKTAG tag;
    SET_LOCKTAG_RELATION(tag, MyDatabaseId, table);
    int holders = 0;
    pfree(GetLockConflicts(&tag, level, &holders));
    return holders == 0;
  });
}

/// Takes all locks or, where one was taken by somebody else since it was looked at, none; returns that one.
Oid try_all(const std::vector<Oid> &tables, LOCKMODE level) {
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
  return missed;
}

} // namespace

std::int64_t clock_milliseconds() {
  return GetCurrentTimestamp() / 1000; // reads the clock, cannot raise
}

Oid lock_all(const std::vector<Oid> &tables, LockMode mode, std::int64_t &left) {
  LOCKMODE const level = mode == LockMode::access_share ? AccessShareLock : AccessExclusiveLock;
  auto const deadline = clock_milliseconds() + left;
  for (;;) {
    auto const busy = std::find_if(tables.begin(), tables.end(), [=](Oid table) { return !is_free(table, level); });
    Oid const missed = busy == tables.end() ? try_all(tables, level) : *busy;
    left = std::max<std::int64_t>(0, deadline - clock_milliseconds());
    if (missed == InvalidOid || left == 0)
      return missed;
    sleep_a_moment(std::min<long>(poll_milliseconds, static_cast<long>(left)));
  }
}

} // namespace backend
