/*-------------------------------------------------------------------------
 *
 * http_call.c
 *	  One HTTP call: its libcurl options, its callbacks, and what its end means.
 *
 * What matters here is the line between "certainly not sent" and "may have
 * been sent", because money follows it.  libcurl's figures (bytes uploaded,
 * pre-transfer time) are taken after the first write and say too little when
 * that write fails.  CURLOPT_PREREQFUNCTION is called when the connection
 * (TLS included) stands and not a byte of the request has been written: a
 * call that ends before it was certainly not sent, any other may have been.
 *
 * For the same reason libcurl's own retry is refused.  When a kept-alive
 * connection dies without an answer, libcurl sends the request once more on a
 * fresh one.  The server may have acted on the first copy; an SMS would go
 * out twice, and an attempt that was recorded once would be two.  So one call
 * puts at most one request on the wire.  CONN_MAX_IDLE keeps the window in
 * which a server closes what we are about to reuse small.
 *
 * HTTP/1.1 only: with one request on a connection, a connection that breaks
 * makes one call unknown, not all that shared it.
 *
 * Nothing in here may call Postgres: libcurl's frames are on the stack.
 *
 * src/net/http_call.c
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_call.h"

#define DEFAULT_CONNECT_TIMEOUT_MS	5000
#define DEFAULT_TOTAL_TIMEOUT_MS	15000
#define DEFAULT_MAX_ANSWER			((size_t) 1024 * 1024)
#define MAX_HEADER_BYTES			((size_t) 64 * 1024)
#define MAX_URL						((size_t) 8192)

/*
 * Seconds after which an idle connection is not reused.  Common servers and
 * load balancers close theirs after 15 to 75.
 */
#define CONN_MAX_IDLE				14L

static bool parse_target(CURLU *url, const char *text, bool allow_plain,
						 HttpTarget *target, char *err, size_t errsize);
static bool is_loopback_name(const char *host);
static bool is_loopback_address(const struct sockaddr *addr);
static bool request_is_clean(const HttpRequest *request, char *err, size_t errsize);
static bool header_is_clean(const HttpHeader *header);
static bool set_constants(HttpCall *call);
static bool set_method(HttpCall *call, const HttpRequest *request);
static bool set_headers(HttpCall *call, const HttpRequest *request);
static bool add_header_line(HttpCall *call, const char *line);
static void describe_failure(HttpCall *call, CURLcode rc);
static size_t on_body(char *data, size_t size, size_t nmemb, void *arg);
static size_t on_header(char *data, size_t size, size_t nmemb, void *arg);
static int	on_request(void *arg, char *primary_ip, char *local_ip, int primary_port,
					   int local_port);
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr);
static int	on_close_socket(void *arg, curl_socket_t fd);

/* ---- lists ---- */

void
http_call_append(HttpCallList *list, HttpCall *call)
{
	call->prev = list->tail;
	call->next = NULL;
	if (list->tail)
		list->tail->next = call;
	else
		list->head = call;
	list->tail = call;
	list->count++;
}

void
http_call_remove(HttpCallList *list, HttpCall *call)
{
	if (call->prev)
		call->prev->next = call->next;
	else
		list->head = call->next;
	if (call->next)
		call->next->prev = call->prev;
	else
		list->tail = call->prev;
	call->prev = call->next = NULL;
	list->count--;
}

/* ---- what may be sent at all ---- */

bool
http_call_target(const HttpClientOptions *options, const HttpRequest *request,
				 HttpTarget *target, char *err, size_t errsize)
{
	CURLU	   *url;
	bool		ok;

	memset(target, 0, sizeof(*target));
	if (!request_is_clean(request, err, errsize))
		return false;
	url = curl_url();
	if (url == NULL)
	{
		snprintf(err, errsize, "out of memory");
		return false;
	}
	ok = parse_target(url, buf_str(&request->url), options->allow_plain_loopback,
					  target, err, errsize);
	curl_url_cleanup(url);
	return ok;
}

/* Errors name the host at most: a URL may carry a phone number. */
static bool
parse_target(CURLU *url, const char *text, bool allow_plain,
			 HttpTarget *target, char *err, size_t errsize)
{
	char	   *scheme = NULL;
	char	   *host = NULL;
	char	   *port = NULL;
	bool		ok = false;
	int			n = 0;

	if (curl_url_set(url, CURLUPART_URL, text, CURLU_PATH_AS_IS | CURLU_DISALLOW_USER) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
		snprintf(err, errsize, "the URL cannot be read");
	else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
		snprintf(err, errsize, "the URL must begin with https://");
	else if (strcmp(scheme, "http") == 0 && !(allow_plain && is_loopback_name(host)))
		snprintf(err, errsize, "plain http is refused for host \"%.100s\"", host);
	else
	{
		n = snprintf(target->key, sizeof(target->key), "%s://%s:%s", scheme, host, port);
		ok = n > 0 && (size_t) n < sizeof(target->key);
		if (!ok)
			snprintf(err, errsize, "the URL's host name is too long");
		target->plain = strcmp(scheme, "http") == 0;
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	return ok;
}

/* 127.0.0.0/8, [::1] and localhost, as libcurl normalises them. */
static bool
is_loopback_name(const char *host)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, host, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	return strcmp(host, "[::1]") == 0 || strcasecmp(host, "localhost") == 0;
}

static bool
is_loopback_address(const struct sockaddr *addr)
{
	if (addr->sa_family == AF_INET)
		return (ntohl(((const struct sockaddr_in *) addr)->sin_addr.s_addr) >> 24) == 127;
	if (addr->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *) addr)->sin6_addr);
	return false;
}

/*
 * What a signature was made over must be what is sent, so whatever libcurl
 * would have to encode, split or drop is refused instead.
 */
static bool
request_is_clean(const HttpRequest *request, char *err, size_t errsize)
{
	const Buf  *url = &request->url;
	size_t		i;
	int			h;

	if (url->failed || request->body.failed || request->headers.overflow)
	{
		snprintf(err, errsize, "the request is incomplete");
		return false;
	}
	if (url->len == 0 || url->len > MAX_URL)
	{
		snprintf(err, errsize, "the URL is empty or longer than %zu bytes", MAX_URL);
		return false;
	}
	for (i = 0; i < url->len; i++)
		if (url->data[i] <= ' ' || url->data[i] > '~' || url->data[i] == '#')
		{
			snprintf(err, errsize, "the URL has a character that must be encoded");
			return false;
		}
	for (i = 0; i < sizeof(request->method) && request->method[i] >= 'A' &&
		 request->method[i] <= 'Z'; i++)
		;
	if (i == 0 || i == sizeof(request->method) || request->method[i] != '\0')
	{
		snprintf(err, errsize, "the method is not a word in capitals");
		return false;
	}
	for (h = 0; h < request->headers.count; h++)
		if (!header_is_clean(&request->headers.item[h]))
		{
			snprintf(err, errsize, "a request header is malformed or not the caller's to set");
			return false;
		}
	return true;
}

static bool
header_is_clean(const HttpHeader *header)
{
	static const char *const framing[] = {"content-length", "transfer-encoding",
	"connection", "expect", "upgrade", NULL};
	const char *p;
	int			i;

	if (header->name[0] == '\0')
		return false;
	for (p = header->name; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("\"(),/:;<=>?@[\\]{}", *p) != NULL)
			return false;
	for (p = header->value; *p; p++)
		if (((unsigned char) *p < ' ' && *p != '\t') || *p == 0x7f)
			return false;
	for (i = 0; framing[i]; i++)
		if (strcasecmp(header->name, framing[i]) == 0)
			return false;
	return true;
}

/* ---- setting up ---- */

HttpCall *
http_call_create(const HttpClientOptions *options)
{
	HttpCall   *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->options = options;
	call->easy = curl_easy_init();
	if (call->easy == NULL || !set_constants(call))
	{
		http_call_free(call);
		return NULL;
	}
	return call;
}

#define SET(call, option, value) \
	(curl_easy_setopt((call)->easy, (option), (value)) == CURLE_OK)

/* What is the same for every request that this handle will carry. */
static bool
set_constants(HttpCall *call)
{
	const HttpClientOptions *o = call->options;

	if (o->ca_file && !SET(call, CURLOPT_CAINFO, o->ca_file))
		return false;
	if (o->user_agent && !SET(call, CURLOPT_USERAGENT, o->user_agent))
		return false;
	return SET(call, CURLOPT_PRIVATE, (void *) call) &&
		SET(call, CURLOPT_ERRORBUFFER, call->errbuf) &&
		SET(call, CURLOPT_NOSIGNAL, 1L) &&
		SET(call, CURLOPT_NOPROGRESS, 1L) &&
		SET(call, CURLOPT_FOLLOWLOCATION, 0L) &&
		SET(call, CURLOPT_PROXY, "") &&
		SET(call, CURLOPT_PATH_AS_IS, 1L) &&
		SET(call, CURLOPT_SSL_VERIFYPEER, 1L) &&
		SET(call, CURLOPT_SSL_VERIFYHOST, 2L) &&
		SET(call, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2) &&
		SET(call, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1) &&
		SET(call, CURLOPT_HTTP09_ALLOWED, 0L) &&
		SET(call, CURLOPT_ACCEPT_ENCODING, (char *) NULL) &&
		SET(call, CURLOPT_HTTP_CONTENT_DECODING, 0L) &&
		SET(call, CURLOPT_TCP_KEEPALIVE, 1L) &&
		SET(call, CURLOPT_MAXAGE_CONN, CONN_MAX_IDLE) &&
		/* or removing a handle would wait for the resolver's thread */
		SET(call, CURLOPT_QUICK_EXIT, 1L) &&
		SET(call, CURLOPT_WRITEFUNCTION, on_body) &&
		SET(call, CURLOPT_WRITEDATA, (void *) call) &&
		SET(call, CURLOPT_HEADERFUNCTION, on_header) &&
		SET(call, CURLOPT_HEADERDATA, (void *) call) &&
		SET(call, CURLOPT_PREREQFUNCTION, on_request) &&
		SET(call, CURLOPT_PREREQDATA, (void *) call) &&
		SET(call, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) &&
		SET(call, CURLOPT_OPENSOCKETDATA, (void *) call) &&
		/* a connection outlives the call that opened it */
		SET(call, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket) &&
		SET(call, CURLOPT_CLOSESOCKETDATA, (void *) o);
}

bool
http_call_prepare(HttpCall *call, const HttpRequest *request, const HttpTarget *target,
				  char *err, size_t errsize)
{
	int			connect_ms = request->connect_timeout_ms > 0 ?
		request->connect_timeout_ms : DEFAULT_CONNECT_TIMEOUT_MS;
	int			total_ms = request->total_timeout_ms > 0 ?
		request->total_timeout_ms : DEFAULT_TOTAL_TIMEOUT_MS;

	call->plain = target->plain;
	call->total_timeout_ms = total_ms;
	call->max_answer = request->max_answer ? request->max_answer : DEFAULT_MAX_ANSWER;
	call->answer.body.limit = call->max_answer;
	call->sink_fd = request->sink_fd;
	if (SET(call, CURLOPT_URL, buf_str(&request->url)) &&
		SET(call, CURLOPT_PROTOCOLS_STR, target->plain ? "http" : "https") &&
		SET(call, CURLOPT_CONNECTTIMEOUT_MS, (long) connect_ms) &&
		SET(call, CURLOPT_TIMEOUT_MS, (long) total_ms) &&
		SET(call, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) call->max_answer) &&
		set_method(call, request) &&
		set_headers(call, request))
		return true;
	snprintf(err, errsize, "the request cannot be set up (out of memory?)");
	return false;
}

static bool
set_method(HttpCall *call, const HttpRequest *request)
{
	/* this also forgets what the handle's last request had set */
	if (!SET(call, CURLOPT_HTTPGET, 1L) ||
		!SET(call, CURLOPT_CUSTOMREQUEST, (char *) NULL))
		return false;
	if (request->body.len == 0 && strcmp(request->method, "GET") == 0)
		return true;
	if (strcmp(request->method, "HEAD") == 0)
		return SET(call, CURLOPT_NOBODY, 1L);

	if (request->body.len > 0 || strcmp(request->method, "POST") == 0)
	{
		/* the size comes first: COPYPOSTFIELDS copies that many bytes */
		if (!SET(call, CURLOPT_POST, 1L) ||
			!SET(call, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body.len) ||
			!SET(call, CURLOPT_COPYPOSTFIELDS, buf_str(&request->body)))
			return false;
	}
	if (strcmp(request->method, "POST") == 0)
		return true;
	return SET(call, CURLOPT_CUSTOMREQUEST, request->method);
}

static bool
set_headers(HttpCall *call, const HttpRequest *request)
{
	Buf			line = BUF_INIT;
	bool		ok = true;
	int			i;

	for (i = 0; ok && i < request->headers.count; i++)
	{
		const HttpHeader *h = &request->headers.item[i];

		/* libcurl's spelling: "Name;" sends it empty, "Name:" drops it */
		buf_reset(&line);
		if (h->value[strspn(h->value, " \t")] == '\0')
			buf_addf(&line, "%s;", h->name);
		else
			buf_addf(&line, "%s: %s", h->name, h->value);
		ok = !line.failed && add_header_line(call, buf_str(&line));
	}
	buf_free(&line);

	/* what libcurl would add by itself, and a signature did not cover */
	if (ok && http_header_get(&request->headers, "Content-Type") == NULL)
		ok = add_header_line(call, "Content-Type:");
	return ok && add_header_line(call, "Expect:") &&
		SET(call, CURLOPT_HTTPHEADER, call->headers);
}

static bool
add_header_line(HttpCall *call, const char *line)
{
	struct curl_slist *list = curl_slist_append(call->headers, line);

	if (list == NULL)
		return false;
	call->headers = list;
	return true;
}

/* ---- callbacks ---- */

/* A file takes what it is given, or the disk is full. */
static size_t
sink(HttpCall *call, const char *data, size_t len)
{
	size_t		done = 0;

	if ((size_t) call->answer.sunk + len > call->max_answer)
	{
		call->too_large = true;
		return 0;
	}
	while (done < len)
	{
		ssize_t		n = write(call->sink_fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			call->sink_failed = true;
			return 0;
		}
		done += (size_t) n;
	}
	call->answer.sunk += (int64_t) len;
	return len;
}

static size_t
on_body(char *data, size_t size, size_t nmemb, void *arg)
{
	HttpCall   *call = arg;
	long		status = 0;

	if (call->sink_fd > 0 &&
		curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 200)
		return sink(call, data, size * nmemb);
	buf_add(&call->answer.body, data, size * nmemb);
	if (!call->answer.body.failed)
		return size * nmemb;
	call->too_large = true;
	return 0;					/* a short count ends the transfer */
}

/*
 * Called for each line, of interim answers (1xx) and trailers too.  A status
 * line starts afresh; what follows the final header's blank line is ignored,
 * lest a trailer pass for a header.
 */
static size_t
on_header(char *data, size_t size, size_t nmemb, void *arg)
{
	HttpCall   *call = arg;
	size_t		len = size * nmemb;
	size_t		given = len;
	const char *colon;
	const char *value;
	long		status = 0;

	call->header_bytes += len;
	if (call->header_bytes > MAX_HEADER_BYTES)
	{
		call->too_large = true;
		return 0;
	}
	while (len > 0 && (data[len - 1] == '\r' || data[len - 1] == '\n'))
		len--;
	if (call->head_done)
		return given;
	if (len == 0)
	{
		curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
		call->head_done = status >= 200;
		return given;
	}
	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
	{
		http_headers_free(&call->answer.headers);
		return given;
	}
	colon = memchr(data, ':', len);
	if (colon == NULL || colon == data)
		return given;
	value = colon + 1;
	while (value < data + len && (*value == ' ' || *value == '\t'))
		value++;
	while (data + len > value && (data[len - 1] == ' ' || data[len - 1] == '\t'))
		len--;
	if (!http_header_add_n(&call->answer.headers, data, (size_t) (colon - data),
						   value, (size_t) (data + len - value)))
	{
		call->too_large = true;
		return 0;
	}
	return given;
}

/* The connection stands; the request is about to be written. */
static int
on_request(void *arg, char *primary_ip, char *local_ip, int primary_port, int local_port)
{
	HttpCall   *call = arg;

	(void) primary_ip;
	(void) local_ip;
	(void) primary_port;
	(void) local_port;
	if (call->may_have_left)
	{
		call->resend_stopped = true;
		return CURL_PREREQFUNC_ABORT;
	}
	call->may_have_left = true;
	return CURL_PREREQFUNC_OK;
}

static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
	HttpCall   *call = arg;
	const HttpClientOptions *o = call->options;
	int			fd;

	/* "localhost" may have been given another address */
	if (purpose != CURLSOCKTYPE_IPCXN ||
		(call->plain && !is_loopback_address(&addr->addr)))
		return CURL_SOCKET_BAD;
	if (o->address_allowed && !o->address_allowed(&addr->addr))
	{
		call->address_refused = true;
		return CURL_SOCKET_BAD;
	}
	if (o->acquire_fd && !o->acquire_fd())
		return CURL_SOCKET_BAD;
	fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
	if (fd < 0)
	{
		if (o->release_fd)
			o->release_fd();
		return CURL_SOCKET_BAD;
	}
	return fd;
}

static int
on_close_socket(void *arg, curl_socket_t fd)
{
	const HttpClientOptions *o = arg;
	int			rc = close(fd);

	if (o->release_fd)
		o->release_fd();
	return rc;
}

/* ---- the end of a call ---- */

void
http_call_finish(HttpCall *call, CURLcode rc)
{
	HttpAnswer *a = &call->answer;
	curl_off_t	total = 0;
	curl_off_t	connected = 0;
	long		connects = 0;
	long		status = 0;
	long		written = 0;

	curl_easy_getinfo(call->easy, CURLINFO_TOTAL_TIME_T, &total);
	curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &connects);
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &written);
	curl_easy_getinfo(call->easy,
					  call->plain ? CURLINFO_CONNECT_TIME_T : CURLINFO_APPCONNECT_TIME_T,
					  &connected);
	a->total_us = total;
	a->connect_us = connects > 0 ? connected : 0;

	if (rc == CURLE_OK && status >= 200 && status <= 999 && call->may_have_left &&
		!call->too_large && !a->headers.overflow && !a->body.failed)
	{
		a->outcome = HTTP_ANSWERED;
		a->status = (int) status;
		return;
	}
	/* the second condition cannot hold without the first; money says: look */
	a->outcome = call->may_have_left || written > 0 ? HTTP_SENT_UNKNOWN : HTTP_NOT_SENT;
	a->status = 0;
	describe_failure(call, rc);

	/* half an answer must not be taken for one */
	http_headers_free(&a->headers);
	buf_free(&a->body);
}

static void
describe_failure(HttpCall *call, CURLcode rc)
{
	HttpAnswer *a = &call->answer;
	const char *words = call->errbuf[0] ? call->errbuf : curl_easy_strerror(rc);
	char	   *p;

	if (a->outcome == HTTP_NOT_SENT && call->address_refused)
		snprintf(a->error, sizeof(a->error), "not sent: the host's address is in a private network");
	else if (a->outcome == HTTP_NOT_SENT)
		snprintf(a->error, sizeof(a->error), "not sent: %.140s", words);
	else if (call->resend_stopped)
		snprintf(a->error, sizeof(a->error),
				 "the connection was closed before an answer came");
	else if (call->sink_failed)
		snprintf(a->error, sizeof(a->error), "the answer could not be written to a file (disk full?)");
	else if (call->too_large || rc == CURLE_FILESIZE_EXCEEDED)
		snprintf(a->error, sizeof(a->error), "answer too large");
	else if (rc == CURLE_OPERATION_TIMEDOUT)
		snprintf(a->error, sizeof(a->error), "no complete answer within %d ms",
				 call->total_timeout_ms);
	else
		snprintf(a->error, sizeof(a->error), "no complete answer: %.130s", words);
	for (p = a->error; *p; p++)
		if ((unsigned char) *p < ' ' || (unsigned char) *p > '~')
			*p = '?';
}

void
http_call_clear(HttpCall *call)
{
	http_answer_free(&call->answer);
	http_answer_init(&call->answer);
	curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(call->headers);
	call->headers = NULL;
	call->host = NULL;
	call->ticket = NULL;
	call->header_bytes = 0;
	call->may_have_left = false;
	call->resend_stopped = false;
	call->too_large = false;
	call->sink_failed = false;
	call->sink_fd = 0;
	call->address_refused = false;
	call->head_done = false;
	call->errbuf[0] = '\0';
}

void
http_call_free(HttpCall *call)
{
	if (call == NULL)
		return;
	if (call->easy)
		curl_easy_cleanup(call->easy);
	curl_slist_free_all(call->headers);
	http_answer_free(&call->answer);
	free(call);
}
