# tools/facts-diff: on databases of today it has nothing to say; on one that an invented new release of Immich or Gallery made it
# prints exactly the lines that the manifest lacks.
use strict;
use warnings FATAL => 'all';

use Fixture;
use IPC::Run ();
use Test::More;
use Twin;

my $root = Twin::abs_path(__FILE__) =~ s{/test/t/[^/]+$}{}r;
my $node = Twin::start_node('facts_diff', client_min_messages => 'warning');
my $twin = Twin->new($node, 'work');
my $serial = 0;

# Makes a database of a fixture and further SQL, and returns what the tool prints of it, or its complaint.
sub facts_diff
{
	my ($options, $product, $sql, @arguments) = @_;
	my $database = 'release_' . ++$serial;
	$twin->run('postgres', "CREATE DATABASE $database;");
	my $fixture = Fixture->new(rows => 0, %$options);
	$twin->run($database, $fixture->sql($product) . "SET search_path = \"$fixture->{schema}\";\n$sql");
	local @ENV{qw(PGHOST PGPORT PGDATABASE)} = ($node->host, $node->port, $database);
	my ($out, $err) = ('', '');
	IPC::Run::run([ "$root/tools/facts-diff", '--ignore-bodies', '--schema', $fixture->{schema}, @arguments ], '>', \$out, '2>', \$err);
	return $out . $err;
}

my $nothing = "# nothing is new: the manifest describes this database\n";
is(facts_diff({ generation => 'v5.8' }, 'immich', q(INSERT INTO version_history (version) VALUES ('3.3.5');)), $nothing, 'Immich v3.3.5');
is(facts_diff({ generation => 'v4.57' }, 'immich', q(INSERT INTO version_history (version) VALUES ('2.7.5');)), $nothing, 'Immich v2.7.5');
is(facts_diff({ generation => 'v5.9' }, 'gallery', q(INSERT INTO version_history (version) VALUES ('5.9.0');)), $nothing, 'Gallery v5.9.0');
is(facts_diff({ generation => 'v4.57', schema => 'my photos' }, 'gallery', q(INSERT INTO version_history (version) VALUES ('4.51.0');)),
	$nothing, 'Gallery v4.51.0, another schema');

# Immich v3.4.0: two migrations; a column, a table with its key and trigger, an enum, one thing gone, two changed.
my $immich = <<'SQL';
INSERT INTO kysely_migrations VALUES
  ('1795000000001-AlbumCover', '2026-11-20T00:00:01.000Z'), ('1795000000002-ReadLater', '2026-11-20T00:00:02.000Z');
INSERT INTO version_history (version) VALUES ('3.4.0');
CREATE TYPE cover_enum AS ENUM ('none', 'a "b"');
ALTER TABLE album ADD COLUMN "coverKind" cover_enum NOT NULL DEFAULT 'none';
ALTER TABLE tag ALTER COLUMN color TYPE text;
DROP INDEX asset_checksum_idx;
CREATE TABLE read_later ("assetId" uuid NOT NULL, CONSTRAINT read_later_pkey PRIMARY KEY ("assetId"));
CREATE TRIGGER "read_later_updatedAt" BEFORE UPDATE ON read_later FOR EACH ROW EXECUTE FUNCTION updated_at();
INSERT INTO migration_overrides VALUES ('trigger_read_later_updatedAt', '{}');
ALTER TABLE geodata_places RENAME TO geodata_places_tmp;
SQL
my $wanted = <<'TEXT';
# src/manifest/immich_migrations.inc, at the end
+ "1795000000001-AlbumCover",
+ "1795000000002-ReadLater",
# src/manifest/immich_releases.inc, at the end, with the day of the release
+ {"v3.4.0", "", 102},
# src/manifest/manifest.hpp
- inline constexpr int last_native_count = 100;
+ inline constexpr int last_native_count = 102;
# src/manifest/native_catalog.inc: first every line that is valid to the last count goes on:
# sed -i 's/, 100},$/, 102},/' src/manifest/native_catalog.inc
# src/manifest/native_catalog.inc, in their places (sorted by kind, table, name, first count)
+ {Kind::Enum, "", "cover_enum", "none,a \"b\"", 102, 102},
+ {Kind::Table, "read_later", "", "", 102, 102},
+ {Kind::Column, "album", "coverKind", "cover_enum not null default 'none'::cover_enum", 102, 102},
+ {Kind::Column, "read_later", "assetId", "uuid not null", 102, 102},
- {Kind::Column, "tag", "color", "character varying", 55, 102},
+ {Kind::Column, "tag", "color", "character varying", 55, 101},
+ {Kind::Column, "tag", "color", "text", 102, 102},
- {Kind::Index, "asset", "asset_checksum_idx", "USING btree (checksum)", 55, 102},
+ {Kind::Index, "asset", "asset_checksum_idx", "USING btree (checksum)", 55, 101},
+ {Kind::Index, "read_later", "read_later_pkey", "UNIQUE USING btree (\"assetId\")", 102, 102},
+ {Kind::Constraint, "read_later", "read_later_pkey", "PRIMARY KEY (\"assetId\")", 102, 102},
+ {Kind::Trigger, "read_later", "read_later_updatedAt", "BEFORE UPDATE ON read_later FOR EACH ROW EXECUTE FUNCTION updated_at()", 102, 102},
+ {Kind::Override, "", "trigger_read_later_updatedAt", "", 102, 102},
TEXT
is(facts_diff({ generation => 'v5.8' }, 'immich', $immich), $wanted, 'a new Immich');

# Gallery v5.10.0: one migration; a column and an index on Immich's tables, a table with an index, a trigger and a function.
my $gallery = <<'SQL';
INSERT INTO version_history (version) VALUES ('5.10.0');
ALTER TABLE asset ADD COLUMN "thingScore" real;
CREATE INDEX "asset_thingScore_idx" ON asset ("thingScore");
CREATE TABLE thing (id uuid NOT NULL, note text, CONSTRAINT thing_pkey PRIMARY KEY (id));
CREATE INDEX thing_note_idx ON thing (note);
CREATE INDEX thing_big_idx ON thing (note, id);
CREATE FUNCTION thing_changed(thing_id uuid, at timestamptz) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TRIGGER "thing_updatedAt" BEFORE UPDATE ON thing FOR EACH ROW EXECUTE FUNCTION updated_at();
INSERT INTO migration_overrides VALUES ('trigger_thing_updatedAt', '{}'), ('index_thing_big_idx', '{}'), ('function_thing_changed', '{}');
ALTER TABLE album ALTER COLUMN "isActivityEnabled" DROP DEFAULT;
SQL
my $lines = <<'TEXT';
# src/manifest/gallery_migrations.inc, in their places (sorted by name)
+ {"1799000000000-AddThing", Origin::released, "v5.10.0", "v5.10.0", ""},
# src/manifest/gallery_releases.inc, at the end, with the Immich release that it is based on
+ {"v5.10.0", "v3.3.5"},
# src/manifest/gallery_objects.inc, in their places (sorted by kind, table, name, migration)
+ {Kind::Table, "thing", "thing", "1799000000000-AddThing", ""},
+ {Kind::Column, "asset", "thingScore", "1799000000000-AddThing", ""},
+ {Kind::Index, "asset", "asset_thingScore_idx", "1799000000000-AddThing", ""},
+ {Kind::Index, "thing", "thing_big_idx", "1799000000000-AddThing", ""},
+ {Kind::Trigger, "thing", "thing_updatedAt", "1799000000000-AddThing", ""},
+ {Kind::Function, "", "thing_changed(uuid, timestamp with time zone)", "1799000000000-AddThing", ""},
# Immich's own facts that Gallery changed: a rule must put each back (src/rules)
# changed: column "isActivityEnabled" of table "album"
TEXT
my $row = q(('1799000000000-AddThing', '2026-11-20T00:00:00.000Z'););
is(facts_diff({ generation => 'v5.9' }, 'gallery', "INSERT INTO gallery_migrations VALUES $row$gallery"),
	$lines, 'a new Gallery with its own ledger');
is(facts_diff({ generation => 'v5.8' }, 'gallery', "INSERT INTO kysely_migrations VALUES $row$gallery", '--gallery'),
	$lines, 'a new Gallery of the older layout');

# What it cannot tell apart it says.
my $new = q(INSERT INTO kysely_migrations VALUES ('1795000000001-AlbumCover', '2026-11-20T00:00:01.000Z'););
like(facts_diff({ generation => 'v5.9' }, 'gallery', $new),
	qr/^this Gallery runs migrations of Immich that the manifest does not know either:\n  1795000000001-AlbumCover\nFirst look at/,
	'both new at once');
like(facts_diff({ generation => 'v4.57' }, 'immich', $new),
	qr/^the ledger lacks migrations of Immich/, 'a gap between the last known release and the new one');
like(facts_diff({ generation => 'v5.8' }, 'immich',
		q(INSERT INTO kysely_migrations VALUES ('1790000000000-Early', '2026-11-20T00:00:01.000Z');)),
	qr/^# 1790000000000-Early does not sort after 1790693088454-\w+: is this a released build\?$/m, 'a name that sorts before known ones');
like(facts_diff({ generation => 'v5.8' }, 'immich', 'DROP TABLE kysely_migrations;'),
	qr/^there is no table "kysely_migrations" in schema "public"/m, 'no Immich');

done_testing();
