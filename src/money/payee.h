/*-------------------------------------------------------------------------
 *
 * payee.h
 *	  Whom a withdrawal pays: masked for people, sealed for the channel.
 *
 * src/money/payee.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_PAYEE_H
#define REFUNDX_PAYEE_H

#include "base/sql.h"
#include "channel/channel.h"

#define PAYEE_KEYS_MAX		8
#define PAYEE_PRINT_LEN		16		/* of a key's fingerprint, hex */
#define PAYEE_DATA_KEY_LEN	32

typedef struct SealedPayee
{
	unsigned char fingerprint[PAYEE_KEYS_MAX][32];	/* under each key, the newest first */
	int			fingerprints;
	char		masked[129];
	char		key_print[PAYEE_PRINT_LEN + 1];
	bytea	   *data_key;		/* the withdrawal's own, sealed by a key file */
	bytea	   *sealed;			/* the payee, sealed by data_key */
} SealedPayee;

/*
 * Read what a caller gave, and seal it for this withdrawal.  ERROR RX010 naming
 * the member if the channel could never pay it, RX011 if there is no key; none of
 * them says what stands in it.
 */
extern void payee_seal(const ChannelProduct *product, const char *kind, const char *number,
					   const char *payee_json, SealedPayee *out);

/*
 * Seal other words that only a channel may read (`what` of a number), likewise: fills
 * key_print, data_key and sealed.  ERROR RX011 if there is no key.
 */
extern void payee_order_seal(const char *what, const char *number, const char *words, SealedPayee *out);

/* Does this payee of the row say the same as `payee_json`?  True also if it was erased. */
extern bool payee_same(const char *number, const char *key_print, bytea *data_key, bytea *sealed,
					   const char *payee_json);

/* ---- for the dispatcher: no ERROR, but false and why ---- */

/* The withdrawal's own key, which opens what is sealed for it. */
extern bool payee_data_key(const char *number, const char *key_print, const bytea *data_key,
						   unsigned char key[PAYEE_DATA_KEY_LEN], char *err, size_t errsize);

/*
 * Seal or open bytes under that key; `what` ("payee", "request") and the number
 * are bound to them, so that nothing can be put in another's place.
 */
extern bool payee_bytes_seal(const unsigned char key[PAYEE_DATA_KEY_LEN], const char *what,
							 const char *number, const void *data, size_t len, Buf *out);
extern bool payee_bytes_open(const unsigned char key[PAYEE_DATA_KEY_LEN], const char *what,
							 const char *number, const void *data, size_t len, Buf *out);

/*
 * For channel_check(): what is to be said of each key of refundx.payee_keys, read
 * anew.  No ERROR.
 */
extern void payee_keys_check(const ChannelFindings *findings);

/* Read the key files again when they are needed next. */
extern void payee_keys_forget(void);

#endif							/* REFUNDX_PAYEE_H */
