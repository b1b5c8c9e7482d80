# A Terminal as somebody really has it: a pseudo-terminal of 80 columns and 24 lines with an interactive bash in it, for the tests in
# containers (docker refuses "exec -it" on anything else).
package Window;

use strict;
use warnings FATAL => 'all';

use parent 'Terminal';
use IO::Pty   ();
use IPC::Run  ();

# A command in such a terminal: its harness; what it shows is added to a text, without the sequences that move and colour.
sub _harness
{
	my ($folder, $command, $in, $out, %environment) = @_;
	local %ENV = (%environment, TERM => 'xterm', HISTFILE => '/dev/null');
	# Escape sequences may come in two parts.
	my $pending = '';
	my $plain = sub {
		$pending .= $_[0];
		my $rest = $pending =~ s/(\e[^a-zA-Z=>\n]*)\z// ? $1 : '';
		$$out .= $pending =~ s/\e\[[0-9;?]*[a-zA-Z]|\e[=>]|\e\][^\a]*\a|\r//gr;
		$pending = $rest;
	};
	my $harness = IPC::Run::harness($command, '<pty<', $in, '>pty>', $plain, init => sub { chdir $folder or die "$folder: $!" });
	IPC::Run::start($harness);
	$_->set_winsize(24, 80) foreach values %{ $harness->{PTYS} };
	return $harness;
}

sub new
{
	my ($class, $folder, %environment) = @_;
	my $self = bless { in => '', out => '', serial => 0, failed => '', all => '' }, $class;
	$self->{harness} = _harness($folder, [ 'bash', '--noprofile', '--norc', '-i' ], \$self->{in}, \$self->{out}, %environment);
	$self->{in} .= q(DOC_FAILED=; trap 'DOC_FAILED+=" [${BASH_COMMAND//$'\''\n'\''/ }]"' ERR; PS1='$ ') . "\n";
	return $self;
}

# One command that asks: each question that ends in "[yes/no] " gets the next answer. Returns its exit status and all that it showed; "none"
# if it does not come to an end.
sub asked
{
	my ($folder, $command, $environment, $seconds, @answers) = @_;
	my ($in, $out, $seen) = ('', '', 0);
	my $harness = _harness($folder, $command, \$in, \$out, %$environment);
	my $end = time + $seconds;
	while ($harness->pumpable && time < $end)
	{
		eval { $harness->pump_nb; 1 } or last;
		if (@answers && substr($out, $seen) =~ /\[yes\/no\] \z/) { $seen = length $out; $in .= shift(@answers) . "\n" }
		select undef, undef, undef, 0.02;
	}
	if (time >= $end) { $harness->kill_kill; return ('none', $out) }
	$harness->finish;
	return ($harness->full_result(0) >> 8, $out);
}

1;
