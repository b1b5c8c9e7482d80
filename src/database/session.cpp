// Settings and rights of the extension's own statements.
#include "database/session.hpp"

#include "backend/guard.hpp"
#include "database/survey.hpp"
#include "settings.hpp"

#include <algorithm>

namespace gallery {

Bounded::Bounded() {
  // Zero would mean for ever to the server.
  settings_.set("lock_timeout", std::to_string(std::max(1, settings::lock_timeout())));
  settings_.set("row_security", "off");
  settings_.set("quote_all_identifiers", "off");
}

Oid immich_owner(const backend::Spi &spi) {
  auto const ledgers = find_ledgers(spi, "kysely_migrations");
  if (ledgers.size() != 1)
    return InvalidOid;
  const auto &ledger = ledgers.front();
  if (!backend::may_act_as(ledger.owner_oid))
    throw backend::Refusal(ERRCODE_INSUFFICIENT_PRIVILEGE,
                           "role \"" + *spi.query("SELECT current_user::text").at(0)[0] +
                               "\" does not own this Immich and may not act as its owner",
                           "table \"" + ledger.table + "\" belongs to \"" + ledger.owner + '"',
                           "Connect as the role that Immich uses, or run: SET ROLE " +
                               backend::identifier(ledger.owner) + ";");
  return ledger.owner_oid;
}

} // namespace gallery
