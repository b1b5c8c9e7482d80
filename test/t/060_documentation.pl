# Every command in README.md, CONTRIBUTING.md and docs is run here as it stands, in the order of the document, on a database in the
# state that the document supposes. Whoever writes a block marked sh or sql need do nothing else; a new document needs an entry in
# %manifest. docker, make and tools/suite are stand-ins (test/lib/bin). DOC_ONLY, a pattern, takes some documents only.
use strict;
use warnings FATAL => 'all';

use Documents qw(blocks read_text tested_documents);
use Fixture;
use GalleryTest qw(root);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reader;
use Test::More;
use Twin qw(ledger_differences);

my $root = root();
my $assets = 700;
my $temp = PostgreSQL::Test::Utils::tempdir();
my $node = Twin::start_node('documentation', listen_addresses => "'127.0.0.1'", log_min_messages => 'warning');
my $user = $node->safe_psql('postgres', 'SELECT current_user');
my $reader = Reader->new($node);
$node->safe_psql('postgres', 'CREATE ROLE postgres SUPERUSER LOGIN') if $user ne 'postgres';

sub write_file { return Reader::write_file(@_) }
sub sql { my ($database, $statement) = @_; return $node->safe_psql($database, $statement) }

# A program on the cluster, by its standard output.
sub output_of
{
	my (@command) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run(\@command, '>', \$out, '2>', \$err) or die "@command: $err";
	return $out =~ s/^\\(?:un)?restrict .*\n//mgr;
}
# Long texts that must be the same; of a difference a few lines are shown.
sub same
{
	my ($have, $want, $what) = @_;
	return if ok($have eq $want, $what);
	write_file("$temp/have", $have);
	write_file("$temp/want", $want);
	IPC::Run::run([ 'diff', "$temp/have", "$temp/want" ], '>', \my $difference);
	diag(join "\n", map { substr $_, 0, 200 } grep { defined } (split /\n/, $difference)[ 0 .. 20 ]);
	return;
}
sub dump_of { my ($database) = @_; return output_of('pg_dump', '-d', $node->connstr($database)) }

# Databases. Each fixture is loaded once and copied.
my %loaded;
sub make_database
{
	my ($name, $generation, $product) = @_;
	my $template = $loaded{"$generation $product"};
	if (!$template)
	{
		$template = 'fixture_' . (1 + keys %loaded);
		sql('postgres', "CREATE DATABASE $template");
		my $script = Fixture->new(generation => $generation, assets => $assets)->sql($product);
		utf8::encode($script);
		my $err = '';
		IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($template) ],
			'<', \$script, '>', \my $out, '2>', \$err)
			or die $err;
		$loaded{"$generation $product"} = $template;
	}
	sql('postgres', "DROP DATABASE IF EXISTS $name WITH (FORCE)");
	sql('postgres', "CREATE DATABASE $name TEMPLATE $template");
	return;
}
sub listing
{
	return output_of('psql', '-X', '-q', '-v', 'schema=public', '-f', "$root/test/fixtures/listing.sql", '-d', $node->connstr($_[0]));
}
sub rows
{
	my @psql = ('psql', '-X', '-q', '-v', 'schema=public', '-f', "$root/test/fixtures/rows.sql", '-d', $node->connstr($_[0]));
	return [ split /\n/, output_of(@psql) ];
}
sub databases
{
	return sql('postgres', q(SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database
	  WHERE datname !~ '^(template|fixture_|postgres$)'));
}

# First of all: would it see a wrong block?
{
	make_database('immich', 'v4.57', 'immich');
	my %wrong = (
		'a statement that fails' => [ qr/line 2: .*ERROR:  relation "nothing" does not exist/s, "```sql\nSELECT * FROM nothing;\n```\n" ],
		'a statement without an end' => [ qr/line 2: the last statement has no end/, "```sql\nSELECT 1\n```\n" ],
		'a command in the middle that fails' => [ qr/line 5: failed: \[ls \/nowhere\]/, "Text\n\n\n```sh\nls /nowhere\necho on\n```\n" ],
		'a command that is not there' => [ qr/line 2: .*gallery-revert: command not found/, "```sh\ngallery-revert\n```\n" ],
		'an unknown docker command' => [ qr/line 2: .*unknown in database: mysql/s, "```sh\ndocker exec immich_postgres mysql\n```\n" ],
		'another container' => [ qr/line 2: .*No such container: postgres/s,
			"```sh\ndocker exec postgres psql -U postgres -c 'SELECT 1'\n```\n" ],
		'no role given' => [ qr/line 2: .*role "root" does not exist/s,
			"```sh\ndocker exec immich_postgres psql -d immich -c 'SELECT 1'\n```\n" ],
		'a stopped container' => [ qr/line 2: .*database is not running/s,
			"```sh\ntouch docker-compose.yml\ndocker compose stop database\n"
				. "docker exec immich_postgres psql -U postgres -d immich -c 'SELECT 1'\n```\n" ],
		'lines lost to docker' => [ qr/line 2: .*-i takes the lines/s,
			"```sh\ndocker exec -i immich_postgres psql -U postgres -d immich -c 'SELECT 1'\n```\n" ],
		'a target that make has not' => [ qr/line 2: .*No rule to make target 'demonstration'/s, "```sh\nmake demonstration\n```\n" ],
		'a suite that is not there' => [ qr/line 2: .*no such test: test\/t\/999.pl/s, "```sh\ntools/suite tap test/t/999.pl\n```\n" ],
		'another language' => [ qr/line 2: a block is sh, sql or text, not "bash"/, "```bash\necho\n```\n" ],
		'no language' => [ qr/line 3: a block is sh, sql or text, not "indented"/, "Run\n\n    make test\n" ],
		'a shell command inside psql' => [ qr/line 5: the reader is still in psql/,
			"```sh\ndocker exec -it immich_postgres psql -U postgres -d immich\n```\n```sh\nls\n```\n" ]);
	foreach my $what (sort keys %wrong)
	{
		my ($pattern, $text) = @{ $wrong{$what} };
		my (undef, undef, @failures) = $reader->follow('planted.md', $text, $reader->place('project'), psql => 1);
		like("@failures", qr/planted\.md, $pattern/, "seen: $what");
	}
	my ($ran, undef, @failures) = $reader->follow('planted.md',
		"```sh\ntrue\n```\n```sql\nSELECT 1;\n```\n```text\nnothing\n```\n", $reader->place('project'), psql => 1);
	is_deeply([ $ran, @failures ], [2], 'and what is right is run');
	(undef, undef, @failures) = $reader->follow('planted.md', "```sql\nSELECT 1;\n```\n", $reader->place('install'));
	like("@failures", qr/line 2: SQL, but the page has opened no psql/, 'seen: SQL out of nowhere');
}

# Switching back, once for each layout of the ledger: the reader does what the page says, and edits the files that it shows.
sub switch_back
{
	my ($name, $text, $generation) = @_;
	my $fixture = Fixture->new(generation => $generation, assets => $assets);
	my $place = $reader->place('install');
	make_database('immich', $generation, 'gallery');
	make_database('twin', $generation, 'immich');
	my $dump = dump_of('immich');
	my @before = map { "$_->{name},$_->{stamp}" } grep { !$_->{fork} } @{ $fixture->{ledger} };
	my $counts = { map { split /\|/ } split /\n/, sql('twin', 'CREATE EXTENSION gallery_revert; SELECT * FROM immich_inventory()') };
	my $clean = sql('twin', q(SELECT name, status, detail FROM gallery_revert_check() WHERE status <> 'ok'));
	sql('twin', 'DROP EXTENSION gallery_revert');
	$reader->redis(@$_) foreach ['FLUSHALL'], map { [ '-n', $_, 'SET', "key $_", 'value' ] } 0, 1;
	# Gallery's server is running and has its connection, from the address of its container.
	my $connection = $node->connstr('immich') =~ s/host=\S+/host=127.0.0.1/r;
	my $server = IPC::Run::start([ 'psql', '-X', '-q', '-d', "$connection application_name=immich-server" ],
		'<', \my $in, '>&', \my $said);
	$in = "SELECT 1;\n";
	$server->pump until ($said // '') =~ /1 row/;
	my %pin = ('v4.57' => 'v2.7.5', 'v5.9' => 'v3.3.5');
	my %seen;
	my ($ran, $shown, @failures) = $reader->follow($name, $text, $place,
		before => {
			'4. Switch the images/2' => sub {
				my ($terminal) = @_;
				my ($tag) = $terminal->shown =~ /^revert_gallery (\S+)$/m;
				is($tag, $pin{$generation}, "$generation: the tag to switch to");
				my $pin = "IMMICH_VERSION=$tag";
				my ($wanted) = grep { $_->{language} eq 'text' && $_->{heading} =~ /^4\./ } blocks($text);
				my $compose = slurp_file("$place->{folder}/docker-compose.yml");
				my $lines = () = $compose =~ /\n/g;
				while ($wanted->{text} =~ /^(  \S+:\n)    image: (.*)\n/mg)
				{
					my ($key, $image) = ($1, $2);
					# With the ending that was there.
					$compose =~ s/^(\Q$key\E(?:    .*\n)*?    image: ).*?(-cuda)?$/$1$image@{[ $2 \/\/ '' ]}/m or die "no service $key";
				}
				is(scalar(() = $compose =~ /\n/g), $lines, "$generation: all other lines are kept");
				write_file("$place->{folder}/docker-compose.yml", $compose);
				my $env = slurp_file("$place->{folder}/.env") =~ s/^IMMICH_VERSION=.*$/$pin/mr =~ s/^IMMICH_(?:STORAGE_BACKEND|S3_.*)=.*\n//mgr;
				write_file("$place->{folder}/.env", $env);
			},
		},
		after => {
			'2. Remove the old server, and make a dump/1' => sub {
				like($_[0], qr/all \d+ counts agree.*^Done\. /ms, "$generation: the dump is made and proven");
			},
			'5. Look/2' => sub {
				like($_[0], qr/^product +\| gallery$/m, "$generation: product");
				my @blocked = $_[0] =~ /^name +\| (.*)\nstatus +\| blocked/mg;
				is("@blocked", 'token', "$generation: only the token is blocked");
				like($_[0], qr/^name +\| token\n.*^hint +\| Look at/ms, "$generation: and with what to do");
				like($_[0], qr/^what +\| spaces with \d+ photos$/m, "$generation: what would be lost");
				like($_[0], qr/^-\[ RECORD 1 \].*^statement +\| DROP TRIGGER/ms, "$generation: the plan with its statements");
				like($_[0], qr/^ROLLBACK$/m, "$generation: taken back");
				is(sql('immich', q(SELECT count(*) FROM pg_extension WHERE extname = 'gallery_revert')), '0', "$generation: nothing stays");
			},
			'6. Run/1' => sub {
				my ($notices) = grep { $_->{language} eq 'text' && $_->{heading} =~ /^6\./ } blocks($text);
				my $pattern = quotemeta($notices->{text}) =~ s/v2\\\.7\\\.5/\Q$pin{$generation}\E/r;
				like($_[0], qr/$pattern/, "$generation: it ends as the page shows");
				like($_[0], qr/^gallery_revert \| \Q$pin{$generation}\E$/m, "$generation: and with the tag");
				like($_[0], qr/^COMMIT$/m, "$generation: and it is kept");
				is(sql('immich', q(SELECT count(*) FROM pg_extension WHERE extname = 'gallery_revert')), '0', "$generation: no extension stays");
				sql('immich', 'CREATE EXTENSION gallery_revert');
				my %fewer = map { /^ (\w+) +\| +(\d*) \| +(\d*) *$/ ? ($1 => [ $2, $3 ]) : () } split /\n/, $_[0];
				cmp_ok(scalar keys %fewer, '>=', 4, "$generation: counts that differ");
				is_deeply([ grep { $fewer{$_}[1] ne $counts->{$_} } sort keys %fewer ], [], "$generation: they are stock Immich's");
				# As the page says: people and faces, memories, edited assets and files, links; favourites come back.
				my $may_fall = qr/^(people|people_named|faces|memories|assets_edited|files_\w+|shared_links|shared_link_assets)$/;
				is_deeply([ grep { $_ !~ $may_fall || $fewer{$_}[1] >= $fewer{$_}[0] }
					grep { $_ ne 'assets_favorite' } sort keys %fewer ], [], "$generation: only what the page names became fewer");
				my %after = map { split /\|/ } split /\n/, sql('immich', 'SELECT * FROM immich_inventory()');
				is_deeply(\%after, $counts, "$generation: all counts are stock Immich's");
				is(sql('immich', q(SELECT name, status, detail FROM gallery_revert_check() WHERE status <> 'ok' AND name <> 'sessions')),
					$clean, "$generation: gallery_revert_check() says of it what it says of the stock database");
				is(join(',', map { /^(.*?)\|/ ? $1 : () } split /\n/, $clean =~ s/^\w+\(.*\n//mgr), 'function bodies,extension',
					"$generation: that is, the fixture's function bodies and the extension");
				sql('immich', 'DROP EXTENSION gallery_revert');
			},
			'7. Clear the job queue/1' => sub {
			  SKIP: {
					skip 'redis-tools is not installed', 3 if !defined $reader->redis('PING');
					like($_[0], qr/^OK$/m, "$generation: Redis says OK");
					is(join(' ', map { $reader->redis('-n', $_, 'DBSIZE') } 0, 1), '0 1', "$generation: Redis database 0 is empty, 1 is not");
					# With a password the page has another command.
					my ($command) = $text =~ /`(docker exec -e [^`]*)`/;
					$reader->redis('CONFIG', 'SET', 'requirepass', 'secret');
					like($_[1]->type("export REDISCLI_AUTH=secret; $command; unset REDISCLI_AUTH")->{output}, qr/^OK$/m,
						"$generation: with a password, too");
					$reader->redis('-a', 'secret', '--no-auth-warning', 'CONFIG', 'SET', 'requirepass', '');
				}
			},
			'4. Switch the images/2' => sub {
				my @tagged = $_[0] =~ /^ghcr\.io\/immich-app\/immich-(?:server|machine-learning):(\S+)$/mg;
				is("@tagged", "$pin{$generation} $pin{$generation}-cuda", "$generation: both images have the tag, and the ending that they had");
				unlike($_[0], qr/gallery/, "$generation: no image of Gallery's");
			},
		});
	eval { IPC::Run::finish($server) };
	is_deeply(\@failures, [], "$generation: every block runs") or diag(join "\n", @failures);
	is(databases(), 'immich twin', "$generation: nothing is left beside the database");
	same(listing('immich'), listing('twin'), "$generation: the catalog is stock Immich's");
	my @rows = map { [ grep { !/^kysely_migrations\|/ } @{ rows($_) } ] } qw(immich twin);
	same(join("\n", @{ $rows[0] }), join("\n", @{ $rows[1] }), "$generation: so are the rows");
	is_deeply([ ledger_differences(\@before, [ map { /^kysely_migrations\|\((.*)\)$/ ? $1 : () } @{ rows('immich') } ]) ], [],
		"$generation: and the ledger");
	is(sql('immich', q(SELECT count(*) FROM pg_extension WHERE extname = 'gallery_revert')), '0', "$generation: no extension is left");
	unlike(slurp_file("$place->{folder}/.env"), qr/S3|STORAGE/, "$generation: no setting of Gallery's is left");
	is(join(' ', sort map { s{.*/}{}r } glob "$place->{base}/state/running/*"),
		'database immich-machine-learning immich-server redis', "$generation: everything runs");

	# The copy that the page made.
	my ($folder) = glob "$place->{base}/home/immich-preserved/immich-*Z";
	sql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
	my $script = output_of('pg_restore', '--file=-', "$folder/immich.dump")
	  =~ s{^SELECT pg_catalog.set_config\('search_path', '', false\);$}
	    {SELECT pg_catalog.set_config('search_path', 'public, pg_catalog', false);}mr;
	IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored') ],
		'<', \$script, '>', \my $out, '2>', \my $err);
	is($err, '', "$generation: the dump restores");
	# A condition over a list of words is printed in another way once it has been restored; the server's own doing.
	my $casts = sub { return $_[0] =~ s/^(.*\bARRAY\[.*)$/$1 =~ s{[()\[\]]|::text}{}gr/gmer };
	same($casts->(dump_of('restored')), $casts->($dump), "$generation: to the database as it was");
	cmp_ok(length $dump, '>', 1_000_000, "$generation: which is a whole one");
	is(sql('restored', q(CREATE EXTENSION gallery_revert; SET client_min_messages = error;
		SET gallery.revert_token = 'i_accept_data_loss'; SELECT gallery_revert())),
		$pin{$generation}, "$generation: from which the way back works as well");
	sql('restored', 'DROP EXTENSION gallery_revert');
	same(listing('restored'), listing('twin'), "$generation: to the same catalog");
	sql('postgres', "DROP DATABASE $_") foreach qw(immich twin restored);
	return $ran;
}

# The runbook, on an Immich whose server image is older than the database; then with what each later section is about.
sub recover
{
	my ($name, $text) = @_;
	my $place = $reader->place('install');
	my ($home, $folder) = ("$place->{base}/home", $place->{folder});
	# This page is for an installation of Immich.
	my $compose = slurp_file("$folder/docker-compose.yml");
	write_file("$folder/docker-compose.yml", $compose =~ s/gallery-(server|machine)/immich-$1/gr);
	make_database('immich', 'v5.9', 'immich');
	# The newest version is recorded, as on every server that ran: without the tag of the log every answer is "none".
	my $recorded = q(INSERT INTO version_history ("createdAt", version) VALUES (now(), '%s'));
	sql('immich', sprintf $recorded, '3.3.5');
	my $dump = dump_of('immich');
	my $damage = q(DELETE FROM album; UPDATE "user" SET name = 'nobody');
	my ($damaged, $restore);
	# What a restore renames the old database to.
	my $old = sub { return grep { /^immich_before_\d{8}_\d{6}$/ } split / /, databases() };
	my $drop_old = sub { sql('postgres', "DROP DATABASE $_") foreach $old->() };
	my $block = sub {
		my ($step, $number) = @_;
		my @of_step = grep { $_->{heading} =~ /^\Q$step\E\. / && $_->{language} ne 'text' } blocks($text);
		return $of_step[ $number - 1 ]{text};
	};
	my ($restore_folder, $restore_backup, $take_back) = map { $block->('6b', $_) } 3, 5, 6;
	my $backup = "$folder/my photos/backups/immich-db-backup-20261120T020000-v3.3.5-pg15.20.sql.gz";
	# As long as it is the same database in all that a dump shows.
	my $is_restored = sub { same(dump_of('immich'), $dump, "$_[0]: the database is as it was, byte for byte") };
	my ($ran, $shown, @failures) = $reader->follow($name, $text, $place,
		before => {
			'4. Ask the database/1' => sub {
				my ($terminal) = @_;
				my $log = slurp_file("$folder/immich.log");
				sql('postgres', 'ALTER DATABASE immich RENAME TO away');
				my $ask = sub {
					my ($what, $generation, $product, $tag, $advice) = @_;
					make_database('immich', $generation, $product);
					sql('immich', sprintf $recorded, '2.7.5') if $product eq 'immich';
					write_file("$folder/immich.log", "immich_server | Initializing Immich v2.7.5\nimmich_server | Initializing Immich $tag\n");
					my $result = $terminal->type($block->('4', 1));
					is_deeply($result->{failed}, [], "$what: asked");
					like($result->{output}, qr/^advice: \Q$advice\E\r?\npin: +v2\.7\.5\r?$/m, "$what: $advice");
				};
				$ask->('a failed update', 'v4.57', 'immich', 'v3.0.0', 'roll_back');
				$ask->('Gallery\'s own tag', 'v4.57', 'gallery', 'v4.57.0', 'revert_gallery');
				sql('postgres', 'DROP DATABASE immich');
				sql('postgres', 'ALTER DATABASE away RENAME TO immich');
				write_file("$folder/immich.log", $log);
			},
			'6a. Pin a tag and start/1' => sub {
				# Without an answer, or with one that names no tag, nothing is touched.
				my ($terminal) = @_;
				my $text = $block->('6a', 1);
				my $quiet = sub {
					my ($what, $says) = @_;
					my ($env, $log) = map { slurp_file($_) } "$folder/.env", "$place->{base}/state/docker.log";
					like($terminal->type($text)->{output}, $says, "$what: says so");
					is(slurp_file("$folder/.env"), $env, "$what: .env is as it was");
					unlike(substr(slurp_file("$place->{base}/state/docker.log"), length $log), qr/^compose/m, "$what: nothing is pulled or started");
				};
				sql('postgres', 'ALTER DATABASE immich RENAME TO away');
				$quiet->('no database', qr/database "immich" does not exist.*^No answer/ms);
				make_database('immich', 'v5.9', 'gallery');
				$quiet->('a Gallery database', qr/^Noodle Gallery ran here: go on with switching-back\.md/m);
				make_database('immich', 'v5.9', 'immich');
				sql('immich', 'DELETE FROM kysely_migrations');
				$quiet->('a ledger that no release accepts', qr/^No release starts on this database: go on with step 6b/m);
				sql('postgres', 'DROP DATABASE immich');
				sql('postgres', 'ALTER DATABASE away RENAME TO immich');
			},
			'6b. Restore the dump/1' => sub {
				# An update that went wrong, after which another copy was made.
				sql('immich', $damage);
				sleep 1;
				my $result = $_[0]->type('gallery_revert/scripts/preserve-state.sh --docker immich_postgres');
				is_deeply($result->{failed}, [], 'another copy');
				my $file = $dump;
				IPC::Run::run([ 'gzip' ], '<', \$file, '>', $backup) or die;
			},
			'6b. Restore the dump/3' => sub {
				# Whatever fails before the database is renamed, taking back takes nothing away; and another try's database stays.
				my ($terminal) = @_;
				$damaged = dump_of('immich');
				sql('postgres', 'CREATE DATABASE immich_before_restore');
				my $unchanged = sub {
					my ($what, $command) = @_;
					unlike($terminal->type($command)->{output}, qr/^restored$/m, "$what: not restored");
					return sub {
						like($terminal->type($take_back)->{output}, qr/nothing to take back/, "$what: nothing to take back");
						is(databases(), 'immich immich_before_restore', "$what: the databases are those from before");
						same(dump_of('immich'), $damaged, "$what: and as they were");
					};
				};
				my ($copy) = glob "$home/immich-preserved/immich-*Z";
				rename "$copy/immich.dump", "$copy/immich.away" or die $!;
				write_file("$copy/immich.dump", 'damaged');
				$unchanged->('a damaged copy', $restore_folder)->();
				rename "$copy/immich.away", "$copy/immich.dump" or die $!;
				$unchanged->('no backup named', 'backup=/nowhere; ' . $restore_backup . 'unset backup')->();
				my $other = $node->background_psql('immich');
				my $still = $unchanged->('the database is in use', $restore_folder);
				$other->quit;
				$still->();
			},
			'6b. Restore the dump/5' => sub {
				$drop_old->();
				sql('immich', $damage);
			},
			'6c. Repair the order of the ledger/1' => sub {
				sql('immich', q(CREATE EXTENSION gallery_revert;
					UPDATE kysely_migrations SET timestamp = '2026-01-01T00:00:00.000Z' WHERE name = (SELECT max(name) FROM kysely_migrations)));
			},
			'6b. Restore the dump/7' => sub {
				sleep 1;
				# Immich gives a file the date of its photo.
				foreach my $file ("$folder/my photos/upload/new.jpg", "$folder/my photos/library/moved.jpg")
				{
					write_file($file, 'new');
					utime 1546300800, 1546300800, $file or die $!;
				}
			},
			'6b. Restore the dump/8' => sub { is_deeply($_[0]->type($restore)->{failed}, [], 'restored once more') },
		},
		after => {
			'2. Read the log/1' => sub { like($_[0], qr/The database is newer than the server image/, 'the log is understood') },
			'3. Preserve/1' => sub {
				# The page shows what it looks like.
				my ($like) = grep { $_->{language} eq 'text' && $_->{heading} eq '3. Preserve' } blocks($text);
				my $plain = sub {
					return $_[0] =~ s/PostgreSQL \d+, \d+ MB/PostgreSQL N, N MB/r
					  =~ s/preserve_test_\w+/preserve_test_N/r =~ s/all \d+ counts/all N counts/r
					  =~ s/\S+(?=\/immich-preserved)/HOME/r =~ s/immich-\d+T\d+Z/immich-N/r =~ s/ +$//mgr;
				};
				ok(index("\n" . $plain->($_[0]), "\n" . $plain->($like->{text})) >= 0, 'it looks as the page shows') or diag($_[0]);
			},
			'4. Ask the database/1' => sub {
				like($_[0],
					qr/^the tag that would not start: v3\.1\.0\n.*^advice: restore_backup\npin: +v3\.1\.0\n.*go on with v3\.3\.5$/ms,
					'the advice');
			},
			'4. Ask the database/2' => sub { like($_[0], qr/restore_backup/, 'the advice for an older release') },
			'6a. Pin a tag and start/1' => sub {
				like($_[0], qr/^IMMICH_VERSION will be: v3\.3\.5$/m, 'the tag');
				like(slurp_file("$folder/.env"), qr/^IMMICH_VERSION=v3\.3\.5$/m, 'is in .env');
				is(join(' ', sort map { s/=.*//r } split /\n/, slurp_file("$folder/.env")),
					'DB_DATA_LOCATION DB_PASSWORD IMMICH_S3_BUCKET IMMICH_STORAGE_BACKEND IMMICH_VERSION UPLOAD_LOCATION',
					'with all that was there');
			},
			'6b. Restore the dump/3' => sub {
				my ($shown, $terminal, $block) = @_;
				$restore = $block->{text};
				like($shown, qr/^restored\n\z/m, 'restored, the page says, must be the last line');
				$is_restored->('restored from the folder');
				ok(-d "$home/immich-preserved", 'the copies stay');
			},
			'6b. Restore the dump/5' => sub {
				my ($shown, $terminal, $block) = @_;
				like($shown, qr/^restored\n\z/m, 'restored, the page says, must be the last line');
				$is_restored->('restored from a backup');
				# Backups of v2.4 and older hold the whole server.
				$drop_old->();
				my $cluster = output_of('pg_dumpall', '-d', $node->connstr('postgres'), '--clean', '--if-exists', '--exclude-database=fixture_*');
				sql('immich', $damage);
				$damaged = dump_of('immich');
				IPC::Run::run([ 'gzip' ], '<', \$cluster, '>', $backup) or die;
				my $result = $terminal->type($block->{text});
				is_deeply($result->{failed}, [], 'a backup of the whole server') or diag $result->{output};
				$is_restored->('restored from a backup of the whole server');
			},
			'6b. Restore the dump/6' => sub {
				same(dump_of('immich'), $damaged, 'taken back: the database is what it was before');
				is(databases(), 'immich immich_before_restore', 'and the only one but for that of another try');
				# A second time, or after the old database is gone, there is nothing to take back.
				like($_[1]->type($take_back)->{output}, qr/nothing to take back/, 'and once is enough');
				$_[1]->type("renamed=immich_before_20260101_000000\n$take_back");
				same(dump_of('immich'), $damaged, 'nothing is dropped when the old database is not there');
				$_[1]->type('renamed=');
			},
			'6b. Restore the dump/7' => sub {
				is($_[0], "./my photos/upload/new.jpg\n./my photos/library/moved.jpg\n", 'what is not in the dump is listed');
			},
			'6b. Restore the dump/8' => sub {
				is(databases(), 'immich immich_before_restore', 'the old database is gone');
				$is_restored->('at the end');
			},
			'6c. Repair the order of the ledger/1' => sub {
				like($_[0], qr/immich_repair_migration_order.*repaired the ledger: 1 change/s, 'the order is repaired');
				is(sql('immich', 'SELECT array_agg(name ORDER BY timestamp, name) = array_agg(name ORDER BY name) FROM kysely_migrations'),
					't', 'and right');
			},
			'7. Verify/1' => sub { like($_[0], qr/^same counts$/m, 'the counts are those of the copy') },
		});
	is_deeply(\@failures, [], "$name: every block runs") or diag(join "\n", @failures);
	is(sql('immich', q(SELECT count(*) FROM pg_extension WHERE extname = 'gallery_revert')), '0', 'no extension is left');
	sql('postgres', "DROP DATABASE $_") foreach qw(immich immich_before_restore);
	return $ran;
}

# README.md: the short way, and what `make demo` shows.
sub read_me
{
	my ($name, $text) = @_;
	my $place = $reader->place('project');
	$place->{environment}{DOC_DEMO} = 1;
	make_database('immich', 'v4.57', 'gallery');
	my $demo = '';
	my $before = dump_of('immich');
	my ($ran, $shown, @failures) = $reader->follow($name, $text, $place, psql => 1,
		errors => { 'Two commands/1' => qr/^it says: ERROR:  gallery.revert_token is not set$/ },
		after => { 'Two commands/1' => sub { $demo = $_[0] } });
	is_deeply(\@failures, [], "$name: every block runs") or diag(join "\n", @failures);
	like($shown, qr/spaces with \d+ photos.*\bledger\b.*DROP TRIGGER/s, "$name: the lines tell what would be lost, and the plan");
	same(dump_of('immich'), $before, "$name: and change nothing");
	my ($run) = grep { $_->{heading} eq 'A run' && $_->{language} eq 'text' } blocks($text);
	my $same = sub { return $_[0] =~ s/\e\[\d*m//gr =~ s/\b\d+\.\d+ s\b/N s/gr =~ s/ +$//mgr };
	my @parts = split /\n{2,}/, $same->($run->{text}) =~ s/\s+\z//r;
	cmp_ok(scalar @parts, '>=', 2, "$name: the run has parts");
	foreach (@parts)
	{
		ok(index($same->($demo), "\n$_\n") >= 0, "$name: the run is real, from \"" . substr($_, 0, 30) . '"')
			or diag("$_\n-- is not in --\n$demo");
	}
	sql('postgres', 'DROP DATABASE immich');
	return $ran;
}

sub plain
{
	my ($name, $text, %state) = @_;
	my ($ran, $shown, @failures) = $reader->follow($name, $text, $reader->place('project'), %state);
	is_deeply(\@failures, [], "$name: every block runs") or diag(join "\n", @failures);
	return $ran;
}

# Document => what follows it, in the state that it supposes. A document without blocks needs no entry.
my %manifest = (
	'README.md' => [ \&read_me ],
	'CONTRIBUTING.md' => [ \&plain ],
	'docs/switching-back.md' => [ map { my $generation = $_; sub { switch_back(@_, $generation) } } 'v4.57', 'v5.9' ],
	'docs/recovery.md' => [ \&recover ],
	'docs/keeping.md' => [ sub {
			make_database('immich', 'v5.9', 'gallery');
			sql('immich', q(CREATE EXTENSION gallery_revert; SET gallery.revert_archive = on;
				SET gallery.revert_token = 'i_accept_data_loss'; SELECT gallery_revert();));
			return plain(@_, psql => 1);
		} ],
	# A new release of Immich has been started on an empty database.
	'docs/maintaining.md' => [ sub {
			make_database('immich', 'v5.9', 'immich');
			sql('immich', q(INSERT INTO version_history (version) VALUES ('3.3.5')));
			return plain(@_, psql => 1);
		} ],
	'docs/reference.md' => [ sub {
			make_database('immich', 'v5.9', 'gallery');
			sql('immich', 'CREATE EXTENSION gallery_revert');
			return plain(@_, psql => 1);
		} ]);

foreach my $name (tested_documents($root))
{
	my $text = read_text("$root/$name");
	if ($ENV{DOC_ONLY} && $name !~ /$ENV{DOC_ONLY}/) { delete $manifest{$name}; next }
	note(time - $^T, " $name");
	my @run = grep { $_->{language} ne 'text' } blocks($text);
	my $entries = delete $manifest{$name} // [];
	ok(!@run || @$entries, "$name: has an entry in the manifest") or next;
	foreach my $entry (@$entries)
	{
		# A state that can't be made any more, because a block before it went wrong, must not hide the other documents.
		my $ran = eval { $entry->($name, $text) };
		is($ran // "died: $@", scalar @run, "$name: all blocks were run");
	}
}
is_deeply([ keys %manifest ], [], 'every entry has its document');

$node->stop;
$reader->stop;
done_testing();
