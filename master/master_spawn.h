/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting a child's program: fork, tidy up, exec.
 */
#ifndef MASTER_MASTER_SPAWN_H
#define MASTER_MASTER_SPAWN_H

#include <limits.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/ipc/ipc.h"
#include "lib/settings/settings.h"

/* Where the role's program is: program_dir/ROLE, or program_dir/ROLE/ROLE as in a build directory. */
bool master_spawn_find(const struct settings *settings, enum role role, char path[PATH_MAX],
		       struct err *err);
/* Starts it with `control` as descriptor 3 and nothing else but the log; control stays the caller's.
 * Returns the process id, or -1 with err. */
pid_t master_spawn(const struct settings *settings, const char *path, enum role role, int control, struct err *err);

#endif
