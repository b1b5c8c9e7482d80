# Databases and sessions as nobody expects them: names that break quoting, planted functions, operators and casts, JSON of any shape,
# ledgers that are not as they should be, tables of every kind in the way. Each is reverted or refused with a clear error, by a plain
# revert, by one that keeps all it can, and where it makes sense by the way back as well.
use strict;
use warnings FATAL => 'all';

use Again qw(gallery_again);
use GalleryTest;
use Owner qw(owned_by);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('hostile', conf => [ 'autovacuum = off', 'max_stack_depth = 2MB' ]);
gallery($node, 'photos');
gallery($node, 'newer', '--generation', 'v5.8');
gallery_again($node, 'back');
my %before = map { $_ => state_of($node, $_) } qw(photos newer back);
my ($cases, $reverted, $refused) = (0, 0, 0);
my $strange = 'a"";drop table x;--';

my $cleanup = qr/^NOTICE:  00000: revert-to-immich: cleanup finished/m;
my $revert = 'SELECT public.gallery_revert();';
my %ways = (
	plain => { call => $revert, result => qr/^v\d+\.\d+\.\d+$/m, notice => $cleanup },
	keeping => {
		call => "SET gallery.revert_archive = on; SET gallery.revert_spaces = 'albums'; SET gallery.revert_pets = 'people'; $revert",
		result => qr/^v\d+\.\d+\.\d+$/m, notice => $cleanup },
	back => {
		call => q{SET gallery.return_token = 'i_know_what_i_do'; SELECT public.gallery_return();},
		result => qr/^run 1 is back: \d{3,} rows put back, \d+ rows set as they were, 0 could not come back$/m,
		notice => qr/^NOTICE:  00000: run 1 is back: /m });
# By which of them the next cases are tried.
my @ways = qw(plain keeping);

# A case in a transaction that is undone: setup, then the revert. $expected is "reverted" or the SQLSTATE of the refusal and what
# its message and detail hold; $check a query that must be true after a revert.
sub attempt
{
	my ($name, $setup, $expected, $check, $database) = @_;
	attempt_by($_, $name, $setup, $expected, $check, $database) foreach grep { $_ ne 'back' || !$database } @ways;
	return;
}

sub attempt_by
{
	my ($by, $name, $setup, $expected, $check, $database) = @_;
	my $way = $ways{$by};
	$name = "$by: $name" if $by ne 'plain';
	$database //= $by eq 'back' ? 'back' : 'photos';
	$check = undef if $by eq 'back';
	my ($status, $out, $err) = revert($node, $database, instead => $way->{call},
		before => "SET client_min_messages = warning;\nBEGIN;\n$setup\n;SET client_min_messages = notice;\n",
		after => ($check ? "SELECT 'check', ($check);" : '') . "\nROLLBACK;");
	++$cases;
	unlike($err, qr/XX000|terminated abnormally|server closed/, "$name: no crash, no internal error");
	if ($expected eq 'reverted')
	{
		++$reverted;
		ok($status == 0 && $out =~ $way->{result} && $err =~ $way->{notice}, "$name: reverted") or diag "$out\n$err";
		like($out, qr/^check\|t$/m, "$name: as it should be") if $check;
	}
	else
	{
		++$refused;
		my ($code, $text) = @$expected;
		like($err, qr/^ERROR:  $code: .*$text/ms, "$name: refused");
	}
	return;
}

sub raising
{
	my ($name, $arguments, $result) = @_;
	return "CREATE FUNCTION $name($arguments) RETURNS $result LANGUAGE plpgsql AS \$f\$
	  BEGIN RAISE EXCEPTION 'hijacked by $name($arguments)'; END \$f\$;";
}

# A function for triggers whose body is these statements.
sub trigger_function
{
	my ($name, $body) = @_;
	return "CREATE FUNCTION $name() RETURNS trigger LANGUAGE plpgsql AS \$f\$ BEGIN $body END \$f\$; ";
}

my $immich = q{SELECT count(*) = 0 FROM pg_catalog.pg_class
  WHERE relnamespace = 'public'::regnamespace AND relname IN ('shared_space', 'user_group', 'face_identity')};
my $no_pets = $immich . q{ AND NOT EXISTS (SELECT FROM public.kysely_migrations WHERE name ~ 'SharedSpace')};
attempt('nothing odd', 'SELECT', 'reverted', $no_pets);

# Names.
for my $name ($strange, "new\nline", 'x' x 63, 'UPPER Case', "Zo\x{c3}\x{ab} \x{e2}\x{82}\x{ac}", "tab\there's \\ back", 'select')
{
	my $quoted = $name =~ /""/ ? $name : $name =~ s/"/""/gr;
	my $label = $name =~ s/\s/ /gr;
	my $give = owned_by($quoted =~ s/""/"/gr);
	attempt("own table $label",
		qq{CREATE TABLE "$quoted" (id int PRIMARY KEY, "$quoted" text); CREATE INDEX ON "$quoted" ("$quoted");},
		'reverted', qq{SELECT to_regclass('"' || \$q\$$quoted\$q\$ || '"') IS NOT NULL});
	attempt("dependent view $label", qq{CREATE VIEW "$quoted" AS SELECT name FROM shared_space;},
		[ '2BP01', 'depends on column name of table (public\.)?shared_space' ]);
	attempt("unknown migration $label", qq{INSERT INTO kysely_migrations VALUES (\$q\$$name\$q\$, '2026-01-01T00:00:00.000Z');},
		[ '0A000', quotemeta($name =~ s/([\x01-\x1f])/sprintf '\\x%02x', ord $1/ger) ]);
	attempt("owner $label",
		qq{CREATE ROLE "$quoted"; GRANT CREATE ON DATABASE newer TO "$quoted"; $give ALTER ROLE "$quoted" SET jit = off;}, 'reverted',
		qq{SELECT setconfig IS NULL FROM (SELECT 1) x LEFT JOIN pg_db_role_setting s ON setrole = \$q\$"$quoted"\$q\$::regrole}, 'newer')
	  if $name ne 'select';
	attempt("workflow $label", qq{UPDATE workflow SET name = \$q\$$name\$q\$;}, 'reverted', undef, 'newer') if $name ne 'select';
}

# Planted objects. They raise if they are called.
@ways = qw(plain keeping back);
attempt('search_path with planted functions',
	'CREATE SCHEMA evil;'
	  . raising('evil.format_type', 'oid, integer', 'text')
	  . raising('evil.pg_get_userbyid', 'oid', 'name')
	  . raising('evil.pg_has_role', 'oid, text', 'boolean')
	  . raising('evil.to_regclass', 'text', 'regclass')
	  . raising('evil.pg_describe_object', 'oid, oid, integer', 'text')
	  . 'CREATE VIEW evil.pg_class AS SELECT 1/0 AS oid; CREATE TABLE evil.pg_depend (x int);'
	  . ' SET LOCAL search_path = evil, pg_catalog, public;', 'reverted', $immich);
{
	my $plant = '';
	for my $pair (
		[ 'varchar', 'text' ], [ 'varchar', 'varchar' ], [ 'text', 'varchar' ], [ 'text', 'text' ],
		[ 'jsonb', 'text' ], [ 'jsonb', 'varchar' ], [ 'jsonb', 'varchar[]' ], [ 'jsonb', 'text[]' ],
		[ 'varchar[]', 'varchar' ], [ 'uuid', 'text' ])
	{
		my ($left, $right) = @$pair;
		my $function = 'public.evil_' . ($left . '_' . $right) =~ s/\W+/s/gr;
		$plant .= raising($function, "$left, $right", 'boolean');
		$plant .= "CREATE OPERATOR public.$_ (LEFTARG = $left, RIGHTARG = $right, FUNCTION = $function);"
		  for '=', '<>', '#-', '#>', '->', '->>', '~', '~~', '<', '||';
	}
	$plant .= raising('public.unnest', $_, 'SETOF varchar') . raising('public.evil_count', $_, 'boolean') for 'varchar[]', 'text[]';
	$plant .= raising('public.round', 'varchar', 'text') . raising('public.to_char', 'interval, varchar', 'text')
	  . raising('public.jsonb_typeof', 'varchar', 'text') . raising('public.lower', 'varchar', 'text');
	attempt('planted operators and functions in public', $plant, 'reverted', $immich);
	attempt('planted operators and functions in public, newer', $plant, 'reverted', undef, 'newer');
}
attempt('planted casts',
	raising('public.evil_int', 'varchar', 'integer')
	  . raising('public.evil_uuid', 'varchar', 'uuid')
	  . raising('public.evil_json', 'varchar', 'jsonb')
	  . 'CREATE CAST (varchar AS integer) WITH FUNCTION public.evil_int(varchar) AS IMPLICIT;'
	  . 'CREATE CAST (varchar AS uuid) WITH FUNCTION public.evil_uuid(varchar) AS IMPLICIT;'
	  . 'CREATE CAST (varchar AS jsonb) WITH FUNCTION public.evil_json(varchar) AS IMPLICIT;', 'reverted', $immich);
my @shadowed = qw(kysely_migrations version_history asset person shared_space system_metadata
	pg_class pg_depend pg_locks pg_stat_activity);
attempt('temporary tables that shadow names',
	join('', map { "CREATE TEMP TABLE $_ (oid int, name int, timestamp int);" } @shadowed), 'reverted', $immich);
attempt('a temporary ledger', 'CREATE TEMP TABLE kysely_migrations (name varchar, timestamp varchar);', 'reverted', $immich);
attempt('temporary functions and types',
	'CREATE TYPE pg_temp.text AS (a int); CREATE DOMAIN pg_temp.oid AS int; CREATE DOMAIN pg_temp.regclass AS int;',
	'reverted', $immich);

# JSON of every shape.
@ways = qw(plain keeping);
my $deep = "(repeat('[', 5000) || repeat(']', 5000))::jsonb";
my @json = (
	q{'[]'}, q{'"text"'}, q{'null'}, q{'5'}, q{'{}'}, q{'[{"classification": 1}]'}, q{'{"classification": null, "job": null}'},
	q{'{"classification": [], "job": [1]}'}, q{'{"job": {"petDetection": "x"}, "job": {}}'},
	q{'{"machineLearning": 5, "storage": "x", "classification": {"a": {"b": []}}}'},
	$deep, q{('{"classification":' || repeat('{"a":', 5000) || '1' || repeat('}', 5000) || '}')::jsonb});
sub metadata
{
	my ($key, $value) = @_;
	return "INSERT INTO system_metadata (key, value) VALUES ('$key', $value) ON CONFLICT (key) DO UPDATE SET value = excluded.value;";
}
for my $i (0 .. $#json)
{
	my $label = length $json[$i] > 60 ? "deep $i" : $json[$i];
	attempt("system-config $label", metadata('system-config', $json[$i]), 'reverted');
	attempt("version-check-state $label", metadata('version-check-state', $json[$i]), 'reverted');
	attempt("preferences $label", "UPDATE user_metadata SET value = $json[$i] WHERE key = 'preferences';", 'reverted');
	attempt("edit parameters $label", "UPDATE asset_edit SET parameters = $json[$i];", 'reverted', undef, 'newer');
}
attempt("preferences $_", "UPDATE user_metadata SET value = '$_' WHERE key = 'preferences';", 'reverted',
	q{SELECT NOT EXISTS (SELECT FROM public.user_metadata WHERE value #> '{memories,types}' IS NOT NULL)})
  for '{"memories": "x"}', '{"memories": [{"types": 1}]}', '{"memories": {"types": null}}', '{"memories": {"types": {"types": []}}}';
attempt("release $_", metadata('version-check-state', qq('{"releaseVersion": "$_"}')), 'reverted')
  for '', 'v', 'v5', 'v999999999999999999999.0.0', 'v-1.2.3', "v4.57.0'' OR true", 'v4.57.0-rc.1';
attempt("original duration $_", qq{UPDATE asset_edit SET parameters = '{"originalDuration": $_}';}, 'reverted', undef, 'newer')
  for '1e400', '-1', '0', '1e308', '"NaN"', '"12"', 'null', '[]', '2147483', '2147483.999', '0.0000001';
attempt('a deep document is still refused by the server itself',
	"SELECT set_config('a.b', (repeat('[', 100000) || repeat(']', 100000))::jsonb::text, true);", [ '54001', 'stack depth' ]);

# Ledgers.
my $loose = 'ALTER TABLE kysely_migrations DROP CONSTRAINT kysely_migrations_pkey;
  ALTER TABLE kysely_migrations ALTER name DROP NOT NULL, ALTER timestamp DROP NOT NULL;';
attempt('a row without a name',
	"$loose INSERT INTO kysely_migrations VALUES (NULL, '2026-01-01T00:00:00.000Z');",
	[ '55000', 'without a name' ]);
attempt('a row without a time',
	"$loose UPDATE kysely_migrations SET timestamp = NULL WHERE name = '1773242919341-EncodedVideoAssetFiles';",
	'reverted');
attempt('every time the same nonsense', "UPDATE kysely_migrations SET timestamp = 'soon';", 'reverted');
attempt('times of every kind', "UPDATE kysely_migrations SET timestamp =
	  (ARRAY['', '0000-00-00T00:00:00Z', '9999-12-31T23:59:59.999Z', 'infinity', '2026-01-01', '-1'])[1 + (hashtext(name) & 3)];", 'reverted');
attempt('the same row twice',
	"$loose INSERT INTO kysely_migrations SELECT * FROM kysely_migrations WHERE name = '1773242919341-EncodedVideoAssetFiles';",
	[ '55000', '' ]);
attempt("a fork's row twice",
	"$loose INSERT INTO kysely_migrations SELECT * FROM kysely_migrations WHERE name = '1778300000000-AddLibraryUserTable';",
	'reverted', $no_pets);
attempt("a name that is nearly known: $_->[0]", "INSERT INTO kysely_migrations VALUES ($_->[1], '2026-01-01T00:00:00.000Z');",
	[ '0A000', 'does not know' ])
  for [ 'space', q{'1773242919341-EncodedVideoAssetFiles '} ], [ 'case', q{'1773242919341-encodedvideoassetfiles'} ],
  [ 'empty', q{''} ], [ 'long', q{repeat('x', 255)} ], [ 'wildcard', q{'1773242919341-EncodedVideoAsset%'} ];
attempt('extra columns', 'ALTER TABLE kysely_migrations ADD note text DEFAULT 1, ADD "b""c" int;', 'reverted', $no_pets);
attempt('columns in another order',
	'CREATE TABLE l (timestamp varchar(255) NOT NULL, name varchar(255) PRIMARY KEY);
	  INSERT INTO l SELECT timestamp, name FROM kysely_migrations;
	  DROP TABLE kysely_migrations; ALTER TABLE l RENAME TO kysely_migrations;', 'reverted', $no_pets);
attempt('a time that is no text', 'ALTER TABLE kysely_migrations ALTER timestamp TYPE timestamptz USING timestamp::timestamptz;',
	[ '42P01', '' ]);
attempt('a name that is no text', 'ALTER TABLE kysely_migrations DROP name; ALTER TABLE kysely_migrations ADD name int;', [ '42P01', '' ]);
attempt('names of another text type', 'ALTER TABLE kysely_migrations ALTER name TYPE text, ALTER timestamp TYPE name;',
	'reverted', $no_pets);
attempt('a ledger that is a view', 'ALTER TABLE kysely_migrations RENAME TO l; CREATE VIEW kysely_migrations AS SELECT * FROM l;',
	[ '42P01', '' ]);
attempt('a partitioned ledger',
	'ALTER TABLE kysely_migrations RENAME TO l;
	  CREATE TABLE kysely_migrations (name varchar(255), timestamp varchar(255)) PARTITION BY HASH (name);
	  CREATE TABLE lp PARTITION OF kysely_migrations FOR VALUES WITH (MODULUS 1, REMAINDER 0);
	  INSERT INTO kysely_migrations SELECT * FROM l;', [ '55000', 'lp' ]);
attempt('an inherited ledger', 'CREATE TABLE l () INHERITS (kysely_migrations);', [ '2BP01', 'inherits from' ]);
{
	my ($status, $out, $err) = revert($node, 'photos', before => 'BEGIN; DELETE FROM kysely_migrations;', after => 'ROLLBACK;');
	++$cases;
	unlike($err, qr/XX000|cleanup finished/, 'an empty ledger: nothing is dropped, no internal error');
}

# Tables of every kind in the way.
my $swap = sub { my ($what) = @_; return "DROP TABLE shared_space_person_alias; $what" };
attempt('a partitioned fork table',
	$swap->('CREATE TABLE shared_space_person_alias (id int) PARTITION BY RANGE (id);
	  CREATE TABLE part PARTITION OF shared_space_person_alias DEFAULT;'), 'reverted', $immich);
attempt('a child of a fork table', 'CREATE TABLE child () INHERITS (user_group);', [ '2BP01', 'child' ]);
attempt('a parent of a fork table',
	'CREATE TABLE parent (name text); ALTER TABLE user_group ALTER name TYPE text; ALTER TABLE user_group INHERIT parent;',
	'reverted', q{SELECT to_regclass('public.parent') IS NOT NULL});
attempt("a view of a fork table's name",
	$swap->('CREATE VIEW shared_space_person_alias AS SELECT 1 AS x;'),
	'reverted', q{SELECT to_regclass('public.shared_space_person_alias') IS NOT NULL});
attempt("a sequence of a fork table's name",
	$swap->('CREATE SEQUENCE shared_space_person_alias;'),
	'reverted', q{SELECT to_regclass('public.shared_space_person_alias') IS NOT NULL});
attempt("a type of a fork table's name", $swap->('CREATE TYPE shared_space_person_alias AS (x int);'), 'reverted');
attempt('a rule on a fork table', 'CREATE RULE r AS ON INSERT TO user_group DO INSTEAD NOTHING;', 'reverted', $immich);
attempt('a rule on a native table that names a fork table',
	'CREATE RULE r AS ON INSERT TO partner DO ALSO DELETE FROM user_group;',
	[ '2BP01', 'rule r on table (public\.)?partner|partner' ]);
# Pets that stay people are in nobody's way.
@ways = 'plain';
attempt('a rule that keeps pets', 'CREATE RULE r AS ON DELETE TO person DO INSTEAD NOTHING;', [ '55000', 'person' ]);
attempt('a trigger that keeps pets',
	trigger_function('keep', 'RETURN NULL;')
	  . 'CREATE TRIGGER keep BEFORE DELETE ON person FOR EACH ROW EXECUTE FUNCTION keep();', [ '55000', 'person' ]);
attempt('a cascade into a table of its own',
	'CREATE TABLE own (p uuid REFERENCES person (id) ON DELETE CASCADE); INSERT INTO own SELECT id FROM person;', [ '55000', 'own' ]);
@ways = qw(plain keeping);
attempt('a trigger that keeps permissions',
	trigger_function('keep', 'RETURN NULL;')
	  . 'CREATE TRIGGER keep BEFORE UPDATE ON api_key FOR EACH ROW EXECUTE FUNCTION keep();',
	[ '55000', 'of \d+ rows of table "api_key" only 0 could be changed' ]);
attempt('a rule that keeps permissions', 'CREATE RULE r AS ON UPDATE TO api_key DO INSTEAD NOTHING;', [ '55000', 'api_key' ]);
attempt('a trigger that keeps what a cascade deletes',
	trigger_function('keep', 'RETURN NULL;')
	  . 'CREATE TRIGGER keep BEFORE DELETE ON memory_asset FOR EACH ROW EXECUTE FUNCTION keep();'
	  . q{INSERT INTO memory_asset ("memoriesId", "assetId") SELECT m.id, a.id
	      FROM memory m, (SELECT id FROM asset LIMIT 2) a WHERE m.type = 'rule' ON CONFLICT DO NOTHING;},
	[ '55000', 'rows of table "memory_asset" would point to nothing' ]);
attempt('a trigger that only watches',
	trigger_function('watch', 'RETURN old;')
	  . 'CREATE TRIGGER watch BEFORE DELETE ON memory FOR EACH ROW EXECUTE FUNCTION watch();', 'reverted', $immich);
attempt('a trigger that brings ledger rows back',
	trigger_function('back', 'INSERT INTO kysely_migrations VALUES (old.name, old.timestamp); RETURN old;')
	  . 'CREATE TRIGGER back AFTER DELETE ON kysely_migrations FOR EACH ROW EXECUTE FUNCTION back();',
	[ '55000', 'kysely_migrations' ]);
attempt('a trigger that deletes more',
	trigger_function('more', 'DELETE FROM public.album; RETURN old;')
	  . 'CREATE TRIGGER more AFTER DELETE ON memory FOR EACH ROW EXECUTE FUNCTION more();', [ '55000', 'album' ]);
attempt('a trigger that raises',
	trigger_function('no', q(RAISE EXCEPTION 'not today';))
	  . 'CREATE TRIGGER no BEFORE DELETE ON memory FOR EACH ROW EXECUTE FUNCTION no();', [ 'P0001', 'not today' ]);
attempt('row security',
	'ALTER TABLE person ENABLE ROW LEVEL SECURITY; ALTER TABLE person FORCE ROW LEVEL SECURITY; CREATE POLICY p ON person USING (false);
	  ALTER TABLE user_group ENABLE ROW LEVEL SECURITY; CREATE POLICY q ON user_group USING (false);',
	'reverted', $immich);
attempt('a generated column over a fork column', 'ALTER TABLE person ADD own text GENERATED ALWAYS AS (upper(species)) STORED;',
	[ '2BP01', 'own' ]);
attempt('a generated column of its own',
	'ALTER TABLE person ADD own text GENERATED ALWAYS AS (upper(name)) STORED;',
	'reverted', q{SELECT count(own) = count(*) FROM public.person});
attempt('a check over a fork column', q{ALTER TABLE person ADD CONSTRAINT own CHECK (species <> 'cat' OR name <> '');}, [ '2BP01', 'own' ]);
attempt('statistics over fork columns', 'CREATE STATISTICS own ON type, species FROM person;', [ '2BP01', 'own' ]);
attempt('statistics on a fork table', 'CREATE STATISTICS own ON id, name FROM user_group;', 'reverted', $immich);
attempt('comments',
	q{COMMENT ON TABLE user_group IS 'mine'; COMMENT ON COLUMN person.species IS E'a\n''b'; COMMENT ON TABLE asset IS 'photos';}, 'reverted',
	q{SELECT obj_description('public.asset'::regclass) = 'photos'});
attempt('disabled triggers',
	'ALTER TABLE asset DISABLE TRIGGER USER; ALTER TABLE library DISABLE TRIGGER library_after_insert;
	  ALTER TABLE user_group DISABLE TRIGGER ALL;', 'reverted', $immich);
attempt('unlogged tables', 'ALTER TABLE asset_duplicate_checksum SET UNLOGGED; ALTER TABLE kysely_migrations SET UNLOGGED;',
	'reverted', $immich);
attempt('a temporary view on a fork table', 'CREATE TEMP VIEW v AS SELECT name FROM user_group;', [ '2BP01', 'v' ]);
attempt('a fork table that an extension owns', 'ALTER EXTENSION pg_trgm ADD TABLE user_group;',
	[ '2BP01', 'user_group belongs to extension pg_trgm' ]);
attempt('a fork function that an extension owns', 'ALTER EXTENSION pg_trgm ADD FUNCTION library_after_insert();',
	[ '2BP01', 'belongs to extension pg_trgm' ]);
attempt('a domain in a fork column',
	q{CREATE DOMAIN label AS text CHECK (value <> 'x'); ALTER TABLE user_group ALTER name TYPE label;},
	'reverted', q{SELECT to_regtype('public.label') IS NOT NULL});
attempt('a domain over a row type', 'CREATE DOMAIN space AS shared_space;', [ '2BP01', 'space' ]);
attempt('an array of a row type', 'CREATE TABLE own (s shared_space[]);', [ '2BP01', 'own' ]);
attempt('a key of a table of its own',
	'CREATE TABLE own (p uuid REFERENCES person (id) ON DELETE CASCADE, s uuid REFERENCES user_group (id));', [ '2BP01', 'own' ]);
attempt('a deferred key of its own', 'CREATE TABLE own (p uuid REFERENCES person (id) DEFERRABLE INITIALLY DEFERRED);',
	'reverted', $immich);
attempt('a deferred trigger of its own',
	trigger_function('later', 'RETURN NULL;')
	  . 'CREATE CONSTRAINT TRIGGER later AFTER UPDATE OR DELETE ON asset DEFERRABLE INITIALLY DEFERRED'
	  . ' FOR EACH ROW EXECUTE FUNCTION later();',
	'reverted', undef, 'newer');
attempt("its own $_", "CREATE TABLE $_ (id int);", 'reverted', "SELECT to_regclass('public.$_') IS NOT NULL")
  for qw(gallery_migrations gallery_migrations_lock);
attempt("a native table that is missing: $_", qq{DROP TABLE $_ CASCADE;},
	[ '55000', "Immich's own tables are not as Immich makes them.*$_" ], undef, 'newer')
  for qw(partner album_user);
attempt('a duration of another type',
	'ALTER TABLE asset ALTER duration TYPE bigint;',
	[ '55000', "Immich's own tables are not as Immich makes them.*bigint" ], undef, 'newer');
attempt('parameters of another type',
	'ALTER TABLE asset_edit ALTER parameters TYPE json;',
	[ '55000', "Immich's own tables are not as Immich makes them" ], undef, 'newer');
attempt('a creation time of another type',
	'ALTER TABLE version_history ALTER "createdAt" DROP DEFAULT, ALTER "createdAt" TYPE text;',
	'reverted', $immich);
attempt('an event trigger that raises',
	q(CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'no % today', tg_tag; END $f$;
	  CREATE EVENT TRIGGER no ON sql_drop EXECUTE FUNCTION no();), [ 'P0001', 'no DROP TRIGGER today' ]);
attempt('an open cursor on a fork table', 'DECLARE c CURSOR FOR SELECT * FROM user_group; FETCH c;', [ '55006', 'user_group' ]);
attempt('trigger events still to come',
	'ALTER TABLE user_group_member
	    ADD CONSTRAINT own FOREIGN KEY ("userId") REFERENCES "user" (id) DEFERRABLE INITIALLY DEFERRED;
	  INSERT INTO user_group_member ("groupId", "userId") SELECT g.id, u.id FROM user_group g, "user" u LIMIT 1;', [ '(55006|23505)', '' ]);

# A client that has no letter for a name: told all the same.
my $euro = qq{CREATE FUNCTION public."f\x{e2}\x{82}\x{ac}"() RETURNS int LANGUAGE sql AS 'SELECT 1'};
attempt('a warning that the client has no letters for', "SET LOCAL client_encoding = UTF8; $euro; SET LOCAL client_encoding = LATIN1;",
	'reverted', $immich);
attempt('a refusal that the client has no letters for',
	qq{CREATE VIEW "v\x{e2}\x{82}\x{ac}" AS SELECT name FROM user_group; SET LOCAL client_encoding = LATIN1;},
	[ '2BP01', 'view (public\.)?"?v\\\\xe2' ]);
{
	my (undef, undef, $err) = revert($node, 'photos', before => 'SET quote_all_identifiers = on; BEGIN;', after => 'ROLLBACK;');
	unlike($err, qr/differed from a stock/, 'quote_all_identifiers: no drift that is none');
}

# Sessions with odd settings.
@ways = qw(plain keeping back);
for my $setting (
	q{search_path = ''}, 'search_path = pg_temp, nowhere', 'standard_conforming_strings = off', 'quote_all_identifiers = on',
	q(DateStyle = 'SQL, DMY'), 'IntervalStyle = sql_standard', 'client_encoding = LATIN1', 'client_encoding = SJIS',
	'array_nulls = off', 'transform_null_equals = on', 'bytea_output = escape', 'extra_float_digits = -15',
	q(TimeZone = 'Asia/Kathmandu'), q(work_mem = '64kB'), 'enable_seqscan = off', 'enable_hashjoin = off', 'jit_above_cost = 0',
	'track_counts = off', 'row_security = off', 'check_function_bodies = off', 'default_tablespace = nowhere',
	'constraint_exclusion = on', 'backslash_quote = off', q(statement_timeout = '10min'), 'lock_timeout = 1',
	'default_table_access_method = heap', 'plan_cache_mode = force_generic_plan', 'synchronous_commit = off')
{
	next if $setting =~ /default_tablespace/;
	attempt("SET $setting", "SET LOCAL $setting;", 'reverted', $immich);
}
attempt('statement_timeout', 'SET LOCAL statement_timeout = 20;',
	[ '57014', 'statement timeout.*^HINT:  Nothing has changed\..*SET statement_timeout = 0' ]);

# What is planted where the way back reads and writes.
@ways = 'back';
my $no_archive = [ '42P06', 'schema "gallery_archive" is not one that gallery_revert\(\) made.*is not a plain table' ];
attempt('policies on the archive',
	'ALTER TABLE gallery_archive.rows ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON gallery_archive.rows USING (false);', $no_archive);
attempt('a trigger on the archive',
	trigger_function('keep', 'RETURN NULL;')
	  . 'CREATE TRIGGER t BEFORE INSERT ON gallery_archive.facts FOR EACH ROW EXECUTE FUNCTION keep();',
	$no_archive);
attempt('a rule on the archive', 'CREATE RULE r AS ON INSERT TO gallery_archive.facts DO INSTEAD NOTHING;', $no_archive);
attempt('a child of the archive', 'CREATE TABLE child () INHERITS (gallery_archive.rows);', $no_archive);
attempt('a view as the archive',
	'ALTER TABLE gallery_archive.rows RENAME TO r; CREATE VIEW gallery_archive.rows AS SELECT * FROM gallery_archive.r;', $no_archive);
attempt('an index of the archive by a function that raises',
	'CREATE FUNCTION f(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN IF $1 = \'not returned\' OR $1 = \'returned\' THEN
	  RAISE EXCEPTION \'not today\'; END IF; RETURN $1; END $f$; CREATE INDEX ON gallery_archive.facts (f(kind));', [ 'P0001', 'not today' ]);
attempt('policies on tables',
	'ALTER TABLE user_group ENABLE ROW LEVEL SECURITY; ALTER TABLE user_group FORCE ROW LEVEL SECURITY;
	  CREATE POLICY p ON user_group USING (false); ALTER TABLE asset ENABLE ROW LEVEL SECURITY; CREATE POLICY q ON asset USING (false);',
	'reverted');
attempt('a rule that keeps rows out', 'CREATE RULE r AS ON INSERT TO user_group DO INSTEAD NOTHING;',
	[ '55000', 'of 3 rows of table "user_group" only 0 could be added' ]);
attempt('a trigger that raises',
	trigger_function('no', q(RAISE EXCEPTION 'not today';))
	  . 'CREATE TRIGGER no BEFORE INSERT ON user_group FOR EACH ROW EXECUTE FUNCTION no();',
	[ 'P0001', 'not today.*Step: return, user_group' ]);
attempt('an event trigger that raises',
	q(CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'no % today', tg_tag; END $f$;
	  CREATE EVENT TRIGGER no ON ddl_command_start EXECUTE FUNCTION no();), [ 'P0001', 'no ALTER TABLE today' ]);
attempt('an open cursor on a fork table', 'DECLARE c CURSOR FOR SELECT * FROM shared_space; FETCH c;', [ '55006', 'shared_space' ]);
attempt('defaults of others', 'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;', 'reverted');

is(state_of($node, $_) eq $before{$_}, 1, "database $_ is as before") for qw(photos newer back);
unlike(slurp_file($node->logfile), qr/was terminated by signal|PANIC/, 'the server never crashed');
pass("$cases cases: $reverted reverted, $refused refused");
done_testing();
