/*-------------------------------------------------------------------------
 *
 * books.h
 *	  The channels' books: what bills are made of, and how they shall differ.
 *
 * The ledger is the truth.  From it follow, for each account that a merchant
 * has at a channel, the movements of its money (with a running balance), and
 * for each day the trades that were made.  A channel's own files print them.
 *
 * What has been planted (a line left out, an amount changed) is applied here,
 * to movements and trades, before balances and totals are computed: so a file
 * with planted differences is as whole as any other.  What is spoilt about a
 * file as such is done where the file is made.
 *
 * sandbox/books.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SANDBOX_BOOKS_H
#define REFUNDX_SANDBOX_BOOKS_H

#include "transfer.h"

#define DAY_MS			INT64_C(86400000)
#define BEIJING_MS		INT64_C(28800000)
#define FEE_RATE		6000	/* 0.60 %, unless ctl books says otherwise */
#define OPENING			INT64_C(100000000)

typedef enum BookAccount
{
	BOOK_BASIC,					/* what is sold comes in here, and refunds are paid from it */
	BOOK_OPERATION				/* transfers, at WeChat Pay only; elsewhere they are in BASIC */
} BookAccount;

extern bool book_account_parse(const char *s, BookAccount *out);

typedef enum MoveKind
{
	MOVE_PAYMENT,
	MOVE_PAYMENT_FEE,
	MOVE_REFUND,
	MOVE_REFUND_FEE,			/* the payment's fee, given back in proportion */
	MOVE_REFUND_BACK,			/* the refund was closed, or failed */
	MOVE_REFUND_HOME,			/* it ended in the merchant's own account */
	MOVE_REFUND_BACK_FEE,
	MOVE_TRANSFER,
	MOVE_TRANSFER_BACK,			/* it failed, was cancelled, or bounced */
	MOVE_OTHER					/* a deposit, a withdrawal: somebody's own doing */
} MoveKind;

typedef struct Movement
{
	MoveKind	kind;
	int64_t		at;				/* business clock, ms */
	int64_t		sequence;		/* of what it belongs to: for an order among equals */
	const SbOrder *order;		/* of a payment or a refund */
	const SbRefund *refund;
	const SbTransfer *transfer;
	const char *text;			/* of MOVE_OTHER */
	int			copy;			/* 1 = the same line once more */
	int64_t		change;			/* of the balance, minor units; 0: not worth a line */
	int64_t		balance;		/* after it */
} Movement;

typedef struct Movements
{
	Movement   *item;
	size_t		count;
	size_t		cap;
	int64_t		opening;
} Movements;

/* Everything that has moved an account from the beginning on, until before `until`. */
extern void book_movements(const SbMerchant *m, BookAccount account, int64_t until, Movements *out);

/* One line of a bill of trades. */
typedef struct Trade
{
	int64_t		at;				/* when it was paid, or when the refund was accepted */
	int64_t		sequence;
	const SbOrder *order;
	const SbRefund *refund;		/* NULL = the payment */
	int			copy;
	int64_t		amount;			/* of the refund or the order */
	int64_t		settled;		/* of it: what the payer paid or gets himself */
	int64_t		fee;			/* minor units; negative = given back */
	RefundStatus status;		/* when the bill was made */
	const char *status_said;	/* planted: said instead of it, or NULL */
	int64_t		done_at;		/* when it became so; 0 = it was under way */
} Trade;

typedef struct Trades
{
	Trade	   *item;
	size_t		count;
	size_t		cap;
} Trades;

/* Those of [from, until); a refund's status is what it was at made_at. */
extern void book_trades(const SbMerchant *m, int64_t from, int64_t until, int64_t made_at,
						Trades *out);

extern int64_t book_fee(const SbMerchant *m, int64_t amount);	/* rounded to a minor unit */

/* The beginning of a day in Beijing, business clock; false if it is no day. */
extern bool book_day(const char *text, int64_t *start);

/* ---- what is planted, and what is done by hand (plant.c) ---- */

typedef enum PlantClass
{
	PLANT_MISSING,				/* it is in no bill */
	PLANT_AMOUNT,				/* by so much more or less */
	PLANT_STATE,				/* said to be something else */
	PLANT_TWICE,
	PLANT_FEE,					/* by so much more or less */
	PLANT_DAY,					/* in the bill of another day */
	PLANT_CONSOLE				/* nobody but the channel knows it: made by hand */
} PlantClass;

struct SbPlant
{
	PlantClass	class;
	int64_t		by;				/* PLANT_AMOUNT, PLANT_FEE: minor units; PLANT_DAY: days */
	char		status[24];		/* PLANT_STATE */
	SbPlant    *next;			/* about the same refund or transfer */

	/* For the list of all of them. */
	const SbMerchant *merchant;
	const SbRefund *refund;
	const SbTransfer *transfer;
};

extern const SbPlant *plant_of(const SbPlant *list, PlantClass class);	/* or NULL */
extern int64_t plant_sum(const SbPlant *list, PlantClass class);
extern void plant_draw_refund(SbRefund *r); /* it was accepted: with --plant, by seed */
extern void plant_draw_transfer(SbTransfer *t);
extern json_t *plant_report(void);

/* Plant it; NULL, or why that cannot be. */
extern const char *plant_make(SbRefund *r, SbTransfer *t, const char *class, const char *arg);
/* By hand, at the channel's console: NULL, or why that cannot be. */
extern const char *console_refund(SbMerchant *m, const char *order, const char *no, int64_t amount);
extern const char *console_transfer(SbMerchant *m, const char *no, int64_t amount);

/* What somebody moves in an account, beside what is sold and refunded. */
typedef struct OtherMove
{
	const SbMerchant *merchant;
	BookAccount account;
	int64_t		at;
	int64_t		sequence;
	int64_t		change;
	char		text[64];
} OtherMove;

extern const OtherMove *other_move_at(size_t i);	/* NULL past the end */
extern void record_move(const SbMerchant *m, BookAccount account, int64_t change, const char *text);

extern void apply_books(const json_t *rec, int64_t seq);
extern void apply_move(const json_t *rec, int64_t seq);
extern void apply_plant(const json_t *rec, int64_t seq);

/* ---- what is wrong with a file, or with asking for it (spoil.c) ---- */

/*
 * What is wrong with this asking for the merchant's bill of that kind and day;
 * it is counted as asked for.
 */
extern SbSpoil spoil_for(const SbMerchant *m, const char *kind, const char *day);
extern const char *spoil_make(SbMerchant *m, const char *kind, const char *day, const char *what,
							  int64_t times);
extern void apply_spoil(const json_t *rec, int64_t seq);

/* ---- files that were offered, and wait to be fetched (offer.c) ---- */

typedef struct Offer
{
	char		token[33];
	const SbMerchant *merchant;
	int64_t		expires;		/* monotonic ms */
	Buf			file;
	char		name[128];		/* as the URL has it */
} Offer;

/* Takes the file, and makes it fetchable for so long; never NULL. */
extern const Offer *offer_make(const SbMerchant *m, Buf *file, int64_t ms);
/* NULL: there is none, or it has expired. */
extern const Offer *offer_find(const char *token);

extern bool gzip_pack(const Buf *plain, Buf *out);
extern bool sha1_hex(const void *data, size_t len, char out[41]);

/* ---- the channels' own (wechat_bill.c, alipay_bill.c, stripe_balance.c) ---- */

/* False: it is no such day, or no such kind.  The file as it would be unpacked. */
extern bool wechat_bill_text(const SbMerchant *m, const char *kind, int64_t day, SbSpoil spoil,
							 Buf *out);
extern bool alipay_bill_text(const SbMerchant *m, const char *kind, int64_t day, SbSpoil spoil,
							 Buf *out);
extern bool stripe_bill_text(const SbMerchant *m, const char *kind, int64_t day, SbSpoil spoil,
							 Buf *out);

/* /sandbox/bill..., plant, spoil, console: false if it is none of these. */
extern bool books_control(SbRequest *req, json_t *body);

#endif							/* REFUNDX_SANDBOX_BOOKS_H */
