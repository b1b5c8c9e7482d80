# psql, files and copies of databases, for the scripts of this folder. The cluster is the one that libpq's environment names.
package Bench::Cluster;

use strict;
use warnings;
use Exporter 'import';
use File::Temp;

our @EXPORT_OK = qw(ask columns run_file work_directory write_file fresh_copy remove_database server_major);

my $directory = File::Temp->newdir('gallery_revert_bench.XXXXXX', TMPDIR => 1);

# A directory for scripts and lists, gone at the end. The server reads and writes in it too.
sub work_directory
{
  chmod 0777, "$directory";
  return "$directory";
}

sub write_file
{
  my ($name, $text) = @_;
  my $path = work_directory() . "/$name";
  open my $file, '>', $path or die "$path: $!\n";
  print $file $text;
  close $file or die "$path: $!\n";
  return $path;
}

# Runs a script and returns what it printed, messages included; dies with that where a statement fails.
sub run_file
{
  my ($database, $path, @options) = @_;
  open my $pipe, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', 'psql', '-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', @options,
    '-d', $database, '-f', $path
    or die "psql: $!\n";
  my $output = do { local $/; <$pipe> } // '';
  close $pipe or die "$path on $database failed:\n" . substr($output, -2000) . "\n";
  return $output;
}

# One or more statements; the answer without its last newline.
sub ask
{
  my ($database, $sql) = @_;
  my $output = run_file($database, write_file('ask.sql', "SET client_min_messages = warning;\n$sql\n"));
  chomp $output;
  return $output;
}

# Every column of the tables of schema public: {table}{column} = type.
sub columns
{
  my ($database) = @_;
  my %columns;
  foreach my $line (split /\n/, ask($database, <<'SQL'))
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace;
SQL
  {
    my ($table, $column, $type) = split /\|/, $line;
    $columns{$table}{$column} = $type;
  }
  return \%columns;
}

sub server_major { return int(ask('postgres', 'SHOW server_version_num;') / 10000) }

sub remove_database
{
  my ($database) = @_;
  ask('postgres', qq{DROP DATABASE IF EXISTS "$database";});
  return;
}

# A new database with the files of the template. Copying files (the only way before 15) writes no WAL for them and leaves
# the copy's pages out of shared buffers; the checkpoint that it ends with gives every run the same start.
sub fresh_copy
{
  my ($template, $database) = @_;
  remove_database($database);
  my $strategy = server_major() >= 15 ? ' STRATEGY file_copy' : '';
  ask('postgres', qq{CREATE DATABASE "$database" TEMPLATE "$template"$strategy;});
  return;
}

1;
