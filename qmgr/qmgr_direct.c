/* SPDX-License-Identifier: Apache-2.0
 *
 * From SUBMIT to the provider's answer without the database. An outcome is struck out of the agent's journal only
 * when the answer has left this process: else the next one could not know that the message was sent.
 */
#include "qmgr/qmgr_direct.h"

#include <limits.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"
#include "lib/settings/settings_provider.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_verdict.h"

enum { WAITING_BYTES = 256 << 20 };

/* Longer than an agent takes to come back. */
#define START_WITHIN (10 * CLOCK_SECOND)
/* Longer than smtpd takes to say it again. */
#define KEEP (30 * CLOCK_SECOND)
#define LOOK_EVERY (50 * CLOCK_MS)

struct qmgr_direct {
	struct qmgr_direct *next, *previous;
	enum qmgr_direct_place place;
	struct qmgr_asker asker;
	struct uuid id;
	struct qmgr_body *body; /* NULL: known only from an agent, or not needed any more */
	enum ipc_mode mode;
	struct qmgr_call **call;
	unsigned n_calls;
	int64_t came_at, kept_until; /* monotonic */
	bool is_answered;
	bool is_storing;
	bool may_be_stored; /* its outcome belongs to a row of the queue, if there is one */
	bool is_heard;	    /* the answer has left this process */
	char session[IPC_SESSION_TEXT];
	int64_t mail_at; /* wall clock */
};

static void settle(struct qmgr *q, struct qmgr_direct *d);

/* ---- the lists ---- */

static void unlink_from(struct qmgr_direct_list *list, struct qmgr_direct *d)
{
	if (d->next != NULL)
		d->next->previous = d->previous;
	else
		list->last = d->previous;
	if (d->previous != NULL)
		d->previous->next = d->next;
	else
		list->first = d->next;
	d->next = d->previous = NULL;
}

static void link_to(struct qmgr *q, struct qmgr_direct *d, enum qmgr_direct_place place)
{
	struct qmgr_direct_list *list = &q->directs.list[place];

	d->place = place;
	d->previous = list->last;
	if (list->last != NULL)
		list->last->next = d;
	else
		list->first = d;
	list->last = d;
	if (!q->directs.is_timed) {
		q->directs.is_timed = true;
		loop_timer_set(q->directs.timer, LOOK_EVERY);
	}
}

static void move(struct qmgr *q, struct qmgr_direct *d, enum qmgr_direct_place place)
{
	unlink_from(&q->directs.list[d->place], d);
	link_to(q, d, place);
}

static void keep(struct qmgr *q, struct qmgr_direct *d)
{
	d->kept_until = clock_mono() + KEEP;
	move(q, d, QMGR_DIRECT_KEPT);
}

/* ---- messages and calls ---- */

static void set_body(struct qmgr *q, struct qmgr_direct *d, struct qmgr_body **body)
{
	must(d->body == NULL);
	d->body = *body;
	*body = NULL;
	q->directs.bytes += qmgr_message_body_weight(d->body);
}

static struct qmgr_body *take_body(struct qmgr *q, struct qmgr_direct *d)
{
	struct qmgr_body *body = d->body;

	if (body != NULL)
		q->directs.bytes -= qmgr_message_body_weight(body);
	d->body = NULL;
	return body;
}

static void drop_body(struct qmgr *q, struct qmgr_direct *d)
{
	struct qmgr_body *body = take_body(q, d);

	qmgr_message_body_free(&body);
}

static struct qmgr_direct *direct_new(struct qmgr *q, const struct uuid *id, unsigned n_calls)
{
	struct qmgr_direct *d = mem_zero(sizeof(*d));

	d->id = *id;
	d->n_calls = n_calls;
	d->call = mem_array(n_calls, sizeof(struct qmgr_call *));
	d->came_at = clock_mono();
	link_to(q, d, QMGR_DIRECT_RUNNING);
	return d;
}

/* The list and the calls' array go; the calls are somebody else's now, or freed. */
static void direct_free(struct qmgr *q, struct qmgr_direct *d)
{
	unlink_from(&q->directs.list[d->place], d);
	drop_body(q, d);
	free(d->call);
	free(d);
}

/* ... and its messages, none of which is with an agent. */
static void drop(struct qmgr *q, struct qmgr_direct *d)
{
	for (unsigned i = 0; i < d->n_calls; i++) {
		struct qmgr_message *m = d->call[i]->message;

		qmgr_call_free(d->call[i]);
		qmgr_message_drop(q, m);
	}
	direct_free(q, d);
}

static void strike_all(struct qmgr *q, struct qmgr_direct *d)
{
	/* Its row may still be there: who finds it after us has to hear that it was sent. */
	if (qmgr_intake_is_regretted(q, &d->id))
		return;
	for (unsigned i = 0; i < d->n_calls; i++)
		qmgr_call_strike(q, d->call[i]);
}

static bool is_all_done(const struct qmgr_direct *d)
{
	for (unsigned i = 0; i < d->n_calls; i++)
		if (!d->call[i]->is_done)
			return false;
	return true;
}

static bool is_any_under_way(const struct qmgr_direct *d)
{
	for (unsigned i = 0; i < d->n_calls; i++)
		if (d->call[i]->is_begun && !d->call[i]->is_done)
			return true;
	return false;
}

/* ---- the answer ---- */

static struct log_context context_of(const struct qmgr_direct *d, char *id)
{
	return (struct log_context){.session = d->session, .message = uuid_format(&d->id, id)};
}

static void tell(const struct qmgr *q, const struct qmgr_direct *d, const struct qmgr_call *c)
{
	char id[UUID_TEXT];
	struct log_context about = context_of(d, id);

	qmgr_call_tell(q, c, &about, d->mail_at);
}

/* What the client is told when all calls are done: the provider's words only where they are about the message. */
static void put_result(const struct qmgr_direct *d, struct ipc_submit_result *result)
{
	enum ipc_submit_verdict verdict = d->call[0]->verdict;
	struct ipc_outcome o;

	for (unsigned i = 1; i < d->n_calls; i++)
		verdict = qmgr_verdict_join(verdict, d->call[i]->verdict);
	*result = (struct ipc_submit_result){.verdict = verdict};
	for (unsigned i = 0; i < d->n_calls; i++) {
		if (d->call[i]->verdict != verdict || !qmgr_call_outcome(d->call[i], &o))
			continue;
		result->reason = o.class == IPC_OUTCOME_PROVIDER_FAULT ? STR("the provider's account or key") : o.reason;
		result->provider_id = o.provider_id;
		return;
	}
}

static void reply(struct qmgr *q, struct qmgr_direct *d)
{
	struct ipc_submit_result result;

	for (unsigned i = 0; i < d->n_calls && !d->is_answered; i++)
		tell(q, d, d->call[i]);
	put_result(d, &result);
	d->is_answered = true;
	d->is_heard = qmgr_front_answer(&d->asker, &result) && qmgr_front_is_flushed(d->asker.front);
	drop_body(q, d);
	if (d->is_heard) {
		strike_all(q, d);
		keep(q, d);
	} else {
		move(q, d, QMGR_DIRECT_UNHEARD);
	}
}

/* ---- storing after all ---- */

static void look_up(struct qmgr *q, struct qmgr_call *c)
{
	struct ipc_outcome o;

	if (c->is_looked_up || !q->has_database || !qmgr_call_outcome(c, &o))
		return;
	c->is_looked_up = true;
	qmgr_outcome_look_up(q, c->message, c->slot, c->frame_id, &o);
}

/* Whatever is under way goes on, and counts as the stored message's first attempt. */
static void store(struct qmgr *q, struct qmgr_direct *d)
{
	struct qmgr_asker asker = d->asker;
	struct qmgr_body *body = take_body(q, d);
	struct uuid id = d->id;
	char text[UUID_TEXT];
	struct log_context about = context_of(d, text);

	log_info(&about, "qmgr.direct.queued", log_bool("is_begun", d->call[0]->is_begun),
		 log_bool("is_done", d->call[0]->is_done));
	d->asker.front = NULL;
	if (d->call[0]->is_begun) {
		d->is_storing = true;
		move(q, d, QMGR_DIRECT_RUNNING);
	} else {
		drop(q, d);
	}
	/* Calls back when it is refused at once. */
	qmgr_intake_take(q, &asker, &id, &body, true);
}

void qmgr_direct_stored(struct qmgr *q, struct qmgr_message *m)
{
	struct qmgr_call *c = m->call;

	c->direct->is_storing = false;
	c->direct->may_be_stored = true;
	c->is_stored_since = c->is_looked_up;
	if (c->is_done)
		look_up(q, c);
	settle(q, c->direct);
}

/* The message with this id that is being stored while its one call is under way, or NULL. */
static struct qmgr_direct *being_stored(struct qmgr *q, const struct uuid *id)
{
	struct qmgr_message *m = qmgr_message_find(q, id, 0);

	return m != NULL && m->call != NULL && m->call->direct->is_storing ? m->call->direct : NULL;
}

void qmgr_direct_unstored(struct qmgr *q, const struct uuid *id)
{
	struct qmgr_direct *d = being_stored(q, id);

	if (d == NULL)
		return;
	d->is_storing = false;
	if (is_all_done(d))
		keep(q, d);
}

bool qmgr_direct_go_on(struct qmgr *q, const struct uuid *id, const struct qmgr_asker *asker)
{
	struct qmgr_direct *d = being_stored(q, id);

	if (d == NULL || d->call[0]->is_done || asker->front == NULL)
		return false;
	d->is_storing = false;
	d->mode = IPC_DIRECT;
	d->asker = *asker;
	move(q, d, QMGR_DIRECT_WAITING);
	return true;
}

bool qmgr_direct_answer(struct qmgr *q, const struct uuid *id, struct ipc_submit_result *result)
{
	struct qmgr_direct *d = being_stored(q, id);

	if (d == NULL || !d->call[0]->is_done || !qmgr_verdict_is_final(d->call[0]->verdict))
		return false;
	put_result(d, result);
	tell(q, d, d->call[0]);
	d->is_answered = true;
	return true;
}

void qmgr_direct_found(struct qmgr *q, struct qmgr_message *m)
{
	struct qmgr_direct *d = m->call->direct;
	unsigned i = 0;

	while (d->call[i] != m->call)
		i++;
	qmgr_call_free(m->call);
	d->call[i] = d->call[--d->n_calls];
	if (d->n_calls > 0) {
		settle(q, d);
		return;
	}
	qmgr_front_answer(&d->asker, &(struct ipc_submit_result){.verdict = IPC_SUBMIT_STORED});
	direct_free(q, d);
}

void qmgr_direct_unfound(struct qmgr *q, struct qmgr_message *m)
{
	struct qmgr_call *c = m->call;

	c->is_looked_up = false;
	if (c->is_stored_since) {
		c->is_stored_since = false;
		look_up(q, c);
	}
}

/* ---- calls begin and end ---- */

static void schedule(struct qmgr *q, struct qmgr_call *c)
{
	int64_t now = clock_wall();

	qmgr_message_schedule(q, c->message, now, now);
	qmgr_dispatch_pump(q);
}

static void unschedule(struct qmgr *q, struct qmgr_call *c)
{
	qmgr_schedule_remove(&q->schedule, &c->message->item);
	c->message->state = QMGR_RECORDING;
}

struct ipc_message qmgr_direct_job(const struct qmgr_message *m, struct str *recipients, struct buf *dsn, int *fd)
{
	const struct qmgr_direct *d = m->call->direct;

	*fd = d->body->fd;
	m->call->is_begun = true;
	return qmgr_part_read(m, d->body, recipients, dsn);
}

const struct qmgr_body *qmgr_direct_body(const struct qmgr_message *m)
{
	return m->call->direct->body;
}

int64_t qmgr_direct_begin_before(const struct qmgr *q, const struct qmgr_message *m)
{
	const struct qmgr_direct *d = m->call->direct;
	int64_t store_at = d->came_at + q->env->settings->direct.deadline;

	if (d->mode != IPC_DIRECT_THEN_QUEUE)
		return 0;
	return store_at > q->lease.safe_until ? store_at : q->lease.safe_until;
}

/* Its one call leaves nothing to be tried again. */
static bool is_final(const struct qmgr_call *c)
{
	struct ipc_outcome o;

	return qmgr_verdict_is_final(c->verdict) && !(qmgr_call_outcome(c, &o) && qmgr_verdict_leaves_some(&o));
}

/* A call is done, or there is another reason to look whether the answer is due. */
static void settle(struct qmgr *q, struct qmgr_direct *d)
{
	if (d->is_storing)
		return;
	if (d->place == QMGR_DIRECT_WAITING && d->mode == IPC_DIRECT_THEN_QUEUE && is_all_done(d) &&
	    !is_final(d->call[0]))
		store(q, d);
	else if (d->place == QMGR_DIRECT_WAITING && is_all_done(d))
		reply(q, d);
	else if (d->place == QMGR_DIRECT_RUNNING && !is_any_under_way(d))
		keep(q, d);
}

struct qmgr_message *qmgr_direct_adopt(struct qmgr *q, const struct ipc_attempt *attempt)
{
	struct qmgr_message *m = qmgr_message_add(q, &attempt->message, attempt->part, QMGR_NO_SHARD, NULL);
	struct qmgr_direct *d = direct_new(q, &attempt->message, 1);

	m->attempts = (attempt->attempt & ~(uint32_t)IPC_ATTEMPT_DIRECT) - 1;
	d->may_be_stored = true;
	d->call[0] = qmgr_call_new(d, m);
	d->call[0]->is_begun = true;
	return m;
}

/* This provider did not take it and another one may: within the same dialogue. Nothing was sent, so nobody need know of it. */
static void go_around(struct qmgr *q, struct qmgr_call *c, int slot, uint64_t frame_id, const struct ipc_attempt *attempt)
{
	struct qmgr_message *m = c->message;

	if (slot >= 0)
		qmgr_dispatch_stored(q, (unsigned)slot, frame_id, attempt);
	qmgr_dispatch_land(q, m);
	m->attempts++;
	c->is_begun = false;
	schedule(q, c);
}

void qmgr_direct_heard(struct qmgr *q, struct qmgr_message *m, int slot, uint64_t frame_id,
		       const struct ipc_outcome *o)
{
	struct qmgr_call *c = m->call;
	struct qmgr_direct *d = c->direct;

	if (c->is_done && (c->outcome != NULL || d->is_answered)) {
		/* The agent, or its next incarnation, says it again; or says it too late. */
		c->slot = slot >= 0 ? slot : c->slot;
		c->frame_id = frame_id;
		if (slot >= 0 && (c->is_struck || c->outcome == NULL))
			qmgr_dispatch_stored(q, (unsigned)slot, frame_id, &o->attempt);
		return;
	}
	if (d->place == QMGR_DIRECT_WAITING && qmgr_route_has_other(q, m, o->class, o->provider)) {
		go_around(q, c, slot, frame_id, &o->attempt);
		return;
	}
	qmgr_call_done(c, slot, frame_id, o);
	qmgr_schedule_remove(&q->schedule, &m->item);
	qmgr_dispatch_land(q, m);
	m->state = QMGR_RECORDING;
	if (d->may_be_stored && !d->is_storing)
		look_up(q, c);
	settle(q, d);
	qmgr_dispatch_pump(q);
}

/* ---- messages come ---- */

static void wait_for_answer(struct qmgr *q, struct qmgr_direct *d, const struct qmgr_asker *asker)
{
	d->asker = *asker;
	d->came_at = clock_mono();
	move(q, d, QMGR_DIRECT_WAITING);
	for (unsigned i = 0; i < d->n_calls; i++)
		if (!d->call[i]->is_begun && !d->call[i]->is_done)
			schedule(q, d->call[i]);
	if (is_all_done(d))
		settle(q, d);
}

static void remember(struct qmgr_direct *d, const struct ipc_message *m)
{
	d->mode = m->mode;
	str_copy(m->session, d->session, sizeof(d->session));
	d->mail_at = m->mail_at;
}

/* Those from `first` on, so many of n. */
static void set_recipients(struct qmgr_message *m, unsigned first, unsigned each, unsigned n)
{
	uint16_t list[IPC_RECIPIENTS_MAX];

	m->call->n = n - first < each ? n - first : each;
	for (unsigned i = 0; i < m->call->n; i++)
		list[i] = (uint16_t)(first + i);
	qmgr_part_set(m, list, m->call->n < n ? m->call->n : 0);
}

/* The calls of a message; those that an agent told of are taken over. False: its id is taken. */
static bool make_calls(struct qmgr *q, struct qmgr_direct *d, const struct ipc_message *in,
		       struct qmgr_tenant *tenant, unsigned each)
{
	for (unsigned i = 0; i < d->n_calls; i++) {
		unsigned first = i * each;
		struct qmgr_message *m = qmgr_message_find(q, &in->id, first);

		if (m == NULL) {
			m = qmgr_message_add(q, &in->id, first, QMGR_NO_SHARD, tenant);
			qmgr_call_new(d, m);
		} else if (m->call != NULL && m->call->direct->body == NULL && !m->call->direct->is_answered &&
			   m->call->direct->n_calls == 1 && !m->call->direct->is_storing) {
			direct_free(q, m->call->direct);
			m->call->direct = d;
			d->may_be_stored = true;
		} else {
			d->n_calls = i;
			return false;
		}
		d->call[i] = m->call;
		set_recipients(m, first, each, in->n_recipients);
	}
	return true;
}

static void begin(struct qmgr *q, const struct qmgr_asker *asker, const struct ipc_message *in,
		  struct qmgr_body **body)
{
	struct qmgr_tenant *tenant = qmgr_tenant_of(q, &in->tenant);
	unsigned most = qmgr_route_recipients(q, tenant, in, (*body)->fd), each = most < in->n_recipients ? most : in->n_recipients;
	struct qmgr_direct *d;

	d = direct_new(q, &in->id, (in->n_recipients + each - 1) / each);
	remember(d, in);
	set_body(q, d, body);
	if (!make_calls(q, d, in, tenant, each)) {
		qmgr_front_answer(asker, &(struct ipc_submit_result){.verdict = IPC_SUBMIT_UNAVAILABLE,
								     .reason = STR("its id is taken")});
		drop_body(q, d);
		if (d->n_calls == 0)
			direct_free(q, d);
		else
			settle(q, d);
		return;
	}
	wait_for_answer(q, d, asker);
}

/* smtpd says again what is known here. */
static void resume(struct qmgr *q, struct qmgr_direct *d, const struct qmgr_asker *asker,
		   const struct ipc_message *in, struct qmgr_body **body)
{
	if (d->is_answered) {
		qmgr_message_body_free(body);
		d->asker = *asker;
		reply(q, d);
	} else if (d->is_storing) {
		qmgr_intake_take(q, asker, &in->id, body, true);
	} else if (d->body != NULL) {
		qmgr_message_body_free(body);
		wait_for_answer(q, d, asker);
	} else if (in->mode == IPC_DIRECT_THEN_QUEUE && d->n_calls == 1) {
		/* A former process may have stored it. */
		remember(d, in);
		set_body(q, d, body);
		d->asker = *asker;
		store(q, d);
	} else {
		begin(q, asker, in, body);
	}
}

void qmgr_direct_take(struct qmgr *q, const struct qmgr_asker *asker, const struct ipc_message *in,
		      struct qmgr_body **body, bool is_again)
{
	struct qmgr_message *m = qmgr_message_find(q, &in->id, 0);
	struct qmgr_tenant *tenant;

	if (m != NULL && m->call != NULL) {
		resume(q, m->call->direct, asker, in, body);
		return;
	}
	tenant = qmgr_tenant_of(q, &in->tenant);
	/* Committed; or a former process may have stored it; or more than one outcome for one row of the queue. */
	if (m != NULL || (in->mode == IPC_DIRECT_THEN_QUEUE &&
			  (is_again || in->n_recipients > qmgr_route_recipients(q, tenant, in, (*body)->fd)))) {
		qmgr_intake_take(q, asker, &in->id, body, is_again);
		return;
	}
	if (q->directs.bytes >= WAITING_BYTES) {
		qmgr_message_body_free(body);
		qmgr_front_answer(asker, &(struct ipc_submit_result){.verdict = IPC_SUBMIT_UNAVAILABLE,
								     .reason = STR("too much waits to be sent")});
		return;
	}
	begin(q, asker, in, body);
}

/* ---- time passes, smtpd dies ---- */

/* Nobody waits any more: what is not begun is not sent. */
static void abandon(struct qmgr *q, struct qmgr_direct *d)
{
	bool is_any_begun = false;

	for (unsigned i = 0; i < d->n_calls; i++) {
		is_any_begun = is_any_begun || d->call[i]->is_begun;
		if (!d->call[i]->is_begun)
			unschedule(q, d->call[i]);
	}
	if (!is_any_begun) {
		drop(q, d);
		return;
	}
	move(q, d, QMGR_DIRECT_RUNNING);
	settle(q, d);
}

void qmgr_direct_forget(struct qmgr *q, const struct qmgr_front *front)
{
	static const enum qmgr_direct_place places[] = {QMGR_DIRECT_WAITING, QMGR_DIRECT_UNHEARD, QMGR_DIRECT_KEPT};

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct qmgr_direct *next;

		for (struct qmgr_direct *d = q->directs.list[places[i]].first; d != NULL; d = next) {
			next = d->next;
			if (d->asker.front != front)
				continue;
			d->asker.front = NULL;
			if (places[i] == QMGR_DIRECT_WAITING)
				abandon(q, d);
			else if (places[i] == QMGR_DIRECT_UNHEARD)
				keep(q, d);
		}
	}
}

/* It takes too long to get its turn. */
static void give_up_waiting(struct qmgr *q, struct qmgr_direct *d)
{
	for (unsigned i = 0; i < d->n_calls; i++) {
		struct qmgr_call *c = d->call[i];

		if (c->is_begun || c->is_done)
			continue;
		unschedule(q, c);
		c->is_done = true;
		c->verdict = IPC_SUBMIT_FAILING;
	}
	if (is_all_done(d))
		settle(q, d);
}

static void look_at_waiting(struct qmgr *q, int64_t now)
{
	int64_t deadline = q->env->settings->direct.deadline;
	bool is_ending = q->drain_until != 0;
	struct qmgr_direct *next;

	for (struct qmgr_direct *d = q->directs.list[QMGR_DIRECT_WAITING].first; d != NULL; d = next) {
		next = d->next;
		if (d->mode == IPC_DIRECT_THEN_QUEUE) {
			if (is_ending || now - d->came_at >= deadline)
				store(q, d);
		} else if (is_ending || now - d->came_at >= START_WITHIN) {
			give_up_waiting(q, d);
		}
	}
}

static void look_at_unheard(struct qmgr *q)
{
	struct qmgr_direct *next;

	for (struct qmgr_direct *d = q->directs.list[QMGR_DIRECT_UNHEARD].first; d != NULL; d = next) {
		next = d->next;
		if (!qmgr_front_is_flushed(d->asker.front))
			continue;
		d->is_heard = true;
		strike_all(q, d);
		keep(q, d);
	}
}

/* In the order of their time. */
static void look_at_kept(struct qmgr *q, int64_t now)
{
	struct qmgr_direct *d;

	while ((d = q->directs.list[QMGR_DIRECT_KEPT].first) != NULL && now >= d->kept_until) {
		char id[UUID_TEXT];
		struct log_context about = context_of(d, id);
		struct ipc_submit_result result;
		bool is_busy = qmgr_intake_is_regretted(q, &d->id);

		for (unsigned i = 0; i < d->n_calls; i++)
			is_busy = is_busy || d->call[i]->is_looked_up;
		if (is_busy) {
			keep(q, d); /* the database is away */
			continue;
		}
		put_result(d, &result);
		if (!d->is_heard && result.verdict == IPC_SUBMIT_SENT && !(d->may_be_stored && q->has_database))
			log_warn(&about, "qmgr.direct.untold", log_str("provider_id", result.provider_id),
				 log_text("effect", "the provider has it, and the client went without an answer"));
		strike_all(q, d);
		drop(q, d);
	}
}

static void on_timer(void *ctx)
{
	struct qmgr *q = ctx;
	struct qmgr_directs *all = &q->directs;
	int64_t now = clock_mono();

	all->is_timed = false;
	look_at_waiting(q, now);
	look_at_unheard(q);
	look_at_kept(q, now);
	if (all->is_timed || (all->list[QMGR_DIRECT_WAITING].first == NULL &&
			      all->list[QMGR_DIRECT_UNHEARD].first == NULL && all->list[QMGR_DIRECT_KEPT].first == NULL))
		return;
	all->is_timed = true;
	loop_timer_set(all->timer, LOOK_EVERY);
}

void qmgr_direct_drain(struct qmgr *q)
{
	look_at_waiting(q, clock_mono());
}

bool qmgr_direct_is_idle(const struct qmgr *q)
{
	return q->directs.list[QMGR_DIRECT_WAITING].first == NULL &&
	       q->directs.list[QMGR_DIRECT_UNHEARD].first == NULL;
}

void qmgr_direct_init(struct qmgr *q)
{
	q->directs.timer = loop_timer_new(q->loop, on_timer, q);
}

void qmgr_direct_clear(struct qmgr *q)
{
	for (unsigned i = 0; i < QMGR_DIRECT_PLACES; i++)
		while (q->directs.list[i].first != NULL)
			drop(q, q->directs.list[i].first);
	loop_timer_free(&q->directs.timer);
}
