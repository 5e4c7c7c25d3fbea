/* SPDX-License-Identifier: Apache-2.0
 *
 * Through which provider a message goes (lib/queue/route.h), chosen when its tenant's turn comes and again when something of
 * that changes: routes, settings, a provider that went down or came back. So what is queued follows, too.
 *
 * Where a tenant's routes have conditions, a message's body must be in memory to choose; else it is read for that first.
 */
#ifndef QMGR_QMGR_ROUTE_H
#define QMGR_QMGR_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc/ipc_body.h"

struct qmgr;
struct qmgr_message;
struct qmgr_tenant;

/* What is remembered of a message for that. Part of struct qmgr_message. */
struct qmgr_route_memory {
	uint64_t unfit;	  /* a bit for each provider, by its index, that has said that it cannot carry it */
	uint32_t version; /* qmgr_tenant_routes.version of which `number` is */
	uint32_t size;	  /* when it is_seen */
	uint16_t number;  /* of its route, or ROUTE_NONE: the plain one */
	uint8_t avoided;  /* 1 + the index of the provider that it would go to, were that not down; 0: it does */
	uint8_t failed;	  /* 1 + the index of the provider that did not take it last, and is to be tried again; 0: none */
	uint8_t waited_for; /* 1 + the index of the one for which it has become too old; 0: it has not */
	bool is_seen;	  /* its body was */
	bool has_utf8;
	bool is_crowded;  /* a provider said that it cannot carry it for so many at once */
};

/* For qmgr_dispatch.c, with a message that was taken out of the schedule without a provider: its body must be read first. */
bool qmgr_route_wants_body(const struct qmgr_message *m);
/* Chooses, and puts it into that provider's lane, or makes parts of it that go different ways. It has no job (any more). */
void qmgr_route_place(struct qmgr *q, struct qmgr_message *m);
/* It has a job, and its body. False: it does not go to the job's provider but was placed anew. */
bool qmgr_route_confirm(struct qmgr *q, struct qmgr_message *m);
/* It goes to its job's provider now: the log and the metrics hear when that is another one's substitute. */
void qmgr_route_went(struct qmgr *q, const struct qmgr_message *m);
/* It was taken out of the lane of what can go to nobody: its outcome is made. */
void qmgr_route_fail(struct qmgr *q, struct qmgr_message *m);
/* What could not be sent becomes the first of what has no provider. */
void qmgr_route_put_back(struct qmgr *q, struct qmgr_message *m);
/* Has its provider chosen anew, if it is ready: an operator changed its row. */
void qmgr_route_again(struct qmgr *q, struct qmgr_message *m);

/* For qmgr_outcome.c, with what an attempt at this provider came to: may another one have it at once? Because this one cannot carry
 * it, or is down now, and did not take it. */
bool qmgr_route_has_other(struct qmgr *q, struct qmgr_message *m, enum ipc_outcome_class class, struct str provider);
/* The settings changed: nobody has said anything of itself yet. */
void qmgr_route_forget_unfit(struct qmgr *q);

/* For qmgr_direct.c: how many recipients of this message go by one call, whichever of the tenant's providers it is. `fd` is the
 * file of its content, or -1. */
unsigned qmgr_route_recipients(const struct qmgr *q, const struct qmgr_tenant *tenant, const struct ipc_message *m, int fd);

#endif
