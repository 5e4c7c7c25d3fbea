/* SPDX-License-Identifier: Apache-2.0
 *
 * What the log and the metrics hear of outcomes of the queue, when they are recorded.
 */
#ifndef QMGR_QMGR_TELL_H
#define QMGR_QMGR_TELL_H

#include "lib/base/log.h"

struct qmgr;
struct qmgr_outcome;

/* `id` has room for UUID_TEXT characters. */
struct log_context qmgr_tell_context(const struct qmgr_outcome *o, char *id);
void qmgr_tell_recorded(const struct qmgr *q, const struct qmgr_outcome *o);

#endif
