# What gallery_revert_losses() tells: nothing of Gallery's is forgotten, whichever table it is in; its counts are what a revert takes away;
# and the revert says the same at its end.
use strict;
use warnings FATAL => 'all';

use Fixture;
use Fixture::Facts;
use GalleryTest;
use Test::More;
use Twin;

my $node = Twin::start_node('losses');
my $twin = Twin->new($node, 'work');

# Each table of Gallery's that has rows, in turn, is the only one of them that has any: without its rows less is told.
my $forgotten = <<'SQL';
CREATE FUNCTION pg_temp.told() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(l::text, E'\n') FROM tools.gallery_revert_losses() l $$;
CREATE FUNCTION pg_temp.forgotten() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE t text; other text; found bigint; tried int := 0; told text;
  tables text[] := ARRAY(SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = current_schema() AND tablename IN
    (SELECT object FROM tools.gallery_revert_manifest() WHERE kind = 'table' UNION SELECT 'gallery_migrations_lock') ORDER BY 1);
BEGIN
  SET LOCAL session_replication_role = replica;
  FOREACH t IN ARRAY tables LOOP
    BEGIN
      FOREACH other IN ARRAY tables LOOP
        IF other <> t THEN EXECUTE 'DELETE FROM ' || other; END IF;
      END LOOP;
      told := pg_temp.told();
      EXECUTE 'DELETE FROM ' || t;
      GET DIAGNOSTICS found = ROW_COUNT;
      IF found > 0 THEN
        tried := tried + 1;
        IF pg_temp.told() = told THEN RETURN NEXT t || ' is forgotten'; END IF;
      END IF;
      RAISE EXCEPTION 'undo' USING ERRCODE = 'TT001';
    EXCEPTION WHEN SQLSTATE 'TT001' THEN NULL;
    END;
  END LOOP;
  RETURN NEXT 'tried ' || tried;
END $$;
SELECT pg_temp.forgotten();
SQL

# Against the steps of the plan, which count by themselves.
my %same = (
	'v4.57' => {
		asset_face => q(SELECT regexp_replace(what, '\D', '', 'g') FROM tools.gallery_revert_losses() WHERE what LIKE 'pets with % faces'),
		person => q(SELECT count FROM tools.gallery_revert_losses() WHERE what LIKE 'pets %'),
		memory => q(SELECT count FROM tools.gallery_revert_losses() WHERE what LIKE 'memor%'),
		api_key => q(SELECT cardinality(names) FROM tools.gallery_revert_losses() WHERE what LIKE 'permissions of API keys%'),
		user_metadata => q(SELECT count FROM tools.gallery_revert_losses() WHERE what LIKE 'preference%') },
	'v5.9' => {
		asset_face => q(SELECT regexp_replace(what, '\D', '', 'g') FROM tools.gallery_revert_losses() WHERE what LIKE 'pets with % faces'),
		asset_edit => q(SELECT count FROM tools.gallery_revert_losses() WHERE what LIKE 'edit%'),
		memory => q(SELECT count FROM tools.gallery_revert_losses() WHERE what LIKE 'memor%'),
		shared_link => q(SELECT count FROM tools.gallery_revert_losses() WHERE what LIKE 'share link%'),
		shared_link_asset => q(SELECT count FROM tools.gallery_revert_losses() WHERE what LIKE 'photo% in share links%') });

foreach my $generation (Fixture::Facts::generation_names())
{
	my $fixture = Fixture->new(generation => $generation, assets => 240);
	my $counted = $same{$generation} // {};
	my @tables = sort keys %$counted;
	my $told = q(SET LOCAL client_min_messages = notice;
	  CREATE TEMP TABLE told ON COMMIT DROP AS SELECT count || ' ' || what AS line FROM tools.gallery_revert_losses(););
	my ($seen, $ran) = $twin->attempts($fixture,
		[ $forgotten . join '', map { "SELECT '$_', p.rows, ($counted->{$_}) FROM (SELECT sum(rows) AS rows FROM tools.gallery_revert_plan()
		  WHERE object = '$_' AND kind = 'rows') p;\n" } @tables ],
		[ $told, q(SELECT line FROM told;) ]);
	like($seen->{out}, qr/^tried ([1-9]\d*)$/m, "$generation: tables with rows");
	is(join("\n", $seen->{out} =~ /^(.* is forgotten)$/mg), '', "$generation: none is forgotten");
	foreach my $table (@tables)
	{
		my ($rows, $count) = $seen->{out} =~ /^$table\|(\d+)\|(\d+)$/m;
		ok($rows, "$generation: a step changes rows of $table");
		is($count, $rows, '... and the loss is as much');
	}
	my ($returned, @lines) = split /\n/, $ran->{out};
	like($returned, qr/^returned v/, "$generation: reverted");
	cmp_ok(scalar @lines, '>=', 2, '... with losses');
	my ($detail) = $ran->{messages} =~ /^(?:psql:\S+ )?DETAIL:  Lost or changed:\n(.*?)\nThe locks were held/ms;
	is($detail, join("\n", @lines), '... which the revert names at its end');
}

# Names that are odd, and rows that belong to nothing any more.
my ($odd) = $twin->attempts(Fixture->new(generation => 'v5.9', assets => 240),
	[ <<'SQL' ]);
UPDATE "user" SET name = '' WHERE id = (SELECT min(id::text)::uuid FROM "user");
UPDATE shared_space SET name = E'a "b", {c} \\ d\n' || U&'\043F';
UPDATE person SET name = '' WHERE type = 'pet';
UPDATE shared_link SET description = NULL;
UPDATE system_metadata SET value = jsonb_set(value, '{classification,categories}', '"none"') WHERE key = 'system-config';
SELECT count(*) > 15, bool_and(count > 0 AND what <> '' AND instead <> ''), count(*) FILTER (WHERE what LIKE 'categor%')
  FROM tools.gallery_revert_losses();
SELECT names[1] = (SELECT name FROM shared_space LIMIT 1) || ': 3 members, ' || split_part(names[1], ', ', 3)
  FROM tools.gallery_revert_losses()
  WHERE what LIKE 'spaces %';
SELECT names[1] ~ '^no name: \d+ faces?$' FROM tools.gallery_revert_losses() WHERE what LIKE 'pets %';
SELECT bool_and(n !~ '[0-9a-f]{60}') FROM tools.gallery_revert_losses(), unnest(names) n;
SQL
like($odd->{out}, qr/^t\|t\|0\nt\nt\nt\nreturned v3\.3\.5$/m, 'odd names, and settings of another shape');
done_testing();
