# scripts/switch-back on a real cluster, with a stand-in for docker: the whole way with two answers; killed at each stage, before and after
# each command that changes something, and gone on with; taken back from each stage; and what stops it, before anything has changed.
use strict;
use warnings FATAL => 'all';

use Documents qw(blocks read_text);
use Installation;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

prepare();

# The whole way.
$place = installation();
my ($status, $out) = switch_back($place);
is($status, 0, 'the whole way') or do { diag($out, log_of($place)); BAIL_OUT('no') };
switched($place, 'the whole way');
my @asked = $out =~ /(\[yes\/no\]|Type the name)/g;
is(scalar @asked, 2, 'two answers');
# But for the lines of the user's own files.
is(join('', grep { length > 81 && !/^      [-+]/ } split /^/, $out =~ s/\Q$place->{base}\E/~/gr), '', 'within 80 columns');
like($out, qr/10 pets with 94 faces|pets? with \d+ faces/, 'the losses, in words');
my @written = map { slurp_file($_) } glob "$place->{base}/home/immich-preserved/switch-back-immich/{log,state} $place->{state}/docker.log";
is(scalar @written, 3, 'log, state and the commands of docker');
unlike("$out@written", qr/$password|s3cret-word/, '... hold no secret, nor does what is shown');

# The page shows it, with some lines left out. Where a line ends depends on the folders' names.
my $plain = sub {
	my $text = $_[0] =~ s/\Q$place->{folder}\E/\/opt\/immich/gr =~ s/\Q$place->{base}\E\/home/\/root/gr =~ s/immich-\d+T\d+Z/immich-N/gr
	  =~ s/\s+/ /gr;
	return $text =~ s/\b\d+(?:\.\d+)? s\b/N s/gr =~ s/about \d+ min/about N min/gr =~ s/PostgreSQL \d+, \d+ MB/PostgreSQL N, N MB/r
	  =~ s/-pg\d+-/-pgN-/r =~ s/\] yes\b/]/r =~ s/\): immich\b/):/r;
};
my ($transcript) = grep { $_->{language} eq 'text' && $_->{text} =~ /^ 1\. find/m } blocks(read_text("$root/docs/switching-back.md"));
my @parts = split /^ *\.\.\.\n/m, $transcript->{text} =~ s/\A\$ .*\n//r;
my ($printed, $position) = ($plain->($out), 0);
foreach my $part (map { $plain->($_) } @parts)
{
	my $found = index $printed, $part, $position;
	cmp_ok($found, '>=', $position, 'the page shows what it prints, from "' . substr($part, 0, 40) . '"') or diag($part, $printed);
	$position = $found if $found >= 0;
}
cmp_ok(scalar @parts, '>=', 2, '... in parts');

($status, $out) = switch_back($place, answers => '');
is($status, 0, 'again: nothing is done twice');
like($out, qr/^ *\d+\. start +done already$/m, '... all is done already');

# Gallery once more, with the same files: that it was answered once does not count.
$node->safe_psql('postgres', 'DROP DATABASE immich WITH (FORCE)');
$node->safe_psql('postgres', 'CREATE DATABASE immich TEMPLATE fixture');
write_file("$place->{folder}/.env", slurp_file("$place->{folder}/.env") =~ s/^IMMICH_VERSION=.*/IMMICH_VERSION=v4.57.0/mr);
write_file("$place->{folder}/docker-compose.yml", slurp_file(glob "$place->{base}/home/immich-preserved/switch-back-immich/files/1.old"));
write_file("$place->{state}/running/immich-server", "ghcr.io/open-noodle/gallery-server:v4.57.0\n");
($status, $out) = switch_back($place, answers => "no\n");
is($status, 3, 'Gallery once more: it asks again') or diag($out);
like($out, qr/begins anew.*rehearse +the whole.*Proceed\?/s, '... and has rehearsed before');

# What stops it before anything has changed, with what to do.
my $fake = PostgreSQL::Test::Utils::tempdir();
write_file("$fake/df", "#!/bin/sh\necho '/dev/sda1 1000 900 100 90% /'\n");
chmod 0755, "$fake/df";
$node->safe_psql('postgres', q(CREATE ROLE plain LOGIN));

stopped('no', 3, qr/stopped\..*Nothing of yours has changed/s, answers => "no\n");
stopped('another name', 3, qr/stopped\..*Nothing of yours has changed/s, answers => "yes\npostgres\n");
stopped('no rights in the database', 1, qr/role plain is no superuser.*gallery_revert_script\(\)/s,
	prepare => sub {
		$node->safe_psql('immich', 'GRANT ALL ON ALL TABLES IN SCHEMA public TO plain');
		change('.env', sub { s/^DB_USERNAME=.*/DB_USERNAME=plain/m });
	});
stopped('no rights on the files', 1, qr/cannot be written .*sudo/,
	prepare => sub { chmod 0555, $place->{folder}; return sub { chmod 0755, $place->{folder} } });
stopped('no room', 1, qr/not enough room/,
	prepare => sub { $place->{environment}{PATH} = "$root/test/lib/bin:$fake:$ENV{PATH}" });
stopped('others are connected', 1, qr/process \d+, "dashboard", role .*Close it/s,
	prepare => sub {
		my ($in, $out) = ('', '');
		my $other = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('immich') . ' application_name=dashboard' ], '<', \$in, '>', \$out);
		$node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'dashboard')) or die;
		return sub { $other->kill_kill };
	});
stopped('an unknown Gallery', 1, qr/ERROR: .*9990000000000-Unknown/s,
	prepare => sub {
		$node->safe_psql('immich', q(INSERT INTO kysely_migrations VALUES ('9990000000000-Unknown', '2036-01-01T00:00:00.000Z')));
	});
stopped('no network', 1, qr/immich-machine-learning:$tag-cuda cannot be had/, prepare => sub { write_file("$place->{state}/offline", '') });
stopped('a container that is read-only', 1, qr/read-only: mount the three files.*gallery_revert_script\(\)/s,
	prepare => sub { write_file("$place->{state}/readonly", '') });
stopped('a database elsewhere', 1, qr/\(db\.example\) is not a service.*--no-docker.*gallery_revert_script\(\)/s,
	prepare => sub { change('.env', sub { $_ .= "DB_HOSTNAME=db.example\n" }) });
stopped('another stack', 1, qr/started from other files than these: \/etc\/hostname.*--file/s,
	prepare => sub { write_file("$place->{state}/folder", "/etc/hostname\n") });
stopped('images set elsewhere', 1, qr/cannot be switched by editing.*by hand/s, prepare => sub {
	change('docker-compose.yml', sub { s{image: ghcr.io/open-noodle/gallery-server:\S+}{image: \${SERVER}} });
	change('.env', sub { $_ .= "SERVER=ghcr.io/open-noodle/gallery-server:v4.57.0\n" }) });
stopped('no compose file', 1, qr/there is no compose file in .*--install/s, arguments => [ '--install', $fake ]);
stopped('wrong usage', 2, qr/unknown option: --force/, arguments => ['--force']);
stopped('--json without --yes', 2, qr/--json needs --yes or --check/, arguments => ['--json']);
stopped('another call is at work', 5, qr/another call of switch-back is at work/, prepare => sub {
	my $lock = "$place->{base}/home/immich-preserved/switch-back-immich";
	system('mkdir', '-p', $lock) == 0 or die;
	my $holder = IPC::Run::start([ 'flock', "$lock/lock", 'sleep', '60' ]);
	return sub { $holder->kill_kill };
});

# --check leaves nothing anywhere.
$place = installation();
unlink "$place->{state}/bare";
($status, $out) = switch_back($place, arguments => ['--check'], answers => '');
is($status, 0, '--check') or diag($out);
like($out, qr/Lost or changed:.*6 spaces.*What stays.*immich-server.*Nothing was changed\. Ready/s, '... tells all');
ok(dump_of() eq $place->{before} && files_of($place) eq $place->{files}, '... with database and files as they were');
is_deeply([ glob "$place->{base}/home/* $place->{base}/home/.[a-z]*" ], [], '... and no file of its own');
unlike(slurp_file("$place->{state}/docker.log"), qr/^(?:cp|pull|build|start|compose.* (?:up|rm|pull))/m, '... and docker was only asked');
write_file("$place->{state}/bare", '');
($status, $out) = switch_back($place, arguments => [ '--check', '--json' ], answers => '');
is($status, 0, '--check without the extension') or diag($out);
require JSON::PP;
my @events = map { JSON::PP::decode_json($_) } split /\n/, $out;
is_deeply([ @{ $events[-1] }{qw(event status exit changed)} ], [ 'result', 'done', 0, '' ], '... in JSON');

# For machines; tags that are written out; a setting of Gallery's with the end of line of another system.
$place = installation();
change('docker-compose.yml', sub { s/\$\{IMMICH_VERSION:-release\}-cuda/v4.57.0-cuda\@sha256:0123456789abcdef/ });
write_file("$place->{state}/running/immich-machine-learning", "ghcr.io/open-noodle/gallery-ml:v4.57.0-cuda\@sha256:0123456789abcdef\n");
($status, $out) = switch_back($place, arguments => [qw(--yes --json --spaces-as-albums --pets-as-people --archive)], answers => '');
is($status, 0, '--yes --json') or diag($out, log_of($place));
@events = map { JSON::PP::decode_json($_) } split /\n/, $out;
is_deeply([ @{ $events[-1] }{qw(event status exit tag database)} ], [ 'result', 'done', 0, $tag, 'immich' ], '... one line for each event');
like(slurp_file("$place->{folder}/docker-compose.yml"), qr{immich-machine-learning:$tag-cuda #}, '... a tag that was written out');
cmp_ok($node->safe_psql('immich', 'SELECT count(*) FROM album'), '>', $node->safe_psql('fixture', 'SELECT count(*) FROM album'),
	'... spaces became albums');
is($node->safe_psql('immich', q(SELECT count(*) FROM person)), $node->safe_psql('fixture', q(SELECT count(*) FROM person)),
	'... pets stayed among people');
cmp_ok($node->safe_psql('immich', 'SELECT count(*) FROM gallery_archive.rows'), '>', 100, '... what went is in the archive');

# Without docker: services of systemd, the settings in a file, a database that is reached by them.
$place = installation();
gallery_ends();
write_file("$fake/systemctl", <<'SH');
#!/bin/sh
state=$DOC_STATE/systemd
echo "$*" >>"$DOC_STATE/systemctl.log"
case $1 in
    list-unit-files) echo 'immich-ml.service enabled enabled'; echo 'immich-web.service enabled enabled' ;;
    is-active) [ -e "$state" ] && echo inactive || echo active ;;
    is-enabled) [ -e "$state" ] && echo disabled || echo enabled ;;
    disable) touch "$state" ;;
    enable) rm "$state" ;;
esac
SH
chmod 0755, "$fake/systemctl" or die;
write_file("$fake/docker", "#!/bin/sh\nexit 127\n");
chmod 0755, "$fake/docker" or die;
unlink "$fake/df";
my $settings = "$place->{folder}/.env";
change('.env', sub {
	s/^DB_USERNAME=.*/DB_USERNAME=immich/m;
	s/^DB_PASSWORD=.*/DB_PASSWORD='p\$a"s#s\\w'/m;
	$_ .= "DB_HOSTNAME=127.0.0.1\nDB_PORT=" . $node->port . "\nREDIS_PORT=1\n";
});
my $rules = $node->data_dir . '/pg_hba.conf';
write_file($rules, "host all immich 127.0.0.1/32 scram-sha-256\n" . slurp_file($rules));
$node->safe_psql('postgres', q(CREATE ROLE immich LOGIN PASSWORD 'p$a"s#s\w'));
$node->safe_psql('immich', 'GRANT ALL ON ALL TABLES IN SCHEMA public TO immich');
$place->{before} = dump_of();
$node->reload;
my $set = slurp_file($settings);
write_file("$fake/redis-cli", "#!/bin/sh\necho OK\n");
chmod 0755, "$fake/redis-cli" or die;
my %host = (arguments => [ '--no-docker', '--env-file', '.env' ], environment => { PATH => "$fake:$ENV{PATH}" });
($status, $out) = switch_back($place, %host);
is($status, 1, 'without docker, no superuser: stops') or diag($out);
like(flat($out), qr/role immich is no superuser.*gallery_revert_script\(\).*Nothing of yours has changed/, '... and says what to do');
$node->safe_psql('postgres', 'ALTER ROLE immich SUPERUSER');
($status, $out) = switch_back($place, %host);
is($status, 0, 'without docker') or diag($out);
unlike($out . slurp_file("$place->{base}/home/immich-preserved/switch-back-host/log"), qr/p\$a"s/, '... and shows no password');
like(flat($out), qr/Put Immich $tag in its place.*systemctl enable --now immich-web immich-ml/s, '... says what is left to do');
is($node->safe_psql('immich', q(SELECT to_regclass('public.shared_space') IS NULL)), 't', '... the database is Immich\'s');
like(slurp_file("$place->{state}/systemctl.log"), qr/^disable --now immich-web immich-ml$/m,
	'... the services do not come back with the machine');
like(slurp_file($settings), qr/^# only Gallery: IMMICH_STORAGE_BACKEND/m, '... the settings are Immich\'s');
($status, $out) = switch_back($place, %host, arguments => [ @{ $host{arguments} }, '--undo' ], answers => "yes\n");
is($status, 0, '... and back') or diag($out);
ok(dump_of() eq $place->{before} && slurp_file($settings) eq $set, '... with database and settings as they were');
like(slurp_file("$place->{state}/systemctl.log"), qr/^enable --now immich-web immich-ml$/m, '... and Gallery starts');

# Immich does not start: the cause in the words of diagnose.sh, and when that is mended the same command goes on.
$place = installation();
write_file("$place->{state}/sick", '');
($status, $out) = switch_back($place);
is($status, 4, 'Immich does not start');
like(flat($out), qr/Redis does not answer.*STOPPED in the stage "start".*Run the same command again to go on; with --undo/s,
	'... it says why');
unlink "$place->{state}/sick";
($status, $out) = switch_back($place, answers => '');
is($status, 0, '... mended, it goes on') or diag($out);
like($out, qr/^10\. revert +done already\n(?:.*\n)*13\. start +Immich/m, '... from there');

# What Gallery did after the rehearsal counts: another plan than the one that was shown does not run.
$place = installation();
switch_back($place, until => qr/^ *\d+\. stop .*\n/m);
$node->safe_psql('immich', q(DELETE FROM memory WHERE type = 'rule'));
gallery_ends();
($status, $out) = switch_back($place);
is($status, 4, 'another plan: stops');
like(flat($out), qr/changed what is to be done since the rehearsal; the database is as it was.*Changed so far: .*containers/s,
	'... and says so');
is($node->safe_psql('immich', q(SELECT to_regclass('public.shared_space'))), 'shared_space', '... with nothing reverted');
($status, $out) = switch_back($place);
is($status, 0, '... then it rehearses and asks again') or diag($out, log_of($place));
like($out, qr/^ *4\. rehearse +the whole.*Proceed\?/ms, '... and asks again');
switched($place, 'another plan');

# Killed before and after each command that changes something, and at each question; each time the same command goes on.
my @kills = map { ("before $_", "after $_") } 'pg_dump --format', 'cp -',
	'CREATE DATABASE "gallery_revert_rehearsal', 'pg_restore --file=- --no-sub',
	'gallery_revert_rehearsal.*gallery.revert_token', 'DROP DATABASE IF EXISTS "gallery_revert_rehearsal', 'pull -q', 'compose rm -sf',
	'snapshot=.*', q(dbname='immich' .*gallery.revert_token), 'FLUSHDB', 'up -d --wait';
$place = installation();
my (@unkilled, @said);
foreach my $kill (@kills)
{
	# What was killed may leave something at work for a moment, which stops the next call: then the one after it goes on.
	foreach my $call (1, 2)
	{
		($status, $out) = switch_back($place, kill => $kill);
		gallery_ends() if !-e "$place->{state}/running/immich-server";
		last if $status == 0 || -e "$place->{state}/killed";
		push @said, "$kill: exit $status\n$out";
	}
	push @unkilled, $kill if !-e "$place->{state}/killed";
	last if $status == 0 && !-e "$place->{state}/killed";
}
note(@said) if @said;
is_deeply(\@unkilled, [], 'killed at each place') or diag(@said);
($status, $out) = switch_back($place);
is($status, 0, 'killed everywhere, it comes to its end') or diag($out, log_of($place));
switched($place, 'killed everywhere');

# Killed after both answers, and before anything was changed.
$place = installation();
switch_back($place, kill => 'before pull -q');
ok(-e "$place->{state}/killed", 'killed before the first change');
($status, $out) = switch_back($place, arguments => ['--undo'], answers => '');
like($out, qr/There is nothing to undo/, '... --undo has nothing to do');
($status, $out) = switch_back($place, answers => "no\n");
is($status, 3, '... and the next call asks again') or diag($out);

# Killed as soon as a stage shows itself, and taken back from there.
foreach my $stage ('switch files', 'stop', 'last copy', 'revert', 'compare', 'queue', 'start', 'what remains')
{
	$place = installation();
	(undef, $out) = switch_back($place, until => qr/^ *\d+\. \Q$stage\E .*\n/m);
	gallery_ends() if !-e "$place->{state}/running/immich-server";
	# And half of the way back is gone twice.
	my @halves = $stage =~ /^(?:compare|what remains)$/ ? ('CREATE DATABASE "immich_undo', 'RENAME TO', 'up -d --wait') : ();
	foreach my $kill (map { ("before $_", "after $_") } @halves)
	{
		switch_back($place, arguments => ['--undo'], answers => "yes\n", kill => $kill);
		ok(-e "$place->{state}/killed", "undo from \"$stage\": killed $kill");
	}
	($status, $out) = switch_back($place, arguments => ['--undo'], answers => "yes\n");
	is($status, 0, "undo from \"$stage\"") or diag($out, log_of($place));
	is(files_of($place), $place->{files}, '... the files are as they were');
	is(slurp_file("$place->{state}/running/immich-server"), "ghcr.io/open-noodle/gallery-server:v4.57.0\n", '... Gallery runs');
	my $dump = dump_of();
	ok($dump eq $place->{before}, '... and the database is as it was, byte for byte');
}

done_testing();
