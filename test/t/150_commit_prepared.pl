# Nobody polls: what wakes the workers is the commit, also a prepared one's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Workers;
use Test::More;

# With a minute between two looks, whatever is quick has been woken.
my $rx = Refundx->new('main', settings => { 'refundx.poll_interval' => '60s' });

workers_up($rx, 'shop');
$rx->payment("P$_", 10000) foreach 0 .. 6;

sub submit { return $rx->refund_text("P$_[0]", "R$_[0]", 1000) }

sub arrives
{
	my ($no, $what) = @_;
	return quick(sub {
			Refundx::wait_for(sub { $rx->sandbox->refund($no) }, "$no is at the channel", 20);
		}, 5, $what);
}

# The first one may wait for the channel to be noticed.
$rx->sql('SELECT ' . submit(0));
ok(Refundx::wait_for(sub { $rx->sandbox->refund('R0') }, 'R0 is at the channel'), 'the channel is in use');

$rx->sql('SELECT ' . submit(1));
arrives('R1', 'COMMIT to the channel');

$rx->sql('BEGIN; SELECT ' . submit(2) . "; PREPARE TRANSACTION 'p2'");
$rx->sql('BEGIN; SELECT ' . submit(3) . "; PREPARE TRANSACTION 'p3'");
$rx->sql('SELECT pg_sleep(1)');
ok(!$rx->sandbox->refund('R2'), 'what is only prepared is not sent');
$rx->sql("COMMIT PREPARED 'p2'");
arrives('R2', 'COMMIT PREPARED, in another session, to the channel');
$rx->wait_state('R2', 'succeeded');

$rx->sql("ROLLBACK PREPARED 'p3'");
$rx->sql('BEGIN; SAVEPOINT a; SELECT ' . submit(4) . '; ROLLBACK TO a; SELECT ' . submit(5) . '; COMMIT');
arrives('R5', 'COMMIT after a savepoint that was rolled back');
ok(!$rx->sandbox->refund($_), "$_ was rolled back, and never sent") foreach qw(R3 R4);

# An open transaction that is ended from outside wakes nobody, and harms nobody.
$rx->sql('BEGIN; SELECT ' . submit(6) . '; ROLLBACK');
ok(!$rx->sandbox->refund('R6'), 'ROLLBACK sends nothing');

$rx->wait_state($_, 'succeeded') foreach qw(R0 R1 R5);
$rx->check_ok;
$rx->ledger_ok;
$rx->stop;
done_testing();
