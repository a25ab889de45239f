/*-------------------------------------------------------------------------
 *
 * main.c
 *	  refundx-sandbox: the command line.
 *
 * sandbox/main.c
 *
 *-------------------------------------------------------------------------
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "transfer.h"

#define MAX_MERCHANTS	64

static const char help_text[] =
"refundx-sandbox plays WeChat Pay, Alipay, Stripe and SMS providers on loopback.\n"
"\n"
"Usage:\n"
"  refundx-sandbox init --data DIR [--mchid N]... [--app-id N]... [--stripe-account ACCT]...\n"
"                       [--port N]              WeChat Pay merchants, Alipay apps, Stripe accounts\n"
"  refundx-sandbox serve --data DIR [options]\n"
"  refundx-sandbox ctl --data DIR COMMAND [ARGS]    (ctl help: the commands)\n"
"  refundx-sandbox ledger --data DIR [--tsv|--transfers-tsv]\n"
"                                                   reads the file, needs no server\n"
"  refundx-sandbox outcomes                         magic amounts and phone numbers\n"
"\n"
"Options of serve:\n"
"  --port N                 0 = any (default); the port is in DIR/port\n"
"  --speed N                run the clock of retries and delays N times as fast\n"
"  --callback-delay-ms N    from acceptance to settlement, real time (200)\n"
"  --callback-connections N pushed at a time (64)\n"
"  --callback-key KEY       pub (default), cert or mixed: which key signs callbacks\n"
"  --callback-ca FILE       trusted for https callback URLs\n"
"  --not-found-ms N         how long outcome 9012 is not found, sandbox time (3000)\n"
"  --not-found-after N      seconds, written into the configurations (2)\n"
"  --order-total FEN        of orders of which nobody has told the total (100000)\n"
"  --currency CUR           of Stripe payments whose ids do not tell (usd)\n"
"  --hold-ms N              how long a call without an answer hangs (30000)\n"
"  --payee HABIT            of a WeChat Pay transfer: confirms (default), waits or declines\n"
"  --chaos P                P percent of the refunds and transfers get an outcome drawn\n"
"                           at random\n"
"  --plant P                the bills differ about P percent of the refunds and transfers,\n"
"                           in a way that is drawn likewise\n"
"  --seed N                 of the draws\n"
"  --limits                 enforce limits. WeChat Pay: 150 calls and 6 failing calls a\n"
"                           second and merchant, 100 of transfers; Alipay: 3 s between an\n"
"                           order's refunds;\n"
"                           Stripe: 100 calls a second and account\n"
"  --strict-orders          refund only orders registered with ctl order\n"
"  --no-certificates        GET /v3/certificates is 404, as for new merchants\n"
"  --no-fsync               survive kill -9, but not a power cut\n"
"  --tls-cert F --tls-key F serve https\n";

enum
{
	OPT_DATA = 256, OPT_MCHID, OPT_APP_ID, OPT_STRIPE_ACCOUNT, OPT_PORT, OPT_SPEED, OPT_SEED, OPT_CHAOS, OPT_PLANT,
	OPT_CALLBACK_DELAY, OPT_CALLBACK_CONNECTIONS, OPT_CALLBACK_KEY, OPT_CALLBACK_CA,
	OPT_NOT_FOUND_MS, OPT_NOT_FOUND_AFTER, OPT_ORDER_TOTAL, OPT_CURRENCY, OPT_HOLD, OPT_LIMITS,
	OPT_STRICT_ORDERS, OPT_NO_CERTIFICATES, OPT_NO_FSYNC, OPT_TLS_CERT, OPT_TLS_KEY, OPT_TSV,
	OPT_TRANSFERS_TSV, OPT_PAYEE, OPT_HELP
};

static const struct option long_options[] = {
	{"data", required_argument, NULL, OPT_DATA},
	{"mchid", required_argument, NULL, OPT_MCHID},
	{"app-id", required_argument, NULL, OPT_APP_ID},
	{"stripe-account", required_argument, NULL, OPT_STRIPE_ACCOUNT},
	{"port", required_argument, NULL, OPT_PORT},
	{"speed", required_argument, NULL, OPT_SPEED},
	{"seed", required_argument, NULL, OPT_SEED},
	{"chaos", required_argument, NULL, OPT_CHAOS},
	{"plant", required_argument, NULL, OPT_PLANT},
	{"callback-delay-ms", required_argument, NULL, OPT_CALLBACK_DELAY},
	{"callback-connections", required_argument, NULL, OPT_CALLBACK_CONNECTIONS},
	{"callback-key", required_argument, NULL, OPT_CALLBACK_KEY},
	{"callback-ca", required_argument, NULL, OPT_CALLBACK_CA},
	{"not-found-ms", required_argument, NULL, OPT_NOT_FOUND_MS},
	{"not-found-after", required_argument, NULL, OPT_NOT_FOUND_AFTER},
	{"order-total", required_argument, NULL, OPT_ORDER_TOTAL},
	{"currency", required_argument, NULL, OPT_CURRENCY},
	{"hold-ms", required_argument, NULL, OPT_HOLD},
	{"limits", no_argument, NULL, OPT_LIMITS},
	{"strict-orders", no_argument, NULL, OPT_STRICT_ORDERS},
	{"no-certificates", no_argument, NULL, OPT_NO_CERTIFICATES},
	{"no-fsync", no_argument, NULL, OPT_NO_FSYNC},
	{"tls-cert", required_argument, NULL, OPT_TLS_CERT},
	{"tls-key", required_argument, NULL, OPT_TLS_KEY},
	{"tsv", no_argument, NULL, OPT_TSV},
	{"transfers-tsv", no_argument, NULL, OPT_TRANSFERS_TSV},
	{"payee", required_argument, NULL, OPT_PAYEE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0}
};

typedef struct Arguments
{
	InitMerchant merchant[MAX_MERCHANTS];
	int			merchants;
	bool		tsv;
	bool		transfers_tsv;
	bool		help;
} Arguments;

/* A whole number within bounds; exits otherwise. */
static int
number(const char *s, long low, long high)
{
	char	   *end;
	long		n = strtol(s, &end, 10);

	if (*s == '\0' || *end != '\0' || n < low || n > high)
	{
		fprintf(stderr, "refundx-sandbox: \"%s\" is not a number between %ld and %ld\n", s, low, high);
		exit(2);
	}
	return (int) n;
}

static double
decimal(const char *s, double low, double high)
{
	char	   *end;
	double		n = strtod(s, &end);

	if (*s == '\0' || *end != '\0' || !(n >= low && n <= high))
	{
		fprintf(stderr, "refundx-sandbox: \"%s\" is not a number between %g and %g\n", s, low, high);
		exit(2);
	}
	return n;
}

/* Three lower-case letters, as Stripe writes them. */
static const char *
currency(const char *s)
{
	if (strlen(s) == 3 && strspn(s, "abcdefghijklmnopqrstuvwxyz") == 3)
		return s;
	fprintf(stderr, "refundx-sandbox: \"%s\" is no currency in three lower-case letters\n", s);
	exit(2);
}

static CallbackKey
callback_key(const char *s)
{
	if (strcmp(s, "pub") == 0)
		return CALLBACK_KEY_PUBLIC;
	if (strcmp(s, "cert") == 0)
		return CALLBACK_KEY_CERTIFICATE;
	if (strcmp(s, "mixed") == 0)
		return CALLBACK_KEY_MIXED;
	fprintf(stderr, "refundx-sandbox: --callback-key must be pub, cert or mixed\n");
	exit(2);
}

static PayeeHabit
payee_habit(const char *s)
{
	if (strcmp(s, "confirms") == 0)
		return PAYEE_CONFIRMS;
	if (strcmp(s, "waits") == 0)
		return PAYEE_WAITS;
	if (strcmp(s, "declines") == 0)
		return PAYEE_DECLINES;
	fprintf(stderr, "refundx-sandbox: --payee must be confirms, waits or declines\n");
	exit(2);
}

static void
add_merchant(Arguments *a, const SbChannel *channel, const char *id)
{
	if (a->merchants == MAX_MERCHANTS)
	{
		fprintf(stderr, "refundx-sandbox: more than %d merchants\n", MAX_MERCHANTS);
		exit(2);
	}
	a->merchant[a->merchants++] = (InitMerchant) {channel, id};
}

static void
take_option(int c, const char *arg, Arguments *a)
{
	SbOptions  *o = &sandbox.opt;

	switch (c)
	{
		case OPT_DATA: o->data = arg; break;
		case OPT_MCHID:
			add_merchant(a, &wechat_channel, arg);
			break;
		case OPT_APP_ID:
			add_merchant(a, &alipay_channel, arg);
			break;
		case OPT_STRIPE_ACCOUNT:
			add_merchant(a, &stripe_channel, arg);
			break;
		case OPT_PORT: o->port = number(arg, 0, 65535); break;
		case OPT_SPEED: o->speed = decimal(arg, 0.001, 1e6); break;
		case OPT_SEED: o->seed = (uint64_t) number(arg, 0, 0x7fffffff); break;
		case OPT_CHAOS:
			o->chaos = true;
			o->chaos_percent = decimal(arg, 0, 100);
			break;
		case OPT_PLANT: o->plant_percent = decimal(arg, 0, 100); break;
		case OPT_CALLBACK_DELAY: o->callback_delay_ms = number(arg, 0, 86400000); break;
		case OPT_CALLBACK_CONNECTIONS: o->callback_connections = number(arg, 1, 4096); break;
		case OPT_CALLBACK_KEY: o->callback_key = callback_key(arg); break;
		case OPT_CALLBACK_CA: o->callback_ca = arg; break;
		case OPT_NOT_FOUND_MS: o->not_found_ms = number(arg, 0, 86400000); break;
		case OPT_NOT_FOUND_AFTER: o->not_found_after = number(arg, 0, 86400); break;
		case OPT_ORDER_TOTAL: o->order_total = number(arg, 1, 1000000000); break;
		case OPT_CURRENCY: o->currency = currency(arg); break;
		case OPT_HOLD: o->hold_ms = number(arg, 1, 86400000); break;
		case OPT_LIMITS: o->limits = true; break;
		case OPT_STRICT_ORDERS: o->strict_orders = true; break;
		case OPT_NO_CERTIFICATES: o->no_certificates = true; break;
		case OPT_NO_FSYNC: o->no_fsync = true; break;
		case OPT_TLS_CERT: o->tls_cert = arg; break;
		case OPT_TLS_KEY: o->tls_key = arg; break;
		case OPT_TSV: a->tsv = true; break;
		case OPT_TRANSFERS_TSV: a->transfers_tsv = true; break;
		case OPT_PAYEE: o->payee = payee_habit(arg); break;
		case OPT_HELP: a->help = true; break;
		default:
			fprintf(stderr, "Try refundx-sandbox --help.\n");
			exit(2);
	}
}

/* What the file says, without a server and without changing it. */
static int
ledger_command(const Arguments *a)
{
	char		path[1024],
				err[256];
	Buf			out = {NULL, 0, 0, (size_t) 1024 * 1024 * 1024, false};
	json_t	   *report;

	snprintf(path, sizeof(path), "%s/ledger.log", sandbox.opt.data);
	if (!load_keys(sandbox.opt.data, err, sizeof(err)) || !ledger_open(path, false, err, sizeof(err)))
	{
		fprintf(stderr, "refundx-sandbox: %s\n", err);
		return 1;
	}
	if (a->tsv || a->transfers_tsv)
	{
		if (a->tsv)
			report_tsv(&out);
		else
			report_transfers_tsv(&out);
		fwrite(buf_str(&out), 1, out.len, stdout);
		return 0;
	}
	report = report_ledger(NULL);
	json_dumpf(report, stdout, JSON_COMPACT);
	putchar('\n');
	return 0;
}

int
main(int argc, char **argv)
{
	Arguments	a = {0};
	const char *command = argc > 1 ? argv[1] : "--help";
	int			c;

	sandbox.opt = (SbOptions) {.speed = 1, .callback_delay_ms = 200, .not_found_ms = 3000,
		.hold_ms = 30000, .not_found_after = 2, .callback_connections = 64,
		.order_total = 100000};
	model_init();
	/* '+': the words after ctl's command are its own */
	while (argc > 1 && (c = getopt_long(argc - 1, argv + 1, "+", long_options, NULL)) != -1)
		take_option(c, optarg, &a);
	argc -= 1 + optind;
	argv += 1 + optind;
	if (a.help || strcmp(command, "--help") == 0 || strcmp(command, "help") == 0)
	{
		fputs(help_text, stdout);
		return 0;
	}
	if (strcmp(command, "outcomes") == 0)
	{
		print_outcomes(stdout);
		return 0;
	}
	if (sandbox.opt.data == NULL && !(strcmp(command, "ctl") == 0 && argc > 0))
	{
		fprintf(stderr, "refundx-sandbox: --data is required\n");
		return 2;
	}
	if (strcmp(command, "init") == 0)
		return init_command(sandbox.opt.data, a.merchant, a.merchants, sandbox.opt.port);
	if (strcmp(command, "serve") == 0)
	{
		if ((sandbox.opt.tls_cert == NULL) != (sandbox.opt.tls_key == NULL))
		{
			fprintf(stderr, "refundx-sandbox: --tls-cert and --tls-key go together\n");
			return 2;
		}
		return serve_command();
	}
	if (strcmp(command, "ctl") == 0)
		return ctl_command(sandbox.opt.data ? sandbox.opt.data : ".", argc, argv);
	if (strcmp(command, "ledger") == 0)
		return ledger_command(&a);
	fprintf(stderr, "refundx-sandbox: no such command: %s\nTry refundx-sandbox --help.\n", command);
	return 2;
}
