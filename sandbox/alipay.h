/*-------------------------------------------------------------------------
 *
 * alipay.h
 *	  What the sandbox's Alipay files share.
 *
 * Section numbers in the comments of these files are those of Alipay's
 * OpenAPI documentation (gateway v1) as digested by the project.
 *
 * sandbox/alipay.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_SANDBOX_ALIPAY_H
#define REFUNDX_SANDBOX_ALIPAY_H

#include "form.h"
#include "sandbox.h"

#define ALIPAY_SELLER_ID	"2088000000000001"
#define ALIPAY_OTHER_SELLER	"2088000000000099"
#define ALIPAY_OTHER_APP	"2021000000009999"
#define ALIPAY_BUYER_ID		"2088000000000015"
#define ALIPAY_BUYER_LOGON	"159****0015"

/* What only Alipay has; FAULT_* and the rest are in sandbox.h. */
typedef enum AlipayTrick
{
	TRICK_NONE,
	TRICK_NO_CHANGE,			/* paid, but fund_change=N already the first time */
	TRICK_UNSIGNED_REFUSAL,		/* no effect: a final refusal without a signature */
	TRICK_UNSIGNED_SUCCESS,		/* no effect: a success without a signature */
	TRICK_DUPLICATE_NODE,		/* no effect: a signed error beside a forged success */
	TRICK_SLASHES,				/* '/' sent as '\/', signed as sent */
	TRICK_SLASHES_PLAIN,		/* '/' sent as '\/', signed as '/' */
	TRICK_UNKNOWN_CERTIFICATE,	/* signed with a certificate that nobody was given */
	TRICK_ERROR_NODE,			/* paid; the answer is in "error_response" */
	TRICK_ODD_ANSWER,			/* paid; the answer is hard to cut out */
	TRICK_OTHER_REFUND,			/* somebody refunded 1.00 of the order before */
	TRICK_DEPOSIT_BACK_FAILS,	/* later the bank refuses the money */
	TRICK_LATE_NOTIFICATION,	/* the notification comes after those of later refunds */
	TRICK_EMPTY_VALUE,			/* the notification has an empty value */
	TRICK_FOREIGN_SELLER		/* one of two notifications is of another seller */
} AlipayTrick;

extern const SbOutcome alipay_outcomes[];
extern const SbOutcome alipay_transfer_outcomes[];

/* ---- alipay_keys.c ---- */

#define ALIPAY_ROOTS_MAX	8

typedef struct AlipayKeys
{
	CryptoKey  *app;			/* verifies the app's requests */
	CryptoKey  *own[2];			/* Alipay's private keys: sign for the app */
	char		own_sn[2][33];	/* of the certificates of these */
	Buf			own_pem[2];
	char		unknown_sn[33]; /* of a certificate that nobody was given */
	char		app_sn[33];
	char		root_sn[ALIPAY_ROOTS_MAX * 33];
	int			active;			/* which of the own signs now */
	bool		by_certificate; /* the app's last call was in certificate mode */
} AlipayKeys;

#define alipay_keys(m) ((AlipayKeys *) (m)->keys)

extern bool alipay_app_id_ok(const char *id);
extern json_t *alipay_make_app(const char *dir, const char *id, const char *prefix);
extern bool alipay_load_app(SbMerchant *m, const char *dir, json_t *entry,
							char *err, size_t errsize);
extern bool alipay_write_configs(const SbMerchant *m, const char *url);

/* ---- alipay_gate.c: the gateway ---- */

typedef struct AlipayCall
{
	Form		form;			/* all parameters, sorted */
	SbMerchant *m;				/* NULL until known */
	bool		by_certificate;
	const char *method;			/* static; NULL = unknown */
	json_t	   *biz;			/* NULL if absent or no JSON object */
} AlipayCall;

/* How an answer is spoilt. */
typedef enum AnswerFlaw
{
	ANSWER_GOOD,
	ANSWER_BAD_SIGNATURE,
	ANSWER_UNSIGNED,
	ANSWER_SLASHES,
	ANSWER_SLASHES_PLAIN,
	ANSWER_UNKNOWN_CERTIFICATE,
	ANSWER_ERROR_NODE,
	ANSWER_ODD,
	ANSWER_DUPLICATE_NODE		/* followed by, or after, a forged one */
} AnswerFlaw;

extern void alipay_read_call(SbRequest *req, AlipayCall *c);
extern void alipay_call_free(AlipayCall *c);
/* False: it has been answered. */
extern bool alipay_authenticate(SbRequest *req, AlipayCall *c);
extern void alipay_answer(SbRequest *req, const AlipayCall *c, json_t *node, AnswerFlaw flaw);
extern void alipay_answer_twice(SbRequest *req, const AlipayCall *c, json_t *node, json_t *forged);
/* {"code", "msg", "sub_code", "sub_msg"} */
extern json_t *alipay_error_node(const char *code, const char *sub_code, const char *sub_msg);
extern void alipay_fail(SbRequest *req, const AlipayCall *c, const char *code,
						const char *sub_code, const char *sub_msg);

/* name=value&..., sorted, raw, without empty values unless keep_empty. */
extern void alipay_signed_text(const Form *f, bool keep_sign_type, bool keep_empty, Buf *out);
extern bool alipay_sign(const CryptoKey *key, const Buf *text, Buf *b64);
extern void alipay_time(int64_t ms, char out[40]);	/* yyyy-MM-dd HH:mm:ss, Beijing */
extern void alipay_yuan(int64_t fen, char out[32]);

/* ---- alipay_biz.c ---- */

/* A string of 1..max bytes or absent (NULL); false if it is anything else. */
extern bool alipay_take_string(json_t *biz, const char *name, size_t max, const char **out);
extern bool alipay_take_yuan(json_t *biz, const char *name, int64_t *fen);
extern void alipay_set_yuan(json_t *node, const char *name, int64_t fen);
extern void alipay_set_time(json_t *node, const char *name, int64_t ms);
extern AnswerFlaw alipay_flaw_of(const SbOutcome *o);

/* ---- alipay_transfer_body.c ---- */

typedef struct UniTransfer
{
	const char *no;				/* out_biz_no */
	const char *product;
	bool		to_card;
	int64_t		amount;
	char		digest[65];
} UniTransfer;

/* NULL, or the code of what is wrong, and *field what it is about. */
extern const char *alipay_read_transfer(json_t *biz, UniTransfer *call, const char **field);

/* ---- alipay_transfer.c ---- */
extern void alipay_transfer_handle(SbRequest *req, const AlipayCall *c);
extern json_t *alipay_transfer_told(const SbCallback *cb);	/* a message's biz_content */

/* ---- alipay_bill.c, alipay_bill_file.c ---- */
extern void alipay_bill_query(SbRequest *req, const AlipayCall *c);
extern bool alipay_bill_is_file(const SbRequest *req);
extern void alipay_bill_download(SbRequest *req);
/* *any: there was business that day.  False: it could not be made. */
extern bool alipay_bill_zip(const SbMerchant *m, const char *kind, const char *date, int64_t day,
							SbSpoil spoil, bool *any, Buf *out);

/* ---- alipay_notify.c ---- */
extern json_t *alipay_callback_data(const SbRefund *r, RefundStatus says);
extern bool alipay_build_callback(const SbCallback *cb, HttpRequest *out);
extern bool alipay_acknowledged(long status, const char *body, size_t len);
extern int	alipay_retry_after(const SbCallback *cb);
extern const char *alipay_tell_refund(SbRefund *r, const char *what);
extern const char *alipay_tell_payment(SbMerchant *m, SbOrder *o);
extern void alipay_tell_deposit_back(SbRefund *r, const char *status, int64_t due);

#endif							/* REFUNDX_SANDBOX_ALIPAY_H */
