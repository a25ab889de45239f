# Refundx::Channels
#	  All channels at once, on one server and one sandbox, for TAP tests.
#
#	use Refundx::Channels;
#	my $all = Refundx::Channels->new('main');	# channels "wechat", "alipay", "stripe"
#	foreach my $channel ($all->names) { $all->start($channel, 'R1', 10000) }
#	$all->rx->wait_state($all->no('stripe', 'R1'), 'succeeded');
#
# A channel has the name of its kind, or of the sandbox's configuration
# ("alipay-cert").  A number that a test gives is made the
# channel's own ("R1-stripe"), so that one table serves all of them.
#
# Options of new(), after the name:
#	only		a list of kinds, instead of all that are built in
#	sandbox		more options for "serve"
#	config		{ name => value } for each channel's configuration
#	of			{ channel => { name => value } } for that channel's, or
#				{ channel => sub { name => value } }, called with the sandbox
#	settings	{ name => value } for postgresql.conf

package Refundx::Channels;

use strict;
use warnings;

use JSON::PP ();
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Oracle;
use Test::More;

our @ALL = qw(wechat alipay stripe);

# What a sandbox's merchant is called in each configuration.
my %merchant_setting = (wechat => 'mchid', alipay => 'app_id', stripe => 'account_id');

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
	my $self = bless { rx => $rx }, $class;
	my %built_in = map { $_ => 1 } split /\n/, $rx->sql(q(SELECT kind FROM refundx.channel_kinds() WHERE product = 'refund'));

	$self->{names} = [ grep { $built_in{ kind($_) } } @{ $options{only} || \@ALL } ];
	foreach my $channel ($self->names)
	{
		# the sandbox's port is not known before it is there
		my $of = $options{of}{$channel} || {};
		my %config = (
			time_scale => 30, not_found_after => 2,
			%{ $options{config} || {} }, ref $of eq 'CODE' ? $of->($rx->sandbox) : %$of);
		$rx->channel_add($channel, kind => $channel, %config);
		$self->hear($channel);
	}
	$rx->sql("SELECT refundx.account_open('A', 'CNY'), refundx.account_credit('A', 1000000000, 'opening')");
	return $self;
}

sub kind { my ($channel) = @_; $channel =~ s/-.*//; return $channel }
sub rx { return $_[0]{rx} }
sub sandbox { return $_[0]{rx}->sandbox }
sub names { return @{ $_[0]{names} } }
sub no { return "$_[2]-$_[1]" }

# The sandbox's merchant of a channel.
sub merchant
{
	my ($self, $channel) = @_;
	return $self->sandbox->channel_config(undef, $channel)->{ $merchant_setting{ kind($channel) } };
}

# Where its callbacks go, for the channels that are not told with each refund.
sub hear
{
	my ($self, $channel, $url) = @_;
	return if $channel eq 'wechat';
	$self->sandbox->ctl('notify-url', $self->merchant($channel), $url || $self->rx->callback_url($channel));
	return;
}

# The channel's own id of a payment.  The sandbox reads Stripe's currency from
# the end of it, and Alipay's total from the end of an order's number.
sub payment_id
{
	my ($self, $channel, $no) = @_;
	(my $plain = $no) =~ s/[^A-Za-z0-9]//g;

	return kind($channel) eq 'stripe' ? "pi_3${plain}CNY"
	  : kind($channel) eq 'alipay' ? undef
	  : "42000$plain";
}

# "P" and the number; Alipay's has the total at its end.
sub payment_no
{
	my ($self, $channel, $no) = @_;
	return kind($channel) eq 'alipay' ? "P$no-T50000" : "P$no";
}

# A payment of 500.00, and a refund of it; the refund's number.
sub start
{
	my ($self, $channel, $no, $amount, %more) = @_;
	my $own = $self->no($channel, $no);

	$self->pay($channel, $own);
	$self->refund($channel, $own, $own, $amount, %more);
	return $own;
}

sub pay
{
	my ($self, $channel, $own, %more) = @_;
	return $self->rx->payment(
		$self->payment_no($channel, $own), 50000,
		channel => $channel,
		channel_payment_id => $self->payment_id($channel, $own),
		account => 'A',
		%more);
}

# A refund of the payment that was made for the number $of.
sub refund
{
	my ($self, $channel, $of, $own, $amount, %more) = @_;
	return $self->rx->refund($self->payment_no($channel, $of), $own, $amount, channel => $channel, %more);
}

# refunding and refunded, of the payment that was made for the number
sub sums
{
	my ($self, $channel, $own) = @_;
	return $self->rx->payment_sums($self->payment_no($channel, $own));
}

# What an account of it has been through: "freeze pay_out".
sub journal
{
	my ($self, $own) = @_;
	return $self->rx->sql(
		"SELECT string_agg(type, ' ' ORDER BY version) FROM refundx.journal JOIN refundx.instruction i
		  USING (instruction_id) WHERE i.instruction_no = " . Refundx::literal($own));
}

# How many of its events fit; e is the event, v its evidence.
sub events
{
	my ($self, $own, $where) = @_;
	return $self->rx->sql(
		"SELECT count(*) FROM refundx.event e JOIN refundx.instruction i USING (instruction_id)
		   LEFT JOIN refundx.evidence v USING (evidence_id)
		  WHERE i.instruction_no = " . Refundx::literal($own) . " AND ($where)");
}

# What evidence of a source said first: "unknown".
sub first_word
{
	my ($self, $own, $source) = @_;
	return $self->rx->sql(
		'SELECT verdict FROM refundx.evidence WHERE wire_no = ' . Refundx::literal($own)
		  . ' AND source = ' . Refundx::literal($source) . ' ORDER BY evidence_id LIMIT 1');
}

# How often callbacks of the channel were turned away for that reason.
sub turned_away
{
	my ($self, $channel, $result) = @_;
	return $self->rx->sql(
		'SELECT coalesce(sum(n), 0) FROM refundx.callbacks WHERE channel = ' . Refundx::literal($channel)
		  . ' AND result = ' . Refundx::literal($result));
}

# The Idempotency-Keys that the sandbox has seen for a number, in order.
sub keys_of
{
	my ($self, $own) = @_;
	my %seen;

	return grep { !$seen{$_}++ }
	  map { /"key": ?"(refundx-\Q$own\E-\d+)"/ ? $1 : () }
	  split /\n/, slurp_file($self->sandbox->data . '/ledger.log');
}

# The latest callback that was kept of a number: headers and body, as they
# came, for callback_ingest and callback_inspect.
sub kept_callback
{
	my ($self, $own) = @_;
	my $where = 'FROM refundx.evidence WHERE source = \'callback\' AND wire_no = ' . Refundx::literal($own);

	$self->rx->poll("SELECT count(*) > 0 $where") or die "no callback of $own";
	my ($headers, $hex) = split /\|/,
	  $self->rx->sql("SELECT headers, encode(body, 'hex') $where ORDER BY evidence_id DESC LIMIT 1");
	return { headers => JSON::PP->new->decode($headers), body => pack('H*', $hex) };
}

# The arguments of callback_ingest and callback_inspect.
sub message_text
{
	my ($self, $channel, $message) = @_;
	return join(', ',
		Refundx::literal($channel),
		Refundx::literal(Refundx::to_json($message->{headers})) . '::jsonb',
		"decode('" . unpack('H*', $message->{body}) . "', 'hex')");
}

# "result|status|content type|answer"
sub ingest
{
	my ($self, $channel, $message) = @_;
	return $self->rx->sql('SELECT result, status, content_type, answer FROM refundx.callback_ingest('
		  . $self->message_text($channel, $message) . ')');
}

# The same, of which nothing stays.
sub ingest_rolled_back
{
	my ($self, $channel, $message) = @_;
	return $self->rx->sql('BEGIN; SELECT result, status FROM refundx.callback_ingest('
		  . $self->message_text($channel, $message) . '); ROLLBACK');
}

# "level|step|finding", a line for each step
sub inspect
{
	my ($self, $channel, $message, $at) = @_;
	return $self->rx->sql('SELECT level, step, finding FROM refundx.callback_inspect('
		  . $self->message_text($channel, $message) . ($at ? ', ' . Refundx::literal($at) : '') . ')');
}

1;
