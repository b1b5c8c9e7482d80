-- What the test of the way back knows of a database by itself, apart from the extension: rows as they were at each moment, and which
-- of what a revert took away is not as it was.
CREATE SCHEMA seen;
CREATE TABLE seen.rows (moment text, t text, key jsonb, content jsonb);
CREATE TABLE seen.columns (moment text, t text, name text, initial text, clock boolean);
CREATE TABLE seen.keys (t text, names text[]);
CREATE TABLE seen.values (moment text, t text, key jsonb, name text, value jsonb);

-- Writes down every row of every table of the schema, by the primary key that the table had at first; without one, by all of it.
CREATE FUNCTION seen.look(moment text, schema text) RETURNS void LANGUAGE plpgsql AS $look$ DECLARE r record; BEGIN
  INSERT INTO seen.keys SELECT c.relname, array_agg(a.attname) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
    WHERE i.indisprimary AND c.relnamespace = quote_ident(schema)::regnamespace
      AND NOT EXISTS (SELECT FROM seen.keys k WHERE k.t = c.relname)
    GROUP BY c.relname;
  FOR r IN SELECT c.oid::regclass AS full_name, c.relname, k.names FROM pg_class c LEFT JOIN seen.keys k ON k.t = c.relname
    WHERE c.relkind = 'r' AND c.relnamespace = quote_ident(schema)::regnamespace LOOP
    EXECUTE format('INSERT INTO seen.rows SELECT %L, %L, %s, to_jsonb(x.*) FROM %s x', moment, r.relname,
      coalesce((SELECT 'jsonb_build_object(' || string_agg(format('%L, x.%I', n, n), ', ') || ')' FROM unnest(r.names) n), 'to_jsonb(x.*)'),
      r.full_name);
  END LOOP;
  INSERT INTO seen.values SELECT s.moment, s.t, s.key, e.key, e.value FROM seen.rows s, jsonb_each(s.content) e WHERE s.moment = look.moment
    AND s.t NOT IN (SELECT o.t FROM seen.own o) AND NOT EXISTS (SELECT FROM seen.aside a WHERE coalesce(a.t, s.t) = s.t AND a.name = e.key);
  INSERT INTO seen.columns SELECT moment, c.relname, a.attname,
      (regexp_match(pg_get_expr(d.adbin, d.adrelid), $re$^'?(.*?)'?(::.*)?$$re$))[1],
      coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE '%(%', false)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind = 'r' AND c.relnamespace = quote_ident(schema)::regnamespace AND a.attnum > 0 AND NOT a.attisdropped;
  ANALYZE seen.rows, seen.values, seen.columns;
END $look$;

-- What the way back leaves as it is, and what nobody can put back: values by table and column.
CREATE TABLE seen.aside (t text, name text, because text);
INSERT INTO seen.aside VALUES
  (NULL, 'updatedAt', 'Immich''s trigger sets it when a row is changed, by a revert or by the way back'),
  (NULL, 'updateId', 'the same'),
  ('session', 'isPendingSyncReset', 'phones are asked to sync anew'),
  ('asset', 'isFavorite', 'Gallery does not read it where she has a table of favourites'),
  ('asset_favorite', 'createdAt', 'those of owners are made by Gallery''s migration'),
  ('asset_favorite', 'createId', 'the same');
CREATE TABLE seen.own (t text);
INSERT INTO seen.own VALUES ('kysely_migrations'), ('kysely_migrations_lock'), ('gallery_migrations'), ('gallery_migrations_lock'),
  ('migration_overrides'), ('version_history');

-- The values that a revert took away or overwrote; columns that went had those of a new row or are taken away as well.
CREATE VIEW seen.taken AS
SELECT b.t, b.key, b.name, b.value FROM seen.values b
LEFT JOIN seen.values r ON r.moment = 'reverted' AND (r.t, r.key, r.name) = (b.t, b.key, b.name)
LEFT JOIN seen.columns c ON c.moment = 'before' AND (c.t, c.name) = (b.t, b.name)
WHERE b.moment = 'before' AND (r.value IS DISTINCT FROM b.value) AND
  (NOT EXISTS (SELECT FROM seen.rows x WHERE x.moment = 'reverted' AND (x.t, x.key) = (b.t, b.key))
   OR r.value IS NOT NULL
   OR NOT c.clock AND b.value <> 'null' AND b.value #>> '{}' IS DISTINCT FROM c.initial);

-- Rows with such a value that is not there again. Of rows that are there, what follows the clock does not count.
CREATE VIEW seen.missing AS
SELECT DISTINCT t.t, t.key FROM seen.taken t
LEFT JOIN seen.values a ON a.moment = 'after' AND (a.t, a.key, a.name) = (t.t, t.key, t.name)
LEFT JOIN seen.columns c ON c.moment = 'after' AND (c.t, c.name) = (t.t, t.name)
WHERE coalesce(a.value, 'null') IS DISTINCT FROM t.value AND NOT (a.value IS NOT NULL AND coalesce(c.clock, false));

-- What was there just before the way back and is not as it was after it: rows, or values other than those of a new row.
CREATE VIEW seen.lost AS
SELECT g.t, g.key, g.name, g.value, a.value AS now FROM seen.values g
LEFT JOIN seen.values a ON a.moment = 'after' AND (a.t, a.key, a.name) = (g.t, g.key, g.name)
LEFT JOIN seen.columns c ON c.moment = 'again' AND (c.t, c.name) = (g.t, g.name)
WHERE g.moment = 'again' AND a.value IS DISTINCT FROM g.value AND (a.value IS NULL OR
  g.value <> 'null' AND g.value #>> '{}' IS DISTINCT FROM c.initial AND (g.t, g.name) NOT IN (VALUES ('asset', 'duration'),
    ('asset', 'isEdited'), ('workflow', 'enabled'), ('api_key', 'permissions'), ('system_metadata', 'value'), ('user_metadata', 'value')));
