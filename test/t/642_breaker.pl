# A channel that answers with errors: the breaker opens, tries, and closes by itself;
# and how fast a merchant is called.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Oracle;
use Test::More;
use Time::HiRes qw(time);

my $rx = Refundx->new('main',
	sandbox => [ '--speed', 60, '--callback-delay-ms', 20 ],
	config => { time_scale => 60, not_found_after => 1 },
	settings => { 'refundx.clerk_interval' => '1s' });
my $sandbox = $rx->sandbox;

# Refunds in one transaction, each of a payment of its own.
sub start
{
	my ($amount, @numbers) = @_;
	return $rx->sql('BEGIN; ' . join('; ', map {
		'SELECT ' . $rx->refund_text("P$_", $_, $amount, payment_amount => 100000, currency => 'CNY') } @numbers) . '; COMMIT');
}

sub all_succeed
{
	my ($like, $count, $what) = @_;
	return ok($rx->poll("SELECT count(*) = $count FROM refundx.instruction WHERE instruction_no ~ '$like' AND state = 'succeeded'"), $what)
	  || diag($rx->sql("SELECT state, due_call, due_at, count(*) FROM refundx.instruction WHERE instruction_no ~ '$like' GROUP BY 1, 2, 3")
		  . "\n" . $rx->sql('SELECT * FROM refundx.breakers'));
}

sub incidents { return $rx->sql("SELECT count(*) FROM refundx.incidents WHERE kind = 'breaker_$_[0]'") }

# Why one of them waits; as long as one does.
my $said = '';
sub listens
{
	$said ||= $rx->sql("SELECT refundx.refund_explain(instruction_no) FROM refundx.instruction
		WHERE instruction_no ~ '^G' AND state = 'queued' AND EXISTS (SELECT FROM refundx.breakers WHERE open) LIMIT 1");
	return $said =~ /one call at a time tries/;
}

subtest 'errors' => sub {
	# a calm hour before is none of it
	start(1000, map { "A$_" } 1 .. 10);
	all_succeed('^A', 10, 'it works');
	is($rx->sql('SELECT count(*) FROM refundx.breakers'), 0, 'no breaker');

	# 9022: 503 on the first call.  Good ones wait behind them
	start(9022, map { "E$_" } 1 .. 24);
	start(1000, map { "G$_" } 1 .. 10);
	ok($rx->poll("SELECT count(*) = 1 FROM refundx.breakers WHERE about = 'refund' AND call = 'submit' AND sign = 'errors' AND errors >= 10"),
		'it opens when half of the last twenty were errors');
	$said = '' unless Refundx::wait_for(\&listens, 'somebody waits', 5);
	all_succeed('^E', 24, 'none of them is given up');
	all_succeed('^G', 10, 'and what waited is sent');
	ok($rx->poll("SELECT NOT open AND closed_at > opened_at FROM refundx.breakers"), 'it has closed by itself');
	like($said, qr/; WeChat Pay answers most calls with errors, so one call at a time tries, the next (?:now|in \d+ s)\.$/, 'explain');
	is(incidents('opened'), incidents('closed'), 'each opening and each closing is an incident');
	my $opened = incidents('opened');
	cmp_ok($opened, '<=', 3, "and few of them ($opened)");
	like($rx->sql("SELECT reason FROM refundx.incidents WHERE kind = 'breaker_opened' ORDER BY incident_id LIMIT 1"),
		qr/^\d+ of the last 20 submit calls of refunds of merchant wechat \d+ were answered with an error/, 'in words');
	cmp_ok($rx->sql("SELECT count(*) FROM refundx.attempts WHERE call = 'query'"), '>=', 20, 'those that failed were asked about');
	is($rx->sql("SELECT count(*) FROM refundx.instruction WHERE state = 'failed' OR person_since IS NOT NULL"), 0, 'nothing has failed');
	is($rx->sql("SELECT count(*) FROM refundx.health WHERE what = 'breaker'"), 0, 'health is content');
};

subtest 'a breaker that was open when the server went down' => sub {
	$rx->node->stop('fast');
	$rx->node->start;
	$rx->sql("UPDATE refundx.breaker SET closed_at = NULL, probe_at = now(), opened_at = now(), code = 'SYSTEM_ERROR'");
	$rx->node->restart('fast');
	like($rx->sql("SELECT level || ' ' || finding FROM refundx.health WHERE what = 'breaker'"),
		qr/^error submit calls of refunds of merchant wechat \d+ are answered with errors \(SYSTEM_ERROR\); one at a time tries, next at/, 'is open still');
	my $closed = incidents('closed');
	start(1000, map { "R$_" } 1 .. 5);
	all_succeed('^R', 5, 'it is tried at once');
	ok($rx->poll("SELECT NOT bool_or(open) FROM refundx.breakers"), 'and closes');
	is(incidents('closed'), $closed + 1, 'which is said');
};

subtest 'thresholds' => sub {
	$rx->sql("SELECT refundx.pace_set('wx', 'soon', breaker_calls => 3, breaker_errors => 1)");
	# the dispatcher reads them before it sends this
	start(1000, 'S1');
	all_succeed('^S', 1, 'looked');
	start(9022, map { "T$_" } 1 .. 4);
	ok($rx->poll("SELECT count(*) > 0 FROM refundx.incidents WHERE kind = 'breaker_opened' AND reason ~ '^3 of the last 3'"), 'three of three');
	all_succeed('^T', 4, 'and it closes');
	ok($rx->poll("SELECT NOT bool_or(open) FROM refundx.breakers"), 'in the view, too');
	my $opened = incidents('opened');
	$rx->sql("SELECT refundx.pace_set('wx', 'never', breaker_calls => 0)");
	start(1000, 'S2');
	all_succeed('^S', 2, 'looked');
	start(9022, map { "N$_" } 1 .. 5);
	all_succeed('^N', 5, 'five errors');
	is(incidents('opened'), $opened, 'and no breaker');
};

subtest 'calls a second' => sub {
	$rx->sql("SELECT refundx.pace_set('wx', 'gently', calls_per_second => 4)");
	start(1000, 'S3');
	all_succeed('^S', 3, 'looked');
	my $since = time() * 1e6;
	start(1000, map { "Z$_" } 1 .. 9);
	all_succeed('^Z', 9, 'all of them');
	my @at = sort { $a <=> $b } map { $_->{at} } grep { $_->{at} > $since } @{ $sandbox->wire };
	my $most = 0;
	foreach my $i (0 .. $#at)
	{
		my $n = grep { $_ >= $at[$i] && $_ < $at[$i] + 1e6 } @at;
		$most = $n if $n > $most;
	}
	cmp_ok($most, '<=', 4, 'never more than four within a second');
	cmp_ok($most, '>=', 2, 'and not much less');
	is($rx->sql("SELECT channel_allows || ' ' || calls_per_second FROM refundx.paces WHERE about = 'refund'"), '150 4', 'refundx.paces');
};

$rx->check_ok('at the end');
drained($rx, 'at the end');
sound($rx, 'at the end');
wire_ok($rx, 'at the end');
$rx->ledger_ok('at the end');

$rx->stop;
done_testing();
