-- Makes the people and faces of a library many: variables people and faces, how many of them. New people have a group of their
-- own where there are groups; one in 13 is a pet, and one in 100 of the new faces is a pet's.
BEGIN;
SET LOCAL session_replication_role = replica;
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'asset_face'::regclass AND attname = 'personGroupId') AS has_groups \gset

CREATE TEMP TABLE new_person ON COMMIT DROP AS
SELECT n - 1 AS n, gen_random_uuid() AS id FROM generate_series(1, :people - (SELECT count(*) FROM person)) AS n;
CREATE TEMP TABLE human ON COMMIT DROP AS SELECT * FROM person WHERE to_jsonb(person) ->> 'type' IS DISTINCT FROM 'pet' LIMIT 1;
INSERT INTO person SELECT made.* FROM new_person n, human h, jsonb_populate_record(h, jsonb_build_object('id', n.id,
    'type', CASE WHEN n.n % 13 = 0 THEN 'pet' ELSE 'person' END, 'personGroupId', n.id, 'faceAssetId', NULL, 'identityId', NULL,
    'updateId', immich_uuid_v7())) AS made;
\if :has_groups
INSERT INTO person_group SELECT made.* FROM new_person n, human h JOIN person_group g ON g.id = h."personGroupId",
    jsonb_populate_record(g, jsonb_build_object('id', n.id, 'createId', immich_uuid_v7(), 'updateId', immich_uuid_v7())) AS made;
\endif

CREATE TEMP TABLE new_face ON COMMIT DROP AS
SELECT n % (:people / 26) * 13 + CASE WHEN n % 100 = 0 THEN 0 ELSE 1 + n % 12 END AS n, gen_random_uuid() AS id
FROM generate_series(1, :faces - (SELECT count(*) FROM asset_face)) AS n;
CREATE TEMP TABLE shown ON COMMIT DROP AS
SELECT f."assetId", row_number() OVER () - 1 AS n FROM asset_face f LIMIT :people / 2;
CREATE TEMP TABLE face ON COMMIT DROP AS SELECT * FROM asset_face LIMIT 1;
ANALYZE new_person, new_face, shown;
INSERT INTO asset_face SELECT made.* FROM face t, new_face n JOIN shown s USING (n) JOIN new_person p USING (n),
    jsonb_populate_record(t, jsonb_build_object('id', n.id, 'assetId', s."assetId", 'personId', p.id, 'personGroupId', p.id,
    'updateId', immich_uuid_v7())) AS made;
COMMIT;
