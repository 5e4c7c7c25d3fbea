/* SPDX-License-Identifier: Apache-2.0
 *
 * Gives messages to delivery agents that have a free place, and knows at any time which message is with
 * whom. Nothing is given out before every agent has said what it still works on and what its journal
 * holds; when an agent dies its messages are in doubt until its next incarnation has said the same.
 */
#ifndef QMGR_QMGR_DISPATCH_H
#define QMGR_QMGR_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc/ipc.h"
#include "lib/ipc/ipc_body.h"
#include "lib/settings/settings.h"

struct qmgr;
struct qmgr_message;

enum { QMGR_AGENTS = 64 };

/* A message that was taken out of the schedule. */
struct qmgr_job {
	struct qmgr_job *next, *previous; /* of all jobs */
	struct qmgr_message *message;
	uint64_t number;
	unsigned provider;	   /* whose place it has in the schedule, when is_counted */
	char key[SETTINGS_KEY];	   /* the provider's, as reloads move the indices */
	unsigned n_recipients;	   /* that its agent was given */
	bool is_test, has_own_credential; /* likewise */
	bool is_adopted;	   /* a former process gave it: all that is not known */
	int agent;		   /* the slot, or -1: it is not sent yet */
	bool is_counted;
	bool is_in_doubt;	   /* its agent died */
	bool is_loading;	   /* its body is being read */
};

struct qmgr_agent {
	struct qmgr *q;
	struct ipc_peer *peer; /* NULL: there is none now */
	unsigned places;
	unsigned in_flight;
	bool is_ready; /* it has said PLACES, in this incarnation */
	bool is_known; /* ... in any */
};

struct qmgr_dispatch {
	struct qmgr_agent agent[QMGR_AGENTS];
	unsigned n_agents;
	unsigned turn;
	struct qmgr_job *jobs;
	unsigned n_jobs, n_unsent; /* unsent: taken, its body is being read */
	uint64_t number;
	struct loop_timer *due;
	bool is_posted, is_all_known;
	int64_t wait_since; /* monotonic */
	bool is_wait_said;
};

void qmgr_dispatch_init(struct qmgr *q, unsigned agents);
void qmgr_dispatch_clear(struct qmgr *q);
void qmgr_dispatch_on_peer(struct qmgr *q, unsigned slot, int fd);
/* Sends what can be sent, at the end of this turn. */
void qmgr_dispatch_pump(struct qmgr *q);
/* Providers have other places in the settings now. */
void qmgr_dispatch_follow_settings(struct qmgr *q);
/* A message that is taken and has its body goes to an agent. */
void qmgr_dispatch_send(struct qmgr *q, struct qmgr_message *m);
/* Gives a taken message back to the schedule, as the first of its tenant. */
void qmgr_dispatch_put_back(struct qmgr *q, struct qmgr_message *m);
/* It is with this agent, as it or its former incarnation has said. */
void qmgr_dispatch_adopt(struct qmgr *q, struct qmgr_message *m, unsigned slot);
/* The message's call is over, or never was: frees its job and its provider's place. */
void qmgr_dispatch_land(struct qmgr *q, struct qmgr_message *m);
/* Tells the agent in this slot that its outcome is committed. */
void qmgr_dispatch_stored(struct qmgr *q, unsigned slot, uint64_t frame_id,
			  const struct ipc_attempt *attempt);
void qmgr_dispatch_tick(struct qmgr *q);
/* No message is taken. */
bool qmgr_dispatch_is_idle(const struct qmgr *q);
/* Nothing more will be heard from the agents that are here now. */
bool qmgr_dispatch_is_still(const struct qmgr *q);

#endif
