// Asks what the server's executor asks before it changes a row.
#include "backend/publications.hpp"

#include "backend/guard.hpp"
#include "backend/subtransaction.hpp"

extern "C" {
#include "access/table.h"
#include "executor/executor.h"
#include "utils/rel.h"
}

namespace backend {

PublicationRefusal refused_by_publication(Oid table, CmdType change) {
  Subtransaction const undone; // the answer is an error
  try {
    guard([=]() noexcept {
      Relation relation = table_open(table, AccessShareLock);
      CheckCmdReplicaIdentity(relation, change);
      table_close(relation, NoLock);
    });
  } catch (const ServerError &error) {
    switch (error.data->sqlerrcode) {
    case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
      return PublicationRefusal::no_identity;
    case ERRCODE_INVALID_COLUMN_REFERENCE:
      return PublicationRefusal::lacking_columns;
    default:
      throw;
    }
  }
  return PublicationRefusal::none;
}

} // namespace backend
