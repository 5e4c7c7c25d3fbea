/* SPDX-License-Identifier: Apache-2.0
 *
 * One shard at a time, in chunks, by id. While a scan runs, what is finished stays known as GONE
 * (qmgr_message.c): the scan may have read its row before it was deleted.
 */
#include "qmgr/qmgr_scan.h"

#include <string.h>

#include "lib/base/log.h"
#include "lib/base/random.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_sql.h"

enum {
	CHUNK = 1000,
	ENTRIES_MAX = 100000, /* in memory, about 130 bytes each */
	ENTRIES_OF_TENANT = ENTRIES_MAX / 2,
};

#define AGAIN_AFTER (60 * CLOCK_SECOND)
#define AGAIN_WHEN_SKIPPED (10 * CLOCK_SECOND)

static void run_chunk(struct qmgr *q);

/* How many messages of one shard a scan may bring into memory. */
static unsigned share(const struct qmgr *q)
{
	unsigned n = ENTRIES_MAX / 2 / (q->lease.n_ours == 0 ? 1 : q->lease.n_ours);

	return n < CHUNK ? CHUNK : n;
}

static bool is_full(const struct qmgr *q)
{
	return qmgr_message_queued(q) >= ENTRIES_MAX;
}

bool qmgr_scan_has_room(const struct qmgr *q, const struct qmgr_tenant *tenant)
{
	return !is_full(q) && tenant->n_messages < ENTRIES_OF_TENANT;
}

void qmgr_scan_want(struct qmgr *q, unsigned shard)
{
	q->scan.is_wanted[shard] = true;
}

void qmgr_scan_left_behind(struct qmgr *q, unsigned shard)
{
	q->scan.is_partial[shard] = true;
}

/* The scan has come past where its row would be. */
static bool is_behind(const struct qmgr_scan *s, const struct qmgr_message *m)
{
	int order = memcmp(m->id.b, s->after.b, sizeof(m->id.b));

	return order < 0 || (order == 0 && m->part <= s->after_part);
}

/* What was in memory and waiting, and has no due row any more: an operator held it or put it off,
 * or somebody else finished it. */
static void sweep(struct qmgr *q, bool is_whole)
{
	struct qmgr_scan *s = &q->scan;
	struct qmgr_message *m = q->messages.shard[s->shard];

	while (m != NULL) {
		struct qmgr_message *next = m->next;

		if (m->state == QMGR_SCHEDULED && m->seen != s->number && (is_whole || is_behind(s, m)))
			qmgr_message_drop(q, m);
		m = next;
	}
}

static void finish(struct qmgr *q, bool is_whole)
{
	struct qmgr_scan *s = &q->scan;
	bool is_hungry = q->messages.n_shard[s->shard] < share(q) / 2;
	int64_t wait = s->skipped > 0 && is_hungry ? AGAIN_WHEN_SKIPPED : AGAIN_AFTER;

	s->is_running = false;
	qmgr_message_free_gone(q);
	if (qmgr_lease_is_ours(q, s->shard)) {
		sweep(q, is_whole);
		/* Without the second, a shard of which nothing may be loaded would be read without end. */
		s->is_partial[s->shard] = !is_whole || (s->skipped > 0 && s->loaded > 0);
	}
	/* Not all shards at the same moment. */
	s->at[s->shard] = clock_mono() + wait - (int64_t)random_below(wait / 6 / CLOCK_MS) * CLOCK_MS;
	qmgr_dispatch_pump(q);
	qmgr_scan_tick(q);
}

/* What the row says of its recipients and of its provider. */
static void take_part(struct qmgr *q, struct qmgr_message *m, const struct pg_result *result, unsigned row)
{
	static uint16_t list[IPC_RECIPIENTS_MAX];
	struct str pinned = pg_text(result, row, 8);
	bool is_rerouted = !str_eq(str_of(m->pinned), pinned);

	qmgr_part_set(m, list, qmgr_part_get_list(pg_text(result, row, 7), list));
	qmgr_message_pin(m, pinned);
	if (is_rerouted)
		qmgr_route_again(q, m);
}

static void take_row(struct qmgr *q, const struct pg_result *result, unsigned row, int64_t now)
{
	struct uuid tenant = pg_uuid(result, row, 0), id = pg_uuid(result, row, 1);
	int64_t due = pg_time(result, row, 2);
	uint32_t attempts = (uint32_t)pg_int4(result, row, 3);
	unsigned part = (unsigned)pg_int4(result, row, 6);
	struct qmgr_message *m = qmgr_message_find(q, &id, part);

	if (m == NULL) {
		struct qmgr_tenant *owner = qmgr_tenant_of(q, &tenant);

		if (owner->n_messages >= ENTRIES_OF_TENANT) {
			q->scan.skipped++;
			return;
		}
		m = qmgr_message_add(q, &id, part, q->scan.shard, owner);
		take_part(q, m, result, row);
		m->attempts = attempts;
		m->faults = (uint32_t)pg_int4(result, row, 4);
		m->queued_at = pg_time(result, row, 5);
		qmgr_message_schedule(q, m, due, now);
		q->scan.loaded++;
	} else if (m->state == QMGR_SCHEDULED && m->shard == q->scan.shard &&
		   attempts >= m->attempts) {
		m->attempts = attempts;
		take_part(q, m, result, row);
		if (m->item.heap_at != 0 && m->item.due != due)
			qmgr_message_schedule(q, m, due, now);
	}
	m->seen = q->scan.number;
}

static void on_chunk(void *ctx, enum pg_status status, const struct pg_result *result,
		     const struct err *err)
{
	struct qmgr *q = ctx;
	struct qmgr_scan *s = &q->scan;
	int64_t now = clock_wall();
	unsigned n;

	if (status != PG_OK || !qmgr_lease_is_ours(q, s->shard)) {
		if (status != PG_OK)
			log_warn(NULL, "qmgr.scan.failed", log_uint("shard", s->shard),
				 log_text("why", err->text));
		s->is_running = false;
		qmgr_message_free_gone(q);
		s->is_wanted[s->shard] = true;
		return;
	}
	n = pg_rows(result);
	for (unsigned row = 0; row < n; row++)
		take_row(q, result, row, now);
	if (n > 0) {
		s->after = pg_uuid(result, n - 1, 1);
		s->after_part = (unsigned)pg_int4(result, n - 1, 6);
	}
	if (n < CHUNK)
		finish(q, true);
	else if (s->loaded >= share(q) || is_full(q))
		finish(q, false);
	else
		run_chunk(q);
}

static void run_chunk(struct qmgr *q)
{
	struct qmgr_scan *s = &q->scan;
	struct pg_params *p = pg_params_new();

	pg_put_int4(p, (int32_t)s->shard);
	pg_put_uuid(p, &s->after);
	pg_put_int4(p, (int32_t)s->after_part);
	pg_put_int8(p, QMGR_SCAN_HORIZON);
	pg_put_int4(p, CHUNK);
	pg_run(q->control_pg, QMGR_SQL_SCAN, p, on_chunk, q);
	pg_params_free(&p);
}

static bool is_due(const struct qmgr *q, unsigned shard, int64_t now)
{
	const struct qmgr_scan *s = &q->scan;

	if (!qmgr_lease_is_ours(q, shard) || is_full(q))
		return false;
	return s->is_wanted[shard] || now >= s->at[shard] ||
	       (s->is_partial[shard] && q->messages.n_shard[shard] < share(q) / 2);
}

void qmgr_scan_tick(struct qmgr *q)
{
	struct qmgr_scan *s = &q->scan;
	int64_t now = clock_mono();

	/* What is to be withdrawn must not be found; nor what an earlier connection of ours may still change. */
	if (s->is_running || q->lease.must_retake || q->lease.is_taking || !pg_is_up(q->control_pg) || q->intake.n_regrets > 0)
		return;
	for (unsigned i = 0; i < QMGR_SHARDS; i++) {
		unsigned shard = (s->turn + i) % QMGR_SHARDS;

		if (!is_due(q, shard, now))
			continue;
		s->turn = shard + 1;
		s->is_running = true;
		s->is_wanted[shard] = false;
		s->shard = shard;
		s->number++;
		s->loaded = s->skipped = 0;
		memset(&s->after, 0, sizeof(s->after));
		s->after_part = 0;
		run_chunk(q);
		return;
	}
}
