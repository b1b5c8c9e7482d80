-- Everything the extension takes for Gallery's, in full: what a careful reader checks before running it.
CREATE EXTENSION gallery_revert;
SELECT kind, count(*) FROM gallery_revert_manifest() GROUP BY kind ORDER BY kind;
SELECT * FROM gallery_revert_manifest();
DROP EXTENSION gallery_revert;
