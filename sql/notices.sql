-- SMS providers, and what they are to say.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
\set aliyun '{"access_key_id": "LTAI5tExampleKeyId01", "access_key_secret": "sms.key"}'
\set ECHO all
SELECT refundx.notice_provider_add('sms', 'aliyun', :'aliyun');
SELECT refundx.notice_provider_add('sms', 'aliyun', :'aliyun');
SELECT pg_temp.fails($$SELECT refundx.notice_provider_add('sms', 'aliyun', '{"access_key_id": "LTAI5tExampleKeyId02", "access_key_secret": "sms.key"}')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_provider_add('SMS', 'aliyun', '{}')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_provider_add('sms2', 'pigeon', '{}')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_provider_add('sms2', 'aliyun', '{}')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_provider_add('sms2', 'aliyun', NULL)$$);
SELECT pg_temp.fails($$SELECT refundx.notice_provider_add('sms2', 'aliyun', '{"access_key_id": "LTAI5tExampleKeyId01", "access_key_secret": "sms.key", "colour": "red"}')$$);
-- What is said, and to whom.
SELECT refundx.notice_template_set('succeeded', '*', 'sms', '{"sign": "Shop", "code": "SMS_1", "params": {"no": "refund_no", "money": "{amount} {currency}"}}');
SELECT refundx.notice_template_set('succeeded', 'zh-CN', 'sms', '{"sign": "Shop", "code": "SMS_2", "params": {"no": "refund_no"}}');
SELECT transition, language, provider FROM refundx.notice_template ORDER BY 1, 2;
SELECT refundx.notice_template_set('succeeded', 'zh-CN', NULL, NULL);
SELECT transition, language, provider FROM refundx.notice_template ORDER BY 1, 2;
SELECT pg_temp.fails($$SELECT refundx.notice_template_set('queued', '*', 'sms', '{}')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_template_set('failed', NULL, 'sms', '{}')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_template_set('failed', '*', 'nobody', '{}')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_template_set('failed', '*', 'sms', '{}')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_template_set('failed', '*', 'sms', '{"sign": "Shop", "code": "SMS_1", "params": {"no": "{phone}"}}')$$);
-- Of withdrawals the payee is told, in texts of their own.
SELECT refundx.notice_template_set('succeeded', '*', 'sms', '{"sign": "Shop", "code": "SMS_3", "params": {"no": "withdrawal_no", "money": "{amount} {currency}"}}', about => 'withdrawal');
SELECT about, transition, language, template->>'code' AS code FROM refundx.notice_template ORDER BY 1, 2, 3;
SELECT refundx.notice_template_set('succeeded', '*', NULL, NULL, about => 'withdrawal');
SELECT about, transition, language, template->>'code' AS code FROM refundx.notice_template ORDER BY 1, 2, 3;
SELECT pg_temp.fails($$SELECT refundx.notice_template_set('failed', '*', 'sms', '{"sign": "Shop", "code": "SMS_1"}', about => 'payment')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_template_set('failed', '*', 'sms', '{"sign": "Shop", "code": "SMS_1"}', about => NULL)$$);
SELECT pg_temp.fails($$SELECT refundx.notice_template_set('canceled', '*', 'sms', '{"sign": "Shop", "code": "SMS_1"}', about => 'withdrawal')$$);
-- A provider that was stopped is tried again when it is changed.
UPDATE refundx.notice_provider SET paused = 'balance', paused_since = now();
SELECT level, item FROM refundx.notice_provider_check('sms') WHERE item = 'paused';
SELECT refundx.notice_provider_set('sms');
SELECT paused, revision FROM refundx.notice_provider;
SELECT refundx.notice_provider_set('sms', '{"access_key_secret": "sms2.key"}');
SELECT config, revision FROM refundx.notice_provider;
SELECT pg_temp.fails($$SELECT refundx.notice_provider_set('sms', '{"access_key_secret": null}')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_provider_set('sms', '[]')$$);
SELECT pg_temp.fails($$SELECT refundx.notice_provider_set('nobody', '{}')$$);
SELECT pg_temp.fails($$SELECT * FROM refundx.notice_provider_check('nobody')$$);
SELECT level, item, regexp_replace(finding, '"/[^"]*"', '"..."') FROM refundx.notice_provider_check('sms');
SELECT action, subject, reason FROM refundx.audit_log WHERE action LIKE 'notice%' ORDER BY audit_id;
