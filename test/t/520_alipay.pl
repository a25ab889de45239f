# Alipay, where it is unlike the others: signatures over the bytes of a node,
# certificates that change, refunds that say twice what they are, and
# notifications that look like a payment's.  In both modes, side by side.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Callback;
use Refundx::Channels;
use Refundx::Oracle;
use Refundx::Signed;
use Test::More;

my @modes = ('alipay', 'alipay-cert');
my $all = Refundx::Channels->new('main', only => \@modes, sandbox => [ '--not-found-ms', 30000 ]);
my $rx = $all->rx;
my $sandbox = $all->sandbox;
my $app = $all->merchant('alipay');

# what others refund, in the outcome 9107
$rx->{elsewhere} = qr/^CONSOLE-/;

# One app has one address for its notifications: first that of the certificates.
sub set_channel
{
	my ($channel, $config) = @_;
	return $rx->sql("SELECT refundx.channel_set('$channel', " . Refundx::literal(Refundx::to_json($config)) . ')');
}

sub callbacks_of
{
	my ($no) = @_;
	return $rx->sql("SELECT count(*) FROM refundx.evidence WHERE wire_no = '$no' AND source = 'callback'");
}

sub messages
{
	my ($no, $source) = @_;
	return $rx->sql("SELECT string_agg(message, '; ' ORDER BY evidence_id) FROM refundx.evidence
		WHERE wire_no = '$no' AND source = '$source'");
}

# ---- the rows that only Alipay has, in both modes at once ----

my @magic = 9101 .. 9116;
my %no;

foreach my $mode (@modes)
{
	$no{$mode}{$_} = $all->start($mode, "W$_", 10000 + $_) foreach @magic;
}
foreach my $mode (@modes)
{
	foreach my $magic (@magic)
	{
		my $no = $no{$mode}{$magic};
		$rx->wait_state($no, 'succeeded', "$mode: $magic succeeds");
		is(paid_times($rx, $no), 1, 'paid once');
	}
	my %of = %{ $no{$mode} };

	is($all->events($of{9101}, "v.source = 'answer' AND to_state = 'succeeded' AND from_state <> to_state"), 0,
		"$mode: fund_change=N settles nothing");
	is($all->events($of{9101}, "v.source = 'query' AND to_state = 'succeeded'"), 1, 'a query does');
	foreach my $magic (9102, 9104, 9111)
	{
		is($all->first_word($of{$magic}, 'answer'), 'unknown', "$mode: $magic is not believed");
		is($all->events($of{$magic}, "to_state = 'failed'"), 0, 'nor called failed');
		cmp_ok(sent_times($rx, $of{$magic}), '>', 1, 'it was issued again');
	}
	foreach my $magic (9103, 9113)
	{
		is(lines_of($rx, $of{$magic}), 'queued>sending>succeeded', "$mode: $magic verifies as it is")
		  or diag($rx->story($of{$magic}));
	}
	is($all->first_word($of{9105}, 'answer'), 'unknown', "$mode: 9105 is signed by nobody known");
	is($all->events($of{9115}, "to_state = 'failed'"), 0, "$mode: a code that is in no list is no refusal");

	# refund_fee is the trade's: only refund_amount is this refund's
	is(column($rx, $of{9107}, 'person_reason'), '', "$mode: somebody else's refund of the trade is no mismatch");
	is($sandbox->refund($of{9107})->{amount}, 19107, 'it was its own amount');
}
like(messages($no{'alipay-cert'}{9105}, 'answer'), qr/signed with Alipay's certificate ([0-9a-f]{32}); .*has (?!\1)[0-9a-f]{32}/,
	'the certificate that is not known is named, and the one that is');

# ---- the bank refuses, and the buyer's balance has it ----

subtest 'deposit-back' => sub {
	my $no = $no{'alipay-cert'}{9106};

	$sandbox->ctl('tell', $no, 'depositback-F');
	ok(Refundx::wait_for(sub { $rx->sql("SELECT count(*) FROM refundx.evidence WHERE wire_no = '$no'
			AND code = 'dback_status=F'") > 0 }, 'the message'), 'the message to the gateway is kept');
	ok($rx->poll("SELECT count(*) > 0 FROM refundx.evidence WHERE wire_no = '$no' AND source = 'query'
		AND evidence_id > (SELECT min(evidence_id) FROM refundx.evidence WHERE code = 'dback_status=F' AND wire_no = '$no')"),
		'and asked about') || diag($rx->story($no));
	is($rx->state($no), 'succeeded', 'it stays paid: the money is with the payer');
	is($all->journal($no), 'freeze pay_out', 'nothing moves back');
	like($rx->sql("SELECT string_agg(detail, '; ') FROM refundx.evidence WHERE wire_no = '$no'"), qr/Alipay balance/,
		'and it says where it is');
};

# ---- a payment's notification ----

subtest 'a payment is not ours' => sub {
	my $no = $all->start('alipay', 'PAID', 10000);
	my $order = $all->payment_no('alipay', $no);
	my %count = map { ($_ => $rx->sql("SELECT count(*) FROM refundx.evidence")) } 'evidence';
	my %payment = (trade_no => '2026' . '0' x 23 . '1', out_trade_no => $order, app_id => $app,
		seller_id => '2088000000000001', trade_status => 'TRADE_SUCCESS', total_amount => '500.00',
		buyer_logon_id => '138****1234', gmt_payment => '2026-01-02 03:04:05');

	$rx->wait_state($no, 'succeeded');
	ok($rx->poll('SELECT count(*) = 0 FROM refundx.evidence v LEFT JOIN refundx.event e USING (evidence_id) WHERE e.seq IS NULL'));
	my $before = $all->turned_away('alipay', 'not_ours');
	my $from = Refundx::Callback->new($rx, 'alipay');

	# at our own address: whoever handles payments must still get it
	$all->hear('alipay');
	$sandbox->ctl('payment-notify', $app, $order);
	ok($rx->poll("SELECT sum(n) > $before FROM refundx.callbacks WHERE channel = 'alipay' AND result = 'not_ours'"),
		'the listener counts it as not ours');
	my $form = alipay_form($sandbox, \%payment);
	my $answer = $from->post($form);
	is($answer->{status}, 404, 'it answers with an error');
	unlike($answer->{body}, qr/success/, 'and never with success');
	is($all->ingest('alipay', $form), 'not_ours|||', 'callback_ingest leaves the answer to the caller');
	is($all->ingest('alipay', alipay_form($sandbox, { %payment, refund_fee => '0.00' })), 'not_ours|||',
		'nor is it a refund because of a refund_fee of nothing');
	is($rx->sql("SELECT count(*) FROM refundx.evidence WHERE payment_no = '$order' AND source = 'callback'
		AND wire_no IS DISTINCT FROM '$no'"), 0, 'nothing of it is kept');

	# one of a refund looks alike
	is($all->ingest('alipay', alipay_form($sandbox, { %payment, refund_fee => '100.00', gmt_refund => '2026-01-02 03:04:05.123' })),
		'stored|200|text/plain|success', 'a refund without a number of its own is about all refunds of the trade');
	ok(Refundx::wait_for(sub { $all->events($no, "e.type = 'asked' AND e.note = 'a hint about its payment'") }, 'asked'),
		'and they are asked about');
	is($all->ingest('alipay', alipay_form($sandbox, { %payment, trade_status => 'TRADE_CLOSED', refund_fee => '500.00',
				out_biz_no => $no })), 'stored|200|text/plain|success', 'one with a number about that one');
	drained($rx, 'after hints');
	is($rx->state($no), 'succeeded', 'nothing of it moves money');
	is($all->sums('alipay', $no), '50000|0|10000', 'nor counts for the whole trade');
};

# ---- callbacks at their own address ----

subtest 'notifications' => sub {
	foreach my $mode (@modes)
	{
		$all->hear($mode);
		my $no = $all->start($mode, 'HEAR', 10000);
		$rx->wait_state($no, 'succeeded');
		ok(Refundx::wait_for(sub { callbacks_of($no) > 0 }, 'heard'), "$mode: the trade's notification is kept");
		my ($refused, $taken) = @{ $sandbox->ctl('stats')->{callbacks} }{ 'refused', 'acknowledged' };
		my $empty = $all->start($mode, 'EMPTY', 19110);
		$rx->wait_state($empty, 'succeeded');
		ok(Refundx::wait_for(sub { $sandbox->ctl('stats')->{callbacks}{acknowledged} >= $taken + 2 }, 'both'),
			"$mode: those with an empty value, in either convention");
		is($sandbox->ctl('stats')->{callbacks}{refused}, $refused, 'none is refused');
		is(callbacks_of($empty), 1, 'they mean the same');
	}
};

subtest 'notifications are off' => sub {
	$sandbox->ctl('notify-url', $app, 'none');
	my @all = map { my $mode = $_; map { $all->start($mode, "OFF$_", 10000 + $_) } 0, 9002, 9007, 9012, 9013, 9101, 9105 } @modes;

	$rx->wait_state($_, 'succeeded', "$_ converges by asking") foreach @all;
	is($rx->sql("SELECT count(*) FROM refundx.evidence WHERE source = 'callback' AND wire_no IN ("
			. join(', ', map { "'$_'" } @all) . ')'), 0, 'no notification came');
	$all->hear('alipay');
};

# ---- keys and certificates change ----

subtest 'rotation' => sub {
	my $keys = $sandbox->key_directory;
	my %change = (
		'alipay-cert' => { alipay_certificates => [ 'alipay_cert.crt', 'later.crt' ] },
		'alipay' => { alipay_public_key => [ 'alipay_public_key.pem', 'later.pem' ] });
	my %file = ('alipay-cert' => [ 'alipay_cert_2.crt', 'later.crt' ], alipay => [ 'alipay_public_key_2.pem', 'later.pem' ]);
	my %open;

	$sandbox->ctl('switch', $app, 'key-2');
	foreach my $mode (@modes)
	{
		$open{$mode} = $all->start($mode, 'ROTATE', 10000);
		$rx->wait_state($open{$mode}, 'unknown', "$mode: what is signed with the new key says nothing");
	}
	ok(Refundx::wait_for(sub { (messages($open{'alipay-cert'}, 'query') || '') =~ /certificate/ }, 'a query'),
		'nor do queries');
	like(messages($open{'alipay-cert'}, $_), qr/signed with Alipay's certificate ([0-9a-f]{32}); .*has (?!\1)[0-9a-f]{32}.*Download/,
		"the $_ names both certificates, and what to do") foreach qw(answer query);

	# the configuration first, the file later: the keys in use stay in use
	foreach my $mode (@modes)
	{
		set_channel($mode, $change{$mode});
		like($rx->sql("SELECT finding FROM refundx.channel_check('$mode') WHERE level = 'error'"), qr/later/,
			"$mode: channel_check misses the file");
		is($rx->state($open{$mode}), 'unknown', 'and the refund stays unknown');
	}
	foreach my $mode (@modes)
	{
		my ($from, $to) = @{ $file{$mode} };
		open(my $fh, '>', "$keys/$to.new") or die $!;
		print $fh slurp_file("$keys/$from");
		close($fh);
		chmod 0644, "$keys/$to.new";
		rename "$keys/$to.new", "$keys/$to" or die $!;
	}
	$rx->set('refundx.poll_interval' => '90ms');
	$rx->wait_state($open{$_}, 'succeeded', "$_: after a reload it goes on by itself") foreach @modes;
	is(paid_times($rx, $open{$_}), 1, 'paid once') foreach @modes;
	$sandbox->ctl('switch', $app, 'key-1');
	foreach my $mode (@modes)
	{
		my $no = $all->start($mode, 'ROTATED', 10000);
		$rx->wait_state($no, 'succeeded', "$mode: the old key still counts");
		is(lines_of($rx, $no), 'queued>sending>succeeded', 'at once');
	}
};

# ---- the classic mistakes ----

subtest 'mistakes are found when the channel is added' => sub {
	my $keys = $sandbox->key_directory;
	my $key = $sandbox->channel_config(undef, 'alipay');
	my $cert = $sandbox->channel_config(undef, 'alipay-cert');
	my $put = sub {
		my ($name, $text) = @_;
		open(my $fh, '>', "$keys/$name") or die $!;
		print $fh $text;
		close($fh);
		chmod 0600, "$keys/$name";
		return $name;
	};
	my $add = sub {
		my ($config) = @_;
		my ($rc, $out, $err) = $rx->node->psql($rx->database, "BEGIN; SELECT refundx.channel_add('bad', 'alipay', "
			  . Refundx::literal(Refundx::to_json($config)) . '); ROLLBACK');
		return $err;
	};
	my $pem = slurp_file("$keys/alipay_app_key.pem");

	# each shape of the console and of the key tool is taken
	foreach my $shape (map { ("$_.pem", "$_.txt") } 'alipay_app_key', 'alipay_app_key_pkcs1')
	{
		is($add->({ %$key, private_key => $shape }), '', "$shape is taken");
	}
	is($add->({ %$key, alipay_public_key => 'alipay_public_key.txt' }), '', 'so is a public key without armour');
	is($add->($cert), '', 'and certificates');

	(my $own_chain = slurp_file("$keys/alipay_cert.crt")) =~ s/(-----END CERTIFICATE-----\n).*\z/$1/s;
	my @wrong = (
		[ { %$key, alipay_public_key => 'alipay_app_public_key.txt' }, qr/is the app's own public key, not Alipay's/ ],
		[ { %$key, alipay_public_key => 'alipay_cert.crt' }, qr/is a certificate, not a public key/ ],
		[ { %$key, private_key => $put->('public.pem', slurp_file("$keys/alipay_public_key.pem")) }, qr/private_key: the file .* cannot be used: / ],
		[ { %$key, private_key => $put->('cut.pem', substr($pem, 0, 500)) }, qr/private_key: the file .* cannot be used: / ],
		[ { %$key, private_key => $pem }, qr/has a key where the name of a file belongs/ ],
		[ { %$key, app_public_key => 'alipay_public_key.txt' }, qr/does not belong to the app's public key/ ],
		[ { %$key, app_id => '2088000000000001' }, qr/is a merchant's number, not an app's/ ],
		[ { %$key, app_id => '123' }, qr/must be an app's id/ ],
		[ { %$key, %$cert }, qr/both Alipay's public key and certificates are given/ ],
		[ { map { $_ eq 'alipay_public_key' ? () : ($_ => $key->{$_}) } keys %$key }, qr/neither Alipay's public key nor certificates/ ],
		[ { %$cert, alipay_certificates => 'alipay_app_cert.crt' }, qr/is the app's own certificate, not Alipay's/ ],
		[ { %$cert, alipay_certificates => $put->('alone.crt', $own_chain) }, qr/chain of "alone.crt" is incomplete/ ],
		[ { %$cert, root_certificate => 'alipay_cert.crt' }, qr/root_certificate: .*holds no root/ ],
		[ { %$cert, app_certificate => 'alipay_public_key.pem' }, qr/is not a certificate/ ],
		[ { %$cert, app_id => '2021000000000999' }, qr/is another app's/ ],
		[ { %$cert, private_key => $put->('other.pem', other_key()) }, qr/does not belong to the certificate/ ],
		[ { %$key, app_auth_token => 'token' }, qr/only one of "app_auth_token" and "auth_app_id"/ ]);
	foreach my $case (@wrong)
	{
		my ($config, $message) = @$case;
		my $err = $add->($config);

		like($err, qr/(WARNING|ERROR):  .*$message/, "$message");
		like($err, qr/HINT:  ../, 'with a hint') unless $message =~ /cut|cannot be used/;
		unlike($err, qr{[A-Za-z0-9+/]{40}}, 'and nothing of a key is repeated');
	}
	is($rx->sql("SELECT count(*) FROM refundx.channels WHERE name = 'bad'"), 0, 'none was added');
};

sub other_key
{
	my $key = '';
	IPC::Run::run([ 'openssl', 'genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048' ],
		'>', \$key, '2>', '/dev/null') or die 'no openssl';
	return $key;
}

drained($rx, 'at the end');
sound($rx, 'at the end');
wire_ok($rx, 'at the end');
is_deeply([ map { $_->{no} } grep { $_->{paid_times} > 1 } @{ $sandbox->refunds } ], [], 'nothing is paid twice');

$rx->stop;
done_testing();
