# From the client's COMMIT to the request on the wire, at 50 refunds a second:
# the client's clock when its commit has returned, and the channel's when the
# request has arrived.  Beside it c, a one-row durable commit at the same pace.

package Bench::Wire;

use strict;
use warnings;

my $script = <<'SQL';
\set n :n + 1
\set i :base + :n * 4 + :client_id
SELECT refundx.refund_submit('wx1', 'P' || :i, 'W' || :i, 9016);
SQL

sub run
{
	my $server = Bench->new('wire', sandbox => ['--no-fsync']);
	my $seconds = $Bench::quick ? 4 : 20;
	my $each = $seconds * 50 * 2;
	my (@commit, %committed);

	$server->payments('P', $each * Bench::rounds());
	$server->sql('VACUUM ANALYZE');
	$server->configure('refundx.dispatch' => 'on');
	foreach my $round (0 .. Bench::rounds() - 1)
	{
		my $prefix = "$server->{dir}.log$round";
		my $base = $round * $each;

		push @commit, $server->commit_us(50, $seconds / 2);
		$server->pgbench($script, 'bench', 4, $seconds, '-R', 50, '-D', 'n=0', '-D', "base=$base",
			'-l', '--log-prefix', $prefix);
		$committed{ 'W' . ($base + $_->[1] * 4 + $_->[0]) } = $_->[3]
		  foreach Bench::pgbench_log($prefix);
	}
	Bench::wait_for('all are sent', 60, sub {
		$server->sql("SELECT count(*) FROM refundx.instruction WHERE state <> 'succeeded'") == 0;
	});

	my @took;
	foreach my $line (split /\n/, Bench::slurp("$server->{sandbox}/wire.log"))
	{
		my ($us, $call, undef, $no) = split /\t/, $line;
		push @took, $us - $committed{$no} if $call eq 'wechat.refund.create' && $committed{$no};
	}
	die 'only ' . @took . ' of ' . keys(%committed) . " requests were seen\n" if @took < keys(%committed) * 0.99;

	my $c = Bench::median(@commit) / 1000;
	my ($p50, $p99) = map { Bench::percentile($_, @took) / 1000 } 50, 99;
	Bench::figure('wire', 'commit to wire at 50/s, p50', sprintf('%.2f ms', $p50),
		sprintf('c = %.2f ms', $c), $p50 - $c, '<=', 1);
	Bench::figure('wire', 'commit to wire at 50/s, p99', sprintf('%.2f ms', $p99),
		sprintf('5 c = %.2f ms', 5 * $c), $p99 - 5 * $c, '<=', 5);
	return;
}

1;
