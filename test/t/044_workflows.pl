# The workflows call scripts that are there, and tools/lint-workflows would say so if they did not; packaging/release refuses what is no
# release.
use strict;
use warnings FATAL => 'all';

use File::Temp qw(tempdir);
use Test::More;

sub slurp { my ($file) = @_; open my $in, '<', $file or die "$file: $!"; local $/; return scalar <$in> }
sub spew { my ($file, $text) = @_; open my $out, '>', $file or die "$file: $!"; print $out $text; close $out; return }
sub verdict { my ($directory) = @_; my $said = qx($^X tools/lint-workflows $directory); return $? == 0 ? 'clean' : $said }

is(verdict('.'), 'clean', 'the workflows are in order');
my @mistakes = (
	[ 'a command', 's{run: \.ci/run}{run: make test}', qr/ci\.yml:\d+: "make" is no script of this repository/ ],
	[ 'a script that is not there', 's{run: tools/test}{run: tools/tests}', qr/"tools\/tests" is no script/ ],
	[ 'a second command', 's{run: tools/test$}{run: tools/test && id}m', qr/more than a call/ ],
	[ 'several lines', 's{run: tools/test$}{run: |}m', qr/"\|" is no script/ ],
	[ 'the title of a pull request', 's{run: tools/test$}{run: tools/test \${{ github.event.pull_request.title }}}m', qr/more than a call/ ],
	[ 'an action without a version', 's{checkout\@v4}{checkout}', qr/actions\/checkout has no major version/ ],
	[ 'an action of a branch', 's{checkout\@v4}{checkout\@main}', qr/actions\/checkout\@main has no major version/ ],
	[ 'all rights', 's{^permissions:\n  contents: read}{permissions: write-all}m', qr/the rights of the whole workflow/ ],
	[ 'no limit of time', 's{    timeout-minutes: 180\n}{}', qr/job submission has no timeout-minutes/ ]);
foreach my $mistake (@mistakes)
{
	my ($name, $edit, $says) = @$mistake;
	my $tree = tempdir(CLEANUP => 1);
	system('cp', '-r', '.github', '.ci', 'tools', 'packaging', $tree) == 0 or die "cp: $?";
	my $text = slurp("$tree/.github/workflows/ci.yml");
	my $before = $text;
	eval "\$text =~ $edit; 1" or die $@;
	isnt($text, $before, "$name: made");
	spew("$tree/.github/workflows/ci.yml", $text);
	like(verdict($tree), $says, "$name: named");
}

# Of what is no release nothing is made.
my $tree = tempdir(CLEANUP => 1);
system('cp', '-r', 'packaging', 'tools', 'META.json', 'CHANGELOG.md', $tree) == 0 or die "cp: $?";
my ($version) = slurp('META.json') =~ /^   "version": "(.*)",$/m;
sub release { my ($tag) = @_; my $said = qx($tree/packaging/release $tag 2>&1); return ($? >> 8) . " $said" }
like(release('v0.0.1'), qr/^1 the tag v0\.0\.1 is not v\Q$version\E/, 'another tag');
spew("$tree/CHANGELOG.md", "# Changes\n\n## $version (not yet released)\n\n- A thing.\n");
like(release("v$version"), qr/^1 CHANGELOG\.md calls \Q$version\E not yet released/, 'not yet released');
spew("$tree/CHANGELOG.md", "# Changes\n\n## 0.0.1\n\n- A thing.\n");
like(release("v$version"), qr/^1 CHANGELOG\.md says nothing of \Q$version\E/, 'no changes');
ok(!-e "$tree/build", '... and nothing is made');

done_testing();
