/*
 * What the clerk's checks of whole tables have found.
 */
CREATE TABLE refundx.check_result (
	invariant	text COLLATE "C" PRIMARY KEY,
	ran_at		timestamptz NOT NULL,
	took		interval,
	findings	bigint,
	example		text,
	found_at	timestamptz,
	error		text,
	due			boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE refundx.check_result IS 'The clerk''s last check of each invariant';
COMMENT ON COLUMN refundx.check_result.took IS 'How long it took; null: it is running, or did not come to its end';
COMMENT ON COLUMN refundx.check_result.findings IS 'How many rows break it; null: not known';
COMMENT ON COLUMN refundx.check_result.found_at IS 'Since when there are findings; null: there are none';
COMMENT ON COLUMN refundx.check_result.error IS 'Why the last one did not come to its end';
COMMENT ON COLUMN refundx.check_result.due IS 'To be checked again at once: somebody has asked for it';
