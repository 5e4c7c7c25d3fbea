/* SPDX-License-Identifier: Apache-2.0
 *
 * The schema files and the database, for other subcommands than db.
 */
#ifndef CTL_CTL_DB_H
#define CTL_CTL_DB_H

#include "ctl/ctl_pg.h"
#include "lib/base/buf.h"

/* How many schema files of the directory the database does not have; their names, with blanks between. -1: there are none
 * in it. */
int ctl_db_pending(struct ctl_pg *db, const char *directory, struct buf *names);

#endif
