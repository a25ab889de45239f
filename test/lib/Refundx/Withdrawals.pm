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
# Refundx::Channels; `account` may have options of account_open.

package Refundx::Withdrawals;

use strict;
use warnings;

use utf8;

use JSON::PP ();
use Refundx;
use Refundx::Oracle;

our %TRANSFER = (
	wechat => {
		appid => 'wx0123456789abcdef', scene_id => '1000',
		report_infos => [
			{ info_type => '活动名称', info_content => '测试' },
			{ info_type => '奖励说明', info_content => '提现' } ],
		remark => '提现' },
	alipay => { order_title => '提现' });

# The sandbox's configuration of the channel that pays withdrawals.
my %kind = (wechat => 'wechat', alipay => 'alipay-cert');

sub new
{
	my ($class, $name, %options) = @_;
	my $rx = Refundx->new(
		$name,
		channel => 0,
		sandbox => [
			'--speed', 30, '--callback-delay-ms', 50, '--hold-ms', 2000,
			@{ $options{sandbox} || [] } ],
		settings => {
			'max_worker_processes' => 20,
			'refundx.clerk_interval' => '1s',
			%{ $options{settings} || {} } });
	my $self = bless { rx => $rx, names => $options{only} || [qw(wechat alipay)] }, $class;

	payee_key($rx);
	foreach my $channel ($self->names)
	{
		$rx->channel_add($channel, kind => $kind{$channel}, time_scale => 30, not_found_after => 2,
			transfer => $TRANSFER{$channel}, %{ $options{config} || {} });
		$self->hear($channel);
	}
	$rx->sql("SELECT refundx.account_open('A', 'CNY'), refundx.account_credit('A', 1000000000, 'opening')");
	return $self;
}

# A key to seal payees with, in the server's key directory.
sub payee_key
{
	my ($rx) = @_;
	my $file = $rx->sql('SHOW refundx.key_directory') . '/payee.key';

	return if -f $file;
	open(my $out, '>', $file) or die "$file: $!";
	print $out 'ab' x 32, "\n";
	close $out;
	chmod 0600, $file;
	return;
}

sub rx { return $_[0]{rx} }
sub sandbox { return $_[0]{rx}->sandbox }
sub names { return @{ $_[0]{names} } }
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
	my $payee = delete $more{payee} || $self->payee($channel, delete $more{who});

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
sub transfer
{
	my ($self, $own) = @_;
	my ($row) = grep { $_->{no} eq $own } @{ $self->sandbox->ctl('ledger')->{transfers} };
	return $row;
}

# What an account of it has been through: "freeze pay_out".
sub journal
{
	my ($self, $own) = @_;
	return $self->rx->sql(
		"SELECT string_agg(type, ' ' ORDER BY version) FROM refundx.journal JOIN refundx.instruction i
		  USING (instruction_id) WHERE i.instruction_no = " . Refundx::literal($own));
}

1;
