# The shops of doc/notifications.md: Alipay notifies them of a payment and of a
# refund, as it does in the same words; they pass the bytes on, and answer.
#
# The Node one runs with npm's pg.  The Python one runs with a psycopg that is
# made here of psql, for Debian's python3 has none; what the page says about
# statements, bytes and commits is the same.  The Java one is compiled, against
# what it uses of Spring and of servlets, where there is a compiler.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Path qw(make_path);
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Refundx;
use Test::More;

my $root = "$FindBin::Bin/../..";
my $work = "$PostgreSQL::Test::Utils::tmp_check/notifications";
my $rx = Refundx->new('shop', channel => 0);
my $sandbox = $rx->sandbox;
my $config = JSON::PP::decode_json(slurp_file($sandbox->data . '/channel-alipay.json'));
my $app = $config->{app_id};
my $orders = 0;
my @running;

make_path($work);
run_or_die("$root/tools/doc-files", "$root/doc/notifications.md", $work);
$rx->sql('SELECT refundx.channel_add(' . join(', ', "'alipay'", "'alipay'",
	Refundx::literal(Refundx::to_json({ %$config, time_scale => 10 })) . '::jsonb') . ')');
$rx->sql(q{
	CREATE TABLE orders (order_no text PRIMARY KEY, total numeric NOT NULL, status text NOT NULL)});
$ENV{SHOP_DSN} = sprintf('host=%s port=%d dbname=%s', $rx->node->host, $rx->node->port, $rx->database);
$ENV{ALIPAY_APP_ID} = $app;
$ENV{PGUSER} = getpwuid($<);

# ---- the three ----

subtest 'Node' => sub {
	run_or_die('sh', "$FindBin::Bin/../conformance/install");
	symlink("$FindBin::Bin/../conformance/node_modules", "$work/node_modules") or die $!;
	local $ENV{SHOP_DSN} = sprintf('postgresql:///%s?host=%s&port=%d',
		$rx->database, $rx->node->host, $rx->node->port);
	shop_passes('node', "$work/shop.mjs");
};

subtest 'Python' => sub {
	plan skip_all => 'there is no python3' unless works('python3', '--version');
	make_path("$work/psql");
	append_to_file("$work/psql/psycopg.py", psycopg_of_psql());
	local $ENV{PYTHONPATH} = "$work/psql";
	local $ENV{PYTHONDONTWRITEBYTECODE} = 1;
	ok(works('python3', '-c', 'import ast, sys; ast.parse(open(sys.argv[1]).read())', "$work/shop.py"),
		'it is Python');
	shop_passes('python3', "$work/shop.py");
};

subtest 'Java' => sub {
	plan skip_all => 'there is no javac' unless works('javac', '-version');
	my @files = write_stubs("$work/java");
	my ($out, $err) = ('', '');
	my $good = IPC::Run::run([ 'javac', '-Xlint:all', '-Werror', '-proc:none', '-d', "$work/classes",
			'-sourcepath', "$work/java", "$work/AlipayNotify.java", @files ],
		'<', \undef, '>', \$out, '2>', \$err);
	ok($good, 'it compiles') or diag("$out$err");
};

$rx->check_ok('all that');
$rx->stop;
done_testing();

# ---- what a shop must do ----

sub shop_passes
{
	my (@command) = @_;
	my $order = 'order-' . ++$orders;
	my $port = start_shop(@command);

	$sandbox->ctl('notify-url', $app, "http://127.0.0.1:$port/alipay/notify");
	$rx->sql("INSERT INTO orders VALUES ('$order', 200.00, 'new'), ('other-$orders', 1.00, 'new')");
	$sandbox->ctl('order', $app, "202611272200140000$orders", $order, 20000);

	$sandbox->ctl('payment-notify', $app, $order);
	ok($rx->poll("SELECT status = 'paid' FROM orders WHERE order_no = '$order'"), 'a payment is the shop\'s')
	  or diag(slurp_file("$work/shop.log"));
	is(delivered(), 1, 'and Alipay hears success');

	# the same words, but a refund's: an order must not be marked for it
	$rx->sql("UPDATE orders SET status = 'refunding' WHERE order_no = '$order'");
	$rx->sql("SELECT refundx.refund_submit('alipay', '$order', 'R$orders', 5000, payment_amount => 20000,
		currency => 'CNY')");
	$rx->wait_state("R$orders", 'succeeded', 'a refund succeeds');
	ok($rx->poll("SELECT count(*) > 0 FROM refundx.evidence_log
		WHERE refund_no = 'R$orders' AND source = 'callback' AND NOT proof"), 'its notification is refundx\'s');
	is(delivered(), 1, 'and Alipay hears success');
	is($rx->sql("SELECT status FROM orders WHERE order_no = '$order'"), 'refunding', 'no order is marked as paid');

	# one that does not verify, and one when the database says no
	is(post($port, 'trade_status=TRADE_SUCCESS&out_trade_no=other-' . $orders . '&sign_type=RSA2&sign=eA%3D%3D'),
		'401 fail', 'what does not verify is refused');
	$rx->sql('ALTER TABLE orders RENAME TO orders_gone');
	$sandbox->ctl('payment-notify', $app, $order);
	is(delivered('503'), 1, 'what cannot be handled is not acknowledged');
	$rx->sql('ALTER TABLE orders_gone RENAME TO orders');
	is($rx->sql("SELECT status FROM orders WHERE order_no = 'other-$orders'"), 'new', 'nobody else\'s order is paid');
	stop_shops();
	return;
}

# How many deliveries got this answer since it was last asked, once one did.
my $read;
sub delivered
{
	my ($status) = @_;
	my $log = $sandbox->data . '/sandbox.log';
	my $n;

	$status //= '200';
	$read //= 0;
	Refundx::wait_for(
		sub {
			$n = () = substr(slurp_file($log), $read) =~ / callback \d+ .*-> \Q$status\E/g;
			return $n > 0;
		},
		"a delivery is answered $status");
	$read = -s $log;
	return $n;
}

sub post
{
	my ($port, $body) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die $!;

	print $socket "POST /alipay/notify HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n",
	  'Content-Length: ', length($body), "\r\n\r\n", $body;
	my $answer = do { local $/; <$socket> };
	return $answer =~ m{^HTTP/1\.\d (\d+).*?\r\n\r\n(.*)}s ? "$1 $2" : "no answer: $answer";
}

# ---- processes ----

sub start_shop
{
	my (@command) = @_;
	my $port = Refundx::free_port();

	local $ENV{PORT} = $port;
	push @running, IPC::Run::start([@command], '<', \undef, '>', "$work/shop.log", '2>&1');
	Refundx::wait_for(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) }, 'the shop is up')
	  or die slurp_file("$work/shop.log");
	return $port;
}

sub stop_shops
{
	(pop @running)->kill_kill while @running;
	return;
}

END { stop_shops() }

sub works
{
	my (@command) = @_;
	my $out = '';

	return eval { IPC::Run::run([@command], '<', \undef, '>&', \$out) };
}

sub run_or_die
{
	my (@command) = @_;
	my $out = '';

	IPC::Run::run([@command], '<', \undef, '>&', \$out) or die "@command: $out";
	return;
}

# ---- stand-ins ----

sub psycopg_of_psql
{
	return <<'END';
import subprocess


class Error(Exception):
    pass


class Cursor:
    def __init__(self, lines):
        self.lines = lines

    def fetchone(self):
        return [None if v == "\\N" else int(v) if v.isdigit() else v for v in self.lines[0].split("\t")]


def literal(value):
    if isinstance(value, bytes):
        return "'\\x" + value.hex() + "'::bytea"
    return "NULL" if value is None else "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


class Connection:
    def __init__(self, dsn):
        self.psql = subprocess.Popen(["psql", "-XqAt", "-F", "\t", "-P", "null=\\N", "-v", "ON_ERROR_STOP=1", dsn],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.execute("BEGIN")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            self.execute("COMMIT" if kind is None else "ROLLBACK")
        finally:
            self.psql.stdin.close()
            self.psql.wait()

    def execute(self, statement, values=()):
        try:
            self.psql.stdin.write(statement % tuple(literal(v) for v in values) + ";\n\\echo done\n")
            self.psql.stdin.flush()
        except BrokenPipeError:
            raise Error("psql has ended")
        lines = []
        while True:
            line = self.psql.stdout.readline()
            if not line:
                raise Error("psql has ended")
            if line == "done\n":
                return Cursor(lines)
            lines.append(line.rstrip("\n"))


def connect(dsn):
    return Connection(dsn)
END
}

# As much of Spring and of servlets as the page uses.
sub write_stubs
{
	my ($directory) = @_;
	my %classes = (
		'org.springframework.stereotype.Controller' => '@interface Controller {}',
		'org.springframework.web.bind.annotation.PostMapping' => '@interface PostMapping { String[] value(); }',
		'jakarta.servlet.http.HttpServletRequest' =>
		  'interface HttpServletRequest { java.io.InputStream getInputStream() throws java.io.IOException; String getContentType(); }',
		'jakarta.servlet.http.HttpServletResponse' =>
		  'interface HttpServletResponse { void setStatus(int s); void setContentType(String t); java.io.OutputStream getOutputStream() throws java.io.IOException; }');
	my @files;

	foreach my $class (sort keys %classes)
	{
		my ($package) = $class =~ /^(.*)\./;
		my $file = "$directory/" . join('/', split /\./, $class) . '.java';
		make_path($file =~ m{^(.*)/});
		append_to_file($file, "package $package;\npublic $classes{$class}\n");
		push @files, $file;
	}
	return @files;
}
