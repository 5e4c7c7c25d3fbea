-- SPDX-License-Identifier: Apache-2.0
-- Delivery reports (RFC 3464) to whoever sent a message, where the tenant wants them (tenant.bounce_from), and what is heard of a
-- recipient after the provider took the message.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- What is to be told, written with the fact itself; it goes when it is told, or need not be. Those of a message that come
-- together are told together.
CREATE TABLE report (
	tenant_id	uuid NOT NULL,
	message_id	uuid NOT NULL,
	report_id	bigint GENERATED ALWAYS AS IDENTITY,
	action		text NOT NULL CHECK (action IN ('failed', 'relayed', 'delayed')),
	recipients	smallint[],			-- indices from 0 into message.recipients; NULL: all of them
	code		integer NOT NULL,
	status		text NOT NULL,
	reason		text NOT NULL,
	at		timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant_id, message_id, report_id)
);
CREATE INDEX report_by_age ON report (at);
GRANT SELECT, INSERT, UPDATE, DELETE ON report TO smtp_proxy_queue;

-- Reports of a tenant in the hour that began then: so many and no more (bounces.per_hour).
CREATE TABLE report_use (
	tenant_id	uuid PRIMARY KEY,
	since		timestamptz NOT NULL,
	n		bigint NOT NULL
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON report_use TO smtp_proxy_queue;

-- Of these a sender wants to know when they are late (NOTIFY=DELAY) and was not told yet: as a rule no row, so no index entry.
ALTER TABLE queue ADD wants_delay boolean NOT NULL DEFAULT false;
CREATE INDEX queue_wants_delay ON queue (queued_at) WHERE wants_delay;

-- Of what has waited for so many microseconds the sender is to be told, once. Takes at most in_most rows, and none that
-- somebody else is writing to.
CREATE FUNCTION report_delays(in_after bigint, in_most integer) RETURNS bigint LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
	n bigint;
BEGIN
	WITH late AS MATERIALIZED (
		SELECT q.shard, q.message_id, q.part FROM queue q
		WHERE q.wants_delay AND q.queued_at < now() - in_after * interval '1 microsecond'
		ORDER BY q.queued_at LIMIT in_most FOR UPDATE SKIP LOCKED),
	taken AS (
		UPDATE queue q SET wants_delay = false FROM late l
		WHERE q.shard = l.shard AND q.message_id = l.message_id AND q.part = l.part
		RETURNING q.tenant_id, q.message_id, q.part, q.recipients, q.attempts, q.provider, q.last_error),
	wanted AS (
		SELECT k.* FROM taken k JOIN tenant t ON t.tenant_id = k.tenant_id WHERE t.bounce_from <> ''),
	noted AS (
		INSERT INTO event (tenant_id, message_id, part, recipients, at, kind, attempt, provider, code, status, reason)
		SELECT tenant_id, message_id, part, recipients, now(), 'delayed', attempts, provider, 0, '', last_error FROM wanted),
	told AS (
		INSERT INTO report (tenant_id, message_id, action, recipients, code, status, reason)
		SELECT tenant_id, message_id, 'delayed', recipients, 0, '', last_error FROM wanted)
	SELECT count(*) INTO n FROM taken;
	RETURN n;
END $$;

-- The provider took the message for this recipient, and says later that it came back. True: it is recorded; false: there is no such
-- recipient that the message was sent to, or it was known. The sender is told as of any failure.
CREATE FUNCTION delivery_bounced(in_tenant uuid, in_message uuid, in_recipient text, in_at timestamptz, in_code integer,
	in_status text, in_reason text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
	was record;
	of_recipient smallint[];
BEGIN
	UPDATE delivery d SET state = 'bounced', code = in_code, status = in_status, reason = in_reason
		WHERE d.tenant_id = in_tenant AND d.message_id = in_message AND d.recipient = in_recipient
		AND d.state IN ('sent', 'delivered')
		RETURNING d.part, d.attempts, d.provider INTO was;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	of_recipient := (SELECT ARRAY[array_position(m.recipients, in_recipient) - 1]::smallint[] FROM message m
		WHERE m.tenant_id = in_tenant AND m.message_id = in_message);
	INSERT INTO event (tenant_id, message_id, part, recipients, at, kind, attempt, provider, code, status, reason)
	VALUES (in_tenant, in_message, was.part, of_recipient, in_at, 'bounced', was.attempts, was.provider, in_code, in_status,
		in_reason);
	INSERT INTO report (tenant_id, message_id, action, recipients, code, status, reason)
	SELECT in_tenant, in_message, 'failed', of_recipient, in_code, in_status, in_reason
	FROM tenant t WHERE t.tenant_id = in_tenant AND t.bounce_from <> '' AND of_recipient[1] IS NOT NULL;
	RETURN true;
END $$;

-- What the sandbox took and will bounce: a provider's word that is known beforehand.
CREATE TABLE bounce_later (
	tenant_id	uuid NOT NULL,
	message_id	uuid NOT NULL,
	recipient	text NOT NULL,
	due_at		timestamptz NOT NULL,
	code		integer NOT NULL,
	status		text NOT NULL,
	reason		text NOT NULL,
	PRIMARY KEY (tenant_id, message_id, recipient)
);
CREATE INDEX bounce_later_by_time ON bounce_later (due_at);
GRANT SELECT, INSERT ON bounce_later TO smtp_proxy_queue;

CREATE FUNCTION bounces_due(in_most integer) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
	b bounce_later%ROWTYPE;
	n bigint := 0;
BEGIN
	FOR b IN SELECT * FROM bounce_later l WHERE l.due_at <= now() ORDER BY l.due_at LIMIT least(in_most, 1000)
		FOR UPDATE SKIP LOCKED LOOP
		PERFORM delivery_bounced(b.tenant_id, b.message_id, b.recipient, b.due_at, b.code, b.status, b.reason);
		DELETE FROM bounce_later l WHERE l.tenant_id = b.tenant_id AND l.message_id = b.message_id
			AND l.recipient = b.recipient;
		n := n + 1;
	END LOOP;
	RETURN n;
END $$;

-- What is to be told of some messages, one a row: those of which nothing more has come for two seconds, or that wait for a minute. The
-- columns from `indices` on have an element a recipient and fact, in the order of the facts. A message that is gone, or whose
-- tenant wants no reports any more, has a row too, so that what is to be told of it goes. Without content when there would be too
-- many reports.
CREATE FUNCTION report_due(in_most integer, in_per_hour bigint)
RETURNS TABLE (tenant_id uuid, message_id uuid, reports text, bounce_from text, mail_from text, dsn text,
	received_at timestamptz, content bytea, indices text[], addresses text[], actions text[], codes text[], statuses text[],
	reasons text[])
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH oldest AS MATERIALIZED (
		SELECT r.tenant_id, r.message_id, min(r.at) AS at
		FROM (SELECT * FROM report ORDER BY at LIMIT in_most * 20) AS r GROUP BY r.tenant_id, r.message_id),
	due AS MATERIALIZED (
		SELECT o.tenant_id, o.message_id, o.at, f.reports FROM oldest o
		CROSS JOIN LATERAL (SELECT array_agg(r.report_id)::text AS reports, max(r.at) AS newest FROM report r
			WHERE r.tenant_id = o.tenant_id AND r.message_id = o.message_id) AS f
		WHERE f.newest < now() - interval '2 seconds' OR o.at < now() - interval '1 minute'
		ORDER BY o.at LIMIT in_most)
	SELECT due.tenant_id, due.message_id, due.reports, coalesce(t.bounce_from, ''), coalesce(m.mail_from, ''),
		coalesce(m.dsn, ''), coalesce(m.received_at, now()),
		CASE WHEN m.message_id IS NULL OR (in_per_hour > 0 AND u.n >= in_per_hour AND u.since > now() - interval '1 hour')
			THEN '' WHEN m.size <= 1048576 THEN m.content ELSE substring(m.content FROM 1 FOR 1048576) END,
		x.indices, x.addresses, x.actions, x.codes, x.statuses, x.reasons
	FROM due LEFT JOIN tenant t ON t.tenant_id = due.tenant_id
	LEFT JOIN report_use u ON u.tenant_id = due.tenant_id
	LEFT JOIN message m ON m.tenant_id = due.tenant_id AND m.message_id = due.message_id
	CROSS JOIN LATERAL (
		SELECT array_agg(i.n::text ORDER BY r.report_id, i.n) AS indices,
			array_agg(m.recipients[i.n + 1] ORDER BY r.report_id, i.n) AS addresses,
			array_agg(r.action ORDER BY r.report_id, i.n) AS actions,
			-- Of those who failed together each may have failed for a reason of its own.
			array_agg(coalesce(d.code, r.code)::text ORDER BY r.report_id, i.n) AS codes,
			array_agg(coalesce(d.status, r.status) ORDER BY r.report_id, i.n) AS statuses,
			array_agg(coalesce(d.reason, r.reason) ORDER BY r.report_id, i.n) AS reasons
		FROM report r CROSS JOIN LATERAL unnest(coalesce(r.recipients,
			ARRAY(SELECT n::smallint FROM generate_series(0, cardinality(m.recipients) - 1) AS n))) AS i(n)
		LEFT JOIN delivery d ON r.action = 'failed' AND d.tenant_id = r.tenant_id AND d.message_id = r.message_id
			AND d.recipient = m.recipients[i.n + 1] AND d.state IN ('failed', 'bounced')
		WHERE r.tenant_id = due.tenant_id AND r.message_id = due.message_id) AS x
	ORDER BY due.at;
END $$;

-- What is to be told goes, and in the same transaction the report is put into the queue of a shard that is ours; of two hosts
-- that do it at once one succeeds. 0: not done, the shard is not ours or it was told already; 1: done; 2: there was nothing to
-- say (without content); 3: the tenant has had its reports of this hour; 4: it does not want to write to the sender, who stands
-- in its list as in_canonical.
CREATE FUNCTION report_store(in_shard integer, in_owner text, in_epoch bigint, in_tenant uuid, in_message uuid, in_reports text,
	in_id uuid, in_to text, in_canonical text, in_8bit boolean, in_utf8 boolean, in_content bytea, in_per_hour bigint)
RETURNS integer LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
	told CONSTANT bigint[] := in_reports::bigint[];
	n_there bigint;
	used bigint;
	of_user uuid;
	of_test boolean;
	verdict integer := 1;
BEGIN
	PERFORM FROM shard s WHERE s.shard = in_shard AND s.owner = in_owner AND s.epoch = in_epoch FOR SHARE;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	SELECT count(*) INTO n_there FROM (SELECT FROM report r WHERE r.tenant_id = in_tenant AND r.message_id = in_message
		AND r.report_id = ANY (told) ORDER BY r.report_id FOR UPDATE) AS locked;
	IF n_there < cardinality(told) THEN
		RETURN 0;
	END IF;
	DELETE FROM report r WHERE r.tenant_id = in_tenant AND r.message_id = in_message AND r.report_id = ANY (told);
	SELECT m.user_id, m.is_test INTO of_user, of_test FROM message m
		WHERE m.tenant_id = in_tenant AND m.message_id = in_message;
	IF NOT FOUND OR octet_length(in_content) = 0 THEN
		RETURN 2;
	END IF;
	IF EXISTS (SELECT FROM suppression s WHERE s.tenant_id = in_tenant AND
			s.address IN (lower(in_canonical), lower(substring(in_canonical FROM '@[^@]*$')))) THEN
		verdict := 4;
	ELSIF in_per_hour > 0 THEN
		INSERT INTO report_use AS u (tenant_id, since, n) VALUES (in_tenant, now(), 1)
			ON CONFLICT (tenant_id) DO UPDATE SET
				since = CASE WHEN u.since > now() - interval '1 hour' THEN u.since ELSE now() END,
				n = CASE WHEN u.since > now() - interval '1 hour' THEN u.n + 1 ELSE 1 END
			RETURNING u.n INTO used;
		verdict := CASE WHEN used > in_per_hour THEN 3 ELSE 1 END;
	END IF;
	IF verdict = 1 THEN
		INSERT INTO message (tenant_id, message_id, user_id, session, client, helo, mail_from, recipients, is_8bit, is_utf8,
			size, mail_at, received_at, content, is_test)
		VALUES (in_tenant, in_id, of_user, '', '', '', '', ARRAY[in_to], in_8bit, in_utf8, octet_length(in_content), now(),
			now(), in_content, of_test);
		INSERT INTO queue (shard, tenant_id, message_id, due_at) VALUES (in_shard, in_tenant, in_id, now());
	END IF;
	INSERT INTO event (tenant_id, message_id, at, kind, attempt, provider, code, status, reason)
	VALUES (in_tenant, in_message, now(), CASE verdict WHEN 1 THEN 'reported' ELSE 'unreported' END, 0, '', 0, '',
		CASE verdict WHEN 1 THEN format('told the sender by %s', in_id)
			WHEN 3 THEN 'more reports than bounces.per_hour' ELSE 'the sender is suppressed' END);
	RETURN verdict;
END $$;

REVOKE EXECUTE ON FUNCTION report_delays, delivery_bounced, bounces_due, report_due, report_store FROM PUBLIC;
GRANT EXECUTE ON FUNCTION report_delays, delivery_bounced, bounces_due, report_due, report_store TO smtp_proxy_queue;
