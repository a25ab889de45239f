/*-------------------------------------------------------------------------
 *
 * fuzz_stripe_bill.c
 *	  Stripe's bill: pages of balance transactions.
 *
 * Input: one byte, then the file.
 *
 * test/fuzz/fuzz_stripe_bill.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_bill.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	fuzz_read_bill(channel_bill("stripe", "balance"),
				   data + 1, size - 1);
	return 0;
}
