# What changes while refunds are under way, and how fast they may go: settings,
# channels, the paces of a payment and of a merchant, polls, the other host.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Oracle;
use Test::More;
use Time::HiRes qw(time);

my $rx = Refundx->new('main',
	sandbox => [ '--speed', 60, '--callback-delay-ms', 20, '--limits' ],
	config => { time_scale => 60, not_found_after => 1 });
my $sandbox = $rx->sandbox;

sub start
{
	my ($no, $amount, %more) = @_;
	$rx->payment("P$no", 50000);
	return $rx->refund("P$no", $no, $amount, %more);
}

# When each was sent: unix, seconds
sub sent_at
{
	my ($no) = @_;
	return map { $_->{at} / 1e6 } grep { $_->{call} eq 'wechat.refund.create' && $_->{no} eq $no } @{ $sandbox->wire };
}

sub dispatcher_says
{
	my ($like, $what) = @_;
	return ok($rx->poll("SELECT doing LIKE '$like' FROM refundx.worker_status() WHERE kind = 'dispatcher'"), $what);
}

# ---- refundx.dispatch ----

$rx->set('refundx.dispatch' => 'off');
dispatcher_says('%dispatch is off%', 'a reload turns sending off');
start("O$_", 10000 + $_) foreach 1 .. 5;
ok($rx->poll("SELECT min(clock_timestamp() - submitted_at) > interval '1 s' FROM refundx.instruction"));
is($rx->sql("SELECT DISTINCT state FROM refundx.instruction"), 'queued', 'refunds are taken, and wait');
is(scalar @{ $sandbox->wire }, 0, 'nothing at all is called');
$rx->set('refundx.dispatch' => 'on');
$rx->wait_state("O$_", 'succeeded', "O$_ goes when it is on again") foreach 1 .. 5;

# ---- cancel against the claim, with the real dispatcher ----

subtest 'a cancel that is not committed yet keeps the refund from being sent' => sub {
	foreach my $end (qw(ROLLBACK COMMIT))
	{
		my $no = "X$end";
		my $session = $rx->node->background_psql($rx->database);

		$rx->payment("P$no", 50000);
		# in one transaction, so that the dispatcher sees it with the lock on it
		$rx->set('refundx.dispatch' => 'off');
		dispatcher_says('%dispatch is off%', 'off');
		$rx->refund("P$no", $no, 10000);
		$session->query_safe("BEGIN; SELECT refundx.refund_cancel('$no', 'perhaps')");
		$rx->set('refundx.dispatch' => 'on');
		start("Y$end", 10000);
		$rx->wait_state("Y$end", 'succeeded', 'others are sent meanwhile');
		is(sent_times($rx, $no), 0, 'it is not');
		$session->query_safe($end);
		$session->quit;
		$rx->wait_state($no, $end eq 'COMMIT' ? 'canceled' : 'succeeded', "after $end");
		is(sent_times($rx, $no), $end eq 'COMMIT' ? 0 : 1, "after $end, it was sent or it was not");
	}
};

# ---- the URL is frozen with the request ----

subtest 'public_base_url: what was sent once is sent alike' => sub {
	my $first = 'http://127.0.0.1:' . $rx->callback_port;
	my $second = 'http://localhost:' . $rx->callback_port;
	my $url = 'SELECT notify_url FROM refundx.request WHERE wire_no = ';

	start('U1', 19009);
	ok($rx->poll("SELECT paused = 'hold' FROM refundx.merchants"), 'U1 is refused for now');
	$rx->set('refundx.public_base_url' => $second);
	$sandbox->ctl('topup');
	$rx->wait_state('U1', 'succeeded');
	start('U2', 10000);
	$rx->wait_state('U2', 'succeeded');
	is($rx->sql("$url 'U1'"), "$first/v1/wx", 'the old request keeps the old URL');
	is($rx->sql("$url 'U2'"), "$second/v1/wx", 'a new one has the new URL');
	my %bytes = map { $_->{digest} => 1 } grep { $_->{call} eq 'wechat.refund.create' && $_->{no} eq 'U1' } @{ $sandbox->wire };
	cmp_ok(sent_times($rx, 'U1'), '>', 1, 'U1 was sent again');
	is(keys %bytes, 1, 'in the same bytes');
	$rx->set('refundx.public_base_url' => $first);
};

# ---- a channel that changes while its call is under way ----

subtest 'channel_set while a call is under way' => sub {
	$sandbox->ctl('pause-callbacks', 'on');
	start('S1', 19018);
	ok(Refundx::wait_for(sub { sent_times($rx, 'S1') }, 'S1 arrives'), 'S1 is on the wire');
	is($rx->sql("SELECT refundx.channel_set('wx', closed => true)"), 'wx', 'the channel is closed');
	like($rx->sql_error('SELECT ' . $rx->refund_text('PU2', 'S2', 100)), qr/^RX018 /, 'it takes no new refund');
	$sandbox->ctl('release', 'S1');
	$rx->wait_state('S1', 'succeeded', 'what is under way goes on');
	$sandbox->ctl('pause-callbacks', 'off');
	$rx->sql("SELECT refundx.channel_set('wx', closed => false)");
	start('S2', 10000);
	$rx->wait_state('S2', 'succeeded', 'open again');
	is(sent_times($rx, 'S1'), 1, 'S1 was sent once');
};

# ---- refunds of one payment: one at a time, a minute apart ----

subtest 'spacing of one payment' => sub {
	# here a minute is two seconds
	$rx->sql("SELECT refundx.channel_set('wx', '{\"time_scale\": 30}')");
	$rx->node->restart;
	$rx->payment('PG', 50000);
	$rx->sql('BEGIN; ' . join(';', map { 'SELECT ' . $rx->refund_text('PG', "G$_", 1000) } 1 .. 3) . '; COMMIT');
	start("H$_", 10000) foreach 1 .. 3;
	$rx->wait_state($_, 'succeeded') foreach qw(G1 G2 G3 H1 H2 H3);
	my ($g1, $g2, $g3) = map { sent_at("G$_") } 1 .. 3;
	cmp_ok($g2 - $g1, '>=', 1.99, 'the second starts a minute after the first');
	cmp_ok($g3 - $g2, '>=', 1.99, 'and the third after the second');
	cmp_ok((sent_at('H3'))[0], '<', $g2 , 'other payments do not wait for that');

	# not before the first one's call has been answered or asked about
	$sandbox->ctl('pause-callbacks', 'on');
	$rx->payment('PK', 50000);
	$rx->refund('PK', 'K1', 19019);
	ok(Refundx::wait_for(sub { sent_times($rx, 'K1') }, 'K1 arrives'));
	$rx->refund('PK', 'K2', 1000);
	$rx->wait_state('K1', [ 'unknown', 'queued' ]);
	is(sent_times($rx, 'K2'), 0, 'nothing of a payment is sent while an outcome of it is unknown');
	$sandbox->ctl('pause-callbacks', 'off');
	ok(Refundx::wait_for(sub { $sandbox->ctl('release', 'all'); $rx->state('K2') eq 'succeeded' }, 'K2'),
		'it goes when that is known');
	$rx->wait_state('K1', 'succeeded');
};

# ---- a merchant's calls a second ----

subtest 'at most 150 calls, and 6 failing calls, a second' => sub {
	my $text = sub {
		my ($n, $amount, $name) = @_;
		return join ';', map { 'SELECT ' . $rx->refund_text("P$name$_", "$name$_", $amount,
				payment_amount => 50000, currency => 'CNY', channel_payment_id => "$name$_") } 1 .. $n;
	};

	$rx->sql('BEGIN;' . $text->(400, 10000, 'M') . '; COMMIT');
	drained($rx, '400 at once');
	my $mchid = $sandbox->channel_config->{mchid};
	my $stats = $sandbox->ctl('stats')->{merchants}{$mchid};
	cmp_ok($stats->{peak_ok_per_second}, '<=', 150, 'never more than 150 in a second');
	cmp_ok($stats->{peak_ok_per_second}, ">=", 50, "and not needlessly few") or diag(Refundx::to_json($stats));

	# A dispatcher that has just started sends a few to begin with; what has
	# gone well for a while may fail in a burst before that is noticed.
	$rx->node->restart;
	$rx->sql('BEGIN;' . $text->(20, 19001, 'N') . ';' . $text->(20, 10000, 'NN') . '; COMMIT');
	drained($rx, 'twenty that are refused');
	$stats = $sandbox->ctl('stats')->{merchants}{$mchid};
	cmp_ok($stats->{peak_failing_per_second}, '<=', 6, 'never more than 6 failing in a second');
	is($stats->{throttled}, 0, 'the channel never had to throttle us');
	is($rx->sql("SELECT count(*) FROM refundx.instruction WHERE instruction_no ~ '^N\\d' AND state = 'failed'"), 20,
		'all twenty are refused for good');
};

# ---- the other host ----

subtest 'the backup host, when the first refuses connections' => sub {
	my $nobody = 'http://127.0.0.1:' . Refundx::free_port();

	$rx->sql('SELECT refundx.channel_set(\'wx\', ' . Refundx::literal(Refundx::to_json(
				{ base_url => $nobody, backup_url => $sandbox->url })) . ')');
	$rx->node->restart;
	start('B1', 10000);
	$rx->wait_state('B1', 'succeeded', 'B1 gets there');
	my ($failed, $good) = split /\|/, $rx->sql(
		"SELECT count(*) FILTER (WHERE NOT backup_host), count(*) FILTER (WHERE backup_host)
		   FROM refundx.attempt WHERE wire_no = 'B1' AND call = 'submit'");
	cmp_ok($failed, '>=', 1, 'after trying the first');
	is($good, 1, 'by the other');
	is($rx->sql("SELECT count(*) FROM refundx.event e JOIN refundx.instruction i USING (instruction_id)
				 WHERE instruction_no = 'B1' AND to_state IN ('failed', 'unknown')"), 0,
		'a connection that was refused is neither a refusal nor a doubt');
	is(sent_times($rx, 'B1'), 1, 'sent once');
	$rx->sql('SELECT refundx.channel_set(\'wx\', ' . Refundx::literal(Refundx::to_json(
				{ base_url => $sandbox->url })) . ')');
};

drained($rx, 'before the clock is moved');
sound($rx, 'before the clock is moved');
wire_ok($rx, 'before the clock is moved');

# ---- how often it is asked about ----

subtest 'polls of an accepted refund: each minute at first, then ever more rarely' => sub {
	my @delays = (60, 60, 60, 60, 60, 300, 600, 1200, 1800, 3600, 10800, 10800, 10800);
	my $offset = 0;

	# a channel that takes days
	$sandbox->restart('--callback-delay-ms', 86400 * 1000);
	$rx->sql("SELECT refundx.channel_set('wx', '{\"time_scale\": null}')");
	$rx->node->restart;
	start('L1', 10000);
	$rx->wait_state('L1', 'accepted');
	foreach my $n (0 .. $#delays)
	{
		my $left = $rx->sql("SELECT ceil(extract(epoch FROM due_at - clock_timestamp()))::int - $offset
							   FROM refundx.instruction WHERE instruction_no = 'L1'");

		ok($left <= $delays[$n] && $left >= $delays[$n] - 15, "poll " . ($n + 1) . " comes after $delays[$n] s")
		  || diag("it is due in $left s");
		$offset += $left;
		$rx->set('refundx.clock_offset' => $offset);
		ok($rx->poll("SELECT polls > $n FROM refundx.instruction WHERE instruction_no = 'L1'"), 'and comes');
	}
	is(column($rx, 'L1', 'state'), 'accepted', 'none of which ends it');
	$sandbox->ctl('settle', 'L1', 'SUCCESS');
	$rx->wait_state('L1', 'succeeded');
};

$rx->stop;
done_testing();
