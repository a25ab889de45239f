# Sealing the journal: how far behind it is while 5,000 lines a second are written,
# what it costs those who submit meanwhile, and what one backend seals when it does
# nothing else.

package Bench::Seals;

use strict;
use warnings;

use Time::HiRes qw(time sleep);

my $payments = 100_000;
my $clients = 8;
my $interval = 5;		# of the clerk: several rounds in each measurement
my $runs = 0;

# One line of the journal each.
my $submit = <<"SQL";
\\set p random(1, $payments)
\\set n :n + 1
SELECT refundx.refund_submit('wx1', 'P' || :p, 'R' || :run || '-' || :client_id || '-' || :n, 100);
SQL

sub load
{
	my ($server, $seconds, @options) = @_;

	$runs++;
	return $server->pgbench($submit, 'bench', $clients, $seconds, '-D', 'n=0', '-D', "run=$runs", @options);
}

sub unsealed
{
	my ($server) = @_;
	return $server->sql('SELECT (SELECT count(*) FROM refundx.journal) - (SELECT coalesce(sum(lines), 0) FROM refundx.seal)');
}

sub drained
{
	my ($server) = @_;
	my $began = time;

	Bench::wait_for('all is sealed', 300, sub { unsealed($server) == 0 });
	return time - $began;
}

# While somebody holds this lock the clerk seals nothing; all else goes on.
sub hold_seals
{
	my ($server) = @_;
	my $pid = Bench::spawn("$server->{dir}.hold.log", "$ENV{BINDIR}/psql", '-X', '-q', '-h', $server->{dir}, '-p', '5432',
		'-U', 'postgres', '-d', 'bench', '-c', 'BEGIN; LOCK TABLE refundx.seal IN EXCLUSIVE MODE; SELECT pg_sleep(86400)');

	Bench::wait_for('the seals are locked', 30, sub {
		$server->sql("SELECT count(*) FROM pg_locks WHERE relation = 'refundx.seal'::regclass AND mode = 'ExclusiveLock' AND granted") > 0;
	});
	return $pid;
}

sub release_seals
{
	my ($server, $pid) = @_;

	$server->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(86400)%' AND pid <> pg_backend_pid()");
	Bench::reap($pid);
	return drained($server);
}

sub keeps_up
{
	my ($server, $seconds) = @_;
	my $rate = load($server, $seconds, '-R', 5000);
	my $left = unsealed($server);

	Bench::figure('seals', 'behind at the end of 5,000 lines a second', sprintf('%.1f s', $left / $rate),
		sprintf('%.0f/s; the clerk comes every %d s', $rate, $interval), $left / $rate, '<=', 3 * $interval);
	Bench::figure('seals', 'and sealed to the end after', sprintf('%.1f s', drained($server)));
	return;
}

sub cost
{
	my ($server, $seconds) = @_;
	my (@with, @without);

	foreach my $round (1 .. Bench::rounds())
	{
		my $holder = hold_seals($server);

		push @without, load($server, $seconds);
		release_seals($server, $holder);
		push @with, load($server, $seconds);
		drained($server);
	}
	Bench::figure('seals', "refund_submit while it is sealed, $clients clients", sprintf('%.0f/s', Bench::median(@with)),
		sprintf('while it is not %.0f/s', Bench::median(@without)),
		Bench::median(map { $with[$_] / $without[$_] } 0 .. $#with), '>=', 0.98);
	return;
}

# What nobody has sealed yet, at once.
sub alone
{
	my ($server) = @_;
	my @rates;

	foreach my $round (1 .. Bench::rounds())
	{
		my $holder = hold_seals($server);

		$runs++;
		$server->sql("SELECT count(refundx.account_credit('A' || (i % 10000 + 1), 1, 'C$runs-' || i)) FROM generate_series(1, 100000) i");
		$server->configure('refundx.clerk_interval' => '1d');
		$server->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'refundx clerk%'");
		$server->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(86400)%' AND pid <> pg_backend_pid()");
		Bench::reap($holder);
		my $began = time;
		my $lines = $server->sql('SELECT refundx.journal_seal()');
		push @rates, $lines / (time - $began) if $lines > 0;
	}
	Bench::figure('seals', 'journal_seal(), one backend', sprintf('%.0f/s', Bench::median(@rates)),
		sprintf('%.1f us a line', 1e6 / Bench::median(@rates)), Bench::median(@rates), '>=', 50000);
	return;
}

sub run
{
	my $server = Bench->new('seals', settings => { 'refundx.clerk_interval' => "${interval}s" });
	my $seconds = $Bench::quick ? 10 : 30;

	$server->payments('P', $payments);
	$server->refunds('P', 1, 1000);
	$server->sql('VACUUM ANALYZE');
	$server->sql('CHECKPOINT');
	drained($server);
	keeps_up($server, $seconds);
	cost($server, $seconds);
	alone($server);
	die "the journal does not verify\n" if $server->sql('SELECT count(*) FROM refundx.journal_verify()') ne '0';
	return;
}

1;
