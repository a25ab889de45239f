# A withdrawal that waits for a second person, when part of the past may be
# missing: it is asked about, and is not sent before somebody has agreed.

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

$rx->sql(q{SELECT refundx.withdraw_policy_set('wechat', '{"approve_above": 5000}')});
my $no = $all->start('wechat', 'BIG', 10000);
my $agreed = $all->start('wechat', 'AGREED', 10000);

is($rx->state($no), 'awaiting_approval', 'it waits');
$rx->set('refundx.dispatch' => 'off');
$rx->sql('CREATE ROLE boss LOGIN IN ROLE refundx_operator');
$rx->sql("SET SESSION AUTHORIZATION boss; SELECT refundx.approve('$agreed', 'seen')");
is($rx->sql("SELECT refundx.arm('restored')"), 2, 'both are asked about');
is($rx->state($no), 'unknown', 'for it may have been approved and sent in what was lost');
$rx->set('refundx.dispatch' => 'on');
$rx->wait_state($agreed, 'succeeded', 'what was agreed to is found nowhere, and sent');
$rx->wait_state($no, 'awaiting_approval', 'what was not waits again');
is($all->transfer($no), undef, 'and was never sent');
is($all->journal($no), 'freeze', 'it is frozen all the while');
is($rx->sql("SELECT due_at IS NULL AND due_call IS NULL FROM refundx.instruction WHERE instruction_no = '$no'"), 't',
	'nothing of it is due');
$rx->check_ok('while it waits');
$rx->sql("SET SESSION AUTHORIZATION boss; SELECT refundx.approve('$no', 'seen')");
$rx->wait_state($no, 'succeeded', 'now it is paid');
is($all->transfer($no)->{paid_times}, 1, 'once');
sound($rx, 'at the end');

done_testing();
