# The listener among crashes, locks, floods, reloads and taken ports: no
# callback is acknowledged that is not kept, and none is kept twice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Callback;
use Refundx::Workers;
use Test::More;
use Time::HiRes qw(time usleep);

plan skip_all => 'node makes the callbacks, and is not here' unless Refundx::Callback::available();

# Nothing is sent: these tests are about what comes in.
my $rx = Refundx->new('listener_life', settings => { 'refundx.dispatch' => 'off', 'refundx.poll_interval' => '1s' });
my $from = Refundx::Callback->new($rx);

sub evidence_of
{
	my ($no) = @_;
	return $rx->sql("SELECT count(*) FROM refundx.evidence WHERE wire_no = '$no'");
}

sub counted
{
	my ($result, $n) = @_;
	return $rx->poll("SELECT sum(n) >= $n FROM refundx.callback_count WHERE result = '$result'");
}

ok($from->wait_ready, 'the listener is ready');

# ---- channels that come, go and lack their keys ----

$rx->sql(q{SELECT refundx.channel_add('late', 'wechat',
	(SELECT config || '{"mchid": "1900000777"}' FROM refundx.channel_settings WHERE name = 'wx'))});
my $early = $from->make({ no => 'L1', amount => 1, mchid => '1900000777' });
ok(Refundx::wait_for(sub { $from->status($early, path => '/v1/late') == 204 }, undef, 5),
	'a channel added a moment ago is known');
$rx->sql(q{SELECT refundx.channel_set('late', '{"apiv3_key": "not_there.key"}')});
is($from->status($early, path => '/v1/late'), 204, 'a revision that cannot be opened does not take the keys away');
$rx->sql(q{SELECT refundx.channel_add('keyless', 'wechat',
	(SELECT config || '{"mchid": "1900000778", "apiv3_key": "not_there.key"}'
	   FROM refundx.channel_settings WHERE name = 'wx'))});
ok(Refundx::wait_for(sub { $from->status($early, path => '/v1/keyless') == 503 }, undef, 5),
	'without its keys: 503, so that it is sent again');
ok(counted('keys_missing', 1), 'and counted');
ok($rx->poll("SELECT problem LIKE '%keyless%' FROM refundx.worker_status() WHERE kind = 'listener'"),
	'the status says which channel');
is($from->status($from->make({ no => 'L2', amount => 1 })), 204, 'the others do not suffer');

# ---- errors while keeping ----

$rx->set('refundx.test_point' => 'listener-before-commit:error');
my ($m1, $m2) = $from->make({ no => 'E1', amount => 1 }, { no => 'E2', amount => 1 });
is($from->status($m1), 204, 'what fails as a batch is kept one by one');
is(evidence_of('E1'), 1, 'indeed');
$rx->set('refundx.test_point' => 'listener-before-commit:error, listener-before-commit-of-one:error');
is($from->status($m2), 503, 'what cannot be kept is not acknowledged');
is(evidence_of('E2'), 0, 'indeed');
ok(counted('not_stored', 1), 'and counted');
$rx->set('refundx.test_point' => '');
is($from->status($m2), 204, 'until it is sent again');

# ---- what the listener may do ----

$rx->sql('REVOKE INSERT ON refundx.evidence FROM refundx_listener');
my $forbidden = $from->make({ no => 'E3', amount => 1 });
is($from->status($forbidden), 503, 'without the right to insert it keeps nothing');
$rx->sql('GRANT INSERT ON refundx.evidence TO refundx_listener');
is($from->status($forbidden), 204, 'and with it no more is needed');

# ---- numbers that are taken ----

my $last = $rx->sql('SELECT max(evidence_id) FROM refundx.evidence');
$rx->sql("SELECT setval('refundx.evidence_evidence_id_seq', $last - 1)");
my $number = $from->make({ no => 'E4', amount => 1 });
ok(Refundx::wait_for(sub { $from->status($number) == 204 }, undef, 5), 'a sequence that lags behind');
is(evidence_of('E4'), 1, 'loses nothing that was acknowledged');

# ---- a table that somebody has locked ----

my $locker = $rx->node->background_psql($rx->database);
$locker->query_safe('BEGIN');
$locker->query_safe('LOCK TABLE refundx.evidence IN SHARE MODE');
my $locked = $from->make({ no => 'K1', amount => 1 });
my $began = time();
is($from->status($locked), 503, 'a locked table: sent again later');
cmp_ok(time() - $began, '<', 5, 'within the five seconds that the channel gives');
$locker->query_safe('COMMIT');
$locker->quit;
is($from->status($locked), 204, 'and kept then');

# ---- crashes ----

foreach my $case ([ 'before', 'C1', 0 ], [ 'after', 'C2', 1 ])
{
	my ($when, $no, $kept) = @$case;
	my $message = $from->make({ no => $no, amount => 1 });
	my $again = $from->make({ no => $no, amount => 1 });

	$rx->set('refundx.test_point' => "listener-$when-commit:crash");
	ok($from->wait_ready, "$when the commit: ready");
	is($from->status($message), 0, "$when the commit: a crash leaves no answer");
	$rx->configure('refundx.test_point' => '');
	ok(Refundx::wait_for(sub { $rx->answers }, 'recovery'),
		"$when the commit: the server recovers");
	$rx->node->reload;
	ok($from->wait_ready, "$when the commit: the listener is back");
	is(evidence_of($no), $kept, "$when the commit: kept " . ($kept ? 'already' : 'not yet'));
	is($from->status($again), 204, "$when the commit: sent again, it is acknowledged");
	is(evidence_of($no), 1, "$when the commit: and is there once");
	ok($rx->poll("SELECT count(*) = 1 FROM refundx.event e JOIN refundx.evidence v USING (evidence_id)
			WHERE v.wire_no = '$no'"), "$when the commit: and weighed once");
}

# ---- its end while somebody waits ----

$rx->set('refundx.test_point' => 'listener-before-commit:wait');
my $held = $from->make({ no => 'T1', amount => 1 });
my $socket = $from->connect;
syswrite($socket, $from->bytes($held));
ok($rx->poll("SELECT query = 'refundx: keeping callbacks' FROM pg_stat_activity
		WHERE backend_type = 'refundx listener'"), 'a callback is being kept');
$rx->sql('SELECT pg_terminate_backend(' . $rx->worker_pid('listener') . ')');
my $answer = $from->hear($socket, 10);
is($answer ? $answer->{status} : 0, 503, 'whoever waits gets 503 when the listener ends');
is(evidence_of('T1'), 0, 'and was not kept');
$rx->set('refundx.test_point' => '');
ok($from->wait_ready, 'it comes back');
is($from->status($held), 204, 'and keeps it');

# ---- a flood ----

my @distinct = $from->make(map { { no => "F$_", amount => 1 } } 1 .. 100);
my $before = $rx->sql('SELECT count(*) FROM refundx.evidence');
my @children;
my $clients = 16;
$began = time();
foreach my $client (1 .. $clients)
{
	my $pid = fork();
	die 'could not fork' unless defined $pid;
	if ($pid == 0)
	{
		# one connection, one request after the other
		my $good = 0;
		my $connection = $from->connect;
		foreach my $i (0 .. $#distinct)
		{
			syswrite($connection, $from->bytes($distinct[ ($i + $client * 7) % @distinct ]));
			my $said = $from->hear($connection, 20);
			$good++ if $said && $said->{status} == 204;
		}
		POSIX::_exit($good == @distinct ? 0 : 1);
	}
	push @children, $pid;
}
my $failed = 0;
foreach my $pid (@children)
{
	waitpid($pid, 0);
	$failed++ if $?;
}
my $took = time() - $began;
is($failed, 0, 'a flood of copies: every one is acknowledged');
is($rx->sql('SELECT count(*) FROM refundx.evidence') - $before, 100, 'and each message is kept once');
note sprintf('%d callbacks in %.2f s', $clients * @distinct, $took);
my $memory = sub {
	my ($kb) = slurp_file('/proc/' . $rx->worker_pid('listener') . '/status') =~ /RssAnon:\s+(\d+)/;
	return $kb;
};
cmp_ok($memory->(), '<', 40 * 1024, 'the listener takes less than 40 MiB');

# ---- rest ----

foreach my $kind (qw(listener courier))
{
	my $switches = sub {
		my ($n) = slurp_file('/proc/' . $rx->worker_pid($kind) . '/status') =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
		return $n;
	};
	my $quiet = sub { my $at = $switches->(); sleep 2; return $switches->() - $at };

	ok(Refundx::wait_for(sub { $quiet->() < 60 }, undef, 20), "the $kind sleeps when there is nothing to do");
}

# ---- settings ----

my $pid = $rx->worker_pid('listener');
$rx->set('refundx.listen_max_body' => '4kB');
ok(Refundx::wait_for(
		sub { $from->status({ headers => {}, body => 'x' x 8192 }) == 413 }, undef, 10),
	'a reload changes the bounds');
is($rx->worker_pid('listener'), $pid, 'in the same process');

my $dir = $rx->node->basedir;
system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1',
	'-keyout', "$dir/tls.key", '-out', "$dir/tls.crt");
chmod 0644, "$dir/tls.key";
$rx->set('refundx.tls_certificate_file' => "$dir/tls.crt", 'refundx.tls_key_file' => "$dir/tls.key");
ok(Refundx::wait_for(
		sub { slurp_file($rx->node->logfile) =~ /goes on receiving callbacks as before the reload: .*tls\.key.*mode 0644/ },
		'the log', 10),
	'a key that others can read is refused, in words');
is($from->status($m1), 204, 'and what worked goes on');
chmod 0600, "$dir/tls.key";
$rx->node->reload;
my $tls = sub {
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'openssl', 's_client', '-quiet', '-ign_eof', '-CAfile', "$dir/tls.crt", '-verify_return_error',
			'-connect', '127.0.0.1:' . $rx->callback_port ],
		'<', \$from->bytes({ headers => { Connection => 'close' }, body => '' }, method => 'GET', path => '/health'),
		'>', \$out, '2>', \$err, IPC::Run::timeout(20));
	return $out;
};
ok(Refundx::wait_for(sub { $tls->() =~ /^HTTP\/1.1 200 / }, undef, 15), 'then it speaks TLS');
$rx->set('refundx.tls_certificate_file' => '', 'refundx.tls_key_file' => '');
ok($from->wait_ready, 'and plain HTTP again');

# ---- a port that is taken ----

my $port = Refundx::free_port();
my $squatter = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1) or die $!;
$rx->set('refundx.databases' => $rx->database . ":$port");
ok($rx->poll("SELECT problem LIKE 'cannot listen on 127.0.0.1 port $port:%' AND state = 'up'
		FROM refundx.worker_status() WHERE kind = 'listener'"), 'a taken port is said, and no crash')
  || diag(worker_states($rx, $rx->database));
my $restarts = $rx->sql("SELECT restarts FROM refundx.worker_status() WHERE kind = 'listener'");
close $squatter;
$rx->{callback_port} = $port;
ok($from->wait_ready, 'when it is free, it is taken');
ok($rx->poll("SELECT problem LIKE 'callbacks of channel %' FROM refundx.worker_status() WHERE kind = 'listener'"),
	'and the complaint is gone') || diag(worker_states($rx, $rx->database));
is($rx->sql("SELECT restarts FROM refundx.worker_status() WHERE kind = 'listener'"), $restarts, 'without a restart');
is($from->status($m1), 204, 'callbacks are taken there');

$rx->check_ok('at the end');
$rx->stop;
done_testing();
