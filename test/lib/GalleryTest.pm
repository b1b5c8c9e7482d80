# What the TAP suites of the database share: a cluster with the extension and databases of every fixture in it, their state as a
# text that can be compared, and a revert with all that it says.
package GalleryTest;

use strict;
use warnings FATAL => 'all';

use Cwd            qw(abs_path);
use Digest::SHA    qw(sha256_hex);
use Exporter       qw(import);
use File::Basename qw(dirname);
use IPC::Run       ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(root new_node major_of gallery script state_of revert start_session token);

my %templates;

sub root { return abs_path(dirname(__FILE__) . '/../..') }

# What a session has to say first.
sub token { return "SET gallery.revert_token = 'i_accept_data_loss';" }

# A running cluster. Options: conf, lines for its configuration; init, what PostgreSQL::Test::Cluster's init takes.
sub new_node
{
	my ($name, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(@{ $option{init} // [] });
	$node->append_conf('postgresql.conf', join "\n", 'max_prepared_transactions = 5', @{ $option{conf} // [] }, '');
	$node->start;
	return $node;
}

# The server's major version; the test library of PostgreSQL 14 cannot tell it.
sub major_of
{
	my ($node) = @_;
	return int($node->safe_psql('postgres', 'SHOW server_version_num') / 10000);
}

# Makes a database from a fixture (options of test/fixtures/fixture, 200 assets), with the extension in it. Fixtures are built once
# for each cluster and then copied.
sub gallery
{
	my ($node, $database, @options) = @_;
	my $key = join ' ', $node->name, @options;
	if (!defined $templates{$key})
	{
		my $template = 'template_' . (1 + keys %templates);
		$node->safe_psql('postgres', "CREATE DATABASE $template");
		my ($sql, $err) = ('', '');
		IPC::Run::run([ root() . '/test/fixtures/fixture', '--assets', 200, @options ], '>', \$sql, '2>', \$err) or die "fixture: $err";
		script($node, $template, $sql);
		$node->safe_psql($template, 'CREATE EXTENSION gallery_revert; VACUUM ANALYZE;');
		$templates{$key} = $template;
	}
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE $templates{$key}");
	return;
}

# Runs a script of psql up to its end.
sub script
{
	my ($node, $database, $sql) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database) ], '<', \$sql, '>', \$out, '2>', \$err)
	  or die "psql: $err";
	return;
}

# Everything in a database: its dump, hashed, and its catalog as test/fixtures/listing.sql prints it, so that a difference shows.
sub state_of
{
	my ($node, $database, $schema) = @_;
	my ($dump, $listing, $err) = ('', '', '');
	IPC::Run::run([ 'pg_dump', '-d', $node->connstr($database) ], '>', \$dump, '2>', \$err) or die "pg_dump: $err";
	$dump =~ s/^\\(?:un)?restrict .*$//gm;
	my @listing = ('-v', 'schema=' . ($schema // 'public'), '-f', root() . '/test/fixtures/listing.sql');
	IPC::Run::run([ 'psql', '-X', '-q', '-A', '-t', @listing, '-d', $node->connstr($database) ],
		'>', \$listing, '2>', \$err);
	die "listing: $err" if $err;
	die "nothing to compare\n" if length $dump < 10000 || $listing !~ /^table\|/m;
	utf8::encode($dump) if utf8::is_utf8($dump);
	return 'dump ' . sha256_hex($dump) . "\n$listing";
}

# Starts psql with these statements as a session that goes on by itself; finish() of the result waits for it. What it prints and
# what is reported, with SQLSTATEs, goes to the two references.
sub start_session
{
	my ($node, $database, $name, $out, $err, @statements) = @_;
	return IPC::Run::start(
		[
			'psql', '-X', '-q', '-A', '-t', '-v', 'VERBOSITY=verbose', '-d', $node->connstr($database) . " application_name=$name",
			map { ('-c', $_) } @statements
		],
		'<', \undef, '>', $out, '2>', $err, IPC::Run::timeout(60));
}

# Runs the revert by psql. Options: before and after, statements around it; user, a role to connect as; for instead, another statement.
# Returns psql's exit status, what it printed, and all that was reported, with SQLSTATEs.
sub revert
{
	my ($node, $database, %option) = @_;
	my ($out, $err) = ('', '');
	my $sql = join "\n", '\set VERBOSITY verbose', '\set SHOW_CONTEXT never', token(),
		$option{before} // '', $option{instead} // 'SELECT gallery_revert();', $option{after} // '';
	my $status = $node->psql($database, $sql, stdout => \$out, stderr => \$err, on_error_stop => 1, timeout => 180,
		connstr => $node->connstr($database) . ($option{user} ? " user=$option{user}" : ''));
	# Where in the sources a message comes from is nobody's concern.
	$err =~ s/^LOCATION: .*\n?//gm;
	$err =~ s/^psql:<stdin>:\d+: //gm;
	return ($status, $out, $err);
}

1;
