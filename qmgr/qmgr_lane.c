/* SPDX-License-Identifier: Apache-2.0
 *
 * Lanes are few for each tenant: a list is enough. One that was emptied is used again.
 */
#include "qmgr/qmgr_lane.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"

void qmgr_lane_init(struct qmgr_lanes *lanes)
{
	for (unsigned i = 0; i < 2; i++) {
		lanes->fresh[i].provider = QMGR_SCHEDULE_UNKNOWN;
		lanes->fresh[i].is_direct = i == 1;
	}
}

void qmgr_lane_clear(struct qmgr_lanes *lanes)
{
	while (lanes->first != NULL) {
		struct qmgr_lane *l = lanes->first;

		lanes->first = l->next;
		free(l);
	}
}

void qmgr_lane_use(struct qmgr_schedule *s, struct qmgr_lanes *lanes, unsigned what)
{
	must(what >= QMGR_SCHEDULE_NONE);
	for (unsigned i = 0; i < 2; i++)
		qmgr_schedule_use(s, &lanes->fresh[i], what);
}

struct qmgr_schedule_lane *qmgr_lane_of(struct qmgr_schedule *s, struct qmgr_lanes *lanes, unsigned provider, bool is_direct)
{
	struct qmgr_lane *spare = NULL;

	for (struct qmgr_lane *l = lanes->first; l != NULL; l = l->next) {
		if (l->lane.provider == provider && l->lane.is_direct == is_direct)
			return &l->lane;
		if (l->lane.provider == QMGR_SCHEDULE_UNROUTED && l->lane.first == NULL)
			spare = l;
	}
	if (spare == NULL) {
		spare = mem_zero(sizeof(*spare));
		spare->next = lanes->first;
		lanes->first = spare;
	}
	spare->lane.is_direct = is_direct;
	qmgr_schedule_use(s, &spare->lane, provider);
	return &spare->lane;
}

void qmgr_lane_unroute(struct qmgr_schedule *s, struct qmgr_lanes *lanes)
{
	for (struct qmgr_lane *l = lanes->first; l != NULL; l = l->next)
		qmgr_schedule_use(s, &l->lane, QMGR_SCHEDULE_UNROUTED);
}

void qmgr_lane_unroute_all(struct qmgr_schedule *s)
{
	for (unsigned i = 0; i < QMGR_SCHEDULE_NONE; i++)
		for (unsigned kind = 0; kind < 2; kind++)
			while (s->provider[i].ring[kind] != NULL)
				qmgr_schedule_use(s, s->provider[i].ring[kind], QMGR_SCHEDULE_UNROUTED);
}
