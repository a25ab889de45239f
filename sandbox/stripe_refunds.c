/*-------------------------------------------------------------------------
 *
 * stripe_refunds.c
 *	  Refunds of charges and payment intents: made, changed, settled.
 *
 * Stripe refunds what it is asked to, each time that it is asked with a key
 * that it does not know: two calls with two keys are two refunds, whatever
 * their metadata says.  The ledger shows that as paid_times 2.
 *
 * sandbox/stripe_refunds.c
 *
 *-------------------------------------------------------------------------
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "stripe.h"

#define PENDING_LONG_MS	INT64_C(86400000)
#define FILLERS			230		/* more than two pages of a hundred */

typedef struct CreateCall
{
	const char *charge;			/* or NULL */
	const char *intent;			/* or NULL */
	const char *reason;			/* or NULL */
	json_t	   *metadata;		/* or NULL */
	int64_t		amount;			/* 0 = what is left */
	char		refund_id[SB_ID_MAX + 1];
	char		no[SB_NO_MAX + 1];
} CreateCall;

/*
 * The caller's number.  Nobody but the caller knows in which key it is, so
 * that is guessed: a usual name, or one that begins with "refund", or the
 * only key that there is.
 */
const char *
stripe_number(json_t *metadata)
{
	static const char *const names[] = {"refundx_no", "refund_no", "out_refund_no", "refundx", NULL};
	const char *key,
			   *only = NULL;
	json_t	   *value;
	int			i;

	for (i = 0; names[i] != NULL; i++)
		if ((only = json_string_value(json_object_get(metadata, names[i]))) != NULL)
			return only;
	json_object_foreach(metadata, key, value)
	{
		only = json_string_value(value);
		if (strncmp(key, "refund", 6) == 0)
			return only;
	}
	return json_object_size(metadata) == 1 ? only : NULL;
}

/* ---- the parameters of a create ---- */

static bool
read_create(StripeCall *c, CreateCall *call, StripeError *e)
{
	static const char *const names[] = {"charge", "payment_intent", "amount", "reason", "metadata",
	"refund_application_fee", "reverse_transfer", "instructions_email", "expand", NULL};
	int64_t		amount = 0;
	const char *no;

	memset(call, 0, sizeof(*call));
	if (!stripe_only(c->params, names, e) ||
		!stripe_string(c->params, "charge", &call->charge, e) ||
		!stripe_string(c->params, "payment_intent", &call->intent, e) ||
		!stripe_string(c->params, "reason", &call->reason, e) ||
		!stripe_metadata(c->params, &call->metadata, e) ||
		!stripe_integer(c->params, "amount", &amount, e) ||
		!stripe_expand(NULL, NULL, c->params, "", e))
		return false;
	call->amount = amount;
	stripe_id("re_3", call->refund_id);
	no = stripe_number(call->metadata);
	if (no == NULL || *no == '\0' || !str_copy(call->no, sizeof(call->no), no))
		str_copy(call->no, sizeof(call->no), call->refund_id);
	if (call->charge == NULL && call->intent == NULL)
		stripe_fail(e, 400, "parameter_missing", NULL, "One of the following params should be "
					"provided for this request: payment_intent or charge.");
	else if (call->charge != NULL && call->intent != NULL)
		stripe_fail(e, 400, NULL, NULL, "You may only specify one of these parameters: "
					"charge, payment_intent.");
	else if (json_object_get(c->params, "amount") != NULL && amount < 1)
		stripe_fail(e, 400, "parameter_invalid_integer", "amount",
					"This value must be greater than or equal to 1.");
	else if (call->reason != NULL && strcmp(call->reason, "duplicate") != 0 &&
			 strcmp(call->reason, "fraudulent") != 0 &&
			 strcmp(call->reason, "requested_by_customer") != 0)
		stripe_fail(e, 400, NULL, "reason", "Invalid reason: must be one of duplicate, fraudulent, "
					"or requested_by_customer");
	else
		return true;
	return false;
}

/* ---- payments ---- */

/* Made on first sight, unless that is switched off; NULL: there is none such. */
static SbOrder *
find_payment(SbMerchant *m, const CreateCall *call, StripeError *e)
{
	const char *id = call->charge ? call->charge : call->intent;
	SbOrder    *o = model_order(m, call->charge, call->intent);
	char		charge[SB_ID_MAX + 1],
				intent[SB_ID_MAX + 1];
	uint64_t	h = hash_string(id, hash_string(m->mchid, 7));

	if (o != NULL)
		return o;
	if (sandbox.opt.strict_orders ||
		(call->charge ? !stripe_id_ok(id, "ch_") && !stripe_id_ok(id, "py_") : !stripe_id_ok(id, "pi_")))
	{
		stripe_fail(e, 404, "resource_missing", call->charge ? "charge" : "payment_intent",
					"No such %s: '%.80s'", call->charge ? "charge" : "payment_intent", id);
		return NULL;
	}
	/* made-up ids end with a digit, and so never with a currency */
	snprintf(charge, sizeof(charge), "ch_3%022llu0", (unsigned long long) h);
	snprintf(intent, sizeof(intent), "pi_3%022llu0", (unsigned long long) h);
	return record_order(m, call->charge ? call->charge : charge, call->intent ? call->intent : intent,
						STRIPE_TOTAL, STRIPE_TOTAL);
}

/* Why it cannot be refunded that far; the amount is filled in if it was left out. */
static bool
payment_allows(const SbOrder *o, CreateCall *call, StripeError *e)
{
	int64_t		left = o->total - o->taken;

	if (left <= 0)
	{
		stripe_fail(e, 400, "charge_already_refunded", NULL, "Charge %s has already been refunded.",
					o->transaction_id);
		return false;
	}
	if (call->amount == 0)
		call->amount = left;
	if (call->amount <= left)
		return true;
	stripe_fail(e, 400, "amount_too_large", "amount",
				"Refund amount (%lld %s) is greater than unrefunded amount on charge (%lld %s)",
				(long long) call->amount, stripe_currency(o), (long long) left, stripe_currency(o));
	return false;
}

/* ---- the effect, and what comes of it ---- */

/*
 * It takes its next step.  Whoever failed after he had succeeded has been
 * paid, and the money has come back: that is a fact about the ledger, which
 * shows it.
 */
static void
become(SbRefund *r, RefundStatus status, RefundStatus then, int64_t then_at)
{
	json_t	   *previous = json_pack("{ss}", "status", stripe_status(r));

	if (status == REFUND_CLOSED)
		stripe_set(r, json_pack("{sb ss}", "canceled", r->status == REFUND_ABNORMAL,
								"failure_reason", r->status == REFUND_SUCCESS ?
								"lost_or_stolen_card" : "expired_or_canceled_card"));
	record_settle(r, status, false, then, then_at);
	stripe_tell_changed(r, previous);
}

/* What fails after it has succeeded gives its success time to be seen. */
static int64_t
next_step_after(RefundStatus status)
{
	int			steps = status == REFUND_SUCCESS ? 20 : 1;

	return clock_now() + clock_real_delay(steps * (int64_t) sandbox.opt.callback_delay_ms) + 1;
}

void
stripe_refund_due(SbRefund *r)
{
	const SbOutcome *o = outcome_named(r->channel, r->outcome);
	RefundStatus status = r->next_status;

	if (status == o->first && o->then != o->first && r->status == REFUND_PROCESSING)
		become(r, status, o->then, next_step_after(status));
	else
		become(r, status, status, 0);
}

const char *
stripe_refund_settle(SbRefund *r, RefundStatus status)
{
	if (r->status == REFUND_CLOSED)
		return "the refund is final already";
	if (status == REFUND_PROCESSING || status == r->status)
		return "the refund cannot become that";
	if (r->status == REFUND_SUCCESS && status != REFUND_CLOSED)
		return "a refund that has succeeded can only become CLOSED: failed, and the money is back";
	become(r, status, status, 0);
	return NULL;
}

static json_t *
refund_data(const StripeCall *c, const CreateCall *call, const SbOutcome *o)
{
	json_t	   *data = json_pack("{sO? ss* ss ss* sb}", "metadata",
								 json_is_object(call->metadata) ? call->metadata : NULL,
								 "reason", call->reason, "request", c->request_id,
								 "key", c->key, "connected", c->connected);

	if (o->trick == TRICK_MANY)
		json_object_set_new(data, "fillers", json_integer(FILLERS));
	return data;
}

/* Accepted, and already as far as the answer will say. */
static SbRefund *
accept_refund(StripeCall *c, SbOrder *order, const CreateCall *call, const SbOutcome *o)
{
	bool		wrong = o->trick == TRICK_WRONG_AMOUNT && call->amount > 1;
	NewRefund	n = {.no = call->no, .refund_id = call->refund_id, .digest = c->digest,
	.amount = wrong ? call->amount - 1 : call->amount, .data = refund_data(c, call, o)};
	bool		waits = o->trick == TRICK_LONG || o->trick == TRICK_UNFUNDED;
	SbRefund   *r = refund_accept(order, &n, o, o->at_once || waits || o->fault == FAULT_AFTER_CALLBACK);

	r->calls++;
	if (o->trick == TRICK_LONG)
		record_settle(r, REFUND_PROCESSING, false, o->first, clock_now() + PENDING_LONG_MS);
	if (o->at_once)
	{
		if (o->first == REFUND_CLOSED)
			stripe_set(r, json_pack("{ss}", "failure_reason", "declined"));
		record_settle(r, o->first, false, o->then, o->first != o->then ? next_step_after(o->first) : 0);
	}
	stripe_tell_created(r);
	return r;
}

/* ---- faults ---- */

/* The row's message, with the payment's id at its '$'. */
static void
row_error(StripeError *e, const SbOutcome *o, const CreateCall *call)
{
	const char *id = call->charge ? call->charge : call->intent;
	const char *mark = strchr(o->message, '$');

	if (mark != NULL)
		stripe_fail(e, o->status, o->code, NULL, "%.*s%s%s", (int) (mark - o->message), o->message,
					id, mark + 1);
	else
		stripe_fail(e, o->status, o->code, NULL, "%s", o->message);
}

/*
 * 401, 409 and 429 come before the execution begins, and are forgotten; any
 * other error is the call's result for as long as its key lives.
 */
static bool
error_is_kept(int status)
{
	return status != 401 && status != 409 && status != 429;
}

/* Another refund's object, whole and well-formed. */
static json_t *
forged(json_t *body)
{
	json_t	   *o = json_deep_copy(body);
	char		id[SB_ID_MAX + 1];
	const char *key;
	json_t	   *value;
	void	   *tmp;

	stripe_id("re_3", id);
	json_object_set_new(o, "id", json_string(id));
	stripe_id("ch_3", id);
	json_object_set_new(o, "charge", json_string(id));
	stripe_id("pi_3", id);
	json_object_set_new(o, "payment_intent", json_string(id));
	json_object_set_new(o, "status", json_string("succeeded"));
	json_object_foreach_safe(json_object_get(o, "metadata"), tmp, key, value)
		json_object_set_new(json_object_get(o, "metadata"), key, json_sprintf("X%s", id + 4));
	return o;
}

/* The call's result is kept, whether or not its caller will get it. */
static void
keep_result(StripeCall *c, json_t *body)
{
	char	   *text = json_dumps(body, JSON_INDENT(2));

	if (c->key != NULL)
		stripe_keep(c, 200, text ? text : "{}");
	free(text);
}

/* Accepted: what the caller gets to see of it. */
static void
answer_accepted(StripeCall *c, SbRefund *r, const CreateCall *call, const SbOutcome *o)
{
	json_t	   *body = stripe_refund_json(r);
	StripeError e;

	stripe_expand(body, r->order, c->params, "", &e);
	if (o->trick == TRICK_FORGED)
	{
		keep_result(c, body);
		stripe_answer(c, 200, forged(body), false);
		json_decref(body);
		return;
	}
	switch (o->fault)
	{
		case FAULT_ERROR:
			json_decref(body);
			row_error(&e, o, call);
			stripe_error(c, &e, error_is_kept(o->status));
			return;
		case FAULT_AFTER_CALLBACK:
			refund_hold_for_callback(r, c->req);
			stripe_answer(c, 200, body, true);
			become(r, o->first, o->first, 0);
			return;
		default:
			break;
	}
	keep_result(c, body);
	if (outcome_fault(c->req, true, o))
		json_decref(body);
	else
		stripe_answer(c, 200, body, false);
}

static void
strike(StripeCall *c, const CreateCall *call, const SbOutcome *o)
{
	StripeError e;

	assert(o->fault == FAULT_ERROR || o->fault == FAULT_HANG || o->fault == FAULT_RESET ||
		   o->fault == FAULT_HOLD);
	record_miss(c->m, call->no, o->name);
	if (outcome_fault(c->req, false, o))
		return;
	row_error(&e, o, call);
	stripe_error(c, &e, error_is_kept(o->status));
}

void
stripe_refund_create(StripeCall *c)
{
	CreateCall	call;
	StripeError e;
	const SbOutcome *o;
	SbOrder    *order;

	if (!read_create(c, &call, &e))
	{
		stripe_error(c, &e, false);
		return;
	}
	o = outcome_choose(stripe_outcomes, c->m, call.no, call.amount);
	if (!c->req->released && outcome_strikes(c->m, call.no, o))
	{
		strike(c, &call, o);
		return;
	}
	order = find_payment(c->m, &call, &e);
	if (order == NULL || !payment_allows(order, &call, &e))
		stripe_error(c, &e, true);
	else
	{
		SbRefund   *r = accept_refund(c, order, &call, o);

		/* a fault that comes first has been, or was released */
		answer_accepted(c, r, &call, o->effect_first || o->fault == FAULT_NONE ? o :
						&stripe_outcomes[0]);
	}
}

/* ---- one refund ---- */

static bool
find_refund(StripeCall *c, const char *id, SbRefund **r)
{
	StripeError e;

	*r = model_refund_by_id(c->m->mchid, id);
	if (*r != NULL && clock_now() >= (*r)->visible_at)
		return true;
	stripe_fail(&e, 404, "resource_missing", "id", "No such refund: '%s'", id);
	stripe_error(c, &e, true);
	return false;
}

static void
answer_refund(StripeCall *c, const SbRefund *r)
{
	json_t	   *body = stripe_refund_json(r);
	StripeError e;

	stripe_expand(body, r->order, c->params, "", &e);
	stripe_answer(c, 200, body, true);
}

/* The parameters are those; otherwise it has been answered. */
static bool
take_params(StripeCall *c, const char *const *names)
{
	StripeError e;

	if (stripe_only(c->params, names, &e) && stripe_expand(NULL, NULL, c->params, "", &e))
		return true;
	stripe_error(c, &e, false);
	return false;
}

void
stripe_refund_retrieve(StripeCall *c, const char *id)
{
	static const char *const names[] = {"expand", NULL};
	int			i;
	SbRefund   *r = stripe_filler(c->m, id, &i);

	if (!take_params(c, names))
		return;
	if (r != NULL)
		stripe_answer(c, 200, stripe_filler_json(r, i), false);
	else if (find_refund(c, id, &r))
		answer_refund(c, r);
}

/* An empty value takes a key away, and an empty metadata all of them. */
static json_t *
merged(const SbRefund *r, json_t *change)
{
	json_t	   *out = json_deep_copy(json_object_get(r->data, "metadata"));
	const char *key;
	json_t	   *value;

	if (!json_is_object(out) || !json_is_object(change))
	{
		json_decref(out);
		out = json_object();
	}
	json_object_foreach(change, key, value)
	{
		if (json_string_length(value) == 0)
			json_object_del(out, key);
		else
			json_object_set(out, key, value);
	}
	return out;
}

void
stripe_refund_update(StripeCall *c, const char *id)
{
	static const char *const names[] = {"metadata", "expand", NULL};
	json_t	   *change;
	json_t	   *before;
	StripeError e;
	SbRefund   *r;

	if (!take_params(c, names))
		return;
	if (!stripe_metadata(c->params, &change, &e))
		stripe_error(c, &e, false);
	else if (find_refund(c, id, &r))
	{
		if (change != NULL)
		{
			before = json_deep_copy(json_object_get(r->data, "metadata"));
			stripe_set(r, json_pack("{so}", "metadata", merged(r, change)));
			stripe_tell_changed(r, json_pack("{so}", "metadata", before ? before : json_object()));
		}
		answer_refund(c, r);
	}
}

void
stripe_refund_cancel(StripeCall *c, const char *id)
{
	static const char *const names[] = {"expand", NULL};
	StripeError e;
	SbRefund   *r;

	if (!take_params(c, names) || !find_refund(c, id, &r))
		return;
	if (r->status != REFUND_ABNORMAL)
	{
		stripe_fail(&e, 400, NULL, NULL, "You can only cancel a refund with status requires_action; "
					"%s is %s.", id, stripe_status(r));
		stripe_error(c, &e, true);
		return;
	}
	become(r, REFUND_CLOSED, REFUND_CLOSED, 0);
	answer_refund(c, r);
}
