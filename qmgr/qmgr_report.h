/* SPDX-License-Identifier: Apache-2.0
 *
 * Tells senders what became of their messages, when the tenant wants that: a report (qmgr_bounce.c) goes into the queue in the
 * transaction that strikes out the fact, so exactly once (sql/0011_bounce.sql). It uses retention's connection.
 */
#ifndef QMGR_QMGR_REPORT_H
#define QMGR_QMGR_REPORT_H

#include "lib/net/loop.h"

struct qmgr;

struct qmgr_report {
	struct loop_timer *timer;
	unsigned n_storing; /* reports that are being stored */
	bool has_more;
};

void qmgr_report_init(struct qmgr *q);
void qmgr_report_clear(struct qmgr *q);
void qmgr_report_start(struct qmgr *q);

#endif
