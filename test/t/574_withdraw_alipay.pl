# Alipay's transfers: an account is paid at once, a bank card later, and a bank may
# send back what it has taken, days after it was paid.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main', only => ['alipay']);
my $rx = $all->rx;
my $sandbox = $all->sandbox;

$rx->sql('CREATE ROLE op LOGIN IN ROLE refundx_operator');

sub start
{
	my ($no, $amount, %more) = @_;
	return $all->start('alipay', $no, $amount, who => 'card', %more);
}

# To a bank card: under way, and paid when somebody says so.
sub paid
{
	my ($no, $amount, %more) = @_;
	my $own = start($no, $amount, %more);

	$rx->wait_state($own, 'succeeded');
	return $own;
}

# What the journal has done to available and frozen of an account, for a number:
# "-100|0", all of it together.
sub moved
{
	my ($own) = @_;
	return $rx->sql("SELECT sum(d_available), sum(d_frozen) FROM refundx.journal JOIN refundx.instruction i
		USING (instruction_id) WHERE i.instruction_no = '$own'");
}

# A message that was kept of a number, with that status.
sub message
{
	my ($own, $code) = @_;
	my $where = "FROM refundx.evidence WHERE source = 'callback' AND wire_no = '$own' AND code = '$code'";

	$rx->poll("SELECT count(*) > 0 $where") or die "no message of $own: $code";
	my ($headers, $hex) = split /\|/, $rx->sql("SELECT headers, encode(body, 'hex') $where LIMIT 1");
	return { headers => JSON::PP->new->decode($headers), body => pack('H*', $hex) };
}

# ---- the usual ways ----

subtest 'an account, at once' => sub {
	foreach my $payee ({ user_id => '2088123412341234' },
		{ logon_id => '13800138000', name => '张三' }, { logon_id => 'zhang@example.com', name => '张三' },
		{ open_id => '074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5' })
	{
		my $own = start('AT' . (sort keys %$payee)[-1] . length Refundx::to_json($payee), 10000, payee => $payee);
		$all->ends($own, 'succeeded');
		is(lines_of($rx, $own), 'queued>sending>succeeded', 'by the answer');
	}
};

subtest 'a card: on its way to the bank' => sub {
	my $own = start('SLOW', 19302);

	ok($rx->poll("SELECT state = 'accepted' AND detail = 'DEALING' FROM refundx.instruction WHERE instruction_no = '$own'"),
		'the bank has it') || diag($rx->story($own));
	is($rx->sql("SELECT withdrawals FROM refundx.in_transit WHERE channel = 'alipay'"), 1, 'it is money in transit');
	is($rx->sql('SELECT count(*) FROM refundx.awaiting_payee'), 0, 'and no payee is waited for');
	is($all->journal($own), 'freeze', 'it stays frozen');
	# Alipay takes nothing back
	my ($rc, $out, $err) = $rx->node->psql($rx->database, "SELECT refundx.withdraw_cancel('$own')",
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($err, qr/ERROR:  RX006: withdrawal "$own" cannot be canceled/, 'a cancel is refused');
	like($err, qr/DETAIL: .*Alipay does not take back what it was sent/, 'with the reason');
	like($err, qr/HINT: .*withdraw_explain/, 'and a hint');
	is($all->shown($own, 'cancel_requested_at'), '', 'nothing was asked for');
	$sandbox->ctl('settle', $own, 'SUCCESS');
	$all->ends($own, 'succeeded');
};

subtest 'canceled before it was ever sent' => sub {
	$rx->set('refundx.dispatch' => 'off');
	ok($rx->poll("SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'"));
	my $own = start('NEVER', 10000);
	is($rx->sql("SELECT (refundx.withdraw_cancel('$own')).state"), 'canceled', 'that is possible here too');
	$rx->set('refundx.dispatch' => 'on');
	paid('NEXT', 10000);
	is(sent_times($rx, $own), 0, 'it is never sent');
	$all->ends($own, 'canceled');
};

subtest 'refused, each in its way' => sub {
	my %why = (9308 => 'PAYEE_CARD_INFO_ERROR', 9318 => 'EXCEED_LIMIT_SM_AMOUNT', 9320 => 'PAYMENT_TIME_EXPIRE');

	start("NO$_", 10000 + $_) foreach keys %why;
	foreach my $magic (sort keys %why)
	{
		my $own = "NO${magic}alipay";
		$all->ends($own, 'failed');
		is(column($rx, $own, 'detail'), $why{$magic}, 'the row says why');
		is(sent_times($rx, $own), 1, 'it is not tried again');
	}
};

subtest 'what the merchant or the next day must mend' => sub {
	my $own = start('LIMIT', 19316);

	ok($rx->poll("SELECT count(*) > 0 FROM refundx.merchant_pause WHERE about = 'withdrawal' AND paused = 'hold'"),
		'all of a day is paid: withdrawals pause');
	is($all->events($own, "to_state = 'failed'"), 0, 'nothing has failed');
	is($all->journal($own), 'freeze', 'the money waits');
	$sandbox->ctl('advance', 86400);
	$all->ends($own, 'succeeded');
	is($rx->sql('SELECT count(*) FROM refundx.merchant_pause'), 0, 'it is over');
	$all->ends(start('UNSIGNED', 19319), 'succeeded');
};

# ---- what comes back ----

$rx->sql('SELECT refundx.notice_provider_add(' . join(', ', "'sms'", "'aliyun'",
	Refundx::literal(Refundx::to_json($sandbox->sms_config)) . '::jsonb') . ')');
$rx->sql(q(SELECT refundx.notice_template_set('returned', '*', 'sms',
	'{"sign": "refundx", "code": "SMS_100", "params": {"no": "withdrawal_no", "amount": "{amount}"}}', about => 'withdrawal')));

subtest 'a bounce, days after it was paid' => sub {
	my $before = $all->balance;
	my $own = paid('BOUNCE', 10000, contact => '13800000000');

	$all->ends($own, 'succeeded');
	is(moved($own), '-10000|0', 'it is gone');
	$sandbox->ctl('bounce', $own);
	$all->ends($own, 'returned');
	is(moved($own), '0|0', 'the account is credited');
	is($all->balance, $before, 'to the unit');
	is($rx->sql("SELECT account, net, fee_back, returned_at > had_succeeded_at, detail FROM refundx.bounced WHERE withdrawal_no = '$own'"),
		'A|10000|f|t|REFUND', 'people see it');
	is($all->as('op', "SELECT count(*) FROM refundx.bounced WHERE withdrawal_no = '$own'"), 1, 'operators too');
	# the payee is told
	ok($rx->poll("SELECT count(*) = 1 FROM refundx.notice n JOIN refundx.instruction i USING (instruction_id)
		WHERE instruction_no = '$own' AND transition = 'returned' AND n.state = 'sent'"), 'a message goes to the payee')
	  || diag($rx->sql('SELECT * FROM refundx.notice'));
	is_deeply([ map { JSON::PP::decode_json($_->{param}) } @{ $sandbox->ledger->{sms} } ],
		[ { no => $own, amount => '100.00' } ], 'once, with what it is about');

	# once, however often it is told
	my $version = $rx->sql("SELECT version FROM refundx.accounts WHERE account = 'A'");
	my $acknowledged = $sandbox->ctl('stats')->{callbacks}{acknowledged};
	$sandbox->ctl('callback', $own, 3);
	ok(Refundx::wait_for(sub { $sandbox->ctl('stats')->{callbacks}{acknowledged} >= $acknowledged + 3 }, 'three'),
		'three copies are acknowledged');
	$all->ingest('alipay', message($own, 'SUCCESS'));
	ok($rx->poll("SELECT count(*) = 0 FROM refundx.evidence v WHERE wire_no = '$own'
		AND NOT EXISTS (SELECT FROM refundx.event e WHERE e.evidence_id = v.evidence_id)"), 'all are weighed');
	is($rx->sql("SELECT version FROM refundx.accounts WHERE account = 'A'"), $version, 'the account is credited once');
	$all->ends($own, 'returned');
	is($rx->sql("SELECT hold IS NULL FROM refundx.accounts WHERE account = 'A'"), 't', 'and nothing contradicts');
};

subtest 'a bounce of which no message tells' => sub {
	# the watch's first look is a day after it was paid
	$rx->sql(q(SELECT refundx.channel_set('alipay', '{"time_scale": 172800}')));
	$sandbox->ctl('pause-callbacks', 'on');
	my $own = paid('QUIET', 10000);
	is($rx->sql("SELECT due_call, due_at IS NOT NULL FROM refundx.instruction WHERE instruction_no = '$own'"), 'query|t',
		'what is paid to a card is looked at again');
	$sandbox->ctl('bounce', $own);
	$all->ends($own, 'returned');
	is($all->events($own, "v.source = 'query' AND to_state = 'returned' AND from_state = 'succeeded'"), 1, 'a query found it');
	is($rx->sql("SELECT due_at FROM refundx.instruction WHERE instruction_no = '$own'"), '', 'the watch is over');
	$sandbox->ctl('pause-callbacks', 'off');
	my $calm = paid('CALM', 10000);
	ok($rx->poll("SELECT polls >= 4 AND due_at IS NULL FROM refundx.instruction WHERE instruction_no = '$calm'"),
		'of one that does not come back it ends, too');
	$all->ends($calm, 'succeeded');
	$rx->sql(q(SELECT refundx.channel_set('alipay', '{"time_scale": 30}')));
};

# ---- a bounce and the fee ----

# What is left of 10000 and a fee of 150 after each end: the account's balance.
subtest 'the fee of what comes back' => sub {
	foreach my $back (0, 1)
	{
		foreach my $on_top (0, 1)
		{
			my $name = ($back ? 'BACK' : 'KEPT') . ($on_top ? 'TOP' : 'IN');
			my $net = $on_top ? 10000 : 9850;

			$rx->sql("SELECT refundx.account_open('$name', 'CNY'), refundx.account_credit('$name', 20000, 'opening')");
			$all->policy('alipay', { fee_fixed => 150, fee_on_top => $on_top ? JSON::PP::true : JSON::PP::false,
				fee_back_on_return => $back ? JSON::PP::true : JSON::PP::false }, $name);
			my $own = paid($name, 10000, account => $name);
			is($all->transfer($own)->{amount}, $net, "$name: the payee gets so much");
			is($all->balance($name), (20000 - $net - 150) . '|0', "$name: and the account pays so much");
			$sandbox->ctl('bounce', $own);
			$all->ends($own, 'returned', 'freeze pay_out fee return' . ($back ? ' fee_return' : ''));
			is($all->balance($name), ($back ? 20000 : 19850) . '|0', "$name: what came back");
			is($rx->sql("SELECT fee_back FROM refundx.bounced WHERE withdrawal_no = '$own'"), $back ? 't' : 'f', "$name: and is shown");
		}
	}
};

# ---- the last, for it moves the clock ----

# The bank sent it back before anybody here had seen that it was paid.
subtest 'a bounce that is the first news' => sub {
	my $own;

	$rx->sql(q(SELECT refundx.channel_set('alipay', '{"time_scale": 1}')));
	$sandbox->ctl('pause-callbacks', 'on');
	$own = start('FIRST', 19311);
	ok(Refundx::wait_for(sub { ($all->transfer($own) || {})->{bounced_times} }, 'bounced'), 'it is paid, and has come back');
	$rx->wait_state($own, 'accepted', 'of which nothing is known here');
	# the reordered flood: whichever of the two is first
	$sandbox->ctl('pause-callbacks', 'off');
	$all->ends($own, 'returned', qr/^freeze (release|pay_out return)$/);
	is(moved($own), '0|0', 'everything is back');
	ok($rx->poll("SELECT count(*) = 2 FROM refundx.evidence v JOIN refundx.event USING (evidence_id)
		WHERE wire_no = '$own' AND source = 'callback'"), 'both messages are weighed');

	# by one message alone, and the other long after it
	$sandbox->ctl('pause-callbacks', 'on');
	$own = start('ALONE', 19311);
	ok(Refundx::wait_for(sub { ($all->transfer($own) || {})->{bounced_times} }, 'bounced'), 'another');
	$rx->wait_state($own, 'accepted');
	$sandbox->ctl('callback', $own, 1);
	$rx->set('refundx.clock_offset' => 120);
	$all->ends($own, 'returned', 'freeze release');
	is(lines_of($rx, $own), 'queued>sending>accepted>returned', 'from what was on its way');
	$sandbox->ctl('pause-callbacks', 'off');
	ok($rx->poll("SELECT count(*) > 0 FROM refundx.evidence v JOIN refundx.event USING (evidence_id)
		WHERE wire_no = '$own' AND source = 'callback' AND code = 'SUCCESS'"), 'the word that it was paid comes last');
	$all->ends($own, 'returned', 'freeze release');
	is($rx->sql("SELECT hold IS NULL FROM refundx.accounts WHERE account = 'A'"), 't', 'and nothing contradicts');
	$rx->sql(q(SELECT refundx.channel_set('alipay', '{"time_scale": 30}')));
};

# ---- certificates ----

like($rx->sql_error('SELECT refundx.channel_add(' . join(', ', "'plain'", "'alipay'", Refundx::literal(Refundx::to_json(
		{ %{ $sandbox->channel_config(undef, 'alipay') }, transfer => {} })) . '::jsonb') . ')'),
	qr/^RX011 .*certificate mode/, 'without certificates nothing is transferred');

drained($rx, 'at the end');
sound($rx, 'at the end');
wire_ok($rx, 'at the end');
never_twice($rx);
$rx->stop;
done_testing();
