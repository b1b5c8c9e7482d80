# scripts/switch-back in installations that are not as Immich's own: several compose files, other names, settings elsewhere, a manager such
# as Portainer. It finds what is there, or stops before anything has changed and says what to do. Then what is installed where there are no
# built files, and that a call that was killed at one of its questions asks again.
use strict;
use warnings FATAL => 'all';

use Installation;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

prepare();
my ($status, $out);

# Names of one's own: of the project, the containers and the database's role, in two files that .env names, with a URL for the database.
sub other_names
{
	write_file("$place->{state}/names", "gs immich-server\nml immich-machine-learning\nqueue redis\npg database\n");
	write_file("$place->{state}/project", "photos\n");
	return;
}
$place = installation();
other_names();
rename "$place->{folder}/docker-compose.yml", "$place->{folder}/base.yml" or die $!;
change('base.yml', sub {
	s/^    image: .*gallery-ml.*\n//m;
	s/container_name: immich_server/container_name: gs/;
	s/(image: .*valkey.*)/$1\n    container_name: queue/;
	s/(image: .*postgres:.*)/$1\n    container_name: pg/;
});
write_file("$place->{folder}/gpu.yml", <<'TEXT');
services:
  immich-machine-learning:
    image: mirror.example/open-noodle/gallery-ml:${IMMICH_VERSION:-release}-openvino
TEXT
write_file("$place->{state}/running/immich-machine-learning", "mirror.example/open-noodle/gallery-ml:v4.57.0-openvino\n");
change('.env', sub {
	s/^DB_(?:PASSWORD|USERNAME)=.*\n//mg;
	$_ .= "COMPOSE_FILE=base.yml:gpu.yml\nCOMPOSE_PROJECT_NAME=photos\nDB_DATABASE_NAME=another\nREDIS_HOSTNAME=queue\n"
	  . "DB_URL=postgresql://postgres:$password\@pg:5432/immich?sslmode=disable\n";
});
write_file("$place->{state}/folder", "$place->{folder}/base.yml,$place->{folder}/gpu.yml\n");
($status, $out) = switch_back($place);
is($status, 0, 'other names, COMPOSE_FILE, DB_URL') or diag($out);
like(flat($out), qr/installation "photos".*database "immich" as postgres in pg, /, '... found');
like(slurp_file("$place->{folder}/base.yml"), qr{image: ghcr\.io/immich-app/immich-server:\$}, '... the first file is edited');
like(slurp_file("$place->{folder}/gpu.yml"), qr{ghcr\.io/immich-app/immich-machine-learning:\$\{IMMICH_VERSION:-release\}-openvino},
	'... and the second');
is(slurp_file("$place->{state}/running/immich-server"), "ghcr.io/immich-app/immich-server:$tag\n", '... Immich runs');
is($node->safe_psql('immich', q(SELECT to_regclass('public.shared_space') IS NULL)), 't', '... on its own database');
is($reader->redis('DBSIZE'), '0', '... with an empty queue') if $reader->{redis};
my @written = map { slurp_file($_) } glob "$place->{base}/home/immich-preserved/switch-back-photos/{log,state} $place->{state}/docker.log";
unlike("$out@written", qr/$password/, '... and the password of the URL is nowhere');
($status, $out) = switch_back($place, arguments => ['--undo'], answers => "yes\n");
is($status, 0, '... and back') or diag($out);
like(slurp_file("$place->{folder}/gpu.yml"), qr{mirror\.example/open-noodle/gallery-ml:}, '... with both files as they were');

# Portainer: its files are nowhere on this machine. The texts were saved, with the folders as the container has them; Redis by a URL.
$place = installation();
write_file("$place->{state}/project", "stack\n");
write_file("$place->{state}/folder", "/data/compose/7/docker-compose.yml\n");
my $saved = "$place->{base}/saved";
mkdir $saved or die $!;
rename "$place->{folder}/docker-compose.yml", "$saved/docker-compose.yml" or die $!;
rename "$place->{folder}/.env", "$saved/stack.env" or die $!;
$place->{folder} = $saved;
change('docker-compose.yml', sub { s/- \.env/- stack.env/g });
change('stack.env', sub { $_ .= "REDIS_URL=ioredis://eyJob3N0IjoicmVkaXMifQ==\n" });
write_file("$place->{state}/mounts", "/data\tbind\t/data/compose/7/my photos\n");
my @manager = (arguments => [qw(--file docker-compose.yml --env-file stack.env --project-name stack)]);
($status, $out) = switch_back($place, @manager);
is($status, 1, 'a manager, folders that begin with a dot: stops') or diag($out);
like(flat($out),
	qr{other folders.*/data is in it bind /data/compose/7/my photos, and would be bind \Q$saved\E/my photos.*as the container has them},
	'... and says why');
change('stack.env', sub { s{^UPLOAD_LOCATION=.*}{UPLOAD_LOCATION="/data/compose/7/my photos"}m });
($status, $out) = switch_back($place, @manager);
is($status, 0, 'a manager') or diag($out);
like(slurp_file("$saved/stack.env"), qr/^IMMICH_VERSION=$tag$/m, '... its variables are edited');
like(flat($out), qr/Redis is not a service of this installation: clear.*Clear the queue of jobs in your Redis/,
	'... and Redis is left to its owner');
is($reader->redis('DBSIZE'), '1', '... indeed') if $reader->{redis};

# An override file, of the other name, has the image.
$place = installation();
unlink "$place->{state}/bare";
write_file("$place->{folder}/compose.override.yml", <<'TEXT');
services:
  immich-server:
    image: ghcr.io/open-noodle/gallery-server:v4.57.0
TEXT
($status, $out) = switch_back($place, arguments => ['--check'], answers => '');
is($status, 0, 'an override file') or diag($out);
like($out,
	qr{compose\.override\.yml\n\s+- +image: ghcr\.io/open-noodle/gallery-server:v4\.57\.0\n\s+\+ +image: ghcr\.io/immich-app/\S+:$tag\n},
	'... is edited too');

# --check where the extension's files are not: the tag, the time and what is edited are told all the same, and what cannot be told is said.
$place = installation();
($status, $out) = switch_back($place, arguments => ['--check'], answers => '');
is($status, 0, '--check without the extension') or diag($out);
like($out,
	qr/becomes Immich \Q$tag\E\..*Run\s+this\s+without\s+--check.*about \d+ min until you\s.*\+IMMICH_VERSION=\Q$tag\E\n.*Ready/s,
	'... tells what it can');
unlike($out, qr/Lost or changed/, '... and claims nothing else');
ok(dump_of() eq $place->{before} && files_of($place) eq $place->{files}, '... with database and files as they were');
ok(-e "$place->{state}/bare" && slurp_file("$place->{state}/docker.log") !~ /^(?:cp|pull|build|start|compose.* (?:up|rm|pull))/m,
	'... and docker was only asked');
is_deeply([ glob "$place->{base}/home/* $place->{base}/home/.[a-z]*" ], [], '... and no file of its own');
# No room for what comes: it is not ready.
my $fake = PostgreSQL::Test::Utils::tempdir();
write_file("$fake/df", "#!/bin/sh\necho '/dev/sda1 1000 900 100 90% /'\n");
chmod 0755, "$fake/df" or die $!;
stopped('--check without room', 1, qr/not enough room/, arguments => ['--check'],
	prepare => sub { $place->{environment}{PATH} = "$root/test/lib/bin:$fake:$ENV{PATH}" });

stopped('another project name', 1, qr/the database has no container.*--project-name NAME; docker compose ls/,
	prepare => sub { write_file("$place->{state}/project", "photos\n") });
stopped('a tag in the shell', 1, qr/images cannot be switched by editing.*set elsewhere, in the shell/,
	environment => { IMMICH_VERSION => 'v4.57.0' });
stopped('a URL that is none', 1, qr/DB_URL of the service immich-server cannot be read.*by hand/,
	prepare => sub { change('.env', sub { $_ .= "DB_URL=postgresql://postgres:$password\@/immich?host=/run/postgresql\n" }) });
stopped('a URL to elsewhere', 1, qr/\(db\.example\) is not a service.*another stack: by hand.*--no-docker/,
	prepare => sub { change('.env', sub { $_ .= "DB_URL=postgresql://postgres:$password\@db.example/immich\n" }) });
stopped('a setting in a file', 1, qr/reads DB_USERNAME from a file \(DB_USERNAME_FILE\).*Set DB_USERNAME to the same value/,
	prepare => sub { change('.env', sub { s/^DB_USERNAME=/DB_USERNAME_FILE=\/run\/secrets\//m }) });
stopped('a database in another place', 1, qr/immich_postgres has other folders than these files say/, prepare => sub {
	change('docker-compose.yml', sub { $_ .= "    volumes:\n      - \${DB_DATA_LOCATION}:/var/lib/postgresql/data\n" });
	write_file("$place->{state}/mounts", "/var/lib/postgresql/data\tvolume\t/var/lib/docker/volumes/pgdata/_data\n");
});
$node->safe_psql('postgres', 'CREATE ROLE mallory');
stopped('no right to use docker', 1, qr/permission denied.*engine does not answer.*same command with sudo.*This call has changed nothing/,
	prepare => sub { write_file("$place->{state}/denied", '') });
stopped('other files of variables', 1, qr/COMPOSE_ENV_FILES names other files than \.env.*--env-file FILE \(\.env two\.env\)/,
	environment => { COMPOSE_ENV_FILES => '.env,two.env' });
stopped('files that are read-only', 1, qr/docker-compose\.yml, which has to be edited later, cannot be written/,
	prepare => sub { chmod 0444, "$place->{folder}/docker-compose.yml" });
stopped('what others own', 1, qr/own objects in this database: "mallory".*would run their code/, prepare => sub {
	$node->safe_psql('immich', 'CREATE TABLE public.hers (); ALTER TABLE public.hers OWNER TO mallory');
});

# In JSON each line of what stops it is whole, whatever the folder is called.
foreach my $case ([ [ '--install', "$fake/\xe9 \"x\" \\" ] ], [ [], sub { change('.env', sub { $_ .= "DB_HOSTNAME=db\\example\n" }) } ],
	[ [], sub { $node->safe_psql('immich', q(INSERT INTO kysely_migrations VALUES ('9990000000000-"Un\known', '2036'))) } ])
{
	my ($arguments, $prepare) = @$case;
	mkdir $arguments->[1] if @$arguments;
	$place = installation();
	$prepare->() if $prepare;
	($status, $out) = switch_back($place, arguments => [ @$arguments, '--yes', '--json' ], answers => '');
	my @events = map { JSON::PP->new->utf8->decode($_) } split /\n/, $out;
	is_deeply([ $status, @{ $events[-1] }{qw(event status exit changed)} ], [ 1, 'result', 'stopped', 1, '' ], '--json: a stop')
	  or diag($out);
}

# A folder, variables and images as no installation should have them, and some have: marks of other systems, lines twice, no end of the last
# line, a password of every sign; an anchor, the image as the default of a variable, a link, and the rights that were set.
$place = installation();
my $odd = "$place->{base}/it's \"my\" \$HOME \xc3\xbc";
rename $place->{folder}, $odd or die $!;
$place->{folder} = $odd;
write_file("$odd/.env", "\xef\xbb\xbfIMMICH_VERSION=v4.56.0\r\nexport UPLOAD_LOCATION=\"./my photos\"\r\nIMMICH_VERSION=v4.57.0 # mine\r\n"
	  . qq(DB_PASSWORD='p\$a"s#s\\w'\r\nDB_USERNAME=postgres\r\nexport IMMICH_STORAGE_BACKEND=local));
change('docker-compose.yml', sub {
	s{image: (ghcr\S+gallery-server\S+)}{image: &a "$1" # not gallery-server:v1};
	s{image: (ghcr\S+gallery-ml\S+)}{image: '\${ML_IMAGE:-$1}'};
	s/\n/\r\n/g;
});
mkdir "$place->{base}/real" or die $!;
rename "$odd/docker-compose.yml", "$place->{base}/real/stack.yml" or die $!;
symlink '../real/stack.yml', "$odd/docker-compose.yml" or die $!;
chmod 0664, "$place->{base}/real/stack.yml" or die $!;
my @before = map { slurp_file("$odd/$_") } '.env', 'docker-compose.yml';
my $home = "$place->{base}/ho \"m\\e\" \$x";
mkdir $home or die $!;
($status, $out) = switch_back($place, environment => { HOME => $home });
is($status, 0, 'an odd installation') or diag($out, map { slurp_file($_) } glob "'$home'/immich-preserved/*/log");
is(slurp_file("$odd/.env") =~ s/^.*PASSWORD.*\n//mr, "\xef\xbb\xbfIMMICH_VERSION=$tag\r\nexport UPLOAD_LOCATION=\"./my photos\"\r\n"
	  . "# IMMICH_VERSION=v4.57.0 # mine\r\nDB_USERNAME=postgres\r\n# only Gallery: export IMMICH_STORAGE_BACKEND=local\n",
	'... its variables');
is(join('', slurp_file("$odd/docker-compose.yml") =~ /^( +image: .*immich-app.immich.*\n)/mg),
	qq(    image: &a "ghcr.io/immich-app/immich-server:\${IMMICH_VERSION:-release}" # not gallery-server:v1\r\n)
	  . "    image: 'ghcr.io/immich-app/immich-machine-learning:\${IMMICH_VERSION:-release}-cuda' # the one for the card\r\n",
	'... its images');
ok(-l "$odd/docker-compose.yml" && (stat "$odd/docker-compose.yml")[2] % 010000 == 0664 && (stat "$odd/.env")[2] % 010000 == 0640,
	'... the link and the rights are as they were');
is(slurp_file("$place->{state}/running/immich-server"), "ghcr.io/immich-app/immich-server:$tag\n", '... Immich runs');
my $log = slurp_file("$home/immich-preserved/switch-back-immich/log");
unlike($log . $out, qr/p\$a"s#|s\\w/, '... the password is nowhere');
($status, $out) = switch_back($place, arguments => ['--undo'], answers => "yes\n", environment => { HOME => $home });
is($status, 0, '... and back') or diag($out);
is_deeply([ map { slurp_file("$odd/$_") } '.env', 'docker-compose.yml' ], \@before, '... with both files as they were');

# Called through links, from elsewhere; with a place for the copies that is named from where the user stands.
$place = installation();
mkdir "$place->{base}/links" or die $!;
symlink "$root/$_", "$place->{base}/links/" . s{.*/}{}r or die $!
  foreach qw(switch-back recover scripts/preserve-state.sh scripts/advise.sh scripts/diagnose.sh scripts/report.sh);
{
	local %ENV = %{ $place->{environment} };
	my %says = ('switch-back --help' => qr/^usage: switch-back/, 'recover --help' => qr/^usage: recover/,
		'preserve-state.sh --docker immich_postgres' => qr/^Done\./m,
		'advise.sh --docker immich_postgres --answer' => qr/^revert_gallery \Q$tag\E$/m,
		'report.sh --docker immich_postgres --output ../report' => qr/report/, 'diagnose.sh ../state/logs' => qr/^The log is empty/m);
	foreach my $call (sort keys %says)
	{
		my ($program, @arguments) = split / /, $call;
		IPC::Run::run([ "$place->{base}/links/$program", @arguments ], '<', \undef, '>&', \$out, init => sub { chdir $place->{folder} or die });
		like($out, $says{$call}, "through a link: $call");
	}
}
($status, $out) = switch_back($place, command => "$place->{base}/links/switch-back", arguments => [ '-o', '../copies' ], answers => "no\n");
is($status, 3, 'through a link: switch-back') or diag($out);
like(flat($out), qr{All that was done is in \Q$place->{folder}\E/\.\./copies/switch-back-immich/log}, '... says the whole path');

# Immich, with and without its images.
$place = installation();
gallery_ends();
write_file("$place->{state}/running/immich-server", "ghcr.io/immich-app/immich-server:$tag\n");
$node->safe_psql('immich', 'DROP EXTENSION IF EXISTS gallery_revert');
change('docker-compose.yml', sub { s{open-noodle/gallery-server}{immich-app/immich-server} });
$node->safe_psql('immich', q(BEGIN; CREATE EXTENSION gallery_revert; SET LOCAL gallery.revert_token = 'i_accept_data_loss';
  SELECT gallery_revert(); DROP EXTENSION gallery_revert; COMMIT));
($status, $out) = switch_back($place, answers => '');
is($status, 0, 'Immich') or diag($out);
like($out, qr/This is Immich, no Gallery: there is nothing to switch back\./, '... there is nothing to do');
change('docker-compose.yml', sub { s{immich-app/immich-server}{open-noodle/gallery-server} });
($status, $out) = switch_back($place, answers => '');
is($status, 1, 'Immich\'s database with Gallery\'s images: stops') or diag($out);
like(flat($out), qr/do not start them.*step 4/, '... and says what to do');

# No built files for this server: they are built in a container that is thrown away; without a network that ends it.
sub without_archive { unlink glob "$place->{folder}/gallery_revert-*.tar.gz"; return }
stopped('no built files, no network', 1, qr/cannot be built for ghcr\.io.*put gallery_revert-\S+ beside gallery_revert.*--binaries DIR/,
	prepare => sub { without_archive(); write_file("$place->{state}/offline", '') });
$place = installation();
without_archive();
($status, $out) = switch_back($place, answers => "no\n");
is($status, 3, 'no built files: built') or diag($out, log_of($place));
like(flat($out), qr/built in a throw-away container.*reverted and proved/, '... and tried');
ok(!-e "$place->{state}/built", '... and the image is gone again');
# Nothing can be copied into it: its owner builds the files into the image, as the message says, and goes on.
$place = installation();
write_file("$place->{state}/readonly", '');
switch_back($place);
{
	local %ENV = (%{ $place->{environment} }, GALLERY_REVERT_BASE_IMAGE => 'ghcr.io/immich-app/postgres:14');
	my $files = "-f docker-compose.yml -f '$root/docker/compose.gallery-revert.yml'";
	system("cd '$place->{folder}' && docker compose $files up -d --build --wait database") == 0 or die 'build';
}
write_file("$place->{state}/folder", "$place->{folder}/docker-compose.yml,$root/docker/compose.gallery-revert.yml\n");
($status, $out) = switch_back($place, answers => "no\n");
is($status, 3, 'built into the image: goes on') or diag($out);
like($out, qr/^ *3\. install +done already\n.*reverted and proved/ms, '... without another installation');

# A copy that has not what was saved is no proof: it stops there.
$place = installation();
switch_back($place, until => qr/^ *3\. install .*\n/m);
my ($copy) = glob "$place->{base}/home/immich-preserved/immich-*Z";
chmod 0600, "$copy/inventory.tsv", "$copy/MANIFEST" or die $!;
write_file("$copy/inventory.tsv", slurp_file("$copy/inventory.tsv") =~ s/^assets\t200$/assets\t201/mr);
system("cd '$copy' && find . -type f ! -name MANIFEST -printf '%P\\n' | sort | xargs sha256sum >MANIFEST") == 0 or die 'MANIFEST';
($status, $out) = switch_back($place);
is($status, 1, 'another count in the copy: stops') or diag($out);
like($out, qr/-?assets\t201.*the restored\s+copy differs from what was saved/s, '... and says which');
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_database WHERE datname ~ '^gallery_revert')), '0', '... and leaves no copy');

# What is left out of a copy to try something on: the two indexes of vectors, with all of their lines, and nothing that looks like them.
my $entry = sub { return "--\n-- Name: $_[0]; Type: $_[1]; Schema: public; Owner: postgres\n--\n\n$_[2];\n\n" };
my $index = sub { return $entry->($_[0], 'INDEX', "CREATE INDEX $_[0] ON public.t USING $_[1]") };
my $row = "-- Name: clip_index; Type: INDEX; Schema: public\n";
my $kept = "SELECT pg_catalog.set_config('search_path', '', false);\nCOPY public.t (a) FROM stdin;\n$row\\.\n"
  . $index->('other_index', 'btree (a)') . "SET default_tablespace = fast;\n\n" . $index->('last_index', 'btree (b)');
my $comment = $entry->('INDEX face_index', 'COMMENT', "COMMENT ON INDEX public.face_index IS 'mine'");
my $dump = $kept =~ s/(?=SET default)/$index->('clip_index', "vchordrq (a) WITH (options='\n[build.internal]\nlists = [1]\n')")
	. $index->('face_index', 'hnsw (a)') . $comment/er;
my %filtered;
foreach my $tried ('', 'tried')
{
	IPC::Run::run([ 'bash', '-c', '. "$0/scripts/preserve-queries.sh"; restored_sql "SET search_path = x;" "$1"', $root, $tried ],
		'<', \$dump, '>', \$filtered{$tried}) or die 'restored_sql';
}
my $path = sub { return $_[0] =~ s/\ASELECT .*\n/SET search_path = x;\n/r };
is($filtered{''}, $path->($dump), 'a whole copy: nothing is left out');
is($filtered{tried} =~ s/^--.*\n|^\n//mgr, $path->($kept) =~ s/^--.*\n|^\n//mgr, 'a copy for a trial: the two indexes are left out');
like($filtered{tried}, qr/^\Q$row\E/m, '... and no row');

# Killed at a question: asked again, not rehearsed again, nothing changed. An answer that was not given does not count.
foreach my $question (qr/Proceed\? \[yes\/no\]/, qr/Type the name/)
{
	$place = installation();
	(undef, $out) = switch_back($place, until => $question, answers => $question =~ /Type/ ? "yes\n" : '');
	like($out, $question, "killed at $question");
	ok(dump_of() eq $place->{before} && files_of($place) eq $place->{files}, '... nothing has changed');
	($status, $out) = switch_back($place, answers => "yes\nno\n");
	is($status, 3, '... and again, with "no" at the end') or diag($out);
	like($out, qr/^ *4\. rehearse +done already\n.*Proceed\?.*Type the name/ms, '... both are asked again');
	ok(dump_of() eq $place->{before} && files_of($place) eq $place->{files}, '... nothing has changed');
}
($status, $out) = switch_back($place);
is($status, 0, '... answered, it goes on to its end') or diag($out);
switched($place, 'killed at a question');

done_testing();
