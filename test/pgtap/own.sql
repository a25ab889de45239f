-- An application reads its own refunds, withdrawals, payments and accounts, and nobody else's.

BEGIN;
SELECT plan(31);

CREATE ROLE own_shop LOGIN IN ROLE refundx_app;
CREATE ROLE own_other LOGIN IN ROLE refundx_app;
CREATE ROLE own_auditor LOGIN IN ROLE refundx_auditor;

INSERT INTO refundx.merchant (kind, merchant_no) VALUES ('wechat', 'own');
INSERT INTO refundx.channel (name, kind, merchant_id, config)
	SELECT 'own', 'wechat', merchant_id, '{"mchid": "own", "transfer": {"appid": "wx01", "remark": "pay"}}' FROM refundx.merchant WHERE merchant_no = 'own';

SET SESSION AUTHORIZATION own_shop;
SELECT refundx.account_open('own-A', 'CNY'), refundx.account_credit('own-A', 1000, 'r') \g /dev/null
SELECT refundx.refund_submit('own', 'own-P', 'own-R', 100, payment_amount => 500, currency => 'CNY',
	account => 'own-A') \g /dev/null
SELECT is((SELECT count(*) FROM refundx.refunds)::int, 1, 'its refund');
SELECT is((SELECT count(*) FROM refundx.payments)::int, 1, 'its payment');
SELECT is((SELECT count(*) FROM refundx.accounts)::int, 1, 'its account');
SELECT refundx.withdraw_submit('own-A', 'ownW1', 200, 'own', '{"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}', 'pay') \g /dev/null
SELECT is((SELECT string_agg(withdrawal_no || ' ' || payee, ',') FROM refundx.withdrawals), 'ownW1 openid oUpF****eS6o', 'its withdrawal, the payee masked');
SELECT is((refundx.withdraw_get('ownW1')).net, 200::bigint, 'its row');
SELECT is(refundx.withdraw_state('ownW1'), 'queued', 'the withdrawal''s state');
SELECT is(refundx.refund_state('own-R'), 'queued', 'its state');

SET SESSION AUTHORIZATION own_other;
SELECT is_empty('SELECT * FROM refundx.refunds', 'somebody else sees no refund');
SELECT is_empty('SELECT * FROM refundx.payments', 'no payment');
SELECT is_empty('SELECT * FROM refundx.accounts', 'no account');
SELECT is(refundx.refund_state('own-R'), NULL, 'no state');
SELECT is((refundx.refund_get('own-R')).refund_no, NULL, 'no row');
SELECT is_empty($$SELECT * FROM refundx.refund_timeline('own-R')$$, 'no history');
SELECT throws_ok($$SELECT refundx.refund_explain('own-R')$$, 'RX012', NULL, 'no sentence');
SELECT throws_ok($$SELECT refundx.refund_cancel('own-R')$$, 'RX012', NULL, 'and cannot cancel it');

SELECT is_empty('SELECT * FROM refundx.withdrawals', 'somebody else sees no withdrawal');
SELECT is(refundx.withdraw_state('ownW1'), NULL, 'not its state');
SELECT is((refundx.withdraw_get('ownW1')).withdrawal_no, NULL, 'not its row');
SELECT is_empty($$SELECT * FROM refundx.withdraw_timeline('ownW1')$$, 'not its history');
SELECT throws_ok($$SELECT refundx.withdraw_explain('ownW1')$$, 'RX012', NULL, 'not a sentence of it');
SELECT throws_ok($$SELECT refundx.withdraw_cancel('ownW1')$$, 'RX012', NULL, 'cannot cancel it');
SELECT throws_ok($$SELECT * FROM refundx.awaiting_approval$$, '42501', NULL, 'nor read what waits for people');
SELECT throws_ok($$SELECT refundx.approve('ownW1', 'why not')$$, '42501', NULL, 'nor decide');
SELECT throws_ok($$SET refundx.actor = 'alice'$$, '42501', NULL, 'nor say that it is somebody else');

-- Another application that refunds the same payment sees the payment, and its own part of it.
SELECT refundx.refund_submit('own', 'own-P', 'own-R2', 50) \g /dev/null
SELECT is((SELECT count(*) || ' payment, ' FROM refundx.payments) || (SELECT string_agg(refund_no, ',') FROM refundx.refunds),
	'1 payment, own-R2', 'what it has refunded itself, it sees');

SET SESSION AUTHORIZATION own_auditor;
SELECT is((SELECT count(*) FROM refundx.refunds WHERE refund_no LIKE 'own-%')::int, 2, 'an auditor sees all');
SELECT is((SELECT count(*) FROM refundx.withdrawals WHERE withdrawal_no = 'ownW1')::int, 1, 'withdrawals too');
RESET SESSION AUTHORIZATION;

-- What a payee has to be handed is for the login that submitted the withdrawal, and for nobody who only looks.
UPDATE refundx.instruction SET state = 'accepted', attempts = 1 WHERE instruction_no = 'ownW1';
INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, handover)
	SELECT channel_id, merchant_id, 'answer', 'withdrawal', '\x01', 'accepted', true, wire_no, 'the package'
	  FROM refundx.instruction WHERE instruction_no = 'ownW1';
SELECT is(refundx.withdraw_package('ownW1'), NULL, 'the owner gets no package');
SET SESSION AUTHORIZATION own_shop;
SELECT is(refundx.withdraw_package('ownW1'), 'the package', 'who submitted it does');
SET SESSION AUTHORIZATION own_other;
SELECT is(refundx.withdraw_package('ownW1'), NULL, 'another application does not');
SET SESSION AUTHORIZATION own_auditor;
SELECT throws_ok($$SELECT refundx.withdraw_package('ownW1')$$, '42501', NULL, 'an auditor may not even ask');
RESET SESSION AUTHORIZATION;

SELECT * FROM finish();
ROLLBACK;
