/* SPDX-License-Identifier: Apache-2.0
 *
 * A job that is needed for longer than the frame it came with: while a token is fetched, or to build its request anew.
 */
#ifndef DELIVER_KEPT_H
#define DELIVER_KEPT_H

#include "lib/ipc/ipc_body.h"

struct deliver_kept;

/* `file` is that of a large content, whose pages are shared and not copied; it may be closed afterwards. NULL: it cannot
 * be mapped. */
struct deliver_kept *deliver_kept_new(const struct ipc_job *job, int file);
const struct ipc_job *deliver_kept_job(const struct deliver_kept *kept);
void deliver_kept_free(struct deliver_kept **kept);

#endif
