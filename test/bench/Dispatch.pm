# What a refund costs the dispatcher: CPU time per refund that was sent and
# recorded, beside one RSA-2048 signature, which each of them needs.  And a
# channel that takes two seconds for an answer, which must concern nobody else.

package Bench::Dispatch;

use strict;
use warnings;

use Time::HiRes qw(time sleep);

my $merchants = 16;				# each may be called 150 times a second

sub open_count
{
	my ($server) = @_;
	return $server->sql('SELECT count(*) FROM refundx.instruction WHERE is_open');
}

sub sign_us
{
	my ($server) = @_;
	return 0 + Bench::output("$Bench::work/bin/sign", "$server->{sandbox}/keys/apiclient_key.pem",
		$Bench::quick ? 0.5 : 1);
}

sub cost
{
	my $server = Bench->new('dispatch', merchants => $merchants, sandbox => ['--no-fsync']);
	my $each = $Bench::quick ? 1000 : 5000;
	my (@sign, @cost, @rate);

	$server->payments('P', $each * (Bench::rounds() + 1), 0);
	$server->refunds('P', 1, $each, 9016);
	$server->sql('VACUUM ANALYZE');
	foreach my $round (0 .. Bench::rounds())
	{
		my $dispatcher = $server->worker_pid('dispatcher');

		$server->refunds('P', $round * $each + 1, ($round + 1) * $each, 9016) if $round > 0;
		my $before = sign_us($server);
		sleep 0.5;
		my $cpu = Bench::cpu_us($dispatcher);
		my $started = time;
		$server->configure('refundx.dispatch' => 'on');
		Bench::wait_for('all are sent', 300, sub { open_count($server) == 0 });
		my $took = time - $started;
		$cpu = Bench::cpu_us($dispatcher) - $cpu;
		$server->configure('refundx.dispatch' => 'off');
		next if $round == 0;	# warms up
		push @sign, ($before + sign_us($server)) / 2;
		push @cost, $cpu / $each;
		push @rate, $each / $took;
	}
	Bench::figure('dispatch', "dispatcher's CPU per refund sent and recorded",
		sprintf('%.0f us', Bench::median(@cost)),
		sprintf('signature %.0f us', Bench::median(@sign)),
		Bench::median(map { $cost[$_] / $sign[$_] } 0 .. $#cost), '<=', 1.8);
	Bench::figure('dispatch', 'refunds sent and settled, all on this machine',
		sprintf('%.0f/s', Bench::median(@rate)), '', undef);
	$server->stop;
	return;
}

# Refunds of a healthy merchant, 20 a second, without and with a backlog of
# another's whose channel takes two seconds: how long until they are settled.
sub slow
{
	my $server = Bench->new('slow', merchants => 2, sandbox => ['--no-fsync']);
	my $n = $Bench::quick ? 60 : 200;
	my $port = Bench::free_port();
	my %took;

	Bench::spawn("$server->{dir}.delay.log", $^X, 'test/bench/delay.pl', $port,
		Bench::slurp("$server->{sandbox}/port") + 0, 2);
	Bench::wait_for('the slow channel listens', 10, sub { -s "$server->{dir}.delay.log" });
	$server->sql("SELECT refundx.channel_set('wx2',
		'{\"base_url\": \"http://127.0.0.1:$port\", \"backup_url\": \"http://127.0.0.1:$port\"}')");
	$server->payments('P', 4000, 0);
	$server->sql('VACUUM ANALYZE');
	$server->configure('refundx.dispatch' => 'on');
	foreach my $with ('without', 'with')
	{
		if ($with eq 'with')
		{
			# of wx2 only: the odd ones
			$server->sql("SELECT count(refundx.refund_submit('wx2', 'P' || i, 'slow-' || i, 9016))
				          FROM generate_series(1, 3999, 2) i");
			sleep 3;
		}
		my $base = $with eq 'with' ? 2000 : 0;
		$server->pgbench(
			"\\set n :n + 2\nSELECT refundx.refund_submit('wx1', 'P' || :n, '$with-' || :n, 9016);\n",
			'bench', 1, $n / 20, '-R', 20, '-D', "n=$base");
		Bench::wait_for('the healthy ones are settled', 60, sub {
			$server->sql("SELECT count(*) FROM refundx.instruction
				          WHERE is_open AND instruction_no LIKE '$with-%'") == 0;
		});
		$took{$with} = $server->sql("
			SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY 1000 * extract(epoch FROM state_since - submitted_at))
			    || ' ' || percentile_disc(0.99) WITHIN GROUP (ORDER BY 1000 * extract(epoch FROM state_since - submitted_at))
			  FROM refundx.instruction WHERE instruction_no LIKE '$with-%'");
	}
	my $waiting = open_count($server);
	die "the slow channel was not slow\n" unless $waiting > 100;
	my ($p50, $p99) = split ' ', $took{with};
	my ($free50, $free99) = split ' ', $took{without};
	Bench::figure('dispatch', 'settled beside a slow channel, p50', sprintf('%.1f ms', $p50),
		sprintf('%.1f ms without', $free50), $p50 - $free50, '<=', 10);
	Bench::figure('dispatch', 'settled beside a slow channel, p99', sprintf('%.1f ms', $p99),
		sprintf('%.1f ms without', $free99), $p99 - $free99, '<=', 100);
	return;
}

sub run
{
	cost();
	slow();
	return;
}

1;
