-- The SQL side of gallery_revert 1.0.0. Every function has the search path that keeps planted objects out, runs with the rights
-- of its caller, and is nobody's until granted.

\echo Use "CREATE EXTENSION gallery_revert" to load this file. \quit

CREATE FUNCTION gallery_revert() RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'gallery_revert';

COMMENT ON FUNCTION gallery_revert() IS
'Takes this Noodle Gallery database back to Immich in the caller''s transaction and returns the image tag to pin. '
'Needs gallery.revert_token. Look at gallery_revert_plan() first.';

CREATE FUNCTION gallery_revert_plan(
  OUT step integer, OUT phase text, OUT kind text, OUT object text, OUT reason text, OUT rows bigint, OUT digest text,
  OUT statement text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'gallery_revert_plan';

COMMENT ON FUNCTION gallery_revert_plan() IS
'Shows the statements that gallery_revert() would run, in order, with the reason and the number of rows of each, and a digest that '
'tells this plan from others up to that step (see gallery.revert_plan). Changes nothing.';

CREATE FUNCTION gallery_revert_script() RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'gallery_revert_script';

COMMENT ON FUNCTION gallery_revert_script() IS
'Writes the plan as one file for plain psql, for a server where no extension can be installed. To be called on a restored copy of '
'the database, where the plan is run, proven and undone. Changes nothing.';

CREATE FUNCTION gallery_revert_losses(OUT what text, OUT count bigint, OUT names text[], OUT instead text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'gallery_revert_losses';

COMMENT ON FUNCTION gallery_revert_losses() IS
'Tells what gallery_revert() would take away, in the words of who owns the photos, with counts and names, '
'and what becomes of each. Changes nothing.';

CREATE FUNCTION gallery_archive_list(OUT run integer, OUT what text, OUT count bigint, OUT names text[])
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'gallery_archive_list';

COMMENT ON FUNCTION gallery_archive_list() IS
'Tells what the schema gallery_archive holds that gallery_revert() wrote with gallery.revert_archive on: for each run of it all rows, '
'then what they were in words, with counts and names. Changes nothing.';

CREATE FUNCTION gallery_return() RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'gallery_return';

COMMENT ON FUNCTION gallery_return() IS
'Puts back what the schema gallery_archive has of the last revert, where it still fits, into a database on which Gallery was started '
'again, in the caller''s transaction. Needs gallery.return_token. Look at gallery_return_plan() first.';

CREATE FUNCTION gallery_return_plan(
  OUT step integer, OUT phase text, OUT kind text, OUT object text, OUT reason text, OUT rows bigint, OUT digest text,
  OUT statement text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'gallery_return_plan';

COMMENT ON FUNCTION gallery_return_plan() IS
'Shows the statements that gallery_return() would run, in order, with the reason and the number of rows of each, what could not come back '
'among them. It runs them to count and undoes that.';

CREATE FUNCTION gallery_revert_status(
  OUT product text, OUT gallery_release text, OUT immich_first text, OUT immich_last text, OUT native_migrations integer,
  OUT fork_migrations integer, OUT unknown_migrations text[], OUT last_started text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER ROWS 1
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'gallery_revert_status';

COMMENT ON FUNCTION gallery_revert_status() IS
'Tells in one row which Gallery or Immich this database is, read from its ledger of migrations. Changes nothing.';

CREATE FUNCTION gallery_revert_manifest(OUT kind text, OUT object text, OUT migration text, OUT first_release text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'gallery_revert_manifest';

COMMENT ON FUNCTION gallery_revert_manifest() IS
'Lists everything that gallery_revert takes for Gallery''s, whatever this database holds: objects and migrations.';

CREATE FUNCTION gallery_revert_check(OUT name text, OUT status text, OUT detail text, OUT hint text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'gallery_revert_check';

COMMENT ON FUNCTION gallery_revert_check() IS
'Shows every check with status ok, warning or blocked: before a revert whether it is ready, '
'afterwards whether the database is clean. Changes nothing.';

CREATE FUNCTION immich_inventory(OUT item text, OUT count bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'immich_inventory';

COMMENT ON FUNCTION immich_inventory() IS
'Counts what this Immich or Gallery database holds: users, assets, albums, people, faces, links and more. Compare before and after.';

-- Two functions instead of a default: a function without arguments that somebody else made would be a better match.
CREATE FUNCTION immich_recovery_advice(
  OUT advice text, OUT reason text, OUT pin text, OUT steps text[], OUT findings text[])
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER ROWS 1
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'immich_recovery_advice';
COMMENT ON FUNCTION immich_recovery_advice() IS
'After a failed update or downgrade: whether to roll back, go forward, restore a dump or revert Gallery, why, and the commands. '
'Changes nothing.';

CREATE FUNCTION immich_recovery_advice(
  target text, OUT advice text, OUT reason text, OUT pin text, OUT steps text[], OUT findings text[])
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER ROWS 1
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'immich_recovery_advice';

COMMENT ON FUNCTION immich_recovery_advice(text) IS
'After a failed update or downgrade: whether to roll back, go forward, restore a dump or revert Gallery, why, and the commands. '
'The argument is the release you want to start. Changes nothing.';

CREATE FUNCTION immich_repair_migration_order() RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'immich_repair_migration_order';

COMMENT ON FUNCTION immich_repair_migration_order() IS
'Repairs the ledger of an Immich database whose rows are out of order or of unreleased builds, '
'and returns the image tag to pin. Needs gallery.revert_token. gallery_revert_plan() shows the changes first.';

REVOKE ALL ON FUNCTION gallery_revert(), gallery_revert_plan(), gallery_revert_script(), gallery_revert_losses(),
  gallery_revert_check(), gallery_revert_status(), gallery_archive_list(), gallery_return(), gallery_return_plan(),
  gallery_revert_manifest(), immich_inventory(), immich_recovery_advice(), immich_recovery_advice(text),
  immich_repair_migration_order() FROM PUBLIC;
