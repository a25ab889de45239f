# Files that a bill may turn out to be: packed, in GB18030, and hostile.  What is no
# good is refused with a message, in bounded memory, and leaves nothing.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Encode ();
use IO::Compress::Gzip qw(gzip);
use IPC::Run;
use Refundx;
use Test::More;

my $rx = Refundx->new('main', channel => 0, sandbox => 0, settings => { 'refundx.bill_max_size' => '8MB' });
my $dir = $rx->node->basedir;
my $DAY = '2024-11-20';

$rx->sql(q(SELECT refundx.channel_add('wx', 'wechat', '{"mchid": "1900000666", "merchant_serial": "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB",
	"private_key": "apiclient_key.pem", "apiv3_key": "apiv3.key", "wechat_keys": {"PUB_KEY_ID_0119000001002026010100001": "pub_key.pem"}}'),
	refundx.channel_add('ali', 'alipay', '{"app_id": "2021000000000001", "private_key": "app_key.pem", "alipay_public_key": "alipay_key.pem",
	"seller_id": "2088000000000001"}')));

# ---- how the files are made ----

# Perl has no GB18030 of its own.
sub encode
{
	my ($encoding, $text) = @_;
	my $bytes = Encode::encode('UTF-8', $text);
	my $out = '';

	return $bytes if $encoding eq 'UTF-8';
	IPC::Run::run([ 'iconv', '-f', 'UTF-8', '-t', 'GB18030' ], '<', \$bytes, '>', \$out) or die 'iconv';
	return $out;
}

sub wechat
{
	my ($rows, $name) = @_;
	my $head = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n";
	my $row = "`$DAY 10:00:00,`wx1,`1900000666,`0,`,`42%d,`P%d,`u,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`50%d,`R%d,`1.00,`0.00,`ORIGINAL,`SUCCESS,`$name,`,`0.00000,`0.60%%,`0.00,`1.00,`\r\n";

	return encode('UTF-8', $head . join('', map { sprintf($row, $_, $_, $_, $_) } 1 .. $rows)
		  . "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n`$rows,`0.00,`$rows.00,`0.00,`0.00,`0.00,`$rows.00\r\n");
}

sub alipay
{
	my ($name) = @_;
	my $row = join("\t,", '202411200001', 'o1', '退款', $name) . "\t,$DAY 09:00:00\t,$DAY 10:00:00\t,\t,\t,\t,\t,*三(133****1111)\t,-3.00\t,-3.00\t,0.00,0.00,0.00,0.00,0.00,\t,0.00,0.00,\tR-A\t,0.02,0.00,\t\r\n";

	return encode('gb18030', "#支付宝业务明细查询\r\n#账号：[20880000000000010156]\r\n#起始日期：[2024年11月20日 00:00:00]   终止日期：[2024年11月21日 00:00:00]\r\n"
		  . "#-----------------------------------------业务明细列表----------------------------------------\r\n"
		  . "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注\r\n"
		  . $row
		  . "#-----------------------------------------业务明细列表结束------------------------------------\r\n#交易合计：0笔，商家实收共0.00元，商家优惠共0.00元\r\n"
		  . "#退款合计：1笔，商家实收退款共-3.00元，商家优惠退款共0.00元\r\n#导出时间：[2024年11月21日 06:27:10]\r\n");
}

# A ZIP by hand, so that it may say what it likes: [name, bytes, claimed size].
sub zip
{
	my (@entries) = @_;
	my ($out, $central) = ('', '');

	require Compress::Raw::Zlib;
	foreach my $e (@entries)
	{
		my ($name, $bytes, $claims) = @$e;
		my $size = $claims // length $bytes;
		my $common = pack('vvvvvVVVvv', 20, 0, 0, 0, 0x5974, Compress::Raw::Zlib::crc32($bytes), length $bytes, $size, length $name, 0);
		my $at = length $out;

		$out .= "PK\x03\x04$common$name$bytes";
		$central .= "PK\x01\x02" . pack('v', 20) . $common . pack('vvvVV', 0, 0, 0, 0, $at) . $name;
	}
	return $out . $central . "PK\x05\x06" . pack('vvvvVVv', 0, 0, scalar @entries, scalar @entries, length $central, length $out, 0);
}

sub packed { my ($bytes) = @_; gzip(\$bytes => \my $out) or die; return $out }

# ---- how they are loaded: from memory, and from the server's file ----

my $n = 0;

sub load_text
{
	my ($channel, $bytes, $day) = @_;
	return "SELECT refundx.bill_load('$channel', 'trade', '" . ($day || $DAY) . "', decode('" . unpack('H*', $bytes) . "', 'hex'))";
}

sub file_text
{
	my ($channel, $bytes) = @_;
	my $path = "$dir/bill." . ++$n;

	open(my $fh, '>:raw', $path) or die;
	print $fh $bytes;
	close($fh);
	return "SELECT refundx.bill_load_file('$channel', 'trade', '$DAY', '$path')";
}

sub refused
{
	my ($channel, $bytes, $message, $what) = @_;
	my $why = $rx->sql_error(load_text($channel, $bytes));

	like($why, $message, "$what: refused");
	like($rx->sql_error(file_text($channel, $bytes)), $message, '... from a file too');
	return;
}

# ---- good ones ----

my $gbk = encode('gb18030', '20880000000000010156_20241120_业务明细.csv');
my $sum = encode('gb18030', '20880000000000010156_20241120_业务明细(汇总).csv');

$rx->sql(load_text('wx', packed(wechat(3, '茶'))));
$rx->sql(load_text('wx', wechat(3, '茶')));
is($rx->sql("SELECT count(*) || ' ' || min(packing) FROM refundx.bill"), '1 as it came', 'unpacked it is the same content');
$rx->sql(file_text('ali', zip([ $gbk, alipay("生僻字𠮷𪚥") ], [ $sum, encode('gb18030', "#汇总\r\n") ])));
is($rx->sql("SELECT l.wire_no || ' ' || l.amount || ' ' || l.currency || ' ' || b.state FROM refundx.bill_line l JOIN refundx.bill b USING (bill_id)
	  JOIN refundx.channel c USING (channel_id) WHERE c.name = 'ali'"), 'R-A 300 CNY loaded', 'a ZIP with two entries, names and text in GB18030, four bytes each');
is($rx->sql("SELECT count(*) FROM refundx.bill_chunk k JOIN refundx.bill USING (bill_id) WHERE size = length(bytes)"), 2, 'the files are kept whole');

# ---- hostile ones ----

my $before = $rx->sql('SELECT count(*), (SELECT count(*) FROM refundx.bill_line), (SELECT count(*) FROM refundx.bill_chunk) FROM refundx.bill');
my $bomb = packed("x" x (64 * 1024 * 1024));

cmp_ok(length $bomb, '<', 100_000, 'a small file');
refused('wx', $bomb, qr/RX034|too (long|large)|longer|larger|more than/i, 'a gzip bomb of one line');
refused('wx', packed(wechat(1, 'x') . ("\r\n" x (16 * 1024 * 1024))), qr/is refused/, 'a bomb of empty lines');
my $large = wechat(60_000, 'a name');
refused('wx', packed($large), qr/8388608|8 MB|larger|more than/i, 'a good bill larger than refundx.bill_max_size');
refused('wx', substr(packed(wechat(2000, 'x')), 0, -100), qr/is refused/, 'a gzip file that is cut off');
refused('wx', packed(wechat(2000, 'x')) =~ s/.\z/~/sr, qr/is refused/, 'a gzip file whose length is wrong');
refused('ali', zip([ "/etc/$gbk", alipay('x') ]), qr/is refused/, 'a ZIP with an absolute path');
refused('ali', zip([ "../../$gbk", alipay('x') ]), qr/is refused/, 'a ZIP with a path upwards');
refused('ali', zip([ $gbk, alipay('x') ], [ $gbk, alipay('y') ]), qr/is refused/, 'a ZIP with two bills');
refused('ali', zip([ $gbk, alipay('x'), 0xfffffffe ]), qr/is refused/, 'a ZIP that claims 4 GiB');
refused('ali', substr(zip([ $gbk, alipay('x') ]), 0, -30), qr/is refused/, 'a ZIP that is cut off');
refused('ali', zip(map { [ "$_.csv", 'x' ] } 1 .. 2000), qr/is refused/, 'a ZIP of two thousand entries');
is($rx->sql('SELECT count(*), (SELECT count(*) FROM refundx.bill_line), (SELECT count(*) FROM refundx.bill_chunk) FROM refundx.bill'), $before, 'nothing of them is left');
is($rx->sql(q(SELECT count(*) FROM pg_ls_tmpdir())), 0, 'no temporary file either');
unlike(PostgreSQL::Test::Utils::slurp_file($rx->node->logfile), qr/PANIC|was terminated by signal|leak/, 'the server has not noticed');

# ---- two at once ----

my $one = $rx->node->background_psql($rx->database, on_error_stop => 0);
$one->query('SET client_min_messages = error');
$one->query('BEGIN');
$one->query(load_text('wx', wechat(5, 'other')));
my $two = $rx->node->background_psql($rx->database, on_error_stop => 0);
$two->query('SET client_min_messages = error');
$two->query_until(qr/started/, "\\echo started\n" . load_text('wx', wechat(6, 'another')) . ";\n\\echo over\n");
ok($rx->poll("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"), 'the second waits for the first');
$one->query('COMMIT');
$two->query_until(qr/over/, "\n");
is($rx->sql("SELECT string_agg(b.state || ' ' || lines, ', ' ORDER BY bill_id) FROM refundx.bill b JOIN refundx.channel c USING (channel_id) WHERE c.name = 'wx'"),
	'superseded 3, superseded 5, loaded 6', 'two who load the same day at once: one after the other, the last one counts');
$one->quit;
$two->quit;

$rx->check_ok;
$rx->stop;
done_testing();
