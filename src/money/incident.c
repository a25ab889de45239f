/*-------------------------------------------------------------------------
 *
 * incident.c
 *	  Something went wrong: one row, and one line in the log with the same id.
 *
 * The line must not lie: it may only speak of what is committed.  Written here, it
 * would also stand for what is rolled back a moment later.  Written by a callback
 * at commit, it would be missing after PREPARE TRANSACTION (another session commits),
 * after a crash between commit and line, and it could not be allowed to fail,
 * which formatting a message can.  So the courier writes it, from the row
 * (worker/courier_relay.c): it sees neither what a savepoint took back nor what is
 * prepared, and remembers in a table how far it has come.  After a crash a line
 * may come twice, with the same id, and none is missing.
 *
 * src/money/incident.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/incident.h"

#include "access/xact.h"
#include "base/row_insert.h"
#include "base/scrub.h"
#include "base/shmem.h"
#include "base/sql.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "money/money.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

PG_FUNCTION_INFO_V1(refundx_incident_add);

/* Together with what stands around them less than 900 bytes: see courier_relay.c. */
#define KIND_MAX	40
#define SUBJECT_MAX	128
#define REASON_MAX	360
#define DONE_MAX	160

static char *
shown(const char *words, int max, bool scrub)
{
	char	   *s;

	if (words == NULL || words[0] == '\0')
		return NULL;
	s = words_as_text(words);
	if (s == NULL)
		return NULL;
	if (scrub)
		scrub_text(s);
	s[pg_mbcliplen(s, strlen(s), max)] = '\0';
	return s;
}

int64
incident_add(const Incident *i)
{
	static RowTarget incident = {"incident", {
		"incident_id", "xid", "at", "kind", "instruction_id", "subject", "sqlstate", "reason", "done",
		"by_user", "actor", NULL
	}};
	RowValues	v = {0};
	int64		id = row_next_id(&incident);
	char	   *reason = shown(i->reason, REASON_MAX, true);
	char	   *done = shown(i->done, DONE_MAX, true);

	row_value(&v, Int64GetDatum(id), false);
	row_value(&v, FullTransactionIdGetDatum(GetTopFullTransactionId()), false);
	row_value(&v, TimestampTzGetDatum(GetCurrentTimestamp()), false);
	row_value_text(&v, shown(i->kind, KIND_MAX, true));
	row_value(&v, Int64GetDatum(i->instruction_id), i->instruction_id == 0);
	row_value_text(&v, shown(i->subject, SUBJECT_MAX, false));
	row_value_text(&v, i->sqlstate && strspn(i->sqlstate, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && i->sqlstate[5] == 0 ? i->sqlstate : NULL);
	row_value_text(&v, reason ? reason : "not known");
	row_value_text(&v, done ? done : "nothing");
	row_value_text(&v, session_user_name());
	row_value_text(&v, actor_name());
	row_insert(&incident, &v, NULL);
	wake_at_commit(WORKER_COURIER);
	return id;
}

#define TEXT_ARG(i) (PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i)))

/* SQL: incident_add(kind, reason, done, instruction_id, subject, sqlstate) returns bigint */
Datum
refundx_incident_add(PG_FUNCTION_ARGS)
{
	Incident	i = {
		.kind = TEXT_ARG(0),
		.reason = TEXT_ARG(1),
		.done = TEXT_ARG(2),
		.instruction_id = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3),
		.subject = TEXT_ARG(4),
		.sqlstate = TEXT_ARG(5)
	};

	argument_text("kind", i.kind, KIND_MAX);
	if (i.reason == NULL || i.reason[0] == '\0' || i.done == NULL || i.done[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be given", i.reason == NULL || i.reason[0] == '\0' ? "reason" : "done")));
	PG_RETURN_INT64(incident_add(&i));
}
