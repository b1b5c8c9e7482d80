# The decision after a failed update, as a table of database states and wanted tags with the advice that each must get. Every tag
# that an advice says will start is checked against the two rules of Immich's migrator, written down here from the lists of names
# and releases alone: no row that the tag does not ship, and rows by timestamp, then name, equal to the first names shipped.
use strict;
use warnings FATAL => 'all';

use Fixture;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Twin;

my $manifest = Twin::abs_path(__FILE__) =~ s{/test/t/[^/]+$}{/src/manifest}r;

sub lines_of
{
	my ($file) = @_;
	open(my $in, '<', "$manifest/$file") or die "could not open \"$manifest/$file\": $!";
	return grep { !m{^//} } <$in>;
}
my @names = map { /"(.+)"/ } lines_of('immich_migrations.inc');
my %ships = map { /^\{"(v[^"]+)", "[^"]*", (\d+)\}/ ? ($1 => $2) : () } lines_of('immich_releases.inc');
my @tags = map { /^\{"(v[^"]+)"/ } lines_of('immich_releases.inc');

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

my $node = Twin::start_node('advice', client_min_messages => 'warning');
my $twin = Twin->new($node, 'work');

# What the function says or how it refuses, and the ledger, before and after the statement that mends it.
my $ask = <<'SQL';
CREATE FUNCTION pg_temp.ask(wanted text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text; code text; message text; detail text; hint text;
BEGIN
  SELECT concat_ws('|', advice, coalesce(pin, ''), reason, array_to_string(steps, ' ; ')) INTO result
    FROM tools.immich_recovery_advice(wanted);
  RETURN result;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws('|', 'refused ' || code, message, replace(detail, E'\n', ' '), hint);
END $$;
SQL
my $ledger = q(SELECT 'row ' || name || ',' || timestamp FROM kysely_migrations;);

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
my @table = (
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

my @gallery = (
	[ 'Gallery v4.57', {}, '', 'revert_gallery', 'v2.7.5', qr/Gallery database \(v4\.57\.0, 28 migrations of Gallery recorded\)/, $revert ],
	[ 'Gallery v4.57, v2.7.5 is wanted', {}, 'v2.7.5', 'revert_gallery', 'v2.7.5', qr/Gallery database/, $revert ],
	[ 'Gallery v4.57, its own tag is asked for', {}, 'v4.57.0', 'revert_gallery', 'v2.7.5', qr/Gallery database/, $revert ],
	[ 'Gallery v5.9, split ledger', { generation => 'v5.9' }, '', 'revert_gallery', 'v3.3.5', qr/Gallery database \(v5\.9\.0/, $revert ],
	[ 'Gallery v5.3, out of order', { generation => 'v5.3', order_faults => 2 }, '', 'revert_gallery', 'v3.1.0',
		qr/Gallery database/, $revert ],
	[ 'Gallery v4.3.3', { generation => 'v4.3.3' }, 'v2.7.5', 'revert_gallery', 'v2.6.3', qr/Gallery database \(v4\.3\.3/, $revert ]);

# Loads one database and answers for many states of it.
sub answers
{
	my ($fixture, $product, @states) = @_;
	my $script = "BEGIN;\n" . Twin::_open_script($fixture, $product) . $ask;
	foreach my $state (@states)
	{
		my ($sql, $wanted, $mend, $has_ledger) = @$state;
		$script .= "\\echo == case\nSAVEPOINT s;\n$sql\nSELECT pg_temp.ask(" . ($wanted eq '' ? 'NULL' : "'$wanted'") . ");\n"
			. ($has_ledger ? $ledger : '') . "\n\\echo == mended\n" . ($mend ? "$mend\n$ledger\n" : '') . "ROLLBACK TO s;\n";
	}
	my ($out, $err, $ok) = $twin->psql('work', $script . "ROLLBACK;\n", schema => 'public');
	die "psql failed: $err\n" if !$ok;
	my (undef, @out) = split /^== case\n/m, $out, -1;
	return @out;
}

# The steps, pasted all at once, beside a .env with a tag and beside one without. docker is a stand-in, which takes the lines that
# come after a command from the terminal where docker would; what matches $FAIL fails. The script that preserves is one as well.
my $folder = PostgreSQL::Test::Utils::tempdir();
mkdir "$folder/$_" or die $! foreach 'bin', 'gallery_revert', 'gallery_revert/scripts';
sub write_file { my ($file, $text) = @_; open my $out, '>', $file or die "$file: $!"; print $out $text; close $out; return }
write_file("$folder/bin/docker", <<'SH');
#!/bin/sh
echo "docker $*" >>commands.log
case $* in "compose exec -T "* | "exec -i "* | "compose exec "*) cat >/dev/null ;; esac
# redis-cli succeeds whatever Redis says.
case $* in *FLUSHDB*) if echo "docker $*" | grep -qE -- "${FAIL:-^$}"; then echo NOAUTH; else echo OK; fi; exit 0 ;; esac
# psql goes on with its next -c unless it is told to stop.
case $* in *"exec immich_postgres psql"*) case $* in *ON_ERROR_STOP=1*) ;; *) exit 0 ;; esac ;; esac
! echo "docker $*" | grep -qE -- "${FAIL:-^$}"
SH
write_file("$folder/gallery_revert/scripts/preserve-state.sh", <<'SH');
#!/bin/sh
echo "gallery_revert/scripts/preserve-state.sh $*" >>commands.log
! echo "preserve $*" | grep -qE -- "${FAIL:-^$}"
SH
chmod 0755, $_ or die $! foreach "$folder/bin/docker", "$folder/gallery_revert/scripts/preserve-state.sh";
my ($environment, %pasted) = ("DB_PASSWORD='a b'\n# a comment\nUPLOAD_LOCATION=./library");
my $gallery_images = "    image: ghcr.io/open-noodle/gallery-server:\${IMMICH_VERSION:-release}\n"
	. "    image: ghcr.io/open-noodle/gallery-ml:\${IMMICH_VERSION:-release}-cuda\n    image: docker.io/valkey/valkey:9\n";

# Pastes a text into a shell. Returns what it says, the commands that ran, and the copies of what was edited (name => text).
sub paste
{
	my ($text, $env, $fail) = @_;
	my $said = '';
	unlink glob "$folder/.env* $folder/docker-compose.yml*";
	write_file("$folder/.env", $env);
	write_file("$folder/commands.log", '');
	write_file("$folder/docker-compose.yml", $gallery_images);
	write_file("$folder/$_", "an older one\n") foreach '.env.before', '.env.before-skip', 'docker-compose.yml.before';
	local $ENV{PATH} = "$folder/bin:$ENV{PATH}";
	local $ENV{FAIL} = $fail // '^$';
	IPC::Run::run([ 'bash' ], '<', \"$text\necho the shell goes on\n", '>&', \$said, init => sub { chdir $folder or die $! });
	my %copies = map { (s{.*/}{}r) => slurp_file($_) }
		grep { !m{/(?:\.env|docker-compose\.yml)$} } glob "$folder/.env* $folder/docker-compose.yml*";
	return ($said, [ split /\n/, slurp_file("$folder/commands.log") =~ s/["']//gr ], \%copies);
}
# The commands in a text that the stand-ins write down.
sub commands_in { return map { s/["']//gr } map { s/ (?:&&|\| tee .*)$//r } grep { /^(?:docker|gallery_revert)/ } @_ }

sub pasted
{
	my ($name, $pin, $advice, @steps) = @_;
	my $text = join "\n", @steps;
	return if $pasted{$text}++;
	my @all = commands_in(map { s/ &&$//r } @steps);
	# What cannot be done by itself stops the rest, until it is pasted.
	my ($by_hand) = grep { $steps[$_] =~ /^\{ echo/ } 0 .. $#steps;
	my @parts = defined $by_hand ? ([ @steps[ 0 .. $by_hand ] ], [ @steps[ $by_hand + 1 .. $#steps ] ]) : (\@steps);
	if (defined $by_hand)
	{
		my (undef, $ran) = paste($text, $environment);
		is_deeply($ran, [ commands_in(@{ $parts[0] }) ], "$name: pasted at once, nothing comes before what is done by hand");
	}
	foreach my $before ("IMMICH_VERSION=v0.0.1\n$environment", $environment)
	{
		my ($said, $ran, $copies);
		my @ran;
		foreach my $part (@parts)
		{
			($said, $ran, $copies) = paste(join("\n", @$part) =~ s/ &&\z//r, $before);
			push @ran, @$ran;
			unlike($said, qr/: (?:command not found|No such file|syntax error)/, "$name: no step fails");
			like($said, qr/^the shell goes on$/m, "$name: and none waits for more");
		}
		is_deeply(\@ran, \@all, "$name: no step takes the next ones away");
		is($copies->{$_}, "an older one\n", "$name: the older $_ stays") foreach '.env.before', '.env.before-skip', 'docker-compose.yml.before';
		next if $pin eq '';
		is(slurp_file("$folder/.env"), "$environment\nIMMICH_VERSION=$pin\n", "$name: pins, once, and keeps the rest");
		my ($copy) = $said =~ /^\.env was copied to (\.env\.before-\d{4}-\d\d-\d\d-\w{6})$/m;
		is($copies->{ $copy // '' }, $before, "$name: .env as it was has a name of its own");
	}
	# Whichever fails, nothing after it runs and no file is changed that would have been later.
	foreach my $i (0 .. $#all)
	{
		next if $all[$i] =~ /logs/ && $i == $#all;
		my $fail = $all[$i] =~ /preserve-state/ ? '^preserve' : '^' . quotemeta($all[$i]) =~ s/\\ /./gr . '$';
		next if defined $by_hand && !grep { $_ eq $all[$i] } commands_in(@{ $parts[0] });
		$fail = '^docker.*' . ($all[$i] =~ /(SELECT \w+|\w+_plan|DROP)/)[0] if $all[$i] =~ /psql/;
		my ($said, $ran) = paste($text, $environment, $fail);
		is_deeply($ran, [ @all[ 0 .. $i ] ], "$name: where \"" . substr($all[$i], 0, 60) . '" fails, nothing comes after it');
		like($said, qr/^the shell goes on$/m, "$name: the reader's shell goes on");
		is(slurp_file("$folder/.env"), $environment, "$name: .env is as it was") if !grep { /pull/ } @all[ 0 .. $i ];
	}
	unlike($text, qr/dropdb|DROP DATABASE/, "$name: no step drops the database");
	like($text, qr/^(?:\{ )?echo 'now restore: .*recovery\.md, step 6b/m, "$name: the page that restores") if $advice eq 'restore_backup';
	return if $advice ne 'revert_gallery';
	my ($said, undef, $copies) = paste($text, $environment);
	is(slurp_file("$folder/docker-compose.yml"), "    image: ghcr.io/immich-app/immich-server:\${IMMICH_VERSION:-release}\n"
		. "    image: ghcr.io/immich-app/immich-machine-learning:\${IMMICH_VERSION:-release}-cuda\n"
		. "    image: docker.io/valkey/valkey:9\n", "$name: Immich's images");
	my ($copy) = $said =~ /^docker-compose\.yml was copied to (\S+)$/m;
	is($copies->{ $copy // '' }, $gallery_images, "$name: docker-compose.yml as it was has a name of its own");
	like($text, qr/immich-app.*IMMICH_VERSION=.* pull .*SELECT gallery_revert\(\).*DROP EXTENSION.*FLUSHDB.* up -d/s, "$name: in this order");
	return;
}

my %seen;
sub judge
{
	my ($row, $out) = @_;
	my ($name, undef, $wanted, $advice, $pin, $reason, $mend) = @$row;
	my ($before, $after) = split /^== mended\n/m, $out, -1;
	my ($answer) = split /\n/, $before;
	my ($said, $said_pin, $said_reason, $steps) = split /\|/, $answer, 4;
	my @before = $before =~ /^row (.*)/mg;
	$seen{$advice}++;
	is($said, $advice, "$name: $advice") or diag($answer);
	return like($answer, $reason, "$name: says why") if $advice =~ /^refused/;
	is($said_pin, $pin, "$name: pin $pin");
	like($said_reason, $reason, "$name: says why") if $reason;
	like($steps // '', qr/^docker compose rm -sf immich-server/, "$name: removes the server first");
	pasted($name, $pin, $advice, split / ; /, $steps // '');
	if ($advice eq 'restore_backup')
	{
		# An empty ledger it accepts; what refuses then is the first migration.
		isnt(complaint($pin, @before), '', "$name: the migrator refuses $pin as the database is") if @before;
		my ($forward) = $said_reason =~ /go on with (v[\d.]+)/ or return;
		is(complaint($forward, @before), '', "$name: it accepts $forward");
	}
	elsif ($mend)
	{
		# A ledger of Gallery's own beside Immich's does not disturb the migrator; the plugin stops the server.
		isnt(complaint($pin, @before), '', "$name: the migrator refuses $pin as the database is") if $name !~ /split ledger/;
		my @after = $after =~ /^row (.*)/mg;
		is(complaint($pin, @after), '', "$name: after what the steps say it accepts $pin");
		like($after, qr/^returned \Q$pin\E$/m, "$name: and the statement returns that tag");
		my ($statement) = $mend =~ /tools\.(\w+\(\))/;
		like($steps, qr/SELECT \Q$statement\E/, "$name: the steps name $statement");
	}
	else
	{
		is(complaint($pin, @before), '', "$name: the migrator accepts $pin");
	}
	# "starts with Immich X or later" is about the first one that does.
	if ($said_reason =~ /starts with Immich (v[\d.]+) or later/)
	{
		my $first = $1;
		my ($place) = grep { $tags[$_] eq $first } 0 .. $#tags;
		is(complaint($first, @before), '', "$name: $first is accepted");
		isnt(complaint($tags[ $place - 1 ], @before), '', "$name: $tags[$place - 1] is not") if $place;
	}
}

my @answers = answers(Fixture->new(generation => 'v5.8', rows => 0), 'immich',
	map { [ $_->[1], $_->[2], $_->[6], $_->[1] !~ /DROP TABLE kysely/ ] } @table);
judge($table[$_], $answers[$_]) foreach 0 .. $#table;
foreach my $row (@gallery)
{
	my ($out) = answers(Fixture->new(generation => 'v4.57', assets => 200, %{ $row->[1] }), 'gallery', [ '', $row->[2], $row->[6], 1 ]);
	judge($row, $out);
}

# Every release, as it is, and every one asked for on every count: the same two rules decide.
my @counts = sort { $a <=> $b } keys %{ { map { $_ => 1 } values %ships } };
my @grid = answers(Fixture->new(generation => 'v5.8', rows => 0), 'immich',
	map {
		[ state_of($_) . "SELECT 'ask ' || t || '|' || pg_temp.ask(t) FROM unnest(ARRAY['" . join("','", @tags) . "']) AS t;", '', '', 1 ]
	} @counts);
my ($pairs, @wrong) = (0);
foreach my $i (0 .. $#counts)
{
	my @rows = $grid[$i] =~ /^row (.*)/mg;
	while ($grid[$i] =~ /^ask (v[\d.]+)\|(\w+)\|(v[\d.]+)\|/mg)
	{
		my ($tag, $advice, $pin) = ($1, $2, $3);
		$pairs++;
		my $starts = complaint($tag, @rows) eq '';
		my $expected = $ships{$tag} == $counts[$i] ? 'none' : $starts ? 'roll_back' : 'restore_backup';
		push @wrong, "$counts[$i] migrations, $tag: $advice, pin $pin"
			if $advice ne $expected || ($advice ne 'restore_backup' && complaint($pin, @rows) ne '');
	}
}
is($pairs, @counts * @tags, 'every release on every number of migrations');
is_deeply(\@wrong, [], 'the advice for each follows from what the migrator accepts');

note(scalar(@table) + @gallery, ' states and wanted tags, ', $pairs, ' pairs of count and tag: ',
	join ', ', map { "$seen{$_} $_" } sort keys %seen);
cmp_ok(@table + @gallery, '>=', 30, 'at least 30 decisions');
done_testing();
