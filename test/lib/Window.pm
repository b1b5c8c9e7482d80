# A Terminal as somebody really has it: a pseudo-terminal of 80 columns and 24 lines with an interactive bash in it, for the tests in
# containers (docker refuses "exec -it" on anything else).
package Window;

use strict;
use warnings FATAL => 'all';

use parent 'Terminal';
use IO::Pty   ();
use IPC::Run  ();

sub new
{
	my ($class, $folder, %environment) = @_;
	my $self = bless { in => '', out => '', serial => 0, failed => '', all => '' }, $class;
	local %ENV = (%environment, TERM => 'xterm', HISTFILE => '/dev/null');
	# Escape sequences may come in two parts.
	my $pending = '';
	my $plain = sub {
		$pending .= $_[0];
		my $rest = $pending =~ s/(\e[^a-zA-Z=>\n]*)\z// ? $1 : '';
		$self->{out} .= $pending =~ s/\e\[[0-9;?]*[a-zA-Z]|\e[=>]|\e\][^\a]*\a|\r//gr;
		$pending = $rest;
	};
	$self->{harness} = IPC::Run::harness([ 'bash', '--noprofile', '--norc', '-i' ], '<pty<', \$self->{in}, '>pty>', $plain,
		init => sub { chdir $folder or die "$folder: $!" });
	IPC::Run::start($self->{harness});
	$_->set_winsize(24, 80) foreach values %{ $self->{harness}{PTYS} };
	$self->{in} .= q(DOC_FAILED=; trap 'DOC_FAILED+=" [${BASH_COMMAND//$'\''\n'\''/ }]"' ERR; PS1='$ ') . "\n";
	return $self;
}

1;
