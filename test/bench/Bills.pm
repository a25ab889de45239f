# A channel's bill of a million refunds against a million refunds of ours: loading
# it from a file of the server, and reconciling its day, beside COPY of the same
# lines, with all their columns, into a plain table; and the memory of the session
# that does it.

package Bench::Bills;

use strict;
use warnings;

use Time::HiRes qw(time sleep);

my $lines;
my $day;

# Refunds P-1 .. P-n as they are when the channel has paid them.
sub refunds
{
	my ($server) = @_;

	$server->sql("
		INSERT INTO refundx.payment (channel_id, payment_no, currency, paid, refunded, parts, channel_payment_id, paid_at)
		SELECT c.channel_id, 'P' || i, 'CNY', 10000, 100, 1, '42000' || i, now()
		  FROM generate_series(1, $lines) i JOIN refundx.channel c ON c.name = 'wx1'");
	$server->sql("
		INSERT INTO refundx.instruction (instruction_no, wire_no, channel_id, merchant_id, payment_id, amount, currency,
		            state, is_open, attempts, first_attempt_at, last_attempt_at, channel_refund_id)
		SELECT 'P-' || i, 'P-' || i, c.channel_id, c.merchant_id, p.payment_id, 100, 'CNY', 'succeeded', false, 1, now(), now(), '50300' || i
		  FROM generate_series(1, $lines) i JOIN refundx.channel c ON c.name = 'wx1'
		  JOIN refundx.payment p ON p.channel_id = c.channel_id AND p.payment_no = 'P' || i");
	$server->sql('VACUUM ANALYZE');
	$day = $server->sql("SELECT refundx.bill_day(min(first_attempt_at), 28800) FROM refundx.instruction");

	# the day is over, and its bill is there
	$server->configure('refundx.clock_offset' => '2d');
	return;
}

# Header, rows and summary, as WeChat Pay has them (4013071246); each round's file is another.
sub make_file
{
	my ($server, $round) = @_;
	my $head = join(',', split /\s+/, <<'HEAD');
交易时间 公众账号ID 商户号 特约商户号 设备号 微信订单号 商户订单号 用户标识 交易类型 交易状态 付款银行 货币种类 应结订单金额 代金券金额
退款申请时间 退款成功时间 微信退款单号 商户退款单号 退款金额 充值券退款金额 退款类型 退款状态 商品名称 商户数据包 手续费 费率 订单金额 申请退款金额 费率备注
HEAD
	my $summary = join(',', split /\s+/, '总交易单数 应结订单总金额 退款总金额 充值券退款总金额 手续费总金额 订单总金额 申请退款总金额');
	my $merchant = $server->sql("SELECT merchant_no FROM refundx.merchant m JOIN refundx.channel c USING (merchant_id) WHERE c.name = 'wx1'");
	my $file = "$server->{dir}.bill";

	open(my $rows, '>', "$file.rows") or die "$file.rows: $!\n";
	foreach my $i (1 .. $lines)
	{
		my $at = sprintf('%s %02d:%02d:%02d', $day, $i / 3600 % 24, $i / 60 % 60, $i % 60);

		print $rows join(',', map { "`$_" }
			  ($at, 'wx0123456789abcdef', $merchant, 0, '', "42000$i", "P$i", 'oUpF8uMuAJO_M2pxb1Q9zNjWeS6o', 'JSAPI', 'REFUND', 'OTHERS', 'CNY',
				'0.00', '0.00', $at, $at, "50300$i", "P-$i", '1.00', '0.00', 'ORIGINAL', 'SUCCESS', "tea of round $round", '', '0.00000', '0.60%',
				'0.00', '1.00', '')), "\n";
	}
	close($rows);
	open(my $ends, '>', "$file.head") or die;
	print $ends "$head\n";
	close($ends);
	open($ends, '>', "$file.tail") or die;
	print $ends "$summary\n", join(',', map { "`$_" } ($lines, '0.00', "$lines.00", '0.00', '0.00', '0.00', "$lines.00")), "\n";
	close($ends);
	Bench::shell("cat '$file.head' '$file.rows' '$file.tail' | gzip -6 > '$file.gz' && chmod 644 '$file.gz' '$file.rows'");
	return $file;
}

# Seconds that a statement takes in a session of its own, and the most that the
# session had in memory of its own meanwhile, in MiB.
sub watched
{
	my ($server, $sql) = @_;
	my $most = 0;
	my $out = "$server->{dir}.out";
	my $pid = Bench::spawn($out, "$ENV{BINDIR}/psql", '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', $server->{dir}, '-p', '5432', '-U', 'postgres',
		'-d', 'bench', '-c', "SET application_name = 'watched'", '-c', $sql, '-c', 'SELECT pg_sleep(0.2)');
	my $backend;

	Bench::wait_for('the session', 10, sub {
		$backend = $server->sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'watched'");
	});
	while (my $kb = eval { Bench::private_kb($backend) })
	{
		$most = $kb if $kb > $most;
		sleep 0.05;
	}
	Bench::reap($pid);
	return $most / 1024;
}

sub seconds
{
	my ($server, $sql) = @_;
	my $began = time;

	$server->sql($sql);
	return time - $began;
}

sub run
{
	my $server = Bench->new('bills', settings => { 'refundx.fetch_bills' => 'off', 'refundx.clerk_interval' => '1d' });
	my (@copy, @load, @reconcile, @memory);

	$lines = $Bench::quick ? 100_000 : 1_000_000;
	refunds($server);
	$server->sql('CREATE TABLE plain (' . join(', ', map { "c$_ text" } 1 .. 29) . ')');
	foreach my $round (1 .. 3)
	{
		my $file = make_file($server, $round);
		my $load = "SELECT refundx.bill_load_file('wx1', 'trade', '$day', '$file.gz')";
		my $reconcile = "SELECT * FROM refundx.reconcile('wx1', '$day')";

		$server->sql('TRUNCATE plain');
		$server->sql('CHECKPOINT');
		push @copy, seconds($server, "COPY plain FROM '$file.rows' (FORMAT csv)");
		$server->sql('CHECKPOINT');
		push @load, seconds($server, $load);
		push @reconcile, seconds($server, $reconcile);
		unlink "$file.gz", "$file.rows";
	}
	my $matched = $server->sql("SELECT n FROM refundx.reconcile('wx1', '$day', true) WHERE class = 'matched'");
	die "$matched of $lines are matched\n" unless $matched == $lines;

	Bench::figure('bills', "bill_load_file of $lines lines", sprintf('%.2f s', Bench::median(@load)), sprintf('COPY %.2f s', Bench::median(@copy)),
		Bench::median(map { $load[$_] / $copy[$_] } 0 .. 2));
	Bench::figure('bills', "… and reconcile", sprintf('%.2f s', Bench::median(map { $load[$_] + $reconcile[$_] } 0 .. 2)),
		sprintf('COPY %.2f s', Bench::median(@copy)), Bench::median(map { ($load[$_] + $reconcile[$_]) / $copy[$_] } 0 .. 2), '<=', 3);

	# once more, watched: reading /proc costs time
	my $file = make_file($server, 4);
	my $most = watched($server, "SELECT refundx.bill_load_file('wx1', 'trade', '$day', '$file.gz'); SELECT * FROM refundx.reconcile('wx1', '$day')");

	Bench::figure('bills', "memory of a session that loads and reconciles $lines lines", sprintf('%.1f MiB', $most), '', $most, '<=', 200);
	return;
}

1;
