# A number that has waited in the queue past its channel's window: it is asked
# about and never sent again, if anything of it may have been executed; and sent
# if every attempt is known to have come to nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx::Channels;
use Refundx::Oracle;
use Test::More;

my $all = Refundx::Channels->new('main', only => ['stripe'], settings => { 'refundx.dispatch' => 'off' });
my $rx = $all->rx;
my %unexplained = (OPEN => 1, EXPLAINED => 0);
my %no = map { $_ => $all->no('stripe', $_) } keys %unexplained;

# As a day without sending would leave them: sent once, yesterday.
foreach my $name (sort keys %unexplained)
{
	$all->start('stripe', $name, 10000);
	$rx->sql("UPDATE refundx.instruction
				 SET attempts = 1, unexplained = $unexplained{$name}, generation = $unexplained{$name},
					 first_attempt_at = clock_timestamp() - interval '21 hours',
					 last_attempt_at = clock_timestamp() - interval '21 hours'
			   WHERE instruction_no = '$no{$name}'");
}
$rx->set('refundx.dispatch' => 'on');
$rx->wait_state($no{EXPLAINED}, 'succeeded', 'what was certainly not executed is sent');
ok($rx->poll("SELECT person_reason LIKE '%may be sent again is over%' FROM refundx.instruction
	WHERE instruction_no = '$no{OPEN}'"), 'what may have been is with a person')
  || diag($rx->story($no{OPEN}));
is($rx->state($no{OPEN}), 'queued', 'it waits');
my $polls = $rx->sql("SELECT polls FROM refundx.instruction WHERE instruction_no = '$no{OPEN}'");
ok($rx->poll("SELECT polls >= $polls + 2 FROM refundx.instruction WHERE instruction_no = '$no{OPEN}'"),
	'it is asked about all the same');
is(sent_times($rx, $no{OPEN}), 0, 'and it is not sent');
is($all->sums('stripe', $no{OPEN}), '50000|10000|0', 'its money stays frozen');
like($rx->sql("SELECT refundx.refund_explain('$no{OPEN}')"), qr/is with a person/, 'and support staff can say so');
done_testing();
