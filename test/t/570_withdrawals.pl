# What every channel that pays withdrawals must pass, in one table: that of
# 500_channels.pl, for money that goes out to a payee.
#
# A behaviour is started at each channel by its magic amount, or played by a
# sub; what a channel cannot do has a reason in its place.  The last test is
# that there is no hole in the table.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Callback;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main', sandbox => [ '--not-found-ms', 30000 ]);
my $rx = $all->rx;
my $sandbox = $all->sandbox;

$rx->{elsewhere} = qr/^MIS/;

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

# To a bank card Alipay pays later, and so it can also give up later.
my @behaviours = (
	{
		name => 'accepted and paid',
		magic => { wechat => 0, alipay => 0 },
		who => 'card',
		check => sub {
			my ($channel, $no) = @_;
			is(lines_of($rx, $no), 'queued>sending>accepted>succeeded', 'the usual way');
			sent_once($channel, $no);
		}
	},
	{
		name => 'paid at once',
		magic => { wechat => 9016, alipay => 9016 },
		check => sub {
			my ($channel, $no) = @_;
			is(lines_of($rx, $no), 'queued>sending>succeeded', 'by its answer');
			sent_once($channel, $no);
		}
	},
	{
		name => 'refused for good',
		magic => { wechat => 9001, alipay => 9001 },
		end => 'failed',
		check => sub {
			my ($channel, $no) = @_;
			is($all->transfer($no), undef, 'the channel has nothing of it');
			sent_once($channel, $no);
		}
	},
	{
		name => 'given up later',
		magic => { wechat => 9011, alipay => 9011 },
		who => 'card',
		end => 'failed',
		check => sub { like(lines_of($rx, $_[1]), qr/^queued>sending>accepted>failed$/, 'after it had been taken on') }
	},
	{
		name => 'timeout before the effect',
		magic => { wechat => 9003, alipay => 9003 },
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'timeout after the effect',
		magic => { wechat => 9002, alipay => 9002 },
		check => sub { never_failed(@_) }
	},
	{
		name => 'an error after the effect',
		magic => { wechat => 9007, alipay => 9007 },
		check => sub { never_failed(@_) }
	},
	{
		name => 'an error before the effect',
		magic => { wechat => 9314, alipay => 9314 },
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'unavailable',
		magic => { wechat => 9022, alipay => 9022 },
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'a page of HTML with status 503',
		magic => { wechat => 'the sandbox has its 503 as JSON: see unavailable', alipay => 9116 },
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'forged answer',
		magic => { wechat => 9008, alipay => 9008 },
		check => sub { not_believed(@_) }
	},
	{
		name => 'a success without a signature',
		magic => { wechat => 'what is not signed is not read there at all: see forged answer', alipay => 9111 },
		check => sub { not_believed(@_); sent_again(@_) }
	},
	{
		name => 'a refusal without a signature',
		magic => { wechat => 'no refusal of it is signed: see refused for good', alipay => 9102 },
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'a code that is in no list',
		magic => { wechat => 'the sandbox has none there; the unit test judges all codes', alipay => 9115 },
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'garbage for an answer',
		magic => { wechat => 9023, alipay => 9023 },
		check => sub { not_believed(@_) }
	},
	{
		name => 'reset before the effect',
		magic => { wechat => 9020, alipay => 9020 },
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'reset after the effect',
		magic => { wechat => 9021, alipay => 9021 },
		check => sub { never_failed(@_) }
	},
	{
		name => 'throttled',
		magic => { wechat => 9010, alipay => 9010 },
		check => sub { never_failed(@_); sent_again(@_) }
	},
	{
		name => 'not found, then found',
		magic => { wechat => 9012, alipay => 9012 },
		check => sub { never_failed(@_) }
	},
	{
		name => 'still being processed, says a repeat',
		magic => { wechat => 'WeChat answers a repeat with the state of now', alipay => 9315 },
		check => sub { never_failed(@_) }
	},
	{
		name => 'duplicate callbacks',
		magic => { wechat => 9005, alipay => 9005 },
		# checked when nothing else is going on
	},
	{
		name => 'reordered callbacks',
		magic => {
			wechat => 'it tells of the end only, in one message: there is nothing to reorder',
			alipay => 9017
		},
		who => 'card',
		end => 'returned',
		# which of the two it was depends on whether a query was faster
		lines => qr/^freeze (release|pay_out return)$/,
		check => sub {
			my ($channel, $no) = @_;
			is($all->events($no, "to_state = 'returned' AND from_state <> to_state"), 1, 'it came back once');
			is($rx->sql("SELECT hold IS NULL FROM refundx.accounts WHERE account = 'A'"), 't', 'and contradicts nothing');
		}
	},
	{
		name => 'a callback before the answer',
		magic => { wechat => 9006, alipay => 9006 },
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
		magic => { wechat => 9014, alipay => 9014 },
		check => sub { sent_once(@_) }
	},
	{
		name => 'no callback at all',
		magic => { wechat => 9013, alipay => 9013 },
		check => sub {
			my ($channel, $no) = @_;
			is($rx->sql("SELECT count(*) FROM refundx.evidence WHERE wire_no = '$no' AND source = 'callback'"), 0,
				'none came');
			sent_once($channel, $no);
		}
	},
	{ name => 'a callback an hour late', magic => { wechat => 9309, alipay => 9309 }, check => sub { sent_once(@_) } },
	{
		name => 'a callback of another merchant',
		magic => { wechat => 9310, alipay => 9310 },
		told => qr/^$|^the evidence is of merchant /,
		check => sub {
			my ($channel, $no) = @_;
			is($all->events($no, "v.source = 'callback' AND v.amount <> i.amount"), 1, 'it is kept, as it was well signed');
			is($all->events($no, "v.source = 'callback' AND v.amount <> i.amount AND e.type <> 'mismatch'"), 0,
				'and moved nothing');
		}
	},
	{ name => 'late callbacks', each => \&late_callbacks },
	{ name => 'duplicates after the end', each => \&duplicates },
	{ name => 'wrong keys, as the channel says', each => \&wrong_keys },
	{ name => 'an empty balance', each => \&empty_balance },
	{ name => 'amount mismatch', each => \&amount_mismatch },
	{
		name => 'clock skew',
		each => \&clock_skew,
		not => { alipay => 'the signature of a message has no time of its own; deliveries go on for a day' }
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

# ---- those that need nothing but an amount: all of them at once ----

foreach my $channel ($all->names)
{
	foreach my $i (0 .. $#behaviours)
	{
		my $magic = magic($channel, $behaviours[$i]);
		next unless defined $magic;
		$all->start($channel, "B$i", 10000 + $magic, who => $behaviours[$i]{who});
		# what Alipay pays to an account at once goes to a card later
		$all->start($channel, "CARD$i", 10000 + $magic, who => 'card')
		  if $channel eq 'alipay' && !$behaviours[$i]{who};
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
			$all->ends($no, $b->{end} || 'succeeded', $b->{lines}, $b->{told});
			$b->{check}->($channel, $no) if $b->{check};
		});
		next if $channel ne 'alipay' || $b->{who};
		subtest("$channel: $b->{name}, to a card" => sub {
			$no = $all->no($channel, "CARD$i");
			$all->ends($no, $b->{end} || 'succeeded', $b->{lines}, $b->{told});
			$b->{check}->($channel, $no) if $b->{check};
		});
	}
}
drained($rx, 'after all amounts');
sound($rx, 'after all amounts');
wire_ok($rx, 'after all amounts');
never_twice($rx, 'after all amounts');

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
			$all->ends($no, 'succeeded');
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
			$all->ends($no, 'succeeded');
		});
	}
	return;
}

# What of the merchant of a channel is paused: "withdrawal config"
sub paused
{
	my ($channel) = @_;
	return $rx->sql("SELECT string_agg(p.about || ' ' || p.paused, ', ' ORDER BY p.about)
		FROM refundx.merchant_pause p JOIN refundx.merchant m USING (merchant_id)
		WHERE m.merchant_no = " . Refundx::literal($all->merchant($channel)));
}

# A refund of the same merchant's, through the same channel, has its own way.
sub refunds_go_on
{
	my ($channel, $name) = @_;
	my $no = "$name-$channel";

	$all->pay($channel, $no);
	$all->refund($channel, $no, $no, 700);
	$rx->wait_state($no, 'succeeded', "$channel: a refund goes on");
	return;
}

sub wrong_keys
{
	my ($b, @channels) = @_;

	foreach my $channel (@channels)
	{
		my $no = $all->no($channel, 'KEYS');

		one($channel, $b, sub {
			# a longer time to the first probe
			$rx->sql("SELECT refundx.channel_set('$channel', '{\"time_scale\": 5}')");
			$all->start($channel, 'KEYS', 19015);
			ok($rx->poll("SELECT count(*) > 0 FROM refundx.merchant_pause p JOIN refundx.merchant m USING (merchant_id)
				WHERE m.merchant_no = " . Refundx::literal($all->merchant($channel))), 'the merchant is paused');
			is(paused($channel), 'withdrawal config', 'its withdrawals only');
			is($rx->state($no), 'queued', 'and the withdrawal waits');
			refunds_go_on($channel, 'RKEYS');
			is(paused($channel), 'withdrawal config', 'while it is paused');
			$all->ends($no, 'succeeded');
			is($all->events($no, "v.verdict = 'config'"), 1, 'the merchant was paused once');
			never_failed($channel, $no);
			is(paused($channel), '', 'and is not any more');
			$rx->sql("SELECT refundx.channel_set('$channel', '{\"time_scale\": 30}')");
		});
	}
	return;
}

sub empty_balance
{
	my ($b, @channels) = @_;
	my $paused = "SELECT count(*) FROM refundx.merchants WHERE paused = 'hold'";

	# one that the outcome refuses, one that there is really too little for
	$sandbox->ctl('balance', $all->merchant($_), 5000) foreach @channels;
	$all->start($_, 'EMPTY', 19009) foreach @channels;
	ok($rx->poll("SELECT (SELECT count(*) FROM refundx.merchant_pause WHERE paused = 'hold') = " . @channels),
		'an empty balance pauses each merchant')
	  || diag($rx->sql('SELECT * FROM refundx.merchants'));
	$all->start($_, 'AFTER', 10000) foreach @channels;
	foreach my $channel (@channels)
	{
		one($channel, $b, sub {
			my $empty = $all->no($channel, 'EMPTY');

			is(paused($channel), 'withdrawal hold', 'withdrawals only');
			refunds_go_on($channel, 'REMPTY');
			ok($rx->poll("SELECT bool_and(probes >= 2) FROM refundx.merchant_pause p JOIN refundx.merchant m USING (merchant_id)
				WHERE m.merchant_no = " . Refundx::literal($all->merchant($channel))), 'it is probed, and stays paused');
			like($rx->state($empty), qr/^(queued|sending|unknown)$/, 'its withdrawal waits');
			never_failed($channel, $all->no($channel, $_)) foreach 'EMPTY', 'AFTER';
			is($all->journal($empty), 'freeze', 'with its money frozen');
			$sandbox->ctl('balance', $all->merchant($channel), '+100000');
			$all->ends($empty, 'succeeded');
			$all->ends($all->no($channel, 'AFTER'), 'succeeded');
			$sandbox->ctl('balance', $all->merchant($channel), 'unlimited');
		});
	}
	is($rx->sql('SELECT count(*) FROM refundx.merchant_pause'), 0, 'nobody is paused any more');
	return;
}

# Another database of the same merchants has used the number, for another amount.
sub amount_mismatch
{
	my ($b, @channels) = @_;
	my $callback_port = $rx->callback_port;

	$rx->node->safe_psql('postgres', 'CREATE DATABASE other');
	$rx->set('refundx.databases' => "shop:$callback_port, other");
	my $other = bless { %$rx, database => 'other' }, 'Refundx';
	my $there = bless { %$all, rx => $other }, 'Refundx::Withdrawals';

	$other->sql('CREATE EXTENSION refundx');
	$other->sql("SELECT refundx.account_open('A', 'CNY'), refundx.account_credit('A', 100000, 'opening')");
	$sandbox->ctl('pause-callbacks', 'on');
	foreach my $channel (@channels)
	{
		# its callbacks go nowhere
		$there->add($channel, public_base_url => 'http://127.0.0.1:9');
		$rx->sql("SELECT refundx.channel_set('$channel', '{\"time_scale\": 6000}')");
		$there->start($channel, 'MIS', 7000);
	}
	$other->wait_state($all->no($_, 'MIS'), 'succeeded', "$_: another database has used the number") foreach @channels;
	$all->start($_, 'MIS', 6000) foreach @channels;
	foreach my $channel (@channels)
	{
		my $no = $all->no($channel, 'MIS');

		one($channel, $b, sub {
			ok($rx->poll("SELECT person_reason IS NOT NULL FROM refundx.instruction WHERE instruction_no = '$no'"),
				'a person is told') || diag($rx->story($no));
			is($rx->state($no), 'unknown', 'its outcome stays open');
			is($all->journal($no), 'freeze', 'its money stays frozen');
			ok($rx->sql("SELECT count(*) FROM refundx.evidence_log WHERE wire_no = '$no' AND source = 'query'
				AND (message LIKE '%amount%' OR outcome = 'mismatch')"), 'the evidence says why');
			is(paid_times($rx, $no), 1, 'the channel has paid it once');
			is($all->transfer($no)->{amount}, 7000, 'as the other has sent it');
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
			return $maker->make({ transfer => 1, no => $no, amount => 19013, age => $_[0] });
		};

		one($channel, $b, sub {
			my $before = $all->turned_away($channel, 'bad_time');
			my $kept = "SELECT count(*) FROM refundx.evidence WHERE wire_no = '$no' AND source = 'callback'";

			like($all->ingest($channel, scalar $message->($_)), qr/^bad_time\|40\d\|/, "signed $_ s ago") foreach 400, -400;
			is($all->turned_away($channel, 'bad_time'), $before + 2, 'both are counted');
			is($rx->sql($kept), 0, 'neither is kept');
			like($all->ingest($channel, scalar $message->($_)), qr/^stored\|20\d\|/, "signed $_ s ago") foreach 200, -200;
			cmp_ok($rx->sql($kept), '>', 0, 'what is within the tolerance is');
			$all->ends($no, 'succeeded');
		});
	}
	return;
}

# The last, for it moves the clock.  WeChat takes a number again for three days
# and knows it for thirty; Alipay for ever, as far as it says.  With the clock
# thirty times as fast these are an hour and a half, and a day.
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
	$rx->set('refundx.clock_offset' => 2 * 3600);
	foreach my $channel (@channels)
	{
		my $no = $all->no($channel, 'DAY');

		one($channel, $b, sub {
			return $all->ends($no, 'succeeded') if $channel ne 'wechat';
			told($no, 'may be sent again is over');
			$rx->set('refundx.clock_offset' => 24 * 3600);
			told($no, 'has forgotten');
		});
	}
	return;
}

sub told
{
	my ($no, $why) = @_;

	ok($rx->poll("SELECT coalesce(person_reason LIKE '%$why%', false) FROM refundx.instruction
		WHERE instruction_no = '$no'"), "a person is told: $why") || diag($rx->story($no));
	my $polls = column($rx, $no, 'polls');
	ok($rx->poll("SELECT polls >= $polls + 1 FROM refundx.instruction WHERE instruction_no = '$no'"),
		'it is asked about all the same');
	is($rx->state($no), 'unknown', 'its outcome stays open');
	is($all->journal($no), 'freeze', 'its money stays frozen');
	is(sent_times($rx, $no), 1, 'and it is never sent again');
	like($rx->sql("SELECT refundx.withdraw_explain('$no')"), qr/is with a person/, 'support staff can say so');
	return;
}

# ---- the end ----

drained($rx, 'at the end', map({ $all->no($_, 'MIS') } $all->names), $all->no('wechat', 'DAY'));
sound($rx, 'at the end');
wire_ok($rx, 'at the end', map { $all->no($_, 'MIS') } $all->names);
is($rx->sql('SELECT sum(d_available + d_frozen + d_outside) FROM refundx.journal'), 0, 'no unit is made or lost');

my @holes;
is($rx->sql('SELECT string_agg(kind, \' \' ORDER BY kind) FROM refundx.channel_kinds() WHERE product = \'withdrawal\''),
	join(' ', sort $all->names), 'each channel that pays withdrawals is in the table');
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

# What others are told of them.
ok($rx->poll("SELECT (SELECT count(*) FROM refundx.event e JOIN refundx.instruction i USING (instruction_id)"
		  . " WHERE from_state IS DISTINCT FROM to_state) = (SELECT count(*) FROM refundx.outbox)"), 'each transition has its row in the outbox');
is($rx->sql("SELECT bool_and(payload->>'withdrawal_no' = aggregateid AND payload->>'account' IS NOT NULL"
		  . " AND payload ?& '{amount,fee,currency,channel,to,sequence}' AND type = 'withdrawal.' || (payload->>'to')) FROM refundx.outbox WHERE aggregatetype = 'withdrawal'"), 't', 'with its account and fee');
is($rx->sql("SELECT string_agg(DISTINCT k, ',' ORDER BY k) FROM refundx.outbox, jsonb_object_keys(payload) k WHERE aggregatetype = 'withdrawal'"),
	'account,amount,channel,code,currency,fee,from,sequence,to,withdrawal_no', 'and nothing of whom it pays');

$rx->stop;
done_testing();
