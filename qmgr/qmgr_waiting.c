/* SPDX-License-Identifier: Apache-2.0
 *
 * Both look through the messages in memory: some shards with each tick while a provider has work that it may not be given, and all
 * when a provider goes down.
 */
#include "qmgr/qmgr_waiting.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "qmgr/qmgr.h"

enum {
	SHARDS_A_TICK = 8, /* all in two seconds */
	MOST_A_TICK = 256,
};

/* ---- too old ---- */

static bool is_any_stuck(const struct qmgr *q)
{
	for (unsigned i = 0; i < q->providers.n; i++)
		if (qmgr_schedule_has_work(&q->schedule, i) && (!q->providers.at[i]->is_usable || q->providers.at[i]->own != NULL))
			return true;
	return false;
}

static bool is_too_old(const struct qmgr *q, const struct qmgr_message *m, int64_t now)
{
	return m->state == QMGR_SCHEDULED && m->item.is_ready && m->call == NULL && m->item.lane->provider < q->providers.n &&
	       now >= m->queued_at + m->tenant->wishes.max_age &&
	       !qmgr_provider_is_usable(q, m->item.lane->provider, m->tenant);
}

/* Among what can go to nobody its turn comes, and its outcome is made. */
static void give_up(struct qmgr *q, struct qmgr_message *m)
{
	unsigned provider = m->item.lane->provider;

	qmgr_schedule_remove(&q->schedule, &m->item);
	m->route.waited_for = (uint8_t)(provider + 1);
	m->item.lane = qmgr_lane_of(&q->schedule, &m->tenant->lanes, QMGR_SCHEDULE_NONE, false);
	qmgr_schedule_ready(&q->schedule, &m->item);
}

void qmgr_waiting_tick(struct qmgr *q)
{
	int64_t now = clock_wall();
	unsigned n = 0;

	if (q->drain_until != 0 || !is_any_stuck(q))
		return;
	for (unsigned i = 0; i < SHARDS_A_TICK && n < MOST_A_TICK; i++) {
		unsigned shard = q->waiting.turn++ % QMGR_SHARDS;

		for (struct qmgr_message *m = q->messages.shard[shard]; m != NULL && n < MOST_A_TICK; m = m->next)
			if (is_too_old(q, m, now)) {
				give_up(q, m);
				n++;
			}
	}
	if (n > 0)
		qmgr_dispatch_pump(q);
}

void qmgr_waiting_fail(struct qmgr *q, struct qmgr_message *m)
{
	unsigned provider = m->route.waited_for - 1U;
	struct buf why = BUF_MAX(512);
	char *text;

	m->route.waited_for = 0;
	memcpy(m->job->key, q->providers.at[provider]->key, sizeof(m->job->key));
	buf_printf(&why, "it is older than its max_age, and waited for %s: %s", m->job->key,
		   qmgr_provider_why_not(q, provider, m->tenant));
	text = buf_take_text(&why);
	qmgr_outcome_make(q, m, IPC_OUTCOME_PROVIDER_FAULT, "4.4.7", text);
	mem_free(&text);
}

/* ---- another way ---- */

static bool has_other(struct qmgr *q, struct qmgr_message *m)
{
	return m->route.failed != 0 && m->route.failed <= q->providers.n &&
	       qmgr_route_has_other(q, m, IPC_OUTCOME_TRANSIENT, str_of(q->providers.at[m->route.failed - 1]->key));
}

int64_t qmgr_waiting_due(struct qmgr *q, struct qmgr_message *m, enum ipc_outcome_class class, struct str provider, int64_t due)
{
	const struct qmgr_provider *p = qmgr_provider_find(q, provider);
	bool is_its_doing = class == IPC_OUTCOME_TRANSIENT || class == IPC_OUTCOME_PROVIDER_FAULT;
	int64_t now = clock_wall();

	m->route.failed = is_its_doing && p != NULL && p->index != QMGR_SCHEDULE_NONE ? (uint8_t)(p->index + 1) : 0;
	return due > now && has_other(q, m) ? now : due;
}

void qmgr_waiting_follow_providers(struct qmgr *q)
{
	int64_t now = clock_wall();

	for (unsigned shard = 0; shard < QMGR_SHARDS; shard++)
		for (struct qmgr_message *m = q->messages.shard[shard]; m != NULL; m = m->next)
			if (m->state == QMGR_SCHEDULED && m->item.heap_at != 0 && has_other(q, m))
				qmgr_message_schedule(q, m, now, now);
}
