# Databases that come, go and change while the workers run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Workers;
use Test::More;

my $rx = Refundx->new('main', sandbox => 0, settings => { 'max_worker_processes' => 20 });
my $node = $rx->node;
my $shop_port = $rx->callback_port;
my $crm_port = Refundx::free_port();
my $other_port = Refundx::free_port();

sub admin { return $node->safe_psql('postgres', @_) }

sub databases
{
	my ($list) = @_;
	return $rx->set('refundx.databases' => $list);
}

sub state_of
{
	my ($database) = @_;
	return $rx->sql("SELECT string_agg(DISTINCT state, ', ') FROM refundx.worker_status() WHERE database = '$database' AND kind <> 'clerk'");
}

sub problem_of
{
	my ($database, $pattern, $what) = @_;
	return ok($rx->poll(
			"SELECT count(*) >= 4 AND bool_and(problem ~ '$pattern') FROM refundx.worker_status() WHERE database = '$database'"),
		$what) || diag(worker_states($rx, $database));
}

sub gone
{
	my ($database, $what) = @_;
	return ok(Refundx::wait_for(sub { processes_of($rx, $database) == 0 }, $what), $what);
}

workers_up($rx, 'shop');
my %shop = worker_pids($rx, 'shop');

# ---- a reload adds one, before it exists ----

databases("shop:$shop_port, crm:$crm_port");
problem_of('crm', 'no database of this name', 'a database that does not exist is named');
admin('CREATE DATABASE crm');
problem_of('crm', 'not installed', 'then one without the extension');
is(processes_of($rx, 'crm'), 0, 'in which nobody sits');
quick(sub {
		$node->safe_psql('crm', 'CREATE EXTENSION refundx');
		workers_up($rx, 'crm', 'CREATE EXTENSION brings the workers');
	}, 10, 'CREATE EXTENSION to workers');

# ---- a changed port concerns the listener only ----

my %crm = worker_pids($rx, 'crm');
databases("shop:$shop_port, crm:$other_port");
ok($rx->poll("SELECT pid <> $crm{listener} AND state = 'up' AND port = $other_port
			  FROM refundx.worker_status() WHERE database = 'crm' AND kind = 'listener'"),
	'a reload gives the listener another port');
delete $crm{listener};
my %now = worker_pids($rx, 'crm');
delete $now{listener};
is_deeply(\%now, \%crm, 'and leaves the others alone');
databases("shop:$shop_port, crm");
ok($rx->poll("SELECT count(*) = 0 FROM refundx.worker_status() WHERE database = 'crm' AND kind = 'listener'"),
	'without a port there is no listener');

# ---- and removes one ----

databases("shop:$shop_port");
gone('crm', 'a database that is no longer named is left');
is($rx->sql("SELECT count(*) FROM refundx.worker_status() WHERE database = 'crm'"), 0, 'also in the status');
databases("crm:$crm_port, shop:$shop_port");
workers_up($rx, 'crm', 'named again, it has its workers again');

# ---- commands that need the database for themselves ----

my @commands = (
	[ 'ALTER DATABASE crm RENAME TO crm2', 'RENAME', sub { admin('ALTER DATABASE crm2 RENAME TO crm') } ],
	[ 'CREATE DATABASE copy TEMPLATE crm', 'use as TEMPLATE', sub { admin('DROP DATABASE copy') } ]);

foreach my $command (@commands)
{
	my ($sql, $what, $undo) = @$command;

	%crm = worker_pids($rx, 'crm');
	quick(sub { admin($sql) }, 3, $what);
	$undo->();
	came_back($rx, 'crm', \%crm, "the workers come back after $what");
}

# Those that fail, in every way: at once, in the middle, in a subtransaction.
foreach my $command (
	[ 'ALTER DATABASE crm RENAME TO shop', 'RENAME that fails' ],
	[ 'ALTER DATABASE crm SET TABLESPACE nowhere', 'SET TABLESPACE that fails' ],
	[ 'CREATE DATABASE shop TEMPLATE crm', 'use as TEMPLATE that fails' ],
	[ 'BEGIN; DROP DATABASE crm; COMMIT', 'DROP DATABASE in a transaction block' ],
	[ 'BEGIN; ALTER DATABASE crm RENAME TO crm2; ROLLBACK', 'RENAME that is rolled back' ],
	[   'DO $$ BEGIN EXECUTE \'ALTER DATABASE crm RENAME TO shop\';
		EXCEPTION WHEN OTHERS THEN PERFORM pg_sleep(0); END $$', 'RENAME that fails and is caught' ])
{
	my ($sql, $what) = @$command;

	workers_up($rx, 'crm');
	%crm = worker_pids($rx, 'crm');
	quick(sub { $node->psql('postgres', $sql) }, 3, $what);
	came_back($rx, 'crm', \%crm, "the workers come back after $what");
}

# A backend that is ended while it holds the database.
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('BEGIN; ALTER DATABASE crm RENAME TO crm2');
is(state_of('crm'), 'held', 'while the command is not decided the database is held');
my $holder = $rx->sql("SELECT pid FROM pg_stat_activity WHERE query LIKE '%RENAME TO crm2%' AND pid <> pg_backend_pid()");
$rx->sql("SELECT pg_terminate_backend($holder)");
workers_up($rx, 'crm', 'a backend that dies holding a database gives it up');
eval { $session->quit };

# ---- who may not execute it cannot stop the workers with it ----

%crm = worker_pids($rx, 'crm');
admin('CREATE ROLE mallory CREATEDB');
foreach my $sql ('DROP DATABASE crm', 'ALTER DATABASE crm RENAME TO x', 'CREATE DATABASE x TEMPLATE crm',
	'ALTER DATABASE crm SET TABLESPACE pg_default')
{
	my ($rc, $out, $err) = $node->psql('postgres', "SET ROLE mallory; $sql");
	like($err, qr/must be owner|permission denied/, "refused: $sql");
}
is_deeply({ worker_pids($rx, 'crm') }, \%crm, 'and no worker has noticed');

# ---- DROP DATABASE ----

admin('CREATE DATABASE unrelated');
quick(sub { admin('DROP DATABASE unrelated') }, 2, 'DROP DATABASE of an unrelated database');
is_deeply({ worker_pids($rx, 'crm') }, \%crm, 'which ends no worker');
quick(sub { admin('DROP DATABASE crm') }, 3, 'DROP DATABASE');
problem_of('crm', 'no database of this name', 'then there is none');

admin('CREATE DATABASE crm');
$node->safe_psql('crm', 'CREATE EXTENSION refundx');
workers_up($rx, 'crm', 'dropped and created again under its name, it has workers');
quick(sub { admin('DROP DATABASE crm WITH (FORCE)') }, 3, 'DROP DATABASE WITH (FORCE)');

# Dropped and created again between two looks of the launcher.
admin('CREATE DATABASE crm');
$node->safe_psql('crm', 'CREATE EXTENSION refundx');
workers_up($rx, 'crm');
admin('DROP DATABASE crm');
admin('CREATE DATABASE crm');
$node->safe_psql('crm', 'CREATE EXTENSION refundx');
workers_up($rx, 'crm', 'also when nobody had time to notice that it was gone');

# ---- no place for a worker ----

admin('ALTER DATABASE crm IS_TEMPLATE true');
gone('crm', 'workers leave a database that becomes a template');
problem_of('crm', 'template', 'and the status says why');
admin('ALTER DATABASE crm IS_TEMPLATE false');
workers_up($rx, 'crm', 'they are back when it is none');
admin('ALTER DATABASE crm ALLOW_CONNECTIONS false');
gone('crm', 'workers leave a database that allows no connections');
problem_of('crm', 'allow connections', 'and the status says why');
admin('ALTER DATABASE crm ALLOW_CONNECTIONS true');
workers_up($rx, 'crm', 'they are back when it does');

# ---- the other database, through all of it ----

is_deeply({ worker_pids($rx, 'shop') }, \%shop, 'the workers of the other database have noticed nothing');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal \d|is being accessed by other users/,
	'nothing strange in the log');

$rx->stop;
done_testing();
