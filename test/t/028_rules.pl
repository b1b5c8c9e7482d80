# What the rules do to rows where Gallery's data is not as Gallery leaves it: where somebody started Immich in between,
# made a person of a pet, has a table of his own with a name of Gallery's, wrote odd numbers; and what a rule may cost.
use strict;
use warnings FATAL => 'all';

use Fixture;
use Test::More;
use Twin;

my $node = Twin::start_node('rules');
my $twin = Twin->new($node, 'work');

# Tries each case from the same state of one fixture. A case: its name; SQL before and after the revert; what both print,
# as a text or a pattern; what the revert reports, as a pattern.
sub cases
{
	my ($options, @cases) = @_;
	my $fixture = Fixture->new(assets => 240, %$options);
	my @got = $twin->attempts($fixture, map { [ $_->{before} // '', $_->{after} // '' ] } @cases);
	foreach my $i (0 .. $#cases)
	{
		my ($case, $got) = ($cases[$i], $got[$i]);
		my $name = "$options->{generation}: $case->{name}";
		if (ref $case->{printed}) { like($got->{out}, $case->{printed}, $name) }
		else { is($got->{out}, $case->{printed}, $name) }
		like($got->{messages}, $case->{reported}, "$name: reported") if $case->{reported};
		unlike($got->{messages}, $case->{silent}, "$name: not reported") if $case->{silent};
	}
	return;
}

# Output that matches these lines.
sub lines_like { my $lines = join '', map { "$_\n" } @_; return qr/\A$lines\z/ }
sub kept { my ($name, $query) = @_; return "CREATE TEMP TABLE $name ON COMMIT DROP AS $query;" }

# Favourites: somebody started Immich on the database, and it has its column again.
my $add_column = 'ALTER TABLE asset ADD COLUMN "isFavorite" boolean NOT NULL DEFAULT false;';
my $overlay = 'EXISTS (SELECT FROM asset_favorite f WHERE f."assetId" = a.id AND f."userId" = a."ownerId")';
my $set_in_immich = <<"SQL";
UPDATE asset SET "isFavorite" = true WHERE id IN (SELECT a.id FROM asset a WHERE NOT $overlay ORDER BY a.id LIMIT 60);
SQL
my $favourites_differ = 'SELECT count(*) FROM asset a JOIN want w USING (id) WHERE a."isFavorite" <> w.favourite;';
cases({ generation => 'v5.9' },
	{
		name => q(favourites set in Immich since its column was added stay, and Gallery's come back),
		before => $add_column . $set_in_immich . kept('want', qq(SELECT a.id, a."isFavorite" OR $overlay AS favourite FROM asset a))
			. 'SELECT count(*) FILTER (WHERE favourite) > 60 FROM want;',
		after => $favourites_differ,
		printed => "t\nreturned v3.3.5\n0\n",
		reported => qr/column "isFavorite" of table "asset" is there again/,
	},
	{
		name => 'without such a column there is nothing to say of it',
		printed => "returned v3.3.5\n",
		silent => qr/is there again/,
	},
	{
		name => 'where it is recorded that the column is there, the table is newer',
		before => q(DELETE FROM gallery_migrations WHERE name = '1794100000000-DropAssetIsFavoriteColumn';) . $add_column
			. $set_in_immich . kept('want', qq(SELECT a.id, $overlay AS favourite FROM asset a)),
		after => $favourites_differ,
		printed => "returned v3.3.5\n0\n",
		silent => qr/is there again/,
	});

# Pets: somebody made a human of one.
sub pet_cases
{
	my ($generation, $key) = @_;
	my $of_person = qq(SELECT f.id FROM asset_face f JOIN person p ON p."$key" = f."$key" WHERE p.name = 'Fido');
	$of_person =~ s/p\."personId"/p.id/;
	cases({ generation => $generation },
		{
			name => 'a face that pet_search lists stays where its person is a human now, others of the list go',
			before => q(UPDATE person SET type = 'person', species = NULL, name = 'Fido' WHERE name = 'Pet 0';)
				. kept('fido', $of_person) . kept('listed', 'SELECT "faceId" AS id FROM pet_search')
				. 'SELECT (SELECT count(*) > 0 FROM fido JOIN listed USING (id)), (SELECT count(*) > 0 FROM listed'
				. ' JOIN asset_face f USING (id) WHERE f."' . $key . '" IS NULL);',
			after => 'SELECT (SELECT count(*) FROM fido) = (SELECT count(*) FROM fido JOIN asset_face USING (id)),'
				. ' (SELECT count(*) FROM listed JOIN asset_face USING (id) WHERE id NOT IN (SELECT id FROM fido));',
			printed => qr/\At\|t\nreturned v3\.\d\.\d\nt\|0\n\z/,
		});
	return;
}
pet_cases('v5.6', 'personId');
pet_cases('v5.8', 'personGroupId');

# A stranger is absent for every rule.
cases({ generation => 'v4.57' },
	{
		name => 'a table "pet_search" that no recorded migration made is not read',
		before => 'CREATE TABLE pet_search AS SELECT id AS "faceId" FROM asset_face;' . kept('was', <<'SQL'),
SELECT f.id FROM asset_face f LEFT JOIN person p ON p.id = f."personId" WHERE p.type IS DISTINCT FROM 'pet'
SQL
		after => <<'SQL',
SELECT count(*) > 0, count(*) = count(f.id), (SELECT count(*) > 0 FROM pet_search) FROM was LEFT JOIN asset_face f USING (id);
SQL
		printed => "returned v2.7.5\nt|t|t\n",
		reported => qr/called as Gallery's are.*"pet_search"/s,
	});

# Share links made from a space.
my $links = q(SELECT l.description, count(s."assetId") FROM shared_link l);
$links .= q( LEFT JOIN shared_link_asset s ON s."sharedLinkId" = l.id WHERE l.description IN (%s) GROUP BY 1 ORDER BY 1;);
cases({ generation => 'v5.5' },
	{
		name => 'a link that loses all of its photos goes and is counted; one that had none stays',
		before => sprintf($links, "'Link 102', 'Link 103', 'Link 108'") . <<'SQL',
SELECT object, rows, reason FROM tools.gallery_revert_plan() WHERE object LIKE 'shared_link%' AND kind = 'rows' ORDER BY step;
SQL
		after => sprintf($links, "'Link 102', 'Link 108'"),
		printed => lines_like('Link 102\|[1-9]\d*', 'Link 103\|[1-9]\d*', 'Link 108\|0',
			'shared_link\|1\|links made from a space: none of their photos may be shared',
			'shared_link_asset\|[1-9]\d*\|links made from a space: photos their owner may not share',
			'shared_link\|2\|links made from a space: albums their owner may not share',
			'returned v3\.1\.0', 'Link 108\|0'),
	},
	{
		name => q(a partner's photos go where the partner's user is deleted),
		before => <<'SQL',
UPDATE "user" SET "deletedAt" = now() WHERE id IN (SELECT p."sharedById" FROM partner p JOIN shared_link l
  ON l."userId" = p."sharedWithId" WHERE l.description = 'Link 101');
SELECT count(DISTINCT a."ownerId") FROM shared_link l JOIN shared_link_asset s ON s."sharedLinkId" = l.id
  JOIN asset a ON a.id = s."assetId" WHERE l.description = 'Link 101';
SQL
		after => <<'SQL',
SELECT count(DISTINCT a."ownerId"), bool_and(a."ownerId" = l."userId") FROM shared_link l
  JOIN shared_link_asset s ON s."sharedLinkId" = l.id JOIN asset a ON a.id = s."assetId" WHERE l.description = 'Link 101';
SQL
		printed => "3\nreturned v3.1.0\n1|t\n",
	});

# Durations that the original of a trimmed video cannot have had, in databases of both types.
my $set_first = 'UPDATE asset_edit SET parameters = parameters || jsonb_build_object(\'originalDuration\', %s::jsonb)'
	. q( WHERE id = (SELECT id FROM asset_edit WHERE action = 'trim' AND parameters ? 'originalDuration' ORDER BY id LIMIT 1))
	. ' RETURNING "assetId" AS asset \gset';
my @odd = ('1e-400', '-1e-400', '1e-320', '0.0004', '1e400', '-1e400', '123456789012345678901234567890', '2147483.648',
	'1e20000', '"NaN"', '"Infinity"', '"1e-400"', '[]', '{}', 'true');
my %even = ('0.001' => [ '00:00:00.001', '1' ], '2147483' => [ '596:31:23', '2147483000' ],
	'1.' . '0' x 500 . '1' => [ '00:00:01', '1000' ]);
foreach my $of ([ 68, 'character varying', q('00:00:04.321') ], [ 88, 'integer', '4321' ])
{
	my ($native, $type, $trimmed) = @$of;
	my $duration = q(SELECT regexp_replace(duration::text, '\.0+$', '') FROM asset WHERE id = :'asset';);
	my $trim = qq(UPDATE asset SET duration = $trimmed WHERE id = :'asset';);
	my ($expected) = $trimmed =~ /([\d:.]+)/;
	my $case = sub {
		my ($name, $seconds, $printed, $unknown) = @_;
		return { name => "$type: $name", before => sprintf("$set_first\n$trim", "'$seconds'"), after => $duration,
			printed => "returned v3.1.0\n$printed\n", reported => qr/$unknown trimmed videos do not say/ };
	};
	cases({ generation => 'v5.3', native => $native },
		(map { $case->("an original duration of $_ is none, and said so", $_, $expected, 3) } @odd),
		(map { $case->('one of ' . substr($_, 0, 20) . ' is', $_, $even{$_}[ $type eq 'integer' ], 2) } sort keys %even));
}

# What goes along with a step's rows has a bound where one is known.
my $no_stock = qr/\Arefused 55000 the result would not be a stock Immich/;
my $noisy = <<'SQL';
CREATE FUNCTION noise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s RETURN NULL; END $$;
CREATE TRIGGER noise AFTER DELETE ON %s FOR EACH ROW EXECUTE FUNCTION noise();
SQL
my $face_audit = q(INSERT INTO asset_face_audit ("assetFaceId", "assetId") VALUES (OLD.id, OLD."assetId"););
my $of_others = <<'SQL';
DELETE FROM face_search WHERE "faceId" = (SELECT s."faceId" FROM face_search s JOIN asset_face f ON f.id = s."faceId"
  JOIN person p USING ("personGroupId") WHERE p.type <> 'pet' ORDER BY 1 LIMIT 1);
SQL
my $of_humans = <<'SQL';
DELETE FROM person WHERE ("ownerId", "personGroupId") = (SELECT "ownerId", "personGroupId" FROM person WHERE type <> 'pet'
  ORDER BY "personGroupId" LIMIT 1);
SQL
cases({ generation => 'v5.8' },
	{
		name => 'more audit rows than rows that are deleted are refused',
		before => sprintf($noisy, $face_audit, 'asset_face'),
		printed => qr/$no_stock.*^table "asset_face_audit": \d+ rows inserted, expected at most \d+$/ms,
	},
	{
		name => 'and so is what is taken from the faces that stay',
		before => sprintf($noisy, $of_others, 'asset_face'),
		printed => qr/$no_stock.*^table "face_search": \d+ rows deleted, expected at most \d+$/ms,
	},
	{
		name => 'and people who are no pets, where a group goes',
		before => sprintf($noisy, $of_humans, 'person_group'),
		printed => qr/$no_stock.*^table "person": \d+ rows deleted, expected at most \d+$/ms,
	},
	{
		name => 'audit rows of a memory that goes, go with it',
		before => q(INSERT INTO memory_asset_audit ("memoryId", "assetId") SELECT m.id, a.id FROM asset a,)
			. q( (SELECT id FROM memory WHERE type = 'rule' LIMIT 1) m LIMIT 3; SELECT count(*) AS audited FROM memory_asset_audit \gset),
		after => 'SELECT :audited - count(*) FROM memory_asset_audit;',
		printed => "returned v3.3.5\n3\n",
	});

# No statement may cost more than in proportion to the rows, whatever memory and statistics there are. The server reckons what
# each would cost if the tables were large; a set that is looked through for every row of another costs thousands of times more.
my %large = (person => 130_000, person_group => 130_000, asset => 1_000_000, asset_face => 1_000_000, asset_edit => 100_000,
	asset_file => 3_000_000, face_search => 1_000_000, pet_search => 100_000, asset_favorite => 100_000, shared_link => 100_000,
	shared_link_asset => 1_000_000, partner => 1_000, workflow => 1_000, workflow_step => 10_000, memory => 100_000, album_user => 100_000);
# What to read and sort the largest of these tables a few times costs by that reckoning.
my $dearest = 3_000_000;
sub pretend
{
	my $pages = join ' ', map { "WHEN '$_' THEN $large{$_}" } sort keys %large;
	return <<"SQL";
ALTER DATABASE poor SET work_mem = '64kB';
ALTER DATABASE poor SET hash_mem_multiplier = 1;
DELETE FROM pg_statistic WHERE starelid >= 16384; -- what the server knows of its own catalog stays
UPDATE pg_class SET relpages = 1, reltuples = (CASE relname $pages END) / greatest(pg_relation_size(oid) / 8192, 1)
  WHERE relkind = 'r' AND relname IN (@{[ join ', ', map { "'$_'" } sort keys %large ]});
SQL
}
foreach my $generation ('v4.57', 'v5.5', 'v5.8')
{
	$twin->run('postgres', 'CREATE DATABASE poor;');
	$twin->run('poor', Fixture->new(generation => $generation, assets => 3000)->sql('gallery')
		. 'CREATE EXTENSION gallery_revert;' . pretend());
	my (undef, $plans, $ok) = $twin->psql('poor', <<'SQL');
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; SET auto_explain.log_level = notice;
SET client_min_messages = notice; SET gallery.revert_token = 'i_accept_data_loss';
SELECT count(*) FROM gallery_revert_plan();
SELECT count(*) FROM gallery_revert_check();
SELECT gallery_revert();
SELECT count(*) FROM immich_inventory();
SQL
	die "psql failed: $plans\n" if !$ok;
	my @dear;
	my @plans = split /^psql:\S+ NOTICE:  duration: .* plan:$/m, $plans;
	foreach my $plan (@plans)
	{
		my ($query) = $plan =~ /Query Text: (.*)/;
		my ($cost) = $plan =~ /cost=[\d.]+\.\.([\d.]+)/;
		push @dear, sprintf('%.0f: %s', $cost, substr($query, 0, 3000)) if defined $cost && $cost > $dearest;
		# The server takes any array for short, and may go through it for each row where the column is no key of its own.
		push @dear, $query if $query && $query =~ /(?!\.id )\.\S+ = ANY \(ARRAY\(SELECT/;
	}
	cmp_ok(scalar(@plans), '>', 100, "$generation: statements are seen");
	is_deeply(\@dear, [], "$generation: none costs more than in proportion");
	$twin->run('postgres', 'DROP DATABASE poor;');
}

done_testing();
