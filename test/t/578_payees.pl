# Whom a withdrawal pays is nobody else's business: not the log's, not a view's, not a
# dump's; and some time after its end not ours any more.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Encode qw(encode_utf8);
use IPC::Run ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main', settings => { log_error_verbosity => 'verbose', log_min_messages => 'info' });
my $rx = $all->rx;
my $sandbox = $all->sandbox;
my $keys = $rx->sql('SHOW refundx.key_directory');

$rx->sql('CREATE ROLE boss LOGIN IN ROLE refundx_operator');

# ---- what must not be found ----

my %payee = (
	openid => { openid => 'oMARKEROPENID0123456789abcde', name => '诸葛孔明' },
	plain => { openid => 'oMARKERNONAME0123456789abcde' },
	card => { card_no => '6228480402564890018', name => '司马仲达', inst_name => '中国农业银行', account_type => 'personal' },
	user => { user_id => '2088987698769876', name => '欧阳修竹' },
	logon => { logon_id => '13987654321', name => '上官婉儿' });
my $phone = '13712345678';
my @secrets = ($phone, map { my $p = $_; map { $p->{$_} // () } qw(openid card_no name user_id logon_id) } values %payee);

# As it is, in hex, and in base64 wherever a text can begin in one.
sub spellings
{
	my ($secret) = @_;
	my $bytes = encode_utf8($secret);
	my @found = ($bytes, unpack('H*', $bytes));

	foreach my $shift (0 .. 2)
	{
		my $text = encode_base64(('x' x $shift) . $bytes, '');
		# without what depends on its neighbours
		push @found, substr($text, $shift ? 4 : 0, -4) if length $bytes > 8;
	}
	(my $quoted = $bytes) =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;
	return (@found, $quoted);
}

# Which of the secrets the bytes have.
sub found
{
	my ($bytes) = @_;
	return join ' ', grep { my $s = $_; grep { index($bytes, $_) >= 0 } spellings($s) } @secrets;
}

sub dump_of
{
	my ($dump) = ('');
	IPC::Run::run([ 'pg_dump', '--data-only', '-d', $rx->node->connstr($rx->database) ], '>', \$dump)
	  or die 'pg_dump failed';
	return $dump;
}

# Everything that can be read in the schema, as text.
sub all_rows
{
	my $text = '';
	foreach my $relation (split /\n/, $rx->sql(q{SELECT c.oid::regclass FROM pg_class c
		WHERE relnamespace = 'refundx'::regnamespace AND relkind IN ('r', 'v', 'm')}))
	{
		$text .= $rx->sql("SELECT t::text FROM $relation t") . "\n";
	}
	foreach my $no (split /\n/, $rx->sql(q(SELECT withdrawal_no FROM refundx.withdrawals)))
	{
		$text .= $rx->sql("SELECT * FROM refundx.withdraw_timeline('$no'); SELECT refundx.withdraw_explain('$no'),
			refundx.withdraw_get('$no')") . "\n";
	}
	utf8::encode($text) if utf8::is_utf8($text);
	return $text;
}

# Tests: nowhere but where it must be, the phone number in its own table.
sub nowhere
{
	my ($what) = @_;
	my $dump = dump_of();
	my $rows = all_rows();
	my $log = slurp_file($rx->node->logfile);

	# the search finds what is there
	cmp_ok(index($dump, 'oMAR****bcde'), '>', 0, "$what: masked it is in the dump") if $rx->sql(
		"SELECT count(*) FROM refundx.payout WHERE payee_masked LIKE '%oMAR%'");
	s/\Q$phone\E\t[^\n]*//g, s/\(\d+,\Q$phone\E,[^\n]*//g foreach $dump, $rows;
	is(found($dump), '', "$what: not in a dump");
	is(found($rows), '', "$what: not in a table or a view");
	is(found($log), '', "$what: not in the log");
	return;
}

# A withdrawal to one of them; what the call said.
sub submit
{
	my ($own, $who, $amount, %more) = @_;
	my $channel = $payee{$who}{openid} ? 'wechat' : 'alipay';
	return $all->as($rx->sql('SELECT current_user'), 'SELECT (' . $all->text($channel, $own, $amount, payee => $payee{$who}, %more) . ').state');
}

is(found('x' . encode_base64(encode_utf8('{"name":"诸葛孔明"}'), '')), '诸葛孔明', 'the search knows base64');
is(found(unpack('H*', 'a 6228480402564890018 b')), '6228480402564890018', 'and hex');

# ---- everything that can become of one ----

my @outcomes = (0, 9001, 9002, 9003, 9007, 9008, 9010, 9011, 9013, 9015, 9023, 9308, 9310);
foreach my $who (sort keys %payee)
{
	foreach my $magic (@outcomes)
	{
		is(submit("W$who$magic", $who, 10000 + $magic, contact => $phone), 'queued', "$who, $magic");
	}
}
is(submit('Wcancel', 'openid', 19307), 'queued');
is(submit('Wbounce', 'card', 19311), 'queued');
$rx->wait_state('Wcancel', 'accepted');
$rx->sql("SELECT refundx.withdraw_cancel('Wcancel')");
ok($rx->poll("SELECT detail = 'CANCELING' FROM refundx.instruction WHERE instruction_no = 'Wcancel'"), 'one is being canceled');
$sandbox->ctl('settle', 'Wcancel', 'CANCELLED');
drained($rx, 'whatever becomes of them');
nowhere('after all that');
is($all->shown('Wopenid0', 'payee'), encode_utf8('openid oMAR****bcde, 诸**'), 'people see so much of an openid');
is($all->shown('Wplain0', 'payee'), 'openid oMAR****bcde', 'and of one without a name');
unlike($all->shown("W${_}0", 'payee'), qr/\d{9}/, "$_: and less of a number: " . $all->shown("W${_}0", 'payee')) foreach qw(card user logon);

# ---- what is wrong with a payee is said without a word of it ----

my @bad = (
	[ 'wechat', '{"openid": "MARKER1 is no openid"}' ],
	[ 'wechat', '{"MARKER2": "x"}' ],
	[ 'wechat', '["MARKER3"]' ],
	[ 'wechat', '"MARKER4"' ],
	[ 'wechat', '{"openid": "oMARKEROPENID0123456789abcde", "name": "' . 'MARKER5' x 20 . '"}' ],
	[ 'wechat', '{"openid": "oMARKEROPENID0123456789abcde", "appid": "MARKER6 no"}' ],
	[ 'wechat', '{"openid": {"MARKER7": 1}}' ],
	[ 'alipay', '{"card_no": "MARKER8", "name": "MARKER9"}' ],
	[ 'alipay', '{"card_no": "6228480402564890019", "name": "MARKERA"}' ],
	[ 'alipay', '{"6228480402564890018": "card_no"}' ],
	[ 'alipay', '{"user_id": "MARKERB"}' ],
	[ 'alipay', '{"logon_id": "MARKERC@", "name": "MARKERD"}' ],
	[ 'alipay', '{"user_id": "2088987698769876", "bank_code": "MARKERE"}' ],
	[ 'alipay', '{"card_no": "6228480402564890018", "user_id": "MARKERF"}' ],
	[ 'alipay', '{"card_no": "6228480402564890018", "name": "x", "account_type": "MARKERG"}' ]);

foreach my $bad (@bad)
{
	my ($channel, $json) = @$bad;
	my ($rc, $out, $err) = $rx->node->psql($rx->database,
		"SELECT refundx.withdraw_submit('A', 'BAD', 1000, '$channel', " . Refundx::literal($json) . '::jsonb)',
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($err, qr/ERROR:  RX010/, "refused: $channel");
	unlike($err, qr/MARKER|62284804025648900/, 'without a word of it') || diag($err);
}
my ($rc, $out, $err) = $rx->node->psql($rx->database,
	'SELECT ' . $all->text('wechat', 'Wopenid0', 10000, payee => { openid => 'oMARKERANOTHER23456789abcdef' }),
	extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($err, qr/ERROR:  RX003.*already taken/, 'another payee under a number that is taken');
like($err, qr/it pays somebody else/, 'with the reason');
unlike($err, qr/oMARKER/, 'and without who');
($rc, $out, $err) = $rx->node->psql($rx->database,
	'SELECT ' . $all->text('wechat', 'BADPHONE', 1000, payee => $payee{openid}, contact => 'MARKERPHONE'));
unlike($err, qr/MARKER/, 'a telephone number that is none is not said, either');
isnt($rc, 0, 'and refused');
unlike(slurp_file($rx->node->logfile), qr/MARKER|62284804025648900/, 'nor is any of it in the log');
is($rx->sql("SELECT count(*) FROM refundx.instruction WHERE instruction_no LIKE 'BAD%'"), 0, 'nothing is there');

# ---- the key ----

sub without_dispatch
{
	my ($code) = @_;
	$rx->set('refundx.dispatch' => 'off');
	$rx->poll("SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'") or die;
	$code->();
	$rx->set('refundx.dispatch' => 'on');
	return;
}

# The dispatcher, without what it remembers.
sub new_dispatcher
{
	my $pid = $rx->worker_pid('dispatcher');
	$rx->sql("SELECT pg_terminate_backend($pid)");
	return ok($rx->poll("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type LIKE 'refundx dispatcher%' AND pid <> $pid"),
		'another dispatcher');
}

subtest 'no key, no withdrawal' => sub {
	my $before = $all->balance;
	my %wrong = (
		'is missing' => sub { rename "$keys/payee.key", "$keys/payee.away" },
		'can be read by others' => sub { chmod 0644, "$keys/payee.key" },
		'is no key' => sub { unlink "$keys/payee.key"; Refundx::Withdrawals::payee_key($rx, 'payee.key', 'zz' x 32) });

	foreach my $how (sort keys %wrong)
	{
		rename "$keys/payee.key", "$keys/payee.saved" if $how eq 'is no key';
		$wrong{$how}->();
		like(submit('NOKEY', 'openid', 1000), qr/^RX011 whom to pay cannot be sealed/, "a key file that $how");
		rename "$keys/payee.away", "$keys/payee.key" if -f "$keys/payee.away";
		rename "$keys/payee.saved", "$keys/payee.key" if -f "$keys/payee.saved";
		chmod 0600, "$keys/payee.key";
	}
	$rx->set('refundx.payee_keys' => '');
	like(submit('NOKEY', 'openid', 1000), qr/^RX011 .*names no key file/, 'nor without a name');
	$rx->set('refundx.payee_keys' => 'payee.key');
	is($all->balance, $before, 'nothing is frozen');
	is($rx->state('NOKEY'), '', 'nothing is there');
	is(submit('KEYISBACK', 'openid', 10000), 'queued', 'with it everything is well');
	$all->ends('KEYISBACK', 'succeeded');
};

subtest 'the key is gone before it was sent' => sub {
	without_dispatch(sub {
		is(submit('ORPHAN', 'openid', 10000), 'queued', 'it is queued');
		rename "$keys/payee.key", "$keys/payee.away" or die;
		new_dispatcher();
	});
	ok($rx->poll("SELECT coalesce(person_reason LIKE 'cannot be put into a request: %', false) FROM refundx.instruction
		WHERE instruction_no = 'ORPHAN'"), 'people are told that it cannot be sent') || diag($rx->story('ORPHAN'));
	like($rx->sql("SELECT refundx.withdraw_explain('ORPHAN')"), qr/cannot be put into a request/, 'and why');
	is($rx->sql("SELECT count(*) FROM refundx.desk WHERE subject = 'ORPHAN'"), 1, 'it is on the list of what people have to do');
	is($rx->state('ORPHAN'), 'queued', 'it waits');
	is(sent_times($rx, 'ORPHAN'), 0, 'unsent');
	is($rx->sql("SELECT attempts FROM refundx.instruction WHERE instruction_no = 'ORPHAN'"), 0, 'and unattempted');
	# refunds have no payee to seal
	$all->pay('wechat', 'RORPHAN');
	$all->refund('wechat', 'RORPHAN', 'RORPHAN', 700);
	$rx->wait_state('RORPHAN', 'succeeded', 'refunds go on');
	rename "$keys/payee.away", "$keys/payee.key" or die;
	$all->ends('ORPHAN', 'succeeded');
};

subtest 'a key is replaced' => sub {
	my $new = { openid => 'oMARKEROPENIDNEW3456789abcde' };

	$all->policy('wechat', { approve_new_payee => JSON::PP::true });
	without_dispatch(sub {
		is(submit('OLD', 'openid', 10000), 'queued', 'a known payee');
		$all->policy('wechat', undef);
		is(submit('OLDOPEN', 'openid', 19003), 'queued', 'and one that is to be sent twice');
		Refundx::Withdrawals::payee_key($rx, 'new.key', 'cd' x 32);
		$rx->set('refundx.payee_keys' => 'new.key, payee.key');
		$all->policy('wechat', { approve_new_payee => JSON::PP::true });
		is(submit('AFTER', 'openid', 10000), 'queued', 'whom the old key knew is not new');
		is($rx->sql("SELECT count(DISTINCT key_print), count(DISTINCT payee_id) FROM refundx.payout JOIN refundx.instruction USING (instruction_id)
			WHERE instruction_no IN ('OLD', 'AFTER')"), '2|1', 'though it is sealed with the new one');
		is($rx->sql('SELECT (' . $all->text('wechat', 'STRANGER', 10000, payee => $new) . ').state'), 'awaiting_approval', 'a stranger is');
		is(submit('OLD', 'openid', 10000), 'queued', 'the same call again finds the one before');
	});
	$all->ends($_, 'succeeded') foreach qw(OLD OLDOPEN AFTER);
	cmp_ok(sent_times($rx, 'OLDOPEN'), '>', 1, 'what the old key had sealed is sent, and again');
	$rx->sql("SELECT refundx.withdraw_cancel('STRANGER')");
	$all->policy('wechat', undef);
	# without the old one, the rest goes on
	$rx->set('refundx.payee_keys' => 'new.key');
	rename "$keys/payee.key", "$keys/payee.away";
	is(submit('NEWONLY', 'openid', 10000), 'queued');
	$all->ends('NEWONLY', 'succeeded');
	rename "$keys/payee.away", "$keys/payee.key";
	$rx->set('refundx.payee_keys' => 'new.key, payee.key');
};

subtest 'nothing is put in another\'s place' => sub {
	without_dispatch(sub {
		is(submit("SWAP$_", 'openid', 10000), 'queued') foreach 1, 2;
		$rx->sql(q{UPDATE refundx.payout o SET key_print = p.key_print, data_key = p.data_key, payee_sealed = p.payee_sealed
			FROM refundx.payout p, refundx.instruction i, refundx.instruction j
			WHERE i.instruction_no IN ('SWAP1', 'SWAP2') AND j.instruction_no IN ('SWAP1', 'SWAP2') AND i.instruction_no <> j.instruction_no
			  AND o.instruction_id = i.instruction_id AND p.instruction_id = j.instruction_id});
	});
	ok($rx->poll("SELECT count(*) = 2 FROM refundx.instruction WHERE instruction_no LIKE 'SWAP_'
		AND person_reason LIKE 'cannot be put into a request: whom to pay does not open with its key%'"),
		'what was sealed for another opens nothing');
	is(sent_times($rx, $_), 0, "$_ is not sent") foreach 'SWAP1', 'SWAP2';
	is($rx->state($_), 'queued', 'and waits') foreach 'SWAP1', 'SWAP2';
	is($rx->sql("SELECT (refundx.withdraw_cancel('$_')).state"), 'canceled', 'until somebody cancels it') foreach 'SWAP1', 'SWAP2';
};

# ---- forgotten ----

subtest 'forgotten when asked for' => sub {
	my $sealed = q{SELECT count(*) FROM refundx.payout o JOIN refundx.payee p USING (payee_id) WHERE payee_id =
		(SELECT payee_id FROM refundx.payout JOIN refundx.instruction USING (instruction_id) WHERE instruction_no = 'Wuser0')};
	my $of = $rx->sql($sealed);
	my $prints = "SELECT string_agg(encode(fingerprint, 'hex'), ' ' ORDER BY payee_id) FROM refundx.payee";
	my @prints = split / /, $rx->sql($prints);
	my $open;

	cmp_ok($of, '>', 5, 'there are some to this payee');
	# one of them is open
	$sandbox->ctl('pause-callbacks', 'on');
	is(submit('OPENUSER', 'user', 19018, contact => $phone), 'queued');
	$rx->wait_state('OPENUSER', 'sending');
	is($rx->sql("SELECT refundx.forget_payee('Wuser0', 'asked for it')"), $of, 'the finished ones are forgotten');
	is($rx->sql("SELECT payee_masked IS NULL, data_key IS NULL, payee_sealed IS NULL, erased_at IS NOT NULL
		FROM refundx.payout JOIN refundx.instruction USING (instruction_id) WHERE instruction_no = 'Wuser0'"), 't|t|t|t', 'wholly');
	is($rx->sql("SELECT count(*) FROM refundx.payout_contact JOIN refundx.instruction USING (instruction_id)
		WHERE instruction_no LIKE 'Wuser%'"), 0, 'with their telephone numbers');
	is($all->shown('OPENUSER', 'payee IS NOT NULL'), 't', 'the open one keeps what it needs');
	$sandbox->ctl('release', 'all');
	$sandbox->ctl('pause-callbacks', 'off');
	$all->ends('OPENUSER', 'succeeded');
	is($rx->sql("SELECT refundx.forget_payee('OPENUSER', 'again')"), 1, 'now that one too');
	my @now = split / /, $rx->sql($prints);
	is((grep { $prints[$_] ne $now[$_] } 0 .. $#prints), 1, 'and nobody knows the payee any more');
	is($rx->sql("SELECT refundx.forget_payee('OPENUSER', 'once more')"), 0, 'there is nothing left to forget');
	like($rx->sql_error("SELECT refundx.forget_payee('OPENUSER', '')"), qr/^22023 /, 'a reason must be given');
	is($rx->sql("SELECT count(*) FROM refundx.audit_log WHERE action = 'forget_payee'"), 2, 'who forgot it is on record');
	# word of it that comes later is weighed as ever
	my $acknowledged = $sandbox->ctl('stats')->{callbacks}{acknowledged};
	$sandbox->ctl('callback', 'OPENUSER', 1);
	ok(Refundx::wait_for(sub { $sandbox->ctl('stats')->{callbacks}{acknowledged} > $acknowledged }, 'ack'), 'a late message is taken');
	is(submit('Wuser0', 'user', 10000, contact => $phone), 'succeeded', 'the same call again finds it');
	$all->ends('OPENUSER', 'succeeded');
	$rx->check_ok('after forgetting');
};

subtest 'forgotten after some time' => sub {
	my $open = $all->start('wechat', 'STAYS', 19004, payee => $payee{openid}, contact => $phone);
	my $unapproved;
	my $kept = "FROM refundx.payout JOIN refundx.instruction USING (instruction_id) WHERE instruction_no";

	$rx->wait_state($open, 'accepted');
	$all->policy('wechat', { approve_above => 30000 });
	$unapproved = $all->start('wechat', 'UNAPPROVED', 30001, payee => $payee{openid});
	is($rx->sql("SELECT count(*) $kept LIKE 'Wopenid%' AND erased_at IS NOT NULL"), 0, 'not before');
	$rx->set('refundx.payee_retention' => 2, 'refundx.clock_offset' => 3 * 86400);
	ok($rx->poll("SELECT bool_and(data_key IS NULL AND payee_sealed IS NULL AND erased_at IS NOT NULL) $kept LIKE 'Wopenid%'"),
		'the clerk forgets what is finished');
	is($rx->sql("SELECT count(*) FROM refundx.payout_contact JOIN refundx.instruction USING (instruction_id)
		WHERE instruction_no LIKE 'Wopenid%'"), 0, 'with the telephone numbers');
	is($all->shown('Wopenid0', 'payee'), encode_utf8('openid oMAR****bcde, 诸**'), 'but for what people see');
	is($rx->sql("SELECT data_key IS NOT NULL $kept = '$_'"), 't', "not what is open: $_") foreach $open, $unapproved;
	is($rx->sql("SELECT bool_or(data_key IS NULL) $kept = 'Wcard0'"), 'f', 'nor what may still come back');
	$all->policy('wechat', { approve_new_payee => JSON::PP::true });
	is(submit('KNOWN', 'openid', 10000), 'queued', 'who was paid is known all the same');
	$all->ends('KNOWN', 'succeeded');
	like($rx->sql("SELECT refundx.withdraw_explain('Wopenid0')"), qr/./, 'an erased one can be explained');
	# and what waited so long can still be paid
	$all->as('boss', "SELECT refundx.approve('$unapproved', 'at last')");
	$all->ends($unapproved, 'succeeded');
};

nowhere('at the end');
drained($rx, 'at the end', 'STAYSwechat');
sound($rx, 'at the end');
never_twice($rx);
$rx->stop;
done_testing();
