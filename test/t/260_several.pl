# Several of everything: databases, merchants, channels, sub-merchants.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Callback;
use Refundx::Workers;
use Test::More;

my $first = '1900000100';
my $second = '1900000200';
my $partner = '1900000300';
my $rx = Refundx->new(
	'main',
	channel => 0,
	sandbox => [ map { ('--mchid', $_) } $first, $second, $partner ],
	settings => { max_worker_processes => 20 });
my $sandbox = $rx->sandbox;
my $crm_port = Refundx::free_port();
# a minute of the channel's is a second here
my %fast = (time_scale => 60, not_found_after => 1);

# ---- two databases, each with its port and its workers ----

$rx->node->safe_psql('postgres', 'CREATE DATABASE crm');
$rx->set('refundx.databases' => 'shop:' . $rx->callback_port . ", crm:$crm_port");
my $crm = bless { %$rx, database => 'crm', callback_port => $crm_port, channel => 'wx' }, 'Refundx';

$crm->sql('CREATE EXTENSION refundx');
workers_up($rx, $_) foreach 'shop', 'crm';
my %shop = worker_pids($rx, 'shop');
my %crm = worker_pids($rx, 'crm');
is(scalar(grep { my $pid = $_; grep { $_ == $pid } values %shop } values %crm), 0, 'each has workers of its own');

$rx->{channel} = 'wx';
$rx->channel_add('wx', %fast);
# one public_base_url is the server's; a database with another port says so
$crm->channel_add('wx', mchid => $second, public_base_url => "http://127.0.0.1:$crm_port", %fast);

# The same number in both, of two merchants: two refunds, both paid.
foreach my $db ($rx, $crm)
{
	$db->payment('P1', 10000);
	$db->refund('P1', 'R1', 6000);
}
foreach my $db ($rx, $crm)
{
	$db->wait_state('R1', 'succeeded', "$db->{database}: R1 succeeds");
	is($db->payment_sums('P1'), '10000|0|6000', "$db->{database}: and is paid from its own payment");
	ok($db->poll("SELECT count(*) = 1 FROM refundx.evidence WHERE source = 'callback'"),
		"$db->{database}: its callback came to its own port");
}
is_deeply(
	[ map { "$_->{mchid} $_->{paid_times}" } sort { $a->{mchid} cmp $b->{mchid} } @{ $sandbox->refunds } ],
	[ "$first 1", "$second 1" ], 'the channel has paid two refunds of that number');

# The same number in both, of one merchant, is one refund for the channel.
# Whoever comes second asks, hears of another payment, and moves nothing.
$rx->payment('P2', 10000);
$rx->refund('P2', 'SAME', 500);
$rx->wait_state('SAME', 'succeeded');
$crm->channel_add('shared', public_base_url => "http://127.0.0.1:$crm_port", %fast);
$crm->payment('P3', 10000, channel => 'shared');
$crm->refund('P3', 'SAME', 500, channel => 'shared');
ok($crm->poll(q{SELECT polls >= 2 AND state = 'unknown' FROM refundx.refunds WHERE refund_no = 'SAME'}),
	'a number that another database has used stays unknown')
  || diag($crm->sql(q{SELECT state, polls, detail FROM refundx.refunds WHERE refund_no = 'SAME'}));
is($crm->payment_sums('P3'), '10000|500|0', 'its money stays frozen, and is not paid');
like( $crm->sql(q{SELECT string_agg(DISTINCT message, '; ') FROM refundx.evidence WHERE wire_no = 'SAME' AND source = 'query'}),
	qr/about another payment/, 'the evidence says why');
is($sandbox->refund('SAME')->{paid_times}, 1, 'the channel has paid it once');

# A database's listener does not know the other's channels, nor its refunds.
my $message = kept_callback($rx, 'R1');
is(post($crm, $message, 'wx'), 401, "a callback of one merchant at another's address is refused");
is(post($crm, $message, 'nobody'), 404, 'so is one at the address of no channel');
ok($crm->poll("SELECT sum(n) = 1 FROM refundx.callbacks WHERE channel = 'wx' AND result = 'unknown_key'"),
	'and is counted');

# The callback that the channel sent, as it was kept.
sub kept_callback
{
	my ($db, $no) = @_;
	my $where = "FROM refundx.evidence WHERE source = 'callback' AND wire_no = '$no'";

	$db->poll("SELECT count(*) > 0 $where") or die "no callback for $no";
	my ($headers, $body) = split /\|/,
	  $db->sql("SELECT headers, translate(encode(body, 'base64'), E'\\n', '') $where LIMIT 1");
	return { headers => JSON::PP->new->decode($headers), body => decode_base64($body) };
}

sub post
{
	my ($db, $callback, $channel) = @_;
	return Refundx::Callback->new($db, $channel)->status($callback);
}

# ---- two channels of one merchant ----

$rx->channel_add('wx2', %fast);
is($rx->sql("SELECT channels FROM refundx.merchants WHERE merchant_no = '$first'"), '{wx,wx2}',
	'two channels, one merchant');

# An empty balance is the merchant's: both wait, and both go on.
$rx->payment('H1', 50000);
$rx->refund('H1', 'H1', 9009);
ok($rx->poll("SELECT paused = 'hold' FROM refundx.merchants WHERE merchant_no = '$first'"), 'an empty balance pauses it');
$rx->payment('H2', 50000, channel => 'wx2');
$rx->refund('H2', 'H2', 600, channel => 'wx2');
$rx->channel_add('other', mchid => $second, %fast);
$rx->payment('O1', 50000, channel => 'other');
$rx->refund('O1', 'O1', 600, channel => 'other');
$rx->wait_state('O1', 'succeeded', "another merchant's refund passes meanwhile");
is($rx->sql("SELECT state IN ('queued', 'sending') FROM refundx.refunds WHERE refund_no = 'H2'"), 't',
	"the other channel's refund waits");
$sandbox->ctl('topup', $first);
$rx->wait_state($_, 'succeeded', "$_ goes on after the top-up") foreach 'H1', 'H2';

# The pace is the merchant's: calls that fail through both channels of one
# database and a third one of another together stay below what the channel
# punishes.
foreach my $i (1 .. 10)
{
	foreach my $channel ('wx', 'wx2')
	{
		$rx->payment("F$i", 50000, channel => $channel);
		$rx->refund("F$i", "F$i-$channel", 9001, channel => $channel);
	}
	$crm->payment("F$i", 50000, channel => 'shared');
	$crm->refund("F$i", "F$i-crm", 9001, channel => 'shared');
}
ok($rx->poll("SELECT count(*) = 20 FROM refundx.refunds WHERE state = 'failed' AND refund_no LIKE 'F%'"),
	'twenty refusals, each confirmed by a query');
ok($crm->poll("SELECT count(*) = 10 FROM refundx.refunds WHERE state = 'failed' AND refund_no LIKE 'F%'"),
	'ten more in the other database');
my $stats = $sandbox->ctl('stats')->{merchants}{$first};
cmp_ok($stats->{peak_failing_per_second}, '>', 0, 'calls failed');
cmp_ok($stats->{peak_failing_per_second}, '<=', 6, 'never more than six in a second, over both databases');

# So is its limit of calls: 300 refunds at once, from two databases.
foreach my $db ([ $rx, 'wx' ], [ $crm, 'shared' ])
{
	$db->[0]->sql("SELECT count(refundx.refund_submit('$db->[1]', 'B-' || n, '$db->[1]-B-' || n, 100,
		payment_amount => 1000, currency => 'CNY')) FROM generate_series(1, 150) n");
}
foreach my $db ($rx, $crm)
{
	ok($db->poll("SELECT count(*) = 150 FROM refundx.refunds WHERE state = 'succeeded' AND refund_no LIKE '%-B-%'"),
		"$db->{database}: 150 refunds at once");
}
cmp_ok($sandbox->ctl('stats')->{merchants}{$first}{peak_ok_per_second}, '<=', 150,
	'never more than 150 calls in a second, over both databases');

# The merchant is what numbers belong to, not the channel: a callback that
# comes to its sibling's address settles the refund.
$sandbox->ctl('pause-callbacks', 'on');
$rx->payment('S1', 50000);
$rx->refund('S1', 'S1', 700);
$rx->wait_state('S1', 'accepted');
my $made = Refundx::Callback->new($rx, 'wx2');
is($made->status(scalar $made->make({ no => 'S1', amount => 700, total => 50000, payment_no => 'S1' })),
	204, "a callback at the sibling channel's address is taken");
$rx->wait_state('S1', 'succeeded', 'and settles the refund of their merchant');
$sandbox->ctl('pause-callbacks', 'off');
ok(Refundx::wait_for(sub { $sandbox->refund('S1')->{status} eq 'SUCCESS' }, 'S1'), 'the channel pays it too, by itself');

# ---- a service provider and its sub-merchants ----

$rx->channel_add("sub$_", mchid => $partner, sub_mchid => "190000090$_", %fast) foreach 1, 2;
foreach my $i (1, 2)
{
	$rx->payment("ORDER$i", 10000, channel => "sub$i", channel_payment_id => undef);
	$rx->refund("ORDER$i", "SUB$i", 300, channel => "sub$i");
	$rx->wait_state("SUB$i", 'succeeded');
	is($sandbox->refund("SUB$i")->{sub_mchid}, "190000090$i", "refund SUB$i is the sub-merchant's");
}
# SUB1's callback at the address of the other sub-merchant's channel: the
# signature is right, for it is one provider's; the merchant in it is not.
$message = kept_callback($rx, 'SUB1');
is(post($rx, $message, 'sub2'), 204, "a sub-merchant's callback at its sibling's address is kept");
ok($rx->poll("SELECT count(*) = 1 FROM refundx.evidence_log WHERE wire_no = 'SUB1' AND outcome = 'mismatch'"),
	'as a mismatch');
is($rx->state('SUB1'), 'succeeded', 'and changes nothing');
like($rx->sql("SELECT with_person FROM refundx.refunds WHERE refund_no = 'SUB1'"), qr{of merchant $partner/1900000901},
	'a person is told which merchant it speaks of');

# Refunds that are not ours.  Sub-merchants may have orders of the same number,
# and only the right one's payment may be charged.
$rx->payment('ORDER', 10000, channel => "sub$_", channel_payment_id => undef) foreach 1, 2;
my $sums = $rx->sql("SELECT channel, refundable FROM refundx.payments WHERE payment_no = 'ORDER' ORDER BY 1");
my $console = partner_callback({ no => 'CONSOLE', amount => 4000, payment_no => 'ORDER', sub_mchid => '1900000999' });
is(post($rx, $console, 'sub1'), 204, "a refund of a third sub-merchant is kept");
ok($rx->poll("SELECT count(*) = 1 FROM refundx.external_refunds WHERE wire_no = 'CONSOLE'"), 'as a refund made elsewhere');
is($rx->sql("SELECT channel, refundable FROM refundx.payments WHERE payment_no = 'ORDER' ORDER BY 1"), $sums,
	'and counted against nobody here');
$console = partner_callback({ no => 'CONSOLE2', amount => 4000, payment_no => 'ORDER', sub_mchid => '1900000902' });
is(post($rx, $console, 'sub2'), 204, 'a refund that sub-merchant 2 made elsewhere is kept');
ok($rx->poll("SELECT counted = 4000 FROM refundx.external_refunds WHERE wire_no = 'CONSOLE2'"), 'is counted');
is($rx->sql("SELECT channel, elsewhere FROM refundx.payments WHERE payment_no = 'ORDER' ORDER BY 1"),
	"sub1|0\nsub2|4000", "against the order of its own channel");

# A partner's callback, signed with the third merchant's keys.
sub partner_callback
{
	my ($spec) = @_;
	return Refundx::Callback->new($rx, 'sub1')->make({ of => $partner, %$spec });
}

# ---- the end ----

is( $rx->sql(
		"SELECT string_agg(refund_no, ',') FROM refundx.refunds WHERE is_open OR state NOT IN ('succeeded', 'failed')"),
	'', 'nothing is left open');
$rx->check_ok('shop');
$crm->check_ok('crm');
is(scalar(grep { $_->{paid_times} > 1 } @{ $sandbox->refunds }), 0, 'nothing was paid twice');
done_testing();
