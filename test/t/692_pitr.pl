# Restored to a moment before the last sends: what was lost is asked about, found in
# the channel's answers and bills, and reported; what is submitted again is not
# paid again.
#
# fault_28: after a restore, a refund that was sent has been forgotten, and goes
# out again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Oracle;
use Test::More;

my $rx = Refundx->new('primary',
	streaming => 1,
	sandbox => [ '--speed', 60, '--callback-delay-ms', 20 ],
	config => { time_scale => 60, not_found_after => 1 },
	settings => { 'refundx.clerk_interval' => '1s', 'refundx.fetch_bills' => 'on' });
my $sandbox = $rx->sandbox;
my $mark = 0;

sub mark { $mark = @{ $sandbox->wire }; return }

# The calls about a number since the mark, in order: "query create query ..."
sub calls_since
{
	my ($no) = @_;
	my @wire = @{ $sandbox->wire };
	return join ' ', map { /^wechat\.refund\.(\w+)/ ? $1 : () }
	  map { $_->{call} } grep { $_->{no} eq $no } @wire[ $mark .. $#wire ];
}

sub start
{
	my ($in, $no, $amount) = @_;
	$in->payment("P$no", 50000, account => 'A');
	return $in->refund("P$no", $no, $amount);
}

$rx->sql("SELECT refundx.account_open('A', 'CNY'), refundx.account_credit('A', 100000000, 'opening')");
$rx->node->enable_archiving;
$rx->node->restart;
$rx->node->backup('base');

# ------------------------------------------------------------------------
# Up to the moment to which it is restored
# ------------------------------------------------------------------------

start($rx, 'K1', 10000);
$rx->wait_state('K1', 'succeeded');
$rx->set('refundx.dispatch' => 'off');
ok($rx->poll("SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'"), 'nothing is sent for now');
# of these the restored one knows that they are queued
start($rx, $_, 10000) foreach qw(Q1 Q2 Q3);
$rx->payment('PX', 50000, account => 'A');
$rx->node->safe_psql('postgres', "SELECT pg_create_restore_point('before the sends')");

# ------------------------------------------------------------------------
# What is lost
# ------------------------------------------------------------------------

# Q3 is held, so that it is not sent; of these the restored one knows nothing
$rx->sql("SELECT refundx.hold('refund', 'Q3', 'not this one')");
start($rx, $_, 10000) foreach qw(L1 L2 L3);
$rx->refund('PX', 'X1', 10000);
$sandbox->ctl('pause-callbacks', 'on');
$rx->set('refundx.dispatch' => 'on');
$rx->wait_state($_, [ 'accepted', 'succeeded' ], "$_ is sent") foreach qw(Q1 Q2 L1 L2 L3 X1);
ok(Refundx::wait_for(sub { (grep { paid_times($rx, $_) } qw(Q1 Q2 L1 L2 L3 X1)) == 6 }, 'six are paid'), 'six are paid');
is(sent_times($rx, 'Q3'), 0, 'and one was never sent');
$rx->node->safe_psql('postgres', 'SELECT pg_switch_wal()');
$rx->node->stop('fast');

# ------------------------------------------------------------------------
# Restored
# ------------------------------------------------------------------------

my $node = PostgreSQL::Test::Cluster->new('restored');
$node->init_from_backup($rx->node, 'base', has_restoring => 1, standby => 0);
$node->append_conf('postgresql.conf',
	"recovery_target_name = 'before the sends'\nrecovery_target_action = 'promote'\narchive_mode = off\nrefundx.dispatch = on\n");
mark();
$node->start;
my $now = bless { %$rx, node => $node }, 'Refundx';
$now->poll('SELECT NOT pg_is_in_recovery()') or die 'it stays in recovery';
ok($now->poll("SELECT state = 'books' FROM refundx.recoveries"), 'everything that was open has been answered')
  || diag($now->sql('SELECT * FROM refundx.recoveries') . "\n" . $now->sql('SELECT * FROM refundx.recovery_asked'));
$now->wait_state($_, 'succeeded', "$_ is succeeded here as well") foreach qw(Q1 Q2 Q3);
unlike(calls_since($_), qr/create/, "$_ was asked about, and not sent again") foreach qw(Q1 Q2);
like(calls_since('Q3'), qr/^query .*create/, 'Q3 was sent, after it was asked about');
is($now->sql("SELECT cause, asked, answered, paid, not_known_there, submitted_since FROM refundx.recoveries"),
	'timeline|3|3|2|1|0', 'the recovery has counted that');
like($now->sql("SELECT report FROM refundx.recoveries"),
	qr/^What happened from [^.]+ may be missing here\. 3 refunds and withdrawals were open: 1 not known there, 2 paid\./, 'and says so');
is($now->sql("SELECT gap_from < gap_to AND gap_from >= (SELECT max(submitted_at) FROM refundx.instruction WHERE instruction_no LIKE 'Q_')
			  AND gap_from < began_at FROM refundx.recoveries"), 't', 'it knows from when on something is missing');
is($now->sql("SELECT level FROM refundx.health WHERE what = 'recovery'"), 'warning', 'health tells of it');
is($now->sql("SELECT count(*) FROM refundx.incidents WHERE kind = 'recovery'"), 1, 'and an incident');

# The application does again what it never heard of: the same numbers, and a new one.
mark();
start($now, $_, 10000) foreach qw(L1 L2 N1);
$now->wait_state($_, 'succeeded') foreach qw(L1 L2 N1);
unlike(calls_since($_), qr/create/, "fault_28: $_, submitted again, is asked about and not sent again") foreach qw(L1 L2);
like(calls_since('N1'), qr/^query .*create/, 'and so is what is new, which nobody had sent');
is(paid_times($now, $_), 1, "$_ is paid once") foreach qw(K1 Q1 Q2 Q3 L1 L2 L3 N1);
ok($now->poll("SELECT submitted_since = 3 AND paid = 4 AND not_known_there = 2 FROM refundx.recoveries"), 'these are counted, too')
  || diag($now->sql('SELECT * FROM refundx.recovery_asked'));

# What may have been sent is not canceled before it is asked about.
$now->set('refundx.dispatch' => 'off');
ok($now->poll("SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'"), 'nobody asks for now');
$now->payment('PL3', 50000, account => 'A');
$now->refund('PL3', 'L3', 10000);
like($now->sql_error("SELECT refundx.refund_cancel('L3', 'changed our mind')"), qr/^RX006 refund "L3" cannot be canceled/, 'L3, which was paid, cannot be canceled');
is($now->sql("SELECT done FROM refundx.resolve('L3', 'canceled', 'never sent', 'we think', dry_run => true)"), 'f', 'nor ended by hand without a query');
$now->set('refundx.dispatch' => 'on');
$now->wait_state('L3', 'succeeded', 'it is asked about, and was paid');
is(paid_times($now, 'L3'), 1, 'once');

# ------------------------------------------------------------------------
# The gap's bills
# ------------------------------------------------------------------------

# X1, of which nothing here knows and which nobody submits again, is in one.
is($now->sql("SELECT count(*) FROM refundx.recovery_bills WHERE NOT is_in") > 0, 1, 'they are still to come');
$sandbox->ctl('advance', 2 * 86400);
$now->set('refundx.clock_offset' => 2 * 86400 . 's');
ok($now->poll("SELECT state = 'reported' FROM refundx.recoveries"), 'when they are in, the recovery reports again')
  || diag($now->sql('SELECT * FROM refundx.recoveries') . "\n" . $now->sql('SELECT * FROM refundx.recovery_bills')
	  . "\n" . $now->sql('SELECT channel, kind, day, state, due_at, error, person_reason, reconciled_at FROM refundx.bills'));
is($now->sql("SELECT class, wire_no, bill_amount FROM refundx.break WHERE closed_at IS NULL"), 'missing_here|X1|10000', 'X1 is a break, and the only one')
  || diag($now->sql('SELECT * FROM refundx.breaks'));
is($now->sql("SELECT elsewhere FROM refundx.payment WHERE payment_no = 'PX'"), 10000, 'it counts against its payment')
  || diag($now->sql('SELECT * FROM refundx.external_refund') . "\n" . $now->sql("SELECT * FROM refundx.event JOIN refundx.evidence USING (evidence_id) WHERE wire_no = 'X1'"));
like($now->sql('SELECT report FROM refundx.recoveries'), qr/1 numbers that are not known here were paid at the channels.*1 breaks of the gap's days are open: 1 missing_here/, 'the report tells of it');
is($now->sql("SELECT count(*) FROM refundx.desk WHERE what = 'recovery'"), 1, 'it is on the desk');
is($now->sql("SELECT done FROM refundx.break_accept((SELECT break_id FROM refundx.break WHERE wire_no = 'X1'), 'we remember it')"), 't', 'a person accepts it');
$now->wait_state('X1', 'succeeded', 'and nothing is missing any more');
is($now->payment_sums('PX'), '50000|0|10000', 'in its payment neither');
mark();
start($now, 'N2', 10000);
$now->wait_state('N2', 'succeeded');
like(calls_since('N2'), qr/^create/, 'what is new is sent at once again');

# ------------------------------------------------------------------------
# Over
# ------------------------------------------------------------------------

like($now->sql_error("SELECT refundx.recover_done('')"), qr/^22023 /, 'to end it wants a reason');
is($now->sql("SELECT refundx.recover_done('read; X1 was ours')"), 1, 'a person has read it');
is($now->sql("SELECT state, done_by IS NOT NULL, report LIKE '%4 were submitted since%' FROM refundx.recoveries"), 'done|t|t', 'its report stays');
is($now->sql("SELECT count(*) FROM refundx.health WHERE what = 'recovery'"), 0, 'and health has nothing to say');
like($now->sql_error("SELECT refundx.recover_done('again')"), qr/^RX041 /, 'once');
# By hand.
like($now->sql_error("SELECT refundx.recover(NULL)"), qr/^22023 /, 'by hand it wants a reason');
like($now->sql_error("SELECT refundx.recover('x', refundx.desk_now() + interval '1 day')"), qr/^22023 since must be/, 'and a moment that was');
is($now->sql("SELECT refundx.recover('we are not sure', refundx.desk_now() - interval '2 hours')"), 2, 'recover()');
is($now->sql("SELECT cause, date_trunc('minute', gap_to - gap_from) FROM refundx.recoveries LIMIT 1"), 'operator|02:00:00', 'with the gap that was told');
is($now->sql("SELECT refundx.recover('nor of that')"), 3, 'once more');
is($now->sql("SELECT state FROM refundx.recoveries WHERE recovery_id = 2"), 'superseded', 'takes over from it');
is($now->sql("SELECT gap_to - gap_from >= interval '1 day' FROM refundx.recoveries LIMIT 1"), 't', 'without a moment it is a day');
mark();
start($now, 'N3', 10000);
$now->wait_state('N3', 'succeeded');
like(calls_since('N3'), qr/^query .*create/, 'and what is new is asked about first');
is($now->sql("SELECT refundx.recover_done('it was not necessary')"), 3, 'a person ends one early');
mark();
start($now, 'N4', 10000);
$now->wait_state('N4', 'succeeded');
like(calls_since('N4'), qr/^create/, 'from then on what is new is sent at once');

$sandbox->ctl('pause-callbacks', 'off');
$now->check_ok('at the end');
tables_ok($now, 'at the end');
$now->ledger_ok('at the end');
never_twice($now);
$node->stop('fast');
$sandbox->stop;
done_testing();
