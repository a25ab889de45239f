/*-------------------------------------------------------------------------
 *
 * sandbox.h
 *	  The channel simulator: what its parts know of each other.
 *
 * One thread, one loop (serve.c).  A turn of the loop takes in whatever has
 * arrived, decides it, writes everything that was decided to the ledger with
 * one fdatasync, and only then lets answers and callbacks out.  So nobody
 * ever sees an effect that a kill -9 could take back.
 *
 * The model (model.c) changes only by applying ledger records, live and at
 * replay alike.  That is the whole recovery code.
 *
 * The sandbox must not use src/channel, src/notice or src/net: it is a second,
 * independent reading of the channels' documents, and a misunderstanding
 * shared by both sides would pass every test.
 *
 * sandbox/sandbox.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SANDBOX_H
#define REFUNDX_SANDBOX_H

#include <jansson.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/http_message.h"
#include "crypto/crypto.h"
#include "map.h"

#define SB_NO_MAX		64
#define SB_MCHID_MAX	32
#define SB_ID_MAX		64

typedef struct SbChannel SbChannel;
typedef struct SbMerchant SbMerchant;
typedef struct SbOrder SbOrder;
typedef struct SbRefund SbRefund;
typedef struct SbTransfer SbTransfer;	/* transfer.h */
typedef struct TransferPath TransferPath;
typedef struct SbPlant SbPlant; /* books.h */

/* What is wrong with a bill's file, or with asking for it (spoil.c). */
typedef enum SbSpoil
{
	SPOIL_NONE,
	SPOIL_CREATING,				/* it is still being made */
	SPOIL_LIMITED,				/* asked too often */
	SPOIL_ERROR,				/* 500, or what the channel has instead */
	SPOIL_NOTHING,				/* there was no business, it says */
	SPOIL_EXPIRED,				/* the URL is dead when it comes */
	SPOIL_CUT,					/* the file ends in the middle, and is packed so */
	SPOIL_TORN,					/* the packed file ends in the middle */
	SPOIL_HASH,					/* the hash announced is another file's */
	SPOIL_TOTALS,				/* they do not add up */
	SPOIL_HISTORIC,				/* the layout of years ago */
	SPOIL_FOREIGN,				/* another merchant's file */
	SPOIL_OTHER_DAY,			/* the file of the day before */
	SPOIL_PATHS					/* a ZIP whose entries have absolute paths */
} SbSpoil;
typedef struct SbCallback SbCallback;
typedef struct SbRequest SbRequest;

/* ---- settings of one run (main.c) ---- */

typedef enum CallbackKey
{
	CALLBACK_KEY_PUBLIC,		/* the WeChat Pay public key (new merchants) */
	CALLBACK_KEY_CERTIFICATE,	/* the platform certificate (old ones) */
	CALLBACK_KEY_MIXED			/* both in turn, as during a migration */
} CallbackKey;

/* What a payee does who has to confirm a transfer (WeChat Pay). */
typedef enum PayeeHabit
{
	PAYEE_CONFIRMS,				/* by himself, after the callback delay */
	PAYEE_WAITS,				/* until ctl confirm or decline */
	PAYEE_DECLINES
} PayeeHabit;

typedef struct SbOptions
{
	const char *data;			/* the directory */
	int			port;			/* 0 = any */
	double		speed;			/* sandbox seconds per real second */
	bool		chaos;			/* outcomes are drawn, not chosen by amount */
	double		chaos_percent;	/* how many refunds get a bad outcome */
	uint64_t	seed;
	double		plant_percent;	/* how many refunds and transfers the bills differ about */
	int			callback_delay_ms;	/* real time */
	int			not_found_ms;	/* sandbox time: outcome 9012 */
	int			hold_ms;		/* real time: how long a hung call hangs */
	int			not_found_after;	/* seconds, goes into the configurations */
	int64_t		order_total;	/* of orders whose total nobody tells; minor units */
	int			callback_connections;
	CallbackKey callback_key;
	PayeeHabit	payee;			/* of transfers whose outcome does not say */
	const char *currency;		/* of Stripe payments that do not say; NULL = usd */
	const char *callback_ca;	/* trusted for https callbacks; NULL = system's */
	const char *tls_cert;
	const char *tls_key;
	bool		limits;			/* enforce the channel's rate limits */
	bool		strict_orders;	/* refunds only of registered orders */
	bool		no_certificates;	/* GET /v3/certificates says 404 */
	bool		no_fsync;		/* survive kill -9, not a power cut */
} SbOptions;

/* ---- who and what there is ---- */

struct SbMerchant
{
	const SbChannel *channel;
	char		mchid[SB_MCHID_MAX + 1];	/* whatever the channel calls it */
	char		prefix[SB_MCHID_MAX + 2];	/* of its key files: "" or "<mchid>-" */
	void	   *keys;			/* the channel's own */
	char	   *notify_url;		/* for what brings no URL of its own, or NULL */

	char	   *gateway_url;	/* for messages to the application's gateway, or NULL */

	int64_t		funded_at;		/* ledger sequence of the last top-up */

	/* The account that transfers are paid from; refunds have nothing to do with it. */
	bool		balance_known;	/* false = there is always enough */
	int64_t		balance;
	int64_t		balance_at;		/* ledger sequence of its last change by a person */

	/* What its bills begin with (books.h). */
	int64_t		fee_rate;		/* the channel's own, in millionths */
	int64_t		opening[2];		/* of its accounts, minor units */
	int64_t		bill_second;	/* when a bill was last asked for, and how often then */
	int			bills_asked;

	/* Calls in the current second, and the worst second so far. */
	int64_t		second;
	int			ok_now;
	int			failing_now;
	int			peak_ok;
	int			peak_failing;
	int64_t		ok_total;
	int64_t		failing_total;
	int64_t		throttled;
};

struct SbOrder
{
	SbMerchant *merchant;
	char		transaction_id[SB_ID_MAX + 1];
	char		out_trade_no[SB_ID_MAX + 1];
	int64_t		total;
	int64_t		payer_total;	/* less than total when a coupon paid a part */
	int64_t		taken;			/* by refunds that are not CLOSED */
	int			parts;			/* likewise */
	int64_t		last_refund_at; /* sandbox clock: when the last was accepted */
	int64_t		created;		/* business clock, ms */
	int64_t		sequence;		/* of its record in the ledger */
	SbRefund   *last;			/* its newest refund, or NULL */
};

typedef enum RefundStatus
{
	REFUND_PROCESSING,
	REFUND_SUCCESS,
	REFUND_CLOSED,
	REFUND_ABNORMAL
} RefundStatus;

extern const char *refund_status_name(RefundStatus s);
extern bool refund_status_parse(const char *s, RefundStatus *out);

struct SbRefund
{
	const SbChannel *channel;
	SbOrder    *order;
	char		no[SB_NO_MAX + 1];
	char		refund_id[SB_ID_MAX + 1];
	char		sub_mchid[SB_ID_MAX + 1];	/* for whom a partner acts; "" = for itself */
	char		digest[65];		/* SHA-256 of the canonical parameters */
	char		outcome[32];	/* name in the channel's table */
	char	   *notify_url;		/* NULL = its merchant's, if that has one */
	json_t	   *data;			/* what else the channel wants to remember, or NULL */
	int64_t		amount;
	RefundStatus status;
	bool		to_merchant;	/* the money went to the merchant's own account */
	bool		returned;		/* it had been paid, and the money came back */
	int			paid_times;		/* how often money went out to the payer */
	SbRefund   *before;			/* the order's refund before this one, or NULL */
	SbRefund   *first;			/* the first of the same key in model.refunds: itself, unless
								 * the channel pays a number again when asked again */
	int			number_paid;	/* the first's: paid_times of all of its number */
	int			calls;			/* create calls seen by this process */
	int64_t		created;		/* business clock, ms */
	int64_t		settled;		/* business clock, ms; 0 = not yet */
	RefundStatus first_status;	/* what it became first, and when */
	int64_t		first_settled;
	int64_t		sequence;		/* of its record in the ledger */
	SbPlant    *plants;			/* how the bills shall differ about it */
	int64_t		visible_at;		/* sandbox clock: queries find it from then on */

	/* What comes next by itself; next_at 0 = nothing. */
	int64_t		next_at;		/* sandbox clock */
	RefundStatus next_status;

	SbRequest  *waiting;		/* its answer waits for the callback */
};

typedef enum CallbackFlavour
{
	CALLBACK_TRUE,
	CALLBACK_SIGNTEST			/* wrong signature first, the true one after */
} CallbackFlavour;

struct SbCallback
{
	int64_t		id;
	const SbChannel *channel;
	const char *kind;			/* "refund", or the channel's own */
	SbRefund   *refund;			/* NULL for what is about no refund */
	SbTransfer *transfer;		/* likewise */
	SbMerchant *merchant;
	char		event_id[65];	/* the same for copies of one event */
	char	   *url;
	json_t	   *data;			/* frozen when it happened, or NULL */
	RefundStatus says;
	CallbackFlavour flavour;
	int64_t		due;			/* sandbox clock */
	int			tries;
	bool		in_flight;
	bool		finished;
	HttpRequest *ready;			/* signed in advance, or NULL */
	int64_t		ready_at;		/* wall clock, ms */
};

/* ---- what can become of a refund, as rows of a channel's table (outcome.c) ---- */

/* What goes wrong with the call that asks for a refund. */
typedef enum SbFault
{
	FAULT_NONE,
	FAULT_ERROR,				/* answered with the row's status and code */
	FAULT_HANG,					/* never answered */
	FAULT_RESET,				/* the connection is reset */
	FAULT_BAD_SIGNATURE,		/* the right answer, signed wrongly */
	FAULT_GARBAGE,				/* 200, unsigned bytes that are no JSON */
	FAULT_HOLD,					/* kept until /sandbox/release */
	FAULT_AFTER_CALLBACK		/* answered after the callback has been */
} SbFault;

typedef enum FaultWhen
{
	WHEN_FIRST,					/* the first call of a number only */
	WHEN_ALWAYS,
	WHEN_UNTIL_TOPUP,			/* until the balance is topped up */
	WHEN_TODAY,					/* until the sandbox's next day, in Beijing */
	WHEN_THIS_MONTH				/* until its next month */
} FaultWhen;

typedef struct SbOutcome
{
	int			magic;			/* amount in minor units, modulo 10000; 0 = all others */
	const char *name;
	SbFault		fault;
	FaultWhen	when;
	bool		effect_first;	/* it is accepted before the fault */
	int			status;			/* FAULT_ERROR's */
	const char *code;
	const char *sub_code;
	const char *message;
	RefundStatus first;			/* what it becomes after PROCESSING */
	RefundStatus then;			/* and after that; the same = it stays */
	bool		at_once;		/* settled already in the answer */
	bool		to_merchant;	/* ends in the merchant's own account */
	bool		hidden;			/* queries do not find it for a while */
	bool		reversed;		/* callbacks in the wrong order */
	int			callbacks;		/* pushes of each event */
	CallbackFlavour flavour;
	const TransferPath *path;	/* what becomes of a transfer; NULL = of a refund */
	const TransferPath *card_path;	/* to a bank card; NULL = the same */
	int			trick;			/* the channel's own enum; 0 = none */
	int			weight;			/* in a chaos run; 0 = never (needs a person) */
	const char *text;
} SbOutcome;

/* The row of that name; the first row, which is the normal one, if none has it. */
extern const SbOutcome *outcome_in(const SbOutcome *table, const char *name);
extern const SbOutcome *outcome_named(const SbChannel *channel, const char *name);	/* of refunds */
extern const SbOutcome *outcome_choose(const SbOutcome *table, const SbMerchant *m,
									   const char *key, int64_t amount);
/* Does a fault meet the call before anything has happened?  key: as for record_miss() */
extern bool outcome_strikes(const SbMerchant *m, const char *key, const SbOutcome *o);
/*
 * The faults that look alike at every channel: HANG, RESET, GARBAGE, and HOLD
 * before the effect.  False: the channel itself has to answer.
 */
extern bool outcome_fault(SbRequest *req, bool accepted, const SbOutcome *o);
extern void outcome_print(const SbOutcome *table, FILE *out);

typedef struct SbSms
{
	int64_t		id;
	char		provider[16];
	char		phone[32];		/* masked */
	char		out_id[SB_ID_MAX + 1];
	char		biz_id[SB_ID_MAX + 1];
	char		template[65];
	char	   *param;			/* template parameters, or the text */
	int64_t		at;				/* wall clock, ms */
} SbSms;

typedef enum SmsMode
{
	SMS_OK,
	SMS_HANG,					/* takes the request, never answers, never sends */
	SMS_DOWN,					/* resets the connection */
	SMS_500
} SmsMode;

extern const char *sms_mode_name(SmsMode m);
extern bool sms_mode_parse(const char *s, SmsMode *out);

/* ---- requests (server.c) ---- */

typedef enum AnswerAction
{
	ANSWER_SEND,
	ANSWER_RESET				/* TCP reset, no byte of an answer */
} AnswerAction;

typedef enum HoldKind
{
	HOLD_NONE,
	HOLD_UNTIL_RESET,			/* nothing ever comes */
	HOLD_ANSWER,				/* decided; the answer waits for /sandbox/release */
	HOLD_EFFECT,				/* not decided yet; decided at /sandbox/release */
	HOLD_CALLBACK				/* decided; the answer waits for the callback */
} HoldKind;

struct SbRequest
{
	struct MHD_Connection *connection;
	char		method[8];
	Buf			uri;			/* raw, as on the request line */
	Buf			path;			/* raw, up to '?' */
	const char *query;			/* raw, after '?', or NULL */
	HttpHeaders headers;
	Buf			body;
	bool		too_large;
	bool		started;
	int64_t		arrived_us;		/* wall clock */

	/* For the logs: filled in as it becomes known. */
	const char *call;			/* static; NULL = not worth a line in wire.log */
	char		mchid[SB_MCHID_MAX + 1];
	char		no[SB_NO_MAX + 1];
	char		business[65];	/* for wire.log: hex SHA-256; "" = of the body */
	bool		wire_logged;

	bool		released;		/* second run of a HOLD_EFFECT */
	SbRequest **waits_in;		/* where a HOLD_CALLBACK is found by the callback */
	HoldKind	hold;
	int64_t		hold_until;		/* monotonic ms; 0 = for ever */

	bool		answered;
	AnswerAction action;
	int			status;
	HttpHeaders answer_headers;
	Buf			answer;

	SbRequest  *next;			/* in the list of incoming, outgoing or held */
};

extern bool server_start(void);
extern void server_run(void);
extern int	server_fd(void);
extern int	server_port(void);
extern int64_t server_timeout_ms(void);
extern void server_stop(void);
extern SbRequest *server_next(void);	/* the next complete request */
extern void server_send_answers(void);	/* after the ledger's commit */
extern int64_t server_requests(void);
extern int	server_held(void);
extern bool server_has_incoming(void);
extern void server_hold(SbRequest *req, HoldKind kind, int64_t ms);
extern void server_check_holds(void);
extern bool server_any_held(bool (*test) (const SbRequest *, const void *), const void *arg);
extern int	server_release(const char *no, void (*rerun) (SbRequest *)); /* NULL = all */

/* The answer leaves after the ledger's next commit.  Each request gets one. */
extern void request_answer(SbRequest *req, int status, const char *content_type);
extern void request_answer_json(SbRequest *req, int status, json_t *body);	/* steals body */
extern void request_reset(SbRequest *req);
extern void request_wait(SbRequest *req, SbRequest **place);	/* for a callback, 3 s at most */
extern void request_unhold(SbRequest *req); /* a HOLD_CALLBACK: send it now */

extern bool sha256_hex(const void *data, size_t len, char out[65]);

/* The value of ?name= in the request's query, decoded; false if absent. */
extern bool request_query_value(const SbRequest *req, const char *name, Buf *out);
extern size_t utf8_length(const char *s);	/* in characters */
extern bool percent_decode(Buf *out, const char *s, size_t len, bool plus_is_space);

/* ---- channels (serve.c holds the registry) ---- */

/* What is optional here may be NULL, 0 or false. */
struct SbChannel
{
	const char *name;
	bool		(*mine) (const SbRequest *req);
	void		(*handle) (SbRequest *req);
	void		(*print_outcomes) (FILE *out);	/* of what is no refund; optional */

	/* The rest is for channels that refund: those with a default_merchant. */
	const SbOutcome *outcomes;	/* the first row is the normal one; ends with no name */
	bool		number_per_order;	/* orders may have refunds of the same number */
	const SbOutcome *transfer_outcomes; /* likewise; NULL = it has no transfers */
	const char *transfer_fail_reason;	/* when somebody wants one to fail */

	/*
	 * Merchants.  make_merchant writes new keys below dir, and returns what
	 * sandbox.json shall know of them (an object, or NULL on failure); it
	 * gets it back as `entry` when the merchant is loaded.  write_configs
	 * writes what refundx.channel_add wants.
	 */
	const char *default_merchant;
	bool		(*merchant_ok) (const char *id);	/* a name that can be made */
	json_t	   *(*make_merchant) (const char *dir, const char *id, const char *prefix);
	bool		(*load_merchant) (SbMerchant *m, const char *dir, json_t *entry,
								  char *err, size_t errsize);
	bool		(*write_configs) (const SbMerchant *m, const char *url);

	/*
	 * Callbacks.  callback_data (optional) freezes what an event says when it
	 * happens.  build_callback makes one delivery of it: fresh time, nonce and
	 * signature.  retry_after: seconds after cb->tries deliveries; 0 = give up.
	 */
	json_t	   *(*callback_data) (const SbRefund *r, RefundStatus says);
	bool		(*build_callback) (const SbCallback *cb, HttpRequest *out);
	bool		(*acknowledged) (long status, const char *body, size_t len);
	int			(*retry_after) (const SbCallback *cb);

	void		(*refund_due) (SbRefund *r);	/* its next_at has come; default refund_step */
	/* A person settles it: NULL, or why that cannot be. */
	const char *(*refund_settle) (SbRefund *r, RefundStatus status);

	/* Optional: a person wants this told now.  NULL, or why that cannot be. */
	const char *(*tell_refund) (SbRefund *r, const char *what);
	const char *(*tell_payment) (SbMerchant *m, SbOrder *o);
	/* Optional: the channel changes something for a merchant, e.g. its own key. */
	const char *(*merchant_switch) (SbMerchant *m, const char *what);

	/* Optional: a bill's file, unpacked; false: there is nothing in it (books.h). */
	bool		(*bill_text) (const SbMerchant *m, const char *kind, int64_t day, SbSpoil spoil,
							  Buf *out);

	/* Optional: a ledger record of its own, with "channel" and an "e" of its own. */
	void		(*apply) (const json_t *record, int64_t sequence);
};

extern const SbChannel wechat_channel;
extern const SbChannel alipay_channel;
extern const SbChannel stripe_channel;
extern const SbChannel aliyun_channel;
extern const SbChannel generic_channel;
extern const SbChannel control_channel;
extern const SbChannel *channel_by_name(const char *name);
extern const SbChannel *channel_at(int i);	/* NULL past the end */
extern void print_outcomes(FILE *out);
extern void channel_rerun(SbRequest *req);	/* decide a held request now */

/* ---- the clock (clock.c) ---- */
extern int64_t wall_ms(void);
extern int64_t wall_us(void);
extern int64_t business_ms(void);	/* the wall clock, moved by ctl advance */
extern int64_t mono_ms(void);
extern int64_t clock_now(void); /* the sandbox's own, ms: for everything due */
extern void clock_start(int64_t at_least, double speed);
extern void clock_advance(int64_t ms);
extern int64_t clock_real_delay(int64_t real_ms);	/* as much sandbox time */
extern int64_t clock_until(int64_t due);	/* real ms until then, >= 0 */
extern void format_time(int64_t ms, char out[40]);	/* RFC 3339, +08:00 */

/* ---- the ledger (ledger.c) ---- */

/*
 * Append and apply a record; steals it.  It is on disk when ledger_commit()
 * has returned.  `lazy`: not worth an fdatasync of its own.
 */
extern void ledger_add(json_t *record, bool lazy);
extern bool ledger_open(const char *path, bool writable, char *err, size_t errsize);
extern void ledger_commit(void);
extern void ledger_close(void);
extern int64_t ledger_sequence(void);

/* A member of a record; "" or 0 if it has none of that name. */
extern const char *record_string(const json_t *record, const char *name);
extern int64_t record_int(const json_t *record, const char *name);
extern int64_t ledger_commits(void);
extern int64_t ledger_torn_bytes(void);

/* wire.log and sandbox.log */
extern bool logs_open(const char *dir);
extern void logs_flush(void);
extern void log_wire(SbRequest *req);
extern void log_answer(const SbRequest *req);
extern void log_line(const char *fmt,...) __attribute__((format(printf, 1, 2)));

/* ---- the model (model.c, report.c) ---- */

typedef struct SbModel
{
	Map			merchants;		/* mchid -> SbMerchant */
	Map			orders;			/* mchid/t/<id> and mchid/o/<no> -> SbOrder */
	Map			refunds;		/* mchid/no, or mchid/order/no -> SbRefund */
	Map			numbers;		/* no -> the first SbRefund that has it */
	Map			refund_ids;		/* mchid/refund_id -> SbRefund */
	Map			misses;			/* mchid/key -> SbMiss */
	Map			transfers;		/* mchid/no -> SbTransfer */
	Map			transfer_numbers;	/* no -> the first SbTransfer that has it */
	Map			transfer_ids;	/* mchid/id -> SbTransfer */
	SbTransfer **transfer_list; /* in order of acceptance */
	size_t		transfer_count;
	size_t		transfer_cap;
	SbOrder   **order_list;		/* as they became known */
	size_t		order_count;
	size_t		order_cap;
	SbRefund  **refund_list;	/* in order of acceptance */
	size_t		refund_count;
	size_t		refund_cap;
	SbSms	  **sms_list;
	size_t		sms_count;
	size_t		sms_cap;
	SbCallback **callback_list;
	size_t		callback_count;
	size_t		callback_cap;
	SmsMode		sms_mode;
	bool		callbacks_paused;
	int64_t		last_time;		/* sandbox clock of the newest record */
	int64_t		advanced_ms;	/* how far ctl advance has moved the clock in all */
} SbModel;

typedef struct SbMiss
{
	int			count;			/* calls that failed before any effect */
	int64_t		first;			/* ledger sequence of the first */
	int64_t		first_at;		/* and when, on the sandbox's clock */
} SbMiss;

typedef struct Sandbox
{
	SbOptions	opt;
	SbModel		model;
	char		sms_access_key_id[64];
	Buf			sms_secret;
	bool		live;			/* false while the ledger is replayed */
	bool		stopping;
} Sandbox;

extern Sandbox sandbox;

extern void model_init(void);
extern void model_apply(json_t *record, int64_t sequence);
extern SbMerchant *model_merchant(const char *mchid);	/* any channel's */
extern SbMerchant *model_merchant_of(const SbChannel *channel, const char *mchid);
extern SbOrder *model_order(const SbMerchant *m, const char *transaction_id,
							const char *out_trade_no);
extern SbRefund *model_refund(const char *mchid, const char *no);
extern SbRefund *model_refund_of(const SbOrder *o, const char *no); /* number_per_order */
extern SbRefund *model_refund_any(const char *mchid, const char *no);	/* mchid or NULL */
extern SbRefund *model_refund_by_id(const char *mchid, const char *refund_id);
extern const SbMiss *model_miss(const char *mchid, const char *key);

extern json_t *report_ledger(const char *only_no);
extern void report_tsv(Buf *out);	/* refunds only */
extern json_t *report_stats(void);

/* What happens: each writes one ledger record, which changes the model. */
extern SbOrder *record_order(SbMerchant *m, const char *transaction_id,
							 const char *out_trade_no, int64_t total, int64_t payer_total);
extern void record_miss(const SbMerchant *m, const char *key, const char *outcome);
extern void record_settle(SbRefund *r, RefundStatus status, bool to_merchant,
						  RefundStatus then, int64_t then_at);
extern void record_notify_url(const SbMerchant *m, const char *url);	/* "" = none */
extern void record_gateway_url(const SbMerchant *m, const char *url);	/* "" = none */

/* Told about r, to its notify_url; NULL if there is none. */
extern SbCallback *record_callback(SbRefund *r, RefundStatus says, CallbackFlavour flavour,
								   int64_t due, const char *event_id);

/* Anything else: kind is the channel's own; r may be NULL; steals data. */
extern SbCallback *record_event(SbMerchant *m, SbRefund *r, const char *kind, const char *url,
								const char *event_id, int64_t due, json_t *data);
extern SbCallback *record_flavoured_event(SbMerchant *m, SbRefund *r, const char *kind,
										  const char *url, const char *event_id, int64_t due,
										  json_t *data, CallbackFlavour flavour);
extern void record_try(SbCallback *cb, int http_status, int64_t next_due, bool finished);

/* ---- the life of a refund (refund.c) ---- */

typedef struct NewRefund
{
	const char *no;
	const char *refund_id;		/* unique within the merchant */
	const char *sub_mchid;		/* or NULL */
	const char *digest;			/* or NULL */
	const char *notify_url;		/* or NULL */
	int64_t		amount;
	json_t	   *data;			/* or NULL; stolen */
} NewRefund;

/* Accepted.  Unless at_once, the outcome's first status comes by itself. */
extern SbRefund *refund_accept(SbOrder *order, const NewRefund *n, const SbOutcome *o, bool at_once);

/*
 * Settle, and have it told as the outcome wants it told, told_in sandbox ms
 * from now.  then_at > 0: it becomes `then` by itself at that time.
 */
extern void refund_become(SbRefund *r, RefundStatus status, RefundStatus then, int64_t then_at,
						  bool to_merchant, int64_t told_in);
extern void refund_step(SbRefund *r);	/* its next_at has come */
extern const char *refund_url(const SbRefund *r);	/* where callbacks go, or NULL */
/* The answer (still to be given) waits until a callback of r has been. */
extern void refund_hold_for_callback(SbRefund *r, SbRequest *req);

/* ---- merchants (merchant.c) ---- */

/* Calls of a merchant, for peaks and limits. */
extern void merchant_count(SbMerchant *m, bool ok);
extern bool merchant_over_limit(SbMerchant *m, int ok_per_second, int failing_per_second);

/* ---- callbacks and timers (callback.c) ---- */
extern bool callbacks_start(int epoll_fd, char *err, size_t errsize);
extern void callbacks_stop(void);
extern void callbacks_schedule(SbCallback *cb);
extern void refunds_schedule(SbRefund *r);
extern void transfers_schedule(SbTransfer *t);
extern void timers_run(void);	/* settle what is due; before the commit */
extern void callbacks_send(void);	/* send what is due; after the commit */
extern void callbacks_prepare(void);	/* while paused: sign what will be sent */
extern void callbacks_sign_again(const SbMerchant *m);
extern void callbacks_socket_event(int fd, uint32_t events);
extern void callbacks_timeout(void);
extern int64_t callbacks_timeout_ms(void);
extern json_t *callbacks_report(void);

/* ---- files and commands ---- */
extern bool read_file(const char *path, Buf *out);
extern bool write_file(const char *path, const void *data, size_t len, int mode);

typedef struct InitMerchant
{
	const SbChannel *channel;
	const char *id;
} InitMerchant;

/* Channels that none of them names get their default merchant. */
extern int	init_command(const char *dir, const InitMerchant *list, int count, int port);
extern bool load_keys(const char *dir, char *err, size_t errsize);
extern bool write_configs(int port);
extern int	serve_command(void);
extern int	ctl_command(const char *dir, int argc, char **argv);
extern void ctl_help(FILE *out);

#endif							/* REFUNDX_SANDBOX_H */
