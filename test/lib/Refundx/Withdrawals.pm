# Refundx::Withdrawals
#	  Withdrawals through every channel that pays them, for TAP tests.
#
#	use Refundx::Withdrawals;
#	my $all = Refundx::Withdrawals->new('main');	# channels "wechat", "alipay"
#	$all->start('wechat', 'W1', 1000);
#	$all->rx->wait_state($all->no('wechat', 'W1'), 'succeeded');
#
# A number that a test gives is made the channel's own ("W1wechat": WeChat takes
# letters and digits only).  Options of new(), after the name, as those of
# Refundx::Channels, of which it has the methods that look at evidence.  An
# account "A" with 10,000,000.00 is there.

package Refundx::Withdrawals;

use strict;
use warnings;

use utf8;

use parent 'Refundx::Channels';

use Refundx;
use Refundx::Oracle;
use Test::More;

# The sandbox's configuration of the channel that pays withdrawals.
my %kind = (wechat => 'wechat', alipay => 'alipay-cert');

sub new
{
	my ($class, $name, %options) = @_;
	my $rx = Refundx->new(
		$name,
		channel => 0,
		streaming => $options{streaming},
		sandbox => [
			'--speed', 30, '--callback-delay-ms', 50, '--hold-ms', 2000,
			@{ $options{sandbox} || [] } ],
		settings => {
			'max_worker_processes' => 20,
			'refundx.clerk_interval' => '1s',
			%{ $options{settings} || {} } });
	my $self = bless { rx => $rx, names => $options{only} || [qw(wechat alipay)] }, $class;

	foreach my $channel ($self->names)
	{
		$self->add($channel, %{ $options{config} || {} }, %{ $options{of}{$channel} || {} });
		$self->hear($channel);
	}
	$rx->sql("SELECT refundx.account_open('A', 'CNY'), refundx.account_credit('A', 1000000000, 'opening')");
	return $self;
}

# The channel, in the database of $self->rx; %more goes into its configuration.
sub add
{
	my ($self, $channel, %more) = @_;
	return $self->rx->channel_add($channel, kind => $kind{$channel}, time_scale => 30, not_found_after => 2, %more);
}

# Another key to seal payees with, in the server's key directory.
sub payee_key
{
	my ($rx, $name, $hex) = @_;
	my $file = $rx->sql('SHOW refundx.key_directory') . '/' . ($name || 'payee.key');

	return if -f $file;
	open(my $out, '>', $file) or die "$file: $!";
	print $out $hex || 'ab' x 32, "\n";
	close $out;
	chmod 0600, $file;
	return;
}

sub no { return "$_[2]$_[1]" }

# Messages about transfers come to the application's own address at Alipay.
sub hear
{
	my ($self, $channel) = @_;
	return if $channel eq 'wechat';
	$self->sandbox->ctl('notify-url', $self->sandbox->channel_config(undef, $kind{$channel})->{app_id},
		$self->rx->callback_url($channel));
	return;
}

# Somebody to pay.  $who: "card" for a bank card at Alipay.
sub payee
{
	my ($self, $channel, $who) = @_;
	return { openid => 'oUpF8uMuAJO_M2pxb1Q9zNjWeS6o' } if $channel eq 'wechat';
	return {
		card_no => '6222020200012345670', name => '张三', inst_name => '中国工商银行', account_type => 'personal' }
	  if ($who || '') eq 'card';
	return { user_id => '2088123412341234' };
}

sub text
{
	my ($self, $channel, $own, $amount, %more) = @_;
	my $who = delete $more{who};
	my $payee = delete $more{payee} || $self->payee($channel, $who);

	return Refundx::call_text('withdraw_submit',
		account => 'A', withdrawal_no => $own, amount => $amount, channel => $channel,
		payee => \(Refundx::literal(Refundx::to_json($payee)) . '::jsonb'), %more);
}

# A withdrawal of so much; its number.
sub start
{
	my ($self, $channel, $no, $amount, %more) = @_;
	my $own = $self->no($channel, $no);

	$self->rx->sql('SELECT ' . $self->text($channel, $own, $amount, %more));
	return $own;
}

# What the sandbox's ledger has of a number.
sub transfer { return $_[0]->sandbox->transfer($_[1]) }

# Tests: it comes to this end, here, in the account's journal, and there.
# $lines: the journal's, if they are not those of an end without a fee; $told: what
# a person may be told, if anything.
sub ends
{
	my ($self, $own, $end, $lines, $told) = @_;
	my %usual = (succeeded => 'freeze pay_out', returned => 'freeze pay_out return');
	my $there = $end eq 'succeeded' ? column($self->rx, $own, 'amount') : 0;
	my $transfer;

	$self->rx->wait_state($own, $end);
	ref $lines
	  ? like($self->journal($own), $lines, "$own: and its account says so")
	  : is($self->journal($own), $lines || $usual{$end} || 'freeze release', "$own: and its account says so");
	$transfer = $self->transfer($own);
	is($transfer ? $transfer->{net} : 0, $there, "$own: and the channel");
	is($transfer ? $transfer->{paid_times} : 0, $end eq 'succeeded' || $end eq 'returned' ? 1 : 0,
		"$own: paid so often");
	like(column($self->rx, $own, 'person_reason'), $told || qr/^$/, "$own: nobody has to look at it");
	return;
}

# available and frozen of an account: "900|100"
sub balance
{
	my ($self, $account) = @_;
	return $self->rx->sql('SELECT available, frozen FROM refundx.accounts WHERE account = '
		  . Refundx::literal($account || 'A'));
}

# Rules of a channel, or of one account; undef removes them.
sub policy
{
	my ($self, $channel, $policy, $account) = @_;
	return $self->rx->call('withdraw_policy_set', channel => $channel,
		policy => \(defined $policy ? Refundx::literal(Refundx::to_json($policy)) . '::jsonb' : 'NULL::jsonb'),
		account => $account);
}

# A column of the view that people read.
sub shown
{
	my ($self, $own, $column) = @_;
	return $self->rx->sql("SELECT $column FROM refundx.withdrawals WHERE withdrawal_no = " . Refundx::literal($own));
}

# Calls about a number on the wire, in order: "create query cancel"
sub calls
{
	my ($self, $own, $from) = @_;
	my @wire = @{ $self->sandbox->wire };
	my %short = ('alipay.fund.trans.uni.transfer' => 'create', 'alipay.fund.trans.common.query' => 'query');

	return join ' ', map { $short{ $_->{call} } || ($_->{call} =~ /^wechat\.transfer\.(\w+)/ ? $1 : ()) }
	  grep { $_->{no} eq $own } @wire[ ($from || 0) .. $#wire ];
}

# Psql as another login of the server: (SQLSTATE and message), or its output.
sub as
{
	my ($self, $login, $sql) = @_;
	my $rx = $self->rx;
	my ($rc, $out, $err) = $rx->node->psql($rx->database, $sql,
		connstr => $rx->node->connstr($rx->database) . " user=$login",
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	return $out if $rc == 0;
	return $err =~ /(?:ERROR|FATAL|PANIC):  (\w{5}): (.*)/ ? "$1 $2" : $err;
}

1;
