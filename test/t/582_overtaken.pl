# Withdrawals when things come in an unusual order: a cancel that is due while an
# earlier call's word comes in, a hint about what waits for its second person, a
# repeat that waits past its window, a probe whose call is overtaken.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main', sandbox => [ '--payee', 'waits' ]);
my $rx = $all->rx;
my $n = 0;

$rx->sql('CREATE ROLE shop_app LOGIN IN ROLE refundx_app; CREATE ROLE other_app LOGIN IN ROLE refundx_app;
	CREATE ROLE op LOGIN IN ROLE refundx_operator');

# Evidence as the dispatcher or the listener would keep it, and until it is weighed.
sub keep
{
	my ($own, $source, $verdict, $proof, $code) = @_;
	my $id = $rx->sql(sprintf(q(INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof,
			wire_no, attempt_started_at, code)
		SELECT channel_id, merchant_id, '%s', kind, sha256('%d'), '%s', %s, wire_no, clock_timestamp(), %s
		  FROM refundx.instruction WHERE instruction_no = '%s' RETURNING evidence_id),
		$source, ++$n, $verdict, $proof ? 'true' : 'false', $code ? "'$code'" : 'NULL', $own));

	$id =~ s/\n.*//s;
	return ok($rx->poll("SELECT count(*) = 1 FROM refundx.event WHERE evidence_id = $id"), "$own: $source $verdict is weighed");
}

sub row { return $rx->sql("SELECT $_[1] FROM refundx.instruction WHERE instruction_no = '$_[0]'") }

sub asked_times
{
	return $rx->sql("SELECT count(*) FROM refundx.attempt a JOIN refundx.instruction i USING (instruction_id)
		WHERE i.instruction_no = '$_[0]' AND a.call = 'query'");
}

sub dispatch
{
	my ($on) = @_;
	$rx->set('refundx.dispatch' => $on);
	return ok($rx->poll("SELECT (doing LIKE '%dispatch is off%') = ("
			  . ($on eq 'off' ? 'true' : 'false') . ") FROM refundx.worker_status() WHERE kind = 'dispatcher'"),
		"dispatch is $on");
}

dispatch('off');

subtest 'a cancel that is due stays due' => sub {
	my $own = $all->start('wechat', 'CANCEL', 1000);

	keep($own, 'answer', 'accepted', 1, 'PROCESSING');
	$rx->sql("SELECT refundx.withdraw_cancel('$own')");
	is(row($own, 'state, due_call'), 'accepted|cancel', 'it is due');
	keep($own, 'query', 'accepted', 1, 'PROCESSING');
	is(row($own, 'state, due_call'), 'accepted|cancel', 'after the answer of a query that was under way');
	keep($own, 'answer', 'accepted', 1, 'PROCESSING');
	is(row($own, 'state, due_call'), 'accepted|cancel', 'after that of a repeat');
	keep($own, 'query', 'refused', 0);
	is(row($own, 'state, due_call'), 'accepted|cancel', 'after a hint');
	$rx->sql("SELECT refundx.arm('as after a promotion')");
	is(row($own, 'state, due_call'), 'accepted|cancel', 'on a new timeline');
	keep($own, 'cancel', 'accepted', 1, 'CANCELING');
	is(row($own, 'state, due_call'), 'accepted|query', 'its own answer ends it');
	keep($own, 'callback', 'canceled', 1);
	is(row($own, 'state'), 'canceled', 'and the channel\'s word the withdrawal');
	# what is submitted from here on is not of a recovery
	$rx->sql("SELECT refundx.recover_done('nothing was lost')");
};

subtest 'a repeat that is refused' => sub {
	my $own = $all->start('wechat', 'REFUSED', 1000);

	keep($own, 'answer', 'accepted', 1, 'PROCESSING');
	keep($own, 'query', 'accepted', 1, 'PROCESSING');
	is(row($own, 'due_call, due_at <= clock_timestamp()'), 'submit|t', 'it is sent again at once');
	keep($own, 'answer', 'refused', 0);
	is(row($own, 'state, due_call, due_at > clock_timestamp()'), 'accepted|query|t', 'refused: asked about, but not at once');
	keep($own, 'callback', 'canceled', 1);
};

subtest 'a hint about what waits for a second person' => sub {
	$all->policy('wechat', { approve_above => 1 });
	my $own = $all->start('wechat', 'HINT', 1000);

	is(row($own, 'state, due_call'), 'awaiting_approval|', 'it waits, and is not asked about');
	keep($own, 'callback', 'ask', 0);
	is(row($own, 'due_call'), 'query', 'a hint makes us ask');
	keep($own, 'query', 'unknown', 0);
	is(row($own, 'due_call, due_at > clock_timestamp()'), 'query|t', 'again later, not at once');
	like($all->as('op', "SELECT (refundx.approve('$own', 'fine')).state"), qr/queued/, 'it is approved');
	is(row($own, 'due_call'), 'query', 'and asked about before it is sent');
	keep($own, 'query', 'not_found', 0);
	is(row($own, 'state, due_call'), 'queued|submit', 'there is nothing there');
	$rx->sql("SELECT refundx.withdraw_cancel('$own')");

	$own = $all->start('wechat', 'NOTHING', 1000);
	keep($own, 'callback', 'ask', 0);
	keep($own, 'query', 'not_found', 0);
	is(row($own, 'state, due_at IS NULL, due_call IS NULL'), 'awaiting_approval|t|t', 'nothing there: a person\'s again');
	$rx->sql("SELECT refundx.withdraw_cancel('$own')");
	$all->policy('wechat', undef);
};

subtest 'a day\'s limit given back by an older snapshot' => sub {
	$all->policy('wechat', { day_count => 100 });
	my $own = $all->start('wechat', 'CAP1', 1000);
	my $old = $rx->node->background_psql($rx->database, on_error_stop => 0);

	$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM refundx.account LIMIT 1');
	my $other = $all->start('wechat', 'CAP2', 1000);
	$old->query("\\set VERBOSITY verbose");
	$old->query("SELECT refundx.withdraw_cancel('$own')");
	like($old->{stderr}, qr/ERROR:  40001/, 'a serialization failure, as for everybody');
	$old->quit;
	$rx->sql("SELECT refundx.withdraw_cancel('$_')") foreach $own, $other;
	$all->policy('wechat', undef);
};

subtest 'a number that the channel has paid already' => sub {
	my $own = $all->no('wechat', 'BEFORE');
	# as after a restore: a callback is all that is left of it
	$rx->sql("INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, amount)
		SELECT channel_id, merchant_id, 'callback', 'withdrawal', sha256('before'), 'succeeded', true, '$own', 1000
		  FROM refundx.channel WHERE name = 'wechat'");
	ok($rx->poll("SELECT count(*) = 1 FROM refundx.external_refund WHERE wire_no = '$own'"), 'it is known as made elsewhere');
	$all->start('wechat', 'BEFORE', 1000);
	is(row($own, 'state, due_call, may_send'), 'unknown|query|f', 'the caller repeats it: it is asked about');
	is($all->journal($own), 'freeze', 'its money is frozen');
	keep($own, 'query', 'not_found', 0);
	is(row($own, 'state, person_since IS NOT NULL'), 'unknown|t', 'not found: with a person, and not sent');
	keep($own, 'query', 'succeeded', 1);
	is(row($own, 'state'), 'succeeded', 'it was paid');
	is($all->journal($own), 'freeze pay_out', 'once');
	is($rx->sql("SELECT count(*) FROM refundx.desk WHERE subject = '$own'"), 0, 'and nobody has to look at it');
};

subtest 'another login\'s number' => sub {
	my $own = $all->no('wechat', 'MINE');
	my $text = 'SELECT ' . $all->text('wechat', $own, 1234);

	$all->as('shop_app', $text);
	like($all->as('shop_app', 'SELECT ' . $all->text('wechat', $own, 1235)), qr/^RX003 /, 'is taken');
	my ($rc, $out, $err) = $rx->node->psql($rx->database, 'SELECT ' . $all->text('wechat', $own, 999),
		connstr => $rx->node->connstr($rx->database) . ' user=other_app');
	like($err, qr/already taken/, 'for others too');
	unlike($err, qr/1234/, 'who are not told what it says');
	$all->as('shop_app', "SELECT refundx.withdraw_cancel('$own')");
};

subtest 'a repeat that had to wait' => sub {
	my $own = $all->start('wechat', 'LATE', 19303);

	dispatch('on');
	ok($rx->poll("SELECT state = 'accepted' AND detail = 'PROCESSING' AND attempts > 1 FROM refundx.instruction
		WHERE instruction_no = '$own'"), 'it is repeated');
	dispatch('off');
	Refundx::wait_for(sub { row($own, "due_at IS NOT NULL") eq 't' }, 'calm');
	keep($own, 'query', 'accepted', 1, 'PROCESSING');
	is(row($own, 'state, due_call'), 'accepted|submit', 'it is due once more');
	my $sent = sent_times($rx, $own);
	# thirty times as fast: its window of 47 hours is over
	$rx->set('refundx.clock_offset' => '100 min');
	dispatch('on');
	my $asked = asked_times($own);
	# twice, so that between the two the decision was made again
	ok(Refundx::wait_for(sub { asked_times($own) >= $asked + 2 }, 'two queries'), 'it is asked about');
	is(sent_times($rx, $own), $sent, 'and not sent after its window');
	$all->sandbox->ctl('settle', $own, 'SUCCESS');
	$all->ends($own, 'succeeded');
};

subtest 'a probe whose call is overtaken' => sub {
	my ($probe, $next);

	$rx->sql("INSERT INTO refundx.merchant_pause (merchant_id, about, paused, reason, since, probe_at, probes)
		SELECT merchant_id, 'withdrawal', 'hold', 'NOT_ENOUGH', clock_timestamp(), clock_timestamp(), 1
		  FROM refundx.channel WHERE name = 'wechat'");
	$probe = $all->start('wechat', 'PROBE', 19018);
	$rx->wait_state($probe, 'sending');
	keep($probe, 'callback', 'accepted', 1, 'PROCESSING');
	is(row($probe, 'state'), 'accepted', 'a callback comes before the answer');
	ok($rx->poll("SELECT count(*) = 1 FROM refundx.evidence e JOIN refundx.instruction i USING (merchant_id, wire_no)
		WHERE i.instruction_no = '$probe' AND e.source = 'answer'"), 'which does not come');
	ok($rx->sql('SELECT count(*) FROM refundx.merchant_pause') == 1, 'the pause goes on');
	$next = $all->start('wechat', 'NEXTPROBE', 19004);
	ok($rx->poll("SELECT attempts > 0 FROM refundx.instruction WHERE instruction_no = '$next'"), 'and the next one is a probe');
};

subtest 'somebody\'s own trigger on evidence' => sub {
	my $own;

	# an audit, for instance: workers insert without a statement, and it fires all the same
	$rx->sql("CREATE TABLE seen (no text); CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
		\$\$ BEGIN INSERT INTO public.seen VALUES (NEW.wire_no); RETURN NULL; END \$\$;
		CREATE TRIGGER seen AFTER INSERT ON refundx.evidence FOR EACH ROW EXECUTE FUNCTION seen()");
	$own = $all->start('alipay', 'TRIGGER', 1000);
	$rx->wait_state($own, 'succeeded');
	is($rx->sql("SELECT count(*) = (SELECT count(*) FROM seen WHERE no = '$own') AND count(*) > 0
		FROM refundx.evidence WHERE wire_no = '$own'"), 't', 'each piece fires it');
	$rx->sql('DROP TRIGGER seen ON refundx.evidence; DROP FUNCTION seen(); DROP TABLE seen');
};

unlike(slurp_file($rx->node->logfile), qr/leak/, 'nothing leaks');
$rx->stop;
done_testing();
