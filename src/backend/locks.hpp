// Taking many table locks at once without standing in a queue, so that nobody queues behind us and no deadlock can be.
//
// One exception: the server sends an autovacuum away for whoever stands in the queue behind it for deadlock_timeout,
// and only then. So where autovacuum alone is in the way of a table, and nobody else waits for it, we stand there for
// that moment, and let go of what we got before the next try for all tables. What keeps it harmless:
// - For a lock against which only vacuums, analyzes and changes of the table's definition stand, not the one that is
//   wanted: who reads or writes the table goes past us. The others wait for a moment at most.
// - In a subtransaction that is rolled back however it ends, by lock_timeout as well.
// - With no table lock of our own held. An autovacuum can wait only for what the caller's transaction had locked
// before;
//   should that make a circle, the server finds it, and an error of ours counts as a lock that was not to be had.
// - Not if the time that is left is too short for the server to act; and not for a vacuum against wraparound, which the
//   server never sends away.
#pragma once

#include "backend/postgres.hpp"

namespace backend {

enum class LockMode { access_share, access_exclusive };

/// What to do where only autovacuum is in the way: have the server end it, as it does for any other lock, or wait for
/// its end as for anybody's.
enum class Autovacuum { ends, stays };

/// Takes locks on all of the tables, in the order given, until the end of the transaction; not before all of them can
/// be had at once, for which it waits at most `left` milliseconds. Takes the time it needed off `left`.
/// Returns InvalidOid, or the table that could not be locked at the last try (then none is held).
Oid lock_all(const std::vector<Oid> &tables, LockMode mode, Autovacuum autovacuum, std::int64_t &left);

/// Takes ACCESS SHARE locks on the tables until the end of the transaction: their names mean the same tables until
/// then. Waits in the queue, as any reader does, lock_timeout at most.
void lock_to_read(const std::vector<Oid> &tables);

/// Milliseconds of the server's clock (statement time moves on, unlike now()).
std::int64_t clock_milliseconds();

} // namespace backend
