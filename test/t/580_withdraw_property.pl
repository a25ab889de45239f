# Withdrawals, in whatever order callers, payees, operators, channels and crashes
# come: the sums are right all the time, and in the end both ledgers agree.
#
# Two sessions do what a seed says, fifty operations at a time, on accounts of
# every kind: plain, with slots, with a fee on top, with a fee inside that is kept
# on failure, under a day's limit, and with approval.  Some of it is rolled back,
# wholly or to a savepoint.  Meanwhile callbacks are held, repeated and released,
# payees confirm and decline, banks send back, the configuration is reloaded, and
# the server or the sandbox dies.
#
# After each fifty: refundx.check(), and an oracle that does not ask it.  What
# must be there it knows from what callers were told, and the fees and limits from
# rules of its own.  In the end everything is finished, and each number has cost
# and brought what the sandbox's ledger says.
#
#	REFUNDX_SEED		repeats a run (what the operations are, not their timing)
#	REFUNDX_OPERATIONS	how many (3000)
#
# Faults of others that come up here: fault_07 and fault_27 (what is frozen is what
# is open, at every look), fault_20 (a line for each change), fault_24 (rejected is
# never paid), fault_31 (canceled here only if never attempted).  Each has a test of
# its own in 585_withdraw_faults.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run ();
use List::Util qw(sum0 max);
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;
use Time::HiRes qw(usleep time);

my $seed = $ENV{REFUNDX_SEED} || 20261127;
my $operations = $ENV{REFUNDX_OPERATIONS} || 3000;
my $at_a_time = 50;
my $speed = 600;

note "REFUNDX_SEED=$seed REFUNDX_OPERATIONS=$operations";
srand $seed;

my $all = Refundx::Withdrawals->new(
	'main',
	sandbox => [ '--speed', $speed, '--callback-delay-ms', 20, '--hold-ms', 1000 ],
	config => { time_scale => $speed, not_found_after => 1 });
my $rx = $all->rx;
my $sandbox = $all->sandbox;

# ---- the accounts, and their rules ----

# The oracle's own words for what is set below with withdraw_policy_set.
my %account = (
	P => {},
	S => { slots => 4 },
	T => { on_top => 1, fixed => 3, percent => 1.5, cap => 250, back_on_failure => 1, back_on_return => 0 },
	K => { fixed => 7, percent => 1, back_on_failure => 0, back_on_return => 1 },
	L => { day_amount => 2_000_000, day_count => 12 },
	M => { slots => 3, day_amount => 250_000, day_count => 1000, fixed => 1, on_top => 1, back_on_failure => 1,
		back_on_return => 1 },
	Q => { approve_above => 15000, fixed => 5, back_on_failure => 1, back_on_return => 0 });
my @accounts = sort keys %account;
my %credited = map { $_ => 300_000 } @accounts;

# A day that does not end meanwhile; and nobody lives by it.
my $zone = (gmtime)[2] == 15 ? 'UTC' : 'Asia/Shanghai';

foreach my $name (@accounts)
{
	my $rules = $account{$name};
	my %policy = (
		map({ defined $rules->{$_} ? ($_ => $rules->{$_}) : () } qw(day_amount day_count approve_above)),
		fee_fixed => $rules->{fixed} || 0,
		fee_percent => $rules->{percent} || 0,
		fee_cap => $rules->{cap},
		fee_on_top => $rules->{on_top} ? \1 : \0,
		fee_back_on_failure => $rules->{back_on_failure} // 1 ? \1 : \0,
		fee_back_on_return => $rules->{back_on_return} ? \1 : \0,
		day_zone => $zone);

	$rx->sql("SELECT refundx.account_open('$name', 'CNY', " . ($rules->{slots} || 1) . ')');
	$rx->sql("SELECT refundx.account_credit('$name', $credited{$name}, 'opening')");
	$rx->sql("SELECT refundx.withdraw_policy_set('$_', " . Refundx::literal(Refundx::to_json(\%policy)) . "::jsonb, '$name')")
	  foreach $all->names;
}

# What callers are told: a state, or the SQLSTATE of an error that is the caller's own fault.
$rx->sql(q{
	CREATE FUNCTION attempt(id text, what text, actor text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE result text;
	BEGIN
		PERFORM set_config('refundx.actor', actor, true);
		EXECUTE what INTO result;
		PERFORM set_config('refundx.actor', '', true);
		RETURN id || '|' || result;
	EXCEPTION WHEN OTHERS THEN
		IF SQLSTATE LIKE 'RX%' OR SQLSTATE IN ('40001', '40P01') THEN RETURN id || '|' || SQLSTATE; END IF;
		RAISE;
	END $$});
# A hint about a number, as an unsigned word of the channel would be one: it makes us ask.
$rx->sql(q{
	CREATE FUNCTION hint(no text, n text) RETURNS text LANGUAGE sql AS $$
		INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, received_at)
		SELECT channel_id, merchant_id, 'callback', kind, sha256(convert_to(no || n, 'UTF8')), 'ask', false, wire_no,
			   clock_timestamp()
		  FROM refundx.instruction WHERE instruction_no = no
		ON CONFLICT DO NOTHING;
		SELECT 'asked' $$});

# ---- what there is to do ----

my %outcomes = (
	# the behaviours that end by themselves; of those that a person ends, 9004 and
	# 9306 and 9307 (the payee), 9018 and 9019 (release), 9009 (a balance)
	wechat => [ 9001 .. 9008, 9010 .. 9014, 9016, 9018 .. 9023, 9301, 9302, 9304 .. 9310, 9314, 9321,
		9004, 9004, 9004, 9004, 9306, 9307, 9307 ],
	alipay => [ 9001 .. 9003, 9005 .. 9008, 9010 .. 9014, 9016 .. 9023, 9102 .. 9105, 9109, 9111 .. 9113,
		9115, 9116, 9302, 9308 .. 9311, 9313 .. 9315, 9318, 9320, 9311, 9311 ]);
# they stop all withdrawals of the merchant for a while
my @pausing = (9009, 9015, 9319);
my @of_refunds = (9001 .. 9003, 9005, 9007, 9008, 9010, 9012, 9016, 9020 .. 9023);

my %known;      # number => what callers were told of it: it is there
my %never;      # number => why it must not be there
my @numbers;    # those of %known, in the order of their submits
my @fresh;      # withdrawals that the transaction under way has submitted
my $serial = 0;
my $operation = 0;
my %did;

sub one_of { return $_[ rand @_ ] }
sub in_a_hundred { return rand(100) < $_[0] }

# Mostly one of the last, which may still be under way.
sub some_number
{
	my ($wanted) = @_;
	my @from = grep { !$wanted || $wanted->($known{$_}) } @numbers[ max(0, @numbers - 120) .. $#numbers ];
	return @from ? $from[ rand @from ] : undef;
}

sub fee_of
{
	my ($rules, $asked) = @_;
	# in hundredths of a hundredth of a percent, half a unit up
	my $fee = int(($asked * ($rules->{percent} || 0) * 10000 + 500_000) / 1_000_000) + ($rules->{fixed} || 0);
	return defined $rules->{cap} && $fee > $rules->{cap} ? $rules->{cap} : $fee;
}

# What to ask for, so that the channel is asked for $net.
sub gross
{
	my ($rules, $net) = @_;
	my $asked = $net;

	return $net if $rules->{on_top};
	$asked++ while $asked - fee_of($rules, $asked) < $net;
	return $asked;
}

sub amount_for
{
	my ($channel) = @_;
	my $base = 10000 * int(1 + rand 3);

	return $base + one_of(@pausing) if in_a_hundred(0.4);
	return $base + one_of(@{ $outcomes{$channel} }) if in_a_hundred($channel eq 'wechat' ? 35 : 50);
	return $base + int rand 8999;
}

sub withdraw_sql
{
	my ($w, %but) = @_;
	my $text = $all->text($w->{channel}, $w->{no}, $w->{asked}, account => $w->{account}, who => $w->{who}, %but);
	return "SELECT ($text).state";
}

# Each gives the kind, a statement, and what is known of it.
my %sql_operation = (
	credit => [ 10, sub {
		my ($account, $amount) = (one_of(@accounts), 1000 * int(1 + rand 150));
		my $reference = 'c' . ++$serial;
		return { sql => "SELECT refundx.account_credit('$account', $amount, '$reference')", account => $account,
			amount => $amount, reference => $reference, says => qr/^(?:true|RX019)$/ };
	} ],
	debit => [ 3, sub {
		my ($account, $amount) = (one_of(@accounts), 100 * int(1 + rand 100));
		my $reference = 'd' . ++$serial;
		return { sql => "SELECT refundx.account_debit('$account', $amount, '$reference')", account => $account,
			amount => -$amount, reference => $reference, says => qr/^(?:true|RX004|RX019)$/ };
	} ],
	withdraw => [ 48, sub {
		my $channel = one_of('wechat', 'alipay');
		my $account = one_of(@accounts);
		my %w = (kind => 'withdrawal', channel => $channel, account => $account, no => 'W' . ++$serial . $channel,
			net => amount_for($channel), who => $channel eq 'alipay' && in_a_hundred(50) ? 'card' : '');
		$w{asked} = gross($account{$account}, $w{net});
		return { sql => withdraw_sql(\%w), number => \%w,
			says => qr/^(?:queued|awaiting_approval|RX004|RX019|RX020)$/ };
	} ],
	refund => [ 8, sub {
		my %r = (kind => 'refund', channel => one_of('wechat', 'alipay'), account => one_of(qw(P S T L)), no => 'R' . ++$serial);
		$r{net} = $r{asked} = 10000 * int(1 + rand 2) + (in_a_hundred(30) ? one_of(@of_refunds) : int rand 8999);
		return { sql => 'SELECT (' . Refundx::call_text('refund_submit', channel => $r{channel}, payment_no => "P$serial",
				refund_no => $r{no}, amount => $r{net}, currency => 'CNY', payment_amount => 40000, account => $r{account},
				channel_payment_id => "42000$serial", paid_at => \'now()') . ').state',
			number => \%r, says => qr/^(?:queued|RX004|RX019)$/ };
	} ],
	again => [ 3, sub {
		my $no = some_number(sub { $_[0]{kind} eq 'withdrawal' }) or return;
		return { sql => withdraw_sql($known{$no}), says => qr/^(?:[a-z_]+|40001)$/ };
	} ],
	other => [ 1, sub {
		my $no = some_number(sub { $_[0]{kind} eq 'withdrawal' }) or return;
		return { sql => withdraw_sql($known{$no}, one_of(
				[ amount => $known{$no}{asked} + 1 ], [ account => $known{$no}{account} eq 'P' ? 'S' : 'P' ],
				[ reason => 'another' ])->@*), says => qr/^(?:RX003|40001)$/ };
	} ],
	cancel => [ 9, sub {
		# what the same transaction has just submitted, perhaps in vain
		my $fresh = @fresh && in_a_hundred(60) ? one_of(@fresh) : undef;
		return { sql => "SELECT (refundx.withdraw_cancel('$fresh', 'no, not so')).state", says => qr/^(?:canceled|RX012)$/ } if $fresh;
		# often one that waits for its payee: that is the channel's to cancel
		my $no = some_number(in_a_hundred(40) ? sub { $_[0]{channel} eq 'wechat' && ($_[0]{net} % 10000) =~ /^(?:9004|9306|9307)$/ } : undef) or return;
		my $call = $known{$no}{kind} eq 'refund' ? 'refund_cancel' : 'withdraw_cancel';
		return { sql => "SELECT (refundx.$call('$no', 'changed their mind')).state", says => qr/^(?:[a-z_]+|RX006)$/ };
	} ],
	decide => [ 7, sub {
		my $no = some_number(sub { $_[0]{account} eq 'Q' && $_[0]{kind} eq 'withdrawal' }) or return;
		my $what = in_a_hundred(75) ? 'approve' : 'reject';
		my $who = in_a_hundred(90) ? 'bo' : 'al';
		return { sql => "SELECT (refundx.$what('$no', 'looked at it')).state", actor => $who,
			says => $who eq 'bo' ? qr/^(?:queued|canceled|RX006)$/ : qr/^(?:RX021|RX006)$/ };
	} ],
	ask => [ 5, sub {
		my $no = some_number() or return;
		return { sql => "SELECT hint('$no', '" . ++$serial . "')", says => qr/^asked$/ };
	} ],
	close => [ 1, sub { return { sql => "SELECT refundx.account_close('S', 'for a while')", says => qr/^(?:true|false)$/ } } ],
	reopen => [ 2, sub { return { sql => "SELECT refundx.account_reopen('S', 'again')", says => qr/^(?:true|false)$/ } } ]);

# What others do meanwhile.
my $is_paused = 0;
my $is_off = 0;
my %other_operation = (
	callback => [ 8, sub {
		my $no = some_number() or return;
		eval { $sandbox->ctl('callback', $no, int(1 + rand 3)) };
	} ],
	'pause-callbacks' => [ 2, sub { $is_paused = !$is_paused; $sandbox->ctl('pause-callbacks', $is_paused ? 'on' : 'off') } ],
	confirm => [ 5, sub {
		my $no = some_number(sub { $_[0]{kind} eq 'withdrawal' && $_[0]{channel} eq 'wechat' && $_[0]{net} % 10000 > 9000 }) or return;
		eval { $sandbox->ctl(in_a_hundred(70) ? 'confirm' : 'decline', $no) };
	} ],
	bounce => [ 3, sub {
		my $no = some_number(sub { ($_[0]{who} || '') eq 'card' }) or return;
		eval { $sandbox->ctl('bounce', $no) };
	} ],
	release => [ 4, sub { $sandbox->ctl('release', 'all') } ],
	balance => [ 2, \&balance ],
	reload => [ 1, sub { $rx->node->reload } ],
	# what is not sent can be canceled here and now
	dispatch => [ 2, sub { dispatch($is_off ? 'on' : 'off') } ],
	'sandbox-crash' => [ 0.4, sub { $sandbox->kill9; usleep(rand 300_000); $sandbox->start; $is_paused = 0 } ]);

sub dispatch
{
	my ($value) = @_;
	$is_off = $value eq 'off';
	$rx->configure('refundx.dispatch' => $value);
	$rx->node->reload;
	return;
}

# 9009: a balance that is set after the refusal
sub balance
{
	my %merchant = (
		wechat => $sandbox->channel_config(undef, 'wechat')->{mchid},
		alipay => $sandbox->channel_config(undef, 'alipay-cert')->{app_id});
	$sandbox->ctl('balance', $_, 'unlimited') foreach values %merchant;
	return;
}

# A kind by its weight.
sub draw
{
	my ($from) = @_;
	my @kinds = sort keys %$from;
	my $at = rand sum0 map { $from->{$_}[0] } @kinds;

	foreach my $kind (@kinds)
	{
		$at -= $from->{$kind}[0];
		return $kind if $at < 0;
	}
	return $kinds[-1];
}

# ---- fifty of them ----

sub make_operation
{
	for (;;)
	{
		my $kind = draw(\%sql_operation);
		my $op = $sql_operation{$kind}[1]->() or next;

		$op->{kind} = $kind;
		$op->{id} = ++$operation;
		$did{$kind}++;
		return $op;
	}
}

sub call_of
{
	my ($op) = @_;
	return sprintf("SELECT attempt('%d', %s, '%s');", $op->{id}, Refundx::literal($op->{sql}), $op->{actor} || 'al');
}

# Units of a script: single ones, and transactions of up to five, of which some
# are rolled back, and in some a part.  `stays` says what must come of each.
sub make_script
{
	my ($n) = @_;
	my (@units, @text);

	while ($n > 0)
	{
		my %unit = (ops => [], id => 'u' . ($operation + 1));
		my @lines;

		if (in_a_hundred(75))
		{
			my $op = make_operation();
			$op->{stays} = 1;
			@lines = (call_of($op));
			push @{ $unit{ops} }, $op;
		}
		else
		{
			my $end = in_a_hundred(60) ? 'COMMIT' : 'ROLLBACK';
			my $size = 1 + int rand 5;
			my $from = in_a_hundred(40) ? int rand $size : $size;    # the savepoint
			my $to = $from + int rand($size - $from + 1);

			push @lines, 'BEGIN;';
			foreach my $i (0 .. $size - 1)
			{
				my $op = make_operation();
				push @fresh, $op->{number}{no} if $op->{kind} eq 'withdraw';
				push @lines, 'SAVEPOINT s;' if $i == $from;
				push @lines, call_of($op);
				$op->{stays} = $end eq 'COMMIT' && !($i >= $from && $i <= $to);
				push @lines, 'ROLLBACK TO SAVEPOINT s;' if $i == $to;
				push @{ $unit{ops} }, $op;
			}
			push @lines, "ROLLBACK TO SAVEPOINT s;" if $from < $size && $to >= $size;
			push @lines, "$end;";
			@fresh = ();
			$did{ lc $end }++;
			$did{savepoint}++ if $from < $size;
		}
		push @lines, "SELECT '$unit{id}|over';";
		push @text, @lines;
		push @units, \%unit;
		$n -= @{ $unit{ops} };
	}
	return (\@units, join("\n", 'SET client_min_messages = error;', @text) . "\n");
}

my @broken;    # what was found, and when: nothing

sub broken
{
	my ($what) = @_;
	push @broken, $what;
	diag("after $operation operations (seed $seed): $what");
	return;
}

# What came of a script: the caller was told, or the server died and the tables
# are asked, where a transaction is there as a whole or not at all.
sub learn
{
	my ($units, $out, $crashed) = @_;
	my %told = map { /^(\w+)\|(.*)$/ ? ($1 => $2) : () } split /\n/, $out;
	my %there;

	if ($crashed)
	{
		%there = map { $_ => 1 } split /\n/, $rx->sql(
			q{SELECT instruction_no FROM refundx.instruction UNION ALL
			  SELECT reference FROM refundx.journal WHERE type IN ('credit', 'debit')});
	}
	foreach my $unit (@$units)
	{
		my $over = exists $told{ $unit->{id} };
		my %fate;

		broken("unit $unit->{id} was not finished, and nobody crashed") unless $over || $crashed;
		foreach my $op (@{ $unit->{ops} })
		{
			my $says = $told{ $op->{id} };
			my $key = $op->{number} ? $op->{number}{no} : $op->{reference};
			my $done = defined $says && $says =~ /^[a-z]/;

			broken("$op->{kind} says \"$says\": $op->{sql}")
			  if defined $says && $says !~ $op->{says} && $says !~ /^40P01$/;
			next unless defined $key;
			if (!$op->{stays})
			{
				$never{$key} = "it was rolled back ($op->{kind})";
				next;
			}
			if (!$over)
			{
				# it is one of these, and what does not know how it ended
				$done = $there{$key};
				push @{ $fate{ $done ? 'there' : 'not there' } }, $key if defined $says && $says =~ /^[a-z]/;
			}
			if ($done)
			{
				$credited{ $op->{account} } += $op->{amount} if $op->{reference};
				learn_number($op->{number}) if $op->{number};
			}
			else
			{
				$never{$key} = defined $says ? "it was refused ($says)" : 'it was never heard of';
			}
		}
		broken("of one transaction, some is there (@{ $fate{there} }) and some is not (@{ $fate{'not there'} })")
		  if keys %fate > 1;
	}
	return;
}

sub learn_number
{
	my ($number) = @_;
	$known{ $number->{no} } = $number;
	push @numbers, $number->{no};
	return;
}

# Through files: whoever waits for one of two must not have to feed the other.
sub start_session
{
	my ($name, $text) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/580.$name";

	unlink map { "$file.$_" } qw(sql out err);
	utf8::encode($text);
	append_to_file("$file.sql", $text);
	my $run = IPC::Run::start([ $rx->node->installed_command('psql'), '-XAtq', '-d', $rx->node->connstr($rx->database), '-f', "$file.sql" ],
		'<', \undef, '>', "$file.out", '2>', "$file.err");
	return { run => $run, file => $file };
}

sub said
{
	my ($session, $what) = @_;
	my $file = "$session->{file}.$what";
	return -f $file ? slurp_file($file) : '';
}

# ---- what must hold ----

# What of a fee stays when a withdrawal ends without having been paid.
sub kept
{
	my ($what) = @_;
	my @keep = grep { !($account{$_}{"back_on_$what"} // ($what eq 'failure')) } @accounts;
	return 'IN (' . join(', ', map { "'$_'" } @keep) . ')';
}

# The rule of a fee in SQL, for numeric has no rounding of its own.
sub fee_sql
{
	my @cases = map {
		my $r = $account{$_};
		my $f = 'floor(w.asked * ' . ($r->{percent} || 0) . ' / 100.0 + 0.5) + ' . ($r->{fixed} || 0);
		$f = "least($f, $r->{cap})" if defined $r->{cap};
		"WHEN '$_' THEN $f";
	} @accounts;
	return "CASE w.account @cases END";
}

sub oracle_sql
{
	my $sums = join ', ', map { "('$_', $credited{$_}::numeric)" } @accounts;
	my $on_top = join ', ', map { "'$_'" } grep { $account{$_}{on_top} } @accounts;
	my $limits = join ', ', map { "('$_', $account{$_}{day_amount}, $account{$_}{day_count})" }
	  grep { $account{$_}{day_amount} } @accounts;
	my ($kept_on_failure, $kept_on_return) = (kept('failure'), kept('return'));
	my $fee = fee_sql();

	return qq{
WITH credited (account, amount) AS (VALUES $sums),
own AS (
	SELECT s.account_id, a.account_no AS account, a.account_id AS own_id
	  FROM refundx.account s JOIN refundx.account a ON a.account_id = coalesce(s.slot_of, s.account_id)),
balance AS (
	SELECT o.account, sum(l.available) AS available, sum(l.frozen) AS frozen
	  FROM own o JOIN (SELECT DISTINCT ON (account_id) account_id, available, frozen FROM refundx.journal
						ORDER BY account_id, version DESC) l USING (account_id) GROUP BY 1),
moved AS (
	SELECT o.account, sum(d_outside) AS outside,
		   sum(d_available) FILTER (WHERE type IN ('slot_in', 'slot_out')) AS among_slots
	  FROM refundx.journal j JOIN own o USING (account_id) GROUP BY 1),
w AS (
	SELECT i.*, o.account, p.asked, p.capped_on, p.approval, p.account_id AS own_id, o.own_id AS of_id,
		   i.state NOT IN ('succeeded', 'failed', 'returned', 'canceled') AS open,
		   CASE i.state WHEN 'succeeded' THEN i.amount + i.fee
						WHEN 'failed' THEN CASE WHEN o.account $kept_on_failure THEN i.fee ELSE 0 END
						WHEN 'returned' THEN CASE WHEN o.account $kept_on_return THEN i.fee ELSE 0 END
						ELSE 0 END AS out
	  FROM refundx.instruction i JOIN own o USING (account_id) LEFT JOIN refundx.payout p USING (instruction_id)),
spent AS (
	SELECT account, sum(out) AS out, sum(amount + fee) FILTER (WHERE open) AS open FROM w GROUP BY 1),
today AS (
	SELECT DISTINCT ON (account_id, channel_id, day) * FROM refundx.cap_line
	 ORDER BY account_id, channel_id, day, n DESC)
SELECT 'account ' || c.account || ': available ' || coalesce(b.available, 0) || ' + frozen ' || coalesce(b.frozen, 0)
	   || ' + out ' || coalesce(s.out, 0) || ' is not the credited ' || c.amount
  FROM credited c LEFT JOIN balance b USING (account) LEFT JOIN spent s USING (account)
 WHERE coalesce(b.available, 0) + coalesce(b.frozen, 0) + coalesce(s.out, 0) <> c.amount
UNION ALL
SELECT 'account ' || c.account || ': frozen ' || coalesce(b.frozen, 0) || ', open ' || coalesce(s.open, 0)
  FROM credited c LEFT JOIN balance b USING (account) LEFT JOIN spent s USING (account)
 WHERE coalesce(b.frozen, 0) <> coalesce(s.open, 0)
UNION ALL
SELECT 'account ' || c.account || ': the journal let out ' || m.outside || ', its withdrawals cost ' || coalesce(s.out, 0)
  FROM credited c JOIN moved m USING (account) LEFT JOIN spent s USING (account)
 WHERE m.outside <> coalesce(s.out, 0) - c.amount
UNION ALL
SELECT 'account ' || account || ': its slots gave one another ' || among_slots FROM moved WHERE among_slots <> 0
UNION ALL
SELECT 'a line below zero: ' || account_id || ' ' || version FROM refundx.journal WHERE available < 0 OR frozen < 0
UNION ALL
SELECT instruction_no || ': ' || amount || ' + ' || fee || ' for ' || asked || ' from ' || account
  FROM w WHERE kind = 'withdrawal' AND
	   (fee <> $fee OR amount <> CASE WHEN account IN ($on_top) THEN asked ELSE asked - fee END OR own_id <> of_id)
UNION ALL
SELECT instruction_no || ': a refund that is half a withdrawal' FROM w WHERE kind = 'refund' AND (fee <> 0 OR asked IS NOT NULL)
UNION ALL
SELECT instruction_no || ': approval ' || coalesce(approval, 'not needed') || ' for ' || asked || ' from ' || account
  FROM w WHERE kind = 'withdrawal' AND (approval IS NOT NULL) <> (account = 'Q' AND asked > $account{Q}{approve_above})
UNION ALL
SELECT w.instruction_no || ': sent, and nobody had approved it' FROM w
 WHERE approval IS NOT NULL AND attempts > 0
   AND NOT EXISTS (SELECT FROM refundx.event e WHERE e.instruction_id = w.instruction_id AND e.type = 'approved')
UNION ALL
SELECT w.instruction_no || ': canceled here after ' || w.attempts || ' attempts' FROM w
  JOIN refundx.event e USING (instruction_id) WHERE e.type IN ('canceled', 'rejected') AND w.attempts > 0
UNION ALL
SELECT w.instruction_no || ': ' || e.type || ', ' || e.note FROM w JOIN refundx.event e USING (instruction_id)
 WHERE e.type = 'contradiction' OR e.type = 'mismatch' AND w.amount % 10000 <> 9310
UNION ALL
SELECT 'limit of ' || l.account || ' in ' || w.channel_id || ': ' || count(*) FILTER (WHERE counts) || ' of '
	   || coalesce(sum(asked) FILTER (WHERE counts), 0) || ' count, its newest line says ' || coalesce(t.withdrawals || ' of ' || t.amount, 'nothing')
  FROM (VALUES $limits) l(account, day_amount, day_count)
  JOIN (SELECT *, state NOT IN ('failed', 'canceled') AS counts FROM w WHERE kind = 'withdrawal') w USING (account)
  LEFT JOIN today t ON t.account_id = w.own_id AND t.channel_id = w.channel_id AND t.day = w.capped_on
 GROUP BY l.account, w.channel_id, w.capped_on, t.withdrawals, t.amount, l.day_amount, l.day_count
HAVING (count(*) FILTER (WHERE counts), coalesce(sum(asked) FILTER (WHERE counts), 0)) IS DISTINCT FROM (t.withdrawals, t.amount::numeric)
	OR t.withdrawals > l.day_count OR t.amount > l.day_amount
UNION ALL
SELECT 'limit of ' || o.account || ': line ' || c.n || ' says ' || c.withdrawals || ' of ' || c.amount || ' after ' || coalesce(c.before, 0)
  FROM (SELECT *, lag(n) OVER (PARTITION BY account_id, channel_id, day ORDER BY n) AS before FROM refundx.cap_line) c
  JOIN own o USING (account_id) LEFT JOIN (VALUES $limits) l(account, day_amount, day_count) USING (account)
 WHERE c.n <> coalesce(c.before, 0) + 1 OR c.withdrawals < 0 OR c.amount < 0 OR l.account IS NULL
	OR c.amount > l.day_amount OR c.withdrawals > l.day_count
UNION ALL
SELECT instruction_no || ': counted on a limit that is not there, or not counted' FROM w
 WHERE kind = 'withdrawal' AND (capped_on IS NOT NULL) <> (account IN (SELECT account FROM (VALUES $limits) l(account, a, n)))
};
}

my %took = (check => 0, oracle => 0, crash => 0);

sub look
{
	my $before = time;
	my $rows = $rx->sql('SELECT * FROM refundx.check()');
	broken("refundx.check(): $rows") if $rows ne '';
	$took{check} += time() - $before;

	$before = time;
	$rows = $rx->sql(oracle_sql());
	broken("the oracle: $rows") if $rows ne '';
	my %there = map { $_ => 1 } split /\n/, $rx->sql('SELECT instruction_no FROM refundx.instruction');
	my @lost = grep { !$there{$_} } @numbers;
	my @strange = grep { !$known{$_} } keys %there;
	broken("lost: @lost") if @lost;
	broken('must not be there: ' . join(', ', map { "$_ (" . ($never{$_} || 'nobody knows why') . ')' } @strange)) if @strange;
	$took{oracle} += time() - $before;
	return;
}

# ---- the run ----

my $crashes = 0;
my $started = time;

while ($operation < $operations && @broken < 3)
{
	my $left = $operations - $operation < $at_a_time ? $operations - $operation : $at_a_time;
	my $others = int($left / 5);
	my $crash = in_a_hundred(100 * $left / 500);
	my @sessions;

	foreach my $n (int(($left - $others + 1) / 2), int(($left - $others) / 2))
	{
		my ($units, $text) = make_script($n);
		push @sessions, { units => $units, text => $text };
	}
	$sessions[$_]{session} = start_session($_, $sessions[$_]{text}) foreach 0 .. $#sessions;
	foreach (1 .. $others)
	{
		my $kind = draw(\%other_operation);

		$operation++;
		$did{$kind}++;
		$other_operation{$kind}[1]->();
	}
	if ($crash)
	{
		my $before = time;
		usleep(rand 120_000);
		$rx->kill9;
		$crashes++;
		$_->{session}{run}->finish foreach @sessions;
		$rx->node->start;
		$took{crash} += time() - $before;
	}
	else
	{
		$_->{session}{run}->finish foreach @sessions;
	}
	foreach (@sessions)
	{
		my $err = said($_->{session}, 'err');
		learn($_->{units}, said($_->{session}, 'out'), $crash);
		broken("a session: $err") if $err ne '' && !$crash;
	}
	look();
	dispatch('on') if $is_off && in_a_hundred(40);
}
my $seconds = time - $started;
note sprintf('%d operations in %.1f s (check %.1f, oracle %.1f, %d crashes %.1f): %s', $operation, $seconds, $took{check},
	$took{oracle}, $crashes, $took{crash}, join ', ', map { "$_ $did{$_}" } sort keys %did);
is(join("\n", @broken), '', "after each of $operation operations the sums are right");
cmp_ok($crashes, '>=', int($operations / 1500), 'the server died and came back');

# ---- until everything is finished ----

dispatch('on');
$rx->sql(q{SELECT refundx.account_reopen('S', 'the end')});

# Asked back after an attempt that the channel turns out not to know: no clock ends
# it, and nobody sends it again.
my $persons = q{cancel_requested_at IS NOT NULL AND state = 'queued' AND attempts > 0 AND person_reason IS NOT NULL};

sub waits_for_somebody
{
	my ($transfers) = @_;

	$sandbox->ctl('pause-callbacks', 'off');
	$sandbox->ctl('release', 'all');
	balance();
	$rx->sql(q{SET refundx.actor = 'bo'; SELECT refundx.approve(withdrawal_no, 'the end') FROM refundx.awaiting_approval});
	foreach my $t (@$transfers)
	{
		eval { $sandbox->ctl('confirm', $t->{no}) } if $t->{status} eq 'WAIT_USER_CONFIRM';
	}
	return;
}

# What came back without a word is asked about, as the clerk would in some days.
sub is_finished
{
	my $transfers = $sandbox->ledger->{transfers};
	my %bounced = map { $_->{no} => 1 } grep { $_->{bounced_times} } @$transfers;
	my $open = $rx->sql("SELECT count(*) FROM refundx.instruction WHERE is_open AND NOT ($persons)");

	waits_for_somebody($transfers);
	my @unheard = grep { $bounced{$_} } split /\n/,
	  $rx->sql(q{SELECT instruction_no FROM refundx.instruction WHERE state = 'succeeded'});
	$rx->sql(join ';', map { "SELECT hint('$_', '" . ++$serial . "')" } @unheard) if @unheard;
	return $open == 0 && !@unheard;
}

# The last that was heard of a number, for whoever wants to know why.
sub told_of
{
	my ($no) = @_;
	return $rx->sql(qq{SELECT * FROM (SELECT e.seq, e.at, e.type, e.from_state, e.to_state, v.source, v.verdict, v.proof, v.code, v.amount, e.note
		FROM refundx.event e JOIN refundx.instruction i USING (instruction_id) LEFT JOIN refundx.evidence v USING (evidence_id)
		WHERE i.instruction_no = '$no' ORDER BY e.seq LIMIT 12) t ORDER BY seq});
}

$started = time;
my $finished = Refundx::wait_for(sub { usleep(300_000); return is_finished() }, 'everything is finished', 150);
note sprintf('finished after another %.1f s', time - $started);
ok($finished, 'everything comes to its end')
  || diag($rx->sql(q{SELECT instruction_no, state, detail, due_call, due_at, attempts, polls, unexplained, person_reason,
		cancel_requested_at FROM refundx.instruction WHERE is_open LIMIT 20}) . "\n"
	  . $rx->sql('SELECT * FROM refundx.merchant_pause') . "\n"
	  . join("\n\n", map { "$_:\n" . told_of($_) } split /\n/, $rx->sql('SELECT instruction_no FROM refundx.instruction WHERE is_open LIMIT 3')));
$rx->poll('SELECT count(*) = 0 FROM refundx.evidence v LEFT JOIN refundx.event e USING (evidence_id) WHERE e.seq IS NULL');
@broken = ();
look();
is(join("\n", @broken), '', 'and the sums are right');
is($rx->sql('SELECT sum(frozen) FROM refundx.accounts'),
	$rx->sql("SELECT coalesce(sum(amount + fee), 0) FROM refundx.instruction WHERE $persons"), 'nothing is frozen but what is with a person');

# ---- both ledgers ----

my $ledger = $sandbox->ledger;
my (%theirs, %ours);

$theirs{"refund $_->{no}"} += $_->{amount} * $_->{paid_times} foreach grep { $_->{paid_times} } @{ $ledger->{refunds} };
$theirs{"withdrawal $_->{no}"} += $_->{net} foreach grep { $_->{net} } @{ $ledger->{transfers} };
%ours = map { /^(.*)\|(\d+)$/ } split /\n/, $rx->sql(
	q{SELECT kind || ' ' || instruction_no, -sum(d_available) FILTER (WHERE type IN ('freeze', 'release', 'return'))
			 - CASE WHEN bool_or(type = 'fee') THEN i.fee ELSE 0 END
	    FROM refundx.instruction i JOIN refundx.journal USING (instruction_id)
	   GROUP BY i.instruction_id HAVING bool_or(type = 'pay_out') AND NOT bool_or(type = 'return')});
is_deeply(\%theirs, \%ours, 'what each number has brought its payee is what it has cost the account, without the fee');
is_deeply([ map { $_->{no} } grep { $_->{paid_times} > 1 || ($_->{bounced_times} || 0) > 1 } @{ $ledger->{refunds} }, @{ $ledger->{transfers} } ],
	[], 'nothing is paid twice, and nothing came back twice');
is_deeply([ grep { $never{$_} } map { $_->{no} } @{ $ledger->{refunds} }, @{ $ledger->{transfers} } ],
	[], 'nothing of what was rolled back or refused has ever reached a channel');
my %wanted = map { $_ => $known{$_}{net} } grep { $known{$_}{kind} eq 'withdrawal' } @numbers;
is_deeply([ map { "$_->{no} $_->{amount}" } grep { ($wanted{ $_->{no} } || 0) != $_->{amount} } @{ $ledger->{transfers} } ],
	[], 'the channel was asked for the net of each withdrawal');

# ---- it was worth while ----

my %states = map { split /\|/ } split /\n/, $rx->sql(
	q{SELECT state, count(*) FROM refundx.instruction WHERE kind = 'withdrawal' GROUP BY 1});
note join ', ', map { "$_ $states{$_}" } sort keys %states;
cmp_ok($states{$_} || 0, '>', 0, "some withdrawals are $_") foreach qw(succeeded failed canceled returned);
cmp_ok($rx->sql(q{SELECT count(*) FROM refundx.journal WHERE type = 'fee'}), '>', 0, 'some have cost a fee');
cmp_ok($rx->sql(q{SELECT count(*) FROM refundx.journal WHERE type IN ('slot_in', 'fee_return')}), '>', 0,
	'slots have helped one another, or a fee has come back');

$rx->stop;
done_testing();
