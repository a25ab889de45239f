/*-------------------------------------------------------------------------
 *
 * evidence.h
 *	  Keeping what channels say, and settling from it.
 *
 * src/money/evidence.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_EVIDENCE_H
#define REFUNDX_EVIDENCE_H

#include "base/sql.h"
#include "channel/channel.h"
#include "money/state.h"
#include "utils/jsonb.h"

typedef struct EvidenceRow
{
	int32		channel_id;
	int32		merchant_id;
	const char *source;			/* answer, query, cancel, callback, bill, operator, recovery */
	const ChannelEvidence *what;
	const char *wire_no;		/* NULL = what->wire_no */
	int64		attempt_id;		/* 0 = none */
	int64		attempt_started_at; /* TimestampTz, 0 = none */
	int64		received_at;	/* TimestampTz */
	Jsonb	   *headers;		/* or NULL */
	const void *body;			/* raw bytes, or NULL */
	size_t		body_len;
} EvidenceRow;

/*
 * Keep them, in the current transaction; what is known already (same channel,
 * same digest) is passed over.  Needs INSERT on refundx.evidence and nothing
 * else.  Wakes the settler at commit.
 */
extern void evidence_insert_many(const EvidenceRow *rows, int n);

/* The digest of an answer: every call's own, however alike the words. */
extern void evidence_answer_digest(ChannelEvidence *what, int64 attempt_id);

/* The same digest in SQL: finds an attempt's answer by evidence's unique key. */
#define ATTEMPT_DIGEST(attempt_id) \
	"sha256(convert_to('attempt ' || (" attempt_id ")::text, 'UTF8'))"

typedef struct SettleResult
{
	int			applied;		/* weighed: each has its event now */
	int			known;			/* had been weighed before */
	Column		waiting;		/* evidence ids whose rows somebody else holds */
	int			handed;			/* left to the runner, for a handler follows */
	bool		moved;			/* the last one made a transition ... */
	State		moved_to;		/* ... to this state */
} SettleResult;

/*
 * Turn evidence into states and postings; see settle.c.  In the current
 * transaction, for any number of evidence ids.
 */
extern void settle(Column *evidence_ids, SettleResult *result);

/* One piece, for the runner, which then calls the handlers and writes the notice. */
extern void settle_for_runner(int64 evidence_id, SettleResult *result);

#endif							/* REFUNDX_EVIDENCE_H */
