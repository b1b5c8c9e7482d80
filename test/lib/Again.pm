# Gallery's objects made again on a reverted database, as her migrations do at the next start of Gallery: what the catalog of her
# generation has and Immich's has not, empty, with new rows in the ledger; favourites copied from Immich's column, which then goes.
package Again;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use Fixture;
use Fixture::Ddl;
use Fixture::Functions;
use Fixture::Ledger;
use GalleryTest;

our @EXPORT_OK = qw(gallery_again give_back start_again);

# The facts of one catalog that another has not, as a catalog.
sub beyond
{
	my ($catalog, $other) = @_;
	my $facts = $catalog->{facts};
	return bless { facts => { map { $_ => $facts->{$_} } grep { !exists $other->{facts}{$_} } keys %$facts }, fork => {} }, 'Fixture::Catalog';
}

# The script for a database that the fixture made and that was reverted since.
sub start_again
{
	my ($fixture) = @_;
	my ($gallery, $immich) = @$fixture{qw(gallery immich)};
	my $new = beyond($gallery, $immich);
	my $sql = 'BEGIN; SET LOCAL search_path = ' . Fixture::Ddl::ident($fixture->{schema})
		. ", pg_catalog; SET LOCAL check_function_bodies = off;\n"
	  . "SELECT count(*) > 0 AS has_hnsw FROM pg_am WHERE amname = 'hnsw' \\gset\n"
	  . join('', map { Fixture::Functions::create($_, $gallery) } $new->all('function')) . Fixture::Ddl::tables($new);
	foreach my $column (grep { !$new->has_table($_->{table}) } $new->all('column'))
	{
		$sql .= 'ALTER TABLE ' . Fixture::Ddl::ident($column->{table}) . ' ADD COLUMN ' . Fixture::Ddl::ident($column->{name})
			. " $column->{def};\n";
	}
	$sql .= qq{INSERT INTO asset_favorite ("assetId", "userId") SELECT id, "ownerId" FROM asset WHERE "isFavorite";\n}
	  if $new->has_column('asset_favorite', 'assetId');
	foreach my $gone (beyond($immich, $gallery)->all('column'))
	{
		$sql .= 'ALTER TABLE ' . Fixture::Ddl::ident($gone->{table}) . ' DROP COLUMN ' . Fixture::Ddl::ident($gone->{name}) . ";\n";
	}
	$sql .= Fixture::Ddl::after_rows($new);
	$sql .= Fixture::Ledger::overrides($new) if $new->all('override');
	my $ledger = $fixture->{facts}{layout} eq 'split' ? 'gallery_migrations' : 'kysely_migrations';
	my $number = 0;
	my @rows = map { sprintf q{('%s', '2026-11-%02dT10:00:%02d.000Z')}, $_->{name}, 1 + $number / 60, $number++ % 60 }
	  grep { $_->{fork} } @{ $fixture->{ledger} };
	$sql .= "INSERT INTO $ledger (name, timestamp) VALUES " . join(', ', @rows) . ";\n" if @rows;
	return "${sql}COMMIT;\n";
}

# A database from a fixture (options of Fixture->new, 200 assets) that was reverted with an archive, and on which Gallery was
# started again.
sub gallery_again
{
	my ($node, $database, %options) = @_;
	my $fixture = Fixture->new(assets => 200, %options);
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	script($node, $database, $fixture->sql('gallery') . 'CREATE EXTENSION gallery_revert;');
	my ($status, undef, $err) = revert($node, $database, before => 'SET gallery.revert_archive = on;');
	die "not reverted: $err" if $status;
	script($node, $database, start_again($fixture));
	return;
}

# gallery_return(), as revert() of GalleryTest.
sub give_back
{
	my ($node, $database, %option) = @_;
	return revert($node, $database, before => q{SET gallery.return_token = 'i_know_what_i_do';},
		instead => 'SELECT gallery_return();', %option);
}

1;
