/*-------------------------------------------------------------------------
 *
 * wechat_config.c
 *	  A WeChat Pay configuration: its text, its keys, and their rotation.
 *
 * Before the JSON is even parsed it is looked at for key material that was
 * pasted where the name of a file belongs: a parser's complaint would quote
 * it.  For the same reason no message here repeats a value, only the names of
 * settings and of files.
 *
 * WeChat signs with the key named in a message's Wechatpay-Serial header.
 * That is a public key with an id (PUB_KEY_ID_...) or a platform certificate
 * with a serial number; during a migration both arrive interleaved.  So there
 * is one table of serial -> key, however many of either kind, and no mode.
 *
 * src/channel/wechat_config.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "channel/wechat.h"

static const char *const known_settings[] = {
	"mchid", "merchant_serial", "private_key", "apiv3_key", "wechat_keys", "use_key",
	"merchant_certificate", "sub_mchid", "base_url", "backup_url", "public_base_url",
	"transfer", "not_found_after", "time_scale", NULL
};

#define KNOWN_SETTINGS_TEXT \
	"Known settings: mchid, merchant_serial, private_key, apiv3_key, wechat_keys, use_key, " \
	"merchant_certificate, sub_mchid, base_url, backup_url, public_base_url, transfer, " \
	"not_found_after, time_scale."

static bool is_pasted_secret(const char *s);
static bool get_mchid(json_t *root, const char *name, bool required, char out[33],
					  ChannelError *err);
static bool get_apiv3_keys(WechatSettings *s, ChannelError *err);
static bool get_wechat_keys(WechatSettings *s, ChannelError *err);
static bool get_urls(WechatSettings *s, ChannelError *err);
static bool get_transfer(WechatSettings *s, ChannelError *err);
static bool settings_fill(WechatSettings *s, ChannelError *err);
static bool is_serial(const char *s);
static bool is_pub_key_id(const char *s);
static bool open_keys(WechatConfig *config, const ChannelSource *source,
					  const WechatSettings *s, ChannelError *err);

static const char *const file_settings[] = {
	"private_key", "apiv3_key", "merchant_certificate", "wechat_keys", NULL
};

static const SettingRules rules = {
	.label = "WeChat Pay",
	.known = known_settings,
	.known_text = KNOWN_SETTINGS_TEXT,
	.files = file_settings,
	.is_secret = is_pasted_secret,
};

/* ---- the text ---- */

/*
 * An APIv3 key is 32 letters and digits.  A file could be called that, but
 * nobody would; with an extension it is taken as a name.
 */
static bool
is_pasted_secret(const char *s)
{
	size_t		i;

	if (looks_like_private_key(s))
		return true;
	for (i = 0; s[i] != '\0'; i++)
		if (!isalnum((unsigned char) s[i]))
			return false;
	return i == WECHAT_APIV3_KEY_LEN;
}

static bool
get_mchid(json_t *root, const char *name, bool required, char out[33], ChannelError *err)
{
	const char *text;

	out[0] = '\0';
	if (!setting_text(&rules, root, name, required, &text, err))
		return false;
	if (text == NULL)
		return true;
	if (strlen(text) > 32 || strspn(text, "0123456789") != strlen(text))
		return channel_error(err, "It is shown in the merchant platform; write it as a text: "
							 "\"1900000100\".",
							 "the setting \"%s\" must be a merchant number: 1 to 32 digits", name);
	return str_copy(out, 33, text);
}

static bool
is_serial(const char *s)
{
	size_t		len = strlen(s);

	return len >= 8 && len <= 64 && strspn(s, "0123456789abcdefABCDEF") == len;
}

static bool
is_pub_key_id(const char *s)
{
	size_t		prefix = strlen(WECHAT_PUB_KEY_PREFIX);

	return strncmp(s, WECHAT_PUB_KEY_PREFIX, prefix) == 0 && strlen(s) <= WECHAT_SERIAL_MAX &&
		s[prefix] != '\0' && strspn(s + prefix, "0123456789") == strlen(s + prefix);
}

/* One name, or several: the new one first, the old one while callbacks still use it. */
static bool
get_apiv3_keys(WechatSettings *s, ChannelError *err)
{
	const json_t *v = json_object_get(s->root, "apiv3_key");
	size_t		n = json_is_array(v) ? json_array_size(v) : 1;
	size_t		i;

	if (v == NULL)
		return channel_error(err, "WeChat sends no callbacks before an APIv3 key is set in the "
							 "merchant platform; put the same 32 characters into a file.",
							 "the setting \"apiv3_key\" is missing");
	if (n < 1 || n > WECHAT_APIV3_KEYS_MAX)
		return channel_error(err, NULL, "the setting \"apiv3_key\" must name 1 to %d files",
							 WECHAT_APIV3_KEYS_MAX);
	for (i = 0; i < n; i++)
	{
		const json_t *item = json_is_array(v) ? json_array_get(v, i) : v;

		if (!json_is_string(item) || json_string_length(item) == 0)
			return channel_error(err, NULL,
								 "the setting \"apiv3_key\" must be a file name, or a list of them");
		s->apiv3_key[i] = json_string_value(item);
	}
	s->apiv3_key_count = (int) n;
	return true;
}

static bool
get_wechat_keys(WechatSettings *s, ChannelError *err)
{
	json_t	   *keys = json_object_get(s->root, "wechat_keys");
	const char *serial;
	json_t	   *file;

	if (!json_is_object(keys) || json_object_size(keys) == 0 ||
		json_object_size(keys) > WECHAT_KEYS_MAX)
		return channel_error(err, "For example {\"PUB_KEY_ID_...\": \"pub_key.pem\"}, or "
							 "{\"<serial number>\": \"platform_certificate.pem\"}, or several.",
							 "the setting \"wechat_keys\" must map 1 to %d serials to file names",
							 WECHAT_KEYS_MAX);
	json_object_foreach(keys, serial, file)
	{
		if (!is_serial(serial) && !is_pub_key_id(serial))
			return channel_error(err, "It is \"PUB_KEY_ID_\" and digits for a public key, or the "
								 "serial number of a platform certificate, in hex.",
								 "\"wechat_keys\" has a name that is no serial of a key%s%.40s%s",
								 is_pasted_secret(serial) ? "" : ": \"",
								 is_pasted_secret(serial) ? "" : serial,
								 is_pasted_secret(serial) ? "" : "\"");
		if (!json_is_string(file) || json_string_length(file) == 0)
			return channel_error(err, NULL, "\"wechat_keys\" must give a file name for \"%s\"",
								 serial);
	}
	s->wechat_keys = keys;
	if (!setting_text(&rules, s->root, "use_key", false, &s->use_key, err))
		return false;
	if (s->use_key != NULL && !is_serial(s->use_key) && !is_pub_key_id(s->use_key))
		return channel_error(err, "Give one of the serials in \"wechat_keys\".",
							 "the setting \"use_key\" is no serial of a key");
	return true;
}

static bool
get_urls(WechatSettings *s, ChannelError *err)
{
	UrlKind		base,
				backup;

	if (!setting_host(&rules, s->root, "base_url", WECHAT_BASE_URL, s->base_url, &base, err) ||
		!setting_host(&rules, s->root, "backup_url", WECHAT_BACKUP_URL, s->backup_url, &backup, err) ||
		!setting_text(&rules, s->root, "public_base_url", false, &s->public_base_url, err))
		return false;
	if (s->base_url[0] == '\0')
		str_copy(s->base_url, sizeof(s->base_url), WECHAT_BASE_URL);
	s->loopback = base == URL_LOOPBACK;

	/*
	 * A sandbox must never fall back to the real thing, nor the other way
	 * round: only the real address has a default backup.
	 */
	if (s->backup_url[0] == '\0' && strcmp(s->base_url, WECHAT_BASE_URL) == 0)
		str_copy(s->backup_url, sizeof(s->backup_url), WECHAT_BACKUP_URL);
	else if (s->backup_url[0] != '\0' && (backup == URL_LOOPBACK) != s->loopback)
		return channel_error(err, "Give a \"backup_url\" of the same kind, or none.",
							 "one of \"base_url\" and \"backup_url\" is a sandbox, "
							 "the other is not");
	return true;
}

/* Transfers are an interface for ordinary merchants (4012716434). */
static bool
get_transfer(WechatSettings *s, ChannelError *err)
{
	s->transfer = json_object_get(s->root, "transfer");
	if (s->transfer == NULL)
		return true;
	if (s->sub_mchid[0] != '\0')
		return channel_error(err, "Add a channel of its own, without \"sub_mchid\", for withdrawals.",
							 "the settings \"transfer\" and \"sub_mchid\" exclude each other: WeChat "
							 "Pay's transfers are paid by the merchant itself");
	return wechat_transfer_settings(s->transfer, err);
}

static bool
settings_fill(WechatSettings *s, ChannelError *err)
{
	const char *serial;
	size_t		i;

	if (!get_mchid(s->root, "mchid", true, s->mchid, err) ||
		!get_mchid(s->root, "sub_mchid", false, s->sub_mchid, err) ||
		!setting_text(&rules, s->root, "merchant_serial", true, &serial, err) ||
		!setting_text(&rules, s->root, "private_key", true, &s->private_key, err) ||
		!setting_text(&rules, s->root, "merchant_certificate", false, &s->merchant_certificate, err) ||
		!get_apiv3_keys(s, err) || !get_wechat_keys(s, err) ||
		!get_urls(s, err) || !get_transfer(s, err) ||
		!setting_sandbox(s->root, &s->has_sandbox_settings, err))
		return false;
	if (!is_serial(serial))
		return channel_error(err, "It is the serial number of the merchant's API certificate "
							 "(apiclient_cert.pem), 40 hex digits; not WeChat's.",
							 "the setting \"merchant_serial\" is no serial number");
	for (i = 0; serial[i] != '\0'; i++)
		s->merchant_serial[i] = (char) toupper((unsigned char) serial[i]);
	s->merchant_serial[i] = '\0';
	return true;
}

bool
wechat_settings_parse(const char *config_json, WechatSettings *s, ChannelError *err)
{
	memset(s, 0, sizeof(*s));
	s->root = settings_parse(&rules, config_json, err);
	if (s->root == NULL)
		return false;
	if (settings_fill(s, err))
		return true;
	wechat_settings_free(s);
	return false;
}

void
wechat_settings_free(WechatSettings *s)
{
	json_decref(s->root);
	memset(s, 0, sizeof(*s));
}

bool
wechat_merchant(const char *config_json, char merchant[CHANNEL_MERCHANT_MAX + 1],
				ChannelError *err)
{
	WechatSettings s;

	merchant[0] = '\0';
	if (!wechat_settings_parse(config_json, &s, err))
		return false;
	str_copy(merchant, CHANNEL_MERCHANT_MAX + 1, s.mchid);
	wechat_settings_free(&s);
	return true;
}

/* ---- the keys ---- */

CryptoKey *
wechat_load_private_key(const ChannelSource *source, const WechatSettings *s, ChannelError *err)
{
	Buf			pem = BUF_INIT;
	CryptoKey  *key = NULL;
	char		why[256] = "";

	if (!source->read_key(source->arg, s->private_key, true, &pem, why, sizeof(why)))
		channel_error(err, NULL, "private_key: %s", why);
	else if ((key = crypto_private_key(buf_str(&pem), pem.len, why, sizeof(why))) == NULL)
		channel_error(err, "It is apiclient_key.pem of the merchant's API certificate.",
					  "private_key: the file \"%s\" cannot be used: %s", s->private_key, why);
	buf_wipe(&pem);
	return key;
}

bool
wechat_load_apiv3_key(const ChannelSource *source, const char *name,
					  unsigned char key[WECHAT_APIV3_KEY_LEN], ChannelError *err)
{
	Buf			text = BUF_INIT;
	char		why[256] = "";
	size_t		len;
	bool		good;

	if (!source->read_key(source->arg, name, true, &text, why, sizeof(why)))
		return channel_error(err, NULL, "apiv3_key: %s", why);

	/* an editor's newline at the end is not part of the key */
	len = text.len;
	if (len > WECHAT_APIV3_KEY_LEN && text.data[len - 1] == '\n')
		len--;
	if (len > WECHAT_APIV3_KEY_LEN && text.data[len - 1] == '\r')
		len--;
	good = len == WECHAT_APIV3_KEY_LEN;
	if (good)
		memcpy(key, text.data, WECHAT_APIV3_KEY_LEN);
	else
		channel_error(err, "Write into it the 32 characters that were set in the merchant platform "
					  "as APIv3 key, as they are.",
					  "apiv3_key: the file \"%s\" has %lu bytes; an APIv3 key has exactly 32",
					  name, (unsigned long) len);
	buf_wipe(&text);
	return good;
}

/*
 * A certificate says its own serial number, so a wrong assignment is found
 * here and not at the first callback.  A public key says nothing.
 */
bool
wechat_load_wechat_key(const ChannelSource *source, const char *serial, const char *name,
					   WechatKey *key, ChannelError *err)
{
	Buf			pem = BUF_INIT;
	CryptoCertificate facts;
	char		why[256] = "";
	bool		is_certificate;
	bool		good = false;

	memset(key, 0, sizeof(*key));
	if (!source->read_key(source->arg, name, false, &pem, why, sizeof(why)))
		return channel_error(err, NULL, "wechat_keys: %s", why);
	is_certificate = crypto_certificate_read(buf_str(&pem), pem.len, &facts);
	key->is_certificate = !is_pub_key_id(serial);
	if (is_certificate && !key->is_certificate)
		channel_error(err, "A PUB_KEY_ID_ belongs to pub_key.pem; list the certificate under its "
					  "serial number.",
					  "wechat_keys: \"%s\" is a public key's id, but \"%s\" is a certificate",
					  serial, name);
	else if (!is_certificate && key->is_certificate)
		channel_error(err, "A serial number belongs to a platform certificate; list a public key "
					  "under its PUB_KEY_ID_.",
					  "wechat_keys: the file \"%s\" of \"%s\" is not a certificate in PEM format",
					  name, serial);
	else if (is_certificate && strcasecmp(facts.serial, serial) != 0)
		channel_error(err, "List it under the serial number that it has.",
					  "wechat_keys: the certificate in \"%s\" has the serial number %s, not %s",
					  name, facts.serial, serial);
	else if ((key->key = crypto_public_key(buf_str(&pem), pem.len, why, sizeof(why))) == NULL)
		channel_error(err, "It is pub_key.pem from the merchant platform, or a platform "
					  "certificate; not the merchant's own.",
					  "wechat_keys: the file \"%s\" cannot be used: %s", name, why);
	else
		good = str_copy(key->serial, sizeof(key->serial),
						is_certificate ? facts.serial : serial);
	key->not_before = facts.not_before;
	key->not_after = facts.not_after;
	buf_free(&pem);
	return good;
}

bool
wechat_load_merchant_certificate(const ChannelSource *source, const WechatSettings *s,
								 const CryptoKey *private_key, CryptoCertificate *facts,
								 ChannelError *err)
{
	Buf			pem = BUF_INIT;
	CryptoKey  *public_key = NULL;
	char		why[256] = "";
	bool		good = false;

	if (!source->read_key(source->arg, s->merchant_certificate, false, &pem, why, sizeof(why)))
		return channel_error(err, NULL, "merchant_certificate: %s", why);
	if (!crypto_certificate_read(buf_str(&pem), pem.len, facts))
		channel_error(err, "It is apiclient_cert.pem.",
					  "merchant_certificate: \"%s\" is not a certificate in PEM format",
					  s->merchant_certificate);
	else if (strcmp(facts->serial, s->merchant_serial) != 0)
		channel_error(err, "WeChat answers 401 SIGN_ERROR to a serial number that is not the "
					  "certificate's.",
					  "merchant_serial is %s, but the certificate in \"%s\" has %s",
					  s->merchant_serial, s->merchant_certificate, facts->serial);
	else if ((public_key = crypto_public_key(buf_str(&pem), pem.len, why, sizeof(why))) == NULL)
		channel_error(err, NULL, "merchant_certificate: \"%s\" cannot be used: %s",
					  s->merchant_certificate, why);
	else if (private_key != NULL && !crypto_key_pair_matches(private_key, public_key))
		channel_error(err, "Both come out of the same download: apiclient_key.pem and "
					  "apiclient_cert.pem.",
					  "the private key in \"%s\" does not belong to the certificate in \"%s\"",
					  s->private_key, s->merchant_certificate);
	else
		good = true;
	crypto_key_free(public_key);
	buf_free(&pem);
	return good;
}

const WechatKey *
wechat_find_key(const WechatKey *keys, int count, const char *serial)
{
	int			i;

	for (i = 0; i < count; i++)
		if (strcasecmp(keys[i].serial, serial) == 0)
			return &keys[i];
	return NULL;
}

/* The first public key, for WeChat moves everybody there; else the newest certificate. */
const WechatKey *
wechat_default_key(const WechatKey *keys, int count)
{
	const WechatKey *newest = NULL;
	int			i;

	for (i = 0; i < count; i++)
	{
		if (!keys[i].is_certificate)
			return &keys[i];
		if (newest == NULL || keys[i].not_before > newest->not_before)
			newest = &keys[i];
	}
	return newest;
}

static bool
open_keys(WechatConfig *config, const ChannelSource *source, const WechatSettings *s,
		  ChannelError *err)
{
	const WechatKey *use;
	CryptoCertificate facts;
	const char *serial;
	json_t	   *file;
	int			i;

	config->private_key = wechat_load_private_key(source, s, err);
	if (config->private_key == NULL)
		return false;
	if (s->merchant_certificate != NULL &&
		!wechat_load_merchant_certificate(source, s, config->private_key, &facts, err))
		return false;
	for (i = 0; i < s->apiv3_key_count; i++)
		if (!wechat_load_apiv3_key(source, s->apiv3_key[i], config->apiv3_keys[i], err))
			return false;
	config->apiv3_key_count = s->apiv3_key_count;
	json_object_foreach(s->wechat_keys, serial, file)
	{
		if (!wechat_load_wechat_key(source, serial, json_string_value(file),
									&config->keys[config->key_count], err))
			return false;
		config->key_count++;
	}
	use = s->use_key ? wechat_find_key(config->keys, config->key_count, s->use_key)
		: wechat_default_key(config->keys, config->key_count);
	if (use == NULL)
		return channel_error(err, "Give one of the serials in \"wechat_keys\".",
							 "use_key names %s, which is not in \"wechat_keys\"", s->use_key);
	return str_copy(config->use_key, sizeof(config->use_key), use->serial);
}

void *
wechat_open(const ChannelSource *source, ChannelError *err)
{
	WechatSettings s;
	WechatConfig *config;
	bool		good;

	if (!wechat_settings_parse(source->config_json, &s, err))
		return NULL;
	config = calloc(1, sizeof(WechatConfig));
	if (config == NULL)
	{
		channel_error(err, NULL, "out of memory");
		wechat_settings_free(&s);
		return NULL;
	}
	str_copy(config->mchid, sizeof(config->mchid), s.mchid);
	str_copy(config->sub_mchid, sizeof(config->sub_mchid), s.sub_mchid);
	str_copy(config->merchant_serial, sizeof(config->merchant_serial), s.merchant_serial);
	str_copy(config->base_url, sizeof(config->base_url), s.base_url);
	str_copy(config->backup_url, sizeof(config->backup_url), s.backup_url);
	config->transfer = json_incref(s.transfer);
	good = open_keys(config, source, &s, err);
	wechat_settings_free(&s);
	if (good)
		return config;
	wechat_close(config);
	return NULL;
}

void
wechat_close(void *arg)
{
	WechatConfig *config = arg;
	int			i;

	if (config == NULL)
		return;
	crypto_key_free(config->private_key);
	for (i = 0; i < WECHAT_KEYS_MAX; i++)
		crypto_key_free(config->keys[i].key);
	json_decref(config->transfer);
	explicit_bzero(config->apiv3_keys, sizeof(config->apiv3_keys));
	free(config);
}
