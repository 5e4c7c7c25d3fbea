/* SPDX-License-Identifier: Apache-2.0
 *
 * A tenant's routes: those of the table, and the plain one when none of them is met: its provider (with its fallbacks, where tenants
 * are in the settings).
 */
#ifndef QMGR_QMGR_TENANT_ROUTES_H
#define QMGR_QMGR_TENANT_ROUTES_H

#include "lib/queue/pg.h"
#include "lib/queue/route.h"

struct qmgr_tenant_routes {
	struct route *route;
	unsigned n;
	bool is_conditional; /* a message must be known to say which is its */
	unsigned version;    /* counts what `route` has been, from 1 */
	struct route plain;
	struct buf rows;   /* what `route` was made of */
	char *plain_text;  /* ... and `plain` */
};

void qmgr_tenant_routes_init(struct qmgr_tenant_routes *routes);
void qmgr_tenant_routes_clear(struct qmgr_tenant_routes *routes);
/* The tenant's rows of QMGR_SQL_ROUTES, from `row` to before `end`. True: that changed something. Those that cannot be read
 * are left out; the log says so. */
bool qmgr_tenant_routes_take(struct qmgr_tenant_routes *routes, const struct settings *settings, const struct pg_result *result,
			     unsigned row, unsigned end);
/* The targets of the plain one. True: that changed something. */
bool qmgr_tenant_routes_set_plain(struct qmgr_tenant_routes *routes, const struct settings *settings, const char *targets);
/* The settings changed. */
void qmgr_tenant_routes_resolve(struct qmgr_tenant_routes *routes, const struct settings *settings);

#endif
