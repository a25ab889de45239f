# Commands and accidents while refunds go out and calls hang.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run ();
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Workers;
use Test::More;

my $rx = Refundx->new('main', sandbox => [ '--callback-delay-ms', 50 ],
	settings => { 'max_worker_processes' => 20, 'refundx.clerk_interval' => '2s' });
my $node = $rx->node;
my $round = 0;

sub admin { return $node->safe_psql('postgres', @_) }

# So many refunds, one per transaction, by a session of their own; every tenth
# is one whose call hangs after the channel has paid.
sub load_text
{
	my ($refunds) = @_;

	$round++;
	return "DO \$\$
		BEGIN
			FOR i IN 1..$refunds LOOP
				PERFORM refundx.payment_record(channel => 'wx', payment_no => 'P$round-' || i,
					amount => 50000, currency => 'CNY', channel_payment_id => '4200$round-' || i, paid_at => now());
				PERFORM refundx.refund_submit(channel => 'wx', payment_no => 'P$round-' || i,
					refund_no => 'R$round-' || i, reason => 'a test',
					amount => CASE WHEN i % 10 = 0 THEN 19018 ELSE 10000 END);
				COMMIT;
				PERFORM pg_sleep(0.005);
			END LOOP;
		END \$\$";
}

sub load_start
{
	my ($refunds) = @_;
	my $load = { out => '', err => '' };

	$load->{h} = IPC::Run::start(
		[ 'psql', '-XqAt', '-d', $node->connstr('shop'), '-c', load_text($refunds) ],
		'<', \undef, '>', \$load->{out}, '2>', \$load->{err});
	return $load;
}

sub load_end
{
	my ($load) = @_;
	return IPC::Run::finish($load->{h}) || diag($load->{err});
}

# Calls hang, and others are under way.
sub calls_hang
{
	return ok(Refundx::wait_for(sub { @{ $rx->sandbox->refunds } >= 30 * $round }, 'refunds flow'),
		"round $round: refunds flow")
	  && ok($rx->poll("SELECT active > 0 FROM refundx.worker_status() WHERE kind = 'dispatcher'"),
		'and calls hang');
}

workers_up($rx, 'shop');

# ---- others' commands ----

my $load = load_start(300);
calls_hang();
my %before = worker_pids($rx, 'shop');
foreach my $i (1 .. 3)
{
	admin('CREATE DATABASE unrelated');
	quick(sub { admin('DROP DATABASE unrelated') }, 2, "DROP DATABASE of an unrelated database, $i");
}
is_deeply({ worker_pids($rx, 'shop') }, \%before, 'which has ended no worker');
$before{launcher} = $rx->worker_pid('launcher');
is($rx->sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $before{dispatcher} AND state = 'idle in transaction'"),
	0, 'the dispatcher holds no transaction over the network');
is($rx->sql("SELECT pg_terminate_backend($_)"), 't', 'a worker is ended') foreach values %before;
load_end($load);
workers_up($rx, 'shop', 'all are back');

# ---- commands that want this database, with calls in flight ----

foreach my $command (
	[ 'ALTER DATABASE shop RENAME TO shop2', 'ALTER DATABASE shop2 RENAME TO shop', 'RENAME' ],
	[ 'CREATE DATABASE copy TEMPLATE shop', 'DROP DATABASE copy', 'use as TEMPLATE' ])
{
	my ($sql, $undo, $what) = @$command;

	load_end(load_start(40));
	calls_hang();
	my %pids = worker_pids($rx, 'shop');
	quick(sub { admin($sql) }, 4, "$what with calls in flight");
	admin($undo);
	came_back($rx, 'shop', \%pids, "the workers come back after $what");
}

# A worker in the midst of a transaction, who does not come to his wait.
my $testpoints = eval { $rx->set('refundx.test_point' => 'settler-before-commit:wait'); 1 }
  && $rx->sql('SHOW refundx.test_point') ne '';
load_end(load_start(10));
SKIP:
{
	skip 'built without test points', 2
	  unless $rx->poll("SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'refundx settler' AND backend_xid IS NOT NULL");
	my %pids = worker_pids($rx, 'shop');

	quick(sub { admin('ALTER DATABASE shop RENAME TO shop2') }, 4, 'RENAME with a settler in the midst of a transaction');
	admin('ALTER DATABASE shop2 RENAME TO shop');
	came_back($rx, 'shop', \%pids, 'and it comes back');
}
$rx->set('refundx.test_point' => '');

# ---- shutdown, and a crash ----

$load = load_start(300);
calls_hang();
quick(sub { $node->stop('fast') }, 3, 'a fast shutdown under load');
eval { IPC::Run::finish($load->{h}) };
$node->start;

$load = load_start(300);
calls_hang();
%before = worker_pids($rx, 'shop');
my $mark = log_mark($rx);
kill 'KILL', $before{dispatcher};
ok(Refundx::wait_for(sub { slurp_file($node->logfile, $mark) =~ /ready to accept connections/ }, 'the server restarts'),
	'kill -9 of the dispatcher restarts the server');
eval { IPC::Run::finish($load->{h}) };
came_back($rx, 'shop', \%before, 'and the workers');

# ---- and the money is right ----

$rx->sandbox->ctl('release', 'all');
ok($rx->poll("SELECT count(*) > 200 AND bool_and(state = 'succeeded') FROM refundx.instruction"),
	'every refund that was committed succeeds')
  || diag($rx->sql('SELECT state, count(*), min(instruction_no) FROM refundx.instruction GROUP BY 1'));
$rx->check_ok('after all that');
$rx->ledger_ok('after all that');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|is being accessed by other users/, 'nothing strange in the log');

$rx->stop;
done_testing();
