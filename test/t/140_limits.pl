# Too little of everything: worker processes, room, roles, preloading.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Workers;
use Test::More;

# ---- max_worker_processes ----

# The launcher, the one of logical replication, and two of ours.
my $rx = Refundx->new('main', sandbox => 0,
	settings => { 'max_worker_processes' => 4, 'refundx.max_databases' => 2 });
my $node = $rx->node;

ok($rx->poll("SELECT count(*) = 2 FROM refundx.worker_status() WHERE problem LIKE '%max_worker_processes is 4%' AND kind <> 'clerk'"),
	'workers that have no process name the setting') || diag(worker_states($rx, 'shop'));
is(processes_of($rx, 'shop'), 2, 'the others run');
my $mark = log_mark($rx);
$rx->sql('SELECT pg_sleep(11)');
my $log = slurp_file($node->logfile);
is(scalar(() = $log =~ /cannot start the refundx settler/g) + scalar(() = $log =~ /cannot start the refundx courier/g),
	2, 'the log says it once for each, though they are tried again')
  || diag($log =~ /(.*cannot start.*)/g);
like($log, qr/HINT:  Raise max_worker_processes/, 'with a hint');
quick(sub { $rx->sql('SELECT 1') }, 2, 'a query');
$rx->configure('max_worker_processes' => 20);
$node->restart;
workers_up($rx, 'shop', 'with enough of them all come');

# ---- refundx.max_databases ----

$rx->set('refundx.databases' => 'shop, b, c');
ok($rx->poll("SELECT count(*) >= 4 AND bool_and(state = 'down' AND problem LIKE '%refundx.max_databases%')
			  FROM refundx.worker_status() WHERE database = 'c'"),
	'a database for which there is no room names the setting');
is($rx->sql("SELECT count(DISTINCT database) FROM refundx.worker_status()"), 3, 'none is missing from the status');
workers_up($rx, 'shop', 'the others are not harmed');
$rx->set('refundx.databases' => 'shop');
ok($rx->poll("SELECT count(DISTINCT database) = 1 FROM refundx.worker_status()"), 'and the room is free again');

# ---- a role is missing ----

my %before = worker_pids($rx, 'shop');
$rx->sql('ALTER ROLE refundx_courier RENAME TO courier');
$rx->sql("SELECT pg_terminate_backend($before{courier})");
ok($rx->poll("SELECT problem = 'role refundx_courier does not exist' FROM refundx.worker_status() WHERE kind = 'courier'"),
	'a missing role is named');
$rx->sql('ALTER ROLE courier RENAME TO refundx_courier');
workers_up($rx, 'shop', 'and found when it is back');
ok($rx->poll("SELECT state = 'up' AND problem IS NULL FROM refundx.worker_status() WHERE kind = 'courier'"),
	'without a problem');

# ---- the extension of another version ----

%before = worker_pids($rx, 'shop');
$rx->sql("UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'refundx'");
$rx->sql("SELECT pg_terminate_backend(pid) FROM refundx.worker_status() WHERE kind = 'dispatcher'");
ok($rx->poll("SELECT bool_and(problem LIKE '%the extension is 0.9%' AND pid IS NULL) FROM refundx.worker_status() WHERE kind <> 'clerk'"),
	'a library does not work on tables of another version');
$rx->sql("UPDATE pg_extension SET extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'refundx')
		  WHERE extname = 'refundx'");
$rx->sql('CREATE EXTENSION pg_trgm; DROP EXTENSION pg_trgm')
  if $rx->sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'");
came_back($rx, 'shop', \%before, 'and is at work when they agree');

# ---- not preloaded ----

$rx->configure('shared_preload_libraries' => '');
$node->restart;
like($rx->sql_error('SELECT * FROM refundx.worker_status()'), qr/^RX009 refundx is not preloaded/,
	'without preloading there are no workers, and the error says so');
is($rx->sql('SELECT timeline FROM refundx.this_installation()'), 1, 'the library loads all the same');

$rx->stop;
done_testing();
