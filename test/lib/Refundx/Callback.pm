# Refundx::Callback
#	  Callbacks of WeChat Pay made to order, and a client that sends anything.
#
#	my $from = Refundx::Callback->new($rx);
#	my ($good, $old) = $from->make({ no => 'R1', amount => 500 }, { no => 'R1', amount => 500, age => 900 });
#	my $answer = $from->post($good);            # { status, headers, body }, or undef
#
# What can be asked for is said at the head of callback.mjs.  The client is
# made of bytes, so that it can also send what no HTTP library would.

package Refundx::Callback;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Time::HiRes qw(time);

sub new
{
	my ($class, $rx, $channel) = @_;
	return bless { rx => $rx, path => '/v1/' . ($channel || 'wx') }, $class;
}

# Without Node there is nobody to make them.
sub available
{
	return scalar grep { -x "$_/node" } split /:/, $ENV{PATH};
}

sub make
{
	my ($self, @specs) = @_;
	my $json = JSON::PP->new->utf8;
	my $in = join '', map { $json->encode($_) . "\n" } @specs;
	my ($out, $err) = ('', '');
	(my $script = __FILE__) =~ s{Refundx/[^/]+$}{callback.mjs};

	IPC::Run::run([ 'node', $script, $self->{rx}->sandbox->data ], '<', \$in, '>', \$out, '2>', \$err)
	  or die "callback.mjs failed: $err";
	my @messages = map { $json->decode($_) } split /\n/, $out;
	$_->{body} = decode_base64($_->{body}) foreach @messages;
	return wantarray ? @messages : $messages[0];
}

# The bytes of a request.
sub bytes
{
	my ($self, $message, %options) = @_;
	my $method = $options{method} || 'POST';
	my $path = $options{path} || $self->{path};
	my $text = "$method $path HTTP/1.1\r\nHost: 127.0.0.1\r\n";
	my %headers = %{ $message->{headers} || {} };

	$text .= "$_: $headers{$_}\r\n" foreach sort keys %headers;
	$text .= 'Content-Length: ' . length($message->{body}) . "\r\n" unless $options{no_length};
	return "$text\r\n$message->{body}";
}

sub connect
{
	my ($self, $port) = @_;
	return IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $port || $self->{rx}->callback_port,
		Timeout => 10);
}

# What comes within the time: one answer, or all until the connection closes.
sub hear
{
	my ($self, $socket, $seconds) = @_;
	my $deadline = time() + ($seconds || 20);
	my $select = IO::Select->new($socket);
	my $text = '';

	while ((my $left = $deadline - time()) > 0)
	{
		last unless $select->can_read($left);
		my $n = sysread($socket, $text, 65536, length $text);
		last unless $n;
		my $answer = parse($text) or next;
		return $answer;
	}
	return parse($text);
}

sub parse
{
	my ($text) = @_;
	my ($head, $body) = $text =~ /^(HTTP\/1\.[01] .*?)\r\n\r\n(.*)$/s or return undef;
	my ($status) = $head =~ /^HTTP\/1\.[01] (\d{3})/ or return undef;
	my ($length) = $head =~ /^Content-Length: *(\d+)/mi;

	return undef if length $body < ($length || 0);
	return { status => $status, head => $head, body => $body };
}

# Bytes on a connection of their own, and the answer to them.
sub send_bytes
{
	my ($self, $bytes, $seconds) = @_;
	local $SIG{PIPE} = 'IGNORE';
	my $socket = $self->connect or return undef;

	for (my $at = 0; $at < length $bytes;)
	{
		my $n = syswrite($socket, $bytes, 65536, $at);
		last unless $n;
		$at += $n;
	}
	my $answer = $self->hear($socket, $seconds);
	close $socket;
	return $answer;
}

sub post
{
	my ($self, $message, %options) = @_;
	return $self->send_bytes($self->bytes($message, %options), $options{seconds});
}

# Its status alone; 0 if there was no answer.
sub status
{
	my ($self, $message, %options) = @_;
	my $answer = $self->post($message, %options);
	return $answer ? $answer->{status} : 0;
}

# Until the listener takes connections.
sub wait_ready
{
	my ($self) = @_;
	return Refundx::wait_for(
		sub {
			my $answer = $self->send_bytes("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 2);
			return $answer && $answer->{status} == 200;
		},
		'the listener answers');
}

1;
