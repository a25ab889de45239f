#!/usr/bin/perl
#
# shop.pl DIRECTORY PSQL [ARGUMENT ...]
#	  The web server of the demo's shop: what stands behind the notify_url of its
#	  payments.  Its port is in DIRECTORY/port once it serves.
#
# Alipay has one notification for payments and refunds, and sends it to the
# address that came with the payment: here.  Which of the two it is the shop
# does not guess: refundx verifies the bytes and tells.  The answer goes out
# when psql has returned, that is after the commit.  doc/notifications.md says
# the same in three other languages.

use strict;
use warnings;

use IO::Socket::INET;

my ($directory, @psql) = @ARGV;
my $server = IO::Socket::INET->new(
	Listen => 64,
	LocalAddr => '127.0.0.1',
	ReuseAddr => 1) or die "could not listen: $!";

$SIG{PIPE} = 'IGNORE';
open(my $fh, '>', "$directory/port.new") or die "could not write $directory/port: $!";
print $fh $server->sockport, "\n";
close($fh) or die;
rename("$directory/port.new", "$directory/port") or die;

while (my $client = $server->accept)
{
	my ($status, $body) = answer(read_request($client));
	print $client "HTTP/1.1 $status -\r\nContent-Type: text/plain\r\nConnection: close\r\n",
	  'Content-Length: ', length($body), "\r\n\r\n", $body;
	close($client);
}

# The headers, as pairs of names and values, and the body as it came.
sub read_request
{
	my ($client) = @_;
	my %headers;
	my $body = '';

	scalar <$client>;
	while (my $line = <$client>)
	{
		last if $line =~ /^\r?\n$/;
		$headers{ lc $1 } = $2 if $line =~ /^([^:\s]+):\s*(.*?)\r?\n/;
	}
	read($client, $body, $headers{'content-length'} || 0);
	return (\%headers, $body);
}

sub answer
{
	my ($headers, $body) = @_;
	my ($result, $status, $text) = passed_on($headers, $body);

	return (503, 'fail') unless defined $result;    # rolled back: send it again
	return ($status, $text) unless $result eq 'not_ours';

	# Verified, and no refund's: a payment, which is the shop's own affair.
	my ($order) = $body =~ /(?:^|&)out_trade_no=([^&]*)/;
	sql("UPDATE orders SET status = 'paid' WHERE order_no = :'order' AND status = 'new'",
		order => $order // '');
	return (200, 'success');
}

# To refundx, in one transaction with a note of it.
sub passed_on
{
	my ($headers, $body) = @_;
	my $line = sql(<<'END', type => $headers->{'content-type'} // '', body => unpack('H*', $body));
WITH passed AS (
	SELECT * FROM refundx.callback_ingest('alipay', jsonb_build_object('content-type', :'type'),
		decode(:'body', 'hex')))
INSERT INTO inbox (trade_status, out_biz_no, refundx_says, answered)
SELECT substring(convert_from(decode(:'body', 'hex'), 'UTF8') FROM 'trade_status=([A-Z_]+)'),
       substring(convert_from(decode(:'body', 'hex'), 'UTF8') FROM 'out_biz_no=([^&]+)'),
       result, coalesce(answer, 'success, by the shop')
  FROM passed
RETURNING refundx_says, (SELECT status FROM passed), (SELECT answer FROM passed)
END
	return defined $line ? split(/\|/, $line) : ();
}

# The one line of a statement; undefined if it failed.
sub sql
{
	my ($statement, %variables) = @_;
	my $pid = open(my $out, '-|') // die "could not fork: $!";

	if ($pid == 0)
	{
		open(STDIN, '-|', 'printf', '%s', "$statement;") or exit 1;
		exec(@psql, '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', '-',
			map { ('-v', "$_=$variables{$_}") } sort keys %variables) or exit 1;
	}
	my $line = do { local $/; <$out> };
	close($out) or return undef;
	chomp($line //= '');
	return $line;
}
