# What a script of gallery_revert_script() refuses: everything that is not as on the copy it was made on, each with the database as it was
# before; and whose code runs with whose rights while a superuser runs it.
use strict;
use warnings FATAL => 'all';

use Digest::SHA qw(sha256_hex);
use GalleryTest qw(gallery major_of new_node token);
use IPC::Run ();
use Owner qw(owned_by);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils qw(slurp_file);
use Script qw(copy_of make_script run_script);
use Test::More;

my $node = new_node('refused', conf => [ 'autovacuum = off', 'fsync = off', 'max_locks_per_transaction = 1000' ]);
$node->safe_psql('postgres', 'CREATE ROLE immich LOGIN; CREATE ROLE mallory LOGIN; CREATE ROLE helper LOGIN IN ROLE immich;');
gallery($node, 'real', '--generation', 'v5.9');
$node->safe_psql('real', 'DROP EXTENSION gallery_revert; GRANT CREATE ON SCHEMA public TO mallory; ALTER SCHEMA public OWNER TO immich;'
	. owned_by('immich'));
copy_of($node, 'real', 'copy');
my ($script, $refusal, $made) = make_script($node, 'copy');
ok($made, 'the script is made') or BAIL_OUT($refusal);
is($refusal, '', '... with nothing to say');
my $text = slurp_file($script);
unlike($text, qr/[^\x20-\x7e\n]/, '... and is plain text');
unlike($text, qr/[ \t]$/m, '... without blanks at the end of a line');

my $serial = 0;
$node->safe_psql('postgres', 'CREATE DATABASE untouched TEMPLATE real');

# Everything in a database, as one word.
sub state_of
{
	my ($database) = @_;
	my ($dump, $err) = ('', '');
	IPC::Run::run([ 'pg_dump', '-d', $node->connstr($database) ], '>', \$dump, '2>', \$err) or die "pg_dump: $err";
	die "nothing to compare\n" if length $dump < 10000;
	utf8::encode($dump) if utf8::is_utf8($dump);
	return sha256_hex($dump =~ s/^\\(?:un)?restrict .*$//gmr);
}
my $untouched = state_of('untouched');

# A database like the one that the copy is of, changed by this SQL.
sub database
{
	my ($sql) = @_;
	my $database = 'refused' . ++$serial;
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE real");
	$node->safe_psql($database, $sql =~ s{DATABASE_NAME}{$database}r) if $sql;
	return $database;
}

sub drop { my ($database) = @_; $node->safe_psql('postgres', "DROP DATABASE $database"); return }

sub file_of
{
	my ($content) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/part.sql';
	open(my $out, '>', $file) or die "could not write \"$file\": $!";
	print $out $content;
	close $out;
	return $file;
}

# Runs the script in such a database: it stops with this message, and nothing has changed. More options: file, another script; during, a
# session's statements that are open meanwhile; after, what to do at the end; detail and hint, to be found as well.
sub refused
{
	my ($what, $sql, $message, %option) = @_;
	my $database = $sql ? database($sql) : 'untouched';
	my $before = $sql ? state_of($database) : $untouched;
	my $session;
	if ($option{during})
	{
		$session = $node->background_psql($database);
		$session->query_safe($_) foreach @{ $option{during} };
	}
	my ($status, $out, $err) = run_script($node, $database, $option{file} // $script, others => !!$session, %option);
	$session->quit if $session;
	is($status, 3, "$what: psql says so");
	like($err, qr/^ERROR:  $message$/m, '... and why');
	like($err, $option{detail}, '... in detail') if $option{detail};
	like($err, qr/^HINT:  ./m, '... and what to do');
	unlike($err, qr/^ERROR:.*^ERROR:|NOTICE|WARNING: (?! .*other client)/ms, '... and nothing else');
	is(state_of($database), $before, '... and nothing has changed');
	$option{after}->($database) if $option{after};
	drop($database) if $sql;
	return;
}

my $other_catalog = 'this database is not as the copy was on which the script was made';
my $other_ledger = 'the ledger does not record what it did on the copy on which the script was made';
my $other_rows = 'rows that decide about the steps are not what they were on the copy';

# Who says so.
refused('no token', '', 'gallery\.revert_token is not set', token => 0,
	detail => qr/^DETAIL:  A revert removes for good what only Gallery knows: spaces, groups, pets and the like\.$/m);
refused('a wrong token', '', 'gallery\.revert_token has a wrong value', token => 0, before => [q(SET gallery.revert_token = 'yes')]);
refused('a standing token', q(ALTER DATABASE DATABASE_NAME SET gallery.revert_token = 'i_accept_data_loss'),
	'gallery\.revert_token was not set in this session', token => 0);
refused('a stranger', '', 'role "mallory" does not own this Immich and may not act as its owner', user => 'mallory',
	detail => qr/^DETAIL:  table "kysely_migrations" belongs to "immich"$/m);
refused('a read-only session', '', 'the transaction is read only', before => ['SET default_transaction_read_only = on']);
refused('triggers off', '', 'session_replication_role is not origin', before => ['SET session_replication_role = replica']);

# Where.
refused('no Immich', 'ALTER TABLE kysely_migrations RENAME TO other', 'this database holds no Immich');
refused('two', 'CREATE SCHEMA other; CREATE TABLE other.kysely_migrations (name text, "timestamp" text)',
	'this database holds more than one Immich');
refused('another schema', 'ALTER SCHEMA public RENAME TO photos; CREATE SCHEMA public', 'this database is not the one that the copy is of');
my $major = major_of($node);
refused('another major', '', 'this server is of another major version than the copy',
	file => file_of($text =~ s/10000 <> $major THEN/10000 <> 13 THEN/r));

# What is there.
refused('one more migration of Gallery', q(INSERT INTO gallery_migrations VALUES ('1899999999999-New', '2026-01-01T00:00:00.000Z')),
	$other_ledger, detail => qr/^DETAIL:  not on the copy: gallery_migrations: 1899999999999-New, 2026-01-01T00:00:00.000Z$/m);
refused('one less', 'DELETE FROM gallery_migrations WHERE name = (SELECT max(name) FROM gallery_migrations)', $other_ledger,
	detail => qr/^DETAIL:  missing: gallery_migrations: /m);
refused('one more of Immich', q(INSERT INTO kysely_migrations VALUES ('1899999999999-New', '2026-01-01T00:00:00.000Z')), $other_ledger);
refused('another time', q(UPDATE kysely_migrations SET "timestamp" = '2036-01-01T00:00:00.000Z' WHERE name = (SELECT max(name)
  FROM kysely_migrations)), $other_ledger, detail => qr/^DETAIL:  missing: .*\nnot on the copy: /m);
my @changes = (
	[ 'a table of Gallery is missing', 'DROP TABLE user_group CASCADE', qr/^(?:DETAIL:  )?table "user_group" is missing$/m ],
	[ 'a column is missing', 'ALTER TABLE shared_space DROP COLUMN description', qr/^DETAIL:  table "shared_space" is not what it was$/m ],
	[ 'an index is missing', 'DROP INDEX "asset_createdAt_idx"', undef ],
	[ 'a trigger is missing', 'DROP TRIGGER "asset_updatedAt" ON asset', qr/^DETAIL:  table "asset" is not what it was$/m ],
	[ 'one more column on a table of Gallery', 'ALTER TABLE shared_space ADD COLUMN note text',
		qr/^DETAIL:  table "shared_space" is not what it was$/m ],
	[ 'one more column on a table of Immich', 'ALTER TABLE album ADD COLUMN note text', qr/^DETAIL:  table "album" is not what it was$/m ],
	[ 'another body', q{CREATE OR REPLACE FUNCTION public.updated_at() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'},
		qr/^DETAIL:  function public\.updated_at\(\) is not what it was$/m ],
	[ 'a trigger of somebody', q{CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM tag; RETURN old; END';
	  ALTER FUNCTION note() OWNER TO immich; CREATE TRIGGER note AFTER DELETE ON asset_face FOR EACH ROW EXECUTE FUNCTION note()},
		qr/^DETAIL:  table "asset_face" is not what it was$/m ],
	[ 'a trigger is off', 'ALTER TABLE asset DISABLE TRIGGER "asset_updatedAt"', qr/table "asset" is not what it was$/m ],
	[ 'keys are off', 'ALTER TABLE asset_face DISABLE TRIGGER ALL', qr/table "asset_face" is not what it was$/m ],
	[ 'a rule', 'CREATE RULE keep AS ON DELETE TO asset_face DO INSTEAD NOTHING', qr/table "asset_face" is not what it was$/m ],
	[ 'a policy', 'CREATE POLICY part ON asset_face USING (false); ALTER TABLE asset_face ENABLE ROW LEVEL SECURITY',
		qr/table "asset_face" is not what it was$/m ],
	[ 'a child', 'CREATE TABLE more () INHERITS (asset_face); ALTER TABLE more OWNER TO immich', qr/table "asset_face" is not what it was$/m ],
	[ 'a key of somebody', 'CREATE TABLE notes (id uuid REFERENCES asset_face ON DELETE CASCADE); ALTER TABLE notes OWNER TO immich',
		qr/table "asset_face" is not what it was$/m ]);
foreach my $change (grep { $_->[2] } @changes)
{
	my ($what, $sql, $detail) = @$change;
	refused($what, $sql, $other_catalog, detail => $detail);
}
refused('a newer Gallery was started', q(INSERT INTO version_history (version) VALUES ('5.9.1')), $other_rows,
	detail => qr/^DETAIL:  They are of: starts of the server\.$/m);
refused('one setting less', q(UPDATE system_metadata SET value = '{}' WHERE key = 'system-config'), $other_rows,
	detail => qr/^DETAIL:  They are of: settings of the server that only Gallery knows\.$/m);
refused('a file in S3', q(UPDATE asset SET "originalPath" = 'upload/library/a.jpg' WHERE id = (SELECT min(id::text)::uuid FROM asset)),
	'some file paths do not start with "/"', detail => qr/^DETAIL:  1 originals$/m);

# Who else is there.
refused('somebody is connected', '', '1 other client is connected to this database', during => ['SELECT 1'],
	detail => qr/^DETAIL:  pid \d+, application ".*", user ".*", from a local socket, idle/m);
refused('somebody holds a lock', '', 'could not lock table "album" within 300ms', during => [ 'BEGIN', 'SELECT count(*) FROM album' ],
	before => [ 'SET gallery.revert_ignore_sessions = on', q(SET gallery.revert_lock_timeout = '300ms') ],
	detail => qr/^DETAIL:  pid \d+, application ".*", user ".*", idle in transaction, AccessShareLock on table "album"$/m);
{
	my $database = database('');
	my $session = $node->background_psql($database);
	$session->query_safe('SELECT 1');
	my ($status, undef, $err) = run_script($node, $database, $script, others => 1,
		before => ['SET gallery.revert_ignore_sessions = on']);
	$session->quit;
	is($status, 0, 'who is only connected can be ignored');
	like($err, qr/^WARNING:  1 other client is connected to this database$/m, '... and is named');
	drop($database);
}

# Only a part of it: its beginning up to a place, and its end from there, as where it is pasted and goes on after errors. The first and
# the last place of each kind, all of them with GALLERY_REVERT_CASES=all.
{
	my $database = database('');
	my $before = state_of($database);
	my @lines = split /^/, $text;
	my $place =
	  qr/^(?:CREATE |DO |CALL |END |BEGIN|COMMIT|SET LOCAL row|CLOSE ALL|  -- 1\d?\. |SET client|    EXECUTE .*DELETE FROM public.memory)/;
	my %places;
	$lines[ $_ - 1 ] =~ $place && push @{ $places{$&} }, $_ foreach 1 .. $#lines;
	my $all_of_them = ($ENV{GALLERY_REVERT_CASES} // '') eq 'all';
	my %cuts = map { ($_ => 1) } map { $all_of_them ? @$_ : @{$_}[ 0, -1 ] } values %places;
	my @cuts = sort { $a <=> $b } keys %cuts;
	note(scalar @cuts, ' places to cut the script at');
	cmp_ok(scalar @cuts, '>', 20, 'places to cut the script at');
	my (@lied, @late);
	foreach my $cut (@cuts)
	{
		my $end = join '', @lines[ $cut - 1 .. $#lines ];
		my $all = join '', @lines[ 0 .. $cut - 2 ];
		foreach my $part ($all, $end)
		{
			next if $part eq $all && $all =~ /^COMMIT/m || $part eq $end && $end =~ /^BEGIN ISO/m;
			my ($out, $err) = ('', '');
			IPC::Run::run([ 'psql', '-X', '-q', '-d', $node->connstr($database), '-c', token(), '-f', file_of($part) ],
				'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
			push @lied, $cut if $err =~ /NOTICE:  .*cleanup finished/;
			push @late, $cut if $err =~ /NOTICE:  Gallery .* is gone/ && $part eq $end;
		}
	}
	is(state_of($database), $before, 'half a script changes nothing');
	is_deeply(\@late, [], '... nor runs its steps without its beginning');
	is_deeply(\@lied, [], '... nor says that it has');
	drop($database);
}
{
	my $database = database('ALTER TABLE album ADD COLUMN note text');
	my $before = state_of($database);
	my (undef, undef, $err) = run_script($node, $database, file_of($text =~ s/^\\set ON_ERROR_STOP on$//mr));
	like($err, qr/^ERROR:  the database was not reverted: nothing has changed$/m, 'who goes on after an error is told at the end');
	unlike($err, qr/pin the image tag|cleanup finished/, '... and not what to start');
	is(state_of($database), $before, '... and nothing has changed');
	drop($database);
}

# Twice.
{
	my $database = database('');
	my ($status) = run_script($node, $database, $script, user => 'helper');
	is($status, 0, 'a member of the owner runs it');
	my $after = state_of($database);
	($status, undef, my $err) = run_script($node, $database, $script);
	is($status, 3, 'a second time: refused');
	like($err, qr/^ERROR:  nothing to revert: this database is as this script leaves it\nHINT:  Start Immich .* IMMICH_VERSION=v3\.3\.5\.$/m,
		'... saying that it is done');
	is(state_of($database), $after, '... and nothing has changed');
	is($node->safe_psql($database, q(SELECT count(*) FROM pg_proc WHERE proname LIKE 'gallery%')), '0', 'nothing is left of it');
	drop($database);
}

# What somebody hangs on Immich's tables. Planted before the copy is made, so that the script knows of it; it acts only where a row of
# table "spite" says so, which is so in the database itself alone.
my $spite = <<'SQL';
CREATE TABLE spite (id int); ALTER TABLE spite OWNER TO immich;
CREATE SEQUENCE ran; CREATE SEQUENCE escaped; GRANT ALL ON ran, escaped TO PUBLIC;
SQL
sub trigger
{
	my ($body, $when) = @_;
	return $spite . <<"SQL";
CREATE FUNCTION spite() RETURNS trigger LANGUAGE plpgsql AS \$spite\$
BEGIN
  PERFORM nextval('public.ran');
  IF EXISTS (SELECT FROM public.spite) THEN
    $body
  END IF;
  RETURN old;
END \$spite\$;
ALTER FUNCTION spite() OWNER TO immich;
CREATE TRIGGER spite ${\($when // 'AFTER')} DELETE ON asset_face FOR EACH ROW EXECUTE FUNCTION spite();
SQL
}

# A copy of such a database, in which nothing is spiteful.
sub spited_copy
{
	my ($database) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE spited TEMPLATE $database");
	$node->safe_psql('spited', 'CREATE EXTENSION gallery_revert');
	return;
}

# Plants, makes a script on a copy, lets the spite out and runs the script as the superuser. Returns the database, its state before and
# what run_script() does.
sub with_spite
{
	my ($sql, %option) = @_;
	my $database = database($sql);
	spited_copy($database);
	my ($file, $err, $ok) = make_script($node, 'spited');
	die "no script: $err" if !$ok;
	drop('spited');
	$node->safe_psql($database, 'INSERT INTO spite VALUES (1)');
	my $before = state_of($database);
	my @result = run_script($node, $database, $file, %option);
	# No rollback takes a number back.
	$node->safe_psql($database, q(SELECT setval('ran', 1, false), setval('escaped', 1, false)));
	return ($database, $before, @result);
}
foreach my $case (
	[ 'a trigger deletes rows of another table', 'DELETE FROM public.tag;', qr/^DETAIL:  table "tag": \d+ rows deleted, expected 0/m ],
	[ 'a trigger deletes more rows of the same', 'DELETE FROM public.asset_face WHERE id = (SELECT id FROM public.asset_face LIMIT 1);',
		qr/table "asset_face": \d+ rows deleted, expected \d+/m ],
	[ 'a trigger changes rows', q(UPDATE public.asset SET "originalFileName" = 'x';), qr/table "asset": \d+ rows updated/m ])
{
	my ($what, $body, $detail) = @$case;
	my ($database, $before, $status, undef, $err) = with_spite(trigger($body));
	is($status, 3, "$what: refused");
	like($err, qr/^ERROR:  the result would not be a stock Immich, so nothing is changed$/m, '... by the proof');
	like($err, $detail, '... which names it');
	is(state_of($database), $before, '... and nothing has changed');
	drop($database);
}
{
	my ($database, $before, $status, undef, $err) = with_spite(trigger('RETURN NULL;', 'BEFORE'));
	like($err, qr/^ERROR:  not all rows of table "asset_face" that the step names could be changed$/m, 'a trigger that keeps rows: refused');
	is(state_of($database), $before, '... and nothing has changed');
	drop($database);
}

# The owner's code tries to get out of his rights into those of the superuser who runs the script: at once, or at the commit.
my $out = <<'SQL';
CREATE FUNCTION way_out() RETURNS int LANGUAGE plpgsql AS $out$
BEGIN
  PERFORM nextval('public.ran');
  BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; EXCEPTION WHEN OTHERS THEN NULL; END;
  BEGIN PERFORM set_config('role', session_user, false); EXCEPTION WHEN OTHERS THEN NULL; END;
  IF current_user <> 'immich' THEN PERFORM nextval('public.escaped'); END IF;
  BEGIN EXECUTE 'ALTER ROLE immich SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
  RETURN 1;
END $out$;
CREATE FUNCTION way_out_later() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.way_out(); RETURN NULL; END';
ALTER FUNCTION way_out() OWNER TO immich; ALTER FUNCTION way_out_later() OWNER TO immich;
GRANT CREATE ON SCHEMA public TO immich;
SQL
foreach my $case (
	[ 'at once', 'PERFORM public.way_out();' ],
	[ 'by a cursor that outlives the transaction', q(IF NOT EXISTS (SELECT FROM pg_cursors WHERE name = 'later') THEN
	    EXECUTE 'DECLARE later CURSOR WITH HOLD FOR SELECT public.way_out()';
	  END IF;) ],
	[ 'by a check that waits for the commit', q(IF to_regclass('public.later') IS NULL THEN
	    EXECUTE 'CREATE TABLE public.later (id int)';
	    EXECUTE 'CREATE CONSTRAINT TRIGGER later AFTER INSERT ON public.later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW'
	      ' EXECUTE FUNCTION public.way_out_later()';
	    EXECUTE 'INSERT INTO public.later VALUES (1)';
	  END IF;), qr/^ERROR:  the result would not be a stock Immich/m ],
	[ 'by what the script calls',
		q(EXECUTE 'CREATE OR REPLACE PROCEDURE pg_temp.gallery_revert_rows() LANGUAGE sql AS ''SELECT public.way_out()''';) ],
	[ 'by what the session finds first', q(PERFORM set_config('search_path', 'public, pg_catalog', false);
	  EXECUTE 'CREATE OR REPLACE FUNCTION public.current_setting(text, boolean) RETURNS text LANGUAGE sql'
	    ' AS ''SELECT public.way_out()::text''';) ])
{
	my ($what, $body, $error) = @$case;
	my $database = database(trigger($body) . $out);
	spited_copy($database);
	my ($file, $err, $ok) = make_script($node, 'spited');
	die "no script: $err" if !$ok;
	drop('spited');
	$node->safe_psql($database, 'INSERT INTO spite VALUES (1)');
	(my $status, undef, $err) = run_script($node, $database, $file);
	is($status, $error ? 3 : 0, "out of the owner's rights $what: " . ($error ? 'refused' : 'the script goes on')) or diag($err);
	like($err, $error, '... saying why') if $error;
	cmp_ok($node->safe_psql($database, 'SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM ran'), '>', 0, '... that code ran');
	is($node->safe_psql($database, 'SELECT is_called FROM escaped'), 'f', '... and never with other rights than its owner has');
	is($node->safe_psql($database, q(SELECT rolsuper FROM pg_roles WHERE rolname = 'immich')), 'f', '... who is no superuser now');
	drop($database);
}

# A stranger's things: nothing of his is even read.
my $evil = <<'SQL';
CREATE SEQUENCE ran; GRANT ALL ON ran TO PUBLIC;
CREATE FUNCTION evil(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('public.ran'); RETURN $1; END $$;
ALTER FUNCTION evil(text) OWNER TO mallory;
CREATE FUNCTION evil_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('public.ran'); RETURN new; END $$;
ALTER FUNCTION evil_row() OWNER TO mallory;
SQL
my $not_owned = 'role "immich" does not own what has to be changed';
foreach my $case (
	[ 'a table', 'CREATE INDEX evil ON album (evil("albumName")); ALTER TABLE album OWNER TO mallory', $not_owned ],
	[ 'the ledger of Gallery',
		'CREATE INDEX evil ON gallery_migrations (evil(name)); ALTER TABLE gallery_migrations OWNER TO mallory', $not_owned ],
	[ 'an index', 'CREATE INDEX evil ON album (evil("albumName"))', $not_owned ],
	[ 'a predicate', q(CREATE INDEX evil ON kysely_migrations (name) WHERE evil(name) <> ''), $not_owned ],
	[ 'a trigger', 'CREATE TRIGGER evil BEFORE UPDATE ON asset FOR EACH ROW EXECUTE FUNCTION evil_row()', $not_owned ],
	[ 'a policy', q(CREATE POLICY evil ON asset_face USING (evil('') = ''); ALTER TABLE asset_face ENABLE ROW LEVEL SECURITY,
	  FORCE ROW LEVEL SECURITY), $not_owned ],
	[ 'a child', 'CREATE TABLE more () INHERITS (asset_face); ALTER TABLE more OWNER TO mallory', $not_owned ],
	[ 'statistics', 'CREATE STATISTICS evil ON evil("albumName"), id FROM album', $not_owned ],
	[ 'a function in the place of the server\'s', q(CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT nextval('ran');
	  SELECT pg_catalog.now() $$; ALTER FUNCTION public.now() OWNER TO mallory),
		q(functions or operators of other roles could run in place of the server's or Immich's) ])
{
	my ($what, $sql, $message) = @$case;
	refused("a stranger has $what", "$evil$sql; SELECT setval('ran', 1, false)", $message, after => sub {
		my ($database) = @_;
		is($node->safe_psql($database, 'SELECT is_called FROM ran'), 'f', '... and nothing of his ran');
	});
}

# Where there is no plan.
gallery($node, 'plain', '--generation', 'v4.57', '--product', 'immich');
(undef, $refusal, $made) = make_script($node, 'plain');
ok(!$made, 'an Immich has no script');
like($refusal, qr/^ERROR:  nothing to revert: this is an Immich database/m, '... as there is nothing to revert');
$node->safe_psql('real', 'CREATE EXTENSION gallery_revert; CREATE VIEW mine AS SELECT name FROM shared_space');
my $before = state_of('real');
(undef, $refusal, $made) = make_script($node, 'real');
ok(!$made, 'what stops a revert stops the script');
like($refusal, qr/^ERROR:  objects that neither Gallery nor Immich made depend on Gallery's objects/m, '... with the same words');
$node->safe_psql('real', 'DROP VIEW mine');
$before = state_of('real');
my $session = $node->background_psql('real');
$session->query_safe('BEGIN; SELECT count(*) FROM album');
(undef, $refusal, $made) = make_script($node, 'real', q(SET gallery.revert_lock_timeout = '200ms'));
like($refusal, qr/^ERROR:  could not lock table "album" within 200 ms/m, 'it is made under the locks of a revert');
$session->quit;
(undef, $refusal, $made) = make_script($node, 'real', q(SET gallery.revert_plan = '0123456789ab'));
like($refusal, qr/^ERROR:  the plan is not the one of gallery\.revert_plan/m, '... and of the plan that was looked at');
is(state_of('real'), $before, 'and leaves everything as it is');

done_testing();
