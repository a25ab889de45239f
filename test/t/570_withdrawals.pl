# Withdrawals: what is frozen, paid out, given back, and what comes back.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main');
my $rx = $all->rx;
my $sandbox = $all->sandbox;

# ---- the usual way, at each channel ----

$all->start($_, 'USUAL', 10000) foreach $all->names;
foreach my $channel ($all->names)
{
	my $no = $all->no($channel, 'USUAL');

	$rx->wait_state($no, 'succeeded');
	is($all->journal($no), 'freeze pay_out', 'frozen, then out');
	is($all->transfer($no)->{net}, 10000, "the channel has paid $no once");
	diag $rx->sql("SELECT * FROM refundx.withdraw_timeline('$no')") if $rx->state($no) ne 'succeeded';
}
$all->start('alipay', 'CARD', 10000, who => 'card');
$rx->wait_state('CARDalipay', 'succeeded');
diag $rx->sql("SELECT * FROM refundx.withdrawals");
diag $rx->sql("SELECT * FROM refundx.check()");

done_testing();
