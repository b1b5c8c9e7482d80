# The archive: with gallery.revert_archive on, whatever a revert removes or overwrites is in schema gallery_archive afterwards. What was
# there is written down here apart from the extension, every row of every table as jsonb, and compared with what is left.
use strict;
use warnings FATAL => 'all';

use Fixture::Facts;
use GalleryTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('archive');
my $on = 'SET gallery.revert_archive = on;';

sub query { my ($database, $sql) = @_; return $node->safe_psql($database, $sql) }

# Every row of every table of Immich's schema into seen.$name, the columns of each table into seen.columns.
sub write_down
{
	my ($database, $schema, $name) = @_;
	$schema =~ s/'/''/g;
	return query($database, <<"SQL");
CREATE SCHEMA IF NOT EXISTS seen;
CREATE TABLE seen.$name (t text, content jsonb);
DO \$\$ DECLARE r record; BEGIN
  FOR r IN SELECT c.oid::regclass AS full_name, c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = '$schema'::regnamespace LOOP
    EXECUTE format('INSERT INTO seen.$name SELECT %L, to_jsonb(x.*) FROM %s x', r.relname, r.full_name);
  END LOOP;
END \$\$;
CREATE TABLE seen.columns_$name AS SELECT c.relname::text AS t, a.attname::text AS name, pg_get_expr(d.adbin, d.adrelid) AS initial
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind = 'r' AND c.relnamespace = '$schema'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped;
SQL
}

# Rows of before that are not there afterwards, but for columns that came or went, and are not in the archive either.
my $gone = <<'SQL';
CREATE VIEW seen.gone AS
WITH went AS (SELECT t, coalesce(array_agg(name) FILTER (WHERE name IS NOT NULL), '{}') AS columns
  FROM (SELECT t, name FROM seen.columns_before EXCEPT SELECT t, name FROM seen.columns_after) x GROUP BY t),
came AS (SELECT t, array_agg(name) AS columns
  FROM (SELECT t, name FROM seen.columns_after EXCEPT SELECT t, name FROM seen.columns_before) x GROUP BY t)
SELECT b.t, b.content FROM seen.before b LEFT JOIN went w USING (t) JOIN
  (SELECT b.t, b.content - coalesce(w.columns, '{}') AS rest FROM seen.before b LEFT JOIN went w USING (t)
   EXCEPT SELECT a.t, a.content - coalesce(c.columns, '{}') FROM seen.after a LEFT JOIN came c USING (t)) d
  ON d.t = b.t AND d.rest = b.content - coalesce(w.columns, '{}');
-- The values of columns that went, but those that a new row gets.
CREATE VIEW seen.values AS
SELECT b.t, b.content, c.name, b.content -> c.name AS value FROM seen.before b JOIN seen.columns_before c USING (t)
WHERE EXISTS (SELECT FROM seen.columns_after a WHERE a.t = c.t) AND NOT EXISTS (SELECT FROM seen.columns_after a WHERE (a.t, a.name) = (c.t, c.name))
AND b.content -> c.name <> 'null' AND b.content ->> c.name IS DISTINCT FROM (regexp_match(c.initial, $re$^'(.*)'::$re$))[1];
SQL

sub archived
{
	my ($generation, $schema, @settings) = @_;
	my $name = join ', ', $generation, ($schema eq 'public' ? () : "schema $schema"), @settings;
	my $database = 'archived';
	gallery($node, $database, '--generation', $generation, '--schema', $schema);
	my $quoted = $schema =~ s/"/""/gr;
	write_down($database, qq{"$quoted"}, 'before');
	my $before = join '', $on, @settings;
	is(query($database, q{SELECT count(*) FROM gallery_revert_plan() WHERE phase = 'archive'}), 0, "$name: nothing is archived unasked");
	my $plan = query($database, "$before SELECT sum(rows) FROM gallery_revert_plan() WHERE phase = 'archive' AND statement LIKE 'INSERT INTO gallery_archive.rows%'");
	my $digest = query($database, "$before SELECT digest FROM gallery_revert_plan() ORDER BY step DESC LIMIT 1");
	my ($status, $out, $err) = revert($node, $database, before => $before);
	is($status, 0, "$name: reverted") or diag($err);
	return if $status;
	like($err, qr/Digest of the plan: $digest\./, "$name: by the plan that was shown");
	is(query($database, 'SELECT count(*) FROM gallery_archive.rows'), $plan, "$name: as many rows are written down as the plan says");
	like($err, qr/^NOTICE:  00000: schema "gallery_archive" has what was removed or overwritten: $plan rows$/m, "$name: and the notice");
	write_down($database, qq{"$quoted"}, 'after');
	query($database, $gone);
	my $count = query($database, 'SELECT count(*) FROM seen.gone');
	cmp_ok($count, '>', 250, "$name: $count rows are gone or changed");
	is(query($database, <<'SQL'), '', "$name: each is in the archive, as it was");
SELECT g.t, g.content FROM seen.gone g
WHERE NOT EXISTS (SELECT FROM gallery_archive.rows r WHERE r.table_name = g.t AND r.content = g.content) LIMIT 5
SQL
	is(query($database, <<'SQL'), '', "$name: so is each value of a column that went, with its row's key");
SELECT v.t, v.name, v.value, v.content FROM seen.values v WHERE NOT EXISTS (SELECT FROM gallery_archive.rows r
WHERE r.table_name = v.t AND r.change = 'column' AND v.content @> r.key AND r.content -> v.name = v.value) LIMIT 5
SQL
	is(query($database, <<'SQL'), '', "$name: nothing is in it that was not there");
SELECT r.table_name, r.content FROM gallery_archive.rows r WHERE r.change <> 'column'
AND NOT EXISTS (SELECT FROM seen.before b WHERE b.t = r.table_name AND b.content = r.content) LIMIT 5
SQL
	is(query($database, <<'SQL'), 't|t', "$name: each row names its step, and the tables' rows their keys");
SELECT bool_and(why <> '' AND step > 0), bool_and(content @> key) FROM gallery_archive.rows WHERE change <> 'column'
SQL
	return $database;
}

foreach my $generation (Fixture::Facts::generation_names())
{
	my $database = archived($generation, 'public');
	$node->safe_psql('postgres', "DROP DATABASE $database") if $database;
}
done_testing();
