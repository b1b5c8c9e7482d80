# The plan as one SQL file: made on a restored copy, run by plain psql in a database without the extension, its result is that of
# gallery_revert() in every line of the dump but times and generated ids. For every generation, with what can be kept kept, from copies
# in which there was nothing to do, and for random databases: GALLERY_REVERT_CASES=N of them (16), GALLERY_REVERT_SEED=S the first seed.
use strict;
use warnings FATAL => 'all';

use Fixture;
use Fixture::Facts;
use GalleryTest qw(token);
use Owner qw(owned_by);
use RandomGallery qw(describe make_case);
use Script qw(comparable copy_of differences make_script run_script);
use Test::More;
use Twin qw(in_parallel);

my $random = $ENV{GALLERY_REVERT_CASES} || 16;
my $first = $ENV{GALLERY_REVERT_SEED} || 1;
my @keep = (q(SET gallery.revert_spaces = 'albums'), q(SET gallery.revert_pets = 'people'));

# A copy from before all that a revert finds in rows: what the script does must not hang on it.
my $idle = <<'SQL';
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['memory', 'asset_edit', 'api_key', 'session', 'asset_face', 'person', 'shared_link', 'session_sync_checkpoint',
      'asset_favorite', 'pet_search', 'user_metadata', 'plugin', 'workflow', 'shared_space'] LOOP
    IF to_regclass('public.' || t) IS NOT NULL THEN
      EXECUTE format('DELETE FROM public.%I', t);
    END IF;
  END LOOP;
  DELETE FROM public.system_metadata WHERE key NOT IN ('system-config', 'version-check-state');
END $$;
SQL

my @generations = Fixture::Facts::generation_names();
my @cases;
foreach my $i (0 .. $#generations)
{
	my %fixture = (generation => $generations[$i], assets => 240, seed => $i + 1);
	push @cases, { name => $generations[$i], fixture => {%fixture}, settings => [], owner => 'immich', user => $i % 2 ? 'immich' : undef },
	  { name => "$generations[$i], kept", fixture => {%fixture}, settings => \@keep },
	  { name => "$generations[$i], from an idle copy", fixture => {%fixture}, settings => $i % 2 ? \@keep : [], copy => $idle };
}
foreach my $seed ($first .. $first + $random - 1)
{
	my $fixture = make_case($seed);
	push @cases, { name => describe($seed, $fixture), fixture => $fixture, settings => $seed % 3 ? [] : \@keep, random => 1 };
}

my $node = Twin::start_node('script');
$node->safe_psql('postgres', 'CREATE ROLE immich LOGIN');

# What the script leaves, compared with what the function leaves. Both begin with the same database.
sub compare
{
	my ($worker, $case) = @_;
	my ($real, $copy, $twin) = map { "$worker->{database}_$_" } qw(real copy twin);
	$worker->run('postgres', "CREATE DATABASE $_;") foreach $real;
	$worker->run($real, Fixture->new(%{ $case->{fixture} })->sql('gallery'));
	$worker->run($real, 'ALTER SCHEMA public OWNER TO immich;' . owned_by('immich')) if $case->{owner};
	$worker->run('postgres', "CREATE DATABASE $twin TEMPLATE $real;");
	copy_of($node, $real, $copy);
	$worker->run($copy, $case->{copy}) if $case->{copy};
	my ($file, $refusal, $made) = make_script($node, $copy, @{ $case->{settings} });
	my (undef, $wanted) = $worker->psql($twin, join ";\n", 'CREATE EXTENSION gallery_revert', @{ $case->{settings} },
		token() . 'SELECT gallery_revert()', 'DROP EXTENSION gallery_revert', '');
	my @found;
	if ($made)
	{
		my ($status, undef, $messages) = run_script($node, $real, $file, user => $case->{user});
		push @found, "failed with $status: $messages" if $status;
		push @found, @{ differences(comparable($node, $real), comparable($node, $twin)) };
		my ($pin) = $wanted =~ /pin the image tag: (\S+)/;
		push @found, 'another tag' if !defined $pin || index($messages, "pin the image tag: $pin\n") < 0;
		push @found, 'no end' if $messages !~ /^NOTICE:  revert-to-immich: cleanup finished\. .*\n\z/m;
	}
	else
	{
		# Some random databases cannot be reverted with everything kept; then there is no script, for the same reason.
		my ($reason) = $wanted =~ /ERROR:  (.*)/;
		push @found, "not made: $refusal" if !$case->{random} || !defined $reason || $refusal !~ /^ERROR:  \Q$reason\E$/m;
	}
	$worker->run('postgres', "DROP DATABASE $_;") foreach $real, $copy, $twin;
	unlink $file;
	return \@found;
}

my @results = in_parallel($node, 2, sub { my ($worker, $case) = @_; return eval { compare($worker, $case) } // ["died: $@"] }, @cases);
my $failed = 0;
foreach my $case (@cases)
{
	my $differences = shift @results;
	is_deeply($differences, [], $case->{name});
	note($_) foreach @$differences;
	$failed++ if @$differences;
}
note(@cases - $failed . ' of ' . @cases . ' scripts end as gallery_revert() does');

done_testing();
