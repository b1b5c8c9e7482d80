# scripts/report.sh: what is in the file, and that no path, address, token, password or key is, whatever the database, its settings, its
# sessions, its errors and the environment hold. What must not come out is first seen in what the extension says, so that each could.
use strict;
use warnings FATAL => 'all';

use GalleryTest qw(gallery new_node root);
use IPC::Run    ();
use PostgreSQL::Test::Utils;
use Test::More;

my $root = root();
my $node = new_node('report', conf => [ "listen_addresses = '127.0.0.1'", 'fsync = off' ]);
my $temp = PostgreSQL::Test::Utils::tempdir();
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my %environment = (PGHOST => $node->host, PGPORT => $node->port, PGUSER => $superuser);
my $reports = 0;

sub write_file
{
	my ($file, $text, $mode) = @_;
	open my $handle, '>', $file or die "$file: $!";
	print $handle $text;
	close $handle;
	chmod $mode, $file if $mode;
	return;
}

# Returns the exit status, all that was said, and the file that was written ('' for none).
sub report
{
	my ($given, @arguments) = @_;
	my $file = "$temp/report " . ++$reports;
	my ($out, $err) = ('', '');
	local %ENV = (PATH => $ENV{PATH}, HOME => '/home/anna.smith', TMPDIR => $temp, %environment, %$given);
	IPC::Run::run([ "$root/scripts/report.sh", '-o', $file, @arguments ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	return ($? >> 8, $out . $err, -e $file ? PostgreSQL::Test::Utils::slurp_file($file) : '', $file);
}

# What may be in no report: an address, part of a path, a value that was a secret.
my @secret = (
	'anna.smith', 'example.com', 'Birthday', 'IMG 0042', 'IMG_0042', 'holiday', 'nas\\', '192.168.178', '2001:db8', 'fritz.box',
	'hunter2', 'pass word',
	'kJ8sLq2PzX9vB4nM7tR1wE6yU3iO5aS0dF8gH2jK4lZ', 'eyJhbGciOiJIUzI1NiJ9', 'sk-ant-0815', 'AKIAIOSFODNN7EXAMPLE',
	'i_accept_data', 'BEGIN PRIVATE');
sub found_in { my ($text) = @_; return join ', ', grep { index(lc $text, lc $_) >= 0 } @secret }

# A Gallery, and the Immich that comes out of it.
gallery($node, 'clean');
gallery($node, 'stock', '--product', 'immich');
{
	my ($status, $said, $text, $file) = report({}, '-d', 'clean');
	is($status, 0, 'a Gallery: done') or diag($said);
	like($said, qr/^\Q$file\E$/m, '... and the file is named');
	is(sprintf('%04o', (stat $file)[2] & 07777), '0600', '... which is private');
	like($text, qr/^gallery_revert files: \d+\.\d+\.\d+\n.*^client: psql .*^server: \d+/ms, '... with the versions');
	like($text, qr/^extension gallery_revert: 1\./m, '... and those of extensions');
	like($text, qr/^    20\d\d-\d\d-\d\d[T ][\d:.]+Z?  1744910873969-InitialMigration$/m, '... the ledger by name');
	like($text, qr/^== Servers that started.*?^    20\d\d-\S+ \S+  v?\d+\.\d+\.\d+$/ms, '... the releases');
	like($text, qr/^    product: gallery\n    gallery_release: v4\.57\.0\n.*^    unknown_migrations: 0\n    last_started: 4\.57\.0 at 20/ms,
		'... the status');
	like($text, qr/^token: blocked\n    gallery\.revert_token is not set/m, '... the check');
	my @steps = split /\n/, $node->safe_psql('clean',
		q(SELECT step || '. ' || phase || ', ' || kind FROM gallery_revert_plan() ORDER BY step));
	my @shown = $text =~ /^(\d+\. \w[\w ]*, [\w ]+?) (?=\S+(?:, rows: \d+)?\n    why: )/mg;
	is(scalar @shown, scalar @steps, '... and every step of the plan');
	like($text, qr/^    DROP TABLE .*"?shared_space"?/m, '... with its statement');
	is(scalar(() = $text =~ /^    DROP TABLE .*left out/mg), 0, '... in which names are left');
	# Of a plan nothing is lost that a developer has to know.
	my $columns = $node->safe_psql('clean', q(SELECT string_agg(object, E'\n') FROM gallery_revert_plan()));
	unlike($text =~ s/^This is what.*?\n\n//sr =~ s/'\.\.\.'//gr, qr/(?<!\w)'[^'\n.]+'/, '... and no value');
	is(join(', ', grep { index($text, $_) < 0 } split /\n/, $columns), '', '... each object by its name');
	my ($again, $refused) = report({}, '-d', 'clean', '-o', $file);
	is($again, 1, 'a file that is there is not overwritten');
	like($refused, qr/cannot be made/, '... and that is said');
}
{
	my ($status, $said, $text) = report({}, '-d', 'stock');
	is($status, 0, 'a stock Immich: done') or diag($said);
	like($text, qr/^    product: immich\n/m, '... which it says');
	like($text, qr/^schema: ok\n    the schema is that of Immich/m, '... and that its schema is in order');
	$node->safe_psql('stock', 'DROP EXTENSION gallery_revert');
	($status, $said, $text) = report({}, '-d', 'stock');
	is($status, 3, 'without the extension: written, and not whole');
	like($said, qr/not to be had: status, check and plan: the extension gallery_revert is not installed/, '... says why');
	like($text, qr/1744910873969-InitialMigration.*^gallery_revert is not installed in this database\.$/ms,
		'... with the ledger all the same');
	($status, $said, $text) = report({}, '-d', 'postgres');
	is($status, 3, 'no Immich: written');
	like($text, qr/^Immich in schemas: 0$/m, '... which it says') or diag($text);
}

# One that holds everything that must not get out, at each place where the extension or psql could repeat it.
gallery($node, 'anna', '--generation', 'v5.8');
$node->safe_psql('anna', <<'SQL');
UPDATE asset SET "originalPath" = 'upload/anna.smith/Birthday party/IMG 0042.jpg' WHERE id = (SELECT id FROM asset ORDER BY id LIMIT 1);
CREATE VIEW "/data/anna.smith/Birthday/IMG_0042.jpg" AS SELECT id FROM shared_space;
CREATE VIEW "anna.smith@example.com" AS SELECT id FROM shared_space;
CREATE VIEW "nas\anna.smith\holiday" AS SELECT id FROM shared_space;
CREATE VIEW "kJ8sLq2PzX9vB4nM7tR1wE6yU3iO5aS0dF8gH2jK4lZ" AS SELECT id FROM shared_space;
CREATE INDEX my_index ON asset ("originalFileName") WHERE "originalFileName" <> 'hunter2 anna.smith@example.com';
CREATE FUNCTION "key=hunter2"() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER TABLE album ALTER COLUMN description SET DEFAULT '/home/anna.smith/Birthday hunter2';
ALTER TABLE album ADD CONSTRAINT mine CHECK (description <> 'password=hunter2; token eyJhbGciOiJIUzI1NiJ9.e30.x');
INSERT INTO version_history (id, "createdAt", version) VALUES (gen_random_uuid(), now(), 'hunter2 anna.smith@example.com');
CREATE ROLE "anna.smith@example.com";
GRANT CREATE ON SCHEMA public TO "anna.smith@example.com";
SET SESSION AUTHORIZATION "anna.smith@example.com";
CREATE TABLE public."https://anna:pass word@photos.fritz.box" (id int);
CREATE TABLE public.my_own (id int);
RESET SESSION AUTHORIZATION;
ALTER DATABASE anna SET my.password = 'hunter2';
ALTER DATABASE anna SET my.setting = 'sk-ant-0815 anna.smith@example.com';
SQL
my $busy = GalleryTest::start_session($node, 'anna', "'anna.smith 192.168.178.20'", \my $busy_out, \my $busy_err, 'SELECT pg_sleep(100)');
$node->poll_query_until('postgres', q(SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'anna%')) or die;
my %all = (PGPASSWORD => 'pass word hunter2');
{
	my $raw = $node->safe_psql('anna', 'SELECT c FROM gallery_revert_check() c');
	my @there = split /, /, found_in($raw);
	cmp_ok(scalar @there, '>=', 6, 'the check repeats things that must not get out') or diag($raw);
	my ($status, $said, $text) = report(\%all, '-d', 'anna');
	is($status, 0, 'a database that holds them: done') or diag($said);
	is(found_in($text . $said =~ s/^\Q$temp\E.*$//mr), '', '... and none gets out') or diag($text);
	like($text, qr/my_index/, '... but names of objects do');
	like($text, qr/^paths: blocked\n    \D.*\n        \(\d+ more lines? (?:is|are) left out/m, '... and that there are paths');
	like($text, qr/^sessions: blocked\n    1 other client is connected/m, '... and sessions');
	like($text, qr/<no version, \d+ bytes>/, '... and a version that is none');
	like($text, qr/^setting of the database: my\.password$/m, '... and which settings are made') or diag($text =~ /^(.*?)== Ledgers/s);
}
$busy->kill_kill;
# A ledger of such names, one with the separators of a record in it.
$node->safe_psql('anna', <<'SQL');
INSERT INTO kysely_migrations VALUES ('1744910873999-Anna/upload/Birthday/IMG_0042.jpg', '2026-01-01T00:00:00.000Z'),
	('anna.smith@example.com', 'hunter2'), (E'x\x1eschema\x1fok\x1f hunter2 \x1f', '2026-01-01T00:00:00.000Z'),
	('AKIAIOSFODNN7EXAMPLE', '2026-01-01T00:00:00.000Z'), (E'two\nlines: sk-ant-0815\tand hunter2', '2026-01-01T00:00:00.000Z'),
	('1744910873998-MyOwnChange', '2026-01-01T00:00:00.000Z');
SQL
{
	my $raw = $node->safe_psql('anna', 'SELECT c::text FROM gallery_revert_check() c UNION ALL SELECT s::text FROM gallery_revert_status() s');
	like($raw, qr/hunter2/, 'a ledger of such names: repeated by check and status');
	my ($status, $said, $text) = report({}, '-d', 'anna');
	is(found_in($text . $said =~ s/^\Q$temp\E.*$//mr), '', '... and none gets out') or diag($text);
	like($text, qr/<a name of another form, 22 bytes>/, '... only that they are there');
	like($text, qr/    unknown_migrations: 6\n/, '... and how many');
	like($text, qr/1744910873998-MyOwnChange/, '... and one that has the form of a name');
}

# Where nothing can be had, messages too repeat what must not get out.
foreach my $case (
	[ 'no server', { PGHOST => '127.0.0.1', PGPORT => 1 }, qr/psql: error:.*<left out>/ ],
	[ 'a name that leads nowhere', { PGHOST => 'nas.fritz.box.invalid' }, qr/psql: error: could not translate host name "<left out>"/ ],
	[ 'no such database', { PGDATABASE => 'Birthday anna.smith@example.com' }, qr/psql: error:.*database "<left out>" does not exist/ ],
	[ 'no such role', { PGUSER => 'anna.smith@example.com hunter2' }, qr/psql: error:.*role "<left out>" does not exist/ ],
	[ 'a password file that others may read',
		{ PGHOST => '127.0.0.1', PGPORT => 1, PGPASSFILE => "$temp/anna.smith Birthday" }, qr/psql: error/ ])
{
	my ($name, $given, $wanted) = @$case;
	write_file("$temp/anna.smith Birthday", "*:*:*:*:hunter2\n", 0644);
	my ($status, $said, $text) = report($given);
	is($status, 3, "$name: written, and not whole");
	like($said, qr/not to be had: the database/, "$name: said");
	like($text, $wanted, "$name: with the message");
	is(found_in($text . $said =~ s/^\Q$temp\E.*$//mgr), '', "$name: and nothing of it gets out") or diag($text);
}

# Whatever awk the machine has.
{
	my $awks = 0;
	foreach my $awk ('gawk', 'mawk', 'original-awk', 'busybox awk')
	{
		my ($program, @argument) = split / /, $awk;
		my ($found) = grep { -x } map { "$_/$program" } split /:/, $ENV{PATH};
		next if !$found;
		$awks++;
		my $bin = "$temp/awk$awks";
		mkdir $bin or die $!;
		write_file("$bin/awk", "#!/bin/sh\nexec $found @argument \"\$@\"\n", 0755);
		foreach my $database ('clean', 'anna')
		{
			my ($usually, undef, $usual) = report({}, '-d', $database);
			my ($status, $said, $text) = report({ PATH => "$bin:$ENV{PATH}" }, '-d', $database);
			is($status, $usually, "$awk, $database: done") or diag($said);
			is($text, $usual, "$awk, $database: the same");
		}
	}
	note("$awks kinds of awk");
	# One that cannot is no reason to write what was not looked at.
	mkdir "$temp/awk" or die $!;
	write_file("$temp/awk/awk", "#!/bin/sh\nexec cat\n", 0755);
	my ($status, $said, $text) = report({ PATH => "$temp/awk:$ENV{PATH}" }, '-d', 'clean');
	is("$status$text", '1', 'an awk that takes nothing out: no report');
	like($said, qr/the awk of this machine cannot read redact\.awk/, '... which it says');
}

# Messages of any kind, by a psql that says nothing else.
mkdir "$temp/bin" or die $!;
my @messages = (
	"ERROR:  \xc3\xa4hnlich wie hunter2\xc3\xa4",
	'ERROR:  invalid input syntax for type json: "hunter2"',
	'ERROR:  duplicate key value violates unique constraint "user_email_uq" of /data/anna.smith/Birthday party/IMG 0042.jpg',
	'DETAIL:  Key (email)=(anna.smith@example.com) already exists.', 'CONTEXT:  SQL statement "SELECT \'hunter2\'"',
	'ERROR:  could not open file "/data/anna.smith/Birthday party/IMG_0042.jpg": No such file or directory',
	'ERROR:  Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc', 'ERROR:  apiKey=hunter2 and more hunter2', 'ERROR:  password: hunter2',
	'FATAL:  no pg_hba.conf entry for host "192.168.178.20", user "anna.smith@example.com"', 'ERROR:  from 2001:db8::1 and [2001:db8::2]:5432',
	'ERROR:  C:\Users\anna.smith\Birthday party\IMG 0042.jpg', 'ERROR:  \\\\nas\anna.smith\holiday pictures of anna.smith',
	'ERROR:  postgres://anna:hunter2@192.168.178.20:5432/immich', 'ERROR:  the file IMG 0042.JPG of the holiday', 'ERROR:  value \'hunter2',
	'-----BEGIN PRIVATE KEY-----', 'kJ8sLq2PzX9vB4nM7tR1wE6yU3iO5aS0dF8gH2jK4lZ', 'ERROR:  key kJ8sLq2PzX9vB4nM7tR1wE6yU3iO5aS0dF8gH2jK4lZ.',
	'ERROR:  $x$hunter2$x$', 'ERROR:  photos.fritz.box does not answer', "ERROR:  \"hunter2\n\" anna.smith\@example.com");
foreach my $message (@messages)
{
	my $quoted = $message =~ s/'/'\\''/gr;
	isnt(found_in($message), '', "a message to hide: $message");
	write_file("$temp/bin/psql", "#!/bin/sh\nprintf '%s\\n' '$quoted' >&2\nexit 1\n", 0755);
	my ($status, $said, $text) = report({ PATH => "$temp/bin:$ENV{PATH}" });
	is(found_in($text . $said =~ s/^\Q$temp\E.*$//mgr), '', '... does not get out') or diag($text);
	is($status, 3, '... and the file is there');
}
# And what it must keep.
foreach my $message ('ERROR:  relation "public.asset" does not exist', 'ERROR:  permission denied for function gallery_revert_plan',
	'FATAL:  password authentication failed for user "immich"', 'ERROR:  canceling statement due to lock timeout')
{
	write_file("$temp/bin/psql", "#!/bin/sh\nprintf '%s\\n' '$message' >&2\nexit 1\n", 0755);
	my (undef, undef, $text) = report({ PATH => "$temp/bin:$ENV{PATH}" });
	like($text, qr/^    \Q$message\E$/m, "kept: $message");
}

# In a container; and where there is none.
write_file("$temp/bin/psql", "#!/bin/sh\necho 'ERROR:  not the one in the container' >&2\nexit 1\n", 0755);
write_file("$temp/bin/docker", <<'SH', 0755);
#!/bin/bash
case $1:$2 in
inspect:*) echo "registry.fritz.box/anna.smith/postgres:14" ;;
exec:-i)
    shift 2
    while [ "$1" = -e ]; do export "${2?}"; shift 2; done
    [ "$1" = immich_postgres ] || { echo "Error response from daemon: No such container: $1" >&2; exit 1; }
    shift; PATH=$REAL_PATH exec "$@" ;;
exec:immich_postgres) shift 2; exec "$@" ;;
*) echo "Cannot connect to the Docker daemon at unix:///run/user/anna.smith/docker.sock." >&2; exit 1 ;;
esac
SH
{
	my %docker = (PATH => "$temp/bin:$ENV{PATH}", REAL_PATH => $ENV{PATH}, POSTGRES_USER => $superuser, POSTGRES_DB => 'clean',
		PGUSER => 'nobody');
	my ($status, $said, $text) = report(\%docker, '--docker', 'immich_postgres');
	is($status, 0, 'in a container: done') or diag($said . $text);
	like($text, qr/^image: another one\n.*^    product: gallery$/ms, '... with its own user and database, and no registry');
	is(found_in($text), '', '... and nothing gets out');
	($status, $said, $text) = report(\%docker, '--docker', 'anna.smith');
	is($status, 3, 'no such container: written, and not whole');
	like($text, qr/^    Error: the container does not answer$/m, '... which it says');
	is(found_in($text . $said =~ s/^\Q$temp\E.*$//mgr), '', '... and nothing gets out');
	mkdir "$temp/few" or die $!;
	foreach my $program (qw(bash awk sed mktemp rm cat dirname readlink uname date grep env))
	{
		my ($path) = grep { -x } map { "$_/$program" } split /:/, $ENV{PATH};
		symlink $path, "$temp/few/$program" or die $!;
	}
	($status, $said, $text) = report({ PATH => "$temp/few" }, '--docker', 'immich_postgres');
	is($status, 3, 'no docker: written');
	like($text, qr/docker is not on the PATH/, '... which it says');
	($status, $said, $text) = report({ PATH => "$temp/few" });
	is($status, 3, 'no psql: written');
	like($text, qr/psql is not on the PATH/, '... which it says');
}

# Wrong usage, of which nothing is repeated.
foreach my $arguments ([ '--database', 'postgres://anna:hunter2@nas' ], [ '--password', 'hunter2' ], ['hunter2'], ['--output'])
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ "$root/scripts/report.sh", @$arguments ], '<', \undef, '>', \$out, '2>', \$err);
	is($? >> 8, 2, "wrong usage: $arguments->[0]");
	is(found_in($out . $err), '', '... and nothing gets out');
}
note(scalar(@messages), ' messages');

$node->stop;
done_testing();
