# The decision after a failed update, as a table of database states and wanted tags with the advice that each must get; and the
# two rules of Immich's migrator, written down here from the lists of names and releases alone.
package Advice;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use Exporter qw(import);

our @EXPORT = qw(@names %ships @tags @table @gallery complaint state_of place_of);

my $manifest = abs_path(__FILE__) =~ s{/test/lib/[^/]+$}{/src/manifest}r;

sub lines_of
{
	my ($file) = @_;
	open(my $in, '<', "$manifest/$file") or die "could not open \"$manifest/$file\": $!";
	return grep { !m{^//} } <$in>;
}
our @names = map { /"(.+)"/ } lines_of('immich_migrations.inc');
our %ships = map { /^\{"(v[^"]+)", "[^"]*", (\d+)\}/ ? ($1 => $2) : () } lines_of('immich_releases.inc');
our @tags = map { /^\{"(v[^"]+)"/ } lines_of('immich_releases.inc');

# Does Immich's migrator accept these rows ("name,timestamp") under a tag? Empty: yes; else its complaint.
sub complaint
{
	my ($tag, @rows) = @_;
	return "there is no $tag" if !$ships{$tag};
	my @files = @names[ 0 .. $ships{$tag} - 1 ];
	my %file = map { $_ => 1 } @files;
	my @executed = sort { $a->[1] cmp $b->[1] || $a->[0] cmp $b->[0] } map { [ split /,/ ] } @rows;
	foreach my $row (@executed)
	{
		return "previously executed migration $row->[0] is missing" if !$file{ $row->[0] };
	}
	foreach my $i (0 .. $#executed)
	{
		return "expected previously executed migration $executed[$i][0] to be at index $i" if $executed[$i][0] ne $files[$i];
	}
	return '';
}

# SQL for a state: so many of Immich's migrations, and the versions that were started, oldest first.
sub state_of
{
	my ($count, @versions) = @_;
	my $sql = "DELETE FROM kysely_migrations; DELETE FROM version_history;\n";
	$sql .= "INSERT INTO kysely_migrations VALUES "
		. join(', ', map { sprintf "('%s', '2026-01-01T00:%02d:%02d.000Z')", $names[$_], int($_ / 60), $_ % 60 } 0 .. $count - 1) . ";\n"
		if $count;
	my $day = 0;
	$sql .= sprintf 'INSERT INTO version_history (id, "createdAt", version)'
		. " VALUES (gen_random_uuid(), timestamptz '2026-09-01 00:00:00+00' + interval '%d days', '%s');\n", $day++, $_
		foreach @versions;
	return $sql;
}
sub stamp { my ($i, $at) = @_; return "UPDATE kysely_migrations SET timestamp = '$at' WHERE name = '$names[$i]';" }
sub add { return "INSERT INTO kysely_migrations VALUES ('$_[0]', '2026-10-01T00:00:00.000Z');" }
sub place_of { my ($name) = @_; return (grep { $names[$_] eq $name } 0 .. $#names)[0] }
sub rename_to { my ($i, $to) = @_; return "UPDATE kysely_migrations SET name = '$to' WHERE name = '$names[$i]';" }
my $repair = q(SET LOCAL gallery.revert_token = 'i_accept_data_loss'; SELECT 'returned ' || tools.immich_repair_migration_order(););
my $revert = q(SET LOCAL gallery.revert_token = 'i_accept_data_loss'; SELECT 'returned ' || tools.gallery_revert(););
my $typeorm = 'DROP TABLE kysely_migrations, kysely_migrations_lock; '
	. 'CREATE TABLE migrations (id serial PRIMARY KEY, "timestamp" bigint NOT NULL, name varchar NOT NULL); '
	. q(INSERT INTO migrations ("timestamp", name) VALUES (1743595393000, 'TableCleanup1743595393000'););

my $no_tables = q(ALTER TABLE asset RENAME TO not_asset; ALTER TABLE "user" RENAME TO not_user;);
my $old_tables = 'CREATE TABLE migrations (id serial PRIMARY KEY, "timestamp" bigint, name varchar); CREATE TABLE assets (id uuid);';

# State, wanted tag ('' for none), advice, pin, what the reason must say, the statement that mends the ledger before the pin starts.
our @table = (
	# Nothing is wrong.
	[ 'v2.7.5, as it is', state_of(68, '2.7.5'), '', 'none', 'v2.7.5', qr/what Immich v2\.7\.5 expects: 68 migrations/ ],
	[ 'v3.3.5, as it is', state_of(100, '3.2.4', '3.3.5'), '', 'none', 'v3.3.5', qr/100 migrations/ ],
	[ 'v1.132.3, one migration', state_of(1, '1.132.3'), '', 'none', 'v1.132.3', qr/1 migration,/ ],
	[ 'v2.7.5, another patch with the same migrations', state_of(68, '2.7.5'), 'v2.7.0', 'none', 'v2.7.0', qr/v2\.7\.0/ ],
	[ 'v1.143.1 and v2.1.0 share their migrations', state_of(35, '1.143.1'), 'v2.1.0', 'none', 'v2.1.0', qr/35 migrations/ ],
	[ 'up, down and up again', state_of(86, '2.7.5', '3.0.3', '2.7.5', '3.0.3'), '', 'none', 'v3.0.3', qr/86 migrations/ ],
	[ 'the tag without its v', state_of(88, '3.1.0'), '3.1.0', 'none', 'v3.1.0', qr/v3\.1\.0/ ],
	[ 'v2.5.1 is not v2.5.2', state_of(54, '2.5.1'), '', 'none', 'v2.5.1', qr/54 migrations/ ],
	# An update stopped half way: all of its migrations run in one transaction, so none did.
	[ 'update to v3.0.3 failed', state_of(68, '2.7.4', '2.7.5'), 'v3.0.3', 'roll_back', 'v2.7.5',
		qr/none of the 18 migrations .*v3\.0\.3.*\Q"$names[68]"\E.*one transaction/ ],
	[ 'update to the newest failed', state_of(86, '3.0.3'), 'v3.3.5', 'roll_back', 'v3.0.3', qr/none of the 14 migrations.*\Q"$names[86]"\E/ ],
	[ 'update by one migration failed', state_of(85, '3.0.2'), 'v3.0.3', 'roll_back', 'v3.0.2', qr/none of the 1 migration / ],
	[ 'update over many releases failed', state_of(11, '1.134.0'), 'v2.7.5', 'roll_back', 'v1.134.0', qr/none of the 57 migrations/ ],
	[ 'update failed, nothing known of what ran last', state_of(68), 'v3.1.0', 'roll_back', 'v2.7.5', qr/none of the 20 migrations/ ],
	[ 'a dump restored into a newer image', state_of(41, '2.3.1'), 'v3.2.4', 'roll_back', 'v2.3.1', qr/none of the 55 migrations/ ],
	[ 'the tag that a revert has just returned', state_of(64, '2.5.6'), 'v2.6.3', 'fix_forward', 'v2.6.3',
		qr/nothing says that an update failed here, and v2\.6\.3, the tag that a revert from Gallery returns/ ],
	[ 'the update to the same tag failed', state_of(64, '2.6.0'), 'v2.6.3', 'roll_back', 'v2.6.0', qr/none of the 2 migrations/ ],
	# A downgrade.
	[ 'v3.0.3 ran, v2.7.5 is wanted', state_of(86, '2.7.5', '3.0.3'), 'v2.7.5', 'restore_backup', 'v2.7.5',
		qr/\Q"$names[68]"\E ran here.*starts with Immich v3\.0\.3 or later.*go on with v3\.0\.3/ ],
	[ 'v2.2.0 ran, v2.1.0 is wanted', state_of(39, '2.1.0', '2.2.0'), 'v2.1.0', 'restore_backup', 'v2.1.0',
		qr/CreateAssetOCRTable" ran here.*v2\.2\.0 or later/ ],
	[ 'v2.6.3 ran, v2.6.1 is wanted: a patch has migrations', state_of(66, '2.6.3'), 'v2.6.1', 'restore_backup', 'v2.6.1',
		qr/\Q"$names[64]"\E ran here.*v2\.6\.3 or later/ ],
	[ 'v3.3.5 ran, v3.2.4 is wanted', state_of(100, '3.2.4', '3.3.5'), 'v3.2.4', 'restore_backup', 'v3.2.4',
		qr/\Q"$names[96]"\E ran here.*v3\.3\.0 or later/ ],
	[ 'everything ran, the oldest is wanted', state_of(100, '3.3.5'), 'v1.132.0', 'restore_backup', 'v1.132.0', qr/\Q"$names[1]"\E ran here/ ],
	# The moving tag, or a newer release that ran and left no start in version_history.
	[ 'the tag moved: v3.0.3 ran its migrations after v2.7.5', state_of(86, '2.7.5'), '', 'fix_forward', 'v3.0.3',
		qr/\Q"$names[68]"\E ran here, which v2\.7\.5 does not ship.*v3\.0\.3 or later/ ],
	[ 'the tag moved to v3.3', state_of(100, '3.1.0'), '', 'fix_forward', 'v3.3.5', qr/\Q"$names[88]"\E ran here.*v3\.3\.0 or later/ ],
	[ 'the tag moved within v2.6', state_of(66, '2.6.1'), '', 'fix_forward', 'v2.6.3', qr/\Q"$names[64]"\E ran here/ ],
	[ 'a build between two releases ran', state_of(70, '2.7.5'), '', 'fix_forward', 'v3.0.3',
		qr/\Q"$names[68]"\E ran here.*v3\.0\.0 or later/ ],
	[ 'a build between two releases ran, a newer one failed', state_of(70, '2.7.5'), 'v3.1.0', 'fix_forward', 'v3.0.3',
		qr/none of the 18 migrations.*no release has exactly the 70 migrations/ ],
	[ 'version_history is empty', state_of(68), '', 'fix_forward', 'v2.7.5', qr/version_history does not say.*v2\.7\.0 or later/ ],
	[ 'version_history names a release that nobody knows', state_of(68, '2.9.9'), '', 'fix_forward', 'v2.7.5',
		qr/version_history does not say/ ],
	# Migrations skipped.
	[ 'v3.1.0 started with DB_SKIP_MIGRATIONS', state_of(68, '2.7.5', '3.1.0'), '', 'fix_forward', 'v3.1.0',
		qr/v3\.1\.0 was started here, yet none of the 20 migrations.*DB_SKIP_MIGRATIONS/ ],
	[ 'the same, asked for', state_of(68, '2.7.5', '3.1.0'), 'v3.1.0', 'fix_forward', 'v3.1.0', qr/DB_SKIP_MIGRATIONS/ ],
	# Order.
	[ 'a row too early', state_of(68, '2.7.5') . stamp(40, '2025-01-01T00:00:00.000Z'), '', 'fix_forward', 'v2.7.5',
		qr/\Q"$names[40]"\E out of order \(1 row\)/, $repair ],
	[ 'a row too late, after an update', state_of(86, '2.7.5') . stamp(10, '2026-12-01T00:00:00.000Z'), 'v3.0.3', 'fix_forward', 'v3.0.3',
		qr/\Q"$names[10]"\E out of order/, $repair ],
	[ 'the clock stepped back inside the batch',
		state_of(86, '3.0.3') . join('', map { stamp($_, "2025-12-31T23:59:$_.000Z") } 75 .. 85), '', 'fix_forward', 'v3.0.3',
		qr/out of order \(11 rows\)/, $repair ],
	# Unreleased builds.
	[ 'a renamed row of a nightly build',
		state_of(100, '3.3.5') . rename_to(place_of('1786741078327-AddWorkflowLogsTable'), '1783930557118-AddWorkflowLogsTable'),
		'', 'fix_forward', 'v3.3.5',
		qr/"1783930557118-AddWorkflowLogsTable", which only unreleased builds/, $repair ],
	[ 'a test row of a nightly build', state_of(68, '2.7.5') . add('1773175313374-Test'), '', 'fix_forward', 'v2.7.5',
		qr/"1773175313374-Test", which only unreleased builds/, $repair ],
	# A hole: no release starts.
	[ 'a migration is missing in the middle', state_of(68, '2.7.5') . "DELETE FROM kysely_migrations WHERE name = '$names[50]';",
		'', 'restore_backup', 'v2.7.5',
		qr/\Q"$names[50]"\E is not recorded although later ones are \(1 migration missing\)/ ],
	[ 'two are missing, another tag is wanted',
		state_of(86, '3.0.3') . "DELETE FROM kysely_migrations WHERE name IN ('$names[50]', '$names[3]');",
		'v2.7.5', 'restore_backup', 'v2.7.5', qr/\Q"$names[3]"\E .*2 migrations missing/ ],
	# Emptied: the tables are all there, so no release can begin with its first migration.
	[ 'an emptied ledger', state_of(0, '2.7.5'), '', 'restore_backup', 'v2.7.5', qr/the ledger is empty although Immich's tables are there/ ],
	[ 'an emptied ledger, a tag is wanted', state_of(0, '2.7.5'), 'v3.0.3', 'restore_backup', 'v3.0.3', qr/the ledger is empty/ ],
	[ 'an emptied ledger beside that of TypeORM',
		state_of(0) . 'CREATE TABLE migrations (id serial PRIMARY KEY, "timestamp" bigint, name varchar);',
		'', 'restore_backup', '', qr/the ledger is empty/ ],
	[ 'no tables yet', state_of(0) . $no_tables, '', 'fix_forward', 'v1.132.3', qr/version_history does not say/ ],
	# Before this ledger.
	[ 'TypeORM, a newer release made its empty ledger', state_of(0, '1.131.3') . $no_tables . $old_tables,
		'v3.3.5', 'fix_forward', 'v1.132.3', qr/v1\.131 or older/ ],
	[ 'TypeORM, v1.131 or older', state_of(0, '1.131.3') . $typeorm, '', 'fix_forward', 'v1.132.3',
		qr/v1\.131 or older.*v1\.132\.0 to v1\.136\.0/ ],
	[ 'TypeORM, the newest is wanted', state_of(0, '1.131.3') . $typeorm, 'v3.3.5', 'fix_forward', 'v1.132.3', qr/before any newer release/ ],
	[ 'TypeORM left its table, the ledger goes on',
		state_of(68, '1.130.0', '1.132.3', '2.7.5')
			. 'CREATE TABLE migrations (id serial PRIMARY KEY, "timestamp" bigint, name varchar);',
		'', 'none', 'v2.7.5', qr/68 migrations/ ],
	# Refused, by name.
	[ 'another fork', state_of(88, '3.1.0') . add('2100000000010-FrameleafTables') . add('2100000000020-More'),
		'', 'refused 0A000', undef, qr/2 migrations .*"2100000000010-FrameleafTables" "2100000000020-More"/ ],
	[ 'a newer Immich', state_of(100, '3.3.5') . add('1799999999999-FromTheFuture'), 'v3.3.5', 'refused 0A000', undef,
		qr/"1799999999999-FromTheFuture".*Install a newer version, from where you got gallery_revert/ ],
	[ 'a moving tag is no release', state_of(68, '2.7.5'), 'release', 'refused 22023', undef,
		qr/"release" is not an Immich release.*v1\.132\.0 to v3\.3\.5/ ],
	[ 'a release that is not known', state_of(68, '2.7.5'), 'v9.0.0', 'refused 22023', undef, qr/"v9\.0\.0"/ ],
	[ 'no Immich at all', 'DROP TABLE kysely_migrations, kysely_migrations_lock;', '', 'refused 42P01', undef,
		qr/this database holds no Immich/ ]);

our @gallery = (
	[ 'Gallery v4.57', {}, '', 'revert_gallery', 'v2.7.5', qr/Gallery database \(v4\.57\.0, 28 migrations of Gallery recorded\)/, $revert ],
	[ 'Gallery v4.57, v2.7.5 is wanted', {}, 'v2.7.5', 'revert_gallery', 'v2.7.5', qr/Gallery database/, $revert ],
	[ 'Gallery v4.57, its own tag is asked for', {}, 'v4.57.0', 'revert_gallery', 'v2.7.5', qr/Gallery database/, $revert ],
	[ 'Gallery v5.9, split ledger', { generation => 'v5.9' }, '', 'revert_gallery', 'v3.3.5', qr/Gallery database \(v5\.9\.0/, $revert ],
	[ 'Gallery v5.3, out of order', { generation => 'v5.3', order_faults => 2 }, '', 'revert_gallery', 'v3.1.0',
		qr/Gallery database/, $revert ],
	[ 'Gallery v4.3.3', { generation => 'v4.3.3' }, 'v2.7.5', 'revert_gallery', 'v2.6.3', qr/Gallery database \(v4\.3\.3/, $revert ]);

1;
