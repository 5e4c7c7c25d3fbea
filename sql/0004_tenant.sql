-- SPDX-License-Identifier: Apache-2.0
-- What a tenant wishes for its mail, whom it does not want to write to, and which messages it has handed in once already.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

ALTER TABLE tenant
	ADD max_attempts	integer CHECK (max_attempts > 0),		-- NULL, here and below: as the settings say
	ADD max_age		interval CHECK (max_age > '0'),
	ADD retry_first		interval CHECK (retry_first > '0'),
	ADD retry_longest	interval CHECK (retry_longest > '0'),
	ADD keep_messages	interval CHECK (keep_messages >= '0'),		-- 0: gone with the last outcome
	ADD keep_logs		interval CHECK (keep_logs > '0'),
	ADD idempotency_window	interval CHECK (idempotency_window > '0'),
	ADD is_test		boolean NOT NULL DEFAULT false,			-- nothing leaves: the sandbox answers
	ADD redirect_to		text NOT NULL DEFAULT '',			-- all mail goes to this address instead
	ADD bounce_from		text NOT NULL DEFAULT '',			-- From of bounce messages (RFC 3464); '': none are sent
	ADD has_suppressions	boolean NOT NULL DEFAULT false;			-- kept true by the trigger below
ALTER TABLE smtp_user ADD is_test boolean NOT NULL DEFAULT false;
ALTER TABLE message ADD is_test boolean NOT NULL DEFAULT false;

-- Addresses that a tenant's mail is not sent to.
CREATE TABLE suppression (
	tenant_id	uuid NOT NULL,
	address		text NOT NULL CHECK (address = lower(address) AND length(address) BETWEEN 3 AND 320),
	reason		text NOT NULL DEFAULT '',
	source		text NOT NULL DEFAULT 'operator',
	created_at	timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant_id, address)
);

-- Tenants without any need not be asked for at each recipient.
CREATE FUNCTION note_suppressions() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
	UPDATE tenant t SET has_suppressions = true FROM (SELECT DISTINCT tenant_id FROM added) a
		WHERE t.tenant_id = a.tenant_id AND NOT t.has_suppressions;
	RETURN NULL;
END $$;
CREATE TRIGGER suppression_added AFTER INSERT ON suppression REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION note_suppressions();

-- Messages by the key that their client gave them: a second one with it is the first one again.
CREATE TABLE idempotency (
	tenant_id	uuid NOT NULL,
	key		text NOT NULL,
	message_id	uuid NOT NULL,
	until		timestamptz NOT NULL,
	PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_by_end ON idempotency (until);

GRANT SELECT ON suppression TO smtp_proxy_gate, smtp_proxy_queue;
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO smtp_proxy_queue;
