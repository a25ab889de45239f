-- Payments, and accounts with their journal.
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set preamble :source /sql/preamble.inc
\i :preamble
SELECT refundx.channel_add('pay', 'wechat', pg_temp.wechat()) \g /dev/null
\set ECHO all
-- Accounts: opened once, credited and debited once for each reference.
SELECT refundx.account_open('A-1', 'CNY');
SELECT refundx.account_open('A-1', 'CNY');
SELECT pg_temp.fails($$SELECT refundx.account_open('A-1', 'USD')$$);
SELECT pg_temp.fails($$SELECT refundx.account_open('A-2', 'cny')$$);
SELECT pg_temp.fails($$SELECT refundx.account_open('A-2', 'RMB!')$$);
SELECT pg_temp.fails($$SELECT refundx.account_open('', 'CNY')$$);
SELECT pg_temp.fails($$SELECT refundx.account_open(NULL, 'CNY')$$);
SELECT refundx.account_credit('A-1', 10000, 'top-up 1', 'from the bank');
SELECT refundx.account_credit('A-1', 10000, 'top-up 1');
SELECT refundx.account_debit('A-1', 2500, 'fee 1');
SELECT refundx.account_debit('A-1', 2500, 'fee 1');
SELECT pg_temp.fails($$SELECT refundx.account_credit('A-1', 9999, 'top-up 1')$$);
SELECT pg_temp.fails($$SELECT refundx.account_debit('A-1', 10000, 'top-up 1')$$);
SELECT pg_temp.fails($$SELECT refundx.account_debit('A-1', 7501, 'fee 2')$$);
SELECT pg_temp.fails($$SELECT refundx.account_credit('A-1', 0, 'x')$$);
SELECT pg_temp.fails($$SELECT refundx.account_debit('A-1', -5, 'x')$$);
SELECT pg_temp.fails($$SELECT refundx.account_debit('A-1', NULL, 'x')$$);
SELECT pg_temp.fails($$SELECT refundx.account_credit('A-1', 5, NULL)$$);
SELECT pg_temp.fails($$SELECT refundx.account_credit('nobody', 5, 'x')$$);
SELECT pg_temp.fails($$SELECT refundx.account_credit('A-1', 9223372036854775807, 'too much')$$);
SELECT account, currency, available, available_text, frozen, version FROM refundx.accounts WHERE account = 'A-1';
SELECT version, type, reference, d_available, d_frozen, d_outside, available, frozen, note
  FROM refundx.journal_lines WHERE account = 'A-1' ORDER BY version;
-- Payments: recorded once; what is left out does not count, what differs does.
SELECT refundx.payment_record('pay', 'PP-1', 8800, 'CNY', channel_payment_id => '4200000001', paid_at => '2026-01-02 03:04:05+00',
	already_refunded => 800, account => 'A-1', contact => '13800138000', channel_data => '{"note": 1}');
SELECT refundx.payment_record('pay', 'PP-1', 8800, 'CNY');
SELECT refundx.payment_record('pay', 'PP-1', 8800, 'CNY', channel_payment_id => '4200000001', paid_at => '2026-01-02 03:04:05+00',
	already_refunded => 800, account => 'A-1', contact => '13800138000', channel_data => '{"note": 1}');
SELECT payment_no, currency, paid, paid_text, refunding, refunded, already_refunded, refundable, account, channel_payment_id,
	   paid_at AT TIME ZONE 'UTC', has_contact FROM refundx.payments WHERE payment_no = 'PP-1';
SET timezone = 'UTC';
SELECT pg_temp.fails(format($$SELECT refundx.payment_record('pay', 'PP-1', %s)$$, differs))
  FROM unnest(ARRAY[$$8801, 'CNY'$$, $$8800, 'CNY', channel_payment_id => '42'$$, $$8800, 'CNY', paid_at => '2026-01-02 03:04:06+00'$$,
					$$8800, 'CNY', already_refunded => 1$$, $$8800, 'CNY', channel_data => '{"note": 2}'$$,
					$$8800, 'CNY', contact => '13900139000'$$]) differs;
SELECT refundx.account_open('A-3', 'CNY');
SELECT pg_temp.fails($$SELECT refundx.payment_record('pay', 'PP-1', 8800, 'CNY', account => 'A-3')$$);
-- What is not a payment.
SELECT refundx.account_open('A-USD', 'USD');
SELECT pg_temp.fails(format($$SELECT refundx.payment_record(%s)$$, words))
  FROM unnest(ARRAY[$$'nobody', 'PP-2', 100, 'CNY'$$, $$NULL, 'PP-2', 100, 'CNY'$$, $$'pay', NULL, 100, 'CNY'$$,
					$$'pay', '', 100, 'CNY'$$, $$'pay', repeat('x', 65), 100, 'CNY'$$, $$'pay', E'a\tb', 100, 'CNY'$$,
					$$'pay', 'PP-2', 0, 'CNY'$$, $$'pay', 'PP-2', -1, 'CNY'$$, $$'pay', 'PP-2', NULL, 'CNY'$$,
					$$'pay', 'PP-2', 100, 'USD'$$, $$'pay', 'PP-2', 100, NULL$$,
					$$'pay', 'PP-2', 100, 'CNY', already_refunded => 101$$, $$'pay', 'PP-2', 100, 'CNY', already_refunded => -1$$,
					$$'pay', 'PP-2', 100, 'CNY', account => 'nobody'$$, $$'pay', 'PP-2', 100, 'CNY', account => 'A-USD'$$,
					$$'pay', 'PP-2', 100, 'CNY', contact => '138-0013-8000'$$, $$'pay', 'PP-2', 100, 'CNY', contact => '1234'$$,
					$$'pay', 'PP-2', 100, 'CNY', contact => '+1234567890123456'$$]) words;
SELECT count(*) FROM refundx.payments WHERE payment_no = 'PP-2';
-- A history, over a query.
SELECT count(*) FILTER (WHERE refundx.payment_record('pay', 'H-' || n, 100 + n, 'CNY')) FROM generate_series(1, 100) n;
SELECT count(*) FILTER (WHERE refundx.payment_record('pay', 'H-' || n, 100 + n, 'CNY')) FROM generate_series(1, 101) n;
-- No number in any view.
SELECT refundx.mask_phone('13800138000'), refundx.mask_phone('+15551234567'), refundx.mask_phone('123'), refundx.mask_phone(NULL);
SELECT refundx.format_amount(12345, 'CNY'), refundx.format_amount(5, 'CNY'), refundx.format_amount(-5, 'CNY'),
	   refundx.format_amount(12345, 'JPY'), refundx.format_amount(12345, 'KWD');
SELECT * FROM refundx.check();
