/*-------------------------------------------------------------------------
 *
 * arm.c
 *	  Which installation may send, and what a copy or a new timeline means.
 *
 * A copy must not pay: the database remembers the installation (system
 * identifier and database) for which it was armed, and elsewhere nothing is
 * sent before refundx.arm(reason).
 *
 * Whoever had the data before may have gone on with it: after a restore, a
 * promotion or a clone, attempts may have been made of which these tables
 * know nothing.  So whatever the state table calls LOST is asked about before
 * it is sent, with an attempt or without; and a message that was pending may
 * have gone out, so a person decides about it.
 *
 * src/api/arm.c
 *
 *-------------------------------------------------------------------------
 */
#include "api/config.h"

#include "base/clock.h"
#include "base/errors.h"
#include "base/shmem.h"
#include "money/handler.h"
#include "money/money.h"
#include "money/recover.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define REASON_MAX	500

PG_FUNCTION_INFO_V1(refundx_arm);
PG_FUNCTION_INFO_V1(refundx_recover_timeline);
PG_FUNCTION_INFO_V1(refundx_recover);

static void
audit_recovery(const char *action, const char *reason, const Recovery *r)
{
	audit_add(action, NULL, reason,
			  psprintf("{\"recovery\": %lld, \"asked_about\": %lld, \"notices_with_person\": %lld}",
					   (long long) r->recovery_id, (long long) r->asked, (long long) r->notices));
}

/*
 * SQL: arm(reason text) returns bigint: how many refunds are asked about now
 */
Datum
refundx_arm(PG_FUNCTION_ARGS)
{
	static Statement record = {
		"INSERT INTO refundx.installation (system_identifier, database_oid, timeline, reason)"
		" SELECT system_identifier::text, database, timeline, $1 FROM refundx.this_installation()"
		" ON CONFLICT (only_one) DO UPDATE"
		"   SET system_identifier = excluded.system_identifier, database_oid = excluded.database_oid,"
		"       timeline = excluded.timeline, armed_at = excluded.armed_at,"
		"       armed_by = excluded.armed_by, reason = excluded.reason", ARGS(TEXTOID)
	};
	char	   *reason = arg_text(fcinfo, 0);
	Values		v = {0};
	Recovery	r;

	handler_refuse("arm");
	shmem_require();
	argument_text("reason", reason, REASON_MAX);
	SPI_connect();
	values_text(&v, reason);
	statement_run(&record, &v);
	recovery_begin("arm", reason, 0, &r);
	audit_recovery("arm", reason, &r);
	SPI_finish();
	PG_RETURN_INT64(r.asked);
}

/*
 * SQL: recover_timeline() returns bigint
 *
 * For the dispatcher, when it starts: if this is the armed installation, but
 * on a timeline that it has not seen (a promotion, a restore in place), do the
 * same by itself.  -1 if there is nothing to recover from.
 */
Datum
refundx_recover_timeline(PG_FUNCTION_ARGS)
{
	static Statement record = {
		"UPDATE refundx.installation i SET timeline = t.timeline"
		"  FROM refundx.this_installation() t"
		" WHERE i.system_identifier = t.system_identifier::text AND i.database_oid = t.database"
		"   AND i.timeline <> t.timeline"
		" RETURNING t.timeline", NO_ARGS
	};
	Recovery	r = {.asked = -1};

	SPI_connect();
	if (statement_run(&record, NULL) == 1)
	{
		char	   *reason = psprintf("the server is on timeline %d now", row_int4(0, 1));

		recovery_begin("timeline", reason, 0, &r);
		audit_recovery("recover_timeline", reason, &r);
		ereport(LOG,
				(errmsg("refundx: %s; %lld refunds are asked about before they are sent",
						reason, (long long) r.asked),
				 errdetail("This is recovery %lld: see refundx.recoveries.", (long long) r.recovery_id)));
	}
	SPI_finish();
	PG_RETURN_INT64(r.asked);
}

/*
 * SQL: recover(reason text, since timestamptz) returns bigint: the recovery
 */
Datum
refundx_recover(PG_FUNCTION_ARGS)
{
	static Statement armed = {"SELECT refundx.armed()", NO_ARGS};
	char	   *reason = arg_text(fcinfo, 0);
	int64		since = PG_ARGISNULL(1) ? 0 : PG_GETARG_TIMESTAMPTZ(1);
	Recovery	r;

	handler_refuse("recover");
	shmem_require();
	argument_text("reason", reason, REASON_MAX);
	if (since != 0 && (TIMESTAMP_NOT_FINITE(since) || since > clock_now()))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since must be a moment in the past"),
				 errhint("It is up to when this database knows what happened: the time of the backup, or of the recovery target.")));
	SPI_connect();
	statement_run(&armed, NULL);
	if (!row_bool(0, 1))
		ereport(ERROR,
				(errcode(ERRCODE_RX_NOT_ARMED),
				 errmsg("this database is not armed for this server"),
				 errhint("Nothing is sent from here. If this is to be the one that sends, call refundx.arm(), which does the same.")));
	recovery_begin("operator", reason, since, &r);
	audit_recovery("recover", reason, &r);
	SPI_finish();
	PG_RETURN_INT64(r.recovery_id);
}
