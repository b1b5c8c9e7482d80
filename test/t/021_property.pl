# Random databases: generation, number of fork migrations and of Immich's, objects that drifted away, rows, disordered
# timestamps, name of the schema. Each is reverted and compared with its twin. GALLERY_REVERT_CASES=N runs N of them (100),
# GALLERY_REVERT_SEED=S begins with seed S (1): GALLERY_REVERT_CASES=1 GALLERY_REVERT_SEED=S runs the case with seed S again.
use strict;
use warnings FATAL => 'all';

use Fixture;
use RandomGallery qw(describe make_case);
use Test::More;
use Twin qw(in_parallel);

my $cases = $ENV{GALLERY_REVERT_CASES} || 100;
my $first = $ENV{GALLERY_REVERT_SEED} || 1;

my $node = Twin::start_node('property');
my @seeds = $first .. $first + $cases - 1;
my @results = in_parallel(
	$node, 2,
	sub {
		my ($twin, $seed) = @_;
		my $case = make_case($seed);
		my $result = eval { $twin->check(Fixture->new(%$case)) } // { differences => ["not made: $@"] };
		print STDERR describe($seed, $case), "\n", map { "  $_\n" } @{ $result->{differences} } if @{ $result->{differences} };
		$twin->forget;
		return { name => describe($seed, $case), differences => $result->{differences} };
	},
	@seeds);

is_deeply($_->{differences}, [], $_->{name}) foreach @results;
my $failed = grep { @{ $_->{differences} } } @results;
note("seeds $first to $seeds[-1]: " . ($cases - $failed) . " of $cases reverted to their twins");

done_testing();
