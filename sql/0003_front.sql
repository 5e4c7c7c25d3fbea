-- SPDX-License-Identifier: Apache-2.0
-- What the SMTP front needs to know of tenants and users, and the delivery status notifications that a message asks for.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- Mails in each span of the clock (UTC); NULL: any number.
ALTER TABLE tenant
	ADD mode	text NOT NULL DEFAULT 'listener' CHECK (mode IN ('listener', 'queued', 'direct', 'direct-then-queue')),
	ADD per_second	integer CHECK (per_second >= 0),
	ADD per_minute	integer CHECK (per_minute >= 0),
	ADD per_hour	integer CHECK (per_hour >= 0),
	ADD per_day	integer CHECK (per_day >= 0),
	ADD per_month	integer CHECK (per_month >= 0);
ALTER TABLE smtp_user
	ADD senders	text[] NOT NULL DEFAULT '{}',	-- the only ones in MAIL and From: addresses, @domain
	ADD networks	cidr[] NOT NULL DEFAULT '{}',	-- the only ones it logs in from
	ADD certificates text[] NOT NULL DEFAULT '{}',	-- that stand for it: sha256:HEX, dns:NAME, email:ADDRESS
	ADD per_second	integer CHECK (per_second >= 0),
	ADD per_minute	integer CHECK (per_minute >= 0),
	ADD per_hour	integer CHECK (per_hour >= 0),
	ADD per_day	integer CHECK (per_day >= 0),
	ADD per_month	integer CHECK (per_month >= 0);
CREATE INDEX smtp_user_by_certificate ON smtp_user USING gin (certificates);

-- RFC 3461, as in lib/ipc/ipc_body.h; NULL for nearly all.
ALTER TABLE message ADD dsn text;
