/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  What the fuzz targets share: a WeChat Pay with keys, and inputs in parts.
 *
 * A target defines LLVMFuzzerTestOneInput().  clang links it with libFuzzer;
 * any other compiler links it with replay.c, which replays files and mutates
 * them at random for a bounded time.
 *
 * A property that does not hold is a finding as a crash is: fuzz_require()
 * aborts.
 *
 * test/fuzz/fuzz.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_FUZZ_H
#define REFUNDX_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "channel/channel.h"
#include "crypto/crypto.h"
#include "unit/wechatkit.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define fuzz_require(what) \
	do { \
		if (!(what)) \
		{ \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what); \
			abort(); \
		} \
	} while (0)

/* Strings of fixed size must end within it, whatever came in. */
#define fuzz_require_text(field) fuzz_require(memchr((field), '\0', sizeof(field)) != NULL)

static const Channel *fuzz_channel __attribute__((unused));
static void *fuzz_config __attribute__((unused));

static void __attribute__((unused))
fuzz_start(void)
{
	ChannelSource source = {KIT_CONFIG, kit_read_key, NULL};
	ChannelError err;

	if (fuzz_config != NULL)
		return;
	kit_start();
	fuzz_channel = channel_lookup("wechat");
	fuzz_config = fuzz_channel->open(&source, &err);
	fuzz_require(fuzz_config != NULL);
}

/* What holds for evidence, whoever wrote it and of whatever it is. */
static void __attribute__((unused))
fuzz_check_text(const ChannelEvidence *e)
{
	fuzz_require_text(e->merchant);
	fuzz_require_text(e->wire_no);
	fuzz_require_text(e->payment_no);
	fuzz_require_text(e->channel_payment_id);
	fuzz_require_text(e->channel_refund_id);
	fuzz_require_text(e->currency);
	fuzz_require_text(e->code);
	fuzz_require_text(e->message);
	fuzz_require_text(e->detail);
	fuzz_require_text(e->request_id);
	fuzz_require_text(e->handover);
	fuzz_require_text(e->cursor);
	fuzz_require(!e->proof || e->authentic);
	fuzz_require(e->amount >= 0 && e->payer_amount >= 0 && e->retry_after >= 0);
	fuzz_require(ERR_peek_error() == 0);
}

/* Of a refund: what proves something says of which amount. */
static void __attribute__((unused))
fuzz_check_evidence(const ChannelEvidence *e)
{
	fuzz_check_text(e);
	fuzz_require(!e->proof || e->has_amount);
}

/* Cut the next part off, up to a NUL or the end: NUL-terminated, malloc'd. */
static __attribute__((unused)) char *
fuzz_next(const uint8_t **data, size_t *size)
{
	size_t		n = 0;
	char	   *part;

	while (n < *size && (*data)[n] != '\0')
		n++;
	part = malloc(n + 1);
	fuzz_require(part != NULL);
	memcpy(part, *data, n);
	part[n] = '\0';
	*data += n;
	*size -= n;
	if (*size > 0)
	{
		(*data)++;
		(*size)--;
	}
	return part;
}

#endif							/* REFUNDX_FUZZ_H */
