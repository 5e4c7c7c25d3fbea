/* SPDX-License-Identifier: Apache-2.0
 *
 * Retention: what need not be kept any longer goes, in small steps, on whichever host gets to it (sql/0009_retention.sql). It has
 * a connection of its own: what it deletes must keep no lease and no commit waiting.
 */
#ifndef QMGR_QMGR_KEEP_H
#define QMGR_QMGR_KEEP_H

#include "lib/base/uuid.h"
#include "lib/queue/pg.h"

struct qmgr;

enum { QMGR_KEEP_NAME = 64 };

struct qmgr_keep {
	struct pg *pg; /* NULL: there is no database */
	struct loop_timer *timer;
	struct uuid tenant, message; /* the walk by row goes on after these */
	char partition[QMGR_KEEP_NAME]; /* the walk through partitions that cannot go as a whole goes on here, ... */
	int64_t block;
	int64_t thin_at; /* ... or, monotonic, begins anew then; 0: it goes on */
};

void qmgr_keep_init(struct qmgr *q);
void qmgr_keep_clear(struct qmgr *q);
/* Begins; takes the connection over. */
void qmgr_keep_start(struct qmgr *q, struct pg *pg);

#endif
