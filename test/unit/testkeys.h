/*-------------------------------------------------------------------------
 *
 * testkeys.h
 *	  Keys and certificates made on the spot, so that none is in the tree.
 *
 * test/unit/testkeys.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_TESTKEYS_H
#define REFUNDX_TESTKEYS_H

#include <stdio.h>
#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/buf.h"

static EVP_PKEY *testkey_new(int bits) __attribute__((unused));
static void testkey_private_pem(EVP_PKEY *pkey, Buf *out) __attribute__((unused));
static void testkey_public_pem(EVP_PKEY *pkey, Buf *out) __attribute__((unused));
static void testkey_certificate_pem(EVP_PKEY *pkey, const char *serial_hex, int64_t not_before,
									int64_t not_after, Buf *out) __attribute__((unused));

static void
testkey_need(bool good, const char *what)
{
	if (good)
		return;
	printf("Bail out! cannot make a test key: %s\n", what);
	exit(1);
}

static void
testkey_bio_to_buf(BIO *bio, Buf *out)
{
	char	   *data;
	long		len = BIO_get_mem_data(bio, &data);

	testkey_need(len > 0, "empty");
	buf_add(out, data, (size_t) len);
	BIO_free(bio);
}

static EVP_PKEY *
testkey_new(int bits)
{
	EVP_PKEY   *pkey = EVP_RSA_gen((unsigned int) bits);

	testkey_need(pkey != NULL, "generate");
	return pkey;
}

static void
testkey_private_pem(EVP_PKEY *pkey, Buf *out)
{
	BIO		   *bio = BIO_new(BIO_s_mem());

	testkey_need(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1, "private");
	testkey_bio_to_buf(bio, out);
}

static void
testkey_public_pem(EVP_PKEY *pkey, Buf *out)
{
	BIO		   *bio = BIO_new(BIO_s_mem());

	testkey_need(PEM_write_bio_PUBKEY(bio, pkey) == 1, "public");
	testkey_bio_to_buf(bio, out);
}

/* Self-signed, good for what a platform certificate is used for here. */
static void
testkey_certificate_pem(EVP_PKEY *pkey, const char *serial_hex, int64_t not_before,
						int64_t not_after, Buf *out)
{
	X509	   *cert = X509_new();
	BIGNUM	   *serial = NULL;
	BIO		   *bio = BIO_new(BIO_s_mem());

	testkey_need(BN_hex2bn(&serial, serial_hex) > 0, "serial");
	BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert));
	X509_set_version(cert, 2);
	ASN1_TIME_set(X509_getm_notBefore(cert), (time_t) not_before);
	ASN1_TIME_set(X509_getm_notAfter(cert), (time_t) not_after);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
							   (const unsigned char *) "refundx test", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_set_pubkey(cert, pkey);
	testkey_need(X509_sign(cert, pkey, EVP_sha256()) > 0, "sign the certificate");
	testkey_need(PEM_write_bio_X509(bio, cert) == 1, "certificate");
	testkey_bio_to_buf(bio, out);
	BN_free(serial);
	X509_free(cert);
}

#endif							/* REFUNDX_TESTKEYS_H */
