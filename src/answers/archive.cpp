// gallery_archive_list(): what an archive holds, in words.
#include "answers/show.hpp"
#include "backend/as_owner.hpp"
#include "backend/guard.hpp"
#include "database/session.hpp"
#include "database/survey.hpp"
#include "readiness/finding.hpp"

namespace gallery {

namespace {

/// The archive, which may be there where no Immich is any more.
std::optional<Archive> readable_archive(const backend::Spi &spi) {
  auto archive = find_archive(spi);
  if (!archive) {
    backend::report(NOTICE, "this database has no schema " + quoted(archive_schema), "",
                    "gallery_revert() makes it where it is asked to: SET gallery.revert_archive = on;");
    return archive;
  }
  // Where there is an Immich, it is its owner's.
  if (auto const ledgers = find_ledgers(spi, "kysely_migrations");
      ledgers.size() == 1 && ledgers.front().owner_oid != archive->owner_oid)
    archive->strange = "it belongs to " + quoted(archive->owner);
  if (!archive->strange.empty())
    throw backend::Refusal(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                           "schema \"" + std::string(archive_schema) + "\" is not one that gallery_revert() made",
                           archive->strange, "Look at what is in it and who owns it.");
  if (!backend::may_act_as(archive->owner_oid))
    throw backend::Refusal(ERRCODE_INSUFFICIENT_PRIVILEGE, "only its owner may read schema " + quoted(archive_schema),
                           "It belongs to " + quoted(archive->owner) + '.',
                           "Connect as that role, or run: SET ROLE " + backend::identifier(archive->owner) + ";");
  return archive;
}

} // namespace

void show_archive_list(backend::ResultSet &result) {
  backend::Spi const spi;
  Bounded const bounded;
  auto const archive = readable_archive(spi);
  if (!archive)
    return;
  backend::AsOwner const owner(archive->owner_oid);
  std::string const facts = archived_facts;
  for (auto &row : spi.query(
           "SELECT x.run, x.what, x.count, x.names FROM (SELECT f.run, 0 AS place, 'rows in all, of ' || "
           "coalesce('Gallery '"
           " || nullif(max(f.value #>> '{}') FILTER (WHERE f.name = 'gallery'), ''), 'a Gallery') || ', taken back to"
           " Immich ' || max(f.value #>> '{}') FILTER (WHERE f.name = 'immich') || ' on ' || left(max(f.value #>> '{}')"
           " FILTER (WHERE f.name = 'at'), 10) AS what, (SELECT count(*) FROM " +
           std::string(archived_rows) +
           " r WHERE r.run = f.run) AS count, ARRAY(SELECT r.table_name || ': ' || count(*) FROM " + archived_rows +
           " r WHERE r.run = f.run GROUP BY r.table_name ORDER BY r.table_name COLLATE \"C\") AS names FROM " + facts +
           " f WHERE f.kind = 'run' GROUP BY f.run UNION ALL SELECT t.run, 1, t.name, (t.value ->> 'count')::bigint,"
           " ARRAY(SELECT jsonb_array_elements_text(t.value -> 'names')) FROM " +
           facts + " t WHERE t.kind = 'thing') x ORDER BY x.run, x.place, x.what COLLATE \"C\""))
    result.add(row);
}

} // namespace gallery
