/*
 * What puts guards on tables, takes them off, and lifts a lock.
 */
CREATE FUNCTION refundx.guard_owner_check(table_name regclass) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	owner oid;
BEGIN
	SELECT c.relowner INTO owner FROM pg_class c WHERE c.oid = table_name;
	IF NOT pg_has_role(session_user, owner, 'MEMBER') THEN
		RAISE EXCEPTION 'must be owner of table %', table_name USING ERRCODE = '42501',
			HINT = format('A guard is for a member of the role that owns the table, which is %s.', owner::regrole);
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.guard_owner_check(regclass) IS 'Raises 42501 unless the login is the table''s owner, or a member of it';

-- Types whose equality is that of their text, so that a row has one key and not several.
CREATE FUNCTION refundx.guard_key_check(table_name regclass, key text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a record;
BEGIN
	SELECT t.attnum, t.atttypid, coalesce(c.collisdeterministic, true) AS deterministic INTO a
	  FROM pg_attribute t LEFT JOIN pg_collation c ON c.oid = t.attcollation
	 WHERE t.attrelid = table_name AND t.attname = key AND t.attnum > 0 AND NOT t.attisdropped;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'column "%" of table % does not exist', key, table_name USING ERRCODE = 'RX011';
	END IF;
	IF a.atttypid NOT IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'text'::regtype, 'varchar'::regtype, 'uuid'::regtype)
	   OR NOT a.deterministic THEN
		RAISE EXCEPTION 'column "%" of table % cannot be the key of a guard', key, table_name USING ERRCODE = 'RX011',
			DETAIL = format('Its type is %s%s.', a.atttypid::regtype, CASE WHEN a.deterministic THEN '' ELSE ' with a nondeterministic collation' END),
			HINT = 'A key is a smallint, integer, bigint, text, varchar or uuid.';
	END IF;
	-- a unique index of a partitioned table has the partition key in it; a submit looks how many rows there are
	IF NOT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
					WHERE i.indrelid = table_name AND i.indisunique AND i.indisvalid AND i.indimmediate
					  AND i.indpred IS NULL AND i.indexprs IS NULL
					  AND (i.indnkeyatts = 1 OR c.relkind = 'p') AND i.indkey[0] = a.attnum) THEN
		RAISE EXCEPTION 'column "%" of table % is not unique', key, table_name USING ERRCODE = 'RX011',
			HINT = 'A guard needs a unique index on its key alone (in a partitioned table, one that begins with the key), of all rows and not deferrable.';
	END IF;
END
$$;
COMMENT ON FUNCTION refundx.guard_key_check(regclass, text) IS 'Raises RX011 unless the column can be the key of a guard';

-- "OLD.c IS DISTINCT FROM NEW.c", as text where the type has no equality of its own.
CREATE FUNCTION refundx.guard_condition(table_name regclass, columns text[]) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	a record;
	cast_to text;
	conditions text[] := '{}';
BEGIN
	FOR a IN
		SELECT c.name, t.attname, coalesce(e.oid, b.oid, y.oid) AS type, coalesce(e.typtype, b.typtype, y.typtype) AS kind
		  FROM unnest(columns) WITH ORDINALITY c (name, n)
		  LEFT JOIN pg_attribute t ON t.attrelid = table_name AND t.attname = c.name AND t.attnum > 0 AND NOT t.attisdropped
		  LEFT JOIN pg_type y ON y.oid = t.atttypid
		  LEFT JOIN pg_type b ON b.oid = y.typbasetype
		  LEFT JOIN pg_type e ON e.oid = coalesce(b.typelem, y.typelem) AND coalesce(b.typcategory, y.typcategory) = 'A'
		 ORDER BY c.n
	LOOP
		IF a.attname IS NULL THEN
			RAISE EXCEPTION 'column "%" of table % does not exist', a.name, table_name USING ERRCODE = 'RX011';
		END IF;
		cast_to := '';
		IF a.kind NOT IN ('b', 'e', 'r', 'm') THEN
			cast_to := '::text';
		ELSE
			BEGIN
				EXECUTE format('SELECT NULL::%1$s IS DISTINCT FROM NULL::%1$s', format_type(a.type, NULL));
			EXCEPTION WHEN undefined_function OR ambiguous_function THEN
				cast_to := '::text';
			END;
		END IF;
		conditions := conditions || format('OLD.%1$I%2$s IS DISTINCT FROM NEW.%1$I%2$s', a.name, cast_to);
	END LOOP;
	RETURN array_to_string(conditions, ' OR ');
END
$$;
COMMENT ON FUNCTION refundx.guard_condition(regclass, text[]) IS 'When the trigger of a guard fires; RX011 for a column that does not exist';

CREATE FUNCTION refundx.guard_add(table_name regclass, key text, columns text[], of_payments text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
	g record;
	named text[];
	id int;
	arguments text;
	part text;
BEGIN
	IF table_name IS NULL OR key IS NULL OR coalesce(cardinality(columns), 0) = 0 OR array_position(columns, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'table_name, key and columns must be given' USING ERRCODE = '22023';
	END IF;
	PERFORM refundx.guard_owner_check(table_name);
	SELECT c.relkind, c.relpersistence, c.relispartition, n.nspname,
		   EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid) AS has_children INTO t
	  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = table_name;
	IF t.relkind NOT IN ('r', 'p') THEN
		RAISE EXCEPTION '% is a %, and only a table can be guarded', table_name,
			CASE t.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
						   WHEN 'S' THEN 'sequence' ELSE 'relation of another kind' END
			USING ERRCODE = 'RX011', HINT = 'Guard the tables that hold the rows.';
	ELSIF t.relpersistence <> 'p' THEN
		RAISE EXCEPTION 'table % is %, and cannot be guarded', table_name,
			CASE t.relpersistence WHEN 't' THEN 'temporary' ELSE 'unlogged: a crash empties it' END USING ERRCODE = 'RX011';
	ELSIF t.relispartition THEN
		RAISE EXCEPTION 'table % is a partition', table_name USING ERRCODE = 'RX011',
			HINT = 'Guard the partitioned table: its partitions follow.';
	ELSIF t.relkind = 'r' AND t.has_children THEN
		RAISE EXCEPTION 'table % has tables that inherit from it', table_name USING ERRCODE = 'RX011',
			HINT = 'Guard each of those that hold rows.';
	ELSIF t.nspname IN ('refundx', 'pg_catalog', 'information_schema') THEN
		RAISE EXCEPTION 'tables of schema % cannot be guarded', t.nspname USING ERRCODE = 'RX011';
	END IF;

	-- two who add the first guard of a table come one after the other
	EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', table_name);
	PERFORM refundx.guard_key_check(table_name, key);
	named := ARRAY(SELECT c FROM unnest(columns) WITH ORDINALITY u (c, n)
					WHERE c <> key GROUP BY c ORDER BY min(n));
	IF of_payments IS NOT NULL THEN
		BEGIN
			PERFORM substring('' FROM of_payments);
		EXCEPTION WHEN invalid_regular_expression THEN
			RAISE EXCEPTION 'of_payments cannot be used: %', SQLERRM USING ERRCODE = 'RX011';
		END;
	END IF;

	SELECT d.* INTO g FROM refundx.guard d
	  JOIN refundx.guard_trigger x ON x.guard_id = d.guard_id AND x.relid = table_name AND x.event = 'update';
	IF FOUND THEN
		IF (g.key_column, g.columns, coalesce(g.of_payments, '')) = (key, named, coalesce(of_payments, '')) THEN
			RETURN false;
		END IF;
		RAISE EXCEPTION 'table % has a guard already', table_name USING ERRCODE = 'RX003',
			DETAIL = format('Its key is %s, its columns are %s%s.', g.key_column, array_to_string(g.columns, ', '),
							', it follows payments by ' || quote_literal(g.of_payments)),
			HINT = 'refundx.guard_drop() removes it, when nothing in flight locks a row of it.';
	END IF;

	INSERT INTO refundx.guard (relation, key_column, columns, of_payments)
	VALUES (table_name::text, key, named, of_payments) RETURNING guard_id INTO id;
	SELECT string_agg(quote_literal(a), ', ' ORDER BY n) INTO arguments
	  FROM unnest(ARRAY[id::text, key] || named) WITH ORDINALITY u (a, n);
	EXECUTE format('CREATE TRIGGER refundx_guard_update AFTER UPDATE ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION refundx.guard_row(%s)',
				   table_name, refundx.guard_condition(table_name, key || named), arguments);
	EXECUTE format('CREATE TRIGGER refundx_guard_delete AFTER DELETE ON %s FOR EACH ROW EXECUTE FUNCTION refundx.guard_row(%s)',
				   table_name, arguments);
	EXECUTE format('CREATE TRIGGER refundx_guard_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION refundx.guard_truncate(%L)',
				   table_name, id);
	FOREACH part IN ARRAY ARRAY['update', 'delete', 'truncate'] LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER refundx_guard_%s', table_name, part);
	END LOOP;
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('guard_add', table_name::text, 'added', jsonb_strip_nulls(jsonb_build_object('key', key, 'columns', named, 'of_payments', of_payments)));
	RETURN true;
END
$$;
COMMENT ON FUNCTION refundx.guard_add(regclass, text, text[], text) IS
'Puts a guard on a table: refunds and withdrawals can name rows of it by their key, and while one is in flight, neither the key nor these columns of its rows change, and the rows are not deleted. True if it is new; the same again is a no-op. For a member of the role that owns the table.
key: a column with a unique index of its own (smallint, integer, bigint, text, varchar, uuid); in a partitioned table, one that a unique index begins with. of_payments: a regular expression; the part of a payment''s number that it matches (its first group, if it has one) is the key of the row that each refund of that payment locks, unless refund_submit is given guards: ''^order-(.*)$''.
A partitioned table is guarded with its partitions. Waits for whoever is writing to the table. doc/guard.md says what is promised.
Errors: RX003 the table has another guard, RX011 it is no table, is temporary, unlogged or a partition, a column does not exist, the key is not unique, of_payments is no regular expression, 42501 not the owner, 22023 something is missing.';

CREATE FUNCTION refundx.guard_drop(table_name regclass, reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id int;
	part text;
BEGIN
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	PERFORM refundx.guard_owner_check(table_name);
	SELECT x.guard_id INTO id FROM refundx.guard_trigger x WHERE x.relid = table_name AND x.root LIMIT 1;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	-- what is in flight makes these fail
	FOREACH part IN ARRAY ARRAY['update', 'delete', 'truncate'] LOOP
		EXECUTE format('DROP TRIGGER IF EXISTS refundx_guard_%s ON %s', part, table_name);
	END LOOP;
	UPDATE refundx.guard SET dropped_at = clock_timestamp(), dropped_by = session_user WHERE guard_id = id;
	INSERT INTO refundx.audit (action, subject, reason) VALUES ('guard_drop', table_name::text, guard_drop.reason);
	RETURN true;
END
$$;
COMMENT ON FUNCTION refundx.guard_drop(regclass, text) IS
'Removes the guard of a table; true if there was one. For a member of the role that owns the table. Kept in the audit log with the reason.
Errors: RX022 something in flight locks a row of it, 42501 not the owner, 22023 no reason.';

CREATE FUNCTION refundx.guard_lift(table_name regclass, key text, reason text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id int;
	canonical text;
	lifted bigint[];
BEGIN
	PERFORM refundx.not_in_handler('guard_lift');
	IF coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'reason must be given' USING ERRCODE = '22023';
	END IF;
	IF key IS NULL THEN
		RAISE EXCEPTION 'key must be given' USING ERRCODE = '22023';
	END IF;
	SELECT x.guard_id INTO id FROM refundx.guard_trigger x WHERE x.relid = table_name AND x.event = 'update' LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'table % has no guard', table_name USING ERRCODE = 'RX011';
	END IF;
	EXECUTE (SELECT format('SELECT ($1::%s)::text', format_type(a.atttypid, NULL))
			   FROM pg_attribute a JOIN refundx.guard g ON g.guard_id = id
			  WHERE a.attrelid = table_name AND a.attname = g.key_column) INTO canonical USING key;
	WITH done AS (
		UPDATE refundx.guard_lock l SET lifted_at = clock_timestamp(), lifted_by = coalesce(refundx.actor(), session_user)
		  FROM refundx.instruction i
		 WHERE l.guard_id = id AND l.key = canonical AND l.lifted_at IS NULL
		   AND i.instruction_id = l.instruction_id AND i.is_open
		RETURNING l.instruction_id)
	SELECT array_agg(instruction_id) INTO lifted FROM done;
	IF lifted IS NULL THEN
		RETURN 0;
	END IF;
	INSERT INTO refundx.event (instruction_id, type, from_state, to_state, actor, note)
	SELECT i.instruction_id, 'guard_lifted', i.state, i.state, session_user, format('row %s of %s: %s', canonical, table_name, guard_lift.reason)
	  FROM refundx.instruction i WHERE i.instruction_id = ANY (lifted);
	INSERT INTO refundx.audit (action, subject, reason, detail)
	VALUES ('guard_lift', format('%s, %s', table_name, canonical), guard_lift.reason,
			jsonb_build_object('instructions', (SELECT jsonb_agg(i.instruction_no) FROM refundx.instruction i WHERE i.instruction_id = ANY (lifted))));
	RETURN cardinality(lifted);
END
$$;
COMMENT ON FUNCTION refundx.guard_lift(regclass, text, text) IS
'Lifts the locks that refunds and withdrawals in flight have on one row, so that it can be changed; they themselves go on as they are, and one that is submitted later locks the row anew. Returns how many locked it. Kept in the audit log and in their histories, with the reason.
Errors: RX011 the table has no guard, 22023 no key or no reason, 22P02 the key is none.';
