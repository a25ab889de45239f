/*-------------------------------------------------------------------------
 *
 * http_call.h
 *	  One HTTP call in flight: private to http_client.c and http_call.c.
 *
 * http_call.c knows one libcurl easy handle: what is set on it, what its
 * callbacks collect, and how its end is classified.  http_client.c knows
 * many: the multi handle, epoll, the waiting lines.
 *
 * This header must not include postgres.h.
 *
 * src/net/http_call.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_HTTP_CALL_H
#define REFUNDX_HTTP_CALL_H

#include <curl/curl.h>

#include "net/http_client.h"

#define HTTP_HOST_KEY_MAX	300	/* scheme, host and port */

/* Where a request goes, as libcurl's own parser understands it. */
typedef struct HttpTarget
{
	char		key[HTTP_HOST_KEY_MAX]; /* "https://api.example.com:443" */
	bool		plain;			/* http, to a loopback literal */
} HttpTarget;

typedef struct HttpHost HttpHost;

typedef struct HttpCall
{
	struct HttpCall *prev;		/* in exactly one list at a time */
	struct HttpCall *next;
	HttpHost   *host;
	const HttpClientOptions *options;	/* the client's; outlives the call */
	CURL	   *easy;
	struct curl_slist *headers;
	void	   *ticket;
	HttpAnswer	answer;
	size_t		max_answer;
	int			sink_fd;		/* 0 = none */
	bool		sink_failed;
	size_t		header_bytes;
	int			total_timeout_ms;
	int64_t		queued_us;		/* monotonic */
	int64_t		give_up_us;		/* see http_client.c, watchdog */
	bool		plain;			/* http: loopback addresses only */
	bool		may_have_left;	/* libcurl has begun to write the request */
	bool		resend_stopped; /* libcurl wanted to send it once more */
	bool		too_large;
	bool		address_refused;
	bool		head_done;		/* the final answer's header is complete */
	char		errbuf[CURL_ERROR_SIZE];
} HttpCall;

typedef struct HttpCallList
{
	HttpCall   *head;
	HttpCall   *tail;
	int			count;
} HttpCallList;

extern void http_call_append(HttpCallList *list, HttpCall *call);
extern void http_call_remove(HttpCallList *list, HttpCall *call);

/* Check a request before anything is done with it; false and err if it may
 * not be sent. */
extern bool http_call_target(const HttpClientOptions *options, const HttpRequest *request,
							 HttpTarget *target, char *err, size_t errsize);

extern HttpCall *http_call_create(const HttpClientOptions *options);
extern bool http_call_prepare(HttpCall *call, const HttpRequest *request,
							  const HttpTarget *target, char *err, size_t errsize);
extern void http_call_finish(HttpCall *call, CURLcode rc);	/* fills call->answer */
extern void http_call_clear(HttpCall *call);	/* ready for the next request */
extern void http_call_free(HttpCall *call);

#endif							/* REFUNDX_HTTP_CALL_H */
