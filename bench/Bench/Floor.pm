# Method c, the floor: what a revert cannot do without. The catalog changes as bare statements, and the changed rows by primary key from
# lists that are prepared before: no look at the database, no condition, no trigger, no foreign key, no check, no proof.
# The lists are the difference that gallery_revert() itself made on a copy, so that the result is the same.
package Bench::Floor;

use strict;
use warnings;
use Bench::Cluster qw(ask columns fresh_copy remove_database work_directory);

# New values of these follow the clock, and only because a trigger sets them.
my %clocks = map { $_ => 1 } qw(updatedAt updateId);

sub _name { return '"' . $_[0] . '"' }
sub _names { return join ', ', map { _name($_) } @_ }
sub _list { return 'floor.' . _name("$_[0] $_[1]") }
sub _same { return join ' AND ', map { my $c = _name($_); "t.$c = l.$c" } @_ }

# Primary keys, {table} = [column, ...].
sub _keys
{
  my ($database) = @_;
  my %keys;
  foreach my $line (split /\n/, ask($database, <<'SQL'))
SELECT k.conrelid::regclass::name, a.attname
FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
WHERE k.contype = 'p' AND k.connamespace = 'public'::regnamespace ORDER BY 1, array_position(k.conkey, a.attnum);
SQL
  {
    my ($table, $column) = split /\|/, $line;
    push @{ $keys{ $table =~ s/"//gr } }, $column;
  }
  return \%keys;
}

# Rows that meet the condition: {table} = count.
sub _counts
{
  my ($database, $condition, @tables) = @_;
  my $sql = join ' UNION ALL ', map { "SELECT '$_', count(*) FROM " . _name($_) . " WHERE $condition" } @tables;
  return { map { split /\|/ } split /\n/, ask($database, "$sql;") };
}

# Makes the database $target: the template, with the lists in schema "floor". Returns the statements between BEGIN and COMMIT.
sub prepare
{
  my ($template, $target) = @_;
  my $done = 'bench_done';
  my $files = work_directory();
  fresh_copy($template, $done);
  my @catalog = split /\n/, ask($done, <<'SQL');
SELECT replace(statement, E'\n', ' ') FROM gallery_revert_plan()
WHERE kind NOT IN ('rows', 'role') AND statement !~ '(DIS|EN)ABLE TRIGGER' ORDER BY step;
SQL
  my $first = ask($done, 'SELECT pg_snapshot_xmax(pg_current_snapshot());');
  ask($done, "SET gallery.revert_token = 'i_accept_data_loss';\nSELECT gallery_revert();");
  my ($columns, $keys) = (columns($done), _keys($done));

  fresh_copy($template, $target);
  ask($target, 'CREATE SCHEMA floor;');
  my ($was, $is) = (_counts($target, 'true', sort keys %$columns), _counts($done, 'true', sort keys %$columns));
  my $changed = _counts($done, "xmin::text::bigint >= $first", sort keys %$columns);
  my @rows;
  foreach my $table (sort keys %$columns)
  {
    my @key = @{ $keys->{$table} // die "table \"$table\" has no primary key\n" };
    my @all = sort keys %{ $columns->{$table} };
    my ($t, $all, $key, $same) = (_name($table), _names(@all), _names(@key), _same(@key));
    my $type = sub { join ', ', map { _name($_) . " $columns->{$table}{$_}" } @_ };
    my $new_rows = 0;
    if ($changed->{$table})
    {
      my ($put, $new) = (_list($table, 'put'), _list($table, 'new'));
      ask($done, "COPY (SELECT $all FROM $t WHERE xmin::text::bigint >= $first) TO '$files/changed';");
      $new_rows = ask($target, <<"SQL");
CREATE TABLE $put (@{[$type->(@all)]}, PRIMARY KEY ($key));
COPY $put ($all) FROM '$files/changed';
CREATE TABLE $new AS SELECT * FROM $put l WHERE NOT EXISTS (SELECT FROM public.$t t WHERE $same);
DELETE FROM $put t USING $new l WHERE $same;
SELECT count(*) FROM $new;
SQL
      my %is_key = map { $_ => 1 } @key;
      my $set = join ', ', map { my $c = _name($_); "$c = l.$c" } grep { !$clocks{$_} && !$is_key{$_} } @all;
      push @rows, "UPDATE $t t SET $set FROM $put l WHERE $same" if $changed->{$table} > $new_rows;
      push @rows, "INSERT INTO $t ($all) SELECT $all FROM $new" if $new_rows > 0;
    }
    next if $was->{$table} + $new_rows == $is->{$table};
    my $gone = _list($table, 'gone');
    ask($done, "COPY (SELECT $key FROM $t) TO '$files/left';");
    ask($target, <<"SQL");
CREATE TEMP TABLE remaining (@{[$type->(@key)]});
COPY remaining ($key) FROM '$files/left';
CREATE TABLE $gone AS SELECT $key FROM public.$t EXCEPT SELECT $key FROM remaining;
SQL
    push @rows, "DELETE FROM $t t USING $gone l WHERE $same";
  }
  ask($target, 'VACUUM ANALYZE;');
  remove_database($done);
  return ('SET LOCAL session_replication_role = replica', 'SET LOCAL enable_hashjoin = off', 'SET LOCAL enable_mergejoin = off',
    @catalog, @rows);
}

1;
