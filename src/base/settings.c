/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The refundx.* settings (GUCs).
 *
 * Whatever a worker would otherwise have to die of is refused here, in a
 * check hook, where the DBA sees it: a worker that fails on a bad setting
 * only restarts, and fails again.
 *
 * src/base/settings.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/pg_compat.h"

#include <ctype.h>
#include <limits.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "base/settings.h"
#include "miscadmin.h"
#include "utils/acl.h"

char	   *rx_databases = NULL;
int			rx_max_databases = 8;
char	   *rx_key_directory = NULL;
char	   *rx_public_base_url = NULL;
bool		rx_dispatch = true;
bool		rx_log_events = true;
bool		rx_webhook_private_networks = false;
bool		rx_allow_drop = false;
char	   *rx_listen_address = NULL;
char	   *rx_tls_certificate_file = NULL;
char	   *rx_tls_key_file = NULL;
char	   *rx_ca_file = NULL;
int			rx_listen_max_connections = 1000;
int			rx_listen_max_body = 256;
int			rx_listen_request_timeout = 10000;
int			rx_max_calls = 200;
int			rx_batch_size = 500;
int			rx_poll_interval = 1000;
int			rx_bill_max_download = 1024;
int			rx_bill_max_size = 4096;
int			rx_clerk_interval = 60;
bool		rx_fetch_bills = true;
int			rx_clock_offset = 0;
char	   *rx_actor = NULL;
char	   *rx_payee_keys = NULL;
int			rx_payee_retention = 30;
char	   *rx_seal_key = NULL;
int			rx_pause_after_contradictions = 2;
bool		rx_background_checks = true;
int			rx_background_check_limit = 600;
char	   *rx_test_point = NULL;

/*
 * "shop:8443, crm:8444, archive": a name, and a port if callbacks are to be
 * received.  Names may be quoted as identifiers are.
 */
int
settings_parse_databases(const char *value, DatabaseSetting *out, char *err, size_t errsize)
{
	const char *p = value ? value : "";
	int			n = 0;

	for (;;)
	{
		DatabaseSetting entry = {{0}, 0};
		size_t		len = 0;
		bool		quoted = false;
		int			i;

		while (isspace((unsigned char) *p))
			p++;
		if (*p == '\0' && n == 0)
			return 0;
		if (*p == '"')
		{
			quoted = true;
			p++;
		}
		while (*p != '\0' &&
			   (quoted ? *p != '"' || p[1] == '"'
				: *p != ':' && *p != ',' && !isspace((unsigned char) *p)))
		{
			if (quoted && *p == '"')
				p++;			/* "" inside quotes is one */
			if (len >= NAMEDATALEN - 1)
			{
				snprintf(err, errsize, "a database name is longer than %d bytes", NAMEDATALEN - 1);
				return -1;
			}
			entry.name[len++] = *p++;
		}
		if (quoted && *p++ != '"')
		{
			snprintf(err, errsize, "a quoted database name does not end");
			return -1;
		}
		if (len == 0)
		{
			snprintf(err, errsize, "entry %d has no database name", n + 1);
			return -1;
		}
		while (isspace((unsigned char) *p))
			p++;
		if (*p == ':')
		{
			char	   *end;
			long		port;

			port = strtol(p + 1, &end, 10);
			if (end == p + 1 || port < 1 || port > 65535)
			{
				snprintf(err, errsize, "the port of database \"%s\" is not a number from 1 to 65535",
						 entry.name);
				return -1;
			}
			entry.port = (int) port;
			p = end;
			while (isspace((unsigned char) *p))
				p++;
		}
		for (i = 0; i < n; i++)
		{
			if (strcmp(out[i].name, entry.name) == 0 ||
				(entry.port != 0 && out[i].port == entry.port))
			{
				snprintf(err, errsize, "entries %d and %d have the same %s", i + 1, n + 1,
						 strcmp(out[i].name, entry.name) == 0 ? "database" : "port");
				return -1;
			}
		}
		if (n >= SETTINGS_MAX_DATABASES)
		{
			snprintf(err, errsize, "more than %d databases", SETTINGS_MAX_DATABASES);
			return -1;
		}
		out[n++] = entry;
		if (*p == '\0')
			return n;
		if (*p != ',')
		{
			snprintf(err, errsize, "expected \",\" after database \"%s\"", entry.name);
			return -1;
		}
		p++;
	}
}

static bool
check_databases(char **newval, void **extra, GucSource source)
{
	DatabaseSetting entries[SETTINGS_MAX_DATABASES];
	char		err[160];

	if (settings_parse_databases(*newval, entries, err, sizeof(err)) < 0)
	{
		GUC_check_errdetail("%s.", err);
		GUC_check_errhint("Write a list such as: shop:8443, crm:8444");
		return false;
	}
	return true;
}

/* A key pasted into a configuration is refused, and not repeated in the log. */
static bool
check_key_directory(char **newval, void **extra, GucSource source)
{
	if (*newval != NULL && strstr(*newval, "-----BEGIN") != NULL)
	{
		/* the server prints the rejected value: leave nothing of it */
		memset(*newval, 'x', strlen(*newval));
		GUC_check_errdetail("This is key material; name the directory that holds the key files.");
		return false;
	}
	if (*newval != NULL && (*newval)[0] != '\0' && !is_absolute_path(*newval))
	{
		GUC_check_errdetail("The key directory must be an absolute path.");
		return false;
	}
	return true;
}

static bool
check_public_base_url(char **newval, void **extra, GucSource source)
{
	const char *v = *newval;

	if (v == NULL || v[0] == '\0')
		return true;
	if (strncmp(v, "https://", 8) != 0 && strncmp(v, "http://", 7) != 0)
	{
		GUC_check_errdetail("It must begin with https:// (http:// only for a sandbox on loopback).");
		return false;
	}
	if (strpbrk(v, "?# \t\r\n") != NULL || strlen(v) > 180)
	{
		GUC_check_errdetail("It must have no query, fragment or white space, and at most 180 bytes.");
		return false;
	}
	return true;
}

/* 64 hex digits in a row are a key, pasted where its name belongs. */
static bool
has_pasted_key(const char *s)
{
	while (*s != '\0')
	{
		size_t		run = strspn(s, "0123456789abcdefABCDEF");

		if (run >= 64)
			return true;
		s += run > 0 ? run : 1;
	}
	return false;
}

/*
 * A key's name, several, or none.  Nothing is read here: a file may come later.
 */
static bool
check_payee_keys(char **newval, void **extra, GucSource source)
{
	if (*newval != NULL &&
		(strchr(*newval, '/') != NULL || strlen(*newval) > 511 || has_pasted_key(*newval)))
	{
		/* the server prints the rejected value: it may be a key */
		memset(*newval, 'x', strlen(*newval));
		GUC_check_errdetail("Name files in refundx.key_directory, the newest first, separated by commas.");
		return false;
	}
	return true;
}

bool
settings_may_delegate(void)
{
	Oid			role = get_role_oid("refundx_delegate", true);

	return OidIsValid(role) && is_member_of_role(GetSessionUserId(), role);
}

/*
 * Many may share a login; who of them acts, only a login that was trusted with it
 * may say.  Where no role can be looked up yet (a configuration file, a parallel
 * worker) that is left to whoever reads it: see actor_name().
 */
static bool
check_actor(char **newval, void **extra, GucSource source)
{
	const char *p = *newval;

	if (p == NULL || p[0] == '\0')
		return true;
	if (strlen(p) > 64 || strpbrk(p, "\n\r\t") != NULL)
	{
		GUC_check_errdetail("It has more than 64 bytes, or a line break.");
		return false;
	}
	if (!IsTransactionState() || !IsUnderPostmaster || IsParallelWorker() ||
		settings_may_delegate())
		return true;
	GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
	GUC_check_errmsg("permission denied to set refundx.actor");
	GUC_check_errhint("Only a login that was granted refundx_delegate may act for somebody.");
	return false;
}

void
settings_define(void)
{
	DefineCustomStringVariable("refundx.actor",
							   "Who acts, where many people share a login.",
							   "Only a login with the role refundx_delegate may set it; it is recorded beside session_user.",
							   &rx_actor, "", PGC_USERSET, GUC_NOT_IN_SAMPLE, check_actor, NULL, NULL);
	DefineCustomBoolVariable("refundx.allow_drop",
							 "Allows DROP EXTENSION refundx although its journal is not empty.",
							 "The journal goes with it. Set it in the session that drops.",
							 &rx_allow_drop, false, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("refundx.background_checks",
							 "Whether the clerk checks invariants, and pauses what breaks one.",
							 "refundx.check() checks all of them, of all rows, and pauses nothing.",
							 &rx_background_checks, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("refundx.background_check_limit",
							"How long the clerk's check of one invariant may take.",
							"One that takes longer is given up, and said to be in refundx.checks.",
							&rx_background_check_limit, 600, 1, 86400,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("refundx.batch_size",
							"Rows that a worker handles in one transaction, at most.",
							NULL, &rx_batch_size, 500, 1, 10000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("refundx.bill_max_download",
							"Largest file of a bill that is downloaded, as it comes (packed).",
							"It is written to a temporary file, and kept in the database.",
							&rx_bill_max_download, 1024, 1, 16384,
							PGC_SIGHUP, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomIntVariable("refundx.bill_max_size",
							"Largest bill that is read, unpacked.",
							"A bill that unpacks to more is refused; it is unpacked piece by piece, never as a whole.",
							&rx_bill_max_size, 4096, 1, 1048576,
							PGC_SIGHUP, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomStringVariable("refundx.ca_file",
							   "Certificate authorities trusted for calls to channels and SMS providers.",
							   "Empty: the operating system's.",
							   &rx_ca_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomIntVariable("refundx.clerk_interval",
							"Time between two rounds of the clerk.",
							NULL, &rx_clerk_interval, 60, 1, 86400,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("refundx.clock_offset",
							"Moves refundx's own clock forward; for tests only.",
							"Signatures and certificates go by the real clock.",
							&rx_clock_offset, 0, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S | GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL,
							NULL, NULL, NULL);
	DefineCustomStringVariable("refundx.databases",
							   "Databases in which refundx's workers run, each with its callback port.",
							   "For example: shop:8443, crm:8444. A reload suffices.",
							   &rx_databases, "", PGC_SIGHUP, 0, check_databases, NULL, NULL);
	DefineCustomBoolVariable("refundx.dispatch",
							 "Whether anything is sent to channels and SMS providers.",
							 "Turn it off before a snapshot or a copy of this server is started.",
							 &rx_dispatch, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("refundx.fetch_bills",
							 "Whether the channels' bills are fetched by themselves.",
							 "refundx.bill_fetch() fetches one all the same.",
							 &rx_fetch_bills, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("refundx.key_directory",
							   "Directory of the key files that channel configurations name.",
							   "Owned by the server's user, files with mode 0600.",
							   &rx_key_directory, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   check_key_directory, NULL, NULL);
	DefineCustomStringVariable("refundx.listen_address",
							   "Address on which callbacks are received.",
							   "One IPv4 or IPv6 literal. Anything but loopback should have TLS, or a reverse proxy before it.",
							   &rx_listen_address, "127.0.0.1", PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("refundx.listen_max_body",
							"Largest callback body accepted.",
							NULL, &rx_listen_max_body, 256, 1, 16384,
							PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("refundx.listen_max_connections",
							"Connections that the listener of a database holds open, at most.",
							"Above four fifths of it the oldest one without a complete request is closed.",
							&rx_listen_max_connections, 1000, 5, 50000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("refundx.listen_request_timeout",
							"Time in which a callback must have arrived whole.",
							NULL, &rx_listen_request_timeout, 10000, 100, 600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("refundx.log_events",
							 "Writes a line to the server's log for each committed transition.",
							 "REFUNDX: and a JSON object; see doc/events.md.",
							 &rx_log_events, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("refundx.max_calls",
							"Calls to channels that a dispatcher has under way, at most.",
							NULL, &rx_max_calls, 200, 1, 5000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	/* once the server runs, defining such a variable is a FATAL error */
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("refundx.max_databases",
								"Databases that shared memory has room for.",
								NULL, &rx_max_databases, 8, 1, SETTINGS_MAX_DATABASES,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("refundx.pause_after_contradictions",
							"Refunds or withdrawals of a merchant that its channel contradicts within a day, until the merchant is paused.",
							"Until a person resumes it. 0: never by itself.",
							&rx_pause_after_contradictions, 2, 0, 1000000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("refundx.payee_keys",
							   "Files of the keys that seal whom a withdrawal pays, the newest first.",
							   "In refundx.key_directory; 32 random bytes each, as 64 hex digits. The first seals, all of them open.",
							   &rx_payee_keys, "payee.key", PGC_SIGHUP, GUC_SUPERUSER_ONLY, check_payee_keys, NULL, NULL);
	DefineCustomIntVariable("refundx.payee_retention",
							"Days after a withdrawal's end until whom it paid is erased.",
							"-1: not by itself; see refundx.forget_payee().",
							&rx_payee_retention, 30, -1, 36500,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("refundx.poll_interval",
							"Longest time that a worker sleeps without looking for work.",
							"Workers are woken at commit; this is the safety net.",
							&rx_poll_interval, 1000, 10, 60000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomStringVariable("refundx.public_base_url",
							   "Where channels reach the listener from outside, without the path.",
							   "A channel's configuration may have its own. The callback URL is this and /v1/CHANNEL.",
							   &rx_public_base_url, "", PGC_SIGHUP, 0, check_public_base_url, NULL, NULL);
	DefineCustomStringVariable("refundx.seal_key",
							   "File of the RSA key that signs the day's statement over the journal's seals.",
							   "In refundx.key_directory, PEM. Empty: statements are not signed.",
							   &rx_seal_key, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, check_payee_keys, NULL, NULL);
	DefineCustomStringVariable("refundx.test_point",
							   "Names a place in the code at which a test wants something to happen.",
							   "Only in builds made with TESTPOINTS=1.",
							   &rx_test_point, "", PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY | GUC_NOT_IN_SAMPLE | GUC_NO_SHOW_ALL, NULL, NULL, NULL);
	DefineCustomStringVariable("refundx.tls_certificate_file",
							   "The listener's certificate chain (PEM). Empty: plain HTTP.",
							   NULL, &rx_tls_certificate_file, "", PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("refundx.tls_key_file",
							   "The listener's private key (PEM), with the mode that ssl_key_file needs.",
							   NULL, &rx_tls_key_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);

	DefineCustomBoolVariable("refundx.webhook_private_networks",
							 "Lets webhooks go to addresses of the server's own and other private networks.",
							 "Off: whoever configures a webhook cannot reach what only this server can.",
							 &rx_webhook_private_networks, false, PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);

	MarkGUCPrefixReserved("refundx");
}
