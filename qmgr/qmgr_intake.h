/* SPDX-License-Identifier: Apache-2.0
 *
 * Stores the messages that qmgr_front.c took from smtpd, and answers when they are committed. All that arrive while a commit is in
 * flight go into the next one. A message that was stored goes to the schedule from memory.
 */
#ifndef QMGR_QMGR_INTAKE_H
#define QMGR_QMGR_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/uuid.h"
#include "lib/queue/pg.h"
#include "qmgr/qmgr_front.h"

struct qmgr;
struct qmgr_batch;
struct qmgr_body;
struct qmgr_submission;

/* Two commits at a time, while one waits for the disk the other's content is written: only when so much waits that each
 * commit is of large messages, or full. Small messages would be half as many a commit, and each then costs Postgres 15 % more
 * processor time. */
enum { QMGR_INTAKE_CONNECTIONS = 2, QMGR_INTAKE_OVERLAP = 512 << 10 };

struct qmgr_submissions {
	struct qmgr_submission *first, **last;
	unsigned n;
	int64_t bytes;
};

struct qmgr_intake_connection {
	struct qmgr *q;
	struct pg *pg;
	struct qmgr_batch *batch; /* in flight, or NULL */
};

struct qmgr_intake {
	struct qmgr_intake_connection connection[QMGR_INTAKE_CONNECTIONS];
	struct qmgr_submissions pending;
	unsigned one_by_one; /* so many of the next are tried alone: one of them was refused */
	struct uuid *regrets; /* to be withdrawn: stored, perhaps, though 451 was said */
	unsigned n_regrets, n_withdrawing;
	int64_t grace_until; /* monotonic: until then a missing database is waited for */
};

void qmgr_intake_init(struct qmgr *q);
void qmgr_intake_clear(struct qmgr *q);
/* Stores it and answers. Takes the body over (*body becomes NULL). `is_again`: it may be under way already. */
void qmgr_intake_take(struct qmgr *q, const struct qmgr_asker *asker, const struct uuid *id, struct qmgr_body **body,
		      bool is_again);
/* This smtpd is gone. */
void qmgr_intake_forget(struct qmgr *q, const struct qmgr_front *front);
/* Starts commits. */
void qmgr_intake_pump(struct qmgr *q);
/* Answers those that waited too long; called once a second. */
void qmgr_intake_tick(struct qmgr *q);
/* Our shards are fenced off from old connections: takes back what must not be sent. */
void qmgr_intake_withdraw(struct qmgr *q);
/* 451 was said, but perhaps not heard; and it may be stored. */
bool qmgr_intake_is_regretted(const struct qmgr *q, const struct uuid *id);
/* A commit into this shard is in flight. */
bool qmgr_intake_writes_to(const struct qmgr *q, unsigned shard);
bool qmgr_intake_is_idle(const struct qmgr *q);

#endif
