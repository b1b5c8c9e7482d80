# scripts/advise.sql, made by tools/advise-sql, gives the answers of immich_recovery_advice(): every state of the table of decisions,
# every release on every number of migrations, and odd ledgers, compared word by word; and scripts/advise.sh prints them, changes
# nothing, and runs nobody's code.
use strict;
use warnings FATAL => 'all';

use Advice;
use Cwd qw(abs_path);
use Fixture;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Twin;

my $root = abs_path(__FILE__) =~ s{/test/t/[^/]+$}{}r;
my $folder = PostgreSQL::Test::Utils::tempdir();
my ($plain, $complaints) = ('', '');
ok(IPC::Run::run([ "$root/tools/advise-sql" ], '>', \$plain, '2>', \$complaints), 'the file is made') or diag($complaints);
is($complaints, '', 'without a complaint');
unlike($plain, qr/@[a-z_]+@/, 'and every place is filled');
my ($block) = $plain =~ /^(DO LANGUAGE plpgsql .*^\$advice\$);$/ms or die 'no block';

my $node = Twin::start_node('advise', client_min_messages => 'warning');
my $twin = Twin->new($node, 'work');

# Both answers. A state is a savepoint of an open transaction; reading only is set and ends within it.
my $refused = <<'SQL';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN replace(concat_ws('|', 'refused ' || code, message, detail, hint), E'\n', ' ');
END $ask$;
SQL
my $ask = <<"SQL" . $refused . <<"SQL" . $refused . <<'SQL';
CREATE FUNCTION pg_temp.ask(wanted text) RETURNS text LANGUAGE plpgsql AS \$ask\$
DECLARE
  result text; code text; message text; detail text; hint text;
BEGIN
  SELECT to_jsonb(a)::text INTO result FROM tools.immich_recovery_advice(wanted) AS a;
  RETURN result;
SQL
CREATE FUNCTION pg_temp.ask_plain(wanted text) RETURNS text LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp SET row_security = off AS \$ask\$
DECLARE
  result text; code text; message text; detail text; hint text;
BEGIN
  PERFORM set_config('immich_advice.target', coalesce(wanted, ''), true);
  EXECUTE \$block\$$block\$block\$;
  SET LOCAL ROLE NONE;
  RETURN current_setting('immich_advice.answer')::jsonb::text;
SQL
CREATE FUNCTION pg_temp.both(wanted text) RETURNS SETOF text LANGUAGE sql AS
  $$ SELECT 'function ' || coalesce(wanted, '') || ' ' || pg_temp.ask(wanted)
     UNION ALL SELECT 'plain ' || coalesce(wanted, '') || ' ' || pg_temp.ask_plain(wanted) $$;
SQL
sub quoted { return $_[0] eq '' ? 'NULL' : "'" . $_[0] =~ s/'/''/gr . "'" }

# Loads one database, brings it into each state [ name, SQL, wanted tags ], and compares the two answers row by row.
my ($cases, %kinds) = (0);
sub compare
{
	my ($fixture, $product, @states) = @_;
	my $script = "BEGIN;\n" . Twin::_open_script($fixture, $product) . $ask;
	foreach my $state (@states)
	{
		my (undef, $sql, @wanted) = @$state;
		$script .= "\\echo == case\nSAVEPOINT s;\n$sql\nSET TRANSACTION READ ONLY;\n"
			. "SELECT pg_temp.both(t) FROM unnest(ARRAY[" . join(', ', map { quoted($_) } @wanted) . "]::text[]) AS t;\nROLLBACK TO s;\n";
	}
	my ($out, $err, $ok) = $twin->psql('work', $script . "ROLLBACK;\n", schema => $fixture->{schema});
	diag($err) if !$ok;
	die "psql failed\n" if !$ok;
	my (undef, @out) = split /^== case\n/m, $out, -1;
	foreach my $i (0 .. $#states)
	{
		my ($name, undef, @wanted) = @{ $states[$i] };
		my @function = map { /^function (.*)/ ? $1 : () } split /\n/, $out[$i];
		my @plain = map { /^plain (.*)/ ? $1 : () } split /\n/, $out[$i];
		is(scalar(@function), scalar(@wanted), "$name: answers");
		is_deeply(\@plain, \@function, "$name: the same from plain SQL");
		$cases += @function;
		$kinds{$_}++ foreach map { /"advice": "(\w+)"|(refused \w+)/ ? $1 // $2 : 'odd' } @function;
	}
	return;
}

my $immich = Fixture->new(generation => 'v5.8', rows => 0);
compare($immich, 'immich', map { [ $_->[0], $_->[1], $_->[2] ] } @table);
compare(Fixture->new(generation => 'v4.57', assets => 200, %{ $_->[1] }), 'gallery', [ $_->[0], '', $_->[2] ]) foreach @gallery;
my @counts = sort { $a <=> $b } keys %{ { map { $_ => 1 } values %ships } };
compare($immich, 'immich', map { [ "$_ migrations", state_of($_), '', @tags ] } @counts);

# Odd ledgers: times, names, versions, owners.
my $at = sub { my ($i, $time) = @_; return "UPDATE kysely_migrations SET timestamp = '$time' WHERE name = '$names[$i]';" };
my @times = ('', 'yesterday', '2026-02-29T00:00:00Z', '2024-02-29T00:00:00.5Z', '2026-01-01T24:00:00Z', '2026-01-01 00:00:20.123456Z',
	'2026-01-01T01:00:20+01:00', '2026-01-01T01:00:20+01', '2025-12-31T22:30:20-0130', '2026-01-01T00:00:20+01:', '2026-01-01T00:00:20',
	'2026-13-01T00:00:00Z', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z', '2026-01-01T00:00:20.Z', '2026-01-01T00:00:20.000Zx',
	'2026-01-01T00:00:19.999Z', '2026-01-01T00:00:21.000Z', '1600-02-29T00:00:00Z', '1900-02-29T00:00:00Z', '2026-01-00T00:00:00Z');
my @versions = ('v3.0.3', '3.0.3-rc.1', '02.7.5', '2.7', '99999999999.0.0', '2147483648.1.1', '5.2.0-rc.0', '4.0.0', '', ' 2.7.5', '3.0.0',
	'2.7.5-01', '2.7.5-rc.', "2.7.5\n", '5.9.0', 'v1.131.3');
my $stranger = 'CREATE ROLE stranger; GRANT ALL ON SCHEMA public TO stranger;';
my $other = 'CREATE ROLE immich_owner; GRANT ALL ON SCHEMA public TO immich_owner; '
	. 'ALTER TABLE kysely_migrations OWNER TO immich_owner; ALTER TABLE version_history OWNER TO immich_owner;';
my $branch = sub {
	my ($from, $to, $count) = @_;
	return state_of($count) . "DELETE FROM kysely_migrations WHERE name = '$to'; "
		. "INSERT INTO kysely_migrations VALUES ('$from', '2026-10-01T00:00:00.000Z');";
};
compare($immich, 'immich',
	(map { [ "a row at \"$_\"", state_of(68, '2.7.5') . $at->(20, $_), '', 'v3.0.3' ] } @times),
	(map { [ "two rows at \"$_\"", state_of(68, '2.7.5') . $at->(20, $_) . $at->(21, $_), '' ] } @times),
	(map { [ "\"$_\" was started", state_of(86, '2.7.5', $_), '', 'v3.0.3' ] } @versions),
	[ 'odd tags', state_of(86, '3.0.3'), @versions, "v2.7.5' OR true", 'v3.0.3-rc.1', 'latest' ],
	[ 'rows in reverse', state_of(86, '3.0.3') . join('', map { $at->($_, sprintf '2026-01-01T00:%02d:00Z', 59 - $_ % 60) } 0 .. 85), '' ],
	(map { my $count = $_; map { [ "$_->[0] on $count", $branch->(@$_, $count), '', 'v3.3.5' ] } (
		[ '1764041175465-CreateAssetEditTable', '1768336671610-CreateAssetEditTable' ],
		[ '1773846750001-AddPersonNameTrigramIndex', '1775165531374-AddPersonNameTrigramIndex' ],
		[ '1777667825574x', '1777667825574-ChangeDurationToInteger' ],
		[ '1776735180298-ChangeDurationToInteger', '1777667825574-ChangeDurationToInteger' ],
		[ '1779379200000-DeleteMismatchedAssetFaces', '1780435471692-DeleteMismatchedAssetFaces' ],
		[ '1783930557118-AddWorkflowLogsTable', '1786741078327-AddWorkflowLogsTable' ]) } 55, 68, 80, 88, 100),
	[ 'a renamed row whose table is gone', $branch->('1783930557118-AddWorkflowLogsTable', '1786741078327-AddWorkflowLogsTable', 100)
			. 'DROP TABLE workflow_log CASCADE;', '', 'v3.3.5' ],
	[ 'rows twice', state_of(68) . 'ALTER TABLE kysely_migrations DROP CONSTRAINT kysely_migrations_pkey CASCADE; '
			. 'INSERT INTO kysely_migrations SELECT * FROM kysely_migrations;', '' ],
	[ 'a row without a name', state_of(68) . 'ALTER TABLE kysely_migrations DROP CONSTRAINT kysely_migrations_pkey CASCADE; '
			. q(ALTER TABLE kysely_migrations ALTER name DROP NOT NULL; INSERT INTO kysely_migrations VALUES (NULL, '');), '' ],
	[ 'many unknown rows', state_of(68) . q(INSERT INTO kysely_migrations SELECT 'x' || g, '' FROM generate_series(1, 250) g;), '' ],
	[ 'two ledgers', 'CREATE SCHEMA other; CREATE TABLE other.kysely_migrations (LIKE kysely_migrations);', '' ],
	[ 'no version_history', state_of(68) . 'DROP TABLE version_history;', '', 'v3.0.3' ],
	[ 'a ledger of Gallery\'s, empty', state_of(68, '2.7.5') . 'CREATE TABLE gallery_migrations (name varchar, "timestamp" varchar);', '' ],
	[ 'a ledger of Gallery\'s that is a stranger\'s', state_of(68, '2.7.5') . "$stranger CREATE TABLE gallery_migrations (name varchar, "
			. '"timestamp" varchar); ALTER TABLE gallery_migrations OWNER TO stranger;', '', 'v2.7.5' ],
	[ 'version_history is a stranger\'s', state_of(68, '2.7.5') . "$stranger ALTER TABLE version_history OWNER TO stranger;", '', 'v2.7.5' ],
	[ 'an index of a stranger\'s function on the ledger', state_of(68) . $stranger
			. 'CREATE FUNCTION f(text) RETURNS text IMMUTABLE LANGUAGE sql RETURN $1; '
			. 'ALTER FUNCTION f OWNER TO stranger; CREATE INDEX ON kysely_migrations (f(name));', '' ],
	[ 'Immich is another role\'s', state_of(68, '2.7.5') . $other, '', 'v3.0.3' ]);

# What else is found where a release starts. A database as Immich makes it has nothing to complain of, at any count.
sub findings
{
	my ($fixture, $name, $sql, $wanted, @expected) = @_;
	my $script = "BEGIN;\n" . Twin::_open_script($fixture, 'immich') . "$ask$sql\nSELECT jsonb_array_elements_text(x::jsonb -> 'findings')"
		. ' FROM pg_temp.ask(' . quoted($wanted) . ") AS x;\nSELECT 'plain ' || (pg_temp.ask_plain(" . quoted($wanted) . ')'
		. ' = pg_temp.ask(' . quoted($wanted) . "))::text;\nROLLBACK;\n";
	my ($out, $err, $ok) = $twin->psql('work', $script, schema => $fixture->{schema});
	diag($err) if !$ok;
	my @lines = split /\n/, $out;
	is(pop @lines, 'plain true', "$name: the same from plain SQL");
	my $left = join "\n", @lines;
	foreach my $line (@expected)
	{
		like($left, $line, "$name: found");
	}
	unlike($left, qr/^(?:missing|too much)/m, "$name: and nothing of the schema") if !grep { "$_" =~ /missing|too much/ } @expected;
	return;
}
my $server = qr/^PostgreSQL \d+: Immich v\d+\.\d+\.\d+ supports it$/m;
foreach my $generation (qw(v4.3.3 v4.57 v5.1 v5.3 v5.7 v5.9))
{
	findings(Fixture->new(generation => $generation, rows => 0), "Immich below Gallery $generation", '', '', $server,
		qr/^schema: all names are there that Immich has after \d+ migrations$/m);
}
my $stock = Fixture->new(generation => 'v4.57', rows => 0, schema => 'Odd "one');
my ($trigger, $key) = ('album_user_delete_audit', 'album_asset_albumId_fkey');
findings($stock, 'lost in a half restore', qq(SET search_path = "Odd ""one", public; DROP TRIGGER "$trigger" ON album_user;
	ALTER TABLE album_asset DROP CONSTRAINT "$key"; DROP TABLE workflow CASCADE; CREATE FUNCTION mine() RETURNS integer LANGUAGE sql RETURN 1;
	ALTER TABLE asset ADD CONSTRAINT mine CHECK (true); CREATE TABLE own (id integer CHECK (id > 0)); RESET search_path;), 'v3.0.3',
	qr/^schema: \d+ differences to Immich's after 68 migrations; Immich starts, but features and the next update may fail on them$/m,
	qr/^missing: trigger "$trigger" of table "album_user"$/m, qr/^missing: constraint "$key" of table "album_asset"$/m,
	qr/^missing: table "workflow"$/m, qr/^too much: function "mine\(\)"$/m, qr/^too much: constraint "mine" of table "asset"$/m,
	qr/\A(?!.*of table "(?:own|workflow)")/s);
findings($stock, 'an extension that is too old, and one that is gone', q(INSERT INTO pg_extension
	SELECT x.oid, x.name, extowner, extnamespace, false, x.version, NULL, NULL
	FROM pg_extension, (VALUES (99998, 'vector', '0.4.4'), (99999, 'vectors', '0.2.0')) AS x (oid, name, version)
	WHERE extname = 'plpgsql';),
	'v3.0.3', qr/^extension vector 0\.4\.4: Immich v2\.7\.5 wants 0\.5 or later, before 1$/m,
	qr/^extension vectors 0\.2\.0: Immich v2\.7\.5 supports it$/m, qr/^extension vectors 0\.2\.0: Immich v3\.0\.3 does not use it any more$/m,
	qr/^no vector extension that Immich v3\.0\.3 supports is installed: it does not start$/m,
	qr/\A(?!.*no vector extension that Immich v2\.7\.5)/s);
findings($stock, 'another C library',
	q(UPDATE pg_database SET datcollversion = '1.0' WHERE datname = current_database();), '',
	qr/^collation: the database was made with version 1\.0, the system has another: .*ALTER DATABASE work REFRESH/m)
  if $node->pg_version >= 15;
findings($stock, 'a media location', q(INSERT INTO "Odd ""one".system_metadata (key, value) VALUES ('MediaLocation', '{"location": "/old"}')
	ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value;), '', qr{^media location: "/old" is where}m);

cmp_ok($cases, '>=', 526, 'every state of the table of decisions, and more');
note($cases, ' answers compared: ', join ', ', map { "$kinds{$_} $_" } sort keys %kinds);

# The script, on a database of a role that is no superuser. Other roles have planted what a careless query would run.
$twin->run('postgres', 'CREATE ROLE keeper LOGIN; CREATE ROLE stranger LOGIN; CREATE DATABASE shop OWNER keeper;');
$twin->run('shop', $immich->sql('immich') . state_of(68, '2.7.5') . 'CREATE EXTENSION gallery_revert; '
		. 'GRANT ALL ON SCHEMA public TO keeper, stranger;'
		. q(DO $$ DECLARE r record; BEGIN FOR r IN SELECT oid::regclass AS t FROM pg_class WHERE relnamespace = 'public'::regnamespace
			AND relkind = 'r' LOOP EXECUTE format('ALTER TABLE %s OWNER TO keeper', r.t); END LOOP; END $$;));
my $planted = q(LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted code ran as %', current_user; END $$);
$twin->run('shop', "SET ROLE stranger; CREATE FUNCTION public.boom(name, name) RETURNS boolean $planted;
	CREATE FUNCTION public.boom(name, text) RETURNS boolean $planted; CREATE FUNCTION public.boom(varchar, text) RETURNS boolean $planted;
	CREATE OPERATOR public.= (FUNCTION = public.boom, LEFTARG = name, RIGHTARG = name);
	CREATE OPERATOR public.= (FUNCTION = public.boom, LEFTARG = name, RIGHTARG = text);
	CREATE OPERATOR public.<> (FUNCTION = public.boom, LEFTARG = varchar, RIGHTARG = text);
	CREATE FUNCTION public.format(text, name) RETURNS text $planted; CREATE FUNCTION public.split_part(varchar, text, integer) RETURNS text
	$planted; CREATE FUNCTION public.current_setting(text) RETURNS text $planted;");
mkdir "$folder/bin" or die $!;
# A docker that runs in no container.
open(my $docker, '>', "$folder/bin/docker") or die $!;
print $docker <<'SH';
#!/bin/bash
echo "docker $*" >>"$FOLDER/docker.log"
case "$1 $2" in
    "inspect "*) [ "$4" != service ]; exit ;;
    "compose ps") echo immich_postgres; exit 0 ;;
esac
shift
while :; do case $1 in -i) shift ;; -e) export "${2?}"; shift 2 ;; *) break ;; esac; done
[ "$1" = immich_postgres ] || exit 1
shift
exec "$@"
SH
close($docker);
chmod 0755, "$folder/bin/docker" or die $!;
sub advise
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'shop', FOLDER => $folder,
		POSTGRES_USER => (getpwuid $<)[0], POSTGRES_DB => 'shop', PATH => "$folder/bin:$ENV{PATH}");
	my $ok = IPC::Run::run([ "$root/scripts/advise.sh", @arguments ], '<', \undef, '>', \$out, '2>', \$err);
	return ($out, $err, $? >> 8);
}
my $whole = sub {
	my $dump = '';
	IPC::Run::run([ 'pg_dump', '-d', $node->connstr('shop') ], '>', \$dump) or die 'pg_dump';
	return $dump =~ s/^\\(?:un)?restrict.*\n//mgr;
};
my $before = $whole->();
my ($out, $err, $status) = advise('v3.0.3');
is($status, 0, 'the script answers') or diag($err);
is($err, '', 'and complains of nothing');
my $function = $twin->run('shop', q(SELECT 'advice: ' || advice || E'\npin:    ' || pin || E'\nreason: ' || reason
	FROM immich_recovery_advice('v3.0.3')));
like($out, qr/^\Q$function\E/, 'as the function does');
my $steps = $twin->run('shop', q(SELECT unnest(steps) FROM immich_recovery_advice('v3.0.3')));
is((advise('--steps', 'v3.0.3'))[0], $steps, 'the steps alone');
is((advise('--answer'))[0], "none v2.7.5\n", 'two words for scripts');
is((advise('--docker', 'immich_postgres', '--answer', '3.0.3'))[0], "roll_back v2.7.5\n", 'in a container');
is((advise('--docker', 'service', '--answer', '3.0.3'))[0], "roll_back v2.7.5\n", 'in a service of the compose file');
($out, $err, $status) = advise("v9'; SELECT 1");
is("$status$out", '1', 'a tag that is none has no answer');
like($err, qr/"v9'; SELECT 1" is not an Immich release.*FAILED: the database gave no answer/s, 'and it is said');
is((advise('--wrong'))[2], 2, 'an option that is none');
is((advise('a', 'b'))[2], 2, 'two tags');
is($whole->(), $before, 'nothing was changed');

# The newest asset against the newest dump.
$twin->run('shop', q(SET session_replication_role = replica; INSERT INTO asset (checksum, "checksumAlgorithm", "fileCreatedAt",
	"fileModifiedAt", "localDateTime", "originalFileName", "originalPath", "ownerId", type, "createdAt")
	SELECT '', 'sha1', now(), now(), now(), 'x', '/x', gen_random_uuid(), 'IMAGE', t::timestamptz
	FROM (VALUES ('2026-09-09 01:02:03Z'), ('2026-09-09 01:02:02Z'), ('-infinity')) AS x (t);));
mkdir "$folder/dumps" or die $!;
my $release = qr/^found:  newest release recorded in the database: 2026-09-01 00:00:00 UTC\n.*no dump is in/m;
like((advise('--backups', "$folder/dumps"))[0], $release, 'no dump');
foreach my $dump ([ 'old.sql.gz', 1_700_000_000 ], [ 'immich-db-backup-20261120T020000-v3.3.5-pg15.20.sql.gz', 1_780_000_000 ],
	[ 'notes.txt', 1_790_000_000 ])
{
	open(my $file, '>', "$folder/dumps/$dump->[0]") or die $!;
	close($file);
	utime $dump->[1], $dump->[1], "$folder/dumps/$dump->[0]" or die $!;
}
my $newest = qr{^found:  newest dump: 2026-05-28 20:26:40 UTC, \S+/immich-db-backup-2026\S+$}m;
like((advise('--backups', "$folder/dumps"))[0], $newest, 'the newest');
my $lacks = qr/^found:  newest photo or video in the database: 2026-09-09 01:02:03 UTC\n.*^found:  photos or videos came in after/ms;
like((advise('--backups', "$folder/dumps"))[0], $lacks, 'and what it lacks');
is((advise('--backups', '/nowhere'))[2], 2, 'no such folder');

$twin->run('postgres', 'CREATE ROLE visitor LOGIN;');
($out, $err, $status) = advise('-U', 'visitor');
like($err, qr/role "visitor" does not own this Immich and may not act as its owner.*SET ROLE keeper/s, 'a role that may not read it');

# The owner's own code would run as the superuser if it set the role back: there is no answer then.
my $back = 'CREATE OR REPLACE FUNCTION public.back(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS ';
$twin->run('shop', "SET ROLE keeper; $back " . q($$ BEGIN RETURN $1; END $$; CREATE INDEX planted ON kysely_migrations (name)
	WHERE public.back('x') = 'y';) . $back . q($$ BEGIN PERFORM set_config('role', 'none', false); RAISE WARNING 'ran as %', current_user;
	RETURN $1; END $$;));
($out, $err, $status) = advise('v3.0.3');
is($status, 1, 'code of the owner on the ledger: no answer for a superuser');
like($err, qr/cannot be read without running code of "keeper".*Connect as "keeper"/s, 'but the way to one');
unlike($err, qr/ran as/, 'and it did not run');
is((advise('-U', 'keeper', '--answer', 'v3.0.3'))[0], "roll_back v2.7.5\n", 'the owner has one');
done_testing();
