/*
 * What recoveries have found.
 */
CREATE VIEW refundx.recoveries AS
	SELECT r.recovery_id, r.cause, r.reason, coalesce(r.actor, r.by_user) AS by_whom, r.timeline, r.began_at, r.gap_from, r.gap_to, r.state,
		   a.asked, a.answered, a.paid, a.under_way, a.not_known_there, a.ended_unpaid, a.came_back, a.as_here, a.with_person,
		   a.submitted_since,
		   (SELECT count(*) FROM refundx.external_refund e WHERE e.seen_at >= r.began_at AND e.seen_at <= coalesce(r.done_at, 'infinity')) AS made_elsewhere,
		   (SELECT count(*) FROM refundx.break k
			 WHERE k.opened_at >= r.began_at AND k.opened_at <= coalesce(r.done_at, 'infinity')) AS breaks,
		   b.bills, b.bills_missing, r.notices AS messages,
		   CASE WHEN r.state IN ('asking', 'books') THEN refundx.recovery_report(r.recovery_id) ELSE r.report END AS report,
		   r.answered_at, r.reported_at, r.done_at, r.done_by, r.done_reason
	  FROM refundx.recovery r
	 CROSS JOIN LATERAL (
		SELECT count(*) FILTER (WHERE NOT x.submitted_since) AS asked,
			   count(*) FILTER (WHERE NOT x.submitted_since AND x.answered_at IS NOT NULL) AS answered,
			   count(*) FILTER (WHERE x.found = 'paid') AS paid,
			   count(*) FILTER (WHERE x.found = 'under way') AS under_way,
			   count(*) FILTER (WHERE x.found = 'not known there') AS not_known_there,
			   count(*) FILTER (WHERE x.found = 'ended unpaid') AS ended_unpaid,
			   count(*) FILTER (WHERE x.found = 'came back') AS came_back,
			   count(*) FILTER (WHERE x.found = 'as here') AS as_here,
			   count(*) FILTER (WHERE x.found = 'with a person') AS with_person,
			   count(*) FILTER (WHERE x.submitted_since) AS submitted_since
		  FROM refundx.recovery_asked x WHERE x.recovery_id = r.recovery_id) a
	  LEFT JOIN LATERAL (
		SELECT count(*) AS bills, count(*) FILTER (WHERE NOT v.is_in) AS bills_missing
		  FROM refundx.recovery_bills v WHERE v.recovery_id = r.recovery_id) b ON r.state IN ('asking', 'books')
	 ORDER BY r.recovery_id DESC;
COMMENT ON VIEW refundx.recoveries IS 'What was asked after a restore, a failover or an arming, what the channels said, and which bills of the gap are still to come; the newest first';
COMMENT ON COLUMN refundx.recoveries.gap_from IS 'Up to when this database knew what had happened; gap_to: from when it knows again';
COMMENT ON COLUMN refundx.recoveries.state IS 'asking: not all that was open has been answered; books: all has, and the bills of the gap are still to come; reported: a person has to read it; done; superseded: another one began before it was over';
COMMENT ON COLUMN refundx.recoveries.asked IS 'How many were open, and were asked about; answered: of these';
COMMENT ON COLUMN refundx.recoveries.paid IS 'As the channel says, and so of the next ones, also of those that were submitted since';
COMMENT ON COLUMN refundx.recoveries.not_known_there IS 'The channel does not know them: they may be sent (again)';
COMMENT ON COLUMN refundx.recoveries.as_here IS 'The channel says what was known here';
COMMENT ON COLUMN refundx.recoveries.with_person IS 'What the channel says decides nothing: see refundx.desk';
COMMENT ON COLUMN refundx.recoveries.submitted_since IS 'How many were submitted while it was under way, and asked about before they were sent';
COMMENT ON COLUMN refundx.recoveries.made_elsewhere IS 'Refunds and withdrawals that channels have told of since, and are not known here';
COMMENT ON COLUMN refundx.recoveries.breaks IS 'Breaks that were found since';
COMMENT ON COLUMN refundx.recoveries.bills_missing IS 'Of the gap''s bills, how many are not reconciled yet; null: they are not waited for any more';
COMMENT ON COLUMN refundx.recoveries.messages IS 'How many messages may have been sent in the gap, and went to a person';

CREATE VIEW refundx.desk_recoveries AS
	SELECT 30 AS severity, 'recovery' AS what, 'recovery ' || r.recovery_id AS subject, NULL::text AS channel, r.state, r.began_at AS since,
		   NULL::bigint AS amount, NULL::text AS currency, r.reason, r.report AS evidence,
		   CASE WHEN r.state = 'reported' THEN 'Read what it found; look after what is with a person, and the breaks of those days.'
				ELSE 'Its bills are overdue: see refundx.recovery_bills. Load them by hand, or say that they are not waited for.' END AS suggestion,
		   format('SELECT refundx.recover_done(%L);', 'why') AS call
	  FROM refundx.recovery r
	 WHERE r.state = 'reported' OR r.state = 'books' AND r.gap_to < refundx.desk_now() - interval '4 days';
COMMENT ON VIEW refundx.desk_recoveries IS 'The desk''s recoveries: what they found is to be read, or their bills do not come';
