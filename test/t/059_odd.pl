# Honest databases that are odd: half restored, mended by hand, with a user's own triggers and tables. Nothing of theirs is lost, what
# cannot become a stock Immich is refused with words that help, and the check says beforehand what the revert then does.
use strict;
use warnings FATAL => 'all';

use Fixture;
use GalleryTest;
use Test::More;
use Twin;

my $node = Twin::start_node('odd', client_min_messages => 'warning');
my $twin = Twin->new($node, 'work');
my %cases;
my $tried = 0;

# A case: words, generation, SQL before the revert, SQL after it, what both print, and what the check says before: "ready", the name
# of the check that blocks, or "obstacles" where it warns of what nobody can know beforehand.
sub try_case
{
	my ($words, $generation, $before, $after, $printed, $said) = @_;
	my $ask = q(SELECT coalesce(string_agg(name, ',' ORDER BY name), 'ready') FROM tools.gallery_revert_check())
	  . q( WHERE (status = 'blocked' OR name = 'obstacles' AND status = 'warning') AND name <> 'token';);
	push @{ $cases{$generation} }, { words => $words, sql => [ "$before\n;$ask", $after ], printed => $printed, said => $said };
	return;
}

# The beginning of a refusal: SQLSTATE and message.
my $not_immichs = qr/^refused 55000 Immich's own tables are not as Immich makes them\n/;
my $newer = qr/^refused 55000 the schema is newer than the ledger says\n/;
my $lacking = qr/^refused 55000 the ledger does not record all that Gallery made\n/;
my $twice = qr/^refused 55000 the ledger records 2 migrations more than once\n/;

# Favourites where the column is there again, but not as Immich makes it.
my $count = 'SELECT count(*) FILTER (WHERE "isFavorite") FROM asset;';
my $overlay = 'CREATE TEMP TABLE want ON COMMIT DROP AS SELECT a.id FROM asset a JOIN asset_favorite f ON f."assetId" = a.id AND'
  . ' f."userId" = a."ownerId";';
try_case('favourites come back where the column that somebody added has no values', 'v5.9',
	"$overlay ALTER TABLE asset ADD \"isFavorite\" boolean",
	'SELECT count(*) > 0, bool_and(a."isFavorite") FROM want JOIN asset a USING (id);',
	"returned v3.3.5\nt|t\n", 'ready');
foreach my $made ('integer NOT NULL DEFAULT 0', 'text', 'boolean GENERATED ALWAYS AS (false) STORED')
{
	try_case("a column of that name that is $made", 'v5.9', "ALTER TABLE asset ADD \"isFavorite\" $made", '',
		qr/${not_immichs}column "isFavorite" of table "asset" is (?:"\w+"|generated).*\nhint /, 'look');
}

# A user's own triggers and rules that take nothing away.
my $passes = q(CREATE FUNCTION passes() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN coalesce(NEW, OLD); END';);
foreach my $table ('asset', 'asset_face', 'person', 'library', 'shared_link')
{
	try_case("a trigger on $table that lets every row pass", 'v5.9',
		"$passes CREATE TRIGGER mine BEFORE UPDATE OR DELETE ON $table FOR EACH ROW EXECUTE FUNCTION passes()",
		'', "returned v3.3.5\n", $table eq 'library' ? 'ready' : 'obstacles');
}
try_case('a rule on asset_face that does something else besides', 'v5.9',
	'CREATE RULE mine AS ON UPDATE TO asset_face DO ALSO NOTIFY mine', '', "returned v3.3.5\n", 'obstacles');
try_case('a rule on asset_face that deletes other rows of Immich\'s', 'v5.9',
	'CREATE RULE mine AS ON DELETE TO asset_face DO ALSO DELETE FROM asset_metadata', '',
	qr/^refused 55000 .*\ntable "asset_metadata": [1-9]\d* rows deleted, expected 0\n/, 'obstacles');
foreach my $schema ('mine', 'public')
{
	my $create = $schema eq 'mine' ? 'CREATE SCHEMA mine; ' : '';
	try_case("a trigger that notes in a table of schema $schema what was deleted", 'v5.9',
		"$create CREATE TABLE $schema.notes (note text); CREATE FUNCTION $schema.noting() RETURNS trigger LANGUAGE plpgsql"
		  . " AS 'BEGIN INSERT INTO $schema.notes VALUES (OLD::text); RETURN NULL; END';"
		  . " CREATE TRIGGER mine AFTER DELETE ON person FOR EACH ROW EXECUTE FUNCTION $schema.noting()",
		"SELECT count(*) > 0 FROM $schema.notes;", "returned v3.3.5\nt\n", 'obstacles');
}
try_case('one that empties a table of the user\'s instead', 'v5.9',
	'CREATE TABLE notes AS SELECT 1 AS note; CREATE FUNCTION forgetting() RETURNS trigger LANGUAGE plpgsql AS'
	  . q( 'BEGIN DELETE FROM notes; RETURN NULL; END'; CREATE TRIGGER mine AFTER DELETE ON person FOR EACH ROW EXECUTE FUNCTION forgetting()),
	'SELECT count(*) FROM notes;',
	qr/^refused 55000 .*\ntable "notes": 1 rows deleted, expected 0; it is not Immich's: a key or a trigger of yours(?:.*\n)*1\n\z/,
	'obstacles');

# Keys of the user's to rows that go, and what may keep new rows out.
try_case('a key of the user\'s, whose rows lose what they point to', 'v5.9',
	'CREATE SCHEMA mine; CREATE TABLE mine.notes (face uuid REFERENCES public.asset_face ON DELETE SET NULL);'
	  . 'INSERT INTO mine.notes SELECT id FROM asset_face', 'SELECT count(face) = count(*) FROM mine.notes;',
	qr/^refused 55000 .*\ntable "mine.notes": [1-9]\d* rows updated, expected 0; it is not Immich's.*\n(?:.*\n)*t\n\z/, 'obstacles');
try_case('a key of the user\'s to rows that stay', 'v5.9',
	'CREATE TABLE notes (tag uuid REFERENCES tag ON DELETE CASCADE); INSERT INTO notes SELECT id FROM tag', '', "returned v3.3.5\n", 'ready');
my $albums = q(SET LOCAL gallery.revert_spaces = 'albums';);
try_case('an index of the user\'s by which names of albums are different ones', 'v5.9',
	"$albums UPDATE shared_space SET name = 'Same'; CREATE UNIQUE INDEX mine ON album (\"albumName\")"
	  . q( WHERE "albumName" = 'Same'), '', qr/^refused 23505 (?:.*\n)*Step: keep, album\.\n/, 'obstacles');
try_case('a column of the user\'s that has to have a value', 'v5.9', "$albums ALTER TABLE album ADD mine text;"
	  . q( UPDATE album SET mine = 'x'; ALTER TABLE album ALTER mine SET NOT NULL), '',
	qr/^refused 23502 (?:.*\n)*Step: keep, album\.\n/, 'obstacles');
try_case('favourites that an interrupted restore left without their key, and twice', 'v5.9',
	"$overlay ALTER TABLE asset_favorite DROP CONSTRAINT asset_favorite_pkey; INSERT INTO asset_favorite SELECT * FROM asset_favorite",
	'SELECT count(*) > 0, bool_and(a."isFavorite") FROM want JOIN asset a USING (id);', "returned v3.3.5\nt|t\n", 'ready');

# What the server refuses within a step is said with the step, that nothing has changed, and what to do.
foreach my $case (
	[ 'a constraint of the user\'s', 'ALTER TABLE session ADD CONSTRAINT mine CHECK (NOT "isPendingSyncReset") NOT VALID', '23514' ],
	[ 'a trigger of the user\'s that raises', q(CREATE FUNCTION raises() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''mine''; END';)
		. ' CREATE TRIGGER mine AFTER DELETE ON asset_face FOR EACH ROW EXECUTE FUNCTION raises()', 'P0001' ])
{
	try_case("$case->[0] in the way of a step", 'v5.9', $case->[1], '',
		qr/^refused $case->[2] .*\n(?:.*\n)*Step: \w+, .*\nhint (?:.* )?Nothing has changed\..* run gallery_revert\(\) again\.\n\z/, 'obstacles');
}

try_case('an event trigger of the user\'s that raises', 'v5.9',
	q(CREATE FUNCTION raises() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN IF tg_tag = ''DROP TABLE'' THEN RAISE ''mine''; END IF; END';)
	  . ' CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION raises()', '',
	qr/^refused P0001 mine\n(?:.*\n)*Step: \w+, .*\nhint Nothing has changed\./, 'obstacles');

# Ledgers that do not say what is there.
my $last = 'IN (SELECT name FROM kysely_migrations ORDER BY name DESC LIMIT %d)';
foreach my $rows (1, 4)
{
	try_case("the last $rows of Immich's migrations are not recorded", 'v5.9', 'DELETE FROM kysely_migrations WHERE name '
		  . sprintf($last, $rows),
		'SELECT to_regclass(\'gallery_migrations\');',
		qr/$newer(?:.*\n)*hint .*backup(?:.*\n)*gallery_migrations\n\z/, 'unrecorded');
}
try_case('Gallery\'s ledger is empty', 'v5.9', 'DELETE FROM gallery_migrations', 'SELECT count(*) FROM asset_favorite;',
	qr/$lacking(?:.*\n)*table "asset_favorite".*\n(?:.*\n)*hint .*backup(?:.*\n)*[1-9]\d*\n\z/, 'evidence');
try_case('one table of Gallery\'s that is not recorded is left alone', 'v4.57',
	q(DELETE FROM kysely_migrations WHERE name = '1774300000000-CreateUserGroupTables'), 'SELECT count(*) > 0 FROM user_group;',
	"returned v2.7.5\nt\n", 'ready');
try_case('Gallery\'s ledger has no row for the favourites', 'v5.9', q(DELETE FROM gallery_migrations WHERE name LIKE '1794%'),
	'SELECT count(*) FROM asset_favorite;', qr/$lacking(?:.*\n)*table "asset_favorite"/, 'evidence');
my $no_key = 'ALTER TABLE kysely_migrations DROP CONSTRAINT kysely_migrations_pkey; INSERT INTO kysely_migrations ';
foreach my $case ([ 'twice', 'SELECT * FROM kysely_migrations ORDER BY name LIMIT 2' ],
	[ 'at two times', q(SELECT name, '2026-05-01T00:00:00.000Z' FROM kysely_migrations ORDER BY name LIMIT 2) ])
{
	try_case("migrations that are recorded $case->[0]", 'v5.9', $no_key . $case->[1], '',
		qr/$twice"1744910873969-InitialMigration"\n"1744991379464-AddNotificationsTable"\nhint /,
		'migrations');
}

# Immich's own trigger function with another body: rows that are not written, or written as they were, are noticed, and on small tables
# as well.
foreach my $returns ('NULL', 'OLD')
{
	foreach my $generation ('v4.57', 'v5.9')
	{
		try_case("updated_at() returns $returns", $generation,
			"CREATE OR REPLACE FUNCTION updated_at() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN $returns; END'",
			'SELECT count(*) > 0 FROM person;',
			# Where a key's own update is the first, the server says so.
			qr/^refused (?:55000 of [1-9]\d* rows of table "\w+" only 0 could be changed\n.*\nhint .*updated_at\(\)|23503 (?:.*\n)*hint ).*\nt\n\z/,
			'ready');
	}
}
try_case('updated_at() with words of the user\'s that take nothing away', 'v5.9',
	q(CREATE OR REPLACE FUNCTION updated_at() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN NEW."updatedAt" = clock_timestamp(); RETURN NEW; END'),
	'', "returned v3.3.5\n", 'ready');
try_case('a trigger of the user\'s that puts the old value back', 'v5.9',
	q(CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW."isPendingSyncReset" = false; RETURN NEW; END';)
	  . ' CREATE TRIGGER mine BEFORE UPDATE ON session FOR EACH ROW EXECUTE FUNCTION stays()', '',
	qr/^refused 55000 of [1-9]\d* rows of table "session" only 0 could be changed\n/, 'obstacles');

# What the revert would refuse, the check refuses.
foreach my $table ('system_metadata', 'user_metadata')
{
	try_case("$table with json in place of jsonb", 'v5.9', "ALTER TABLE $table ALTER value TYPE json", '',
		qr/${not_immichs}column "value" of table "$table" is "json", Immich makes it "jsonb"\nhint /, 'look');
}
my $unidentified = qr/table "person" has no replica identity \(publication mine\)/;
my $published = qr/^refused 55000 a publication keeps rows from being changed\n$unidentified\nhint /;
foreach my $of ('FOR TABLE person', 'FOR ALL TABLES')
{
	try_case("a publication $of where it has no replica identity", 'v5.9',
		"ALTER TABLE person REPLICA IDENTITY NOTHING; CREATE PUBLICATION mine $of", '',
		qr/$published.*REPLICA IDENTITY FULL;\n\z/, 'publications');
}
# From PostgreSQL 15 on a publication may filter rows, and list columns.
if ($node->pg_version >= 15)
{
	my $lacking = qr/table "person" has a replica identity without columns that decide what is published \(publication mine\)/;
	foreach my $case (
		[ 'that filters by a column which is no part of the identity', q(person WHERE (name <> 'Me')),
			'ALTER TABLE public.person REPLICA IDENTITY FULL;' ],
		[ 'that lists columns without those of the identity', 'person (name)', 'ALTER PUBLICATION mine DROP TABLE public.person;' ])
	{
		my ($words, $of, $mends) = @$case;
		try_case("a publication $words", 'v5.9', "CREATE PUBLICATION mine FOR TABLE $of", '',
			qr/^refused 55000 a publication keeps rows from being changed\n$lacking\nhint .*: \Q$mends\E\n\z/, 'publications');
		try_case("a publication $words, and what the hint says", 'v5.9', "CREATE PUBLICATION mine FOR TABLE $of; $mends", '', "returned v3.3.5\n",
			'ready');
		try_case("a publication $words, but only for what is inserted", 'v5.9',
			"CREATE PUBLICATION mine FOR TABLE $of WITH (publish = 'insert')", '', "returned v3.3.5\n", 'ready');
	}
}
try_case('a publication of all tables with their keys', 'v5.9', 'CREATE PUBLICATION mine FOR ALL TABLES', '', "returned v3.3.5\n", 'ready');
try_case('a publication that publishes no deletes', 'v5.9',
	q(ALTER TABLE person REPLICA IDENTITY NOTHING; CREATE PUBLICATION mine FOR TABLE person WITH (publish = 'insert')), '',
	"returned v3.3.5\n", 'ready');

# Tables of the user's that change with Immich's, unseen: columns and rows of a table are those of its children as well, and a column may
# be of the type of its rows.
my $tied = 'refused 2BP01 tables that neither Gallery nor Immich made would change with Immich\'s';
foreach my $case (
	[ 'a child of a table that loses rows', 'v5.9', 'v3.3.5',
		'CREATE TABLE mine () INHERITS (asset_face); INSERT INTO mine SELECT * FROM asset_face',
		'table public.mine inherits from table public.asset_face', 'ALTER TABLE public.mine NO INHERIT public.asset_face;' ],
	[ 'a child of a table that loses a column', 'v4.57', 'v2.7.5',
		'CREATE TABLE mine () INHERITS (asset_job_status); INSERT INTO mine SELECT * FROM asset_job_status',
		'table public.mine inherits from table public.asset_job_status', 'ALTER TABLE public.mine NO INHERIT public.asset_job_status;' ],
	[ 'a column of the type of rows that lose one', 'v5.9', 'v3.3.5',
		'CREATE TABLE mine (was person); INSERT INTO mine SELECT p FROM person p',
		'column was of table public.mine has the type of rows of table public.person',
		'ALTER TABLE public.mine ALTER COLUMN was TYPE jsonb USING pg_catalog.to_jsonb(was);' ],
	[ 'a column made of the type of rows that get one', 'v5.9', 'v3.3.5',
		'CREATE DOMAIN one AS asset; CREATE TYPE pair AS (number int, what one); CREATE TABLE mine ("all" pair[]);'
		  . ' INSERT INTO mine SELECT array_agg(ROW(1, a)::pair) FROM asset a',
		'column all of table public.mine has the type of rows of table public.asset',
		'ALTER TABLE public.mine ALTER COLUMN "all" TYPE jsonb USING pg_catalog.to_jsonb("all");' ])
{
	my ($words, $generation, $tag, $sql, $line, $mends) = @$case;
	my $hash = 'SELECT count(*) > 0, md5(string_agg(to_jsonb(m)::text, \'\' ORDER BY to_jsonb(m)::text))';
	try_case($words, $generation, $sql, '', qr/^$tied\n$line\nhint .* run: \Q$mends\E Then /, 'dependents');
	try_case("$words, and what the hint says", $generation,
		"$sql; $mends CREATE TEMP TABLE want ON COMMIT DROP AS $hash AS hash FROM mine m",
		"$hash = (SELECT hash FROM want) FROM mine m;", "returned $tag\nt|t\n", 'ready');
}
try_case('a child of a table that stays as it is', 'v5.9', 'CREATE TABLE mine () INHERITS (geodata_places)', '', "returned v3.3.5\n",
	'ready');

# A table of Gallery's in parts; a role of Immich's under another name.
try_case('favourites in partitions', 'v5.9', "$overlay ALTER TABLE asset_favorite RENAME TO whole; CREATE TABLE asset_favorite (LIKE whole"
	  . ' INCLUDING ALL) PARTITION BY HASH ("assetId", "userId"); CREATE TABLE part PARTITION OF asset_favorite FOR VALUES WITH (modulus 1,'
	  . ' remainder 0); INSERT INTO asset_favorite SELECT * FROM whole; DROP TABLE whole',
	'SELECT count(*) > 0, bool_and(a."isFavorite") FROM want JOIN asset a USING (id);', "returned v3.3.5\nt|t\n", 'ready');
try_case('a role of members of albums under another name', 'v5.9',
	"$albums ALTER TYPE album_user_role_enum RENAME VALUE 'viewer' TO 'looker'", '',
	qr/${not_immichs}invalid input value for enum .*"viewer"\nhint /, 'look');

# Casts that somebody made, so that old programs need none: what the extension asks has no operand that one of them could change.
try_case('implicit casts between most types and text', 'v5.9', join('', map {
		"CREATE CAST ($_ AS text) WITH INOUT AS IMPLICIT; CREATE CAST (text AS $_) WITH INOUT AS IMPLICIT;"
	} qw(smallint integer bigint numeric oid uuid date timestamptz jsonb)) . q( DO 'BEGIN PERFORM FROM tools.gallery_revert_losses(); END'),
	'', "returned v3.3.5\n", 'ready');

# A collation of the user's by which different texts are the same.
if ($node->safe_psql('postgres', q(SELECT count(*) > 0 FROM pg_collation WHERE collprovider = 'i')) eq 't')
{
	my $alike = q(CREATE COLLATION alike (provider = icu, locale = 'und-u-ks-level2', deterministic = false); ALTER TABLE asset);
	try_case('paths by a collation that is not deterministic', 'v5.9', "$alike ALTER \"originalPath\" TYPE varchar COLLATE alike", '',
		"returned v3.3.5\n", 'ready');
	try_case('a relative path among them', 'v5.9', "$alike ALTER \"originalPath\" TYPE varchar COLLATE alike;"
		  . q(UPDATE asset SET "originalPath" = 'upload/a' WHERE id = (SELECT id FROM asset ORDER BY id LIMIT 1)), '',
		qr/^refused 55000 some files are in S3/, 'paths');
}

# A Gallery without its ledger, whichever layout: its tables are not called somebody's own.
try_case('Gallery\'s ledger is dropped', 'v5.9', 'DROP TABLE gallery_migrations', 'SELECT count(*) > 0 FROM asset_favorite;',
	qr/$lacking(?:.*\n)*table "asset_favorite".*\n(?:.*\n)*hint .*gallery_migrations.*backup.*gallery_revert_check\(\);\nt\n\z/,
	'evidence,plugin');
try_case('Gallery\'s ledger is renamed', 'v5.9', 'ALTER TABLE gallery_migrations RENAME TO old_migrations', '',
	qr/$lacking(?:.*\n)*hint .*rename it back/, 'evidence,plugin');
try_case('Gallery\'s rows are deleted by hand', 'v4.57',
	q(DELETE FROM kysely_migrations WHERE name IN (SELECT migration FROM tools.gallery_revert_manifest())),
	'SELECT count(*) > 0 FROM shared_space;',
	qr/$lacking(?:.*\n)*table "shared_space".*\n(?:.*\n)*hint .*kysely_migrations.*\nt\n\z/, 'evidence');

# Gallery's table under another name holds the favourites still.
my $renamed = qr/^refused 55000 what Gallery keeps (?:.*\n)*table "asset_favorite" is missing, and table "fav" /;
foreach my $also ('', '; DROP TRIGGER asset_favorite_delete_audit ON fav')
{
	try_case("asset_favorite is renamed$also", 'v5.9', "ALTER TABLE asset_favorite RENAME TO fav$also", 'SELECT count(*) > 0 FROM fav;',
		qr/$renamed.*\nhint .*rows of table "fav".*ALTER TABLE public\.fav RENAME TO asset_favorite.*\nt\n\z/,
		'evidence');
}

# Phones are told to sync anew whatever the state of what else tells them.
foreach my $case ([ 'a trigger that is always on', 'ALTER TABLE asset ENABLE ALWAYS TRIGGER "asset_updatedAt"' ],
	[ 'a trigger that is off', 'ALTER TABLE asset DISABLE TRIGGER "asset_updatedAt"' ],
	[ 'sessions without a value',
		'ALTER TABLE session ALTER "isPendingSyncReset" DROP NOT NULL; UPDATE session SET "isPendingSyncReset" = NULL' ])
{
	try_case("every session syncs anew: $case->[0]", 'v5.9', $case->[1],
		'SELECT bool_and("isPendingSyncReset" IS TRUE), count(*) > 0 FROM session;', "returned v3.3.5\nt|t\n", 'ready');
}

# What this session itself has begun.
try_case('an open cursor', 'v5.9', 'DECLARE mine CURSOR FOR SELECT * FROM asset; FETCH mine', '',
	qr/^.*refused 55006 .*"asset".*\n(?:.*\n)*hint Nothing has changed\. Something that this session began .*CLOSE ALL;.*/s,
	undef);

foreach my $generation (sort keys %cases)
{
	my @group = @{ $cases{$generation} };
	my @got = $twin->attempts(Fixture->new(generation => $generation, assets => 240), map { $_->{sql} } @group);
	foreach my $i (0 .. $#group)
	{
		my ($case, $got) = ($group[$i], $got[$i]);
		my ($said, $printed) = split /\n/, $got->{out}, 2;
		if (ref $case->{printed}) { like($printed, $case->{printed}, "$generation: $case->{words}") }
		else { is($printed, $case->{printed}, "$generation: $case->{words}") }
		is($said, $case->{said} // $said, "$generation: $case->{words}: and so the check said");
		$tried++;
	}
}

# What no counter counts: in databases of their own, because the file of a table that is made in the same transaction stays.
foreach my $case (
	[ 'empties a table of the user\'s', 'TRUNCATE notes',
		'table "notes": emptied or rewritten; it is not Immich\'s: a trigger of yours does it' ],
	[ 'drops one', 'DROP TABLE IF EXISTS mine.notes', 'table "mine.notes": dropped; it is not Immich\'s: a trigger of yours does it' ],
	[ 'empties one of Immich\'s', 'TRUNCATE asset_metadata', 'table "asset_metadata": emptied or rewritten' ])
{
	my ($words, $sql, $line) = @$case;
	gallery($node, 'emptied', '--generation', 'v5.9');
	$node->safe_psql('emptied', 'CREATE SCHEMA mine; CREATE TABLE mine.notes AS SELECT 1 AS n; CREATE TABLE notes AS SELECT 1 AS n;'
		  . "CREATE FUNCTION empties() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN $sql; RETURN NULL; END';"
		  . 'CREATE TRIGGER mine AFTER DELETE ON asset_face EXECUTE FUNCTION empties();');
	my $before = state_of($node, 'emptied');
	my ($status, undef, $err) = revert($node, 'emptied');
	like($err, qr/^DETAIL:  \Q$line\E$/m, "a trigger that $words is noticed");
	ok($status != 0 && state_of($node, 'emptied') eq $before, '... and nothing has changed');
	$node->safe_psql('postgres', 'DROP DATABASE emptied');
}

note("$tried odd databases");
done_testing();
