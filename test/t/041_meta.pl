# What a packager relies on. packaging/check-meta: content with the repository's META.json, and not with any that the PGXN spec does not
# allow. What of the packaging can be told without building: what packaging/deb needs, and that the compose file passes on what the
# Dockerfile takes. One version everywhere, no symbol but the entry points, and rooms of src that tools/layers guards.

use strict;
use warnings FATAL => 'all';

use File::Path qw(make_path);
use File::Temp qw(tempdir);
use JSON::PP   ();
use Test::More;

my $json    = JSON::PP->new->utf8->canonical;
my $scratch = tempdir(CLEANUP => 1);

sub slurp {
	my $path = shift;
	open my $file, '<:raw', $path or die "$path: $!";
	local $/;
	return scalar <$file>;
}

# What check-meta says of a text; undef if it is content.
sub verdict {
	my $text = shift;
	open my $file, '>:raw', "$scratch/META.json" or die $!;
	print $file $text;
	close $file or die $!;
	my $said = qx($^X packaging/check-meta $scratch);
	return $? == 0 ? undef : $said;
}

my $good = $json->decode(slurp('META.json'));
for my $entry (values %{ $good->{provides} }) {
	for my $path (grep { defined } @$entry{qw(file docfile)}) {
		make_path($1 ? "$scratch/$1" : $scratch) if $path =~ m{^(?:(.*)/)?};
		open my $file, '>', "$scratch/$path" or die "$path: $!";
	}
}
is(verdict($json->encode($good)), undef, 'the repository\'s META.json is valid');

my @mistakes = (
	[ 'no license',        qr/license is missing/,            sub { delete $_[0]{license} } ],
	[ 'no provides',       qr/provides is missing/,           sub { delete $_[0]{provides} } ],
	[ 'a key of its own',  qr/licence is not in the spec/,    sub { $_[0]{licence} = 'mit' } ],
	[ 'a short version',   qr/version is not a semantic/,     sub { $_[0]{version} = '1.0' } ],
	[ 'a leading zero',    qr/version is not a semantic/,     sub { $_[0]{version} = '1.0.01' } ],
	[ 'a name with /',     qr/name is not a valid name/,      sub { $_[0]{name} = 'a/b' } ],
	[ 'an empty abstract', qr/abstract is empty/,             sub { $_[0]{abstract} = ' ' } ],
	[ 'no maintainer',     qr/maintainer is empty/,           sub { $_[0]{maintainer} = [] } ],
	[ 'an odd license',    qr/license "beer" is not one/,     sub { $_[0]{license} = 'beer' } ],
	[ 'a tag twice',       qr/tags names "x" twice/,          sub { $_[0]{tags} = [qw(x y x)] } ],
	[ 'an odd status',     qr/release_status is not stable/,  sub { $_[0]{release_status} = 'good' } ],
	[ 'another spec',      qr/meta-spec.version is not/,      sub { $_[0]{'meta-spec'}{version} = '2.0.0' } ],
	[ 'a missing file',    qr/"nowhere.sql" does not exist/,  sub { $_[0]{provides}{gallery_revert}{file} = 'nowhere.sql' } ],
	[ 'a file outside',    qr/leads out of the distribution/, sub { $_[0]{provides}{gallery_revert}{file} = '../x' } ],
	[ 'an odd phase',      qr/prereqs.later is no phase/,     sub { $_[0]{prereqs}{later} = {} } ],
	[ 'an odd range',      qr/">= 14" is no version/, sub { $_[0]{prereqs}{runtime}{requires}{PostgreSQL} = '>= 14' } ],
	[ 'a bad homepage',    qr/homepage is no URI/, sub { $_[0]{resources}{homepage} = 'here' } ],
);
for my $mistake (@mistakes) {
	my ($name, $pattern, $break) = @$mistake;
	my $meta = $json->decode($json->encode($good));
	$break->($meta);
	like(verdict($json->encode($meta)) // 'content', $pattern, $name);
}
like(verdict('{'), qr/is not JSON/, 'not JSON');

# An allowed form of everything that the repository's file does not use.
$good->{license}    = { 'Our own' => 'https://license.invalid/' };
$good->{maintainer} = 'One <one@mail.invalid>';
$good->{no_index}   = { directory => ['test'] };
$good->{x_more}     = [1];
$good->{prereqs}{test}{recommends}{pgtap} = '>= 1.0.0, != 1.1.0, <2.0.0';
$good->{resources} = { homepage => 'https://home.invalid/', bugtracker => { mailto => 'bugs@mail.invalid' } };
is(verdict($json->encode($good)), undef, 'the other forms of the spec are valid');

# Where nothing is installed that builds packages.
mkdir "$scratch/few" or die $!;
for my $program (qw(bash dirname)) {
	my ($path) = grep { -x } map { "$_/$program" } split /:/, $ENV{PATH};
	symlink $path, "$scratch/few/$program" or die "$program: $!";
}
my $said = qx(PATH=$scratch/few bash packaging/deb $scratch/deb 2>&1);
is($? >> 8, 1, 'packaging/deb without debhelper fails');
like($said, qr/no dh here.*apt-get install debhelper lintian postgresql-server-dev-all$/, '... and names the packages');
ok(!-e "$scratch/deb", '... before it makes anything');

my %taken  = map { $_ => 1 } slurp('docker/postgres/Dockerfile') =~ /^ARG (\w+)/mg;
my %passed = map { $_ => 1 } (slurp('docker/compose.gallery-revert.yml') =~ /^      args:\n((?:        .*\n)+)/m)[0] =~ /^ +(\w+):/mg;
is_deeply([ sort keys %passed ], [ sort keys %taken ], 'the compose file passes on the arguments of the Dockerfile');

# One version, wherever it stands; and a status that fits what the list of changes says of it.
my $version = $json->decode(slurp('META.json'))->{version};
my ($heading) = slurp('CHANGELOG.md') =~ /^## (.*)$/m;
my %says = (
	'gallery_revert.control' => slurp('gallery_revert.control') =~ /^default_version = '(.*)'$/m,
	'META.json, provides'    => $json->decode(slurp('META.json'))->{provides}{gallery_revert}{version},
	'the SQL file'           => join(' ', map { /--([^-]*)\.sql$/ } glob 'gallery_revert--*.sql'),
	'debian/changelog'       => slurp('debian/changelog') =~ /\A\S+ \(([^)-]*)/,
	'the image\'s label'      => slurp('docker/postgres/Dockerfile') =~ /image\.version="(.*)"$/m,
	'CHANGELOG.md'           => $heading =~ /^(\S+)/,
	'make'                   => qx(make -s -p -n 2>&1) =~ /^EXTVERSION := (.*)$/m,
);
is_deeply(\%says, { map { $_ => $version } keys %says }, 'the version is the same everywhere');
is($json->decode(slurp('META.json'))->{release_status},
	$heading =~ /not yet released/ ? 'testing' : 'stable', 'META.json calls stable what is released, and nothing else');

# The server and other modules see what SQL names, and nothing else: a template of the C++ library that is visible may be taken for
# that of another extension.
my $installed = $ENV{GALLERY_REVERT_INSTALL} // 'build/install';
my ($module) = qx(find $installed -name gallery_revert.so);
chomp $module;
my %functions = map { $_ => 1 } slurp("gallery_revert--$version.sql") =~ /^AS 'MODULE_PATHNAME', '(\w+)';$/mg;
my @functions = sort keys %functions;
cmp_ok(scalar @functions, '>=', 8, 'functions of the module in the SQL file');
is_deeply([ sort map { (split)[2] } qx(nm -D --defined-only $module) ],
	[ sort 'Pg_magic_func', '_PG_init', map { ($_, "pg_finfo_$_") } @functions ], 'the module exports its entry points');

# Where people are sent: nowhere yet, or to the addresses of one line of META.json, which the build and the documents take from there.
sub links { my $said = qx($^X packaging/links @_ 2>&1); return $? == 0 ? 'content' : $said }
is(links('--check', '.'), 'content', 'documents and packages have the addresses of META.json');
is(qx(grep -c . debian/control) > 0 && scalar(slurp('debian/control') =~ s/15/PGVERSION/gr eq slurp('debian/control.in')), 1,
	'debian/control is of debian/control.in');
my $tree = "$scratch/published";
mkdir $tree or die $!;
system("tar -c --exclude=build --exclude=.git --exclude='*.[od]' . | tar -x -C $tree") == 0 or die "tar: $?";
my $told = qr/where you got gallery_revert/;
my @with_words = grep { slurp("$tree/$_") =~ $told } qw(README.md CONTRIBUTING.md docs/reference.md docs/switching-back.md);
my $address = '"homepage": "https://home.invalid/x", "bugtracker": { "web": "https://home.invalid/x/issues" }, '
  . '"repository": { "url": "https://home.invalid/x.git", "web": "https://home.invalid/x", "type": "git" }';
my $published = slurp('META.json') =~ s/^   "resources": \{.*\},$/   "resources": { $address },/mr;
sub publish { my $meta = shift; open my $file, '>:raw', "$tree/META.json" or die $!; print $file $meta; close $file or die $!; return }
publish($published);
is(verdict($published), undef, 'an address is valid');
like(links('--check', $tree), qr/^links: README\.md has not the addresses of META\.json; run: make links$/m,
	'documents without it are seen');
links($tree);
is(links('--check', $tree), 'content', 'and mended');
is_deeply([ grep { slurp("$tree/$_") =~ $told || slurp("$tree/$_") !~ m{<https://home\.invalid/x} } @with_words ], [], 'in all documents');
for my $file (qw(control control.in)) {
	like(slurp("$tree/debian/$file"), qr{^Homepage: https://home\.invalid/x\nVcs-Browser: .*\nVcs-Git: .*\.git\n}m, "debian/$file");
}
like(slurp("$tree/debian/copyright"), qr{^Source: https://home\.invalid/x$}m, 'debian/copyright');
my @units = qw(src/readiness/checks_ledger src/run/verify);
my $built = qx(make -s -C $tree PG_CONFIG=$ENV{PG_CONFIG} @{[ map { "$_.o" } @units ]} 2>&1);
is($?, 0, 'it builds') or diag($built);
my $strings = join '', map { slurp("$tree/$_.o") } @units;
like($strings, qr{https://home\.invalid/x/issues}, 'the message that asks for a report has it');
like($strings, qr{https://home\.invalid/x\0}, 'the one that names a newer version, too');
unlike($strings, $told, 'and no other words');
publish(slurp('META.json'));
links($tree);
is(qx(diff -r -x '*.[od]' -x build -x .git . $tree), '', 'taken back, all is as it was');
# The Makefile reads one line.
publish($published =~ s/("homepage")/\n      $1/r);
like(links($tree), qr/has to be one line/, 'more than a line is refused');

# The rooms of src: as they are, and with each kind of mistake.
sub layers { my $said = qx($^X tools/layers $_[0]); return $? == 0 ? 'clean' : $said }
is(layers('.'), 'clean', 'the includes fit the table in CONTRIBUTING.md');
my @includes = (
	[ 'the backend includes a room', 'src/backend/spi.hpp', '"settings.hpp"', 'includes src/settings.hpp: src/backend includes nothing' ],
	[ 'an include that goes up', 'src/settings.hpp', '"gallery_revert.cpp"', 'includes src/gallery_revert.cpp, which is above' ],
	[ 'a fact that needs the server', 'src/manifest/manifest.hpp', '"postgres.h"', 'includes postgres.h, which is no header' ],
	[ 'another, in other brackets', 'src/manifest/manifest.hpp', '<fmgr.h>', 'includes fmgr.h, which is no header' ],
	[ 'a path from elsewhere', 'src/backend/spi.hpp', '"guard.hpp"', 'includes guard.hpp, which is not its path below src' ],
	[ 'a file in no room', 'src/elsewhere/new.hpp', '<string>', 'is in no room' ],
);
for my $mistake (@includes) {
	my ($name, $path, $include, $says) = @$mistake;
	my $tree = tempdir(CLEANUP => 1);
	system('cp', '-r', 'src', 'CONTRIBUTING.md', $tree) == 0 or die "cp: $?";
	my $text = -e "$tree/$path" ? slurp("$tree/$path") : '';
	make_path("$tree/src/elsewhere") if $path =~ /elsewhere/;
	open my $file, '>:raw', "$tree/$path" or die "$path: $!";
	print $file "#include $include\n$text";
	close $file or die $!;
	like(layers($tree), qr/^\Q$path:1: $says\E/, "tools/layers: $name");
}

done_testing();
