# Refunds that were not made here, and news that cannot be true.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Callback;
use Refundx::Oracle;
use Test::More;

my $rx = Refundx->new('main', config => { time_scale => 60, not_found_after => 1 });
my $sandbox = $rx->sandbox;
my $from = Refundx::Callback->new($rx);
my $conformance = "$FindBin::Bin/../conformance";

# Somebody refunds in the merchant's console; the HTTP statuses.
sub console
{
	my (@refunds) = @_;
	my $in = join '', map { Refundx::to_json($_) . "\n" } @refunds;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'sh', "$conformance/install" ], '<', \undef, '>&', \$err) or die "no npm packages: $err";
	IPC::Run::run([ 'node', "$conformance/console.mjs", '--sandbox', $sandbox->data ], '<', \$in, '>', \$out, '2>', \$err)
	  or die "console.mjs failed: $err";
	return join ' ', split /\s+/, $out;
}

# What it sends for a refund of one of our payments.
sub console_refund
{
	my ($payment, $no, $amount, %more) = @_;
	return {
		transaction_id => "42000$payment",
		out_refund_no => $no,
		amount => { refund => 0 + $amount, total => 10000, currency => 'CNY' },
		%more };
}

# A payment of 100 yuan, its account with as much, and a refund of it.
sub start
{
	my ($no, $amount, @channel) = @_;

	# the hold of a contradiction is the whole account's, however many slots it has
	$rx->call('account_open', account => "A$no", currency => 'CNY', slots => $no eq 'C' ? 3 : 1);
	$rx->call('account_credit', account => "A$no", amount => 10000, reference => 'sold');
	$rx->payment("P$no", 10000, account => "A$no", @channel);
	$rx->refund("P$no", $no, $amount, @channel) if $amount;
	return;
}

# Everything about the money of a payment: its sums, its account, its journal.
sub money
{
	my ($no) = @_;
	return $rx->sql(
		"SELECT paid, refunding, refunded, returned, elsewhere FROM refundx.payment WHERE payment_no = 'P$no';
		 SELECT available, frozen FROM refundx.accounts WHERE account = 'A$no';
		 SELECT version, type, d_available, d_frozen FROM refundx.journal_lines WHERE account = 'A$no' ORDER BY version");
}

sub made { my (%spec) = @_; return scalar $from->make({ total => 10000, %spec }) }

# A test: the listener takes it, and it has been weighed, with that outcome.
sub weighed
{
	my ($message, $no, $outcome, $what) = @_;
	my $count = "SELECT count(*) FROM refundx.evidence_log WHERE wire_no = '$no' AND source = 'callback' AND outcome = '$outcome'";
	my $before = $rx->sql($count);

	is($from->status($message), 204, "$what: acknowledged");
	return ok($rx->poll("SELECT ($count) = $before + 1"), "$what: $outcome")
	  || diag($rx->story($no));
}

ok($from->wait_ready, 'the listener is there');

# ---- adopted: it exists at the channel ----

is(console(console_refund('PA1', 'A1', 3000)), '200', 'a refund was made before refundx came');
start('A1');
$rx->call('refund_adopt', channel => 'wx', payment_no => 'PA1', refund_no => 'A1', amount => 3000);
$rx->wait_state('A1', 'succeeded', 'adopted, it settles by a query');
is(money('A1'), "10000|0|3000|0|0\n7000|0\n1|credit|10000|0\n2|freeze|-3000|3000\n3|pay_out|0|-3000",
	'its money has gone');
is(sent_times($rx, 'A1'), 1, 'it was sent once, by whoever made it');
is(column($rx, 'A1', 'attempts'), 0, 'not by us');
is(paid_times($rx, 'A1'), 1, 'and paid once');

# ---- adopted: the channel does not know it ----

start('A2');
$rx->call('refund_adopt', channel => 'wx', payment_no => 'PA2', refund_no => 'A2', amount => 3000);
ok($rx->poll("SELECT polls >= 3 AND state = 'unknown' AND with_person LIKE '%does not know this adopted refund%'
			  FROM refundx.refunds WHERE refund_no = 'A2'"), 'one that is not found is with a person')
  || diag($rx->story('A2'));
is(sent_times($rx, 'A2'), 0, 'it is never sent');
is(money('A2'), "10000|3000|0|0|0\n7000|3000\n1|credit|10000|0\n2|freeze|-3000|3000", 'and its money stays frozen');
like($rx->sql_error("SELECT refundx.refund_cancel('A2', 'not there')"), qr/^RX006 /, 'it cannot be canceled');
is(console(console_refund('PA2', 'A2', 3000)), '200', 'whoever had it queued sends it after all');
$rx->wait_state('A2', 'succeeded', 'and a later query finds it');
is($rx->sql("SELECT count(*) FROM refundx.desk WHERE subject = 'A2'"), 0, 'nobody has to look at it any more');

# ---- adopted, not known there, and an operator lets it be sent ----

start('A3');
$rx->call('refund_adopt', channel => 'wx', payment_no => 'PA3', refund_no => 'A3', amount => 3000);
ok($rx->poll("SELECT with_person IS NOT NULL FROM refundx.refunds WHERE refund_no = 'A3'"), 'another one is with a person');
like($rx->sql_error("SELECT refundx.refund_allow('A3', '')"), qr/^22023 /, 'allowing it needs a reason');
like($rx->sql_error("SELECT refundx.refund_allow('A9', 'why')"), qr/^RX012 /, 'and a refund');
is($rx->sql("SELECT (refundx.refund_allow('A3', 'never left the old system')).state"), 'unknown', 'allowed, it is asked about first');
$rx->wait_state('A3', 'succeeded', 'and then sent');
is(sent_times($rx, 'A3'), 1, 'once');
is($rx->sql("SELECT count(*) FROM refundx.audit_log WHERE action = 'refund_allow' AND subject = 'A3'"), 1, 'on the record');
is($rx->sql("SELECT (refundx.refund_allow('A3', 'again')).state"), 'succeeded', 'allowing it again is a no-op');

# ---- a refund made in the console ----

start('E', 1000);
$rx->wait_state('E', 'succeeded');
is(console(console_refund('PE', 'CONSOLE-1', 4000, notify_url => $rx->callback_url)), '200',
	'somebody refunds in the console');
ok($rx->poll("SELECT count(*) = 1 FROM refundx.external_refunds WHERE wire_no = 'CONSOLE-1' AND payment_no = 'PE' AND counted = 4000"),
	'its callback is kept as a refund made elsewhere');
is($rx->sql("SELECT refundable FROM refundx.payments WHERE payment_no = 'PE'"), 5000, 'and counted against what is left');
is($rx->sql("SELECT count(*) FROM refundx.desk WHERE what = 'external refund' AND subject = 'CONSOLE-1'"), 1,
	'a person is told');
like($rx->sql_error('SELECT ' . $rx->refund_text('PE', 'E2', 5001)), qr/^RX001 .*the 5000 left/, 'what exceeds the rest is refused');
$rx->refund('PE', 'E3', 5000);
$rx->wait_state('E3', 'succeeded', 'what does not, is paid');
$sandbox->ctl('callback', 'CONSOLE-1', 5);
ok($rx->poll("SELECT count(*) = 1 FROM refundx.evidence WHERE wire_no = 'CONSOLE-1'"), 'five copies of the callback are one');
is($rx->sql("SELECT elsewhere FROM refundx.payment WHERE payment_no = 'PE'"), 4000, 'and counted once');
is($rx->sql("SELECT count(*) FROM refundx.journal_lines WHERE account = 'AE' AND refund_no IS NULL AND type <> 'credit'"), 0,
	'no account of ours has moved for it');

# More than is left: the payment stops.
start('X', 9000);
$rx->wait_state('X', 'succeeded');
weighed(made(no => 'TOO-MUCH', amount => 2000, payment_no => 'PX'), 'TOO-MUCH', 'external', 'more than was left');
is($rx->sql("SELECT elsewhere, hold LIKE '%TOO-MUCH%exceeds%' FROM refundx.payment WHERE payment_no = 'PX'"), '1000|t',
	'the rest is counted, and the payment is on hold');
like($rx->sql_error('SELECT ' . $rx->refund_text('PX', 'X2', 1)), qr/^RX007 /, 'no refund of it is accepted');

# ---- a contradiction ----

# Canceled here before it was sent; then the channel says that it has paid.
$rx->set('refundx.dispatch' => 'off');
ok($rx->poll("SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'"), 'nothing is sent for now');
start('C', 3000);
$rx->sql("SELECT refundx.refund_cancel('C', 'changed their mind')");
$rx->set('refundx.dispatch' => 'on');
my $before = money('C');
weighed(made(no => 'C', amount => 3000, payment_no => 'PC'), 'C', 'contradiction', 'a success of a canceled refund');
is($rx->state('C'), 'canceled', 'the state stays');
is(money('C'), $before, 'and nothing has moved');
is($rx->sql("SELECT (SELECT hold IS NOT NULL FROM refundx.payment WHERE payment_no = 'PC'),
				    (SELECT hold IS NOT NULL FROM refundx.account WHERE account_no = 'AC')"), 't|t',
	'payment and account are on hold');
like($rx->sql("SELECT with_person FROM refundx.refunds WHERE refund_no = 'C'"), qr/says "succeeded", but the refund is canceled/,
	'a person is told');
like($rx->sql_error('SELECT ' . $rx->refund_text('PC', 'C2', 1)), qr/^RX007 /, 'no refund of the payment is accepted');
like($rx->sql_error(qq{SELECT refundx.account_debit('AC', 1, 'withdrawn $_')}), qr/^RX007 /, 'nothing is taken from the account')
  foreach 1 .. 3;
$rx->payment('PC3', 10000, account => 'AC');
like($rx->sql_error('SELECT ' . $rx->refund_text('PC3', 'C3', 1)), qr/^RX007 /, 'nor is a refund of another payment paid from it');
weighed(made(no => 'C', amount => 3000, payment_no => 'PC', refund_id => '50000C-other'), 'C', 'contradiction', 'said again');
is(money('C'), $before, 'nothing has moved');

# ---- evidence that is about something else ----

# A channel of the same merchant at the real pace: what was accepted is asked
# about after a minute, so that only what we say of it is heard.
my @slow = (channel => 'slow');
$rx->channel_add('slow');
$sandbox->ctl('pause-callbacks', 'on');
foreach my $case (
	[ 'M1', 'another amount', amount => 2999 ],
	[ 'M2', 'another merchant', amount => 3000, mchid => '1900000999' ],
	[ 'M3', 'another payment', amount => 3000, transaction_id => '42000SOMETHING' ])
{
	my ($no, $what, %spec) = @$case;

	start($no, 3000, @slow);
	$rx->wait_state($no, 'accepted');
	my $money = money($no);
	weighed(made(no => $no, payment_no => "P$no", %spec), $no, 'mismatch', $what);
	is($rx->state($no), 'accepted', "$what: the state stays");
	is(money($no), $money, "$what: nothing has moved");
	is($rx->sql("SELECT with_person IS NOT NULL FROM refundx.refunds WHERE refund_no = '$no'"), 't', "$what: a person is told");
	weighed(made(no => $no, payment_no => "P$no", amount => 3000), $no, 'moved', "$what, then the true one");
	is($rx->state($no), 'succeeded', 'which settles it');
}
# ---- a callback before the answer ----

$sandbox->ctl('pause-callbacks', 'off');
start('B', 9006);
$rx->wait_state('B', 'succeeded');
ok($rx->poll("SELECT count(*) = 1 FROM refundx.evidence_log WHERE wire_no = 'B' AND source = 'answer' AND outcome IS NOT NULL"), 'the answer came');
is($rx->sql("SELECT string_agg(source || ' ' || outcome, ', ' ORDER BY evidence_id) FROM refundx.evidence_log WHERE wire_no = 'B'"),
	'callback moved, answer noted', 'the callback settles it, the answer after it is noted');
is(lines_of($rx, 'B'), 'queued>sending>succeeded', 'in one step');

# ---- any copies, in any order (I12) ----

# Three things that a channel may say of one refund: the card is dead; paid
# after all; paid again, with another id of its own.  Each sequence goes to a
# refund of its own, by the listener or by callback_ingest(), and at the end
# all of them have the same money.
$sandbox->ctl('pause-callbacks', 'on');
my @words = (
	{ status => 'ABNORMAL' },
	{ status => 'SUCCESS' },
	{ status => 'SUCCESS', refund_id => '50000again' });
my @sequences = map { [ split // ] } qw(
  1 11 011 101 110 01 10 0011 1100 0101 1010 0110 1001
  012 021 102 120 201 210 001122 221100 010212 212010);
my $n = 0;
my @numbers;

foreach my $sequence (@sequences)
{
	my $no = 'I' . ++$n;

	push @numbers, $no;
	start($no, 9013, @slow);
}
$rx->wait_state($_, 'accepted') foreach @numbers;
$n = 0;
foreach my $sequence (@sequences)
{
	my $no = 'I' . ++$n;
	my @messages = map { made(no => $no, amount => 9013, payment_no => "P$no", %{ $words[$_] }) } @$sequence;

	if ($n % 2)
	{
		my @statuses = map { $from->status($_) } @messages;
		is(join(' ', @statuses), join(' ', (204) x @statuses), "sequence @$sequence: each is acknowledged");
	}
	else
	{
		my @results = map {
			$rx->sql("SELECT result, status FROM refundx.callback_ingest('wx', "
				  . Refundx::literal(Refundx::to_json($_->{headers})) . '::jsonb, '
				  . "decode('" . encode_base64($_->{body}, '') . "', 'base64'))")
		} @messages;
		is(join(' ', @results), join(' ', ('stored|204') x @results), "sequence @$sequence: each is kept");
	}
}
$rx->wait_state($_, 'succeeded') foreach @numbers;
ok($rx->poll('SELECT count(*) = 0 FROM refundx.evidence_log WHERE outcome IS NULL'), 'all evidence is weighed');

my %ends;
foreach my $i (1 .. @sequences)
{
	my $money = money("I$i");

	push @{ $ends{$money} }, join('', @{ $sequences[ $i - 1 ] });
	my %different = map { $_ => 1 } @{ $sequences[ $i - 1 ] };
	is( $rx->sql("SELECT count(*) FROM refundx.evidence WHERE source = 'callback' AND wire_no = 'I$i'"),
		scalar keys %different, "I$i: one piece of evidence for each thing that was said");
}
is_deeply([ keys %ends ],
	["10000|0|9013|0|0\n987|0\n1|credit|10000|0\n2|freeze|-9013|9013\n3|pay_out|0|-9013"],
	'whatever the copies and their order: one state, one journal') || diag(explain(\%ends));
is($rx->sql("SELECT count(*) FROM refundx.payment WHERE payment_no LIKE 'PI%' AND hold IS NOT NULL"), 0, 'and no contradiction');

# ---- the end ----

$rx->check_ok('at the end');
tables_ok($rx, 'at the end');
is(scalar(grep { $_->{paid_times} > 1 } @{ $sandbox->refunds }), 0, 'nothing was paid twice');
done_testing();
