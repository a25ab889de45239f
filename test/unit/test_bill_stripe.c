/*-------------------------------------------------------------------------
 *
 * test_bill_stripe.c
 *	  Stripe's balance transactions as a bill.
 *
 * test/unit/test_bill_stripe.c
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"
#include "billkit.h"

/* 1795737600 is 2026-11-27 00:00:00 UTC */
#define TXN(id, type, amount, net, fee, source) \
	"{\"id\":\"" id "\",\"object\":\"balance_transaction\",\"type\":\"" type "\",\"amount\":" amount \
	",\"net\":" net ",\"fee\":" fee ",\"currency\":\"usd\",\"created\":1795744800,\"source\":" source "}"
#define REFUND(id, amount, status, metadata) \
	"{\"id\":\"" id "\",\"object\":\"refund\",\"amount\":" amount ",\"currency\":\"usd\",\"charge\":\"ch_1\"," \
	"\"payment_intent\":\"pi_1\",\"status\":\"" status "\",\"created\":1795744800,\"metadata\":" metadata "}"
#define PAGE(items, more) "{\"object\":\"list\",\"data\":[" items "],\"has_more\":" more "}\n"
#define R1 TXN("txn_1", "refund", "-300", "-300", "0", REFUND("re_1", "300", "succeeded", "{\"refundx_no\":\"r1\"}"))

static void
test_pages(void)
{
	kit_expected.currency = "USD";
	is_int(kit_read_text(
			PAGE(TXN("txn_9", "charge", "1000", "941", "59", "\"ch_1\"") "," R1 ","
				 TXN("txn_2", "refund", "-100", "-100", "0", REFUND("re_2", "100", "pending", "{}")) ","
				 TXN("txn_3", "refund", "-50", "-50", "0", REFUND("re_3", "50", "failed", "{\"refundx_no\":\"r3\"}")),
				 "true")
			PAGE(TXN("txn_4", "refund_failure", "50", "50", "0",
					 REFUND("re_3", "50", "failed", "{\"refundx_no\":\"r3\"}")) ","
				 TXN("txn_5", "refund", "-70", "-70", "0", "\"re_5\"") ","
				 TXN("txn_6", "payout", "-500", "-500", "0", "{\"id\":\"po_1\",\"object\":\"payout\",\"metadata\":{}}") ","
				 TXN("txn_7", "payout", "-20", "-20", "0", "{\"id\":\"po_2\",\"object\":\"payout\",\"metadata\":{\"refundx_no\":\"w1\"}}") ","
				 TXN("txn_8", "payout_failure", "20", "20", "0", "{\"id\":\"po_2\",\"object\":\"payout\",\"metadata\":{\"refundx_no\":\"w1\"}}") ","
				 TXN("txn_10", "stripe_fee", "-5", "-5", "0", "null") ","
				 TXN("txn_11", "adjustment", "-1", "-1", "0", "\"dp_1\""), "false")), BILL_END, "two pages");
	is_str(kit_error.message, "", "and nothing said against them");
	is_int(kit_line_count, 10, "payments are counted only");
	is_str(kit_line[0].wire_no, "r1", "our number, from the metadata");
	is_str(kit_line[0].channel_refund_id, "re_1", "Stripe's");
	is_str(kit_line[0].channel_payment_id, "pi_1", "the payment");
	is_int(kit_line[0].amount, 300, "amount");
	is_str(kit_line[0].currency, "USD", "currency");
	is_int(kit_line[0].movement, BILL_PAID, "succeeded");
	is_int(kit_line[0].balance_change, -300, "went out");
	is_int(kit_line[1].movement, BILL_UNDER_WAY, "pending");
	is_str(kit_line[1].wire_no, "re_2", "one that was made elsewhere has its own id");
	is_int(kit_line[2].movement, BILL_FAILED, "failed");
	is_int(kit_line[3].movement, BILL_CAME_BACK, "and its money came back");
	is_str(kit_line[4].wire_no, "", "what is not expanded has no number");
	is_str(kit_line[4].channel_refund_id, "re_5", "only Stripe's");
	is_int(kit_line[4].movement, BILL_UNDER_WAY, "and proves nothing");
	is_int(kit_line[5].movement, BILL_OTHER, "a payout to the merchant's own bank");
	is_int(kit_line[6].movement, BILL_PAID, "one with our number");
	is_int(kit_line[6].product, PRODUCT_TRANSFER, "is a withdrawal");
	is_str(kit_line[6].wire_no, "w1", "of ours");
	is_int(kit_line[7].movement, BILL_CAME_BACK, "and came back");
	is_int(kit_line[8].movement, BILL_FEE, "a fee");
	is_int(kit_line[9].movement, BILL_OTHER, "another movement");
	is_int(kit_totals.lines, 11, "lines");
	is_int(kit_totals.in, 941 + 50 + 20, "in");
	is_int(kit_totals.out, 300 + 100 + 50 + 70 + 500 + 20 + 5 + 1, "out");
	ok(!kit_totals.has_balance, "Stripe does not say what the account had");
	is_int(kit_read_text(PAGE("", "false")), BILL_END, "an empty page");
}

static void
test_refusals(void)
{
	char	   *deep = malloc(100001);

	kit_refuses_text(PAGE(R1, "true"), "another follows", "a page is missing");
	kit_refuses_text(PAGE(R1, "false") PAGE(R1, "false"), "behind the last", "a page too many");
	kit_refuses_text(PAGE(R1, "true") PAGE(R1, "false"), "the same", "a page that is there twice");
	kit_refuses_text("", "empty", "an empty file");
	kit_refuses_text("{\"object\":\"list\",\"data\":[", "line 1 is not a page", "half of a page");
	kit_refuses_text("{\"error\":{\"message\":\"x\"}}\n", "line 1 is not a page", "an error");
	kit_refuses_text(PAGE("{\"id\":\"txn_1\"}", "false"), "no type", "no type");
	kit_refuses_text(PAGE(TXN("txn_1", "refund", "1.5", "1", "0", "null"), "false"), "no amounts",
					 "a fraction of a cent");
	kit_refuses_text(PAGE(TXN("txn_1", "refund", "-9223372036854775808", "1", "0", "null"), "false"),
					 "no amounts", "the least number");
	kit_refuses_text(PAGE(TXN("txn_1", "refund", "-1", "-1", "0", "{\"id\":\"x\"}"), "false"), "no refund",
					 "a refund that is none");
	kit_expected.day = "2026-11-28";
	kit_refuses_text(PAGE(R1, "false"), "2026-11-28", "another day");
	kit_expected.day = "2026-11-27";
	memset(deep, '[', 100000);
	deep[100000] = '\0';
	kit_refuses_text(deep, "line 1 is not a page", "nested deeply");
	free(deep);
}

int
main(void)
{
	kit_bill = channel_bill("stripe", "balance");
	test_pages();
	test_refusals();
	return unit_done();
}
