# What the extension puts on the wire for Alipay and Stripe, seen by code that
# nobody here wrote (see 250_wire.pl, which does it for WeChat Pay); and what
# such code signs, seen by the extension.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run ();
use JSON::PP ();
use Refundx::Channels;
use Refundx::Oracle;
use Refundx::Recorder;
use Refundx::Signed;
use Test::More;

my $recorder;
my $through = sub {
	my ($sandbox) = @_;

	$recorder ||= Refundx::Recorder->new($sandbox);
	return (base_url => $recorder->url);
};
my @channels = ('alipay', 'alipay-cert', 'stripe');
my $all = Refundx::Channels->new('main', only => [@channels], of => { map { $_ => $through } @channels });
my $rx = $all->rx;

# psql takes bytes
sub bytes { my ($text) = @_; utf8::encode($text); return $text }

# ---- requests of many shapes ----

my @shapes = (
	# number, amount (what the sandbox makes of it: its outcomes), what else
	[ 'PLAIN', 1 ],
	[ 'WHOLE', 50000 ],
	[ 'CHINESE', 10000, reason => bytes('用户取消订单，退款') ],
	[ 'QUOTES', 10000, reason => q{"quoted" \\back\\ /slash/ 'single' <&> a=b&c=d%20+} ],
	[ 'NOREASON', 10000, reason => undef ],
	[ 'UNANSWERED', 19002 ],	# and a query
	[ 'AFTEREFFECT', 19007 ],
	[ 'THROTTLED', 19010 ],
	[ 'AGAIN', 19020 ]);		# sent twice

foreach my $channel (@channels)
{
	$all->start($channel, $_->[0], $_->[1], @{$_}[ 2 .. $#$_ ]) foreach @shapes;
}
foreach my $channel (@channels)
{
	$rx->wait_state($all->no($channel, $_->[0]), 'succeeded', "$channel: $_->[0]") foreach @shapes;
}

# ---- a webhook that npm's stripe has signed ----

my $no = $all->no('stripe', 'PLAIN');
my $event = stripe_event($all->sandbox, type => 'refund.updated', object =>
	stripe_refund(metadata => { refundx_no => $no }, amount => 1, status => 'succeeded',
		currency => 'cny', payment_intent => $all->payment_id('stripe', $no)));
my $key = $all->sandbox->key_directory . '/' . $all->sandbox->channel_config(undef, 'stripe')->{webhook_secrets}[0];
my $signed;

IPC::Run::run([ 'node', "$FindBin::Bin/../conformance/stripe_sign.mjs", '--secret', $key ],
	'<', \"$event->{body}\n", '>', \$signed)
  or die 'stripe_sign.mjs failed';
my $message = JSON::PP->new->utf8->decode($signed);
like($all->ingest('stripe', $message), qr/^stored\|200/, "npm's stripe signs a webhook, and it is taken");

# ---- the verdict ----

my $report = $recorder->report;

is($report->{bad}, 0, 'nothing that was sent is wrong') || diag(join "\n", @{ $report->{problems} });
cmp_ok($report->{alipay}, '>=', 2 * (@shapes + 2), "Alipay's requests were looked at");
cmp_ok($report->{stripe}, '>=', @shapes + 2, "Stripe's too");
is($report->{other}, 0, 'and nothing was passed over');
is($report->{status}, 0, 'the recorder agrees');
$rx->check_ok;
done_testing();
