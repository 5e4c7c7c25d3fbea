/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a program of the operator's for cert-renewer, which can start none: as its user, with nothing of ours but the words that it
 * is given. What it says at its end is told, and whether it ended with 0.
 */
#ifndef MASTER_MASTER_RUN_H
#define MASTER_MASTER_RUN_H

#include <sys/types.h>

#include "lib/ipc/ipc_body.h"
#include "lib/net/loop.h"

enum { MASTER_RUN_AT_ONCE = 16, MASTER_RUN_WAITING = 64 };

struct master_run;

/* `asker` and `id` as in master_run_start(). */
typedef void master_run_fn(void *ctx, pid_t asker, uint64_t id, const struct ipc_run_result *result);

/* longest: after so many microseconds it is killed, with what it has started. */
struct master_run *master_run_new(struct loop *loop, int64_t longest, master_run_fn *fn, void *ctx);
/* What runs is killed; nobody is told. */
void master_run_free(struct master_run **run);
/* `program` is a path, "" when the settings have none; the texts are copied. fn is called once for it, perhaps before this returns. */
void master_run_start(struct master_run *run, const char *program, const struct ipc_run *wish, pid_t asker, uint64_t id);
/* A process has ended. False: it is none of these. */
bool master_run_ended(struct master_run *run, pid_t pid, int status);

#endif
