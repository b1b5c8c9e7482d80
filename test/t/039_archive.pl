# The archive: with gallery.revert_archive on, whatever a revert removes or overwrites is in schema gallery_archive afterwards. What was
# there is written down here apart from the extension, every row of every table as jsonb, and compared with what is left.
use strict;
use warnings FATAL => 'all';

use Fixture::Facts;
use GalleryTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('archive');
my $on = 'SET gallery.revert_archive = on;';

sub query { my ($database, $sql) = @_; return $node->safe_psql($database, $sql) }

# Every row of every table of Immich's schema into seen.$name, the columns of each table into seen.columns.
sub write_down
{
	my ($database, $schema, $name) = @_;
	$schema =~ s/'/''/g;
	return query($database, <<"SQL");
CREATE SCHEMA IF NOT EXISTS seen;
CREATE TABLE seen.$name (t text, content jsonb);
DO \$\$ DECLARE r record; BEGIN
  FOR r IN SELECT c.oid::regclass AS full_name, c.relname FROM pg_class c
    WHERE c.relkind = 'r' AND c.relnamespace = '$schema'::regnamespace LOOP
    EXECUTE format('INSERT INTO seen.$name SELECT %L, to_jsonb(x.*) FROM %s x', r.relname, r.full_name);
  END LOOP;
END \$\$;
CREATE TABLE seen.columns_$name AS SELECT c.relname::text AS t, a.attname::text AS name, pg_get_expr(d.adbin, d.adrelid) AS initial
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind = 'r' AND c.relnamespace = '$schema'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped;
SQL
}

# Rows of before that are not there afterwards, but for columns that came or went, and are not in the archive either.
# Where spaces become albums, Immich's trigger gives an album with new members another time.
my $gone = <<'SQL';
CREATE VIEW seen.gone AS
WITH went AS (SELECT t, coalesce(array_agg(name) FILTER (WHERE name IS NOT NULL), '{}') AS columns
  FROM (SELECT t, name FROM seen.columns_before EXCEPT SELECT t, name FROM seen.columns_after
        UNION ALL VALUES ('album', 'updatedAt'), ('album', 'updateId')) x GROUP BY t),
came AS (SELECT t, array_agg(name) AS columns
  FROM (SELECT t, name FROM seen.columns_after EXCEPT SELECT t, name FROM seen.columns_before) x GROUP BY t)
SELECT b.t, b.content FROM seen.before b LEFT JOIN went w USING (t) JOIN
  (SELECT b.t, b.content - coalesce(w.columns, '{}') AS rest FROM seen.before b LEFT JOIN went w USING (t)
   EXCEPT SELECT a.t, a.content - coalesce(c.columns, '{}') - coalesce(w.columns, '{}') FROM seen.after a
     LEFT JOIN came c USING (t) LEFT JOIN went w USING (t)) d
  ON d.t = b.t AND d.rest = b.content - coalesce(w.columns, '{}');
-- The values of columns that went, but those that a new row gets.
CREATE VIEW seen.values AS
SELECT b.t, b.content, c.name, b.content -> c.name AS value FROM seen.before b JOIN seen.columns_before c USING (t)
WHERE EXISTS (SELECT FROM seen.columns_after a WHERE a.t = c.t)
  AND NOT EXISTS (SELECT FROM seen.columns_after a WHERE (a.t, a.name) = (c.t, c.name))
AND b.content -> c.name <> 'null' AND b.content ->> c.name IS DISTINCT FROM (regexp_match(c.initial, $re$^'(.*)'::$re$))[1];
SQL

sub archived
{
	my ($generation, $schema, @settings) = @_;
	my $name = join ', ', $generation, ($schema eq 'public' ? () : "schema $schema"), @settings;
	my $database = 'archived';
	gallery($node, $database, '--generation', $generation, '--schema', $schema);
	my $quoted = $schema =~ s/"/""/gr;
	write_down($database, qq{"$quoted"}, 'before');
	my $before = join '', $on, @settings;
	is(query($database, q{SELECT count(*) FROM gallery_revert_plan() WHERE phase = 'archive'}), 0, "$name: nothing is archived unasked");
	my $plan = query($database,
		"$before SELECT sum(rows) FROM gallery_revert_plan() WHERE phase = 'archive' AND statement LIKE 'INSERT INTO gallery_archive.rows%'");
	my $digest = query($database, "$before SELECT digest FROM gallery_revert_plan() ORDER BY step DESC LIMIT 1");
	my ($status, $out, $err) = revert($node, $database, before => $before);
	is($status, 0, "$name: reverted") or diag($err);
	return if $status;
	like($err, qr/Digest of the plan: $digest\./, "$name: by the plan that was shown");
	is(query($database, 'SELECT count(*) FROM gallery_archive.rows'), $plan, "$name: as many rows are written down as the plan says");
	like($err, qr/^NOTICE:  00000: schema "gallery_archive" has what was removed or overwritten: $plan rows$/m, "$name: and the notice");
	write_down($database, qq{"$quoted"}, 'after');
	query($database, $gone);
	my $count = query($database, 'SELECT count(*) FROM seen.gone');
	cmp_ok($count, '>', 250, "$name: $count rows are gone or changed");
	is(query($database, <<'SQL'), '', "$name: each is in the archive, as it was");
SELECT g.t, g.content FROM seen.gone g
WHERE NOT EXISTS (SELECT FROM gallery_archive.rows r WHERE r.table_name = g.t AND r.content = g.content) LIMIT 5
SQL
	is(query($database, <<'SQL'), '', "$name: so is each value of a column that went, with its row's key");
SELECT v.t, v.name, v.value, v.content FROM seen.values v WHERE NOT EXISTS (SELECT FROM gallery_archive.rows r
WHERE r.table_name = v.t AND r.change = 'column' AND v.content @> r.key AND r.content -> v.name = v.value) LIMIT 5
SQL
	is(query($database, <<'SQL'), '', "$name: nothing is in it that was not there");
SELECT r.table_name, r.content FROM gallery_archive.rows r WHERE r.change <> 'column'
AND NOT EXISTS (SELECT FROM seen.before b WHERE b.t = r.table_name AND b.content = r.content) LIMIT 5
SQL
	is(query($database, <<'SQL'), 't|t', "$name: each row names its step, and the tables' rows their keys");
SELECT bool_and(why <> '' AND step > 0), bool_and(content @> key) FROM gallery_archive.rows WHERE change <> 'column'
SQL
	return $database;
}


sub drop { my ($database) = @_; $node->safe_psql('postgres', "DROP DATABASE $database"); return }

# A session of pg_dump as Immich's backup has it, and what it prints.
sub backup
{
	my ($database) = @_;
	my ($dump, $err) = ('', '');
	IPC::Run::run([ qw(pg_dump --clean --if-exists), '-d', $node->connstr($database) ], '>', \$dump, '2>', \$err) or die "pg_dump: $err";
	return $dump;
}

# As Immich's restore in the web page: one transaction, the schema goes first.
sub restore
{
	my ($database, $dump, $first) = @_;
	my ($out, $err) = ('', '');
	my $sql = ($first // 'DROP SCHEMA public CASCADE; CREATE SCHEMA public;') . "\n$dump";
	my $ok = IPC::Run::run([ 'psql', '-X', '-q', '--single-transaction', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database) ],
		'<', \$sql, '>', \$out, '2>', \$err);
	return $ok ? '' : $err;
}

# All of an archive as a text.
sub archive_of
{
	my ($database) = @_;
	return query($database, q{SELECT md5((SELECT string_agg(r::text, E'\n' ORDER BY r::text) FROM gallery_archive.rows r)
		|| (SELECT string_agg(f::text, E'\n' ORDER BY f::text) FROM gallery_archive.facts f))});
}

my $undo = q{DROP SCHEMA IF EXISTS seen CASCADE; DROP SCHEMA gallery_archive CASCADE;};
foreach my $generation (Fixture::Facts::generation_names())
{
	my $database = archived($generation, 'public') // next;
	# What is left is what a revert without the archive leaves: by the same proof, and row for row but for what is new each time.
	query($database, $undo);
	gallery($node, 'without', '--generation', $generation);
	revert($node, 'without');
	is(query($database, 'SELECT name, status, detail FROM gallery_revert_check()'),
		query('without', 'SELECT name, status, detail FROM gallery_revert_check()'),
		"$generation: without the archive's schema it is the same stock Immich");
	is(listing($database), listing('without'), "$generation: and the same catalog");
	drop($_) foreach $database, 'without';
}
drop(archived('v5.9', 'my "photos"') // 'none');
drop(archived('v5.8', 'public', q{SET gallery.revert_spaces = 'albums'; SET gallery.revert_pets = 'people';}) // 'none');

sub listing { my ($database) = @_; return (split /\n/, state_of($node, $database), 2)[1] }

# Vectors are written as text that the type reads back; numbers and bytes with all of their digits, whatever the session is set to.
{
	gallery($node, 'digits', '--generation', 'v5.9');
	query('digits', 'CREATE SCHEMA seen; CREATE TABLE seen.face AS SELECT * FROM face_search;
		CREATE TABLE seen.edit AS SELECT * FROM asset_edit;
		CREATE TABLE seen.space AS SELECT * FROM shared_space');
	my ($status, undef, $err) = revert($node, 'digits', before => "$on SET extra_float_digits = -15; SET bytea_output = escape; "
		. q{SET DateStyle = 'German'; SET IntervalStyle = sql_standard; SET TimeZone = 'Asia/Tokyo';});
	is($status, 0, 'reverted in a session with odd output settings') or diag($err);
	is(query('digits', <<'SQL'), 't|t', 'vectors are texts that the type reads back');
SELECT count(*) > 0, bool_and(jsonb_typeof(r.content -> 'embedding') = 'string'
  AND (r.content ->> 'embedding')::public.vector::text = f.embedding::text)
FROM gallery_archive.rows r JOIN seen.face f ON f."faceId"::text = r.content ->> 'faceId' WHERE r.table_name = 'face_search'
SQL
	is(query('digits', <<'SQL'), 't|t', 'a row is read back as it was');
SELECT count(*) > 0, bool_and(jsonb_populate_record(NULL::seen.space, r.content) IS NOT DISTINCT FROM s.*)
FROM gallery_archive.rows r JOIN seen.space s ON s.id::text = r.content ->> 'id' WHERE r.table_name = 'shared_space'
SQL
	drop('digits');
}

# Nobody but the owner reads it, whatever his default privileges are; and everybody is kept out of a schema that was made.
{
	query('postgres', 'CREATE ROLE curious LOGIN; CREATE ROLE keeper LOGIN');
	gallery($node, 'owned');
	query('owned', <<'SQL');
DO $$ DECLARE r record; BEGIN
  FOR r IN SELECT c.oid::regclass AS t FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
     AND NOT EXISTS
      (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO keeper', r.t);
  END LOOP;
  FOR r IN SELECT p.oid::regprocedure AS t FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS
      (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO keeper', r.t);
  END LOOP;
END $$;
ALTER SCHEMA public OWNER TO keeper;
ALTER DEFAULT PRIVILEGES FOR ROLE keeper GRANT ALL ON TABLES TO curious, PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE keeper GRANT ALL ON SCHEMAS TO curious;
SQL
	my $before = state_of($node, 'owned');
	my ($status, undef, $err) = revert($node, 'owned', before => $on);
	like($err, qr/^ERROR:  42501: role "keeper" may not make schema "gallery_archive"\nHINT:  .*GRANT CREATE ON DATABASE owned TO keeper;/m,
		'an owner who may not make a schema: refused before anything is done');
	is(query('owned', "$on SELECT status, hint FROM gallery_revert_check() WHERE name = 'archive'") =~ /^blocked\|.*GRANT CREATE/,
		1, 'the check says so');
	is(state_of($node, 'owned'), $before, 'nothing has changed');
	query('owned', 'GRANT CREATE ON DATABASE owned TO keeper');
	($status, undef, $err) = revert($node, 'owned', before => $on);
	is($status, 0, 'with that right it is made') or diag($err);
	is(query('owned', q{SELECT DISTINCT pg_get_userbyid(c.relowner) FROM pg_class c
		WHERE relnamespace = 'gallery_archive'::regnamespace AND relkind = 'r'
		UNION SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'gallery_archive'}), 'keeper', 'it is the owner\'s');
	is(query('owned', q{SELECT string_agg(DISTINCT has_table_privilege('curious', c.oid, p)::text ||
		has_schema_privilege('curious', c.relnamespace, 'USAGE'), '')
		FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
		WHERE relnamespace = 'gallery_archive'::regnamespace AND relkind = 'r'}), 'falsefalse', 'nobody else may do anything with it');
	query('owned', 'GRANT EXECUTE ON FUNCTION gallery_archive_list() TO curious, keeper');
	($status, undef, $err) = revert($node, 'owned', user => 'curious', instead => 'SELECT * FROM gallery_archive_list();');
	like($err, qr/^ERROR:  42501: only its owner may read schema "gallery_archive"/m, 'gallery_archive_list() tells others nothing');
	my ($mine) = (revert($node, 'owned', user => 'keeper', instead => 'SELECT count(*) > 5 FROM gallery_archive_list();'))[1];
	is($mine, 't', 'and the owner all');

	# What a restored dump gives others by default privileges, or somebody by GRANT, the check names, with what takes it back.
	my $seen = sub {
		return query('owned', q{SELECT concat_ws('|', status, detail, hint) FROM gallery_revert_check() WHERE name = 'archive'});
	};
	like($seen->(), qr/^ok\|/, 'nobody else may read it: the check has nothing to say');
	query('owned', 'GRANT SELECT ON ALL TABLES IN SCHEMA gallery_archive TO PUBLIC');
	like($seen->(), qr/^ok\|/, 'nor where the schema is closed');
	query('owned', 'GRANT USAGE ON SCHEMA gallery_archive TO curious');
	like($seen->(), qr/^warning\|others than its owner can read schema "gallery_archive":\ncurious\|.* REVOKE ALL ON SCHEMA/,
		'a reader is named');
	my ($revoke) = $seen->() =~ /(REVOKE ALL ON SCHEMA.*;)/;
	query('owned', "$revoke REVOKE ALL ON ALL TABLES IN SCHEMA gallery_archive FROM PUBLIC");
	like($seen->(), qr/^ok\|/, 'the statement of its hint keeps him out');
	drop('owned');
}

# A schema of that name that is not an archive is refused by name, and left alone where no archive is asked for.
my $tables = 'CREATE TABLE gallery_archive.rows (run int, step int, table_name text, change text, key jsonb, content jsonb, why text);'
	. 'CREATE TABLE gallery_archive.facts (run int, kind text, name text, value jsonb);';
foreach my $case (
	[ 'nothing in it', '', 'it has no table "rows"' ],
	[ 'a table of mine', 'CREATE TABLE gallery_archive.mine ()', 'it has no table "rows"' ],
	[ 'one table only',
		'CREATE TABLE gallery_archive.rows (run int, step int, table_name text, change text, key jsonb, content jsonb, why text)',
		'it has no table "facts"' ],
	[ 'another column', "$tables ALTER TABLE gallery_archive.facts ADD COLUMN mine text", 'table "facts" has other columns: run integer, ' ],
	[ 'another type', "$tables ALTER TABLE gallery_archive.rows ALTER COLUMN key TYPE text", 'table "rows" has other columns: run integer, ' ],
	[ 'a view', "$tables ALTER TABLE gallery_archive.facts RENAME TO f; CREATE VIEW gallery_archive.facts AS SELECT * FROM gallery_archive.f",
		'"facts" is not a plain table' ],
	[ 'a trigger',
		"$tables CREATE TRIGGER t BEFORE INSERT ON gallery_archive.rows FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
		'"rows" is not a plain table' ],
	[ 'policies', "$tables ALTER TABLE gallery_archive.rows ENABLE ROW LEVEL SECURITY", '"rows" is not a plain table' ],
	[ 'a table of another owner', "$tables ALTER TABLE gallery_archive.facts OWNER TO curious",
		'table "facts" does not belong to the schema\'s owner' ],
	[ 'another owner', "$tables ALTER SCHEMA gallery_archive OWNER TO curious; ALTER TABLE gallery_archive.facts OWNER TO curious;
		ALTER TABLE gallery_archive.rows OWNER TO curious", 'it belongs to "curious"' ])
{
	my ($name, $sql, $why) = @$case;
	gallery($node, 'strange');
	query('strange', "CREATE SCHEMA gallery_archive; $sql");
	my $before = state_of($node, 'strange');
	my (undef, undef, $err) = revert($node, 'strange', before => $on);
	like($err, qr/^ERROR:  42P06: schema "gallery_archive" is not one that gallery_revert\(\) made\nDETAIL:  \Q$why\E/m, "$name: refused");
	is(state_of($node, 'strange'), $before, "$name: nothing has changed");
	my ($status) = revert($node, 'strange');
	is($status, 0, "$name: left alone by a revert without an archive");
	is(query('strange', q{SELECT status, detail FROM gallery_revert_check() WHERE name = 'archive'})
		  =~ /^warning\|schema "gallery_archive" is not one/, 1,
		"$name: and named by the check");
	drop('strange');
}

# What comes between the rows and the archive is seen by the proof.
foreach my $case (
	[ 'rows are kept out', 'RETURN CASE WHEN NEW.table_name = \'system_metadata\' THEN NULL ELSE NEW END',
		qr/archive: 0 of \d+ rows of table "system_metadata"/m ],
	[ 'rows are added', 'INSERT INTO gallery_archive.facts VALUES (1, \'mine\'); RETURN NEW',
		qr/table "gallery_archive\.facts": \d+ rows inserted, expected \d+/m ])
{
	my ($name, $body, $message) = @$case;
	gallery($node, 'proof');
	query('proof', <<"SQL");
CREATE SCHEMA mine;
CREATE FUNCTION mine.meddle() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN $body; END \$\$;
CREATE FUNCTION mine.on_schema() RETURNS event_trigger LANGUAGE plpgsql AS \$\$ BEGIN
  IF to_regclass('gallery_archive.rows') IS NOT NULL AND tg_tag = 'COMMENT'
     AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'meddle') THEN
    CREATE TRIGGER meddle BEFORE INSERT ON gallery_archive.rows FOR EACH ROW EXECUTE FUNCTION mine.meddle();
  END IF;
END \$\$;
CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION mine.on_schema();
SQL
	my $before = state_of($node, 'proof');
	my (undef, undef, $err) = revert($node, 'proof', before => $on);
	like($err, qr/the result would not be a stock Immich/, "$name: refused");
	like($err, $message, "$name: said");
	is(state_of($node, 'proof'), $before, "$name: nothing has changed");
	drop('proof');
}

# What jsonb does not take is said, with where to look; it is no obstacle without an archive.
{
	gallery($node, 'odd');
	query('odd', q{ALTER TABLE memory ADD mine json; UPDATE memory SET mine = '{"a": "\u0000"}'});
	my $before = state_of($node, 'odd');
	my (undef, undef, $err) = revert($node, 'odd', before => $on);
	like($err, qr/^ERROR:  54000: a value of "memory" cannot be written into schema "gallery_archive"\nDETAIL:  The server says: .*
Columns of type json: memory\.mine\nHINT:  Nothing has changed\. .*RESET gallery\.revert_archive;$/m,
		'a value that jsonb does not take: told');
	is(state_of($node, 'odd'), $before, 'nothing has changed');
	is((revert($node, 'odd'))[0], 0, 'without an archive it is no obstacle');
	drop('odd');
}

# It says that it is there, how large, and in words what is in it; a revert of a database that was Gallery's again adds to it.
{
	gallery($node, 'words', '--generation', 'v5.9');
	my $losses = query('words', q{SELECT what, count, names FROM gallery_revert_losses() WHERE what NOT LIKE '%Gallery''s own notes'
		ORDER BY what COLLATE "C"});
	my $told = query('words', "$on SELECT count(*) > 5 AND bool_and(instead LIKE '%; the archive has it') FROM gallery_revert_losses()");
	is($told, 't', 'what is lost is said to be in the archive');
	is(query('words', 'SELECT count(*) FROM gallery_archive_list()'), 0, 'no archive, nothing to list');
	revert($node, 'words', before => $on);
	is(query('words', 'SELECT what, count, names FROM gallery_archive_list() WHERE what NOT LIKE \'rows in all%\''), $losses,
		'the list has what was lost, in the same words');
	like(query('words', 'SELECT what, count, names FROM gallery_archive_list() LIMIT 1'),
		qr/^rows in all, of Gallery v5\.9\.0, taken back to Immich v3\.3\.5 on 2\d{3}-\d\d-\d\d\|\d+\|\{.*"shared_space: 6"/,
		'and begins with the run');
	like(query('words', q{SELECT status, detail FROM gallery_revert_check() WHERE name = 'archive'}),
		qr/^ok\|schema "gallery_archive" holds what was removed: \d+ rows of 1 revert, \d+ kB$/, 'the check says that it is there and how large');
	is(query('words', 'SELECT product FROM gallery_revert_status()'), 'immich', 'which changes nothing about the database being an Immich');
	is(query('words', q{SELECT count(*) FROM gallery_revert_check() WHERE status <> 'ok' AND name NOT IN ('extension', 'function bodies')}),
		0, 'a clean one');
	is(query('words', q{SELECT string_agg(DISTINCT kind, ', ' ORDER BY kind) FROM gallery_archive.facts}),
		'definition of column, definition of constraint, '
		. 'definition of function, definition of index, definition of table, definition of trigger, gallery_migrations, kysely_migrations, '
		. 'run, thing, version_history', 'definitions, ledgers and versions are there');
	my $first = query('words', q{SELECT md5(string_agg(r::text, '' ORDER BY r::text)) FROM gallery_archive.rows r WHERE run = 1});

	# Gallery's definitions make its tables again.
	is(query('words', <<'SQL'), 't', 'each table can be made again as it was defined, and takes its rows');
CREATE SCHEMA again;
SET search_path = again, public;
DO $$ DECLARE r record; BEGIN
  FOR r IN SELECT name, value #>> '{}' AS definition FROM gallery_archive.facts WHERE kind = 'definition of table' LOOP
    EXECUTE r.definition;
    EXECUTE format('INSERT INTO again.%1$I SELECT (jsonb_populate_record(NULL::again.%1$I, content)).* FROM gallery_archive.rows
                    WHERE change = ''table'' AND table_name = %1$L', r.name);
  END LOOP;
END $$;
SELECT (SELECT count(*) FROM again.shared_space) = 6 AND (SELECT count(*) FROM again.gallery_migrations) > 60;
SQL
	query('words', 'DROP SCHEMA again CASCADE');

	my $gallery = do { gallery($node, 'source', '--generation', 'v5.9'); query('source', 'DROP EXTENSION gallery_revert'); backup('source') };
	query('words', 'DROP EXTENSION gallery_revert');
	is(restore('words', $gallery), '', 'a Gallery is restored over it');
	query('words', 'CREATE EXTENSION gallery_revert');
	my ($status, undef, $err) = revert($node, 'words', before => $on);
	is($status, 0, 'and reverted, with an archive again') or diag($err);
	is(query('words', q{SELECT md5(string_agg(r::text, '' ORDER BY r::text)) FROM gallery_archive.rows r WHERE run = 1}),
		$first, 'the first is as it was');
	is(query('words', q{SELECT string_agg(run || ': ' || n, ', ' ORDER BY run) FROM
		(SELECT run, count(*) AS n FROM gallery_archive.rows GROUP BY 1) x})
			=~ /^1: (\d+), 2: \1$/, 1, 'the second is beside it');
	is(query('words', 'SELECT string_agg(DISTINCT run::text, \',\') FROM gallery_archive_list()'), '1,2', 'both are listed');
	query('words', 'DROP SCHEMA gallery_archive CASCADE');
	is(query('words', q{SELECT count(*) FROM gallery_revert_check() WHERE name = 'archive' OR status <> 'ok'
		AND name NOT IN ('extension', 'function bodies')}), 0,
		'DROP SCHEMA gallery_archive CASCADE is all it takes to be rid of it');
	drop($_) foreach qw(words source);
}

# Immich's own backup and restore, in both directions.
{
	gallery($node, 'library', '--generation', 'v5.8');
	query('library', 'CREATE DATABASE other');
	query('library', 'DROP EXTENSION gallery_revert');
	my $older = backup('library');
	query('library', 'CREATE EXTENSION gallery_revert');
	revert($node, 'library', before => $on);
	query('library', 'DROP EXTENSION gallery_revert');
	my $archive = archive_of('library');
	my $newer = backup('library');
	is(restore('library', $older), '', 'an older backup, without an archive, is restored over it');
	is(archive_of('library'), $archive, 'the archive is still there');
	is(restore('library', $newer), '', 'the newer one is restored over that');
	is(archive_of('library'), $archive, 'with the archive as it was');
	is(restore('library', $newer, ''), '', 'by the backup\'s own DROP IF EXISTS as well');
	is(archive_of('library'), $archive, 'and again');
	query('library', 'DROP SCHEMA gallery_archive CASCADE');
	is(restore('library', $newer), '', 'over a database that has none');
	is(archive_of('library'), $archive, 'and again');
	is(restore('other', $newer, ''), '', 'into an empty database');
	is(archive_of('other'), $archive, 'and again');
	query('library', 'CREATE EXTENSION gallery_revert');
	is(query('library', q{SELECT status FROM gallery_revert_check() WHERE name IN ('archive', 'schema')}), "ok\nok",
		'a stock Immich with an archive');
	query('library', 'DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE EXTENSION gallery_revert');
	is(query('library', 'SELECT count(*) > 10 FROM gallery_archive_list()'), 't', 'it can be read where no Immich is left');
	drop($_) foreach qw(library other);
}

# It is written before the locks are taken. If anybody writes until they are had, it is written anew under them; if somebody is writing
# already, only then.
{
	my $space = q{SELECT content ->> 'name' FROM gallery_archive.rows WHERE table_name = 'shared_space'
		AND content ->> 'name' !~ '^Space [2-6]$'};
	gallery($node, 'busy', '--generation', 'v5.8');
	my ($reader_out, $reader_err, $out, $err) = ('') x 4;
	my $reader = start_session($node, 'busy', 'reader', \$reader_out, \$reader_err, 'BEGIN', 'LOCK TABLE asset IN ACCESS SHARE MODE',
		'SELECT pg_sleep(6)', 'COMMIT');
	$node->poll_query_until('busy', q{SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE a.application_name = 'reader' AND l.relation = 'asset'::regclass}) or die 'no reader';
	my $revert = start_session($node, 'busy', 'revert', \$out, \$err, token(), $on, 'SET gallery.revert_ignore_sessions = on',
		q{SET gallery.revert_lock_timeout = '30s'}, 'SELECT gallery_revert()');
	$node->poll_query_until('busy', q{SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE a.application_name = 'revert' AND l.locktype = 'transactionid'}) or die 'no archive before the locks';
	query('busy', q{UPDATE shared_space SET name = 'Meanwhile' WHERE name = 'Space 1'});
	$revert->finish;
	$reader->finish;
	like($out, qr/^v3\.3\.5$/m, 'somebody writes between the archive and the locks') or diag($err);
	is(query('busy', $space), 'Meanwhile', 'the archive has what was there under the locks');
	is(query('busy', q{SELECT count(DISTINCT run) || ' ' || max(run) FROM gallery_archive.facts}), '1 1', 'and nothing twice');
	drop('busy');

	gallery($node, 'busy', '--generation', 'v5.8');
	my $writer = start_session($node, 'postgres', 'writer', \$reader_out, \$reader_err, 'BEGIN', 'CREATE TABLE t ()',
		'SELECT pg_sleep(4)', 'ROLLBACK');
	$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE a.application_name = 'writer' AND l.locktype = 'transactionid'}) or die 'no writer';
	is((revert($node, 'busy', before => $on))[0], 0, 'somebody is writing elsewhere in the cluster');
	is(query('busy', $space), 'Space 1', 'the archive is there');
	$writer->finish;
	drop('busy');

	# A user's savepoint is no place to tell who writes; what is rolled back leaves nothing.
	gallery($node, 'busy', '--generation', 'v5.8');
	is((revert($node, 'busy', before => "$on BEGIN; SAVEPOINT s;", after => 'ROLLBACK TO s; COMMIT;'))[0], 0, 'in a savepoint that is undone');
	is(query('busy', q{SELECT to_regnamespace('gallery_archive') IS NULL}), 't', 'no archive is left');
	my $before = state_of($node, 'busy');
	query('busy', 'CREATE VIEW mine AS SELECT * FROM shared_space');
	is((revert($node, 'busy', before => $on))[0], 3, 'a refusal');
	query('busy', 'DROP VIEW mine');
	is(state_of($node, 'busy'), $before, 'leaves none either');
	is((revert($node, 'busy', before => "$on BEGIN;", after => 'COMMIT;'))[0], 0, 'in a transaction of the user\'s');
	is(query('busy', $space), 'Space 1', 'it is there');
	drop('busy');
}
done_testing();
