// What Gallery's tables know of photos and faces, and Immich's do not: classification, and who is on a face.
#include "rules/rule.hpp"

namespace gallery {

namespace {

constexpr Noun identities = {"identity", "identities"};

/// One line for a whole table of Gallery's, named by `noun`; nothing where the table is not there.
void add_table(const Context &db, std::string &list, const char *table, const Noun &noun) {
  if (db.has_gallery(table, {"id"}))
    list += (list.empty() ? "" : " UNION ALL ") +
            ("SELECT " + counted_sql("x.number", noun) +
             " AS name, x.number, 0::bigint AS part FROM (SELECT pg_catalog.count(*) AS number FROM " + db.t(table) +
             " t) x WHERE x.number <> 0::bigint");
}

/// In settings, where newer releases keep them, or in a table for each user.
std::string list_categories(const Context &db) {
  std::string list;
  if (db.has("system_metadata", {"key", "value"}))
    list =
        "SELECT c.value ->> 'name'::text AS name, 1::bigint AS number, 0::bigint AS part FROM " +
        db.t("system_metadata") +
        " m, pg_catalog.jsonb_array_elements(CASE WHEN pg_catalog.jsonb_typeof(m.value #> "
        "'{classification,categories}'::text[]) = 'array' THEN m.value #> '{classification,categories}'::text[] ELSE "
        "'[]'::jsonb END) c WHERE m.key::text = 'system-config'";
  if (db.has_gallery("classification_category", {"name"}))
    list += (list.empty() ? "" : " UNION ALL ") +
            ("SELECT x.name::text, 1::bigint, 0::bigint FROM " + db.t("classification_category") + " x");
  return list;
}

std::string list_identities(const Context &db) {
  std::string list;
  add_table(db, list, "face_identity", identities);
  return list;
}

std::string list_decisions(const Context &db) {
  std::string list;
  add_table(db, list, "face_person_verdict", {"suggestion, accepted or not", "suggestions, accepted or not"});
  add_table(db, list, "face_repair_decline", {"repair declined", "repairs declined"});
  add_table(db, list, "face_repair_scan", {"scan", "scans"});
  add_table(db, list, "face_repair_scan_flagged_face", {"face flagged by a scan", "faces flagged by scans"});
  return list;
}

std::string list_authors(const Context &db) {
  if (!db.has_gallery("asset_face", {"createdBy"}))
    return "";
  return list_by_user(db, "asset_face", "createdBy", "r.\"createdBy\" IS NOT NULL");
}

constexpr std::string_view of_categories[] = {"classification_category", "classification_prompt_embedding"};
constexpr std::string_view of_identities[] = {"face_identity", "face_identity_face"};
constexpr std::string_view of_decisions[] = {"face_person_verdict", "face_repair_decline", "face_repair_scan",
                                             "face_repair_scan_flagged_face"};
constexpr Need needs_of_authors[] = {{"asset_face"}, {"user", "name"}, {"user", "email"}};

constexpr Loss lost_categories = {.what = {"category of the classification", "categories of the classification"},
                                  .instead =
                                      "gone; the tags that they set stay, and photos that they archived stay archived",
                                  .tables = of_categories,
                                  .list = list_categories};
constexpr Loss lost_identities = {.what = {"face identity across users", "face identities across users"},
                                  .instead = "gone; the people that each user has stay",
                                  .tables = of_identities,
                                  .list = list_identities};
constexpr Loss lost_decisions = {.what = {"note of the review of faces", "notes of the review of faces"},
                                 .instead = "gone; each face stays with the person it is of now",
                                 .tables = of_decisions,
                                 .list = list_decisions};
constexpr Loss lost_authors = {.what = {"note of who marked a face", "notes of who marked a face"},
                               .instead = "the faces stay, without that note",
                               .list = list_authors};

} // namespace

constinit const Rule rules::categories = {.loss = &lost_categories};
constinit const Rule rules::face_identities = {.loss = &lost_identities};
constinit const Rule rules::face_decisions = {.loss = &lost_decisions};
constinit const Rule rules::face_authors = {.needs = needs_of_authors, .loss = &lost_authors};

} // namespace gallery
