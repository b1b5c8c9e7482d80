# Method b: the SQL script that somebody writes to turn a Gallery database into an Immich one. One statement for each object,
# DROP ... IF EXISTS ... CASCADE, rows by the condition that comes to mind first. Made from the manifest, because nobody
# would like to read it; the parts about rows are written out here.
package Bench::Script;

use strict;
use warnings;
use Bench::Cluster qw(ask columns);
use FindBin;

# The quoted words of a file of facts, one list for each line.
sub _facts
{
  my ($name) = @_;
  my $path = "$FindBin::RealBin/../src/manifest/$name.inc";
  open my $file, '<', $path or die "$path: $!\n";
  my @lines = map { [/"([^"]+)"/g] } grep { !m{^//} } <$file>;
  close $file;
  return @lines;
}

sub _quoted { return join ', ', map { "'$_->[0]'" } @_ }

sub _restore
{
  my ($has) = @_;
  my @sql;
  if ($has->{asset_favorite})
  {
    push @sql, 'ALTER TABLE asset ADD COLUMN IF NOT EXISTS "isFavorite" boolean NOT NULL DEFAULT false',
      'UPDATE asset SET "isFavorite" = true FROM asset_favorite f WHERE f."assetId" = asset.id AND f."userId" = asset."ownerId"';
    push @sql, 'UPDATE asset SET "isFavorite" = false WHERE "isFavorite" AND NOT EXISTS'
      . ' (SELECT 1 FROM asset_favorite f WHERE f."assetId" = asset.id AND f."userId" = asset."ownerId")'
      if $has->{asset}{isFavorite};
  }
  return @sql if !$has->{asset_edit};
  my $milliseconds = q{(e.parameters->>'originalDuration')::numeric * 1000};
  my $original = $has->{asset}{duration} eq 'integer' ? "round($milliseconds)::integer"
    : qq{to_char($milliseconds * interval '1 millisecond', 'HH24:MI:SS.MS')};
  return (@sql,
    qq{UPDATE asset SET duration = coalesce($original, duration), thumbhash = NULL FROM asset_edit e}
      . q{ WHERE e."assetId" = asset.id AND e.action = 'trim'},
    q{DELETE FROM asset_file WHERE "isEdited" AND "assetId" IN (SELECT "assetId" FROM asset_edit WHERE action = 'trim')},
    q{DELETE FROM asset_edit WHERE action = 'trim'});
}

sub _clean
{
  my ($has) = @_;
  my @sql;
  push @sql, 'DELETE FROM asset_face WHERE id IN (SELECT "faceId" FROM pet_search)' if $has->{pet_search};
  if ($has->{asset_face}{personGroupId})
  {
    my $pets = q{(SELECT "personGroupId" FROM person WHERE type = 'pet')};
    push @sql, qq{DELETE FROM asset_face WHERE "personGroupId" IN $pets}, "DELETE FROM person_group WHERE id IN $pets";
  }
  elsif ($has->{person}{type})
  {
    push @sql, q{DELETE FROM asset_face WHERE "personId" IN (SELECT id FROM person WHERE type = 'pet')},
      q{DELETE FROM person WHERE type = 'pet'};
  }
  push @sql, q{DELETE FROM memory WHERE type = 'rule'};
  if ($has->{shared_link}{spaceId})
  {
    my $owner = $has->{album}{ownerId} ? ' OR EXISTS (SELECT 1 FROM album b WHERE b.id = l."albumId" AND b."ownerId" = l."userId")' : '';
    push @sql, q{DELETE FROM shared_link_asset s USING shared_link l, asset a WHERE l.id = s."sharedLinkId" AND a.id = s."assetId"}
      . q{ AND l."spaceId" IS NOT NULL AND l.type = 'INDIVIDUAL' AND a."ownerId" <> l."userId" AND NOT EXISTS (SELECT 1 FROM partner p}
      . q{ WHERE p."sharedById" = a."ownerId" AND p."sharedWithId" = l."userId" AND a."deletedAt" IS NULL}
      . q{ AND a.visibility IN ('timeline', 'hidden'))},
      q{DELETE FROM shared_link l WHERE "spaceId" IS NOT NULL AND type = 'ALBUM' AND NOT (EXISTS (SELECT 1 FROM album_user u}
      . qq{ WHERE u."albumId" = l."albumId" AND u."userId" = l."userId" AND u.role::text IN ('editor', 'owner'))$owner)};
  }
  if ($has->{plugin} && $has->{workflow_step} && $has->{plugin_method})
  {
    my $used = 'SELECT s."workflowId" FROM workflow_step s JOIN plugin_method m ON m.id = s."pluginMethodId"'
      . ' JOIN plugin p ON p.id = m."pluginId" WHERE p.name';
    push @sql, "UPDATE workflow SET enabled = false WHERE enabled AND id IN ($used = 'gallery-core')"
      . " AND id NOT IN ($used <> 'gallery-core')";
  }
  push @sql, q{DELETE FROM plugin WHERE name = 'gallery-core'} if $has->{plugin};
  my $fork = _quoted(_facts('gallery_permissions'));
  push @sql, qq{UPDATE api_key SET permissions = ARRAY(SELECT p FROM unnest(permissions) WITH ORDINALITY AS u (p, i)}
    . qq{ WHERE p NOT IN ($fork) ORDER BY i) WHERE permissions && ARRAY[$fork]::varchar[]},
    'DELETE FROM session_sync_checkpoint WHERE type IN (' . _quoted(_facts('gallery_checkpoints')) . ')',
    q{UPDATE user_metadata SET value = value #- '{memories,types}' WHERE key = 'preferences' AND value #> '{memories,types}' IS NOT NULL},
    'DELETE FROM system_metadata WHERE key IN (' . _quoted(_facts('gallery_metadata_keys')) . ')',
    'UPDATE system_metadata SET value = value' . join('', map { " #- '{" . join(',', @$_) . "}'" } _facts('gallery_config_paths'))
    . q{ WHERE key = 'system-config'},
    q{DELETE FROM system_metadata WHERE key = 'version-check-state' AND value->>'releaseVersion' ~ '^v?[45]\.'},
    q{DELETE FROM version_history WHERE version ~ '^[45]\.' OR (version = '3.0.0' AND "createdAt" < '2026-06-30')};
  return @sql;
}

# The objects that Gallery made, from the manifest, one statement each, whether or not this database has them.
sub _drops
{
  my ($database, $has) = @_;
  my %drops;
  foreach my $line (split /\n/, ask($database, 'SELECT kind, object FROM gallery_revert_manifest();'))
  {
    my ($kind, $object) = split /\|/, $line, 2;
    my ($table, $name) = $object =~ /^(\w+)\.(.+)$/;
    my $native = defined $table && $has->{$table};
    push @{ $drops{trigger} }, qq{DROP TRIGGER IF EXISTS "$name" ON "$table"} if $kind eq 'trigger' && $native;
    push @{ $drops{table} }, qq{DROP TABLE IF EXISTS "$object" CASCADE} if $kind eq 'table';
    push @{ $drops{index} }, qq{DROP INDEX IF EXISTS "$name" CASCADE} if $kind eq 'index';
    push @{ $drops{column} }, qq{ALTER TABLE "$table" DROP COLUMN IF EXISTS "$name" CASCADE} if $kind eq 'column' && $native;
    push @{ $drops{function} }, "DROP FUNCTION IF EXISTS $object CASCADE" if $kind eq 'function';
  }
  return \%drops;
}

sub _ledger
{
  my ($database) = @_;
  my @names = map { $_->[0] } _facts('gallery_migrations');
  my $names = join ', ', map { "'$_'" } @names, '1773846750001-AddPersonNameTrigramIndex', '1776735180298-ChangeDurationToInteger';
  my $overrides = ask($database, q{SELECT string_agg(quote_literal(name), ', ') FROM migration_overrides WHERE name IN}
      . q{ (SELECT kind || '_' || regexp_replace(regexp_replace(object, '^\w+\.', ''), '\(.*', '') FROM gallery_revert_manifest());});
  return ("DELETE FROM migration_overrides WHERE name IN ($overrides)", "DELETE FROM kysely_migrations WHERE name IN ($names)");
}

# The statements between BEGIN and COMMIT for this database: those before the first lock, and the others.
sub statements
{
  my ($database) = @_;
  my $has = columns($database);
  my $drops = _drops($database, $has);
  my @paths = (q{SELECT 1 / (count(*) = 0)::integer FROM asset WHERE "originalPath" NOT LIKE '/%'},
    q{SELECT 1 / (count(*) = 0)::integer FROM asset_file WHERE path NOT LIKE '/%'});
  my @rest = (@{ $drops->{trigger} }, _restore($has), _clean($has),
    (map { @{ $drops->{$_} // [] } } qw(table column index function)), _ledger($database));
  return (\@paths, \@rest);
}

1;
