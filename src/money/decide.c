/*-------------------------------------------------------------------------
 *
 * decide.c
 *	  What people decide about an instruction that exists: cancel, approve,
 *	  reject.
 *
 * Each goes through the state table under the row's lock, which the dispatcher's
 * claim needs as well.  What was never attempted is canceled here and now, and its
 * money released; everything else is the channel's to say.  A withdrawal that the
 * channel has may be asked back: state and freeze stay until the channel's word,
 * and a success wins.
 *
 * Four eyes: who approves is another person than who submitted.  A person is
 * refundx.actor where it is set, and session_user otherwise; SET ROLE changes
 * neither.
 *
 * src/money/decide.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/money.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/shmem.h"
#include "funcapi.h"
#include "money/handler.h"
#include "money/instruction.h"
#include "money/journal.h"
#include "money/policy.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(refundx_refund_cancel);
PG_FUNCTION_INFO_V1(refundx_withdraw_cancel);
PG_FUNCTION_INFO_V1(refundx_withdraw_approve);
PG_FUNCTION_INFO_V1(refundx_withdraw_reject);

/* A locked instruction, with its payment if it has one. */
typedef struct Locked
{
	int64		instruction_id;
	ProductKind kind;
	const char *number;
	State		state;
	char	   *since;			/* as text */
	int			attempts;
	bool		may_be_lost;	/* of the same number, by whom a recovery follows */
	int64		payment_id;		/* 0 = none */
	char	   *payment_hold;
	char	   *hold;			/* its own */
	int64		account_id;		/* 0 = none */
	int64		cap_account_id; /* whose day's limit it counts on; 0 = none */
	int64		amount;			/* with the fee */
	bool		cancel_requested;
	const ChannelProduct *product;
	char	   *submitted_by;
	char	   *actor;			/* who submitted it, as submitted_by said; NULL = it did not */
} Locked;

#define TEXT_ARG(i) (PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i)))

static void
lock_instruction(const char *number, ProductKind kind, bool own_only, Locked *l)
{
	/* payment, instruction: the order of locks; the account comes when it is posted to */
	static Statement lock_payment = {
		"SELECT p.payment_id, p.hold FROM refundx.instruction i JOIN refundx.payment p USING (payment_id)"
		" WHERE i.instruction_no = $1 AND i.kind = $2"
		"   FOR NO KEY UPDATE OF p", ARGS(TEXTOID, TEXTOID)
	};
	static Statement lock = {
		"SELECT i.instruction_id, i.state, i.state_since::text, i.attempts, i.account_id, i.amount + i.fee,"
		"       i.cancel_requested_at IS NOT NULL, c.kind, i.submitted_by, o.actor,"
		"       CASE WHEN o.capped_on IS NOT NULL THEN o.account_id END, i.hold,"
		"       i.state = 'queued' AND i.attempts = 0 AND refundx.recovery_asks(i.instruction_id, i.merchant_id)"
		"  FROM refundx.instruction i"
		"  JOIN refundx.channel c USING (channel_id)"
		"  LEFT JOIN refundx.payout o ON o.instruction_id = i.instruction_id"
		" WHERE i.instruction_no = $1 AND i.kind = $2"
		"   AND (NOT $3 OR i.submitted_by = session_user OR refundx.reads_all())"
		"   FOR NO KEY UPDATE OF i", ARGS(TEXTOID, TEXTOID, BOOLOID)
	};
	const Channel *channel;
	Values		v = {0};

	memset(l, 0, sizeof(*l));
	l->number = number;
	l->kind = kind;
	values_text(&v, number);
	values_text(&v, product_name(kind));
	if (kind == PRODUCT_REFUND && statement_run(&lock_payment, &v) == 1)
	{
		l->payment_id = row_int8(0, 1);
		l->payment_hold = row_text(0, 2);
	}
	values_bool(&v, own_only);
	if (statement_run(&lock, &v) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_RX_UNKNOWN_REFUND),
				 errmsg("%s \"%s\" does not exist", product_name(kind), number)));
	l->instruction_id = row_int8(0, 1);
	if (!state_from_name(row_text(0, 2), &l->state))
		elog(ERROR, "%s \"%s\" has an unknown state", product_name(kind), number);
	l->since = row_text(0, 3);
	l->attempts = row_int4(0, 4);
	l->account_id = row_int8(0, 5);
	l->amount = row_int8(0, 6);
	l->cancel_requested = row_bool(0, 7);
	channel = channel_lookup(row_text(0, 8));
	l->product = channel ? channel_product(channel, kind) : NULL;
	l->submitted_by = row_text(0, 9);
	l->actor = row_text(0, 10);
	l->cap_account_id = row_int8(0, 11);
	l->hold = row_text(0, 12);
	l->may_be_lost = row_bool(0, 13);
}

static void
refuse(const Locked *l, const char *what, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_RX_STATE),
			 errmsg("%s \"%s\" cannot be %s", product_name(l->kind), l->number, what),
			 errdetail("It is %s since %s, after %d attempts: %s.", state_name(l->state), l->since,
					   l->attempts, why),
			 errhint("SELECT refundx.%s_explain('%s') says what it waits for.",
					 l->kind == PRODUCT_REFUND ? "refund" : "withdraw", l->number)));
}

/* It ends here, unsent: everything goes back. */
static void
end_unsent(const Locked *l, const Transition *t, const char *event, const char *reason)
{
	static Statement cancel = {
		"UPDATE refundx.instruction SET state = $3, is_open = false, state_since = clock_timestamp(),"
		"       detail = $2, due_at = NULL, due_call = NULL,"
		"       person_reason = NULL, person_suggestion = NULL, person_since = NULL"
		" WHERE instruction_id = $1", ARGS(INT8OID, TEXTOID, TEXTOID)
	};
	static Statement release = {
		"UPDATE refundx.payment SET refunding = refunding - $2, parts = parts - 1 WHERE payment_id = $1",
		ARGS(INT8OID, INT8OID)
	};
	AccountRow	row;
	Values		v = {0};

	if (l->payment_hold != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RX_ON_HOLD),
				 errmsg("the payment of refund \"%s\" is on hold: %s", l->number, l->payment_hold)));
	if (l->hold != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_RX_ON_HOLD),
				 errmsg("%s \"%s\" is on hold: %s", product_name(l->kind), l->number, l->hold),
				 errhint("An operator lifts that with refundx.release().")));
	values_int8(&v, l->instruction_id);
	values_text(&v, reason);
	values_text(&v, state_name(t->to));
	statement_run(&cancel, &v);
	if (l->payment_id != 0)
	{
		values_reset(&v);
		values_int8(&v, l->payment_id);
		values_int8(&v, l->amount);
		statement_run(&release, &v);
	}
	event_add(l->instruction_id, event, state_name(l->state), state_name(t->to), reason);
	if (l->cap_account_id != 0)
	{
		/* the account's own row comes before its slots in the order of keys */
		if (!journal_account_row(l->cap_account_id, JOURNAL_LOCK_WAIT, &row))
			elog(ERROR, "account %lld vanished", (long long) l->cap_account_id);
		policy_uncount(l->instruction_id);
	}
	if (l->account_id != 0)
		journal_post(l->account_id, JOURNAL_RELEASE, l->amount, l->instruction_id, NULL, NULL);
	handlers_after(l->instruction_id, l->kind, t->to);
	wake_at_commit(WORKER_DISPATCHER);
}

/*
 * SQL: refund_cancel(refund_no, reason) returns refundx.refund.
 *
 * Only a refund that was never attempted is canceled here.
 */
Datum
refundx_refund_cancel(PG_FUNCTION_ARGS)
{
	char	   *refund_no = TEXT_ARG(0);
	const Transition *t;
	Locked		l;
	Datum		result;

	shmem_require();
	argument_text("refund_no", refund_no, CHANNEL_NO_MAX);
	SPI_connect();
	lock_instruction(refund_no, PRODUCT_REFUND, true, &l);
	t = state_transition(l.state, INPUT_CANCEL);
	if (t->reaction == REACTION_REFUSE)
		refuse(&l, "canceled", t->comment);
	if (t->reaction == REACTION_MOVE && l.attempts > 0)
		refuse(&l, "canceled", "the channel may have executed one of them");
	if (t->reaction == REACTION_MOVE && l.may_be_lost)
		refuse(&l, "canceled", "a recovery is under way, and its number may have been used in what was lost: it is asked about first");
	if (t->reaction == REACTION_MOVE)
		end_unsent(&l, t, "canceled", TEXT_ARG(1));
	result = refund_datum(fcinfo, refund_no);
	SPI_finish();
	return result;
}

/*
 * Ask the channel to give it up.  Nothing else changes: not the state, and not the
 * freeze.  What may have been sent is asked about first, as always.
 */
static void
request_cancel(const Locked *l, const char *reason)
{
	static Statement request = {
		"UPDATE refundx.instruction"
		"   SET cancel_requested_at = $2, polls = 0,"
		"       due_at = CASE WHEN state = 'sending' THEN due_at ELSE $2 END,"
		"       due_call = CASE state WHEN 'sending' THEN due_call WHEN 'accepted' THEN 'cancel' ELSE 'query' END"
		" WHERE instruction_id = $1", ARGS(INT8OID, TIMESTAMPTZOID)
	};
	Values		v = {0};

	if (l->cancel_requested)
		return;
	values_int8(&v, l->instruction_id);
	values_time(&v, clock_now());
	statement_run(&request, &v);
	event_add(l->instruction_id, "cancel_requested", state_name(l->state), state_name(l->state), reason);
	wake_at_commit(WORKER_DISPATCHER);
}

/* SQL: withdraw_cancel(withdrawal_no, reason) returns refundx.withdrawal */
Datum
refundx_withdraw_cancel(PG_FUNCTION_ARGS)
{
	char	   *withdrawal_no = TEXT_ARG(0);
	const Transition *t;
	Locked		l;
	Datum		result;

	shmem_require();
	argument_text("withdrawal_no", withdrawal_no, CHANNEL_NO_MAX);
	SPI_connect();
	lock_instruction(withdrawal_no, PRODUCT_TRANSFER, true, &l);
	t = state_transition(l.state, INPUT_CANCEL);
	if (t->reaction == REACTION_MOVE && l.attempts == 0 && !l.may_be_lost)
		end_unsent(&l, t, "canceled", TEXT_ARG(1));
	else if (t->reaction == REACTION_STAY)
		;						/* it is canceled already */
	else if (!state_is_open(l.state))
		refuse(&l, "canceled", t->comment);
	else if (l.product == NULL || !l.product->can_cancel)
		refuse(&l, "canceled", psprintf("%s does not take back what it was sent",
										l.product ? l.product->label : "the channel"));
	else
		request_cancel(&l, TEXT_ARG(1));
	result = withdrawal_datum(fcinfo, withdrawal_no);
	SPI_finish();
	return result;
}

/*
 * Of one login only those are two persons who both said who they are: where it is
 * shared, and one of them did not, they cannot be told apart, and count as one.
 */
static void
other_person(const Locked *l)
{
	const char *person = person_name();
	const char *submitter = l->actor ? l->actor : l->submitted_by;
	bool		told_apart = strcmp(session_user_name(), l->submitted_by) != 0 ||
		(l->actor != NULL && actor_name() != NULL);

	if (told_apart && strcmp(person, submitter) != 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_RX_FOUR_EYES),
			 errmsg("withdrawal \"%s\" was submitted by %s, and nobody decides about their own", l->number, submitter),
			 errdetail("This session acts as %s.", person),
			 errhint("Another person must do it: another login, or, where a login is shared, refundx.actor (by a login with the role refundx_delegate).")));
}

static Datum
decide(FunctionCallInfo fcinfo, Input input, const char *verb)
{
	static Statement approve = {
		"UPDATE refundx.instruction"
		/* what a hint made us ask about is asked first: somebody may have sent it */
		"   SET state = $2, state_since = clock_timestamp(), due_at = $3, due_call = coalesce(due_call, 'submit')"
		" WHERE instruction_id = $1", ARGS(INT8OID, TEXTOID, TIMESTAMPTZOID)
	};
	static Statement agreed = {
		"UPDATE refundx.payout SET approved_at = clock_timestamp() WHERE instruction_id = $1", ARGS(INT8OID)
	};
	static Statement audit = {
		"INSERT INTO refundx.audit (action, subject, reason) VALUES ($1, $2, $3)",
		ARGS(TEXTOID, TEXTOID, TEXTOID)
	};
	char	   *withdrawal_no = TEXT_ARG(0);
	char	   *reason = TEXT_ARG(1);
	const Transition *t;
	Locked		l;
	Values		v = {0};
	Datum		result;

	shmem_require();
	handler_refuse(input == INPUT_APPROVE ? "approve" : "reject");
	argument_text("withdrawal_no", withdrawal_no, CHANNEL_NO_MAX);
	argument_text("reason", reason, 1000);
	SPI_connect();
	lock_instruction(withdrawal_no, PRODUCT_TRANSFER, false, &l);
	t = state_transition(l.state, input);
	if (l.state != STATE_AWAITING_APPROVAL)
		refuse(&l, verb, "it does not wait for that");
	if (input == INPUT_APPROVE && l.cancel_requested)
		refuse(&l, verb, "it is to be canceled");
	other_person(&l);
	if (input == INPUT_APPROVE)
	{
		values_int8(&v, l.instruction_id);
		values_text(&v, state_name(t->to));
		values_time(&v, clock_now());
		statement_run(&approve, &v);
		v.n = 1;
		statement_run(&agreed, &v);
		event_add(l.instruction_id, "approved", state_name(l.state), state_name(t->to), reason);
		wake_at_commit(WORKER_DISPATCHER);
	}
	else
		end_unsent(&l, t, "rejected", reason);
	values_reset(&v);
	values_text(&v, input == INPUT_APPROVE ? "approve" : "reject");
	values_text(&v, withdrawal_no);
	values_text(&v, reason);
	statement_run(&audit, &v);
	result = withdrawal_datum(fcinfo, withdrawal_no);
	SPI_finish();
	return result;
}

/* SQL: approve(withdrawal_no, reason) returns refundx.withdrawal */
Datum
refundx_withdraw_approve(PG_FUNCTION_ARGS)
{
	return decide(fcinfo, INPUT_APPROVE, "approved");
}

/* SQL: reject(withdrawal_no, reason) returns refundx.withdrawal */
Datum
refundx_withdraw_reject(PG_FUNCTION_ARGS)
{
	return decide(fcinfo, INPUT_CANCEL, "rejected");
}

/* ------------------------------------------------------------------------
 * What the functions about a withdrawal return
 * ------------------------------------------------------------------------
 */

Datum
withdrawal_datum(FunctionCallInfo fcinfo, const char *withdrawal_no)
{
	static Statement find = {
		"SELECT i.instruction_no, a.account_no, c.name, o.asked::int8, i.fee::int8, i.amount::int8, i.currency,"
		"       o.payee_masked, i.reason, i.state::text, i.detail, i.state_since, i.due_at, i.attempts,"
		"       i.cancel_requested_at, o.approval, i.person_reason, i.submitted_at"
		"  FROM refundx.instruction i"
		"  JOIN refundx.channel c USING (channel_id)"
		"  JOIN refundx.payout o ON o.instruction_id = i.instruction_id"
		"  LEFT JOIN refundx.account a ON a.account_id = o.account_id"
		" WHERE i.instruction_no = $1", ARGS(TEXTOID)
	};
	TupleDesc	desc;
	Values		v = {0};
	HeapTuple	row;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be refundx.withdrawal");
	values_text(&v, withdrawal_no);
	if (statement_run(&find, &v) != 1)
		elog(ERROR, "withdrawal \"%s\" vanished", withdrawal_no);
	row = SPI_copytuple(SPI_tuptable->vals[0]);
	return PointerGetDatum(SPI_returntuple(row, BlessTupleDesc(desc)));
}
