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
-- What is built in.
SELECT kind, label, currencies, max_parts, max_age, part_spacing, calls_per_second, failing_per_second,
	   not_found_after FROM refundx.channel_kinds() ORDER BY kind;
