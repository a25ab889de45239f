/*
 * Roles.
 *
 * Roles belong to the cluster, not to the database: they are created if they
 * are absent and never dropped.  The worker roles have LOGIN only because a
 * background worker needs it before PostgreSQL 17; they have no password and
 * a connection limit of 0, which keeps everybody else out.
 */
DO $$
DECLARE
	r text;
BEGIN
	FOREACH r IN ARRAY ARRAY['refundx_app', 'refundx_operator', 'refundx_auditor', 'refundx_delegate'] LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', r);
		END IF;
	END LOOP;
	FOREACH r IN ARRAY ARRAY['refundx_dispatcher', 'refundx_listener', 'refundx_settler',
							 'refundx_runner', 'refundx_courier', 'refundx_clerk'] LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I LOGIN CONNECTION LIMIT 0', r);
		END IF;
	END LOOP;
END
$$;

-- The runner settles too, with an application's function in the transaction.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members
					WHERE roleid = 'refundx_settler'::pg_catalog.regrole AND member = 'refundx_runner'::pg_catalog.regrole) THEN
		GRANT refundx_settler TO refundx_runner;
	END IF;
END
$$;

-- Where CONNECT was taken from PUBLIC, the workers still get in.
DO $$
BEGIN
	EXECUTE pg_catalog.format(
		'GRANT CONNECT ON DATABASE %I TO refundx_dispatcher, refundx_listener, refundx_settler, refundx_runner, refundx_courier, refundx_clerk',
		pg_catalog.current_database());
END
$$;
