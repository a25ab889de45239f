# CREATE EXTENSION and DROP EXTENSION while the workers run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Workers;
use Test::More;

my $rx = Refundx->new('main', sandbox => 0, extension => 0);
my $node = $rx->node;
my $workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'refundx %' AND datname = 'shop'";

$node->safe_psql('postgres', 'CREATE DATABASE shop');
$rx->poll("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'refundx launcher'");

# ---- CREATE ----

$rx->sql('BEGIN; CREATE EXTENSION refundx; ROLLBACK');
$rx->sql('SELECT pg_sleep(1)');
is($rx->sql($workers), 0, 'CREATE EXTENSION that is rolled back brings nobody');
quick(sub {
		$rx->sql('CREATE EXTENSION refundx');
		workers_up($rx, 'shop', 'CREATE EXTENSION brings the workers');
	}, 10, 'CREATE EXTENSION to workers');

# ---- DROP of an empty one ----

my %before = worker_pids($rx, 'shop');
my $session = $node->background_psql('shop');
$session->query_safe('BEGIN; DROP EXTENSION refundx');
is($rx->sql($workers), 0, 'DROP EXTENSION has waited for the workers to leave');
is($rx->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'refundx launcher' AND state = 'idle'"),
	1, 'the launcher has time');
$session->query_safe('ROLLBACK');
came_back($rx, 'shop', \%before, 'they come back when it is rolled back');

$session->query_safe('BEGIN; SAVEPOINT a; DROP EXTENSION refundx; ROLLBACK TO a; COMMIT');
workers_up($rx, 'shop', 'and when only a savepoint is');
$session->quit;

quick(sub { $rx->sql('DROP EXTENSION refundx') }, 3, 'DROP EXTENSION');
$rx->sql('SELECT pg_sleep(1.5)');
is($rx->sql($workers), 0, 'then nobody is there');
$rx->sql('CREATE EXTENSION refundx');
workers_up($rx, 'shop', 'created again');

# In one transaction: other oids under the workers' feet.
%before = worker_pids($rx, 'shop');
$rx->sql('BEGIN; DROP EXTENSION refundx; CREATE EXTENSION refundx; COMMIT');
came_back($rx, 'shop', \%before, 'dropped and created in one transaction');
is($rx->sql("SELECT count(*) FROM refundx.worker_status() WHERE problem IS NOT NULL"), 0, 'without a problem');

# PREPARE TRANSACTION: decided by another session.
$rx->sql("DROP EXTENSION refundx; BEGIN; CREATE EXTENSION refundx; PREPARE TRANSACTION 'create'");
is($rx->sql($workers), 0, 'a prepared CREATE EXTENSION brings nobody');
quick(sub {
		$rx->sql("COMMIT PREPARED 'create'");
		workers_up($rx, 'shop', 'COMMIT PREPARED does');
	}, 10, 'COMMIT PREPARED to workers');

# ---- what does not touch it ----

%before = worker_pids($rx, 'shop');
$rx->sql('CREATE ROLE nobody; CREATE SCHEMA s AUTHORIZATION nobody; DROP OWNED BY nobody; DROP ROLE nobody;
		  CREATE TABLE journal (i int); INSERT INTO journal VALUES (1); DROP TABLE journal;
		  CREATE SCHEMA t CREATE TABLE instruction (is_open bool); DROP SCHEMA t CASCADE');
$rx->sql('CREATE ROLE mallory');
like($rx->sql_error('SET ROLE mallory; DROP EXTENSION refundx'), qr/^42501/, 'its owner drops it, or nobody');
like($rx->sql_error('SET ROLE mallory; ALTER EXTENSION refundx UPDATE'), qr/^42501/, 'or updates it');
is_deeply({ worker_pids($rx, 'shop') }, \%before, 'the workers have noticed nothing of all that');

$rx->sql('ALTER EXTENSION refundx UPDATE');
came_back($rx, 'shop', \%before, 'they make way for ALTER EXTENSION UPDATE, and come back');

# ---- DROP is refused while the journal is not empty ----

$rx->sql('CREATE ROLE boss SUPERUSER; DROP EXTENSION refundx; SET ROLE boss; CREATE EXTENSION refundx');
$rx->sql("CREATE SCHEMA needed;
		  INSERT INTO pg_depend SELECT 'pg_extension'::regclass, e.oid, 0, 'pg_namespace'::regclass, 'needed'::regnamespace, 0, 'n'
		  FROM pg_extension e WHERE extname = 'refundx'");
workers_up($rx, 'shop');
%before = worker_pids($rx, 'shop');
$rx->sql("SELECT refundx.account_open('a', 'CNY')");
$rx->sql("SELECT refundx.account_credit('a', 100, 'ref')");
foreach my $way (
	[ 'DROP EXTENSION refundx', 'by name' ],
	[ 'DROP EXTENSION IF EXISTS refundx CASCADE', 'by name, with CASCADE' ],
	[ 'DROP SCHEMA refundx CASCADE', 'with its schema' ],
	[ 'DROP OWNED BY boss CASCADE', 'with its owner' ],
	[ 'DROP SCHEMA needed CASCADE', 'through something that it depends on' ])
{
	my ($sql, $what) = @$way;

	like($rx->sql_error($sql), qr/^RX016 cannot drop extension refundx: its journal is not empty/,
		"refused $what");
}
is_deeply({ worker_pids($rx, 'shop') }, \%before, 'and the workers have not even left');
like($rx->sql_error(q{DO $$ BEGIN EXECUTE 'DROP EXTENSION refundx';
		EXCEPTION WHEN SQLSTATE 'RX016' THEN RAISE 'caught' USING ERRCODE = '22000'; END $$}),
	qr/^22000 caught/, 'it can be caught');
like($rx->sql_error('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; DROP EXTENSION refundx'),
	qr/^RX016/, 'at any isolation level');
is($rx->sql('SELECT count(*) > 0 FROM refundx.journal'), 't', 'the journal is there');

$rx->sql('SET refundx.allow_drop = on; DROP EXTENSION refundx');
is($rx->sql("SELECT count(*) FROM pg_extension WHERE extname = 'refundx'"), 0, 'refundx.allow_drop allows it');
$rx->sql('CREATE EXTENSION refundx');
workers_up($rx, 'shop');
# An entry that was committed after the transaction had taken its snapshot.
$session = $node->background_psql('shop', on_error_stop => 0);
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM refundx.journal');
$rx->sql("SELECT refundx.account_open('a', 'CNY'); SELECT refundx.account_credit('a', 100, 'ref')");
$session->query('DROP EXTENSION refundx; COMMIT');
is($rx->sql('SELECT count(*) > 0 FROM refundx.journal'), 't', 'an entry that an older snapshot does not see counts');
eval { $session->quit };

like($rx->sql_error('SET ROLE mallory; SET refundx.allow_drop = on'), qr/^42501/,
	'only a superuser sets refundx.allow_drop');

# ---- a connection that the role may not make ----

$rx->sql('REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
		  REVOKE CONNECT ON DATABASE shop FROM refundx_courier');
%before = worker_pids($rx, 'shop');
$rx->sql("SELECT pg_terminate_backend($before{courier})");
ok($rx->poll("SELECT problem LIKE 'permission denied for database%' AND pid IS NULL FROM refundx.worker_status() WHERE kind = 'courier'"),
	'a worker that may not connect says so in the status');
$rx->sql('GRANT CONNECT ON DATABASE shop TO PUBLIC');
workers_up($rx, 'shop', 'it is tried again');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal \d|deadlock/, 'nothing strange in the log');
$rx->stop;
done_testing();
