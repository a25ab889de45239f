/*-------------------------------------------------------------------------
 *
 * fuzz_alipay_payee.c
 *	  Whom a transfer pays, and what else a withdrawal says: any texts, from
 *	  the payee to the frozen bytes and the query that is read from them.
 *
 * Input: the payee, the withdrawal's channel_data and its reason, each ended by
 * a NUL; the last two may be missing.
 *
 * test/fuzz/fuzz_alipay_payee.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/channel_util.h"
#include "fuzz_alipay.h"

/* No message has what could be a person's number. */
static void
check_words(const ChannelError *err)
{
	const char *p;
	int			digits = 0;

	fuzz_require_text(err->message);
	fuzz_require_text(err->hint);
	fuzz_require(utf8_valid(err->message, strlen(err->message)));
	for (p = err->message; *p != '\0'; p++)
	{
		digits = *p >= '0' && *p <= '9' ? digits + 1 : 0;
		fuzz_require(digits < 6);
	}
	fuzz_require(strchr(err->message, '@') == NULL);
}

/* Of the account never more than four characters in front and four behind. */
static void
check_masked(const ChannelPayee *payee)
{
	const char *p = strchr(payee->masked, ' ');
	int			shown = 0;

	fuzz_require_text(payee->identity);
	fuzz_require_text(payee->masked);
	fuzz_require(utf8_valid(payee->masked, strlen(payee->masked)));
	fuzz_require(strncmp(payee->identity, "alipay:", 7) == 0 && p != NULL);
	for (p++; *p != '\0' && *p != ','; p++)
		shown += *p != '*';
	fuzz_require(shown <= 8);

	/* and of the name one character */
	fuzz_require(*p == '\0' || (p[1] == ' ' && strlen(p + 2) <= 5 &&
								strcmp(p + strlen(p) - 2, "**") == 0));
}

static void
check_frozen(const ChannelInstruction *instr)
{
	const ChannelProduct *transfer = fuzz_channel->transfer;
	ChannelMoment moment = {AKIT_NOW, "0123456789abcdef0123456789abcdef", false};
	ChannelInstruction later = *instr;
	ChannelError err;
	HttpRequest request;
	Buf			frozen = BUF_INIT;
	json_t	   *sent;
	const char *product;

	fuzz_require(transfer->freeze(fuzz_transfer_config, instr, &frozen, &err));
	sent = json_hostile_object(buf_str(&frozen), frozen.len);
	fuzz_require(sent != NULL && strcmp(json_text(sent, "out_biz_no"), "W1") == 0 &&
				 strcmp(json_text(sent, "trans_amount"), "23.00") == 0);
	product = json_text(sent, "product_code");
	fuzz_require(product != NULL && json_text(sent, "biz_scene") != NULL);
	http_request_init(&request);
	fuzz_require(transfer->build(fuzz_transfer_config, CALL_SUBMIT, instr, &frozen, &moment, &request,
								 &err));
	later.payee = NULL;
	fuzz_require(transfer->build(fuzz_transfer_config, CALL_QUERY, &later, &frozen, &moment, &request,
								 &err));
	fuzz_require(strstr(buf_str(&request.body), product) != NULL);
	http_request_free(&request);
	json_decref(sent);
	buf_free(&frozen);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ChannelInstruction instr = {
		.wire_no = "W1", .amount = 2300, .currency = "CNY", .transfer_defaults = true,
	};
	ChannelPayee payee;
	ChannelError err;
	Buf			frozen = BUF_INIT;
	char	   *part[3];
	bool		known;
	int			i;

	fuzz_alipay_start();
	for (i = 0; i < 3; i++)
		part[i] = fuzz_next(&data, &size);
	instr.payee = part[0];
	instr.transfer_data = part[1][0] != '\0' ? part[1] : NULL;
	instr.reason = part[2][0] != '\0' ? part[2] : NULL;
	known = fuzz_channel->transfer->payee(part[0], &payee, &err);
	check_words(&err);
	fuzz_require(known == (err.message[0] == '\0'));
	if (known)
		check_masked(&payee);
	else
		fuzz_require(payee.identity[0] == '\0' && payee.masked[0] == '\0');
	if (fuzz_channel->transfer->acceptable(&instr, AKIT_NOW, &err))
	{
		fuzz_require(known);
		check_frozen(&instr);
	}
	else
	{
		check_words(&err);
		fuzz_require(err.message[0] != '\0');
		fuzz_channel->transfer->freeze(fuzz_transfer_config, &instr, &frozen, &err);
		buf_free(&frozen);
	}
	for (i = 0; i < 3; i++)
		free(part[i]);
	fuzz_require(ERR_peek_error() == 0);
	return 0;
}
