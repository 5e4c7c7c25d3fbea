/* SPDX-License-Identifier: Apache-2.0
 *
 * The providers as the queue manager sees them: may messages be given to one now? Its health (qmgr_health.h), its budget
 * (qmgr_budget.h), an operator's suspension, and what of it the schedule must know.
 */
#ifndef QMGR_QMGR_PROVIDER_H
#define QMGR_QMGR_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/settings/settings.h"
#include "qmgr/qmgr_budget.h"
#include "qmgr/qmgr_health.h"
#include "qmgr/qmgr_schedule.h"

struct ipc_outcome;
struct qmgr;
struct qmgr_message;
struct qmgr_provider;
struct qmgr_tenant;

struct qmgr_providers {
	struct qmgr_provider *first;
	struct qmgr_provider *at[QMGR_SCHEDULE_NONE]; /* by their index in the settings */
	unsigned n;
};

void qmgr_provider_init(struct qmgr *q);
void qmgr_provider_clear(struct qmgr *q);
/* The settings changed: what is known of a provider stays with its key. */
void qmgr_provider_follow_settings(struct qmgr *q);

/* For those who choose a provider for a message. May the tenant's messages go to it? When it is down, suspended, or paused for
 * long, or its budget is used up, another is the better choice, if there is one; when there is none, the message waits in
 * its lane: the schedule lets none out but a probe. Whenever the answer changes, qmgr_tenant_follow_providers() is called. */
bool qmgr_provider_is_usable(const struct qmgr *q, unsigned provider, const struct qmgr_tenant *tenant);
/* It is down, and a single message may find out whether it still is: this one should go to it, though it is not usable. Says
 * so to one caller at a time. */
bool qmgr_provider_take_probe(struct qmgr *q, unsigned provider, const struct qmgr_tenant *tenant);

/* For qmgr_dispatch.c. Before anything is taken out of the schedule: who may be given how much. */
void qmgr_provider_grant(struct qmgr *q);
/* A message was taken out of the schedule for this provider. */
void qmgr_provider_began(struct qmgr *q, unsigned provider);
/* For qmgr_outcome.c. An agent's word on a message with a job, before that is landed. */
void qmgr_provider_heard(struct qmgr *q, const struct qmgr_message *m, const struct ipc_outcome *o);
void qmgr_provider_tick(struct qmgr *q);

#endif
