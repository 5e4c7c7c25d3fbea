/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages by their id, for the subcommands that take one.
 */
#ifndef CTL_CTL_MESSAGE_H
#define CTL_CTL_MESSAGE_H

#include "ctl/ctl.h"
#include "ctl/ctl_pg.h"
#include "lib/base/uuid.h"

/* The next argument as a message's id; anything else ends the program with 65. */
struct uuid ctl_message_argument(struct ctl *ctl);
/* The same of a text. */
struct uuid ctl_message_id(const char *text);
/* Whose it is. A message that there is not ends the program with 66. */
struct uuid ctl_message_tenant(struct ctl_pg *db, const struct uuid *id);
/* Prints what happened to it, in the order of time. */
void ctl_message_history(const struct ctl *ctl, struct ctl_pg *db, const struct uuid *tenant,
			 const struct uuid *id);
/* Tells qmgr to read all shards again. */
void ctl_message_wake(struct ctl_pg *db);
/* A tenant's id by its name; NULL gives the zero id. One that there is not ends the program with 65. */
struct uuid ctl_message_tenant_named(struct ctl_pg *db, const char *name);
/* Takes --tenant or --all and --older-hours, and runs `sql` with them (a tenant or null, hours, how many at most) until nothing is
 * left of them. How many rows it touched; *db is open and the caller's. */
unsigned long long ctl_message_purge(struct ctl *ctl, struct ctl_pg **db, const char *sql);

#endif
