# scripts/diagnose.sh: every cause is found in a log made for it, and docs/recovery.md lists the same causes.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IPC::Run ();
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/../..');
my $script = "$root/scripts/diagnose.sh";

sub diagnose
{
	my ($input, @args) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'sh', $script, @args ], '<', \$input, '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

sub slurp
{
	my ($file) = @_;
	open my $fh, '<:raw', $file or die "$file: $!";
	local $/;
	return scalar <$fh>;
}

sub headings { return map { /^\d+\. (.*?)(?:  \[over.*)?$/ ? $1 : () } split /\n/, $_[0] }

# Log, the causes in the order of the report, and what else the report must say. No causes: exit status 1.
my @logs = (
	[ 'missing-migration', ['The database is newer than the server image, or another product made it'],
		qr/line 8 \(6 times\)/, qr/"SELECT \* FROM immich_recovery_advice\('v3\.1\.0'\)"$/m,
		qr/^    gallery_revert\/scripts\/preserve-state\.sh --docker immich_postgres/m, qr/needs the extension: docs\/recovery\.md, step 4/,
		qr/docker compose stop immich-server/ ],
	[ 'missing-migration-gallery', ['The database is newer than the server image, or another product made it'],
		qr/1772240000000-CreateSharedSpaceTables looks like one of Noodle Gallery/ ],
	[ 'order-fault', ['The ledger of migrations is out of order'],
		qr/"SET gallery\.revert_token = 'i_accept_data_loss'" -c "SELECT immich_repair_migration_order\(\)"/ ],
	[ 'permission', [ 'The database role may not do this', 'The update failed and was undone' ],
		qr/schemaname = 'public'/ ],
	[ 'missing-relation', ['A table or column that the server needs is not there'], qr/line 11:.*personGroupId/s ],
	[ 'password', ['The database refuses the password'], qr/\\password postgres/ ],
	[ 'connection', ['The database does not answer'], qr/line 2 \(2 times\)/ ],
	[ 'redis', ['Redis does not answer'] ],
	[ 'postgres-version', ['Immich does not support this PostgreSQL version'] ],
	[ 'data-directory', ['The database image has another PostgreSQL version than its data'] ],
	[ 'data-permission', ['The database may not use its own folder'] ],
	[ 'no-database', ['The database or the role does not exist'], qr/\\l\+/ ],
	[ 'upgrade-path', [ 'The database is too old for this image', 'The update failed and was undone' ], qr/v1\.132\.3/ ],
	[ 'schema-drift', ['The schema differs from what Immich expects'], qr/schema-check into psql/ ],
	[ 'gallery-plugin', ['A plugin of Noodle Gallery is left in the database'], qr/gallery_revert_plan\(\)/ ],
	[ 'extension', ['The database server lacks an extension'] ],
	[ 'disk-full', [ 'A disk is full', 'The update failed and was undone' ] ],
	[ 'file-permission', ['The server may not use its folder'] ],
	[ 'already-exists', ['The update meets objects that are already there'] ],
	[ 'half-update', ['The update failed and was undone'], qr/one transaction/ ],
	[ 'moving-tag', ['The update failed and was undone'],
		qr/v3\.2\.4 \(line 1\), then v3\.3\.0 \(line 13\)/, qr/moving tag/ ],
	[ 'recovered', ['The database does not answer'], qr/\[over: the server started at line 16\]/ ],
	[ 'other-service', [ 'The database does not answer', 'The database role may not do this' ], qr/The server did start \(line 4\)/ ],
	[ 'vectorchord', ['The database server lacks an extension'], qr/3 times.*GALLERY_REVERT_BASE_IMAGE/s ],
	[ 'timeout', ['The database does not answer'], qr/3 times/ ],
	[ 'redis-password', ['Redis refuses the password'], qr/2 times/ ],
	[ 'unknown-host', ['A host name leads nowhere'], qr/log, line 2:/ ],
	[ 'by-hand', [], qr/No known cause/ ],
	[ 'healthy', [], qr/No known cause in these 12 lines; the server started at line 12/ ],
	[ 'harmless-relation', [], qr/No known cause/ ],
	[ 'hostile', ['The database refuses the password'] ]);

my %tested;
for my $case (@logs)
{
	my ($log, $causes, @texts) = @$case;
	my $file = "$root/test/logs/$log.log";
	my ($status, $out, $err) = diagnose('', $file);
	$tested{"$log.log"} = 1;
	is($status, @$causes ? 0 : 1, "$log: exit status");
	is($err, '', "$log: nothing on standard error");
	is_deeply([ headings($out) ], $causes, "$log: causes");
	like($out, $_, "$log: text") for @texts;
	my ($piped_status, $piped) = diagnose(slurp($file));
	is($piped, $out, "$log: the same from standard input");
}
opendir my $dir, "$root/test/logs" or die $!;
is_deeply([ grep { !$tested{$_} } grep { /\.log$/ } readdir $dir ], [], 'every recorded log is tested');

my (undef, $recovered) = diagnose('', "$root/test/logs/recovered.log");
unlike($recovered, qr/next:/, 'no command for what is over');

my (undef, $hostile) = diagnose('', "$root/test/logs/hostile.log");
unlike($hostile, qr/hunter2/, 'passwords of the log are not repeated');
foreach my $secret (
	'postgres://immich:abc/hunter2@database', 'postgres://immich:p@ss/hunter2@database:5432/immich',
	'{"user":"immich","password":"hun hunter2,x"}', q({\"password\":\"hun hunter2\"}),
	q(DB_PASSWORD='my hunter2 word'), 'DB_PASSWORD="my hunter2 word"',
	"password: 'it\\'s hunter2', next", 'PASSWORD=hunter2,hunter2;hunter2',
	q(DB_PASSWORD='cut hunter2))
{
	my (undef, $said) = diagnose("PostgresError: password authentication failed for user \"immich\" $secret\n");
	like($said, qr/^     PostgresError: password authentication failed/m, 'the line is shown');
	unlike($said, qr/hunter2|\bword\b/, "without its password: $secret");
}
unlike($hostile, qr/[\x00-\x09\x0b-\x1f\x7f]/, 'control characters of the log are not repeated');
unlike($hostile, qr/\[31m/, 'nor what is left of them');
ok((!grep { length > 340 } split /\n/, $hostile), 'long lines are cut');

# docker takes the lines that are pasted after a command with -i and without a terminal.
my $all = join '', map { (diagnose('', $_))[1] } glob "$root/test/logs/*.log";
unlike($all, qr/exec -i /, 'no command takes the lines pasted after it');
foreach my $command (do { my %once; grep { !$once{$_}++ } $all =~ /^ +(ls -l.*)$/mg })
{
	my $folder = tempdir(CLEANUP => 1);
	mkdir "$folder/my photos" or die $!;
	foreach my $quote ('', q("), q('))
	{
		open my $env, '>', "$folder/.env" or die $!;
		print $env "UPLOAD_LOCATION=$quote$folder/my photos$quote\r\nDB_DATA_LOCATION=$quote$folder/my photos$quote\n";
		close $env;
		IPC::Run::run([ 'sh', '-c', $command ], '<', \undef, '>&', \my $listed, init => sub { chdir $folder or die $! });
		is($?, 0, "$command, in quotes <$quote>") or diag $listed;
	}
}
# Without an exact tag in the log the function is asked without one.
like((diagnose("Initializing Immich v3\nMigrations failed: Error\n"))[1],
	qr/immich_recovery_advice\(NULL::text\)/, 'no exact tag, none is given');

# Two causes in one log come in the order in which they must be fixed, not in that of the log.
my $mixed = slurp("$root/test/logs/missing-migration.log") . slurp("$root/test/logs/disk-full.log");
my (undef, $both) = diagnose($mixed);
is((headings($both))[0], 'A disk is full', 'what must be fixed first comes first');

# A server that was switched to and fro a hundred times: the first and the last images are enough.
my (undef, $many) = diagnose(join '', map { "Initializing Immich v3.0.$_\n" } 1 .. 100);
my $ends = qr/v3\.0\.1 \(line 1\), then 96 others, then v3\.0\.98 \(line 98\), then .* then v3\.0\.100 \(line 100\)/;
like($many, qr/^Server image in this log: $ends\.$/m, 'a long history is cut');

my ($status, $out, $err) = diagnose('', '/nonexistent/immich.log');
is($status, 2, 'missing file: exit status');
like($err, qr/cannot read the file: \/nonexistent\/immich\.log/, 'missing file: named');
($status, $out, $err) = diagnose('', '--frobnicate');
is($status, 2, 'unknown option: exit status');
($status, $out) = diagnose('', '--help');
is($status, 0, 'help: exit status');
like($out, qr/^usage: diagnose\.sh/, 'help: text');
($status, $out) = diagnose('');
is($status, 1, 'empty log: exit status');
like($out, qr/log is empty/, 'empty log: said');

# The words by which a missing migration is called Gallery's fit all of Gallery's names and none of Immich's.
my @gallery = slurp("$root/src/manifest/gallery_migrations.inc") =~ /^\{"(\d+-[^"]+)"/mg;
my @immich = slurp("$root/src/manifest/immich_migrations.inc") =~ /^"(\d+-[^"]+)"/mg;
cmp_ok(scalar @gallery, '>=', 100, 'Gallery names read');
cmp_ok(scalar @immich, '>=', 100, 'Immich names read');
my $line = "Error: corrupted migrations: previously executed migration %s is missing\n";
(undef, $out) = diagnose(join '', map { sprintf $line, $_ } @gallery, @immich);
my %named = map { $_ => 1 } do { (my $t = $out) =~ s/\s+/ /g; $t =~ /The name (\S+) looks like/g };
is_deeply([ grep { !$named{$_} } @gallery ], [], 'every Gallery name is recognised');
is_deeply([ grep { $named{$_} } @immich ], [], 'no Immich name is taken for Gallery');

# The runbook has a row for each cause, under the same heading.
my $runbook = slurp("$root/docs/recovery.md");
my @titles = slurp($script) =~ /^    cause\("[^"]+", \d, \d, "([^"]+)"/mg;
cmp_ok(scalar @titles, '>=', 16, 'causes read from the script');
is_deeply([ grep { index($runbook, "| $_ |") < 0 } @titles ], [], 'docs/recovery.md has every cause');

done_testing();
