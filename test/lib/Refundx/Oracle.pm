# Refundx::Oracle
#	  What must hold, asked from outside.
#
#	use Refundx::Oracle;
#	sound($rx, 'after the crash');		# tables, ledger and refundx.check()
#	wire_ok($rx, 'after the crash');	# what was sent, against the attempts
#
# The questions are asked in other words than refundx.check() asks them, and
# of the sandbox's ledger, so that one mistake is not made on both sides.

package Refundx::Oracle;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

our @EXPORT = qw(sound tables_ok wire_ok drained column lines_of paid_times sent_times never_twice);

# What pays, in the words of the sandbox's wire.log.
my $pays = qr/^(?:wechat\.refund\.create|alipay\.trade\.refund|stripe\.refund\.create
	|wechat\.transfer\.create|alipay\.fund\.trans\.uni\.transfer)$/x;

# Each query gives the rows that are wrong.
my @invariants = (
	'payments are the sums of their refunds' => q{
		SELECT p.payment_no, p.refunding, p.refunded, p.returned
		  FROM refundx.payment p
		  LEFT JOIN refundx.instruction i USING (payment_id)
		 GROUP BY p.payment_id
		HAVING p.refunding <> coalesce(sum(i.amount) FILTER (WHERE i.state NOT IN ('succeeded', 'failed', 'returned', 'canceled')), 0)
			OR p.refunded <> coalesce(sum(i.amount) FILTER (WHERE i.state = 'succeeded'), 0)
			OR p.returned <> coalesce(sum(i.amount) FILTER (WHERE i.state = 'returned'), 0)
			OR p.refunding + p.refunded + p.returned + p.elsewhere + p.already_refunded > p.paid},
	'journal lines continue each other' => q{
		SELECT account_id, version
		  FROM (SELECT *, lag(version, 1, 0::bigint) OVER w AS v, lag(available, 1, 0::bigint) OVER w AS a,
					   lag(frozen, 1, 0::bigint) OVER w AS f
				  FROM refundx.journal WINDOW w AS (PARTITION BY account_id ORDER BY version)) j
		 WHERE version <> v + 1 OR available <> a + d_available OR frozen <> f + d_frozen
			OR d_available + d_frozen + d_outside <> 0 OR available < 0 OR frozen < 0},
	'what is frozen belongs to open refunds and withdrawals, with their fees' => q{
		SELECT a.account_no, j.frozen, i.open
		  FROM refundx.account a
		  LEFT JOIN LATERAL (SELECT frozen FROM refundx.journal j
							  WHERE j.account_id = a.account_id ORDER BY version DESC LIMIT 1) j ON true
		  LEFT JOIN LATERAL (SELECT sum(amount + fee) AS open FROM refundx.instruction i
							  WHERE i.account_id = a.account_id
								AND state IN ('awaiting_approval', 'queued', 'sending', 'unknown', 'accepted', 'abnormal', 'stopped')) i ON true
		 WHERE coalesce(j.frozen, 0) <> coalesce(i.open, 0)},
	# a fee is a line of its own where it is taken, and only there
	'each has its journal lines, and no other' => q{
		SELECT i.instruction_no, i.state, i.fee, string_agg(j.type, ' ' ORDER BY j.version)
		  FROM refundx.instruction i LEFT JOIN refundx.journal j USING (instruction_id)
		 WHERE i.account_id IS NOT NULL
		 GROUP BY i.instruction_id
		HAVING coalesce(string_agg(j.type, ' ' ORDER BY j.version), '') <> ALL (
			CASE WHEN i.state IN ('awaiting_approval', 'queued', 'sending', 'unknown', 'accepted', 'abnormal', 'stopped')
				 THEN ARRAY['freeze']
				 WHEN i.state = 'canceled' THEN ARRAY['freeze release']
				 WHEN i.fee = 0 THEN
					CASE i.state WHEN 'succeeded' THEN ARRAY['freeze pay_out']
								 WHEN 'failed' THEN ARRAY['freeze release']
								 ELSE ARRAY['freeze release', 'freeze pay_out return'] END
				 ELSE
					CASE i.state WHEN 'succeeded' THEN ARRAY['freeze pay_out fee']
								 WHEN 'failed' THEN ARRAY['freeze release', 'freeze release fee']
								 ELSE ARRAY['freeze release', 'freeze release fee', 'freeze pay_out fee return',
											'freeze pay_out fee return fee_return'] END
			END)},
	# what left the account, and what is frozen of it, to the unit
	'a withdrawal costs its account what it says' => q{
		SELECT i.instruction_no, i.state, i.amount, i.fee, o.asked, j.a, j.f
		  FROM refundx.instruction i JOIN refundx.payout o USING (instruction_id)
		 CROSS JOIN LATERAL (SELECT sum(d_available) AS a, sum(d_frozen) AS f, bool_or(type = 'fee') AS kept,
									bool_or(type = 'fee_return') AS given
							   FROM refundx.journal j WHERE j.instruction_id = i.instruction_id) j
		 WHERE o.asked NOT IN (i.amount, i.amount + i.fee)
			OR (i.state IN ('failed', 'returned', 'canceled', 'succeeded') AND j.f <> 0)
			OR j.a <> - CASE WHEN i.is_open OR i.state = 'succeeded' THEN i.amount + i.fee
							 WHEN j.kept AND NOT j.given THEN i.fee ELSE 0 END
			OR i.is_open AND j.f <> i.amount + i.fee},
	'a limit of a day is what counts on it' => q{
		SELECT o.account_id, i.channel_id, o.capped_on, l.withdrawals, l.amount, count(*), sum(o.asked)
		  FROM refundx.payout o JOIN refundx.instruction i USING (instruction_id)
		  LEFT JOIN LATERAL (SELECT n, withdrawals, amount FROM refundx.cap_line c
							  WHERE c.account_id = o.account_id AND c.channel_id = i.channel_id AND c.day = o.capped_on
							  ORDER BY n DESC LIMIT 1) l ON true
		 -- its lines are thrown away after 31 days
		 WHERE o.capped_on IS NOT NULL
		   AND (l.n IS NOT NULL OR o.capped_on > now() + current_setting('refundx.clock_offset')::interval - interval '30 days')
		 GROUP BY 1, 2, 3, 4, 5
		HAVING l.withdrawals IS DISTINCT FROM count(*) FILTER (WHERE i.is_open OR i.state IN ('succeeded', 'returned'))
			OR l.amount IS DISTINCT FROM coalesce(sum(o.asked) FILTER (WHERE i.is_open OR i.state IN ('succeeded', 'returned')), 0)},
	# (what is said of handlers says nothing of the state)
	'histories are paths of the state table' => q{
		SELECT i.instruction_no, e.seq, e.came_from, e.from_state, e.to_state
		  FROM (SELECT *, lag(to_state) OVER (PARTITION BY instruction_id ORDER BY seq) AS came_from
				  FROM refundx.event WHERE instruction_id IS NOT NULL AND to_state IS NOT NULL) e
		  JOIN refundx.instruction i USING (instruction_id)
		 WHERE e.came_from IS DISTINCT FROM e.from_state
			OR e.from_state <> e.to_state
			   AND NOT EXISTS (SELECT FROM refundx.state_table() t
								WHERE t.reaction = 'move' AND t.from_state = e.from_state AND t.to_state = e.to_state)},
	'histories end where the row is' => q{
		SELECT i.instruction_no, i.state, e.to_state
		  FROM refundx.instruction i
		  LEFT JOIN LATERAL (SELECT to_state FROM refundx.event e
							  WHERE e.instruction_id = i.instruction_id AND e.to_state IS NOT NULL ORDER BY seq DESC LIMIT 1) e ON true
		 WHERE e.to_state IS DISTINCT FROM i.state},
	'attempts do not overlap' => q{
		SELECT wire_no, attempt_id, ended, next_start
		  FROM (SELECT a.wire_no, a.attempt_id, e.received_at AS ended,
					   lead(a.started_at) OVER (PARTITION BY a.instruction_id ORDER BY a.attempt_id) AS next_start
				  FROM refundx.attempt a LEFT JOIN refundx.evidence e ON e.attempt_id = a.attempt_id) x
		 WHERE next_start IS NOT NULL AND (ended IS NULL OR ended > next_start)},
	'no refund was sent after it was finished' => q{
		SELECT i.instruction_no, a.started_at, e.at
		  FROM refundx.attempt a JOIN refundx.instruction i USING (instruction_id)
		  JOIN refundx.event e USING (instruction_id)
		 WHERE a.call = 'submit' AND e.to_state IN ('succeeded', 'failed', 'returned', 'canceled')
		   AND e.from_state <> e.to_state AND a.attempt_id > 0
		   AND EXISTS (SELECT FROM refundx.event c WHERE c.instruction_id = e.instruction_id
						  AND c.type = 'claimed' AND c.seq > e.seq)},
	'whatever is open is due, or under way' => q{
		SELECT i.instruction_no, i.state FROM refundx.instruction i
		 WHERE i.state IN ('queued', 'sending', 'unknown', 'accepted', 'abnormal') AND i.due_at IS NULL
		   AND NOT EXISTS (SELECT FROM refundx.attempt a
							WHERE a.instruction_id = i.instruction_id
							  AND NOT EXISTS (SELECT FROM refundx.evidence e JOIN refundx.event x USING (evidence_id)
											   WHERE e.attempt_id = a.attempt_id))},
	'one piece of evidence is one event' => q{
		SELECT e.evidence_id, count(x.seq)
		  FROM refundx.evidence e LEFT JOIN refundx.event x USING (evidence_id)
		 GROUP BY 1 HAVING count(x.seq) > 1});

# A test: nothing in the tables contradicts itself.
sub tables_ok
{
	my ($rx, $what) = @_;
	my @wrong;

	for (my $i = 0; $i < @invariants; $i += 2)
	{
		my $rows = $rx->sql($invariants[ $i + 1 ]);
		push @wrong, "not so: $invariants[$i]: " . join('; ', grep { defined } (split /\n/, $rows)[ 0 .. 4 ])
		  if $rows ne '';
	}
	return is(join("\n", @wrong), '', 'the tables are consistent' . ($what ? ": $what" : ''));
}

# Tests: the tables, both ledgers, and what refundx.check() says.
sub sound
{
	my ($rx, $what) = @_;

	tables_ok($rx, $what);
	$rx->ledger_ok($what);
	$rx->check_ok($what);
	return;
}

# A test: nothing was on the wire without an attempt that had been committed
# before; never more often than there were attempts; and all bytes of a number
# are those that were kept for it.  What is kept of a withdrawal is sealed: there
# all bytes of a number are those that were sent first.  @but: numbers that
# others have sent.
sub wire_ok
{
	my ($rx, $what, @but) = @_;
	my (%attempts, %seen, @wrong);
	my %but = map { $_ => 1 } @but;
	my %kept = map { split /\|/ } split /\n/, $rx->sql(
		q{SELECT r.wire_no, encode(sha256(r.body), 'hex')
			FROM refundx.request r JOIN refundx.instruction USING (instruction_id) WHERE kind = 'refund'});

	foreach (split /\n/, $rx->sql(
			q{SELECT wire_no, (extract(epoch FROM started_at) * 1000000)::bigint
				FROM refundx.attempt WHERE call = 'submit' ORDER BY attempt_id}))
	{
		my ($no, $at) = split /\|/;
		push @{ $attempts{$no} }, $at;
	}
	foreach my $line (grep { $_->{call} =~ $pays } @{ $rx->sandbox->wire })
	{
		my $no = $line->{no};
		my $n = ++$seen{$no};

		next if $but{$no};
		push @wrong, "$no was sent without an attempt" unless $attempts{$no};
		next unless $attempts{$no};
		push @wrong, "$no was sent more often than attempted" if $n > @{ $attempts{$no} };
		push @wrong, "$no was sent before its attempt" if $line->{at} < $attempts{$no}[0];
		$kept{$no} //= $line->{digest} if $line->{call} =~ /transfer/;
		push @wrong, "$no was sent in other bytes than those kept" if $line->{digest} ne ($kept{$no} // '');
	}
	return is(join("\n", @wrong), '', 'nothing on the wire without a committed attempt' . ($what ? ": $what" : ''));
}

# Wait until every refund is finished; a test.
sub drained
{
	my ($rx, $what, @but) = @_;
	my $open = q{SELECT count(*) = 0 FROM refundx.instruction
		WHERE state NOT IN ('succeeded', 'failed', 'returned', 'canceled')};

	$open .= ' AND instruction_no NOT IN (' . join(', ', map { Refundx::literal($_) } @but) . ')' if @but;
	return ok($rx->poll($open), 'everything is finished' . ($what ? ": $what" : ''))
	  || diag($rx->sql(q{SELECT instruction_no, state, due_call, due_at, attempts, polls, person_reason
			FROM refundx.instruction WHERE is_open LIMIT 10}));
}

# One column of the refund's row.
sub column
{
	my ($rx, $no, $column) = @_;
	return $rx->sql("SELECT $column FROM refundx.instruction WHERE instruction_no = " . Refundx::literal($no));
}

# Its history: "queued>sending>accepted>succeeded", without what moved nothing.
sub lines_of
{
	my ($rx, $no) = @_;
	return $rx->sql(
		q{SELECT string_agg(to_state, '>' ORDER BY seq)
			FROM refundx.event JOIN refundx.instruction USING (instruction_id)
		   WHERE from_state IS DISTINCT FROM to_state AND instruction_no = } . Refundx::literal($no));
}

# How often the channel paid it.  A number is a refund's or a withdrawal's.
sub paid_times
{
	my ($rx, $no) = @_;
	my $paid = $rx->sandbox->refund($no) || $rx->sandbox->transfer($no);
	return $paid ? $paid->{paid_times} : 0;
}

# A test: the channel has paid no number twice, and none has come back twice.
sub never_twice
{
	my ($rx, $what) = @_;
	my $ledger = $rx->sandbox->ledger;
	my @twice = map { $_->{no} } grep { $_->{paid_times} > 1 || ($_->{bounced_times} || 0) > 1 }
	  @{ $ledger->{refunds} }, @{ $ledger->{transfers} };

	return is_deeply(\@twice, [], 'nothing is paid twice' . ($what ? ": $what" : ''));
}

# How often it was sent (not asked about).
sub sent_times
{
	my ($rx, $no) = @_;
	return scalar grep { $_->{call} =~ $pays && $_->{no} eq $no } @{ $rx->sandbox->wire };
}

1;
