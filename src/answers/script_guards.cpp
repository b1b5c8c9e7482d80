// What a script asks before it changes anything.
//
// A superuser may run it, and Immich's owner may have code on Immich's tables: that code must not get the superuser's
// rights. So no statement of the script names a table of Immich's but within one procedure, which is the owner's and
// SECURITY DEFINER: there, nobody can set a role. Who is not the owner runs it only where no check waits for the
// commit, closes what cursors that code may have left, and calls nothing of the owner's afterwards: nothing is left
// that could run at the commit.
#include "answers/script_parts.hpp"

namespace gallery {

namespace script_parts {

const char *const opening = R"sql(\set ON_ERROR_STOP on
\set ON_ERROR_ROLLBACK off
\set AUTOCOMMIT on
\set SINGLELINE off
\set QUIET on
\set SHOW_CONTEXT never
\pset pager off
\encoding @encoding@

BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = notice;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL row_security = off;
SET LOCAL jit = off;
SET LOCAL standard_conforming_strings = on;

-- The server, the token, the ledger, the owner.
DO @quote@
DECLARE
  gr_token text := coalesce(current_setting('gallery.revert_token', true), '');
  gr_count bigint;
  gr_home text;
  gr_owner text;
BEGIN
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION USING ERRCODE = '25006', MESSAGE = 'this server is a standby and cannot be changed',
      HINT = 'Connect to the primary server and run this script there; the standby follows.';
  ELSIF current_setting('transaction_read_only')::boolean THEN
    RAISE EXCEPTION USING ERRCODE = '25006', MESSAGE = 'the transaction is read only',
      HINT = 'Run: SET default_transaction_read_only = off; then run this script again in the same session.';
  ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION USING ERRCODE = '25001', MESSAGE = 'the transaction is not READ COMMITTED',
      HINT = 'Run this script outside of any other transaction.';
  ELSIF current_setting('session_replication_role') <> 'origin' THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'session_replication_role is not origin',
      DETAIL = 'With triggers off, deletes would leave rows behind that point to nothing.',
      HINT = 'Run: SET session_replication_role = origin; then run this script again in the same session.';
  ELSIF EXISTS (SELECT FROM pg_db_role_setting s, unnest(s.setconfig) c WHERE c LIKE 'gallery.revert_token=%'
      AND s.setdatabase IN (0::oid, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
      AND s.setrole IN (0::oid, (SELECT r.oid FROM pg_roles r WHERE r.rolname = session_user))) THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'gallery.revert_token was not set in this session',
      DETAIL = 'It is set for the database or the role, where it would hold for every session.',
      HINT = 'Run: ALTER DATABASE ... RESET gallery.revert_token; or ALTER ROLE ... RESET gallery.revert_token;';
  ELSIF gr_token <> 'i_accept_data_loss' THEN
    RAISE EXCEPTION USING ERRCODE = '42501',
      MESSAGE = CASE gr_token WHEN '' THEN 'gallery.revert_token is not set' ELSE 'gallery.revert_token has a wrong value' END,
      DETAIL = 'A revert removes for good what only Gallery knows: spaces, groups, pets and the like.',
      HINT = 'Look at SELECT * FROM gallery_revert_plan(); on the copy first, make a dump, then run:'
        ' SET gallery.revert_token = ''i_accept_data_loss''; and this script in the same session: psql -c ... -f ...';
  ELSIF current_setting('server_version_num')::integer / 10000 <> @major@ THEN
    RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = 'this server is of another major version than the copy',
      DETAIL = 'The copy was on PostgreSQL @major@, and this is PostgreSQL ' || current_setting('server_version') || '.',
      HINT = 'Make the copy on a server of the same major version, and a new script on it.';
  END IF;
  gr_count := (SELECT count(*) FROM (@ledgers@) l);
  IF gr_count = 0 THEN
    RAISE EXCEPTION USING ERRCODE = '42P01', MESSAGE = 'this database holds no Immich',
      HINT = 'Connect to the database that Immich uses; its default name is "immich" (psql -d immich).';
  ELSIF gr_count > 1 THEN
    RAISE EXCEPTION USING ERRCODE = '42P12', MESSAGE = 'this database holds more than one Immich',
      HINT = 'Move one of them to a database of its own, or drop the one that is not in use.';
  END IF;
  SELECT l.schema::text, l.owner::text INTO gr_home, gr_owner FROM (@ledgers@) l(oid, schema, schema_oid, owner, owner_oid);
  IF gr_home <> @schema@ THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'this database is not the one that the copy is of',
      DETAIL = 'Immich is in schema "' || gr_home || '", and on the copy in schema "' || @schema@ || '".',
      HINT = 'Connect to the database that the copy is of, or make a copy of this one and a new script on it.';
  ELSIF NOT pg_has_role(current_user, gr_owner::name, CASE WHEN @major@ < 16 THEN 'MEMBER' ELSE 'SET' END) THEN
    RAISE EXCEPTION USING ERRCODE = '42501',
      MESSAGE = 'role "' || current_user || '" does not own this Immich and may not act as its owner',
      DETAIL = 'table "kysely_migrations" belongs to "' || gr_owner || '"',
      HINT = 'Connect as the role that Immich uses: psql -U ' || quote_ident(gr_owner);
  END IF;
END @quote@;

)sql";

const char *const functions = R"sql(-- The lines of a message's detail.
CREATE FUNCTION pg_temp.gallery_revert_lines(text[]) RETURNS text LANGUAGE sql SET search_path = pg_catalog, pg_temp AS @quote@
  SELECT string_agg(regexp_replace(l.line, '[[:cntrl:]]', '?', 'g'), chr(10) ORDER BY l.number)
    || CASE WHEN cardinality($1) > 100 THEN chr(10) || 'and ' || cardinality($1) - 100 || ' more' ELSE '' END
  FROM unnest($1[1:100]) WITH ORDINALITY l(line, number)
@quote@;

-- The schema, its owner, and whether who is connected is somebody else.
CREATE FUNCTION pg_temp.gallery_revert_home(OUT schema_oid oid, OUT owner_oid oid, OUT owner text, OUT is_other boolean)
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS @quote@
  SELECT l.schema_oid, l.owner_oid, l.owner::text, l.owner::text <> session_user::text
  FROM (@ledgers@) l(oid, schema, schema_oid, owner, owner_oid)
@quote@;

-- What is there now: a digest of each table, function and type with a name of Immich's or Gallery's.
CREATE FUNCTION pg_temp.gallery_revert_things(OUT thing text, OUT digest text) RETURNS SETOF record LANGUAGE sql
@settings@ AS @quote@@fingerprints@
@quote@;

-- Asked of the catalog alone, so that nobody's code runs: whose things are these, and are they what they were on the copy?
CREATE PROCEDURE pg_temp.gallery_revert_look() LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS @quote@
DECLARE
  gr_lines text[];
  gr_schema oid;
  gr_owner oid;
  gr_is_other boolean;
BEGIN
  SELECT h.schema_oid, h.owner_oid, h.is_other INTO gr_schema, gr_owner, gr_is_other FROM pg_temp.gallery_revert_home() h;
  gr_lines := (SELECT array_agg(u.line ORDER BY u.line) FROM (
    SELECT DISTINCT ON (x.name::text) 'table "' || x.name::text || '" ' || x.reason AS line
    FROM ((@untrusted_1@) UNION ALL (@untrusted_2@) UNION ALL (@untrusted_3@)) x(name, reason)
    WHERE x.name = ANY (@tables@::name[]) ORDER BY x.name::text, x.reason) u);
  IF gr_lines IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'role "' || pg_get_userbyid(gr_owner) || '" does not own what has to be changed',
      DETAIL = pg_temp.gallery_revert_lines(gr_lines),
      HINT = 'One role has to own all of it, and no code of others may hang on it. Look first at what each of these holds, who its'
        ' owner is and what hangs on it. What is not Immich''s or Gallery''s: drop it, or give it another name.';
  END IF;
  gr_lines := (SELECT array_agg(s.line ORDER BY s.line) FROM (@shadows@) s(line));
  IF gr_lines IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '42501',
      MESSAGE = 'functions or operators of other roles could run in place of the server''s or Immich''s',
      DETAIL = pg_temp.gallery_revert_lines(gr_lines),
      HINT = 'Immich''s own functions look in the schema where these are. Drop them, or move them: ALTER FUNCTION ... SET SCHEMA ...;';
  ELSIF gr_is_other AND EXISTS (SELECT FROM pg_trigger g WHERE g.tgdeferrable) THEN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'checks that may wait for the commit would run with the rights of "'
        || session_user || '"',
      HINT = 'Connect as the role that Immich uses: psql -U ' || quote_ident(pg_get_userbyid(gr_owner));
  END IF;
  gr_lines := (SELECT array_agg(d.line ORDER BY d.line) FROM (
    SELECT coalesce(n.thing, w.thing) || CASE WHEN n.thing IS NULL THEN ' is missing' WHEN w.thing IS NULL THEN ' was not there'
      ELSE ' is not what it was' END AS line
    FROM pg_temp.gallery_revert_things() n FULL JOIN unnest(@things@, @digests@) w(thing, digest) ON w.thing = n.thing
    WHERE n.digest IS DISTINCT FROM w.digest) d);
  IF gr_lines IS NOT NULL AND NOT EXISTS (SELECT FROM pg_temp.gallery_revert_things() n
      FULL JOIN unnest(@things_after@, @digests_after@) w(thing, digest) ON w.thing = n.thing
      WHERE n.digest IS DISTINCT FROM w.digest) THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'nothing to revert: this database is as this script leaves it',
      HINT = 'Start Immich with the image tag IMMICH_VERSION=@tag@.';
  ELSIF gr_lines IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'this database is not as the copy was on which the script was made',
      DETAIL = pg_temp.gallery_revert_lines(gr_lines),
      HINT = 'Nothing has changed. Make a new copy of this database, and a new script on it.';
  END IF;
END @quote@;
CALL pg_temp.gallery_revert_look();

)sql";

} // namespace script_parts

} // namespace gallery
