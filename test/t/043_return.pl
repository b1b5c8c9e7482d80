# The way back: a revert with the archive, Gallery started again on what is left, gallery_return(). Every row is as before, or listed
# with the reason. What was there at each moment is written down here apart from the extension (test/lib/seen.sql).
# GALLERY_REVERT_CASES=N tries N random databases (1), GALLERY_REVERT_SEED=S begins with seed S (1).
use strict;
use warnings FATAL => 'all';

use Again qw(give_back start_again);
use Fixture;
use Fixture::Facts;
use GalleryTest;
use PostgreSQL::Test::Utils;
use RandomGallery qw(describe make_case);
use Test::More;

my $node = new_node('return');
my $on = 'SET gallery.revert_archive = on;';
my $token = "SET gallery.return_token = 'i_know_what_i_do';";
my $seen = root() . '/test/lib/seen.sql';

sub query { my ($database, $sql) = @_; return $node->safe_psql($database, $sql) }
sub drop { my ($database) = @_; $node->safe_psql('postgres', "DROP DATABASE IF EXISTS $database"); return }

sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }
sub look { my ($database, $moment, $schema) = @_; query($database, "SELECT seen.look('$moment', " . literal($schema) . ')'); return }

# A reverted database on which Gallery has been started again. $between: what its user did meanwhile.
sub started_again
{
	my ($database, $fixture, $settings) = @_;
	drop($database);
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	script($node, $database, $fixture->sql('gallery') . "\\i $seen\nCREATE SCHEMA tools; CREATE EXTENSION gallery_revert SCHEMA tools;");
	query('postgres', "ALTER DATABASE $database SET search_path = public, tools");
	look($database, 'before', $fixture->{schema});
	my ($status, undef, $err) = revert($node, $database, before => $on . $settings);
	die "not reverted: $err" if $status;
	look($database, 'reverted', $fixture->{schema});
	return;
}

# Compares with what must be; returns the differences.
sub differences
{
	my ($database, $changed) = @_;
	my @lines = map { "lost: $_" } split /\n/, query($database, 'SELECT * FROM seen.lost ORDER BY 1, 2, 3 LIMIT 5');
	push @lines, map { "not listed: $_" } split /\n/, query($database, <<'SQL');
SELECT m.t, m.key FROM seen.missing m WHERE NOT EXISTS (SELECT FROM gallery_archive.facts f
  WHERE f.kind = 'not returned' AND f.name = m.t AND f.value -> 'key' = m.key) ORDER BY 1, 2 LIMIT 5
SQL
	push @lines, map { "listed, but there: $_" } split /\n/, query($database, <<'SQL');
SELECT f.name, f.value FROM gallery_archive.facts f WHERE f.kind = 'not returned'
AND NOT EXISTS (SELECT FROM seen.missing m WHERE f.name = m.t AND f.value -> 'key' = m.key) ORDER BY 1, 2 LIMIT 5
SQL
	push @lines, map { "listed twice: $_" } split /\n/, query($database, <<'SQL');
SELECT f.name, f.value -> 'key' FROM gallery_archive.facts f WHERE f.kind = 'not returned' GROUP BY 1, 2 HAVING count(*) > 1 LIMIT 5
SQL
	return @lines if $changed;
	# Nothing happened in between: all rows of before are there, value for value, and no others but notes of what a revert deleted.
	push @lines, map { "not as before: $_" } split /\n/, query($database, <<'SQL');
SELECT t, key, name, value FROM seen.values b WHERE moment = 'before'
EXCEPT SELECT t, key, name, value FROM seen.values WHERE moment = 'after'
EXCEPT SELECT b.t, b.key, b.name, b.value FROM seen.values b JOIN seen.columns c ON (c.moment, c.t, c.name) = ('before', b.t, b.name)
  LEFT JOIN seen.columns r ON (r.moment, r.t, r.name) = ('reverted', b.t, b.name)
  WHERE b.moment = 'before' AND c.clock AND r.name IS NULL AND EXISTS (SELECT FROM seen.columns x WHERE x.moment = 'reverted' AND x.t = b.t)
LIMIT 5
SQL
	push @lines, map { "too much: $_" } split /\n/, query($database, <<'SQL');
SELECT a.t, a.key FROM seen.rows a WHERE moment = 'after' AND t NOT IN (SELECT t FROM seen.own)
AND NOT EXISTS (SELECT FROM seen.rows b WHERE b.moment = 'before' AND (b.t, b.key) = (a.t, a.key))
AND NOT EXISTS (SELECT FROM seen.rows r WHERE r.moment = 'reverted' AND (r.t, r.key) = (a.t, a.key)) LIMIT 5
SQL
	return @lines;
}

# What users do in Immich, and in Gallery before the way back: by the seed.
sub meanwhile
{
	my ($fixture, $seed) = @_;
	my $schema = Fixture::Ddl::ident($fixture->{schema});
	my $chosen = sub { my ($table, $one_of, $key) = @_; return "abs(hashtext($table.$key\::text || '$seed')) % $one_of = 0" };
	my $person = $fixture->{immich}->has_column('person', 'id') ? 'id' : '"personGroupId"';
	my $albums = $fixture->{immich}->has_table('album') ? 'album' : 'albums';
	my $species = $fixture->{gallery}->has_column('person', 'species')
	  ? "UPDATE person SET species = 'since' WHERE species IS NULL AND ${\ $chosen->('person', 2, $person)};" : '';
	return (<<"SQL", <<"SQL");
SET search_path = $schema, public;
DELETE FROM stack;
DELETE FROM asset WHERE ${\ $chosen->('asset', 7, 'id')};
DELETE FROM "user" WHERE ${\ $chosen->('"user"', 5, 'id')};
DELETE FROM person WHERE ${\ $chosen->('person', 6, $person)};
DELETE FROM $albums WHERE ${\ $chosen->($albums, 6, 'id')};
DELETE FROM asset_face WHERE ${\ $chosen->('asset_face', 9, 'id')};
UPDATE asset SET "isFavorite" = NOT "isFavorite" WHERE ${\ $chosen->('asset', 5, 'id')};
UPDATE asset SET "originalFileName" = 'renamed' WHERE ${\ $chosen->('asset', 4, 'id')};
SQL
SET search_path = $schema, public;
$species
DO \$\$ DECLARE r record; names text; BEGIN
  -- A fourth of Gallery's tables has some of its rows again, a few of them as they were, others with another name.
  FOR r IN SELECT DISTINCT t FROM seen.rows x WHERE moment = 'before' AND t IN ('user_group', 'shared_space', 'face_identity',
	'storage_migration_log')
    AND to_regclass(quote_ident(t)) IS NOT NULL LOOP
    SELECT string_agg(format('%I', a.attname), ', ') INTO names FROM pg_attribute a WHERE a.attrelid = quote_ident(r.t)::regclass
      AND a.attnum > 0 AND NOT a.attisdropped AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'f'
        AND k.conkey = ARRAY[a.attnum] AND NOT a.attnotnull);
    BEGIN
      EXECUTE format('INSERT INTO %1\$I (%2\$s) SELECT %2\$s FROM seen.rows x, jsonb_populate_record(NULL::%1\$I, x.content ||
          CASE WHEN x.content ? ''name'' AND abs(hashtext(x.key::text)) %% 2 = 0 THEN ''{"name": "another"}''::jsonb ELSE ''{}'' END) p
        WHERE x.moment = ''before'' AND x.t = %1\$L AND abs(hashtext(x.key::text || ''$seed'')) %% 4 = 0', r.t, names);
    EXCEPTION WHEN foreign_key_violation OR unique_violation THEN NULL;
    END;
  END LOOP;
END \$\$;
SQL
}

# One database, with nothing or something done in between.
sub try_case
{
	my ($name, $fixture, $settings, $seed, @changed) = @_;
	my $other = ref $changed[-1] ? pop @changed : $fixture; # the Gallery that is started again
	my $schema = $fixture->{schema};
	my ($in_immich, $in_gallery) = meanwhile($fixture, $seed);
	eval { started_again('reverted', $fixture, $settings); 1 } or return fail("$name: $@");
	foreach my $changed (@changed)
	{
		drop('again');
		$node->safe_psql('postgres', 'CREATE DATABASE again TEMPLATE reverted');
		query('postgres', 'ALTER DATABASE again SET search_path = public, tools');
		my @between = $changed ? ($in_immich, $in_gallery) : ('', '');
		eval { script($node, 'again', $between[0] . start_again($other) . $between[1]); 1 } or return fail("$name: $@");
		look('again', 'again', $schema);
		my $what = $changed ? "$name, with changes" : $name;
		my ($status, $out, $err) = give_back($node, 'again');
		is($status, 0, "$what: put back") or do { diag($err); next };
		look('again', 'after', $schema);
		my $listed = query('again', q{SELECT count(*) FROM gallery_archive.facts WHERE kind = 'not returned'});
		$changed ? cmp_ok($listed, '>', 0, "$what: $listed rows are listed") : is($listed, 0, "$what: nothing is listed");
		my @differences = differences('again', $changed);
		is_deeply(\@differences, [], "$what: as before, or listed") or diag(join "\n", @differences);
	}
	return;
}

# A copy of a database, for one case.
sub copy
{
	my ($from) = @_;
	drop('copy');
	$node->safe_psql('postgres', "CREATE DATABASE copy TEMPLATE $from");
	query('postgres', 'ALTER DATABASE copy SET search_path = public, tools');
	return;
}

# Refused in a copy of the database after $sql, with this message and hint; nothing has changed then.
sub refused
{
	my ($name, $from, $sql, $error, %option) = @_;
	copy($from);
	query('copy', $sql) if $sql;
	my $before = state_of($node, 'copy');
	my ($status, undef, $err) = give_back($node, 'copy', %option);
	is($status, 3, "$name: refused");
	like($err, $error, "$name: with words");
	is(state_of($node, 'copy'), $before, "$name: nothing has changed");
	return;
}

my $whole = Fixture->new(generation => 'v5.9', assets => 200);
query('postgres', 'CREATE ROLE mallory LOGIN');
started_again('immich', $whole, '');
copy('immich');
script($node, 'copy', start_again($whole));
$node->safe_psql('postgres', 'CREATE DATABASE ready TEMPLATE copy');

refused('no token', 'ready', '',
	qr/^ERROR:  42501: gallery.return_token is not set\nDETAIL:  .*\nHINT:  .*'i_know_what_i_do';/m, before => '');
refused('the token of the other way', 'ready', '', qr/^ERROR:  42501: gallery.return_token has a wrong value$/m,
	before => "SET gallery.return_token = 'i_accept_data_loss';");
refused('a standing token', 'ready', q{ALTER DATABASE copy SET gallery.return_token = 'i_know_what_i_do'},
	qr/^ERROR:  42501: gallery.return_token was not set in this session$/m, before => '');
refused('Immich', 'immich', '',
	qr/^ERROR:  55000: this is an Immich database: it has no tables of Gallery's to put rows into\nHINT:  Start Gallery v5\.9\.0 .or/m);
refused('no archive', 'ready', 'DROP SCHEMA gallery_archive CASCADE',
	qr/^ERROR:  55000: this database has no schema "gallery_archive"\nDETAIL:  .*\nHINT:  If a backup has the schema/m);
refused('another shape', 'ready', 'ALTER TABLE gallery_archive.facts ADD COLUMN mine text',
	qr/^ERROR:  42P06: schema "gallery_archive" is not one that gallery_revert\(\) made\nDETAIL:  table "facts" has other columns/m);
refused('another owner', 'ready', 'ALTER SCHEMA gallery_archive OWNER TO mallory', qr/^DETAIL:  it belongs to "mallory"$/m);
refused('an empty archive', 'ready', 'DELETE FROM gallery_archive.facts', qr/^ERROR:  55000: schema "gallery_archive" holds no revert$/m);
refused('another installation', 'ready', q{UPDATE kysely_migrations SET timestamp = '2025' || substr(timestamp, 5)},
	qr/^ERROR:  55000: the archive is of another installation than this database\nDETAIL:  .* 0 ran at the same time, 100 at another/m);
refused('a newer Gallery', 'ready', q{INSERT INTO gallery_migrations VALUES ('1999000000000-Newer', '2026-11-28T10:00:00.000Z')},
	qr/^ERROR:  0A000: the ledger records 1 migration that this version/m);
refused('another plan', 'ready', '', qr/^ERROR:  38002: the plan is not the one .*\n(?:.*\n)*HINT:  .* FROM gallery_return_plan\(\);/m,
	before => "$token SET gallery.revert_plan = 'abc';");
refused('read only', 'ready', '', qr/^ERROR:  25006: the transaction is read only$/m, before => "$token BEGIN READ ONLY;");
refused('an older snapshot', 'ready', '', qr/^ERROR:  25001: /m, before => "$token BEGIN ISOLATION LEVEL REPEATABLE READ;");
refused('a table of somebody else\'s', 'ready', 'ALTER TABLE user_group OWNER TO mallory',
	qr/^ERROR:  42501: role "postgres" does not own what has to be changed\nDETAIL:  table "user_group" belongs to "mallory"$/m);
refused('a trigger that keeps rows', 'ready', <<'SQL', qr/^ERROR:  55000: of 3 rows of table "user_group" only 0 could be added$/m);
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER mine BEFORE INSERT ON user_group FOR EACH ROW EXECUTE FUNCTION suppress();
SQL
my $unplanned = qr/^ERROR:  55000: the result would not be what the plan says.*\nDETAIL:  table "tag": /m;
refused('a trigger that does more', 'ready', <<'SQL', $unplanned);
CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM public.tag; RETURN NULL; END';
CREATE TRIGGER mine AFTER INSERT ON user_group FOR EACH STATEMENT EXECUTE FUNCTION more();
SQL

# The plan: the same steps, with the counts that come out; it leaves nothing behind.
{
	copy('ready');
	my $before = state_of($node, 'copy');
	my $plan = query('copy', 'SELECT sum(rows) FILTER (WHERE statement LIKE \'INSERT%\' AND phase = \'return\'), (array_agg(digest
		ORDER BY step DESC))[1]
		FROM gallery_return_plan()');
	is(state_of($node, 'copy'), $before, 'the plan changes nothing');
	my ($rows, $digest) = split /\|/, $plan;
	my ($status, $out, $err) = give_back($node, 'copy');
	like($out, qr/^run 1 is back: $rows rows put back, \d+ rows set as they were, 0 could not come back$/m, 'as many rows as the plan says');
	like($err, qr/Digest of the plan: $digest\.\n/, 'by the plan that was shown');
	my $done = state_of($node, 'copy');
	query('copy', 'DELETE FROM user_group');
	$before = state_of($node, 'copy');
	($status, $out, $err) = give_back($node, 'copy');
	is($status, 0, 'a second call');
	like($err, qr/^NOTICE:  00000: nothing to return: run 1 was put back on 20\d\d-/m, 'finds nothing to do and says so');
	is(state_of($node, 'copy'), $before, 'and brings back nothing that was taken away since');
	is(query('copy', 'SELECT count(*) FROM gallery_return_plan()'), 0, 'its plan is empty');
	query('copy', q{DELETE FROM gallery_archive.facts WHERE kind = 'returned'});
	like((give_back($node, 'copy'))[1], qr/^run 1 is back: 15 rows put back, 0 rows set/m, 'once more where that is asked for');

	copy('ready');
	is((give_back($node, 'copy', before => "$token BEGIN; SAVEPOINT s;", after => 'ROLLBACK TO s; COMMIT;'))[0], 0,
		'in a savepoint that is undone');
	query('copy', q{SELECT count(*) FROM gallery_archive.facts WHERE kind = 'returned'});
	is((give_back($node, 'copy', before => "$token BEGIN;", after => 'COMMIT;'))[0], 0, 'in a transaction of the user\'s');
	is(query('copy', 'SELECT count(*) FROM user_group'), 3, 'it is all there');
}

# Rows that do not fit: each is named with the reason, all others come back.
foreach my $case (
	[ 'a value of another type', q{UPDATE gallery_archive.rows SET content = jsonb_set(content, '{createdAt}', '"never"')
		WHERE table_name = 'user_group' AND content ->> 'name' = (SELECT min(content ->> 'name') FROM gallery_archive.rows WHERE
			table_name = 'user_group')},
		'user_group', 1, qr/^a value does not fit the table as it is now: invalid input syntax for type timestamp/ ],
	[ 'values of another type', q{UPDATE gallery_archive.rows SET content = (SELECT jsonb_object_agg(k, 'never') FROM
		jsonb_object_keys(content) k)
		WHERE table_name = 'asset_job_status'},
		'asset_job_status', 200, qr/^its values do not fit table "asset_job_status" as it is now: invalid input/ ],
	[ 'a column that is no more', q{UPDATE gallery_archive.rows SET content = content || jsonb_build_object('mood', nullif(content
		->> 'name', 'Group 1'))
		WHERE table_name = 'user_group'}, 'user_group', 2, qr/^there is no column "mood" now$/ ],
	[ 'a column without a value', q{UPDATE gallery_archive.rows SET content = content - 'name' WHERE table_name = 'user_group'},
		'user_group', 3, qr/^column "name" needs a value$/ ],
	[ 'a table that is no more', q{UPDATE gallery_archive.rows SET table_name = 'user_groups' WHERE table_name = 'user_group'},
		'user_groups', 3, qr/^Gallery has no table "user_groups" now$/ ],
	[ 'rows that a check refuses', q{ALTER TABLE user_group ADD CONSTRAINT mine CHECK (name <> 'Group 1')}, 'user_group', 1,
		qr/^the table's checks refuse it now$/ ],
	[ 'rows that are there', q{INSERT INTO user_group (id, name, "createdById") SELECT (content ->> 'id')::uuid, 'mine', (content
		->> 'createdById')::uuid
		FROM gallery_archive.rows WHERE table_name = 'user_group'}, 'user_group', 3, qr/^another row with its key is there now$/ ],
	[ 'rows that may be there only once', q{CREATE UNIQUE INDEX mine ON user_group (lower(name)) WHERE name <> ''; INSERT INTO
		user_group (name, "createdById")
		SELECT 'GROUP 1', id FROM "user" LIMIT 1}, 'user_group', 1, qr/^there is another one now that "mine" lets be only once$/ ])
{
	my ($name, $sql, $table, $count, $reason) = @$case;
	copy('ready');
	query('copy', $sql);
	my ($status, $out, $err) = give_back($node, 'copy');
	is($status, 0, "$name: put back all the same") or do { diag($err); next };
	my @reasons = split /\n/, query('copy', "SELECT value ->> 'reason' FROM gallery_archive.facts WHERE kind = 'not returned' AND
		name = '$table'");
	is(scalar @reasons, $count, "$name: as many are listed");
	is_deeply([ grep { !/$reason/ } @reasons ], [], "$name: with the reason");
	like($err, qr/^$table: $count, /m, "$name: and told") if $count;
}

# Settings and permissions that were changed since stay; what is missing is added.
{
	copy('immich');
	query('copy', q{UPDATE system_metadata SET value = jsonb_set(value, '{machineLearning,clip,modelName}', '"mine"') WHERE key =
		'system-config';
		UPDATE api_key SET permissions = permissions || '{asset.read}'::varchar[]});
	script($node, 'copy', start_again($whole));
	query('copy', q{UPDATE system_metadata SET value = jsonb_set(value, '{storageUsage}', '"mine"') WHERE key = 'system-config'});
	my ($status, $out, $err) = give_back($node, 'copy');
	is($status, 0, 'changed settings') or diag($err);
	is(query('copy', q{SELECT value #>> '{machineLearning,clip,modelName}' || ' ' || (value #>> '{storageUsage}') || ' ' ||
		(value #> '{machineLearning,clip,maxDistance}' IS NOT NULL)::text FROM system_metadata WHERE key = 'system-config'}),
		'mine mine true', 'settings of today stay, missing ones are added');
	is(query('copy', q{SELECT bool_and('asset.read' = ANY (permissions)), bool_and(permissions @> ARRAY(SELECT
		jsonb_array_elements_text(r.content -> 'permissions'))::varchar[])
		FROM api_key k JOIN gallery_archive.rows r ON r.table_name = 'api_key' AND r.key ->> 'id' = k.id::text}), 't|t', 'so are permissions');
	is(query('copy', q{SELECT count(*) FROM gallery_archive.facts WHERE kind = 'not returned' AND name = 'system_metadata'}),
		1, 'the changed one is listed');
}
drop($_) foreach qw(copy ready immich);

my %both = map { $_ => 1 } qw(v4.3.3 v5.0 v5.8 v5.9);
foreach my $generation (Fixture::Facts::generation_names())
{
	try_case($generation, Fixture->new(generation => $generation, assets => 200), '', 1, $both{$generation} ? 0 : (), 1);
}
# Another Gallery than before: tables and columns that she has not, or has besides.
{
	my @forks = Fixture::Facts::fork_ledger('v5.9');
	my $less = Fixture->new(generation => 'v5.9', assets => 200, prefix => @forks - 8);
	try_case('an older Gallery', $whole, '', 1, 1, $less);
	try_case('a newer Gallery', $less, '', 1, 1, $whole);
}
my $cases = $ENV{GALLERY_REVERT_CASES} || 1;
my $first = $ENV{GALLERY_REVERT_SEED} || 1;
foreach my $seed ($first .. $first + $cases - 1)
{
	my $case = make_case($seed);
	my $settings = join '', $seed % 3 == 0 && !$case->{without} ? q{SET gallery.revert_spaces = 'albums';} : (),
		$seed % 2 ? () : q{SET gallery.revert_pets = 'people';};
	try_case(describe($seed, $case), Fixture->new(%$case), $settings, $seed, 0, 1);
}
done_testing();
