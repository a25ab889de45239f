# Refundx::Recorder
#	  Code that nobody here wrote, between the extension and the sandbox.
#
#	my $recorder = Refundx::Recorder->new($rx->sandbox);
#	$rx->channel_add('wx', $recorder->config);
#	...
#	my $report = $recorder->report;		# ends it
#
# It is test/conformance/verify_wire.mjs: it passes every request on, byte for
# byte, and verifies its signature with the SDKs of npm.

package Refundx::Recorder;

use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use POSIX ();
use PostgreSQL::Test::Utils;

my @all;

sub new
{
	my ($class, $sandbox) = @_;
	(my $conformance = __FILE__) =~ s{[^/]+/[^/]+/[^/]+$}{conformance};
	my $out = $sandbox->data . '/recorder.out';
	my $self = bless { out => $out, report => $sandbox->data . '/recorder.json' }, $class;
	my $log = '';

	# npm keeps its cache in the home directory, which may be nobody's
	local $ENV{HOME} = $sandbox->data unless defined $ENV{HOME} && -w $ENV{HOME};
	IPC::Run::run([ 'sh', "$conformance/install" ], '>&', \$log) or die "no npm packages: $log";
	my $pid = fork();
	die "could not fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', $out);
		open(STDERR, '>&', \*STDOUT);
		exec('node', "$conformance/verify_wire.mjs", '--sandbox', $sandbox->data,
			'--report', $self->{report}) or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	push @all, $self;
	Refundx::wait_for(sub { -f $out && slurp_file($out) =~ /^listening \d+$/m }, 'the recorder listens')
	  or die 'the recorder does not listen: ' . (-f $out ? slurp_file($out) : '');
	($self->{port}) = slurp_file($out) =~ /^listening (\d+)$/m;
	return $self;
}

sub url { return "http://127.0.0.1:$_[0]{port}" }

# Overrides for channel_add().
sub config { return (base_url => $_[0]->url, backup_url => $_[0]->url) }

# Ends it; verified, bad, wechat, aliyun, numbers, problems, and its exit code.
sub report
{
	my ($self) = @_;

	kill 'TERM', $self->{pid};
	waitpid($self->{pid}, 0);
	my $status = $? >> 8;
	$self->{pid} = undef;
	return { %{ JSON::PP->new->utf8->decode(slurp_file($self->{report})) }, status => $status };
}

END
{
	my $status = $?;
	foreach my $recorder (@all)
	{
		next unless $recorder->{pid};
		kill 'KILL', $recorder->{pid};
		waitpid($recorder->{pid}, 0);
	}
	$? = $status;
}

1;
