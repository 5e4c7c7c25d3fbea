/* SPDX-License-Identifier: Apache-2.0
 *
 * Retention: days go whole, tenants' own wishes by row, what is in the queue or dead stays, and nobody waits for it.
 */
#include "lib/base/clock.h"
#include "tests/qmgr/qmgr_world.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

/* A tenant a letter; messages of so many days ago, in the partitions of their days: "a9" is the tenant a's of 9 days ago. */
static const char setup[] =
	"DELETE FROM tenant;"
	"INSERT INTO tenant (tenant_id, name, keep_messages, keep_logs) VALUES"
	" ('00000000-0000-0000-0000-00000000000a', 'a', NULL, NULL),"
	" ('00000000-0000-0000-0000-00000000000b', 'b', '2 days', '20 days'),"
	" ('00000000-0000-0000-0000-00000000000c', 'c', '0', NULL);"
	"SET client_min_messages = warning; SELECT make_partitions((now() AT TIME ZONE 'UTC')::date - n) FROM generate_series(0, 42) n;"
	"CREATE FUNCTION id_of(tenant text, days integer) RETURNS uuid LANGUAGE sql AS $$"
	" SELECT (substr(first_id(now() - days * interval '1 day' - interval '1 hour')::text, 1, 13) || '-7000-8000-00000000000' || tenant)::uuid $$;"
	"CREATE FUNCTION put(tenant text, days integer) RETURNS void LANGUAGE sql AS $$"
	" INSERT INTO message (tenant_id, message_id, user_id, session, client, helo, mail_from, recipients, is_8bit, is_utf8, size,"
	"  mail_at, received_at, content) VALUES (('00000000-0000-0000-0000-00000000000' || tenant)::uuid, id_of(tenant, days),"
	"  gen_random_uuid(), '', '', '', '', '{a@b}', false, false, 1, now(), now(), 'x');"
	" INSERT INTO delivery (tenant_id, message_id, recipient, state, provider, provider_id, attempts, code, status, reason,"
	"  started_at, answered_at) VALUES (('00000000-0000-0000-0000-00000000000' || tenant)::uuid, id_of(tenant, days), 'a@b', 'sent',"
	"  '', '', 1, 0, '', '', now(), now());"
	" INSERT INTO event (tenant_id, message_id, at, kind, attempt, provider, code, status, reason)"
	"  VALUES (('00000000-0000-0000-0000-00000000000' || tenant)::uuid, id_of(tenant, days), now(), 'transient', 1, '', 0, '', '') $$;"
	"CREATE FUNCTION bury(tenant text, days integer, ago integer) RETURNS void LANGUAGE sql AS $$"
	" INSERT INTO dead_letter (tenant_id, message_id, died_at, attempts, provider, code, status, reason)"
	"  VALUES (('00000000-0000-0000-0000-00000000000' || tenant)::uuid, id_of(tenant, days), now() - ago * interval '1 day', 1, '', 0, '', '') $$;"
	"CREATE VIEW here AS SELECT string_agg(right(message_id::text, 1) || ((extract(epoch FROM now()) * 1000)::bigint -"
	" ('x' || substr(replace(message_id::text, '-', ''), 1, 12))::bit(48)::bigint) / 86400000, ' '"
	" ORDER BY right(message_id::text, 1), message_id DESC) AS ids FROM message";

/* All steps, as qmgr makes them, with 7 days for messages, 30 for logs, 10 for dead letters, two rows at a time. */
static const char steps[] =
	"CREATE FUNCTION keep_all() RETURNS integer LANGUAGE plpgsql AS $$"
	" DECLARE day CONSTANT bigint := 86400000000; n integer := 0; rows record; parts record; name text := ''; block bigint := 0;"
	"  tenant uuid; message uuid;"
	" BEGIN FOR round IN 1 .. 2 LOOP"
	"  LOOP SELECT * INTO rows FROM keep_rows(7 * day, 30 * day, 10 * day, 2, tenant, message);"
	"   tenant := rows.at_tenant; message := rows.at_message;"
	"   IF rows.n_messages + rows.n_logs > 20 THEN RAISE 'too many at a time: %', rows; END IF;"
	"   EXIT WHEN rows.n_keys + rows.n_dead + rows.n_messages + rows.n_logs = 0 AND tenant IS NULL;"
	"   IF rows.n_keys + rows.n_dead + rows.n_messages + rows.n_logs > 0 THEN n := n + 1; END IF; END LOOP;"
	"  LOOP SELECT * INTO parts FROM keep_partitions(7 * day, 30 * day, name, block);"
	"   IF parts.dropped = '' THEN name := parts.at_name; block := parts.at_block; END IF;"
	"   EXIT WHEN parts.dropped = '' AND name IS NULL;"
	"   IF parts.dropped <> '' OR parts.n_gone > 0 THEN n := n + 1; END IF; END LOOP;"
	"  name := '';"
	" END LOOP; RETURN n; END $$";

static void begin(void)
{
	world_begin();
	pg_fixture_sql(world_database(), setup);
	pg_fixture_sql(world_database(), steps);
}

static void put(const char *rows)
{
	char sql[4096];

	snprintf(sql, sizeof(sql), "%s", rows);
	pg_fixture_sql(world_database(), sql);
}

static bool is_dropped(struct world *w, unsigned n)
{
	(void)w;
	return world_count("SELECT count(*) FROM message") == (long long)n;
}

static long long keep(void)
{
	return world_count("SELECT keep_all()");
}

static void here(const char *ids)
{
	UNIT_TEXT(pg_fixture_ask(world_database(), "SELECT coalesce(ids, '') FROM here"), ids);
}

static void days_go_whole(void)
{
	begin();
	put("SELECT put('a', n) FROM generate_series(0, 40) n");
	keep();
	here("a0 a1 a2 a3 a4 a5 a6 a7");
	UNIT_INT(world_count("SELECT count(*) FROM delivery"), 31);
	UNIT_INT(world_count("SELECT count(*) FROM event"), 31);
	/* Not one by one: their partitions are gone. */
	UNIT_TRUE(world_count("SELECT count(*) FROM pg_inherits WHERE inhparent = 'message'::regclass") < 22);
	UNIT_INT(keep(), 0);
}

static void a_tenant_may_keep_longer_or_shorter(void)
{
	begin();
	put("SELECT put(t, n) FROM generate_series(0, 40) n, unnest('{a,b,c}'::text[]) t");
	keep();
	here("a0 a1 a2 a3 a4 a5 a6 a7 b0 b1");
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE right(message_id::text, 1) = 'b'"), 20);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE right(message_id::text, 1) = 'b'"), 20);
	/* With one who keeps them for 20 days no partition can go before; the others' messages do. */
	put("UPDATE tenant SET keep_messages = '20 days' WHERE name = 'b';"
	    "SET client_min_messages = warning; SELECT make_partitions((now() AT TIME ZONE 'UTC')::date - n) FROM generate_series(0, 42) n;"
	    "SELECT put('b', n), put('a', n) FROM generate_series(40, 40) n");
	put("SELECT put('b', n) FROM generate_series(15, 25) n; SELECT put('a', n) FROM generate_series(15, 25) n");
	keep();
	here("a0 a1 a2 a3 a4 a5 a6 b0 b1 b15 b16 b17 b18 b19 b20");
}

static void what_is_waiting_or_dead_stays(void)
{
	begin();
	put("SELECT put('a', n) FROM generate_series(8, 30) n;"
	    "SELECT put('c', n) FROM generate_series(1, 3) n;"
	    "INSERT INTO queue (shard, tenant_id, message_id, due_at) SELECT 7, tenant_id, message_id, now() FROM message"
	    " WHERE message_id IN (id_of('a', 12), id_of('c', 2));"
	    "SELECT bury('a', 20, 3), bury('a', 25, 11), bury('c', 3, 1)");
	keep();
	here("a12 a20 c2 c3");
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter"), 2);
	/* They have left their partitions, and are whole. */
	UNIT_INT(world_count("SELECT count(*) FROM message_other"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM message WHERE content = 'x' AND recipients = '{a@b}'"), 4);
	put("DELETE FROM queue; UPDATE dead_letter SET died_at = now() - interval '11 days'");
	keep();
	here("");
}

/* What must stay is passed by, however much it is. */
static void a_walk_gets_past_what_must_stay(void)
{
	begin();
	put("SELECT put('c', n) FROM generate_series(1, 30) n;"
	    "SELECT bury('c', n, 1) FROM generate_series(3, 30) n");
	keep();
	UNIT_INT(world_count("SELECT count(*) FROM message"), 28);
	put("DELETE FROM dead_letter WHERE message_id IN (SELECT message_id FROM dead_letter ORDER BY message_id LIMIT 1)");
	keep();
	UNIT_INT(world_count("SELECT count(*) FROM message"), 27);
}

/* Also when it was broken into. */
static void whoever_calls_deletes_nothing_early(void)
{
	begin();
	put("SELECT put('a', 0), bury('a', 0, 0); INSERT INTO idempotency (tenant_id, key, message_id, until)"
	    " VALUES (gen_random_uuid(), 'k', gen_random_uuid(), now() + interval '1 minute')");
	put("SET ROLE smtp_proxy_queue; SELECT keep_rows(-86400000000 * 400, -86400000000 * 400, -86400000000 * 400, 1000000, NULL, NULL);"
	    "SELECT keep_partitions(-86400000000 * 400, -86400000000 * 400, NULL, NULL) FROM generate_series(1, 3)");
	UNIT_INT(world_count("SELECT count(*) FROM message"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM event"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM idempotency"), 1);
	/* However many it asks for. */
	put("INSERT INTO idempotency (tenant_id, key, message_id, until)"
	    " SELECT gen_random_uuid(), 'k', gen_random_uuid(), now() - interval '1 minute' FROM generate_series(1, 1500)");
	UNIT_INT(world_count("SELECT n_keys FROM keep_rows(0, 0, 0, 1000000, NULL, NULL)"), 1000);
}

/* Too many to be moved: the others go by row, some blocks at a time. */
static void a_day_of_many_dead_letters_is_thinned_out(void)
{
	struct world *w;

	begin();
	keep();
	put("SET client_min_messages = warning; SELECT make_partitions((now() AT TIME ZONE 'UTC')::date - n) FROM generate_series(9, 10) n");
	put("SELECT put('a', 9);"
	    "INSERT INTO message SELECT tenant_id, overlay(message_id::text placing lpad(to_hex(n), 4, '0') from 33 for 4)::uuid, user_id, session, client, helo,"
	    " mail_from, recipients, is_8bit, is_utf8, size, mail_at, received_at, stored_at, repeat('x', 1800)::bytea, dsn, is_test"
	    " FROM message, generate_series(100, 1109) n;"
	    "INSERT INTO dead_letter (tenant_id, message_id, attempts, provider, code, status, reason)"
	    " SELECT tenant_id, message_id, 1, '', 0, '', '' FROM message ORDER BY message_id LIMIT 1005");
	UNIT_INT(world_count("SELECT count(*) FROM message"), 1011);
	UNIT_TRUE(world_count("SELECT pg_relation_size(format('message_%s', to_char((now() - interval '217 hours') AT TIME ZONE 'UTC',"
			      " 'YYYYMMDD'))::regclass) / 8192") > 3 * 64);
	/* Those that may go are in the last blocks. */
	w = world_start("host-a", true);
	UNIT_TRUE(world_until(is_dropped, w, 1005));
	world_free(&w);
	UNIT_INT(world_count("SELECT count(*) FROM message_other"), 0);
}

static void keys_end(void)
{
	begin();
	put("INSERT INTO idempotency (tenant_id, key, message_id, until)"
	    " SELECT gen_random_uuid(), n::text, gen_random_uuid(), now() + (n - 5) * interval '1 hour' FROM generate_series(1, 9) n");
	keep();
	UNIT_INT(world_count("SELECT count(*) FROM idempotency"), 5 - 1);
}

/* A budget's month begins at its first. */
static void counts_of_providers_end(void)
{
	begin();
	put("INSERT INTO provider_use (provider, day, recipients) SELECT 'dev', now()::date - n, 1 FROM generate_series(0, 100) n");
	keep();
	UNIT_INT(world_count("SELECT count(*) FROM provider_use WHERE day >= date_trunc('month', now())"),
		 world_count("SELECT extract(day FROM now())::int"));
	UNIT_TRUE(world_count("SELECT count(*) FROM provider_use") < 65);
}

/* By itself, with its own rights. */
static void qmgr_does_it(void)
{
	struct world *w;

	begin();
	keep();
	put("SET client_min_messages = warning; SELECT make_partitions((now() AT TIME ZONE 'UTC')::date - n) FROM generate_series(8, 12) n");
	put("SELECT put('a', n) FROM generate_series(9, 11) n; SELECT put('a', 0)");
	w = world_start("host-a", true);
	UNIT_TRUE(world_until(is_dropped, w, 1));
	world_free(&w);
}

UNIT_TESTS({"days go whole", days_go_whole},
	   {"a tenant may keep longer or shorter", a_tenant_may_keep_longer_or_shorter},
	   {"what is waiting or dead stays", what_is_waiting_or_dead_stays},
	   {"a day of many dead letters is thinned out", a_day_of_many_dead_letters_is_thinned_out},
	   {"a walk gets past what must stay", a_walk_gets_past_what_must_stay},
	   {"whoever calls deletes nothing early", whoever_calls_deletes_nothing_early},
	   {"keys end", keys_end}, {"counts of providers end", counts_of_providers_end}, {"qmgr does it", qmgr_does_it})
