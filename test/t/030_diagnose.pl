# scripts/diagnose.sh and the facts that it reads, scripts/causes.tsv: every log of test/logs gets its causes in their order, with every
# awk of this machine; each phrase is found, and none where it is only a name that somebody gave; docs/recovery.md has the same table.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use IPC::Run ();
use Test::More;
use Time::HiRes qw(time);

my $root = abs_path(dirname(__FILE__) . '/../..');
my $script = "$root/scripts/diagnose.sh";
my $folder = tempdir(CLEANUP => 1);

sub diagnose
{
	my ($input, @args) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'sh', $script, @args ], '<', \$input, '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

sub slurp
{
	my ($file) = @_;
	open my $fh, '<:raw', $file or die "$file: $!";
	local $/;
	return scalar <$fh>;
}

# The facts.
my @names = qw(class name from level past phrase unless follows sure danger title log why next docs);
my @facts;
foreach my $line (split /\n/, slurp("$root/scripts/causes.tsv"))
{
	next if $line =~ /^#/;
	my @fields = split /\t/, $line, -1;
	is(scalar @fields, scalar @names, "fields of $fields[1]") or next;
	my %fact;
	@fact{@names} = @fields;
	push @facts, \%fact;
}
cmp_ok(scalar @facts, '>=', 90, 'causes read');
my %name_of = map { $_->{title} => $_->{name} } @facts;
my %fact_of = map { $_->{name} => $_ } @facts;
is(scalar keys %name_of, scalar @facts, 'each title is there once');
is(scalar keys %fact_of, scalar @facts, 'each name is there once');
my @classes = do { my $last = ''; map { $_->{class} eq $last ? () : ($last = $_->{class}) } @facts };
is_deeply(\@classes, [qw(damage room machine database connection extension migrations restore files empty warning consequence)],
	'classes stand together, damage first, what only follows last');
my %known = (level => qr/^(loud|all|any)$/, past => qr/^(over|stays)$/, sure => qr/^(certain|likely|perhaps)$/,
	danger => qr/^(cold|preserve|none)$/, from => qr/^(?:(?:any|server|database|ml|redis|proxy|docker|client)(?:,|$))+$/,
	phrase => qr/^(?!.*[^\[]\{)/);
foreach my $fact (@facts)
{
	like($fact->{$_}, $known{$_}, "$fact->{name}: $_") foreach sort keys %known;
	foreach my $other ($fact->{follows} eq '-' ? () : split / /, $fact->{follows})
	{
		ok($fact_of{$other} || (grep { "\@$_" eq $other } @classes), "$fact->{name}: follows $other");
	}
	# Nothing that changes the database, unless what is there is preserved first; and never what destroys it. Containers hold nothing.
	is($fact->{danger} eq 'none' ? $fact->{next} =~ /(ALTER|DROP|REINDEX|UPDATE|DELETE|CREATE|immich_repair|password)/ ? $1 : '' : '', '',
		"$fact->{name}: preserved first");
	unlike($fact->{next}, qr/resetwal|prune|down -v|(?<!-)(?<!docker compose )\brm |volume rm|chown|chmod/,
		"$fact->{name}: no command that destroys");
	unlike("$fact->{why} $fact->{docs}", qr/(?<!Do not run |never `)pg_resetwal/, "$fact->{name}: pg_resetwal is only warned of");
}
like($fact_of{'disk-full'}{why}, qr/Never make it with "docker system prune --volumes"/, 'a full disk: the warning');

sub causes { return map { /^\d+\. (.*?)(?:  \[over.*)?$/ ? $name_of{$1} // $1 : () } split /\n/, $_[0] }

# Each log with its causes. A table for the reader: whether the first cause is right, one that only follows, none, or another.
my %expected = map { my ($log, $names) = split /\t/, $_, -1; $log => [ split / /, $names // '' ] }
  grep { !/^#/ } split /\n/, slurp("$root/test/logs/expected.tsv");
my %count = map { $_ => 0 } qw(right generic missed misleading);
my %reports;
foreach my $log (sort keys %expected)
{
	my $file = "$root/test/logs/$log.log";
	my ($status, $out, $err) = diagnose('', $file);
	my @found = causes($out);
	my @wanted = @{ $expected{$log} };
	$reports{$log} = $out;
	is($status, @wanted ? 0 : 1, "$log: exit status");
	is($err, '', "$log: nothing on standard error");
	is_deeply(\@found, \@wanted, "$log: causes");
	is((diagnose(slurp($file)))[1], $out, "$log: the same from standard input");
	unlike($out, qr/[\x00-\x09\x0b-\x1f\x7f]/, "$log: no control characters");
	ok((!grep { length > 420 } split /\n/, $out), "$log: no endless lines");
	my ($got, $want) = ($found[0] // '', $wanted[0] // '');
	my $only_follows = $got ne '' && ($fact_of{$got}{class} // '') eq 'consequence';
	$count{ $got eq $want ? 'right' : $got eq '' ? 'missed' : $only_follows ? 'generic' : 'misleading' }++;
}
note(sprintf "%d logs: %d right, %d generic, %d missed, %d misleading", scalar keys %expected, @count{qw(right generic missed misleading)});
is_deeply(\%count, { right => scalar keys %expected, generic => 0, missed => 0, misleading => 0 }, 'every first cause is the right one');
cmp_ok(scalar keys %expected, '>=', 80, 'enough logs');
is_deeply([ sort map { s/.*\///r =~ s/\.log$//r } glob "$root/test/logs/*.log" ], [ sort keys %expected ], 'every log has its causes');

# What else the reports say.
my %texts = (
	'missing-migration' => [ qr/line 8 \(6 times\)/, qr/"SELECT \* FROM immich_recovery_advice\('v3\.1\.0'\)"$/m,
		qr/^    gallery_revert\/scripts\/preserve-state\.sh --docker immich_postgres.*next \(after the copy above\)/ms,
		qr/needs the extension: docs\/recovery\.md, step 4/,
		qr/docker compose logs --no-color >> immich\.log &&\n    docker compose rm -sf immich-server &&/ ],
	'missing-migration-gallery' => [qr/1772240000000-CreateSharedSpaceTables\s+looks\s+like\s+one\s+of\s+Noodle\s+Gallery/],
	'order-fault' => [qr/"SET gallery\.revert_token = 'i_accept_data_loss'" -c "SELECT immich_repair_migration_order\(\)"/],
	'permission' => [qr/schemaname = 'public'/],
	'missing-relation' => [qr/line 11:.*personGroupId/s],
	'password' => [qr/\\password postgres/],
	'connection' => [qr/line 2 \(2 times\)/],
	'no-database' => [qr/\\l\+/],
	'upgrade-path' => [qr/v1\.132\.3/],
	'schema-drift' => [qr/schema-check into psql/],
	'gallery-plugin' => [qr/gallery_revert_plan\(\)/],
	'half-update' => [qr/one transaction/],
	'moving-tag' => [ qr/v3\.2\.4 \(line 1\), then v3\.3\.0 \(line 13\)/, qr/moving tag/ ],
	'recovered' => [qr/\[over: the server started at line 16\]/],
	'other-service' => [qr/The server did start \(line 4\)/],
	'vectorchord' => [qr/This follows from 1\./],
	'timeout' => [qr/3 times/],
	'redis-version' => [qr/Redis does not answer\n.*\n.*\n   This follows from 1\./],
	'redis-password' => [qr/2 times/],
	'unknown-host' => [qr/line 2:/],
	'healthy' => [ qr/No known cause in these 12 lines; the server started at line 12/,
		qr/reports no error.*"It starts, and the library is empty or old"/s ],
	# The misleading answer of once: after damage nothing is "as it was before".
	'bad-page' =>
	  [ qr/\A(?!.*half an update is no update).*cp -a .*A page of the database.*The update failed.*\n   This follows from 1\./s ],
	'no-checkpoint' => [ qr/Do\s+not\s+run\s+pg_resetwal/, qr/docker compose stop &&.*1\. The database cannot replay/s ],
	'shm' => [ qr/not\s+the\s+disk/, qr/shm_size: 128mb/ ],
	'no-vector' => [ qr/14-vectorchord0\.4\.3-pgvectors0\.2\.0/, qr/preserve-state/ ],
	'old-folder' => [qr/\A(?!.*preserve-state).*pg_control/s],
	'unknown-error' => [ qr/The last errors in it:\n.*geodata.*\n.*a message that no table/,
		qr/of: the Immich server \(7\), the database \(1\)/,
		qr/immich-app\/immich\/discussions/ ],
	'proxy-only' => [ qr/of: a proxy \(2\)/, qr/2283/ ],
	'ml-only' => [qr/of: machine learning \(\d\)/]);
foreach my $log (sort keys %texts)
{
	like($reports{$log}, $_, "$log: text") foreach @{ $texts{$log} };
}
unlike($reports{recovered}, qr/next:/, 'no command for what is over');
unlike($reports{hostile}, qr/hunter2|\[31m/, 'passwords and colours of the log are not repeated');
foreach my $secret (
	'postgres://immich:abc/hunter2@database', 'postgres://immich:p@ss/hunter2@database:5432/immich',
	'{"user":"immich","password":"hun hunter2,x"}', q({\"password\":\"hun hunter2\"}),
	q(DB_PASSWORD='my hunter2 word'), 'DB_PASSWORD="my hunter2 word"',
	"password: 'it\\'s hunter2', next", 'PASSWORD=hunter2,hunter2;hunter2',
	q(DB_PASSWORD='cut hunter2))
{
	my (undef, $said) = diagnose("PostgresError: password authentication failed for user \"immich\" $secret\n");
	like($said, qr/^     PostgresError: password authentication failed/m, 'the line is shown');
	unlike($said, qr/hunter2|\bword\b/, "without its password: $secret");
}
my $nasty = "\e]0;title\a\e[2J\e[31m\xc2\x9b31m\xe2\x80\xae\x01\x7fimmich";
my (undef, $plain) = diagnose("PostgresError: database \"$nasty\" does not exist\n");
like($plain, qr/does not exist/, 'a line of escape sequences is shown');
unlike($plain, qr/[\x00-\x09\x0b-\x1f\x7f]|\xc2\x9b|\xe2\x80\xae/, 'without them');

# Each phrase is found as it stands in the table, with the line that its kind of log makes of it.
my %line_of = (
	database => '2026-11-20 06:12:04.285 UTC [91] ERROR:  %s',
	server => '[Nest] 7  - 11/20/2026, 7:12:03 AM   ERROR [Microservices:DatabaseService] Error: %s',
	proxy => '2026/11/20 06:13:01 [error] 31#31: *7 %s', client => 'psql:<stdin>:12: ERROR:  %s',
	any => 'immich_postgres | 2026-11-20 06:12:04.285 UTC [91] ERROR:  %s');
my @cases;
foreach my $fact (@facts)
{
	foreach my $phrase (split m{ // }, $fact->{log})
	{
		my $text = $phrase =~ s/ \[\d+ days earlier\]$//r;
		my $shape = $line_of{ $fact->{from} =~ s/,.*//r };
		$shape =~ s/ERROR:/LOG:/ if $fact->{name} eq 'old-folder';
		my $line = sprintf $shape, $text;
		push @cases, { fact => $fact, text => $text, line => $line };
		is_deeply([ causes((diagnose("$line\n"))[1]) ], [ $fact->{name} ], "found: $phrase");
	}
}

# A name that somebody gave to a photo, an album, a person is no message, wherever a program repeats it.
foreach my $case (@cases)
{
	next if $case->{fact}{name} eq 'new-database';    # starts of their own, not words within
	my $name = $case->{text};
	my $hostile = join "\n",
	  "[Nest] 7  - 11/20/2026, 7:12:03 AM     LOG [Microservices:MediaService] Generated preview of /data/library/admin/2019/$name.jpg",
	  "[Nest] 7  - 11/20/2026, 7:12:03 AM     LOG [Api:AlbumService] Album $name was made",
	  "[Nest] 7  - 11/20/2026, 7:12:03 AM VERBOSE [Api:X] $name",
	  "[Nest] 7  - 11/20/2026, 7:12:03 AM   ERROR [Microservices:MediaService] Error: Input file is bad: '/data/library/a b/$name.HEIC'",
	  "[Nest] 7  - 11/20/2026, 7:12:03 AM    WARN [Microservices:MetadataService] $name.mov has no date",
	  "immich_server | [Nest] 7  - 11/20/2026, 7:12:03 AM   ERROR [Microservices:M] ffprobe /data/upload/x/$name.MP4: no streams",
	  "immich_postgres | 2026-11-20 06:12:04.285 UTC [91] ERROR:  invalid input syntax for type uuid: \"$name\"",
	  "immich_postgres | 2026-11-20 06:12:04.285 UTC [91] STATEMENT:  insert into person (name) values ('$name')",
	  "immich_postgres | \t$name",
	  "immich_postgres | 2026-11-20 06:12:04.285 UTC [91] DETAIL:  Key (value)=($name) already exists.",
	  "immich_postgres | 2026-11-20 06:12:04.285 UTC [91] CONTEXT:  COPY person, line 3: \"$name\"",
	  "nginx | 10.0.0.7 - - [20/Nov/2026:06:13:01 +0000] \"GET /api/search?q=$name HTTP/1.1\" 200 12", '';
	my ($status, $out) = diagnose($hostile);
	is_deeply([ causes($out) ], [], "only a name: $name") or diag $out;
}

# A warning is not the reason of a failure.
{
	my (undef, $out) = diagnose(slurp("$root/test/logs/collation.log") . slurp("$root/test/logs/half-update.log"));
	is_deeply([ causes($out) ], [qw(collation half-update)], 'a warning and a failure');
	unlike($out, qr/This follows/, 'the failure does not follow from the warning');
}

# Nor does a name end a cause, or name a release.
{
	my $stamp = '[Nest] 7  - 11/20/2026, 7:12:03 AM     LOG';
	my (undef, $out) = diagnose("PostgresError: password authentication failed for user \"immich\"\n"
		  . "$stamp [Microservices:MediaService] Made /data/x/Immich Server is listening.jpg\n"
		  . "$stamp [Api:AlbumService] Album: LOG [Api:Bootstrap] Immich Server is listening\n"
		  . "$stamp [Api:AlbumService] Initializing Immich v9.9.9\n");
	unlike($out, qr/over: the server started|v9\.9\.9/, 'no start and no release by a name') or diag $out;
	(undef, $out) = diagnose("PostgresError: password authentication failed for user \"immich\"\n"
		  . "{\"level\":\"log\",\"pid\":7,\"message\":\"Immich Server is listening on http://[::1]:2283\"}\n");
	like($out, qr/over: the server started at line 2/, 'a start in JSON');
}

# Two causes in one log: the report has the order of the table, whatever that of the log. All pairs, through one shell.
{
	my @one = map { $_->{line} } do { my %once; grep { !$once{ $_->{fact}{name} }++ } @cases };
	is(scalar @one, scalar @facts, 'a line of each');
	my ($pairs, $list) = (0, '');
	foreach my $i (0 .. $#one)
	{
		foreach my $k ($i + 1 .. $#one)
		{
			open my $log, '>', "$folder/$i-$k.log" or die $!;
			print $log "$one[$k]\n$one[$i]\n";
			close $log;
			$pairs++;
		}
	}
	open my $run, '-|', 'sh', '-c', 'cd "$0" && for f in *-*.log; do echo "== $f"; sh "$1" "$f"; done', $folder, $script or die $!;
	my %said;
	while (my $line = <$run>)
	{
		$list = $1 if $line =~ /^== (.*)\.log$/;
		push @{ $said{$list} }, $name_of{$1} // $1 if $line =~ /^\d+\. (.*)$/;
		push @{ $said{$list} }, 'follows' if $line =~ /^   This follows from 1\.$/;
	}
	close $run;
	my @wrong;
	foreach my $pair (sort keys %said)
	{
		my ($first, $second) = map { $facts[$_] } split /-/, $pair;
		my @names = grep { $_ ne 'follows' } @{ $said{$pair} };
		my %reasons = map { $_ => 1 } split / /, $second->{follows};
		my $follows = $reasons{ $first->{name} } || $reasons{"\@$first->{class}"};
		push @wrong, "$pair: @{ $said{$pair} }"
		  if "@names" ne "$first->{name} $second->{name}" || ($follows xor @names != @{ $said{$pair} });
	}
	is(scalar keys %said, $pairs, "$pairs pairs");
	is_deeply(\@wrong, [], 'each in its order');
	unlink glob "$folder/*.log";
}

# docker takes the lines that are pasted after a command with -i and without a terminal.
my $all = join '', values %reports;
unlike($all, qr/exec -i /, 'no command takes the lines pasted after it');
unlike($all, qr/@[a-zA-Z]+@/, 'every name of a command is replaced');
foreach my $command (do { my %once; grep { !$once{$_}++ } $all =~ /^ +(ls -l.*)$/mg })
{
	my $place = tempdir(CLEANUP => 1);
	mkdir $_ or die $! foreach "$place/my photos", "$place/my photos/backups";
	foreach my $quote ('', q("), q('))
	{
		open my $env, '>', "$place/.env" or die $!;
		print $env "UPLOAD_LOCATION=$quote$place/my photos$quote\r\nDB_DATA_LOCATION=$quote$place/my photos$quote\n";
		close $env;
		open my $compose, '>', "$place/docker-compose.yml" or die $!;
		IPC::Run::run([ 'sh', '-c', $command ], '<', \undef, '>&', \my $listed, init => sub { chdir $place or die $! });
		is($?, 0, "$command, in quotes <$quote>") or diag $listed;
	}
}

# Without an exact tag in the log the function is asked without one.
like((diagnose("Initializing Immich v3\nMigrations failed: Error\n"))[1],
	qr/immich_recovery_advice\(NULL::text\)/, 'no exact tag, none is given');
# A server that was switched to and fro a hundred times: the first and the last images are enough.
my (undef, $many) = diagnose(join '', map { "Initializing Immich v3.0.$_\n" } 1 .. 100);
my $ends = qr/v3\.0\.1 \(line 1\), then 96 others, then v3\.0\.98 \(line 98\), then .* then v3\.0\.100 \(line 100\)/;
like($many, qr/^Server image in this log: $ends\.$/m, 'a long history is cut');

# Long logs, made here: the cause in the midst of ten thousand lines, harmless or not; one line of a million characters.
my @noise = map {
	my $service = ('immich_server            | [Nest] 7  - 11/20/2026, 7:12:03 AM     LOG [Microservices:M] Made /data/thumbs/%d.webp',
		'immich_postgres          | 2026-11-20 06:12:04.285 UTC [91] ERROR:  duplicate key value violates unique constraint "x_%d"',
		'immich_server            | Error: something that went wrong, number %d',
		'immich_redis             | 1:M 20 Nov 2026 06:12:03.285 * %d changes in 60 seconds. Saving...')[ $_ % 4 ];
	sprintf "$service\n", $_
} 1 .. 10_000;
my $cause = "immich_server | microservices worker error: Error: No vector extension found. Available extensions: vchord, vector\n";
my $long = join '', @noise[ 0 .. 4_999 ], $cause, @noise[ 5_000 .. $#noise ];
my $endless = "Error: x" . 'y' x 1_000_000 . "\n$cause";

# Every awk of this machine says the same; the small ones are those of NAS boxes and of macOS.
my @awks = grep { system('sh', '-c', "command -v $_ >/dev/null 2>&1") == 0 } qw(mawk gawk busybox original-awk);
cmp_ok(scalar @awks, '>=', 1, "awks: @awks");
foreach my $awk (@awks)
{
	mkdir "$folder/$awk";
	open my $shim, '>', "$folder/$awk/awk" or die $!;
	print $shim "#!/bin/sh\nexec $awk ", $awk eq 'busybox' ? 'awk ' : '', "\"\$@\"\n";
	close $shim;
	chmod 0755, "$folder/$awk/awk" or die $!;
	local $ENV{PATH} = "$folder/$awk:$ENV{PATH}";
	my @other = grep { (diagnose('', "$root/test/logs/$_.log"))[1] ne $reports{$_} } sort keys %expected;
	is_deeply(\@other, [], "$awk: the same reports");
	my $start = time;
	my (undef, $said) = diagnose($long);
	my $seconds = time - $start;
	is_deeply([ causes($said) ], ['no-vector'], "$awk: found in ten thousand lines");
	cmp_ok($seconds, '<', 5, sprintf "$awk: in %.2f s", $seconds);
	$start = time;
	(undef, $said) = diagnose($endless);
	is_deeply([ causes($said) ], ['no-vector'], "$awk: found after a line of a million characters");
	cmp_ok(time - $start, '<', 5, "$awk: at once");
	is_deeply([ causes((diagnose(join '', @noise))[1]) ], [], "$awk: nothing in the noise");
}

my ($status, $out, $err) = diagnose('', '/nonexistent/immich.log');
is($status, 2, 'missing file: exit status');
like($err, qr/cannot read the file: \/nonexistent\/immich\.log/, 'missing file: named');
($status, $out, $err) = diagnose('', '--frobnicate');
is($status, 2, 'unknown option: exit status');
($status, $out) = diagnose('', '--help');
is($status, 0, 'help: exit status');
like($out, qr/^usage: diagnose\.sh/, 'help: text');
($status, $out) = diagnose('');
is($status, 1, 'empty log: exit status');
like($out, qr/log is empty/, 'empty log: said');

# Both files are all that it needs, wherever they are.
mkdir "$folder/a place=b" or die $!;
copy($script, "$folder/a place=b/diagnose.sh") or die $!;
my $moved = "$folder/a place=b/diagnose.sh";
IPC::Run::run([ 'sh', $moved ], '<', \$cause, '>', \$out, '2>', \$err);
is($? >> 8, 2, 'without the facts: exit status');
like($err, qr/causes\.tsv \(it belongs beside this script\)/, 'without the facts: said');
copy("$root/scripts/causes.tsv", "$folder/a place=b/causes.tsv") or die $!;
IPC::Run::run([ 'sh', $moved ], '<', \$cause, '>', \$out, '2>', \$err);
is_deeply([ causes($out) ], ['no-vector'], 'in another place');

# The words by which a missing migration is called Gallery's fit all of Gallery's names and none of Immich's.
my @gallery = slurp("$root/src/manifest/gallery_migrations.inc") =~ /^\{"(\d+-[^"]+)"/mg;
my @immich = slurp("$root/src/manifest/immich_migrations.inc") =~ /^"(\d+-[^"]+)"/mg;
cmp_ok(scalar @gallery, '>=', 100, 'Gallery names read');
cmp_ok(scalar @immich, '>=', 100, 'Immich names read');
my $line = "Error: corrupted migrations: previously executed migration %s is missing\n";
(undef, $out) = diagnose(join '', map { sprintf $line, $_ } @gallery, @immich);
my %named = map { $_ => 1 } do { (my $t = $out) =~ s/\s+/ /g; $t =~ /The name (\S+) looks like/g };
is_deeply([ grep { !$named{$_} } @gallery ], [], 'every Gallery name is recognised');
is_deeply([ grep { $named{$_} } @immich ], [], 'no Immich name is taken for Gallery');

# The runbook has the same table, and the places that it and the facts lead to.
my $runbook = slurp("$root/docs/recovery.md");
my ($table) = $runbook =~ /^## What the log says\n\n(.*)\z/ms;
is($table, scalar `'$root/tools/causes'`, 'docs/recovery.md has the table (tools/causes --write)');
my %anchors = map { my $a = lc; $a =~ s/[^\w -]//g; $a =~ s/ /-/g; ("#$a" => 1) } $runbook =~ /^#+ (.*)$/mg;
my @links = map { $_->{docs} =~ /\]\((#[^)]+)\)/g } @facts;
is_deeply([ grep { !$anchors{$_} } @links ], [], 'every link of the facts leads somewhere');
my @named_parts = slurp($script) =~ /docs\/recovery\.md, \\"([^\\]+)\\"/g;
is_deeply([ grep { index($runbook, "## $_\n") < 0 } @named_parts ], [], 'and every part that the script names is there');

done_testing();
