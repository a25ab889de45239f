# Whom a withdrawal pays stands nowhere in clear: not in a table, not in the WAL,
# not in the log.

use strict;
use warnings;
use utf8;

use Encode qw(encode_utf8);
use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Oracle;
use Refundx::Withdrawals;
use Test::More;

my $all = Refundx::Withdrawals->new('main');
my $rx = $all->rx;
my %payee = (
	wechat => { openid => 'oSecretPayee_0123456789-abcd', name => '欧阳秘密' },
	alipay => { card_no => '6222020200012345670', name => '欧阳秘密', inst_name => '秘密银行' });
my @secrets = ('oSecretPayee_0123456789-abcd', '6222020200012345670', '欧阳秘密', '秘密银行');

foreach my $channel ($all->names)
{
	$all->start($channel, 'SEALED', 10000, payee => $payee{$channel}, contact => '13912345678');
	$rx->wait_state($all->no($channel, 'SEALED'), 'succeeded');
}

# Asked about once more, so that there are answers to queries as well.
$rx->sql("UPDATE refundx.instruction SET due_at = clock_timestamp(), due_call = 'query' WHERE kind = 'withdrawal'");
$rx->node->restart;
$rx->poll("SELECT count(DISTINCT wire_no) = 2 FROM refundx.evidence WHERE source = 'query'");
cmp_ok($rx->sql("SELECT count(*) FROM refundx.evidence WHERE source IN ('answer', 'query') AND length(body) > 0"),
	'>=', 4, 'answers are kept');

# ---- in every table, as text and as bytes ----

my @tables = split /\n/, $rx->sql(q{
	SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'refundx'::regnamespace AND c.relkind = 'r'});
my @found;
foreach my $table (@tables)
{
	foreach my $secret (@secrets)
	{
		my $text = Refundx::literal($secret);

		push @found, "$secret in $table"
		  if $rx->sql(qq{SELECT count(*) FROM $table t WHERE position($text IN t::text) > 0
			OR position(encode(convert_to($text, 'UTF8'), 'hex') IN t::text) > 0}) > 0;
	}
}
cmp_ok(scalar @tables, '>', 20, 'all tables were looked at');
is("@found", '', 'no table has any of it');
is($rx->sql(q{SELECT count(*) FROM refundx.payout_contact WHERE phone = '13912345678'}), 2,
	'what is looked for would be found: the telephone numbers have a table of their own');

# ---- in the WAL and in the log ----

$rx->sql('CHECKPOINT');
my $wal = join '', map { slurp_file($_) } grep { -f } glob $rx->node->data_dir . '/pg_wal/0*';
my $log = slurp_file($rx->node->logfile);
foreach my $secret (@secrets)
{
	is(index($wal, encode_utf8($secret)), -1, 'it is not in the WAL');
	is(index($log, encode_utf8($secret)), -1, 'nor in the log');
}
isnt(index($wal, '13912345678'), -1, 'which was read');

# ---- forgotten: what is left opens nothing ----

my $known = "SELECT string_agg(encode(fingerprint, 'hex'), ' ') FROM refundx.payee";
my $prints = $rx->sql($known);
is($rx->sql("SELECT refundx.forget_payee('SEALED$_', 'test')"), 1, "$_: forgotten") foreach $all->names;
my @prints = split / /, $prints;
is($rx->sql(q{SELECT count(*) FROM refundx.payout
	WHERE payee_id IS NOT NULL OR payee_masked IS NOT NULL OR data_key IS NOT NULL OR payee_sealed IS NOT NULL}),
	0, 'all of it');
is((grep { $prints !~ /$_/ } split / /, $rx->sql($known)), scalar @prints, 'and of what knew the payee again');
is($rx->sql('SELECT count(*) FROM refundx.payout_contact'), 0, 'and of telephone numbers');
sound($rx, 'at the end');

$rx->stop;
done_testing();
