# The plan that was looked at is the plan that runs: its digests are the same on a restored copy, differ with what would be done, and
# gallery.revert_plan lets no other plan run, also not one that came to be while the revert waited for its locks.
use strict;
use warnings FATAL => 'all';

use GalleryTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('reviewed');
my $digests = q(SELECT string_agg(digest, ' ' ORDER BY step) FROM gallery_revert_plan());
sub digests { my ($database) = @_; return $node->safe_psql($database, $digests) }
sub wanted { my ($value) = @_; return "SET gallery.revert_plan = '$value';" }

# A restored copy has other OIDs. What else may differ between two databases with the same plan: how many rows there are, times, ids.
foreach my $generation (qw(v4.57 v5.9))
{
	gallery($node, 'photos', '--generation', $generation);
	my $reviewed = digests('photos');
	my @words = split / /, $reviewed;
	cmp_ok(scalar @words, '>', 20, "$generation: a digest for each step");
	is(scalar(grep { /^[0-9a-f]{12}$/ } @words), scalar @words, '... each a short word');
	my %seen;
	is(scalar(grep { !$seen{$_}++ } @words), scalar @words, '... of its own');

	$node->safe_psql('postgres', 'CREATE DATABASE copy');
	$node->safe_psql('copy', 'CREATE TABLE other (id int); CREATE SEQUENCE oids; DROP TABLE other; DROP SEQUENCE oids;');
	my ($out, $failure) = ('', '');
	IPC::Run::run([ 'pg_dump', '-d', $node->connstr('photos') ], '|', [ 'psql', '-X', '-q', '-d', $node->connstr('copy') ],
		'>', \$out, '2>', \$failure) or die "restore: $failure";
	is(digests('copy'), $reviewed, 'a restored copy has the same plan');
	isnt($node->safe_psql('copy', q(SELECT 'asset'::regclass::oid)), $node->safe_psql('photos', q(SELECT 'asset'::regclass::oid)),
		'... under other OIDs');
	$node->safe_psql('copy', <<'SQL');
UPDATE version_history SET id = gen_random_uuid(), "createdAt" = "createdAt" + interval '1 s';
UPDATE system_metadata SET value = jsonb_set(value, '{checkedAt}', '"2026-01-02T03:04:05.678Z"') WHERE key = 'version-check-state';
DELETE FROM memory WHERE id IN (SELECT id FROM memory WHERE type = 'rule' ORDER BY id LIMIT 3);
DELETE FROM asset WHERE id IN (SELECT a.id FROM asset a WHERE NOT EXISTS (SELECT FROM stack s WHERE s."primaryAssetId" = a.id)
  ORDER BY a.id LIMIT 20);
SQL
	is(digests('copy'), $reviewed, 'fewer rows, other ids and times: the same plan');

	# Rows out of order are put right by a plan that says so; which time it gives them is no part of it.
	my $faults = sub {
		my ($year) = @_;
		return qq(BEGIN; UPDATE kysely_migrations SET "timestamp" = '$year-01-01T00:00:00.000Z' WHERE name = (SELECT max(name)
		  FROM kysely_migrations WHERE name < '177'); $digests; ROLLBACK;);
	};
	my $late = $node->safe_psql('copy', $faults->(2036));
	isnt($late, $reviewed, 'an order fault is part of the plan');
	is($node->safe_psql('copy', $faults->(2037)), $late, '... but not its time');

	# Which starts are Gallery's: rows of another release are other rows, however they are told from Immich's.
	isnt($node->safe_psql('copy', qq(BEGIN; INSERT INTO version_history (id, version, "createdAt")
	  VALUES (gen_random_uuid(), '99.0.0', '2026-01-01'); $digests; ROLLBACK;)), $reviewed, 'a start of another release: another plan');

	# Other plans: a step less, a step more, a step that does something else. What is the same up to there has the same digests.
	my @other = (
		[ 'a step less', q(DELETE FROM memory WHERE type = 'rule'), qr/^DETAIL:  The first step that differs is \d+ of \d+: clean, rows /m ],
		[ 'another statement', 'ALTER TABLE asset_job_status DROP COLUMN "petsDetectedAt"',
			qr/^DETAIL:  The first step that differs is \d+ of \d+: columns, column asset_job_status /m ]);
	foreach my $other (@other)
	{
		my ($name, $sql, $detail) = @$other;
		my @now = split / /, $node->safe_psql('photos', "BEGIN; $sql; $digests; ROLLBACK;");
		my $same = grep { $now[$_] eq $words[$_] } 0 .. ($#now < $#words ? $#now : $#words);
		ok($same > 0 && $same < @words && $now[-1] ne $words[-1], "$name: other digests from there on");
		my ($status, undef, $err) = revert($node, 'photos', before => wanted($reviewed) . "BEGIN; $sql;");
		like($err, qr/^ERROR:  38002: the plan is not the one of gallery.revert_plan$/m, "$name: refused");
		like($err, $detail, '... and the step is named');
		like($err, qr/is ${\($same + 1)} of ${\scalar @now}:/, '... by its number');
		like($err, qr/^HINT:  Nothing has changed\. Look at SELECT \* FROM gallery_revert_plan\(\);/m, '... with what to do');
	}
	my $before = state_of($node, 'photos');
	my @cases = (
		[ 'a plan that ends early', join(' ', @words[ 0 .. $#words - 1 ]),
			qr/ is ${\scalar @words} of ${\scalar @words}: .* That of the setting ends before it\.$/m ],
		[ 'a plan that goes on', "$reviewed 0123456789ab",
			qr/This plan ends after ${\scalar @words} steps, that of the setting has ${\(@words + 1)} steps\.$/m ],
		[ 'a word that is none', 'yes', qr/^DETAIL:  The first step that differs is 1 of /m ],
		[ 'the last digest alone', $words[-1], qr/^DETAIL:  The first step that differs is 1 of /m ]);
	foreach my $case (@cases)
	{
		my ($name, $value, $detail) = @$case;
		my (undef, undef, $err) = revert($node, 'photos', before => wanted($value));
		like($err, qr/^ERROR:  38002: /m, "$name: refused");
		like($err, $detail, '... saying where it differs');
	}
	is(state_of($node, 'photos'), $before, 'nothing has changed');
	my $check = q(SELECT status FROM gallery_revert_check() WHERE name = 'plan');
	is($node->safe_psql('photos', wanted('yes') . $check), 'blocked', 'the check says so');
	is($node->safe_psql('photos', wanted($reviewed) . $check), 'ok',
		'... and that the right one is right');

	# The plan is compared as it is under the locks: somebody adds what there was nothing of when it was looked at first.
	$node->safe_psql('copy', q(DELETE FROM memory WHERE type = 'rule'));
	my $without = digests('copy');
	my $writer = $node->background_psql('copy');
	$writer->query_safe(q(BEGIN; INSERT INTO memory (id, type, "ownerId", data, "memoryAt")
	  SELECT gen_random_uuid(), 'rule', id, '{}', now() FROM "user" LIMIT 1;));
	{
		my ($log, $err) = ('', '');
		my $session = start_session($node, 'copy', 'revert', \$log, \$err, token(), wanted($without),
			q(SET gallery.revert_lock_timeout = '60s'),
			'SET gallery.revert_ignore_sessions = on', 'SELECT gallery_revert()');
		$node->poll_query_until('copy', q(SELECT wait_event = 'Extension' FROM pg_stat_activity WHERE application_name = 'revert')) or die;
		$writer->query_safe('COMMIT;');
		$session->finish;
		like($err, qr/^ERROR:  38002: the plan is not the one of gallery.revert_plan$/m,
			'a plan that changed before the locks were had: refused');
		is($node->safe_psql('copy', q(SELECT count(*) FROM memory WHERE type = 'rule')), '1',
			'... with nothing changed');
	}
	$writer->quit;

	# The right one runs, words apart in any way. Afterwards there is nothing that could be another plan.
	my (undef, $tag, $messages) = revert($node, 'photos', before => wanted(join ",\n", @words),
		after => wanted('yes') . 'SELECT gallery_revert();');
	like($tag, qr/^(v[\d.]+)\n\1$/, 'the plan that was looked at runs');
	like($messages, qr/Digest of the plan: $words[-1]\.$/m, '... and is named at the end');
	$node->safe_psql('postgres', 'DROP DATABASE photos');
	$node->safe_psql('postgres', 'DROP DATABASE copy');
}

# A repair of the ledger is bound by it as well.
gallery($node, 'plain', '--generation', 'v4.57', '--product', 'immich');
$node->safe_psql('plain', q(UPDATE kysely_migrations SET "timestamp" = '2036-01-01T00:00:00.000Z'
  WHERE name = (SELECT min(name) FROM kysely_migrations)));
my $repair = digests('plain');
like($repair, qr/^[0-9a-f]{12}( |$)/, 'a repair has a plan');
my (undef, undef, $err) = revert($node, 'plain', before => wanted('0123456789ab'), instead => 'SELECT immich_repair_migration_order();');
like($err, qr/^ERROR:  38002: /m, '... another is refused');
my ($status) = revert($node, 'plain', before => wanted($repair), instead => 'SELECT immich_repair_migration_order();');
is($status, 0, '... it runs');

done_testing();
