/*-------------------------------------------------------------------------
 *
 * abnormal.c
 *	  An operator sends an abnormal refund elsewhere: to another card of the payer's,
 *	  or to the merchant's own account.
 *
 * Nothing is decided here.  The order is kept, sealed as a withdrawal's payee is,
 * and becomes a call that is due: the dispatcher makes it like any other, with an
 * attempt that is committed before it, and the channel's word decides.  A card's
 * number and its owner's name are in no message, event or view, and not in the
 * audit log; the statement that brought them is hidden from the server's log.
 *
 * src/money/abnormal.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/money.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/shmem.h"
#include "lib/stringinfo.h"
#include "money/handler.h"
#include "money/payee.h"
#include "money/state.h"
#include "utils/builtins.h"
#include "utils/json.h"

PG_FUNCTION_INFO_V1(refundx_refund_abnormal);

#define TEXT_ARG(i) (PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i)))

/* What is to be paid elsewhere, locked. */
typedef struct Abnormal
{
	int64		instruction_id;
	char	   *refund_no;
	const ChannelProduct *product;
	int			nth;			/* orders before this one */
} Abnormal;

static void
refuse(const char *refund_no, const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_RX_STATE),
			 errmsg("refund \"%s\" cannot be paid elsewhere", refund_no),
			 errdetail("%s", why),
			 hint ? errhint("%s", hint) : 0));
}

/* Payment, instruction: the order of locks. */
static void
lock_abnormal(char *refund_no, Abnormal *a)
{
	static Statement lock_payment = {
		"SELECT p.payment_id FROM refundx.instruction i JOIN refundx.payment p USING (payment_id)"
		" WHERE i.instruction_no = $1 FOR NO KEY UPDATE OF p", ARGS(TEXTOID)
	};
	static Statement lock = {
		"SELECT i.instruction_id, i.state, i.state_since::text, i.due_call, i.channel_refund_id,"
		"       coalesce(p.hold, i.hold), c.kind,"
		"       (SELECT count(*)::int FROM refundx.diversion d WHERE d.instruction_id = i.instruction_id)"
		"  FROM refundx.instruction i"
		"  JOIN refundx.channel c USING (channel_id)"
		"  LEFT JOIN refundx.payment p USING (payment_id)"
		" WHERE i.instruction_no = $1 AND i.kind = 'refund' FOR NO KEY UPDATE OF i", ARGS(TEXTOID)
	};
	const Channel *channel;
	State		state;
	char	   *hold;
	Values		v = {0};

	values_text(&v, refund_no);
	statement_run(&lock_payment, &v);
	if (statement_run(&lock, &v) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_REFUND),
				 errmsg("refund \"%s\" does not exist", refund_no)));
	a->instruction_id = row_int8(0, 1);
	a->refund_no = refund_no;
	channel = channel_lookup(row_text(0, 7));
	if (channel == NULL || !state_from_name(row_text(0, 2), &state))
		elog(ERROR, "refund \"%s\" has a state or channel that is not built in", refund_no);
	a->product = channel->refund;
	a->nth = row_int4(0, 8);
	hold = row_text(0, 6);
	if (a->product->divert_freeze == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RX_CHANNEL_REFUSES),
				 errmsg("%s pays no refund elsewhere", channel->label)));
	if (state != STATE_ABNORMAL)
		refuse(refund_no, psprintf("It is %s since %s; only what is abnormal is with the channel, which could not pay it.",
								   state_name(state), row_text(0, 3)), NULL);
	if (row_null(0, 5))
		refuse(refund_no, "The channel's own number of it is not known yet.", "A query will tell: refundx.query_now().");
	if (row_text(0, 4) != NULL && strcmp(row_text(0, 4), "abnormal") == 0)
		refuse(refund_no, "The channel is being told already; its answer is in refundx.attempts when it comes.", NULL);
	if (hold != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RX_ON_HOLD),
				 errmsg("refund \"%s\", or its payment, is on hold: %s", refund_no, hold)));
}

static char *
order_json(const char *to_whom, const char *bank_type, const char *card, const char *name)
{
	const char *member[] = {"bank_type", "card", "name"};
	const char *value[] = {bank_type, card, name};
	StringInfoData s;
	int			i;

	if (to_whom == NULL || (strcmp(to_whom, "to_merchant") != 0 && strcmp(to_whom, "to_user") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("to_whom must be to_merchant or to_user")));
	initStringInfo(&s);
	appendStringInfo(&s, "{\"to\": \"%s\"", to_whom + strlen("to_"));
	for (i = 0; i < (int) lengthof(member); i++)
	{
		if (value[i] == NULL)
			continue;
		appendStringInfo(&s, ", \"%s\": ", member[i]);
		escape_json(&s, value[i]);
	}
	appendStringInfoChar(&s, '}');
	return s.data;
}

/* The order, and the call that is due. */
static void
keep_order(const Abnormal *a, const char *masked, const char *order, const char *reason)
{
	static Statement keep = {
		"INSERT INTO refundx.diversion (instruction_id, nth, to_whom, key_print, data_key, order_sealed, reason)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)",
		ARGS(INT8OID, INT4OID, TEXTOID, TEXTOID, BYTEAOID, BYTEAOID, TEXTOID)
	};
	static Statement call = {
		"UPDATE refundx.instruction SET due_call = 'abnormal', due_at = $2 WHERE instruction_id = $1",
		ARGS(INT8OID, TIMESTAMPTZOID)
	};
	static Statement audit = {
		"INSERT INTO refundx.audit (action, subject, reason, detail)"
		" VALUES ('refund_abnormal', $1, $2, jsonb_build_object('to', $3::text))",
		ARGS(TEXTOID, TEXTOID, TEXTOID)
	};
	SealedPayee sealed = {{{0}}};
	Values		v = {0};

	payee_order_seal("diversion", a->refund_no, order, &sealed);
	values_int8(&v, a->instruction_id);
	values_int4(&v, a->nth + 1);
	values_text(&v, masked);
	values_text(&v, sealed.key_print);
	values_datum(&v, PointerGetDatum(sealed.data_key), false);
	values_datum(&v, PointerGetDatum(sealed.sealed), false);
	values_text(&v, reason);
	statement_run(&keep, &v);

	values_reset(&v);
	values_int8(&v, a->instruction_id);
	values_time(&v, clock_now());
	statement_run(&call, &v);
	event_add(a->instruction_id, "diverted", state_name(STATE_ABNORMAL), state_name(STATE_ABNORMAL),
			  psprintf("to be paid to %s: %s", masked, reason));

	values_reset(&v);
	values_text(&v, a->refund_no);
	values_text(&v, reason);
	values_text(&v, masked);
	statement_run(&audit, &v);
	wake_at_commit(WORKER_DISPATCHER);
}

/*
 * SQL: refund_abnormal(refund_no, to_whom, reason, bank_type, card, name, dry_run)
 * returns refundx.refund
 */
Datum
refundx_refund_abnormal(PG_FUNCTION_ARGS)
{
	ErrorContextCallback hide = {error_context_stack, hide_statement, NULL};
	char	   *refund_no = TEXT_ARG(0);
	char	   *reason = TEXT_ARG(2);
	bool		dry_run = !PG_ARGISNULL(6) && PG_GETARG_BOOL(6);
	char		masked[129];
	char	   *order;
	ChannelError err = {{0}};
	Abnormal	a = {0};
	Datum		result;

	error_context_stack = &hide;
	shmem_require();
	handler_refuse("refund_abnormal");
	argument_text("refund_no", refund_no, CHANNEL_NO_MAX);
	argument_text("reason", reason, 1000);
	SPI_connect();
	order = order_json(TEXT_ARG(1), TEXT_ARG(3), TEXT_ARG(4), TEXT_ARG(5));
	lock_abnormal(refund_no, &a);
	if (!a.product->divert_acceptable(order, masked, &err))
		channel_refuse(ERRCODE_RX_CHANNEL_REFUSES, a.product->label, &err);
	if (!dry_run)
		keep_order(&a, masked, order, reason);
	explicit_bzero(order, strlen(order));
	result = refund_datum(fcinfo, refund_no);
	SPI_finish();
	error_context_stack = hide.previous;
	return result;
}
