# Withdrawals that were queued when their account was put on hold.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main', only => ['wechat']);
my $rx = $all->rx;

$rx->sql("SELECT refundx.account_open('B', 'CNY'), refundx.account_credit('B', 100000, 'b')");
$rx->set('refundx.dispatch' => 'off');
my $held = $all->start('wechat', 'HELD', 10000);
$rx->sql("UPDATE refundx.account SET hold = 'a contradiction' WHERE account_no = 'A'");
$rx->set('refundx.dispatch' => 'on');
my @others = map { $all->start('wechat', "OTHER$_", 10000, account => 'B') } 1 .. 3;
$rx->wait_state($_, 'succeeded') foreach @others;
is($rx->state($held), 'queued', 'it waits while others that came later are paid');
is($all->transfer($held), undef, 'nothing of it was sent');
like($rx->sql_error('SELECT ' . $all->text('wechat', 'NEWwechat', 100)), qr/^RX007 /, 'and nothing new is taken from the account');
$rx->check_ok('which check() finds in order');
$rx->sql("UPDATE refundx.account SET hold = NULL WHERE account_no = 'A'");
$rx->wait_state($held, 'succeeded', 'without the hold it is sent');
sound($rx, 'at the end');

done_testing();
