# What a session remembers of a channel, another session's commit takes away.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Channels;
use Test::More;

my $all = Refundx::Channels->new('main');
my $rx = $all->rx;

# A session that has used every channel, and remembers them.
my $session = $rx->node->background_psql($rx->database, on_error_stop => 0);
my $n = 0;

# What the session hears of a refund by this channel: a state, or an error.
sub hears
{
	my ($channel) = @_;
	my $no = 'S' . ++$n . "-$channel";

	return $session->query(
		'SELECT attempt(' . Refundx::literal('SELECT ' . Refundx::call_text('payment_record', channel => $channel,
				payment_no => $all->payment_no($channel, $no), amount => 50000, currency => 'CNY', paid_at => \'now()',
				channel_payment_id => $all->payment_id($channel, $no))
			  . '; SELECT (' . $rx->refund_text($all->payment_no($channel, $no), $no, 10000, channel => $channel) . ').state')
		  . ')');
}

$rx->sql(q{
	CREATE FUNCTION attempt(what text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		result text;
		part text;
	BEGIN
		FOREACH part IN ARRAY string_to_array(what, '; ') LOOP
			EXECUTE part INTO result;
		END LOOP;
		RETURN result;
	EXCEPTION WHEN OTHERS THEN
		RETURN SQLSTATE || ' ' || SQLERRM;
	END $$});

foreach my $channel ($all->names)
{
	is(hears($channel), 'queued', "$channel: the session uses it");
	$rx->sql("SELECT refundx.channel_set('$channel', closed => true)");
	like(hears($channel), qr/^RX018 .*"\Q$channel\E" is closed/, 'closed by another session, it is refused in this one');
	$rx->sql("SELECT refundx.channel_set('$channel', closed => false)");
	is(hears($channel), 'queued', 'and taken when it is open again');

	# what is not committed is nobody's affair
	my $other = $rx->node->background_psql($rx->database);
	$other->query_safe("BEGIN; SELECT refundx.channel_set('$channel', closed => true)");
	is(hears($channel), 'queued', 'until the other commits');
	$other->query_safe('ROLLBACK');
	is(hears($channel), 'queued', 'and if it does not');
	$other->query_safe("BEGIN; SELECT refundx.channel_set('$channel', closed => true)");
	is(hears($channel), 'queued', 'or not yet');
	$other->query_safe('COMMIT');
	like(hears($channel), qr/^RX018 /, 'its commit counts at once');
	$other->quit;
	$rx->sql("SELECT refundx.channel_set('$channel', closed => false)");
}

# A transaction of this session that has used it before sees the same; one whose
# snapshot is older does not, and must not remember what it saw.
my $first = ($all->names)[0];

$session->query_safe('BEGIN');
is(hears($first), 'queued', 'read committed: open');
$rx->sql("SELECT refundx.channel_set('$first', closed => true)");
like(hears($first), qr/^RX018 /, 'and closed, within one transaction');
$session->query_safe('ROLLBACK');
$rx->sql("SELECT refundx.channel_set('$first', closed => false)");
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$rx->sql("SELECT refundx.channel_set('$first', closed => true)");
is(hears($first), 'queued', 'repeatable read: as of its snapshot');
$session->query_safe('ROLLBACK');
like(hears($first), qr/^RX018 /, 'which is forgotten with it');
$rx->sql("SELECT refundx.channel_set('$first', closed => false)");

# A channel that was added and rolled back by another session never was there.
my $other = $rx->node->background_psql($rx->database);
my $config = Refundx::literal(Refundx::to_json($rx->sandbox->channel_config));
$other->query_safe("BEGIN; SELECT refundx.channel_add('later', 'wechat', $config)");
like(hears('later'), qr/^RX008 .*does not exist/, 'not yet committed: there is none');
$other->query_safe('ROLLBACK');
like(hears('later'), qr/^RX008 .*does not exist/, 'rolled back: there is none');
$other->query_safe("SELECT refundx.channel_add('later', 'wechat', $config)");
is(hears('later'), 'queued', 'committed: the next call takes it');
$other->quit;
$session->quit;

$rx->poll("SELECT count(*) = 0 FROM refundx.instruction WHERE is_open");
$rx->check_ok('at the end');
$rx->stop;
done_testing();
