/*-------------------------------------------------------------------------
 *
 * wechat_bill_request.c
 *	  WeChat Pay's bills: which there are, and how they are asked for.
 *
 * src/channel/wechat_bill_request.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/wechat_bill.h"

static const ChannelBill trade_bill = {
	.kind = "trade",
	.label = "WeChat Pay's trade bill",
	.has_refunds = true,
	.utc_offset = WECHAT_BILL_OFFSET,
	.ready_at = 10 * 3600,
	.retry_after = 1800,
	.max_age_days = 90,
	.delay_days = 1,
	.by_acceptance = true,
	.open = wechat_bill_trade_open,
};

const ChannelBill *const wechat_bills[] = {
	&trade_bill,
	NULL
};
