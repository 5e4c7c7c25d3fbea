-- SPDX-License-Identifier: Apache-2.0
--
-- Tenants, their SMTP users and routes, the queue, and what became of each message.
-- Applied by `smtp-proxyctl db migrate` in one transaction, as the role that owns the tables.
-- Every key begins with tenant_id where rows belong to a tenant, so that the tables can be distributed by it.

-- Functions run with their owner's rights keep this path: what a caller has in pg_temp comes last.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE tenant (
	tenant_id	uuid PRIMARY KEY,
	name		text NOT NULL UNIQUE CHECK (name ~ '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$'),
	provider	text NOT NULL DEFAULT '',	-- '' for queue.default_provider
	on_unknown	text NOT NULL DEFAULT 'retry' CHECK (on_unknown IN ('retry', 'hold')),
	is_enabled	boolean NOT NULL DEFAULT true,
	created_at	timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE smtp_user (
	tenant_id	uuid NOT NULL REFERENCES tenant,
	user_id		uuid NOT NULL,
	name		text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 255),
	password	text NOT NULL,			-- crypt(3), yescrypt
	is_enabled	boolean NOT NULL DEFAULT true,
	created_at	timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant_id, user_id)
);

-- Counts changes, so that gate and qmgr notice them by asking for one number every two seconds.
CREATE TABLE change (
	topic		text PRIMARY KEY,
	generation	bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 50);
INSERT INTO change (topic) VALUES ('tenant'), ('smtp_user');

CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
	UPDATE change SET generation = generation + 1 WHERE topic = TG_ARGV[0];
	RETURN NULL;
END $$;
CREATE TRIGGER tenant_change AFTER INSERT OR UPDATE OR DELETE ON tenant
	FOR EACH STATEMENT EXECUTE FUNCTION count_change('tenant');
CREATE TRIGGER tenant_change_for_users AFTER UPDATE OR DELETE ON tenant
	FOR EACH STATEMENT EXECUTE FUNCTION count_change('smtp_user');
CREATE TRIGGER smtp_user_change AFTER INSERT OR UPDATE OR DELETE ON smtp_user
	FOR EACH STATEMENT EXECUTE FUNCTION count_change('smtp_user');

-- Written once, never updated. Partitioned by day of the id (UUID version 7 begins with its time), so that
-- retention is DROP and a look-up by id reads one partition.
CREATE TABLE message (
	tenant_id	uuid NOT NULL,
	message_id	uuid NOT NULL,
	user_id		uuid NOT NULL,
	session		text NOT NULL,
	client		text NOT NULL,
	helo		text NOT NULL,
	mail_from	text NOT NULL,
	recipients	text[] NOT NULL,
	is_8bit		boolean NOT NULL,
	is_utf8		boolean NOT NULL,
	size		integer NOT NULL,
	mail_at		timestamptz NOT NULL,
	received_at	timestamptz NOT NULL,
	stored_at	timestamptz NOT NULL DEFAULT now(),
	content		bytea NOT NULL,
	PRIMARY KEY (tenant_id, message_id)
) PARTITION BY RANGE (message_id);
ALTER TABLE message ALTER COLUMN content SET STORAGE EXTERNAL;

-- One row per message that is still to be sent. Claimed by holding its shard, never by UPDATE.
CREATE TABLE queue (
	shard		smallint NOT NULL,
	tenant_id	uuid NOT NULL,
	message_id	uuid NOT NULL,
	due_at		timestamptz NOT NULL,
	queued_at	timestamptz NOT NULL DEFAULT now(),	-- queue.max_age counts from here
	attempts	integer NOT NULL DEFAULT 0,	-- made so far
	faults		integer NOT NULL DEFAULT 0,	-- of these, the provider's fault: not counted towards max_attempts
	is_held		boolean NOT NULL DEFAULT false,	-- waits for an operator
	provider	text NOT NULL DEFAULT '',	-- of the last attempt
	last_error	text NOT NULL DEFAULT '',
	PRIMARY KEY (shard, message_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
	autovacuum_vacuum_cost_delay = 0);

-- Who may send from a shard. Every write to the queue shows the epoch under which it was decided.
CREATE TABLE shard (
	shard		smallint PRIMARY KEY,
	owner		text NOT NULL DEFAULT '',
	epoch		bigint NOT NULL DEFAULT 0,
	until		timestamptz NOT NULL DEFAULT '-infinity',
	wake		bigint NOT NULL DEFAULT 0	-- counted up to make the owner read the shard again
) WITH (fillfactor = 20);
INSERT INTO shard (shard) SELECT generate_series(0, 63);

-- The hosts that share the queue: each says every two seconds that it lives, so that all know how many shards are
-- a fair part, a host without any too.
CREATE TABLE host (
	owner		text PRIMARY KEY,		-- as in shard
	name		text NOT NULL,
	seen_at		timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20);

-- The final word on each recipient. Webhooks may update it once (delivered, bounced).
CREATE TABLE delivery (
	tenant_id	uuid NOT NULL,
	message_id	uuid NOT NULL,
	recipient	text NOT NULL,
	state		text NOT NULL CHECK (state IN ('sent', 'delivered', 'bounced', 'failed')),
	provider	text NOT NULL,
	provider_id	text NOT NULL,
	attempts	integer NOT NULL,
	code		integer NOT NULL,
	status		text NOT NULL,			-- enhanced status code, RFC 3463
	reason		text NOT NULL,
	started_at	timestamptz NOT NULL,		-- of the last attempt
	answered_at	timestamptz NOT NULL,
	recorded_at	timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant_id, message_id, recipient)
) PARTITION BY RANGE (message_id);

-- The attempts that were not the last, and what operators did: with delivery, the history of a message.
CREATE TABLE event (
	tenant_id	uuid NOT NULL,
	message_id	uuid NOT NULL,
	at		timestamptz NOT NULL,
	kind		text NOT NULL,			-- transient, provider-fault, unknown, held, dead, reprocessed
	attempt		integer NOT NULL,
	provider	text NOT NULL,
	code		integer NOT NULL,
	status		text NOT NULL,
	reason		text NOT NULL,
	started_at	timestamptz
) PARTITION BY RANGE (message_id);
CREATE INDEX event_by_message ON event (tenant_id, message_id);

CREATE TABLE dead_letter (
	tenant_id	uuid NOT NULL,
	message_id	uuid NOT NULL,
	died_at		timestamptz NOT NULL DEFAULT now(),
	attempts	integer NOT NULL,
	provider	text NOT NULL,
	code		integer NOT NULL,
	status		text NOT NULL,
	reason		text NOT NULL,
	PRIMARY KEY (tenant_id, message_id)
);

-- Makes the partitions of message, delivery and event that hold ids of this day (UTC), if they are not there.
CREATE FUNCTION make_partitions(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
	parent text;
	low text := lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0') || repeat('0', 20);
	high text := lpad(to_hex((extract(epoch FROM (day + 1)::timestamp) * 1000)::bigint), 12, '0') || repeat('0', 20);
BEGIN
	FOREACH parent IN ARRAY ARRAY['message', 'delivery', 'event'] LOOP
		EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
			       parent || to_char(day, '_YYYYMMDD'), parent, low::uuid, high::uuid);
	END LOOP;
END $$;
-- Ids whose day has no partition (a clock far off) still find a place.
CREATE TABLE message_other PARTITION OF message DEFAULT;
CREATE TABLE delivery_other PARTITION OF delivery DEFAULT;
CREATE TABLE event_other PARTITION OF event DEFAULT;
SELECT make_partitions(((now() AT TIME ZONE 'UTC')::date + n)) FROM generate_series(-1, 7) n;

-- The rights of the two processes that have the database: qmgr holds the queue, gate only reads users.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'smtp_proxy_queue') THEN
		CREATE ROLE smtp_proxy_queue LOGIN;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'smtp_proxy_gate') THEN
		CREATE ROLE smtp_proxy_gate LOGIN;
	END IF;
END $$;
GRANT SELECT ON tenant, smtp_user, change TO smtp_proxy_gate;
GRANT SELECT ON tenant, change TO smtp_proxy_queue;
GRANT SELECT, INSERT ON message, delivery, event, dead_letter TO smtp_proxy_queue;
GRANT DELETE ON message TO smtp_proxy_queue;	-- only what no client was promised
GRANT SELECT, INSERT, UPDATE, DELETE ON queue TO smtp_proxy_queue;
GRANT SELECT, UPDATE ON shard TO smtp_proxy_queue;
GRANT SELECT, INSERT, UPDATE, DELETE ON host TO smtp_proxy_queue;
REVOKE EXECUTE ON FUNCTION make_partitions(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_partitions(date) TO smtp_proxy_queue;
