# What a transaction that somebody holds open for two minutes does to us: it
# holds back the horizon of VACUUM, so every dead row since stays where it is.
# Submit, dispatch and settlement are measured by themselves, without it, with
# it, and without it again.

package Bench::Held;

use strict;
use warnings;

use Submit;
use Time::HiRes qw(sleep);

my ($free_for, $held_for) = (30, 120);

# Rates while nobody holds anything, and while somebody does.  `drive` starts
# the work for so many seconds and returns how to end it.
sub compare
{
	my ($server, $what, $counter, $drive, $burst) = @_;
	my (@free, @held);

	foreach my $hold (0, 1, 0)
	{
		my $seconds = $hold ? $held_for : $free_for;
		my $holder = $hold ? $server->hold_transaction : undef;
		my $end = $drive->($seconds);

		push @{ $hold ? \@held : \@free }, $server->rates($counter, $seconds, $burst);
		$end->();
		$server->release_transaction($holder) if $hold;
	}
	my $quarter = int(@held / 4);
	my ($first, $last) = (Bench::mean(@held[ 0 .. $quarter - 1 ]), Bench::mean(@held[ -$quarter .. -1 ]));

	Bench::figure('held', "$what while a transaction is held open",
		sprintf('%.0f/s', Bench::mean(@held)), sprintf('%.0f/s without', Bench::mean(@free)),
		Bench::mean(@held) / Bench::mean(@free), '>=', 0.8);
	Bench::figure('held', "$what, last quarter of it against the first",
		sprintf('%.0f/s', $last), sprintf('%.0f/s first', $first), $last / $first, '>=', 0.9);
	return;
}

sub submit
{
	my $server = Bench->new('held_submit');

	$server->payments('P', $Bench::Submit::payments);
	$server->refunds('P', 1, 1000);
	$server->sql('VACUUM ANALYZE');
	compare($server, 'submit', 'SELECT last_value FROM refundx.instruction_instruction_id_seq', sub {
		my ($seconds) = @_;
		$Bench::Submit::runs++;
		my $pid = fork() // die "fork: $!\n";

		if ($pid == 0)
		{
			eval { Bench::Submit::submit_rate($server, 8, $seconds) };
			POSIX::_exit($@ ? 1 : 0);
		}
		sleep 0.5;
		return sub { waitpid($pid, 0); die "pgbench failed\n" if $?; };
	});
	$server->stop;
	return;
}

sub dispatch
{
	my $server = Bench->new('held_dispatch', merchants => 16, sandbox => ['--no-fsync']);
	my $n = (2 * $free_for + $held_for) * 2000;

	$server->payments('P', $n, 0);
	$server->refunds('P', 1, $n, 9016);
	$server->sql('VACUUM ANALYZE');
	compare($server, 'dispatch', 'SELECT last_value FROM refundx.attempt_attempt_id_seq', sub {
		$server->configure('refundx.dispatch' => 'on');
		return sub {
			die "too few refunds for this machine\n"
			  if $server->sql("SELECT count(*) FROM refundx.instruction WHERE state = 'queued'") == 0;
			$server->configure('refundx.dispatch' => 'off');
			sleep 2;			# what is under way ends
		};
	});
	$server->stop;
	return;
}

sub settle
{
	my $server = Bench->new('held_settle');
	my $n = (2 * $free_for + $held_for) * 5000;
	my $settler;

	$server->accounts(10000);
	$server->accepted('S', 1, $n, 10000);
	$server->sql('VACUUM ANALYZE');
	$settler = $server->worker_pid('settler');
	kill 'STOP', $settler;
	$server->sql("
		INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no,
		            merchant_no, payment_no, channel_payment_id, channel_refund_id, amount, currency, body)
		SELECT i.channel_id, i.merchant_id, 'callback', sha256(convert_to(i.wire_no, 'UTF8')), 'succeeded',
		       true, i.wire_no, m.merchant_no, p.payment_no, p.channel_payment_id,
		       '50300' || i.instruction_id, i.amount, i.currency,
		       convert_to(repeat('{\"a callback\": \"of the usual length\"}', 20), 'UTF8')
		  FROM refundx.instruction i
		  JOIN refundx.payment p USING (payment_id)
		  JOIN refundx.merchant m ON m.merchant_id = i.merchant_id");
	compare($server, 'settlement', "SELECT done FROM refundx.worker_status() WHERE kind = 'settler'", sub {
		return sub {
			die "too little evidence for this machine\n"
			  if $server->sql("SELECT count(*) FROM refundx.instruction WHERE is_open") == 0;
		};
	},
	{
		go => sub { kill 'CONT', $settler },
		rest => sub { kill 'STOP', $settler },
	});
	kill 'CONT', $settler;
	$server->stop;
	return;
}

sub run
{
	($free_for, $held_for) = (6, 20) if $Bench::quick;
	submit();
	dispatch();
	settle();
	return;
}

1;
