# No false alarm: stock Immich of every generation and of every known number of migrations is clean in gallery_revert_check(), bodies of
# functions aside (those of the fixtures are stand-ins); so is one that a user or the server itself changed in ways that Immich
# ignores, and Gallery with such changes is reverted. What Immich does report is reported here too.
use strict;
use warnings FATAL => 'all';

use Fixture;
use Fixture::Facts;
use Test::More;
use Twin qw(in_parallel);

my $node = Twin::start_node('no_false_alarm', client_min_messages => 'warning');
my $check = q(SELECT '--' || name || '|' || status || '|' || replace(detail, E'\n', ' ') FROM tools.gallery_revert_check(););

# Loads a database and looks at it once for each piece of SQL run before. Returns for each { name of the check => [ status, detail ] }.
sub look
{
	my ($twin, $fixture, $product, @before) = @_;
	my $script = "BEGIN;\n" . Twin::_open_script($fixture, $product);
	$script .= "\\echo == case\nSAVEPOINT s;\n$_\n$check\nROLLBACK TO s;\n" foreach @before;
	my ($out, $err, $ok) = $twin->psql($twin->{database}, $script . "ROLLBACK;\n", schema => $fixture->{schema});
	die "psql failed: $err\n" if !$ok;
	my (undef, @out) = split /^== case\n/m, $out, -1;
	return map { my %found = map { /^--([^|]*)\|([^|]*)\|(.*)/ ? ($1 => [ $2, $3 ]) : () } split /\n/; \%found } @out;
}

# What is not as it is on a clean database.
sub alarms
{
	my ($found) = @_;
	my @expected = ('ledger', 'migrations', 'ledger order', 'namesakes', 'schema', 'additions');
	return map { "$_: " . join ' ', @{ $found->{$_} // ['not there'] } } grep { ($found->{$_}[0] // '') ne 'ok' } @expected;
}

# Only Gallery v5.7 and newer go with 95 and more.
my @cases = map { { generation => $_ < 95 ? 'v4.57' : 'v5.8', native => $_, rows => 0 } } 55 .. 100;
push @cases, map { { generation => $_, assets => 200 } } Fixture::Facts::generation_names();
push @cases, { generation => 'v4.57', assets => 200, schema => 'my "photos"' }, { generation => 'v5.9', rows => 0, schema => 'Immich' };
push @cases, map { { generation => $_, rows => 0, product => 'gallery' } } Fixture::Facts::generation_names();
my @found = in_parallel(
	$node, 2,
	sub {
		my ($twin, $case) = @_;
		my %options = %$case;
		my $product = delete $options{product} // 'immich';
		my ($found) = look($twin, Fixture->new(%options), $product, '');
		return { alarms => [ alarms($found) ], clean => $found->{clean}[0] // '', schema => $found->{schema}[1] };
	},
	@cases);
foreach my $case (@cases)
{
	my $found = shift @found;
	my $name = join ', ', $case->{product} // 'immich', $case->{generation},
		map { defined $case->{$_} ? "$_ $case->{$_}" : () } qw(native schema);
	is_deeply($found->{alarms}, [], "$name: $found->{schema}");
	is($found->{clean}, ($case->{product} // '') eq 'gallery' ? 'warning' : 'ok', "$name: what it is");
}

# Changes that Immich ignores: SQL, and how "additions" must name each; nothing where there is nothing to say.
my @ignored = (
	[ 'an index', 'CREATE INDEX my_index ON asset ("createdAt", "ownerId");', qr/extra: index "my_index" of table "asset"/ ],
	[ 'a unique index', 'CREATE UNIQUE INDEX my_index ON album (id, "createdAt");', qr/extra: index "my_index"/ ],
	[ 'a table', q(CREATE TABLE my_notes (id serial PRIMARY KEY, asset uuid REFERENCES asset (id), note text NOT NULL CHECK (note <> ''));)
			. ' CREATE INDEX ON my_notes (note);',
		qr/extra: table "my_notes"/ ],
	[ 'a partitioned table', 'CREATE TABLE my_log (at date PRIMARY KEY) PARTITION BY RANGE (at);'
			. ' CREATE TABLE my_log_1 PARTITION OF my_log DEFAULT;', qr/extra: table "my_log"/ ],
	[ 'a column', 'ALTER TABLE album ADD COLUMN my_rating integer;', qr/extra: column "my_rating" of table "album"/ ],
	[ 'a trigger', 'CREATE TRIGGER my_trigger BEFORE UPDATE ON tag FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();',
		qr/extra: trigger "my_trigger" of table "tag"/ ],
	[ 'an enum', q(CREATE TYPE my_colour AS ENUM ('red', 'blue');), qr/extra: enum "my_colour"/ ],
	[ 'a sequence', 'CREATE SEQUENCE my_numbers;', qr/extra: sequence "my_numbers"/ ],
	[ 'a view', 'CREATE VIEW my_view AS SELECT id, "ownerId" FROM asset;'
			. ' CREATE MATERIALIZED VIEW my_counts AS SELECT count(*) FROM asset;', undef ],
	[ 'another schema', 'CREATE SCHEMA mine; CREATE TABLE mine.asset (id int PRIMARY KEY);'
			. q( CREATE FUNCTION mine.f() RETURNS int LANGUAGE sql AS 'SELECT 1';), undef ],
	[ 'an extension', 'CREATE EXTENSION citext;', undef ],
	[ 'statistics, comments, grants, storage', 'CREATE STATISTICS my_statistics ON "ownerId", type FROM asset;'
			. q( COMMENT ON TABLE asset IS 'mine'; GRANT SELECT ON asset TO PUBLIC;)
			. ' ALTER TABLE asset SET (fillfactor = 90); ALTER TABLE asset ALTER COLUMN "originalPath" SET STATISTICS 500;', undef ],
	[ 'an aggregate', 'CREATE AGGREGATE my_sum (integer) (SFUNC = int4pl, STYPE = integer);', undef ],
	[ 'a vector index by another method', 'DROP INDEX IF EXISTS clip_index, face_index;'
			. ' CREATE INDEX clip_index ON smart_search USING hash ("assetId");'
			. ' CREATE INDEX face_index ON face_search USING btree ("faceId");', undef ],
	[ 'no vector index', 'DROP INDEX IF EXISTS clip_index, face_index;', undef ],
	[ 'geodata swapped', 'CREATE TABLE geodata_places_tmp (LIKE geodata_places); DROP TABLE geodata_places;'
			. ' ALTER TABLE geodata_places_tmp RENAME TO geodata_places;'
			. ' ALTER TABLE geodata_places ADD CONSTRAINT "geodata_places_tmp_pkey" PRIMARY KEY (id);'
			. ' CREATE INDEX idx_geodata_places_name_1 ON geodata_places USING btree (name);'
			. ' CREATE TABLE naturalearth_countries_tmp (LIKE naturalearth_countries INCLUDING IDENTITY); DROP TABLE naturalearth_countries;'
			. ' ALTER TABLE naturalearth_countries_tmp RENAME TO naturalearth_countries;'
			. ' ALTER TABLE naturalearth_countries ADD PRIMARY KEY (id) WITH (fillfactor = 100);', undef ],
	[ 'geodata not yet there', 'DROP TABLE geodata_places, naturalearth_countries;', undef ],
	[ 'leftovers of old versions', 'CREATE TABLE migrations (id serial PRIMARY KEY, "timestamp" bigint NOT NULL, name varchar NOT NULL);'
			. ' CREATE TABLE typeorm_metadata (type varchar NOT NULL, name varchar);'
			. ' CREATE TABLE system_config (key varchar PRIMARY KEY, value varchar);'
			. ' CREATE TABLE socket_io_attachments (id bigserial UNIQUE, created_at timestamptz DEFAULT now(), payload bytea);', undef ]);

# What Immich itself reports, by name.
my @reported = (
	[ 'a function', q(CREATE FUNCTION my_function() RETURNS int LANGUAGE sql AS 'SELECT 1';), qr/extra: function "my_function\(\)"/ ],
	[ 'a constraint', 'ALTER TABLE album ADD CONSTRAINT my_check CHECK (id IS NOT NULL);', qr/extra: constraint "my_check" of table "album"/ ],
	[ 'a column dropped', 'ALTER TABLE album DROP COLUMN description CASCADE;', qr/missing: column "description" of table "album"/ ]);

my $twin = Twin->new($node, 'work');
foreach my $options ({ generation => 'v4.57' }, { generation => 'v5.9', schema => 'my "photos"' })
{
	my @all = (@ignored, @reported);
	my @seen = look($twin, Fixture->new(%$options, assets => 200), 'immich', map { $_->[1] } @all);
	foreach my $i (0 .. $#all)
	{
		my ($name, undef, $named) = $all[$i]->@*;
		my $found = $seen[$i];
		my $shown = join ' ', map { @{ $found->{$_} } } qw(schema additions);
		if ($i > $#ignored)
		{
			like(join(' ', @{ $found->{schema} }), qr/^warning .*$named/, "$options->{generation}, $name: reported");
			next;
		}
		is($found->{schema}[0], 'ok', "$options->{generation}, $name: no drift") or diag($shown);
		is_deeply([ grep { $found->{$_}[0] eq 'blocked' } keys %$found ], [], "$options->{generation}, $name: blocks nothing");
		like(join(' ', @{ $found->{additions} }), $named ? qr/^warning .*$named/ : qr/^ok /,
			"$options->{generation}, $name: " . ($named ? 'told as an addition' : 'nothing to tell'));
	}

	# With each of them, and with all of those that go together, Gallery is still reverted.
	my $gallery = Fixture->new(%$options, assets => 200);
	my $together = join ' ', map { $_->[1] } grep { $_->[0] !~ /unique|vector|geodata not/ } @all[ 0 .. $#ignored ];
	my @tried = $twin->attempts($gallery, (map { [ $_->[1] ] } @all), [$together]);
	like($tried[$_]{out}, qr/^returned v/, "$options->{generation}, Gallery with $all[$_][0]: reverted") foreach 0 .. $#all;
	like($tried[-1]{out}, qr/^returned v/, "$options->{generation}, Gallery with many: reverted");
	unlike($tried[-1]{messages}, qr/extra:/, "$options->{generation}: without a warning about what is the user's");
}

done_testing();
