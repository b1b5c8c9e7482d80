# scripts/preserve-state.sh against a real cluster: what it saves, that the copy restores, and that no failure,
# interruption or odd surroundings leave anything that looks complete, a scratch database, or a password.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

# A shell cannot catch signals that were ignored when it started, as nohup and background jobs have them.
$SIG{$_} = 'DEFAULT' foreach qw(INT HUP TERM QUIT);

my $root = abs_path(dirname(__FILE__) . '/../..');
my $script = "$root/scripts/preserve-state.sh";
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
delete $ENV{PGDATABASE};
$ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');
my $temp = PostgreSQL::Test::Utils::tempdir();
my $places = 0;
$ENV{TMPDIR} = PostgreSQL::Test::Utils::tempdir();
my $path = $ENV{PATH};

# A new folder for one run, with a name that breaks careless quoting.
sub place { return "$temp/photo's \$HOME place " . ++$places }

sub preserve
{
	my @command = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ $script, @command ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(180));
	chomp $out;
	return ($? >> 8, $out, $err);
}

sub entries
{
	my ($folder) = @_;
	opendir my $dir, $folder or return ();
	return sort grep { !/^\.\.?$/ } readdir $dir;
}

sub slurp { return PostgreSQL::Test::Utils::slurp_file($_[0]) }

sub write_file
{
	my ($file, $text, $mode) = @_;
	open my $fh, '>', $file or die "$file: $!";
	print $fh $text;
	close $fh;
	chmod $mode, $file if $mode;
	return;
}

# A folder of stand-ins that come before the real programs; each gets the real one's path in $REAL.
sub stand_ins
{
	my (%programs) = @_;
	my $folder = "$temp/bin" . ++$places;
	mkdir $folder or die $!;
	for my $name (keys %programs)
	{
		my ($real) = grep { -x } map { "$_/$name" } split /:/, $path;
		write_file("$folder/$name", "#!/bin/bash\nREAL='" . ($real // '') . "'\n$programs{$name}\n", 0755);
	}
	return "$folder:$path";
}

sub scratch_databases { return $node->safe_psql('postgres', q{SELECT count(*) FROM pg_database WHERE datname LIKE 'preserve_test_%'}) }

# Immich as far as the script looks, with an index that restores only with the schema on the search path.
sub make_immich
{
	my ($database, $schema, $assets) = @_;
	my $sql = <<'SQL';
SET search_path = %s;
CREATE EXTENSION unaccent SCHEMA %s;
CREATE FUNCTION f_unaccent(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT unaccent('unaccent', $1) $$;
CREATE TABLE kysely_migrations (name varchar(255) PRIMARY KEY, timestamp varchar(255) NOT NULL);
INSERT INTO kysely_migrations VALUES ('1744910873969-InitialMigration', '2026-01-01T00:00:00.000Z'),
  ('1744991379464-AddNotificationsTable', '2026-01-01T00:00:01.000Z');
CREATE TABLE version_history (id int PRIMARY KEY, "createdAt" timestamptz NOT NULL, version varchar NOT NULL);
INSERT INTO version_history VALUES (1, '2026-01-01', '2.7.5'), (2, '2026-07-01', '3.0.1');
CREATE TABLE "user" (id int PRIMARY KEY, name text, "deletedAt" timestamptz);
INSERT INTO "user" SELECT i, U&'Zo\00EB ' || i, CASE WHEN i = 3 THEN now() END FROM generate_series(1, 3) i;
CREATE INDEX ON "user" (f_unaccent(name));
CREATE TABLE asset (id int PRIMARY KEY, type varchar, visibility text, status text, "createdAt" timestamptz, noise text);
INSERT INTO asset SELECT i, (ARRAY['IMAGE', 'VIDEO'])[1 + i %% 2], CASE WHEN i %% 5 = 0 THEN 'archive' ELSE 'timeline' END, 'active',
  '2026-02-03T04:05:06Z', md5(i::text) || md5((-i)::text) FROM generate_series(1, %d) i;
CREATE TABLE asset_exif ("assetId" int, "fileSizeInByte" bigint);
INSERT INTO asset_exif SELECT id, 1000 FROM asset;
CREATE TABLE blocker ();
SQL
	# From PostgreSQL 17 on an index is made with nothing on the search path, so its function has to name the schema.
	my $text = $schema =~ s/'/''/gr;
	$sql =~ s/unaccent\('unaccent', /$schema.unaccent('$text.unaccent', / if $node->safe_psql('postgres', 'SHOW server_version_num') >= 170000;
	$node->safe_psql($database, sprintf $sql, $schema, $schema, $assets);
	return;
}

$node->safe_psql('postgres', 'CREATE DATABASE immich');
make_immich('immich', 'public', 20000);

# The normal run.
my $install = "$temp/my immich";
mkdir $install or die $!;
write_file("$install/docker-compose.yml", "services:\n");
write_file("$install/.env", "DB_PASSWORD=hunter2\n");
my $out = place();
my ($status, $folder, $err) = preserve('--output', $out, '--install', $install, '--test-restore');
is($status, 0, 'normal run succeeds') or diag $err;
like($folder, qr/^\Q$out\E\/immich-\d{8}T\d{6}Z$/, 'prints the dated folder and nothing else on standard output');
is(join(' ', entries($out)), $folder =~ s/.*\///r, 'leaves one folder');
is_deeply([ entries($folder) ],
	[qw(MANIFEST README.txt about.txt config contents.txt immich.dump
		inventory-restored.tsv inventory.tsv ledger.tsv restore.sh versions.tsv)], 'its files');
is_deeply([ entries("$folder/config") ], [ '.env', 'docker-compose.yml' ], 'copies of the configuration');
is(slurp("$folder/config/.env"), "DB_PASSWORD=hunter2\n", '.env is copied as it is');
unlike($err, qr/hunter2/, 'no password in the messages');
like($err, qr/Done\. The state of the database is in\n\s+\Q$folder\E/, 'says where it is');
like($err, qr/Next: docs\/recovery\.md, step 4, or docs\/switching-back\.md, step 3\.$/m, 'says what comes next');
unlike($err, qr/immich_recovery_advice/, 'and asks for no function that is not there');
like($err, qr/all \d+ counts agree/, 'says that the copy agrees');
command_ok([ 'bash', '-c', 'cd "$1" && sha256sum --quiet --strict -c MANIFEST', 'bash', $folder ], 'the manifest holds');
is(scalar(() = slurp("$folder/MANIFEST") =~ /\n/g), 11, 'the manifest lists every file but itself');
is(sprintf('%04o', (stat $folder)[2] & 07777), '0700', 'the folder is private');
is(sprintf('%04o', (stat "$folder/config/.env")[2] & 07777), '0400', 'the files are private and read-only');
is(slurp("$folder/inventory.tsv"), <<'TSV', 'the counts');
users_active	2
users_deleted	1
assets	20000
assets_type_image	10000
assets_type_video	10000
assets_visibility_archive	4000
assets_visibility_timeline	16000
assets_status_active	20000
newest_upload_epoch	1770091506
bytes_originals	20000000
TSV
is(slurp("$folder/ledger.tsv"), "kysely_migrations\t2026-01-01T00:00:00.000Z\t1744910873969-InitialMigration\n"
	  . "kysely_migrations\t2026-01-01T00:00:01.000Z\t1744991379464-AddNotificationsTable\n", 'the ledger');
like(slurp("$folder/versions.tsv"), qr/\t2\.7\.5\n.*\t3\.0\.1\n$/, 'the versions');
like(slurp("$folder/about.txt"), qr/^schema\tpublic\n.*^server\t\d+.*^extension unaccent\t.*^pg_dump\t/ms, 'the surroundings');
is(scratch_databases(), '0', 'the scratch database is gone');
my $dump = "$folder/immich.dump";

# The dump by itself: into an empty database, by the way of docs/recovery.md.
$node->safe_psql('postgres', 'CREATE DATABASE by_hand TEMPLATE template0');
command_ok([ 'bash', '-o', 'pipefail', '-c',
	q{pg_restore --file=- --no-owner "$1" | sed "s/^SELECT pg_catalog.set_config('search_path', '', false);$/}
	  . q{SELECT pg_catalog.set_config('search_path', 'pg_catalog, public', false);/" }
	  . q{| psql -X -q -1 -v ON_ERROR_STOP=1 -d by_hand},
	'bash', $dump ], 'the dump restores by hand');
is($node->safe_psql('by_hand', 'SELECT count(*) FROM asset'), '20000', 'with all rows');

# The copy restores itself: from its folder alone, keeping what is there; and whatever fails, all is as it was.
sub dumped
{
	my $text = '';
	IPC::Run::run([ 'pg_dump', '--create', 'immich' ], '>', \$text) or die 'pg_dump';
	return $text =~ s/^\\(?:un)?restrict.*\n//mgr;
}
sub restore
{
	my ($answer, @command) = @_;
	my $said = '';
	IPC::Run::run([ 'bash', @command ], '<', \$answer, '>&', \$said, IPC::Run::timeout(180));
	return ($? >> 8, $said);
}
sub databases
{
	return $node->safe_psql('postgres', q(SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname ~ '^immich'));
}
{
	my $good = dumped();
	my $moved = "$temp/another place";
	system('cp', '-r', $folder, $moved) == 0 or die 'cp';
	$node->safe_psql('immich', 'DELETE FROM asset; CREATE TABLE mine ()');
	my $bad = dumped();
	my $unchanged = sub {
		my ($name, $expected, $says, $status, $said) = @_;
		is($status, $expected, "restore.sh, $name: status $expected");
		like($said, $says, "restore.sh, $name: says why");
		is(databases(), 'immich', "restore.sh, $name: no other database");
		is(dumped(), $bad, "restore.sh, $name: it is as it was");
	};
	$unchanged->('no', 3, qr/What it holds now stays.*Nothing was changed/s, restore("no\n", "$moved/restore.sh"));
	my $session = $node->background_psql('immich');
	$unchanged->('a session', 1, qr/1 sessions are connected/, restore('', "$moved/restore.sh", '--yes'));
	$session->quit;
	{
		local $ENV{PATH} = stand_ins(pg_restore => '"$REAL" "$@" | head -c 20000; exit 1');
		$unchanged->('half of it', 1, qr/could not be restored; all is as it was/, restore('', "$moved/restore.sh", '--yes'));
	}
	chmod 0600, "$moved/immich.dump" or die $!;
	open my $damage, '>>', "$moved/immich.dump" or die $!;
	print $damage 'x';
	close $damage;
	$unchanged->('a damaged copy', 1, qr/a checksum in MANIFEST does not hold/, restore('', "$moved/restore.sh", '-y'));
	my ($restored, $said) = restore("yes\n", "$folder/restore.sh");
	is($restored, 0, 'restore.sh: restores') or diag($said);
	is(dumped(), $good, 'restore.sh: byte for byte');
	my ($kept) = databases() =~ /^immich (immich_before_\d{8}_\d{6})$/;
	ok($kept, 'restore.sh: the one from before is kept');
	is($node->safe_psql($kept, 'SELECT count(*) FROM mine'), '0', 'restore.sh: as it was');
	$node->safe_psql('postgres', "DROP DATABASE $kept; DROP DATABASE immich");
	($restored, $said) = restore('', "$folder/restore.sh", '-y');
	is($restored, 0, 'restore.sh: where there is none') or diag($said);
	is(dumped(), $good, 'restore.sh: it is made');
}

# Through docker: the stand-in refuses any other container and passes on only what a container would get.
my $docker_script = <<"SH";
printf '%s\\n' "\$*" >>'$temp/docker.log'
[ "\$1" = exec ] || exit 125
shift
given=()
while :; do
  case \$1 in
    -i) shift ;;
    -e) case \$2 in *=*) given+=("\$2") ;; *) given+=("\$2=\${!2}") ;; esac; shift 2 ;;
    *) break ;;
  esac
done
[ "\$1" = immich_postgres ] || { echo "Error response from daemon: No such container: \$1" >&2; exit 1; }
shift
exec env -u PGPASSWORD -u PGUSER -u PGDATABASE \\
  PGHOST='$ENV{PGHOST}' PGPORT='$ENV{PGPORT}' POSTGRES_USER='$ENV{PGUSER}' "\${given[\@]}" "\$\@"
SH
my $docker = stand_ins(docker => $docker_script);
{
	local @ENV{qw(PATH PGHOST PGPASSWORD)} = ($docker, '/nonexistent', 'hunter2');
	$out = place();
	($status, $folder, $err) = preserve('-o', $out, '-t', '--docker', 'immich_postgres');
	is($status, 0, 'docker: succeeds') or diag $err;
	command_ok([ 'bash', '-c', 'cd "$1" && sha256sum --quiet -c MANIFEST', 'bash', $folder ], 'docker: the manifest holds');
	unlike(slurp("$temp/docker.log"), qr/hunter2/, 'docker: no password on a command line');
	like(slurp("$temp/docker.log"), qr/-e PGPASSWORD immich_postgres psql/, 'docker: the password travels by name');
	is(scratch_databases(), '0', 'docker: the scratch database is gone');

	$out = place();
	($status, undef, $err) = preserve('-o', $out, '--docker', 'immich_server');
	is($status, 1, 'docker: wrong container fails');
	like($err, qr/No such container.*docker compose up -d database/s, 'docker: says so and what to do');
	{
		local $ENV{PATH} = stand_ins(docker => 'echo "permission denied while trying to connect to the Docker daemon socket" >&2; exit 1');
		($status, undef, $err) = preserve('-o', $out, '-c', 'immich_postgres');
		like($err, qr/permission denied while.*run it as: sudo --preserve-env=HOME/s, 'docker: no permission, says what to do');
	}
	is_deeply([ entries($out) ], [], 'docker: leaves nothing');

	# A container that knows role and database by Immich's names only.
	$node->safe_psql('postgres', 'CREATE DATABASE photos TEMPLATE immich');
	$ENV{PATH} = stand_ins(docker => $docker_script =~ s/POSTGRES_USER=/DB_DATABASE_NAME=photos DB_USERNAME=/r);
	($status, $folder, $err) = preserve('-o', $out, '-c', 'immich_postgres');
	is($status, 0, 'docker, other names: succeeds') or diag $err;
	like($err, qr/database "photos"/, 'docker, other names: the database');
	$node->safe_psql('postgres', 'DROP DATABASE photos');
}

# A password, by the book: required by the server, in the environment, never in a process list or a file.
$node->safe_psql('postgres', q{CREATE ROLE keeper SUPERUSER LOGIN PASSWORD 'hunter2'});
my $hba = slurp($node->data_dir . '/pg_hba.conf');
write_file($node->data_dir . '/pg_hba.conf', "local all keeper scram-sha-256\n$hba");
$node->reload;
{
	my $spy = 'printf "%s\n" "$*" >>' . "'$temp/spy.log'" . '; exec "$REAL" "$@"';
	local @ENV{qw(PATH PGUSER)} = (stand_ins(psql => $spy, pg_dump => $spy, pg_restore => $spy), 'keeper');
	{
		local $ENV{PGPASSWORD} = 'hunter2';
		$out = place();
		($status, $folder, $err) = preserve('-o', $out, '-t');
		is($status, 0, 'password: succeeds') or diag $err;
		command_fails([ 'grep', '-r', 'hunter2', $folder, "$temp/spy.log" ], 'password: nowhere to be found');
		unlike($err, qr/hunter2/, 'password: not in the messages');
	}
	($status, undef, $err) = preserve('-o', place());
	is($status, 1, 'password: missing, fails without asking');
	like($err, qr/password.*PGPASSWORD or a password file/s, 'password: says where it belongs');
	($status, undef, $err) = preserve('-d', 'postgres://keeper:hunter2@localhost/immich');
	is($status, 2, 'password: a connection string is refused');
	unlike($err, qr/hunter2/, 'password: and not repeated');
}
write_file($node->data_dir . '/pg_hba.conf', $hba);
$node->reload;

# Odd names, and another schema than public.
my $odd = q{my "photos' \db};
my $odd_schema = q{o'dd "schema" \1};
$node->safe_psql('postgres', 'CREATE DATABASE ' . q{"my ""photos' \db"});
$node->safe_psql($odd, 'CREATE SCHEMA ' . q{"o'dd ""schema"" \1"});
make_immich($odd, q{"o'dd ""schema"" \1"}, 10);
($status, $folder, $err) = preserve('-o', place(), '-t', '-d', $odd);
is($status, 0, 'odd names: succeeds') or diag $err;
like(slurp("$folder/inventory.tsv"), qr/^assets\t10$/m, 'odd names: the counts');

# A service file that names the database: the test restore must not follow it into the real one.
write_file("$temp/service.conf", "[photos]\nhost=$ENV{PGHOST}\nport=$ENV{PGPORT}\ndbname=immich\n");
{
	local @ENV{qw(PGSERVICE PGSERVICEFILE)} = ('photos', "$temp/service.conf");
	delete local $ENV{PGPORT};
	($status, $folder, $err) = preserve('-o', place(), '-t');
	is($status, 0, 'service file: succeeds') or diag $err;
	like(slurp("$folder/inventory.tsv"), qr/^assets\t20000$/m, 'service file: the counts');
}

# The names before v1.136, and the ledger before v1.132.
$node->safe_psql('postgres', 'CREATE DATABASE old');
$node->safe_psql('old', <<'SQL');
CREATE TABLE migrations (id serial PRIMARY KEY, "timestamp" bigint NOT NULL, name varchar NOT NULL);
INSERT INTO migrations ("timestamp", name) VALUES (1744910873956, 'AddMissingIndex1744910873956');
CREATE TABLE users (id int, "deletedAt" timestamptz);
CREATE TABLE assets (id int, type varchar, "isArchived" bool, "isFavorite" bool, "createdAt" timestamptz);
INSERT INTO assets SELECT i, 'IMAGE', i = 1, false, '2025-01-01Z' FROM generate_series(1, 4) i;
CREATE TABLE albums_assets_assets (a int);
CREATE TABLE exif ("fileSizeInByte" bigint);
SQL
($status, $folder, $err) = preserve('-o', place(), '-t', '-d', 'old');
is($status, 0, 'old generation: succeeds') or diag $err;
is(slurp("$folder/inventory.tsv"),
	"users_active\t0\nusers_deleted\t0\nassets\t4\nassets_type_image\t4\nassets_archived\t1\nassets_favorite\t0\n"
	  . "newest_upload_epoch\t1735689600\nbytes_originals\t0\nalbum_assets\t0\n", 'old generation: the counts');
like(slurp("$folder/ledger.tsv"), qr/^migrations\t1744910873956\tAddMissingIndex1744910873956$/, 'old generation: the ledger');

# The extension counts as well where it is installed, and an error of its own costs nothing.
{
	$node->safe_psql('postgres', 'CREATE DATABASE with_extension TEMPLATE immich');
	$node->safe_psql('with_extension', 'CREATE SCHEMA "odd one"; CREATE EXTENSION gallery_revert SCHEMA "odd one"');
	($status, $folder, $err) = preserve('-o', place(), '-t', '-d', 'with_extension');
	is($status, 0, 'extension: succeeds') or diag $err;
	my $counts = $node->safe_psql('with_extension', q{SELECT item || E'\t' || count FROM "odd one".immich_inventory()});
	is(slurp("$folder/immich_inventory.tsv"), "$counts\n", 'extension: its counts are saved');
	like(slurp("$folder/inventory.tsv"), qr/^assets\t20000$/m, 'extension: beside those of the script');
	like(slurp("$folder/contents.txt"), qr/EXTENSION - gallery_revert/, 'extension: is in the dump');
	like($err,
		qr/ask for the next step:\n +psql -X -P pager=off -d with_extension -x -c "SELECT \* FROM immich_recovery_advice\(NULL::text\)"$/m,
		'extension: it is asked for the next step');
	{
		local @ENV{qw(PATH PGHOST)} = ($docker, '/nonexistent');
		($status, undef, $err) = preserve('-o', place(), '-c', 'immich_postgres', '-d', 'with_extension');
		# With -i it would take away the lines that are pasted after it.
		like($err, qr/^ +docker exec immich_postgres psql -X -P pager=off -U \S+ -d with_extension -x -c/m,
			'extension: through docker where it was reached so');
	}
	$node->safe_psql('with_extension', 'ALTER EXTENSION gallery_revert DROP FUNCTION "odd one".immich_inventory();
	  DROP FUNCTION "odd one".immich_inventory()');
	($status, $folder, $err) = preserve('-o', place(), '-t', '-d', 'with_extension');
	is($status, 0, 'extension that fails: succeeds') or diag $err;
	ok(!-e "$folder/immich_inventory.tsv", 'extension that fails: no counts of it');
	like(slurp("$folder/inventory.tsv"), qr/^assets\t20000$/m, 'extension that fails: those of the script are saved');
}

# Refusals before anything is made.
($status, undef, $err) = preserve('-o', my $none = place(), '-d', 'postgres');
is($status, 1, 'not an Immich database: fails');
like($err, qr/holds no Immich/, 'not an Immich database: says so');
ok(!-e $none, 'not an Immich database: makes no folder');
$node->safe_psql('immich', 'CREATE SCHEMA twin; CREATE TABLE twin.kysely_migrations (name text, timestamp text); '
	. 'CREATE TABLE twin."user" (id int); CREATE TABLE twin.asset (id int)');
($status, undef, $err) = preserve('-o', place());
is($status, 1, 'two ledgers: fails');
like($err, qr/holds an Immich in 2 schemas/, 'two ledgers: says so');
$node->safe_psql('immich', 'DROP TABLE twin.asset');
($status, undef, $err) = preserve('-o', place());
is($status, 0, 'a table of the ledger\'s name elsewhere: succeeds') or diag $err;
$node->safe_psql('immich', 'DROP SCHEMA twin CASCADE');
($status, undef, $err) = preserve('-o', "$install/backup", '-i', $install);
is($status, 1, 'inside the install folder: fails');
like($err, qr/inside the install folder/, 'inside the install folder: says so');
($status, undef, $err) = preserve('-o', place(), '-f', "$install/.env", '-i', $install);
is($status, 1, 'two files of one name: fails');
like($err, qr/two files are called \.env/, 'two files of one name: says so');
($status, undef, $err) = preserve('-o', place(), '-f', "$temp/missing.yml");
is($status, 1, 'a file that is not there: fails');
like($err, qr/cannot read the file: \Q$temp\E\/missing\.yml/, 'a file that is not there: named');
($status) = preserve('--frobnicate');
is($status, 2, 'unknown option');
($status) = preserve('--output');
is($status, 2, 'option without its value');
{
	local $ENV{PATH} = stand_ins(pg_dump => 'echo "pg_dump (PostgreSQL) 9.6.1"');
	($status, undef, $err) = preserve('-o', place());
	is($status, 1, 'pg_dump older than the server: fails');
	like($err, qr/pg_dump 9 cannot dump from PostgreSQL \d+/, 'pg_dump older than the server: says so');
}

# No permission to write, no room.
$out = place();
mkdir $out or die $!;
chmod 0500, $out;
($status, undef, $err) = preserve('-o', $out);
is($status, 1, 'no write permission: fails');
like($err, qr/cannot write into the folder \Q$out\E/, 'no write permission: says so');
chmod 0700, $out;
{
	local $ENV{PATH} = stand_ins(df =>
		'printf "Filesystem 1024-blocks Used Available Capacity Mounted on\n//nas/My Share 9000 8000 1000 88%% /mnt/a b\n"');
	($status, undef, $err) = preserve('-o', $out);
	is($status, 1, 'too little room: fails');
	like($err, qr/not enough room: 0 MB free in \Q$out\E, \d\d MB wanted/, 'too little room: says so');
	is_deeply([ entries($out) ], [], 'too little room: leaves nothing');
	($status) = preserve('-o', $out, '--no-space-check');
	is($status, 0, 'too little room: --no-space-check goes on');
}

# Room for the test restore: for the copy, the dump, the log of writing the copy, and 256 MB; the log may be on another disk.
{
	my $data = $node->data_dir;
	$node->stop;
	rename "$data/pg_wal", "$temp/wal" or die $!;
	symlink "$temp/wal", "$data/pg_wal" or die $!;
	$node->append_conf('postgresql.conf', 'max_wal_size = 1GB');
	$node->start;
	my ($data_free, $wal_free);
	my $try = sub {
		($data_free, $wal_free) = @_;
		my $row = 'Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 90000000 9000 %s 88%% /\n';
		my ($rich, $of_data, $of_wal) = map { sprintf $row, $_ } 80000000, $data_free, $wal_free;
		local $ENV{PATH} = stand_ins(df => qq{case "\$*" in *pg_wal*) t='$of_wal' ;; *'$data'*) t='$of_data' ;; *) t='$rich' ;; esac
			printf "\${t//%/%%}"});
		my ($status, undef, $err) = preserve('-o', place(), '-t');
		return ($status, $err);
	};
	# So that both ways to reckon the log are tried: PostgreSQL's least max_wal_size is 32 MB.
	$node->safe_psql('immich', 'CREATE TABLE padding AS SELECT md5(i::text) FROM generate_series(1, 200000) i');
	my $size = $node->safe_psql('immich', 'SELECT pg_database_size(current_database()) / 1024');
	my $log = 2 * $size;
	foreach my $setting ('1GB', '32MB')
	{
		$node->safe_psql('postgres', "ALTER SYSTEM SET max_wal_size = '$setting'");
		$node->reload;
		$log = 32768 if $setting eq '32MB';
		my $wanted = 2 * $size + $log + 262144;
		# What the server itself writes meanwhile changes the size a little.
		($status, $err) = $try->($wanted - 2000, 80000000);
		is($status, 1, "room to restore, max_wal_size $setting: too little, fails");
		my ($asked) = $err =~ /not enough room for --test-restore: \d+ MB free in \Q$data\E, (\d+) MB wanted/;
		cmp_ok(abs(($asked // 0) - $wanted / 1024), '<', 2, "room to restore, max_wal_size $setting: says how much");
		($status, $err) = $try->($wanted + 2000, $log + 262144 - 2000);
		is($status, 1, "room to restore, max_wal_size $setting: too little for the log on another disk, fails");
		like($err, qr/not enough room for --test-restore: \d+ MB free in \Q$data\E\/pg_wal/,
			"room to restore, max_wal_size $setting: says where");
		($status, $err) = $try->($wanted + 2000, $log + 262144 + 2000);
		is($status, 0, "room to restore, max_wal_size $setting: enough, goes on") or diag $err;
	}
	cmp_ok(2 * $size, '>', 32768, 'the two settings make a difference');
	$node->safe_psql('immich', 'DROP TABLE padding');
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET max_wal_size');
	$node->reload;
}

# A server that comes back after a while: the scratch database is dropped then.
{
	my $count = "$temp/drops";
	local $ENV{PATH} = stand_ins(psql => <<"SH");
case \$* in *\$'\037'*) ;; *) exec "\$REAL" "\$\@" ;; esac
text=\$(cat)
case \$text in *"DROP DATABASE"*)
    echo x >>'$count'
    if [ "\$(wc -l <'$count')" -lt 3 ]; then
        echo 'psql: error: connection to server on socket failed: FATAL:  the database system is in recovery mode' >&2
        exit 2
    fi ;;
esac
printf '%s\n' "\$text" | "\$REAL" "\$\@"
SH
	($status, undef, $err) = preserve('-o', place(), '-t');
	is($status, 0, 'a server that comes back: succeeds') or diag $err;
	like($err, qr/waiting for it/, 'a server that comes back: says that it waits');
	is(scratch_databases(), '0', 'a server that comes back: the scratch database is gone');
}

# A disk that fills up during the dump: by a limit on the size of files, and on a real small disk.
$out = place();
my ($stdout, $stderr) = ('', '');
IPC::Run::run([ 'bash', '-c', 'ulimit -f 100; exec "$@"', 'bash', $script, '-o', $out ], '>', \$stdout, '2>', \$stderr);
isnt($?, 0, 'file size limit: fails');
like($stderr, qr/FAILED: pg_dump did not finish.*Nothing was kept/s, 'file size limit: says so');
is_deeply([ entries($out) ], [], 'file size limit: leaves nothing');
SKIP:
{
	my $disk = "$temp/disk";
	mkdir $disk or die $!;
	my @in_disk = ('unshare', '-Urm', 'bash', '-c',
		'mount -t tmpfs -o size=300k tmpfs "$0" && cd / && "$@"; status=$?; echo "left: $(ls -A "$0")"; exit $status', $disk);
	skip 'no user namespaces here', 3
		if system("@in_disk[0 .. 1] true >/dev/null 2>&1") != 0
		|| !IPC::Run::run([ @in_disk, 'true' ], '>', \$stdout, '2>', \$stderr);
	my $finished = IPC::Run::run([ @in_disk, $script, '--no-space-check', '-o', $disk ], '>', \$stdout, '2>', \$stderr);
	ok(!$finished, 'full disk: fails');
	like($stderr, qr/No space left on device.*FAILED/s, 'full disk: says so') or diag $stderr;
	like($stdout, qr/^left: $/m, 'full disk: leaves nothing');
}

# Damage that only reading the dump back can find, and damage that only the test restore can find.
{
	local $ENV{PATH} = stand_ins(pg_dump => '[ "$1" = --version ] && exec "$REAL" "$@"; "$REAL" "$@" | head -c 300000; exit 0');
	$out = place();
	($status, undef, $err) = preserve('-o', $out);
	is($status, 1, 'truncated dump: fails');
	like($err, qr/the dump cannot be read to its end/, 'truncated dump: says so');
	is_deeply([ entries($out) ], [], 'truncated dump: leaves nothing');
}
{
	local $ENV{PATH} = stand_ins(pg_restore => '"$REAL" "$@" | sed "/^7\tVIDEO/d"');
	$out = place();
	($status, undef, $err) = preserve('-o', $out, '-t');
	is($status, 1, 'a row lost: fails');
	like($err, qr/the restored copy differs.*kept, with restore\.log/s, 'a row lost: says so');
	my ($left) = entries($out);
	like($left, qr/^immich-\d{8}T\d{6}Z\.restore-failed$/, 'a row lost: the dump is kept under a name that says so');
	ok(!-e "$out/$left/MANIFEST", 'a row lost: and without a manifest');
	like(slurp("$out/$left/restore.log"), qr/< assets\t20000.*> assets\t19999/s, 'a row lost: the difference is in the log');
	is(scratch_databases(), '0', 'a row lost: the scratch database is gone');
}
{
	local $ENV{PATH} = stand_ins(pg_restore => 'case "$*" in *--no-owner*) "$REAL" "$@" | head -n 5000; exit 1 ;; esac; exec "$REAL" "$@"');
	($status, undef, $err) = preserve('-o', place(), '-t');
	is($status, 1, 'restore breaks off: fails');
	like($err, qr/the dump could not be restored/, 'restore breaks off: says so');
	is(scratch_databases(), '0', 'restore breaks off: the scratch database is gone');
}

# Nothing of others is touched: an existing folder, an existing database.
{
	local $ENV{PATH} = stand_ins(date => 'case "$*" in *%Y%m%dT*) echo 20260102T030405Z ;; *) exec "$REAL" "$@" ;; esac');
	for my $name ('immich-20260102T030405Z', 'immich-20260102T030405Z.partial')
	{
		$out = place();
		mkdir $_ or die $! for $out, "$out/$name";
		write_file("$out/$name/immich.dump", 'precious');
		($status, undef, $err) = preserve('-o', $out);
		is($status, 1, "$name exists: fails");
		like($err, qr/is already there\n\s+Nothing is ever overwritten/, "$name exists: says so");
		is(slurp("$out/$name/immich.dump"), 'precious', "$name exists: it is left alone");
		is_deeply([ entries($out) ], [$name], "$name exists: nothing else is made");
	}
}
{
	local $ENV{PATH} = stand_ins(od => 'echo " 00 11 22"');
	$node->safe_psql('postgres', 'CREATE DATABASE preserve_test_001122');
	($status, undef, $err) = preserve('-o', place(), '-t');
	is($status, 1, 'scratch name taken: fails');
	like($err, qr/"preserve_test_001122" exists already/, 'scratch name taken: says so');
	is(scratch_databases(), '1', 'scratch name taken: the database is left alone');
	$node->safe_psql('postgres', 'DROP DATABASE preserve_test_001122');
}

# Interruptions. A lock that somebody holds stops pg_dump in the middle.
sub interrupted
{
	my ($name, $signal, $wanted, $reached, @options) = @_;
	my $place = place();
	# Files, not pipes: what a killed script leaves running would hold a pipe open.
	my @output = map { "$temp/interrupted$places.$_" } 'out', 'err';
	my $run = IPC::Run::start([ $script, '-o', $place, @options ], '<', \undef, '>', $output[0], '2>', $output[1]);
	my $begun = time;
	usleep(50_000) until $reached->() || time - $begun > 60;
	$begun = time;
	$run->signal($signal);
	$run->finish;
	my $raw = $?;
	cmp_ok(time - $begun, '<', 20, "$name: at once");
	is($raw >> 8, $wanted, "$name: exit status");
	is(slurp($output[0]), '', "$name: prints no folder");
	return ($place, slurp($output[1]));
}

my $sessions = q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'preserve_state_%'};
my $holder = $node->background_psql('immich');
$holder->query_safe('BEGIN; LOCK TABLE blocker');
# True when the run waits for a lock, in counting or in dumping.
my $run_waits = sub { return $node->safe_psql('postgres', "$sessions AND wait_event_type = 'Lock'") };
for my $case ([ 'TERM', 143 ], [ 'INT', 130 ], [ 'HUP', 129 ])
{
	my ($signal, $wanted) = @$case;
	my ($place, $text) = interrupted("SIG$signal during the dump", $signal, $wanted, $run_waits);
	like($text, qr/Interrupted \($signal\)\.\s+Nothing was kept/, "SIG$signal during the dump: said");
	is_deeply([ entries($place) ], [], "SIG$signal during the dump: leaves nothing");
	ok($node->poll_query_until('postgres', "SELECT ($sessions) = 0"), "SIG$signal during the dump: its sessions are gone");
}
is_deeply([ entries($ENV{TMPDIR}) ], [], 'no run so far left a temporary file');
my ($killed_place) = interrupted('SIGKILL during the dump', 'KILL', 0, $run_waits);
my @left = entries($killed_place);
is(scalar @left, 1, 'SIGKILL during the dump: one folder is left');
like($left[0], qr/\.partial$/, 'SIGKILL during the dump: its name says what it is');
ok(!-e "$killed_place/$left[0]/MANIFEST", 'SIGKILL during the dump: it has no manifest');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'preserve_state_%'});
$holder->query_safe('COMMIT');
$holder->quit;

# In the middle of the test restore, here and in a container that does not pass on signals.
for my $mode ('here', 'docker')
{
	my $marker = "$temp/restoring.$mode";
	my $slow = stand_ins(pg_restore => 'case "$*" in
		*--no-owner*) "$REAL" "$@" | head -n 5000; echo $$ >"' . $marker . '"; sleep 60 ;;
		*) exec "$REAL" "$@" ;; esac');
	local $ENV{PATH} = $mode eq 'docker' ? join(':', (split /:/, $docker)[0], $slow) : $slow;
	my ($place) = interrupted("SIGTERM during the restore, $mode", 'TERM', 143, sub { return -s $marker },
		'-t', $mode eq 'docker' ? ('-c', 'immich_postgres') : ());
	# It would sleep for a minute; the system may take a moment to collect it.
	my $tries = 100;
	usleep(100_000) while kill(0, slurp($marker)) && $tries--;
	cmp_ok($tries, '>', 0, "SIGTERM during the restore, $mode: its programs are gone");
	is_deeply([ entries($place) ], [], "SIGTERM during the restore, $mode: leaves nothing");
	is(scratch_databases(), '0', "SIGTERM during the restore, $mode: the scratch database is gone");
}

# Counts and dump are one snapshot: rows that come in between are in neither.
{
	my $add = q{psql -X -q -d immich -c "INSERT INTO asset SELECT 20000 + i, 'IMAGE' FROM generate_series(1, 5) i"};
	local $ENV{PATH} = stand_ins(pg_dump => qq{[ "\$1" = --version ] || $add; exec "\$REAL" "\$@"});
	($status, $folder, $err) = preserve('-o', place(), '-t');
	is($status, 0, 'rows added meanwhile: counts and dump agree') or diag $err;
	like(slurp("$folder/inventory.tsv"), qr/^assets\t20000$/m, 'rows added meanwhile: not counted');
	is($node->safe_psql('immich', 'SELECT count(*) FROM asset'), '20005', 'rows added meanwhile: are in the database');
}

# The same while it counts: a lock on a table that is counted late lets rows come into one that was counted before.
{
	my $place = place();
	my ($stdout, $stderr) = ('', '');
	my $holder = $node->background_psql('immich');
	$holder->query_safe('BEGIN; LOCK TABLE asset_exif');
	my $run = IPC::Run::start([ $script, '-o', $place, '-t' ], '<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout(60));
	usleep(50_000) until $run_waits->();
	$holder->query_safe(q{INSERT INTO asset SELECT 30000 + i, 'IMAGE' FROM generate_series(1, 5) i; COMMIT});
	$holder->quit;
	$run->finish;
	is($? >> 8, 0, 'rows added while it counts: counts and dump agree') or diag $stderr;
	chomp $stdout;
	like(slurp("$stdout/inventory.tsv"), qr/^assets\t20005$/m, 'rows added while it counts: not counted');
}

$node->stop;
done_testing();
