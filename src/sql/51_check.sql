/*
 * refundx.check(): which invariants there are, and asking them.
 */

/*
 * In the order of their numbers.  What of one SQL cannot ask says where it is tested.  cost: 'open' reads what is open and small tables; 'rows' each row
 * of a large table once, others by their keys; 'history' all that ever happened.
 * pauses: a finding means that money is not as it should be, or may go out that
 * should not, so what it is about is paused when the clerk finds it (53_check_rounds.sql).
 *
 * doc/invariants.md is made from this (doc/invariants.sql).
 */
CREATE VIEW refundx.invariants WITH (security_barrier) AS
	SELECT v.invariant, v.sentence, v.view_name, v.cost, v.pauses, v.elsewhere
	  FROM (VALUES
		(1, 'I1', 'postings sum to zero per currency, per entry and in total', 'check_i01', 'rows', true, NULL),
		(2, 'I2', 'refunding + refunded <= paid, and each equals the sum over its payment''s refunds by state', 'check_i02', 'rows', true, NULL),
		(3, 'I3', 'available >= 0, frozen >= 0', 'check_i03', 'rows', true, NULL),
		(4, 'I4', 'frozen(account) = sum of the amounts and fees of its open instructions; both directions', 'check_i04', 'rows', true, NULL),
		(5, 'I5', 'each journal line continues from the line before it', 'check_i05', 'history', true, NULL),
		(6, 'I6', 'each succeeded instruction has exactly one posting out, each failed or canceled one exactly one release, open ones neither', 'check_i06', 'rows', true, NULL),
		(7, 'I7', 'what the channel paid = what is succeeded here + what is still open here, per number; never twice', 'check_i07', 'history', true,
			'what no bill says, for the channel''s own ledger is not in the database: Refundx::Oracle (ledger_ok, never_twice) asks the sandbox''s after every reliability test'),
		(8, 'I8', 'fee + net = gross', 'check_i08', 'rows', true, NULL),
		(9, 'I9', 'a wire number is one instruction''s; what is sent under it was frozen first; one is live at a time', 'check_i09', 'history', true, NULL),
		(10, 'I10', 'one open attempt of an instruction at a time', 'check_i10', 'history', true, NULL),
		(11, 'I11', 'the history of each instruction is a path of the state table', 'check_i11', 'history', true, NULL),
		(12, 'I12', 'copies of a callback, in any order, give the same as one', 'check_i12', 'history', true,
			'what other orders would have given cannot be asked afterwards: 245_property.pl, 280_every_evidence.pl, 580_withdraw_property.pl shuffle and repeat'),
		(13, 'I13', 'of what races on one instruction one wins; the others are recorded as having changed nothing', 'check_i13', 'history', true,
			'the race itself: test/isolation'),
		(14, 'I14', 'nothing is on the wire without a committed attempt', 'check_i14', 'history', true,
			'what was on the wire and was never answered: Refundx::Oracle (wire_ok) compares with the sandbox''s log'),
		(15, 'I15', 'what a caller rolls back leaves nothing; what it commits is there as a whole', 'check_i15', 'history', true,
			'of which kinds, and when: sql/transactions.sql, 230_prepared.pl'),
		(16, 'I16', 'guarded rows do not change while something open locks them', 'check_i16', 'open', false,
			'SQL sees that the triggers are there and fire; that nothing gets past them: sql/guard.sql, 590_guard.pl'),
		(17, 'I17', 'notices exist for what happened only, at most one for each', 'check_i17', 'rows', false, NULL),
		(18, 'I18', 'what is open has a due time that is not long past, or is with a person', 'check_i18', 'open', false, NULL),
		(19, 'I19', 'no freeze without an owner, no owner without a freeze', 'check_i19', 'history', true, NULL),
		(20, 'I20', 'the journal''s hash chain verifies from its start', 'check_i20', 'history', true, NULL),
		(21, 'I21', 'after a new timeline no number is sent before it is asked about', 'check_i21', 'history', true,
			'that nothing is paid twice: 220_failover.pl, 692_pitr.pl'),
		(22, 'I22', 'reconciling a bill twice is reconciling it once', 'check_i22', 'history', false, 'that a second run writes nothing: sql/reconcile.sql'),
		(23, 'I23', 'what is sent within any window stays within its cap, and a day''s limit counts what it should', 'check_i23', 'history', true, NULL),
		(24, 'I24', 'a finished instruction that evidence contradicts is on hold, and with a person', 'check_i24', 'history', true, NULL),
		(25, 'I25', 'no key, telephone number or card number is where people read', 'check_i25', 'history', false,
			'names, the server''s log and error messages: 300_listener_input.pl, 578_payees.pl, 579_sealed.pl'),
		(31, 'approval', 'what needs a second person is not sent before one has approved', 'check_approval', 'rows', true, NULL),
		(32, 'handlers', 'what waits for a handler is waited for, and nothing else is', 'check_handlers', 'open', false, NULL),
		(33, 'outbox', 'each transition that was passed on is in the outbox, and nothing else is', 'check_outbox', 'history', false, NULL),
		(34, 'orphans', 'every row''s parents exist', 'check_orphans', 'history', false, NULL)
	   ) v(n, invariant, sentence, view_name, cost, pauses, elsewhere)
	 ORDER BY v.n;
COMMENT ON VIEW refundx.invariants IS 'What must always hold: each with the view that finds what breaks it, what asking costs, and whether the clerk pauses what a finding is about';
COMMENT ON COLUMN refundx.invariants.invariant IS 'Its number, or its name';
COMMENT ON COLUMN refundx.invariants.view_name IS 'In schema refundx; its columns are subject and finding';
COMMENT ON COLUMN refundx.invariants.cost IS 'open: what is open, and small tables; rows: one large table once; history: all that ever happened';
COMMENT ON COLUMN refundx.invariants.elsewhere IS 'What SQL cannot ask of it, and where that is tested';

/*
 * A STABLE function's queries all see what the statement that calls it sees, so
 * that however many invariants are asked, it is of one moment.
 */
CREATE FUNCTION refundx.check(VARIADIC invariants text[], OUT invariant text, OUT subject text, OUT finding text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	unknown constant text := (SELECT u.name FROM unnest(invariants) WITH ORDINALITY u(name, n)
							   WHERE NOT EXISTS (SELECT FROM refundx.invariants v WHERE v.invariant = u.name)
							   ORDER BY u.n LIMIT 1);
	v record;
BEGIN
	IF unknown IS NOT NULL OR array_position(invariants, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'there is no invariant %', coalesce('"' || unknown || '"', 'without a name') USING ERRCODE = '22023',
			HINT = 'See refundx.invariants; for example: SELECT * FROM refundx.check(''I2'', ''I4'').';
	END IF;
	FOR v IN SELECT x.invariant AS name, x.view_name FROM refundx.invariants x
			  WHERE x.invariant = ANY (invariants)
	LOOP
		RETURN QUERY EXECUTE format('SELECT %L::text, c.subject::text, c.finding::text FROM refundx.%I c', v.name, v.view_name);
	END LOOP;
END
$$;
COMMENT ON FUNCTION refundx.check(text[]) IS
'Some of the invariants (refundx.invariants), as of one moment: one row for each row that breaks one. Error: 22023 there is no such invariant';

CREATE FUNCTION refundx.check(OUT invariant text, OUT subject text, OUT finding text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT c.invariant, c.subject, c.finding
	  FROM refundx.check(VARIADIC ARRAY(SELECT v.invariant FROM refundx.invariants v)) c
$$;
COMMENT ON FUNCTION refundx.check() IS
'The invariants: one row for each row that breaks one, none if all is well, also while the workers run. Reads whole tables';
