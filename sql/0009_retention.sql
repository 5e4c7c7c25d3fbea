-- SPDX-License-Identifier: Apache-2.0
-- What is not to be kept any longer goes: whole days by dropping their partitions, the rest by row, a bounded number in a
-- transaction. One host does it at a time. Times are microseconds, of the settings; a tenant's own go before them.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE INDEX dead_letter_by_message ON dead_letter (message_id);
CREATE INDEX dead_letter_by_age ON dead_letter (died_at);
-- What qmgr hears of a recipient later comes in here (bounced, complained).
GRANT INSERT ON suppression TO smtp_proxy_queue;

-- The lowest id that can be made at this time.
CREATE FUNCTION first_id(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
	SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Messages of a time that must stay, however old they are.
CREATE FUNCTION keep_needed(low uuid, high uuid) RETURNS TABLE (tenant_id uuid, message_id uuid) LANGUAGE sql STABLE AS $$
	SELECT q.tenant_id, q.message_id FROM queue q
	WHERE q.shard = ANY (ARRAY(SELECT n::smallint FROM generate_series(0, 63) AS n))
		AND q.message_id >= low AND q.message_id < high
	UNION SELECT d.tenant_id, d.message_id FROM dead_letter d WHERE d.message_id >= low AND d.message_id < high
$$;

CREATE FUNCTION keep_is_needed(in_tenant uuid, in_message uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT EXISTS (SELECT FROM queue q WHERE q.shard = ANY (ARRAY(SELECT n::smallint FROM generate_series(0, 63) AS n))
			AND q.message_id = in_message)
		OR EXISTS (SELECT FROM dead_letter d WHERE d.tenant_id = in_tenant AND d.message_id = in_message)
$$;

-- One step by row, of at most in_most rows of each table: keys and dead letters past their time, messages and logs of tenants
-- that keep them shorter than the partitions stand, and what is in no day's partition. Says how many went.
CREATE FUNCTION keep_rows(in_messages bigint, in_logs bigint, in_dead bigint, in_most integer,
	OUT is_free boolean, OUT n_keys bigint, OUT n_dead bigint, OUT n_messages bigint, OUT n_logs bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off SET jit = off
SET lock_timeout = '1s' AS $$
DECLARE
	of_settings CONSTANT interval := in_messages * interval '1 microsecond';
	logs_of_settings CONSTANT interval := in_logs * interval '1 microsecond';
	longest interval;
	longest_logs interval;
	n bigint;
BEGIN
	is_free := pg_try_advisory_xact_lock(7526466502207435);
	IF NOT is_free THEN
		RETURN;
	END IF;
	SELECT greatest(of_settings, max(keep_messages)), greatest(logs_of_settings, max(keep_logs))
		INTO longest, longest_logs FROM tenant;
	DELETE FROM idempotency WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency WHERE until < now() LIMIT in_most));
	GET DIAGNOSTICS n_keys = ROW_COUNT;
	-- A budget looks back to the first of its month.
	DELETE FROM provider_use WHERE day < now() - interval '62 days';
	DELETE FROM dead_letter WHERE ctid = ANY (ARRAY(SELECT ctid FROM dead_letter
		WHERE died_at < now() - in_dead * interval '1 microsecond' LIMIT in_most));
	GET DIAGNOSTICS n_dead = ROW_COUNT;
	-- An hour in any case: an id may come again for some time.
	DELETE FROM message m USING (
		SELECT x.tenant_id, x.message_id FROM (
			SELECT t.tenant_id, coalesce(t.keep_messages, of_settings) AS keep FROM tenant t
			WHERE coalesce(t.keep_messages, of_settings) < longest) AS t,
		LATERAL (SELECT o.tenant_id, o.message_id FROM message o WHERE o.tenant_id = t.tenant_id
			AND o.message_id < first_id(now() - greatest(t.keep, '1 hour'))
			AND NOT keep_is_needed(o.tenant_id, o.message_id) ORDER BY o.message_id LIMIT in_most) AS x
		LIMIT in_most) AS g
		WHERE m.tenant_id = g.tenant_id AND m.message_id = g.message_id;
	GET DIAGNOSTICS n_messages = ROW_COUNT;
	DELETE FROM message_other m WHERE m.ctid = ANY (ARRAY(SELECT o.ctid FROM message_other o
		WHERE o.message_id < first_id(now() - greatest(longest, '1 hour'))
		AND NOT keep_is_needed(o.tenant_id, o.message_id) LIMIT in_most));
	GET DIAGNOSTICS n = ROW_COUNT;
	n_messages := n_messages + n;
	DELETE FROM delivery d USING (
		SELECT DISTINCT x.tenant_id, x.message_id FROM (
			SELECT t.tenant_id, coalesce(t.keep_logs, logs_of_settings) AS keep FROM tenant t
			WHERE coalesce(t.keep_logs, logs_of_settings) < longest_logs) AS t,
		LATERAL (SELECT o.tenant_id, o.message_id FROM delivery o WHERE o.tenant_id = t.tenant_id
			AND o.message_id < first_id(now() - t.keep) ORDER BY o.message_id LIMIT in_most) AS x
		LIMIT in_most) AS g
		WHERE d.tenant_id = g.tenant_id AND d.message_id = g.message_id;
	GET DIAGNOSTICS n_logs = ROW_COUNT;
	DELETE FROM event e USING (
		SELECT DISTINCT x.tenant_id, x.message_id FROM (
			SELECT t.tenant_id, coalesce(t.keep_logs, logs_of_settings) AS keep FROM tenant t
			WHERE coalesce(t.keep_logs, logs_of_settings) < longest_logs) AS t,
		LATERAL (SELECT o.tenant_id, o.message_id FROM event o WHERE o.tenant_id = t.tenant_id
			AND o.message_id < first_id(now() - t.keep) ORDER BY o.message_id LIMIT in_most) AS x
		LIMIT in_most) AS g
		WHERE e.tenant_id = g.tenant_id AND e.message_id = g.message_id;
	GET DIAGNOSTICS n = ROW_COUNT;
	n_logs := n_logs + n;
	DELETE FROM delivery_other d WHERE d.ctid = ANY (ARRAY(SELECT o.ctid FROM delivery_other o
		WHERE o.message_id < first_id(now() - longest_logs) LIMIT in_most));
	GET DIAGNOSTICS n = ROW_COUNT;
	n_logs := n_logs + n;
	DELETE FROM event_other e WHERE e.ctid = ANY (ARRAY(SELECT o.ctid FROM event_other o
		WHERE o.message_id < first_id(now() - longest_logs) LIMIT in_most));
	GET DIAGNOSTICS n = ROW_COUNT;
	n_logs := n_logs + n;
END $$;

-- Drops the oldest partition whose day is past every tenant's time; says its name, '' when there is none, NULL when another host
-- is at it. Dropping needs a lock that stops all who store for its moment; who cannot have it at once gives up, and comes again.
-- The messages of the day that are still in the queue or dead letters move into message_other; when they are many, the others go
-- by row first.
CREATE FUNCTION keep_partitions(in_messages bigint, in_logs bigint, in_most integer, OUT dropped text, OUT n_gone bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET jit = off SET lock_timeout = '200ms' AS $$
DECLARE
	part record;
	kept message[];
	low uuid;
	high uuid;
	needed bigint;
	octets bigint;
BEGIN
	n_gone := 0;
	IF NOT pg_try_advisory_xact_lock(7526466502207435) THEN
		RETURN;
	END IF;
	FOR part IN
		SELECT i.inhparent::regclass::text AS parent, c.relname::text AS name, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
		(SELECT greatest(in_messages * interval '1 microsecond', max(keep_messages), '1 hour') AS messages,
			greatest(in_logs * interval '1 microsecond', max(keep_logs)) AS logs FROM tenant) AS longest
		WHERE i.inhparent IN ('message'::regclass, 'delivery'::regclass, 'event'::regclass)
			AND c.relname ~ '^(message|delivery|event)_[0-9]{8}$'
			AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' <
				now() - CASE WHEN i.inhparent = 'message'::regclass THEN longest.messages ELSE longest.logs END
		ORDER BY day, name
	LOOP
		IF part.parent = 'message' THEN
			low := first_id(part.day::timestamp AT TIME ZONE 'UTC');
			high := first_id((part.day + 1)::timestamp AT TIME ZONE 'UTC');
			EXECUTE format('SELECT count(*), coalesce(sum(m.size), 0) FROM keep_needed($1, $2) k JOIN %I m USING'
				' (tenant_id, message_id)', part.name) INTO needed, octets USING low, high;
			IF needed > 1000 OR octets > 64 * 1048576 THEN
				EXECUTE format('DELETE FROM %I m WHERE m.ctid = ANY (ARRAY(SELECT o.ctid FROM %I o'
					' WHERE NOT EXISTS (SELECT FROM keep_needed($1, $2) k WHERE k.tenant_id = o.tenant_id'
					' AND k.message_id = o.message_id) LIMIT $3))', part.name, part.name)
					USING low, high, in_most;
				GET DIAGNOSTICS n_gone = ROW_COUNT;
				CONTINUE WHEN n_gone = 0;
				dropped := '';
				RETURN;
			END IF;
			kept := ARRAY(SELECT m FROM message m JOIN keep_needed(low, high) k USING (tenant_id, message_id));
		END IF;
		EXECUTE format('DROP TABLE %I', part.name);
		IF cardinality(kept) > 0 THEN
			INSERT INTO message SELECT * FROM unnest(kept);
		END IF;
		dropped := part.name;
		RETURN;
	END LOOP;
	dropped := '';
END $$;

REVOKE EXECUTE ON FUNCTION keep_rows, keep_partitions, keep_needed, keep_is_needed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_rows, keep_partitions TO smtp_proxy_queue;
