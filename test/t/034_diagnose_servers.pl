# What a real server says when it is damaged, misled or asked for what is not there, and what diagnose.sh makes of that: the phrases of
# scripts/causes.tsv are those of this major. Where the cure is a command, it is run, and the message does not come again.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/../..');
my %name_of = map { my @f = split /\t/; @f > 10 ? ($f[10] => $f[1]) : () } split /\n/, slurp_file("$root/scripts/causes.tsv");

sub causes
{
	my ($text) = @_;
	my $said = '';
	IPC::Run::run([ 'sh', "$root/scripts/diagnose.sh" ], '<', \$text, '>', \$said, '2>&1');
	return map { /^\d+\. (.*?)(?:  \[over.*)?$/ ? $name_of{$1} // $1 : () } split /\n/, $said;
}

# The newest lines of the server's log, each text once.
sub news
{
	my ($node, $from) = @_;
	return substr(slurp_file($node->logfile), $from);
}

sub found
{
	my ($what, $text, @wanted) = @_;
	return is_deeply([ causes($text) ], \@wanted, $what) || diag $text;
}

sub new_node
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(extra => ['-k']);
	# The names of times and processes that the images of Immich have.
	$node->append_conf('postgresql.conf', "log_line_prefix = '%m [%p] '\nlog_statement = none\nlog_connections = off\nfsync = off\n"
		  . "log_disconnections = off\nmax_connections = 8\nsuperuser_reserved_connections = 1\nautovacuum = off\nrestart_after_crash = on");
	return $node;
}
my $node = new_node('sick');
$node->start;
my $major = int($node->safe_psql('postgres', 'SHOW server_version_num') / 10000);

# Asks, and returns what the server wrote about it; the client's own words must have the same cause.
sub asked
{
	my ($what, $sql, $wanted, %with) = @_;
	my $from = -s $node->logfile;
	my ($rc, $out, $err) = $node->psql($with{database} // 'postgres', $sql, extra_params => $with{user} ? [ '-U', $with{user} ] : []);
	found($what, news($node, $from), @$wanted);
	return found("$what, as psql says it", $err, @$wanted);
}

$node->safe_psql('postgres', q{
	CREATE TABLE geodata_places (id integer PRIMARY KEY);
	CREATE TABLE asset_face (id integer);
	INSERT INTO asset_face VALUES (2), (2);
	CREATE TABLE asset (id integer PRIMARY KEY, note text);
	ALTER TABLE asset ALTER note SET STORAGE external;
	INSERT INTO asset SELECT g, repeat(md5(g::text), 300) FROM generate_series(1, 300) g;
	CREATE ROLE reader LOGIN;
	CREATE TABLE kept (LIKE asset INCLUDING STORAGE);
	INSERT INTO kept SELECT * FROM asset;
	CREATE INDEX kept_id ON kept (id);
	CREATE TABLE gone AS SELECT * FROM asset;
	CREATE EXTENSION pg_trgm });

asked('an extension without a way', q(ALTER EXTENSION pg_trgm UPDATE TO '9.9'), ['older-image']);
asked('an extension that is not there', 'CREATE EXTENSION vchord', ['extension']);
asked('a type of an extension', 'SELECT NULL::vector', ['extension-type']);
asked('a library that is not there', q(CREATE FUNCTION f() RETURNS integer AS '$libdir/vectors' LANGUAGE c), ['pgvectors-library']);
asked('a second key', 'ALTER TABLE geodata_places ADD CONSTRAINT geodata_places_again PRIMARY KEY (id)', ['geodata-key']);
asked('a lost key', 'ALTER TABLE asset_face DROP CONSTRAINT "asset_face_personId_fkey"', ['lost-object']);
asked('a lost trigger', 'DROP TRIGGER users_delete_audit ON asset', ['lost-object']);
asked('rows without a parent', 'ALTER TABLE asset_face ADD FOREIGN KEY (id) REFERENCES geodata_places (id)', ['foreign-key']);
asked('rows that are there twice', 'CREATE UNIQUE INDEX ON asset_face (id)', ['duplicate-rows']);
asked('a table that is there', 'CREATE TABLE asset (id integer)', ['already-exists']);
asked('no rights', 'SELECT * FROM asset', ['permission'], user => 'reader');
asked('not the owner', 'ALTER TABLE asset ADD x integer', ['permission'], user => 'reader');
asked('no rights on extensions', 'DROP EXTENSION pg_trgm', ['extension-owner'], user => 'reader');
asked('no such database', 'SELECT 1', ['no-database'], database => 'immich');
asked('no such role', 'SELECT 1', ['no-database'], user => 'immich');
asked('a setting of a newer server', 'SET transaction_timeout = 0', ['newer-parameter']) if $major < 17;
asked('a value of no encoding', q(SELECT convert_from('\xff'::bytea, 'UTF8')), ['bad-backup']);

# Sessions: the database is in use, all places are taken.
{
	my @sessions = map { $node->background_psql('postgres') } 1;
	$node->safe_psql('postgres', 'CREATE DATABASE immich');
	my $other = $node->background_psql('immich');
	asked('in use', 'ALTER DATABASE immich RENAME TO other', ['in-use']);
	my $from = -s $node->logfile;
	my @more;
	my $err = '';
	foreach (1 .. 10)
	{
		my ($in, $out) = ('', '');
		my @psql = ('psql', '-X', '-d', $node->connstr('postgres'), '-c', 'SELECT pg_sleep(3)');
		my $h = eval { IPC::Run::start(\@psql, '<', \undef, '>', \$out, '2>', \$err) };
		push @more, $h if $h;
	}
	eval { $_->finish } foreach @more;
	found('all places are taken', news($node, $from), 'too-many');
	$_->quit foreach @sessions, $other;
}

# A process that is killed; its neighbours are ended.
{
	my $neighbour = $node->background_psql('postgres', on_error_stop => 0);
	my $from = -s $node->logfile;
	my @psql = ('psql', '-X', '-At', '-d', $node->connstr('postgres'), '-c', 'SELECT pg_backend_pid()', '-c', 'SELECT pg_sleep(60)');
	my $victim = IPC::Run::start(\@psql, '<', \undef, '>', \my $pid, '2>', \my $err);
	$victim->pump until $pid =~ /\d+\n/;
	kill 'KILL', $pid + 0;
	eval { $victim->finish };
	$node->poll_query_until('postgres', 'SELECT true') or die 'does not come back';
	my $text = news($node, $from);
	like($text, qr/terminated by signal 9/, 'killed');
	is((causes($text))[0], 'killed-database', 'a killed process') or diag $text;
	eval { $neighbour->quit };
}

# The order of text changed: said at each connection, and the cure ends it.
SKIP: {
	skip 'versions of databases came with 15', 3 if $major < 15;
	my $create = q(CREATE DATABASE photos TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' ENCODING 'UTF8');
	my ($rc, undef, $err) = $node->psql('postgres', $create);
	skip "no ICU here: $err", 3 if $rc;
	$node->safe_psql('postgres', q(UPDATE pg_database SET datcollversion = '1.0' WHERE datname = 'photos'));
	my $from = -s $node->logfile;
	(undef, undef, $err) = $node->psql('photos', 'SELECT 1');
	found('another order of text', news($node, $from) . $err, 'collation');
	my @cure = map { /^warning\tcollation\t/ ? do { my @f = split /\t/; $f[13] =~ /-c "([^"]+)"/g } : () }
	  split /\n/, slurp_file("$root/scripts/causes.tsv");
	is(scalar @cure, 2, 'its cure');
	$node->safe_psql('photos', $_ =~ s/immich/photos/r) foreach @cure;
	$from = -s $node->logfile;
	(undef, undef, $err) = $node->psql('photos', 'SELECT 1');
	is(news($node, $from) . $err, '', 'does what it says');
}

# Nobody may come in.
{
	my $hba = $node->data_dir . '/pg_hba.conf';
	my $kept = slurp_file($hba);
	open my $out, '>', $hba or die $!;
	print $out "host all all 192.0.2.1/32 trust\nlocal all reader trust\nhost all reader all trust\n";
	close $out;
	$node->reload;
	my ($from, $err) = (-s $node->logfile, '');
	foreach (1 .. 50)
	{
		(undef, undef, $err) = $node->psql('postgres', 'SELECT 1');
		last if $err;
		select undef, undef, undef, 0.1;
	}
	found('no entry', news($node, $from), 'no-entry');
	found('no entry, as psql says it', $err, 'no-entry');
	open $out, '>', $hba or die $!;
	print $out $kept;
	close $out;
	$node->reload;
}

# Damage, each on files of its own.
my %file = map { $_ => $node->safe_psql('postgres', "SELECT pg_relation_filepath('$_')") } qw(asset kept gone);
my $toast = $node->safe_psql('postgres', q(SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE relname = 'kept'));
my $data = $node->data_dir;
$node->stop;
sub overwrite
{
	my ($path, $at, $bytes) = @_;
	open my $out, '+<', "$data/$path" or die "$path: $!";
	binmode $out;
	seek $out, $at, 0;
	print $out $bytes;
	close $out or die $!;
	return;
}
overwrite($file{asset}, 8192 + 100, 'damage' x 10);
overwrite($toast, 0, "\0" x -s "$data/$toast");
unlink "$data/$file{gone}" or die $!;
$node->start;
asked('a damaged page', 'SELECT sum(id) FROM asset', ['bad-page']);
asked('a value without its parts', 'SELECT max(md5(note)) FROM kept', ['missing-chunk']);
asked('a missing file', 'SELECT sum(id) FROM gone', ['missing-file']);
$node->stop;
truncate "$data/$file{kept}", 8192 or die $!;
$node->start;
asked('a cut file', 'SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT ctid FROM kept WHERE id = 300', ['read-error']);

# A second server on the same folder; the first goes on.
sub start_fails
{
	my ($what, @wanted) = @_;
	my $said = '';
	local $ENV{LC_ALL} = 'C';
	IPC::Run::run([ $node->installed_command('postgres'), '-D', $data ], '<', \undef, '>&', \$said, IPC::Run::timeout(60));
	return found($what, $said, @wanted);
}
PostgreSQL::Test::Cluster->can('installed_command') or do { no warnings 'once'; *PostgreSQL::Test::Cluster::installed_command =
	  sub { chomp(my $bin = `@{[ $ENV{PG_CONFIG} // 'pg_config' ]} --bindir`); "$bin/$_[1]" } };
start_fails('a second server', 'lock-file');
$node->stop;

# Starts that fail. Each is taken back.
sub with_file
{
	my ($file, $text, $what, @wanted) = @_;
	my $kept = slurp_file("$data/$file");
	open my $out, '>', "$data/$file" or die $!;
	print $out $text =~ s/\A\+/$kept/r;
	close $out;
	start_fails($what, @wanted);
	open $out, '>', "$data/$file" or die $!;
	binmode $out;
	print $out $kept;
	return close $out;
}
with_file('PG_VERSION', "9.6\n", 'data of another major', 'data-directory');
with_file('postgresql.conf', "+shared_preload_libraries = 'vectors.so'\n", 'a library of the old image', 'pgvectors-library');
with_file('postgresql.conf', "+no_such_setting = 1\n", 'a setting of another major', 'database-config');
chmod 0755, $data or die $!;
start_fails('rights of the folder', 'data-permission');
chmod 0700, $data or die $!;
with_file('global/pg_control', 'x' x 100, 'a cut control file', 'wal');
unlink glob "$data/pg_wal/0*";
{
	my $said = '';
	IPC::Run::run([ $node->installed_command('postgres'), '-D', $data ], '<', \undef, '>&', \$said, IPC::Run::timeout(60));
	like($said, qr/^.*PANIC:  could not locate a valid checkpoint record/m, 'a start without its log');
	is((causes($said))[0], 'wal', 'a start without its log: the cause');
}

# Programs that read dumps.
{
	my ($said, $header) = ('', "PGDMP\x01\x63\x00\x04\x08\x01");
	IPC::Run::run([ 'pg_restore', '-l' ], '<', \$header, '>', \my $out, '2>', \$said);
	found('a dump of a newer version', $said, 'dump-format');
	$header = "this is no dump\n" x 200;
	IPC::Run::run([ 'pg_restore', '-l' ], '<', \$header, '>', \$out, '2>', \$said);
	found('no dump', $said, 'bad-backup');
	my $file = PostgreSQL::Test::Utils::tempdir() . '/cut.gz';
	IPC::Run::run([ 'sh', '-c', 'seq 100000 | gzip | head -c 5000 >"$0"; gunzip <"$0" >/dev/null', $file ], '2>', \$said);
	found('a backup that is cut off', $said, 'bad-backup');
}

done_testing();
