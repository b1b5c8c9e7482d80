-- Takes the fixture's rows down to a benchmark's proportions, and gives the tables the look of a library in use.
-- Variables: favourites, pets, trims: how many per thousand of the fixture's rows of that kind stay.
-- Everything is as Gallery itself would leave it, but for the audit rows of these deletions, which go.
BEGIN;
SELECT to_regclass('asset_favorite') IS NOT NULL AS has_favourites, to_regclass('pet_search') IS NOT NULL AS has_pet_search,
       to_regclass('asset_edit') IS NOT NULL AS has_edits, to_regclass('asset_edit_audit') IS NOT NULL AS has_edit_audit,
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'asset_face'::regclass AND attname = 'personGroupId') AS has_groups,
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'person'::regclass AND attname = 'type') AS has_pets \gset
CREATE FUNCTION pg_temp.goes(id uuid, stay integer) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN (hashtext(id::text) & 1048575) % 1000 >= stay;

\if :has_favourites
DELETE FROM asset_favorite WHERE pg_temp.goes("assetId", :favourites);
DELETE FROM asset_favorite_audit WHERE "deletedAt" >= now();
\endif

CREATE TEMP TABLE pet_face (id uuid PRIMARY KEY) ON COMMIT DROP;
\if :has_pet_search
INSERT INTO pet_face SELECT "faceId" FROM pet_search;
\endif
\if :has_pets
\if :has_groups
INSERT INTO pet_face SELECT f.id FROM asset_face f JOIN person p USING ("personGroupId") WHERE p.type = 'pet' ON CONFLICT DO NOTHING;
\else
INSERT INTO pet_face SELECT f.id FROM asset_face f JOIN person p ON p.id = f."personId" WHERE p.type = 'pet' ON CONFLICT DO NOTHING;
\endif
\endif
DELETE FROM asset_face WHERE id IN (SELECT id FROM pet_face WHERE pg_temp.goes(id, :pets));
DELETE FROM asset_face_audit WHERE "deletedAt" >= now();

\if :has_edits
CREATE TEMP TABLE whole_video ON COMMIT DROP AS
SELECT "assetId" AS id FROM asset_edit WHERE action::text = 'trim' AND pg_temp.goes("assetId", :trims);
DELETE FROM asset_file WHERE "isEdited" AND "assetId" IN (SELECT id FROM whole_video);
DELETE FROM asset_edit WHERE action::text = 'trim' AND "assetId" IN (SELECT id FROM whole_video);
\if :has_edit_audit
DELETE FROM asset_edit_audit WHERE "deletedAt" >= now();
\endif
\endif
COMMIT;

-- In use, Immich's jobs update an asset's row several times after its upload, so that its page has room for new versions of
-- its rows. A page that was filled by a bulk load has none.
SET session_replication_role = replica;
UPDATE asset SET status = status WHERE get_byte(uuid_send(id), 15) < 64;
