# What the tests in real containers share: a folder with Immich's or Gallery's compose project in it as a user has it, docker, databases
# in the database's container, and their state as a text that can be compared. tools/test-containers prepares the engine and the images.
package Containers;

use strict;
use warnings FATAL => 'all';

use Cwd            qw(abs_path);
use Exporter       qw(import);
use File::Basename qw(dirname);
use IPC::Run       ();
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(archive change docker engine in_folder load_database project said seconds
  sql state_of stop_project switch_images text_of until_true write_file);

my $root = abs_path(dirname(__FILE__) . '/../..');
my $work = $ENV{GALLERY_REVERT_WORK} // die "tools/test-containers runs this\n";
my ($folder, $projects) = (undef, 0);

sub text_of { my ($file) = @_; open my $handle, '<', $file or die "$file: $!"; local $/; return scalar <$handle> }
sub write_file { my ($file, $text) = @_; open my $handle, '>', $file or die "$file: $!"; print $handle $text; close $handle; return }

# Runs a command; in the project's folder if there is one. Returns its exit status and all that it says.
sub said
{
	my ($command, $input) = @_;
	my $out = '';
	my $given = $input // '';
	IPC::Run::run($command, '<', \$given, '>&', \$out, init => sub { chdir $folder if $folder }, IPC::Run::timeout(1200));
	return ($? >> 8, $out);
}

# Commands of the shell in the project's folder, which have to succeed.
sub in_folder
{
	my ($commands) = @_;
	my ($status, $out) = said([ 'bash', '-e', '-c', $commands ]);
	die "$commands\n$out" if $status;
	return $out;
}
sub docker { my ($status, $out) = said([ 'docker', @_ ]); die "docker @_\n$out" if $status; return $out =~ s/\s+\z//r }

# "restart" or "crash": see test/containers/engine.
sub engine { my ($what) = @_; my ($status, $out) = said([ "$root/test/containers/engine", $what ]); die $out if $status; return }

# The seconds that something took, which the run prints.
sub seconds
{
	my ($what, $code) = @_;
	my $start = time;
	$code->();
	my $took = time - $start;
	diag(sprintf '%s: %.2f s', $what, $took);
	return $took;
}

sub until_true
{
	my ($what, $code, $limit) = @_;
	my $end = time + ($limit // 60);
	until ($code->()) { if (time > $end) { return ok(0, $what) } sleep 0.2 }
	return ok(1, $what);
}

# The archive of packaging/binaries.
sub archive { my ($file) = grep { !/debug/ } glob "$work/binaries/*.tar.gz"; return $file // die "no binaries\n" }

# A folder as a user of Gallery has it, with this project unpacked in it; his home is beside it, under the same name and \".home\".
# The services have the names and images of Immich's own file.
sub project
{
	$folder = "$work/project" . ++$projects;
	mkdir $_ or die "$_: $!" foreach $folder, "$folder/library", "$folder/postgres", "$folder.home";
	system("$root/tools/copy-tree", "$folder/gallery_revert") == 0 or die "copy-tree: $?";
	write_file("$folder/.env", <<'TEXT');
UPLOAD_LOCATION=./library
DB_DATA_LOCATION=./postgres
IMMICH_VERSION=v4.57.0
DB_PASSWORD=hunter2
DB_USERNAME=postgres
DB_DATABASE_NAME=immich
IMMICH_STORAGE_BACKEND=local
TEXT
	write_file("$folder/docker-compose.yml", <<"TEXT");
name: immich
services:
  immich-server:
    container_name: immich_server
    image: ghcr.io/open-noodle/gallery-server:\${IMMICH_VERSION:-release}
    volumes:
      - \${UPLOAD_LOCATION}:/data
    env_file:
      - .env
    depends_on:
      - redis
      - database
    restart: always
  immich-machine-learning:
    container_name: immich_machine_learning
    image: ghcr.io/open-noodle/gallery-ml:\${IMMICH_VERSION:-release}
    env_file:
      - .env
    restart: always
  redis:
    container_name: immich_redis
    image: docker.io/valkey/valkey:9
    restart: always
  database:
    container_name: immich_postgres
    image: $ENV{GALLERY_REVERT_DATABASE_IMAGE}
    environment:
      POSTGRES_PASSWORD: \${DB_PASSWORD}
      POSTGRES_USER: \${DB_USERNAME}
      POSTGRES_DB: \${DB_DATABASE_NAME}
    volumes:
      - \${DB_DATA_LOCATION}:/var/lib/postgresql/data
    shm_size: 128mb
    restart: always
TEXT
	return $folder;
}

# Changes a file of the project's by a function of its text.
sub change { my ($name, $code) = @_; local $_ = text_of("$folder/$name"); $code->(); write_file("$folder/$name", $_); return }

# Step 4 of docs/switching-back.md.
sub switch_images
{
	my ($tag) = @_;
	change('docker-compose.yml', sub {
		s{ghcr\.io/open-noodle/gallery-server}{ghcr.io/immich-app/immich-server};
		s{ghcr\.io/open-noodle/gallery-ml}{ghcr.io/immich-app/immich-machine-learning};
	});
	change('.env', sub { s/^IMMICH_VERSION=.*/IMMICH_VERSION=$tag/m; s/^IMMICH_STORAGE_BACKEND=.*\n//m });
	return;
}

sub stop_project
{
	docker('compose', 'down', '-v', '--remove-orphans', '-t', 2);
	my $left = docker('ps', '-a', '-q');
	docker('rm', '-f', split ' ', $left) if $left;
	system('rm', '-rf', $folder, "$folder.home");
	undef $folder;
	return;
}

# What psql in the database's container answers.
sub sql
{
	my ($database, $statements, $container) = @_;
	my ($status, $out) = said([ qw(docker exec -i), $container // 'immich_postgres', qw(psql -X -q -A -t -v ON_ERROR_STOP=1 -U postgres -d),
			$database ], $statements);
	die "$statements\n$out" if $status;
	return $out =~ s/\s+\z//r;
}

# A new database of the fixture's, 200 assets; product is gallery or immich.
sub load_database
{
	my ($name, $product, $container) = @_;
	my $exists = sql('postgres', "SELECT 1 FROM pg_database WHERE datname = '$name'", $container);
	sql('postgres', "CREATE DATABASE $name", $container) if !$exists;
	my $script = '';
	IPC::Run::run([ "$root/test/fixtures/fixture", '--generation', 'v4.57', '--product', $product, '--assets', 200 ], '>', \$script) or die;
	sql($name, $script, $container);
	return;
}

# Catalog and rows.
sub state_of
{
	my ($database, $container) = @_;
	return sql($database, "\\set schema public\n" . text_of("$root/test/fixtures/listing.sql") . text_of("$root/test/fixtures/rows.sql"),
		$container);
}

1;
