# What is done about failures: another number for what the channel has ended, a
# person, or the application's decision; how often and how fast the same number
# is tried again; and when somebody is shown what is still unknown.
#
# What is accepted here stays so until the test settles it (callbacks come ten minutes
# later): magic amounts would end the second number as they ended the first.

use strict;
use warnings;

use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Encode qw(encode);
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main', only => ['wechat'],
	sandbox => [ '--callback-delay-ms', 600000 ],
	config => { time_scale => 60, not_found_after => 1 });
my $rx = $all->rx;
my $sandbox = $rx->sandbox;
my $said = 0;

$rx->{channel} = 'wechat';

# What of the instruction?
sub of
{
	my ($no, $what) = @_;
	return $rx->sql("SELECT $what FROM refundx.instruction WHERE instruction_no = " . Refundx::literal($no));
}

sub events
{
	my ($no, $type) = @_;
	return $rx->sql("SELECT count(*) FROM refundx.event x JOIN refundx.instruction i USING (instruction_id)
		WHERE i.instruction_no = '$no' AND x.type = '$type'");
}

sub refund { return 'SELECT ' . $rx->refund_text(@_) }

# A payment of its own for each, so that nobody waits for another's minute.
sub submit
{
	my ($no, $amount, %policy) = @_;

	$rx->payment("P$no", 100000);
	$rx->sql('BEGIN; ' . refund("P$no", $no, $amount) . '; '
		  . (%policy ? 'SELECT refundx.failure_policy_for(' . join(', ', map { Refundx::literal($_) } $no, Refundx::to_json(\%policy), 'a test') . '); ' : '')
		  . 'COMMIT');
	return;
}

sub submit_accepted
{
	my ($no, %policy) = @_;

	submit($no, 5000, %policy);
	return $rx->wait_state($no, 'accepted', "$no is accepted");
}

# As the listener would keep a callback about a number, and the dispatcher an answer.
sub callback
{
	my ($wire_no, $verdict, $source) = @_;

	$source ||= 'callback';
	$said++;
	return $rx->sql("INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, code)
		SELECT i.channel_id, i.merchant_id, '$source', i.kind, sha256('said $said'), '$verdict', true, n.wire_no, upper('$verdict')
		  FROM refundx.wire_numbers n JOIN refundx.instruction i ON i.instruction_no = n.no
		 WHERE n.wire_no = '$wire_no' RETURNING evidence_id");
}

sub outcome_of
{
	my ($evidence_id) = @_;

	$rx->poll("SELECT outcome IS NOT NULL FROM refundx.evidence_log WHERE evidence_id = $evidence_id");
	return $rx->sql("SELECT outcome FROM refundx.evidence_log WHERE evidence_id = $evidence_id");
}

sub wire_nos { return split /\n/, $rx->sql("SELECT wire_no FROM refundx.wire_numbers WHERE no = '$_[0]' ORDER BY nth") }

# The sandbox's word of the number that is live.
sub settle
{
	my ($no, $status) = @_;
	return $sandbox->ctl('settle', (wire_nos($no))[-1], $status);
}

subtest 'fault_19: what the channel ends is reissued, and nobody hears of a failure' => sub {
	$rx->sql(q{SELECT refundx.failure_policy_set('wechat', '{"on_failure": "reissue"}')});
	submit_accepted('A1');
	settle('A1', 'CLOSED');
	ok($rx->poll("SELECT state = 'accepted' AND reissues = 1 FROM refundx.instruction WHERE instruction_no = 'A1'"),
		'it is accepted again, with another number') || diag($rx->story('A1'));
	my @numbers = wire_nos('A1');
	is_deeply([ $numbers[0], scalar @numbers ], [ 'A1', 2 ], 'it has two numbers');
	like($numbers[1], qr/^A1R2[0-9a-f]{8}$/, 'the second is made of the first');
	is($rx->payment_sums('PA1'), '100000|5000|0', 'its money was frozen all the time');
	is($rx->sql("SELECT count(*) FROM refundx.wire_numbers WHERE no = 'A1' AND live"), 1, 'one number is live');
	is(of('A1', 'person_since IS NULL'), 't', 'nobody has to look at it');
	is($rx->sql("SELECT count(*) FROM refundx.attempt a JOIN refundx.instruction i USING (instruction_id)
		WHERE i.instruction_no = 'A1' AND a.wire_no = '$numbers[1]' AND a.call = 'query'
		  AND a.attempt_id < (SELECT attempt_id FROM refundx.attempt s WHERE s.instruction_id = i.instruction_id
							   AND s.wire_no = '$numbers[1]' AND s.call = 'submit')"), 1,
		'the second was asked about before it was sent');
	settle('A1', 'SUCCESS');
	$rx->wait_state('A1', 'succeeded', 'and the second number is paid');
	is(events('A1', 'reissued'), 1, 'its history says so');
	like($rx->sql("SELECT string_agg(x.kind || ': ' || x.reason, ';') FROM refundx.incident x JOIN refundx.instruction i USING (instruction_id)
		WHERE i.instruction_no = 'A1'"), qr/^reissued: .*\(CLOSED\)/, 'and so does one incident');
	is($rx->sql("SELECT count(*) FROM refundx.event x JOIN refundx.instruction i USING (instruction_id)
		WHERE i.instruction_no = 'A1' AND x.to_state = 'failed'"), 0, 'it was never failed');
};

subtest 'two reissues, then the limit, then a person who raises it' => sub {
	$rx->sql(q{SELECT refundx.failure_policy_set('wechat', '{"reissue_limit": 2}')});
	submit_accepted('A2');
	foreach my $n (1, 2)
	{
		settle('A2', 'CLOSED');
		$rx->poll("SELECT state = 'accepted' AND reissues = $n FROM refundx.instruction WHERE instruction_no = 'A2'");
	}
	settle('A2', 'CLOSED');
	$rx->wait_state('A2', 'stopped', 'the third number is closed as well: it is stopped');
	like(of('A2', 'person_reason'), qr/2 numbers before: that is the limit/, 'and with a person, who is told why');
	is(of('A2', 'due_call IS NULL'), 't', 'nothing is due: it is a person\'s');
	like($rx->sql_error("SELECT refundx.reissue('A2', 'again')"), qr/^RX031 .*its failure policy allows 2/, 'an operator has the same limit');
	$rx->sql(q{SELECT refundx.failure_policy_for('A2', '{"reissue_limit": 3}', 'the shop has promised it')});
	is($rx->sql("SELECT after->>'state' FROM refundx.reissue('A2', 'what would be', dry_run => true)"), 'queued',
		'a dry run says what would be');
	is($rx->state('A2'), 'stopped', 'and changes nothing');
	is($rx->sql("SELECT count(*) FROM refundx.audit WHERE action = 'reissue'"), 0, 'nor is it on record');
	is($rx->sql("SELECT before->>'state' || ', ' || (after->>'state') FROM refundx.reissue('A2', 'the shop has promised it')"),
		'stopped, queued', 'what a person reissues');
	$rx->wait_state('A2', 'accepted', 'is sent');
	is(scalar(my @numbers = wire_nos('A2')), 4, 'it has had four numbers');
	settle('A2', 'SUCCESS');
	$rx->wait_state('A2', 'succeeded');
	is($rx->sql("SELECT reason FROM refundx.audit_log WHERE action = 'reissue'"), 'the shop has promised it', 'it is in the audit log');
};

subtest 'reissue wants proof that the number is dead' => sub {
	submit_accepted('A3');
	like($rx->sql_error("SELECT refundx.reissue('A3', 'I am in a hurry')"), qr/^RX006 .*cannot be given another number/, 'not while the channel has it');
	like($rx->sql_error("SELECT refundx.reissue('A3', '')"), qr/^22023/, 'nor without a reason');
	like($rx->sql_error("SELECT refundx.reissue('nobody', 'x')"), qr/^RX012/, 'nor of nothing');
	like($rx->sql_error("SELECT refundx.reissue('A1', 'x')"), qr/^RX006/, 'nor of what is paid');
	settle('A3', 'SUCCESS');
	$rx->wait_state('A3', 'succeeded');
};

subtest 'word of a number that was replaced' => sub {
	submit_accepted('A4');
	settle('A4', 'CLOSED');
	$rx->poll("SELECT state = 'accepted' AND reissues = 1 FROM refundx.instruction WHERE instruction_no = 'A4'");
	my $before = of('A4', "(attempts, unexplained, due_call, state)::text");

	is(outcome_of(callback('A4', 'dead')), 'noted', 'that it is dead is known');
	is(outcome_of(callback('A4', 'accepted')), 'noted', 'that it was accepted is stale');
	is(of('A4', "(attempts, unexplained, due_call, state)::text"), $before, 'neither touches the present number');
	is(outcome_of(callback('A4', 'succeeded')), 'contradiction', 'that it was paid contradicts');
	is($rx->sql("SELECT hold IS NOT NULL FROM refundx.payment WHERE payment_no = 'PA4'"), 't', 'and holds the payment');
	like(of('A4', 'person_reason'), qr/says "succeeded" of number A4, which it had ended/, 'a person is told');
	is($rx->state('A4'), 'accepted', 'nothing moves');
	settle('A4', 'SUCCESS');
	$rx->wait_state('A4', 'succeeded', 'the present number is settled all the same');
	is(of('A4', 'person_since IS NOT NULL'), 't', 'and the contradiction is still with a person');
	$rx->check_ok('with a contradiction');
};

subtest 'a hold that a contradiction placed keeps the second number from being sent' => sub {
	$rx->sql(q{SELECT refundx.failure_policy_set('wechat', '{"on_failure": "operator"}')});
	submit_accepted('A5');
	settle('A5', 'CLOSED');
	$rx->wait_state('A5', 'stopped');
	$rx->set('refundx.dispatch' => 'off');
	$rx->sql("SELECT refundx.reissue('A5', 'try again')");
	is(outcome_of(callback('A5', 'succeeded')), 'contradiction', 'the old number was paid after all');
	$rx->set('refundx.dispatch' => 'on');
	ok($rx->poll("SELECT due_call = 'submit' FROM refundx.instruction WHERE instruction_no = 'A5'"),
		'the second is asked about, and not found');
	is($rx->state('A5'), 'queued', 'and is not sent');
	is(scalar(grep { $_->{no} =~ /^A5R2/ } @{ $sandbox->ledger->{refunds} }), 0, 'the channel has heard of no second number');
	# as an operator's word resolves it
	$rx->sql("UPDATE refundx.payment SET hold = NULL WHERE payment_no = 'PA5';
		INSERT INTO refundx.event (instruction_id, type, from_state, to_state)
		SELECT instruction_id, 'resolved', state, state FROM refundx.instruction WHERE instruction_no = 'A5'");
	$rx->wait_state('A5', 'accepted', 'once it is resolved it is sent');
	settle('A5', 'SUCCESS');
	$rx->wait_state('A5', 'succeeded');
};

subtest 'fault_32: nobody takes the headroom between the end and the second number' => sub {
	$rx->payment('P32', 100000);
	$rx->sql(refund('P32', 'A6', 60000));
	$rx->wait_state('A6', 'accepted');
	settle('A6', 'CLOSED');
	$rx->wait_state('A6', 'stopped', 'it waits for an operator');
	is($rx->payment_sums('P32'), '100000|60000|0', 'its money is frozen');
	like($rx->sql_error(refund('P32', 'A7', 60000)), qr/^RX001/, 'nobody else gets it');
	$rx->sql("SELECT refundx.reissue('A6', 'the payer insists')");
	$rx->wait_state('A6', 'accepted');
	settle('A6', 'SUCCESS');
	$rx->wait_state('A6', 'succeeded');
	is($rx->payment_sums('P32'), '100000|0|60000', 'it is paid once');
};

subtest 'paid after all, before anybody has decided' => sub {
	submit_accepted('A8');
	settle('A8', 'CLOSED');
	$rx->wait_state('A8', 'stopped');
	is(outcome_of(callback('A8', 'succeeded')), 'moved', 'nothing had been released');
	is($rx->state('A8'), 'succeeded', 'so it simply succeeded');
	is(of('A8', 'person_since IS NULL'), 't', 'and nobody has to look at it');
};

subtest 'the end, as it was' => sub {
	submit_accepted('A9', on_failure => 'end');
	settle('A9', 'CLOSED');
	$rx->wait_state('A9', 'failed', 'a refund of its own rules');
	is($rx->payment_sums('PA9'), '100000|0|0', 'its money is released');
	like($rx->sql_error(q{SELECT refundx.failure_policy_for('A9', '{"on_failure": "reissue"}', 'too late')}), qr/^RX006/,
		'what is finished gets no policy');
	like($rx->sql_error("SELECT refundx.reissue('A9', 'x')"), qr/^RX006/, 'nor another number');
};

subtest 'ask_user: the application decides' => sub {
	$rx->sql(q{CREATE ROLE shop LOGIN; GRANT refundx_app TO shop});
	$rx->sql('SELECT refundx.notice_provider_add(' . join(', ', map { Refundx::literal($_) } 'sms', 'aliyun', Refundx::to_json($sandbox->sms_config)) . ')');
	$rx->sql(q{SELECT refundx.notice_template_set('stopped', '*', 'sms',
		'{"sign": "refundx", "code": "SMS_7", "params": {"no": "refund_no", "why": "failure"}}')});
	$rx->sql(q{SELECT refundx.failure_policy_set('wechat', '{"on_failure": "ask_user"}')});
	my $app = sub { return $rx->sql("SET SESSION AUTHORIZATION shop; $_[0]") };

	foreach my $no (qw(B1 B2))
	{
		$app->("SELECT refundx.payment_record('wechat', 'P$no', 100000, 'CNY', contact => '1380013010" . substr($no, 1) . "'); " . refund("P$no", $no, 5000));
		$rx->wait_state($no, 'accepted');
		settle($no, 'CLOSED');
		$rx->wait_state($no, 'stopped');
	}
	like(of('B1', 'person_reason'), qr/is asked how to go on/, 'who waits for whom is on record');
	ok($rx->poll("SELECT n.state = 'sent' FROM refundx.notice n JOIN refundx.instruction i USING (instruction_id)
		WHERE i.instruction_no = 'B1' AND n.transition = 'stopped'"), 'the payer is told');
	my ($text) = grep { /"B1"/ } map { $_->{param} } @{ $sandbox->ledger->{sms} };
	is(JSON::PP->new->decode($text || '{}')->{why}, '退款已被关闭，未能到账', 'why, in words');
	like($rx->sql("SELECT refundx.refund_explain('B1')"), qr/ended its number .* the money stays frozen/, 'support staff can say so');
	like($rx->sql_error("SET SESSION AUTHORIZATION shop; SELECT refundx.refund_continue('B1', 'perhaps')"), qr/^22023/, 'a decision is needed');
	is($app->("SELECT (refundx.refund_continue('B1', 'reissue', 'the payer has mended the card')).state"), 'queued', 'B1: again');
	is($app->("SELECT (refundx.refund_continue('B2', 'give_up')).state"), 'failed', 'B2: no more');
	is($app->("SELECT (refundx.refund_continue('B2', 'give_up')).state"), 'failed', 'saying it twice is saying it once');
	is($rx->payment_sums('PB2'), '100000|0|0', 'B2: its money is released');
	is($rx->sql("SELECT parts FROM refundx.payment WHERE payment_no = 'PB2'"), 1, 'its dead number was one of the fifty');
	$rx->wait_state('B1', 'accepted');
	settle('B1', 'SUCCESS');
	$rx->wait_state('B1', 'succeeded', 'B1 is paid');
	like($rx->sql_error("SET SESSION AUTHORIZATION shop; SELECT refundx.refund_continue('A2', 'give_up')"), qr/^RX012/,
		'of others it decides nothing');
	is($rx->sql("SELECT count(*) FROM refundx.audit_log WHERE action = 'continue' AND by_user = 'shop'"), 2, 'who decided is on record');

	$app->("SELECT refundx.payment_record('wechat', 'PB3', 100000, 'CNY'); " . refund('PB3', 'B3', 5000)
		. q{; SELECT refundx.failure_policy_for('B3', '{"on_failure": "operator"}', 'a large one')});
	$rx->wait_state('B3', 'accepted');
	settle('B3', 'CLOSED');
	$rx->wait_state('B3', 'stopped');
	like($rx->sql_error("SET SESSION AUTHORIZATION shop; SELECT refundx.refund_continue('B3', 'give_up')"), qr/^RX006/,
		'what waits for an operator is not the application\'s');
	is($rx->sql("SELECT (refundx.refund_continue('B3', 'give_up', 'settled in the shop')).state"), 'failed', 'but the operator\'s');
	$rx->check_ok('after the decisions');
};

subtest 'a handler that follows the failure is called when it is given up, and not before' => sub {
	$rx->sql(q{CREATE SCHEMA follow AUTHORIZATION shop; SET SESSION AUTHORIZATION shop;
		CREATE TABLE follow.failed (no text);
		CREATE FUNCTION follow.failed(r refundx.refund) RETURNS void LANGUAGE sql AS 'INSERT INTO follow.failed VALUES (r.refund_no)';
		RESET SESSION AUTHORIZATION;
		SELECT refundx.handler_add('refund.failed', 'follow.failed(refundx.refund)')});
	submit_accepted('G1', on_failure => 'operator');
	settle('G1', 'CLOSED');
	$rx->wait_state('G1', 'stopped');
	is($rx->sql('SELECT count(*) FROM follow.failed'), 0, 'stopped is no failure');
	$rx->sql("SELECT refundx.refund_continue('G1', 'give_up', 'settled in the shop')");
	$rx->wait_state('G1', 'failed', 'the runner settles it');
	is($rx->sql('SELECT string_agg(no, $$,$$) FROM follow.failed'), 'G1', 'with the application\'s own update');
	is($rx->payment_sums('PG1'), '100000|0|0', 'and its money is released');
	$rx->sql(q{SELECT refundx.handler_remove('refund.failed', 'follow.failed(refundx.refund)', 'the test is over')});
};

subtest 'after a restore: the second number was given out before' => sub {
	submit_accepted('H1', on_failure => 'operator');
	settle('H1', 'CLOSED');
	$rx->wait_state('H1', 'stopped');
	my $second = $rx->sql("SELECT after->>'wire_no' FROM refundx.reissue('H1', 'a look', dry_run => true)");

	# what the lost database had sent is called back: nobody knows the number
	outcome_of($rx->sql("INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no, payment_no, amount, currency, code)
		SELECT channel_id, merchant_id, 'callback', sha256('lost'), 'accepted', true, '$second', 'PH1', amount, currency, 'ACCEPTED'
		  FROM refundx.instruction WHERE instruction_no = 'H1' RETURNING evidence_id"));
	is($rx->sql("SELECT elsewhere FROM refundx.payment WHERE payment_no = 'PH1'"), 5000, 'it is counted as made elsewhere');
	is($rx->sql("SELECT after->>'wire_no' FROM refundx.reissue('H1', 'again')"), $second, 'the same number comes again');
	is($rx->sql("SELECT elsewhere FROM refundx.payment WHERE payment_no = 'PH1'"), 0, 'and is this refund\'s, counted once');
	ok($rx->poll("SELECT state = 'accepted' FROM refundx.instruction WHERE instruction_no = 'H1'"), 'it was asked about, and goes on');
	settle('H1', 'SUCCESS');
	$rx->wait_state('H1', 'succeeded');
};

subtest 'fault_22: a withdrawal keeps its row, its freeze and its payee through another number' => sub {
	$rx->sql(q{SELECT refundx.failure_policy_set('wechat', '{"on_failure": "reissue"}', 'withdrawal')});
	my $no = $all->start('wechat', 'W1', 1000);

	$rx->wait_state($no, 'accepted');
	$sandbox->ctl('settle', $no, 'FAIL');
	ok($rx->poll("SELECT reissues = 1 AND state = 'accepted' FROM refundx.instruction WHERE instruction_no = '$no'"),
		'it is accepted with another number') || diag($rx->story($no));
	my @numbers = wire_nos($no);
	like($numbers[1], qr/^[0-9A-Za-z]{5,32}$/, 'which WeChat takes');
	$sandbox->ctl('settle', $numbers[1], 'SUCCESS');
	$rx->wait_state($no, 'succeeded', 'and is paid');
	is($rx->sql("SELECT string_agg(type, ' ' ORDER BY version) FROM refundx.journal JOIN refundx.instruction i USING (instruction_id)
		WHERE i.instruction_no = '$no'"), 'freeze pay_out', 'frozen once, paid once');

	# 32 letters are all that WeChat takes
	my $long = $all->start('wechat', 'x' x 26, 1000);
	is(length $long, 32);
	$rx->wait_state($long, 'accepted');
	$sandbox->ctl('settle', $long, 'FAIL');
	$rx->poll("SELECT reissues = 1 AND state = 'accepted' FROM refundx.instruction WHERE instruction_no = '$long'");
	@numbers = wire_nos($long);
	is(length $numbers[1], 32, 'a number as long as can be is cut') || diag($rx->story($long));
	$sandbox->ctl('settle', $numbers[1], 'SUCCESS');
	$rx->wait_state($long, 'succeeded');
};

subtest 'retries: as often and as fast as the policy says' => sub {
	$rx->sql(q{SELECT refundx.failure_policy_set('wechat', NULL)});
	$rx->set('refundx.dispatch' => 'off');
	submit('C1', 5000, retry_first => '2 min', retry_factor => 2, retry_max => '5 min');
	# in minutes of the channel's time, which goes sixty times as fast here
	foreach ([ 1 => 2 ], [ 2 => 4 ], [ 3 => 5 ], [ 4 => 5 ])
	{
		my ($attempts, $wait) = @$_;

		$rx->sql("UPDATE refundx.instruction SET state = 'sending', attempts = $attempts WHERE instruction_no = 'C1';
			INSERT INTO refundx.event (instruction_id, type, from_state, to_state)
			SELECT instruction_id, 'claimed', 'queued', 'sending' FROM refundx.instruction WHERE instruction_no = 'C1'");
		is(outcome_of(callback('C1', 'not_executed', 'answer')), 'moved');
		my $due = $rx->sql("SELECT extract(epoch FROM i.due_at - x.at) FROM refundx.instruction i JOIN refundx.event x USING (instruction_id)
			WHERE i.instruction_no = 'C1' ORDER BY x.seq DESC LIMIT 1");
		cmp_ok(abs($due - $wait), '<', 0.5, "after $attempts attempts it waits $wait minutes");
	}
	$rx->set('refundx.dispatch' => 'on');
	$rx->wait_state('C1', 'accepted');
	settle('C1', 'SUCCESS');
	$rx->wait_state('C1', 'succeeded');

	# not found, so sent again, and lost again
	$rx->sql(q{SELECT refundx.failure_policy_set('wechat', '{"retry_limit": 1}')});
	$rx->set('refundx.dispatch' => 'off');
	submit('C2', 5000);
	$rx->sql("UPDATE refundx.instruction SET state = 'unknown', attempts = 2, retries = 1, first_attempt_at = clock_timestamp() - interval '1 h',
		last_attempt_at = clock_timestamp() - interval '1 h', due_call = 'query' WHERE instruction_no = 'C2';
		INSERT INTO refundx.event (instruction_id, type, from_state, to_state)
		SELECT instruction_id, t, f, s FROM refundx.instruction, (VALUES ('claimed', 'queued', 'sending'), ('moved', 'sending', 'unknown')) v(t, f, s)
		 WHERE instruction_no = 'C2'");
	$rx->set('refundx.dispatch' => 'on');
	ok($rx->poll("SELECT person_reason LIKE 'it was tried as often as its failure policy allows%' FROM refundx.instruction
		WHERE instruction_no = 'C2'"), 'no more than the limit: it is with a person') || diag($rx->story('C2'));
	is($rx->state('C2'), 'queued', 'it is open, and its money frozen');
	is(of('C2', 'due_call'), 'query', 'it is asked about all the same');
	my $polls = of('C2', 'polls');
	ok($rx->poll("SELECT polls > $polls FROM refundx.instruction WHERE instruction_no = 'C2'"), 'again and again');
	is($sandbox->ctl('ledger') && scalar(grep { $_->{no} eq 'C2' } @{ $sandbox->ledger->{refunds} }), 0, 'and not sent');
	$rx->sql(q{SELECT refundx.failure_policy_for('C2', '{"retry_limit": 0}', 'the network is mended')});
	$rx->wait_state('C2', 'accepted', 'allowed more, it is sent');
	is(of('C2', 'person_since IS NULL'), 't', 'and nobody has to look at it');
	settle('C2', 'SUCCESS');
	$rx->wait_state('C2', 'succeeded');
};

subtest 'abnormal: to the merchant, and to another card' => sub {
	my %card = (bank_type => 'CMB_DEBIT', card => '6225880112345678', name => '张三丰');
	my $elsewhere = sub {
		my ($no, $to, %more) = @_;
		my %with = (reason => 'the payer has another card', %more);

		return Refundx::call_text('refund_abnormal', refund_no => $no, to_whom => $to, %with);
	};

	$rx->sql(q{SELECT refundx.failure_policy_set('wechat', NULL)});
	foreach my $no (qw(E1 E2))
	{
		submit_accepted($no);
		settle($no, 'ABNORMAL');
		$rx->wait_state($no, 'abnormal');
		ok($rx->poll("SELECT due_call = 'query' AND due_at > clock_timestamp() FROM refundx.instruction WHERE instruction_no = '$no'"), 'and nothing is due');
	}
	# what is wrong is said at once, and without what was wrong about it
	foreach ([ 'RX010', bank_type => 'ABC_CREDIT' ], [ 'RX010', card => '6225 8801' ], [ 'RX010', name => '' ])
	{
		my ($state, $member, $value) = @$_;
		my $error = $rx->sql_error('SELECT ' . $elsewhere->('E1', 'to_user', %card, $member => $value));

		like($error, qr/^$state .*$member/, "$member: refused");
		unlike($error, qr/6225|ABC_CREDIT|张/, 'and not repeated');
	}
	like($rx->sql_error('SELECT ' . $elsewhere->('E1', 'to_me')), qr/^22023/, 'to whom?');
	like($rx->sql_error('SELECT ' . $elsewhere->('E1', 'to_merchant', %card)), qr/^RX010/, 'the merchant needs no card');
	like($rx->sql_error('SELECT ' . $elsewhere->('E1', 'to_merchant', reason => '')), qr/^22023/, 'a reason is needed');
	like($rx->sql_error('SELECT ' . $elsewhere->('A1', 'to_merchant')), qr/^RX006/, 'only what is abnormal');
	$rx->sql('SELECT ' . $elsewhere->('E1', 'to_merchant', dry_run => 'true'));
	is($rx->sql('SELECT count(*) FROM refundx.diversion'), 0, 'a dry run keeps nothing');

	$rx->sql('SELECT ' . $elsewhere->('E1', 'to_merchant'));
	$rx->wait_state('E1', 'returned', 'to the merchant: it came back');
	is($rx->payment_sums('PE1'), '100000|0|0', 'the payer has got nothing');
	$rx->set('refundx.dispatch' => 'off');
	$rx->sql('SELECT ' . $elsewhere->('E2', 'to_user', %card));
	like($rx->sql_error('SELECT ' . $elsewhere->('E2', 'to_user', %card)), qr/^RX006/, 'one at a time');
	is(of('E2', 'due_call'), 'abnormal', 'it is a call that is due');
	$rx->set('refundx.dispatch' => 'on');
	$rx->wait_state('E2', 'succeeded', 'to the card: the payer has it');
	is($rx->payment_sums('PE2'), '100000|0|5000', 'it is paid');
	is($rx->sql("SELECT count(*) FROM refundx.attempts WHERE refund_no IN ('E1', 'E2') AND call = 'abnormal' AND verdict IS NOT NULL"), 2,
		'each was an attempt like any other, with its answer');
	is($rx->sql("SELECT string_agg(to_whom, ', ' ORDER BY to_whom) FROM refundx.diversion"),
		q{CMB_DEBIT ****5678, the merchant's own account}, 'people see the last digits');

	# a withheld answer: nobody knows, a query tells, a person is told
	submit_accepted('E3');
	settle('E3', 'ABNORMAL');
	$rx->wait_state('E3', 'abnormal');
	foreach ([ unknown => qr/^to be paid elsewhere: nobody knows/ ], [ refused => qr/^to be paid elsewhere: the channel did not take it on \(REFUSED/ ])
	{
		my ($verdict, $words) = @$_;

		outcome_of($rx->sql("INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no, code)
			SELECT channel_id, merchant_id, 'abnormal', sha256('abnormal $verdict'), '$verdict', false, wire_no, upper('$verdict')
			  FROM refundx.instruction WHERE instruction_no = 'E3' RETURNING evidence_id"));
		like(of('E3', 'person_reason'), $words, "$verdict: a person is told");
		is(of('E3', 'state || due_call'), 'abnormalquery', 'and it is asked about');
	}
	settle('E3', 'SUCCESS');
	$rx->wait_state('E3', 'succeeded');

	# neither card nor name anywhere but sealed
	my $rows = '';
	foreach my $table (split /\n/, $rx->sql(q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'refundx'::regnamespace AND relkind = 'r'}))
	{
		$rows .= $rx->sql("SELECT t FROM $table t");
	}
	my @secret = map { ($_, unpack 'H*', $_) } $card{card}, encode('UTF-8', $card{name});
	my $secret = join '|', @secret;
	like("\\x$secret[3]", qr/$secret/, 'what is looked for can be found');
	unlike($rows, qr/$secret/, 'no row of ours has the card or the name');
	unlike(slurp_file($rx->node->logfile), qr/$secret/, 'nor has the log');
};

subtest 'unknown: shown to a person after the time, and asked about on and on' => sub {
	$rx->sql(q{SELECT refundx.failure_policy_set('wechat', '{"unknown_after": "2 h", "retry_limit": null}')});
	is($rx->sql("SELECT unknown_after, retry_limit, set FROM refundx.failure_policies
		WHERE channel = 'wechat' AND about = 'refund' AND no IS NULL"), '02:00:00|0|{unknown_after}', 'the view says so');
	# nobody can be asked
	$sandbox->kill9;
	$rx->payment('PD1', 100000);
	$rx->sql(refund('PD1', 'D1', 5000) =~ s/refund_submit/refund_adopt/r);
	$rx->sql("UPDATE refundx.instruction SET polls = 9 WHERE instruction_no = 'D1'");
	ok($rx->poll("SELECT polls > 9 FROM refundx.instruction WHERE instruction_no = 'D1'"), 'it was asked about ten times') || diag($rx->story('D1'));
	is(of('D1', 'person_since IS NULL'), 't', 'which is not what this policy goes by');
	is(of('D1', "due_at <= state_since + interval '120 s'"), 't', 'it will be asked about by then');
	# two hours of the channel's time
	$rx->set('refundx.clock_offset' => 120);
	ok($rx->poll("SELECT person_reason = 'the channel has not said what became of it' FROM refundx.instruction
		WHERE instruction_no = 'D1'"), 'after the time a person is told') || diag($rx->story('D1'));
	my $polls = of('D1', 'polls');
	$rx->set('refundx.clock_offset' => 3600);
	ok($rx->poll("SELECT polls > $polls FROM refundx.instruction WHERE instruction_no = 'D1'"), 'and it is asked about all the same');
	is($rx->state('D1'), 'unknown', 'no clock ends it');
	$rx->set('refundx.clock_offset' => 0);
	$sandbox->start;
};

$rx->check_ok('at the end');
done_testing();
