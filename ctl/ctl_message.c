/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl message show: what happened to a message, when, hop by hop. And how the other
 * subcommands find a message.
 */
#include "ctl/ctl_message.h"

#include <stdio.h>

#include "ctl/ctl_out.h"

/* So that none holds up qmgr's own statements. */
enum { PURGED_AT_A_TIME = 1000 };

/* The key begins with the tenant: one probe a tenant instead of a day's whole partition. */
#define SQL_TENANT \
	"SELECT t.tenant_id FROM tenant t CROSS JOIN LATERAL (" \
	" SELECT 1 FROM message m WHERE m.tenant_id = t.tenant_id AND m.message_id = $1::uuid " \
	"OFFSET 0) AS found"

/* What its parts and recipients are, each word once. */
#define SQL_MESSAGE \
	"SELECT t.name, coalesce(u.name, ''), m.session, m.client, m.helo, m.mail_from," \
	"  array_to_string(m.recipients, ', '), m.size," \
	"  coalesce(nullif(concat_ws(', ', CASE WHEN q.n_held > 0 THEN 'held' END," \
	"   CASE WHEN q.n_tried > 0 THEN 'processing' END, CASE WHEN q.n_new > 0 THEN 'queued' END," \
	"   CASE WHEN d.attempts IS NOT NULL THEN 'dead' END, v.states), ''), 'unknown')," \
	"  coalesce(greatest(q.attempts, d.attempts, v.attempts), 0), q.due_at, coalesce(q.shard, -1), coalesce(s.owner, '')" \
	" FROM message m JOIN tenant t ON t.tenant_id = m.tenant_id" \
	" LEFT JOIN smtp_user u ON u.tenant_id = m.tenant_id AND u.user_id = m.user_id" \
	" CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE is_held) AS n_held," \
	"   count(*) FILTER (WHERE NOT is_held AND attempts > 0) AS n_tried," \
	"   count(*) FILTER (WHERE NOT is_held AND attempts = 0) AS n_new, max(attempts) AS attempts," \
	"   min(due_at) AS due_at, min(shard)::int4 AS shard FROM queue WHERE message_id = $2::uuid) AS q" \
	" LEFT JOIN shard s ON s.shard = q.shard" \
	" CROSS JOIN LATERAL (SELECT max(attempts) AS attempts FROM dead_letter" \
	"   WHERE tenant_id = $1::uuid AND message_id = $2::uuid) AS d" \
	" CROSS JOIN LATERAL (SELECT max(attempts) AS attempts, string_agg(DISTINCT state, ', ' ORDER BY state)" \
	"    FILTER (WHERE state <> 'failed' OR d.attempts IS NULL) AS states" \
	"   FROM delivery WHERE tenant_id = $1::uuid AND message_id = $2::uuid) AS v" \
	" WHERE m.tenant_id = $1::uuid AND m.message_id = $2::uuid"

/* Every attempt: what came of it, and for whom when it was not for all. Who bounced was sent to first: then the delivery's words are
 * those of the event. */
#define SQL_HISTORY \
	"SELECT at, what, attempt, provider, code, (extract(epoch FROM took) * 1000000)::int8, " \
	"detail, part FROM (" \
	" SELECT mail_at AS at, 0 AS step, 'mail' AS what, 0 AS attempt, '' AS provider, 0 AS " \
	"code," \
	"   NULL::interval AS took, 'from <' || mail_from || '>, session ' || session || ', " \
	"client ' || client" \
	"   || ' (' || helo || ')' AS detail, -1 AS part" \
	"  FROM message WHERE tenant_id = $1::uuid AND message_id = $2::uuid" \
	" UNION ALL SELECT received_at, 1, 'received', 0, '', 0, received_at - mail_at," \
	"   size || ' octets for ' || cardinality(recipients) || ' recipients', -1" \
	"  FROM message WHERE tenant_id = $1::uuid AND message_id = $2::uuid" \
	" UNION ALL SELECT stored_at, 2, 'stored', 0, '', 0, stored_at - received_at, 'in the " \
	"queue', -1" \
	"  FROM message WHERE tenant_id = $1::uuid AND message_id = $2::uuid" \
	" UNION ALL SELECT e.at, 3, e.kind, e.attempt, e.provider, e.code, e.at - e.started_at," \
	"   concat_ws(' ', (SELECT string_agg('<' || m.recipients[i.n + 1] || '>', ' ' ORDER BY i.n)" \
	"    FROM unnest(e.recipients) AS i(n)), nullif(e.status, ''), nullif(e.reason, '')), e.part" \
	"  FROM event e LEFT JOIN message m ON m.tenant_id = e.tenant_id AND m.message_id = e.message_id" \
	"  WHERE e.tenant_id = $1::uuid AND e.message_id = $2::uuid" \
	" UNION ALL SELECT answered_at, 4, CASE state WHEN 'bounced' THEN 'sent' ELSE state END, attempts, provider," \
	"   CASE state WHEN 'bounced' THEN 0 ELSE code END, answered_at - started_at," \
	"   concat_ws(' ', '<' || recipient || '>', nullif(provider_id, '')," \
	"    CASE WHEN state <> 'bounced' THEN nullif(status, '') END, CASE WHEN state <> 'bounced' THEN nullif(reason, '') END), part" \
	"  FROM delivery WHERE tenant_id = $1::uuid AND message_id = $2::uuid) AS all_of_it" \
	" ORDER BY at, step, part, detail"

struct uuid ctl_message_id(const char *text)
{
	struct uuid id;

	if (!uuid_parse(str_of(text), &id))
		ctl_fail(EX_DATAERR,
			 "%s: not a message's id (they look like "
			 "0190cafe-0000-7000-8000-000000000000)",
			 text);
	return id;
}

struct uuid ctl_message_argument(struct ctl *ctl)
{
	return ctl_message_id(ctl_argument(ctl, "the message's id"));
}

struct uuid ctl_message_tenant(struct ctl_pg *db, const struct uuid *id)
{
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;
	char text[UUID_TEXT];

	pg_put_uuid(p, id);
	r = ctl_pg_run(db, SQL_TENANT, p);
	pg_params_free(&p);
	if (pg_rows(r) == 0)
		ctl_fail(EX_NOINPUT, "%s: there is no such message (any more)",
			 uuid_format(id, text));
	return pg_uuid(r, 0, 0);
}

struct uuid ctl_message_tenant_named(struct ctl_pg *db, const char *name)
{
	struct uuid none = {{0}};
	struct pg_params *p;
	const struct pg_result *r;

	if (name == NULL)
		return none;
	p = pg_params_new();
	pg_put_text(p, str_of(name));
	r = ctl_pg_run(db, "SELECT tenant_id FROM tenant WHERE name = $1::text", p);
	pg_params_free(&p);
	if (pg_rows(r) == 0)
		ctl_fail(EX_DATAERR, "%s: no such tenant (smtp-proxyctl tenant list shows them)",
			 name);
	return pg_uuid(r, 0, 0);
}

void ctl_message_wake(struct ctl_pg *db)
{
	ctl_pg_run(
		db,
		"UPDATE shard s SET wake = s.wake + 1 FROM (SELECT shard FROM shard ORDER BY shard"
		" FOR NO KEY UPDATE) AS l WHERE s.shard = l.shard",
		NULL);
}

static struct pg_params *params_of(const struct uuid *tenant, const struct uuid *id)
{
	struct pg_params *p = pg_params_new();

	pg_put_uuid(p, tenant);
	pg_put_uuid(p, id);
	return p;
}

void ctl_message_history(const struct ctl *ctl, struct ctl_pg *db, const struct uuid *tenant,
			 const struct uuid *id)
{
	static const struct ctl_out_column columns[] = {
		{"at", "AT"},		{"what", "WHAT"},
		{"attempt", "ATTEMPT"}, {"provider", "PROVIDER"},
		{"code", "CODE"},	{"took", "TOOK"},
		{"part", "PART"},	{"detail", "DETAIL"}};
	struct pg_params *p = params_of(tenant, id);
	const struct pg_result *r = ctl_pg_run(db, SQL_HISTORY, p);
	struct ctl_out *out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));

	pg_params_free(&p);
	for (unsigned i = 0; i < pg_rows(r); i++) {
		ctl_out_time(out, pg_time(r, i, 0));
		ctl_out_str(out, pg_text(r, i, 1));
		if (pg_int4(r, i, 2) > 0)
			ctl_out_int(out, pg_int4(r, i, 2));
		else
			ctl_out_null(out);
		ctl_out_str(out, pg_text(r, i, 3));
		if (pg_int4(r, i, 4) > 0)
			ctl_out_int(out, pg_int4(r, i, 4));
		else
			ctl_out_null(out);
		if (pg_is_null(r, i, 5))
			ctl_out_null(out);
		else
			ctl_out_span(out, pg_int8(r, i, 5));
		if (pg_int4(r, i, 7) >= 0)
			ctl_out_int(out, pg_int4(r, i, 7));
		else
			ctl_out_null(out);
		ctl_out_str(out, pg_text(r, i, 6));
	}
	ctl_out_free(&out);
}

static void show_message(struct ctl *ctl, const struct pg_result *r, const struct uuid *id)
{
	static const struct ctl_out_column columns[] = {
		{"message_id", "Message"}, {"state", "State"},	     {"tenant", "Tenant"},
		{"user", "User"},	   {"session", "Session"},   {"client", "Client"},
		{"helo", "Client's name"}, {"from", "From"},	     {"to", "To"},
		{"size", "Octets"},	   {"attempts", "Attempts"}, {"next_try", "Next try"},
		{"shard", NULL},	   {"owner", NULL}};
	struct ctl_out *out = ctl_out_record(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	char text[UUID_TEXT];

	ctl_out_text(out, uuid_format(id, text));
	ctl_out_str(out, pg_text(r, 0, 8));
	for (unsigned column = 0; column < 7; column++)
		ctl_out_str(out, pg_text(r, 0, column));
	ctl_out_int(out, pg_int4(r, 0, 7));
	ctl_out_int(out, pg_int4(r, 0, 9));
	ctl_out_time(out, pg_time(r, 0, 10));
	ctl_out_int(out, pg_int4(r, 0, 11));
	ctl_out_str(out, pg_text(r, 0, 12));
	ctl_out_free(&out);
	if (!ctl->is_json)
		putchar('\n');
}

int ctl_message_show(struct ctl *ctl)
{
	struct uuid id = ctl_message_argument(ctl), tenant;
	struct ctl_pg *db;
	struct pg_params *p;
	const struct pg_result *r;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant(db, &id);
	p = params_of(&tenant, &id);
	r = ctl_pg_run(db, SQL_MESSAGE, p);
	pg_params_free(&p);
	if (pg_rows(r) > 0)
		show_message(ctl, r, &id);
	ctl_message_history(ctl, db, &tenant, &id);
	ctl_pg_close(&db);
	return EX_OK;
}

unsigned long long ctl_message_purge(struct ctl *ctl, struct ctl_pg **db, const char *sql)
{
	bool is_all = ctl_flag(ctl, "--all");
	const char *name = ctl_option(ctl, "--tenant");
	uint64_t hours = ctl_option_u64(ctl, "--older-hours", 0, 0, 87600);
	unsigned long long n = 0, some;
	struct uuid tenant;

	ctl_end(ctl);
	if (is_all == (name != NULL))
		ctl_usage(ctl, "either --all or --tenant");
	*db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant_named(*db, name);
	do {
		struct pg_params *p = pg_params_new();

		if (name == NULL)
			pg_put_null(p);
		else
			pg_put_uuid(p, &tenant);
		pg_put_int8(p, (int64_t)hours);
		pg_put_int8(p, PURGED_AT_A_TIME);
		some = pg_touched(ctl_pg_run(*db, sql, p));
		pg_params_free(&p);
		n += some;
	} while (some == PURGED_AT_A_TIME);
	return n;
}
