// The checks of the session, the token, the ledger, the target, ownership and other sessions.
#include "revert/checks.hpp"

#include "backend/guard.hpp"
#include "settings.hpp"

#include <algorithm>

extern "C" {
#include "access/twophase.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "commands/trigger.h"
#include "storage/lock.h"
}

namespace gallery {

using backend::identifier;
using backend::literal;

namespace {

constexpr std::size_t longest_list = 100;

Finding ok(std::string name, std::string message) {
  Finding finding;
  finding.name = std::move(name);
  finding.message = std::move(message);
  return finding;
}

Finding blocked(std::string name, int sqlstate, std::string message, std::string detail, std::string hint) {
  Finding finding;
  finding.name = std::move(name);
  finding.status = Status::blocked;
  finding.sqlstate = sqlstate;
  finding.message = std::move(message);
  finding.detail = std::move(detail);
  finding.hint = std::move(hint);
  return finding;
}

std::string quoted(std::string_view name) {
  return '"' + std::string(name) + '"';
}

std::vector<std::string> quoted_all(const std::vector<std::string> &names) {
  std::vector<std::string> result;
  result.reserve(names.size());
  for (const auto &name : names)
    result.push_back(quoted(name));
  return result;
}

/// 'index "a" of table "b" is ..., Gallery makes ...'
std::string line_of(const Stranger &stranger) {
  const auto &fact = *stranger.object.fact;
  bool const part = fact.kind != manifest::Kind::Table && fact.kind != manifest::Kind::Function;
  return std::string(manifest::name_of(fact.kind)) + ' ' + quoted(fact.name) +
         (part ? " of table " + quoted(fact.table) : std::string()) + (stranger.recorded ? " " : ": ") + stranger.why;
}

} // namespace

std::string list_lines(const std::vector<std::string> &entries) {
  std::string result;
  for (std::size_t i = 0; i < std::min(entries.size(), longest_list); ++i)
    result += (i == 0 ? "" : "\n") + entries[i];
  if (entries.size() > longest_list)
    result += "\nand " + std::to_string(entries.size() - longest_list) + " more";
  return result;
}

void enforce_blocked(const Finding &finding) {
  if (finding.status == Status::blocked)
    throw backend::Refusal(finding.sqlstate, finding.message, finding.detail, finding.hint);
}

void enforce(const Finding &finding) {
  enforce_blocked(finding);
  if (finding.status == Status::warning)
    backend::report(WARNING, finding.message, finding.detail, finding.hint);
}

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

Finding check_token(const char *consequence) {
  constexpr const char *name = "token";
  constexpr const char *hint =
      "Look at SELECT * FROM gallery_revert_plan(); first, make a dump, then run: SET gallery.revert_token = "
      "'i_accept_data_loss';";
  switch (settings::token()) {
  case settings::Token::missing:
    return blocked(name, ERRCODE_INSUFFICIENT_PRIVILEGE, "gallery.revert_token is not set", consequence, hint);
  case settings::Token::wrong:
    return blocked(name, ERRCODE_INSUFFICIENT_PRIVILEGE, "gallery.revert_token has a wrong value", consequence, hint);
  case settings::Token::standing:
    return blocked(
        name, ERRCODE_INSUFFICIENT_PRIVILEGE, "gallery.revert_token was not set in this session",
        "Its value comes from the configuration file, the database or the role, where it would hold for every session.",
        hint);
  case settings::Token::accepted:
    break;
  }
  return ok(name, "gallery.revert_token is set in this session");
}

Finding check_ledger(const backend::Spi &spi, Ledger &ledger) {
  constexpr const char *name = "ledger";
  auto ledgers = find_ledgers(spi, "kysely_migrations");
  if (ledgers.empty())
    return blocked(
        name, ERRCODE_UNDEFINED_TABLE, "this database holds no Immich",
        "There is no table \"kysely_migrations\" with text columns \"name\" and \"timestamp\" in any schema.",
        "Connect to the database that Immich uses; its default name is \"immich\" (psql: \\c immich).");
  if (ledgers.size() > 1) {
    std::vector<std::string> names;
    for (const auto &found : ledgers)
      names.push_back(quoted(found.schema) + '.' + quoted(found.table));
    return blocked(name, ERRCODE_INVALID_DATABASE_DEFINITION, "this database holds more than one Immich",
                   "Ledgers: " + list_lines(names),
                   "Immich itself looks for its ledger in every schema. Move one of them to a database of its own, or "
                   "drop the one that "
                   "is not in use.");
  }
  ledger = std::move(ledgers.front());
  return ok(name, "ledger " + quoted(ledger.schema) + '.' + quoted(ledger.table));
}

Finding check_migrations(const Identity &identity) {
  constexpr const char *name = "migrations";
  if (!identity.unknown.empty())
    return blocked(name, ERRCODE_FEATURE_NOT_SUPPORTED,
                   "the ledger records " + std::to_string(identity.unknown.size()) +
                       (identity.unknown.size() == 1 ? " migration" : " migrations") +
                       " that this version of gallery_revert does not know",
                   list_lines(quoted_all(identity.unknown)),
                   "They come from a newer Gallery, a newer Immich or another fork. Install a newer gallery_revert; "
                   "nothing is guessed.");
  if (!identity.unread.empty())
    return blocked(name, ERRCODE_FEATURE_NOT_SUPPORTED,
                   "the ledger records migrations of a Gallery branch whose effects are not known",
                   list_lines(quoted_all(identity.unread)),
                   "Restore the dump from before that build was started. Nothing is guessed.");
  return ok(name, "every recorded migration is known");
}

Finding check_prefix(const Identity &identity) {
  constexpr const char *name = "ledger order";
  if (identity.native_migrations == 0 && identity.missing.empty())
    return blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the ledger records no migration of Immich",
                   "Immich would run all of its migrations from the first one on, which fails where its tables are.",
                   "Restore a dump, or at least its table \"kysely_migrations\".");
  if (!identity.missing.empty())
    return blocked(
        name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "migrations of Immich are missing in the middle of the ledger",
        "Not recorded, though later ones are:\n" + list_lines(quoted_all(identity.missing)),
        identity.is_gallery ? "Immich would not start. Start the newest Gallery once, so that it runs them, then run "
                              "gallery_revert() again."
                            : "Immich does not start with this. Run: SELECT * FROM immich_recovery_advice();");
  if (auto const changes = repair_order(identity.native_rows); !changes.empty()) {
    Finding finding;
    finding.name = name;
    finding.status = Status::warning;
    finding.message = std::to_string(changes.size()) +
                      (changes.size() == 1 ? " row of the ledger is" : " rows of the ledger are") + " out of order";
    std::vector<std::string> names;
    names.reserve(changes.size());
    for (const auto &change : changes)
      names.push_back(quoted(change.name) + " at " + change.from);
    finding.detail = list_lines(names);
    finding.hint = identity.is_gallery
                       ? "gallery_revert() repairs the timestamps; Immich accepts only the order of the names."
                       : "Immich accepts only the order of the names. Run: SELECT immich_repair_migration_order();";
    return finding;
  }
  return ok(name, std::to_string(identity.native_migrations) + " migrations of Immich, in order");
}

Finding check_target(const Identity &identity, const manifest::ImmichRelease *&target) {
  constexpr const char *name = "target";
  const auto *automatic = choose_target(identity.native_migrations, identity.immich_base);
  if (automatic == nullptr)
    return blocked(name, ERRCODE_FEATURE_NOT_SUPPORTED, "no known Immich release fits this database", "",
                   "Install a newer gallery_revert.");
  auto const wanted = settings::target();
  if (wanted.empty()) {
    target = automatic;
    return ok(name, "Immich " + std::string(target->tag) + " fits");
  }
  auto const version = parse_version(wanted);
  if (!version)
    return blocked(name, ERRCODE_INVALID_PARAMETER_VALUE,
                   "gallery.revert_target " + quoted(wanted) + " is not a release tag", "",
                   "Use a tag such as " + std::string(automatic->tag) + ", or none: RESET gallery.revert_target;");
  const auto *release = find_release(wanted);
  std::string const earliest = "The earliest that works: SET gallery.revert_target = " + literal([&] {
                                 for (const auto &candidate : manifest::immich_releases())
                                   if (candidate.migrations >= identity.native_migrations &&
                                       parse_version(candidate.tag) >= identity.immich_base)
                                     return std::string(candidate.tag);
                                 return std::string(automatic->tag);
                               }()) +
                               "; or let it be chosen: RESET gallery.revert_target;";
  if (release == nullptr)
    return blocked(name, ERRCODE_FEATURE_NOT_SUPPORTED,
                   "Immich " + version->tag() + " is not a release that gallery_revert knows",
                   "It knows " + std::string(manifest::immich_releases().front().tag) + " to " +
                       std::string(manifest::immich_releases().back().tag) + ".",
                   earliest);
  if (release->migrations < identity.native_migrations)
    return blocked(name, ERRCODE_FEATURE_NOT_SUPPORTED,
                   "Immich " + std::string(release->tag) + " is too old for this database",
                   "It ships " + std::to_string(release->migrations) + " migrations, the database has run " +
                       std::to_string(identity.native_migrations) + "; the first it does not ship is " +
                       quoted(manifest::immich_migrations()[static_cast<std::size_t>(release->migrations)]) +
                       ". Migrations of Immich are never undone.",
                   earliest);
  if (version < identity.immich_base)
    return blocked(name, ERRCODE_FEATURE_NOT_SUPPORTED,
                   "Immich " + std::string(release->tag) + " is too old for this database",
                   "Gallery ran here on the base of Immich " + identity.immich_base.tag() +
                       ", and its data is that of that release.",
                   earliest);
  target = release;
  return ok(name, "Immich " + std::string(target->tag) + ", as set");
}

Finding check_ownership(const Survey &survey, const Evidence &evidence, const std::vector<std::string> &also) {
  constexpr const char *name = "ownership";
  std::set<std::string> foreign;
  std::vector<std::string> statements;
  auto const to_owner = " OWNER TO " + identifier(survey.ledger.owner) + ';';
  auto take_table = [&](std::string_view view) {
    std::string const table(view);
    auto const reason = survey.untrusted.find(table);
    if (reason == survey.untrusted.end() || !foreign.insert("table " + quoted(table) + ' ' + reason->second).second)
      return;
    if (survey.relations.contains(table) && survey.relations.at(table).owner != survey.ledger.owner)
      statements.push_back("ALTER TABLE " + backend::qualified(survey.schema(), table) + to_owner);
  };
  for (const auto &fact : manifest::native_catalog())
    if (fact.kind == manifest::Kind::Table)
      take_table(fact.table);
  for (const auto &table : also)
    take_table(table);
  for (const auto &stranger : evidence.strangers) {
    const auto &fact = *stranger.object.fact;
    if (stranger.recorded && fact.kind == manifest::Kind::Table) {
      take_table(fact.name);
    } else if (stranger.recorded && fact.kind == manifest::Kind::Function &&
               stranger.object.owner != survey.ledger.owner) {
      foreign.insert("function " + quoted(fact.name) + " belongs to " + quoted(stranger.object.owner));
      auto const arguments = fact.name.find('(');
      statements.push_back("ALTER FUNCTION " +
                           backend::qualified(survey.schema(), std::string(fact.name.substr(0, arguments))) +
                           std::string(fact.name.substr(arguments)) + to_owner);
    }
  }
  if (foreign.empty())
    return ok(name, "one role owns all that has to be changed");
  std::string hint = "One role has to own all of it, and no code of others may hang on it. What is not Immich's or Gallery's "
                     "there: drop it.";
  if (!statements.empty())
    hint += " What is, as a superuser:\n" + list_lines(statements);
  return blocked(name, ERRCODE_INSUFFICIENT_PRIVILEGE,
                 "role " + quoted(survey.ledger.owner) + " does not own what has to be changed",
                 list_lines({foreign.begin(), foreign.end()}), hint);
}

Finding check_evidence(const Survey &survey, const Evidence &evidence) {
  constexpr const char *name = "evidence";
  std::vector<std::string> lines;
  if (!survey.strange_fork_ledger.empty())
    lines.push_back("table \"gallery_migrations\" " + survey.strange_fork_ledger);
  for (const auto &stranger : evidence.strangers)
    if (stranger.recorded && stranger.read)
      lines.push_back(line_of(stranger));
  if (lines.empty())
    return ok(name, "what is read of Gallery's is as Gallery makes it");
  return blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                 "what Gallery keeps for Immich's photos is not as Gallery makes it", list_lines(lines),
                 "Favourites, pets and links could not be put right. Give these the shape and the owner that Gallery gave "
                 "them, or, if they are not Gallery's, another name.");
}

Finding check_shadows(const Survey &survey) {
  constexpr const char *name = "search path";
  if (survey.shadows.empty())
    return ok(name, "nothing of another role stands in the way of Immich's functions");
  return blocked(name, ERRCODE_INSUFFICIENT_PRIVILEGE,
                 "functions or operators of other roles could run in place of the server's or Immich's",
                 list_lines(survey.shadows),
                 "Immich's own functions look in the schema where these are. Drop them, or move them: ALTER FUNCTION ... SET "
                 "SCHEMA ...;");
}

Finding check_keys(const backend::Spi &spi, const Survey &survey, const std::vector<BrokenKey> &broken) {
  constexpr const char *name = "keys";
  std::vector<ForeignKey> keys;
  bool in_the_way = false;
  for (const auto &entry : broken) {
    keys.push_back(entry.key);
    in_the_way = in_the_way || entry.in_the_way;
  }
  if (broken.empty())
    return ok(name, "Immich's foreign keys are all there and enforced");
  auto const orphans = count_orphans(spi, survey, keys);
  std::vector<std::string> lines;
  std::vector<std::string> statements;
  for (const auto &entry : broken) {
    if (in_the_way && !entry.in_the_way)
      continue;
    auto const found = orphans.find(entry.key.table + '.' + entry.key.name);
    lines.push_back("key " + quoted(entry.key.name) + " of table " + quoted(entry.key.table) + ' ' + entry.what +
                    (found == orphans.end() ? std::string()
                                            : " (" + std::to_string(found->second) + " rows point to nothing)"));
    if (std::find(statements.begin(), statements.end(), entry.mend) == statements.end())
      statements.push_back(entry.mend);
  }
  std::string const hint = "Look at the rows that point to nothing, if any. Then, as the owner or a superuser:\n" +
                           list_lines(statements);
  auto finding = blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                         "foreign keys of Immich's do not hold where rows have to be deleted", list_lines(lines), hint);
  if (!in_the_way) {
    finding.status = Status::warning;
    finding.message = "foreign keys of Immich's do not hold";
  }
  return finding;
}

Finding check_sessions(const backend::Spi &spi, const Call &call) {
  constexpr const char *name = "sessions";
  std::vector<std::string> clients;
  // Without the right to see it, backend_type is null: then a session counts as a client, unless it has no user at all.
  for (const auto &row : spi.query(
           "SELECT 'pid ' || pid || ', application \"' || coalesce(application_name, '') || '\", user \"' ||"
           " coalesce(usename, '') || '\", from ' || coalesce(host(client_addr), 'a local socket') || ', ' ||"
           " coalesce(state, 'state not visible') || coalesce(', since ' || date_trunc('second', state_change), '')"
           " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
           " AND leader_pid IS DISTINCT FROM pg_backend_pid()"
           " AND coalesce(backend_type = 'client backend', usename IS NOT NULL) ORDER BY pid"))
    clients.push_back(row[0].value_or(""));
  if (clients.empty())
    return ok(name, "no other client is connected to this database");
  auto finding =
      blocked(name, ERRCODE_OBJECT_IN_USE,
              std::to_string(clients.size()) + (clients.size() == 1 ? " other client is" : " other clients are") +
                  " connected to this database",
              list_lines(clients),
              "Stop Immich and Gallery (docker compose stop immich-server immich-machine-learning), " + call.again() +
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
  // what the statements themselves read.
  constexpr std::int64_t catalogs = 100;
  auto const counts = spi.query(
      "SELECT (SELECT count(*) + sum(CASE WHEN c.reltoastrelid = 0::oid THEN 0 ELSE 2 END) + sum((SELECT count(*) FROM"
      " pg_index i WHERE i.indrelid = c.oid)) FROM pg_class c WHERE c.oid = ANY (" +
      list(relations_to_lock(survey, plan)) +
      ")), (WITH RECURSIVE part (classid, objid) AS (SELECT 'pg_class'::regclass::oid, u FROM unnest(" + list(going) +
      ") u UNION SELECT d.classid, d.objid FROM part p JOIN pg_depend d ON d.refclassid = p.classid AND"
      " d.refobjid = p.objid WHERE d.deptype IN ('a', 'i')) SELECT count(*) FROM part WHERE classid <>"
      " 'pg_class'::regclass::oid), (SELECT count(*) FROM (SELECT DISTINCT locktype, database, relation, page, tuple,"
      " virtualxid, transactionid, classid, objid, objsubid FROM pg_locks WHERE NOT fastpath) l)")[0];
  auto const needed = catalogs + std::stoll(counts.at(0).value_or("0")) + std::stoll(counts.at(1).value_or("0"));
  auto const taken = std::stoll(counts.at(2).value_or("0"));
  // As the server itself sizes it.
  std::int64_t const transactions = std::int64_t{MaxBackends} + max_prepared_xacts;
  auto const room = transactions * max_locks_per_xact;
  if (needed + taken <= room)
    return ok(name, "the server's lock table has room for a revert");
  constexpr std::int64_t step = 64;
  auto const enough = ((needed + taken) / transactions / step + 1) * step;
  Finding finding;
  finding.name = name;
  finding.status = Status::warning;
  finding.message = "the server's lock table may be too small";
  finding.detail = "It has room for " + std::to_string(room) + " locks, of which " + std::to_string(taken) +
                   " are taken; a revert may need " + std::to_string(needed) + '.';
  finding.hint =
      "Run: ALTER SYSTEM SET max_locks_per_transaction = " + std::to_string(enough) + "; then restart PostgreSQL.";
  return finding;
}

Finding check_strangers(const Survey &survey, const std::vector<Stranger> &strangers) {
  std::vector<std::string> lines;
  for (const char *table : {"gallery_migrations", "gallery_migrations_lock"})
    if (auto const reason = survey.untrusted.find(table); reason != survey.untrusted.end())
      lines.push_back("table " + quoted(table) + ' ' + reason->second);
  for (const auto &stranger : strangers)
    lines.push_back(line_of(stranger));
  if (lines.empty())
    return ok("namesakes", "nothing has a name of Gallery's without being Gallery's");
  Finding finding;
  finding.name = "namesakes";
  finding.status = Status::warning;
  finding.message = "some objects are called as Gallery's are, but are not Gallery's";
  finding.detail = list_lines(lines);
  finding.hint = "They are left alone. If they are not yours, look at them in schema " + quoted(survey.schema()) +
                 " before you drop them.";
  return finding;
}

} // namespace gallery
