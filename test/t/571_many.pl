# Many withdrawals in one call.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main');
my $rx = $all->rx;

# An element of the list.
sub order
{
	my ($no, $amount, %more) = @_;
	my $payee = $more{payee} || $all->payee('wechat');

	return sprintf("ROW(%s, '%s', %s, 'wechat', '%s', NULL, NULL, NULL, NULL)::refundx.withdrawal_order",
		"'" . ($more{account} || 'A') . "'", $no, $amount, Refundx::to_json($payee));
}

sub many { return 'SELECT refundx.withdraw_submit_many(ARRAY[' . join(', ', @_) . ']::refundx.withdrawal_order[])' }

$rx->sql("SELECT refundx.account_open('B', 'CNY'), refundx.account_credit('B', 1500, 'b')");
$rx->sql("SELECT refundx.account_open('S', 'CNY', 4), refundx.account_credit('S', 100000, 's')");

is($rx->sql(many(order('M1', 1000), order('M2', 1000, account => 'B'), order('M3', 1000), order('M1', 1000))),
	3, 'three are new, and one is there twice');
is($rx->sql(many(order('M3', 1000), order('M4', 1000))), 1, 'what was submitted before is not');
is($rx->sql(many()), 0, 'none');
is($rx->sql(many(map { order("MS$_", 100, account => 'S') } 1 .. 50)), 50, 'from an account with slots');
is($rx->sql(many(map { order("MA$_", 100) } 1 .. 500)), 500, 'hundreds');
drained($rx, 'all of them');
sound($rx, 'all of them');

# ---- all or none ----

my $before = $rx->sql('SELECT count(*) FROM refundx.instruction');
like($rx->sql_error(many(order('M5', 100), order('M6', 1000, account => 'B'))), qr/^RX004/, 'one too much for its account');
like($rx->sql_error(many(order('M5', 100), order('M6', 100, payee => { openid => 'short' }))),
	qr/^RX010.*payee\.openid/, 'one that cannot be paid');
like($rx->sql_error(many(order('M5', 100), order('M1', 999))), qr/^RX003/, 'one whose number was used');
like($rx->sql_error(many(order('M5', 100), order('M5', 101))), qr/^RX003/, 'one whose number is in the same list, with another amount');
my (undef, undef, $said) = $rx->{node}->psql($rx->{database},
	many(order('M5', 300, account => 'B'), order('M6', 300, account => 'B')));
like($said, qr/200 are available and 300 are frozen/, 'one too much, of what the list itself has left');
(undef, undef, $said) = $rx->{node}->psql($rx->{database}, many(map { order("MF$_", $_ == 250 ? 0 : 100) } 1 .. 300));
like($said, qr/must be positive, not 0.*withdrawal "MF250"/s, 'one of hundreds, which is named');
like($rx->sql_error(many('NULL')), qr/^22023/, 'nothing in a place of the list');
like($rx->sql_error('SELECT refundx.withdraw_submit_many(NULL)'), qr/^22023/, 'no list');
is($rx->sql('SELECT count(*) FROM refundx.instruction'), $before, 'left nothing behind');
is($rx->sql(many(order('M5', 100), order('M7', 500, account => 'B'))), 2, 'and works afterwards, in the same session or not');
drained($rx);
sound($rx, 'at the end');

done_testing();
