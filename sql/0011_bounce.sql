-- SPDX-License-Identifier: Apache-2.0
-- Bounce messages: whoever sent what became a dead letter is told once, when the tenant wants that (tenant.bounce_from).
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

ALTER TABLE dead_letter ADD is_told boolean NOT NULL DEFAULT false;	-- or need not be
CREATE INDEX dead_letter_untold ON dead_letter (died_at) WHERE NOT is_told;
GRANT UPDATE (is_told) ON dead_letter TO smtp_proxy_queue;

-- Marks a dead letter as told and, in the same transaction, puts the bounce message into the queue of a shard that is ours; of
-- two hosts that do it at once one succeeds. Without content there is nothing to tell. False: the shard is not ours, or it was
-- told already.
CREATE FUNCTION bounce_store(in_shard integer, in_owner text, in_epoch bigint, in_tenant uuid, in_message uuid, in_part integer,
	bounce uuid, in_to text, in_8bit boolean, in_utf8 boolean, in_content bytea)
RETURNS boolean LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
	of_user uuid;
	of_test boolean;
BEGIN
	PERFORM FROM shard s WHERE s.shard = in_shard AND s.owner = in_owner AND s.epoch = in_epoch FOR SHARE;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	UPDATE dead_letter d SET is_told = true
		WHERE d.tenant_id = in_tenant AND d.message_id = in_message AND d.part = in_part AND NOT d.is_told;
	IF NOT FOUND OR octet_length(in_content) = 0 THEN
		RETURN FOUND;
	END IF;
	SELECT m.user_id, m.is_test INTO of_user, of_test FROM message m
		WHERE m.tenant_id = in_tenant AND m.message_id = in_message;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	INSERT INTO message (tenant_id, message_id, user_id, session, client, helo, mail_from, recipients, is_8bit, is_utf8, size,
		mail_at, received_at, content, is_test)
	VALUES (in_tenant, bounce, of_user, '', '', '', '', ARRAY[in_to], in_8bit, in_utf8, octet_length(in_content), now(), now(),
		in_content, of_test);
	INSERT INTO queue (shard, tenant_id, message_id, due_at) VALUES (in_shard, in_tenant, bounce, now());
	INSERT INTO event (tenant_id, message_id, part, at, kind, attempt, provider, code, status, reason)
	VALUES (in_tenant, in_message, in_part, now(), 'bounced', 0, '', 0, '', format('told the sender by %s', bounce));
	RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION bounce_store FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bounce_store TO smtp_proxy_queue;
