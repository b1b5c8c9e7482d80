# The archives for machines that have no compiler (packaging/binaries), of the server and the architecture that are here: the same bytes
# twice, three files and no folder, a module that needs libc alone, shows its entry points alone and works. And what is not so is seen.
use strict;
use warnings FATAL => 'all';

use File::Temp qw(tempdir);
use GalleryTest qw(root);
use PostgreSQL::Test::Cluster;
use Test::More;

my $root = root();
my $scratch = tempdir(CLEANUP => 1);
my $major = $ENV{PG_MAJOR};

sub slurp { my $path = shift; open my $file, '<:raw', $path or die "$path: $!"; local $/; return scalar <$file> }
sub spew { my ($path, $text) = @_; open my $file, '>', $path or die "$path: $!"; print $file $text; close $file or die $!; return }
sub run { my $command = shift; my $said = qx(cd $root && $command 2>&1); return ($? >> 8, $said) }

# What a module must not be. The one that the suites use is linked as a distribution's is.
my $installed = $ENV{GALLERY_REVERT_INSTALL} // "$root/build/install";
my ($code, $said) = run("packaging/binaries --check $installed/usr/lib/postgresql/$major/lib/gallery_revert.so");
is($code, 1, 'a module that is linked with the C++ library is refused');
like($said, qr/needs libstdc\+\+\.so\.6$/m, '... by the library\'s name');
# A C library of the future, as the linker sees it.
spew("$scratch/future.c", "int newer(void) { return 1; }\n");
spew("$scratch/future.map", "GLIBC_2.99 { global: newer; };\n");
spew("$scratch/module.c", "int newer(void); int gallery_revert(void); int gallery_revert(void) { return newer(); }\n");
($code, $said) = run("cc -shared -nostdlib -fPIC -Wl,-soname,libc.so.6 -Wl,--version-script=$scratch/future.map -o $scratch/libfuture.so "
	. "$scratch/future.c && cc -shared -nostdlib -fPIC -o $scratch/newer.so $scratch/module.c -L$scratch -lfuture");
is($code, 0, 'a planted module is built') or diag($said);
($code, $said) = run("packaging/binaries --check $scratch/newer.so");
is($code, 1, 'a module for a newer libc is refused');
like($said, qr/needs libc 2\.99, and bookworm has 2\.36: build it there/, '... with what it needs and where to build it');
spew("$scratch/bare.c", "int leaked(void) { return 1; }\n");
run("cc -shared -nostdlib -fPIC -o $scratch/bare.so $scratch/bare.c");
($code, $said) = run("packaging/binaries --check $scratch/bare.so");
is($code, 1, 'a module that shows other symbols is refused');
like($said, qr/^> leaked$/m, '... with their names');

my ($libc) = qx(getconf GNU_LIBC_VERSION) =~ /2\.(\d+)/;
if ($libc > 36)
{
	note('this libc is newer than the oldest that the archives are for');
	done_testing();
	exit;
}

# Twice, at different times, in different folders; the first may be those that somebody else built, in the folder that BINARIES names.
my @first = $ENV{BINARIES} ? glob("$ENV{BINARIES}/gallery_revert-*-pg$major-*.tar.gz") : ();
foreach my $try (qw(one two))
{
	my $build = "packaging/binaries --installed --to $scratch/$try $major";
	$build = "mkdir $scratch/one && cp @first $ENV{BINARIES}/SHA256SUMS $scratch/one" if $try eq 'one' && @first;
	($code, $said) = run($build);
	is($code, 0, "built: $try") or BAIL_OUT($said);
	sleep 1;
}
is(slurp("$scratch/one/SHA256SUMS"), slurp("$scratch/two/SHA256SUMS"), 'the same bytes twice');
($code, $said) = run("cd $scratch/two && sha256sum --strict -c SHA256SUMS");
is($code, 0, 'as the checksums say') or diag($said);

my ($archive) = grep { !/-debug/ } glob "$scratch/one/*.tar.gz";
like($archive, qr{/gallery_revert-(\d+\.\d+\.\d+)-pg$major-(amd64|arm64)\.tar\.gz$}, 'the name of the archive');
my ($version) = $archive =~ /gallery_revert-([\d.]+)-pg/;
my @listed = map { [ split ' ' ] } qx(tar --numeric-owner -tvzf $archive);
is_deeply([ map { $_->[-1] } @listed ], [
	"usr/lib/postgresql/$major/lib/gallery_revert.so",
	map { "usr/share/postgresql/$major/extension/gallery_revert$_" } "--$version.sql", '.control' ], 'three files at their places, no folder');
is_deeply([ map { "$_->[0] $_->[1]" } @listed ], [ ('-rw-r--r-- 0/0') x 3 ], 'readable by all, root\'s');
is(unpack('x4 V', slurp($archive)), 0, 'no time of packing');

mkdir "$scratch/unpacked" or die $!;
system('tar', '-xzf', $archive, '-C', "$scratch/unpacked") == 0 or die;
my $module = "$scratch/unpacked/usr/lib/postgresql/$major/lib/gallery_revert.so";
# 22 MB with all symbols.
cmp_ok(-s $module, '<', 1_500_000, 'stripped, and compiled for size');
my @needed = qx(readelf -d $module) =~ /NEEDED.*\[(.*)\]/g;
is_deeply([ grep { !/^(?:libc|libm)\.so\.6$|^ld-linux/ } @needed ], [], 'it needs libc alone') or diag("@needed");
unlike(slurp($module), qr{/tmp/tmp\.|\Q$root\E}, 'no folder of the build in it');
my ($id) = qx(readelf -n $module) =~ /Build ID: ([0-9a-f]+)/;
my @symbols = qx(tar -tzf @{[ $archive =~ s/\.tar/-debug.tar/r ]});
like($symbols[-1], qr{^usr/lib/debug/\.build-id/@{[ substr $id, 0, 2 ]}/@{[ substr $id, 2 ]}\.debug$},
	'its debug symbols, where gdb looks');

# It works: what it throws crosses the server's code with the unwinder that it brings along.
my $node = PostgreSQL::Test::Cluster->new('binaries');
$node->init;
my $own = "$scratch/unpacked/usr/share/postgresql/$major";
$node->append_conf('postgresql.conf',
	$major >= 18 ? "extension_control_path = '$own:\$system'" : "extension_destdir = '$scratch/unpacked'");
$node->append_conf('postgresql.conf', "dynamic_library_path = '$scratch/unpacked/usr/lib/postgresql/$major/lib:\$libdir'");
system('chmod', '-R', 'a+rX', $scratch);
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION gallery_revert');
is($node->safe_psql('postgres', 'SELECT count(*) > 100 FROM gallery_revert_manifest()'), 't', 'it answers');
my (undef, undef, $error) = $node->psql('postgres', 'SELECT gallery_revert()');
like($error, qr/^psql:.*ERROR:  gallery\.revert_token is not set\nDETAIL: .*\nHINT: /m, 'it refuses, in full');
my ($mapped) = map { m{(\S+gallery_revert\.so)$}m } $node->safe_psql('postgres',
	q(LOAD 'gallery_revert'; SELECT pg_read_file('/proc/self/maps')));
is($mapped, $module, 'and it is this module');
$node->stop;

done_testing();
