/*-------------------------------------------------------------------------
 *
 * fuzz_http_server.c
 *	  Any bytes, sent to the HTTP server over a real socket.
 *
 * The first byte says where the input is cut in two, so that a request also
 * arrives in pieces.  Requests that come out are checked against the bounds
 * and answered.
 *
 * test/fuzz/fuzz_http_server.c
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_server.h"

#define MAX_HEADER	2048
#define MAX_BODY	1024
#define ROUNDS		200			/* of the server's loop, per input */

#define require(what) \
	do { \
		if (!(what)) \
		{ \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what); \
			abort(); \
		} \
	} while (0)

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static HttpServer *server;

static void
start_server(void)
{
	HttpServerOptions o = {.address = "127.0.0.1", .max_connections = 8,
	.max_header = MAX_HEADER, .max_body = MAX_BODY};
	char		err[200];

	if (server != NULL)
		return;
	signal(SIGPIPE, SIG_IGN);
	server = http_server_start(&o, err, sizeof(err));
	require(server != NULL);
}

static int
connect_to_server(void)
{
	struct sockaddr_in addr;
	struct linger hard = {1, 0};
	int			fd = -1;
	int			rc;

	memset(&addr, 0, sizeof(addr));
	addr.sin_family = AF_INET;
	addr.sin_port = htons((uint16_t) http_server_port(server));
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	do
	{
		/* libFuzzer's alarm may come in between; a connect cannot be resumed */
		if (fd >= 0)
			close(fd);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		require(fd >= 0);
		rc = connect(fd, (struct sockaddr *) &addr, sizeof(addr));
	} while (rc != 0 && errno == EINTR);
	require(rc == 0);
	/* a reset at the end leaves no port in TIME_WAIT: there are many inputs */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void
check_request(const HttpServerRequest *r)
{
	const HttpHeaders *h = http_server_request_headers(r);
	size_t		size = 0;
	int			i;

	for (i = 0; i < h->count; i++)
		size += strlen(h->item[i].name) + strlen(h->item[i].value);
	require(size <= MAX_HEADER && !h->overflow);
	require(http_server_request_body(r)->len <= MAX_BODY);
	require(!http_server_request_body(r)->failed);
	require(http_server_request_method(r)[0] != '\0');
	require(strlen(http_server_request_path(r)) <= MAX_HEADER);
}

/* Until it has nothing more to do by itself. */
static void
run_server(void)
{
	HttpServerRequest *r;
	int			i;

	for (i = 0; i < ROUNDS; i++)
	{
		http_server_run(server);
		while ((r = http_server_next(server)) != NULL)
		{
			check_request(r);
			http_server_answer(server, r, 200, "text/plain", "x", 1);
		}
		if (http_server_timeout_ms(server) != 0 && i > 1)
			break;
	}
}

static void
send_part(int fd, const uint8_t *data, size_t size)
{
	char		sink[4096];

	if (size > 0)
		(void) !send(fd, data, size, MSG_NOSIGNAL);
	run_server();
	while (recv(fd, sink, sizeof(sink), 0) > 0)
		;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HttpServerStats stats;
	size_t		cut;
	int			fd;

	if (size < 2)
		return 0;
	start_server();
	cut = 1 + data[0] * (size - 1) / 256;
	fd = connect_to_server();
	send_part(fd, data + 1, cut - 1);
	send_part(fd, data + cut, size - cut);
	close(fd);
	run_server();
	http_server_stats(server, &stats);
	require(stats.open >= 0 && stats.open <= 8);
	return 0;
}
