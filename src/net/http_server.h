/*-------------------------------------------------------------------------
 *
 * http_server.h
 *	  An HTTP server on one epoll descriptor, whose requests wait for an answer.
 *
 * libmicrohttpd with its epoll descriptor nested in the caller's wait set.  A
 * complete request is suspended and handed out by http_server_next(); the
 * connection gets its answer when the caller calls http_server_answer(): for
 * the listener, after the commit of the evidence.
 *
 * Everything is bounded: connections, per address, header and body size, and
 * the time a request may take to arrive.  Above four fifths of the bound the
 * oldest connection without a complete request is closed, so that slow
 * clients cannot keep a good callback out.
 *
 * No Postgres function is called from libmicrohttpd's callbacks.
 * This header must not include postgres.h.
 *
 * src/net/http_server.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_HTTP_SERVER_H
#define REFUNDX_HTTP_SERVER_H

#include "base/http_message.h"

typedef struct HttpServer HttpServer;
typedef struct HttpServerRequest HttpServerRequest;

typedef struct HttpServerOptions
{
	const char *address;		/* one literal, IPv4 or IPv6: "127.0.0.1" */
	int			port;			/* 0 = any; see http_server_port() */
	const char *tls_certificate;	/* PEM contents; NULL = plain HTTP */
	const char *tls_key;
	int			max_connections;	/* 0 = 1000 */
	int			max_per_address;	/* 0 = no limit (a reverse proxy is one address) */
	size_t		max_header;		/* bytes; 0 = 16 KiB */
	size_t		max_body;		/* bytes; 0 = 256 KiB; larger gets 413 */
	int			request_timeout_ms; /* to arrive whole; 0 = 10 s */
	int			idle_timeout_ms;	/* keep-alive; 0 = 60 s */
	bool		(*acquire_fd) (void);	/* may be NULL */
	void		(*release_fd) (void);
} HttpServerOptions;

typedef struct HttpServerStats
{
	int64_t		accepted;		/* connections, ever */
	int64_t		refused;		/* beyond the bound */
	int64_t		evicted;		/* closed, incomplete, to make room */
	int64_t		timed_out;		/* requests that did not arrive in time */
	int64_t		too_large;		/* header or body over its bound */
	int64_t		malformed;
	int64_t		requests;		/* complete ones handed out */
	int			open;			/* connections now */
} HttpServerStats;

extern HttpServer *http_server_start(const HttpServerOptions *options, char *err, size_t errsize);
extern void http_server_stop(HttpServer *server);	/* answers 503 to what still waits */
extern int	http_server_port(const HttpServer *server);
extern int	http_server_fd(HttpServer *server);
extern int64_t http_server_timeout_ms(HttpServer *server);	/* -1 = none */
extern void http_server_run(HttpServer *server);	/* never blocks */

/* The next complete request in order of arrival, or NULL. */
extern HttpServerRequest *http_server_next(HttpServer *server);

extern const char *http_server_request_method(const HttpServerRequest *r);
extern const char *http_server_request_path(const HttpServerRequest *r);	/* decoded once, no query */
extern const HttpHeaders *http_server_request_headers(const HttpServerRequest *r);
extern const Buf *http_server_request_body(const HttpServerRequest *r);
extern int64_t http_server_request_arrived_us(const HttpServerRequest *r); /* CLOCK_REALTIME, us */

/* Answer and forget: r is gone afterwards.  content_type NULL = no body. */
extern void http_server_answer(HttpServer *server, HttpServerRequest *r, int status,
							   const char *content_type, const void *body, size_t len);

extern void http_server_stats(const HttpServer *server, HttpServerStats *out);

#endif							/* REFUNDX_HTTP_SERVER_H */
