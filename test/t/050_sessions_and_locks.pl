# Other sessions in earnest: named before anything is tried; a writer in each table that a revert locks; a dump that runs, a vacuum,
# an autovacuum; the time that a refusal takes. The orders of locks are in test/specs.
use strict;
use warnings FATAL => 'all';

use Again qw(gallery_again);
use GalleryTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('sessions', init => [ allows_streaming => 'logical' ], conf => [ 'autovacuum_naptime = 1s' ]);
gallery($node, 'photos');
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
my $ignore = 'SET gallery.revert_ignore_sessions = on;';

sub client
{
	my ($database, $name) = @_;
	return $node->background_psql($database, extra_params => [ '-d', $node->connstr($database) . " application_name='$name'" ]);
}

# What is tried: a revert, one that keeps all it can, the way back. Settings, statement, how its result begins, database.
my %plain = (name => 'a revert', before => '', call => 'SELECT gallery_revert();', result => 'v2.7.5', database => 'photos');
my %keeping = (%plain, name => 'a revert that keeps all it can',
	before => q{SET gallery.revert_archive = on; SET gallery.revert_spaces = 'albums'; SET gallery.revert_pets = 'people';});
my %back = (name => 'the way back', before => q{SET gallery.return_token = 'i_know_what_i_do';}, call => 'SELECT gallery_return();',
	result => 'run 1 is back: ', database => 'back');
gallery_again($node, 'back');

sub attempt
{
	my ($way, %option) = @_;
	return revert($node, $way->{database}, before => $way->{before} . ($option{before} // ''), instead => $way->{call},
		after => $option{after});
}

sub succeeds_by
{
	my ($way, $name, %option) = @_;
	my (undef, $tag, $err) = attempt($way, before => ($option{before} // '') . 'BEGIN;', after => 'ROLLBACK;');
	return like($tag, qr/^$way->{result}/, "$way->{name}: $name") || diag $err;
}
sub succeeds { my ($name, %option) = @_; return succeeds_by(\%plain, $name, %option) }

foreach my $way (\%plain, \%keeping, \%back)
{
	my $database = $way->{database};
	my $state = state_of($node, $database);
	my ($function) = $way->{call} =~ /(gallery_\w+)/;
	# Clients are named.
	succeeds_by($way, 'alone: nothing in the way');
	{
		my $immich = client($database, 'immich-server');
		my $odd = client($database, 'a "quoted" name');
		$odd->query_safe('BEGIN; SELECT 1;');
		my $other = client('elsewhere', 'somebody');
		$other->query_safe('SELECT 1');
		my $pid = $immich->query_safe('SELECT pg_backend_pid()');
		my ($status, undef, $err) = attempt($way);
		is($status, 3, "$way->{name}: other clients: refused");
		like($err, qr/^ERROR:  55006: 2 other clients are connected to this database$/m,
			'with SQLSTATE 55006 and how many, those of another database left out');
		like($err, qr/^(DETAIL:  )?pid $pid, application "immich-server", user "\w+", from a local socket, idle, since \S.*$/m,
			'by pid, application, user, address, state, since');
		like($err, qr/application "a "quoted" name", .* idle in transaction, since /, 'each of them');
		like($err, qr/^HINT:  .*SET gallery\.revert_ignore_sessions = on;/m, 'and what to do about it');
		is(state_of($node, $database) eq $state, 1, 'nothing has changed');
		succeeds_by($way, 'gallery.revert_ignore_sessions lets it go on', before => $ignore);
		(undef, undef, $err) = attempt($way, before => "$ignore BEGIN;", after => 'ROLLBACK;');
		like($err, qr/^WARNING:  .*2 other clients are connected/m, 'with a warning');
		$_->quit for $immich, $odd, $other;
	}

	# A writer in each table: refused within the time, the writer named, and nothing held of all those that were had already.
	my @tables = split /\n/, $node->safe_psql($database, q{SELECT relname FROM pg_class
	  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1});
	{
		my @wrong;
		my $writer = client($database, 'writer');
		my $reverter = client($database, 'reverter');
		$reverter->query_safe(token() . <<"SQL");
$way->{before} $ignore
SET gallery.revert_lock_timeout = 30;
SET client_min_messages = error;
CREATE FUNCTION pg_temp.attempt() RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE detail text;
BEGIN
  RETURN public.$function();
EXCEPTION WHEN lock_not_available THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN SQLERRM || ': ' || detail;
END \$\$;
SQL
		for my $table (@tables)
		{
			$writer->query_safe(qq{BEGIN; LOCK TABLE "$table" IN ROW EXCLUSIVE MODE;});
			my $got = $reverter->query_safe(q{BEGIN; SAVEPOINT s; SELECT pg_temp.attempt(); ROLLBACK TO s;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'; ROLLBACK;});
			my $holder = qr/pid \d+, application "writer", user "\w+", idle in transaction, RowExclusiveLock on table "$table"/;
			push @wrong, "$table: $got" if $got !~ /^could not lock table "$table" within 30 ms: $holder\n0$/m;
			$writer->query_safe('ROLLBACK;');
		}
		is(join("\n", @wrong), '', "$way->{name}: a writer in each of " . @tables
			  . ' tables: SQLSTATE 55P03, the writer named, the transaction usable');
		$_->quit for $writer, $reverter;
	}

	# The time is bounded, whoever is in the way and however.
	{
		my $holder = client($database, 'holder');
		for my $lock (
			'LOCK TABLE asset IN ROW EXCLUSIVE MODE',
			'LOCK TABLE kysely_migrations IN ACCESS EXCLUSIVE MODE',
			'LOCK TABLE version_history IN ACCESS EXCLUSIVE MODE')
		{
			$holder->query_safe("BEGIN; $lock;");
			my $start = time;
			my (undef, undef, $err) = attempt($way, before => "$ignore SET gallery.revert_lock_timeout = '500ms';");
			my $took = time - $start;
			like($err, qr/^ERROR:  55P03: .*^DETAIL:  pid \d+, application "holder"/ms, "$way->{name}: $lock: holder named");
			cmp_ok($took, '>', 0.5, 'not before the time');
			cmp_ok($took, '<', 5, 'nor long after');
			$holder->query_safe('ROLLBACK;');
		}
		$holder->quit;
	}

	# Cancelled while it waits: as before, and nobody is kept waiting any more.
	{
		my $holder = client($database, 'holder');
		$holder->query_safe('BEGIN; LOCK TABLE asset IN ROW EXCLUSIVE MODE;');
		my ($out, $err) = ('', '');
		my $one = start_session($node, $database, 'one', \$out, \$err, token(), split(/(?<=;) /, $way->{before}), $ignore,
			q{SET gallery.revert_lock_timeout = '20s'}, $way->{call});
		ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'one'
		  AND wait_event_type = 'Extension'}), "$way->{name}: it waits for a lock");
		$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'one'});
		$one->finish;
		like($err, qr/^ERROR:  57014: canceling statement due to user request$/m, "$way->{name}: cancelled while it waits");
		$holder->quit;
		is(state_of($node, $database) eq $state, 1, "$way->{name}: nothing has changed");
	}
}

# What the way back reads and writes beside Gallery's tables, and another way back at the same time.
{
	my $holder = client('back', 'holder');
	for my $table ('rows', 'facts')
	{
		$holder->query_safe("BEGIN; LOCK TABLE gallery_archive.$table IN ACCESS EXCLUSIVE MODE;");
		my $start = time;
		my (undef, undef, $err) = attempt(\%back, before => "$ignore SET gallery.revert_lock_timeout = '500ms';");
		like($err, qr/^ERROR:  55P03: .*application "holder".*AccessExclusiveLock on table "$table"/ms,
			"gallery_archive.$table is locked: its session is named") or diag $err;
		cmp_ok(time - $start, '<', 5, 'in time');
		$holder->query_safe('ROLLBACK;');
	}
	$holder->quit;
	$node->safe_psql('postgres', 'CREATE DATABASE twice TEMPLATE back');
	my $rival = client('twice', 'rival');
	$rival->query_safe('BEGIN; LOCK TABLE album IN ROW EXCLUSIVE MODE;');
	my (@out, @err);
	my @both = map { start_session($node, 'twice', "back$_", \$out[$_], \$err[$_], $back{before}, $ignore,
		q{SET gallery.revert_lock_timeout = '20s'}, $back{call}) } 0, 1;
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name ~ '^back'
	  AND wait_event_type = 'Extension'}), 'two ways back wait');
	$rival->query_safe('COMMIT;');
	$_->finish foreach @both;
	like(join('', sort @out), qr/^nothing to return: run 1 was put back on \S+\nrun 1 is back: /, 'one does it, the other finds nothing to do')
	  or diag join "\n", @err;
	$rival->quit;
}

# What is no client: the launcher and its workers, a replication sender, the session's own parallel workers.
{
	$node->safe_psql('photos', q{SELECT pg_create_logical_replication_slot('changes', 'test_decoding')});
	my ($stream, $err) = ('', '');
	my $receiver = IPC::Run::start(
		[ 'pg_recvlogical', '-d', $node->connstr('photos'), '--slot=changes', '--start', '-f', '-', '--no-loop' ],
		'<', \undef, '>', \$stream, '2>', \$err);
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
	    WHERE datname = 'photos' AND backend_type = 'walsender'}), 'a replication sender on the database');
	succeeds('is no client');
	$receiver->signal('INT');
	$receiver->finish;
	$node->safe_psql('photos', q{SELECT pg_drop_replication_slot('changes')});
	succeeds('nor are parallel workers', before => 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
	  SET min_parallel_table_scan_size = 0; SET force_parallel_mode = on;')
	  if major_of($node) < 16;
}

# pg_dump: a real one that has not finished, as nobody reads what it writes.
{
	my $pid = open(my $dump, '-|', 'pg_dump', '-d', $node->connstr('photos') . ' application_name=pg_dump') or die $!;
	ok($node->poll_query_until('postgres', q{SELECT count(*) > 20 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
	    WHERE a.application_name = 'pg_dump' AND l.mode = 'AccessShareLock'}), 'pg_dump is running');
	my (undef, undef, $err) = revert($node, 'photos', before => "$ignore SET gallery.revert_lock_timeout = '300ms';");
	like($err, qr/^ERROR:  55P03: .*application "pg_dump".*AccessShareLock/ms, 'and is named');
	my $text = do { local $/; <$dump> };
	ok(close $dump, 'the dump ends well');
	like($text, qr/PostgreSQL database dump complete/, 'and is complete');
	succeeds('then the revert succeeds');
}

# Vacuum, by hand and automatic, slowed down so that it is met.
{
	my $vacuum = client('photos', 'vacuum');
	$vacuum->query_safe('SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1;');
	$vacuum->query_until(qr/started/, "\\echo started\nVACUUM (DISABLE_PAGE_SKIPPING) asset;\n");
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_progress_vacuum}), 'a vacuum is running');
	my (undef, undef, $err) = revert($node, 'photos', before => "$ignore SET gallery.revert_lock_timeout = '300ms';");
	like($err, qr/^ERROR:  55P03: .*application "vacuum".*ShareUpdateExclusiveLock on table "asset"/ms, 'and is named');
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'vacuum'});
	eval { $vacuum->quit };

	$node->safe_psql('photos', q{ALTER TABLE asset SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
	  autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)});
	$node->safe_psql('photos', q{UPDATE asset SET "isOffline" = "isOffline"});
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a USING (pid)
	    WHERE a.backend_type = 'autovacuum worker'}), 'an autovacuum is running');
	(undef, undef, $err) = revert($node, 'photos', before => "SET gallery.revert_lock_timeout = '300ms';");
	like($err, qr/^ERROR:  55P03: .*(autovacuum worker|application "", user "", active), ShareUpdateExclusiveLock on table "asset"/ms,
		'it is no client, but named as what holds the lock');
	$node->safe_psql('photos', q{ALTER TABLE asset RESET (autovacuum_vacuum_threshold, autovacuum_vacuum_scale_factor,
	  autovacuum_vacuum_cost_delay, autovacuum_vacuum_cost_limit)});
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_progress_vacuum});
	succeeds('then the revert succeeds');
}
# What holds no table: an index that is rebuilt, a child table elsewhere. The time is bounded all the same, and it is the time for
# all locks together.
{
	my $holder = client('photos', 'holder');
	my $second = client('photos', 'second');
	my $took = sub {
		my ($limit) = @_;
		my $start = time;
		my (undef, undef, $err) = revert($node, 'photos', before => "$ignore SET gallery.revert_lock_timeout = '$limit';");
		return ($err, time - $start);
	};
	$holder->query_safe('BEGIN; REINDEX INDEX asset_pkey;');
	my ($err, $time) = $took->('500ms');
	like($err,
		qr/^ERROR:  55P03: could not read the database within 500 ms\n.*application "holder".*AccessExclusiveLock on index "asset_pkey"/ms,
		'an index that is rebuilt: its session is named');
	cmp_ok($time, '<', 4, 'in time');
	$holder->query_safe('ROLLBACK; CREATE SCHEMA own; CREATE TABLE own.kid () INHERITS (asset);
	  CREATE TABLE own.follower (p uuid REFERENCES person (id) ON DELETE CASCADE);');
	$holder->query_safe('BEGIN; LOCK TABLE own.kid IN ACCESS EXCLUSIVE MODE;');
	($err, $time) = $took->('500ms');
	like($err, qr/^ERROR:  55P03: .*application "holder"/ms, 'a child table elsewhere that is locked: its session is named');
	cmp_ok($time, '<', 4, 'in time');
	$holder->query_safe('ROLLBACK; BEGIN; LOCK TABLE own.follower IN ACCESS EXCLUSIVE MODE;');
	for my $limit ('300ms', '0')
	{
		($err, $time) = $took->($limit);
		# Without any time an autovacuum that happens to be there is in the way as well.
		my $way = $limit eq '0' ? '' : qr/another session got in the way of a step\n.*^DETAIL:  Step: clean, person\./ms;
		like($err, qr/^ERROR:  55P03: $way/m, "limit $limit: a table of somebody's own that a cascade needs") or diag $err;
		cmp_ok($time, '<', 4, 'in time');
	}
	$holder->query_safe('ROLLBACK; SET client_min_messages = error; DROP SCHEMA own CASCADE;');

	$holder->query_safe('BEGIN; LOCK TABLE album IN ACCESS EXCLUSIVE MODE;');
	$second->query_safe('BEGIN; LOCK TABLE asset IN ROW EXCLUSIVE MODE;');
	my $release = IPC::Run::start([ 'sh', '-c', 'sleep 2; kill ' . $holder->query_safe('SELECT pg_backend_pid()') ]);
	($err, $time) = $took->('3s');
	$release->finish;
	like($err, qr/^ERROR:  55P03: could not lock table "asset" within 3000 ms/m, 'first one in the way, then another: refused');
	cmp_ok($time, '<', 4.5, 'after the time for all together');
	$second->query_safe('ROLLBACK;');
	eval { $_->quit } for $holder, $second;
}

# Who changes the catalog needs no lock on a table (for rights on a table, only up to PostgreSQL 17). That shows only when a step
# meets it: an error like that of any lock.
for my $case (
	[ 'a table', 'GRANT SELECT ON user_group TO pg_monitor' ],
	[ 'a function', 'GRANT EXECUTE ON FUNCTION library_after_insert() TO pg_monitor' ])
{
	my ($what, $statement) = @$case;
	my $granter = client('photos', 'granter');
	$granter->query_safe("BEGIN; $statement;");
	my ($out, $text) = ('', '');
	my $reverter = start_session($node, 'photos', 'reverter', \$out, \$text, token(), $ignore, 'BEGIN', 'SELECT gallery_revert()', 'ROLLBACK');
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
	    WHERE application_name = 'reverter' AND wait_event_type IN ('Lock', 'Extension')}), "rights on $what are granted meanwhile");
	$granter->query_safe('COMMIT;');
	$reverter->finish;
	like($text, qr/^ERROR:  55P03: another session got in the way of a step$|^NOTICE:  00000: revert-to-immich: cleanup finished/m,
		'which is no internal error');
	$granter->query_safe($statement =~ s/GRANT/REVOKE/r =~ s/ TO / FROM /r);
	$granter->quit;
	succeeds('and the next try succeeds');
}

# Two sessions, one of which goes on as soon as the other waits between two tries for its locks.
sub meanwhile
{
	my ($database, $statement, $first, $then) = @_;
	my $rival = client($database, 'rival');
	$rival->query_safe("BEGIN; LOCK TABLE album IN ROW EXCLUSIVE MODE; $first");
	my ($out, $err) = ('', '');
	my $one = start_session($node, $database, 'one', \$out, \$err, token(), $ignore, q{SET gallery.revert_lock_timeout = '20s'}, $statement);
	my $waits = $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
	  WHERE application_name = 'one' AND wait_event_type = 'Extension'});
	$then->($rival);
	$one->finish;
	$rival->quit;
	return ($waits, $out, $err);
}

# What another transaction wrote before the first look and commits before the locks is seen, though that needs no new transaction id.
for my $case ([ 'a session', '', 'COMMIT;' ], [ 'a prepared transaction', q{PREPARE TRANSACTION 'moved';}, q{COMMIT PREPARED 'moved';} ])
{
	my ($what, $then, $commit) = @$case;
	my $moved = q{UPDATE asset SET "originalPath" = 'upload/0a' || "originalPath" WHERE id = (SELECT min(id::text)::uuid FROM asset);};
	my ($waits, $out, $err) = meanwhile('photos', 'SELECT gallery_revert()', "$moved $then", sub { $_[0]->query_safe($commit) });
	ok($waits, "a revert waits for $what");
	like($err, qr/^ERROR:  55000: some files are in S3, where Immich cannot read them$/m, 'and sees what it wrote before');
	$node->safe_psql('photos', q{UPDATE asset SET "originalPath" = substr("originalPath", 10) WHERE "originalPath" LIKE 'upload/0a/%'});
}

# What ends a session ends no prepared transaction.
{
	my $end = qr/SELECT pg_terminate_backend\(pid\);/;
	my $prepared = qr/ for a prepared transaction COMMIT PREPARED or ROLLBACK PREPARED with its name/;
	$node->safe_psql('photos', q{BEGIN; LOCK TABLE asset; PREPARE TRANSACTION 'left'});
	my (undef, undef, $err) = revert($node, 'photos', before => q{SET gallery.revert_lock_timeout = '100ms';});
	like($err, qr/^DETAIL:  prepared transaction "left", .*\nHINT:  .*\($end$prepared\), then run/m, 'a prepared transaction: how to end it');
	$node->safe_psql('photos', q{ROLLBACK PREPARED 'left'});
}

# A repair that finds a Gallery under its locks is no revert.
{
	$node->safe_psql('postgres', 'CREATE DATABASE reverted TEMPLATE photos');
	revert($node, 'reverted');
	$node->safe_psql('reverted', q{UPDATE kysely_migrations SET timestamp = '2027-01-01T00:00:00.000Z'
	  WHERE name = (SELECT min(name) FROM kysely_migrations)});
	my ($waits, $out, $err) = meanwhile('reverted', 'SELECT immich_repair_migration_order()', '', sub {
		$_[0]->query_safe(q{CREATE TABLE user_group (id uuid, name text);
		  INSERT INTO kysely_migrations VALUES ('1774300000000-CreateUserGroupTables', '2026-12-01T00:00:00.000Z'); COMMIT;});
	});
	ok($waits, 'a repair waits');
	like($err, qr/^ERROR:  55000: this is a Gallery database$/m, 'and refuses what has become a Gallery meanwhile');
	is($node->safe_psql('reverted', q{SELECT to_regclass('public.user_group')}), 'user_group', 'nothing is dropped');
	$node->safe_psql('postgres', 'DROP DATABASE reverted');
}

# A table that is made anew meanwhile is locked before it is read.
{
	gallery($node, 'newer', '--generation', 'v5.8');
	$node->safe_psql('newer', 'DELETE FROM asset_favorite');
	my $new = q{ALTER TABLE asset_favorite RENAME TO o; CREATE TABLE asset_favorite (LIKE o INCLUDING ALL);
SET LOCAL client_min_messages = error; DROP TABLE o CASCADE; COMMIT;
BEGIN; INSERT INTO asset_favorite ("assetId", "userId") SELECT id, "ownerId" FROM asset ORDER BY id LIMIT 3;};
	my ($waits, $out, $err) = meanwhile('newer', 'SELECT gallery_revert()', '', sub {
		my ($rival) = @_;
		$rival->query_safe($new);
		usleep(500_000);
		$rival->query_safe('COMMIT;');
	});
	ok($waits, 'a revert waits');
	like($out, qr/^v3\.3\.5$/m, 'and succeeds') or diag $err;
	is($node->safe_psql('newer', 'SELECT count(*) FROM asset WHERE "isFavorite"'), '3',
		'the favourites that were added to a table made meanwhile are there');
}
done_testing();
