/*-------------------------------------------------------------------------
 *
 * channel.h
 *	  What a payment channel is to refundx: one table of pure functions.
 *
 * A channel turns (configuration, instruction, time, nonce) into an HTTP
 * request, and (HTTP answer or callback, time) into evidence.  It opens no
 * socket, reads no clock, draws no random number, and knows neither Postgres
 * nor our states.  That makes it testable without a server, fuzzable under
 * sanitizers, and lets the sandbox's tests use the very same code.
 *
 * Every function may be given any bytes at all.  None may crash, block, or
 * keep a pointer to what it was given.
 *
 * This header must not include postgres.h.
 *
 * src/channel/channel.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_CHANNEL_H
#define REFUNDX_CHANNEL_H

#include "base/http_message.h"
#include "channel/verdict.h"

#define CHANNEL_NO_MAX			64	/* longest number any channel takes */
#define CHANNEL_MERCHANT_MAX	64

typedef enum ChannelCall
{
	CALL_SUBMIT,				/* pay; idempotent per wire number */
	CALL_QUERY,					/* ask about a wire number; moves nothing */
	CALL_CANCEL,				/* ask the channel to give it up; a query tells whether
								 * it has */
	CALL_ABNORMAL,				/* send what the payee cannot receive elsewhere; a query
								 * tells who got it */
	CALL_ECHO					/* the channel's self-test, if it has one */
} ChannelCall;

#define CHANNEL_CALL_COUNT	(CALL_ECHO + 1)

extern const char *channel_call_name(ChannelCall call);	/* "submit", ... */
extern bool channel_call_from_name(const char *name, ChannelCall *call);

/* What a channel does with money: pay a payment back, or pay somebody out. */
typedef enum ProductKind
{
	PRODUCT_REFUND,
	PRODUCT_TRANSFER			/* what pays a withdrawal */
} ProductKind;

#define PRODUCT_COUNT	(PRODUCT_TRANSFER + 1)

/* As in refundx.instruction.kind: "refund", "withdrawal". */
extern const char *product_name(ProductKind kind);
extern bool product_from_name(const char *name, ProductKind *kind);

/* An error in plain words: what was wrong, and what to do about it. */
typedef struct ChannelError
{
	char		message[256];
	char		hint[256];
} ChannelError;

/*
 * Where a channel's configuration comes from.  Keys are named in the JSON and
 * read through `read_key`, so that a channel never touches a file itself.
 */
typedef struct ChannelSource
{
	const char *config_json;	/* the channel's config, a JSON object */
	bool		(*read_key) (void *arg, const char *name, bool secret,
							 Buf *out, char *err, size_t errsize);
	void	   *arg;
} ChannelSource;

/*
 * One line of a report for people: of channel_check, or of what was made of a
 * callback, step by step.
 */
typedef enum FindingLevel
{
	FINDING_OK,
	FINDING_WARNING,
	FINDING_ERROR
} FindingLevel;

typedef struct ChannelFindings
{
	void		(*add) (void *arg, FindingLevel level, const char *item, const char *text);
	void	   *arg;
} ChannelFindings;

/* Nothing if findings is NULL; the text is clipped to what one may have. */
extern void finding(const ChannelFindings *findings, FindingLevel level, const char *item,
					const char *fmt,...) __attribute__((format(printf, 4, 5)));

/* What a channel may know of a refund or a withdrawal. */
typedef struct ChannelInstruction
{
	const char *wire_no;		/* the number that the channel sees */
	int64_t		amount;			/* minor units: what the payee gets */
	const char *currency;		/* ISO 4217, three letters */
	const char *reason;			/* or NULL */
	const char *notify_url;		/* or NULL: callbacks are then not asked for */

	/* of a refund: */
	const char *payment_no;
	const char *channel_payment_id; /* the channel's own id, or NULL */
	int64_t		payment_amount;	/* minor units; what was paid */
	int64_t		paid_at;		/* unix seconds; 0 = unknown */
	int			parts_before;	/* refunds of this payment before this one */
	const char *payment_data;	/* payment's channel_data as JSON, or NULL */

	/*
	 * of a withdrawal: whom to pay, and what else the channel needs, as JSON.
	 * The payee is in the clear here, and nowhere else: it may be in a request,
	 * and never in a message.  It is NULL once the request has been frozen.
	 */
	const char *payee;
	const char *transfer_data;	/* the withdrawal's channel_data, or NULL */
	bool		transfer_defaults;	/* the configuration says what of it is left out */

	/* What is known once something of it has been sent. */
	const char *channel_refund_id;	/* the channel's own id of it, or NULL */
	int			generation;		/* how often a query that counts has found nothing,
								 * so that it was sent again: 0 the first time */
	const char *cursor;			/* a query's next page (evidence.cursor), or NULL */
} ChannelInstruction;

/* The moment of a call: everything that makes two calls differ. */
typedef struct ChannelMoment
{
	int64_t		now;			/* unix seconds, the wall clock */
	const char *nonce;			/* 32 characters, [0-9a-f] */
	bool		use_backup;		/* build it for the backup host, if there is one */
} ChannelMoment;

/*
 * What an answer, a callback or a bill line says.  `proof` tells whether it
 * is authenticated and of the kind that may move money; otherwise it is a
 * hint, whatever the verdict: a hint makes us ask.
 *
 * A hint may name no refund, only a payment (wire_no ""): then all refunds of
 * that payment are asked about.
 *
 * An answer to a query may be the first page of several and not hold what was
 * looked for: then `more` is set and nothing else counts; the caller builds
 * the query again with this cursor, within the same attempt.
 */
typedef struct ChannelEvidence
{
	ProductKind product;		/* a number means one thing in each */
	Verdict		verdict;
	bool		proof;
	bool		authentic;		/* its signature was verified */
	int			http_status;	/* 0 for callbacks */
	char		merchant[CHANNEL_MERCHANT_MAX + 1]; /* "" if it does not say */
	char		wire_no[CHANNEL_NO_MAX + 1];
	char		payment_no[CHANNEL_NO_MAX + 1];
	char		channel_payment_id[CHANNEL_NO_MAX + 1];
	char		channel_refund_id[CHANNEL_NO_MAX + 1];
	bool		has_amount;
	int64_t		amount;			/* this refund's own, minor units */
	bool		has_payer_amount;
	int64_t		payer_amount;	/* what the payer really gets */
	char		currency[4];	/* "" if it does not say */
	char		code[65];		/* the channel's own code or status */
	char		message[257];	/* the channel's own words; for people only */
	char		detail[129];	/* e.g. which account received it (masked) */
	char		request_id[129];	/* the channel's trace id */
	int64_t		occurred_at;	/* unix microseconds; 0 if it does not say */
	int			retry_after;	/* seconds; 0 if it does not say */

	/*
	 * What the application has to hand to the payee, who must still confirm
	 * (WeChat's package_info); opaque, "" if there is none.
	 */
	char		handover[1025];
	bool		failing;		/* counts against limits.failing_per_second */
	bool		more;			/* the query goes on with the next page */
	char		cursor[CHANNEL_NO_MAX + 1];

	/*
	 * SHA-256 of what it means, without what differs between two deliveries
	 * of the same message (time stamp, nonce, signature).  Evidence is unique
	 * per channel and digest.
	 */
	unsigned char digest[32];
} ChannelEvidence;

/* What became of a callback's bytes. */
typedef enum CallbackResult
{
	CALLBACK_EVIDENCE,			/* verified, and `evidence` is filled */
	CALLBACK_NOT_OURS,			/* verified, but about something else (a payment) */
	CALLBACK_TEST,				/* verified, a self-test: acknowledge, keep nothing */
	CALLBACK_BAD_HEADERS,		/* a header is missing or malformed */
	CALLBACK_BAD_TIME,			/* signed too long ago, or in the future */
	CALLBACK_UNKNOWN_KEY,		/* signed with a key that we do not have */
	CALLBACK_BAD_SIGNATURE,
	CALLBACK_SIGNATURE_TEST,	/* the channel's deliberate wrong signature */
	CALLBACK_BAD_BODY,			/* verified, but unreadable */
	CALLBACK_BAD_CIPHER,		/* verified, but does not decrypt */
	CALLBACK_OLD_PROTOCOL		/* e.g. a v2 XML body */
} CallbackResult;

#define CALLBACK_RESULT_COUNT	(CALLBACK_OLD_PROTOCOL + 1)

extern const char *callback_result_name(CallbackResult r);	/* "bad_signature" */

typedef struct ChannelReply
{
	int			status;
	const char *content_type;	/* static; NULL = no body */
	char		body[256];
} ChannelReply;

/* One row of a channel's verdict table: data, visible in refundx.verdicts. */
typedef struct VerdictRule
{
	ChannelCall call;
	int			http_status;	/* 0 = any */
	const char *code;			/* NULL = any */
	Verdict		verdict;
	bool		signed_only;	/* proof, because such answers are signed */
	const char *comment;
	const char *source;			/* where the channel documents it */
} VerdictRule;

/* What a channel allows.  Times are seconds unless named otherwise. */
typedef struct ChannelLimits
{
	int			number_max;		/* bytes */
	const char *number_charset; /* every character it takes */
	const char *number_rule;	/* the same in words, for error messages */
	int			reason_max;		/* bytes; longer reasons are refused at submit */
	const char *const *currencies;	/* NULL-terminated */
	int			max_parts;		/* refunds of one payment; 0 = no limit */
	int64_t		max_age;		/* of the payment; 0 = no limit */
	int			part_spacing;	/* between the starts of two refunds of a payment */
	int			calls_per_second;	/* per merchant, all calls */
	int			failing_per_second; /* per merchant, calls answered with an error */
	int			not_found_after;	/* a not-found counts only if the query began
									 * this long after the last attempt ended */
	int64_t		send_window;	/* a number may be sent again until this long
								 * after its first attempt; 0 = for ever */
	int64_t		ask_window;		/* likewise for queries */
	int			connect_timeout_ms;
	int			call_timeout_ms;
	const int  *poll_accepted;	/* delays between queries, 0-terminated; the last
								 * repeats for ever */
	const int  *poll_unknown;
	const int  *poll_abnormal;
	const char *const *repeat_while;	/* an accepted one is sent again, with the same bytes
								 * and within its window, while its code is one of
								 * these: the channel goes on with it only then.
								 * NULL-terminated; NULL = never */
	const int  *poll_succeeded; /* of what may come back after it has arrived;
								 * ends, unlike the others; NULL = never asked about */
} ChannelLimits;

/*
 * Who is to be paid, as a channel reads it.  `identity` is what makes two payees
 * the same (it is kept as a keyed hash only); `masked` is what people may see.
 */
typedef struct ChannelPayee
{
	char		identity[257];
	char		masked[129];	/* "openid oUpF****6Yk0" */
} ChannelPayee;

/* One of the things that a channel does with money. */
typedef struct ChannelProduct
{
	ProductKind kind;
	const char *label;			/* the channel's, in sentences for people */
	ChannelLimits limits;
	const VerdictRule *verdicts;
	int			verdict_count;
	bool		can_cancel;		/* there is a CALL_CANCEL */

	/*
	 * Transfers only: read the payee.  False and *err (with a hint) if the
	 * channel could never pay it; the message names the member, and never what
	 * stands in it.
	 */
	bool		(*payee) (const char *payee_json, ChannelPayee *out, ChannelError *err);

	/*
	 * What the channel would refuse anyway, including what payment_data or
	 * transfer_data has that it does not take; false and *err (with a hint).
	 */
	bool		(*acceptable) (const ChannelInstruction *instr, int64_t now, ChannelError *err);

	/*
	 * The business bytes of a submit.  They are stored before the first
	 * attempt and never change for a wire number; build() signs and sends
	 * exactly these.
	 */
	bool		(*freeze) (void *config, const ChannelInstruction *instr,
						   Buf *request, ChannelError *err);
	bool		(*build) (void *config, ChannelCall call, const ChannelInstruction *instr,
						  const Buf *frozen, const ChannelMoment *moment,
						  HttpRequest *out, ChannelError *err);

	/*
	 * CALL_ABNORMAL; both NULL: there is no such call.  The order is JSON: {"to":
	 * "merchant"}, or {"to": "user", ...} with what the channel wants to know of the
	 * payee.  `masked` is what people may see of it; no message says what stands in it.
	 * Its request is frozen as a submit's is, and build() sends that.
	 */
	bool		(*divert_acceptable) (const char *order_json, char masked[129], ChannelError *err);
	bool		(*divert_freeze) (void *config, const ChannelInstruction *instr,
								  const char *order_json, Buf *request, ChannelError *err);

	/* Never fails: what it cannot read is VERDICT_UNKNOWN and no proof. */
	void		(*read_answer) (void *config, ChannelCall call,
								const ChannelInstruction *instr,
								const HttpAnswer *answer, int64_t now,
								ChannelEvidence *out);
} ChannelProduct;

struct ChannelBill;				/* channel/bill.h */

typedef struct Channel
{
	const char *kind;			/* "wechat": in SQL and in URLs */
	const char *label;			/* "WeChat Pay": in sentences for people */
	const ChannelProduct *refund;
	const ChannelProduct *transfer; /* NULL: it pays no withdrawals */
	const struct ChannelBill *const *bills; /* NULL-terminated; NULL: it makes none */

	/* The merchant a configuration names (no keys needed); false on error. */
	bool		(*merchant) (const char *config_json, char merchant[CHANNEL_MERCHANT_MAX + 1],
							 ChannelError *err);

	/* Parse a configuration and load its keys.  NULL and *err on failure. */
	void	   *(*open) (const ChannelSource *source, ChannelError *err);
	void		(*close) (void *config);

	/* Everything wrong or right with a configuration, in plain words. */
	void		(*check) (const ChannelSource *source, int64_t now,
						  const ChannelFindings *findings);

	/*
	 * `trace` is NULL, or gets each step in words for callback_inspect: what
	 * was signed, with which key, how far the clocks are apart, what it means.
	 * It must never get what must not be in a log (names, account numbers).
	 */
	CallbackResult (*read_callback) (void *config, const HttpHeaders *headers,
									 const void *body, size_t len, int64_t now,
									 const ChannelFindings *trace, ChannelEvidence *out);
	void		(*acknowledge) (CallbackResult result, bool stored, ChannelReply *out);
} Channel;

/* The registry: a new channel is one file and one line here. */
extern const Channel *channel_lookup(const char *kind);
extern const Channel *channel_at(int i);	/* NULL past the end */
extern const ChannelProduct *channel_product(const Channel *channel, ProductKind kind);	/* or NULL */

/*
 * The rule for an answer: the first row that fits, so specific rows stand
 * before general ones.  NULL (= unknown) if none does.
 */
extern const VerdictRule *channel_judge(const ChannelProduct *product, ChannelCall call,
										int http_status, const char *code);

/*
 * Why a channel has ended something (its code, or NULL), in words for whom it pays:
 * in Chinese if the language is (zh..., or NULL), in English otherwise.
 */
extern const char *channel_failure_words(const char *code, const char *language);

/* Shared by channels: the number rule of `limits`. */
extern bool channel_number_acceptable(const ChannelProduct *product, const char *no,
									  ChannelError *err);

/*
 * What a configuration may change for a sandbox, which must be on a loopback
 * address; otherwise the limit itself, and 1.  time_scale is how much faster
 * the channel's clock runs: delays and spacings are divided by it.
 */
extern int	channel_not_found_after(const ChannelProduct *product, const char *config_json);
extern double channel_time_scale(const char *config_json);

#endif							/* REFUNDX_CHANNEL_H */
