# What each worker holds in memory of its own after a great many refunds, and
# whether it goes on growing.

package Bench::Memory;

use strict;
use warnings;

my @kinds = qw(dispatcher settler listener courier);

sub run
{
	my $server = Bench->new('memory', merchants => 16, callbacks => 1,
		sandbox => [ '--no-fsync', '--callback-delay-ms', 10 ]);
	my $total = $Bench::quick ? 10_000 : 100_000;
	my $first = $total / 10;
	my $step = $first / 2;
	my %at;
	my $done = 0;

	$server->payments('P', $total, 1000);
	$server->sql('VACUUM ANALYZE');
	my %pid = map { $_ => $server->worker_pid($_) } @kinds;
	$server->configure('refundx.dispatch' => 'on');
	while ($done < $total)
	{
		$server->refunds('P', $done + 1, $done + $step);
		$done += $step;
		Bench::wait_for("$done are settled", 600, sub {
			$server->sql("SELECT count(*) FROM refundx.instruction WHERE is_open") == 0;
		});
		foreach my $kind (@kinds)
		{
			$at{$kind}{$done} = Bench::private_kb($pid{$kind}) / 1024;
		}
	}
	foreach my $kind (@kinds)
	{
		my ($begin, $end) = @{ $at{$kind} }{ $first, $total };

		Bench::figure('memory', "$kind after $total refunds", sprintf('%.1f MiB', $end),
			'', $end, '<=', 40);
		Bench::figure('memory', "$kind, growth after the first $first", sprintf('%.1f MiB', $end),
			sprintf('%.1f MiB then', $begin), $end - $begin, '<=', 1);
	}
	return;
}

1;
