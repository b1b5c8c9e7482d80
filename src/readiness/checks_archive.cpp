// The check of the archive: whether it can be written, and what is in it.
#include "readiness/checks.hpp"

#include "settings.hpp"

namespace gallery {

namespace {

constexpr const char *name = "archive";

/// Of an archive that may be read: how much is in it.
std::string contents(const backend::Spi &spi) {
  auto const row = spi.query("SELECT (SELECT count(DISTINCT f.run) FROM " + std::string(archived_facts) +
                             " f), (SELECT count(*) FROM " + archived_rows +
                             " r), pg_size_pretty((SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN"
                             " pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = " +
                             backend::literal(archive_schema) + "))")
                       .at(0);
  auto const counted = [](const std::string &number, const char *noun) {
    return number + ' ' + noun + (number == "1" ? "" : "s");
  };
  return counted(row[1].value_or("0"), "row") + " of " + counted(row[0].value_or("0"), "revert") + ", " +
         row[2].value_or("");
}

/// Who may read it: by a grant, or by default privileges when a dump was restored.
std::string readers_of(const backend::Spi &spi) {
  return spi
      .query("WITH grants AS (SELECT x.grantee, x.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) x WHERE"
             " n.nspname = " +
             backend::literal(archive_schema) +
             " AND x.grantee <> n.nspowner UNION SELECT x.grantee, x.privilege_type FROM pg_namespace n JOIN pg_class c"
             " ON c.relnamespace = n.oid, aclexplode(c.relacl) x WHERE n.nspname = " +
             backend::literal(archive_schema) +
             " AND x.grantee <> c.relowner) SELECT string_agg(DISTINCT CASE WHEN g.grantee = 0::oid THEN 'PUBLIC' ELSE"
             " quote_ident(pg_get_userbyid(g.grantee)) END, ', ') FROM grants g WHERE 2 = (SELECT count(DISTINCT"
             " o.privilege_type) FROM grants o WHERE o.grantee IN (0::oid, g.grantee) AND o.privilege_type IN ('USAGE',"
             " 'SELECT'))")
      .at(0)[0]
      .value_or("");
}

} // namespace

Finding check_archive(const backend::Spi &spi, const Survey &survey) {
  constexpr const char *without = "or do without: RESET gallery.revert_archive;";
  auto const schema = quoted(archive_schema);
  if (survey.archive) {
    auto const strange = survey.archive->owner_oid != survey.ledger.owner_oid
                             ? "it belongs to " + quoted(survey.archive->owner)
                             : survey.archive->strange;
    if (auto const readers = strange.empty() ? readers_of(spi) : ""; !readers.empty())
      return warning(name, "others than its owner can read schema " + schema, readers,
                     "Private things are in it. Run as its owner: REVOKE ALL ON SCHEMA gallery_archive FROM " +
                         readers + "; REVOKE ALL ON ALL TABLES IN SCHEMA gallery_archive FROM " + readers + ';');
    if (strange.empty())
      return ok(name, "schema " + schema + " holds what was removed: " + contents(spi));
    if (!settings::archives())
      return warning(name, "schema " + schema + " is not one that gallery_revert() made", strange,
                     "It is left alone. Nothing has to be done about what is yours.");
    return blocked(name, ERRCODE_DUPLICATE_SCHEMA, "schema " + schema + " is not one that gallery_revert() made",
                   strange,
                   "Look at what is in it and who owns it. If it is yours, give it another name: ALTER SCHEMA "
                   "gallery_archive RENAME TO my_archive; " +
                       std::string(without));
  }
  if (settings::archives() && spi.query("SELECT has_database_privilege(" + std::to_string(survey.ledger.owner_oid) +
                                        "::oid, current_database(), 'CREATE')")
                                      .at(0)[0] != "t")
    return blocked(name, ERRCODE_INSUFFICIENT_PRIVILEGE,
                   "role " + quoted(survey.ledger.owner) + " may not make schema " + schema, "",
                   "Run as the database's owner: GRANT CREATE ON DATABASE " +
                       backend::identifier(spi.query("SELECT current_database()::text").at(0)[0].value_or("")) +
                       " TO " + backend::identifier(survey.ledger.owner) + "; " + without);
  return ok(name, settings::archives() ? "what is removed is written into schema " + schema + " first" : "");
}

} // namespace gallery
