# What a database forgets, and what is copied: promotion, restore, dumps,
# templates and clones.  Whatever may have been sent is asked about before it
# is sent again, and a copy does not pay.
#
# fault_28: after failover or restore, a refund that was sent has been
# forgotten, and goes out again.  fault_34: a copy of production pays.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Oracle;
use Test::More;

my $rx = Refundx->new('primary',
	streaming => 1,
	sandbox => [ '--speed', 60, '--callback-delay-ms', 20, '--hold-ms', 2000 ],
	config => { time_scale => 60, not_found_after => 1 },
	settings => { 'max_worker_processes' => 20, 'refundx.clerk_interval' => '1s' });
my $sandbox = $rx->sandbox;

# The same world, seen from another server or another database.
sub elsewhere
{
	my ($from, %what) = @_;
	return bless { %$from, %what }, 'Refundx';
}

sub start
{
	my ($in, $no, $amount) = @_;
	$in->payment("P$no", 50000, account => 'A');
	return $in->refund("P$no", $no, $amount);
}

sub dispatch
{
	my ($in, $on) = @_;
	$in->set('refundx.dispatch' => $on);
	return ok($in->poll("SELECT count(*) = 1 FROM refundx.worker_status() WHERE kind = 'dispatcher'
						   AND database = current_database()
						   AND doing " . ($on eq 'off' ? '' : 'NOT ') . "LIKE '%dispatch is off%'"),
		"dispatch is $on");
}

my $mark = 0;

# calls_since() gives those after the last call of this.
sub mark { $mark = @{ $sandbox->wire }; return }

# The calls about a number, in order: "query create query ..."
sub calls_since
{
	my ($no) = @_;
	my @wire = @{ $sandbox->wire };
	return join ' ', map { /^wechat\.refund\.(\w+)/ ? $1 : () }
	  map { $_->{call} } grep { $_->{no} eq $no } @wire[ $mark .. $#wire ];
}

# A standby of it that streams.
sub standby_of
{
	my ($in, $name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$in->node->backup("for_$name");
	$node->init_from_backup($in->node, "for_$name", has_streaming => 1);
	$node->start;
	return elsewhere($in, node => $node);
}

sub caught_up
{
	my ($in, $standby) = @_;
	$in->node->wait_for_catchup($standby->node, 'replay', $in->node->lsn('flush'));
	return;
}

$rx->sql("SELECT refundx.account_open('A', 'CNY')");
$rx->sql("SELECT refundx.account_credit('A', 100000000, 'opening')");

# ------------------------------------------------------------------------
# A standby that is up to date, with refunds in flight
# ------------------------------------------------------------------------

$rx->payment('P0', 1000);
my $second = standby_of($rx, 'second');

is($second->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'refundx %' AND datname IS NOT NULL"),
	0, 'on a standby no worker is in the database');
like($second->sql_error('SELECT ' . $rx->refund_text('P0', 'S0', 1)), qr/^25006 /, 'and nothing can be submitted');
like($second->sql_error("SELECT refundx.account_credit('A', 1, 'on a standby')"), qr/^25006 /, 'nor an account be credited');

$sandbox->ctl('pause-callbacks', 'on');
start($rx, 'A1', 19018);
ok(Refundx::wait_for(sub { paid_times($rx, 'A1') }, 'A1 is paid'), 'A1 is paid, and its answer held');
start($rx, 'A2', 19019);
ok(Refundx::wait_for(sub { sent_times($rx, 'A2') }, 'A2 arrives'), 'A2 is on the wire, without effect');
start($rx, 'A3', 19013);
$rx->wait_state('A3', [ 'accepted', 'succeeded' ]);
caught_up($rx, $second);
mark();
$rx->kill9;
$second->node->promote;
ok(Refundx::wait_for(sub { calls_since('A2') =~ /create/ }, 'A2 again'),
	'A2 is not found, and sent again by the new primary');
like(calls_since('A2'), qr/^query /, 'after it was asked about');
$sandbox->ctl('release', 'all');
$sandbox->ctl('pause-callbacks', 'off');
$second->wait_state($_, 'succeeded', "$_ ends well on the new primary") foreach qw(A1 A2 A3);
unlike(calls_since('A1'), qr/create/, 'A1 is not sent again');
is(paid_times($rx, $_), 1, "$_ is paid once") foreach qw(A1 A2 A3);
start($second, 'A4', 10000);
$second->wait_state('A4', 'succeeded', 'the new primary goes on with new ones');
like(calls_since('A4'), qr/^query .*create/, 'which are asked about first: their numbers may have been used in what was lost');
sound($second, 'after a promotion');
is($second->sql("SELECT cause, asked, answered, submitted_since FROM refundx.recoveries"), 'timeline|3|3|1', 'the recovery is on record')
  if $second->poll("SELECT state = 'books' FROM refundx.recoveries");
$second->sql("SELECT refundx.recover_done('the standby was up to date')");
start($second, 'A5', 10000);
$second->wait_state('A5', 'succeeded');
like(calls_since('A5'), qr/^create/, 'from then on they are sent at once');
like(slurp_file($second->node->logfile), qr/new timeline|timeline 2/, 'the log says why it asks');

# ------------------------------------------------------------------------
# A standby that is behind: the attempts themselves are lost
# ------------------------------------------------------------------------

my $third = standby_of($second, 'third');

dispatch($second, 'off');
start($second, "B$_", 10000 + $_) foreach 1 .. 4;
caught_up($second, $third);
# What happens from here on is lost.
$third->node->append_conf('postgresql.conf', "primary_conninfo = ''\n");
$third->node->reload;
ok($second->poll('SELECT count(*) = 0 FROM pg_stat_replication'), 'the standby is cut off');

# B1 and B2 are paid; B3 is canceled; B4 waits.  B5 is not even known there.
$second->sql("SELECT refundx.refund_cancel('B3', 'changed their mind')");
$second->sql("UPDATE refundx.instruction SET may_send = false WHERE instruction_no = 'B4'");
start($second, 'B5', 10005);
# so that their callbacks do not tell the new primary before it asks
$sandbox->ctl('pause-callbacks', 'on');
dispatch($second, 'on');
ok(Refundx::wait_for(sub { (grep { paid_times($rx, $_) } qw(B1 B2 B5)) == 3 }, 'three are paid'),
	'three refunds are paid which the standby has not seen sent');
is(sent_times($rx, 'B4'), 0, 'one is still queued');
$second->kill9;
mark();

# refundx.dispatch was off when the standby lost its primary
$third->configure('refundx.dispatch' => 'on');
$third->node->promote;
$third->node->reload;
$third->wait_state($_, 'succeeded', "$_ ends on the new primary") foreach qw(B1 B2 B4);
is(calls_since($_) =~ /^query( query)*$/ ? 1 : 0, 1, "$_ is asked about and not sent") || diag(calls_since($_))
  foreach qw(B1 B2);
like(calls_since('B4'), qr/^query .*create/, 'B4, which nobody had sent, is sent after it was asked about');
# The cancel was lost as well, so it is as if nobody had asked for it.
$third->wait_state('B3', 'succeeded');
like(calls_since('B3'), qr/^query .*create/, 'B3 too');
is(paid_times($rx, $_), 1, "$_ is paid once") foreach qw(B1 B2 B3 B4 B5);

# The only trace of B5 is its callback.
$sandbox->ctl('pause-callbacks', 'off');
$third->payment('PB5', 50000, account => 'A');
$sandbox->ctl('callback', 'B5');
ok($third->poll("SELECT count(*) = 1 FROM refundx.external_refund WHERE wire_no = 'B5'"),
	'the callback of one that is not known here is kept, and with a person');
# Its caller, who never heard of a commit that was lost, asks again.
is(Refundx::wait_for(sub { $third->state('B5') eq '' }, 'B5'), 1, 'B5 is not ours');
start_again($third, 'B5');

sub start_again
{
	my ($in, $no) = @_;

	$in->refund("P$no", $no, 10005);
	$in->wait_state($no, 'succeeded', "$no, submitted again with its number, succeeds");
	is(paid_times($rx, $no), 1, 'and is still paid once');
	return;
}
tables_ok($third, 'after losing the newest');
$third->ledger_ok('after losing the newest');

# ------------------------------------------------------------------------
# Restored to before the last send
# ------------------------------------------------------------------------

my $fourth = PostgreSQL::Test::Cluster->new('fourth');
my $old = $third;

$old->node->enable_archiving;
$old->node->restart;
$old->node->backup('pitr');
start($old, 'D0', 10000);
$old->wait_state('D0', 'succeeded');
dispatch($old, 'off');
start($old, "D$_", 10000 + $_) foreach 1 .. 3;
$old->node->safe_psql('postgres', "SELECT pg_create_restore_point('before the send')");
$sandbox->ctl('pause-callbacks', 'on');
$old->sql("UPDATE refundx.instruction SET may_send = false WHERE instruction_no = 'D3'");
dispatch($old, 'on');
$old->wait_state($_, [ 'accepted', 'succeeded' ], "$_ is sent") foreach qw(D1 D2);
ok(Refundx::wait_for(sub { (grep { paid_times($rx, $_) } qw(D1 D2)) == 2 }, 'D1 and D2 are paid'));
$old->node->safe_psql('postgres', 'SELECT pg_switch_wal()');
$old->node->stop('fast');

$fourth->init_from_backup($old->node, 'pitr', has_restoring => 1, standby => 0);
$fourth->append_conf('postgresql.conf',
	"recovery_target_name = 'before the send'\nrecovery_target_action = 'promote'\narchive_mode = off\nrefundx.dispatch = on\n");
mark();
$fourth->start;
my $restored = elsewhere($old, node => $fourth);
$restored->poll('SELECT NOT pg_is_in_recovery()') or die 'it stays in recovery';
$restored->wait_state($_, 'succeeded', "$_ ends on the restored server") foreach qw(D1 D2 D3);
unlike(calls_since($_), qr/create/, "$_ is asked about and not sent again") foreach qw(D1 D2);
like(calls_since('D3'), qr/^query .*create/, 'D3 is sent, after it was asked about');
is(paid_times($rx, $_), 1, "$_ is paid once") foreach qw(D0 D1 D2 D3);
$sandbox->ctl('pause-callbacks', 'off');
sound($restored, 'after a restore');

# ------------------------------------------------------------------------
# Copies: a dump, a template
# ------------------------------------------------------------------------

my $copy = elsewhere($restored, database => 'copy');
my $twin = elsewhere($restored, database => 'twin');
my $dump = "$PostgreSQL::Test::Utils::tmp_check/shop.dump";

dispatch($restored, 'off');
start($restored, "E$_", 10000 + $_) foreach 1 .. 3;
$fourth->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $fourth->connstr('shop') ], 'pg_dump');
$fourth->safe_psql('postgres', "CREATE DATABASE copy");
$fourth->command_ok([ 'pg_restore', '--exit-on-error', '-d', $fourth->connstr('copy'), $dump ], 'pg_restore');
$fourth->safe_psql('postgres', 'CREATE DATABASE twin TEMPLATE shop');
foreach my $table (qw(payment instruction journal event evidence attempt request))
{
	my $count = "SELECT count(*) FROM refundx.$table";
	is($_->sql($count), $restored->sql($count), "$table is complete in $_->{database}") foreach $copy, $twin;
}
$restored->set('refundx.databases' => 'shop:' . $rx->callback_port . ', copy, twin');
foreach my $other ($copy, $twin)
{
	ok($other->poll("SELECT count(*) = 3 FROM refundx.worker_status() WHERE state = 'up'
					   AND database = current_database() AND kind IN ('dispatcher', 'settler', 'courier')"),
		"workers are in $other->{database}");
	is($other->sql('SELECT refundx.armed()'), 'f', "$other->{database} is not armed");
}
# The original sends E1 and E2; E3 is the copies' to send, if they would.
$restored->sql("UPDATE refundx.instruction SET may_send = false WHERE instruction_no = 'E3'");
$restored->set('refundx.dispatch' => 'on');
$restored->wait_state($_, 'succeeded', "$_: the original sends it") foreach qw(E1 E2);
foreach my $other ($copy, $twin)
{
	ok($other->poll("SELECT doing LIKE 'not armed%' FROM refundx.worker_status()
					  WHERE kind = 'dispatcher' AND database = current_database()"),
		"$other->{database} says that it is not armed");
	# new work does not tempt it either
	$other->payment("PX-$other->{database}", 10000);
	$other->refund("PX-$other->{database}", "X-$other->{database}", 5000);
	ok($other->poll("SELECT clock_timestamp() > submitted_at + interval '1 s' FROM refundx.instruction
					  WHERE instruction_no = 'X-$other->{database}'"));
	is($other->sql("SELECT string_agg(DISTINCT state, ' ') FROM refundx.instruction WHERE is_open"), 'queued',
		"everything waits in $other->{database}");
}
is(sent_times($rx, $_), 1, "$_ was sent once") foreach qw(E1 E2);
is(sent_times($rx, $_), 0, "$_ was not sent") foreach qw(E3 X-copy X-twin);

like($copy->sql_error("SELECT refundx.arm('')"), qr/^22023 /, 'arming wants a reason');
mark();
$restored->set('refundx.databases' => 'copy:' . $rx->callback_port);
$copy->sql("SELECT refundx.arm('the copy is production now')");
$copy->wait_state($_, 'succeeded', "$_ ends in the copy that was armed") foreach qw(E1 E2 E3 X-copy);
unlike(calls_since($_), qr/create/, "$_ was asked about and not sent again") foreach qw(E1 E2);
like(calls_since($_), qr/^query .*create/, "$_ is sent, after it was asked about") foreach qw(E3 X-copy);
is($copy->sql("SELECT count(*) FROM refundx.audit WHERE action = 'arm' AND reason = 'the copy is production now'"),
	1, 'who armed it is on record');
is(paid_times($rx, $_), 1, "$_ is paid once") foreach qw(E1 E2 E3 X-copy);
tables_ok($copy, 'in the copy');

# ------------------------------------------------------------------------
# A clone by copying files: the same installation, to all appearances
# ------------------------------------------------------------------------

dispatch($copy, 'off');
start($copy, 'F1', 10000);
$fourth->stop('fast');
$fourth->backup_fs_cold('cold');
my $clone = PostgreSQL::Test::Cluster->new('clone');
$clone->init_from_backup($fourth, 'cold', standby => 0);
$clone->append_conf('postgresql.conf', "refundx.dispatch = off\n");
$clone->start;
my $cloned = elsewhere($copy, node => $clone);
is($cloned->sql('SELECT refundx.armed()'), 't', 'a clone by files is armed');
ok($cloned->poll("SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'"),
	'but refundx.dispatch is off');
start($cloned, 'F2', 10000);
ok($cloned->poll("SELECT clock_timestamp() > submitted_at + interval '1 s' FROM refundx.instruction WHERE instruction_no = 'F2'"));
is($cloned->state($_), 'queued', "$_ waits in it") foreach qw(F1 F2);
is(sent_times($rx, $_), 0, "$_ was not sent") foreach qw(F1 F2);
$clone->stop('fast');

is(scalar(grep { $_->{paid_times} > 1 } @{ $sandbox->refunds }), 0, 'nothing was ever paid twice');

$sandbox->stop;
done_testing();
