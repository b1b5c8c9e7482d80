# Evidence is what a thing is, not what it is called: things with names of Gallery's that are somebody's own stay and are named, rules read
# nothing of them, and a ledger that a stranger has written proves nothing.
use strict;
use warnings FATAL => 'all';

use Fixture;
use GalleryTest;
use Test::More;
use Twin;

my $node = Twin::start_node('evidence');
my $twin = Twin->new($node, 'work');
my %cases;

# A case: words, generation, SQL before the revert, SQL after it, what both print, what is reported.
sub try_case
{
	my ($words, $generation, $before, $after, $printed, $reported) = @_;
	push @{ $cases{$generation} }, { words => $words, sql => [ $before, $after ], printed => $printed, reported => $reported };
	return;
}

sub there { return 'SELECT ' . join(', ', map { "to_regclass('$_') IS NOT NULL" } @_) . ';' }

# Tables.
my $own_groups = 'DROP TABLE user_group CASCADE; CREATE TABLE user_group (id serial PRIMARY KEY, my_notes text); '
  . q(INSERT INTO user_group (my_notes) SELECT 'note ' || i FROM generate_series(1, 7) i;);
try_case('a table of the user\'s own where one of Gallery\'s was', 'v5.9', $own_groups, 'SELECT count(*) FROM user_group;',
	"returned v3.3.5\n7\n", qr/not Gallery's.*table "user_group" has the column "\w+"/s);
try_case('one that has some columns of the same names and types', 'v5.9',
	'DROP TABLE user_group CASCADE; CREATE TABLE user_group (id uuid PRIMARY KEY, name text NOT NULL);', there('user_group'),
	"returned v3.3.5\nt\n", qr/table "user_group" has \d of the \d+ parts that Gallery makes/);
try_case('one that has a column of another type', 'v5.9', 'ALTER TABLE storage_migration_log ALTER COLUMN "batchId" TYPE text;',
	there('storage_migration_log'), "returned v3.3.5\nt\n", qr/has the column "batchId" of type text, Gallery makes it uuid/);
try_case('one of Gallery\'s in which the user keeps notes', 'v5.9', 'ALTER TABLE storage_migration_log ADD my_notes text;',
	there('storage_migration_log'), "returned v3.3.5\nt\n",
	qr/table "storage_migration_log" has the column "my_notes", which Gallery does not make/);
try_case('one of Gallery\'s in which the user keeps notes, and that others of Gallery\'s need', 'v5.9',
	'ALTER TABLE shared_space ADD my_notes text;',
	there('shared_space', 'shared_space_member'), qr/^refused 2BP01 .*\n(?:.*\n)*trigger .*shared_space(?:.*\n)*hint .*\nt\|t\n\z/);
try_case('a view', 'v5.9', 'DROP TABLE user_group CASCADE; CREATE VIEW user_group AS SELECT 1 AS id;', there('user_group'),
	"returned v3.3.5\nt\n", qr/table "user_group" is no table/);
try_case('a table that is only less than Gallery made it', 'v5.9', 'ALTER TABLE user_group DROP COLUMN name, DROP COLUMN color;',
	there('user_group'), "returned v3.3.5\nf\n");
try_case('a table of Gallery\'s without any column', 'v5.9',
	'DROP TABLE user_group CASCADE; CREATE TABLE user_group ();', there('user_group'), "returned v3.3.5\nf\n");

# Parts of Immich's tables, and functions.
try_case('a column of another type', 'v5.9', 'ALTER TABLE library DROP COLUMN "createId"; ALTER TABLE library ADD "createId" integer;',
	q(SELECT count(*) FROM pg_attribute WHERE attrelid = 'library'::regclass AND attname = 'createId';), "returned v3.3.5\n1\n",
	qr/column "createId" of table "library" is "integer", Gallery makes "uuid"/);
try_case('an index over other columns', 'v5.9',
	'DROP INDEX "asset_localDateTime_range_idx"; CREATE INDEX "asset_localDateTime_range_idx" ON asset ("ownerId");',
	there('"asset_localDateTime_range_idx"'),
	"returned v3.3.5\nt\n", qr/index "asset_localDateTime_range_idx" of table "asset" is "\("ownerId"\)", Gallery makes/);
try_case('a trigger that calls another function', 'v5.9',
	q(CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; DROP TRIGGER library_after_insert ON library;
	  CREATE TRIGGER library_after_insert AFTER INSERT ON library FOR EACH STATEMENT EXECUTE FUNCTION mine();),
	q(SELECT count(*) FROM pg_trigger WHERE tgname = 'library_after_insert';), "returned v3.3.5\n1\n",
	qr/trigger "library_after_insert" of table "library" is "mine\(\)", Gallery makes "library_after_insert\(\)"/);
try_case('a function that returns something else', 'v5.9',
	q(DROP TRIGGER library_after_insert ON library; DROP FUNCTION library_after_insert();
	  CREATE FUNCTION library_after_insert() RETURNS int LANGUAGE sql AS 'SELECT 1';),
	q(SELECT count(*) FROM pg_proc WHERE proname = 'library_after_insert';), "returned v3.3.5\n1\n",
	qr/function "library_after_insert\(\)" is "integer sql", Gallery makes "trigger plpgsql"/);
try_case('a key to another table', 'v5.9',
	'ALTER TABLE asset_face DROP CONSTRAINT "asset_face_createdBy_fkey"; UPDATE asset_face SET "createdBy" = NULL;'
	  . 'ALTER TABLE asset_face ADD CONSTRAINT "asset_face_createdBy_fkey"'
	  . ' FOREIGN KEY ("createdBy") REFERENCES asset (id) ON DELETE SET NULL;',
	q(SELECT count(*) FROM pg_constraint WHERE conname = 'asset_face_createdBy_fkey';),
	qr/^refused 2BP01 .*
.*constraint asset_face_createdBy_fkey on table public.asset_face depends on column createdBy of table(?:.*\n)*1\n\z/);

# What rules read must be whole: nothing is put right by half.
try_case('favourites in a table that is not as Gallery makes it', 'v5.9', 'ALTER TABLE asset_favorite ADD my_notes text;',
	there('asset_favorite'),
	qr/^refused 55000 what Gallery keeps for Immich's photos is not as Gallery makes it
table "asset_favorite" has the column "my_notes"(?:.*\n)*t\n\z/);
try_case('favourites without the column that says whose they are', 'v5.9', 'ALTER TABLE asset_favorite DROP COLUMN "userId" CASCADE;',
	there('asset_favorite'),
	qr/^refused 55000 .*\ntable "asset_favorite" lacks the column "userId"(?:.*\n)*t\n\z/);
try_case('pets in a table of another shape', 'v5.8',
	'DROP TABLE pet_search; CREATE TABLE pet_search AS SELECT id AS "faceId" FROM asset_face;',
	'SELECT count(*) > 0 FROM asset_face;', qr/^refused 55000 .*\ntable "pet_search" lacks the column "\w+"(?:.*\n)*t\n\z/);
try_case('a column of another type that tells pets from people', 'v5.8',
	'ALTER TABLE person DROP COLUMN type; ALTER TABLE person ADD type int;',
	'SELECT count(*) > 0 FROM person;',
	qr/^refused 55000 .*\ncolumn "type" of table "person" is "integer", Gallery makes "character varying"(?:.*\n)*t\n\z/);
try_case('a table pet_search before Gallery had one', 'v4.57',
	q(CREATE TABLE pet_search AS SELECT id AS "faceId" FROM asset_face;
	  SELECT count(*) AS faces FROM asset_face f JOIN person p ON p.id = f."personId" WHERE p.type <> 'pet' \gset),
	'SELECT count(*) = :faces FROM asset_face f JOIN person p ON p.id = f."personId";' . there('pet_search'), "returned v2.7.5\nt\nt\n",
	qr/table "pet_search": no recorded migration makes it/);

# Rows of others.
my $notes = q(CREATE TABLE %s.notes (face uuid REFERENCES asset_face ON DELETE %s, note text);
  INSERT INTO %1$s.notes SELECT id, 'mine' FROM asset_face;);
foreach my $schema ('mine', 'public')
{
	my $create = $schema eq 'mine' ? 'CREATE SCHEMA mine; ' : '';
	foreach my $action ('CASCADE', 'SET NULL')
	{
		my $what = $action eq 'CASCADE' ? 'deleted' : 'updated';
		try_case("rows in schema $schema that a key takes along by $action", 'v4.57', $create . sprintf($notes, $schema, $action),
			"SELECT count(*) = count(face) AND count(*) > 0 FROM $schema.notes;",
			qr/^refused 55000 (?:.*\n)*table "(?:mine\.)?notes": \d+ rows $what, expected 0(?:.*\n)*t\n\z/);
	}
	try_case("a key in schema $schema that takes nothing along", 'v4.57',
		$create . sprintf($notes, $schema, 'CASCADE') . "DELETE FROM $schema.notes;",
		'', "returned v2.7.5\n");
}

my $tried = 0;
foreach my $generation (sort keys %cases)
{
	my @group = @{ $cases{$generation} };
	my @got = $twin->attempts(Fixture->new(generation => $generation, assets => 240), map { $_->{sql} } @group);
	foreach my $i (0 .. $#group)
	{
		my ($case, $got) = ($group[$i], $got[$i]);
		if (ref $case->{printed}) { like($got->{out}, $case->{printed}, "$generation: $case->{words}") }
		else { is($got->{out}, $case->{printed}, "$generation: $case->{words}") }
		like($got->{messages}, $case->{reported}, "$generation: $case->{words}: named") if $case->{reported};
		$tried++;
	}
}

# Forged evidence on a stock Immich: a ledger of somebody else's that records what was never run.
$node->safe_psql('postgres', 'CREATE ROLE immich; CREATE ROLE forger');
foreach my $owner ('immich', 'the superuser')
{
	my $database = $owner eq 'immich' ? 'forged' : 'forged_too';
	gallery($node, $database, '--generation', 'v4.57', '--product', 'immich');
	require Owner;
	$node->safe_psql($database, Owner::owned_by('immich')) if $owner eq 'immich';
	$node->safe_psql($database, 'UPDATE asset SET "isFavorite" = true WHERE id IN (SELECT id FROM asset LIMIT 60);
	  GRANT CREATE ON SCHEMA public TO forger;');
	$node->safe_psql($database, q(SET ROLE forger; CREATE TABLE gallery_migrations (name varchar(255) PRIMARY KEY, timestamp varchar(255));
	  INSERT INTO gallery_migrations VALUES ('1794000000000-AddAssetFavoriteTables', '2026-01-01T00:00:00.000Z');
	  CREATE TABLE asset_favorite ("assetId" uuid, "userId" uuid);));
	my $before = state_of($node, $database);
	my ($status, $tag, $messages) = revert($node, $database);
	is("$status $tag", '0 v2.7.5', "a forged ledger on an Immich of $owner: nothing to revert");
	like($messages, qr/nothing to revert/, 'and so it says');
	like($messages, qr/table "gallery_migrations" belongs to "forger"/, 'and names the table');
	is(state_of($node, $database) eq $before, 1, 'and the database is as it was');
	is($node->safe_psql($database, 'SELECT product, fork_migrations FROM gallery_revert_status()'), 'immich|0',
		'its status is that of an Immich');
	my $row = $node->safe_psql($database, q(SELECT status, detail FROM gallery_revert_check() WHERE name = 'namesakes'));
	like($row, qr/^warning\|.*"gallery_migrations" belongs to "forger"/s, 'and the check names it');
}
# Where it may well be Gallery's, left by a start as another superuser, it is refused rather than guessed at.
$node->safe_psql('forged', 'ALTER TABLE gallery_migrations OWNER TO CURRENT_USER');
my (undef, undef, $messages) = revert($node, 'forged');
like($messages, qr/^ERROR:  55000: what Gallery keeps .*\nDETAIL:  table "gallery_migrations" belongs to /m,
	'a ledger of a superuser beside one of Immich\'s role: refused');

note("$tried cases of things that are not what they are called");
done_testing();
