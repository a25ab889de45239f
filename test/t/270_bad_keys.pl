# A key directory as it should not be, and keys where no key belongs.
#
# Each mistake is said in plain words by channel_check(), stops nothing but the
# channel, and is over when it is mended.  A key that somebody pastes into a
# configuration goes nowhere: not into a table, the WAL, a dump or the log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Secrets;
use Test::More;

my $rx = Refundx->new('main', settings => { 'wal_level' => 'logical' });
my $config = $rx->sandbox->channel_config;
my $keys = $rx->node->basedir . '/keys';
my $secrets = Refundx::Secrets->new;
my $key_pem = slurp_file($rx->sandbox->key_directory . '/apiclient_key.pem');
my $apiv3 = slurp_file($rx->sandbox->key_directory . '/apiv3.key');

mkdir $keys, 0700;
put($_, slurp_file($rx->sandbox->key_directory . "/$_")) foreach map { m{([^/]+)$} } glob $rx->sandbox->key_directory . '/*';
$rx->set('refundx.key_directory' => $keys);

sub put
{
	my ($name, $text) = @_;

	unlink "$keys/$name";
	append_to_file("$keys/$name", $text);
	chmod 0600, "$keys/$name";
	return;
}

sub check { return $rx->sql("SELECT level, item, finding FROM refundx.channel_check('wx')") }

sub reload { return $rx->set('refundx.batch_size' => 100 + ++(our $reloads)) }

my $n = 0;

# Tests: with this mistake channel_check says that, nothing is sent by a
# dispatcher that has just started, and without it the refund goes out.
sub mistake
{
	my ($what, $make, $finding, $mend) = @_;
	my $no = 'R' . ++$n;

	$make->();
	like(check(), $finding, "$what: channel_check says so");
	my $log = -s $rx->node->logfile;
	$rx->node->restart;
	$rx->payment("P$n", 10000);
	$rx->refund("P$n", $no, 600);
	ok($rx->poll(q{SELECT problem IS NOT NULL OR state = 'up' FROM refundx.worker_status() WHERE kind = 'dispatcher'}),
		"$what: the dispatcher lives");
	ok(Refundx::wait_for(
			sub { slurp_file($rx->node->logfile, $log) =~ /WARNING:  refundx: channel "wx": / }, 'a warning'),
		"$what: the log says what the channel lacks");
	is($rx->sql("SELECT state, attempts FROM refundx.refunds WHERE refund_no = '$no'"), 'queued|0', "$what: the refund waits, unsent");
	$mend->();
	unlike(check(), qr/^error\|(?:private_key|apiv3_key|wechat_keys|use_key)/m, "$what: channel_check is content when it is mended");
	reload();
	$rx->wait_state($no, 'succeeded', "$what: after a reload the refund goes out");
	return;
}

mistake(
	'a file that others may read',
	sub { chmod 0640, "$keys/apiclient_key.pem" },
	qr/^error\|private_key\|.*"apiclient_key.pem" has mode 0640, which lets others use it; run: chmod 0600/m,
	sub { chmod 0600, "$keys/apiclient_key.pem" });
mistake(
	'an APIv3 key that all may read',
	sub { chmod 0644, "$keys/apiv3.key" },
	qr/^error\|apiv3_key\|.*"apiv3.key" has mode 0644/m,
	sub { chmod 0600, "$keys/apiv3.key" });
mistake(
	'a public key that others may change',
	sub { chmod 0666, "$keys/wechat_pub_key.pem" },
	qr/^error\|wechat_keys\|.*"wechat_pub_key.pem" has mode 0666, which lets others change it; run: chmod go-w/m,
	sub { chmod 0600, "$keys/wechat_pub_key.pem" });
mistake(
	'a file that is not there',
	sub { rename "$keys/apiclient_key.pem", "$keys/elsewhere" },
	qr/^error\|private_key\|.*there is no file "apiclient_key.pem" in the key directory/m,
	sub { rename "$keys/elsewhere", "$keys/apiclient_key.pem" });
mistake(
	'a link to nowhere',
	sub { unlink "$keys/apiv3.key"; symlink '/nonexistent/apiv3.key', "$keys/apiv3.key" },
	qr/^error\|apiv3_key\|.*there is no file "apiv3.key"/m,
	sub { put('apiv3.key', $apiv3) });
mistake(
	'a directory in the place of a file',
	sub { unlink "$keys/apiv3.key"; mkdir "$keys/apiv3.key" },
	qr/^error\|apiv3_key\|.*"apiv3.key" is not a regular file/m,
	sub { rmdir "$keys/apiv3.key"; put('apiv3.key', $apiv3) });
mistake(
	'an empty file',
	sub { put('apiclient_key.pem', '') },
	qr/^error\|private_key\|.*"apiclient_key.pem" cannot be used/m,
	sub { put('apiclient_key.pem', $key_pem) });
mistake(
	'a file that is far too large',
	sub { put('apiv3.key', 'x' x 1_000_000) },
	qr/^error\|apiv3_key\|.*is 1000000 bytes long; a key is never over/m,
	sub { put('apiv3.key', $apiv3) });
mistake(
	'the public key in the place of the private one',
	sub { put('apiclient_key.pem', slurp_file("$keys/wechat_pub_key.pem")) },
	qr/^error\|private_key\|.*cannot be used/m,
	sub { put('apiclient_key.pem', $key_pem) });
mistake(
	'no key directory',
	sub { rename $keys, "$keys.away" },
	qr/^error\|private_key\|.*the key directory .* does not exist/m,
	sub { rename "$keys.away", $keys });

# A pipe is opened without waiting for whoever writes.
unlink "$keys/apiv3.key";
POSIX::mkfifo("$keys/apiv3.key", 0600);
like(check(), qr/^error\|apiv3_key\|.*"apiv3.key" is not a regular file/m, 'a pipe is refused, and not waited for');
put('apiv3.key', $apiv3);

# Somebody else's file: an ordinary user cannot make one, but there may be one.
my ($foreign) = grep { -f $_ && -r _ && (stat _)[4] != $> && (stat _)[4] != 0 } glob '/var/cache/man/* /var/lib/*/* /var/spool/*/*';
SKIP:
{
	skip 'no file of another user to look at', 1 unless $foreign;
	unlink "$keys/apiv3.key";
	symlink $foreign, "$keys/apiv3.key";
	like(check(), qr/^error\|apiv3_key\|.*belongs to user \d+; it must belong to the server's user/m,
		"a file of another user is refused");
	put('apiv3.key', $apiv3);
}

# ---- names that lead out of the directory ----

foreach my $name ('../keys/apiclient_key.pem', '/etc/passwd', '.hidden', "a\nb")
{
	$rx->call('channel_set', name => 'wx', config => jsonb({ private_key => $name }));
	like(check(), qr/^error\|private_key\|.*named without its directory/m, 'a name with a path in it is refused');
}
$rx->call('channel_set', name => 'wx', config => jsonb({ private_key => $config->{private_key} }));
unlike(check(), qr/^error/m, 'all is well again');

sub jsonb { return \(Refundx::literal(Refundx::to_json($_[0])) . '::jsonb') }

# ---- the key that seals whom withdrawals pay ----

sub payee_key
{
	return $rx->sql("SELECT level, finding FROM refundx.channel_check('wx') WHERE item = 'payee key'");
}

my $payee_key = slurp_file("$keys/payee.key");
my $cannot = qr/error\|whom withdrawals pay cannot be sealed: /;
my $how = qr/umask 077; openssl rand -hex 32 > payee\.key$/;

is(payee_key(), 'ok|"payee.key" seals whom withdrawals pay', 'channel_check: payees can be sealed');
unlink "$keys/payee.key";
like(payee_key(), qr/^${cannot}there is no file "payee.key" in the key directory .*$how/, 'its file is not there');
put('payee.key', $payee_key);
chmod 0644, "$keys/payee.key";
like(payee_key(), qr/^$cannot.*mode 0644.*chmod 0600.*$how/, 'others may read it');
put('payee.key', substr($payee_key, 1));
like(payee_key(), qr/^$cannot.*does not hold 64 hex digits.*$how/, 'it is too short');
unlike(payee_key(), qr/\Q@{[ substr($payee_key, 1, 20) ]}\E/, 'and is not repeated');
put('payee.key', pack('H*', $payee_key =~ s/\s//gr));
is(payee_key(), 'ok|"payee.key" seals whom withdrawals pay', 'raw bytes will do');
$rx->set('refundx.payee_keys' => 'new.key, payee.key');
like(payee_key(), qr/^${cannot}there is no file "new.key".*> new\.key\nok\|"payee.key" opens what it has sealed$/,
	'a new one that is not there yet');
put('new.key', 'cd' x 32);
unlink "$keys/payee.key";
like(payee_key(), qr/^ok\|"new.key" seals .*\nwarning\|what an older key has sealed cannot be opened: there is no file "payee.key"/,
	'an old one that is gone');
$rx->set('refundx.payee_keys' => '');
is(payee_key(), 'error|whom withdrawals pay cannot be sealed: refundx.payee_keys names no key file', 'none is named');
$rx->set('refundx.payee_keys' => join(',', 'new.key', ('payee.key') x 8));
put('payee.key', $payee_key);
like(payee_key(), qr/(?:\nok\|[^\n]*){7}\nwarning\|"payee.key" is not read: only the first 8 of refundx.payee_keys are$/,
	'too many');
$rx->set('refundx.payee_keys' => 'payee.key');
$rx->call('channel_set', name => 'wx', config => jsonb({ transfer => undef }));
is(payee_key(), '', 'a channel without transfers needs none');
$rx->call('channel_set', name => 'wx', config => jsonb({ transfer => $config->{transfer} }));

# ---- a key that is pasted ----

# Also with a server that logs whatever fails: an error of ours hides its
# statement.  (What log_statement prints before anything of ours has run is
# whoever turns it on to answer for.)
my @pasted = (
	[ 'the private key', private_key => $key_pem ],
	[ 'its base64 alone', private_key => join('', grep { !/-----/ } split /\s+/, $key_pem) ],
	[ 'the APIv3 key', apiv3_key => $apiv3 ],
	[ 'the APIv3 key in a list', apiv3_key => [ 'apiv3.key', $apiv3 ] ],
	[ 'the private key as a wechat key', wechat_keys => { PUB_KEY_ID_1 => $key_pem } ],
	[ 'the private key on the wrong side', $key_pem => 'private_key' ],
	[ 'the APIv3 key on the wrong side', $apiv3 => 'apiv3_key' ],
	[ 'the private key where a URL belongs', base_url => $key_pem ],
	[ 'the private key as a serial', merchant_serial => $key_pem ],
	[ 'the private key in a setting that is not known', comment => $key_pem ]);

$secrets->add_text($_) foreach $key_pem, $apiv3;
is($rx->sql('SHOW log_min_error_statement'), 'error', 'the log has the statements of errors');
foreach my $case (@pasted)
{
	my ($what, $name, $value) = @$case;
	my $arguments = "'%s', config => " . ${ jsonb({ %$config, $name => $value }) };

	foreach my $call (
		'refundx.channel_add(' . sprintf($arguments, 'new') . ", kind => 'wechat')",
		'refundx.channel_set(' . sprintf($arguments, 'wx') . ')')
	{
		my ($rc, $out, $err) = $rx->node->psql('shop', "SELECT $call", extra_params => [ '-v', 'VERBOSITY=verbose' ]);

		# psql's own echo of the line is not the server's
		$err =~ s/^LINE \d+:.*//ms;
		isnt($rc, 0, "$what: " . substr($call, 8, 11) . ' is refused');
		like($err, qr/ERROR:  RX011: /, '... as a mistake in the configuration');
		is($secrets->count_in($err), 0, '... in words that do not repeat it');
	}
}
is($rx->sql("SELECT count(*) FROM refundx.channels WHERE name = 'new'"), 0, 'nothing was added');
my $sms = $rx->sandbox->sms_config;
my $sms_key = slurp_file("$keys/sms_access_key");
$secrets->add_text($sms_key);
like($rx->sql_error('SELECT ' . Refundx::call_text('notice_provider_add', name => 'sms', kind => 'aliyun',
			config => jsonb({ %$sms, access_key_secret => $key_pem }))),
	qr/^RX011 /, "an SMS provider's is refused too");

# So is the key of payees: it would be told to whoever submits a withdrawal.  (The
# statement of a setting that is refused is the server's to log, and stays out here.)
$secrets->add_text($payee_key);
foreach my $value ($payee_key =~ s/\s//gr, 'payee.key,' . uc($payee_key =~ s/\s//gr))
{
	my ($rc, $out, $err) = $rx->node->psql('shop',
		"SET log_min_error_statement = fatal;\nALTER SYSTEM SET refundx.payee_keys = '$value'");

	$err =~ s/^LINE \d+:.*//ms;
	like($err, qr/invalid value for parameter "refundx.payee_keys"/, 'the key of payees is refused as its own name');
	is($secrets->count_in($err), 0, '... in words that do not repeat it');
}
is($rx->sql('SHOW refundx.payee_keys'), 'payee.key', 'and nothing is changed');

# With it, the key is used as ever.
$rx->payment('LAST', 10000);
$rx->refund('LAST', 'LAST', 600);
$rx->wait_state('LAST', 'succeeded', 'the channel works as ever');
$rx->ledger_ok('at the end');
$rx->check_ok('at the end');
nowhere($rx, $secrets, 'after keys were pasted');
cmp_ok(scalar(found_in($rx->node->data_dir . '/base', 'wechat_pub_key.pem')), '>', 0,
	'the search would find it: the name of a key file is in a table');

done_testing();
