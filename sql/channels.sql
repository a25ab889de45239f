-- Adding and changing channels.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
\set ECHO all
-- The keys may come later: that is a warning (not shown, for it names the key directory), and
-- channel_check() says what is missing. The same again is a no-op.
SELECT refundx.channel_add('ch_a', 'wechat', pg_temp.wechat());
SELECT refundx.channel_add('ch_a', 'wechat', pg_temp.wechat());
SELECT name, kind, merchant_no, closed, revision FROM refundx.channels WHERE name = 'ch_a';
-- Another channel of the same merchant shares its row: pace and pause are one.
SELECT refundx.channel_add('ch_b', 'wechat', pg_temp.wechat());
SELECT merchant_no, paused, array_agg(c ORDER BY c) FROM refundx.merchants, unnest(channels) c
 WHERE c IN ('ch_a', 'ch_b') GROUP BY 1, 2;
-- A name that is taken, a kind that is not built in, names that do not fit into a URL.
SELECT pg_temp.fails($$SELECT refundx.channel_add('ch_a', 'wechat', pg_temp.wechat() || '{"sub_mchid": "1900000200"}')$$);
SELECT pg_temp.fails($$SELECT refundx.channel_add('ch_c', 'paypal', '{}')$$);
SELECT pg_temp.fails(format($$SELECT refundx.channel_add(%L, 'wechat', '{}')$$, n))
  FROM unnest(ARRAY['', 'Upper', '-x', 'a b', 'a/b', repeat('x', 33), NULL]) n;
-- Configurations that are wrong.
SELECT pg_temp.fails($$SELECT refundx.channel_add('ch_c', 'wechat', NULL)$$);
SELECT pg_temp.fails($$SELECT refundx.channel_add('ch_c', 'wechat', '{}')$$);
SELECT pg_temp.fails($$SELECT refundx.channel_add('ch_c', 'wechat', '[]')$$);
SELECT pg_temp.fails($$SELECT refundx.channel_add('ch_c', 'wechat', pg_temp.wechat() || '{"mchid": 1}')$$);
SELECT pg_temp.fails($$SELECT refundx.channel_add('ch_c', 'wechat', pg_temp.wechat() || '{"colour": "red"}')$$);
-- A key that was pasted: refused, and nothing of it repeated.
SELECT pg_temp.fails($$SELECT refundx.channel_add('ch_c', 'wechat', pg_temp.wechat() || '{"private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----"}')$$);
SELECT pg_temp.fails($$SELECT refundx.channel_add('ch_c', 'wechat', pg_temp.wechat() || '{"apiv3_key": "0123456789abcdefghijABCDEFGHIJ01"}')$$);
SELECT pg_temp.fails($$SELECT refundx.channel_set('ch_a', '{"private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----"}')$$);
SELECT count(*) FROM refundx.channels WHERE name = 'ch_c';
-- Members are put in, and null takes one out; each change is a revision.
SELECT refundx.channel_set('ch_a', '{"public_base_url": "https://pay.example.com"}');
SELECT config - 'wechat_keys' - 'merchant_serial', revision FROM refundx.channels WHERE name = 'ch_a';
SELECT refundx.channel_set('ch_a', '{"public_base_url": null}');
SELECT config ? 'public_base_url', revision FROM refundx.channels WHERE name = 'ch_a';
SELECT refundx.channel_set('ch_a', '{}');
SELECT revision FROM refundx.channels WHERE name = 'ch_a';
SELECT pg_temp.fails($$SELECT refundx.channel_set('ch_a', '{"mchid": "1900000999"}')$$);
SELECT pg_temp.fails($$SELECT refundx.channel_set('ch_a', '{"mchid": null}')$$);
SELECT pg_temp.fails($$SELECT refundx.channel_set('ch_a', '[]')$$);
SELECT pg_temp.fails($$SELECT refundx.channel_set('nobody', '{}')$$);
SELECT pg_temp.fails($$SELECT refundx.channel_set(NULL)$$);
-- Transfers: what WeChat requires of them is required; and what they need here is looked for.
SELECT pg_temp.fails($$SELECT refundx.channel_set('ch_a', '{"transfer": {"appid": "wx1", "scene_id": "1002", "report_infos": [{"info_type": "t", "info_content": "c"}]}}')$$);
SELECT count(*) FROM refundx.channel_check('ch_a') WHERE item = 'payee key';
SELECT refundx.channel_set('ch_a', '{"transfer": {"appid": "wx1", "scene_id": "1002", "report_infos": [{"info_type": "t", "info_content": "c"}], "remark": "r"}}');
SELECT count(*) FROM refundx.channel_check('ch_a') WHERE item = 'payee key';
SELECT refundx.channel_set('ch_a', '{"transfer": null}');
-- Closed: no new refund, and no new payment.
SELECT refundx.channel_set('ch_b', closed => true);
SELECT pg_temp.fails($$SELECT refundx.payment_record('ch_b', 'P', 100, 'CNY')$$);
SELECT refundx.channel_set('ch_b', closed => false);
-- The check: what is the channel's, and what is the server's.
SELECT level, item, regexp_replace(finding, '"/[^"]*"', '"..."') FROM refundx.channel_check('ch_a');
SELECT finding ~ '^not called: private_key' FROM refundx.channel_check('ch_a', call => true) WHERE item = 'echo';
SELECT pg_temp.fails($$SELECT * FROM refundx.channel_check('nobody')$$);
-- It is all in the audit log, with who did it.
SELECT action, subject, reason, by_user = session_user FROM refundx.audit_log
 WHERE subject IN ('ch_a', 'ch_b') ORDER BY audit_id;
-- What a session remembers of a channel is what has been committed. A channel_add that is rolled
-- back is forgotten, also within the transaction, and its name is free for another merchant's.
BEGIN;
SELECT refundx.channel_add('ch_gone', 'wechat', pg_temp.wechat());
SELECT refundx.payment_record('ch_gone', 'PG', 100, 'CNY');
ROLLBACK;
SELECT pg_temp.fails($$SELECT refundx.payment_record('ch_gone', 'PG', 100, 'CNY')$$);
BEGIN;
SAVEPOINT s;
SELECT refundx.channel_add('ch_gone', 'wechat', pg_temp.wechat());
SELECT refundx.payment_record('ch_gone', 'PG', 100, 'CNY');
ROLLBACK TO s;
SELECT pg_temp.fails($$SELECT refundx.payment_record('ch_gone', 'PG', 100, 'CNY')$$);
SELECT refundx.channel_add('ch_gone', 'wechat', pg_temp.wechat() || '{"mchid": "1900000777"}');
SELECT refundx.payment_record('ch_gone', 'PG', 100, 'CNY');
COMMIT;
SELECT merchant_no, array_agg(p.payment_no) FROM refundx.channels c JOIN refundx.payments p ON p.channel = c.name
 WHERE name = 'ch_gone' GROUP BY 1;
-- Likewise of one that is closed.
BEGIN;
SELECT refundx.channel_set('ch_gone', closed => true);
SELECT pg_temp.fails($$SELECT refundx.payment_record('ch_gone', 'PH', 100, 'CNY')$$);
ROLLBACK;
SELECT refundx.payment_record('ch_gone', 'PH', 100, 'CNY');
SELECT refundx.channel_set('ch_gone', closed => true);
SELECT pg_temp.fails($$SELECT refundx.payment_record('ch_gone', 'PI', 100, 'CNY')$$);
-- Alipay: what is wrong with a configuration's text, each in its own words. (Its files: test/t/520_alipay.pl.)
SELECT refundx.channel_add('ch_ali', 'alipay', pg_temp.alipay());
SELECT refundx.channel_add('ch_ali', 'alipay', pg_temp.alipay());
SELECT name, kind, merchant_no, revision FROM refundx.channels WHERE name = 'ch_ali';
SELECT pg_temp.fails(format($$SELECT refundx.channel_add('ch_c', 'alipay', pg_temp.alipay() || %L)$$, c))
  FROM unnest(ARRAY[
	'{"app_id": 2021000000000001}', '{"app_id": "2088000000000001"}', '{"app_id": "123"}',
	'{"alipay_public_key": null}', '{"alipay_public_key": []}', '{"alipay_public_key": ["a", "b", "c", "d", "e"]}',
	'{"app_certificate": "app.crt", "alipay_certificates": "ali.crt", "root_certificate": "root.crt"}',
	'{"private_key": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDWTSRbEpSbR2yZ"}',
	'{"private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"}',
	'{"app_auth_token": "token.txt"}', '{"auth_app_id": "2021000000000002"}', '{"seller_id": "shop"}',
	'{"base_url": "http://openapi.alipay.com"}', '{"base_url": "https://openapi.alipay.com/gateway.do"}',
	'{"gateway": "https://openapi.alipay.com"}', '{"notify_url": "https://shop.example.com"}',
	'{"time_scale": "fast"}']) c;
SELECT pg_temp.fails($$SELECT refundx.channel_set('ch_ali', '{"app_id": "2021000000000002"}')$$);
-- Transfers, which pay withdrawals: what is wrong with their settings. (All of it: test/unit.)
SELECT pg_temp.fails(format($$SELECT refundx.channel_add('ch_c', 'wechat', pg_temp.wechat() || jsonb_build_object('transfer', %L::jsonb))$$, c))
  FROM unnest(ARRAY['[]', '"yes"', '{}', '{"appid": "wx0123456789abcdef"}', '{"appid": "wx0123456789abcdef", "scene_id": "1005"}',
	'{"appid": "wx0123456789abcdef", "scene_id": "1005", "report_infos": []}',
	'{"appid": "wx0123456789abcdef", "scene_id": "1005", "report_infos": [{"info_type": "a", "info_content": "b"}], "colour": "red"}']) c;
SELECT pg_temp.fails($$SELECT refundx.channel_add('ch_c', 'wechat', pg_temp.wechat() || '{"sub_mchid": "1900000200", "transfer": {"appid": "wx0123456789abcdef",
	"scene_id": "1005", "report_infos": [{"info_type": "a", "info_content": "b"}]}}')$$);
SELECT pg_temp.fails(format($$SELECT refundx.channel_add('ch_c', 'alipay', pg_temp.alipay() - 'alipay_public_key' || '{"app_certificate": "app.crt",
	"alipay_certificates": "ali.crt", "root_certificate": "root.crt"}' || jsonb_build_object('transfer', %L::jsonb))$$, c))
  FROM unnest(ARRAY['[]', '{"colour": "red"}', '{"order_title": ""}', '{"transfer_scene_name": "佣金报酬"}']) c;
SELECT pg_temp.fails($$SELECT refundx.channel_add('ch_c', 'alipay', pg_temp.alipay() || '{"transfer": {}}')$$);
SELECT pg_temp.fails($$SELECT refundx.channel_add('ch_c', 'stripe', pg_temp.stripe() || '{"transfer": {}}')$$);
-- Stripe, likewise. (Its files: test/t/510_stripe.pl.)
SELECT refundx.channel_add('ch_st', 'stripe', pg_temp.stripe());
SELECT refundx.channel_add('ch_st', 'stripe', pg_temp.stripe());
SELECT name, kind, merchant_no, revision FROM refundx.channels WHERE name = 'ch_st';
SELECT pg_temp.fails(format($$SELECT refundx.channel_add('ch_c', 'stripe', pg_temp.stripe() || %L)$$, c))
  FROM unnest(ARRAY[
	'{"account_id": null}', '{"account_id": "me@example.com"}', '{"secret_key": null}',
	'{"secret_key": "sk_live_51H0000000000000000000000"}', '{"webhook_secrets": ["whsec_00000000000000000000"]}',
	'{"webhook_secrets": []}', '{"webhook_secrets": 5}', '{"connect": "true"}', '{"test_mode": "yes"}',
	'{"api_version": "latest"}', '{"base_url": "http://api.stripe.com"}', '{"publishable_key": "stripe.key"}']) c;
SELECT pg_temp.fails($$SELECT refundx.channel_set('ch_st', '{"account_id": "acct_1Other"}')$$);
SELECT count(*) FROM refundx.channels WHERE name = 'ch_c';
-- Nothing is sent by either, for there are no keys; and that is what channel_check says.
SELECT level, item, regexp_replace(finding, '"/[^"]*"', '"..."') FROM refundx.channel_check('ch_ali');
SELECT level, item, regexp_replace(finding, '"/[^"]*"', '"..."') FROM refundx.channel_check('ch_st');
-- What is built in.
SELECT kind, product, label, currencies, max_parts, max_age, part_spacing, calls_per_second, failing_per_second,
	   not_found_after, send_window, ask_window FROM refundx.channel_kinds() ORDER BY kind, product;
