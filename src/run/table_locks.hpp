// The locks of a revert on tables, and who is in the way of them.
#pragma once

#include "backend/guard.hpp"
#include "backend/subtransaction.hpp"
#include "plan/plan.hpp"
#include "readiness/call.hpp"

namespace gallery {

/// The locks of a revert, and what is left of gallery.revert_lock_timeout, which is for all of them together.
class Locks {
public:
  explicit Locks(const Call &call);

  /// Waits until every table of the ledger's schema can be read, without standing in a queue of clients; throws 55P03
  /// with the names of those in the way otherwise. Leaves ACCESS SHARE locks.
  void wait_to_read(const backend::Spi &spi);

  /// Takes what a plan needs and is not held yet, in OID order; throws 55P03 with the holders' names otherwise.
  /// Returns whether there was anything to take.
  bool take(const backend::Spi &spi, const Survey &survey, const Plan &plan);

  /// The locks are gone with a subtransaction in which they were taken.
  void forget() { held_.clear(); }

private:
  Call call_;
  std::int64_t left_; // milliseconds
  std::set<Oid> held_;
};

/// Who holds locks l (of pg_locks) that `which` is true of, and is not this session: each as a line for a detail.
std::string holders_sql(const std::string &which);

/// The refusal 55P03 that names who holds locks on the table, or, where that is not known (InvalidOid), who keeps
/// others from reading any table of this database.
backend::Refusal cannot_lock(const backend::Spi &spi, Oid table, const std::string &name, const Call &call);

/// Runs what only reads, and leaves no lock behind. Where a lock keeps it from reading, throws the refusal 55P03 that
/// names who holds it. The result must not need the subtransaction it was made in.
template <typename Look>
auto without_locks(const Call &call, Look look) {
  try {
    backend::Subtransaction const undone;
    return look();
  } catch (const backend::ServerError &error) {
    if (error.data->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
      throw;
  }
  throw [&] {
    backend::Spi const spi; // closed before the throw, as who catches it may go on
    return cannot_lock(spi, InvalidOid, "", call);
  }();
}

} // namespace gallery
