// Settings and rights of the extension's own statements.
#include "database/session.hpp"

#include "backend/guard.hpp"
#include "backend/locks.hpp"
#include "database/survey.hpp"
#include "settings.hpp"

#include <algorithm>

namespace gallery {

Bounded::Bounded() {
  // Zero would mean for ever to the server.
  settings_.set("lock_timeout", std::to_string(std::max(1, settings::lock_timeout())));
  settings_.set("row_security", "off");
  settings_.set("quote_all_identifiers", "off");
  // Many statements that each run once: compiling one takes longer than all of them.
  settings_.set("jit", "off");
  // What is written down as text is whole.
  settings_.set("extra_float_digits", "1");
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

Careful::Careful(const backend::Spi &spi) : owner_(immich_owner(spi)) {
  // Who owns the schema may drop a table and put one of his own in its place, between the catalog's answer and the
  // query. Under the locks of a revert this waits for nobody: they are on the same tables.
  std::set<std::string> names{"kysely_migrations", "gallery_migrations", "gallery_migrations_lock"};
  names.merge(manifest::native_tables());
  names.merge(manifest::gallery_tables());
  std::vector<Oid> tables;
  for (auto &row :
       spi.query("SELECT c.oid FROM pg_class c JOIN pg_class l ON l.relnamespace = c.relnamespace AND"
                 " l.relowner = c.relowner WHERE l.relname = 'kysely_migrations' AND l.relkind IN ('r', 'p')"
                 " AND c.relkind IN ('r', 'p') AND c.relname = ANY (" +
                 backend::array_literal({names.begin(), names.end()}) + "::name[]) ORDER BY c.oid"))
    tables.push_back(static_cast<Oid>(std::stoul(row[0].value_or("0"))));
  backend::lock_to_read(tables);
}

} // namespace gallery
