# What a guard costs the application: an UPDATE of rows whose guarded column
# changes, and one of rows where another column does, in one backend, beside the
# same UPDATE of a table like it that has no guard.  And what a submit pays for
# naming a row.

package Bench::Guard;

use strict;
use warnings;

my $rows = 20_000;		# of one UPDATE; each has rows of its own, and finds room for them in their pages
my $payments = 50_000;
my $runs = 0;

my $plain = <<"SQL";
\\set p random(1, $payments)
\\set n :n + 1
SELECT refundx.refund_submit('wx1', 'P' || :p, 'N' || :run || '-' || :client_id || '-' || :n, 100);
SQL

# The same, and it names a row.
my $guarded = <<"SQL";
\\set p random(1, $payments)
\\set n :n + 1
SELECT refundx.refund_submit('wx1', 'P' || :p, 'G' || :run || '-' || :client_id || '-' || :n, 100,
	guards => jsonb_build_object('table', 'public.locked', 'key', :p::int));
SQL

# Microseconds for each row of an UPDATE.
sub update_us
{
	my ($server, $table, $column, $round) = @_;
	my ($from, $to) = (($round - 1) * $rows + 1, $round * $rows);

	return $server->sql(<<"SQL") / $rows;
SET client_min_messages = notice;
CREATE TEMP TABLE took (us double precision);
DO \$\$ DECLARE began timestamptz := clock_timestamp(); BEGIN
	UPDATE $table SET $column = $column + 1 WHERE id BETWEEN $from AND $to;
	INSERT INTO took VALUES (extract(epoch FROM clock_timestamp() - began) * 1e6);
END \$\$;
SELECT us FROM took;
SQL
}

sub compare
{
	my ($server, $what, $column, $first, $target) = @_;
	my (@plain, @guarded);

	foreach my $round ($first .. $first + Bench::rounds() - 1)
	{
		push @plain, update_us($server, 'plain', $column, $round);
		push @guarded, update_us($server, 'guarded', $column, $round);
	}
	Bench::figure('guard', $what, sprintf('%.2f us', Bench::median(@guarded)),
		sprintf('no guard %.2f us', Bench::median(@plain)),
		Bench::median(map { $guarded[$_] - $plain[$_] } 0 .. $#plain), '<=', $target);
	return;
}

sub submit
{
	my ($server) = @_;
	my $seconds = $Bench::quick ? 3 : 10;
	my (@plain, @guarded);

	foreach my $round (1 .. Bench::rounds())
	{
		$runs++;
		push @plain, $server->pgbench($plain, 'bench', 1, $seconds, '-D', 'n=0', '-D', "run=$runs");
		push @guarded, $server->pgbench($guarded, 'bench', 1, $seconds, '-D', 'n=0', '-D', "run=$runs");
	}
	Bench::figure('guard', 'refund_submit that locks a row, 1 client',
		sprintf('%.0f/s', Bench::median(@guarded)), sprintf('without %.0f/s', Bench::median(@plain)),
		Bench::median(map { $guarded[$_] / $plain[$_] } 0 .. $#plain));
	return;
}

sub run
{
	my $server = Bench->new('guard');
	my $all = 2 * Bench::rounds() * $rows + 2000;	# the last of them are locked

	foreach my $table ('plain', 'guarded')
	{
		$server->sql("CREATE TABLE $table (id int PRIMARY KEY, amount int, note int, filler text) WITH (fillfactor = 40)");
		$server->sql("INSERT INTO $table SELECT n, 0, 0, repeat('x', 100) FROM generate_series(1, $all) n");
	}
	$server->sql("CREATE TABLE locked AS SELECT n AS id, 0 AS amount FROM generate_series(1, $payments) n");
	$server->sql('ALTER TABLE locked ADD PRIMARY KEY (id)');
	$server->sql("SELECT refundx.guard_add('guarded', 'id', '{amount,filler}'), refundx.guard_add('locked', 'id', '{amount}')");
	$server->payments('P', $payments);
	$server->refunds('P', 1, 1000);

	# a thousand rows are locked, which are none of those that change
	$server->sql("SELECT count(refundx.refund_submit('wx1', 'P' || n, 'L' || n, 100,"
		. " guards => jsonb_build_object('table', 'public.guarded', 'key', $all - n))) FROM generate_series(1, 1000) n");
	$server->sql('VACUUM ANALYZE');
	$server->sql('CHECKPOINT');
	compare($server, 'a row whose guarded column changes, more', 'amount', 1, 8);
	compare($server, 'a row where another column changes, more', 'note', 1 + Bench::rounds(), 1);
	submit($server);
	return;
}

1;
