# The journal is sealed behind everybody's back, and what its owner does to it
# afterwards is found, and located.
#
# By the clerk, while others work: what commits late (a prepared transaction too)
# is sealed once and holds up nobody; a crash between the parts of a seal leaves
# nothing; a dump that was restored and a standby that was promoted go on with the
# same chain.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Workers;
use Test::More;

my $rx = Refundx->new('main',
	streaming => 1,
	sandbox => [ '--speed', 60, '--callback-delay-ms', 20 ],
	settings => { 'refundx.clerk_interval' => '1s', 'max_worker_processes' => 16 });

sub credit { my ($account, $n, $tag) = @_; return "SELECT count(refundx.account_credit('$account', i, '$tag' || i)) FROM generate_series(1, $n) i;" }

# A test: everything that is there is sealed, each line once, and verifies.
sub sealed_ok
{
	my ($in, $what) = @_;
	my $lines = $in->sql('SELECT count(*) FROM refundx.journal');

	ok($in->poll("SELECT coalesce(sum(lines), 0) = $lines FROM refundx.seal"), "$what: all of it is sealed")
	  || diag($in->sql('SELECT seal_no, lines, parts FROM refundx.seal') . worker_states($in, $in->database));
	return is($in->sql('SELECT * FROM refundx.journal_verify()'), '', "$what: and verifies");
}

$rx->sql("SELECT refundx.account_open('A', 'CNY'), refundx.account_open('B', 'CNY'), refundx.account_open('S', 'CNY', 4)");
$rx->sql(credit($_, 50, 'opening')) foreach qw(A B S);
$rx->payment('P1', 10000, account => 'A');
$rx->refund('P1', 'R1', 60);
$rx->wait_state('R1', 'succeeded');
sealed_ok($rx, 'credits and a refund');
is($rx->sql("SELECT count(*) FROM refundx.sealed d JOIN refundx.seal s USING (seal_no)"),
	$rx->sql('SELECT sum(parts) FROM refundx.seal'), 'where each line is, is noted');

# ---- what commits late ----

$rx->sql("BEGIN; SELECT refundx.account_credit('B', 7, 'late'); PREPARE TRANSACTION 'late'");
$rx->sql("BEGIN; SELECT refundx.account_credit('S', 7, 'never'); PREPARE TRANSACTION 'never'");
# the room that it leaves is used again, far from the end of the table
$rx->sql("BEGIN; " . credit('A', 500, 'undone') . " ROLLBACK; VACUUM refundx.journal");
$rx->sql(credit('A', 300, 'while'));
sealed_ok($rx, 'beside a prepared transaction');
$rx->node->restart;
$rx->sql(credit('A', 10, 'after a restart'));
sealed_ok($rx, 'after a restart');
$rx->sql("COMMIT PREPARED 'late'");
$rx->sql("ROLLBACK PREPARED 'never'");
sealed_ok($rx, 'when it has committed');
is($rx->sql("SELECT count(*) FROM refundx.sealed d JOIN refundx.account a USING (account_id)
	WHERE a.account_no = 'B' AND d.to_version = 51"), 1, 'its line is in a seal of its own');

# Without a sweep: what is not where the sealer looks first is found all the same.
$rx->sql("UPDATE refundx.seal_cursor SET block = 1000000, noted_xid = NULL");
$rx->sql(credit('B', 5, 'behind'));
sealed_ok($rx, 'with a cursor that is wrong');
$rx->sql('VACUUM FULL refundx.journal');
$rx->sql(credit('B', 5, 'rewritten'));
sealed_ok($rx, 'in a table that was rewritten');

# Two who seal at once: one after the other.
$rx->sql(credit('A', 9000, 'many'));
my @both = map { $rx->node->background_psql($rx->database) } 1 .. 2;
$_->query_safe("SELECT refundx.journal_seal()") foreach @both;
$_->quit foreach @both;
sealed_ok($rx, 'with others who seal');
cmp_ok($rx->sql('SELECT max(lines) FROM refundx.seal'), '<=', 4096, 'no seal is larger than it may be');

# ---- a crash in the middle of a seal ----

SKIP:
{
	skip 'needs a build with TESTPOINTS=1', 4 unless $rx->has_test_points;
	my $mark = log_mark($rx);

	$rx->set('refundx.test_point' => 'seal-inserted:crash');
	$rx->sql(credit('B', 20, 'crash'));
	ok(Refundx::wait_for(sub { $rx->node->log_contains('all server processes terminated; reinitializing', $mark) }, 'the crash'),
		'the server crashes while the clerk seals');
	ok(Refundx::wait_for(sub { $rx->answers }, 'the server is back'), 'and comes back');
	$rx->configure('refundx.test_point' => '');
	$rx->node->restart;
	sealed_ok($rx, 'after the crash');
}

# ---- a standby is promoted ----

$rx->node->backup('standby');
my $node = PostgreSQL::Test::Cluster->new('standby');
$node->init_from_backup($rx->node, 'standby', has_streaming => 1);
$node->start;
my $standby = bless { %$rx, node => $node }, 'Refundx';
$rx->sql(credit('A', 100, 'before the failover'));
$rx->node->wait_for_catchup($node, 'replay', $rx->node->lsn('flush'));
like($standby->sql_error('SELECT refundx.journal_seal()'), qr/^25006 /, 'a standby does not seal');
is($standby->sql('SELECT * FROM refundx.journal_verify()'), '', 'but verifies');
$rx->kill9;
$node->promote;
$standby->sql(credit('A', 100, 'after the failover'));
sealed_ok($standby, 'on the new primary');

# ---- a dump is restored ----

my $dump = $node->basedir . '/shop.dump';
my $copy = bless { %$standby, database => 'copy' }, 'Refundx';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('shop') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), $dump ], 'pg_restore');
is($copy->sql('SELECT * FROM refundx.journal_verify()'), '', 'a restored dump verifies');
is($copy->sql('SELECT refundx.journal_seal()'), 0, 'nothing of it is sealed again');
$copy->sql(credit('B', 30, 'in the copy'));
is($copy->sql('SELECT refundx.journal_seal()'), 30, 'what is new is');
sealed_ok($copy, 'the chain goes on');

# ---- the owner changes history, while the workers work ----

my $account = $standby->sql("SELECT account_id FROM refundx.account WHERE account_no = 'A'");
$standby->sql("ALTER TABLE refundx.journal DISABLE TRIGGER USER");

sub tampered
{
	my ($what, $act, $undo, @found) = @_;

	$standby->sql($act);
	is($standby->sql("SELECT account, version, finding FROM refundx.journal_verify() ORDER BY 2"), join("\n", @found), "$what: found, and located");
	isnt($standby->sql('SELECT * FROM refundx.check_i20'), '', "$what: check() tells, too");
	$standby->sql($undo);
	return is($standby->sql('SELECT * FROM refundx.journal_verify()'), '', "$what: undone, all is well");
}

my $line = "WHERE account_id = $account AND version";
tampered('a line is changed', "UPDATE refundx.journal SET note = 'x' $line = 8", "UPDATE refundx.journal SET note = NULL $line = 8",
	'A|8|changed');
$standby->sql("CREATE TABLE kept AS SELECT * FROM refundx.journal $line IN (9, 12)");
tampered('a line is deleted', "DELETE FROM refundx.journal $line = 9",
	"INSERT INTO refundx.journal SELECT * FROM kept WHERE version = 9", 'A|9|missing');
my $exchange = "UPDATE refundx.journal SET version = 1000000 $line = 9; UPDATE refundx.journal SET version = 9 $line = 12;
	UPDATE refundx.journal SET version = 12 $line = 1000000";
tampered('two lines are exchanged', $exchange, $exchange, 'A|9|reordered', 'A|12|reordered');

# The end is cut off: the lines and what was sealed of them.
my $last = $standby->sql('SELECT max(seal_no) FROM refundx.seal');
$standby->sql("ALTER TABLE refundx.seal DISABLE TRIGGER USER; DELETE FROM refundx.seal WHERE seal_no = $last");
is($standby->sql("SELECT seal_no, finding FROM refundx.journal_verify()"), "$last|seal missing", 'the last seal is removed: found');

$standby->stop;
done_testing();
