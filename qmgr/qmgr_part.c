/* SPDX-License-Identifier: Apache-2.0
 *
 * A split is one statement, fenced like every write. Until it is committed the message is RECORDING: neither scanned nor sent. When
 * its fate is not known, the message is forgotten and read from the table again. So are parts that memory has no room for: a
 * backlog to a provider that takes one recipient a call is many times as long in parts.
 */
#include "qmgr/qmgr_part.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_sql.h"

enum {
	GENERATION = 1000, /* see sql/0005_parts.sql */
	AT_A_TIME = 16, /* more would stand before the leases on their connection */
};

/* What queue_split() returns. */
enum { NOT_LEASED, DONE, CHANGED };

struct qmgr_part_split {
	struct qmgr_part_split *next, *previous;
	struct qmgr *q;
	struct qmgr_message *message;
	int64_t epoch;
	bool is_running;
	unsigned n_parts;
	uint16_t *ends;	 /* where each part's recipients end in ... */
	uint16_t *list;
};

/* ---- lists ---- */

void qmgr_part_put_list(struct buf *out, const uint16_t *list, unsigned n)
{
	buf_put_char(out, '{');
	for (unsigned i = 0; i < n; i++)
		buf_printf(out, i == 0 ? "%u" : ",%u", list[i]);
	buf_put_char(out, '}');
}

void qmgr_part_put_param(struct pg_params *p, const uint16_t *list, unsigned n)
{
	struct buf text = BUF_MAX(IPC_RECIPIENTS_MAX * 4 + 2);

	if (list == NULL) {
		pg_put_null(p);
		return;
	}
	qmgr_part_put_list(&text, list, n);
	pg_put_text(p, buf_str(&text));
	buf_clear(&text);
}

/* Takes a number off the front; false when there is none. */
static bool take_number(struct str *text, uint64_t *number)
{
	size_t n = 0;

	while (n < text->n && text->p[n] >= '0' && text->p[n] <= '9')
		n++;
	if (!str_u64(str_first(*text, n), 0, IPC_RECIPIENTS_MAX - 1, number))
		return false;
	*text = str_from(*text, n);
	return true;
}

unsigned qmgr_part_get_list(struct str text, uint16_t *list)
{
	unsigned n = 0;
	uint64_t number;

	do {
		/* The brace, or a comma. */
		if (text.n == 0 || text.p[0] != (n == 0 ? '{' : ',') || n == IPC_RECIPIENTS_MAX)
			return 0;
		text = str_from(text, 1);
		if (!take_number(&text, &number) || (n > 0 && number <= list[n - 1]))
			return 0;
		list[n++] = (uint16_t)number;
	} while (!str_eq(text, STR("}")));
	return n;
}

/* ---- what a part consists of ---- */

void qmgr_part_set(struct qmgr_message *m, const uint16_t *list, unsigned n)
{
	uint16_t *copy = NULL;

	if (n > 0) {
		copy = mem_array(n, sizeof(*copy));
		memcpy(copy, list, n * sizeof(*copy));
	}
	free(m->recipients);
	m->recipients = copy;
	m->n_recipients = (uint16_t)n;
}

unsigned qmgr_part_index(const struct qmgr_message *m, unsigned i)
{
	must(m->recipients == NULL || i < m->n_recipients);
	return m->recipients == NULL ? i : m->recipients[i];
}

void qmgr_part_put_whom(struct buf *out, const struct qmgr_message *m)
{
	for (unsigned i = 0; m->recipients != NULL && i < m->n_recipients; i++)
		ipc_put_index(out, m->recipients[i]);
}

static struct str take_line(struct str *text)
{
	size_t n = str_find(*text, '\n');
	struct str line = str_first(*text, n);

	*text = str_from(*text, n < text->n ? n + 1 : n);
	return line;
}

void qmgr_part_dsn(struct buf *out, struct str dsn, const uint16_t *list, unsigned n)
{
	unsigned i = 0;

	while (dsn.n > 0) {
		struct str line = take_line(&dsn);
		uint64_t index;

		if (take_number(&line, &index)) {
			while (i < n && list[i] < index)
				i++;
			if (i == n || list[i] != index)
				continue;
			buf_printf(out, "%u", i);
		}
		buf_put_str(out, line);
		buf_put_char(out, '\n');
	}
}

struct ipc_message qmgr_part_read(const struct qmgr_message *m, const struct qmgr_body *body, struct str *recipients,
				  struct buf *dsn)
{
	struct ipc_message out = qmgr_message_body_read(body, recipients);
	unsigned n = 0;

	if (m->recipients == NULL)
		return out;
	/* A row of the table is not trusted. */
	while (n < m->n_recipients && m->recipients[n] < out.n_recipients) {
		recipients[n] = recipients[m->recipients[n]];
		n++;
	}
	out.n_recipients = n == m->n_recipients ? n : 0;
	if (out.dsn.n > 0 && dsn != NULL) {
		qmgr_part_dsn(dsn, out.dsn, m->recipients, m->n_recipients);
		out.dsn = buf_str(dsn);
	}
	return out;
}

/* ---- splitting ---- */

static struct qmgr_part_split *split_new(struct qmgr *q, struct qmgr_message *m)
{
	struct qmgr_part_split *s = mem_zero(sizeof(*s)), *last = q->splits.last;

	s->q = q;
	s->message = m;
	s->epoch = qmgr_lease_epoch(q, m->shard);
	s->previous = last;
	*(last != NULL ? &last->next : &q->splits.first) = s;
	q->splits.last = s;
	return s;
}

static void split_free(struct qmgr_part_split *s)
{
	struct qmgr_part_splits *all = &s->q->splits;

	*(s->previous != NULL ? &s->previous->next : &all->first) = s->next;
	*(s->next != NULL ? &s->next->previous : &all->last) = s->previous;
	free(s->ends);
	free(s->list);
	free(s);
}

/* Another part of the same message, as the statement has made it. */
static void add_part(struct qmgr *q, struct qmgr_message *m, const uint16_t *list, unsigned n, int64_t now)
{
	uint16_t number = (uint16_t)(m->part / GENERATION * GENERATION + list[0]);
	struct qmgr_message *part;

	if (qmgr_message_find(q, &m->id, number) != NULL)
		return;
	if (!qmgr_scan_has_room(q, m->tenant)) {
		qmgr_scan_left_behind(q, m->shard);
		return;
	}
	part = qmgr_message_add(q, &m->id, number, m->shard, m->tenant);
	part->attempts = m->attempts;
	part->faults = m->faults;
	part->queued_at = m->queued_at;
	qmgr_message_pin(part, str_of(m->pinned == NULL ? "" : m->pinned));
	qmgr_part_set(part, list, n);
	qmgr_message_share_body(m, part);
	qmgr_message_schedule(q, part, now, now);
}

static void schedule_parts(struct qmgr *q, const struct qmgr_part_split *s)
{
	struct qmgr_message *m = s->message;
	int64_t now = clock_wall();

	for (unsigned i = 1; i < s->n_parts; i++)
		add_part(q, m, s->list + s->ends[i - 1], s->ends[i] - s->ends[i - 1], now);
	qmgr_part_set(m, s->list, s->ends[0]);
	qmgr_message_schedule(q, m, now, now);
}

static void run_some(struct qmgr *q);

/* Nothing of it is sent before it was read again. */
static void forget(struct qmgr *q, struct qmgr_message *m)
{
	qmgr_scan_want(q, m->shard);
	qmgr_message_drop(q, m);
}

static bool is_ours_still(const struct qmgr *q, const struct qmgr_part_split *s)
{
	return qmgr_lease_is_ours(q, s->message->shard) && qmgr_lease_epoch(q, s->message->shard) == s->epoch;
}

static void on_split(void *ctx, enum pg_status status, const struct pg_result *result, const struct err *err)
{
	struct qmgr_part_split *s = ctx;
	struct qmgr *q = s->q;
	struct qmgr_message *m = s->message;
	int what = status == PG_OK && pg_rows(result) == 1 ? pg_int4(result, 0, 0) : CHANGED;

	if (status != PG_OK)
		log_warn(NULL, "qmgr.part.unsplit", log_text("why", err->text));
	if (what == NOT_LEASED)
		qmgr_lease_doubt(q);
	if (what == DONE && is_ours_still(q, s))
		schedule_parts(q, s);
	else
		forget(q, m);
	q->splits.n_running--;
	split_free(s);
	run_some(q);
	qmgr_dispatch_pump(q);
}

/* The parts' recipients one part after the other, in the order of the parts' first recipients. */
static unsigned gather(struct qmgr_part_split *s, const struct qmgr_message *m, const unsigned *group, unsigned n)
{
	unsigned total = 0;

	s->list = mem_array(n, sizeof(*s->list));
	s->ends = mem_array(n, sizeof(*s->ends));
	for (unsigned first = 0; first < n; first++) {
		unsigned before = 0;

		while (group[before] != group[first])
			before++;
		if (before < first)
			continue; /* its part is there */
		for (unsigned i = first; i < n; i++)
			if (group[i] == group[first])
				s->list[total++] = (uint16_t)qmgr_part_index(m, i);
		s->ends[s->n_parts++] = (uint16_t)total;
	}
	return s->n_parts;
}

static void run(struct qmgr *q, struct qmgr_part_split *s)
{
	struct qmgr_message *m = s->message;
	struct pg_params *p = pg_params_new();

	pg_put_int4(p, m->shard);
	pg_put_int8(p, s->epoch);
	pg_put_uuid(p, &m->id);
	pg_put_int4(p, m->part);
	pg_put_int4(p, (int32_t)m->attempts);
	qmgr_part_put_param(p, m->recipients, m->n_recipients);
	pg_open_array(p, PG_TEXT);
	for (unsigned i = 0; i < s->n_parts; i++) {
		unsigned from = i == 0 ? 0 : s->ends[i - 1];

		qmgr_part_put_param(p, s->list + from, s->ends[i] - from);
	}
	pg_close_array(p);
	s->is_running = true;
	q->splits.n_running++;
	pg_run(q->control_pg, QMGR_SQL_SPLIT, p, on_split, s);
	pg_params_free(&p);
}

static void run_some(struct qmgr *q)
{
	struct qmgr_part_split *next;

	for (struct qmgr_part_split *s = q->splits.first; s != NULL && q->splits.n_running < AT_A_TIME; s = next) {
		next = s->next;
		if (s->is_running)
			continue;
		if (is_ours_still(q, s)) {
			run(q, s);
			continue;
		}
		forget(q, s->message);
		split_free(s);
	}
}

bool qmgr_part_split(struct qmgr *q, struct qmgr_message *m, const unsigned *group, unsigned n)
{
	struct qmgr_part_split *s;

	must(m->call == NULL && (m->state == QMGR_TAKEN || m->state == QMGR_SCHEDULED));
	s = split_new(q, m);
	if (n < 2 || gather(s, m, group, n) < 2) {
		split_free(s);
		return false;
	}
	qmgr_schedule_remove(&q->schedule, &m->item);
	qmgr_dispatch_land(q, m);
	m->state = QMGR_RECORDING;
	run_some(q);
	return true;
}

bool qmgr_part_split_evenly(struct qmgr *q, struct qmgr_message *m, unsigned n, unsigned each)
{
	unsigned group[IPC_RECIPIENTS_MAX];

	for (unsigned i = 0; i < n; i++)
		group[i] = i / each;
	return qmgr_part_split(q, m, group, n);
}

void qmgr_part_clear(struct qmgr *q)
{
	while (q->splits.first != NULL)
		split_free(q->splits.first);
}
