/*
 * A new database is armed for the server on which it is made.  A dump begins
 * with CREATE EXTENSION as well, and what it brings must not be sent from
 * here; it says SET row_security = off before, which nobody else has a reason
 * to do.  (If the rows of a dump come later all the same, their foreign
 * transaction numbers disarm the database: see refundx.stamp_xid().)
 */
DO $$
BEGIN
	IF pg_catalog.current_setting('row_security') = 'off' THEN
		RAISE NOTICE 'refundx is not armed: this looks like the restore of a dump'
			USING HINT = 'Nothing is sent from here before SELECT refundx.arm(reason).';
	ELSE
		INSERT INTO refundx.installation (system_identifier, database_oid, timeline, reason)
		SELECT system_identifier::text, database, timeline, 'CREATE EXTENSION'
		  FROM refundx.this_installation();
	END IF;
END
$$;
