# An installation of Gallery on a test's own cluster with a stand-in for docker (test/lib/bin/docker), and scripts/switch-back run in it:
# for the tests of that command.
#
#     prepare();                            the cluster $node, with the fixture
#     $place = installation();              a new one, with a session of Gallery's server
#     my ($status, $out) = switch_back($place, answers => "yes\nimmich\n");
package Installation;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use GalleryTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reader;
use Test::More;

our @EXPORT = qw($node $password $place $reader $root $tag change dump_of files_of flat gallery_ends gallery_runs installation log_of
  prepare stopped switch_back switched write_file);

our $root = root();
our $password = 'hunter2';
our $tag = 'v2.7.5';
our ($node, $place, $reader);

sub prepare
{
	$node = new_node('switched', conf => [ "listen_addresses = '127.0.0.1'" ]);
	$node->safe_psql('postgres', 'CREATE ROLE postgres SUPERUSER LOGIN')
	  if $node->safe_psql('postgres', 'SELECT current_user') ne 'postgres';
	$reader = Reader->new($node);
	gallery($node, 'written', '--generation', 'v4.57');
	$node->safe_psql('written', 'DROP EXTENSION gallery_revert');
	# Restored once: PostgreSQL writes some conditions in another way after that, and in the same way from then on.
	$node->safe_psql('postgres', 'CREATE DATABASE fixture');
	IPC::Run::run([ 'pg_dump', '-d', $node->connstr('written') ], '|',
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('fixture') ], '>', \my $restored) or die;
	return;
}

sub write_file { return Reader::write_file(@_) }
sub dump_of
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'pg_dump', '--create', '-d', $node->connstr('immich') ], '>', \$out, '2>', \$err) or die $err;
	return $out =~ s/^\\(?:un)?restrict .*\n//mgr;
}

my $gallery_session;
END { local $?; gallery_ends(); $reader->stop if $reader }
# An installation that runs Gallery, its database as the fixture has it.
sub installation
{
	gallery_ends();
	foreach my $name (split /\n/, $node->safe_psql('postgres', q(SELECT datname FROM pg_database WHERE datname ~ '^(immich|gallery_revert_)')))
	{
		$node->safe_psql('postgres', qq(DROP DATABASE "$name" WITH (FORCE)));
	}
	$node->safe_psql('postgres', 'CREATE DATABASE immich TEMPLATE fixture');
	$node->safe_psql('postgres', q(ALTER DATABASE immich SET search_path = '$user', public, 'odd one';
	  ALTER DATABASE immich SET vchord.prewarm = 'a, b'; COMMENT ON DATABASE immich IS 'photos'; ALTER DATABASE immich CONNECTION LIMIT 90;
	  REVOKE TEMPORARY ON DATABASE immich FROM PUBLIC;));
	my $place = $reader->place('install');
	my ($folder, $state) = ($place->{folder}, "$place->{base}/state");
	write_file("$folder/docker-compose.yml", <<'TEXT');
services:
  immich-server:
    container_name: immich_server
    image: ghcr.io/open-noodle/gallery-server:${IMMICH_VERSION:-release}
    volumes:
      - ${UPLOAD_LOCATION}:/data
    env_file:
      - .env
  immich-machine-learning:
    image: ghcr.io/open-noodle/gallery-ml:${IMMICH_VERSION:-release}-cuda # the one for the card
    env_file:
      - .env
  redis:
    image: docker.io/valkey/valkey:9
  database:
    image: ghcr.io/immich-app/postgres:14-vectorchord0.4.3-pgvectors0.2.0
TEXT
	write_file("$folder/.env", "# mine\nUPLOAD_LOCATION=\"./my photos\"\nDB_DATA_LOCATION=./postgres\nIMMICH_VERSION=v4.57.0\n"
		  . "DB_PASSWORD=$password\nDB_USERNAME=postgres\nIMMICH_STORAGE_BACKEND=local\nIMMICH_S3_SECRET_KEY=s3cret-word\n");
	chmod 0640, "$folder/.env" or die;
	utime 1_700_000_000, 1_700_000_000, "$folder/.env", "$folder/docker-compose.yml";
	$place->{environment}{DOC_TERMINAL} = 'none';
	write_file("$state/logs", '');
	write_file("$state/bare", '');
	my $major = major_of($node);
	rename "$folder/gallery_revert-1.0.0-pg14-amd64.tar.gz", "$folder/gallery_revert-1.0.0-pg$major-amd64.tar.gz";
	my %image = ('immich-server' => 'ghcr.io/open-noodle/gallery-server:v4.57.0',
		'immich-machine-learning' => 'ghcr.io/open-noodle/gallery-ml:v4.57.0-cuda', redis => 'docker.io/valkey/valkey:9',
		database => 'ghcr.io/immich-app/postgres:14-vectorchord0.4.3-pgvectors0.2.0');
	write_file("$state/running/$_", "$image{$_}\n") foreach keys %image;
	$reader->redis('SET', 'job', 'gallery') if $reader->{redis};
	$place->{state} = $state;
	$place->{before} = dump_of();
	$place->{files} = files_of($place);
	gallery_runs($place);
	return $place;
}
# Gallery's session comes over the network, from the address that the stand-in says its container has.
my $gallery_in = '';
sub gallery_runs
{
	$gallery_in = '';
	my $where = 'host=127.0.0.1 port=' . $node->port . ' dbname=immich application_name=immich-server';
	$gallery_session = IPC::Run::start([ 'psql', '-X', '-q', '-d', $where ],
		'<', \$gallery_in, '>', \my $out, '2>', \my $err);
	$node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'immich-server')) or die;
	return;
}
sub gallery_ends
{
	return if !$gallery_session;
	$gallery_session->kill_kill;
	undef $gallery_session;
	return;
}
sub files_of
{
	my ($place) = @_;
	my $folder = $place->{folder};
	return join '', map { my @s = stat "$folder/$_"; "$_ $s[2] $s[9]\n" . slurp_file("$folder/$_") } qw(.env docker-compose.yml);
}

# Runs it to its end. Options: answers, what is typed; until, a pattern of what is shown, at which all of it is killed (signal: with another
# one than KILL); kill and full, see the stand-in; limit, no file may become larger than so many KB; arguments; environment.
sub switch_back
{
	my ($place, %option) = @_;
	my ($in, $out) = ($option{answers} // "yes\nimmich\n", '');
	unlink "$place->{state}/killed";
	write_file("$place->{state}/$_", $option{$_}) foreach grep { $option{$_} } qw(kill full);
	local %ENV = (%{ $place->{environment} }, %{ $option{environment} // {} });
	my @limited = defined $option{limit} ? ('bash', '-c', 'trap "" XFSZ; ulimit -S -f "$0"; exec "$@"', $option{limit}) : ();
	my $command = $option{command} // "$root/scripts/switch-back";
	my $run = IPC::Run::start([ 'setsid', '-w', @limited, $command, @{ $option{arguments} // [] } ], '<', \$in, '>&', \$out,
		init => sub { chdir $place->{folder} or die }, IPC::Run::timeout(180));
	if ($option{until})
	{
		$run->pump while $run->pumpable && $out !~ $option{until};
		# The first process of a session of its own, by setsid.
		my ($session) = map { $_->{PID} } @{ $run->{KIDS} };
		system('pkill', '-' . ($option{signal} // 'KILL'), '-s', $session);
	}
	IPC::Run::finish($run);
	unlink "$place->{state}/kill", "$place->{state}/full";
	return ($? >> 8, $out);
}

sub log_of
{
	my ($log) = glob "$_[0]{base}/home/immich-preserved/switch-back-immich/log";
	return $log && -e $log ? slurp_file($log) : '';
}

# What must be true at the end.
sub switched
{
	my ($place, $what) = @_;
	my ($compose, $env) = map { slurp_file("$place->{folder}/$_") } 'docker-compose.yml', '.env';
	like($compose, qr{^    image: ghcr\.io/immich-app/immich-server:\$\{IMMICH_VERSION:-release\}\n}m, "$what: the server's image");
	like($compose, qr{^    image: ghcr\.io/immich-app/immich-machine-learning:\$\{IMMICH_VERSION:-release\}-cuda # the one for the card\n}m,
		'... that of the machine learning, with its ending');
	like($env, qr/^IMMICH_VERSION=$tag\nDB_PASSWORD=$password\n.*^# only Gallery: IMMICH_STORAGE_BACKEND=local\n# only Gallery: IMMICH_S3/ms,
		'... the tag');
	is(slurp_file("$place->{state}/running/immich-server"), "ghcr.io/immich-app/immich-server:$tag\n", '... Immich runs');
	is($node->safe_psql('immich', q(SELECT to_regclass('public.shared_space'), count(*) FROM kysely_migrations
	  WHERE name = '1772230000000-CreateStorageMigrationLogTable')), '|0', '... on its own database');
	is($node->safe_psql('immich', q(SELECT count(*) FROM pg_extension WHERE extname = 'gallery_revert')), '0', '... without the extension');
	is($reader->redis('DBSIZE'), '0', '... with an empty queue') if $reader->{redis};
	is($node->safe_psql('postgres', q(SELECT string_agg(datname, ' ') FROM pg_database WHERE datname ~ '^(immich.|gallery_revert|preserve)')),
		'', '... and no copy is left');
	return;
}

# What stops it before anything has changed, with what to do.
sub flat { return $_[0] =~ s/\s*\n\s*(?:\| )?/ /gr }
sub stopped
{
	my ($what, $expected_status, $message, %option) = @_;
	$place = installation();
	my $undo = $option{prepare} ? $option{prepare}->() : undef;
	my $before = dump_of();
	my $files = files_of($place);
	my ($status, $out) = switch_back($place, %option);
	$undo->() if ref $undo;
	is($status, $expected_status, "$what: stops") or diag($out, log_of($place));
	like(flat($out), $message, '... and says what to do');
	ok(dump_of() eq $before && files_of($place) eq $files && -e "$place->{state}/running/immich-server"
		  && slurp_file("$place->{state}/running/immich-server") =~ /gallery/, '... with database, files and server as they were');
	is($node->safe_psql('postgres', q(SELECT string_agg(datname, ' ') FROM pg_database WHERE datname ~ '^(immich.|gallery_revert|preserve)')),
		'', '... and no copy left');
	unlike($out, qr/$password/, '... without a secret');
	return;
}
sub change
{
	my ($file, $code) = @_;
	local $_ = slurp_file("$place->{folder}/$file");
	$code->();
	write_file("$place->{folder}/$file", $_);
	return;
}

1;
