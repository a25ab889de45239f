/*-------------------------------------------------------------------------
 *
 * evidence.c
 *	  Keeping what channels say.
 *
 * Evidence is insert-only and unique per channel and content, so that N
 * copies of a callback are one row.  The listener, which strangers reach, may
 * do nothing but this, with no right but that to INSERT.
 *
 * src/money/evidence.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/evidence.h"

#include "access/xact.h"
#include "base/clock.h"
#include "base/relation.h"
#include "base/row_insert.h"
#include "base/shmem.h"
#include "commands/trigger.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/xid8.h"

/* What the rights of the listener's role are about. */
static void
require_insert(Relation rel)
{
	AclResult	right = pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_INSERT);

	if (right != ACLCHECK_OK)
		aclcheck_error(right, OBJECT_TABLE, RelationGetRelationName(rel));
}

/*
 * A stranger's words, which may be in any bytes: see words_as_text().  Empty
 * is null.
 */
static void
value_words(RowValues *v, const char *s)
{
	row_value_text(v, s[0] != '\0' ? words_as_text(s) : NULL);
}

static void
value_time(RowValues *v, int64 timestamptz)
{
	row_value(v, TimestampTzGetDatum(timestamptz), timestamptz == 0);
}

static void
value_bytes(RowValues *v, const void *data, size_t len)
{
	bytea	   *b = NULL;

	if (data != NULL)
	{
		b = palloc(VARHDRSZ + len);
		SET_VARSIZE(b, VARHDRSZ + len);
		memcpy(VARDATA(b), data, len);
	}
	row_value(v, PointerGetDatum(b), b == NULL);
}

static void
values_of(const EvidenceRow *r, RowValues *v)
{
	const ChannelEvidence *e = r->what;

	row_value(v, Int32GetDatum(r->channel_id), false);
	row_value(v, Int32GetDatum(r->merchant_id), false);
	row_value_text(v, r->source);
	value_bytes(v, e->digest, sizeof(e->digest));
	row_value_text(v, verdict_name(e->verdict));
	row_value(v, BoolGetDatum(e->proof), false);
	row_value_text(v, r->wire_no ? r->wire_no : e->wire_no);
	row_value(v, Int64GetDatum(r->attempt_id), r->attempt_id == 0);
	value_time(v, r->attempt_started_at);
	row_value(v, Int32GetDatum(e->http_status), e->http_status == 0);
	value_words(v, e->code);
	value_words(v, e->message);
	value_words(v, e->detail);
	value_words(v, e->merchant);
	value_words(v, e->payment_no);
	value_words(v, e->channel_payment_id);
	value_words(v, e->channel_refund_id);
	row_value(v, Int64GetDatum(e->amount), !e->has_amount);
	row_value(v, Int64GetDatum(e->payer_amount), !e->has_payer_amount);
	value_words(v, e->currency);
	value_time(v, e->occurred_at ? unix_us_to_timestamptz(e->occurred_at) : 0);
	value_time(v, r->received_at);
	row_value(v, Int32GetDatum(e->retry_after), e->retry_after <= 0);
	value_words(v, e->request_id);
	row_value(v, JsonbPGetDatum(r->headers), r->headers == NULL);
	value_bytes(v, r->body, r->body_len);
	row_value_text(v, product_name(e->product));
	value_words(v, e->handover);
}

void
evidence_insert_many(const EvidenceRow *rows, int n)
{
	static RowTarget evidence = {"evidence", {
		"xid", "evidence_id", "channel_id", "merchant_id", "source", "digest", "verdict", "proof",
			"wire_no", "attempt_id", "attempt_started_at", "http_status", "code", "message",
			"detail", "merchant_no", "payment_no", "channel_payment_id", "channel_refund_id",
			"amount", "payer_amount", "currency", "occurred_at", "received_at", "retry_after",
			"request_id", "headers", "body", "about", "handover", NULL
	}};
	RowWriter	w;
	Oid			once;
	int			i;

	if (n == 0)
		return;
	once = relation_oid("evidence_channel_id_digest_key");

	/* a worker is in no statement, at whose end somebody's own triggers would fire */
	AfterTriggerBeginQuery();
	row_writer_begin(&w, &evidence, true);
	require_insert(w.rel);
	for (i = 0; i < n; i++)
	{
		RowValues	v = {0};

		/* the xid first: who has a number has an xid already, see 10_tables.sql */
		row_value(&v, FullTransactionIdGetDatum(GetTopFullTransactionId()), false);
		row_value(&v, Int64GetDatum(row_next_id(&evidence)), false);
		values_of(&rows[i], &v);
		row_writer_new(&w, &v);
		(void) row_insert_if_new(&w, once);
	}
	CommandCounterIncrement();
	AfterTriggerEndQuery(w.estate);
	ExecCloseResultRelations(w.estate);
	ExecResetTupleTable(w.estate->es_tupleTable, false);
	row_writer_end(&w);
	wake_at_commit(WORKER_SETTLER);
}

/*
 * Two polls that both say PROCESSING are two answers: each reschedules the
 * next one.  So an answer's content is the attempt that it answers, written
 * so that SQL can compute it too: ATTEMPT_DIGEST in evidence.h.
 */
void
evidence_answer_digest(ChannelEvidence *what, int64 attempt_id)
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);
	char		name[40];

	snprintf(name, sizeof(name), "attempt %lld", (long long) attempt_id);
	if (ctx == NULL ||
		pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) name, strlen(name)) < 0 ||
		pg_cryptohash_final(ctx, what->digest, sizeof(what->digest)) < 0)
		elog(ERROR, "could not compute a digest");
	pg_cryptohash_free(ctx);
}
