# Refundx::Books
#	  Days that pass at once, here and at the channels, and what the channels'
#	  bills get wrong, for TAP tests of reconciliation.
#
#	use Refundx::Books;
#	my $books = Refundx::Books->new('main', sandbox => [ '--plant', 10, '--seed', 7 ]);
#	$books->submit($books->refunds('wechat', 'R', 5));	# five, numbered R1wechat and on
#	$books->drain;
#	$books->next_day;					# noon in Beijing, here and there
#	$books->load('wechat', $books->day(-1));
#	is_deeply([ $books->found ], [ $books->planted ]);
#
# A Refundx::Channels with the channels "wechat", "alipay" (with certificates: it
# pays withdrawals, too) and "stripe".  The test's clock (refundx.clock_offset) and
# the sandbox's are moved together, and stand at noon in Beijing at first: no day
# ends while a test runs.

package Refundx::Books;

use strict;
use warnings;

use utf8;

use parent 'Refundx::Channels';

use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Channels;
use Test::More;

my %kind = (wechat => 'wechat', alipay => 'alipay-cert', stripe => 'stripe');

# The bills of each channel, in SQL's words.
our %BILLS = (wechat => [qw(trade fund_basic fund_operation)], alipay => [qw(trade account)], stripe => ['balance']);

# What a planted difference comes to, if all goes well: the class of a break.  A
# line in another day's bill is explained by that bill, and is none.
my %class = (
	missing => 'missing_at_channel', amount => 'amount_differs', state => 'state_differs', twice => 'twice',
	fee => 'fee_differs', console => 'missing_here', day => undef);

sub new
{
	my ($class, $name, %options) = @_;
	my $speed = $options{speed} || 50;
	my $rx = Refundx->new(
		$name,
		channel => 0,
		sandbox => [ '--speed', $speed, '--callback-delay-ms', 20, '--hold-ms', 1000, @{ $options{sandbox} || [] } ],
		settings => {
			'max_worker_processes' => 20,
			'refundx.clerk_interval' => '1s',
			'refundx.fetch_bills' => 'on',
			%{ $options{settings} || {} } });
	my $self = bless { rx => $rx, names => $options{only} || [qw(wechat alipay stripe)], offset => 0, serial => 0 }, $class;

	$self->move(_until_noon());
	foreach my $channel ($self->names)
	{
		$rx->channel_add($channel, kind => $kind{$channel}, time_scale => $speed, not_found_after => 1, %{ $options{config} || {} });
		$self->hear($channel);
	}
	$rx->sql("SELECT refundx.account_open('A', 'CNY'), refundx.account_credit('A', 1000000000, 'opening')");
	return $self;
}

# Seconds until it is noon in Beijing: 4:00 of a day that is the same in UTC.
sub _until_noon { return (4 * 3600 - time()) % 86400 }

sub merchant
{
	my ($self, $channel) = @_;
	my $config = $self->sandbox->channel_config(undef, $kind{$channel});
	return $config->{mchid} || $config->{app_id} || $config->{account_id};
}

# ---- days ----

# Both clocks, by so many seconds.
sub move
{
	my ($self, $seconds) = @_;

	$self->{offset} += $seconds;
	$self->sandbox->ctl('advance', $seconds);
	$self->rx->set('refundx.clock_offset' => $self->{offset});
	return;
}

sub next_day { my ($self) = @_; return $self->move(86400) }

# Today in Beijing, or so many days from it.
sub day
{
	my ($self, $days) = @_;
	return strftime('%Y-%m-%d', gmtime(time() + $self->{offset} + 8 * 3600 + 86400 * ($days || 0)));
}

# ---- business ----

# Of another day than Channels' numbers: WeChat's withdrawals take letters and digits only.
sub no { my ($self, $channel, $no) = @_; return "$no$channel" }

# What the channel itself calls the payment of a number's.
sub payment_at_channel
{
	my ($self, $channel, $own) = @_;
	return $self->payment_id($channel, $own) || $self->payment_no($channel, $own);
}

# The calls for so many refunds, each of a payment of its own; their numbers are
# pushed onto @$numbers, if it is given.  $amount: what it is, or a function.
sub refunds
{
	my ($self, $channel, $prefix, $n, $amount, $numbers) = @_;
	my @calls;

	foreach my $i (1 .. $n)
	{
		my $own = $self->no($channel, "$prefix$i");
		my $payment = $self->payment_no($channel, $own);

		push @$numbers, $own if $numbers;
		push @calls,
		  Refundx::call_text('payment_record', channel => $channel, payment_no => $payment, amount => 50000,
			currency => 'CNY', channel_payment_id => $self->payment_id($channel, $own),
			paid_at => \q(clock_timestamp() + current_setting('refundx.clock_offset')::interval)),
		  Refundx::call_text('refund_submit', channel => $channel, payment_no => $payment, refund_no => $own,
			amount => ref $amount ? $amount->() : $amount || 1000, reason => 'a test');
	}
	return @calls;
}

sub withdrawals
{
	my ($self, $channel, $prefix, $n, $amount, $numbers) = @_;
	my @own = map { $self->no($channel, "$prefix$_") } 1 .. $n;
	my $payee = Refundx::to_json($channel eq 'wechat' ? { openid => 'oUpF8uMuAJO_M2pxb1Q9zNjWeS6o' } : { user_id => '2088123412341234' });

	push @$numbers, @own if $numbers;
	return map {
		Refundx::call_text('withdraw_submit', account => 'A', withdrawal_no => $_, channel => $channel,
			amount => ref $amount ? $amount->() : $amount || 1000, payee => \(Refundx::literal($payee) . '::jsonb'))
	} @own;
}

# All of them in one transaction.
sub submit
{
	my ($self, @calls) = @_;
	return $self->rx->sql("BEGIN;\n" . join('', map { "SELECT $_;\n" } @calls) . 'COMMIT');
}

# Until nothing is open but these; a test only if it fails.
sub drain
{
	my ($self, @but) = @_;
	my $but = @but ? ' AND instruction_no NOT IN (' . join(', ', map { Refundx::literal($_) } @but) . ')' : '';

	return 1 if $self->rx->poll("SELECT count(*) = 0 FROM refundx.instruction WHERE is_open$but");
	return fail('everything is finished')
	  || diag($self->rx->sql("SELECT instruction_no, state, due_call, due_at, person_reason FROM refundx.instruction WHERE is_open$but LIMIT 10"));
}

# ---- bills ----

# The bytes of a bill, as the sandbox makes it; undef if it has nothing.
sub file
{
	my ($self, $channel, $kind, $day) = @_;
	return eval { $self->sandbox->_run('ctl', '--data', $self->sandbox->data, 'bill', $self->merchant($channel), $kind, $day) };
}

# Load by hand all bills that there are of a channel's day; which kinds.
sub load
{
	my ($self, $channel, $day) = @_;
	my @loaded;

	foreach my $kind (@{ $BILLS{$channel} })
	{
		my $file = $self->file($channel, $kind, $day);

		next unless defined $file && length $file;
		# the program prints a line end after what has none
		$self->rx->sql("SELECT refundx.bill_load('$channel', '$kind', '$day', decode('" . unpack('H*', $file) . "', 'hex'))");
		push @loaded, $kind;
	}
	return @loaded;
}

# Wait until every bill of the days up to this one has come and has been reconciled;
# true, or why not.
sub fetched
{
	my ($self, $until) = @_;

	return $self->rx->poll(
		"SELECT count(*) FILTER (WHERE state IN ('due', 'asked', 'fetched') OR (state IN ('loaded', 'empty') AND reconciled_at IS NULL)) = 0
			AND max(day) >= '$until' FROM refundx.bill WHERE day <= '$until'")
	  || diag($self->rx->sql("SELECT kind, day, state, due_at, tries, error, person_reason, reconciled_at FROM refundx.bill
			WHERE state <> 'superseded' AND (state NOT IN ('loaded', 'empty') OR reconciled_at IS NULL) ORDER BY day, kind LIMIT 20"));
}

# ---- the oracle ----

sub plants { return @{ $_[0]->sandbox->ctl('plants')->{plants} } }

# What must be found of it: "class about number", sorted.
sub planted
{
	my ($self) = @_;
	return sort map { defined $class{ $_->{class} } ? "$class{$_->{class}} " . ($_->{about} eq 'refund' ? 'refund' : 'withdrawal') . " $_->{no}" : () }
	  $self->plants;
}

# What is found, likewise.
sub found
{
	my ($self) = @_;
	return sort split /\n/, $self->rx->sql("SELECT class || ' ' || about || ' ' || wire_no FROM refundx.break WHERE closed_at IS NULL");
}

# Everything that reconciling writes, a line for each row.
sub written
{
	my ($self) = @_;
	my @tables = qw(reconciliation reconciliation_class bill_word other_day break bill evidence event journal);

	return map { my $table = $_; map { "$table|$_" } split /\n/, $self->rx->sql("SELECT t.* FROM refundx.$table t ORDER BY t") } @tables;
}

# A test: nothing has been written since.
sub unchanged
{
	my ($self, $what, @before) = @_;
	my %before = map { $_ => 1 } @before;
	my @new = grep { !$before{$_} } $self->written;

	return is(join("\n", @new), '', $what);
}

1;
