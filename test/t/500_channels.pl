# What every channel must pass, in one table.
#
# A behaviour is started at each channel by its magic amount, or played by a
# sub; what a channel cannot do has a reason in its place.  The last test is
# that there is no hole in the table.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Callback;
use Refundx::Channels;
use Refundx::Oracle;
use Refundx::Signed;
use Test::More;

my $all = Refundx::Channels->new('main', sandbox => [ '--not-found-ms', 30000 ]);
my $rx = $all->rx;
my $sandbox = $all->sandbox;

$rx->{elsewhere} = qr/^MIS-/;

# ---- the table ----

# Whether a word of evidence was believed that should not have been.
sub not_believed
{
	my ($channel, $no) = @_;
	is($all->first_word($no, 'answer'), 'unknown', 'its answer says nothing');
	is($all->events($no, "v.source = 'answer' AND v.evidence_id = (SELECT min(evidence_id) FROM refundx.evidence
		WHERE wire_no = '$no' AND source = 'answer') AND to_state = 'succeeded'"), 0, 'and moved nothing');
	return;
}

sub never_failed
{
	my ($channel, $no) = @_;
	is($all->events($no, "to_state = 'failed'"), 0, 'it was never failed');
	return;
}

sub sent_once { is(sent_times($rx, $_[1]), 1, 'it was sent once'); return }
sub sent_again { cmp_ok(sent_times($rx, $_[1]), '>', 1, 'it was sent again, with its number'); return }

my $at_once = 'Alipay pays at once or not at all: what it has taken on is not given up later';
my @behaviours = (
	{
		name => 'accepted and paid',
		magic => { wechat => 0, alipay => 0, stripe => 0 },
		check => sub {
			my ($channel, $no) = @_;
			like(lines_of($rx, $no), qr/^queued>sending>(accepted>)?succeeded$/, 'the usual way');
			sent_once($channel, $no);
		}
	},
	{
		name => 'paid at once',
		magic => { wechat => 9016, alipay => 9016, stripe => 9016 },
		check => sub {
			my ($channel, $no) = @_;
			is(lines_of($rx, $no), 'queued>sending>succeeded', 'by its answer');
			sent_once($channel, $no);
		}
	},
	{
		name => 'refused for good',
		magic => { wechat => 9001, alipay => 9001, stripe => 9001 },
		end => 'failed',
		check => sub {
			my ($channel, $no) = @_;
			# all that was paid can be refunded again
			$all->refund($channel, $no, "whole-$no", 50000);
			$rx->wait_state("whole-$no", 'succeeded');
			is($all->sums($channel, $no), '50000|0|50000', 'the headroom was back');
		}
	},
	{
		name => 'given up later',
		magic => { wechat => 9011, alipay => $at_once, stripe => 9011 },
		end => 'failed',
		check => sub { like(lines_of($rx, $_[1]), qr/^queued>sending>.*failed$/, 'after it had been taken on') }
	},
	{
		name => 'timeout before the effect',
		magic => { wechat => 9003, alipay => 9003, stripe => 9003 },
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'timeout after the effect',
		magic => { wechat => 9002, alipay => 9002, stripe => 9002 },
		check => sub { never_failed(@_) }
	},
	{
		name => 'an error after the effect',
		magic => { wechat => 9007, alipay => 9007, stripe => 9007 },
		check => sub { never_failed(@_) }
	},
	{
		name => 'an error before the effect',
		magic => { wechat => 9022, alipay => 9022, stripe => 9022 },
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'a page of HTML with status 503',
		magic => {
			wechat => 'the sandbox has its 503 as JSON: see an error before the effect',
			alipay => 9116,
			stripe => 'the sandbox has its 503 as JSON: see an error before the effect'
		},
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'forged answer',
		magic => { wechat => 9008, alipay => 9008, stripe => 9008 },
		check => sub { not_believed(@_) }
	},
	{
		name => 'garbage for an answer',
		magic => { wechat => 9023, alipay => 9023, stripe => 9023 },
		check => sub { not_believed(@_) }
	},
	{
		name => 'reset before the effect',
		magic => { wechat => 9020, alipay => 9020, stripe => 9020 },
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'reset after the effect',
		magic => { wechat => 9021, alipay => 9021, stripe => 9021 },
		check => sub { never_failed(@_) }
	},
	{
		name => 'throttled',
		magic => { wechat => 9010, alipay => 9010, stripe => 9010 },
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'not found, then found',
		magic => { wechat => 9012, alipay => 9012, stripe => 9216 },
		check => sub { never_failed(@_) }
	},
	{
		name => 'found by its id later only',
		magic => {
			wechat => 'queries go by our number, not by an id of its',
			alipay => 'queries go by our number, not by an id of its',
			stripe => 9012
		},
		check => sub { never_failed(@_); sent_once(@_) }
	},
	{
		name => 'duplicate callbacks',
		magic => { wechat => 9005, alipay => 9005, stripe => 9005 },
		# checked when nothing else is going on
	},
	{
		name => 'reordered callbacks',
		magic => { wechat => 9017, alipay => 9108, stripe => 9017 },
		check => sub {
			my ($channel, $no) = @_;
			is($all->events($no, "to_state = 'succeeded' AND from_state <> to_state"), 1, 'it succeeded once');
			is($rx->sql("SELECT hold IS NULL FROM refundx.payment WHERE payment_no = "
				  . Refundx::literal($all->payment_no($channel, $no))), 't', 'and contradicts nothing');
		}
	},
	{
		name => 'a callback before the answer',
		magic => { wechat => 9006, alipay => 9006, stripe => 9006 },
		check => sub {
			my ($channel, $no) = @_;
			is($rx->sql("SELECT (SELECT min(received_at) FROM refundx.evidence WHERE wire_no = '$no' AND source = 'callback')
				< (SELECT min(received_at) FROM refundx.evidence WHERE wire_no = '$no' AND source = 'answer')"),
				't', 'it came while the call was under way');
			sent_once($channel, $no);
		}
	},
	{
		name => 'a forged callback first',
		magic => { wechat => 9014, alipay => 9014, stripe => 9014 },
		check => sub { sent_once(@_) }
	},
	{
		name => 'no callback at all',
		magic => { wechat => 9013, alipay => 9013, stripe => 9013 },
		check => sub {
			my ($channel, $no) = @_;
			is($rx->sql("SELECT count(*) FROM refundx.evidence WHERE wire_no = '$no' AND source = 'callback'"), 0,
				'none came');
			sent_once($channel, $no);
		}
	},
	{
		name => 'wrong keys, as the channel says',
		magic => { wechat => 9015, alipay => 9015, stripe => 9015 },
		check => sub {
			my ($channel, $no) = @_;
			is($all->events($no, "v.verdict = 'config'"), 1, 'the merchant was paused');
			never_failed($channel, $no);
		}
	},
	{ name => 'late callbacks', each => \&late_callbacks },
	{ name => 'duplicates after the end', each => \&duplicates },
	{ name => 'an empty balance', each => \&empty_balance },
	{ name => 'amount mismatch', each => \&amount_mismatch },
	{
		name => 'clock skew',
		each => \&clock_skew,
		not => { alipay => 'the signature of a notification has no time of its own; deliveries go on for a day' }
	},
	{ name => 'window over', each => \&window_over },
);

my %ran;

# Each (channel, behaviour) that is run is a subtest of its own.
sub one
{
	my ($channel, $behaviour, $code) = @_;
	$ran{$channel}{ $behaviour->{name} }++;
	return subtest("$channel: $behaviour->{name}" => $code);
}

# A number for the channel, if the behaviour is a magic amount there.
sub magic
{
	my ($channel, $behaviour) = @_;
	my $magic = $behaviour->{magic} && $behaviour->{magic}{$channel};
	return defined $magic && $magic =~ /^\d+$/ ? $magic : undef;
}

sub ends_well
{
	my ($channel, $no, $end, $amount) = @_;

	$rx->wait_state($no, $end);
	is($all->sums($channel, $no), '50000|0|' . ($end eq 'succeeded' ? $amount : 0), 'its payment says so')
	  unless $end eq 'failed' && $all->sums($channel, $no) eq '50000|0|50000';
	is($all->journal($no), $end eq 'succeeded' ? 'freeze pay_out' : 'freeze release', 'and its account');
	is(paid_times($rx, $no), $end eq 'succeeded' ? 1 : 0, 'and the channel');
	is(column($rx, $no, 'person_reason'), '', 'nobody has to look at it');
	return;
}

# ---- those that need nothing but an amount: all of them at once ----

foreach my $channel ($all->names)
{
	foreach my $i (0 .. $#behaviours)
	{
		my $magic = magic($channel, $behaviours[$i]);
		$all->start($channel, "B$i", 10000 + $magic) if defined $magic;
	}
}
foreach my $channel ($all->names)
{
	foreach my $i (0 .. $#behaviours)
	{
		my $b = $behaviours[$i];
		my $magic = magic($channel, $b);
		my $no = $all->no($channel, "B$i");

		next unless defined $magic;
		one($channel, $b, sub {
			ends_well($channel, $no, $b->{end} || 'succeeded', 10000 + $magic);
			$b->{check}->($channel, $no) if $b->{check};
		});
	}
}
drained($rx, 'after all amounts');
sound($rx, 'after all amounts');
wire_ok($rx, 'after all amounts');
is_deeply([ map { $_->{no} } grep { $_->{paid_times} > 1 } @{ $sandbox->refunds } ], [], 'nothing is paid twice');

# ---- the others, one after the other, at each channel ----

foreach my $b (grep { $_->{each} } @behaviours)
{
	$b->{each}->($b, grep { !$b->{not}{$_} } $all->names);
}

sub late_callbacks
{
	my ($b, @channels) = @_;

	$sandbox->ctl('pause-callbacks', 'on');
	$all->start($_, 'LATE', 10000) foreach @channels;
	foreach my $channel (@channels)
	{
		my $no = $all->no($channel, 'LATE');
		$rx->wait_state($no, 'succeeded', "$no comes to its end by asking");
	}
	$sandbox->ctl('pause-callbacks', 'off');
	foreach my $channel (@channels)
	{
		my $no = $all->no($channel, 'LATE');

		one($channel, $b, sub {
			ok($rx->poll("SELECT count(*) > 0 FROM refundx.evidence v JOIN refundx.event e USING (evidence_id)
				WHERE v.wire_no = '$no' AND v.source = 'callback'"), 'its callback comes when all is over');
			is($all->events($no, "v.source = 'callback' AND from_state <> to_state"), 0, 'and moves nothing');
			ends_well($channel, $no, 'succeeded', 10000);
		});
	}
	return;
}

sub duplicates
{
	my ($b, @channels) = @_;

	foreach my $channel (@channels)
	{
		my ($i) = grep { $behaviours[$_]{name} eq 'duplicate callbacks' } 0 .. $#behaviours;
		my $no = $all->no($channel, "B$i");

		one($channel, $b, sub {
			my $before = $sandbox->ctl('stats')->{callbacks};
			my $evidence = "SELECT count(*) FROM refundx.evidence WHERE wire_no = '$no' AND source = 'callback'";
			my $kept = $rx->sql($evidence);

			cmp_ok($kept, '>', 0, 'its callbacks were kept');
			$sandbox->ctl('callback', $no, 3);
			ok(Refundx::wait_for(
					sub { $sandbox->ctl('stats')->{callbacks}{acknowledged} >= $before->{acknowledged} + 3 },
					'three acknowledgements'), 'three more are acknowledged');
			is($sandbox->ctl('stats')->{callbacks}{refused}, $before->{refused}, 'none is refused');
			# Alipay's, made anew, has an id of its own
			cmp_ok($rx->sql($evidence), '<=', $kept + ($channel eq 'alipay' ? 1 : 0), 'the copies are no news');
			is($all->events($no, "to_state = 'succeeded' AND from_state <> to_state"), 1, 'it succeeded once');
			ends_well($channel, $no, 'succeeded', 19005);
		});
	}
	return;
}

sub empty_balance
{
	my ($b, @channels) = @_;
	my $paused = "SELECT count(*) FROM refundx.merchants WHERE paused = 'hold'";

	$all->start($_, 'EMPTY', 19009) foreach @channels;
	ok($rx->poll("SELECT ($paused) = " . @channels), 'an empty balance pauses each merchant')
	  || diag($rx->sql('SELECT merchant_no, paused, paused_reason FROM refundx.merchants'));
	$all->start($_, 'AFTER', 10000) foreach @channels;
	foreach my $channel (@channels)
	{
		one($channel, $b, sub {
			my $probes = "SELECT probes >= 1 FROM refundx.merchants WHERE merchant_no = "
			  . Refundx::literal($all->merchant($channel));

			ok($rx->poll($probes), 'it is probed, and stays paused');
			like($rx->state($all->no($channel, 'EMPTY')), qr/^(queued|sending|unknown)$/, 'its refund waits');
			never_failed($channel, $all->no($channel, $_)) foreach 'EMPTY', 'AFTER';
			is($all->sums($channel, $all->no($channel, 'EMPTY')), '50000|19009|0', 'with its money frozen');
			$sandbox->ctl('topup', $all->merchant($channel));
			ends_well($channel, $all->no($channel, 'EMPTY'), 'succeeded', 19009);
			ends_well($channel, $all->no($channel, 'AFTER'), 'succeeded', 10000);
		});
	}
	is($rx->sql("SELECT count(*) FROM refundx.merchants WHERE paused IS NOT NULL"), 0, 'nobody is paused any more');
	return;
}

# Another database of the same merchants has used the number, for the same
# payment and another amount.
sub amount_mismatch
{
	my ($b, @channels) = @_;
	my $callback_port = $rx->callback_port;

	$rx->node->safe_psql('postgres', 'CREATE DATABASE other');
	$rx->set('refundx.databases' => "shop:$callback_port, other");
	my $other = bless { %$rx, database => 'other' }, 'Refundx';
	my $there = bless { %$all, rx => $other }, 'Refundx::Channels';

	$other->sql('CREATE EXTENSION refundx');
	$other->sql("SELECT refundx.account_open('A', 'CNY'), refundx.account_credit('A', 100000, 'opening')");
	$sandbox->ctl('pause-callbacks', 'on');
	foreach my $channel (@channels)
	{
		# its callbacks go nowhere
		$other->channel_add($channel, kind => $channel, time_scale => 30, not_found_after => 2,
			public_base_url => 'http://127.0.0.1:9');
		$rx->sql("SELECT refundx.channel_set('$channel', '{\"time_scale\": 6000}')");
		$there->pay($channel, "MIS-$channel");
		$there->refund($channel, "MIS-$channel", "MIS-$channel", 7000);
	}
	$other->wait_state("MIS-$_", 'succeeded', "$_: another database has used the number") foreach @channels;
	foreach my $channel (@channels)
	{
		$all->pay($channel, "MIS-$channel");
		$all->refund($channel, "MIS-$channel", "MIS-$channel", 6000);
	}
	foreach my $channel (@channels)
	{
		my $no = "MIS-$channel";

		one($channel, $b, sub {
			ok($rx->poll("SELECT person_reason IS NOT NULL FROM refundx.instruction WHERE instruction_no = '$no'"),
				'a person is told') || diag($rx->story($no));
			is($rx->state($no), 'unknown', 'its outcome stays open');
			is($all->sums($channel, $no), '50000|6000|0', 'its money stays frozen');
			is($all->journal($no), 'freeze', 'in the account too');
			ok($rx->sql("SELECT count(*) FROM refundx.evidence_log WHERE wire_no = '$no' AND source = 'query'
				AND (message LIKE '%amount%' OR outcome = 'mismatch')"), 'the evidence says why');
			is(paid_times($rx, $no), 1, 'the channel has paid it once');
			is($sandbox->refund($no)->{amount}, 7000, 'as the other has sent it');
		});
		$rx->sql("SELECT refundx.channel_set('$channel', '{\"time_scale\": 30}')");
	}
	$sandbox->ctl('pause-callbacks', 'off');
	return;
}

# What is signed too long ago, or in the future, is not looked at.
sub clock_skew
{
	my ($b, @channels) = @_;

	plan skip_all => 'node makes the callbacks, and is not here' unless Refundx::Callback::available();
	foreach my $channel (@channels)
	{
		my $no = $all->start($channel, 'SKEW', 19013);
		my $maker = Refundx::Callback->new($rx, $channel);
		my $message = sub {
			my ($age) = @_;
			return $channel eq 'wechat'
			  ? $maker->make({ no => $no, amount => 19013, total => 50000, payment_no => "P$no",
				  transaction_id => $all->payment_id($channel, $no), age => $age })
			  : stripe_event($sandbox, age => $age,
				object => stripe_refund(number => $no, amount => 19013, payment_intent => $all->payment_id($channel, $no)));
		};

		one($channel, $b, sub {
			my $before = $all->turned_away($channel, 'bad_time');
			my $kept = "SELECT count(*) FROM refundx.evidence WHERE wire_no = '$no' AND source = 'callback'";

			like($all->ingest($channel, scalar $message->($_)), qr/^bad_time\|40\d\|/, "signed $_ s ago") foreach 400, -400;
			is($all->turned_away($channel, 'bad_time'), $before + 2, 'both are counted');
			is($rx->sql($kept), 0, 'neither is kept');
			like($all->ingest($channel, scalar $message->($_)), qr/^stored\|20\d\|/, "signed $_ s ago") foreach 200, -200;
			cmp_ok($rx->sql($kept), '>', 0, 'what is within the tolerance is');
			ends_well($channel, $no, 'succeeded', 19013);
		});
	}
	return;
}

# The last, for it moves the clock: a day later, where nothing has come of a
# first attempt, a number is sent again only if its channel knows it for ever.
sub window_over
{
	my ($b, @channels) = @_;

	foreach my $channel (@channels)
	{
		# nothing is found to be missing before the clock moves
		$rx->sql("SELECT refundx.channel_set('$channel', '{\"not_found_after\": 600}')");
		$all->start($channel, 'DAY', 19022);
	}
	foreach my $channel (@channels)
	{
		$rx->wait_state($all->no($channel, 'DAY'), 'unknown', "$channel: the first attempt has come to nothing");
	}
	$rx->set('refundx.clock_offset' => 21 * 3600);
	foreach my $channel (@channels)
	{
		my $no = $all->no($channel, 'DAY');

		one($channel, $b, sub {
			return ends_well($channel, $no, 'succeeded', 19022) if $channel ne 'stripe';
			ok($rx->poll("SELECT person_reason LIKE '%may be sent again is over%' FROM refundx.instruction
				WHERE instruction_no = '$no'"), 'a person is told that its time is over') || diag($rx->story($no));
			my $polls = column($rx, $no, 'polls');
			ok($rx->poll("SELECT polls >= $polls + 2 FROM refundx.instruction WHERE instruction_no = '$no'"),
				'it is asked about all the same');
			is($rx->state($no), 'unknown', 'its outcome stays open');
			is($all->sums($channel, $no), '50000|19022|0', 'its money stays frozen');
			is(sent_times($rx, $no), 1, 'and it is never sent again');
			is(join(' ', $all->keys_of($no)), "refundx-$no-0", 'under no key');
		});
	}
	return;
}

# ---- the end ----

drained($rx, 'at the end', map({ "MIS-$_" } $all->names), $all->no('stripe', 'DAY'));
sound($rx, 'at the end');
is($rx->sql('SELECT sum(d_available + d_frozen + d_outside) FROM refundx.journal'), 0, 'no unit is made or lost');

my @holes;
is($rx->sql('SELECT string_agg(kind, \' \' ORDER BY kind) FROM refundx.channel_kinds() WHERE product = \'refund\''),
	join(' ', sort $all->names), 'each channel that is built in is in the table');
foreach my $channel ($all->names)
{
	foreach my $b (@behaviours)
	{
		my $reason = $b->{magic} && !defined magic($channel, $b) ? $b->{magic}{$channel} : $b->{not}{$channel};

		next if $ran{$channel}{ $b->{name} };
		if (defined $reason && length $reason > 20)
		{
			note "$channel: not $b->{name}: $reason";
			next;
		}
		push @holes, "$channel: $b->{name}";
	}
}
is(join("\n", @holes), '', 'each channel has run each behaviour, or has a reason');

$rx->stop;
done_testing();
