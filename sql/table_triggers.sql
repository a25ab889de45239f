-- What is written once is not rewritten, not even by the owner by accident.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('gd', 'wechat', pg_temp.wechat() || '{"transfer": {"appid": "wx0123456789abcdef", "scene_id": "1000", "remark": "pay",
	"report_infos": [{"info_type": "a", "info_content": "b"}]}}'), refundx.account_open('G-A', 'CNY'), refundx.account_credit('G-A', 5000, 'start'),
	   refundx.refund_submit('gd', 'G-P1', 'G-R1', 600, currency => 'CNY', payment_amount => 1000, account => 'G-A') \g /dev/null
SELECT refundx.withdraw_submit('G-A', 'GW1', 100, 'gd', '{"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}') \g /dev/null
\set ECHO all
SELECT pg_temp.fails('UPDATE refundx.journal SET available = 0');
SELECT pg_temp.fails('DELETE FROM refundx.event');
SELECT pg_temp.fails('TRUNCATE refundx.evidence');
SELECT t, (SELECT bool_or(f LIKE 'RX015%') FROM pg_temp.fails('TRUNCATE refundx.' || t || ' CASCADE') f)
  FROM unnest(ARRAY['journal', 'event', 'evidence', 'attempt', 'request', 'audit', 'account', 'payment', 'instruction',
					'external_refund', 'merchant', 'channel', 'payout']) t;
SELECT pg_temp.fails('DELETE FROM refundx.instruction');
SELECT pg_temp.fails('DELETE FROM refundx.payment');
-- What a withdrawal has stays; what of it is about a person is erased, and a day's limit forgets old days.
SELECT pg_temp.fails('DELETE FROM refundx.payout');
BEGIN;
UPDATE refundx.payout SET payee_id = NULL, payee_masked = NULL, data_key = NULL, payee_sealed = NULL, erased_at = now();
DELETE FROM refundx.payout_contact;
DELETE FROM refundx.payee;
DELETE FROM refundx.cap_line;
ROLLBACK;
-- Also for a session that calls itself a replica, as a restore does.
BEGIN;
SET session_replication_role = replica;
SELECT pg_temp.fails('UPDATE refundx.journal SET available = 0');
ROLLBACK;
-- Behind the functions stand the tables' constraints.
SELECT * FROM pg_temp.fails($$UPDATE refundx.payment SET refunding = 1001 WHERE payment_no = 'G-P1'$$) LIMIT 1;
SELECT * FROM pg_temp.fails($$UPDATE refundx.payment SET refunding = -1 WHERE payment_no = 'G-P1'$$) LIMIT 1;
SELECT * FROM pg_temp.fails($$INSERT INTO refundx.journal (account_id, version, type, reference, d_available, d_frozen, d_outside, available, frozen)
	SELECT account_id, 99, 'credit', 'x', 5, 0, 0, 5, 0 FROM refundx.account WHERE account_no = 'G-A'$$) LIMIT 1;
SELECT * FROM pg_temp.fails($$INSERT INTO refundx.journal (account_id, version, type, instruction_id, d_available, d_frozen, d_outside, available, frozen)
	SELECT account_id, 99, 'freeze', instruction_id, -600, 600, 0, 0, 0 FROM refundx.instruction WHERE instruction_no = 'G-R1'$$) LIMIT 1;
SELECT * FROM pg_temp.fails($$UPDATE refundx.instruction SET state = 'lost' WHERE instruction_no = 'G-R1'$$) LIMIT 1;
-- A row of another transaction's is a row of a dump: it is stamped with this one, and the database is disarmed.
BEGIN;
SET LOCAL client_min_messages = warning;
SELECT refundx.armed();
INSERT INTO refundx.event (xid, type) VALUES ('42', 'restored') RETURNING xid = pg_current_xact_id();
SELECT refundx.armed();
SAVEPOINT a;
INSERT INTO refundx.event (xid, type) VALUES ('42', 'restored');
ROLLBACK;
SELECT refundx.armed();
-- DROP EXTENSION would take the journal with it.
SELECT pg_temp.fails('DROP EXTENSION refundx CASCADE');
