# docker/postgres/Dockerfile where a build goes wrong: an image whose source of packages is dead, one that was built by it before, no image;
# and with the builder that docker had before BuildKit.
use strict;
use warnings FATAL => 'all';

use Containers;
use Test::More;

my $folder = project();
my $compose = 'docker compose -f docker-compose.yml -f gallery_revert/docker/compose.gallery-revert.yml';
in_folder('docker compose up -d --wait database');
load_database('immich', 'gallery');
my $gallery = state_of('immich');
my @container = (qw(inspect --format), '{{.Id}} {{.State.StartedAt}}', 'immich_postgres');
my $started = docker(@container);

# BASE_IMAGE and more for a build with a builder; its exit status and what it says.
sub build
{
	my ($buildkit, $image, @arguments) = @_;
	return said([ 'env', "DOCKER_BUILDKIT=$buildkit", qw(docker build -f gallery_revert/docker/postgres/Dockerfile -t), $image,
			(map { ('--build-arg', $_) } @arguments), 'gallery_revert' ]);
}

my $dead = 'gallery-revert-test:dead';
my ($status, $out) = said([ 'bash', '-c', "GALLERY_REVERT_BASE_IMAGE=$dead $compose up -d --build --wait database" ]);
isnt($status, 0, 'a dead source: the build fails');
like($out, qr/build\.sh: the packages to build with cannot be had from this image's sources of packages; nothing was changed/,
	'a dead source: in words');
like($out, qr/build\.sh: .*GALLERY_REVERT_APT_SOURCE/, 'a dead source: and what to set');
in_folder('docker compose up -d --wait database');
is(docker(@container), $started, 'a dead source: the database runs on as it did');
ok(state_of('immich') eq $gallery, 'a dead source: with all that is in it');

my ($alive) = docker(qw(run --rm --entrypoint cat), $dead, '/alive') =~ /^(deb .*)$/m or die 'no source';
($status, $out) = build(0, 'gallery-revert-test:legacy', "BASE_IMAGE=$dead", "APT_SOURCE=$alive");
is($status, 0, 'one more source, and the builder from before BuildKit: it is built') or diag($out);
like(docker(qw(run --rm --entrypoint sh gallery-revert-test:legacy -c), 'cd /usr && find . -name "gallery_revert*" | sort'),
	qr{^\./lib/postgresql/15/lib/gallery_revert\.so\n\./share/postgresql/15/extension/gallery_revert--[0-9.]+\.sql\n
		\./share/postgresql/15/extension/gallery_revert\.control$}x, 'with three files');
is(docker(qw(run --rm --entrypoint sh gallery-revert-test:legacy -c),
	'grep -c -a -F -e .symtab -e .debug_info /usr/lib/postgresql/15/lib/gallery_revert.so || true'), '0', 'of which the library is stripped');
is(docker(qw(image inspect --format), '{{index .Config.Labels "org.opencontainers.image.base.name"}}', 'gallery-revert-test:legacy'),
	$dead, 'labelled with its base');

($status, $out) = build(1, 'gallery-revert-test:twice', 'BASE_IMAGE=gallery-revert-test:legacy');
isnt($status, 0, 'built on itself: refused');
like($out, qr/build\.sh: the image gallery-revert-test:legacy has gallery_revert already/, 'built on itself: in words');
my ($command) = $out =~ /^.*?(docker image inspect --format '.*?' gallery-revert-test:legacy)/m or die $out;
is(in_folder($command) =~ s/\s+\z//r, $dead, 'built on itself: what it says prints the image to build on');

foreach my $builder (0, 1)
{
	($status, $out) = build($builder, 'gallery-revert-test:none');
	isnt($status, 0, "no image (DOCKER_BUILDKIT=$builder): refused");
	like($out, qr/base name \(\$\{BASE_IMAGE\}\) should not be blank/, "no image (DOCKER_BUILDKIT=$builder): in words");
}

stop_project();
done_testing();
