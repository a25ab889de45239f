-- The state table, whole, and what must be true of it.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
\set ECHO all
SELECT * FROM refundx.states;
-- Every state meets every input exactly once.
SELECT count(*), count(DISTINCT from_state), count(DISTINCT input), count(DISTINCT (from_state, input)) FROM refundx.states;
-- Only a move changes the state, and nothing else moves money.
SELECT * FROM refundx.states WHERE (reaction = 'move') <> (from_state <> to_state) OR effect <> 'none' AND reaction <> 'move';
-- What moves money is proof, a signed cancellation, a caller's cancel before anything was sent, or an operator who has found out.
SELECT DISTINCT input, effect FROM refundx.states WHERE effect <> 'none' ORDER BY 1, 2;
-- Nothing else that is not proof reaches an end.
SELECT * FROM refundx.states
 WHERE to_state IN ('succeeded', 'failed', 'returned', 'canceled') AND from_state <> to_state
   AND input NOT IN ('succeeded', 'refused', 'dead', 'returned', 'channel_canceled', 'reversed', 'cancel')
   AND input NOT LIKE 'resolve%';
-- succeeded never becomes failed, and failed and canceled never move by evidence: an operator moves them, to succeeded.
SELECT from_state, input, to_state FROM refundx.states WHERE from_state IN ('succeeded', 'failed', 'returned', 'canceled') AND reaction = 'move';
-- Money in flight is frozen until it is paid out or released, once: by each path, the effects end where they should.
WITH RECURSIVE path(state, frozen, out, steps) AS (
	SELECT 'queued', 1, 0, 0
	UNION
	SELECT t.to_state,
		   frozen + CASE t.effect WHEN 'pay_out' THEN -1 WHEN 'release' THEN -1 WHEN 'divert' THEN -1 ELSE 0 END,
		   out + CASE t.effect WHEN 'pay_out' THEN 1 WHEN 'pay_late' THEN 1 WHEN 'return' THEN -1 ELSE 0 END,
		   steps + 1
	  FROM path p JOIN refundx.states t ON t.from_state = p.state AND t.reaction = 'move'
	 WHERE steps < 12
)
SELECT state, min(frozen), max(frozen), min(out), max(out) FROM path GROUP BY state ORDER BY state;
-- LOST leads what may have been sent to unknown, never back to queued.
SELECT from_state, to_state FROM refundx.states WHERE input = 'lost' AND reaction = 'move';
-- A contradiction moves nothing.
SELECT from_state, input FROM refundx.states WHERE reaction = 'contradiction';
