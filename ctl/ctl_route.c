/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl route list, add, set, remove, test: through which providers a tenant's mail goes. qmgr notices a change within
 * two seconds, also for what is queued.
 */
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl_message.h"
#include "ctl/ctl_out.h"
#include "ctl/ctl_route_table.h"
#include "lib/base/mem.h"
#include "lib/queue/route.h"
#include "lib/settings/settings_provider.h"

#define COLUMNS(array) array, sizeof(array) / sizeof((array)[0])

enum { POSITION_MAX = 1000000, POSITION_STEP = 10 };

/* What the options say of a route; NULL: nothing. */
struct wanted {
	const char *targets, *sender, *recipient, *header, *user;
};

static struct wanted take_options(struct ctl *ctl)
{
	return (struct wanted){
		.sender = ctl_option(ctl, "--sender"),
		.recipient = ctl_option(ctl, "--recipient"),
		.header = ctl_option(ctl, "--header"),
		.user = ctl_option(ctl, "--user"),
	};
}

static uint64_t take_position(struct ctl *ctl)
{
	const char *text = ctl_argument(ctl, "the route's position");
	uint64_t position;

	if (!str_u64(str_of(text), 1, POSITION_MAX, &position))
		ctl_usage(ctl, "\"%s\" is no position: a number from 1 to %d (smtp-proxyctl route list shows them)", text,
			  POSITION_MAX);
	return position;
}

/* "NAME" or "NAME: PATTERN". */
static void split_header(struct str header, struct str *name, struct str *pattern)
{
	size_t colon = str_find(header, ':');

	*name = str_trim(str_first(header, colon));
	*pattern = str_trim(str_from(header, colon < header.n ? colon + 1 : colon));
}

static struct uuid user_named(struct ctl_pg *db, const struct uuid *tenant, const char *name)
{
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;

	pg_put_uuid(p, tenant);
	pg_put_text(p, str_of(name));
	r = ctl_pg_run(db, "SELECT user_id FROM smtp_user WHERE tenant_id = $1::uuid AND name = $2::text", p);
	pg_params_free(&p);
	if (pg_rows(r) == 0)
		ctl_fail(EX_DATAERR, "%s: the tenant has no such user (smtp-proxyctl user list shows them)", name);
	return pg_uuid(r, 0, 0);
}

/* Every provider must be one of the settings file: qmgr could do nothing with another. */
static void check_providers(struct ctl *ctl, const struct route *route)
{
	for (unsigned i = 0; i < route->n_targets; i++)
		if (route->target[i].index < 0)
			ctl_fail(EX_DATAERR, "%s: the settings have no such provider (smtp-proxyctl config show shows them)",
				 route->target[i].provider);
	(void)ctl;
}

/* The conditions and targets as parameters $3 to $8, when they are good ones. */
static void put_route(struct ctl *ctl, struct pg_params *p, const struct route_conditions *when, struct str targets)
{
	struct buf text = BUF_MAX(ROUTE_TEXT);
	struct route route;
	struct err err;

	if (!route_make(&route, when, targets, &err))
		ctl_fail(EX_DATAERR, "%s", err.text);
	route_resolve(&route, ctl_settings(ctl));
	check_providers(ctl, &route);
	route_print(&route, &text);
	pg_put_text(p, buf_str(&text));
	pg_put_text(p, when->sender_domain);
	pg_put_text(p, when->recipient_domain);
	pg_put_text(p, when->header_name);
	pg_put_text(p, when->header_pattern);
	if (uuid_is_zero(&when->user))
		pg_put_null(p);
	else
		pg_put_uuid(p, &when->user);
	buf_clear(&text);
	route_clear(&route);
}

/* What the options say takes the place of what is there. */
static void change(struct ctl_pg *db, const struct uuid *tenant, struct route_conditions *when, const struct wanted *w)
{
	if (w->sender != NULL)
		when->sender_domain = str_of(w->sender);
	if (w->recipient != NULL)
		when->recipient_domain = str_of(w->recipient);
	if (w->header != NULL)
		split_header(str_of(w->header), &when->header_name, &when->header_pattern);
	if (w->user != NULL)
		when->user = w->user[0] == '\0' ? (struct uuid){{0}} : user_named(db, tenant, w->user);
}

int ctl_route_list(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {
		{"tenant", "TENANT"}, {"position", "POSITION"}, {"targets", "TARGETS"}, {"sender", "SENDER"},
		{"recipient", "RECIPIENT"}, {"header", "HEADER"}, {"pattern", "PATTERN"}, {"user", "USER"}};
	const char *name = ctl_option(ctl, "--tenant");
	const struct pg_result *r;
	struct ctl_out *out;
	struct ctl_pg *db;
	struct uuid tenant;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant_named(db, name);
	r = ctl_route_table_read(db, name == NULL ? NULL : &tenant, 0);
	out = ctl_out_new(ctl, COLUMNS(columns));
	for (unsigned i = 0; i < pg_rows(r); i++) {
		ctl_out_str(out, pg_text(r, i, 0));
		ctl_out_int(out, pg_int4(r, i, 1));
		for (unsigned column = 2; column < 8; column++)
			ctl_out_str(out, pg_text(r, i, column));
	}
	ctl_out_free(&out);
	ctl_pg_close(&db);
	return EX_OK;
}

/* The place behind the last one, when none is given. */
static int32_t free_position(struct ctl_pg *db, const struct uuid *tenant, uint64_t wanted)
{
	struct pg_params *p;
	int32_t last;

	if (wanted != 0)
		return (int32_t)wanted;
	p = pg_params_new();
	pg_put_uuid(p, tenant);
	last = pg_int4(ctl_pg_run(db, "SELECT coalesce(max(position), 0) FROM route WHERE tenant_id = $1::uuid", p), 0, 0);
	pg_params_free(&p);
	return last + POSITION_STEP;
}

int ctl_route_add(struct ctl *ctl)
{
	struct wanted w = take_options(ctl);
	uint64_t position = ctl_option_u64(ctl, "--position", 0, 1, POSITION_MAX);
	const char *name = ctl_argument(ctl, "the tenant's name"), *targets = ctl_argument(ctl, "the targets");
	struct pg_params *p = pg_params_new();
	struct route_conditions when = {.user = {{0}}};
	struct ctl_pg_refusal refusal;
	struct ctl_pg *db;
	struct uuid tenant;
	int32_t at;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant_named(db, name);
	at = free_position(db, &tenant, position);
	change(db, &tenant, &when, &w);
	pg_put_uuid(p, &tenant);
	pg_put_int4(p, at);
	put_route(ctl, p, &when, str_of(targets));
	if (ctl_pg_try(db,
		       "INSERT INTO route (tenant_id, position, targets, sender_domain, recipient_domain, header_name,"
		       " header_pattern, user_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		       p, &refusal) == NULL) {
		if (strcmp(refusal.sqlstate, "23505") == 0)
			ctl_fail(EX_DATAERR, "%s has a route at %d already (smtp-proxyctl route list shows it)", name, at);
		ctl_pg_fail(&refusal);
	}
	ctl_out_done(ctl, "added route %d of tenant %s", at, name);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

noreturn static void fail_unknown(const char *name, uint64_t position)
{
	ctl_fail(EX_DATAERR, "%s has no route at %u (smtp-proxyctl route list shows them)", name, (unsigned)position);
}

int ctl_route_set(struct ctl *ctl)
{
	struct wanted w = take_options(ctl);
	const char *targets = ctl_option(ctl, "--targets");
	uint64_t to = ctl_option_u64(ctl, "--position", 0, 1, POSITION_MAX);
	const char *name = ctl_argument(ctl, "the tenant's name");
	uint64_t position = take_position(ctl);
	struct pg_params *p = pg_params_new();
	struct ctl_pg_refusal refusal;
	struct route_conditions when;
	struct pg_result *r;
	struct ctl_pg *db;
	struct uuid tenant;

	ctl_end(ctl);
	if (targets == NULL && to == 0 && w.sender == NULL && w.recipient == NULL && w.header == NULL && w.user == NULL)
		ctl_usage(ctl, "nothing to set");
	db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant_named(db, name);
	r = pg_result_copy(ctl_route_table_read(db, &tenant, position));
	if (pg_rows(r) == 0)
		fail_unknown(name, position);
	when = ctl_route_table_conditions(r, 0);
	change(db, &tenant, &when, &w);
	pg_put_uuid(p, &tenant);
	pg_put_int4(p, (int32_t)position);
	put_route(ctl, p, &when, targets != NULL ? str_of(targets) : pg_text(r, 0, 2));
	pg_put_int4(p, (int32_t)(to != 0 ? to : position));
	if (ctl_pg_try(db,
		       "UPDATE route SET targets = $3, sender_domain = $4, recipient_domain = $5, header_name = $6,"
		       " header_pattern = $7, user_id = $8, position = $9 WHERE tenant_id = $1 AND position = $2",
		       p, &refusal) == NULL) {
		if (strcmp(refusal.sqlstate, "23505") == 0)
			ctl_fail(EX_DATAERR, "%s has a route at %u already", name, (unsigned)to);
		ctl_pg_fail(&refusal);
	}
	ctl_out_done(ctl, "changed route %u of tenant %s", (unsigned)position, name);
	pg_result_free(&r);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

int ctl_route_remove(struct ctl *ctl)
{
	const char *name = ctl_argument(ctl, "the tenant's name");
	uint64_t position = take_position(ctl);
	struct pg_params *p = pg_params_new();
	struct ctl_pg *db;
	struct uuid tenant;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant_named(db, name);
	pg_put_uuid(p, &tenant);
	pg_put_int4(p, (int32_t)position);
	if (pg_touched(ctl_pg_run(db, "DELETE FROM route WHERE tenant_id = $1 AND position = $2", p)) == 0)
		fail_unknown(name, position);
	ctl_out_done(ctl, "removed route %u of tenant %s", (unsigned)position, name);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

/* ---- route test ---- */

/* Who is up is known to qmgr: see smtp-proxyctl provider list. */
static bool is_up(void *ctx, unsigned provider)
{
	(void)ctx, (void)provider;
	return true;
}

static void show_way(struct ctl *ctl, struct ctl_out *out, struct str recipient, const struct ctl_route_table *t, unsigned number,
		     const struct route_load *load)
{
	const struct settings *settings = ctl_settings(ctl);
	const struct route *route = &t->route[number < t->n ? number : t->n];
	struct route_choice choice = route_choose(route, settings, load, is_up, NULL, 0);

	for (unsigned i = 0; i < route->n_targets || i == 0; i++) {
		const struct route_target *target = &route->target[i];

		ctl_out_str(out, recipient);
		if (number < t->n)
			ctl_out_int(out, t->position[number]);
		else
			ctl_out_null(out);
		if (route->n_targets == 0) {
			ctl_out_null(out), ctl_out_text(out, ""), ctl_out_null(out);
			ctl_out_text(out, "neither the tenant nor queue.default_provider names a provider");
			return;
		}
		ctl_out_int(out, target->tier + 1);
		ctl_out_text(out, target->provider);
		ctl_out_int(out, target->weight);
		ctl_out_text(out, route_word_text(choice.word[i]));
	}
}

/* "NAME: VALUE" as a header of one field. */
static char *header_text(const char *field)
{
	struct buf text = BUF_MAX(16384);

	buf_printf(&text, "%s\r\n\r\n", field == NULL ? "" : field);
	return buf_take_text(&text);
}

static unsigned take_recipients(struct ctl *ctl, struct str *out, unsigned most)
{
	unsigned n = 0;
	const char *text;

	out[n++] = str_of(ctl_argument(ctl, "a recipient"));
	while ((text = ctl_optional(ctl)) != NULL) {
		if (n == most)
			ctl_usage(ctl, "more than %u recipients", most);
		out[n++] = str_of(text);
	}
	return n;
}

int ctl_route_test(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {{"recipient", "RECIPIENT"}, {"route", "ROUTE"},	  {"tier", "TIER"},
							{"provider", "PROVIDER"},   {"weight", "WEIGHT"}, {"verdict", "VERDICT"}};
	const char *from = ctl_option(ctl, "--sender"), *header = ctl_option(ctl, "--header"), *user = ctl_option(ctl, "--user");
	uint64_t size = ctl_option_u64(ctl, "--size", 0, 0, INT64_MAX);
	const char *name = ctl_argument(ctl, "the tenant's name");
	struct ctl_route_table *table;
	struct str recipients[100];
	uint16_t number[100];
	struct route_message m = {.mail_from = str_of(from), .recipients = recipients};
	struct route_load load = {.size = (int64_t)size};
	struct ctl_out *out;
	struct ctl_pg *db;
	struct uuid tenant;
	char *text;

	m.n_recipients = take_recipients(ctl, recipients, 100);
	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant_named(db, name);
	if (user != NULL)
		m.user = user_named(db, &tenant, user);
	text = header_text(header);
	m.content = str_of(text);
	table = ctl_route_table_new(ctl, db, &tenant);
	load.has_utf8 = route_is_beyond_ascii(&m);
	route_group(table->route, table->n, &m, number);
	out = ctl_out_new(ctl, COLUMNS(columns));
	for (unsigned i = 0; i < m.n_recipients; i++)
		show_way(ctl, out, recipients[i], table, number[i], &load);
	ctl_out_free(&out);
	ctl_route_table_free(&table);
	mem_free(&text);
	ctl_pg_close(&db);
	return EX_OK;
}
