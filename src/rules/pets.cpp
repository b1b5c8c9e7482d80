// Pets: Gallery keeps them as people of a type of their own, or lists their faces in a table.
#include "rules/rule.hpp"
#include "settings.hpp"

namespace gallery {

namespace {

constexpr std::string_view pet_columns = "1772782339000-AddPetDetectionColumns";

constexpr Need needs[] = {{"asset_face"}};
constexpr Need reads[] = {{"pet_search"}, {"person", "type"}, {"person", "species"}};
constexpr Changed deleted_face = {"asset_face", Change::remove};
constexpr Changed deleted_person = {"person", Change::remove};
constexpr SideEffect effects_of_faces[] = {{"face_search", Change::remove, deleted_face},
                                           {"asset_face_audit", Change::insert, deleted_face},
                                           {"person", Change::update}}; // that showed such a face
constexpr SideEffect effects_of_people[] = {
    {"person_audit", Change::insert, deleted_person},
    {"person_group_audit", Change::insert, Changed{"person_group", Change::remove}},
    {"person_user", Change::remove}};

/// How this database tells pets from people, as SQL.
struct Pets {
  explicit Pets(const Context &db)
      : typed(db.has_gallery("person", {"type"})),
        told(typed || db.has_gallery("person", {"species"})), // only pets have a species
        groups(db.has("asset_face", {"personGroupId"}) && db.has("person", {"personGroupId"})),
        key(groups ? "\"personGroupId\"" : "\"personId\""), key_of_person(groups ? key : "id"),
        is_pet(typed ? "p.type::text = 'pet'" : "p.species IS NOT NULL"),
        pets("SELECT p." + key_of_person + " FROM " + db.t("person") + " p WHERE " + is_pet),
        humans("SELECT p." + key_of_person + " FROM " + db.t("person") + " p WHERE " +
               (typed ? "p.type::text IS DISTINCT FROM 'pet'" : "p.species IS NULL")) {}

  /// The keys that hold only pets: a set that is made once. NOT IN would go through all humans for each row where the
  /// server finds them too many to hash.
  [[nodiscard]] std::string only_pets() const { return groups ? pets + " EXCEPT " + humans : pets; }

  bool typed;
  bool told; // a pet can be told from a human at all
  bool groups;
  std::string key;           // of a face: whose it is
  std::string key_of_person; // what that refers to
  std::string is_pet;
  std::string pets;
  std::string humans;
};

/// Faces that pet_search lists, but for those of whom the user has made a human.
std::string listed_faces(const Context &db, const Pets &by) {
  std::string list = "SELECT s.\"faceId\" FROM " + db.t("pet_search") + " s";
  if (!by.told)
    return list;
  return list + " EXCEPT SELECT b.id FROM " + db.t("pet_search") + " l JOIN " + db.t("asset_face") +
         " b ON b.id = l.\"faceId\" WHERE b." + by.key + " IN (" + by.humans + ")";
}

bool pets_go() {
  return !settings::pets_stay_people();
}

/// The condition of faces f that go where pets stay people.
std::string faces_of_nobody(const Context &db, const Pets &by) {
  return is_one_of("f.id", "SELECT s.\"faceId\" FROM " + db.t("pet_search") + " s") + " AND f." + by.key + " IS NULL";
}

void remove_faces_of_nobody(const Context &db, Outcome &phase) {
  Pets const by(db);
  if (db.has_gallery("pet_search", {"faceId"}))
    phase.steps.push_back(
        remove(db, "asset_face", "f", faces_of_nobody(db, by), "faces of pets that are nobody in Immich's tables"));
}

/// The condition of faces f that go; empty where none can be told.
std::string faces_of_pets(const Context &db, const Pets &by) {
  bool const listed = db.has_gallery("pet_search", {"faceId"});
  if (!by.told && !listed)
    return "";
  auto const of_pets = [&](const char *face) { return face + by.key + " IN (" + by.only_pets() + ")"; };
  std::string faces = of_pets("f.");
  if (listed && by.told)
    faces = is_one_of("f.id", listed_faces(db, by) + " UNION ALL SELECT b.id FROM " + db.t("asset_face") + " b WHERE " +
                                  of_pets("b."));
  else if (listed)
    faces = is_one_of("f.id", listed_faces(db, by));
  return faces;
}

void remove_faces(const Context &db, Outcome &phase) {
  Pets const by(db);
  if (!by.told)
    phase.remarks.push_back({"columns \"type\" and \"species\" of table \"person\" are missing",
                             "Pets that Gallery keeps as people cannot be told from people, and stay among them."});
  if (auto const faces = faces_of_pets(db, by); !faces.empty())
    phase.steps.push_back(remove(db, "asset_face", "f", faces, "faces of pets, which Immich would show as people"));
}

void remove_groups(const Context &db, Outcome &phase) {
  Pets const by(db);
  if (!by.told || !by.groups)
    return;
  phase.steps.push_back(
      remove(db, "person_group", "g", is_one_of("g.id", by.only_pets()), "groups of people that hold only pets"));
  phase.steps.back().side_effects.push_back(
      at_most(db, "person", Change::remove, by.typed ? "x.type::text = 'pet'" : "x.species IS NOT NULL"));
}

/// Their groups are gone with the step before; what is left are pets that share a group with a human.
void remove_people(const Context &db, Outcome &phase) {
  if (Pets const by(db); by.told)
    phase.steps.push_back(remove(
        db, "person", "p", by.groups ? by.is_pet + " AND p." + by.key_of_person + " IN (" + by.humans + ")" : by.is_pet,
        by.groups ? "pets that share a group with people" : "pets that Gallery keeps as people"));
}

/// Each pet with its faces, and faces that are of none. Where pets share a group, so do they their faces: these count
/// with the first.
std::string list_lost(const Context &db) {
  Pets const by(db);
  auto const faces = faces_of_pets(db, by);
  if (faces.empty() || !db.has("person", {"name"}))
    return "";
  auto const key = by.groups ? "\"personGroupId\"" : "id";
  return "SELECT CASE WHEN p.there IS NULL THEN 'of no pet' ELSE coalesce(nullif(p.name::text, ''::text), 'no name') "
         "END "
         "||"
         " ': ' || " +
         counted_sql("coalesce(f.number, 0::bigint)", {"face", "faces"}) +
         " AS name, CASE WHEN p.there IS NULL THEN 0::bigint ELSE 1::bigint END AS number, coalesce(f.number, "
         "0::bigint) "
         "AS"
         " part FROM (SELECT true AS there, p.name, CASE WHEN pg_catalog.row_number() OVER (PARTITION BY p." +
         key + " ORDER BY p.name::text) = 1::bigint THEN p." + key + " END AS key FROM " + db.t("person") +
         " p WHERE " + (by.told ? by.is_pet : "false") + ") p FULL JOIN (SELECT f." + by.key +
         " AS key, pg_catalog.count(*) AS number FROM " + db.t("asset_face") + " f WHERE " + faces +
         " GROUP BY 1) f ON f.key = p.key";
}

constexpr std::string_view tables[] = {"pet_search"};
constexpr Loss lost = {.what = {"pet", "pets"},
                       .with = {"face", "faces"},
                       .instead = "gone, with their faces; the photos stay",
                       .tables = tables,
                       .list = list_lost};

std::string list_faces_of_nobody(const Context &db) {
  Pets const by(db);
  if (!db.has_gallery("pet_search", {"faceId"}))
    return "";
  return "SELECT NULL::text AS name, pg_catalog.count(*) AS number, 0::bigint AS part FROM " + db.t("asset_face") +
         " f WHERE " + faces_of_nobody(db, by);
}

constexpr Loss lost_faces = {.what = {"face of a pet that is nobody", "faces of pets that are nobody"},
                             .instead = "gone; the pets that are people stay with their faces, and so do all photos",
                             .tables = tables,
                             .list = list_faces_of_nobody};

} // namespace

constinit const Rule rules::pet_faces_of_nobody = {.wanted = settings::pets_stay_people,
                                                   .migration = pet_columns,
                                                   .needs = needs,
                                                   .reads = reads,
                                                   .side_effects = effects_of_faces,
                                                   .work = remove_faces_of_nobody,
                                                   .loss = &lost_faces};
constinit const Rule rules::pet_faces = {.wanted = pets_go,
                                         .migration = pet_columns,
                                         .needs = needs,
                                         .reads = reads,
                                         .side_effects = effects_of_faces,
                                         .work = remove_faces,
                                         .loss = &lost};
constinit const Rule rules::pet_groups = {.wanted = pets_go,
                                          .migration = pet_columns,
                                          .needs = needs,
                                          .side_effects = effects_of_people,
                                          .work = remove_groups,
                                          .loss = &lost};
constinit const Rule rules::pets = {.wanted = pets_go,
                                    .migration = pet_columns,
                                    .needs = needs,
                                    .side_effects = effects_of_people,
                                    .work = remove_people,
                                    .loss = &lost};

} // namespace gallery
