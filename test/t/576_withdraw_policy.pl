# What a withdrawal costs, and how much of it there may be: fees and limits, to the
# unit, whatever becomes of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run ();
use JSON::PP ();
use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main');
my $rx = $all->rx;
my $sandbox = $all->sandbox;
my $opening = 1_000_000;
my $n = 0;

sub yes { return $_[0] ? JSON::PP::true : JSON::PP::false }

# An account with rules of its own; its name, which is letters and digits.
sub account
{
	my ($channel, $policy) = @_;
	my $name = 'ACC' . ++$n;

	$rx->sql("SELECT refundx.account_open('$name', 'CNY'), refundx.account_credit('$name', $opening, 'opening')");
	$all->policy($channel, $policy, $name) if $policy;
	return $name;
}

# The SQLSTATE and message of a withdrawal that is refused.
sub refusal
{
	my ($channel, $account, $amount) = @_;
	return $rx->sql_error('SELECT ' . $all->text($channel, 'NO' . ++$n, $amount, account => $account));
}

# ---- fees, in each case of what becomes of it ----

# [ policy, asked, fee ]: the share is of what was asked for, half a unit rounded up.
my @fees = (
	[ { fee_fixed => 150 }, 10000, 150 ],
	[ { fee_percent => 0.6 }, 10000, 60 ],
	[ { fee_percent => 0.6 }, 10083, 60 ],    # 60.498
	[ { fee_percent => 0.6 }, 10084, 61 ],    # 60.504
	[ { fee_percent => 0.5 }, 10100, 51 ],    # 50.5
	[ { fee_percent => 0.0001 }, 10000, 0 ],
	[ { fee_percent => 1, fee_cap => 80 }, 10000, 80 ],
	[ { fee_percent => 1, fee_cap => 80 }, 7000, 70 ],
	[ { fee_fixed => 30, fee_percent => 1, fee_cap => 2000 }, 10000, 130 ],
	[ { fee_fixed => 30, fee_percent => 1, fee_cap => 100 }, 10000, 100 ]);
my @paid;

foreach my $channel ($all->names)
{
	foreach my $on_top (0, 1)
	{
		foreach my $case (@fees)
		{
			my ($policy, $asked, $fee) = @$case;
			my $account = account($channel, { %$policy, fee_on_top => yes($on_top) });

			push @paid, { account => $account, asked => $asked, fee => $fee,
				net => $on_top ? $asked : $asked - $fee, no => $all->no($channel, $account) };
			# before it commits, and so before it can be paid
			my ($balance) = reverse split /\n/, $rx->sql('BEGIN; SELECT '
				  . $all->text($channel, $paid[-1]{no}, $asked, account => $account)
				  . "; SELECT available, frozen FROM refundx.accounts WHERE account = '$account'; COMMIT");
			is($balance, join('|', $opening - $paid[-1]{net} - $fee, $paid[-1]{net} + $fee),
				"$account: of $asked so much is frozen");
		}
	}
}
foreach my $w (@paid)
{
	$all->ends($w->{no}, 'succeeded', $w->{fee} ? 'freeze pay_out fee' : 'freeze pay_out');
	is($all->shown($w->{no}, 'amount, fee, net'), "$w->{asked}|$w->{fee}|$w->{net}", "$w->{no}: the fee is what it should be");
	is($all->transfer($w->{no})->{paid_out}, $w->{net}, "$w->{no}: the payee got the rest");
	is($all->balance($w->{account}), ($opening - $w->{net} - $w->{fee}) . '|0', "$w->{no}: and the account paid both");
}

# What came to nothing: the fee goes back or is kept, as the rules were when it was
# submitted; and what was canceled never costs anything.
foreach my $channel ($all->names)
{
	foreach my $back (0, 1)
	{
		my $policy = { fee_fixed => 150, fee_on_top => yes(1), fee_back_on_failure => yes($back) };
		my $account = account($channel, $policy);
		# 9001 is refused, 9011 is given up later
		my @failed = map { $all->start($channel, "F$_$account", 10000 + $_, account => $account) } 9001, 9011;

		# later rules change nothing
		$all->policy($channel, { fee_fixed => 7, fee_back_on_failure => yes(!$back) }, $account);
		$all->ends($_, 'failed', $back ? 'freeze release' : 'freeze release fee') foreach @failed;
		is($all->balance($account), ($back ? $opening : $opening - 300) . '|0',
			"$channel: the fee of what failed is " . ($back ? 'given back' : 'kept'));
	}
}
{
	my $account = account('wechat', { fee_fixed => 150, fee_back_on_failure => yes(0), approve_above => 1 });
	my $no = $all->start('wechat', 'CANCELED', 10000, account => $account);
	is($rx->sql("SELECT (refundx.withdraw_cancel('$no')).state"), 'canceled');
	is($all->balance($account), "$opening|0", 'what was canceled costs nothing');
	like(refusal('wechat', account('wechat', { fee_fixed => 500 }), 500), qr/^RX020 of a withdrawal of 500 nothing would be left/,
		'a fee that eats everything is refused');
	like(refusal('alipay', account('alipay', { fee_fixed => 150, fee_on_top => yes(1) }), $opening), qr/^RX004 /,
		'what is there must pay the fee, too');
	my $whole = account('wechat', { fee_fixed => 150 });
	$all->ends($all->start('wechat', 'WHOLE', 190000, account => $whole), 'succeeded', 'freeze pay_out fee');
}

# ---- limits of one withdrawal ----

{
	my $account = account('wechat', { minimum => 1000, maximum => 5000 });
	like(refusal('wechat', $account, 999), qr/^RX020 the amount 999 is below the minimum of 1000/, 'below the minimum');
	like(refusal('wechat', $account, 5001), qr/^RX020 the amount 5001 is above the 5000/, 'above the maximum');
	is($all->balance($account), "$opening|0", 'nothing is frozen');
	$all->ends($all->start('wechat', "LIM$_", $_, account => $account), 'succeeded') foreach 1000, 5000;
	# the channel's rules are for those that have none of their own, and replaced whole
	$all->policy('alipay', { maximum => 3000, fee_fixed => 9 });
	like(refusal('alipay', account('alipay'), 3001), qr/^RX020 /, 'the channel\'s rule');
	$all->ends($all->start('alipay', 'OWN', 3001, account => account('alipay', { maximum => 4000 })), 'succeeded');
	$all->policy('alipay', undef);
	$all->ends($all->start('alipay', 'NORULE', 3001, account => account('alipay')), 'succeeded');
}

# ---- limits of a day ----

sub day_ok { $all->ends($_[0], 'succeeded'); return }
{
	my $sum = account('wechat', { day_amount => 30000, day_zone => 'UTC' });
	my $times = account('alipay', { day_count => 2, day_zone => 'UTC' });
	my $midnight = 86400 - $rx->sql("SELECT extract(epoch FROM now() AT TIME ZONE 'UTC')::bigint % 86400");

	day_ok($all->start('wechat', 'D1', 20000, account => $sum));
	like(refusal('wechat', $sum, 10001), qr/^RX020 the amount 10001 is more than the 10000 left of today's limit/, 'more than is left of the day');
	# what fails gives its place back: 9001 is refused
	my $failed = $all->start('wechat', 'D2', 9001, account => $sum);
	like(refusal('wechat', $sum, 1000), qr/^RX020 .*999 left/, 'while it is open it counts');
	$all->ends($failed, 'failed');
	my $canceled = $all->start('wechat', 'D3', 10000, account => $sum, reason => 'to be canceled');
	$rx->wait_state($canceled, [ 'accepted', 'succeeded' ], 'the failed one gave its place back');
	day_ok($canceled);
	like(refusal('wechat', $sum, 1000), qr/^RX020 .* 0 left/, 'the day is full');

	day_ok($all->start('alipay', "C$_", 1000, account => $times)) foreach 1, 2;
	like(refusal('alipay', $times, 1000), qr/^RX020 the account has made 2 withdrawals today, and 2 are allowed/, 'no more of them today');
	# what came back had gone out: it counts
	my $bounces = account('alipay', { day_count => 1, day_zone => 'UTC' });
	my $own = $all->start('alipay', 'BOUNCES', 10000, account => $bounces, who => 'card');
	$rx->wait_state($own, 'succeeded');
	$sandbox->ctl('bounce', $own);
	$all->ends($own, 'returned');
	like(refusal('alipay', $bounces, 1000), qr/^RX020 /, 'what came back still counts');
	# another account has a day of its own
	day_ok($all->start('alipay', 'OTHER', 1000, account => account('alipay', { day_count => 1, day_zone => 'UTC' })));
	wire_ok($rx, 'before the clock moves');

	# a day ends at midnight of its zone, by our clock
	$rx->set('refundx.clock_offset' => $midnight + 60);
	day_ok($all->start('wechat', 'D4', 30000, account => $sum));
	day_ok($all->start('alipay', "C$_", 1000, account => $times)) foreach 3, 4;
	like(refusal('alipay', $times, 1000), qr/^RX020 /, 'the next day has its own limit, and no more');
	like(refusal('wechat', $sum, 1000), qr/^RX020 /, 'likewise');
	# a zone in which it is another day
	$all->policy('alipay', { day_zone => 'Pacific/Kiritimati' }, $times);
	is($rx->sql("SELECT count(DISTINCT capped_on) FROM refundx.payout WHERE capped_on IS NOT NULL"), 2, 'two days were counted');
}

# A unapproved one that is canceled, and one that is rejected, give it back as well.
{
	my $account = account('wechat', { day_count => 1, approve_above => 100 });
	my $no = $all->start('wechat', 'E1', 1000, account => $account);

	like(refusal('wechat', $account, 1000), qr/^RX020 /, 'what waits for approval counts');
	$rx->sql("SELECT refundx.withdraw_cancel('$no')");
	$no = $all->start('wechat', 'E2', 1000, account => $account);
	like(refusal('wechat', $account, 1000), qr/^RX020 /, 'the canceled one gave its place back, and one only');
	$rx->sql('CREATE ROLE boss LOGIN IN ROLE refundx_operator');
	like($all->as('boss', "SELECT (refundx.reject('$no', 'no')).state"), qr/^canceled$/);
	$no = $all->start('wechat', 'E3', 1000, account => $account);
	like(refusal('wechat', $account, 1000), qr/^RX020 /, 'so did the rejected one');
	like($all->as('boss', "SELECT (refundx.approve('$no', 'yes')).state"), qr/^queued$/);
	$all->ends($no, 'succeeded');
}

# Many at once of an account find room for no more than there is.
{
	my $account = account('wechat', { day_amount => 50000, day_zone => 'UTC', fee_fixed => 10 });
	my @calls = ('') x 4;
	my @running;

	$calls[$_ % @calls] .= 'SELECT ' . $all->text('wechat', "MANY$_", 5000, account => $account) . ";\n" foreach 0 .. 19;
	foreach my $in (@calls)
	{
		my ($out, $err) = ('', '');
		push @running, IPC::Run::start([ 'psql', '-XAtq', '-d', $rx->node->connstr($rx->database), '-f', '-' ],
			'<', \$in, '>', \$out, '2>', \$err);
	}
	$_->finish foreach @running;
	is($rx->sql("SELECT count(*) FROM refundx.instruction WHERE instruction_no LIKE 'MANY%'"), 10, 'ten of twenty');
	$all->ends($_, 'succeeded', 'freeze pay_out fee') foreach split /\n/,
	  $rx->sql("SELECT instruction_no FROM refundx.instruction WHERE instruction_no LIKE 'MANY%'");
}

drained($rx, 'at the end');
sound($rx, 'at the end');
never_twice($rx);
is($rx->sql('SELECT sum(d_available + d_frozen + d_outside) FROM refundx.journal'), 0, 'no unit is made or lost');
$rx->stop;
done_testing();
