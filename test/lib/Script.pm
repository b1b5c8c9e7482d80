# Scripts of gallery_revert_script(): made on a restored copy, run by plain psql where the extension is not, and the result as a text
# that can be compared with that of gallery_revert().
package Script;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);
use IPC::Run ();
use PostgreSQL::Test::Utils;

our @EXPORT_OK = qw(comparable copy_of differences make_script run_script);

my $scripts = 0;

# Makes a copy of a database as an owner would, by pg_dump and psql, with the extension in it.
sub copy_of
{
	my ($node, $database, $copy) = @_;
	my ($out, $err) = ('', '');
	$node->safe_psql('postgres', "CREATE DATABASE $copy");
	IPC::Run::run([ 'pg_dump', '-d', $node->connstr($database) ], '|',
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($copy) ], '>', \$out, '2>', \$err) or die "restore: $err";
	$node->safe_psql($copy, 'CREATE EXTENSION gallery_revert');
	return;
}

# Writes the script as the documents say. Returns the file's name, what was reported, and whether it went through.
sub make_script
{
	my ($node, $copy, @settings) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/revert' . ++$scripts . '.sql';
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run(
		[ 'psql', '-XAtq', '-d', $node->connstr($copy), (map { ('-c', $_) } @settings, 'SELECT gallery_revert_script()'), '-o', $file ],
		'>', \$out, '2>', \$err);
	return ($file, $err, $ok);
}

# Runs a script, not before earlier sessions of the test are gone. Options: others, true where some are there to stay; token, false for
# none; before, statements ahead of it in the same session; user, a role to connect as. Returns psql's exit status, what it printed
# and what was reported.
sub run_script
{
	my ($node, $database, $file, %option) = @_;
	my $sessions = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '$database' AND application_name IN ('pg_dump', 'psql')";
	$option{others} || $node->poll_query_until('postgres', $sessions) or die "others are connected to $database\n";
	my @before = @{ $option{before} // [] };
	push @before, q(SET gallery.revert_token = 'i_accept_data_loss') if $option{token} // 1;
	my ($out, $err) = ('', '');
	my $connection = $node->connstr($database) . ($option{user} ? " user=$option{user}" : '');
	IPC::Run::run([ 'psql', '-X', '-q', '-d', $connection, (map { ('-c', $_) } @before), '-f', $file ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(180));
	my $status = $? >> 8;
	$err =~ s/^psql:\S+?:\d+: //gm;
	return ($status, $out, $err);
}

# A dump as lines, without what follows the clock or chance: "updatedAt", "updateId" and "createId" everywhere, "id" and "deletedAt" of
# audit tables. The rows of a table stand in the order of their text.
sub comparable
{
	my ($node, $database) = @_;
	my ($dump, $err) = ('', '');
	IPC::Run::run([ 'pg_dump', '-d', $node->connstr($database) ], '>', \$dump, '2>', \$err) or die "pg_dump: $err";
	my (@lines, @rows, @masked);
	my $inside = 0;
	foreach my $line (split /\n/, $dump)
	{
		next if $line =~ /^\\(?:un)?restrict /;
		if (!$inside)
		{
			push @lines, $line;
			my ($table, $columns) = $line =~ /^COPY (.*) \((.*)\) FROM stdin;$/ or next;
			my $audit = $table =~ /_audit"?$/;
			my @columns = split /, /, $columns;
			$inside = 1;
			@rows = ();
			my $chance = $audit ? qr/^(?:id|"deletedAt"|"updatedAt"|"updateId")$/ : qr/^"(?:updatedAt|updateId|createId)"$/;
			@masked = grep { $columns[$_] =~ $chance } 0 .. $#columns;
		}
		elsif ($line eq '\.')
		{
			push @lines, (sort @rows), $line;
			$inside = 0;
		}
		else
		{
			my @values = split /\t/, $line, -1;
			$values[$_] = '-' foreach @masked;
			push @rows, join "\t", @values;
		}
	}
	die "nothing to compare\n" if @lines < 1000;
	return \@lines;
}

# What is in only one of two such dumps, at most a few lines.
sub differences
{
	my ($have, $want) = @_;
	return [] if join("\n", @$have) eq join("\n", @$want);
	my %count;
	$count{$_}++ foreach @$have;
	$count{$_}-- foreach @$want;
	my @lines = map { ($count{$_} > 0 ? 'too much: ' : 'missing: ') . substr $_, 0, 300 } grep { $count{$_} != 0 } sort keys %count;
	@lines = ('the same lines in another order') if !@lines;
	splice @lines, 8 if @lines > 8;
	return \@lines;
}

1;
