/*-------------------------------------------------------------------------
 *
 * fuzz_alipay_keys.c
 *	  Key files of any contents: keys with and without armour, bundles of
 *	  certificates and their chains, through open() and check().
 *
 * Input: which file of the configuration it is, one byte, then its contents.
 *
 * test/fuzz/fuzz_alipay_keys.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/channel_util.h"
#include "fuzz_alipay.h"

static const char *replaced;
static Buf	contents = BUF_INIT;

static bool
read_key(void *arg, const char *name, bool secret, Buf *out, char *err, size_t errsize)
{
	if (strcmp(name, replaced) != 0)
		return akit_read_key(arg, name, secret, out, err, errsize);
	buf_add(out, buf_str(&contents), contents.len);
	return true;
}

static void
ignore_finding(void *arg, FindingLevel level, const char *item, const char *text)
{
	(void) arg;
	(void) level;
	fuzz_require(item[0] != '\0' && text[0] != '\0');
	fuzz_require(utf8_valid(text, strlen(text)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"app.key", "alipay.pub", "app.crt", "alipay.crt", "root.crt"};
	ChannelFindings findings = {ignore_finding, NULL};
	ChannelSource source = {NULL, read_key, NULL};
	ChannelError err = {"", ""};
	void	   *config;

	fuzz_alipay_start();
	if (size < 1)
		return 0;
	replaced = names[data[0] % 5];
	source.config_json = data[0] % 5 < 2 ? AKIT_CONFIG : AKIT_CERT_CONFIG;
	buf_reset(&contents);
	buf_add(&contents, data + 1, size - 1);
	config = fuzz_channel->open(&source, &err);
	fuzz_require(config != NULL || (err.message[0] != '\0' &&
									utf8_valid(err.message, strlen(err.message))));
	fuzz_channel->close(config);
	fuzz_channel->check(&source, AKIT_NOW, &findings);
	fuzz_require(ERR_peek_error() == 0);
	return 0;
}
