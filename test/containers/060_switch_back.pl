# One command, on Gallery's compose project with its server running: two answers, Immich listens. In the middle of it the machine restarts,
# and the same command goes on; and --undo brings Gallery back.
use strict;
use warnings FATAL => 'all';

use Containers;
use IPC::Run ();
use Test::More;

my $folder = project();
my ($archive) = archive();
in_folder(qq(mkdir -p gallery_revert/binaries && cp $archive gallery_revert/binaries));
in_folder(q(docker compose up -d --wait));
load_database($_->[0], $_->[1]) foreach [ 'immich', 'gallery' ], [ 'twin', 'immich' ];
docker(qw(compose restart -t 1 immich-server));
my $runs = q(SELECT count(*) FROM pg_stat_activity WHERE application_name = 'immich-server' AND datname = 'immich');
until_true('Gallery runs on its database', sub { sql('immich', $runs) eq '1' });
docker(qw(exec immich_redis redis-cli -n 0 SET job gallery));
my %before = map { $_ => text_of("$folder/$_") } '.env', 'docker-compose.yml';

# What Gallery writes whenever it starts is no difference; nor how the server prints a condition over a list of words once it was restored.
sub gallery_state
{
	return state_of('immich') =~ s/^.*version_history.*\n//mgr =~ s/^(.*\bARRAY\[.*)$/$1 =~ s{[()\[\]]|::text}{}gr/gmer;
}
my $gallery = gallery_state();

# Runs it; at the first that is shown of a stage the machine restarts.
sub switch_back
{
	my ($answers, $stage, @options) = @_;
	my ($in, $out) = ($answers, '');
	local $ENV{HOME} = "$folder.home";
	my $run = IPC::Run::start([ 'sh', 'gallery_revert/switch-back', @options ], '<', \$in, '>&', \$out, init => sub { chdir $folder or die },
		IPC::Run::timeout(900));
	if ($stage)
	{
		$run->pump while $run->pumpable && $out !~ /^ *\d+\. \Q$stage\E .*\n/m;
		engine('crash');
	}
	IPC::Run::finish($run);
	return ($? >> 8, $out);
}

my ($status, $out) = switch_back('', undef, '--check');
is($status, 0, '--check') or diag($out);
ok(!-e "$folder.home/immich-preserved", '... leaves nothing');

my ($cut, $shown) = switch_back("yes\nimmich\n", 'last copy');
isnt($cut, 0, 'the machine restarts in the middle');
until_true('the database is back', sub { (said([ qw(docker exec immich_postgres pg_isready -q -U postgres) ]))[0] == 0 });
seconds('the rest of the way', sub { ($status, $out) = switch_back('') });
is($status, 0, 'the same command goes on, without a question') or diag($shown, $out);
is(scalar(() = "$shown$out" =~ /\[yes\/no\]|Type the name/g), 2, 'two answers in all');
like(docker(qw(compose logs immich-server)), qr/Immich Server is listening/, 'Immich listens');
sub image { return docker('inspect', '--format', '{{.Config.Image}}', 'immich_server') }
is(image(), 'ghcr.io/immich-app/immich-server:v2.7.5', '... with its image and tag');
ok(state_of('immich') eq state_of('twin'), 'the database is the stock one, object for object and row for row');
is(docker(qw(exec immich_redis redis-cli -n 0 DBSIZE)), '0', 'the queue is empty');
unlike($out . in_folder("cat '$folder.home'/immich-preserved/switch-back-immich/log"), qr/hunter2/, 'no password is shown or logged');

seconds('undo', sub { ($status, $out) = switch_back("yes\n", undef, '--undo') });
is($status, 0, '--undo') or diag($out);
is(text_of("$folder/$_"), $before{$_}, "... $_ is as it was") foreach sort keys %before;
until_true('Gallery runs again', sub { sql('immich', $runs) eq '1' });
my @now = split /\n/, gallery_state();
my %was = map { $_ => 1 } split /\n/, $gallery;
is_deeply([ grep { !$was{$_} } @now ], [], '... on its database, object for object and row for row');
is(scalar @now, scalar(() = $gallery =~ /\n/g) + ($gallery !~ /\n\z/), '... with nothing missing');
is(image(), 'ghcr.io/open-noodle/gallery-server:v4.57.0', '... with its image');

stop_project();
done_testing();
