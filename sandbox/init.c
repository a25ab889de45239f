/*-------------------------------------------------------------------------
 *
 * init.c
 *	  A new sandbox: keys for both sides, and configurations to use them.
 *
 * DIR/keys is what a merchant has, and can be refundx.key_directory as it is.
 * DIR/private is what the channel has.  Key directories are flat, so the
 * files of the second merchant and of those after it begin with "<mchid>-";
 * so do its configuration's (channel-<mchid>.json).
 *
 * sandbox/init.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "sandbox.h"

#define PATH_SIZE	1024
#define FIVE_YEARS	(5L * 365 * 86400)

static bool
put(const char *dir, const char *prefix, const char *name, const void *data, size_t len, int mode)
{
	char		path[PATH_SIZE + 256];

	snprintf(path, sizeof(path), "%s/%s%s", dir, prefix, name);
	return write_file(path, data, len, mode);
}

/* Write what a BIO has collected. */
static bool
put_bio(const char *dir, const char *prefix, const char *name, BIO *bio, int mode)
{
	char	   *data;
	long		len = BIO_get_mem_data(bio, &data);
	bool		ok = len > 0 && put(dir, prefix, name, data, (size_t) len, mode);

	BIO_free(bio);
	return ok;
}

static bool
put_private_key(const char *dir, const char *prefix, const char *name, EVP_PKEY *key)
{
	BIO		   *bio = BIO_new(BIO_s_mem());

	PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	return put_bio(dir, prefix, name, bio, 0600);
}

static bool
put_public_key(const char *dir, const char *prefix, const char *name, EVP_PKEY *key)
{
	BIO		   *bio = BIO_new(BIO_s_mem());

	PEM_write_bio_PUBKEY(bio, key);
	return put_bio(dir, prefix, name, bio, 0644);
}

/* Forty hex digits, like the serials of WeChat Pay's certificates. */
static bool
set_serial(X509 *x)
{
	unsigned char bytes[20];
	BIGNUM	   *bn;
	bool		ok;

	if (!random_bytes(bytes, sizeof(bytes)))
		return false;
	bytes[0] = (unsigned char) (0x40 | (bytes[0] & 0x3f));
	bn = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = bn != NULL && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) != NULL;
	BN_free(bn);
	return ok;
}

static X509 *
make_certificate(EVP_PKEY *key, const char *who)
{
	X509	   *x = X509_new();
	X509_NAME  *name = x ? X509_get_subject_name(x) : NULL;

	if (x == NULL || !set_serial(x) || !X509_set_version(x, 2) ||
		!X509_gmtime_adj(X509_getm_notBefore(x), -3600) ||
		!X509_gmtime_adj(X509_getm_notAfter(x), FIVE_YEARS) ||
		!X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
									(const unsigned char *) "refundx sandbox", -1, -1, 0) ||
		!X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
									(const unsigned char *) who, -1, -1, 0) ||
		!X509_set_issuer_name(x, name) || !X509_set_pubkey(x, key) ||
		!X509_sign(x, key, EVP_sha256()))
	{
		X509_free(x);
		return NULL;
	}
	return x;
}

/* Writes it, and tells its serial. */
static bool
put_certificate(const char *dir, const char *prefix, const char *name, EVP_PKEY *key,
				const char *who, char serial[129])
{
	X509	   *x = make_certificate(key, who);
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
	return put_bio(dir, prefix, name, bio, 0644);
}

/* All keys of one merchant; adds it to the list in sandbox.json. */
static bool
make_merchant(const char *keys, const char *private, const char *mchid, bool first, json_t *list)
{
	char		prefix[SB_MCHID_MAX + 2] = "";
	char		pub_key_id[65];
	char		serial[129],
				platform[129];
	char		nonce[33];
	char		who[64];
	EVP_PKEY   *own = EVP_RSA_gen(2048);
	EVP_PKEY   *pub = EVP_RSA_gen(2048);
	EVP_PKEY   *plat = EVP_RSA_gen(2048);
	time_t		now = time(NULL);
	struct tm	tm;
	char		day[16];
	bool		ok;

	if (!first)
		snprintf(prefix, sizeof(prefix), "%.*s-", SB_MCHID_MAX, mchid);
	gmtime_r(&now, &tm);
	strftime(day, sizeof(day), "%Y%m%d", &tm);
	snprintf(pub_key_id, sizeof(pub_key_id), "PUB_KEY_ID_01%.24s%.15s0001", mchid, day);
	snprintf(who, sizeof(who), "merchant %.32s", mchid);
	ok = own != NULL && pub != NULL && plat != NULL &&
		put_private_key(keys, prefix, "apiclient_key.pem", own) &&
		put_certificate(keys, prefix, "apiclient_cert.pem", own, who, serial) &&
		put_private_key(private, prefix, "wechat_pub_key_private.pem", pub) &&
		put_public_key(keys, prefix, "wechat_pub_key.pem", pub) &&
		put_private_key(private, prefix, "wechat_platform_private.pem", plat) &&
		put_certificate(keys, prefix, "wechat_platform_cert.pem", plat, "sandbox platform", platform) &&
		random_nonce(nonce) &&
		put(keys, prefix, "apiv3.key", nonce, 32, 0600);
	EVP_PKEY_free(own);
	EVP_PKEY_free(pub);
	EVP_PKEY_free(plat);
	if (ok)
		json_array_append_new(list,
							  json_pack("{ss ss ss ss ss}", "mchid", mchid, "prefix", prefix,
										"serial", serial, "pub_key_id", pub_key_id,
										"platform_serial", platform));
	return ok;
}

static bool
mchid_ok(const char *s)
{
	return *s && strlen(s) <= 24 && s[strspn(s, "0123456789")] == '\0';
}

static bool
make_dir(const char *path)
{
	if (mkdir(path, 0700) == 0)
		return true;
	fprintf(stderr, "refundx-sandbox: could not create %s: %s\n", path, strerror(errno));
	return false;
}

static bool
put_json(const char *dir, const char *name, json_t *value, int mode)
{
	char	   *text = json_dumps(value, JSON_INDENT(2));
	Buf			line = BUF_INIT;
	bool		ok;

	buf_addf(&line, "%s\n", text ? text : "");
	ok = text != NULL && put(dir, "", name, buf_str(&line), line.len, mode);
	free(text);
	buf_free(&line);
	return ok;
}

int
init_command(const char *dir, const char *const *mchids, int count, int port)
{
	char		keys[PATH_SIZE],
				private[PATH_SIZE];
	char		id[33],
				secret[33],
				err[256];
	json_t	   *merchants = json_array();
	json_t	   *all;
	int			i;
	bool		ok;

	snprintf(keys, sizeof(keys), "%s/keys", dir);
	snprintf(private, sizeof(private), "%s/private", dir);
	for (i = 0; i < count; i++)
		if (!mchid_ok(mchids[i]))
		{
			fprintf(stderr, "refundx-sandbox: \"%s\" is no merchant number\n", mchids[i]);
			return 1;
		}
	ok = make_dir(dir) && make_dir(keys) && make_dir(private);
	for (i = 0; ok && i < count; i++)
		ok = make_merchant(keys, private, mchids[i], i == 0, merchants);
	ok = ok && random_nonce(id) && random_nonce(secret);
	if (!ok)
		return 1;
	memcpy(id, "LTAIsandbox", 11);
	id[24] = '\0';
	all = json_pack("{so ss}", "merchants", merchants, "sms_access_key_id", id);
	ok = put(keys, "", "sms_access_key", secret, 30, 0600) && put_json(dir, "sandbox.json", all, 0600);
	json_decref(all);
	sandbox.opt.data = dir;
	if (ok && !load_keys(dir, err, sizeof(err)))
	{
		fprintf(stderr, "refundx-sandbox: %s\n", err);
		ok = false;
	}
	return ok && write_configs(port) ? 0 : 1;
}

/* ---- reading it all back ---- */

typedef CryptoKey *(*KeyReader) (const char *pem, size_t len, char *err, size_t errsize);

static CryptoKey *
load_key(const char *dir, const char *sub, const char *prefix, const char *name,
		 KeyReader reader, char *err, size_t errsize)
{
	char		path[PATH_SIZE];
	char		why[160];
	Buf			pem = BUF_INIT;
	CryptoKey  *key = NULL;

	snprintf(path, sizeof(path), "%s/%s/%s%s", dir, sub, prefix, name);
	if (!read_file(path, &pem))
		snprintf(err, errsize, "could not read %s", path);
	else if ((key = reader(pem.data, pem.len, why, sizeof(why))) == NULL)
		snprintf(err, errsize, "%s: %s", path, why);
	buf_wipe(&pem);
	return key;
}

static bool
load_merchant(const char *dir, json_t *entry, char *err, size_t errsize)
{
	SbMerchant *m = must_alloc(sizeof(*m));
	const char *mchid,
			   *prefix,
			   *serial,
			   *pub_key_id,
			   *platform;
	char		path[PATH_SIZE];
	Buf			apiv3 = BUF_INIT;

	if (json_unpack(entry, "{ss ss ss ss ss}", "mchid", &mchid, "prefix", &prefix,
					"serial", &serial, "pub_key_id", &pub_key_id, "platform_serial", &platform) != 0)
	{
		snprintf(err, errsize, "sandbox.json is damaged");
		return false;
	}
	str_copy(m->mchid, sizeof(m->mchid), mchid);
	str_copy(m->prefix, sizeof(m->prefix), prefix);
	str_copy(m->serial, sizeof(m->serial), serial);
	str_copy(m->pub_key_id, sizeof(m->pub_key_id), pub_key_id);
	str_copy(m->platform_serial, sizeof(m->platform_serial), platform);
	m->certificate = load_key(dir, "keys", prefix, "apiclient_cert.pem", crypto_public_key, err, errsize);
	m->pub_key = load_key(dir, "private", prefix, "wechat_pub_key_private.pem",
						  crypto_private_key, err, errsize);
	m->platform_key = load_key(dir, "private", prefix, "wechat_platform_private.pem",
							   crypto_private_key, err, errsize);
	if (m->certificate == NULL || m->pub_key == NULL || m->platform_key == NULL)
		return false;
	snprintf(path, sizeof(path), "%s/keys/%swechat_platform_cert.pem", dir, prefix);
	if (!read_file(path, &m->platform_pem))
	{
		snprintf(err, errsize, "could not read %s", path);
		return false;
	}
	snprintf(path, sizeof(path), "%s/keys/%sapiv3.key", dir, prefix);
	if (!read_file(path, &apiv3) || apiv3.len != sizeof(m->apiv3))
	{
		snprintf(err, errsize, "%s must have 32 bytes", path);
		return false;
	}
	memcpy(m->apiv3, apiv3.data, sizeof(m->apiv3));
	buf_wipe(&apiv3);
	map_put(&sandbox.model.merchants, m->mchid, m);
	return true;
}

bool
load_keys(const char *dir, char *err, size_t errsize)
{
	char		path[PATH_SIZE];
	json_t	   *all;
	json_t	   *entry;
	const char *id;
	size_t		i;
	bool		ok;

	snprintf(path, sizeof(path), "%s/sandbox.json", dir);
	all = json_load_file(path, 0, NULL);
	id = json_string_value(json_object_get(all, "sms_access_key_id"));
	if (id == NULL || !str_copy(sandbox.sms_access_key_id, sizeof(sandbox.sms_access_key_id), id))
	{
		snprintf(err, errsize, "%s is missing or damaged: run refundx-sandbox init first", path);
		json_decref(all);
		return false;
	}
	snprintf(path, sizeof(path), "%s/keys/sms_access_key", dir);
	ok = read_file(path, &sandbox.sms_secret);
	if (!ok)
		snprintf(err, errsize, "could not read %s", path);
	json_array_foreach(json_object_get(all, "merchants"), i, entry)
		ok = ok && load_merchant(dir, entry, err, errsize);
	json_decref(all);
	return ok;
}

/* ---- configurations for refundx ---- */

static bool
write_channel_config(const SbMerchant *m, const char *url)
{
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
	config = json_pack("{ss ss ss ss s{ss ss} ss ss ss si}",
					   "mchid", m->mchid, "merchant_serial", m->serial,
					   "private_key", key, "apiv3_key", apiv3,
					   "wechat_keys", m->pub_key_id, pub, m->platform_serial, cert,
					   "use_key", m->pub_key_id, "base_url", url, "backup_url", url,
					   "not_found_after", sandbox.opt.not_found_after);
	ok = put_json(sandbox.opt.data, name, config, 0644);
	json_decref(config);
	return ok;
}

bool
write_configs(int port)
{
	const Map  *all = &sandbox.model.merchants;
	char		url[64];
	json_t	   *sms;
	size_t		i;
	bool		ok = true;

	snprintf(url, sizeof(url), "%s://127.0.0.1:%d", sandbox.opt.tls_cert ? "https" : "http", port);
	for (i = 0; i < all->size; i++)
		if (all->slot[i].key != NULL)
			ok = ok && write_channel_config(all->slot[i].value, url);
	sms = json_pack("{ss ss ss}", "access_key_id", sandbox.sms_access_key_id,
					"access_key_secret", "sms_access_key", "endpoint", url);
	ok = ok && put_json(sandbox.opt.data, "sms.json", sms, 0644);
	json_decref(sms);
	return ok && put(sandbox.opt.data, "", "url", url, strlen(url), 0644);
}
