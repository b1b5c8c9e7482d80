// What publications keep from being changed, by the server's own judgement.
#pragma once

#include "backend/postgres.hpp"

extern "C" {
#include "nodes/nodes.h"
}

namespace backend {

/// Why the server refuses a change of rows: the table has no replica identity, or one that lacks columns which a
/// publication filters by or lists.
enum class PublicationRefusal { none, no_identity, lacking_columns };

/// Would the server refuse to update (CMD_UPDATE) or delete (CMD_DELETE) rows of the table because of a publication?
/// Looks at the catalog only.
PublicationRefusal refused_by_publication(Oid table, CmdType change);

} // namespace backend
