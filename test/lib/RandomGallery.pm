# Random databases: generation, number of fork migrations and of Immich's, objects that drifted away, rows, disordered timestamps, name
# of the schema. A case is its seed.
package RandomGallery;

use strict;
use warnings FATAL => 'all';

use Digest::MD5 qw(md5_hex);
use Exporter    qw(import);
use Fixture;
use Fixture::Facts;

our @EXPORT_OK = qw(describe make_case);

my @generations = Fixture::Facts::generation_names();
my $facts = Fixture::Facts::generations();

# Numbers that are the same on every machine: the case is its seed.
sub generator
{
	my ($seed) = @_;
	my $drawn = 0;
	return sub {
		my ($below) = @_;
		return hex(substr(md5_hex("$seed " . ++$drawn), 0, 8)) % $below;
	};
}

# Objects whose loss changes what Gallery's data means rather than what a revert must do: nobody can tell a pet's face
# without the key of pet_search, or whose favourite a row without a user is.
my $meaning = qr/^(column:(asset_favorite|pet_search):|constraint:pet_search:|constraint:asset_favorite:)/;

sub schema_name
{
	my ($random) = @_;
	return 'public' if $random->(3) == 0;
	my @letters = ('a' .. 'z', 'A' .. 'Z', ' ', '"', q('), '.', '-', '$', '\\', "\xc3\xa9", "\xd0\xb6", '%', ',', '(', '0' .. '9');
	return 'x' . join '', map { $letters[ $random->(scalar @letters) ] } 1 .. 1 + $random->(12);
}

# Options of a Fixture.
sub make_case
{
	my ($seed) = @_;
	my $random = generator($seed);
	my $at = $random->(scalar @generations);
	my $generation = $generations[$at];
	my %case = (generation => $generation, seed => 1 + $random->(1_000_000), assets => 200 + $random->(201), schema => schema_name($random));
	my @fork = Fixture::Facts::fork_ledger($generation);
	$case{prefix} = 1 + $random->(scalar @fork) if $random->(2);
	# Between two releases a Gallery may have run some of Immich's next migrations already.
	my $most = $facts->{$generation}{native};
	my $least = $at == 0 ? $most : $facts->{ $generations[ $at - 1 ] }{native};
	$case{native} = $least + $random->($most - $least + 1) if $random->(3) == 0 && $most < $Fixture::Ledger::repoint_count;
	my @objects = grep { !/$meaning/ } Fixture->new(%case)->fork_objects;
	if (@objects && $random->(2))
	{
		my $drifted = 1 + $random->($random->(4) ? 4 : 30);
		push @{ $case{without} }, splice @objects, $random->(scalar @objects), 1 while @objects && $drifted-- > 0;
	}
	$case{order_faults} = 1 + $random->(6) if $random->(3) == 0;
	return \%case;
}

# The case as a test's name.
sub describe
{
	my ($seed, $case) = @_;
	return "seed $seed: " . join ', ', map { my $v = $case->{$_}; "$_ " . (ref $v ? join ' ', @$v : $v) } sort keys %$case;
}

1;
