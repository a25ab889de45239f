# Every piece of evidence in every state, through the settler; one piece that
# cannot be settled; and an application that sits on a row.
#
# What must come of it is written down here a second time, as a matrix and as
# the rules of weighing, so that a mistake in src/money has to be made twice to
# go unseen.  Nothing is sent (refundx.dispatch = off): what a dispatcher and a
# listener would bring is inserted as they would keep it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Oracle;
use Refundx::Workers;
use Test::More;

my $rx = Refundx->new('main', settings => { 'refundx.dispatch' => 'off' }, config => { not_found_after => 60 });

# ---- what must come of it ----

# Row: a state.  Column: what the evidence amounts to.  A letter is the state
# that it leads to; "." nothing; "?" a query; "!" a contradiction.
my %letter = (
	A => 'accepted', B => 'abnormal', S => 'succeeded', F => 'failed', R => 'returned',
	C => 'canceled', Q => 'queued', U => 'unknown', P => 'stopped');
my @inputs = qw(accepted succeeded refused dead abnormal returned channel_canceled reversed stopped
  not_executed hold config not_found unanswered refusal_hint ask);
my %matrix = (
	#                      acc suc ref dea abn ret can rev stp nex hol cfg nfd una rhi ask
	awaiting_approval => 'A   S   F   F   B   R   C   F   .   .   .   .   .   .   ?   ?',
	queued            => 'A   S   F   F   B   R   C   F   P   .   .   .   .   .   ?   ?',
	sending           => 'A   S   F   F   B   R   C   F   P   Q   Q   Q   .   U   U   ?',
	unknown           => 'A   S   F   F   B   R   C   F   P   .   .   .   Q   .   .   ?',
	accepted          => '.   S   F   F   B   R   C   F   P   .   .   .   .   .   ?   ?',
	abnormal          => '.   S   F   F   .   R   C   F   P   .   .   .   .   .   ?   ?',
	stopped           => '?   S   .   .   ?   R   C   .   .   .   .   .   .   .   .   ?',
	succeeded         => '.   .   !   !   .   R   !   R   !   .   .   .   .   .   .   ?',
	failed            => '?   !   .   .   ?   !   .   .   .   .   .   .   .   .   .   ?',
	returned          => '.   .   !   .   .   .   .   .   .   .   .   .   .   .   .   .',
	canceled          => '!   !   .   .   !   !   .   .   .   .   .   .   .   .   .   ?');
my %reaction;

foreach my $state (keys %matrix)
{
	my @cells = split ' ', $matrix{$state};

	$reaction{$state}{ $inputs[$_] } = $cells[$_] foreach 0 .. $#inputs;
}

my @open = qw(awaiting_approval queued sending unknown accepted abnormal stopped);
my %is_open = map { $_ => 1 } @open;

sub effect
{
	my ($from, $to) = @_;

	return 'none' if $from eq $to || $is_open{$to};
	return 'pay_out' if $to eq 'succeeded';
	return $from eq 'succeeded' ? 'return' : 'divert' if $to eq 'returned';
	return 'release';
}

{
	my @expected;
	my %word = ('.' => 'stay', '?' => 'ask', '!' => 'contradiction');

	foreach my $state (sort keys %reaction)
	{
		foreach my $input (sort @inputs)
		{
			my $cell = $reaction{$state}{$input};
			my $to = $letter{$cell} || $state;

			push @expected, join '|', $state, $input, $word{$cell} || 'move', $to, effect($state, $to);
		}
	}
	is_deeply(
		[ split /\n/, $rx->sql(q{SELECT from_state, input, reaction, to_state, effect FROM refundx.state_table()
			WHERE input NOT IN ('approve', 'cancel', 'claim', 'lost', 'reissue', 'not_found_unapproved')
			  AND input NOT LIKE 'resolve%'
			ORDER BY from_state COLLATE "C", input COLLATE "C"}) ],
		\@expected, 'the state table is the matrix of this test');
}

# ---- where a refund can be before ----

# How each comes there: what channels say, in order, after it was sent (or not:
# unsent).  Those that differ only in their past are states of their own here.
my %sources = map { $_ => 1 } qw(answer query callback bill);
my %proven = (
	accepted => [ answer => accepted => 'proof' ], succeeded => [ answer => succeeded => 'proof' ],
	returned => [ callback => returned => 'proof' ]);
my $unsure = [ answer => unknown => 'hint' ];
my $refused = [ answer => refused => 'hint' ];
my @origins = (
	{ name => 'awaiting approval', state => 'awaiting_approval', unsent => 1 },
	{ name => 'queued', state => 'queued', unsent => 1 },
	{ name => 'queued again', state => 'queued', past => [ [ answer => not_executed => 'hint' ] ] },
	{ name => 'sending', state => 'sending', past => [] },
	{ name => 'unknown', state => 'unknown', past => [$unsure] },
	{ name => 'refused, not confirmed', state => 'unknown', past => [$refused], refusal => 1 },
	{ name => 'refused after an attempt that nobody can explain', state => 'unknown',
		past => [ $unsure, $refused ], refusal => 1 },
	{ name => 'adopted', state => 'unknown', unsent => 1, adopted => 1 },
	{ name => 'accepted', state => 'accepted', past => [ $proven{accepted} ] },
	{ name => 'abnormal', state => 'abnormal', past => [ $proven{accepted}, [ callback => abnormal => 'proof' ] ] },
	# whose failure policy is not to end them there
	{ name => 'queued again, not to end', state => 'queued', past => [ [ answer => not_executed => 'hint' ] ], policy => 1 },
	{ name => 'sending, not to end', state => 'sending', past => [], policy => 1 },
	{ name => 'refused, not confirmed, not to end', state => 'unknown', past => [$refused], refusal => 1, policy => 1 },
	{ name => 'accepted, not to end', state => 'accepted', past => [ $proven{accepted} ], policy => 1 },
	{ name => 'abnormal, not to end', state => 'abnormal', policy => 1,
		past => [ $proven{accepted}, [ callback => abnormal => 'proof' ] ] },
	{ name => 'stopped', state => 'stopped', past => [ [ answer => refused => 'proof' ] ], policy => 1 },
	{ name => 'stopped, its number dead', state => 'stopped', past => [ [ callback => dead => 'proof' ] ], policy => 1 },
	{ name => 'succeeded', state => 'succeeded', past => [ $proven{succeeded} ] },
	{ name => 'failed', state => 'failed', past => [ [ answer => refused => 'proof' ] ] },
	{ name => 'failed, its number dead', state => 'failed', past => [ [ callback => dead => 'proof' ] ], dead => 1 },
	{ name => 'returned', state => 'returned', past => [ $proven{returned} ] },
	{ name => 'returned after it had arrived', state => 'returned', past => [ $proven{succeeded}, $proven{returned} ] },
	{ name => 'canceled', state => 'canceled', unsent => 1, cancel => 1 },
	{ name => 'canceled by the channel', state => 'canceled', past => [ [ callback => canceled => 'proof' ] ] });

foreach my $origin (@origins)
{
	my @past = @{ $origin->{past} || [] };

	$origin->{unexplained} = grep({ $_ == $unsure } @past) && $origin->{state} eq 'unknown' ? 1 : 0;
	$origin->{lines} = [ 'freeze' ];
	push @{ $origin->{lines} }, 'pay_out' if grep { $_->[1] eq 'succeeded' } @past;
	push @{ $origin->{lines} }, @past > 1 ? 'return' : 'release' if $origin->{state} eq 'returned';
	push @{ $origin->{lines} }, 'release' if $origin->{state} =~ /^(failed|canceled)$/;
}
is_deeply([ sort keys %{ { map { $_->{state} => 1 } @origins } } ], [ sort keys %matrix ], 'every state is among the beginnings');

# ---- the cases ----

my @verdicts = qw(accepted succeeded refused dead abnormal returned canceled reversed
  not_executed hold config not_found ask unknown);
my $outcome = qr/^(?:accepted|succeeded|refused|dead|abnormal|returned|canceled|reversed)$/;
my @cases;

sub add_case
{
	my ($origin, $source, $verdict, $proof, %more) = @_;
	my $n = @cases + 1;

	push @cases,
	  { %more, no => sprintf('E%04d', $n), amount => 1000 + $n, funds => 50000 + 7 * $n, origin => $origin,
		source => $source, verdict => $verdict, proof => $proof eq 'proof' };
	return;
}

foreach my $origin (@origins)
{
	foreach my $source (sort keys %sources)
	{
		foreach my $verdict (@verdicts)
		{
			# a bill's line is proof of what it says, and says no more than what became of it
			next if $source eq 'bill' && $verdict !~ $outcome;
			add_case($origin, $source, $verdict, $_) foreach $source eq 'bill' ? 'proof' : qw(proof hint);
		}
	}
	# what an attempt without an end leaves behind
	add_case($origin, 'recovery', 'unknown', 'hint');
	# about something else, under our number
	add_case($origin, 'callback', 'succeeded', 'proof', amount_off => 1);
	add_case($origin, 'query', 'refused', 'proof', currency => 'USD');
	add_case($origin, 'callback', 'succeeded', 'proof', merchant => '1900000999');
	add_case($origin, 'answer', 'accepted', 'proof', payment => '4200somethingelse');
	# WeChat's word counts a minute after the last attempt has ended
	if ($origin->{state} eq 'unknown' && !$origin->{adopted})
	{
		add_case($origin, 'query', 'not_found', 'hint', asked => '59.999999 s');
		add_case($origin, 'query', 'not_found', 'hint', asked => '60 s');
	}
}

# ---- the rules of weighing ----

# What a piece of evidence amounts to, and whether a person must look.
sub input_of
{
	my ($c) = @_;
	my ($origin, $verdict) = @$c{qw(origin verdict)};
	my $state = $origin->{state};
	my $ours = $c->{source} eq 'answer' || $c->{source} eq 'recovery';

	if ($verdict eq 'not_found' && $state eq 'unknown')
	{
		# only a query that began late enough
		return 'unanswered' if $c->{source} ne 'query' || ($c->{asked} || '') =~ /^59/;
		return ('unanswered', 'person') if $origin->{adopted} || $origin->{refusal} && $origin->{unexplained};
		return $origin->{refusal} ? 'refused' : 'not_found';
	}
	# a query that is refused agrees with a refusal, if nothing else is unexplained
	return 'refused'
	  if $verdict eq 'refused' && $state eq 'unknown' && $c->{source} eq 'query' && !$c->{proof}
	  && $origin->{refusal} && !$origin->{unexplained};

	# its own call has come back and says nothing: it is over, and its outcome open
	return 'unanswered'
	  if $state eq 'sending' && $ours
	  && ($verdict =~ /^(not_found|ask)$/ || !$c->{proof} && $verdict ne 'refused' && $verdict =~ $outcome);
	return 'unanswered' if $verdict eq 'unknown';
	return $verdict if $verdict =~ /^(not_executed|hold|config|not_found|ask)$/;
	return $verdict eq 'refused' ? 'refusal_hint' : 'ask' if !$c->{proof};
	return 'ask' if $verdict eq 'succeeded' && $state eq 'abnormal' && $c->{source} =~ /^(?:callback|bill)$/;
	return $verdict eq 'canceled' ? 'channel_canceled' : $verdict;
}

# All that must be true afterwards, as one line: see observed().
sub expected
{
	my ($c) = @_;
	my $origin = $c->{origin};
	my $from = $origin->{state};
	my ($input, $cell, $person) = ('mismatch', '.', 'person');
	my $mismatch = grep { defined $c->{$_} } qw(amount_off currency merchant payment);

	unless ($mismatch)
	{
		($input, $person) = input_of($c);
		$cell = $reaction{$from}{$input};
		$cell = $reaction{$from}{stopped} if $cell eq 'F' && $origin->{policy};
	}
	my $to = $letter{$cell} || $from;

	# the attempt is over, whatever its answer speaks of
	$to = 'unknown' if $mismatch && $from eq 'sending' && $c->{source} eq 'answer';
	my $type = $mismatch ? 'mismatch' : { '.' => 'noted', '?' => 'asked', '!' => 'contradiction' }->{$cell} || 'moved';
	my $effect = effect($from, $to);
	my @lines = ('credit', @{ $origin->{lines} });
	my $out = $to eq 'succeeded';

	push @lines, $effect eq 'divert' ? 'release' : $effect if $effect ne 'none';
	$person = 1 if $cell eq '!' || $to eq 'abnormal' || $to eq 'stopped';
	$person = 0 if $to ne $from && !$is_open{$to};

	# the channel has counted it among the parts, unless it never took it on
	my $part = $to =~ /^(failed|canceled)$/ ? $origin->{dead} || $to ne $from && $c->{verdict} =~ /^(dead|reversed)$/ : 1;
	my $due =
		$from eq 'sending' && $to eq 'sending' ? '' : $cell eq '?' ? 'query'
	  : $to eq 'queued' ? 'submit' : $to =~ /^(unknown|accepted|abnormal)$/ ? 'query' : '';

	# proof of an outcome explains all attempts; an answer that leaves open what
	# became of its call is one more without an explanation
	my $unexplained = $origin->{unexplained};
	my $says_outcome = $c->{verdict} =~ $outcome;

	if ($mismatch)
	{
		$unexplained++ if $c->{source} eq 'answer';
	}
	else
	{
		$unexplained = 0 if $c->{proof} && $says_outcome;
		$unexplained++ if $c->{source} eq 'recovery';
		$unexplained++ if $c->{source} eq 'answer'
		  && ($says_outcome ? !$c->{proof} && $c->{verdict} ne 'refused' : $c->{verdict} =~ /^(not_found|ask|unknown)$/);
	}

	return join '|', $c->{no}, $type, $from, $to,
	  $is_open{$to} ? $c->{amount} : 0, $out ? $c->{amount} : 0, $to eq 'returned' ? $c->{amount} : 0, $part ? 1 : 0,
	  $c->{funds} - ($out || $is_open{$to} ? $c->{amount} : 0), $is_open{$to} ? $c->{amount} : 0,
	  join(' ', @lines), $cell eq '!' ? 'held' : 'free', $person ? 'person' : 'nobody', $due, $unexplained;
}

my @columns = qw(no outcome from to refunding refunded returned parts available frozen journal hold with due unexplained);

# The same line of each refund, as it is.  Of which event: the last.
sub observed
{
	return split /\n/, $rx->sql(q{
		SELECT i.instruction_no, x.type, x.from_state, i.state, p.refunding, p.refunded, p.returned, p.parts,
			   j.available, j.frozen, j.lines,
			   CASE WHEN p.hold IS NOT NULL AND a.hold IS NOT NULL THEN 'held'
					WHEN p.hold IS NULL AND a.hold IS NULL THEN 'free' ELSE 'half' END,
			   CASE WHEN i.person_since IS NULL THEN 'nobody' ELSE 'person' END,
			   CASE WHEN (i.due_at IS NULL) <> (i.due_call IS NULL) THEN 'half' ELSE i.due_call END,
			   i.unexplained
		  FROM refundx.instruction i
		  JOIN refundx.payment p USING (payment_id)
		  JOIN refundx.account a ON a.account_id = i.account_id
		 CROSS JOIN LATERAL (SELECT type, from_state FROM refundx.event
							  WHERE instruction_id = i.instruction_id ORDER BY seq DESC LIMIT 1) x
		 CROSS JOIN LATERAL (SELECT string_agg(type, ' ' ORDER BY version) AS lines,
									sum(d_available) AS available, sum(d_frozen) AS frozen
							   FROM refundx.journal WHERE account_id = i.account_id) j
		 WHERE i.instruction_no LIKE 'E%' ORDER BY 1});
}

# ---- to bring them there ----

# Evidence as dispatcher and listener keep it; all in one transaction, each
# [refund, source, verdict, proof, { more }].
my $said = 0;

sub evidence
{
	my @rows;

	foreach (@_)
	{
		my ($no, $source, $verdict, $proof, $more) = @$_;

		push @rows, '(' . join(', ', ++$said, map({ Refundx::literal($_) } $no, $source, $verdict),
			$proof ? 'true' : 'false', $more->{answers} ? 'true' : 'false', $more->{past} ? 'true' : 'false',
			$more->{amount_off} || 0,
			map({ Refundx::literal($more->{$_}) . '::text' } qw(currency merchant payment asked))) . ')';
	}
	return $rx->sql(
		'INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no, code,
				attempt_id, attempt_started_at, received_at, amount, currency, merchant_no, payment_no, channel_payment_id)
		 SELECT i.channel_id, i.merchant_id, v.source, sha256(convert_to(v.n::text, $$UTF8$$)), v.verdict, v.proof,
				i.wire_no, upper(v.verdict),
				CASE WHEN v.answers THEN (SELECT attempt_id FROM refundx.attempt a WHERE a.instruction_id = i.instruction_id) END,
				CASE WHEN v.asked IS NOT NULL THEN i.last_attempt_at + v.asked::interval
					 WHEN v.source = $$query$$ THEN clock_timestamp()
					 WHEN v.source <> $$callback$$ THEN i.first_attempt_at END,
				CASE WHEN v.past THEN i.first_attempt_at + interval $$1 s$$ ELSE clock_timestamp() END,
				i.amount + v.amount_off, coalesce(v.currency, i.currency), v.merchant, p.payment_no,
				coalesce(v.payment, p.channel_payment_id)
		   FROM (VALUES ' . join(",\n", @rows) . ')
				v (n, no, source, verdict, proof, answers, past, amount_off, currency, merchant, payment, asked)
		   JOIN refundx.instruction i ON i.instruction_no = v.no
		   JOIN refundx.payment p USING (payment_id)
		  ORDER BY v.n');
}

sub all_weighed
{
	my ($what) = @_;
	return ok($rx->poll('SELECT count(*) = 0 FROM refundx.evidence_log WHERE outcome IS NULL'), $what)
	  || diag($rx->sql('SELECT evidence_id, wire_no, source, verdict FROM refundx.evidence_log WHERE outcome IS NULL LIMIT 10'));
}

# As the dispatcher's claim, which is off, would have done it: these, some time ago.
sub claimed
{
	my ($ago, @numbers) = @_;
	my $these = join ', ', map { Refundx::literal($_) } @numbers;

	return $rx->sql("
		WITH moved AS (
			UPDATE refundx.instruction
			   SET state = 'sending', attempts = 1, state_since = clock_timestamp() - interval '$ago',
				   first_attempt_at = clock_timestamp() - interval '$ago', due_at = NULL, due_call = NULL
			 WHERE instruction_no IN ($these) RETURNING *
		), frozen AS (
			INSERT INTO refundx.request (instruction_id, wire_no, body)
			SELECT instruction_id, wire_no, '{}' FROM moved
		), attempted AS (
			INSERT INTO refundx.attempt (instruction_id, payment_id, merchant_id, call, wire_no, started_at)
			SELECT instruction_id, payment_id, merchant_id, 'submit', wire_no, first_attempt_at FROM moved
		)
		INSERT INTO refundx.event (instruction_id, type, from_state, to_state)
		SELECT instruction_id, 'claimed', 'queued', 'sending' FROM moved");
}

# Refunds, each of a payment and an account of its own.
sub submit
{
	my ($function, @these) = @_;
	my $rows = join ",\n", map { "('$_->{no}', $_->{amount}, $_->{funds})" } @these;

	return $rx->sql("
		DO \$\$
		DECLARE c record;
		BEGIN
			FOR c IN SELECT * FROM (VALUES $rows) v (no, amount, funds) LOOP
				PERFORM refundx.account_open('A' || c.no, 'CNY');
				PERFORM refundx.account_credit('A' || c.no, c.funds, 'opening');
				PERFORM refundx.payment_record(channel => 'wx', payment_no => 'P' || c.no, amount => 90000,
					currency => 'CNY', channel_payment_id => '42000P' || c.no, paid_at => now(), account => 'A' || c.no);
				PERFORM refundx.$function(channel => 'wx', payment_no => 'P' || c.no, refund_no => c.no,
					amount => c.amount, reason => 'a test');
			END LOOP;
		END \$\$");
}

# Nothing submits for approval yet; so what is born queued is born awaiting it.
$rx->sql(q{
	CREATE FUNCTION public.awaits_approval() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF TG_TABLE_NAME = 'event' THEN
			NEW.to_state := 'awaiting_approval';
		ELSE
			NEW.state := 'awaiting_approval';
			NEW.due_at := NULL;
			NEW.due_call := NULL;
		END IF;
		RETURN NEW;
	END $$;
	CREATE TRIGGER awaits_approval BEFORE INSERT ON refundx.instruction FOR EACH ROW EXECUTE FUNCTION public.awaits_approval();
	CREATE TRIGGER awaits_approval BEFORE INSERT ON refundx.event FOR EACH ROW EXECUTE FUNCTION public.awaits_approval()});
submit('refund_submit', grep { $_->{origin}{state} eq 'awaiting_approval' } @cases);
$rx->sql('DROP FUNCTION public.awaits_approval() CASCADE');

submit('refund_adopt', grep { $_->{origin}{adopted} } @cases);
submit('refund_submit', grep { $_->{origin}{state} ne 'awaiting_approval' && !$_->{origin}{adopted} } @cases);
$rx->sql('SELECT refundx.failure_policy_for(no, $${"on_failure": "operator"}$$, $$a test$$) FROM unnest($${'
	  . join(',', map { $_->{no} } grep { $_->{origin}{policy} } @cases) . '}$$::text[]) no');
$rx->sql("SELECT refundx.refund_cancel(no, 'a test') FROM unnest('{"
	  . join(',', map { $_->{no} } grep { $_->{origin}{cancel} } @cases) . "}'::text[]) no");
claimed('1 s', map { $_->{no} } grep { $_->{origin}{state} eq 'sending' } @cases);
claimed('2 h', map { $_->{no} } grep { !$_->{origin}{unsent} && $_->{origin}{state} ne 'sending' } @cases);

my @past;
foreach my $c (@cases)
{
	my $answers = 1;

	foreach my $step (@{ $c->{origin}{past} || [] })
	{
		my ($source, $verdict, $proof) = @$step;

		push @past, [ $c->{no}, $source, $verdict, $proof eq 'proof', { past => $source eq 'answer', answers => $answers && $source eq 'answer' } ];
		$answers = 0;
	}
}
evidence(@past);
all_weighed('what brings them to their states is weighed');

my %state = map { split /\|/ } split /\n/, $rx->sql("SELECT instruction_no, state FROM refundx.instruction");
is_deeply(\%state, { map { $_->{no} => $_->{origin}{state} } @cases }, 'all ' . @cases . ' refunds are where they should be');
$rx->check_ok('before');

# ---- every pair ----

evidence(map {
		[ @$_{qw(no source verdict proof)},
			{ %$_, answers => $_->{origin}{state} eq 'sending' && $_->{source} =~ /^(answer|recovery)$/ } ]
	} @cases);
all_weighed('every pair is weighed');

my %observed = map { (split /\|/)[0] => $_ } observed();
my %wrong;

foreach my $c (@cases)
{
	my $name = "$c->{origin}{name}: $c->{source}";
	my $expected = expected($c);
	my @is = split /\|/, $observed{ $c->{no} }, -1;
	my @should = split /\|/, $expected, -1;

	push @{ $wrong{$name} },
	  "$c->{no} $c->{verdict} ($c->{source}, " . ($c->{proof} ? 'proof' : 'hint') . '): '
	  . join(', ', map { "$columns[$_] is $is[$_], not $should[$_]" } grep { $is[$_] ne $should[$_] } 0 .. $#columns)
	  if $observed{ $c->{no} } ne $expected;
	$wrong{$name} ||= [];
}
foreach my $name (sort keys %wrong)
{
	is(join("\n", @{ $wrong{$name} }), '', "$name, with each verdict");
}
is($rx->sql(q{SELECT count(*) FROM refundx.event WHERE evidence_id IS NOT NULL AND coalesce(note, '') = ''}), 0,
	'each says why');
is($rx->sql("SELECT count(*) FROM refundx.instruction WHERE state = 'abnormal' AND person_suggestion IS NULL"), 0,
	'and what a person can do');
$rx->check_ok('after every pair');
tables_ok($rx, 'after every pair');

# The same once more: another copy in other bytes moves no money that has moved.
{
	my $money = q{SELECT md5(string_agg(j::text, '' ORDER BY j.account_id, j.version)) FROM refundx.journal j
		JOIN refundx.instruction i USING (instruction_id) WHERE i.state IN ('succeeded', 'returned', 'failed', 'canceled')};
	my @ended = grep { !$is_open{ (split /\|/, $observed{ $_->{no} })[3] } } @cases;
	my $before = $rx->sql($money);

	evidence(map { [ @$_{qw(no source verdict proof)}, { %$_, answers => 0 } ] } @ended);
	all_weighed('said again of ' . @ended . ' that are finished');
	is($rx->sql($money), $before, 'no money moves for it');
	$rx->check_ok('said again');
}

# ---- one merchant: paused by what our own calls were told ----

my $paused = "SELECT coalesce(paused, 'no') FROM refundx.merchants";

submit('refund_submit', { no => 'H1', amount => 100, funds => 1000 });
claimed('2 h', 'H1');
foreach my $said (
	[ 'answer', 'accepted', 1, 'no', 'a signed answer: it works' ],
	[ 'callback', 'hold', 1, 'no', 'a callback says nothing of our balance' ],
	[ 'query', 'config', 0, 'config', 'a query that we may not make' ],
	[ 'query', 'unknown', 0, 'config', 'what says nothing resumes nothing' ],
	[ 'callback', 'accepted', 1, 'config', 'a callback proves nothing of our keys' ],
	[ 'answer', 'hold', 0, 'hold', 'the balance is empty' ],
	[ 'answer', 'accepted', 1, 'no', 'a signed answer: it works again' ])
{
	my ($source, $verdict, $proof, $after, $what) = @$said;

	evidence([ 'H1', $source, $verdict, $proof ]);
	all_weighed("merchant: $what");
	is($rx->sql($paused), $after, "merchant: $what: " . ($after eq 'no' ? 'not paused' : "paused ($after)"));
}

# ---- many of one account, in one batch ----

subtest 'one account: its lines continue each other within a batch' => sub {
	my %counts = (accepted => 0, succeeded => 0, refused => 0, returned => 0);
	my @said;

	$rx->sql("SELECT refundx.account_open('SHARED', 'CNY');
			  SELECT refundx.account_credit('SHARED', 100000, 'opening');
			  SELECT refundx.payment_record(channel => 'wx', payment_no => 'PS' || n, amount => 1000, currency => 'CNY',
						channel_payment_id => '42000PS' || n, paid_at => now(), account => 'SHARED'),
					 refundx.refund_submit(channel => 'wx', payment_no => 'PS' || n, refund_no => 'S' || n, amount => n)
				FROM generate_series(1, 40) n");
	claimed('2 h', map { "S$_" } 1 .. 40);
	foreach my $n (1 .. 40)
	{
		my $verdict = (sort keys %counts)[ $n % 4 ];

		$counts{$verdict} += $n;
		# the whole story at once, and the end of it twice
		push @said, [ "S$n", 'answer', 'accepted', 1, { answers => 1 } ], ([ "S$n", 'callback', $verdict, 1 ]) x 2;
	}
	evidence(sort { $a->[2] cmp $b->[2] } @said);
	all_weighed('all of it');
	is($rx->sql("SELECT available, frozen FROM refundx.accounts WHERE account = 'SHARED'"),
		(100000 - $counts{succeeded} - $counts{accepted}) . "|$counts{accepted}", 'the balance is what they add up to');
	is($rx->sql("SELECT count(*) FROM refundx.journal JOIN refundx.account USING (account_id) WHERE account_no = 'SHARED'"),
		1 + 40 + 30, 'one line for each step');
	$rx->check_ok('one account');
};

# ---- one piece that cannot be settled ----

subtest 'one poisoned piece of evidence holds up nothing else' => sub {
	my $settler = $rx->worker_pid('settler');
	my $mark = -s $rx->node->logfile;
	my $left = q{SELECT coalesce(string_agg(wire_no, ' ' ORDER BY evidence_id), '') FROM refundx.evidence_log WHERE outcome IS NULL};

	submit('refund_submit', map { { no => "X$_", amount => 100 + $_, funds => 1000 } } 1 .. 21);
	$rx->sql(q{
		CREATE FUNCTION public.poison() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			RAISE EXCEPTION 'poisoned' USING ERRCODE = 'XX001';
		END $$;
		CREATE TRIGGER poison BEFORE UPDATE ON refundx.instruction FOR EACH ROW
			WHEN (NEW.instruction_no = 'X11') EXECUTE FUNCTION public.poison()});
	evidence(map { [ "X$_", 'callback', 'succeeded', 1 ] } 1 .. 21);
	ok($rx->poll("SELECT ($left) = 'X11'"), 'all others of its batch are settled') || diag($rx->sql($left));
	is($rx->sql("SELECT string_agg(state, ' ' ORDER BY state) FROM (SELECT DISTINCT state FROM refundx.instruction
				 WHERE instruction_no LIKE 'X%') s"), 'queued succeeded', 'and it is where it was');
	is($rx->payment_sums('PX11'), '90000|111|0', 'frozen');
	ok($rx->node->log_contains('poisoned', $mark), 'the log has the reason');

	# what comes later does not wait for it, and does not hide it
	foreach my $no (qw(X22 X23))
	{
		submit('refund_submit', { no => $no, amount => 100, funds => 1000 });
		evidence([ $no, 'callback', 'succeeded', 1 ]);
		$rx->wait_state($no, 'succeeded', 'what comes later is settled');
	}
	my $health = q{SELECT level || ' ' || finding FROM refundx.health WHERE what = 'settler'};
	like($rx->sql($health), qr/^error .*evidence \d+ could not be settled/, 'health still says so');
	is($rx->sql("SELECT backlog FROM refundx.health WHERE what = 'evidence'"), 1, 'one piece waits');
	is($rx->worker_pid('settler'), $settler, 'the settler has not ended');
	$rx->check_ok('with a poisoned piece');

	# it is found again, by whoever starts next
	$rx->sql('DROP FUNCTION public.poison() CASCADE');
	$rx->sql("SELECT pg_terminate_backend($settler)");
	$rx->wait_state('X11', 'succeeded', 'without the poison it is settled by the next settler');
	ok($rx->poll(q{SELECT bool_and(level = 'ok') FROM refundx.health WHERE what IN ('settler', 'evidence')}), 'health is well again')
	  || diag($rx->sql($health));
	$rx->check_ok('without the poison');
};

# ---- an application that sits on a row ----

subtest 'a row that somebody sits on holds up that row' => sub {
	my %of = (
		B1 => [ 'payment PB1', "SELECT 1 FROM refundx.payment WHERE payment_no = 'PB1' FOR UPDATE" ],
		B2 => [ 'refund B2', "SELECT 1 FROM refundx.instruction WHERE instruction_no = 'B2' FOR UPDATE" ],
		B3 => [ 'account AB3', "SELECT 1 FROM refundx.account WHERE account_no = 'AB3' FOR UPDATE" ]);
	my %sessions;

	submit('refund_submit', map { { no => "B$_", amount => 100 + $_, funds => 1000 } } 1 .. 30);
	foreach my $no (sort keys %of)
	{
		my $s = $rx->node->background_psql($rx->database);

		$sessions{$no} = $s;
		$s->query_safe("SET application_name = 'sits on $no'");
		$s->query_safe("BEGIN; $of{$no}[1]");
	}
	evidence(map { [ "B$_", 'callback', 'succeeded', 1 ] } 1 .. 30);
	ok($rx->poll("SELECT count(*) = 27 FROM refundx.instruction WHERE instruction_no LIKE 'B%' AND state = 'succeeded'"),
		'all others are settled');
	is($rx->sql("SELECT string_agg(instruction_no, ' ' ORDER BY instruction_no) FROM refundx.instruction
				 WHERE instruction_no LIKE 'B%' AND state = 'queued'"), 'B1 B2 B3', 'those three wait');
	foreach my $no (sort keys %of)
	{
		is($rx->sql("SELECT level, backlog, finding FROM refundx.health WHERE what = 'blocker' AND finding LIKE '%sits on $no%'"),
			qq{error|1|session "sits on $no", idle in transaction holds $of{$no}[0]}, "health names who sits on $no");
	}
	like($rx->sql("SELECT finding FROM refundx.health WHERE what = 'settler'"), qr/waits for rows that others have locked/,
		'the settler says what it waits for');
	$rx->check_ok('while they wait');

	# what comes meanwhile about the same refund waits behind it; others do not
	submit('refund_submit', { no => 'B31', amount => 100, funds => 1000 });
	evidence([ 'B2', 'callback', 'returned', 1 ], [ 'B31', 'callback', 'succeeded', 1 ]);
	$rx->wait_state('B31', 'succeeded', 'what comes meanwhile is settled');
	is($rx->state('B2'), 'queued', 'but what is behind the lock');

	$sessions{B1}->query_safe('COMMIT');
	$rx->wait_state('B1', 'succeeded', 'the first lets go, and its refund is settled');
	is($rx->state('B2') . ' ' . $rx->state('B3'), 'queued queued', 'the others still wait');
	$sessions{$_}->query_safe('COMMIT') foreach qw(B2 B3);
	$rx->wait_state('B3', 'succeeded', 'and then the others');
	$rx->wait_state('B2', 'returned', 'with all that was said of it, in order');
	is(lines_of($rx, 'B2'), 'queued>succeeded>returned', 'in the order of arrival');
	$_->quit foreach values %sessions;
	is($rx->sql("SELECT count(*) FROM refundx.health WHERE what = 'blocker'"), 0, 'nobody blocks any more');
	$rx->check_ok('after the locks');
};

tables_ok($rx, 'at the end');
$rx->stop;
done_testing();
