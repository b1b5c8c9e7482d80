// Reads the ledgers and version_history.
#include "backend/guard.hpp"
#include "database/survey.hpp"
#include "database/trust.hpp"

namespace gallery {

using backend::literal;
using backend::qualified;

namespace {

Oid to_oid(const backend::Field &field) {
  return field ? static_cast<Oid>(std::stoul(*field)) : InvalidOid;
}

std::string text(const backend::Field &field) {
  return field.value_or(std::string());
}

bool yes(const backend::Field &field) {
  return field == "t";
}

std::vector<LedgerRow> read_rows(const backend::Spi &spi, const Ledger &ledger) {
  std::vector<LedgerRow> rows;
  for (auto &row : spi.query("SELECT name::text, timestamp::text FROM " + qualified(ledger.schema, ledger.table) +
                             " ORDER BY name")) {
    if (!row[0])
      throw backend::Refusal(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                             "table \"" + ledger.schema + "\".\"" + ledger.table + "\" has a row without a name",
                             "Immich's migrator writes a name in every row.",
                             "Connected as \"" + ledger.owner +
                                 "\", look at the row and remove it if it is yours: SELECT * FROM " +
                                 qualified(ledger.schema, ledger.table) + " WHERE name IS NULL;");
    rows.push_back({std::move(*row[0]), text(row[1])});
  }
  return rows;
}

/// Reads version_history, newest first; empty where there is none.
std::vector<VersionRow> read_versions(const backend::Spi &spi, const Survey &survey) {
  std::vector<VersionRow> versions;
  auto const &schema = survey.schema();
  if (survey.untrusted.contains("version_history"))
    return versions;
  auto usable = spi.query("SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.oid = "
                          "to_regclass(" +
                          literal(qualified(schema, "version_history")) +
                          ") AND c.relkind IN ('r', 'p') AND NOT a.attisdropped AND (a.attname IN ('id', 'version') OR "
                          "(a.attname = 'createdAt' AND a.atttypid = 'timestamptz'::regtype))");
  if (text(usable[0][0]) != "3")
    return versions;
  // Formatted here, because the session's DateStyle would decide otherwise.
  for (auto &row : spi.query("SELECT v.id::text, v.version::text, to_char(v.\"createdAt\" AT TIME ZONE 'UTC', "
                             "'YYYY-MM-DD HH24:MI:SS \"UTC\"'),"
                             " to_char(v.\"createdAt\" AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM " +
                             qualified(schema, "version_history") + " v ORDER BY v.\"createdAt\" DESC, v.id"))
    versions.push_back({text(row[0]), text(row[1]), text(row[2]), text(row[3])});
  return versions;
}

/// Gallery's own ledger in Immich's schema; a table of that name that a stranger may have made is none.
void read_fork_ledger(const backend::Spi &spi, Survey &survey) {
  for (auto &other : find_ledgers(spi, "gallery_migrations")) {
    if (other.schema_oid != survey.ledger.schema_oid)
      continue;
    auto const reason = survey.untrusted.find(other.table);
    if (reason == survey.untrusted.end()) {
      survey.fork_ledger = std::move(other);
      survey.fork_ledger->rows = read_rows(spi, *survey.fork_ledger);
    } else if (other.owner_oid == survey.ledger.owner_oid ||
               yes(spi.query("SELECT rolsuper FROM pg_roles WHERE oid = " + std::to_string(other.owner_oid))
                       .at(0)[0])) {
      survey.strange_fork_ledger = reason->second;
    }
  }
}

} // namespace

std::string ledgers_sql(const std::string &table) {
  return "SELECT c.oid, n.nspname, n.oid, pg_get_userbyid(c.relowner), c.relowner FROM pg_class c"
         " JOIN pg_namespace n ON n.oid = c.relnamespace"
         " WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.relname = " +
         literal(table) +
         " AND (SELECT count(*) FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid"
         " WHERE a.attrelid = c.oid AND a.attname IN ('name', 'timestamp') AND y.typcategory = 'S'"
         " AND NOT a.attisdropped) = 2 ORDER BY n.nspname";
}

std::vector<Ledger> find_ledgers(const backend::Spi &spi, const std::string &table) {
  std::vector<Ledger> ledgers;
  for (auto &row : spi.query(ledgers_sql(table))) {
    Ledger ledger;
    ledger.oid = to_oid(row[0]);
    ledger.schema = text(row[1]);
    ledger.table = table;
    ledger.schema_oid = to_oid(row[2]);
    ledger.owner = text(row[3]);
    ledger.owner_oid = to_oid(row[4]);
    ledgers.push_back(std::move(ledger));
  }
  return ledgers;
}

Survey read_ledgers(const backend::Spi &spi, Ledger ledger) {
  Survey survey;
  survey.ledger = std::move(ledger);
  survey.untrusted = untrusted_tables(spi, survey.ledger.schema_oid, survey.ledger.owner_oid);
  if (auto const reason = survey.untrusted.find(survey.ledger.table); reason != survey.untrusted.end())
    throw backend::Refusal(ERRCODE_INSUFFICIENT_PRIVILEGE,
                           "the ledger \"" + survey.ledger.schema + "\".\"" + survey.ledger.table +
                               "\" cannot be read without running code of others",
                           "The table " + reason->second + '.',
                           "Drop what is not Immich's there, then run the function again.");
  survey.ledger.rows = read_rows(spi, survey.ledger);
  read_fork_ledger(spi, survey);
  survey.versions = read_versions(spi, survey);
  return survey;
}

} // namespace gallery
