/*
 * Triggers: what is written once is not rewritten, not even by the owner by
 * accident; and an xid8 is never carried over by a dump.
 */
CREATE FUNCTION refundx.refuse_change() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'refundx_refuse_change';
COMMENT ON FUNCTION refundx.refuse_change() IS 'Trigger of the append-only tables: raises RX015';

CREATE FUNCTION refundx.stamp_xid() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'refundx_stamp_xid';
COMMENT ON FUNCTION refundx.stamp_xid() IS 'Trigger: a row belongs to the transaction that inserts it, also when a dump is restored';

CREATE FUNCTION refundx.channels_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'refundx_channels_changed';
COMMENT ON FUNCTION refundx.channels_changed() IS 'Trigger: sessions forget what they remember of the channels, their rules, guards, pauses and caps';

CREATE TRIGGER channels_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON refundx.channel
	FOR EACH STATEMENT EXECUTE FUNCTION refundx.channels_changed();
ALTER TABLE refundx.channel ENABLE ALWAYS TRIGGER channels_changed;

CREATE TRIGGER channels_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON refundx.withdraw_policy
	FOR EACH STATEMENT EXECUTE FUNCTION refundx.channels_changed();
ALTER TABLE refundx.withdraw_policy ENABLE ALWAYS TRIGGER channels_changed;

CREATE TRIGGER channels_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON refundx.guard
	FOR EACH STATEMENT EXECUTE FUNCTION refundx.channels_changed();
ALTER TABLE refundx.guard ENABLE ALWAYS TRIGGER channels_changed;

CREATE TRIGGER channels_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON refundx.pause
	FOR EACH STATEMENT EXECUTE FUNCTION refundx.channels_changed();
ALTER TABLE refundx.pause ENABLE ALWAYS TRIGGER channels_changed;

-- not of a new level, which a claim may write
CREATE TRIGGER channels_changed AFTER INSERT OR UPDATE OF removed_at OR DELETE OR TRUNCATE ON refundx.cap
	FOR EACH STATEMENT EXECUTE FUNCTION refundx.channels_changed();
ALTER TABLE refundx.cap ENABLE ALWAYS TRIGGER channels_changed;

DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['journal', 'event', 'evidence', 'attempt', 'request', 'audit', 'incident', 'outbox', 'former_number', 'bill_chunk', 'bill_line', 'reconciliation', 'reconciliation_class', 'bill_word', 'seal', 'sealed', 'day_seal'] LOOP
		EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON refundx.%I
						FOR EACH ROW EXECUTE FUNCTION refundx.refuse_change()', t);
		EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON refundx.%I
						FOR EACH STATEMENT EXECUTE FUNCTION refundx.refuse_change()', t);
		EXECUTE format('ALTER TABLE refundx.%I ENABLE ALWAYS TRIGGER append_only', t);
		EXECUTE format('ALTER TABLE refundx.%I ENABLE ALWAYS TRIGGER append_only_truncate', t);
	END LOOP;
	FOREACH t IN ARRAY ARRAY['merchant', 'channel', 'account', 'payment', 'instruction', 'payout', 'external_refund', 'diversion', 'guard', 'guard_lock', 'operator_request', 'handler', 'handler_run', 'bill', 'break'] LOOP
		EXECUTE format('CREATE TRIGGER never_deleted BEFORE DELETE ON refundx.%I
						FOR EACH ROW EXECUTE FUNCTION refundx.refuse_change()', t);
		EXECUTE format('CREATE TRIGGER never_truncated BEFORE TRUNCATE ON refundx.%I
						FOR EACH STATEMENT EXECUTE FUNCTION refundx.refuse_change()', t);
		EXECUTE format('ALTER TABLE refundx.%I ENABLE ALWAYS TRIGGER never_deleted', t);
		EXECUTE format('ALTER TABLE refundx.%I ENABLE ALWAYS TRIGGER never_truncated', t);
	END LOOP;
	FOREACH t IN ARRAY ARRAY['event', 'evidence', 'notice', 'incident', 'handed', 'handler_run'] LOOP
		EXECUTE format('CREATE TRIGGER stamp_xid BEFORE INSERT ON refundx.%I
						FOR EACH ROW EXECUTE FUNCTION refundx.stamp_xid()', t);
		EXECUTE format('ALTER TABLE refundx.%I ENABLE ALWAYS TRIGGER stamp_xid', t);
	END LOOP;
END
$$;
