# Foreign keys that do not hold what Immich's hold, and tables in a state that Immich never made: named, refused where a step relies on
# them, with the statements that mend them; and those statements do.
use strict;
use warnings FATAL => 'all';

use Fixture;
use Test::More;
use Twin;

my $node = Twin::start_node('integrity', client_min_messages => 'warning');
my $twin = Twin->new($node, 'work');
my $restored = 'ALTER TABLE %1$s DISABLE TRIGGER ALL; ALTER TABLE %1$s ENABLE TRIGGER USER;';

# What a step relies on: table and key, what is wrong with it, how it is named, and the statement that mends it.
my @broken = (
	[ 'triggers left off by an interrupted restore', sprintf($restored, 'person_group'),
		qr/is not enforced: its triggers are off/, qr/ALTER TABLE public\.person_group ENABLE TRIGGER ALL;/ ],
	[ 'the same on the table of faces', sprintf($restored, 'asset_face'),
		qr/key "asset_face_\w+_fkey" of table "asset_face" is not enforced/, qr/ALTER TABLE public\.asset_face ENABLE TRIGGER ALL;/ ],
	[ 'a key that is missing', 'ALTER TABLE asset_face DROP CONSTRAINT "asset_face_personGroupId_fkey";',
		qr/key "asset_face_personGroupId_fkey" of table "asset_face" is missing/,
		qr/ALTER\ TABLE\ public\.asset_face\ ADD\ CONSTRAINT\ "asset_face_personGroupId_fkey"
			\ FOREIGN\ KEY\ \("personGroupId"\)\ REFERENCES\ public\.person_group\(id\)/x ],
	[ 'a key that is not valid', 'ALTER TABLE face_search DROP CONSTRAINT "face_search_faceId_fkey";'
			. ' ALTER TABLE face_search ADD CONSTRAINT "face_search_faceId_fkey"'
			. ' FOREIGN KEY ("faceId") REFERENCES asset_face (id) ON DELETE CASCADE NOT VALID;',
		qr/key "face_search_faceId_fkey" of table "face_search" is not valid/,
		qr/ALTER TABLE public\.face_search VALIDATE CONSTRAINT "face_search_faceId_fkey";/ ],
	[ 'a key that deletes where Immich\'s sets null', 'ALTER TABLE asset_face DROP CONSTRAINT "asset_face_personGroupId_fkey";'
			. ' ALTER TABLE asset_face ADD CONSTRAINT'
			. ' "asset_face_personGroupId_fkey" FOREIGN KEY ("personGroupId") REFERENCES person_group (id) ON UPDATE CASCADE ON DELETE CASCADE;',
		qr/key "asset_face_personGroupId_fkey" of table "asset_face" is FOREIGN KEY .* ON DELETE CASCADE/,
		qr/DROP CONSTRAINT "asset_face_personGroupId_fkey", ADD CONSTRAINT "asset_face_personGroupId_fkey"/ ]);

# The mending statements are run as they are printed.
my $mend = <<'SQL';
CREATE FUNCTION pg_temp.mend() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  text text; line text;
BEGIN
  SELECT hint INTO text FROM tools.gallery_revert_check() WHERE name = 'keys' AND status = 'blocked';
  FOR line IN SELECT l FROM regexp_split_to_table(text, E'\n') l WHERE l LIKE 'ALTER %' LOOP
    EXECUTE line;
  END LOOP;
  RETURN 'mended';
END $$;
SELECT pg_temp.mend();
SQL
my $fixture = Fixture->new(generation => 'v5.8', assets => 240);
my $asked = q(SELECT status FROM tools.gallery_revert_check() WHERE name = 'keys';);
my @got = $twin->attempts($fixture, map { ([ $_->[1], $asked ], [ "$_->[1]\n$mend", $asked ]) } @broken);
foreach my $i (0 .. $#broken)
{
	my ($words, undef, $named, $statement) = $broken[$i]->@*;
	my ($refused, $mended) = @got[ 2 * $i, 2 * $i + 1 ];
	like($refused->{out}, qr/^refused 55000 foreign keys of Immich's do not hold where rows have to be deleted\n/, "$words: refused");
	like($refused->{out}, $named, "$words: named");
	like($refused->{out}, $statement, "$words: with the statement that mends it");
	unlike($refused->{out}, qr/or a superuser/, "$words: which no superuser is told to run: it plans what the owner hung on his tables");
	like($refused->{out}, qr/\nblocked\n\z/, "$words: and so says the check");
	is($mended->{out}, "mended\nreturned v3.3.5\nok\n", "$words: after that statement, reverted");
}

# Rows that point to nothing are counted.
my @orphans = $twin->attempts($fixture, [ sprintf($restored, 'asset') . q( DELETE FROM asset_exif;
  DELETE FROM asset_face WHERE "assetId" IN (SELECT id FROM asset ORDER BY id LIMIT 3);
  DELETE FROM asset WHERE id IN (SELECT id FROM asset ORDER BY id LIMIT 3);), '' ]);
like($orphans[0]{out}, qr/^refused 55000 (?:.*\n)*.* \(\d+ rows point to nothing\)/, 'rows that point to nothing are counted');

# Elsewhere it is drift: named, not refused. The same for the state of tables, and for a default that only looks like Immich's.
my @elsewhere = (
	[ 'a key of a table that no step changes', 'ALTER TABLE tag_asset DROP CONSTRAINT "tag_asset_tagId_fkey";',
		'keys', qr/key "tag_asset_tagId_fkey" of table "tag_asset" is missing/ ],
	[ 'its triggers', sprintf($restored, 'tag_asset'), 'keys', qr/of table "tag_asset" is not enforced/ ],
	[ 'a table that is not logged', 'ALTER TABLE tag_closure SET UNLOGGED;',
		'schema', qr/different: table "tag_closure", expected "", found "unlogged"/ ],
	[ 'row security', 'ALTER TABLE tag ENABLE ROW LEVEL SECURITY;', 'schema', qr/different: table "tag", expected "", found "row security"/ ],
	[ 'a default by a function of another schema', q(CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql
	    AS 'SELECT NULL::timestamptz'; ALTER TABLE tag ALTER "createdAt" SET DEFAULT public.now();),
		'schema', qr/different: column "createdAt" of table "tag", expected ".* default now\(\)", found ".* default public\.now\(\)"/ ],
	[ 'a type that has the name of one of the server\'s', q(CREATE DOMAIN public.uuid AS pg_catalog.uuid;
	    ALTER TABLE tag_asset ALTER "tagId" TYPE public.uuid;),
		'schema', qr/different: column "tagId" of table "tag_asset", expected "uuid not null", found "public\.uuid not null"/ ]);
my $shown = q(SELECT status, detail FROM tools.gallery_revert_check() WHERE name = '%s';);
my @seen = $twin->attempts($fixture, map {
	my $check = sprintf $shown, $_->[2];
	[ "$_->[1]\n\\echo == before\n$check\n\\echo == after", $check ]
} @elsewhere);
foreach my $i (0 .. $#elsewhere)
{
	my ($words, undef, undef, $named) = $elsewhere[$i]->@*;
	my (undef, $before, $after) = split /^== \w+\n/m, $seen[$i]{out};
	like($before, qr/^warning\|.*$named/s, "$words: named on Gallery");
	like($after, qr/^returned v3\.3\.5\nwarning\|.*$named/s, "$words: reverted, and named on the Immich that it is then");
}

done_testing();
