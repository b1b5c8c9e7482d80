// Running somebody else's code with no more rights than he has.
#pragma once

#include "backend/postgres.hpp"

namespace backend {

/// Has the current user every right of the role: because it is that role, a member that inherits, or a superuser?
bool may_act_as(Oid role);

/// While it lives, the caller has the rights of `owner` only, as in the server's own maintenance commands: triggers,
/// policies and functions of indexes are the owner's code, and would otherwise run with all rights that the caller has.
/// Restricted also where the caller is the owner: a deferred trigger of somebody else's table, which a key leads to,
/// would run at the commit with his rights. Does nothing for InvalidOid, and for a caller who may not act as the owner.
class AsOwner {
public:
  explicit AsOwner(Oid owner);
  ~AsOwner();
  AsOwner(const AsOwner &) = delete;
  AsOwner &operator=(const AsOwner &) = delete;

private:
  friend class AsCaller;
  Oid user_ = InvalidOid;
  int context_ = 0;
};

/// While it lives, what an AsOwner has taken away is there again: for looking at other sessions, of which the caller
/// may see more than the owner.
class AsCaller {
public:
  explicit AsCaller(const AsOwner &within);
  ~AsCaller();
  AsCaller(const AsCaller &) = delete;
  AsCaller &operator=(const AsCaller &) = delete;

private:
  Oid user_ = InvalidOid;
  int context_ = 0;
};

} // namespace backend
