/*-------------------------------------------------------------------------
 *
 * fuzz_alipay_signed.c
 *	  Notifications behind the signature: the harness signs the parameters
 *	  that the fuzzer made up.
 *
 * Input: 't' (sign_type is signed too) or any other byte, then names and
 * values in turn, each ended by a NUL.
 *
 * test/fuzz/fuzz_alipay_signed.c
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz_alipay.h"

#define PAIRS_MAX	24

typedef struct Pair
{
	char	   *name;
	char	   *value;
} Pair;

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const Pair *) a)->name, ((const Pair *) b)->name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HttpHeaders headers = {0};
	ChannelEvidence e;
	ChannelEvidence again;
	CallbackResult r;
	Pair		pair[PAIRS_MAX + 1];
	Buf			text = BUF_INIT;
	Buf			form = BUF_INIT;
	bool		with_type;
	int			count = 0;
	int			i;

	fuzz_alipay_start();
	if (size < 1)
		return 0;
	with_type = *data == 't';
	data++;
	size--;
	while (size > 0 && count < PAIRS_MAX)
	{
		pair[count].name = fuzz_next(&data, &size);
		pair[count++].value = fuzz_next(&data, &size);
	}
	pair[count].name = strdup("sign_type");
	pair[count++].value = strdup("RSA2");
	qsort(pair, (size_t) count, sizeof(Pair), by_name);
	for (i = 0; i < count; i++)
	{
		akit_param(&form, pair[i].name, pair[i].value);
		if (with_type || strcmp(pair[i].name, "sign_type") != 0)
			buf_addf(&text, "%s%s=%s", text.len > 0 ? "&" : "", pair[i].name, pair[i].value);
	}
	akit_form_sign(&form, akit_alipay, buf_str(&text));
	r = fuzz_channel->read_callback(fuzz_config, &headers, buf_str(&form), form.len, AKIT_NOW, NULL, &e);
	fuzz_check_alipay(&e);
	if (r == CALLBACK_EVIDENCE)
	{
		/* with public keys a transfer's message is a hint, as all others are */
		fuzz_require(e.authentic && !e.proof && e.verdict == VERDICT_ASK &&
					 (!e.has_amount || e.product == PRODUCT_TRANSFER));
		fuzz_require(e.merchant[0] != '\0');
		fuzz_require(e.wire_no[0] != '\0' || e.payment_no[0] != '\0' || e.channel_payment_id[0] != '\0');
		fuzz_channel->read_callback(fuzz_config, &headers, buf_str(&form), form.len, AKIT_NOW + 90000,
									NULL, &again);
		fuzz_require(memcmp(e.digest, again.digest, sizeof(e.digest)) == 0);
	}
	else
		fuzz_require(!e.proof && !e.authentic);
	for (i = 0; i < count; i++)
	{
		free(pair[i].name);
		free(pair[i].value);
	}
	buf_free(&text);
	buf_free(&form);
	return 0;
}
