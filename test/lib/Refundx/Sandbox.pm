# Refundx::Sandbox
#	  The program that plays the channels, as a process of a TAP test.
#
#	my $sandbox = Refundx::Sandbox->new('main', '--speed', 100);
#	$sandbox->ctl('pause', 'on');
#	$sandbox->kill9;
#	$sandbox->start;            # on the same port, with the same ledger
#
# It dies with the test, whatever happens.

package Refundx::Sandbox;

use strict;
use warnings;

use File::Basename qw(basename);

use IPC::Run ();
use JSON::PP ();
use POSIX ':sys_wait_h';
use PostgreSQL::Test::Utils;

my @all;

sub new
{
	my ($class, $name, @options) = @_;
	# one directory for all the tests of a run, so the test's name is in it
	my $data = "$PostgreSQL::Test::Utils::tmp_check/" . basename($0, '.pl') . ".$name";
	my @merchants;

	# init's options and serve's are one list for whoever calls
	for (my $i = 0; $i < @options; $i++)
	{
		next unless $options[$i] =~ /^--(?:mchid|app-id|stripe-account)$/;
		push @merchants, splice(@options, $i, 2);
		$i--;
	}
	my $self = bless { data => $data, port => 0, options => [@options] }, $class;
	$self->_run('init', '--data', $data, @merchants);
	push @all, $self;
	$self->start;
	return $self;
}

sub program
{
	my $program = $ENV{REFUNDX_SANDBOX};

	return $program if $program;
	(my $root = __FILE__) =~ s{[^/]+/[^/]+$}{../..};
	return "$root/build/refundx-sandbox";
}

# Standard output of one command; dies unless it succeeds.
sub _run
{
	my ($self, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ program(), @arguments ], '<', \undef, '>', \$out, '2>', \$err)
	  or die "refundx-sandbox @arguments failed: $err$out";
	return $out;
}

sub data { return $_[0]{data} }
sub key_directory { return "$_[0]{data}/keys" }
sub port { return $_[0]{port} }
sub url { return "http://127.0.0.1:$_[0]{port}" }

# Start it, on the port that it had before, and wait until it is ready.
sub start
{
	my ($self, @options) = @_;
	my $file = "$self->{data}/port";
	my $log = "$self->{data}/serve.log";
	my @command = (
		program(), 'serve', '--data', $self->{data}, '--port', $self->{port},
		@{ $self->{options} }, @options);

	unlink $file;
	my $pid = fork();
	die "could not fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', $log);
		open(STDERR, '>&', \*STDOUT);
		exec(@command) or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	my $ready = Refundx::wait_for(
		sub {
			die 'the sandbox ended: ' . slurp_file($log) unless $self->alive;
			return -s $file;
		},
		'the sandbox is ready');
	die 'the sandbox is not ready: ' . slurp_file($log) unless $ready;
	($self->{port}) = slurp_file($file) =~ /(\d+)/;
	return;
}

sub alive
{
	my ($self) = @_;

	return 0 unless $self->{pid};
	return 1 if waitpid($self->{pid}, WNOHANG) == 0;
	$self->{pid} = undef;
	return 0;
}

sub _end
{
	my ($self, $signal) = @_;

	return unless $self->alive;
	kill $signal, $self->{pid};
	unless (Refundx::wait_for(sub { !$self->alive }, "the sandbox ends on $signal", 30))
	{
		kill 'KILL', $self->{pid};
		waitpid($self->{pid}, 0);
		$self->{pid} = undef;
		die 'the sandbox had to be killed';
	}
	return;
}

sub stop { $_[0]->_end('TERM'); return }
sub kill9 { $_[0]->_end('KILL'); return }

sub restart
{
	my ($self, @options) = @_;
	$self->stop;
	$self->start(@options);
	return;
}

# A command of its control interface; what it says, decoded.
sub ctl
{
	my ($self, @command) = @_;
	my $out = $self->_run('ctl', '--data', $self->{data}, @command);
	return $out =~ /\S/ ? JSON::PP->new->utf8->allow_nonref->decode($out) : undef;
}

# The ledger as the file has it, whether the sandbox runs or not.
sub ledger
{
	my ($self) = @_;
	return JSON::PP->new->utf8->decode($self->_run('ledger', '--data', $self->{data}));
}

# Its refunds: each with no, amount, paid_times, ...
sub refunds { return $_[0]->ledger->{refunds} }

sub refund
{
	my ($self, $no) = @_;
	my ($refund) = grep { $_->{no} eq $no } @{ $self->refunds };
	return $refund;
}

# Its transfers: each with no, amount, status, paid_times, bounced_times, net, ...
sub transfers { return $_[0]->ledger->{transfers} }

sub transfer
{
	my ($self, $no) = @_;
	my ($transfer) = grep { $_->{no} eq $no } @{ $self->transfers };
	return $transfer;
}

# What channel_add needs, for the first merchant or that one.  The kind is
# wechat, or the middle of the file's name: stripe, alipay, alipay-cert.
sub channel_config
{
	my ($self, $merchant, $kind) = @_;
	my $plain = "$self->{data}/channel" . (($kind || 'wechat') eq 'wechat' ? '' : "-$kind");
	my $own = $merchant ? "$plain-$merchant.json" : '';
	return JSON::PP->new->utf8->decode(slurp_file($own && -f $own ? $own : "$plain.json"));
}

# The same of another channel, by the file's name: 'channel-alipay-cert'.
sub config
{
	my ($self, $name) = @_;
	return JSON::PP->new->utf8->decode(slurp_file("$self->{data}/$name.json"));
}

sub sms_config
{
	my ($self) = @_;
	return JSON::PP->new->utf8->decode(slurp_file("$self->{data}/sms.json"));
}

# What was on the wire, a hash per request, in order: at (unix, microseconds),
# call, merchant, no, digest (of the body).
sub wire
{
	my ($self) = @_;
	my $file = "$self->{data}/wire.log";
	my @lines = -f $file ? split /\n/, slurp_file($file) : ();

	return [
		map {
			my %line;
			@line{qw(at call merchant no digest)} = split /\t/;
			\%line;
		} @lines ];
}

END
{
	my $status = $?;
	foreach my $sandbox (@all)
	{
		next unless $sandbox->alive;
		kill 'KILL', $sandbox->{pid};
		waitpid($sandbox->{pid}, 0);
	}
	$? = $status;
}

1;
