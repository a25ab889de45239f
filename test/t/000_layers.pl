# Who may include whom.
#
# The house has floors, and a file may only look down (doc: the layers).  That
# is what lets the channels be tested, fuzzed and used by the sandbox without
# a server, and what keeps the network out of the code that moves money.  Also
# what nobody would notice otherwise: files that have grown too long, tests
# that nothing runs, C functions that the linker hides.
#
# Each rule is first shown to bite, on a small house that breaks it.

use strict;
use warnings;

use File::Basename qw(basename dirname);
use File::Find ();
use File::Path qw(make_path);
use File::Spec;
use File::Temp qw(tempdir);
use Test::More;

my $MAX_LINES = 800;

# Which headers of ours each floor may include, as prefixes of their path.
my @PURE_BASE = qw(base/buf.h base/http_message.h base/scrub.h);
my %MAY_INCLUDE = (
	'base-pure' => [@PURE_BASE],
	'base' => ['base/'],
	'crypto' => [ @PURE_BASE, 'crypto/' ],
	'channel' => [ @PURE_BASE, 'base/json.h', 'crypto/', 'channel/' ],
	'notice' => [ @PURE_BASE, 'base/json.h', 'crypto/', 'channel/channel.h', 'notice/' ],
	'net' => [ @PURE_BASE, 'crypto/', 'net/' ],
	'money' => [ 'base/', 'crypto/', 'channel/', 'money/' ],
	'api' => [qw(base/ crypto/ channel/ notice/ net/ money/ api/)],
	'worker' => [qw(base/ crypto/ channel/ notice/ net/ money/ worker/)],
	'top' => [qw(base/ crypto/ channel/ notice/ net/ money/ api/ worker/)],);

# The floors that know no Postgres may include the C library, and these.
my %PURE_LIBRARIES = (
	'base-pure' => ['jansson.h'],    # base/json.h, see there
	'crypto' => ['openssl/'],
	'channel' => [qw(zip.h zlib.h iconv.h)],    # bills come compressed, and in GB18030
	'notice' => [],
	'net' => [ 'openssl/', 'curl/', 'microhttpd.h' ],);

# Everybody else may include Postgres, the C library, and no network.
my @NOT_ABOVE = qw(openssl/ curl/ microhttpd.h zip.h zlib.h iconv.h jansson.h);

my $C_LIBRARY = join '|', map { quotemeta } qw(
  assert.h ctype.h errno.h fcntl.h inttypes.h limits.h locale.h math.h poll.h
  pthread.h signal.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h
  stdlib.h string.h strings.h time.h unistd.h netdb.h
  arpa/inet.h netinet/in.h netinet/tcp.h
  sys/epoll.h sys/eventfd.h sys/file.h sys/mman.h sys/random.h sys/resource.h
  sys/select.h sys/socket.h sys/stat.h sys/time.h sys/timerfd.h sys/types.h
  sys/uio.h sys/un.h sys/wait.h);

sub slurp
{
	my ($file) = @_;
	open(my $fh, '<:raw', $file) or die "could not read $file: $!";
	local $/;
	my $text = <$fh>;
	return defined $text ? $text : '';
}

# Paths below $dir that match, relative to $root, sorted.
sub files_in
{
	my ($root, $dir, $pattern) = @_;
	my @found;
	return () unless -d "$root/$dir";
	File::Find::find(
		{
			no_chdir => 1,
			preprocess => sub { grep { !/^(?:node_modules|build|\.git)$/ } @_ },
			wanted => sub {
				push @found, File::Spec->abs2rel($_, $root) if -f && /$pattern/;
			}
		},
		"$root/$dir");
	my @sorted = sort @found;
	return @sorted;
}

sub floor_of
{
	my ($path) = @_;
	return 'base-pure' if $path =~ m{^src/base/(?:buf|http_message|json|scrub)\.[ch]$};
	return $1 if $path =~ m{^src/(\w+)/[^/]+$} && $MAY_INCLUDE{$1};
	return 'top' if $path =~ m{^src/[^/]+$};
	return undef;
}

sub begins_with_one_of
{
	my ($name, @prefixes) = @_;
	return grep { index($name, $_) == 0 } @prefixes;
}

# One complaint, or none, about one #include.
sub judge_include
{
	my ($root, $path, $name) = @_;
	my $floor = floor_of($path);
	my $libraries = $PURE_LIBRARIES{$floor};

	if (-e "$root/src/$name" || $name =~ m{^(?:base|crypto|channel|notice|net|money|api|worker)/})
	{
		return () if begins_with_one_of($name, @{ $MAY_INCLUDE{$floor} });
		return "$path includes $name, which is not below it";
	}
	if ($libraries)
	{
		return () if $name =~ /^(?:$C_LIBRARY)$/;
		return () if begins_with_one_of($name, @$libraries);
		return "$path includes $name: its floor knows neither Postgres nor other libraries";
	}
	return "$path includes $name: no such library on its floor"
	  if begins_with_one_of($name, @NOT_ABOVE);
	return ();
}

sub check_includes
{
	my ($root) = @_;
	my @complaints;
	foreach my $path (files_in($root, 'src', qr/\.[ch]$/))
	{
		if (!defined floor_of($path))
		{
			push @complaints, "$path is on no floor";
			next;
		}
		my $text = slurp("$root/$path");
		while ($text =~ /^\s*#\s*include\s+(.*)$/mg)
		{
			my $what = $1;
			if ($what =~ /^["<]([^">]+)[">]/)
			{
				push @complaints, judge_include($root, $path, $1);
			}
			else
			{
				push @complaints, "$path includes something that cannot be read: $what";
			}
		}
	}
	return @complaints;
}

sub check_lengths
{
	my ($root) = @_;
	my @complaints;
	foreach my $path (map { files_in($root, $_, qr/\.(?:c|h|sql|js|mjs)$/) } qw(src sandbox))
	{
		my $lines = () = slurp("$root/$path") =~ /\n/g;
		push @complaints, "$path has $lines lines, more than $MAX_LINES" if $lines > $MAX_LINES;
	}
	return @complaints;
}

# The head of a C file names it twice, as Postgres' do; that of a part of the
# script says what the part is.
sub check_banners
{
	my ($root) = @_;
	my @complaints;
	foreach my $path (files_in($root, 'src', qr/\.(?:c|h|sql)$/))
	{
		my $text = slurp("$root/$path");
		my $name = basename($path);
		my $good =
		  $path =~ /\.sql$/
		  ? $text =~ m{\A(?:/\*|--)}
		  : $text =~ m{\A/\*-{60,}\n \*\n \* \Q$name\E\n \*\t  \S}
		  && $text =~ m{^ \* \Q$path\E\n \*\n \*-{60,}\n \*/}m;
		push @complaints, "$path has no banner, or somebody else's" unless $good;
	}
	return @complaints;
}

# src/refundx.map shows refundx_* to the outside and nothing else.
sub check_exports
{
	my ($root) = @_;
	my @complaints;
	foreach my $path (files_in($root, 'src', qr/\.c$/))
	{
		my $text = slurp("$root/$path");
		while ($text =~ /^PG_FUNCTION_INFO_V1\((\w+)\)/mg)
		{
			push @complaints, "$path: $1() is hidden from SQL, its name must begin with refundx_"
			  unless index($1, 'refundx_') == 0;
		}
	}
	return @complaints;
}

# The server comes first when the dynamic linker looks for a name.  So what it
# exports under the name of a library's function has to be kept out of the way,
# by a macro in base/json.h or wherever that library comes in.
sub exported_by
{
	my ($file) = @_;
	my %names;
	open(my $fh, '-|', 'nm', '-D', '--defined-only', $file) or die "could not run nm: $!";
	while (<$fh>)
	{
		$names{$1} = 1 if /^\S* *[TWiVBDR] ([^@\s]+)/;
	}
	close($fh) or die "nm cannot read $file";
	return \%names;
}

sub names_taken
{
	my ($server, $library, $headers) = @_;
	return grep { $server->{$_} && $headers !~ /^#define\s+\Q$_\E\(/m } sort keys %$library;
}

sub check_names
{
	my ($root) = @_;
	my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
	chomp(my $bindir = `$pg_config --bindir`);
	my $server = exported_by("$bindir/postgres");
	my $headers = join '', map { slurp("$root/$_") } files_in($root, 'src/base', qr/\.h$/);
	my ($linked) = slurp("$root/Makefile") =~ /^SHLIB_LINK = (.*)$/m;
	my @complaints;

	foreach my $library ($linked =~ /-l(\w+)/g)
	{
		chomp(my $file = `cc -print-file-name=lib$library.so`);
		push @complaints, "lib${library}'s $_() is the server's: give it another name in base/"
		  foreach names_taken($server, exported_by($file), $headers);
	}
	return @complaints;
}

# A test that nothing runs passes for ever.
sub check_schedules
{
	my ($root) = @_;
	my @complaints;

	my $pair = sub {
		my ($tests, $suffix, $expected) = @_;
		my %is_test = map { basename($_, $suffix) => 1 } files_in($root, $tests, qr/\Q$suffix\E$/);
		my %is_expected =
		  map { basename($_, '.out') => 1 } files_in($root, $expected, qr/\.out$/);
		foreach my $name (sort keys %is_test)
		{
			push @complaints, "$tests/$name$suffix has no $expected/$name.out"
			  unless $is_expected{$name};
		}
		foreach my $name (sort keys %is_expected)
		{
			(my $without_variant = $name) =~ s/_\d$//;
			push @complaints, "$expected/$name.out belongs to no test"
			  unless $is_test{$name} || $is_test{$without_variant};
		}
	};
	$pair->('sql', '.sql', 'expected');
	$pair->('test/isolation/specs', '.spec', 'test/isolation/expected');

	push @complaints, map { "$_ is not in test/isolation/specs, and is never run" }
	  grep { dirname($_) ne 'test/isolation/specs' } files_in($root, 'test/isolation', qr/\.spec$/);

	my %number;
	foreach my $path (files_in($root, 'test/t', qr/\.(?:pl|t)$/))
	{
		if ($path !~ m{^test/t/(\d{3})_\w+\.pl$})
		{
			push @complaints, "$path is not named NNN_name.pl, and is never run";
		}
		elsif ($number{$1}++)
		{
			push @complaints, "$path has a number that another test has";
		}
	}
	push @complaints, map { "$_ is not named test_*.c, and is never run" }
	  grep { slurp("$root/$_") =~ /^main\(/m && basename($_) !~ /^test_/ }
	  files_in($root, 'test/unit', qr/\.c$/);
	push @complaints, map { "$_ never calls finish(), so a missing test goes unseen" }
	  grep { slurp("$root/$_") !~ /\bfinish\s*\(/ } files_in($root, 'test/pgtap', qr/\.sql$/);
	return @complaints;
}

# The channel that doc/writing-a-channel.md builds is one: it compiles against
# this house without a warning, and keeps its rules.
sub check_example
{
	my ($root) = @_;
	my $house = tempdir(CLEANUP => 1);
	my @flags = (qw(-std=gnu99 -D_GNU_SOURCE -Wall -Wextra -Werror -Wdeclaration-after-statement
		  -Wvla -Wmissing-prototypes -fsyntax-only),
		map { "-I$root/$_" } qw(src test test/unit test/fuzz));
	my @complaints;

	chomp(my @files = `'$root/tools/doc-files' '$root/doc/writing-a-channel.md' '$house' 2>&1`);
	return "doc-files: @files" if $? != 0;
	foreach my $file (@files)
	{
		my @own = $file =~ m{^src/} ? @flags : grep { $_ ne '-Wmissing-prototypes' } @flags;
		my $said = join '', map { "'$_' " } 'cc', @own, "$house/$file";

		$said = `$said 2>&1`;
		push @complaints, "$file does not compile:\n$said" if $? != 0;
	}
	push @complaints, map { $_->($house) } \&check_includes, \&check_banners, \&check_lengths;
	push @complaints, 'no example has been found' unless grep { m{^src/channel/} } @files;
	return @complaints;
}

# What a folder of the house has to say, with one file put into it.
sub complaints_about
{
	my ($check, %files) = @_;
	my $root = tempdir(CLEANUP => 1);
	foreach my $path (keys %files)
	{
		make_path(dirname("$root/$path"));
		open(my $fh, '>:raw', "$root/$path") or die "could not write $path: $!";
		print $fh $files{$path};
		close($fh);
	}
	my @complaints = $check->($root);
	return scalar @complaints;
}

sub forbids
{
	my ($path, $line, $why) = @_;
	is(complaints_about(\&check_includes, $path => "$line\n"), 1, "forbidden: $why");
}

sub allows
{
	my ($path, $line, $why) = @_;
	is(complaints_about(\&check_includes, $path => "$line\n"), 0, "allowed: $why");
}

sub banner
{
	my ($path) = @_;
	my $name = basename($path);
	my $rule = '-' x 73;
	return "/*$rule\n *\n * $name\n *\t  What it is for.\n *\n * $path\n *\n *$rule\n */\n";
}

# The rules bite.
foreach my $pure (
	'src/base/buf.c', 'src/base/http_message.h', 'src/crypto/rsa.c', 'src/channel/wechat.c',
	'src/notice/alibaba.c', 'src/net/http_client.c')
{
	forbids($pure, '#include "postgres.h"', "postgres.h in $pure");
	forbids($pure, '# include <utils/builtins.h>', "a header of Postgres in $pure");
	forbids($pure, '#include "base/pg_compat.h"', "our own header that brings Postgres, in $pure");
	forbids($pure, '#include "money/money.h"', "the money in $pure");
	allows($pure, '#include <string.h>', "the C library in $pure");
	allows($pure, '#include "base/buf.h"', "the pure base in $pure") unless $pure =~ /base/;
}
forbids('src/base/clock.c', '#include "crypto/crypto.h"', 'cryptography in the base');
forbids('src/crypto/rsa.c', '#include "channel/channel.h"', 'a channel in the cryptography');
forbids('src/channel/wechat.c', '#include "net/http_client.h"', 'the network in a channel');
forbids('src/channel/wechat.c', '#include "notice/notice.h"', 'notices in a channel');
forbids('src/channel/wechat.c', '#include <curl/curl.h>', 'libcurl in a channel');
forbids('src/notice/alibaba.c', '#include "channel/wechat.h"', 'one channel in a notice');
forbids('src/net/http_server.c', '#include "channel/channel.h"', 'channels in the network');
forbids('src/net/http_server.c', '#include "notice/notice.h"', 'notices in the network');
forbids('src/net/http_server.c', '#include <jansson.h>', 'JSON in the network');
forbids('src/money/settle.c', '#include "net/http_client.h"', 'the network in the money');
forbids('src/money/settle.c', '#include "notice/notice.h"', 'notices in the money');
forbids('src/money/settle.c', '#include "worker/worker.h"', 'workers in the money');
forbids('src/money/settle.c', '#include <curl/curl.h>', 'libcurl in the money');
forbids('src/base/clock.c', '#include <openssl/evp.h>', 'OpenSSL in the base');
forbids('src/api/refund.c', '#include "worker/worker.h"', 'workers in the SQL functions');
forbids('src/worker/settler.c', '#include "api/api.h"', 'SQL functions in the workers');
forbids('src/worker/settler.c', '#include WHATEVER', 'what cannot be read');
forbids('src/attic/old.c', '', 'a file on no floor');
allows('src/notice/alibaba.c', '#include "channel/channel.h"', 'what a channel is, in a notice');
forbids('src/channel/wechat.c', '#include <jansson.h>', 'jansson without base/json.h');
forbids('src/crypto/rsa.c', '#include "base/json.h"', 'JSON in the cryptography');
allows('src/channel/wechat.c', '#include "base/json.h"', 'JSON in a channel');
allows('src/base/json.h', '#include <jansson.h>', 'jansson where its names are sorted out');
allows('src/money/settle.c', '#include "channel/channel.h"', 'verdicts and limits in the money');
allows('src/worker/dispatcher.c', qq{#include "postgres.h"\n#include "net/a.h"\n#include "money/b.h"},
	'network and money in a worker');
allows('src/refundx.c', '#include "worker/worker.h"', 'everything at the top');

is(complaints_about(\&check_lengths, 'src/a.c' => "x\n" x 801), 1, 'forbidden: 801 lines');
is(complaints_about(\&check_lengths, 'sandbox/a.c' => "x\n" x 800), 0, 'allowed: 800 lines');
is(complaints_about(\&check_banners, 'src/money/a.c' => banner('src/money/a.c')),
	0, 'allowed: a banner');
is(complaints_about(\&check_banners, 'src/money/a.c' => banner('src/money/b.c')),
	1, "forbidden: another file's banner");
is(complaints_about(\&check_banners, 'src/money/a.c' => "int x;\n"), 1, 'forbidden: no banner');
is(complaints_about(\&check_exports, 'src/api/a.c' => "PG_FUNCTION_INFO_V1(refund_submit);\n"),
	1, 'forbidden: a hidden C function');
is(complaints_about(\&check_exports, 'src/api/a.c' => "PG_FUNCTION_INFO_V1(refundx_submit);\n"),
	0, 'allowed: an exported one');
is_deeply([ names_taken({ a => 1, b => 1 }, { b => 1, c => 1 }, '') ],
	['b'], 'forbidden: a name that the server has');
is_deeply([ names_taken({ b => 1 }, { b => 1 }, "#define b()\tc()\n") ],
	[], 'allowed: the same, with a macro for it');
is(complaints_about(\&check_schedules, 'sql/a.sql' => ''), 1, 'forbidden: sql without expected');
is(complaints_about(\&check_schedules, 'expected/a.out' => ''),
	1, 'forbidden: expected without sql');
is( complaints_about(
		\&check_schedules,
		'sql/a.sql' => '',
		'expected/a.out' => '',
		'expected/a_1.out' => ''),
	0,
	'allowed: a variant of expected');
is(complaints_about(\&check_schedules, 'test/isolation/a.spec' => ''),
	1, 'forbidden: a spec outside specs');
is(complaints_about(\&check_schedules, 'test/t/crash.pl' => ''), 1, 'forbidden: no number');
is(complaints_about(\&check_schedules, 'test/t/010_a.pl' => '', 'test/t/010_b.pl' => ''),
	1, 'forbidden: one number twice');
is(complaints_about(\&check_schedules, 'test/unit/a.c' => "int\nmain(void)\n{\n}\n"),
	1, 'forbidden: a unit test that is never built');
is(complaints_about(\&check_schedules, 'test/pgtap/a.sql' => "SELECT plan(1);\n"),
	1, 'forbidden: pgTAP without finish');

# And the house itself keeps them.
my $root = File::Spec->rel2abs(dirname(__FILE__) . '/../..');

cmp_ok(scalar(files_in($root, 'src', qr/\.[ch]$/)), '>', 10, 'there is a house to look at');
foreach my $rule (
	[ 'includes point down only', \&check_includes ],
	[ "no file is longer than $MAX_LINES lines", \&check_lengths ],
	[ 'every file has its banner', \&check_banners ],
	[ 'every C function can be called', \&check_exports ],
	[ 'no name of a library is the server\'s', \&check_names ],
	[ 'every test is run', \&check_schedules ],
	[ 'the channel in doc/writing-a-channel.md compiles, and keeps the rules', \&check_example ])
{
	my ($what, $check) = @$rule;
	my @complaints = $check->($root);
	ok(!@complaints, $what) or diag(join "\n", @complaints);
}

done_testing();
