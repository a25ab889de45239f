# The courier: each message at most once, and nobody waits for it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Socket::INET;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Workers;
use Test::More;
use Time::HiRes qw(time);

my $rx = Refundx->new('courier');
my $sandbox = $rx->sandbox;
my $clock = 0;
my $refunds = 0;

sub advance
{
	my ($seconds) = @_;
	$clock += $seconds;
	$rx->set('refundx.clock_offset' => $clock);
	return;
}

# A refund whose success is told to this number; its number.
sub refund_for
{
	my ($phone, %more) = @_;
	my $no = 'R' . ++$refunds;

	$rx->payment("P$no", $more{paid} || 12300, contact => $phone);
	$rx->refund("P$no", $no, 12300);
	$rx->poll("SELECT state = 'succeeded' FROM refundx.instruction WHERE instruction_no = '$no'")
	  or diag($rx->explain($no));
	return $no;
}

sub notice
{
	my ($no, $columns) = @_;
	return $rx->sql("SELECT $columns FROM refundx.notice n JOIN refundx.instruction i USING (instruction_id)"
		  . " WHERE instruction_no = '$no'");
}

sub notice_is
{
	my ($no, $expected, $what) = @_;
	return ok($rx->poll("SELECT n.state = '$expected' FROM refundx.notice n JOIN refundx.instruction i USING (instruction_id)"
			  . " WHERE instruction_no = '$no'"), $what)
	  || diag(notice($no, 'n.*'));
}

# What the provider has really sent for it.
sub sent
{
	my ($no) = @_;
	my $id = notice($no, 'notice_id');
	return scalar grep { $_->{out_id} eq $id } @{ $sandbox->ledger->{sms} };
}

# ---- set-up ----

sub add_provider
{
	my ($name, $kind, $config) = @_;
	return $rx->sql('SELECT refundx.notice_provider_add(' . join(', ', Refundx::literal($name),
			Refundx::literal($kind), Refundx::literal(Refundx::to_json($config)) . '::jsonb') . ')');
}

add_provider('sms', 'aliyun', $sandbox->sms_config);
$rx->sql(q{SELECT refundx.notice_template_set('succeeded', '*', 'sms',
	'{"sign": "refundx", "code": "SMS_100", "params": {"no": "refund_no", "amount": "{amount} {currency}", "date": "date"}}')});

# ---- it arrives ----

my $log = -s $rx->node->logfile;
my $good = refund_for('13800130001');
notice_is($good, 'sent', 'a message is sent');
is(sent($good), 1, 'once');
my ($message) = grep { $_->{out_id} eq notice($good, 'notice_id') } @{ $sandbox->ledger->{sms} };
my $today = $rx->sql("SELECT to_char(state_since, 'YYYY-MM-DD') FROM refundx.instruction WHERE instruction_no = '$good'");
is_deeply(JSON::PP::decode_json($message->{param}), { no => $good, amount => '123.00 CNY', date => $today },
	'with what the template asks for');
is(notice($good, "tries, phone_masked, done_at IS NOT NULL, provider_id <> ''"), '1|138****0001|t|t', 'recorded, masked');
is($rx->sql('SELECT count(*) FROM refundx.payment_contact'), 0, 'the number is erased: nobody needs it any more');
my $partly = refund_for('13800130002', paid => 99900);
notice_is($partly, 'sent', 'of a payment that is refunded in part');
is($rx->sql('SELECT count(*) FROM refundx.payment_contact'), 1, 'it stays for the next refund');

# ---- outcomes ----

my %failed = map { $_ => refund_for("1380013$_") } '9003';
notice_is($failed{9003}, 'failed', 'a number that cannot be: failed at once');
is(notice($failed{9003}, 'tries, outcome'), '1|final_number', 'and not tried again');

my %ambiguous = map { $_ => refund_for("1380013$_") } qw(9006 9007 9008 9009 9011 9012);
foreach my $case (sort keys %ambiguous)
{
	notice_is($ambiguous{$case}, 'ambiguous', "$case: nobody knows");
	cmp_ok(sent($ambiguous{$case}), '<=', 1, "$case: it was sent at most once");
}

my %again = map { $_ => refund_for("1380013$_") } qw(9001 9010);
foreach my $case (sort keys %again)
{
	ok($rx->poll("SELECT n.state = 'queued' AND n.tries = 1 AND n.outcome = 'retry_safe' FROM refundx.notice n
			JOIN refundx.instruction i USING (instruction_id) WHERE instruction_no = '$again{$case}'"),
		"$case: certainly not sent, so again later");
}
my $limited = refund_for('13800139002');
ok($rx->poll("SELECT n.state = 'queued' AND n.tries = 1 AND n.outcome = 'limited' FROM refundx.notice n
		JOIN refundx.instruction i USING (instruction_id) WHERE instruction_no = '$limited'"),
	'9002: too many for this number, again after the window');
advance(60);
notice_is($again{$_}, 'sent', "$_: sent") foreach sort keys %again;
is(sent($again{$_}), 1, "$_: once") foreach sort keys %again;
advance(100_000);
ok($rx->poll("SELECT n.tries >= 2 FROM refundx.notice n
		JOIN refundx.instruction i USING (instruction_id) WHERE instruction_no = '$limited'"), '9002: again');
advance(100_000);
notice_is($limited, 'failed', '9002: twice, and no more');
is(notice($limited, 'tries'), 3, 'three tries in all');
is(sent($ambiguous{$_}), ($_ =~ /^90(?:06|09)$/ ? 0 : 1), "$_: days later: not again") foreach sort keys %ambiguous;

# ---- what concerns the provider, and not the message ----

sub paused
{
	my ($expected, $what) = @_;
	return ok($rx->poll("SELECT coalesce(paused, '') = '$expected' FROM refundx.notice_provider WHERE name = 'sms'"), $what);
}

my $poor = refund_for('13800139005');
paused('balance', 'an empty balance pauses the provider');
my $behind = refund_for('13800130003');
is(notice($behind, 'n.state, tries'), 'queued|0', 'the others wait');
ok($rx->poll("SELECT problem LIKE '%\"sms\" is paused: balance%' FROM refundx.worker_status() WHERE kind = 'courier'"),
	'the status says so');
for my $i (1 .. 8)
{
	advance(4000);
	last if $rx->poll("SELECT true") && Refundx::wait_for(sub { notice($behind, 'n.state') eq 'sent' }, undef, 2);
}
notice_is($behind, 'sent', 'a probe ends the pause, and not always the same message is the probe');
is(notice($poor, 'n.state, tries <= 1'), 'queued|t', 'what met the pause has used up no try');
$rx->sql("UPDATE refundx.payment_contact SET phone = '13800130004' WHERE payment_id =
	(SELECT payment_id FROM refundx.instruction WHERE instruction_no = '$poor')");
for my $i (1 .. 8)
{
	advance(4000);
	last if Refundx::wait_for(sub { notice($poor, 'n.state') eq 'sent' }, undef, 2);
}
notice_is($poor, 'sent', 'and goes out when there is money');
paused('', 'the pause is over');
is(sent($poor) + sent($behind), 2, 'each once');

# ---- an operator's pause; what is missing when the time comes ----

$rx->sql("UPDATE refundx.notice_provider SET paused = 'operator', paused_since = now()");
ok($rx->poll("SELECT problem LIKE '%is paused: operator%' FROM refundx.worker_status() WHERE kind = 'courier'"), 'paused by a person');
my ($erased, $untold) = (refund_for('13800130005'), refund_for('13800130006'));
advance(100_000);
is(notice($untold, 'n.state'), 'queued', 'no probe ends that');
$rx->sql("DELETE FROM refundx.payment_contact WHERE payment_id =
	(SELECT payment_id FROM refundx.instruction WHERE instruction_no = '$erased')");
$rx->sql('UPDATE refundx.notice_provider SET paused = NULL, paused_since = NULL');
notice_is($erased, 'failed', 'without a number it fails');
is(notice($erased, 'n.code'), 'no_contact', 'and says why');
notice_is($untold, 'sent', 'the other one goes out');

# ---- not here ----

sub queued_while_paused
{
	my ($phone) = @_;
	$rx->sql("UPDATE refundx.notice_provider SET paused = 'operator', paused_since = now()");
	$rx->poll("SELECT problem LIKE '%is paused: operator%' FROM refundx.worker_status() WHERE kind = 'courier'");
	return refund_for($phone);
}

my $off = queued_while_paused('13800130007');
$rx->set('refundx.dispatch' => 'off');
ok($rx->poll("SELECT doing = 'refundx.dispatch is off' FROM refundx.worker_status() WHERE kind = 'courier'"), 'off is off');
$rx->sql('UPDATE refundx.notice_provider SET paused = NULL, paused_since = NULL');
ok($rx->poll("SELECT problem IS NULL FROM refundx.worker_status() WHERE kind = 'courier'"), 'the provider is free');
is(notice($off, 'n.state, tries'), 'queued|0', 'and yet nothing is sent');
$rx->set('refundx.dispatch' => 'on');
notice_is($off, 'sent', 'on is on');

my $copied = queued_while_paused('13800130008');
$rx->sql("UPDATE refundx.installation SET system_identifier = '1'");
ok($rx->poll("SELECT doing LIKE 'not armed%' FROM refundx.worker_status() WHERE kind = 'courier'"), 'a copy is not armed');
$rx->sql('UPDATE refundx.notice_provider SET paused = NULL, paused_since = NULL');
ok($rx->poll("SELECT problem IS NULL FROM refundx.worker_status() WHERE kind = 'courier'"), 'the provider is free');
is(notice($copied, 'n.state, tries'), 'queued|0', 'and yet nothing is sent');
$rx->sql("SELECT refundx.arm('the test says so')");
# what is submitted from here on need not be asked about first
$rx->sql("SELECT refundx.recover_done('nothing was lost')");
is(notice($copied, 'n.state'), 'with_person', 'armed: it may have been sent before, so a person decides');
ok($rx->poll("SELECT doing = 'sending messages' FROM refundx.worker_status() WHERE kind = 'courier'"), 'others are sent again');
is(sent($copied), 0, 'but not that one');

# ---- crashes ----

foreach my $case ([ 'courier-after-claim', '13800130010', 0 ], [ 'courier-before-record', '13800130011', 1 ])
{
	my ($point, $phone, $times) = @$case;
	my $no = queued_while_paused($phone);

	$rx->set('refundx.test_point' => "$point:crash");
	$rx->sql('UPDATE refundx.notice_provider SET paused = NULL, paused_since = NULL');
	ok(Refundx::wait_for(sub { slurp_file($rx->node->logfile) =~ /test point "$point": crash/ }, undef, 20), "$point: a crash");
	$rx->configure('refundx.test_point' => '');
	ok(Refundx::wait_for(sub { $rx->answers }, 'recovery'), "$point: recovery");
	$rx->node->reload;
	notice_is($no, 'ambiguous', "$point: it may have been sent");
	advance(100_000);
	my $after = refund_for('13800130012');
	notice_is($after, 'sent', "$point: others are");
	is(sent($no), $times, "$point: it is not sent again");
}

# ---- ten thousand messages, and a provider that hangs ----

sub time_refunds
{
	my ($from, $count) = @_;
	my $began = time();

	$rx->sql("SELECT refundx.payment_record('wx', 'Q' || g, 500, 'CNY', channel_payment_id => '4200Q' || g, paid_at => now())
		FROM generate_series($from, $from + $count - 1) g");
	$rx->sql("SELECT (refundx.refund_submit('wx', 'Q' || g, 'Q' || g, 500, 'x')) IS NULL
		FROM generate_series($from, $from + $count - 1) g");
	$rx->poll("SELECT count(*) = $count FROM refundx.instruction WHERE state = 'succeeded'
		AND instruction_no IN (SELECT 'Q' || g FROM generate_series($from, $from + $count - 1) g)");
	return time() - $began;
}

my $alone = time_refunds(1, 50);
my $hole = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 100) or die $!;
add_provider('hole', 'http', { url => 'http://127.0.0.1:' . $hole->sockport . '/', method => 'POST',
		body => 'to={phone}', content_type => 'application/x-www-form-urlencoded', success => { status => [200] } });
$rx->sql(q{SELECT refundx.notice_template_set('failed', '*', 'hole', '{"text": "{refund_no}"}')});
$rx->sql("INSERT INTO refundx.notice (instruction_id, transition, sink, provider)
	SELECT instruction_id, 'failed', 'sms' || g, 'hole'
	  FROM refundx.instruction, generate_series(1, 10000) g WHERE instruction_no = '$partly'");
ok($rx->poll("SELECT count(*) = 8 FROM refundx.notice WHERE provider = 'hole' AND state = 'sending'"),
	'a few are under way, and hang');
my $beside = time_refunds(1001, 50);
cmp_ok($beside, '<', 2 * $alone + 2, 'refunds go on as if nothing were');
note sprintf('50 refunds: %.2f s alone, %.2f s beside ten thousand messages', $alone, $beside);
my $other = refund_for('13800130020');
notice_is($other, 'sent', 'and so does another provider');
is($rx->sql("SELECT count(*) <= 8 FROM refundx.notice WHERE state = 'sending'"), 't', 'still a few');
ok($rx->poll("SELECT count(*) >= 8 FROM refundx.notice WHERE provider = 'hole' AND state = 'ambiguous' AND tries = 1"),
	'what hung may have been sent, and is not sent again');
is($rx->sql("SELECT backlog > 0 AND behind > interval '1 second' FROM refundx.worker_status() WHERE kind = 'courier'"),
	't', 'the status says that the courier is behind');
my ($kb) = slurp_file('/proc/' . $rx->worker_pid('courier') . '/status') =~ /RssAnon:\s+(\d+)/;
cmp_ok($kb, '<', 40 * 1024, 'it has not read them all into memory');
$rx->sql("DELETE FROM refundx.notice WHERE sink <> 'sms'");

# ---- what is told to nobody ----

my $said = slurp_file($rx->node->logfile, $log);
unlike($said, qr/1380013\d{4}/, 'no number in the log');
my $warnings = () = $said =~ /SMS provider "sms" is paused/g;
cmp_ok($warnings, '<=', 3, 'a pause is said, and not for each message');
is($rx->sql("SELECT count(*) FROM refundx.notices n WHERE n::text ~ '1380013\\d{4}'"), 0, 'nor in the view');
unlike($rx->sql('SELECT string_agg(m::text, chr(10)) FROM refundx.worker_status() m'), qr/1380013\d{4}/, 'nor in the status');
$rx->check_ok('at the end');

$rx->stop;
done_testing();
