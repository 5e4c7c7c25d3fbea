/* SPDX-License-Identifier: Apache-2.0
 *
 * A turn: what time makes a fact (delays, what the sandbox bounces later), then reports on some messages. Where nobody is to be
 * told (the message came without a sender, which reports are, too, or NOTIFY does not ask for it), the facts only go.
 */
#include "qmgr/qmgr_report.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"
#include "lib/smtp/smtp_canonical.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_bounce.h"
#include "qmgr/qmgr_sql.h"

enum { DUE_AT_A_TIME = 200, FACTS_MOST = 4 * IPC_RECIPIENTS_MAX, BOUNCE_MAX = 4 << 20 };

#define EVERY (2 * CLOCK_SECOND)
#define BETWEEN (50 * CLOCK_MS)
#define SAID_EVERY (60 * CLOCK_SECOND)

enum column {
	TENANT, MESSAGE, REPORTS, FROM, TO, DSN, ARRIVED_AT, CONTENT,
	/* An element a recipient and fact. */
	INDICES, ADDRESSES, ACTIONS, CODES, STATUSES, REASONS
};

/* What report_store() returns. */
enum stored { NOT_DONE, DONE, NOTHING, LIMITED, SUPPRESSED };

static void again(struct qmgr *q, bool has_more)
{
	loop_timer_set(q->report.timer, has_more ? BETWEEN : EVERY);
}

/* Who has thousands that fail is told of once a minute. */
static void tell_limited(struct qmgr *q, const struct uuid *tenant)
{
	struct qmgr_tenant *t = qmgr_tenant_of(q, tenant);
	int64_t now = clock_mono();

	t->n_unreported++;
	if (t->unreported_said_at != 0 && now - t->unreported_said_at < SAID_EVERY)
		return;
	log_warn(&(struct log_context){.tenant = t->name}, "qmgr.report.limited", log_uint("not_sent", t->n_unreported),
		 log_int("per_hour", q->env->settings->bounces.per_hour));
	t->unreported_said_at = now;
	t->n_unreported = 0;
}

static void tell_stored(const struct qmgr_report_storing *s, enum stored what)
{
	char id[UUID_TEXT], bounce[UUID_TEXT];
	struct log_context about = {.message = uuid_format(&s->message, id)};

	switch (what) {
	case DONE:
		log_info(&about, "qmgr.report.stored", log_text("report", uuid_format(&s->bounce, bounce)));
		metrics_add(METRIC_BOUNCES, 1);
		qmgr_scan_want(s->q, s->shard);
		break;
	case LIMITED:
		metrics_add(METRIC_BOUNCES_DROPPED, 1);
		tell_limited(s->q, &s->tenant);
		break;
	case SUPPRESSED:
		metrics_add(METRIC_BOUNCES_DROPPED, 1);
		log_info(&about, "qmgr.report.suppressed", log_text("why", "the tenant does not write to this sender"));
		break;
	case NOT_DONE:
	case NOTHING:
		break;
	}
}

static void on_stored(void *ctx, enum pg_status status, const struct pg_result *r, const struct err *err)
{
	const struct qmgr_report_storing *s = ctx;
	char id[UUID_TEXT];

	if (status == PG_OK) {
		tell_stored(s, (enum stored)pg_int4(r, 0, 0));
	} else {
		log_warn(&(struct log_context){.message = uuid_format(&s->message, id)}, "qmgr.report.unstored",
			 log_text("why", err->text));
		s->q->report.has_more = false;
	}
	if (--s->q->report.n_storing == 0)
		again(s->q, s->q->report.has_more);
}

static enum qmgr_bounce_action action_of(struct str word)
{
	return str_eq(word, STR("failed"))    ? QMGR_BOUNCE_FAILED
	       : str_eq(word, STR("delayed")) ? QMGR_BOUNCE_DELAYED
					      : QMGR_BOUNCE_RELAYED;
}

/* Whom the report is about; of several facts on one recipient the last stands. Returns how many. */
static unsigned choose(const struct pg_result *r, unsigned row, const struct qmgr_bounce_wish *wishes,
		       struct qmgr_bounce_recipient *out)
{
	static struct str column[REASONS + 1][FACTS_MOST];
	static unsigned place[IPC_RECIPIENTS_MAX]; /* in out[], from 1 */
	unsigned n = FACTS_MOST, chosen = 0;

	for (enum column c = INDICES; c <= REASONS; c++) {
		unsigned there = pg_text_array(r, row, c, column[c], FACTS_MOST);

		n = there < n ? there : n;
	}
	for (unsigned i = 0; i < IPC_RECIPIENTS_MAX; i++)
		place[i] = 0;
	for (unsigned i = 0; i < n; i++) {
		struct qmgr_bounce_recipient one = {
			.address = column[ADDRESSES][i],
			.action = action_of(column[ACTIONS][i]),
			.status = column[STATUSES][i],
			.reason = column[REASONS][i],
		};
		uint64_t index, code;

		if (!str_u64(column[INDICES][i], 0, IPC_RECIPIENTS_MAX - 1, &index) || one.address.n == 0 ||
		    !wishes[index].wants[one.action])
			continue;
		one.code = str_u64(column[CODES][i], 0, UINT32_MAX, &code) ? (uint32_t)code : 0;
		one.orcpt = wishes[index].orcpt;
		if (place[index] == 0)
			place[index] = ++chosen;
		out[place[index] - 1] = one;
	}
	return chosen;
}

static void store(struct qmgr *q, const struct pg_result *r, unsigned row, const struct qmgr_bounce *b, unsigned shard)
{
	struct pg_params *p = pg_params_new();
	struct qmgr_report_storing *s = &q->report.storing[row];
	struct buf content = BUF_MAX(BOUNCE_MAX), canonical = BUF_MAX(SMTP_CANONICAL_MAX);

	*s = (struct qmgr_report_storing){q, shard, pg_uuid(r, row, TENANT), pg_uuid(r, row, MESSAGE), b->id};
	if (b->n_recipients > 0)
		qmgr_bounce_put(&content, b);
	if (content.is_full) /* a header of its own size: then nobody can be told */
		buf_reset(&content);
	pg_put_int4(p, (int32_t)shard);
	pg_put_text(p, str_of(q->lease.owner));
	pg_put_int8(p, qmgr_lease_epoch(q, shard));
	pg_put_uuid(p, &s->tenant);
	pg_put_uuid(p, &s->message);
	pg_put_text(p, pg_text(r, row, REPORTS));
	pg_put_uuid(p, &b->id);
	pg_put_text(p, b->to);
	pg_put_text(p, smtp_canonical_address(b->to, &canonical) ? buf_str(&canonical) : b->to);
	pg_put_bool(p, qmgr_bounce_is_8bit(b));
	pg_put_bool(p, qmgr_bounce_is_utf8(b));
	pg_put_bytes(p, buf_str(&content));
	pg_put_int8(p, q->env->settings->bounces.per_hour);
	q->report.n_storing++;
	pg_run(q->keep.pg, QMGR_SQL_REPORT_STORE, p, on_stored, s);
	pg_params_free(&p);
	buf_clear(&content);
	buf_clear(&canonical);
}

static void tell(struct qmgr *q, const struct pg_result *r, unsigned row, unsigned shard)
{
	static struct qmgr_bounce_recipient recipients[IPC_RECIPIENTS_MAX];
	static struct qmgr_bounce_wish wishes[IPC_RECIPIENTS_MAX];
	struct uuid id = pg_uuid(r, row, TENANT);
	const struct qmgr_tenant *tenant = qmgr_tenant_of(q, &id);
	struct qmgr_bounce b = {
		.id = uuid_new(clock_wall()),
		.host = q->env->host_name,
		.from = pg_text(r, row, FROM),
		.to = pg_text(r, row, TO),
		.now = clock_wall(),
		.arrived_at = pg_time(r, row, ARRIVED_AT),
		.recipients = recipients,
		.content = pg_text(r, row, CONTENT),
	};

	if (tenant->is_known)
		b.retry_until = b.arrived_at + tenant->wishes.max_age;
	qmgr_bounce_wishes(pg_text(r, row, DSN), wishes);
	b.envid = wishes[0].envid; /* of the message, as is RET */
	b.is_headers = wishes[0].is_headers;
	if (b.to.n > 0 && b.from.n > 0)
		b.n_recipients = choose(r, row, wishes, recipients);
	store(q, r, row, &b, shard);
}

static void on_found(void *ctx, enum pg_status status, const struct pg_result *r, const struct err *err)
{
	struct qmgr *q = ctx;
	int shard = qmgr_lease_pick(q);

	if (status != PG_OK)
		log_warn(NULL, "qmgr.report.failed", log_text("why", err->text));
	if (status != PG_OK || shard < 0 || pg_rows(r) == 0 || q->is_over) {
		again(q, status == PG_OK && q->report.has_more);
		return;
	}
	must(pg_rows(r) <= QMGR_REPORTS_AT_A_TIME);
	q->report.has_more |= pg_rows(r) == QMGR_REPORTS_AT_A_TIME;
	for (unsigned row = 0; row < pg_rows(r); row++)
		tell(q, r, row, (unsigned)shard);
}

static void on_come_due(void *ctx, enum pg_status status, const struct pg_result *r, const struct err *err)
{
	struct qmgr *q = ctx;
	struct pg_params *p;

	q->report.has_more = false;
	if (status != PG_OK)
		log_warn(NULL, "qmgr.report.not_due", log_text("why", err->text));
	else
		q->report.has_more = pg_int8(r, 0, 0) == DUE_AT_A_TIME || pg_int8(r, 0, 1) == DUE_AT_A_TIME;
	p = pg_params_new();
	pg_put_int4(p, QMGR_REPORTS_AT_A_TIME);
	pg_put_int8(p, q->env->settings->bounces.per_hour);
	pg_run(q->keep.pg, QMGR_SQL_REPORT_DUE, p, on_found, q);
	pg_params_free(&p);
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
	pg_put_int8(p, q->env->settings->bounces.delay_after);
	pg_put_int4(p, DUE_AT_A_TIME);
	pg_run(q->keep.pg, QMGR_SQL_COME_DUE, p, on_come_due, q);
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
