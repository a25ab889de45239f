/*-------------------------------------------------------------------------
 *
 * event.c
 *	  One event of an instruction, in a caller's transaction.
 *
 * refundx.event is history, arrival queue and outbox at once (arrival.c).  The
 * settler writes its events in sets, see settle_write.c.
 *
 * src/money/event.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/money.h"

#include "access/xact.h"
#include "base/row_insert.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

void
event_add(int64 instruction_id, const char *type,
		  const char *from_state, const char *to_state, const char *note)
{
	static RowTarget event = {"event", {
		"seq", "xid", "at", "instruction_id", "type", "from_state", "to_state", "actor", "note", NULL
	}};
	RowValues	v = {0};

	row_value(&v, Int64GetDatum(row_next_id(&event)), false);
	row_value(&v, FullTransactionIdGetDatum(GetTopFullTransactionId()), false);
	row_value(&v, TimestampTzGetDatum(GetCurrentTimestamp()), false);
	row_value(&v, Int64GetDatum(instruction_id), false);
	row_value_text(&v, type);
	row_value_text(&v, from_state);
	row_value_text(&v, to_state);
	row_value_text(&v, actor_name() ? psprintf("%s, as %s", actor_name(), session_user_name()) : session_user_name());
	row_value_text(&v, note);
	row_insert(&event, &v, NULL);
}
