# Which database is it: counts that add up, releases by the ledger, starts that both products could have made, and what a fork's own
# script left behind.
use strict;
use warnings FATAL => 'all';

use Fixture;
use Fixture::Facts;
use Test::More;
use Twin;

my $node = Twin::start_node('identity', client_min_messages => 'warning');
my $twin = Twin->new($node, 'work');

sub add_row { my ($name) = @_; return "INSERT INTO kysely_migrations VALUES ('$name', '2026-11-01T00:00:00.000Z') ON CONFLICT DO NOTHING;" }

# What status says of the rows, and what there is. The pin that the plan means is the last release that status names.
my $counts = q(DO $$ DECLARE n bigint; m bigint := 0; s record; BEGIN
  SELECT count(*) INTO n FROM kysely_migrations;
  IF to_regclass('gallery_migrations') IS NOT NULL THEN EXECUTE 'SELECT count(*) FROM gallery_migrations' INTO m; END IF;
  SELECT * INTO s FROM tools.gallery_revert_status();
  RAISE WARNING 'rows % counted % last %', n + m, s.native_migrations + s.fork_migrations, s.immich_last;
END $$;);
foreach my $generation (Fixture::Facts::generation_names())
{
	my ($got) = $twin->attempts(Fixture->new(generation => $generation, rows => 0), [ $counts, '' ]);
	my ($rows, $counted, $last) = $got->{messages} =~ /rows (\d+) counted (\d+) last (\S+)/;
	is($counted, $rows, "$generation: $rows rows of the ledgers are all counted");
	is($got->{out}, "returned $last\n", "$generation: and the last release of the range is the one that the revert pins");
}
my @odd = (
	[ 'an unreleased name beside the released one', add_row('1773846750001-AddPersonNameTrigramIndex') ],
	[ 'an alias beside its successor', add_row('1776735180298-ChangeDurationToInteger') ],
	[ 'an alias instead of it',
		add_row('1776735180298-ChangeDurationToInteger') . q(DELETE FROM kysely_migrations WHERE name LIKE '1777667825574-%';) ],
	[ 'an old name of a Gallery migration beside the new one', add_row('1772810000000-AddThumbnailCropYToSharedSpace') ]);
my @got = $twin->attempts(Fixture->new(generation => 'v5.0', rows => 0), map { [ $_->[1] . $counts, '' ] } @odd);
foreach my $i (0 .. $#odd)
{
	my ($rows, $counted) = $got[$i]{messages} =~ /rows (\d+) counted (\d+)/;
	is($counted, $rows, "$odd[$i][0]: counted");
	like($got[$i]{out}, qr/^returned v3\.0\.3$/m, "$odd[$i][0]: reverted");
}

# The ledger knows of a newer Gallery than the last start that version_history has.
my $release = 'SELECT gallery_release FROM tools.gallery_revert_status();';
my ($newer, $same) = $twin->attempts(Fixture->new(generation => 'v5.2', assets => 200),
	[ q(DELETE FROM version_history WHERE version LIKE '5.%'; INSERT INTO version_history (version) VALUES ('4.57.0');) . $release, '' ],
	[ $release, '' ]);
like($newer->{out}, qr/^v5\.2\.\S+ or later, before v5\.4\.0\n/, 'a ledger that is ahead of version_history decides');
like($same->{out}, qr/^v5\.2\.3\nreturned/, 'otherwise version_history tells which release it is');

# Both products have a 3.0.0: where the ledger can tell whose start it was, the day does not matter.
my $start = q(DELETE FROM version_history;
  INSERT INTO version_history (version, "createdAt") VALUES ('2.5.6', '2026-02-01'), ('3.0.0', '2026-08-01'););
my $advice = 'SELECT advice, pin FROM tools.immich_recovery_advice(NULL::text);';
my $left = q(SELECT string_agg(version, ' ' ORDER BY "createdAt") FROM version_history;);
my ($late) = $twin->attempts(Fixture->new(generation => 'v4.3.3', assets => 200), [ $start, $advice . $left ]);
like($late->{out}, qr/^returned v2\.6\.3\n(?!fix_forward\|v3\.0\.0)\w+\|v2\.\S+\n2\.5\.6\n\z/,
	'a start of Gallery v3.0.0 after the day of Immich 3.0.0: the advice afterwards agrees with the revert');
my ($real) = $twin->attempts(Fixture->new(generation => 'v5.0', assets => 200), [ $start, $left ]);
is($real->{out}, "returned v3.0.3\n2.5.6 3.0.0\n", 'a start of Immich 3.0.0 before the switch stays');

# The migrations of the Agent branch, by their objects.
my @agent = map { $_->{name} } grep { $_->{name} =~ /Agent/ } Fixture::Facts::gallery_migrations();
cmp_ok(scalar @agent, '==', 11, 'migrations of the Agent branch');
my @tables = qw(agent_provider_credential agent_session agent_message agent_tool_call agent_operation_plan agent_operation
  agent_session_activity_event agent_selection_handle);
my $tables = join ' ', map { "CREATE TABLE $_ (id uuid PRIMARY KEY, note text);" } @tables;
my $gone = 'SELECT ' . join(', ', map { "to_regclass('$_') IS NULL" } @tables) . ';';
my ($recorded, $not) = $twin->attempts(Fixture->new(generation => 'v5.8', rows => 0),
	[ $tables . join('', map { add_row($_) } @agent), $gone ], [ $tables, $gone ]);
is($recorded->{out}, "returned v3.3.5\n" . join('|', ('t') x @tables) . "\n", 'what they made goes');
is($not->{out}, "returned v3.3.5\n" . join('|', ('f') x @tables) . "\n", 'and stays where they are not recorded');

# A trigger that the fork's script for 2.7.5 made again, at which later releases of Immich fail.
my $again = q(CREATE FUNCTION album_delete_audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
  CREATE TRIGGER album_delete_audit AFTER DELETE ON album REFERENCING OLD TABLE AS old
    FOR EACH STATEMENT EXECUTE FUNCTION album_delete_audit(););
my $found = q(SELECT status, detail, hint FROM tools.gallery_revert_check() WHERE name = 'leftovers';);
my ($trigger, $native) = ($twin->attempts(Fixture->new(generation => 'v5.7', assets => 200), [ $again, $found ]))[0];
my $removes = quotemeta 'DROP TRIGGER album_delete_audit ON public.album; DROP FUNCTION public.album_delete_audit();';
like($trigger->{messages}, qr/left something at which Immich fails.*trigger "album_delete_audit" of table "album".*$removes/s,
	'a leftover trigger: named by the revert');
like($trigger->{out}, qr/^returned v3\.2\.4\nblocked\|.*$removes\n\z/s, 'and by the check, with what removes it');
($native) = $twin->attempts(Fixture->new(generation => 'v4.57', assets => 200), [ '', $found ]);
like($native->{out}, qr/^returned v2\.7\.5\nok\|/, q(where Immich's own schema has it, it is none));

done_testing();
