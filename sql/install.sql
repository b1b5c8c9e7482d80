-- Installing: what the extension makes, who may use it, and that nothing in it can be hijacked; and removing it.
CREATE EXTENSION gallery_revert;
SELECT extname, extrelocatable, extnamespace::regnamespace FROM pg_extension WHERE extname = 'gallery_revert';

-- Every function: C, not security definer, volatile, parallel unsafe, a search path of its own, nobody's but the owner's.
SELECT p.oid::regprocedure AS function, l.lanname, p.prosecdef, p.provolatile, p.proparallel, p.proconfig,
       p.proacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0) AS closed_to_public,
       obj_description(p.oid, 'pg_proc') IS NOT NULL AS has_comment
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid WHERE e.extname = 'gallery_revert' ORDER BY p.oid::regprocedure::text COLLATE "C";

\dx+ gallery_revert

-- Not trusted: an ordinary user cannot install it, even one who owns the database.
CREATE ROLE regress_gallery_owner;
DROP EXTENSION gallery_revert;
GRANT CREATE ON DATABASE contrib_regression TO regress_gallery_owner;
SET ROLE regress_gallery_owner;
CREATE EXTENSION gallery_revert;
RESET ROLE;

-- A function that waits under our name makes the installation fail instead of being taken over.
\set SHOW_CONTEXT never
CREATE FUNCTION public.gallery_revert() RETURNS text LANGUAGE sql AS $$ SELECT 'planted' $$;
CREATE EXTENSION gallery_revert;
SELECT count(*) FROM pg_extension WHERE extname = 'gallery_revert';
DROP FUNCTION public.gallery_revert();
\set SHOW_CONTEXT errors

-- Another schema on request; removal leaves nothing.
CREATE SCHEMA tools;
CREATE EXTENSION gallery_revert SCHEMA tools;
SELECT tools.gallery_revert();
DROP EXTENSION gallery_revert;
DROP SCHEMA tools;
SELECT count(*) FROM pg_proc WHERE proname LIKE 'gallery%' OR proname LIKE 'immich%';

-- Settings: defaults, units, and a warning for a misspelt one.
CREATE EXTENSION gallery_revert;
SELECT name, setting, unit, context, vartype, boot_val FROM pg_settings WHERE name LIKE 'gallery.%' ORDER BY 1;
SET gallery.revert_tokn = 'typo';
\set VERBOSITY sqlstate
SET gallery.revert_lock_timeout = -1;
\set VERBOSITY default
SET gallery.revert_ignore_sessions = 'perhaps';

-- No Immich here.
SELECT * FROM gallery_revert_status();
SELECT * FROM gallery_revert_plan();
SET gallery.revert_token = 'i_accept_data_loss';
SELECT gallery_revert();
RESET gallery.revert_token;

-- PUBLIC may not call anything.
SET ROLE regress_gallery_owner;
SELECT gallery_revert();
SELECT * FROM gallery_revert_plan();
SELECT * FROM gallery_revert_status();
SELECT * FROM gallery_revert_manifest();
RESET ROLE;
DROP EXTENSION gallery_revert;
REVOKE CREATE ON DATABASE contrib_regression FROM regress_gallery_owner;
DROP ROLE regress_gallery_owner;
