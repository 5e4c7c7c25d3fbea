/* SPDX-License-Identifier: Apache-2.0
 *
 * Tells senders what became of their messages, when the tenant wants that: a report (qmgr_bounce.c) goes into the queue in the
 * transaction that strikes out the fact, so exactly once (sql/0011_bounce.sql). It uses retention's connection.
 */
#ifndef QMGR_QMGR_REPORT_H
#define QMGR_QMGR_REPORT_H

#include "lib/base/uuid.h"
#include "lib/net/loop.h"

struct qmgr;

enum { QMGR_REPORTS_AT_A_TIME = 20 };

/* One that is being stored. */
struct qmgr_report_storing {
	struct qmgr *q;
	unsigned shard;
	struct uuid tenant, message, bounce;
};

struct qmgr_report {
	struct loop_timer *timer;
	struct qmgr_report_storing storing[QMGR_REPORTS_AT_A_TIME];
	unsigned n_storing;
	bool has_more;
};

void qmgr_report_init(struct qmgr *q);
void qmgr_report_clear(struct qmgr *q);
void qmgr_report_start(struct qmgr *q);

#endif
