/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of the whole, for smtp-proxyctl status.
 */
#ifndef MASTER_MASTER_STATUS_H
#define MASTER_MASTER_STATUS_H

#include "lib/base/buf.h"
#include "master/master.h"

/* The answer to "status": a JSON object and a line feed. */
void master_status_render(const struct master *master, struct buf *out);

#endif
