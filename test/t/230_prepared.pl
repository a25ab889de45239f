# In the caller's transaction: two-phase commit, savepoints, late commits, and
# many callers at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Oracle;
use Test::More;

my $rx = Refundx->new('main',
	sandbox => [ '--speed', 100, '--callback-delay-ms', 10 ],
	config => { time_scale => 600, not_found_after => 1 },
	settings => { 'max_connections' => 130 });
my $sandbox = $rx->sandbox;

$rx->sql("SELECT refundx.account_open('A', 'CNY')");
$rx->sql("SELECT refundx.account_credit('A', 100000000, 'opening')");

sub submit { return 'SELECT ' . $rx->refund_text(@_) . ';' }

sub nothing_of
{
	my ($no, $what) = @_;

	is($rx->state($no), '', "$what: no refund $no");
	is($rx->payment_sums("P$no"), '10000|0|0', "$what: nothing frozen for $no");
	is($rx->sql("SELECT count(*) FROM refundx.event e WHERE NOT EXISTS
				 (SELECT FROM refundx.instruction i WHERE i.instruction_id = e.instruction_id)"), 0, "$what: no event of it");
	is(sent_times($rx, $no), 0, "$what: nothing of it on the wire");
	return;
}

# ---- two-phase commit ----

# Each with its account: a prepared transaction keeps what it has locked.
foreach my $n (1 .. 3)
{
	$rx->sql("SELECT refundx.account_open('T$n', 'CNY'), refundx.account_credit('T$n', 20000, 'opening')");
	$rx->payment("PT$n", 10000, account => "T$n");
}
$rx->sql('BEGIN; ' . submit("PT$_", "T$_", 5000) . " PREPARE TRANSACTION 'tx$_'") foreach 1 .. 3;
is($rx->sql('SELECT count(*) FROM refundx.instruction'), 0, 'what is only prepared is not there');
# others pass it by
$rx->payment('PU1', 10000, account => undef);
$rx->refund('PU1', 'U1', 5000);
$rx->wait_state('U1', 'succeeded', 'another refund is not held up by it');
is(sent_times($rx, "T$_"), 0, "T$_ is not sent") foreach 1 .. 3;

$rx->sql("COMMIT PREPARED 'tx1'");
$rx->wait_state('T1', 'succeeded', 'COMMIT PREPARED in another session sends it');
$rx->node->restart;
is($rx->sql('SELECT count(*) FROM pg_prepared_xacts'), 2, 'the others survive a restart');
$rx->payment('PU2', 10000);
$rx->refund('PU2', 'U2', 5000);
$rx->wait_state('U2', 'succeeded', 'refunds go on after it');
$rx->sql("COMMIT PREPARED 'tx2'");
$rx->wait_state('T2', 'succeeded', 'COMMIT PREPARED after a restart sends it, although its xid is an old one');
$rx->sql("ROLLBACK PREPARED 'tx3'");
nothing_of('T3', 'ROLLBACK PREPARED');
is(sent_times($rx, $_), 1, "$_ was sent once") foreach qw(T1 T2);

# A crash with one prepared.
$rx->sql('BEGIN; ' . submit('PT3', 'T4', 5000) . " PREPARE TRANSACTION 'tx4'");
$rx->crash_and_start;
$rx->sql("COMMIT PREPARED 'tx4'");
$rx->wait_state('T4', 'succeeded', 'a crash in between does not lose it');
is(paid_times($rx, 'T4'), 1, 'and it is paid once');

# ---- savepoints, exceptions, triggers ----

$rx->payment("PV$_", 10000, account => 'A') foreach 1 .. 4;
$rx->sql('BEGIN; ' . submit('PV1', 'V1', 1000) . 'SAVEPOINT a; ' . submit('PV2', 'V2', 1000)
	  . 'ROLLBACK TO a; ' . submit('PV1', 'V1b', 1000) . 'COMMIT');
$rx->wait_state($_, 'succeeded') foreach qw(V1 V1b);
nothing_of('V2', 'ROLLBACK TO SAVEPOINT');

$rx->sql("DO \$\$ BEGIN
	BEGIN PERFORM " . $rx->refund_text('PV3', 'V3', 1000) . ";
	RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END;
	PERFORM " . $rx->refund_text('PV4', 'V4', 1000) . ';
	END $$');
$rx->wait_state('V4', 'succeeded', 'from PL/pgSQL');
nothing_of('V3', 'an exception that was caught');

$rx->sql("CREATE TABLE orders (id text PRIMARY KEY, state text);
	CREATE FUNCTION refund_order() RETURNS trigger LANGUAGE plpgsql AS \$\$
	BEGIN PERFORM refundx.refund_submit('wx', 'P' || new.id, new.id, 1000, 'order canceled'); RETURN new; END \$\$;
	CREATE TRIGGER canceled AFTER UPDATE ON orders FOR EACH ROW WHEN (new.state = 'canceled') EXECUTE FUNCTION refund_order();
	INSERT INTO orders VALUES ('W1', 'paid'), ('W2', 'paid')");
$rx->payment("PW$_", 10000) foreach 1, 2;
$rx->sql("UPDATE orders SET state = 'canceled' WHERE id = 'W1'");
$rx->wait_state('W1', 'succeeded', 'from a trigger');
$rx->sql("BEGIN; UPDATE orders SET state = 'canceled' WHERE id = 'W2'; ROLLBACK");
nothing_of('W2', 'ROLLBACK of the statement that fired the trigger');
is($rx->sql("SELECT state FROM orders WHERE id = 'W2'"), 'paid', 'both or neither');

# ---- a transaction that commits late ----

$rx->payment("PL$_", 10000) foreach 0 .. 20;
my $late = $rx->node->background_psql($rx->database);
$late->query_safe('BEGIN; ' . submit('PL0', 'L0', 1000));
foreach my $n (1 .. 20)
{
	$rx->refund("PL$n", "L$n", 1000);
}
$rx->wait_state("L$_", 'succeeded', "L$_ overtakes a transaction that is still open") foreach 1, 20;
drained($rx, 'but the late one');
is(sent_times($rx, 'L0'), 0, 'which is not sent');
$late->query_safe('COMMIT');
$rx->wait_state('L0', 'succeeded', 'the late one is sent when it commits');
$late->quit;
is(sent_times($rx, "L$_"), 1, "L$_ was sent exactly once") foreach 0, 1, 10, 20;
sound($rx, 'after all of these');

# ---- 100 callers, one payment ----

# Each client submits a refund of its own; what does not fit is refused, what
# cannot be serialized is tried again.
sub at_once
{
	my ($level, $payment, $prefix, $amount, $clients) = @_;
	my $script = "$PostgreSQL::Test::Utils::tmp_check/$prefix.pgbench";
	my ($out, $err);

	append_to_file($script,
		"SELECT refundx.refund_submit('wx', '$payment', '$prefix' || :client_id, $amount, 'at once');\n");
	local $ENV{PGOPTIONS} = '-c default_transaction_isolation=' . ($level =~ s/ /\\ /gr);
	IPC::Run::run(
		[ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', 1, '--max-tries=1000', '-f', $script,
			'-h', $rx->node->host, '-p', $rx->node->port, $rx->database ],
		'>', \$out, '2>', \$err);
	return $err;
}

foreach my $level ('read committed', 'repeatable read', 'serializable')
{
	my $prefix = join '', map { substr $_, 0, 1 } split / /, $level;
	my $payment = "PX$prefix";

	subtest "fault_01 fault_18: 100 callers refund one payment at once, $level" => sub {
		$rx->payment($payment, 10000, account => 'A');
		my $err = at_once($level, $payment, $prefix, 700, 100);
		my @refused = $err =~ /exceeds the \d+ left of payment/g;
		my ($n, $sum) = split /\|/, $rx->sql(
			"SELECT count(*), sum(amount) FROM refundx.instruction WHERE instruction_no LIKE '$prefix%'
			    AND payment_id = (SELECT payment_id FROM refundx.payment WHERE payment_no = '$payment')");

		is($n, 14, 'as many as fit into what was paid') || diag($err);
		is($sum, 9800, 'and not one more');
		is(scalar @refused, 86, 'the others are told that it is too much')
		  || diag(join "\n", grep { !/exceeds/ } (split /\n/, $err)[ 0 .. 20 ]);
		is($rx->sql("SELECT refunding + refunded FROM refundx.payment WHERE payment_no = '$payment'"),
			9800, 'the payment knows it');
	};
}
drained($rx, 'after 300 callers');

# The same number from everybody is one refund.
subtest 'one number from 50 callers is one refund' => sub {
	my $script = "$PostgreSQL::Test::Utils::tmp_check/same.pgbench";
	my ($out, $err);

	$rx->payment('PY', 10000, account => 'A');
	append_to_file($script, "SELECT refundx.refund_submit('wx', 'PY', 'Y', 6000, 'at once');\n");
	IPC::Run::run(
		[ 'pgbench', '-n', '-c', 50, '-j', 2, '-t', 2, '--max-tries=1000', '-f', $script,
			'-h', $rx->node->host, '-p', $rx->node->port, $rx->database ],
		'>', \$out, '2>', \$err);
	like($out, qr/number of transactions actually processed: 100\/100/, 'every caller gets it') || diag($err);
	is($rx->sql("SELECT refunding + refunded FROM refundx.payment WHERE payment_no = 'PY'"), 6000, 'frozen once');
	$rx->wait_state('Y', 'succeeded');
	is(sent_times($rx, 'Y'), 1, 'sent once');
};

drained($rx, 'at the end');
sound($rx, 'at the end');
wire_ok($rx, 'at the end');

$rx->stop;
done_testing();
