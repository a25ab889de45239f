/*
 * The report of a day as one page to send to finance: no script, no font, no picture
 * from anywhere else, so that it is the same in ten years, in a mail, and on paper.
 */
CREATE FUNCTION refundx.report_css() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$
	SELECT '
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5d6a7a; --line: #dfe4ea; --paper: #ffffff; --wash: #f5f7f9; --ours: #24578f; --theirs: #d18a2c;
	--good: #1f7a4d; --bad: #b3362b; --c1: #1f5f4f; --c2: #4f9a84; --c3: #a5cfc2; --c4: #d9c9a3; --c5: #e3e6ea; --a1: #d9c27a; --a2: #d18a2c; --a3: #b3362b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaef; --soft: #9aa6b4; --line: #333d49; --paper: #171c22; --wash: #1f262e; --ours: #6ea3dd; --theirs: #e0a550;
	--good: #5fc493; --bad: #ef7b6f; --c1: #7fd0b8; --c2: #4f9a84; --c3: #2f6455; --c4: #8a7b52; --c5: #3a434e; --a1: #b9a561; --a2: #e0a550; --a3: #ef7b6f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 40px 32px 56px; }
header { border-bottom: 2px solid var(--ink); padding-bottom: 14px; }
h1 { font-size: 25px; line-height: 1.25; margin: 0 0 2px; font-weight: 650; letter-spacing: -0.01em; }
h2 { font-size: 17px; margin: 38px 0 8px; font-weight: 650; }
h1 span, h2 span { color: var(--soft); font-weight: 400; margin-left: 0.35em; } th span { display: block; color: var(--soft); font-weight: 400; font-size: 12px; }
h3 { font-size: 13px; color: var(--soft); font-weight: 500; margin: 18px 0 4px; }
p { margin: 4px 0 10px; } .soft { color: var(--soft); } .small { font-size: 13px; }
.facts { display: flex; flex-wrap: wrap; gap: 2px 26px; color: var(--soft); font-size: 13.5px; }
.facts b { color: var(--ink); font-weight: 550; }
.verdict { margin: 22px 0 0; padding: 13px 16px; border-left: 4px solid var(--good); background: var(--wash); font-size: 16px; }
.verdict.bad { border-color: var(--bad); } .verdict b { font-weight: 650; }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 1px; background: var(--line); border: 1px solid var(--line); margin-top: 16px; }
.tiles div { background: var(--paper); padding: 11px 14px; } .tiles dt { color: var(--soft); font-size: 12.5px; }
.tiles dd { margin: 1px 0 0; font-size: 19px; font-weight: 600; font-variant-numeric: tabular-nums; } .tiles dd small { font-size: 12px; color: var(--soft); font-weight: 400; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 550; border-bottom: 1px solid var(--ink); padding: 5px 10px 5px 0; vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); padding: 6px 10px 6px 0; vertical-align: top; overflow-wrap: anywhere; }
th.n, td.n { text-align: right; white-space: nowrap; padding-right: 0; padding-left: 14px; } tr.sum td { border-top: 1px solid var(--ink); font-weight: 600; }
.day { white-space: nowrap; } td code { font: 12px/1.4 ui-monospace, "SF Mono", Menlo, Consolas, monospace; color: var(--soft); } .bad { color: var(--bad); } .good { color: var(--good); } .verdict.bad { color: inherit; }
.chart { display: block; width: 100%; height: auto; margin: 4px 0 2px; } .chart text { fill: var(--ink); font-size: 12.5px; }
.chart .s, .chart .a, .chart .d { fill: var(--soft); font-size: 11.5px; } .chart .a { text-anchor: end; } .chart .d { text-anchor: middle; } .chart .v { font-variant-numeric: tabular-nums; }
.axis { stroke: var(--ink); stroke-width: 1; } .grid { stroke: var(--line); stroke-width: 1; }
.ours { fill: var(--ours); } .theirs { fill: var(--theirs); } .hour { fill: var(--c1); } .oneday { fill: var(--c2); } .fourdays { fill: var(--c3); } .later { fill: var(--c4); } .open { fill: var(--c5); }
.young { fill: var(--a1); } .older { fill: var(--a2); } .oldest { fill: var(--a3); }
.keys { display: flex; gap: 18px; font-size: 12.5px; color: var(--soft); } .keys i { display: inline-block; width: 10px; height: 10px; margin-right: 6px; border-radius: 2px; }
.keys i.o { background: var(--ours); } .keys i.c { background: var(--theirs); }
footer { margin-top: 44px; border-top: 1px solid var(--line); padding-top: 12px; color: var(--soft); font-size: 12.5px; }
@media (max-width: 640px) { main { padding: 22px 16px; } .tiles { grid-template-columns: repeat(2, 1fr); } .wide { overflow-x: auto; } }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --wash: #fff; --ours: #24578f; --theirs: #d18a2c; --good: #1f7a4d; --bad: #b3362b;
	--c1: #1f5f4f; --c2: #4f9a84; --c3: #a5cfc2; --c4: #d9c9a3; --c5: #e3e6ea; --a1: #d9c27a; --a2: #d18a2c; --a3: #b3362b; }
	body { font-size: 10.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; } main { max-width: none; padding: 0; } h2 { break-after: avoid; } tr, .chart, .tiles { break-inside: avoid; }
	thead { display: table-header-group; } @page { margin: 16mm 14mm; } }
'
$$;
COMMENT ON FUNCTION refundx.report_css() IS 'The style of the report: light, dark, and on paper';

-- A table: its head, and its rows as they are.  A head that begins with # is of numbers.
CREATE FUNCTION refundx.report_table(head text[], rows text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$
	SELECT '<div class="wide"><table><thead><tr>'
		|| (SELECT string_agg(format('<th%s>%s</th>', CASE WHEN h LIKE '#%' THEN ' class="n"' ELSE '' END, ltrim(h, '#')), '' ORDER BY n) FROM unnest(head) WITH ORDINALITY u (h, n))
		|| '</tr></thead><tbody>' || rows || '</tbody></table></div>'
	 WHERE rows IS NOT NULL
$$;
COMMENT ON FUNCTION refundx.report_table(text[], text) IS 'A table of the report; null without rows';

CREATE FUNCTION refundx.report_cells(words text[], numbers text[] DEFAULT '{}') RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$
	SELECT concat((SELECT string_agg('<td>' || refundx.html(w) || '</td>', '' ORDER BY n) FROM unnest(words) WITH ORDINALITY u (w, n)),
				  (SELECT string_agg('<td class="n">' || refundx.html(w) || '</td>', '' ORDER BY n) FROM unnest(numbers) WITH ORDINALITY u (w, n)))
$$;
COMMENT ON FUNCTION refundx.report_cells(text[], text[]) IS 'Cells of a table: words, then what stands right-aligned';

-- What finance wants to know first.
CREATE FUNCTION refundx.report_verdict(r refundx.report_subject) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT CASE
		WHEN r.run_id IS NULL THEN '<p class="verdict bad"><b>Not reconciled.</b> The bills of this day have not been compared with our books yet.</p>'
		WHEN b.n = 0 AND l.n = 0 THEN '<p class="verdict"><b>Everything agrees.</b> Nothing is left open of this day, or of any day before.</p>'
		ELSE format('<p class="verdict bad"><b>%s.</b> %s%s</p>',
					concat_ws(', and ', CASE WHEN b.n > 0 THEN b.n || CASE WHEN b.n = 1 THEN ' break is open' ELSE ' breaks are open' END END,
							  CASE WHEN l.n > 0 AND b.n > 0 THEN 'a ledger does not add up' WHEN l.n > 0 THEN 'A ledger does not add up' END),
					CASE WHEN b.n > 0 THEN format('%s of them of this day; %s older than four days; %s assigned to nobody. ', b.today, b.old, b.nobody) END,
					CASE WHEN b.n > 0 THEN 'They are listed below, with what to do.' END) END
	  FROM (SELECT count(*) AS n, count(*) FILTER (WHERE k.day = r.day) AS today, count(*) FILTER (WHERE k.age_bucket = '>4 days') AS old,
				   count(*) FILTER (WHERE k.assigned_to IS NULL) AS nobody FROM refundx.report_breaks(r) k) b,
		   (SELECT count(*) AS n FROM refundx.report_balance(r) k WHERE NOT k.holds AND k.item IN ('opening', 'closing')) l
$$;
COMMENT ON FUNCTION refundx.report_verdict(refundx.report_subject) IS 'The report''s first sentence';

-- Of one currency: the sums, the classes, and what is drawn of them.
CREATE FUNCTION refundx.report_html_classes(r refundx.report_subject, money text) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT format('<h2>Result in %s<span>对账结果</span></h2><dl class="tiles">', refundx.html(money))
		|| (SELECT format('<div><dt>Our books <span class="small">我方</span></dt><dd>%s</dd></div><div><dt>The channel''s <span class="small">渠道</span></dt><dd>%s</dd></div>',
						  refundx.report_money(sum(k.ours)::bigint, money), refundx.report_money(sum(k.channels)::bigint, money))
				|| format('<div><dt>Difference <span class="small">差额</span></dt><dd class="%s">%s</dd></div><div><dt>Agreeing <span class="small">一致</span></dt><dd>%s<small> of %s</small></dd></div>',
						  CASE WHEN sum(k.channels) = sum(k.ours) THEN 'good' ELSE 'bad' END, refundx.report_money((sum(k.channels) - sum(k.ours))::bigint, money),
						  refundx.report_count(coalesce(sum(k.number) FILTER (WHERE k.agrees), 0)::bigint), refundx.report_count(sum(k.number)::bigint))
			  FROM refundx.report_classes(r) k WHERE k.currency = money)
		|| '</dl>'
		|| coalesce('<h3>What agrees</h3>' || refundx.report_chart_classes(r, money, true), '')
		|| coalesce('<h3>What does not, on a scale of its own</h3>' || refundx.report_chart_classes(r, money, false), '')
		|| '<p class="keys"><span><i class="o"></i>our books 我方账</span><span><i class="c"></i>the channel''s bill 渠道账单</span></p>'
		|| refundx.report_table(ARRAY['Class<span>类别</span>', 'Of<span>业务</span>', '#Number<span>笔数</span>', '#Ours<span>我方金额</span>', '#Channel''s<span>渠道金额</span>', '#Difference<span>差额</span>'],
			(SELECT string_agg(format('<tr><td>%s <span class="soft">%s</span></td>', k.label, k.chinese) || refundx.report_cells(ARRAY[CASE k.about WHEN 'refund' THEN 'refunds 退款' ELSE 'withdrawals 提现' END],
						ARRAY[refundx.report_count(k.number), refundx.report_money(k.ours, money), refundx.report_money(k.channels, money), refundx.report_money(k.channels - k.ours, money)]) || '</tr>',
						'' ORDER BY k.n, k.about)
				|| '<tr class="sum">' || refundx.report_cells(ARRAY['Sum 合计', ''], ARRAY[refundx.report_count(sum(k.number)::bigint), refundx.report_money(sum(k.ours)::bigint, money),
						refundx.report_money(sum(k.channels)::bigint, money), refundx.report_money((sum(k.channels) - sum(k.ours))::bigint, money)]) || '</tr>'
			  FROM refundx.report_classes(r) k WHERE k.currency = money))
$$;
COMMENT ON FUNCTION refundx.report_html_classes(refundx.report_subject, text) IS 'The part of the report about a currency''s classes';

CREATE FUNCTION refundx.report_html_breaks(r refundx.report_subject, money text) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT '<h2>Open breaks<span>未结差异</span></h2>'
		|| coalesce(refundx.report_chart_ages(r, money), '')
		|| coalesce(refundx.report_table(ARRAY['No.<span>编号</span>', 'Day, age<span>日期、账龄</span>', 'What<span>类别</span>', 'Number and reason<span>单号、原因</span>', 'Whose<span>负责人</span>',
				'#Ours<span>我方</span>', '#Channel''s<span>渠道</span>'],
			(SELECT string_agg('<tr>' || refundx.report_cells(ARRAY[b.break_id::text])
						|| format('<td class="day">%s<br /><span class="soft">%s</span></td><td>%s<br /><span class="soft">%s</span></td>', b.day, refundx.html(b.age_bucket), refundx.html(l.label), refundx.html(b.about))
						|| format('<td>%s<br /><span class="soft">%s</span><br />%s</td>', refundx.html(b.number), refundx.html(b.reason), refundx.html(b.suggestion))
						|| refundx.report_cells(ARRAY[coalesce(b.assigned_to, 'nobody')],
								ARRAY[coalesce(refundx.report_money(b.our_amount, b.currency), '-'), coalesce(refundx.report_money(b.bill_amount, b.currency), '-')]) || '</tr>',
						'' ORDER BY b.opened_at, b.break_id)
			   FROM (SELECT * FROM refundx.report_breaks(r) LIMIT 200) b JOIN refundx.report_class() l ON l.class = b.class)),
			'<p class="soft">None. 无</p>')
		|| coalesce((SELECT format('<p class="soft">And %s more: refundx.breaks has them all.</p>', count(*) - 200) FROM refundx.report_breaks(r) HAVING count(*) > 200), '')
$$;
COMMENT ON FUNCTION refundx.report_html_breaks(refundx.report_subject, text) IS 'The part of the report about open breaks';

CREATE FUNCTION refundx.report_html_certainty(r refundx.report_subject, money text) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT '<h2>Certainty<span>资金确定性</span></h2><p class="soft">How soon the channel proved what was submitted, by answer, callback, query or bill. An operator''s word is not counted.</p>'
		|| refundx.report_chart_certainty(r, money)
		|| coalesce(refundx.report_table(ARRAY['Submitted on this day<span>当日提交</span>', '#Number<span>笔数</span>', '#Amount<span>金额</span>', '#Within an hour<span>1小时</span>',
				'#A day<span>1天</span>', '#Four days<span>4天</span>', '#In the bill<span>账单</span>', '#Open<span>未决</span>'],
			(SELECT string_agg('<tr>' || refundx.report_cells(ARRAY[c.channel || ', ' || CASE c.about WHEN 'refund' THEN 'refunds' ELSE 'withdrawals' END],
						ARRAY[refundx.report_count(c.number), refundx.report_money(c.amount, c.currency), refundx.report_money(c.within_hour, c.currency), refundx.report_money(c.within_day, c.currency),
							  refundx.report_money(c.within_4_days, c.currency), refundx.report_money(c.in_bill, c.currency), refundx.report_money(c.open, c.currency)]) || '</tr>', '' ORDER BY c.channel, c.about)
			   FROM refundx.certainty(r.day, r.day, r.channels) c WHERE c.currency = money)), '')
$$;
COMMENT ON FUNCTION refundx.report_html_certainty(refundx.report_subject, text) IS 'The part of the report about how soon the channel proved what was submitted; null: nothing was';

CREATE FUNCTION refundx.report_html_bills(r refundx.report_subject) RETURNS text
LANGUAGE sql STABLE PARALLEL UNSAFE
AS $$
	SELECT '<h2>Bills<span>账单</span></h2>'
		|| coalesce(refundx.report_table(ARRAY['Bill<span>账单</span>', 'State<span>状态</span>', '#Lines<span>行数</span>', '#Refunds, withdrawals<span>笔数</span>', '#Their sum<span>金额</span>'],
			(SELECT string_agg(format('<tr><td>%s<br /><code>%s</code></td>', refundx.html(b.label), refundx.html(b.hash))
						|| refundx.report_cells(ARRAY[concat_ws(': ', b.state, b.note) || coalesce(', ' || to_char(b.loaded_at, 'YYYY-MM-DD HH24:MI TZ'), '')],
								ARRAY[refundx.report_count(b.lines), refundx.report_count(b.refunds), concat_ws(' ', refundx.report_money(b.amount, b.currency), b.currency)]) || '</tr>', '' ORDER BY b.is_ledger, b.kind)
			   FROM refundx.report_bills(r) b)), '<p class="soft">There is no bill of this day. 无账单</p>')
		|| coalesce('<h2>Balance of the account at the channel<span>余额核对</span></h2>'
			|| refundx.report_table(ARRAY['Ledger<span>资金账单</span>', '#Opening<span>期初余额</span>', '#In<span>收入</span>', '#Out<span>支出</span>', '#Closing<span>期末余额</span>', '#Off by<span>差额</span>'],
			(SELECT string_agg('<tr>' || refundx.report_cells(ARRAY[format('%s, %s', b.label, b.currency)],
						ARRAY[refundx.report_money(b.opening, b.currency), refundx.report_money(b.came_in, b.currency), refundx.report_money(b.went_out, b.currency),
							  refundx.report_money(b.closing, b.currency), refundx.report_money(b.off_by, b.currency)]) || '</tr>', '' ORDER BY b.kind)
			   FROM refundx.report_bills(r) b WHERE b.is_ledger AND b.closing IS NOT NULL)), '')
		|| coalesce(refundx.report_table(ARRAY['Proof<span>证明</span>', '#By the bill<span>账单</span>', '#Reckoned<span>核算</span>', '#Difference<span>差额</span>', 'Holds<span>是否相符</span>'],
			(SELECT string_agg('<tr>' || refundx.report_cells(ARRAY[format('%s: %s', p.bill, w.words)],
						ARRAY[refundx.report_money(p.by_bill, p.currency), coalesce(refundx.report_money(p.reckoned, p.currency), '-'), coalesce(refundx.report_money(p.difference, p.currency), '-')])
						|| CASE WHEN p.holds THEN '<td class="good">yes</td>' WHEN p.holds IS NULL THEN '<td class="soft">no bill of the day before</td>' ELSE '<td class="bad">no</td>' END || '</tr>', '' ORDER BY p.n)
			   FROM refundx.report_balance(r) WITH ORDINALITY p (bill, item, by_bill, reckoned, difference, currency, holds, n)
			  CROSS JOIN LATERAL (SELECT CASE p.item WHEN 'opening' THEN 'it opens as the day before closed' WHEN 'closing' THEN 'opening + in - out = closing'
													 ELSE p.item || ', and ours' END AS words) w)), '')
$$;
COMMENT ON FUNCTION refundx.report_html_bills(refundx.report_subject) IS 'The part of the report about the bills, and whether the channel''s ledgers add up';

CREATE FUNCTION refundx.reconcile_report_html(channel text, day date) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	r refundx.report_subject := refundx.report_of(channel, day);
	moneys text[];	-- the currencies, the largest sum first
	money text;
	page text;
BEGIN
	SELECT array_agg(x.currency ORDER BY x.amount DESC) INTO moneys
	  FROM (SELECT k.currency, sum(greatest(k.ours, k.channels)) AS amount FROM refundx.report_classes(r) k GROUP BY 1) x;
	money := coalesce(moneys[1], (SELECT b.currency FROM refundx.report_breaks(r) b LIMIT 1),
					  (SELECT c.currency FROM refundx.certainty(r.day - 13, r.day, r.channels) c LIMIT 1), 'CNY');
	page := format('<!DOCTYPE html>%s<html lang="en"><head><meta charset="utf-8" /><meta name="viewport" content="width=device-width, initial-scale=1" /><title>%s</title><style>',
				   E'\n', refundx.html(format('Reconciliation %s %s', r.channel, r.day)))
		|| refundx.report_css() || '</style></head><body><main><header><h1>Reconciliation<span>对账报告</span></h1><div class="facts">'
		|| format('<span>Day <b>%s</b></span><span>Channel <b>%s, %s</b></span><span>Merchant 商户号 <b>%s</b></span><span>%s</span></div></header>', r.day, refundx.html(r.label), refundx.html(r.channel),
				  refundx.html(r.merchant_no), coalesce('reconciled ' || to_char(r.reconciled_at, 'YYYY-MM-DD HH24:MI TZ'), 'not reconciled'))
		|| refundx.report_verdict(r);
	FOR i IN 1 .. coalesce(array_length(moneys, 1), 0) LOOP
		page := page || refundx.report_html_classes(r, moneys[i]);
	END LOOP;
	RETURN page || refundx.report_html_breaks(r, money)
		|| coalesce(refundx.report_html_certainty(r, money), '')
		|| refundx.report_html_bills(r)
		|| format('<footer>Made by refundx on %s by %s%s. Amounts are in the currency''s own unit; a difference is the channel''s less ours. The same as a table: <code>SELECT * FROM refundx.reconcile_report(%s, %s);</code></footer></main></body></html>',
				  to_char(refundx.desk_now(), 'YYYY-MM-DD HH24:MI TZ'), refundx.html(refundx.desk_person()), coalesce(', from reconciliation ' || r.run_id, ''),
				  refundx.html(quote_literal(r.channel)), refundx.html(quote_literal(r.day::text)));
END
$$;
COMMENT ON FUNCTION refundx.reconcile_report_html(text, date) IS
'The report of a day (where the channel is) of a channel''s merchant as one HTML page to send to somebody: nothing in it comes from elsewhere. Sums of both sides per class, open breaks by age, how soon the channel proved each of the last fourteen days, the bills, and whether its ledgers add up; with the Chinese terms where finance uses them. Amounts are in the currency''s own unit, not in minor units. To save it, in psql: \pset format unaligned, \pset tuples_only on, \o report.html, and the SELECT.
Errors: RX008 unknown channel, 22023 no day.';
