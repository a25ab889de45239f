# delay.pl PORT TO SECONDS
#	  A proxy on loopback that passes requests on at once and every answer so
#	  many seconds later, on any number of connections.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

my ($port, $to, $delay) = @ARGV;
my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 500,
	ReuseAddr => 1) or die "listen: $@\n";
my $select = IO::Select->new($listen);
my %other;						# the socket on the other side
my %upstream;					# is it the channel's?
my @late;						# [when, socket, bytes], in order

$| = 1;
print "ready\n";
while (1)
{
	my $wait = @late ? $late[0][0] - time : 1;

	foreach my $socket ($select->can_read($wait < 0 ? 0 : $wait))
	{
		if ($socket == $listen)
		{
			my $client = $listen->accept or next;
			my $channel = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $to)
			  or do { close($client); next };
			$other{$client} = $channel;
			$other{$channel} = $client;
			$upstream{$channel} = 1;
			$select->add($client, $channel);
			next;
		}
		my $peer = $other{$socket} or next;
		if (!sysread($socket, my $bytes, 65536))
		{
			foreach my $end ($socket, $peer)
			{
				$select->remove($end);
				delete $other{$end};
				delete $upstream{$end};
				close($end);
			}
		}
		elsif ($upstream{$socket}) { push @late, [ time + $delay, $peer, $bytes ] }
		else { syswrite($peer, $bytes) }
	}
	while (@late && $late[0][0] <= time)
	{
		my $late = shift @late;
		syswrite($late->[1], $late->[2]) if $other{ $late->[1] };
	}
}
