# A standby works for nobody, until it is promoted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Workers;
use Test::More;

my $rx = Refundx->new('primary', sandbox => 0, streaming => 1);
my $primary = $rx->node;
my $processes = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'refundx %'";

workers_up($rx, 'shop');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "refundx.databases = 'shop:" . Refundx::free_port() . "'\n");
$standby->start;
$primary->wait_for_catchup($standby);

is($standby->safe_psql('shop', $processes), 0, 'a standby starts nobody, not even the launcher');
is($standby->safe_psql('shop', "SELECT string_agg(DISTINCT state || ': ' || problem, '; ') FROM refundx.worker_status()"),
	'down: this server is a standby; workers start when it is promoted', 'and its status says why');
my ($rc, $out, $err) = $standby->psql('shop', 'DROP EXTENSION refundx');
like($err, qr/read-only|recovery/, 'the hooks are no trouble there');
is($standby->safe_psql('shop', 'SELECT timeline FROM refundx.this_installation()'), 1, 'it knows its timeline');

$primary->stop('fast');
$standby->promote;
ok($standby->poll_query_until('shop',
		"SELECT count(*) = 4 FROM refundx.worker_status() WHERE state = 'up' AND kind <> 'clerk'"),
	'promoted, it starts all of them')
  || diag($standby->safe_psql('shop', 'SELECT kind, state, problem FROM refundx.worker_status()'));
is($standby->safe_psql('shop', 'SELECT timeline FROM refundx.this_installation()'), 2, 'on a timeline of its own');
is($standby->safe_psql('shop', 'SELECT system_identifier = (SELECT system_identifier FROM pg_control_system()) FROM refundx.this_installation()'),
	't', 'the system identifier is the cluster\'s');

$standby->stop('fast');
done_testing();
