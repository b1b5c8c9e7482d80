// Pets: Gallery keeps them as people of a type of their own, or lists their faces in a table.
#include "rules/rule.hpp"

namespace gallery {

namespace {

constexpr std::string_view pet_columns = "1772782339000-AddPetDetectionColumns";

constexpr Need needs[] = {{"asset_face"}};
constexpr std::string_view reads[] = {"pet_search"};
/// Cascades from faces and people, and the deletes' audit rows.
constexpr SideEffect side_effects[] = {{"face_search", Change::remove},
                                       {"asset_face_audit", Change::insert},
                                       {"asset_face", Change::update},
                                       {"person", Change::update},
                                       {"person", Change::remove},
                                       {"person_audit", Change::insert},
                                       {"person_group_audit", Change::insert},
                                       {"person_user", Change::remove}};

/// How this database tells pets from people, as SQL.
struct Pets {
  explicit Pets(const Context &db)
      : typed(db.has("person", {"type"})), told(typed || db.has("person", {"species"})), // only pets have a species
        groups(db.has("asset_face", {"personGroupId"}) && db.has("person", {"personGroupId"})),
        key(groups ? "\"personGroupId\"" : "\"personId\""),
        is_pet(typed ? "p.type::text = 'pet'" : "p.species IS NOT NULL"),
        pets("SELECT p." + std::string(groups ? "\"personGroupId\"" : "id") + " FROM " + db.t("person") + " p WHERE " +
             is_pet),
        humans("SELECT p.\"personGroupId\" FROM " + db.t("person") + " p WHERE " +
               (typed ? "p.type::text IS DISTINCT FROM 'pet'" : "p.species IS NULL")) {}

  bool typed;
  bool told; // a pet can be told from a human at all
  bool groups;
  std::string key; // of a face: whose it is
  std::string is_pet;
  std::string pets;
  std::string humans;
};

void remove_faces(const Context &db, Outcome &phase) {
  Pets const by(db);
  bool const listed = db.has("pet_search", {"faceId"});
  if (!by.told)
    phase.remarks.push_back({"columns \"type\" and \"species\" of table \"person\" are missing",
                             "Pets that Gallery keeps as people cannot be told from people, and stay among them."});
  if (!by.told && !listed)
    return;
  auto const of_pets = [&](const std::string &face) {
    return is_one_of(face + '.' + by.key, by.pets) +
           (by.groups ? " AND " + face + '.' + by.key + " NOT IN (" + by.humans + ")" : "");
  };
  std::string faces = of_pets("f");
  if (listed)
    faces = is_one_of("f.id",
                      "SELECT s.\"faceId\" FROM " + db.t("pet_search") + " s" +
                          (by.told ? " UNION ALL SELECT b.id FROM " + db.t("asset_face") + " b WHERE " + of_pets("b")
                                   : std::string()));
  phase.steps.push_back(remove(db, "asset_face", "f", faces, "faces of pets, which Immich would show as people"));
}

void remove_groups(const Context &db, Outcome &phase) {
  if (Pets const by(db); by.told && by.groups)
    phase.steps.push_back(remove(db, "person_group", "g",
                                 "g.id IN (" + by.pets + ") AND g.id NOT IN (" + by.humans + ")",
                                 "groups of people that hold only pets"));
}

/// Their groups are gone with the step before; what is left are pets that share a group with a human.
void remove_people(const Context &db, Outcome &phase) {
  if (Pets const by(db); by.told)
    phase.steps.push_back(remove(
        db, "person", "p", by.is_pet + (by.groups ? " AND p.\"personGroupId\" IN (" + by.humans + ")" : std::string()),
        by.groups ? "pets that share a group with people" : "pets that Gallery keeps as people"));
}

} // namespace

constinit const Rule rules::pet_faces = {
    .migration = pet_columns, .needs = needs, .reads = reads, .side_effects = side_effects, .work = remove_faces};
constinit const Rule rules::pet_groups = {
    .migration = pet_columns, .needs = needs, .side_effects = side_effects, .work = remove_groups};
constinit const Rule rules::pets = {
    .migration = pet_columns, .needs = needs, .side_effects = side_effects, .work = remove_people};

} // namespace gallery
