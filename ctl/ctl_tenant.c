/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl tenant add, list, show, set, enable, disable: whose mail it is, through which provider it goes, how it is
 * taken, how much of it, and what the tenant wishes otherwise than the settings say.
 */
#include <stdlib.h>

#include "ctl/ctl_limits.h"
#include "ctl/ctl_out.h"
#include "ctl/ctl_pg.h"
#include "lib/base/clock.h"
#include "lib/settings/settings_units.h"
#include "lib/smtp/smtp_address.h"

/* The provider must be one of the settings file: qmgr could do nothing with another. "" is the
 * default one. */
static void check_provider(struct ctl *ctl, const char *provider)
{
	const struct settings *s = ctl_settings(ctl);
	struct buf known = BUF_MAX(8192);

	if (provider == NULL || provider[0] == '\0')
		return;
	for (size_t i = 0; i < s->n_provider; i++) {
		if (strcmp(s->provider[i].key, provider) == 0) {
			buf_clear(&known);
			return;
		}
		buf_printf(&known, "%s%s", i > 0 ? ", " : "", s->provider[i].key);
	}
	ctl_fail(EX_DATAERR, "%s: the settings have no such provider; they have: %.*s", provider,
		 STR_ARG(known.n > 0 ? buf_str(&known) : STR("none")));
}

static const char *take_on_unknown(struct ctl *ctl)
{
	const char *value = ctl_option(ctl, "--on-unknown");

	if (value != NULL && strcmp(value, "retry") != 0 && strcmp(value, "hold") != 0)
		ctl_usage(ctl, "--on-unknown: \"%s\" is neither retry nor hold", value);
	return value;
}

static const char *take_mode(struct ctl *ctl)
{
	static const char *const modes[] = {"listener", "queued", "direct", "direct-then-queue"};
	const char *value = ctl_option(ctl, "--mode");
	bool is_known = value == NULL;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		is_known |= value != NULL && strcmp(value, modes[i]) == 0;
	if (!is_known)
		ctl_usage(ctl, "--mode: \"%s\" is none of listener, queued, direct, direct-then-queue", value);
	return value;
}

static void put_optional(struct pg_params *p, const char *text)
{
	if (text != NULL)
		pg_put_text(p, str_of(text));
	else
		pg_put_null(p);
}

int ctl_tenant_add(struct ctl *ctl)
{
	const char *provider = ctl_option(ctl, "--provider"), *on_unknown = take_on_unknown(ctl);
	const char *name = ctl_argument(ctl, "the tenant's name");
	struct pg_params *p = pg_params_new();
	struct uuid id = uuid_new(clock_wall());
	struct ctl_pg_refusal refusal;
	struct ctl_pg *db;

	ctl_end(ctl);
	check_provider(ctl, provider);
	db = ctl_pg_open(ctl);
	pg_put_uuid(p, &id);
	pg_put_text(p, str_of(name));
	pg_put_text(p, str_of(provider));
	pg_put_text(p, str_of(on_unknown != NULL ? on_unknown : "retry"));
	if (ctl_pg_try(db,
		       "INSERT INTO tenant (tenant_id, name, provider, on_unknown) "
		       "VALUES ($1, $2, $3, $4)",
		       p, &refusal) == NULL) {
		if (strcmp(refusal.sqlstate, "23505") == 0)
			ctl_fail(EX_DATAERR, "%s: there is such a tenant already", name);
		if (strcmp(refusal.sqlstate, "23514") == 0)
			ctl_fail(
				EX_DATAERR,
				"%s: a tenant's name is 1 to 63 letters, digits, dots, hyphens and "
				"underscores, and begins with a letter or digit",
				name);
		ctl_pg_fail(&refusal);
	}
	ctl_out_done(ctl, "added tenant %s", name);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

int ctl_tenant_list(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {
		{"name", "NAME"},	   {"provider", "PROVIDER"}, {"on_unknown", "ON UNKNOWN"},
		{"is_enabled", "ENABLED"}, {"users", "USERS"},	     {"created_at", "CREATED"},
		{"tenant_id", NULL},	   {"mode", "MODE"},	     CTL_LIMITS_COLUMNS};
	struct ctl_pg *db;
	const struct pg_result *r;
	struct ctl_out *out;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	r = ctl_pg_run(db,
		       "SELECT t.name, t.provider, t.on_unknown, t.is_enabled, "
		       "(SELECT count(*) FROM smtp_user u WHERE u.tenant_id = t.tenant_id), "
		       "t.created_at, t.tenant_id, t.mode, "
		       "t.per_second, t.per_minute, t.per_hour, t.per_day, t.per_month FROM tenant t ORDER BY t.name",
		       NULL);
	out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	for (unsigned i = 0; i < pg_rows(r); i++) {
		struct uuid id = pg_uuid(r, i, 6);
		char text[UUID_TEXT];

		ctl_out_str(out, pg_text(r, i, 0));
		ctl_out_str(out, pg_text(r, i, 1));
		ctl_out_str(out, pg_text(r, i, 2));
		ctl_out_bool(out, pg_bool(r, i, 3));
		ctl_out_int(out, pg_int8(r, i, 4));
		ctl_out_time(out, pg_time(r, i, 5));
		ctl_out_text(out, uuid_format(&id, text));
		ctl_out_str(out, pg_text(r, i, 7));
		ctl_limits_show(out, r, i, 8);
	}
	ctl_out_free(&out);
	ctl_pg_close(&db);
	return EX_OK;
}

noreturn static void fail_unknown(const char *name)
{
	ctl_fail(EX_DATAERR, "%s: no such tenant (smtp-proxyctl tenant list shows them)", name);
}

/* ---- wishes ---- */

enum wish_kind { NUMBER, TIME, SWITCH, ADDRESS };

/* What a tenant may have otherwise than the settings say: the option, its column, its bounds (times in seconds). */
static const struct wish {
	const char *option, *column;
	enum wish_kind kind;
	int64_t least, most;
} wishes[] = {
	{"--max-attempts", "max_attempts", NUMBER, 1, 100},
	{"--max-age", "max_age", TIME, 60, 30 * 86400},
	{"--retry-first", "retry_first", TIME, 1, 3600},
	{"--retry-longest", "retry_longest", TIME, 1, 86400},
	{"--keep-messages", "keep_messages", TIME, 0, 3650LL * 86400},
	{"--keep-logs", "keep_logs", TIME, 86400, 3650LL * 86400},
	{"--idempotency-window", "idempotency_window", TIME, 60, 30 * 86400},
	{"--test", "is_test", SWITCH, 0, 0},
	{"--redirect-to", "redirect_to", ADDRESS, 0, 0},
	{"--bounce-from", "bounce_from", ADDRESS, 0, 0},
};
enum { WISHES = sizeof(wishes) / sizeof(wishes[0]) };

static bool is_none(const char *text)
{
	return text[0] == '\0' || strcmp(text, "none") == 0;
}

static int64_t read_number(struct ctl *ctl, const struct wish *w, const char *text)
{
	bool is_time = w->kind == TIME;
	int64_t scale = is_time ? CLOCK_SECOND : 1, value;
	struct buf least = BUF_MAX(64), most = BUF_MAX(64);

	if (settings_units_parse(is_time ? SETTINGS_DURATION : SETTINGS_INT, str_of(text), &value) &&
	    value >= w->least * scale && value <= w->most * scale)
		return value;
	settings_units_format(is_time ? SETTINGS_DURATION : SETTINGS_INT, w->least * scale, &least);
	settings_units_format(is_time ? SETTINGS_DURATION : SETTINGS_INT, w->most * scale, &most);
	ctl_usage(ctl, "%s: \"%s\" is neither none nor %s from %.*s to %.*s", w->option, text, is_time ? "a time" : "a number",
		  STR_ARG(buf_str(&least)), STR_ARG(buf_str(&most)));
}

/* The value as a parameter, with the SQL that makes it the column's. */
static const char *put_wish(struct ctl *ctl, const struct wish *w, const char *text, struct pg_params *p)
{
	struct smtp_address address;

	switch (w->kind) {
	case NUMBER:
	case TIME:
		if (is_none(text))
			pg_put_null(p);
		else
			pg_put_int8(p, read_number(ctl, w, text));
		return w->kind == TIME ? "$%u::int8 * interval '1 microsecond'" : "$%u::int8::integer";
	case SWITCH:
		if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
			ctl_usage(ctl, "%s: \"%s\" is neither on nor off", w->option, text);
		pg_put_bool(p, strcmp(text, "on") == 0);
		return "$%u::boolean";
	case ADDRESS:
		break;
	}
	if (!is_none(text) && (smtp_address_parse(str_of(text), &address) != SMTP_ADDRESS_OK ||
			       address.mailbox.n != strlen(text) || address.domain.p[0] == '['))
		ctl_usage(ctl, "%s: \"%s\" is neither none nor an address", w->option, text);
	pg_put_text(p, is_none(text) ? STR("") : str_of(text));
	return "$%u::text";
}

/* False: none is given. */
static bool take_wishes(struct ctl *ctl, const char *given[WISHES])
{
	bool is_any = false;

	for (unsigned i = 0; i < WISHES; i++) {
		given[i] = ctl_option(ctl, wishes[i].option);
		is_any |= given[i] != NULL;
	}
	return is_any;
}

/* Their parameters, the first of which is number `next`, and their assignments. */
static void put_wishes(struct ctl *ctl, const char *const given[WISHES], struct pg_params *p, unsigned next, struct buf *sql)
{
	for (unsigned i = 0; i < WISHES; i++) {
		const char *value;

		if (given[i] == NULL)
			continue;
		value = put_wish(ctl, &wishes[i], given[i], p);
		buf_printf(sql, ", %s = %.*s%u%s", wishes[i].column, (int)(strchr(value, '%') - value), value, next++,
			   strchr(value, '%') + 2);
	}
}

int ctl_tenant_set(struct ctl *ctl)
{
	const char *given[WISHES];
	bool has_wishes = take_wishes(ctl, given);
	struct buf sql = BUF_MAX(8192);
	const char *provider = ctl_option(ctl, "--provider"), *on_unknown = take_on_unknown(ctl), *mode = take_mode(ctl);
	struct ctl_limits limits = ctl_limits_take(ctl);
	const char *name = ctl_argument(ctl, "the tenant's name");
	struct pg_params *p = pg_params_new();
	struct ctl_pg *db;

	ctl_end(ctl);
	if (provider == NULL && on_unknown == NULL && mode == NULL && !limits.is_given && !has_wishes)
		ctl_usage(ctl, "nothing to set");
	check_provider(ctl, provider);
	pg_put_text(p, str_of(name));
	put_optional(p, provider);
	put_optional(p, on_unknown);
	put_optional(p, mode);
	ctl_limits_put(&limits, p);
	buf_put_text(&sql, "UPDATE tenant SET provider = coalesce($2::text, provider), "
			   "on_unknown = coalesce($3::text, on_unknown), mode = coalesce($4::text, mode), " CTL_LIMITS_SET);
	put_wishes(ctl, given, p, 5 + CTL_LIMITS, &sql);
	buf_put(&sql, " WHERE name = $1", sizeof(" WHERE name = $1"));
	db = ctl_pg_open(ctl);
	if (pg_touched(ctl_pg_run(db, sql.p, p)) == 0)
		fail_unknown(name);
	ctl_out_done(ctl, "changed tenant %s", name);
	buf_clear(&sql);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

/* What it wishes is empty where the settings decide. */
int ctl_tenant_show(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {{"name", "Name"},
							{"tenant_id", "Id"},
							{"is_enabled", "Enabled"},
							{"provider", "Provider"},
							{"on_unknown", "On unknown"},
							{"mode", "Mode"},
							{"max_attempts", "Most attempts"},
							{"max_age", "Longest wait"},
							{"retry_first", "First retry after"},
							{"retry_longest", "Longest time between tries"},
							{"keep_messages", "Keeps messages"},
							{"keep_logs", "Keeps logs"},
							{"idempotency_window", "Idempotency keys hold"},
							{"is_test", "Test mode"},
							{"redirect_to", "All mail goes to"},
							{"bounce_from", "Bounces are from"},
							{"suppressions", "Suppressed addresses"}};
	enum { FIRST_TIME = 7, LAST_TIME = 12 };
	const char *name = ctl_argument(ctl, "the tenant's name");
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;
	struct ctl_out *out;
	struct ctl_pg *db;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	pg_put_text(p, str_of(name));
	r = ctl_pg_run(db,
		       "SELECT name, tenant_id::text, is_enabled, provider, on_unknown, mode, max_attempts::int8,"
		       " (extract(epoch FROM max_age) * 1000000)::int8, (extract(epoch FROM retry_first) * 1000000)::int8,"
		       " (extract(epoch FROM retry_longest) * 1000000)::int8,"
		       " (extract(epoch FROM keep_messages) * 1000000)::int8,"
		       " (extract(epoch FROM keep_logs) * 1000000)::int8,"
		       " (extract(epoch FROM idempotency_window) * 1000000)::int8,"
		       " is_test, redirect_to, bounce_from,"
		       " (SELECT count(*) FROM suppression s WHERE s.tenant_id = t.tenant_id)"
		       " FROM tenant t WHERE name = $1",
		       p);
	if (pg_rows(r) == 0)
		fail_unknown(name);
	out = ctl_out_record(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	for (unsigned i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		if (pg_is_null(r, 0, i))
			ctl_out_null(out);
		else if (i >= FIRST_TIME && i <= LAST_TIME)
			ctl_out_span(out, pg_int8(r, 0, i));
		else if (i == FIRST_TIME - 1 || i == LAST_TIME + 4)
			ctl_out_int(out, pg_int8(r, 0, i));
		else if (i == 2 || i == LAST_TIME + 1)
			ctl_out_bool(out, pg_bool(r, 0, i));
		else
			ctl_out_str(out, pg_text(r, 0, i));
	}
	ctl_out_free(&out);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

static int enable(struct ctl *ctl, bool is_enabled)
{
	const char *name = ctl_argument(ctl, "the tenant's name");
	struct pg_params *p = pg_params_new();
	struct ctl_pg *db;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	pg_put_text(p, str_of(name));
	pg_put_bool(p, is_enabled);
	if (pg_touched(ctl_pg_run(db, "UPDATE tenant SET is_enabled = $2 WHERE name = $1", p)) == 0)
		fail_unknown(name);
	ctl_out_done(ctl, "tenant %s is %s", name,
		     is_enabled
			     ? "enabled"
			     : "disabled: its users cannot log in; what is queued is still sent");
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

int ctl_tenant_enable(struct ctl *ctl)
{
	return enable(ctl, true);
}

int ctl_tenant_disable(struct ctl *ctl)
{
	return enable(ctl, false);
}
