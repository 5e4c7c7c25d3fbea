/* SPDX-License-Identifier: Apache-2.0
 *
 * Outcomes from the agents' word to the committed row. One is written only while its message's
 * shard is held under the epoch that stands with it; a message that is not in memory (its outcome
 * comes from a journal, after a restart) is looked up first.
 */
#include "qmgr/qmgr_outcome.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_decide.h"
#include "qmgr/qmgr_record.h"
#include "qmgr/qmgr_sql.h"
#include "qmgr/qmgr_tell.h"

enum {
	BATCH = 256,
	LOOK_UPS = 256,
	TEXTS_MAX = 32768,
	CHANGES_MAX = 8, /* a row that is never as it was read has a damaged list */
};

/* Outcomes wait so long for company: nobody waits for them, and a commit costs as much as several
 * rows (5 ms instead cost Postgres a quarter more processor time a message). */
#define GATHER (20 * CLOCK_MS)
#define RETRY (500 * CLOCK_MS)

static void list_init(struct qmgr_outcome_list *list)
{
	*list = (struct qmgr_outcome_list){.last = &list->first};
}

static void list_add(struct qmgr_outcome_list *list, struct qmgr_outcome *o)
{
	o->next = NULL;
	*list->last = o;
	list->last = &o->next;
	list->n++;
}

static struct qmgr_outcome *list_take(struct qmgr_outcome_list *list)
{
	struct qmgr_outcome *o = list->first;

	if (o == NULL)
		return NULL;
	list->first = o->next;
	if (list->first == NULL)
		list->last = &list->first;
	list->n--;
	return o;
}

static void list_move(struct qmgr_outcome_list *to, struct qmgr_outcome_list *from, unsigned most)
{
	while (most-- > 0 && from->first != NULL)
		list_add(to, list_take(from));
}

/* Back to where it came from, before what has come since. */
static void list_put_first(struct qmgr_outcome_list *list, struct qmgr_outcome_list *from)
{
	list_move(from, list, list->n);
	list_move(list, from, from->n);
}

static void outcome_free(struct qmgr_outcome *o)
{
	buf_clear(&o->texts);
	free((char *)(uintptr_t)o->refusals.p);
	free((char *)(uintptr_t)o->whom.p);
	qmgr_fate_clear(&o->fates);
	free(o);
}

static void set_texts(struct qmgr_outcome *o, struct str provider, struct str provider_id,
		      struct str status, struct str reason)
{
	size_t ends[4], at = 0;
	struct str *const fields[] = {&o->provider, &o->provider_id, &o->status, &o->reason};
	const struct str from[] = {provider, provider_id, status, reason};

	buf_init(&o->texts, TEXTS_MAX);
	buf_put_char(&o->texts, '\0'); /* so that there are bytes, even without texts */
	at = o->texts.n;
	for (unsigned i = 0; i < 4; i++) {
		qmgr_sql_put_text(&o->texts, from[i]);
		ends[i] = o->texts.n;
	}
	for (unsigned i = 0; i < 4; i++) {
		*fields[i] = str_bytes(o->texts.p + at, ends[i] - at);
		at = ends[i];
	}
}

/* The row stays for those who are left. */
static void go_on(struct qmgr *q, const struct qmgr_outcome *o, int64_t now)
{
	static uint16_t list[IPC_RECIPIENTS_MAX];
	struct qmgr_message *m = o->message;
	unsigned n = qmgr_fate_stay(&o->fates, list);

	m->attempts = o->attempt;
	m->faults = o->verdict.faults;
	if (n < qmgr_fate_count(&o->fates))
		qmgr_part_set(m, list, n);
	if (o->is_pinned && m->pinned == NULL)
		qmgr_message_pin(m, o->provider);
	/* A body that waits must not stand in the way of those that go at once. */
	if (q->messages.body_bytes > q->env->settings->queue.memory / 2)
		qmgr_message_lose_body(q, m);
	qmgr_message_schedule(q, m, qmgr_waiting_due(q, m, o->left_class, o->provider, o->verdict.due_at), now);
}

static void hear_waiting(struct qmgr *q);

/* The agent may strike it out, and the message goes on or is forgotten. */
static void settle(struct qmgr *q, struct qmgr_outcome *o, bool is_recorded, bool is_held)
{
	struct qmgr_message *m = o->message;
	int64_t now = clock_wall();

	m->outcome = NULL;
	if (is_recorded)
		qmgr_tell_recorded(q, o);
	if (o->slot >= 0)
		qmgr_dispatch_stored(q, (unsigned)o->slot, o->frame_id, &o->told);
	if (o->next_attempt > 0) {
		m->attempts = o->next_attempt - 1;
		qmgr_dispatch_adopt(q, m, o->next_slot);
	} else if (is_recorded && !is_held && !o->is_late && o->verdict.next == QMGR_NEXT_AGAIN && !o->is_foreign &&
	    qmgr_lease_is_ours(q, m->shard) && o->verdict.due_at - now < QMGR_SCAN_HORIZON) {
		go_on(q, o, now);
	} else {
		/* When it is due again stands in the row only. */
		if (o->is_late)
			qmgr_scan_want(q, m->shard);
		qmgr_message_drop(q, m);
	}
	outcome_free(o);
	hear_waiting(q);
}

/* To be written when it is known whose it is and who its recipients are, to be looked up else. */
static void enqueue(struct qmgr *q, struct qmgr_outcome *o)
{
	static struct str recipients[IPC_RECIPIENTS_MAX];
	struct qmgr_message *m = o->message;

	if (m->tenant != NULL && m->tenant->is_known && m->body != NULL && q->lease.shard[m->shard].is_ours) {
		struct ipc_message body = qmgr_part_read(m, m->body, recipients, NULL);

		str_copy(body.session, o->session, sizeof(o->session));
		o->mail_at = body.mail_at;
		o->is_foreign = false;
		qmgr_decide(q, o, recipients, body.n_recipients, body.mail_from.n > 0 ? body.dsn : STR(""));
		list_add(&q->outcomes.pending, o);
	} else {
		list_add(&q->outcomes.unknown, o);
	}
	qmgr_outcome_pump(q);
}

static struct qmgr_outcome *outcome_new(int slot, uint64_t frame_id, const struct ipc_outcome *in)
{
	struct qmgr_outcome *o = mem_zero(sizeof(*o));

	o->slot = slot;
	o->frame_id = frame_id;
	o->class = in->class;
	o->about = in->about;
	o->is_dsn_passed = in->is_dsn_passed;
	o->told = in->attempt;
	o->attempt = in->attempt.attempt & ~(uint32_t)IPC_ATTEMPT_DIRECT;
	o->code = in->code;
	o->retry_after = in->retry_after;
	o->started_at = in->started_at;
	o->answered_at = in->answered_at;
	o->whom = str_bytes(mem_copy(in->whom.p, in->whom.n), in->whom.n);
	o->refusals = str_bytes(mem_copy(in->refusals.p, in->refusals.n), in->refusals.n);
	set_texts(o, in->provider, in->provider_id, in->status, in->reason);
	return o;
}

void qmgr_outcome_look_up(struct qmgr *q, struct qmgr_message *m, int slot, uint64_t frame_id,
			  const struct ipc_outcome *in)
{
	struct qmgr_outcome *o = outcome_new(slot, frame_id, in);

	o->message = m;
	list_add(&q->outcomes.unknown, o);
	qmgr_outcome_pump(q);
}

static bool is_same_call(const struct qmgr_outcome *a, const struct qmgr_outcome *b)
{
	return a->slot == b->slot && a->told.attempt == b->told.attempt && a->told.part == b->told.part &&
	       a->started_at == b->started_at && uuid_eq(&a->told.message, &b->told.message);
}

/* The agent, or its next incarnation, says it again: it is answered by its slot when that is recorded. */
static bool is_in_hand(const struct qmgr *q, const struct qmgr_message *m, const struct qmgr_outcome *o)
{
	if (m != NULL && m->outcome != NULL && is_same_call(m->outcome, o))
		return true;
	for (const struct qmgr_outcome *w = q->outcomes.waiting.first; w != NULL; w = w->next)
		if (is_same_call(w, o))
			return true;
	return false;
}

/* One outcome of a message at a time; and what came of an earlier attempt cannot stop the one that is under way. */
static bool has_to_wait(const struct qmgr_message *m, const struct qmgr_outcome *o)
{
	return m->call != NULL || m->state == QMGR_RECORDING ||
	       (m->state == QMGR_TAKEN && m->job->agent >= 0 && o->attempt <= m->attempts);
}

static void take(struct qmgr *q, struct qmgr_outcome *o)
{
	struct qmgr_message *m = qmgr_message_find(q, &o->told.message, o->told.part);

	if (m != NULL && has_to_wait(m, o)) {
		list_add(&q->outcomes.waiting, o);
		return;
	}
	if (m == NULL)
		m = qmgr_message_add(q, &o->told.message, o->told.part, 0, NULL);
	else if (m->state == QMGR_GONE)
		qmgr_message_revive(q, m); /* recorded or only forgotten: it is looked up */
	qmgr_schedule_remove(&q->schedule, &m->item);
	qmgr_dispatch_land(q, m);
	m->state = QMGR_RECORDING;
	m->outcome = o;
	o->message = m;
	enqueue(q, o);
}

static void hear_waiting(struct qmgr *q)
{
	struct qmgr_outcome_list all;

	list_init(&all);
	list_move(&all, &q->outcomes.waiting, q->outcomes.waiting.n);
	for (struct qmgr_outcome *o; (o = list_take(&all)) != NULL;)
		take(q, o);
}

void qmgr_outcome_heard(struct qmgr *q, unsigned slot, uint64_t frame_id,
			const struct ipc_outcome *in)
{
	struct qmgr_message *m = qmgr_message_find(q, &in->attempt.message, in->attempt.part);
	uint32_t attempt = in->attempt.attempt & ~(uint32_t)IPC_ATTEMPT_DIRECT;
	struct qmgr_outcome *o;

	if (m == NULL && attempt != in->attempt.attempt)
		m = qmgr_direct_adopt(q, &in->attempt);
	/* Not what an earlier attempt came to, told again. */
	if (m != NULL && m->job != NULL && attempt == m->attempts + 1)
		qmgr_provider_heard(q, m, in);
	if (m != NULL && m->call != NULL) {
		qmgr_direct_heard(q, m, (int)slot, frame_id, in);
		return;
	}
	if (!q->has_database) {
		/* Of a time when there was one: it stays in the journal. */
		log_warn(NULL, "qmgr.outcome.no_database", log_uint("slot", slot));
		return;
	}
	o = outcome_new((int)slot, frame_id, in);
	if (is_in_hand(q, m, o)) {
		outcome_free(o);
		return;
	}
	take(q, o);
	qmgr_dispatch_pump(q);
}

void qmgr_outcome_make(struct qmgr *q, struct qmgr_message *m, enum ipc_outcome_class class, const char *status,
		       const char *reason)
{
	struct ipc_outcome made = {
		.attempt = {m->id, m->attempts + 1, m->part},
		.class = class,
		.provider = str_of(m->job->key),
		.status = str_of(status),
		.reason = str_of(reason),
		.started_at = clock_wall(),
		.answered_at = clock_wall(),
	};
	struct buf whom = BUF_MAX(IPC_RECIPIENTS_MAX * sizeof(uint16_t));
	struct qmgr_outcome *o;

	must(m->state == QMGR_TAKEN && m->job != NULL);
	if (m->call != NULL) {
		made.attempt.attempt |= IPC_ATTEMPT_DIRECT;
		qmgr_direct_heard(q, m, -1, 0, &made);
		return;
	}
	qmgr_part_put_whom(&whom, m);
	made.whom = buf_str(&whom);
	o = outcome_new(-1, 0, &made);
	buf_clear(&whom);
	qmgr_dispatch_land(q, m);
	m->state = QMGR_RECORDING;
	m->outcome = o;
	o->message = m;
	enqueue(q, o);
}

static void ignore(void *ctx, enum pg_status status, const struct pg_result *result,
		   const struct err *err)
{
	(void)ctx, (void)status, (void)result, (void)err;
}

/* Another host's shard was changed: it reads it again before it sends what is not there any more.
 */
static void wake(struct qmgr *q, const struct qmgr_outcome *o)
{
	struct pg_params *p = pg_params_new();

	pg_open_array(p, PG_INT4);
	pg_put_int4(p, o->message->shard);
	pg_close_array(p);
	pg_run(q->control_pg, QMGR_SQL_WAKE, p, ignore, NULL);
	pg_params_free(&p);
}

/* It stays in the agent's journal, and its message is not sent again by this process. */
static void give_up(struct qmgr_outcome *o)
{
	o->message->outcome = NULL;
	outcome_free(o);
}

/* The row is another than the one on which it was decided: somebody else's outcome was recorded, or an operator has said
 * something. */
static void decide_anew(struct qmgr *q, struct qmgr_outcome *o)
{
	char id[UUID_TEXT];
	struct log_context about = qmgr_tell_context(o, id);

	if (++o->n_changes <= CHANGES_MAX) {
		list_add(&q->outcomes.unknown, o);
		return;
	}
	log_error(&about, "qmgr.outcome.unsettled", log_uint("part", o->told.part),
		  log_text("why", "its row in the database is damaged"));
	give_up(o);
}

static void take_recorded(struct qmgr *q, const struct pg_result *result)
{
	struct qmgr_outcome *by_number[BATCH] = {NULL};
	unsigned n = 0;

	for (struct qmgr_outcome *o; (o = list_take(&q->outcomes.batch)) != NULL;)
		by_number[n++] = o;
	for (unsigned row = 0; row < pg_rows(result); row++) {
		uint64_t number = (uint64_t)pg_int8(result, row, 0);
		bool is_held = pg_bool(result, row, 1), is_done = pg_bool(result, row, 2);
		struct qmgr_outcome *o;

		must(number >= 1 && number <= n && by_number[number - 1] != NULL);
		o = by_number[number - 1];
		by_number[number - 1] = NULL;
		if (!is_held) {
			/* The shard has another epoch now: who has it, and is the row still there?
			 */
			if (!o->is_foreign)
				qmgr_lease_doubt(q);
			list_add(&q->outcomes.unknown, o);
			continue;
		}
		if (pg_bool(result, row, 4)) {
			decide_anew(q, o);
			continue;
		}
		if (o->is_foreign && is_done)
			wake(q, o);
		settle(q, o, is_done, pg_bool(result, row, 3));
	}
}

/* One of them cannot be written as it is. Alone, it is tried without its texts; when that is
 * refused too, it stays in the agent's journal and its message is not sent again by this process.
 */
static void take_refused(struct qmgr *q, const struct err *err)
{
	struct qmgr_outcomes *all = &q->outcomes;
	struct qmgr_outcome *o = all->batch.first;
	char id[UUID_TEXT];
	struct log_context about = qmgr_tell_context(o, id);

	if (all->batch.n > 1) {
		all->one_by_one = all->batch.n;
		list_put_first(&all->pending, &all->batch);
		return;
	}
	log_error(&about, "qmgr.outcome.refused", log_text("why", err->text),
		  log_bool("is_given_up", o->is_blank));
	list_take(&all->batch);
	if (o->is_blank) {
		give_up(o);
		return;
	}
	o->is_blank = true;
	o->provider_id = STR("");
	qmgr_fate_blank(&o->fates);
	list_add(&all->pending, o);
}

static void wait_for(struct qmgr *q, int64_t microseconds)
{
	loop_timer_set(q->outcomes.timer, microseconds);
	q->outcomes.is_timed = true;
}

static void on_recorded(void *ctx, enum pg_status status, const struct pg_result *result,
			const struct err *err)
{
	struct qmgr *q = ctx;
	struct qmgr_outcomes *all = &q->outcomes;
	const char *sqlstate = status == PG_REFUSED && result != NULL ? pg_sqlstate(result) : "";

	if (status == PG_OK) {
		take_recorded(q, result);
	} else if (qmgr_sql_is_bad_row(sqlstate)) {
		take_refused(q, err);
	} else {
		/* It may have been written: written again, it finds no row and changes nothing. */
		log_warn(NULL, "qmgr.outcome.unrecorded", log_uint("outcomes", all->batch.n),
			 log_text("why", err->text));
		list_put_first(&all->pending, &all->batch);
		wait_for(q, RETRY);
		return;
	}
	qmgr_outcome_pump(q);
}

static void record(struct qmgr *q)
{
	struct qmgr_outcomes *all = &q->outcomes;
	unsigned most = BATCH;
	struct pg_params *p;

	if (all->one_by_one > 0) {
		most = 1;
		all->one_by_one--;
	}
	list_move(&all->batch, &all->pending, most);
	p = pg_params_new();
	qmgr_record_put(q, p);
	pg_run(q->outcome_pg, QMGR_SQL_RECORD, p, on_recorded, q);
	pg_params_free(&p);
}

static void take_row(struct qmgr *q, struct qmgr_outcome *o, const struct pg_result *result,
		     unsigned row)
{
	static uint16_t list[IPC_RECIPIENTS_MAX];
	struct qmgr_message *m = o->message;
	struct uuid tenant = pg_uuid(result, row, 1);

	if (m->call != NULL)
		qmgr_direct_found(q, m);
	qmgr_message_place(q, m, (unsigned)pg_int4(result, row, 2) % QMGR_SHARDS,
			   qmgr_tenant_of(q, &tenant));
	m->attempts = (uint32_t)pg_int4(result, row, 4);
	m->faults = (uint32_t)pg_int4(result, row, 5);
	m->queued_at = pg_time(result, row, 6);
	qmgr_part_set(m, list, qmgr_part_get_list(pg_text(result, row, 10), list));
	qmgr_message_pin(m, pg_text(result, row, 11));
	str_copy(pg_text(result, row, 7), o->session, sizeof(o->session));
	o->mail_at = pg_time(result, row, 8);
	o->epoch = pg_int8(result, row, 3);
	o->is_foreign = !q->lease.shard[m->shard].is_ours;
	o->is_found = true;
}

/* The part's recipients of the message's. */
static unsigned read_recipients(const struct qmgr_message *m, const struct pg_result *result, unsigned row,
				struct str *recipients)
{
	unsigned all = pg_text_array(result, row, 9, recipients, IPC_RECIPIENTS_MAX), n = 0;

	if (all > IPC_RECIPIENTS_MAX)
		all = IPC_RECIPIENTS_MAX;
	if (m->recipients == NULL)
		return all;
	for (; n < m->n_recipients && m->recipients[n] < all; n++)
		recipients[n] = recipients[m->recipients[n]];
	return n == m->n_recipients ? n : 0;
}

static void on_looked_up(void *ctx, enum pg_status status, const struct pg_result *result,
			 const struct err *err)
{
	struct qmgr *q = ctx;
	struct qmgr_outcomes *all = &q->outcomes;
	static struct str recipients[IPC_RECIPIENTS_MAX];
	int64_t number = 0;
	unsigned found = 0;

	if (status != PG_OK) {
		log_warn(NULL, "qmgr.outcome.unfound", log_uint("outcomes", all->asked.n),
			 log_text("why", err->text));
		list_put_first(&all->unknown, &all->asked);
		wait_for(q, RETRY);
		return;
	}
	for (struct qmgr_outcome *o; (o = list_take(&all->asked)) != NULL;) {
		number++;
		o->is_found = false;
		for (unsigned row = 0; row < pg_rows(result) && !o->is_found; row++)
			if (pg_int8(result, row, 0) == number) {
				take_row(q, o, result, row);
				found = row;
			}
		if (!o->is_found && o->message->call != NULL) {
			qmgr_direct_unfound(q, o->message);
			outcome_free(o);
			continue;
		}
		if (!o->is_found) {
			settle(q, o, false, false); /* somebody recorded it */
			continue;
		}
		if (!o->message->tenant->is_known) {
			list_add(&all->unknown, o); /* what the tenant wishes is being read */
			continue;
		}
		qmgr_decide(q, o, recipients, read_recipients(o->message, result, found, recipients), pg_text(result, found, 12));
		list_add(&all->pending, o);
	}
	qmgr_outcome_pump(q);
}

static void look_up(struct qmgr *q)
{
	struct qmgr_outcomes *all = &q->outcomes;
	struct pg_params *p = pg_params_new();

	list_move(&all->asked, &all->unknown, LOOK_UPS);
	pg_open_array(p, PG_UUID);
	for (const struct qmgr_outcome *o = all->asked.first; o != NULL; o = o->next)
		pg_put_uuid(p, &o->message->id);
	pg_close_array(p);
	pg_open_array(p, PG_INT4);
	for (const struct qmgr_outcome *o = all->asked.first; o != NULL; o = o->next)
		pg_put_int4(p, o->message->part);
	pg_close_array(p);
	pg_run(q->control_pg, QMGR_SQL_LOOK_UP, p, on_looked_up, q);
	pg_params_free(&p);
}

static void on_timer(void *ctx)
{
	struct qmgr *q = ctx;
	struct qmgr_outcomes *all = &q->outcomes;

	all->is_timed = false;
	/* Before the first take-over an old connection of ours may still be storing. */
	if (all->asked.n == 0 && all->unknown.n > 0 && q->lease.is_settled && q->control_pg != NULL &&
	    pg_is_up(q->control_pg))
		look_up(q);
	if (all->batch.n == 0 && all->pending.n > 0 && !q->lease.is_unsure &&
	    pg_is_up(q->outcome_pg))
		record(q);
}

void qmgr_outcome_pump(struct qmgr *q)
{
	struct qmgr_outcomes *all = &q->outcomes;

	if (all->is_timed || (all->batch.n > 0 && all->unknown.n == 0))
		return;
	if (all->pending.n > 0 || all->unknown.n > 0)
		wait_for(q, GATHER);
}

/* A call that something waits for may have been handed back. */
void qmgr_outcome_tick(struct qmgr *q)
{
	hear_waiting(q);
	qmgr_outcome_pump(q);
}

bool qmgr_outcome_is_idle(const struct qmgr *q)
{
	const struct qmgr_outcomes *all = &q->outcomes;

	return all->pending.n == 0 && all->unknown.n == 0 && all->batch.n == 0 && all->asked.n == 0;
}

void qmgr_outcome_init(struct qmgr *q)
{
	list_init(&q->outcomes.pending);
	list_init(&q->outcomes.unknown);
	list_init(&q->outcomes.batch);
	list_init(&q->outcomes.asked);
	list_init(&q->outcomes.waiting);
	q->outcomes.timer = loop_timer_new(q->loop, on_timer, q);
}

static void list_free(struct qmgr_outcome_list *list)
{
	for (struct qmgr_outcome *o; (o = list_take(list)) != NULL;)
		outcome_free(o);
}

void qmgr_outcome_clear(struct qmgr *q)
{
	list_free(&q->outcomes.pending);
	list_free(&q->outcomes.unknown);
	list_free(&q->outcomes.batch);
	list_free(&q->outcomes.asked);
	list_free(&q->outcomes.waiting);
	loop_timer_free(&q->outcomes.timer);
}
