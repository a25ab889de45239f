# Bench
#	  What the benchmarks share: a server and a sandbox of their own, programs
#	  that are timed, statistics, and the table at the end.
#
# Every figure stands beside a baseline that was measured in the same minutes:
# what is compared takes turns (A B A B ...), and what is reported is the
# median of the pairs.

package Bench;

use strict;
use warnings;

use IO::Handle;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(time sleep);

our $quick = 0;
our $work = $ENV{BENCH_WORK} or die "run test/bench/run\n";

my @results;
my @children;
my @servers;

# The same for both sides of every comparison.  Checkpoints are kept out of the
# measurements; full durability is not touched.
my %settings = (
	shared_buffers => '1GB',
	max_wal_size => '16GB',
	checkpoint_timeout => '30min',
	wal_buffers => '16MB',
	synchronous_commit => 'on',
	fsync => 'on',
	track_commit_timestamp => 'on',
	max_connections => 100,
	'refundx.dispatch' => 'off');

# ---- results ----

sub rounds { return $quick ? 3 : 5 }

# figure(benchmark, what, measured, baseline, compared, ">=" or "<=", target):
# measured and baseline are for people, compared is what the target is about.
sub figure
{
	my ($benchmark, $what, $value, $baseline, $compared, $sense, $target) = @_;
	my $pass = !defined $target ? ''
	  : $sense eq '>=' ? ($compared >= $target ? 'pass' : 'MISS')
	  : ($compared <= $target ? 'pass' : 'MISS');
	my @row = ($benchmark, $what, $value, $baseline // '', number($compared),
		defined $target ? "$sense " . number($target) : '', $pass);

	push @results, \@row;
	printf "%-52s %18s  vs %-26s = %s  %s %s\n", @row[1 .. 6];
	return;
}

sub number
{
	my ($n) = @_;
	return '' unless defined $n;
	return $n =~ /[^0-9.]/ ? $n : $n >= 100 ? sprintf('%.0f', $n) : sprintf('%.2f', $n) + 0;
}

sub report
{
	my @head = ('benchmark', 'figure', 'measured', 'baseline', 'compared', 'target', 'verdict');
	my @width = map { length } @head;

	open(my $tsv, '>', "$work/results.tsv") or die "results.tsv: $!\n";
	foreach my $row (\@head, @results)
	{
		print $tsv join("\t", @$row), "\n";
		foreach my $i (0 .. $#head)
		{
			$width[$i] = length $row->[$i] if length $row->[$i] > $width[$i];
		}
	}
	close($tsv);
	print "\n";
	foreach my $row (\@head, [ map { '-' x $_ } @width ], @results)
	{
		print '| ', join(' | ', map { sprintf('%-*s', $width[$_], $row->[$_]) } 0 .. $#head), " |\n";
	}
	return;
}

# ---- statistics ----

sub percentile
{
	my ($p, @values) = @_;
	die "nothing was measured\n" unless @values;
	my @sorted = sort { $a <=> $b } @values;
	my $at = POSIX::ceil($p / 100 * @sorted) - 1;
	return $sorted[ $at < 0 ? 0 : $at ];
}

sub median { return percentile(50, @_) }

sub mean
{
	my $sum = 0;
	$sum += $_ foreach @_;
	return @_ ? $sum / @_ : 0;
}

# ---- processes ----

# What it prints; dies unless it succeeds.
sub output
{
	my (@command) = @_;
	open(my $pipe, '-|', @command) or die "$command[0]: $!\n";
	local $/;
	my $out = <$pipe>;
	close($pipe) or die "@command failed ($?)\n";
	return $out // '';
}

sub shell { return output('/bin/sh', '-c', $_[0]) }

# In the background; ends with us.
sub spawn
{
	my ($log, @command) = @_;
	my $pid = fork() // die "fork: $!\n";

	if ($pid == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', $log);
		open(STDERR, '>&', \*STDOUT);
		exec(@command) or POSIX::_exit(127);
	}
	push @children, $pid;
	return $pid;
}

sub reap
{
	my ($pid, $signal) = @_;

	kill $signal, $pid if $signal;
	waitpid($pid, 0);
	@children = grep { $_ != $pid } @children;
	return $?;
}

# Microseconds of CPU time that a process has used.
sub cpu_us
{
	my ($pid) = @_;
	open(my $f, '<', "/proc/$pid/schedstat") or die "process $pid is gone\n";
	return (split ' ', <$f>)[0] / 1000;
}

# kB of memory that are the process' own.
# Memory of the process' own.  A page of shared memory that nobody else has
# touched yet counts as private to the kernel (rows that only this process
# inserts are on such pages), so shared mappings are left out.
sub private_kb
{
	my ($pid) = @_;
	my ($kb, $shared) = (0, 0);

	open(my $f, '<', "/proc/$pid/smaps") or die "process $pid is gone\n";
	while (<$f>)
	{
		$shared = $1 eq 's' if /^[0-9a-f]+-[0-9a-f]+ [r-][w-][x-]([ps]) /;
		$kb += $1 if !$shared && /^Private_\w+:\s+(\d+) kB/;
	}
	return $kb;
}

sub wait_for
{
	my ($what, $seconds, $code) = @_;
	my $deadline = time + $seconds;

	until ($code->())
	{
		die "timed out: $what\n" if time > $deadline;
		sleep 0.05;
	}
	return;
}

sub free_port
{
	require Socket;
	socket(my $s, Socket::PF_INET(), Socket::SOCK_STREAM(), 0) or die $!;
	bind($s, Socket::sockaddr_in(0, Socket::INADDR_LOOPBACK())) or die $!;
	return (Socket::sockaddr_in(getsockname($s)))[0];
}

sub slurp
{
	my ($file) = @_;
	open(my $f, '<', $file) or die "$file: $!\n";
	local $/;
	return scalar <$f>;
}

sub stop_all
{
	$_->stop foreach @{ [@servers] };
	reap($_, 'KILL') foreach @children;
	return;
}

END
{
	my $status = $?;
	eval { stop_all() };
	$? = $status;
}

# ---- a server, with the database "bench" ----

my @mchid = map { 1900000100 + $_ } 0 .. 99;
my @app = map { 2021000000000000 + $_ } 0 .. 99;

# Channels wx1 ..., alipay1 ... and stripe1, whatever is measured.
# new(name, merchants => 1, apps => 1, callbacks => 0, sandbox => [options], settings => {...})
sub new
{
	my ($class, $name, %options) = @_;
	my $dir = "$work/$name";
	my $self = bless {
		dir => $dir,
		port => free_port(),
		merchants => $options{merchants} || 1,
		apps => $options{apps} || 1,
		callbacks => $options{callbacks},
	}, $class;

	$self->start_sandbox(@{ $options{sandbox} || [] });
	output('tools/cluster', 'start', $dir,
		$self->settings(%settings, %{ $options{settings} || {} },
			'refundx.key_directory' => "$work/$name.sandbox/keys",
			'refundx.databases' => "bench:$self->{port}"));
	push @servers, $self;
	$self->sql('CREATE DATABASE bench', 'postgres');
	$self->sql('CREATE EXTENSION refundx');
	foreach my $m (1 .. $self->{merchants})
	{
		my $config = $self->channel_config($m > 1 ? "channel-$mchid[$m]" : 'channel');
		$self->sql("SELECT refundx.channel_add('wx$m', 'wechat', '$config')");
	}
	foreach my $m (1 .. $self->{apps})
	{
		my $config = $self->channel_config('channel-alipay' . ($m > 1 ? "-$app[$m]" : ''));
		$self->sql("SELECT refundx.channel_add('alipay$m', 'alipay', '$config')");
	}
	$self->sql("SELECT refundx.channel_add('stripe1', 'stripe', '" . $self->channel_config('channel-stripe') . "')");
	wait_for('the workers are up', 60, sub {
		$self->sql("SELECT count(*) >= 4 FROM refundx.worker_status() WHERE state = 'up'") eq 't';
	});
	return $self;
}

sub settings
{
	my ($self, %values) = @_;
	return map { "$_=$values{$_}" } sort keys %values;
}

sub configure
{
	my ($self, %values) = @_;
	output('tools/cluster', 'reload', $self->{dir}, $self->settings(%values));
	my ($name, $value) = %values;
	wait_for("$name is $value", 10, sub { $self->sql("SHOW $name") eq $value });
	return;
}

sub start_sandbox
{
	my ($self, @options) = @_;
	my $data = "$self->{dir}.sandbox";

	output("$work/bin/refundx-sandbox", 'init', '--data', $data,
		(map { ('--mchid', $mchid[$_]) } 1 .. $self->{merchants}),
		(map { ('--app-id', $app[$_]) } 1 .. $self->{apps}));
	$self->{sandbox} = $data;
	$self->{sandbox_pid} = spawn("$data/serve.log", "$work/bin/refundx-sandbox", 'serve',
		'--data', $data, @options);
	wait_for('the sandbox is ready', 30, sub { -s "$data/port" });
	return;
}

sub channel_config
{
	my ($self, $name) = @_;
	my $config = JSON::PP->new->utf8->decode(slurp("$self->{sandbox}/$name.json"));

	# without an address nobody is called back
	$config->{public_base_url} = "http://127.0.0.1:$self->{port}" if $self->{callbacks};
	return JSON::PP->new->utf8->canonical->encode($config);
}

sub sql
{
	my ($self, $sql, $database) = @_;
	my $out = output("$ENV{BINDIR}/psql", '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1',
		'-h', $self->{dir}, '-p', '5432', '-U', 'postgres', '-d', $database || 'bench', '-c', $sql);
	chomp $out;
	return $out;
}

sub rows
{
	my ($self, $sql) = @_;
	return map { [ split /\|/, $_, -1 ] } split /\n/, $self->sql($sql);
}

sub worker_pid
{
	my ($self, $kind) = @_;
	my $pid = $self->sql("SELECT pid FROM refundx.worker_status() WHERE kind = '$kind' AND state = 'up'");
	die "no $kind\n" unless $pid;
	return $pid;
}

sub stop
{
	my ($self) = @_;
	@servers = grep { $_ != $self } @servers;
	reap($self->{sandbox_pid}, 'KILL') if $self->{sandbox_pid};
	system("grep -E 'ERROR|FATAL|PANIC|WARNING' '$self->{dir}/server.log' | head -20");
	if ($ENV{BENCH_KEEP})
	{
		output('tools/cluster', 'stop', $self->{dir});
		return;
	}
	output('tools/cluster', 'destroy', $self->{dir});
	output('/bin/rm', '-rf', $self->{sandbox}, glob "$self->{dir}.*");
	return;
}

# Payments PREFIX1 .. PREFIXn, each of an account (of 10,000 at most), spread
# over the channels.
sub payments
{
	my ($self, $prefix, $n, $accounts) = @_;

	$accounts //= $n < 10000 ? $n : 10000;
	$self->accounts($accounts) if $accounts;
	my $account = $accounts ? "'A' || (i % $accounts + 1)" : 'NULL';
	$self->sql("SELECT count(refundx.payment_record('wx' || (i % $self->{merchants} + 1), '$prefix' || i,
		               1000000000, 'CNY', '42000' || i, now(), account => $account))
		          FROM generate_series(1, $n) i");
	return;
}

# Refunds PREFIXfrom .. PREFIXto, one of each payment, submitted in bulk.
sub refunds
{
	my ($self, $prefix, $from, $to, $amount) = @_;

	$amount //= 100;
	$self->sql("SELECT count(refundx.refund_submit('wx' || (i % $self->{merchants} + 1), '$prefix' || i,
		               '$prefix-' || i, $amount)) FROM generate_series($from, $to) i");
	return;
}

# Refunds PREFIX-from .. PREFIX-to as submit and dispatch leave them when the
# channel has accepted them.  Written directly, in sets, because it is not what
# is measured; accounts A1 .. An exist and have one line in their journal.
sub accepted
{
	my ($self, $prefix, $from, $to, $accounts) = @_;

	$self->sql("
		INSERT INTO refundx.payment (channel_id, payment_no, currency, paid, refunding, parts,
		                             account_id, channel_payment_id, paid_at)
		SELECT c.channel_id, '$prefix' || i, 'CNY', 10000, 100, 1, a.account_id, '42000' || i, now()
		  FROM generate_series($from, $to) i
		  JOIN refundx.channel c ON c.name = 'wx1'
		  JOIN refundx.account a ON a.account_no = 'A' || (i % $accounts + 1);
		INSERT INTO refundx.instruction (instruction_no, wire_no, channel_id, merchant_id, payment_id,
		            account_id, amount, currency, state, due_at, due_call, attempts,
		            first_attempt_at, last_attempt_at)
		SELECT '$prefix-' || i, '$prefix-' || i, c.channel_id, c.merchant_id, p.payment_id,
		       p.account_id, 100, 'CNY', 'accepted', now() + interval '1 hour', 'query', 1, now(), now()
		  FROM generate_series($from, $to) i
		  JOIN refundx.channel c ON c.name = 'wx1'
		  JOIN refundx.payment p ON p.channel_id = c.channel_id AND p.payment_no = '$prefix' || i;
		INSERT INTO refundx.journal (account_id, version, type, instruction_id,
		            d_available, d_frozen, d_outside, available, frozen)
		SELECT i.account_id, l.version + i.n, 'freeze', i.instruction_id,
		       -100, 100, 0, l.available - 100 * i.n, l.frozen + 100 * i.n
		  FROM (SELECT account_id, instruction_id,
		               row_number() OVER (PARTITION BY account_id ORDER BY instruction_id) AS n
		          FROM refundx.instruction
		         WHERE instruction_no IN (SELECT '$prefix-' || i FROM generate_series($from, $to) i)) i
		  CROSS JOIN LATERAL (SELECT version, available, frozen FROM refundx.journal
		                       WHERE account_id = i.account_id ORDER BY version DESC LIMIT 1) l;
		INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor)
		SELECT instruction_id, 'weighed', 'sending', 'accepted', session_user
		  FROM refundx.instruction
		 WHERE instruction_no IN (SELECT '$prefix-' || i FROM generate_series($from, $to) i)");
	return;
}

sub accounts
{
	my ($self, $n) = @_;
	$self->sql("SELECT count(refundx.account_open('A' || i, 'CNY')),
		               count(refundx.account_credit('A' || i, 1000000000000, 'opening'))
		          FROM generate_series(1, $n) i");
	return;
}

# Rates per second of a counter (a query for its value), while the seconds pass.
# With `burst`, the work goes on for a second (go) and rests for two (rest), or
# it would need more of it than can be prepared.
sub rates
{
	my ($self, $query, $seconds, $burst) = @_;
	my @rates;
	my $end = time + $seconds;

	while (time < $end - 0.1)
	{
		my ($at, $count) = (time, $self->sql($query));

		$burst->{go}->() if $burst;
		sleep 1;
		$burst->{rest}->() if $burst;
		push @rates, ($self->sql($query) - $count) / (time - $at);
		sleep 2 if $burst;
	}
	return @rates;
}

# The median time of a one-row durable commit, in us, at so many a second.
sub commit_us
{
	my ($self, $rate, $seconds) = @_;
	my $prefix = "$self->{dir}.commit" . ++$self->{logs};

	$self->sql('CREATE TABLE public.one_row (n int, at timestamptz)') if $self->{logs} == 1;
	$self->pgbench("INSERT INTO public.one_row VALUES (1, now());\n", 'bench', 1, $seconds,
		'-R', $rate, '-l', '--log-prefix', $prefix);
	my @us = map { $_->[2] } pgbench_log($prefix);
	unlink glob "$prefix.*";
	return @us;
}

# ---- pgbench ----

# (transactions per second, failed transactions); options for pgbench
sub pgbench
{
	my ($self, $script, $database, $clients, $seconds, @options) = @_;
	my @script = ref $script ? @$script : ('-f', $self->script($script));
	my $out = output("$ENV{BINDIR}/pgbench", '-h', $self->{dir}, '-p', '5432', '-U', 'postgres',
		'-n', '-M', 'prepared', '-c', $clients, '-j', $clients > 2 ? 2 : $clients,
		'-T', $seconds, @script, @options, $database);

	$out =~ /^tps = ([\d.]+)/m or die "pgbench says: $out\n";
	return $1;
}

sub script
{
	my ($self, $text) = @_;
	my $file = "$self->{dir}." . ++$self->{scripts} . '.sql';

	open(my $f, '>', $file) or die "$file: $!\n";
	print $f $text;
	close($f);
	return $file;
}

# pgbench's log of each transaction: [client, number, latency us, unix us]
sub pgbench_log
{
	my ($prefix) = @_;
	my @rows;

	foreach my $file (glob "$prefix.*")
	{
		foreach my $line (split /\n/, slurp($file))
		{
			my ($client, $n, $latency, undef, $s, $us, $lag) = split ' ', $line;
			# a transaction that started late is not a slow one
			push @rows, [ $client, $n, $latency - ($lag // 0), $s * 1_000_000 + $us ]
			  if $latency =~ /^\d+$/;
		}
	}
	return @rows;
}

# A session that holds an xid and a snapshot until it is ended.
sub hold_transaction
{
	my ($self) = @_;
	my $pid = spawn("$self->{dir}.held.log", "$ENV{BINDIR}/psql", '-X', '-q', '-h', $self->{dir},
		'-p', '5432', '-U', 'postgres', '-d', 'bench', '-c',
		"SET application_name = 'holds'; BEGIN ISOLATION LEVEL REPEATABLE READ;
		 SELECT pg_current_xact_id(), count(*) FROM refundx.channel; SELECT pg_sleep(86400)");

	wait_for('somebody holds a transaction', 10, sub {
		$self->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND backend_xmin IS NOT NULL
			          AND query LIKE '%pg_sleep(86400)%' AND pid <> pg_backend_pid()") > 0;
	});
	return $pid;
}

sub release_transaction
{
	my ($self, $pid) = @_;

	$self->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		         WHERE query LIKE '%pg_sleep(86400)%' AND pid <> pg_backend_pid()");
	reap($pid);
	return;
}

1;
