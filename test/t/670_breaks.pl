# What a person does about what the channel's bill and our books do not agree on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Test::More;

my $rx = Refundx->new('main', config => { time_scale => 60, not_found_after => 1 });
my $sandbox = $rx->sandbox;
my $mchid = $sandbox->channel_config->{mchid};
my $hour = 3600;

# The clock that due times, bills' days and ages go by.
sub at { my ($hours) = @_; return $rx->set('refundx.clock_offset' => $hours * $hour . ' s') }

# A bill of the channel's, as somebody downloads it by hand.
sub load
{
	my ($kind, $day) = @_;
	my $file = $sandbox->_run('ctl', '--data', $sandbox->data, 'bill', $mchid, $kind, $day);

	return $rx->sql("SELECT refundx.bill_load('wx', '$kind', '$day', decode('" . unpack('H*', $file) . "', 'hex')) > 0");
}

sub classes { my ($day) = @_; return $rx->sql("SELECT class, about, n, our_amount, bill_amount FROM refundx.reconcile('wx', '$day')") }

sub the_break { my ($no) = @_; return $rx->sql("SELECT break_id FROM refundx.breaks WHERE number = '$no' AND closed_at IS NULL") }

sub money
{
	my ($payment) = @_;
	return $rx->sql("SELECT refunding, refunded, elsewhere FROM refundx.payment WHERE payment_no = '$payment'");
}

# ---- a day's business ----

$rx->call('account_open', account => 'A', currency => 'CNY');
$rx->call('account_credit', account => 'A', amount => 50000, reference => 'sold');
$rx->payment('P1', 10000, account => 'A');
$rx->refund('P1', 'R1', 1000);
$rx->wait_state('R1', 'succeeded', 'a refund of ours');
$sandbox->ctl('console-refund', $mchid, '42000P1', 'HAND1', 3000);
$sandbox->ctl('console-transfer', $mchid, 'HANDW1', 7000);
is(money('P1'), '0|1000|0', 'of what was done by hand nobody has told us');

# The day's bill comes on the next.
my $day = $rx->sql("SELECT refundx.bill_day(submitted_at, 28800) FROM refundx.instruction WHERE instruction_no = 'R1'");
at(26);
is(load('trade', $day), 't', 'the bill of trades is loaded');
is(load('fund_operation', $day), 't', 'and that of the account of transfers');
is(classes($day), "matched|refund|1|1000|1000\nmissing_here|refund|1|0|3000\nmissing_here|withdrawal|1|0|7000",
	'one refund matches; one, and a withdrawal, are not ours');
ok($rx->poll("SELECT elsewhere = 3000 FROM refundx.payment WHERE payment_no = 'P1'"), 'the settler counts it against its payment');
is($rx->sql("SELECT what, state, amount_text FROM refundx.desk WHERE channel = 'wx' ORDER BY amount"),
	"break: missing here|paid|30.00\nbreak: missing here|under_way|70.00", 'each is on the desk, once');
my $refund = the_break('HAND1');
my $transfer = the_break('HANDW1');

# ---- ageing, by the clock, and whose it is ----

is($rx->sql('SELECT DISTINCT age_bucket FROM refundx.breaks'), '<1 day', 'they are young');
is($rx->sql("SELECT level FROM refundx.health WHERE what = 'breaks'"), 'warning', 'which health mentions');
is($rx->sql("SELECT done FROM refundx.break_assign($refund, 'mei', 'she knows the console')"), 't', 'it is given to somebody');
is($rx->sql("SELECT assigned_to FROM refundx.breaks WHERE break_id = $refund"), 'mei', 'whose it is, is seen');
at(26 + 49);
is($rx->sql('SELECT DISTINCT age_bucket FROM refundx.breaks'), '1-4 days', 'two days later they are older');
at(26 + 121);
is($rx->sql('SELECT DISTINCT age_bucket FROM refundx.breaks'), '>4 days', 'and after five days too old');
is($rx->sql("SELECT level, behind > '5 days' FROM refundx.health WHERE what = 'breaks'"), 'error|t', 'health calls it an error');
is($rx->sql("SELECT count(*) FROM refundx.desk WHERE what LIKE 'break%' AND severity = 20"), 2, 'and they have risen on the desk');

# ---- accepting takes two persons, above an amount ----

$rx->sql("SELECT refundx.second_person_set('CNY', 2000, 'policy')");
is($rx->sql("SET refundx.actor = 'mei'; SELECT done FROM refundx.break_accept($refund, 'Jun made it at the counter')"),
	'f', 'the first person asks for it');
is(money('P1'), '0|1000|3000', 'nothing has moved');
my $request = $rx->sql("SELECT request_id FROM refundx.operator_requests WHERE done_at IS NULL AND action = 'break_accept'");
like($rx->sql_error("SET refundx.actor = 'mei'; SELECT refundx.confirm($request, 'it is fine')"), qr/^RX021 /, 'who cannot confirm it herself');
is($rx->sql("SET refundx.actor = 'li'; SELECT done FROM refundx.confirm($request, 'seen the receipt')"), 't', 'the second person does');
is($rx->state('HAND1'), 'succeeded', 'the refund is ours, and has come to its end');
is(money('P1'), '0|4000|0', 'it is in the sum of its payment, and no longer elsewhere');
is($rx->sql("SELECT type, d_available, d_frozen FROM refundx.journal_lines WHERE refund_no = 'HAND1' ORDER BY version"),
	"freeze|-3000|3000\npay_out|0|-3000", 'the account has its lines');
is($rx->sql("SELECT attempts, (SELECT count(*) FROM refundx.attempts a WHERE a.refund_no = r.refund_no) FROM refundx.refunds r WHERE refund_no = 'HAND1'"),
	'0|0', 'it was never sent from here');
like($rx->sql("SELECT refundx.refund_explain('HAND1')"), qr/paid 30\.00 CNY .*; proven by the bill of $day/, 'support staff are told by what it is proven');
ok($rx->poll("SELECT count(*) = 1 FROM refundx.outbox WHERE aggregateid = 'HAND1' AND type LIKE '%succeeded'"), 'and the outbox has its success');

# ---- a withdrawal made by hand ----

like($rx->sql_error("SELECT refundx.break_accept($transfer, 'why', account => 'B')"), qr/^RX013 /, 'a withdrawal is of an account that there is');
$rx->sql("SELECT refundx.break_accept($transfer, 'the owner paid the supplier', account => 'A')");
$request = $rx->sql('SELECT request_id FROM refundx.operator_requests WHERE done_at IS NULL');
like($rx->sql_error("SET refundx.actor = 'li'; SELECT refundx.confirm($request, 'yes')"), qr/^RX021 /, 'one login, which did not say who it was, is not two persons');
is($rx->sql("SELECT refundx.decline($request, 'again, with names')"), 't', 'declined');
$rx->sql("SET refundx.actor = 'mei'; SELECT refundx.break_accept($transfer, 'the owner paid the supplier', account => 'A')");
$rx->sql("SET refundx.actor = 'li'; SELECT refundx.confirm(request_id, 'yes') FROM refundx.operator_requests WHERE done_at IS NULL");
# that line says that the money was taken: whether it has arrived, the channel says
$rx->wait_state('HANDW1', 'succeeded', 'the channel, asked about it, says that it has arrived');
is($rx->sql("SELECT account, net, payee, attempts FROM refundx.withdrawals WHERE withdrawal_no = 'HANDW1'"), 'A|7000||0', 'it is one of its account, never sent from here');
is($rx->sql("SELECT available, frozen FROM refundx.accounts WHERE account = 'A'"), '39000|0', 'and the account has what is left');

# ---- the same bill once more, and the report ----

my $again = classes($day);
unlike($again, qr/missing/, 'what was adopted is ours by now') || diag($again);
is($rx->sql('SELECT count(*) FROM refundx.breaks WHERE closed_at IS NULL'), 0, 'no break is open');
is($rx->sql('SELECT string_agg(DISTINCT closed_how, $$,$$) FROM refundx.breaks'), 'accepted', 'those two stay accepted');
my $tiles = q{
	WITH p AS (SELECT xmlparse(document refundx.reconcile_report_html('wx', 'DAY')) AS doc),
		 s AS (SELECT sum(our_amount) AS ours, sum(bill_amount) AS bills, sum(n) AS n FROM refundx.reconcile('wx', 'DAY', dry_run => true))
	SELECT (xpath('//dl[1]/div[1]/dd/text()', doc))[1]::text = to_char(s.ours / 100.0, 'FM999,999,990.00'),
		   (xpath('//dl[1]/div[2]/dd/text()', doc))[1]::text = to_char(s.bills / 100.0, 'FM999,999,990.00'),
		   (xpath('//tr[@class="sum"]/td[3]/text()', doc))[1]::text = s.n::text,
		   (xpath('//p[@class="verdict"]/b/text()', doc))[1]
	  FROM p, s};
$tiles =~ s/DAY/$day/g;
is($rx->sql($tiles), 't|t|t|Everything agrees.', 'the page says what the tables say');
is($rx->sql("SELECT number, amount, proven, open, by_callback, by_bill, in_bill FROM refundx.certainty('$day', '$day', '{wx}') WHERE about = 'refund'"),
	'2|4000|4000|0|1000|3000|4000', 'and the day is certain, one refund by its callback, one by the bill')
  || diag($rx->sql("SELECT * FROM refundx.certainty('$day', '$day')"));

$rx->check_ok('at the end');
$rx->ledger_ok('at the end');
done_testing();
