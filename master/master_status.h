/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket, run_dir/control: for root (or whoever started us) only. One line in ("status",
 * "reload", "stop"), one JSON object out, then the end.
 */
#ifndef MASTER_MASTER_STATUS_H
#define MASTER_MASTER_STATUS_H

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "master/master.h"

struct master_status;

/* Listens. NULL: err says why not. */
struct master_status *master_status_new(struct master *master, struct err *err);
/* Ends it and removes the socket. */
void master_status_free(struct master_status **status);

/* The answer to "status". */
void master_status_render(const struct master *master, struct buf *out);

#endif
