# What the extension puts on the wire, seen by code that nobody here wrote.
#
# Between the extension and the sandbox stands a recorder that verifies each
# request with the SDKs of npm.  One misunderstanding of ours could sit in the
# extension and in the sandbox, and they would agree; it does not sit there.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Recorder;
use Test::More;

my $rx = Refundx->new(
	'main',
	channel => 0,
	sandbox => [ '--mchid', '1900000100', '--mchid', '1900000200' ],
	settings => { 'track_commit_timestamp' => 'on' });
my $recorder = Refundx::Recorder->new($rx->sandbox);
# A minute of the channel's is a second here: calls time out in half a second,
# refunds of one payment start a second apart.
my %config = ($recorder->config, time_scale => 60, not_found_after => 1);

$rx->channel_add('wx', %config);
$rx->channel_add('partner', mchid => '1900000200', sub_mchid => '1900000999', %config);
$rx->{channel} = 'wx';

# psql takes bytes
sub bytes { my ($text) = @_; utf8::encode($text); return $text }

# ---- refunds of many shapes ----

my $longest = 'x' x 64;
my @shapes = (
	# number, amount, what else the refund says, what else the payment says
	[ 'plain-1', 1 ],
	[ 'A|b*c@d-e_f', 6000 ],
	[ '||**@@--__', 6000 ],
	[ $longest, 6000 ],
	[ 'chinese', 6000, { reason => bytes('用户取消订单，退款') } ],
	[ 'longest-reason', 6000, { reason => bytes('退' x 26 . 'ab') } ],
	[ 'quotes', 6000, { reason => qq{"quoted" \\back\\ /slash/ 'single' <&> \t tab} } ],
	[ 'no-reason', 6000, { reason => undef } ],
	[ 'out-trade-no', 6000, {}, { channel_payment_id => undef } ],
	[ 'whole', 20000 ],
	[
		'goods', 6000, {},
		{
			channel_data => to_jsonb(
				{
					goods_detail => [
						{
							merchant_goods_id => 'sku-1',
							goods_name => bytes('苹果'),
							unit_price => 3000,
							refund_amount => 6000,
							refund_quantity => 2
						} ]
				})
		}
	],
	[ 'available', 6000, {}, { channel_data => to_jsonb({ funds_account => 'AVAILABLE' }) } ],
	[
		'from', 6000, {},
		{
			channel_data => to_jsonb(
				{ amount_from => [ { account => 'AVAILABLE', amount => 5000 }, { account => 'UNAVAILABLE', amount => 1000 } ] })
		}
	],
	# the same number again, by every way in which a call ends without an answer
	[ 'again|no*answer', 9002 ],
	[ 'again|time-out', 9003 ],
	[ 'again|after@effect', 9007 ],
	[ 'again|signature', 9008 ],
	[ 'again|throttled', 9010 ],
	[ 'again|reset-before', 9020 ],
	[ 'again|reset-after', 9021 ],
	[ 'again|unavailable', 9022 ],
	[ 'again|garbage', 9023 ],
	# a poll is what ends these, with the number in its path
	[ 'poll|no*call@back', 9013 ],
	[ 'poll|found*later', 9012 ],
);

# canonical, and as the bytes that psql takes
sub to_jsonb
{
	my ($data) = @_;
	return \(Refundx::literal(JSON::PP->new->canonical->encode($data)) . '::jsonb');
}

my $n = 0;
foreach my $shape (@shapes)
{
	my ($no, $amount, $refund, $payment) = @$shape;

	$n++;
	$rx->payment("P$n", 20000, %{ $payment || {} });
	$rx->refund("P$n", $no, $amount, %{ $refund || {} });
}
# in partner mode, the same
foreach my $shape (@shapes)
{
	my ($no, $amount, $refund, $payment) = @$shape;
	my $sub = substr("s-$no", 0, 64);

	$n++;
	$rx->payment("P$n", 20000, channel => 'partner', %{ $payment || {} });
	$rx->refund("P$n", $sub, $amount, channel => 'partner', %{ $refund || {} });
}
# three of one payment
$rx->payment('parts', 20000);
$rx->refund('parts', "part-$_", 100 * $_) foreach 1 .. 3;

ok($rx->poll(q{SELECT count(*) = 0 FROM refundx.instruction WHERE state <> 'succeeded'}),
	'all of them succeed')
  || diag($rx->sql(q{SELECT instruction_no, state, detail, attempts, polls, due_call, person_reason
					 FROM refundx.instruction WHERE state <> 'succeeded'}));

# ---- the channel's echo ----

foreach my $channel ('wx', 'partner')
{
	is( $rx->sql("SELECT level FROM refundx.channel_check('$channel', call => true) WHERE item = 'echo'"),
		'ok', "the echo endpoint takes the signature of $channel");
}

# ---- a text message ----

my $sms = $rx->sandbox->sms_config;
$sms->{endpoint} = $recorder->url;
$rx->call('notice_provider_add', name => 'aliyun', kind => 'aliyun', config => to_jsonb($sms));
$rx->call(
	'notice_template_set',
	transition => 'succeeded',
	language => '*',
	provider => 'aliyun',
	template => to_jsonb(
		{
			sign => bytes('测试商店'),
			code => 'SMS_1',
			params => { no => 'refund_no', amount => 'amount', text => bytes('退款 {amount} & 100% + 1 ~ *') }
		}));
$rx->payment('told', 20000, contact => '13800138000');
$rx->refund('told', 'R|told*', 6000);
$rx->wait_state('R|told*', 'succeeded');
ok( $rx->poll(
		q{SELECT count(*) = 1 FROM refundx.notices WHERE refund_no = 'R|told*' AND state = 'sent'}),
	'a text message is sent')
  || diag($rx->sql('SELECT state, outcome, code, message FROM refundx.notices'));

# ---- what the recorder says ----

$rx->node->stop('fast');
my $report = $recorder->report;
my $numbers = @shapes * 2 + 4;

is($report->{bad}, 0, 'nothing that was sent is wrong') || diag(join "\n", @{ $report->{problems} });
cmp_ok($report->{verified}, '>=', $numbers + 16, 'every call was looked at');
cmp_ok($report->{aliyun}, '>', 0, 'the text message too');
is($report->{other}, 0, 'and nothing was passed over');
is($report->{numbers}, $numbers, 'every refund was seen, each number with the same bytes at all times');
is($report->{status}, 0, 'the recorder agrees');

# ---- the sandbox's own log against our attempts (I9, I14) ----

$rx->node->start;
my %frozen = map { split /\t/ } split /\n/,
  $rx->sql(q{SELECT wire_no || E'\t' || encode(sha256(body), 'hex') FROM refundx.request});
my %attempts;

# When the attempt was committed, as the server itself has it: not when it says
# that it started.
foreach (split /\n/, $rx->sql(
		q{SELECT call, wire_no, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint
			FROM refundx.attempt ORDER BY attempt_id}))
{
	my ($call, $no, $at) = /^(\w+)\|(.*)\|(\d+)$/;
	push @{ $attempts{$call}{$no} }, $at;
}

my (%calls, @early, @unknown, %other);
foreach my $line (@{ $rx->sandbox->wire })
{
	my $call = $line->{call} eq 'wechat.refund.create' ? 'submit'
	  : $line->{call} eq 'wechat.refund.query' ? 'query' : next;
	my $times = $attempts{$call}{ $line->{no} } || [];
	my $nth = $calls{$call}{ $line->{no} }++;

	push @unknown, "$call $line->{no}" if $nth >= @$times;
	push @early, "$call $line->{no}" if $nth < @$times && $line->{at} < $times->[$nth];
	$other{ $line->{no} }++ if $call eq 'submit' && $line->{digest} ne $frozen{ $line->{no} };
}
is_deeply(\@unknown, [], 'no call without an attempt of ours');
is_deeply(\@early, [], 'each attempt was committed before its call arrived');
is_deeply(\%other, {}, 'the bytes of each number are those that were kept before its first attempt');
is(scalar keys %{ $calls{submit} }, $numbers, 'the log has every number');
cmp_ok(scalar(grep { $_ > 1 } values %{ $calls{submit} }), '>=', 8, 'some were sent more than once');
cmp_ok(scalar(grep { /\|/ } keys %{ $calls{query} }), '>=', 8, 'and numbers with special characters were asked about');

$rx->ledger_ok('at the end');
$rx->check_ok('at the end');
done_testing();
