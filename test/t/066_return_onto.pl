# The way back onto tables that are not as Gallery made them, and from archives of every kind: what fits comes back, what does not is
# listed with the reason, and what is there stays as it is.
use strict;
use warnings FATAL => 'all';

use Again qw(gallery_again give_back start_again);
use Fixture;
use GalleryTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('onto');
gallery_again($node, 'ready', generation => 'v5.9');

sub query { my ($database, $sql) = @_; return $node->safe_psql($database, $sql) }

sub copy
{
	my ($from) = @_;
	query('postgres', 'DROP DATABASE IF EXISTS copy');
	query('postgres', "CREATE DATABASE copy TEMPLATE $from");
	return;
}

# Each case: a name; what is done before; how many rows of which table are listed, with which reason; what must be true afterwards.
my $nothing = [ '', 0, '' ];
my $only_once = 'there is another one now that "mine" lets be only once';
my $no_fit = 'a value does not fit the table as it is now';
my @cases = (
	[ 'as it was', '', $nothing, 'SELECT count(*) = 3 FROM user_group' ],
	[ 'a rule', 'CREATE RULE mine AS ON INSERT TO user_group DO ALSO NOTHING', $nothing, 'SELECT count(*) = 3 FROM user_group' ],
	[ 'a trigger that changes what is put back', <<'SQL', [ 'user_group', 3, 'another row with its key is there now' ],
CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END';
CREATE TRIGGER mine BEFORE INSERT ON user_group FOR EACH ROW EXECUTE FUNCTION mine();
SQL
		q{SELECT count(*) = 3 AND bool_and(name = upper(name)) FROM user_group} ],
	[ 'archived rows that may not be beside each other now', <<'SQL', [ 'user_group', 2, $only_once ],
UPDATE gallery_archive.rows SET content = content || '{"name": "the same"}' WHERE table_name = 'user_group';
CREATE UNIQUE INDEX mine ON user_group (lower(name)) WHERE name <> '';
SQL
		q{SELECT count(*) = 1 AND (SELECT count(*) > 0 FROM user_group_member) FROM user_group} ],
	[ 'empty values that may', <<'SQL', $nothing, 'SELECT count(*) = 3 FROM user_group' ],
UPDATE gallery_archive.rows SET content = content || '{"color": null}' WHERE table_name = 'user_group';
CREATE UNIQUE INDEX mine ON user_group (color);
SQL
	[ 'a unique constraint that can be deferred', <<'SQL', [ 'user_group', 1, $only_once ],
ALTER TABLE user_group ADD CONSTRAINT mine UNIQUE (name) DEFERRABLE INITIALLY DEFERRED;
INSERT INTO user_group (name, "createdById") SELECT 'Group 1', id FROM "user" LIMIT 1;
SQL
		q{SELECT count(*) = 3 FROM user_group} ],
	[ 'keys that are deferred',
		'ALTER TABLE user_group_member ALTER CONSTRAINT "user_group_member_groupId_fkey" DEFERRABLE INITIALLY DEFERRED',
		$nothing, 'SELECT count(*) > 0 FROM user_group_member' ],
	[ 'a key with less columns than the archived one', <<'SQL', [ 'user_group_member', 9, 'another row with its key is there now' ],
ALTER TABLE user_group_member DROP CONSTRAINT user_group_member_pkey, ADD PRIMARY KEY ("groupId");
SQL
		q{SELECT count(*) = 3 FROM user_group_member} ],
	[ 'a key with a column that is new', <<'SQL', $nothing, q{SELECT count(*) > 0 AND count(DISTINCT own) = count(*) FROM asset_edit} ],
ALTER TABLE asset_edit DROP CONSTRAINT asset_edit_pkey, ADD own int GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
SQL
	[ 'columns that are new, of names that are ours', <<'SQL', $nothing,
ALTER TABLE memory ADD own int NOT NULL DEFAULT 7, ADD loud text GENERATED ALWAYS AS (upper(type)) STORED, ADD archived text,
  ADD archived_key text, ADD q int, ADD t int, ADD x int, ADD y int, ADD r int, ADD p int, ADD d int, ADD b int, ADD key text,
  ADD content jsonb, ADD base int, ADD lost int;
SQL
		q{SELECT count(*) > 0 AND bool_and(own = 7 AND loud = upper(type)) FROM memory WHERE type = 'rule'} ],
	[ 'a column that is new and needs a value', 'DELETE FROM memory; ALTER TABLE memory ADD own int NOT NULL',
		[ 'memory', 8, 'column "own" needs a value' ], q{SELECT count(*) = 0 FROM memory} ],
	[ 'a check of the whole row', <<'SQL', $nothing, 'SELECT count(*) = 3 FROM user_group' ],
CREATE FUNCTION mine(user_group) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.name <> ''x''';
ALTER TABLE user_group ADD CHECK (mine(user_group.*));
SQL
	[ 'a key to a table elsewhere', <<'SQL', $nothing, 'SELECT count(*) = 3 FROM user_group' ],
CREATE SCHEMA mine;
CREATE TABLE mine.asset (name text PRIMARY KEY);
INSERT INTO mine.asset VALUES ('Group 1'), ('Group 2'), ('Group 3');
ALTER TABLE user_group ADD CONSTRAINT mine FOREIGN KEY (name) REFERENCES mine.asset (name);
SQL
	[ 'rows that belong to each other or to themselves, and rows that belong to nothing', <<'SQL',
INSERT INTO gallery_archive.rows SELECT 1, 1, r.table_name, 'table', jsonb_build_object('id', i.id),
  r.content || jsonb_build_object('id', i.id, 'name', i.name, 'parentId', i.parent), 'mine'
FROM (SELECT * FROM gallery_archive.rows WHERE table_name = 'shared_space_album_folder' LIMIT 1) r, (VALUES
  ('00000000-0000-4000-8000-000000000001'::uuid, 'a', '00000000-0000-4000-8000-000000000002'::uuid),
  ('00000000-0000-4000-8000-000000000002', 'b', '00000000-0000-4000-8000-000000000001'),
  ('00000000-0000-4000-8000-000000000003', 'c', '00000000-0000-4000-8000-000000000003'),
  ('00000000-0000-4000-8000-000000000004', 'd', '00000000-0000-4000-8000-000000000003'),
  ('00000000-0000-4000-8000-000000000005', 'none', '00000000-0000-4000-8000-000000000009'),
  ('00000000-0000-4000-8000-000000000006', 'none', '00000000-0000-4000-8000-000000000005'),
  ('00000000-0000-4000-8000-000000000007', 'none', '00000000-0000-4000-8000-000000000006')) i (id, name, parent);
SQL
		[ 'shared_space_album_folder', 3, 'what "parentId" refers to is not in table "shared_space_album_folder" any more' ],
		q{SELECT string_agg(name, '' ORDER BY name) = 'abcd' FROM shared_space_album_folder WHERE id::text LIKE '00000000%'} ],
	[ 'a JSON null that has to be there',
		q{UPDATE gallery_archive.rows SET content = content || '{"data": null}' WHERE table_name = 'shared_space_activity'}, $nothing,
		 q{SELECT count(*) > 0 AND bool_and(data = 'null') FROM shared_space_activity} ],
	[ 'a table in partitions', <<'SQL', $nothing, 'SELECT count(*) = 12 FROM user_group_member' ],
DROP TABLE user_group_member;
CREATE TABLE user_group_member ("groupId" uuid REFERENCES user_group (id) ON DELETE CASCADE, "userId" uuid REFERENCES "user" (id)
  ON DELETE CASCADE, "addedAt" timestamptz NOT NULL DEFAULT now(), PRIMARY KEY ("groupId", "userId")) PARTITION BY HASH ("groupId");
CREATE TABLE part_1 PARTITION OF user_group_member FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE part_2 PARTITION OF user_group_member FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SQL
	[ 'a view of the name', 'ALTER TABLE user_group RENAME TO mine; CREATE VIEW user_group AS SELECT * FROM mine',
		[ 'user_group', 3, 'Gallery has no table "user_group" now' ], 'SELECT count(*) = 0 FROM mine' ],
	[ 'a column that Gallery does not make', 'ALTER TABLE user_group ADD mine int',
		[ 'user_group', 3, 'table "user_group" is not as Gallery makes it' ], 'SELECT count(*) = 0 FROM user_group' ],
	[ 'a domain', q{CREATE DOMAIN mine AS text CHECK (value <> 'rule'); ALTER TABLE memory ALTER type TYPE mine},
		[ 'memory', 8, "$no_fit: value for domain public.mine violates check constraint \"mine_check\"" ],
		q{SELECT count(*) = 0 FROM memory WHERE type = 'rule'} ],
	[ 'an enum without a value',
		q{DELETE FROM memory; CREATE TYPE mine AS ENUM ('other'); ALTER TABLE memory ALTER type TYPE mine USING type::mine},
		[ 'memory', 8, "$no_fit: invalid input value for enum public.mine: \"rule\"" ], 'SELECT count(*) = 0 FROM memory' ],
	[ 'a shorter text', q{DELETE FROM memory; ALTER TABLE memory ALTER type TYPE varchar(3)},
		[ 'memory', 8, "$no_fit: value too long for type character varying(3)" ], 'SELECT count(*) = 0 FROM memory' ],
	[ 'a vector of another length', q{TRUNCATE face_search; ALTER TABLE face_search ALTER embedding TYPE vector(3)},
		[ 'face_search', 7, qr/^$no_fit: / ], 'SELECT count(*) = 0 FROM face_search' ],
	[ 'a run with the last of numbers',
		q{UPDATE gallery_archive.facts SET run = 2147483647; UPDATE gallery_archive.rows SET run = 2147483647},
		$nothing, 'SELECT count(*) = 3 FROM user_group' ],
	[ 'names with line breaks and quotes',
		q{INSERT INTO gallery_archive.rows VALUES (1, 1, E'a"''\nb', 'table', '{}', jsonb_build_object(E'a\nb"''', 1), '')},
		[ qq(a"'\nb), 1, qq(Gallery has no table "a"'\nb" now) ], 'SELECT count(*) = 3 FROM user_group' ],
);
my $two = 'SELECT count(*) = 2 FROM user_group';
push @cases, [ 'empty values that may not be beside each other', <<'SQL', [ 'user_group', 2, $only_once ], $two ]
UPDATE gallery_archive.rows SET content = content || '{"color": null}' WHERE table_name = 'user_group' AND content ->> 'name' <> 'Group 3';
UPDATE gallery_archive.rows SET content = content || '{"color": "red"}' WHERE table_name = 'user_group' AND content ->> 'name' = 'Group 3';
CREATE UNIQUE INDEX mine ON user_group (color) NULLS NOT DISTINCT;
INSERT INTO user_group (name, "createdById") SELECT 'mine', id FROM "user" LIMIT 1;
SQL
  if major_of($node) >= 15;

foreach my $case (@cases)
{
	my ($name, $sql, $listed, $check) = @$case;
	copy('ready');
	query('copy', $sql) if $sql;
	my ($status, $out, $err) = give_back($node, 'copy');
	is($status, 0, "$name: put back") or do { diag($err); next };
	my ($table, $count, $reason) = @$listed;
	my $quoted = $table =~ s/'/''/gr;
	my $where = $table ? "name = '$quoted'" : 'true';
	my @reasons = split /!/, query('copy',
		"SELECT string_agg(value ->> 'reason', '!') FROM gallery_archive.facts WHERE kind = 'not returned' AND $where");
	is(scalar @reasons, $count, "$name: as many are listed");
	is_deeply([ grep { ref $reason ? !/$reason/ : $_ ne $reason } @reasons ], [], "$name: with the reason");
	is(query('copy', $check), 't', "$name: as it should be");
}

# What cannot be told beforehand, and what no revert wrote, is refused; nothing has changed then.
my $in_the_way = 'Something in this database that is not Immich\'s is in the way: a constraint';
foreach my $case (
	[ 'an exclusion constraint', <<'SQL', "23P01: conflicting key value violates exclusion constraint \"mine\"\n.*$in_the_way" ],
UPDATE gallery_archive.rows SET content = content || '{"name": "the same"}' WHERE table_name = 'user_group';
ALTER TABLE user_group ADD CONSTRAINT mine EXCLUDE USING btree (name WITH =);
SQL
	[ 'a unique index that takes other texts for equal', <<'SQL',
CREATE COLLATION mine (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE UNIQUE INDEX mine ON user_group (name COLLATE mine);
INSERT INTO user_group (name, "createdById") SELECT 'GROUP 1', id FROM "user" LIMIT 1;
SQL
		"23505: duplicate key value violates unique constraint \"mine\"\n.*$in_the_way" ],
	[ 'a key to a table elsewhere that has not the row', <<'SQL',
CREATE SCHEMA mine;
CREATE TABLE mine.asset (name text PRIMARY KEY);
ALTER TABLE user_group ADD CONSTRAINT mine FOREIGN KEY (name) REFERENCES mine.asset (name);
SQL
		"23503: insert or update on table \"user_group\" violates foreign key constraint \"mine\"\n.*$in_the_way" ],
	[ 'rows that are nothing', <<'SQL',
INSERT INTO gallery_archive.rows VALUES (1, 1, NULL, 'table', NULL, '{}'), (1, 1, 'user_group', 'table', NULL, NULL),
  (1, 1, 'user_group', 'moved', NULL, '{}'), (1, 1, 'user_group', 'table', '[1]', '{}');
SQL
		'55000: schema "gallery_archive" has rows that gallery_revert\(\) did not write\nDETAIL:  Of run 1, 4 have no table' ])
{
	my ($name, $sql, $error) = @$case;
	copy('ready');
	query('copy', $sql);
	my $before = state_of($node, 'copy');
	my (undef, undef, $err) = give_back($node, 'copy');
	like($err, qr/^ERROR:  $error/ms, "$name: refused");
	is(state_of($node, 'copy'), $before, "$name: nothing has changed");
}

# A dump of it, restored, comes back by the same plan. A run before the last one can come back as well, by another number.
{
	my $plan = q{SELECT md5(string_agg(object || digest, ',' ORDER BY step)) FROM gallery_return_plan()};
	copy('ready');
	my ($dump, $err) = (PostgreSQL::Test::Utils::tempdir() . '/dump', '');
	IPC::Run::run([ qw(pg_dump -Fc -f), $dump, '-d', $node->connstr('copy') ], '2>', \$err) or die "pg_dump: $err";
	query('postgres', 'CREATE DATABASE restored');
	IPC::Run::run([ 'pg_restore', '-d', $node->connstr('restored'), $dump ], '2>', \$err) or die "pg_restore: $err";
	is(query('restored', $plan), query('copy', $plan), 'a restored dump: the same plan');
	like((give_back($node, 'restored'))[1], qr/^run 1 is back: \d+ rows put back, \d+ rows set as they were, 0 could not come back$/m,
		'a restored dump: all comes back');

	# Gallery goes once more, with her groups and without a way back before.
	query('copy', q{INSERT INTO user_group (name, "createdById") SELECT 'of the second', id FROM "user" LIMIT 1});
	is((revert($node, 'copy', before => 'SET gallery.revert_archive = on;'))[0], 0, 'a second revert');
	script($node, 'copy', start_again(Fixture->new(generation => 'v5.9', assets => 200)));
	like((give_back($node, 'copy'))[1], qr/^run 2 is back: .* 0 could not come back$/m, 'the way back from the second');
	is(query('copy', 'SELECT string_agg(name, \',\') FROM user_group'), 'of the second', 'brings what was there then');
	query('copy', "UPDATE gallery_archive.$_ SET run = 3 WHERE run = 1") foreach qw(facts rows);
	like((give_back($node, 'copy'))[1], qr/^run 3 is back: /m, 'the first run, made the latest');
	is(query('copy', 'SELECT string_agg(name, \',\' ORDER BY name) FROM user_group'), 'Group 1,Group 2,Group 3,of the second',
		'comes back beside it');
}
done_testing();
