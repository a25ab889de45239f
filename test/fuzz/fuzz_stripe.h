/*-------------------------------------------------------------------------
 *
 * fuzz_stripe.h
 *	  What the fuzz targets of the Stripe channel share: a Stripe with keys.
 *
 * test/fuzz/fuzz_stripe.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_FUZZ_STRIPE_H
#define REFUNDX_FUZZ_STRIPE_H

#include "fuzz.h"
#include "unit/stripekit.h"

/*
 * The fuzzer finds out what it is compared with: an input that has a secret in
 * it cannot show that none gets out.
 */
static bool __attribute__((unused))
fuzz_has_secret(const uint8_t *data, size_t size)
{
	static const char *const secrets[] = {SKIT_LIVE_KEY, SKIT_TEST_KEY, SKIT_SECRET_NEW,
	SKIT_SECRET_OLD};
	size_t		i;

	for (i = 0; i < 4; i++)
		if (memmem(data, size, secrets[i], strlen(secrets[i])) != NULL)
			return true;
	return false;
}

static void __attribute__((unused))
fuzz_start_stripe(void)
{
	ChannelSource source = {SKIT_CONFIG, skit_read_key, NULL};
	ChannelError err;

	if (fuzz_config != NULL)
		return;
	fuzz_channel = channel_lookup("stripe");
	fuzz_require(fuzz_channel != NULL);
	fuzz_config = fuzz_channel->open(&source, &err);
	fuzz_require(fuzz_config != NULL);
}

#endif							/* REFUNDX_FUZZ_STRIPE_H */
