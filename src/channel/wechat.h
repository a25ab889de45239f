/*-------------------------------------------------------------------------
 *
 * wechat.h
 *	  What the files of the WeChat Pay v3 channel share.
 *
 *	wechat.c			limits, what is acceptable, acknowledgements
 *	wechat_verdict.c	the verdict of every code of every call
 *	wechat_config.c		the configuration and its keys
 *	wechat_check.c		what is wrong or right with a configuration, for people
 *	wechat_request.c	the frozen body, and signed requests
 *	wechat_verify.c		whether WeChat signed some bytes
 *	wechat_answer.c		answers, and the refund object that they carry
 *	wechat_callback.c	callbacks
 *
 * and, for transfers to a payee's wallet:
 *
 *	wechat_transfer.c			limits, whom it can pay, what is acceptable
 *	wechat_transfer_data.c		settings and channel_data of a transfer
 *	wechat_transfer_verdict.c	verdicts, and reasons of failures
 *	wechat_transfer_request.c	the frozen request
 *	wechat_transfer_answer.c	answers, and the transfer object that they carry
 *
 * and bills: wechat_bill.h.
 *
 * Private to src/channel/.  This header must not include postgres.h.
 *
 * src/channel/wechat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_WECHAT_H
#define REFUNDX_WECHAT_H

#include "channel/channel_settings.h"
#include "crypto/crypto.h"

#define WECHAT_KEYS_MAX			16	/* keys of WeChat's per merchant */
#define WECHAT_APIV3_KEYS_MAX	4
#define WECHAT_APIV3_KEY_LEN	32
#define WECHAT_SERIAL_MAX		128
#define WECHAT_URL_MAX			CHANNEL_URL_MAX
#define WECHAT_CLOCK_SKEW		300 /* seconds, either way */
#define WECHAT_PUB_KEY_PREFIX	"PUB_KEY_ID_"
#define WECHAT_SIGNATURE_TYPE	"WECHATPAY2-SHA256-RSA2048"
#define WECHAT_SIGNTEST_PREFIX	"WECHATPAY/SIGNTEST/"
#define WECHAT_APPID_MAX		32
#define WECHAT_OPENID_MAX		64
#define WECHAT_OPENID_MIN		20
#define WECHAT_NAME_MAX			64	/* characters */
#define WECHAT_NAME_BYTES_MAX	214 /* what OAEP takes with a key of 2048 bits */
#define WECHAT_REMARK_MAX		32	/* characters */
#define WECHAT_WORD_CHARSET		/* of appids, openids, scenes */ \
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"
#define WECHAT_RED_PACKET_MAX	20000	/* fen */
#define WECHAT_BASE_URL			"https://api.mch.weixin.qq.com"
#define WECHAT_BACKUP_URL		"https://api2.mch.weixin.qq.com"

/*
 * The verdict table's name for a SUCCESS that was paid to the merchant's own
 * account; WeChat has no word of its own for it.
 */
#define WECHAT_SUCCESS_RETURNED "SUCCESS/merchant account"

/* One of WeChat's keys: what its signatures are verified with. */
typedef struct WechatKey
{
	char		serial[WECHAT_SERIAL_MAX + 1];
	CryptoKey  *key;
	bool		is_certificate;
	int64_t		not_before;		/* certificates only, unix seconds */
	int64_t		not_after;
} WechatKey;

/* A configuration's text, before any key was read. */
typedef struct WechatSettings
{
	json_t	   *root;			/* what the pointers below point into */
	char		mchid[33];
	char		sub_mchid[33];	/* "" = an ordinary merchant */
	char		merchant_serial[WECHAT_SERIAL_MAX + 1];
	const char *private_key;
	const char *merchant_certificate;	/* or NULL */
	const char *apiv3_key[WECHAT_APIV3_KEYS_MAX];
	int			apiv3_key_count;
	json_t	   *wechat_keys;	/* serial -> file */
	const char *use_key;		/* or NULL */
	char		base_url[WECHAT_URL_MAX + 1];
	char		backup_url[WECHAT_URL_MAX + 1]; /* "" = none */
	const char *public_base_url;	/* or NULL */
	json_t	   *transfer;		/* how transfers are paid; or NULL */
	bool		loopback;
	bool		has_sandbox_settings;
} WechatSettings;

/* An open configuration. */
typedef struct WechatConfig
{
	char		mchid[33];
	char		sub_mchid[33];
	char		merchant_serial[WECHAT_SERIAL_MAX + 1];
	char		base_url[WECHAT_URL_MAX + 1];
	char		backup_url[WECHAT_URL_MAX + 1];
	char		use_key[WECHAT_SERIAL_MAX + 1];
	CryptoKey  *private_key;
	WechatKey	keys[WECHAT_KEYS_MAX];
	int			key_count;
	unsigned char apiv3_keys[WECHAT_APIV3_KEYS_MAX][WECHAT_APIV3_KEY_LEN];
	int			apiv3_key_count;
	json_t	   *transfer;		/* checked by wechat_transfer_settings(); or NULL */
} WechatConfig;

/* Whom a transfer goes to. */
typedef struct WechatPayee
{
	char		openid[WECHAT_OPENID_MAX + 1];
	char		name[WECHAT_NAME_BYTES_MAX + 1];	/* "" = not given */
	char		appid[WECHAT_APPID_MAX + 1];	/* "" = the configuration's */
} WechatPayee;

/* What a transfer is for: of settings or of channel_data, and valid as long as they. */
typedef struct WechatScene
{
	const char *id;				/* each of these is NULL if it is not given */
	json_t	   *report_infos;
	const char *perception;
	const char *style;
} WechatScene;

extern const Channel wechat_channel;
extern const ChannelProduct wechat_refunds;
extern const ChannelProduct wechat_transfers;

/* wechat_verdict.c */
#define WECHAT_VERDICT_COUNT	64
extern const VerdictRule wechat_verdicts[];

/* wechat_config.c */
extern bool wechat_settings_parse(const char *config_json, WechatSettings *s, ChannelError *err);
extern void wechat_settings_free(WechatSettings *s);
extern bool wechat_merchant(const char *config_json, char merchant[CHANNEL_MERCHANT_MAX + 1],
							ChannelError *err);
extern void *wechat_open(const ChannelSource *source, ChannelError *err);
extern void wechat_close(void *config);

/* Each reads one key and says what is wrong with it; check and open share them. */
extern CryptoKey *wechat_load_private_key(const ChannelSource *source, const WechatSettings *s,
										  ChannelError *err);
extern bool wechat_load_apiv3_key(const ChannelSource *source, const char *name,
								  unsigned char key[WECHAT_APIV3_KEY_LEN], ChannelError *err);
extern bool wechat_load_wechat_key(const ChannelSource *source, const char *serial,
								   const char *name, WechatKey *key, ChannelError *err);
extern bool wechat_load_merchant_certificate(const ChannelSource *source,
											 const WechatSettings *s, const CryptoKey *private_key,
											 CryptoCertificate *facts, ChannelError *err);
extern const WechatKey *wechat_find_key(const WechatKey *keys, int count, const char *serial);
extern const WechatKey *wechat_default_key(const WechatKey *keys, int count);

/* wechat_check.c */
extern void wechat_check(const ChannelSource *source, int64_t now,
						 const ChannelFindings *findings);

/* wechat_request.c */
extern bool wechat_payment_data_acceptable(const ChannelInstruction *instr, ChannelError *err);
extern bool wechat_notify_url_acceptable(const char *url, ChannelError *err);
extern bool wechat_freeze(void *config, const ChannelInstruction *instr,
						  Buf *request, ChannelError *err);
extern bool wechat_build(void *config, ChannelCall call, const ChannelInstruction *instr,
						 const Buf *frozen, const ChannelMoment *moment,
						 HttpRequest *out, ChannelError *err);

/*
 * The rest of a request whose method, url and body are there: headers, the
 * signature over path (which begins at `path` in the url) and body, timeouts.
 * `serial` names the key that WeChat is to use.
 */
extern bool wechat_finish_request(const WechatConfig *config, const ChannelLimits *limits,
								  const char *serial, size_t path,
								  const ChannelMoment *moment, HttpRequest *out,
								  ChannelError *err);

/* wechat_verify.c */
/* CALLBACK_EVIDENCE if WeChat signed these bytes; otherwise why not. */
extern CallbackResult wechat_verify(const WechatConfig *config, const HttpHeaders *headers,
									const void *body, size_t len, int64_t now,
									const ChannelFindings *trace);

/* wechat_answer.c */
extern void wechat_read_answer(void *config, ChannelCall call, const ChannelInstruction *instr,
							   const HttpAnswer *answer, int64_t now, ChannelEvidence *out);

/*
 * An answer with an error: its code judged, its words noted.  What WeChat says
 * of a transfer is kept without what could name the payee.
 */
extern void wechat_read_error(const ChannelProduct *product, ChannelCall call,
							  const HttpAnswer *answer, ChannelEvidence *out);

/* Whether a 2xx is WeChat's; if not, the message says so and nothing of it counts. */
extern bool wechat_answer_verified(const WechatConfig *config, const HttpAnswer *answer,
								   int64_t now, ChannelEvidence *out);

/*
 * Fill evidence from a refund object, whose state stands under `status_key`
 * ("status" in answers, "refund_status" in callbacks).  False, with the
 * reason in out->message, if it is not a whole one.
 */
extern bool wechat_read_refund(const json_t *refund, const char *status_key,
							   ChannelEvidence *out);

/* wechat_callback.c */
extern CallbackResult wechat_read_callback(void *config, const HttpHeaders *headers,
										   const void *body, size_t len, int64_t now,
										   const ChannelFindings *trace, ChannelEvidence *out);

/* wechat_transfer.c */
/* False, and *err that names the member; never what stands in it. */
extern bool wechat_payee_read(const char *payee_json, WechatPayee *payee, ChannelError *err);
extern bool wechat_transfer_payee(const char *payee_json, ChannelPayee *out, ChannelError *err);
extern bool wechat_transfer_acceptable(const ChannelInstruction *instr, int64_t now,
									   ChannelError *err);

/* wechat_transfer_data.c */
/* 1 to max characters of UTF-8, none of them a control character. */
extern bool wechat_text_plain(const char *s, size_t max);
extern bool wechat_appid_good(const char *s);

/* The setting "transfer": everything in it, and nothing more. */
extern bool wechat_transfer_settings(const json_t *transfer, ChannelError *err);

/*
 * The withdrawal's channel_data, a text that may be NULL.  *data is what
 * *scene points into; the caller releases it, also after a failure.
 */
extern bool wechat_transfer_data(const char *text, int64_t amount, json_t **data,
								 WechatScene *scene, ChannelError *err);

/* What of it is left out, from checked settings. */
extern void wechat_scene_complete(WechatScene *scene, const json_t *transfer, int64_t amount);

/* wechat_transfer_verdict.c */
#define WECHAT_TRANSFER_VERDICT_COUNT	65
extern const VerdictRule wechat_transfer_verdicts[];

/* What a fail_reason means, in plain words; NULL if it is none that we know. */
extern const char *wechat_fail_reason(const char *reason);

/* wechat_abnormal.c */
extern bool wechat_divert_acceptable(const char *order_json, char masked[129], ChannelError *err);
extern bool wechat_divert_freeze(void *config, const ChannelInstruction *instr,
								 const char *order_json, Buf *request, ChannelError *err);
extern bool wechat_divert_build(const WechatConfig *config, const ChannelInstruction *instr,
								const Buf *frozen, const ChannelMoment *moment,
								HttpRequest *out, ChannelError *err);

/* wechat_transfer_request.c */
/*
 * Before a frozen body in which something is encrypted stands the serial of the key:
 * "" if there is none; *body is where the body begins.  False: it is neither.
 */
#define WECHAT_SERIAL_LINE		"Wechatpay-Serial: "
extern bool wechat_split_frozen(const Buf *frozen, char serial[WECHAT_SERIAL_MAX + 1], size_t *body);
extern bool wechat_transfer_freeze(void *config, const ChannelInstruction *instr,
								   Buf *request, ChannelError *err);
extern bool wechat_transfer_build(void *config, ChannelCall call, const ChannelInstruction *instr,
								  const Buf *frozen, const ChannelMoment *moment,
								  HttpRequest *out, ChannelError *err);

/* wechat_transfer_answer.c */
extern void wechat_transfer_read_answer(void *config, ChannelCall call,
										const ChannelInstruction *instr,
										const HttpAnswer *answer, int64_t now,
										ChannelEvidence *out);

/* The decrypted resource of a callback about a transfer. */
extern CallbackResult wechat_read_transfer_callback(const Buf *plain, ChannelEvidence *out);

/* WeChat's own words, without what could be an openid. */
extern void wechat_note_without_payee(ChannelEvidence *out, const char *text);

#endif							/* REFUNDX_WECHAT_H */
