# callback_inspect(): what the listener would make of a callback, step by step,
# for a person who has only its bytes.  It changes nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Refundx;
use Refundx::Callback;
use Refundx::Channels;
use Refundx::Oracle;
use Refundx::Signed;
use Test::More;

plan skip_all => 'node makes the callbacks, and is not here' unless Refundx::Callback::available();

my $all = Refundx::Channels->new('main');
my $rx = $all->rx;
my $sandbox = $all->sandbox;
my %maker = (wechat => Refundx::Callback->new($rx, 'wechat'));
my %no = map { ($_ => $all->start($_, 'LOOK', 10500)) } $all->names;

$rx->wait_state($no{$_}, 'succeeded') foreach $all->names;
$all->sandbox->ctl('pause-callbacks', 'on');

# What must never be shown: a phone, a logon, a card, a name, an account.
my @personal = ('13800138000', 'someone@example.com', '6222021234567890123', '74123450000001234567890', '招商银行信用卡0403');

# A callback about the refund, as its channel would send it.
#	about: another number; amount: another amount; of: another merchant; key, age, tamper
my %make = (
	wechat => sub {
		my (%spec) = @_;
		my $no = $spec{about} || $no{wechat};
		my $config = $sandbox->channel_config;
		my $plain = Refundx::to_json({
			mchid => $spec{of} || $config->{mchid}, transaction_id => $all->payment_id('wechat', $no{wechat}),
			out_trade_no => $all->payment_no('wechat', $no{wechat}), refund_id => "50000$no", out_refund_no => $no,
			refund_status => 'SUCCESS', success_time => '2026-01-02T03:04:05+08:00',
			user_received_account => $personal[4] . $personal[2],
			amount => { total => 50000, refund => $spec{amount} || 10500, payer_total => 50000, payer_refund => $spec{amount} || 10500 } });
		return scalar $maker{wechat}->make({
			plain => $plain, event => 'REFUND.SUCCESS', age => $spec{age} || 0, tamper => $spec{tamper},
			$spec{key} ? (headers => { 'Wechatpay-Serial' => 'PUB_KEY_ID_0119000001002026010100009999' }) : () });
	},
	alipay => sub {
		my (%spec) = @_;
		my $no = $spec{about} || $no{alipay};
		my $form = alipay_form($sandbox, {
				app_id => $spec{of} || $all->merchant('alipay'), seller_id => '2088000000000001',
				trade_no => '2026010122001400001', out_trade_no => $all->payment_no('alipay', $no{alipay}), out_biz_no => $no,
				trade_status => 'TRADE_SUCCESS', total_amount => '500.00', refund_fee => '105.00',
				gmt_refund => '2026-01-02 03:04:05.123', buyer_logon_id => $personal[1], buyer_id => '2088101117955611',
				subject => "for $personal[0]", body => $personal[2] },
			$spec{tamper} ? (tamper => { refund_fee => '1.00' }) : (),
			$spec{key} ? (key => 'alipay_private_2.pem') : ());
		return $form;
	},
	stripe => sub {
		my (%spec) = @_;
		return stripe_event($sandbox, age => $spec{age}, tamper => $spec{tamper},
			$spec{key} ? (secret => 'apiv3.key') : (),
			$spec{of} ? (members => { account => 'acct_1Other' }) : (),
			object => {
				%{ stripe_refund(number => $spec{about} || $no{stripe}, amount => $spec{amount} || 10500,
					payment_intent => $all->payment_id('stripe', $no{stripe})) },
				receipt_number => $personal[2], description => $personal[0],
				instructions_email => $personal[1] });
	});

# ---- rows of every table before and after ----

sub everything
{
	my @tables = split /\n/, $rx->sql("SELECT oid::regclass FROM pg_class WHERE relnamespace = 'refundx'::regnamespace
		AND relkind IN ('r', 'S') AND NOT relispartition ORDER BY 1");
	# of a sequence, where it is; of a table, how many rows, and what is in them
	return join "\n", map { $rx->sql(
			$rx->sql("SELECT relkind FROM pg_class WHERE oid = '$_'::regclass") eq 'S'
			? "SELECT '$_', last_value FROM $_"
			: "SELECT '$_', count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM $_ t") } @tables;
}

# Let what is under way end, so that nothing else changes anything.
drained($rx, 'before anything is looked into');
ok($rx->poll("SELECT count(*) = 0 FROM refundx.instruction WHERE due_at IS NOT NULL"), 'nothing is due');
ok($rx->poll('SELECT count(*) = 0 FROM refundx.evidence v LEFT JOIN refundx.event e USING (evidence_id) WHERE e.seq IS NULL'),
	'all is weighed');
$rx->set('refundx.clerk_interval' => '1h', 'refundx.dispatch' => 'off');
my $before = everything();
my @shown;

sub look
{
	my ($channel, $message, $at) = @_;
	my $text = $all->inspect($channel, $message, $at);
	push @shown, $text;
	return $text;
}

# ---- each channel ----

my %unknown = (wechat => 'unknown_key', alipay => 'bad_signature', stripe => 'bad_signature');
my $no_time = 'a notification is not dated by its signature';
my %answer = (wechat => 204, alipay => 200, stripe => 200);

foreach my $channel ($all->names)
{
	my $make = $make{$channel};

	subtest "$channel: a good one" => sub {
		my $text = look($channel, $make->());
		my %step = map { /^(\w+)\|([^|]+)\|/ ? ("$2" => $1) : () } split /\n/, $text;

		is($text =~ /^error/m ? 1 : 0, 0, 'no step is wrong') || diag($text);
		ok($step{$_}, "there is a step about the $_") || diag($text) foreach qw(key signature result meaning effect answer);
		like($text, qr/^ok\|result\|verified; it would be kept/m, 'it is verified');
		like($text, qr/^ok\|(signed string|parameters)\|/m, 'it shows what was signed');
		like($text, qr/^ok\|meaning\|.*refund \Q$no{$channel}\E/m, 'it says which refund it means');
		like($text, qr/^ok\|effect\|refund \Q$no{$channel}\E is succeeded; /m, 'and what would become of it');
		like($text, qr/^ok\|answer\|status $answer{$channel}/m, 'and the answer');
		like($text, qr/^ok\|time\|signed at \d+, \d+ s (before|after) this server's clock/m, 'and how far the clocks are apart')
		  unless $channel eq 'alipay';
	};

	subtest "$channel: a wrong signature" => sub {
		my $text = look($channel, $make->(tamper => 1));

		like($text, qr/^error\|signature\|.*changed/m, 'it says that the bytes were changed on the way');
		like($text, qr/^error\|result\|bad_signature$/m, 'and its result');
		like($text, qr/^ok\|answer\|status 40[01]/m, 'and the answer');
		unlike($text, qr/^\w+\|(meaning|effect)\|/m, 'what is not verified means nothing');
	};

	subtest "$channel: an old one" => sub {
		my $message = $make->(age => 86400);
		my $text = look($channel, $message);

		if ($channel eq 'alipay')
		{
			like(look($channel, $message, '2020-01-01'), qr/^ok\|result\|verified/m, "its time does not matter: $no_time");
			return;
		}
		like($text, qr/^error\|time\|signed at \d+, which is -864\d\d s off; at most 300 s count/m, 'it says how far the clocks are apart');
		like($text, qr/^error\|result\|bad_time$/m, 'and its result');

		# at the time when it came, it was good
		like(look($channel, $message, $rx->sql("SELECT clock_timestamp() - interval '1 day'")), qr/^ok\|result\|verified/m,
			'a day ago it was good');
		like(look($channel, $make->(), $rx->sql("SELECT clock_timestamp() - interval '1 day'")), qr/^error\|time\|signed at \d+, which is 86/m,
			'and what is good now was not, a day ago');
	};

	subtest "$channel: a key that is not known" => sub {
		my $text = look($channel, $make->(key => 1));

		like($text, qr/^error\|(key|signature)\|/m, 'it says so');
		like($text, qr/^error\|result\|$unknown{$channel}$/m, 'and its result') || diag($text);
	};

	subtest "$channel: cut off" => sub {
		my $message = $make->();

		foreach my $length (0, 1, int(length($message->{body}) / 2), length($message->{body}) - 1)
		{
			my $text = look($channel, { %$message, body => substr($message->{body}, 0, $length) });
			like($text, qr/^error\|result\|(bad_signature|bad_body|bad_headers)$/m, "after $length bytes")
			  || diag($text);
		}
		like(look($channel, { headers => {}, body => $message->{body} }), $channel eq 'alipay' ? qr/^ok\|result\|verified|^error\|/m : qr/^error\|headers\|/m,
			'without headers');
		like(look($channel, { headers => { map { ("X-$_" => 'y') } 1 .. 200 }, body => "\0" x 100 }), qr/^error\|result\|/m,
			'bytes that are nothing');
	};

	subtest "$channel: about another merchant" => sub {
		my $other = $channel eq 'alipay' ? '2021000000000999' : '1900000999';
		my $text = look($channel, $make->(of => $other));

		like($text, qr/^ok\|signature\|it is (WeChat|Alipay|Stripe)'s/m, 'it is well signed');
		like($text, $channel eq 'stripe' ? qr/^warning\|account\|.*acct_1Other/m
			: qr/^warning\|effect\|it is of merchant $other, this channel of \d+: it moves nothing/m, 'it names the other one')
		  || diag($text);
	};

	subtest "$channel: about another amount" => sub {
		my $text = look($channel, $make->(amount => 10400));

		# Alipay's says nothing about one refund's amount
		like($text, $channel eq 'alipay' ? qr/^ok\|effect\|/m
			: qr/^warning\|effect\|refund \Q$no{$channel}\E is one of 10500: it moves nothing/m, 'it says so') || diag($text);
	};

	subtest "$channel: about a refund that is not known" => sub {
		like(look($channel, $make->(about => 'NOBODY')), qr/^warning\|effect\|no refund here has this number/m, 'it says so');
	};
}

# ---- what it is not ----

is(everything(), $before, 'no row of any table, and no sequence, has changed');
my $shown = join "\n", @shown;
foreach my $personal (@personal)
{
	is(index($shown, $personal), -1, "\"" . substr($personal, 0, 4) . "...\" is in no finding");
}
foreach my $secret (qw(apiv3.key stripe_webhook.secret stripe_secret.key))
{
	(my $text = PostgreSQL::Test::Utils::slurp_file($sandbox->key_directory . "/$secret")) =~ s/\s+\z//;
	is(index($shown, $text), -1, "nor is what is in $secret");
}

foreach my $channel ($all->names)
{
	is((split /\|/, $all->ingest_rolled_back($channel, $make{$channel}->()))[0], 'stored', "$channel: the listener would agree");
	is((split /\|/, $all->ingest_rolled_back($channel, $make{$channel}->(tamper => 1)))[0], 'bad_signature', 'in both');
}

# ---- mistakes are the caller's ----

like($rx->sql_error("SELECT * FROM refundx.callback_inspect('nobody', '{}', '')"), qr/^RX008 .*"nobody"/, 'an unknown channel');
like($rx->sql_error("SELECT * FROM refundx.callback_inspect('wechat', '$_', '')"), qr/^22023 headers must be/, "headers: $_")
  foreach '[]', '"x"', '{"a": {"b": "c"}}';
is($rx->sql("SELECT count(*) FROM refundx.callback_inspect('wechat', NULL, '')"), 0, 'null in, nothing out');
cmp_ok($rx->sql("SELECT count(*) FROM refundx.callback_inspect('$_', '{}', '', '-infinity')"), '>', 0, "$_: before all time")
  foreach $all->names;
cmp_ok($rx->sql("SELECT count(*) FROM refundx.callback_inspect('$_', '{}', '', 'infinity')"), '>', 0, "$_: after all time")
  foreach $all->names;

# ---- who may ----

$rx->sql("CREATE ROLE an_$_ IN ROLE refundx_$_") foreach qw(operator auditor app);
my $call = "SELECT count(*) > 0 FROM refundx.callback_inspect('stripe', '{}', '')";
is($rx->sql("SET ROLE an_$_; $call"), 't', "an $_ may") foreach qw(operator auditor);
like($rx->sql_error("SET ROLE an_app; $call"), qr/^42501 /, 'an application may not');

$rx->check_ok('at the end');
$rx->stop;
done_testing();
