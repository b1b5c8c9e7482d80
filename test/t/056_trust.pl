# Nobody's code runs with more rights than he has: everything that a role may leave lying about in a database, and everything that
# Immich's own owner may hang on Immich's tables, while a superuser calls every function there is.
#
# What is planted counts in two sequences, which no rollback undoes: that it ran at all, and that it ran as somebody else than who
# wrote it. It also tries to make its author a superuser.
use strict;
use warnings FATAL => 'all';

use GalleryTest;
use Owner qw(owned_by);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('trust', conf => ['autovacuum = off']);
$node->safe_psql('postgres', 'CREATE ROLE immich LOGIN; CREATE ROLE mallory LOGIN;');

# A name, an SQL type and a value for each shape in which code can be planted.
my $trap = <<'SQL';
CREATE SCHEMA trap;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
CREATE SEQUENCE trap.ran;
CREATE SEQUENCE trap.escaped;
GRANT ALL ON ALL SEQUENCES IN SCHEMA trap TO PUBLIC;
SQL

# The planted function: as the author's it only counts. It lies about being immutable, as an attacker's would.
sub evil
{
	my ($author, $name, $arguments, $result, $return) = @_;
	return <<"SQL";
CREATE OR REPLACE FUNCTION public.$name($arguments) RETURNS $result IMMUTABLE LANGUAGE plpgsql AS \$evil\$
BEGIN
  PERFORM pg_catalog.nextval('trap.ran');
  IF current_user <> '$author' THEN
    PERFORM pg_catalog.nextval('trap.escaped');
  END IF;
  BEGIN
    EXECUTE 'ALTER ROLE $author SUPERUSER';
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
  $return
END \$evil\$;
SQL
}

my @calls = (
	[ status => 'SELECT * FROM gallery_revert_status();' ],
	[ check => 'SELECT * FROM gallery_revert_check();' ],
	[ plan => 'SELECT * FROM gallery_revert_plan();' ],
	[ losses => 'SELECT * FROM gallery_revert_losses();' ],
	[ archive => 'SELECT * FROM gallery_archive_list();' ],
	[ 'return plan' => 'SELECT * FROM gallery_return_plan();' ],
	[ return => q(SET LOCAL gallery.return_token = 'i_know_what_i_do'; SELECT gallery_return();) ],
	[ 'revert with an archive' => 'SET LOCAL gallery.revert_archive = on; SELECT gallery_revert();' ],
	[ script => 'SELECT gallery_revert_script();' ],
	[ manifest => 'SELECT * FROM gallery_revert_manifest();' ],
	[ inventory => 'SELECT * FROM immich_inventory();' ],
	[ advice => 'SELECT * FROM immich_recovery_advice();' ],
	[ 'advice for a release' => q(SELECT * FROM immich_recovery_advice('v2.7.5');) ],
	[ revert => 'SELECT gallery_revert();' ],
	[ repair => 'SELECT immich_repair_migration_order();' ]);

# All settings of the session but those that the calls set themselves; one text a line.
my $settings = q(SELECT name || '=' || pg_catalog.translate(setting, E'\\n|', '  ') FROM pg_catalog.pg_settings
  WHERE name NOT IN ('gallery.revert_token', 'gallery.return_token', 'gallery.revert_archive') ORDER BY name;);

my %base = (
	'Immich' => [ '--generation', 'v4.57', '--product', 'immich' ],
	'Gallery v4.57' => [ '--generation', 'v4.57' ],
	'Gallery v5.9' => [ '--generation', 'v5.9' ]);

my ($plants, $tried, $serial) = (0, 0, 0);
my %ran;

# Plants as a role, then calls everything as the superuser. Options: owner of Immich; base; as, who plants; before, SQL of the superuser's;
# commit, true to commit each call; refused, true where the server itself does not let him.
sub plant
{
	my ($what, $sql, %option) = @_;
	my $database = 'trust' . ++$serial;
	my $author = $option{as};
	gallery($node, $database, @{ $base{ $option{base} } });
	my $owner = $option{owner} // 'immich';
	my $to_immich = $owner eq 'immich' ? "GRANT CREATE ON DATABASE $database TO immich; ALTER SCHEMA public OWNER TO immich; "
	  . owned_by('immich') : '';
	$node->safe_psql($database, "$trap GRANT CREATE ON SCHEMA public TO mallory;" . $to_immich
		  . ($option{before} // ''));
	my ($rc, undef, $err) = $node->psql($database, $sql, connstr => $node->connstr($database) . " user=$author", on_error_stop => 1);
	die "$what: could not be planted: $err" if $rc && !$option{refused};
	# Writing the rows may have run it, with its author's own rights.
	my $script = "\\set ON_ERROR_STOP 0\n\\set VERBOSITY sqlstate\nSET search_path = public;\n";
	foreach my $call ([ loaded => 'SELECT count(*) FROM gallery_revert_manifest();' ], @calls)
	{
		$script .= "SELECT setval('trap.ran', 1, false), setval('trap.escaped', 1, false) \\g /dev/null\n"
		  . "BEGIN;\nSET LOCAL gallery.revert_token = 'i_accept_data_loss';\n" . ($call->[1] =~ s/;$/ \\g \/dev\/null/r)
		  . "\n\\if :ERROR\nROLLBACK;\n\\endif\n\\echo == $call->[0]\n$settings\n" . ($option{commit} ? 'COMMIT' : 'ROLLBACK') . ";\n"
		  . "SELECT format('%s|%s|%s', 'trap', (SELECT is_called FROM trap.ran), (SELECT is_called FROM trap.escaped));\n";
	}
	my ($out, $call, %kept, @bad) = ('', '');
	$node->psql($database, $script, stdout => \$out, stderr => \my $ignored, connstr => $node->connstr($database));
	my $calls = -1;
	foreach my $line (split /\n/, $out)
	{
		$call = $1, next if $line =~ /^== (.*)/;
		if ($line =~ /^trap\|(.)\|(.)$/)
		{
			$calls++;
			$ran{"$author: $option{base}"} += $1 eq 't';
			push @bad, "$call ran it as somebody else" if $2 eq 't';
			next;
		}
		my ($name, $setting) = split /=/, $line, 2;
		push @bad, "$call left $name = $setting, not $kept{$name}" if exists $kept{$name} && $kept{$name} ne $setting;
		$kept{$name} = $setting;
	}
	push @bad, 'not every call was made: ' . ($ignored // '') if $calls != @calls;
	push @bad, "$author is a superuser" if $node->safe_psql('postgres', "SELECT rolsuper FROM pg_roles WHERE rolname = '$author'") eq 't';
	$node->safe_psql('postgres', "ALTER ROLE $author NOSUPERUSER; DROP DATABASE $database;");
	note(join "\n", @bad) if @bad;
	is_deeply(\@bad, [], "$author on $option{base}" . ($owner eq 'immich' ? '' : ' of a superuser') . ": $what");
	$plants++;
	$tried += $calls;
	return;
}

# Ways to hang a function on a table; %t is the table, %c a column of type text of it, %a the author.
sub hooks
{
	my ($author) = @_;
	my $count = sub { return evil($author, @_) };
	my $int = $count->('evil', 'text', 'int', 'RETURN 1;');
	my $trigger = $count->('evil', '', 'trigger', 'IF TG_OP = \'DELETE\' THEN RETURN OLD; END IF; RETURN NEW;');
	return (
		[ 'the predicate of an index', "$int CREATE INDEX evil ON public.%t (%c) WHERE public.evil('x') = 1;" ],
		[ 'the expression of an index', "$int CREATE INDEX evil ON public.%t ((public.evil('x') + length(%c)));" ],
		[ 'a statistics object', "$int CREATE STATISTICS public.evil_statistics"
			  . " ON (public.evil('x') + length(%c)), (public.evil(%c)) FROM public.%t; ANALYZE public.%t;" ],
		[ 'a default', "$int ALTER TABLE public.%t ADD evil int DEFAULT public.evil('x');" ],
		[ 'a generated column', "$int ALTER TABLE public.%t ADD evil int GENERATED ALWAYS AS (public.evil('x') + public.evil(%c)) STORED;" ],
		[ 'a check constraint', "$int ALTER TABLE public.%t ADD CONSTRAINT evil CHECK (public.evil('x') + public.evil(%c) = 2);" ],
		[ 'a domain', "$int CREATE DOMAIN public.evil_domain AS text CHECK (public.evil(VALUE) = 1);"
			  . " ALTER TABLE public.%t ADD evil public.evil_domain DEFAULT 'x';" ],
		[ 'a policy', "$int CREATE POLICY evil ON public.%t USING (public.evil('x') + public.evil(%c) = 2);"
			  . ' ALTER TABLE public.%t ENABLE ROW LEVEL SECURITY; ALTER TABLE public.%t FORCE ROW LEVEL SECURITY;' ],
		[ 'a rule', "$int CREATE RULE evil AS ON DELETE TO public.%t WHERE public.evil('x') + public.evil(OLD.%c) = 0 DO INSTEAD NOTHING;" ],
		[ 'a trigger before each row', "$trigger CREATE TRIGGER evil BEFORE INSERT OR UPDATE OR DELETE ON public.%t"
			  . ' FOR EACH ROW EXECUTE FUNCTION public.evil();' ],
		[ 'a trigger after a statement', "$trigger CREATE TRIGGER evil AFTER INSERT OR UPDATE OR DELETE ON public.%t"
			  . ' FOR EACH STATEMENT EXECUTE FUNCTION public.evil();' ],
		[ 'a deferred trigger', "$trigger CREATE CONSTRAINT TRIGGER evil AFTER INSERT OR UPDATE OR DELETE ON public.%t"
			  . ' DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.evil();' ]);
}

# Tables by whose names the extension could be made to look at them, with rows that claim what the attacker likes.
my %bait = (
	gallery_migrations => q(CREATE TABLE public.gallery_migrations (name text, "timestamp" text);),
	asset_favorite => q(CREATE TABLE public.asset_favorite ("assetId" uuid, "userId" uuid, name text);),
	pet_search => q(CREATE TABLE public.pet_search ("faceId" uuid, species text, name text);),
	gallery_migrations_lock => q(CREATE TABLE public.gallery_migrations_lock (id text, is_locked int, name text);));
my $claims = q(INSERT INTO public.gallery_migrations (name, "timestamp") VALUES
  ('1794000000000-AddAssetFavoriteTables', '2026-01-01T00:00:00.000Z'),
  ('1785000000000-CreatePetSearchTable', '2026-01-01T00:00:00.000Z'), ('1772782339000-AddPetDetectionColumns', '2026-01-01T00:00:00.000Z');
  CREATE TABLE public.asset_favorite ("assetId" uuid, "userId" uuid););

# (i) Somebody who may create things in Immich's schema, whoever owns Immich.
foreach my $owner ('immich', 'superuser')
{
	my %as = (as => 'mallory', owner => $owner);
	foreach my $hook (hooks('mallory'))
	{
		(my $sql = $hook->[1]) =~ s/%t/gallery_migrations/g;
		$sql =~ s/%c/name/g;
		plant("gallery_migrations with $hook->[0]", "$bait{gallery_migrations} $sql $claims", %as, base => 'Immich');
	}
	foreach my $table (qw(asset_favorite pet_search gallery_migrations_lock))
	{
		my ($hook) = hooks('mallory');
		(my $sql = $hook->[1]) =~ s/%t/$table/g;
		$sql =~ s/%c/name/g;
		plant("$table with $hook->[0]", "$bait{$table} $sql", %as, base => 'Gallery v4.57');
	}
	my $text = evil('mallory', 'evil', '', 'text', q(RETURN '1794000000000-AddAssetFavoriteTables';));
	plant('a view', qq($text CREATE VIEW public.gallery_migrations AS
		SELECT public.evil() AS name, '2026-01-01T00:00:00.000Z'::text AS "timestamp";), %as, base => 'Immich');
	plant('a view of a table that comes later', qq($text CREATE VIEW public.person_user AS SELECT public.evil() AS name;),
		%as, base => 'Gallery v4.57');
	plant('a materialized view', qq($text CREATE MATERIALIZED VIEW public.gallery_migrations AS
		SELECT public.evil() AS name, ''::text AS "timestamp"; CREATE INDEX ON public.gallery_migrations (name);),
		%as, base => 'Immich');
	my $of_text = evil('mallory', 'evil', 'text', 'text', 'RETURN $1;');
	plant('a partitioned table', qq($of_text
	  CREATE TABLE public.gallery_migrations (name text, "timestamp" text) PARTITION BY LIST (public.evil(name));
	  CREATE TABLE public.p PARTITION OF public.gallery_migrations DEFAULT;
	  INSERT INTO public.gallery_migrations VALUES ('1794000000000-AddAssetFavoriteTables', '2026-01-01T00:00:00.000Z');),
		%as, base => 'Immich');
	my $int_of_name = evil('mallory', 'evil', 'name', 'name', 'RETURN $1;');
	plant('a column of a type of his own, with a cast to text',
		'CREATE TYPE public.label AS (t text); ' . evil('mallory', 'evil', 'public.label', 'text', q(RETURN 'x';))
		  . 'CREATE CAST (public.label AS text) WITH FUNCTION public.evil(public.label);'
		  . 'CREATE TABLE public.gallery_migrations (name public.label, "timestamp" public.label);', %as, base => 'Immich');
	plant('a collation on a column', q(CREATE COLLATION public.c (provider = icu, locale = 'en', deterministic = false);
	  CREATE TABLE public.gallery_migrations (name text COLLATE public.c, "timestamp" text);),
		%as, base => 'Immich');
	plant('a sequence and an index of known names', 'CREATE SEQUENCE public.shared_space; CREATE TABLE public.t (name text);
	  CREATE INDEX person_identityId_idx ON public.t (name);', %as, base => 'Immich');
	# Where Immich's functions look for theirs. What the server has under that name must be what runs.
	plant('operators and functions as good as the server\'s own',
		evil('mallory', 'evil_equal', 'varchar, varchar', 'boolean', 'RETURN true;')
		  . evil('mallory', 'evil_concat', 'name, name', 'text', q(RETURN 'x';))
		  . evil('mallory', 'current_database', '', 'name', q(RETURN 'x';))
		  . evil('mallory', 'to_char', 'timestamptz, text', 'text', q(RETURN 'x';))
		  . evil('mallory', 'lower', 'varchar', 'text', q(RETURN 'x';)) . evil('mallory', 'now', '', 'timestamptz', 'RETURN clock_timestamp();')
		  . evil('mallory', 'unaccent', 'text, text', 'text', 'RETURN $2;')
		  . evil('mallory', 'immich_uuid_v7', 'timestamp', 'uuid', 'RETURN NULL;')
		  . 'CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.evil_equal);'
		  . 'CREATE OPERATOR public.|| (LEFTARG = name, RIGHTARG = name, FUNCTION = public.evil_concat);',
		%as, base => $_) foreach ('Immich', 'Gallery v4.57', 'Gallery v5.9');
	# Where a revert writes what it removes, and what reads that.
	my $archive = 'CREATE SCHEMA gallery_archive; CREATE TABLE gallery_archive.rows (run integer, step integer, table_name text, change text,'
	  . ' key jsonb, content jsonb, why text); CREATE TABLE gallery_archive.facts (run integer, kind text, name text, value jsonb);';
	my $name_of = evil('mallory', 'evil', 'text', 'text', 'RETURN $1;');
	foreach my $case (
		[ 'an index', 'CREATE INDEX ON gallery_archive.rows ((public.evil(why)));' ],
		[ 'a default', "ALTER TABLE gallery_archive.rows ALTER why SET DEFAULT public.evil('x');" ],
		[ 'a view', 'ALTER TABLE gallery_archive.facts RENAME TO f; CREATE VIEW gallery_archive.facts AS'
			  . ' SELECT run, kind, public.evil(name) AS name,'
			  . ' value FROM gallery_archive.f;' ])
	{
		plant("an archive with $case->[0]", "$name_of $archive INSERT INTO gallery_archive.facts VALUES (1, 'run', 'at', '1'); $case->[1]", %as,
			base => $_, before => q(DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO mallory', current_database()); END $$;))
		  foreach ('Immich', 'Gallery v4.57');
	}
	plant('a second ledger in a schema of his own', 'CREATE SCHEMA evil; CREATE TABLE evil.kysely_migrations (name text, "timestamp" text);'
		  . evil('mallory', 'evil', 'text', 'int', 'RETURN 1;') . 'CREATE INDEX ON evil.kysely_migrations (name) WHERE public.evil(\'x\') = 1;',
		%as, base => $_, before => 'GRANT CREATE ON DATABASE :"DBNAME" TO mallory;') foreach ('Immich', 'Gallery v5.9');
	plant('a key that cascades to a table of his own', evil('mallory', 'evil', '', 'trigger', 'RETURN OLD;')
		  . 'CREATE TABLE public.notes (face uuid REFERENCES public.asset_face ON DELETE CASCADE);'
		  . 'INSERT INTO public.notes SELECT id FROM public.asset_face;'
		  . 'CREATE TRIGGER evil BEFORE DELETE ON public.notes FOR EACH ROW EXECUTE FUNCTION public.evil();',
		%as, base => 'Gallery v4.57', before => 'GRANT REFERENCES, SELECT ON public.asset_face TO mallory;');
	plant('a trigger on a table of Immich\'s, where he was granted that', evil('mallory', 'evil', '', 'trigger', 'RETURN NULL;')
		  . "CREATE TRIGGER evil AFTER DELETE OR UPDATE ON public.$_ FOR EACH STATEMENT EXECUTE FUNCTION public.evil();",
		%as, base => 'Gallery v4.57', before => "GRANT TRIGGER ON public.$_ TO mallory;") foreach qw(asset_face kysely_migrations person);
	plant('a function that an index of Immich\'s calls', evil('mallory', 'evil', 'text', 'int', 'RETURN 1;'), %as, base => 'Gallery v4.57',
		before => "CREATE FUNCTION public.evil(text) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
		  CREATE INDEX evil ON public.$_ ((public.evil('x') + length(name::text)));
		  ALTER FUNCTION public.evil(text) OWNER TO mallory;")
	  foreach qw(kysely_migrations person);
	plant('an event trigger',
		evil('mallory', 'evil', '', 'event_trigger', '')
		  . 'CREATE EVENT TRIGGER evil ON ddl_command_start EXECUTE FUNCTION public.evil();',
		%as, base => 'Gallery v4.57', refused => 1);
	plant('a foreign table', 'CREATE FOREIGN TABLE public.gallery_migrations (name text, "timestamp" text) SERVER nowhere;',
		%as, base => 'Immich',
		before => 'CREATE EXTENSION IF NOT EXISTS postgres_fdw; CREATE SERVER nowhere FOREIGN DATA WRAPPER postgres_fdw;
		  GRANT USAGE ON FOREIGN SERVER nowhere TO mallory;');
	plant('a table that inherits from Immich\'s',
		evil('mallory', 'evil', 'text', 'int', 'RETURN 1;') . "CREATE INDEX ON public.heir (name) WHERE public.evil('x') = 1;",
		%as, base => 'Gallery v4.57',
		before => "CREATE TABLE public.heir () INHERITS (public.$_); ALTER TABLE public.heir OWNER TO mallory;")
	  foreach qw(kysely_migrations person);
}

# What would run at the commit, as whoever commits: a key leads to a table of his, whose triggers queue events for later.
my $later = evil('mallory', 'evil', '', 'trigger', 'RETURN NULL;')
  . "CREATE FUNCTION mine.later() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN SET CONSTRAINTS ALL DEFERRED; INSERT INTO mine.queue VALUES (1); RETURN NULL; END';"
  . 'CREATE TABLE mine.queue (n int); CREATE CONSTRAINT TRIGGER evil AFTER INSERT ON mine.queue DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION public.evil();'
  . 'CREATE TABLE mine.notes (face uuid REFERENCES public.asset_face ON DELETE CASCADE);'
  . 'CREATE TRIGGER later AFTER DELETE ON mine.notes FOR EACH STATEMENT EXECUTE FUNCTION mine.later();';
foreach my $owner ('immich', 'superuser')
{
	my $before = 'CREATE SCHEMA mine AUTHORIZATION mallory; GRANT REFERENCES, SELECT ON public.asset_face TO mallory;';
	plant('an event that waits for the commit', $later,
		as => 'mallory', owner => $owner, base => 'Gallery v4.57', before => $before, commit => 1);
	# What Immich's functions name, where Immich's own is missing.
	plant('a function of Immich\'s that is missing',
		evil('mallory', 'immich_uuid_v7', 'timestamptz DEFAULT clock_timestamp()', 'uuid', 'RETURN NULL;'),
		as => 'mallory', owner => $owner, base => 'Gallery v4.57',
		before => 'DROP FUNCTION public.immich_uuid_v7(timestamptz) CASCADE;');
	# A domain of his that another one is made of, which a column has; he puts the condition on his own.
	plant('a domain below the domain of a column', evil('mallory', 'evil', 'text', 'boolean', 'RETURN true;')
		  . 'ALTER DOMAIN mine.inner ADD CONSTRAINT evil CHECK (public.evil(VALUE)) NOT VALID;',
		as => 'mallory', owner => $owner, base => 'Gallery v4.57',
		before => 'CREATE SCHEMA mine; GRANT USAGE ON SCHEMA mine TO mallory;'
		  . ' CREATE DOMAIN mine.inner AS text; CREATE DOMAIN mine.outer AS mine.inner;'
		  . ' ALTER TABLE public.asset_face_audit ADD evil mine.outer; ALTER DOMAIN mine.inner OWNER TO mallory;');
	# Tables elsewhere that are read with Immich's, or changed by their keys to them; he was granted a trigger, or given a function.
	my $elsewhere = 'CREATE SCHEMA mine; GRANT USAGE ON SCHEMA mine TO mallory;';
	my $to_owner = $owner eq 'immich' ? 'OWNER TO immich' : 'OWNER TO CURRENT_USER';
	plant('an index of a child in another schema', evil('mallory', 'evil', 'text', 'int', 'RETURN 1;'),
		as => 'mallory', owner => $owner, base => 'Gallery v4.57',
		before => "$elsewhere CREATE FUNCTION public.evil(text) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';"
		  . " CREATE TABLE mine.heir () INHERITS (public.person); ALTER TABLE mine.heir $to_owner;"
		  . " CREATE INDEX ON mine.heir (name) WHERE public.evil('x') = 1; ALTER FUNCTION public.evil(text) OWNER TO mallory;");
	plant('a trigger on a table whose key leads to Immich\'s', evil('mallory', 'evil', '', 'trigger', 'RETURN NULL;')
		  . 'CREATE TRIGGER evil AFTER DELETE ON mine.notes FOR EACH STATEMENT EXECUTE FUNCTION public.evil();',
		as => 'mallory', owner => $owner, base => 'Gallery v4.57',
		before => "$elsewhere CREATE TABLE mine.notes (face uuid REFERENCES public.asset_face ON DELETE CASCADE);"
		  . " ALTER TABLE mine.notes $to_owner; GRANT TRIGGER ON mine.notes TO mallory;"
		  . ($owner eq 'immich' ? ' GRANT USAGE ON SCHEMA mine TO immich;' : ''));
	plant('a function that an event trigger of the superuser\'s runs', evil('mallory', 'evil', '', 'event_trigger', ''),
		as => 'mallory', owner => $owner, base => 'Gallery v4.57',
		before => "CREATE FUNCTION public.evil() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
		  . ' CREATE EVENT TRIGGER evil ON sql_drop EXECUTE FUNCTION public.evil(); ALTER FUNCTION public.evil() OWNER TO mallory;');
	plant('a view in the place of a table that Immich\'s triggers write to', evil('mallory', 'evil', '', 'trigger', 'RETURN NULL;')
		  . 'CREATE VIEW public.asset_face_audit AS SELECT NULL::uuid AS "assetFaceId", NULL::uuid AS "assetId";'
		  . 'CREATE TRIGGER evil INSTEAD OF INSERT ON public.asset_face_audit FOR EACH ROW EXECUTE FUNCTION public.evil();',
		as => 'mallory', owner => $owner, base => 'Gallery v4.57', before => 'DROP TABLE public.asset_face_audit;');
}

# (ii) Immich's owner, who is no superuser: whatever he hangs on Immich's tables runs as him, and leaves nothing behind.
my %on = (
	kysely_migrations => 'name', version_history => 'version', person => 'name',
	asset => '"originalPath"', migration_overrides => 'name');
foreach my $table (sort keys %on)
{
	my %as = (as => 'immich');
	foreach my $hook (hooks('immich'))
	{
		(my $sql = $hook->[1]) =~ s/%t/$table/g;
		$sql =~ s/%c/$on{$table}::text/g;
		$sql =~ s/(CREATE INDEX evil ON public\.\w+ )\((\S+)::text\) WHERE/$1($2) WHERE/;
		$sql =~ s/OLD\.(\S+?)::text/OLD.$1::text/;
		plant("$table with $hook->[0]", $sql, %as, base => 'Gallery v4.57');
	}
}
my $leave = q(
  PERFORM pg_catalog.set_config('search_path', 'public, pg_catalog', false);
  PERFORM pg_catalog.set_config('gallery.revert_ignore_sessions', 'on', false);
  PERFORM pg_catalog.set_config('gallery.revert_target', 'v3.3.5', false);
  PERFORM pg_catalog.set_config('transform_null_equals', 'on', false);
  PERFORM pg_catalog.set_config('DateStyle', 'German', false);
  PERFORM pg_catalog.set_config('row_security', 'off', false);
  PERFORM pg_catalog.set_config('check_function_bodies', 'off', false);
  PERFORM pg_catalog.set_config('client_min_messages', 'error', false);
  PERFORM pg_catalog.set_config('my.secret', 'x', false);
  BEGIN PERFORM pg_catalog.set_config('role', 'none', false); EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN PERFORM pg_catalog.set_config('session_authorization', 'default', false); EXCEPTION WHEN OTHERS THEN NULL; END;
  RETURN 1;);
foreach my $table (sort keys %on)
{
	my $planted = join '', map { evil('immich', $_->[0], '', $_->[1], "RETURN $_->[2];") }
	  (
		[ 'current_database', 'name', q('x') ], [ 'pg_backend_pid', 'int', 1 ],
		[ 'now', 'timestamptz', 'clock_timestamp()' ], [ 'pg_get_userbyid', 'name', q('x') ]);
	plant("$table with a function that changes settings of the session", evil('immich', 'evil', 'text', 'int', $leave) . $planted
		  . evil('immich', 'coalesce_text', 'name, text', 'boolean', 'RETURN true;')
		  . 'CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = text, FUNCTION = public.coalesce_text);'
		  . "CREATE INDEX evil ON public.$table ((public.evil('x') + length($on{$table}::text)));",
		as => 'immich', base => $_) foreach ('Gallery v4.57', 'Immich');
}

note("$tried calls with $plants plants");
cmp_ok($ran{'immich: Gallery v4.57'}, '>', 20, 'what the owner plants does run, so the traps work');

done_testing();
