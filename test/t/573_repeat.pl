# What WeChat has accepted, and goes on with only when it gets the same request
# again: once there is money in the account that transfers are paid from.

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
my $no = $all->start('wechat', 'FUNDS', 19303);
my $merchant = $all->sandbox->channel_config(undef, 'wechat')->{mchid};
my $row = "FROM refundx.instruction WHERE instruction_no = '$no'";

ok($rx->poll("SELECT state = 'accepted' AND detail = 'PROCESSING' AND attempts > 2 $row"),
	'it is accepted, and sent again and again');
is($rx->sql("SELECT count(*) FROM refundx.event e JOIN refundx.instruction i USING (instruction_id)
	WHERE i.instruction_no = '$no' AND e.from_state <> e.to_state AND e.from_state <> 'queued' AND e.from_state <> 'sending'"),
	0, 'it stays accepted all the while');
is($all->journal($no), 'freeze', 'and frozen');
is($all->transfer($no)->{paid_times}, 0, 'nothing was paid');
$all->sandbox->ctl('balance', $merchant, '1000000');
$rx->wait_state($no, 'succeeded', 'with money there, the next repeat goes through');
is($all->transfer($no)->{paid_times}, 1, 'and pays once');
my %digests = map { $_->{digest} => 1 } grep { $_->{call} eq 'wechat.transfer.create' } @{ $all->sandbox->wire };
is(scalar keys %digests, 1, 'all were the same bytes');
drained($rx);
$rx->check_ok;

done_testing();
