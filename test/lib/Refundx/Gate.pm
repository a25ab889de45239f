# Refundx::Gate
#	  A door between the extension and the sandbox that can be shut.
#
#	my $gate = Refundx::Gate->new($rx->sandbox);
#	$rx->channel_add('st', kind => 'stripe', base_url => $gate->url);
#	$gate->hold('starting_after=');		# such requests wait, and are marked
#	$gate->held;						# how many have come
#	$gate->pass;						# they go on
#	$gate->shut; $gate->open;			# connections are refused; and no more
#	$gate->hang; $gate->go_on;			# nothing is answered; and then all is
#
# One process a connection, one request a connection: it passes bytes on and
# understands no more of HTTP than where a request ends.

package Refundx::Gate;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

my @all;
my $count = 0;

sub new
{
	my ($class, $sandbox) = @_;
	my $self = bless {
		to => $sandbox->port,
		port => Refundx::free_port(),
		file => $sandbox->data . '/gate' . ++$count }, $class;

	push @all, $self;
	$self->pass;
	$self->open;
	return $self;
}

sub url { return "http://127.0.0.1:$_[0]{port}" }

# The pattern lies in a file, which the processes look into.
sub hold
{
	my ($self, $pattern) = @_;
	open(my $fh, '>', "$self->{file}.new") or die $!;
	print $fh $pattern;
	close($fh);
	rename "$self->{file}.new", $self->{file} or die $!;
	return;
}

sub pass
{
	my ($self) = @_;
	unlink "$self->{file}.held";
	return $self->hold('');
}

sub held { return -s "$_[0]{file}.held" || 0 }

sub shut
{
	my ($self) = @_;
	return unless $self->{pid};
	# the group: those that wait within, too
	kill 'KILL', -$self->{pid};
	waitpid($self->{pid}, 0);
	$self->{pid} = undef;
	return;
}

sub hang { kill 'STOP', -$_[0]{pid}; return }
sub go_on { kill 'CONT', -$_[0]{pid}; return }

sub open
{
	my ($self) = @_;
	my $listen = IO::Socket::INET->new(
		LocalAddr => '127.0.0.1', LocalPort => $self->{port}, Listen => 128, ReuseAddr => 1)
	  or die "no gate: $!";
	my $pid = fork();

	die "could not fork: $!" unless defined $pid;
	if ($pid)
	{
		close($listen);
		$self->{pid} = $pid;
		# so that it can be shut as soon as it is open
		POSIX::setpgid($pid, $pid);
		return;
	}
	POSIX::setpgid(0, 0);
	$SIG{CHLD} = 'IGNORE';
	$SIG{PIPE} = 'IGNORE';
	for (;;)
	{
		my $client = $listen->accept or next;
		next if fork();
		close($listen);
		eval { $self->_serve($client) };
		POSIX::_exit(0);
	}
}

sub _serve
{
	my ($self, $client) = @_;
	my $text = '';
	my $length = 0;

	# the head, and as much behind it as it says
	until ($text =~ /^(.*?)\r\n\r\n/s && length($text) >= length($1) + 4 + $length)
	{
		sysread($client, $text, 65536, length $text) or return;
		($length) = $text =~ /^Content-Length: *(\d+)/mi if $text =~ /\r\n\r\n/;
		$length ||= 0;
	}
	my ($line) = split /\r\n/, $text;
	for (my $n = 0;; $n++)
	{
		my $pattern = slurp_file($self->{file});
		last if $pattern eq '' || $line !~ /$pattern/;
		if ($n == 0)
		{
			CORE::open(my $fh, '>>', "$self->{file}.held") or return;
			syswrite($fh, '.');
			close($fh);
		}
		usleep(20_000);
	}
	$text =~ s/\r\n\r\n/\r\nConnection: close\r\n\r\n/;
	my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{to}) or return;
	syswrite($server, $text);
	while (sysread($server, my $answer, 65536)) { syswrite($client, $answer) or return }
	return;
}

END
{
	my $status = $?;
	foreach my $gate (@all) { $gate->shut if $gate->{pid} }
	$? = $status;
}

1;
