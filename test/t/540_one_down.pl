# One channel is down: the others go on, health says so, and it comes back by
# itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Channels;
use Refundx::Gate;
use Refundx::Oracle;
use Test::More;
use Time::HiRes qw(time);

my %gate;
my $all = Refundx::Channels->new(
	'main',
	of => {
		map {
			my $channel = $_;
			($channel => sub {
				$gate{$channel} = Refundx::Gate->new($_[0]);
				return (base_url => $gate{$channel}->url,
					$channel eq 'wechat' ? (backup_url => $gate{$channel}->url) : ());
			});
		} @Refundx::Channels::ALL },
	settings => { 'refundx.max_calls' => 20 });
my $rx = $all->rx;
my $sandbox = $all->sandbox;
my $n = 0;

# So many refunds of a channel, in one transaction; their numbers.
sub some
{
	my ($channel, $count, $amount) = @_;
	my @numbers = map { $all->no($channel, 'D' . ++$n) } 1 .. $count;

	$rx->sql('BEGIN; ' . join('; ',
			map {
				my $no = $all->payment_no($channel, $_);
				('SELECT ' . Refundx::call_text('payment_record', channel => $channel, payment_no => $no,
						amount => 50000, currency => 'CNY', paid_at => \'now()', account => 'A',
						channel_payment_id => $all->payment_id($channel, $_)),
					'SELECT ' . $rx->refund_text($no, $_, $amount || 10000, channel => $channel));
			} @numbers) . '; COMMIT');
	return @numbers;
}

sub in { return join ', ', map { Refundx::literal($_) } @_ }

sub all_succeed
{
	my ($what, @numbers) = @_;
	return ok($rx->poll('SELECT count(*) = ' . @numbers . " FROM refundx.instruction WHERE state = 'succeeded'
		AND instruction_no IN (" . in(@numbers) . ')'), $what)
	  || diag($rx->sql('SELECT state, count(*) FROM refundx.instruction WHERE instruction_no IN (' . in(@numbers) . ') GROUP BY 1'));
}

sub attempts
{
	my ($channel) = @_;
	return $rx->sql("SELECT count(*) FROM refundx.attempt JOIN refundx.merchant USING (merchant_id) WHERE kind = '$channel'");
}

my $silent = "FROM refundx.health WHERE what = 'dispatcher' AND level = 'error' AND finding LIKE '%no answer from the channel%'";

all_succeed('all of them are up', map { some($_, 5) } $all->names);

my @ways = (
	[ 'refuses connections', sub { $_[0]->shut }, sub { $_[0]->open } ],
	[ 'hangs', sub { $_[0]->hang }, sub { $_[0]->go_on } ]);

foreach my $down ($all->names)
{
	my @others = grep { $_ ne $down } $all->names;
	# both ways at one channel, one way at each other: they are all the same here
	my ($way, $break, $mend) = @{ shift @ways };

	subtest "$down $way" => sub {
		$break->($gate{$down});
		my @waiting = some($down, 60);
		ok($rx->poll("SELECT count(*) = 1 $silent"), 'refundx.health says that it does not answer')
		  || diag($rx->sql("SELECT * FROM refundx.health WHERE what = 'dispatcher'"));
		like($rx->sql("SELECT finding $silent"), qr/1 merchant gets no answer/, 'one merchant');

		# held back: the others' thousandth refund finds it no busier
		my $before = attempts($down);
		my $started = time();
		all_succeed("$_ goes on", some($_, 100)) foreach @others;
		my $took = time() - $started;
		my $tried = attempts($down) - $before;

		note sprintf '%d refunds of others in %.1f s; %d calls to %s meanwhile', 100 * @others, $took, $tried, $down;
		cmp_ok($tried, '<', 30, 'it is tried by one call now and then, and not for each of its refunds');
		is($rx->sql("SELECT count(*) FROM refundx.instruction WHERE instruction_no IN (" . in(@waiting)
				. ") AND state IN ('failed', 'canceled')"), 0, 'nothing of it has failed');
		is($rx->sql("SELECT count(*) FROM refundx.merchants WHERE paused IS NOT NULL"), 0, 'nor is anybody paused');

		$mend->($gate{$down});
		all_succeed('when it is back, all of its refunds go on by themselves', @waiting);
		ok($rx->poll("SELECT count(*) = 0 $silent"), 'and health is content');
	};
	push @ways, [ 'hangs', sub { $_[0]->hang }, sub { $_[0]->go_on } ] unless @ways;
}

# ---- half of all calls, and no more ----

subtest 'no merchant takes more than half of the calls' => sub {
	my ($slow, @others) = $all->names;
	my @held;
	my @pass;

	# answers make its window wide before nothing is answered any more
	all_succeed('it has answered many', some($slow, 100));
	$gate{$slow}->hold('.');
	@held = some($slow, 40);
	ok(Refundx::wait_for(sub { $gate{$slow}->held >= 5 }, 'calls hang'), 'its calls hang');
	@pass = map { some($_, 20) } @others;
	all_succeed('the others have room', @pass);
	my $most = $rx->sql(
		"SELECT max(n) FROM (
		   SELECT a.started_at, count(*) AS n
			 FROM refundx.attempt a JOIN refundx.merchant m USING (merchant_id)
			 JOIN refundx.attempt b ON b.merchant_id = a.merchant_id AND b.started_at <= a.started_at
			 LEFT JOIN refundx.evidence e ON e.attempt_id = b.attempt_id
			WHERE m.kind = '$slow' AND coalesce(e.received_at, 'infinity') > a.started_at
			GROUP BY a.attempt_id, a.started_at) x");
	cmp_ok($most, '<=', 10, 'it never had more than half of refundx.max_calls');
	cmp_ok($most, '>=', 5, 'and was really held: calls hung');
	$gate{$slow}->pass;
	all_succeed('and then it goes on', @held);
};

drained($rx, 'at the end');
sound($rx, 'at the end');
wire_ok($rx, 'at the end');
is_deeply([ map { $_->{no} } grep { $_->{paid_times} > 1 } @{ $sandbox->refunds } ], [], 'nothing is paid twice');

$rx->stop;
done_testing();
