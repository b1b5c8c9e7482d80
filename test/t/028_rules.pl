# What the rules do to rows where Gallery's data is not as Gallery leaves it: where somebody started Immich in between,
# made a person of a pet, has a table of his own with a name of Gallery's, wrote odd numbers; and what a rule may cost.
use strict;
use warnings FATAL => 'all';

use Fixture;
use Test::More;
use Twin;

my $node = Twin::start_node('rules');
my $twin = Twin->new($node, 'work');

# Tries each case from the same state of one fixture. A case: its name; SQL before and after the revert; what both print,
# as a text or a pattern; what the revert reports, as a pattern.
sub cases
{
	my ($options, @cases) = @_;
	my $fixture = Fixture->new(assets => 240, %$options);
	my @got = $twin->attempts($fixture, map { [ $_->{before} // '', $_->{after} // '' ] } @cases);
	foreach my $i (0 .. $#cases)
	{
		my ($case, $got) = ($cases[$i], $got[$i]);
		my $name = "$options->{generation}: $case->{name}";
		if (ref $case->{printed}) { like($got->{out}, $case->{printed}, $name) }
		else { is($got->{out}, $case->{printed}, $name) }
		like($got->{messages}, $case->{reported}, "$name: reported") if $case->{reported};
		unlike($got->{messages}, $case->{silent}, "$name: not reported") if $case->{silent};
	}
	return;
}

# Output that matches these lines.
sub lines_like { my $lines = join '', map { "$_\n" } @_; return qr/\A$lines\z/ }
sub kept { my ($name, $query) = @_; return "CREATE TEMP TABLE $name ON COMMIT DROP AS $query;" }

# Favourites: somebody started Immich on the database, and it has its column again.
my $add_column = 'ALTER TABLE asset ADD COLUMN "isFavorite" boolean NOT NULL DEFAULT false;';
my $overlay = 'EXISTS (SELECT FROM asset_favorite f WHERE f."assetId" = a.id AND f."userId" = a."ownerId")';
my $set_in_immich = <<"SQL";
UPDATE asset SET "isFavorite" = true WHERE id IN (SELECT a.id FROM asset a WHERE NOT $overlay ORDER BY a.id LIMIT 60);
SQL
my $favourites_differ = 'SELECT count(*) FROM asset a JOIN want w USING (id) WHERE a."isFavorite" <> w.favourite;';
cases({ generation => 'v5.9' },
	{
		name => q(favourites set in Immich since its column was added stay, and Gallery's come back),
		before => $add_column . $set_in_immich . kept('want', qq(SELECT a.id, a."isFavorite" OR $overlay AS favourite FROM asset a))
			. 'SELECT count(*) FILTER (WHERE favourite) > 60 FROM want;',
		after => $favourites_differ,
		printed => "t\nreturned v3.3.5\n0\n",
		reported => qr/column "isFavorite" of table "asset" is there again/,
	},
	{
		name => 'without such a column there is nothing to say of it',
		printed => "returned v3.3.5\n",
		silent => qr/is there again/,
	},
	{
		name => 'where it is recorded that the column is there, the table is newer',
		before => q(DELETE FROM gallery_migrations WHERE name = '1794100000000-DropAssetIsFavoriteColumn';) . $add_column
			. $set_in_immich . kept('want', qq(SELECT a.id, $overlay AS favourite FROM asset a)),
		after => $favourites_differ,
		printed => "returned v3.3.5\n0\n",
		silent => qr/is there again/,
	});

done_testing();
