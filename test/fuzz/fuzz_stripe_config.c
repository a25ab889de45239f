/*-------------------------------------------------------------------------
 *
 * fuzz_stripe_config.c
 *	  Configurations: any text, through merchant(), open() and check(); and
 *	  the same text as a payment's channel_data and as a refund's reason.
 *
 * test/fuzz/fuzz_stripe_config.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/channel_util.h"
#include "fuzz_stripe.h"

static void
ignore_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	(void) level;
	fuzz_require(item[0] != '\0' && text[0] != '\0');
	fuzz_require(utf8_valid(text, strlen(text)));
	fuzz_require(strstr(text, SKIT_LIVE_KEY) == NULL && strstr(text, SKIT_SECRET_NEW) == NULL);
	*(int *) arg += 1;
}

/* What is frozen is a form and nothing else, the same each time. */
static void
freeze(const char *text)
{
	ChannelInstruction instr = {
		.wire_no = "R-1", .amount = 10, .currency = "KWD", .channel_payment_id = "ch_1",
		.payment_amount = 10, .payment_data = text, .reason = text,
	};
	ChannelError err;
	Buf			form = BUF_INIT;
	Buf			again = BUF_INIT;

	if (fuzz_channel->refund->acceptable(&instr, SKIT_NOW, &err))
	{
		fuzz_require(fuzz_channel->refund->freeze(fuzz_config, &instr, &form, &err));
		fuzz_require(fuzz_channel->refund->freeze(fuzz_config, &instr, &again, &err));
		fuzz_require(form.len == again.len && memcmp(form.data, again.data, form.len) == 0);
		fuzz_require(strspn(form.data, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
							"%=&_-.~") == form.len);
	}
	else
		fuzz_require(err.message[0] != '\0');
	instr.payment_data = NULL;
	fuzz_channel->refund->freeze(fuzz_config, &instr, &form, &err);
	buf_free(&form);
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *json;
	ChannelSource source = {NULL, skit_read_key, NULL};
	int			count = 0;
	ChannelFindings findings = {ignore_finding, &count};
	ChannelError err;
	char		merchant[CHANNEL_MERCHANT_MAX + 1];
	bool		has_merchant;
	void	   *config;

	fuzz_start_stripe();
	if (fuzz_has_secret(data, size))
		return 0;
	json = malloc(size + 1);
	fuzz_require(json != NULL);
	memcpy(json, data, size);
	json[size] = '\0';
	source.config_json = json;
	has_merchant = fuzz_channel->merchant(json, merchant, &err);
	fuzz_require(has_merchant || err.message[0] != '\0');
	fuzz_require(utf8_valid(err.message, strlen(err.message)));
	config = fuzz_channel->open(&source, &err);
	fuzz_require(config == NULL || has_merchant);
	fuzz_require(config != NULL || err.message[0] != '\0');
	fuzz_require(utf8_valid(err.message, strlen(err.message)));
	fuzz_channel->close(config);
	fuzz_channel->check(&source, SKIT_NOW, &findings);
	fuzz_require(count > 0);
	fuzz_require(channel_not_found_after(fuzz_channel->refund, json) <= 120);
	fuzz_require(channel_time_scale(json) >= 1.0);
	freeze(json);
	fuzz_require(ERR_peek_error() == 0);
	free(json);
	return 0;
}
