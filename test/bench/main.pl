# Runs the benchmarks that are named, or all; see test/bench/run.

use strict;
use warnings;

use Bench;

my %benchmarks = (
	submit => 'Submit.pm',
	held => 'Held.pm',
	wire => 'Wire.pm',
	dispatch => 'Dispatch.pm',
	callbacks => 'Callbacks.pm',
	channels => 'Channels.pm',
	memory => 'Memory.pm',
	withdraw => 'Withdraw.pm',
	guard => 'Guard.pm',
	bills => 'Bills.pm',
	seals => 'Seals.pm');
my @order = qw(submit held wire dispatch callbacks channels memory withdraw guard bills seals);
my @names;

foreach my $argument (@ARGV)
{
	if ($argument eq '--quick') { $Bench::quick = 1 }
	elsif ($benchmarks{$argument}) { push @names, $argument }
	else { die "no benchmark \"$argument\": @order\n" }
}
@names = @order unless @names;

$| = 1;
my $failed = 0;
foreach my $name (@names)
{
	print "\n== $name ==\n";
	require $benchmarks{$name};
	my $started = time;
	eval { "Bench::\u$name"->can('run')->(); 1 } or do
	{
		print "$name could not be measured: $@";
		$failed = 1;
	};
	Bench::stop_all();
	printf "(%d s)\n", time - $started;
}
Bench::report();
exit $failed;
