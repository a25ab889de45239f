/*
 * Views.  The tables are private and may change; these are what is read.
 */
CREATE VIEW refundx.channel_settings AS
	SELECT c.channel_id, c.name, c.kind, c.merchant_id, m.merchant_no, c.revision, c.closed, c.config
	  FROM refundx.channel c JOIN refundx.merchant m USING (merchant_id);
COMMENT ON VIEW refundx.channel_settings IS 'Channels as the workers need them; key files are named, no key is in it';
