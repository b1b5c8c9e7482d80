# What is kept where it is asked for: spaces become albums, and pets that are people stay. Nobody may see a photo afterwards who
# could not before: who saw what is written down here once more, from what Gallery and Immich grant, apart from the extension.
use strict;
use warnings FATAL => 'all';

use Fixture::Facts;
use GalleryTest;
use Test::More;

my $node = new_node('keep');
my $albums = q{SET gallery.revert_spaces = 'albums';};

# As the fixtures number things; their seed is 1.
sub id { my ($kind, $number) = @_; return "md5('1/$kind/$number')::uuid" }

# Rows of a query, in the schema of Immich.
sub rows
{
	my ($database, $schema, $query) = @_;
	$schema =~ s/"/""/g;
	return $node->safe_psql($database, qq{SET search_path = "$schema", public, seen; $query});
}

sub has_table
{
	my ($database, $schema, $table) = @_;
	return rows($database, $schema, "SELECT to_regclass('$table') IS NOT NULL") eq 't';
}

# What the fixture does not have: somebody left, a deleted user, an owner who is gone, a space with nothing to show, photos that no
# space shows, covers of each kind.
sub odd_members
{
	my ($linked) = @_;
	my %space = map { $_ => id('space', $_) } 1 .. 7;
	my %user = map { $_ => id('user', $_) } 1 .. 8;
	my ($library, $trashed) = (id('library', 2), id('library', 3)); # linked to spaces 1 and 2
	my $locked = q{(SELECT id FROM asset WHERE visibility = 'locked' ORDER BY id LIMIT 1)};
	return <<"SQL" . ($linked ? 'INSERT INTO album_asset ("albumId", "assetId") VALUES (' . id('album', 2) . ", $locked);" : '');
DELETE FROM shared_space_member WHERE "spaceId" = $space{1} AND role = 'viewer';
INSERT INTO shared_space_member ("spaceId", "userId", role) VALUES ($space{2}, $user{6}, 'viewer'), ($space{6}, $user{8}, 'guest');
UPDATE shared_space_member SET "userId" = $user{6} WHERE "spaceId" = $space{3} AND role = 'owner';
UPDATE shared_space_member SET role = 'owner' WHERE "spaceId" = $space{5} AND role = 'editor';
DELETE FROM shared_space_member WHERE "spaceId" = $space{5} AND "userId" = $user{1};
INSERT INTO shared_space (id, name, "createdById") VALUES ($space{7}, 'Nothing to see', $user{1});
INSERT INTO shared_space_member ("spaceId", "userId", role) VALUES ($space{7}, $user{1}, 'owner'), ($space{7}, $user{7}, 'viewer');
INSERT INTO shared_space_asset ("spaceId", "assetId")
SELECT s, id FROM asset, (VALUES ($space{1}), ($space{7})) AS v (s)
WHERE visibility IN ('locked', 'hidden') OR "deletedAt" IS NOT NULL ON CONFLICT DO NOTHING;
INSERT INTO shared_space_asset ("spaceId", "assetId") SELECT $space{1}, id FROM asset WHERE visibility = 'archive';
UPDATE asset SET "isOffline" = true WHERE id = (SELECT id FROM asset WHERE "libraryId" = $library ORDER BY id LIMIT 1);
UPDATE library SET "deletedAt" = now() WHERE id = $trashed;
UPDATE shared_space SET "thumbnailAssetId" = $locked, description = '' WHERE id = $space{1};
UPDATE shared_space SET "thumbnailAssetId" = (SELECT "assetId" FROM shared_space_asset WHERE "spaceId" = $space{4} ORDER BY 1 LIMIT 1)
WHERE id = $space{4};
SQL
}

# Who sees what by Immich's own means: user, asset. The deleted user counts, as he can be restored.
sub seen_in_immich
{
	my ($owner_column) = @_;
	my $of_albums = 'SELECT u."userId", u."albumId" FROM album_user u' . ($owner_column ? ' UNION SELECT "ownerId", id FROM album' : '');
	return <<"SQL";
SELECT "ownerId" AS u, id AS a FROM asset
UNION SELECT p."sharedWithId", a.id FROM partner p JOIN asset a ON a."ownerId" = p."sharedById"
WHERE a."deletedAt" IS NULL AND a.visibility IN ('timeline', 'hidden')
UNION SELECT m."userId", unnest(ARRAY[a.id, a."livePhotoVideoId"]) FROM ($of_albums) m
JOIN album b ON b.id = m."albumId" AND b."deletedAt" IS NULL JOIN album_asset x ON x."albumId" = b.id
JOIN asset a ON a.id = x."assetId" AND a."deletedAt" IS NULL
SQL
}

# What spaces show: space, asset, added, by which way.
sub shown_by_spaces
{
	my ($database, $schema) = @_;
	my $gate = q{a."deletedAt" IS NULL AND a.visibility IN ('archive', 'timeline')};
	my @arms = (
		[ 'shared_space_asset', qq{SELECT x."spaceId" AS s, a.id AS a, x."addedAt" AS t, 'own' AS way FROM shared_space_asset x
			JOIN asset a ON a.id = x."assetId" WHERE $gate} ],
		[ 'shared_space_library', qq{SELECT x."spaceId", a.id, greatest(x."createdAt", a."createdAt"), 'library'
			FROM shared_space_library x JOIN asset a USING ("libraryId") JOIN library y ON y.id = x."libraryId"
			WHERE $gate AND NOT a."isOffline" AND y."deletedAt" IS NULL} ],
		[ 'shared_space_album', qq{SELECT x."spaceId", a.id, x."createdAt", 'album' FROM shared_space_album x JOIN album b ON b.id = x."albumId"
			JOIN album_asset y ON y."albumId" = b.id JOIN asset a ON a.id = y."assetId"
			WHERE b."deletedAt" IS NULL AND $gate AND NOT a."isOffline"} ],
		[ 'album_space_asset', qq{SELECT c."spaceId", a.id, c."addedAt", 'added to album' FROM album_space_asset c
			JOIN shared_space_album x USING ("spaceId", "albumId") JOIN album b ON b.id = x."albumId" JOIN asset a ON a.id = c."assetId"
			WHERE b."deletedAt" IS NULL AND $gate AND NOT a."isOffline"} ]);
	return join ' UNION ALL ', map { $_->[1] } grep { has_table($database, $schema, $_->[0]) } @arms;
}

# Writes down what there is before, in a schema of its own.
sub write_down
{
	my ($database, $schema, $owner_column) = @_;
	my $shown = shown_by_spaces($database, $schema);
	my $in_immich = seen_in_immich($owner_column);
	my $linked = has_table($database, $schema, 'shared_space_album');
	my $albums = $linked ? 'SELECT * FROM shared_space_album' : 'SELECT NULL::uuid AS "spaceId", NULL::uuid AS "albumId" WHERE false';
	rows($database, $schema, <<"SQL");
CREATE SCHEMA seen;
CREATE TABLE seen.space AS SELECT * FROM shared_space;
CREATE TABLE seen.member AS SELECT * FROM shared_space_member;
CREATE TABLE seen.linked AS $albums;
CREATE TABLE seen.photo AS $shown;
CREATE TABLE seen.before AS $in_immich
UNION SELECT m."userId", unnest(ARRAY[a.id, a."livePhotoVideoId"]) FROM seen.photo p JOIN asset a ON a.id = p.a
JOIN shared_space_member m ON m."spaceId" = p.s;
CREATE TABLE seen.album AS SELECT * FROM album;
CREATE TABLE seen.album_user AS SELECT * FROM album_user;
CREATE TABLE seen.album_asset AS SELECT * FROM album_asset;
SQL
	return;
}

my $changes = join ' UNION ALL ', map {
	"SELECT '$_', (SELECT count(*) FROM $_) - (SELECT count(*) FROM seen.$_)"
} qw(album album_asset album_user);

sub spaces_become_albums
{
	my ($generation, $schema) = @_;
	my $name = $generation . ($schema eq 'public' ? '' : ", schema $schema");
	my $database = 'keep_' . ($generation =~ tr/a-z0-9//cdr) . ($schema eq 'public' ? '' : '_odd');
	gallery($node, $database, '--generation', $generation, '--schema', $schema);
	my $owner_column = rows($database, $schema,
		q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'album'::regclass AND attname = 'ownerId'});
	my $linked = has_table($database, $schema, 'shared_space_album');
	rows($database, $schema, odd_members($linked));
	write_down($database, $schema, $owner_column);

	is(rows($database, $schema, q{SELECT count(*) FROM gallery_revert_plan() WHERE phase = 'keep'}), 0, "$name: nothing is kept unasked");
	my $plan = $node->safe_psql($database, "$albums SELECT object, sum(rows) FROM gallery_revert_plan() WHERE phase = 'keep' AND rows > 0 "
		. 'GROUP BY 1 ORDER BY 1');
	my ($status, $out, $err) = revert($node, $database, before => $albums);
	is($status, 0, "$name: reverted") or diag($err);
	my $added = rows($database, $schema, "SELECT * FROM ($changes) v ORDER BY 1");
	is($added, $plan, "$name: as many rows are added as the plan says");
	like($added, qr/^album\|5$/m, "$name: five of seven spaces become albums");

	my $after = seen_in_immich($owner_column);
	is(rows($database, $schema, "SELECT * FROM ($after) n WHERE n.a IS NOT NULL EXCEPT SELECT * FROM seen.before"), '',
		"$name: nobody sees a photo who could not before");
	is(rows($database, $schema, <<"SQL"), '', "$name: members see all that their space had of its own");
SELECT m."userId", p.a FROM seen.photo p JOIN seen.member m ON m."spaceId" = p.s JOIN album b ON b.id = p.s WHERE p.way <> 'album'
EXCEPT SELECT * FROM ($after) n
SQL
	is(rows($database, $schema, <<'SQL'), '', "$name: an album has the photos of its space, once, with the time they came");
(SELECT s, a, min(t) FROM seen.photo p JOIN album b ON b.id = p.s WHERE way <> 'album' GROUP BY s, a
 EXCEPT SELECT "albumId", "assetId", "createdAt" FROM album_asset)
UNION ALL
(SELECT x."albumId", x."assetId", x."createdAt" FROM album_asset x JOIN seen.space s ON s.id = x."albumId"
 EXCEPT SELECT s, a, min(t) FROM seen.photo WHERE way <> 'album' GROUP BY s, a)
SQL

	my @user = map { id('user', $_) } 0 .. 8;
	my $people = 'SELECT "albumId", "userId", role::text FROM album_user'
		. ($owner_column ? q{ UNION ALL SELECT id, "ownerId", 'owner' FROM album} : '');
	is(rows($database, $schema, <<"SQL"), <<'EXPECTED' =~ s/\n\z//r, "$name: name, owner, roles; who left is not there");
SELECT b."albumName" || ': ' || string_agg(split_part(u.email, '\@', 1) || ' ' || p.role, ', ' ORDER BY u.email)
FROM album b JOIN seen.space s USING (id) JOIN ($people) p ON p."albumId" = b.id JOIN "user" u ON u.id = p."userId"
GROUP BY b.id, b."albumName" ORDER BY 1
SQL
Space 1: bob owner, carol editor
Space 2: carol owner, dave editor, erin viewer, frank viewer
Space 4: alice editor, bob viewer, erin owner
Space 5: bob owner, carol viewer
Space 6: bob owner, carol editor, dave viewer, heidi viewer
EXPECTED
	is(rows($database, $schema, <<"SQL"), 't|t|t|t|t', "$name: description, cover and times are the space's");
SELECT bool_and(coalesce(b.description, '') = coalesce(s.description, '')), bool_and(b."createdAt" = s."createdAt"),
       bool_and(@{[ $owner_column ? '' : q{b."updatedAt" = s."updatedAt" AND } ]} b."deletedAt" IS NULL),
       bool_and(b."albumThumbnailAssetId" IS NOT DISTINCT FROM CASE WHEN b."albumName" IN ('Space 4') OR EXISTS
                (SELECT FROM seen.photo p WHERE p.s = s.id AND p.a = s."thumbnailAssetId" AND way <> 'album') THEN s."thumbnailAssetId" END)
       AND count(b."albumThumbnailAssetId") > 0,
       bool_and((SELECT bool_and(u."createdAt" = m."joinedAt") FROM album_user u JOIN seen.member m USING ("userId")
                 WHERE u."albumId" = b.id AND m."spaceId" = b.id))
FROM album b JOIN seen.space s USING (id)
SQL
	is(rows($database, $schema, <<'SQL'), 't|t|t', "$name: phones are told of every row");
SELECT (SELECT bool_and(b."updateId"::text > (SELECT max("updateId"::text) FROM seen.album)) FROM album b JOIN seen.space s USING (id)),
       (SELECT bool_and("createId"::text > (SELECT max("updateId"::text) FROM seen.album_user)
                        AND "updateId"::text > (SELECT max("updateId"::text) FROM seen.album_user))
        FROM album_user u WHERE NOT EXISTS (SELECT FROM seen.album_user o WHERE (o."albumId", o."userId") = (u."albumId", u."userId"))),
       (SELECT bool_and("updateId"::text > (SELECT max("updateId"::text) FROM seen.album_asset))
        FROM album_asset u WHERE NOT EXISTS (SELECT FROM seen.album_asset o WHERE (o."albumId", o."assetId") = (u."albumId", u."assetId")))
SQL
	like($err, qr/^WARNING:  \d+: 2 spaces become no album\nDETAIL:  "Nothing to see": no photo [^\n]+\n"Space 3": no owner is left$/m,
		"$name: spaces that cannot be albums are named");
	is(rows($database, $schema, q{SELECT "albumId", "userId" FROM seen.album_user EXCEPT SELECT "albumId", "userId" FROM album_user}), '',
		"$name: albums that were there keep their members");
	return if !$linked;

	my $hidden = id('album', 2);
	is(rows($database, $schema, <<"SQL"), '', "$name: linked albums are shared with the members, but one with a locked photo");
(SELECT l."albumId", m."userId" FROM seen.linked l JOIN seen.member m USING ("spaceId") JOIN album b ON b.id = l."albumId"
 WHERE b."deletedAt" IS NULL AND l."albumId" <> $hidden EXCEPT SELECT "albumId", "userId" FROM album_user)
UNION ALL
(SELECT u."albumId", u."userId" FROM album_user u WHERE NOT EXISTS (SELECT FROM seen.space s WHERE s.id = u."albumId")
 AND (u."albumId" = $hidden OR (u."albumId", u."userId") NOT IN
      (SELECT l."albumId", m."userId" FROM seen.linked l JOIN seen.member m USING ("spaceId")))
 EXCEPT SELECT "albumId", "userId" FROM seen.album_user)
SQL
	is(rows($database, $schema, <<'SQL'), 't|0', "$name: but may not edit them, for what they added stayed in the space");
SELECT count(*) > 0, count(*) FILTER (WHERE u.role::text <> 'viewer')
FROM album_user u JOIN (SELECT DISTINCT "albumId" FROM seen.linked) l USING ("albumId")
WHERE NOT EXISTS (SELECT FROM seen.album_user o WHERE (o."albumId", o."userId") = (u."albumId", u."userId"))
SQL
	is(rows($database, $schema,
		q{SELECT "albumId", "userId", role FROM seen.album_user EXCEPT SELECT "albumId", "userId", role FROM album_user}),
		'', "$name: and who was a member keeps his role");
	like($err, qr/^WARNING:  \d+: 1 album that is linked to a space cannot be shared with its members\nDETAIL:  .*\n"Album 2", /m,
		"$name: the album that is not shared is named");
	return;
}

spaces_become_albums($_, 'public') foreach Fixture::Facts::generation_names();
spaces_become_albums('v5.9', 'my "photos"');

# What somebody's own trigger does to the rows that are added is seen by the proof, and undone.
sub refused
{
	my ($name, $generation, $sql, $message) = @_;
	gallery($node, 'proof', '--generation', $generation);
	$node->safe_psql('proof', $sql);
	my $before = state_of($node, 'proof');
	my ($status, $out, $err) = revert($node, 'proof', before => $albums);
	isnt($status, 0, "$name, $generation");
	like($err, $message, "$name, $generation: said");
	ok(state_of($node, 'proof') eq $before, "$name, $generation: nothing has changed");
	$node->safe_psql('postgres', 'DROP DATABASE proof');
	return;
}

foreach my $generation ('v4.57', 'v5.9')
{
	my $function = 'CREATE FUNCTION public.mine() RETURNS trigger LANGUAGE plpgsql AS';
	refused('a trigger that keeps photos out', $generation,
		qq{$function 'BEGIN RETURN NULL; END'; CREATE TRIGGER mine BEFORE INSERT ON album_asset FOR EACH ROW EXECUTE FUNCTION mine();},
		qr/of \d+ rows of table "album_asset" only 0 could be added/);
	my $old = $generation eq 'v4.57';
	my ($column, $user) = $old ? (', "ownerId"', q{, (SELECT min(id::text)::uuid FROM "user")}) : ('', '');
	refused('a trigger that adds rows', $generation,
		qq{$function 'BEGIN INSERT INTO album ("albumName"$column) SELECT ''Mine''$user; RETURN NULL; END';
			CREATE TRIGGER mine AFTER INSERT ON album_asset FOR EACH STATEMENT EXECUTE FUNCTION mine();},
		qr/table "album": 7 rows inserted, expected 6/);
}

# A space of which an earlier revert made an album.
gallery($node, 'again', '--generation', 'v5.9');
$node->safe_psql('again', q{INSERT INTO album (id, "albumName") SELECT id, 'Made before' FROM shared_space WHERE name = 'Space 2'});
my ($status, $out, $err) = revert($node, 'again', before => $albums);
is($status, 0, 'a space has an album already: reverted');
like($err, qr/1 space becomes no album\nDETAIL:  "Space 2": there is an album of its id already/, 'a space has an album already: named');
my $made_before = q{SELECT count(*) FROM album_user u JOIN album b ON b.id = u."albumId" WHERE b."albumName" = 'Made before'};
is($node->safe_psql('again', $made_before), 0,
	'a space has an album already: nobody is added to it');

# A link that pointed to nothing, as an interrupted restore leaves it, points to another space's album afterwards.
gallery($node, 'dangling', '--generation', 'v5.9');
$node->safe_psql('dangling', <<'SQL');
CREATE SCHEMA seen;
CREATE TABLE seen.member AS SELECT "spaceId", "userId" FROM shared_space_member;
SET session_replication_role = replica;
INSERT INTO shared_space_album ("spaceId", "albumId") SELECT a.id, b.id FROM shared_space a, shared_space b WHERE a.id <> b.id;
INSERT INTO shared_space_member ("spaceId", "userId", role)
    SELECT id, '00000000-0000-0000-0000-00000000dead', 'editor' FROM shared_space;
SQL
($status, $out, $err) = revert($node, 'dangling', before => $albums);
is($status, 0, 'links and members that point to nothing: reverted') or diag($err);
is($node->safe_psql('dangling', <<'SQL'), 't|0', '... and bring nobody into the album of another space');
SELECT count(*) > 0, count(*) FILTER (WHERE m."userId" IS NULL) FROM album_user u JOIN (SELECT DISTINCT "spaceId" FROM seen.member) s
    ON s."spaceId" = u."albumId" LEFT JOIN seen.member m ON m."spaceId" = u."albumId" AND m."userId" = u."userId"
SQL

# Rows that point to an album that is no more would show it once a space of that id becomes one.
gallery($node, 'pointing', '--generation', 'v5.9');
$node->safe_psql('pointing', <<"SQL");
CREATE SCHEMA seen;
CREATE TABLE seen.space AS SELECT id, name, row_number() OVER (ORDER BY name) AS n FROM shared_space;
SET session_replication_role = replica;
INSERT INTO album_user ("albumId", "userId", role) SELECT id, @{[ id('user', 7) ]}, 'viewer' FROM seen.space WHERE n = 1;
INSERT INTO album_asset ("albumId", "assetId") SELECT s.id, a.id FROM seen.space s, asset a WHERE n = 2;
UPDATE shared_link SET "albumId" = (SELECT id FROM seen.space WHERE n = 4) WHERE id = (SELECT min(id::text)::uuid FROM shared_link);
SQL
($status, $out, $err) = revert($node, 'pointing', before => $albums);
is($status, 0, 'rows that point to an album of a space\'s id: reverted') or diag($err);
is($node->safe_psql('pointing', 'SELECT string_agg(name, \', \' ORDER BY n) FROM album JOIN seen.space s USING (id)'),
	'Space 3, Space 5, Space 6', '... and it becomes none');
like($err, qr/"Space 1": there is an album of its id already, or something that points to one\n"Space 2": there is/,
	'... and is named');

# Keys of Gallery's that an interrupted restore left out, and rows that came twice.
foreach my $generation ('v4.57', 'v5.9')
{
	my $database = 'twice_' . ($generation =~ tr/a-z0-9//cdr);
	gallery($node, $database, '--generation', $generation);
	my $made = 'SELECT (SELECT count(*) FROM album), (SELECT count(*) FROM album_user), (SELECT count(*) FROM album_asset);';
	my $expected = $node->safe_psql($database, "BEGIN; @{[ token() ]} $albums SELECT gallery_revert(); $made ROLLBACK;");
	$node->safe_psql($database, 'SET session_replication_role = replica;' . join '', map {
		"ALTER TABLE $_ DROP CONSTRAINT ${_}_pkey CASCADE; INSERT INTO $_ SELECT * FROM $_;" } qw(shared_space shared_space_member));
	($status, $out, $err) = revert($node, $database, before => $albums, after => $made);
	is($status, 0, "$generation: spaces and members that are there twice: reverted") or diag($err);
	is($out, $expected, '... to the same albums');
}

# Pets.
foreach my $generation ('v4.57', 'v5.6', 'v5.9')
{
	my $key = $generation eq 'v5.9' ? 'personGroupId' : 'personId';
	my $person = $generation eq 'v5.9' ? 'personGroupId' : 'id';
	my $loose = $generation ne 'v4.57';
	my $database = 'pets_' . ($generation =~ tr/a-z0-9//cdr);
	gallery($node, $database, '--generation', $generation);
	$node->safe_psql($database, <<"SQL");
CREATE SCHEMA seen;
CREATE TABLE seen.person AS SELECT "$person" AS id, name, "isHidden", "faceAssetId", type = 'pet' AS pet FROM person;
CREATE TABLE seen.face AS SELECT f.id, f."$key" AS person, f."$key" IN (SELECT id FROM seen.person WHERE pet) AS pet,
    @{[ $loose ? 'f.id IN (SELECT "faceId" FROM pet_search)' : 'false' ]} AS listed FROM asset_face f;
SQL
	is($node->safe_psql($database, 'SELECT count(*) > 0 FROM seen.face WHERE pet AND listed'), $loose ? 't' : 'f',
		"$generation: pets of both kinds");
	($status, $out, $err) = revert($node, $database, before => q{SET gallery.revert_pets = 'people';});
	is($status, 0, "$generation: reverted, pets stay") or diag($err);
	is($node->safe_psql($database, <<"SQL"), '0|0', "$generation: every pet that was a person is one, with name and face");
SELECT count(*) FILTER (WHERE p."$person" IS NULL OR s."faceAssetId" IS DISTINCT FROM p."faceAssetId"),
       count(*) - (SELECT count(*) FROM person)
FROM seen.person s LEFT JOIN person p ON p."$person" = s.id AND p.name = s.name
SQL
	is($node->safe_psql($database, <<"SQL"), $loose ? 't|t' : 'f|t', "$generation: only faces that are nobody's go");
SELECT count(*) > 0, coalesce(bool_and(s.listed AND s.person IS NULL), true)
FROM seen.face s LEFT JOIN asset_face f USING (id) WHERE f.id IS NULL
SQL
	is($node->safe_psql($database, q{SELECT count(*) FROM seen.face s JOIN asset_face f USING (id) WHERE listed AND person IS NULL}), 0,
		"$generation: faces that only pet_search knows are gone");
}

$node->stop;
done_testing();
