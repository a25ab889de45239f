/*-------------------------------------------------------------------------
 *
 * payment_hint.c
 *	  Hints that name a payment, and no refund of it.
 *
 * Some channels announce that something of a payment was refunded, with the
 * sum of all its refunds (Alipay's trade notifications, Stripe's
 * charge.refunded).  That moves no money; it makes us ask about the refunds
 * that it may be about: what has been sent and is open, and what is paid, for
 * that may have come back.
 *
 * A row that somebody holds is passed over: the hint only makes a query come
 * earlier, which will come anyway.
 *
 * src/money/payment_hint.c
 *
 *-------------------------------------------------------------------------
 */
#include "base/sql.h"

#include "money/external.h"
#include "money/payment_hint.h"

void
payment_hint(const EvidenceFacts *e, int64 now)
{
	static Statement ask = {
		"WITH found AS ("
		"  SELECT instruction_id, state FROM refundx.instruction"
		"   WHERE payment_id = $1 AND attempts > 0 AND state = ANY ($2)"
		"   ORDER BY instruction_id FOR NO KEY UPDATE SKIP LOCKED),"
		" asked AS ("
		"  UPDATE refundx.instruction i SET due_at = $3, due_call = 'query'"
		"    FROM found f WHERE i.instruction_id = f.instruction_id"
		"  RETURNING i.instruction_id, i.state)"
		" INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor, note)"
		" SELECT instruction_id, 'asked', state, state, session_user, 'a hint about its payment'"
		"   FROM asked ORDER BY instruction_id",
		ARGS(INT8OID, TEXTARRAYOID, TIMESTAMPTZOID)
	};
	int64		payment_id = payment_of_evidence(e);
	Column		states;
	Values		v = {0};
	int			s;

	if (payment_id == 0)
		return;

	/* which states a hint makes ask, the state table says; never during a call */
	column_init(&states, TEXTOID);
	for (s = 0; s < STATE_COUNT; s++)
		if (s != STATE_SENDING && s != STATE_QUEUED &&
			(state_is_open((State) s) || s == STATE_SUCCEEDED) &&
			state_transition((State) s, INPUT_ASK)->reaction == REACTION_ASK)
			column_text(&states, state_name((State) s));
	values_int8(&v, payment_id);
	values_column(&v, &states);
	values_time(&v, now);
	statement_run(&ask, &v);
}
