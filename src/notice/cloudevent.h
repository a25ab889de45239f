/*-------------------------------------------------------------------------
 *
 * cloudevent.h
 *	  An event as CloudEvents 1.0 writes it: JSON, structured mode.
 *
 * This header must not include postgres.h.
 *
 * src/notice/cloudevent.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_CLOUDEVENT_H
#define REFUNDX_CLOUDEVENT_H

#include "base/buf.h"

/* in small letters, as libraries compare it */
#define CLOUDEVENT_CONTENT_TYPE "application/cloudevents+json; charset=utf-8"

typedef struct CloudEvent
{
	const char *id;
	const char *source;			/* a URI reference */
	const char *type;
	const char *subject;		/* also the key to partition by */
	const char *time;			/* RFC 3339 */
	int64_t		sequence;
	const char *data;			/* a JSON object, as text */
} CloudEvent;

/* The bytes; the same event makes the same.  False if data is no object. */
extern bool cloudevent_json(const CloudEvent *e, Buf *out);

#endif							/* REFUNDX_CLOUDEVENT_H */
