# Who may revert: the owner, a member of the owner, a superuser; nobody else, and nobody gets a right by it that he did not have.
use strict;
use warnings FATAL => 'all';

use GalleryTest;
use Owner qw(owned_by);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('privileges');
$node->safe_psql('postgres', 'CREATE ROLE immich LOGIN; CREATE ROLE member LOGIN IN ROLE immich;
  CREATE ROLE distant LOGIN NOINHERIT IN ROLE immich; CREATE ROLE guest LOGIN;
  CREATE ROLE reader LOGIN IN ROLE pg_read_all_data, pg_monitor; CREATE ROLE writer LOGIN IN ROLE pg_write_all_data;
  CREATE ROLE creator LOGIN CREATEROLE CREATEDB;');
gallery($node, 'photos');
# As on many installations: Immich's role owns the database and everything in it, but is no superuser; the administrator has installed
# the extension and lets that role use it.
$node->safe_psql('photos', 'ALTER DATABASE photos OWNER TO immich; ALTER SCHEMA public OWNER TO immich; ' . owned_by('immich'));
my @functions = split /\n/, $node->safe_psql('photos', q{SELECT p.oid::regprocedure
  FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid
  WHERE e.extname = 'gallery_revert' ORDER BY 1});
cmp_ok(scalar @functions, '>=', 4, scalar(@functions) . ' functions');

# PUBLIC may call none of them, the owner of the database neither, until it is granted.
my @denied;
for my $function (@functions)
{
	my $name = $function =~ s/\(.*//r;
	for my $user (qw(guest reader writer creator immich member))
	{
		my (undef, undef, $err) = revert($node, 'photos', user => $user, instead => "SELECT * FROM $name();");
		push @denied, "$user may call $function: $err" if $err !~ /^ERROR:  42501: permission denied for function $name$/m;
	}
}
is(join("\n", @denied), '', 'not granted: ' . @functions . ' functions refuse 6 roles');
$node->safe_psql('photos', "GRANT EXECUTE ON FUNCTION gallery_revert() TO PUBLIC");
my $before = state_of($node, 'photos');

# The function adds no right: it runs with the caller's, and says what is missing.
for my $user (qw(guest reader writer creator))
{
	my ($status, undef, $err) = revert($node, 'photos', user => $user);
	like($err, qr/^ERROR:  42501: /m, "$user: refused with SQLSTATE 42501");
	unlike($err, qr/XX000/, "$user: no internal error");
}
my (undef, undef, $err) = revert($node, 'photos', user => 'reader');
like($err,
	qr/^ERROR:  42501: role "reader" does not own this Immich and may not act as its owner
.*table "\w+" belongs to "immich".*^HINT:  .*SET ROLE immich;/ms, 'what is missing, and the way out');
(undef, undef, $err) = revert($node, 'photos', user => 'distant');
like($err, qr/^ERROR:  42501: /m, 'a member that does not inherit: refused as it is');
is(state_of($node, 'photos') eq $before, 1, 'after all of that the database is as before');

# Those who may.
for my $case (
	[ immich => '' ], [ member => '' ], [ distant => 'SET ROLE immich;' ],
	[ '' => '' ], [ '' => 'SET ROLE immich;' ], [ '' => 'SET SESSION AUTHORIZATION immich;' ])
{
	my ($user, $first) = @$case;
	my $who = ($user || 'superuser') . ($first ? " after $first" : '');
	my ($status, $tag, $text) = revert($node, 'photos', user => $user,
		before => "$first BEGIN;", after => 'SELECT current_user, session_user; ROLLBACK;');
	like($tag, qr/^v2\.7\.5$/m, "$who: succeeds") or diag $text;
	like($tag, qr/^immich\|/m, "$who: the role is as it was") if $first;
}

# Row security of the owner's own: never rows left behind unseen.
$node->safe_psql('photos', 'ALTER TABLE person ENABLE ROW LEVEL SECURITY; ALTER TABLE person FORCE ROW LEVEL SECURITY;
  CREATE POLICY hides ON person USING (false);');
(undef, undef, $err) = revert($node, 'photos', user => 'immich', before => 'BEGIN;', after => 'ROLLBACK;');
like($err, qr/^ERROR:  42501: .*row-level security/m, 'a policy that hides rows from the owner: refused');
$node->safe_psql('photos', 'DROP POLICY hides ON person;
  ALTER TABLE person NO FORCE ROW LEVEL SECURITY; ALTER TABLE person DISABLE ROW LEVEL SECURITY;');

# One thing that is somebody else's is enough.
for my $case (
	[ 'ALTER TABLE user_group OWNER TO guest', 'table "user_group" belongs to "guest"' ],
	[ 'ALTER TABLE asset OWNER TO guest', 'table "asset" belongs to "guest"' ],
	[ 'ALTER FUNCTION library_after_insert() OWNER TO guest', 'function "library_after_insert\(\)" belongs to "guest"' ])
{
	my ($sql, $text) = @$case;
	$node->safe_psql('photos', $sql);
	(undef, undef, $err) = revert($node, 'photos', user => 'immich', before => 'BEGIN;', after => 'ROLLBACK;');
	like($err, qr/^ERROR:  42501: .*$text/ms, "$sql: refused, with what is missing");
	$node->safe_psql('photos', $sql =~ s/guest/immich/r);
}

# A superuser runs what the owner has planted with the owner's rights.
{
	my $escalate = q{CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN ALTER ROLE immich SUPERUSER; RETURN NULL; END $f$};
	$node->safe_psql('photos', "SET SESSION AUTHORIZATION immich; $escalate;
	  CREATE TRIGGER own AFTER DELETE ON kysely_migrations FOR EACH STATEMENT EXECUTE FUNCTION own();");
	(undef, undef, $err) = revert($node, 'photos');
	like($err, qr/^ERROR:  42501: must be superuser to alter superuser|^ERROR:  42501: permission denied to alter role/m,
		'a trigger of the owner: not with the rights of a superuser');
	$node->safe_psql('photos', 'DROP TRIGGER own ON kysely_migrations; DROP FUNCTION own();');
	$node->safe_psql('photos', q{SET SESSION AUTHORIZATION immich;
CREATE FUNCTION own(text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN
  IF current_user <> 'immich' THEN RAISE EXCEPTION 'run as %', current_user; END IF; RETURN 1; END $f$;
CREATE INDEX own ON kysely_migrations (own(name));});
	for my $function (
		qw(gallery_revert_status gallery_revert_plan gallery_revert_script gallery_revert_losses gallery_revert_check immich_inventory),
		'immich_recovery_advice')
	{
		(my $code, undef, $err) = $node->psql('photos', "SELECT * FROM $function()");
		is("$code $err", '0 ', "a function of an index: $function() runs it as the owner");
	}
	is((revert($node, 'photos', before => 'BEGIN;', after => 'ROLLBACK;'))[1], 'v2.7.5', 'and so does the revert');
	$node->safe_psql('photos', 'DROP INDEX own; DROP FUNCTION own(text);');
}
# A view that stands where Immich has a table is not looked at at all.
{
	$node->safe_psql('postgres', 'CREATE DATABASE odd; GRANT CREATE ON DATABASE odd TO guest');
	$node->safe_psql('odd', 'CREATE EXTENSION gallery_revert; GRANT CREATE ON SCHEMA public TO guest');
	$node->safe_psql('odd', q{SET SESSION AUTHORIZATION guest; CREATE TABLE kysely_migrations (name varchar, timestamp varchar);
INSERT INTO kysely_migrations VALUES ('1744910873969-InitialMigration', '2025-01-01T00:00:00Z');
CREATE FUNCTION own() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN ALTER ROLE guest SUPERUSER; RETURN '4.57.0'; END $f$;
CREATE VIEW version_history AS SELECT 1 AS id, own() AS version, now() AS "createdAt";});
	$node->psql('odd', "SELECT * FROM $_()")
	  for qw(gallery_revert_status gallery_revert_plan gallery_revert_losses gallery_revert_check immich_recovery_advice);
	is($node->safe_psql('odd', q{SELECT rolsuper FROM pg_roles WHERE rolname = 'guest'}), 'f', 'a planted view gives nobody a right');
	$node->safe_psql('postgres', 'DROP DATABASE odd');
}

# The token cannot be given by somebody who may set settings for others.
$node->safe_psql('photos', q{ALTER ROLE immich SET gallery.revert_token = 'i_accept_data_loss'});
(undef, undef, $err) = revert($node, 'photos', user => 'immich', before => 'RESET gallery.revert_token;');
like($err, qr/^ERROR:  42501: /m, "a token that the role has always had: refused");
$node->safe_psql('photos', 'ALTER ROLE immich RESET gallery.revert_token');

# Installing: an ordinary role cannot, and what it left lying about is not taken over.
$node->safe_psql('postgres', 'CREATE DATABASE planted OWNER immich');
$node->safe_psql('planted', 'ALTER SCHEMA public OWNER TO immich');
my $planted = sub { my ($sql) = @_; return ($node->psql('planted', $sql, connstr => $node->connstr('planted') . ' user=immich'))[0] };
isnt($planted->('CREATE EXTENSION gallery_revert'), 0, 'the owner of the database cannot install it');
my @plants = (
	'CREATE FUNCTION public.gallery_revert() RETURNS text LANGUAGE sql AS $$ SELECT current_user::text $$',
	'CREATE FUNCTION public.gallery_revert_plan(OUT step integer, OUT phase text, OUT kind text, OUT object text, OUT reason text,
	   OUT rows bigint, OUT statement text) RETURNS SETOF record LANGUAGE sql
	   AS $$ SELECT 1, NULL::text, NULL::text, NULL::text, NULL::text, 1::bigint, NULL::text $$');
for my $plant (@plants)
{
	is($planted->($plant), 0, 'a function is planted');
	my ($rc, undef, $text) = $node->psql('planted', 'CREATE EXTENSION gallery_revert');
	like($text, qr/ERROR:  function "?gallery_revert\w*"? already exists with same argument types|is not a member of extension/,
		'the installation fails and says why');
	is($node->safe_psql('planted', q{SELECT count(*) FROM pg_extension WHERE extname = 'gallery_revert'}), '0', 'nothing is installed');
	$planted->($plant =~ /FUNCTION (\S+?)\(/ ? "DROP FUNCTION $1" : '');
}
# Types, operators and functions of the server's names in the schema of the extension, planted before a superuser installs it.
$planted->(q{CREATE TYPE public.text AS (x int); CREATE DOMAIN public.integer AS varchar;
  CREATE FUNCTION public.revoke() RETURNS int LANGUAGE sql AS 'SELECT 1';
  ALTER DATABASE planted SET search_path = public, pg_catalog;});
$node->safe_psql('planted', 'CREATE EXTENSION gallery_revert');
is($node->safe_psql('planted', q{SET search_path = pg_catalog; SELECT count(*)
  FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid
  WHERE e.extname = 'gallery_revert' AND (EXISTS (
      SELECT FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]) || p.prorettype) t JOIN pg_type y ON y.oid = t
      WHERE y.typnamespace <> 'pg_catalog'::regnamespace)
    OR p.proowner <> 10 OR p.prosecdef OR p.proconfig::text NOT LIKE '%pg_catalog, pg_temp%')}), '0',
	'planted types are not used, every function is the installer\'s, with a search path and no more rights');

# For good, by the owner.
my (undef, $tag) = revert($node, 'photos', user => 'immich');
is($tag, 'v2.7.5', 'the owner reverts for good');
is($node->safe_psql('photos', 'SELECT product FROM gallery_revert_status()'), 'immich', 'to Immich');
is($node->safe_psql('photos', q{SELECT count(*) FROM pg_class c
  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_get_userbyid(relowner) <> 'immich'}), '0', 'and owns what is left');
done_testing();
