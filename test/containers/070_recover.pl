# docs/recovery.md from each of its decisions, on Immich's compose project: by hand, word for word in a window of 80 columns and 24 lines,
# and with the one command. The server's stand-in takes the ledger as Immich does, and each update of it fails. Each walk ends with a
# server that listens on the right database, or with a stop that says what comes next.
use strict;
use warnings FATAL => 'all';

use Advice qw(@names);
use Containers;
use Documents qw(blocks read_text);
use Test::More;
use Window;

my $folder = project();
my ($archive) = archive();
in_folder("mkdir gallery_revert/binaries library/backups library/upload library/library");
in_folder("cp $archive gallery_revert/binaries && cp $archive .");
my ($home, $kept) = ("$folder.home", "$folder.home/kept");
switch_images('v2.7.5');
in_folder('docker compose up -d --wait database');
load_database('written', 'immich');
# Restored once: PostgreSQL writes some conditions in another way after that. And kept as before an update, in both shapes.
sql('written', Advice::state_of(68, '2.7.5'));
my $with_path = q(sed "s/^SELECT pg_catalog.set_config('search_path', '', false);$/)
	. q(SELECT pg_catalog.set_config('search_path', 'pg_catalog, public', false);/");
in_folder("docker exec immich_postgres pg_dump -U postgres written | $with_path | docker exec -i immich_postgres "
	. 'psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -U postgres -d immich');
sql('postgres', 'DROP DATABASE written');
in_folder("HOME='$home' gallery_revert/scripts/preserve-state.sh --docker immich_postgres --install . --output '$kept' 2>&1");
in_folder('docker exec immich_postgres pg_dump -U postgres --clean --if-exists immich | gzip >library/backups/'
	. 'immich-db-backup-20261120T020000-v2.7.5-pg15.20.sql.gz');
sql('postgres', 'CREATE DATABASE fixture TEMPLATE immich');
my $before = state_of('immich');
my $updated = Advice::state_of(86, '2.7.5', '3.0.3') . 'DELETE FROM album;';
sub servers_log { return docker(qw(compose logs --no-color immich-server)) }

# An Immich with this tag that does not start on this database, because of what its log must say.
sub installation
{
	my ($tag, $change, $says) = @_;
	in_folder('docker compose rm -sf immich-server immich-machine-learning; docker compose up -d --wait database');
	sql('postgres', qq(DROP DATABASE "$_" WITH (FORCE)))
	  foreach split /\n/, sql('postgres', q(SELECT datname FROM pg_database WHERE datname ~ '^immich'));
	sql('postgres', 'CREATE DATABASE immich TEMPLATE fixture');
	sql('immich', $change);
	in_folder("rm -rf immich.log '$home/immich-preserved' '$home/immich-checked'");
	switch_images($tag);
	in_folder('docker compose up -d');
	return until_true("$tag does not start", sub { servers_log() =~ $says });
}
sub listens
{
	my ($name, $tag) = @_;
	until_true("$name: Immich listens", sub { servers_log() =~ /Immich Server is listening/ });
	return is(docker('inspect', '--format', '{{.Config.Image}} {{.State.Running}}', 'immich_server'),
		"ghcr.io/immich-app/immich-server:$tag true", "$name: it is $tag");
}
sub as_before { return ok(state_of('immich') eq $before, "$_[0]: the database is the one from before") }
sub databases { return sql('postgres', q(SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname ~ '^immich')) }

# Types blocks of a page, "heading/number".
my %block;
foreach my $page (qw(recovery switching-back))
{
	my %count;
	foreach my $block (grep { $_->{language} ne 'text' } blocks(read_text("$folder/gallery_revert/docs/$page.md")))
	{
		my $heading = $block->{heading} =~ s/\. .*//r;
		$block{"$page $heading/" . ++$count{$heading}} = $block->{text} =~ s/\n\z//r;
	}
}
sub by_hand
{
	my ($name, $window, @keys) = @_;
	my (@failures, $shown);
	foreach my $key (map { /^switching/ ? $_ : "recovery $_" } @keys)
	{
		my $result = $window->type($block{$key} // die("no block $key\n"), 300);
		push @failures, "$key: @{ $result->{failed} }\n$result->{output}" if @{ $result->{failed} };
		$shown .= $result->{output};
		last if @failures;
	}
	is_deeply(\@failures, [], "$name: every block runs") or diag(@failures);
	return $shown;
}
# The one command, with its answers; what it shows has to fit into the window, but for a path, a command or a line of a log.
sub guided
{
	my ($name, $options, $expected, @answers) = @_;
	my @command = ("$folder/gallery_revert/scripts/recover", @$options);
	my ($status, $shown) = Window::asked($folder, \@command, { %ENV, HOME => $home }, 300, @answers);
	is($status, $expected, "$name: exit status $expected") or diag($shown);
	my @wide = grep { length > 80 && !m{^\s*(?:\S+|- \S+|docker .*|data=.*|gallery_revert/.*|\S+ +\| .*)$} } split /\n/, $shown;
	is_deeply(\@wide, [], "$name: within 80 columns");
	return $shown;
}

# 6a, backwards: an update that failed.
my $failed = qr/Migration "\Q$names[68]\E" failed/;
installation('v3.0.3', 'SELECT 1', $failed);
my $window = Window->new($folder, %ENV, HOME => $home);
my $shown = by_hand('pinned', $window, '1/1', '2/1', '3/1', '4/1', '6a/1', '7/1', '7/2');
like($shown, qr/The update failed and was undone.*^advice: roll_back\npin: +v2\.7\.5\n.*^same counts$/ms, 'pinned: what is said');
$window->close;
listens('pinned', 'v2.7.5');
as_before('pinned');

seconds('guided, an update that failed', sub {
	installation('v3.0.3', 'SELECT 1', $failed);
	$shown = guided('guided', [], 0, 'yes');
});
like($shown, qr/Immich v2\.7\.5 starts; nothing else.*Do it\? \[yes\/no\] yes.*Done: this is Immich v2\.7\.5\./s, 'guided: one question');
listens('guided', 'v2.7.5');
as_before('guided');
guided('guided, back', ['--undo'], 0, 'yes');
is(docker(qw(ps -a --format {{.Names}})) =~ /immich_server/ ? 'there' : 'gone', 'gone', 'guided, back: the server stays stopped');
like(text_of("$folder/.env"), qr/^IMMICH_VERSION=v3\.0\.3$/m, 'guided, back: .env is as it was');

# A downgrade: the copy from before, Immich's own backup, or forward.
my $missing = qr/previously executed migration \Q$names[68]\E is missing/;
installation('v2.7.5', $updated, $missing);
in_folder("mkdir -p '$home/immich-preserved' && cp -a '$kept'/immich-*Z '$home/immich-preserved'");
$window = Window->new($folder, %ENV, HOME => $home);
$shown = by_hand('the copy', $window, '1/1', '2/1', '3/1', '4/1', '6b/1', '6b/2', '6b/3');
like($shown, qr/^advice: restore_backup\n.*^restored$/ms, 'the copy: what is said');
as_before('the copy');
like(databases(), qr/^immich immich_before_\w+$/, 'the copy: the one of now is kept');
by_hand('the copy', $window, '6a/1', '7/1', '6b/7', '6b/8');
is(databases(), 'immich', 'the copy: until it is dropped');
$window->close;
listens('the copy', 'v2.7.5');

installation('v2.7.5', $updated, $missing);
$window = Window->new($folder, %ENV, HOME => $home);
by_hand('a backup of Immich\'s own', $window, '1/1', '3/1', '6b/4', '6b/5');
as_before('a backup of Immich\'s own');
by_hand('a backup of Immich\'s own', $window, '6a/1');
$window->close;
listens('a backup of Immich\'s own', 'v2.7.5');

installation('v2.7.5', $updated, $missing);
$shown = guided('guided, a downgrade', [], 4);
like($shown, qr/advice: restore_backup.*^STOPPED .*--restore FOLDER.*--forward/ms, 'guided, a downgrade: a stop that names the ways');
$shown = guided('guided, the copy', [ '--restore', glob "$kept/immich-*Z" ], 0, 'yes');
as_before('guided, the copy');
listens('guided, the copy', 'v2.7.5');
installation('v2.7.5', $updated, $missing);
guided('guided, forward', ['--forward'], 0, 'yes');
listens('guided, forward', 'v3.0.3');

# 6a, forwards: a tag that moved.
installation('v2.7.5', Advice::state_of(86, '2.7.5'), $missing);
$window = Window->new($folder, %ENV, HOME => $home);
$shown = by_hand('forward', $window, '1/1', '3/1', '6a/1');
like($shown, qr/^IMMICH_VERSION will be: v3\.0\.3$/m, 'forward: the tag');
$window->close;
listens('forward', 'v3.0.3');

# 6c: the order.
my $early = "UPDATE kysely_migrations SET timestamp = '2025-01-01T00:00:00.000Z' WHERE name = '$names[40]'";
my $order = qr/expected previously executed migration \Q$names[40]\E to be at index 0/;
installation('v2.7.5', $early, $order);
$window = Window->new($folder, %ENV, HOME => $home);
by_hand('the order', $window, '1/1', '2/1', '3/1', '4/1', 'switching-back 3/1', '6c/1', '7/2');
$window->close;
listens('the order', 'v2.7.5');
installation('v2.7.5', $early, $order);
$shown = guided('guided, the order', [], 0, 'yes');
listens('guided, the order', 'v2.7.5');
is(sql('immich', q(SELECT count(*) FROM pg_extension WHERE extname = 'gallery_revert')), '0', 'guided, the order: without the extension');

# A database that does not start, of which a file comes back; and one of which it does not.
installation('v3.0.3', 'SELECT 1', $failed);
my $control = 'postgres/global/pg_control';
in_folder("docker stop immich_postgres && mv $control $folder.control && docker start immich_postgres");
my $lost = sub { docker(qw(compose logs --no-color --since 20s database)) =~ /could not find the database system/ };
until_true('guided, no database: it says so', $lost);
$shown = guided('guided, no database', [], 4);
like($shown, qr/Files of the database are missing.*^STOPPED .*the database does not start/ms, 'guided, no database: a stop');
my ($cold) = glob "$home/immich-preserved/recover-immich/data-*";
ok($cold && -e "$cold/PG_VERSION", 'guided, no database: its files are copied');
in_folder("mv $folder.control $control");
$shown = guided('guided, it is mended', [], 0, 'yes');
listens('guided, it is mended', 'v2.7.5');
as_before('guided, it is mended');

in_folder("docker compose rm -sf immich-server immich-machine-learning; docker stop immich_postgres; rm $control; docker compose up -d");
until_true('damaged: the database says so', $lost);
$window = Window->new($folder, %ENV, HOME => $home);
$shown = by_hand('damaged', $window, '1/1', '2/1', q(If the database's files are damaged/1));
like($shown, qr/^1\. Files of the database are missing/m, 'damaged: what it is');
like($shown, qr/^copied$/m, 'damaged: copied as it is');
change('.env', sub { s{^DB_DATA_LOCATION=.*}{DB_DATA_LOCATION=./postgres.new}m });
in_folder("mkdir postgres.new && rm -rf '$home/immich-preserved' && cp -a '$kept' '$home/immich-preserved' && "
	. 'docker compose up -d --wait database');
$shown = guided('damaged', [ '--restore', my $copy = glob "$kept/immich-*Z" ], 1);
like($shown, qr/is empty.*^ +cd \Q$copy\E &&\n +bash restore\.sh --docker immich_postgres$/ms,
	'damaged: how the copy gets into the new folder');
by_hand('damaged', $window, '6b/2', '6b/3', '6a/1', '7/1');
$window->close;
listens('damaged', 'v2.7.5');
as_before('damaged');

stop_project();
done_testing();
