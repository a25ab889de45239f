# Callbacks, from the socket to the settled row: verified, decrypted, committed,
# answered, and settled right after.  Beside it settling alone (the evidence is
# there already), the same without waiting for the disk, and a service in Node
# that does all of it in one transaction each.

package Bench::Callbacks;

use strict;
use warnings;

use JSON::PP ();
use Time::HiRes qw(time sleep);

my $connections = 64;
my $accounts = 10000;
my $next = 1;					# refund that has had no callback yet
my $file;						# of callbacks that were made
my %keys;

sub setup
{
	my ($server) = @_;
	my $config = JSON::PP->new->utf8->decode(Bench::slurp("$server->{sandbox}/channel.json"));

	%keys = (
		id => $config->{use_key},
		mchid => $config->{mchid},
		private => "$server->{sandbox}/private/wechat_pub_key_private.pem",
		public => "$server->{sandbox}/keys/wechat_pub_key.pem",
		apiv3 => "$server->{sandbox}/keys/apiv3.key");
	$file = "$server->{dir}.callbacks";
	$server->accounts($accounts);
	return;
}

# So many callbacks, and the refunds that they are about: ours, or the other
# service's.
sub make
{
	my ($server, $n, $theirs) = @_;
	my $first = $next;
	my $last = $first + $n - 1;

	$next += $n;
	if ($theirs)
	{
		$server->sql("INSERT INTO refund SELECT 'C-' || i, i % $accounts + 1, 100, 'accepted'
			            FROM generate_series($first, $last) i", 'node');
	}
	else { $server->accepted('C', $first, $last, $accounts) }
	$server->sql('CHECKPOINT');
	my $list = "$file.tsv";
	open(my $out, '>', $list) or die "$list: $!\n";
	print $out "C$_\t42000$_\tC-$_\t100\t10000\n" foreach $first .. $last;
	close($out);
	Bench::shell("'$Bench::work/bin/callbacks' make '$keys{private}' '$keys{id}' '$keys{apiv3}' "
		  . "'$keys{mchid}' /v1/wx1 '$file' <'$list'");
	return;
}

# Answered per second; dies if one was not answered with 200.
sub send_all
{
	my ($port, $n, $rate, $log) = @_;
	my ($answered, $refused, $seconds) = split ' ',
	  Bench::output("$Bench::work/bin/callbacks", 'send', $port, $connections, $rate, $file, 0, $n,
		$log ? ($log) : ());

	die "$refused callbacks were refused\n" if $refused;
	return $answered / $seconds;
}

sub settled
{
	my ($server) = @_;
	return $server->sql("SELECT done FROM refundx.worker_status() WHERE kind = 'settler'");
}

# ($answered, $settled) per second, of n callbacks
sub receive
{
	my ($server, $n) = @_;

	make($server, $n);
	my $before = settled($server);
	my $started = time;
	my $answered = send_all($server->{port}, $n, 0);
	Bench::wait_for('all are settled', 120, sub { settled($server) >= $before + $n });
	return ($answered, $n / (time - $started));
}

# Settled per second, when the evidence is there already.
sub alone
{
	my ($server, $n) = @_;
	my $settler = $server->worker_pid('settler');

	make($server, $n);
	my $before = settled($server);
	kill 'STOP', $settler;
	send_all($server->{port}, $n, 0);
	kill 'CONT', $settler;
	my $started = time;
	Bench::wait_for('all are settled', 120, sub { settled($server) >= $before + $n });
	return $n / (time - $started);
}

# ---- the service in Node ----

sub start_baseline
{
	my ($server) = @_;
	my $log = "$server->{dir}.node.log";

	$server->sql('CREATE DATABASE node', 'postgres');
	$server->sql("
		CREATE TABLE account (account_id bigint PRIMARY KEY, available bigint NOT NULL, frozen bigint NOT NULL);
		CREATE TABLE refund (refund_no text PRIMARY KEY, account_id bigint NOT NULL, amount bigint NOT NULL,
			state text NOT NULL, channel_refund_id text, settled_at timestamptz);
		CREATE TABLE journal (journal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			account_id bigint NOT NULL, refund_no text NOT NULL UNIQUE, amount bigint NOT NULL,
			available bigint NOT NULL, frozen bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
		CREATE TABLE message (id text PRIMARY KEY, refund_no text NOT NULL, headers jsonb, body bytea,
			at timestamptz NOT NULL DEFAULT now());
		INSERT INTO account SELECT i, 1000000000, 1000000000 FROM generate_series(1, $accounts) i", 'node');
	Bench::spawn($log, 'node', 'test/bench/baseline.mjs', $server->{dir}, 'node',
		$keys{public}, $keys{id}, $keys{apiv3});
	Bench::wait_for('the service is ready', 20, sub { -s $log && Bench::slurp($log) =~ /^\d+$/m });
	return (Bench::slurp($log) =~ /^(\d+)$/m)[0];
}

sub baseline
{
	my ($server, $port, $n) = @_;
	make($server, $n, 1);
	my $rate = send_all($port, $n, 0);
	die "the service has not settled everything\n"
	  if $server->sql("SELECT count(*) FROM refund WHERE state <> 'succeeded'", 'node') > 0;
	return $rate;
}

# ---- latency ----

# ms from the callback's sending to the commit of its settlement, which is not
# visible before it is durable: c more.
sub latency
{
	my ($server, $n, $c) = @_;
	my $log = "$file.log";
	my $first = $next;

	make($server, $n);
	my $before = settled($server);
	send_all($server->{port}, $n, 200, $log);
	Bench::wait_for('all are settled', 60, sub { settled($server) >= $before + $n });
	my %settled = map { $_->[0] => $_->[1] } $server->rows("
		SELECT substr(i.instruction_no, 3)::int,
		       (extract(epoch FROM pg_xact_commit_timestamp(e.xmin)) * 1000000)::bigint
		  FROM refundx.event e JOIN refundx.instruction i USING (instruction_id)
		 WHERE e.to_state = 'succeeded' AND e.from_state = 'accepted'
		   AND substr(i.instruction_no, 3)::int >= $first");
	my @took;
	foreach my $line (split /\n/, Bench::slurp($log))
	{
		my ($number, $sent) = split /\t/, $line;
		push @took, ($settled{ $first + $number } - $sent) / 1000 + $c;
	}
	return @took;
}

sub run
{
	my $n = $Bench::quick ? 4000 : 12000;
	my $server = Bench->new('callbacks', callbacks => 1);
	my (%rate, @commit, @took);

	setup($server);
	my $node = start_baseline($server);
	receive($server, 1000);		# warms up
	$server->sql('VACUUM ANALYZE');
	baseline($server, $node, 500);
	foreach my $round (1 .. Bench::rounds())
	{
		my ($answered, $settled) = receive($server, $n);
		push @{ $rate{answered} }, $answered;
		push @{ $rate{settled} }, $settled;
		push @{ $rate{node} }, baseline($server, $node, $n / 4);
		push @{ $rate{alone} }, alone($server, $n);
		# the workers commit durably, whatever synchronous_commit says
		$server->configure(fsync => 'off');
		push @{ $rate{unsafe} }, (receive($server, $n))[0];
		$server->configure(fsync => 'on');
	}
	foreach my $round (1 .. Bench::rounds())
	{
		push @commit, $server->commit_us(50, $Bench::quick ? 2 : 5);
		push @took, latency($server, $Bench::quick ? 400 : 2000, Bench::median(@commit) / 1000);
	}

	my %median = map { $_ => Bench::median(@{ $rate{$_} }) } keys %rate;
	my $ratio = sub {
		my ($x, $y) = @_;
		return Bench::median(map { $rate{$x}[$_] / $rate{$y}[$_] } 0 .. $#{ $rate{$x} });
	};
	Bench::figure('callbacks', 'answered and settled, 64 connections',
		sprintf('%.0f/s', $median{settled}), sprintf('Node %.0f/s', $median{node}),
		$median{settled}, '>=', 4000);
	Bench::figure('callbacks', 'the same against the service in Node',
		sprintf('%.0f/s', $median{settled}), sprintf('Node %.0f/s', $median{node}),
		$ratio->('settled', 'node'), '>=', 4);
	Bench::figure('callbacks', 'settled against settling alone',
		sprintf('%.0f/s', $median{settled}), sprintf('alone %.0f/s', $median{alone}),
		$ratio->('settled', 'alone'), '>=', 0.5);
	Bench::figure('callbacks', 'answered against not waiting for the disk',
		sprintf('%.0f/s', $median{answered}), sprintf('fsync=off %.0f/s', $median{unsafe}),
		$ratio->('answered', 'unsafe'), '>=', 0.7);

	my $c = Bench::median(@commit) / 1000;
	my ($p50, $p99) = map { Bench::percentile($_, @took) } 50, 99;
	Bench::figure('callbacks', 'arrival to settled row at 200/s, p50', sprintf('%.2f ms', $p50),
		sprintf('c = %.2f ms', $c), $p50);
	Bench::figure('callbacks', 'arrival to settled row at 200/s, p99', sprintf('%.2f ms', $p99),
		sprintf('5 c = %.2f ms', 5 * $c), $p99 - 5 * $c, '<=', 20);
	return;
}

1;
