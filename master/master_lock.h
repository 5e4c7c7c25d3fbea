/* SPDX-License-Identifier: Apache-2.0
 *
 * One master per run_dir: the process id's file, locked for as long as we live.
 */
#ifndef MASTER_MASTER_LOCK_H
#define MASTER_MASTER_LOCK_H

#include "lib/base/err.h"
#include "lib/settings/settings.h"

/* Makes run_dir and state_dir where they are missing, takes the lock, writes the process id. Returns the
 * descriptor that holds the lock, or -1 with err. */
int master_lock_take(const struct settings *settings, struct err *err);
/* Removes the file and ends the lock. */
void master_lock_end(const struct settings *settings, int lock);

#endif
