/*-------------------------------------------------------------------------
 *
 * webhook.c
 *	  What the functions that configure webhooks ask of the floors below.
 *
 * src/api/webhook.c
 *
 *-------------------------------------------------------------------------
 */
#include "api/config.h"

#include "base/errors.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "net/http_address.h"
#include "notice/webhook.h"
#include "utils/builtins.h"

/* after builtins.h: both have a hex_encode() */
#include "crypto/crypto.h"

PG_FUNCTION_INFO_V1(refundx_webhook_url_problem);
PG_FUNCTION_INFO_V1(refundx_webhook_secret_problem);
PG_FUNCTION_INFO_V1(refundx_webhook_wake);

/* SQL: webhook_url_problem(url text) returns text */
Datum
refundx_webhook_url_problem(PG_FUNCTION_ARGS)
{
	char		err[160];

	if (http_url_acceptable(text_to_cstring(PG_GETARG_TEXT_PP(0)), rx_webhook_private_networks,
							err, sizeof(err)))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(err));
}

/* SQL: webhook_secret_problem(file text) returns text */
Datum
refundx_webhook_secret_problem(PG_FUNCTION_ARGS)
{
	const char *file = text_to_cstring(PG_GETARG_TEXT_PP(0));
	WebhookSecret secret;
	Buf			text = BUF_INIT;
	char		err[300];
	bool		good;

	/* raised here, where the statement that has it can be kept out of the log */
	if (strncmp(file, "whsec_", 6) == 0 || looks_like_private_key(file))
		ereport(ERROR,
				(errcode(ERRCODE_RX_CONFIG),
				 errmsg("secret_file is the name of a file, and this looks like a secret"),
				 errhint("Put it into a file in refundx.key_directory, with mode 0600; and make another one, for this one has been seen."),
				 errhidestmt(true)));
	good = key_file_read(rx_key_directory, file, true, &text, err, sizeof(err)) == KEY_FILE_OK;
	if (good && !webhook_secret_read(buf_str(&text), text.len, &secret, err, sizeof(err)))
		good = false;
	explicit_bzero(&secret, sizeof(secret));
	buf_wipe(&text);
	if (good)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(err));
}

/* SQL: webhook_wake() returns void */
Datum
refundx_webhook_wake(PG_FUNCTION_ARGS)
{
	wake_at_commit(WORKER_COURIER);
	PG_RETURN_VOID();
}
