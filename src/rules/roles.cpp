// What Gallery set on the database's role.
#include "rules/rule.hpp"

namespace gallery {

namespace {

void work(const Context &db, Outcome &phase) {
  // The fork set it on the role that ran its migrations, which owns what they made.
  for (const auto &row : db.spi.query("SELECT r.rolname FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole "
                                      "JOIN pg_class c ON c.relowner = r.oid"
                                      " WHERE s.setdatabase = 0 AND 'jit=off' = ANY (s.setconfig) AND c.oid = " +
                                      std::to_string(db.survey.ledger.oid))) {
    Step step;
    step.kind = "role";
    step.object = row[0].value_or("");
    step.reason = "Gallery turned jit off for this role";
    step.statement = "ALTER ROLE " + backend::identifier(step.object) + " RESET jit";
    phase.steps.push_back(std::move(step));
  }
}

} // namespace

constinit const Rule rules::roles = {.migration = jit_setting, .work = work};

} // namespace gallery
