# kill -9 of the whole server, at every moment of a refund's life.
#
# After each, everything converges: each number is paid exactly once, as the
# sandbox's ledger says, and nothing was on the wire that was not committed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Oracle;
use Test::More;
use Time::HiRes qw(usleep);

my $rx = Refundx->new('main',
	sandbox => [ '--speed', 60, '--callback-delay-ms', 20, '--hold-ms', 2000 ],
	config => { time_scale => 60, not_found_after => 1 });
my $sandbox = $rx->sandbox;

plan skip_all => 'needs a build with TESTPOINTS=1' unless $rx->has_test_points;

$rx->sql("SELECT refundx.account_open('A', 'CNY')");
$rx->sql("SELECT refundx.account_credit('A', 1000000000, 'opening')");

# Stop the named worker where it is told to, without a crash of its own: what
# dies is the whole server, at once.
sub hold_at
{
	my ($point) = @_;
	my $mark = -s $rx->node->logfile;

	$rx->set('refundx.test_point' => "$point:wait");
	return $mark;
}

sub reached
{
	my ($point, $mark) = @_;
	return ok(
		Refundx::wait_for(
			sub { $rx->node->log_contains("test point \"$point\": waiting", $mark) }, "the server is at $point"),
		"the server is at $point");
}

# Dead, and started again with nothing in its way.
sub crash
{
	$rx->kill9;
	$rx->configure('refundx.test_point' => '');
	$rx->node->start;
	return;
}

sub converges
{
	my ($no, $times) = @_;

	$rx->wait_state($no, 'succeeded', "$no comes to its end");
	is(paid_times($rx, $no), 1, "$no is paid once");
	is(sent_times($rx, $no), $times, "$no: sent $times times") if defined $times;
	return;
}

sub start
{
	my ($no, $amount) = @_;
	$rx->payment("P$no", 50000, account => 'A');
	return $rx->refund("P$no", $no, $amount);
}

# ---- submitted and committed, not dispatched ----

{
	$rx->set('refundx.dispatch' => 'off');
	ok($rx->poll("SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'"),
		'nothing is sent');
	start('C1', 10000);
	$rx->payment('PC1r', 50000, account => 'A');
	# a transaction that has not committed leaves nothing
	my $session = $rx->node->background_psql($rx->database);
	$session->query_safe('BEGIN; SELECT ' . $rx->refund_text('PC1r', 'C1r', 10000));
	$rx->kill9;
	eval { $session->quit };
	$rx->configure('refundx.dispatch' => 'on');
	$rx->node->start;
	converges('C1', 1);
	is($rx->state('C1r'), '', 'what was not committed is not there');
	is($rx->payment_sums('PC1r'), '50000|0|0', 'nor its freeze');
	is(sent_times($rx, 'C1r'), 0, 'nor anything on the wire');
}

# ---- claimed, nothing on the wire ----

{
	my $mark = hold_at('dispatcher-claimed');
	start('C2', 10000);
	reached('dispatcher-claimed', $mark);
	is($rx->state('C2'), 'sending', 'C2 is claimed');
	is(sent_times($rx, 'C2'), 0, 'and not sent');
	crash();
	converges('C2', 1);
	is(lines_of($rx, 'C2') =~ /sending>unknown>queued>sending/ ? 1 : 0, 1,
		'fault_25: it was asked about before it was sent') || diag(lines_of($rx, 'C2'));
}

# ---- on the wire: the channel has paid, and has not answered ----

{
	$sandbox->ctl('pause-callbacks', 'on');
	start('C3', 19018);
	ok(Refundx::wait_for(sub { paid_times($rx, 'C3') }, 'C3 is paid'), 'the channel has paid C3');
	is($rx->state('C3'), 'sending', 'C3 is on the wire');
	crash();
	converges('C3', 1);
	like(lines_of($rx, 'C3'), qr/sending>unknown>succeeded$/, 'a query found it');
	$sandbox->ctl('release', 'all');
	$sandbox->ctl('pause-callbacks', 'off');
}

# ---- on the wire, and the effect comes later than the restart ----

{
	start('C4', 19019);
	ok(Refundx::wait_for(sub { sent_times($rx, 'C4') }, 'C4 arrives'), 'C4 is at the channel, without effect');
	crash();
	ok(Refundx::wait_for(sub { sent_times($rx, 'C4') > 1 }, 'C4 again'), 'asked about, not found, sent again');
	$sandbox->ctl('release', 'all');
	converges('C4');
}

# ---- answered, and the answer not kept ----

{
	my $mark = hold_at('dispatcher-answered');
	$sandbox->ctl('pause-callbacks', 'on');
	start('C5', 10000);
	reached('dispatcher-answered', $mark);
	is($rx->state('C5'), 'sending', 'C5 is answered, but nobody has kept that');
	crash();
	converges('C5', 1);
	$sandbox->ctl('pause-callbacks', 'off');
}

# ---- kept, and not settled ----

foreach my $point ('dispatcher-kept', 'settler-before-commit', 'settler-after-commit')
{
	my $no = "C-$point";
	my $mark;

	# no evidence of others in the way
	drained($rx, "before $point");
	$sandbox->ctl('pause-callbacks', 'on');
	$mark = hold_at($point);
	start($no, 19016);
	reached($point, $mark);
	is($rx->state($no), $point eq 'settler-after-commit' ? 'succeeded' : 'sending', "$no is where it should be")
	  unless $point eq 'dispatcher-kept';
	is($rx->sql("SELECT count(*) FROM refundx.evidence WHERE wire_no = '$no' AND source = 'answer'"), 1,
		'its answer is kept');
	crash();
	converges($no, 1);
	is($rx->sql("SELECT count(*) FROM refundx.evidence WHERE wire_no = '$no' AND source = 'recovery'"), 0,
		'and nobody calls it lost');
	$sandbox->ctl('pause-callbacks', 'off');
}

drained($rx, 'after each moment');
sound($rx, 'after each moment');
wire_ok($rx, 'after each moment');

# ---- one worker at a time ----

foreach my $point (qw(dispatcher-claimed dispatcher-answered dispatcher-kept settler-before-commit settler-after-commit))
{
	my $mark = -s $rx->node->logfile;

	# It must crash once only, so the setting goes before the server is back;
	# a reload that comes while it restarts is read by what starts then.
	$rx->payment("PW-$point", 50000, account => 'A');
	$rx->set('refundx.test_point' => "$point:crash");
	# it may be too fast for the caller to hear of the commit
	$rx->node->psql($rx->database, 'SELECT ' . $rx->refund_text("PW-$point", "W-$point", 10000));
	ok(Refundx::wait_for(sub { $rx->node->log_contains("test point \"$point\": crash", $mark) }, "a crash at $point"),
		"kill -9 of a worker at $point");
	$rx->configure('refundx.test_point' => '');
	$rx->node->reload;
	ok(Refundx::wait_for(sub { $rx->answers }, 'the server is back'),
		'the server comes back by itself');
	$rx->node->reload;
	converges("W-$point");
}
sound($rx, 'after crashes of workers');

# ---- at random ----

my $seed = $ENV{REFUNDX_SEED} || 20230617;
note "seed $seed";
srand $seed;
$sandbox->restart('--chaos', 60, '--seed', $seed);

my $n = 200;
my $crashes = 6;
my %crash_after = map { int($n / $crashes * ($_ + rand)) => 1 } 0 .. $crashes - 1;
my $done = 0;

$rx->sql(join ';', map { 'SELECT ' . Refundx::call_text('payment_record', channel => 'wx',
		payment_no => "PS$_", amount => 50000, currency => 'CNY', channel_payment_id => "S$_",
		paid_at => \'now()', account => 'A') } 1 .. $n);
while ($done < $n)
{
	my $some = 1 + int rand 8;
	my @numbers = grep { $_ <= $n } $done + 1 .. $done + $some;

	# what the crash leaves of a batch, its callers send again, as callers do
	$rx->sql(join ';', map { 'SELECT ' . $rx->refund_text("PS$_", "S$_", 1000 + $_) } @numbers);
	usleep(int rand 60_000);
	if (grep { $crash_after{$_} } @numbers)
	{
		usleep(int rand 400_000);
		$rx->crash_and_start;
	}
	$done += @numbers;
}
drained($rx, "$n refunds, $crashes crashes");
sound($rx, "$n refunds, $crashes crashes");
wire_ok($rx, "$n refunds, $crashes crashes");
is(scalar(grep { $_->{paid_times} > 1 } @{ $sandbox->refunds }), 0, 'nothing is paid twice');
is($rx->sql("SELECT count(*) FROM refundx.instruction WHERE instruction_no LIKE 'S%'"), $n, 'nothing is lost');
cmp_ok($rx->sql("SELECT count(*) FROM refundx.evidence WHERE source = 'recovery'"), '>', 0,
	'some calls were under way when it happened');

$rx->stop;
done_testing();
