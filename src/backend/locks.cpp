// Polling for table locks.
#include "backend/locks.hpp"

#include "backend/guard.hpp"
#include "backend/local_settings.hpp"
#include "backend/subtransaction.hpp"

#include <algorithm>

extern "C" {
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

namespace backend {

namespace {

constexpr long poll_milliseconds = 20;

/// How long an autovacuum may take to end after it was told to.
constexpr std::int64_t farewell_milliseconds = 1000;

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

/// Does the server send this process away for whoever waits for its lock? May be out of date at once, which then costs
/// a moment's wait.
bool is_autovacuum(int pid) {
  const PGPROC *const proc = pid == 0 ? nullptr : BackendPidGetProc(pid);
  return proc != nullptr && (proc->statusFlags & PROC_IS_AUTOVACUUM) != 0 &&
         (proc->statusFlags & PROC_VACUUM_FOR_WRAPAROUND) == 0;
}

bool holds_against(const LockInstanceData &lock, LOCKMODE level) {
  for (LOCKMODE held = 1; held <= MaxLockMode; ++held)
    if ((lock.holdMask & LOCKBIT_ON(held)) != 0 && DoLockModesConflict(held, level))
      return true;
  return false;
}

/// Is autovacuum all that is in the way of a lock of that level, and a wait for one of the level `queue` a wait for it?
bool is_autovacuums(Oid table, LOCKMODE level, LOCKMODE queue) {
  return guard([=]() noexcept {
    LOCKTAG tag;
    SET_LOCKTAG_RELATION(tag, MyDatabaseId, table);
    LockData *const all = GetLockStatusData();
    bool found = false;
    bool others = false;
    for (int i = 0; i < all->nelements; ++i) {
      const LockInstanceData &lock = all->locks[i];
      if (std::memcmp(&lock.locktag, &tag, sizeof(tag)) != 0 || lock.pid == MyProcPid)
        continue;
      bool const in_the_way = holds_against(lock, level);
      bool const goes = in_the_way && is_autovacuum(lock.pid) && holds_against(lock, queue);
      found = found || goes;
      others = others || lock.waitLockMode != NoLock || in_the_way != goes; // who waits is not waited behind
    }
    pfree(all->locks);
    pfree(all);
    return found && !others;
  });
}

/// Stands in the queue until the lock is had or the time is over, then lets go.
void stand_in_queue(Oid table, LOCKMODE level, std::int64_t milliseconds) {
  try {
    Subtransaction const undone;
    LocalSettings limit;
    limit.set("lock_timeout", std::to_string(milliseconds));
    guard([=]() noexcept { LockRelationOid(table, level); });
  } catch (const ServerError &error) {
    if (error.data->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE && error.data->sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED)
      throw;
  }
}

} // namespace

void lock_to_read(const std::vector<Oid> &tables) {
  for (Oid table : tables)
    guard([=]() noexcept { LockRelationOid(table, AccessShareLock); });
}

std::int64_t clock_milliseconds() {
  return GetCurrentTimestamp() / 1000; // reads the clock, cannot raise
}

Oid lock_all(const std::vector<Oid> &tables, LockMode mode, Autovacuum autovacuum, std::int64_t &left) {
  LOCKMODE const level = mode == LockMode::access_share ? AccessShareLock : AccessExclusiveLock;
  LOCKMODE const queue = mode == LockMode::access_share ? AccessShareLock : ShareUpdateExclusiveLock;
  auto const deadline = clock_milliseconds() + left;
  for (;;) {
    auto const busy = std::find_if(tables.begin(), tables.end(), [=](Oid table) { return !is_free(table, level); });
    Oid const missed = busy == tables.end() ? try_all(tables, level) : *busy;
    left = std::max<std::int64_t>(0, deadline - clock_milliseconds());
    if (missed == InvalidOid || left == 0)
      return missed;
    if (autovacuum == Autovacuum::ends && left > DeadlockTimeout && is_autovacuums(missed, level, queue))
      stand_in_queue(missed, queue, std::min(left, DeadlockTimeout + farewell_milliseconds));
    else
      sleep_a_moment(std::min<long>(poll_milliseconds, static_cast<long>(left)));
  }
}

} // namespace backend
