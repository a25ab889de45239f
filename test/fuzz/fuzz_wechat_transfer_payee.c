/*-------------------------------------------------------------------------
 *
 * fuzz_wechat_transfer_payee.c
 *	  Withdrawals: any payee, any channel_data, any reason; and what was
 *	  frozen of them, damaged.
 *
 * Input: the amount in digits, the reason, channel_data and the payee, each up
 * to a NUL; what follows replaces the beginning of the frozen request.
 *
 * test/fuzz/fuzz_wechat_transfer_payee.c
 *
 *-------------------------------------------------------------------------
 */
#include "channel/channel_util.h"
#include "fuzz.h"

static void *transfers;			/* a configuration with a setting "transfer" */

static void
start(void)
{
	ChannelSource source = {KIT_TRANSFER_CONFIG, kit_read_key, NULL};
	ChannelError err;

	if (transfers != NULL)
		return;
	fuzz_start();
	transfers = fuzz_channel->open(&source, &err);
	fuzz_require(transfers != NULL);
}

/* The text of a member, or "" if it is none. */
static char *
member(const char *json, const char *name)
{
	json_t	   *object = json_hostile_object(json, strlen(json));
	const char *text = json_text(object, name);
	char	   *copy = strdup(text ? text : "");

	json_decref(object);
	return copy;
}

/* An error says what was wrong, and nothing of what stood there. */
static void
check_error(const ChannelError *err, const char *openid)
{
	fuzz_require_text(err->message);
	fuzz_require_text(err->hint);
	fuzz_require(err->message[0] != '\0');
	fuzz_require(utf8_valid(err->message, strlen(err->message)));
	fuzz_require(strlen(openid) < 12 || strstr(err->message, openid) == NULL);
}

/* At most four characters of either end of the openid are shown. */
static void
check_payee(const ChannelPayee *payee, const char *openid, const char *name)
{
	size_t		len = strlen(openid);
	size_t		i;

	fuzz_require_text(payee->identity);
	fuzz_require_text(payee->masked);
	fuzz_require(utf8_valid(payee->masked, strlen(payee->masked)));
	fuzz_require(len >= 20 && len <= 64 && strstr(payee->identity, openid) != NULL);
	fuzz_require(strncmp(payee->masked, "openid ", 7) == 0);
	fuzz_require(strncmp(payee->masked + 7, openid, 4) == 0);
	fuzz_require(strncmp(payee->masked + 11, "****", 4) == 0);
	fuzz_require(strncmp(payee->masked + 15, openid + len - 4, 4) == 0);
	if (name[0] == '\0')
		fuzz_require(payee->masked[19] == '\0');
	else
	{
		fuzz_require(strncmp(payee->masked + 19, ", ", 2) == 0);
		for (i = 21; payee->masked[i] != '\0'; i++)
			;
		fuzz_require(i >= 24 && i <= 27 && strcmp(payee->masked + i - 2, "**") == 0);
		fuzz_require(strncmp(payee->masked + 21, name, i - 23) == 0);
	}
}

/* What is sent is what was frozen, without the line that names the key. */
static void
check_request(const ChannelInstruction *instr, const Buf *frozen, const char *name)
{
	static const ChannelMoment moment = {KIT_NOW, "593bec0c930bf1afeb40b4a08c8fb242", false};
	HttpRequest r;
	ChannelError err;
	json_t	   *body;

	http_request_init(&r);
	fuzz_require(fuzz_channel->transfer->build(transfers, CALL_SUBMIT, instr, frozen, &moment, &r, &err));
	fuzz_require(r.body.len <= frozen->len &&
				 memcmp(frozen->data + frozen->len - r.body.len, r.body.data, r.body.len) == 0);
	fuzz_require((r.body.len < frozen->len) == (name[0] != '\0'));
	body = json_hostile_object(r.body.data, r.body.len);
	fuzz_require(body != NULL && !utf8_has_four_bytes(r.body.data, r.body.len));
	fuzz_require(strcmp(json_text(body, "out_bill_no"), "W1") == 0);
	fuzz_require((json_text(body, "user_name") != NULL) == (name[0] != '\0'));
	json_decref(body);
	http_request_free(&r);
}

/* Frozen bytes come out of our own table; a damaged one must not crash. */
static void
build_damaged(const ChannelInstruction *instr, const uint8_t *data, size_t size)
{
	static const ChannelMoment moment = {KIT_NOW, "593bec0c930bf1afeb40b4a08c8fb242", false};
	Buf			frozen = BUF_INIT;
	HttpRequest r;
	ChannelError err;
	int			i;

	if (size == 0)
		return;
	http_request_init(&r);
	buf_add(&frozen, data, size);
	if (fuzz_channel->transfer->build(transfers, CALL_SUBMIT, instr, &frozen, &moment, &r, &err))
		for (i = 0; i < r.headers.count; i++)
			fuzz_require(strpbrk(r.headers.item[i].value, "\r\n") == NULL);
	else
		fuzz_require(err.message[0] != '\0' && r.url.len == 0);
	http_request_free(&r);
	buf_free(&frozen);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *amount = fuzz_next(&data, &size);
	char	   *reason = fuzz_next(&data, &size);
	char	   *more = fuzz_next(&data, &size);
	char	   *json = fuzz_next(&data, &size);
	char	   *openid = member(json, "openid");
	char	   *name = member(json, "name");
	ChannelInstruction instr = {
		.wire_no = "W1", .currency = "CNY", .reason = reason, .payee = json,
		.transfer_data = more[0] ? more : NULL, .transfer_defaults = true,
	};
	ChannelPayee payee;
	ChannelError err;
	Buf			frozen = BUF_INIT;
	bool		is_payee;
	bool		good;

	start();
	if (!parse_digits(amount, &instr.amount))
		instr.amount = 1000;
	is_payee = fuzz_channel->transfer->payee(json, &payee, &err);
	if (is_payee)
		check_payee(&payee, openid, name);
	else
	{
		fuzz_require(payee.identity[0] == '\0' && payee.masked[0] == '\0');
		check_error(&err, openid);
	}
	good = fuzz_channel->transfer->acceptable(&instr, KIT_NOW, &err);
	if (!good)
		check_error(&err, openid);
	fuzz_require(is_payee || !good);

	/* what was accepted can be frozen and sent, with this configuration */
	if (good && fuzz_channel->transfer->freeze(transfers, &instr, &frozen, &err))
		check_request(&instr, &frozen, name);
	else if (good)
		fuzz_require(!"what is acceptable freezes");
	build_damaged(&instr, data, size);
	fuzz_require(ERR_peek_error() == 0);
	buf_free(&frozen);
	free(amount);
	free(reason);
	free(more);
	free(json);
	free(openid);
	free(name);
	return 0;
}
