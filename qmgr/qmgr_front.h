/* SPDX-License-Identifier: Apache-2.0
 *
 * The smtpd processes: their SUBMITs are checked here and handed on, to be stored (qmgr_intake.c) or sent at once
 * (qmgr_direct.c); their answers and the word that the queue is full go out here.
 */
#ifndef QMGR_QMGR_FRONT_H
#define QMGR_QMGR_FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc/ipc_body.h"

struct qmgr;
struct qmgr_front;

/* Who waits for an answer. */
struct qmgr_asker {
	struct qmgr_front *front; /* NULL: nobody any more */
	uint64_t frame_id;
};

struct qmgr_fronts {
	struct qmgr_front *first;
	bool is_full; /* the queue is: they were told so */
};

void qmgr_front_on_peer(struct qmgr *q, unsigned slot, int fd);
void qmgr_front_clear(struct qmgr *q);
/* The reason is cut to what a reply may hold. False: there is nobody to hear it. */
bool qmgr_front_answer(const struct qmgr_asker *asker, const struct ipc_submit_result *result);
/* What was said to it has left this process. */
bool qmgr_front_is_flushed(const struct qmgr_front *front);
/* So many messages wait on this host: tells every smtpd when that is too many, and when not any more. */
void qmgr_front_press(struct qmgr *q, int64_t depth);

#endif
