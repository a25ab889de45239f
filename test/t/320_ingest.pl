# callback_ingest(): callbacks that the application received.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Callback;
use Test::More;

plan skip_all => 'node makes the callbacks, and is not here' unless Refundx::Callback::available();

my $rx = Refundx->new('ingest');
my $from = Refundx::Callback->new($rx);

sub ingest_text
{
	my ($message, $channel, $headers) = @_;
	return 'refundx.callback_ingest(' . join(', ',
		Refundx::literal($channel || 'wx'),
		Refundx::literal($headers || Refundx::to_json($message->{headers})) . '::jsonb',
		"decode('" . encode_base64($message->{body}, '') . "', 'base64')") . ')';
}

sub ingest
{
	my ($message, @rest) = @_;
	return $rx->sql('SELECT result, status, content_type, answer FROM ' . ingest_text($message, @rest));
}

$rx->payment('P1', 100000);
$rx->refund('P1', 'R1', 9013);
$rx->wait_state('R1', 'accepted');
my %of_r1 = (no => 'R1', amount => 9013, total => 100000, payment_no => 'P1');

# ---- refused, and counted ----

my $evidence = $rx->sql('SELECT count(*) FROM refundx.evidence');
like(ingest(scalar $from->make({ %of_r1, tamper => 1 })), qr/^bad_signature\|401\|application\/json\|\{"code":"FAIL"/,
	'a wrong signature: what to answer');
like(ingest(scalar $from->make({ %of_r1, age => 900 })), qr/^bad_time\|401\|/, 'an old one');
like(ingest({ headers => {}, body => '<xml/>' }), qr/^old_protocol\|400\|/, 'a v2 body');
like(ingest({ headers => { map { ("X-$_" => 'y') } 1 .. 200 }, body => 'x' }), qr/^bad_headers\|401\|/,
	'more headers than anybody has');
like(ingest({ headers => {}, body => 'x' x 300_000 }), qr/^bad_body\|400\|/, 'a body beyond the bound');
is(ingest(scalar $from->make({ event => 'TRANSACTION.SUCCESS' })), 'not_ours|||',
	'a payment: not ours, and the answer is the caller\'s affair');
is(ingest(scalar $from->make({ event => 'SECURITY_ECHO.NOTIFY' })), 'test|204||', 'the self-test');
is($rx->sql('SELECT count(*) FROM refundx.evidence'), $evidence, 'nothing of it is evidence');
is($rx->sql("SELECT string_agg(result || ' ' || n, ', ' ORDER BY result)
		FROM (SELECT result, sum(n) n FROM refundx.callback_count WHERE channel = 'wx' GROUP BY 1) s"),
	'bad_body 1, bad_headers 1, bad_signature 1, bad_time 1, not_ours 1, old_protocol 1, test 1',
	'all of it is counted');

# ---- errors are the caller's ----

my $message = $from->make({%of_r1});
like($rx->sql_error('SELECT ' . ingest_text($message, 'nobody')), qr/^RX008 .*"nobody"/, 'an unknown channel');
like($rx->sql_error('SELECT ' . ingest_text($message, 'wx', $_)), qr/^22023 headers must be/, "headers: $_")
  foreach '[]', '"x"', '{"a": {"b": "c"}}', '{"a": 5}', '{"a": [["b"]]}';
is($rx->sql("SELECT refundx.callback_ingest('wx', NULL, '') IS NULL"), 't', 'null in, null out');

# ---- kept ----

is($rx->sql('BEGIN; SELECT result FROM ' . ingest_text($message) . '; ROLLBACK'), 'stored', 'rolled back by the caller');
is($rx->sql('SELECT count(*) FROM refundx.evidence'), $evidence, 'it is gone, and so must be the answer');
my %lower = map { (lc $_ => [ $message->{headers}{$_} ]) } keys %{ $message->{headers} };
is(ingest($message, 'wx', Refundx::to_json(\%lower)), 'stored|204||', 'names in lower case, values in arrays');
$rx->wait_state('R1', 'succeeded', 'it settles the refund');
is(ingest($message), 'stored|204||', 'a copy is acknowledged');
ok($from->wait_ready, 'and so is one');
is($from->status(scalar $from->make({%of_r1})), 204, 'at our own address');
is($rx->sql("SELECT count(*) FROM refundx.evidence WHERE source = 'callback'"), 1, 'they are one piece of evidence');
is($rx->payment_sums('P1'), '100000|0|9013', 'paid once');

# ---- one message in two transactions ----

sub kept { return $rx->sql("SELECT count(*) FROM refundx.evidence WHERE wire_no = '$_[0]'") }

foreach my $case ([ 'COMMIT', 'I1' ], [ 'ROLLBACK', 'I2' ])
{
	my ($end, $no) = @$case;
	my $twice = $from->make({ no => $no, amount => 1 });
	my ($first, $second) = map { $rx->node->background_psql($rx->database) } 1 .. 2;

	$first->query_safe('BEGIN; SELECT ' . ingest_text($twice));
	$second->query_until(qr/begun/, "\\echo begun\nSELECT " . ingest_text($twice) . ";\n");
	ok($rx->poll("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%callback_ingest%'"),
		"the second waits for the first one's $end");
	$first->query_safe($end);
	like($second->query_safe('SELECT 1'), qr/stored/, 'and has kept it, or found it');
	is(kept($no), 1, 'it is there once');
	$_->quit foreach $first, $second;
}

my $unseen = $from->make({ no => 'I3', amount => 1 });
my $old = $rx->node->background_psql($rx->database, on_error_stop => 0);
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
is(ingest($unseen), 'stored|204||', 'kept after the snapshot of another transaction');
$old->query('SELECT ' . ingest_text($unseen));
like($old->{stderr}, qr/could not serialize access due to concurrent update/, 'which cannot rely on it');
$old->quit;
my $own = 'SELECT result FROM ' . ingest_text(scalar $from->make({ no => 'I4', amount => 1 }));
is($rx->sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; $own; $own; COMMIT"), "1\nstored\nstored",
	'but on its own');

# ---- who may ----

$rx->sql('CREATE ROLE app LOGIN IN ROLE refundx_app; CREATE ROLE stranger LOGIN');
is($rx->sql('SET ROLE app; SELECT result FROM ' . ingest_text($message)), 'stored', 'an application may');
like($rx->sql_error('SET ROLE stranger; SELECT ' . ingest_text($message)), qr/^42501 /, 'others may not');

$rx->check_ok('at the end');
$rx->stop;
done_testing();
