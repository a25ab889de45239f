/*-------------------------------------------------------------------------
 *
 * test_scrub.c
 *	  What may not be shown is masked, and what is no secret stays.
 *
 * test/unit/test_scrub.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/scrub.h"
#include "unit.h"

static void
scrubs(const char *in, const char *want)
{
	char		text[256];

	snprintf(text, sizeof(text), "%s", in);
	scrub_text(text);
	is_str(text, want, in);
}

int
main(void)
{
	/* telephone numbers */
	scrubs("13800138000", "138****8000");
	scrubs("to 13800138000, please", "to 138****8000, please");
	scrubs("138-0013-8000", "138-****-8000");
	scrubs("138 0013 8000", "138 **** 8000");
	scrubs("8613800138000", "861******8000");
	scrubs("+8613800138000", "+861******8000");
	scrubs("008613800138000", "008********8000");
	scrubs("+1 555 123 4567", "+1 55* *** 4567");
	scrubs("+49301234", "+493***34");
	scrubs("phone=13800138000&x", "phone=138****8000&x");
	scrubs("{\"tel\":\"13912345678\"}", "{\"tel\":\"139****5678\"}");

	/* cards: with and without groups; not what fails the check digit */
	scrubs("4111111111111111", "************1111");
	scrubs("4111 1111 1111 1111", "**** **** **** 1111");
	scrubs("4111-1111-1111-1111.", "****-****-****-1111.");
	scrubs("6222021234567890128", "***************0128");
	scrubs("4111111111111112", "4111111111111112");

	/* what is none of these */
	scrubs("refund 20260504001 of 2026-05-04", "refund 20260504001 of 2026-05-04");
	scrubs("12345 12345", "12345 12345");
	scrubs("amount 128000, 100 rows", "amount 128000, 100 rows");
	scrubs("12800138000", "12800138000");
	scrubs("111111111111111111111111111111", "111111111111111111111111111111");
	scrubs("", "");
	scrubs("退款失败：余额不足", "退款失败：余额不足");

	/* groups that are no number together, one of which is one by itself */
	scrubs("5 13800138000", "5 138****8000");

	/* secrets */
	scrubs("key whsec_MfKQ9r8GKYqrTwjU is bad", "key whsec_**************** is bad");
	scrubs("sk_live_abc", "sk_live_***");
	scrubs("Authorization: Bearer abc.def", "Authorization: Bearer *******");
	scrubs("-----BEGIN KEY-----\nAB\n", "-----BEGIN ************");

	/* one line */
	scrubs("a\nb\tc\r", "a b c ");
	return unit_done();
}
