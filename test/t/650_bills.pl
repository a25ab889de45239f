# The channels' bills are fetched by themselves when they are due, read, and kept;
# what does not come, or comes wrong, comes later or goes to a person.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Channels;
use Test::More;

my $all = Refundx::Channels->new('main', settings => { 'refundx.fetch_bills' => 'on' });
my $rx = $all->rx;
my $sandbox = $all->sandbox;
my $moved = 0;

# The channels' clock and ours, together.
sub forward
{
	my ($seconds) = @_;

	$moved += $seconds;
	$sandbox->ctl('advance', $seconds);
	$rx->set('refundx.clock_offset' => "${moved}s");
	return;
}

# A refund of each channel that comes to its end; their numbers.
sub some_refunds
{
	my ($no) = @_;
	my @numbers = map { $all->start($_, $no, 10000) } $all->names;

	$rx->wait_state($_, 'succeeded', "$_ is paid") foreach @numbers;
	return @numbers;
}

# In which state the bills of a kind are that have the line; or "".
sub bill_with
{
	my ($no, $kind) = @_;
	return "SELECT coalesce(string_agg(DISTINCT b.state, ','), '') FROM refundx.bill_line l JOIN refundx.bill b USING (bill_id)
		WHERE b.kind = '$kind' AND l.movement = 'paid' AND l.wire_no = " . Refundx::literal($no);
}

sub bill_comes
{
	my ($no, $kind, $what) = @_;
	return ok($rx->poll(bill_with($no, $kind), 'loaded'), $what)
	  || diag($rx->sql('SELECT channel, kind, day, state, due_at, tries, error, person_reason FROM refundx.bills ORDER BY bill_id'));
}

# ---- when they are due ----

my ($wechat, $alipay, $stripe) = some_refunds('R1');

is($rx->sql('SELECT count(*) FROM refundx.bill WHERE day >= refundx.bill_day(now(), 28800)'), 0, 'a day that is not over has no bill');
forward(2 * 86400);
bill_comes($wechat, 'trade', 'WeChat Pay: the trade bill');
bill_comes($alipay, 'trade', 'Alipay: the trade bill');
bill_comes($stripe, 'balance', 'Stripe: balance transactions');
ok($rx->poll("SELECT count(*) > 0 FROM refundx.bill WHERE kind = 'fund_basic' AND state = 'loaded' AND came_in > 0"), 'the fund bill');
is($rx->sql("SELECT count(*) FROM refundx.bill WHERE state = 'loaded' AND opening + came_in - went_out <> closing"), 0, 'a ledger\'s movements lead from its opening to its closing');
is($rx->sql("SELECT count(*) FROM refundx.bill WHERE kind = 'fund_operation'"), 0, 'without transfers nobody asks for the operation account');
is($rx->sql("SELECT bool_and(hash = announced_hash) FROM refundx.bill b JOIN refundx.channel c USING (channel_id)
	  WHERE c.kind = 'wechat' AND b.state = 'loaded'"), 't', 'the hash is the announced one');
is($rx->sql("SELECT string_agg(DISTINCT c.kind || ' ' || packing || ' ' || encode(substr(k.bytes, 1, 2), 'hex'), ', ' ORDER BY c.kind || ' ' || packing || ' ' || encode(substr(k.bytes, 1, 2), 'hex'))
	  FROM refundx.bill b JOIN refundx.channel c USING (channel_id) JOIN refundx.bill_chunk k USING (bill_id) WHERE n = 0"),
	'alipay as it came 504b, stripe gzip 1f8b, wechat as it came 1f8b', 'the files are kept, packed');
is($rx->sql("SELECT count(*) FROM refundx.bill_line l JOIN refundx.bill b USING (bill_id) WHERE b.state <> 'loaded'"), 0, 'no line that does not count');
is($rx->sql('SELECT count(*) FROM refundx.desk'), 0, 'nothing for a person');

# ---- not there yet; a URL that has expired ----

($wechat, $alipay, $stripe) = some_refunds('R2');
$sandbox->ctl('spoil', $all->merchant('wechat'), 'trade', '*', 'creating', 1);
$sandbox->ctl('spoil', $all->merchant('alipay'), 'trade', '*', 'expired', 1);
forward(2 * 86400);
ok($rx->poll("SELECT count(*) > 0 FROM refundx.bills WHERE channel = 'wechat' AND kind = 'trade' AND state = 'due' AND tries = 1 AND error IS NOT NULL
	AND due_at > now() + interval '$moved s'"), 'a bill that is being made is asked for again later');
bill_comes($alipay, 'trade', 'where the URL has expired, a new one is asked for');
# half an hour, in the sandbox's time
forward(61);
bill_comes($wechat, 'trade', 'and it is there');

# ---- a file that is no good ----

($wechat) = some_refunds('R3');
$sandbox->ctl('spoil', $all->merchant('wechat'), 'trade', '*', 'hash', 100);
forward(2 * 86400);
ok($rx->poll("SELECT count(*) > 0 FROM refundx.bills WHERE channel = 'wechat' AND kind = 'trade' AND state = 'with_person'"), 'another hash than the announced one: a person');
like($rx->sql("SELECT string_agg(DISTINCT reason || ' ' || suggestion, '') FROM refundx.desk WHERE what = 'bill'"), qr/was announced.*bill_fetch\('wechat', 'trade'/s, 'who is told what to do');
is($rx->sql(bill_with($wechat, 'trade')), '', 'nothing of it counts');
ok($rx->sql("SELECT count(*) > 0 FROM refundx.health WHERE what = 'bill' AND level = 'error'") eq 't', 'health names it');
$sandbox->ctl('spoil', $all->merchant('wechat'), 'trade', '*', 'none');
$rx->sql("SELECT refundx.bill_fetch(channel, kind, day, 'it was spoilt') FROM refundx.bills WHERE state = 'with_person'");
bill_comes($wechat, 'trade', 'fetched again by hand');
ok($rx->poll("SELECT count(*) = 0 FROM refundx.desk WHERE what = 'bill'"), 'and the desk is empty');

# ---- fetched once more ----

my $day = $rx->sql("SELECT day FROM refundx.bill_line JOIN refundx.bill b USING (bill_id) WHERE b.kind = 'trade' AND wire_no = " . Refundx::literal($wechat));
$rx->sql("SELECT refundx.bill_fetch('wechat', 'trade', '$day', 'is it still the same?')");
ok($rx->poll("SELECT count(*) > 0 FROM refundx.bills WHERE day = '$day' AND kind = 'trade' AND channel = 'wechat' AND state = 'superseded' AND again"), 'the same again changes nothing');
is($rx->sql("SELECT count(*) FROM refundx.bills WHERE day = '$day' AND kind = 'trade' AND channel = 'wechat' AND state = 'loaded'"), 1, 'the loaded one counts as before');
$sandbox->ctl('plant', 'amount', $wechat);
$rx->sql("SELECT refundx.bill_fetch('wechat', 'trade', '$day', 'they have corrected it')");
ok($rx->poll("SELECT count(*) = 1 FROM refundx.bill_line l JOIN refundx.bill b USING (bill_id) WHERE b.state = 'loaded' AND b.kind = 'trade' AND l.amount <> 10000
	AND l.wire_no = " . Refundx::literal($wechat)), 'another file for the day takes its place');
is($rx->sql("SELECT count(*) FROM refundx.incidents WHERE kind = 'bill_superseded'"), 1, 'which is an incident');

# ---- sending is off ----

($wechat) = some_refunds('R4');
$rx->set('refundx.dispatch' => 'off');
forward(2 * 86400);
ok($rx->poll("SELECT count(*) > 0 FROM refundx.bill WHERE state = 'due' AND due_at < now() + interval '$moved s'"), 'while sending is off, bills become due');
my $asked = $rx->sql("SELECT sum(tries) FROM refundx.bill");
ok($rx->poll("SELECT count(*) > 0 FROM refundx.worker_status() WHERE kind = 'dispatcher' AND doing LIKE '%off%'"), 'the dispatcher says so');
$rx->set('refundx.poll_interval' => '90ms');
is($rx->sql('SELECT sum(tries) FROM refundx.bill'), $asked, 'and nobody asks');
$rx->set('refundx.dispatch' => 'on');
bill_comes($wechat, 'trade', 'afterwards they are fetched');

# ---- a merchant whose keys are wrong; what fails for a day ----

my $merchant = $rx->sql("SELECT merchant_id FROM refundx.channel WHERE name = 'wechat'");

($wechat) = some_refunds('R5');
$rx->sql("INSERT INTO refundx.merchant_pause (merchant_id, about, paused, since) VALUES ($merchant, 'refund', 'config', now())");
forward(2 * 86400);
ok($rx->poll("SELECT count(*) > 0 FROM refundx.bills WHERE channel = 'stripe' AND day > refundx.bill_day(now() + interval '$moved s', 0) - 2 AND state IN ('loaded', 'empty')"), 'others are asked');
is($rx->sql("SELECT coalesce(sum(tries), 0) FROM refundx.bills WHERE channel = 'wechat' AND state = 'due'"), 0, 'a merchant whose keys are wrong is not');
$sandbox->ctl('spoil', $all->merchant('wechat'), 'trade', '*', 'error', 1000);
$rx->sql("DELETE FROM refundx.merchant_pause WHERE merchant_id = $merchant");
ok($rx->poll("SELECT count(*) > 0 FROM refundx.bill WHERE merchant_id = $merchant AND kind = 'trade' AND state = 'due' AND failing_since IS NOT NULL"), 'what fails is tried again');
is($rx->sql("SELECT count(*) FROM refundx.desk WHERE what = 'bill'"), 0, 'by itself');
# a day, in the sandbox's time
forward(3600);
ok($rx->poll("SELECT count(*) > 0 FROM refundx.desk WHERE what = 'bill' AND reason LIKE 'nothing has come of asking for it for a day%'"), 'after a day it is a person\'s');
is($rx->sql("SELECT count(*) > 0 FROM refundx.incidents WHERE kind = 'bill_not_had'"), 't', 'an incident, too');
$sandbox->ctl('spoil', $all->merchant('wechat'), 'trade', '*', 'none');
$rx->sql("SELECT refundx.bill_fetch(channel, kind, day, 'it works again') FROM refundx.bills WHERE state = 'with_person'");
bill_comes($wechat, 'trade', 'who has it fetched');

# ---- three days without a server ----

$rx->node->stop('fast');
$moved += 3 * 86400;
$sandbox->ctl('advance', 3 * 86400);
$rx->configure('refundx.clock_offset' => "${moved}s");
$rx->node->start;
ok($rx->poll("SELECT count(*) = 3 FROM refundx.bills WHERE channel = 'wechat' AND kind = 'trade' AND state IN ('empty', 'loaded')
	AND day > refundx.bill_day(now() + interval '$moved s', 28800) - 5 AND day < refundx.bill_day(now() + interval '$moved s', 28800) - 1"), 'missed days are caught up with')
  || diag($rx->sql('SELECT channel, kind, day, state, due_at, tries, error FROM refundx.bills ORDER BY bill_id'));

# ---- kill -9 ----

SKIP:
{
	skip 'needs a build with TESTPOINTS=1', 6 unless $rx->has_test_points;
	foreach my $point ('dispatcher-bill-came', 'clerk-bill-found')
	{
		my $mark;

		($wechat) = some_refunds("K-$point");
		$mark = -s $rx->node->logfile;
		$rx->set('refundx.test_point' => "$point:wait");
		forward(2 * 86400);
		ok(Refundx::wait_for(sub { $rx->node->log_contains("test point \"$point\": waiting", $mark) }, "the server is at $point"), "the server is at $point");
		$rx->kill9;
		$rx->configure('refundx.test_point' => '');
		$rx->node->start;
		bill_comes($wechat, 'trade', "killed at $point, it is loaded all the same");
		is($rx->sql("SELECT count(*) FROM refundx.bill_line l JOIN refundx.bill b USING (bill_id) WHERE b.kind = 'trade' AND l.wire_no = " . Refundx::literal($wechat)), 1, 'once');
	}
}

$rx->check_ok;
$rx->stop;
done_testing();
