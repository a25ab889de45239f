/*-------------------------------------------------------------------------
 *
 * http_message.h
 *	  HTTP requests and answers as values: what a channel builds and reads.
 *
 * A channel never opens a socket.  It fills an HttpRequest, somebody else
 * carries it (net/http_client.c, or a test), and it reads the HttpAnswer.
 *
 * This header must not include postgres.h.
 *
 * src/base/http_message.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_HTTP_MESSAGE_H
#define REFUNDX_HTTP_MESSAGE_H

#include "base/buf.h"

#define HTTP_MAX_HEADERS	64

typedef struct HttpHeader
{
	char	   *name;			/* malloc'd, as sent; compare without case */
	char	   *value;			/* malloc'd, trimmed */
} HttpHeader;

typedef struct HttpHeaders
{
	HttpHeader	item[HTTP_MAX_HEADERS];
	int			count;
	bool		overflow;		/* some did not fit, or memory ran out */
} HttpHeaders;

typedef struct HttpRequest
{
	char		method[8];		/* "GET", "POST" */
	Buf			url;			/* absolute; exactly the bytes to send */
	HttpHeaders headers;
	Buf			body;			/* sent as it is; empty = no body */
	int			connect_timeout_ms; /* 0 = the client's default */
	int			total_timeout_ms;
	size_t		max_answer;		/* bytes of body accepted; 0 = 1 MiB */
	int			sink_fd;		/* the body of a 200 is written here, and not kept in memory;
								 * 0 = none.  It must stay open until the answer is there */
} HttpRequest;

/*
 * How far a request got.  The difference decides about money: what was
 * certainly not sent may be repeated at once; what may have been sent is
 * unknown until somebody asks.
 */
typedef enum HttpOutcome
{
	HTTP_ANSWERED,				/* a complete answer */
	HTTP_NOT_SENT,				/* resolve, connect or TLS handshake failed */
	HTTP_SENT_UNKNOWN			/* time-out, reset, oversize, garbage: may have
								 * had its effect */
} HttpOutcome;

typedef struct HttpAnswer
{
	HttpOutcome outcome;
	int			status;			/* HTTP status; 0 unless HTTP_ANSWERED */
	HttpHeaders headers;
	Buf			body;			/* raw bytes, as received */
	int64_t		sunk;			/* or how many went into the request's sink */
	char		error[160];		/* plain words, when not HTTP_ANSWERED */
	int64_t		connect_us;		/* start to connected (TLS included); 0 if reused */
	int64_t		total_us;		/* start to end */
} HttpAnswer;

extern bool http_header_add(HttpHeaders *h, const char *name, const char *value);
extern bool http_header_add_n(HttpHeaders *h, const char *name, size_t namelen,
							  const char *value, size_t valuelen);
extern const char *http_header_get(const HttpHeaders *h, const char *name); /* NULL if absent */
extern void http_headers_free(HttpHeaders *h);
extern void http_request_init(HttpRequest *r);
extern void http_request_free(HttpRequest *r);
extern void http_answer_init(HttpAnswer *a);
extern void http_answer_free(HttpAnswer *a);

#endif							/* REFUNDX_HTTP_MESSAGE_H */
