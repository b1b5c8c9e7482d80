# The reader of a document, for test/t/060_documentation.pl: has a folder with what the document supposes, and types every block of
# it into a terminal, where docker, make and tools/suite are stand-ins (test/lib/bin) in front of the test's own cluster and Redis.
#
#     my $reader = Reader->new($node);
#     my ($ran, $shown, @failures) = $reader->follow('docs/page.md', $text, $reader->place('install'), before => { ... });
package Reader;

use strict;
use warnings FATAL => 'all';

use Documents   qw(blocks);
use GalleryTest qw(root);
use IPC::Run    ();
use PostgreSQL::Test::Utils;
use Terminal;

sub write_file { my ($file, $text) = @_; open my $handle, '>', $file or die "$file: $!"; print $handle $text; close $handle; return }

sub new
{
	my ($class, $node) = @_;
	my $self = bless { node => $node, temp => PostgreSQL::Test::Utils::tempdir(), places => 0 }, $class;
	$self->_start_redis;
	return $self;
}

# Debian's redis-tools have the server's program under another name, and start none by themselves. Without it there is no Redis here.
sub _start_redis
{
	my ($self) = @_;
	my ($server) = grep { -x } map { ("$_/redis-server", "$_/redis-check-rdb") } split /:/, $ENV{PATH};
	my ($client) = grep { -x } map { "$_/redis-cli" } split /:/, $ENV{PATH};
	return if !$server || !$client;
	symlink $server, "$self->{temp}/redis-server" or die $!;
	# A socket's path may be 107 bytes long at most.
	$self->{redis} = PostgreSQL::Test::Utils::tempdir_short() . '/redis';
	my $said = '';
	$self->{redis_server} = IPC::Run::start(
		[ "$self->{temp}/redis-server", '--port', 0, '--unixsocket', $self->{redis}, '--save', '', '--dir', $self->{temp} ],
		'<', \undef, '>&', \$said);
	my $tries = 0;
	while (!-S $self->{redis})
	{
		$self->{redis_server}->pump_nb;
		select undef, undef, undef, 0.1;
		next if ++$tries <= 100 && $self->{redis_server}->pumpable;
		# Packaged in another way here.
		delete $self->{redis};
		return;
	}
	return;
}

# What redis-cli says; undef without Redis.
sub redis
{
	my ($self, @arguments) = @_;
	return undef if !$self->{redis};
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'redis-cli', '-s', $self->{redis}, @arguments ], '>', \$out, '2>', \$err) or die "redis-cli: $err";
	return $out =~ s/\s+\z//r;
}

sub stop
{
	my ($self) = @_;
	return if !$self->{redis_server};
	# Also on the way out of a test that died, whose exit status this must not change.
	local $?;
	my $server = delete $self->{redis_server};
	eval { $server->signal('TERM'); IPC::Run::finish($server) };
	return;
}
sub DESTROY { return $_[0]->stop }

# Where a reader stands, and what is there. For users: the folder of an installation, with this project in it. For developers: the
# project, with a tools/suite that runs nothing.
sub place
{
	my ($self, $kind) = @_;
	my ($root, $node) = (root(), $self->{node});
	my $base = "$self->{temp}/" . ++$self->{places};
	mkdir "$base$_" or die "$base$_: $!" foreach '', '/home', '/tmp', '/folder', '/state', '/state/running', '/state/empty';
	my $folder = "$base/folder";
	write_file("$base/state/running/$_", '') foreach qw(immich-server immich-machine-learning redis database);
	write_file("$base/state/logs", slurp_file("$root/test/logs/missing-migration.log"));
	# A window of 100 columns.
	write_file("$base/state/psqlrc", "\\set QUIET on\n\\pset columns 100\n\\set QUIET off\n");
	if ($kind eq 'project')
	{
		symlink $_, "$folder/" . s{.*/}{}r or die $! foreach grep { !m{/tools$} } glob "$root/*";
		mkdir "$folder/tools" or die $!;
		symlink $_, "$folder/tools/" . s{.*/}{}r or die $! foreach grep { !m{/suite$} } glob "$root/tools/*";
		symlink "$root/test/lib/bin/suite", "$folder/tools/suite" or die $!;
	}
	else
	{
		symlink $root, "$folder/gallery_revert" or die $!;
		mkdir "$folder/my photos$_" or die $! foreach '', '/upload', '/library', '/backups';
		mkdir "$folder/postgres" or die $!;
		write_file("$folder/docker-compose.yml", <<'TEXT');
services:
  immich-server:
    image: registry.example/gallery-server:${IMMICH_VERSION:-release}
    volumes:
      - ${UPLOAD_LOCATION}:/data
  immich-machine-learning:
    image: registry.example/gallery-machine-learning:${IMMICH_VERSION:-release}-cuda
    volumes:
      - model-cache:/cache
  redis:
    image: docker.io/valkey/valkey:9
  database:
    image: ghcr.io/immich-app/postgres:14-vectorchord0.4.3-pgvectors0.2.0
TEXT
		# As packaging/binaries makes it, but for its contents: the cluster has the extension.
		IPC::Run::run([ 'tar', '-czf', "$folder/gallery_revert-1.0.0-pg14-amd64.tar.gz", '-C', $folder, 'docker-compose.yml' ]) or die;
		write_file("$folder/.env", "UPLOAD_LOCATION=\"./my photos\"\nDB_DATA_LOCATION=./postgres\nIMMICH_VERSION=v3.1.0\nDB_PASSWORD=hunter2\n"
			  . "IMMICH_STORAGE_BACKEND=local\nIMMICH_S3_BUCKET=photos\n");
	}
	my ($install) = slurp_file($ENV{TEMP_CONFIG}) =~ m{^dynamic_library_path = '(.*?)/usr/lib/postgresql/}m;
	my %environment = (PATH => "$root/test/lib/bin:$ENV{PATH}", HOME => "$base/home", TMPDIR => "$base/tmp", LC_ALL => 'C.UTF-8',
		DOC_STATE => "$base/state", DOC_PGHOST => $node->host, DOC_PGPORT => $node->port);
	$environment{DOC_REDIS} = $self->{redis} if $self->{redis};
	my @passed = grep { defined $ENV{$_} } qw(PG_MAJOR PG_CONFIG);
	%environment = (%environment, PGPORT => $node->port, GALLERY_REVERT_INSTALL => $install, map { $_ => $ENV{$_} } @passed)
	  if $kind eq 'project';
	return { kind => $kind, base => $base, folder => $folder, environment => \%environment };
}

# Goes through a document. What a state (an entry of the manifest) has: psql, whether the page's SQL is given to a psql that the test
# opens, because the page is no set of steps; errors, what a block is to say although it looks like a failure; before and after, hooks
# by "HEADING/N", the N-th block that is run under that heading; each gets the terminal and, afterwards, what was shown. Returns the
# failures.
sub follow
{
	my ($self, $name, $text, $place, %state) = @_;
	my $terminal = Terminal->new($place->{folder}, %{ $place->{environment} });
	my (@failures, %count, %hooks);
	my ($inside, $opened, $ran) = ('sh', 0, 0);
	$hooks{"before $_"} = $state{before}{$_} foreach keys %{ $state{before} // {} };
	$hooks{"after $_"} = $state{after}{$_} foreach keys %{ $state{after} // {} };
	my $go = sub {
		my ($what, $block, $expected) = @_;
		my $result = $terminal->type($what);
		$inside = $result->{inside};
		@{ $result->{failed} } = grep { !/$expected/ } @{ $result->{failed} } if $expected;
		push @failures, "$name, line $block->{line}: " . join('; ', @{ $result->{failed} }) . "\n$block->{text}--\n$result->{output}"
			if @{ $result->{failed} };
		return $result->{output};
	};
	foreach my $block (blocks($text))
	{
		my $where = "$name, line $block->{line}";
		next if $block->{language} eq 'text';
		if ($block->{language} !~ /^(sh|sql)$/)
		{
			push @failures, "$where: a block is sh, sql or text, not \"$block->{language}\"\n$block->{text}";
			next;
		}
		my $key = "$block->{heading}/" . ++$count{ $block->{heading} };
		my $before = delete $hooks{"before $key"};
		my $after = delete $hooks{"after $key"};
		# A state that can't be made any more, because a block before it went wrong, must not hide that block.
		if ($before && !eval { $before->($terminal); 1 }) { push @failures, "$where: what comes before died: $@"; last }
		if ($block->{language} eq 'sh')
		{
			$go->('\q', $block) if $inside eq 'psql' && $opened;
			if ($inside eq 'psql') { push @failures, "$where: the reader is still in psql\n"; next }
			$opened = 0;
		}
		elsif ($inside ne 'psql')
		{
			if (!$state{psql}) { push @failures, "$where: SQL, but the page has opened no psql\n"; next }
			$opened = 1;
			$go->('psql -X -d immich -h ' . $self->{node}->host, $block);
		}
		if ($block->{language} eq 'sql' && $block->{text} !~ /(?:;|^\\\w.*|\\g\w*)\s*(?:--.*)?\s*\z/m)
		{
			push @failures, "$where: the last statement has no end\n";
			next;
		}
		my $shown = $go->($block->{text} =~ s/\n\z//r, $block, $state{errors}{$key});
		$ran++;
		if ($after && !eval { $after->($shown, $terminal, $block); 1 }) { push @failures, "$where: what comes after died: $@"; last }
	}
	push @failures, "$name: the reader is left in psql\n" if $inside eq 'psql' && !$opened;
	push @failures, "$name: the test supposes a block \"$_\"\n" foreach sort keys %hooks;
	$terminal->close;
	return ($ran, $terminal->shown, @failures);
}


1;
