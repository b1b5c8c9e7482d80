// Spaces that become albums, where that is asked for: with the space's own id, so that every step can be told from
// Gallery's tables alone. Nobody may see a photo afterwards who could not before, so an album gets exactly what the
// space showed to its members, and nobody but them.
#include "rules/rule.hpp"
#include "settings.hpp"

namespace gallery {

namespace {

constexpr std::string_view space_tables = "1772240000000-CreateSharedSpaceTables";

constexpr Need needs[] = {{"album", "id"},         {"album_user", "role"}, {"album_asset", "assetId"},
                          {"asset", "visibility"}, {"asset", "deletedAt"}, {"asset", "isOffline"},
                          {"asset", "libraryId"},  {"user", "deletedAt"},  {"library", "deletedAt"}};
// Folders of linked albums are not read, but stay as long as the table that refers to them.
constexpr Need reads[] = {
    {"shared_space"},       {"shared_space_member"}, {"shared_space_asset"},       {"shared_space_library"},
    {"shared_space_album"}, {"album_space_asset"},   {"shared_space_album_folder"}};
/// Who is added to an album touches it, so that phones look at it.
constexpr SideEffect effects_of_members[] = {{"album", Change::update, Changed{"album_user", Change::insert}}};

/// The type of album_user's role, as SQL; empty where it is neither of Immich's.
std::string role_type(const Context &db) {
  auto const column = db.survey.columns.find({"album_user", "role"});
  if (column == db.survey.columns.end())
    return "";
  constexpr std::string_view text = "character varying";
  constexpr std::string_view roles = "album_user_role_enum";
  if (column->second.starts_with(text))
    return std::string(text);
  return column->second.starts_with(roles) ? db.t(roles) : "";
}

/// Of Gallery's tables, those that can be asked.
struct Spaces {
  explicit Spaces(const Context &db)
      : there(db.has_gallery("shared_space", {"id", "name", "description", "createdById", "createdAt", "updatedAt"}) &&
              db.has_gallery("shared_space_member", {"spaceId", "userId", "role", "joinedAt"}) &&
              db.has_gallery("shared_space_asset", {"spaceId", "assetId", "addedAt"}) && !role_type(db).empty()),
        links_albums(there && db.has_gallery("shared_space_album", {"spaceId", "albumId", "createdAt"})),
        owner_column(db.has("album", {"ownerId"})) {
    // Before any album is made: the steps after that cannot ask any more. Rows that point to an album which is no more,
    // as an interrupted restore leaves them, would show it to their users and in it their photos.
    if (!there)
      return;
    std::string points = "EXISTS (SELECT FROM " + db.t("album") + " b WHERE b.id = s.id)";
    for (const char *table : {"album_user", "album_asset", "shared_link", "activity"})
      if (db.has(table, {"albumId"}))
        points += " OR EXISTS (SELECT FROM " + db.t(table) + " r WHERE r.\"albumId\" = s.id)";
    for (const auto &row :
         db.spi.query("SELECT s.id FROM " + db.t("shared_space") + " s WHERE " + points + " ORDER BY s.id"))
      taken.push_back(row[0].value_or(""));
  }

  bool there;
  bool links_albums;
  bool owner_column;              // of Immich's album; later ones have their owner among album_user
  std::vector<std::string> taken; // spaces of which there is an album already, of an earlier revert
};

/// Asset a, as every space shows it: not in the trash, not locked, not the video of a live photo.
constexpr const char *shown = "a.\"deletedAt\" IS NULL AND a.visibility::text IN ('archive', 'timeline')";

/// ... AND album b is none that these steps make: a link that pointed to nothing would share it.
std::string is_no_space(const Context &db) {
  return " AND NOT EXISTS (SELECT FROM " + db.t("shared_space") + " z WHERE z.id = b.id)";
}

/// The photos of spaces: space, asset, added. One that comes by two ways is there twice.
std::string photos(const Context &db, const Spaces &by) {
  auto const asset = " JOIN " + db.t("asset") + " a ON a.id = ";
  std::string query = "SELECT x.\"spaceId\" AS space, a.id AS asset, x.\"addedAt\" AS added FROM " +
                      db.t("shared_space_asset") + " x" + asset + "x.\"assetId\" WHERE " + shown;
  auto const online = std::string(" AND NOT a.\"isOffline\"");
  if (db.has_gallery("shared_space_library", {"spaceId", "libraryId", "createdAt"}))
    query += " UNION ALL SELECT l.\"spaceId\", a.id, greatest(l.\"createdAt\", a.\"createdAt\") FROM " +
             db.t("shared_space_library") + " l JOIN " + db.t("asset") +
             " a ON a.\"libraryId\" = l.\"libraryId\" JOIN " + db.t("library") +
             " y ON y.id = l.\"libraryId\" AND y.\"deletedAt\" IS NULL WHERE " + shown + online;
  // What members added to a linked album of somebody else was shown by the space alone, not by the album.
  if (by.links_albums && db.has_gallery("album_space_asset", {"spaceId", "albumId", "assetId", "addedAt"}))
    query += " UNION ALL SELECT c.\"spaceId\", a.id, c.\"addedAt\" FROM " + db.t("album_space_asset") + " c JOIN " +
             db.t("shared_space_album") +
             " l ON l.\"spaceId\" = c.\"spaceId\" AND l.\"albumId\" = c.\"albumId\" JOIN " + db.t("album") +
             " b ON b.id = l.\"albumId\" AND b.\"deletedAt\" IS NULL" + is_no_space(db) + asset +
             "c.\"assetId\" WHERE " + shown + online;
  return query;
}

/// The owner that each space's album gets: space, owner. Who made it, or the first of its owners that is left.
std::string owners(const Context &db) {
  return "SELECT DISTINCT ON (m.\"spaceId\") m.\"spaceId\" AS space, m.\"userId\" AS owner FROM " +
         db.t("shared_space_member") + " m JOIN " + db.t("shared_space") + " s ON s.id = m.\"spaceId\" JOIN " +
         db.t("user") +
         " u ON u.id = m.\"userId\" WHERE m.role::text = 'owner' AND u.\"deletedAt\" IS NULL"
         " ORDER BY m.\"spaceId\", m.\"userId\" = s.\"createdById\" DESC, m.\"joinedAt\", m.\"userId\"";
}

std::string is_taken(const Spaces &by) {
  return "s.id = ANY (" + backend::array_literal(by.taken) + "::uuid[])";
}

/// FROM ... of the spaces s that become albums, with their owners o.
std::string turned(const Context &db, const Spaces &by) {
  return " FROM " + db.t("shared_space") + " s JOIN (" + owners(db) +
         ") o ON o.space = s.id WHERE s.id IN (SELECT p.space FROM (" + photos(db, by) + ") p)" +
         (by.taken.empty() ? "" : " AND NOT " + is_taken(by));
}

/// A name in a remark's detail: one line, of no great length.
std::string shown_name(const std::string &name) {
  return "pg_catalog.quote_ident(pg_catalog.regexp_replace(left(" + name + "::text, 200), '[[:cntrl:]]', '?', 'g'))";
}

/// The rows' first columns, one a line.
std::string list_rows(const std::vector<backend::Row> &rows) {
  constexpr std::size_t most = 100;
  std::string lines;
  for (std::size_t i = 0; i < rows.size() && i < most; ++i)
    lines += (i == 0 ? "" : "\n") + rows[i][0].value_or("");
  return lines + (rows.size() > most ? "\nand " + std::to_string(rows.size() - most) + " more" : "");
}

void name_the_others(const Context &db, const Spaces &by, Outcome &phase) {
  auto const left = db.spi.query("SELECT " + shown_name("s.name") + " || CASE WHEN " + is_taken(by) +
                                 " THEN ': there is an album of its id already, or something that points to one' WHEN "
                                 "o.space IS NULL THEN ': no owner is left' ELSE ': no photo"
                                 " that it could show' END FROM " +
                                 db.t("shared_space") + " s LEFT JOIN (" + owners(db) +
                                 ") o ON o.space = s.id WHERE o.space IS NULL OR s.id NOT IN (SELECT p.space FROM (" +
                                 photos(db, by) + ") p) OR " + is_taken(by) + " ORDER BY 1");
  if (!left.empty())
    phase.remarks.push_back(
        {std::to_string(left.size()) + (left.size() == 1 ? " space becomes" : " spaces become") + " no album",
         list_rows(left)});
}

void make_albums(const Context &db, Outcome &phase) {
  Spaces const by(db);
  if (!by.there) {
    phase.remarks.push_back({"no space becomes an album, for what tells of them is not all there",
                             "That are the tables \"shared_space\", \"shared_space_member\" and "
                             "\"shared_space_asset\" with their columns, and the role in Immich's \"album_user\"."});
    return;
  }
  phase.premises.push_back(
      {"albums of spaces, from an earlier revert",
       "SELECT pg_catalog.string_agg(b.id::text, ' '::text ORDER BY b.id::text COLLATE pg_catalog.\"C\") FROM " +
           db.t("album") + " b JOIN " + db.t("shared_space") + " s ON s.id = b.id"});
  name_the_others(db, by, phase);
  bool const nullable = db.spi
                            .query("SELECT attnotnull FROM pg_attribute WHERE attname = 'description' AND attrelid = " +
                                   std::to_string(db.survey.relations.at("album").oid) + "::oid")
                            .at(0)[0] == "f";
  // A cover that the space does not show is none: Immich then takes a photo of the album's.
  bool const cover = db.has_gallery("shared_space", {"thumbnailAssetId"});
  phase.steps.push_back(
      insert(db, "album",
             std::string("id, \"albumName\", description, \"createdAt\", \"updatedAt\"") +
                 (cover ? ", \"albumThumbnailAssetId\"" : "") + (by.owner_column ? ", \"ownerId\"" : ""),
             std::string("SELECT DISTINCT ON (s.id) s.id, s.name::character varying, ") +
                 (nullable ? "nullif(s.description, ''::text)" : "coalesce(s.description, ''::text)") +
                 ", s.\"createdAt\", s.\"updatedAt\"" +
                 (cover ? ", (SELECT p.asset FROM (" + photos(db, by) +
                              ") p WHERE p.space = s.id AND p.asset = s.\"thumbnailAssetId\" LIMIT 1)"
                        : "") +
                 (by.owner_column ? ", o.owner" : "") + turned(db, by),
             "spaces become albums"));
}

void add_members(const Context &db, Outcome &phase) {
  Spaces const by(db);
  if (!by.there)
    return;
  phase.steps.push_back(
      insert(db, "album_user", R"("albumId", "userId", role, "createdAt")",
             "SELECT t.space, m.\"userId\", (CASE WHEN m.\"userId\" = t.owner THEN 'owner' WHEN pg_catalog.bool_or("
             "m.role::text IN ('owner', 'editor')) THEN 'editor' ELSE 'viewer' END)::" +
                 role_type(db) + ", pg_catalog.min(m.\"joinedAt\") FROM (SELECT o.space, o.owner" + turned(db, by) +
                 ") t JOIN " + db.t("shared_space_member") + " m ON m.\"spaceId\" = t.space JOIN " + db.t("user") +
                 " u ON u.id = m.\"userId\"" + (by.owner_column ? " WHERE m.\"userId\" <> t.owner" : "") +
                 " GROUP BY t.space, t.owner, m.\"userId\"",
             "members of spaces see their albums"));
}

void add_photos(const Context &db, Outcome &phase) {
  Spaces const by(db);
  if (by.there)
    phase.steps.push_back(insert(db, "album_asset", R"("albumId", "assetId", "createdAt")",
                                 "SELECT p.space, p.asset, pg_catalog.min(p.added) FROM (SELECT o.space" +
                                     turned(db, by) + ") t JOIN (" + photos(db, by) +
                                     ") p ON p.space = t.space GROUP BY p.space, p.asset",
                                 "photos of spaces, those of linked libraries too"));
}

void share_linked(const Context &db, Outcome &phase) {
  Spaces const by(db);
  if (!by.links_albums)
    return;
  auto const albums = db.t("shared_space_album") + " l JOIN " + db.t("album") +
                      " b ON b.id = l.\"albumId\" AND b.\"deletedAt\" IS NULL" + is_no_space(db);
  // A space does not show all that Immich shows of an album to those it is shared with.
  auto const shows_more = "EXISTS (SELECT FROM " + db.t("album_asset") + " x JOIN " + db.t("asset") +
                          " a ON a.id = x.\"assetId\" WHERE x.\"albumId\" = b.id AND (a.visibility::text NOT IN "
                          "('archive', 'timeline') OR a.\"isOffline\" AND a.\"deletedAt\" IS NULL))";
  auto const new_members = albums + " JOIN " + db.t("shared_space_member") +
                           " m ON m.\"spaceId\" = l.\"spaceId\" JOIN " + db.t("user") +
                           " w ON w.id = m.\"userId\" WHERE NOT EXISTS (SELECT FROM " + db.t("album_user") +
                           " u WHERE u.\"albumId\" = l.\"albumId\" AND u.\"userId\" = m.\"userId\")" +
                           (by.owner_column ? " AND b.\"ownerId\" <> m.\"userId\"" : "");
  auto const left = db.spi.query("SELECT DISTINCT " + shown_name("b.\"albumName\"") + " || ', ' || b.id::text FROM " +
                                 new_members + " AND " + shows_more + " ORDER BY 1");
  if (!left.empty())
    phase.remarks.push_back(
        {std::to_string(left.size()) + (left.size() == 1 ? " album that is" : " albums that are") +
             " linked to a space cannot be shared with its members",
         "In Immich they would see photos in it that no space shows: locked, hidden or offline ones.\n" +
             list_rows(left)});
  // Gallery's grants have no role: what a member adds to somebody else's album stays in the space, and the album itself
  // is its owner's to change. So not even an editor of the space becomes one of the album.
  phase.steps.push_back(insert(db, "album_user", R"("albumId", "userId", role, "createdAt")",
                               "SELECT l.\"albumId\", m.\"userId\", 'viewer'::" + role_type(db) +
                                   ", pg_catalog.min(greatest(l.\"createdAt\", m.\"joinedAt\")) FROM " + new_members +
                                   " AND NOT " + shows_more + " GROUP BY l.\"albumId\", m.\"userId\"",
                               "albums linked to spaces are shared with the members"));
}

} // namespace

constinit const Rule rules::space_albums = {.wanted = settings::spaces_become_albums,
                                            .migration = space_tables,
                                            .needs = needs,
                                            .reads = reads,
                                            .work = make_albums};
constinit const Rule rules::space_members = {.wanted = settings::spaces_become_albums,
                                             .migration = space_tables,
                                             .needs = needs,
                                             .side_effects = effects_of_members,
                                             .work = add_members};
constinit const Rule rules::space_photos = {
    .wanted = settings::spaces_become_albums, .migration = space_tables, .needs = needs, .work = add_photos};
constinit const Rule rules::linked_albums = {.wanted = settings::spaces_become_albums,
                                             .migration = space_tables,
                                             .needs = needs,
                                             .side_effects = effects_of_members,
                                             .work = share_linked};

} // namespace gallery
