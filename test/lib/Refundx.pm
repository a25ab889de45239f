# Refundx
#	  A server with refundx in it, and the channels it talks to, for TAP tests.
#
#	use Refundx;
#	my $rx = Refundx->new('main');              # server, sandbox, channel "wx"
#	$rx->payment('P1', 10000);                  # what was paid, in fen
#	$rx->refund('P1', 'R1', 6000);
#	$rx->wait_state('R1', 'succeeded');
#	$rx->check_ok('after one refund');
#
# Options of new(), after the name:
#	database	the database with the extension ("shop")
#	settings	{ name => value } for postgresql.conf
#	sandbox		0: none; [options]: for "serve"; a Refundx::Sandbox: that one
#	channel		name of the channel that is added ("wx"); 0: none
#	config		{ name => value }, into that channel's configuration
#	extension	0: neither database nor extension are created
#	streaming	1: standbys can be made of it
#
# The node is a PostgreSQL::Test::Cluster ($rx->node), with all that can do.
# Nothing here sleeps and hopes: what takes time is polled for, up to
# PG_TEST_TIMEOUT_DEFAULT seconds.

package Refundx;

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Refundx::Sandbox;
use Test::More;
use Time::HiRes qw(usleep time);

our $TIMEOUT = $PostgreSQL::Test::Utils::timeout_default || 180;

sub new
{
	my ($class, $name, %options) = @_;
	my $self = bless {
		database => 'shop',
		channel => 'wx',
		extension => 1,
		%options,
		name => $name }, $class;

	$self->{sandbox} = Refundx::Sandbox->new("$name.sandbox", @{ $options{sandbox} || [] })
	  if !defined $options{sandbox} || ref $options{sandbox} eq 'ARRAY';
	$self->{callback_port} = free_port();
	$self->{node} = PostgreSQL::Test::Cluster->new($name);
	$self->{node}->init($options{streaming} ? (allows_streaming => 1) : ());
	$self->configure(%{ $self->_settings });
	$self->{node}->start;
	if ($self->{extension})
	{
		$self->{node}->safe_psql('postgres', qq{CREATE DATABASE "$self->{database}"});
		$self->sql('CREATE EXTENSION refundx');
		$self->channel_add($self->{channel}, %{ $self->{config} || {} })
		  if $self->{channel} && $self->{sandbox};
	}
	return $self;
}

sub _settings
{
	my ($self) = @_;
	my $keys = $self->{sandbox} ? $self->{sandbox}->key_directory : $self->{node}->basedir . '/keys';

	mkdir $keys, 0700 unless -d $keys;
	return {
		'shared_preload_libraries' => 'refundx',
		'max_prepared_transactions' => 20,
		# what a production server does; the module turns both off
		'restart_after_crash' => 'on',
		'log_statement' => 'none',
		'refundx.databases' => "$self->{database}:$self->{callback_port}",
		'refundx.public_base_url' => "http://127.0.0.1:$self->{callback_port}",
		'refundx.key_directory' => $keys,
		'refundx.poll_interval' => '100ms',
		# tests contradict what is finished, many times
		'refundx.pause_after_contradictions' => 0,
		# a test that moves the clock by days does not want a month of bills
		'refundx.fetch_bills' => 'off',
		%{ $self->{settings} || {} } };
}

sub node { return $_[0]{node} }
sub sandbox { return $_[0]{sandbox} }
sub database { return $_[0]{database} }
sub callback_port { return $_[0]{callback_port} }
sub callback_url { return "http://127.0.0.1:$_[0]{callback_port}/v1/" . ($_[1] || $_[0]{channel}) }

# ---- settings ----

# Into the file; a later value wins.  reload() or restart makes it count.
sub configure
{
	my ($self, %settings) = @_;
	my $text = '';

	foreach my $name (sort keys %settings)
	{
		(my $value = $settings{$name}) =~ s/'/''/g;
		$text .= "$name = '$value'\n";
	}
	$self->{node}->append_conf('postgresql.conf', $text);
	return;
}

# Now: when it returns, the postmaster and every new backend have it.  Workers
# that run take it at their next wait.
sub set
{
	my ($self, %settings) = @_;
	my $before = $self->sql('SELECT pg_conf_load_time()');

	$self->configure(%settings);
	$self->{node}->reload;
	$self->poll('SELECT pg_conf_load_time() > ' . literal($before))
	  or die 'the server did not reload';
	return;
}

# ---- SQL ----

sub literal
{
	my ($value) = @_;
	return 'NULL' unless defined $value;
	$value =~ s/'/''/g;
	return $value =~ s/\\/\\\\/g ? " E'$value'" : "'$value'";
}

# The result, as text; dies of an error.
sub sql
{
	my ($self, $sql, %options) = @_;
	return $self->{node}->safe_psql($self->{database}, $sql, %options);
}

# The SQLSTATE and the message of the error that it must raise; '' if none.
sub sql_error
{
	my ($self, $sql) = @_;
	my ($rc, $out, $err) = $self->{node}->psql($self->{database}, $sql,
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	return '' if $rc == 0;
	return $err =~ /(?:ERROR|FATAL|PANIC):  (\w{5}): (.*)/ ? "$1 $2" : $err;
}

# call('refund_submit', channel => 'wx', amount => 5): with named arguments, of
# which the last of a name counts.  A reference to a string is an expression.
sub call
{
	my ($self, $function, @arguments) = @_;
	return $self->sql('SELECT ' . call_text($function, @arguments));
}

sub call_text
{
	my ($function, @arguments) = @_;
	my %values = @arguments;
	my %listed;
	my @list;

	while (my ($name) = splice(@arguments, 0, 2))
	{
		my $value = $values{$name};

		push @list, "$name => " . (ref $value ? $$value : literal($value)) unless $listed{$name}++;
	}
	return "refundx.$function(" . join(', ', @list) . ')';
}

# Until the query says so ('t'); false, and why, at the deadline.
sub poll
{
	my ($self, $query, $expected) = @_;

	for (;;)
	{
		my $came = eval { $self->{node}->poll_query_until($self->{database}, $query, $expected) };

		return $came unless $@;
		# a psql that was turned away before it had read the query
		die $@ unless $@ =~ /Broken pipe/;
	}
}

# Does the server take connections?  However it says no.
sub answers
{
	my ($self) = @_;
	my ($status) = eval { $self->{node}->psql('postgres', 'SELECT 1') };

	return defined $status && $status == 0;
}

# ---- the story of a refund ----

# A channel of the sandbox's merchant; overrides go into its configuration.
# kind: wechat, stripe, alipay, or alipay-cert for Alipay with certificates.
sub channel_add
{
	my ($self, $name, %overrides) = @_;
	my $mchid = delete $overrides{mchid};
	my $kind = delete $overrides{kind} || 'wechat';
	my %config = (%{ $self->{sandbox}->channel_config($mchid, $kind) }, %overrides);

	# WeChat's transfers are not for a partner's sub-merchants
	delete $config{transfer} if $config{sub_mchid};
	$kind =~ s/-.*//;
	return $self->sql('SELECT refundx.channel_add('
		  . join(', ', literal($name), literal($kind), literal(to_json(\%config)) . '::jsonb')
		  . ')');
}

sub payment
{
	my ($self, $payment_no, $amount, %more) = @_;
	return $self->call(
		'payment_record',
		channel => $self->{channel},
		payment_no => $payment_no,
		amount => $amount,
		currency => 'CNY',
		channel_payment_id => "42000$payment_no",
		paid_at => \'now()',
		%more);
}

sub refund
{
	my ($self, @arguments) = @_;
	return $self->sql('SELECT ' . $self->refund_text(@arguments));
}

# The call alone, to put into a larger transaction.
sub refund_text
{
	my ($self, $payment_no, $refund_no, $amount, %more) = @_;
	return call_text(
		'refund_submit',
		channel => $self->{channel},
		payment_no => $payment_no,
		refund_no => $refund_no,
		amount => $amount,
		reason => 'a test',
		%more);
}

sub state
{
	my ($self, $no) = @_;
	return $self->sql(
		'SELECT state FROM refundx.instruction WHERE instruction_no = ' . literal($no));
}

# A test: the refund comes to this state (or one that matches the pattern).
sub wait_state
{
	my ($self, $no, $state, $what) = @_;
	my @states = ref $state ? @$state : ($state);
	my $query = 'SELECT state IN (' . join(', ', map { literal($_) } @states)
	  . ') FROM refundx.instruction WHERE instruction_no = ' . literal($no);

	return ok($self->poll($query), $what || "$no is " . join(' or ', @states))
	  || diag("$no is " . $self->state($no) . "\n" . $self->story($no));
}

# What is known about it, for the log of a test that failed.
sub story
{
	my ($self, $no) = @_;
	my ($rc, $out, $err) = $self->{node}->psql($self->{database},
		'SELECT * FROM refundx.refund_timeline(' . literal($no) . ')'
		  . ' UNION ALL SELECT * FROM refundx.withdraw_timeline(' . literal($no) . ')');
	return $rc == 0 ? $out : $err;
}

# paid, refunding, refunded of a payment: "10000|0|6000"
sub payment_sums
{
	my ($self, $payment_no) = @_;
	return $self->sql('SELECT paid, refunding, refunded FROM refundx.payment WHERE payment_no = '
		  . literal($payment_no));
}

# ---- what must hold ----

# A test: no invariant is broken.
sub check_ok
{
	my ($self, $what) = @_;
	return is($self->sql('SELECT * FROM refundx.check()'),
		'', 'invariants hold' . ($what ? ": $what" : ''));
}

# A test: what the channel has paid is what is succeeded here, per number, and
# nothing was paid twice (I7, seen from the other side).  What matches
# $rx->{elsewhere}, a pattern, is of others; what came back is returned here too.
# Refunds and withdrawals are apart there: a number is of one of the two.
sub ledger_ok
{
	my ($self, $what) = @_;
	my $others = $self->{elsewhere};
	my %ours = map { /^(.*)\|(\d+)$/ } split /\n/, $self->sql(
		"SELECT kind || ' ' || wire_no, amount FROM refundx.instruction WHERE state = 'succeeded'");
	my $ledger = $self->{sandbox}->ledger;
	my %theirs;

	foreach my $refund (@{ $ledger->{refunds} })
	{
		next if $refund->{returned} || (defined $others && $refund->{no} =~ $others);
		$theirs{"refund $refund->{no}"} += $refund->{amount} * $refund->{paid_times}
		  if $refund->{paid_times};
	}
	foreach my $transfer (@{ $ledger->{transfers} })
	{
		next if defined $others && $transfer->{no} =~ $others;
		$theirs{"withdrawal $transfer->{no}"} += $transfer->{net} if $transfer->{net};
	}
	return is_deeply(\%theirs, \%ours, 'both ledgers agree' . ($what ? ": $what" : ''));
}

# ---- crashes ----

# The processes of the server, the postmaster first.
sub processes
{
	my ($self) = @_;
	my $pidfile = $self->{node}->data_dir . '/postmaster.pid';
	my @processes;

	return () unless -f $pidfile;
	my ($postmaster) = split /\n/, slurp_file($pidfile);
	push @processes, $postmaster if -d "/proc/$postmaster";
	foreach my $stat (glob '/proc/[0-9]*/stat')
	{
		open(my $fh, '<', $stat) or next;
		my $line = <$fh>;
		push @processes, $1
		  if defined $line && $line =~ /^(\d+) \(.*\) \S (\d+)/ && $2 == $postmaster;
	}
	return @processes;
}

# kill -9 of all of it at once, as a power cut would (but for the disk).
sub kill9
{
	my ($self) = @_;
	my @processes = $self->processes;

	kill 'KILL', @processes;
	# what is dead but not yet reaped has no executable any more
	wait_for(sub { !grep { defined readlink "/proc/$_/exe" } @processes }, 'the server is gone')
	  or die 'the server would not die';
	# A zombie's number still counts as alive for whoever finds it in these.
	unlink $self->{node}->data_dir . '/postmaster.pid',
	  $self->{node}->host . '/.s.PGSQL.' . $self->{node}->port . '.lock';
	$self->{node}->_update_pid(0);
	return;
}

sub crash_and_start
{
	my ($self) = @_;
	$self->kill9;
	$self->{node}->start;
	return;
}

# Whether the library was built with TESTPOINTS=1: the names are in it.
sub has_test_points
{
	my ($self) = @_;
	my $library = $self->{node}->config_data('--pkglibdir') . '/refundx.so';
	return slurp_file($library) =~ /dispatcher-claimed\0/;
}

# A worker's process id, by its backend_type; dies if there is none in time.
sub worker_pid
{
	my ($self, $kind) = @_;
	my $from = "FROM pg_stat_activity WHERE backend_type LIKE " . literal("refundx $kind%");

	$self->poll("SELECT count(*) > 0 $from") or die "no refundx $kind";
	return $self->sql("SELECT pid $from LIMIT 1");
}

# ---- odds and ends ----

sub stop
{
	my ($self) = @_;
	$self->{node}->stop('fast') if $self->processes;
	$self->{sandbox}->stop if $self->{sandbox};
	return;
}

# Until the code returns true; false at the deadline.
sub wait_for
{
	my ($code, $what, $seconds) = @_;
	my $deadline = time() + ($seconds || $TIMEOUT);

	until ($code->())
	{
		if (time() > $deadline)
		{
			diag("timed out: $what") if $what;
			return 0;
		}
		usleep(20_000);
	}
	return 1;
}

# A port of the loopback that nobody listens on.
sub free_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1)
	  or die "no free port: $!";
	my $port = $socket->sockport;

	close($socket);
	return $port;
}

sub to_json { return JSON::PP->new->canonical->allow_nonref->encode($_[0]) }

1;
