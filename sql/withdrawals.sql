-- Withdrawals: submitting, canceling, approving; and everything that is refused.
-- (What becomes of them: test/t/57*.pl. Their transactions: sql/transactions.sql.)
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
CREATE FUNCTION pg_temp.transfer() RETURNS jsonb LANGUAGE sql AS $$
	SELECT '{"transfer": {"appid": "wx0123456789abcdef", "scene_id": "1005", "remark": "佣金",
			 "report_infos": [{"info_type": "岗位类型", "info_content": "外卖员"}, {"info_type": "报酬说明", "info_content": "7月"}]}}'::jsonb
$$;
CREATE FUNCTION pg_temp.alipay_certificates() RETURNS jsonb LANGUAGE sql AS $$
	SELECT pg_temp.alipay() - 'alipay_public_key' || '{"app_id": "2021000000000077", "app_certificate": "app.crt",
		"alipay_certificates": "alipay.crt", "root_certificate": "root.crt"}'::jsonb
$$;
SELECT refundx.channel_add('wd', 'wechat', pg_temp.wechat() || pg_temp.transfer()), refundx.channel_add('wd_bare', 'wechat', pg_temp.wechat()),
	   refundx.channel_add('wd_ali', 'alipay', pg_temp.alipay_certificates() || '{"transfer": {}}'),
	   refundx.channel_add('wd_ali_bare', 'alipay', pg_temp.alipay_certificates()), refundx.channel_add('wd_st', 'stripe', pg_temp.stripe()),
	   refundx.account_open('W-A', 'CNY'), refundx.account_credit('W-A', 1000000, 'start'), refundx.account_open('W-B', 'CNY'),
	   refundx.account_open('W-USD', 'USD'), refundx.account_credit('W-USD', 1000000, 'start'),
	   refundx.account_open('W-C', 'CNY'), refundx.account_close('W-C', 'test') \g /dev/null
\set openid '{"openid": "oWdF8uMuAJO_M2pxb1Q9zNjWeS6o"}'
\set other '{"openid": "oWdF8uMuAJO_M2pxb1Q9zNjWeXXX"}'
-- Every row that a withdrawal could leave behind.
CREATE TEMP TABLE known AS SELECT payee_id FROM refundx.payee;
CREATE TEMP VIEW trace AS
	SELECT count(*) FILTER (WHERE i.instruction_id IS NOT NULL) AS withdrawals, count(*) AS payouts,
		   (SELECT count(*) FROM refundx.payee WHERE payee_id NOT IN (SELECT payee_id FROM known)) AS payees, count(c.instruction_id) AS contacts,
		   (SELECT count(*) FROM refundx.cap_line l JOIN refundx.account a USING (account_id) WHERE account_no LIKE 'W-%') AS cap_lines,
		   (SELECT count(*) FROM refundx.events WHERE withdrawal_no LIKE 'W%') AS events,
		   (SELECT sum(version) FROM refundx.accounts WHERE account LIKE 'W-%') AS lines, (SELECT sum(frozen) FROM refundx.accounts WHERE account LIKE 'W-%') AS frozen
	  FROM refundx.account a
	  JOIN refundx.payout o USING (account_id)
	  LEFT JOIN refundx.instruction i USING (instruction_id)
	  LEFT JOIN refundx.payout_contact c USING (instruction_id)
	 WHERE a.account_no LIKE 'W-%';
CREATE FUNCTION pg_temp.refused(words text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT pg_temp.fails(format('SELECT refundx.withdraw_submit(%s)', words))
$$;
-- Times of day are not the same in two runs.
CREATE FUNCTION pg_temp.explain(no text) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace(refundx.withdraw_explain(no), '\d{4}-\d\d-\d\d \d\d:\d\d|\d\d:\d\d', 'HH:MM', 'g')
$$;
CREATE TEMP TABLE said (line text);
CREATE FUNCTION pg_temp.payee_refused(channel text, payee text, amount bigint DEFAULT 5000) RETURNS SETOF text LANGUAGE sql AS $$
	INSERT INTO said SELECT pg_temp.refused(format('%L, %L, %s, %L, %L', 'W-A', 'WX', amount, channel, payee)) RETURNING line
$$;
\set ECHO all
SELECT * FROM trace;
-- ---- a payee that the channel could never accept is found here, before anything is frozen ----
SELECT p, pg_temp.payee_refused('wd', p) FROM unnest(ARRAY[NULL, '{}', '[]', '"oWdF8uMuAJO_M2pxb1Q9zNjWeS6o"', 'null', '7',
	'{"openid": "oWdF8uMuAJO_M2p"}', '{"openid": "alice"}', '{"openid": 5}', '{"openid": "oWdF8uMuAJO_M2pxb1Q9zNjWeS6o "}',
	'{"openid": "oWdF8uMuAJO_M2pxb1Q9zNjWeS6o", "phone": "13800138000"}', '{"openid": "oWdF8uMuAJO_M2pxb1Q9zNjWeS6o", "name": ""}',
	'{"openid": "oWdF8uMuAJO_M2pxb1Q9zNjWeS6o", "name": 5}', '{"openid": "oWdF8uMuAJO_M2pxb1Q9zNjWeS6o", "appid": "not an appid"}']) p;
-- from 2000.00 on WeChat wants the name; below 0.30 it takes none
SELECT pg_temp.payee_refused('wd', :'openid', 200000);
SELECT pg_temp.payee_refused('wd', '{"openid": "oWdF8uMuAJO_M2pxb1Q9zNjWeS6o", "name": "张三"}', 29);
SELECT pg_temp.payee_refused('wd_bare', :'openid');
-- at Alipay: exactly one of four, each with its own form, and a name where one is compared
SELECT p, pg_temp.payee_refused('wd_ali', p) FROM unnest(ARRAY['{}', '{"name": "张三"}', '{"user_id": "2088123412341234", "logon_id": "alice@example.com"}',
	'{"user_id": "1088123412341234"}', '{"user_id": 2088123412341234}', '{"user_id": "20881234"}',
	'{"logon_id": "alice@example.com"}', '{"logon_id": "alice", "name": "Alice"}', '{"logon_id": "138001380001", "name": "张三"}', '{"open_id": ""}',
	'{"card_no": "6222020200012345670"}', '{"card_no": "6222020200012345671", "name": "张三"}', '{"card_no": "6222 0202 0001 2345 670", "name": "张三"}',
	'{"card_no": "62220202", "name": "张三"}', '{"card_no": "6222020200012345670", "name": "张三", "account_type": "other"}',
	'{"card_no": "6222020200012345670", "name": "张三", "account_type": "corporate"}', '{"card_no": "6222020200012345670", "name": "张三", "iban": "DE89"}',
	'{"user_id": "2088123412341234", "bank_code": "102"}']) p;
-- the messages name the member, and hold nothing of what stood in it
SELECT count(*) > 50 AS many, count(*) FILTER (WHERE line ~ '6222|2088123|oWdF|alice|Alice|张|13800|DE89|1088') AS telling FROM said;
-- ---- amounts, texts, accounts, channels ----
SELECT w, pg_temp.refused(replace(w, 'PAYEE', quote_literal(:'openid'))) FROM unnest(ARRAY[
	$$'W-A', 'WX', 0, 'wd', PAYEE$$, $$'W-A', 'WX', -1, 'wd', PAYEE$$, $$'W-A', 'WX', NULL, 'wd', PAYEE$$,
	$$'W-A', 'WX', 9, 'wd', PAYEE$$, $$'W-A', 'WX', 1000001, 'wd', '{"openid": "oWdF8uMuAJO_M2pxb1Q9zNjWeS6o", "name": "X"}'$$,
	$$'W-A', 'WX', 10000000001, 'wd_ali', '{"user_id": "2088123412341234"}', 'a reason'$$, $$'W-A', 'WX', 5000000, 'wd_ali', '{"user_id": "2088123412341234"}'$$,
	$$'W-B', 'WX', 100, 'wd', PAYEE$$, $$NULL, 'WX', 100, 'wd', PAYEE$$, $$'', 'WX', 100, 'wd', PAYEE$$, $$'nobody', 'WX', 100, 'wd', PAYEE$$,
	$$'W-USD', 'WX', 100, 'wd', PAYEE$$, $$'W-C', 'WX', 100, 'wd', PAYEE$$,
	$$'W-A', NULL, 100, 'wd', PAYEE$$, $$'W-A', '', 100, 'wd', PAYEE$$, $$'W-A', 'W-X', 100, 'wd', PAYEE$$, $$'W-A', repeat('X', 33), 100, 'wd', PAYEE$$,
	$$'W-A', repeat('X', 65), 100, 'wd', PAYEE$$, $$'W-A', 'WX', 100, NULL, PAYEE$$, $$'W-A', 'WX', 100, 'nobody', PAYEE$$,
	$$'W-A', 'WX', 100, 'wd_st', PAYEE$$, $$'W-A', 'WX', 100, 'wd_ali_bare', '{"user_id": "2088123412341234"}'$$,
	$$'W-A', 'WX', 100, 'wd', PAYEE, repeat('长', 33)$$, $$'W-A', 'WX', 100, 'wd', PAYEE, contact => '138-0013-8000'$$, $$'W-A', 'WX', 100, 'wd', PAYEE, language => ''$$,
	$$'W-A', 'WX', 100, 'wd', PAYEE, channel_data => '[]'$$, $$'W-A', 'WX', 100, 'wd', PAYEE, channel_data => '{"colour": "red"}'$$,
	$$'W-A', 'WX', 100, 'wd', PAYEE, channel_data => '{"scene_id": "1000"}'$$, $$'W-A', 'WX', 20001, 'wd', PAYEE, channel_data => '{"recv_style": "RED_PACKET"}'$$]) w;
BEGIN;
SELECT refundx.channel_set('wd', closed => true);
SELECT pg_temp.refused(format($$'W-A', 'WX', 100, 'wd', %L$$, :'openid'));
ROLLBACK;
BEGIN;
UPDATE refundx.account SET hold = 'a contradiction' WHERE account_no = 'W-A';
SELECT pg_temp.refused(format($$'W-A', 'WX', 100, 'wd', %L$$, :'openid'));
ROLLBACK;
-- of all that not one row is left
SELECT * FROM trace;
-- ---- one ----
SELECT withdrawal_no, account, channel, amount, fee, net, currency, payee, reason, state, detail, attempts, cancel_requested_at, approval, with_person, due_at IS NOT NULL AS due
  FROM refundx.withdraw_submit('W-A', 'W1', 5000, 'wd', :'openid', 'July', contact => '13800138000');
SELECT * FROM trace;
SELECT available, frozen FROM refundx.accounts WHERE account = 'W-A';
SELECT type, d_available, d_frozen, refund_no, withdrawal_no FROM refundx.journal_lines WHERE withdrawal_no = 'W1';
SELECT withdrawal_no, amount, fee, net, net_text, payee, state, is_open, due_call, actor, erased_at FROM refundx.withdrawals WHERE withdrawal_no = 'W1';
SELECT refundx.withdraw_state('W1'), refundx.withdraw_state('nobody'), refundx.refund_state('W1'), refundx.withdraw_package('W1');
SELECT (refundx.withdraw_get('W1')).payee, (refundx.withdraw_get('nobody')).payee, (refundx.refund_get('W1')).amount;
SELECT what, from_state, to_state, by = session_user AS mine, note FROM refundx.withdraw_timeline('W1');
SELECT count(*) FROM refundx.refund_timeline('W1');
SELECT pg_temp.explain('W1');
SELECT f FROM unnest(ARRAY[$$withdraw_explain('nobody')$$, $$withdraw_explain(NULL)$$, $$refund_explain('W1')$$, $$withdraw_cancel('nobody')$$,
	$$withdraw_cancel(NULL)$$, $$refund_cancel('W1')$$]) c, pg_temp.fails('SELECT refundx.' || c) f;
CALL refundx.withdraw_wait('W1', '50 ms');
CALL refundx.withdraw_wait('nobody', '50 ms');
CALL refundx.withdraw_wait(NULL);
BEGIN;
CALL refundx.withdraw_wait('W1', '50 ms');
ROLLBACK;
-- whom it pays stands nowhere in clear
SELECT count(*) FROM refundx.payout WHERE payout::text ~ 'oWdF8uMuAJO_M2pxb1Q9zNjWeS6o' OR position('oWdF8u'::bytea IN payee_sealed) > 0;
SELECT count(*) FROM refundx.payee WHERE payee::text ~ 'oWdF';
-- ---- the same again is the same; anything else is another number's ----
SELECT withdrawal_no, amount, state FROM refundx.withdraw_submit('W-A', 'W1', 5000, 'wd', :'openid', 'July', contact => '13900139000');
SELECT withdrawal_no FROM refundx.withdraw_submit('W-A', 'W1', 5000, 'wd', '{ "openid" : "oWdF8uMuAJO_M2pxb1Q9zNjWeS6o" }', 'July');
SELECT w, pg_temp.refused(replace(replace(w, 'PAYEE', quote_literal(:'openid')), 'OTHER', quote_literal(:'other'))) FROM unnest(ARRAY[
	$$'W-A', 'W1', 5001, 'wd', PAYEE, 'July'$$, $$'W-A', 'W1', 5000, 'wd', OTHER, 'July'$$, $$'W-A', 'W1', 5000, 'wd', '{}', 'July'$$,
	$$'W-B', 'W1', 5000, 'wd', PAYEE, 'July'$$, $$'nobody', 'W1', 5000, 'wd', PAYEE, 'July'$$, $$'W-A', 'W1', 5000, 'wd_bare', PAYEE, 'July'$$,
	$$'W-A', 'W1', 5000, 'wd', PAYEE, 'August'$$, $$'W-A', 'W1', 5000, 'wd', PAYEE$$, $$'W-A', 'W1', 5000, 'wd', PAYEE, 'July', channel_data => '{}'$$]) w;
-- one number for refunds and withdrawals together
SELECT state FROM refundx.refund_submit('wd', 'W-P1', 'WR1', 100, currency => 'CNY', payment_amount => 1000);
SELECT pg_temp.refused(format($$'W-A', 'WR1', 100, 'wd', %L$$, :'openid'));
SELECT pg_temp.fails($$SELECT refundx.refund_submit('wd', 'W-P1', 'W1', 100)$$);
-- without the key that sealed it nobody can say whether it is the same
BEGIN;
UPDATE refundx.payout SET key_print = '0123456789abcdef' WHERE payee_masked LIKE '%S6o';
SELECT pg_temp.refused(format($$'W-A', 'W1', 5000, 'wd', %L, 'July'$$, :'openid'));
ROLLBACK;
SELECT * FROM trace;
-- ---- cancel: what was never attempted ends at once, again is a no-op ----
SELECT withdrawal_no, state, detail, due_at FROM refundx.withdraw_cancel('W1', 'a mistake');
SELECT withdrawal_no, state, detail FROM refundx.withdraw_cancel('W1', 'again');
SELECT available, frozen FROM refundx.accounts WHERE account = 'W-A';
SELECT string_agg(type, ' ' ORDER BY version) FROM refundx.journal_lines WHERE withdrawal_no = 'W1';
SELECT state FROM refundx.withdraw_submit('W-A', 'W1', 5000, 'wd', :'openid', 'July');
-- What was attempted keeps its state and its money, and the channel is asked; Alipay takes nothing back.
SELECT state FROM refundx.withdraw_submit('W-A', 'W2', 300, 'wd', :'openid');
SELECT payee, state FROM refundx.withdraw_submit('W-A', 'W3', 400, 'wd_ali', '{"card_no": "6222020200012345670", "name": "张三"}');
CREATE FUNCTION pg_temp.as_if(no text, now_is text, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	r text[];
BEGIN
	UPDATE refundx.instruction SET state = now_is, is_open = refundx.state_is_open(now_is), attempts = 1 WHERE instruction_no = no;
	r := ARRAY(SELECT regexp_replace(f, 'since [^,]*,', 'since ...,') FROM pg_temp.fails(what) f);
	r := r || (SELECT format('%s %s, due call %s, %s frozen', i.state, CASE WHEN cancel_requested_at IS NULL THEN 'not asked back' ELSE 'asked back' END,
			i.due_call, (SELECT frozen FROM refundx.accounts WHERE account = 'W-A')) FROM refundx.instruction i WHERE instruction_no = no);
	RAISE EXCEPTION USING ERRCODE = 'XX999', MESSAGE = array_to_json(r)::text;
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN QUERY SELECT json_array_elements_text(SQLERRM::json);
END
$$;
SELECT s, pg_temp.as_if('W2', s, $$SELECT refundx.withdraw_cancel('W2', 'too late?')$$)
  FROM unnest(ARRAY['queued', 'sending', 'unknown', 'accepted', 'abnormal', 'succeeded', 'failed', 'returned', 'canceled']) s;
SELECT s, pg_temp.as_if('W3', s, $$SELECT refundx.withdraw_cancel('W3')$$) FROM unnest(ARRAY['queued', 'accepted', 'succeeded']) s;
BEGIN;
UPDATE refundx.instruction SET state = 'accepted', attempts = 1 WHERE instruction_no = 'W2';
SELECT cancel_requested_at IS NOT NULL AS asked FROM refundx.withdraw_cancel('W2', 'one');
SELECT cancel_requested_at IS NOT NULL AS asked FROM refundx.withdraw_cancel('W2', 'two');
SELECT what, note FROM refundx.withdraw_timeline('W2') WHERE what = 'cancel_requested';
ROLLBACK;
-- ---- rules: limits and fees ----
SELECT f FROM unnest(ARRAY[$$'nobody', '{}'$$, $$NULL, '{}'$$, $$'wd', '{}', 'nobody'$$, $$'wd', '[]'$$, $$'wd', '{"colour": 1}'$$, $$'wd', '{"minimum": 0}'$$,
	$$'wd', '{"minimum": "x"}'$$, $$'wd', '{"minimum": 5, "maximum": 4}'$$, $$'wd', '{"fee_percent": 100.5}'$$, $$'wd', '{"fee_percent": -1}'$$,
	$$'wd', '{"fee_percent": 0.00001}'$$, $$'wd', '{"fee_percent": "a lot"}'$$, $$'wd', '{"fee_fixed": -1}'$$, $$'wd', '{"fee_cap": 1.5}'$$,
	$$'wd', '{"day_zone": "Mars/Olympus"}'$$, $$'wd', '{"approve_above": -1}'$$, $$'wd', '{"fee_on_top": "perhaps"}'$$]) c,
	   pg_temp.fails('SELECT refundx.withdraw_policy_set(' || c || ')') f;
SELECT count(*) FROM refundx.withdraw_policies;
SELECT refundx.withdraw_policy_set('wd', '{"minimum": 100, "maximum": 50000, "day_amount": 60000, "day_count": 3, "day_zone": "Etc/GMT+12", "fee_percent": 0.6, "fee_fixed": 10, "fee_cap": 200}');
SELECT refundx.withdraw_policy_set('wd', '{"fee_on_top": true, "fee_fixed": null}', 'W-B');
SELECT * FROM refundx.withdraw_policies ORDER BY account NULLS FIRST;
SELECT refundx.account_credit('W-B', 10000, 'start');
SELECT withdrawal_no, amount, fee, net FROM refundx.withdraw_submit('W-A', 'W4', 1250, 'wd', :'openid');
SELECT withdrawal_no, amount, fee, net FROM refundx.withdraw_submit('W-A', 'W5', 50000, 'wd', :'openid');
SELECT withdrawal_no, amount, fee, net FROM refundx.withdraw_submit('W-B', 'W6', 1000, 'wd', :'openid');
SELECT refundx.withdraw_policy_set('wd', '{"fee_percent": 0.25}', 'W-B');
SELECT withdrawal_no, amount, fee, net FROM refundx.withdraw_submit('W-B', 'W7', 1000, 'wd', :'openid');
SELECT frozen FROM refundx.accounts WHERE account = 'W-B';
-- the account pays both, or nothing
SELECT pg_temp.refused(format($$'W-B', 'WX', 7995, 'wd', %L$$, :'openid'));
SELECT w, pg_temp.refused(format('''W-A'', ''WX'', %s, ''wd'', %L', w, :'openid')) FROM unnest(ARRAY['99', '50001', '8751']) w;
SELECT withdrawal_no FROM refundx.withdraw_submit('W-A', 'W8', 8750, 'wd', :'openid');
SELECT pg_temp.refused(format($$'W-A', 'WX', 100, 'wd', %L$$, :'openid'));
-- what was canceled counts no more; another day is another day, such as that of a zone 26 hours off
SELECT state FROM refundx.withdraw_cancel('W5');
SELECT n, withdrawals, l.amount FROM refundx.cap_line l JOIN refundx.account a USING (account_id) WHERE account_no = 'W-A' ORDER BY n;
SELECT state FROM refundx.withdraw_submit('W-A', 'W9', 100, 'wd', :'openid');
BEGIN;
SELECT refundx.withdraw_policy_set('wd', '{"day_zone": "Pacific/Kiritimati"}');
SELECT state FROM refundx.withdraw_submit('W-A', 'W10', 50000, 'wd', :'openid');
ROLLBACK;
-- a fee may not be all of it
SELECT refundx.withdraw_policy_set('wd', '{"minimum": null, "day_amount": null, "day_count": null, "fee_fixed": 100, "fee_cap": null}');
SELECT pg_temp.refused(format($$'W-A', 'WX', 100, 'wd', %L$$, :'openid'));
-- what is left of it, the channel has to take
SELECT pg_temp.refused(format($$'W-A', 'WX', 105, 'wd', %L$$, :'openid'));
SELECT refundx.withdraw_policy_set('wd', NULL, 'W-B'), refundx.withdraw_policy_set('wd', NULL);
SELECT count(*) FROM refundx.withdraw_policies;
SELECT action, subject, reason, actor, detail FROM refundx.audit_log WHERE action = 'withdraw_policy_set' AND subject LIKE 'wd%' ORDER BY audit_id;
-- ---- a second person ----
SELECT refundx.withdraw_policy_set('wd', '{"approve_above": 10000}');
SELECT state, approval, due_at FROM refundx.withdraw_submit('W-A', 'W11', 10001, 'wd', :'openid', 'large');
SELECT state, approval FROM refundx.withdraw_submit('W-A', 'W12', 10000, 'wd', :'openid');
SELECT refundx.withdraw_policy_set('wd', '{"approve_above": null, "approve_new_payee": true}');
SELECT state, approval FROM refundx.withdraw_submit('W-A', 'W13', 100, 'wd', '{"openid": "oWdF8uMuAJO_M2pxb1Q9zNjWeNEW"}');
SELECT state, approval FROM refundx.withdraw_submit('W-A', 'W14', 100, 'wd', '{"openid": "oWdF8uMuAJO_M2pxb1Q9zNjWeNEW"}');
BEGIN;
UPDATE refundx.instruction SET state = 'succeeded', is_open = false WHERE instruction_no = 'W12';
SELECT state, approval FROM refundx.withdraw_submit('W-A', 'W15', 100, 'wd', :'openid');
ROLLBACK;
SELECT withdrawal_no, account, amount, payee, reason, approval, submitted_by_person = session_user AS mine FROM refundx.awaiting_approval ORDER BY withdrawal_no;
SELECT pg_temp.explain('W11');
CALL refundx.withdraw_wait('W11', '1 hour');
-- not one's own, not without a reason, not twice
CREATE FUNCTION pg_temp.nobody(line text) RETURNS text LANGUAGE sql AS $$ SELECT regexp_replace(replace(line, session_user, 'ME'), 'since [^,]*,', 'since ...,') $$;
SELECT pg_temp.nobody(f) FROM unnest(ARRAY[$$approve('W11', 'fine')$$, $$reject('W11', 'no')$$, $$approve('W11', '')$$, $$approve('W11', NULL)$$,
	$$approve('nobody', 'fine')$$, $$approve(NULL, 'fine')$$, $$approve('WR1', 'fine')$$, $$approve('W12', 'fine')$$, $$reject('W12', 'no')$$]) c, pg_temp.fails('SELECT refundx.' || c) f;
-- with refundx.actor, by a login that may: here the owner's
SET refundx.actor = 'alice';
SELECT refundx.actor();
SELECT state FROM refundx.withdraw_submit('W-A', 'W16', 100, 'wd', :'openid');
SELECT actor, submitted_by = session_user AS mine FROM refundx.withdrawals WHERE withdrawal_no = 'W16';
SELECT pg_temp.nobody(f) FROM pg_temp.fails($$SELECT refundx.approve('W16', 'my own')$$) f;
-- nobody has said who submitted W11, on this same login: it could have been alice
SELECT pg_temp.nobody(f) FROM pg_temp.fails($$SELECT refundx.approve('W11', 'seen the contract')$$) f;
RESET refundx.actor;
SELECT pg_temp.nobody(f) FROM pg_temp.fails($$SELECT refundx.reject('W16', 'I am whoever')$$) f;
SET refundx.actor = 'bob';
SELECT state FROM refundx.approve('W16', 'seen too');
RESET refundx.actor;
-- another login is another person
CREATE ROLE wd_pool LOGIN IN ROLE refundx_operator;
SET SESSION AUTHORIZATION wd_pool;
SELECT state, approval FROM refundx.approve('W11', 'seen the contract');
SELECT state, detail FROM refundx.reject('W13', 'nobody knows him');
RESET SESSION AUTHORIZATION;
-- who has submitted it may always take it back
SELECT state, detail FROM refundx.withdraw_cancel('W14', 'not needed');
SELECT action, subject, actor, reason FROM refundx.audit_log WHERE subject LIKE 'W1_' ORDER BY audit_id;
SELECT what, from_state, to_state, note FROM refundx.withdraw_timeline('W13');
SELECT what, by, note FROM refundx.withdraw_timeline('W16');
SELECT string_agg(type, ' ' ORDER BY version) FROM refundx.journal_lines WHERE withdrawal_no = 'W13';
SELECT pg_temp.fails($$SET refundx.actor = 'a name that is much longer than what anybody is called, even with all titles'$$);
SELECT refundx.withdraw_policy_set('wd', NULL);
-- that login may not say for whom it acts, also not when somebody else has said so for it
SET SESSION AUTHORIZATION wd_pool;
SELECT pg_temp.fails($$SET refundx.actor = 'carol'$$);
SELECT refundx.actor();
RESET SESSION AUTHORIZATION;
SET refundx.actor = 'carol';
SET SESSION AUTHORIZATION wd_pool;
SELECT pg_temp.nobody(f) FROM unnest(ARRAY['refundx.actor()', $$refundx.approve('W12', 'x')$$]) c, pg_temp.fails('SELECT ' || c) f;
SELECT pg_temp.refused(format($$'W-A', 'WX', 100, 'wd', %L$$, :'openid'));
RESET refundx.actor;
SELECT refundx.actor();
RESET SESSION AUTHORIZATION;
RESET refundx.actor;
GRANT refundx_delegate TO wd_pool;
SET SESSION AUTHORIZATION wd_pool;
SET refundx.actor = 'carol';
SELECT refundx.actor();
RESET SESSION AUTHORIZATION;
RESET refundx.actor;
DROP ROLE wd_pool;
-- ---- forgetting ----
SELECT f FROM unnest(ARRAY[$$'nobody', 'x'$$, $$NULL, 'x'$$, $$'W1', ''$$, $$'W1', NULL$$, $$'WR1', 'x'$$]) c, pg_temp.fails('SELECT refundx.forget_payee(' || c || ')') f;
SELECT payee IS NULL AS forgotten, erased_at IS NOT NULL AS erased, state = 'canceled' AS ended, count(*) FROM refundx.withdrawals WHERE channel = 'wd' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SET client_min_messages = notice;
\set VERBOSITY default
SELECT refundx.forget_payee('W1', 'asked by letter of 2 May');
SET client_min_messages = error;
SELECT payee IS NULL AS forgotten, erased_at IS NOT NULL AS erased, state = 'canceled' AS ended, count(*) FROM refundx.withdrawals WHERE channel = 'wd' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT count(*) FROM refundx.payout_contact t JOIN refundx.instruction i USING (instruction_id) WHERE instruction_no = 'W1';
SELECT refundx.forget_payee('W1', 'again');
-- the same call still finds it, whomever it names: nobody can compare any more
SELECT withdrawal_no, payee, state FROM refundx.withdraw_submit('W-A', 'W1', 5000, 'wd', :'other', 'July');
SELECT refundx.forget_payee('W13', 'asked');
SELECT action, subject, reason FROM refundx.audit_log WHERE action = 'forget_payee' ORDER BY audit_id;
-- ---- many at once ----
SELECT refundx.withdraw_submit_many(array_agg(o)) FROM jsonb_populate_recordset(NULL::refundx.withdrawal_order, format($$[
	{"account": "W-A", "withdrawal_no": "W20", "amount": 100, "channel": "wd", "payee": %1$s},
	{"account": "W-A", "withdrawal_no": "W20", "amount": 100, "channel": "wd", "payee": %1$s},
	{"account": "W-B", "withdrawal_no": "W21", "amount": 100, "channel": "wd", "payee": %1$s}]$$, :'openid')::jsonb) o;
SELECT f FROM unnest(ARRAY['NULL', 'ARRAY[NULL]::refundx.withdrawal_order[]',
	$$ARRAY[('W-A', 'W22', 100, 'wd', '{"openid": "short"}', NULL, NULL, NULL, NULL)]::refundx.withdrawal_order[]$$,
	$$ARRAY[('W-A', 'W20', 101, 'wd', '{"openid": "oWdF8uMuAJO_M2pxb1Q9zNjWeS6o"}', NULL, NULL, NULL, NULL)]::refundx.withdrawal_order[]$$]) c,
	pg_temp.fails('SELECT refundx.withdraw_submit_many(' || c || ')') f;
-- ---- the views, each read once ----
SELECT channel, state, currency, withdrawals, net FROM refundx.withdrawals_by_state WHERE channel LIKE 'wd%' ORDER BY 1, 2;
SELECT count(*) FROM refundx.awaiting_payee WHERE channel LIKE 'wd%';
SELECT count(*) FROM refundx.in_transit WHERE channel LIKE 'wd%';
SELECT count(*) FROM refundx.bounced WHERE channel LIKE 'wd%';
BEGIN;
UPDATE refundx.instruction SET state = 'accepted', attempts = 1, first_attempt_at = now() - interval '2 hours', detail = 'WAIT_USER_CONFIRM' WHERE instruction_no = 'W2';
INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, code, handover)
	SELECT channel_id, merchant_id, 'answer', 'withdrawal', '\x01', 'accepted', true, wire_no, 'WAIT_USER_CONFIRM', 'the package' FROM refundx.instruction WHERE instruction_no = 'W2';
SELECT withdrawal_no, net, payee, detail FROM refundx.awaiting_payee WHERE channel = 'wd';
SELECT channel, age, withdrawals, net_text FROM refundx.in_transit WHERE channel = 'wd';
SELECT refundx.withdraw_package('W2');
SELECT pg_temp.explain('W2');
SELECT cancel_requested_at IS NOT NULL FROM refundx.withdraw_cancel('W2');
SELECT refundx.withdraw_package('W2');
SELECT pg_temp.explain('W2');
ROLLBACK;
SELECT * FROM refundx.check();
