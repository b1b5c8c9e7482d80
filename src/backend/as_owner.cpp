// Switching to a table owner's rights.
#include "backend/as_owner.hpp"

#include "backend/guard.hpp"

extern "C" {
#include "utils/acl.h"
}

namespace backend {

bool may_act_as(Oid role) {
  return guard([=]() noexcept { return has_privs_of_role(GetUserId(), role); });
}

AsOwner::AsOwner(Oid owner) {
  GetUserIdAndSecContext(&user_, &context_); // reads the session's own state, cannot raise
  if (OidIsValid(owner) && may_act_as(owner))
    SetUserIdAndSecContext(owner, context_ | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
}

AsOwner::~AsOwner() {
  SetUserIdAndSecContext(user_, context_); // sets two variables, cannot raise
}

AsCaller::AsCaller(const AsOwner &within) {
  GetUserIdAndSecContext(&user_, &context_);
  SetUserIdAndSecContext(within.user_, within.context_);
}

AsCaller::~AsCaller() {
  SetUserIdAndSecContext(user_, context_);
}

} // namespace backend
