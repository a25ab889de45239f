# What the README and doc/ tell people to type, typed; and doc/sql.md against
# the catalogs.
#
# In the Markdown, <!-- run --> before a block of SQL means that it is run as
# it stands, and <!-- run and roll back --> that it is run in a transaction
# which is then rolled back, in a database where nothing is configured yet.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Refundx;
use Refundx::Withdrawals;
use Test::More;

my $root = "$FindBin::Bin/../..";
my $rx = Refundx->new('main');
Refundx::Withdrawals::payee_key($rx);
$rx->channel_add('pay', kind => 'wechat');
$rx->sql(q{SELECT refundx.account_open('seller-7', 'CNY'), refundx.account_credit('seller-7', 100000, 'sales')});
$rx->sql('CREATE DATABASE fresh');
$rx->node->safe_psql('fresh', 'CREATE EXTENSION refundx');
my $blocks = 0;
my $rolled_back = 0;

foreach my $file ("$root/README.md", glob "$root/doc/*.md")
{
	my $text = slurp_file($file);
	(my $name = $file) =~ s{.*/}{};

	while ($text =~ /^[ ]*<!--\ run(\ and\ roll\ back)?\ -->\n[ ]*```sql\n(.*?)^[ ]*```$/gmsx)
	{
		my ($roll_back, $sql) = ($1, $2);
		my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);

		$sql = "BEGIN;\n$sql\nROLLBACK;\n" if $roll_back;
		my ($rc, $out, $err) = $rx->node->psql($roll_back ? 'fresh' : $rx->database, $sql);
		is($rc, 0, "$name, line $line: it runs") || diag($err);
		unlike($err, qr/(?:ERROR|FATAL):  /, "$name, line $line: without an error");
		$blocks++ unless $roll_back;
		$rolled_back++ if $roll_back;
	}
}
cmp_ok($blocks, '>=', 1, 'there is a block to run');
cmp_ok($rolled_back, '>=', 2, 'and there are some to run and roll back');

# ---- the first refund of the README ----

$rx->wait_state('refund-1001-1', 'succeeded', 'the first refund succeeds');
is($rx->payment_sums('order-1001'), '12800|0|5000', 'and is counted');
like($rx->sql("SELECT refundx.refund_explain('refund-1001-1')"),
	qr/^WeChat Pay paid 50\.00 CNY/, 'and explained');
$rx->check_ok('the first refund');
$rx->ledger_ok('the first refund');

# ---- and the first withdrawal ----

$rx->wait_state('W20260504001', 'succeeded', 'the first withdrawal succeeds');
is($rx->sql(q{SELECT available || '|' || frozen FROM refundx.accounts WHERE account = 'seller-7'}),
	'95000|0', 'and is paid from its account');

# ---- doc/sql.md ----

my ($rc, $out, $err) = $rx->node->psql($rx->database, slurp_file("$root/doc/sql.psql"),
	extra_params => ['-XAtq']);
is($rc, 0, 'the reference can be made') || diag($err);
ok(trimmed($out) eq trimmed(slurp_file("$root/doc/sql.md")), 'doc/sql.md is what the catalogs say')
  || diag('make it again: see doc/sql.psql' . "\n" . first_difference($out, slurp_file("$root/doc/sql.md")));

# Whoever writes a function for users also says what it does.
is($rx->sql(q{
	SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p
	 WHERE p.pronamespace = 'refundx'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL}),
	'', 'every function has a comment');
is($rx->sql(q{
	SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
	 WHERE c.relnamespace = 'refundx'::regnamespace AND c.relkind IN ('v', 'r')
	   AND obj_description(c.oid, 'pg_class') IS NULL}),
	'', 'every table and view has a comment');

# ---- every setting is in the documentation, and no other ----

my $operations = slurp_file("$root/doc/operations.md");
my %told = map { $_ => 1 } $operations =~ /`(refundx\.[a-z_]+)`(?=[^|\n]*\|)/g;
foreach my $setting (split /\n/, $rx->sql(q{
	SELECT name FROM pg_settings WHERE name LIKE 'refundx.%'
	   AND name NOT IN ('refundx.clock_offset', 'refundx.test_point') ORDER BY 1}))
{
	ok($told{$setting}, "doc/operations.md has $setting");
}

# ---- likewise a channel's ----

foreach my $kind (split /\n/, $rx->sql(q(SELECT kind FROM refundx.channel_kinds() WHERE product = 'refund')))
{
	my ($table) = slurp_file("$root/doc/$kind.md") =~ /^## Configuration\n(.*?)^##/ms;
	my $settings = hint(qq{SELECT refundx.channel_add('x', '$kind', '{"colour": "red"}')});
	like($settings, qr/^Known settings: /, "a wrong setting of $kind is told the right ones");
	is_deeply([ sort map { /`([a-z0-9_]+)`/g } $table =~ /^(\| `[^|]*)\|/gm ],
		[ sort $settings =~ /([a-z][a-z0-9_]+)(?=[,.])/g ], "doc/$kind.md has all of them");
}

# ---- links lead somewhere ----

foreach my $file ("$root/README.md", glob "$root/doc/*.md")
{
	(my $dir = $file) =~ s{/[^/]*$}{};
	(my $name = $file) =~ s{.*/}{};
	foreach my $link (slurp_file($file) =~ /\]\(([^)\s]+)\)/g)
	{
		next if $link =~ m{^https?://};
		(my $path = $link) =~ s/#.*//;
		ok($path eq '' || -e "$dir/$path", "$name: $link exists");
	}
}

$rx->stop;
done_testing();

# The HINT of the error that it raises.
sub hint
{
	my ($rc, $out, $err) = $rx->node->psql($rx->database, $_[0]);
	return $err =~ /^HINT:  (.*)/m ? $1 : '';
}

sub trimmed
{
	my ($text) = @_;
	$text =~ s/\s+\z//;
	return $text;
}

sub first_difference
{
	my @is = split /\n/, $_[0];
	my @should = split /\n/, $_[1];

	for (my $i = 0; $i < @is || $i < @should; $i++)
	{
		my ($a, $b) = ($is[$i] // '(nothing)', $should[$i] // '(nothing)');
		return 'line ' . ($i + 1) . ":\n  catalogs: $a\n  doc:      $b" if $a ne $b;
	}
	return '';
}
