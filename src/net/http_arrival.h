/*-------------------------------------------------------------------------
 *
 * http_arrival.h
 *	  A server's requests: private to http_server.c and http_arrival.c.
 *
 * This header must not include postgres.h.
 *
 * src/net/http_arrival.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_HTTP_ARRIVAL_H
#define REFUNDX_HTTP_ARRIVAL_H

#include <microhttpd.h>

#include "net/http_conn.h"

struct HttpServerRequest
{
	HttpServerRequest *next;	/* in the queue of complete ones */
	HttpServer *server;
	HttpConn   *conn;
	struct MHD_Connection *connection;
	char		method[16];
	char	   *path;
	HttpHeaders headers;
	Buf			body;
	uint64_t	received;		/* bytes of body, kept or not */
	int64_t		arrived_us;
	bool		begun;			/* the header has been seen */
	int			refusal;		/* status to answer instead of handing it out */
	bool		answered;
	int			status;
	struct MHD_Response *response;
};

struct HttpServer
{
	HttpConns	conns;
	struct MHD_Daemon *daemon;
	int			epfd;
	int			port;
	int			descriptors;	/* acquired for ourselves */
	bool		resumed;		/* answers wait for the next run */
	bool		stopping;
	HttpServerRequest *ready_head;
	HttpServerRequest *ready_tail;
	char		complaint[200]; /* libmicrohttpd's last words at start */
};

/* libmicrohttpd's callbacks; their first argument is the HttpServer. */
extern void *http_arrival_line(void *arg, const char *uri, struct MHD_Connection *connection);
extern enum MHD_Result http_arrival_step(void *arg, struct MHD_Connection *connection,
										 const char *url, const char *method,
										 const char *version, const char *data,
										 size_t *size, void **context);
extern void http_arrival_completed(void *arg, struct MHD_Connection *connection,
								   void **context, enum MHD_RequestTerminationCode code);

#endif							/* REFUNDX_HTTP_ARRIVAL_H */
