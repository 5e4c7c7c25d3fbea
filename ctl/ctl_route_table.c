/* SPDX-License-Identifier: Apache-2.0
 *
 * For the subcommands that show or try out routes.
 */
#include "ctl/ctl_route_table.h"

#include <stdlib.h>

#include "lib/base/mem.h"

#define SQL_ROUTES \
	"SELECT t.name, r.position, r.targets, r.sender_domain, r.recipient_domain, r.header_name, r.header_pattern," \
	"  coalesce(u.name, ''), r.user_id" \
	" FROM route r JOIN tenant t ON t.tenant_id = r.tenant_id" \
	" LEFT JOIN smtp_user u ON u.tenant_id = r.tenant_id AND u.user_id = r.user_id" \
	" WHERE ($1::uuid IS NULL OR r.tenant_id = $1::uuid) AND ($2::int4 IS NULL OR r.position = $2::int4)" \
	" ORDER BY t.name, r.position"

const struct pg_result *ctl_route_table_read(struct ctl_pg *db, const struct uuid *tenant, uint64_t position)
{
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;

	if (tenant == NULL)
		pg_put_null(p);
	else
		pg_put_uuid(p, tenant);
	if (position == 0)
		pg_put_null(p);
	else
		pg_put_int4(p, (int32_t)position);
	r = ctl_pg_run(db, SQL_ROUTES, p);
	pg_params_free(&p);
	return r;
}

struct route_conditions ctl_route_table_conditions(const struct pg_result *r, unsigned row)
{
	return (struct route_conditions){
		.sender_domain = pg_text(r, row, 3),
		.recipient_domain = pg_text(r, row, 4),
		.header_name = pg_text(r, row, 5),
		.header_pattern = pg_text(r, row, 6),
		.user = pg_uuid(r, row, 8),
	};
}

static void read_plain(struct ctl_pg *db, const struct uuid *tenant, const struct settings *settings, struct route *route)
{
	static const struct route_conditions always;
	struct pg_params *p = pg_params_new();
	struct str provider;
	struct err err;

	pg_put_uuid(p, tenant);
	provider = pg_text(ctl_pg_run(db, "SELECT provider FROM tenant WHERE tenant_id = $1", p), 0, 0);
	if (provider.n == 0)
		provider = str_of(settings->queue.default_provider);
	if (provider.n > 0 && !route_make(route, &always, provider, &err))
		ctl_warn("the tenant's provider: %s", err.text);
	route_resolve(route, settings);
	pg_params_free(&p);
}

struct ctl_route_table *ctl_route_table_new(struct ctl *ctl, struct ctl_pg *db, const struct uuid *tenant)
{
	struct ctl_route_table *t = mem_zero(sizeof(*t));
	const struct settings *settings = ctl_settings(ctl);
	const struct pg_result *r = ctl_route_table_read(db, tenant, 0);
	struct err err;

	for (unsigned i = 0; i < pg_rows(r) && t->n < ROUTE_ROUTES; i++) {
		struct route_conditions when = ctl_route_table_conditions(r, i);

		t->position[t->n] = pg_int4(r, i, 1);
		if (route_make(&t->route[t->n], &when, pg_text(r, i, 2), &err))
			route_resolve(&t->route[t->n++], settings);
		else
			ctl_warn("route %d is left out: %s", pg_int4(r, i, 1), err.text);
	}
	read_plain(db, tenant, settings, &t->route[t->n]);
	return t;
}

void ctl_route_table_free(struct ctl_route_table **table)
{
	for (unsigned i = 0; i <= (*table)->n; i++)
		route_clear(&(*table)->route[i]);
	mem_free(table);
}
