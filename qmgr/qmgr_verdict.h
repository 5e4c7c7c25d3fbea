/* SPDX-License-Identifier: Apache-2.0
 *
 * What a provider's answer means to the client who waits for it (direct modes). Pure.
 */
#ifndef QMGR_QMGR_VERDICT_H
#define QMGR_QMGR_VERDICT_H

#include <stdbool.h>

#include "lib/ipc/ipc_body.h"

/* Of one call. Recipients that fared otherwise count like calls of their own, see below. */
enum ipc_submit_verdict qmgr_verdict_of(const struct ipc_outcome *o);
/* Of the next of several calls, each for some of the recipients: 250 when one was taken, 550 when all were refused. */
enum ipc_submit_verdict qmgr_verdict_join(enum ipc_submit_verdict all, enum ipc_submit_verdict next);
/* Some recipients may be tried again, whatever the others fared. */
bool qmgr_verdict_leaves_some(const struct ipc_outcome *o);
/* Nothing is left to be tried. */
bool qmgr_verdict_is_final(enum ipc_submit_verdict verdict);

#endif
