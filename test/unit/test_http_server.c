/*-------------------------------------------------------------------------
 *
 * test_http_server.c
 *	  The HTTP server: requests that wait, bounds that hold, strangers.
 *
 * test/unit/test_http_server.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "test_http_server_peer.h"

#define GET_OK		"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"

static void
answer_text(HttpServerRequest *r, const char *text)
{
	http_server_answer(server, r, 200, "text/plain", text, strlen(text));
}

static void
test_one_request(void)
{
	HttpServerOptions o = {0};
	HttpServerRequest *r;
	struct timespec ts;
	int			fd;
	int			i;

	server_up(o);
	fd = try_connect();
	say(fd, "POST /v1/we%20chat?a=%41 HTTP/1.1\r\nHost: x\r\nX-Sig:  a b \t\r\n"
		"Content-Length: 5\r\n\r\n");
	for (i = 0; i < 20; i++)
		step(2);
	ok(http_server_next(server) == NULL, "half a request is not handed out");
	say(fd, "he\001lo");
	r = await_request();
	if (!ok(r != NULL, "a whole one is"))
		return;
	is_str(http_server_request_method(r), "POST", "method");
	is_str(http_server_request_path(r), "/v1/we chat", "path: decoded once, without the query");
	is_str(http_header_get(http_server_request_headers(r), "x-sig"), "a b", "a header, trimmed");
	is_mem(http_server_request_body(r)->data, http_server_request_body(r)->len, "he\001lo", 5,
		   "body");
	clock_gettime(CLOCK_REALTIME, &ts);
	ok(llabs(http_server_request_arrived_us(r) / 1000000 - (int64_t) ts.tv_sec) <= 10,
	   "time of arrival");

	/* it waits for us, and costs nothing while it does */
	for (i = 0; i < 20; i++)
		step(2);
	ok(is_open(fd), "no answer before there is one");
	ok(http_server_timeout_ms(server) != 0, "nothing to run while it waits");
	answer_text(r, "done");
	is_int(http_server_timeout_ms(server), 0, "an answer wants the server run");
	has(hear(fd, "done")->text, "HTTP/1.1 200 OK\r\n", "the answer");

	say(fd, GET_OK);
	r = await_request();
	is_str(http_server_request_path(r), "/ok", "the connection is kept for another request");
	http_server_answer(server, r, 204, NULL, NULL, 0);
	lacks(hear(fd, "\r\n\r\n")->text, "Content-Type", "an answer without a body");
	is_int(stats().requests, 2, "two requests");
	is_int(stats().accepted, 1, "on one connection");
	close(fd);
	ok(await_open(0), "a client that leaves is noticed");
	http_server_stop(server);
	is_int(fds_held, 0, "descriptors are given back");
}

static void
test_pipelining(void)
{
	HttpServerOptions o = {0};
	HttpServerRequest *r;
	Heard	   *h;
	int			fd;
	int			i;

	server_up(o);
	fd = try_connect();
	say(fd, "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
		"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
		"POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\n");
	for (i = 1; i <= 3; i++)
	{
		char		path[3] = {'/', (char) ('0' + i), '\0'};

		r = await_request();
		if (!ok(r != NULL, "pipelined request %d", i))
			return;
		is_str(http_server_request_path(r), path, "... in its order");
		ok(http_server_next(server) == NULL, "... and one at a time");
		if (i == 3)
			is_str(buf_str(http_server_request_body(r)), "three", "a chunked body");
		answer_text(r, path);
	}
	h = hear(fd, "/3");
	ok(strstr(h->text, "/1") < strstr(h->text, "/2") && strstr(h->text, "/2") < strstr(h->text, "/3"),
	   "the answers come in order");
	close(fd);
	http_server_stop(server);
}

static void
expect_refusal(const char *request, size_t len, const char *status, const char *name)
{
	int			fd = try_connect();
	Heard	   *h;

	say_n(fd, request, len);
	h = hear(fd, NULL);
	if (!ok(strncmp(h->text, "HTTP/1.", 7) == 0 && strncmp(h->text + 9, status, strlen(status)) == 0 && h->closed,
			"%s: %s and close", name, status))
		printf("#   got %.60s\n", h->text);
	close(fd);
}

static void
test_size_bounds(void)
{
	HttpServerOptions o = {0};
	HttpServerRequest *r;
	static char big[9000000];
	size_t		n;
	int			fd;

	o.max_body = 1000;
	o.max_header = 4096;
	server_up(o);
	memset(big, 'x', 9000000);

	n = (size_t) sprintf(big, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
	big[n] = 'x';
	fd = try_connect();
	say_n(fd, big, n + 1000);
	r = await_request();
	is_int(r ? http_server_request_body(r)->len : 0, 1000, "a body as large as the bound");
	http_server_answer(server, r, 204, NULL, NULL, 0);
	hear(fd, "\r\n\r\n");
	close(fd);

	n = (size_t) sprintf(big, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
	big[n] = 'x';
	expect_refusal(big, n + 1001, "413", "one byte more");
	n = (size_t) sprintf(big, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n");
	big[n] = 'x';
	expect_refusal(big, n + 8000000, "413", "8 MB, all sent before the answer is read");
	n = (size_t) sprintf(big, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n");
	memset(big + n, 'x', 2000);
	memcpy(big + n + 2000, "\r\n0\r\n\r\n", 7);
	expect_refusal(big, n + 2007, "413", "too many chunks");
	n = (size_t) sprintf(big, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
						 "Content-Length: 5000\r\n\r\n");
	expect_refusal(big, n, "413", "a client that asks first");
	n = (size_t) sprintf(big, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n");
	expect_refusal(big, n, "413", "a terabyte announced");
	is_int(stats().too_large, 5, "all are counted");

	n = (size_t) sprintf(big, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ");
	memset(big + n, 'y', 3000);
	memcpy(big + n + 3000, "\r\n\r\n", 4);
	fd = try_connect();
	say_n(fd, big, n + 3004);
	r = await_request();
	ok(r != NULL, "a header within the bound");
	http_server_answer(server, r, 204, NULL, NULL, 0);
	close(fd);
	memset(big + n, 'y', 4200);
	memcpy(big + n + 4200, "\r\n\r\n", 4);
	expect_refusal(big, n + 4204, "431", "a header over it");
	memset(big + n, 'y', 100000);
	expect_refusal(big, n + 20000, "4", "a header far over it");
	n = (size_t) sprintf(big, "GET /");
	memset(big + n, 'y', 100000);
	expect_refusal(big, n + 20000, "4", "a request line far over it");
	is_int(stats().too_large, 8, "all are counted");
	is_int(stats().requests, 2, "none of them was handed out");
	http_server_stop(server);
	is_int(fds_held, 0, "descriptors are given back");
}

#define REFUSED(text, status, name) expect_refusal(text, sizeof(text) - 1, status, name)

static void
test_malformed(void)
{
	HttpServerOptions o = {0};
	char		many[4000] = "GET / HTTP/1.1\r\nHost: x\r\n";
	HttpServerRequest *r;
	int64_t		before;
	int			fd;
	int			i;

	server_up(o);
	REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
			"400", "two lengths");
	REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
			"400", "a length and chunks");
	REFUSED("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400", "a negative length");
	REFUSED("GET /v1/wechat%00x HTTP/1.1\r\nHost: x\r\n\r\n", "400", "a NUL in the path");
	REFUSED("GET / HTTP/1.1\r\n\r\n", "400", "no Host");
	REFUSED("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400",
			"a chunk without a size");
	is_int(stats().malformed, 6, "all are counted");
	for (i = 0; i < 70; i++)
		sprintf(many + strlen(many), "X-%d: 1\r\n", i);
	strcat(many, "\r\n");
	expect_refusal(many, strlen(many), "431", "more headers than are kept");

	before = stats().requests;
	fd = try_connect();
	say(fd, "\026\003\001\002\001\001 what TLS looks like\r\n\r\n");
	ok(is_closed(fd), "TLS to a plain port is closed");
	close(fd);
	is_int(stats().requests, before, "and never handed out");

	fd = try_connect();
	say(fd, "GET /old HTTP/1.0\r\n\r\n");
	r = await_request();
	is_str(r ? http_server_request_path(r) : NULL, "/old", "HTTP/1.0 is served");
	answer_text(r, "done");
	ok(strstr(hear(fd, NULL)->text, "done") != NULL, "and closed");
	close(fd);
	http_server_stop(server);
}

/* A byte every few milliseconds keeps libmicrohttpd's own time-out away. */
static int64_t
dribble(int fd, const char *text)
{
	int64_t		begin = now_ms();
	size_t		len = strlen(text);
	size_t		i = 0;

	while (now_ms() - begin < DEADLINE_MS)
	{
		Heard		h = {{0}, 0, false};
		int64_t		until = now_ms() + 20;

		if (send(fd, &text[i], 1, MSG_NOSIGNAL) < 0)
			break;
		i = i + 1 < len ? i + 1 : i;
		while (now_ms() < until)
			step(5);
		hear_once(fd, &h);
		if (h.closed)
			break;
	}
	return now_ms() - begin;
}

static void
test_slow_clients(void)
{
	HttpServerOptions o = {0};
	HttpServerRequest *r;
	int64_t		took;
	int			fd;

	o.request_timeout_ms = 600;
	o.idle_timeout_ms = 900;
	server_up(o);
	fd = try_connect();
	took = dribble(fd, "GET / HTTP/1.1\r\nHost: x\r\nX-Loris: slow, slow, slow, slow, slow, slow");
	ok(took >= 550 && took < 3000, "a slow header is cut at the limit: %d ms", (int) took);
	close(fd);
	fd = try_connect();
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
	took = dribble(fd, "slow");
	ok(took >= 550 && took < 3000, "a slow body too: %d ms", (int) took);
	close(fd);
	fd = try_connect();
	took = now_ms();
	ok(is_closed(fd), "one that says nothing");
	took = now_ms() - took;
	ok(took >= 550 && took < 3000, "at the limit: %d ms", (int) took);
	close(fd);
	is_int(stats().timed_out, 3, "all are counted");

	/* idle connections have their own, and so has the next request on one */
	fd = try_connect();
	say(fd, GET_OK);
	r = await_request();
	answer_text(r, "done");
	hear(fd, "done");
	took = now_ms();
	ok(is_closed(fd), "an idle connection is closed");
	took = now_ms() - took;
	ok(took >= 850 && took < 4000, "after its time: %d ms", (int) took);
	close(fd);
	is_int(stats().timed_out, 3, "which is nobody's fault");
	fd = try_connect();
	say(fd, GET_OK);
	answer_text(await_request(), "done");
	hear(fd, "done");
	say(fd, "GET / HTTP/1.1\r\n");
	took = dribble(fd, "X-Loris: slow, slow, slow, slow, slow, slow, slow, slow, slow, slow, slow");
	ok(took >= 550 && took < 3000, "a slow second request: %d ms", (int) took);
	close(fd);

	/* nobody but us is late with an answer */
	fd = try_connect();
	say(fd, GET_OK);
	r = await_request();
	for (took = now_ms(); now_ms() - took < 1500;)
		step(50);
	ok(is_open(fd), "a request that waits for its answer is not cut");
	answer_text(r, "late");
	has(hear(fd, "late")->text, "200 OK", "and gets it");
	close(fd);
	http_server_stop(server);
}

/* Above four fifths, the oldest without a complete request makes room. */
static void
test_eviction(void)
{
	HttpServerOptions o = {0};
	HttpServerRequest *waiting[2];
	HttpServerRequest *r;
	int			fd[12];
	int			good;
	int			i;

	o.max_connections = 10;
	server_up(o);
	for (i = 0; i < 2; i++)
	{
		fd[i] = try_connect();
		say(fd[i], GET_OK);
		waiting[i] = await_request();
	}
	for (i = 2; i < 8; i++)
	{
		fd[i] = try_connect();
		say(fd[i], "GET / HT");
		ok(await_open(i + 1), "connection %d is taken", i + 1);
	}
	is_int(stats().evicted, 0, "four fifths fit");
	good = try_connect();
	say(good, "GET /good HTTP/1.1\r\nHost: x\r\n\r\n");
	r = await_request();
	is_str(r ? http_server_request_path(r) : NULL, "/good", "one more, with a good request, is served");
	ok(is_closed(fd[2]), "the oldest without a complete request makes room");
	is_int(stats().evicted, 1, "it alone");
	for (i = 3; i < 8; i++)
		ok(is_open(fd[i]), "the younger ones stay (%d)", i);
	ok(is_open(fd[0]) && is_open(fd[1]), "those that wait for an answer stay");
	answer_text(r, "done");
	hear(good, "done");
	for (i = 0; i < 2; i++)
	{
		answer_text(waiting[i], "late");
		has(hear(fd[i], "late")->text, "late", "and get it");
	}
	is_int(stats().open, 8, "the bound is kept");
	for (i = 0; i < 8; i++)
		close(fd[i]);
	close(good);
	await_open(0);
	http_server_stop(server);
	is_int(fds_held, 0, "descriptors are given back");
}

/* When all places wait for answers, newcomers wait in the backlog. */
static void
test_full_of_waiting(void)
{
	HttpServerOptions o = {0};
	HttpServerRequest *r[10];
	int			fd[15];
	int			served = 0;
	int			i;

	o.max_connections = 10;
	server_up(o);
	for (i = 0; i < 15; i++)
	{
		fd[i] = try_connect();
		say(fd[i], GET_OK);
	}
	for (i = 0; i < 10; i++)
		r[i] = await_request();
	for (i = 0; i < 30; i++)
		step(2);
	ok(http_server_next(server) == NULL, "no more than the bound are taken in");
	is_int(stats().open, 10, "ten are open");
	is_int(stats().evicted, 0, "nobody was evicted");
	for (i = 0; i < 10; i++)
		answer_text(r[i], "done");
	for (i = 0; i < 15; i++)
	{
		HttpServerRequest *later;
		int64_t		end = now_ms() + DEADLINE_MS;
		Heard		h = {{0}, 0, false};

		while (strstr(h.text, "done") == NULL && !h.closed && now_ms() < end)
		{
			step(5);
			while ((later = http_server_next(server)) != NULL)
				answer_text(later, "done");
			hear_once(fd[i], &h);
		}
		served += strstr(h.text, "done") != NULL;
		close(fd[i]);
	}
	is_int(served, 15, "all are served in the end");
	http_server_stop(server);
}

/* A client that never reads its answers must not keep a place for ever. */
static void
test_deaf_client(void)
{
	HttpServerOptions o = {0};
	char	   *big = calloc(1, 4000000);
	int			small = 4096;
	int			fd;

	o.request_timeout_ms = 500;
	server_up(o);
	fd = try_connect();
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	say(fd, GET_OK);
	http_server_answer(server, await_request(), 200, "text/plain", big, 4000000);
	ok(await_open(0), "a client that does not take its answer is cut off");
	close(fd);
	free(big);
	http_server_stop(server);
}

static void
test_leaving_clients(void)
{
	HttpServerOptions o = {0};
	struct linger hard = {1, 0};
	HttpServerRequest *r[20];
	int			fd[20];
	int			i;

	server_up(o);
	for (i = 0; i < 20; i++)
	{
		fd[i] = try_connect();
		say(fd[i], GET_OK);
		r[i] = await_request();
		if (i % 2)
			setsockopt(fd[i], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(fd[i]);
	}
	for (i = 0; i < 20; i++)
		step(1);
	for (i = 19; i >= 0; i--)
		answer_text(r[i], "nobody listens");
	ok(await_open(0), "clients that left while their requests waited");
	http_server_stop(server);
}

static void
test_address_and_descriptors(void)
{
	HttpServerOptions o = {0};
	int			fd[4];
	int			i;

	o.max_per_address = 2;
	server_up(o);
	for (i = 0; i < 3; i++)
		fd[i] = try_connect();
	ok(is_closed(fd[2]), "a third connection from one address is closed");
	ok(is_open(fd[0]) && is_open(fd[1]), "the first two stay");
	is_int(stats().refused, 1, "and it is counted");
	for (i = 0; i < 3; i++)
		close(fd[i]);
	http_server_stop(server);

	o.max_per_address = 0;
	server_up(o);
	fds_allowed = fds_held;
	fd[3] = try_connect();
	ok(is_closed(fd[3]), "without a descriptor a connection is refused");
	close(fd[3]);
	fds_allowed = 100000;
	http_server_stop(server);
	is_int(fds_held, 0, "the account is even");
}

#define CLIENTS		64
#define REQUESTS	100

static void
test_thousands(void)
{
	HttpServerOptions o = {0};
	static const char post[] = "POST /v1/wechat HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"
		"01234567890123456789";
	static Heard h[CLIENTS];
	HttpServerRequest *r;
	int			fd[CLIENTS];
	int			done[CLIENTS] = {0};
	int			total = 0;
	int			bad = 0;
	int64_t		begin = now_ms();
	int			i;

	server_up(o);
	for (i = 0; i < CLIENTS; i++)
	{
		fd[i] = try_connect();
		say(fd[i], post);
	}
	while (total < CLIENTS * REQUESTS && now_ms() - begin < 4 * DEADLINE_MS)
	{
		step(50);
		while ((r = http_server_next(server)) != NULL)
		{
			bad += http_server_request_body(r)->len != 20;
			answer_text(r, "{\"code\":\"SUCCESS\"}");
		}
		http_server_run(server);
		for (i = 0; i < CLIENTS; i++)
		{
			while (hear_once(fd[i], &h[i]))
				;
			if (strstr(h[i].text, "SUCCESS\"}") == NULL)
				continue;
			memset(&h[i], 0, sizeof(h[i]));
			total++;
			if (++done[i] < REQUESTS)
				say(fd[i], post);
		}
	}
	is_int(total, CLIENTS * REQUESTS, "thousands of requests on 64 connections");
	is_int(bad, 0, "each with its body");
	is_int(stats().accepted, CLIENTS, "all on the connections that were opened");
	printf("# %d requests in %lld ms\n", total, (long long) (now_ms() - begin));
	for (i = 0; i < CLIENTS; i++)
		close(fd[i]);
	http_server_stop(server);
}

static void
test_stop(void)
{
	HttpServerOptions o = {0};
	Heard		h = {{0}, 0, false};
	int			fd[3];
	int			i;

	server_up(o);
	for (i = 0; i < 3; i++)
	{
		fd[i] = try_connect();
		say(fd[i], GET_OK);
	}
	ok(await_request() != NULL, "one request is in hand, others are queued");
	for (i = 0; i < 20; i++)
		step(2);
	http_server_stop(server);
	is_int(fds_held, 0, "a stopped server gives its descriptors back");
	for (i = 0; i < 3; i++)
	{
		int64_t		end = now_ms() + DEADLINE_MS;

		memset(&h, 0, sizeof(h));
		while (!h.closed && now_ms() < end)
			hear_once(fd[i], &h);
		has(h.text, " 503 ", "whoever still waits is told");
		close(fd[i]);
	}
}

static void
test_start_errors(void)
{
	HttpServerOptions o = {0};
	char		err[200] = "";
	int			taken;

	o.address = "localhost";
	ok(http_server_start(&o, err, sizeof(err)) == NULL, "a name is no address: %s", err);
	o.address = "127.0.0.1";
	server_up(o);
	taken = http_server_port(server);
	o.port = taken;
	ok(http_server_start(&o, err, sizeof(err)) == NULL, "a port that is taken: %s", err);
	has(err, "in use", "the reason is the system's");
	http_server_stop(server);
	o.port = 0;
	o.tls_certificate = o.tls_key = "-----BEGIN NONSENSE-----\n";
	err[0] = '\0';
	ok(http_server_start(&o, err, sizeof(err)) == NULL && err[0], "a certificate that is none: %s", err);
	o.tls_key = NULL;
	ok(http_server_start(&o, err, sizeof(err)) == NULL, "a certificate without a key: %s", err);
	is_int(fds_held, 0, "nothing is left behind");
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_one_request();
	test_pipelining();
	test_size_bounds();
	test_malformed();
	test_slow_clients();
	test_eviction();
	test_full_of_waiting();
	test_deaf_client();
	test_leaving_clients();
	test_address_and_descriptors();
	test_thousands();
	test_stop();
	test_start_errors();
	return unit_done();
}
