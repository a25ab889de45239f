/*-------------------------------------------------------------------------
 *
 * alipay_config.c
 *	  An Alipay configuration: its text, and opening it.
 *
 * There are two modes, by what Alipay's signatures are checked with: its
 * public key, or its certificate under a root that we were given.  Which one
 * it is follows from the settings, and a mixture is refused: half of each
 * would be neither.
 *
 * No message here repeats a value, only the names of settings and of files.
 *
 * src/channel/alipay_config.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/alipay.h"

#define TOKEN_LIKE_MIN		32
#define TOKEN_LIKE_MAX		64

static const char *const known_settings[] = {
	"app_id", "private_key", "alipay_public_key", "app_certificate", "alipay_certificates",
	"root_certificate", "app_public_key", "app_auth_token", "auth_app_id", "seller_id",
	"transfer", "base_url", "public_base_url", "not_found_after", "time_scale", NULL
};

#define KNOWN_SETTINGS_TEXT \
	"Known settings: app_id, private_key, alipay_public_key, app_certificate, " \
	"alipay_certificates, root_certificate, app_public_key, app_auth_token, auth_app_id, " \
	"seller_id, transfer, base_url, public_base_url, not_found_after, time_scale."

static const char *const file_settings[] = {
	"private_key", "alipay_public_key", "app_certificate", "alipay_certificates",
	"root_certificate", "app_public_key", "app_auth_token", NULL
};

static bool is_pasted_token(const char *s);
static bool get_app_id(json_t *root, const char *name, bool required,
					   char out[ALIPAY_APP_ID_LEN + 1], ChannelError *err);
static bool get_list(json_t *root, const char *name, const char **out, int max, int *count,
					 ChannelError *err);
static bool get_mode(AlipaySettings *s, ChannelError *err);
static bool get_sub_merchant(AlipaySettings *s, ChannelError *err);
static bool get_sellers(AlipaySettings *s, ChannelError *err);
static bool get_transfer(AlipaySettings *s, ChannelError *err);
static bool settings_fill(AlipaySettings *s, ChannelError *err);
static bool open_public_keys(AlipayConfig *config, const ChannelSource *source,
							 const AlipaySettings *s, ChannelError *err);
static bool open_certificates(AlipayConfig *config, const ChannelSource *source,
							  const AlipaySettings *s, ChannelError *err);
static bool open_keys(AlipayConfig *config, const ChannelSource *source,
					  const AlipaySettings *s, ChannelError *err);

static const SettingRules rules = {
	.label = "Alipay",
	.known = known_settings,
	.known_text = KNOWN_SETTINGS_TEXT,
	.files = file_settings,
	.is_secret = is_pasted_token,
};

/* ---- the text ---- */

/*
 * An app_auth_token is some forty letters and digits.  A file could be called
 * that, but nobody would; with an extension it is taken as a name.
 */
static bool
is_pasted_token(const char *s)
{
	size_t		i;
	bool		digit = false;

	for (i = 0; s[i] != '\0'; i++)
	{
		if (!isalnum((unsigned char) s[i]))
			return false;
		digit = digit || isdigit((unsigned char) s[i]);
	}
	return digit && i >= TOKEN_LIKE_MIN && i <= TOKEN_LIKE_MAX;
}

static bool
get_app_id(json_t *root, const char *name, bool required, char out[ALIPAY_APP_ID_LEN + 1],
		   ChannelError *err)
{
	const char *text;

	out[0] = '\0';
	if (!setting_text(&rules, root, name, required, &text, err))
		return false;
	if (text == NULL)
		return true;
	if (strncmp(text, "2088", 4) == 0)
		return channel_error(err, "The app's id (APPID) is shown with the app in Alipay's open "
							 "platform; a number that begins with 2088 is the merchant's (PID).",
							 "the setting \"%s\" is a merchant's number, not an app's", name);
	if (strlen(text) != ALIPAY_APP_ID_LEN || strspn(text, "0123456789") != ALIPAY_APP_ID_LEN ||
		strncmp(text, "20", 2) != 0)
		return channel_error(err, "It is shown with the app in Alipay's open platform, as APPID; "
							 "write it as a text: \"2014072300007148\".",
							 "the setting \"%s\" must be an app's id: 16 digits that begin with 20",
							 name);
	return str_copy(out, ALIPAY_APP_ID_LEN + 1, text);
}

/* One text, or a list of 1 to max. */
static bool
get_list(json_t *root, const char *name, const char **out, int max, int *count, ChannelError *err)
{
	const json_t *v = json_object_get(root, name);
	size_t		n = json_is_array(v) ? json_array_size(v) : 1;
	size_t		i;

	*count = 0;
	if (v == NULL)
		return true;
	if (n < 1 || n > (size_t) max)
		return channel_error(err, NULL, "the setting \"%s\" must be a text, or a list of 1 to %d",
							 name, max);
	for (i = 0; i < n; i++)
	{
		const json_t *item = json_is_array(v) ? json_array_get(v, i) : v;

		if (!json_is_string(item) || json_string_length(item) == 0 ||
			json_string_length(item) > 255)
			return channel_error(err, NULL,
								 "the setting \"%s\" must be a text of 1 to 255 bytes, or a list "
								 "of them", name);
		out[i] = json_string_value(item);
	}
	*count = (int) n;
	return true;
}

static bool
get_mode(AlipaySettings *s, ChannelError *err)
{
	bool		has_key = json_object_get(s->root, "alipay_public_key") != NULL;

	s->certificates = json_object_get(s->root, "app_certificate") != NULL ||
		json_object_get(s->root, "alipay_certificates") != NULL ||
		json_object_get(s->root, "root_certificate") != NULL;
	if (has_key && s->certificates)
		return channel_error(err, "If the app uses certificates in Alipay's open platform, drop "
							 "\"alipay_public_key\"; if it uses keys, drop \"app_certificate\", "
							 "\"alipay_certificates\" and \"root_certificate\".",
							 "both Alipay's public key and certificates are given");
	if (!has_key && !s->certificates)
		return channel_error(err, "Give \"alipay_public_key\", or \"app_certificate\", "
							 "\"alipay_certificates\" and \"root_certificate\": whichever the app "
							 "uses in Alipay's open platform.",
							 "neither Alipay's public key nor certificates are given");
	if (!get_list(s->root, s->certificates ? "alipay_certificates" : "alipay_public_key",
				  s->key_file, ALIPAY_KEYS_MAX, &s->key_count, err) ||
		!setting_text(&rules, s->root, "app_certificate", s->certificates, &s->app_certificate,
					  err) ||
		!setting_text(&rules, s->root, "root_certificate", s->certificates, &s->root_certificate,
					  err) ||
		!setting_text(&rules, s->root, "app_public_key", false, &s->app_public_key, err))
		return false;
	if (s->key_count == 0)
		return channel_error(err, "It is alipayCertPublicKey_RSA2.crt, from the app's page.",
							 "the setting \"alipay_certificates\" is missing");
	return true;
}

/*
 * Both or neither: without the id, another sub-merchant's notifications could
 * not be told from this one's.
 */
static bool
get_sub_merchant(AlipaySettings *s, ChannelError *err)
{
	if (!setting_text(&rules, s->root, "app_auth_token", false, &s->app_auth_token, err) ||
		!get_app_id(s->root, "auth_app_id", false, s->auth_app_id, err))
		return false;
	if ((s->app_auth_token != NULL) != (s->auth_app_id[0] != '\0'))
		return channel_error(err, "alipay.open.auth.token.app gives both: put the token into a file and "
							 "name it as app_auth_token, and give the sub-merchant's app as auth_app_id.",
							 "only one of \"app_auth_token\" and \"auth_app_id\" is given");
	return true;
}

static bool
get_sellers(AlipaySettings *s, ChannelError *err)
{
	int			i;

	if (!get_list(s->root, "seller_id", s->seller, ALIPAY_SELLERS_MAX, &s->seller_count, err))
		return false;
	for (i = 0; i < s->seller_count; i++)
		if (strlen(s->seller[i]) > 32 || strspn(s->seller[i], "0123456789") != strlen(s->seller[i]))
			return channel_error(err, "It is the merchant's number (PID), 16 digits that begin "
								 "with 2088.",
								 "the setting \"seller_id\" must be merchants' numbers: digits");
	return true;
}

/*
 * Alipay pays out for apps that use certificates only: any other one is told
 * isv.missing-app-cert-sn.
 */
static bool
get_transfer(AlipaySettings *s, ChannelError *err)
{
	s->transfer = json_object_get(s->root, "transfer");
	if (s->transfer == NULL)
		return true;
	if (!json_is_object(s->transfer))
		return channel_error(err, "\"transfer\": {} is enough.",
							 "the setting \"transfer\" must be an object");
	if (!s->certificates)
		return channel_error(err, "Change the app to certificates in Alipay's open platform, and give "
							 "\"app_certificate\", \"alipay_certificates\" and \"root_certificate\" "
							 "instead of \"alipay_public_key\"; or drop \"transfer\".",
							 "the setting \"transfer\" needs certificate mode");
	return alipay_transfer_options_good(s->transfer, "transfer", false, err);
}

static bool
settings_fill(AlipaySettings *s, ChannelError *err)
{
	UrlKind		base;

	if (!get_app_id(s->root, "app_id", true, s->app_id, err) ||
		!setting_text(&rules, s->root, "private_key", true, &s->private_key, err) ||
		!get_mode(s, err) || !get_sub_merchant(s, err) || !get_sellers(s, err) ||
		!get_transfer(s, err) ||
		!setting_host(&rules, s->root, "base_url", ALIPAY_BASE_URL, s->base_url, &base, err) ||
		!setting_text(&rules, s->root, "public_base_url", false, &s->public_base_url, err) ||
		!setting_sandbox(s->root, &s->has_sandbox_settings, err))
		return false;
	if (s->base_url[0] == '\0')
		str_copy(s->base_url, sizeof(s->base_url), ALIPAY_BASE_URL);
	s->loopback = base == URL_LOOPBACK;
	return true;
}

bool
alipay_settings_parse(const char *config_json, AlipaySettings *s, ChannelError *err)
{
	memset(s, 0, sizeof(*s));
	s->root = settings_parse(&rules, config_json, err);
	if (s->root == NULL)
		return false;
	if (settings_fill(s, err))
		return true;
	alipay_settings_free(s);
	return false;
}

void
alipay_settings_free(AlipaySettings *s)
{
	json_decref(s->root);
	memset(s, 0, sizeof(*s));
}

bool
alipay_merchant(const char *config_json, char merchant[CHANNEL_MERCHANT_MAX + 1],
				ChannelError *err)
{
	AlipaySettings s;

	merchant[0] = '\0';
	if (!alipay_settings_parse(config_json, &s, err))
		return false;
	str_copy(merchant, CHANNEL_MERCHANT_MAX + 1, s.app_id);
	alipay_settings_free(&s);
	return true;
}

/* ---- opening ---- */

static bool
open_public_keys(AlipayConfig *config, const ChannelSource *source, const AlipaySettings *s,
				 ChannelError *err)
{
	int			i;

	for (i = 0; i < s->key_count; i++, config->key_count++)
		if (!alipay_load_public_key(source, s, s->key_file[i], config->private_key,
									&config->keys[i], err))
			return false;
	return true;
}

static bool
open_certificates(AlipayConfig *config, const ChannelSource *source, const AlipaySettings *s,
				  ChannelError *err)
{
	AlipayKey	own = {0};
	CryptoBundle *roots = alipay_load_roots(source, s, config->root_sn, err);
	bool		good = roots != NULL &&
		alipay_load_app_certificate(source, s, roots, config->private_key, &own, err);
	int			i;

	for (i = 0; good && i < s->key_count; i++)
	{
		good = alipay_load_certificate(source, s, s->key_file[i], roots, config->private_key,
									   &config->keys[i], err);
		if (good)
			config->key_count++;
	}
	str_copy(config->app_sn, sizeof(config->app_sn), own.sn);
	crypto_key_free(own.key);
	crypto_bundle_free(roots);
	return good;
}

static bool
open_keys(AlipayConfig *config, const ChannelSource *source, const AlipaySettings *s,
		  ChannelError *err)
{
	config->certificates = s->certificates;
	config->private_key = alipay_load_private_key(source, s, err);
	if (config->private_key == NULL)
		return false;
	if (s->app_public_key != NULL &&
		!alipay_check_app_public_key(source, s, config->private_key, err))
		return false;
	if (s->app_auth_token != NULL && !alipay_load_token(source, s, config->token, err))
		return false;
	return s->certificates ? open_certificates(config, source, s, err)
		: open_public_keys(config, source, s, err);
}

void *
alipay_open(const ChannelSource *source, ChannelError *err)
{
	AlipaySettings s;
	AlipayConfig *config;
	bool		good;
	int			i;

	if (!alipay_settings_parse(source->config_json, &s, err))
		return NULL;
	config = calloc(1, sizeof(AlipayConfig));
	if (config == NULL)
	{
		channel_error(err, NULL, "out of memory");
		alipay_settings_free(&s);
		return NULL;
	}
	str_copy(config->app_id, sizeof(config->app_id), s.app_id);
	str_copy(config->auth_app_id, sizeof(config->auth_app_id), s.auth_app_id);
	str_copy(config->base_url, sizeof(config->base_url), s.base_url);
	for (i = 0; i < s.seller_count; i++)
		str_copy(config->seller[i], sizeof(config->seller[i]), s.seller[i]);
	config->seller_count = s.seller_count;
	good = open_keys(config, source, &s, err);
	if (good && s.transfer != NULL)
	{
		config->transfer = json_deep_copy(s.transfer);
		good = config->transfer != NULL || channel_error(err, NULL, "out of memory");
	}
	alipay_settings_free(&s);
	if (good)
		return config;
	alipay_close(config);
	return NULL;
}

void
alipay_close(void *arg)
{
	AlipayConfig *config = arg;
	int			i;

	if (config == NULL)
		return;
	crypto_key_free(config->private_key);
	for (i = 0; i < ALIPAY_KEYS_MAX; i++)
		crypto_key_free(config->keys[i].key);
	json_decref(config->transfer);
	explicit_bzero(config->token, sizeof(config->token));
	free(config);
}
