// Taking many table locks at once without ever standing in a queue, so that nobody queues behind us and no deadlock can
// be.
#pragma once

#include "backend/postgres.hpp"

namespace backend {

enum class LockMode { access_share, access_exclusive };

/// Takes locks on all of the tables, in the order given, until the end of the transaction; not before all of them can
/// be had at once, for which it waits at most `left` milliseconds. Takes the time it needed off `left`.
/// Returns InvalidOid, or the table that could not be locked at the last try (then none is held).
Oid lock_all(const std::vector<Oid> &tables, LockMode mode, std::int64_t &left);

/// Milliseconds of the server's clock (statement time moves on, unlike now()).
std::int64_t clock_milliseconds();

} // namespace backend
