# "The automatic way" of docs/switching-back.md, with its own commands: the server's container reverts and starts Immich. Before it comes to
# that: the variable that sudo took away, no token, another client; and the engine is restarted, and the power fails, in the middle of it.
use strict;
use warnings FATAL => 'all';

use Containers;
use Documents qw(blocks read_text);
use Test::More;

my $folder = project();
my $page = read_text("$folder/gallery_revert/docs/switching-back.md");
# The block of step 3 that builds; as the page says, with more before its "docker compose" and without "database" at its end.
my ($build) = map { $_->{text} } grep { $_->{text} =~ /--build/ } blocks($page);
$build =~ s/ database\n\z/\n/ or die "another block\n";
my $token = 'i_accept_data_loss';
sub build { my ($setting) = @_; return said([ 'bash', '-e', '-c', $build =~ s/^docker compose/$setting docker compose/mr ]) }

in_folder('docker compose up -d --wait');
load_database($_->[0], $_->[1]) foreach [ 'immich', 'gallery' ], [ 'twin', 'immich' ];
in_folder(q(docker compose rm -sf immich-server immich-machine-learning));
switch_images('v2.7.5');
my $gallery = state_of('immich');
sub unchanged { my ($what) = @_; return ok(state_of('immich') eq $gallery, "$what: the database is as it was") }
sub server { my ($field) = @_; return docker('inspect', '--format', "{{$field}}", 'immich_server') }

# What sudo makes of it.
my $database = docker(qw(inspect --format), '{{.Id}} {{.State.StartedAt}}', 'immich_postgres');
my ($compose) = $build =~ /^(docker compose .*)/m;
foreach my $case ([ 'unset', 'unset GALLERY_REVERT_BASE_IMAGE' ], [ 'empty', 'export GALLERY_REVERT_BASE_IMAGE=' ])
{
	my ($what, $command) = @$case;
	my ($status, $out) = said([ 'bash', '-c', "$command; $compose" ]);
	isnt($status, 0, "$what variable: refused");
	like($out, qr{GALLERY_REVERT_BASE_IMAGE.*set it in \.env or behind sudo, see docs/switching-back\.md, step 3},
		"$what variable: in words");
}
is(docker(qw(inspect --format), '{{.Id}} {{.State.StartedAt}}', 'immich_postgres'), $database, '... and the database was left alone');

# Compose says little of a refusal, and the page says what.
sub refused
{
	my ($what, $code, $says, @result) = @_;
	my ($status, $out) = @result;
	isnt($status, 0, "$what: compose fails");
	like($out, qr/container immich_server (?:is unhealthy|exited \($code\))/, "$what: and says what the page says of it");
	until_true("$what: exit code $code", sub { server('.State.ExitCode') eq $code });
	like(docker(qw(compose logs immich-server)), $says, "$what: the log has the cause");
	unlike(docker(qw(compose logs immich-server)), qr/Initializing Immich/, "$what: Immich is not started");
	return unchanged($what);
}
refused('no token', 13, qr/gallery-revert: this is a Gallery database; it was not changed/, build(''));

in_folder(q(docker exec -d -e PGAPPNAME=dashboard immich_postgres psql -X -U postgres -d immich -c 'SELECT pg_sleep(600)'));
refused('another client', 15, qr/1 other client is connected to this database.*dashboard.*gallery-revert: the database is unchanged; stop/s,
	build("GALLERY_REVERT_TOKEN=$token"));
in_folder(q(docker compose rm -sf immich-server));
sql('postgres', q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dashboard'));

# In the middle: the tables are dropped, and then this database server goes on no more.
sub hold
{
	my $now = sql('immich', 'SELECT pg_postmaster_start_time()');
	sql('immich', <<"SQL");
CREATE SCHEMA test;
CREATE FUNCTION test.hold() RETURNS event_trigger LANGUAGE plpgsql AS \$\$
BEGIN
	IF pg_catalog.pg_postmaster_start_time() = '$now'::pg_catalog.timestamptz THEN
		PERFORM pg_catalog.pg_sleep(600);
	END IF;
END \$\$;
CREATE EVENT TRIGGER hold ON ddl_command_end WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION test.hold();
SQL
	return;
}

sub let_go { return sql('immich', 'SET client_min_messages = warning; DROP EVENT TRIGGER hold; DROP SCHEMA test CASCADE') }

foreach my $case ([ 'restart', 'the engine restarts', qr/^(?:18|20)$/ ], [ 'crash', 'the power fails', qr/^[1-9]\d*$/ ])
{
	my ($order, $what, $code) = @$case;
	hold();
	# As the page has it, but for --wait, which would.
	in_folder($build =~ s/^docker compose/GALLERY_REVERT_TOKEN=$token docker compose/mr =~ s/ --wait\b//r);
	until_true("$what: in the middle of the revert", sub {
		sql('postgres', q(SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep')) eq '1';
	});
	# Else it would begin again by itself, before anybody can look.
	docker('update', '--restart', 'no', 'immich_server');
	engine($order);
	until_true("$what: the database comes back by itself",
		sub { (said([ qw(docker exec immich_postgres pg_isready -q -U postgres) ]))[0] == 0 });
	like(server('.State.ExitCode'), $code, "$what: the server's container says with a code that it did not end well");
	let_go();
	unchanged("$what, in the middle of the revert");
	in_folder('docker compose rm -sf immich-server');
}

my ($status, $out) = build("GALLERY_REVERT_TOKEN=$token");
is($status, 0, 'then it runs, and compose waits until Immich is healthy') or diag($out);
my $log = docker(qw(compose logs immich-server));
# Docker may show what came on standard error later; that Immich accepts the ledger says which was first.
like($log, qr/gallery-revert: reverted/, 'reverted');
like($log, qr/Initializing Immich v2\.7\.5.*Immich Server is listening/s, '... then Immich');
ok(state_of('immich') eq state_of('twin'), 'the database is the stock one, object for object and row for row');

# Step 9: without the extra file.
in_folder('docker compose up -d --wait');
$log = docker(qw(compose logs immich-server));
like($log, qr/Immich Server is listening/, 'Immich starts without the extra file');
unlike($log, qr/gallery-revert/, '... in a container that knows nothing of the revert');
is(docker('inspect', '--format', '{{.Config.Image}}', 'immich_postgres'), $ENV{GALLERY_REVERT_DATABASE_IMAGE}, '... on the stock database');
my $kept = text_of("$folder/gallery_revert/log/revert.log");
like($kept, qr/it was not changed, and Immich cannot run on it.*dashboard.*reverting it to Immich v2\.7\.5.*gallery-revert: reverted/s,
	'what was said of it is kept: both refusals, the interruptions, the revert');
ok(state_of('immich') eq state_of('twin'), 'the database is still the stock one');

stop_project();
done_testing();
