# What waits and for whom: an autovacuum is sent away as by any other lock, and nobody queues behind that; a lock in the way of looking
# names its holder; what others make meanwhile is told apart; the two kinds of memory that can run out; owners that are mixed.
use strict;
use warnings FATAL => 'all';

use GalleryTest;
use Owner qw(owned_by);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('waiting', conf => [ 'autovacuum_naptime = 1s', 'log_lock_waits = on', 'deadlock_timeout = 2s' ]);
my $ignore = 'SET gallery.revert_ignore_sessions = on;';

sub client
{
	my ($database, $name) = @_;
	return $node->background_psql($database, extra_params => [ '-d', $node->connstr($database) . " application_name='$name'" ]);
}

# Waits a few seconds for a query to be true.
sub soon
{
	my ($database, $query) = @_;
	for (1 .. 150)
	{
		return 1 if $node->safe_psql($database, $query) eq 't';
		usleep(50_000);
	}
	return 0;
}

# Waits until a session of this name waits for this type of event.
sub waits
{
	my ($name, $event) = @_;
	return soon('postgres', qq{SELECT count(*) = 1 FROM pg_stat_activity
WHERE application_name = '$name' AND (wait_event_type = '$event' OR wait_event = '$event')});
}

# An autovacuum of a table that takes minutes, because of its cost delay.
sub slow_vacuum
{
	my ($table) = @_;
	my $options = join ', ', map { "autovacuum_vacuum_$_" } 'threshold = 0', 'scale_factor = 0', 'cost_delay = 100', 'cost_limit = 1';
	$node->safe_psql('photos', qq{ALTER TABLE "$table" SET ($options); UPDATE "$table" SET "updatedAt" = "updatedAt"});
	return ok(soon('photos', qq{SELECT count(*) = 1 FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a USING (pid)
WHERE a.backend_type = 'autovacuum worker' AND p.relid = '"$table"'::regclass}), "an autovacuum of $table is running");
}

# A revert with a limit: what it reports, and what the server's log has of its time.
sub limited
{
	my ($limit) = @_;
	my $offset = -s $node->logfile;
	my (undef, undef, $err) = revert($node, 'photos', before => "$ignore SET gallery.revert_lock_timeout = '$limit';");
	return ($err, slurp_file($node->logfile, $offset));
}

my $vacuum = qr/autovacuum worker, ShareUpdateExclusiveLock on table "asset"/;
my $sent_away = qr/canceling autovacuum task/;

gallery($node, 'photos');

# Autovacuum alone is sent away; meanwhile everybody else may read and write.
{
	slow_vacuum('asset');
	my $others = client('photos', 'others');
	$others->query_safe('SELECT 1');
	my $offset = -s $node->logfile;
	my ($out, $err) = ('', '');
	my $start = time;
	my $reverter = start_session($node, 'photos', 'reverter', \$out, \$err, token(), $ignore, 'BEGIN', 'SELECT gallery_revert()', 'ROLLBACK');
	ok(waits('reverter', 'Lock'), 'a revert stands in the queue for it');
	my $asked = time;
	$others->query_safe('SELECT count(*) FROM asset');
	$others->query_safe('UPDATE asset SET "isOffline" = "isOffline"');
	cmp_ok(time - $asked, '<', 1.5, 'who reads and writes the table meanwhile does not wait behind it');
	$reverter->finish;
	like($out, qr/^v2\.7\.5$/m, 'the revert succeeds') or diag $err;
	cmp_ok(time - $start, '<', 8, 'within its time');
	like(slurp_file($node->logfile, $offset), $sent_away, 'the server has ended the autovacuum');
	$others->quit;
}

# Never behind anyone else: with a session beside the autovacuum the revert does not queue.
{
	slow_vacuum('asset');
	my $writer = client('photos', 'writer');
	$writer->query_safe('BEGIN; LOCK TABLE asset IN ROW EXCLUSIVE MODE;');
	my ($err, $log) = limited('2500ms');
	like($err, qr/^ERROR:  55P03: could not lock table "asset" within 2500 ms$/m, 'a writer beside an autovacuum: refused');
	like($err, qr/application "writer", user "\w+", idle in transaction, RowExclusiveLock on table "asset"/, 'the writer is named');
	unlike($log, $sent_away, 'the autovacuum goes on');
	$writer->query_safe('ROLLBACK;');

	# Somebody in the queue counts as in the way.
	my ($out, $text) = ('', '');
	my $queued = start_session($node, 'photos', 'queued', \$out, \$text, q{SET deadlock_timeout = '60s'}, 'BEGIN',
		'LOCK TABLE asset IN ACCESS EXCLUSIVE MODE', 'ROLLBACK');
	ok(waits('queued', 'Lock'), 'somebody stands in the queue');
	($err, $log) = limited('2500ms');
	like($err, qr/^ERROR:  55P03: /m, 'the revert does not stand behind him');
	unlike($log, $sent_away, 'and the autovacuum goes on');
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'queued'});
	eval { $queued->finish };

	# With less time than the server takes to look for it, an autovacuum is named.
	($err, $log) = limited('300ms');
	like($err, qr/^ERROR:  55P03: .*$vacuum/ms, 'too little time: the autovacuum is named');
}

# Against wraparound: never ended, but named as what it is.
{
	$node->safe_psql('photos', 'ALTER TABLE asset SET (autovacuum_enabled = off, autovacuum_freeze_max_age = 100000)');
	$node->safe_psql('photos', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'});
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE burn (i int);
DO $$
BEGIN
  FOR i IN 1 .. 101000 LOOP
    BEGIN INSERT INTO burn VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END;
  END LOOP;
END $$;
SQL
	ok(soon('photos', q{SELECT count(*) = 1 FROM pg_stat_activity
WHERE backend_type = 'autovacuum worker' AND query LIKE '%asset (to prevent wraparound)'}), 'a vacuum against wraparound is running');
	my ($err, $log) = limited('2500ms');
	my $named = qr/autovacuum worker \(to prevent wraparound\), ShareUpdateExclusiveLock on table "asset"/;
	like($err, qr/^ERROR:  55P03: .*$named/ms, 'it is named');
	unlike($log, qr/$sent_away|still waiting/, 'and not waited for in the queue');
}
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->restart;
gallery($node, 'looked');
gallery($node, 'newer', '--generation', 'v5.9');

# A lock in the way of looking: who holds it, for every function, under its own name.
{
	my $holder = client('looked', 'holder');
	my $limit = q{SET gallery.revert_lock_timeout = '300ms';};
	my @all = qw(gallery_revert gallery_revert_plan gallery_revert_script gallery_revert_losses immich_inventory
	  immich_repair_migration_order);
	my %functions = (asset => \@all, kysely_migrations => [ @all, qw(gallery_revert_status immich_recovery_advice) ]);
	for my $table (sort keys %functions)
	{
		$holder->query_safe("BEGIN; LOCK TABLE $table IN ACCESS EXCLUSIVE MODE;");
		for my $function (@{ $functions{$table} })
		{
			my (undef, undef, $err) = revert($node, 'looked', before => "$ignore $limit", instead => "SELECT count(*) FROM $function();");
			like($err, qr/^ERROR:  55P03: could not read the database within 300 ms$/m, "$function, $table is locked: refused");
			like($err, qr/application "holder", user "\w+", idle in transaction, AccessExclusiveLock on table "$table"/, 'the holder is named');
			like($err, qr/^HINT:  Wait until .* then run $function\(\) again\. /m, 'and the function to run again');
		}
		my (undef, $out, $err) = revert($node, 'looked', before => $limit,
			instead => q{SELECT concat_ws('|', name, status, detail, hint) FROM gallery_revert_check();});
		is($err, '', "gallery_revert_check, $table is locked: no error");
		like($out, qr/^transaction\|ok\|/m, 'the transaction is checked');
		like($out, qr/^token\|ok\|/m, 'and the token');
		like($out, qr/^sessions\|blocked\|1 other client is connected.*application "holder"/ms, 'and the sessions');
		like($out, qr/^ledger\|ok\|/m, 'and the ledger');
		my $named = qr/pid \d+, application "holder".*AccessExclusiveLock on table "$table"/;
		my $hint = qr/Wait until .* then run gallery_revert_check\(\) again\./;
		like($out, qr/^look\|blocked\|could not read the database within 300 ms:\n$named\|$hint/m,
			'and the holder is named, with the hint of a revert');
		is(scalar(() = $out =~ /^(?:transaction|token|sessions|ledger)\|/mg), 4, 'each once');
		$holder->query_safe('ROLLBACK;');
	}
	$holder->quit;
	my (undef, $out) = revert($node, 'looked', instead => 'SELECT name FROM gallery_revert_check();',
		before => q{BEGIN; INSERT INTO kysely_migrations VALUES ('1899000000000-FromTheFuture', '2026-11-01T00:00:00.000Z');},
		after => 'ROLLBACK;');
	like($out, qr/^sessions$/m, 'a database that cannot be planned for: the sessions are checked all the same');
}

# Hints name the function that was called, and on a plain Immich no check is about Gallery.
{
	gallery($node, 'repaired');
	revert($node, 'repaired');
	$node->safe_psql('repaired', <<'SQL');
UPDATE kysely_migrations SET timestamp = '2027-01-01T00:00:00.000Z' WHERE name = (SELECT min(name) FROM kysely_migrations);
UPDATE asset SET "originalPath" = 'upload/relative' || "originalPath" WHERE id = (SELECT min(id::text)::uuid FROM asset);
SQL
	my $other = client('repaired', 'other');
	$other->query_safe('SELECT 1');
	my $repair = 'SELECT immich_repair_migration_order();';
	my $again = qr/^HINT:  .*, then run immich_repair_migration_order\(\) again\. /m;
	my (undef, $out, $err) = revert($node, 'repaired', instead => $repair);
	like($err, qr/^ERROR:  55006: .*$again/ms, 'another client: the repair is named');
	$other->query_safe('BEGIN; LOCK TABLE asset IN ROW EXCLUSIVE MODE;');
	my $limit = "$ignore SET gallery.revert_lock_timeout = '300ms';";
	(undef, $out, $err) = revert($node, 'repaired', instead => $repair, before => $limit);
	like($err, qr/^ERROR:  55P03: .*$again/ms, 'another lock: the repair is named');
	$other->quit;
	(undef, $out, $err) = revert($node, 'repaired', instead => $repair);
	is($out, 'v2.7.5', 'a path that is not on disk is nothing to a repair') or diag $err;
	(undef, $out, $err) = revert($node, 'looked', instead => $repair,
		before => q{BEGIN; UPDATE asset SET "originalPath" = 'upload/relative' || "originalPath";}, after => 'ROLLBACK;');
	like($err, qr/^ERROR:  55000: this is a Gallery database$/m, 'and a Gallery is refused as one');
}

# What another session makes meanwhile is not the revert's, and is told as what it is.
{
	gallery($node, 'meanwhile');
	$node->safe_psql('meanwhile', <<'SQL');
CREATE SCHEMA test;
CREATE FUNCTION test.pause() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(58);
  IF current_setting('test.own', true) = 'on' THEN
    CREATE TABLE IF NOT EXISTS public.made_by_trigger (id int);
  END IF;
END $$;
CREATE EVENT TRIGGER pause ON sql_drop EXECUTE FUNCTION test.pause();
SQL
	my $rival = client('meanwhile', 'rival');
	for my $own ('off', 'on')
	{
		$rival->query_safe('SELECT pg_advisory_lock(58)');
		my ($out, $err) = ('', '');
		my $reverter = start_session($node, 'meanwhile', 'reverter', \$out, \$err, token(), $ignore, "SET test.own = $own", 'BEGIN',
			'SAVEPOINT s', 'SELECT gallery_revert()', 'ROLLBACK');
		ok(waits('reverter', 'advisory'), 'a revert is at its steps');
		$rival->query_safe(qq{CREATE TABLE "new $own" (id serial PRIMARY KEY, note text); CREATE TYPE new_type_$own AS ENUM ('a');
CREATE FUNCTION new_$own(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SEQUENCE new_sequence_$own;});
		$rival->query_safe('SELECT pg_advisory_unlock(58)');
		$reverter->finish;
		$err =~ s/^LOCATION: .*\n//gm;
		if ($own eq 'off')
		{
			like($out, qr/^v2\.7\.5$/m, 'what others make does not end it') or diag $err;
			my $made = join "\n", 'enum "new_type_off"', 'sequence "new off_id_seq"', 'sequence "new_sequence_off"', 'table "new off"',
			  'function "new_off(a integer)"';
			like($err, qr/^NOTICE:  00000: another session made something in the schema during the run\nDETAIL:  \Q$made\E\nHINT:  /m,
				'and is told');
		}
		else
		{
			my $refusal = qr/^ERROR:  55000: the result would not be a stock Immich, so nothing is changed/m;
			like($err, qr/$refusal\nDETAIL:  extra: table "made_by_trigger"\nHINT/,
				'what its own transaction makes still ends it') or diag $out;
		}
	}
	$rival->quit;
}

# Where nobody wrote, nothing is looked at a second time under the locks. Within a savepoint that cannot be told, so there it is.
{
	my $scans = 'SELECT seq_scan + idx_scan FROM pg_stat_xact_user_tables WHERE relname = \'version_history\'; ROLLBACK;';
	my @scans = map { (revert($node, 'newer', before => "BEGIN; $_", after => $scans))[1] =~ /\n(\d+)$/ } '', 'SAVEPOINT s;';
	is(scalar @scans, 2, 'two reverts');
	cmp_ok($scans[0], '<', $scans[1], 'nobody wrote: one look less');
}

# A superuser in DB_USERNAME for one start leaves owners mixed. What is not the ledger's owner's is named, with what gives it to him,
# before anything of it is read; where all is one owner's there is nothing to say.
{
	$node->safe_psql('postgres', 'CREATE ROLE immich LOGIN; CREATE ROLE boss SUPERUSER');
	my $plant = q{CREATE FUNCTION public.who(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN RAISE NOTICE 'read by %', current_user; RETURN 1; END $f$; ALTER FUNCTION public.who(int) OWNER TO immich;};
	my $ledger = 'ALTER TABLE kysely_migrations OWNER TO boss; ALTER TABLE kysely_migrations_lock OWNER TO boss;';
	my %mixed = (
		'the ledger is a superuser\'s' => [ $ledger, qr/ALTER TABLE (?:public\.)?"?person"? OWNER TO boss;/, 'person' ],
		'tables are a superuser\'s' => [ 'ALTER TABLE shared_space OWNER TO boss; ALTER TABLE asset_face OWNER TO boss;',
			qr/ALTER TABLE (?:public\.)?"?asset_face"? OWNER TO immich;/, 'shared_space' ],
		'the history is a superuser\'s' => [ 'ALTER TABLE version_history OWNER TO boss;',
			qr/ALTER TABLE (?:public\.)?"?version_history"? OWNER TO immich;/, 'version_history' ]);
	my $number = 0;
	for my $name (sort keys %mixed)
	{
		my ($mix, $statement, $table) = @{ $mixed{$name} };
		my $database = 'mixed' . ++$number;
		gallery($node, $database);
		$node->safe_psql($database, owned_by('immich') . qq{$plant CREATE INDEX ON "$table" ((1)) WHERE public.who(1) = 1; $mix});
		my (undef, $out, $err) = revert($node, $database);
		like($err, qr/^ERROR:  42501: .*$statement/ms, "$name: refused, with the statements that mend it");
		unlike($err, qr/read by/, 'before anything is read');
		(undef, $out, $err) = revert($node, $database, instead => 'SELECT hint FROM gallery_revert_check();');
		like($out, $statement, 'gallery_revert_check() has them too');
		unlike($err, qr/read by/, 'and has read nothing');
		for my $function (qw(gallery_revert_status gallery_revert_plan gallery_revert_losses immich_inventory immich_recovery_advice))
		{
			(undef, $out, $err) = revert($node, $database, instead => "SELECT count(*) FROM $function();");
			unlike($err, qr/read by|permission denied/, "$function() does not read it");
		}
	}
	gallery($node, 'single');
	$node->safe_psql('single', owned_by('boss'));
	my (undef, $out, $err) = revert($node, 'single');
	is($out, 'v2.7.5', "all is one superuser's: reverted") or diag $err;
}

# The two kinds of memory: each with its cure.
{
	my $look = q{SELECT concat_ws('|', status, detail, hint) FROM gallery_revert_check() WHERE name = 'lock table';};
	my $cure = qr/Run: ALTER SYSTEM SET max_locks_per_transaction = (\d+); then restart PostgreSQL/;
	$node->safe_psql('newer', 'CREATE INDEX ON asset ("ownerId"); CREATE INDEX ON person ("ownerId"); CREATE TABLE mine (id int);');
	my (undef, $out, $err) = revert($node, 'newer', instead => $look);
	is($out, "ok|the server's lock table has room for a revert", 'a lock table of the usual size is large enough');

	my @small = ('max_locks_per_transaction = 16', 'max_connections = 10', 'max_wal_senders = 0', 'max_replication_slots = 0',
		'autovacuum_max_workers = 1', 'max_worker_processes = 1', 'max_prepared_transactions = 0');
	$node->append_conf('postgresql.conf', join "\n", @small, '');
	$node->restart;
	my (%foretold, $enough);
	for my $database (qw(looked newer))
	{
		(undef, $out, $err) = revert($node, $database, instead => $look);
		my $counts = qr/It has room for \d+ locks, of which \d+ are taken; a revert may need (\d+)\./;
		like($out, qr/^warning\|the server's lock table may be too small:\n$counts\|$cure\.$/,
			"$database, a small lock table: a warning with the cure") or diag $err;
		($foretold{$database}) = $out =~ $counts;
		($enough) = $out =~ $cure;
	}
	(undef, undef, $err) = revert($node, 'newer');
	my $full = qr/Nothing has changed\. The server's lock table is full\./;
	like($err, qr/^ERROR:  53200: out of shared memory\nHINT:  $full $cure and try again\.$/m,
		'and a revert that meets its end says the same');

	$node->append_conf('postgresql.conf', 'max_locks_per_transaction = ' . ($enough // 64));
	$node->restart;
	for my $database (qw(looked newer))
	{
		(undef, $out, $err) = revert($node, $database, before => 'BEGIN;',
			after => 'SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND NOT fastpath; ROLLBACK;');
		my $taken = $out =~ /^v\d+\.\d+\.\d+\n(\d+)$/m ? $1 : 0;
		note "$taken locks, foretold $foretold{$database}";
		cmp_ok($taken, '>', 500, "$database: with as many locks as the warning says, a revert succeeds, and takes many") or diag $err;
		cmp_ok($foretold{$database}, '>=', $taken, 'but no more than foretold');
		cmp_ok($foretold{$database}, '<', 2 * $taken, 'and not twice as many are');
	}
}
done_testing();
