// Share links made from a space: they may show photos that their owner could not share in Immich.
#include "rules/rule.hpp"

namespace gallery {

namespace {

constexpr const char *space_column = "1792123120451-AddSharedLinkSpaceId";

constexpr Need needs[] = {
    {"shared_link", "id"}, {"shared_link", "userId"}, {"shared_link", "type"}, {"shared_link_asset"}};
constexpr Need reads[] = {{"shared_link", "spaceId"}};
constexpr SideEffect effects_of_links[] = {{"shared_link_asset", Change::remove}};

bool says_space(const Context &db) {
  return db.identity.recorded(space_column) && db.has_gallery("shared_link", {"spaceId"});
}

/// The rows s of links that list single photos, with link l and asset a.
std::string listed(const Context &db) {
  return db.t("shared_link") + " l JOIN " + db.t("shared_link_asset") + " s ON s.\"sharedLinkId\" = l.id JOIN " +
         db.t("asset") + " a ON a.id = s.\"assetId\"";
}

/// Neither the owner of link l nor a partner of that owner's may share asset a: as in Immich's own test of access.
std::string of_others(const Context &db) {
  return "a.\"ownerId\" <> l.\"userId\" AND NOT EXISTS (SELECT FROM " + db.t("partner") + " p JOIN " + db.t("user") +
         " u ON u.id = p.\"sharedById\" WHERE p.\"sharedById\" = a.\"ownerId\" AND p.\"sharedWithId\" = l.\"userId\""
         " AND u.\"deletedAt\" IS NULL AND a.\"deletedAt\" IS NULL AND a.visibility::text IN ('timeline', 'hidden'))";
}

constexpr const char *of_spaces = "l.\"spaceId\" IS NOT NULL AND l.type::text = 'INDIVIDUAL'";

/// The links that list photos and lose some, but not all; or all.
std::string links_that_keep(const Context &db, bool some) {
  return "SELECT s.\"sharedLinkId\" FROM " + listed(db) + " WHERE " + of_spaces +
         " GROUP BY s.\"sharedLinkId\" HAVING " + (some ? "NOT " : "") + "pg_catalog.bool_and(" + of_others(db) + ')';
}

/// A link of a space that was deleted, or of a Gallery that did not write spaces down, looks like any other.
void name_unclear(const Context &db, Outcome &phase) {
  auto const unclear = db.spi.query("SELECT count(DISTINCT l.id), min(l.id::text) FROM " + listed(db) + " WHERE " +
                                    (says_space(db) ? "l.\"spaceId\" IS NULL AND " : "") +
                                    "l.type::text = 'INDIVIDUAL' AND " + of_others(db));
  if (unclear[0][0] != "0")
    phase.remarks.push_back(
        {*unclear[0][0] + (unclear[0][0] == "1" ? " share link lists" : " share links list") +
             " photos of others that may not be shared in Immich",
         "Left as they are: they may be of a deleted space or a former partner.\nLook at them in Immich, under shared "
         "links. One is " +
             unclear[0][1].value_or("") + "."});
}

std::string emptied(const Context &db) {
  return is_one_of("l.id", links_that_keep(db, false));
}

void remove_emptied(const Context &db, Outcome &phase) {
  if (says_space(db))
    phase.steps.push_back(
        remove(db, "shared_link", "l", emptied(db), "links made from a space: none of their photos may be shared"));
}

/// The rows s of links that lose some of their photos.
std::string unshared(const Context &db) {
  return "s.\"sharedLinkId\" IN (" + links_that_keep(db, true) + ") AND EXISTS (SELECT FROM " + db.t("shared_link") +
         " l, " + db.t("asset") + " a WHERE l.id = s.\"sharedLinkId\" AND a.id = s.\"assetId\" AND " + of_others(db) +
         ")";
}

void remove_assets(const Context &db, Outcome &phase) {
  if (says_space(db))
    phase.steps.push_back(remove(db, "shared_link_asset", "s", unshared(db),
                                 "links made from a space: photos their owner may not share"));
}

/// The links l to albums that their owner may not share.
std::string of_strange_albums(const Context &db) {
  bool const owner_column = db.has("album", {"ownerId"});
  std::string owns = "EXISTS (SELECT FROM " + db.t("album_user") +
                     " u WHERE u.\"albumId\" = l.\"albumId\" AND u.\"userId\" = l.\"userId\" AND u.role::text IN "
                     "('editor'" +
                     (owner_column ? "" : ", 'owner'") + "))";
  if (owner_column)
    owns +=
        " OR EXISTS (SELECT FROM " + db.t("album") + " b WHERE b.id = l.\"albumId\" AND b.\"ownerId\" = l.\"userId\")";
  return "l.\"spaceId\" IS NOT NULL AND l.type::text = 'ALBUM' AND NOT (" + owns + ")";
}

void remove_album_links(const Context &db, Outcome &phase) {
  if (says_space(db))
    phase.steps.push_back(remove(db, "shared_link", "l", of_strange_albums(db),
                                 "links made from a space: albums their owner may not share"));
}

/// A link's own key is a secret.
constexpr const char *link_name = "coalesce(nullif(l.description::text, ''::text), 'link ' || l.id::text)";

std::string list_links(const Context &db) {
  if (!says_space(db) || !db.has("shared_link", {"description"}))
    return "";
  return "SELECT " + std::string(link_name) + " AS name, 1::bigint AS number, 0::bigint AS part FROM " +
         db.t("shared_link") + " l WHERE " + emptied(db) + " OR " + of_strange_albums(db);
}

std::string list_assets(const Context &db) {
  if (!says_space(db) || !db.has("shared_link", {"description"}))
    return "";
  return "SELECT " + std::string(link_name) +
         " || ': ' || x.number::text AS name, x.number, 0::bigint AS part FROM"
         " (SELECT s.\"sharedLinkId\", pg_catalog.count(*) AS number FROM " +
         db.t("shared_link_asset") + " s WHERE " + unshared(db) + " GROUP BY 1) x JOIN " + db.t("shared_link") +
         " l ON l.id = x.\"sharedLinkId\"";
}

constexpr Loss lost_links = {.what = {"share link made from a space", "share links made from spaces"},
                             .instead = "gone: all that they show is of others, who have not shared it in Immich",
                             .list = list_links};
constexpr Loss lost_assets = {
    .what = {"photo in share links made from spaces", "photos in share links made from spaces"},
    .instead = "no longer in these links, which stay for the rest of their photos",
    .list = list_assets};

} // namespace

constinit const Rule rules::unclear_links = {.needs = needs, .work = name_unclear};
constinit const Rule rules::emptied_links = {
    .needs = needs, .side_effects = effects_of_links, .work = remove_emptied, .loss = &lost_links};
constinit const Rule rules::space_link_assets = {
    .needs = needs, .reads = reads, .work = remove_assets, .loss = &lost_assets};
constinit const Rule rules::space_link_albums = {
    .needs = needs, .side_effects = effects_of_links, .work = remove_album_links, .loss = &lost_links};

} // namespace gallery
