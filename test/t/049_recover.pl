# scripts/recover on a real cluster, with a stand-in for docker: each of its actions; killed before and after each command that changes
# something, and gone on with; taken back from there; and what it refuses, with nothing changed but the stopped server.
use strict;
use warnings FATAL => 'all';

use Advice;
use Fixture;
use GalleryTest qw(new_node root);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reader;
use Test::More;

my $root = root();
my $node = new_node('recovered');
$node->safe_psql('postgres', 'CREATE ROLE postgres SUPERUSER LOGIN') if $node->safe_psql('postgres', 'SELECT current_user') ne 'postgres';
my $reader = Reader->new($node);
sub write_file { return Reader::write_file(@_) }
sub sql
{
	my ($database, $sql) = @_;
	my $out = '';
	IPC::Run::run([ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-v', 'schema=public', '-d', $node->connstr($database) ],
		'<', \$sql, '>', \$out) or die $sql;
	chomp $out;
	return $out;
}
sub dump_of
{
	my $out = '';
	IPC::Run::run([ 'pg_dump', '-d', $node->connstr($_[0] // 'immich') ], '>', \$out) or die 'pg_dump';
	return $out =~ s/^\\(?:un)?restrict .*\n//mgr;
}
sql('postgres', 'CREATE DATABASE written');
sql('written', Fixture->new(generation => 'v4.57', assets => 200)->sql('immich'));
sql('written', state_of(68, '2.7.5'));
# Restored once: PostgreSQL writes some conditions in another way after that.
sql('postgres', 'CREATE DATABASE fixture');
my $with_path = "SELECT pg_catalog.set_config('search_path', 'pg_catalog, public', false);";
sql('fixture', dump_of('written') =~ s/^SELECT pg_catalog.set_config\('search_path', '', false\);$/$with_path/mr);

# An installation whose update to v3.0.3 failed.
sub installation
{
	my ($change) = @_;
	sql('postgres', qq(DROP DATABASE "$_" WITH (FORCE)))
	  foreach split /\n/, sql('postgres', q(SELECT datname FROM pg_database WHERE datname ~ '^immich'));
	sql('postgres', 'CREATE DATABASE immich TEMPLATE fixture');
	sql('immich', $change) if $change;
	my $place = $reader->place('install');
	my $state = $place->{state} = "$place->{base}/state";
	write_file("$place->{folder}/docker-compose.yml", <<'TEXT');
services:
  immich-server:
    container_name: immich_server
    image: ghcr.io/immich-app/immich-server:${IMMICH_VERSION:-release}
    env_file:
      - .env
  immich-machine-learning:
    image: ghcr.io/immich-app/immich-machine-learning:${IMMICH_VERSION:-release}
  redis:
    image: docker.io/valkey/valkey:9
  database:
    image: ghcr.io/immich-app/postgres:14-vectorchord0.4.3-pgvectors0.2.0
TEXT
	write_file("$place->{folder}/.env",
		"# mine\nUPLOAD_LOCATION=./photos\nIMMICH_VERSION=v3.0.3\nDB_PASSWORD=hunter2\nDB_USERNAME=postgres\n");
	$place->{environment}{DOC_TERMINAL} = 'none';
	write_file("$state/logs", "immich_server  | Initializing Immich v3.0.3\nimmich_server  | Migration \"$names[68]\" failed\n");
	my %image = ('immich-server' => 'ghcr.io/immich-app/immich-server:v3.0.3', redis => 'docker.io/valkey/valkey:9',
		'immich-machine-learning' => 'ghcr.io/immich-app/immich-machine-learning:v3.0.3',
		database => 'ghcr.io/immich-app/postgres:14-vectorchord0.4.3-pgvectors0.2.0');
	write_file("$state/running/$_", "$image{$_}\n") foreach keys %image;
	$place->{before} = dump_of();
	$place->{env} = slurp_file("$place->{folder}/.env");
	return $place;
}
sub recover
{
	my ($place, %option) = @_;
	my ($in, $out) = ($option{answers} // "yes\n", '');
	unlink "$place->{state}/killed";
	write_file("$place->{state}/kill", $option{kill}) if $option{kill};
	local %ENV = %{ $place->{environment} };
	IPC::Run::run([ 'setsid', '-w', "$root/scripts/recover", @{ $option{arguments} // [] } ], '<', \$in, '>&', \$out,
		init => sub { chdir $place->{folder} or die }, IPC::Run::timeout(180));
	my $status = $? >> 8;
	ok(!-e "$place->{state}/kill", "$option{kill}: was met") or unlink "$place->{state}/kill" if $option{kill};
	return ($status, $out);
}
sub running { my ($file) = "$_[0]{state}/running/immich-server"; return -e $file ? slurp_file($file) =~ s/.*:(.*)\n/$1/r : 'none' }
sub env_pins { return slurp_file("$_[0]{folder}/.env") =~ /^IMMICH_VERSION=(.*)$/m ? $1 : '' }
sub databases
{
	return sql('postgres', q(SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname ~ '^(immich|preserve)'));
}
sub same { my ($have, $want, $name) = @_; ok($have eq $want, $name); return }

# A failed update: back to the release before it.
my $place = installation();
my ($status, $out) = recover($place, arguments => ['--check']);
is($status, 0, '--check') or diag($out);
like($out, qr/advice: roll_back.*Immich v2\.7\.5 starts; nothing else is done/s, '--check says what would be done');
is(running($place) . env_pins($place), 'v3.0.3v3.0.3', '--check changes nothing');
($status, $out) = recover($place, answers => "no\n");
is($status, 3, 'no');
same(dump_of(), $place->{before}, 'no: the database is as it was');
is(env_pins($place), 'v3.0.3', 'no: and .env');
($status, $out) = recover($place);
is($status, 0, 'back to the release before') or diag($out);
is(running($place) . env_pins($place), 'v2.7.5v2.7.5', '... it runs');
same(dump_of(), $place->{before}, '... on the same database');
my ($copy) = glob "$place->{base}/home/immich-preserved/immich-*Z";
ok(-e "$copy/restore.sh", '... of which there is a copy');
my $state = "$place->{base}/home/immich-preserved/recover-immich";
like(slurp_file("$state/files/immich.log"), qr/Initializing Immich v3\.0\.3/, '... and the log');
like($out, qr/the same counts as in the copy/, '... and the counts agree');
unlike($out . slurp_file("$state/log"), qr/hunter2/, '... no password is shown');
($status, $out) = recover($place, arguments => ['--undo']);
is($status, 0, '--undo') or diag($out);
is(running($place) . env_pins($place), 'nonev3.0.3', '... the server stays stopped, .env is as it was');
same(dump_of(), $place->{before}, '... and so is the database');

# Killed at each command that changes something.
foreach my $at ('before compose rm', 'after compose rm', 'before pg_dump', 'before pull -q', 'after pull -q', 'before compose up',
	'after compose up')
{
	$place = installation();
	recover($place, kill => $at);
	($status, $out) = recover($place);
	is($status, 0, "killed $at: goes on") or diag($out);
	is(running($place) . env_pins($place), 'v2.7.5v2.7.5', "killed $at: the release before runs");
	same(dump_of(), $place->{before}, "killed $at: on the same database");
	is(databases(), 'immich', "killed $at: no copy is left");
}

# A copy is restored beside the database of now, and takes its name.
$place = installation();
{
	local %ENV = %{ $place->{environment} };
	system("cd '$place->{folder}' && '$root/scripts/preserve-state.sh' --docker immich_postgres >/dev/null 2>&1") == 0 or die 'preserve';
}
($copy) = glob "$place->{base}/home/immich-preserved/immich-*Z";
system('cp', '-r', $copy, "$place->{base}/kept") == 0 or die 'cp';
foreach my $at ('', 'before RENAME TO', 'after RENAME TO', 'before compose up')
{
	$place = installation(state_of(86, '2.7.5', '3.0.3') . 'DELETE FROM album;');
	my @restore = ('--restore', "$place->{base}/kept");
	system('cp', '-r', $copy, "$place->{base}/kept") == 0 or die 'cp' if !-e "$place->{base}/kept";
	recover($place, kill => $at, arguments => \@restore) if $at;
	($status, $out) = recover($place, arguments => \@restore);
	is($status, 0, "restored $at") or diag($out);
	is(running($place) . env_pins($place), 'v2.7.5v2.7.5', "restored $at: its release runs");
	same(dump_of(), dump_of('fixture'), "restored $at: it is what was saved");
	my ($old) = databases() =~ /^immich (immich_before_\w+)$/;
	ok($old, "restored $at: the one from before is kept");
	same(dump_of($old), $place->{before}, "restored $at: as it was");
}
($status, $out) = recover($place, arguments => ['--undo']);
is($status, 0, 'restored, --undo') or diag($out);
same(dump_of(), $place->{before}, 'restored, --undo: the database is as it was');

# A ledger out of order is repaired, whenever that is killed, and nothing of the extension stays.
foreach my $at ('', map { "$_ immich_repair_migration_order" } 'before', 'after')
{
	$place = installation("UPDATE kysely_migrations SET timestamp = '2025-01-01T00:00:00.000Z' WHERE name = '$names[40]';");
	recover($place, kill => $at) if $at;
	($status, $out) = recover($place);
	is($status, 0, "repaired $at") or diag($out);
	is(running($place), 'v2.7.5', "repaired $at: it runs");
	is(sql('immich', q(SELECT string_agg(name, ' ' ORDER BY timestamp, name) = string_agg(name, ' ' ORDER BY name COLLATE "C")
	  FROM kysely_migrations)), 't', "repaired $at: the ledger is in order");
	is(sql('immich', q(SELECT count(*) FROM pg_extension WHERE extname = 'gallery_revert')), '0', "repaired $at: without the extension");
}

# What it does not do.
$place = installation(state_of(86, '2.7.5', '3.0.3'));
($status, $out) = recover($place, arguments => [ '--tag', 'v2.7.5' ]);
is($status, 4, 'a downgrade');
like($out, qr/--restore FOLDER.*--forward/s, 'a downgrade: says the two ways');
is(env_pins($place), 'v3.0.3', 'a downgrade: .env is as it was');
($status, $out) = recover($place, arguments => ['--forward']);
is($status . running($place), '0v3.0.3', 'forward') or diag($out);
# A database that starts is waited for; one that refuses us is not one that is damaged.
$place = installation();
write_file("$place->{state}/starting", "1\n2\n");
($status, $out) = recover($place, arguments => ['--check']);
is($status, 0, 'the database is starting: waited for') or diag($out);
like($out, qr/does not answer yet, waiting/, '... and says so');
$place = installation();
write_file("$place->{folder}/.env", slurp_file("$place->{folder}/.env") =~ s/^DB_USERNAME=.*/DB_USERNAME=nobody/mr);
($status, $out) = recover($place);
is($status, 4, 'another role: stops');
like($out, qr/role "nobody" does not exist.*does not answer as role nobody/s, '... with the cause');
is_deeply([ glob "$place->{base}/home/immich-preserved/recover-immich/data-*" ], [], '... and copies no files, as nothing is damaged');
$place = installation();
unlink "$place->{state}/running/database";
write_file("$place->{state}/down", '');
($status, $out) = recover($place);
is($status, 4, 'the database does not start');
my @files = glob "$place->{base}/home/immich-preserved/recover-immich/data-*";
ok(@files == 1 && -e "$files[0]/PG_VERSION", 'the database does not start: its files are copied');
like($out, qr/\Q$files[0]\E.*run this again: it starts the database/s, 'the database does not start: says where, and what comes next');
($status, $out) = recover($place);
is($status, 4, 'the database still does not start');
is_deeply([ glob "$place->{base}/home/immich-preserved/recover-immich/data-*" ], \@files, 'the database still does not start: one copy');
unlink "$place->{state}/down";
($status, $out) = recover($place);
is($status, 0, 'the database starts again: it goes on') or diag($out);
is(running($place) . env_pins($place), 'v2.7.5v2.7.5', 'the database starts again: the release before runs');
same(dump_of(), $place->{before}, 'the database starts again: on the same database');
done_testing();
