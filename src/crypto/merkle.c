/*-------------------------------------------------------------------------
 *
 * merkle.c
 *	  Merkle trees over SHA-256, as RFC 6962 (section 2.1) defines them.
 *
 * A leaf is hashed behind a byte 0x00 and an inner node behind 0x01, so that
 * neither can be passed off as the other.  The left part of a node is the
 * largest power of two that is smaller than the whole.
 *
 * src/crypto/merkle.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/crypto.h"

/*
 * One context for the life of the process: making one costs as much as the
 * hash of a line does.  NULL if OpenSSL has none to give.
 */
static EVP_MD_CTX *
hash_context(void)
{
	static EVP_MD_CTX *context = NULL;
	static EVP_MD *algorithm = NULL;

	if (context == NULL)
		context = EVP_MD_CTX_new();
	if (algorithm == NULL)
		algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (context == NULL || algorithm == NULL ||
		EVP_DigestInit_ex2(context, algorithm, NULL) != 1)
		return NULL;
	return context;
}

/* SHA-256 of a byte, a and b. */
static bool
hash_two(unsigned char prefix, const void *a, size_t alen, const void *b, size_t blen,
		 unsigned char out[HASH_LEN])
{
	EVP_MD_CTX *context;
	unsigned int len = 0;
	bool		ok;

	ERR_set_mark();
	context = hash_context();
	ok = context != NULL &&
		EVP_DigestUpdate(context, &prefix, 1) == 1 &&
		(alen == 0 || EVP_DigestUpdate(context, a, alen) == 1) &&
		(blen == 0 || EVP_DigestUpdate(context, b, blen) == 1) &&
		EVP_DigestFinal_ex(context, out, &len) == 1 && len == HASH_LEN;
	ERR_pop_to_mark();
	return ok;
}

bool
merkle_leaf(const void *data, size_t len, unsigned char out[HASH_LEN])
{
	return hash_two(0x00, data, len, NULL, 0, out);
}

/* The largest power of two below n, which is at least 2. */
static size_t
left_part(size_t n)
{
	size_t		k = 1;

	while (k < n - k)
		k *= 2;
	return k;
}

bool
merkle_root(const unsigned char (*leaves)[HASH_LEN], size_t n, unsigned char out[HASH_LEN])
{
	unsigned char left[HASH_LEN];
	unsigned char right[HASH_LEN];
	size_t		k;

	if (n == 0)
		return sha256(NULL, 0, out);
	if (n == 1)
	{
		memcpy(out, leaves[0], HASH_LEN);
		return true;
	}
	k = left_part(n);
	return merkle_root(leaves, k, left) && merkle_root(leaves + k, n - k, right) &&
		hash_two(0x01, left, HASH_LEN, right, HASH_LEN, out);
}

int
merkle_path(const unsigned char (*leaves)[HASH_LEN], size_t n, size_t index,
			MerkleStep path[MERKLE_PATH_MAX])
{
	size_t		k;
	int			len;
	bool		in_left;

	if (index >= n)
		return -1;
	if (n == 1)
		return 0;
	k = left_part(n);
	in_left = index < k;
	len = in_left ? merkle_path(leaves, k, index, path) :
		merkle_path(leaves + k, n - k, index - k, path);
	if (len < 0 || len >= MERKLE_PATH_MAX)
		return -1;

	/* its brother: on the left of what is in the right part */
	path[len].left = !in_left;
	if (!(in_left ? merkle_root(leaves + k, n - k, path[len].hash) :
		  merkle_root(leaves, k, path[len].hash)))
		return -1;
	return len + 1;
}
