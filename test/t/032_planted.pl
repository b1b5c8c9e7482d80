# The scripts are run by a superuser on a database in which others may create: by a role with CREATE on the schema ("mallory") and by
# Immich's own owner where that is no superuser ("keeper"). Whatever those two planted, nothing of it runs with the superuser's rights.
# Each plant strikes in a statement as people write it, which shows that it could; then it must not strike in any of our scripts.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/../..');
my $node = PostgreSQL::Test::Cluster->new('planted');
$node->init;
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nfsync = off\n");
$node->start;
my $temp = PostgreSQL::Test::Utils::tempdir();
my $marks = "$temp/marks";
mkdir $marks or die $!;
mkdir "$temp/bin" or die $!;
open my $start, '>', "$temp/bin/start.sh" or die $!;
print $start "#!/bin/sh\necho stock command started\n";
close $start;
chmod 0755, "$temp/bin/start.sh" or die $!;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; CREATE ROLE keeper LOGIN');

# What a plant does once it runs: as a superuser it leaves a file, also in a transaction that is read only, and makes its owner one.
my $strike = <<"SQL";
CREATE FUNCTION public.strike(what text) RETURNS int LANGUAGE plpgsql AS \$\$
BEGIN
  BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN EXECUTE pg_catalog.format('COPY (SELECT 1) TO PROGRAM %L', 'touch $marks/' || what); EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN EXECUTE pg_catalog.format('ALTER ROLE %I SUPERUSER', 'mallory'); EXCEPTION WHEN OTHERS THEN NULL; END;
  RETURN 1;
END \$\$;
CREATE FUNCTION public.evil(what text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM public.strike(what); RETURN 1; END';
SQL

# Immich as far as the scripts look.
sub immich
{
	my ($ledger) = @_;
	return ($ledger ? <<'SQL' : '') . <<'SQL';
CREATE TABLE public.kysely_migrations (name varchar(255) PRIMARY KEY, timestamp varchar(255) NOT NULL);
INSERT INTO public.kysely_migrations VALUES ('1744910873969-InitialMigration', '2026-01-01T00:00:00.000Z');
SQL
CREATE TYPE public.asset_visibility_enum AS ENUM ('archive', 'timeline');
CREATE TABLE public."user" (id int PRIMARY KEY, "deletedAt" timestamptz);
INSERT INTO public."user" VALUES (1, NULL), (2, now());
CREATE TABLE public.asset (id int PRIMARY KEY, type varchar, visibility public.asset_visibility_enum, "createdAt" timestamptz);
INSERT INTO public.asset VALUES (1, 'IMAGE', 'timeline', '2026-02-03T04:05:06Z'), (2, 'VIDEO', 'archive', '2026-02-02T04:05:06Z');
SQL
}

sub struck
{
	my @found = map { s{.*/}{}r } glob "$marks/*";
	push @found, 'superuser' if $node->safe_psql('postgres', q(SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory')) eq 't';
	unlink glob "$marks/*";
	$node->safe_psql('postgres', 'ALTER ROLE mallory NOSUPERUSER');
	return "@found";
}

sub run_in
{
	my ($environment, @command) = @_;
	local %ENV = (PATH => "$temp/bin:$ENV{PATH}", HOME => $temp, TMPDIR => $temp, %$environment);
	my $said = '';
	IPC::Run::run(\@command, '<', \undef, '>&', \$said, IPC::Run::timeout(120));
	return ($? >> 8, $said);
}
my $out = 0;
my %preserve = (PGHOST => $node->host, PGPORT => $node->port, PGUSER => $superuser);
my %server = (DB_HOSTNAME => $node->host, DB_PORT => $node->port, DB_USERNAME => $superuser, DB_DATABASE_NAME => 'target',
	IMMICH_SOURCE_REF => 'v2.7.5', GALLERY_REVERT_TOKEN => 'i_accept_data_loss', GALLERY_REVERT_WAIT => 5);
my %scripts = (
	'preserve' => sub { run_in(\%preserve, "$root/scripts/preserve-state.sh", '-d', 'target', '-o', "$temp/out" . ++$out) },
	'preserve and restore' => sub { run_in(\%preserve, "$root/scripts/preserve-state.sh", '-d', 'target', '-t', '-o', "$temp/out" . ++$out) },
	'report' => sub { run_in(\%preserve, "$root/scripts/report.sh", '-d', 'target', '-o', "$temp/out" . ++$out) },
	'entrypoint' => sub { run_in(\%server, 'bash', "$root/docker/immich-server/entrypoint.sh") });

# In a session of the role's own: from SET SESSION AUTHORIZATION every function leads back.
sub as { my ($role, $sql) = @_; return $node->safe_psql('target', $sql, extra_params => [ '-U', $role ]) }

# Name, who planted, who owns Immich ('': a superuser, '-': there is none), what was planted, a statement in which it strikes, and
# for each script the exit status with what it must say.
# The extension is in none of these, so that a report is never whole.
my @no_immich = ('preserve' => [ 1, qr/holds no Immich/ ],
	'report' => [ 3, qr/is not installed in this database/ ], 'entrypoint' => [ 0, qr/stock command started/ ]);
my @fine = ('preserve' => [ 0, qr/Done\./ ],
	'report' => [ 3, qr/is not installed in this database/ ], 'entrypoint' => [ 0, qr/^stock command started$/m ]);
# A table that Immich might have had is named, where it is somebody else's.
my @named = ('preserve' => [ 0, qr/another role are not counted:\s+not read, belongs to another role\tpublic\.\w+ of mallory\n.*Done\./s ]);
# A stranger's objects in the dump would be made, and their code run, by the superuser who restores it.
my @strangers = (@fine, 'preserve and restore' => [ 1, qr/own.*"mallory"/s ]);
my @owners = (@fine, 'preserve and restore' => [ 1, qr/own.*"keeper"/s ]);
my @plants = (
	[ 'an aggregate min(name)', 'mallory', '', <<'SQL', 'SELECT min(nspname) FROM pg_namespace', @strangers ],
CREATE FUNCTION public.step(name, name) RETURNS name LANGUAGE sql AS $$
	SELECT 'public'::name FROM (SELECT public.strike('min') OFFSET 0) x $$;
CREATE AGGREGATE public.min(name) (sfunc = public.step, stype = name);
SQL
	[ 'an operator name || name', 'mallory', '', <<'SQL', q(SELECT 'x' || nspname FROM pg_namespace), @strangers ],
CREATE FUNCTION public.joined(name, name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM public.strike('join'); RETURN 'x'; END $$;
CREATE OPERATOR public.|| (function = public.joined, leftarg = name, rightarg = name);
SQL
	[ 'an operator varchar = varchar', 'mallory', '', <<'SQL', q(SELECT FROM public.kysely_migrations WHERE name = 'x'), @strangers ],
CREATE FUNCTION public.same(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN PERFORM public.strike('same'); RETURN false; END $$;
CREATE OPERATOR public.= (function = public.same, leftarg = varchar, rightarg = varchar);
SQL
	[ 'a cast', 'keeper', 'keeper', <<'SQL', 'SELECT visibility::text FROM public.asset', @owners ],
CREATE FUNCTION public.cast_it(public.asset_visibility_enum) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN PERFORM public.strike('cast'); RETURN 'x'; END $$;
CREATE CAST (public.asset_visibility_enum AS text) WITH FUNCTION public.cast_it(public.asset_visibility_enum) AS ASSIGNMENT;
SQL
	[ 'an index predicate', 'keeper', 'keeper', q(CREATE INDEX ON public.asset (id) WHERE public.evil('owner') = 1;),
		'SELECT count(*) FROM public.asset WHERE id = 1', @owners ],
	[ 'an index predicate of the ledger', 'keeper', 'keeper',
		q(CREATE INDEX ON public.kysely_migrations (name) WHERE public.evil('ledger') = 1;),
		'SELECT name FROM public.kysely_migrations', @owners ],
	[ 'a statistics object', 'keeper', 'keeper', q(CREATE STATISTICS public.stat ON (id + public.evil('stat')), (id + 1) FROM public.asset;
		ANALYZE public.asset;),
		'SELECT count(*) FROM public.asset WHERE id + 1 = 1', @owners ],
	[ 'a view of a table\'s name', 'mallory', '',
		q(CREATE VIEW public.version_history AS SELECT now() AS "createdAt", public.strike('view')::text AS version;),
		'SELECT * FROM public.version_history', @strangers, @named ],
	[ 'a table of a table\'s name', 'mallory', '', q(CREATE TABLE public.version_history ("createdAt" timestamptz, version varchar);
		CREATE INDEX ON public.version_history (version) WHERE public.evil('version') = 1;), 'SELECT version FROM public.version_history',
		@strangers, @named ],
	[ 'a ledger of Gallery', 'mallory', '', q(CREATE TABLE public.gallery_migrations (name varchar(255), timestamp varchar(255));
		INSERT INTO public.gallery_migrations VALUES ('1772230000000-CreateStorageMigrationLogTable', '2026-01-01T00:00:00.000Z');
		CREATE INDEX ON public.gallery_migrations (name) WHERE public.evil('gallery') = 1;), 'SELECT name FROM public.gallery_migrations',
		@strangers, @named ],
	[ 'a ledger of Gallery in another schema', 'mallory', '', q(CREATE SCHEMA lair;
		CREATE TABLE lair.gallery_migrations (name varchar(255), timestamp varchar(255));
		CREATE INDEX ON lair.gallery_migrations (name) WHERE public.evil('gallery') = 1;), 'SELECT name FROM lair.gallery_migrations',
		@strangers ],
	[ 'a ledger where there is no Immich', 'mallory', '-', q(CREATE TABLE public.kysely_migrations (name varchar(255), timestamp varchar(255));
		INSERT INTO public.kysely_migrations VALUES ('1772230000000-CreateStorageMigrationLogTable', '2026-01-01T00:00:00.000Z');
		CREATE INDEX ON public.kysely_migrations (name) WHERE public.evil('ledger') = 1;), 'SELECT name FROM public.kysely_migrations',
		@no_immich ],
	[ 'a ledger beside Immich\'s tables', 'mallory', 'tables',
		q(CREATE TABLE public.kysely_migrations (name varchar(255), timestamp varchar(255));
		INSERT INTO public.kysely_migrations VALUES ('1772230000000-CreateStorageMigrationLogTable', '2026-01-01T00:00:00.000Z');
		CREATE INDEX ON public.kysely_migrations (name) WHERE public.evil('ledger') = 1;), 'SELECT name FROM public.kysely_migrations',
		@no_immich ],
	[ 'a second ledger', 'mallory', '', q(CREATE SCHEMA lair; CREATE TABLE lair.kysely_migrations (name varchar(255), timestamp varchar(255));
		INSERT INTO lair.kysely_migrations VALUES ('1772230000000-CreateStorageMigrationLogTable', '2026-01-01T00:00:00.000Z');
		CREATE INDEX ON lair.kysely_migrations (name) WHERE public.evil('ledger') = 1;), 'SELECT name FROM lair.kysely_migrations', @strangers ],
	[ 'a table with an index and a condition', 'mallory', '', q(CREATE TABLE public.own (x text, CHECK (public.evil('check') = 1));
		INSERT INTO public.own VALUES ('x');
		CREATE INDEX ON public.own ((public.evil('index'))) ;), q(INSERT INTO public.own VALUES ('y')), @strangers ]);

foreach my $plant (@plants)
{
	my ($name, $who, $owner, $sql, $control, %wanted) = @$plant;
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS target');
	$node->safe_psql('postgres', 'CREATE DATABASE target');
	$node->safe_psql('target', 'GRANT CREATE ON SCHEMA public TO mallory, keeper; GRANT CREATE ON DATABASE target TO mallory, keeper; '
		. 'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO mallory');
	as($owner eq 'keeper' ? $owner : $superuser, immich($owner ne 'tables')) if $owner ne '-';
	as($who, $strike . $sql);
	is(struck(), '', "$name: planting alone does nothing");
	$node->psql('target', $control);
	isnt(struck(), '', "$name: it strikes in a statement as people write it");
	foreach my $script (sort keys %wanted)
	{
		my ($status, $says) = @{ $wanted{$script} };
		my ($have, $said) = $scripts{$script}->();
		is(struck(), '', "$name: it does not strike in $script");
		is($have, $status, "$name: $script: exit status");
		like($said, $says, "$name: $script: says so") or diag($said);
	}
	is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_database WHERE datname LIKE 'preserve_test_%')), '0',
		"$name: no scratch database is left");
}
note(scalar(@plants), ' plants');

# And does the check of the scripts' text see what let those in?
{
	my $script = "#!/bin/sh\n# SET search_path = pg_catalog, pg_temp;\n";
	my %bad = (
		'a psqlrc' => [ 'x.sh', $script . "psql -d immich -f -\n", qr/x\.sh:3: psql without -X/ ],
		'two places' => [ 'x.sh', $script . "psql -X -f -\npsql -X -c 'SELECT 1'\n", qr/x\.sh:4: psql is run at one place/ ],
		'no search_path' => [ 'x.sh', "#!/bin/sh\npsql -X -f -\n", qr/x\.sh:2: no search_path/ ],
		'a relation' => [ 'x.sh', $script . "SELECT oid FROM pg_class\n", qr/x\.sh:3: relation without its schema/ ],
		'name = varchar' => [ 'x.sh', $script . "WHERE c.relname = 'x'\n", qr/x\.sh:3: a column of type name as an operand/ ],
		'min(name)' => [ 'x.sh', $script . "SELECT min(nspname)\n", qr/x\.sh:3: a column of type name as an operand/ ],
		'text || name' => [ 'x.sh', $script . "SELECT 'extension ' || extname\n", qr/x\.sh:3: a column of type name as an operand/ ],
		'a pager' => [ 'x.md', "```sh\ndocker exec immich_postgres psql -X -d immich -c 'SELECT 1'\n```\n", qr/x\.md:2: psql with a pager/ ],
		'two statements' => [ 'x.md',
			"```sh\ndocker exec immich_postgres psql -X -P pager=off -c 'SELECT 1' -c 'SELECT 2'\n```\n", qr/x\.md:2: several -c/ ]);
	mkdir "$temp/lint" or die $!;
	foreach my $what (sort keys %bad)
	{
		my ($file, $text, $says) = @{ $bad{$what} };
		open my $handle, '>', "$temp/lint/$file" or die $!;
		print $handle $text;
		close $handle;
		my ($status, $said) = run_in({}, "$root/tools/lint-sql", "$temp/lint/$file");
		is($status, 1, "lint-sql, $what: fails");
		like($said, $says, "lint-sql, $what: says where");
	}
	my ($status, $said) = run_in({}, "$root/tools/lint-sql");
	is("$status$said", '0', 'lint-sql: our own are clean');
}

$node->stop;
done_testing();
