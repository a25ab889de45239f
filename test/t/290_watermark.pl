# A settler that starts looks at what may be unweighed only: from the watermark
# on, which the clerk raises, and which no transaction may come in behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Refundx;
use Refundx::Workers;
use Test::More;

my $rx = Refundx->new('main', settings => { 'refundx.dispatch' => 'off', 'refundx.clerk_interval' => '1s' });
my $said = 0;

# About a number that nobody knows: weighed, noted, and nothing else.
sub evidence
{
	$said++;
	return "INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no)
		SELECT channel_id, merchant_id, 'callback', sha256('$said'), 'unknown', false, 'W$said'
		  FROM refundx.channel RETURNING evidence_id";
}

sub weighed
{
	my ($id, $what) = @_;
	return ok($rx->poll("SELECT count(*) = 1 FROM refundx.event WHERE evidence_id = $id"), $what);
}

sub watermark { return $rx->sql('SELECT weighed_to FROM refundx.watermark') }

my $id = $rx->sql(evidence());
weighed($id, 'a piece of evidence is weighed');
ok($rx->poll("SELECT weighed_to >= $id FROM refundx.watermark"), 'and the watermark comes to it');

# ---- one that commits late ----

my $late = $rx->node->background_psql($rx->database);
my $late_id = $late->query_safe('BEGIN; ' . evidence());
$id = $rx->sql(evidence());
cmp_ok($id, '>', $late_id, 'a later number commits first');
weighed($id, 'and is weighed');
ok($rx->poll("SELECT next_id >= $id FROM refundx.watermark"), 'the clerk has noted it');
foreach (1, 2)
{
	my $since = $rx->sql("SELECT since FROM refundx.worker_status() WHERE kind = 'clerk'");
	ok($rx->poll("SELECT since > '$since' AND state = 'idle' FROM refundx.worker_status() WHERE kind = 'clerk'"),
		'the clerk comes again');
}
cmp_ok(watermark(), '<', $late_id, 'but the watermark waits for the earlier number');
$late->query_safe('COMMIT');
$late->quit;
weighed($late_id, 'which is weighed when it commits');
ok($rx->poll("SELECT weighed_to >= $id FROM refundx.watermark"), 'and then the watermark passes both');

# ---- what is above it is found after a crash ----

my %before = worker_pids($rx, 'shop');
my $mark = watermark();
kill 'STOP', $before{settler};
$id = $rx->sql(evidence());
kill 'KILL', $before{settler};
came_back($rx, 'shop', \%before, 'the server and its workers are back');
cmp_ok($id, '>', $mark, 'evidence that a dying settler had not seen');
weighed($id, 'is found and weighed');

$rx->check_ok;
done_testing();
