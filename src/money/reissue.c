/*-------------------------------------------------------------------------
 *
 * reissue.c
 *	  The same instruction with another number; or the end of it.
 *
 * Both are about an instruction that is `stopped`: the channel has ended its
 * number, unpaid, and that is proven (weigh.c makes nothing else stopped).  So
 * another number cannot pay it twice.  The freeze, the guard, the payment's
 * share and the caller's number stay as they are, which is the point: nobody
 * takes the headroom between "failed" and the second number.
 *
 * The new number follows from the old by a rule, and is asked about before it
 * is sent.  For after a restore this may not be the first time: the database
 * that this one was restored from may have given out the same number, and the
 * channel may have paid it.
 *
 * src/money/reissue.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/evidence.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/shmem.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "money/external.h"
#include "money/failure.h"
#include "money/journal.h"
#include "money/money.h"
#include "money/state.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(refundx_reissue_step);
PG_FUNCTION_INFO_V1(refundx_give_up_step);

/* Names that somebody else has taken are passed over; more than this is no accident. */
#define DERIVE_MAX	16

/* A stopped instruction, and what stopped it. */
typedef struct Stopped
{
	char	   *wire_no;
	char	   *number;
	ProductKind kind;
	int32		channel_id;
	int32		merchant_id;
	const ChannelProduct *product;
	double		scale;
	int64		payment_id;		/* 0 = none */
	char	   *payment_no;
	int			parts;
	int64		account_id;		/* 0 = none */
	int64		cap_account_id; /* whose day's limit it counts on; 0 = none */
	int			reissues;
	bool		may_send;
	bool		on_hold;
	bool		asked;			/* the channel is being asked about it */
	int64		last_attempt_at;
	Verdict		verdict;
	int64		evidence_id;
} Stopped;

static void
sha256_of(const char *text, unsigned char digest[32])
{
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);

	if (ctx == NULL ||
		pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) text, strlen(text)) < 0 ||
		pg_cryptohash_final(ctx, digest, 32) < 0)
		elog(ERROR, "could not compute a digest");
	pg_cryptohash_free(ctx);
}

static void
read_stopped(int64 instruction_id, Stopped *s)
{
	static Statement read = {
		"SELECT i.wire_no, i.instruction_no, i.kind, i.channel_id, i.merchant_id, c.kind, c.config::text,"
		"       i.payment_id, p.payment_no, p.parts, i.account_id,"
		"       CASE WHEN o.capped_on IS NOT NULL THEN o.account_id END, i.reissues, i.may_send,"
		"       coalesce(p.hold, a.hold, i.hold) IS NOT NULL, i.due_call IS NOT NULL, i.last_attempt_at,"
		"       e.verdict, e.evidence_id, i.state"
		"  FROM refundx.instruction i"
		"  JOIN refundx.channel c USING (channel_id)"
		"  LEFT JOIN refundx.payment p USING (payment_id)"
		"  LEFT JOIN refundx.payout o ON o.instruction_id = i.instruction_id"
		"  LEFT JOIN refundx.account a ON a.account_id = o.account_id"
		"  LEFT JOIN LATERAL (SELECT v.verdict, v.evidence_id FROM refundx.event x"
		"                       JOIN refundx.evidence v ON v.evidence_id = x.evidence_id"
		"                      WHERE x.instruction_id = i.instruction_id AND x.to_state = $2 AND x.from_state <> $2"
		"                      ORDER BY x.seq DESC LIMIT 1) e ON true"
		" WHERE i.instruction_id = $1", ARGS(INT8OID, TEXTOID)
	};
	const Channel *channel;
	Values		v = {0};

	values_int8(&v, instruction_id);
	values_text(&v, state_name(STATE_STOPPED));
	if (statement_run(&read, &v) != 1 || strcmp(row_text(0, 20), state_name(STATE_STOPPED)) != 0 || row_null(0, 19))
		elog(ERROR, "instruction %lld is not stopped", (long long) instruction_id);
	memset(s, 0, sizeof(*s));
	s->wire_no = row_text(0, 1);
	s->number = row_text(0, 2);
	channel = channel_lookup(row_text(0, 6));
	if (!product_from_name(row_text(0, 3), &s->kind) || channel == NULL ||
		!verdict_from_name(row_text(0, 18), &s->verdict))
		elog(ERROR, "instruction %lld is of an unknown kind", (long long) instruction_id);
	s->product = channel_product(channel, s->kind);
	s->channel_id = row_int4(0, 4);
	s->merchant_id = row_int4(0, 5);
	s->scale = channel_time_scale(row_text(0, 7));
	s->payment_id = row_int8(0, 8);
	s->payment_no = row_text(0, 9);
	s->parts = row_int4(0, 10);
	s->account_id = row_int8(0, 11);
	s->cap_account_id = row_int8(0, 12);
	s->reissues = row_int4(0, 13);
	s->may_send = row_bool(0, 14);
	s->on_hold = row_bool(0, 15);
	s->asked = row_bool(0, 16);
	s->last_attempt_at = row_time(0, 17);
	s->evidence_id = row_int8(0, 19);
}

/*
 * ORD-1 becomes ORD-1R2c0ffee42: letters and digits, which every channel takes, and
 * as much of the caller's number before them as the channel leaves room for.  The
 * digest keeps what was cut apart, and from what a caller might choose.
 */
static void
derive(const Stopped *s, int salt, char out[CHANNEL_NO_MAX + 1])
{
	int			nth = s->reissues + 2;
	unsigned char digest[32];
	char		suffix[32];
	int			room;

	sha256_of(psprintf("refundx %d %d %s", nth, salt, s->number), digest);
	snprintf(suffix, sizeof(suffix), "R%d%02x%02x%02x%02x", nth, digest[0], digest[1], digest[2], digest[3]);
	room = Min(s->product->limits.number_max, CHANNEL_NO_MAX) - (int) strlen(suffix);
	snprintf(out, CHANNEL_NO_MAX + 1, "%.*s%s", Max(room, 0), s->number, suffix);
}

/* False if there is none; only what others have taken is passed over. */
static bool
free_number(const Stopped *s, char out[CHANNEL_NO_MAX + 1])
{
	static Statement taken = {
		"SELECT EXISTS (SELECT FROM refundx.instruction WHERE merchant_id = $1 AND wire_no = $2)"
		"    OR EXISTS (SELECT FROM refundx.instruction WHERE instruction_no = $2)"
		"    OR EXISTS (SELECT FROM refundx.former_number WHERE merchant_id = $1 AND wire_no = $2)",
		ARGS(INT4OID, TEXTOID)
	};
	ChannelError err = {{0}};
	int			salt;

	for (salt = 0; salt < DERIVE_MAX; salt++)
	{
		Values		v = {0};

		derive(s, salt, out);
		values_int4(&v, s->merchant_id);
		values_text(&v, out);
		statement_run(&taken, &v);
		if (!row_bool(0, 1))
			return channel_number_acceptable(s->product, out, &err);
	}
	return false;
}

/* A number that died was one of the payment's at the channel; one that was refused was none. */
static bool
was_a_part(const Stopped *s)
{
	return s->payment_id != 0 && (s->verdict == VERDICT_DEAD || s->verdict == VERDICT_REVERSED);
}

static void
keep_former(int64 instruction_id, const Stopped *s)
{
	static Statement keep = {
		"INSERT INTO refundx.former_number"
		"  (merchant_id, wire_no, instruction_id, payment_id, about, verdict, evidence_id, attempts, first_attempt_at)"
		" SELECT i.merchant_id, i.wire_no, i.instruction_id, i.payment_id, i.kind, $2, $3, i.attempts, i.first_attempt_at"
		"   FROM refundx.instruction i WHERE i.instruction_id = $1", ARGS(INT8OID, TEXTOID, INT8OID)
	};
	static Statement part = {
		"UPDATE refundx.payment SET parts = parts + 1 WHERE payment_id = $1", ARGS(INT8OID)
	};
	Values		v = {0};

	values_int8(&v, instruction_id);
	values_text(&v, verdict_name(s->verdict));
	values_int8(&v, s->evidence_id);
	statement_run(&keep, &v);
	if (!was_a_part(s))
		return;
	values_reset(&v);
	values_int8(&v, s->payment_id);
	statement_run(&part, &v);
}

char *
reissue_instruction(int64 instruction_id, const char *why)
{
	static Statement reissue = {
		/* it is another refund to the channel: its window, its attempts, its keys */
		"UPDATE refundx.instruction"
		"   SET wire_no = $2, state = $3, state_since = $4, detail = NULL, due_at = $5, due_call = 'query',"
		"       attempts = 0, polls = 0, retries = NULL, reissues = coalesce(reissues, 0) + 1,"
		"       unexplained = 0, generation = 0, refusal = NULL, first_attempt_at = NULL, last_attempt_at = NULL,"
		"       payer_amount = NULL, channel_refund_id = NULL, received_by = NULL,"
		"       person_reason = NULL, person_suggestion = NULL, person_since = NULL"
		" WHERE instruction_id = $1",
		ARGS(INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID)
	};
	const Transition *t = state_transition(STATE_STOPPED, INPUT_REISSUE);
	char		wire_no[CHANNEL_NO_MAX + 1];
	int64		now = clock_now();
	int64		due_at;
	Stopped		s;
	Values		v = {0};

	read_stopped(instruction_id, &s);
	if (s.product == NULL)
		return psprintf("its channel no longer does such a thing as a %s", product_name(s.kind));
	if (!s.may_send)
		return "it was adopted, and what was not sent from here gets no other number";
	if (s.on_hold)
		return "it, its payment or its account is on hold";
	if (s.asked)
		return "the channel is being asked about its present number, for there is doubt whether that has ended";
	if (was_a_part(&s) && s.product->limits.max_parts > 0 && s.parts + 1 > s.product->limits.max_parts)
		return psprintf("%s takes no more than %d refunds of one payment", s.product->label, s.product->limits.max_parts);
	if (!free_number(&s, wire_no))
		return "no number could be made for it that the channel takes and nobody has";

	/* what a database that this one was restored from did with it is found by asking */
	if (s.payment_id != 0)
		external_adopted(s.channel_id, s.merchant_id, s.payment_no, wire_no);
	keep_former(instruction_id, &s);

	/* a channel that wants a payment's refunds apart counts this as another one */
	due_at = Max(now, s.last_attempt_at + (int64) (s.product->limits.part_spacing * USECS_PER_SEC / s.scale));
	values_int8(&v, instruction_id);
	values_text(&v, wire_no);
	values_text(&v, state_name(t->to));
	values_time(&v, now);
	values_time(&v, s.last_attempt_at != 0 ? due_at : now);
	if (statement_run(&reissue, &v) != 1)
		elog(ERROR, "instruction %lld vanished", (long long) instruction_id);
	event_add(instruction_id, "reissued", state_name(STATE_STOPPED), state_name(t->to),
			  psprintf("number %s replaces %s: %s", wire_no, s.wire_no, why));
	wake_at_commit(WORKER_DISPATCHER);
	return NULL;
}

char *
reissue_refused(int64 instruction_id, const char *why_not)
{
	static Statement tell = {
		"UPDATE refundx.instruction SET person_reason = $2 WHERE instruction_id = $1", ARGS(INT8OID, TEXTOID)
	};
	char	   *reason = psprintf("the channel has ended it unpaid, and it gets no other number by itself: %s", why_not);
	Values		v = {0};

	values_int8(&v, instruction_id);
	values_text(&v, reason);
	statement_run(&tell, &v);
	return reason;
}

/*
 * The caller holds the payment and the instruction; the accounts come after them in
 * the order of locks.  Waited for here, since a settlement would pass over what
 * somebody else holds.
 */
static void
lock_accounts(const Stopped *s)
{
	AccountRow	row;

	if (s->cap_account_id != 0 && !journal_account_row(s->cap_account_id, JOURNAL_LOCK_WAIT, &row))
		elog(ERROR, "account %lld vanished", (long long) s->cap_account_id);
	if (s->account_id != 0 && s->account_id != s->cap_account_id &&
		!journal_account_row(s->account_id, JOURNAL_LOCK_WAIT, &row))
		elog(ERROR, "account %lld vanished", (long long) s->account_id);
}

/*
 * The decision is evidence like any other, of an operator, and is settled like any
 * other: the journal, the payment, the fee, the day's limit and the notice are one
 * function's affair.
 */
void
stopped_give_up(int64 instruction_id, const char *why)
{
	static Statement find = {
		"SELECT evidence_id FROM refundx.evidence WHERE channel_id = $1 AND digest = $2",
		ARGS(INT4OID, BYTEAOID)
	};
	ChannelEvidence what = {0};
	EvidenceRow row = {0};
	SettleResult result;
	Column		id;
	Stopped		s;
	Values		v = {0};

	read_stopped(instruction_id, &s);
	lock_accounts(&s);
	what.product = s.kind;
	what.verdict = s.verdict;
	what.proof = true;
	strlcpy(what.code, "GIVEN_UP", sizeof(what.code));
	strlcpy(what.message, why, sizeof(what.message));
	sha256_of(psprintf("give up %lld, number %s", (long long) instruction_id, s.wire_no), what.digest);
	row.channel_id = s.channel_id;
	row.merchant_id = s.merchant_id;
	row.source = "operator";
	row.what = &what;
	row.wire_no = s.wire_no;
	row.received_at = clock_now();
	evidence_insert_many(&row, 1);

	values_int4(&v, s.channel_id);
	values_bytes(&v, what.digest, sizeof(what.digest));
	if (statement_run(&find, &v) != 1)
		elog(ERROR, "the decision about instruction %lld was not kept", (long long) instruction_id);
	column_init(&id, INT8OID);
	column_int8(&id, row_int8(0, 1));
	settle(&id, &result);
	/* where a handler follows its failure, the runner settles it, with that */
	if (result.applied + result.handed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access to \"%s\"", s.number),
				 errhint("Retry the transaction.")));
}

/* ------------------------------------------------------------------------
 * For the functions of 44_failure_policy.sql, which hold the rows
 * ------------------------------------------------------------------------
 */

/* SQL: reissue_step(instruction_id bigint, why text) returns text: null, or why not */
Datum
refundx_reissue_step(PG_FUNCTION_ARGS)
{
	char	   *why_not;
	text	   *result = NULL;

	shmem_require();
	SPI_connect();
	why_not = reissue_instruction(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (why_not != NULL)
	{
		int			len = (int) strlen(why_not);

		result = SPI_palloc(VARHDRSZ + len);
		SET_VARSIZE(result, VARHDRSZ + len);
		memcpy(VARDATA(result), why_not, len);
	}
	SPI_finish();
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}

/* SQL: give_up_step(instruction_id bigint, why text) returns void */
Datum
refundx_give_up_step(PG_FUNCTION_ARGS)
{
	shmem_require();
	SPI_connect();
	stopped_give_up(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	SPI_finish();
	PG_RETURN_VOID();
}
