# Refundx::Workers
#	  What tests of the workers' lives ask again and again.
#
# Everything takes a Refundx, and looks from its own database.

package Refundx::Workers;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(workers_up worker_states worker_pids processes_of came_back timed quick log_mark);

# A test: every worker of the database is up, or between two rounds.
sub workers_up
{
	my ($rx, $database, $what) = @_;
	my $name = Refundx::literal($database);

	return ok($rx->poll(
			"SELECT count(*) >= 4 AND bool_and(state IN ('up', 'idle') OR kind = 'clerk')
			 FROM refundx.worker_status() WHERE database = $name"),
		$what || "the workers of $database are up")
	  || diag(worker_states($rx, $database));
}

# "courier=up dispatcher=waiting to restart ..."
sub worker_states
{
	my ($rx, $database) = @_;
	return $rx->sql(
		"SELECT string_agg(kind || '=' || state || coalesce(' (' || problem || ')', ''), ', ' ORDER BY kind)
		 FROM refundx.worker_status() WHERE database = " . Refundx::literal($database));
}

# kind => pid, of those that live for long
sub worker_pids
{
	my ($rx, $database) = @_;
	return map { split /\|/ } split /\n/, $rx->sql(
		"SELECT kind, pid FROM refundx.worker_status()
		 WHERE kind <> 'clerk' AND pid IS NOT NULL AND database = " . Refundx::literal($database));
}

# How many processes of refundx Postgres sees in the database, by whatever view
# of its own (the status is our word only).
sub processes_of
{
	my ($rx, $database) = @_;
	return $rx->node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity
		 WHERE backend_type LIKE 'refundx %' AND datname = " . Refundx::literal($database));
}

# A test: other processes than before are up.
sub came_back
{
	my ($rx, $database, $before, $what) = @_;
	my $old = join ',', values %$before;

	return ok($rx->poll(
			"SELECT count(*) >= 3 AND bool_and(state = 'up' AND pid NOT IN ($old))
			 FROM refundx.worker_status()
			 WHERE kind <> 'clerk' AND database = " . Refundx::literal($database)),
		$what) || diag(worker_states($rx, $database));
}

sub timed
{
	my ($code) = @_;
	my $start = time();

	$code->();
	return time() - $start;
}

# A test: it takes no longer than that.
sub quick
{
	my ($code, $limit, $what) = @_;
	my $took = timed($code);

	return ok($took < $limit, "$what takes less than $limit s")
	  || diag("it took $took s");
}

# How long the log is now; give it to the functions that search it.
sub log_mark
{
	my ($rx) = @_;
	return -s $rx->node->logfile;
}

1;
