/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket, run_dir/control: for root (or whoever started us) only. One line in ("status", "reload",
 * "drain", "stop", "upgrade", or what master_ask.c hands on to children), one JSON object out, then the end.
 */
#ifndef MASTER_MASTER_CONTROL_H
#define MASTER_MASTER_CONTROL_H

#include "lib/base/err.h"
#include "master/master.h"

struct master_control;

/* Listens. NULL: err says why not. */
struct master_control *master_control_new(struct master *master, struct err *err);
/* Ends it and removes the socket. */
void master_control_free(struct master_control **control);

#endif
