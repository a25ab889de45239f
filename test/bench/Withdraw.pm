# Withdrawals: what one costs beside a refund, how far one account goes (a hot
# one, beside one plain row; one with slots, beside a thousand accounts), and what
# a list of them brings.

package Bench::Withdraw;

use strict;
use warnings;

use POSIX ();

my $accounts = 1000;
my $payments = 100_000;
my $payees = 500;
our $runs = 0;

# Somebody of 500, most of whom have been paid before.
my $payee = qq{jsonb_build_object('openid', 'oBench0000000000000000' || lpad((:n % $payees)::text, 6, '0'))};

sub withdraw_from
{
	my ($account) = @_;
	return <<"SQL";
\\set a random(1, $accounts)
\\set n :n + 1
SELECT refundx.withdraw_submit($account, 'W' || :run || 'C' || :client_id || 'N' || :n, 100, 'wx1', $payee);
SQL
}

my $refund = <<"SQL";
\\set p random(1, $payments)
\\set n :n + 1
SELECT refundx.refund_submit('wx1', 'P' || :p, 'R' || :run || '-' || :client_id || '-' || :n, 100);
SQL

my $plain = <<"SQL";
UPDATE plain SET n = n + 1 WHERE id = 1;
SQL

sub rate
{
	my ($server, $script, $clients, $seconds) = @_;

	$runs++;
	return $server->pgbench($script, 'bench', $clients, $seconds, '-D', 'n=0', '-D', "run=$runs");
}

# One after the other, in turns; (what is measured, its baseline).
sub pair
{
	my ($server, $seconds, $ours, $theirs) = @_;
	my (@ours, @theirs);

	foreach my $round (1 .. Bench::rounds())
	{
		push @theirs, rate($server, $theirs->[0], $theirs->[1], $seconds);
		push @ours, rate($server, $ours->[0], $ours->[1], $seconds);
	}
	my @ratios = map { $ours[$_] / $theirs[$_] } 0 .. $#ours;
	return (Bench::median(@ours), Bench::median(@theirs), Bench::median(@ratios));
}

# Lists of a thousand, one call per transaction.  Being about ten times as fast they
# get a fraction of the time: the tables grow alike.
sub many_rate
{
	my ($server, $seconds, $account) = @_;
	my $size = 1000;
	my $list = <<"SQL";
\\set n :n + 1
SELECT refundx.withdraw_submit_many(array_agg(o)) FROM (
  SELECT ($account, 'L' || :run || 'N' || :n || 'I' || i, 100, 'wx1',
          jsonb_build_object('openid', 'oBench0000000000000000' || lpad((i % $payees)::text, 6, '0')),
          NULL, NULL, NULL, NULL)::refundx.withdrawal_order AS o
    FROM generate_series(1, $size) i) x;
SQL

	return $size * rate($server, $list, 1, $seconds);
}

sub run
{
	my $server = Bench->new('withdraw');
	my $seconds = $Bench::quick ? 3 : 8;

	$server->payments('P', $payments, $accounts);
	$server->sql("SELECT refundx.account_open('HOT', 'CNY'), refundx.account_credit('HOT', 1000000000000, 'o'),
		refundx.account_open('SLOTS', 'CNY', 32)");
	$server->sql("SELECT count(refundx.account_credit('SLOTS', 10000000000, 'o' || i)) FROM generate_series(1, 200) i");
	$server->sql('CREATE TABLE plain (id int PRIMARY KEY, n bigint); INSERT INTO plain VALUES (1, 0)');
	$server->refunds('P', 1, 1000);
	many_rate($server, 1, q{'A1'});
	$server->sql('VACUUM ANALYZE');
	$server->sql('CHECKPOINT');

	my ($withdraw, $refunds, $ratio) =
	  pair($server, $seconds, [ withdraw_from(q{'A' || :a}), 1 ], [ $refund, 1 ]);
	Bench::figure('withdraw', 'withdraw_submit, cost (1 client)', sprintf('%.0f us', 1e6 / $withdraw),
		sprintf('refund_submit %.0f us', 1e6 / $refunds), 1 / $ratio, '<=', 1.15);

	# from one account to many payees, and from as many accounts as there are
	foreach my $list ([ 'of one account', q{'A1'}, q{'A1'} ],
		[ "of $accounts accounts", q{'A' || :a}, "'A' || (i % $accounts + 1)" ])
	{
		my ($what, $one, $each) = @$list;
		my (@many, @single);

		foreach my $round (1 .. Bench::rounds())
		{
			push @single, rate($server, withdraw_from($one), 1, $seconds);
			push @many, many_rate($server, POSIX::ceil($seconds / 8), $each);
		}
		Bench::figure('withdraw', "withdraw_submit_many, 1000 $what", sprintf('%.0f/s', Bench::median(@many)),
			sprintf('one call each %.0f/s', Bench::median(@single)),
			Bench::median(map { $many[$_] / $single[$_] } 0 .. $#many), '>=', 12);
	}

	# the last, for these leave a million rows behind
	my ($hot, $row, $of_row) = pair($server, $seconds, [ withdraw_from(q{'HOT'}), 32 ], [ $plain, 32 ]);
	Bench::figure('withdraw', 'one hot account, 32 clients', sprintf('%.0f/s', $hot),
		sprintf('one plain row %.0f/s', $row), $of_row, '>=', 0.9);

	my ($slots, $spread, $of_spread) =
	  pair($server, $seconds, [ withdraw_from(q{'SLOTS'}), 32 ], [ withdraw_from(q{'A' || :a}), 32 ]);
	Bench::figure('withdraw', 'one account with 32 slots, 32 clients', sprintf('%.0f/s', $slots),
		sprintf("$accounts accounts %.0f/s", $spread), $of_spread, '>=', 0.6);
	return;
}

1;
