# WeChat's ways to sign, keys that change, and keys that are wrong.
#
# WeChat signs with a public key's pair or with a platform certificate's, and
# during a migration with both in turn.  Keys come and go with a reload.  While
# one is wrong nothing is lost: refunds wait, and go on by themselves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Copy qw(copy);
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Secrets;
use Test::More;

my $sandbox;
my $rx = Refundx->new(
	'main',
	channel => 0,
	sandbox => [ '--speed', 10 ],
	settings => { log_statement => 'all', log_min_duration_statement => 0, wal_level => 'logical' });
$sandbox = $rx->sandbox;
$rx->{channel} = 'both';

# A key directory of our own, so that the sandbox keeps its own files.
my $keys = $rx->node->basedir . '/keys';
my $secrets = Refundx::Secrets->new;

mkdir $keys, 0700;
copy_key($_) foreach map { m{([^/]+)$} } glob $sandbox->key_directory . '/*';
$rx->set('refundx.key_directory' => $keys);

sub put
{
	my ($name, $text) = @_;

	# a new file in the place of the old one, as whoever rotates keys should
	open(my $fh, '>', "$keys/$name.new") or die "$keys/$name: $!";
	print $fh $text;
	close($fh);
	chmod 0600, "$keys/$name.new";
	rename "$keys/$name.new", "$keys/$name" or die $!;
	return;
}

sub copy_key
{
	my ($name, $as) = @_;
	return put($as || $name, slurp_file($sandbox->key_directory . "/$name"));
}

sub jsonb { return \(Refundx::literal(Refundx::to_json($_[0])) . '::jsonb') }

my $config = $sandbox->channel_config;
my ($pub_id) = grep { /^PUB_KEY_ID_/ } keys %{ $config->{wechat_keys} };
my ($cert_id) = grep { !/^PUB_KEY_ID_/ } keys %{ $config->{wechat_keys} };
my %pub_only = (wechat_keys => { $pub_id => $config->{wechat_keys}{$pub_id} }, use_key => $pub_id);
my %cert_only = (wechat_keys => { $cert_id => $config->{wechat_keys}{$cert_id} }, use_key => $cert_id);

$rx->channel_add('both');
$rx->channel_add('pub', %pub_only);
$rx->channel_add('cert', %cert_only);

my $n = 0;

# A refund of 20 yuan by a channel; its number.
sub start_refund
{
	my ($channel, $amount) = @_;
	my $no = "R" . ++$n . "-$channel";

	$rx->payment("P$n", 20000, channel => $channel);
	$rx->refund("P$n", $no, $amount || 2000, channel => $channel);
	return $no;
}

# How often the channel's callbacks were turned away for that reason.
sub turned_away
{
	my ($channel, $reason) = @_;
	return $rx->sql("SELECT coalesce(sum(n), 0) FROM refundx.callbacks WHERE channel = '$channel' AND result = '$reason'");
}

# A test: this refund was settled by a callback that was signed with this key.
sub settled_by_callback
{
	my ($no, $serial, $what) = @_;

	$rx->wait_state($no, 'succeeded');
	return is(
		$rx->sql(
			"SELECT e.source, e.headers->>'wechatpay-serial' FROM refundx.evidence e
			   JOIN refundx.event x USING (evidence_id) JOIN refundx.instruction i USING (instruction_id)
			  WHERE i.instruction_no = '$no' AND x.to_state = 'succeeded' AND x.from_state <> 'succeeded'"),
		"callback|$serial", $what);
}

sub checks
{
	my ($channel, $call) = @_;
	return $rx->sql("SELECT level, item, finding FROM refundx.channel_check('$channel', $call)");
}

# ---- one key, the other, both ----

$sandbox->restart('--callback-key', 'pub');
settled_by_callback(start_refund('pub'), $pub_id, 'public-key mode');
settled_by_callback(start_refund('both'), $pub_id, 'both keys are known, and the public key is used');

$sandbox->restart('--callback-key', 'cert');
settled_by_callback(start_refund('cert'), $cert_id, 'certificate mode');
settled_by_callback(start_refund('both'), $cert_id, 'both keys are known, and the certificate is used');

foreach my $channel ('pub', 'cert', 'both')
{
	is($rx->sql("SELECT string_agg(level, ',') FROM refundx.channel_check('$channel', call => true) WHERE item IN ('use_key', 'echo')"),
		'ok,ok', "$channel: the channel signs its answers with the key that it is asked for");
}

# Both in turn: what is refused once is signed with the other key at the next
# push, so that every channel gets its callback.
$sandbox->restart('--callback-key', 'mixed');
my @pub = map { start_refund('pub') } 1 .. 4;
$rx->wait_state($_, 'succeeded') foreach @pub;
my @cert = map { start_refund('cert') } 1 .. 4;
my @both = map { start_refund('both') } 1 .. 4;

settled_by_callback($_, $pub_id, 'mixed: a channel with the public key only') foreach @pub;
settled_by_callback($_, $cert_id, 'mixed: a channel with the certificate only') foreach @cert;
$rx->wait_state($_, 'succeeded') foreach @both;
is( $rx->sql(
		q{SELECT count(DISTINCT headers->>'wechatpay-serial') FROM refundx.evidence
			WHERE source = 'callback' AND wire_no IN (} . join(', ', map { "'$_'" } @both) . ')'),
	2, 'mixed: a channel with both takes both');
cmp_ok(turned_away('pub', 'unknown_key') + turned_away('cert', 'unknown_key'),
	'>', 0, 'and what was turned away was counted');
is(turned_away('both', 'unknown_key'), 0, 'nothing was turned away from the channel with both');

# ---- a key that comes later ----

$sandbox->restart('--callback-key', 'cert');
$sandbox->ctl('pause-callbacks', 'on');
my $no = start_refund('pub');
$rx->wait_state($no, 'accepted');
$sandbox->ctl('settle', $no, 'SUCCESS');
my $before = turned_away('pub', 'unknown_key');
$sandbox->ctl('pause-callbacks', 'off');
ok($rx->poll("SELECT coalesce(sum(n), 0) > $before FROM refundx.callbacks WHERE channel = 'pub' AND result = 'unknown_key'"),
	'a callback with a key that is not known is turned away');
is($rx->state($no), 'accepted', 'and changes nothing');

# The configuration first, the file later: the keys in use stay in use.
rename "$keys/$config->{wechat_keys}{$cert_id}", "$keys/later.pem";
$rx->call('channel_set', name => 'pub', config => jsonb({ wechat_keys => $config->{wechat_keys} }));
like(checks('pub', 'false'), qr/^error\|wechat_keys\|.*there is no file/m, 'channel_check: its file is missing');
settled_by_callback(do { $sandbox->restart('--callback-key', 'pub'); start_refund('pub') },
	$pub_id, 'the key that was there works on');
rename "$keys/later.pem", "$keys/$config->{wechat_keys}{$cert_id}";
$rx->set('refundx.poll_interval' => '90ms');
unlike(checks('pub', 'false'), qr/^error\|wechat_keys/m, 'channel_check: the file is there');
$sandbox->restart('--callback-key', 'cert');
settled_by_callback(start_refund('pub'), $cert_id, 'after a reload the new key counts');

# ---- the APIv3 key is replaced ----

my $old = slurp_file("$keys/apiv3.key");
my $new = 'Rotated' . substr($old, 7);

put('apiv3-new.key', $new);
$secrets->add_text($_) foreach $old, $new;
$sandbox->stop;
append_to_file($sandbox->key_directory . '/apiv3.key.tmp', $new);
chmod 0600, $sandbox->key_directory . '/apiv3.key.tmp';
rename $sandbox->key_directory . '/apiv3.key.tmp', $sandbox->key_directory . '/apiv3.key';
$sandbox->start;
$no = start_refund('both');
ok( $rx->poll(
		q{SELECT coalesce(sum(n), 0) > 0 FROM refundx.callbacks WHERE channel = 'both' AND result = 'bad_cipher'}),
	'what is encrypted with another APIv3 key is turned away');
is($rx->state($no), 'accepted', 'and changes nothing');
like(checks('both', 'false'), qr/^warning\|callbacks\|\d+ were refused lately, which could not be decrypted/m,
	'channel_check says that callbacks cannot be decrypted');
$rx->call('channel_set', name => 'both', config => jsonb({ apiv3_key => [ 'apiv3-new.key', 'apiv3.key' ] }));
$rx->wait_state($no, 'succeeded', 'with the new key beside the old one it is read, when it is pushed again');
settled_by_callback(start_refund('both'), $pub_id, 'new callbacks too');
unlike(checks('both', 'false'), qr/^warning\|callbacks/m,
	'channel_check is content once one could be read again');

# the old one is still being delivered for a while
put('apiv3-new.key', 'x' x 32);
$rx->set('refundx.poll_interval' => '100ms');
$sandbox->stop;
unlink $sandbox->key_directory . '/apiv3.key';
copy("$keys/apiv3.key", $sandbox->key_directory . '/apiv3.key');
chmod 0600, $sandbox->key_directory . '/apiv3.key';
$sandbox->start;
settled_by_callback(start_refund('both'), $pub_id, 'what is encrypted with the second key of the list is read');
ok($rx->poll("SELECT count(*) = 0 FROM refundx.instruction WHERE state <> 'succeeded'"), 'all is settled');

# ---- keys that cannot be right ----

put('short.key', 'only 15 bytes..');
$rx->call('channel_set', name => 'cert', config => jsonb({ apiv3_key => 'short.key' }));
like(checks('cert', 'false'), qr/^error\|apiv3_key\|.*has 15 bytes; an APIv3 key has exactly 32/m,
	'channel_check: an APIv3 key of another length');
$rx->call('channel_set', name => 'cert', config => jsonb({ apiv3_key => 'apiv3.key' }));
$rx->call('channel_set', name => 'cert', config => jsonb({ merchant_serial => 'AB' x 20 }));
like(checks('cert', 'true'), qr/^error\|echo\|HTTP 401 SIGN_ERROR/m,
	'channel_check: the channel does not know the serial number');
$rx->call('channel_set', name => 'cert', config => jsonb({ merchant_serial => $config->{merchant_serial} }));

# ---- another merchant's private key ----

my $right = slurp_file("$keys/apiclient_key.pem");
my $wrong = '';

IPC::Run::run([ 'openssl', 'genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048' ],
	'>', \$wrong, '2>', '/dev/null') or die 'no openssl';
$secrets->add_text($_) foreach $right, $wrong;
$rx->call('channel_set', name => 'both', config => jsonb({ time_scale => 60, merchant_certificate => 'apiclient_cert.pem' }));
unlike(checks('both', 'true'), qr/^error/m, 'before, channel_check finds nothing wrong');

put('apiclient_key.pem', $wrong);
$rx->set('refundx.poll_interval' => '90ms');
like(checks('both', 'false'), qr/^error\|merchant_certificate\|the private key in .* does not belong to the certificate/m,
	'channel_check: the key is not the one of the certificate');
$rx->call('channel_set', name => 'both', config => jsonb({ merchant_certificate => undef }));
$rx->set('refundx.poll_interval' => '100ms');
my $log = -s $rx->node->logfile;
like(checks('both', 'true'), qr/^error\|echo\|HTTP 401 SIGN_ERROR/m, 'channel_check: the channel does not take the signature');

my @waiting = map { start_refund('both') } 1 .. 3;
ok($rx->poll("SELECT count(*) = 1 FROM refundx.merchants WHERE paused = 'config' AND paused_reason LIKE 'SIGN_ERROR%'"),
	'the first refund that is sent pauses the merchant, with the reason');
ok($rx->poll("SELECT probes >= 2 FROM refundx.merchants"), 'it is probed')
  || diag($rx->sql('SELECT * FROM refundx.merchants'));
is($rx->sql("SELECT string_agg(DISTINCT state, ',') FROM refundx.instruction WHERE state <> 'succeeded' AND state <> 'sending'"),
	'queued', 'its refunds wait, and none has failed');
cmp_ok($rx->sql("SELECT count(DISTINCT wire_no) FROM refundx.attempt WHERE call = 'submit' AND wire_no IN ("
		  . join(', ', map { "'$_'" } @waiting) . ')'), '<=', 3, 'only probes go out');
like(checks('both', 'false'), qr/^error\|merchant\|refunds of merchant \d+ are paused \(config\): SIGN_ERROR/m,
	'channel_check: the merchant is paused');
ok(Refundx::wait_for(sub { slurp_file($rx->node->logfile, $log) =~ /WARNING:  .*refunds of merchant \d+ are paused/ }),
	'there is an alarm');
is($rx->sql("SELECT count(*) FROM refundx.incidents WHERE kind = 'merchant_paused'"), 1, 'one, however often it is probed');

put('apiclient_key.pem', $right);
$rx->set('refundx.poll_interval' => '100ms');
$rx->wait_state($_, 'succeeded') foreach @waiting;
is($rx->sql('SELECT count(*) FROM refundx.merchants WHERE paused IS NOT NULL'), 0, 'the merchant is no longer paused');
is($rx->sql("SELECT count(*) FROM refundx.desk WHERE what = 'refund'"), 0, 'nobody had to do anything about the refunds');

# ---- a private key that cannot be read at all ----

put('apiclient_key.pem', 'no key at all');
$rx->node->restart;
$no = start_refund('both');
$rx->wait_state($no, 'queued');
like(checks('both', 'false'), qr/^error\|private_key\|.*cannot be used/m, 'channel_check: it is no key');
ok($rx->poll("SELECT count(*) = 1 FROM refundx.worker_status() WHERE kind = 'dispatcher' AND state = 'up'"), 'the dispatcher lives');
is($rx->sql("SELECT state, attempts FROM refundx.instruction WHERE instruction_no = '$no'"),
	'queued|0', 'nothing is attempted without a key');
put('apiclient_key.pem', $right);
$rx->set('refundx.poll_interval' => '90ms');
$rx->wait_state($no, 'succeeded', 'after a reload it goes out by itself');

$rx->ledger_ok('at the end');
$rx->check_ok('at the end');

# ---- where the keys are: in their files (P11) ----

$secrets->add_directory($keys);
nowhere($rx, $secrets, 'after all that');
cmp_ok(scalar(found_in($rx->node->data_dir . '/pg_wal', $config->{merchant_serial})),
	'>', 0, 'the search would find it: the serial number is in the WAL');
cmp_ok(scalar(found_in($rx->node->data_dir . '/base', $config->{merchant_serial})),
	'>', 0, 'and in a table');

done_testing();
