-- The border between C++ and the server: a server's error crosses C++ frames with its destructors run and nothing of it lost, a
-- C++ exception becomes a clean ERROR, and the session lives on.
\set VERBOSITY verbose
\set SHOW_CONTEXT always
-- A copy that the server may read, wherever this tree is.
\set module `folder=$(mktemp -d) && chmod 755 "$folder" && cp build/test_guard.so "$folder" && echo "$folder/test_guard.so"`
CREATE FUNCTION test_raise(text) RETURNS void AS :'module' LANGUAGE c;
CREATE FUNCTION test_witnesses() RETURNS text AS :'module' LANGUAGE c;
CREATE FUNCTION test_context() RETURNS boolean AS :'module' LANGUAGE c;

-- Takes every part of an error; the line of the source is not part of the promise.
CREATE FUNCTION caught(kind text) RETURNS TABLE (sqlstate_ text, message text, detail text, hint text, context text)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM test_raise(kind);
  message := 'no error';
  RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS sqlstate_ = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
    hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
  RETURN NEXT;
END $$;

\x
SELECT * FROM caught('server');
SELECT * FROM caught('refusal');
SELECT * FROM caught('memory');
SELECT * FROM caught('runtime');
SELECT * FROM caught('strange');
SELECT * FROM caught('none');
\x

-- Six calls of eleven frames each.
SELECT test_witnesses();

-- Without an exception block, straight to the client.
\set VERBOSITY terse
SELECT test_raise('server');
SELECT test_raise('runtime');
SELECT test_witnesses();

-- Errors in a savepoint leave the transaction usable.
BEGIN;
SAVEPOINT s;
SELECT test_raise('server');
ROLLBACK TO s;
SELECT test_raise('refusal');
ROLLBACK TO s;
SELECT 'still here' AS session;
COMMIT;

-- Many errors in one session leak no objects.
SELECT count(*) FROM generate_series(1, 2000) i, LATERAL caught(CASE i % 3 WHEN 0 THEN 'server' WHEN 1 THEN 'refusal' ELSE 'runtime' END);
SELECT test_witnesses();

-- Whatever a guarded call does, its caller's memory context is current afterwards, and an error is copied there.
SELECT test_context();
\set removed `rm -r "$(dirname :'module')"`
