/*-------------------------------------------------------------------------
 *
 * serve.c
 *	  The loop, and the registry of channels.
 *
 * The order within a turn is what makes the ledger trustworthy: decide,
 * commit, and only then let anything out.
 *
 * sandbox/serve.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "sandbox.h"

#define HOLD_TICK_MS	50

Sandbox		sandbox;

/* A new channel is one file and one line here.  The first that claims it gets it. */
static const SbChannel *const channels[] = {
	&control_channel,
	&wechat_channel,
	&alipay_channel,
	&stripe_channel,
	&aliyun_channel,
	&generic_channel,
};
#define CHANNEL_COUNT (sizeof(channels) / sizeof(channels[0]))

const SbChannel *
channel_by_name(const char *name)
{
	size_t		i;

	for (i = 0; i < CHANNEL_COUNT; i++)
		if (strcmp(channels[i]->name, name) == 0)
			return channels[i];
	return NULL;
}

const SbChannel *
channel_at(int i)
{
	return i >= 0 && (size_t) i < CHANNEL_COUNT ? channels[i] : NULL;
}

void
print_outcomes(FILE *out)
{
	size_t		i;

	for (i = 0; i < CHANNEL_COUNT; i++)
	{
		if (channels[i]->outcomes == NULL && channels[i]->print_outcomes == NULL)
			continue;
		fprintf(out, "%s\n\n", channels[i]->name);
		if (channels[i]->outcomes != NULL)
			outcome_print(channels[i]->outcomes, out);
		else
			channels[i]->print_outcomes(out);
		fprintf(out, "\n");
		if (channels[i]->transfer_outcomes == NULL)
			continue;
		fprintf(out, "%s, transfers\n\n", channels[i]->name);
		outcome_print(channels[i]->transfer_outcomes, out);
		fprintf(out, "\n");
	}
}

void
channel_rerun(SbRequest *req)
{
	size_t		i;

	for (i = 0; i < CHANNEL_COUNT; i++)
		if (channels[i]->mine(req))
		{
			channels[i]->handle(req);
			return;
		}
	request_answer(req, 404, NULL);
}

static void
handle_request(SbRequest *req)
{
	if (req->too_large)
		request_answer(req, 413, NULL);
	else if (req->headers.overflow || req->body.failed)
		request_answer(req, 431, NULL);
	else
		channel_rerun(req);
}

/* ---- the loop ---- */

static int
sooner(int a, int64_t b)
{
	if (b < 0)
		return a;
	if (b > 60000)
		b = 60000;
	return a < 0 || b < a ? (int) b : a;
}

static int
wait_time(void)
{
	int			ms = sooner(-1, server_timeout_ms());

	ms = sooner(ms, callbacks_timeout_ms());
	if (server_has_incoming())
		ms = 0;
	if (server_held() > 0)
		ms = sooner(ms, HOLD_TICK_MS);
	return ms;
}

static void
turn(int epoll_fd, int signal_fd)
{
	struct epoll_event events[64];
	SbRequest  *req;
	int			n = epoll_wait(epoll_fd, events, 64, wait_time()),
				i;

	for (i = 0; i < n; i++)
	{
		if (events[i].data.fd == signal_fd)
			sandbox.stopping = true;
		else if (events[i].data.fd != server_fd())
			callbacks_socket_event(events[i].data.fd, events[i].events);
	}
	callbacks_timeout();
	server_run();
	while ((req = server_next()) != NULL)
		handle_request(req);
	timers_run();
	server_check_holds();

	ledger_commit();
	logs_flush();

	server_send_answers();
	server_run();
	callbacks_send();
	callbacks_prepare();
}

static int
catch_signals(void)
{
	sigset_t	set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool
watch(int epoll_fd, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	return fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0;
}

static bool
put_number(const char *name, long long n)
{
	char		path[1024],
				text[32];

	snprintf(path, sizeof(path), "%s/%s", sandbox.opt.data, name);
	snprintf(text, sizeof(text), "%lld\n", n);
	return write_file(path, text, strlen(text), 0644);
}

static void
remove_file(const char *name)
{
	char		path[1024];

	snprintf(path, sizeof(path), "%s/%s", sandbox.opt.data, name);
	unlink(path);
}

static bool
start(int epoll_fd, int signal_fd)
{
	char		path[1024],
				err[256];
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
	{
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	snprintf(path, sizeof(path), "%s/ledger.log", sandbox.opt.data);
	if (!load_keys(sandbox.opt.data, err, sizeof(err)) ||
		!ledger_open(path, true, err, sizeof(err)) ||
		!callbacks_start(epoll_fd, err, sizeof(err)))
	{
		fprintf(stderr, "refundx-sandbox: %s\n", err);
		return false;
	}
	clock_start(sandbox.model.last_time, sandbox.opt.speed);
	sandbox.live = true;
	if (!logs_open(sandbox.opt.data) || !server_start())
		return false;
	log_line("started, port %d, %lld records, %lld torn bytes cut", server_port(),
			 (long long) ledger_sequence(), (long long) ledger_torn_bytes());
	logs_flush();
	return watch(epoll_fd, server_fd()) && watch(epoll_fd, signal_fd) &&
		write_configs(server_port()) && put_number("pid", getpid()) &&
		put_number("port", server_port());
}

int
serve_command(void)
{
	int			epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int			signal_fd = catch_signals();

	if (epoll_fd < 0 || signal_fd < 0 || !start(epoll_fd, signal_fd))
		return 1;
	while (!sandbox.stopping)
		turn(epoll_fd, signal_fd);
	remove_file("port");
	remove_file("pid");
	server_stop();
	callbacks_stop();
	log_line("stopped");
	ledger_close();
	return 0;
}
