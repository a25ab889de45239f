# Handlers follow each transition exactly once: every kind of end, refunds and
# withdrawals, with handlers that fail at random and servers that die; over a dump
# and its restore; and a slow one costs the others nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;
use Time::HiRes qw(time);

my $all = Refundx::Withdrawals->new('main', sandbox => [ '--speed', 60, '--callback-delay-ms', 20 ]);
my $rx = $all->rx;
my $node = $rx->node;

$rx->{channel} = 'wechat';
Refundx::Withdrawals::payee_key($rx);
$rx->sql(q{
	CREATE ROLE shop;
	CREATE SCHEMA shop AUTHORIZATION shop;
	GRANT USAGE ON SCHEMA refundx TO shop;
	GRANT USAGE ON TYPE refundx.refund, refundx.withdrawal TO shop;
	SET ROLE shop;
	CREATE TABLE shop.trace (n bigint GENERATED ALWAYS AS IDENTITY, no text, state text, second boolean);
	CREATE TABLE shop.mood (bad float8);
	INSERT INTO shop.mood VALUES (0);
	CREATE FUNCTION shop.trace(r refundx.refund) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO shop.trace (no, state) VALUES (r.refund_no, r.state);
		IF random() < (SELECT bad FROM shop.mood) THEN RAISE 'a bad day'; END IF;
	END $$;
	CREATE FUNCTION shop.again(r refundx.refund) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO shop.trace (no, state, second) VALUES (r.refund_no, r.state, true);
		IF random() < (SELECT bad FROM shop.mood) THEN RAISE 'a bad day for this one'; END IF;
	END $$;
	CREATE FUNCTION shop.paid_out(w refundx.withdrawal) RETURNS void LANGUAGE sql AS $$
		INSERT INTO shop.trace (no, state) VALUES (w.withdrawal_no, w.state || ' ' || w.net) $$;
	-- longer than anything here waits: only its time limit ends it
	CREATE FUNCTION shop.slow(r refundx.refund) RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(60) $$;
});
$rx->sql("SELECT refundx.handler_add('refund.$_', 'shop.trace(refundx.refund)', 'required', retries => 100, backoff => '10 ms')")
  foreach qw(accepted abnormal succeeded failed returned canceled);
$rx->sql("SELECT refundx.handler_add('refund.$_', 'shop.again(refundx.refund)', 'best_effort', retries => 100, backoff => '10 ms')")
  foreach qw(succeeded failed);
$rx->sql("SELECT refundx.handler_add('withdrawal.$_', 'shop.paid_out(refundx.withdrawal)', 'required')")
  foreach qw(succeeded failed canceled);

sub refund
{
	my ($no, $amount, %more) = @_;
	$rx->payment("P$no", 50000, account => 'A');
	return $rx->refund("P$no", $no, $amount, %more);
}

# What differs between what has happened and what was followed.
sub followed_ok
{
	my ($what) = @_;
	ok($rx->poll('SELECT count(*) = 0 FROM refundx.handler_run WHERE is_open') && $rx->poll('SELECT count(*) = 0 FROM refundx.handed'),
		"$what: no handler waits") || diag($rx->sql('SELECT * FROM refundx.handler_failures LIMIT 5'));
	return is($rx->sql(q{
		WITH happened AS (
			SELECT i.instruction_no AS no, x.to_state AS state, x.seq FROM refundx.event x JOIN refundx.instruction i USING (instruction_id)
			 WHERE x.from_state <> x.to_state AND i.kind = 'refund'
			   AND x.to_state IN ('accepted', 'abnormal', 'succeeded', 'failed', 'returned', 'canceled')),
		ours AS (SELECT no, string_agg(state, ' ' ORDER BY seq) AS path, string_agg(state, ' ' ORDER BY seq) FILTER (WHERE state IN ('succeeded', 'failed')) AS ends FROM happened GROUP BY no),
		theirs AS (SELECT no, string_agg(state, ' ' ORDER BY n) FILTER (WHERE second IS NULL) AS path,
						  string_agg(state, ' ' ORDER BY n) FILTER (WHERE second) AS ends FROM shop.trace WHERE no LIKE 'R%' GROUP BY no)
		SELECT * FROM ours FULL JOIN theirs USING (no) WHERE (ours.path, ours.ends) IS DISTINCT FROM (theirs.path, theirs.ends)}),
		'', "$what: each transition was followed once, in order");
}

sub trace { return $rx->sql("SELECT string_agg(state, ' ' ORDER BY n) FROM shop.trace WHERE no = '$_[0]' AND second IS NULL") }

# ---- every transition ----

my %ends = (1000 => 'succeeded', 9001 => 'failed', 9011 => 'failed', 9024 => 'returned');
refund("R$_", $_) foreach sort keys %ends;
$rx->wait_state("R$_", $ends{$_}) foreach sort keys %ends;
is(trace('R1000'), 'accepted succeeded', 'a success is followed');
is(trace('R9001'), 'failed', 'a refusal');
is(trace('R9011'), 'accepted failed', 'a number that dies');
is(trace('R9024'), 'accepted abnormal returned', 'what cannot be paid and comes back');
followed_ok('one of each');

my $own = $all->start('alipay', 'W1', 1200);
$rx->wait_state($own, 'succeeded', 'a withdrawal');
is(trace($own), 'succeeded 1200', 'is followed, with its own row');

# one that waits for a second person, and is withdrawn in a session, or in a prepared transaction
$all->policy('alipay', { approve_above => 100 });
$own = $all->start('alipay', 'W2', 1200);
$rx->sql("SELECT refundx.withdraw_cancel('$own')");
ok($rx->poll("SELECT count(*) = 1 FROM shop.trace WHERE no = '$own' AND state = 'canceled 1200'"), 'a cancel in a session is followed');
$own = $all->start('alipay', 'W3', 1200);
$rx->sql("BEGIN; SELECT refundx.withdraw_cancel('$own'); PREPARE TRANSACTION 'cancel'");
is(trace($own), '', 'not before it is committed');
$rx->sql("COMMIT PREPARED 'cancel'");
ok($rx->poll("SELECT count(*) = 1 FROM shop.trace WHERE no = '$own' AND state = 'canceled 1200'"), 'and in a prepared transaction');
$all->policy('alipay', undef);

# ---- handlers that fail, and servers that die ----

$rx->sql('UPDATE shop.mood SET bad = 0.3');
foreach my $round (1 .. 3)
{
	refund("R$round-$_", 100 + $_) foreach 1 .. 25;
	if ($round < 3)
	{
		# in the midst of it: some of these have been followed
		ok($rx->poll("SELECT count(DISTINCT no) >= 5 * $round FROM shop.trace WHERE no LIKE 'R$round-%'"),
			"round $round: handlers are being called");
		$rx->kill9;
		$node->start;
	}
}
ok($rx->poll("SELECT count(*) = 0 FROM refundx.instruction WHERE is_open"), 'all come to their end');
followed_ok('with failures and crashes');
cmp_ok($rx->sql("SELECT count(*) FROM refundx.handler_run WHERE tries > 0"), '>', 5, 'and some have failed');
$rx->sql('UPDATE shop.mood SET bad = 0');
sound($rx, 'with failures and crashes');

# ---- a slow one ----

$rx->sql("SELECT refundx.handler_remove(transition, function, 'next') FROM refundx.handlers");
$rx->sql(q{SELECT refundx.handler_add('refund.failed', 'shop.slow(refundx.refund)', 'required', time_limit => '300 ms', lock_limit => '10 ms', retries => 100, backoff => '10 ms')});
$rx->sql(q{SELECT refundx.handler_add('refund.succeeded', 'shop.trace(refundx.refund)', 'required')});
refund("Rs$_", 9001) foreach 1 .. 8;
ok($rx->poll("SELECT problem LIKE '%takes longer%' FROM refundx.worker_status() WHERE kind = 'runner'"), 'a handler that is always slow rests');
my $began = time();
refund("Rf$_", 100 + $_) foreach 1 .. 10;
ok($rx->poll("SELECT count(*) = 10 FROM shop.trace WHERE no LIKE 'Rf%' AND state = 'succeeded'"), 'while the others are followed');
cmp_ok(time() - $began, '<', 5, 'without delay');
is($rx->sql("SELECT count(*) FROM refundx.instruction WHERE instruction_no LIKE 'Rs%' AND is_open"), 8, 'what waits for it still waits');
$rx->check_ok('while they wait');

# ---- a dump, and its restore, in the midst of it ----

my $dump = $node->basedir . '/dump';
my $copy = bless { %$rx, database => 'copy' }, 'Refundx';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('shop') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copy'), $dump ], 'pg_restore');
is($copy->sql('SELECT string_agg(function, chr(32) ORDER BY transition) FROM refundx.handlers WHERE problem IS NULL'),
	'shop.slow(refundx.refund) shop.trace(refundx.refund)', 'the handlers are there');
$rx->set('refundx.databases' => 'copy');
$copy->sql(q{CREATE OR REPLACE FUNCTION shop.slow(r refundx.refund) RETURNS void LANGUAGE sql AS $$ INSERT INTO shop.trace (no, state) VALUES (r.refund_no, r.state) $$});
$copy->sql("UPDATE refundx.handler_run SET next_at = clock_timestamp() WHERE is_open");
ok($copy->poll("SELECT count(*) = 8 FROM refundx.instruction WHERE instruction_no LIKE 'Rs%' AND state = 'failed'"),
	'and what the dump found waiting is settled')
  || diag($copy->sql('SELECT * FROM refundx.handler_failures') . $copy->sql('SELECT * FROM refundx.health'));
is($copy->sql("SELECT count(*), count(DISTINCT no) FROM shop.trace WHERE no LIKE 'Rs%'"), '8|8', 'and followed, once each');
$copy->check_ok('in the copy');
$rx->stop;
done_testing();
