# scripts/switch-back on a real cluster, with a stand-in for docker: the whole way with two answers; killed at each stage, before and after
# each command that changes something, and gone on with; taken back from each stage; and what stops it, before anything has changed.
use strict;
use warnings FATAL => 'all';

use GalleryTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reader;
use Test::More;
use Time::HiRes qw(time);

my $root = root();
my $node = new_node('switched', conf => [ "listen_addresses = '127.0.0.1'" ]);
$node->safe_psql('postgres', 'CREATE ROLE postgres SUPERUSER LOGIN') if $node->safe_psql('postgres', 'SELECT current_user') ne 'postgres';
my $reader = Reader->new($node);
gallery($node, 'fixture', '--generation', 'v4.57');
$node->safe_psql('fixture', 'DROP EXTENSION gallery_revert');
my $password = 'hunter2';
my $tag = 'v2.7.5';

sub write_file { return Reader::write_file(@_) }
sub dump_of
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'pg_dump', '--create', '-d', $node->connstr('immich') ], '>', \$out, '2>', \$err) or die $err;
	return $out =~ s/^\\(?:un)?restrict .*\n//mgr;
}

my $gallery_session;
END { local $?; gallery_ends() }
# An installation that runs Gallery, its database as the fixture has it.
sub installation
{
	my (%option) = @_;
	gallery_ends();
	foreach my $name (split /\n/, $node->safe_psql('postgres', q(SELECT datname FROM pg_database WHERE datname ~ '^(immich|gallery_revert_)')))
	{
		$node->safe_psql('postgres', qq(DROP DATABASE "$name" WITH (FORCE)));
	}
	$node->safe_psql('postgres', 'CREATE DATABASE immich TEMPLATE fixture');
	$node->safe_psql('postgres', q(ALTER DATABASE immich SET search_path = '$user', public, 'odd one';
	  ALTER DATABASE immich SET vchord.prewarm = 'a, b'; COMMENT ON DATABASE immich IS 'photos';
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
	$place->{before} = $option{quick} ? '' : dump_of();
	$place->{files} = files_of($place);
	gallery_runs($place);
	return $place;
}
# Gallery's session comes over the network, from the address that the stand-in says its container has.
my $gallery_in = '';
sub gallery_runs
{
	$gallery_in = '';
	$gallery_session = IPC::Run::start([ 'psql', '-X', '-q', '-d', 'host=127.0.0.1 port=' . $node->port . ' dbname=immich application_name=immich-server' ],
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
	return join '', map { my @s = stat "$place->{folder}/$_"; "$_ $s[2] $s[9]\n" . slurp_file("$place->{folder}/$_") } qw(.env docker-compose.yml);
}

# Runs it to its end. Options: answers, what is typed; until, a pattern of what is shown, at which all of it is killed; kill, see the stand-in.
sub switch_back
{
	my ($place, %option) = @_;
	my ($in, $out) = ($option{answers} // "yes\nimmich\n", '');
	unlink "$place->{state}/killed";
	write_file("$place->{state}/kill", $option{kill}) if $option{kill};
	local %ENV = (%{ $place->{environment} }, %{ $option{environment} // {} });
	my $run = IPC::Run::start([ 'setsid', '-w', "$root/scripts/switch-back", @{ $option{arguments} // [] } ], '<', \$in, '>&', \$out,
		init => sub { chdir $place->{folder} or die }, IPC::Run::timeout(180));
	if ($option{until})
	{
		$run->pump while $run->pumpable && $out !~ $option{until};
		# The first process of a session of its own, by setsid.
		my ($session) = map { $_->{PID} } @{ $run->{KIDS} };
		system('pkill', '-KILL', '-s', $session);
	}
	IPC::Run::finish($run);
	unlink "$place->{state}/kill";
	$place->{said} = ($place->{said} // '') . $out;
	return ($? >> 8, $out);
}

sub log_of { my ($place) = @_; my ($log) = glob "$place->{base}/home/immich-preserved/switch-back-immich/log"; return $log ? slurp_file($log) : '' }

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

# The whole way.
my $place = installation();
my $start = time;
my ($status, $out) = switch_back($place);
diag(sprintf 'whole way: %.1f s', time - $start);
is($status, 0, 'the whole way') or do { diag($out, log_of($place)); BAIL_OUT('no') };
if (open my $f, '>', '/tmp/sw/show') { print $f $out; close $f; }
switched($place, 'the whole way');
my @asked = $out =~ /(\[yes\/no\]|Type the name)/g;
is(scalar @asked, 2, 'two answers');
is(join('', grep { length > 80 } split /^/, $out =~ s/\Q$place->{base}\E/~/gr), '', 'within 80 columns');
like($out, qr/10 pets with 94 faces|pets? with \d+ faces/, 'the losses, in words');
unlike($out . log_of($place) . slurp_file("$place->{state}/docker.log"), qr/$password|s3cret-word/, 'no secret in what is shown, logged or run');
($status, $out) = switch_back($place, answers => '');
is($status, 0, 'again: nothing is done twice');
like($out, qr/^ *\d+\. start +done already$/m, '... all is done already');

# Killed before and after each command that changes something, and at each question; each time the same command goes on.
my @kills = map { ("before $_", "after $_") } 'pg_dump --format', 'cp -', 'CREATE DATABASE "gallery_revert_rehearsal', '-d .*pg_restore|pg_restore --file=- --no-sub',
	'gallery_revert_rehearsal.*gallery.revert_token', 'DROP DATABASE IF EXISTS "gallery_revert_rehearsal', 'pull -q', 'compose rm -sf',
	'snapshot=.*', q(dbname='immich' .*gallery.revert_token), 'FLUSHDB', 'up -d --wait';
$place = installation();
$place->{said} = '';
$start = time;
my @unkilled;
foreach my $kill (@kills)
{
	($status, $out) = switch_back($place, kill => $kill);
	push @unkilled, $kill if !-e "$place->{state}/killed";
	gallery_ends() if !-e "$place->{state}/running/immich-server";
	last if $status == 0 && !-e "$place->{state}/killed";
}
is_deeply(\@unkilled, [], 'killed at each place') or diag($out);
($status, $out) = switch_back($place);
is($status, 0, 'killed everywhere, it comes to its end') or diag($out, log_of($place));
diag(sprintf '%d kills: %.1f s', scalar @kills, time - $start);
switched($place, 'killed everywhere');
is(scalar(() = log_of($place) =~ /^\S+ NOTICE:  Gallery v4\.57\.0 is gone/mg), 2, 'reverted once on a copy and once for good')
  if !grep { /^after/ && /revert_token/ } @kills;

# Killed as soon as a stage shows itself, and taken back from there.
foreach my $stage ('switch files', 'stop', 'last copy', 'revert', 'compare', 'queue', 'start', 'what remains')
{
	$place = installation();
	(undef, $out) = switch_back($place, until => qr/^ *\d+\. \Q$stage\E .*\n/m);
	gallery_ends() if !-e "$place->{state}/running/immich-server";
	# And half of the way back is gone twice.
	my @halves = $stage =~ /^(?:compare|what remains)$/ ? ('CREATE DATABASE "immich_undo', 'RENAME TO', 'up -d --wait') : ();
	foreach my $kill (map { ("before $_", "after $_") } @halves)
	{
		switch_back($place, arguments => ['--undo'], answers => "yes\n", kill => $kill);
		ok(-e "$place->{state}/killed", "undo from \"$stage\": killed $kill");
	}
	($status, $out) = switch_back($place, arguments => ['--undo'], answers => "yes\n");
	is($status, 0, "undo from \"$stage\"") or diag($out, log_of($place));
	is(files_of($place), $place->{files}, '... the files are as they were');
	is(slurp_file("$place->{state}/running/immich-server"), "ghcr.io/open-noodle/gallery-server:v4.57.0\n", '... Gallery runs');
	my $dump = dump_of();
	ok($dump eq $place->{before}, '... and the database is as it was, byte for byte') or do {
		write_file('/tmp/sw/before', $place->{before}); write_file('/tmp/sw/after', $dump); };
	last if $ENV{FAST};
}

done_testing();
