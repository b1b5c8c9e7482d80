# One command, on Gallery's compose project with its server running: two answers, Immich listens. It is killed at each of its stages, at one
# of them the machine restarts, and the same command goes on; and --undo brings Gallery back from the end and from each stage that changes
# something (GALLERY_REVERT_STAGES='NAME,...': from these only).
use strict;
use warnings FATAL => 'all';

use Containers;
use IPC::Run ();
use Test::More;

my $folder = project();
my ($archive) = archive();
in_folder(qq(mkdir -p gallery_revert/binaries && cp $archive gallery_revert/binaries));
in_folder(q(docker compose up -d --wait));
load_database($_->[0], $_->[1]) foreach [ 'immich', 'gallery' ], [ 'twin', 'immich' ];
docker(qw(compose restart -t 1 immich-server));
my $runs = q(SELECT count(*) FROM pg_stat_activity WHERE application_name = 'immich-server' AND datname = 'immich');
until_true('Gallery runs on its database', sub { sql('immich', $runs) eq '1' });
docker(qw(exec immich_redis redis-cli -n 0 SET job gallery));
my %before = map { $_ => text_of("$folder/$_") } '.env', 'docker-compose.yml';

# What Gallery writes whenever it starts is no difference; nor how the server prints a condition over a list of words once it was restored.
sub gallery_state
{
	return state_of('immich') =~ s/^.*version_history.*\n//mgr =~ s/^(.*\bARRAY\[.*)$/$1 =~ s{[()\[\]]|::text}{}gr/gmer;
}
my $gallery = gallery_state();

my @stages = ('find', 'preserve', 'install', 'rehearse', 'show', 'confirm',
	'switch files', 'stop', 'last copy', 'revert', 'compare', 'queue', 'start', 'what remains');
my @undone = split /,/, $ENV{GALLERY_REVERT_STAGES} // join ',', @stages[ 6 .. $#stages ];

# Runs it, and answers what it asks; returns its exit status and what it said. As soon as a stage shows itself, something may happen:
# a signal to it, or a crash of the machine.
my $questions = 0;
sub switch_back
{
	my ($options, $stage, $event) = @_;
	my ($in, $out) = ('', '');
	my %answer = ('[yes/no]' => 'yes', 'Type the name' => 'immich');
	local $ENV{HOME} = "$folder.home";
	my $run = IPC::Run::start([ 'sh', 'gallery_revert/switch-back', @$options ], '<', \$in, '>&', \$out, init => sub { chdir $folder or die },
		IPC::Run::timeout(900));
	while ($run->pumpable)
	{
		$run->pump;
		foreach my $question (grep { index($out, $_) >= 0 } keys %answer)
		{
			$in .= delete($answer{$question}) . "\n";
			$questions++;
		}
		next if !defined $stage || $out !~ /^ *\d+\. \Q$stage\E .*\n/m;
		undef $stage;
		$event eq 'crash' ? engine('crash') : $run->signal($event);
	}
	ok(!defined $stage, "the stage is reached") if @_ > 1;
	IPC::Run::finish($run);
	return ($? & 127 ? 128 + ($? & 127) : $? >> 8, $out);
}
sub database_is_back
{
	until_true('the database is back', sub { (said([ qw(docker exec immich_postgres pg_isready -q -U postgres) ]))[0] == 0 });
}
sub image { return docker('inspect', '--format', '{{.Config.Image}}', 'immich_server') }
sub gallery_is_back
{
	my ($name) = @_;
	is(text_of("$folder/$_"), $before{$_}, "$name: $_ is as it was") foreach sort keys %before;
	until_true("$name: Gallery runs", sub { sql('immich', $runs) eq '1' });
	my @now = split /\n/, gallery_state();
	my %was = map { $_ => 1 } split /\n/, $gallery;
	is_deeply([ grep { !$was{$_} } @now ], [], "$name: on its database, object for object and row for row");
	is(scalar @now, scalar(() = $gallery =~ /\n/g) + ($gallery !~ /\n\z/), "$name: with nothing missing");
	is(image(), 'ghcr.io/open-noodle/gallery-server:v4.57.0', "$name: with its image");
}

my ($status, $out) = switch_back(['--check']);
is($status, 0, '--check') or diag($out);
ok(!-e "$folder.home/immich-preserved", '... leaves nothing');

# Killed at each stage, once; in the middle the machine restarts.
my $all = '';
foreach my $stage (@stages)
{
	my $event = $stage eq 'last copy' ? 'crash' : 'KILL';
	($status, $out) = switch_back([], $stage, $event);
	# The last one has nothing left to do but to say so.
	isnt($status, 0, "$stage: ended in the middle") if $stage ne 'what remains';
	$all .= $out;
	$questions = 0 if $stage eq 'switch files';
	database_is_back();
}
seconds('the rest of the way', sub { ($status, $out) = switch_back([]) });
is($status, 0, 'the same command comes to its end') or diag($all, $out);
is($questions, 0, '... without a question after both answers');
like(docker(qw(compose logs immich-server)), qr/Immich Server is listening/, 'Immich listens');
is(image(), 'ghcr.io/immich-app/immich-server:v2.7.5', '... with its image and tag');
ok(state_of('immich') eq state_of('twin'), 'the database is the stock one, object for object and row for row');
is(docker(qw(exec immich_redis redis-cli -n 0 DBSIZE)), '0', 'the queue is empty');
my $log = in_folder("cat '$folder.home'/immich-preserved/switch-back-immich/log");
unlike($all . $out . $log, qr/hunter2/, 'no password is shown or logged');
seconds('undo', sub { ($status, $out) = switch_back(['--undo']) });
is($status, 0, '--undo') or diag($out);
gallery_is_back('undo from the end');

# From a running Gallery again with its two answers, killed at a stage, and taken back from there.
foreach my $stage (@undone)
{
	$questions = 0;
	($status, $out) = switch_back([], $stage, 'KILL');
	is($questions, 2, "$stage: reached with two answers") or diag($out);
	($status, $out) = switch_back(['--undo']);
	is($status, 0, "$stage: --undo") or diag($out);
	gallery_is_back("undo from $stage");
}

stop_project();
done_testing();
