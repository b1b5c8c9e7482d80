R"sql(
-- What else is known of a database on which a release is to start: a row for each finding, in order. Asked by immich_recovery_advice()
-- (findings.cpp) and, word by word the same, by scripts/advise.sql, under search_path = pg_catalog, pg_temp. Catalogs only.
WITH expected AS (
  SELECT split_part(l.line, E'\t', 1) AS kind, split_part(l.line, E'\t', 2) AS owner, split_part(l.line, E'\t', 3) AS name
  FROM string_to_table(@NATIVE@, E'\n') AS l (line) WHERE l.line <> ''),
path AS (
  SELECT quote_ident(n.nspname::text) || '.' AS prefix FROM pg_catalog.pg_namespace n
  WHERE n.oid = @SCHEMA@ OR n.nspname::text <> 'pg_catalog' AND n.oid IN (SELECT e.extnamespace FROM pg_catalog.pg_extension e)),
relation AS (
  SELECT c.oid, c.relname::text AS name, c.relkind FROM pg_catalog.pg_class c WHERE c.relnamespace = @SCHEMA@),
found (kind, owner, name) AS (
  SELECT 'enum', '', t.typname::text FROM pg_catalog.pg_type t WHERE t.typtype = 'e' AND t.typnamespace = @SCHEMA@
  UNION ALL SELECT 'extension', '', e.extname::text FROM pg_catalog.pg_extension e
  UNION ALL SELECT 'sequence', '', r.name FROM relation r WHERE r.relkind = 'S'
  UNION ALL SELECT 'table', r.name, '' FROM relation r WHERE r.relkind IN ('r', 'p')
  UNION ALL SELECT 'column', r.name, a.attname::text FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
    WHERE r.relkind IN ('r', 'p') AND a.attnum > 0::smallint AND NOT a.attisdropped
  UNION ALL SELECT 'index', r.name, x.relname::text FROM relation r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid
    JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid WHERE i.indisvalid AND i.indisready
  UNION ALL SELECT 'constraint', r.name, k.conname::text FROM relation r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
    WHERE k.contype IN ('c', 'f', 'p', 'u', 'x')
  UNION ALL SELECT 'trigger', r.name, g.tgname::text FROM relation r JOIN pg_catalog.pg_trigger g ON g.tgrelid = r.oid
    WHERE NOT g.tgisinternal AND g.tgenabled <> 'D'
  UNION ALL SELECT 'function', '', p.proname::text || '(' || coalesce((
      SELECT string_agg(coalesce((SELECT substr(a.type, length(h.prefix) + 1) FROM path h WHERE starts_with(a.type, h.prefix) LIMIT 1),
          a.type), ', ' ORDER BY a.place)
      FROM string_to_table(nullif(pg_get_function_identity_arguments(p.oid), ''), ', ') WITH ORDINALITY AS a (type, place)), '') || ')'
    FROM pg_catalog.pg_proc p WHERE p.prokind = 'f' AND p.pronamespace = @SCHEMA@
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass::oid AND d.objid = p.oid
        AND d.deptype = 'e')),
-- What the server makes as it likes, and leftovers of Immich's own past, is no difference: as in src/database/native.cpp.
different (word, kind, owner, name) AS (
  SELECT 'missing', e.kind, e.owner, e.name FROM (SELECT x.kind, x.owner, x.name FROM expected x
      EXCEPT SELECT f.kind, f.owner, f.name FROM found f) AS e
    WHERE e.kind = 'table' OR e.owner = '' OR e.owner = ANY (ARRAY(SELECT f.owner FROM found f WHERE f.kind = 'table'))
  UNION ALL SELECT 'too much', f.kind, f.owner, f.name FROM (SELECT x.kind, x.owner, x.name FROM found x
      WHERE x.kind IN ('constraint', 'trigger', 'function') EXCEPT SELECT e.kind, e.owner, e.name FROM expected e) AS f
    WHERE EXISTS (SELECT FROM expected)
      AND (f.owner = '' OR f.owner = ANY (ARRAY(SELECT e.owner FROM expected e WHERE e.kind = 'table')))),
drift AS (
  SELECT d.word || ': ' || d.kind || ' "' || CASE d.kind WHEN 'table' THEN d.owner ELSE d.name END || '"'
      || CASE WHEN d.owner = '' OR d.kind = 'table' THEN '' ELSE ' of table "' || d.owner || '"' END AS line,
    row_number() OVER (ORDER BY d.word, d.kind, d.owner COLLATE "C", d.name COLLATE "C") AS place
  FROM different d
  WHERE NOT starts_with(d.owner, 'geodata_places') AND NOT starts_with(d.name, 'geodata_places')
    AND NOT starts_with(d.owner, 'naturalearth_countries') AND NOT starts_with(d.name, 'naturalearth_countries')
    AND d.owner <> ALL (ARRAY['migrations', 'typeorm_metadata', 'system_config', 'socket_io_attachments'])
    AND d.name <> ALL (ARRAY['migrations', 'typeorm_metadata', 'system_config', 'socket_io_attachments'])
    AND NOT (d.kind = 'sequence' AND d.name IN ('migrations_id_seq', 'typeorm_metadata_id_seq', 'system_config_id_seq',
      'socket_io_attachments_id_seq'))
    AND NOT (d.kind = 'index' AND d.name IN ('clip_index', 'face_index')) AND NOT (d.kind = 'extension' AND d.name = 'vector')),
wish AS (
  SELECT split_part(l.line, E'\t', 1) AS what, split_part(l.line, E'\t', 2)::integer AS first,
    split_part(l.line, E'\t', 3)::integer AS last,
    split_part(l.line, E'\t', 4) AS low, split_part(l.line, E'\t', 5) AS high FROM string_to_table(@SERVERS@, E'\n') AS l (line)),
server (what, version, place) AS (
  SELECT 'PostgreSQL', (current_setting('server_version_num')::integer / 10000)::text, 1
  UNION ALL SELECT e.extname::text, e.extversion, 2 FROM pg_catalog.pg_extension e
    WHERE e.extname::text IN ('vector', 'vchord', 'vectors')),
judged AS (
  SELECT s.what, s.version, s.place, t.tag, t.number, w.low, w.high,
    coalesce(string_to_array(substring(s.version FROM '^[0-9]+(?:\.[0-9]+)*'), '.')::integer[] >= string_to_array(w.low, '.')::integer[]
      AND string_to_array(substring(s.version FROM '^[0-9]+(?:\.[0-9]+)*'), '.')::integer[] < string_to_array(w.high, '.')::integer[],
      false) AS fits
  FROM server s CROSS JOIN unnest(@TAGS@, @PLACES@) WITH ORDINALITY AS t (tag, at, number)
  LEFT JOIN wish w ON w.what = s.what AND t.at >= w.first AND t.at <= w.last)
SELECT x.line FROM (
  SELECT 1, 0::bigint, CASE WHEN EXISTS (SELECT FROM drift)
    THEN format('schema: %s %s to Immich''s after %s migrations', (SELECT count(*) FROM drift),
      CASE WHEN (SELECT count(*) FROM drift) = 1 THEN 'difference' ELSE 'differences' END, @COUNT@)
      || '; Immich starts, but features and the next update may fail on them'
    ELSE format('schema: all names are there that Immich has after %s migrations', @COUNT@) END WHERE EXISTS (SELECT FROM expected)
  UNION ALL SELECT 2, d.place, d.line FROM drift d WHERE d.place <= 30
  UNION ALL SELECT 3, 0, format('and %s more', (SELECT count(*) FROM drift) - 30) WHERE (SELECT count(*) FROM drift) > 30
  UNION ALL SELECT 4, j.place * 1000 + j.number, format('%s %s: Immich %s %s', CASE j.place WHEN 2 THEN 'extension ' ELSE '' END || j.what,
      j.version, j.tag, CASE WHEN j.fits THEN 'supports it' WHEN j.low IS NULL THEN 'does not use it any more'
        ELSE format('wants %s or later, before %s', j.low, j.high) END) FROM judged j
  UNION ALL SELECT 5, t.number, format('no vector extension that Immich %s supports is installed: it does not start', t.tag)
    FROM unnest(@TAGS@) WITH ORDINALITY AS t (tag, number)
    WHERE NOT EXISTS (SELECT FROM judged j WHERE j.tag = t.tag AND j.place = 2 AND j.fits)
  UNION ALL SELECT 6, 0, format('collation: the database was made with version %s, the system has %s: texts may be found no more until '
      'REINDEX DATABASE and ALTER DATABASE %I REFRESH COLLATION VERSION', c.made, coalesce(c.has, 'another'), c.name)
    FROM (SELECT d.datname AS name, to_jsonb(d) ->> 'datcollversion' AS made,
        (SELECT pg_collation_actual_version(l.oid) FROM pg_catalog.pg_collation l
          WHERE l.collprovider = 'c' AND l.collcollate::text = d.datcollate::text ORDER BY l.oid LIMIT 1) AS has
      FROM pg_catalog.pg_database d WHERE d.datname::text = current_database()::text
        AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c') AS c
    WHERE c.made IS DISTINCT FROM c.has AND c.made IS NOT NULL) AS x (part, place, line)
ORDER BY x.part, x.place
)sql"
