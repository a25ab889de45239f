# Reconciliation with the workers: what the bill proves is settled by the settler, many
# at once; a refund that nobody here made is kept; a large day is no n x m.
#
# Nothing is sent (refundx.dispatch = off): what the channel knows of a refund comes
# from its bill alone, as after a restore, or when each callback was lost.  The bills are
# put in as their reader would; how they are fetched and read is 650's.
#
# fault_21 (reconciliation is set-based, and covers refunds and withdrawals), fault_30 (a
# refund made by hand in the console), fault_36 (an operator says it failed, and it was
# paid); I22.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Test::More;

my $rx = Refundx->new('main', settings => { 'refundx.dispatch' => 'off' });
my $day = $rx->sql(q{SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date});

# A bill of that day, with lines from a query of (number, movement, amount).
sub bill
{
	my ($kind, $lines) = @_;

	return $rx->sql(qq{
		WITH b AS (
			INSERT INTO refundx.bill (channel_id, merchant_id, kind, day, state, hash, lines, loaded_at, currency)
			SELECT channel_id, merchant_id, '$kind', '$day', 'loaded', 'sha256:00', 0, now(), 'CNY' FROM refundx.channel WHERE name = 'wx' RETURNING bill_id)
		INSERT INTO refundx.bill_line (bill_id, line_no, about, movement, wire_no, payment_no, amount, currency, occurred_at)
		SELECT b.bill_id, row_number() OVER (), l.about, l.movement, l.no, l.payment, l.amount, 'CNY', now() FROM b, ($lines) l});
}

sub reconcile { return $rx->sql("SELECT class, about, n, our_amount, bill_amount FROM refundx.reconcile('wx', '$day')") }

# ---- each callback lost, and the answers too ----

$rx->sql(q{
	SELECT refundx.account_open('A', 'CNY'), refundx.account_credit('A', 1000000, 'sold');
	SELECT refundx.payment_record('wx', 'P' || n, 10000, 'CNY', account => 'A'), refundx.refund_submit('wx', 'P' || n, 'R' || n, 100 + n) FROM generate_series(1, 400) n});
# a third was accepted before; of one an operator has said that it failed, without proof of it
$rx->sql(q{
	INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no)
	SELECT channel_id, merchant_id, 'callback', sha256(convert_to(wire_no, 'UTF8')), 'accepted', true, wire_no FROM refundx.instruction
	 WHERE instruction_id % 3 = 0});
ok($rx->poll(q{SELECT count(*) = 133 FROM refundx.instruction WHERE state = 'accepted'}), 'some are accepted');
$rx->sql(q{SELECT refundx.resolve('R400', 'failed', 'a colleague said so', 'a test')});
is($rx->state('R400'), 'failed', 'of one an operator says that it was not paid');

bill('trade', q{SELECT 'refund' AS about, CASE WHEN n <= 390 OR n = 400 THEN 'paid' ELSE 'failed' END AS movement, 'R' || n AS no, 'P' || n AS payment, 100 + n AS amount FROM generate_series(1, 400) n
	UNION ALL SELECT 'refund', 'paid', 'BYHAND', 'P1', 700});
is(reconcile(), "settled_by_bill|refund|399|119700|119700\nmissing_here|refund|1|0|700\nstate_differs|refund|1|500|500",
	'one run: what is settled by the bill, what was made by hand, and what contradicts');
ok($rx->poll(q{SELECT count(*) = 0 FROM refundx.instruction WHERE is_open}), 'the settler settles all of them');
is($rx->sql('SELECT state, count(*), sum(amount) FROM refundx.instruction GROUP BY 1 ORDER BY 1'),
	"failed|10|4955\nsucceeded|390|115245", 'paid, or ended, as the bill says');
is($rx->sql(q{SELECT available, frozen FROM refundx.accounts WHERE account = 'A'}), 1000000 - 115245 . '|0', 'the account has the rest');
is($rx->sql(q{SELECT elsewhere, refunded FROM refundx.payment WHERE payment_no = 'P1'}), '700|101',
	'fault_30: what was made by hand counts against its payment');
ok($rx->poll(q{SELECT hold IS NOT NULL FROM refundx.payment WHERE payment_no = 'P400'}), 'fault_36: paid after all, so nothing more of that payment');
is($rx->sql(q{SELECT state, person_reason IS NOT NULL FROM refundx.instruction WHERE instruction_no = 'R400'}), 'failed|t', 'nothing was moved, and a person knows');
is($rx->sql('SELECT class, wire_no, bill_amount, evidence_id IS NOT NULL FROM refundx.break WHERE closed_at IS NULL ORDER BY 1'),
	"missing_here|BYHAND|700|t\nstate_differs|R400|500|t", 'and both are breaks');
$rx->check_ok('settled by the bill');

# ---- twice is once ----

my $all = q{SELECT string_agg(t, ' ') FROM (
	SELECT md5(string_agg(e::text, '' ORDER BY evidence_id)) AS t FROM refundx.evidence e
	UNION ALL SELECT md5(string_agg(e::text, '' ORDER BY seq)) FROM refundx.event e
	UNION ALL SELECT md5(string_agg(e::text, '' ORDER BY break_id)) FROM refundx.break e
	UNION ALL SELECT md5(string_agg(e::text, '' ORDER BY run_id)) FROM refundx.reconciliation e
	UNION ALL SELECT md5(string_agg(e::text, '' ORDER BY instruction_id)) FROM refundx.instruction e
	UNION ALL SELECT md5(string_agg(e::text, '' ORDER BY account_id, version)) FROM refundx.journal e) x};
my $before = $rx->sql($all);

reconcile() foreach 1 .. 2;
is($rx->sql($all), $before, 'I22: reconciled twice more, and nothing is written');
# a callback that comes late says what is known
$rx->sql(q{
	INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no)
	SELECT channel_id, merchant_id, 'callback', sha256(convert_to('late' || wire_no, 'UTF8')), 'succeeded', true, wire_no FROM refundx.instruction
	 WHERE state = 'succeeded'});
ok($rx->poll(q{SELECT count(*) = 390 FROM refundx.event x JOIN refundx.evidence e USING (evidence_id)
	WHERE e.source = 'callback' AND e.verdict = 'succeeded' AND x.type = 'noted'}), 'callbacks that come late move nothing');
$rx->check_ok('after late callbacks');

# What the operator corrects explains the break, at the next run.
$rx->sql(q{SELECT refundx.resolve('R400', 'succeeded', 'line 400 of the trade bill', 'a test')});
is(reconcile(), "matched|refund|1|500|500\nsettled_by_bill|refund|399|119700|119700\nmissing_here|refund|1|0|700", 'what was put right agrees by now');
is($rx->sql(q{SELECT closed_how, closed_by, close_reason FROM refundx.break WHERE wire_no = 'R400'}),
	"explained|refundx|the channel's books and ours agree by now: it is succeeded", 'and its break is closed');
$rx->check_ok('at the end');

# ---- a large day ----

# Others' rows, put in as they would be found; compared pair by pair, they would take minutes.
my $n = 60000;

$rx->sql(qq{
	INSERT INTO refundx.merchant (kind, merchant_no) VALUES ('wechat', '1900000999');
	INSERT INTO refundx.channel (name, kind, merchant_id, config) SELECT 'large', 'wechat', merchant_id, '{}' FROM refundx.merchant WHERE merchant_no = '1900000999';
	INSERT INTO refundx.instruction (kind, instruction_no, wire_no, channel_id, merchant_id, payment_id, amount, currency, state, is_open, attempts, first_attempt_at, last_attempt_at, state_since)
	SELECT k.kind, k.prefix || g, k.prefix || g, channel_id, merchant_id, CASE k.kind WHEN 'refund' THEN 1 END, 100, 'CNY', 'succeeded', false, 1, now(), now(), now()
	  FROM refundx.channel, (VALUES ('refund', 'L'), ('withdrawal', 'W')) k(kind, prefix), generate_series(1, $n) g WHERE name = 'large';
	INSERT INTO refundx.bill (channel_id, merchant_id, kind, day, state, hash, lines, loaded_at)
	SELECT channel_id, merchant_id, k, '$day', 'loaded', 'sha256:00', $n, now() FROM refundx.channel, unnest('{trade,fund_operation}'::text[]) k WHERE name = 'large';
	INSERT INTO refundx.bill_line (bill_id, line_no, about, movement, wire_no, amount, currency)
	SELECT b.bill_id, g, CASE b.kind WHEN 'trade' THEN 'refund' ELSE 'withdrawal' END, 'paid', CASE b.kind WHEN 'trade' THEN 'L' ELSE 'W' END || g, 100, 'CNY'
	  FROM refundx.bill b JOIN refundx.channel c USING (channel_id), generate_series(1, $n) g WHERE c.name = 'large' AND g <> 7
	 ORDER BY hashint4(g)});

is($rx->sql("SET statement_timeout = '60s'; SELECT class, about, n FROM refundx.reconcile('large', '$day')"),
	join("\n", map({ "matched|$_|" . ($n - 1) } qw(refund withdrawal)), map({ "other_day|$_|1" } qw(refund withdrawal))),
	"fault_21: $n refunds and $n withdrawals against as many lines, in sets");
$rx->stop;
done_testing();
