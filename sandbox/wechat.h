/*-------------------------------------------------------------------------
 *
 * wechat.h
 *	  What the sandbox's WeChat Pay files share.
 *
 * Section numbers in the comments of these files are those of WeChat Pay's
 * v3 documentation as digested by the project.
 *
 * sandbox/wechat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SANDBOX_WECHAT_H
#define REFUNDX_SANDBOX_WECHAT_H

#include "sandbox.h"

/* What goes wrong with the call that asks for a refund. */
typedef enum WechatFault
{
	FAULT_NONE,
	FAULT_ERROR,				/* answered with status and code */
	FAULT_HANG,					/* never answered */
	FAULT_RESET,				/* the connection is reset */
	FAULT_BAD_SIGNATURE,		/* 200, signed wrongly */
	FAULT_GARBAGE,				/* 200, unsigned bytes that are no JSON */
	FAULT_HOLD,					/* kept until /sandbox/release */
	FAULT_AFTER_CALLBACK		/* answered after the callback has been */
} WechatFault;

typedef enum FaultWhen
{
	WHEN_FIRST,					/* the first call of a number only */
	WHEN_ALWAYS,
	WHEN_UNTIL_TOPUP			/* until the balance is topped up */
} FaultWhen;

typedef struct WechatOutcome
{
	int			magic;			/* refund amount in fen, modulo 10000; 0 = all others */
	const char *name;
	WechatFault fault;
	FaultWhen	when;
	bool		effect_first;	/* the refund is accepted before the fault */
	int			status;			/* FAULT_ERROR's */
	const char *code;
	const char *message;
	RefundStatus first;			/* what it becomes after PROCESSING */
	RefundStatus then;			/* and after that; the same = it stays */
	bool		at_once;		/* settled already in the answer */
	bool		to_merchant;	/* ends in the merchant's own account */
	bool		hidden;			/* queries do not find it for a while */
	bool		reversed;		/* callbacks in the wrong order */
	int			callbacks;		/* pushes of each event */
	CallbackFlavour flavour;
	int			weight;			/* in a chaos run; 0 = never (needs a person) */
	const char *text;
} WechatOutcome;

extern const WechatOutcome *wechat_outcome_named(const char *name);
extern const WechatOutcome *wechat_outcome_choose(const char *mchid, const char *no, int64_t amount);
extern void wechat_print_outcomes(FILE *out);

/* ---- wechat_auth.c ---- */

/* The merchant that signed the request; NULL when it has been answered. */
extern SbMerchant *wechat_authenticate(SbRequest *req);
extern void wechat_claim(SbRequest *req);
extern void wechat_error(SbRequest *req, SbMerchant *m, int status, const char *code,
						 const char *message, const char *field);
extern void wechat_answer(SbRequest *req, SbMerchant *m, json_t *body, bool bad_signature);
extern void wechat_count(SbMerchant *m, int status);
extern const char *wechat_sign(const CryptoKey *key, const char *serial, bool probe, int64_t id,
							   const Buf *body, HttpHeaders *headers);
/* The key a request's Wechatpay-Serial asks for; false if there is none such. */
extern bool wechat_response_key(const SbRequest *req, const SbMerchant *m,
								const CryptoKey **key, const char **serial);

/* ---- wechat_body.c ---- */

typedef struct RefundCall
{
	const char *out_refund_no;
	const char *transaction_id; /* or NULL */
	const char *out_trade_no;	/* or NULL */
	const char *notify_url;		/* or NULL */
	const char *sub_mchid;		/* or NULL */
	int64_t		refund;
	int64_t		total;
	char		digest[65];
} RefundCall;

/* The body as JSON, obeying the v3 rules; NULL and *why when it does not. */
extern json_t *wechat_parse_body(const SbRequest *req, const char **why);
extern bool wechat_read_refund_call(json_t *body, RefundCall *call,
									const char **field, const char **why);
extern bool wechat_notify_url_ok(const char *url);
extern bool wechat_number_ok(const char *no);

#endif							/* REFUNDX_SANDBOX_WECHAT_H */
