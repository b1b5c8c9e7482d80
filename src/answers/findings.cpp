// Asks findings.sql with the facts that it wants:
// @NATIVE@ Immich's schema at the ledger's count, as lines kind, table, name (empty: not known); @SERVERS@
// immich_servers.inc as lines what, place of the first release, place of the last, from, before; @PLACES@ an integer[]
// of the releases to judge, @TAGS@ a text[] of their tags; @SCHEMA@ the OID of Immich's schema; @COUNT@ an integer.
#include "answers/findings.hpp"

#include "manifest/manifest.hpp"

namespace gallery {

namespace {

constexpr const char *question =
#include "answers/findings.sql"
    ;

void put(std::string &sql, std::string_view place, const std::string &value) {
  for (auto at = sql.find(place); at != std::string::npos; at = sql.find(place, at + value.size()))
    sql.replace(at, place.size(), value);
}

std::string native_lines(int count) {
  std::string lines;
  if (count < manifest::first_native_count || count > manifest::last_native_count)
    return lines;
  for (const auto &fact : manifest::native_catalog())
    if (fact.first <= count && count <= fact.last && fact.kind != manifest::Kind::Override)
      lines += std::string(manifest::name_of(fact.kind)) + '\t' + std::string(fact.table) + '\t' +
               (fact.kind == manifest::Kind::Table ? std::string() : std::string(fact.name)) + '\n';
  return lines;
}

/// Place in the list of releases, from 1; of an empty tag the last.
int place_of(std::string_view tag) {
  const auto releases = manifest::immich_releases();
  return tag.empty() ? static_cast<int>(releases.size()) : static_cast<int>(find_release(tag) - releases.data()) + 1;
}

std::string server_lines() {
  std::string lines;
  for (const auto &fact : manifest::immich_servers())
    lines += (lines.empty() ? "" : "\n") + std::string(fact.what) + '\t' + std::to_string(place_of(fact.first)) + '\t' +
             std::to_string(place_of(fact.last)) + '\t' + std::string(fact.from) + '\t' + std::string(fact.before);
  return lines;
}

} // namespace

std::vector<std::string> findings_of(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                                     const Advice &advice, const std::optional<std::string> &wanted) {
  std::vector<std::string> lines;
  if (identity.is_gallery || advice.advice == "restore_backup" || identity.native_migrations == 0)
    return lines;
  std::vector<std::string> tags{advice.pin};
  std::string places = std::to_string(place_of(advice.pin));
  const auto *asked = wanted ? find_release(*wanted) : nullptr;
  if (asked != nullptr && asked->tag != advice.pin) {
    tags.emplace_back(asked->tag);
    places += "," + std::to_string(place_of(asked->tag));
  }
  std::string sql = question;
  put(sql, "@NATIVE@", backend::literal(native_lines(identity.native_migrations)));
  put(sql, "@SERVERS@", backend::literal(server_lines()));
  put(sql, "@PLACES@", "ARRAY[" + places + "]");
  put(sql, "@TAGS@", backend::array_literal(tags));
  put(sql, "@SCHEMA@", std::to_string(survey.ledger.schema_oid) + "::oid");
  put(sql, "@COUNT@", std::to_string(identity.native_migrations));
  for (auto &row : spi.query(sql))
    lines.push_back(row[0].value_or(""));
  // Where Immich last saw its files.
  if (survey.has_column("system_metadata", "key") && survey.has_column("system_metadata", "value"))
    for (auto &row : spi.query("SELECT m.value::jsonb ->> 'location' FROM " +
                               backend::qualified(survey.schema(), "system_metadata") +
                               " m WHERE m.key::text = 'MediaLocation' AND m.value IS NOT NULL"))
      if (row[0])
        lines.push_back("media location: \"" + *row[0] +
                        "\" is where Immich's files were mounted when it last started");
  return lines;
}

} // namespace gallery
