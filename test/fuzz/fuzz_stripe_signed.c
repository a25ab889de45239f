/*-------------------------------------------------------------------------
 *
 * fuzz_stripe_signed.c
 *	  Events behind the signature: the harness signs what the fuzzer made up.
 *
 * Input: one byte that says how, then, for 'o', the event's type up to a NUL.
 *	'e'	the rest is the event
 *	'o'	the rest is the object in a good event
 *
 * test/fuzz/fuzz_stripe_signed.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>

#include "channel/channel_util.h"
#include "fuzz_stripe.h"

/* A type must not break the event's JSON that is printed around it. */
static void
tame(char *type)
{
	size_t		i;

	for (i = 0; type[i] != '\0'; i++)
		if (!isalnum((unsigned char) type[i]) && type[i] != '.' && type[i] != '_')
			type[i] = '_';
}

static void
check_step(void *arg, FindingLevel level, const char *item, const char *text)
{
	(void) arg;
	(void) level;
	fuzz_require(item[0] != '\0' && text[0] != '\0' && utf8_valid(text, strlen(text)));
	fuzz_require(strstr(text, SKIT_SECRET_NEW) == NULL && strstr(text, SKIT_SECRET_OLD) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ChannelFindings trace = {check_step, NULL};
	HttpHeaders headers = {0};
	ChannelEvidence e;
	ChannelEvidence again;
	CallbackResult r;
	Buf			body = BUF_INIT;

	fuzz_start_stripe();
	if (size < 1 || fuzz_has_secret(data, size))
		return 0;
	if (*data == 'o')
	{
		char	   *type;
		char	   *object;

		data++;
		size--;
		type = fuzz_next(&data, &size);
		tame(type);
		object = fuzz_next(&data, &size);
		skit_event(&body, "evt_1", type, object, true, "");
		free(type);
		free(object);
	}
	else
		buf_add(&body, data + 1, size - 1);
	skit_headers(&headers, SKIT_SECRET_OLD, SKIT_NOW, buf_str(&body), body.len);
	r = fuzz_channel->read_callback(fuzz_config, &headers, buf_str(&body), body.len, SKIT_NOW, &trace, &e);
	fuzz_require(r == CALLBACK_EVIDENCE || r == CALLBACK_NOT_OURS || r == CALLBACK_BAD_BODY);
	fuzz_check_evidence(&e);
	if (r == CALLBACK_EVIDENCE)
	{
		/* a hint, or a refund that is not ours under its own id */
		fuzz_require(e.verdict == (e.proof ? VERDICT_ACCEPTED : VERDICT_ASK));
		fuzz_require(!e.proof || strcmp(e.wire_no, e.channel_refund_id) == 0);
		fuzz_require(e.wire_no[0] != '\0' || e.channel_payment_id[0] != '\0');
		fuzz_require(strcmp(e.merchant, SKIT_ACCOUNT) == 0);
		fuzz_channel->read_callback(fuzz_config, &headers, buf_str(&body), body.len,
									SKIT_NOW + 9, NULL, &again);
		fuzz_require(memcmp(e.digest, again.digest, sizeof(e.digest)) == 0);
	}
	else
		fuzz_require(!e.proof && !e.authentic);
	buf_free(&body);
	http_headers_free(&headers);
	return 0;
}
