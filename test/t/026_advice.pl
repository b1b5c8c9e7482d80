# The decision after a failed update: the table of test/lib/Advice.pm. Every tag that an advice says will start is checked against
# the two rules of Immich's migrator: no row that the tag does not ship, and rows by timestamp, then name, equal to the first names
# shipped.
use strict;
use warnings FATAL => 'all';

use Advice;
use Fixture;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Twin;

my $node = Twin::start_node('advice', client_min_messages => 'warning');
my $twin = Twin->new($node, 'work');

# What the function says or how it refuses, and the ledger, before and after the statement that mends it.
my $ask = <<'SQL';
CREATE FUNCTION pg_temp.ask(wanted text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text; code text; message text; detail text; hint text;
BEGIN
  SELECT concat_ws('|', advice, coalesce(pin, ''), reason, array_to_string(steps, ' ; ')) INTO result
    FROM tools.immich_recovery_advice(wanted);
  RETURN result;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws('|', 'refused ' || code, message, replace(detail, E'\n', ' '), hint);
END $$;
SQL
my $ledger = q(SELECT 'row ' || name || ',' || timestamp FROM kysely_migrations;);

# Loads one database and answers for many states of it.
sub answers
{
	my ($fixture, $product, @states) = @_;
	my $script = "BEGIN;\n" . Twin::_open_script($fixture, $product) . $ask;
	foreach my $state (@states)
	{
		my ($sql, $wanted, $mend, $has_ledger) = @$state;
		$script .= "\\echo == case\nSAVEPOINT s;\n$sql\nSELECT pg_temp.ask(" . ($wanted eq '' ? 'NULL' : "'$wanted'") . ");\n"
			. ($has_ledger ? $ledger : '') . "\n\\echo == mended\n" . ($mend ? "$mend\n$ledger\n" : '') . "ROLLBACK TO s;\n";
	}
	my ($out, $err, $ok) = $twin->psql('work', $script . "ROLLBACK;\n", schema => 'public');
	die "psql failed: $err\n" if !$ok;
	my (undef, @out) = split /^== case\n/m, $out, -1;
	return @out;
}

# The steps, pasted all at once, beside a .env with a tag and beside one without. docker is a stand-in, which takes the lines that
# come after a command from the terminal where docker would; what matches $FAIL fails. The script that preserves is one as well.
my $folder = PostgreSQL::Test::Utils::tempdir();
mkdir "$folder/$_" or die $! foreach 'bin', 'gallery_revert', 'gallery_revert/scripts';
sub write_file { my ($file, $text) = @_; open my $out, '>', $file or die "$file: $!"; print $out $text; close $out; return }
write_file("$folder/bin/docker", <<'SH');
#!/bin/sh
echo "docker $*" >>commands.log
case $* in "compose exec -T "* | "exec -i "* | "compose exec "*) cat >/dev/null ;; esac
# redis-cli succeeds whatever Redis says.
case $* in *FLUSHDB*) if echo "docker $*" | grep -qE -- "${FAIL:-^$}"; then echo NOAUTH; else echo OK; fi; exit 0 ;; esac
# psql goes on with its next -c unless it is told to stop.
case $* in *"exec immich_postgres psql"*) case $* in *ON_ERROR_STOP=1*) ;; *) exit 0 ;; esac ;; esac
! echo "docker $*" | grep -qE -- "${FAIL:-^$}"
SH
write_file("$folder/gallery_revert/scripts/preserve-state.sh", <<'SH');
#!/bin/sh
echo "gallery_revert/scripts/preserve-state.sh $*" >>commands.log
! echo "preserve $*" | grep -qE -- "${FAIL:-^$}"
SH
chmod 0755, $_ or die $! foreach "$folder/bin/docker", "$folder/gallery_revert/scripts/preserve-state.sh";
my ($environment, %pasted) = ("DB_PASSWORD='a b'\n# a comment\nUPLOAD_LOCATION=./library");
my $gallery_images = "    image: ghcr.io/open-noodle/gallery-server:\${IMMICH_VERSION:-release}\n"
	. "    image: ghcr.io/open-noodle/gallery-ml:\${IMMICH_VERSION:-release}-cuda\n    image: docker.io/valkey/valkey:9\n";

# Pastes a text into a shell. Returns what it says, the commands that ran, and the copies of what was edited (name => text).
sub paste
{
	my ($text, $env, $fail) = @_;
	my $said = '';
	unlink glob "$folder/.env* $folder/docker-compose.yml*";
	write_file("$folder/.env", $env);
	write_file("$folder/commands.log", '');
	write_file("$folder/docker-compose.yml", $gallery_images);
	write_file("$folder/$_", "an older one\n") foreach '.env.before', '.env.before-skip', 'docker-compose.yml.before';
	local $ENV{PATH} = "$folder/bin:$ENV{PATH}";
	local $ENV{FAIL} = $fail // '^$';
	IPC::Run::run([ 'bash' ], '<', \"$text\necho the shell goes on\n", '>&', \$said, init => sub { chdir $folder or die $! });
	my %copies = map { (s{.*/}{}r) => slurp_file($_) }
		grep { !m{/(?:\.env|docker-compose\.yml)$} } glob "$folder/.env* $folder/docker-compose.yml*";
	return ($said, [ split /\n/, slurp_file("$folder/commands.log") =~ s/["']//gr ], \%copies);
}
# The commands in a text that the stand-ins write down.
sub commands_in { return map { s/["']//gr } map { s/ (?:&&|\| tee .*)$//r } grep { /^(?:docker|gallery_revert)/ } @_ }

sub pasted
{
	my ($name, $pin, $advice, @steps) = @_;
	my $text = join "\n", @steps;
	return if $pasted{$text}++;
	my @all = commands_in(map { s/ &&$//r } @steps);
	# What cannot be done by itself stops the rest, until it is pasted.
	my ($by_hand) = grep { $steps[$_] =~ /^\{ echo/ } 0 .. $#steps;
	my @parts = defined $by_hand ? ([ @steps[ 0 .. $by_hand ] ], [ @steps[ $by_hand + 1 .. $#steps ] ]) : (\@steps);
	if (defined $by_hand)
	{
		my (undef, $ran) = paste($text, $environment);
		is_deeply($ran, [ commands_in(@{ $parts[0] }) ], "$name: pasted at once, nothing comes before what is done by hand");
	}
	foreach my $before ("IMMICH_VERSION=v0.0.1\n$environment", $environment)
	{
		my ($said, $ran, $copies);
		my @ran;
		foreach my $part (@parts)
		{
			($said, $ran, $copies) = paste(join("\n", @$part) =~ s/ &&\z//r, $before);
			push @ran, @$ran;
			unlike($said, qr/: (?:command not found|No such file|syntax error)/, "$name: no step fails");
			like($said, qr/^the shell goes on$/m, "$name: and none waits for more");
		}
		is_deeply(\@ran, \@all, "$name: no step takes the next ones away");
		is($copies->{$_}, "an older one\n", "$name: the older $_ stays") foreach '.env.before', '.env.before-skip', 'docker-compose.yml.before';
		next if $pin eq '';
		is(slurp_file("$folder/.env"), "$environment\nIMMICH_VERSION=$pin\n", "$name: pins, once, and keeps the rest");
		my ($copy) = $said =~ /^\.env was copied to (\.env\.before-\d{4}-\d\d-\d\d-\w{6})$/m;
		is($copies->{ $copy // '' }, $before, "$name: .env as it was has a name of its own");
	}
	# Whichever fails, nothing after it runs and no file is changed that would have been later.
	foreach my $i (0 .. $#all)
	{
		next if $all[$i] =~ /logs/ && $i == $#all;
		my $fail = $all[$i] =~ /preserve-state/ ? '^preserve' : '^' . quotemeta($all[$i]) =~ s/\\ /./gr . '$';
		next if defined $by_hand && !grep { $_ eq $all[$i] } commands_in(@{ $parts[0] });
		$fail = '^docker.*' . ($all[$i] =~ /(SELECT \w+|\w+_plan|CREATE|DROP)/)[0] if $all[$i] =~ /psql/;
		my ($said, $ran) = paste($text, $environment, $fail);
		is_deeply($ran, [ @all[ 0 .. $i ] ], "$name: where \"" . substr($all[$i], 0, 60) . '" fails, nothing comes after it');
		like($said, qr/^the shell goes on$/m, "$name: the reader's shell goes on");
		is(slurp_file("$folder/.env"), $environment, "$name: .env is as it was") if !grep { /pull/ } @all[ 0 .. $i ];
	}
	unlike($text, qr/dropdb|DROP DATABASE/, "$name: no step drops the database");
	like($text, qr/^(?:\{ )?echo 'now restore: .*recovery\.md, step 6b/m, "$name: the page that restores") if $advice eq 'restore_backup';
	return if $advice ne 'revert_gallery';
	my ($said, undef, $copies) = paste($text, $environment);
	is(slurp_file("$folder/docker-compose.yml"), "    image: ghcr.io/immich-app/immich-server:\${IMMICH_VERSION:-release}\n"
		. "    image: ghcr.io/immich-app/immich-machine-learning:\${IMMICH_VERSION:-release}-cuda\n"
		. "    image: docker.io/valkey/valkey:9\n", "$name: Immich's images");
	my ($copy) = $said =~ /^docker-compose\.yml was copied to (\S+)$/m;
	is($copies->{ $copy // '' }, $gallery_images, "$name: docker-compose.yml as it was has a name of its own");
	like($text, qr/immich-app.*IMMICH_VERSION=.* pull .*SELECT gallery_revert\(\).*DROP EXTENSION.*FLUSHDB.* up -d/s, "$name: in this order");
	return;
}

my %seen;
sub judge
{
	my ($row, $out) = @_;
	my ($name, undef, $wanted, $advice, $pin, $reason, $mend) = @$row;
	my ($before, $after) = split /^== mended\n/m, $out, -1;
	my ($answer) = split /\n/, $before;
	my ($said, $said_pin, $said_reason, $steps) = split /\|/, $answer, 4;
	my @before = $before =~ /^row (.*)/mg;
	$seen{$advice}++;
	is($said, $advice, "$name: $advice") or diag($answer);
	return like($answer, $reason, "$name: says why") if $advice =~ /^refused/;
	is($said_pin, $pin, "$name: pin $pin");
	like($said_reason, $reason, "$name: says why") if $reason;
	like($steps // '', qr/^docker compose rm -sf immich-server/, "$name: removes the server first");
	pasted($name, $pin, $advice, split / ; /, $steps // '');
	if ($advice eq 'restore_backup')
	{
		# An empty ledger it accepts; what refuses then is the first migration.
		isnt(complaint($pin, @before), '', "$name: the migrator refuses $pin as the database is") if @before;
		my ($forward) = $said_reason =~ /go on with (v[\d.]+)/ or return;
		is(complaint($forward, @before), '', "$name: it accepts $forward");
	}
	elsif ($mend)
	{
		# A ledger of Gallery's own beside Immich's does not disturb the migrator; the plugin stops the server.
		isnt(complaint($pin, @before), '', "$name: the migrator refuses $pin as the database is") if $name !~ /split ledger/;
		my @after = $after =~ /^row (.*)/mg;
		is(complaint($pin, @after), '', "$name: after what the steps say it accepts $pin");
		like($after, qr/^returned \Q$pin\E$/m, "$name: and the statement returns that tag");
		my ($statement) = $mend =~ /tools\.(\w+\(\))/;
		like($steps, qr/SELECT \Q$statement\E/, "$name: the steps name $statement");
	}
	else
	{
		is(complaint($pin, @before), '', "$name: the migrator accepts $pin");
	}
	# "starts with Immich X or later" is about the first one that does.
	if ($said_reason =~ /starts with Immich (v[\d.]+) or later/)
	{
		my $first = $1;
		my ($place) = grep { $tags[$_] eq $first } 0 .. $#tags;
		is(complaint($first, @before), '', "$name: $first is accepted");
		isnt(complaint($tags[ $place - 1 ], @before), '', "$name: $tags[$place - 1] is not") if $place;
	}
}

my @answers = answers(Fixture->new(generation => 'v5.8', rows => 0), 'immich',
	map { [ $_->[1], $_->[2], $_->[6], $_->[1] !~ /DROP TABLE kysely/ ] } @table);
judge($table[$_], $answers[$_]) foreach 0 .. $#table;
foreach my $row (@gallery)
{
	my ($out) = answers(Fixture->new(generation => 'v4.57', assets => 200, %{ $row->[1] }), 'gallery', [ '', $row->[2], $row->[6], 1 ]);
	judge($row, $out);
}

# Every release, as it is, and every one asked for on every count: the same two rules decide.
my @counts = sort { $a <=> $b } keys %{ { map { $_ => 1 } values %ships } };
my @grid = answers(Fixture->new(generation => 'v5.8', rows => 0), 'immich',
	map {
		[ state_of($_) . "SELECT 'ask ' || t || '|' || pg_temp.ask(t) FROM unnest(ARRAY['" . join("','", @tags) . "']) AS t;", '', '', 1 ]
	} @counts);
my ($pairs, @wrong) = (0);
foreach my $i (0 .. $#counts)
{
	my @rows = $grid[$i] =~ /^row (.*)/mg;
	while ($grid[$i] =~ /^ask (v[\d.]+)\|(\w+)\|(v[\d.]+)\|/mg)
	{
		my ($tag, $advice, $pin) = ($1, $2, $3);
		$pairs++;
		my $starts = complaint($tag, @rows) eq '';
		# The tag that a revert returns for such a database starts.
		my $expected = $ships{$tag} == $counts[$i] ? 'none' : !$starts ? 'restore_backup'
			: $tag eq Twin::expected_target($counts[$i], 'v1.132.0') ? 'fix_forward' : 'roll_back';
		push @wrong, "$counts[$i] migrations, $tag: $advice, pin $pin"
			if $advice ne $expected || ($advice ne 'restore_backup' && complaint($pin, @rows) ne '');
	}
}
is($pairs, @counts * @tags, 'every release on every number of migrations');
is_deeply(\@wrong, [], 'the advice for each follows from what the migrator accepts');

note(scalar(@table) + @gallery, ' states and wanted tags, ', $pairs, ' pairs of count and tag: ',
	join ', ', map { "$seen{$_} $_" } sort keys %seen);
cmp_ok(@table + @gallery, '>=', 30, 'at least 30 decisions');
done_testing();
