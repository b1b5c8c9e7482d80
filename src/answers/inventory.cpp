// immich_inventory(): how much of everything a database holds, on every Immich from v1.132 on and every Gallery. Two
// inventories of the same library are equal; what differs before and after something was lost or gained by it.
#include "answers/show.hpp"
#include "backend/guard.hpp"
#include "backend/local_settings.hpp"
#include "database/session.hpp"
#include "readiness/checks.hpp"

#include <algorithm>

namespace gallery {

namespace {

struct Item {
  const char *name;
  const char *tables; // the table's names, newest first, separated by commas
  const char *column; // that must exist, or empty
  const char *sql;    // an expression over the table's rows
};

constexpr const char *all_rows = "count(*)";

// Until v1.135 tables had plural names.
constexpr Item items[] = {
    {"users_active", "user,users", "deletedAt", "count(*) FILTER (WHERE \"deletedAt\" IS NULL)"},
    {"users_deleted", "user,users", "deletedAt", "count(*) FILTER (WHERE \"deletedAt\" IS NOT NULL)"},
    {"assets", "asset,assets", "", all_rows},
    {"assets_favorite", "asset,assets", "isFavorite", "count(*) FILTER (WHERE \"isFavorite\")"},
    {"assets_edited", "asset,assets", "isEdited", "count(*) FILTER (WHERE \"isEdited\")"},
    {"assets_newest_upload_epoch", "asset,assets", "createdAt",
     "coalesce(floor(extract(epoch FROM max(\"createdAt\") FILTER (WHERE isfinite(\"createdAt\"))))::bigint, 0)"},
    {"originals_bytes", "asset_exif,exif", "fileSizeInByte",
     "least(coalesce(sum(\"fileSizeInByte\"), 0), 9223372036854775807)::bigint"},
    {"albums", "album,albums", "", all_rows},
    {"album_assets", "album_asset,albums_assets_assets", "", all_rows},
    {"album_users", "album_user,albums_shared_users_users", "", all_rows},
    {"memories", "memory,memories", "", all_rows},
    {"people", "person", "", all_rows},
    {"people_named", "person", "name", "count(*) FILTER (WHERE name::text <> '')"},
    {"faces", "asset_face,asset_faces", "", all_rows},
    {"tags", "tag,tags", "", all_rows},
    {"stacks", "stack,asset_stack", "", all_rows},
    {"shared_links", "shared_link,shared_links", "", all_rows},
    {"shared_link_assets", "shared_link_asset,shared_link__asset", "", all_rows},
    {"libraries", "library,libraries", "", all_rows},
    {"partners", "partner,partners", "", all_rows},
    {"activities", "activity", "", all_rows},
    {"api_keys", "api_key,api_keys", "", all_rows},
    {"sessions", "session,sessions", "", all_rows},
};

/// Counts by the values of a column.
struct Breakdown {
  const char *prefix;
  const char *tables;
  const char *column;
};

constexpr Breakdown breakdowns[] = {
    {"assets_type_", "asset,assets", "type"},
    {"assets_visibility_", "asset,assets", "visibility"},
    {"assets_status_", "asset,assets", "status"},
    {"files_", "asset_file,asset_files", "type"},
};

/// All names of a list "a,b".
void take_names(std::string_view names, std::vector<std::string> &all) {
  while (!names.empty()) {
    auto const comma = std::min(names.find(','), names.size());
    all.emplace_back(names.substr(0, comma));
    names.remove_prefix(std::min(names.size(), comma + 1));
  }
}

std::string find_table(const Survey &survey, std::string_view names) {
  std::vector<std::string> all;
  take_names(names, all);
  auto const found = std::find_if(all.begin(), all.end(), [&](const auto &name) { return survey.has_table(name); });
  return found == all.end() ? std::string() : *found;
}

} // namespace

void show_inventory(backend::ResultSet &result) {
  backend::Spi const spi;
  Careful const careful(spi);
  Ledger ledger;
  enforce(check_ledger(spi, ledger));
  auto const survey = read_survey(spi, std::move(ledger));
  std::vector<std::string> counted;
  for (const auto &item : items)
    take_names(item.tables, counted);
  enforce_blocked(check_ownership(survey, {}, counted));
  enforce_blocked(check_shadows(survey));
  // Counting a table makes the planner look into the functions of its indexes, which in old databases need Immich's own
  // path.
  backend::LocalSettings local;
  local.set("search_path", survey.path_setting());

  // One pass over each table for all of its items, in the order of the list.
  std::map<std::string, std::vector<const Item *>> by_table;
  for (const auto &item : items)
    if (auto const table = find_table(survey, item.tables);
        !table.empty() && (*item.column == '\0' || survey.has_column(table, item.column)))
      by_table[table].push_back(&item);
  std::map<const Item *, std::string> counts;
  for (const auto &[table, list] : by_table) {
    std::string columns;
    for (const auto *item : list)
      columns += (columns.empty() ? "" : ", ") + std::string(item->sql);
    auto const row = spi.query("SELECT " + columns + " FROM " + backend::qualified(survey.schema(), table)).at(0);
    for (std::size_t i = 0; i < list.size(); ++i)
      counts[list[i]] = row[i].value_or("0");
  }
  for (const auto &item : items)
    if (auto count = counts.find(&item); count != counts.end())
      result.add({item.name, count->second});
  for (const auto &breakdown : breakdowns) {
    auto const table = find_table(survey, breakdown.tables);
    if (table.empty() || !survey.has_column(table, breakdown.column))
      continue;
    auto const column = backend::identifier(breakdown.column);
    for (const auto &row :
         spi.query("SELECT lower(regexp_replace(" + column + "::text, '[^A-Za-z0-9]+', '_', 'g')), count(*) FROM " +
                   backend::qualified(survey.schema(), table) + " GROUP BY 1 ORDER BY 1"))
      result.add({breakdown.prefix + row[0].value_or("none"), row[1]});
  }
}

} // namespace gallery
