# The files of packaging/binaries in database containers that have neither a compiler nor a network: copied into one that runs, into one
# that runs as an ordinary user and may do nothing, and mounted into one whose own files are read-only.
use strict;
use warnings FATAL => 'all';

use Containers;
use File::Temp qw(tempdir);
use Test::More;

my $image = $ENV{GALLERY_REVERT_DATABASE_IMAGE};
my @cannot = ('--network', 'none', '-e', 'POSTGRES_PASSWORD=hunter2', '-e', 'POSTGRES_USER=postgres', '-e', 'POSTGRES_DB=immich');

sub main_job
{
	my ($what, $container) = @_;
	is(sql('immich', 'CREATE EXTENSION gallery_revert; SELECT product FROM gallery_revert_status()', $container), 'gallery',
		"$what: the extension is there and knows the database");
	like(sql('immich', q(SET gallery.revert_token = 'i_accept_data_loss'; SELECT gallery_revert()), $container), qr/^v2\.7\.5$/m,
		"$what: the revert");
	sql('immich', 'DROP EXTENSION gallery_revert', $container);
	ok(state_of('immich', $container) eq state_of('twin', $container), "$what: ends as the stock database, object for object, row for row");
	docker('rm', '-f', '-v', $container);
	return;
}

sub begin
{
	my ($container, @options) = @_;
	docker('run', '-d', '--name', $container, @cannot, @options, $image);
	until_true("$container: the database answers", sub { docker('inspect', '--format', '{{.State.Health.Status}}', $container) eq 'healthy' });
	load_database('immich', 'gallery', $container);
	load_database('twin', 'immich', $container);
	return;
}

my $archive = archive();
# docker cp reads an archive from its standard input, and none that is packed.
sub copy_in
{
	my ($container) = @_;
	my $took = seconds("docker cp into $container", sub {
		my ($status, $out) = said([ 'bash', '-c', "set -o pipefail; gunzip -c '$archive' | docker cp - $container:/" ]);
		is($status, 0, "$container: copied in") or diag($out);
	});
	cmp_ok($took, '<', 10, "$container: in no time");
	return;
}

begin('plain');
my $started = docker('inspect', '--format', '{{.State.StartedAt}}', 'plain');
my ($status) = said([ qw(docker exec plain sh -c), 'command -v gcc g++ cc make' ]);
isnt($status, 0, 'plain: there is no compiler');
copy_in('plain');
is(docker('inspect', '--format', '{{.State.StartedAt}}', 'plain'), $started, 'plain: it was not restarted');
main_job('plain', 'plain');

# As user 1000, on a folder of his.
my $data = tempdir(DIR => $ENV{GALLERY_REVERT_WORK}, CLEANUP => 1);
chmod 0700, $data or die $!;
chown 1000, 1000, $data or die $!;
begin('user_1000', '--user', '1000', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '-v', "$data:/var/lib/postgresql/data");
like(docker('exec', 'user_1000', 'id', '-u'), qr/^1000$/, 'user_1000: is that user');
copy_in('user_1000');
main_job('user_1000', 'user_1000');

# Nothing can be copied into a container whose files are read-only; the three files are mounted.
my $files = tempdir(DIR => $ENV{GALLERY_REVERT_WORK}, CLEANUP => 1);
chmod 0755, $files or die $!;
system('tar', '-xzf', $archive, '-C', $files) == 0 or die "tar: $?";
chomp(my @three = qx(cd $files && find . -type f));
is(scalar @three, 3, 'three files');
begin('read_only', '--read-only', '--tmpfs', '/tmp', '--tmpfs', '/var/run/postgresql',
	map { ('-v', "$files/$_:/$_:ro") } map { s{^\./}{}r } @three);
my ($refused, $says) = said([ 'bash', '-c', "gunzip -c '$archive' | docker cp - read_only:/" ]);
isnt($refused, 0, 'read_only: nothing can be copied in');
like($says, qr/read-only/, 'read_only: which it says');
main_job('read_only', 'read_only');

done_testing();
