// Taking the locks, and naming who holds them.
#include "run/table_locks.hpp"

#include "backend/locks.hpp"
#include "readiness/finding.hpp"
#include "settings.hpp"

#include <algorithm>

namespace gallery {

namespace {

/// Sessions and prepared transactions that hold a lock on the table; without a table, those that keep others from
/// reading any table of the database, or its indexes.
std::vector<std::string> holders(const backend::Spi &spi, Oid table) {
  std::vector<std::string> lines;
  for (const auto &row : spi.query(holders_sql(table == InvalidOid ? std::string("l.mode = 'AccessExclusiveLock'")
                                                                   : "l.relation = " + std::to_string(table))))
    lines.push_back(row[0].value_or(""));
  return lines;
}

} // namespace

std::string holders_sql(const std::string &which) {
  return "SELECT who || ', ' || mode || ' on ' || CASE WHEN count(*) = 1 THEN min(relname) ELSE count(*)::text || "
         "CASE WHEN bool_and(kind = 'table') THEN ' tables' ELSE ' tables and indexes' END END FROM (SELECT l.pid,"
         " l.mode, k.kind, k.kind || ' \"' || c.relname::text || '\"' AS relname, coalesce('pid ' || l.pid::text ||"
         " ', application \"' || coalesce(a.application_name, '') || '\", user \"' || coalesce(a.usename::text, '') || "
         "'\", ' ||"
         " coalesce(CASE WHEN a.backend_type = 'autovacuum worker' AND a.query LIKE '%(to prevent wraparound)'"
         " THEN a.backend_type || ' (to prevent wraparound)' END,"
         " nullif(a.backend_type, 'client backend'), a.state, 'state not visible'), 'prepared transaction "
         "\"' || x.gid || '\"',"
         " 'a prepared transaction') AS who FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
         " CROSS JOIN LATERAL (SELECT CASE WHEN c.relkind IN ('i', 'I') THEN 'index' ELSE 'table' END AS kind) k"
         " LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
         " LEFT JOIN pg_locks o ON l.pid IS NULL AND o.pid IS NULL AND o.locktype = 'transactionid'"
         " AND o.virtualtransaction = l.virtualtransaction"
         " LEFT JOIN pg_prepared_xacts x ON x.transaction = o.transactionid"
         " WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()"
         " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND " +
         which + ") s GROUP BY pid, who, mode ORDER BY pid NULLS LAST, mode";
}

backend::Refusal cannot_lock(const backend::Spi &spi, Oid table, const std::string &name, const Call &call) {
  auto lines = holders(spi, table);
  if (lines.empty())
    lines.emplace_back("whoever held it has let go in the meantime");
  bool const prepared = std::any_of(lines.begin(), lines.end(), [](const std::string &line) {
    return line.find("prepared transaction") < line.find(',');
  });
  return {ERRCODE_LOCK_NOT_AVAILABLE,
          (table == InvalidOid ? "could not read the database" : "could not lock table \"" + name + '"') + " within " +
              std::to_string(settings::lock_timeout()) + " ms",
          list_lines(lines),
          std::string("Wait until these sessions are done, or end them yourself (SELECT pg_terminate_backend(pid);") +
              (prepared ? " for a prepared transaction COMMIT PREPARED or ROLLBACK PREPARED with its name" : "") +
              "), " + call.again() + ". More time: SET gallery.revert_lock_timeout = '60s';"};
}

Locks::Locks(const Call &call) : call_(call), left_(settings::lock_timeout()) {}

void Locks::wait_to_read(const backend::Spi &spi) {
  std::vector<Oid> tables;
  for (const auto &ledger : find_ledgers(spi, "kysely_migrations"))
    for (const auto &row : spi.query("SELECT c.oid FROM pg_class c JOIN pg_class l ON l.relnamespace = c.relnamespace"
                                     " WHERE c.relkind IN ('r', 'p') AND l.oid = " +
                                     std::to_string(ledger.oid) + " ORDER BY c.oid"))
      tables.push_back(static_cast<Oid>(std::stoul(row[0].value_or("0"))));
  if (backend::lock_all(tables, backend::LockMode::access_share, backend::Autovacuum::ends, left_) != InvalidOid)
    throw cannot_lock(spi, InvalidOid, "", call_);
}

bool Locks::take(const backend::Spi &spi, const Survey &survey, const Plan &plan) {
  auto wanted = relations_to_lock(survey, plan);
  std::erase_if(wanted, [&](Oid table) { return held_.contains(table); });
  // Who holds locks of its own stands in no queue.
  auto const autovacuum = held_.empty() ? backend::Autovacuum::ends : backend::Autovacuum::stays;
  Oid const missed = backend::lock_all(wanted, backend::LockMode::access_exclusive, autovacuum, left_);
  if (missed != InvalidOid) {
    std::string name;
    for (const auto &[table, relation] : survey.relations)
      if (relation.oid == missed)
        name = table;
    throw cannot_lock(spi, missed, name, call_);
  }
  held_.insert(wanted.begin(), wanted.end());
  return !wanted.empty();
}

} // namespace gallery
