/*-------------------------------------------------------------------------
 *
 * test_http_client.c
 *	  The HTTP client against servers that behave badly.
 *
 * What is proved above all: an outcome is "not sent" only if no byte of the
 * request was, and one call puts its request on the wire at most once.
 *
 * test/unit/test_http_client.c
 *
 *-------------------------------------------------------------------------
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#include "net/http_client.h"
#include "test_http_client_peer.h"
#include "unit.h"

#define DEADLINE_MS	20000

static HttpClient *client;
static int	port;				/* the peer's */
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

static bool (*address_allowed) (const struct sockaddr *addr) = NULL;

static HttpClient *
make_client(int max_connections, int max_per_host)
{
	HttpClientOptions o;
	char		err[200] = "";

	memset(&o, 0, sizeof(o));
	o.max_connections = max_connections;
	o.max_per_host = max_per_host;
	o.user_agent = "refundx-test";
	o.allow_plain_loopback = true;
	o.acquire_fd = acquire_fd;
	o.release_fd = release_fd;
	o.address_allowed = address_allowed;
	client = http_client_create(&o, err, sizeof(err));
	if (client == NULL)
		printf("# %s\n", err);
	return client;
}

static bool
start(const char *method, const char *url, const char *body, int timeout_ms, void *ticket,
	  char *err, size_t errsize)
{
	HttpRequest r;
	bool		good;

	http_request_init(&r);
	str_copy(r.method, sizeof(r.method), method);
	buf_adds(&r.url, url);
	if (body)
		buf_adds(&r.body, body);
	r.connect_timeout_ms = timeout_ms;
	r.total_timeout_ms = timeout_ms;
	r.max_answer = 100000;
	http_header_add(&r.headers, "X-Test", "1");
	http_header_add(&r.headers, "X-Empty", "");
	good = http_client_send(client, &r, ticket, err, errsize);
	http_request_free(&r);
	return good;
}

/* Run the client for at most `ms`, as a worker's loop would. */
static void
turn(int64_t ms)
{
	struct pollfd pfd = {http_client_fd(client), POLLIN, 0};
	int64_t		timeout = http_client_timeout_ms(client);

	if (timeout < 0 || timeout > ms)
		timeout = ms;
	poll(&pfd, 1, (int) timeout);
	http_client_run(client);
}

static bool
await(void **ticket, HttpAnswer *answer)
{
	int64_t		end = now_ms() + DEADLINE_MS;

	while (!http_client_next(client, ticket, answer))
	{
		if (now_ms() > end)
			return false;
		turn(1000);
	}
	return true;
}

/* One call from start to end; "" as method means it was refused. */
static HttpAnswer
call(const char *method, const char *url, const char *body, int timeout_ms)
{
	HttpAnswer	answer;
	char		err[160] = "";
	void	   *ticket = NULL;

	http_answer_init(&answer);
	if (!start(method, url, body, timeout_ms, &answer, err, sizeof(err)))
	{
		answer.status = -1;
		str_copy(answer.error, sizeof(answer.error), err);
		return answer;
	}
	if (!await(&ticket, &answer) || ticket != &answer)
		answer.status = -2;
	return answer;
}

static HttpAnswer
get(const char *path)
{
	char		url[300];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, path);
	return call("GET", url, NULL, 5000);
}

static int
get_number(const char *path)
{
	HttpAnswer	a = get(path);
	int			n = a.body.data ? atoi(a.body.data) : -1;

	http_answer_free(&a);
	return n;
}

static void
expect_outcome(HttpAnswer a, HttpOutcome outcome, const char *name)
{
	if (!ok(a.status >= 0 && a.outcome == outcome, "%s", name))
		printf("#   outcome %d, status %d, %s\n", a.outcome, a.status, a.error);
	if (outcome != HTTP_ANSWERED)
		ok(a.status == 0 && a.body.len == 0 && a.headers.count == 0 && a.error[0] != '\0',
		   "... and nothing of an answer is left, but words: %s", a.error);
	http_answer_free(&a);
}

static void
test_plain_calls(void)
{
	HttpAnswer	a = get("/ok");
	char		url[200];

	is_int(a.outcome, HTTP_ANSWERED, "a plain call is answered");
	is_int(a.status, 200, "its status");
	is_str(buf_str(&a.body), "fine", "its body");
	ok(a.connect_us > 0 && a.total_us >= a.connect_us, "its times");
	http_answer_free(&a);

	a = get("/ok");
	is_int(a.connect_us, 0, "the second call reuses the connection");
	http_answer_free(&a);

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/echo", port);
	a = call("POST", url, "{\"a\":1}", 5000);
	has(buf_str(&a.body), "POST /echo HTTP/1.1\r\n", "the request line");
	has(buf_str(&a.body), "\r\n\r\n{\"a\":1}", "the body");
	has(buf_str(&a.body), "\r\nX-Test: 1\r\n", "a header of the request's");
	has(buf_str(&a.body), "\r\nX-Empty:", "an empty one too");
	has(buf_str(&a.body), "\r\nUser-Agent: refundx-test\r\n", "the client's name");
	lacks(buf_str(&a.body), "Content-Type", "no Content-Type of libcurl's own");
	lacks(buf_str(&a.body), "Expect", "no Expect");
	lacks(buf_str(&a.body), "Accept-Encoding", "no Accept-Encoding");
	is_str(http_header_get(&a.headers, "x-kind"), "echo", "an answer's header");
	http_answer_free(&a);

	a = call("POST", url, NULL, 5000);
	has(buf_str(&a.body), "Content-Length: 0\r\n", "an empty POST says so");
	lacks(buf_str(&a.body), "Content-Type", "... without a Content-Type");
	http_answer_free(&a);

	a = get("/as/is/../x/./%7e?q=%2f");
	has(buf_str(&a.body), "GET /as/is/../x/./%7e?q=%2f HTTP/1.1", "the path is sent as it is");
	http_answer_free(&a);
}

static void
test_strange_answers(void)
{
	HttpAnswer	a = get("/moved");

	is_int(a.status, 302, "a redirect is not followed");
	http_answer_free(&a);
	a = get("/interim");
	is_int(a.status, 200, "an interim answer is passed over");
	is_str(http_header_get(&a.headers, "X-Late"), "yes", "the final header counts");
	ok(http_header_get(&a.headers, "X-Early") == NULL, "the interim one does not");
	http_answer_free(&a);
	a = get("/trailer");
	is_str(buf_str(&a.body), "ok", "a chunked body");
	ok(http_header_get(&a.headers, "X-Signature") == NULL, "a trailer is no header");
	http_answer_free(&a);
	a = get("/gzip");
	is_str(buf_str(&a.body), "not gzip", "a content encoding is left alone");
	http_answer_free(&a);
}

static void
test_outcomes(void)
{
	char		url[200];
	int			dead;
	int			mute;
	int			dead_port;
	int			mute_port;

	expect_outcome(get("/reset"), HTTP_SENT_UNKNOWN, "reset after the request");
	expect_outcome(get("/close"), HTTP_SENT_UNKNOWN, "closed after the request");
	expect_outcome(get("/half"), HTTP_SENT_UNKNOWN, "half an answer");
	expect_outcome(get("/big"), HTTP_SENT_UNKNOWN, "an answer over the bound");
	expect_outcome(get("/chunks"), HTTP_SENT_UNKNOWN, "an answer without end");
	expect_outcome(get("/headers"), HTTP_SENT_UNKNOWN, "too many headers");
	expect_outcome(get("/garbage"), HTTP_SENT_UNKNOWN, "an answer that is not HTTP");
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/hold", port);
	expect_outcome(call("POST", url, "x", 300), HTTP_SENT_UNKNOWN, "no answer in time");

	/* a port that was free a moment ago, and one whose owner never speaks */
	dead = peer_listen(&dead_port);
	close(dead);
	mute = peer_listen(&mute_port);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/ok", dead_port);
	expect_outcome(call("POST", url, "x", 2000), HTTP_NOT_SENT, "connection refused");
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/ok", port);
	expect_outcome(call("POST", url, "x", 2000), HTTP_NOT_SENT, "TLS handshake failed");
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/ok", mute_port);
	expect_outcome(call("POST", url, "x", 300), HTTP_NOT_SENT, "TLS handshake hangs");
	expect_outcome(call("POST", "https://no-such-host.invalid/", "x", 5000), HTTP_NOT_SENT,
				   "a name that does not exist");
	close(mute);
}

/*
 * A kept-alive connection that dies without an answer: libcurl would send the
 * request once more by itself.
 */
static void
test_no_second_copy(void)
{
	int			before;

	http_client_destroy(client);
	make_client(0, 0);
	before = get_number("/count");
	expect_outcome(get("/close"), HTTP_SENT_UNKNOWN, "a reused connection is closed unanswered");
	is_int(get_number("/count") - before, 2, "the request was sent once, not twice");
}

static void
test_refusals(void)
{
	static const char *const urls[] = {
		"http://example.com/", "http://128.0.0.1/", "http://127.0.0.1.example.com/",
		"ftp://127.0.0.1/", "file:///etc/passwd", "https://user:pw@example.com/",
		"https://example.com/a b", "https://example.com/a\r\nX: y", "https://example.com/#x",
		"https://", "", "gopher://127.0.0.1/", "http://localhost.example/", NULL
	};
	HttpRequest r;
	char		err[160];
	int			i;

	for (i = 0; urls[i]; i++)
	{
		HttpAnswer	a = call("GET", urls[i], NULL, 1000);

		ok(a.status == -1 && a.error[0] != '\0', "refused: \"%.20s\": %s", urls[i], a.error);
	}
	http_request_init(&r);
	str_copy(r.method, sizeof(r.method), "POST");
	buf_adds(&r.url, "https://example.com/");
	http_header_add(&r.headers, "X-A", "1\r\nX-B: 2");
	ok(!http_client_send(client, &r, NULL, err, sizeof(err)), "a header with a line break");
	http_headers_free(&r.headers);
	http_header_add(&r.headers, "Transfer-Encoding", "chunked");
	ok(!http_client_send(client, &r, NULL, err, sizeof(err)), "a header that frames the body");
	http_headers_free(&r.headers);
	str_copy(r.method, sizeof(r.method), "PO ST");
	ok(!http_client_send(client, &r, NULL, err, sizeof(err)), "a method with a space");
	http_request_free(&r);
	is_int(http_client_active(client), 0, "nothing is left behind");
}

#define MANY	500

/* The bounds hold, everybody is served, and connections are kept. */
static void
test_many_at_once(void)
{
	char		url[200];
	char		err[160];
	int			before = get_number("/conns");
	int			good = 0;
	int			seen[MANY] = {0};
	int64_t		begin = now_ms();
	struct rusage u0;
	struct rusage u1;
	int			i;

	getrusage(RUSAGE_SELF, &u0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/ok", port);
	for (i = 0; i < MANY; i++)
		if (!start("POST", url, "x", 10000, &seen[i], err, sizeof(err)))
			break;
	is_int(i, MANY, "500 calls are taken at once");
	is_int(http_client_active(client), MANY, "all are active");
	for (i = 0; i < MANY; i++)
	{
		HttpAnswer	a;
		void	   *ticket;

		if (!await(&ticket, &a))
			break;
		good += a.outcome == HTTP_ANSWERED && a.status == 200;
		++*(int *) ticket;
		http_answer_free(&a);
	}
	getrusage(RUSAGE_SELF, &u1);
	is_int(good, MANY, "all are answered");
	for (i = 0; i < MANY && seen[i] == 1; i++)
		;
	is_int(i, MANY, "each ticket came back once");
	ok(get_number("/conns") - before <= 64, "over at most 64 connections");
	printf("# %d calls in %lld ms, %ld ms of CPU\n", MANY, (long long) (now_ms() - begin),
		   (u1.ru_utime.tv_sec - u0.ru_utime.tv_sec + u1.ru_stime.tv_sec - u0.ru_stime.tv_sec) * 1000 +
		   (u1.ru_utime.tv_usec - u0.ru_utime.tv_usec + u1.ru_stime.tv_usec - u0.ru_stime.tv_usec) / 1000);
}

/* One host that hangs fills its own share and holds up nobody else. */
static void
test_slow_host(void)
{
	char		url[200];
	char		err[160];
	HttpAnswer	a;
	void	   *ticket;
	int			hung = 0;
	int			other_port;
	pid_t		other = peer_start(&other_port);
	int			i;

	http_client_destroy(client);
	make_client(8, 4);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/hold", port);
	for (i = 0; i < 20; i++)
		start("POST", url, "x", 1500, NULL, err, sizeof(err));
	for (i = 0; i < 50; i++)
		turn(5);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/ok", other_port);
	a = call("GET", url, NULL, 1200);
	is_int(a.status, 200, "another host answers while one hangs");
	http_answer_free(&a);

	/* four are sent and time out; the others waited for a place in vain */
	for (i = 0; i < 20; i++)
	{
		if (!await(&ticket, &a))
			break;
		hung += a.outcome == HTTP_SENT_UNKNOWN;
		if (a.outcome == HTTP_ANSWERED)
			break;
		http_answer_free(&a);
	}
	is_int(i, 20, "all that hung have ended");
	ok(hung >= 4 && hung <= 8, "only those that were sent are unknown: %d of 20", hung);
	is_int(http_client_active(client), 0, "none is left");
	peer_stop(other);
}

static void
test_descriptors(void)
{
	HttpAnswer	a;

	http_client_destroy(client);
	is_int(fds_held, 0, "a destroyed client gives all its descriptors back");
	make_client(0, 0);
	fds_allowed = fds_held;
	a = get("/ok");
	is_int(a.outcome, HTTP_NOT_SENT, "without a descriptor nothing is sent");
	http_answer_free(&a);
	fds_allowed = 100000;
	a = get("/ok");
	is_int(a.status, 200, "and with one it is");
	http_answer_free(&a);
	http_client_destroy(client);
	is_int(fds_held, 0, "the account is even");
	client = NULL;
}

static bool
no_address(const struct sockaddr *addr)
{
	return addr->sa_family != AF_INET && addr->sa_family != AF_INET6;
}

/* Whatever its name is: "localhost" is one that is looked up. */
static void
test_addresses(void)
{
	char		url[64];
	HttpAnswer	a;

	snprintf(url, sizeof(url), "http://localhost:%d/ok", port);
	a = call("GET", url, NULL, 2000);
	is_int(a.status, 200, "localhost is looked up");
	http_answer_free(&a);
	http_client_destroy(client);
	address_allowed = no_address;
	make_client(0, 0);
	a = call("GET", url, NULL, 2000);
	is_int(a.outcome, HTTP_NOT_SENT, "an address that is not allowed gets no connection");
	has(a.error, "address is in a private network", "and that is said");
	http_answer_free(&a);
	http_client_destroy(client);
	address_allowed = NULL;
	make_client(0, 0);
	a = call("GET", url, NULL, 2000);
	is_int(a.status, 200, "allowed again");
	http_answer_free(&a);
}

static void
test_signal_mask(void)
{
	sigset_t	before;
	sigset_t	mask;
	HttpAnswer	a;

	sigemptyset(&mask);
	sigaddset(&mask, SIGURG);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	a = get("/ok");
	http_answer_free(&a);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	is_mem(&mask, sizeof(mask), &before, sizeof(before), "the caller's signal mask is left as it was");
}

/* A large answer goes into a file, never into memory; another answer than a 200 does not. */
static HttpAnswer
get_into(const char *path, int fd, size_t most)
{
	HttpRequest r;
	HttpAnswer	answer;
	char		err[160] = "";
	void	   *ticket = NULL;

	http_answer_init(&answer);
	http_request_init(&r);
	strcpy(r.method, "GET");
	buf_addf(&r.url, "http://127.0.0.1:%d%s", port, path);
	r.max_answer = most;
	r.sink_fd = fd;
	if (!http_client_send(client, &r, &answer, err, sizeof(err)) || !await(&ticket, &answer))
		answer.status = -2;
	http_request_free(&r);
	return answer;
}

static void
test_sink(void)
{
	FILE	   *file = tmpfile();
	int			fd = fileno(file);
	int			full = open("/dev/full", O_WRONLY);
	HttpAnswer	a = get_into("/big", fd, 4 * 1024 * 1024);

	is_int(a.outcome, HTTP_ANSWERED, "a large answer into a file");
	is_int(a.sunk, 2 * 1024 * 1024, "all of it");
	is_int(lseek(fd, 0, SEEK_END), 2 * 1024 * 1024, "is there");
	is_int(a.body.len, 0, "and nothing in memory");
	http_answer_free(&a);

	a = get_into("/big", fd, 1000000);
	ok(a.outcome != HTTP_ANSWERED, "no more than was allowed");
	is_str(a.error, "answer too large", "and it is said why");
	http_answer_free(&a);

	a = get_into("/moved", fd, 1000000);
	is_int(a.status, 302, "what is no 200");
	is_int(a.sunk, 0, "is not written to the file");
	http_answer_free(&a);

	a = get_into("/big", full, 4 * 1024 * 1024);
	ok(a.outcome != HTTP_ANSWERED, "a full disk");
	has(a.error, "disk full", "is told");
	http_answer_free(&a);

	a = get("/big");
	ok(a.outcome != HTTP_ANSWERED, "the next call has no sink");
	is_int(a.sunk, 0, "nothing goes there");
	http_answer_free(&a);
	close(full);
	fclose(file);
}

int
main(void)
{
	pid_t		peer = peer_start(&port);

	signal(SIGPIPE, SIG_IGN);
	if (make_client(0, 0) == NULL)
		return 2;
	test_plain_calls();
	test_strange_answers();
	test_outcomes();
	test_no_second_copy();
	test_refusals();
	test_many_at_once();
	test_signal_mask();
	test_addresses();
	test_slow_host();
	test_sink();
	test_descriptors();
	peer_stop(peer);
	return unit_done();
}
