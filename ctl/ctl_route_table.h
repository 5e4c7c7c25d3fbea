/* SPDX-License-Identifier: Apache-2.0
 *
 * A tenant's routes, read from the database as qmgr reads them.
 */
#ifndef CTL_CTL_ROUTE_TABLE_H
#define CTL_CTL_ROUTE_TABLE_H

#include "ctl/ctl_pg.h"
#include "lib/base/uuid.h"
#include "lib/queue/route.h"

/* The routes with their positions; the plain one, of the tenant's provider, is the last. */
struct ctl_route_table {
	struct route route[ROUTE_ROUTES + 1];
	int32_t position[ROUTE_ROUTES + 1];
	unsigned n; /* without the plain one */
};

/* Rows of routes: tenant's name, position, targets, sender, recipient, header, pattern, user's name, user's id. Of this
 * tenant, or NULL for all; at this position, or 0 for all. Valid until the next statement. */
const struct pg_result *ctl_route_table_read(struct ctl_pg *db, const struct uuid *tenant, uint64_t position);
/* What stands in such a row; borrowed. */
struct route_conditions ctl_route_table_conditions(const struct pg_result *r, unsigned row);

/* Warns of a route that cannot be read, and leaves it out. */
struct ctl_route_table *ctl_route_table_new(struct ctl *ctl, struct ctl_pg *db, const struct uuid *tenant);
void ctl_route_table_free(struct ctl_route_table **table);

#endif
