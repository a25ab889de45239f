/*-------------------------------------------------------------------------
 *
 * fuzz_wechat_config.c
 *	  Configurations: any text, through merchant(), open() and check().
 *
 * test/fuzz/fuzz_wechat_config.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/channel_util.h"
#include "fuzz.h"

static void
ignore_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	(void) level;
	fuzz_require(item[0] != '\0' && text[0] != '\0');
	fuzz_require(utf8_valid(text, strlen(text)));
	*(int *) arg += 1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *json = malloc(size + 1);
	ChannelSource source = {json, kit_read_key, NULL};
	int			count = 0;
	ChannelFindings findings = {ignore_finding, &count};
	ChannelError err;
	char		merchant[CHANNEL_MERCHANT_MAX + 1];
	bool		has_merchant;
	void	   *config;

	fuzz_start();
	fuzz_require(json != NULL);
	memcpy(json, data, size);
	json[size] = '\0';
	has_merchant = fuzz_channel->merchant(json, merchant, &err);
	fuzz_require(has_merchant || err.message[0] != '\0');
	fuzz_require_text(err.message);
	fuzz_require(utf8_valid(err.message, strlen(err.message)));
	config = fuzz_channel->open(&source, &err);
	fuzz_require(config == NULL || has_merchant);
	fuzz_require(config != NULL || err.message[0] != '\0');
	fuzz_require(utf8_valid(err.message, strlen(err.message)));
	fuzz_channel->close(config);
	fuzz_channel->check(&source, KIT_NOW, &findings);
	fuzz_require(count > 0);
	fuzz_require(channel_not_found_after(fuzz_channel->refund, json) <= 60);
	fuzz_require(channel_time_scale(json) >= 1.0);
	fuzz_require(ERR_peek_error() == 0);
	free(json);
	return 0;
}
