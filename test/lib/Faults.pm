# Faults at the points of a statement, in a cluster that outlives them: what the tests of them share. test/modules/test_faults.cpp says
# what a point is.
package Faults;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use GalleryTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT_OK = qw(%of crash crash_by_kill full_disk hit look_before many no_memory points_of start_faults succeeds
	unchanged wait_for_server with_preload);

# Of what is hit: the settings before it, the statement, how its result begins; and the database before it.
our %of = (settings => '', call => 'SELECT gallery_revert();', result => 'v2.7.5');
my $module = root() . '/build/test_faults.so';
my $preload = root() . '/build/test_preload.so';
my ($node, $full);

# The server, and only it, gets the library that makes allocations and writes fail.
sub with_preload
{
	my ($start) = @_;
	local $ENV{LD_PRELOAD} = $preload;
	local $ENV{TEST_FULL_DISK} = $full;
	return $start->();
}

# From now on no file of this path can grow; without a path, all can again.
sub full_disk
{
	my ($path) = @_;
	return unlink $full if !defined $path;
	open my $file, '>', $full or die $!;
	print $file $path;
	close $file or die $!;
	return;
}

# A cluster with the database photos.
sub start_faults
{
	my ($name) = @_;
	$full = PostgreSQL::Test::Utils::tempdir() . '/full';
	$node = with_preload(sub {
		return new_node($name, init => [ extra => ['--wal-segsize=1'] ],
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
	look_before();
	return $node;
}

# The database as it is now is what a fault must leave.
sub look_before
{
	$of{before} = state_of($node, 'photos');
	$of{session} = $node->safe_psql('photos', 'SELECT test.session()');
	$of{fingerprint} = $node->safe_psql('photos', 'SELECT test.fingerprint()');
	return;
}

sub unchanged { return state_of($node, 'photos') eq $of{before} }

# The next try, undone so that the database serves again.
sub succeeds
{
	return (revert($node, 'photos', before => "$of{settings} BEGIN;", instead => $of{call}, after => 'ROLLBACK;'))[1] =~ /^$of{result}/;
}

# The points of a revert, each as [number, depth, what, text].
sub points_of
{
	my (undef, undef, $shown) = revert($node, 'photos', before => qq{$of{settings} BEGIN; \\o /dev/null
SELECT test.fault('show', 0);}, instead => $of{call}, after => 'ROLLBACK;');
	return map { /NOTICE:  00000: point (\d+), depth (\d+), (\w+): (.*)/ ? [ $1, $2, $3, $4 ] : () } split /\n/, $shown;
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
		my $script = token() . "$of{settings}\n\\set ON_ERROR_STOP 0\n";
		$script .= 'SELECT FROM ' . $arm->($_) . ";\n$begin\n$of{call}\n"
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
			push @wrong, "$_ instead of $of{fingerprint}|$of{session}" if $rows ne $of{fingerprint} || $state ne $of{session};
		}
		push @wrong, "state after $batch[-1]" if !unchanged();
		push @wrong, "second try after $batch[-1]" if !succeeds();
	}
	return (\@hit, @wrong);
}

# Memory: the n-th allocation fails, the server's as well as C++'s, for every n of such a stride or for so many of them. Returns how many
# were tried, how many of them nobody missed, and what was not as it should be. A few the server can do without; where the C library's
# conversion of characters fails for want of memory, the server takes the character for invalid (22021), and where making
# its locale fails, there is none of that name (22023). Where OpenSSL finds none for a hash, the server calls that an internal error.
my $openssl = qr/^could not (?:compute MD5 hash|initialize SHA256 context): /;
sub no_memory
{
	my (%option) = @_;
	my (undef, $counted) = revert($node, 'photos', before => "$of{settings} \\o /dev/null\nSELECT test.allocations(-1);\nBEGIN;",
		instead => $of{call}, after => "ROLLBACK;\n\\o\nSELECT test.allocations(0);");
	my @wrong = $counted > 10000 ? () : "$counted allocations";
	my $stride = $option{stride} // int($counted / $option{tries});
	my ($hit, @found) = many(sub { "test.allocations($_[0])" }, 1, map { 1 + $_ * $stride } 0 .. int(($counted - 1) / $stride));
	my $done = grep { $_->[1] eq '00000' } @$hit;
	push @wrong, @found, map { "allocation $_->[0]: SQLSTATE $_->[1] $_->[2]" }
		grep { $_->[1] !~ /^(53200|22021|22023|00000)$/ && $_->[2] !~ $openssl } @$hit;
	push @wrong, "$done of " . @$hit . ' did not fail' if $done * 5 > @$hit;
	return (scalar @$hit, $done, @wrong);
}

# The statement, with a fault at a point.
sub hit
{
	my ($action, $number, %option) = @_;
	return revert($node, 'photos', before => "$of{settings} SELECT test.fault('$action', $number);", instead => $of{call}, %option);
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

# SIGKILL to the backend at a point. Returns what was not as it should be.
sub crash_by_kill
{
	my ($number) = @_;
	my $log = -s $node->logfile;
	my ($status) = hit('kill', $number);
	my @wrong = $status == 2 ? () : "point $number: status $status";
	# Until the server has noticed, it still lets sessions in, which then end with all others.
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $log);
	push @wrong, "no server after $number" if !wait_for_server();
	push @wrong, "state after $number" if !unchanged();
	return @wrong;
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

1;
