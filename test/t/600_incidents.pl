# What goes wrong: one row, and one line in the log with the same id, which speaks
# of what is committed and of nothing else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Workers;
use Test::More;

my $rx = Refundx->new('incidents');
my $begin = -s $rx->node->logfile;

sub lines
{
	my ($like) = @_;
	return grep { /refundx: incident \d+: $like/ } split /\n/, slurp_file($rx->node->logfile, $begin);
}

sub line_comes
{
	my ($like, $what) = @_;
	return ok(Refundx::wait_for(sub { scalar lines($like) }), $what);
}

# Of transactions that began before it: theirs have come, or never will.
sub all_logged
{
	my $id = $rx->sql("SELECT refundx.incident_add('marker', 'x', 'y')");
	line_comes("marker: x; done: y; by \\S+", "incident $id is logged");
	return;
}

# ---- from a row ----

$rx->payment('P1', 1000);
$rx->refund('P1', 'R1', 1000);
$rx->wait_state('R1', 'succeeded');
my $r1 = $rx->sql("SELECT instruction_id FROM refundx.instruction WHERE instruction_no = 'R1'");
my $id = $rx->sql("SELECT refundx.incident_add('test', E'call 13800138000,\\n card 4111 1111 1111 1111, key whsec_abcdef', 'told \"bob\"', $r1, 'webhook shop', '22012')");
line_comes("test, refund R1, webhook shop: call 138\\*\\*\\*\\*8000,  card \\*\\*\\*\\* \\*\\*\\*\\* \\*\\*\\*\\* 1111, key whsec_\\*\\*\\*\\*\\*\\*; done: told \"bob\"; by",
	'the line names what it is about, and masks what may not be shown');
like((lines('test'))[0], qr/WARNING:  refundx: incident $id: /, 'it is a warning with the id of the row');
is($rx->sql("SELECT kind, about, number, subject, sqlstate, reason, done, by_user = session_user, actor IS NULL
		FROM refundx.incidents WHERE incident_id = $id"),
	'test|refund|R1|webhook shop|22012|call 138****8000,  card **** **** **** 1111, key whsec_******|told "bob"|t|t', 'the row says the same');
my $long = $rx->sql("SELECT refundx.incident_add('long', repeat('退款', 500), repeat('x', 500), $r1, repeat('s', 500))");
line_comes('long', 'a long story');
cmp_ok(length((lines('long'))[0]), '<', 1000, 'is one short line');

# ---- what is rolled back is not told ----

$rx->sql("BEGIN; SELECT refundx.incident_add('rolled_back', 'x', 'y'); ROLLBACK");
$rx->sql("BEGIN; SAVEPOINT s; SELECT refundx.incident_add('savepoint', 'x', 'y'); ROLLBACK TO s;
	SELECT refundx.incident_add('kept', 'x', 'y'); COMMIT");
$rx->sql("BEGIN; SELECT refundx.incident_add('prepared', 'x', 'y'); PREPARE TRANSACTION 'late'");
line_comes('kept', 'what a savepoint did not take back is told');
all_logged();
is(scalar(lines('rolled_back|savepoint|prepared')), 0, 'what was rolled back, or is only prepared, is not');
$rx->sql("COMMIT PREPARED 'late'");
line_comes('prepared', 'the prepared one is told once it is committed');

# ---- a crash loses none ----

$rx->sql('ALTER ROLE refundx_courier NOLOGIN');
$rx->sql('SELECT pg_terminate_backend(' . $rx->worker_pid('courier') . ')');
$rx->poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'refundx courier%'");
$rx->sql("SELECT refundx.incident_add('courier_away', 'x', 'y')");
$rx->sql('ALTER ROLE refundx_courier LOGIN');
line_comes('courier_away', 'what came while there was no courier is told by the next');
is(scalar(lines('test')), 1, 'and what was told before is not told again');
$rx->crash_and_start;
all_logged();
is(scalar(lines('courier_away')), 1, 'also after a crash of the server');

# ---- what refundx itself keeps ----

$rx->call('notice_provider_add', name => 'sms', kind => 'aliyun', config => Refundx::to_json($rx->sandbox->sms_config));
$rx->sql(q{SELECT refundx.notice_template_set('succeeded', '*', 'sms', '{"sign": "refundx", "code": "SMS_100", "params": {"no": "refund_no"}}')});
$rx->payment('P2', 1000, contact => '13800139003');
$rx->refund('P2', 'R2', 1000);
line_comes('notice_given_up, refund R2: the message "succeeded" was not sent: ', 'a message that is given up');
is((lines('.*1380013'))[0], undef, 'without the number');

is_deeply([ grep { !/^(marker|test|long|kept|prepared|courier_away|notice_given_up)$/ } split /\n/,
		$rx->sql('SELECT DISTINCT kind FROM refundx.incidents') ], [], 'nothing else went wrong');
like($rx->sql_error('UPDATE refundx.incident SET reason = reason'), qr/^RX015/, 'nobody rewrites it');
$rx->stop;
done_testing();
