/*-------------------------------------------------------------------------
 *
 * http_message.c
 *	  HTTP requests and answers as values; see http_message.h.
 *
 * src/base/http_message.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/http_message.h"

bool
http_header_add_n(HttpHeaders *h, const char *name, size_t namelen,
				  const char *value, size_t valuelen)
{
	HttpHeader *item;

	if (h->count >= HTTP_MAX_HEADERS)
	{
		h->overflow = true;
		return false;
	}
	item = &h->item[h->count];
	item->name = strndup(name, namelen);
	item->value = strndup(value, valuelen);
	if (item->name == NULL || item->value == NULL)
	{
		free(item->name);
		free(item->value);
		h->overflow = true;
		return false;
	}
	h->count++;
	return true;
}

bool
http_header_add(HttpHeaders *h, const char *name, const char *value)
{
	return http_header_add_n(h, name, strlen(name), value, strlen(value));
}

const char *
http_header_get(const HttpHeaders *h, const char *name)
{
	int			i;

	for (i = 0; i < h->count; i++)
		if (strcasecmp(h->item[i].name, name) == 0)
			return h->item[i].value;
	return NULL;
}

void
http_headers_free(HttpHeaders *h)
{
	int			i;

	for (i = 0; i < h->count; i++)
	{
		free(h->item[i].name);
		free(h->item[i].value);
	}
	h->count = 0;
	h->overflow = false;
}

void
http_request_init(HttpRequest *r)
{
	memset(r, 0, sizeof(*r));
}

void
http_request_free(HttpRequest *r)
{
	buf_free(&r->url);
	buf_free(&r->body);
	http_headers_free(&r->headers);
}

void
http_answer_init(HttpAnswer *a)
{
	memset(a, 0, sizeof(*a));
}

void
http_answer_free(HttpAnswer *a)
{
	buf_free(&a->body);
	http_headers_free(&a->headers);
}
