# What others are told: a row of the outbox and a line of the log for each committed
# transition; a row and a line with the same id for each thing that went wrong.  They
# speak of what is committed and of nothing else, once each, whatever crashes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Workers;
use Test::More;

my $rx = Refundx->new('events', settings => { wal_level => 'logical' });
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

# How far it is, is kept once a second; what came since then may be told again.
sub kept
{
	my ($kind) = @_;
	return ok($rx->poll("SELECT pg_visible_in_snapshot(xid, (SELECT seen FROM refundx.relay)) FROM refundx.incident WHERE kind = '$kind'"),
		"it is kept that $kind was told");
}

kept('test');

$rx->sql('ALTER ROLE refundx_courier NOLOGIN');
$rx->sql('SELECT pg_terminate_backend(' . $rx->worker_pid('courier') . ')');
$rx->poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'refundx courier%'");
$rx->sql("SELECT refundx.incident_add('courier_away', 'x', 'y')");
$rx->sql('ALTER ROLE refundx_courier LOGIN');
line_comes('courier_away', 'what came while there was no courier is told by the next');
is(scalar(lines('test')), 1, 'and what was told before is not told again');
kept('courier_away');
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

# ---- the outbox ----

# The structured lines of a number, as hashes in their order.
sub told
{
	my ($no) = @_;
	my @lines = grep { ($_->{refund_no} || $_->{withdrawal_no}) eq $no }
	  map { JSON::PP::decode_json($_) } slurp_file($rx->node->logfile, $begin) =~ /LOG:  REFUNDX: (\{.*\})$/gm;
	return @lines;
}

sub rows
{
	my ($no, $columns) = @_;
	return $rx->sql("SELECT $columns FROM refundx.outbox WHERE aggregateid = '$no' ORDER BY seq");
}

sub has_rows
{
	my ($no, $count) = @_;
	return ok($rx->poll("SELECT count(*) = $count FROM refundx.outbox WHERE aggregateid = '$no'"), "$no: $count rows")
	  || diag(rows($no, '*'));
}

# Whatever has been committed by now has its row, and no other has one.
sub outbox_whole
{
	my ($what) = @_;
	my $transitions = "FROM refundx.event e JOIN refundx.instruction i USING (instruction_id)"
	  . ' WHERE from_state IS DISTINCT FROM to_state';

	ok($rx->poll("SELECT (SELECT count(*) $transitions) = (SELECT count(*) FROM refundx.outbox)"), "one row for each transition: $what");
	is($rx->sql("SELECT count(*) FROM (SELECT i.instruction_no, e.seq::text, e.at $transitions"
			  . " EXCEPT SELECT aggregateid, payload->>'sequence', at FROM refundx.outbox) x"), 0, "and the right one: $what");
	return;
}

has_rows('R1', 4);
is(rows('R1', 'aggregatetype, type'), "refund|refund.queued\nrefund|refund.sending\nrefund|refund.accepted\nrefund|refund.succeeded", 'the story of a refund, in order');
my $payload = JSON::PP::decode_json((split /\n/, rows('R1', 'payload'))[3]);
delete $payload->{sequence};
is_deeply($payload, { refund_no => 'R1', channel => $rx->{channel}, payment_no => 'P1', amount => 1000, currency => 'CNY', from => 'accepted',
		to => 'succeeded', code => 'SUCCESS' }, 'what is told of it')
  || diag(JSON::PP->new->canonical->encode($payload));
is($rx->sql("SELECT count(DISTINCT id) = count(*), bool_and(id::text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab]') FROM refundx.outbox"),
	't|t', 'ids are UUIDs of version 8');
ok(Refundx::wait_for(sub { told('R1') == 4 }), 'a line for each');
is(join(' ', map { $_->{id} } told('R1')), join(' ', split /\n/, rows('R1', 'id')), 'with the ids of the rows');
my ($line) = slurp_file($rx->node->logfile, $begin) =~ /LOG:  REFUNDX: (\{"v":1,"ev":"refund.succeeded".*"R1".*)$/m;
like($line, qr/^\{"v":1,"ev":"refund\.succeeded","id":"[^"]+","seq":\d+,"db":"[^"]+","refund_no":"R1","payment_no":"P1","channel":"[^"]+","amt":1000,"cur":"CNY","from":"accepted","to":"succeeded","code":"SUCCESS","ts":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"\}$/,
	'keys have a fixed order');
outbox_whole('at rest');

# for Debezium: the columns of its event router, published as doc/events.md says
is($rx->sql("SELECT string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = 'refundx.outbox'::regclass AND attname IN ('id', 'aggregatetype', 'aggregateid', 'type', 'payload') AND (attnotnull OR attname = 'payload')"),
	'id uuid, aggregatetype character varying(255), aggregateid character varying(255), type character varying(255), payload jsonb',
	'Debezium knows these columns');
$rx->sql("CREATE PUBLICATION refundx_outbox FOR TABLE refundx.outbox WITH (publish = 'insert')");
$rx->sql("SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')");
$rx->payment('P8', 1000);
$rx->refund('P8', 'R8', 1000);
has_rows('R8', 4);
is($rx->sql("SELECT count(*) FROM pg_logical_slot_get_binary_changes('debezium', NULL, NULL, 'proto_version', '1', 'publication_names', 'refundx_outbox')
		WHERE get_byte(data, 0) = ascii('I')"), 4, 'and gets an insert for each');
$rx->sql("SELECT pg_drop_replication_slot('debezium')");

# a submit that commits late, by somebody else, after others that came later
$rx->payment('P3', 1000);
$rx->sql('BEGIN; SELECT ' . $rx->refund_text('P3', 'R3', 500) . "; PREPARE TRANSACTION 'R3'");
$rx->sql('BEGIN; SAVEPOINT s; SELECT ' . $rx->refund_text('P3x', 'R4', 500, payment_amount => 500, currency => 'CNY') . '; ROLLBACK TO s; COMMIT');
$rx->payment('P5', 1000);
$rx->refund('P5', 'R5', 1000);
has_rows('R5', 4);
is($rx->sql("SELECT count(*) FROM refundx.outbox WHERE aggregateid IN ('R3', 'R4')"), 0, 'nothing of what is not committed');
$rx->sql("COMMIT PREPARED 'R3'");
has_rows('R3', 4);
is($rx->sql("SELECT (SELECT min(seq) FROM refundx.outbox WHERE aggregateid = 'R3') > (SELECT max(seq) FROM refundx.outbox WHERE aggregateid = 'R5')"),
	't', 'what commits late comes late, where a reader of seq looks for it');
outbox_whole('after a prepared transaction');

# the courier dies while it passes on: nothing twice in the outbox, no line lost
SKIP:
{
	skip 'built without TESTPOINTS=1', 5 unless $rx->has_test_points;
	$rx->set('refundx.test_point' => 'courier-relayed:error');
	$rx->payment('P6', 1000);
	$rx->refund('P6', 'R6', 1000);
	$rx->wait_state('R6', 'succeeded');
	ok(Refundx::wait_for(sub { told('R6') >= 4 }), 'lines are written before it fails');
	is(rows('R6', 'seq'), '', 'the rows are not there yet');
	$rx->set('refundx.test_point' => '');
	has_rows('R6', 4);
	my %seen;
	$seen{ $_->{id} }++ foreach told('R6');
	is(join(' ', sort keys %seen), join(' ', sort split /\n/, rows('R6', 'id')), 'what was told twice has the same id');
}

# derived again, as after a restore: the same ids, so nothing happens
my $before = $rx->sql('SELECT count(*), min(id::text), max(id::text) FROM refundx.outbox');
my $lines = () = slurp_file($rx->node->logfile, $begin) =~ /LOG:  REFUNDX: /g;
$rx->sql("UPDATE refundx.relay SET seen = '3:3:'");
$rx->sql('SELECT pg_terminate_backend(' . $rx->worker_pid('courier') . ')');
$rx->payment('P7', 1000);
$rx->set('refundx.log_events' => 'off');
$rx->refund('P7', 'R7', 1000);
has_rows('R7', 4);
is($rx->sql("SELECT count(*), min(id::text), max(id::text) FROM refundx.outbox WHERE aggregateid <> 'R7'"), $before,
	'events that are derived again have the same ids');
my $now = () = slurp_file($rx->node->logfile, $begin) =~ /LOG:  REFUNDX: /g;
is($now, $lines, 'no line of them, nor of others while refundx.log_events is off');
is(scalar(told('R7')), 0, 'none of R7');
outbox_whole('derived again');

unlike(slurp_file($rx->node->logfile, $begin), qr/13800139003/, 'no number in the log');
like($rx->sql_error('DELETE FROM refundx.outbox'), qr/^RX015/, 'the outbox is insert-only');
$rx->check_ok('at the end');
$rx->stop;
done_testing();
