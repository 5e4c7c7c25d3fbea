/* SPDX-License-Identifier: Apache-2.0
 *
 * One walk over the batch a column.
 */
#include "qmgr/qmgr_record.h"

#include "qmgr/qmgr.h"

enum { LIST_TEXT = IPC_RECIPIENTS_MAX * 4 + 2 };

/* Of an event for these recipients. */
static const char *kind_of(const struct qmgr_outcome *o, enum qmgr_fate fate)
{
	if (fate == QMGR_FATE_FAILED)
		return "dead";
	return o->verdict.next == QMGR_NEXT_HELD ? "held" : ipc_outcome_class_name(o->left_class);
}

static int64_t epoch_of(const struct qmgr *q, const struct qmgr_outcome *o)
{
	return o->is_foreign ? o->epoch : qmgr_lease_epoch(q, o->message->shard);
}

/* Of what could not be tried (its provider is not in the settings now, say) the one that may have it must not be forgotten. */
static struct str provider_of(const struct qmgr_outcome *o)
{
	return o->provider.n == 0 && o->message->pinned != NULL ? str_of(o->message->pinned) : o->provider;
}

static struct str last_error(const struct qmgr_outcome *o)
{
	const struct qmgr_fate_group *left = qmgr_fate_first(&o->fates, QMGR_FATE_LEFT);

	return left == NULL ? STR("") : qmgr_fate_reason(left);
}

/* Recipients as their indices; NULL when these are all of them. */
static void put_list(struct pg_params *p, const uint16_t *list, unsigned n, bool is_all)
{
	struct buf text = BUF_MAX(LIST_TEXT);

	if (is_all)
		pg_put_null(p);
	else {
		qmgr_part_put_list(&text, list, n);
		pg_put_text(p, buf_str(&text));
	}
	buf_clear(&text);
}

/* Who stays in the row, when somebody leaves it. */
static void put_kept(struct pg_params *p, const struct qmgr_outcome *o)
{
	unsigned n = o->fates.n[QMGR_FATE_LEFT];

	put_list(p, o->fates.list[QMGR_FATE_LEFT], n, n == 0 || n == qmgr_fate_count(&o->fates));
}

static void put_event_list(struct pg_params *p, const struct qmgr_outcome *o, enum qmgr_fate fate)
{
	unsigned n = o->fates.n[fate];

	put_list(p, o->fates.list[fate], n, o->message->recipients == NULL && n == qmgr_fate_count(&o->fates));
}

/* The columns in the order of QMGR_SQL_RECORD: what becomes of the rows, ... */
static void put_rows(const struct qmgr *q, struct pg_params *p)
{
	const struct qmgr_outcome *first = q->outcomes.batch.first, *o;

#define COLUMN(type, put) \
	pg_open_array(p, type); \
	for (o = first; o != NULL; o = o->next) \
		put; \
	pg_close_array(p)
	COLUMN(PG_INT4, pg_put_int4(p, o->message->shard));
	COLUMN(PG_INT8, pg_put_int8(p, epoch_of(q, o)));
	COLUMN(PG_UUID, pg_put_uuid(p, &o->message->id));
	COLUMN(PG_INT4, pg_put_int4(p, o->message->part));
	COLUMN(PG_INT4, pg_put_int4(p, (int32_t)o->verdict.next));
	COLUMN(PG_INT4, pg_put_int4(p, (int32_t)o->attempt));
	COLUMN(PG_INT4, pg_put_int4(p, (int32_t)o->verdict.faults));
	COLUMN(PG_TIME,
	       pg_put_time(p, o->verdict.due_at != 0 ? o->verdict.due_at : o->answered_at));
	COLUMN(PG_BOOL, pg_put_bool(p, o->is_pinned));
	COLUMN(PG_TEXT, put_kept(p, o));
	COLUMN(PG_TEXT, pg_put_text(p, provider_of(o)));
	COLUMN(PG_TEXT, pg_put_text(p, o->provider_id));
	COLUMN(PG_TEXT, pg_put_text(p, last_error(o)));
	COLUMN(PG_TIME, pg_put_time(p, o->started_at));
	COLUMN(PG_TIME, pg_put_time(p, o->answered_at));
	COLUMN(PG_BOOL, pg_put_bool(p, o->message->tenant->wishes.keep_messages > 0));
#undef COLUMN
}

/* ... what became of recipients, ... */
static void put_fates(const struct qmgr *q, struct pg_params *p)
{
	const struct qmgr_outcome *o;
	const struct qmgr_fate_group *g;
	int32_t number;

#define COLUMN(type, put) \
	pg_open_array(p, type); \
	for (o = q->outcomes.batch.first, number = 1; o != NULL; o = o->next, number++) \
		for (g = o->fates.groups; g != NULL; g = g->next) \
			if (g->fate != QMGR_FATE_LEFT) \
				put; \
	pg_close_array(p)
	COLUMN(PG_INT4, pg_put_int4(p, number));
	COLUMN(PG_TEXT, pg_put_text(p, g->fate == QMGR_FATE_SENT ? STR("sent") : STR("failed")));
	COLUMN(PG_TEXT, pg_put_text(p, qmgr_fate_recipients(g)));
	COLUMN(PG_INT4, pg_put_int4(p, (int32_t)g->code));
	COLUMN(PG_TEXT, pg_put_text(p, qmgr_fate_status(g)));
	COLUMN(PG_TEXT, pg_put_text(p, qmgr_fate_reason(g)));
#undef COLUMN
}

/* ... and what is told in the history. */
static void put_events(const struct qmgr *q, struct pg_params *p)
{
	static const enum qmgr_fate told_of[] = {QMGR_FATE_FAILED, QMGR_FATE_LEFT};
	const struct qmgr_outcome *o;
	const struct qmgr_fate_group *g;
	int32_t number;

#define COLUMN(type, put) \
	pg_open_array(p, type); \
	for (o = q->outcomes.batch.first, number = 1; o != NULL; o = o->next, number++) \
		for (unsigned i = 0; i < 2; i++) \
			if ((g = qmgr_fate_first(&o->fates, told_of[i])) != NULL) \
				put; \
	pg_close_array(p)
	COLUMN(PG_INT4, pg_put_int4(p, number));
	COLUMN(PG_TEXT, pg_put_text(p, str_of(kind_of(o, told_of[i]))));
	COLUMN(PG_TEXT, put_event_list(p, o, told_of[i]));
	COLUMN(PG_INT4, pg_put_int4(p, (int32_t)g->code));
	COLUMN(PG_TEXT, pg_put_text(p, qmgr_fate_status(g)));
	COLUMN(PG_TEXT, pg_put_text(p, qmgr_fate_reason(g)));
#undef COLUMN
}

void qmgr_record_put(const struct qmgr *q, struct pg_params *p)
{
	put_rows(q, p);
	put_fates(q, p);
	put_events(q, p);
}
