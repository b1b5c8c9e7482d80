-- For the isolation specs: the extension, and what makes its errors fit for an expected file.
CREATE EXTENSION gallery_revert;
-- Other sessions are the point of these specs.
ALTER DATABASE :"DBNAME" SET gallery.revert_ignore_sessions = on;
CREATE SCHEMA test;

-- Runs the revert in a savepoint and tells how it ended: the tag, or the error's code, message and detail with what differs
-- from run to run taken out.
CREATE FUNCTION test.attempt(time_limit text DEFAULT '300ms') RETURNS TABLE (line text) LANGUAGE plpgsql AS $$
DECLARE
  code text; message text; detail text;
BEGIN
  PERFORM set_config('gallery.revert_token', 'i_accept_data_loss', true);
  PERFORM set_config('gallery.revert_lock_timeout', time_limit, true);
  PERFORM set_config('client_min_messages', 'error', true);
  RETURN QUERY SELECT 'reverted, pin ' || gallery_revert();
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
  RETURN QUERY SELECT CASE WHEN n <= 4 THEN
      regexp_replace(regexp_replace(regexp_replace(l, 'pid \d+', 'pid N', 'g'), 'user "[^"]*"', 'user "U"', 'g'),
      'on \d+ tables', 'on N tables', 'g') ELSE '...' END
    FROM regexp_split_to_table(concat_ws(E'\n', code || ' ' || message, nullif(detail, '')), E'\n') WITH ORDINALITY AS r(l, n) WHERE n <= 5;
END $$;

-- Runs the revert outside of any savepoint, as users do: only there may it leave out its second look when nobody wrote.
CREATE FUNCTION test.plain() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('gallery.revert_token', 'i_accept_data_loss', true);
  PERFORM set_config('gallery.revert_lock_timeout', '60s', true);
  PERFORM set_config('client_min_messages', 'error', true);
  RETURN 'reverted, pin ' || gallery_revert();
END $$;

-- What is locked by this session that a revert locks; nothing is left of a refused one.
CREATE FUNCTION test.held() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode = 'AccessExclusiveLock'
$$;

-- Gallery or Immich, and how many pets and unknown rows there are.
CREATE FUNCTION test.state() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  pets bigint;
BEGIN
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'public.person'::regclass AND attname = 'species' AND NOT attisdropped) THEN
    SELECT count(*) INTO pets FROM public.person WHERE type = 'pet';
    RETURN 'gallery, ' || pets || ' pets';
  END IF;
  RETURN 'immich, ' || (SELECT count(*) FROM public.kysely_migrations) || ' migrations';
END $$;

-- Returns when so many other sessions wait between two tries for their locks, so have made their survey.
CREATE FUNCTION test.polled(sessions int DEFAULT 1) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 500 LOOP
    PERFORM pg_stat_clear_snapshot();
    IF (SELECT count(*) >= sessions FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Extension') THEN
      RETURN true;
    END IF;
    PERFORM pg_sleep(0.01);
  END LOOP;
  RETURN false;
END $$;
