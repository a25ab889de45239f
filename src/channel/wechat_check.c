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

#define DAY				86400
#define EXPIRY_WARNING	30		/* days */

static void say(const ChannelFindings *findings, FindingLevel level, const char *item,
				const char *fmt,...) __attribute__((format(printf, 4, 5)));
static void complain(const ChannelFindings *findings, const char *item, const ChannelError *err);
static void check_validity(const ChannelFindings *findings, int64_t now, const char *item,
						   const char *what, int64_t not_before, int64_t not_after,
						   const char *remedy);
static void check_merchant_keys(const ChannelSource *source, const WechatSettings *s,
								int64_t now, const ChannelFindings *findings);
static void check_apiv3_keys(const ChannelSource *source, const WechatSettings *s,
							 const ChannelFindings *findings);
static void check_wechat_keys(const ChannelSource *source, const WechatSettings *s,
							  int64_t now, const ChannelFindings *findings);
static void check_use_key(const WechatSettings *s, const WechatKey *keys, int count,
						  int64_t now, const ChannelFindings *findings);
static void check_addresses(const WechatSettings *s, const ChannelFindings *findings);
static void check_public_address(const WechatSettings *s, const ChannelFindings *findings);

static void
say(const ChannelFindings *findings, FindingLevel level, const char *item, const char *fmt,...)
{
	char		text[1024];
	char		clipped[640];
	va_list		ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_clip(clipped, sizeof(clipped), text);
	findings->add(findings->arg, level, item, clipped);
}

static void
complain(const ChannelFindings *findings, const char *item, const ChannelError *err)
{
	if (err->hint[0] != '\0')
		say(findings, FINDING_ERROR, item, "%s. %s", err->message, err->hint);
	else
		say(findings, FINDING_ERROR, item, "%s", err->message);
}

static void
check_validity(const ChannelFindings *findings, int64_t now, const char *item,
			   const char *what, int64_t not_before, int64_t not_after, const char *remedy)
{
	long long	days = (long long) ((not_after - now) / DAY);

	if (now > not_after)
		say(findings, FINDING_ERROR, item, "%s has expired. %s", what, remedy);
	else if (now < not_before)
		say(findings, FINDING_ERROR, item,
			"%s is not valid yet: either it is new, or this machine's clock is wrong", what);
	else if (days < EXPIRY_WARNING)
		say(findings, FINDING_WARNING, item, "%s expires in %lld day%s. %s", what, days,
			days == 1 ? "" : "s", remedy);
	else
		say(findings, FINDING_OK, item, "%s is valid for %lld more days", what, days);
}

static void
check_merchant_keys(const ChannelSource *source, const WechatSettings *s, int64_t now,
					const ChannelFindings *findings)
{
	CryptoCertificate facts;
	ChannelError err;
	CryptoKey  *key = wechat_load_private_key(source, s, &err);
	char		print[65];

	if (key == NULL)
		complain(findings, "private_key", &err);
	else if (crypto_key_fingerprint(key, print))
		say(findings, FINDING_OK, "private_key", "%d bits, fingerprint %.16s",
			crypto_key_bits(key), print);
	if (strlen(s->merchant_serial) != 40)
		say(findings, FINDING_WARNING, "merchant_serial",
			"the serial number has %lu digits; a merchant API certificate's has 40",
			(unsigned long) strlen(s->merchant_serial));
	if (s->merchant_certificate == NULL)
		say(findings, FINDING_WARNING, "merchant_certificate",
			"not given, so nobody can tell here whether merchant_serial and private_key belong "
			"together. Put apiclient_cert.pem beside the key and name it");
	else if (!wechat_load_merchant_certificate(source, s, key, &facts, &err))
		complain(findings, "merchant_certificate", &err);
	else
		check_validity(findings, now, "merchant_certificate", "the merchant's API certificate",
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
			say(findings, FINDING_OK, "apiv3_key", "\"%s\": 32 bytes", s->apiv3_key[i]);
		else
			complain(findings, "apiv3_key", &err);
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
			complain(findings, "wechat_keys", &err);
			crypto_key_free(key->key);
			continue;
		}
		count++;
		snprintf(what, sizeof(what), "the platform certificate %s", key->serial);
		if (key->is_certificate)
			check_validity(findings, now, "wechat_keys", what, key->not_before, key->not_after,
						   "Fetch its successor from GET /v3/certificates, or change to "
						   "WeChat's public key, which does not expire");
		else
			say(findings, FINDING_OK, "wechat_keys", "%s: a public key of %d bits",
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
		say(findings, FINDING_ERROR, "use_key",
			"it names %s, which is not among the usable \"wechat_keys\"", s->use_key);
	else if (use == NULL)
		say(findings, FINDING_ERROR, "use_key", "none of \"wechat_keys\" is usable");
	else if (use->is_certificate && now > use->not_after)
		say(findings, FINDING_ERROR, "use_key",
			"WeChat is asked to sign with %s, which has expired here", use->serial);
	else
		say(findings, FINDING_OK, "use_key", "WeChat is asked to sign with %s", use->serial);
}

/* Whether callbacks can find us: the address each request asks to be called at. */
static void
check_public_address(const WechatSettings *s, const ChannelFindings *findings)
{
	const char *item = "public_base_url";
	UrlParts	parts;
	UrlKind		kind;

	if (s->public_base_url == NULL)
	{
		say(findings, FINDING_WARNING, item,
			"not set, so requests ask for no callbacks and results come by polling only. "
			"Give the https address at which the listener is reached from outside");
		return;
	}
	kind = url_examine(s->public_base_url, &parts);
	if (kind == URL_BAD)
		say(findings, FINDING_ERROR, item, "it is not an absolute URL (https://host/path)");
	else if (parts.has_query)
		say(findings, FINDING_ERROR, item, "it has a query or a fragment, which WeChat refuses");
	else if (kind == URL_LOOPBACK && !s->loopback)
		say(findings, FINDING_ERROR, item,
			"it is an address of this machine, which WeChat cannot reach");
	else if (kind == URL_PLAIN)
		say(findings, FINDING_ERROR, item,
			"it is not https: put a reverse proxy with TLS before the listener");
	else if (parts.private_host)
		say(findings, FINDING_WARNING, item,
			"its host looks like one of a private network, which WeChat cannot reach");
	else if (strlen(s->public_base_url) > 180)
		say(findings, FINDING_WARNING, item,
			"it is long: with the channel's name behind it, it must stay within 256 bytes");
	else
		say(findings, FINDING_OK, item, "%s",
			kind == URL_LOOPBACK ? "on this machine, as the sandbox is" : "https");
}

static void
check_addresses(const WechatSettings *s, const ChannelFindings *findings)
{
	if (s->loopback)
		say(findings, FINDING_WARNING, "base_url",
			"%s is a sandbox on this machine: no money moves", s->base_url);
	else
		say(findings, FINDING_OK, "base_url", "%s", s->base_url);
	if (s->backup_url[0] != '\0')
		say(findings, FINDING_OK, "backup_url", "%s", s->backup_url);
	else if (!s->loopback)
		say(findings, FINDING_WARNING, "backup_url",
			"there is none; WeChat's own is " WECHAT_BACKUP_URL);
	if (s->has_sandbox_settings && !s->loopback)
		say(findings, FINDING_WARNING, "sandbox",
			"not_found_after and time_scale count for a sandbox on this machine only, "
			"and are ignored here");
	check_public_address(s, findings);
}

void
wechat_check(const ChannelSource *source, int64_t now, const ChannelFindings *findings)
{
	WechatSettings s;
	ChannelError err;

	if (!wechat_settings_parse(source->config_json, &s, &err))
	{
		complain(findings, "config", &err);
		return;
	}
	if (s.sub_mchid[0] != '\0')
		say(findings, FINDING_OK, "config", "merchant %s, for its sub-merchant %s",
			s.mchid, s.sub_mchid);
	else
		say(findings, FINDING_OK, "config", "merchant %s", s.mchid);
	check_merchant_keys(source, &s, now, findings);
	check_apiv3_keys(source, &s, findings);
	check_wechat_keys(source, &s, now, findings);
	check_addresses(&s, findings);
	wechat_settings_free(&s);
}
