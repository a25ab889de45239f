/*-------------------------------------------------------------------------
 *
 * outbox.c
 *	  The outbox: one row for each committed transition, for others to read.
 *
 * Each transition writes its event in its own transaction (refundx.event), and
 * that is what makes the outbox exactly as durable as the state.  Its rows are
 * derived from the events a moment later, by the courier: so a submit pays for no
 * second row, a transaction that commits late is derived when it does, and as there
 * is one writer, seq is an order in which nothing appears behind a reader's back.
 *
 * A row is made of what never changes: the event, and of the instruction what it
 * was submitted with.  Derived twice (after a restore, or on a standby that was
 * promoted before the first derivation had reached it) it has the same id.
 *
 * What may be seen by anybody who reads a queue: numbers and amounts, never the
 * reason that a caller gave, the words of a channel, or whom it concerns.
 *
 * src/money/outbox.c
 *
 *-------------------------------------------------------------------------
 */
#include "money/outbox.h"

/*
 * A UUID of version 8: milliseconds first, so that the index grows at its end, and
 * then a hash of what makes the event unique.
 */
#define EVENT_ID \
	"(lpad(to_hex((extract(epoch FROM a.at) * 1000)::bigint), 12, '0') || '8' || left(h.hash, 3)" \
	" || translate(substr(h.hash, 4, 1), '0123456789abcdef', '89ab89ab89ab89ab') || substr(h.hash, 5, 15))::uuid"

/* Looked up one by one: the planner cannot know how little arrives at a time. */
#define ONE(columns, table, key) \
	"LATERAL (SELECT " columns " FROM refundx." table " t WHERE t." key " LIMIT 1)"

uint64
outbox_derive(const Arrival *a, int64 *after)
{
	static Statement last = {"SELECT coalesce(max(seq), 0) FROM refundx.outbox", NO_ARGS};
	static Statement derive = {
		"WITH arrived AS MATERIALIZED ("
		ARRIVAL_PART("seq, at, instruction_id, evidence_id, from_state, to_state", "refundx.event", "$1", "$2") ")"
		" INSERT INTO refundx.outbox (id, aggregatetype, aggregateid, type, payload, at)"
		" SELECT " EVENT_ID ", i.kind, i.instruction_no, i.kind || '.' || a.to_state,"
		"        jsonb_strip_nulls(jsonb_build_object("
		"          CASE i.kind WHEN 'refund' THEN 'refund_no' ELSE 'withdrawal_no' END, i.instruction_no,"
		"          'channel', c.name, 'payment_no', p.payment_no, 'account', o.account_no,"
		"          'amount', i.amount, 'fee', CASE WHEN i.kind <> 'refund' THEN i.fee END,"
		"          'currency', i.currency, 'from', a.from_state, 'to', a.to_state,"
		/* the channel's word for it, if it is one: what else it says may name somebody */
		"          'code', (SELECT v.code FROM refundx.evidence v"
		"                    WHERE v.evidence_id = a.evidence_id AND v.code ~ '^[A-Za-z][A-Za-z0-9_.-]{0,63}$'),"
		"          'sequence', a.seq)), a.at"
		"   FROM arrived a"
		"  CROSS JOIN " ONE("*", "instruction", "instruction_id = a.instruction_id") " i"
		"  CROSS JOIN " ONE("name", "channel", "channel_id = i.channel_id") " c"
		"   LEFT JOIN " ONE("payment_no", "payment", "payment_id = i.payment_id") " p ON true"
		"   LEFT JOIN LATERAL (SELECT t.account_no FROM refundx.payout u"
		"                        JOIN refundx.account t ON t.account_id = u.account_id"
		"                       WHERE u.instruction_id = a.instruction_id LIMIT 1) o ON true"
		"  CROSS JOIN LATERAL (SELECT encode(sha256(convert_to("
		"                        concat_ws('/', a.seq, a.instruction_id, a.to_state, extract(epoch FROM a.at)),"
		"                        'UTF8')), 'hex') AS hash) h"
		"  WHERE a.from_state IS DISTINCT FROM a.to_state AND a.to_state IS NOT NULL"
		"  ORDER BY a.seq"
		" ON CONFLICT (id) DO NOTHING", ARGS(TEXTOID, TEXTOID)
	};
	Values		v = {0};

	statement_run(&last, NULL);
	*after = row_int8(0, 1);
	values_text(&v, a->seen);
	values_text(&v, a->reading);
	return statement_run(&derive, &v);
}
