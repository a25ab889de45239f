/*-------------------------------------------------------------------------
 *
 * alipay_keys.c
 *	  What an app of Alipay has, and what Alipay has for it: keys of the
 *	  public-key mode, and certificates of the certificate mode (1.3, 1.6).
 *
 * The certificates are built like the real ones.  A root signs two
 * authorities; one of them certifies apps, the other Alipay itself.  A file
 * of Alipay's certificate has the authority after it.  The file of roots has
 * strangers in it: one whose signature is RSA, so that it counts for
 * alipay_root_cert_sn, and one whose is not (the real file's are SM2).
 *
 * sandbox/alipay_keys.c
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "alipay.h"
#include "keys.h"

/* Names of four parts, like the real ones. */
#define AUTHORITY_NAME(who) \
	&(KeysName) {"CN", "refundx sandbox", "Certification Authority", who}

bool
alipay_app_id_ok(const char *s)
{
	return *s && strlen(s) <= 32 && s[strspn(s, "0123456789")] == '\0';
}

/* ---- serial numbers, Alipay's way (1.6) ---- */

/* MD5 over the issuer's name and the decimal serial number, with nothing between. */
static bool
certificate_sn(X509 *x, char out[33])
{
	BIO		   *bio = BIO_new(BIO_s_mem());
	BIGNUM	   *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	char	   *decimal = bn ? BN_bn2dec(bn) : NULL;
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int digest_len = 0;
	char	   *data;
	long		len;
	Buf			hex = BUF_INIT;
	bool		ok;

	ok = bio != NULL && decimal != NULL &&
		X509_NAME_print_ex(bio, X509_get_issuer_name(x), 0,
						   XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0 &&
		BIO_puts(bio, decimal) > 0;
	len = ok ? BIO_get_mem_data(bio, &data) : 0;
	ok = ok && EVP_Digest(data, (size_t) len, digest, &digest_len, EVP_md5(), NULL) == 1;
	if (ok)
		hex_encode(&hex, digest, digest_len);
	ok = ok && str_copy(out, 33, buf_str(&hex));
	buf_free(&hex);
	OPENSSL_free(decimal);
	BN_free(bn);
	BIO_free(bio);
	return ok;
}

/* Those that are signed with RSA, in the file's order. */
static bool
counts_as_root(X509 *x)
{
	const X509_ALGOR *algorithm;
	const ASN1_OBJECT *object;
	char		oid[80];

	X509_get0_signature(NULL, &algorithm, x);
	X509_ALGOR_get0(&object, NULL, NULL, algorithm);
	return OBJ_obj2txt(oid, sizeof(oid), object, 1) > 0 &&
		strncmp(oid, "1.2.840.113549.1.1", 18) == 0;
}

static bool
file_sn(const Buf *pem, bool roots, char *out, size_t size)
{
	BIO		   *bio = BIO_new_mem_buf(pem->data, (int) pem->len);
	Buf			all = BUF_INIT;
	X509	   *x;
	char		sn[33];
	bool		ok = true;

	while (ok && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
	{
		if (!roots || counts_as_root(x))
		{
			ok = certificate_sn(x, sn);
			buf_addf(&all, "%s%s", all.len ? "_" : "", sn);
		}
		X509_free(x);
		if (!roots)
			break;				/* the first one is the certificate itself */
	}
	ok = ok && all.len > 0 && str_copy(out, size, buf_str(&all));
	buf_free(&all);
	BIO_free(bio);
	return ok;
}

/* ---- making them ---- */

/* One base64 line without armour, as Alipay's key tool exports it (1.3). */
static bool
put_bare(const char *dir, const char *prefix, const char *name, unsigned char *der, int len, int mode)
{
	Buf			b64 = BUF_INIT;
	bool		ok = der != NULL && len > 0;

	if (ok)
		base64_encode(&b64, der, (size_t) len);
	ok = ok && keys_put(dir, "keys", prefix, name, buf_str(&b64), b64.len, mode);
	OPENSSL_free(der);
	buf_wipe(&b64);
	return ok;
}

static bool
put_bare_public(const char *dir, const char *prefix, const char *name, EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int			len = i2d_PUBKEY(key, &der);

	return put_bare(dir, prefix, name, der, len, 0644);
}

/* The app's private key in each shape that tools write. */
static bool
put_app_key(const char *dir, const char *prefix, EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	unsigned char *der8 = NULL,
			   *der1 = NULL;
	int			len8 = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der8) : 0;
	int			len1 = i2d_PrivateKey(key, &der1);
	BIO		   *bio = BIO_new(BIO_s_mem());
	bool		ok;

	PKCS8_PRIV_KEY_INFO_free(info);
	PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL);
	ok = keys_put_private(dir, "keys", prefix, "alipay_app_key.pem", key);
	ok = keys_put_bio(dir, "keys", prefix, "alipay_app_key_pkcs1.pem", bio, 0600) && ok;
	ok = put_bare(dir, prefix, "alipay_app_key.txt", der8, len8, 0600) && ok;
	return put_bare(dir, prefix, "alipay_app_key_pkcs1.txt", der1, len1, 0600) && ok &&
		put_bare_public(dir, prefix, "alipay_app_public_key.txt", key);
}

/* Up to three certificates in one file. */
static bool
put_certificates(const char *dir, const char *sub, const char *prefix, const char *name,
				 X509 *a, X509 *b, X509 *c)
{
	BIO		   *bio = BIO_new(BIO_s_mem());

	if (a == NULL || !PEM_write_bio_X509(bio, a) ||
		(b != NULL && !PEM_write_bio_X509(bio, b)) ||
		(c != NULL && !PEM_write_bio_X509(bio, c)))
	{
		BIO_free(bio);
		return false;
	}
	return keys_put_bio(dir, sub, prefix, name, bio, 0644);
}

/* Alipay's two keys, the app's, and those of the authorities. */
enum
{
	APP, ONE, TWO, AUTHORITY, ROOT, STRANGER, KEYS
};

typedef struct Authorities
{
	EVP_PKEY   *key;			/* of both classes */
	X509	   *root,
			   *for_apps,
			   *for_alipay;
} Authorities;

static bool
make_authorities(Authorities *a, EVP_PKEY *root_key, EVP_PKEY *key)
{
	a->key = key;
	a->for_apps = a->for_alipay = NULL;
	a->root = keys_certificate(root_key, AUTHORITY_NAME("Sandbox Authority R1"), NULL, NULL, true);
	if (a->root == NULL)
		return false;
	a->for_apps = keys_certificate(key, AUTHORITY_NAME("Sandbox Authority Class 1 R1"),
								   a->root, root_key, true);
	a->for_alipay = keys_certificate(key, AUTHORITY_NAME("Sandbox Authority Class 2 R1"),
									 a->root, root_key, true);
	return a->for_apps != NULL && a->for_alipay != NULL;
}

static void
free_authorities(Authorities *a)
{
	X509_free(a->root);
	X509_free(a->for_apps);
	X509_free(a->for_alipay);
}

static bool
put_roots(const char *dir, const char *prefix, const Authorities *a, EVP_PKEY *rsa)
{
	EVP_PKEY   *ec = EVP_EC_gen("P-256");
	KeysName	n = {.country = "CN", .organisation = "外部机构", .who = "Stranger Class 2 Root CA - G3"};
	X509	   *stranger = keys_certificate(rsa, &n, NULL, NULL, true);
	X509	   *other = ec ? keys_certificate(ec, AUTHORITY_NAME("Sandbox Authority E1"),
											  NULL, NULL, true) : NULL;
	bool		ok = stranger != NULL && other != NULL &&
		put_certificates(dir, "keys", prefix, "alipay_root_cert.crt", other, a->root, stranger);

	X509_free(stranger);
	X509_free(other);
	EVP_PKEY_free(ec);
	return ok;
}

static bool
put_own(const char *dir, const char *sub, const char *prefix, const char *name,
		const Authorities *a, EVP_PKEY *key)
{
	KeysName	n = {"CN", "沙箱商户", "Alipay", "支付宝(沙箱)-" ALIPAY_SELLER_ID};
	X509	   *x = keys_certificate(key, &n, a->for_alipay, a->key, false);
	bool		ok = x != NULL &&
		put_certificates(dir, sub, prefix, name, x, a->for_alipay, NULL);

	X509_free(x);
	return ok;
}

/* Its name is that of the seller and of the app; and it comes without its authority. */
static bool
put_app_certificate(const char *dir, const char *prefix, const char *id, const Authorities *a,
					EVP_PKEY *key)
{
	char		who[64];
	KeysName	n = {"CN", "沙箱商户", "Alipay", who};
	X509	   *x;
	bool		ok;

	snprintf(who, sizeof(who), "%s-%.32s", ALIPAY_SELLER_ID, id);
	x = keys_certificate(key, &n, a->for_apps, a->key, false);
	ok = put_certificates(dir, "keys", prefix, "alipay_app_cert.crt", x, NULL, NULL);

	X509_free(x);
	return ok;
}

json_t *
alipay_make_app(const char *dir, const char *id, const char *prefix)
{
	EVP_PKEY   *key[KEYS];
	Authorities a;
	bool		ok;

	if (!keys_make(key, KEYS))
		return NULL;
	ok = make_authorities(&a, key[ROOT], key[AUTHORITY]) &&
		put_app_key(dir, prefix, key[APP]) &&
		put_app_certificate(dir, prefix, id, &a, key[APP]) &&
		put_roots(dir, prefix, &a, key[STRANGER]) &&
		keys_put_private(dir, "private", prefix, "alipay_private.pem", key[ONE]) &&
		keys_put_public(dir, "keys", prefix, "alipay_public_key.pem", key[ONE]) &&
		put_bare_public(dir, prefix, "alipay_public_key.txt", key[ONE]) &&
		put_own(dir, "keys", prefix, "alipay_cert.crt", &a, key[ONE]) &&
		keys_put_private(dir, "private", prefix, "alipay_private_2.pem", key[TWO]) &&
		keys_put_public(dir, "keys", prefix, "alipay_public_key_2.pem", key[TWO]) &&
		put_own(dir, "keys", prefix, "alipay_cert_2.crt", &a, key[TWO]) &&
		put_own(dir, "private", prefix, "alipay_cert_unknown.crt", &a, key[TWO]);
	free_authorities(&a);
	keys_free(key, KEYS);
	return ok ? json_object() : NULL;
}

/* ---- reading them back ---- */

static bool
load_sn(const char *dir, const char *sub, const SbMerchant *m, const char *name, bool roots,
		char *out, size_t size, Buf *pem, char *err, size_t errsize)
{
	Buf			local = BUF_INIT;
	Buf		   *text = pem ? pem : &local;
	bool		ok = keys_read(dir, sub, m->prefix, name, text, err, errsize);

	if (ok && !file_sn(text, roots, out, size))
	{
		snprintf(err, errsize, "%s%s is no certificate", m->prefix, name);
		ok = false;
	}
	buf_free(&local);
	return ok;
}

bool
alipay_load_app(SbMerchant *m, const char *dir, json_t *entry, char *err, size_t errsize)
{
	AlipayKeys *k = must_alloc(sizeof(*k));

	(void) entry;
	m->keys = k;
	k->app = keys_load(dir, "keys", m->prefix, "alipay_app_cert.crt", crypto_public_key, err, errsize);
	k->own[0] = keys_load(dir, "private", m->prefix, "alipay_private.pem",
						  crypto_private_key, err, errsize);
	k->own[1] = keys_load(dir, "private", m->prefix, "alipay_private_2.pem",
						  crypto_private_key, err, errsize);
	return k->app != NULL && k->own[0] != NULL && k->own[1] != NULL &&
		load_sn(dir, "keys", m, "alipay_app_cert.crt", false, k->app_sn, sizeof(k->app_sn),
				NULL, err, errsize) &&
		load_sn(dir, "keys", m, "alipay_cert.crt", false, k->own_sn[0], sizeof(k->own_sn[0]),
				&k->own_pem[0], err, errsize) &&
		load_sn(dir, "keys", m, "alipay_cert_2.crt", false, k->own_sn[1], sizeof(k->own_sn[1]),
				&k->own_pem[1], err, errsize) &&
		load_sn(dir, "private", m, "alipay_cert_unknown.crt", false,
				k->unknown_sn, sizeof(k->unknown_sn), NULL, err, errsize) &&
		load_sn(dir, "keys", m, "alipay_root_cert.crt", true, k->root_sn, sizeof(k->root_sn),
				NULL, err, errsize);
}

/* ---- configurations for refundx ---- */

static json_t *
prefixed(const SbMerchant *m, const char *name)
{
	char		file[128];

	snprintf(file, sizeof(file), "%s%s", m->prefix, name);
	return json_string(file);
}

static bool
write_config(const SbMerchant *m, const char *url, bool by_certificate)
{
	char		name[96];
	double		speed = sandbox.opt.speed;
	json_t	   *config = json_pack("{ss so ss ss si}", "app_id", m->mchid,
								   "private_key", prefixed(m, "alipay_app_key.pem"),
								   "seller_id", ALIPAY_SELLER_ID, "base_url", url,
								   "not_found_after", sandbox.opt.not_found_after);
	bool		ok;

	if (speed != 1)
		json_object_set_new(config, "time_scale", speed == (double) (json_int_t) speed ?
							json_integer((json_int_t) speed) : json_real(speed));
	if (by_certificate)
	{
		json_object_set_new(config, "app_certificate", prefixed(m, "alipay_app_cert.crt"));
		json_object_set_new(config, "alipay_certificates",
							json_pack("[o]", prefixed(m, "alipay_cert.crt")));
		json_object_set_new(config, "root_certificate", prefixed(m, "alipay_root_cert.crt"));
		json_object_set_new(config, "transfer", json_pack("{ss}", "order_title", "提现"));
	}
	else
		json_object_set_new(config, "alipay_public_key", prefixed(m, "alipay_public_key.pem"));
	snprintf(name, sizeof(name), "channel-alipay%s%s%s.json", by_certificate ? "-cert" : "",
			 m->prefix[0] ? "-" : "", m->prefix[0] ? m->mchid : "");
	ok = keys_put_json(sandbox.opt.data, name, config, 0644);
	json_decref(config);
	return ok;
}

bool
alipay_write_configs(const SbMerchant *m, const char *url)
{
	return write_config(m, url, false) && write_config(m, url, true);
}
