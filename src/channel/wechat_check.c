/*-------------------------------------------------------------------------
 *
 * wechat_check.c
 *	  Everything wrong or right with a configuration, in plain words.
 *
 * open() stops at the first mistake; a person who sets a channel up wants all
 * of them at once, and wants to know what is about to go wrong.  The loading
 * itself is open()'s, so the two cannot disagree.
 *
 * src/channel/wechat_check.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/wechat.h"

static void check_merchant_keys(const ChannelSource *source, const WechatSettings *s,
								int64_t now, const ChannelFindings *findings);
static void check_apiv3_keys(const ChannelSource *source, const WechatSettings *s,
							 const ChannelFindings *findings);
static void check_wechat_keys(const ChannelSource *source, const WechatSettings *s,
							  int64_t now, const ChannelFindings *findings);
static void check_use_key(const WechatSettings *s, const WechatKey *keys, int count,
						  int64_t now, const ChannelFindings *findings);
static void check_addresses(const WechatSettings *s, const ChannelFindings *findings);
static void check_transfer(const WechatSettings *s, const ChannelFindings *findings);

static void
check_merchant_keys(const ChannelSource *source, const WechatSettings *s, int64_t now,
					const ChannelFindings *findings)
{
	CryptoCertificate facts;
	ChannelError err;
	CryptoKey  *key = wechat_load_private_key(source, s, &err);
	char		print[65];

	if (key == NULL)
		finding_of_error(findings, "private_key", &err);
	else if (crypto_key_fingerprint(key, print))
		finding(findings, FINDING_OK, "private_key", "%d bits, fingerprint %.16s",
			crypto_key_bits(key), print);
	if (strlen(s->merchant_serial) != 40)
		finding(findings, FINDING_WARNING, "merchant_serial",
			"the serial number has %lu digits; a merchant API certificate's has 40",
			(unsigned long) strlen(s->merchant_serial));
	if (s->merchant_certificate == NULL)
		finding(findings, FINDING_WARNING, "merchant_certificate",
			"not given, so nobody can tell here whether merchant_serial and private_key belong "
			"together. Put apiclient_cert.pem beside the key and name it");
	else if (!wechat_load_merchant_certificate(source, s, key, &facts, &err))
		finding_of_error(findings, "merchant_certificate", &err);
	else
		finding_of_validity(findings, now, "merchant_certificate", "the merchant's API certificate",
					   facts.not_before, facts.not_after,
					   "Renew it in the merchant platform");
	crypto_key_free(key);
}

static void
check_apiv3_keys(const ChannelSource *source, const WechatSettings *s,
				 const ChannelFindings *findings)
{
	unsigned char key[WECHAT_APIV3_KEY_LEN];
	ChannelError err;
	int			i;

	for (i = 0; i < s->apiv3_key_count; i++)
	{
		if (wechat_load_apiv3_key(source, s->apiv3_key[i], key, &err))
			finding(findings, FINDING_OK, "apiv3_key", "\"%s\": 32 bytes", s->apiv3_key[i]);
		else
			finding_of_error(findings, "apiv3_key", &err);
	}
	explicit_bzero(key, sizeof(key));
}

static void
check_wechat_keys(const ChannelSource *source, const WechatSettings *s, int64_t now,
				  const ChannelFindings *findings)
{
	WechatKey	keys[WECHAT_KEYS_MAX];
	ChannelError err;
	const char *serial;
	json_t	   *file;
	int			count = 0;
	int			i;

	json_object_foreach(s->wechat_keys, serial, file)
	{
		WechatKey  *key = &keys[count];
		char		what[WECHAT_SERIAL_MAX + 64];

		if (!wechat_load_wechat_key(source, serial, json_string_value(file), key, &err))
		{
			finding_of_error(findings, "wechat_keys", &err);
			crypto_key_free(key->key);
			continue;
		}
		count++;
		snprintf(what, sizeof(what), "the platform certificate %s", key->serial);
		if (key->is_certificate)
			finding_of_validity(findings, now, "wechat_keys", what, key->not_before, key->not_after,
						   "Fetch its successor from GET /v3/certificates, or change to "
						   "WeChat's public key, which does not expire");
		else
			finding(findings, FINDING_OK, "wechat_keys", "%s: a public key of %d bits",
				key->serial, crypto_key_bits(key->key));
	}
	check_use_key(s, keys, count, now, findings);
	for (i = 0; i < count; i++)
		crypto_key_free(keys[i].key);
}

static void
check_use_key(const WechatSettings *s, const WechatKey *keys, int count, int64_t now,
			  const ChannelFindings *findings)
{
	const WechatKey *use = s->use_key ? wechat_find_key(keys, count, s->use_key)
		: wechat_default_key(keys, count);

	if (use == NULL && s->use_key != NULL)
		finding(findings, FINDING_ERROR, "use_key",
			"it names %s, which is not among the usable \"wechat_keys\"", s->use_key);
	else if (use == NULL)
		finding(findings, FINDING_ERROR, "use_key", "none of \"wechat_keys\" is usable");
	else if (use->is_certificate && now > use->not_after)
		finding(findings, FINDING_ERROR, "use_key",
			"WeChat is asked to sign with %s, which has expired here", use->serial);
	else
		finding(findings, FINDING_OK, "use_key", "WeChat is asked to sign with %s", use->serial);
}

static void
check_addresses(const WechatSettings *s, const ChannelFindings *findings)
{
	finding_of_base_url(findings, s->base_url, s->loopback, s->has_sandbox_settings);
	if (s->backup_url[0] != '\0')
		finding(findings, FINDING_OK, "backup_url", "%s", s->backup_url);
	else if (!s->loopback)
		finding(findings, FINDING_WARNING, "backup_url",
			"there is none; WeChat's own is " WECHAT_BACKUP_URL);
	finding_of_public_url(findings, wechat_channel.label, s->public_base_url, s->loopback);
}

/* What only WeChat can tell about transfers (page 4012715211) is said beforehand. */
static void
check_transfer(const WechatSettings *s, const ChannelFindings *findings)
{
	if (s->transfer == NULL)
		return;
	finding(findings, FINDING_OK, "transfer",
			"withdrawals are paid for appid %s, scene %s; WeChat takes them only from IP addresses "
			"that are set for the interface in the merchant platform",
			json_text(s->transfer, "appid"), json_text(s->transfer, "scene_id"));
}

void
wechat_check(const ChannelSource *source, int64_t now, const ChannelFindings *findings)
{
	WechatSettings s;
	ChannelError err;

	if (!wechat_settings_parse(source->config_json, &s, &err))
	{
		finding_of_error(findings, "config", &err);
		return;
	}
	if (s.sub_mchid[0] != '\0')
		finding(findings, FINDING_OK, "config", "merchant %s, for its sub-merchant %s",
			s.mchid, s.sub_mchid);
	else
		finding(findings, FINDING_OK, "config", "merchant %s", s.mchid);
	check_merchant_keys(source, &s, now, findings);
	check_apiv3_keys(source, &s, findings);
	check_wechat_keys(source, &s, now, findings);
	check_addresses(&s, findings);
	check_transfer(&s, findings);
	wechat_settings_free(&s);
}
