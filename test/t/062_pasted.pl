# Blocks of the runbooks, and the commands that diagnose.sh prints, pasted as a whole: whichever command fails, nothing that changes
# anything runs after it, and the shell is ready for the next line. docker and preserve-state.sh are stand-ins; no database is needed.
use strict;
use warnings FATAL => 'all';

use Documents   qw(blocks read_text);
use GalleryTest qw(root);
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $root = root();
my $folder = PostgreSQL::Test::Utils::tempdir();
mkdir "$folder/$_" or die $! foreach qw(bin home gallery_revert gallery_revert/scripts);
sub write_file { my ($file, $text) = @_; open my $out, '>', $file or die "$file: $!"; print $out $text; close $out; return }
# Writes down what it was asked for, and fails the time that $FAIL_AT says. What is asked of the database has an answer.
my $stand_in = <<'SH';
#!/bin/bash
printf '%s\n' "${0##*/} $*" >>"$COMMANDS"
case $* in "exec -i "* | "cp - "*) cat >/dev/null ;; esac
[ "$(wc -l <"$COMMANDS")" != "${FAIL_AT:-0}" ] || exit 1
case $* in *--answer*) echo 'roll_back v2.7.5' ;;
	*PG_MAJOR*) echo 14 ;; *Server.Arch*) echo amd64 ;; *FLUSHDB*) echo OK ;; *inspect*) echo image ;; esac
SH
foreach my $program ('bin/docker', map { "gallery_revert/scripts/$_.sh" } qw(preserve-state advise))
{
	write_file("$folder/$program", $stand_in);
	chmod 0755, "$folder/$program" or die $!;
}
write_file("$folder/gallery_revert/scripts/diagnose.sh", "#!/bin/sh\n");
chmod 0755, "$folder/gallery_revert/scripts/diagnose.sh" or die $!;

# The archive that is copied into the container, a folder of preserve-state.sh, and one of Immich's backups.
mkdir "$folder/saved" or die $!;
write_file("$folder/saved/immich.dump", 'dump');
IPC::Run::run([ 'tar', '-czf', "$folder/gallery_revert-1.0.0-pg14-amd64.tar.gz", '-C', $folder, 'saved' ]) or die;
my $make = 'cd "$0/saved" && sha256sum immich.dump >MANIFEST && echo "SELECT 1;" | gzip >"$0/backup.sql.gz"';
IPC::Run::run([ 'bash', '-c', $make, $folder ]) or die;

# What a block would not do again for nothing. A look is not among it.
my $changes = qr/ (?:stop|rm|up|pull|down)\b|preserve-state|ALTER|DROP|CREATE|FLUSHDB|psql -X -q\b|(?:gallery_revert|immich_repair_\w+)\(/;

# Returns the commands that ran, what was said, and .env with its copies.
sub paste
{
	my ($text, $fail_at) = @_;
	unlink glob "$folder/.env* $folder/commands";
	write_file("$folder/commands", '');
	write_file("$folder/.env", "IMMICH_VERSION=v3.1.0\nUPLOAD_LOCATION=.\n");
	local %ENV = (%ENV, PATH => "$folder/bin:$ENV{PATH}", HOME => "$folder/home", COMMANDS => "$folder/commands", FAIL_AT => $fail_at,
		saved => "$folder/saved", backup => "$folder/backup.sql.gz", renamed => 'immich_before', old => 'immich_before');
	my $said = '';
	IPC::Run::run([ 'bash' ], '<', \"$text\necho the shell goes on\n", '>&', \$said, init => sub { chdir $folder or die $! },
		IPC::Run::timeout(60));
	return ([ split /\n/, slurp_file("$folder/commands") ], $said);
}

my ($count, %tried) = (0);
sub check
{
	my ($name, $text) = @_;
	return if $tried{$text}++;
	my ($all, $said) = paste($text, 0);
	like($said, qr/^the shell goes on$/m, "$name: waits for nothing");
	foreach my $i (1 .. @$all)
	{
		# The two ends of a pipe run at the same time, in either order.
		my ($before, $this, $after) = map { $_ // '' } $i > 1 ? $all->[ $i - 2 ] : '', @$all[ $i - 1, $i ];
		next if $this =~ /pg_restore/ || ($this =~ /exec -i \S+ psql/ && "$before $after" =~ /pg_restore/);
		$count++;
		my ($ran, $said) = paste($text, $i);
		is_deeply([ grep { /$changes/ } @$ran[ $i .. $#$ran ] ], [], "$name: \"" . substr($all->[ $i - 1 ], 0, 70) . '" fails');
		like($said, qr/^the shell goes on$/m, "$name: and the shell goes on");
	}
	return;
}

foreach my $page ('docs/recovery.md', 'docs/switching-back.md')
{
	check("$page, line $_->{line}", $_->{text})
	  foreach grep { $_->{language} eq 'sh' && $_->{text} !~ /exec -it/ } blocks(read_text("$root/$page"));
}
foreach my $log (glob "$root/test/logs/*.log")
{
	my $said = '';
	IPC::Run::run([ 'sh', "$root/scripts/diagnose.sh", $log ], '>', \$said, '2>&1');
	my $name = $log =~ s{.*/}{}r;
	# Without a terminal of its own this shell cannot be asked for a password.
	check("$name, next", $_ =~ s/-it /-t /gr =~ s/^ +//mgr) foreach $said =~ /^   next[^:\n]*:\n((?:     .*\n)+)/mg;
	check("$name, before", $_ =~ s/^ +//mgr) foreach $said =~ /^Before you change the database[^:]*:\n((?:    .*\n)+)/mg;
}

# A copy of .env is never written over: two of the same day, with the same tag.
{
	my ($block) = map { $_->{text} } grep { $_->{text} =~ /^\s*none\\ v/m } blocks(read_text("$root/docs/recovery.md"));
	# Nor does an answer from before stand in for one that fails to come.
	my ($ran) = paste("answer='roll_back v2.7.5'\n$block", 1);
	is_deeply([ grep { /compose/ } @$ran ], [], 'an older answer is not used');
	my (undef, $said) = paste($block . "\necho edited >> .env\n" . $block, 0);
	my %copies = map { $_ => slurp_file($_) } glob "$folder/.env.before*";
	is(scalar keys %copies, 2, 'pinned twice: two copies');
	like(join('--', values %copies), qr/IMMICH_VERSION=v3\.1\.0/, 'pinned twice: the first .env is one of them');
	is(scalar(() = $said =~ /^\.env as it was: \.env\.before/mg), 2, 'pinned twice: their names are said');
}
note("$count failures in ", scalar(keys %tried), ' pasted texts');
cmp_ok($count, '>=', 30, 'enough was tried');
done_testing();
