/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  Making key files for both sides, and reading them back.
 *
 * sandbox/keys.c
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"

#define FIVE_YEARS	(5L * 365 * 86400)

#define KEYS_AT_ONCE	16

/* ---- making keys ---- */

static void *
make_key(void *arg)
{
	*(EVP_PKEY **) arg = EVP_RSA_gen(2048);
	return NULL;
}

/* A thread that cannot be started is no loss: its key is made here. */
bool
keys_make(EVP_PKEY **keys, int count)
{
	pthread_t	thread[KEYS_AT_ONCE];
	bool		started[KEYS_AT_ONCE];
	bool		ok = count <= KEYS_AT_ONCE;
	int			i;

	memset(keys, 0, (size_t) count * sizeof(*keys));
	for (i = 0; ok && i < count; i++)
	{
		started[i] = pthread_create(&thread[i], NULL, make_key, &keys[i]) == 0;
		if (!started[i])
			make_key(&keys[i]);
	}
	while (ok && i-- > 0)
		if (started[i])
			pthread_join(thread[i], NULL);
	for (i = 0; i < count; i++)
		ok = ok && keys[i] != NULL;
	if (!ok)
		keys_free(keys, count);
	return ok;
}

void
keys_free(EVP_PKEY **keys, int count)
{
	int			i;

	for (i = 0; i < count; i++)
	{
		EVP_PKEY_free(keys[i]);
		keys[i] = NULL;
	}
}

/* ---- writing ---- */

bool
keys_put(const char *dir, const char *sub, const char *prefix, const char *name,
		 const void *data, size_t len, int mode)
{
	char		path[PATH_SIZE + 256];

	snprintf(path, sizeof(path), "%s/%s/%s%s", dir, sub, prefix, name);
	return write_file(path, data, len, mode);
}

bool
keys_put_bio(const char *dir, const char *sub, const char *prefix, const char *name,
			 BIO *bio, int mode)
{
	char	   *data;
	long		len = BIO_get_mem_data(bio, &data);
	bool		ok = len > 0 && keys_put(dir, sub, prefix, name, data, (size_t) len, mode);

	BIO_free(bio);
	return ok;
}

bool
keys_put_private(const char *dir, const char *sub, const char *prefix, const char *name,
				 EVP_PKEY *key)
{
	BIO		   *bio = BIO_new(BIO_s_mem());

	PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	return keys_put_bio(dir, sub, prefix, name, bio, 0600);
}

bool
keys_put_public(const char *dir, const char *sub, const char *prefix, const char *name,
				EVP_PKEY *key)
{
	BIO		   *bio = BIO_new(BIO_s_mem());

	PEM_write_bio_PUBKEY(bio, key);
	return keys_put_bio(dir, sub, prefix, name, bio, 0644);
}

bool
keys_put_json(const char *dir, const char *name, json_t *value, int mode)
{
	char	   *text = json_dumps(value, JSON_INDENT(2));
	char		path[PATH_SIZE + 256];
	Buf			line = BUF_INIT;
	bool		ok;

	buf_addf(&line, "%s\n", text ? text : "");
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ok = text != NULL && write_file(path, buf_str(&line), line.len, mode);
	free(text);
	buf_free(&line);
	return ok;
}

/* ---- certificates ---- */

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

static bool
add_name(X509_NAME *name, const char *field, const char *value)
{
	return value == NULL ||
		X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
								   (const unsigned char *) value, -1, -1, 0) == 1;
}

/* What makes it an authority, for those who look. */
static bool
mark_ca(X509 *x)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
	bool		ok = ext != NULL && X509_add_ext(x, ext, -1) == 1;

	X509_EXTENSION_free(ext);
	return ok;
}

X509 *
keys_certificate(EVP_PKEY *key, const KeysName *n, X509 *issuer, EVP_PKEY *issuer_key, bool ca)
{
	X509	   *x = X509_new();
	X509_NAME  *name = x ? X509_get_subject_name(x) : NULL;

	if (x == NULL || !set_serial(x) || !X509_set_version(x, 2) ||
		!X509_gmtime_adj(X509_getm_notBefore(x), -3600) ||
		!X509_gmtime_adj(X509_getm_notAfter(x), FIVE_YEARS) ||
		!add_name(name, "C", n->country) || !add_name(name, "O", n->organisation) ||
		!add_name(name, "OU", n->unit) || !add_name(name, "CN", n->who) ||
		!X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name) ||
		!X509_set_pubkey(x, key) || (ca && !mark_ca(x)) ||
		!X509_sign(x, issuer ? issuer_key : key, EVP_sha256()))
	{
		X509_free(x);
		return NULL;
	}
	return x;
}

/* ---- reading ---- */

bool
keys_read(const char *dir, const char *sub, const char *prefix, const char *name,
		  Buf *out, char *err, size_t errsize)
{
	char		path[PATH_SIZE + 256];
	bool		ok;

	snprintf(path, sizeof(path), "%s/%s/%s%s", dir, sub, prefix, name);
	ok = read_file(path, out);
	if (!ok)
		snprintf(err, errsize, "could not read %s", path);
	return ok;
}

CryptoKey *
keys_load(const char *dir, const char *sub, const char *prefix, const char *name,
		  KeyReader reader, char *err, size_t errsize)
{
	char		why[160];
	Buf			pem = BUF_INIT;
	CryptoKey  *key = NULL;

	if (keys_read(dir, sub, prefix, name, &pem, err, errsize) &&
		(key = reader(pem.data, pem.len, why, sizeof(why))) == NULL)
		snprintf(err, errsize, "%s%s: %s", prefix, name, why);
	buf_wipe(&pem);
	return key;
}
