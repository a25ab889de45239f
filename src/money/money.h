/*-------------------------------------------------------------------------
 *
 * money.h
 *	  Payments and instructions: what the functions that users call share.
 *
 * src/money/money.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_MONEY_H
#define REFUNDX_MONEY_H

#include "base/sql.h"
#include "channel/channel.h"

/* What a caller says of a payment; NULL and 0 are "not said". */
typedef struct PaymentWords
{
	const char *channel;
	const char *payment_no;
	int64		amount;			/* minor units */
	const char *currency;
	const char *channel_payment_id;
	int64		paid_at;		/* TimestampTz */
	int64		already_refunded;
	const char *account_no;
	const char *contact;		/* a telephone number: never in a message */
	const char *language;
	const char *channel_data;	/* JSON text */
} PaymentWords;

/*
 * Record a payment; true if it is new.  The same words again are a no-op,
 * other words an ERROR (RX003) that names the difference.
 */
extern bool payment_record(const PaymentWords *words);

/* The ERROR for a channel that does not exist or is closed (RX008, RX018). */
extern void channel_complain(const char *name) pg_attribute_noreturn();

/* session_user, palloc'd: who did it, whatever SET ROLE says. */
extern const char *session_user_name(void);

/* ERROR 22023, which does not say what it is, unless it is a telephone number. */
extern void contact_check(const char *contact, const char *what, const char *number);

/* What the functions about one refund return: refundx.refund, refundx.withdrawal. */
extern Datum refund_datum(FunctionCallInfo fcinfo, const char *refund_no);
extern Datum withdrawal_datum(FunctionCallInfo fcinfo, const char *withdrawal_no);

/*
 * Who acts: refundx.actor where it is set, for many may share a login; otherwise
 * session_user.  ERROR 42501 if the login may not speak for others.
 */
extern const char *actor_name(void);	/* NULL: nobody but session_user */
extern const char *person_name(void);

extern void event_add(int64 instruction_id, const char *type,
					  const char *from_state, const char *to_state, const char *note);

/* A ChannelError as an ERROR. */
extern void channel_refuse(int sqlstate, const char *what, const ChannelError *err)
			pg_attribute_noreturn();

/*
 * As an error context callback: hides the statement, in which a caller may
 * have written a telephone number.
 */
extern void hide_statement(void *arg);

/* Limits of input that no channel decides. */
#define PAYMENT_NO_MAX		64
#define REFERENCE_MAX		128

/* ERROR 22023 naming the argument, unless 1..max bytes without control characters. */
extern const char *argument_text(const char *name, const char *value, int max);

#endif							/* REFUNDX_MONEY_H */
