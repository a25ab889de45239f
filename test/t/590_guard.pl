# A guard with the workers running, over a dump and its restore, after a crash, and
# on the subscriber of a table.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Refundx;
use Test::More;

my $rx = Refundx->new('main',
	sandbox => [ '--speed', 60, '--callback-delay-ms', 20 ],
	config => { time_scale => 60, not_found_after => 1 },
	settings => {
		'wal_level' => 'logical',
		'max_wal_senders' => 4,
		'max_replication_slots' => 4,
		'max_worker_processes' => 24,
		'refundx.dispatch' => 'off' });
my $node = $rx->node;
my $update = 'UPDATE orders SET amount = amount + 1 WHERE order_no =';

sub submit
{
	my ($in, $no) = @_;
	return $in->refund("order-$no", "R$no", 1000, currency => 'CNY', payment_amount => 5000);
}

sub amount
{
	my ($in, $no) = @_;
	return $in->sql("SELECT amount FROM orders WHERE order_no = '$no'");
}

# Monthly partitions, as a shop has them; guarded before the second is made.
$rx->sql(q{
	CREATE TABLE orders (order_no text, made_on date, amount int NOT NULL, note text,
		PRIMARY KEY (order_no, made_on)) PARTITION BY RANGE (made_on);
	CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
	SELECT refundx.guard_add('orders', 'order_no', '{amount}', of_payments => '^order-(.*)$');
	CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
	INSERT INTO orders SELECT n, '2026-01-01'::date + 5 * n, 100 FROM generate_series(1, 9) n});

# ---- until the channel has answered ----

submit($rx, 1);
like($rx->sql_error("$update '1'"), qr/^RX022 row "1" of public\.orders_1 is locked by refund "R1"/, 'it is locked');
$rx->set('refundx.dispatch' => 'on');
$rx->wait_state('R1', 'succeeded');
is($rx->sql_error("$update '1'"), '', 'the channel has answered: it is free');
$rx->set('refundx.dispatch' => 'off');

# ---- a crash ----

submit($rx, 2);
$node->stop('immediate');
$node->start;
like($rx->sql_error("$update '2'"), qr/^RX022 /, 'it is locked after a crash');

# ---- a dump, and its restore ----

my $dump = $node->basedir . '/dump';
my $copy = bless { %$rx, database => 'copy' }, 'Refundx';

$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('shop') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copy'), $dump ],
	'pg_restore, with rows locked');
like($copy->sql_error("$update '2'"), qr/^RX022 /, 'the copy has its lock');
like($copy->sql_error('DROP TABLE orders_1'), qr/^RX022 /, 'the partition that it is in stays');
is($copy->sql_error('DROP TABLE orders_2'), '', 'the other one can go');
is($copy->sql('SELECT problem FROM refundx.guards'), '', 'nothing is wrong with the guard');
submit($copy, 3);
like($copy->sql_error("$update '3'"), qr/^RX022 /, 'it follows payments there too');
$copy->check_ok('in the copy');

# ---- a subscriber: the apply worker is a client like any other ----

$node->safe_psql('postgres', 'CREATE DATABASE source');
my $source = bless { %$rx, database => 'source' }, 'Refundx';

$source->sql(q{
	CREATE TABLE orders (order_no text, made_on date, amount int NOT NULL, note text, PRIMARY KEY (order_no, made_on));
	INSERT INTO orders SELECT n, '2026-01-01'::date + 5 * n, 100 FROM generate_series(1, 9) n;
	CREATE PUBLICATION p FOR TABLE orders});
$source->sql(q{SELECT pg_create_logical_replication_slot('s', 'pgoutput')});
$rx->sql('CREATE SUBSCRIPTION s CONNECTION ' . Refundx::literal($node->connstr('source'))
	  . q{ PUBLICATION p WITH (create_slot = false, slot_name = 's', copy_data = false)});
$source->sql("UPDATE orders SET note = 'n' WHERE order_no = '2'");
ok($rx->poll("SELECT note = 'n' FROM orders WHERE order_no = '2'"), 'another column is replicated');
my $log = -s $node->logfile;
$source->sql("UPDATE orders SET amount = 7 WHERE order_no = '2'");
ok($node->wait_for_log(qr/row "2" of public\.orders_1 is locked by refund "R2"/, $log), 'the guarded one stops the subscription');
is(amount($rx, 2), 100, 'and has not changed');
$rx->set('refundx.dispatch' => 'on');
$rx->wait_state('R2', 'succeeded');
ok($rx->poll("SELECT amount = 7 FROM orders WHERE order_no = '2'"), 'when the refund has ended it goes on');
$rx->sql('DROP SUBSCRIPTION s');

$rx->check_ok('in the end');
is($rx->sql('SELECT count(*) FROM refundx.locks'), 0, 'nothing is locked');
$node->stop('fast');
done_testing();
