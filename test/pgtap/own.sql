-- An application reads its own refunds, payments and accounts, and nobody else's.

BEGIN;
SELECT plan(14);

CREATE ROLE own_shop LOGIN IN ROLE refundx_app;
CREATE ROLE own_other LOGIN IN ROLE refundx_app;
CREATE ROLE own_auditor LOGIN IN ROLE refundx_auditor;

INSERT INTO refundx.merchant (kind, merchant_no) VALUES ('wechat', 'own');
INSERT INTO refundx.channel (name, kind, merchant_id, config)
	SELECT 'own', 'wechat', merchant_id, '{"mchid": "own"}' FROM refundx.merchant WHERE merchant_no = 'own';

SET SESSION AUTHORIZATION own_shop;
SELECT refundx.account_open('own-A', 'CNY'), refundx.account_credit('own-A', 1000, 'r') \g /dev/null
SELECT refundx.refund_submit('own', 'own-P', 'own-R', 100, payment_amount => 500, currency => 'CNY',
	account => 'own-A') \g /dev/null
SELECT is((SELECT count(*) FROM refundx.refunds)::int, 1, 'its refund');
SELECT is((SELECT count(*) FROM refundx.payments)::int, 1, 'its payment');
SELECT is((SELECT count(*) FROM refundx.accounts)::int, 1, 'its account');
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

-- Another application that refunds the same payment sees the payment, and its own part of it.
SELECT refundx.refund_submit('own', 'own-P', 'own-R2', 50) \g /dev/null
SELECT is((SELECT count(*) || ' payment, ' FROM refundx.payments) || (SELECT string_agg(refund_no, ',') FROM refundx.refunds),
	'1 payment, own-R2', 'what it has refunded itself, it sees');

SET SESSION AUTHORIZATION own_auditor;
SELECT is((SELECT count(*) FROM refundx.refunds WHERE refund_no LIKE 'own-%')::int, 2, 'an auditor sees all');
RESET SESSION AUTHORIZATION;

SELECT * FROM finish();
ROLLBACK;
