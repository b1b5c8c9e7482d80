# Every Gallery generation, in "public" and in a schema with an odd name, and every state between two releases (each prefix
# of the fork's migrations), is reverted and compared with its twin: catalog, every row, ledger, bookkeeping, target.
use strict;
use warnings FATAL => 'all';

use File::Path qw(make_path);
use Fixture;
use Fixture::Facts;
use Test::More;
use Twin qw(in_parallel);

my $assets = 240;
my @odd = ('my "photos"', 'Immich 2', 'Order', q(it's), 'a.b', 'dollar$x', "\xd1\x84\xd0\xbe\xd1\x82\xd0\xbe", 'back\\slash');
my @generations = Fixture::Facts::generation_names();

my (@full, @prefixes, %seen);
foreach my $i (0 .. $#generations)
{
	my %case = (generation => $generations[$i], assets => $assets, seed => $i + 1);
	push @full, {%case}, { %case, schema => $odd[ $i % @odd ] };
	my @fork = Fixture::Facts::fork_ledger($generations[$i]);
	my $facts = Fixture::Facts::generations()->{ $generations[$i] };
	my $state = "$facts->{layout} ";
	foreach my $prefix (1 .. $#fork)
	{
		# Two generations share their first states as long as Immich's migrations are as many. Up to RepointFaceReview...
		# these are at most 94.
		my $name = $fork[ $prefix - 1 ]{name};
		$state .= "$name ";
		my $count = $name lt $Fixture::Ledger::repoint && $facts->{native} > 94 ? 94 : $facts->{native};
		push @prefixes, { %case, prefix => $prefix } if !$seen{"$count $state"}++;
	}
}

my $node = Twin::start_node('generations');
my @results = in_parallel(
	$node, 2,
	sub {
		my ($twin, $case) = @_;
		my $fixture = Fixture->new(%$case);
		return $case->{prefix} ? $twin->check($fixture) : $twin->check_committed($fixture);
	},
	@full, @prefixes);

my %found;
foreach my $case (@full, @prefixes)
{
	my $result = shift @results;
	my $name = $case->{generation} . ($case->{prefix} ? ", first $case->{prefix}" : '') . ($case->{schema} ? ", schema $case->{schema}" : '');
	is_deeply($result->{differences}, [], $name);
	my $of = $found{ $case->{generation} } //= { states => 0, differences => 0 };
	$of->{states}++;
	$of->{differences} += @{ $result->{differences} };
	$of->{result} //= $result;
}

my @table = (
	'| Gallery | Immich base | Migrations: Immich | Gallery | States reverted | Tables dropped | Rows restored '
		. '| cleaned | settings | ledger | Switch to | Differences |',
	'| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
foreach my $generation (@generations)
{
	my $fixture = Fixture->new(generation => $generation);
	my ($facts, $of) = ($fixture->{facts}, $found{$generation});
	my $result = $of->{result};
	push @table, sprintf '| v%s | v%s | %s |', $facts->{version}, $facts->{immich}, join ' | ', $fixture->native_count,
		scalar(my @fork = $fixture->fork_names), $of->{states}, $result->{tables} // '-',
		(map { $result->{rows}{$_} // 0 } qw(restore clean settings ledger)), $result->{returned} // '-', $of->{differences};
}
note($_) foreach @table;
if ($ENV{TESTLOGDIR})
{
	make_path($ENV{TESTLOGDIR});
	open(my $file, '>', "$ENV{TESTLOGDIR}/generations.md") or die "could not write the table: $!";
	print $file map { "$_\n" } @table;
	close($file);
}

done_testing();
