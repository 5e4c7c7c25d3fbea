-- SPDX-License-Identifier: Apache-2.0
-- Parts: recipients of a message that do not go by one call, or of which some wait for another attempt.
--
-- A part's number is a generation's base and the index of the first recipient that it had: since no recipient is in two parts,
-- no two parts of a message have the same. A dead letter that is sent again is of the next generation (base + 1000, at most
-- 1000 recipients a message), so that message, part and attempt name one call for ever.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

ALTER TABLE queue
	ADD part smallint NOT NULL DEFAULT 0,
	ADD recipients smallint[],			-- indices from 0 into message.recipients, ascending; NULL: all of them
	ADD pinned boolean NOT NULL DEFAULT false,	-- the last outcome was unknown: only the same provider may be tried
	DROP CONSTRAINT queue_pkey,
	ADD PRIMARY KEY (shard, message_id, part);
ALTER TABLE dead_letter
	ADD part smallint NOT NULL DEFAULT 0,
	ADD recipients smallint[],
	ADD pinned boolean NOT NULL DEFAULT false,	-- as in queue: `provider` may have it, no other may be tried
	DROP CONSTRAINT dead_letter_pkey,
	ADD PRIMARY KEY (tenant_id, message_id, part);
ALTER TABLE event
	ADD part smallint NOT NULL DEFAULT 0,
	ADD recipients smallint[];
ALTER TABLE delivery ADD part smallint NOT NULL DEFAULT 0;

-- A message's content goes with its last outcome where it is not to be kept; its row stays, for its id may come again.
GRANT UPDATE (content) ON message TO smtp_proxy_queue;

DROP FUNCTION queue_record(integer[], bigint[], uuid[], integer[], integer[], integer[], timestamptz[], text[], text[],
	text[], integer[], text[], text[], timestamptz[], timestamptz[], text[]);

-- Records outcomes, as in 0002_queue_functions.sql. What becomes of the row: 0 or 2 it goes, 1 again, 3 held; `kept` are the
-- recipients that stay in it, an array literal, NULL: those that there are; `pins` the only provider that may have it, '' for any.
-- Then what became of the others (fate_...) and what is told in the history (event_...: the recipients' indices, NULL for all): any
-- number for each outcome, whose number from 1 comes first. An event 'dead' makes a dead letter of its recipients;
-- of 'dead' and 'relayed' their sender is told; 'bounces-later' is the sandbox's (sql/0011_bounce.sql).
--
-- That was decided on a row with the recipients `had`, pinned as `had_pins`, with or without a later attempt (`lates`: of another
-- host, or under the same number). When the row is another one nothing is recorded and is_other returned: it has to be decided
-- anew. A late outcome says something of recipients, and nothing of when the next attempt is; told again, it says nothing: an
-- operator may have spoken since.
CREATE FUNCTION queue_record(shards integer[], epochs bigint[], messages uuid[], parts integer[], what_next integer[],
	attempt_numbers integer[], fault_counts integer[], due timestamptz[], lates boolean[], had text[], had_pins text[],
	kept text[], pins text[], providers text[], provider_ids text[], errors text[], started timestamptz[],
	answered timestamptz[], keeps boolean[],
	fate_of integer[], fates text[], fate_lists text[], fate_codes integer[], fate_statuses text[], fate_reasons text[],
	event_of integer[], kinds text[], event_lists text[], event_codes integer[], event_statuses text[],
	event_reasons text[])
RETURNS TABLE (is_leased boolean, is_done boolean, is_held_now boolean, is_other boolean) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
	held bigint[] := array_fill(-1::bigint, ARRAY[64], ARRAY[0]);	-- epoch by shard
	tenants uuid[] := array_fill(NULL::uuid, ARRAY[cardinality(messages)]);
	dones boolean[] := array_fill(false, ARRAY[cardinality(messages)]);
	all_shards CONSTANT smallint[] := ARRAY(SELECT n::smallint FROM generate_series(0, 63) AS n);
	lease record;
	gone record;
	tenant uuid;
	is_again boolean;
BEGIN
	FOR lease IN SELECT s.shard, s.epoch FROM shard s WHERE s.shard = ANY (shards) ORDER BY s.shard FOR SHARE LOOP
		held[lease.shard] := lease.epoch;
	END LOOP;
	FOR i IN 1 .. cardinality(messages) LOOP
		is_leased := coalesce(held[shards[i]] = epochs[i], false);
		is_done := false;
		is_held_now := false;
		is_other := false;
		is_again := false;
		IF is_leased AND lates[i] THEN
			is_again := EXISTS (SELECT FROM queue q
				JOIN event e ON e.tenant_id = q.tenant_id AND e.message_id = q.message_id
				WHERE q.shard = shards[i] AND q.message_id = messages[i] AND q.part = parts[i]
				AND e.part = parts[i] AND e.attempt = attempt_numbers[i] AND e.started_at = started[i]);
		END IF;
		IF NOT is_leased OR is_again THEN
			NULL;
		ELSIF what_next[i] IN (0, 2) THEN
			DELETE FROM queue q WHERE q.shard = shards[i] AND q.message_id = messages[i] AND q.part = parts[i]
				AND (q.attempts >= attempt_numbers[i]) = lates[i]
				AND q.recipients IS NOT DISTINCT FROM had[i]::smallint[]
				AND CASE WHEN q.pinned THEN q.provider ELSE '' END = had_pins[i]
				RETURNING q.tenant_id INTO tenant;
			is_done := FOUND;
		ELSE
			UPDATE queue q SET due_at = CASE WHEN lates[i] THEN q.due_at ELSE due[i] END,
				attempts = greatest(q.attempts, attempt_numbers[i]),
				faults = CASE WHEN lates[i] THEN q.faults ELSE fault_counts[i] END,
				last_error = CASE WHEN lates[i] THEN q.last_error ELSE errors[i] END,
				provider = CASE WHEN pins[i] <> '' THEN pins[i] WHEN lates[i] THEN q.provider
					ELSE providers[i] END,
				pinned = pins[i] <> '', is_held = q.is_held OR what_next[i] = 3,
				recipients = coalesce(kept[i]::smallint[], q.recipients)
				WHERE q.shard = shards[i] AND q.message_id = messages[i] AND q.part = parts[i]
				AND (q.attempts >= attempt_numbers[i]) = lates[i]
				AND q.recipients IS NOT DISTINCT FROM had[i]::smallint[]
				AND CASE WHEN q.pinned THEN q.provider ELSE '' END = had_pins[i]
				RETURNING q.tenant_id, q.is_held INTO tenant, is_held_now;
			is_done := FOUND;
		END IF;
		IF is_leased AND NOT is_again AND NOT is_done THEN
			is_other := EXISTS (SELECT FROM queue q WHERE q.shard = shards[i] AND q.message_id = messages[i]
				AND q.part = parts[i]);
		ELSIF is_done THEN
			tenants[i] := tenant;
			dones[i] := true;
		END IF;
		RETURN NEXT;
	END LOOP;
	INSERT INTO delivery (tenant_id, message_id, part, recipient, state, provider, provider_id, attempts, code, status,
		reason, started_at, answered_at)
	SELECT tenants[f.n], messages[f.n], parts[f.n], r.recipient, f.fate, providers[f.n],
		CASE f.fate WHEN 'sent' THEN provider_ids[f.n] ELSE '' END, attempt_numbers[f.n], f.code, f.status, f.reason,
		started[f.n], answered[f.n]
	FROM unnest(fate_of, fates, fate_lists, fate_codes, fate_statuses, fate_reasons)
		AS f(n, fate, list, code, status, reason), unnest(f.list::text[]) AS r(recipient)
	WHERE dones[f.n] ON CONFLICT DO NOTHING;
	IF cardinality(event_of) > 0 THEN
		INSERT INTO event (tenant_id, message_id, part, recipients, at, kind, attempt, provider, code, status, reason,
			started_at)
		SELECT tenants[e.n], messages[e.n], parts[e.n], e.list::smallint[], answered[e.n], e.kind, attempt_numbers[e.n],
			providers[e.n], e.code, e.status, e.reason, started[e.n]
		FROM unnest(event_of, kinds, event_lists, event_codes, event_statuses, event_reasons)
			AS e(n, kind, list, code, status, reason)
		WHERE dones[e.n];
		INSERT INTO dead_letter (tenant_id, message_id, part, recipients, attempts, provider, code, status, reason, pinned)
		SELECT tenants[e.n], messages[e.n], parts[e.n] / 1000 * 1000 + coalesce((e.list::smallint[])[1], 0),
			e.list::smallint[], attempt_numbers[e.n],
			CASE WHEN pins[e.n] <> '' THEN pins[e.n] ELSE providers[e.n] END, e.code, e.status, e.reason,
			pins[e.n] <> ''
		FROM unnest(event_of, kinds, event_lists, event_codes, event_statuses, event_reasons)
			AS e(n, kind, list, code, status, reason)
		WHERE dones[e.n] AND e.kind = 'dead' ON CONFLICT DO NOTHING;
	END IF;
	IF kinds && ARRAY['dead', 'relayed'] THEN
		INSERT INTO report (tenant_id, message_id, action, recipients, code, status, reason)
		SELECT m.tenant_id, m.message_id, CASE e.kind WHEN 'dead' THEN 'failed' ELSE e.kind END, e.list::smallint[], e.code,
			e.status, e.reason
		FROM unnest(event_of, kinds, event_lists, event_codes, event_statuses, event_reasons)
			AS e(n, kind, list, code, status, reason)
		JOIN tenant t ON t.tenant_id = tenants[e.n] AND t.bounce_from <> ''
		JOIN message m ON m.tenant_id = tenants[e.n] AND m.message_id = messages[e.n] AND m.mail_from <> ''
		WHERE dones[e.n] AND e.kind IN ('dead', 'relayed');
	END IF;
	IF 'bounces-later' = ANY (kinds) THEN
		INSERT INTO bounce_later (tenant_id, message_id, recipient, due_at, code, status, reason)
		SELECT m.tenant_id, m.message_id, m.recipients[i.n + 1], now() + interval '5 seconds', e.code, e.status, e.reason
		FROM unnest(event_of, kinds, event_lists, event_codes, event_statuses, event_reasons)
			AS e(n, kind, list, code, status, reason)
		JOIN message m ON m.tenant_id = tenants[e.n] AND m.message_id = messages[e.n]
		CROSS JOIN LATERAL unnest(e.list::smallint[]) AS i(n)
		WHERE dones[e.n] AND e.kind = 'bounces-later' ON CONFLICT DO NOTHING;
	END IF;
	IF false = ANY (keeps) THEN
		FOR gone IN SELECT DISTINCT tenants[u.n] AS tenant_id, u.id FROM unnest(messages) WITH ORDINALITY AS u(id, n)
			WHERE dones[u.n] AND NOT keeps[u.n] AND what_next[u.n] IN (0, 2) ORDER BY u.id LOOP
			-- One after the other: the last of two parts that end at the same moment sees that it is the last.
			PERFORM FROM message m WHERE m.tenant_id = gone.tenant_id AND m.message_id = gone.id FOR UPDATE;
			UPDATE message m SET content = '' WHERE m.tenant_id = gone.tenant_id AND m.message_id = gone.id
				AND NOT EXISTS (SELECT FROM queue q WHERE q.shard = ANY (all_shards) AND q.message_id = gone.id)
				AND NOT EXISTS (SELECT FROM dead_letter d WHERE d.tenant_id = gone.tenant_id
					AND d.message_id = gone.id);
		END LOOP;
	END IF;
END $$;

-- Makes parts of a part before it is sent: the first list of recipients stays in the row, each other one gets a row. 0: the
-- shard is not held under that epoch; 1: done; 2: the row is not there as it was (tried since, held, or with fewer recipients).
CREATE FUNCTION queue_split(in_shard integer, in_epoch bigint, in_message uuid, in_part integer, in_attempts integer,
	had text, lists text[])
RETURNS integer LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
	whole queue%ROWTYPE;
BEGIN
	PERFORM FROM shard s WHERE s.shard = in_shard AND s.epoch = in_epoch FOR SHARE;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	UPDATE queue q SET recipients = lists[1]::smallint[]
		WHERE q.shard = in_shard AND q.message_id = in_message AND q.part = in_part AND q.attempts = in_attempts
		AND q.recipients IS NOT DISTINCT FROM had::smallint[] AND NOT q.is_held
		RETURNING * INTO whole;
	IF NOT FOUND THEN
		RETURN 2;
	END IF;
	INSERT INTO queue (shard, tenant_id, message_id, part, recipients, due_at, queued_at, attempts, faults, provider,
		last_error, pinned, wants_delay)
	SELECT in_shard, whole.tenant_id, in_message, in_part / 1000 * 1000 + l.indices[1], l.indices, whole.due_at,
		whole.queued_at, whole.attempts, whole.faults, whole.provider, whole.last_error, whole.pinned,
		whole.wants_delay
	FROM (SELECT list::smallint[] AS indices FROM unnest(lists[2:]) AS u(list)) AS l;
	INSERT INTO event (tenant_id, message_id, part, at, kind, attempt, provider, code, status, reason)
	VALUES (whole.tenant_id, in_message, in_part, now(), 'split', in_attempts, '', 0, '',
		format('into %s parts', cardinality(lists)));
	RETURN 1;
END $$;

REVOKE EXECUTE ON FUNCTION queue_record, queue_split FROM PUBLIC;
GRANT EXECUTE ON FUNCTION queue_record, queue_split TO smtp_proxy_queue;
