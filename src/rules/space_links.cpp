// Share links made from a space: they may show photos that their owner could not share in Immich.
#include "rules/rule.hpp"

namespace gallery {

namespace {

constexpr const char *space_column = "1792123120451-AddSharedLinkSpaceId";

constexpr Need needs[] = {
    {"shared_link", "id"}, {"shared_link", "userId"}, {"shared_link", "type"}, {"shared_link_asset"}};
constexpr SideEffect effects_of_links[] = {{"shared_link_asset", Change::remove}};

bool says_space(const Context &db) {
  return db.identity.recorded(space_column) && db.has("shared_link", {"spaceId"});
}

/// Link l lists asset a by row s, and neither its owner nor a partner of its owner's may share that.
std::string of_others(const Context &db, const std::string &which_links) {
  std::string const partner = "EXISTS (SELECT FROM " + db.t("partner") +
                              " p WHERE p.\"sharedById\" = a.\"ownerId\" AND p.\"sharedWithId\" = l.\"userId\""
                              " AND a.\"deletedAt\" IS NULL AND a.visibility::text IN ('timeline', 'hidden'))";
  return " WHERE l.id = s.\"sharedLinkId\" AND a.id = s.\"assetId\" AND" + which_links +
         " l.type::text = 'INDIVIDUAL' AND a.\"ownerId\" <> l.\"userId\" AND NOT " + partner;
}

/// A link of a space that was deleted, or of a Gallery that did not write spaces down, looks like any other.
void name_unclear(const Context &db, Outcome &phase) {
  auto const unclear = db.spi.query("SELECT count(DISTINCT l.id), min(l.id::text) FROM " + db.t("shared_link") +
                                    " l, " + db.t("shared_link_asset") + " s, " + db.t("asset") + " a" +
                                    of_others(db, says_space(db) ? " l.\"spaceId\" IS NULL AND" : ""));
  if (unclear[0][0] != "0")
    phase.remarks.push_back(
        {*unclear[0][0] + (unclear[0][0] == "1" ? " share link lists" : " share links list") +
             " photos of others that may not be shared in Immich",
         "Left as they are: they may be of a deleted space or a former partner.\nLook at them in Immich, under shared "
         "links. One is " +
             unclear[0][1].value_or("") + "."});
}

void remove_assets(const Context &db, Outcome &phase) {
  if (says_space(db))
    phase.steps.push_back(remove(db, "shared_link_asset", "s",
                                 "EXISTS (SELECT FROM " + db.t("shared_link") + " l, " + db.t("asset") + " a" +
                                     of_others(db, " l.\"spaceId\" IS NOT NULL AND") + ")",
                                 "links made from a space: photos their owner may not share"));
}

void remove_album_links(const Context &db, Outcome &phase) {
  if (!says_space(db))
    return;
  bool const owner_column = db.has("album", {"ownerId"});
  std::string owns = "EXISTS (SELECT FROM " + db.t("album_user") +
                     " u WHERE u.\"albumId\" = l.\"albumId\" AND u.\"userId\" = l.\"userId\" AND u.role::text IN "
                     "('editor'" +
                     (owner_column ? "" : ", 'owner'") + "))";
  if (owner_column)
    owns +=
        " OR EXISTS (SELECT FROM " + db.t("album") + " b WHERE b.id = l.\"albumId\" AND b.\"ownerId\" = l.\"userId\")";
  phase.steps.push_back(remove(db, "shared_link", "l",
                               "l.\"spaceId\" IS NOT NULL AND l.type::text = 'ALBUM' AND NOT (" + owns + ")",
                               "links made from a space: albums their owner may not share"));
}

} // namespace

constinit const Rule rules::unclear_links = {.needs = needs, .work = name_unclear};
constinit const Rule rules::space_link_assets = {.needs = needs, .work = remove_assets};
constinit const Rule rules::space_link_albums = {
    .needs = needs, .side_effects = effects_of_links, .work = remove_album_links};

} // namespace gallery
