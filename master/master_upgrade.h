/* SPDX-License-Identifier: Apache-2.0
 *
 * The upgrade: the program as it is on the disk now follows this one in the same process, and finds the listening
 * sockets open. Clients that connect meanwhile wait in the backlog; nobody is refused.
 */
#ifndef MASTER_MASTER_UPGRADE_H
#define MASTER_MASTER_UPGRADE_H

#include <sys/types.h>

#include "lib/base/buf.h"
#include "master/master.h"

enum { MASTER_UPGRADE_REASON = 2000 };

struct master_upgrade;

struct master_upgrade *master_upgrade_new(struct master *master);
void master_upgrade_free(struct master_upgrade **upgrade);

/* Has the new program look at the settings, the certificate and the programs (-t), then calls on_done once, with
 * what is wrong, or with NULL. False: that is under way already. */
bool master_upgrade_check(struct master_upgrade *upgrade, void (*on_done)(void *ctx, const char *reason), void *ctx);
/* Whoever asked is not there any more. */
void master_upgrade_forget(struct master_upgrade *upgrade, const void *ctx);
/* A process that is no child of the table has ended. */
void master_upgrade_ended(struct master_upgrade *upgrade, pid_t pid, int status);

/* Every child is gone: become the new program. Returns only when that cannot be; then m->inherited has the sockets, and
 * nothing else is lost. `lock` may become another descriptor. */
void master_upgrade_exec(struct master *m, int *lock);

#endif
