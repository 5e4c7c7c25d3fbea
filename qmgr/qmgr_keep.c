/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows, then partitions, then a pause: a short one when there was something to do.
 */
#include "qmgr/qmgr_keep.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/random.h"
#include "lib/service/metrics.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_sql.h"

enum { AT_A_TIME = 1000 };

#define FIRST_AFTER (5 * CLOCK_SECOND)
#define EVERY (60 * CLOCK_SECOND)
#define BETWEEN (100 * CLOCK_MS)
#define THIN_EVERY (3600 * CLOCK_SECOND)

/* After every partition's name. */
#define LAST "~"

static void wait_for(struct qmgr *q, bool has_more)
{
	/* Hosts that were started together do not ask together. */
	loop_timer_set(q->keep.timer, has_more ? BETWEEN : EVERY + (int64_t)random_below(5000) * CLOCK_MS);
}

/* Partitions that had to stay are looked through again after an hour: nothing of them can have become free by much. True: the
 * next step of the walk. */
static bool go_on(struct qmgr_keep *k, struct str partition, int64_t block)
{
	if (partition.n > 0 && str_copy(partition, k->partition, sizeof(k->partition))) {
		k->block = block;
		return true;
	}
	if (k->thin_at == 0)
		k->thin_at = clock_mono() + THIN_EVERY;
	str_copy(STR(LAST), k->partition, sizeof(k->partition));
	k->block = 0;
	return false;
}

static void on_partitions(void *ctx, enum pg_status status, const struct pg_result *r, const struct err *err)
{
	struct qmgr *q = ctx;
	bool has_more = false;

	if (status != PG_OK) {
		/* As a rule the lock was not to be had. */
		log_info(NULL, "qmgr.keep.put_off", log_text("why", err->text));
	} else if (!pg_is_null(r, 0, 0) && pg_text(r, 0, 0).n > 0) {
		log_info(NULL, "qmgr.keep.dropped", log_str("partition", pg_text(r, 0, 0)));
		metrics_add(METRIC_PARTITIONS_DROPPED, 1);
		has_more = true;
	} else if (!pg_is_null(r, 0, 0)) {
		metrics_add(METRIC_ROWS_EXPIRED, (uint64_t)pg_int8(r, 0, 1));
		has_more = go_on(&q->keep, pg_text(r, 0, 2), pg_int8(r, 0, 3));
	}
	wait_for(q, has_more);
}

static void drop_partition(struct qmgr *q)
{
	struct pg_params *p = pg_params_new();
	struct qmgr_keep *k = &q->keep;

	if (k->thin_at != 0 && clock_mono() >= k->thin_at) {
		k->partition[0] = '\0';
		k->thin_at = 0;
	}
	pg_put_int8(p, q->env->settings->queue.keep_messages);
	pg_put_int8(p, q->env->settings->queue.keep_logs);
	pg_put_text(p, str_of(k->partition));
	pg_put_int8(p, k->block);
	pg_run(k->pg, QMGR_SQL_KEEP_PARTITIONS, p, on_partitions, q);
	pg_params_free(&p);
}

static void on_rows(void *ctx, enum pg_status status, const struct pg_result *r, const struct err *err)
{
	struct qmgr *q = ctx;
	struct uuid nobody = {{0}};
	int64_t n = 0, most = 0;
	bool is_over;

	if (status != PG_OK) {
		log_warn(NULL, "qmgr.keep.failed", log_text("why", err->text));
		wait_for(q, false);
		return;
	}
	for (unsigned column = 1; column < 5; column++) {
		n += pg_int8(r, 0, column);
		most = pg_int8(r, 0, column) > most ? pg_int8(r, 0, column) : most;
	}
	if (n > 0) {
		metrics_add(METRIC_ROWS_EXPIRED, (uint64_t)n);
		log_debug(NULL, "qmgr.keep.deleted", log_int("keys", pg_int8(r, 0, 1)), log_int("dead", pg_int8(r, 0, 2)),
			  log_int("messages", pg_int8(r, 0, 3)), log_int("logs", pg_int8(r, 0, 4)));
	}
	is_over = pg_is_null(r, 0, 5);
	q->keep.tenant = is_over ? nobody : pg_uuid(r, 0, 5);
	q->keep.message = is_over ? nobody : pg_uuid(r, 0, 6);
	if (most >= AT_A_TIME || !is_over)
		wait_for(q, true);
	else
		drop_partition(q);
}

static void on_timer(void *ctx)
{
	struct qmgr *q = ctx;
	struct pg_params *p;

	if (!pg_is_up(q->keep.pg)) {
		wait_for(q, false);
		return;
	}
	qmgr_share_tidy(q);
	p = pg_params_new();
	pg_put_int8(p, q->env->settings->queue.keep_messages);
	pg_put_int8(p, q->env->settings->queue.keep_logs);
	pg_put_int8(p, q->env->settings->queue.keep_dead);
	pg_put_int4(p, AT_A_TIME);
	pg_put_uuid(p, &q->keep.tenant);
	pg_put_uuid(p, &q->keep.message);
	pg_run(q->keep.pg, QMGR_SQL_KEEP_ROWS, p, on_rows, q);
	pg_params_free(&p);
}

void qmgr_keep_init(struct qmgr *q)
{
	q->keep.timer = loop_timer_new(q->loop, on_timer, q);
}

void qmgr_keep_start(struct qmgr *q, struct pg *pg)
{
	q->keep.pg = pg;
	loop_timer_set(q->keep.timer, FIRST_AFTER);
}

void qmgr_keep_clear(struct qmgr *q)
{
	pg_free(&q->keep.pg);
	loop_timer_free(&q->keep.timer);
}
