/* SPDX-License-Identifier: Apache-2.0
 *
 * All tenants are read whenever one has changed: a tenant's rows are kept as they came, so that only what is new is made anew,
 * and only its messages are looked at again.
 */
#include "qmgr/qmgr_tenant_routes.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"

enum { ROWS_MAX = ROUTE_ROUTES * (ROUTE_TEXT + 4 * (ROUTE_PATTERN_MAX + 5) + 64) };

void qmgr_tenant_routes_init(struct qmgr_tenant_routes *routes)
{
	routes->version = 1;
	buf_init(&routes->rows, ROWS_MAX);
}

static void clear_table(struct qmgr_tenant_routes *routes)
{
	for (unsigned i = 0; i < routes->n; i++)
		route_clear(&routes->route[i]);
	mem_free(&routes->route);
	routes->n = 0;
	routes->is_conditional = false;
}

void qmgr_tenant_routes_clear(struct qmgr_tenant_routes *routes)
{
	clear_table(routes);
	route_clear(&routes->plain);
	buf_clear(&routes->rows);
	mem_free(&routes->plain_text);
}

/* The columns of QMGR_SQL_ROUTES. */
static void put_row(struct buf *out, const struct pg_result *result, unsigned row)
{
	struct uuid user = pg_uuid(result, row, 6);

	for (unsigned column = 1; column < 6; column++)
		buf_put_blob(out, pg_text(result, row, column));
	buf_put(out, user.b, sizeof(user.b));
}

static void add(struct qmgr_tenant_routes *routes, const struct settings *settings, struct reader *r)
{
	struct route *route = &routes->route[routes->n];
	struct str targets = reader_blob(r);
	struct route_conditions when = {.sender_domain = reader_blob(r)};
	struct str user;
	struct err err;

	when.recipient_domain = reader_blob(r);
	when.header_name = reader_blob(r);
	when.header_pattern = reader_blob(r);
	user = reader_bytes(r, sizeof(when.user.b));
	memcpy(when.user.b, user.p, sizeof(when.user.b));
	if (!route_make(route, &when, targets, &err)) {
		log_error(NULL, "qmgr.route.bad", log_str("targets", str_first(targets, 256)), log_text("why", err.text),
			  log_text("effect", "it is left out"));
		return;
	}
	route_resolve(route, settings);
	routes->n++;
}

bool qmgr_tenant_routes_take(struct qmgr_tenant_routes *routes, const struct settings *settings, const struct pg_result *result,
			     unsigned row, unsigned end)
{
	struct buf rows = BUF_MAX(ROWS_MAX);
	struct reader r;

	if (end - row > ROUTE_ROUTES) {
		log_error(NULL, "qmgr.route.too_many", log_uint("routes", end - row), log_uint("most", ROUTE_ROUTES),
			  log_text("effect", "the last ones are left out"));
		end = row + ROUTE_ROUTES;
	}
	for (unsigned i = row; i < end; i++)
		put_row(&rows, result, i);
	if (str_eq(buf_str(&rows), buf_str(&routes->rows))) {
		buf_clear(&rows);
		return false;
	}
	buf_clear(&routes->rows);
	routes->rows = rows;
	clear_table(routes);
	routes->version++;
	routes->route = mem_array(end - row, sizeof(*routes->route));
	r = reader_of(buf_str(&routes->rows));
	while (r.n > 0 && !r.is_bad)
		add(routes, settings, &r);
	routes->is_conditional = route_is_conditional(routes->route, routes->n);
	return true;
}

bool qmgr_tenant_routes_set_plain(struct qmgr_tenant_routes *routes, const struct settings *settings, const char *targets)
{
	static const struct route_conditions always;
	struct err err;

	if (routes->plain_text != NULL && strcmp(routes->plain_text, targets) == 0)
		return false;
	mem_free(&routes->plain_text);
	routes->plain_text = str_dup(str_of(targets));
	route_clear(&routes->plain);
	if (targets[0] != '\0' && !route_make(&routes->plain, &always, str_of(targets), &err))
		log_error(NULL, "qmgr.route.bad_plain", log_text("targets", targets), log_text("why", err.text));
	route_resolve(&routes->plain, settings);
	return true;
}

void qmgr_tenant_routes_resolve(struct qmgr_tenant_routes *routes, const struct settings *settings)
{
	route_resolve(&routes->plain, settings);
	for (unsigned i = 0; i < routes->n; i++)
		route_resolve(&routes->route[i], settings);
}
