/*-------------------------------------------------------------------------
 *
 * fuzz_alipay_bill.c
 *	  Alipay's bills: a ZIP, or what is in one.
 *
 * Input: 't' (trade) or 'a', then the file.
 *
 * test/fuzz/fuzz_alipay_bill.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_bill.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	fuzz_read_bill(channel_bill("alipay", data[0] == 't' ? "trade" : "account"),
				   data + 1, size - 1);
	return 0;
}
