/* SPDX-License-Identifier: Apache-2.0
 *
 * Tells senders of dead letters, when the tenant wants that: a bounce message (qmgr_bounce.c) goes into the queue in the
 * transaction that marks the dead letter, so exactly once. It uses retention's connection.
 */
#ifndef QMGR_QMGR_REPORT_H
#define QMGR_QMGR_REPORT_H

#include "lib/net/loop.h"

struct qmgr;

struct qmgr_report {
	struct loop_timer *timer;
	unsigned n_storing; /* bounces that are being stored */
	bool has_more;
};

void qmgr_report_init(struct qmgr *q);
void qmgr_report_clear(struct qmgr *q);
void qmgr_report_start(struct qmgr *q);

#endif
