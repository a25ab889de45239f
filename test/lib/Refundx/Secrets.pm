# Refundx::Secrets
#	  What must never be found outside the key directory, and whether it is.
#
#	my $secrets = Refundx::Secrets->new;
#	$secrets->add_directory($rx->sandbox->key_directory);
#	$secrets->add_text($pasted);
#	nowhere($rx, $secrets, 'after all that');
#
# A secret counts as found in any spelling in which it could be stored: as it
# is, its base64 lines, the bytes behind them, and those in hex.

package Refundx::Secrets;

use strict;
use warnings;

use Exporter 'import';
use File::Find ();
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(nowhere found_in);

sub new { return bless { needles => {} }, $_[0] }

# The private keys, and whatever small file has no PEM in it at all.
sub add_directory
{
	my ($self, $directory) = @_;

	foreach my $file (glob "$directory/*")
	{
		my $text = slurp_file($file);
		$self->add_text($text) if $text =~ /PRIVATE KEY/ || $text !~ /-----BEGIN/;
	}
	return;
}

sub add_text
{
	my ($self, $text) = @_;

	if ($text =~ /PRIVATE KEY/)
	{
		# the first line is the same for all keys of a size
		my (undef, @lines) = grep { m{^[A-Za-z0-9+/]{64}$} } split /\s+/, $text;
		foreach my $line (@lines)
		{
			my $bytes = decode_base64($line);
			$self->{needles}{$_} = 1 foreach $line, $bytes, unpack('H*', $bytes);
		}
	}
	else
	{
		$text =~ s/\s+\z//;
		$self->{needles}{$_} = 1 foreach $text, unpack('H*', $text);
	}
	return;
}

# How many of them the text has.
sub count_in
{
	my ($self, $text) = @_;
	return scalar grep { index($text, $_) >= 0 } keys %{ $self->{needles} };
}

# The files below a directory in which a string is, for a test that the search
# can find anything.
sub found_in
{
	my ($directory, $string) = @_;
	return _files($directory, sub { index($_[0], $string) >= 0 });
}

sub _files
{
	my ($directory, $matches) = @_;
	my @found;

	File::Find::find(
		{
			no_chdir => 1,
			wanted => sub { push @found, $_ if -f $_ && $matches->(slurp_file($_)) }
		},
		$directory);
	return @found;
}

# Tests: not in the data directory (tables, WAL), nor in a dump, nor in the
# log.  The server must run; it is stopped and started again.
sub nowhere
{
	my ($rx, $self, $what) = @_;
	my $node = $rx->node;
	my $data = $node->data_dir;
	my $dump = '';

	cmp_ok(scalar keys %{ $self->{needles} }, '>', 20, "there is something to look for: $what");
	IPC::Run::run([ 'pg_dumpall', '-d', $node->connstr('postgres') ], '>', \$dump)
	  or die 'pg_dumpall failed';
	like($dump, qr/CREATE EXTENSION.* refundx/, "there is a dump: $what");
	is($self->count_in($dump), 0, "no secret in the dump: $what");
	$node->stop('fast');
	is(join(' ', _files($data, sub { $self->count_in($_[0]) })),
		'', "no secret in the tables, the WAL, and all else in the data directory: $what");
	is($self->count_in(slurp_file($node->logfile)), 0, "no secret in the log: $what");
	$node->start;
	return;
}

1;
