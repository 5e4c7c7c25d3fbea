/* SPDX-License-Identifier: Apache-2.0
 *
 * Some dead letters at a time. Those of a message that came without a sender (which bounces are, too) or whose recipients all
 * said NOTIFY without FAILURE are marked, and nobody is told.
 */
#include "qmgr/qmgr_report.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/metrics.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_bounce.h"
#include "qmgr/qmgr_sql.h"

enum { AT_A_TIME = 20, BOUNCE_MAX = 4 << 20 };

#define EVERY (5 * CLOCK_SECOND)
#define BETWEEN (50 * CLOCK_MS)

enum column { TENANT, MESSAGE, PART, FROM, TO, RECIPIENTS, INDICES, DSN, ARRIVED_AT, CODE, STATUS, REASON, CONTENT };

struct storing {
	struct qmgr *q;
	unsigned shard;
	struct uuid message, bounce;
	bool is_told;
};

static void again(struct qmgr *q, bool has_more)
{
	loop_timer_set(q->report.timer, has_more ? BETWEEN : EVERY);
}

static void on_stored(void *ctx, enum pg_status status, const struct pg_result *r, const struct err *err)
{
	struct storing s = *(struct storing *)ctx;
	char id[UUID_TEXT], bounce[UUID_TEXT];
	struct log_context about = {.message = uuid_format(&s.message, id)};

	free(ctx);
	if (status != PG_OK) {
		log_warn(&about, "qmgr.report.unstored", log_text("why", err->text));
		s.q->report.has_more = false;
	} else if (pg_bool(r, 0, 0) && s.is_told) {
		log_info(&about, "qmgr.report.bounced", log_text("bounce", uuid_format(&s.bounce, bounce)));
		metrics_add(METRIC_BOUNCES, 1);
		qmgr_scan_want(s.q, s.shard);
	}
	if (--s.q->report.n_storing == 0)
		again(s.q, s.q->report.has_more);
}

/* The recipients of the dead letter who are to be told of; returns how many. */
static unsigned choose(const struct pg_result *r, unsigned row, struct qmgr_bounce_recipient *out, struct qmgr_bounce_wish *wish)
{
	static struct str all[IPC_RECIPIENTS_MAX], indices[IPC_RECIPIENTS_MAX];
	unsigned n_all = pg_text_array(r, row, RECIPIENTS, all, IPC_RECIPIENTS_MAX);
	unsigned n = pg_text_array(r, row, INDICES, indices, IPC_RECIPIENTS_MAX), chosen = 0;
	bool is_whole = pg_is_null(r, row, INDICES);

	for (unsigned i = 0; i < (is_whole ? n_all : n); i++) {
		uint64_t index = i;

		if ((!is_whole && !str_u64(indices[i], 0, UINT32_MAX, &index)) || index >= n_all)
			continue;
		*wish = qmgr_bounce_wish(pg_text(r, row, DSN), (unsigned)index);
		if (!wish->is_never)
			out[chosen++] = (struct qmgr_bounce_recipient){all[index], wish->orcpt};
	}
	return chosen;
}

static void store(struct qmgr *q, const struct pg_result *r, unsigned row, const struct qmgr_bounce *b, unsigned shard)
{
	struct pg_params *p = pg_params_new();
	struct storing *s = mem_zero(sizeof(*s));
	struct uuid tenant = pg_uuid(r, row, TENANT);
	struct buf content = BUF_MAX(BOUNCE_MAX);

	*s = (struct storing){q, shard, pg_uuid(r, row, MESSAGE), b->id, b->n_recipients > 0};
	if (s->is_told)
		qmgr_bounce_put(&content, b);
	if (content.is_full) /* a header of its own size: then nobody can be told */
		buf_reset(&content);
	pg_put_int4(p, (int32_t)shard);
	pg_put_text(p, str_of(q->lease.owner));
	pg_put_int8(p, qmgr_lease_epoch(q, shard));
	pg_put_uuid(p, &tenant);
	pg_put_uuid(p, &s->message);
	pg_put_int4(p, pg_int4(r, row, PART));
	pg_put_uuid(p, &b->id);
	pg_put_text(p, b->to);
	pg_put_bool(p, qmgr_bounce_is_8bit(b));
	pg_put_bool(p, qmgr_bounce_is_utf8(b));
	pg_put_bytes(p, buf_str(&content));
	q->report.n_storing++;
	pg_run(q->keep.pg, QMGR_SQL_BOUNCE_STORE, p, on_stored, s);
	pg_params_free(&p);
	buf_clear(&content);
}

static void tell(struct qmgr *q, const struct pg_result *r, unsigned row, unsigned shard)
{
	static struct qmgr_bounce_recipient recipients[IPC_RECIPIENTS_MAX];
	struct qmgr_bounce_wish wish = {.is_never = false};
	struct qmgr_bounce b = {
		.id = uuid_new(clock_wall()),
		.host = q->env->host_name,
		.from = pg_text(r, row, FROM),
		.to = pg_text(r, row, TO),
		.now = clock_wall(),
		.arrived_at = pg_time(r, row, ARRIVED_AT),
		.recipients = recipients,
		.code = (uint32_t)pg_int4(r, row, CODE),
		.status = pg_text(r, row, STATUS),
		.reason = pg_text(r, row, REASON),
		.content = pg_text(r, row, CONTENT),
	};

	if (b.to.n > 0)
		b.n_recipients = choose(r, row, recipients, &wish);
	b.envid = wish.envid;
	b.is_headers = wish.is_headers;
	store(q, r, row, &b, shard);
}

static void on_found(void *ctx, enum pg_status status, const struct pg_result *r, const struct err *err)
{
	struct qmgr *q = ctx;
	int shard = qmgr_lease_pick(q);

	if (status != PG_OK)
		log_warn(NULL, "qmgr.report.failed", log_text("why", err->text));
	if (status != PG_OK || shard < 0 || pg_rows(r) == 0 || q->is_over) {
		again(q, false);
		return;
	}
	q->report.has_more = pg_rows(r) == AT_A_TIME;
	for (unsigned row = 0; row < pg_rows(r); row++)
		tell(q, r, row, (unsigned)shard);
}

static void on_timer(void *ctx)
{
	struct qmgr *q = ctx;
	struct pg_params *p;

	if (!pg_is_up(q->keep.pg) || q->lease.n_ours == 0) {
		again(q, false);
		return;
	}
	p = pg_params_new();
	pg_put_int4(p, AT_A_TIME);
	pg_run(q->keep.pg, QMGR_SQL_UNTOLD, p, on_found, q);
	pg_params_free(&p);
}

void qmgr_report_init(struct qmgr *q)
{
	q->report.timer = loop_timer_new(q->loop, on_timer, q);
}

void qmgr_report_start(struct qmgr *q)
{
	again(q, false);
}

void qmgr_report_clear(struct qmgr *q)
{
	loop_timer_free(&q->report.timer);
}
