-- SPDX-License-Identifier: Apache-2.0
-- What the SMTP front needs to know of tenants and users, and the delivery status notifications that a message asks for.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- Mails in each span of the clock (UTC); NULL: any number.
ALTER TABLE tenant
	ADD mode	text NOT NULL DEFAULT 'listener' CHECK (mode IN ('listener', 'queued', 'direct', 'direct-then-queue')),
	ADD per_second	integer CHECK (per_second > 0),
	ADD per_minute	integer CHECK (per_minute > 0),
	ADD per_hour	integer CHECK (per_hour > 0),
	ADD per_day	integer CHECK (per_day > 0),
	ADD per_month	integer CHECK (per_month > 0);
ALTER TABLE smtp_user
	ADD senders	text[] NOT NULL DEFAULT '{}',	-- the only ones in MAIL and From: addresses, @domain
	ADD networks	cidr[] NOT NULL DEFAULT '{}',	-- the only ones it logs in from
	ADD certificates text[] NOT NULL DEFAULT '{}',	-- that stand for it: sha256:HEX, dns:NAME, email:ADDRESS
	ADD per_second	integer CHECK (per_second > 0),
	ADD per_minute	integer CHECK (per_minute > 0),
	ADD per_hour	integer CHECK (per_hour > 0),
	ADD per_day	integer CHECK (per_day > 0),
	ADD per_month	integer CHECK (per_month > 0);
CREATE INDEX smtp_user_by_certificate ON smtp_user USING gin (certificates);

-- RFC 3461, as in lib/ipc/ipc_body.h; NULL for nearly all.
ALTER TABLE message ADD dsn text;

-- queue_store() of 0002_queue_functions.sql with one column more.
DROP FUNCTION queue_store(integer, text, bigint, uuid[], uuid[], uuid[], text[], text[], text[], text[], text[],
	boolean[], boolean[], integer[], timestamptz[], timestamptz[], bytea[]);
CREATE FUNCTION queue_store(in_shard integer, in_owner text, in_epoch bigint, tenants uuid[], messages uuid[],
	users uuid[], sessions text[], clients text[], helos text[], senders text[], recipient_lists text[],
	are_8bit boolean[], are_utf8 boolean[], sizes integer[], mailed timestamptz[], received timestamptz[],
	contents bytea[], dsns text[])
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
			is_8bit, is_utf8, size, mail_at, received_at, content, dsn)
		SELECT u.tenant_id, u.message_id, u.user_id, u.session, u.client, u.helo, u.mail_from,
			u.recipients::text[], u.is_8bit, u.is_utf8, u.size, u.mail_at, u.received_at, u.content,
			nullif(u.dsn, '')
		FROM unnest(tenants, messages, users, sessions, clients, helos, senders, recipient_lists, are_8bit,
			are_utf8, sizes, mailed, received, contents, dsns)
			AS u(tenant_id, message_id, user_id, session, client, helo, mail_from, recipients, is_8bit,
			is_utf8, size, mail_at, received_at, content, dsn)
		ON CONFLICT DO NOTHING RETURNING tenant_id, message_id),
	queued AS (
		INSERT INTO queue (shard, tenant_id, message_id, due_at)
		SELECT in_shard, tenant_id, message_id, now() FROM stored)
	SELECT true, stored.message_id FROM stored;
	IF NOT FOUND THEN
		RETURN QUERY SELECT true, NULL::uuid;
	END IF;
END $$;
REVOKE EXECUTE ON FUNCTION queue_store FROM PUBLIC;
GRANT EXECUTE ON FUNCTION queue_store TO smtp_proxy_queue;
