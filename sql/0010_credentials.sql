-- SPDX-License-Identifier: Apache-2.0
-- Tenants' own credentials for providers, sealed: the key is in no database. qmgr passes them on unread.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE provider_credential (
	tenant_id	uuid NOT NULL REFERENCES tenant ON DELETE CASCADE,
	provider	text NOT NULL CHECK (length(provider) BETWEEN 1 AND 63),	-- its key in the settings
	sealed		bytea NOT NULL CHECK (length(sealed) BETWEEN 34 AND 16384),	-- lib/net/seal.h
	set_at		timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant_id, provider)
);
CREATE TRIGGER provider_credential_change AFTER INSERT OR UPDATE OR DELETE ON provider_credential
	FOR EACH STATEMENT EXECUTE FUNCTION count_change('tenant');
GRANT SELECT ON provider_credential TO smtp_proxy_queue;
