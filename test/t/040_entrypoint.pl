# docker/immich-server/entrypoint.sh against a real cluster, with a stand-in for the stock start.sh: what it does on
# which database, every exit code, the password's secrecy, and signals at the worst moments.

use strict;
use warnings FATAL => 'all';

use Cwd            qw(getcwd);
use File::Basename qw(basename);
use File::Path     qw(make_path remove_tree);
use IPC::Run       ();
use POSIX          ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# A job in the background starts with SIGINT ignored, and so would all that it starts.
$SIG{INT} = 'DEFAULT';

my $entrypoint = getcwd() . '/docker/immich-server/entrypoint.sh';
my $fixture    = getcwd() . '/test/fixtures/fixture';
my $password   = 's3cr:et/@%"\\ x';
my $reply      = 42;
my $scratch    = PostgreSQL::Test::Utils::tempdir;

# Says what it was given, so that the tests see whether and how it was started.
mkdir "$scratch/bin";
write_file("$scratch/bin/start.sh", <<"END");
#!/bin/sh
echo "stock command started: \$*"
# Without what every shell sets by itself.
env | LC_ALL=C sort | grep -Ev '^(_|PWD|OLDPWD|SHLVL)=' >"$scratch/environment"
exit $reply
END
chmod 0755, "$scratch/bin/start.sh";

my $node = PostgreSQL::Test::Cluster->new('entrypoint');
$node->init;
$node->append_conf('postgresql.conf', <<'END');
listen_addresses = '127.0.0.1'
password_encryption = 'scram-sha-256'
max_prepared_transactions = 4
wal_level = replica
max_wal_senders = 1
END
$node->start;
my $port = $node->port;
$node->safe_psql('postgres', q{CREATE ROLE immich SUPERUSER LOGIN PASSWORD } . quote($password));
$node->safe_psql('postgres', q{CREATE ROLE weak LOGIN PASSWORD } . quote($password));
# The test itself comes in by the socket.
write_file($node->data_dir . '/pg_hba.conf', "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
$node->reload;

sub quote { my $text = shift; $text =~ s/'/''/g; return "'$text'" }

sub write_file {
	my ($path, $text) = @_;
	open my $file, '>', $path or die "$path: $!";
	print $file $text;
	close $file or die "$path: $!";
	return $path;
}

# Starts the entrypoint on a database. Returns a hash that finish() completes.
sub begin {
	my ($database, %environment) = @_;
	my %settings = (
		DB_HOSTNAME         => '127.0.0.1',
		DB_PORT             => $port,
		DB_USERNAME         => 'immich',
		DB_PASSWORD         => $password,
		DB_DATABASE_NAME    => $database,
		GALLERY_REVERT_WAIT => 20,
		IMMICH_SOURCE_REF   => 'v2.7.5',
		%environment);
	my $command = delete $settings{command} // ['start.sh'];
	my $run     = { output => '', started => time };
	local %ENV = (
		PATH => "$scratch/bin:$ENV{PATH}",
		HOME => $scratch,
		# Of no use to Immich, so the entrypoint must not follow them either.
		PGDATABASE => 'postgres', PGPORT => 1, PGOPTIONS => '-c nonsense=1',
		map { defined $settings{$_} ? ($_ => $settings{$_}) : () } keys %settings);
	$run->{given} = join '', map { "$_=$ENV{$_}\n" } sort keys %ENV;
	$run->{harness} = IPC::Run::start([ 'bash', $entrypoint, @$command ],
		'<', \undef, '>&', \$run->{output}, IPC::Run::timeout(120));
	return $run;
}

sub finish {
	my $run = shift;
	IPC::Run::finish($run->{harness});
	$run->{seconds} = time - $run->{started};
	$run->{code}    = $run->{harness}->full_result >> 8;
	$run->{code}    = 'signal ' . ($run->{harness}->full_result & 127) if $run->{harness}->full_result & 127;
	unlike($run->{output}, qr/\Q$password\E|s3cr/, '... and the password is not in the output');
	return $run;
}

# One whole run: its exit code and what it must say.
sub run_ok {
	my ($code, $pattern, $name, $database, %environment) = @_;
	my $run = finish(begin($database, %environment));
	is($run->{code}, $code, "$name: exit code");
	like($run->{output}, $pattern, "$name: message");
	diag($run->{output}) if $run->{code} ne $code;
	if ($code != $reply) {
		unlike($run->{output}, qr/stock command started/, "$name: the stock command is not started");
	}
	return $run;
}

# All of a database as text. \restrict lines hold a random word since 2025.
sub dump_of {
	my $database = shift;
	my ($out, $err) = run_command([ 'pg_dump', '-h', $node->host, '-p', $port, $database ]);
	$out =~ s/^\\(un)?restrict .*\n//mg;
	ok(length $out > 1000, "dump of $database") or diag($err);
	return $out;
}

# A database with nothing but a ledger in it, for what needs no more.
sub ledger_database {
	my ($database, $schema, @names) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	my $rows = join ',', map { "('$_', '2026-01-01T00:00:00.000Z')" } @names;
	$node->safe_psql($database, <<"END");
CREATE SCHEMA IF NOT EXISTS $schema;
CREATE TABLE $schema.kysely_migrations (name varchar(255) PRIMARY KEY, timestamp varchar(255) NOT NULL);
INSERT INTO $schema.kysely_migrations VALUES $rows;
CREATE TABLE $schema."user" (id uuid);
CREATE TABLE $schema.asset (id uuid);
END
	return;
}

sub fixture_database {
	my ($database, @options) = @_;
	my $script = "$scratch/$database.sql";
	my $error = '';
	IPC::Run::run([ $fixture, @options ], '>', $script, '2>', \$error) or BAIL_OUT("fixture @options: $error");
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $port, '-d', $database,
			'-f', $script ], "fixture $database loads");
	return;
}

# Every process's arguments, as any user of the machine sees them.
sub process_list {
	my $all = '';
	for my $path (glob '/proc/[0-9]*/cmdline') {
		open my $file, '<', $path or next;
		local $/;
		my $line = <$file> // '';
		$all .= $line . "\n";
	}
	return $all;
}

sub wait_for_session {
	my ($database, $condition) = @_;
	return $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = '$database'"
		  . " AND application_name = 'gallery-revert-entrypoint' AND $condition");
}

my $immich_name  = '1744910873969-InitialMigration';
my $gallery_name = '1772230000000-CreateStorageMigrationLogTable';

subtest 'a database that is not Gallery\'s' => sub {
	ledger_database('plain', 'public', $immich_name);
	my $before = dump_of('plain');
	my $run    = run_ok($reply, qr/^stock command started: $/m, 'plain Immich', 'plain');
	unlike($run->{output}, qr/gallery/i, 'nothing is said');
	is(slurp_file("$scratch/environment"), $run->{given}, 'the stock command finds its environment as it was');
	is(dump_of('plain'), $before, 'nothing is changed');
	my @seconds = sort { $a <=> $b } map { finish(begin('plain'))->{seconds} } 1 .. 3;
	cmp_ok($seconds[0], '<', 1, 'it takes less than a second');

	run_ok($reply, qr/started: one two three$/m, 'the command\'s arguments', 'plain',
		command => [ 'start.sh "$@"', 'sh', 'one', 'two three' ]);
	run_ok($reply, qr/stock command started/, 'no command is start.sh', 'plain', command => []);
	run_ok($reply, qr/stock command started/, 'no ledger at all', 'postgres');
	run_ok($reply, qr/stock command started/, 'a token changes nothing', 'plain',
		GALLERY_REVERT_TOKEN => 'i_accept_data_loss');
	is(dump_of('plain'), $before, 'nothing is changed');
};

subtest 'where the settings come from' => sub {
	my $file = write_file("$scratch/password", "$password\n");
	mkdir "$scratch/credentials";
	write_file("$scratch/credentials/DB_PASSWORD", $password);
	(my $encoded = $password) =~ s/([^a-z0-9])/sprintf '%%%02X', ord $1/ge;
	my $url  = "postgresql://immich:$encoded\@127.0.0.1:$port/plain";
	my @none = map { $_ => undef } qw(DB_HOSTNAME DB_PORT DB_USERNAME DB_PASSWORD DB_DATABASE_NAME);

	run_ok($reply, qr/started/, 'DB_PASSWORD_FILE wins', 'plain', DB_PASSWORD => 'wrong', DB_PASSWORD_FILE => $file);
	run_ok($reply, qr/started/, 'CREDENTIALS_DIRECTORY', 'plain', DB_PASSWORD => undef,
		CREDENTIALS_DIRECTORY => "$scratch/credentials");
	run_ok($reply, qr/started/, 'DB_URL', 'plain', @none, DB_URL => $url);
	run_ok($reply, qr/started/, 'DB_URL wins', 'plain', DB_HOSTNAME => 'nowhere.invalid', DB_URL => $url);
	run_ok($reply, qr/started/, 'DB_URL with a Node parameter', 'plain', @none, DB_URL => "$url?uselibpqcompat=true");
	run_ok($reply, qr/started/, 'DB_URL with a socket', 'plain', @none,
		DB_URL => "postgresql:///plain?user=immich&port=$port&host=" . $node->host);
	run_ok($reply, qr/started/, 'DB_HOSTNAME is a socket', 'plain', DB_HOSTNAME => $node->host);
	run_ok($reply, qr/started/, 'DB_URL_FILE', 'plain', @none, DB_URL_FILE => write_file("$scratch/url", "$url\n"));
	run_ok(12, qr/SSL.*DB_USERNAME, DB_PASSWORD/s, 'DB_SSL_MODE', 'plain', DB_SSL_MODE => 'require');
	run_ok(12, qr/SSL.*DB_USERNAME, DB_PASSWORD/s, 'sslmode of DB_URL', 'plain', DB_URL => "$url?sslmode=no-verify");
	run_ok(11, qr/at database port 5432 did not answer/, 'the defaults', 'plain', @none, GALLERY_REVERT_WAIT => 0);

	run_ok(10, qr/cannot read "\/nowhere" \(for DB_PASSWORD\)/, 'a missing file', 'plain',
		DB_PASSWORD_FILE => '/nowhere');
	run_ok(10, qr/cannot read "\/nowhere" \(for DB_URL\)/, 'a missing file for DB_URL', 'plain', DB_URL_FILE => '/nowhere');
	run_ok(10, qr/does not start with postgresql/, 'not a URL', 'plain', DB_URL => "mysql://immich:$encoded\@h/d");
	run_ok(10, qr/no valid host and port/, 'a bad port in DB_URL', 'plain', DB_URL => "postgresql://a:$encoded\@h:x/d");
	run_ok(10, qr/port "five" is not a number/, 'a bad DB_PORT', 'plain', DB_PORT => 'five');
	run_ok($reply, qr/started/, 'a limit that looks octal', 'plain', GALLERY_REVERT_WAIT => '08');
	run_ok(10, qr/GALLERY_REVERT_WAIT "soon" is not/, 'a bad limit', 'plain', GALLERY_REVERT_WAIT => 'soon');
	run_ok(12, qr/password authentication failed.*DB_PASSWORD/s, 'a wrong password', 'plain', DB_PASSWORD => 'wrong');
	run_ok(12, qr/database "nosuch" does not exist/, 'a wrong database', 'nosuch');

	mkdir "$scratch/poor";
	for my $program (qw(bash env sort grep sleep timeout)) {
		my ($path) = grep { -x } map { "$_/$program" } split /:/, $ENV{PATH};
		symlink $path, "$scratch/poor/$program" or die "$program: $!";
	}
	run_ok(19, qr/there is no psql in this image/, 'no psql', 'plain', PATH => "$scratch/poor");

	my $run = run_ok($reply, qr/only Gallery knows.*: IMMICH_STORAGE_BACKEND IMMICH_S3_BUCKET IMMICH_S3_SECRET_KEY$/m,
		'Gallery\'s settings', 'plain', IMMICH_STORAGE_BACKEND => 's3', IMMICH_S3_SECRET_KEY => 'hush',
		IMMICH_S3_BUCKET => 'photos');
	unlike($run->{output}, qr/hush/, 'their values are not shown');
};

subtest 'waiting' => sub {
	$node->stop;
	my $run = run_ok(11, qr/did not answer within 2 seconds.*GALLERY_REVERT_WAIT/s, 'no database', 'plain',
		GALLERY_REVERT_WAIT => 2);
	cmp_ok($run->{seconds}, '>=', 2, 'it waits that long');
	cmp_ok($run->{seconds}, '<', 6, 'and not much longer');
	run_ok(11, qr/did not answer within 1 second/, 'no such host', 'plain', DB_HOSTNAME => 'nowhere.invalid',
		GALLERY_REVERT_WAIT => 1);

	$run = begin('plain', GALLERY_REVERT_WAIT => 60);
	sleep 1.5;
	unlike(process_list(), qr/s3cr/, 'the password is in no process\'s arguments while it waits');
	$node->start;
	is(finish($run)->{code}, $reply, 'goes on as soon as the database answers');

	$node->stop;
	for my $signal (qw(TERM INT)) {
		$run = begin('plain', GALLERY_REVERT_WAIT => 60);
		sleep 1.2;
		my $since = time;
		kill $signal, $run->{harness}{KIDS}[0]{PID};
		finish($run);
		is($run->{code}, 18, "SIG$signal while waiting: exit code");
		like($run->{output}, qr/stopped by SIG$signal; the database is unchanged/, "SIG$signal while waiting: message");
		cmp_ok(time - $since, '<', 3, "SIG$signal while waiting: at once");
	}
	$node->start;
};

subtest 'the ledger decides' => sub {
	ledger_database('mixed', 'public',        $immich_name, $gallery_name);
	ledger_database('odd',   '"my ""photos"', $immich_name, $gallery_name);
	ledger_database('split', 'public',        $immich_name);
	$node->safe_psql('split', 'CREATE TABLE gallery_migrations (name varchar(255) PRIMARY KEY, timestamp varchar(255))');
	# A table of that name that is not the ledger's: in another schema, of another role, or something else than a ledger.
	ledger_database('elsewhere', 'public', $immich_name);
	$node->safe_psql('elsewhere', 'CREATE SCHEMA other; CREATE TABLE other.gallery_migrations (name varchar(255), timestamp varchar(255))');
	ledger_database('strange', 'public', $immich_name);
	$node->safe_psql('strange', 'CREATE TABLE gallery_migrations (name varchar(255), timestamp varchar(255));
	  ALTER TABLE gallery_migrations OWNER TO weak');
	ledger_database('unlike', 'public', $immich_name);
	$node->safe_psql('unlike', 'CREATE TABLE gallery_migrations (id int, name text)');
	ledger_database('planted', 'public', $immich_name);
	$node->safe_psql('planted', "CREATE SCHEMA other; CREATE TABLE other.kysely_migrations (name varchar(255), timestamp varchar(255)); "
		. "INSERT INTO other.kysely_migrations VALUES ('$gallery_name', '2026-01-01T00:00:00.000Z')");
	for my $database (qw(elsewhere strange unlike planted)) {
		my $run = run_ok($reply, qr/^stock command started: $/m, "$database is no Gallery", $database,
			GALLERY_REVERT_TOKEN => 'i_accept_data_loss');
		unlike($run->{output}, qr/gallery-revert:/, "$database: nothing is said");
	}
	ledger_database('twice', 'public', $immich_name);
	$node->safe_psql('twice', 'CREATE SCHEMA other; CREATE TABLE other.kysely_migrations (name varchar(255), timestamp varchar(255)); '
		. 'CREATE TABLE other."user" (id uuid); CREATE TABLE other.asset (id uuid)');
	run_ok(17, qr/more than one Immich/, 'two of them', 'twice');
	# Rows that look like what the script says to itself.
	ledger_database('talking', 'public', $immich_name, 'gallery', '\tgallery', 'finished');
	$node->safe_psql('talking', q(INSERT INTO kysely_migrations VALUES (E'x\n\tgallery', ''), (E'\tgallery', '')));
	run_ok($reply, qr/^stock command started: $/m, 'rows that look like answers', 'talking');
	for my $database (qw(mixed odd split)) {
		my $before = dump_of($database);
		run_ok(13, qr/this is a Gallery database.*GALLERY_REVERT_TOKEN=i_accept_data_loss/s, "$database, no token",
			$database);
		run_ok(13, qr/is set, but not to the value/, "$database, wrong token", $database,
			GALLERY_REVERT_TOKEN => 'yes');
		is(dump_of($database), $before, "$database is unchanged");
	}
	# An image that would change the database again, after the revert or instead of it.
	my $before = dump_of('mixed');
	my %token = (GALLERY_REVERT_TOKEN => 'i_accept_data_loss');
	for my $reference (undef, 'pr-1111', 'main', 'v2.7') {
		my $shown = $reference // '';
		run_ok(10, qr/image \("\Q$shown\E"\) is no release of Immich.*nothing was changed.*set IMMICH_VERSION/s,
			"an image of \"$shown\"", 'mixed', %token, IMMICH_SOURCE_REF => $reference);
	}
	for my $folder (qw(migrations migrations-gallery)) {
		# Beside the folder of start.sh, as in the images. Of v3.0.0 there is a Gallery and an Immich.
		make_path("$scratch/dist/schema/$folder");
		write_file("$scratch/dist/schema/$folder/$gallery_name.js", '');
		run_ok(10, qr/this image is Gallery's.*nothing was changed.*dump.*ghcr\.io\/immich-app\/immich-server/s,
			"Gallery's image ($folder)", 'mixed', %token, IMMICH_SOURCE_REF => 'v3.0.0');
		remove_tree("$scratch/dist");
	}
	is(dump_of('mixed'), $before, 'mixed is unchanged');

	run_ok(17, qr/permission denied.*right to read it/s, 'a ledger that may not be read', 'mixed', DB_USERNAME => 'weak');
	my $session = $node->background_psql('mixed');
	$session->query_safe('BEGIN; LOCK TABLE kysely_migrations');
	run_ok(17, qr/lock timeout.*session that locks it/s, 'a ledger that is locked', 'mixed', GALLERY_REVERT_WAIT => 1);
	my $run = run_ok(17, qr/lock timeout/, 'a ledger that is locked, no time to wait', 'mixed', GALLERY_REVERT_WAIT => 0);
	cmp_ok($run->{seconds}, '<', 10, 'and it does not wait forever');
	$session->quit;
	# The role may read it now, and may still not create the extension.
	$node->safe_psql('mixed', 'GRANT SELECT ON kysely_migrations TO weak');
	$before = dump_of('mixed');
	run_ok(14, qr/permission denied to create extension.*superuser in DB_USERNAME/s, 'no right to create the extension',
		'mixed', DB_USERNAME => 'weak', GALLERY_REVERT_TOKEN => 'i_accept_data_loss');
	is(dump_of('mixed'), $before, 'the database is unchanged');
};

# From here on with the extension and whole databases.
my %go = (GALLERY_REVERT_TOKEN => 'i_accept_data_loss');

subtest 'what is refused' => sub {
	fixture_database('gallery', qw(--generation v4.57 --assets 200));
	my $before = dump_of('gallery');

	my $session = $node->background_psql('gallery');
	$session->query_safe('SELECT 1');
	run_ok(15, qr/the database is unchanged; stop everything else that uses it/, 'another client', 'gallery', %go);
	$session->quit;
	is(dump_of('gallery'), $before, 'the database is unchanged');

	run_ok(16, qr/reverting it to Immich v1.132.0.*the database is unchanged; see the error above.*set IMMICH_VERSION to it/s,
		'an image that is too old', 'gallery', %go, IMMICH_SOURCE_REF => 'v1.132.0');
	is(dump_of('gallery'), $before, 'the database is unchanged');

	$node->safe_psql('gallery', q{INSERT INTO kysely_migrations VALUES ('1999999999999-Unheard', '2026-11-01T00:00:00.000Z')});
	run_ok(16, qr/1999999999999-Unheard.*the database is unchanged/s, 'an unknown migration', 'gallery', %go);
	$node->safe_psql('gallery', q{DELETE FROM kysely_migrations WHERE name = '1999999999999-Unheard'});
	is(dump_of('gallery'), $before, 'the database is unchanged');

	# The extension was made by a superuser, and the role of DB_USERNAME is none.
	$node->safe_psql('postgres', 'CREATE DATABASE gallery_granted TEMPLATE gallery');
	$node->safe_psql('gallery_granted', 'CREATE EXTENSION gallery_revert; GRANT SELECT ON kysely_migrations TO weak');
	$before = dump_of('gallery_granted');
	my $advice = qr/"weak" has to own Immich's tables.*GRANT EXECUTE ON FUNCTION gallery_revert\(\) TO/s;
	run_ok(16, qr/permission denied for function gallery_revert.*$advice/s, 'not granted', 'gallery_granted', %go, DB_USERNAME => 'weak');
	$node->safe_psql('gallery_granted', 'GRANT EXECUTE ON FUNCTION gallery_revert() TO weak; GRANT pg_read_all_data TO weak');
	run_ok(16, qr/does not own.*$advice/s, 'granted, but not the owner', 'gallery_granted', %go, DB_USERNAME => 'weak');
	$node->safe_psql('gallery_granted', 'REVOKE EXECUTE ON FUNCTION gallery_revert() FROM weak');
	is(dump_of('gallery_granted'), $before, 'the database is unchanged');
};

subtest 'stopped and cut off during the revert' => sub {
	my $before = dump_of('gallery');
	# A prepared transaction holds a lock without being a client: the revert waits for it as long as it is told to.
	$node->safe_psql('gallery', q{BEGIN; LOCK TABLE shared_space; PREPARE TRANSACTION 'holder'});
	$node->safe_psql('postgres', q{ALTER DATABASE gallery SET gallery.revert_lock_timeout = '1000s'});
	my $inside = q{query LIKE '%gallery_revert()%' AND state = 'active'};

	for my $signal (qw(TERM INT)) {
		my $run = begin('gallery', %go);
		ok(wait_for_session('gallery', $inside), "SIG$signal: the revert runs");
		unlike(process_list(), qr/s3cr/, "SIG$signal: the password is in no process's arguments");
		my $since = time;
		kill $signal, $run->{harness}{KIDS}[0]{PID};
		finish($run);
		is($run->{code}, 18, "SIG$signal: exit code");
		like($run->{output}, qr/stopped by SIG$signal; the database is unchanged/, "SIG$signal: message");
		cmp_ok(time - $since, '<', 4, "SIG$signal: soon");
		is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'gallery'}),
			0, "SIG$signal: no session is left");
	}

	# A signal that comes while psql is between two statements is lost on it; here psql is not even running yet.
	mkdir "$scratch/slow";
	my ($psql) = grep { -x } map { "$_/psql" } split /:/, $ENV{PATH};
	write_file("$scratch/slow/psql", <<"END");
#!/bin/sh
trap '' INT
[ -e "$scratch/slow/first" ] && touch "$scratch/slow/second" && sleep 1
touch "$scratch/slow/first"
exec "$psql" "\$@"
END
	chmod 0755, "$scratch/slow/psql";
	my $run = begin('gallery', %go, PATH => "$scratch/slow:$scratch/bin:$ENV{PATH}");
	for (1 .. 200) { last if -e "$scratch/slow/second"; sleep 0.05 }
	kill 'TERM', $run->{harness}{KIDS}[0]{PID};
	finish($run);
	is($run->{code}, 18, 'SIGTERM before the revert has begun: exit code');
	cmp_ok($run->{seconds}, '<', 6, 'SIGTERM before the revert has begun: soon');

	$run = begin('gallery', %go);
	ok(wait_for_session('gallery', $inside), 'connection lost: the revert runs');
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'gallery'});
	finish($run);
	is($run->{code}, 20, 'connection lost: exit code');
	like($run->{output}, qr/the connection was lost during the revert; it may have been committed.*start again/s, 'connection lost: message');

	$run = begin('gallery', %go);
	ok(wait_for_session('gallery', $inside), 'killed: the revert runs');
	# What "docker kill" does: every process of the container at once.
	my $shell = $run->{harness}{KIDS}[0]{PID};
	kill 'KILL', $shell, split ' ', slurp_file("/proc/$shell/task/$shell/children");
	finish($run);
	is($run->{code}, 'signal 9', 'killed: exit code');
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'gallery'}),
		'killed: the server notices and undoes it');

	$node->safe_psql('gallery', q{ROLLBACK PREPARED 'holder'});
	is(dump_of('gallery'), $before, 'the database is unchanged after all of these');
};

subtest 'the revert' => sub {
	$node->safe_psql('postgres', 'CREATE DATABASE gallery_again TEMPLATE gallery');
	my $run = run_ok($reply, qr/reverting it to Immich v2\.7\.5.*cleanup finished.*stock command started/s,
		'the main job', 'gallery', %go);
	is(slurp_file("$scratch/environment"), $run->{given}, 'the stock command finds its environment as it was');
	is($node->safe_psql('gallery', q{SELECT count(*) FROM pg_class WHERE relname LIKE 'shared\_space%'}), 0,
		'the fork\'s tables are gone');
	is($node->safe_psql('gallery', q{SELECT count(*) FROM pg_extension WHERE extname = 'gallery_revert'}), 0,
		'so is the extension');
	my $after = dump_of('gallery');
	$run = run_ok($reply, qr/^stock command started: $/m, 'the next start', 'gallery', %go);
	unlike($run->{output}, qr/gallery-revert:/, 'it says nothing');
	is(dump_of('gallery'), $after, 'it changes nothing');

	# Stopped while it waits for the answer to COMMIT: of a standby that is not there, so it is committed here all the same.
	$node->append_conf('postgresql.conf', q{synchronous_standby_names = 'nobody'});
	$node->reload;
	$run = begin('gallery_granted', %go);
	ok(wait_for_session('gallery_granted', q{wait_event = 'SyncRep'}), 'SIGTERM in COMMIT: it waits');
	kill 'TERM', $run->{harness}{KIDS}[0]{PID};
	finish($run);
	is($run->{code}, 18, 'SIGTERM in COMMIT: exit code');
	like($run->{output}, qr/stopped by SIGTERM.* committed.*start again/s, 'SIGTERM in COMMIT: message');
	unlike($run->{output}, qr/database is unchanged/, 'SIGTERM in COMMIT: it does not say that nothing happened');
	$node->append_conf('postgresql.conf', q{synchronous_standby_names = ''});
	$node->reload;
	run_ok($reply, qr/^stock command started: $/m, 'SIGTERM in COMMIT: the next start', 'gallery_granted');

	# What is said of a Gallery outlives the container where a file is named for it; one that cannot be written stops nothing.
	my $kept = "$scratch/revert.log";
	run_ok(13, qr/GALLERY_REVERT_TOKEN/, 'a log that is kept, no token', 'gallery_again', GALLERY_REVERT_LOG => $kept);
	like(slurp_file($kept), qr/^\d{4}-\d\d-\d\dT[\d:]+Z\ngallery-revert: .*GALLERY_REVERT_TOKEN/s, 'a log that is kept: the refusal is in it');
	run_ok(13, qr/warning: cannot write "\/nowhere\/revert\.log".*GALLERY_REVERT_TOKEN/s, 'a log that cannot be written', 'gallery_again',
		GALLERY_REVERT_LOG => '/nowhere/revert.log');

	# An extension that is there already.
	$node->safe_psql('gallery_again', 'CREATE SCHEMA tools; CREATE EXTENSION gallery_revert SCHEMA tools');
	run_ok($reply, qr/stock command started/, 'an extension in another schema', 'gallery_again', %go, GALLERY_REVERT_LOG => $kept);
	like(slurp_file($kept), qr/GALLERY_REVERT_TOKEN.*Z\n.*cleanup finished/s, 'a log that is kept: the revert follows in it');
	unlike(slurp_file($kept), qr/\Q$password\E/, 'a log that is kept: no password');
	is($node->safe_psql('gallery_again', q{SELECT count(*) FROM pg_extension WHERE extname = 'gallery_revert'}), 0,
		'the extension is gone');
};

# Certificates are checked as Immich's driver would: with Node's own list and NODE_EXTRA_CA_CERTS, which libpq knows nothing of.
subtest 'DB_SSL_MODE=verify-full' => sub {
	my ($files, $data) = ("$scratch/tls", $node->data_dir);
	mkdir $files;
	my $openssl = sub { my ($out, $err) = run_command([ 'openssl', @_ ]); return };
	write_file("$files/extensions", "subjectAltName = IP:127.0.0.1, DNS:127.0.0.1, DNS:localhost\n");
	$openssl->(qw(req -x509 -newkey rsa:2048 -nodes -days 2 -subj), "/CN=$_", '-keyout', "$files/$_.key", '-out', "$files/$_.crt")
	  for qw(ca other);
	$openssl->(qw(req -newkey rsa:2048 -nodes -subj /CN=database -keyout), "$data/server.key", '-out', "$files/server.csr");
	$openssl->(qw(x509 -req -days 2 -CAcreateserial -in), "$files/server.csr", '-CA', "$files/ca.crt", '-CAkey', "$files/ca.key",
		'-extfile', "$files/extensions", '-out', "$data/server.crt");
	chmod 0600, "$data/server.key";
	$node->append_conf('postgresql.conf', 'ssl = on');
	$node->restart;
	# Where Node is not installed, a list that does not have the database's authority either.
	if (!grep { -x "$_/node" } split /:/, $ENV{PATH}) {
		write_file("$scratch/bin/node", "#!/bin/sh\ncat '$files/other.crt'\n");
		chmod 0755, "$scratch/bin/node";
	}
	mkdir "$files/tmp";
	my %verify = (DB_SSL_MODE => 'verify-full', TMPDIR => "$files/tmp");
	my $run = run_ok($reply, qr/^stock command started: $/m, 'a trusted certificate', 'plain', %verify,
		NODE_EXTRA_CA_CERTS => "$files/ca.crt");
	unlike($run->{output}, qr/gallery-revert:/, 'nothing is said');
	is(slurp_file("$scratch/environment"), $run->{given}, 'the stock command finds its environment as it was');
	run_ok(12, qr/certificate.*DB_SSL_MODE/s, 'an unknown authority', 'plain', %verify, NODE_EXTRA_CA_CERTS => "$files/other.crt");
	run_ok(12, qr/certificate.*DB_SSL_MODE/s, 'Node\'s own list', 'plain', %verify);
	run_ok($reply, qr/started/, 'sslrootcert of DB_URL', 'plain', TMPDIR => "$files/tmp", DB_SSL_MODE => undef,
		DB_URL => "postgresql://immich:" . ($password =~ s/([^a-z0-9])/sprintf '%%%02X', ord $1/ger)
		  . "\@127.0.0.1:$port/plain?sslmode=verify-full&sslrootcert=$files/ca.crt");
	is_deeply([ glob "$files/tmp/*" ], [], 'the list is taken away again');
};

done_testing();
