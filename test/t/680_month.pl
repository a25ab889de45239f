# A month of business over three channels, of which the bills get some wrong: each
# difference is found and classed, and none is invented.
#
# The sandbox plants by seed, and this test by command: lines left out, amounts, states
# and fees changed, lines doubled, lines in the next day's bill, refunds and transfers
# made by hand.  The sandbox keeps the list of them, which is the oracle.  Days pass by
# moving both clocks; the bills come by themselves, as days pass.
#
#	REFUNDX_SEED	repeats a run
#
# fault_21 (reconciliation is set-based, and covers refunds and withdrawals), fault_30
# (a refund made by hand is kept, counts against the headroom, and is adopted from the
# bill); I22 (reconciling twice is reconciling once).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Books;
use Refundx::Oracle;
use Test::More;

my $seed = $ENV{REFUNDX_SEED} || 20261127;
my $days = 30;

note "REFUNDX_SEED=$seed";
srand $seed;

# What the sandbox hides is hidden for a day of its clock.
my $books = Refundx::Books->new('main',
	sandbox => [ '--plant', 8, '--seed', $seed, '--not-found-ms', 86400000 ]);
my $rx = $books->rx;

# What the lines do not say, we must know: Alipay gives its 0.6 % back.
$rx->call('bill_expect_fee', channel => 'alipay', about => 'refund', rate_ppm => -6000, reason => 'a test');

# Also the account that nobody needs for a refund's sake.
$rx->call('bill_fetch_set', channel => 'wechat', kind => 'fund_basic', wanted => 'true', reason => 'a test');

# ---- the month ----

# Below what the sandbox takes for a sign.
my $some = sub { return 100 + int rand 8800 };

# One of each class at least, whatever the seed; of numbers about which none is planted yet.
sub plant_each
{
	my ($n) = @_;
	my %planted = map { $_->{no} => 1 } $books->plants;

	foreach ([ 'missing', "R${n}x1stripe" ], [ 'amount', "R${n}x1alipay", -1 ], [ 'state', "R${n}x1wechat" ],
		[ 'twice', "R${n}x2wechat" ], [ 'fee', "R${n}x2alipay" ], [ 'day', "R${n}x2stripe" ],
		[ 'missing', "W${n}x1wechat" ], [ 'amount', "W${n}x1alipay" ])
	{
		$books->sandbox->ctl('plant', @$_) unless $planted{ $_->[1] };
	}
	foreach my $channel ($books->names)
	{
		# of a payment with nothing else to find about it: a contradiction would hold it
		my ($of) = grep { !$planted{$_} } map { "R${n}x$_$channel" } 3 .. 6;
		$books->sandbox->ctl('console-refund', $books->merchant($channel), $books->payment_at_channel($channel, $of), '-', 700);
	}
	$books->sandbox->ctl('console-transfer', $books->merchant($_), '-', 900) foreach qw(wechat alipay);
	return;
}

foreach my $n (1 .. $days)
{
	$books->submit(
		map({ $books->refunds($_, "R${n}x", $n == 7 ? 6 : 2 + int(rand 3), $some) } $books->names),
		map({ $books->withdrawals($_, "W${n}x", 1 + int(rand 2), $some) } qw(wechat alipay)));
	$books->drain;
	plant_each($n) if $n == 7;
	$books->next_day;
}

# On the last day the channels do not tell what they have done: no callback comes, and
# a query finds nothing.  The bill says it.
# (What they get wrong they have by now: what a bill says of these is true.)
my @untold;
$books->sandbox->restart('--plant', 0);
$books->sandbox->ctl('pause-callbacks', 'on');
$books->submit(map { $books->refunds($_, 'U', 1, 9012, \@untold) } qw(wechat stripe));
ok($rx->poll("SELECT count(*) = 0 FROM refundx.instruction WHERE state IN ('queued', 'sending')"), 'they have been sent');
is($rx->sql('SELECT count(*) FROM refundx.instruction WHERE is_open'), 2, 'and nobody says more');
$books->move(22.5 * 3600);
$books->drain;
foreach (@untold)
{
	is(column($rx, $_, 'state'), 'succeeded', "$_ is settled by the bill");
	is($rx->sql("SELECT string_agg(DISTINCT source, ' ') FROM refundx.evidence WHERE wire_no = '$_' AND verdict = 'succeeded'"),
		'bill', "$_: and by nothing else");
}
$books->sandbox->ctl('pause-callbacks', 'off');

# What stands in no bill is waited for as long as the channel may be late.
my $delay = $rx->sql('SELECT max(delay_days) FROM refundx.bill_kinds()') + 1;
$books->move($delay * 86400);
ok($books->fetched($books->day(-1)), 'every bill has come, and its day has been reconciled');

# ---- each difference is found, and none is invented ----

my @plants = $books->plants;
my %count;
$count{ $_->{class} }++ foreach @plants;
note "planted: ", join ', ', map { "$count{$_} $_" } sort keys %count;
is(join(' ', sort keys %count), 'amount console day fee missing state twice', 'every class was planted');
is_deeply([ $books->found ], [ $books->planted ], 'what was planted is found, and nothing else (fault_21)')
  || diag("REFUNDX_SEED=$seed");

# Each number is in one class, of the newest run of its day.
my $newest = q{SELECT c.* FROM refundx.reconciliation_class c
	JOIN (SELECT max(run_id) AS run_id FROM refundx.reconciliation GROUP BY merchant_id, day) r USING (run_id)};
is($rx->sql("SELECT about, sum(n) FROM ($newest) c WHERE class <> 'other_day' GROUP BY 1 ORDER BY 1"),
	join("\n", map { my $kind = $_;
		my $about = $kind eq 'refund' ? 'refund' : 'transfer';
		"$kind|" . ($rx->sql("SELECT count(*) FROM refundx.instruction WHERE kind = '$kind'")
			+ grep { $_->{class} eq 'console' && $_->{about} eq $about } @plants) } qw(refund withdrawal)),
	'each number of either side is in exactly one class');
is($rx->sql("SELECT sum(n) FROM ($newest) c WHERE class = 'settled_by_bill'"), 2, 'two were settled by the bill');
is($rx->sql("SELECT sum(n) FROM ($newest) c WHERE class = 'other_day'"), $count{day},
	'what stood in the next day\'s bill waited, and was found there');

# ---- twice is once (I22) ----

my @written = $books->written;
my $reconciled = $rx->sql("SELECT DISTINCT c.name, b.day FROM refundx.bill b JOIN refundx.channel c USING (channel_id)
	WHERE b.state IN ('loaded', 'empty') ORDER BY 1, 2");
$rx->sql(join '', map { my ($channel, $day) = split /\|/; "SELECT count(*) FROM refundx.reconcile('$channel', '$day');\n" }
	  split /\n/, $reconciled);
$books->unchanged('reconciling everything again writes nothing (I22)', @written);
$books->load('wechat', $books->day(-$delay - 2));
$books->unchanged('nor does loading the same file by hand', @written);

# ---- made by hand (fault_30) ----

my @by_hand = grep { $_->{class} eq 'console' } @plants;
my ($refund) = grep { $_->{channel} eq 'wechat' && $_->{amount} == 700 } @by_hand;
my ($of) = $rx->sql("SELECT p.payment_no, p.elsewhere FROM refundx.external_refund x JOIN refundx.payment p USING (payment_id)
	WHERE x.wire_no = '$refund->{no}'") =~ /^(.*)\|700$/;
ok($of, 'fault_30: a refund made by hand counts against its payment');
like($rx->sql_error(Refundx::call_text('refund_submit', channel => 'wechat', payment_no => $of, refund_no => 'TOO-MUCH',
		amount => 50000 - 700) =~ s/^/SELECT /r), qr/^RX\d{3} /, 'fault_30: which has only the rest');
foreach (@by_hand)
{
	my $break = $rx->sql("SELECT break_id FROM refundx.break WHERE wire_no = '$_->{no}' AND class = 'missing_here'");
	my $call = $_->{about} eq 'refund'
	  ? Refundx::call_text('break_accept', break_id => $break, reason => 'made by hand')
	  : Refundx::call_text('break_resolve', break_id => $break, reference => 'ticket 7', reason => 'made by hand');

	like($rx->sql("SELECT done FROM $call"), qr/^t$/, "$_->{about} $_->{no} is dealt with");
}
is(column($rx, $refund->{no}, 'state'), 'succeeded', 'fault_30: it is adopted');
is($rx->sql("SELECT p.elsewhere FROM refundx.payment p WHERE payment_no = '$of'"), 0, 'and has its place in the payment\'s sum');

# ---- the end ----

my $transfers = join '|', map { $_->{about} eq 'transfer' ? $_->{no} : () } @by_hand;
$rx->{elsewhere} = qr/^(?:$transfers)$/;
sound($rx, 'after the month');
never_twice($rx);
done_testing();
