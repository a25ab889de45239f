# What is kept elsewhere: each day's statement over the seals, signed; the proof
# of one refund, which scripts that know nothing of refundx check; and what of the
# two is noticed when history is replaced, seals and all.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Workers;
use Test::More;

my $rx = Refundx->new('main',
	sandbox => [ '--speed', 60, '--callback-delay-ms', 20 ],
	settings => { 'refundx.clerk_interval' => '1s', 'refundx.background_checks' => 'off' });
my $keys = $rx->sandbox->key_directory;
my $public = $rx->node->basedir . '/seal_public.pem';
my $file = $rx->node->basedir . '/proof.json';
my $scripts = "$FindBin::Bin/../proof";
my $day = $rx->sql("SELECT (now() AT TIME ZONE 'UTC')::date");

sub run_command_ok { my ($command, $what) = @_; return ok(run_log($command), $what) }

# The proof of a number into the file, changed by whoever wants to.
sub proof
{
	my ($no, $change) = @_;
	my $text = $rx->sql('SELECT refundx.journal_proof(' . Refundx::literal($no) . ')');

	$text = $change->($text) if $change;
	open(my $fh, '>:raw', $file) or die $!;
	print $fh $text;
	close $fh;
	return $text;
}

# What a script says about the file: its output, '' if it does not believe it.
sub judged
{
	my ($script, @arguments) = @_;
	my ($out, $err) = ('', '');
	my @command = $script =~ /py$/ ? ('python3') : ('node');

	IPC::Run::run([ @command, "$scripts/$script", $file, @arguments ], '>', \$out, '2>', \$err) or return '';
	return $out;
}

my @scripts = ('verify.mjs', IPC::Run::run([ 'python3', '-c', 'import hashlib' ], '>', \my $ignored, '2>&1') ? ('verify.py') : ());

# ---- a refund, from an account whose name tries to look like something else ----

run_command_ok([ 'openssl', 'genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072', '-out', "$keys/seal.pem" ], 'a key');
run_command_ok([ 'openssl', 'pkey', '-in', "$keys/seal.pem", '-pubout', '-out', $public ], 'its public half');
chmod 0600, "$keys/seal.pem";
$rx->set('refundx.seal_key' => 'seal.pem');
$rx->sql("SELECT refundx.account_open('A 退 number=2:R9', 'CNY')");
$rx->sql("SELECT count(refundx.account_credit('A 退 number=2:R9', 100, i || '退款')) FROM generate_series(1, 300) i");
$rx->payment("P$_", 10000, account => 'A 退 number=2:R9') foreach 1 .. 3;
like($rx->sql_error("SELECT refundx.journal_proof('R1')"), qr/^RX012 /, 'a refund that there is not cannot be proven');
$rx->refund('P1', 'R1', 60);
$rx->wait_state('R1', 'succeeded');
$rx->payment('P9', 100);
$rx->refund('P9', 'R9', 100);
like($rx->sql_error("SELECT refundx.journal_proof('R9')"), qr/^RX040 .*no journal lines/, 'nor one without an account');
ok($rx->poll('SELECT sum(lines) = (SELECT count(*) FROM refundx.journal) FROM refundx.seal'), 'all is sealed');
like($rx->sql_error("SELECT refundx.seal_day('$day')"), qr/^RX040 the day is not over/, 'today is not over');

foreach my $script (@scripts)
{
	proof('R1');
	like(judged($script, 'R1'), qr/^freeze -60 60 CNY .*unsigned\n(?s:.*)pay_out 0 -60 CNY .*unsigned$/m, "$script: today's lines, not signed yet");
	is(judged($script, 'R9'), '', "$script: not another refund's");
	is(judged($script, 'R1', $public), '', "$script: who asks for a signature gets none today");
}

# ---- the day is over ----

$rx->set('refundx.clock_offset' => 86400);
ok($rx->poll("SELECT signed FROM refundx.day_seals WHERE day = '$day'"), 'the clerk makes the statement, and signs it');
my $kept = $rx->sql("SELECT refundx.seal_day('$day')");
like($kept, qr/"statement": "refundx day 1/, 'it can be had to be kept');
like($rx->sql('SELECT good, finding FROM refundx.seal_check(' . Refundx::literal($kept) . ')'), qr/^t\|history is the same up to seal/, 'history is what it says');
foreach my $script (@scripts)
{
	proof('R1');
	like(judged($script, 'R1', $public), qr/^freeze -60 60 CNY account A 退 number=2:R9 day $day signed\npay_out/, "$script: proven, and signed");
	foreach my $forged ([ 'd_available=-60', 'd_available=-61', 'an amount' ], [ 'refundx seal 1', 'refundx seal 2', 'a seal' ],
		[ "day=$day", 'day=2020-01-01', 'a statement' ], [ '"left"', '"right"', 'a way' ])
	{
		proof('R1', sub { $_[0] =~ s/\Q$forged->[0]\E/$forged->[1]/r });
		is(judged($script, 'R1', $public), '', "$script: $forged->[2] is forged: not believed");
	}
}
is(proof('R1') =~ tr/\n//, 0, 'it is one line');
cmp_ok(length proof('R1'), '<', 20000, 'and small');

# ---- more days; one without seals ----

$rx->set('refundx.clock_offset' => 2 * 86400);
ok($rx->poll("SELECT count(*) = 2 FROM refundx.day_seals"), 'a day without seals has a statement, too');
$rx->refund('P2', 'R2', 70);
$rx->wait_state('R2', 'succeeded');
ok($rx->poll("SELECT count(*) = 1 FROM refundx.sealed d JOIN refundx.journal j ON d.account_id = j.account_id AND j.version BETWEEN from_version AND to_version
	JOIN refundx.instruction i ON i.instruction_id = j.instruction_id WHERE i.instruction_no = 'R2' AND j.type = 'pay_out'"), 'R2 is sealed');
my $mark = log_mark($rx);
$rx->set('refundx.seal_key' => 'other.pem');
$rx->set('refundx.clock_offset' => 3 * 86400);
ok(Refundx::wait_for(sub { $rx->node->log_contains('cannot be signed with key file "other.pem"', $mark) }, 'it says so'), 'a key that is not there is told');
like($rx->sql_error("SELECT refundx.seal_day('$day'::date + 2)"), qr/^RX040 the day's statement cannot be signed/, 'to whoever asks, too');
is($rx->sql('SELECT count(*) FROM refundx.day_seals'), 2, 'and no statement is made without it');
$rx->set('refundx.seal_key' => 'seal.pem');
ok($rx->poll('SELECT count(*) = 3 AND bool_and(signed) FROM refundx.day_seals'), 'when it is there again it is made');
is($rx->sql('SELECT * FROM refundx.journal_verify()'), '', 'all of it verifies');
my $later = $rx->sql("SELECT refundx.seal_day('$day'::date + 2)");

# ---- the owner replaces history, seals and all ----

sub check_kept { return $rx->sql('SELECT good, from_seal, finding FROM refundx.seal_check(' . Refundx::literal($_[0]) . ')') }

$rx->set('refundx.clerk_interval' => '1d');
ok($rx->poll("SELECT state = 'idle' FROM refundx.worker_status() WHERE kind = 'clerk'"), 'the clerk rests');
my $last = $rx->sql('SELECT max(last_seal) FROM refundx.day_seals');
my $first = $rx->sql("SELECT last_seal + 1 FROM refundx.day_seals WHERE day = '$day'");
$rx->sql("ALTER TABLE refundx.$_ DISABLE TRIGGER USER") foreach qw(journal seal sealed day_seal);

# the statements that are here find that the seals are not what they were
my $replace = "DELETE FROM refundx.sealed WHERE seal_no >= $first; DELETE FROM refundx.seal WHERE seal_no >= $first;
	UPDATE refundx.journal SET note = 'forged' WHERE type = 'pay_out' AND instruction_id = (SELECT instruction_id FROM refundx.instruction WHERE instruction_no = 'R2');
	SELECT refundx.journal_seal();";
$rx->sql($replace);
like($rx->sql('SELECT string_agg(finding || detail, E\'\n\') FROM refundx.journal_verify()'), qr/chain broken.*statement of|seal missing.*the statement of/, 'seals made anew are not those of the statements');
# and without those nothing here does, but what was kept elsewhere
$rx->sql("DELETE FROM refundx.day_seal WHERE seal_no >= $first; SELECT refundx.seal_day('$day'::date + 2)");
is($rx->sql('SELECT * FROM refundx.journal_verify()'), '', 'statements made anew as well: nothing is to be seen here');
like(check_kept($kept), qr/^t\|/, 'the first day is still what it was');
like(check_kept($later), qr/^f\|$first\|history differs from seal $first on/, 'a statement that was kept says from where on it is not');
like(check_kept($later =~ s/"first|first=[0-9a-f]{4}/first=0000/r), qr/^f\|1\|the first seal is another/, 'another chain');
like($rx->sql_error(q{SELECT refundx.seal_check('{"statement": "x"}')}), qr/^22023 /, 'something else');

$rx->stop;
done_testing();
