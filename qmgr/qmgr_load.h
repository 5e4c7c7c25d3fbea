/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the content of messages back that are not in memory: jobs whose message has none wait for it (is_loading), and go to
 * an agent when it is there.
 */
#ifndef QMGR_QMGR_LOAD_H
#define QMGR_QMGR_LOAD_H

#include <stdint.h>

#include "lib/base/uuid.h"

struct qmgr;

enum { QMGR_BODIES_AT_A_TIME = 64 };

struct qmgr_loading {
	struct uuid id[QMGR_BODIES_AT_A_TIME]; /* being read; each for all its parts */
	unsigned n;
	int64_t again_at; /* monotonic: after a failure they are read again then */
};

/* Begins to read what jobs wait for, one statement at a time. */
void qmgr_load(struct qmgr *q);

#endif
