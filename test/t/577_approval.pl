# A second person has to agree: who that may be, and what holds until then.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main');
my $rx = $all->rx;
my $n = 0;

# pool is shared, and may say for whom it acts; plain is shared as well, and may not
$rx->sql(q{
	CREATE ROLE app LOGIN IN ROLE refundx_app;
	CREATE ROLE boss LOGIN IN ROLE refundx_operator;
	CREATE ROLE alice LOGIN IN ROLE refundx_operator;
	CREATE ROLE duo LOGIN IN ROLE refundx_app, refundx_operator;
	GRANT boss TO duo;
	CREATE ROLE pool LOGIN IN ROLE refundx_app, refundx_operator, refundx_delegate;
	CREATE ROLE plain LOGIN IN ROLE refundx_app, refundx_operator;
	CREATE ROLE auditor LOGIN IN ROLE refundx_auditor});
$all->policy($_, { approve_above => 5000 }) foreach $all->names;

my $channel = 'wechat';

# For whom a session acts: "alice@pool" sets refundx.actor first.
sub as
{
	my ($who, $sql) = @_;
	my ($actor, $login) = $who =~ /^(?:(.*)@)?(\w+)$/;
	return $all->as($login, (defined $actor ? "SET refundx.actor = '$actor'; " : '') . $sql);
}

sub submit
{
	my ($who, $amount, %more) = @_;
	my $own = $all->no($channel, 'N' . ++$n);

	is(as($who, 'SELECT (' . $all->text($channel, $own, $amount || 6000, %more) . ').state'), 'awaiting_approval',
		"$who submits $own, which waits for somebody else") or die;
	return $own;
}

sub approve { my ($who, $own) = @_; return as($who, "SELECT (refundx.approve('$own', 'looked at it')).state") }
sub reject { my ($who, $own) = @_; return as($who, "SELECT (refundx.reject('$own', 'no such order')).state") }

# ---- what needs it, and what holds meanwhile ----

foreach my $one ($all->names)
{
	$channel = $one;
	subtest "$channel: above an amount" => sub {
		my $before = $all->balance;
		my $not = $all->start($channel, 'ATMOST', 5000);
		my $own;

		$all->ends($not, 'succeeded');
		$before = $all->balance;
		$own = submit('app', 5001);
		my ($available, $frozen) = split /\|/, $before;
		is($all->balance, ($available - 5001) . '|' . ($frozen + 5001), 'its money is frozen');
		is(as('app', "CALL refundx.withdraw_wait('$own', '20 s')"), 'awaiting_approval', 'waiting for it tells so, at once');
		is($rx->sql("SELECT due_at, due_call FROM refundx.instruction WHERE instruction_no = '$own'"), '|', 'nothing is due');
		is(as('boss', "SELECT withdrawal_no, account, amount, submitted_by_person, approval FROM refundx.awaiting_approval"),
			"$own|A|5001|app|the amount is above 5000", 'people see what waits, and why');
		like(as('app', "SELECT refundx.withdraw_explain('$own')"), qr/approv|second person|another person/i, 'and the caller');
		is($all->shown($own, 'approval'), 'the amount is above 5000', 'and why stays with it');
		# the clerk comes round meanwhile, and another withdrawal goes all the way
		$all->ends($all->start($channel, 'PASSES', 5000), 'succeeded');
		ok($rx->poll("SELECT now() > submitted_at + interval '1500 ms' FROM refundx.instruction WHERE instruction_no = '$own'"));
		is(sent_times($rx, $own), 0, 'it is not sent');
		is($all->calls($own), '', 'nor asked about');
		$rx->check_ok('meanwhile');
		is(approve('boss', $own), 'queued', 'somebody else approves');
		$all->ends($own, 'succeeded');
		is(lines_of($rx, $own) =~ /^awaiting_approval>queued>sending>/ ? 1 : 0, 1, 'and it goes its way');
		is(sent_times($rx, $own), 1, 'once');
	};
}
$channel = 'alipay';

subtest 'a payee that the account has never paid' => sub {
	my $payee = { user_id => '2088000011112222' };
	my ($first, $second);

	$rx->sql("SELECT refundx.account_open('NEW', 'CNY'), refundx.account_credit('NEW', 100000, 'opening')");
	$rx->sql("SELECT refundx.account_open('NEW2', 'CNY'), refundx.account_credit('NEW2', 100000, 'opening')");
	$all->policy($channel, { approve_new_payee => JSON::PP::true }, $_) foreach 'NEW', 'NEW2';
	($first, $second) = map { submit('app', 1000, account => 'NEW', payee => $payee) } 1, 2;
	is($all->shown($first, 'approval'), 'the account has never paid this payee before', 'he is new');
	# one that fails makes nobody known
	my $fails = submit('app', 19001, account => 'NEW', payee => $payee);
	approve('boss', $fails);
	$all->ends($fails, 'failed');
	my $third = submit('app', 1000, account => 'NEW', payee => $payee);
	approve('boss', $first);
	$all->ends($first, 'succeeded');
	is(as('app', 'SELECT (' . $all->text($channel, 'KNOWN', 1000, account => 'NEW', payee => $payee) . ').state'), 'queued',
		'once he was paid he is known');
	$all->ends('KNOWN', 'succeeded');
	submit('app', 1000, account => 'NEW2', payee => $payee);
	submit('app', 1000, account => 'NEW', payee => { user_id => '2088000011112223' });
	is($rx->state($_), 'awaiting_approval', "$_ still waits") foreach $second, $third;
	is(reject('boss', $_), 'canceled') foreach split /\n/, as('boss', "SELECT withdrawal_no FROM refundx.awaiting_approval");
};

# ---- who may ----

# [ who submits, who approves, the result ]
my @cases = (
	[ 'app', 'app', '42501' ],                    # not an operator at all
	[ 'app', 'auditor', '42501' ],
	[ 'duo', 'duo', 'RX021' ],                  # one's own
	[ 'duo', 'boss', 'queued' ],                 # another login
	[ 'alice@pool', 'alice@pool', 'RX021' ],      # one's own, in another session
	[ 'alice@pool', 'bob@pool', 'queued' ],       # another person of the same login
	[ 'alice@pool', 'pool', 'RX021' ],            # nobody knows who that is
	[ 'pool', 'pool', 'RX021' ],
	[ 'pool', 'bob@pool', 'RX021' ],              # nobody knows who that was
	[ 'alice@pool', 'boss', 'queued' ],           # another login
	[ 'alice@pool', 'alice', 'RX021' ],           # the same person by another way
	[ 'alice', 'alice@pool', 'RX021' ],
	[ 'plain', 'plain', 'RX021' ],
	[ 'plain', 'bob@pool', 'queued' ],
	[ 'plain', 'bob@plain', '42501' ]);           # may not say for whom it acts

$rx->sql('GRANT refundx_app TO alice');
foreach my $case (@cases)
{
	my ($from, $by, $result) = @$case;

	subtest "submitted by $from, decided by $by: $result" => sub {
		my $own = submit($from);

		like(approve($by, $own), qr/^$result( |$)/, 'approve');
		if ($result eq 'queued')
		{
			$all->ends($own, 'succeeded');
			$own = submit($from);
			is(reject($by, $own), 'canceled', 'reject');
			$all->ends($own, 'canceled');
			return;
		}
		like(reject($by, $own), qr/^$result( |$)/, 'reject');
		is($rx->state($own), 'awaiting_approval', 'it still waits');
		is($all->journal($own), 'freeze', 'frozen');
		is($rx->sql("SELECT count(*) FROM refundx.audit WHERE subject = '$own'"), 0, 'nobody is on record as having decided');
		# one's own can be taken back without anybody
		is(as($from, "SELECT (refundx.withdraw_cancel('$own')).state"), 'canceled', 'its submitter takes it back');
		$all->ends($own, 'canceled');
		is(sent_times($rx, $own), 0, 'and nothing was sent');
	};
}

subtest 'no way round it' => sub {
	my $own = submit('duo');

	like($all->as('duo', "SET ROLE boss; SELECT refundx.approve('$own', 'x')"), qr/^RX021 /, 'SET ROLE makes nobody another person');
	like($all->as('duo', "SET ROLE refundx_operator; SELECT refundx.approve('$own', 'x')"), qr/^RX021 /, 'to a group, either');
	like($all->as('duo', "SET SESSION AUTHORIZATION boss; SELECT refundx.approve('$own', 'x')"), qr/^42501 /, 'nor is the session another\'s');
	like($all->as('duo', "SET refundx.actor = 'boss'"), qr/^42501 /, 'the setting is refused');
	like($all->as('duo', "SELECT set_config('refundx.actor', 'boss', false)"), qr/^42501 /, 'by the function, too');
	like($all->as('duo', "SET ROLE boss; SET refundx.actor = 'eve'"), qr/^42501 /, 'in another role, too');
	{
		# given with the connection, it is not looked at until somebody acts
		local $ENV{PGOPTIONS} = '-c refundx.actor=eve';
		my $came = $all->as('duo', "SELECT refundx.approve('$own', 'x')");
		like($came, qr/42501|permission denied/, 'with the connection, too');
	}
	like($all->as('duo', "ALTER ROLE duo SET refundx.actor = 'eve'"), qr/^42501 /, 'for the login, too');
	like($all->as('boss', "SELECT refundx.approve('$own', '')"), qr/^22023 /, 'a reason must be given');
	like($all->as('boss', "SELECT refundx.approve('$own', NULL)"), qr/^22023 /, 'NULL is none');
	like($all->as('boss', "SELECT refundx.approve('NOSUCH', 'x')"), qr/^RX012 /, 'an unknown one');
	like($all->as('duo', "UPDATE refundx.instruction SET state = 'queued' WHERE instruction_no = '$own'"), qr/^42501 /, 'the row is nobody\'s');
	like($all->as('boss', "UPDATE refundx.payout SET approval = NULL"), qr/^42501 /, 'nor is what stands beside it');
	is($rx->state($own), 'awaiting_approval', 'it still waits');
	is(approve('boss', $own), 'queued', 'until another person approves');
	like(approve('alice', $own), qr/^RX006 /, 'once');
	like(reject('alice', $own), qr/^RX006 /, 'and for good');
	$all->ends($own, 'succeeded');

	# trusted when it was set, and not any more
	$rx->sql('CREATE ROLE was LOGIN IN ROLE refundx_operator, refundx_delegate');
	$own = submit('app');
	my $session = $rx->node->background_psql($rx->database, on_error_stop => 0, extra_params => [ '-U', 'was' ]);
	$session->query("SET refundx.actor = 'eve'");
	$rx->sql('REVOKE refundx_delegate FROM was');
	$session->query("SELECT refundx.approve('$own', 'x')");
	like($session->{stderr}, qr/may not act for somebody else/, 'who lost the role acts for nobody');
	$session->quit;
	is($rx->state($own), 'awaiting_approval', 'and it still waits');
	like(reject('boss', $own), qr/^canceled$/);
	like(approve('boss', $own), qr/^RX006 /, 'what was rejected is not approved');
	like(as('app', "SELECT (refundx.withdraw_cancel('$own')).state"), qr/^canceled$/, 'canceling it again is nothing new');
};

# ---- what is on record ----

subtest 'on record' => sub {
	my $own = submit('alice@pool');
	my $no = submit('alice@pool');

	approve('bob@pool', $own);
	reject('carol@pool', $no);
	$all->ends($own, 'succeeded');
	is($rx->sql("SELECT action, by_user, actor, reason FROM refundx.audit_log WHERE subject = '$own'"), 'approve|pool|bob|looked at it', 'who approved, and why');
	is($rx->sql("SELECT action, by_user, actor, reason FROM refundx.audit_log WHERE subject = '$no'"), 'reject|pool|carol|no such order', 'who rejected, and why');
	is($all->shown($own, 'submitted_by, actor'), 'pool|alice', 'and who had submitted it');
	like($rx->sql("SELECT string_agg(what || ' ' || \"by\" || ' ' || coalesce(note, ''), ', ') FROM refundx.withdraw_timeline('$own')"),
		qr/approved bob, as pool looked at it/, 'the timeline has it');
	like($all->as('boss', 'DELETE FROM refundx.audit'), qr/^42501 /, 'no operator takes it off');
};

drained($rx, 'at the end');
sound($rx, 'at the end');
wire_ok($rx, 'at the end');
never_twice($rx);
$rx->stop;
done_testing();
