-- Submitting, adopting and canceling refunds.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('sub', 'wechat', pg_temp.wechat()), refundx.account_open('S-1', 'CNY'), refundx.account_credit('S-1', 5000, 'start') \g /dev/null
\set ECHO all
-- With payment_amount the payment is recorded on first sight; if nobody serves the database, that is said once.
SET client_min_messages = warning;
SELECT refund_no, channel, payment_no, amount, currency, reason, state, detail, attempts, with_person, due_at IS NOT NULL
  FROM refundx.refund_submit('sub', 'S-P1', 'S-R1', 600, 'broken', currency => 'CNY', payment_amount => 1000,
							 paid_at => now() - interval '1 day', account => 'S-1');
SET client_min_messages = error;
SELECT paid, refunding, refundable, parts, account FROM refundx.payments WHERE payment_no = 'S-P1';
SELECT available, frozen FROM refundx.accounts WHERE account = 'S-1';
SELECT type, d_available, d_frozen FROM refundx.journal_lines WHERE refund_no = 'S-R1';
SELECT what, from_state, to_state, note FROM refundx.refund_timeline('S-R1');
-- The same again returns the same, also when nothing would be left for another.
SELECT refund_no, amount, state FROM refundx.refund_submit('sub', 'S-P1', 'S-R1', 600, 'broken');
SELECT refund_no, amount, state FROM refundx.refund_submit('sub', 'S-P1', 'S-R1', 600, 'broken', currency => 'CNY', payment_amount => 1000);
SELECT refunding, parts FROM refundx.payments WHERE payment_no = 'S-P1';
-- Other values under the same number.
SELECT refundx.payment_record('sub', 'S-P2', 1000, 'CNY');
SELECT pg_temp.fails(format($$SELECT refundx.refund_submit(%s)$$, words))
  FROM unnest(ARRAY[$$'sub', 'S-P1', 'S-R1', 601, 'broken'$$, $$'sub', 'S-P1', 'S-R1', 100, 'broken'$$,
					$$'sub', 'S-P1', 'S-R1', 600, 'other'$$, $$'sub', 'S-P1', 'S-R1', 600$$, $$'sub', 'S-P2', 'S-R1', 600, 'broken'$$]) words;
-- What cannot be.
SELECT pg_temp.fails(format($$SELECT refundx.refund_submit(%s)$$, words))
  FROM unnest(ARRAY[$$'sub', 'S-P1', 'S-R2', 401$$, $$'sub', 'nobody', 'S-R2', 1$$, $$'nobody', 'S-P1', 'S-R2', 1$$,
					$$'sub', 'S-P1', 'S-R2', 0$$, $$'sub', 'S-P1', 'S-R2', -1$$, $$'sub', 'S-P1', 'S-R2', NULL$$,
					$$'sub', 'S-P1', 'S-R2', 1, currency => 'USD'$$, $$'sub', 'S-P1', 'S-R2', 1, payment_amount => 0, currency => 'CNY'$$,
					$$'sub', 'S-P1', 'S-R2', 1, payment_amount => 1001, currency => 'CNY'$$,
					$$'sub', 'S-P1', '', 1$$, $$'sub', 'S-P1', NULL, 1$$, $$'sub', NULL, 'S-R2', 1$$, $$NULL, 'S-P1', 'S-R2', 1$$,
					$$'sub', 'S-P1', repeat('x', 65), 1$$, $$'sub', 'S-P3', 'S-R3', 5001, currency => 'CNY', payment_amount => 6000, account => 'S-1'$$]) words;
-- What the channel would refuse anyway.
SELECT refundx.payment_record('sub', 'S-OLD', 1000, 'CNY', paid_at => now() - interval '366 days');
SELECT pg_temp.fails(format($$SELECT refundx.refund_submit(%s)$$, words))
  FROM unnest(ARRAY[$$'sub', 'S-OLD', 'S-R4', 1$$, $$'sub', 'S-P1', 'no spaces', 1$$, $$'sub', 'S-P1', '退款', 1$$,
					$$'sub', 'S-P1', 'S-R5', 1, repeat('x', 81)$$]) words;
SELECT refundx.payment_record('sub', 'S-MANY', 100, 'CNY');
SELECT count(refundx.refund_submit('sub', 'S-MANY', 'S-MANY-' || n, 1)) FROM generate_series(1, 50) n;
SELECT pg_temp.fails($$SELECT refundx.refund_submit('sub', 'S-MANY', 'S-MANY-51', 1)$$);
-- A closed channel, a payment on hold.
SELECT refundx.channel_set('sub', closed => true);
SELECT pg_temp.fails($$SELECT refundx.refund_submit('sub', 'S-P1', 'S-R6', 1)$$);
SELECT refundx.channel_set('sub', closed => false);
BEGIN;
UPDATE refundx.payment SET hold = 'a contradiction' WHERE payment_no = 'S-P1';
SELECT pg_temp.fails($$SELECT refundx.refund_submit('sub', 'S-P1', 'S-R6', 1)$$);
SELECT pg_temp.fails($$SELECT refundx.refund_cancel('S-R1')$$);
ROLLBACK;
-- Nothing of all that has left a trace.
SELECT count(*) FROM refundx.refunds WHERE refund_no LIKE 'S-R%';
SELECT refunding, refundable, parts FROM refundx.payments WHERE payment_no = 'S-P1';
-- A caught error takes its own work with it, and nothing else.
BEGIN;
SELECT refund_no FROM refundx.refund_submit('sub', 'S-P1', 'S-R7', 100);
SELECT pg_temp.fails($$SELECT refundx.refund_submit('sub', 'S-P1', 'S-R8', 301)$$);
COMMIT;
SELECT refunding, parts FROM refundx.payments WHERE payment_no = 'S-P1';
-- Canceling: what was never attempted; again is a no-op.
SELECT refund_no, state, detail, due_at FROM refundx.refund_cancel('S-R7', 'changed my mind');
SELECT refund_no, state, detail FROM refundx.refund_cancel('S-R7');
SELECT refund_no, state FROM refundx.refund_cancel('S-R1');
SELECT refunding, refundable, parts FROM refundx.payments WHERE payment_no = 'S-P1';
SELECT available, frozen FROM refundx.accounts WHERE account = 'S-1';
SELECT type, d_available, d_frozen FROM refundx.journal_lines WHERE refund_no = 'S-R1' ORDER BY version;
SELECT pg_temp.fails($$SELECT refundx.refund_cancel('nobody')$$);
SELECT pg_temp.fails($$SELECT refundx.refund_cancel(NULL)$$);
-- Its number is used up.
SELECT refund_no, state FROM refundx.refund_submit('sub', 'S-P1', 'S-R7', 100);
-- What may have been sent is not canceled: any state but queued, and queued after an attempt.
SELECT refund_no FROM refundx.refund_submit('sub', 'S-P1', 'S-R9', 100);
BEGIN;
UPDATE refundx.instruction SET attempts = 1 WHERE instruction_no = 'S-R9';
SELECT regexp_replace(pg_temp.fails($$SELECT refundx.refund_cancel('S-R9')$$), 'since [^,]*,', 'since ...,');
ROLLBACK;
DO $$
DECLARE
	s text;
BEGIN
	FOREACH s IN ARRAY ARRAY['sending', 'unknown', 'accepted', 'abnormal', 'succeeded', 'failed', 'returned'] LOOP
		BEGIN
			UPDATE refundx.instruction SET state = s, is_open = refundx.state_is_open(s) WHERE instruction_no = 'S-R9';
			PERFORM refundx.refund_cancel('S-R9');
			RAISE EXCEPTION 'it was canceled although %', s;
		EXCEPTION WHEN SQLSTATE 'RX006' THEN
			NULL;
		END;
	END LOOP;
END
$$;
-- Adopting: asked about, not sent.
SELECT refund_no, state, attempts FROM refundx.refund_adopt('sub', 'S-P1', 'S-R10', 200);
SELECT state, due_call, may_send FROM refundx.refunds WHERE refund_no = 'S-R10';
SELECT what, from_state, to_state FROM refundx.refund_timeline('S-R10');
SELECT refund_no, state FROM refundx.refund_adopt('sub', 'S-OLD', 'S-R11', 10);
SELECT pg_temp.fails($$SELECT refundx.refund_adopt('sub', 'S-P1', 'S-R12', 701)$$);
SELECT * FROM refundx.check();
