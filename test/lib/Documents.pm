# Reads the project's documents: their blocks of code, tables, links and headings.
package Documents;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

our @EXPORT_OK = qw(anchors blocks links read_text table tested_documents);

sub read_text
{
	my ($file) = @_;
	open my $handle, '<:encoding(UTF-8)', $file or die "$file: $!";
	local $/;
	return scalar <$handle>;
}

# The documents whose blocks are run, relative to the project's folder.
sub tested_documents
{
	my ($root) = @_;
	return ('README.md', 'CONTRIBUTING.md', map { s{^\Q$root\E/}{}r } sort glob "$root/docs/*.md");
}

# The blocks of a document in order: { language, text, line, heading }, line is that of the first line of text. A block that is
# made by indentation alone has the language "indented": nobody can say what it is.
sub blocks
{
	my ($text) = @_;
	my (@blocks, $open, $heading);
	my ($number, $blank) = (0, 1);
	foreach my $line (split /\n/, $text)
	{
		$number++;
		if ($open)
		{
			if ($line =~ /^\s*```\s*$/) { push @blocks, $open; undef $open; $blank = 0; next }
			$open->{text} .= $line =~ s/^$open->{indent}//r . "\n";
			next;
		}
		if ($line =~ /^(\s*)```\s*(\S*)/)
		{
			$open = { language => $2, text => '', line => $number + 1, heading => $heading // '', indent => $1 };
			next;
		}
		$heading = $1 if $line =~ /^#+ +(.*?)\s*$/;
		push @blocks, { language => 'indented', text => "$line\n", line => $number, heading => $heading // '' } if $blank && $line =~ /^ {4,}\S/;
		$blank = $line =~ /^\s*$/;
	}
	die "a block has no end\n" if $open;
	return @blocks;
}

# A document without its blocks.
sub _prose { return $_[0] =~ s/^(\s*)```.*?^\s*```\s*$//gmsr }

# Where links can point to in a document, as GitHub and others name it.
sub anchors
{
	my ($text) = @_;
	my %seen;
	my @anchors;
	foreach my $heading (_prose($text) =~ /^#+ +(.*?)\s*$/mg)
	{
		my $anchor = lc $heading =~ s/\[([^\]]*)\]\([^)]*\)/$1/gr;
		$anchor =~ s/[^\w\- ]//g;
		$anchor =~ tr/ /-/;
		push @anchors, $seen{$anchor}++ ? "$anchor-$seen{$anchor}" : $anchor;
	}
	return @anchors;
}

# Targets of links and pictures.
sub links { return _prose($_[0]) =~ s/`[^`]*`//gr =~ /\]\(([^)\s]+)\)/g }

# The rows of the table under a heading, each a list of cells, without the head. Within a cell "\|" is a bar.
sub table
{
	my ($text, $heading) = @_;
	my ($section) = $text =~ /^#+ \Q$heading\E\n(.*?)(?=^#+ |\z)/ms or die "no heading \"$heading\"\n";
	my ($table) = $section =~ /((?:^\|.*\n)+)/m or die "no table under \"$heading\"\n";
	my (undef, undef, @lines) = split /\n/, $table;
	return map { [ map { s/^\s+|\s+$//gr =~ s/\\\|/|/gr } split /(?<!\\)\|/, s/^\||\|$//gr ] } @lines;
}

1;
