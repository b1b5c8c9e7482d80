# docs/reference.md lists every function, setting, refusal and exit code that there is, and none that there is not; links between
# the documents lead somewhere; commands and files that the documents name exist.
use strict;
use warnings FATAL => 'all';

use Documents qw(anchors links read_text table tested_documents);
use File::Basename qw(dirname);
use GalleryTest qw(new_node root);
use Test::More;

my $root = root();
my $reference = read_text("$root/docs/reference.md");
my $node = new_node('reference');
$node->safe_psql('postgres', 'CREATE EXTENSION gallery_revert');
sub code { return $_[0] =~ /`([^`]*)`/ ? $1 : '' }
sub lines { my ($sql) = @_; return [ split /\n/, $node->safe_psql('postgres', $sql) ] }

# Functions, their arguments and their columns.
my @functions = map { code($_->[0]) . ' -> ' . code($_->[1]) } table($reference, 'Functions');
is_deeply([ sort @functions ], [ sort @{ lines(<<'SQL') } ], 'functions');
SELECT p.proname || '('
  || coalesce((SELECT string_agg(replace(a, '::text', ''), ', ')
      FROM unnest(string_to_array(pg_get_function_arguments(p.oid), ', ')) a WHERE a NOT LIKE 'OUT %'), '')
  || ') -> '
  || coalesce((SELECT string_agg(n, ', ' ORDER BY o)
      FROM unnest(p.proargnames, p.proargmodes) WITH ORDINALITY AS t(n, m, o) WHERE m = 'o'), 'text')
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'gallery_revert'
SQL

# Settings and their defaults, in a session that has loaded the module.
my @settings = map { code($_->[0]) . ' = ' . ($_->[1] eq 'empty' ? '' : code($_->[1])) } table($reference, 'Settings');
is_deeply([ sort @settings ], [ grep { !/^\s*$|^\d+$/ } @{ lines(<<'SQL') } ], 'settings and defaults');
SELECT count(*) FROM gallery_revert_manifest();
SELECT name || ' = ' || current_setting(name) FROM pg_settings WHERE name LIKE 'gallery.%' AND setting = boot_val ORDER BY name COLLATE "C"
SQL

# Refusals. The server's names of SQLSTATEs come from its own header.
my @refusals = table($reference, 'Refusals');
my @rows = map { { code => $_->[0], message => $_->[1], advice => $_->[2] } } @refusals;
cmp_ok(scalar @rows, '>=', 25, 'refusals read');
is_deeply([ map { $_->{message} } grep { length($_->{advice} // '') < 5 } @rows ], [], 'each says what to do');
chomp(my $headers = `$ENV{PG_CONFIG} --includedir-server`);
my %state = read_text("$headers/utils/errcodes.h") =~ /#define ERRCODE_(\w+)\s+MAKE_SQLSTATE\(([^)]*)\)/g;
s/[',\s]//g foreach values %state;

# Where the sources raise one: the code, then the message, an expression of which the literals count. Each must be part of a row.
my (%raised, @unlisted, $messages);
foreach my $file (glob "$root/src/*.cpp $root/src/*/*.cpp")
{
	my $source = read_text($file);
	my $string = qr/"(?:[^"\\]|\\.)*"/s;
	my @found;
	# Whole classes of codes are only told apart, not raised.
	my $code = qr/(?<!ERRCODE_TO_CATEGORY\()ERRCODE_(\w+)/;
	my $part = qr/$string|\((?:[^()"]|$string|\((?:[^()"]|$string)*\))*\)|[^,()"]/;
	while ($source =~ /$code,\s*((?:$part)*)/g) { push @found, [ $1, $2 ] }
	# A finding whose code and message are set apart.
	while ($source =~ /sqlstate = ERRCODE_(\w+);(.*?)return /gs)
	{
		my ($name, $part) = ($1, $2);
		push @found, map { [ $name, $_ ] } $part =~ /\.message = ($string);/g;
		push @found, [ $name, '' ];
	}
	foreach my $found (@found)
	{
		my ($name, $expression) = @$found;
		my $code = $state{$name} or die "no such code: $name\n";
		$raised{$code} = 1;
		# Short pieces are plurals, quotes and the like; one asks the server for a name.
		foreach my $piece (grep { length > 10 && !/^SELECT / }
			map { s/^"|"$//gr =~ s/\\(.)/$1/gr =~ s/^[\s"]+|[\s"]+$//gr } $expression =~ /$string/g)
		{
			$messages++;
			$piece =~ s/client is$/clients are/;
			push @unlisted, "$code $piece (" . $file =~ s/.*src/src/r . ')'
				if !grep { $_->{code} eq $code && index($_->{message}, $piece) >= 0 } @rows;
		}
	}
}
cmp_ok($messages, '>=', 25, 'messages read from the sources');

# And none that no source raises: some file's literals must have every word of a row.
sub words { return map { lc } $_[0] =~ /[A-Za-z_]{2,}/g }
my @literals = map {
	my %word = map { $_ => 1 } map { words($_) } read_text($_) =~ s/'"'//gr =~ /"((?:[^"\\]|\\.)*)"/gs;
	\%word
} glob "$root/src/*.cpp $root/src/*/*.cpp";
my @stale = grep {
	my @words = words($_->{message});
	!grep { my $file = $_; !grep { !$file->{$_} && !/^(?:clients|migrations|are)$/ } @words } @literals
} @rows;
# But for the server's own, which it must say.
$node->safe_psql('postgres', 'CREATE ROLE nobody');
my (undef, undef, $denied) = $node->psql('postgres', 'SET ROLE nobody; SELECT gallery_revert()');
my ($own) = $denied =~ /ERROR:  (permission denied for function )gallery_revert$/m;
is(scalar(grep { $_->{code} eq '42501' && $_->{message} eq ($own // '') . '...' } @rows), 1, 'who is not granted is told so');
@stale = grep { $_->{message} ne ($own // '') . '...' } @stale;
is_deeply([ map { $_->{message} } @stale ], [], 'every listed message is one of the sources');
is_deeply(\@unlisted, [], 'every message of the sources is listed with its SQLSTATE');
$raised{53200} = 1 if read_text("$root/src/backend/guard.cpp") =~ /sqlstate = ERRCODE_OUT_OF_MEMORY/;
$raised{XX000} = 1;
is_deeply([ sort keys %raised ], [ sort keys %{ { map { $_->{code} => 1 } @rows } } ], 'the SQLSTATEs are the same');

# What the regression tests show of them.
my (@shown, @unknown);
push @shown, read_text($_) =~ /^code    \| (\w{5})\nmessage \| (.*?)\s*$/mg foreach "$root/expected/refusals.out";
push @shown, map { ('.....', $_) } map { read_text($_) =~ /^ERROR:  (.*)$/mg } map { "$root/expected/$_.out" } qw(token revert advice);
while (my ($code, $message) = splice @shown, 0, 2)
{
	my @fits = grep {
		my $pattern = join '.*', map { quotemeta } split /\s*\.\.\.\s*/, $_->{message}, -1;
		# "1 other client is", "2 other clients are".
		$pattern =~ s/(migration|client)s\b/$1s?/; $pattern =~ s/\\ are\\ /\\ (?:is|are)\\ /;
		$message =~ /^$pattern$/ && $_->{code} =~ /^$code$/
	} @rows;
	push @unknown, "$code $message" if @fits != 1;
}
is_deeply(\@unknown, [], 'every error of the regression tests is in exactly one row');

# Exit codes. Each program has a table whose head has its name.
sub exit_codes
{
	my ($program) = @_;
	my ($table) = $reference =~ /^\| (?:`[^`|]*`, )*`\Q$program\E`(?:, `[^`|]*`)* \|.*\n\| ---.*\n((?:\|.*\n)+)/m or return [];
	return [ sort { $a <=> $b } $table =~ /^\| (\d+) \|/mg ];
}
sub distinct { my %seen; return [ sort { $a <=> $b } grep { !$seen{$_}++ } @_ ] }
my $entrypoint = read_text("$root/docker/immich-server/entrypoint.sh");
is_deeply(exit_codes('entrypoint.sh'), distinct($entrypoint =~ /\bfail (\d+) /g), 'exit codes of entrypoint.sh');
my $preserve = read_text("$root/scripts/preserve-state.sh");
is_deeply(exit_codes('scripts/preserve-state.sh'),
	distinct($preserve =~ /\bexit (\d+)\b/g, $preserve =~ /interrupted \w+ (\d+)'/g), 'exit codes of preserve-state.sh');
is_deeply(exit_codes('scripts/diagnose.sh'),
	distinct(read_text("$root/scripts/diagnose.sh") =~ /\bexit (\d+)\b/g), 'exit codes of diagnose.sh');
my $report = read_text("$root/scripts/report.sh");
is_deeply(exit_codes('scripts/report.sh'),
	distinct($report =~ /\bexit (\d+)\b/g, $report =~ /\bstatus=(\d+)\b/g), 'exit codes of report.sh');
my $guided = read_text("$root/scripts/guided/command.sh");

# The guided commands: stages, options, manual, completion. The first one's table has the options of both, the second one's its own.
my (%help, %listed);
foreach my $command (qw(switch-back recover))
{
	my $script = read_text("$root/scripts/$command");
	is_deeply(exit_codes("scripts/$command"),
		distinct(0, $guided =~ /\bstatus_\w+=(\d+)\b/g, $guided =~ /interrupted \w+ (\d+)'/g), "exit codes of $command");
	my ($stages) = $script =~ /^stages=\((.*)\)$/m;
	is_deeply([ map { $_->[0] =~ s/ /_/gr } table($reference, $command) ], [ split / /, $stages ], "the stages of $command, in order");
	my ($usage) = $script =~ /^usage: (.*?)^USAGE$/ms;
	# A line may have several, and so may a row.
	my %named = map { $_ => 1 } $usage =~ /(--[a-z-]+)/g;
	$help{$command} = [ sort keys %named ];
	my ($section) = $reference =~ /^## \Q$command\E\n(.*?)^## /ms;
	$listed{$command} = [ map { /`(--[a-z-]+)/g } $section =~ /^\| ((?:`-[^`]*`(?:, )?)+) \|/mg ];
	my $manual = read_text("$root/docs/$command.1") =~ s/\\-/-/gr;
	my ($names) = read_text("$root/scripts/completion/$command") =~ /compgen -W '([^']*)'/;
	is_deeply([ sort grep { /^--/ } split ' ', $names ], $help{$command}, "the options of $command, completed");
	is_deeply([ grep { $manual !~ /\Q$_\E(?![a-z-])/ } @{ $help{$command} } ], [], '... and in the manual');
	is(`$root/$command --help`, "usage: $usage", "gallery_revert/$command starts it");
}
my ($way_back, $way_out) = map { my %has = map { $_ => 1 } @{ $help{$_} }; \%has } qw(switch-back recover);
my ($without) = $reference =~ /^The options of its own; the others are those of switch-back, without (.*?):$/ms;
is_deeply([ sort @{ $listed{'switch-back'} } ], [ sort keys %$way_back ], 'the options of switch-back');
is_deeply([ sort @{ $listed{recover} } ], [ sort grep { !$way_back->{$_} } keys %$way_out ], 'the options that recover alone has');
is_deeply([ sort $without =~ /`(--[a-z-]+)`/g ], [ sort grep { !$way_out->{$_} } keys %$way_back ], 'the options that it does not have');

# Links: a file, and a heading in it.
my @all = (tested_documents($root), map { s{^\Q$root\E/}{}r } glob "$root/CHANGELOG.md $root/bench/*.md $root/bench/*/*.md");
my ($checked, @broken) = (0);
foreach my $document (@all)
{
	foreach my $link (grep { !/^https?:/ } links(read_text("$root/$document")))
	{
		my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
		my $target = $path eq '' ? $document : dirname($document) . "/$path";
		$checked++;
		if (!-e "$root/$target") { push @broken, "$document: $link"; next }
		push @broken, "$document: $link (no such heading)" if defined $anchor && !grep { $_ eq $anchor } anchors(read_text("$root/$target"));
	}
}
cmp_ok($checked, '>=', 20, 'links read');
is_deeply(\@broken, [], 'every link leads somewhere');

# What the documents name in passing: targets of make, suites, and files of this project.
my $makefile = read_text("$root/Makefile");
my %target = map { $_ => 1 } 'install', 'all', 'installcheck', map { split ' ' } $makefile =~ /^\.PHONY: (.*)$/mg;
my ($named, @missing) = (0);
foreach my $document (grep { !/^bench.results/ } @all)
{
	foreach my $text (read_text("$root/$document") =~ /`([^`\n]+)`/g)
	{
		foreach my $target ($text =~ /\bmake ([a-z][\w-]*)/g)
		{
			$named++;
			push @missing, "$document: make $target" if !$target{$target};
		}
		my $ours = qr{(?:\.ci|bench|docker|docs|expected|packaging|scripts|sql|src|test|tools)/};
		foreach my $path ($text =~ m{(?<![\w/.~-])((?:gallery_revert/)?$ours[\w./*-]*)}g)
		{
			$named++;
			my $file = "$root/" . $path =~ s{^gallery_revert/}{}r;
			push @missing, "$document: $path" if !(() = glob $file) || ($file !~ /\*/ && !-e $file);
		}
		foreach my $suite ($text =~ m{tools/suite (\w+)}g)
		{
			push @missing, "$document: tools/suite $suite" if $suite !~ /^(unit|regress|isolation|tap)$/;
		}
	}
}
cmp_ok($named, '>=', 30, 'names read');
is_deeply(\@missing, [], 'what is named exists');

# The archive to unpack is the one that packaging/dist makes.
my ($version) = read_text("$root/META.json") =~ /^   "version": "(.*)",$/m;
my @archives = read_text("$root/docs/switching-back.md") =~ /\bgallery_revert-([\d.]*\d)/g;
is_deeply([ grep { $_ ne $version } @archives ], [], 'the archive is of this version');
cmp_ok(scalar @archives, '>=', 1, '... and is named');

# Each promise of the README has a command that shows it, and what it names in brackets is a test of that suite.
my @promises = table(read_text("$root/README.md"), 'What it promises, and what shows it');
cmp_ok(scalar @promises, '>=', 8, 'promises read');
foreach my $promise (@promises)
{
	my ($text, $shown) = @$promise;
	like($shown, qr/`(?:tools\/suite \w+[^`]*|make [\w-]+|packaging\/[\w-]+[^`]*)`/, 'a command shows: ' . substr $text, 0, 50);
	if (my ($suite, $tests) = $shown =~ /tools\/suite (\w+)` \(([\w, ]+)\)/)
	{
		is_deeply([ grep { !-e "$root/sql/$_.sql" } split /, /, $tests ], [], "... and there are $tests");
	}
}

done_testing();
