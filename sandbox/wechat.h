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

/* What it takes to be a merchant, and WeChat Pay for it (wechat_keys.c). */
typedef struct WechatKeys
{
	char		serial[129];	/* of its API certificate */
	char		pub_key_id[65];
	char		platform_serial[129];
	CryptoKey  *certificate;	/* verifies its requests */
	CryptoKey  *pub_key;		/* WeChat's private halves: sign for it */
	CryptoKey  *platform_key;
	Buf			platform_pem;
	unsigned char apiv3[32];
} WechatKeys;

#define wechat_keys(m) ((const WechatKeys *) (m)->keys)

extern bool wechat_merchant_ok(const char *id);
extern json_t *wechat_make_merchant(const char *dir, const char *id, const char *prefix);
extern bool wechat_load_merchant(SbMerchant *m, const char *dir, json_t *entry,
								 char *err, size_t errsize);
extern bool wechat_write_configs(const SbMerchant *m, const char *url);

/* ---- wechat_outcomes.c, wechat_transfer_outcomes.c ---- */
extern const SbOutcome wechat_outcomes[];
extern const SbOutcome wechat_transfer_outcomes[];

/* ---- wechat_auth.c ---- */

/* The merchant that signed the request; NULL when it has been answered. */
extern SbMerchant *wechat_authenticate(SbRequest *req);
extern void wechat_claim(SbRequest *req);
extern void wechat_error(SbRequest *req, SbMerchant *m, int status, const char *code,
						 const char *message, const char *field);
extern void wechat_answer(SbRequest *req, SbMerchant *m, json_t *body, bool bad_signature);
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

/* A string of 1..max bytes, or absent (NULL); false if it is anything else. */
extern bool wechat_take_string(json_t *body, const char *name, size_t max, const char **out,
							   const char **field, const char **why);
extern bool wechat_digest(json_t *body, char out[65]);

/* ---- wechat_transfer_body.c ---- */

typedef struct TransferCall
{
	const char *out_bill_no;
	const char *appid;
	const char *scene;
	const char *openid;
	const char *remark;
	const char *user_name;		/* still encrypted, or NULL */
	const char *notify_url;		/* or NULL */
	int64_t		amount;
	char		digest[65];		/* over the name in clear: each encryption differs */
} TransferCall;

typedef struct WechatWrong
{
	const char *code;
	const char *field;			/* or NULL */
	const char *why;
} WechatWrong;

extern bool wechat_read_transfer_call(const SbRequest *req, SbMerchant *m, json_t *body,
									  TransferCall *call, WechatWrong *wrong);
/* The same text, encrypted for the merchant; NULL if it cannot be decrypted. */
extern json_t *wechat_encrypt_for_merchant(const CryptoKey *ours, const SbMerchant *m,
										   const char *secret);

/* ---- wechat_transfer.c ---- */

/* Names the call and the number; false: it is no call of transfers. */
extern bool wechat_transfer_identify(SbRequest *req, json_t *body);
extern void wechat_transfer_dispatch(SbRequest *req, SbMerchant *m, json_t *body);
/* Is the call one that may come without a body? */
extern bool wechat_transfer_bare(const SbRequest *req);
extern json_t *wechat_transfer_told(const SbCallback *cb);	/* what a callback says, in clear */

/* ---- wechat_bill.c ---- */

/* Names the call; false: it is no call about bills. */
extern bool wechat_bill_identify(SbRequest *req);
extern void wechat_bill_dispatch(SbRequest *req, SbMerchant *m);

/* ---- wechat_notify.c ---- */

/* {algorithm, nonce, associated_data, ciphertext}: 1.7 and 3.1 */
extern json_t *wechat_encrypt_resource(const SbMerchant *m, const char *aad, int nonce_len,
									   const char *text, size_t len);
extern bool wechat_build_callback(const SbCallback *cb, HttpRequest *out);
extern bool wechat_acknowledged(long status, const char *body, size_t len);
extern int	wechat_retry_after(const SbCallback *cb);

/* ---- wechat.c ---- */
extern const char *wechat_received_account(const SbRefund *r);
extern int64_t wechat_payer_part(const SbRefund *r);

#endif							/* REFUNDX_SANDBOX_WECHAT_H */
