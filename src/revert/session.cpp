// Settings and rights of the extension's own statements.
#include "revert/session.hpp"

#include "revert/survey.hpp"
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
  return ledgers.size() == 1 ? ledgers.front().owner_oid : InvalidOid;
}

} // namespace gallery
