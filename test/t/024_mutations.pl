# The proof before commit. A revert is hit by one random fault, made inside its own transaction after its last statement (by a
# trigger on the table that it writes to last) or after its DDL (by an event trigger, where no row step follows), before its
# verification: it must fail with 55000 and name what is wrong. gallery_revert_check() must name the same fault on a stock database.
# GALLERY_REVERT_MUTATIONS=N makes N faults (500), GALLERY_REVERT_SEED=S draws them by seed S (1).
use strict;
use warnings FATAL => 'all';

use Fixture;
use Mutations qw(@kinds);
use Test::More;
use Twin qw(in_parallel);

my $wanted = $ENV{GALLERY_REVERT_MUTATIONS} || 500;
my $seed = $ENV{GALLERY_REVERT_SEED} || 1;
note("seed $seed");

# Each of them has its share of faults; one lives in a schema of its own name.
my @fixtures = (
	{ generation => 'v4.3.3' }, { generation => 'v4.57' }, { generation => 'v5.2', schema => 'my "photos"' }, { generation => 'v5.6' },
	{ generation => 'v5.7' }, { generation => 'v5.9' });

sub generator
{
	my ($state) = @_;
	$state = ($state * 2654435761 + 97) % 4294967296;
	return sub {
		my ($below) = @_;
		$state = ($state * 1664525 + 1013904223) % 4294967296;
		return int($state / 4294967296 * $below);
	};
}

# Tries faults on the stock database. Returns for each what the check says of it, by name; nothing where it cannot be made.
sub try_on_stock
{
	my ($twin, $fixture, @mutations) = @_;
	my $script = "BEGIN;\n" . Twin::_open_script($fixture, 'immich') . "\\set ON_ERROR_STOP 0\n";
	foreach my $mutation (@mutations)
	{
		$script .= "\\echo == case\nSAVEPOINT s;\n$mutation->{sql};\n"
			. q(SELECT '--' || name || E'\n' || status || E'\n' || detail FROM tools.gallery_revert_check() WHERE status <> 'ok';)
			. "\n\\echo == end\nROLLBACK TO s;\n";
	}
	my ($out, $err, $ok) = $twin->psql($twin->{database}, $script . "ROLLBACK;\n", schema => $fixture->{schema});
	die "psql failed: $err\n" if !$ok;
	my (undef, @out) = split /^== case\n/m, $out, -1;
	return map { /^--/m ? { map { /^(.*)\n/ ? ($1 => $_) : () } split /^--/m } : undef } @out;
}

my $hit = 0;

# The statements that have the fault made at the right moment.
sub ambush
{
	my ($mutation, $last_table, $last_ddl, $ddl_is_late) = @_;
	# A table cannot be altered by its own trigger, and one that steps still write to must stay as they need it.
	my $ledger = $mutation->{sql} =~ /\b(kysely_migrations|migration_overrides)\b/;
	my $by_row = $mutation->{kind} =~ /^(ledger|override)/ || (!$ledger && $ddl_is_late) ? ++$hit % 2 : !$ledger;
	my $function = sub {
		my ($result, $return) = @_;
		return "CREATE SEQUENCE tools.hits; CREATE FUNCTION tools.hit() RETURNS $result LANGUAGE plpgsql AS \$hit\$ BEGIN"
			. " IF nextval('tools.hits') > 1 THEN $return; END IF;"
			. " $mutation->{sql}; RAISE WARNING 'fault made'; $return; END \$hit\$;\n";
	};
	return $function->('trigger', 'RETURN NULL')
		. "CREATE TRIGGER hit AFTER DELETE OR UPDATE ON $last_table FOR EACH STATEMENT EXECUTE FUNCTION tools.hit();\n" if $by_row;
	return $function->('event_trigger', 'RETURN')
		. "CREATE EVENT TRIGGER hit ON ddl_command_end WHEN TAG IN ('$last_ddl') EXECUTE FUNCTION tools.hit();\n";
}

# What a fault was made of, on one line.
sub described { my ($fixture, $mutation) = @_; return "$fixture->{generation}, $mutation->{kind}: $mutation->{sql}" }

my $node = Twin::start_node('mutations', client_min_messages => 'warning');
my $share = int(($wanted + @fixtures - 1) / @fixtures);
my @results = in_parallel(
	$node, 2,
	sub {
		my ($twin, $i) = @_;
		my $fixture = Fixture->new(assets => 200, %{ $fixtures[$i] });
		my $mutations = Mutations->new($fixture->{immich}, $fixture->native_count, generator($seed + $i));
		my (@made, @unnamed);
		my $round = 0;
		while (@made < $share)
		{
			die "too few of the faults can be made\n" if ++$round > 20;
			my @drawn = map { $mutations->draw($kinds[ $_ % @kinds ]) } 0 .. 63;
			my @said = try_on_stock($twin, $fixture, @drawn);
			foreach my $place (0 .. $#drawn)
			{
				my ($mutation, $said) = ($drawn[$place], $said[$place]);
				next if !$said || @made == $share;
				push @made, $mutation;
				my $row = $mutation->{check}[0] // next;
				# Of rows in disorder the check names the fewest that would have to change, which need not be the one that was changed.
				my ($name) = $mutation->{named} =~ /(\d{13}\\?-[^"]*?)\\?"/;
				my $good = $row eq 'migrations' ? qr/"$name"/ : $row eq 'ledger order' ? qr/"$name"|out of order/ : $mutation->{named};
				push @unnamed, described($fixture, $mutation) . ': ' . join(' ', sort keys %$said) if ($said->{$row} // '') !~ $good;
			}
		}

		my ($plan) = $twin->attempts($fixture, [ q(SELECT step, phase, kind, object FROM tools.gallery_revert_plan() ORDER BY step;) ]);
		my @steps = map { [ split /\|/ ] } grep { /^\d+\|/ } split /\n/, $plan->{out};
		my $last_table = $steps[-1][3];
		my ($last_ddl) = map { 'DROP ' . uc $_->[2] } grep { $_->[1] eq 'drop' && $_->[2] ne 'column' } reverse @steps;
		my ($late_rows) = map { $_->[0] } grep { $_->[1] =~ /^(restore|clean|settings)$/ } reverse @steps;
		my ($late_ddl) = map { $_->[0] } grep { $_->[1] eq 'drop' } @steps;
		my @missed;
		my %count;
		while (my @some = splice @made, 0, 50)
		{
			my @tried = $twin->attempts($fixture, map { [ ambush($_, $last_table, $last_ddl, $late_ddl > ($late_rows // 0)) ] } @some);
			foreach my $place (0 .. $#some)
			{
				my ($mutation, $case) = ($some[$place], $tried[$place]);
				$count{ $mutation->{kind} }++;
				my $was_made = $case->{messages} =~ /fault made/;
				next
					if $was_made
					&& $case->{out} =~ /^refused 55000 the result would not be a stock Immich/
					&& $case->{out} =~ $mutation->{named};
				push @missed, described($fixture, $mutation) . "\n" . ($was_made ? '' : "(not made)\n") . substr $case->{out}, 0, 600;
			}
		}
		return { name => "$fixture->{generation}: $share faults", missed => \@missed, unnamed => \@unnamed, count => \%count };
	},
	0 .. $#fixtures);

my %count;
foreach my $result (@results)
{
	is_deeply($result->{missed}, [], "$result->{name}, each is caught and named before commit (seed $seed)");
	is_deeply($result->{unnamed}, [], "$result->{name}, each is named on a stock database (seed $seed)");
	$count{$_} += $result->{count}{$_} foreach keys %{ $result->{count} };
}
ok($count{$_}, "faults of kind $_") foreach @kinds;
my $total = 0;
$total += $_ foreach values %count;
my $missed = 0;
$missed += @{ $_->{missed} } foreach @results;
note("$total faults, $missed missed: " . join ', ', map { "$count{$_} $_" } @kinds);

done_testing();
