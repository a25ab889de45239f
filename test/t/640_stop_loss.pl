# Stop-loss: pauses, and caps on what is sent within a time, against the sandbox's
# ledger, while the clock moves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Oracle;
use Test::More;

my $rx = Refundx->new('main',
	sandbox => [ '--speed', 60, '--callback-delay-ms', 20 ],
	config => { time_scale => 60, not_found_after => 1 },
	settings => { 'refundx.clerk_interval' => '1s' });
my $sandbox = $rx->sandbox;
my $offset = 0;

$rx->sql("SELECT refundx.account_open('A', 'CNY'), refundx.account_credit('A', 10000000, 'a'),
	refundx.account_open('B', 'CNY'), refundx.account_credit('B', 10000000, 'b')");
$rx->sql("CREATE ROLE $_ LOGIN IN ROLE refundx_app") foreach qw(shop other);
$rx->sql('CREATE ROLE alice LOGIN IN ROLE refundx_operator');

# Refunds, each of a payment of its own; as whom, of which account.
sub start
{
	my ($numbers, $amount, %more) = @_;
	my $as = delete $more{as};
	my $account = delete $more{account} || 'A';

	return $rx->sql(($as ? "SET SESSION AUTHORIZATION $as; " : '') . join('; ', map {
		'SELECT ' . $rx->refund_text("P$_", $_, $amount, payment_amount => 1000000, currency => 'CNY', account => $account, %more) } @$numbers));
}

sub as_alice { return $rx->sql("SET SESSION AUTHORIZATION alice; $_[0]") }

sub move_clock
{
	my ($seconds) = @_;
	$offset += $seconds;
	return $rx->set('refundx.clock_offset' => $offset);
}

# So many of these have left the queue, and stay so many while others are sent.
my $marks = 0;
sub settles_at
{
	my ($like, $count, $what) = @_;
	my $mark = 'MARK' . ++$marks;

	ok($rx->poll("SELECT count(*) = $count FROM refundx.instruction WHERE instruction_no ~ '$like' AND state = 'succeeded'"), $what)
	  || diag($rx->sql("SELECT state, count(*) FROM refundx.instruction WHERE instruction_no ~ '$like' GROUP BY 1"));
	return;
}

# What the channel has paid of these: how many, how much.
sub paid
{
	my ($like) = @_;
	my @paid = grep { $_->{no} =~ /$like/ && $_->{paid_times} } @{ $sandbox->refunds };
	my $sum = 0;

	$sum += $_->{amount} * $_->{paid_times} foreach @paid;
	return scalar(@paid) . "|$sum";
}

# Another refund goes through: the dispatcher has looked at all that was due before it.
sub passes_by
{
	my (%more) = @_;
	my $mark = 'MARK' . ++$marks;

	start([$mark], 100, %more);
	return $rx->wait_state($mark, 'succeeded', 'others are sent meanwhile');
}

sub incidents
{
	my ($kind, $like) = @_;
	return $rx->sql("SELECT count(*) FROM refundx.incidents WHERE kind = '$kind' AND reason ~ " . Refundx::literal($like));
}

# ---- pauses ----

subtest 'a merchant' => sub {
	is(as_alice("SELECT refundx.pause('merchant', 'wx', 'the books do not agree', 'refund')"), 't');
	start([ map { "M$_" } 1 .. 3 ], 1000);
	like($rx->sql("SELECT refundx.refund_explain('M1')"),
		qr/^It is queued since .*; it is not sent, for refunds of merchant wechat \d+ are paused since \d\d:\d\d by alice, because the books do not agree\.$/, 'explain');
	# the dispatcher has looked: it has seen the newest event
	ok($rx->poll("SELECT backlog >= 3 FROM refundx.worker_status() WHERE kind = 'dispatcher'"), 'it is in the schedule');
	is($rx->sql('SELECT count(*) FROM refundx.attempt'), 0, 'nothing was sent');
	is($rx->sql("SELECT level FROM refundx.health WHERE what = 'merchant'"), 'error', 'health');
	move_clock(3600);
	$rx->check_ok('after an hour of it');
	is($rx->sql("SELECT count(*) FROM refundx.event WHERE type = 'reminded'"), 0, 'which nobody calls overdue');
	is(as_alice("SELECT refundx.resume('merchant', 'wx', 'they do now')"), 't');
	$rx->wait_state("M$_", 'succeeded') foreach 1 .. 3;
};

subtest 'what was sent goes on' => sub {
	# 9003: the sandbox answers late; its callback comes all the same
	$sandbox->ctl('pause-callbacks', 'on');
	start(['G1'], 1000);
	$rx->wait_state('G1', 'accepted');
	as_alice("SELECT refundx.pause('everything', NULL, 'a drill')");
	$sandbox->ctl('pause-callbacks', 'off');
	$rx->wait_state('G1', 'succeeded', 'it is settled while everything is paused');
	start(['G2'], 1000);
	like($rx->sql("SELECT refundx.refund_explain('G2')"), qr/it is not sent, for everything is paused/);
	as_alice("SELECT refundx.resume('everything', NULL, 'the drill is over')");
	$rx->wait_state('G2', 'succeeded');
	is($rx->sql("SELECT count(*) FROM refundx.event e JOIN refundx.instruction i USING (instruction_id) JOIN refundx.audit u
			ON u.action = 'pause' AND u.subject = 'everything' JOIN refundx.audit v ON v.action = 'resume' AND v.subject = 'everything'
		WHERE e.type = 'claimed' AND e.at > u.at AND e.at < v.at"), 0, 'nothing was claimed meanwhile');
};

subtest 'an account' => sub {
	$rx->set('refundx.dispatch' => 'off');
	start(['H1'], 1000);
	as_alice("SELECT refundx.pause('account', 'A', 'whose is it?')");
	$rx->set('refundx.dispatch' => 'on');
	passes_by(account => 'B');
	is($rx->state('H1'), 'queued', 'what it had frozen is not sent');
	like($rx->sql_error('SELECT ' . $rx->refund_text('PH2', 'H2', 100, payment_amount => 1000, currency => 'CNY', account => 'A')),
		qr/^RX007 account "A" is paused since/, 'nothing is taken from it');
	as_alice("SELECT refundx.resume('account', 'A', 'ours')");
	$rx->wait_state('H1', 'succeeded');
};

subtest 'a role' => sub {
	$rx->set('refundx.dispatch' => 'off');
	start([ 'R1', 'R2' ], 1000, as => 'shop');
	as_alice("SELECT refundx.pause('role', 'shop', 'its password is on a forum')");
	$rx->set('refundx.dispatch' => 'on');
	passes_by(as => 'other');
	is($rx->sql("SELECT count(*) FROM refundx.instruction WHERE state = 'queued' AND submitted_by = 'shop'"), 2, 'what it has queued waits');
	like($rx->sql_error('SET SESSION AUTHORIZATION shop; SELECT ' . $rx->refund_text('PR3', 'R3', 100, payment_amount => 1000, currency => 'CNY')),
		qr/^RX032 shop may not submit now: role "shop" is paused/, 'and it submits nothing');
	as_alice("SELECT refundx.resume('role', 'shop', 'a new password')");
	$rx->wait_state($_, 'succeeded', 'at once, though it was put off for a minute') foreach qw(R1 R2);
};

# ---- caps ----

subtest 'a number within an hour' => sub {
	as_alice("SELECT refundx.cap_set('account', 'B', '1 hour', max_number => 10, reason => 'new partner')");
	my $before = $rx->sql("SELECT used_number FROM refundx.caps");
	is($before, 0 + grep({ $_->{no} =~ /^MARK1$/ } @{ $sandbox->refunds }), 'what was sent before counts');
	my $room = 10 - $before;
	start([ map { "N$_" } 1 .. 30 ], 1000, account => 'B');
	settles_at('^N', $room, "$room of thirty");
	ok($rx->poll("SELECT waiting = 30 - $room FROM refundx.caps"), 'the others wait');
	passes_by();
	is((split /\|/, paid('^N'))[0], $room, 'and the channel has paid no more');
	my $waits = $rx->sql("SELECT instruction_no FROM refundx.instruction WHERE state = 'queued' AND instruction_no ~ '^N' LIMIT 1");
	like($rx->sql("SELECT refundx.refund_explain('$waits')"),
		qr/; it waits for room in the cap of 10 refunds or withdrawals within 01:00:00 of account "B", where there is likely to be some in \d+ (?:min|h)\.$/, 'explain');
	is($rx->sql("SELECT level FROM refundx.health WHERE what = 'cap'"), 'error', 'health');
	is($rx->sql("SELECT count(*) FROM refundx.instruction WHERE instruction_no ~ '^N' AND (person_since IS NOT NULL OR state = 'failed')"), 0,
		'nobody has to do anything about them, and none has failed');
	is(incidents('cap_full', 'of account "B" is full'), 1, 'it is an incident, one for all of them');
	$rx->check_ok('while they wait');

	foreach my $hour (1 .. 3)
	{
		move_clock(3600);
		my $now = $hour == 3 ? 30 : $room + 10 * $hour;
		$now = 30 if $now > 30;
		settles_at('^N', $now, "$now an hour later");
	}
	$rx->check_ok('when all are through');
	is(paid('^N'), '30|30000', 'the channel has paid them');
	is($rx->sql("SELECT max(n) FROM (SELECT count(*) OVER (ORDER BY a.started_at RANGE BETWEEN '59 min 59 s' PRECEDING AND CURRENT ROW) AS n
			FROM refundx.attempt a JOIN refundx.instruction i USING (instruction_id)
			JOIN refundx.account s ON s.account_id = i.account_id AND s.account_no = 'B' WHERE a.call = 'submit') x"),
		10, 'never more than ten within an hour, by the attempts');
	as_alice("SELECT refundx.cap_remove('account', 'B', 'an old partner')");
};

subtest 'an amount within a day, of many at once' => sub {
	move_clock(86400);
	as_alice("SELECT refundx.cap_set('merchant', 'wx', '1 day', 100000, reason => 'a thousand yuan a day')");
	like($rx->sql_error("SELECT refundx.cap_set('merchant', 'wx', '2 days', 100, reason => 'too small')"), qr/^RX033 more than that was sent within the last 2 days/);
	# amounts of 101 to 199 yuan: five to nine a day
	start(["D$_"], 10100 + ($_ * 3719) % 9800) foreach 1 .. 20;
	foreach my $day (1 .. 5)
	{
		ok($rx->poll("SELECT (SELECT coalesce(sum(waiting), 0) FROM refundx.caps)
			= (SELECT count(*) FROM refundx.instruction WHERE instruction_no ~ '^D' AND state = 'queued')
			AND NOT EXISTS (SELECT FROM refundx.instruction WHERE instruction_no ~ '^D' AND state <> 'queued' AND is_open)"), "day $day: what has room is sent");
		last if $rx->sql("SELECT count(*) FROM refundx.caps WHERE waiting > 0") == 0;
		cmp_ok($rx->sql('SELECT used_amount FROM refundx.caps'), '>', 100000 - 20000, 'and not less than fits');
		move_clock(86400);
	}
	settles_at('^D', 20, 'in the end all are');
	is($rx->sql("SELECT max(s) <= 100000 FROM (SELECT sum(i.amount) OVER (ORDER BY a.started_at RANGE BETWEEN '23:59:59' PRECEDING AND CURRENT ROW) AS s
			FROM refundx.attempt a JOIN refundx.instruction i USING (instruction_id) WHERE a.call = 'submit' AND i.instruction_no ~ '^D') x"),
		't', 'never more than a thousand yuan within a day, by the attempts');
	$rx->check_ok('then');
	start(['BIG'], 100001);
	ok($rx->poll("SELECT refundx.refund_explain('BIG') ~ 'it is larger than the cap of 1000.00 CNY'"), 'one that is larger than the cap is said to be');
	as_alice("SELECT refundx.cap_set('merchant', 'wx', '1 day', 1000000, reason => 'a big one')");
	$rx->wait_state('BIG', 'succeeded', 'a larger cap lets it go at once');
	as_alice("SELECT refundx.cap_remove('merchant', 'wx', 'no more')");
};

subtest 'a role, and the alarm before the cap' => sub {
	as_alice("SELECT refundx.cap_set('role', 'shop', '1 hour', max_number => 5, alarm_at => 0.6, reason => 'a trainee')");
	start([ 'T1', 'T2' ], 100, as => 'shop');
	settles_at('^T', 2, 'two');
	is(incidents('cap_alarm', 'of role "shop"'), 0, 'no alarm yet');
	start([ 'T3', 'T4' ], 100, as => 'shop');
	settles_at('^T', 4, 'four');
	is(incidents('cap_alarm', 'of role "shop" is used to more than 0.6'), 1, 'an alarm, once for both that are above it');
	like($rx->sql("SELECT level || ' ' || finding FROM refundx.health WHERE what = 'cap'"), qr/^warning role shop: 4 of at most 5 were sent within 01:00:00$/, 'health');
	start(['T0'], 100, as => 'other');
	settles_at('^T0', 1, 'others are not concerned');
	# a crash forgets nothing of it
	$rx->crash_and_start;
	start([ 'T5', 'T6' ], 100, as => 'shop');
	settles_at('^T[1-6]', 5, 'five, before and after a crash');
	ok($rx->poll("SELECT waiting = 1 FROM refundx.caps"), 'one waits');
	move_clock(3600);
	settles_at('^T[1-6]', 6, 'an hour later there is room');
	is($rx->sql("SELECT level FROM refundx.caps"), 'ok', 'and all is well');
	as_alice("SELECT refundx.cap_remove('role', 'shop', 'no trainee any more')");
};

$rx->check_ok('at the end');
drained($rx, 'at the end');
sound($rx, 'at the end');
never_twice($rx);
$rx->ledger_ok('at the end');

$rx->stop;
done_testing();
