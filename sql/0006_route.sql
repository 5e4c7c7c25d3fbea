-- SPDX-License-Identifier: Apache-2.0
-- Through which providers a tenant's mail goes: of its routes, in the order of their positions, the first whose conditions
-- are met; without one, tenant.provider. lib/queue/route.h says what targets, domains and patterns are.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE route (
	tenant_id		uuid NOT NULL REFERENCES tenant,
	position		integer NOT NULL CHECK (position BETWEEN 1 AND 1000000),
	targets			text NOT NULL CHECK (length(targets) BETWEEN 1 AND 4096),	-- sendgrid:3,ses:1 > mailgun
	-- All conditions that are given must be met.
	sender_domain		text NOT NULL DEFAULT '' CHECK (octet_length(sender_domain) <= 255),
	recipient_domain	text NOT NULL DEFAULT '' CHECK (octet_length(recipient_domain) <= 255),
	header_name		text NOT NULL DEFAULT '' CHECK (octet_length(header_name) <= 255),
	header_pattern		text NOT NULL DEFAULT '' CHECK (octet_length(header_pattern) <= 255),
	user_id			uuid,		-- NULL: anybody's
	created_at		timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant_id, position),
	FOREIGN KEY (tenant_id, user_id) REFERENCES smtp_user
);

INSERT INTO change (topic) VALUES ('route');
CREATE TRIGGER route_change AFTER INSERT OR UPDATE OR DELETE ON route
	FOR EACH STATEMENT EXECUTE FUNCTION count_change('route');

GRANT SELECT ON route TO smtp_proxy_queue;
