/*-------------------------------------------------------------------------
 *
 * alipay.h
 *	  What the files of the Alipay channel (gateway v1, RSA2) share.
 *
 *	alipay.c			limits, what is acceptable, acknowledgements
 *	alipay_text.c		amounts in yuan, times of Beijing
 *	alipay_verdict.c	the verdict of every code of every call
 *	alipay_config.c		the configuration's text
 *	alipay_keys.c		its keys and certificates
 *	alipay_check.c		what is wrong or right with a configuration, for people
 *	alipay_gateway.c	the envelope of every call: signed requests, verified answers
 *	alipay_node.c		which bytes of an answer Alipay signed
 *	alipay_request.c	a refund's frozen biz_content, and the query about it
 *	alipay_answer.c		answers about refunds
 *	alipay_form.c		a notification's parameters, and who signed them
 *	alipay_callback.c	notifications
 *
 * and what pays withdrawals:
 *
 *	alipay_transfer.c			limits, what is acceptable
 *	alipay_transfer_payee.c		whom to pay, and what else a transfer may say
 *	alipay_transfer_verdict.c	the verdict of every code and status
 *	alipay_transfer_request.c	the frozen biz_content, and the query about it
 *	alipay_transfer_answer.c	answers
 *	alipay_transfer_callback.c	the message that a transfer has changed
 *
 * and bills: alipay_bill.h.
 *
 * Private to src/channel/.  This header must not include postgres.h.
 *
 * src/channel/alipay.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_ALIPAY_H
#define REFUNDX_ALIPAY_H

#include "channel/channel_settings.h"
#include "crypto/crypto.h"

#define ALIPAY_BASE_URL			"https://openapi.alipay.com"
#define ALIPAY_SANDBOX_HOST		"alipaydev.com"
#define ALIPAY_GATEWAY_PATH		"/gateway.do"
#define ALIPAY_METHOD_REFUND	"alipay.trade.refund"
#define ALIPAY_METHOD_QUERY		"alipay.trade.fastpay.refund.query"
#define ALIPAY_NODE_REFUND		"alipay_trade_refund_response"
#define ALIPAY_NODE_QUERY		"alipay_trade_fastpay_refund_query_response"
#define ALIPAY_NODE_ERROR		"error_response"
#define ALIPAY_METHOD_TRANSFER	"alipay.fund.trans.uni.transfer"
#define ALIPAY_METHOD_TRANSFER_QUERY "alipay.fund.trans.common.query"
#define ALIPAY_METHOD_TRANSFER_CHANGED "alipay.fund.trans.order.changed"
#define ALIPAY_NODE_TRANSFER	"alipay_fund_trans_uni_transfer_response"
#define ALIPAY_NODE_TRANSFER_QUERY "alipay_fund_trans_common_query_response"
#define ALIPAY_TO_ACCOUNT		"TRANS_ACCOUNT_NO_PWD"	/* product codes */
#define ALIPAY_TO_CARD			"TRANS_BANKCARD_NO_PWD"
#define ALIPAY_SCENE			"DIRECT_TRANSFER"

#define ALIPAY_APP_ID_LEN		16
#define ALIPAY_KEYS_MAX			4	/* keys of Alipay's: the new one beside the old */
#define ALIPAY_SELLERS_MAX		8
#define ALIPAY_SN_LEN			32
#define ALIPAY_ROOT_SN_MAX		264 /* eight roots */
#define ALIPAY_TOKEN_MAX		128
#define ALIPAY_THROTTLED_RETRY	60	/* seconds */

/* Names in the verdict table for what Alipay says with other members than codes. */
#define ALIPAY_CHANGED			"fund_change=Y"
#define ALIPAY_NOT_CHANGED		"fund_change=N"
#define ALIPAY_NO_CHANGE_SAID	"10000"
#define ALIPAY_REFUNDED			"REFUND_SUCCESS"
#define ALIPAY_NO_STATUS		"10000"

/* One of Alipay's keys: what its signatures are verified with. */
typedef struct AlipayKey
{
	CryptoKey  *key;
	char		sn[ALIPAY_SN_LEN + 1];	/* "" for a plain public key */
	char		print[65];		/* its fingerprint */
	int64_t		not_before;		/* certificates only, unix seconds */
	int64_t		not_after;
} AlipayKey;

/* A configuration's text, before any key was read. */
typedef struct AlipaySettings
{
	json_t	   *root;			/* what the pointers below point into */
	char		app_id[ALIPAY_APP_ID_LEN + 1];
	char		auth_app_id[ALIPAY_APP_ID_LEN + 1]; /* "" = not for another */
	const char *private_key;
	const char *app_public_key; /* or NULL */
	const char *key_file[ALIPAY_KEYS_MAX];	/* public keys or certificates */
	int			key_count;
	bool		certificates;	/* certificate mode */
	const char *app_certificate;
	const char *root_certificate;
	const char *app_auth_token; /* a file, or NULL */
	const char *seller[ALIPAY_SELLERS_MAX];
	int			seller_count;
	char		base_url[CHANNEL_URL_MAX + 1];
	const char *public_base_url;	/* or NULL */
	const json_t *transfer;		/* an object; NULL: it pays no withdrawals */
	bool		loopback;
	bool		has_sandbox_settings;
} AlipaySettings;

/* An open configuration. */
typedef struct AlipayConfig
{
	char		app_id[ALIPAY_APP_ID_LEN + 1];
	char		auth_app_id[ALIPAY_APP_ID_LEN + 1];
	char		base_url[CHANNEL_URL_MAX + 1];
	char		token[ALIPAY_TOKEN_MAX + 1];
	char		seller[ALIPAY_SELLERS_MAX][33];
	int			seller_count;
	bool		certificates;
	char		app_sn[ALIPAY_SN_LEN + 1];
	char		root_sn[ALIPAY_ROOT_SN_MAX + 1];
	CryptoKey  *private_key;
	AlipayKey	keys[ALIPAY_KEYS_MAX];
	int			key_count;
	json_t	   *transfer;		/* what transfers say where they do not say it
								 * themselves; NULL: it pays no withdrawals */
} AlipayConfig;

extern const Channel alipay_channel;
extern const ChannelProduct alipay_refunds;
extern const ChannelProduct alipay_transfers;

/* alipay_text.c */
/* "12.30", exactly two decimals. */
extern void alipay_amount_text(int64_t fen, char out[32]);

/* Digits, and at most two decimals behind a point: fen. */
extern bool alipay_parse_amount(const char *s, int64_t *fen);

/* "yyyy-MM-dd HH:mm:ss" of Beijing, whose clock knows no summer time. */
extern void alipay_time_text(int64_t unix_seconds, char out[32]);

/* The same, perhaps with a fraction: unix microseconds. */
extern bool alipay_parse_time(const char *s, int64_t *out);

/* Visible ASCII only, 1 to CHANNEL_NO_MAX bytes. */
extern bool alipay_is_number(const char *s);

/* alipay_verdict.c */
#define ALIPAY_VERDICT_COUNT	64
extern const VerdictRule alipay_verdicts[];

/* alipay_config.c */
extern bool alipay_settings_parse(const char *config_json, AlipaySettings *s, ChannelError *err);
extern void alipay_settings_free(AlipaySettings *s);
extern bool alipay_merchant(const char *config_json, char merchant[CHANNEL_MERCHANT_MAX + 1],
							ChannelError *err);
extern void *alipay_open(const ChannelSource *source, ChannelError *err);
extern void alipay_close(void *config);

/*
 * alipay_keys.c: each reads one thing and says what is wrong with it; check
 * and open share them.  `private_key` may be NULL where it is only compared.
 */
extern CryptoKey *alipay_load_private_key(const ChannelSource *source, const AlipaySettings *s,
										  ChannelError *err);
extern bool alipay_load_public_key(const ChannelSource *source, const AlipaySettings *s,
								   const char *name, const CryptoKey *private_key,
								   AlipayKey *key, ChannelError *err);
extern bool alipay_check_app_public_key(const ChannelSource *source, const AlipaySettings *s,
										const CryptoKey *private_key, ChannelError *err);
extern CryptoBundle *alipay_load_roots(const ChannelSource *source, const AlipaySettings *s,
									   char sn[ALIPAY_ROOT_SN_MAX + 1], ChannelError *err);
extern bool alipay_load_certificate(const ChannelSource *source, const AlipaySettings *s,
									const char *name, const CryptoBundle *roots,
									const CryptoKey *private_key, AlipayKey *key,
									ChannelError *err);
extern bool alipay_load_app_certificate(const ChannelSource *source, const AlipaySettings *s,
										const CryptoBundle *roots, const CryptoKey *private_key,
										AlipayKey *own, ChannelError *err);
extern bool alipay_load_token(const ChannelSource *source, const AlipaySettings *s,
							  char token[ALIPAY_TOKEN_MAX + 1], ChannelError *err);

/* The certificate's SN as Alipay computes it. */
extern bool alipay_sn(const CryptoBundleFacts *facts, char sn[ALIPAY_SN_LEN + 1]);

/* alipay_check.c */
extern void alipay_check(const ChannelSource *source, int64_t now,
						 const ChannelFindings *findings);

/* alipay_request.c */
extern bool alipay_payment_data_acceptable(const ChannelInstruction *instr, ChannelError *err);
extern bool alipay_freeze(void *config, const ChannelInstruction *instr,
						  Buf *request, ChannelError *err);
extern bool alipay_build(void *config, ChannelCall call, const ChannelInstruction *instr,
						 const Buf *frozen, const ChannelMoment *moment,
						 HttpRequest *out, ChannelError *err);

/* alipay_gateway.c */
extern bool alipay_dump(json_t *body, Buf *out);	/* compact, in the order of its making */

/* A signed request around biz_content; *out must be empty, and is on failure. */
extern bool alipay_gateway_request(const AlipayConfig *config, const char *method,
								   const Buf *content, const ChannelMoment *moment,
								   const ChannelLimits *limits, HttpRequest *out);

/*
 * The node of this name, if Alipay has signed it: the caller's.  Otherwise
 * NULL, and *out says what such an answer means.
 */
extern json_t *alipay_gateway_answer(const AlipayConfig *config, const ChannelProduct *product,
									 ChannelCall call, const char *name,
									 const HttpAnswer *answer, int64_t now,
									 ChannelEvidence *out);

/* The rule for an answer that is no 10000; NULL = unknown. */
extern const VerdictRule *alipay_judge(const ChannelProduct *product, ChannelCall call,
									   const char *code, const char *sub_code);
extern bool alipay_is_status(const char *code); /* names of the table that are no codes */

/* alipay_node.c */
typedef struct AlipayNode
{
	const char *data;			/* into the answer's body; NULL if there is none */
	size_t		len;
	bool		is_object;		/* '{' ... '}'; otherwise a text, with its quotes */
	bool		is_error;		/* it stands under "error_response" */
	const char *sign;			/* what stands between the quotes; NULL if absent */
	size_t		signlen;
	const char *sn;				/* alipay_cert_sn, likewise */
	size_t		snlen;
} AlipayNode;

/*
 * Find the members of an answer.  False and *why if it is not one whole
 * object, names something twice, or has none of the nodes looked for.
 */
extern bool alipay_node_find(const char *body, size_t len, const char *name,
							 AlipayNode *out, const char **why);

/* Whether `key` signed these bytes, or these with every "\/" as "/". */
extern bool alipay_node_verify(const AlipayNode *node, const CryptoKey *key);

/* alipay_answer.c */
extern void alipay_read_answer(void *config, ChannelCall call, const ChannelInstruction *instr,
							   const HttpAnswer *answer, int64_t now, ChannelEvidence *out);

/* alipay_form.c */
#define ALIPAY_FORM_MAX			((size_t) 64 * 1024)
#define ALIPAY_PARAMS_MAX		256

typedef struct AlipayParam
{
	const char *name;			/* NUL-terminated, as are values: none holds a NUL */
	const char *value;
} AlipayParam;

typedef struct AlipayForm
{
	AlipayParam param[ALIPAY_PARAMS_MAX];	/* sorted by name */
	int			count;
	char	   *text;			/* what they point into */
} AlipayForm;

/* Decode a body once; false and *why.  Free it either way. */
extern bool alipay_form_parse(const void *body, size_t len, AlipayForm *form, const char **why);
extern void alipay_form_free(AlipayForm *form);
extern const char *alipay_form_get(const AlipayForm *form, const char *name);	/* NULL if absent */

/* CALLBACK_EVIDENCE if Alipay signed it; otherwise why not. */
extern CallbackResult alipay_form_verify(const AlipayConfig *config, const AlipayForm *form,
										 int64_t now, const ChannelFindings *trace);

/* alipay_callback.c */
/*
 * A parameter that counts: visible ASCII and spaces, without '&'.  NULL if it
 * is absent or empty; *good becomes false if it is there and something else.
 */
extern const char *alipay_plain(const AlipayForm *form, const char *name, bool *good);

/* False if it is no number; absent is "". */
extern bool alipay_copy_number(const char *text, char *dst, size_t dstsize);

/* The meaning: what two deliveries of one message have in common. */
extern bool alipay_callback_digest(ChannelEvidence *out, const char *what, const char *amount,
								   const char *when);
extern CallbackResult alipay_read_callback(void *config, const HttpHeaders *headers,
										   const void *body, size_t len, int64_t now,
										   const ChannelFindings *trace, ChannelEvidence *out);

/* ---- transfers ---- */

/* alipay_transfer_verdict.c */
#define ALIPAY_TRANSFER_VERDICT_COUNT	110
extern const VerdictRule alipay_transfer_verdicts[];

/* alipay_transfer_payee.c */
typedef enum AlipayPayeeKind
{
	ALIPAY_PAYEE_USER,
	ALIPAY_PAYEE_LOGON,
	ALIPAY_PAYEE_OPEN,
	ALIPAY_PAYEE_CARD
} AlipayPayeeKind;

typedef enum AlipayBankText
{
	ALIPAY_BANK_NAME,
	ALIPAY_BANK_PROVINCE,
	ALIPAY_BANK_CITY,
	ALIPAY_BANK_BRANCH,
	ALIPAY_BANK_CODE
} AlipayBankText;

#define ALIPAY_BANK_TEXTS	(ALIPAY_BANK_CODE + 1)

typedef struct AlipayPayee
{
	json_t	   *root;			/* what the pointers below point into */
	AlipayPayeeKind kind;
	const char *id;
	const char *name;			/* or NULL */
	bool		corporate;		/* a company's account; cards only */
	const char *bank[ALIPAY_BANK_TEXTS];	/* or NULL; cards only */
} AlipayPayee;

extern bool alipay_text_good(const json_t *v, size_t max);
extern bool alipay_payee_parse(const char *payee_json, AlipayPayee *payee, ChannelError *err);
extern void alipay_payee_free(AlipayPayee *payee);
extern const char *alipay_payee_product(const AlipayPayee *payee);
extern json_t *alipay_payee_info(const AlipayPayee *payee);
extern bool alipay_payee(const char *payee_json, ChannelPayee *out, ChannelError *err);

/* alipay_transfer_request.c */
/* The setting "transfer", or (`of_one`) a withdrawal's channel_data. */
extern bool alipay_transfer_options_good(const json_t *options, const char *where, bool of_one,
										 ChannelError *err);
extern bool alipay_transfer_freeze(void *config, const ChannelInstruction *instr,
								   Buf *request, ChannelError *err);
extern bool alipay_transfer_build(void *config, ChannelCall call, const ChannelInstruction *instr,
								  const Buf *frozen, const ChannelMoment *moment,
								  HttpRequest *out, ChannelError *err);

/* alipay_transfer_answer.c */
extern bool alipay_is_code(const char *s);
extern void alipay_transfer_note(const char *comment, const char *reason, ChannelEvidence *out);
extern void alipay_transfer_read_answer(void *config, ChannelCall call,
										const ChannelInstruction *instr,
										const HttpAnswer *answer, int64_t now,
										ChannelEvidence *out);

/* alipay_transfer_callback.c */
extern CallbackResult alipay_read_transfer_changed(const AlipayConfig *config,
												   const AlipayForm *form, const char *id,
												   const ChannelFindings *trace,
												   ChannelEvidence *out);

#endif							/* REFUNDX_ALIPAY_H */
