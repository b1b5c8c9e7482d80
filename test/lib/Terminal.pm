# A reader's terminal for test/t/060_documentation.pl: one shell that is given a document's blocks as they stand, one after the
# other. A command in them may open psql; then what follows goes there until the reader leaves it.
package Terminal;

use strict;
use warnings FATAL => 'all';

use IPC::Run ();
use Time::HiRes qw(time);

# Starts bash in a folder, with an environment of its own (a hash).
sub new
{
	my ($class, $folder, %environment) = @_;
	my $self = bless { in => '', out => '', serial => 0, failed => '', all => '' }, $class;
	local %ENV = %environment;
	$self->{harness} = IPC::Run::start([ 'bash', '--noprofile', '--norc' ], '<', \$self->{in}, '>&', \$self->{out},
		init => sub { chdir $folder or die "$folder: $!" });
	# A command that fails in the middle of a block must not go unseen. Words of a test's own, which the documents don't use.
	$self->{in} .= q(DOC_FAILED=; trap 'DOC_FAILED+=" [${BASH_COMMAND//$'\''\n'\''/ }]"' ERR; )
		. q(export DOC_TERMINAL=$(readlink /proc/$$/fd/0)) . "\n";
	return $self;
}

# Gives the shell or psql a text and waits until all of it is done. Returns { output, failed, inside }: failed lists what went wrong,
# inside is "psql" or "sh", where the next text will go.
sub type
{
	my ($self, $text, $seconds) = @_;
	my $mark = '<<done ' . ++$self->{serial} . '>>';
	# The same words mean the same in bash and in psql, but for the variables.
	my $ask = "\\echo '$mark' \"\$?\" :SERVER_VERSION_NUM \"\$DOC_FAILED\"\n";
	my $end = time + ($seconds // 120);
	# psql reads ahead: what is typed right behind its end it takes along, so that is asked again.
	my $leaves = $text =~ /^\\q\s*\z/m;
	$self->{in} .= $leaves ? "$text\n" : "$text\n$ask";
	my $again = time + 0.3;
	while ($self->{out} !~ /^\Q$mark\E.*\n/m && time < $end)
	{
		if ($leaves && time > $again) { $self->{in} .= $ask; $again = time + 2 }
		eval { $self->{harness}->pump_nb; 1 } or last;
		select undef, undef, undef, 0.01;
	}
	my $result = { inside => 'sh', failed => [] };
	if ($self->{out} =~ s/\A(.*?)^\Q$mark\E (\S+) (\S+) ?(.*)\n//ms)
	{
		my ($output, $status, $version, $failed) = ($1, $2, $3, $4);
		$output =~ s/^<<done .*\n//mg;
		$result->{output} = $output;
		if ($version =~ /^\d+$/) { $result->{inside} = 'psql' }
		else
		{
			push @{ $result->{failed} }, "failed:" . substr $failed, length $self->{failed} if length $failed > length $self->{failed};
			push @{ $result->{failed} }, "exit status $status" if $status ne '0' && !@{ $result->{failed} };
			$self->{failed} = $failed;
		}
	}
	else
	{
		$result->{output} = $self->{out};
		push @{ $result->{failed} }, 'it does not come to an end';
		$self->{out} = '';
	}
	my $marked = qr/(?:psql:\S* |\S+: )?(?:ERROR|FATAL|PANIC|error):.*/;
	my $by_words = qr/invalid command.*|.*: command not found|.*: No such file or directory/;
	push @{ $result->{failed} }, map { "it says: $_" } $result->{output} =~ /^($marked|$by_words)$/mg;
	$self->{all} .= $result->{output};
	return $result;
}

# All that the terminal showed so far.
sub shown { return $_[0]{all} }

# Leaves psql, if need be, and the shell.
sub close
{
	my ($self) = @_;
	$self->{in} .= "\\q\nexit 0\n";
	eval { IPC::Run::finish($self->{harness}, IPC::Run::timeout(10)); 1 } or eval { $self->{harness}->kill_kill };
	return;
}

1;
