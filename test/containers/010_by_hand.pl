# docs/switching-back.md, word for word, in a window of 80 columns and 24 lines, on Gallery's compose project with its server running; and
# in the middle of it the machine restarts.
use strict;
use warnings FATAL => 'all';

use Containers;
use Documents qw(blocks read_text);
use Test::More;
use Window;

my $page = 'docs/switching-back.md';
my $folder = project();
my $text = read_text("$folder/gallery_revert/$page");
my ($archive) = archive();
in_folder("cp $archive .");
# As the page names it, for the PostgreSQL that the image says it has.
in_folder(q(docker compose up -d --wait));
load_database($_->[0], $_->[1]) foreach [ 'immich', 'gallery' ], [ 'twin', 'immich' ];
docker(qw(compose restart -t 1 immich-server));
until_true('Gallery runs on its database',
	sub { sql('postgres', q(SELECT count(*) FROM pg_stat_activity WHERE application_name = 'immich-server')) eq '1' });
my $starts = q(SELECT count(*) FROM version_history WHERE version = '4.57.0');
my $started = sql('immich', $starts);
docker(qw(exec immich_redis redis-cli -n 0 SET job gallery));

my $window = Window->new($folder, %ENV, HOME => "$folder.home");
# psql pages here, and would wait for keys, unless it is told not to.
my $paged = $window->type(
	q(docker exec -t -e PAGER='tee /tmp/paged' immich_postgres psql -X -U postgres -c 'SELECT generate_series(1, 100)'));
is_deeply($paged->{failed}, [], 'a long answer in the window');
like(docker(qw(exec immich_postgres cat /tmp/paged)), qr/^ +100$/m, '... goes through the pager');
is(docker(qw(exec immich_postgres printenv PAGER)), 'less', '... which would stop');
my (@failures, %count);
my $inside = 'sh';
foreach my $block (blocks($text))
{
	next if $block->{language} eq 'text';
	my $key = "$block->{heading}/" . ++$count{ $block->{heading} };
	if ($key eq '4. Switch the images/2')
	{
		my ($tag) = $window->shown =~ /^revert_gallery (\S+)$/m;
		is($tag, 'v2.7.5', 'the tag to switch to');
		switch_images($tag);
	}
	# A page that psql shows through a pager would take the next lines for its keys.
	my $result = $window->type($block->{text} =~ s/\n\z//r, 900);
	$inside = $result->{inside};
	push @failures, "$page, line $block->{line}: " . join('; ', @{ $result->{failed} }) . "\n$result->{output}" if @{ $result->{failed} };
	last if @failures;
	my $shown = $result->{output};
	if ($key eq '2. Remove the old server, and make a dump/1')
	{
		like($shown, qr/^Done\. /m, 'the dump is made and was restored once');
		# The power fails. What is only stopped comes back with "restart: always".
		engine('crash');
		until_true('the database is back', sub { (said([ qw(docker exec immich_postgres pg_isready -q -U postgres) ]))[0] == 0 });
		sleep 3;
		is(sql('immich', $starts), $started, 'Gallery does not come back with the machine');
		unlike(docker(qw(ps -a --format {{.Names}})), qr/immich_server|immich_machine_learning/, 'its containers are gone');
	}
	elsif ($key eq '3. Install the extension/1')
	{
		is(docker(qw(exec immich_postgres sh -c), 'ls /usr/lib/postgresql/*/lib/gallery_revert.so | wc -l'), '1', 'the files are copied in');
	}
	elsif ($key eq '3. Install the extension/2')
	{
		is(docker('inspect', '--format', '{{.Config.Image}} {{index .Config.Labels "gallery_revert.base"}}', 'immich_postgres'),
			"gallery-revert-postgres $ENV{GALLERY_REVERT_DATABASE_IMAGE}", 'the database runs on the new image, made from its own by digest');
	}
	elsif ($key eq '5. Look/2')
	{
		like($shown, qr/^product +\| gallery$/m, 'product');
	}
	elsif ($key eq '6. Run/1') { like($shown, qr/^NOTICE:  revert-to-immich: cleanup finished\..*^COMMIT$/ms, 'reverted') }
	elsif ($key eq '7. Clear the job queue/1') { like($shown, qr/^OK$/m, 'Redis says OK') }
}
is_deeply(\@failures, [], 'every block runs');
diag($_) foreach @failures;
$window->close;

until_true('Immich starts', sub { docker(qw(compose logs immich-server)) =~ /Immich Server is listening/ });
is(docker('inspect', '--format', '{{.Config.Image}}', 'immich_postgres'), $ENV{GALLERY_REVERT_DATABASE_IMAGE},
	'the stock database image is back');
ok(state_of('immich') eq state_of('twin'), 'the database is the stock one, object for object and row for row');
is(docker(qw(exec immich_redis redis-cli -n 0 DBSIZE)), '0', 'the queue is empty');

stop_project();
done_testing();
