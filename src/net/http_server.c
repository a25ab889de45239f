/*-------------------------------------------------------------------------
 *
 * http_server.c
 *	  An HTTP server whose requests wait for an answer; see http_server.h.
 *
 * Starting, running, handing out and answering; http_arrival.c takes requests
 * in, http_conn.c looks after the connections, libmicrohttpd parses.
 *
 * Nothing in these files may call Postgres: libmicrohttpd's frames are on the
 * stack.
 *
 * src/net/http_server.c
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_arrival.h"

#define DEFAULT_MAX_CONNECTIONS		1000
#define DEFAULT_MAX_HEADER			((size_t) 16 * 1024)
#define DEFAULT_MAX_BODY			((size_t) 256 * 1024)
#define DEFAULT_REQUEST_TIMEOUT_MS	10000
#define DEFAULT_IDLE_TIMEOUT_MS		60000

/* What libmicrohttpd needs of a connection's pool beside the header's bytes. */
#define POOL_OVERHEAD				((size_t) 8 * 1024)
#define OWN_DESCRIPTORS				4	/* listening socket, two epolls, wake-up */
#define LISTEN_BACKLOG				511
#define TLS_PRIORITIES				"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

static void take_options(HttpServer *server, const HttpServerOptions *options);
static bool take_descriptors(HttpServer *server);
static void give_back_descriptors(HttpServer *server);
static int	listen_on(HttpServer *server, char *err, size_t errsize);
static bool make_address(const HttpServerOptions *options, struct sockaddr_storage *addr,
						 socklen_t *len);
static struct MHD_Daemon *start_daemon(HttpServer *server, int listener);
static void answer_waiting(HttpServer *server);
static void on_log(void *arg, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_connection(void *arg, struct MHD_Connection *connection, void **socket_context,
						  enum MHD_ConnectionNotificationCode code);

/* ---- starting and stopping ---- */

HttpServer *
http_server_start(const HttpServerOptions *options, char *err, size_t errsize)
{
	HttpServer *server = calloc(1, sizeof(*server));
	const union MHD_DaemonInfo *info;
	int			listener;

	if (server == NULL)
	{
		snprintf(err, errsize, "out of memory");
		return NULL;
	}
	take_options(server, options);
	listener = listen_on(server, err, errsize);
	if (listener < 0)
	{
		free(server);
		return NULL;
	}
	if (!take_descriptors(server))
		snprintf(server->complaint, sizeof(server->complaint), "too few file descriptors");
	else
		server->daemon = start_daemon(server, listener);
	if (server->daemon == NULL)
	{
		snprintf(err, errsize, "cannot start the HTTP server: %s",
				 server->complaint[0] ? server->complaint : "no reason given");
		close(listener);
		give_back_descriptors(server);
		free(server);
		return NULL;
	}
	/* PEM contents are the caller's, and not needed any more */
	server->conns.options.tls_certificate = server->conns.options.tls_key = NULL;
	server->conns.options.address = NULL;
	info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	server->epfd = info->epoll_fd;
	return server;
}

static void
take_options(HttpServer *server, const HttpServerOptions *options)
{
	HttpServerOptions *o = &server->conns.options;

	*o = *options;
	if (o->max_connections <= 0)
		o->max_connections = DEFAULT_MAX_CONNECTIONS;
	if (o->max_header == 0)
		o->max_header = DEFAULT_MAX_HEADER;
	if (o->max_body == 0)
		o->max_body = DEFAULT_MAX_BODY;
	if (o->request_timeout_ms <= 0)
		o->request_timeout_ms = DEFAULT_REQUEST_TIMEOUT_MS;
	if (o->idle_timeout_ms <= 0)
		o->idle_timeout_ms = DEFAULT_IDLE_TIMEOUT_MS;
	server->conns.now_ms = http_conn_clock_ms();
}

static bool
take_descriptors(HttpServer *server)
{
	while (server->conns.options.acquire_fd && server->descriptors < OWN_DESCRIPTORS)
	{
		if (!server->conns.options.acquire_fd())
			return false;
		server->descriptors++;
	}
	return true;
}

static void
give_back_descriptors(HttpServer *server)
{
	for (; server->descriptors > 0; server->descriptors--)
		if (server->conns.options.release_fd)
			server->conns.options.release_fd();
}

/* Our own socket, so that the address and its errors are ours. */
static int
listen_on(HttpServer *server, char *err, size_t errsize)
{
	const HttpServerOptions *o = &server->conns.options;
	struct sockaddr_storage addr;
	socklen_t	len;
	int			on = 1;
	int			fd;

	if (!make_address(o, &addr, &len))
	{
		snprintf(err, errsize, "\"%.60s\" port %d is not an IPv4 or IPv6 address and a port",
				 o->address ? o->address : "", o->port);
		return -1;
	}
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
		(addr.ss_family != AF_INET6 ||
		 setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
		bind(fd, (struct sockaddr *) &addr, len) == 0 &&
		listen(fd, LISTEN_BACKLOG) == 0 &&
		getsockname(fd, (struct sockaddr *) &addr, &len) == 0)
	{
		server->port = ntohs(addr.ss_family == AF_INET6 ?
							 ((struct sockaddr_in6 *) &addr)->sin6_port :
							 ((struct sockaddr_in *) &addr)->sin_port);
		return fd;
	}
	snprintf(err, errsize, "cannot listen on %s port %d: %s",
			 o->address, o->port, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool
make_address(const HttpServerOptions *options, struct sockaddr_storage *addr, socklen_t *len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *) addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) addr;

	memset(addr, 0, sizeof(*addr));
	if (options->address == NULL || options->port < 0 || options->port > 65535)
		return false;
	if (inet_pton(AF_INET, options->address, &v4->sin_addr) == 1)
	{
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t) options->port);
		*len = sizeof(*v4);
		return true;
	}
	if (inet_pton(AF_INET6, options->address, &v6->sin6_addr) == 1)
	{
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t) options->port);
		*len = sizeof(*v6);
		return true;
	}
	return false;
}

/*
 * libmicrohttpd's own time-out stays off: http_conn.c has stricter ones.  The
 * logger comes first, or the options before it would complain to stderr.
 */
static struct MHD_Daemon *
start_daemon(HttpServer *server, int listener)
{
	const HttpServerOptions *o = &server->conns.options;
	unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *) o->tls_certificate},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, (void *) o->tls_key},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *) TLS_PRIORITIES},
		{MHD_OPTION_END, 0, NULL}
	};

	if (o->tls_certificate && o->tls_key)
		flags |= MHD_USE_TLS;
	else if (o->tls_certificate || o->tls_key)
	{
		snprintf(server->complaint, sizeof(server->complaint),
				 "TLS needs both a certificate and a key");
		return NULL;
	}
	else
		tls[0].option = MHD_OPTION_END;
	return MHD_start_daemon(flags, 0, NULL, NULL, http_arrival_step, server,
							MHD_OPTION_EXTERNAL_LOGGER, on_log, server,
							MHD_OPTION_LISTEN_SOCKET, listener,
							MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
							MHD_OPTION_STRICT_FOR_CLIENT, 1,
							MHD_OPTION_CONNECTION_LIMIT, (unsigned int) o->max_connections,
							MHD_OPTION_CONNECTION_TIMEOUT, 0u,
							MHD_OPTION_CONNECTION_MEMORY_LIMIT, o->max_header + POOL_OVERHEAD,
							MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
							MHD_OPTION_URI_LOG_CALLBACK, http_arrival_line, server,
							MHD_OPTION_NOTIFY_COMPLETED, http_arrival_completed, server,
							MHD_OPTION_ARRAY, tls,
							MHD_OPTION_END);
}

/* libmicrohttpd does not allow a suspended connection at its end. */
void
http_server_stop(HttpServer *server)
{
	int			i;

	if (server == NULL)
		return;
	server->stopping = true;
	server->ready_head = server->ready_tail = NULL;
	for (i = 0; i < 3; i++)
	{
		answer_waiting(server);
		MHD_run(server->daemon);
	}
	answer_waiting(server);
	MHD_stop_daemon(server->daemon);	/* closes the listening socket too */
	give_back_descriptors(server);
	free(server);
}

static void
answer_waiting(HttpServer *server)
{
	HttpConn   *conn;

	while ((conn = server->conns.list[CONN_WAITING].head) != NULL)
		http_server_answer(server, conn->request, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, NULL, 0);
}

/* ---- running ---- */

int
http_server_port(const HttpServer *server)
{
	return server->port;
}

int
http_server_fd(HttpServer *server)
{
	return server->epfd;
}

int64_t
http_server_timeout_ms(HttpServer *server)
{
	MHD_UNSIGNED_LONG_LONG theirs;
	int64_t		timeout = -1;
	int64_t		due;

	if (server->ready_head || server->resumed)
		return 0;
	if (MHD_get_timeout(server->daemon, &theirs) == MHD_YES)
		timeout = theirs > INT32_MAX ? INT32_MAX : (int64_t) theirs;
	due = http_conn_next_expiry_ms(&server->conns);
	if (due >= 0)
	{
		int64_t		left = due - http_conn_clock_ms();

		if (left < 0)
			left = 0;
		if (timeout < 0 || left < timeout)
			timeout = left;
	}
	return timeout;
}

void
http_server_run(HttpServer *server)
{
	HttpConns  *conns = &server->conns;
	bool		was_full = conns->stats.open >= conns->options.max_connections;

	conns->now_ms = http_conn_clock_ms();
	server->resumed = false;
	MHD_run(server->daemon);

	/*
	 * At its limit libmicrohttpd takes the listening socket out of its epoll
	 * set, and puts it back only at the beginning of a round.
	 */
	if (was_full && conns->stats.open < conns->options.max_connections)
		MHD_run(server->daemon);
	http_conn_expire(conns);
}

HttpServerRequest *
http_server_next(HttpServer *server)
{
	HttpServerRequest *r = server->ready_head;

	if (r == NULL)
		return NULL;
	server->ready_head = r->next;
	if (server->ready_head == NULL)
		server->ready_tail = NULL;
	r->next = NULL;
	server->conns.stats.requests++;
	return r;
}

const char *
http_server_request_method(const HttpServerRequest *r)
{
	return r->method;
}

const char *
http_server_request_path(const HttpServerRequest *r)
{
	return r->path;
}

const HttpHeaders *
http_server_request_headers(const HttpServerRequest *r)
{
	return &r->headers;
}

const Buf *
http_server_request_body(const HttpServerRequest *r)
{
	return &r->body;
}

int64_t
http_server_request_arrived_us(const HttpServerRequest *r)
{
	return r->arrived_us;
}

/* Without a response (out of memory) the connection is closed instead. */
void
http_server_answer(HttpServer *server, HttpServerRequest *r, int status,
				   const char *content_type, const void *body, size_t len)
{
	if (content_type == NULL)
		len = 0;
	r->answered = true;
	r->status = status >= 200 && status <= 599 ? status : MHD_HTTP_INTERNAL_SERVER_ERROR;
	r->response = MHD_create_response_from_buffer(len, len > 0 ? (void *) body : (void *) "",
												  MHD_RESPMEM_MUST_COPY);
	if (r->response && content_type)
		MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	if (r->response && server->stopping)
		MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONNECTION, "close");
	r->conn->request = NULL;
	http_conn_move(&server->conns, r->conn, CONN_ANSWERING);
	server->resumed = true;
	MHD_resume_connection(r->connection);
}

void
http_server_stats(const HttpServer *server, HttpServerStats *out)
{
	*out = server->conns.stats;
}

/* ---- libmicrohttpd's callbacks: connections ---- */

/*
 * Nothing is logged, for strangers choose what would be.  But what
 * libmicrohttpd refuses by itself it tells nobody but its logger, and we
 * count it.
 */
static void
on_log(void *arg, const char *fmt, va_list ap)
{
	static const char refused[] = "Error processing request (HTTP response code is %u";
	HttpServer *server = arg;
	HttpServerStats *stats = &server->conns.stats;

	if (server->daemon == NULL)
	{
		vsnprintf(server->complaint, sizeof(server->complaint), fmt, ap);
		server->complaint[strcspn(server->complaint, "\r\n")] = '\0';
	}
	else if (strncmp(fmt, refused, sizeof(refused) - 1) == 0)
	{
		unsigned int status = va_arg(ap, unsigned int);

		if (status == 413 || status == 414 || status == 431)
			stats->too_large++;
		else
			stats->malformed++;
	}
}

static void
on_connection(void *arg, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	HttpServer *server = arg;
	const union MHD_ConnectionInfo *fd;
	const union MHD_ConnectionInfo *addr;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED)
	{
		http_conn_close(&server->conns, *socket_context);
		*socket_context = NULL;
		return;
	}
	fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	addr = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	*socket_context = http_conn_open(&server->conns, fd->connect_fd,
									 addr ? addr->client_addr : NULL);
	if (*socket_context == NULL)
		shutdown(fd->connect_fd, SHUT_RDWR);
}
