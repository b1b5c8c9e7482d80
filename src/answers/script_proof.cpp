// What a script does around its steps: locks, the questions to rows, the proof, the end.
#include "answers/script_parts.hpp"

#include <algorithm>

namespace gallery {

std::string fill(std::string_view text, const Places &places) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    auto const found = std::find_if(places.begin(), places.end(), [&](const auto &place) {
      return text[at] == '@' && text.substr(at).starts_with(place.first);
    });
    if (found == places.end()) {
      result += text[at++];
    } else {
      result += found->second;
      at += found->first.size();
    }
  }
  return result;
}

namespace script_parts {

const char *const locking = R"sql(-- Nobody else is connected. From here on with the owner's rights.
DO @quote@
DECLARE
  gr_lines text[];
  gr_message text;
BEGIN
  gr_lines := (SELECT array_agg(s.line) FROM (@clients@) s(line));
  gr_message := cardinality(gr_lines) || CASE cardinality(gr_lines) WHEN 1 THEN ' other client is' ELSE ' other clients are' END
    || ' connected to this database';
  IF lower(coalesce(current_setting('gallery.revert_ignore_sessions', true), '')) NOT IN ('on', 'true', 'yes', '1')
      AND gr_lines IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '55006', MESSAGE = gr_message, DETAIL = pg_temp.gallery_revert_lines(gr_lines),
      HINT = 'Stop Immich and Gallery (docker compose rm -sf immich-server immich-machine-learning), then run this script again.'
        ' To go on all the same: SET gallery.revert_ignore_sessions = on; before it, in the same session.';
  ELSIF gr_lines IS NOT NULL THEN
    RAISE WARNING USING MESSAGE = gr_message, DETAIL = pg_temp.gallery_revert_lines(gr_lines);
  END IF;
  PERFORM set_config('role', h.owner, true) FROM pg_temp.gallery_revert_home() h;
END @quote@;

-- The locks, in the order of the OIDs: all at once or none, and never queued for behind another session. An autovacuum that is alone
-- in the way is stood behind for a moment, with a lock that no reader and no writer waits for: then the server ends it.
DO @quote@
DECLARE
  gr_setting text := coalesce(nullif(current_setting('gallery.revert_lock_timeout', true), ''), '@timeout@');
  gr_wait interval := CASE WHEN gr_setting ~ '^\s*\d+\s*$' THEN gr_setting::bigint * interval '1 millisecond'
    ELSE gr_setting::interval END;
  gr_grace interval := current_setting('deadlock_timeout')::interval + interval '1 second';
  gr_end timestamptz := clock_timestamp() + gr_wait;
  gr_tables oid[];
  gr_list text;
  gr_busy oid;
BEGIN
  PERFORM set_config('lock_timeout', greatest(1, extract(epoch FROM gr_wait) * 1000)::bigint || 'ms', true);
  SELECT array_agg(c.oid ORDER BY c.oid), string_agg('ONLY ' || c.oid::regclass::text, ', ' ORDER BY c.oid) INTO gr_tables, gr_list
  FROM pg_class c, pg_temp.gallery_revert_home() h
  WHERE c.relnamespace = h.schema_oid AND c.relkind IN ('r', 'p') AND c.relname = ANY (@locked@::name[]);
  LOOP
    gr_busy := (SELECT min(l.relation) FROM pg_locks l WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY (gr_tables)
      AND l.pid IS DISTINCT FROM pg_backend_pid()
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()));
    BEGIN
      IF gr_busy IS NULL THEN
        EXECUTE 'LOCK TABLE ' || gr_list || ' IN ACCESS EXCLUSIVE MODE NOWAIT';
        EXIT;
      ELSIF clock_timestamp() + gr_grace < gr_end AND NOT EXISTS (SELECT FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
          WHERE l.relation = gr_busy AND l.pid IS DISTINCT FROM pg_backend_pid() AND (a.pid IS NULL OR a.usesysid IS NOT NULL)) THEN
        PERFORM set_config('lock_timeout', extract(epoch FROM gr_grace)::bigint * 1000 || 'ms', true);
        EXECUTE 'LOCK TABLE ONLY ' || gr_busy::regclass::text || ' IN SHARE UPDATE EXCLUSIVE MODE';
        RAISE lock_not_available; -- lets go of it
      END IF;
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
      NULL;
    END;
    IF clock_timestamp() >= gr_end THEN
      gr_busy := coalesce(gr_busy, (SELECT min(l.relation) FROM pg_locks l WHERE l.relation = ANY (gr_tables) AND l.granted));
      PERFORM set_config('role', 'none', true); -- who is connected may see more of others than the owner
      RAISE EXCEPTION USING ERRCODE = '55P03',
        MESSAGE = 'could not lock table "' || coalesce((SELECT c.relname::text FROM pg_class c WHERE c.oid = gr_busy), '?') || '" within '
          || gr_setting || CASE WHEN gr_setting ~ '^\s*\d+\s*$' THEN ' ms' ELSE '' END,
        DETAIL = coalesce(pg_temp.gallery_revert_lines(ARRAY(@holders@)), 'whoever held it has let go in the meantime'),
        HINT = 'Wait until these sessions are done, or end them yourself (SELECT pg_terminate_backend(pid);), then run this script'
          ' again. More time: SET gallery.revert_lock_timeout = ''60s''; before it, in the same session.';
    END IF;
    PERFORM pg_sleep(0.02);
  END LOOP;
END @quote@;

-- Again, now that nobody can change it.
CALL pg_temp.gallery_revert_look();
SET LOCAL gallery_revert.looked = '@digest@';

)sql";

const char *const rows =
    R"sql(-- The steps. What code there may be on Immich's tables runs in here alone, with the rights of their owner and no way out of them.
CREATE PROCEDURE pg_temp.gallery_revert_rows() LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS @quote@
DECLARE
  gr_lines text[];
  gr_answer text;
  gr_busy boolean[];
  gr_most bigint[];
  gr_count bigint;
  gr_wanted bigint;
  gr_left bigint;
  gr_orphans bigint[];
  gr_rows bigint[] := array_fill(0::bigint, ARRAY[@steps@]);
  gr_name text[];
  gr_inserted bigint[];
  gr_updated bigint[];
  gr_deleted bigint[];
BEGIN
  IF current_setting('gallery_revert.looked', true) IS DISTINCT FROM '@digest@' THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'this is only a part of the script',
      HINT = 'Nothing has changed. Run the whole file: psql -f.';
  END IF;

  -- The ledger records what it recorded on the copy.
  gr_lines := (SELECT array_agg(d.line ORDER BY d.line) FROM (
    (SELECT 'missing: ' || w.line FROM unnest(@ledger_before@) w(line) EXCEPT ALL SELECT 'missing: ' || n.line FROM (@ledger_now@) n(line))
    UNION ALL
    (SELECT 'not on the copy: ' || n.line FROM (@ledger_now@) n(line) EXCEPT ALL
      SELECT 'not on the copy: ' || w.line FROM unnest(@ledger_before@) w(line))) d(line));
  IF gr_lines IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the ledger does not record what it did on the copy on which the script was made',
      DETAIL = pg_temp.gallery_revert_lines(gr_lines),
      HINT = 'Nothing has changed. Make a new copy of this database, and a new script on it.';
  END IF;
@premises@
  -- Every file path is on disk.
  gr_lines := (SELECT array_agg(p.number || ' ' || p.label ORDER BY p.label) FROM (@paths@) p(label, number) WHERE p.number > 0);
  IF gr_lines IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'some file paths do not start with "/"',
      DETAIL = pg_temp.gallery_revert_lines(gr_lines),
      HINT = 'Nothing has changed. They are in S3, or of a relative media location: on a new copy, gallery_revert_check() tells which, and'
        ' what to do.';
  END IF;

  SELECT array_agg(c.name), array_agg(c.inserted), array_agg(c.updated), array_agg(c.deleted)
    INTO gr_name, gr_inserted, gr_updated, gr_deleted FROM (@counters@) c;

  -- What there is to do, and how many rows a cascade may change.
  SELECT ARRAY[@busy@]::boolean[], ARRAY[@most@]::bigint[], ARRAY[@orphans@]::bigint[] INTO gr_busy, gr_most, gr_orphans;
  PERFORM set_config('search_path', @path@, true);
  SET CONSTRAINTS ALL IMMEDIATE;
)sql";

const char *const proof = R"sql(
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
@jit@
  -- Rows changed are those that the steps changed, and what a key or a trigger of Immich's changes with them.
  gr_lines := (WITH change(name, how, number) AS (
    SELECT n.name, h.how, h.now - coalesce(h.was, 0) FROM (@counters@) n
      LEFT JOIN unnest(gr_name, gr_inserted, gr_updated, gr_deleted) w(name, inserted, updated, deleted) ON w.name = n.name
      CROSS JOIN LATERAL (VALUES ('inserted', n.inserted, w.inserted), ('updated', n.updated, w.updated),
        ('deleted', n.deleted, w.deleted)) h(how, now, was)),
  own(name, how, number) AS (
    SELECT s.name, s.how, sum(s.number) FROM unnest(@step_tables@, @step_changes@, gr_rows) s(name, how, number) GROUP BY s.name, s.how),
  effect(step, name, how, is_free, fixed, cause, cause_how) AS (
    SELECT e.* FROM (VALUES (0, '', '', false, 0::bigint, '', '')@effects@) e(step, name, how, is_free, fixed, cause, cause_how)
    WHERE gr_busy[e.step]),
  allowed(name, how, is_free, number) AS (
    SELECT e.name, e.how, bool_or(e.is_free), sum(e.fixed) + coalesce((SELECT sum(c.number) FROM change c WHERE (c.name, c.how) IN
      (SELECT x.cause, x.cause_how FROM effect x WHERE x.name = e.name AND x.how = e.how)), 0)
    FROM effect e GROUP BY e.name, e.how)
  SELECT array_agg('table "' || c.name || '": ' || c.number || ' rows ' || c.how || ', expected ' || coalesce(o.number, 0)
      || CASE WHEN c.number > coalesce(o.number, 0) AND a.name IS NOT NULL THEN ', and at most ' || a.number || ' more' ELSE '' END
      ORDER BY c.name, c.how)
  FROM change c LEFT JOIN own o ON o.name = c.name AND o.how = c.how LEFT JOIN allowed a ON a.name = c.name AND a.how = c.how
  WHERE current_setting('track_counts')::boolean AND (c.how <> 'inserted' OR c.name = ANY (@ours@))
    AND c.number <> coalesce(o.number, 0)
    AND NOT (c.number > coalesce(o.number, 0) AND a.name IS NOT NULL AND (a.is_free OR c.number <= coalesce(o.number, 0) + a.number)));

  -- No more rows point to nothing than before.
  gr_lines := coalesce(gr_lines, '{}') || (SELECT coalesce(array_agg((s.now - s.was) || ' rows of ' || s.line), '{}')
    FROM unnest(@keys@, gr_orphans, ARRAY[@orphans@]::bigint[]) s(line, was, now) WHERE s.now > s.was);

  -- The ledger is what Immich's migrator accepts.
  gr_lines := gr_lines || (SELECT coalesce(array_agg('ledger: ' || d.line ORDER BY d.line), '{}') FROM (
    (SELECT w.line FROM unnest(@ledger_after@) w(line) EXCEPT ALL SELECT n.line FROM (@ledger_immich@) n(line))
    UNION ALL (SELECT n.line FROM (@ledger_immich@) n(line) EXCEPT ALL SELECT w.line FROM unnest(@ledger_after@) w(line))) d(line));
  IF cardinality(gr_lines) > 0 THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the result would not be a stock Immich, so nothing is changed',
      DETAIL = pg_temp.gallery_revert_lines(gr_lines),
      HINT = @gap@;
  END IF;
  RAISE NOTICE USING MESSAGE = @gone@, DETAIL = coalesce('Rows changed by the steps: ' || (SELECT string_agg(s.line, ', ') FROM (
    SELECT sum(u.number) || ' of "' || u.name || '" ' || u.how FROM unnest(@step_tables@, @step_changes@, gr_rows) u(name, how, number)
    WHERE u.number > 0 GROUP BY u.name, u.how ORDER BY u.name, u.how) s(line)) || '.', 'No row had to be changed.');
END @quote@;
CALL pg_temp.gallery_revert_rows();

)sql";

const char *const closing =
    R"sql(-- Nothing of what ran there is left to run at the commit; and the catalog is what it was on the copy after the same steps.
@set_local@CLOSE ALL;
DO @quote@
DECLARE
  gr_lines text[];
BEGIN
  gr_lines := (SELECT array_agg(d.line ORDER BY d.line) FROM (
    SELECT coalesce(n.thing, w.thing) || CASE WHEN n.thing IS NULL THEN ' is missing' WHEN w.thing IS NULL THEN ' is left over'
      ELSE ' is not as on the copy' END AS line
    FROM (@fingerprints@) n(thing, digest) FULL JOIN unnest(@things_after@, @digests_after@) w(thing, digest) ON w.thing = n.thing
    WHERE n.digest IS DISTINCT FROM w.digest
    UNION ALL SELECT 'checks that may wait for the commit came to be' WHERE EXISTS (SELECT FROM pg_trigger g WHERE g.tgdeferrable)
      AND EXISTS (SELECT FROM (@ledgers@) l(oid, schema, schema_oid, owner, owner_oid) WHERE l.owner::text <> session_user::text)) d);
  IF gr_lines IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the result would not be a stock Immich, so nothing is changed',
      DETAIL = array_to_string(gr_lines, chr(10)),
      HINT = @gap@;
  END IF;
  PERFORM set_config('gallery_revert.done', '@digest@', false);
END @quote@;
COMMIT;

-- Only where it was committed. The session is as new afterwards.
SET search_path = pg_catalog, pg_temp;
SET client_min_messages = notice;
DO @quote@
BEGIN
  IF current_setting('gallery_revert.done', true) IS DISTINCT FROM '@digest@' THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the database was not reverted: nothing has changed',
      HINT = 'The first error above says why.';
  END IF;
  RAISE NOTICE 'pin the image tag: IMMICH_VERSION=@tag@';
  RAISE NOTICE USING MESSAGE = @completion@;
END @quote@;
DISCARD ALL;
)sql";

} // namespace script_parts

} // namespace gallery
