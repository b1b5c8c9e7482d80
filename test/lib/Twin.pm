# Reverts test databases and compares each with its twin, the stock Immich database that it must become.
#
#     my $node = Twin::start_node('generations');
#     my $twin = Twin->new($node, 'work');
#     my $result = $twin->check(Fixture->new(generation => 'v5.8', assets => 200));
#     is_deeply($result->{differences}, [], ...);
#
# check() loads, reverts and rolls back in one transaction, which takes a second; check_committed() goes the way that a
# user goes: a database of its own, the extension installed, the revert committed, the extension dropped.
package Twin;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use Digest::MD5 qw(md5_hex);
use Encode qw(encode_utf8);
use Exporter qw(import);
use File::Basename qw(dirname);
use Fixture;
use Fixture::Facts;
use IPC::Run ();
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Storable ();

our @EXPORT_OK = qw(expected_target in_parallel ledger_differences longest_run);

my $lib = abs_path(dirname(__FILE__));
my $fixtures = "$lib/../fixtures";
my $token = "SET gallery.revert_token = 'i_accept_data_loss';";

# A running server for many short-lived test databases. Nothing in it has to survive a crash.
sub start_node
{
	my ($name, %conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
	my %all = (
		fsync => 'off', full_page_writes => 'off', synchronous_commit => 'off', autovacuum => 'off', jit => 'off',
		shared_buffers => '256MB', max_locks_per_transaction => 1000, max_connections => 20,
		log_statement => 'none', log_min_messages => 'error', %conf);
	$node->append_conf('postgresql.conf', join '', map { "$_ = $all{$_}\n" } sort keys %all);
	$node->start;
	return $node;
}

# Works in a database of its own, which is made here.
sub new
{
	my ($class, $node, $database) = @_;
	my $self = bless { node => $node, database => $database, catalogs => {}, rows => {} }, $class;
	$self->run('postgres', qq(CREATE DATABASE "$database";));
	$self->run($database, 'CREATE SCHEMA tools; CREATE EXTENSION gallery_revert SCHEMA tools;');
	return $self;
}

# Runs a psql script; returns its output, what went to standard error, and whether it went through.
sub psql
{
	my ($self, $database, $script, %variables) = @_;
	my ($out, $err) = ('', '');
	my @variables = map { ('-v', "$_=$variables{$_}") } sort keys %variables;
	# A file, because psql stops reading at the first error.
	$self->{script} //= PostgreSQL::Test::Utils::tempdir() . '/script.sql';
	open(my $file, '>', $self->{script}) or die "could not write \"$self->{script}\": $!";
	print $file $script;
	close($file);
	my $ok = IPC::Run::run(
		[ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', @variables, '-d', $self->{node}->connstr($database), '-f', $self->{script} ],
		'>', \$out, '2>', \$err);
	return ($out, $err, $ok);
}

# The same for a script that must go through.
sub run
{
	my ($self, @args) = @_;
	my ($out, $err, $ok) = $self->psql(@args);
	die "psql failed: $err\n" if !$ok;
	return $out;
}

# The script of one product without its transaction, so that it can be undone with what follows.
sub _open_script
{
	my ($fixture, $product, %parts) = @_;
	my $sql = $fixture->sql($product, %parts);
	$sql =~ s/^BEGIN;\n//m or die 'the fixture begins no transaction';
	$sql =~ s/^COMMIT;\nANALYZE;\n//m or die 'the fixture commits no transaction';
	return $sql;
}

my $show = <<"SQL";
\\echo == listing
\\i $fixtures/listing.sql
\\echo == rows
\\i $fixtures/rows.sql
SQL

# Output of a script, by the section that "\echo == name" opened.
sub _sections
{
	my ($out) = @_;
	my %sections;
	my $lines = [];
	foreach my $line (split /\n/, $out)
	{
		if ($line =~ /^== (\w+)$/)
		{
			$lines = $sections{$1} = [];
			next;
		}
		push @$lines, $line;
	}
	return \%sections;
}

# The ledger is compared on its own: which of its timestamps a revert may change is another question.
sub _without_ledger { return [ grep { !/^kysely_migrations\|/ } @{ $_[0] } ] }

# What one of the listings prints of a script's database.
sub _show
{
	my ($self, $fixture, $listing, $sql) = @_;
	return [ split /\n/, $self->run($self->{database}, "BEGIN;\n$sql\\i $fixtures/$listing.sql\nROLLBACK;\n", schema => $fixture->{schema}) ];
}

# The catalog of the twin, as lines: the same for all fixtures with as many of Immich's migrations.
sub stock_catalog
{
	my ($self, $fixture) = @_;
	return $self->{catalogs}{ $fixture->native_count } //= $self->_show($fixture, 'listing', _open_script($fixture, 'immich', rows => 0));
}

# The rows of the twin, as lines. Fixtures that differ in the ledger only have the same.
sub _stock_rows
{
	my ($self, $fixture) = @_;
	my $sql = _open_script($fixture, 'immich', keys => 0);
	(my $key = $sql) =~ s/^INSERT INTO kysely_migrations .*?;\n//ms or die 'the fixture has no ledger';
	$key =~ s/^-- .*//;
	return $self->{rows}{ md5_hex(encode_utf8($key)) } //= _without_ledger($self->_show($fixture, 'rows', $sql));
}

# The psql command that prints the catalog of the database at hand, as stock_catalog() has it.
sub print_catalog { return "\\i $fixtures/listing.sql" }

# Forgets the rows of twins seen so far, which cases of different seeds do not share.
sub forget { my ($self) = @_; $self->{rows} = {}; return }

# What is in only one of two lists of lines, at most a few of each.
sub _compare
{
	my ($what, $have, $want) = @_;
	return () if "@$have" eq "@$want";
	my %count;
	$count{$_}++ foreach @$have;
	$count{$_}-- foreach @$want;
	my @lines = map { $count{$_} > 0 ? "$what, too much: $_" : "$what, missing: $_" } grep { $count{$_} != 0 } sort keys %count;
	@lines = ("$what: the same lines in another order") if !@lines;
	splice @lines, 5, @lines - 5, (@lines - 5) . ' more' if @lines > 6;
	return @lines;
}

# Length of the longest run of timestamps that are in order as they stand.
sub longest_run
{
	my @tails;
	foreach my $value (@_)
	{
		my $place = 0;
		$place++ while $place < @tails && $tails[$place] le $value;
		$tails[$place] = $value;
	}
	return scalar @tails;
}

# Compares ledger lines ("name,timestamp") after a revert with those before: exactly the first names, in the order that
# the migrator wants, and no more timestamps changed than the smallest repair needs.
sub ledger_differences
{
	my ($before, $after) = @_;
	my %was = map { split /,/, $_, 2 } @$before;
	my %is = map { split /,/, $_, 2 } @$after;
	my @names = (Fixture::Facts::immich_migrations())[ 0 .. $#$before ];
	my @lines = _compare('ledger', [ sort keys %is ], \@names);
	return @lines if @lines;
	my @order = sort { $is{$a} cmp $is{$b} || $a cmp $b } keys %is;
	push @lines, 'ledger: not in the order of the names' if "@order" ne "@names";
	my $changed = grep { $is{$_} ne $was{$_} } @names;
	my $needed = @names - longest_run(map { $was{$_} } @names);
	push @lines, "ledger: $changed timestamps changed, $needed needed" if $changed != $needed;
	return @lines;
}

# The tag that a revert returns: the newest patch of the earliest release line with that many migrations, not before $base.
sub expected_target
{
	my ($count, $base) = @_;
	my $least = Fixture::Facts::version_key($base);
	my ($line, $tag);
	foreach my $release (Fixture::Facts::immich_releases())
	{
		next if $release->{count} < $count || Fixture::Facts::version_key($release->{tag}) lt $least;
		my ($minor) = $release->{tag} =~ /^(v\d+\.\d+)\./;
		$line //= $minor;
		$tag = $release->{tag} if $minor eq $line;
	}
	return $tag;
}

# Differences between a reverted database (sections of its output) and what it must be.
sub _differences
{
	my ($self, $fixture, $sections) = @_;
	my @ledger = map { /^kysely_migrations\|\((.*)\)$/ ? $1 : () } @{ $sections->{rows} };
	my @before = map { "$_->{name},$_->{stamp}" } grep { !$_->{fork} } @{ $fixture->{ledger} };
	my @differences = (
		_compare('catalog', $sections->{listing}, $self->stock_catalog($fixture)),
		_compare('rows', _without_ledger($sections->{rows}), $self->_stock_rows($fixture)),
		ledger_differences(\@before, \@ledger),
		@{ $sections->{bookkeeping} });
	my $returned = $sections->{returned}[0] // 'nothing';
	my $target = expected_target($fixture->native_count, $fixture->{facts}{immich});
	push @differences, "returned $returned, expected $target" if $returned ne $target;
	return \@differences;
}

# Reverts a database with the listings that are needed: sections before, plan, returned, bookkeeping, listing, rows.
sub _revert_script
{
	my ($schema) = @_;
	return <<"SQL";
\\i $lib/bookkeeping.sql
SELECT count(*) AS tables_before FROM pg_tables WHERE schemaname = :'schema' \\gset
\\echo == plan
SELECT phase, sum(rows) FROM $schema.gallery_revert_plan() WHERE rows IS NOT NULL GROUP BY phase ORDER BY phase;
$token
\\echo == returned
SELECT $schema.gallery_revert();
\\echo == tables
SELECT :tables_before - count(*) FROM pg_tables WHERE schemaname = :'schema';
\\echo == bookkeeping
\\i $lib/bookkeeping.sql
SQL
}

sub _result
{
	my ($self, $fixture, $out, $err, $ok) = @_;
	my $sections = _sections($out);
	my %rows = map { split /\|/ } @{ $sections->{plan} // [] };
	return {
		tables => $sections->{tables}[0],
		returned => $sections->{returned}[0],
		rows => \%rows,
		messages => $err,
		differences => $ok ? $self->_differences($fixture, $sections) : ["failed: $err"],
	};
}

# Loads, runs $before, reverts, compares, and undoes it all. The result: differences (a list of texts), returned, tables
# dropped, rows announced by phase, messages.
sub check
{
	my ($self, $fixture, $before) = @_;
	# Undone databases stay in the catalogs as dead rows.
	$self->run($self->{database}, 'VACUUM;') if ++$self->{checks} % 20 == 0;
	my $script = "BEGIN;\n" . _open_script($fixture, 'gallery') . ($before // '') . "\n" . _revert_script('tools') . "${show}ROLLBACK;\n";
	return $self->_result($fixture, $self->psql($self->{database}, $script, schema => $fixture->{schema}));
}

my $attempt = <<"SQL";
CREATE FUNCTION pg_temp.attempt() RETURNS SETOF text LANGUAGE plpgsql AS \$\$
DECLARE
  code text; message text; detail text; hint text;
BEGIN
  PERFORM set_config('gallery.revert_token', 'i_accept_data_loss', true);
  RETURN NEXT 'returned ' || tools.gallery_revert();
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN QUERY SELECT unnest(ARRAY['refused ' || code || ' ' || message, detail, 'hint ' || hint]);
END \$\$;
SQL

# Loads one fixture and tries the revert on it once for each case [ SQL before, SQL after ], each from the same state. Returns for
# each what was printed ("returned TAG" or "refused CODE MESSAGE", detail and hint, then what the SQL printed) and what went to
# standard error.
sub attempts
{
	my ($self, $fixture, @cases) = @_;
	my $script = "BEGIN;\n" . _open_script($fixture, 'gallery') . $attempt;
	foreach my $case (@cases)
	{
		my ($before, $after) = @$case;
		$script .= "\\echo == case\n\\warn == case\nSAVEPOINT s;\n$before\n;SELECT pg_temp.attempt();\n" . ($after // '') . "\n;ROLLBACK TO s;\n";
	}
	my ($out, $err, $ok) = $self->psql($self->{database}, $script . "ROLLBACK;\n", schema => $fixture->{schema});
	die "psql failed: $err\n" if !$ok;
	my (undef, @out) = split /^== case\n/m, $out, -1;
	my (undef, @err) = split /^(?:psql:\S+ )?== case\n/m, $err, -1;
	return map { { out => $out[$_], messages => $err[$_] } } 0 .. $#cases;
}

# The same in a database of its own, with every step in a transaction of its own. Leaves nothing behind.
sub check_committed
{
	my ($self, $fixture) = @_;
	my $database = "$self->{database}_committed";
	$self->run('postgres', "CREATE DATABASE $database;");
	$self->run($database, $fixture->sql('gallery') . 'CREATE EXTENSION gallery_revert SCHEMA public;');
	my @run = $self->psql($database, _revert_script('public') . "DROP EXTENSION gallery_revert;\n$show", schema => $fixture->{schema});
	my $result = $self->_result($fixture, @run);
	$self->run('postgres', "DROP DATABASE $database;");
	return $result;
}

# Calls $work->($twin, $item) for each item, in several processes at a time, and returns the results in the items' order.
sub in_parallel
{
	my ($node, $workers, $work, @items) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir();
	my @pids;
	foreach my $worker (0 .. $workers - 1)
	{
		my $pid = fork // die "could not fork: $!";
		if ($pid)
		{
			push @pids, $pid;
			next;
		}
		# A child leaves without cleaning up, which would stop the parent's server.
		my $done = eval {
			my $twin = Twin->new($node, "work$worker");
			my %results;
			for (my $i = $worker; $i < @items; $i += $workers)
			{
				$results{$i} = $work->($twin, $items[$i]);
			}
			Storable::nstore(\%results, "$directory/$worker");
			1;
		};
		print STDERR "worker $worker: $@" if !$done;
		POSIX::_exit($done ? 0 : 1);
	}
	my $failed = 0;
	foreach my $pid (@pids)
	{
		waitpid($pid, 0);
		$failed ||= $?;
	}
	die "a worker failed\n" if $failed;
	my %results = map { %{ Storable::retrieve("$directory/$_") } } 0 .. $workers - 1;
	return map { $results{$_} } 0 .. $#items;
}

1;
