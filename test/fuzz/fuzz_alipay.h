/*-------------------------------------------------------------------------
 *
 * fuzz_alipay.h
 *	  What the fuzz targets of Alipay share: an Alipay with keys.
 *
 * test/fuzz/fuzz_alipay.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef REFUNDX_FUZZ_ALIPAY_H
#define REFUNDX_FUZZ_ALIPAY_H

#include "fuzz.h"
#include "unit/alipaykit.h"

static void *fuzz_cert_config __attribute__((unused));
static void *fuzz_transfer_config __attribute__((unused));	/* certificates, too */
static char fuzz_sn[33] __attribute__((unused));

static void __attribute__((unused))
fuzz_alipay_start(void)
{
	ChannelSource source = {AKIT_CONFIG, akit_read_key, NULL};
	ChannelSource cert_source = {AKIT_CERT_CONFIG, akit_read_key, NULL};
	ChannelSource transfer_source = {AKIT_TRANSFERS("\"biz_scene\":\"CONF\""), akit_read_key, NULL};
	ChannelError err;

	if (fuzz_config != NULL)
		return;
	akit_start();
	fuzz_channel = channel_lookup("alipay");
	fuzz_config = fuzz_channel->open(&source, &err);
	fuzz_cert_config = fuzz_channel->open(&cert_source, &err);
	fuzz_transfer_config = fuzz_channel->open(&transfer_source, &err);
	fuzz_require(fuzz_config != NULL && fuzz_cert_config != NULL && fuzz_transfer_config != NULL);
	akit_sn("CN=" AKIT_CLASS ",C=CN", "1001", fuzz_sn);
}

/* fuzz_check_evidence, but a refund's own answer proves without an amount. */
static void __attribute__((unused))
fuzz_check_alipay(const ChannelEvidence *e)
{
	ChannelEvidence copy = *e;

	fuzz_require(!e->proof || e->authentic);
	copy.proof = false;
	fuzz_check_evidence(&copy);
}

#endif							/* REFUNDX_FUZZ_ALIPAY_H */
