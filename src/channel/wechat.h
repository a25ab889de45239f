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
} WechatConfig;

extern const Channel wechat_channel;
extern const ChannelProduct wechat_refunds;

/* wechat_verdict.c */
#define WECHAT_VERDICT_COUNT	51
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

/* wechat_verify.c */
/* CALLBACK_EVIDENCE if WeChat signed these bytes; otherwise why not. */
extern CallbackResult wechat_verify(const WechatConfig *config, const HttpHeaders *headers,
									const void *body, size_t len, int64_t now,
									const ChannelFindings *trace);

/* wechat_answer.c */
extern void wechat_read_answer(void *config, ChannelCall call, const ChannelInstruction *instr,
							   const HttpAnswer *answer, int64_t now, ChannelEvidence *out);

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

#endif							/* REFUNDX_WECHAT_H */
