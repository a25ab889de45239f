/*-------------------------------------------------------------------------
 *
 * http_conn.h
 *	  The server's connections, and how long each may take for what:
 *	  private to http_server.c and http_conn.c.
 *
 * This header must not include postgres.h.
 *
 * src/net/http_conn.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_HTTP_CONN_H
#define REFUNDX_HTTP_CONN_H

#include <netinet/in.h>

#include "net/http_server.h"

/*
 * A connection is in exactly one state, and in that state's list, ordered by
 * when it came there.  All members of a list have the same time allowance, so
 * its head is always the next to run out of it, and the oldest.
 *
 *	 accept -> ARRIVING -> WAITING -> ANSWERING -> IDLE -> ARRIVING ...
 *
 * Nobody but ourselves can be late in WAITING.
 */
typedef enum HttpConnState
{
	CONN_ARRIVING,				/* a request, or the first byte, is awaited */
	CONN_WAITING,				/* complete: handed out, or about to be */
	CONN_ANSWERING,				/* the answer is on its way out */
	CONN_IDLE,					/* kept alive between two requests */
	CONN_DOOMED					/* shut down; to be reaped by libmicrohttpd */
} HttpConnState;

#define CONN_STATE_COUNT	(CONN_DOOMED + 1)

typedef struct HttpConn
{
	struct HttpConn *prev;
	struct HttpConn *next;
	HttpConnState state;
	int64_t		since_ms;		/* in this state */
	int			fd;
	bool		accounted;		/* acquire_fd() was called for it */
	struct in6_addr address;	/* IPv4 in its mapped form */
	HttpServerRequest *request; /* while WAITING */
} HttpConn;

typedef struct HttpConnList
{
	HttpConn   *head;
	HttpConn   *tail;
	int			count;
} HttpConnList;

typedef struct HttpConns
{
	HttpServerOptions options;	/* defaults filled in */
	HttpServerStats stats;
	int64_t		now_ms;			/* monotonic; taken once per run */
	HttpConnList list[CONN_STATE_COUNT];
} HttpConns;

extern int64_t http_conn_clock_ms(void);

/* A new connection, already refused (DOOMED) if there is no room for it;
 * NULL if memory ran out. */
extern HttpConn *http_conn_open(HttpConns *conns, int fd, const struct sockaddr *addr);
extern void http_conn_close(HttpConns *conns, HttpConn *conn);
extern void http_conn_move(HttpConns *conns, HttpConn *conn, HttpConnState state);

/* Cut off whoever is late or in the way; and when the next one will be, -1 = nobody. */
extern void http_conn_expire(HttpConns *conns);
extern int64_t http_conn_next_expiry_ms(const HttpConns *conns);

#endif							/* REFUNDX_HTTP_CONN_H */
