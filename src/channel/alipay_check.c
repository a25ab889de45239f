/*-------------------------------------------------------------------------
 *
 * alipay_check.c
 *	  Everything wrong or right with an Alipay configuration, in plain words.
 *
 * open() stops at the first mistake; a person who sets a channel up wants all
 * of them at once.  The loading itself is open()'s, so the two cannot
 * disagree.
 *
 * src/channel/alipay_check.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "channel/alipay.h"

static void check_settings(const AlipaySettings *s, const ChannelFindings *findings);
static CryptoKey *check_own_key(const ChannelSource *source, const AlipaySettings *s,
								const ChannelFindings *findings);
static void check_public_keys(const ChannelSource *source, const AlipaySettings *s,
							  const CryptoKey *private_key, const ChannelFindings *findings);
static void check_certificates(const ChannelSource *source, const AlipaySettings *s,
							   const CryptoKey *private_key, int64_t now,
							   const ChannelFindings *findings);

static void
check_settings(const AlipaySettings *s, const ChannelFindings *findings)
{
	if (s->auth_app_id[0] != '\0')
		finding(findings, FINDING_OK, "config", "app %s, for the sub-merchant's app %s", s->app_id,
				s->auth_app_id);
	else
		finding(findings, FINDING_OK, "config", "app %s", s->app_id);
	finding(findings, FINDING_OK, "mode", s->certificates ? "certificates" : "public key");
	if (s->seller_count == 0)
		finding(findings, FINDING_WARNING, "seller_id",
				"not given, so a notification's seller is not compared. Give the merchant's "
				"number (PID)");
	else
		finding(findings, FINDING_OK, "seller_id", "%d given", s->seller_count);
	if (s->transfer != NULL && s->auth_app_id[0] != '\0')
		finding(findings, FINDING_WARNING, "transfer", "withdrawals are to be paid for a sub-merchant: "
				"Alipay is known to refuse that. Give the sub-merchant a channel with its own app");
	else if (s->transfer != NULL)
		finding(findings, FINDING_OK, "transfer", "withdrawals are paid, if transfers are in the "
				"app's contract; messages about them go to the app's gateway address");
}

static CryptoKey *
check_own_key(const ChannelSource *source, const AlipaySettings *s,
			  const ChannelFindings *findings)
{
	ChannelError err;
	CryptoKey  *key = alipay_load_private_key(source, s, &err);
	char		print[65];
	char		token[ALIPAY_TOKEN_MAX + 1];

	if (key == NULL)
		finding_of_error(findings, "private_key", &err);
	else if (crypto_key_fingerprint(key, print))
		finding(findings, FINDING_OK, "private_key", "%d bits, fingerprint %.16s",
				crypto_key_bits(key), print);
	if (s->app_public_key != NULL)
	{
		if (!alipay_check_app_public_key(source, s, key, &err))
			finding_of_error(findings, "app_public_key", &err);
		else if (key != NULL)
			finding(findings, FINDING_OK, "app_public_key", "it belongs to the private key");
	}
	if (s->app_auth_token != NULL)
	{
		if (alipay_load_token(source, s, token, &err))
			finding(findings, FINDING_OK, "app_auth_token", "%lu characters",
					(unsigned long) strlen(token));
		else
			finding_of_error(findings, "app_auth_token", &err);
		explicit_bzero(token, sizeof(token));
	}
	return key;
}

static void
check_public_keys(const ChannelSource *source, const AlipaySettings *s,
				  const CryptoKey *private_key, const ChannelFindings *findings)
{
	AlipayKey	key;
	ChannelError err;
	int			i;

	for (i = 0; i < s->key_count; i++)
	{
		if (alipay_load_public_key(source, s, s->key_file[i], private_key, &key, &err))
			finding(findings, FINDING_OK, "alipay_public_key", "\"%s\": %d bits, fingerprint %.16s",
					s->key_file[i], crypto_key_bits(key.key), key.print);
		else
			finding_of_error(findings, "alipay_public_key", &err);
		crypto_key_free(key.key);
	}
}

static void
check_certificates(const ChannelSource *source, const AlipaySettings *s,
				   const CryptoKey *private_key, int64_t now, const ChannelFindings *findings)
{
	char		root_sn[ALIPAY_ROOT_SN_MAX + 1];
	char		what[128];
	ChannelError err;
	CryptoBundle *roots = alipay_load_roots(source, s, root_sn, &err);
	AlipayKey	key;
	int			i;

	if (roots == NULL)
	{
		finding_of_error(findings, "root_certificate", &err);
		return;					/* there is nothing to judge the others by */
	}
	finding(findings, FINDING_OK, "root_certificate", "SN %s", root_sn);
	if (alipay_load_app_certificate(source, s, roots, private_key, &key, &err))
	{
		snprintf(what, sizeof(what), "the app's certificate (SN %s)", key.sn);
		finding_of_validity(findings, now, "app_certificate", what, key.not_before, key.not_after,
							"Renew it in the open platform");
	}
	else
		finding_of_error(findings, "app_certificate", &err);
	crypto_key_free(key.key);
	for (i = 0; i < s->key_count; i++)
	{
		if (alipay_load_certificate(source, s, s->key_file[i], roots, private_key, &key, &err))
		{
			snprintf(what, sizeof(what), "Alipay's certificate (SN %s)", key.sn);
			finding_of_validity(findings, now, "alipay_certificates", what, key.not_before,
								key.not_after, "Download its successor from the open platform and "
								"list it beside this one");
		}
		else
			finding_of_error(findings, "alipay_certificates", &err);
		crypto_key_free(key.key);
	}
	crypto_bundle_free(roots);
}

void
alipay_check(const ChannelSource *source, int64_t now, const ChannelFindings *findings)
{
	AlipaySettings s;
	ChannelError err;
	CryptoKey  *key;

	if (!alipay_settings_parse(source->config_json, &s, &err))
	{
		finding_of_error(findings, "config", &err);
		return;
	}
	check_settings(&s, findings);
	key = check_own_key(source, &s, findings);
	if (s.certificates)
		check_certificates(source, &s, key, now, findings);
	else
		check_public_keys(source, &s, key, findings);
	crypto_key_free(key);
	finding_of_base_url(findings, s.base_url, s.loopback, s.has_sandbox_settings);
	if (strstr(s.base_url, ALIPAY_SANDBOX_HOST) != NULL)
		finding(findings, FINDING_WARNING, "base_url",
				"it is Alipay's own sandbox: no real money moves");
	finding_of_public_url(findings, alipay_channel.label, s.public_base_url, s.loopback);
	alipay_settings_free(&s);
}
