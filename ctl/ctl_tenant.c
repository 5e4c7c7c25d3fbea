/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl tenant add, list, set, enable, disable: whose mail it is, through which provider it goes, how it is
 * taken, and how much of it.
 */
#include <stdlib.h>

#include "ctl/ctl_limits.h"
#include "ctl/ctl_out.h"
#include "ctl/ctl_pg.h"
#include "lib/base/clock.h"

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

int ctl_tenant_set(struct ctl *ctl)
{
	const char *provider = ctl_option(ctl, "--provider"), *on_unknown = take_on_unknown(ctl), *mode = take_mode(ctl);
	struct ctl_limits limits = ctl_limits_take(ctl);
	const char *name = ctl_argument(ctl, "the tenant's name");
	struct pg_params *p = pg_params_new();
	struct ctl_pg *db;

	ctl_end(ctl);
	if (provider == NULL && on_unknown == NULL && mode == NULL && !limits.is_given)
		ctl_usage(ctl, "nothing to set");
	check_provider(ctl, provider);
	db = ctl_pg_open(ctl);
	pg_put_text(p, str_of(name));
	put_optional(p, provider);
	put_optional(p, on_unknown);
	put_optional(p, mode);
	ctl_limits_put(&limits, p);
	if (pg_touched(ctl_pg_run(db,
				  "UPDATE tenant SET provider = coalesce($2::text, provider), "
				  "on_unknown = coalesce($3::text, on_unknown), mode = coalesce($4::text, mode), "
				  CTL_LIMITS_SET " WHERE name = $1",
				  p)) == 0)
		fail_unknown(name);
	ctl_out_done(ctl, "changed tenant %s", name);
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
