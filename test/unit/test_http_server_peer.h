/*-------------------------------------------------------------------------
 *
 * test_http_server_peer.h
 *	  A server and its clients in one process, moved step by step.
 *
 * Nothing sleeps: every wait runs the server and looks again, until what is
 * waited for has happened or the deadline has passed.
 *
 * test/unit/test_http_server_peer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_TEST_HTTP_SERVER_PEER_H
#define REFUNDX_TEST_HTTP_SERVER_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/http_server.h"
#include "unit.h"

#define DEADLINE_MS	15000

static HttpServerRequest *await_request(void) __attribute__((unused));
static bool is_open(int fd) __attribute__((unused));
static bool await_open(int count) __attribute__((unused));

static HttpServer *server;
static int	fds_held;
static int	fds_allowed = 100000;

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool
acquire_fd(void)
{
	if (fds_held >= fds_allowed)
		return false;
	fds_held++;
	return true;
}

static void
release_fd(void)
{
	fds_held--;
}

static void
server_up(HttpServerOptions o)
{
	char		err[200] = "";

	if (o.address == NULL)
		o.address = "127.0.0.1";
	o.acquire_fd = acquire_fd;
	o.release_fd = release_fd;
	server = http_server_start(&o, err, sizeof(err));
	if (server == NULL)
	{
		printf("Bail out! %s\n", err);
		exit(2);
	}
}

/* One round of the caller's loop: wait as the server asks, then run it. */
static void
step(int64_t max_ms)
{
	struct pollfd pfd = {http_server_fd(server), POLLIN, 0};
	int64_t		timeout = http_server_timeout_ms(server);

	if (timeout < 0 || timeout > max_ms)
		timeout = max_ms;
	poll(&pfd, 1, (int) timeout);
	http_server_run(server);
}

static int
try_connect(void)
{
	struct sockaddr_in addr;
	int			fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(&addr, 0, sizeof(addr));
	addr.sin_family = AF_INET;
	addr.sin_port = htons((uint16_t) http_server_port(server));
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *) &addr, sizeof(addr)) != 0)
	{
		printf("Bail out! connect: %s\n", strerror(errno));
		exit(2);
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* Send all of it, with the server running meanwhile; false if cut off. */
static bool
say_n(int fd, const char *data, size_t len)
{
	int64_t		end = now_ms() + DEADLINE_MS;

	while (len > 0 && now_ms() < end)
	{
		ssize_t		n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			step(5);
		else
		{
			data += n;
			len -= (size_t) n;
		}
	}
	return len == 0;
}

static bool
say(int fd, const char *data)
{
	return say_n(fd, data, strlen(data));
}

static HttpServerRequest *
await_request(void)
{
	int64_t		end = now_ms() + DEADLINE_MS;
	HttpServerRequest *r;

	while ((r = http_server_next(server)) == NULL && now_ms() < end)
		step(50);
	return r;
}

typedef struct Heard
{
	char		text[8192];
	size_t		len;
	bool		closed;
} Heard;

static bool
hear_once(int fd, Heard *h)
{
	ssize_t		n = recv(fd, h->text + h->len, sizeof(h->text) - 1 - h->len, 0);

	if (n > 0)
	{
		h->len += (size_t) n;
		h->text[h->len] = '\0';
	}
	if (n == 0 || (n < 0 && errno != EAGAIN))
		h->closed = true;
	return n > 0;
}

/* Until `what` has been heard, or (NULL) until the server has closed. */
static Heard *
hear(int fd, const char *what)
{
	static Heard h;
	int64_t		end = now_ms() + DEADLINE_MS;

	memset(&h, 0, sizeof(h));
	while (now_ms() < end && !h.closed && !(what && strstr(h.text, what)))
		if (!hear_once(fd, &h))
			step(5);
	return &h;
}

static bool
is_closed(int fd)
{
	return hear(fd, NULL)->closed;
}

static bool
is_open(int fd)
{
	char		c;

	return recv(fd, &c, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

static HttpServerStats
stats(void)
{
	HttpServerStats s;

	http_server_stats(server, &s);
	return s;
}

/* Run the server until that many connections are open. */
static bool
await_open(int count)
{
	int64_t		end = now_ms() + DEADLINE_MS;

	while (stats().open != count && now_ms() < end)
		step(5);
	return stats().open == count;
}

#endif							/* REFUNDX_TEST_HTTP_SERVER_PEER_H */
