// The checks of the transaction, the token, other sessions and the server.
#include "readiness/checks.hpp"

#include "settings.hpp"

extern "C" {
#include "access/twophase.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "commands/trigger.h"
#include "storage/lock.h"
}

namespace gallery {

Finding check_transaction(const Call &call) {
  constexpr const char *name = "transaction";
  // None of these can raise: they read the session's own state.
  if (RecoveryInProgress())
    return blocked(name, ERRCODE_READ_ONLY_SQL_TRANSACTION, "this server is a standby and cannot be changed", "",
                   std::string("Connect to the primary server and run ") + call.function +
                       "() there; the standby follows.");
  if (XactReadOnly)
    return blocked(name, ERRCODE_READ_ONLY_SQL_TRANSACTION, "the transaction is read only", "",
                   "Use a read-write transaction: BEGIN READ WRITE;");
  if (IsolationUsesXactSnapshot())
    return blocked(name, ERRCODE_ACTIVE_SQL_TRANSACTION, "the transaction is not READ COMMITTED",
                   "An older snapshot would not see what other sessions did before the locks were taken.",
                   "Start again: ROLLBACK; BEGIN ISOLATION LEVEL READ COMMITTED;");
  if (SessionReplicationRole != SESSION_REPLICATION_ROLE_ORIGIN)
    return blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "session_replication_role is not origin",
                   "With triggers off, deletes would leave rows behind that point to nothing.",
                   "Run: SET session_replication_role = origin;");
  return ok(name, "a read-write READ COMMITTED transaction on a primary server");
}

namespace {

Finding check_token(settings::Token state, const std::string &setting, const char *consequence, const char *hint) {
  constexpr const char *name = "token";
  switch (state) {
  case settings::Token::missing:
    return blocked(name, ERRCODE_INSUFFICIENT_PRIVILEGE, setting + " is not set", consequence, hint);
  case settings::Token::wrong:
    return blocked(name, ERRCODE_INSUFFICIENT_PRIVILEGE, setting + " has a wrong value", consequence, hint);
  case settings::Token::standing:
    return blocked(
        name, ERRCODE_INSUFFICIENT_PRIVILEGE, setting + " was not set in this session",
        "Its value comes from the configuration file, the database or the role, where it would hold for every session.",
        hint);
  case settings::Token::accepted:
    break;
  }
  return ok(name, setting + " is set in this session");
}

} // namespace

Finding check_token(const char *consequence) {
  return check_token(settings::token(), "gallery.revert_token", consequence,
                     "Look at SELECT * FROM gallery_revert_plan(); first, make a dump, then run: SET "
                     "gallery.revert_token = 'i_accept_data_loss';");
}

Finding check_return_token() {
  return check_token(settings::return_token(), "gallery.return_token",
                     "Rows that a revert took away come back into Gallery's tables.",
                     "Look at SELECT * FROM gallery_return_plan(); first, make a dump, then run: SET "
                     "gallery.return_token = 'i_know_what_i_do';");
}

std::string other_clients_sql() {
  // Without the right to see it, backend_type is null: then a session counts as a client, unless it has no user at all.
  return "SELECT 'pid ' || pid::text || ', application \"' || coalesce(application_name, '') || '\", user \"' ||"
         " coalesce(usename::text, '') || '\", from ' || coalesce(host(client_addr), 'a local socket') || ', ' ||"
         " coalesce(state, 'state not visible') || coalesce(', since ' || date_trunc('second', state_change)::text, '')"
         " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
         " AND leader_pid IS DISTINCT FROM pg_backend_pid()"
         " AND coalesce(backend_type = 'client backend', usename IS NOT NULL) ORDER BY pid";
}

Finding check_sessions(const backend::Spi &spi, const Call &call) {
  constexpr const char *name = "sessions";
  std::vector<std::string> clients;
  for (const auto &row : spi.query(other_clients_sql()))
    clients.push_back(row[0].value_or(""));
  if (clients.empty())
    return ok(name, "no other client is connected to this database");
  auto finding =
      blocked(name, ERRCODE_OBJECT_IN_USE,
              std::to_string(clients.size()) + (clients.size() == 1 ? " other client is" : " other clients are") +
                  " connected to this database",
              list_lines(clients),
              "Stop Immich and Gallery (docker compose rm -sf immich-server immich-machine-learning), " + call.again() +
                  ". To go on all the same: SET gallery.revert_ignore_sessions = on;");
  if (settings::ignore_sessions())
    finding.status = Status::warning;
  return finding;
}

Finding check_lock_table(const backend::Spi &spi, const Survey &survey, const Plan &plan) {
  constexpr const char *name = "lock table";
  auto list = [](const std::vector<Oid> &oids) {
    std::string text = "'{";
    for (Oid oid : oids)
      text += (text.size() > 2 ? "," : "") + std::to_string(oid);
    return text + "}'::oid[]";
  };
  std::vector<Oid> going;
  for (const auto &object : plan.objects)
    if (object.fact->kind == manifest::Kind::Table)
      going.push_back(object.oid);
  // Each table with its indexes and its TOAST table; what is dropped with a table, one lock for each part of it; and
  // what the statements themselves read: catalogs, and Immich's tables that only tell names of what is lost.
  constexpr std::int64_t only_read = 200;
  auto const counts = spi.query(
      "SELECT (SELECT count(*) + sum(CASE WHEN c.reltoastrelid = 0::oid THEN 0 ELSE 2 END) + sum((SELECT count(*) FROM"
      " pg_index i WHERE i.indrelid = c.oid)) FROM pg_class c WHERE c.oid = ANY (" +
      list(relations_to_lock(survey, plan)) +
      ")), (WITH RECURSIVE part (classid, objid) AS (SELECT 'pg_class'::regclass::oid, u FROM unnest(" + list(going) +
      ") u UNION SELECT d.classid, d.objid FROM part p JOIN pg_depend d ON d.refclassid = p.classid AND"
      " d.refobjid = p.objid WHERE d.deptype IN ('a', 'i')) SELECT count(*) FROM part WHERE classid <>"
      " 'pg_class'::regclass::oid), (SELECT count(*) FROM (SELECT DISTINCT locktype, database, relation, page, tuple,"
      " virtualxid, transactionid, classid, objid, objsubid FROM pg_locks WHERE NOT fastpath) l)")[0];
  auto const needed = only_read + std::stoll(counts.at(0).value_or("0")) + std::stoll(counts.at(1).value_or("0"));
  auto const taken = std::stoll(counts.at(2).value_or("0"));
  // As the server itself sizes it.
  std::int64_t const transactions = std::int64_t{MaxBackends} + max_prepared_xacts;
  auto const room = transactions * max_locks_per_xact;
  if (needed + taken <= room)
    return ok(name, "the server's lock table has room for a revert");
  constexpr std::int64_t step = 64;
  auto const enough = ((needed + taken) / transactions / step + 1) * step;
  return warning(name, "the server's lock table may be too small",
                 "It has room for " + std::to_string(room) + " locks, of which " + std::to_string(taken) +
                     " are taken; a revert may need " + std::to_string(needed) + '.',
                 "Run: ALTER SYSTEM SET max_locks_per_transaction = " + std::to_string(enough) +
                     "; then restart PostgreSQL.");
}

} // namespace gallery
