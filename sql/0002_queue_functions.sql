-- SPDX-License-Identifier: Apache-2.0
--
-- The two statements that every message costs, as functions: their plans are kept by the connection, which needs
-- no prepared statements and so no session of its own (PgBouncer). The plans must not depend on how full the
-- tables were when they were made: each row is found by its key.
--
-- A write to the queue first locks the rows of its shards (always in the order of their numbers, so that no two of
-- these can wait for each other) under the epoch at which it was decided: when the shard has passed to another
-- owner since, it writes nothing; and a new owner's take-over waits until a write under the old epoch is committed.

-- Stores new messages, an array a column. Returns a row a message that was not there yet, at least one row:
-- is the shard ours?
CREATE FUNCTION queue_store(in_shard integer, in_owner text, in_epoch bigint, tenants uuid[], messages uuid[],
	users uuid[], sessions text[], clients text[], helos text[], senders text[], recipient_lists text[],
	are_8bit boolean[], are_utf8 boolean[], sizes integer[], mailed timestamptz[], received timestamptz[],
	contents bytea[])
RETURNS TABLE (is_ours boolean, stored_id uuid) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
	PERFORM FROM shard s WHERE s.shard = in_shard AND s.owner = in_owner AND s.epoch = in_epoch FOR SHARE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT false, NULL::uuid;
		RETURN;
	END IF;
	RETURN QUERY
	WITH stored AS (
		INSERT INTO message (tenant_id, message_id, user_id, session, client, helo, mail_from, recipients,
			is_8bit, is_utf8, size, mail_at, received_at, content)
		SELECT u.tenant_id, u.message_id, u.user_id, u.session, u.client, u.helo, u.mail_from,
			u.recipients::text[], u.is_8bit, u.is_utf8, u.size, u.mail_at, u.received_at, u.content
		FROM unnest(tenants, messages, users, sessions, clients, helos, senders, recipient_lists, are_8bit,
			are_utf8, sizes, mailed, received, contents)
			AS u(tenant_id, message_id, user_id, session, client, helo, mail_from, recipients, is_8bit,
			is_utf8, size, mail_at, received_at, content)
		ON CONFLICT DO NOTHING RETURNING tenant_id, message_id),
	queued AS (
		INSERT INTO queue (shard, tenant_id, message_id, due_at)
		SELECT in_shard, tenant_id, message_id, now() FROM stored)
	SELECT true, stored.message_id FROM stored;
	IF NOT FOUND THEN
		RETURN QUERY SELECT true, NULL::uuid;
	END IF;
END $$;

-- Records outcomes, an array a column. what_next is enum qmgr_next: 0 sent, 1 again, 2 dead, 3 held. Returns a row an
-- outcome, in their order: was the shard held under that epoch, was the row there, does an operator hold it. One row
-- after the other, by its key: as one join its plan would depend on the size of the queue.
CREATE FUNCTION queue_record(shards integer[], epochs bigint[], messages uuid[], what_next integer[],
	attempt_numbers integer[], fault_counts integer[], due timestamptz[], kinds text[], providers text[],
	provider_ids text[], codes integer[], statuses text[], reasons text[], started timestamptz[],
	answered timestamptz[], recipient_lists text[])
RETURNS TABLE (is_leased boolean, is_done boolean, is_held_now boolean) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
	held bigint[] := array_fill(-1::bigint, ARRAY[64], ARRAY[0]);	-- epoch by shard
	lease record;
	tenant uuid;
BEGIN
	FOR lease IN SELECT s.shard, s.epoch FROM shard s WHERE s.shard = ANY (shards) ORDER BY s.shard FOR SHARE LOOP
		held[lease.shard] := lease.epoch;
	END LOOP;
	FOR i IN 1 .. cardinality(messages) LOOP
		is_leased := coalesce(held[shards[i]] = epochs[i], false);
		is_done := false;
		is_held_now := false;
		IF is_leased AND what_next[i] = 0 THEN
			DELETE FROM queue q WHERE q.shard = shards[i] AND q.message_id = messages[i]
				RETURNING q.tenant_id INTO tenant;
			is_done := FOUND;
		ELSIF is_leased AND what_next[i] = 2 THEN
			DELETE FROM queue q WHERE q.shard = shards[i] AND q.message_id = messages[i]
				AND q.attempts < attempt_numbers[i]
				RETURNING q.tenant_id INTO tenant;
			is_done := FOUND;
		ELSIF is_leased THEN
			UPDATE queue q SET due_at = due[i], attempts = attempt_numbers[i], faults = fault_counts[i],
				is_held = q.is_held OR what_next[i] = 3, provider = providers[i],
				last_error = reasons[i]
				WHERE q.shard = shards[i] AND q.message_id = messages[i]
				AND q.attempts < attempt_numbers[i]
				RETURNING q.tenant_id, q.is_held INTO tenant, is_held_now;
			is_done := FOUND;
		END IF;
		IF is_done AND what_next[i] IN (0, 2) THEN
			INSERT INTO delivery (tenant_id, message_id, recipient, state, provider, provider_id, attempts,
				code, status, reason, started_at, answered_at)
			SELECT tenant, messages[i], r.recipient, CASE what_next[i] WHEN 0 THEN 'sent' ELSE 'failed' END,
				providers[i], provider_ids[i], attempt_numbers[i], codes[i], statuses[i], reasons[i],
				started[i], answered[i]
			FROM unnest(recipient_lists[i]::text[]) AS r(recipient) ON CONFLICT DO NOTHING;
		END IF;
		IF is_done AND what_next[i] <> 0 THEN
			INSERT INTO event (tenant_id, message_id, at, kind, attempt, provider, code, status, reason,
				started_at)
			VALUES (tenant, messages[i], answered[i], kinds[i], attempt_numbers[i], providers[i], codes[i],
				statuses[i], reasons[i], started[i]);
		END IF;
		IF is_done AND what_next[i] = 2 THEN
			INSERT INTO dead_letter (tenant_id, message_id, attempts, provider, code, status, reason)
			VALUES (tenant, messages[i], attempt_numbers[i], providers[i], codes[i], statuses[i],
				reasons[i])
			ON CONFLICT DO NOTHING;
		END IF;
		RETURN NEXT;
	END LOOP;
END $$;

REVOKE EXECUTE ON FUNCTION queue_store, queue_record FROM PUBLIC;
GRANT EXECUTE ON FUNCTION queue_store, queue_record TO smtp_proxy_queue;
