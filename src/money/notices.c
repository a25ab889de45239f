/*-------------------------------------------------------------------------
 *
 * notices.c
 *	  Messages that follow a transition: written with it, or with the last of its
 *	  handlers.
 *
 * A notice is a row that the courier sends.  Written in the settling transaction, it
 * exists exactly if the transition does; at most one per instruction and
 * transition by its key.  Where handlers follow the transition it is written when
 * the last of them has succeeded or is waived: the payer is not told of what the
 * application has not taken in.
 *
 * src/money/notices.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/notices.h"

#include "base/shmem.h"

bool
notice_follows(State to)
{
	return to == STATE_SUCCEEDED || to == STATE_FAILED || to == STATE_ABNORMAL || to == STATE_RETURNED;
}

void
notices_add(Column *instruction_ids, Column *transitions)
{
	static Statement insert = {
		"INSERT INTO refundx.notice (instruction_id, transition, provider)"
		" SELECT u.instruction_id, u.transition, t.provider"
		"   FROM unnest($1, $2) u(instruction_id, transition)"
		"   JOIN refundx.instruction i ON i.instruction_id = u.instruction_id"
		"   LEFT JOIN refundx.payment_contact c ON c.payment_id = i.payment_id"
		"   LEFT JOIN refundx.payout_contact d ON d.instruction_id = i.instruction_id"
		"   JOIN LATERAL (SELECT provider FROM refundx.notice_template"
		"                  WHERE about = i.kind AND transition = u.transition"
		"                    AND language IN (coalesce(c.language, d.language), '*')"
		"                  ORDER BY language = '*' LIMIT 1) t ON true"
		"  WHERE coalesce(c.language, d.language) IS NOT NULL"
		" ON CONFLICT (instruction_id, transition, sink) DO NOTHING",
		ARGS(INT8ARRAYOID, TEXTARRAYOID)
	};
	Values		v = {0};

	if (instruction_ids->n == 0)
		return;
	values_column(&v, instruction_ids);
	values_column(&v, transitions);
	statement_run(&insert, &v);
}

void
notices_after_handlers(int64 instruction_id, const char *transition)
{
	static Statement open = {
		"SELECT FROM refundx.handler_run r WHERE r.instruction_id = $1 AND r.transition = $2 AND r.is_open LIMIT 1",
		ARGS(INT8OID, TEXTOID)
	};
	Column		id;
	Column		to;
	State		state;
	Values		v = {0};

	if (!state_from_name(transition, &state) || !notice_follows(state))
		return;
	values_int8(&v, instruction_id);
	values_text(&v, transition);
	if (statement_run(&open, &v) > 0)
		return;
	column_init(&id, INT8OID);
	column_init(&to, TEXTOID);
	column_int8(&id, instruction_id);
	column_text(&to, transition);
	notices_add(&id, &to);
	wake_at_commit(WORKER_COURIER);
}
