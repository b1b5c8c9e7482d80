# The scripts that Gallery's releases come with make or leave thirty known mistakes. One test or more for each that a revert
# could make too, named by its number. Two cannot be: 17, emptying a Redis (nothing here talks to one), and 22, files left
# on disk (no statement reaches them; what is tested is that the plan says how many).
use strict;
use warnings FATAL => 'all';

use Fixture;
use Fixture::Facts;
use Owner qw(owned_by);
use Test::More;
use Twin;

my $node = Twin::start_node('mistakes');
my $twin = Twin->new($node, 'work');
my @points;

# A point: number, words, fixture, SQL before the revert, SQL after it, what both print, what is reported.
sub point
{
	my ($number, $words, $options, $before, $after, $printed, $reported) = @_;
	push @points, { name => "$number: $words", options => $options, sql => [ $before, $after ], printed => $printed, reported => $reported };
	return;
}

sub gone { return 'SELECT ' . join(', ', map { "to_regclass('$_') IS NULL" } @_) . ';' }
sub rows { my ($table, $where) = @_; return "SELECT count(*) FROM $table" . ($where ? " WHERE $where" : '') . ';' }
sub moved { my ($table, $key) = @_; return qq(CREATE TEMP TABLE was ON COMMIT DROP AS SELECT $key AS key, "updateId" AS mark FROM $table;) }
sub touched { my ($table, $key) = @_; return qq(SELECT count(*) FROM $table t JOIN was w ON w.key = t.$key WHERE w.mark <> t."updateId";) }
sub ledger { my ($name) = @_; return "INSERT INTO kysely_migrations VALUES ('$name', '2026-11-01T00:00:00.000Z');" }

# A. Ledger
point(1, 'a name that only v3.0.0 to v4.3.3 recorded goes', { generation => 'v4.3.3' },
	rows('kysely_migrations', "name = '1772810000000-AddThumbnailCropYToSharedSpace'"),
	rows('kysely_migrations', "name LIKE '%SharedSpace%'") . gone('shared_space'), "1\nreturned v2.6.3\n0\nt\n");
point(2, 'a ledger of its own goes too', { generation => 'v5.9' }, '',
	rows('kysely_migrations') . gone('gallery_migrations', 'gallery_migrations_lock'), "returned v3.3.5\n100\nt|t\n");
point(3, 'a ledger out of order is put in order', { generation => 'v5.0' },
	q(UPDATE kysely_migrations SET timestamp = '2025-01-01T00:00:00.000Z' WHERE name = '1777667825574-ChangeDurationToInteger';
	  SELECT object, rows FROM tools.gallery_revert_plan() WHERE reason LIKE 'out of order%';),
	q(SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY timestamp::timestamptz, name) AS a, row_number() OVER (ORDER BY name) AS b
	  FROM kysely_migrations) s WHERE a <> b;), "kysely_migrations|1\nreturned v3.0.3\n0\n");
point(4, 'the alias of a migration that is not recorded becomes that migration',
	{ generation => 'v4.3.3', native => 77 },
	q(UPDATE kysely_migrations SET name = '1776735180298-ChangeDurationToInteger' WHERE name = '1777667825574-ChangeDurationToInteger';),
	rows('kysely_migrations', "name LIKE '%-ChangeDurationToInteger' AND name LIKE '1777667825574-%'") . rows('kysely_migrations'),
	"returned v3.0.3\n1\n77\n");
point(5, q(no migration of Immich's is undone), { generation => 'v5.3' }, '',
	rows('kysely_migrations', "name IN ('1784647658615-AddOAuthBearerTokenToSession', '1784836013770-MinFacePreferenceMigration')"),
	"returned v3.1.0\n2\n");
point(6, "a name from before a migration's release becomes the released one", { generation => 'v5.2', native => 92 },
	q(UPDATE kysely_migrations SET name = '1784664555996-AlbumDescriptionNullable' WHERE name = '1784986754474-AlbumDescriptionNullable';
	  UPDATE kysely_migrations SET name = '1783930557118-AddWorkflowLogsTable' WHERE name = '1786741078327-AddWorkflowLogsTable';),
	rows('kysely_migrations', "name IN ('1784986754474-AlbumDescriptionNullable', '1786741078327-AddWorkflowLogsTable')")
		. rows('kysely_migrations'),
	"returned v3.2.4\n2\n92\n");
point(7, 'words in the names of other tables do not matter', { generation => 'v5.0' },
	'CREATE TABLE "MyUserGroup" (a int); CREATE TABLE "Classification" (a int); CREATE TABLE "LibraryUserNotes" (a int);',
	gone('"MyUserGroup"', '"Classification"', '"LibraryUserNotes"'), "returned v3.0.3\nf|f|f\n");

# B. Schemas and databases in between
point(8, 'another schema, and tables of the same names in "public"', { generation => 'v5.8', schema => 'photo app' },
	'CREATE TABLE public.asset_favorite (a int); CREATE TABLE public.shared_space (a int);
	  CREATE TABLE public.plugin (a int); CREATE TABLE public.person (a int);',
	rows('asset', '"isFavorite"') . rows('person', q(to_jsonb(person) ? 'species')) . rows('plugin', "name = 'gallery-core'")
	. rows('shared_link', q(description IN ('Link 106', 'Link 107')))
	. gone('"photo app".shared_space', 'public.shared_space', 'public.asset_favorite', 'public.plugin'),
	qr/\Areturned v3\.3\.5\n[1-9]\d*\n0\n0\n0\nt\|f\|f\|f\n\z/);
point(9, 'pets before there were groups of people', { generation => 'v5.6' },
	rows('person') . rows('person', q(type = 'pet')), rows('person'), "35\n10\nreturned v3.1.0\n25\n");
point(9, 'faces that only pet_search knows for pets, where the column that tells pets from people has gone',
	{ generation => 'v5.8', without => ['column:person:type'] },
	'CREATE TEMP TABLE pets ON COMMIT DROP AS SELECT "faceId" FROM pet_search; SELECT count(*) > 0 FROM pets;',
	rows('asset_face', 'id IN (SELECT "faceId" FROM pets)'), "t\nreturned v3.3.5\n0\n");
my $first_trim = q(UPDATE asset_edit SET parameters = parameters || '{"originalDuration": %s}' WHERE id =
  (SELECT id FROM asset_edit WHERE action = 'trim' AND parameters ? 'originalDuration' ORDER BY id LIMIT 1)
  RETURNING "assetId" AS asset \gset);
my $its_duration = q(SELECT duration, "isEdited", thumbhash IS NULL FROM asset WHERE id = :'asset';);
point(10, 'a duration that is a text', { generation => 'v5.3', native => 68 }, sprintf($first_trim, '3661.5'),
	$its_duration, qr/^returned v3\.1\.0\n01:01:01\.500\|f\|t\n/);
point(10, 'a duration that is a number', { generation => 'v5.3' }, sprintf($first_trim, '3661.5'), $its_duration,
	qr/^returned v3\.1\.0\n3661500\|f\|t\n/);
foreach my $bad ('0', '-1', '"long"', 'null', '1e300')
{
	point(10, "an original duration of $bad is none, and said so", { generation => 'v5.3' },
		sprintf($first_trim, $bad) . qq(\nUPDATE asset SET duration = 4321 WHERE id = :'asset';), $its_duration,
		qr/^returned v3\.1\.0\n4321\|f\|t\n/, qr/3 trimmed videos do not say/);
}
point(11, 'album links where an album has its owner in a column', { generation => 'v5.5', native => 68 }, '',
	q(SELECT string_agg(description, ', ' ORDER BY description) FROM shared_link WHERE type = 'ALBUM';),
	"returned v3.1.0\nLink 104, Link 105, Link 3, Link 4, Link 5\n");
foreach my $row ([ 'v4.3.3', 'v4.3.3', 'v2.6.3' ], [ 'v5.2', 'v5.2.3', 'v3.0.3' ], [ 'v5.9', 'v5.9.0', 'v3.3.5' ])
{
	point(12, "one extension for every release, here $row->[1]", { generation => $row->[0] },
		'SELECT product, gallery_release FROM tools.gallery_revert_status();', '',
		"gallery|$row->[1]\nreturned $row->[2]\n");
}
my @fork = map { $_->{name} } Fixture::Facts::fork_ledger('v5.8');
my ($tables) = grep { $fork[$_] eq '1794000000000-AddAssetFavoriteTables' } 0 .. $#fork;
my $overlay = q(EXISTS (SELECT FROM asset_favorite f WHERE f."assetId" = a.id AND f."userId" = a."ownerId"));
point(13, 'favourites taken away and added while the old column was still there', { generation => 'v5.8', prefix => $tables + 1 },
	qq(SELECT bool_or(a."isFavorite" AND NOT $overlay), bool_or(NOT a."isFavorite" AND $overlay) FROM asset a;
	   CREATE TEMP TABLE want ON COMMIT DROP AS SELECT a.id, $overlay AS favorite FROM asset a;),
	'SELECT count(*) FROM asset a JOIN want w USING (id) WHERE a."isFavorite" <> w.favorite;', "t|t\nreturned v3.3.5\n0\n");

# C. Drops that could hit something else
my $untouched = gone('user_group', 'library_user') . q(SELECT count(*) FROM pg_proc WHERE proname = 'library_after_insert';);
my $foreign = q(CREATE TABLE user_group (a int); CREATE TABLE library_user (a int);
  CREATE FUNCTION library_after_insert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';);
point(14, 'tables and functions that no recorded migration made stay', { generation => 'v4.3.3' }, $foreign,
	$untouched, "returned v2.6.3\nf|f\n1\n",
	qr/called\ as\ Gallery's\ are.*(?:
		function\ "library_after_insert\(\)".*"library_user".*"user_group" | "library_user".*"user_group".*library_after_insert)/sx);
point(14, 'what depends on the same names is named, not dropped', { generation => 'v5.0' },
	'CREATE VIEW my_groups AS SELECT name FROM user_group; CREATE TABLE my_members (id uuid REFERENCES shared_space (id));',
	gone('my_groups', 'my_members', 'user_group'),
	qr/^refused 2BP01 .*\n(?:.*\n)*.*my_members.*\n(?:.*\n)*.*view public\.my_groups.*\nhint .*\nf\|f\|f\n\z/);
point(14, 'no statement cascades', { generation => 'v5.8' },
	q(SELECT count(*) FILTER (WHERE statement ~* 'cascade'), count(*) FILTER (WHERE statement ~ '^DROP' AND statement !~ ' RESTRICT$')
	  FROM tools.gallery_revert_plan();),
	'', "0|0\nreturned v3.3.5\n");
point(14, 'tables of another fork are not taken for Gallery\'s', { generation => 'v5.8' },
	ledger('2100000000010-AnotherFork'), gone('shared_space'),
	qr/^refused 0A000 .*\n"2100000000010-AnotherFork"\nhint .*\nf\n\z/);
point(15, 'columns that Immich may have one day', { generation => 'v4.3.3', prefix => 5 },
	q(ALTER TABLE person ADD type varchar NOT NULL DEFAULT 'person', ADD species varchar; CREATE INDEX pet_index ON person (type);
	  UPDATE person SET type = 'pet' WHERE id = (SELECT min(id::text)::uuid FROM person);),
	rows('person', q(type = 'pet' AND species IS NULL)) . gone('pet_index'),
	"returned v2.6.3\n1\nf\n", qr/called as Gallery's are.*"species" of table "person"/s);
point(16, 'a jit setting of whoever runs the revert stays', { generation => 'v5.8' },
	'CREATE ROLE test_server; ALTER ROLE test_server SET jit = off; ALTER ROLE CURRENT_USER SET jit = off;' . owned_by('test_server'),
	q(SELECT r.rolname = current_user, s.setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole;),
	"returned v3.3.5\nt|{jit=off}\n");

# D. Data rewritten or lost
my $links = q(SELECT l.description, count(s."assetId")
  FROM shared_link l LEFT JOIN shared_link_asset s ON s."sharedLinkId" = l.id WHERE %s GROUP BY 1);
point(18, 'links that no space made stay as they are', { generation => 'v5.5' },
	'CREATE TEMP TABLE was ON COMMIT DROP AS ' . sprintf($links, '"spaceId" IS NULL') . '; SELECT count(*) FROM was;',
	'SELECT count(*) FROM (SELECT * FROM was EXCEPT ' . sprintf($links, 'true') . ') s;', "7\nreturned v3.1.0\n0\n");
point(18, 'a link that is emptied goes; one that was empty stays, and so does one to an album that its owner may edit',
	{ generation => 'v5.5' }, sprintf($links, q(description IN ('Link 102', 'Link 108'))) . ' ORDER BY 1;',
	sprintf($links, q(description IN ('Link 102', 'Link 105', 'Link 106', 'Link 108'))) . ' ORDER BY 1;',
	qr/^Link 102\|[1-9]\d*\nLink 108\|0\nreturned v3\.1\.0\nLink 105\|0\nLink 108\|0\n\z/);
point(18, q(a partner's photos stay in a link made from a space, all but those that a partner does not see), { generation => 'v5.5' },
	q(CREATE TEMP TABLE was ON COMMIT DROP AS
	    SELECT l.id AS link, a.id AS asset, p."sharedById" IS NOT NULL AS partner,
	      a.visibility IN ('timeline', 'hidden') AND a."deletedAt" IS NULL AS seen
	    FROM shared_link l JOIN shared_link_asset s ON s."sharedLinkId" = l.id JOIN asset a ON a.id = s."assetId"
	    LEFT JOIN partner p ON p."sharedById" = a."ownerId" AND p."sharedWithId" = l."userId" WHERE l.description = 'Link 103';
	  SELECT bool_or(partner AND seen), bool_or(partner AND NOT seen), bool_or(NOT partner AND seen) FROM was;),
	q(SELECT bool_and((partner AND seen) = EXISTS (SELECT FROM shared_link_asset WHERE "sharedLinkId" = link AND "assetId" = asset))
	  FROM was;),
	"t|t|t\nreturned v3.1.0\nt\n");
point(18, 'a link of a space that was deleted stays as it is, and is named', { generation => 'v5.5' },
	q(DELETE FROM shared_space WHERE id = (SELECT "spaceId" FROM shared_link WHERE description = 'Link 102');
	  CREATE TEMP TABLE was ON COMMIT DROP AS
	    SELECT s.* FROM shared_link_asset s JOIN shared_link l ON l.id = s."sharedLinkId" WHERE l.description = 'Link 102';
	  SELECT count(*) > 0 FROM was;),
	q(SELECT count(*) FROM was EXCEPT SELECT count(*) FROM was JOIN shared_link_asset USING ("sharedLinkId", "assetId");),
	"t\nreturned v3.1.0\n", qr/3 share links list photos of others that may not be shared in Immich/);
point(19, 'only people that change are written', { generation => 'v5.4' },
	moved('person', 'id') . rows('person_audit'), touched('person', 'id') . rows('person_audit'),
	"3\nreturned v3.1.0\n1\n13\n");
point(19, 'no face is written', { generation => 'v5.4' }, moved('asset_face', 'id'), touched('asset_face', 'id'),
	"returned v3.1.0\n0\n");
my $kept = join ' || \'|\' || ', map { "(SELECT count(*) FROM $_)" } 'plugin', 'plugin_action', 'workflow',
	'workflow_action', 'audit', 'asset_ocr', q(asset WHERE "deviceAssetId" <> '');
point(20, 'plugins, workflows, OCR and device ids stay', { generation => 'v4.57' }, "SELECT $kept AS kept \\gset",
	"SELECT $kept = :'kept', $kept !~ '(^|\\|)0(\\||\$)';", "returned v2.7.5\nt|t\n");
point(21, 'what is null stays null', { generation => 'v5.7' },
	q(UPDATE album SET description = NULL WHERE id = (SELECT min(id::text)::uuid FROM album);)
		. rows('"user"', 'password IS NULL') . rows('album', 'description IS NULL'),
	rows('"user"', 'password IS NULL') . rows('album', 'description IS NULL'), "1\n1\nreturned v3.2.4\n1\n1\n");
point(22, 'the plan tells how many edited files are left on disk', { generation => 'v5.3' },
	q(SELECT rows FROM tools.gallery_revert_plan() WHERE object = 'asset_file';)
	. rows('asset_file', q("isEdited" AND "assetId" IN (SELECT "assetId" FROM asset_edit WHERE action = 'trim'))),
	rows('asset_file', '"isEdited"') . rows('asset_edit', q(action = 'trim')),
	qr/^([1-9]\d*)\n\1\nreturned v3\.1\.0\n[1-9]\d*\n0\n\z/);

# E. Left behind
point(23, q(every setting of Gallery's goes, and nothing else of the settings), { generation => 'v5.8' }, '',
	q(SELECT value = '{"ffmpeg": {"crf": 23, "threads": 0},
	  "storageTemplate": {"enabled": true, "template": "{{y}}/{{MM}}/{{filename}}"},
	  "server": {"externalDomain": "https://photos.example.org"},
	  "machineLearning": {"clip": {"enabled": true, "modelName": "ViT-B-32__openai"}, "facialRecognition": {"minScore": 0.7}},
	  "job": {}, "newVersionCheck": {"enabled": true}}'::jsonb
	  FROM system_metadata WHERE key = 'system-config';),
	"returned v3.3.5\nt\n");
my $versions = q(SELECT string_agg(version, ' ' ORDER BY "createdAt") FROM version_history;);
my $check = rows('system_metadata', q(key = 'version-check-state'));
point(24, q(no version of Gallery's is left to compare with), { generation => 'v5.8' }, $check, "$check $versions",
	"1\nreturned v3.3.5\n0\n2.5.2 2.5.6 3.0.0\n");
point(24, q(Gallery's 3.0.0 is not Immich's), { generation => 'v4.3.3' }, $versions, $versions,
	"2.5.2 2.5.6 3.0.0 4.3.3\nreturned v2.6.3\n2.5.2 2.5.6\n");
point(24, q(a release of Immich's that was found stays), { generation => 'v5.8', seed => 3 }, $check, $check,
	"1\nreturned v3.3.5\n1\n");
point(25, q(checkpoints of Gallery's types go, Immich's stay), { generation => 'v5.8' },
	rows('session_sync_checkpoint', q(type ~ '^(SharedSpace|AssetFavorite|Library)'))
	. q(SELECT count(*) AS native FROM session_sync_checkpoint WHERE type !~ '^(SharedSpace|AssetFavorite|Library)' \gset),
	rows('session_sync_checkpoint', q(type ~ '^(SharedSpace|AssetFavorite|Library)'))
		. 'SELECT count(*) = :native FROM session_sync_checkpoint;',
	qr/^[1-9]\d*\nreturned v3\.3\.5\n0\nt\n\z/);
my $resets = q(SELECT count(*) FILTER (WHERE NOT "isPendingSyncReset") FROM session;);
point(25, 'phones see favourites that were put back: every session syncs from the start', { generation => 'v5.8' },
	$resets, $resets . rows('asset', '"isFavorite"'), qr/^[1-9]\d*\nreturned v3\.3\.5\n0\n[1-9]\d*\n\z/);
point(25, 'a session syncs as before where nothing was put back', { generation => 'v5.0' }, $resets, $resets,
	"9\nreturned v3.0.3\n9\n");
point(26, 'the preference that only Gallery reads goes', { generation => 'v5.8' },
	rows('user_metadata', q(value -> 'memories' ? 'types')), rows('user_metadata', q(value -> 'memories' ? 'types'))
	. rows('user_metadata', q(value ? 'memories')), "3\nreturned v3.3.5\n0\n5\n");
point(26, 'and one that only a branch wrote; preferences of another shape stay', { generation => 'v5.8' },
	q(UPDATE user_metadata SET value = value || '{"photoGuesser": {"rounds": 5}}' WHERE key = 'preferences' AND value -> 'memories' ? 'types';
	  UPDATE user_metadata SET value = '["photoGuesser"]'
	    WHERE key = 'preferences' AND "userId" = (SELECT min("userId"::text)::uuid FROM user_metadata
	    WHERE key = 'preferences' AND NOT value ? 'photoGuesser');) . rows('user_metadata', q(value -> 'photoGuesser' IS NOT NULL)),
	rows('user_metadata', q(value -> 'photoGuesser' IS NOT NULL)) . rows('user_metadata', q(value = '["photoGuesser"]'))
	. rows('user_metadata', q(value -> 'memories' ? 'types')), "3\nreturned v3.3.5\n0\n1\n0\n");
point(26, 'workflows without any step left are turned off, and named', { generation => 'v5.5' },
	q(SELECT reason FROM tools.gallery_revert_plan() WHERE object = 'workflow';),
	q(SELECT string_agg(name, ', ' ORDER BY name) FROM workflow WHERE enabled;),
	"turned off, as they lose all of their steps: Workflow 2, Workflow 6\nreturned v3.1.0\nEmpty, Workflow 1, Workflow 3, Workflow 5\n");
my $branch = q(CREATE TABLE person_face_suggestion (id uuid PRIMARY KEY); CREATE TABLE asset_quality (id uuid PRIMARY KEY);
  ALTER TABLE "user" ADD "physicalUsageInBytes" bigint;
  CREATE INDEX "asset_livePhotoVideoId_visibility_idx" ON asset ("livePhotoVideoId", visibility);
  INSERT INTO migration_overrides VALUES ('index_asset_livePhotoVideoId_visibility_idx', '{}'););
my $left = gone('person_face_suggestion', 'asset_quality', '"asset_livePhotoVideoId_visibility_idx"')
  . q(SELECT count(*) FROM information_schema.columns WHERE column_name = 'physicalUsageInBytes';);
point(27, 'what branches made goes', { generation => 'v5.8' },
	$branch . join('', map { ledger($_) } '1778900000000-AddPersonFaceSuggestion',
		'1779500000000-AddAssetQualityScoring', '1791000000000-AddPhysicalUsageInBytes',
		'1785000000000-AddLivePhotoVideoVisibilityIndex'),
	$left . rows('migration_overrides', "name LIKE '%livePhotoVideoId_visibility%'"), "returned v3.3.5\nt|t|t\n0\n0\n");
point(27, 'but not where no branch is recorded', { generation => 'v5.8' }, $branch, $left,
	"returned v3.3.5\nf|f|f\n1\n", qr/called as Gallery's are.*"asset_quality".*"person_face_suggestion"/s);
point(28, 'edits with other actions than crop, rotate and mirror go', { generation => 'v5.9' },
	q(CREATE TEMP TABLE alone ON COMMIT DROP AS SELECT "assetId", bool_or(action = 'crop') AS cropped FROM asset_edit GROUP BY 1;
	  INSERT INTO asset_edit ("assetId", action, parameters, sequence)
	    SELECT id, 'glow', '{}', 0 FROM asset WHERE id NOT IN (SELECT "assetId" FROM alone) AND thumbhash IS NOT NULL ORDER BY id LIMIT 2;
	  SELECT string_agg(DISTINCT action, ' ' ORDER BY action) FROM asset_edit;),
	q(SELECT string_agg(DISTINCT action, ' ') FROM asset_edit;
	  SELECT bool_and(a."isEdited" = l.cropped), bool_and((a.thumbhash IS NULL) <> l.cropped),
	    count(*) FILTER (WHERE l.cropped) > 0, count(*) FILTER (WHERE NOT l.cropped) > 0
	  FROM alone l JOIN asset a ON a.id = l."assetId";),
	"adjust crop glow trim\nreturned v3.3.5\ncrop\nt|t|t|t\n");
point(28, 'what Immich edited too stays edited', { generation => 'v5.3' },
	sprintf($first_trim, '3661.5') . q(
	  INSERT INTO asset_edit ("assetId", action, parameters, sequence)
	    VALUES (:'asset', 'crop', '{"x": 1, "y": 1, "width": 10, "height": 10}', 1);
	  UPDATE asset SET thumbhash = '\x01' WHERE id = :'asset';
	  SELECT count(*) > 0 AS files FROM asset_file WHERE "assetId" = :'asset' AND "isEdited";),
	$its_duration . q(SELECT count(*) > 0 FROM asset_file WHERE "assetId" = :'asset' AND "isEdited";
	  SELECT action FROM asset_edit WHERE "assetId" = :'asset';),
	"t\nreturned v3.1.0\n3661500|t|f\nt\ncrop\n");
point(29, 'files below a relative folder are not taken for files in S3', { generation => 'v4.57' },
	q(UPDATE asset SET "originalPath" = 'data/upload/' || id || '.jpg';), '',
	qr/^refused 55000 some file paths do not start with "\/"
(?:.*\n)*240 originals, for example(?: "data\/upload\/[^"]+"){3}
hint .*IMMICH_MEDIA_LOCATION/);
point(29, 'files in S3 are', { generation => 'v4.57' },
	q(UPDATE asset_file SET path = 'thumbs/' || id || '.webp' WHERE type = 'thumbnail';
	  UPDATE "user" SET "profileImagePath" = 'profile/me.jpg' WHERE "isAdmin";),
	'',
	qr/^refused 55000 some files are in S3.*
[1-9]\d* files, for example(?: "thumbs\/[^"]+"){3}
1 profile images, for example "profile\/me\.jpg"
hint .*from S3 back to disk/);
point(30, 'asset_edit is Immich\'s and stays with its edits', { generation => 'v5.8' },
	rows('asset_edit', q(action = 'crop')),
	rows('asset_edit') . q(SELECT count(*) FROM pg_trigger WHERE tgrelid = 'asset_edit'::regclass AND NOT tgisinternal;),
	qr/^([1-9]\d*)\nreturned v3\.3\.5\n\1\n4\n\z/);

# One load for all points of the same fixture.
my %groups;
foreach my $point (@points)
{
	my %options = (assets => 240, %{ $point->{options} });
	push @{ $groups{ join ' ', map { "$_=$options{$_}" } sort keys %options } }, [ $point, \%options ];
}
foreach my $group (values %groups)
{
	my @got = $twin->attempts(Fixture->new(%{ $group->[0][1] }), map { $_->[0]{sql} } @$group);
	$group->[$_][0]{got} = $got[$_] foreach 0 .. $#got;
}
foreach my $point (@points)
{
	if (ref $point->{printed}) { like($point->{got}{out}, $point->{printed}, $point->{name}) }
	else { is($point->{got}{out}, $point->{printed}, $point->{name}) }
	like($point->{got}{messages}, $point->{reported}, "$point->{name}: reported") if $point->{reported};
}

# 5 again: nothing that Gallery's migrations make is left off a list that somebody keeps by hand.
my %known = map { $_ => 1 } split /\n/, $twin->run('work', q(SELECT kind || ' ' || object FROM tools.gallery_revert_manifest();));
my $effects = Fixture::Facts::gallery_effects();
my %own = map { $_->{name} => 1 } grep { $_->{kind} eq 'table' } map { @$_ } values %$effects;
my @unknown = grep { !$known{"migration $_"} } keys %$effects;
foreach my $fact (grep { $_->{sign} eq '+' } map { @$_ } values %$effects)
{
	# Functions are known by their arguments' types, without the arguments' names.
	(my $name = $fact->{name}) =~ s/\w+ (\w+)(?=[,)])/$1/g;
	next if $own{ $fact->{table} } && $fact->{kind} ne 'table' || $fact->{kind} eq 'override';
	# The name of a primary key or unique constraint is that of its index.
	my $object = "$fact->{kind} " . ($fact->{kind} =~ /^(table|function)$/ ? $name : "$fact->{table}.$fact->{name}");
	push @unknown, $object if !$known{$object} && !($fact->{kind} eq 'constraint' && $known{"index $fact->{table}.$fact->{name}"});
}
is_deeply([ sort @unknown ], [], '5: every migration and every object of the recorded listing is known');

done_testing();
