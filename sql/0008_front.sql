-- SPDX-License-Identifier: Apache-2.0
-- Idempotency keys: of two messages of a tenant with one key, within its window, the second is the first one.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- A client was told that its message is stored because one with its key was: then that one stays, even when whoever handed it
-- in first was told that it is not (queue_withdraw() below).
ALTER TABLE idempotency ADD is_repeated boolean NOT NULL DEFAULT false;
CREATE INDEX idempotency_by_message ON idempotency (message_id);

-- queue_store() of 0003_front.sql with test mode and keys. Those are arrays of their own (a message with a key has its id and
-- tenant there again): most messages have none. in_window is queue.idempotency_window in microseconds. A row for a message that
-- repeats another has that one's id, too; it was not stored.
DROP FUNCTION queue_store(integer, text, bigint, uuid[], uuid[], uuid[], text[], text[], text[], text[], text[],
	boolean[], boolean[], integer[], timestamptz[], timestamptz[], bytea[], text[]);
CREATE FUNCTION queue_store(in_shard integer, in_owner text, in_epoch bigint, tenants uuid[], messages uuid[],
	users uuid[], sessions text[], clients text[], helos text[], senders text[], recipient_lists text[],
	are_8bit boolean[], are_utf8 boolean[], sizes integer[], mailed timestamptz[], received timestamptz[],
	contents bytea[], dsns text[], are_test boolean[], in_window bigint, key_tenants uuid[], key_messages uuid[],
	keys text[])
RETURNS TABLE (is_ours boolean, stored_id uuid, earlier_id uuid) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
	repeated uuid[] := '{}';
	n_told bigint := 0;
BEGIN
	PERFORM FROM shard s WHERE s.shard = in_shard AND s.owner = in_owner AND s.epoch = in_epoch FOR SHARE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT false, NULL::uuid, NULL::uuid;
		RETURN;
	END IF;
	IF cardinality(keys) > 0 THEN
		-- Waits for a host that stores the same key at this moment. Always in the order of the keys, so that no two
		-- wait for each other.
		INSERT INTO idempotency AS i (tenant_id, key, message_id, until)
		SELECT k.tenant_id, k.key, k.message_id,
			now() + coalesce(t.idempotency_window, in_window * interval '1 microsecond')
		FROM (SELECT DISTINCT ON (u.tenant_id, u.key) u.tenant_id, u.key, u.message_id
			FROM unnest(key_tenants, key_messages, keys) WITH ORDINALITY AS u(tenant_id, message_id, key, n)
			ORDER BY u.tenant_id, u.key, u.n) AS k
		LEFT JOIN tenant t ON t.tenant_id = k.tenant_id
		ORDER BY k.tenant_id, k.key
		ON CONFLICT (tenant_id, key) DO UPDATE SET message_id = excluded.message_id, until = excluded.until,
			is_repeated = false WHERE i.until < now();
		repeated := ARRAY(SELECT u.message_id
			FROM unnest(key_tenants, key_messages, keys) AS u(tenant_id, message_id, key)
			JOIN idempotency i ON i.tenant_id = u.tenant_id AND i.key = u.key
			WHERE i.message_id <> u.message_id);
		IF cardinality(repeated) > 0 THEN
			UPDATE idempotency i SET is_repeated = true
			FROM unnest(key_tenants, key_messages, keys) AS u(tenant_id, message_id, key)
			WHERE i.tenant_id = u.tenant_id AND i.key = u.key AND i.message_id <> u.message_id
				AND NOT i.is_repeated;
			RETURN QUERY SELECT true, u.message_id, i.message_id
			FROM unnest(key_tenants, key_messages, keys) AS u(tenant_id, message_id, key)
			JOIN idempotency i ON i.tenant_id = u.tenant_id AND i.key = u.key
			WHERE i.message_id <> u.message_id;
			GET DIAGNOSTICS n_told = ROW_COUNT;
		END IF;
	END IF;
	RETURN QUERY
	WITH stored AS (
		INSERT INTO message (tenant_id, message_id, user_id, session, client, helo, mail_from, recipients,
			is_8bit, is_utf8, size, mail_at, received_at, content, dsn, is_test)
		SELECT u.tenant_id, u.message_id, u.user_id, u.session, u.client, u.helo, u.mail_from,
			u.recipients::text[], u.is_8bit, u.is_utf8, u.size, u.mail_at, u.received_at, u.content,
			nullif(u.dsn, ''), u.is_test
		FROM unnest(tenants, messages, users, sessions, clients, helos, senders, recipient_lists, are_8bit,
			are_utf8, sizes, mailed, received, contents, dsns, are_test)
			AS u(tenant_id, message_id, user_id, session, client, helo, mail_from, recipients, is_8bit,
			is_utf8, size, mail_at, received_at, content, dsn, is_test)
		WHERE u.message_id <> ALL (repeated)
		ON CONFLICT DO NOTHING RETURNING tenant_id, message_id, dsn),
	queued AS (
		INSERT INTO queue (shard, tenant_id, message_id, due_at, wants_delay)
		SELECT in_shard, tenant_id, message_id, now(), coalesce(dsn ~ ' NOTIFY=[A-Z,]*DELAY', false) FROM stored)
	SELECT true, stored.message_id, NULL::uuid FROM stored;
	IF NOT FOUND AND n_told = 0 THEN
		RETURN QUERY SELECT true, NULL::uuid, NULL::uuid;
	END IF;
END $$;

-- Takes back what was stored by a commit whose answer was lost, when the client has been told 451; whole, so that its id can
-- come again. What somebody else was told is stored (is_repeated) stays. A row for each of our shards in which something was
-- found: how much of it is gone.
CREATE FUNCTION queue_withdraw(in_messages uuid[], in_owner text)
RETURNS TABLE (in_shard integer, n_gone bigint, n_stays bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
	-- A store that meets one of these keys waits for us, or we for it.
	PERFORM FROM idempotency i WHERE i.message_id = ANY (in_messages) ORDER BY i.tenant_id, i.key FOR UPDATE;
	RETURN QUERY
	WITH kept AS MATERIALIZED (
		SELECT i.message_id FROM idempotency i WHERE i.message_id = ANY (in_messages) AND i.is_repeated),
	found AS MATERIALIZED (
		SELECT q.shard, q.tenant_id, q.message_id, q.message_id IN (SELECT message_id FROM kept) AS stays
		FROM shard s JOIN queue q ON q.shard = s.shard
		WHERE s.owner = in_owner AND q.message_id = ANY (in_messages)),
	gone AS (
		DELETE FROM queue q USING found f
		WHERE q.shard = f.shard AND q.message_id = f.message_id AND NOT f.stays
		RETURNING q.shard, q.tenant_id, q.message_id),
	rows_gone AS (
		DELETE FROM message m USING gone g
		WHERE m.tenant_id = g.tenant_id AND m.message_id = g.message_id),
	-- What is sent already, or another host's by now, keeps its key: the client's next try is told that it is stored.
	forgotten AS (
		DELETE FROM idempotency i WHERE i.message_id = ANY (in_messages) AND NOT i.is_repeated
			AND (i.message_id IN (SELECT message_id FROM gone) OR NOT EXISTS (
				SELECT FROM message m WHERE m.tenant_id = i.tenant_id AND m.message_id = i.message_id)))
	SELECT f.shard::integer, count(*) FILTER (WHERE NOT f.stays), count(*) FILTER (WHERE f.stays)
	FROM found f GROUP BY f.shard;
END $$;

REVOKE EXECUTE ON FUNCTION queue_store, queue_withdraw FROM PUBLIC;
GRANT EXECUTE ON FUNCTION queue_store, queue_withdraw TO smtp_proxy_queue;

-- An UPDATE of no row counts as a change of all tenants too: gate would forget its logins with each address that is added.
CREATE OR REPLACE FUNCTION note_suppressions() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
	IF EXISTS (SELECT FROM added a JOIN tenant t ON t.tenant_id = a.tenant_id WHERE NOT t.has_suppressions) THEN
		UPDATE tenant t SET has_suppressions = true FROM (SELECT DISTINCT tenant_id FROM added) a
			WHERE t.tenant_id = a.tenant_id AND NOT t.has_suppressions;
	END IF;
	RETURN NULL;
END $$;
