-- What a row's "updatedAt" and "updateId" say about changes of the row: a psql script, -v schema=NAME, run in one session
-- before and after. The first run remembers all rows, the second prints a line for each row whose bookkeeping and content
-- disagree: one changed and the other did not. Columns that came or went do not count, but for the restored "isFavorite".
-- Assets may change without bookkeeping if every session is told to sync from the start.
SELECT pg_catalog.to_regclass('pg_temp.bookkeeping_before') IS NULL AS first_run \gset
\if :first_run
CREATE FUNCTION pg_temp.bookkeeping(home text) RETURNS TABLE (tbl text, key text, mark text, doc jsonb) LANGUAGE plpgsql AS $$
DECLARE
  t record;
BEGIN
  FOR t IN SELECT c.relname, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname) AS key
           FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
           JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
           WHERE n.nspname = home AND c.relkind = 'r'
             AND EXISTS (SELECT FROM pg_catalog.pg_attribute m WHERE m.attrelid = c.oid AND NOT m.attisdropped
                         AND m.attname IN ('updatedAt', 'updateId'))
           GROUP BY c.relname LOOP
    RETURN QUERY EXECUTE format(
      'SELECT %1$L::text, jsonb_build_array(%2$s)::text, concat(d ->> ''updatedAt'', '' '', d ->> ''updateId''), '
      'd - ''updatedAt'' - ''updateId'' FROM (SELECT t.*, %3$s || to_jsonb(t) AS d FROM %4$I.%1$I t) s',
      t.relname, t.key, CASE t.relname WHEN 'asset' THEN quote_literal('{"isFavorite": false}') || '::jsonb' ELSE '''{}''::jsonb' END,
      home);
  END LOOP;
END $$;
CREATE TEMP TABLE bookkeeping_before AS SELECT * FROM pg_temp.bookkeeping(:'schema');
\else
SELECT count(*) = 0 AS all_reset FROM :"schema".session WHERE NOT "isPendingSyncReset" \gset
SELECT tbl || ' ' || key || CASE WHEN changed THEN ': changed without bookkeeping' ELSE ': bookkeeping without a change' END
FROM (SELECT a.tbl, a.key, a.mark <> b.mark AS marked,
             EXISTS (SELECT FROM jsonb_each(a.doc) x JOIN jsonb_each(b.doc) y USING (key) WHERE x.value <> y.value) AS changed
      FROM pg_temp.bookkeeping(:'schema') a JOIN pg_temp.bookkeeping_before b USING (tbl, key)) s
WHERE marked <> changed AND NOT (:'all_reset' AND tbl = 'asset' AND changed) ORDER BY 1;
DROP TABLE pg_temp.bookkeeping_before;
DROP FUNCTION pg_temp.bookkeeping(text);
\endif
