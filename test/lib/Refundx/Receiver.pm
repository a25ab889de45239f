# Refundx::Receiver
#	  A receiver of webhooks, or several: each path is one, and behaves as told.
#
#	my $receiver = Refundx::Receiver->new($directory);
#	$receiver->behave('/shop', 503, 'Retry-After' => 7);	# or 'hang'; 200 at first
#	my @requests = $receiver->requests('/shop');			# {path, headers, body, ...}
#
# It keeps each request before it answers, as a line of JSON in $receiver->file.

package Refundx::Receiver;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use PostgreSQL::Test::Utils;

my @all;

sub new
{
	my ($class, $directory) = @_;
	my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 100, ReuseAddr => 1) or die "no socket: $!";
	my $self = bless { directory => $directory, port => $listen->sockport, file => "$directory/requests" }, $class;
	my $pid = fork();

	append_to_file($self->{file}, '');
	die "could not fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		local $SIG{PIPE} = 'IGNORE';
		eval { $self->_serve($listen) };
		POSIX::_exit(1);
	}
	$self->{pid} = $pid;
	push @all, $self;
	return $self;
}

sub port { return $_[0]{port} }
sub file { return $_[0]{file} }
sub url { return "http://127.0.0.1:$_[0]{port}$_[1]" }

sub behave
{
	my ($self, $path, $status, %headers) = @_;
	my $name = $self->_mode($path);

	PostgreSQL::Test::Utils::append_to_file("$name.new", JSON::PP::encode_json({ status => $status, headers => \%headers }));
	rename("$name.new", $name) or die "could not rename: $!";
	return;
}

sub requests
{
	my ($self, $path) = @_;
	return grep { !defined $path || $_->{path} eq $path } map { JSON::PP::decode_json($_) } split /\n/, slurp_file($self->{file});
}

sub _mode
{
	my ($self, $path) = @_;
	$path =~ s/\W/_/g;
	return "$self->{directory}/mode$path";
}

sub _serve
{
	my ($self, $listen) = @_;
	my $select = IO::Select->new($listen);
	my %got;

	while (my @ready = $select->can_read)
	{
		foreach my $socket (@ready)
		{
			if ($socket == $listen)
			{
				my $connection = $listen->accept or next;
				$select->add($connection);
				$got{$connection} = '';
				next;
			}
			unless (sysread($socket, $got{$socket}, 65536, length $got{$socket}))
			{
				delete $got{$socket};
				$select->remove($socket);
				close $socket;
				next;
			}
			my ($head, $body) = split /\r\n\r\n/, $got{$socket}, 2;
			next unless defined $body;
			my ($first, @lines) = split /\r\n/, $head;
			my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1 => $2) : () } @lines;
			next if length $body < ($headers{'content-length'} || 0);
			my ($method, $path) = split / /, $first;
			utf8::decode($body);
			$got{$socket} = '';
			$self->_answer($socket, { method => $method, path => $path, headers => \%headers, body => $body });
		}
	}
	return;
}

sub _answer
{
	my ($self, $socket, $request) = @_;
	my $name = $self->_mode($request->{path});
	my $mode = -e $name ? JSON::PP::decode_json(slurp_file($name)) : { status => 200, headers => {} };

	append_to_file($self->{file}, JSON::PP::encode_json({ %$request, answer => $mode->{status} }) . "\n");
	return if $mode->{status} eq 'hang';
	my $headers = join '', map { "$_: $mode->{headers}{$_}\r\n" } sort keys %{ $mode->{headers} };
	syswrite($socket, "HTTP/1.1 $mode->{status} Word\r\n${headers}Content-Length: 0\r\n\r\n");
	return;
}

sub stop
{
	my ($self) = @_;
	return unless $self->{pid};
	kill 'KILL', $self->{pid};
	waitpid($self->{pid}, 0);
	$self->{pid} = undef;
	return;
}

END
{
	my $status = $?;
	$_->stop foreach @all;
	$? = $status;
}

1;
