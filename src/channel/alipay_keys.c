/*-------------------------------------------------------------------------
 *
 * alipay_keys.c
 *	  Keys, certificates and the token of an Alipay configuration.
 *
 * The consoles export the same key in four shapes and show three public keys
 * beside each other, so most of what goes wrong is a right file in the wrong
 * place.  Each such mistake has its own message: Alipay's answer would be
 * "invalid signature" for all of them.
 *
 * src/channel/alipay_keys.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "channel/alipay.h"

#define RSA_FAMILY		"1.2.840.113549.1.1"

#define OWN_KEY_HINT \
	"The console shows both: the app's public key (which one gives to Alipay) and Alipay's " \
	"public key (which one gets for it). Copy the second one."

static bool read_file(const ChannelSource *source, const char *setting, const char *name,
					  bool secret, Buf *text, ChannelError *err);
static bool names_other_app(const char *subject, const char *app_id);
static CryptoBundle *load_bundle(const ChannelSource *source, const char *setting,
								 const char *name, const char *hint, ChannelError *err);
static bool load_leaf(const ChannelSource *source, const char *setting, const char *name,
					  const char *hint, const CryptoBundle *roots, bool alone,
					  AlipayKey *key, CryptoBundleFacts *facts, ChannelError *err);
static bool chain_acceptable(const CryptoBundle *bundle, const CryptoBundle *roots,
							 const char *setting, const char *name, bool alone,
							 ChannelError *err);

static bool
read_file(const ChannelSource *source, const char *setting, const char *name, bool secret,
		  Buf *text, ChannelError *err)
{
	char		why[256] = "";

	if (source->read_key(source->arg, name, secret, text, why, sizeof(why)))
		return true;
	return channel_error(err, NULL, "%s: %s", setting, why);
}

CryptoKey *
alipay_load_private_key(const ChannelSource *source, const AlipaySettings *s, ChannelError *err)
{
	Buf			text = BUF_INIT;
	CryptoKey  *key = NULL;
	char		why[256] = "";

	if (!read_file(source, "private_key", s->private_key, true, &text, err))
		return NULL;
	key = crypto_private_key_any(buf_str(&text), text.len, why, sizeof(why));
	if (key == NULL)
		channel_error(err, "It is the app's private key as Alipay's key tool saves it: one line of "
					  "base64, or PEM; PKCS#1 or PKCS#8, not encrypted.",
					  "private_key: the file \"%s\" cannot be used: %s", s->private_key, why);
	buf_wipe(&text);
	return key;
}

bool
alipay_load_public_key(const ChannelSource *source, const AlipaySettings *s, const char *name,
					   const CryptoKey *private_key, AlipayKey *key, ChannelError *err)
{
	Buf			text = BUF_INIT;
	CryptoCertificate facts;
	char		why[256] = "";
	bool		good = false;

	(void) s;
	memset(key, 0, sizeof(*key));
	if (!read_file(source, "alipay_public_key", name, false, &text, err))
		return false;
	if (crypto_certificate_read(buf_str(&text), text.len, &facts))
		channel_error(err, "For certificate mode give \"app_certificate\", \"alipay_certificates\" "
					  "and \"root_certificate\" instead of \"alipay_public_key\".",
					  "alipay_public_key: the file \"%s\" is a certificate, not a public key", name);
	else if ((key->key = crypto_public_key_any(buf_str(&text), text.len, why, sizeof(why))) == NULL)
		channel_error(err, "It is Alipay's public key from the app's page in the open platform: one "
					  "line of base64, or PEM.",
					  "alipay_public_key: the file \"%s\" cannot be used: %s", name, why);
	else if (private_key != NULL && crypto_key_pair_matches(private_key, key->key))
		channel_error(err, OWN_KEY_HINT,
					  "alipay_public_key: the file \"%s\" is the app's own public key, not Alipay's",
					  name);
	else
		good = crypto_key_fingerprint(key->key, key->print);
	buf_free(&text);
	return good;
}

/* It is used for nothing else than this comparison. */
bool
alipay_check_app_public_key(const ChannelSource *source, const AlipaySettings *s,
							const CryptoKey *private_key, ChannelError *err)
{
	Buf			text = BUF_INIT;
	CryptoKey  *key;
	char		why[256] = "";
	bool		good = false;

	if (!read_file(source, "app_public_key", s->app_public_key, false, &text, err))
		return false;
	key = crypto_public_key_any(buf_str(&text), text.len, why, sizeof(why));
	if (key == NULL)
		channel_error(err, "It is the app's public key as Alipay's key tool saves it.",
					  "app_public_key: the file \"%s\" cannot be used: %s", s->app_public_key, why);
	else if (private_key != NULL && !crypto_key_pair_matches(private_key, key))
		channel_error(err, "Both are made together by Alipay's key tool. If \"app_public_key\" is what "
					  "the console has, find the private key that was made with it.",
					  "the private key in \"%s\" does not belong to the app's public key in \"%s\"",
					  s->private_key, s->app_public_key);
	else
		good = true;
	crypto_key_free(key);
	buf_free(&text);
	return good;
}

bool
alipay_load_token(const ChannelSource *source, const AlipaySettings *s,
				  char token[ALIPAY_TOKEN_MAX + 1], ChannelError *err)
{
	Buf			text = BUF_INIT;
	size_t		len;
	size_t		i;
	bool		good;

	token[0] = '\0';
	if (!read_file(source, "app_auth_token", s->app_auth_token, true, &text, err))
		return false;

	/* an editor's newline at the end is not part of it */
	len = text.len;
	while (len > 0 && (text.data[len - 1] == '\n' || text.data[len - 1] == '\r'))
		len--;
	good = len >= 1 && len <= ALIPAY_TOKEN_MAX;
	for (i = 0; good && i < len; i++)
		good = text.data[i] > ' ' && (unsigned char) text.data[i] < 0x7f;
	if (good)
	{
		memcpy(token, text.data, len);
		token[len] = '\0';
	}
	else
		channel_error(err, "Write into it the app_auth_token as alipay.open.auth.token.app gave it, "
					  "and nothing else.",
					  "app_auth_token: the file \"%s\" does not hold one line of 1 to %d visible "
					  "characters", s->app_auth_token, ALIPAY_TOKEN_MAX);
	buf_wipe(&text);
	return good;
}

/* ---- certificates ---- */

/* MD5 of the issuer and the serial number in decimal: a name, no security. */
bool
alipay_sn(const CryptoBundleFacts *facts, char sn[ALIPAY_SN_LEN + 1])
{
	Buf			text = BUF_INIT;
	bool		good;

	buf_addf(&text, "%s%s", facts->issuer, facts->serial_decimal);
	good = !text.failed && crypto_md5_hex(text.data, text.len, sn);
	buf_free(&text);
	return good;
}

static CryptoBundle *
load_bundle(const ChannelSource *source, const char *setting, const char *name, const char *hint,
			ChannelError *err)
{
	Buf			text = BUF_INIT;
	CryptoBundle *bundle = NULL;

	if (!read_file(source, setting, name, false, &text, err))
		return NULL;
	bundle = crypto_bundle_read(buf_str(&text), text.len);
	if (bundle == NULL)
		channel_error(err, hint, "%s: the file \"%s\" is not a certificate in PEM format",
					  setting, name);
	buf_free(&text);
	return bundle;
}

/*
 * The SN of the root file is that of its certificates of the RSA family, in
 * their order, joined by '_'; those of SM2 are left out.
 */
CryptoBundle *
alipay_load_roots(const ChannelSource *source, const AlipaySettings *s,
				  char sn[ALIPAY_ROOT_SN_MAX + 1], ChannelError *err)
{
	const char *hint = "It is alipayRootCert.crt, from the app's page in the open platform.";
	CryptoBundle *roots = load_bundle(source, "root_certificate", s->root_certificate, hint, err);
	CryptoBundleFacts facts;
	char		one[ALIPAY_SN_LEN + 1];
	Buf			all = BUF_INIT;
	int			own_roots = 0;
	bool		good = true;
	int			i;

	sn[0] = '\0';
	if (roots == NULL)
		return NULL;
	for (i = 0; good && i < crypto_bundle_count(roots); i++)
	{
		good = crypto_bundle_facts(roots, i, &facts);
		if (!good || strncmp(facts.signature_oid, RSA_FAMILY, strlen(RSA_FAMILY)) != 0)
			continue;
		own_roots += facts.self_issued;
		good = alipay_sn(&facts, one);
		buf_addf(&all, "%s%s", all.len > 0 ? "_" : "", one);
	}
	if (!good)
		channel_error(err, hint, "root_certificate: a certificate in \"%s\" cannot be read, or this "
					  "OpenSSL has no MD5, which Alipay names certificates by", s->root_certificate);
	else if (own_roots == 0)
	{
		channel_error(err, hint, "root_certificate: the file \"%s\" holds no root: no certificate in it "
					  "is its own issuer and of RSA", s->root_certificate);
		good = false;
	}
	else if (all.failed || !str_copy(sn, ALIPAY_ROOT_SN_MAX + 1, buf_str(&all)))
	{
		channel_error(err, hint, "root_certificate: the file \"%s\" holds too many certificates",
					  s->root_certificate);
		good = false;
	}
	buf_free(&all);
	if (good)
		return roots;
	crypto_bundle_free(roots);
	return NULL;
}

static bool
chain_acceptable(const CryptoBundle *bundle, const CryptoBundle *roots, const char *setting,
				 const char *name, bool alone, ChannelError *err)
{
	char		why[128];

	switch (crypto_chain_verify(bundle, roots, why, sizeof(why)))
	{
		case CRYPTO_CHAIN_GOOD:
			return true;
		case CRYPTO_CHAIN_INCOMPLETE:
			if (alone)
				return true;
			return channel_error(err, "Download it again: its file holds the certificate and the one "
								 "that issued it. Or \"root_certificate\" is another one's.",
								 "%s: the chain of \"%s\" is incomplete: an issuer is neither in the "
								 "file nor in \"root_certificate\"", setting, name);
		case CRYPTO_CHAIN_OTHER_ROOT:
			return channel_error(err, "Download all three certificates from the same app's page; those of "
								 "Alipay's sandbox have other roots.",
								 "%s: the chain of \"%s\" does not end in a root of "
								 "\"root_certificate\"", setting, name);
		default:
			break;
	}
	return channel_error(err, "Download it again.", "%s: the certificate in \"%s\" does not verify: %s",
						 setting, name, why);
}

/*
 * The first certificate of a file: its key, SN and validity; its chain is good.
 * `alone`: its file may lack the one that issued it.
 */
static bool
load_leaf(const ChannelSource *source, const char *setting, const char *name, const char *hint,
		  const CryptoBundle *roots, bool alone, AlipayKey *key, CryptoBundleFacts *facts,
		  ChannelError *err)
{
	CryptoBundle *bundle = load_bundle(source, setting, name, hint, err);
	char		why[256] = "";
	bool		good = false;

	memset(key, 0, sizeof(*key));
	if (bundle == NULL)
		return false;
	if (!crypto_bundle_facts(bundle, 0, facts) || !alipay_sn(facts, key->sn))
		channel_error(err, hint, "%s: the certificate in \"%s\" cannot be read, or this OpenSSL has "
					  "no MD5, which Alipay names certificates by", setting, name);
	else if ((key->key = crypto_bundle_key(bundle, 0, why, sizeof(why))) == NULL)
		channel_error(err, hint, "%s: the certificate in \"%s\" cannot be used: %s", setting, name, why);
	else if (chain_acceptable(bundle, roots, setting, name, alone, err))
		good = crypto_key_fingerprint(key->key, key->print);
	key->not_before = facts->not_before;
	key->not_after = facts->not_after;
	crypto_bundle_free(bundle);
	return good;
}

bool
alipay_load_certificate(const ChannelSource *source, const AlipaySettings *s, const char *name,
						const CryptoBundle *roots, const CryptoKey *private_key, AlipayKey *key,
						ChannelError *err)
{
	CryptoBundleFacts facts;
	bool		good;

	(void) s;
	memset(key, 0, sizeof(*key));
	good = load_leaf(source, "alipay_certificates", name,
					 "It is alipayCertPublicKey_RSA2.crt, from the app's page in the open platform.",
					 roots, false, key, &facts, err);

	/* the app's own has no chain either: that it is the wrong one is the better word */
	if (private_key != NULL && key->key != NULL && crypto_key_pair_matches(private_key, key->key))
		return channel_error(err, "appCertPublicKey_... is the app's, alipayCertPublicKey_RSA2.crt is "
							 "Alipay's.",
							 "alipay_certificates: the file \"%s\" is the app's own certificate, not "
							 "Alipay's", name);
	return good;
}

/*
 * Some certificates name their app, as 16 digits that begin with 20; those
 * that begin with 2088 are merchants.  One that names apps, and not this one,
 * is another's.
 */
static bool
names_other_app(const char *subject, const char *app_id)
{
	bool		other = false;

	while (*subject != '\0')
	{
		size_t		digits = strspn(subject, "0123456789");

		if (digits == ALIPAY_APP_ID_LEN && strncmp(subject, "20", 2) == 0 &&
			strncmp(subject, "2088", 4) != 0)
		{
			if (strncmp(subject, app_id, ALIPAY_APP_ID_LEN) == 0)
				return false;
			other = true;
		}
		subject += digits > 0 ? digits : 1;
	}
	return other;
}

/*
 * It comes without its authority, which is another one than that of Alipay's
 * own certificate.  Nothing is verified with it: only its name is sent, and what
 * makes it ours is the private key.
 */
bool
alipay_load_app_certificate(const ChannelSource *source, const AlipaySettings *s,
							const CryptoBundle *roots, const CryptoKey *private_key,
							AlipayKey *own, ChannelError *err)
{
	CryptoBundleFacts facts;

	if (!load_leaf(source, "app_certificate", s->app_certificate,
				   "It is appCertPublicKey_<app_id>.crt, from the app's page in the open platform.",
				   roots, true, own, &facts, err))
		return false;
	if (names_other_app(facts.subject, s->app_id))
		return channel_error(err, "Take the certificate from the page of this app, or correct "
							 "\"app_id\".",
							 "app_certificate: the certificate in \"%s\" is another app's: it does not "
							 "name the app_id", s->app_certificate);
	if (private_key != NULL && !crypto_key_pair_matches(private_key, own->key))
		return channel_error(err, "The certificate was issued for a request that Alipay's key tool made "
							 "together with the private key: use that one.",
							 "the private key in \"%s\" does not belong to the certificate in \"%s\"",
							 s->private_key, s->app_certificate);
	return true;
}
