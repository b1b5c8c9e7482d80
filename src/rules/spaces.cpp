// Spaces and groups of users, of which Immich has nothing: what is lost with their tables.
#include "rules/rule.hpp"

namespace gallery {

namespace {

constexpr Noun photos = {"photo", "photos"};
constexpr Noun members = {"member", "members"};

/// How many rows of a table of Gallery's have the key that `key_of_owner` is, as SQL.
std::string count_of(const Context &db, const std::string &table, const char *key, const std::string &key_of_owner) {
  if (!db.has_gallery(table, {key}))
    return "0::bigint";
  return "(SELECT pg_catalog.count(*) FROM " + db.t(table) + " r WHERE r." + backend::identifier(key) + " = " +
         key_of_owner + ")";
}

/// The name of the space of row `x`, in brackets after what it is of, as SQL.
std::string in_space(const Context &db) {
  if (!db.has_gallery("shared_space", {"id", "name"}))
    return "''::text";
  return "coalesce((SELECT ' in ' || s.name::text FROM " + db.t("shared_space") +
         " s WHERE s.id = x.\"spaceId\" LIMIT 1), ''::text)";
}

/// The rows x of a table, by the space they are in.
std::string by_space(const Context &db, const std::string &table, const Noun &noun) {
  if (!db.has_gallery(table, {"spaceId"}))
    return "";
  return "SELECT " + counted_sql("x.number", noun) + " || " + in_space(db) +
         " AS name, x.number, 0::bigint AS part FROM (SELECT t.\"spaceId\", pg_catalog.count(*) AS number FROM " +
         db.t(table) + " t GROUP BY 1) x";
}

/// The rows x of a table, each named after the row of Immich's that it refers to.
std::string named(const Context &db, const std::string &table, const char *key, const std::string &of,
                  const char *name) {
  if (!db.has_gallery(table, {"spaceId", key}) || !db.has(of, {"id", name}))
    return "";
  return "SELECT o." + backend::identifier(name) + "::text || " + in_space(db) +
         " AS name, 1::bigint AS number, 0::bigint AS part FROM " + db.t(table) + " x LEFT JOIN " + db.t(of) +
         " o ON o.id = x." + backend::identifier(key);
}

std::string list_spaces(const Context &db) {
  if (!db.has_gallery("shared_space", {"id", "name"}))
    return "";
  return "SELECT x.name || ': ' || " + counted_sql("x.members", members) + " || ', ' || " +
         counted_sql("x.photos", photos) +
         " AS name, 1::bigint AS number, x.photos AS part FROM (SELECT s.name::text, " +
         count_of(db, "shared_space_member", "spaceId", "s.id") + " AS members, " +
         count_of(db, "shared_space_asset", "spaceId", "s.id") + " AS photos FROM " + db.t("shared_space") + " s) x";
}

std::string list_albums(const Context &db) {
  return named(db, "shared_space_album", "albumId", "album", "albumName");
}

std::string list_album_assets(const Context &db) {
  return by_space(db, "album_space_asset", photos);
}

std::string list_libraries(const Context &db) {
  return named(db, "shared_space_library", "libraryId", "library", "name");
}

std::string list_people(const Context &db) {
  if (!db.has_gallery("shared_space_person", {"spaceId", "name"}))
    return "";
  return "SELECT nullif(x.name::text, ''::text) || " + in_space(db) +
         " AS name, 1::bigint AS number, 0::bigint AS part FROM " + db.t("shared_space_person") + " x";
}

std::string list_activity(const Context &db) {
  return by_space(db, "shared_space_activity", {"entry", "entries"});
}

std::string list_groups(const Context &db) {
  if (!db.has_gallery("user_group", {"id", "name"}))
    return "";
  return "SELECT x.name || ': ' || " + counted_sql("x.members", members) +
         " AS name, 1::bigint AS number, x.members AS part FROM (SELECT g.name::text, " +
         count_of(db, "user_group_member", "groupId", "g.id") + " AS members FROM " + db.t("user_group") + " g) x";
}

constexpr std::string_view of_spaces[] = {"shared_space", "shared_space_member", "shared_space_asset"};
constexpr std::string_view of_albums[] = {"shared_space_album", "shared_space_album_folder",
                                          "shared_space_album_hidden", "shared_space_album_user"};
constexpr std::string_view of_album_assets[] = {"album_space_asset"};
constexpr std::string_view of_libraries[] = {"shared_space_library", "library_user"};
constexpr std::string_view of_people[] = {"shared_space_person", "shared_space_person_alias",
                                          "shared_space_person_face"};
constexpr std::string_view of_activity[] = {"shared_space_activity"};
constexpr std::string_view of_groups[] = {"user_group", "user_group_member"};

constexpr Loss lost_spaces = {.what = {"space", "spaces"},
                              .with = photos,
                              .instead = "gone; each photo stays with the user who uploaded it, and only there",
                              .as_albums = "each is an album with its members and photos; a warning names those that "
                                           "cannot become one",
                              .tables = of_spaces,
                              .list = list_spaces};
constexpr Loss lost_albums = {.what = {"album in a space", "albums in spaces"},
                              .instead = "the albums stay with those they are shared with in Immich; members of the "
                                         "space see them no more",
                              .as_albums = "the albums are shared with the members; a warning names those that "
                                           "cannot be",
                              .tables = of_albums,
                              .list = list_albums};
constexpr Loss lost_album_assets = {
    .what = {"photo that a space put into an album", "photos that spaces put into albums"},
    .instead = "no longer in the album; each stays with the user who uploaded it",
    .as_albums = "in the space's album, and no longer in the other",
    .tables = of_album_assets,
    .list = list_album_assets};
constexpr Loss lost_libraries = {.what = {"library in a space", "libraries in spaces"},
                                 .instead = "the libraries stay with their owners; nobody else sees them",
                                 .as_albums = "the libraries stay with their owners; the photos that are in them now "
                                              "are in the space's album",
                                 .tables = of_libraries,
                                 .list = list_libraries};
constexpr Loss lost_people = {.what = {"person of a space", "people of spaces"},
                              .instead = "gone, with their names there; the people that each user has stay",
                              .tables = of_people,
                              .list = list_people};
constexpr Loss lost_activity = {.what = {"entry in the activity of a space", "entries in the activity of spaces"},
                                .instead = "gone",
                                .tables = of_activity,
                                .list = list_activity};
constexpr Loss lost_groups = {.what = {"group of users", "groups of users"},
                              .with = members,
                              .instead = "gone; the users stay, and what was shared with each of them in Immich",
                              .tables = of_groups,
                              .list = list_groups};

} // namespace

constinit const Rule rules::spaces = {.loss = &lost_spaces};
constinit const Rule rules::albums_in_spaces = {.loss = &lost_albums};
constinit const Rule rules::space_album_assets = {.loss = &lost_album_assets};
constinit const Rule rules::space_libraries = {.loss = &lost_libraries};
constinit const Rule rules::space_people = {.loss = &lost_people};
constinit const Rule rules::space_activity = {.loss = &lost_activity};
constinit const Rule rules::user_groups = {.loss = &lost_groups};

} // namespace gallery
