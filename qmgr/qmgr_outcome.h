/* SPDX-License-Identifier: Apache-2.0
 *
 * What became of the calls: decides what follows (qmgr_decide.c) and writes it down in batches, then tells
 * the agent to strike it out of its journal. While the database is away outcomes wait here, and in the
 * journals, and their messages are not sent again.
 *
 * A call's outcome may come late: when another host has taken the message over and made attempts of its own, some with the same
 * number. What it says of recipients holds all the same (sent, refused, not known), for those that are still in the row; when the
 * next attempt is made, and whether there is one, is decided by the outcomes that are not late.
 */
#ifndef QMGR_QMGR_OUTCOME_H
#define QMGR_QMGR_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc/ipc_body.h"
#include "qmgr/qmgr_fate.h"
#include "qmgr/qmgr_retry.h"

struct qmgr;
struct qmgr_message;

/* One, from the agent's word until it is recorded. */
struct qmgr_outcome {
	struct qmgr_outcome *next;
	struct qmgr_message *message; /* NULL: it waits for what its message has in hand */
	struct ipc_attempt told;      /* as the agent's journal has it */
	int slot; /* the agent to tell, or -1 */
	uint64_t frame_id;
	int64_t epoch; /* of the shard, when it is not ours but was looked up */
	bool is_foreign, is_found, is_blank;
	enum ipc_outcome_class class;
	enum ipc_outcome_class left_class; /* what decides over the recipients that are left to be tried again */
	enum ipc_about about;
	bool is_pinned, is_late;
	bool is_dsn_passed; /* as in struct ipc_outcome */
	unsigned n_changes; /* how often the row was another than the one on which it was decided */
	uint32_t attempt, code, retry_after;
	uint32_t next_attempt; /* that an agent is at already, as it told while this was in hand; 0: none */
	unsigned next_slot;
	int64_t started_at, answered_at;
	struct qmgr_retry_verdict verdict;
	char session[IPC_SESSION_TEXT];
	int64_t mail_at;
	struct qmgr_fates fates;			  /* when decided */
	struct str whom, refusals;
	struct str provider, provider_id, status, reason; /* in `texts` */
	struct buf texts;
};

struct qmgr_outcome_list {
	struct qmgr_outcome *first, **last;
	unsigned n;
};

struct qmgr_outcomes {
	struct qmgr_outcome_list pending; /* to be written */
	struct qmgr_outcome_list unknown; /* of messages whose row must be looked up first */
	struct qmgr_outcome_list batch;   /* being written */
	struct qmgr_outcome_list asked;   /* being looked up */
	struct qmgr_outcome_list waiting; /* of messages that have another outcome, or a later call, in hand */
	unsigned one_by_one;
	struct loop_timer *timer;
	bool is_timed;
};

void qmgr_outcome_init(struct qmgr *q);
void qmgr_outcome_clear(struct qmgr *q);
/* An agent told it; `slot` is answered when it is committed. */
void qmgr_outcome_heard(struct qmgr *q, unsigned slot, uint64_t frame_id, const struct ipc_outcome *o);
/* We say it ourselves of a message that is TAKEN. */
void qmgr_outcome_make(struct qmgr *q, struct qmgr_message *m, enum ipc_outcome_class class, const char *status,
		       const char *reason);
/* The message of a direct mode may be in the queue: when its row is there, the outcome is recorded as that of its first
 * attempt; else qmgr_direct_unfound() is called. */
void qmgr_outcome_look_up(struct qmgr *q, struct qmgr_message *m, int slot, uint64_t frame_id,
			  const struct ipc_outcome *o);
void qmgr_outcome_pump(struct qmgr *q);
void qmgr_outcome_tick(struct qmgr *q);
bool qmgr_outcome_is_idle(const struct qmgr *q);

#endif
