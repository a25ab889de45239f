/*-------------------------------------------------------------------------
 *
 * evidence.c
 *	  Keeping what channels say.
 *
 * Evidence is insert-only and unique per channel and content, so that N
 * copies of a callback are one row.  The listener, which strangers reach, may
 * do nothing but this: so ON CONFLICT DO NOTHING without a target and without
 * RETURNING, which would need SELECT.
 *
 * src/money/evidence.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/evidence.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "common/sha2.h"
#include "common/cryptohash.h"
#include "utils/builtins.h"

void
evidence_insert_many(const EvidenceRow *rows, int n)
{
	static Statement insert = {
		"INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no,"
		"       attempt_id, attempt_started_at, http_status, code, message, detail, merchant_no,"
		"       payment_no, channel_payment_id, channel_refund_id, amount, payer_amount, currency,"
		"       occurred_at, received_at, retry_after, request_id, headers, body, about, handover)"
		" SELECT *"
		"   FROM ROWS FROM (unnest($1::int4[]), unnest($2::int4[]), unnest($3::text[]), unnest($4::bytea[]),"
		"                   unnest($5::text[]), unnest($6::bool[]), unnest($7::text[]), unnest($8::int8[]),"
		"                   unnest($9::timestamptz[]), unnest($10::int4[]), unnest($11::text[]),"
		"                   unnest($12::text[]), unnest($13::text[]), unnest($14::text[]),"
		"                   unnest($15::text[]), unnest($16::text[]), unnest($17::text[]),"
		"                   unnest($18::int8[]), unnest($19::int8[]), unnest($20::text[]),"
		"                   unnest($21::timestamptz[]), unnest($22::timestamptz[]), unnest($23::int4[]),"
		"                   unnest($24::text[]), unnest($25::text[]::jsonb[]), unnest($26::bytea[]),"
		"                   unnest($27::text[]), unnest($28::text[])) AS a"
		" ON CONFLICT DO NOTHING",
		ARGS(INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, BYTEAARRAYOID, TEXTARRAYOID, BOOLARRAYOID,
			 TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, TEXTARRAYOID,
			 TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
			 INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID,
			 INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BYTEAARRAYOID, TEXTARRAYOID, TEXTARRAYOID)
	};
	static const Oid types[] = {
		INT4OID, INT4OID, TEXTOID, BYTEAOID, TEXTOID, BOOLOID, TEXTOID, INT8OID, TIMESTAMPTZOID,
		INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID,
		TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, TEXTOID, TEXTOID, BYTEAOID, TEXTOID, TEXTOID
	};
	Column		c[lengthof(types)];
	Values		v = {0};
	int			i;

	if (n == 0)
		return;
	for (i = 0; i < (int) lengthof(types); i++)
		column_init(&c[i], types[i]);
	for (i = 0; i < n; i++)
	{
		const EvidenceRow *r = &rows[i];
		const ChannelEvidence *e = r->what;

		column_int4(&c[0], r->channel_id);
		column_int4(&c[1], r->merchant_id);
		column_text(&c[2], r->source);
		column_bytes(&c[3], e->digest, sizeof(e->digest));
		column_text(&c[4], verdict_name(e->verdict));
		column_bool(&c[5], e->proof);
		column_text(&c[6], r->wire_no ? r->wire_no : e->wire_no);
		if (r->attempt_id != 0)
			column_int8(&c[7], r->attempt_id);
		else
			column_null(&c[7]);
		column_time(&c[8], r->attempt_started_at);
		if (e->http_status != 0)
			column_int4(&c[9], e->http_status);
		else
			column_null(&c[9]);
		column_words(&c[10], e->code);
		column_words(&c[11], e->message);
		column_words(&c[12], e->detail);
		column_words(&c[13], e->merchant);
		column_words(&c[14], e->payment_no);
		column_words(&c[15], e->channel_payment_id);
		column_words(&c[16], e->channel_refund_id);
		if (e->has_amount)
			column_int8(&c[17], e->amount);
		else
			column_null(&c[17]);
		if (e->has_payer_amount)
			column_int8(&c[18], e->payer_amount);
		else
			column_null(&c[18]);
		column_words(&c[19], e->currency);
		column_time(&c[20], e->occurred_at ? unix_us_to_timestamptz(e->occurred_at) : 0);
		column_time(&c[21], r->received_at);
		if (e->retry_after > 0)
			column_int4(&c[22], e->retry_after);
		else
			column_null(&c[22]);
		column_words(&c[23], e->request_id);
		column_text(&c[24], r->headers_json);
		column_bytes(&c[25], r->body, r->body_len);
		column_text(&c[26], product_name(e->product));
		column_words(&c[27], e->handover);
	}
	for (i = 0; i < (int) lengthof(types); i++)
		values_column(&v, &c[i]);
	statement_run(&insert, &v);
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
