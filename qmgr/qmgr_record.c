/* SPDX-License-Identifier: Apache-2.0
 *
 * One walk over the batch a column.
 */
#include "qmgr/qmgr_record.h"

#include "qmgr/qmgr.h"


static int64_t epoch_of(const struct qmgr *q, const struct qmgr_outcome *o)
{
	return o->is_foreign ? o->epoch : qmgr_lease_epoch(q, o->message->shard);
}

static struct str old_pin(const struct qmgr_outcome *o)
{
	return o->message->pinned != NULL ? str_of(o->message->pinned) : STR("");
}

/* The one that may have it, or that an operator has named: that is not forgotten for another outcome. */
static struct str new_pin(const struct qmgr_outcome *o)
{
	return o->is_pinned && o->message->pinned == NULL ? o->provider : old_pin(o);
}

static struct str last_error(const struct qmgr_outcome *o)
{
	const struct qmgr_fate_group *left = qmgr_fate_first(&o->fates, QMGR_FATE_LEFT);

	return left == NULL ? STR("") : qmgr_fate_reason(left);
}

/* Who stays in the row, when somebody leaves it. */
static void put_kept(struct pg_params *p, const struct qmgr_outcome *o)
{
	static uint16_t list[IPC_RECIPIENTS_MAX];
	unsigned n = qmgr_fate_stay(&o->fates, list);

	qmgr_part_put_param(p, n == 0 || n == qmgr_fate_count(&o->fates) ? NULL : list, n);
}

/* What is told in the history of recipients of the part. */
struct event {
	const char *kind;
	const uint16_t *list;
	unsigned n;
	uint32_t code;
	struct str status, reason;
};

enum { EVENTS_MOST = 2 + QMGR_FATE_NOTES };

static unsigned add_fate(const struct qmgr_outcome *o, enum qmgr_fate fate, const char *kind, struct event *out)
{
	const struct qmgr_fate_group *g = qmgr_fate_first(&o->fates, fate);

	if (g == NULL)
		return 0;
	*out = (struct event){kind, o->fates.list[fate], o->fates.n[fate], g->code, qmgr_fate_status(g), qmgr_fate_reason(g)};
	return 1;
}

static unsigned add_note(const struct qmgr_outcome *o, enum qmgr_fate_note_kind which, const char *kind, struct event *out)
{
	const struct qmgr_fate_note *n = &o->fates.note[which];
	struct str words = buf_str(&n->words);

	if (n->n == 0)
		return 0;
	*out = (struct event){kind, n->list, n->n, n->code, str_first(words, n->status_n), str_from(words, n->status_n)};
	return 1;
}

static unsigned events_of(const struct qmgr_outcome *o, struct event *out)
{
	const char *left = o->verdict.next == QMGR_NEXT_HELD ? "held" : ipc_outcome_class_name(o->left_class);
	unsigned n = add_fate(o, QMGR_FATE_FAILED, "dead", out);

	n += add_fate(o, QMGR_FATE_LEFT, left, out + n);
	n += add_note(o, QMGR_FATE_RELAYED, "relayed", out + n);
	return n + add_note(o, QMGR_FATE_BOUNCES, "bounces-later", out + n);
}

static void put_event_list(struct pg_params *p, const struct qmgr_outcome *o, const struct event *e)
{
	/* Whom it befalls later is looked up by index. */
	bool is_all = o->message->recipients == NULL && e->n == qmgr_fate_count(&o->fates) &&
		      e->list != o->fates.note[QMGR_FATE_BOUNCES].list;

	qmgr_part_put_param(p, is_all ? NULL : e->list, e->n);
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
	COLUMN(PG_BOOL, pg_put_bool(p, o->is_late));
	COLUMN(PG_TEXT, qmgr_part_put_param(p, o->message->recipients, o->message->n_recipients));
	COLUMN(PG_TEXT, pg_put_text(p, old_pin(o)));
	COLUMN(PG_TEXT, put_kept(p, o));
	COLUMN(PG_TEXT, pg_put_text(p, new_pin(o)));
	COLUMN(PG_TEXT, pg_put_text(p, o->provider));
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
	struct event e[EVENTS_MOST];
	const struct qmgr_outcome *o;
	int32_t number;

#define COLUMN(type, put) \
	pg_open_array(p, type); \
	for (o = q->outcomes.batch.first, number = 1; o != NULL; o = o->next, number++) \
		for (unsigned i = 0, n = events_of(o, e); i < n; i++) \
			put; \
	pg_close_array(p)
	COLUMN(PG_INT4, pg_put_int4(p, number));
	COLUMN(PG_TEXT, pg_put_text(p, str_of(e[i].kind)));
	COLUMN(PG_TEXT, put_event_list(p, o, &e[i]));
	COLUMN(PG_INT4, pg_put_int4(p, (int32_t)e[i].code));
	COLUMN(PG_TEXT, pg_put_text(p, e[i].status));
	COLUMN(PG_TEXT, pg_put_text(p, e[i].reason));
#undef COLUMN
}

void qmgr_record_put(const struct qmgr *q, struct pg_params *p)
{
	put_rows(q, p);
	put_fates(q, p);
	put_events(q, p);
}
