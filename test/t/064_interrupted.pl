# What comes in between while scripts/switch-back is at work: a signal, a lost terminal, a disk that fills up, a state that is damaged,
# another answer than yes. Nothing that is not known to be unchanged is called unchanged, and the same command goes on when it is mended.
use strict;
use warnings FATAL => 'all';

use Installation;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

prepare();
my ($status, $out);
sub same { my ($what) = @_; return ok(dump_of() eq $place->{before} && files_of($place) eq $place->{files}, $what) }
sub back
{
	my ($what, %option) = @_;
	($status, $out) = switch_back($place, arguments => ['--undo'], answers => "yes\n", %option);
	is($status, 0, "$what, --undo") or diag($out, log_of($place));
	write_file("$place->{state}/undone", $out =~ s/^ {3}//mgr);
	is(slurp_file("$place->{state}/running/immich-server"), "ghcr.io/open-noodle/gallery-server:v4.57.0\n", "$what, --undo: Gallery runs");
	return same("$what, --undo: database and files are as they were");
}

# A signal, as Ctrl-C or a terminal that is closed send it to all that runs there. Before anything has changed:
$place = installation();
foreach (
	[ 'preserve', qr/^ *2\. preserve .*\n/m, HUP => 129 ],
	[ 'rehearse', qr/^ *4\. rehearse .*\n/m, TERM => 143 ],
	[ 'the first question', qr/Proceed\? \[yes\/no\]/, INT => 130 ],
	[ 'the second question', qr/Type the name/, HUP => 129 ])
{
	my ($where, $until, $signal, $expected) = @$_;
	($status, $out) = switch_back($place, until => $until, signal => $signal, answers => $where =~ /second/ ? "yes\n" : '');
	is($status, $expected, "$signal at $where: exit status") or diag($out);
	like(flat($out), qr/Interrupted \($signal\)\..*Nothing of yours has changed.*Run the same command again: it goes on/,
		"$signal at $where: says what comes next");
	same("$signal at $where: nothing has changed");
	next if $where eq 'preserve';
	($status, $out) = switch_back($place, arguments => ['--undo'], answers => '');
	is($status, 0, "$signal at $where: --undo") or diag($out);
	like($out, qr/nothing to undo: nothing of yours was changed/, "$signal at $where: --undo says that there is nothing");
	same("$signal at $where: --undo changes nothing");
}
# And after that.
foreach ([ 'revert', INT => 130 ], [ 'start', HUP => 129 ])
{
	my ($stage, $signal, $expected) = @$_;
	($status, $out) = switch_back($place, until => qr/^ *\d+\. $stage .*\n/m, signal => $signal);
	is($status, $expected, "$signal at $stage: exit status") or diag($out);
	like(flat($out), qr/Changed so far: .*Run the same command again to go on; with --undo/, "$signal at $stage: says what has changed");
	gallery_ends();
}
($status, $out) = switch_back($place);
is($status, 0, 'after all these signals it comes to its end') or diag($out, log_of($place));
switched($place, 'after signals');
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^switch_back_')), '0',
	'... and nothing is at work any more');
back('after signals');
($status, $out) = switch_back($place, arguments => ['--undo'], answers => '');
is($status . ($out =~ /nothing to undo/ ? ' nothing' : $out), '0 nothing', 'a second --undo');
my $reverted = $node->safe_psql('postgres', q(SELECT datname FROM pg_database WHERE datname ~ '^immich_reverted_'));
like(slurp_file("$place->{state}/undone"), qr/^  DROP DATABASE "$reverted";$/m, 'the reverted database is kept, and named');
$node->safe_psql('postgres', qq(DROP DATABASE "$reverted"));
gallery_runs($place);
($status, $out) = switch_back($place);
is($status, 0, 'after --undo the whole way once more') or diag($out, log_of($place));
like($out, qr/^ *4\. rehearse +the whole.*Proceed\?.*Type the name/ms, '... with everything asked again');
switched($place, 'once more');

# Answers, as people type them.
$place = installation();
foreach ([ "maybe\n", qr/neither yes nor no/ ], [ "\n", qr/Not done/ ], [ '', qr/Not done/ ], [ "NO\n", qr/Not done/ ],
	[ " Yes \nImmich\n", qr/not its name, which is written immich/ ])
{
	my ($answers, $message) = @$_;
	($status, $out) = switch_back($place, answers => $answers);
	is($status, 3, "the answer $answers") or diag($out);
	like(flat($out), qr/$message.*Nothing of yours has changed.*Run the same command again when you like/, '... says what comes next');
}
same('... nothing has changed');
# What was found on another day holds no more.
my ($file) = glob "$place->{base}/home/immich-preserved/switch-back-immich/state";
write_file($file, slurp_file($file) =~ s/^begun=\d+$/begun=1000000000/mr);
($status, $out) = switch_back($place, answers => " Y\n immich \n", environment => { TZ => 'Pacific/Kiritimati' });
is($status, 0, 'yes in another way, blanks, another time zone') or diag($out, log_of($place));
like($out, qr/this begins anew.*^ *4\. rehearse +the whole/ms, '... and what is of another day is found anew');
switched($place, 'other answers');

# The state is half there, of another release, gone, or not ours to read: what has changed is not known, and nobody says that it is nothing.
$place = installation();
switch_back($place, kill => 'after compose rm -sf');
gallery_ends();
($file) = glob "$place->{base}/home/immich-preserved/switch-back-immich/state";
my $state = slurp_file($file);
my %damage = (
	'half of it' => [ sub { write_file($file, substr $state, 0, length($state) / 2) }, qr/is damaged/ ],
	'empty' => [ sub { write_file($file, '') }, qr/is damaged/ ],
	'another release' => [ sub { write_file($file, $state =~ s/(gallery_revert state) 1/$1 2/r) }, qr/is of another release/ ],
	'gone' => [ sub { unlink $file }, qr/is gone/ ],
	'not ours' => [ sub { chmod 0, $file }, qr/cannot be read: .*sudo/ ]);
my $files = files_of($place);
foreach my $what (sort keys %damage)
{
	my ($damage, $message) = @{ $damage{$what} };
	foreach my $arguments ([], ['--undo'], [qw(--yes --json)])
	{
		$damage->();
		($status, $out) = switch_back($place, arguments => $arguments);
		is($status, 4, "the state, $what, @$arguments: stops") or diag($out);
		if ("@$arguments" =~ /json/) { $out = JSON::PP::decode_json((split /\n/, $out)[-1])->{text} }
		else { like(flat($out), qr/This call has changed nothing.*restore the last dump/, '... says the ways') }
		like(flat($out), $message, '... says why');
		chmod 0600, $file;
		unlink $file;
		write_file($file, $state);
	}
}
ok(dump_of() eq $place->{before} && files_of($place) eq $files, 'with a damaged state nothing is changed');
back('the state is whole again');

# Nothing is known of an earlier call: not that there was none.
($status, $out) = switch_back($place, arguments => [ '--undo', '--output', "$place->{base}/elsewhere" ], answers => '');
is($status, 1, '--undo where no call was') or diag($out);
like(flat($out), qr/no earlier call of switch-back is known here.*with sudo, by another user, or with --output/, '... says where to look');
ok(!-e "$place->{base}/elsewhere", '... and makes nothing');

# The disk of the state fills up: what wanted to be written down has not begun.
$place = installation();
foreach (
	[ 'before docker pull|pull -q', 1, qr/cannot be written down.*Make room.*Nothing of yours has changed/ ],
	[ 'before compose rm -sf', 4, qr/cannot be written down.*Changed so far: compose file and \.env/ ],
	[ q(before dbname='immich' .*gallery.revert_token), 4, qr/cannot be written down.*Changed so far: .*containers/ ],
	[ 'before up -d --wait', 4, qr/cannot be written down.*Changed so far: .*the database/ ])
{
	my ($at, $expected, $message) = @$_;
	switch_back($place, kill => $at);
	ok(-e "$place->{state}/killed", "the disk fills up $at");
	gallery_ends() if !-e "$place->{state}/running/immich-server";
	my ($folder) = glob "$place->{base}/home/immich-preserved/switch-back-immich";
	unlink "$folder/state.new";
	symlink '/dev/full', "$folder/state.new" or die $!;
	($status, $out) = switch_back($place);
	is($status, $expected, '... stops') or diag($out);
	like(flat($out), $message, '... says so');
	unlike($out, qr/write error|couldn't/, '... and nothing else');
	unlink "$folder/state.new" or die $!;
	next if $expected == 1;
	# Or it is so full that not even the log can be gone on with.
	rename "$folder/log", "$folder/log.old" or die $!;
	symlink '/dev/full', "$folder/log" or die $!;
	($status, $out) = switch_back($place);
	is($status, $expected, '... stops at its beginning') or diag($out);
	like(flat($out), qr/cannot write into .*Is its disk full.*Changed so far/, '... and says what has changed before');
	rename "$folder/log.old", "$folder/log" or die $!;
}
($status, $out) = switch_back($place);
is($status, 0, '... and goes on when there is room') or diag($out, log_of($place));
switched($place, 'the disk of the state');

# That of the copies, in the middle of a dump; that of the files; that of the server, wherever it writes much.
$place = installation();
foreach (
	[ 'the dump', 1, qr/pg_dump did not finish.*full disk.*Nothing of yours has changed/, limit => 40 ],
	[ 'the rehearsal', 1, qr/No space left.*No room\?.*Nothing of yours has changed/,
		full => q(dbname='gallery_revert_rehearsal.*CREATE TABLE public) ],
	[ 'the last copy', 4, qr/pg_dump did not finish.*full disk.*Changed so far/, limit => 40, kill => 'after compose rm -sf' ],
	[ 'the revert', 4, qr/No space left.*the revert was refused; the database is as it was/,
		full => q(dbname='immich' .*gallery.revert_token) ])
{
	my ($where, $expected, $message, %option) = @$_;
	if (my $kill = delete $option{kill}) { switch_back($place, kill => $kill); gallery_ends() }
	($status, $out) = switch_back($place, %option);
	is($status, $expected, "no space for $where: stops") or diag($out, log_of($place));
	like(flat($out), $message, '... says so');
	ok(dump_of() eq $place->{before}, '... and the database is as it was');
	is($node->safe_psql('postgres', q(SELECT string_agg(datname, ' ') FROM pg_database WHERE datname ~ '^(immich.|gallery_revert|preserve)')),
		'', '... without a copy beside it');
}
($status, $out) = switch_back($place);
is($status, 0, '... and goes on when there is room') or diag($out, log_of($place));
($status, $out) = switch_back($place, arguments => ['--undo'], answers => "yes\n", full => q(dbname='immich_undo.*CREATE TABLE public));
is($status, 4, 'no space for the way back: stops') or diag($out);
like(flat($out), qr/No space left.*cannot be restored.*Changed so far: .*undo/, '... says so');
is($node->safe_psql('immich', q(SELECT to_regclass('public.shared_space') IS NULL)), 't', '... with the database of now');
my $fake = PostgreSQL::Test::Utils::tempdir();
write_file("$fake/df", "#!/bin/sh\necho '/dev/sda1 1000 900 100 90% /'\n");
chmod 0755, "$fake/df" or die $!;
($status, $out) = switch_back($place, arguments => ['--undo'], answers => "yes\n",
	environment => { PATH => "$root/test/lib/bin:$fake:$ENV{PATH}" });
is($status, 4, 'too little space for the way back: stops') or diag($out);
like(flat($out), qr/not enough room to restore the copy beside the database.*Make room/, '... before it begins');
back('there is room');
$place = installation();
symlink '/dev/full', "$place->{folder}/.docker-compose.yml.switch-back-new" or die $!;
($status, $out) = switch_back($place);
is($status, 4, 'no space for the compose file: stops') or diag($out);
like(flat($out), qr/cannot write \S+docker-compose\.yml/, '... says so');
same('... with database and files as they were');
($status, $out) = switch_back($place);
is($status, 0, '... and goes on') or diag($out);
switched($place, 'the disk of the files');
# No room for anything at all.
$place = installation();
($status, $out) = switch_back($place, limit => 0);
is($status, 1, 'no space for a word: stops') or diag($out);
like(flat($out), qr/no room in/, '... says so');

# The power fails at each thing that is written down, before it has its name.
$place = installation();
write_file("$fake/sync", <<'SH');
#!/bin/sh
echo >>"$DOC_STATE/syncs"
[ "$(wc -l <"$DOC_STATE/syncs")" = "$(cat "$DOC_STATE/at")" ] || exit 0
: >"$DOC_STATE/killed"
pkill -KILL -s "$(ps -o sid= -p $$ | tr -d ' ')"
SH
chmod 0755, "$fake/sync" or die $!;
unlink "$fake/df";
my ($calls, @stopped) = (0);
foreach my $at (1 .. 60)
{
	# Each call gets a little further.
	write_file("$place->{state}/at", "$at\n");
	unlink "$place->{state}/syncs";
	($status, $out) = switch_back($place, environment => { PATH => "$fake:$root/test/lib/bin:$ENV{PATH}" });
	gallery_ends() if !-e "$place->{state}/running/immich-server";
	if (-e "$place->{state}/killed") { $calls++; next }
	last if $status == 0;
	push @stopped, "exit $status\n$out";
}
is($status, 0, 'killed at each thing that is written down, it comes to its end') or diag($out, log_of($place));
note("$calls calls were killed");
cmp_ok($calls, '>=', 5, '... and was killed often');
is(join('', @stopped), '', '... and stopped by nothing else');
switched($place, 'killed at each thing that is written down');
back('killed at each thing that is written down');

done_testing();
