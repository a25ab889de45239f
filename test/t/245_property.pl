# Whatever callers do, in whatever order the channel's words arrive: the sums
# are right.  Seeded: REFUNDX_SEED repeats a run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Oracle;
use Test::More;

my $seed = $ENV{REFUNDX_SEED} || 19990106;
note "seed $seed";
srand $seed;

my $rx = Refundx->new('main',
	sandbox => [ '--speed', 200, '--callback-delay-ms', 20, '--hold-ms', 1000, '--chaos', 40, '--seed', $seed ],
	config => { time_scale => 600, not_found_after => 1 },
	settings => { 'max_connections' => 60 });
my $sandbox = $rx->sandbox;

# ---- callers who do everything at once, against a channel that misbehaves ----

my $payments = 40;
my $accounts = 5;

# What an application would make of the errors that are its own fault.
$rx->sql(q{
	CREATE FUNCTION attempt(what text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE result text;
	BEGIN
		EXECUTE what INTO result;
		RETURN result;
	EXCEPTION WHEN OTHERS THEN
		IF SQLSTATE LIKE 'RX%' THEN RETURN SQLSTATE; END IF;
		RAISE;
	END $$});
# The last two are spread over slots.
$rx->sql("SELECT refundx.account_open('A$_', 'CNY', " . ($_ > 3 ? $_ : 1) . "), refundx.account_credit('A$_', 50000, 'opening')")
  foreach 1 .. $accounts;
$rx->payment("P$_", 10000, account => 'A' . (1 + $_ % $accounts)) foreach 1 .. $payments;

my %scripts = (
	# numbers come again, with the same values and with others
	submit => [ 8, q{
		\set n random(1, 400)
		\set amount 100 * (1 + (:n * 7919) % 30)
		SELECT attempt(format('SELECT (refundx.refund_submit(%L, %L, %L, %s)).state', 'wx', 'P' || (1 + :n % 40), 'N' || :n, :amount));
	} ],
	other => [ 1, q{
		\set n random(1, 400)
		SELECT attempt(format('SELECT (refundx.refund_submit(%L, %L, %L, 55)).state', 'wx', 'P' || (1 + :n % 40), 'N' || :n));
	} ],
	cancel => [ 2, q{
		\set n random(1, 400)
		SELECT attempt(format('SELECT (refundx.refund_cancel(%L)).state', 'N' || :n));
	} ],
	money => [ 2, q{
		\set a random(1, 5)
		\set amount random(1, 3000)
		\set r random(1, 1000000000)
		SELECT attempt(format('SELECT refundx.account_credit(%L, %s, %L)', 'A' || :a, :amount, 'c' || :r));
		SELECT attempt(format('SELECT refundx.account_debit(%L, %s, %L)', 'A' || :a, :amount, 'd' || :r));
	} ],
	rollback => [ 1, q{
		\set n random(1, 400)
		BEGIN;
		SELECT attempt(format('SELECT (refundx.refund_submit(%L, %L, %L, 100)).state', 'wx', 'P' || (1 + :n % 40), 'never' || :n));
		SAVEPOINT s;
		SELECT attempt(format('SELECT (refundx.refund_cancel(%L)).state', 'N' || :n));
		ROLLBACK;
	} ]);
my @command = ('pgbench', '-n', '-c', 12, '-j', 2, '-t', 80, '--max-tries=100', "--random-seed=$seed",
	'-h', $rx->node->host, '-p', $rx->node->port);

foreach my $name (sort keys %scripts)
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.pgbench";

	append_to_file($file, $scripts{$name}[1]);
	push @command, '-f', "$file\@$scripts{$name}[0]";
}
my ($out, $err) = ('', '');
ok(IPC::Run::run([ @command, $rx->database ], '>', \$out, '2>', \$err), 'callers do what they do')
  || diag($err);
like($out, qr{actually processed: 960/960}, 'and none meets an error that is not theirs') || diag($out . $err);
tables_ok($rx, 'while refunds are under way');
is($rx->sql('SELECT * FROM refundx.check()'), '', 'the invariants hold meanwhile');
drained($rx, 'in the end');
sound($rx, 'in the end');
wire_ok($rx, 'in the end');
is(scalar(grep { $_->{paid_times} > 1 } @{ $sandbox->refunds }), 0, 'nothing is paid twice');
is(scalar(grep { $_->{no} =~ /^never/ } @{ $sandbox->refunds }), 0, 'nothing of what was rolled back is paid');
cmp_ok($rx->sql("SELECT count(DISTINCT state) FROM refundx.instruction"), '>=', 2, 'it went both ways');
is($rx->sql('SELECT sum(d_available + d_frozen + d_outside) FROM refundx.journal'), 0, 'no unit is made or lost');

# ---- the same words, in every order, more than once ----

# Nothing is sent; evidence comes as from the listener and the dispatcher.
$rx->set('refundx.dispatch' => 'off');
$rx->sql(q{
	CREATE FUNCTION keep(no text, source text, verdict text, n int) RETURNS void LANGUAGE sql AS $$
		INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no, attempt_started_at)
		SELECT channel_id, merchant_id, source, sha256(convert_to(no || source || verdict || n, 'UTF8')),
			   verdict, verdict <> 'unknown', wire_no, clock_timestamp()
		  FROM refundx.instruction WHERE instruction_no = no
		ON CONFLICT DO NOTHING $$});
$rx->sql("SELECT refundx.account_credit('A1', 10000000, 'more')");

my @words = ([ 'answer', 'accepted' ], [ 'answer', 'unknown' ], [ 'callback', 'abnormal' ], [ 'query', 'accepted' ], [ 'query', 'abnormal' ]);
my $cases = 30;
my @sql;

foreach my $case (1 .. $cases)
{
	my $end = (qw(succeeded succeeded dead returned))[ rand 4 ];
	# some words, copies of them, and a query's word about the end
	my @said = (map({ $words[ rand @words ] } 1 .. 1 + rand 4), ([ 'callback', $end ]) x (1 + rand 3));

	# Each of three refunds hears the same, in an order of its own.
	foreach my $twin (qw(a b c))
	{
		my $no = "O$case$twin";
		my $n = 0;

		$rx->payment("P$no", 1000, account => 'A1');
		$rx->refund("P$no", $no, 700);
		# Every other case is settled piece by piece, the others in batches.
		my @keep = map { "SELECT keep('$no', '$_->[0]', '$_->[1]', 0)" } shuffle(@said);
		push @keep, "SELECT keep('$no', 'query', '$end', 1)";
		push @sql, $case % 2 ? 'BEGIN; ' . join('; ', @keep) . '; COMMIT' : join('; ', @keep);
	}
}
$rx->sql($_) foreach @sql;
ok($rx->poll('SELECT count(*) = 0 FROM refundx.evidence v LEFT JOIN refundx.event e USING (evidence_id) WHERE e.seq IS NULL'),
	'everything that was said is weighed');
my $differ = $rx->sql(q{
	SELECT c, string_agg(DISTINCT what, ' / ') FROM (
		SELECT left(i.instruction_no, -1) AS c,
			   i.state || ' ' || p.refunding || ' ' || p.refunded || ' ' || p.returned || ' ' || (p.hold IS NULL)
			   || ' ' || (SELECT sum(d_available) || ' ' || sum(d_frozen) || ' ' || sum(d_outside)
						  FROM refundx.journal j WHERE j.instruction_id = i.instruction_id) AS what
		  FROM refundx.instruction i JOIN refundx.payment p USING (payment_id)
		 WHERE i.instruction_no ~ '^O\d') x
	 GROUP BY c HAVING count(DISTINCT what) > 1});
is($differ, '', 'the order of arrival does not matter, nor how often a thing is said');
is($rx->sql(q{SELECT count(*) FROM refundx.instruction WHERE instruction_no ~ '^O\d' AND is_open}), 0, 'all of them end');
is($rx->sql(q{SELECT count(*) FROM refundx.instruction i JOIN refundx.payment p USING (payment_id)
			  WHERE instruction_no ~ '^O\d' AND p.hold IS NOT NULL}), 0, 'and none contradicts itself');
tables_ok($rx, 'after every order');

$rx->stop;
done_testing();
