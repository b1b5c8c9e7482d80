# The faults of test/t/051_faults.pl at the steps that keep what a revert takes away, and at those of the way back: wherever one is hit,
# everything is as it was, and the next try succeeds. With GALLERY_REVERT_FAULTS=all at every step, else at a sample.
use strict;
use warnings FATAL => 'all';

use Again qw(start_again);
use Faults qw(%of crash crash_by_kill full_disk hit look_before many no_memory points_of start_faults succeeds unchanged);
use Fixture;
use GalleryTest;
use Test::More;

my $all = ($ENV{GALLERY_REVERT_FAULTS} // '') eq 'all';
my $node = start_faults('keeping');

# One of so many of a list, from its middle on.
sub every { my ($nth, @list) = @_; return $all ? @list : @list[ grep { $_ % $nth == int($nth / 2) } 0 .. $#list ] }

# Every kind of fault at these points.
sub faults_at
{
	my ($what, $allocations, @points) = @_;
	my @numbers = map { $_->[0] } @points;
	for my $fault ([ error => '58030', 'injected fault' ], [ cancel => '57014', 'canceling statement due to user request' ])
	{
		my ($action, $code, $message) = @$fault;
		my ($hit, @wrong) = many(sub { "test.fault('$action', $_[0])" }, 0, @numbers);
		push @wrong, map { "point $_->[0]: SQLSTATE $_->[1] $_->[2]" } grep { $_->[1] ne $code || $_->[2] ne $message } @$hit;
		is(join("\n", @wrong), '', "$action at " . @$hit . " points of $what: everything as before, the next try succeeds");
	}
	my ($tried, undef, @wrong) = no_memory(tries => $allocations);
	is(join("\n", @wrong), '', "no memory at $tried allocations within $what: a clean error, everything as before, the next try succeeds");

	@wrong = ();
	for my $number (every(6, @numbers))
	{
		my ($status, undef, $err) = hit('terminate', $number);
		push @wrong, "point $number: status $status, $err" if $status != 2 || $err !~ /57P01/;
		push @wrong, "rows after $number" if $node->safe_psql('photos', 'SELECT test.fingerprint()') ne $of{fingerprint};
	}
	push @wrong, map { crash_by_kill($_) } every(12, @numbers);
	for my $number ($all ? every(4, @numbers) : $numbers[ @numbers / 2 ])
	{
		push @wrong, "status of the stop at $number" if crash($number) != 2;
		push @wrong, "state after the stop at $number" if !unchanged();
	}
	push @wrong, 'next try' if !succeeds();
	is(join("\n", @wrong), '', "terminate, SIGKILL and immediate stop within $what: everything as before, the next try succeeds");

	full_disk('/base/');
	my ($status, undef, $err) = hit('show', 0);
	full_disk();
	like($err, qr/^ERROR:  53100: could not (extend|write)/m, "a full disk within $what: the server's error");
	is_deeply([ $status, unchanged(), succeeds() ], [ 3, 1, 1 ], 'everything as before, the next try succeeds');
	return;
}

my $keep = q{SET gallery.revert_archive = on; SET gallery.revert_spaces = 'albums'; SET gallery.revert_pets = 'people';};

# What is written before the locks: nothing of it is left.
{
	local $of{settings} = $keep;
	my @points = points_of();
	my @archive = grep { $_->[1] == 1 && $_->[3] =~ /gallery_archive/ && $_->[3] =~ /^(CREATE|COMMENT|INSERT)/ } @points;
	my @albums = grep { $_->[1] == 1 && $_->[3] =~ /^(INSERT INTO|UPDATE|MERGE) (public\.)?("?album|person|"?shared_link)/ } @points;
	cmp_ok(scalar @archive, '>=', 30, @archive . ' boundaries of steps of the archive');
	cmp_ok(scalar @albums, '>=', 6, @albums . ' boundaries of steps that make albums of spaces');
	faults_at('a revert that keeps all it can', 60, every(2, @archive), every(2, @albums));
}

# The way back from such a revert, after a start of Gallery.
{
	my ($status, undef, $err) = revert($node, 'photos', before => $keep);
	is($status, 0, 'reverted for good') or diag($err);
	script($node, 'photos', start_again(Fixture->new(assets => 200)));
	look_before();
	local $of{settings} = q{SET gallery.return_token = 'i_know_what_i_do';};
	local $of{call} = 'SELECT gallery_return();';
	local $of{result} = 'run 1 is back: ';
	my @back = grep { $_->[1] == 1 && $_->[3] =~ /^(ALTER TABLE|INSERT|UPDATE)/ } points_of();
	cmp_ok(scalar @back, '>=', 60, @back . ' boundaries of steps of the way back');
	faults_at('the way back', 30, every(8, @back));
}
done_testing();
