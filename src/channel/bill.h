/*-------------------------------------------------------------------------
 *
 * bill.h
 *	  A channel's bills: how one is asked for, and how its file is read.
 *
 * The day's bill is the channel's last word.  Like the rest of a channel this
 * is pure: it opens no socket, reads no clock, and knows neither Postgres nor
 * our states.  A file is given as memory or as a descriptor, is read from its
 * beginning to its end in bounded memory whatever its size, and is pulled line
 * by line, so that no library's callback ever runs code of ours that can fail.
 *
 * A file may hold any bytes at all: a gzip bomb, a ZIP with absolute paths, a
 * half of a bill.  Whatever is wrong with it is said in words; a line of it
 * counts only when BILL_END has been returned, for only then have its hash, its
 * count and its totals held.
 *
 * This header must not include postgres.h.
 *
 * src/channel/bill.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_BILL_H
#define REFUNDX_BILL_H

#include "channel/channel.h"

#define BILL_DAY_LEN	10		/* 2026-11-27 */
#define BILL_URL_MAX	2048
#define BILL_HASH_MAX	128
#define BILL_CURSOR_MAX	128
#define BILL_PACKED_MAX	((size_t) 128 * 1024 * 1024)	/* of a download, as it comes */

/* What a line says happened.  Data, as verdicts are: see bill_movement_name(). */
typedef enum BillMovement
{
	BILL_PAID,					/* a refund or a transfer was paid: succeeded */
	BILL_UNDER_WAY,				/* it was taken on, and is not decided yet */
	BILL_ABNORMAL,				/* the payee cannot receive it */
	BILL_FAILED,				/* it was not paid, and will not be under this number */
	BILL_CAME_BACK,				/* it had been paid, and came back (a refund closed, a transfer bounced) */
	BILL_FEE,					/* only the channel's own fee, or a fee given back */
	BILL_OTHER					/* moves the merchant's balance, and is none of ours */
} BillMovement;

#define BILL_MOVEMENT_COUNT	(BILL_OTHER + 1)

extern const char *bill_movement_name(BillMovement m);	/* "paid", "under_way", ... */

/* One line, in the same terms for every channel. */
typedef struct BillLine
{
	int64_t		line_no;		/* in the file, from 1 on */
	ProductKind product;		/* a refund or a transfer */
	BillMovement movement;
	char		wire_no[CHANNEL_NO_MAX + 1];
	char		payment_no[CHANNEL_NO_MAX + 1];
	char		channel_payment_id[CHANNEL_NO_MAX + 1];
	char		channel_refund_id[CHANNEL_NO_MAX + 1];	/* the channel's own number of it */
	int64_t		amount;			/* of the refund or transfer itself, minor units, never negative */
	bool		has_payer_amount;
	int64_t		payer_amount;	/* what the payer really gets */
	char		currency[4];
	bool		has_fee;
	int64_t		fee;			/* the channel's, in thousandths of a minor unit; negative: given back */
	bool		has_rate;
	int64_t		rate;			/* its own fee's rate, in millionths */
	bool		has_balance;
	int64_t		balance;		/* of the merchant's account after it, minor units */
	int64_t		balance_change; /* of that account by this line; negative: went out */
	int64_t		occurred_at;	/* unix microseconds; 0 = it does not say */
	char		code[65];		/* the channel's own word for what it is */
} BillLine;

/* What a whole file comes to; after BILL_END. */
typedef struct BillTotals
{
	int64_t		lines;			/* all of them, also those that are not returned */
	int64_t		refunds;		/* of these, how many are refunds or transfers */
	int64_t		amount;			/* and their amounts, paid and under way, minor units */
	bool		has_balance;	/* the file says what the account had */
	int64_t		opening;		/* before its first line */
	int64_t		closing;		/* after its last */
	int64_t		in;				/* sum of what came in, minor units */
	int64_t		out;			/* and of what went out, positive */
	char		currency[4];	/* "" if there was no line */

	/*
	 * What this very file covers: of some kinds there are layouts that leave
	 * something out (a WeChat trade bill of SUCCESS has payments only), and then
	 * its silence about a refund means nothing.
	 */
	bool		has_refunds;
	bool		has_transfers;
	char		hash[BILL_HASH_MAX + 1];	/* of the unpacked file: "sha1:<hex>" or "sha256:<hex>" */
	int64_t		size;			/* of it, in bytes */
} BillTotals;

/* What a channel said when it was asked for a day's bill. */
typedef enum BillAnswer
{
	BILL_READY,					/* fetch it at url */
	BILL_PAGE,					/* the answer's own body is (a page of) it: bill_add_page() */
	BILL_EMPTY,					/* there was no business that day; as a later page: that was all */
	BILL_NOT_YET,				/* it is being made: again later */
	BILL_REFUSED,				/* a person has to look: message */
	BILL_UNKNOWN				/* no answer that says anything: again, soon */
} BillAnswer;

typedef struct BillOffer
{
	BillAnswer	answer;
	char		url[BILL_URL_MAX + 1];	/* has a token in it: never logged, never stored */
	char		hash[BILL_HASH_MAX + 1];	/* of the unpacked file, "" if it does not say */
	bool		more;			/* BILL_PAGE: another one follows, at cursor */
	char		cursor[BILL_CURSOR_MAX + 1];
	char		code[65];
	char		message[257];
} BillOffer;

/* A file: in memory, or at a descriptor from its offset 0 on (read with pread). */
typedef struct BillInput
{
	const void *data;			/* or NULL */
	int			fd;				/* if data is NULL */
	int64_t		size;
} BillInput;

/* What is known of a file before it is read. */
typedef struct BillExpected
{
	const char *merchant;		/* the file must be this merchant's, where it says whose it is */
	const char *day;			/* "2026-11-27": and of this day, likewise */
	const char *currency;		/* the merchant's, where lines do not say */
	const char *hash;			/* as the channel announced it, or "" */
	int64_t		max_size;		/* unpacked, in bytes */
} BillExpected;

typedef enum BillStep
{
	BILL_LINE,					/* *line is one of a refund, a transfer, or of money that came back or went */
	BILL_PAUSE,					/* nothing yet: many lines were none of ours.  A moment to look
								 * whether one is wanted elsewhere; then go on */
	BILL_END,					/* the file was whole, and all its checks hold */
	BILL_BAD					/* *err says what was wrong; nothing of it counts */
} BillStep;

typedef struct BillReader BillReader;	/* each format's own begins with its functions */

/* One kind of bill that a channel makes. */
typedef struct ChannelBill		/* named in Channel.bills */
{
	const char *kind;			/* "trade": in SQL */
	const char *label;			/* in sentences for people */
	bool		has_refunds;	/* what it covers: its silence about one means something */
	bool		has_transfers;
	bool		is_ledger;		/* of an account's money: opening + movements = closing */
	int			utc_offset;		/* seconds: whose day it is (28800: Beijing) */
	int			ready_at;		/* seconds after that day's end, from which on it is there */
	int			retry_after;	/* seconds between two looks while it is being made */
	int			max_age_days;	/* older ones cannot be had any more */
	int			delay_days;		/* so many days a line may stand away from its own day */
	bool		by_acceptance;	/* a line's own day is that on which the channel took it on, not
								 * that on which it was paid */
	bool		paid_is_taken;	/* "paid" is written when the money leaves the merchant's account:
								 * whether it has arrived is told elsewhere, or by its not coming
								 * back */

	/*
	 * Ask for it.  cursor "" at first.  The URL that comes back lives for seconds.
	 * What is not signed as its channel signs is BILL_UNKNOWN.  A download's
	 * max_answer is BILL_PACKED_MAX: whoever sends it may want less.
	 */
	bool		(*ask) (void *config, const char *day, const char *cursor,
						const ChannelMoment *moment, HttpRequest *out, ChannelError *err);
	void		(*read_offer) (void *config, const HttpAnswer *answer, int64_t now, BillOffer *out);
	bool		(*download) (void *config, const BillOffer *offer,
							 const ChannelMoment *moment, HttpRequest *out, ChannelError *err);

	/* Read a file.  NULL and *err if it is not even the beginning of one. */
	BillReader *(*open) (const BillInput *input, const BillExpected *expected, ChannelError *err);
} ChannelBill;

/*
 * A bill that comes in pages is kept as one line for each, in their order; this
 * makes the body of a BILL_PAGE one more line of it.  False if memory is short.
 */
extern bool bill_add_page(const HttpAnswer *answer, Buf *file);

extern BillStep bill_next(BillReader *reader, BillLine *line, ChannelError *err);
extern int64_t bill_position(const BillReader *reader); /* bytes of the file read so far */
extern const BillTotals *bill_totals(const BillReader *reader); /* after BILL_END */
extern void bill_close(BillReader *reader); /* NULL is nothing */

/* The kinds that a channel (by its kind: "wechat") makes; NULL past the end. */
extern const ChannelBill *channel_bill_at(const char *channel_kind, int i);
extern const ChannelBill *channel_bill(const char *channel_kind, const char *bill_kind);

#endif							/* REFUNDX_BILL_H */
