-- Resolving: what an operator may say became of a refund or withdrawal, and what that does to the money.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
CREATE ROLE dr_li LOGIN IN ROLE refundx_operator;
CREATE ROLE dr_wang LOGIN IN ROLE refundx_operator;
CREATE ROLE dr_shared LOGIN IN ROLE refundx_operator, refundx_delegate;
SELECT refundx.channel_add('dr', 'wechat', pg_temp.wechat() || '{"mchid": "1900000622", "transfer": {"appid": "wx0123456789abcdef", "scene_id": "1000", "remark": "out",
	"report_infos": [{"info_type": "活动名称", "info_content": "a"}, {"info_type": "奖励说明", "info_content": "b"}]}}') IS NULL;
SELECT refundx.account_open('dr-acc', 'CNY'), refundx.account_credit('dr-acc', 10000, 'sold');
CREATE FUNCTION pg_temp.says(no text, source text, verdict text, proof boolean DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	id bigint;
BEGIN
	INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, code, attempt_started_at)
	SELECT channel_id, merchant_id, $2, kind, sha256(convert_to($1 || $2 || $3 || clock_timestamp(), 'UTF8')), $3, $4, wire_no, 'CODE', clock_timestamp()
	  FROM refundx.instruction WHERE instruction_no = $1
	RETURNING evidence_id INTO id;
	PERFORM refundx.desk_settle(ARRAY[id]);
	RETURN (SELECT type FROM refundx.event WHERE evidence_id = id);
END
$$;
CREATE FUNCTION pg_temp.sent(no text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO refundx.attempt (instruction_id, payment_id, merchant_id, call, wire_no) SELECT instruction_id, payment_id, merchant_id, 'submit', wire_no FROM refundx.instruction WHERE instruction_no = $1;
	INSERT INTO refundx.request (instruction_id, wire_no, body) SELECT instruction_id, wire_no, 'x' FROM refundx.instruction WHERE instruction_no = $1;
	UPDATE refundx.instruction SET attempts = 1, state = 'sending', due_at = NULL, due_call = NULL, first_attempt_at = clock_timestamp() - interval '1 hour' WHERE instruction_no = $1;
	INSERT INTO refundx.event (instruction_id, type, from_state, to_state) SELECT instruction_id, 'claimed', 'queued', 'sending' FROM refundx.instruction WHERE instruction_no = $1;
	SELECT pg_temp.says($1, 'recovery', 'unknown', false);
	UPDATE refundx.instruction SET last_attempt_at = clock_timestamp() - interval '1 hour' WHERE instruction_no = $1;
$$;
CREATE FUNCTION pg_temp.refund(no text, amount bigint, paid bigint DEFAULT 1000, account text DEFAULT 'dr-acc') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM refundx.payment_record('dr', no || '-p', paid, 'CNY', account => account);
	PERFORM refundx.refund_submit('dr', no || '-p', no, amount);
END
$$;
CREATE FUNCTION pg_temp.answer(a refundx.desk_answer) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s %s%s: %s', a.action, a.subject, CASE WHEN a.request IS NOT NULL THEN ' (request)' WHEN a.done THEN '' ELSE ' (not done)' END, a.note)
	UNION ALL
	SELECT format('   %s: %s -> %s', coalesce(b.key, f.key), b.value - '{due_at,amount,currency,cancel_requested_at}'::text[], f.value - '{due_at,amount,currency,cancel_requested_at}'::text[])
	  FROM jsonb_each(a.before) b FULL JOIN jsonb_each(a.after) f USING (key)
	 WHERE b.value - 'due_at' IS DISTINCT FROM f.value - 'due_at'
$$;
CREATE FUNCTION pg_temp.story(no text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', x.type, x.from_state, x.to_state) || coalesce(': ' || x.note, '') FROM refundx.event x JOIN refundx.instruction i USING (instruction_id)
	 WHERE i.instruction_no = $1 ORDER BY x.seq
$$;
CREATE FUNCTION pg_temp.request(no text) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT request_id FROM refundx.operator_request WHERE subject = $1 AND done_at IS NULL $$;
CREATE FUNCTION pg_temp.lines(account text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', type, coalesce(refund_no, withdrawal_no, reference), d_available, d_frozen, '=', available, frozen) FROM refundx.journal_lines WHERE account = $1 ORDER BY slot, version
$$;
\set ECHO all
-- What must be said.
SELECT pg_temp.refund('dr-0', 100);
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-0', 'failed', 'seen', '')$$);
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-0', 'failed', '', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-0', 'failed', NULL, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-0', 'gone', 'seen', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-0', NULL, 'seen', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-none', 'failed', 'seen', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.confirm(0, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.confirm(NULL, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.confirm(1, '')$$);
SELECT pg_temp.fails($$SELECT refundx.decline(0, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.decline(0, '')$$);
-- Never sent: it ends at once, and nothing has to be asked.
SELECT pg_temp.answer(refundx.resolve('dr-0', 'failed', 'it was never sent', 'the shop is closed', dry_run => true));
SELECT pg_temp.answer(refundx.resolve('dr-0', 'failed', 'it was never sent', 'the shop is closed'));
SELECT pg_temp.story('dr-0');
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-0', 'failed', 'seen', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-0', 'canceled', 'seen', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-0', 'returned', 'seen', 'why')$$);
-- On its way: its own answer comes first.
SELECT pg_temp.refund('dr-1', 600);
UPDATE refundx.instruction SET state = 'sending' WHERE instruction_no = 'dr-1';
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-1', 'succeeded', 'seen', 'why')$$);
UPDATE refundx.instruction SET state = 'queued' WHERE instruction_no = 'dr-1';
-- Sent, and nobody knows: not paid, an operator says (fault_36).
SELECT pg_temp.sent('dr-1');
SET SESSION AUTHORIZATION dr_li;
SELECT pg_temp.answer(refundx.resolve('dr-1', 'failed', 'the console does not have it', 'customer calls', dry_run => true));
SELECT pg_temp.answer(refundx.resolve('dr-1', 'failed', 'the console does not have it', 'customer calls'));
-- Operators and auditors read the desk with their own rights.
SELECT asked_by, action, subject, resolve_as, seen, reason, amount, why, status FROM refundx.operator_requests WHERE subject = 'dr-1';
SELECT severity, subject, state, amount_text, reason, evidence, suggestion, regexp_replace(call, '\d+', 'n') AS call FROM refundx.desk WHERE what LIKE 'request%';
SELECT regexp_replace(pg_temp.fails($$SELECT refundx.resolve('dr-1', 'failed', 'again', 'again')$$), '\d+', 'n', 'g');
SELECT pg_temp.fails($$SELECT refundx.retry('dr-1', 'again')$$);
SELECT pg_temp.fails($$SELECT refundx.release('refund', 'dr-1', 'again')$$);
SELECT regexp_replace(pg_temp.fails(format('SELECT refundx.confirm(%s, %L)', pg_temp.request('dr-1'), 'me too')), 'request \d+', 'request n');
SET SESSION AUTHORIZATION dr_wang;
SELECT regexp_replace(pg_temp.fails(format('SELECT refundx.confirm(%s, %L)', pg_temp.request('dr-1'), 'me too')), 'after .*', 'after ...');
RESET SESSION AUTHORIZATION;
SELECT pg_temp.says('dr-1', 'query', 'unknown', false);
SET SESSION AUTHORIZATION dr_wang;
SELECT regexp_replace(pg_temp.fails(format('SELECT refundx.confirm(%s, %L)', pg_temp.request('dr-1'), 'me too')), 'after .*', 'after ...');
RESET SESSION AUTHORIZATION;
-- A query that the channel answers: it does not know it.  It is not sent again meanwhile.
SELECT pg_temp.says('dr-1', 'query', 'not_found');
SELECT state, due_call, (SELECT status FROM refundx.operator_requests q WHERE q.subject = refund_no) FROM refundx.refunds WHERE refund_no = 'dr-1';
SET SESSION AUTHORIZATION dr_wang;
SELECT pg_temp.answer(refundx.confirm(pg_temp.request('dr-1'), 'me too', dry_run => true));
SELECT pg_temp.answer(refundx.confirm(pg_temp.request('dr-1'), 'me too'));
RESET SESSION AUTHORIZATION;
SELECT regexp_replace(pg_temp.fails(format('SELECT refundx.confirm(%s, %L)', max(request_id), 'again')), 'request \d+|At .*', '...', 'g') FROM refundx.operator_request;
SELECT pg_temp.story('dr-1');
SELECT regexp_replace(refundx.refund_explain('dr-1'), '\d\d:\d\d', 'hh:mm');
SELECT asked_by, status, done_by FROM refundx.operator_requests WHERE subject = 'dr-1';
-- It is asked about until the channel's memory ends, and nothing lifts that but proof.
SELECT state, due_call, hold, hold_by FROM refundx.instruction WHERE instruction_no = 'dr-1';
SELECT pg_temp.fails($$SELECT refundx.release('refund', 'dr-1', 'again')$$);
SELECT pg_temp.says('dr-1', 'query', 'not_found');
SELECT due_call, due_at > clock_timestamp() AS later FROM refundx.instruction WHERE instruction_no = 'dr-1';
-- A late success is a contradiction: holds, and an item.
SELECT pg_temp.says('dr-1', 'callback', 'succeeded');
SELECT severity, what, subject, reason, call FROM refundx.desk WHERE subject IN ('dr-1', 'dr-1-p', 'dr-acc');
SELECT pg_temp.answer(refundx.resolve('dr-1', 'succeeded', 'callback, and the console', 'it was paid after all', true));
SELECT pg_temp.answer(refundx.resolve('dr-1', 'succeeded', 'callback, and the console', 'it was paid after all'));
SELECT count(*) FROM refundx.desk WHERE subject IN ('dr-1', 'dr-1-p', 'dr-acc');
SELECT pg_temp.lines('dr-acc');
SELECT * FROM refundx.check() WHERE subject LIKE 'dr%';
-- The channel's own word that the number is dead is the proof that was missing.
SELECT pg_temp.refund('dr-2', 600), pg_temp.sent('dr-2');
SELECT (refundx.resolve('dr-2', 'failed', 'seen', 'why')).done;
SELECT pg_temp.says('dr-2', 'query', 'not_found');
SET SESSION AUTHORIZATION dr_wang;
SELECT (refundx.confirm(pg_temp.request('dr-2'), 'yes')).done;
RESET SESSION AUTHORIZATION;
SELECT pg_temp.says('dr-2', 'query', 'dead');
SELECT state, due_call, hold FROM refundx.instruction WHERE instruction_no = 'dr-2';
-- The channel contradicts: nothing is ended, and what it says is settled.
SELECT pg_temp.refund('dr-3', 600), pg_temp.sent('dr-3');
SELECT (refundx.resolve('dr-3', 'failed', 'seen', 'why')).done;
SELECT pg_temp.says('dr-3', 'query', 'accepted');
SET SESSION AUTHORIZATION dr_wang;
SELECT regexp_replace(pg_temp.fails(format('SELECT refundx.confirm(%s, %L)', pg_temp.request('dr-3'), 'yes')), 'evidence \d+', 'evidence n');
SELECT refundx.decline(pg_temp.request('dr-3'), 'it is under way');
RESET SESSION AUTHORIZATION;
SELECT state, hold FROM refundx.instruction WHERE instruction_no = 'dr-3';
SELECT (refundx.resolve('dr-3', 'failed', 'seen', 'why')).done;
SELECT pg_temp.says('dr-3', 'callback', 'succeeded');
SELECT state, hold, (SELECT status FROM refundx.operator_requests WHERE subject = 'dr-3' AND done_at IS NULL) FROM refundx.instruction WHERE instruction_no = 'dr-3';
SET SESSION AUTHORIZATION dr_wang;
SELECT pg_temp.fails(format('SELECT refundx.confirm(%s, %L)', pg_temp.request('dr-3'), 'yes'));
SELECT refundx.decline(pg_temp.request('dr-3'), 'it is paid');
RESET SESSION AUTHORIZATION;
-- Paid, or came back: what was seen suffices.
SELECT pg_temp.refund('dr-4', 600), pg_temp.sent('dr-4');
SELECT pg_temp.answer(refundx.resolve('dr-4', 'succeeded', 'the bank statement of May 4', 'the channel has forgotten it'));
SELECT pg_temp.answer(refundx.resolve('dr-4', 'returned', 'the bank statement of May 9', 'it came back'));
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-4', 'succeeded', 'seen', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-3', 'failed', 'seen', 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.resolve('dr-3', 'succeeded', 'seen', 'why')$$);
-- Succeeded, and the channel says that it refused: confirmed as it is, which lifts the holds.
SELECT pg_temp.says('dr-3', 'callback', 'refused');
SELECT pg_temp.answer(refundx.resolve('dr-3', 'succeeded', 'it is in the statement', 'a stale message'));
-- Two contradictions of one account: the first that is resolved leaves it on hold.
SELECT pg_temp.refund('dr-5', 600), pg_temp.refund('dr-6', 600);
SELECT (refundx.refund_cancel('dr-5')).state, (refundx.refund_cancel('dr-6')).state;
SELECT pg_temp.says('dr-5', 'callback', 'succeeded'), pg_temp.says('dr-6', 'callback', 'succeeded');
-- Not paid, against the channel's word: also then it is asked, and a second person has to agree.
SELECT pg_temp.answer(refundx.resolve('dr-5', 'canceled', 'the console says nothing of it', 'not ours'));
SELECT pg_temp.says('dr-5', 'query', 'not_found');
SET SESSION AUTHORIZATION dr_wang;
SELECT pg_temp.answer(refundx.confirm(pg_temp.request('dr-5'), 'looked myself'));
RESET SESSION AUTHORIZATION;
SELECT state, due_call, hold_by FROM refundx.instruction WHERE instruction_no = 'dr-5';
SELECT pg_temp.answer(refundx.resolve('dr-6', 'succeeded', 'the console', 'paid'));
-- A contradiction that comes to what an operator holds holds it afterwards.
SELECT pg_temp.refund('dr-h', 600);
SELECT (refundx.refund_cancel('dr-h')).state, (refundx.hold('payment', 'dr-h-p', 'an audit')).done;
SELECT pg_temp.says('dr-h', 'callback', 'succeeded');
SELECT pg_temp.answer(refundx.release('payment', 'dr-h-p', 'over'));
SELECT pg_temp.answer(refundx.resolve('dr-h', 'succeeded', 'the console', 'paid'));
-- The account has not got it any more: the merchant's suspense account has the rest.
SELECT refundx.account_open('dr-poor', 'CNY', 3), refundx.account_credit('dr-poor', 700, 'sold');
SELECT pg_temp.refund('dr-7', 600, 1000, 'dr-poor');
SELECT (refundx.refund_cancel('dr-7')).state;
SELECT refundx.account_debit('dr-poor', 550, 'out');
SELECT pg_temp.refund('dr-8', 700, 1000, NULL);
SELECT pg_temp.says('dr-7', 'callback', 'succeeded');
SELECT pg_temp.answer(refundx.resolve('dr-7', 'succeeded', 'the console', 'paid', dry_run => true));
SELECT count(*) FROM refundx.account WHERE suspense_of IS NOT NULL;
SELECT pg_temp.answer(refundx.resolve('dr-7', 'succeeded', 'the console', 'paid'));
SELECT severity, what, subject, amount_text, reason, evidence, suggestion, call FROM refundx.desk WHERE what LIKE 'suspense%';
SELECT pg_temp.lines('dr-poor'), pg_temp.lines('suspense of wechat 1900000622, CNY');
SELECT sum(available) FROM (SELECT DISTINCT ON (account_id) available FROM refundx.journal JOIN refundx.account_name n USING (account_id) WHERE n.account_no = 'dr-poor' ORDER BY account_id, version DESC) x;
SELECT * FROM refundx.check() WHERE subject LIKE 'dr%' OR subject LIKE 'suspense%';
-- Nobody else moves it, and it is settled by name.
SELECT pg_temp.fails($$SELECT refundx.account_credit('suspense of wechat 1900000622, CNY', 1, 'x')$$);
SELECT pg_temp.fails($$SELECT refundx.account_debit('suspense of wechat 1900000622, CNY', 1, 'x')$$);
SELECT refundx.account_reopen('suspense of wechat 1900000622, CNY', 'x');
SELECT pg_temp.fails($$SELECT refundx.suspense_settle('dr-acc', 1, 'x', 'y')$$);
SELECT pg_temp.fails($$SELECT refundx.suspense_settle('dr-none', 1, 'x', 'y')$$);
SELECT pg_temp.fails($$SELECT refundx.suspense_settle('suspense of wechat 1900000622, CNY', 0, 'x', 'y')$$);
SELECT pg_temp.fails($$SELECT refundx.suspense_settle('suspense of wechat 1900000622, CNY', 1, '', 'y')$$);
SELECT pg_temp.fails($$SELECT refundx.suspense_settle('suspense of wechat 1900000622, CNY', 1, 'x', '')$$);
SELECT pg_temp.fails($$SELECT refundx.suspense_settle('suspense of wechat 1900000622, CNY', 451, 'x', 'y')$$);
SELECT pg_temp.answer(refundx.suspense_settle('suspense of wechat 1900000622, CNY', 400, 'B-17', 'the customer sent it back'));
SELECT pg_temp.fails($$SELECT refundx.suspense_settle('suspense of wechat 1900000622, CNY', 50, 'B-17', 'y')$$);
SELECT pg_temp.answer(refundx.suspense_settle('suspense of wechat 1900000622, CNY', 50, 'B-18', 'written off'));
SELECT count(*) FROM refundx.desk WHERE what LIKE 'suspense%';
-- Its amount had been given out again: more is refunded of the payment than was paid, and it stays on hold.
SELECT pg_temp.refund('dr-9', 600);
SELECT (refundx.refund_cancel('dr-9')).state;
SELECT (refundx.refund_submit('dr', 'dr-9-p', 'dr-9b', 700)).state;
SELECT pg_temp.says('dr-9', 'callback', 'succeeded');
SELECT pg_temp.answer(refundx.resolve('dr-9', 'succeeded', 'the console', 'paid'));
SELECT refunding, refunded, refundable, hold FROM refundx.payments WHERE payment_no = 'dr-9-p';
SELECT pg_temp.answer(refundx.release('payment', 'dr-9-p', 'the customer knows'));
SELECT * FROM refundx.check() WHERE subject LIKE 'dr%';
-- Withdrawals: one that was attempted, asked back, and is not found.
SELECT refundx.account_open('dr-out', 'CNY'), refundx.account_credit('dr-out', 10000, 'in');
SELECT refundx.withdraw_policy_set('dr', '{"fee_fixed": 5, "fee_on_top": true, "fee_back_on_failure": false, "day_amount": 5000}');
CREATE FUNCTION pg_temp.out(no text, amount bigint) RETURNS text LANGUAGE sql AS $$
	SELECT (refundx.withdraw_submit('dr-out', $1, $2, 'dr', '{"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}')).state $$;
SELECT pg_temp.out('drw1', 1000), pg_temp.sent('drw1');
SELECT (refundx.withdraw_cancel('drw1', 'the wrong payee')).state;
SELECT pg_temp.says('drw1', 'query', 'not_found');
SELECT subject, state, reason, call FROM refundx.desk WHERE subject = 'drw1';
SELECT pg_temp.answer(refundx.resolve('drw1', 'canceled', 'the console does not have it', 'asked back, and not there'));
SELECT pg_temp.says('drw1', 'query', 'not_found');
SET SESSION AUTHORIZATION dr_wang;
SELECT pg_temp.answer(refundx.confirm(pg_temp.request('drw1'), 'looked myself'));
RESET SESSION AUTHORIZATION;
SELECT state, hold_by, due_call FROM refundx.instruction WHERE instruction_no = 'drw1';
-- One that the channel has paid elsewhere, and speaks of no more.
INSERT INTO refundx.evidence (channel_id, merchant_id, source, about, digest, verdict, proof, wire_no, code)
	SELECT channel_id, merchant_id, 'callback', 'withdrawal', sha256('drw2'), 'succeeded', true, 'drw2', 'SUCCESS' FROM refundx.channel WHERE name = 'dr';
SELECT refundx.desk_settle(ARRAY[max(evidence_id)]) FROM refundx.evidence WHERE wire_no = 'drw2';
SELECT what, subject, regexp_replace(evidence, 'evidence \d+|, \d{4}-.*', '...', 'g'), call FROM refundx.desk WHERE subject = 'drw2';
SELECT pg_temp.out('drw2', 1000);
SELECT pg_temp.fails($$SELECT refundx.retry('drw2', 'why')$$);
SELECT pg_temp.answer(refundx.resolve('drw2', 'succeeded', 'the console has it', 'restored from a backup'));
-- One that failed, its fee kept, and was paid after all: on the day's limit again.
SELECT pg_temp.out('drw3', 1000), pg_temp.sent('drw3');
SELECT pg_temp.says('drw3', 'query', 'dead'), pg_temp.says('drw3', 'callback', 'succeeded');
SELECT pg_temp.answer(refundx.resolve('drw3', 'succeeded', 'the console has it', 'paid'));
SELECT pg_temp.lines('dr-out');
SELECT withdrawals, amount FROM refundx.cap_line JOIN refundx.account USING (account_id) WHERE account_no = 'dr-out' ORDER BY n;
SELECT pg_temp.answer(refundx.resolve('drw3', 'returned', 'the statement', 'it bounced'));
-- One whose fee was released with it.
SELECT pg_temp.out('drw4', 1000);
SELECT (refundx.withdraw_cancel('drw4')).state, pg_temp.says('drw4', 'callback', 'succeeded');
SELECT pg_temp.answer(refundx.resolve('drw4', 'succeeded', 'the console has it', 'paid'));
SELECT * FROM refundx.check() WHERE subject LIKE 'dr%';
-- Waiting for approval is on the desk too.
BEGIN;
SELECT refundx.withdraw_policy_set('dr', '{"approve_above": 1}'), pg_temp.out('drw5', 1000);
SELECT severity, what, subject, amount, reason, evidence, call FROM refundx.desk WHERE subject = 'drw5';
SELECT pg_temp.fails($$SELECT refundx.resolve('drw5', 'failed', 'seen', 'why')$$);
ROLLBACK;
-- A second person above an amount; the request waits, and what became impossible meanwhile is refused.
SELECT pg_temp.fails($$SELECT refundx.second_person_set('yuan', 5, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.second_person_set('CNY', -5, 'why')$$);
SELECT pg_temp.fails($$SELECT refundx.second_person_set('CNY', 5, '')$$);
SELECT pg_temp.fails($$SELECT refundx.second_person_set(NULL, 5, 'why')$$);
SELECT pg_temp.answer(refundx.second_person_set('CNY', 600, 'policy of April', true));
SELECT pg_temp.answer(refundx.second_person_set('CNY', 600, 'policy of April'));
SELECT pg_temp.answer(refundx.second_person_set('CNY', 500, 'policy of May'));
SELECT pg_temp.refund('dr-a', 600), pg_temp.sent('dr-a'), pg_temp.refund('dr-b', 500), pg_temp.sent('dr-b');
SELECT (refundx.resolve('dr-b', 'succeeded', 'seen', 'small')).done;
SET SESSION AUTHORIZATION dr_shared;
SELECT pg_temp.answer(refundx.resolve('dr-a', 'succeeded', 'seen', 'large', true));
SELECT pg_temp.answer(refundx.resolve('dr-a', 'succeeded', 'seen', 'large'));
SELECT regexp_replace(pg_temp.fails(format('SELECT refundx.confirm(%s, %L)', pg_temp.request('dr-a'), 'me too')), 'request \d+', 'request n');
-- Of one login only two who both said who they are are two.
SET refundx.actor = 'wang';
SELECT regexp_replace(pg_temp.fails(format('SELECT refundx.confirm(%s, %L)', pg_temp.request('dr-a'), 'me too')), 'request \d+', 'request n');
SELECT refundx.decline(pg_temp.request('dr-a'), 'asked without a name');
SET refundx.actor = 'li';
SELECT pg_temp.answer(refundx.resolve('dr-a', 'succeeded', 'seen', 'large'));
SELECT regexp_replace(pg_temp.fails(format('SELECT refundx.confirm(%s, %L)', pg_temp.request('dr-a'), 'me too')), 'request \d+', 'request n');
SET refundx.actor = 'wang';
SELECT pg_temp.answer(refundx.confirm(pg_temp.request('dr-a'), 'me too'));
RESET refundx.actor;
RESET SESSION AUTHORIZATION;
SELECT pg_temp.answer(refundx.hold('payment', 'dr-5-p', 'an audit'));
SELECT pg_temp.answer(refundx.release('payment', 'dr-5-p', 'over'));
SELECT (refundx.query_now('dr-a', 'no second person for that')).done;
-- To raise it, or to take it away, would be the way around it.
SELECT pg_temp.answer(refundx.second_person_set('CNY', 501, 'more'));
SELECT refundx.decline(pg_temp.request('CNY'), 'why?');
SELECT pg_temp.answer(refundx.second_person_set('CNY', NULL, 'no more'));
SELECT severity, state, reason, evidence, suggestion FROM refundx.desk WHERE subject = 'CNY';
SET SESSION AUTHORIZATION dr_li;
SELECT (refundx.confirm(pg_temp.request('dr-5-p'), 'yes')).done;
SELECT pg_temp.answer(refundx.confirm(pg_temp.request('CNY'), 'yes'));
RESET SESSION AUTHORIZATION;
-- On the record.
SELECT by_user, actor, action, subject, reason, detail->>'asked by' AS asked_by FROM refundx.audit_log
 WHERE subject LIKE 'dr%' AND action IN ('resolve', 'confirm', 'decline', 'hold', 'release') OR action IN ('suspense_settle', 'second_person_set') ORDER BY audit_id;
SELECT kind, about, number, reason, done FROM refundx.incidents WHERE kind = 'resolved' ORDER BY incident_id;
SELECT source, verdict, proof, message, outcome FROM refundx.evidence_log WHERE refund_no = 'dr-a' ORDER BY evidence_id;
SELECT * FROM refundx.check() WHERE subject LIKE 'dr%' OR subject LIKE 'suspense%';
SELECT refundx.withdraw_policy_set('dr', NULL) \g /dev/null
DROP ROLE dr_li, dr_wang, dr_shared;
