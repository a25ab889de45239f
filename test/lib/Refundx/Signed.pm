# Refundx::Signed
#	  Messages of Alipay and Stripe made to order, signed with the sandbox's keys.
#
#	my $message = stripe_event($sandbox, type => 'refund.updated', object => { ... });
#	my $message = alipay_form($sandbox, { trade_status => 'TRADE_CLOSED', ... });
#
# Each is { headers => {...}, body => bytes }, as Refundx::Callback makes
# WeChat's.  The signatures are made here, of the documents alone: by the
# openssl program, and by Perl's own HMAC.

package Refundx::Signed;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use Exporter 'import';
use IPC::Run ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;

our @EXPORT = qw(stripe_event stripe_sign stripe_refund alipay_form);

my $events = 0;

# The refund object that Stripe would tell of.
sub stripe_refund
{
	my (%members) = @_;
	return {
		id => 're_3' . ($members{number} || 'X') =~ s/[^A-Za-z0-9]//gr,
		object => 'refund', amount => 500, currency => 'cny', status => 'succeeded',
		charge => 'ch_3X', payment_intent => 'pi_3X', created => 1770000000,
		metadata => { defined $members{number} ? (refundx_no => $members{number}) : () },
		destination_details => { type => 'card', card => { reference => '74123450000001234567890' } },
		map { $_ eq 'number' ? () : ($_ => $members{$_}) } keys %members };
}

# type, object; or members, to change the event's; or body.  For the signature:
# age (seconds), secret (a file's name), tamper (the body is changed after it).
sub stripe_event
{
	my ($sandbox, %spec) = @_;
	my $event = {
		id => 'evt_1Test' . ++$events, object => 'event', api_version => '2025-04-30.basil',
		created => time(), livemode => JSON::PP::false, type => $spec{type} || 'refund.updated',
		data => { object => $spec{object} }, pending_webhooks => 1,
		request => { id => undef, idempotency_key => undef },
		%{ $spec{members} || {} } };
	my $body = $spec{body} // JSON::PP->new->canonical->utf8->encode($event);

	return stripe_sign($sandbox, $body, %spec);
}

sub stripe_sign
{
	my ($sandbox, $body, %spec) = @_;
	my $file = $sandbox->key_directory . '/' . ($spec{secret} || 'stripe_webhook.secret');
	my $at = time() - ($spec{age} || 0);

	(my $secret = slurp_file($file)) =~ s/\s+\z//;
	my $v1 = hmac_sha256_hex("$at.$body", $secret);
	$body =~ s/"amount":500/"amount":501/ or $body .= ' ' if $spec{tamper};
	return {
		headers => { 'Content-Type' => 'application/json; charset=utf-8', 'Stripe-Signature' => "t=$at,v1=$v1" },
		body => $body };
}

# A form of Alipay's.  Signed are all parameters but sign and sign_type, sorted,
# as they are before they are encoded.  Options: key (a private file of the
# sandbox's), tamper => { name => value } after it was signed.
sub alipay_form
{
	my ($sandbox, $parameters, %spec) = @_;
	my %form = (
		notify_id => '2026010100222' . ++$events, charset => 'utf-8', version => '1.0',
		sign_type => 'RSA2', notify_time => '2026-01-02 03:04:05', notify_type => 'trade_status_sync',
		%$parameters);

	delete $form{$_} foreach grep { !defined $form{$_} } keys %form;
	my $text = join '&', map { "$_=$form{$_}" } grep { $_ ne 'sign_type' && $_ ne 'sign' } sort keys %form;
	my ($signature, $err) = ('', '');
	IPC::Run::run([ 'openssl', 'dgst', '-sha256', '-sign', $sandbox->data . '/private/' . ($spec{key} || 'alipay_private.pem') ],
		'<', \$text, '>', \$signature, '2>', \$err) or die "openssl: $err";
	$form{sign} = encode_base64($signature, '');
	%form = (%form, %{ $spec{tamper} || {} });
	return {
		headers => { 'Content-Type' => 'application/x-www-form-urlencoded; charset=utf-8' },
		body => join '&', map { encode($_) . '=' . encode($form{$_}) } sort keys %form };
}

sub encode
{
	my ($text) = @_;
	$text =~ s/([^A-Za-z0-9._-])/sprintf('%%%02X', ord $1)/ge;
	return $text;
}

1;
