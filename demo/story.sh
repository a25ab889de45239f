# shellcheck shell=bash disable=SC2154 # dir: tools/demo
#
# story.sh
#	  The scenes of tools/demo, which sources this file.
#
# Only what users have is used: the functions and views of schema refundx.
# What a scene says it also looks at (`expect`), and what takes time it polls
# for, with a deadline; the first thing that does not come out as told ends
# the demo.

bold='' blue='' green='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
	bold=$'\e[1m' blue=$'\e[36m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

#----------------------------------------------------------------------------
# Telling
#----------------------------------------------------------------------------

line=------------------------------------------------------------------------

scene()
{
	printf '\n%s+%s+\n| %-70s |\n+%s+%s\n' "$bold" "$line" "$1" "$line" "$plain"
}

say()
{
	printf '\n'
	printf '%s\n' "$@" | fold -s -w 76 | sed 's/ *$//'
}

indent()
{
	sed 's/^/    /'
}

# Shows the SQL, runs it, shows the rows.
sql()
{
	printf '\n%s%s%s\n' "$blue" "$(printf '%s\n' "$1" | indent)" "$plain"
	rows "$1"
}

rows()
{
	printf '%s\n' "$1" | psql_demo -q -v ON_ERROR_STOP=1 -P footer=off -P format=wrapped -P columns=76 "${psql_more[@]}" -f - |
		sed '/^$/d' | indent
}
psql_more=()

# Shows the SQL, and that it is refused with this SQLSTATE.
sql_refused()
{
	local said

	printf '\n%s%s%s\n' "$blue" "$(printf '%s\n' "$2" | indent)" "$plain"
	said=$(printf '\\set VERBOSITY verbose\n%s\n' "$2" | psql_demo -q -f - 2>&1 >/dev/null |
		sed -n 's/^psql:<stdin>:[0-9]*: //; /^\(ERROR\|HINT\):/p')
	printf '%s\n' "$said" | fold -s -w 76 | sed 's/ *$//' | indent
	case $said in
		"ERROR:  $1: "*) printf '  %sok%s  it is refused\n' "$green" "$plain" ;;
		*)
			printf '%s  NOT as told: it should be refused with %s%s\n' "$red" "$1" "$plain"
			exit 1
			;;
	esac
}

# One value, for us.
value()
{
	psql_demo -qAt -v ON_ERROR_STOP=1 -c "$1"
}

sandbox()
{
	"$dir/refundx-sandbox" ctl --data "$dir/sandbox" "$@"
}

# The same, and shows it: somebody else acts.
somebody()
{
	printf '\n%s    $ refundx-sandbox ctl %s%s\n' "$blue" "$*" "$plain"
	sandbox "$@" >/dev/null
}

# The channel's books about these numbers.
ledger()
{
	printf '\n    %-12s %8s  %-10s %s\n' "the channel:" amount status "times paid"
	"$dir/refundx-sandbox" ledger --data "$dir/sandbox" --tsv | awk -F '\t' -v wanted=" $* " '
		index(wanted, " " $1 " ") { printf "    %-12s %8d  %-10s %d\n", $1, $2, $3, $4; n++ }
		END { if (!n) print "    (nothing)" }'
}

# expect WHAT QUERY RESULT [SECONDS]: that the query comes to that result.
expect()
{
	local deadline=$((SECONDS + ${4:-15})) is

	until is=$(value "$2") && [ "$is" = "$3" ]; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			printf '\n%s  NOT as told: %s%s\n  %s\n  is        %s\n  should be %s\n' \
				"$red" "$1" "$plain" "$2" "$is" "$3"
			exit 1
		fi
		sleep 0.05
	done
	printf '  %sok%s  %s\n' "$green" "$plain" "$1"
}

expect_state()
{
	expect "refund $1 is $2" "SELECT refundx.refund_state('$1')" "$2" "${3:-15}"
}

expect_withdrawal()
{
	expect "withdrawal $1 is $2" "SELECT refundx.withdraw_state('$1')" "$2" "${3:-15}"
}

# expect_transferred NO PAID BOUNCED: how often the channel has paid it, and how often it came back.
expect_transferred()
{
	local is

	is=$("$dir/refundx-sandbox" ledger --data "$dir/sandbox" --transfers-tsv |
		awk -F '\t' -v no="$1" '$1 == no { n = $4 "/" $5 } END { print n ? n : "0/0" }')
	if [ "$is" != "$2/$3" ]; then
		printf '%s  NOT as told: the channel has for %s (paid/came back) %s, not %s%s\n' "$red" "$1" "$is" "$2/$3" "$plain"
		exit 1
	fi
	case $is in
		0/0) printf '  %sok%s  the channel paid nothing for %s\n' "$green" "$plain" "$1" ;;
		1/0) printf '  %sok%s  the channel paid %s once\n' "$green" "$plain" "$1" ;;
		1/1) printf '  %sok%s  the channel paid %s once, and has it back once\n' "$green" "$plain" "$1" ;;
	esac
}

expect_paid()
{
	local is

	is=$("$dir/refundx-sandbox" ledger --data "$dir/sandbox" --tsv |
		awk -F '\t' -v no="$1" '$1 == no { n = $4 } END { print n + 0 }')
	if [ "$is" != "$2" ]; then
		printf '%s  NOT as told: the channel paid %s %s times, not %s%s\n' "$red" "$1" "$is" "$2" "$plain"
		exit 1
	fi
	case $2 in
		0) printf '  %sok%s  the channel paid nothing for %s\n' "$green" "$plain" "$1" ;;
		1) printf '  %sok%s  the channel paid %s once\n' "$green" "$plain" "$1" ;;
	esac
}

ACCOUNT="SELECT account, available_text AS available, frozen_text AS frozen
  FROM refundx.accounts WHERE account = 'store-7';"

# As often the sandbox has pushed the callback of NO and heard yes.
pushed_times()
{
	[ "$(grep -c " $1 .*-> 20[04]" "$dir/sandbox/sandbox.log")" = "$2" ]
}

# One payment with a refund at WeChat Pay: the refund's number, and the amount in fen.
submit_text()
{
	echo "SELECT refund_no, amount, state FROM refundx.refund_submit(
    channel => 'wx', payment_no => 'order-${1#R}', refund_no => '$1',
    amount => $2, reason => '$3',
    payment_amount => $2, currency => 'CNY',
    account => 'store-7', contact => '13800138000');"
}

# Likewise at Alipay; the payment is known already.
submit_alipay()
{
	echo "SELECT refund_no, amount, state FROM refundx.refund_submit(
    channel => 'alipay', payment_no => '$1', refund_no => '$2',
    amount => $3, reason => '$4');"
}

# Likewise at Stripe, in cents.
submit_stripe()
{
	echo "SELECT refund_no, amount, state FROM refundx.refund_submit(
    channel => 'stripe', payment_no => 'order-$1', refund_no => '$1',
    amount => $2, reason => '$3',
    payment_amount => 20000, currency => 'USD',
    channel_payment_id => 'pi_3NxDemo$1', account => 'store-us');"
}

# What a withdrawal did to its account.
withdrawal_lines()
{
	echo "SELECT version, type, withdrawal_no, d_available, d_frozen, available, frozen
  FROM refundx.journal_lines WHERE withdrawal_no = '$1' ORDER BY version;"
}

# The calls about a refund, oldest first.
attempts_text()
{
	echo "SELECT call, http_status AS http, code, verdict, proof
  FROM refundx.attempts WHERE refund_no = '$1' ORDER BY started_at;"
}

#----------------------------------------------------------------------------
# The scenes
#----------------------------------------------------------------------------

prologue()
{
	scene "Before it begins: a shop with refundx"
	say "A database, the extension, three channels (WeChat Pay, Alipay and Stripe, played by the sandbox on this machine), an SMS provider, and two accounts, with 2000 yuan and 1000 dollars, from which the stores' refunds and withdrawals are paid. Keys are files; the configuration only names them." \
		"(\"time_scale\": refundx's waits are a tenth of the real ones here. \"not_found_after\": it believes the channel's \"never heard of it\" after 2 seconds instead of 60.)"
	PGDATABASE=postgres psql_demo -q -c 'CREATE DATABASE shop'
	psql_more=(-v "wechat=$(cat "$dir/sandbox/channel.json")" -v "alipay=$(cat "$dir/sandbox/channel-alipay-cert.json")"
		-v "stripe=$(cat "$dir/sandbox/channel-stripe.json")" -v "sms=$(cat "$dir/sandbox/sms.json")"
		-v 'quick={"time_scale": 10, "not_found_after": 2}')
	sql "CREATE EXTENSION refundx;
SELECT refundx.channel_add('wx', 'wechat', :'wechat'::jsonb || :'quick') AS wechat,
       refundx.channel_add('alipay', 'alipay', :'alipay'::jsonb || :'quick') AS alipay,
       refundx.channel_add('stripe', 'stripe', :'stripe'::jsonb || :'quick') AS stripe;
SELECT refundx.notice_provider_add('sms', 'aliyun', :'sms'::jsonb) AS provider;
SELECT refundx.notice_template_set('succeeded', '*', 'sms',
    '{\"sign\": \"Shop\", \"code\": \"SMS_100001\",
      \"params\": {\"no\": \"refund_no\", \"amount\": \"amount\"}}') AS text;
SELECT refundx.account_open('store-7', 'CNY') AS opened,
       refundx.account_credit('store-7', 200000, 'opening balance') AS credited,
       refundx.account_open('store-us', 'USD') AS opened,
       refundx.account_credit('store-us', 100000, 'opening balance') AS credited;"
	psql_more=()
	value "CREATE TABLE orders (order_no text PRIMARY KEY, status text NOT NULL);
		INSERT INTO orders VALUES ('order-1', 'paid'), ('order-6', 'paid'), ('order-9', 'new'), ('order-17', 'paid');
		CREATE TABLE couriers (name text PRIMARY KEY, status text NOT NULL);
		INSERT INTO couriers VALUES ('lin', 'to pay');
		CREATE TABLE inbox (n int GENERATED ALWAYS AS IDENTITY, trade_status text, out_biz_no text,
			refundx_says text, answered text)" >/dev/null
	expect "all workers are up" \
		"SELECT count(*) FILTER (WHERE state = 'up') >= 4 FROM refundx.worker_status()" t
	expect "channel_check() finds nothing wrong with any of them" \
		"SELECT count(*) FILTER (WHERE level = 'error') || ' of ' || count(DISTINCT c.name)
		   FROM refundx.channels c, LATERAL refundx.channel_check(c.name, call => true)" "0 of 3"

	# where the channels send what brings no address of its own
	start_shop
	sandbox notify-url "$(merchant_of alipay)" "http://127.0.0.1:$(cat "$dir/shop/port")/notify" >/dev/null
	sandbox gateway-url "$(merchant_of alipay)" "http://127.0.0.1:$callback_port/v1/alipay" >/dev/null
	sandbox webhook-url "$(merchant_of stripe)" "http://127.0.0.1:$callback_port/v1/stripe" >/dev/null
}

# The shop's own web server, which Alipay notifies.
start_shop()
{
	# it runs as who may not reach the checkout
	mkdir "$dir/shop"
	cp "$here/demo/shop.pl" "$dir/shop/"
	give_to_run_user "$dir/shop"
	(
		cd "$dir/shop" || exit
		exec setsid "${AS_RUN_USER[@]}" "$dir/shop/shop.pl" "$dir/shop" \
			"$(cat "$dir/bindir")/psql" -h "$dir/cluster" -p 5432 -U postgres -d shop >>"$dir/shop.out" 2>&1 </dev/null
	) &
	disown
	wait_until 10 test -s "$dir/shop/port" || die "the shop did not start: $(tail -3 "$dir/shop.out")"
}

merchant_of()
{
	value "SELECT merchant_no FROM refundx.channels WHERE name = '$1'"
}

scene_success()
{
	scene "1. A refund that succeeds"
	say "The application changes its own row and submits the refund in one transaction: both happen, or neither. Before:"
	sql "$ACCOUNT"
	sql "BEGIN;
UPDATE orders SET status = 'refunding' WHERE order_no = 'order-1';
SELECT refund_no, amount, state FROM refundx.refund_submit(
    channel => 'wx', payment_no => 'order-1', refund_no => 'R1',
    amount => 1288, reason => 'wrong size',
    payment_amount => 5000, currency => 'CNY',    -- first sight of this payment
    account => 'store-7', contact => '13800138000');
$ACCOUNT
COMMIT;"
	say "12.88 is frozen with the commit. Now the workers call WeChat Pay, which accepts, pays, and calls back; that settles the refund, and an SMS goes out last of all."
	expect_state R1 succeeded
	expect_paid R1 1
	sql "SELECT version, type, refund_no, d_available, d_frozen, available, frozen
  FROM refundx.journal_lines WHERE account = 'store-7' ORDER BY version;"
	expect "its SMS was sent" "SELECT state FROM refundx.notices WHERE refund_no = 'R1'" sent
	sql "SELECT refund_no, transition, phone, state FROM refundx.notices;"
	sql "SELECT to_char(at, 'SS.MS') AS second, what, from_state AS from, to_state AS to
  FROM refundx.refund_timeline('R1');"
}

scene_refused()
{
	scene "2. A refund that the channel refuses for good"
	say "The payer's WeChat account is closed: 403 USER_ACCOUNT_ABNORMAL. The sandbox says that to any amount that ends in 90.01. A refusal is not signed, so it is only a hint: it is believed when a query agrees (after not_found_after), and not before."
	sql "$(submit_text R2 9001 'changed my mind')"
	expect_state R2 failed
	expect_paid R2 0
	sql "SELECT call, http_status AS http, code, verdict, proof FROM refundx.attempts
 WHERE refund_no = 'R2' ORDER BY started_at;"
	sql "SELECT version, type, refund_no, d_available, d_frozen, available, frozen
  FROM refundx.journal_lines WHERE refund_no = 'R2' ORDER BY version;"
	say "Frozen, then released. What support staff would read to the payer:"
	sql "SELECT refundx.refund_explain('R2');"
	expect "what R2 froze is free again" "SELECT frozen FROM refundx.accounts WHERE account = 'store-7'" 0
}

scene_timeout()
{
	scene "3. The call times out after the channel has paid"
	say "The sandbox pays (amounts ending in 90.02) but never answers, and its callbacks are held back too. Whether the money has left is unknown, so it is neither failed nor sent again: it is asked about."
	sandbox pause-callbacks on >/dev/null
	sql "$(submit_text R3 9002 'damaged')"
	expect "the call timed out, and R3 became unknown" \
		"SELECT count(*) FROM refundx.events WHERE refund_no = 'R3' AND to_state = 'unknown'" 1
	expect_state R3 succeeded
	expect_paid R3 1
	sql "SELECT call, date_trunc('milliseconds', took) AS took, http_status AS http, verdict, proof
  FROM refundx.attempts WHERE refund_no = 'R3' ORDER BY started_at;"
	sql "SELECT what, from_state AS from, to_state AS to, left(note, 28) AS note
  FROM refundx.refund_timeline('R3') WHERE what NOT LIKE 'notice%';"
	expect "it was sent one single time" \
		"SELECT count(*) FROM refundx.attempts WHERE refund_no = 'R3' AND call = 'submit'" 1
	sandbox pause-callbacks off >/dev/null
	say "Now the callback comes after all. It is kept, and changes nothing:"
	expect "one pay_out for R3, also after the late callback" \
		"SELECT (SELECT count(*) FROM refundx.journal_lines WHERE refund_no = 'R3' AND type = 'pay_out')
		     || '/' || (SELECT count(*) FROM refundx.evidence_log
		                 WHERE refund_no = 'R3' AND source = 'callback' AND outcome = 'noted')" 1/1
}

scene_abnormal()
{
	scene "4. The channel has the money, but the payer's card is dead"
	say "WeChat calls this ABNORMAL (amounts ending in 90.04). It is not failed: releasing the money would let it be paid twice. It waits, frozen, and is with a person until the channel says how it ended."
	sql "$(submit_text R4 9004 'not as described')"
	expect_state R4 abnormal
	psql_more=(-x)
	sql "SELECT subject, state, reason, suggestion FROM refundx.desk;"
	psql_more=()
	sql "$ACCOUNT"
	expect "the 90.04 are still frozen" "SELECT frozen FROM refundx.accounts WHERE account = 'store-7'" 9004
	expect_paid R4 0
}

scene_callbacks()
{
	scene "5. The same callback, five times"
	say "Channels push a callback until they hear yes, and sometimes more than once (amounts ending in 90.05). Copies are acknowledged, and mean what one means."
	sql "$(submit_text R5 9005 'double order')"
	expect_state R5 succeeded
	if ! wait_until 10 pushed_times R5 5; then
		printf '%s  NOT as told: the sandbox did not push five times%s\n' "$red" "$plain"
		exit 1
	fi
	printf '  %sok%s  the sandbox pushed the callback five times, and got yes each time\n' "$green" "$plain"
	sql "SELECT source, verdict, proof, outcome FROM refundx.evidence_log WHERE refund_no = 'R5';"
	expect "it was kept once, and paid out once" \
		"SELECT (SELECT count(*) FROM refundx.evidence_log WHERE refund_no = 'R5' AND source = 'callback')
		     || '/' || (SELECT count(*) FROM refundx.journal_lines WHERE refund_no = 'R5' AND type = 'pay_out')" 1/1
	expect_paid R5 1
}

scene_rollback()
{
	local before

	scene "6. The caller rolls back"
	say "A submit is part of the caller's transaction. Rolled back, it has never been: nothing is frozen, nothing queued, and the channel hears nothing."
	before=$(value "$ACCOUNT")
	sql "BEGIN;
UPDATE orders SET status = 'refunding' WHERE order_no = 'order-6';
$(submit_text R6 2500 'never happens')
ROLLBACK;
SELECT * FROM orders WHERE order_no = 'order-6';"
	ledger R6
	expect "there is no refund R6" "SELECT refundx.refund_state('R6') IS NULL" t
	expect "the account is as before" "$ACCOUNT" "$before"
	expect_paid R6 0
}

#
# The postmaster first, then its children: whoever dies later would otherwise
# see it and begin to clean up, which a power cut allows nobody.
#
kill_server()
{
	local postmaster stat pids

	postmaster=$(head -1 "$dir/cluster/data/postmaster.pid")
	pids=$postmaster
	for stat in /proc/[0-9]*/stat; do
		stat=$(cat "$stat" 2>/dev/null) || continue
		# pid (name) state parent ...
		[ "$(echo "${stat##*) }" | cut -d ' ' -f 2)" != "$postmaster" ] || pids="$pids ${stat%% *}"
	done
	# shellcheck disable=SC2086 # a list of numbers
	kill -KILL $pids
	wait_until 20 gone "$pids" || die "the server would not die"
	# what is dead but was never waited for would still count as alive
	rm -f "$dir/cluster/data/postmaster.pid" "$dir/cluster/.s.PGSQL.5432.lock"
}

# The link of a process that has ended, but whose parent has not looked,
# cannot be read any more.
gone()
{
	local pid

	for pid in $1; do
		! readlink "/proc/$pid/exe" >/dev/null 2>&1 || return 1
	done
}

scene_kill()
{
	scene "7. kill -9 of the whole server, with refunds in flight"
	say "Six refunds. Two are accepted but their answers never come (90.18), two hang in the channel before it has taken them on (90.19), two are plain. Callbacks are held back. Then every process of the server gets SIGKILL. (The calls get 5 seconds here, so that they are under way when that happens.)"
	sandbox pause-callbacks on >/dev/null
	value "SELECT refundx.channel_set('wx', '{\"time_scale\": 3}')" >/dev/null
	sql "SELECT refund_no, state FROM generate_series(71, 76) n, LATERAL refundx.refund_submit(
    channel => 'wx', payment_no => 'order-' || n, refund_no => 'R' || n,
    amount => CASE n % 3 WHEN 0 THEN 9018 WHEN 1 THEN 9019 ELSE 3000 END,
    payment_amount => 30000, currency => 'CNY', account => 'store-7');"
	expect "four calls are under way" \
		"SELECT count(*) FROM refundx.inflight WHERE state = 'sending'" 4
	expect "two are accepted" \
		"SELECT count(*) FROM refundx.inflight WHERE state = 'accepted' AND refund_no LIKE 'R7_'" 2
	kill_server
	printf '\n%s    kill -9: the server is gone.%s\n' "$bold" "$plain"
	ledger R71 R72 R73 R74 R75 R76
	say "The channel has paid some of them; we have not been told. The server starts again. An attempt is a committed row before its socket opens, so what was under way is known: it is asked about before it is sent again, with the same number and the same bytes. The hanging calls now land, too."
	start_server
	expect "those whose calls were under way became unknown" \
		"SELECT count(DISTINCT refund_no) FROM refundx.events WHERE from_state = 'sending' AND to_state = 'unknown'
		    AND refund_no LIKE 'R7_'" 4
	sandbox release all >/dev/null
	sandbox pause-callbacks off >/dev/null
	expect "all six have succeeded" \
		"SELECT count(*) FROM refundx.refunds WHERE state = 'succeeded' AND refund_no LIKE 'R7_'" 6 30
	ledger R71 R72 R73 R74 R75 R76
	for no in R71 R72 R73 R74 R75 R76; do
		expect_paid "$no" 1 >/dev/null || { expect_paid "$no" 1; exit 1; }
	done
	printf '  %sok%s  the channel paid each of them once\n' "$green" "$plain"
	value "SELECT refundx.channel_set('wx', '{\"time_scale\": 10}')" >/dev/null
}

scene_sms()
{
	scene "8. An SMS provider that is down delays nothing"
	say "The provider breaks every connection from now on. Ten refunds, each with an SMS to send:"
	sandbox sms down >/dev/null
	sql "SELECT count(*) AS submitted FROM generate_series(80, 89) n, LATERAL refundx.refund_submit(
    channel => 'wx', payment_no => 'order-' || n, refund_no => 'R' || n, amount => 1000,
    payment_amount => 1000, currency => 'CNY', account => 'store-7', contact => '13800138000');"
	expect "all ten have succeeded" \
		"SELECT count(*) FROM refundx.refunds WHERE state = 'succeeded' AND refund_no LIKE 'R8_'" 10 10
	sql "SELECT round(extract(epoch FROM avg(state_since - submitted_at)), 3) AS \"settled after (s)\"
  FROM refundx.refunds WHERE refund_no LIKE 'R8_';"
	expect "none of their messages was sent" \
		"SELECT count(*) FROM refundx.notices WHERE refund_no LIKE 'R8_' AND state = 'sent'" 0
	sql "SELECT state, count(*) AS messages FROM refundx.notices
 WHERE refund_no LIKE 'R8_' GROUP BY state;"
	say "No SMS provider recognises a message that it is given twice. So one that may have gone out is not sent again: it is \"ambiguous\", and with a person. The provider comes back; the next refund's message goes out:"
	sandbox sms ok >/dev/null
	sql "$(submit_text R90 1000 'one more')"
	expect_state R90 succeeded
	expect "its SMS was sent" "SELECT state FROM refundx.notices WHERE refund_no = 'R90'" sent 30
}

scene_payment()
{
	scene "9. Alipay tells of a payment, and of a refund, in the same words"
	say "Alipay sends both to the shop, at the address that came with the payment. The shop passes the bytes to callback_ingest(), which verifies them. First somebody pays for order-9:"
	sql "SELECT * FROM orders WHERE order_no = 'order-9';"
	sandbox order "$(merchant_of alipay)" 2026112722001400009 order-9 20000 >/dev/null
	sandbox payment-notify "$(merchant_of alipay)" order-9 >/dev/null
	expect "refundx says not_ours, so it is the shop's: order-9 is paid" \
		"SELECT status FROM orders WHERE order_no = 'order-9'" paid
	say "Then a part of it is refunded. Alipay answers at once, and fund_change=Y in a signed answer is proof:"
	sql "SELECT refundx.payment_record('alipay', 'order-9', 20000, 'CNY', account => 'store-7') AS recorded;
$(submit_alipay order-9 A1 1288 'wrong colour')"
	expect_state A1 succeeded
	expect_paid A1 1
	sql "$(attempts_text A1)"
	say "The notification that follows is the payment's once more (TRADE_SUCCESS), but for the sum of all refunds in it. It moves no money; it makes refundx ask."
	expect "it was not taken for a payment: refundx has it" \
		"SELECT refundx_says || ', ' || answered FROM inbox WHERE out_biz_no = 'A1'" "stored, success"
	sql "SELECT trade_status, out_biz_no, refundx_says, answered FROM inbox ORDER BY n;"
	expect "and the payment's was not taken for a refund's" \
		"SELECT count(*) FROM refundx.evidence_log WHERE channel = 'alipay' AND source = 'callback' AND proof" 0
}

scene_alipay_timeout()
{
	scene "10. Alipay pays, and never answers"
	say "Amounts ending in 90.02. The same number and amount is the same refund to Alipay, but refundx asks first all the same:"
	sandbox pause-callbacks on >/dev/null
	sql "SELECT refundx.payment_record('alipay', 'order-10', 9002, 'CNY', account => 'store-7') AS recorded;
$(submit_alipay order-10 A2 9002 'damaged')"
	expect "the call timed out, and A2 became unknown" \
		"SELECT count(*) FROM refundx.events WHERE refund_no = 'A2' AND to_state = 'unknown'" 1
	expect_state A2 succeeded
	expect_paid A2 1
	sql "$(attempts_text A2)"
	expect "it was sent one single time" \
		"SELECT count(*) FROM refundx.attempts WHERE refund_no = 'A2' AND call = 'submit'" 1
	sandbox pause-callbacks off >/dev/null
}

scene_stripe()
{
	scene "11. Stripe: accepted, then a webhook, then a question"
	say "Stripe's webhooks come in any order, each with the refund as it was when it was written. So none of them moves money: it makes refundx ask, and the answer does."
	sql "$(submit_stripe S1 2500 'too small')"
	expect_state S1 succeeded
	expect_paid S1 1
	sql "SELECT source, code, verdict, proof, outcome FROM refundx.evidence_log
 WHERE refund_no = 'S1' ORDER BY received_at;"
	expect "the webhooks were hints, and the query is the proof" \
		"SELECT string_agg(DISTINCT source || ' ' || proof, ', ' ORDER BY source || ' ' || proof)
		   FROM refundx.evidence_log WHERE refund_no = 'S1'" "answer true, callback false, query true"
}

scene_stripe_lost()
{
	scene "12. Stripe: the answer is lost, or is an error that stays"
	say "S2 (amounts ending in 92.05): the refund is made and the connection breaks. Stripe cannot be asked about our number, only for the refunds of a payment; ours is behind 230 newer ones, on the third page." \
		"S3 (90.22): a 503 without effect, which Stripe keeps under the Idempotency-Key and would repeat for a day. When the whole list does not have the refund, the key's generation rises, and it is sent again."
	sql "$(submit_stripe S2 9205 'never arrived')
$(submit_stripe S3 9022 'never arrived')"
	expect "both became unknown" \
		"SELECT count(DISTINCT refund_no) FROM refundx.events WHERE refund_no IN ('S2', 'S3') AND to_state = 'unknown'" 2
	expect_state S2 succeeded
	expect_state S3 succeeded
	expect_paid S2 1
	expect_paid S3 1
	sql "$(attempts_text S2)"
	expect "S2 was sent once, and found" \
		"SELECT count(*) FILTER (WHERE call = 'submit') FROM refundx.attempts WHERE refund_no = 'S2'" 1
	sql "$(attempts_text S3)"
	expect "S3 was not found, and sent again under a new key" \
		"SELECT count(*) FILTER (WHERE call = 'submit') || ' ' || (count(*) FILTER (WHERE verdict = 'not_found') > 0)
		   FROM refundx.attempts WHERE refund_no = 'S3'" "2 true"
}

scene_stripe_returned()
{
	scene "13. Stripe: a refund that fails after it has succeeded"
	say "The payer's bank sends the money back, days later. \"succeeded\" does not become \"failed\": it becomes \"returned\", with journal lines of its own. Before:"
	sql "$(submit_stripe S4 3000 'wrong item')"
	expect_state S4 succeeded
	sql "${ACCOUNT//store-7/store-us}"
	sandbox settle S4 CLOSED >/dev/null
	say "And after the bank has refused it:"
	expect_state S4 returned
	sql "SELECT version, type, refund_no, d_available, d_frozen, available, frozen
  FROM refundx.journal_lines WHERE refund_no = 'S4' ORDER BY version;"
	sql "SELECT refundx.refund_explain('S4');"
	expect "the 30 dollars are the store's again" \
		"SELECT sum(d_available) || '/' || sum(d_frozen) FROM refundx.journal_lines WHERE refund_no = 'S4'" 0/0
}

scene_withdrawal()
{
	scene "14. A withdrawal that arrives, when the payee says so"
	say "Money that goes out to somebody who has paid nothing: a courier's wages, through WeChat Pay. The submit is part of the caller's transaction, as ever. Before:"
	sql "$ACCOUNT"
	sql "BEGIN;
UPDATE couriers SET status = 'paying' WHERE name = 'lin';
SELECT withdrawal_no, net, payee, state FROM refundx.withdraw_submit(
    account => 'store-7', withdrawal_no => 'W1', amount => 9004, channel => 'wx',
    payee => '{\"openid\": \"oUpF8uMuAJO_M2pxb1Q9zNjWeS6o\"}', reason => 'wages');
$ACCOUNT
COMMIT;"
	say "Whom it pays is sealed: no view shows more of it than that. WeChat wants the payee's own yes, in the app. Until it comes the money stays frozen. (The sandbox's payees agree by themselves, but not to amounts ending in 90.04.)"
	expect_withdrawal W1 accepted
	psql_more=(-x)
	sql "SELECT withdrawal_no, channel, net, payee, detail FROM refundx.awaiting_payee;"
	sql "SELECT left(refundx.withdraw_package('W1'), 40) AS \"what the shop's app gets\";"
	psql_more=()
	expect "there is something to hand over" "SELECT refundx.withdraw_package('W1') IS NOT NULL" t
	expect_transferred W1 0 0
	say "The shop's app opens WeChat's page with it, and the payee agrees:"
	somebody confirm W1
	expect_withdrawal W1 succeeded
	expect_transferred W1 1 0
	sql "$(withdrawal_lines W1)"
	expect "nobody is waited for any more, and there is nothing to hand over" \
		"SELECT (SELECT count(*) FROM refundx.awaiting_payee) || '/' || (refundx.withdraw_package('W1') IS NULL)" 0/true
}

scene_bounce()
{
	scene "15. A withdrawal that comes back from the bank"
	say "A supplier's bank card, through Alipay. The bank has said yes, so it has succeeded. Days later it turns out that the card was closed, and Alipay gives the money back (退票)."
	sql "SELECT withdrawal_no, net, payee, state FROM refundx.withdraw_submit(
    account => 'store-7', withdrawal_no => 'W2', amount => 30000, channel => 'alipay',
    payee => '{\"card_no\": \"6222020200012345670\", \"name\": \"张三\",
               \"inst_name\": \"中国工商银行\", \"account_type\": \"personal\"}',
    reason => 'invoice 4711');"
	expect_withdrawal W2 succeeded
	expect_transferred W2 1 0
	sql "$ACCOUNT"
	somebody bounce W2
	expect_withdrawal W2 returned
	expect_transferred W2 1 1
	say "Alipay's message made refundx ask, and the answer is the proof. That it had succeeded stays true: it is \"returned\", and the account is credited, once:"
	sql "$(withdrawal_lines W2)"
	sql "$ACCOUNT"
	psql_more=(-x)
	sql "SELECT withdrawal_no, account, net, payee, detail, returned_at > had_succeeded_at AS later
  FROM refundx.bounced;"
	psql_more=()
	say "Three more copies of the message come in, and change nothing:"
	somebody callback W2 3
	# with those of the success and of the return
	if ! wait_until 10 pushed_times W2 5; then
		printf '%s  NOT as told: the sandbox did not push five times%s\n' "$red" "$plain"
		exit 1
	fi
	expect "the account has its 300 yuan again, once" \
		"SELECT count(*) FILTER (WHERE type = 'return') || ' ' || sum(d_available) || '/' || sum(d_frozen)
		   FROM refundx.journal_lines WHERE withdrawal_no = 'W2'" "1 0/0"
}

scene_approval()
{
	scene "16. A withdrawal that a second person has to agree to"
	say "The back office shares one login, and says who acts (refundx.actor). From 200 yuan on, two of them are needed:"
	sql "SELECT refundx.withdraw_policy_set('alipay', '{\"approve_above\": 20000}') AS \"rule\";"
	sql "SET refundx.actor = 'mei';
SELECT withdrawal_no, net, state FROM refundx.withdraw_submit(
    account => 'store-7', withdrawal_no => 'W3', amount => 25000, channel => 'alipay',
    payee => '{\"user_id\": \"2088123412341234\"}', reason => 'deposit back');
$ACCOUNT"
	psql_more=(-x)
	sql "SELECT withdrawal_no, net, payee, approval, submitted_by_person FROM refundx.awaiting_approval;"
	psql_more=()
	say "It is frozen, and not sent. Mei cannot let it go herself:"
	sql_refused RX021 "SET refundx.actor = 'mei';
SELECT refundx.approve('W3', 'it is fine');"
	expect_withdrawal W3 awaiting_approval
	expect "no call was made for it" "SELECT count(*) FROM refundx.attempts WHERE withdrawal_no = 'W3'" 0
	say "Jun looks at it:"
	sql "SET refundx.actor = 'jun';
SELECT withdrawal_no, state FROM refundx.approve('W3', 'seen the contract');"
	expect_withdrawal W3 succeeded
	expect_transferred W3 1 0
	sql "SELECT what, to_state AS to, by, left(note, 20) AS note
  FROM refundx.withdraw_timeline('W3');"
	expect "who submitted it and who approved it is on record" \
		"SELECT (SELECT actor FROM refundx.withdrawals WHERE withdrawal_no = 'W3') || ', ' || a.actor
		   FROM refundx.audit_log a WHERE subject = 'W3' AND action = 'approve'" "mei, jun"
}

scene_guard()
{
	scene "17. An order that nobody changes while its refund is under way"
	say "A guard on the shop's own table: while a refund of an order is in flight, what that refund was decided on does not change."
	sql "SELECT refundx.guard_add('orders', key => 'order_no', columns => '{status}');"
	say "The refund names the row, and says what the application has read of it. (Of amounts ending in 90.13 WeChat does not tell how they ended: refundx has to ask, some seconds from now.)"
	sql "BEGIN;
SELECT refund_no, amount, state FROM refundx.refund_submit(
    channel => 'wx', payment_no => 'order-17', refund_no => 'R17',
    amount => 9013, reason => 'too small', payment_amount => 9013, currency => 'CNY',
    account => 'store-7', guards => '{\"table\": \"public.orders\", \"key\": \"order-17\",
                                      \"expect\": {\"status\": \"paid\"}}');
UPDATE orders SET status = 'refunding' WHERE order_no = 'order-17';
COMMIT;"
	expect_state R17 accepted
	say "The transaction that submitted it could change the row. Now somebody at psql, a superuser, means well:"
	sql_refused RX022 "UPDATE orders SET status = 'shipped' WHERE order_no = 'order-17';"
	sql_refused RX022 "SET session_replication_role = replica;
DELETE FROM orders WHERE order_no = 'order-17';"
	sql_refused RX022 "ALTER TABLE orders DISABLE TRIGGER ALL;"
	expect "the row is as it was" "SELECT status FROM orders WHERE order_no = 'order-17'" refunding
	sql "SELECT table_name, key, refund_no, state FROM refundx.locks;"
	say "A second refund, by somebody who has read the order before all this:"
	sql_refused RX023 "SELECT refundx.refund_submit('wx', 'order-17', 'R17b', 100, guards =>
    '{\"table\": \"public.orders\", \"key\": \"order-17\", \"expect\": {\"status\": \"paid\"}}');"
	say "When WeChat has answered, the row is free:"
	expect_state R17 succeeded 60
	sql "UPDATE orders SET status = 'refunded' WHERE order_no = 'order-17';"
	expect "nothing is locked any more" "SELECT count(*) FROM refundx.locks" 0
}

scene_pause()
{
	scene "18. Something looks wrong: a pause by hand"
	say "Alice at the night desk sees more refunds than she likes. She stops them first, and looks afterwards. It needs a reason:"
	sql_refused 22023 "SELECT refundx.pause('merchant', 'wx', '', about => 'refund');"
	sql "SELECT refundx.pause('merchant', 'wx', 'too many tonight', about => 'refund');"
	say "The shop goes on: its refund is accepted, its amount is frozen, and it waits."
	sql "$(submit_text R18 1800 'wrong colour')"
	sql "SELECT refundx.refund_explain('R18');"
	sql "SELECT scope, subject, about, cause, reason FROM refundx.pauses;"
	say "Another channel's refunds are not concerned. One through Stripe, submitted after it:"
	sql "$(submit_stripe S18 1800 'wrong colour')"
	expect_state S18 succeeded
	expect_state R18 queued
	expect_paid R18 0
	say "It was a sale, and nothing worse. And so that no night gets out of hand while nobody looks, there is a cap from now on:"
	sql "SELECT refundx.resume('merchant', 'wx', 'a sale, it is fine', about => 'refund');"
	expect_state R18 succeeded
	expect_paid R18 1
	sql "SELECT refundx.cap_set('merchant', 'wx', within => '1 hour', max_number => 500,
    max_amount => 1000000, about => 'refund', reason => 'no night gets out of hand') > 0 AS \"set\";
SELECT used_amount_text AS used, max_amount_text AS of, used_number AS number, max_number AS of
  FROM refundx.caps;"
	expect "the refunds of the last hour count under it" "SELECT used_number > 5 FROM refundx.caps" t
	sql "SELECT action, subject, reason FROM refundx.audit_log
 WHERE action IN ('pause', 'resume', 'cap_set') ORDER BY audit_id;"
}

scene_handler()
{
	scene "19. The shop's own update: a handler that fails, is mended, and is called again"
	say "When a refund has succeeded, the shop has something to write as well. refundx calls its function in the transaction that settles the money, as a role of the shop's:"
	sql "CREATE ROLE shop_backend;
GRANT SELECT, UPDATE ON orders TO shop_backend;
CREATE FUNCTION on_refund_succeeded(r refundx.refund) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS \$\$
BEGIN
    UPDATE orders SET status = 'refunded' WHERE order_no = r.payment_no;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no order %', r.payment_no;
    END IF;
END \$\$;"
	sql_refused RX011 "SELECT refundx.handler_add('refund.succeeded', 'public.on_refund_suceeded(refundx.refund)',
    role => 'shop_backend');"
	sql "SELECT refundx.handler_add('refund.succeeded', 'public.on_refund_succeeded(refundx.refund)',
    role => 'shop_backend');"
	say "Somebody has moved order-19 to an archive. Its refund:"
	sql "$(submit_text R19 1900 'too loud')"
	expect_state R19 succeeded
	expect_paid R19 1
	expect "the handler has failed, and it is said why" \
		"SELECT message FROM refundx.handler_failures WHERE refund_no = 'R19'" "there is no order order-19"
	sql "SELECT state, tries, code, message FROM refundx.handler_failures;"
	say "The money is settled, for the channel has paid. But the payer gets no message before the shop has followed:"
	sql "SELECT refundx.refund_explain('R19');"
	expect "no message yet" "SELECT count(*) FROM refundx.notices WHERE refund_no = 'R19'" 0
	say "The cause is mended, and the handler is called again:"
	sql "INSERT INTO orders VALUES ('order-19', 'paid');
SELECT refundx.handler_retry('R19', 'the order is back from the archive');"
	expect "now the shop has followed" "SELECT status FROM orders WHERE order_no = 'order-19'" refunded
	expect "and the message is sent" "SELECT state FROM refundx.notices WHERE refund_no = 'R19'" sent 30
	say "And for a caller who wants to wait, submitting and waiting in one:"
	sql "INSERT INTO orders VALUES ('order-19b', 'paid');
CALL refundx.refund_now('wx', 'order-19b', 'R19b', 1900, 'too quiet',
    payment_amount => 1900, currency => 'CNY', account => 'store-7', timeout => '20 s');"
	expect_state R19b succeeded
	expect "the order with it" "SELECT status FROM orders WHERE order_no = 'order-19b'" refunded
	sql "SELECT refundx.handler_remove('refund.succeeded', 'public.on_refund_succeeded', 'the scene is over');"
}

# What the bill says of a refund is what it was when the bill was made.
arrived_there()
{
	"$dir/refundx-sandbox" ledger --data "$dir/sandbox" --tsv |
		awk -F '\t' -v no="$1" '$1 == no && $3 == "SUCCESS" { found = 1 } END { exit !found }'
}

# The channel's bill of a day, as somebody downloads it from its web site: $dir/bill.csv.
download_bill()
{
	printf '\n%s    $ refundx-sandbox ctl bill %s trade %s >bill.csv%s\n' "$blue" "$merchant" "$day" "$plain"
	sandbox bill "$merchant" trade "$day" >"$dir/bill.csv"
	chmod a+r "$dir/bill.csv"
	psql_more=(-v "day=$day" -v "file=$dir/bill.csv")
	PGOPTIONS='-c client_min_messages=warning' sql "SELECT refundx.bill_load_file('wx', 'trade', :'day', :'file') > 0 AS loaded;
SELECT class, about, n, our_amount, bill_amount FROM refundx.reconcile('wx', :'day')
 WHERE class IN ('settled_by_bill', 'missing_here');"
	psql_more=()
}

scene_bill()
{
	scene "20. The day's bill settles what nobody had told us"
	say "A refund of which WeChat's callback is lost. And before refundx asks, the line to WeChat goes down for the night (refundx.dispatch is off: nothing is sent, nothing is asked)."
	sql "SELECT refund_no, amount, state FROM refundx.refund_submit(
    channel => 'wx', payment_no => 'order-20', refund_no => 'R20', amount => 9013,
    payment_amount => 30000, currency => 'CNY', account => 'store-7');"
	expect_state R20 accepted
	sql "ALTER SYSTEM SET refundx.dispatch = off;
SELECT pg_reload_conf() AS off;"
	merchant=$(value "SELECT merchant_no FROM refundx.channels WHERE name = 'wx'")
	day=$(value "SELECT refundx.bill_day(submitted_at, 28800) FROM refundx.refunds WHERE refund_no = 'R20'")
	expect "nobody asks" "SELECT doing LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'" t
	expect_state R20 accepted
	if ! wait_until 30 arrived_there R20; then
		printf '%s  NOT as told: the channel has not paid R20%s\n' "$red" "$plain"
		exit 1
	fi
	printf '  %sok%s  meanwhile WeChat has paid it\n' "$green" "$plain"
	say "The next morning finance downloads yesterday's bill (the clerk would fetch it by itself, if it could). The demo moves refundx's clock by 26 hours:"
	sql "ALTER SYSTEM SET refundx.clock_offset = '93600 s';
SELECT pg_reload_conf() AS moved;"
	expect "it is tomorrow" "SELECT current_setting('refundx.clock_offset')::interval = '26 h'" t
	download_bill
	expect_state R20 succeeded
	sql "SELECT refundx.refund_explain('R20');"
	expect "the bill is the proof" "SELECT refundx.refund_explain('R20') LIKE '%proven by the bill of $day.'" t
}

scene_console()
{
	scene "21. A refund that somebody made in the channel's console"
	say "Somebody at the counter has refunded 30 yuan of order-20 in WeChat's console. refundx was not asked, and no callback comes:"
	somebody console-refund "$merchant" order-20 COUNTER-1 3000
	expect "we know of 90.13 yuan refunded, and of nothing else" \
		"SELECT refunded || '/' || elsewhere FROM refundx.payments WHERE payment_no = 'order-20'" 9013/0
	say "But it is in the bill. Downloaded once more, it takes the place of the one from before:"
	download_bill
	expect "it counts against its payment already" \
		"SELECT refunded || '/' || elsewhere FROM refundx.payments WHERE payment_no = 'order-20'" 9013/3000
	psql_more=(-x)
	sql "SELECT class, number, bill_amount, reason, age_bucket, regexp_replace(call, '\\d+', 'n') AS call
  FROM refundx.breaks WHERE number = 'COUNTER-1';"
	psql_more=()
	say "Mei finds out who it was, and accepts it. It takes its place in the payment's sum and in the journal, with the bill's line as its evidence:"
	psql_more=(-x)
	sql "SET refundx.actor = 'mei';
SELECT a.done, a.note, a.before->'payment' AS before, a.after->'payment' AS after
  FROM refundx.breaks b, refundx.break_accept(b.break_id, 'Jun, at the counter') a
 WHERE b.number = 'COUNTER-1';"
	psql_more=()
	expect_state COUNTER-1 succeeded
	expect_paid COUNTER-1 1
	expect "it is refunded, and elsewhere no more" \
		"SELECT refunded || '/' || elsewhere FROM refundx.payments WHERE payment_no = 'order-20'" 12013/0
	expect "the account has its lines" \
		"SELECT string_agg(type, ' ' ORDER BY version) FROM refundx.journal_lines WHERE refund_no = 'COUNTER-1'" "freeze pay_out"
}

scene_report()
{
	scene "22. The report of the day"
	psql_more=(-v "day=$day")
	say "Reconciled once more, COUNTER-1 is one of ours:"
	sql "SELECT count(*) AS missing_here FROM refundx.reconcile('wx', :'day') WHERE class = 'missing_here';
SELECT section, item, number, ours, channels, difference
  FROM refundx.reconcile_report('wx', :'day') WHERE section IN ('bills', 'classes');
SELECT channel, amount, within_hour, within_day, by_callback, by_query, by_bill, open
  FROM refundx.certainty(:'day', :'day') WHERE about = 'refund';"
	psql_more=()
	say "And as a page for finance, with charts:"
	psql_demo -qAt -v ON_ERROR_STOP=1 -o "$dir/report.html" -c "SELECT refundx.reconcile_report_html('wx', '$day')"
	printf '\n%s    SELECT refundx.reconcile_report_html('"'wx', '%s'"');%s\n    -> %s\n' "$blue" "$day" "$plain" "$dir/report.html"
	if ! grep -q '<svg' "$dir/report.html" || ! grep -q 'Reconciliation' "$dir/report.html"; then
		printf '%s  NOT as told: the page is not there%s\n' "$red" "$plain"
		exit 1
	fi
	printf '  %sok%s  the page is written\n' "$green" "$plain"
	sql "ALTER SYSTEM RESET refundx.clock_offset;
ALTER SYSTEM RESET refundx.dispatch;
SELECT pg_reload_conf() AS \"back to today\";"
	expect "refundx is back at work" "SELECT doing NOT LIKE '%dispatch is off%' FROM refundx.worker_status() WHERE kind = 'dispatcher'" t
}

epilogue()
{
	scene "The books"
	say "refundx.check() returns every row that breaks an invariant: sums, balances, journal lines that do not continue each other, freezes without an owner, and so on."
	sql "SELECT * FROM refundx.check();"
	expect "check() finds nothing" "SELECT count(*) FROM refundx.check()" 0
	say "And the channels' own ledgers beside ours, number by number:"
	{
		"$dir/refundx-sandbox" ledger --data "$dir/sandbox" --tsv |
			awk -F '\t' -v OFS='\t' '{ print "refund", $1, $2, $3, $4, $3 == "CLOSED" && $4 == 1 ? 1 : 0 }'
		"$dir/refundx-sandbox" ledger --data "$dir/sandbox" --transfers-tsv | sed 's/^/withdrawal\t/'
	} >"$dir/ledger.tsv.new"
	mv "$dir/ledger.tsv.new" "$dir/ledger.tsv"
	compare_ledgers
	say "How everything is doing:"
	sql "SELECT what, level, left(finding, 50) AS finding FROM refundx.health;"
	expect "no error in refundx.health" "SELECT count(*) FROM refundx.health WHERE level = 'error'" 0
}

#
# The channels' ledgers against ours: whatever is on one side only, or on both
# with another amount, or paid or come back another number of times than we
# think.  A refund that was paid and has come back is CLOSED there.
#
compare_ledgers()
{
	local ours_text difference differences compared channel kind unit theirs their_sum ours our_sum

	ours_text="WITH ours AS (
    SELECT 'refund' AS kind, wire_no AS no, channel, amount, state FROM refundx.refunds
     UNION ALL
    SELECT 'withdrawal', wire_no, channel, net, state FROM refundx.withdrawals)"
	difference="$ours_text
SELECT kind, no AS number, l.amount AS theirs, l.status, l.paid, l.back, o.amount AS ours, o.state
  FROM ledger l FULL JOIN ours o USING (kind, no)
 WHERE coalesce(l.amount * l.paid, 0) IS DISTINCT FROM
       CASE WHEN o.state IN ('succeeded', 'returned') THEN o.amount ELSE 0 END
    OR coalesce(l.back, 0) IS DISTINCT FROM CASE WHEN o.state = 'returned' THEN 1 ELSE 0 END
    OR l.no IS NOT NULL AND l.amount IS DISTINCT FROM o.amount"
	printf '\n%s%s%s\n' "$blue" "$(printf '%s\n' "$difference;" | indent)" "$plain"
	compared=$(
		psql_demo -qAt -v ON_ERROR_STOP=1 <<-END
			CREATE TEMP TABLE ledger (kind text, no text, amount bigint, status text, paid int, back int);
			\\copy ledger FROM '$dir/ledger.tsv'
			\\pset format aligned
			\\pset tuples_only off
			\\pset footer off
			\\o $dir/difference
			$difference;
			\\o
			\\pset format unaligned
			\\pset tuples_only on
			SELECT count(*) FROM ($difference) d;
			$ours_text
			SELECT c.name, c.kind, c.currency, count(*) FILTER (WHERE l.paid > 0), sum(l.amount * l.paid),
			       count(*) FILTER (WHERE o.state IN ('succeeded', 'returned')),
			       sum(o.amount) FILTER (WHERE o.state IN ('succeeded', 'returned'))
			  FROM (VALUES (1, 'wx', 'refund', 'fen'), (2, 'alipay', 'refund', 'fen'), (3, 'stripe', 'refund', 'cents'),
			               (4, 'wx', 'withdrawal', 'fen'), (5, 'alipay', 'withdrawal', 'fen')) c(n, name, kind, currency)
			  LEFT JOIN ours o ON o.channel = c.name AND o.kind = c.kind
			  LEFT JOIN ledger l ON l.no = o.no AND l.kind = o.kind
			 GROUP BY c.n, 1, 2, 3 ORDER BY c.n;
		END
	)
	sed '/^$/d' "$dir/difference" | indent
	{
		read -r differences
		if [ "$differences" != 0 ]; then
			printf '%s  NOT as told: the ledgers differ in %s numbers%s\n' "$red" "$differences" "$plain"
			exit 1
		fi
		while IFS='|' read -r channel kind unit theirs their_sum ours our_sum; do
			if [ "$ours" = 0 ] || [ "$theirs|$their_sum" != "$ours|$our_sum" ]; then
				printf '%s  NOT as told: %s paid %s %ss (%s), we count %s (%s)%s\n' \
					"$red" "$channel" "$theirs" "$kind" "$their_sum" "$ours" "$our_sum" "$plain"
				exit 1
			fi
			printf '  %sok%s  %s: no difference, %s %s%s and %s %s on either side\n' \
				"$green" "$plain" "$channel" "$ours" "$kind" "$([ "$ours" = 1 ] || echo s)" "$our_sum" "$unit"
		done
	} <<<"$compared"
}

story()
{
	prologue
	scene_success
	scene_refused
	scene_timeout
	scene_abnormal
	scene_callbacks
	scene_rollback
	scene_kill
	scene_sms
	scene_payment
	scene_alipay_timeout
	scene_stripe
	scene_stripe_lost
	scene_stripe_returned
	scene_withdrawal
	scene_bounce
	scene_approval
	scene_guard
	scene_pause
	scene_handler
	scene_bill
	scene_console
	scene_report
	epilogue
	goodbye
}

goodbye()
{
	scene "The end, and yours to try"
	cat <<-END

		Everything came out as told. The server and the sandbox stay up.

		  Look around:   $(cat "$dir/bindir")/psql -h $dir/cluster -U postgres shop
		  or shorter:    tools/demo psql

		      \\dv refundx.*                                   the views
		      \\df+ refundx.*                                  the functions
		      SELECT * FROM refundx.refunds;
		      SELECT * FROM refundx.refund_timeline('R3');
		      SELECT * FROM refundx.withdrawals;
		      SELECT * FROM refundx.guards;
		      SELECT * FROM refundx.breaks;
		      SELECT * FROM refundx.certainty;
		      SELECT * FROM refundx.refund_submit('wx', 'order-99', 'R99', 9002,
		          payment_amount => 9002, currency => 'CNY');
		      CALL refundx.refund_wait('R99');
		      SELECT refundx.channel_check('stripe');          likewise 'wx', 'alipay'

		  What an amount does: $dir/refundx-sandbox outcomes
		  Stop and remove it:  tools/demo stop   (or make demo-stop)

	END
}
