# A revert that is hit by a fault at every point where one can be put: the cluster starts, everything is as it was, and the next
# try succeeds. test/modules/test_faults.cpp says what a point is. Every boundary of a statement is hit, and a sample of the
# points inside; with GALLERY_REVERT_FAULTS=all every point.
use strict;
use warnings FATAL => 'all';

use Faults qw(%of crash crash_by_kill full_disk hit many no_memory points_of start_faults succeeds unchanged wait_for_server with_preload);
use GalleryTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $all = ($ENV{GALLERY_REVERT_FAULTS} // '') eq 'all';
my $script = PostgreSQL::Test::Utils::tempdir() . '/script.sql';
my $node = start_faults('faults');

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

{
	my ($tried, $done, @wrong) = no_memory($all ? (stride => 11) : (tries => 120));
	is(join("\n", @wrong), '', 'no memory at ' . ($tried - $done) . " allocations, $done that nobody missed: "
		  . 'a clean error, everything as before, the next try succeeds');
}

# Faults that end the session or the server. Every other boundary of a step, and a sample of the points inside.
my @some = $all ? @steps : @steps[ grep { $_ % 2 == 0 } 0 .. $#steps ];

{
	my @wrong;
	my @numbers = numbers(60, @steps);
	for my $number (@numbers)
	{
		my ($status, undef, $err) = hit('terminate', $number);
		push @wrong, "point $number: status $status, $err" if $status != 2 || $err !~ /57P01/;
		push @wrong, "rows after $number" if $node->safe_psql('photos', 'SELECT test.fingerprint()') ne $of{fingerprint};
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
		push @wrong, crash_by_kill($number);
		push @wrong, "next try after $number" if !succeeds();
	}
	is(join("\n", @wrong), '',
		'SIGKILL to the backend at ' . @numbers . ' points: the server recovers, everything as before, the next try succeeds');
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
			open my $file, '>', $script or die $!;
			print $file token() . "$begin\nSELECT test.fault('wait', $number);\nSELECT gallery_revert();\n";
			close $file or die $!;
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
			push @wrong, "rows after $number" if $node->safe_psql('photos', 'SELECT test.fingerprint()') ne $of{fingerprint};
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
	full_disk('/base/');
	my ($status, undef, $err) = revert($node, 'big');
	full_disk();
	is($status, 3, 'data disk full: the revert fails');
	like($err, qr/ERROR:  53100: could not (extend|write)/, 'with SQLSTATE 53100');
	is(state_of($node, 'big') eq $big, 1, 'everything is as before');
	is((revert($node, 'big', before => 'BEGIN;', after => 'ROLLBACK;'))[1], 'v2.7.5', 'with room again the next try succeeds');

	$node->safe_psql('big', 'CHECKPOINT');
	full_disk('/pg_wal/');
	($status, undef, $err) = revert($node, 'big');
	isnt($status, 0, 'log disk full: the revert fails') or diag $err;
	like(slurp_file($node->logfile), qr/could not (write to|extend) file "pg_wal.*No space left on device/, 'for that reason');
	full_disk();
	if (!wait_for_server())
	{
		$node->{_pid} = undef;
		with_preload(sub { $node->start });
	}
	is(state_of($node, 'big') eq $big, 1, 'everything is as before');
	is((revert($node, 'big', before => 'BEGIN;', after => 'ROLLBACK;'))[1], 'v2.7.5', 'with room again the next try succeeds');
	$node->safe_psql('postgres', 'DROP DATABASE big');
}

# A committed revert stays, whatever happens then.
{
	my ($status, $tag) = revert($node, 'photos');
	is($tag, 'v2.7.5', 'the last try, for good');
	my $reverted = state_of($node, 'photos');
	isnt($reverted, $of{before}, 'is another database');
	$node->stop('immediate');
	with_preload(sub { $node->start });
	is(state_of($node, 'photos') eq $reverted, 1, 'and is as reverted after an immediate stop');
}
done_testing();
