/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch of outcomes as the columns of QMGR_SQL_RECORD.
 */
#ifndef QMGR_QMGR_RECORD_H
#define QMGR_QMGR_RECORD_H

#include "lib/queue/pg.h"

struct qmgr;

/* Those in q->outcomes.batch. */
void qmgr_record_put(const struct qmgr *q, struct pg_params *p);

#endif
