# A channel that is down must not cost the others anything: WeChat Pay and
# Alipay settle their refunds while Stripe refuses connections, or hangs, and
# has a backlog of its own; beside the same with Stripe at rest.

package Bench::Channels;

use strict;
use warnings;

use Time::HiRes qw(time sleep);

my $merchants = 8;
my $apps = 4;
my $batch = 0;

# WeChat's amounts settle in the answer, so that no callback is waited for.
sub refunds
{
	my ($server, $wechat, $alipay) = @_;

	$batch++;
	# payments of its own, for a minute lies between two refunds of one
	$server->sql("SELECT count(refundx.refund_submit('wx' || (i % $merchants + 1), 'w$batch-' || i, 'w$batch-' || i, 9016,
		            payment_amount => 10000, currency => 'CNY'))
		          FROM generate_series(1, $wechat) i");
	$server->sql("SELECT count(refundx.refund_submit('alipay' || (i % $apps + 1), 'a$batch-' || i, 'a$batch-' || i, 9016,
		            payment_amount => 10000, currency => 'CNY'))
		          FROM generate_series(1, $alipay) i");
	return;
}

# Seconds until both are through, and the dispatcher's CPU time per refund.
sub round
{
	my ($server, $wechat, $alipay) = @_;
	my $dispatcher = $server->worker_pid('dispatcher');

	refunds($server, $wechat, $alipay);
	my $cpu = Bench::cpu_us($dispatcher);
	my $started = time;
	Bench::wait_for('WeChat Pay and Alipay are through', 300, sub {
		$server->sql("SELECT count(*) FROM refundx.instruction
			          WHERE is_open AND instruction_no ~ '^[wa]$batch-'") == 0;
	});
	return (time - $started, (Bench::cpu_us($dispatcher) - $cpu) / ($wechat + $alipay));
}

sub stripe
{
	my ($server, $how) = @_;

	$server->sql(qq{SELECT refundx.channel_set('stripe1', '{"base_url": "$server->{stripe_url}{$how}"}')});
	$server->sql(q{DELETE FROM refundx.merchant_pause USING refundx.merchant m
		WHERE m.merchant_id = merchant_pause.merchant_id AND m.kind = 'stripe'});
	$server->sql(qq{SELECT refundx.@{[ $how eq 'rest' ? 'pause' : 'resume' ]}('merchant', 'stripe1', 'a benchmark', 'refund')});
	sleep 1.5;					# the dispatcher reads settings once a second
	return;
}

sub compare
{
	my ($server, $how, $wechat, $alipay) = @_;
	my (@time, @cpu);

	foreach my $i (1 .. Bench::rounds())
	{
		stripe($server, 'rest');
		my ($rest, $rest_cpu) = round($server, $wechat, $alipay);
		stripe($server, $how);
		my ($down, $down_cpu) = round($server, $wechat, $alipay);
		push @time, $rest / $down;
		push @cpu, $down_cpu / $rest_cpu;
	}
	Bench::figure('channels', "throughput of the others while Stripe $server->{stripe_words}{$how}",
		sprintf('%.2f', Bench::median(@time)), 'Stripe at rest', Bench::median(@time), '>=', 0.9);
	Bench::figure('channels', "the dispatcher's CPU per refund of theirs, likewise",
		sprintf('%.2f', Bench::median(@cpu)), 'Stripe at rest', Bench::median(@cpu), '<=', 1.05);
	return;
}

sub run
{
	my $server = Bench->new('channels', merchants => $merchants, apps => $apps, sandbox => ['--no-fsync']);
	my ($wechat, $alipay) = $Bench::quick ? (800, 200) : (2400, 600);
	my $hanging = Bench::free_port();

	Bench::spawn("$server->{dir}.delay.log", $^X, 'test/bench/delay.pl', $hanging,
		Bench::slurp("$server->{sandbox}/port") + 0, 600);
	Bench::wait_for('the hanging channel listens', 10, sub { -s "$server->{dir}.delay.log" });
	$server->{stripe_url} = {
		rest => 'http://127.0.0.1:' . (Bench::slurp("$server->{sandbox}/port") + 0),
		refuses => 'http://127.0.0.1:' . Bench::free_port(),
		hangs => "http://127.0.0.1:$hanging" };
	$server->{stripe_words} = { refuses => 'refuses connections', hangs => 'hangs' };
	$server->sql("SELECT count(refundx.refund_submit('stripe1', 'S' || i, 's-' || i, 100,
		            payment_amount => 100000, currency => 'USD', channel_payment_id => 'pi_' || i))
		          FROM generate_series(1, 1000) i");
	$server->sql('VACUUM ANALYZE');
	stripe($server, 'rest');
	$server->configure('refundx.dispatch' => 'on');
	round($server, $wechat, $alipay);	# warms up
	compare($server, $_, $wechat, $alipay) foreach 'refuses', 'hangs';
	return;
}

1;
