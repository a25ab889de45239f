# kill -9 among withdrawals, and what a promotion or a restore forgets of them: each
# number is paid once, nothing is sent again that was not asked about, what waited for
# a second person waits again, and a copy does not pay.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('primary', streaming => 1,
	sandbox => [ '--callback-delay-ms', 20 ], config => { not_found_after => 1 });
my $rx = $all->rx;
my $sandbox = $all->sandbox;

plan skip_all => 'needs a build with TESTPOINTS=1' unless $rx->has_test_points;
$rx->sql('CREATE ROLE boss LOGIN IN ROLE refundx_operator');

sub each_channel
{
	my ($name, $amount, %more) = @_;
	return map { $all->start($_, $name, $amount, %more) } $all->names;
}

sub converge
{
	my ($numbers, $times) = @_;
	foreach my $own (@$numbers)
	{
		$all->ends($own, 'succeeded');
		is(sent_times($rx, $own), $times, "$own: sent $times times") if defined $times;
	}
	return;
}

# ---- at each moment of one's life ----

# [ test point, amount, how often it is sent if nothing was on the wire twice ]
foreach my $moment (
	[ 'dispatcher-claimed', 10000, 1 ],
	[ 'dispatcher-answered', 10000, 1 ],
	[ 'dispatcher-kept', 19016, 1 ],
	[ 'settler-before-commit', 19016, 1 ],
	[ 'settler-after-commit', 19016, 1 ])
{
	my ($point, $amount, $times) = @$moment;

	foreach my $channel ($all->names)
	{
		subtest "$channel: kill -9 at $point" => sub {
			my ($own, $mark);

			drained($rx, 'before');
			$sandbox->ctl('pause-callbacks', 'on');
			$mark = -s $rx->node->logfile;
			$rx->set('refundx.test_point' => "$point:wait");
			(my $short = $point) =~ s/-//g;
			$own = $all->start($channel, $short, $amount);
			ok(Refundx::wait_for(sub { $rx->node->log_contains("test point \"$point\": waiting", $mark) }, $point), 'there it is');
			is(sent_times($rx, $own), $point eq 'dispatcher-claimed' ? 0 : 1, 'with so much on the wire');
			$rx->kill9;
			$rx->configure('refundx.test_point' => '');
			$rx->node->start;
			$rx->wait_state($own, [ 'succeeded', 'accepted' ]);
			$sandbox->ctl('pause-callbacks', 'off');
			converge([$own], $times);
			like(lines_of($rx, $own), qr/sending>unknown>/, 'it was asked about') if $point =~ /claimed|answered/;
		};
	}
}

# Whatever is in flight, and what waits for somebody.
subtest 'kill -9 with many in flight' => sub {
	my (@numbers, $waits);

	$all->policy('wechat', { approve_above => 90000 });
	$waits = $all->start('wechat', 'WAITS', 90001);
	push @numbers, each_channel("MANY$_", 19000 + $_) foreach 2, 3, 7, 8, 12, 13, 16, 20 .. 23;
	$rx->crash_and_start;
	push @numbers, each_channel("MORE$_", 10000 + $_) foreach 1 .. 5;
	$rx->crash_and_start;
	converge(\@numbers);
	is($rx->state($waits), 'awaiting_approval', 'what waits for a second person still does');
	is($all->journal($waits), 'freeze', 'frozen');
	like($all->as('boss', "SELECT (refundx.approve('$waits', 'after the crash')).state"), qr/^queued$/, 'and can be approved');
	converge([$waits], 1);
};

# What was sent is sent again in the same bytes, whoever does it: the name in a
# request is encrypted, and no second encryption would be the same.
subtest 'the same bytes after a crash' => sub {
	my $own = $all->start('wechat', 'BYTES', 19019, payee => { %{ $all->payee('wechat') }, name => 'Zhang' });

	ok(Refundx::wait_for(sub { sent_times($rx, $own) }, 'it arrives'), 'the channel has it, without effect');
	$rx->crash_and_start;
	ok(Refundx::wait_for(sub { sent_times($rx, $own) > 1 }, 'again'), 'it is sent again');
	$sandbox->ctl('release', 'all');
	$all->ends($own, 'succeeded');
	my %digests = map { $_->{digest} => 1 } grep { $_->{call} eq 'wechat.transfer.create' && $_->{no} eq $own } @{ $sandbox->wire };
	is(scalar keys %digests, 1, 'in the same bytes');
};

# A cancel that was asked for is not forgotten.
subtest 'kill -9 while the payee is waited for, and a cancel asked for' => sub {
	my $own = $all->start('wechat', 'CANCEL', 19307);

	ok($rx->poll("SELECT detail = 'WAIT_USER_CONFIRM' FROM refundx.instruction WHERE instruction_no = '$own'"), 'he is waited for');
	$rx->sql("SELECT refundx.withdraw_cancel('$own')");
	$rx->crash_and_start;
	ok(Refundx::wait_for(sub { $all->calls($own) =~ /cancel/ }, 'cancel'), 'the channel is asked to give it up');
	is($rx->state($own), 'accepted', 'its state stays');
	$sandbox->ctl('settle', $own, 'CANCELLED');
	$all->ends($own, 'canceled');
};

drained($rx, 'after the crashes');
sound($rx, 'after the crashes');
wire_ok($rx, 'after the crashes');
never_twice($rx, 'after the crashes');

# ---- a promotion: the newest is lost ----

my $behind = PostgreSQL::Test::Cluster->new('behind');
$rx->node->backup('for_behind');
$behind->init_from_backup($rx->node, 'for_behind', has_streaming => 1);
$behind->start;
my $new = bless { %$rx, node => $behind }, 'Refundx';
my $there = bless { %$all, rx => $new }, 'Refundx::Withdrawals';

$rx->set('refundx.dispatch' => 'off');
ok($rx->poll("SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'"), 'nothing is sent');
my @sent = each_channel('SENT', 10000);
my @unsent = each_channel('UNSENT', 10001);
my @approved = ($all->start('wechat', 'APPROVED', 90002));
my $unapproved = $all->start('wechat', 'UNAPPROVED', 90003);

$rx->node->wait_for_catchup($behind, 'replay', $rx->node->lsn('flush'));
$behind->append_conf('postgresql.conf', "primary_conninfo = ''\nrefundx.dispatch = on\n");
$behind->reload;
ok($rx->poll('SELECT count(*) = 0 FROM pg_stat_replication'), 'the standby is cut off');

# From here on all is lost: an approval, and what was sent.
$sandbox->ctl('pause-callbacks', 'on');
like($all->as('boss', "SELECT (refundx.approve('$approved[0]', 'seen')).state"), qr/^queued$/, 'one is approved');
$rx->sql('UPDATE refundx.instruction SET may_send = false WHERE instruction_no IN ('
	  . join(', ', map { Refundx::literal($_) } @unsent) . ')');
$rx->set('refundx.dispatch' => 'on');
ok(Refundx::wait_for(sub { (grep { paid_times($rx, $_) } @sent, @approved) == @sent + @approved }, 'paid'),
	'some are paid of which the standby knows nothing');
my $mark = @{ $sandbox->wire };
$rx->kill9;
$behind->promote;

foreach my $own (@sent)
{
	$there->ends($own, 'succeeded');
	like($all->calls($own, $mark), qr/^query( query)*$/, "$own is asked about and not sent again");
}
foreach my $own (@unsent)
{
	$new->wait_state($own, 'succeeded');
	like($all->calls($own, $mark), qr/^query .*create/, "$own is sent, after it was asked about");
}
# It was paid by an approval that is lost: the channel's word counts
$there->ends($approved[0], 'succeeded');
unlike($all->calls($approved[0], $mark), qr/create/, 'what was approved and sent is not sent again');
like($all->calls($approved[0], $mark), qr/^query/, 'it was asked about');
ok($new->poll("SELECT state = 'awaiting_approval' FROM refundx.instruction WHERE instruction_no = '$unapproved'"),
	'what nobody approved waits for somebody again') || diag($new->story($unapproved));
is(sent_times($rx, $unapproved), 0, 'unsent');
is($there->journal($unapproved), 'freeze', 'frozen');
like($there->as('boss', "SELECT (refundx.approve('$unapproved', 'now')).state"), qr/^queued$/, 'and can be approved');
$sandbox->ctl('pause-callbacks', 'off');
$there->ends($unapproved, 'succeeded');
drained($new, 'after the promotion');
tables_ok($new, 'after the promotion');
$new->ledger_ok('after the promotion');
$new->check_ok('after the promotion');
never_twice($rx, 'after the promotion');

# ---- a copy ----

$new->set('refundx.dispatch' => 'off');
ok($new->poll("SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'"), 'nothing is sent');
my @copied = map { $there->start($_, 'COPIED', 10002) } $all->names;
$behind->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE shop');
$new->set('refundx.databases' => 'shop:' . $rx->callback_port . ', copy', 'refundx.dispatch' => 'on');
my $copy = bless { %$new, database => 'copy' }, 'Refundx';
ok($copy->poll("SELECT doing LIKE 'not armed%' FROM refundx.worker_status()
	WHERE kind = 'dispatcher' AND database = current_database()"), 'the copy is not armed');
bless({ %$all, rx => $copy }, 'Refundx::Withdrawals')->start('wechat', 'INCOPY', 10003);
$there->ends($_, 'succeeded') foreach @copied;
is(sent_times($rx, $_), 1, "$_ was sent once") foreach @copied;
is($copy->sql("SELECT string_agg(DISTINCT state, ' ') FROM refundx.instruction WHERE is_open"), 'queued', 'in the copy all of it waits');
is(sent_times($rx, 'INCOPYwechat'), 0, 'and nothing is sent from there');
$mark = @{ $sandbox->wire };
$new->set('refundx.databases' => 'copy:' . $rx->callback_port);
$copy->sql("SELECT refundx.arm('the copy is production now')");
$copy->wait_state($_, 'succeeded', "$_ ends in the copy that was armed") foreach @copied, 'INCOPYwechat';
unlike($all->calls($_, $mark), qr/create/, "$_ was asked about and not sent again") foreach @copied;
like($all->calls('INCOPYwechat', $mark), qr/^query .*create/, 'what is its own is sent, after it was asked about');
never_twice($rx, 'at the end');

$behind->stop('fast');
$sandbox->stop;
done_testing();
