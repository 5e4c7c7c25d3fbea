/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl queue list, show, flush, reroute, hold, release: what waits to be sent. qmgr notices a
 * change within two seconds.
 */
#include <string.h>

#include "ctl/ctl_message.h"
#include "ctl/ctl_out.h"

#define COLUMNS(array) array, sizeof(array) / sizeof((array)[0])

/* $1 the tenant, or null for all. */
#define SQL_LIST \
	"SELECT q.message_id, (extract(epoch FROM now() - q.queued_at) * 1000000)::int8, t.name, " \
	"m.mail_from," \
	"  coalesce(cardinality(q.recipients), cardinality(m.recipients)), q.attempts," \
	"  CASE WHEN NOT q.is_held THEN q.due_at END, q.is_held," \
	"  q.provider, q.last_error, q.shard::int4, q.part::int4" \
	" FROM (SELECT * FROM queue WHERE $1::uuid IS NULL OR tenant_id = $1::uuid ORDER BY " \
	"message_id, part LIMIT $2::int8) q" \
	" JOIN tenant t ON t.tenant_id = q.tenant_id" \
	" LEFT JOIN message m ON m.tenant_id = q.tenant_id AND m.message_id = q.message_id ORDER " \
	"BY q.message_id, q.part"

#define SQL_SUMMARY \
	"SELECT t.name, s.owner, coalesce(h.name, ''), count(*), count(*) FILTER (WHERE " \
	"q.is_held)," \
	"  count(*) FILTER (WHERE NOT q.is_held AND q.due_at <= now())," \
	"  count(*) FILTER (WHERE q.attempts > 0), min(q.queued_at)," \
	"  min(q.due_at) FILTER (WHERE NOT q.is_held)" \
	" FROM queue q JOIN tenant t ON t.tenant_id = q.tenant_id JOIN shard s ON s.shard = " \
	"q.shard" \
	" LEFT JOIN host h ON h.owner = s.owner GROUP BY 1, 2, 3 ORDER BY 1, 2"

#define SQL_FLUSH \
	"UPDATE queue SET due_at = now(), is_held = false" \
	" WHERE ($1::uuid IS NULL OR tenant_id = $1::uuid) AND ($2::uuid IS NULL OR message_id = " \
	"$2::uuid)"

/* They go, and the history says so; nobody is told, nothing is tried. $1 tenant or null, $2 hours, $3 most. */
#define SQL_PURGE \
	"WITH chosen AS (SELECT shard, message_id, part FROM queue WHERE ($1::uuid IS NULL OR tenant_id = $1::uuid)" \
	"  AND queued_at <= now() - $2::int8 * interval '1 hour' LIMIT $3::int8 FOR UPDATE)," \
	" gone AS (DELETE FROM queue g USING chosen c WHERE g.shard = c.shard AND g.message_id = c.message_id" \
	"  AND g.part = c.part RETURNING g.*)" \
	" INSERT INTO event (tenant_id, message_id, part, recipients, at, kind, attempt, provider, code, status, reason)" \
	" SELECT tenant_id, message_id, part, recipients, now(), 'purged', attempts, '', 0, '', 'by an operator' FROM gone"

/* $3: the provider that they are to go to, or '': that of their routes. */
#define SQL_REROUTE \
	"WITH changed AS (" \
	" UPDATE queue SET pinned = $3::text <> '', provider = CASE WHEN $3::text = '' THEN provider ELSE $3::text END," \
	"  due_at = least(due_at, now())" \
	" WHERE ($1::uuid IS NULL OR tenant_id = $1::uuid) AND ($2::uuid IS NULL OR message_id = $2::uuid)" \
	"  AND (pinned OR $3::text <> '' OR due_at > now())" \
	"  RETURNING tenant_id, message_id, part, recipients, attempts)" \
	" INSERT INTO event (tenant_id, message_id, part, recipients, at, kind, attempt, provider, code, status, reason)" \
	" SELECT tenant_id, message_id, part, recipients, now(), 'rerouted', attempts, $3::text, 0, '', 'by an operator'" \
	" FROM changed"

#define SQL_RELEASE \
	"UPDATE queue SET is_held = false, due_at = now() WHERE message_id = $1::uuid AND is_held"

#define SQL_HOLD \
	"WITH held AS (UPDATE queue SET is_held = true WHERE message_id = $1::uuid AND NOT " \
	"is_held" \
	"  RETURNING tenant_id, message_id, part, recipients, attempts)" \
	" INSERT INTO event (tenant_id, message_id, part, recipients, at, kind, attempt, provider, code, status, " \
	"reason)" \
	" SELECT tenant_id, message_id, part, recipients, now(), 'held', attempts, '', 0, '', 'by an operator' " \
	"FROM held"

/* The parts of $1 that wait, with their recipients. */
#define SQL_SHOW \
	"SELECT t.name, q.queued_at, q.attempts, q.faults, q.is_held, q.due_at, q.provider," \
	"  q.last_error, q.shard::int4, coalesce(h.name, s.owner), q.part::int4, q.pinned," \
	"  coalesce((SELECT string_agg(m.recipients[i.n + 1], ', ' ORDER BY i.n) FROM unnest(q.recipients) AS i(n))," \
	"   array_to_string(m.recipients, ', '), '')" \
	" FROM queue q JOIN tenant t ON t.tenant_id = q.tenant_id JOIN shard s ON s.shard = q.shard" \
	" LEFT JOIN host h ON h.owner = s.owner" \
	" LEFT JOIN message m ON m.tenant_id = q.tenant_id AND m.message_id = q.message_id" \
	" WHERE q.message_id = $1::uuid ORDER BY q.part"

static void put_id(struct pg_params *p, const struct uuid *id)
{
	if (uuid_is_zero(id))
		pg_put_null(p);
	else
		pg_put_uuid(p, id);
}

int ctl_queue_list(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {{"message_id", "MESSAGE"},
							{"age", "AGE"},
							{"tenant", "TENANT"},
							{"from", "FROM"},
							{"recipients", "RCPTS"},
							{"attempts", "TRIED"},
							{"next_try", "NEXT TRY"},
							{"is_held", "HELD"},
							{"provider", "PROVIDER"},
							{"last_error", "LAST ERROR"},
							{"shard", NULL},
							{"part", "PART"}};
	const char *name = ctl_option(ctl, "--tenant");
	uint64_t limit = ctl_option_u64(ctl, "--limit", 100, 1, 1000000000);
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;
	struct ctl_out *out;
	struct ctl_pg *db;
	struct uuid tenant;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant_named(db, name);
	put_id(p, &tenant);
	pg_put_int8(p, (int64_t)limit);
	r = ctl_pg_run(db, SQL_LIST, p);
	out = ctl_out_new(ctl, COLUMNS(columns));
	for (unsigned i = 0; i < pg_rows(r); i++) {
		struct uuid id = pg_uuid(r, i, 0);
		char text[UUID_TEXT];

		ctl_out_text(out, uuid_format(&id, text));
		ctl_out_span(out, pg_int8(r, i, 1));
		ctl_out_str(out, pg_text(r, i, 2));
		ctl_out_str(out, pg_text(r, i, 3));
		ctl_out_int(out, pg_int4(r, i, 4));
		ctl_out_int(out, pg_int4(r, i, 5));
		ctl_out_time(out, pg_time(r, i, 6));
		ctl_out_bool(out, pg_bool(r, i, 7));
		ctl_out_str(out, pg_text(r, i, 8));
		ctl_out_str(out, pg_text(r, i, 9));
		ctl_out_int(out, pg_int4(r, i, 10));
		ctl_out_int(out, pg_int4(r, i, 11));
	}
	if (pg_rows(r) == limit)
		ctl_warn("only the oldest %u are shown: see --limit", (unsigned)limit);
	ctl_out_free(&out);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

static void show_summary(struct ctl *ctl, struct ctl_pg *db)
{
	static const struct ctl_out_column columns[] = {
		{"tenant", "TENANT"},	  {"owner", NULL},	{"host", "HOST"},
		{"messages", "MESSAGES"}, {"held", "HELD"},	{"due", "DUE"},
		{"tried", "TRIED"},	  {"oldest", "OLDEST"}, {"next_try", "NEXT TRY"}};
	const struct pg_result *r = ctl_pg_run(db, SQL_SUMMARY, NULL);
	struct ctl_out *out = ctl_out_new(ctl, COLUMNS(columns));

	for (unsigned i = 0; i < pg_rows(r); i++) {
		for (unsigned column = 0; column < 3; column++)
			ctl_out_str(out, pg_text(r, i, column));
		for (unsigned column = 3; column < 7; column++)
			ctl_out_int(out, pg_int8(r, i, column));
		ctl_out_time(out, pg_time(r, i, 7));
		ctl_out_time(out, pg_time(r, i, 8));
	}
	ctl_out_free(&out);
}

static void show_one(struct ctl *ctl, struct ctl_pg *db, const struct uuid *id)
{
	static const struct ctl_out_column columns[] = {{"message_id", "Message"},
							{"tenant", "Tenant"},
							{"queued_at", "Queued"},
							{"attempts", "Attempts"},
							{"faults", "Provider's faults"},
							{"is_held", "Held"},
							{"next_try", "Next try"},
							{"provider", "Provider"},
							{"last_error", "Last error"},
							{"shard", "Shard"},
							{"host", "Host"},
							{"part", "Part"},
							{"is_pinned", "Only this provider"},
							{"to", "To"}};
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;
	struct ctl_out *out;
	char text[UUID_TEXT];

	pg_put_uuid(p, id);
	r = ctl_pg_run(db, SQL_SHOW, p);
	pg_params_free(&p);
	if (pg_rows(r) == 0)
		ctl_fail(EX_NOINPUT,
			 "%s is not in the queue (smtp-proxyctl message show says more)",
			 uuid_format(id, text));
	out = ctl_out_record(ctl, COLUMNS(columns));
	for (unsigned i = 0; i < pg_rows(r); i++) {
		ctl_out_text(out, uuid_format(id, text));
		ctl_out_str(out, pg_text(r, i, 0));
		ctl_out_time(out, pg_time(r, i, 1));
		ctl_out_int(out, pg_int4(r, i, 2));
		ctl_out_int(out, pg_int4(r, i, 3));
		ctl_out_bool(out, pg_bool(r, i, 4));
		ctl_out_time(out, pg_bool(r, i, 4) ? 0 : pg_time(r, i, 5));
		ctl_out_str(out, pg_text(r, i, 6));
		ctl_out_str(out, pg_text(r, i, 7));
		ctl_out_int(out, pg_int4(r, i, 8));
		ctl_out_str(out, pg_text(r, i, 9));
		ctl_out_int(out, pg_int4(r, i, 10));
		ctl_out_bool(out, pg_bool(r, i, 11));
		ctl_out_str(out, pg_text(r, i, 12));
	}
	ctl_out_free(&out);
}

int ctl_queue_show(struct ctl *ctl)
{
	const char *text = ctl_optional(ctl);
	struct uuid id = {{0}};
	struct ctl_pg *db;

	ctl_end(ctl);
	if (text != NULL)
		id = ctl_message_id(text);
	db = ctl_pg_open(ctl);
	if (text != NULL)
		show_one(ctl, db, &id);
	else
		show_summary(ctl, db);
	ctl_pg_close(&db);
	return EX_OK;
}

int ctl_queue_flush(struct ctl *ctl)
{
	const char *name = ctl_option(ctl, "--tenant"), *text = ctl_optional(ctl);
	struct uuid id = {{0}}, tenant;
	struct pg_params *p = pg_params_new();
	unsigned long long n;
	struct ctl_pg *db;

	ctl_end(ctl);
	if (text != NULL)
		id = ctl_message_id(text);
	db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant_named(db, name);
	put_id(p, &tenant);
	put_id(p, &id);
	n = pg_touched(ctl_pg_run(db, SQL_FLUSH, p));
	pg_params_free(&p);
	if (n == 0 && text != NULL)
		ctl_fail(EX_NOINPUT,
			 "%s is not in the queue (smtp-proxyctl message show says more)", text);
	/* In a transaction of its own: qmgr locks shards before rows. */
	ctl_message_wake(db);
	ctl_out_done(ctl, "%llu message%s will be tried now", n, n == 1 ? "" : "s");
	ctl_pg_close(&db);
	return EX_OK;
}

/* A provider of the settings, or NULL. */
static const char *take_provider(struct ctl *ctl, const char *name)
{
	const struct settings *s = ctl_settings(ctl);
	bool is_known = name == NULL;

	for (size_t i = 0; i < s->n_provider && name != NULL; i++)
		is_known |= strcmp(s->provider[i].key, name) == 0;
	if (!is_known)
		ctl_fail(EX_DATAERR, "%s: the settings have no such provider (smtp-proxyctl provider list shows them)", name);
	return name;
}

int ctl_queue_reroute(struct ctl *ctl)
{
	const char *name = ctl_option(ctl, "--tenant"), *to = take_provider(ctl, ctl_option(ctl, "--to"));
	const char *text = ctl_optional(ctl);
	struct pg_params *p = pg_params_new();
	struct uuid id = {{0}}, tenant;
	unsigned long long n;
	struct ctl_pg *db;

	ctl_end(ctl);
	if (text != NULL)
		id = ctl_message_id(text);
	db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant_named(db, name);
	put_id(p, &tenant);
	put_id(p, &id);
	pg_put_text(p, str_of(to));
	n = pg_touched(ctl_pg_run(db, SQL_REROUTE, p));
	pg_params_free(&p);
	ctl_message_wake(db);
	if (to != NULL)
		ctl_out_done(ctl, "%llu message%s will go to %s only", n, n == 1 ? "" : "s", to);
	else
		ctl_out_done(ctl, "%llu message%s will go by their routes now", n, n == 1 ? "" : "s");
	ctl_pg_close(&db);
	return EX_OK;
}

static int change_one(struct ctl *ctl, const char *sql, const char *not_done, const char *done)
{
	struct uuid id = ctl_message_argument(ctl);
	struct pg_params *p = pg_params_new();
	char text[UUID_TEXT];
	struct ctl_pg *db;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	pg_put_uuid(p, &id);
	if (pg_touched(ctl_pg_run(db, sql, p)) == 0)
		ctl_fail(EX_NOINPUT, "%s is not in the queue, or %s", uuid_format(&id, text),
			 not_done);
	pg_params_free(&p);
	ctl_message_wake(db);
	ctl_out_done(ctl, "%s %s", uuid_format(&id, text), done);
	ctl_pg_close(&db);
	return EX_OK;
}

int ctl_queue_hold(struct ctl *ctl)
{
	return change_one(ctl, SQL_HOLD, "held already",
			  "is held; an attempt that is under way now is not stopped");
}

int ctl_queue_release(struct ctl *ctl)
{
	return change_one(ctl, SQL_RELEASE, "not held", "will be tried now");
}

/* Those of a tenant, or all; as old as that at least. */
int ctl_queue_purge(struct ctl *ctl)
{
	struct ctl_pg *db;
	unsigned long long n = ctl_message_purge(ctl, &db, SQL_PURGE);

	ctl_message_wake(db);
	ctl_out_done(ctl, "%llu message%s purged; an attempt that is under way now is not stopped", n, n == 1 ? "" : "s");
	ctl_pg_close(&db);
	return EX_OK;
}
