/*-------------------------------------------------------------------------
 *
 * lost.c
 *	  When part of the past may be missing: ask before anything is sent.
 *
 * After a promotion, a restore from a backup, or the arming of a copy, this
 * database may be older than what the channel has seen.  A refund that is
 * `queued` here may have been sent from the part that was lost; the attempt
 * itself may be what is missing.  So everything open is asked about before it
 * is sent or canceled, with an attempt or without, and the not-found that
 * lets it be sent must be later than this moment by the channel's own delay.
 * SMS that were pending may have been sent as well, and are never repeated.
 *
 * src/money/lost.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/lost.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "money/state.h"
#include "utils/builtins.h"

/*
 * $4 is why, $5 the recovery, $6 when the number may last have been sent, $7
 * whether it was submitted since; `which` may have an $8.
 */
#define MARK(which) \
	"WITH locked AS (" \
	"  SELECT instruction_id, state FROM refundx.instruction WHERE " which \
	"   ORDER BY instruction_id FOR NO KEY UPDATE)," \
	" marked AS (" \
	"  UPDATE refundx.instruction i" \
	"     SET state = CASE WHEN l.state = ANY ($1) THEN $2 ELSE l.state END," \
	"         state_since = CASE WHEN l.state = ANY ($1) THEN $3 ELSE i.state_since END," \
	"         unexplained = i.unexplained + (l.state = ANY ($1))::int," \
	"         last_attempt_at = greatest(i.last_attempt_at, $6), polls = 0, due_at = $3," \
	/* what the channel has, and is to give up: it still decides, and is asked afterwards */ \
	"         due_call = CASE WHEN l.state = 'accepted' AND i.due_call = 'cancel' THEN 'cancel' ELSE 'query' END" \
	"    FROM locked l WHERE i.instruction_id = l.instruction_id" \
	"  RETURNING i.instruction_id, l.state AS from_state, i.state AS to_state)," \
	" told AS (" \
	"  INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor, note)" \
	"  SELECT instruction_id, 'lost', from_state, to_state, session_user, $4 FROM marked" \
	"   ORDER BY instruction_id RETURNING instruction_id, seq, from_state)" \
	" INSERT INTO refundx.recovery_asked (recovery_id, instruction_id, asked_at, event_seq, from_state, submitted_since)" \
	" SELECT $5, instruction_id, $3, seq, from_state, $7 FROM told"

/* Which states LOST moves, the state table says. */
static void
values_mark(Values *v, int64 recovery_id, const char *why, int64 sent_at, bool since)
{
	Column		unsent;
	int			s;

	column_init(&unsent, TEXTOID);
	for (s = 0; s < STATE_COUNT; s++)
		if (state_transition((State) s, INPUT_LOST)->reaction == REACTION_MOVE)
			column_text(&unsent, state_name((State) s));
	values_column(v, &unsent);
	values_text(v, state_name(STATE_UNKNOWN));
	values_time(v, clock_now());
	values_text(v, why);
	values_int8(v, recovery_id);
	values_time(v, sent_at);
	values_bool(v, since);
}

uint64
lost_mark_all(int64 recovery_id, const char *why)
{
	static Statement mark = {
		MARK("is_open"),
		ARGS(TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, INT8OID, TIMESTAMPTZOID, BOOLOID)
	};
	Values		v = {0};

	values_mark(&v, recovery_id, why, clock_now(), false);
	wake_at_commit(WORKER_DISPATCHER);
	return statement_run(&mark, &v);
}

uint64
lost_mark_some(int64 recovery_id, const char *why, int64 gap_to, Column *ids)
{
	static Statement mark = {
		MARK("instruction_id = ANY ($8) AND state = 'queued'"),
		ARGS(TEXTARRAYOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, INT8OID, TIMESTAMPTZOID, BOOLOID, INT8ARRAYOID)
	};
	Values		v = {0};

	values_mark(&v, recovery_id, why, gap_to, true);
	values_column(&v, ids);
	return statement_run(&mark, &v);
}

uint64
lost_stop_notices(const char *why)
{
	static Statement stop_notices = {
		"UPDATE refundx.notice SET state = 'with_person', outcome = 'lost', done_at = $1,"
		"       message = 'it may have been sent before: ' || $2"
		" WHERE is_open", ARGS(TIMESTAMPTZOID, TEXTOID)
	};
	Values		v = {0};

	values_time(&v, clock_now());
	values_text(&v, why);
	return statement_run(&stop_notices, &v);
}
