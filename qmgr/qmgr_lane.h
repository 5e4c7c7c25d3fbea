/* SPDX-License-Identifier: Apache-2.0
 *
 * A tenant's lanes in the schedule: what has no provider yet (or cannot have one), and what is ready for each, made on demand.
 * Everything becomes ready without a provider; when its turn comes one is chosen (qmgr_route.c), and it goes to that one's lane.
 * To have that chosen anew, a lane is moved as it is, with all that is in it, to those without a provider.
 */
#ifndef QMGR_QMGR_LANE_H
#define QMGR_QMGR_LANE_H

#include "qmgr/qmgr_schedule.h"

struct qmgr_lane {
	struct qmgr_lane *next;
	struct qmgr_schedule_lane lane;
};

struct qmgr_lanes {
	struct qmgr_schedule_lane fresh[2]; /* what becomes ready: the queue's, and (1) what is sent directly */
	struct qmgr_lane *first; /* a provider's, or (QMGR_SCHEDULE_UNROUTED) being emptied */
};

void qmgr_lane_init(struct qmgr_lanes *lanes);
void qmgr_lane_clear(struct qmgr_lanes *lanes);
/* Where its fresh messages go: QMGR_SCHEDULE_UNROUTED, or one of the other numbers that are no provider. */
void qmgr_lane_use(struct qmgr_schedule *s, struct qmgr_lanes *lanes, unsigned what);
/* That of a provider, or (QMGR_SCHEDULE_NONE) of what can go to none. */
struct qmgr_schedule_lane *qmgr_lane_of(struct qmgr_schedule *s, struct qmgr_lanes *lanes, unsigned provider, bool is_direct);
/* What is ready has its provider chosen anew: the tenant's; everybody's (only of lanes that are not empty). */
void qmgr_lane_unroute(struct qmgr_schedule *s, struct qmgr_lanes *lanes);
void qmgr_lane_unroute_all(struct qmgr_schedule *s);

#endif
