/*-------------------------------------------------------------------------
 *
 * http_arrival.c
 *	  How a request comes in: its bounds, its copy, its place in the queue.
 *
 * libmicrohttpd calls http_arrival_line() when it has the request line, then
 * http_arrival_step() once with the header, with pieces of the body, and once
 * more at the end.  There the connection is suspended and the request queued.
 * http_server_answer() leaves the answer with the request and resumes the
 * connection, whereupon http_arrival_step() is called a last time.
 *
 * A request that breaks a bound is answered from here and never handed out.
 * One whose body is too large is first read to its end, up to DRAIN_MAX: a
 * socket closed with unread bytes sends a reset, and the client would never
 * see the 413.
 *
 * src/net/http_arrival.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "net/http_arrival.h"

#define DRAIN_MAX	((uint64_t) 16 * 1024 * 1024)

static enum MHD_Result begin_request(HttpServerRequest *r, const char *url, const char *method);
static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind,
								   const char *name, size_t name_len,
								   const char *value, size_t value_len);
static int	judge_header(HttpServerRequest *r, const char *url, const char *method,
						 uint64_t *declared);
static enum MHD_Result take_body(HttpServerRequest *r, const char *data, size_t size);
static enum MHD_Result end_request(HttpServerRequest *r);
static enum MHD_Result refuse(HttpServerRequest *r, int status);
static void request_free(HttpServerRequest *r);

/* The request line is complete; what is returned becomes the context. */
void *
http_arrival_line(void *arg, const char *uri, struct MHD_Connection *connection)
{
	HttpServer *server = arg;
	const union MHD_ConnectionInfo *info;
	HttpServerRequest *r;

	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	if (info->socket_context == NULL)
		return NULL;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->server = server;
	r->conn = info->socket_context;
	r->connection = connection;
	r->body.limit = server->conns.options.max_body;
	/* decoded, it would end the path early */
	if (strstr(uri, "%00") != NULL)
		r->refusal = MHD_HTTP_BAD_REQUEST;
	http_conn_move(&server->conns, r->conn, CONN_ARRIVING);
	return r;
}

enum MHD_Result
http_arrival_step(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **context)
{
	HttpServerRequest *r = *context;
	enum MHD_Result result;

	(void) arg;
	(void) connection;
	(void) version;
	if (r == NULL || r->conn->state == CONN_DOOMED)
		return MHD_NO;
	if (!r->begun)
	{
		r->begun = true;
		return begin_request(r, url, method);
	}
	if (*size > 0)
	{
		result = take_body(r, data, *size);
		*size = 0;
		return result;
	}
	if (!r->answered)
		return end_request(r);
	if (r->response == NULL)
		return MHD_NO;
	return MHD_queue_response(r->connection, (unsigned int) r->status, r->response);
}

/* Also called for a request that never became complete. */
void
http_arrival_completed(void *arg, struct MHD_Connection *connection, void **context,
					   enum MHD_RequestTerminationCode code)
{
	HttpServer *server = arg;
	HttpServerRequest *r = *context;

	(void) connection;
	(void) code;
	if (r == NULL)
		return;
	http_conn_move(&server->conns, r->conn, CONN_IDLE);
	request_free(r);
	*context = NULL;
}

static enum MHD_Result
begin_request(HttpServerRequest *r, const char *url, const char *method)
{
	uint64_t	declared = 0;
	const char *expect;
	int			status;

	MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, take_header, r);
	status = judge_header(r, url, method, &declared);
	if (r->refusal == 0)
		r->refusal = status;
	if (r->refusal == 0 && declared > r->server->conns.options.max_body)
		r->refusal = MHD_HTTP_CONTENT_TOO_LARGE;
	if (r->refusal == 0)
		return MHD_YES;

	/* a client that waits for "100 Continue" need not send its body at all */
	expect = http_header_get(&r->headers, "Expect");
	if (r->refusal != MHD_HTTP_CONTENT_TOO_LARGE || expect != NULL || declared > DRAIN_MAX)
		return refuse(r, r->refusal);
	return MHD_YES;
}

static enum MHD_Result
take_header(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_len,
			const char *value, size_t value_len)
{
	HttpServerRequest *r = arg;

	(void) kind;
	while (value_len > 0 && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t'))
		value_len--;
	http_header_add_n(&r->headers, name, name_len, value ? value : "", value_len);
	return r->headers.overflow ? MHD_NO : MHD_YES;
}

/*
 * 0, or the status to refuse with.  Two lengths, or a length and chunks, are
 * refused because a proxy before us may have believed the other one.
 */
static int
judge_header(HttpServerRequest *r, const char *url, const char *method, uint64_t *declared)
{
	size_t		size = strlen(method) + strlen(url);
	int			lengths = 0;
	bool		encoded = false;
	int			i;

	for (i = 0; i < r->headers.count; i++)
	{
		const HttpHeader *h = &r->headers.item[i];

		size += strlen(h->name) + strlen(h->value) + 4;
		if (strcasecmp(h->name, "Content-Length") == 0)
		{
			lengths++;
			*declared = strtoull(h->value, NULL, 10);
		}
		if (strcasecmp(h->name, "Transfer-Encoding") == 0)
			encoded = true;
	}
	if (r->headers.overflow || size > r->server->conns.options.max_header)
		return MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
	if (lengths > 1 || (lengths == 1 && encoded))
		return MHD_HTTP_BAD_REQUEST;
	if (!str_copy(r->method, sizeof(r->method), method))
		return MHD_HTTP_NOT_IMPLEMENTED;
	r->path = strdup(url);
	return r->path ? 0 : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static enum MHD_Result
take_body(HttpServerRequest *r, const char *data, size_t size)
{
	r->received += size;
	if (r->received > DRAIN_MAX && r->received > r->server->conns.options.max_body)
	{
		r->server->conns.stats.too_large++;
		return MHD_NO;
	}
	if (r->refusal == 0)
		buf_add(&r->body, data, size);
	if (r->body.failed)
	{
		r->refusal = r->received > r->server->conns.options.max_body ?
			MHD_HTTP_CONTENT_TOO_LARGE : MHD_HTTP_SERVICE_UNAVAILABLE;
		buf_free(&r->body);
	}
	return MHD_YES;
}

static enum MHD_Result
end_request(HttpServerRequest *r)
{
	HttpServer *server = r->server;
	struct timespec ts;

	if (r->refusal != 0)
		return refuse(r, r->refusal);
	if (server->stopping)
		return refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE);
	clock_gettime(CLOCK_REALTIME, &ts);
	r->arrived_us = (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	r->conn->request = r;
	http_conn_move(&server->conns, r->conn, CONN_WAITING);
	if (server->ready_tail)
		server->ready_tail->next = r;
	else
		server->ready_head = r;
	server->ready_tail = r;
	MHD_suspend_connection(r->connection);
	return MHD_YES;
}

/* Answer without asking anybody, and close. */
static enum MHD_Result
refuse(HttpServerRequest *r, int status)
{
	HttpServerStats *stats = &r->server->conns.stats;
	struct MHD_Response *response;
	enum MHD_Result result;

	if (status == MHD_HTTP_CONTENT_TOO_LARGE ||
		status == MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE)
		stats->too_large++;
	else if (status == MHD_HTTP_BAD_REQUEST || status == MHD_HTTP_NOT_IMPLEMENTED)
		stats->malformed++;
	response = MHD_create_response_from_buffer(0, (void *) "", MHD_RESPMEM_PERSISTENT);
	if (response == NULL)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	http_conn_move(&r->server->conns, r->conn, CONN_ANSWERING);
	result = MHD_queue_response(r->connection, (unsigned int) status, response);
	MHD_destroy_response(response);
	return result;
}

static void
request_free(HttpServerRequest *r)
{
	if (r->response)
		MHD_destroy_response(r->response);
	free(r->path);
	http_headers_free(&r->headers);
	buf_free(&r->body);
	free(r);
}
