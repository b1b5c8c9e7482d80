# packaging/images: the extension's own images, pushed to a registry and pulled from it as each architecture's machine does.
use strict;
use warnings FATAL => 'all';

use Containers;
use Cwd        qw(getcwd);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

# Archives as packaging/binaries makes them, each with another text for a library; of 17, which has no such image, too.
my ($version) = text_of('META.json') =~ /^   "version": "(.*)",$/m;
my $binaries = tempdir(DIR => $ENV{GALLERY_REVERT_WORK}, CLEANUP => 1);
foreach my $name (qw(pg17-amd64 pg18-amd64 pg18-arm64))
{
	my ($major) = $name =~ /(\d+)/;
	my $tree = tempdir(DIR => $ENV{GALLERY_REVERT_WORK}, CLEANUP => 1);
	my ($library, $share) = ("usr/lib/postgresql/$major/lib", "usr/share/postgresql/$major/extension");
	make_path("$tree/$library", "$tree/$share");
	write_file("$tree/$_", $name)
	  foreach "$library/gallery_revert.so", map { "$share/gallery_revert$_" } '.control', "--$version.sql";
	system('tar', '-czf', "$binaries/gallery_revert-$version-$name.tar.gz", '-C', $tree, 'usr') == 0 or die "tar: $?";
}
system("cd $binaries && sha256sum *.gz >SHA256SUMS") == 0 or die "sha256sum: $?";

my @images = (getcwd() . '/test/containers/engine', 'within',
	'packaging/images', '--insecure', 'ghcr.io/Somebody/gallery_revert', $binaries);
my $name = "ghcr.io/somebody/gallery_revert:$version-18";
foreach my $time ('', ', again')
{
	my ($status, $out) = said(\@images);
	is($status, 0, "images$time: pushed") or diag($out);
	like($out, qr/^\Q$name\E\@sha256:[0-9a-f]{64}$/m, "images$time: the name and digest are printed");
	unlike($out, qr/-17/, "images$time: none for a PostgreSQL that looks into one folder");
}
docker('image', 'rm', '-f', map { "$name$_" } '-amd64', '-arm64');
foreach my $architecture (qw(amd64 arm64))
{
	docker('pull', '-q', '--platform', "linux/$architecture", $name);
	# It has no command.
	my $container = docker('create', '--platform', "linux/$architecture", $name, 'none');
	my $files = in_folder("docker export $container | tar -x -O lib/gallery_revert.so share/extension/gallery_revert.control");
	is($files, "pg18-$architecture" x 2, "$architecture: its own files");
	is(docker(qw(image inspect --format), '{{.Architecture}}', $name), $architecture, "$architecture: and says so");
	docker('rm', $container);
	docker('image', 'rm', '-f', $name);
}

# Archives that somebody changed.
write_file("$binaries/gallery_revert-$version-pg18-arm64.tar.gz", 'changed');
my ($status, $out) = said(\@images);
isnt($status, 0, 'a changed archive: refused');
like($out, qr/pg18-arm64.*FAILED/, 'a changed archive: by name');

done_testing();
