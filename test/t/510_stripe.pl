# Stripe, where it is unlike the others: keys with generations, lists in pages,
# refunds that fail after they succeeded, webhooks in any order, and a
# Dashboard in which anybody may refund.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use HTTP::Tiny;
use JSON::PP ();
use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Channels;
use Refundx::Gate;
use Refundx::Oracle;
use Refundx::Signed;
use Test::More;

my $gate;
my $all = Refundx::Channels->new(
	'main',
	only => ['stripe'],
	sandbox => [ '--not-found-ms', 30000 ],
	of => { stripe => sub { $gate = Refundx::Gate->new($_[0]); return (base_url => $gate->url) } });
my $rx = $all->rx;
my $sandbox = $all->sandbox;
my $account = $all->merchant('stripe');

# paid with another amount, and open here
$rx->{elsewhere} = qr/^W9215/;

sub start { my ($no, $amount, @more) = @_; return $all->start('stripe', $no, $amount, @more) }
sub set_channel
{
	my ($config) = @_;
	return $rx->sql("SELECT refundx.channel_set('stripe', " . Refundx::literal(Refundx::to_json($config)) . ')');
}

# Stripe's API, as somebody in the Dashboard would use it.
sub api
{
	my ($method, $path, %form) = @_;
	(my $key = slurp_file($sandbox->key_directory . '/stripe_secret.key')) =~ s/\s+\z//;
	my $answer = HTTP::Tiny->new(timeout => 20)->request($method, $sandbox->url . "/v1/$path", {
			headers => { Authorization => "Bearer $key", 'Content-Type' => 'application/x-www-form-urlencoded' },
			content => HTTP::Tiny->new->www_form_urlencode(\%form) });
	die "$path: $answer->{status} $answer->{content}" unless $answer->{success};
	return JSON::PP->new->utf8->decode($answer->{content});
}

sub on_hold
{
	my ($no) = @_;
	return $rx->sql("SELECT hold IS NOT NULL FROM refundx.payment WHERE payment_no = "
		  . Refundx::literal($all->payment_no('stripe', $no)));
}

# ---- the rows that only Stripe has ----

my %end = (
	9202 => 'succeeded', 9203 => 'canceled', 9204 => 'returned', 9206 => 'succeeded', 9207 => 'succeeded',
	9208 => 'succeeded', 9210 => 'succeeded', 9211 => 'succeeded', 9212 => 'succeeded', 9213 => 'failed',
	9214 => 'failed', 9217 => 'succeeded', 9007 => 'succeeded', 9022 => 'succeeded', 9216 => 'succeeded');
my %no = map { ($_ => start("W$_", 10000 + $_)) } sort keys %end, 9004, 9201, 9209, 9215;

foreach my $magic (sort keys %end)
{
	$rx->wait_state($no{$magic}, $end{$magic}, "$magic ends as $end{$magic}");
}
is($all->journal($no{9203}), 'freeze release', 'canceled: the money is free again');
like($all->journal($no{9204}), qr/^freeze (pay_out return|release)$/, 'failed after it had succeeded: it came back');
is($all->sums('stripe', $no{9214}), '50000|0|0', 'failed at once: nothing is frozen');
is($all->sums('stripe', $no{9213}), '50000|0|0', 'refused, for somebody else was faster: likewise');
cmp_ok($all->turned_away('stripe', 'bad_body'), '>', 0, 'events of live mode are turned away');
cmp_ok($all->turned_away('stripe', 'bad_time'), '>', 0, 'so are stale ones');

# ---- generations of the key ----

subtest 'a new key only after a list that shows nothing' => sub {
	my $found = "SELECT verdict FROM refundx.evidence WHERE source = 'query' AND wire_no = ";

	is(join(' ', $all->keys_of($no{9007})), "refundx-$no{9007}-0", 'a 500 after the effect: one key');
	is(column($rx, $no{9007}, 'generation'), 0, 'for the list showed it');
	is(join(' ', $all->keys_of($no{9216})), "refundx-$no{9216}-0", 'hidden from the list for a while: one key');
	is(sent_times($rx, $no{9216}), 1, 'and sent once');
	is(join(' ', $all->keys_of($no{9022})), "refundx-$no{9022}-0 refundx-$no{9022}-1",
		'a 503 without effect: a second key');
	is(column($rx, $no{9022}, 'generation'), 1, 'the next generation');
	like(lines_of($rx, $no{9022}), qr/^queued>sending>unknown>queued>sending>(accepted>)?succeeded$/, 'after it was asked about');
	is($all->events($no{9022}, "v.verdict = 'not_found' AND to_state = 'queued'"), 1, 'and not found');
	# unix microseconds, from the wire and from the tables
	my @sent = map { $_->{at} } grep { $_->{call} eq 'stripe.refund.create' && $_->{no} eq $no{9022} } @{ $sandbox->wire };
	is(scalar @sent, 2, 'sent twice');
	is($rx->sql("SELECT count(*) > 0 FROM refundx.evidence WHERE wire_no = '$no{9022}' AND verdict = 'not_found'
		AND extract(epoch FROM attempt_started_at) * 1000000 BETWEEN $sent[0] + 2000000 AND $sent[1]"), 't',
		'the list that counted was asked for long enough after the first, and before the second');
	is(join(' ', $all->keys_of($no{9211})), "refundx-$no{9211}-1", 'a key in use: the next is kept')
	  || diag(join ' ', $all->keys_of($no{9211}));
};

# ---- what waits for somebody ----

subtest 'the customer must act, and it is canceled' => sub {
	$rx->wait_state($no{9004}, 'accepted', 'requires_action is accepted, and not abnormal');
	is($all->sums('stripe', $no{9004}), '50000|19004|0', 'its money stays frozen');
	like($rx->sql("SELECT string_agg(message, '; ') FROM refundx.evidence WHERE wire_no = '$no{9004}'"),
		qr/the customer must act/, 'the evidence says what it waits for');
	api('POST', 'refunds/' . column($rx, $no{9004}, 'channel_refund_id') . '/cancel');
	$rx->wait_state($no{9004}, 'canceled', 'canceled in the Dashboard');
	is($all->journal($no{9004}), 'freeze release', 'its money is free');
};

subtest 'a payment that Stripe does not know' => sub {
	$rx->wait_state($no{9209}, 'failed', 'is refused, and a list agrees');
	is($all->journal($no{9209}), 'freeze release', 'its money is free');
	is(sent_times($rx, $no{9209}), 1, 'sent once');
	like(column($rx, $no{9209}, 'detail'), qr/^resource_missing$/, 'it says why');
};

subtest 'another amount than was asked for' => sub {
	set_channel({ time_scale => 6000 });
	ok($rx->poll("SELECT person_reason IS NOT NULL FROM refundx.instruction WHERE instruction_no = '$no{9215}'"),
		'it comes to a person') || diag($rx->story($no{9215}));
	set_channel({ time_scale => 30 });
	is($rx->state($no{9215}), 'unknown', 'and stays open');
	is($all->sums('stripe', $no{9215}), '50000|19215|0', 'with its money frozen');
	is(sent_times($rx, $no{9215}), 1, 'sent once');
	like($rx->sql("SELECT string_agg(DISTINCT message, '; ') FROM refundx.evidence WHERE wire_no = '$no{9215}'"),
		qr/another refund amount than was sent/, 'the evidence says why');
};

# ---- failed after it had succeeded ----

subtest 'returned' => sub {
	my $no = start('BACK', 12000);
	my $money = "SELECT available, frozen FROM refundx.accounts WHERE account = 'A'";

	$rx->wait_state($no, 'succeeded');
	my ($available) = split /\|/, $rx->sql($money);
	$sandbox->ctl('settle', $no, 'CLOSED');
	$rx->wait_state($no, 'returned', 'its failure is told, asked about, and believed');
	is($all->journal($no), 'freeze pay_out return', 'the journal has a third line');
	is($rx->sql("SELECT d_available, d_frozen, d_outside FROM refundx.journal JOIN refundx.instruction USING (instruction_id)
		WHERE instruction_no = '$no' AND type = 'return'"), '12000|0|-12000', 'which takes it back from outside');
	is((split /\|/, $rx->sql($money))[0], $available + 12000, 'the account has it again');
	is($all->sums('stripe', $no), '50000|0|0', 'the payer got nothing');
	is($rx->sql("SELECT returned FROM refundx.payment WHERE payment_no = 'P$no'"), 12000, 'and the payment knows why');
	is(on_hold($no), 'f', 'that is no contradiction');
	is($all->events($no, "v.source = 'query' AND to_state = 'returned' AND from_state = 'succeeded'"), 1,
		'it was a query that proved it');
};

# ---- lists ----

sub lists { return scalar grep { $_->{call} eq 'stripe.refund.list' } @{ $sandbox->wire } }

subtest 'far down the list' => sub {
	my $before = lists();
	my $no = start('PAGES', 19205);

	$rx->wait_state($no, 'succeeded');
	is(sent_times($rx, $no), 1, 'sent once');
	# a hint may have asked for the list once more
	cmp_ok(lists() - $before, '>=', 3, 'three pages were read');
	like($all->first_word($no, 'query'), qr/^(accepted|succeeded)$/, 'in one attempt, which found it');
	is(join(' ', $all->keys_of($no)), "refundx-$no-0", 'one key');
};

subtest 'kill -9 between two pages' => sub {
	my $before = lists();

	$gate->hold('starting_after=');
	my $no = start('KILL', 19205);
	ok(Refundx::wait_for(sub { $gate->held }, 'the second page is asked for'), 'the second page is asked for');
	is($rx->state($no), 'unknown', 'it is open');
	$rx->kill9;
	$gate->pass;
	$rx->node->start;
	$rx->wait_state($no, 'succeeded', 'after the crash the whole list is read again');
	is(paid_times($rx, $no), 1, 'it is paid once');
	is(sent_times($rx, $no), 1, 'for it was sent once');
	cmp_ok(lists() - $before, '>=', 4, 'the first page was read twice');
	is($all->events($no, "to_state = 'queued' AND from_state <> to_state"), 0, 'half a list proved nothing');
};

# ---- hints about a payment ----

subtest 'charge.refunded' => sub {
	my $no = start('CHARGE', 10000);
	my $asked = "e.type = 'asked' AND e.note = 'a hint about its payment'";
	my $queries = "SELECT count(*) FROM refundx.attempt WHERE call = 'query' AND wire_no = '$no'";

	$rx->wait_state($no, 'succeeded');
	# it may come while a call is under way, which is going to tell as much
	ok($rx->poll("SELECT count(*) = 1 FROM refundx.evidence WHERE wire_no = '' AND channel_payment_id = '"
			. $all->payment_id('stripe', $no) . "'"), "the sandbox's own is kept");
	$sandbox->ctl('pause-callbacks', 'on');
	my ($hints, $asks) = ($all->events($no, $asked), $rx->sql($queries));
	my $event = stripe_event($sandbox, type => 'charge.refunded', object => {
		id => 'ch_3Whatever', object => 'charge', amount => 50000, amount_refunded => 10001, refunded => JSON::PP::false,
		currency => 'cny', payment_intent => $all->payment_id('stripe', $no) });
	like($all->ingest('stripe', $event), qr/^stored\|200/, 'one more, with another sum');
	ok(Refundx::wait_for(sub { $all->events($no, $asked) > $hints }, 'asked'), 'its refund is asked about');
	ok($rx->poll("SELECT ($queries) > $asks"), 'at the channel');
	is($rx->state($no), 'succeeded', 'and that moves nothing');
	$sandbox->ctl('pause-callbacks', 'off');
};

# ---- the Dashboard ----

subtest 'a refund made in the Dashboard' => sub {
	my $no = start('DASH', 10000);
	my $payment_no = $all->payment_no('stripe', $no);

	$rx->wait_state($no, 'succeeded');
	my $made = api('POST', 'refunds', payment_intent => $all->payment_id('stripe', $no), amount => 15000);
	ok($rx->poll("SELECT count(*) = 1 FROM refundx.external_refunds WHERE wire_no = '$made->{id}'"), 'is kept under its own id');
	is($rx->sql("SELECT elsewhere FROM refundx.payment WHERE payment_no = '$payment_no'"), 15000, 'it counts against the payment');
	like($rx->sql_error('SELECT ' . $rx->refund_text($payment_no, "$no-more", 25001, channel => 'stripe')),
		qr/^RX001 .*25000 left/, 'less is left');
	like($rx->sql("SELECT suggestion FROM refundx.external_refunds WHERE wire_no = '$made->{id}'"), qr/who made it/,
		'and a person is told');
	is($rx->state($no), 'succeeded', 'ours is as it was');

	# it becomes one of ours under its id, with what was counted for it
	like($rx->sql_error('BEGIN; SELECT ' . Refundx::call_text('refund_adopt', channel => 'stripe', payment_no => $payment_no,
				refund_no => $made->{id}, amount => 40001)), qr/^RX001 .*40000 left/, 'not for more than was paid');
	$rx->call('refund_adopt', channel => 'stripe', payment_no => $payment_no, refund_no => $made->{id}, amount => 15000);
	$rx->wait_state($made->{id}, 'succeeded', 'it can be adopted, and its state is asked for');
	is($all->sums('stripe', $no), '50000|0|25000', 'then the payment has refunded both');
	is($rx->sql("SELECT elsewhere FROM refundx.payment WHERE payment_no = '$payment_no'"), 0, 'and none elsewhere');
	is($rx->sql("SELECT count(*) FROM refundx.desk WHERE subject = '$made->{id}'"), 0, 'and nobody has to look at it any more');
	is($rx->call('refund_adopt', channel => 'stripe', payment_no => $payment_no, refund_no => $made->{id}, amount => 15000) =~ /succeeded/,
		1, 'adopting it again is a no-op');
	is($all->sums('stripe', $no), '50000|0|25000', 'which counts nothing twice');
};

# ---- webhooks ----

subtest 'secrets are rolled' => sub {
	my $seen = sub {
		my ($no) = @_;
		return $rx->sql("SELECT count(*) FROM refundx.evidence WHERE wire_no = '$no' AND source = 'callback'");
	};

	# the Dashboard rolls it before we know the new one: we have the old one only
	set_channel({ webhook_secrets => 'stripe_webhook_old.secret' });
	$sandbox->ctl('switch', $account, 'secret-new');
	my $before = $all->turned_away('stripe', 'bad_signature');
	my $no = start('ROLL1', 10000);
	$rx->wait_state($no, 'succeeded', 'it is asked about meanwhile');
	ok($rx->poll("SELECT sum(n) > $before FROM refundx.callbacks WHERE channel = 'stripe' AND result = 'bad_signature'"),
		'events with a secret that is not known are turned away');
	is($seen->($no), 0, 'and not kept');
	like($rx->sql("SELECT finding FROM refundx.channel_check('stripe') WHERE item = 'callbacks'"), qr/signature/,
		'channel_check says so');

	set_channel({ webhook_secrets => [ 'stripe_webhook.secret', 'stripe_webhook_old.secret' ] });
	foreach my $way (qw(secret-old secret-both secret-new))
	{
		$sandbox->ctl('switch', $account, $way);
		my $rolled = start("ROLL-$way", 10000);
		$rx->wait_state($rolled, 'succeeded');
		ok(Refundx::wait_for(sub { $seen->($rolled) }, $way), "with both files: $way");
	}
	set_channel({ webhook_secrets => 'stripe_webhook.secret' });
	$sandbox->ctl('switch', $account, 'secret-both');
	my $both = start('ROLL2', 10000);
	ok(Refundx::wait_for(sub { $seen->($both) }, 'both'), 'with the new file alone: one of two signatures fits');
	$rx->wait_state($both, 'succeeded');
	$sandbox->ctl('switch', $account, 'secret-new');
	set_channel({ webhook_secrets => [ 'stripe_webhook.secret', 'stripe_webhook_old.secret' ] });
};

subtest 'events in any order contradict nothing' => sub {
	my $seed = $ENV{REFUNDX_SEED} || 20250430;
	note "seed $seed";
	srand $seed;
	my %was = (
		succeeded => start('ANY1', 10000), failed => start('ANY2', 19214), returned => start('ANY3', 19204),
		canceled => $no{9004});

	$rx->wait_state($was{$_}, $_) foreach sort keys %was;
	my @events;
	foreach my $no (values %was)
	{
		my $id = column($rx, $no, 'channel_refund_id');
		my $n = 0;

		foreach my $status (qw(pending requires_action succeeded failed canceled))
		{
			push @events, stripe_event($sandbox, type => 'refund.updated',
				object => stripe_refund(number => $no, id => $id, amount => 0 + column($rx, $no, 'amount'),
					payment_intent => $all->payment_id('stripe', $no), status => $status, created => 1770000000 + ++$n));
		}
	}
	like($all->ingest('stripe', $_), qr/^stored\|200/, 'taken') foreach shuffle(@events, @events);
	ok($rx->poll('SELECT count(*) = 0 FROM refundx.evidence v LEFT JOIN refundx.event e USING (evidence_id) WHERE e.seq IS NULL'),
		'all of them are weighed');
	drained($rx, 'after events in any order', @no{ 9201, 9215 });
	foreach my $state (sort keys %was)
	{
		is($rx->state($was{$state}), $state, "$state stays what it is");
		is(on_hold($was{$state}), 'f', 'and its payment is not on hold');
	}
	is($rx->sql("SELECT count(*) FROM refundx.event WHERE type = 'contradiction'"), 0, 'nothing contradicts anything');
};

# ---- keys of the wrong kind ----

subtest 'the classic mistakes are found when the channel is added' => sub {
	my $keys = $sandbox->key_directory;
	my %is = (
		'live.key' => 'sk_live_' . 'x' x 40, 'public.key' => 'pk_test_' . 'x' x 40, 'org.key' => 'sk_org_live_' . 'x' x 30,
		'other.key' => 'hello, this is no key', 'short.key' => 'sk_test_abc');

	foreach my $name (sort keys %is)
	{
		open(my $fh, '>', "$keys/$name") or die $!;
		print $fh "$is{$name}\n";
		close($fh);
		chmod 0600, "$keys/$name";
	}
	my %config = (%{ $sandbox->channel_config(undef, 'stripe') }, account_id => 'acct_another');
	my %real = (%config, base_url => 'https://api.stripe.com');

	delete @real{qw(not_found_after time_scale test_mode)};
	my @wrong = (
		[ { %real }, qr/has a test key in a live channel/ ],
		[ { %real, test_mode => JSON::PP::true, secret_key => 'live.key' }, qr/has a live key in a test channel/ ],
		[ { %config, secret_key => 'live.key' }, qr/has a live key for a sandbox/ ],
		[ { %config, secret_key => 'public.key' }, qr/has a publishable key/ ],
		[ { %config, secret_key => 'stripe_webhook.secret' }, qr/has a webhook's signing secret/ ],
		[ { %config, secret_key => 'org.key' }, qr/has an organization's key/ ],
		[ { %config, secret_key => 'other.key' }, qr/is not one line with a key of Stripe's|has no secret key/ ],
		[ { %config, secret_key => 'short.key' }, qr/is cut off/ ],
		[ { %config, webhook_secrets => 'stripe_secret.key' }, qr/has an API key/ ],
		[ { %config, webhook_secrets => 'other.key' }, qr/webhook_secrets: / ],
		[ { %config, secret_key => 'sk_test_' . 'x' x 40 }, qr/a key/ ]);

	foreach my $case (@wrong)
	{
		my ($config, $message) = @$case;
		my ($rc, $out, $err) = $rx->node->psql($rx->database, "BEGIN; SELECT refundx.channel_add('bad', 'stripe', "
			  . Refundx::literal(Refundx::to_json($config)) . '); ROLLBACK');

		like($err, qr/(WARNING|ERROR):  .*$message/, "$message");
		like($err, qr/^(psql:\S+ )?HINT:  ../m, 'with a hint');
		unlike($err, qr/x{20}/, 'and nothing of a key is repeated');
	}
	is($rx->sql("SELECT count(*) FROM refundx.channels WHERE name = 'bad'"), 0, 'none was added');
	$rx->sql("SELECT refundx.channel_add('bad', 'stripe', " . Refundx::literal(Refundx::to_json($wrong[0][0])) . ')');
	like($rx->sql("SELECT level, item, finding FROM refundx.channel_check('bad')"),
		qr/^error\|secret_key\|.*a test key in a live channel/m, 'channel_check says the same');
	$rx->payment('PBAD', 50000, channel => 'bad', channel_payment_id => 'pi_3BadCNY');
	$rx->refund('PBAD', 'BAD', 10000, channel => 'bad');
	ok($rx->poll("SELECT count(*) = 1 FROM refundx.health WHERE what = 'dispatcher' AND level = 'error'
		AND finding LIKE '%a test key in a live channel%'"), 'so does refundx.health');
	is($rx->state('BAD'), 'queued', 'and nothing is sent with it');
	is($rx->sql("SELECT (refundx.refund_cancel('BAD', 'a test')).state"), 'canceled', 'it can be canceled');
};

# ---- a day later ----

subtest 'pending for a day' => sub {
	is($rx->state($no{9201}), 'accepted', 'pending is accepted');
	$sandbox->ctl('advance', 86400);
	$rx->wait_state($no{9201}, 'succeeded', 'a day later it succeeds');
	is(paid_times($rx, $no{9201}), 1, 'paid once');
};

drained($rx, 'at the end', $no{9215});
sound($rx, 'at the end');
wire_ok($rx, 'at the end', '-');			# the Dashboard's had no number
is_deeply([ map { $_->{no} } grep { $_->{paid_times} > 1 } @{ $sandbox->refunds } ], [], 'nothing is paid twice');

$rx->stop;
done_testing();
