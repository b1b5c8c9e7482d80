# Identity: every name that a ledger can hold besides those of released migrations, the target that follows from a ledger,
# the repair of its order, and the one role setting that Gallery makes.
use strict;
use warnings FATAL => 'all';

use Fixture;
use Fixture::Facts;
use Owner qw(owned_by);
use Test::More;
use Twin qw(ledger_differences);

my $node = Twin::start_node('ledger');
my $twin = Twin->new($node, 'work');
my @immich = Fixture::Facts::immich_migrations();
my %position = map { $immich[$_] => $_ + 1 } 0 .. $#immich;

sub reverts
{
	my ($name, $options, $before) = @_;
	my $result = $twin->check(Fixture->new(assets => 200, %$options), $before);
	is_deeply($result->{differences}, [], $name);
	return $result;
}

sub rename_row
{
	my ($from, $to, $table) = @_;
	return 'UPDATE ' . ($table // 'kysely_migrations') . " SET name = '$to' WHERE name = '$from';";
}
sub add_row
{
	my ($name, $table) = @_;
	return 'INSERT INTO ' . ($table // 'kysely_migrations') . " VALUES ('$name', '2026-11-01T00:00:00.000Z');";
}

# Names that only unreleased builds of Immich recorded.
my $renamed = Fixture::Facts::immich_renamed();
foreach my $old (sort keys %$renamed)
{
	my $released = $renamed->{$old};
	my %base = (generation => $released && $position{$released} > 77 ? 'v5.2' : 'v4.3.3');
	my $count = $released && $position{$released} > 64 ? $position{$released} : 68;
	reverts("$old, released name recorded: the row goes", { %base, native => $count, rows => 0 }, add_row($old));
	next if $released eq '';
	reverts("$old, released name not recorded: renamed", { %base, native => $count, rows => 0 },
		rename_row($released, $old));
}

# The same with the time at which the old name was recorded: the row needs a new name and a new time, in one statement.
foreach my $old (grep { $renamed->{$_} } sort keys %$renamed)
{
	my $released = $renamed->{$old};
	my ($before) = grep { $_ lt $old } reverse @immich;
	my ($case) = $twin->attempts(
		Fixture->new(
			assets => 200,
			generation => $position{$released} > 77 ? 'v5.2' : 'v4.3.3',
			native => $position{$released} > 64 ? $position{$released} : 68,
			rows => 0),
		["UPDATE kysely_migrations SET name = '$old',
		  timestamp = (SELECT timestamp FROM kysely_migrations WHERE name = '$before') WHERE name = '$released';"]);
	like($case->{out}, qr/^returned v/, "$old, released name not recorded: renamed, from its own time");
}
my $duration = '1776735180298-ChangeDurationToInteger';
my $person_index = '1773846750001-AddPersonNameTrigramIndex';
my %v433 = (generation => 'v4.3.3');
reverts('a placeholder: the duration is text yet, so Immich still has to change it', { %v433, native => 76 },
	add_row($duration));
reverts('a placeholder out of turn', { %v433, native => 68 }, add_row($duration));
reverts('a placeholder for an index', { %v433, native => 67 }, add_row($person_index));
my $ahead = 'CREATE INDEX idx_person_name_trigram ON person USING gin (f_unaccent(name) gin_trgm_ops); '
	. q(INSERT INTO migration_overrides VALUES ('index_idx_person_name_trigram', '{}'););
reverts('an index made ahead of its turn is dropped, as Immich will make it', { %v433, native => 64 },
	add_row($person_index) . $ahead);
reverts('the same index made in its turn is kept', { %v433, native => 68 },
	rename_row($renamed->{$person_index}, $person_index));

# Gallery's own earlier names, of releases and of candidates: the effects are those of today's.
my %has;
foreach my $generation (qw(v4.3.3 v5.8))
{
	push @{ $has{ $_->{name} } }, $generation foreach Fixture::Facts::fork_ledger($generation);
}
my @gallery = Fixture::Facts::gallery_migrations();
my %origin = map { $_->{name} => $_->{origin} } @gallery;
foreach my $migration (grep { $_->{today} ne '' && $has{ $_->{today} } } @gallery)
{
	my %base = (generation => $has{ $migration->{today} }[-1]);
	reverts("$migration->{name} instead of $migration->{today}", \%base,
		rename_row($migration->{today}, $migration->{name}));
	reverts("$migration->{name} beside it", { %base, rows => 0 }, add_row($migration->{name}));
}
reverts('the renamed pair of the favourites', { generation => 'v5.8' },
	rename_row('1794000000000-AddAssetFavoriteTables', '1784000000000-AddAssetFavoriteTables')
	. rename_row('1794100000000-DropAssetIsFavoriteColumn', '1784100000000-DropAssetIsFavoriteColumn'));

# Migrations of branches and candidates that never were released: their objects go with them, and a row alone goes too.
my %objects;
push @{ $objects{ $_->[3] } }, $_ foreach @{ Fixture::Facts::_table('gallery_objects.inc') };
my (@made, @branch);
foreach my $migration (grep { $_->{origin} =~ /^(candidate|branch)$/ && $_->{today} eq '' } @gallery)
{
	my %sql = (table => '', column => '', index => '', function => '', trigger => '', override => '');
	my %tables;
	foreach my $object (@{ $objects{ $migration->{name} } // [] })
	{
		my ($kind, $table, $name) = @$object;
		$tables{$table} = 1 if $kind ne 'table' && $kind ne 'function' && $kind ne 'column';
		$sql{table} .= qq(CREATE TABLE "$name" (id uuid PRIMARY KEY, note text);) if $kind eq 'table';
		$sql{column} .= qq(ALTER TABLE "$table" ADD "$name" bigint;) if $kind eq 'column';
		$sql{index} .= qq(DO \$\$ BEGIN EXECUTE format('CREATE INDEX "$name" ON "$table" (%I)',
			(SELECT attname FROM pg_attribute WHERE attrelid = '"$table"'::regclass AND attnum = 1)); END \$\$;)
			if $kind eq 'index';
		$sql{trigger} .= qq(CREATE TRIGGER "$name" BEFORE UPDATE ON "$table" FOR EACH ROW EXECUTE FUNCTION updated_at();) if $kind eq 'trigger';
		my ($bare) = $name =~ /^(\w+)/;
		$sql{function} .= qq(CREATE FUNCTION $name RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';) if $kind eq 'function';
		$sql{override} .= qq(INSERT INTO migration_overrides VALUES ('${kind}_$bare', '{}') ON CONFLICT DO NOTHING;)
			if $kind =~ /^(index|trigger|function)$/;
	}
	# Tables that another migration of the branch makes.
	my %made = map { $_->[2] => 1 } grep { $_->[0] eq 'table' } @{ $objects{ $migration->{name} } // [] };
	my $other = '';
	foreach my $table (grep { !$made{$_} } sort keys %tables)
	{
		my ($maker) = grep { my $m = $_; grep { $_->[0] eq 'table' && $_->[2] eq $table } @{ $objects{$m} } } sort keys %objects;
		next if !$maker || $origin{$maker} eq 'released';
		$other .= qq(CREATE TABLE "$table" (id uuid PRIMARY KEY);) . add_row($maker);
	}
	push @branch, $migration->{name};
	my @of_each_kind = @sql{qw(table column index function trigger override)};
	push @made, [ join("\n", $other, @of_each_kind, add_row($migration->{name})), Twin::print_catalog() ];
}
my $v58 = Fixture->new(generation => 'v5.8', rows => 0);
my $stock = join '', map { "$_\n" } 'returned v3.3.5', @{ $twin->stock_catalog($v58) };
my @cases = $twin->attempts($v58, @made, map { [ add_row($_), Twin::print_catalog() ] } @branch);
foreach my $i (0 .. $#branch)
{
	ok($cases[$i]{out} eq $stock, "$branch[$i] with its objects") or diag($cases[$i]{out} =~ s/\n.*//sr);
	ok($cases[ $i + @branch ]{out} eq $stock, "$branch[$i] without them");
}

my $v433 = Fixture->new(%v433, rows => 0);
my $v451 = Fixture->new(generation => 'v4.51', assets => 200);
my $v59 = Fixture->new(generation => 'v5.9', assets => 200, rows => 0);
my $unknown = '1899000000000-FromTheFuture';

# Drops what a script of the user's own dropped: all of Gallery's tables but the ledger.
sub drop_tables
{
	return q(DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename ~)
	  . q( '^(shared_space|face_|library_|pet_|user_group|storage_m|asset_fav|asset_dup|album_space)' LOOP)
	  . q( EXECUTE format('DROP TABLE %I CASCADE', t); END LOOP; END $$;);
}

@cases = $twin->attempts($v59,
	[ add_row($unknown, 'gallery_migrations') . add_row('1899000000001-Another') ],
	[ add_row($immich[0], 'gallery_migrations') ],
	[ rename_row('1774548649115-AddChecksumAlgorithm.ts', '1774548649115-AddChecksumAlgorithm') ],
	[ 'DELETE FROM kysely_migrations WHERE name = ' . "'$immich[70]'" ],
	[ add_row('1772230000000-CreateStorageMigrationLogTable'), 'SELECT count(*) FROM kysely_migrations;' ],
	[ 'DELETE FROM gallery_migrations;', 'SELECT count(*) FROM pg_tables WHERE tablename = ' . "'gallery_migrations';" ],
	[ 'DELETE FROM gallery_migrations;' . drop_tables(), 'SELECT count(*) FROM pg_tables WHERE tablename = ' . "'gallery_migrations';" ]);
like($cases[0]{out}, qr/^refused 0A000 .* 2 migrations .*\n"1899000000001-Another"\n"\Q$unknown\E"\n/,
	'unknown names in both ledgers are named');
like($cases[1]{out}, qr/^refused 0A000 .*\n"\Q$immich[0]\E"\n/, q(a migration of Immich's is none of Gallery's ledger));
like($cases[2]{out}, qr/^refused 0A000 .*\n"1774548649115-AddChecksumAlgorithm"\n/,
	'the name that ends in .ts is known only so');
like($cases[3]{out}, qr/^refused 55000 .* missing .*\n.*\n"\Q$immich[70]\E"\n/,
	'a migration missing in the middle is named');
like($cases[4]{out}, qr/^returned v3\.3\.5\n100\n/,
	q(a row of Gallery's left in Immich's ledger beside the other ledger goes));
like($cases[5]{out}, qr/^refused 55000 the ledger does not record all that Gallery made\n(?:.*\n)*table "shared_space": /,
	'an empty ledger beside tables of Gallery is refused, and they are named');
like($cases[5]{out}, qr/\n1\n\z/, 'and it stays');
like($cases[6]{out}, qr/^returned v3\.3\.5\n0\n/, 'an empty ledger beside other tables goes');

# Interrupted between the two migrations of the favourites: the column is there, but the table knows better.
my @fork = map { $_->{name} } Fixture::Facts::fork_ledger('v5.8');
my ($tables) = grep { $fork[$_] eq '1794000000000-AddAssetFavoriteTables' } 0 .. $#fork;
reverts("favourites, first $_ of the fork's migrations", { generation => 'v5.8', prefix => $_ }) foreach $tables,
	$tables + 1, $tables + 2;

# The target. Immich's migrations in the ledger, rows of version_history, and the tag.
my @targets = (
	[ 'v4.3.3', 64, [], 'v2.6.3' ], [ 'v4.51', 65, ['4.51.0'], 'v2.7.5' ], [ 'v4.3.3', 65, [], 'v2.6.3' ],
	[ 'v4.3.3', 66, [], 'v2.6.3' ], [ 'v4.3.3', 67, [], 'v2.7.5' ],
	[ 'v4.51', 68, [], 'v2.7.5' ], [ 'v4.51', 69, [], 'v3.0.3' ], [ 'v4.51', 85, [], 'v3.0.3' ],
	[ 'v5.0', 86, [], 'v3.0.3' ], [ 'v5.0', 87, [], 'v3.1.0' ],
	[ 'v5.3', 88, [], 'v3.1.0' ], [ 'v5.3', 89, [], 'v3.2.4' ], [ 'v5.6', 94, [], 'v3.2.4' ], [ 'v5.7', 96, [], 'v3.2.4' ],
	[ 'v5.7', 97, [], 'v3.3.5' ], [ 'v5.8', 100, [], 'v3.3.5' ],
	# The ledger alone tells which Gallery ran; version_history can tell of a newer one.
	[ 'v5.3', 68, [], 'v3.0.3' ], [ 'v5.3', 68, ['5.3.1'], 'v3.1.0' ], [ 'v5.8', 95, [], 'v3.3.5' ],
	[ 'v4.51', 68, ['5.4.0'], 'v3.1.0' ], [ 'v5.7', 96, ['5.8.0'], 'v3.3.5' ],
	[ 'v4.3.3', 64, [ '3.0.0', '3.0.0 2026-07-02' ], 'v2.6.3' ], [ 'v4.3.3', 64, [ '2.5.6', '3.1.0' ], 'v2.6.3' ]);
foreach my $row (@targets)
{
	my ($generation, $count, $versions, $tag) = @$row;
	my $sql = join '', map {
		my ($v, $at) = split / /;
		qq{INSERT INTO version_history ("createdAt", version) VALUES ('} . ($at // '2026-03-15') . "', '$v');"
	} @$versions;
	my ($case) = $twin->attempts(Fixture->new(generation => $generation, native => $count, rows => 0), [ $sql ]);
	like($case->{out}, qr/^returned \Q$tag\E\n/,
		"$generation, $count of Immich's migrations" . (@$versions ? ", started @$versions" : '') . ": $tag");
}
my @set = (
	[ 'v2.7.5', qr/^returned v2\.7\.5\n/ ], [ '2.7.5', qr/^returned v2\.7\.5\n/ ],
	[ 'v3.2.1', qr/^returned v3\.2\.1\n/ ],
	[ 'v2.6.3', qr/^refused 0A000 Immich v2\.6\.3 is too old for this database
.*ships 66 migrations, .*run 68; .*"1774548649115-AddChecksumAlgorithm\.ts".*
hint .*'v2\.7\.5'/ ],
	[ 'v2.7.4', qr/^refused 0A000 Immich v2\.7\.4 is too old .*\n.*base of Immich v2\.7\.5.*\nhint .*'v2\.7\.5'/ ],
	[ 'v3.4.0', qr/^refused 0A000 Immich v3\.4\.0 is not a release that gallery_revert knows\n/ ],
	[ 'newest', qr/^refused 22023 / ]);
@cases = $twin->attempts($v451, map { [ "SET LOCAL gallery.revert_target = '$_->[0]';" ] } @set);
like($cases[$_]{out}, $set[$_][1], "gallery.revert_target $set[$_][0]") foreach 0 .. $#set;

# The order of the ledger: repaired with the fewest changes. %s stands for a name.
my $ledger = q(SELECT name || ',' || timestamp FROM kysely_migrations ORDER BY name;);
my @native = map { "'$_'" } @immich[ 0 .. 67 ];
my $stamp = sub { "UPDATE kysely_migrations SET timestamp = $_[1] WHERE name IN (" . join(', ', @native[ @{ $_[0] } ]) . ');' };
my @faults = (
	[ 'one row too early', $stamp->([40], q('2025-01-01T00:00:00.000Z')) ],
	[ 'one row too late', $stamp->([10], q('2026-12-01T00:00:00.000Z')) ],
	[ 'the first row too late', $stamp->([0], q('2026-12-01T00:00:00.000Z')) ],
	[ 'a block too early', $stamp->([ 30 .. 45 ], q('2025-01-01T00:00:00.000Z')) ],
	[ 'all at the same time', $stamp->([ 0 .. 67 ], q('2026-02-01T00:00:00.000Z')) ],
	[ 'two blocks in turn', $stamp->([ 20 .. 23 ], q('2026-12-01T00:00:00.000Z')) . $stamp->([ 50 .. 52 ], q('2025-01-01T00:00:00.000Z')) ],
	[ 'backwards', q(UPDATE kysely_migrations SET timestamp = to_char(timestamp '2026-12-01'
		- (left(name, 13)::bigint / 1000 - 1700000000) * interval '1 second',
		'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');) ],
	[ 'nothing wrong', '' ]);
my $native_rows = "SELECT name || ',' || timestamp FROM kysely_migrations"
	. ' WHERE name IN (' . join(', ', @native) . ") ORDER BY name;\n\\echo --";
@cases = $twin->attempts($v451, map { [ "$_->[1]\n$native_rows", $ledger ] } @faults);
foreach my $i (0 .. $#faults)
{
	my ($before, $after) = split /^--\n/m, $cases[$i]{out};
	$after =~ s/^returned v2\.7\.5\n// or fail("$faults[$i][0] is reverted");
	is_deeply([ ledger_differences([ split /\n/, $before ], [ split /\n/, $after ]) ], [], "order: $faults[$i][0]");
}
@cases = $twin->attempts($v451, [ $stamp->([33], q('some day')), $ledger ]);
like($cases[0]{out}, qr/^returned .*\n\Q$immich[33]\E,2026-[0-9T:.-]+Z\n/s,
	'order: a timestamp that cannot be read is replaced');

# jit: reset on the role that ran Gallery, that setting only, and only where Gallery's migration is recorded.
my $settings = q(SELECT coalesce(d.datname || ' ', '') || r.rolname || ' ' || array_to_string(s.setconfig, ' ') FROM pg_db_role_setting s
  JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase ORDER BY 1;);
my $roles = q(CREATE ROLE test_server; CREATE ROLE test_other;
  ALTER ROLE test_server SET jit = off; ALTER ROLE test_server SET work_mem = '5MB';
  ALTER ROLE test_server IN DATABASE work SET jit = off; ALTER ROLE test_other SET jit = off; ALTER ROLE CURRENT_USER SET jit = off;)
  . owned_by('test_server');
@cases = $twin->attempts(Fixture->new(generation => 'v5.8', rows => 0),
	[ $roles, $settings ],
	[ "$roles ALTER ROLE test_server SET jit = on;", $settings ],
	[ "$roles DELETE FROM kysely_migrations WHERE name = '1783628194057-DisablePostgresJit';", $settings ]);
my ($user) = $twin->run('work', 'SELECT current_user;') =~ /(.*)/;
my $others = join '', map { "$_\n" } sort "$user jit=off", 'test_other jit=off', 'work test_server jit=off';
sub sorted { return join '', map { "$_\n" } sort split /\n/, $_[0] =~ s/^returned .*\n//r }
is(sorted($cases[0]{out}), sorted("${others}test_server work_mem=5MB\n"),
	'jit: reset on the role that owns the ledger, all else kept');
is(sorted($cases[1]{out}), sorted("${others}test_server jit=on work_mem=5MB\n"),
	'jit: a value that Gallery did not set is kept');
is(sorted($cases[2]{out}), sorted("${others}test_server jit=off work_mem=5MB\n"),
	q(jit: kept where Gallery's migration is not recorded));

done_testing();
