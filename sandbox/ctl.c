/*-------------------------------------------------------------------------
 *
 * ctl.c
 *	  `refundx-sandbox ctl`: the control interface from the command line.
 *
 * Prints the server's JSON.  Exit code 0 if it was done, 1 if it was refused
 * or the sandbox does not run.
 *
 * sandbox/ctl.c
 *
 *-------------------------------------------------------------------------
 */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox.h"

typedef struct Command
{
	const char *name;
	int			min_args;
	int			max_args;
	const char *path;			/* a POST if it makes a body */
	json_t	   *(*body) (char **args, int count);	/* NULL = GET */
	const char *usage;
	const char *help;
} Command;

static json_t *
body_release(char **args, int count)
{
	(void) count;
	return json_pack("{ss}", "no", args[0]);
}

static json_t *
body_topup(char **args, int count)
{
	return count ? json_pack("{ss}", "mchid", args[0]) : json_object();
}

static json_t *
body_settle(char **args, int count)
{
	(void) count;
	return json_pack("{ss ss}", "no", args[0], "status", args[1]);
}

static json_t *
body_callback(char **args, int count)
{
	return json_pack("{ss si}", "no", args[0], "times", count > 1 ? atoi(args[1]) : 1);
}

static json_t *
body_tell(char **args, int count)
{
	(void) count;
	return json_pack("{ss ss}", "no", args[0], "what", args[1]);
}

static json_t *
body_notify_url(char **args, int count)
{
	(void) count;
	return json_pack("{ss ss}", "mchid", args[0],
					 "url", strcmp(args[1], "none") == 0 ? "" : args[1]);
}

/* +FEN adds; FEN is the new balance. */
static json_t *
body_balance(char **args, int count)
{
	json_t	   *body = json_pack("{ss}", "mchid", args[0]);
	bool		add = args[1][0] == '+';
	char	   *end;
	long long	fen = strtoll(args[1] + add, &end, 10);

	(void) count;
	if (strcmp(args[1], "unlimited") == 0)
		json_object_set_new(body, "fen", json_null());
	else
		json_object_set_new(body, add ? "add" : "fen", *end == '\0' && end != args[1] + add ?
							json_integer(fen) : json_string(args[1]));
	return body;
}

static json_t *
body_payment_notify(char **args, int count)
{
	(void) count;
	return json_pack("{ss ss}", "mchid", args[0], "order", args[1]);
}

static json_t *
body_switch(char **args, int count)
{
	(void) count;
	return json_pack("{ss ss}", "mchid", args[0], "what", args[1]);
}

static json_t *
body_pause(char **args, int count)
{
	(void) count;
	return json_pack("{sb}", "on", strcmp(args[0], "on") == 0);
}

static json_t *
body_advance(char **args, int count)
{
	(void) count;
	return json_pack("{sf}", "seconds", atof(args[0]));
}

static json_t *
body_sms(char **args, int count)
{
	(void) count;
	return json_pack("{ss}", "mode", args[0]);
}

static json_t *
body_order(char **args, int count)
{
	json_t	   *body = json_pack("{ss ss ss sI}", "mchid", args[0], "transaction_id", args[1],
								 "out_trade_no", args[2], "total", (json_int_t) atoll(args[3]));

	if (count > 4)
		json_object_set_new(body, "payer_total", json_integer(atoll(args[4])));
	return body;
}

static json_t *
body_plant(char **args, int count)
{
	json_t	   *body = json_pack("{ss ss}", "class", args[0], "no", args[1]);

	if (count > 2)
		json_object_set_new(body, "arg", json_string(args[2]));
	return body;
}

static json_t *
body_console_refund(char **args, int count)
{
	(void) count;
	return json_pack("{ss ss ss sI}", "mchid", args[0], "order", args[1], "no", args[2],
					 "amount", (json_int_t) atoll(args[3]));
}

static json_t *
body_console_transfer(char **args, int count)
{
	(void) count;
	return json_pack("{ss ss sI}", "mchid", args[0], "no", args[1],
					 "amount", (json_int_t) atoll(args[2]));
}

static json_t *
body_move(char **args, int count)
{
	json_t	   *body = json_pack("{ss ss sI}", "mchid", args[0], "account", args[1],
								 "change", (json_int_t) atoll(args[2]));

	if (count > 3)
		json_object_set_new(body, "text", json_string(args[3]));
	return body;
}

/* NAME=N, each as often as wanted */
static json_t *
body_books(char **args, int count)
{
	json_t	   *body = json_pack("{ss}", "mchid", args[0]);
	int			i;

	for (i = 1; i < count; i++)
	{
		char	   *value = strchr(args[i], '=');

		if (value == NULL)
			continue;
		*value++ = '\0';
		json_object_set_new(body, args[i], json_integer(atoll(value)));
	}
	return body;
}

static json_t *
body_spoil(char **args, int count)
{
	return json_pack("{ss ss ss ss sI}", "mchid", args[0], "kind", args[1], "day", args[2],
					 "what", args[3], "times", (json_int_t) (count > 4 ? atoll(args[4]) : 1));
}

static const Command commands[] = {
	{"ledger", 0, 0, "/sandbox/ledger", NULL, "", "all refunds, transfers and text messages"},
	{"show", 1, 1, "/sandbox/ledger?no=", NULL, "NO", "one number only"},
	{"tsv", 0, 0, "/sandbox/ledger.tsv", NULL, "", "number, amount, status, times paid"},
	{"transfers-tsv", 0, 0, "/sandbox/transfers.tsv", NULL, "", "transfers: number, amount, status, times paid, times bounced"},
	{"stats", 0, 0, "/sandbox/stats", NULL, "", "counters and peak rates"},
	{"release", 1, 1, "/sandbox/release", body_release, "NO|all", "let held calls (9018, 9019) go on"},
	{"topup", 0, 1, "/sandbox/topup", body_topup, "[MCHID]", "fill the merchant's balance (9009)"},
	{"settle", 2, 2, "/sandbox/settle", body_settle, "NO STATUS", "SUCCESS, CLOSED or ABNORMAL, with a callback; a transfer: SUCCESS, FAIL, CANCELLED or REFUND"},
	{"confirm", 1, 1, "/sandbox/confirm", body_release, "NO", "the payee of a transfer confirms it (WeChat Pay)"},
	{"decline", 1, 1, "/sandbox/decline", body_release, "NO", "he declines it"},
	{"bounce", 1, 1, "/sandbox/bounce", body_release, "NO", "a transfer to a bank card comes back (Alipay)"},
	{"balance", 2, 2, "/sandbox/balance", body_balance, "MERCHANT FEN|+FEN|unlimited", "of the account that transfers are paid from"},
	{"callback", 1, 2, "/sandbox/callback", body_callback, "NO [TIMES]", "push the callback again, now"},
	{"notify-url", 2, 2, "/sandbox/notify_url", body_notify_url, "MERCHANT URL|none", "where callbacks go that bring no URL of their own (Alipay's)"},
	{"gateway-url", 2, 2, "/sandbox/gateway_url", body_notify_url, "APP URL|none", "where messages to the application's gateway go (Alipay); without it, to notify-url"},
	{"webhook-url", 2, 2, "/sandbox/notify_url", body_notify_url, "ACCOUNT URL|none", "the same, as Stripe calls it: where an account's events go"},
	{"tell", 2, 2, "/sandbox/tell", body_tell, "NO WHAT", "something else about a refund; Alipay: depositback-S, depositback-F"},
	{"payment-notify", 2, 2, "/sandbox/payment_notify", body_payment_notify, "MERCHANT ORDER", "notify of an order's payment (Alipay)"},
	{"switch", 2, 2, "/sandbox/switch", body_switch, "MERCHANT WHAT", "what the channel signs with; Alipay: key-1, key-2; Stripe: secret-new, -old, -both"},
	{"pause-callbacks", 1, 1, "/sandbox/pause_callbacks", body_pause, "on|off", "hold all callbacks back"},
	{"advance", 1, 1, "/sandbox/advance", body_advance, "SECONDS", "move the sandbox's clock"},
	{"sms", 1, 1, "/sandbox/sms", body_sms, "ok|hang|down|500", "switch the SMS providers"},
	{"books", 2, 4, "/sandbox/books", body_books, "MERCHANT fee_rate=N|basic=N|operation=N ...", "what a merchant's bills begin with: the rate in millionths, what is in its accounts"},
	{"move", 3, 4, "/sandbox/move", body_move, "MERCHANT basic|operation FEN [TEXT]", "a deposit into an account, or with -FEN a withdrawal"},
	{"console-refund", 4, 4, "/sandbox/console_refund", body_console_refund, "MERCHANT ORDER NO|- FEN", "a refund by hand at the channel: paid, and nobody is told"},
	{"console-transfer", 3, 3, "/sandbox/console_transfer", body_console_transfer, "MERCHANT NO|- FEN", "a transfer by hand"},
	{"plant", 2, 3, "/sandbox/plant", body_plant, "CLASS NO [ARG]", "let the bills differ about a refund or a transfer: missing, amount, state, twice, fee, day"},
	{"plants", 0, 0, "/sandbox/plants", NULL, "", "all that was planted or done by hand"},
	{"spoil", 4, 5, "/sandbox/spoil", body_spoil, "MERCHANT KIND|* DAY|* WHAT [TIMES]", "what is wrong with a bill when it is asked for: none, creating, limited, error, nothing, expired, cut, torn, hash, totals, historic, foreign, other-day, paths"},
	{"bill", 3, 3, "/sandbox/bill", NULL, "MERCHANT KIND DAY", "a bill's file, unpacked: trade, trade-all, trade-success, fund_basic, fund_operation; Alipay: trade, account; Stripe: balance"},
	{"order", 4, 5, "/sandbox/orders", body_order, "MCHID TRANSACTION_ID OUT_TRADE_NO TOTAL [PAYER_TOTAL]", "register an order"},
};
#define COMMAND_COUNT ((int) (sizeof(commands) / sizeof(commands[0])))

void
ctl_help(FILE *out)
{
	int			i;

	fprintf(out, "Usage: refundx-sandbox ctl --data DIR COMMAND [ARGS]\n\nCommands:\n");
	for (i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %s %s\n        %s\n", commands[i].name, commands[i].usage, commands[i].help);
}

static size_t
collect(char *data, size_t size, size_t count, void *arg)
{
	buf_add(arg, data, size * count);
	return size * count;
}

/* HTTP status, or 0 with a message printed. */
static long
call(const char *url, const char *body, Buf *answer)
{
	CURL	   *easy = curl_easy_init();
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	char		err[CURL_ERROR_SIZE] = "";
	long		status = 0;

	if (easy == NULL)
		return 0;
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, err);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
	/* it is our own certificate, on loopback */
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	if (body != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
	}
	if (curl_easy_perform(easy) == CURLE_OK)
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	else
		fprintf(stderr, "refundx-sandbox: %s\n", err);
	curl_slist_free_all(headers);
	curl_easy_cleanup(easy);
	return status;
}

static int
run(const Command *c, const char *base, char **args, int count)
{
	Buf			url = BUF_INIT,
				answer = {NULL, 0, 0, (size_t) 1024 * 1024 * 1024, false};
	json_t	   *body = c->body ? c->body(args, count) : NULL;
	char	   *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	long		status;

	buf_addf(&url, "%s%s", base, c->path);
	if (c->body == NULL && count == 3)
		buf_addf(&url, "?mchid=%s&kind=%s&day=%s", args[0], args[1], args[2]);
	else if (c->body == NULL && count > 0)
		percent_encode(&url, args[0], strlen(args[0]));
	status = call(buf_str(&url), text, &answer);
	fwrite(buf_str(&answer), 1, answer.len, stdout);
	if (answer.len > 0 && answer.data[answer.len - 1] != '\n')
		putchar('\n');
	json_decref(body);
	free(text);
	buf_free(&url);
	buf_free(&answer);
	return status == 200 ? 0 : 1;
}

int
ctl_command(const char *dir, int argc, char **argv)
{
	char		path[1024];
	Buf			base = BUF_INIT;
	int			i;

	if (argc < 1 || strcmp(argv[0], "help") == 0)
	{
		ctl_help(argc < 1 ? stderr : stdout);
		return argc < 1;
	}
	for (i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, argv[0]) == 0)
			break;
	if (i == COMMAND_COUNT || argc - 1 < commands[i].min_args || argc - 1 > commands[i].max_args)
	{
		ctl_help(stderr);
		return 1;
	}
	snprintf(path, sizeof(path), "%s/port", dir);
	if (!read_file(path, &base))
	{
		fprintf(stderr, "refundx-sandbox: no sandbox is serving %s\n", dir);
		return 1;
	}
	buf_reset(&base);
	snprintf(path, sizeof(path), "%s/url", dir);
	if (!read_file(path, &base))
		return 1;
	i = run(&commands[i], buf_str(&base), argv + 1, argc - 1);
	buf_free(&base);
	return i;
}
