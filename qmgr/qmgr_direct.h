/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of the modes direct and direct-then-queue: sent at once, and the provider's answer is the client's. Nothing is
 * stored, unless (direct-then-queue) the answer does not come in time, or is that it may be tried again: then qmgr_intake.c
 * stores the message, and what is known of its first attempt is recorded when that is committed.
 *
 * A message whose recipients one call of the provider does not take is sent in parts, each by one call. The
 * agents' journals know these calls by IPC_ATTEMPT_DIRECT in the number of the attempt: after a restart qmgr hears of them
 * before smtpd hands the message in again, so that the second SUBMIT finds the first one's call.
 */
#ifndef QMGR_QMGR_DIRECT_H
#define QMGR_QMGR_DIRECT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc/ipc_body.h"
#include "qmgr/qmgr_call.h"
#include "qmgr/qmgr_front.h"

struct qmgr;
struct qmgr_body;
struct qmgr_direct;
struct qmgr_message;

enum qmgr_direct_place {
	QMGR_DIRECT_WAITING, /* somebody waits for the answer */
	QMGR_DIRECT_UNHEARD, /* answered, and the answer may still be in this process */
	QMGR_DIRECT_RUNNING, /* nobody waits; a call is under way, or a commit */
	QMGR_DIRECT_KEPT,    /* over; kept for a while, for smtpd may say it again */
	QMGR_DIRECT_PLACES
};

struct qmgr_direct_list {
	struct qmgr_direct *first, *last;
};

struct qmgr_directs {
	struct qmgr_direct_list list[QMGR_DIRECT_PLACES];
	int64_t bytes; /* of the messages */
	struct loop_timer *timer;
	bool is_timed;
};

void qmgr_direct_init(struct qmgr *q);
void qmgr_direct_clear(struct qmgr *q);
/* Sends it and answers. Takes the body over; `m` is what stands in it. */
void qmgr_direct_take(struct qmgr *q, const struct qmgr_asker *asker, const struct ipc_message *m,
		      struct qmgr_body **body, bool is_again);
/* This smtpd is gone. */
void qmgr_direct_forget(struct qmgr *q, const struct qmgr_front *front);
/* What is not begun is not begun any more, and answered. */
void qmgr_direct_drain(struct qmgr *q);
/* Nobody waits for an answer. */
bool qmgr_direct_is_idle(const struct qmgr *q);

/* For qmgr_dispatch.c. The message as its JOB says it (qmgr_part_read()), and the file of its content, or -1. */
struct ipc_message qmgr_direct_job(const struct qmgr_message *m, struct str *recipients, struct buf *dsn, int *fd);
/* Its content, for those who choose its provider. */
const struct qmgr_body *qmgr_direct_body(const struct qmgr_message *m);
/* When its call must have been begun (ipc_job.begin_before): once the message is stored, another host may take it over. */
int64_t qmgr_direct_begin_before(const struct qmgr *q, const struct qmgr_message *m);
/* An agent has word of a call that this process has not made. */
struct qmgr_message *qmgr_direct_adopt(struct qmgr *q, const struct ipc_attempt *attempt);
/* What came of it: an agent's word, or (slot -1) our own. */
void qmgr_direct_heard(struct qmgr *q, struct qmgr_message *m, int slot, uint64_t frame_id,
		       const struct ipc_outcome *o);

/* For qmgr_intake.c: it is committed; it could not be. */
void qmgr_direct_stored(struct qmgr *q, struct qmgr_message *m);
void qmgr_direct_unstored(struct qmgr *q, const struct uuid *id);
/* It cannot be stored, and its call is under way: the provider's answer is this asker's after all. False: it is not. */
bool qmgr_direct_go_on(struct qmgr *q, const struct uuid *id, const struct qmgr_asker *asker);
/* The provider has answered while the message was being stored: when that fails, this is the answer. */
bool qmgr_direct_answer(struct qmgr *q, const struct uuid *id, struct ipc_submit_result *result);

/* For qmgr_outcome.c: the message's row is there (and its outcome is recorded like any other's), or it is not. */
void qmgr_direct_found(struct qmgr *q, struct qmgr_message *m);
void qmgr_direct_unfound(struct qmgr *q, struct qmgr_message *m);

#endif
