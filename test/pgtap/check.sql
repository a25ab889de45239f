-- refundx.check() is silent while all is well, and finds each invariant that
-- is broken: by the owner, with the guards taken off, and rolled back.
BEGIN;
SET LOCAL client_min_messages = error;
SELECT plan(157);

SELECT refundx.channel_add('wx', 'wechat', '{"mchid": "1900000100", "merchant_serial": "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB",
	"private_key": "apiclient_key.pem", "apiv3_key": "apiv3.key",
	"wechat_keys": {"PUB_KEY_ID_0119000001002026010100001": "pub_key.pem"}}') \g /dev/null
SELECT refundx.account_open('A', 'CNY'), refundx.account_credit('A', 100000, 'start'), refundx.account_open('B', 'CNY') \g /dev/null
SELECT refundx.payment_record('wx', 'P' || n, 1000, 'CNY', account => 'A', contact => '13800138000') FROM generate_series(1, 9) n \g /dev/null
SELECT refundx.payment_record('wx', 'P0', 1000, 'CNY') \g /dev/null
SELECT refundx.refund_submit('wx', 'P1', 'open', 100), refundx.refund_submit('wx', 'P2', 'paid', 200),
	   refundx.refund_submit('wx', 'P3', 'failed', 300), refundx.refund_submit('wx', 'P4', 'back', 400),
	   refundx.refund_submit('wx', 'P5', 'canceled', 500), refundx.refund_submit('wx', 'P0', 'plain', 600),
	   refundx.refund_submit('wx', 'P6', 'diverted', 150) \g /dev/null
-- With slots, 20 on each: one refund finds them in several.
SELECT refundx.account_open('S', 'CNY', 3) \g /dev/null
SELECT refundx.account_credit('S', 20, r) FROM unnest(ARRAY['o1', 'o6', 'o17']) r \g /dev/null
SELECT refundx.refund_submit('wx', 'PS', 'spread', 45, currency => 'CNY', payment_amount => 100, account => 'S') \g /dev/null
-- With a fee: one that is open, one for each way to end.
SELECT refundx.account_open('F', 'CNY'), refundx.account_credit('F', 1000, 'start') \g /dev/null
INSERT INTO refundx.instruction (kind, instruction_no, wire_no, channel_id, merchant_id, account_id, amount, fee, currency)
SELECT 'withdrawal', 'fee_' || no, 'fee_' || no, 1, 1, a.account_id, 30, 3, 'CNY'
  FROM refundx.account a, unnest(ARRAY['open', 'paid', 'back', 'back_whole', 'failed', 'kept', 'diverted']) no WHERE account_no = 'F';
INSERT INTO refundx.event (instruction_id, type, to_state)
SELECT instruction_id, 'submitted', 'queued' FROM refundx.instruction WHERE fee > 0;
UPDATE refundx.instruction SET due_at = now(), due_call = 'submit' WHERE fee > 0;
-- Whom they pay, out of 33 with the fee inside; and four of them on one day's limit, of which one has failed.
INSERT INTO refundx.payee (kind, fingerprint) VALUES ('wechat', '\x01');
INSERT INTO refundx.payout (instruction_id, account_id, payee_id, payee_masked, asked, fee_back_on_failure, fee_back_on_return, capped_on)
SELECT i.instruction_id, i.account_id, p.payee_id, 'openid oAAA****AAAA', 33, true, false,
	   CASE WHEN i.instruction_no IN ('fee_open', 'fee_paid', 'fee_back', 'fee_failed') THEN current_date END
  FROM refundx.instruction i, refundx.payee p WHERE i.kind = 'withdrawal';
INSERT INTO refundx.cap_line (account_id, channel_id, day, n, withdrawals, amount, instruction_id)
SELECT i.account_id, 1, current_date, l.n, l.withdrawals, l.withdrawals * 33, i.instruction_id
  FROM (VALUES (1, 1, 'fee_open'), (2, 2, 'fee_paid'), (3, 3, 'fee_back'), (4, 4, 'fee_failed'), (5, 3, 'fee_failed')) l(n, withdrawals, no)
  JOIN refundx.instruction i ON i.instruction_no = l.no;
-- One that locks a row of a guarded table, which has a partition; and a lock that was lifted.
CREATE TABLE shop (id int PRIMARY KEY, amount int) PARTITION BY RANGE (id);
CREATE TABLE shop_1 PARTITION OF shop FOR VALUES FROM (1) TO (100);
INSERT INTO shop VALUES (1, 100), (2, 100);
CREATE TABLE plain_shop (id int PRIMARY KEY, amount int);
INSERT INTO plain_shop VALUES (1, 100);
SELECT refundx.guard_add('shop', 'id', '{amount}'), refundx.guard_add('plain_shop', 'id', '{amount}'),
	   refundx.refund_submit('wx', 'P7', 'locks', 10, guards => '{"table": "public.shop", "key": 1}'),
	   refundx.refund_submit('wx', 'P7', 'lifted', 10, guards => '{"table": "public.plain_shop", "key": 1}'),
	   refundx.guard_lift('plain_shop', '1', 'why not') \g /dev/null
INSERT INTO refundx.payout_contact (instruction_id, phone) SELECT instruction_id, '13800138000' FROM refundx.instruction WHERE instruction_no = 'fee_open';
SELECT refundx.refund_cancel('canceled') \g /dev/null

-- Canceled, and paid after all: in part out of the merchant's suspense account.
SELECT refundx.account_credit('B', 150, 'start'), refundx.payment_record('wx', 'PL', 1000, 'CNY', account => 'B') \g /dev/null
SELECT refundx.refund_submit('wx', 'PL', 'late', 100) \g /dev/null
SELECT refundx.refund_cancel('late'), refundx.account_debit('B', 120, 'out') \g /dev/null
SELECT refundx.resolve('late', 'succeeded', 'the console has it', 'paid') \g /dev/null

-- What the workers would do, in the order in which they do it: claim, answer, settle.
CREATE FUNCTION pg_temp.id(no text) RETURNS bigint LANGUAGE sql AS
	'SELECT instruction_id FROM refundx.instruction WHERE instruction_no = no';
CREATE FUNCTION pg_temp.post(no text, line text, a bigint, f bigint) RETURNS void LANGUAGE sql AS $$
	INSERT INTO refundx.journal (account_id, version, type, instruction_id, d_available, d_frozen, d_outside, available, frozen)
	SELECT l.account_id, l.version + 1, line, pg_temp.id(no), a, f, -a - f, l.available + a, l.frozen + f
	  FROM refundx.journal l
	 WHERE l.account_id = (SELECT account_id FROM refundx.instruction WHERE instruction_no = no)
	 ORDER BY version DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.step(no text, how text, next text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO refundx.event (instruction_id, type, from_state, to_state)
	SELECT instruction_id, how, state, next FROM refundx.instruction WHERE instruction_no = no;
	UPDATE refundx.instruction
	   SET state = next, is_open = refundx.state_is_open(next), due_at = CASE WHEN next IN ('queued', 'unknown', 'accepted', 'abnormal') THEN now() END,
		   due_call = CASE next WHEN 'queued' THEN 'submit' WHEN 'unknown' THEN 'query' WHEN 'accepted' THEN 'query' END
	 WHERE instruction_no = no;
END
$$;
CREATE FUNCTION pg_temp.attempt(no text, which text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO refundx.request (instruction_id, wire_no, body) SELECT pg_temp.id(no), no, '{}' ON CONFLICT DO NOTHING;
	INSERT INTO refundx.attempt (instruction_id, merchant_id, call, wire_no) SELECT pg_temp.id(no), 1, which, no;
END
$$;
CREATE FUNCTION pg_temp.answer(no text, meaning text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no, attempt_id)
	SELECT 1, 1, 'answer', sha256(random()::text::bytea), meaning, true, no, max(attempt_id)
	  FROM refundx.attempt WHERE wire_no = no
$$;
SELECT pg_temp.step(no, 'claimed', 'sending'), pg_temp.attempt(no, 'submit'), pg_temp.answer(no, 'accepted'), pg_temp.step(no, 'moved', 'accepted'),
	   pg_temp.attempt(no, 'query'), pg_temp.answer(no, 'succeeded')
  FROM unnest(ARRAY['paid', 'failed', 'back', 'diverted']) no \g /dev/null
SELECT pg_temp.step('paid', 'moved', 'succeeded'), pg_temp.post('paid', 'pay_out', 0, -200),
	   pg_temp.step('failed', 'moved', 'failed'), pg_temp.post('failed', 'release', 300, -300),
	   pg_temp.step('back', 'moved', 'succeeded'), pg_temp.post('back', 'pay_out', 0, -400),
	   pg_temp.step('back', 'moved', 'returned'), pg_temp.post('back', 'return', 400, 0),
	   pg_temp.step('diverted', 'moved', 'abnormal'), pg_temp.step('diverted', 'moved', 'returned'),
	   pg_temp.post('diverted', 'release', 150, -150) \g /dev/null
SELECT pg_temp.step(no, 'claimed', 'sending'), pg_temp.attempt(no, 'submit'), pg_temp.answer(no, 'accepted'), pg_temp.step(no, 'moved', 'accepted')
  FROM unnest(ARRAY['fee_paid', 'fee_back', 'fee_back_whole', 'fee_failed', 'fee_kept', 'fee_diverted']) no \g /dev/null
SELECT pg_temp.post('fee_' || no, 'freeze', -33, 33)
  FROM unnest(ARRAY['open', 'paid', 'back', 'back_whole', 'failed', 'kept', 'diverted']) no \g /dev/null
SELECT pg_temp.step(no, 'moved', 'succeeded'), pg_temp.post(no, 'pay_out', 0, -30), pg_temp.post(no, 'fee', 0, -3)
  FROM unnest(ARRAY['fee_paid', 'fee_back', 'fee_back_whole']) no \g /dev/null
SELECT pg_temp.step(no, 'moved', 'returned'), pg_temp.post(no, 'return', 30, 0)
  FROM unnest(ARRAY['fee_back', 'fee_back_whole']) no \g /dev/null
SELECT pg_temp.post('fee_back_whole', 'fee_return', 3, 0),
	   pg_temp.step('fee_failed', 'moved', 'failed'), pg_temp.post('fee_failed', 'release', 33, -33),
	   pg_temp.step('fee_kept', 'moved', 'failed'), pg_temp.post('fee_kept', 'release', 30, -30), pg_temp.post('fee_kept', 'fee', 0, -3),
	   pg_temp.step('fee_diverted', 'moved', 'abnormal'), pg_temp.step('fee_diverted', 'moved', 'returned'),
	   pg_temp.post('fee_diverted', 'release', 33, -33) \g /dev/null
UPDATE refundx.payment SET refunding = 0, refunded = 200 WHERE payment_no = 'P2';
UPDATE refundx.payment SET refunding = 0 WHERE payment_no = 'P3';
UPDATE refundx.payment SET refunding = 0, returned = 400 WHERE payment_no = 'P4';
UPDATE refundx.payment SET refunding = 0, returned = 150 WHERE payment_no = 'P6';
INSERT INTO refundx.notice (instruction_id, transition) SELECT pg_temp.id('paid'), 'succeeded';
INSERT INTO refundx.notice_provider (name, kind, config) VALUES ('sms', 'aliyun', '{}');

SELECT is_empty('SELECT * FROM refundx.check()', 'a healthy database breaks nothing');

-- Do it, ask, undo it: which invariants are broken then, of those or of all.
CREATE FUNCTION pg_temp.broken(by text, VARIADIC asked text[] DEFAULT '{}') RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	found text[];
BEGIN
	EXECUTE by;
	IF asked = '{}' THEN
		found := ARRAY(SELECT DISTINCT invariant FROM refundx.check());
	ELSE
		found := ARRAY(SELECT DISTINCT invariant FROM refundx.check(VARIADIC asked));
	END IF;
	RAISE EXCEPTION USING ERRCODE = 'XX999', MESSAGE = found::text;
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN SQLERRM::text[];
END
$$;
CREATE FUNCTION pg_temp.finds(wanted text, what text, by text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text[] := pg_temp.broken(by, wanted);
BEGIN
	RETURN ok(wanted = ANY (found), wanted || ' finds ' || what);
END
$$;

-- The guards and the constraints behind the functions have to go first.
ALTER TABLE refundx.journal DISABLE TRIGGER ALL;
ALTER TABLE refundx.event DISABLE TRIGGER ALL;
ALTER TABLE refundx.evidence DISABLE TRIGGER ALL;
ALTER TABLE refundx.attempt DISABLE TRIGGER ALL;
ALTER TABLE refundx.request DISABLE TRIGGER ALL;
ALTER TABLE refundx.instruction DISABLE TRIGGER ALL;
ALTER TABLE refundx.payment DISABLE TRIGGER ALL;
ALTER TABLE refundx.payout DISABLE TRIGGER ALL;
ALTER TABLE refundx.account DISABLE TRIGGER ALL;
ALTER TABLE refundx.journal DROP CONSTRAINT journal_line;
ALTER DOMAIN refundx.minor_units DROP CONSTRAINT minor_units_not_negative;
ALTER TABLE refundx.payment DROP CONSTRAINT payment_never_over_refunded;
DROP INDEX refundx.journal_once_per_instruction;
ALTER TABLE refundx.instruction DROP CONSTRAINT instruction_merchant_id_wire_no_key;
ALTER TABLE refundx.guard DISABLE TRIGGER never_deleted;
SET LOCAL refundx.allow_drop = on;
-- The last evidence of a number, weighed; a new timeline; and a query after it that finds nothing.
CREATE FUNCTION pg_temp.weighed(no text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO refundx.event (instruction_id, evidence_id, type, from_state, to_state)
	SELECT i.instruction_id, (SELECT max(evidence_id) FROM refundx.evidence WHERE wire_no = no), 'noted', i.state, i.state
	  FROM refundx.instruction i WHERE i.instruction_no = no
$$;
CREATE FUNCTION pg_temp.lost(no text) RETURNS void LANGUAGE sql AS $$SELECT pg_temp.step(no, 'lost', 'unknown')$$;
CREATE FUNCTION pg_temp.recovering() RETURNS void LANGUAGE sql AS $$
	INSERT INTO refundx.recovery (recovery_id, cause, timeline, reason, began_at, gap_from, gap_to, event_seq)
	SELECT 1, 'timeline', 2, 'a test', now(), now(), now(), last_value FROM refundx.event_seq_seq
$$;
CREATE FUNCTION pg_temp.asked(no text, later interval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no, attempt_started_at)
	VALUES (1, 1, 'query', sha256(random()::text::bytea), 'not_found', true, no, clock_timestamp() + later);
	PERFORM pg_temp.step(no, 'moved', 'queued');
	UPDATE refundx.event SET evidence_id = (SELECT max(evidence_id) FROM refundx.evidence WHERE wire_no = no)
	 WHERE seq = (SELECT max(seq) FROM refundx.event);
END
$$;

SELECT is_empty('SELECT * FROM refundx.check()', 'nor without its guards');

SELECT pg_temp.finds('I16', 'a guard that is disabled', $$ALTER TABLE shop DISABLE TRIGGER refundx_guard_delete$$);
SELECT pg_temp.finds('I16', 'one that replicas do not see', $$ALTER TABLE shop ENABLE TRIGGER refundx_guard_update$$);
SELECT pg_temp.finds('I16', 'one that is disabled in a partition', $$ALTER TABLE shop_1 DISABLE TRIGGER ALL$$);
SELECT pg_temp.finds('I16', 'one that has lost a trigger', $$DROP TRIGGER refundx_guard_truncate ON shop$$);
SELECT pg_temp.finds('I16', 'one whose table is gone', $$DROP TABLE shop$$);
SELECT pg_temp.finds('I16', 'one that was removed', $$SELECT refundx.guard_drop('shop', 'no more')$$);
SELECT is(pg_temp.broken('DROP TABLE plain_shop'), '{}', 'no locks, no matter');
SELECT pg_temp.finds('orphans', 'a lock of no guard', $$DELETE FROM refundx.guard WHERE relation = 'public.plain_shop'$$);

SELECT pg_temp.finds('I1', 'a posting that makes money', $$UPDATE refundx.journal SET d_outside = d_outside + 1 WHERE version = 2$$);
SELECT pg_temp.finds('I1', 'two that cancel each other out', $$UPDATE refundx.journal SET d_outside = d_outside + CASE version WHEN 2 THEN 1 ELSE -1 END WHERE version IN (2, 3)$$);
SELECT pg_temp.finds('I2', 'a reservation that nobody holds', $$UPDATE refundx.payment SET refunding = 101 WHERE payment_no = 'P1'$$);
SELECT pg_temp.finds('I2', 'a reservation that is missing', $$UPDATE refundx.payment SET refunding = 0 WHERE payment_no = 'P1'$$);
SELECT pg_temp.finds('I2', 'a refund that was counted twice', $$UPDATE refundx.payment SET refunded = 400 WHERE payment_no = 'P2'$$);
SELECT pg_temp.finds('I2', 'what came back and is not counted', $$UPDATE refundx.payment SET returned = 0 WHERE payment_no = 'P4'$$);
SELECT pg_temp.finds('I2', 'a refund made elsewhere that is not recorded', $$UPDATE refundx.payment SET elsewhere = 1 WHERE payment_no = 'P1'$$);
SELECT pg_temp.finds('I2', 'more than was paid', $$UPDATE refundx.payment SET paid = 99 WHERE payment_no = 'P1'$$);
SELECT pg_temp.finds('I2', 'a refund''s amount that was changed', $$UPDATE refundx.instruction SET amount = 601 WHERE instruction_no = 'plain'$$);
SELECT pg_temp.finds('I3', 'a negative balance', $$UPDATE refundx.journal SET available = -1 WHERE version = 2$$);
SELECT pg_temp.finds('I3', 'a negative freeze', $$UPDATE refundx.journal SET frozen = -1 WHERE version = 1$$);
SELECT pg_temp.finds('I3', 'a line of suspense on another account', $$UPDATE refundx.journal SET type = 'suspense' WHERE type = 'pay_late'$$);
SELECT pg_temp.finds('I6', 'a late payment of another amount', $$UPDATE refundx.journal SET d_available = -29, d_outside = 29 WHERE type = 'pay_late'$$);
SELECT pg_temp.finds('I6', 'suspense of another amount', $$UPDATE refundx.journal SET d_available = -71, d_outside = 71 WHERE type = 'suspense'$$);
SELECT pg_temp.finds('I2', 'what is said to be overpaid and is not', $$UPDATE refundx.payment SET overpaid = 1 WHERE payment_no = 'PL'$$);
SELECT pg_temp.finds('I4', 'a freeze of another sum', $$UPDATE refundx.journal SET frozen = frozen + 5 WHERE version = (SELECT max(version) FROM refundx.journal)$$);
SELECT pg_temp.finds('I4', 'an open refund without a freeze', $$INSERT INTO refundx.instruction (instruction_no, wire_no, channel_id, merchant_id, payment_id, account_id, amount, currency)
	SELECT 'x', 'x', 1, 1, payment_id, 2, 5, 'CNY' FROM refundx.payment WHERE payment_no = 'P1'$$);
SELECT pg_temp.finds('I4', 'a fee that was not frozen', $$UPDATE refundx.instruction SET fee = 4 WHERE instruction_no = 'fee_open'$$);
SELECT pg_temp.finds('I4', 'a freeze on another slot', $$UPDATE refundx.instruction i SET account_id = (SELECT min(account_id) FROM refundx.account s
	WHERE s.slot_of IS NOT NULL AND s.account_id <> i.account_id) WHERE instruction_no = 'spread'$$);
SELECT pg_temp.finds('I5', 'a missing line', $$DELETE FROM refundx.journal WHERE version = 3$$);
SELECT pg_temp.finds('I5', 'a missing first line', $$DELETE FROM refundx.journal WHERE version = 1$$);
SELECT pg_temp.finds('I5', 'a balance that does not add up', $$UPDATE refundx.journal SET available = available + 1 WHERE version = 2$$);
SELECT pg_temp.finds('I5', 'money that left a slot and did not arrive', $$DELETE FROM refundx.journal WHERE type = 'slot_in';
	UPDATE refundx.journal j SET version = 2, available = available - 25 + 20 WHERE type = 'freeze' AND instruction_id = pg_temp.id('spread')$$);
SELECT pg_temp.finds('I5', 'money that arrived twice', $$UPDATE refundx.journal SET d_available = d_available * 2, d_outside = d_outside * 2 WHERE type = 'slot_in'$$);
SELECT pg_temp.finds('I5', 'a move within an account that has no slots', $$INSERT INTO refundx.journal (account_id, version, type, d_available, d_frozen, d_outside, available, frozen)
	SELECT account_id, version + 1, 'slot_out', -1, 0, 1, available - 1, frozen FROM refundx.journal WHERE account_id = 1 ORDER BY version DESC LIMIT 1$$);
SELECT pg_temp.finds('I6', 'a payment out that happened twice', $$SELECT pg_temp.post('paid', 'pay_out', 0, -200)$$);
SELECT pg_temp.finds('I6', 'a refund that was paid and not posted', $$DELETE FROM refundx.journal WHERE type = 'pay_out' AND instruction_id = pg_temp.id('paid')$$);
SELECT pg_temp.finds('I6', 'a release and a payment out', $$SELECT pg_temp.post('failed', 'pay_out', 0, -300)$$);
SELECT pg_temp.finds('I6', 'a release of an open refund', $$SELECT pg_temp.post('open', 'release', 100, -100)$$);
SELECT pg_temp.finds('I6', 'a canceled refund that was not released', $$DELETE FROM refundx.journal WHERE type = 'release' AND instruction_id = pg_temp.id('canceled')$$);
SELECT pg_temp.finds('I6', 'another amount', $$UPDATE refundx.journal SET d_frozen = -199, d_outside = 199 WHERE type = 'pay_out' AND instruction_id = pg_temp.id('paid')$$);
SELECT pg_temp.finds('I6', 'a fee that was not taken', $$DELETE FROM refundx.journal WHERE type = 'fee' AND instruction_id = pg_temp.id('fee_paid')$$);
SELECT pg_temp.finds('I6', 'a fee that was taken twice', $$SELECT pg_temp.post('fee_paid', 'fee', 0, -3)$$);
SELECT pg_temp.finds('I6', 'another fee', $$UPDATE refundx.journal SET d_frozen = -2, d_outside = 2 WHERE type = 'fee' AND instruction_id = pg_temp.id('fee_paid')$$);
SELECT pg_temp.finds('I6', 'a fee of a refund', $$SELECT pg_temp.post('paid', 'fee', 0, -1)$$);
SELECT pg_temp.finds('I6', 'a fee that is kept and released as well', $$SELECT pg_temp.post('fee_failed', 'fee', 0, -3)$$);
SELECT pg_temp.finds('I6', 'a fee that is neither kept nor released', $$DELETE FROM refundx.journal WHERE type = 'fee' AND instruction_id = pg_temp.id('fee_kept')$$);
SELECT pg_temp.finds('I6', 'a fee given back that was never taken', $$SELECT pg_temp.post('fee_diverted', 'fee_return', 3, 0)$$);
SELECT pg_temp.finds('I6', 'a fee given back of what succeeded', $$SELECT pg_temp.post('fee_paid', 'fee_return', 3, 0)$$);
SELECT pg_temp.finds('I6', 'a fee given back before the amount', $$UPDATE refundx.journal SET type = CASE type WHEN 'return' THEN 'fee_return' ELSE 'return' END
	WHERE type IN ('return', 'fee_return') AND instruction_id = pg_temp.id('fee_back_whole')$$);
SELECT pg_temp.finds('I6', 'a freeze without the fee', $$UPDATE refundx.journal SET d_available = -30, d_frozen = 30 WHERE type = 'freeze' AND instruction_id = pg_temp.id('fee_open')$$);
SELECT pg_temp.finds('I8', 'a fee that is more than was told', $$UPDATE refundx.instruction SET fee = 4 WHERE instruction_no = 'fee_open'$$);
SELECT pg_temp.finds('I8', 'a payee who gets more', $$UPDATE refundx.instruction SET amount = 31 WHERE instruction_no = 'fee_paid'$$);
SELECT pg_temp.finds('I8', 'a unit that nobody gets', $$UPDATE refundx.payout SET asked = 34 WHERE instruction_id = pg_temp.id('fee_open')$$);
SELECT pg_temp.finds('I8', 'a refund with a fee', $$UPDATE refundx.instruction SET fee = 1 WHERE instruction_no = 'open'$$);
SELECT is(pg_temp.broken($$UPDATE refundx.payout SET asked = 30 WHERE instruction_id = pg_temp.id('fee_kept')$$), '{}',
	'I8 is content with a fee on top');
SELECT pg_temp.finds('I9', 'an attempt without a frozen request', $$DELETE FROM refundx.request WHERE wire_no = 'paid'$$);
SELECT pg_temp.finds('I9', 'a number that two refunds have', $$UPDATE refundx.instruction SET wire_no = 'open' WHERE instruction_no = 'plain'$$);
SELECT pg_temp.finds('I9', 'a second live number', $$INSERT INTO refundx.request (instruction_id, wire_no, body) SELECT pg_temp.id('paid'), 'paid2', ''$$);
SELECT pg_temp.finds('I10', 'an attempt that began before the last one ended', $$UPDATE refundx.evidence SET received_at = received_at + interval '1 hour' WHERE wire_no = 'paid'$$);
SELECT pg_temp.finds('I10', 'two open attempts', $$SELECT pg_temp.attempt('open', 'submit'), pg_temp.attempt('open', 'submit')$$);
SELECT pg_temp.finds('I11', 'a state that no event led to', $$UPDATE refundx.instruction SET state = 'unknown' WHERE instruction_no = 'open'$$);
SELECT pg_temp.finds('I11', 'a step that the state table does not know', $$SELECT pg_temp.step('paid', 'moved', 'failed')$$);
SELECT pg_temp.finds('I11', 'a history with a gap', $$DELETE FROM refundx.event WHERE instruction_id = pg_temp.id('paid') AND to_state = 'accepted'$$);
SELECT pg_temp.finds('I11', 'a history without its beginning', $$DELETE FROM refundx.event WHERE instruction_id = pg_temp.id('open')$$);
SELECT pg_temp.finds('I17', 'a notice of what never happened', $$UPDATE refundx.notice SET transition = 'failed'$$);
SELECT pg_temp.finds('I18', 'an open refund that nobody owns', $$UPDATE refundx.instruction SET due_at = NULL WHERE instruction_no = 'open'$$);
SELECT pg_temp.finds('I18', 'one that has been sending for ever', $$SELECT pg_temp.step('open', 'claimed', 'sending'); UPDATE refundx.instruction SET state_since = now() - interval '1 hour' WHERE instruction_no = 'open'$$);
SELECT pg_temp.finds('I18', 'one that is long overdue', $$UPDATE refundx.instruction SET due_at = now() - interval '16 min' WHERE instruction_no = 'open'$$);
SELECT is(pg_temp.broken($$UPDATE refundx.instruction SET due_at = now() - interval '16 min' WHERE instruction_no = 'open';
	INSERT INTO refundx.merchant_pause (merchant_id, about, paused, since) VALUES (1, 'refund', 'hold', now())$$), '{}',
	'I18 excuses what waits for its merchant');
SELECT pg_temp.finds('I18', 'a withdrawal that is overdue while refunds are paused', $$UPDATE refundx.instruction SET due_at = now() - interval '16 min' WHERE instruction_no = 'fee_open';
	INSERT INTO refundx.merchant_pause (merchant_id, about, paused, since) VALUES (1, 'refund', 'hold', now())$$);
SELECT is(pg_temp.broken($$SELECT pg_temp.step('fee_open', 'moved', 'awaiting_approval');
	DELETE FROM refundx.event WHERE instruction_id = pg_temp.id('fee_open'); INSERT INTO refundx.event (instruction_id, type, to_state)
	VALUES (pg_temp.id('fee_open'), 'submitted', 'awaiting_approval')$$), '{}', 'I18 excuses what waits for a second person');
SELECT is(pg_temp.broken($$UPDATE refundx.instruction SET due_at = NULL, person_reason = 'x', person_since = now() WHERE instruction_no = 'open'$$), '{}',
	'I18 is content with a person');
SELECT pg_temp.finds('I19', 'a freeze of nobody''s', $$UPDATE refundx.journal SET instruction_id = 4711 WHERE instruction_id = pg_temp.id('open')$$);
SELECT pg_temp.finds('I19', 'a refund from another account than its payment''s', $$UPDATE refundx.payment SET account_id = 2 WHERE payment_no = 'P1'$$);
SELECT pg_temp.finds('I19', 'a withdrawal from another account than it is of', $$UPDATE refundx.payout SET account_id = 2 WHERE instruction_id = pg_temp.id('fee_open')$$);
SELECT pg_temp.finds('I23', 'a withdrawal that was not counted', $$DELETE FROM refundx.cap_line WHERE n >= 4$$ || $$; UPDATE refundx.cap_line SET withdrawals = 2, amount = 66 WHERE n = 3$$);
SELECT pg_temp.finds('I23', 'a limit that counts another amount', $$UPDATE refundx.cap_line SET amount = amount - 1 WHERE n = 5$$);
SELECT pg_temp.finds('I23', 'one that failed and still counts', $$DELETE FROM refundx.cap_line WHERE n = 5$$);
SELECT pg_temp.finds('I23', 'a day that was forgotten too soon', $$DELETE FROM refundx.cap_line$$);
SELECT pg_temp.finds('I23', 'a day''s lines of nobody''s', $$UPDATE refundx.payout SET capped_on = NULL$$);
SELECT is(pg_temp.broken($$UPDATE refundx.payout SET capped_on = current_date - 40 WHERE capped_on IS NOT NULL; DELETE FROM refundx.cap_line$$), '{}',
	'I23 lets the clerk forget old days');
SELECT pg_temp.finds('I24', 'a contradiction without a hold', $$SELECT pg_temp.step('paid', 'contradiction', 'succeeded')$$);
SELECT is(pg_temp.broken($$SELECT pg_temp.step('paid', 'contradiction', 'succeeded');
	UPDATE refundx.instruction SET person_reason = 'x', person_since = now() WHERE instruction_no = 'paid';
	UPDATE refundx.payment SET hold = 'x' WHERE payment_no = 'P2'; UPDATE refundx.account SET hold = 'x' WHERE account_no = 'A'$$), '{}',
	'I24 is content with a hold and a person');
SELECT is(pg_temp.broken($$SELECT pg_temp.step('spread', 'claimed', 'sending'), pg_temp.step('spread', 'moved', 'succeeded'), pg_temp.post('spread', 'pay_out', 0, -45),
	pg_temp.step('spread', 'contradiction', 'succeeded');
	UPDATE refundx.instruction SET person_reason = 'x', person_since = now() WHERE instruction_no = 'spread';
	UPDATE refundx.payment SET hold = 'x', refunding = 0, refunded = 45 WHERE payment_no = 'PS'; UPDATE refundx.account SET hold = 'x' WHERE account_no = 'S'$$), '{}',
	'I24 looks for the hold of a slot at its account');
SELECT pg_temp.finds('I19', 'a refund from a slot of another account', $$UPDATE refundx.account SET slot_of = 1, slot = slot + 10
	WHERE account_id = (SELECT account_id FROM refundx.instruction WHERE instruction_no = 'spread') AND slot > 0;
	UPDATE refundx.payment SET account_id = 2 WHERE payment_no = 'PS'$$);
SELECT pg_temp.finds('orphans', 'a slot without its account', $$UPDATE refundx.account SET slot_of = 4711 WHERE slot = 1$$);
SELECT pg_temp.finds('orphans', 'a slot that is missing', $$DELETE FROM refundx.account WHERE slot = 2$$);
SELECT pg_temp.finds('orphans', 'a slot that is open alone', $$UPDATE refundx.account SET closed = 'x' WHERE account_no = 'S'$$);
SELECT pg_temp.finds('orphans', 'a payment of a slot', $$UPDATE refundx.payment SET account_id = (SELECT account_id FROM refundx.account WHERE slot = 1) WHERE payment_no = 'P1'$$);
SELECT pg_temp.finds('orphans', 'a refund without its payment', $$UPDATE refundx.instruction SET payment_id = 4711 WHERE instruction_no = 'open'$$);
SELECT pg_temp.finds('I15', 'an event of nobody''s', $$UPDATE refundx.event SET instruction_id = 4711 WHERE instruction_id = pg_temp.id('open')$$);

-- What was said, sent and told.
SELECT pg_temp.finds('I12', 'evidence that was applied twice', $$DROP INDEX refundx.event_evidence; SELECT pg_temp.weighed('paid'), pg_temp.weighed('paid')$$);
SELECT pg_temp.finds('I12', 'a callback that is kept twice', $$ALTER TABLE refundx.evidence DROP CONSTRAINT evidence_channel_id_digest_key;
	INSERT INTO refundx.evidence (channel_id, merchant_id, source, digest, verdict, proof, wire_no)
	SELECT channel_id, merchant_id, source, digest, verdict, proof, wire_no FROM refundx.evidence WHERE wire_no = 'paid' LIMIT 1$$);
SELECT pg_temp.finds('I12', 'evidence of another number', $$UPDATE refundx.evidence SET wire_no = 'plain' WHERE evidence_id = (SELECT max(evidence_id) FROM refundx.event)$$);
SELECT pg_temp.finds('I13', 'evidence of which nobody says what came of it', $$DELETE FROM refundx.event WHERE evidence_id IS NOT NULL; UPDATE refundx.watermark SET weighed_to = 1000000$$);
SELECT ok(NOT 'I13' = ANY (pg_temp.broken($$DELETE FROM refundx.event WHERE evidence_id IS NOT NULL; UPDATE refundx.watermark SET weighed_to = 0$$)),
	'I13 leaves alone what is still to be weighed');
SELECT pg_temp.finds('I13', 'two that have won', $$INSERT INTO refundx.event (instruction_id, type, from_state, to_state) VALUES
	(pg_temp.id('paid'), 'moved', 'succeeded', 'unknown'), (pg_temp.id('paid'), 'moved', 'unknown', 'succeeded')$$);
SELECT pg_temp.finds('I14', 'an answer to nobody''s call', $$DELETE FROM refundx.attempt WHERE wire_no = 'paid'$$);
SELECT pg_temp.finds('I14', 'an answer to another number''s', $$UPDATE refundx.attempt SET wire_no = 'plain' WHERE wire_no = 'paid'$$);
SELECT pg_temp.finds('I14', 'an answer before the call', $$UPDATE refundx.attempt SET started_at = started_at + interval '1 hour' WHERE wire_no = 'paid'$$);
SELECT pg_temp.finds('I14', 'calls without an attempt', $$UPDATE refundx.instruction SET attempts = 1 WHERE instruction_no = 'plain'$$);
SELECT pg_temp.finds('I15', 'a refund without its first event', $$DELETE FROM refundx.event WHERE instruction_id = pg_temp.id('open') AND from_state IS NULL$$);
SELECT pg_temp.finds('I15', 'one that begins twice', $$INSERT INTO refundx.event (instruction_id, type, to_state) VALUES (pg_temp.id('open'), 'submitted', 'queued')$$);
SELECT pg_temp.finds('I15', 'one for which nothing was frozen', $$DELETE FROM refundx.journal WHERE instruction_id = pg_temp.id('open')$$);
SELECT pg_temp.finds('I15', 'an attempt of a refund that is not there', $$DELETE FROM refundx.instruction WHERE instruction_no = 'plain'; UPDATE refundx.attempt SET instruction_id = 4711 WHERE wire_no = 'paid'$$);
SELECT pg_temp.finds('I21', 'what was sent after a restore, unasked', $$SELECT pg_temp.lost('plain'), pg_temp.step('plain', 'moved', 'queued'), pg_temp.step('plain', 'claimed', 'sending')$$);
SELECT pg_temp.finds('I21', 'a query that was under way before', $$SELECT pg_temp.lost('plain'), pg_temp.asked('plain', '-1 hour'), pg_temp.step('plain', 'claimed', 'sending')$$);
SELECT pg_temp.finds('I21', 'asked the first time, and not the second', $$SELECT pg_temp.lost('plain'), pg_temp.asked('plain', '1 s'), pg_temp.step('plain', 'claimed', 'sending'),
	pg_temp.lost('plain'), pg_temp.step('plain', 'moved', 'queued'), pg_temp.step('plain', 'claimed', 'sending')$$);
SELECT ok(NOT 'I21' = ANY (pg_temp.broken($$SELECT pg_temp.lost('plain'), pg_temp.asked('plain', '1 s'), pg_temp.step('plain', 'claimed', 'sending')$$)),
	'I21 is content with an answer');
SELECT pg_temp.finds('I21', 'what is new and was sent unasked while a recovery was under way', $$SELECT pg_temp.recovering(), pg_temp.step('plain', 'claimed', 'sending')$$);
SELECT ok(NOT 'I21' = ANY (pg_temp.broken($$SELECT pg_temp.recovering(), pg_temp.step('plain', 'claimed', 'sending');
	INSERT INTO refundx.recovery_asked (recovery_id, instruction_id, asked_at, event_seq, from_state, submitted_since) VALUES (1, pg_temp.id('plain'), now(), 1, 'queued', true)$$, 'I21')),
	'but not what was asked about');
SELECT ok(NOT 'I21' = ANY (pg_temp.broken($$SELECT pg_temp.recovering(); INSERT INTO refundx.recovery_merchant VALUES (1, 1, now(), (SELECT last_value FROM refundx.event_seq_seq));
	SELECT pg_temp.step('plain', 'claimed', 'sending')$$, 'I21')), 'nor what was sent when the bills were in');
SELECT pg_temp.finds('I25', 'a telephone number in an event', $$UPDATE refundx.event SET note = 'call 13800138000, please' WHERE instruction_id = pg_temp.id('open')$$);
SELECT pg_temp.finds('I25', 'one with its country', $$INSERT INTO refundx.audit (action, reason) VALUES ('x', 'of +447700900123')$$);
SELECT pg_temp.finds('I25', 'a card in what a channel said', $$UPDATE refundx.evidence SET message = 'card 6225881234567890 is dead' WHERE wire_no = 'paid';
	UPDATE refundx.evidence SET message = 'card 4111111111111111 is dead' WHERE wire_no = 'paid'$$);
SELECT pg_temp.finds('I25', 'a key in a configuration', $$UPDATE refundx.channel SET config = config || '{"x": "sk_live_4eC39HqLyjWDarjtT1zdp7dc"}'$$);
SELECT pg_temp.finds('I25', 'a telephone number in an incident', $$INSERT INTO refundx.incident (kind, reason, done) VALUES ('x', 'no such number: 8613800138000', 'x')$$);
SELECT pg_temp.finds('I25', 'one in the outbox', $$INSERT INTO refundx.outbox (id, aggregatetype, aggregateid, type, payload, at) VALUES (gen_random_uuid(), 'refund', 'open', 'refund.queued', '{"to": "13800138000"}', now())$$);
SELECT pg_temp.finds('I25', 'a payee with a face', $$UPDATE refundx.payout SET payee_masked = 'openid oAAA'$$);
SELECT is(pg_temp.broken($$UPDATE refundx.event SET note = 'after R13800138000, 4111111111111112 and 13800138000-1 at 2026-11-27 10:00:00.123456+08'; INSERT INTO refundx.audit (action, reason) VALUES ('x', 'order 13800138000');
	INSERT INTO refundx.payment (channel_id, payment_no, paid, currency, recorded_by) VALUES (1, '13800138000', 1, 'CNY', 'x')$$), '{}', 'I25 knows the numbers of orders, and what is no card');
SELECT pg_temp.finds('outbox', 'a transition that nobody was told of', $$UPDATE refundx.relay SET seen = '1000000000:1000000000:'$$);
SELECT pg_temp.finds('outbox', 'a row of what never happened', $$INSERT INTO refundx.outbox (id, aggregatetype, aggregateid, type, payload, at)
	VALUES (gen_random_uuid(), 'refund', 'open', 'refund.failed', '{"to": "failed", "sequence": 1}', now())$$);

-- Some of them alone.
SELECT is((SELECT array_agg(DISTINCT invariant) FROM refundx.check('I2', 'outbox')), NULL, 'some can be asked alone');
SELECT throws_ok($$SELECT * FROM refundx.check('I2', 'I99')$$, '22023', 'there is no invariant "I99"', 'not one that there is not');
SELECT is_empty($$SELECT invariant FROM refundx.invariants WHERE view_name IS NULL OR cost IS NULL OR pauses IS NULL$$, 'each has its view');
SELECT is((SELECT array_agg(invariant ORDER BY substr(invariant, 2)::int) FROM refundx.invariants WHERE invariant ~ '^I[0-9]'),
	(SELECT array_agg('I' || n ORDER BY n) FROM generate_series(1, 25) n), 'none of the twenty-five is missing');

-- The channel's books: a bill that was reconciled, with what was paid as it is here.
INSERT INTO refundx.bill (bill_id, channel_id, merchant_id, kind, day, state, hash, lines, loaded_at, reconciled_at)
VALUES (1, 1, 1, 'trade', current_date - 1, 'loaded', 'sha256:00', 1, now(), now());
CREATE FUNCTION pg_temp.bill(no text, paid bigint) RETURNS void LANGUAGE sql AS $$
	INSERT INTO refundx.bill_line (bill_id, line_no, about, movement, wire_no, amount, currency) VALUES (1, 1, 'refund', 'paid', no, paid, 'CNY')
$$;
CREATE FUNCTION pg_temp.break_of(no text, class text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO refundx.break (merchant_id, channel_id, day, class, about, wire_no, currency, reason, suggestion, opened_at, seen_at, run_id)
	VALUES (1, 1, current_date - 1, class, 'refund', no, 'CNY', 'x', 'x', now(), now(), 1)
$$;
SELECT is(pg_temp.broken($$SELECT pg_temp.bill('paid', 200), pg_temp.bill('open', 100)$$, 'I7', 'I22'), '{}', 'a bill that agrees breaks nothing');
SELECT pg_temp.finds('I7', 'what was paid twice', $$SELECT pg_temp.bill('paid', 200), pg_temp.bill('paid', 200)$$);
SELECT pg_temp.finds('I7', 'what was paid, and has failed here', $$SELECT pg_temp.bill('failed', 300)$$);
SELECT is(pg_temp.broken($$SELECT pg_temp.bill('failed', 300); INSERT INTO refundx.bill_line (bill_id, line_no, about, movement, wire_no, amount, currency)
	VALUES (1, 2, 'refund', 'came_back', 'failed', 300, 'CNY')$$, 'I7'), '{}', 'what came back was not paid');
SELECT pg_temp.finds('I7', 'another amount', $$SELECT pg_temp.bill('paid', 201)$$);
SELECT pg_temp.finds('I7', 'what was paid and is not known here', $$SELECT pg_temp.bill('console', 1)$$);
SELECT is(pg_temp.broken($$SELECT pg_temp.bill('failed', 300), pg_temp.break_of('failed', 'state_differs'), pg_temp.bill('console', 1), pg_temp.break_of('console', 'missing_here')$$, 'I7', 'I22'), '{}',
	'what is a break is known');
SELECT pg_temp.finds('I22', 'a line in two classes', $$SELECT pg_temp.break_of('open', 'missing_at_channel'), pg_temp.break_of('open', 'amount_differs')$$);
SELECT pg_temp.finds('I22', 'one that waits and is a break', $$SELECT pg_temp.break_of('open', 'missing_at_channel');
	INSERT INTO refundx.other_day (merchant_id, about, wire_no, day, until, instruction_id, amount, currency, waits_for, since)
	VALUES (1, 'refund', 'open', current_date - 1, current_date, pg_temp.id('open'), 100, 'CNY', 'its line', now())$$);
SELECT pg_temp.finds('I22', 'evidence of a line that is not there', $$INSERT INTO refundx.bill_word (merchant_id, day, about, wire_no, movement, class, evidence_id, bill_id, line_no)
	VALUES (1, current_date - 1, 'refund', 'open', 'paid', 'settled_by_bill', 4711, 1, 1)$$);
SELECT pg_temp.finds('I22', 'one piece of evidence of two lines', $$INSERT INTO refundx.bill_word (merchant_id, day, about, wire_no, movement, class, evidence_id, bill_id, line_no)
	SELECT 1, current_date - 1, 'refund', no, 'paid', 'settled_by_bill', (SELECT max(evidence_id) FROM refundx.evidence), 1, 1 FROM unnest('{open,paid}'::text[]) no$$);

SELECT pg_temp.finds('approval', 'a withdrawal that was sent and not approved', $$UPDATE refundx.payout SET approval = 'it is new' WHERE instruction_id = pg_temp.id('fee_paid')$$);
SELECT pg_temp.finds('approval', 'one that was sent first, and approved later', $$UPDATE refundx.payout SET approval = 'it is new', approved_at = now() + interval '1 hour'
	WHERE instruction_id = pg_temp.id('fee_paid')$$);
SELECT pg_temp.finds('approval', 'one that is queued without', $$UPDATE refundx.payout SET approval = 'it is new' WHERE instruction_id = pg_temp.id('fee_open')$$);
SELECT is(pg_temp.broken($$UPDATE refundx.payout SET approval = 'it is new', approved_at = now() - interval '1 hour' WHERE instruction_id = pg_temp.id('fee_paid')$$), '{}',
	'approval is content with one');
SELECT pg_temp.finds('orphans', 'a withdrawal without its payout', $$DELETE FROM refundx.payout WHERE instruction_id = pg_temp.id('fee_paid')$$);
SELECT pg_temp.finds('orphans', 'a refund with a payout', $$INSERT INTO refundx.payout (instruction_id, account_id, asked, fee_back_on_failure, fee_back_on_return)
	SELECT instruction_id, account_id, amount, true, true FROM refundx.instruction WHERE instruction_no = 'paid'$$);
SELECT pg_temp.finds('I15', 'a payout of nobody''s', $$UPDATE refundx.payout SET instruction_id = 4711 WHERE instruction_id = pg_temp.id('fee_paid')$$);
SELECT pg_temp.finds('orphans', 'a payee who is missing', $$DELETE FROM refundx.payee$$);
SELECT is(pg_temp.broken($$UPDATE refundx.payout SET payee_id = NULL, payee_masked = NULL; DELETE FROM refundx.payee$$), '{}', 'but not one who was forgotten');
SELECT pg_temp.finds('I15', 'a telephone number of nobody''s', $$UPDATE refundx.payout_contact SET instruction_id = 4711$$);
SELECT pg_temp.finds('I15', 'a line of a limit of nobody''s', $$UPDATE refundx.cap_line SET instruction_id = 4711 WHERE n = 2$$);

-- A call of a handler that waits, for a settlement and for a notice.
INSERT INTO refundx.handler (about, transition, function_schema, function_name, mode, role, time_limit, lock_limit, retries, backoff)
VALUES ('refund', 'succeeded', 'shop', 'f', 'required', 'shop', '1 s', '1 s', 1, '1 s');
SELECT is(pg_temp.broken($$INSERT INTO refundx.handler_run (instruction_id, transition, handler_id, blocks, state) SELECT pg_temp.id('open'), 'succeeded', max(handler_id), false, 'due' FROM refundx.handler$$), '{}',
	'a call that is open is nothing wrong');
SELECT pg_temp.finds('handlers', 'a notice before its handler', $$INSERT INTO refundx.handler_run (instruction_id, transition, handler_id, blocks, state) SELECT pg_temp.id('paid'), 'succeeded', max(handler_id), false, 'due' FROM refundx.handler$$);
SELECT pg_temp.finds('handlers', 'a settlement that has not waited', $$INSERT INTO refundx.handler_run (instruction_id, transition, handler_id, evidence_id, blocks, state) SELECT x.instruction_id, 'accepted', h.handler_id, x.evidence_id, true, 'retrying' FROM refundx.event x, refundx.handler h WHERE x.evidence_id IS NOT NULL AND x.instruction_id IS NOT NULL LIMIT 1$$);
SELECT pg_temp.finds('handlers', 'a settlement that nobody makes', $$INSERT INTO refundx.handler_run (instruction_id, transition, handler_id, evidence_id, blocks, state) SELECT pg_temp.id('open'), 'succeeded', max(handler_id), 4711, true, 'retrying' FROM refundx.handler$$);
SELECT pg_temp.finds('handlers', 'what is settled, and still to be settled', $$INSERT INTO refundx.handed (evidence_id, instruction_id) SELECT x.evidence_id, x.instruction_id FROM refundx.event x WHERE x.evidence_id IS NOT NULL AND x.instruction_id IS NOT NULL LIMIT 1$$);
SELECT pg_temp.finds('handlers', 'evidence that is not there', $$INSERT INTO refundx.handed (evidence_id, instruction_id) VALUES (4711, pg_temp.id('open'))$$);
SELECT pg_temp.finds('handlers', 'a call of no handler', $$INSERT INTO refundx.handler_run (instruction_id, transition, handler_id, blocks, state) VALUES (pg_temp.id('open'), 'succeeded', 4711, false, 'due')$$);

SELECT is_empty('SELECT * FROM refundx.check()', 'and nothing of that is left');
SELECT * FROM finish();
ROLLBACK;
