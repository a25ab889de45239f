/*-------------------------------------------------------------------------
 *
 * payee.c
 *	  Whom a withdrawal pays: masked for people, sealed for the channel.
 *
 * An account number or a name is needed once more after the submit, when the
 * request is put together, and again if the same bytes have to be sent again.
 * Until then it lies here sealed (AES-256-GCM), and so do the request's bytes:
 *
 *		key file		seals	data_key		one for each withdrawal
 *		data_key		seals	the payee, and the request
 *
 * Erasing is forgetting data_key: without it neither can be read any more, in
 * whatever copy of the tables (but a backup from before still has it).  What
 * remains is the masked form, until that is erased too, and a keyed hash that
 * tells whether a payee is new.
 *
 * Keys are files (refundx.payee_keys): the first seals, all of them open, so a
 * key is replaced by putting a new one before it.  They are read when they are
 * needed and kept for a minute, in the memory of the backends that submit
 * withdrawals and of the dispatcher.
 *
 * src/money/payee.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/payee.h"

#include "base/errors.h"
#include "base/settings.h"
#include "crypto/crypto.h"
#include "money/money.h"
#include "utils/timestamp.h"

#define KEY_LEN			32
#define NONCE_LEN		12
#define KEYS_FOR_US		(60 * USECS_PER_SEC)

typedef struct PayeeKey
{
	unsigned char key[KEY_LEN];
	HmacKey    *hash_key;		/* for fingerprints */
	char		print[PAYEE_PRINT_LEN + 1];
} PayeeKey;

static PayeeKey keys[PAYEE_KEYS_MAX];
static int	nkeys = 0;
static TimestampTz read_at = 0;

static void
key_forget(PayeeKey *key)
{
	hmac_key_free(key->hash_key);
	explicit_bzero(key, sizeof(*key));
}

/* 64 hex digits, or 32 raw bytes; a line end behind them does not count. */
static bool
key_from_file(const Buf *file, unsigned char key[KEY_LEN])
{
	size_t		len = file->len;
	Buf			raw = BUF_INIT;
	bool		good = false;

	if (len == KEY_LEN)
	{
		memcpy(key, file->data, KEY_LEN);
		return true;
	}
	while (len > 0 && (file->data[len - 1] == '\n' || file->data[len - 1] == '\r'))
		len--;
	if (len == 2 * KEY_LEN && hex_decode(&raw, file->data, len) && raw.len == KEY_LEN)
	{
		memcpy(key, raw.data, KEY_LEN);
		good = true;
	}
	buf_wipe(&raw);
	return good;
}

static bool
key_read(const char *name, PayeeKey *out, char *err, size_t errsize)
{
	Buf			file = BUF_INIT;
	unsigned char hash_key[32];
	unsigned char print[32];
	bool		good = false;

	out->hash_key = NULL;
	if (key_file_read(rx_key_directory ? rx_key_directory : "", name, true, &file, err, errsize) == KEY_FILE_OK)
	{
		if (!key_from_file(&file, out->key))
			snprintf(err, errsize, "key file \"%s\" does not hold 64 hex digits", name);
		else if (!hmac_sha256(out->key, KEY_LEN, "refundx payee fingerprint", 25, hash_key) ||
				 !hmac_sha256(out->key, KEY_LEN, "refundx payee key", 17, print) ||
				 (out->hash_key = hmac_key_new(hash_key, sizeof(hash_key))) == NULL)
			snprintf(err, errsize, "a key could not be derived");
		else
		{
			int			i;

			for (i = 0; i < PAYEE_PRINT_LEN / 2; i++)
				snprintf(out->print + 2 * i, 3, "%02x", print[i]);
			good = true;
		}
	}
	explicit_bzero(hash_key, sizeof(hash_key));
	buf_wipe(&file);
	return good;
}

void
payee_keys_forget(void)
{
	read_at = 0;
}

/*
 * False and *err if the first of them, which seals, cannot be read; an older one
 * that is gone only opens nothing any more.
 */
static bool
keys_ready(char *err, size_t errsize)
{
	TimestampTz now = GetCurrentTimestamp();
	char		names[512];
	char	   *name;
	char	   *rest = names;
	char		ignored[256];

	if (nkeys > 0 && now >= read_at && now - read_at < KEYS_FOR_US)
		return true;
	while (nkeys > 0)
		key_forget(&keys[--nkeys]);
	strlcpy(names, rx_payee_keys ? rx_payee_keys : "", sizeof(names));
	while ((name = strtok_r(rest, ", ", &rest)) != NULL && nkeys < PAYEE_KEYS_MAX)
	{
		if (key_read(name, &keys[nkeys], nkeys == 0 ? err : ignored, nkeys == 0 ? errsize : sizeof(ignored)))
			nkeys++;
		else if (nkeys == 0)
			return false;
	}
	if (nkeys == 0)
	{
		snprintf(err, errsize, "refundx.payee_keys names no key file");
		return false;
	}
	read_at = now;
	return true;
}

static void
keys_require(void)
{
	char		err[256] = "";

	if (keys_ready(err, sizeof(err)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_RX_CONFIG),
			 errmsg("whom to pay cannot be sealed: %s", err),
			 errhint("refundx.channel_check() says how such a key is made. A key that was lost has to be put back: a new one opens nothing that it sealed.")));
}

/*
 * A key that is gone must not be replaced lightly: what it sealed is lost with
 * it, and its withdrawals could not be sent again.
 */
static void
key_finding(const ChannelFindings *findings, int i, const char *name)
{
	PayeeKey	key = {{0}};
	char		err[256] = "";

	if (i >= PAYEE_KEYS_MAX)
		finding(findings, FINDING_WARNING, "payee key", "\"%s\" is not read: only the first %d of "
				"refundx.payee_keys are", name, PAYEE_KEYS_MAX);
	else if (key_read(name, &key, err, sizeof(err)))
		finding(findings, FINDING_OK, "payee key", i == 0 ? "\"%s\" seals whom withdrawals pay" :
				"\"%s\" opens what it has sealed", name);
	else if (i == 0)
		finding(findings, FINDING_ERROR, "payee key", "whom withdrawals pay cannot be sealed: %s. "
				"A key that is lost must be put back. The first one is made by the server's user, "
				"in refundx.key_directory: umask 077; openssl rand -hex 32 > %s", err, name);
	else
		finding(findings, FINDING_WARNING, "payee key",
				"what an older key has sealed cannot be opened: %s", err);
	key_forget(&key);
}

void
payee_keys_check(const ChannelFindings *findings)
{
	char		names[512];
	char	   *name;
	char	   *rest = names;
	int			i = 0;

	strlcpy(names, rx_payee_keys ? rx_payee_keys : "", sizeof(names));
	while ((name = strtok_r(rest, ", ", &rest)) != NULL)
		key_finding(findings, i++, name);
	if (i == 0)
		finding(findings, FINDING_ERROR, "payee key", "whom withdrawals pay cannot be sealed: "
				"refundx.payee_keys names no key file");
}

/* ---- sealing: nonce, ciphertext, tag ---- */

static bool
seal(const unsigned char key[KEY_LEN], const unsigned char nonce[NONCE_LEN], const char *what,
	 const char *number, const void *data, size_t len, Buf *out)
{
	char		aad[CHANNEL_NO_MAX + 32];
	int			n = snprintf(aad, sizeof(aad), "%s:%s", what, number);
	Buf			box = BUF_INIT;
	bool		good;

	good = n > 0 && n < (int) sizeof(aad) &&
		aes256gcm_encrypt(key, nonce, NONCE_LEN, aad, n, data, len, &box);
	if (good)
	{
		buf_reset(out);
		buf_add(out, nonce, NONCE_LEN);
		buf_add(out, box.data, box.len);
		good = !out->failed;
	}
	buf_free(&box);
	return good;
}

static bool
unseal(const unsigned char key[KEY_LEN], const char *what, const char *number,
	   const void *data, size_t len, Buf *out)
{
	char		aad[CHANNEL_NO_MAX + 32];
	int			n = snprintf(aad, sizeof(aad), "%s:%s", what, number);

	return n > 0 && n < (int) sizeof(aad) && len > NONCE_LEN &&
		aes256gcm_decrypt(key, data, NONCE_LEN, aad, n, (const char *) data + NONCE_LEN, len - NONCE_LEN, out);
}

bool
payee_bytes_seal(const unsigned char key[PAYEE_DATA_KEY_LEN], const char *what,
				 const char *number, const void *data, size_t len, Buf *out)
{
	unsigned char nonce[NONCE_LEN];

	return random_bytes(nonce, sizeof(nonce)) && seal(key, nonce, what, number, data, len, out);
}

bool
payee_bytes_open(const unsigned char key[PAYEE_DATA_KEY_LEN], const char *what,
				 const char *number, const void *data, size_t len, Buf *out)
{
	return unseal(key, what, number, data, len, out);
}

static bytea *
bytea_of(Buf *b)
{
	bytea	   *v = palloc(VARHDRSZ + b->len);

	SET_VARSIZE(v, VARHDRSZ + b->len);
	memcpy(VARDATA(v), b->data, b->len);
	return v;
}

/* ---- a caller's payee ---- */

/* With a key of its own, which the newest key file seals. */
static bool
seal_words(const char *what, const char *number, const char *words, SealedPayee *out)
{
	struct
	{
		unsigned char key[KEY_LEN];
		unsigned char key_nonce[NONCE_LEN];
		unsigned char words_nonce[NONCE_LEN];
	}			fresh;			/* drawn at once: each draw has its price */
	Buf			box = BUF_INIT;
	bool		good;

	strlcpy(out->key_print, keys[0].print, sizeof(out->key_print));
	good = random_bytes(&fresh, sizeof(fresh)) &&
		seal(keys[0].key, fresh.key_nonce, "key", number, fresh.key, sizeof(fresh.key), &box);
	if (good)
		out->data_key = bytea_of(&box);
	good = good && seal(fresh.key, fresh.words_nonce, what, number, words, strlen(words), &box);
	if (good)
		out->sealed = bytea_of(&box);
	buf_free(&box);
	explicit_bzero(&fresh, sizeof(fresh));
	return good;
}

void
payee_order_seal(const char *what, const char *number, const char *words, SealedPayee *out)
{
	keys_require();
	if (!seal_words(what, number, words, out))
		elog(ERROR, "where to pay could not be sealed");
}

void
payee_seal(const ChannelProduct *product, const char *kind, const char *number,
		   const char *payee_json, SealedPayee *out)
{
	ChannelPayee payee;
	ChannelError err = {{0}};
	char		identity[sizeof(payee.identity) + 80];
	bool		good;
	int			i;

	if (!product->payee(payee_json, &payee, &err))
		channel_refuse(ERRCODE_RX_CHANNEL_REFUSES, product->label, &err);
	keys_require();
	strlcpy(out->masked, payee.masked, sizeof(out->masked));
	snprintf(identity, sizeof(identity), "%s:%s", kind, payee.identity);
	good = true;
	for (i = 0; i < nkeys; i++)
		good &= hmac_key_sha256(keys[i].hash_key, identity, strlen(identity), out->fingerprint[i]);
	out->fingerprints = nkeys;

	good = good && seal_words("payee", number, payee_json, out);
	explicit_bzero(identity, sizeof(identity));
	explicit_bzero(&payee, sizeof(payee));
	if (!good)
		elog(ERROR, "whom to pay could not be sealed");
}

/* Which of our keys it is; -1 = none. */
static int
key_of_print(const char *print)
{
	int			i;

	for (i = 0; i < nkeys; i++)
		if (strcmp(keys[i].print, print) == 0)
			return i;
	return -1;
}

bool
payee_data_key(const char *number, const char *key_print, const bytea *data_key,
			   unsigned char key[PAYEE_DATA_KEY_LEN], char *err, size_t errsize)
{
	Buf			raw = BUF_INIT;
	bool		good = false;
	int			i;

	if (data_key == NULL)
	{
		snprintf(err, errsize, "whom to pay has been erased");
		return false;
	}
	if (!keys_ready(err, errsize))
		return false;
	i = key_of_print(key_print);
	if (i < 0)
	{
		/* perhaps a new one, with which another process has sealed already */
		payee_keys_forget();
		if (!keys_ready(err, errsize))
			return false;
		i = key_of_print(key_print);
	}
	if (i < 0)
		snprintf(err, errsize, "the key that sealed whom to pay (%s) is not among refundx.payee_keys", key_print);
	else if (!unseal(keys[i].key, "key", number, VARDATA_ANY(data_key), VARSIZE_ANY_EXHDR(data_key), &raw) ||
			 raw.len != PAYEE_DATA_KEY_LEN)
		snprintf(err, errsize, "whom to pay does not open with its key: the row was changed");
	else
	{
		memcpy(key, raw.data, PAYEE_DATA_KEY_LEN);
		good = true;
	}
	buf_wipe(&raw);
	return good;
}

bool
payee_same(const char *number, const char *key_print, bytea *data_key, bytea *sealed,
		   const char *payee_json)
{
	unsigned char key[PAYEE_DATA_KEY_LEN];
	char		err[256];
	Buf			plain = BUF_INIT;
	bool		same;

	if (data_key == NULL || sealed == NULL)
		return true;
	if (!payee_data_key(number, key_print, data_key, key, err, sizeof(err)) ||
		!unseal(key, "payee", number, VARDATA_ANY(sealed), VARSIZE_ANY_EXHDR(sealed), &plain))
		ereport(ERROR,
				(errcode(ERRCODE_RX_CONFIG),
				 errmsg("whom withdrawal \"%s\" pays cannot be compared: %s", number, err)));
	same = plain.len == strlen(payee_json) && memcmp(plain.data, payee_json, plain.len) == 0;
	explicit_bzero(key, sizeof(key));
	buf_wipe(&plain);
	return same;
}
