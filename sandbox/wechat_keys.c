/*-------------------------------------------------------------------------
 *
 * wechat_keys.c
 *	  What a merchant of WeChat Pay has, and what WeChat Pay has for it.
 *
 * sandbox/wechat_keys.c
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/pem.h>
#include <string.h>
#include <time.h>

#include "keys.h"
#include "wechat.h"

bool
wechat_merchant_ok(const char *s)
{
	return *s && strlen(s) <= 24 && s[strspn(s, "0123456789")] == '\0';
}

/* Writes it, and tells its serial. */
static bool
put_certificate(const char *dir, const char *prefix, const char *name, EVP_PKEY *key,
				const char *who, char serial[129])
{
	KeysName	n = {.organisation = "refundx sandbox", .who = who};
	X509	   *x = keys_certificate(key, &n, NULL, NULL, false);
	BIO		   *bio = BIO_new(BIO_s_mem());
	CryptoCertificate facts;
	char	   *data;
	long		len;

	if (x == NULL || !PEM_write_bio_X509(bio, x))
		return false;
	X509_free(x);
	len = BIO_get_mem_data(bio, &data);
	if (!crypto_certificate_read(data, (size_t) len, &facts))
		return false;
	str_copy(serial, 129, facts.serial);
	return keys_put_bio(dir, "keys", prefix, name, bio, 0644);
}

static void
make_pub_key_id(const char *mchid, char out[65])
{
	time_t		now = time(NULL);
	struct tm	tm;
	char		day[16];

	gmtime_r(&now, &tm);
	strftime(day, sizeof(day), "%Y%m%d", &tm);
	snprintf(out, 65, "PUB_KEY_ID_01%.24s%.15s0001", mchid, day);
}

/* The merchant's own key, and WeChat Pay's two. */
enum
{
	OWN, PUB, PLATFORM, KEYS
};

json_t *
wechat_make_merchant(const char *dir, const char *id, const char *prefix)
{
	char		pub_key_id[65];
	char		serial[129],
				platform[129];
	char		nonce[33];
	char		who[64];
	EVP_PKEY   *key[KEYS];
	bool		ok;

	make_pub_key_id(id, pub_key_id);
	snprintf(who, sizeof(who), "merchant %.32s", id);
	if (!keys_make(key, KEYS))
		return NULL;
	ok = keys_put_private(dir, "keys", prefix, "apiclient_key.pem", key[OWN]) &&
		put_certificate(dir, prefix, "apiclient_cert.pem", key[OWN], who, serial) &&
		keys_put_private(dir, "private", prefix, "wechat_pub_key_private.pem", key[PUB]) &&
		keys_put_public(dir, "keys", prefix, "wechat_pub_key.pem", key[PUB]) &&
		keys_put_private(dir, "private", prefix, "wechat_platform_private.pem", key[PLATFORM]) &&
		put_certificate(dir, prefix, "wechat_platform_cert.pem", key[PLATFORM],
						"sandbox platform", platform) &&
		random_nonce(nonce) &&
		keys_put(dir, "keys", prefix, "apiv3.key", nonce, 32, 0600);
	keys_free(key, KEYS);
	return ok ? json_pack("{ss ss ss}", "serial", serial, "pub_key_id", pub_key_id,
						  "platform_serial", platform) : NULL;
}

bool
wechat_load_merchant(SbMerchant *m, const char *dir, json_t *entry, char *err, size_t errsize)
{
	WechatKeys *k = must_alloc(sizeof(*k));
	const char *serial,
			   *pub_key_id,
			   *platform;
	Buf			apiv3 = BUF_INIT;
	bool		ok;

	m->keys = k;
	if (json_unpack(entry, "{ss ss ss}", "serial", &serial, "pub_key_id", &pub_key_id,
					"platform_serial", &platform) != 0)
	{
		snprintf(err, errsize, "sandbox.json is damaged");
		return false;
	}
	str_copy(k->serial, sizeof(k->serial), serial);
	str_copy(k->pub_key_id, sizeof(k->pub_key_id), pub_key_id);
	str_copy(k->platform_serial, sizeof(k->platform_serial), platform);
	k->certificate = keys_load(dir, "keys", m->prefix, "apiclient_cert.pem",
							   crypto_public_key, err, errsize);
	k->pub_key = keys_load(dir, "private", m->prefix, "wechat_pub_key_private.pem",
						   crypto_private_key, err, errsize);
	k->platform_key = keys_load(dir, "private", m->prefix, "wechat_platform_private.pem",
								crypto_private_key, err, errsize);
	if (k->certificate == NULL || k->pub_key == NULL || k->platform_key == NULL ||
		!keys_read(dir, "keys", m->prefix, "wechat_platform_cert.pem", &k->platform_pem, err, errsize) ||
		!keys_read(dir, "keys", m->prefix, "apiv3.key", &apiv3, err, errsize))
		return false;
	ok = apiv3.len == sizeof(k->apiv3);
	if (ok)
		memcpy(k->apiv3, apiv3.data, sizeof(k->apiv3));
	else
		snprintf(err, errsize, "%sapiv3.key must have 32 bytes", m->prefix);
	buf_wipe(&apiv3);
	return ok;
}

/* What transfers are for: a scene and its report, as wechat_transfer_body.c wants them. */
static json_t *
transfer_setting(void)
{
	return json_pack("{ss ss s[{ss ss} {ss ss}] ss}",
					 "appid", "wx0123456789abcdef", "scene_id", "1000",
					 "report_infos",
					 "info_type", "活动名称", "info_content", "沙箱",
					 "info_type", "奖励说明", "info_content", "提现",
					 "remark", "提现");
}

bool
wechat_write_configs(const SbMerchant *m, const char *url)
{
	const WechatKeys *k = wechat_keys(m);
	char		name[64];
	char		key[64],
				apiv3[64],
				pub[64],
				cert[64];
	json_t	   *config;
	bool		ok;

	snprintf(name, sizeof(name), m->prefix[0] ? "channel-%s.json" : "channel.json", m->mchid);
	snprintf(key, sizeof(key), "%sapiclient_key.pem", m->prefix);
	snprintf(apiv3, sizeof(apiv3), "%sapiv3.key", m->prefix);
	snprintf(pub, sizeof(pub), "%swechat_pub_key.pem", m->prefix);
	snprintf(cert, sizeof(cert), "%swechat_platform_cert.pem", m->prefix);
	config = json_pack("{ss ss ss ss s{ss ss} ss ss ss si so}",
					   "mchid", m->mchid, "merchant_serial", k->serial,
					   "private_key", key, "apiv3_key", apiv3,
					   "wechat_keys", k->pub_key_id, pub, k->platform_serial, cert,
					   "use_key", k->pub_key_id, "base_url", url, "backup_url", url,
					   "not_found_after", sandbox.opt.not_found_after,
					   "transfer", transfer_setting());
	ok = keys_put_json(sandbox.opt.data, name, config, 0644);
	json_decref(config);
	return ok;
}
