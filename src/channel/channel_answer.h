/*-------------------------------------------------------------------------
 *
 * channel_answer.h
 *	  What channels share in reading answers.
 *
 * Private to src/channel/.  This header must not include postgres.h.
 *
 * src/channel/channel_answer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_CHANNEL_ANSWER_H
#define REFUNDX_CHANNEL_ANSWER_H

#include "channel/channel_util.h"

/*
 * A read_answer begins and ends with these.  The first clears the evidence and
 * fills what every answer has: its status, our merchant, the channel's trace
 * id.  The second names our own number, if the answer has not named it, and
 * makes the digest.
 */
extern void answer_begin(const HttpAnswer *answer, const char *merchant,
						 const char *trace_header, ChannelEvidence *out);
extern void answer_end(ChannelCall call, const ChannelInstruction *instr,
					   const HttpAnswer *answer, int64_t now, ChannelEvidence *out);

/* There was none: certainly not sent, or nobody knows. */
extern void answer_is_none(ChannelCall call, const HttpAnswer *answer, ChannelEvidence *out);

/*
 * Keep only that there was an answer, and why it was not used: what is left
 * of another refund's must not be taken for news of that one.
 */
extern void answer_forget(ChannelEvidence *out);

/* The message, clipped. */
extern void answer_note(ChannelEvidence *out, const char *text);

/* Retry-After in seconds, a day at most; as it was if there is none. */
extern void answer_retry_after(const HttpAnswer *answer, ChannelEvidence *out);

/* Content-Type is "application/json", with or without parameters. */
extern bool answer_is_json(const HttpHeaders *headers);

#endif							/* REFUNDX_CHANNEL_ANSWER_H */
