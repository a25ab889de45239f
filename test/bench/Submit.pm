# refund_submit, one per transaction, beside pgbench's own TPC-B script on the
# same server: both are one round trip of business and one durable commit.

package Bench::Submit;

use strict;
use warnings;

# A refund of one of so many payments by chance; a payment takes 50, so there
# must be enough for the fastest machine.  :n counts what the client has sent, and
# with the run's number makes the refund's.
our $payments = 200_000;
our $script = <<"SQL";
\\set p random(1, $payments)
\\set n :n + 1
SELECT refundx.refund_submit('wx1', 'P' || :p, :run || '-' || :client_id || '-' || :n, 100);
SQL

my %target = (1 => 1.5, 8 => 1.4, 32 => 1.4);
our $runs = 0;

sub submit_rate
{
	my ($server, $clients, $seconds, @options) = @_;

	$runs++;
	return $server->pgbench($script, 'bench', $clients, $seconds,
		'-D', 'n=0', '-D', "run=$runs", @options);
}

sub run
{
	my $server = Bench->new('submit');
	my $seconds = $Bench::quick ? 3 : 10;
	my %rate;

	$server->payments('P', $payments);
	$server->sql('CREATE DATABASE tpcb', 'postgres');
	Bench::output("$ENV{BINDIR}/pgbench", '-h', $server->{dir}, '-p', '5432', '-U', 'postgres',
		'-i', '-q', '-s', $Bench::quick ? 10 : 50, 'tpcb');
	$server->refunds("P", 1, 1000);	# plans are made for tables with something in them
	$server->sql('VACUUM ANALYZE');
	$server->sql('CHECKPOINT');
	foreach my $round (1 .. Bench::rounds())
	{
		foreach my $clients (1, 8, 32)
		{
			push @{ $rate{$clients}{tpcb} },
			  $server->pgbench([ '-b', 'tpcb-like' ], 'tpcb', $clients, $seconds);
			push @{ $rate{$clients}{submit} }, submit_rate($server, $clients, $seconds);
		}
	}
	foreach my $clients (1, 8, 32)
	{
		my ($ours, $theirs) = @{ $rate{$clients} }{ 'submit', 'tpcb' };
		my @ratios = map { $ours->[$_] / $theirs->[$_] } 0 .. $#$ours;

		Bench::figure('submit', "refund_submit, clients: $clients",
			sprintf('%.0f/s', Bench::median(@$ours)),
			sprintf('TPC-B %.0f/s', Bench::median(@$theirs)),
			Bench::median(@ratios), '>=', $target{$clients});
	}
	return;
}

1;
