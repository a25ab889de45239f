/*-------------------------------------------------------------------------
 *
 * fuzz_wechat_bill.c
 *	  WeChat Pay's bills: plain or packed, of every kind.
 *
 * Input: 't' (trade), 'b' (fund_basic) or 'o', then the file.
 *
 * test/fuzz/fuzz_wechat_bill.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_bill.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	fuzz_read_bill(channel_bill("wechat", data[0] == 't' ? "trade" : data[0] == 'b' ? "fund_basic" : "fund_operation"),
				   data + 1, size - 1);
	return 0;
}
