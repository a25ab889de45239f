/*-------------------------------------------------------------------------
 *
 * wechatkit.h
 *	  A WeChat Pay of one's own for tests and fuzzers: keys, and messages
 *	  signed and encrypted as WeChat does.
 *
 * The signatures are made with OpenSSL's EVP_DigestSign and not with ours, so
 * that one mistake cannot stand on both sides.
 *
 * test/unit/wechatkit.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_WECHATKIT_H
#define REFUNDX_WECHATKIT_H

#include <string.h>

#include "channel/channel.h"
#include "crypto/crypto.h"
#include "testkeys.h"

#define KIT_NOW				1790000000
#define KIT_PUB_KEY_ID		"PUB_KEY_ID_0119000001002026010100001"
#define KIT_CERT_SERIAL		"5157F09EFDC096DE15EBE81A47057A7200000001"
#define KIT_MERCHANT_SERIAL "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB"
#define KIT_APIV3_NEW		"0123456789abcdefghijABCDEFGHIJ01"
#define KIT_APIV3_OLD		"oldoldoldoldoldoldoldoldoldold00"
#define KIT_CONFIG \
	"{\"mchid\":\"1900000100\",\"merchant_serial\":\"" KIT_MERCHANT_SERIAL "\"," \
	"\"private_key\":\"apiclient_key.pem\",\"apiv3_key\":[\"apiv3_new.key\",\"apiv3_old.key\"]," \
	"\"wechat_keys\":{\"" KIT_PUB_KEY_ID "\":\"pub_key.pem\"," \
	"\"" KIT_CERT_SERIAL "\":\"platform.pem\"}}"

/* The same, with a scene for transfers: a job, and what it is paid for. */
#define KIT_APPID			"wxf636efh567hg4356"
#define KIT_OPENID			"o-MYE42l80oelYMDE34nYD456Xoy"
#define KIT_REPORT_INFOS \
	"[{\"info_type\":\"\345\262\227\344\275\215\347\261\273\345\236\213\"," \
	"\"info_content\":\"courier\"},{\"info_type\":\"\346\212\245\351\205\254" \
	"\350\257\264\346\230\216\",\"info_content\":\"June\"}]"
#define KIT_TRANSFER \
	"{\"appid\":\"" KIT_APPID "\",\"scene_id\":\"1005\",\"report_infos\":" KIT_REPORT_INFOS "," \
	"\"remark\":\"wages\"}"
#define KIT_TRANSFER_CONFIG \
	"{\"mchid\":\"1900000100\",\"merchant_serial\":\"" KIT_MERCHANT_SERIAL "\"," \
	"\"private_key\":\"apiclient_key.pem\",\"apiv3_key\":[\"apiv3_new.key\",\"apiv3_old.key\"]," \
	"\"wechat_keys\":{\"" KIT_PUB_KEY_ID "\":\"pub_key.pem\"," \
	"\"" KIT_CERT_SERIAL "\":\"platform.pem\"},\"transfer\":" KIT_TRANSFER "}"

/* A key directory in memory. */
typedef struct KitFile
{
	const char *name;
	Buf			text;
} KitFile;

static EVP_PKEY *kit_merchant;
static EVP_PKEY *kit_public_key_pair;
static EVP_PKEY *kit_certificate_pair;
static KitFile kit_files[16];
static int	kit_file_count;

static Buf *
kit_file(const char *name)
{
	int			i;

	for (i = 0; i < kit_file_count; i++)
		if (strcmp(kit_files[i].name, name) == 0)
			return &kit_files[i].text;
	testkey_need(kit_file_count < 16, "files");
	kit_files[kit_file_count].name = name;
	return &kit_files[kit_file_count++].text;
}

static bool __attribute__((unused))
kit_read_key(void *arg, const char *name, bool secret, Buf *out, char *err, size_t errsize)
{
	int			i;

	(void) arg;
	(void) secret;
	for (i = 0; i < kit_file_count; i++)
	{
		if (strcmp(kit_files[i].name, name) != 0)
			continue;
		buf_add(out, buf_str(&kit_files[i].text), kit_files[i].text.len);
		return true;
	}
	snprintf(err, errsize, "there is no file \"%s\"", name);
	return false;
}

static void __attribute__((unused))
kit_start(void)
{
	kit_merchant = testkey_new(2048);
	kit_public_key_pair = testkey_new(2048);
	kit_certificate_pair = testkey_new(2048);
	testkey_private_pem(kit_merchant, kit_file("apiclient_key.pem"));
	testkey_certificate_pem(kit_merchant, KIT_MERCHANT_SERIAL, KIT_NOW - 1000,
							KIT_NOW + 400 * 86400, kit_file("apiclient_cert.pem"));
	testkey_public_pem(kit_public_key_pair, kit_file("pub_key.pem"));
	testkey_certificate_pem(kit_certificate_pair, KIT_CERT_SERIAL, KIT_NOW - 86400,
							KIT_NOW + 100 * 86400, kit_file("platform.pem"));
	buf_adds(kit_file("apiv3_new.key"), KIT_APIV3_NEW "\n");
	buf_adds(kit_file("apiv3_old.key"), KIT_APIV3_OLD);
}

static void __attribute__((unused))
kit_stop(void)
{
	int			i;

	for (i = 0; i < kit_file_count; i++)
		buf_free(&kit_files[i].text);
	EVP_PKEY_free(kit_merchant);
	EVP_PKEY_free(kit_public_key_pair);
	EVP_PKEY_free(kit_certificate_pair);
}

static void __attribute__((unused))
kit_sign(EVP_PKEY *pkey, const void *text, size_t len, Buf *base64)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char sig[512];
	size_t		siglen = sizeof(sig);

	testkey_need(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
				 EVP_DigestSign(ctx, sig, &siglen, text, len) == 1, "sign");
	EVP_MD_CTX_free(ctx);
	base64_encode(base64, sig, siglen);
}

/* The five headers over these bytes. */
static void __attribute__((unused))
kit_headers(HttpHeaders *h, EVP_PKEY *pkey, const char *serial, int64_t at, const char *nonce,
			const void *body, size_t len)
{
	Buf			text = BUF_INIT;
	Buf			sig = BUF_INIT;
	char		timestamp[32];

	snprintf(timestamp, sizeof(timestamp), "%lld", (long long) at);
	buf_addf(&text, "%s\n%s\n", timestamp, nonce);
	buf_add(&text, body, len);
	buf_addc(&text, '\n');
	kit_sign(pkey, text.data, text.len, &sig);
	http_header_add(h, "Content-Type", "application/json; charset=utf-8");
	http_header_add(h, "Wechatpay-Timestamp", timestamp);
	http_header_add(h, "Wechatpay-Nonce", nonce);
	http_header_add(h, "Wechatpay-Signature", buf_str(&sig));
	http_header_add(h, "Wechatpay-Serial", serial);
	http_header_add(h, "Wechatpay-Signature-Type", "WECHATPAY2-SHA256-RSA2048");
	buf_free(&text);
	buf_free(&sig);
}

/* An envelope around an encrypted resource; aad NULL = leave it out. */
static void __attribute__((unused))
kit_envelope_of(Buf *out, const char *event, const char *original, const char *apiv3_key,
				const char *nonce, const char *aad, const void *plain, size_t len)
{
	Buf			sealed = BUF_INIT;

	testkey_need(aes256gcm_encrypt((const unsigned char *) apiv3_key, nonce, strlen(nonce),
								   aad, aad ? strlen(aad) : 0, plain, len, &sealed), "encrypt");
	buf_addf(out, "{\"id\":\"EV-2018022511223320873\",\"create_time\":\"2026-09-21T20:00:00+08:00\","
			 "\"resource_type\":\"encrypt-resource\",\"event_type\":\"%s\",\"summary\":\"x\","
			 "\"resource\":{\"algorithm\":\"AEAD_AES_256_GCM\",\"original_type\":\"%s\","
			 "\"ciphertext\":\"", event, original);
	base64_encode(out, sealed.data, sealed.len);
	buf_addf(out, "\",\"nonce\":\"%s\"", nonce);
	if (aad != NULL)
		buf_addf(out, ",\"associated_data\":\"%s\"", aad);
	buf_adds(out, "}}");
	buf_free(&sealed);
}

static void __attribute__((unused))
kit_envelope(Buf *out, const char *event, const char *apiv3_key, const char *nonce,
			 const char *aad, const void *plain, size_t len)
{
	kit_envelope_of(out, event, "refund", apiv3_key, nonce, aad, plain, len);
}

#endif							/* REFUNDX_WECHATKIT_H */
