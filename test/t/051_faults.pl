# A revert that is hit by a fault at every point where one can be put: the cluster starts, everything is as it was, and the next
# try succeeds. test/modules/test_faults.cpp says what a point is. Every boundary of a statement is hit, and a sample of the
# points inside; with GALLERY_REVERT_FAULTS=all every point.
use strict;
use warnings FATAL => 'all';

use Again qw(start_again);
use Fixture;
use GalleryTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $all = ($ENV{GALLERY_REVERT_FAULTS} // '') eq 'all';
my $module = root() . '/build/test_faults.so';
my $preload = root() . '/build/test_preload.so';
my $full = PostgreSQL::Test::Utils::tempdir() . '/full';
my $script = PostgreSQL::Test::Utils::tempdir() . '/script.sql';
our $settings = ''; # of the reverts
our $call = 'SELECT gallery_revert();';
our $result = 'v2.7.5';
my $node;

# The server, and only it, gets the library that makes allocations and writes fail.
sub with_preload
{
	my ($start) = @_;
	local $ENV{LD_PRELOAD} = $preload;
	local $ENV{TEST_FULL_DISK} = $full;
	return $start->();
}

sub write_file { my ($path, $text) = @_; open my $file, '>', $path or die $!; print $file $text; close $file or die $!; return }

$node = with_preload(sub {
	return new_node('faults', init => [ extra => ['--wal-segsize=1'] ],
		conf => [ 'autovacuum = off', 'restart_after_crash = on', 'min_wal_size = 2MB', 'max_wal_size = 4MB', 'max_connections = 20' ]);
});
gallery($node, 'photos');
$node->safe_psql('photos', <<"SQL");
CREATE SCHEMA test;
CREATE FUNCTION test.fault(text, int) RETURNS void AS '$module', 'test_fault' LANGUAGE c;
CREATE FUNCTION test.points() RETURNS int AS '$module', 'test_points' LANGUAGE c;
CREATE FUNCTION test.allocations(int) RETURNS bigint AS '$module', 'test_allocations' LANGUAGE c;
-- Every row that can be seen, by the transaction that wrote it and its place, in the catalogs and in all tables.
CREATE FUNCTION test.fingerprint() RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE
  r record; part numeric; total numeric := 0;
BEGIN
  FOR r IN SELECT c.oid::regclass AS t FROM pg_class c WHERE c.relkind = 'r' AND (c.relnamespace IN
      ('public'::regnamespace, to_regnamespace('gallery_archive'))
      OR c.oid IN ('pg_class'::regclass, 'pg_attribute'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass, 'pg_trigger'::regclass,
        'pg_constraint'::regclass, 'pg_index'::regclass, 'pg_attrdef'::regclass, 'pg_depend'::regclass, 'pg_description'::regclass,
        'pg_db_role_setting'::regclass, 'pg_authid'::regclass, 'pg_namespace'::regclass)) LOOP
    EXECUTE format('SELECT coalesce(sum(hashtextextended(tableoid || ctid::text || xmin::text, 0)::numeric), 0) FROM %s', r.t) INTO part;
    total := total + part;
  END LOOP;
  RETURN total;
END \$\$;
-- What a refused revert must leave of a session: its settings and no lock.
CREATE FUNCTION test.session() RETURNS text LANGUAGE sql AS \$\$
  SELECT concat_ws(' ', current_setting('search_path'), current_setting('lock_timeout'), current_setting('row_security'),
    (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'))
\$\$;
SQL
my $before = state_of($node, 'photos');
my $session = $node->safe_psql('photos', 'SELECT test.session()');
my $fingerprint = $node->safe_psql('photos', 'SELECT test.fingerprint()');

sub unchanged { return state_of($node, 'photos') eq $before }

# The next try, undone so that the database serves again.
sub succeeds { return (revert($node, 'photos', before => "$settings BEGIN;", instead => $call, after => 'ROLLBACK;'))[1] =~ /^$result/ }

# The points of a revert, each as [number, depth, what, text].
sub points_of
{
	my (undef, undef, $shown) = revert($node, 'photos', before => qq{$settings BEGIN; \\o /dev/null
SELECT test.fault('show', 0);}, instead => $call, after => 'ROLLBACK;');
	return map { /NOTICE:  00000: point (\d+), depth (\d+), (\w+): (.*)/ ? [ $1, $2, $3, $4 ] : () } split /\n/, $shown;
}
sub archive_points
{
	local $settings = 'SET gallery.revert_archive = on;';
	return grep { $_->[1] == 1 && $_->[3] =~ /gallery_archive/ && $_->[3] =~ /^(CREATE|COMMENT|INSERT)/ } points_of();
}
my @points = points_of();
my @boundaries = grep { $_->[1] <= 1 } @points;
my @steps = grep { $_->[1] == 1 && $_->[3] =~ /^(DROP|ALTER|DELETE|UPDATE)/ } @points;
my @inside = grep { $_->[1] > 1 } @points;
my $commit = @points + 1;
cmp_ok(scalar @steps, '>=', 40,
	scalar(@points) . ' points, ' . scalar(@boundaries) . ' boundaries of statements, ' . scalar(@steps) . ' boundaries of steps');
is($points[-1][0], scalar @points, 'no point was missed');

# Numbers of the given points, and of every n-th of those inside of statements.
sub numbers
{
	my ($every, @chosen) = @_;
	my %number = map { $_->[0] => 1 } @chosen;
	for my $i (0 .. $#inside) { $number{ $inside[$i][0] } = 1 if $all || $i % $every == $every / 2 }
	return sort { $a <=> $b } keys %number;
}

# Many faults that a session survives: after each, the rows are the same, the session's settings too, no lock is held.
# $arm gives the call that prepares fault n. Returns a list of [n, SQLSTATE, message], and what was not as it should be.
sub many
{
	my ($arm, $transaction, @numbers) = @_;
	my (@hit, @wrong);
	while (my @batch = splice @numbers, 0, 50)
	{
		my ($begin, $end) = $transaction ? ('BEGIN;', 'ROLLBACK;') : ('', '');
		my $script = token() . "$settings\n\\set ON_ERROR_STOP 0\n";
		$script .= 'SELECT FROM ' . $arm->($_) . ";\n$begin\n$call\n"
		  . "\\set code :SQLSTATE\n\\set text :LAST_ERROR_MESSAGE\n$end\n"
		  . "SELECT concat_ws('|', $_, :'code', test.fingerprint(), test.session(), :'text');\n" foreach @batch;
		my ($out, $err) = ('', '');
		IPC::Run::run([ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('photos') ],
			'<', \$script, '>', \$out, '2>', \$err, IPC::Run::timeout(600));
		my @lines = grep { /^\d+\|/ } split /\n/, $out;
		push @wrong, scalar(@batch) . ' tries, ' . scalar(@lines) . ' results: ' . substr $err, -2000 if @lines != @batch;
		for (@lines)
		{
			my ($number, $code, $rows, $state, $text) = split /\|/, $_, 5;
			push @hit, [ $number, $code, $text ];
			push @wrong, "$_ instead of $fingerprint|$session" if $rows ne $fingerprint || $state ne $session;
		}
		push @wrong, "state after $batch[-1]" if !unchanged();
		push @wrong, "second try after $batch[-1]" if !succeeds();
	}
	return (\@hit, @wrong);
}

# The message too: it must come out as it went in, from wherever it was raised.
for my $fault (
	[ error => '58030', 'injected fault', 12, @boundaries, [$commit] ],
	[ cancel => '57014', 'canceling statement due to user request', 30, @steps ])
{
	my ($action, $code, $message, $every, @chosen) = @$fault;
	my ($hit, @wrong) = many(sub { "test.fault('$action', $_[0])" }, 0, numbers($every, @chosen));
	push @wrong, map { "point $_->[0]: SQLSTATE $_->[1] $_->[2]" } grep { $_->[1] ne $code || $_->[2] ne $message } @$hit;
	is(join("\n", @wrong), '', "$action at " . @$hit . " points: SQLSTATE $code, everything as before, the next try succeeds");
}

# Memory: the n-th allocation fails, the server's as well as C++'s. A few it can do without; where the C library's conversion of
# characters fails for want of memory, the server takes the character for invalid (22021), and where making
# its locale fails, there is none of that name (22023). Where OpenSSL finds none for a hash, the server calls that an internal error.
my $openssl = qr/^could not (?:compute MD5 hash|initialize SHA256 context): /;
{
	my (undef, $counted) = revert($node, 'photos', before => q{\o /dev/null
SELECT test.allocations(-1);
BEGIN;}, after => "ROLLBACK;\n\\o\nSELECT test.allocations(0);");
	cmp_ok($counted, '>', 10000, "$counted allocations");
	my $stride = $all ? 11 : int($counted / 120);
	my ($hit, @wrong) = many(sub { "test.allocations($_[0])" }, 1, map { 1 + $_ * $stride } 0 .. int(($counted - 1) / $stride));
	my $done = grep { $_->[1] eq '00000' } @$hit;
	push @wrong, map { "allocation $_->[0]: SQLSTATE $_->[1] $_->[2]" }
		grep { $_->[1] !~ /^(53200|22021|22023|00000)$/ && $_->[2] !~ $openssl } @$hit;
	push @wrong, "$done of " . @$hit . ' did not fail' if $done * 5 > @$hit;
	is(join("\n", @wrong), '', 'no memory at ' . (@$hit - $done) . " allocations, $done that nobody missed: "
		  . 'a clean error, everything as before, the next try succeeds');
}

# Faults that end the session or the server. Every other boundary of a step, and a sample of the points inside.
my @some = $all ? @steps : @steps[ grep { $_ % 2 == 0 } 0 .. $#steps ];

sub hit
{
	my ($action, $number, %option) = @_;
	return revert($node, 'photos', before => "$settings SELECT test.fault('$action', $number);", instead => $call, %option);
}

sub wait_for_server
{
	for (1 .. 600)
	{
		# Nothing is written to psql, which may be gone before it could read it.
		return 1 if IPC::Run::run([ 'psql', '-X', '-c', 'SELECT 1', '-d', $node->connstr('photos') ], '<', \undef, '>', \my $out, '2>', \my $err);
		usleep(100_000);
	}
	return 0;
}

{
	my @wrong;
	my @numbers = numbers(60, @steps);
	for my $number (@numbers)
	{
		my ($status, undef, $err) = hit('terminate', $number);
		push @wrong, "point $number: status $status, $err" if $status != 2 || $err !~ /57P01/;
		push @wrong, "rows after $number" if $node->safe_psql('photos', 'SELECT test.fingerprint()') ne $fingerprint;
	}
	push @wrong, 'state' if !unchanged();
	push @wrong, 'next try' if !succeeds();
	is(join("\n", @wrong), '', 'terminate at ' . @numbers . ' points: SQLSTATE 57P01, everything as before, the next try succeeds');
}

{
	my @wrong;
	my @numbers = $all ? numbers(10, @steps) : map { $_->[0] } @some[ grep { $_ % 4 == 0 } 0 .. $#some ];
	for my $number (@numbers)
	{
		my $log = -s $node->logfile;
		my ($status) = hit('kill', $number);
		push @wrong, "point $number: status $status" if $status != 2;
		# Until the server has noticed, it still lets sessions in, which then end with all others.
		$node->wait_for_log(qr/all server processes terminated; reinitializing/, $log);
		push @wrong, "no server after $number" if !wait_for_server();
		push @wrong, "state after $number" if !unchanged();
		push @wrong, "next try after $number" if !succeeds();
	}
	is(join("\n", @wrong), '',
		'SIGKILL to the backend at ' . @numbers . ' points: the server recovers, everything as before, the next try succeeds');
}

# The whole server stops at once, as by pg_ctl stop -m immediate or a loss of power.
sub crash
{
	my ($number, %option) = @_;
	my ($status) = hit('stop', $number, %option);
	# The postmaster is gone; the module only believes what it stopped itself.
	for (1 .. 300)
	{
		# The file may go between two looks.
		my $pid = eval { (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0] };
		last if !$pid || !kill 0, $pid;
		usleep(100_000);
	}
	$node->{_pid} = undef;
	with_preload(sub { $node->start });
	return $status;
}

{
	my @wrong;
	my @numbers = (($all ? numbers(10, @steps) : numbers(120, @some)), $commit);
	for my $number (@numbers)
	{
		my $status = crash($number);
		push @wrong, "point $number: status $status" if $status != 2;
		push @wrong, "state after $number" if !unchanged();
		push @wrong, "next try after $number" if !succeeds();
	}
	is(join("\n", @wrong), '', 'immediate stop at ' . @numbers . ' points: the cluster starts, everything as before, the next try succeeds');
}

# The client is lost: killed while the server works, in a transaction of its own or with the function as the whole transaction.
# Then the server either does all of it or nothing; here it notices in time.
{
	my @wrong;
	my @numbers = map { $_->[0] } @some[ grep { $_ % 3 == 0 } 0 .. $#some ];
	for my $number (@numbers)
	{
		for my $begin ('BEGIN;', 'SET client_connection_check_interval = 50;')
		{
			write_file($script, token() . "$begin\nSELECT test.fault('wait', $number);\nSELECT gallery_revert();\n");
			my $client = IPC::Run::start(
				[ 'psql', '-X', '-d', $node->connstr('photos') . ' application_name=lost', '-f', $script ],
				'<', \undef, '>&', \my $out);
			push @wrong, "point $number was not reached" if !$node->poll_query_until('photos',
				q{SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'lost' AND query LIKE '%gallery_revert%' AND state = 'active'});
			usleep(500_000);
			$client->kill_kill(grace => 0);
			$client->finish;
			push @wrong, "the session stays after $number"
				if !$node->poll_query_until('photos', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'lost'});
			push @wrong, "rows after $number" if $node->safe_psql('photos', 'SELECT test.fingerprint()') ne $fingerprint;
		}
	}
	push @wrong, 'state' if !unchanged();
	push @wrong, 'next try' if !succeeds();
	is(join("\n", @wrong), '', 'client lost ' . 2 * @numbers . ' times: everything as before, the next try succeeds');
}

# A full disk, as far as the server can tell: no file of the database can grow; then no file of the write-ahead log.
{
	$node->safe_psql('postgres', 'CREATE DATABASE big TEMPLATE photos');
	# Enough audit rows for new pages.
	$node->safe_psql('big', q{INSERT INTO person ("ownerId", name, type, species)
	  SELECT u.id, 'Rex', 'pet', 'dog' FROM (SELECT id FROM "user" LIMIT 1) u, generate_series(1, 20000)});
	my $big = state_of($node, 'big');
	write_file($full, '/base/');
	my ($status, undef, $err) = revert($node, 'big');
	unlink $full;
	is($status, 3, 'data disk full: the revert fails');
	like($err, qr/ERROR:  53100: could not (extend|write)/, 'with SQLSTATE 53100');
	is(state_of($node, 'big') eq $big, 1, 'everything is as before');
	is((revert($node, 'big', before => 'BEGIN;', after => 'ROLLBACK;'))[1], 'v2.7.5', 'with room again the next try succeeds');

	$node->safe_psql('big', 'CHECKPOINT');
	write_file($full, '/pg_wal/');
	($status, undef, $err) = revert($node, 'big');
	isnt($status, 0, 'log disk full: the revert fails') or diag $err;
	like(slurp_file($node->logfile), qr/could not (write to|extend) file "pg_wal.*No space left on device/, 'for that reason');
	unlink $full;
	if (!wait_for_server())
	{
		$node->{_pid} = undef;
		with_preload(sub { $node->start });
	}
	is(state_of($node, 'big') eq $big, 1, 'everything is as before');
	is((revert($node, 'big', before => 'BEGIN;', after => 'ROLLBACK;'))[1], 'v2.7.5', 'with room again the next try succeeds');
	$node->safe_psql('postgres', 'DROP DATABASE big');
}

# Every kind of fault at these boundaries of steps, and failed allocations, SIGKILL and an immediate stop among them.
sub faults_within
{
	my ($what, $allocations, @points) = @_;
	for my $fault ([ error => '58030', 'injected fault' ], [ cancel => '57014', 'canceling statement due to user request' ])
	{
		my ($action, $code, $message) = @$fault;
		my ($hit, @wrong) = many(sub { "test.fault('$action', $_[0])" }, 0, map { $_->[0] } @points);
		push @wrong, map { "point $_->[0]: SQLSTATE $_->[1] $_->[2]" } grep { $_->[1] ne $code || $_->[2] ne $message } @$hit;
		is(join("\n", @wrong), '', "$action at " . @$hit . " points of $what: everything as before, the next try succeeds");
	}
	my (undef, $counted) = revert($node, 'photos', before => "$settings \\o /dev/null\nSELECT test.allocations(-1);\nBEGIN;",
		instead => $call, after => "ROLLBACK;\n\\o\nSELECT test.allocations(0);");
	my $stride = int($counted / $allocations);
	my ($hit, @wrong) = many(sub { "test.allocations($_[0])" }, 1, map { 1 + $_ * $stride } 0 .. int(($counted - 1) / $stride));
	push @wrong, map { "allocation $_->[0]: SQLSTATE $_->[1] $_->[2]" }
		grep { $_->[1] !~ /^(53200|22021|22023|00000)$/ && $_->[2] !~ $openssl } @$hit;
	is(join("\n", @wrong), '', 'no memory at ' . @$hit . " allocations within $what: "
		. 'a clean error, everything as before, the next try succeeds');

	@wrong = ();
	for my $number (map { $points[$_][0] } grep { $_ % 12 == 6 } 0 .. $#points)
	{
		my $log = -s $node->logfile;
		my ($status) = hit('kill', $number);
		push @wrong, "point $number: status $status" if $status != 2;
		$node->wait_for_log(qr/all server processes terminated; reinitializing/, $log);
		push @wrong, "no server after $number" if !wait_for_server();
		push @wrong, "state after $number" if !unchanged();
	}
	push @wrong, 'status of the stop' if crash($points[ @points / 2 ][0]) != 2;
	push @wrong, 'state after the stop' if !unchanged();
	push @wrong, 'next try' if !succeeds();
	is(join("\n", @wrong), '', "SIGKILL and immediate stop within $what: everything as before, the next try succeeds");
	return;
}

# The same with an archive, which is written before the locks: nothing of it is left, wherever its steps are hit.
{
	my @archive = archive_points();
	local $settings = 'SET gallery.revert_archive = on;';
	cmp_ok(scalar @archive, '>=', 30, @archive . ' boundaries of steps of the archive');
	faults_within('the archive', 60, @archive);
}

# A committed revert stays, whatever happens then.
{
	my ($status, $tag) = revert($node, 'photos', before => 'SET gallery.revert_archive = on;');
	is($tag, 'v2.7.5', 'the last try, for good');
	my $reverted = state_of($node, 'photos');
	isnt($reverted, $before, 'is another database');
	$node->stop('immediate');
	with_preload(sub { $node->start });
	is(state_of($node, 'photos') eq $reverted, 1, 'and is as reverted after an immediate stop');
}

# The way back from that revert, after a start of Gallery: a sample of the boundaries of its steps.
{
	my ($out, $err) = ('', '');
	my $again = start_again(Fixture->new(assets => 200));
	IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('photos') ], '<', \$again, '>', \$out, '2>', \$err)
	  or die $err;
	local $settings = q{SET gallery.return_token = 'i_know_what_i_do';};
	local $call = 'SELECT gallery_return();';
	local $result = 'run 1 is back: ';
	$before = state_of($node, 'photos');
	$fingerprint = $node->safe_psql('photos', 'SELECT test.fingerprint()');
	is($node->safe_psql('photos', q(SELECT count(*) > 0 FROM gallery_archive.rows)), 't', 'there is an archive, and Gallery started again');
	my @back = grep { $_->[1] == 1 && $_->[3] =~ /^(ALTER TABLE|INSERT|UPDATE)/ } points_of();
	cmp_ok(scalar @back, '>=', 60, @back . ' boundaries of steps of the way back');
	@back = @back[ grep { $_ % 8 == 4 } 0 .. $#back ] if !$all;
	faults_within('the way back', 30, @back);
}

done_testing();
