# Whatever a stranger may send: each gets its answer, is counted, and changes
# no money; and none of it keeps a good callback out.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Callback;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'node makes the callbacks, and is not here' unless Refundx::Callback::available();

my $rx = Refundx->new('listener_input', settings => {
		'refundx.listen_max_connections' => 40,
		'refundx.listen_request_timeout' => '2s' });
my $from = Refundx::Callback->new($rx);

ok($from->wait_ready, 'the listener is ready');

# A refund that the channel has accepted, and about which it never calls back.
$rx->payment('P1', 100000);
$rx->refund('P1', 'R1', 9013);
$rx->wait_state('R1', 'accepted');
my $log = -s $rx->node->logfile;
my $evidence = $rx->sql('SELECT count(*) FROM refundx.evidence');
my %of_r1 = (no => 'R1', amount => 9013, total => 100000, payment_no => 'P1');

# A test: this message gets that status, is counted under that name, and
# nothing else happens.
sub refused
{
	my ($what, $bytes, $status, $result, $channel) = @_;
	my $counted = "SELECT coalesce(sum(n), 0) FROM refundx.callback_count WHERE result = '$result'"
	  . " AND channel = '" . ($channel || 'wx') . "'";
	my $before = $rx->sql($counted);
	my $answer = $from->send_bytes($bytes);

	is($answer ? $answer->{status} : 'none', $status, "$what: $status");
	ok($rx->poll("SELECT ($counted) = $before + 1"), "$what: counted as $result")
	  || diag($rx->sql('SELECT channel, result, sum(n) FROM refundx.callback_count GROUP BY 1, 2'));
	return $answer;
}

sub refused_message
{
	my ($what, $spec, $status, $result) = @_;
	return refused($what, $from->bytes(scalar $from->make({ %of_r1, %$spec })), $status, $result);
}

# ---- what is not signed as it should be ----

my $tampered = refused_message('a body changed after it was signed', { tamper => 1 }, 401, 'bad_signature');
like($tampered->{body}, qr/"code":"FAIL"/, 'with the words that the channel knows');
refused_message('a signature of ten minutes ago', { age => 600 }, 401, 'bad_time');
refused_message('a signature of the future', { age => -600 }, 401, 'bad_time');
refused_message('an unknown serial', { headers => { 'Wechatpay-Serial' => 'PUB_KEY_ID_0000' } }, 401, 'unknown_key');
refused_message('a SIGNTEST signature',
	{ headers => { 'Wechatpay-Signature' => 'WECHATPAY/SIGNTEST/' . 'A' x 300 } }, 401, 'signature_test');
refused_message('a signature that is no base64',
	{ headers => { 'Wechatpay-Signature' => '!!!***' } }, 401, 'bad_signature');
refused_message('no signature', { headers => { 'Wechatpay-Signature' => undef } }, 401, 'bad_headers');
refused_message('a time that is no number',
	{ headers => { 'Wechatpay-Timestamp' => '17e8' } }, 401, 'bad_headers');

# ---- signed, and still no good ----

refused_message('truncated JSON', { body => '{"id":"EV-1","event_type":"REFUND.SUC' }, 400, 'bad_body');
refused_message('an empty body', { body => '' }, 400, 'bad_body');
refused_message('JSON that is no object', { body => '[1,2,3]' }, 400, 'bad_body');
refused_message('depth', { body => '[' x 20000 }, 400, 'bad_body');
refused_message('a refund without its number', { plain => '{"refund_status":"SUCCESS"}' }, 400, 'bad_body');
refused_message('an amount that is a string',
	{ plain => '{"mchid":"1900000100","out_refund_no":"R1","refund_status":"SUCCESS","amount":{"refund":"9013"}}' },
	400, 'bad_body');
refused_message('another key inside', { apiv3_key => 'k' x 32 }, 400, 'bad_cipher');
refused_message('a message about a payment', { event => 'TRANSACTION.SUCCESS' }, 404, 'not_ours');
refused_message('the self-test', { event => 'SECURITY_ECHO.NOTIFY' }, 204, 'test');

# ---- not even our protocol ----

my $xml = '<xml><return_code><![CDATA[SUCCESS]]></return_code><req_info>abc</req_info></xml>';
refused('a v2 XML body', $from->bytes({ headers => { 'Content-Type' => 'text/xml' }, body => $xml }),
	400, 'old_protocol');
refused('GET', $from->bytes({ body => '' }, method => 'GET'), 405, 'bad_method');
refused('an unknown channel', $from->bytes(scalar $from->make({%of_r1}), path => '/v1/nobody'),
	404, 'unknown_channel', '-');
refused('no channel', $from->bytes({ body => '' }, path => '/v1/'), 404, 'unknown_channel', '-');
refused('another path', $from->bytes({ body => '' }, path => '/v1/wx/../../etc/passwd'),
	404, 'unknown_channel', '-');
refused('10 MiB', $from->bytes({ body => 'x' x (10 * 1024 * 1024) }), 413, 'too_large', '-');
refused('10 MiB that are announced as nothing',
	"POST /v1/wx HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	  . join('', map { "100000\r\n" . 'x' x 0x100000 . "\r\n" } 1 .. 10) . "0\r\n\r\n",
	413, 'too_large', '-');
refused('headers without end', "POST /v1/wx HTTP/1.1\r\nHost: x\r\n" . "X-A: @{[ 'a' x 1000 ]}\r\n" x 60 . "\r\n",
	431, 'too_large', '-');
is($from->send_bytes("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . "\0" x 40 . "\r\n\r\n", 10),
	undef, 'TLS where there is none: no answer');
refused('two lengths', "POST /v1/wx HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	400, 'malformed', '-');

is($rx->sql('SELECT count(*) FROM refundx.evidence'), $evidence, 'none of it became evidence');
is($rx->state('R1'), 'accepted', 'nor moved the refund');
is($rx->payment_sums('P1'), '100000|9013|0', 'nor the money');

# ---- verified, but it is not what we know: kept and acknowledged ----

sub kept
{
	my ($what, $spec) = @_;
	my $message = $from->make({ %of_r1, %$spec });
	my $before = $rx->sql('SELECT max(evidence_id) FROM refundx.evidence');

	is($from->status($message), 204, "$what: acknowledged");
	return ok(
		$rx->poll("SELECT EXISTS (SELECT FROM refundx.event WHERE evidence_id > $before)"),
		"$what: kept, and weighed");
}

kept('an unknown refund', { no => 'X1', amount => 700 });
is($rx->sql("SELECT count(*) FROM refundx.external_refund WHERE wire_no = 'X1'"), 1, 'it is with a person');
is($rx->payment_sums('P1'), '100000|9013|0', 'the refunds of ours are as they were');
kept('another amount', { amount => 9014 });
is($rx->state('R1'), 'accepted', 'which is not believed');
kept('another merchant', { mchid => '1900000999', refund_id => '5other' });
is($rx->state('R1'), 'accepted', 'which is not believed either');
is($rx->sql("SELECT merchant_no FROM refundx.evidence WHERE channel_refund_id = '5other'"),
	'1900000999', 'and is kept as it came');
like($rx->sql("SELECT headers::text FROM refundx.evidence WHERE channel_refund_id = '5other'"),
	qr/"wechatpay-signature": "[A-Za-z0-9+\/=]+"/, 'with the headers that prove it');

# ---- slow clients, and too many of them ----

my $good = $from->make({%of_r1});
my @slow;
foreach my $i (1 .. 60)
{
	my $socket = $from->connect or next;
	syswrite($socket, "POST /v1/wx HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nX-Slow: ");
	push @slow, $socket;
}
cmp_ok(scalar @slow, '>=', 40, 'more connections than the bound');
my $began = time();
is($from->status($good), 204, 'a good callback comes through');
cmp_ok(time() - $began, '<', 5, 'and in time');
$rx->wait_state('R1', 'succeeded');
$rx->check_ok('after all that');
ok($rx->poll("SELECT sum(n) >= 20 FROM refundx.callback_count WHERE result IN ('evicted', 'timed_out', 'no_room')"),
	'those in the way were closed, and counted');
undef @slow;

# A byte now and then does not keep a connection for ever.
my $drop = $from->connect;
syswrite($drop, "POST /v1/wx HTTP/1.1\r\n");
my $ended = 0;
for (my $i = 0; $i < 100 && !$ended; $i++)
{
	local $SIG{PIPE} = 'IGNORE';
	syswrite($drop, 'X');
	my $answer = IO::Select->new($drop)->can_read(0.1);
	$ended = 1 if $answer && !sysread($drop, my $rest, 1000);
}
ok($ended, 'one that sends a byte now and then is closed when its time is over');

# ---- duplicates ----

my @copies = $from->make(map { {%of_r1} } 1 .. 5);
is(join(' ', map { $from->status($_) } @copies, $good), '204 204 204 204 204 204', 'copies are acknowledged');
is($rx->sql("SELECT count(*) FROM refundx.evidence WHERE wire_no = 'R1' AND source = 'callback' AND amount = 9013"
	  . " AND merchant_no = '1900000100'"),
	1, 'and are one piece of evidence');
is($rx->payment_sums('P1'), '100000|0|9013', 'paid once');

# ---- the log ----

my $said = slurp_file($rx->node->logfile, $log);
unlike($said, qr/refundx listener.*(?:ERROR|FATAL|WARNING)/, 'nothing of it is an error of the listener');
my $lines = () = $said =~ /callbacks that were not kept/g;
cmp_ok($lines, '<=', 2, 'and the log has a line a minute at most');

$rx->stop;
done_testing();
