# Who follows a revert: a physical standby, which refuses it itself; a logical publication and subscription; event triggers and, where
# it is installed, pgaudit, which see every statement that changes a definition.
use strict;
use warnings FATAL => 'all';

use GalleryTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', init => [ allows_streaming => 'logical' ], conf => [ 'autovacuum = off' ]);
gallery($primary, 'photos');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# The standby refuses, also with the token; the functions that read work there.
my ($status, undef, $err) = revert($standby, 'photos');
is($status, 3, 'a standby refuses');
like($err, qr/^ERROR:  25006: this server is a standby and cannot be changed\n.*^HINT:  .*primary/ms,
	'with SQLSTATE 25006, and says where to go');
is($standby->safe_psql('photos', 'SELECT product FROM gallery_revert_status()'), 'gallery', 'the status can be read there');
cmp_ok($standby->safe_psql('photos', 'SELECT count(*) FROM gallery_revert_plan()'), '>', 10, 'and the plan');

# A revert that waits for its locks keeps nobody from reading there: what is taken and given back would stay on a standby.
{
	my $writer = $primary->background_psql('photos');
	$writer->query_safe('BEGIN; LOCK TABLE "user" IN ROW EXCLUSIVE MODE;');
	my ($text, $errors) = ('', '');
	my $waiting = start_session($primary, 'photos', 'waiting', \$text, \$errors, token(), 'SET gallery.revert_ignore_sessions = on',
		q{SET gallery.revert_lock_timeout = '3s'}, 'SELECT gallery_revert()');
	my $waits = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'waiting' AND wait_event_type = 'Extension'};
	ok($primary->poll_query_until('postgres', $waits), 'a revert waits');
	$primary->wait_for_catchup($standby, 'replay');
	my $locks = q{SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'};
	is($standby->safe_psql('photos', $locks), '0', 'and holds nothing on the standby');
	$waiting->finish;
	like($errors, qr/could not lock table "user"/, 'until it gives up');
	$writer->query_safe('ROLLBACK;');
	$writer->quit;
}

# Publications. A fork table leaves the publications that name it as the server does it for every table that is dropped: with no
# error. The publication stays, with its other tables; it is not the publication that depends on the table.
$primary->safe_psql('photos', 'CREATE PUBLICATION everything FOR ALL TABLES');
is((revert($primary, 'photos', before => 'BEGIN;', after => 'ROLLBACK;'))[1], 'v2.7.5',
	'a publication of all tables is in nobody\'s way');
$primary->safe_psql('photos', 'DROP PUBLICATION everything; CREATE PUBLICATION "My ""photos""" FOR TABLE asset, shared_space');
my $published = q{SELECT string_agg(prrelid::regclass::text, ',') FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
  WHERE p.pubname = 'My "photos"';};
my (undef, $out) = revert($primary, 'photos', before => 'BEGIN;', after => "$published ROLLBACK;");
is($out, "v2.7.5\nasset", 'a fork table leaves a publication that names it, a native table stays');

# A subscriber that has Immich's table gets the rows that the revert changes.
my $subscriber = new_node('subscriber');
my $memories   = 'SELECT count(*) FROM memory';
my $subscribed = major_of($primary) >= 15;
my $before     = $primary->safe_psql('photos', $memories);
if ($subscribed)
{
	$primary->safe_psql('photos', q{DROP PUBLICATION "My ""photos"""; CREATE PUBLICATION memories FOR TABLE memory (id)});
	$subscriber->safe_psql('postgres', 'CREATE TABLE memory (id uuid PRIMARY KEY)');
	my $source = $primary->connstr('photos') =~ s/'/''/gr;
	$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION s CONNECTION '$source' PUBLICATION memories");
	$subscriber->wait_for_subscription_sync($primary, 's');
}

# Event triggers: every statement, with its tag, and every object that is dropped.
$primary->safe_psql('photos', <<'SQL');
CREATE SCHEMA log;
CREATE TABLE log.commands (id serial, tag text);
CREATE TABLE log.ended (id serial, tag text, object text);
CREATE TABLE log.dropped (kind text, object text, original boolean);
CREATE FUNCTION log.command() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log.commands (tag) VALUES (tg_tag); END $$;
CREATE FUNCTION log.ended() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO log.ended (tag, object) SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands(); END $$;
CREATE FUNCTION log.dropped() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO log.dropped SELECT object_type, object_identity, original FROM pg_event_trigger_dropped_objects(); END $$;
CREATE TABLE log.plan AS SELECT * FROM gallery_revert_plan();
CREATE TABLE log.existing AS SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r';
CREATE EVENT TRIGGER command ON ddl_command_start EXECUTE FUNCTION log.command();
CREATE EVENT TRIGGER ended ON ddl_command_end EXECUTE FUNCTION log.ended();
CREATE EVENT TRIGGER dropped ON sql_drop EXECUTE FUNCTION log.dropped();
SQL
is((revert($primary, 'photos'))[1], 'v2.7.5', 'the revert, for good, with event triggers that record');
SKIP:
{
	skip 'a publication of some columns needs PostgreSQL 15', 3 if !$subscribed;
	cmp_ok($before, '>', 0, "a subscriber with $before memories");
	my $after = $primary->safe_psql('photos', $memories);
	cmp_ok($after, '<', $before, "of which the revert leaves $after");
	$primary->wait_for_catchup('s');
	is($subscriber->safe_psql('postgres', $memories), $after, 'the subscriber follows');
}
$primary->safe_psql('photos', 'DROP EVENT TRIGGER command; DROP EVENT TRIGGER ended; DROP EVENT TRIGGER dropped;');

my $statements = $primary->safe_psql('photos', q{SELECT string_agg(substring(statement FROM '^(?:DROP|ALTER) \w+'), ',' ORDER BY step)
  FROM log.plan WHERE statement ~ '^(DROP|ALTER)'});
is($primary->safe_psql('photos', q{SELECT string_agg(tag, ',' ORDER BY id) FROM log.commands}), $statements,
	'event triggers saw ' . (1 + $statements =~ tr/,//) . ' statements: those of the plan, in order');
my $missed = $primary->safe_psql('photos', q{SELECT count(*), count(*) FILTER (WHERE EXISTS (
    SELECT FROM log.dropped d WHERE d.kind = 'table' AND d.object = 'public.' || quote_ident(e.relname)))
  FROM log.existing e WHERE to_regclass('public.' || quote_ident(e.relname)) IS NULL});
my ($tables, $seen) = split /\|/, $missed;
cmp_ok($tables, '>', 10, "$tables tables were dropped");
is($seen, $tables, 'and each was seen');

# The standby has followed, row for row. (A sequence on a standby may be ahead of the primary's; only the test's own log has any.)
$primary->safe_psql('photos', 'SET client_min_messages = warning; DROP SCHEMA log CASCADE');
$primary->wait_for_catchup($standby, 'replay');
is($standby->safe_psql('photos', 'SELECT product FROM gallery_revert_status()'), 'immich', 'the standby has followed');
is(state_of($standby, 'photos') eq state_of($primary, 'photos'), 1, 'and holds the same');

SKIP:
{
	my ($have) = (split /\n/, $primary->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pgaudit'}));
	skip 'pgaudit is not installed', 1 if !$have;
	$subscriber->stop;
	my $audited = new_node('audited', conf => [ q{shared_preload_libraries = 'pgaudit'}, q{pgaudit.log = 'ddl, role'} ]);
	gallery($audited, 'photos');
	my $expected = $audited->safe_psql('photos', q{SELECT count(*) FROM gallery_revert_plan() WHERE statement ~ '^(DROP|ALTER)'});
	my $start = -s $audited->logfile;
	revert($audited, 'photos');
	my @lines = slurp_file($audited->logfile, $start) =~ /AUDIT: SESSION,\d+,\d+,(?:DDL|ROLE),((?:DROP|ALTER) \w+)/g;
	cmp_ok(scalar @lines, '>=', $expected, "pgaudit wrote down all $expected statements");
}
done_testing();
