/*-------------------------------------------------------------------------
 *
 * server.c
 *	  libmicrohttpd, with every request suspended until it has been decided
 *	  and its effect is on disk.
 *
 * A complete request goes into `incoming`.  The loop takes it out, decides
 * it, and it goes to `outgoing` (answered) or `held` (the simulated fault is
 * that the answer comes late or never).  server_send_answers() runs after the
 * ledger's commit.
 *
 * sandbox/server.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox.h"

#define MAX_BODY		((size_t) 1024 * 1024)
#define MAX_CONNECTIONS	4096
#define CALLBACK_FIRST_MS	3000	/* how long an answer waits for a callback */

typedef struct List
{
	SbRequest  *head;
	SbRequest **tail;
	int			count;
} List;

static struct MHD_Daemon *daemon_;
static Buf	tls_cert = BUF_INIT;
static Buf	tls_key = BUF_INIT;
static int	bound_port;
static int64_t request_count;
static List incoming = {NULL, &incoming.head, 0};
static List outgoing = {NULL, &outgoing.head, 0};
static List held = {NULL, &held.head, 0};

static void
list_push(List *l, SbRequest *req)
{
	req->next = NULL;
	*l->tail = req;
	l->tail = &req->next;
	l->count++;
}

static SbRequest *
list_pop(List *l)
{
	SbRequest  *req = l->head;

	if (req != NULL)
	{
		l->head = req->next;
		if (l->head == NULL)
			l->tail = &l->head;
		l->count--;
	}
	return req;
}

static void
list_remove(List *l, SbRequest *req)
{
	SbRequest **p = &l->head;

	while (*p != NULL && *p != req)
		p = &(*p)->next;
	if (*p == NULL)
		return;
	*p = req->next;
	if (*p == NULL)
		l->tail = p;
	l->count--;
}

/* ---- taking a request in ---- */

/* The first that is heard of a request: its raw target. */
static void *
on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
	SbRequest  *req = must_alloc(sizeof(*req));
	const char *mark = strchr(uri, '?');

	(void) cls;
	req->connection = connection;
	req->arrived_us = wall_us();
	buf_adds(&req->uri, uri);
	buf_add(&req->path, uri, mark ? (size_t) (mark - uri) : strlen(uri));
	if (mark != NULL)
		req->query = req->uri.data + (mark - uri) + 1;
	return req;
}

static enum MHD_Result
on_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	SbRequest  *req = cls;

	(void) kind;
	http_header_add(&req->headers, name, value ? value : "");
	return MHD_YES;
}

static void
on_done(void *cls, struct MHD_Connection *connection, void **state,
		enum MHD_RequestTerminationCode code)
{
	SbRequest  *req = *state;

	(void) cls;
	(void) connection;
	(void) code;
	*state = NULL;
	if (req == NULL)
		return;
	buf_free(&req->uri);
	buf_free(&req->path);
	buf_free(&req->body);
	buf_free(&req->answer);
	http_headers_free(&req->headers);
	http_headers_free(&req->answer_headers);
	free(req);
}

/*
 * A TCP reset, now.  Dissolving the association makes the kernel send RST,
 * where a close would first say good-bye politely.
 */
static void
abort_connection(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info;
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (info != NULL)
		(void) connect(info->connect_fd, &nobody, sizeof(nobody));
}

static enum MHD_Result
send_answer(SbRequest *req)
{
	struct MHD_Response *response;
	enum MHD_Result result;
	int			i;

	log_answer(req);
	if (req->action == ANSWER_RESET)
	{
		abort_connection(req->connection);
		return MHD_NO;
	}
	response = MHD_create_response_from_buffer(req->answer.len, (void *) buf_str(&req->answer),
											   MHD_RESPMEM_MUST_COPY);
	if (response == NULL)
		return MHD_NO;
	for (i = 0; i < req->answer_headers.count; i++)
		MHD_add_response_header(response, req->answer_headers.item[i].name,
								req->answer_headers.item[i].value);
	result = MHD_queue_response(req->connection, (unsigned int) req->status, response);
	MHD_destroy_response(response);
	return result;
}

/* Called for the headers, for each piece of body, at the end, and on resume. */
static enum MHD_Result
on_request(void *cls, struct MHD_Connection *connection, const char *url,
		   const char *method, const char *version, const char *data,
		   size_t *size, void **state)
{
	SbRequest  *req = *state;

	(void) cls;
	(void) url;
	(void) version;
	if (req == NULL)
		return MHD_NO;
	if (req->answered)
		return send_answer(req);
	if (!req->started)
	{
		req->started = true;
		str_copy(req->method, sizeof(req->method), method);
		MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, req);
		return MHD_YES;
	}
	if (*size > 0)
	{
		if (req->body.len + *size > MAX_BODY)
			req->too_large = true;
		else
			buf_add(&req->body, data, *size);
		*size = 0;
		return MHD_YES;
	}
	MHD_suspend_connection(connection);
	request_count++;
	list_push(&incoming, req);
	return MHD_YES;
}

SbRequest *
server_next(void)
{
	return list_pop(&incoming);
}

bool
server_has_incoming(void)
{
	return incoming.head != NULL;
}

/* ---- answering ---- */

void
request_answer(SbRequest *req, int status, const char *content_type)
{
	req->action = ANSWER_SEND;
	req->status = status;
	if (content_type != NULL)
		http_header_add(&req->answer_headers, "Content-Type", content_type);
	req->answered = true;
	if (req->hold == HOLD_NONE)
		list_push(&outgoing, req);
}

void
request_answer_json(SbRequest *req, int status, json_t *body)
{
	char	   *text = json_dumps(body, JSON_COMPACT);

	json_decref(body);
	req->answer.limit = (size_t) 1024 * 1024 * 1024;
	buf_adds(&req->answer, text ? text : "{}");
	free(text);
	request_answer(req, status, "application/json");
}

void
request_reset(SbRequest *req)
{
	req->action = ANSWER_RESET;
	req->answered = true;
	if (req->hold == HOLD_NONE)
		list_push(&outgoing, req);
}

void
server_send_answers(void)
{
	SbRequest  *req;

	while ((req = list_pop(&outgoing)) != NULL)
		MHD_resume_connection(req->connection);
}

/* ---- holding back ---- */

/*
 * Keep a request.  Call it before request_answer() where the answer is
 * already decided.  ms = 0: until somebody releases it.
 */
void
server_hold(SbRequest *req, HoldKind kind, int64_t ms)
{
	req->hold = kind;
	req->hold_until = ms > 0 ? mono_ms() + ms : 0;
	list_push(&held, req);
}

static void
unhold(SbRequest *req)
{
	list_remove(&held, req);
	req->hold = HOLD_NONE;
}

void
request_wait(SbRequest *req, SbRequest **place)
{
	server_hold(req, HOLD_CALLBACK, CALLBACK_FIRST_MS);
	req->waits_in = place;
	*place = req;
}

static void
forget_waiting(SbRequest *req)
{
	if (req->waits_in != NULL && *req->waits_in == req)
		*req->waits_in = NULL;
	req->waits_in = NULL;
}

void
request_unhold(SbRequest *req)
{
	forget_waiting(req);
	unhold(req);
	list_push(&outgoing, req);
}

/* libmicrohttpd does not look at suspended connections, so we must. */
static bool
peer_is_gone(const SbRequest *req)
{
	const union MHD_ConnectionInfo *info;
	char		c;
	ssize_t		n;

	info = MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (info == NULL)
		return true;
	n = recv(info->connect_fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/*
 * Let go of what has waited long enough or whose caller has hung up.  A
 * HOLD_EFFECT stays: its request is on its way through the channel, whether
 * or not the caller still listens.  That is the point of it.
 */
void
server_check_holds(void)
{
	SbRequest  *req,
			   *next;
	int64_t		now = mono_ms();

	for (req = held.head; req != NULL; req = next)
	{
		bool		late = req->hold_until > 0 && now >= req->hold_until;

		next = req->next;
		if (req->hold == HOLD_EFFECT || !(late || peer_is_gone(req)))
			continue;
		if (req->hold == HOLD_CALLBACK)
			forget_waiting(req);
		unhold(req);
		if (req->answered)
			list_push(&outgoing, req);
		else
			request_reset(req);
	}
}

int
server_release(const char *no, void (*rerun) (SbRequest *))
{
	SbRequest  *req,
			   *next,
			   *last = NULL;
	int			released = 0;

	/* A rerun may hold again, at the end of the list: stop where we began. */
	for (req = held.head; req != NULL; req = req->next)
		last = req;
	for (req = held.head; req != NULL; req = next)
	{
		HoldKind	kind = req->hold;

		next = req == last ? NULL : req->next;
		if ((kind != HOLD_ANSWER && kind != HOLD_EFFECT) ||
			(no != NULL && strcmp(no, req->no) != 0))
			continue;
		released++;
		unhold(req);
		req->released = true;
		if (kind == HOLD_ANSWER)
			list_push(&outgoing, req);
		else
			rerun(req);
	}
	return released;
}

bool
server_any_held(bool (*test) (const SbRequest *, const void *), const void *arg)
{
	const SbRequest *req;

	for (req = held.head; req != NULL; req = req->next)
		if (test(req, arg))
			return true;
	return false;
}

int
server_held(void)
{
	return held.count;
}

/* ---- starting, running, stopping ---- */

static int
open_socket(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t) sandbox.opt.port)};
	socklen_t	len = sizeof(addr);
	int			fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int			one = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
		bind(fd, (struct sockaddr *) &addr, len) != 0 ||
		listen(fd, 1024) != 0 ||
		getsockname(fd, (struct sockaddr *) &addr, &len) != 0)
	{
		fprintf(stderr, "refundx-sandbox: could not listen on 127.0.0.1:%d: %s\n",
				sandbox.opt.port, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	bound_port = ntohs(addr.sin_port);
	return fd;
}

bool
server_start(void)
{
	unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_END, 0, NULL},
		{MHD_OPTION_END, 0, NULL},
		{MHD_OPTION_END, 0, NULL}
	};
	int			fd;

	if (sandbox.opt.tls_cert != NULL)
	{
		if (!read_file(sandbox.opt.tls_cert, &tls_cert) || !read_file(sandbox.opt.tls_key, &tls_key))
		{
			fprintf(stderr, "refundx-sandbox: could not read the TLS certificate or key\n");
			return false;
		}
		flags |= MHD_USE_TLS;
		tls[0] = (struct MHD_OptionItem) {MHD_OPTION_HTTPS_MEM_CERT, 0, tls_cert.data};
		tls[1] = (struct MHD_OptionItem) {MHD_OPTION_HTTPS_MEM_KEY, 0, tls_key.data};
	}
	fd = open_socket();
	if (fd < 0)
		return false;
	daemon_ = MHD_start_daemon(flags, 0, NULL, NULL, on_request, NULL,
							   MHD_OPTION_LISTEN_SOCKET, fd,
							   MHD_OPTION_CONNECTION_LIMIT, (unsigned int) MAX_CONNECTIONS,
							   MHD_OPTION_CONNECTION_TIMEOUT, 75U,
							   MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL,
							   MHD_OPTION_NOTIFY_COMPLETED, on_done, NULL,
							   MHD_OPTION_ARRAY, tls,
							   MHD_OPTION_END);
	if (daemon_ == NULL)
	{
		fprintf(stderr, "refundx-sandbox: could not start the HTTP server\n");
		close(fd);
	}
	return daemon_ != NULL;
}

void
server_run(void)
{
	MHD_run(daemon_);
}

int
server_fd(void)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);

	return info ? info->epoll_fd : -1;
}

int
server_port(void)
{
	return bound_port;
}

int64_t
server_requests(void)
{
	return request_count;
}

/* ms until it wants to run again; -1 = not by itself */
int64_t
server_timeout_ms(void)
{
	MHD_UNSIGNED_LONG_LONG ms;

	return MHD_get_timeout(daemon_, &ms) == MHD_YES ? (int64_t) ms : -1;
}

/* What is still held is reset: to its caller, the channel went away. */
void
server_stop(void)
{
	SbRequest  *req;

	while ((req = list_pop(&held)) != NULL)
	{
		req->hold = HOLD_NONE;
		req->answered = false;
		request_reset(req);
	}
	while ((req = list_pop(&incoming)) != NULL)
		request_reset(req);
	server_send_answers();
	MHD_run(daemon_);
	MHD_stop_daemon(daemon_);
	buf_wipe(&tls_key);
	buf_free(&tls_cert);
}

/* ---- query strings ---- */

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

size_t
utf8_length(const char *s)
{
	size_t		n = 0;

	for (; *s; s++)
		n += ((unsigned char) *s & 0xc0) != 0x80;
	return n;
}

static bool
utf8_ok(const Buf *b)
{
	json_t	   *v = json_stringn(buf_str(b), b->len);

	json_decref(v);
	return v != NULL;
}

/* False if it is not what an encoder makes of UTF-8 text without NUL. */
bool
percent_decode(Buf *out, const char *s, size_t len, bool plus_is_space)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (s[i] == '%')
		{
			int			hi = i + 1 < len ? hex_value(s[i + 1]) : -1;
			int			lo = i + 2 < len ? hex_value(s[i + 2]) : -1;

			if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
				return false;
			buf_addc(out, (char) (hi * 16 + lo));
			i += 2;
		}
		else
			buf_addc(out, plus_is_space && s[i] == '+' ? ' ' : s[i]);
	}
	return !out->failed && utf8_ok(out);
}

bool
sha256_hex(const void *data, size_t len, char out[65])
{
	unsigned char digest[32];
	Buf			hex = BUF_INIT;
	bool		ok = sha256(data, len, digest);

	if (ok)
		hex_encode(&hex, digest, sizeof(digest));
	ok = ok && str_copy(out, 65, buf_str(&hex));
	buf_free(&hex);
	return ok;
}

bool
request_query_value(const SbRequest *req, const char *name, Buf *out)
{
	const char *p = req->query;
	size_t		namelen = strlen(name);

	while (p != NULL && *p)
	{
		size_t		len = strcspn(p, "&");

		if (len > namelen && strncmp(p, name, namelen) == 0 && p[namelen] == '=')
			return percent_decode(out, p + namelen + 1, len - namelen - 1, false);
		p += len;
		if (*p == '&')
			p++;
	}
	return false;
}
