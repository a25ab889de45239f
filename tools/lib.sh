# shellcheck shell=bash
#
# lib.sh
#	  What the scripts that run Postgres have in common.  Source it from bash.
#
# Postgres refuses to run as root.  When root calls, everything that runs a
# server runs as an unprivileged user instead, in a work directory which that
# user owns, from a copy of the checkout, for it may stand where that user
# cannot look (/root).
#
# The server that is run is a private copy too: Postgres finds its libraries
# and extensions relative to its own executable, so a copy of its programs,
# beside links to the rest of its installation, is a server into which our
# build can be installed without touching the one of the system.

PG_CONFIG=${PG_CONFIG:-pg_config}

die()
{
	echo "$(basename "$0"): $*" >&2
	exit 1
}

# The user that runs servers: oneself, unless that is root.
run_user()
{
	if [ "$(id -u)" != 0 ]; then
		id -un
	elif id postgres >/dev/null 2>&1; then
		echo postgres
	else
		id refundx >/dev/null 2>&1 ||
			useradd --system --user-group --home-dir /nonexistent --shell /usr/sbin/nologin refundx >&2
		echo refundx
	fi
}

# What makes a command the run user's, with the caller's environment: nothing,
# unless that is root.  For a command whose process id matters (it becomes that
# process); otherwise as_run_user reads better.
AS_RUN_USER=()
if [ "$(id -u)" = 0 ]; then
	AS_RUN_USER=(setpriv "--reuid=$(run_user)" "--regid=$(id -g "$(run_user)")"
		--clear-groups --inh-caps=-all)
fi

as_run_user()
{
	"${AS_RUN_USER[@]}" "$@"
}

# work_dir NAME: a new directory that the run user owns, short enough a path
# for the sockets in it.
work_dir()
{
	local base dir

	for base in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
		[ ${#base} -le 40 ] || continue
		as_run_user test -w "$base" -a -x "$base" || continue
		dir=$(mktemp -d "$base/$1.XXXXXX") || continue
		[ "$(id -u)" != 0 ] || chown "$(run_user)" "$dir"
		echo "$dir"
		return
	done
	die "no directory for temporary files that $(run_user) can write"
}

# copy_checkout FROM TO: the sources, and npm's packages, as the run user's.
copy_checkout()
{
	mkdir -p "$2"
	tar -C "$1" --exclude=./.git --exclude=./build --exclude=./.demo \
		--exclude='*.o' --exclude='*.d' --exclude='*.so' \
		--exclude=./tmp_check --exclude=./results --exclude=./output_iso \
		-cf - . | tar -C "$2" --no-same-owner -xf -
}

give_to_run_user()
{
	[ "$(id -u)" != 0 ] || chown -R "$(run_user)" "$@"
}

# server_copy DIR: a private copy of the installed server under DIR; prints
# its directory of programs.  `make install DESTDIR=DIR` then installs there.
server_copy()
{
	local bindir pkglibdir sharedir headers from

	bindir=$($PG_CONFIG --bindir) || die "no pg_config: run tools/setup"
	pkglibdir=$($PG_CONFIG --pkglibdir)
	sharedir=$($PG_CONFIG --sharedir)
	headers=$($PG_CONFIG --includedir-server)
	[ -x "$bindir/initdb" ] || die "no PostgreSQL server in $bindir: run tools/setup"

	mkdir -p "$1$bindir"
	cp -pL "$bindir"/* "$1$bindir/"
	for from in "$pkglibdir" "$sharedir"; do
		mkdir -p "$1$from"
		cp -as "$from/." "$1$from/"
	done
	mkdir -p "$1$(dirname "$headers")"
	ln -sfn "$headers" "$1$headers"
	rm -rf "$1$pkglibdir"/refundx* "$1$sharedir"/extension/refundx*
	echo "$1$bindir"
}

# processes_under DIR: whose executable or current directory lies there: what
# a test that was killed has left behind.
processes_under()
{
	local link target pid

	for link in /proc/[0-9]*/exe /proc/[0-9]*/cwd; do
		target=$(readlink "$link" 2>/dev/null) || continue
		case $target in
			"$1" | "$1"/*)
				pid=${link#/proc/}
				pid=${pid%/*}
				[ "$pid" = $$ ] || [ "$pid" = "$BASHPID" ] || echo "$pid"
				;;
		esac
	done
}

# end_processes_under DIR: the hard way, and waits until they are gone.
end_processes_under()
{
	local pids deadline=$((SECONDS + 10))

	while pids=$(processes_under "$1") && [ -n "$pids" ]; do
		# shellcheck disable=SC2086 # a list of numbers
		kill -KILL $pids 2>/dev/null || true
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.1
	done
}

# free_port: a TCP port of the loopback that nobody listens on.
free_port()
{
	perl -MSocket -e '
		socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!;
		bind($s, sockaddr_in(0, INADDR_LOOPBACK)) or die $!;
		print((sockaddr_in(getsockname($s)))[0], "\n");'
}

# wait_until SECONDS COMMAND...: until it succeeds; false at the deadline.
wait_until()
{
	local deadline=$((SECONDS + $1))

	shift
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}
