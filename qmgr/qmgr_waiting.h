/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages that wait for a provider that may not be given any: they do not grow older than their tenant wants, and those that
 * have another way take it at once.
 */
#ifndef QMGR_QMGR_WAITING_H
#define QMGR_QMGR_WAITING_H

#include <stdint.h>

#include "lib/base/str.h"
#include "lib/ipc/ipc_body.h"

struct qmgr;
struct qmgr_message;

struct qmgr_waiting {
	unsigned turn; /* the shard that is looked through next */
};

/* Makes dead letters of what is older than its tenant's max_age and waits for a provider that is down, suspended or paused: called
 * often, looks at some. */
void qmgr_waiting_tick(struct qmgr *q);
/* For qmgr_route.c, with one of these: its outcome. */
void qmgr_waiting_fail(struct qmgr *q, struct qmgr_message *m);

/* For qmgr_outcome.c. This provider did not take it, and it is to be tried again at `due`: returns when, which is now when that
 * provider is down since and another is not. */
int64_t qmgr_waiting_due(struct qmgr *q, struct qmgr_message *m, enum ipc_outcome_class class, struct str provider, int64_t due);
/* For qmgr_tenant.c. Some provider is down, or up: whoever waits only for the time of its next attempt at one that is down goes to
 * another now, if it has one. What is not in memory (due in more than two minutes) waits for its time. */
void qmgr_waiting_follow_providers(struct qmgr *q);

#endif
