/*-------------------------------------------------------------------------
 *
 * stripe.h
 *	  What the files of the Stripe channel share.
 *
 *	stripe.c			limits, what is acceptable, acknowledgements
 *	stripe_currency.c	the currencies, and Stripe's units of them
 *	stripe_verdict.c	the verdict of every status and error of every call
 *	stripe_config.c		the configuration and its keys
 *	stripe_check.c		what is wrong or right with a configuration, for people
 *	stripe_request.c	the frozen form, and requests
 *	stripe_refund.c		the refund object, in answers and events alike
 *	stripe_answer.c		answers
 *	stripe_verify.c		whether Stripe signed an event
 *	stripe_callback.c	events (webhooks)
 *
 * and of bills, which are the account's balance transactions:
 *
 *	stripe_bill.c			reading pages of them
 *	stripe_bill_request.c	asking for them
 *
 * The sources of the rules are pages of docs.stripe.com, by their paths.
 *
 * Private to src/channel/.  This header must not include postgres.h.
 *
 * src/channel/stripe.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_STRIPE_H
#define REFUNDX_STRIPE_H

#include "channel/channel_settings.h"
#include "crypto/crypto.h"

#define STRIPE_BASE_URL			"https://api.stripe.com"

/* The first with pending_reason (changelog/basil/2025-04-30/refund-pending-reason). */
#define STRIPE_API_VERSION		"2025-04-30.basil"
#define STRIPE_VERSION_MAX		40
#define STRIPE_SECRETS_MAX		8	/* signing secrets per channel */
#define STRIPE_SECRET_LEN_MAX	255
#define STRIPE_CLOCK_SKEW		300 /* seconds, either way (webhooks/signature) */
#define STRIPE_REASON_MAX		500 /* a metadata value (api/metadata) */
#define STRIPE_PAGE				100 /* the most that a list gives (api/pagination) */

/*
 * A payment has some refunds, not thousands: a list that goes on for so many
 * pages is not believed, and a query ends.
 */
#define STRIPE_PAGES_MAX		100

/* Names of the verdict table for what Stripe has no word of its own. */
#define STRIPE_NOT_LISTED		"not listed"
#define STRIPE_REPLAYED			"replayed error"
#define STRIPE_OTHER_ACCOUNT	"other account"

/* A configuration's text, before any key was read. */
typedef struct StripeSettings
{
	json_t	   *root;			/* what the pointers below point into */
	char		account_id[CHANNEL_MERCHANT_MAX + 1];
	const char *secret_key;
	const char *webhook_secrets[STRIPE_SECRETS_MAX];
	int			webhook_secret_count;
	bool		connect;		/* send Stripe-Account */
	bool		test_mode;
	char		api_version[STRIPE_VERSION_MAX + 1];
	char		base_url[CHANNEL_URL_MAX + 1];
	const char *public_base_url;	/* or NULL */
	bool		loopback;
	bool		has_sandbox_settings;
} StripeSettings;

/* The secret key's kind: by its prefix. */
typedef struct StripeKeyKind
{
	bool		live;
	bool		restricted;
} StripeKeyKind;

/* An open configuration. */
typedef struct StripeConfig
{
	char		account_id[CHANNEL_MERCHANT_MAX + 1];
	char		api_version[STRIPE_VERSION_MAX + 1];
	char		base_url[CHANNEL_URL_MAX + 1];
	bool		connect;
	bool		livemode;		/* what events must say */
	char		secret_key[STRIPE_SECRET_LEN_MAX + 1];
	char		webhook_secrets[STRIPE_SECRETS_MAX][STRIPE_SECRET_LEN_MAX + 1];
	int			webhook_secret_count;
} StripeConfig;

/*
 * A refund object, read.  Its number is the one in its metadata; a refund
 * without one was not made here (the Dashboard, another system), and its
 * number is its own id.
 */
typedef struct StripeRefund
{
	char		id[CHANNEL_NO_MAX + 1];
	char		number[CHANNEL_NO_MAX + 1];
	bool		ours;			/* the number is from its metadata */
	char		status[65];		/* "" if it has none */
	char		currency[4];	/* upper case */
	bool		has_amount;		/* false: none that this currency can have */
	int64_t		amount;			/* ISO 4217 minor units */
	char		payment_intent[CHANNEL_NO_MAX + 1]; /* "" if it does not say */
	char		charge[CHANNEL_NO_MAX + 1];
	int64_t		created;		/* unix seconds; 0 if it does not say */
	char		words[257];		/* why it is as it is, for people */
	char		destination[65];	/* "card": how it was paid; "" if it does not say */
} StripeRefund;

extern const Channel stripe_channel;
extern const ChannelProduct stripe_refunds;

/* stripe_currency.c */
extern const char *const stripe_currencies[];

/* Upper-case code; both false if the amount cannot be had in the other's units. */
extern bool stripe_currency_known(const char *currency);
extern bool stripe_amount_to(const char *currency, int64_t iso, int64_t *stripe);
extern bool stripe_amount_from(const char *currency, int64_t stripe, int64_t *iso);

/* What amounts of this currency must be a multiple of, in ISO minor units. */
extern int	stripe_amount_step(const char *currency);

/* stripe_verdict.c */
#define STRIPE_VERDICT_COUNT	58
extern const VerdictRule stripe_verdicts[];

/* stripe_config.c */
extern bool stripe_settings_parse(const char *config_json, StripeSettings *s, ChannelError *err);
extern void stripe_settings_free(StripeSettings *s);
extern bool stripe_merchant(const char *config_json, char merchant[CHANNEL_MERCHANT_MAX + 1],
							ChannelError *err);
extern void *stripe_open(const ChannelSource *source, ChannelError *err);
extern void stripe_close(void *config);

/* Each reads one key and says what is wrong with it; check and open share them. */
extern bool stripe_load_secret_key(const ChannelSource *source, const StripeSettings *s,
								   char key[STRIPE_SECRET_LEN_MAX + 1], StripeKeyKind *kind,
								   ChannelError *err);
extern bool stripe_load_webhook_secret(const ChannelSource *source, const char *name,
									   char secret[STRIPE_SECRET_LEN_MAX + 1],
									   ChannelError *err);

/* stripe_check.c */
extern void stripe_check(const ChannelSource *source, int64_t now,
						 const ChannelFindings *findings);

/* stripe_request.c */
extern bool stripe_payment_id_acceptable(const char *id, ChannelError *err);
extern bool stripe_payment_data_acceptable(const char *payment_data, ChannelError *err);
extern bool stripe_freeze(void *config, const ChannelInstruction *instr,
						  Buf *request, ChannelError *err);
extern bool stripe_build(void *config, ChannelCall call, const ChannelInstruction *instr,
						 const Buf *frozen, const ChannelMoment *moment,
						 HttpRequest *out, ChannelError *err);

/* The rest of a GET whose URL is there: headers, timeouts. */
extern bool stripe_finish_get(const StripeConfig *config, HttpRequest *out, ChannelError *err);

/* A query's cursor: the page that is asked for next, and the id before it. */
extern bool stripe_cursor_read(const char *cursor, int *page, const char **after);
extern bool stripe_cursor_write(int page, const char *after, char *out, size_t outsize);

/* stripe_refund.c */
/* False, with the reason in *why, if the object is not a whole refund. */
extern bool stripe_refund_read(const json_t *object, StripeRefund *out, const char **why);

/* What evidence has of it besides verdict and proof. */
extern void stripe_refund_tell(const StripeRefund *refund, ChannelEvidence *out);

/* Text of Stripe's for people: without keys, without long numbers. */
extern void stripe_words(char *dst, size_t dstsize, const char *src);

/* 1 to `max` characters of A-Z a-z 0-9 and _: how Stripe's ids look. */
extern bool stripe_is_id(const char *s, size_t max);

/* stripe_answer.c */
extern void stripe_read_answer(void *config, ChannelCall call, const ChannelInstruction *instr,
							   const HttpAnswer *answer, int64_t now, ChannelEvidence *out);

/* stripe_verify.c */
/* CALLBACK_EVIDENCE if Stripe signed these bytes; otherwise why not. */
extern CallbackResult stripe_verify(const StripeConfig *config, const HttpHeaders *headers,
									const void *body, size_t len, int64_t now,
									const ChannelFindings *trace);

/* stripe_callback.c */
extern CallbackResult stripe_read_callback(void *config, const HttpHeaders *headers,
										   const void *body, size_t len, int64_t now,
										   const ChannelFindings *trace, ChannelEvidence *out);

/* stripe_bill.c, stripe_bill_request.c (channel/bill.h) */
struct ChannelBill;
struct BillReader;
struct BillInput;
struct BillExpected;

#define STRIPE_PAGE_MAX			((size_t) 2 * 1024 * 1024)	/* bytes of one page */

extern const struct ChannelBill *const stripe_bills[];
extern struct BillReader *stripe_bill_open(const struct BillInput *input,
										   const struct BillExpected *expected,
										   ChannelError *err);

#endif							/* REFUNDX_STRIPE_H */
