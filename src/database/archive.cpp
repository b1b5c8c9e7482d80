// Tells an archive by its shape: both tables, of the schema's owner, with their columns and nothing that decides about
// rows.
#include "database/archive.hpp"

#include "database/trust.hpp"

#include <algorithm>

namespace gallery {

namespace {

/// What is wrong with one of the tables; empty where nothing is.
std::string look_at(const backend::Row &row, const ArchiveTable &table) {
  std::string const name = '"' + std::string(table.name) + '"';
  if (row[1] != "t")
    return "table " + name + " does not belong to the schema's owner";
  if (row[2] != "t")
    return name + " is not a plain table";
  if (row[3] != table.columns)
    return "table " + name + " has other columns: " + row[3].value_or("none");
  return "";
}

} // namespace

std::optional<Archive> find_archive(const backend::Spi &spi) {
  auto const schema = spi.query("SELECT n.oid, n.nspowner, pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE "
                                "n.nspname = " +
                                backend::literal(archive_schema));
  if (schema.empty())
    return std::nullopt;
  auto const oid = static_cast<Oid>(std::stoul(schema[0][0].value_or("0")));
  Archive archive;
  archive.owner_oid = static_cast<Oid>(std::stoul(schema[0][1].value_or("0")));
  archive.owner = schema[0][2].value_or("");
  auto const rows = spi.query(
      "SELECT c.relname, c.relowner = n.nspowner, c.relkind = 'r' AND c.relpersistence = 'p' AND NOT"
      " (c.relhasrules OR c.relhassubclass OR c.relrowsecurity OR c.relchecks > 0 OR EXISTS (SELECT FROM"
      " pg_inherits i WHERE i.inhrelid = c.oid) OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid)),"
      " (SELECT string_agg(a.attname::text || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY"
      " a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"
      " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relnamespace = " +
      std::to_string(oid) + "::oid");
  for (const auto &table : archive_tables) {
    auto const row = std::find_if(rows.begin(), rows.end(), [&](const backend::Row &r) { return r[0] == table.name; });
    if (archive.strange.empty())
      archive.strange = row == rows.end() ? "it has no table \"" + std::string(table.name) + '"' : look_at(*row, table);
  }
  if (archive.strange.empty())
    for (const auto &[table, reason] : untrusted_tables(spi, oid, archive.owner_oid))
      if (table == archive_tables[0].name || table == archive_tables[1].name)
        archive.strange = "table \"" + table + "\" " + reason;
  return archive;
}

} // namespace gallery
