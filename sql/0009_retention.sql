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

-- Messages of a time that must stay, however old they are; one of which several parts must has as many rows.
CREATE FUNCTION keep_needed(low uuid, high uuid) RETURNS TABLE (tenant_id uuid, message_id uuid) LANGUAGE sql STABLE AS $$
	SELECT q.tenant_id, q.message_id FROM queue q
	WHERE q.shard = ANY (ARRAY(SELECT n::smallint FROM generate_series(0, 63) AS n))
		AND q.message_id >= low AND q.message_id < high
	UNION ALL SELECT d.tenant_id, d.message_id FROM dead_letter d WHERE d.message_id >= low AND d.message_id < high
$$;

CREATE FUNCTION keep_is_needed(in_tenant uuid, in_message uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT EXISTS (SELECT FROM queue q WHERE q.shard = ANY (ARRAY(SELECT n::smallint FROM generate_series(0, 63) AS n))
			AND q.message_id = in_message)
		OR EXISTS (SELECT FROM dead_letter d WHERE d.tenant_id = in_tenant AND d.message_id = in_message)
$$;

-- One step by row: keys, dead letters and reports past their time, messages and logs of tenants that keep them shorter than the
-- partitions stand, and what is in no day's partition; of each at most about in_most rows (and 1000). Tenants are walked through in
-- steps: what must stay is looked at once a walk, not in each step. The step goes on after (in_tenant, in_message) and says where
-- the next one does, NULL when the walk is over. Whoever may call this can delete nothing earlier than any settings could.
CREATE FUNCTION keep_rows(in_messages bigint, in_logs bigint, in_dead bigint, in_most integer, in_tenant uuid, in_message uuid,
	OUT is_free boolean, OUT n_keys bigint, OUT n_dead bigint, OUT n_messages bigint, OUT n_logs bigint,
	OUT at_tenant uuid, OUT at_message uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off SET jit = off
SET lock_timeout = '1s' AS $$
DECLARE
	most CONSTANT integer := least(greatest(in_most, 1), 1000);
	of_settings CONSTANT interval := greatest(in_messages, 0) * interval '1 microsecond';
	logs_of_settings CONSTANT interval := greatest(in_logs * interval '1 microsecond', '1 day');
	nobody CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
	longest interval;
	longest_logs interval;
	t record;
	seen bigint;
	n bigint;
	budget bigint := most;
BEGIN
	is_free := pg_try_advisory_xact_lock(7526466502207435);
	IF NOT is_free THEN
		RETURN;
	END IF;
	SELECT greatest(of_settings, max(keep_messages)), greatest(logs_of_settings, max(keep_logs))
		INTO longest, longest_logs FROM tenant;
	DELETE FROM idempotency WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency WHERE until < now() LIMIT most));
	GET DIAGNOSTICS n_keys = ROW_COUNT;
	-- A budget looks back to the first of its month.
	DELETE FROM provider_use WHERE day < now() - interval '62 days';
	DELETE FROM dead_letter WHERE ctid = ANY (ARRAY(SELECT ctid FROM dead_letter
		WHERE died_at < now() - greatest(in_dead * interval '1 microsecond', '1 day') LIMIT most));
	GET DIAGNOSTICS n_dead = ROW_COUNT;
	-- Who could not be told for a day is not told any more.
	DELETE FROM report WHERE ctid = ANY (ARRAY(SELECT ctid FROM report WHERE at < now() - interval '1 day' LIMIT most));
	-- An hour in any case: an id may come again for some time.
	-- What stands here is there for its dead letter, as a rule: that is seen at once for all of it.
	DELETE FROM message_other m WHERE m.ctid = ANY (ARRAY(
		WITH undead AS MATERIALIZED (
			SELECT o.ctid AS place, o.tenant_id, o.message_id FROM message_other o
			WHERE o.message_id < first_id(now() - greatest(longest, '1 hour')) AND NOT EXISTS (
				SELECT FROM dead_letter d WHERE d.tenant_id = o.tenant_id AND d.message_id = o.message_id))
		SELECT u.place FROM undead u WHERE NOT keep_is_needed(u.tenant_id, u.message_id) LIMIT most));
	GET DIAGNOSTICS n_messages = ROW_COUNT;
	DELETE FROM delivery_other d WHERE d.ctid = ANY (ARRAY(SELECT o.ctid FROM delivery_other o
		WHERE o.message_id < first_id(now() - longest_logs) LIMIT most));
	GET DIAGNOSTICS n_logs = ROW_COUNT;
	DELETE FROM event_other e WHERE e.ctid = ANY (ARRAY(SELECT o.ctid FROM event_other o
		WHERE o.message_id < first_id(now() - longest_logs) LIMIT most));
	GET DIAGNOSTICS n = ROW_COUNT;
	n_logs := n_logs + n;
	FOR t IN SELECT x.tenant_id, coalesce(x.keep_messages, of_settings) AS keep,
			coalesce(x.keep_logs, logs_of_settings) AS keep_logs FROM tenant x
		WHERE x.tenant_id >= coalesce(in_tenant, nobody) AND (coalesce(x.keep_messages, of_settings) < longest
			OR coalesce(x.keep_logs, logs_of_settings) < longest_logs) ORDER BY x.tenant_id
	LOOP
		at_tenant := t.tenant_id;
		at_message := CASE WHEN t.tenant_id = in_tenant THEN coalesce(in_message, nobody) ELSE nobody END;
		WITH looked_at AS MATERIALIZED (
			SELECT o.message_id FROM message o WHERE t.keep < longest AND o.tenant_id = t.tenant_id
				AND o.message_id > at_message AND o.message_id < first_id(now() - greatest(t.keep, '1 hour'))
			ORDER BY o.message_id LIMIT budget),
		gone AS (
			DELETE FROM message m USING looked_at l WHERE m.tenant_id = t.tenant_id AND m.message_id = l.message_id
				AND NOT keep_is_needed(m.tenant_id, m.message_id) RETURNING m.message_id)
		SELECT count(*), (SELECT count(*) FROM gone), coalesce((array_agg(message_id ORDER BY message_id DESC))[1], at_message)
			INTO seen, n, at_message FROM looked_at;
		n_messages := n_messages + n;
		budget := budget - seen;
		EXIT WHEN budget <= 0;
		IF t.keep_logs < longest_logs THEN
			DELETE FROM delivery d USING (SELECT DISTINCT x.message_id FROM (SELECT o.message_id FROM delivery o
				WHERE o.tenant_id = t.tenant_id AND o.message_id < first_id(now() - t.keep_logs)
				ORDER BY o.message_id LIMIT budget) AS x) AS g
				WHERE d.tenant_id = t.tenant_id AND d.message_id = g.message_id;
			GET DIAGNOSTICS n = ROW_COUNT;
			n_logs := n_logs + n;
			budget := budget - n;
			EXIT WHEN budget <= 0;
			DELETE FROM event e USING (SELECT DISTINCT x.message_id FROM (SELECT o.message_id FROM event o
				WHERE o.tenant_id = t.tenant_id AND o.message_id < first_id(now() - t.keep_logs)
				ORDER BY o.message_id LIMIT budget) AS x) AS g
				WHERE e.tenant_id = t.tenant_id AND e.message_id = g.message_id;
			GET DIAGNOSTICS n = ROW_COUNT;
			n_logs := n_logs + n;
			budget := budget - n;
		END IF;
		budget := budget - 1; -- to ask costs, too
		EXIT WHEN budget <= 0;
	END LOOP;
	IF budget > 0 THEN
		at_tenant := NULL;
		at_message := NULL;
	END IF;
END $$;

-- Drops the oldest partition whose day is past every tenant's time; says its name, '' when there is none, NULL when another host
-- is at it. Dropping needs a lock that stops all who store for its moment; who cannot have it at once gives up, and comes again.
-- The messages of the day that are still in the queue or dead letters move into message_other; when they are many, the others go
-- by row first, some blocks of the partition in a step: those before in_block of the partition in_name, and those of partitions
-- before it, were looked at. Where the next step goes on, or NULL when there is nothing more to look at.
CREATE FUNCTION keep_partitions(in_messages bigint, in_logs bigint, in_name text, in_block bigint,
	OUT dropped text, OUT n_gone bigint, OUT at_name text, OUT at_block bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET jit = off SET lock_timeout = '200ms' AS $$
DECLARE
	blocks CONSTANT integer := 64;
	part record;
	kept message[];
	low uuid;
	high uuid;
	rows_needed bigint;
	needed bigint;
	octets bigint;
BEGIN
	n_gone := 0;
	IF NOT pg_try_advisory_xact_lock(7526466502207435) THEN
		RETURN;
	END IF;
	dropped := '';
	FOR part IN
		SELECT i.inhparent::regclass::text AS parent, c.relname::text AS name, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
		(SELECT greatest(in_messages * interval '1 microsecond', max(keep_messages), '1 hour') AS messages,
			greatest(in_logs * interval '1 microsecond', max(keep_logs), '1 day') AS logs FROM tenant) AS longest
		WHERE i.inhparent IN ('message'::regclass, 'delivery'::regclass, 'event'::regclass)
			AND c.relname ~ '^(message|delivery|event)_[0-9]{8}$'
			AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' <
				now() - CASE WHEN i.inhparent = 'message'::regclass THEN longest.messages ELSE longest.logs END
		ORDER BY day, name
	LOOP
		IF part.parent = 'message' THEN
			low := first_id(part.day::timestamp AT TIME ZONE 'UTC');
			high := first_id((part.day + 1)::timestamp AT TIME ZONE 'UTC');
			EXECUTE format('WITH k AS MATERIALIZED (SELECT * FROM keep_needed($1, $2) LIMIT 20001)'
				' SELECT (SELECT count(*) FROM k), count(*), coalesce(sum(m.size), 0) FROM (SELECT DISTINCT'
				' tenant_id, message_id FROM k) AS one JOIN %I m USING (tenant_id, message_id)', part.name)
				INTO rows_needed, needed, octets USING low, high;
			IF rows_needed > 20000 OR needed > 1000 OR octets > 64 * 1048576 THEN
				at_name := part.name;
				at_block := CASE WHEN in_name = part.name THEN greatest(in_block, 0) ELSE 0 END;
				CONTINUE WHEN in_name > part.name COLLATE "C" OR at_block * current_setting('block_size')::bigint >=
					pg_relation_size(part.name::regclass);
				EXECUTE format('DELETE FROM %I m WHERE m.ctid >= $1 AND m.ctid < $2'
					' AND NOT keep_is_needed(m.tenant_id, m.message_id)', part.name)
					USING format('(%s,0)', at_block)::tid, format('(%s,0)', at_block + blocks)::tid;
				GET DIAGNOSTICS n_gone = ROW_COUNT;
				at_block := at_block + blocks;
				RETURN;
			END IF;
			kept := ARRAY(SELECT m FROM (SELECT DISTINCT k.tenant_id, k.message_id FROM keep_needed(low, high) k) AS one
				JOIN message m USING (tenant_id, message_id));
		END IF;
		EXECUTE format('DROP TABLE %I', part.name);
		IF cardinality(kept) > 0 THEN
			INSERT INTO message SELECT * FROM unnest(kept);
		END IF;
		dropped := part.name;
		EXIT;
	END LOOP;
	at_name := NULL;
	at_block := NULL;
END $$;

REVOKE EXECUTE ON FUNCTION keep_rows, keep_partitions, keep_needed, keep_is_needed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_rows, keep_partitions TO smtp_proxy_queue;
