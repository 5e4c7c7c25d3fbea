/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl dead list, show, retry: messages that were given up.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/ctl_message.h"
#include "ctl/ctl_out.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/settings/settings_units.h"

#define COLUMNS(array) array, sizeof(array) / sizeof((array)[0])

/* $1 tenant, $2 message, $3 provider, $4 code, $5 pattern of the reason, $6 since, $7 until: each null for any. */
#define MEETS_FILTER \
	"($1::uuid IS NULL OR d.tenant_id = $1::uuid) AND ($2::uuid IS NULL OR d.message_id = $2::uuid)" \
	" AND ($3::text IS NULL OR d.provider = $3::text) AND ($4::int4 IS NULL OR d.code = $4::int4)" \
	" AND ($5::text IS NULL OR concat_ws(' ', nullif(d.status, ''), d.reason) ILIKE $5::text)" \
	" AND ($6::timestamptz IS NULL OR d.died_at >= $6::timestamptz) AND ($7::timestamptz IS NULL OR d.died_at < $7::timestamptz)"

/* $8 how many. */
#define SQL_LIST \
	"SELECT d.message_id, d.died_at, t.name, m.mail_from," \
	"  coalesce(cardinality(d.recipients), cardinality(m.recipients)), d.attempts, d.provider," \
	"  d.code, concat_ws(' ', nullif(d.status, ''), d.reason), d.part::int4" \
	" FROM dead_letter d JOIN tenant t ON t.tenant_id = d.tenant_id" \
	" LEFT JOIN message m ON m.tenant_id = d.tenant_id AND m.message_id = d.message_id" \
	" WHERE " MEETS_FILTER " ORDER BY d.died_at DESC LIMIT $8::int8"

/* The dead letters of a message, mostly one. */
#define SQL_SHOW \
	"SELECT t.name, d.died_at, d.attempts, d.provider, d.code, d.status, d.reason, m.mail_from," \
	"  coalesce((SELECT string_agg(m.recipients[i.n + 1], ', ' ORDER BY i.n) FROM unnest(d.recipients) AS i(n))," \
	"   array_to_string(m.recipients, ', ')), m.size, octet_length(m.content) IS NOT DISTINCT FROM m.size," \
	"  d.part::int4" \
	" FROM dead_letter d JOIN tenant t ON t.tenant_id = d.tenant_id" \
	" LEFT JOIN message m ON m.tenant_id = d.tenant_id AND m.message_id = d.message_id" \
	" WHERE d.tenant_id = $1::uuid AND d.message_id = $2::uuid ORDER BY d.part"

/* Back into the queue, in any shard, with a new life (queued_at) and a part's number of the next generation
 * (sql/0005_parts.sql), and only to the provider that may have it already, if there is one (pinned). The delivery log will get new
 * words on its recipients; what was said before stays in the events.
 * $8 most at a time, the oldest; $9 from the first attempt on? */
#define SQL_RETRY \
	"WITH chosen AS (SELECT d.tenant_id, d.message_id, d.part, m.recipients AS all_recipients FROM dead_letter d" \
	"  JOIN message m ON m.tenant_id = d.tenant_id AND m.message_id = d.message_id" \
	"  WHERE " MEETS_FILTER \
	"   AND octet_length(m.content) = m.size ORDER BY d.died_at, d.message_id, d.part LIMIT $8::int8 FOR UPDATE OF d)," \
	" dead AS (DELETE FROM dead_letter d USING chosen c WHERE d.tenant_id = c.tenant_id" \
	"  AND d.message_id = c.message_id AND d.part = c.part RETURNING d.*, c.all_recipients)," \
	" gone AS (DELETE FROM delivery v USING dead d WHERE v.tenant_id = d.tenant_id AND v.message_id = d.message_id" \
	"  AND v.state = 'failed' AND (d.recipients IS NULL OR v.recipient IN" \
	"   (SELECT d.all_recipients[i.n + 1] FROM unnest(d.recipients) AS i(n))))," \
	" told AS (INSERT INTO event (tenant_id, message_id, part, recipients, at, kind, attempt, provider, code, " \
	"status, reason)" \
	"  SELECT tenant_id, message_id, part, recipients, now(), 'reprocessed', attempts, '', 0, ''," \
	"   CASE WHEN $9::bool THEN 'by an operator, from the first attempt on' ELSE 'by an " \
	"operator' END FROM dead)" \
	" INSERT INTO queue (shard, tenant_id, message_id, part, recipients, due_at, attempts, faults, provider, " \
	"pinned, last_error)" \
	" SELECT floor(random() * 64)::int2, tenant_id, message_id, (part + 1000) % 32000, recipients, now()," \
	"  CASE WHEN $9::bool THEN 0 ELSE attempts END, 0, provider, pinned, reason FROM dead"

/* They go, and the history says so; nobody is told, nothing is tried. $1 tenant or null, $2 hours, $3 most. */
#define SQL_PURGE \
	"WITH chosen AS (SELECT tenant_id, message_id, part FROM dead_letter WHERE ($1::uuid IS NULL OR tenant_id = $1::uuid)" \
	"  AND died_at <= now() - $2::int8 * interval '1 hour' LIMIT $3::int8 FOR UPDATE)," \
	" gone AS (DELETE FROM dead_letter g USING chosen c WHERE g.tenant_id = c.tenant_id AND g.message_id = c.message_id" \
	"  AND g.part = c.part RETURNING g.*)" \
	" INSERT INTO event (tenant_id, message_id, part, recipients, at, kind, attempt, provider, code, status, reason)" \
	" SELECT tenant_id, message_id, part, recipients, now(), 'purged', attempts, '', 0, '', 'by an operator' FROM gone"

enum { RETRIED_AT_A_TIME = 1000 };

/* ---- which ones ---- */

struct filter {
	struct uuid tenant, message; /* zeroes: any */
	const char *tenant_name, *provider, *reason; /* NULL: any */
	int64_t code;		     /* -1: any */
	int64_t since, until;	     /* 0: any */
};

/* A time is an age, or a day or a minute of it in UTC. */
static int64_t take_time(struct ctl *ctl, const char *name)
{
	static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};
	const char *text = ctl_option(ctl, name), *end;
	int64_t age;

	if (text == NULL)
		return 0;
	if (settings_units_parse(SETTINGS_DURATION, str_of(text), &age) && age >= 0)
		return clock_wall() - age;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {0};

		end = strptime(text, forms[i], &tm);
		if (end != NULL && (*end == '\0' || strcmp(end, "Z") == 0))
			return (int64_t)timegm(&tm) * CLOCK_SECOND;
	}
	ctl_usage(ctl, "%s: %s is neither an age such as 2h nor a time such as 2026-01-31T18:00Z", name, text);
}

static void take_filter(struct ctl *ctl, struct filter *f)
{
	const char *code = ctl_option(ctl, "--code");
	uint64_t number = 0;

	*f = (struct filter){.tenant_name = ctl_option(ctl, "--tenant"), .provider = ctl_option(ctl, "--provider"),
			     .reason = ctl_option(ctl, "--reason"), .code = -1};
	f->since = take_time(ctl, "--since");
	f->until = take_time(ctl, "--until");
	if (code != NULL && !str_u64(str_of(code), 0, 999, &number))
		ctl_fail(EX_USAGE, "--code: %s is not a number up to 999", code);
	if (code != NULL)
		f->code = (int64_t)number;
	if (f->reason != NULL && !str_is_utf8(str_of(f->reason)))
		ctl_usage(ctl, "--reason: it is not UTF-8");
}

static bool is_any_given(const struct filter *f)
{
	return f->tenant_name != NULL || f->provider != NULL || f->reason != NULL || f->code >= 0 || f->since != 0 || f->until != 0;
}

static void put_id(struct pg_params *p, const struct uuid *id)
{
	if (uuid_is_zero(id))
		pg_put_null(p);
	else
		pg_put_uuid(p, id);
}

static void put_text(struct pg_params *p, const char *text)
{
	if (text == NULL)
		pg_put_null(p);
	else
		pg_put_text(p, str_of(text));
}

static void put_time(struct pg_params *p, int64_t wall)
{
	if (wall == 0)
		pg_put_null(p);
	else
		pg_put_time(p, wall);
}

/* As LIKE has it: somewhere in the text, * for anything. */
static void put_pattern(struct pg_params *p, const char *pattern)
{
	struct buf like = BUF_MAX(2 * strlen(pattern) + 2);

	buf_put_char(&like, '%');
	for (; *pattern != '\0'; pattern++) {
		if (strchr("%_\\", *pattern) != NULL)
			buf_put_char(&like, '\\');
		buf_put_char(&like, *pattern == '*' ? '%' : *pattern);
	}
	buf_put_char(&like, '%');
	pg_put_text(p, buf_str(&like));
	buf_clear(&like);
}

static void put_filter(struct pg_params *p, const struct filter *f)
{
	put_id(p, &f->tenant);
	put_id(p, &f->message);
	put_text(p, f->provider);
	if (f->code < 0)
		pg_put_null(p);
	else
		pg_put_int4(p, (int32_t)f->code);
	if (f->reason == NULL)
		pg_put_null(p);
	else
		put_pattern(p, f->reason);
	put_time(p, f->since);
	put_time(p, f->until);
}

/* ---- the subcommands ---- */

int ctl_dead_list(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {
		{"message_id", "MESSAGE"}, {"died_at", "DIED"},	    {"tenant", "TENANT"},
		{"from", "FROM"},	   {"recipients", "RCPTS"}, {"attempts", "TRIED"},
		{"provider", "PROVIDER"},  {"code", "CODE"},	    {"reason", "REASON"},
		{"part", "PART"}};
	uint64_t limit = ctl_option_u64(ctl, "--limit", 100, 1, 1000000000);
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;
	struct ctl_out *out;
	struct ctl_pg *db;
	struct filter f;

	take_filter(ctl, &f);
	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	f.tenant = ctl_message_tenant_named(db, f.tenant_name);
	put_filter(p, &f);
	pg_put_int8(p, (int64_t)limit);
	r = ctl_pg_run(db, SQL_LIST, p);
	out = ctl_out_new(ctl, COLUMNS(columns));
	for (unsigned i = 0; i < pg_rows(r); i++) {
		struct uuid id = pg_uuid(r, i, 0);
		char text[UUID_TEXT];

		ctl_out_text(out, uuid_format(&id, text));
		ctl_out_time(out, pg_time(r, i, 1));
		ctl_out_str(out, pg_text(r, i, 2));
		ctl_out_str(out, pg_text(r, i, 3));
		ctl_out_int(out, pg_int4(r, i, 4));
		ctl_out_int(out, pg_int4(r, i, 5));
		ctl_out_str(out, pg_text(r, i, 6));
		ctl_out_int(out, pg_int4(r, i, 7));
		ctl_out_str(out, pg_text(r, i, 8));
		ctl_out_int(out, pg_int4(r, i, 9));
	}
	if (pg_rows(r) == limit)
		ctl_warn("only the newest %u are shown: see --limit", (unsigned)limit);
	ctl_out_free(&out);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

static struct pg_params *params_of(const struct uuid *tenant, const struct uuid *id)
{
	struct pg_params *p = pg_params_new();

	pg_put_uuid(p, tenant);
	pg_put_uuid(p, id);
	return p;
}

noreturn static void fail_alive(const struct uuid *id)
{
	char text[UUID_TEXT];

	ctl_fail(EX_NOINPUT, "%s is not a dead letter (smtp-proxyctl message show says more)",
		 uuid_format(id, text));
}

int ctl_dead_show(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {
		{"message_id", "Message"}, {"tenant", "Tenant"},
		{"died_at", "Died"},	   {"attempts", "Attempts"},
		{"provider", "Provider"},  {"code", "Code"},
		{"status", "Status"},	   {"reason", "Reason"},
		{"from", "From"},	   {"to", "To"},
		{"size", "Octets"},	   {"can_be_sent", "Can be sent again"},
		{"part", "Part"}};
	struct uuid id = ctl_message_argument(ctl), tenant;
	const struct pg_result *r;
	struct pg_params *p;
	struct ctl_out *out;
	struct ctl_pg *db;
	char text[UUID_TEXT];

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant(db, &id);
	p = params_of(&tenant, &id);
	r = ctl_pg_run(db, SQL_SHOW, p);
	pg_params_free(&p);
	if (pg_rows(r) == 0)
		fail_alive(&id);
	out = ctl_out_record(ctl, COLUMNS(columns));
	for (unsigned i = 0; i < pg_rows(r); i++) {
		ctl_out_text(out, uuid_format(&id, text));
		ctl_out_str(out, pg_text(r, i, 0));
		ctl_out_time(out, pg_time(r, i, 1));
		ctl_out_int(out, pg_int4(r, i, 2));
		ctl_out_str(out, pg_text(r, i, 3));
		ctl_out_int(out, pg_int4(r, i, 4));
		for (unsigned column = 5; column < 9; column++)
			ctl_out_str(out, pg_text(r, i, column));
		ctl_out_int(out, pg_int4(r, i, 9));
		ctl_out_bool(out, pg_bool(r, i, 10));
		ctl_out_int(out, pg_int4(r, i, 11));
	}
	ctl_out_free(&out);
	if (!ctl->is_json)
		putchar('\n');
	ctl_message_history(ctl, db, &tenant, &id);
	ctl_pg_close(&db);
	return EX_OK;
}

static unsigned long long retry(struct ctl_pg *db, const struct filter *f, bool is_reset)
{
	unsigned long long n = 0, now;

	do {
		struct pg_params *p = pg_params_new();

		put_filter(p, f);
		pg_put_int8(p, RETRIED_AT_A_TIME);
		pg_put_bool(p, is_reset);
		now = pg_touched(ctl_pg_run(db, SQL_RETRY, p));
		n += now;
		pg_params_free(&p);
	} while (now == RETRIED_AT_A_TIME);
	if (n > 0)
		ctl_message_wake(db);
	return n;
}

int ctl_dead_retry(struct ctl *ctl)
{
	bool is_reset = ctl_flag(ctl, "--reset"), is_all = ctl_flag(ctl, "--all");
	unsigned long long n;
	struct filter f;
	struct ctl_pg *db;
	const char *id;

	take_filter(ctl, &f);
	id = ctl_optional(ctl);
	ctl_end(ctl);
	if ((id != NULL) == (is_all || is_any_given(&f)))
		ctl_fail(EX_USAGE, "dead retry wants an ID, or which ones: --all, --tenant, --provider, --code, --reason, --since, --until");
	if (id != NULL)
		f.message = ctl_message_id(id);
	db = ctl_pg_open(ctl);
	f.tenant = id != NULL ? ctl_message_tenant(db, &f.message) : ctl_message_tenant_named(db, f.tenant_name);
	n = retry(db, &f, is_reset);
	if (n == 0 && id != NULL)
		fail_alive(&f.message);
	if (id != NULL)
		ctl_out_done(ctl, "%s is in the queue again", id);
	else
		ctl_out_done(ctl, "%llu dead letter%s in the queue again", n, n == 1 ? " is" : "s are");
	ctl_pg_close(&db);
	return EX_OK;
}

/* Those of a tenant, or all; as old as that at least. */
int ctl_dead_purge(struct ctl *ctl)
{
	struct ctl_pg *db;
	unsigned long long n = ctl_message_purge(ctl, &db, SQL_PURGE);

	ctl_out_done(ctl, "%llu dead letter%s purged", n, n == 1 ? "" : "s");
	ctl_pg_close(&db);
	return EX_OK;
}
