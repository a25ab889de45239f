/*-------------------------------------------------------------------------
 *
 * stripe.h
 *	  What the sandbox's Stripe files share.
 *
 * A Stripe account is a merchant here, a charge with its payment intent is an
 * order, and a refund's number is what its metadata says it is: Stripe itself
 * knows no number but its own.
 *
 * The four statuses of the ledger are Stripe's in other words: PROCESSING is
 * pending, SUCCESS succeeded, ABNORMAL requires_action, and CLOSED is
 * canceled where it was ABNORMAL before, and failed otherwise.
 *
 * sandbox/stripe.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SANDBOX_STRIPE_H
#define REFUNDX_SANDBOX_STRIPE_H

#include "sandbox.h"

#define STRIPE_API_VERSION	"2025-08-27.basil"	/* an account's own, without the header */
#define STRIPE_KEY_MAX		255		/* of an Idempotency-Key */
#define STRIPE_KEY_LIFE_MS	INT64_C(86400000)	/* "at least 24 hours old" */
#define STRIPE_TOTAL		INT64_C(99999999)	/* of a payment made on first sight */

/* What only this channel's outcomes have. */
typedef enum StripeTrick
{
	TRICK_NONE,
	TRICK_FORGED,				/* the answer is another refund's object */
	TRICK_WRONG_AMOUNT,			/* the answer's amount is not what was asked for */
	TRICK_LONG,					/* pending for a day */
	TRICK_UNFUNDED,				/* pending for want of funds, until somebody settles it */
	TRICK_MANY,					/* more than two pages of newer refunds */
	TRICK_OLD_SECRET,			/* webhooks are signed with the old secret only */
	TRICK_BOTH_SECRETS,			/* with both, as while a secret is rolled */
	TRICK_LIVE_EVENT,			/* each event comes first as one of live mode */
	TRICK_LATE,					/* webhooks come an hour late */
	TRICK_STALE					/* the first push's signature is ten minutes old */
} StripeTrick;

extern const SbOutcome stripe_outcomes[];

typedef struct StripeKeys
{
	char		secret_key[128];
	char		webhook_new[80];
	char		webhook_old[80];
	char		sign[8];		/* what webhooks are signed with: new, old, both */
} StripeKeys;

/* One call of the API, once it is known who makes it. */
typedef struct StripeCall
{
	SbRequest  *req;
	SbMerchant *m;				/* whose data it is about; NULL before that is known */
	bool		connected;		/* made by m's platform */
	const char *key;			/* Idempotency-Key of a POST, or NULL */
	json_t	   *params;			/* an object */
	char		digest[65];		/* of the parameters */
	char		request_id[32];
} StripeCall;

typedef struct StripeError
{
	int			status;
	const char *type;			/* NULL: what the status says */
	const char *code;			/* or NULL */
	const char *param;			/* or NULL */
	char		message[512];
} StripeError;

/* ---- stripe.c ---- */
extern void stripe_id(const char *prefix, char out[SB_ID_MAX + 1]);	/* random */
extern bool stripe_id_ok(const char *id, const char *prefix);

/*
 * The answer.  With `store` it is kept under the call's Idempotency-Key: the
 * execution of the call had begun.
 */
extern void stripe_answer(StripeCall *c, int status, json_t *body, bool store);
extern void stripe_error(StripeCall *c, const StripeError *e, bool store);
extern void stripe_fail(StripeError *e, int status, const char *code, const char *param,
						const char *fmt,...) __attribute__((format(printf, 5, 6)));

/* Which page of a list is wanted: of its beginning, or after or before an item. */
typedef struct StripePage
{
	int64_t		limit;
	const char *after;
	const char *before;
} StripePage;

/*
 * Items [*from, *to) of a list of `count`, and whether there are more that way; `at` is
 * where the named item is, -1 if nowhere, and then this is an error about `what`.
 */
extern bool stripe_find_page(const char *what, const StripePage *page, int64_t at, int64_t count,
							 int64_t *from, int64_t *to, bool *more, StripeError *e);

/* ---- stripe_form.c ---- */
extern json_t *stripe_form(const char *text, size_t len, const char **why);

/* Parameters that are not in the NULL-terminated list are refused. */
extern bool stripe_only(json_t *params, const char *const *names, StripeError *e);

/* Absent: true, and *out is as it was. */
extern bool stripe_string(json_t *params, const char *name, const char **out, StripeError *e);
extern bool stripe_integer(json_t *params, const char *name, int64_t *out, StripeError *e);
extern bool stripe_metadata(json_t *params, json_t **out, StripeError *e);	/* borrowed */

/* ---- stripe_objects.c ---- */
extern const char *stripe_status(const SbRefund *r);
extern const char *stripe_currency(const SbOrder *o);
extern json_t *stripe_refund_json(const SbRefund *r);
extern json_t *stripe_filler_json(const SbRefund *r, int i);
extern json_t *stripe_charge_json(const SbOrder *o);
extern json_t *stripe_intent_json(const SbOrder *o);
extern json_t *stripe_account_json(const SbMerchant *m);
extern json_t *stripe_balance_json(const SbMerchant *m);
extern int	stripe_fillers(const SbRefund *r);

/* Replace ids by objects as expand[] asks; each name is below `base`. */
extern bool stripe_expand(json_t *refund, const SbOrder *o, json_t *params, const char *base,
						  StripeError *e);

/* ---- stripe_refunds.c ---- */
extern void stripe_refund_create(StripeCall *c);
extern void stripe_refund_retrieve(StripeCall *c, const char *id);
extern void stripe_refund_update(StripeCall *c, const char *id);
extern void stripe_refund_cancel(StripeCall *c, const char *id);
extern void stripe_refund_due(SbRefund *r);
extern const char *stripe_refund_settle(SbRefund *r, RefundStatus status);
extern const char *stripe_number(json_t *metadata);	/* ours, or NULL */

/* ---- stripe_list.c ---- */
extern void stripe_refund_list(StripeCall *c);
/* What created asks for, in unix seconds, both included. */
extern bool stripe_created(json_t *params, int64_t *from, int64_t *to, StripeError *e);
/* The refund whose i-th filler has this id, or NULL. */
extern SbRefund *stripe_filler(const SbMerchant *m, const char *id, int *i);

/* ---- stripe_balance.c ---- */
extern void stripe_balance_list(StripeCall *c);
extern void stripe_balance_retrieve(StripeCall *c, const char *id);

/* ---- stripe_keyed.c: what Idempotency-Keys remember ---- */

/* True if the call has been answered: replayed, or refused. */
extern bool stripe_keyed(StripeCall *c);
extern void stripe_keep(StripeCall *c, int status, const char *body);
extern void stripe_apply(const json_t *record, int64_t sequence);
/* Change what a refund's data has; steals set. */
extern void stripe_set(SbRefund *r, json_t *set);

/* ---- stripe_events.c ---- */
extern void stripe_tell_created(SbRefund *r);
extern void stripe_tell_changed(SbRefund *r, json_t *previous);	/* steals previous */
extern json_t *stripe_callback_data(const SbRefund *r, RefundStatus says);
extern bool stripe_build_callback(const SbCallback *cb, HttpRequest *out);
extern bool stripe_acknowledged(long status, const char *body, size_t len);
extern int	stripe_retry_after(const SbCallback *cb);
extern const char *stripe_merchant_switch(SbMerchant *m, const char *what);

/* ---- stripe_account.c ---- */
extern bool stripe_merchant_ok(const char *id);
extern json_t *stripe_make_merchant(const char *dir, const char *id, const char *prefix);
extern bool stripe_load_merchant(SbMerchant *m, const char *dir, json_t *entry,
								 char *err, size_t errsize);
extern bool stripe_write_configs(const SbMerchant *m, const char *url);

static inline StripeKeys *
stripe_keys(const SbMerchant *m)
{
	return m->keys;
}

#endif							/* REFUNDX_SANDBOX_STRIPE_H */
