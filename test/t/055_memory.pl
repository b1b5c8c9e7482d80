# Memory is flat: one session calls every function over and over, with arguments that are refused and with errors from inside, and
# holds no more at the end than after the first rounds. GALLERY_REVERT_CALLS is the number of rounds, 200 by default.
use strict;
use warnings FATAL => 'all';

use GalleryTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $calls = $ENV{GALLERY_REVERT_CALLS} // 200;
# The caches of the server and the C library's arenas have found their size by then.
my $first = $calls < 400 ? int($calls / 4) : 100;

my $node = new_node('memory', conf => ['autovacuum = off']);
gallery($node, 'photos');
$node->safe_psql('photos', <<'SQL');
CREATE SCHEMA test;
-- What the server counts in its memory contexts, and what the process has: C++ allocates outside of them.
CREATE FUNCTION test.memory(OUT contexts bigint, OUT process bigint) LANGUAGE sql AS $$
  SELECT sum(total_bytes)::bigint,
    substring(pg_read_file('/proc/' || pg_backend_pid() || '/status') FROM 'RssAnon:\s*(\d+) kB')::bigint * 1024
  FROM pg_backend_memory_contexts
$$;
-- Runs a statement in a subtransaction that its error undoes.
CREATE FUNCTION test.refused(code text, statement text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    EXECUTE statement;
  EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE <> code THEN
      RAISE;
    END IF;
    RETURN;
  END;
  RAISE EXCEPTION 'not refused: %', statement;
END $$;
-- An error from within a step, where test.fail asks for it.
CREATE FUNCTION test.fail() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('test.fail', true) = 'on' THEN
    RAISE EXCEPTION 'failed' USING ERRCODE = '22012';
  END IF;
END $$;
CREATE EVENT TRIGGER fail ON sql_drop EXECUTE FUNCTION test.fail();
SQL

# What only reads, and refusals before and after the survey.
my $always = <<'SQL';
BEGIN;
SELECT count(*) FROM gallery_revert_plan();
SELECT count(*) FROM gallery_revert_losses();
SELECT count(*) FROM gallery_revert_status();
SELECT count(*) FROM immich_inventory();
SELECT count(*) FROM immich_recovery_advice();
SET LOCAL gallery.revert_target = 'nonsense';
SELECT test.refused('22023', 'SELECT gallery_revert_plan()');
SELECT test.refused('42501', 'SELECT gallery_revert()');
SET LOCAL gallery.revert_token = 'i_accept_data_loss';
SET LOCAL gallery.revert_target = 'v9.0.0';
SELECT test.refused('0A000', 'SELECT gallery_revert_plan()');
SELECT test.refused('0A000', 'SELECT gallery_revert()');
SQL
# The slow ones: every tenth time. A step that fails, and a revert that is undone, among them.
my $sometimes = <<'SQL';
SET LOCAL gallery.revert_target = '';
SELECT count(*) FROM gallery_revert_check();
SELECT test.refused('55000', 'SELECT immich_repair_migration_order()');
SET LOCAL test.fail = on;
SELECT test.refused('22012', 'SELECT gallery_revert()');
SET LOCAL test.fail = off;
SELECT gallery_revert();
SQL

my @marks = grep { $_ == $first || $_ == $calls || /^10+$/ && $_ > $first && $_ < $calls } 1 .. $calls;
my %mark = map { $_ => 1 } @marks;
my $script = "\\set ON_ERROR_STOP 1\nSET client_min_messages = error;\n\\o /dev/null\n";
for my $round (1 .. $calls)
{
	$script .= $always . ($round % 10 == 0 ? $sometimes : '') . "ROLLBACK;\n";
	# What the undone reverts leave in the catalogs makes them slow, not large in memory.
	$script .= "VACUUM pg_catalog.pg_attribute, pg_catalog.pg_class, pg_catalog.pg_depend, pg_catalog.pg_constraint;\n"
		if $round % $first == 0;
	$script .= "\\o\nSELECT $round, contexts, process FROM test.memory();\n\\o /dev/null\n" if $mark{$round};
}
my ($out, $err) = ('', '');
# A file, because psql stops reading at the first error.
my $file = PostgreSQL::Test::Utils::tempdir() . '/script.sql';
append_to_file($file, $script);
ok(IPC::Run::run([ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('photos'), '-f', $file ], '<', \undef, '>', \$out, '2>', \$err),
	"$calls rounds")
	or diag $err;
my %memory = map { /^(\d+)\|(\d+)\|(\d+)$/ ? ($1 => [ $2, $3 ]) : () } split /\n/, $out;
note sprintf 'after %6d rounds: %9d bytes in contexts, %9d bytes of the process', $_, @{ $memory{$_} } foreach @marks;
# The C library takes memory from the kernel in steps, up to a megabyte at once.
for my $what ([ 0, 'the memory contexts', 512 ], [ 1, 'the process', 2048 ])
{
	my ($column, $name, $kilobytes) = @$what;
	my $growth = $memory{$calls}[$column] - $memory{$first}[$column];
	cmp_ok($growth, '<', $kilobytes * 1024, "$name grew by $growth bytes in the last " . ($calls - $first) . ' rounds');
}
done_testing();
