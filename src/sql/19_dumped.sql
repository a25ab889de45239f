-- Dumped with the database: everything but these five.  One call a
-- statement, for each updates the same row of pg_extension.
DO $$
DECLARE
	c oid;
BEGIN
	FOR c IN SELECT oid FROM pg_catalog.pg_class
			  WHERE relnamespace = 'refundx'::regnamespace
				AND relkind IN ('r', 'S') AND relname NOT IN ('installation', 'watermark', 'relay', 'stop_cursor', 'seal_cursor')
			  ORDER BY oid
	LOOP
		PERFORM pg_catalog.pg_extension_config_dump(c::regclass, '');
	END LOOP;
END
$$;
