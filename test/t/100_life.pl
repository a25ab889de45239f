# The life of a worker: starting, ending, and coming back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Workers;
use Test::More;

my $rx = Refundx->new('main', sandbox => 0, settings => { 'refundx.poll_interval' => '1s' });

workers_up($rx, 'shop', 'the workers come when the extension is created');

# ---- who they are ----

is($rx->sql(
		"SELECT string_agg(backend_type || ' / ' || application_name || ' / ' || usename, E'\\n' ORDER BY 1)
		 FROM (SELECT backend_type, application_name, usename FROM pg_stat_activity
			   WHERE backend_type LIKE 'refundx %' AND backend_type <> 'refundx clerk' AND datid IS NOT NULL
			   ORDER BY 1) s"),
	join("\n",
		map { "refundx $_ / refundx $_ (shop) / refundx_$_" } qw(courier dispatcher listener settler)),
	'pg_stat_activity tells them apart, and each has its role');
is($rx->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'refundx launcher' AND datid IS NULL"),
	1, 'the launcher is in no database');
is($rx->sql(
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'refundx %'
		 AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND state = 'idle'"),
	0, 'one that waits holds no snapshot and no transaction');
is($rx->sql("SELECT port FROM refundx.worker_status() WHERE kind = 'listener'"),
	$rx->callback_port, 'the status names the port');

# ---- ended by somebody ----

my %before = worker_pids($rx, 'shop');
foreach my $kind (sort keys %before)
{
	$rx->sql("SELECT pg_terminate_backend($before{$kind})");
	ok($rx->poll(
			"SELECT state = 'up' AND pid <> $before{$kind} AND restarts = 1
			 FROM refundx.worker_status() WHERE kind = '$kind'"),
		"the $kind comes back after pg_terminate_backend()");
}
%before = worker_pids($rx, 'shop');
$rx->sql("SELECT pg_cancel_backend($_)") foreach values %before;
$rx->sql('SELECT pg_sleep(1.5)');
is_deeply({ worker_pids($rx, 'shop') }, \%before, 'pg_cancel_backend() does not end a worker that waits');

my $launcher = $rx->worker_pid('launcher');
$rx->sql("SELECT pg_terminate_backend($launcher)");
ok($rx->poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $launcher"), 'the launcher is ended');
is(processes_of($rx, 'shop'), 4, 'its workers do not need it to go on');
ok($rx->poll("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'refundx launcher' AND pid <> $launcher"),
	'there is a new launcher');
is_deeply({ worker_pids($rx, 'shop') }, \%before, 'which has left the workers as they are');
is(processes_of($rx, 'shop'), 4, 'and has not started them twice');
$rx->sql("SELECT pg_terminate_backend($before{courier})");
ok($rx->poll("SELECT state = 'up' AND pid <> $before{courier} FROM refundx.worker_status() WHERE kind = 'courier'"),
	'it restarts a worker that another launcher had started');

# ---- one that fails again and again ----

my @delays;
foreach my $round (1 .. 3)
{
	my $pid = { worker_pids($rx, 'shop') }->{settler};

	$rx->sql("SELECT pg_terminate_backend($pid)");
	push @delays, timed(sub {
		$rx->poll("SELECT state = 'up' AND pid <> $pid FROM refundx.worker_status() WHERE kind = 'settler'");
	});
	ok($rx->sql("SELECT restarts > $round FROM refundx.worker_status() WHERE kind = 'settler'"),
		"failure $round is counted");
}
# The first end, above, was the first failure: these are 2, 4 and 8 s.
ok($delays[0] > 1.5 && $delays[1] > $delays[0] + 1 && $delays[2] > $delays[1] + 2,
	'it waits longer each time') || diag("delays: @delays");

# ---- an ERROR in a transaction ----

%before = worker_pids($rx, 'shop');
my $mark = log_mark($rx);
$rx->sql('REVOKE USAGE ON SCHEMA refundx FROM refundx_settler');
ok($rx->poll("SELECT problem LIKE '%permission denied%' FROM refundx.worker_status() WHERE kind = 'settler'"),
	'an error in its transaction is shown as its problem');
ok($rx->poll("SELECT pid = $before{settler} AND state = 'up' FROM refundx.worker_status() WHERE kind = 'settler'"),
	'and is not its end');
$rx->sql('SELECT pg_sleep(2.5)');
my $log = slurp_file($rx->node->logfile, $mark);
is(scalar(() = $log =~ /refundx settler of database "shop"/g), 1,
	'the log says it once, though it is tried again each second, and says who');
$rx->sql('GRANT USAGE ON SCHEMA refundx TO refundx_settler');
ok($rx->poll("SELECT problem IS NULL FROM refundx.worker_status() WHERE kind = 'settler'"),
	'the problem goes when it works again');

# ---- settings of the database, which must not reach it ----

$rx->node->safe_psql('postgres', $_)
  foreach 'ALTER DATABASE shop SET default_transaction_read_only = on',
  'ALTER ROLE refundx_settler SET search_path = public',
  'ALTER DATABASE shop CONNECTION LIMIT 0';
$rx->node->restart;
workers_up($rx, 'shop', 'they work whatever ALTER DATABASE and ALTER ROLE have set');
is($rx->sql("SELECT count(*) FROM refundx.worker_status() WHERE problem IS NOT NULL"), 0, 'without a problem');
$rx->node->safe_psql('postgres', 'ALTER DATABASE shop RESET ALL');
$rx->node->safe_psql('postgres', 'ALTER ROLE refundx_settler RESET ALL');

# ---- the clerk ----

$rx->set('refundx.clerk_interval' => '1s');
my $stopped = $rx->sql("SELECT since FROM refundx.worker_status() WHERE kind = 'clerk'");
ok($rx->poll("SELECT since > '$stopped' AND state = 'idle' FROM refundx.worker_status() WHERE kind = 'clerk'"),
	'the clerk comes and goes');
is($rx->sql("SELECT restarts FROM refundx.worker_status() WHERE kind = 'clerk'"), 0, 'which is no failure');

# ---- a crash ----

%before = worker_pids($rx, 'shop');
$mark = log_mark($rx);
kill 'KILL', $before{dispatcher};
ok(Refundx::wait_for(sub { slurp_file($rx->node->logfile, $mark) =~ /ready to accept connections/ },
		'the server restarts'), 'kill -9 of a worker restarts the server, as of any backend');
came_back($rx, 'shop', \%before, 'and all workers are back');
is($rx->sql('SELECT max(restarts) FROM refundx.worker_status()'), 0, 'with a clean slate');

# ---- the end ----

workers_up($rx, 'shop');
quick(sub { $rx->node->stop('fast') }, 3, 'a fast shutdown');
$rx->node->start;
workers_up($rx, 'shop', 'up after a restart');
quick(sub { $rx->node->stop('smart') }, 3, 'a smart shutdown');
unlike(slurp_file($rx->node->logfile), qr/PANIC|TRAP|unrecognized|leak/, 'nothing strange in the log');

done_testing();
